/* system.h for POSIX. */
#if defined(__linux__)
#define _GNU_SOURCE /* preadv2 */
#elif !defined(__APPLE__)
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif

#include "system.h"

#include <epio/epio.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool bench_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

uint64_t bench_cpu_time(void)
{
    struct timespec spent;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) != 0) {
        return 0;
    }
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

uint64_t bench_peak_memory(void)
{
    struct rusage own;

    if (getrusage(RUSAGE_SELF, &own) != 0) {
        return 0;
    }
#if defined(__APPLE__)
    return (uint64_t)own.ru_maxrss;
#else
    return (uint64_t)own.ru_maxrss * 1024u;
#endif
}

#if defined(__linux__)
static uint64_t nanoseconds_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

/* Interrupts serve all processes, and count for none. */
bool bench_others_time(uint64_t *others, uint64_t *all)
{
    enum { USER, NICE, SYSTEM, IDLE, IO_WAIT, INTERRUPTS, SOFT_INTERRUPTS, STOLEN, COUNT };
    unsigned long long ticks[COUNT] = {0}, total = 0;
    uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK), busy, own;
    struct rusage children;
    FILE *file = fopen("/proc/stat", "r");
    int read = 0, i;

    if (file != NULL) {
        read = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[USER],
                      &ticks[NICE], &ticks[SYSTEM], &ticks[IDLE], &ticks[IO_WAIT],
                      &ticks[INTERRUPTS], &ticks[SOFT_INTERRUPTS], &ticks[STOLEN]);
        fclose(file);
    }
    if (read != COUNT || getrusage(RUSAGE_CHILDREN, &children) != 0) {
        return false;
    }
    for (i = 0; i < COUNT; i++) {
        total += ticks[i];
    }
    busy = (ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[STOLEN]) * tick;
    own = bench_cpu_time() + nanoseconds_of(children.ru_utime) + nanoseconds_of(children.ru_stime);
    *others = busy > own ? busy - own : 0;
    *all = total * tick;
    return true;
}

static void name_processor(char *name, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256], model[128];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "model name : %127[^\n]", model) == 1) {
            snprintf(name, size, " (%s)", model);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}
#else
bool bench_others_time(uint64_t *others, uint64_t *all)
{
    *others = *all = 0;
    return false;
}

static void name_processor(char *name, size_t size)
{
    (void)name;
    (void)size;
}
#endif

void bench_machine_name(char *name, size_t size)
{
    struct utsname system;
    char processor[160] = "";

    if (uname(&system) < 0) {
        snprintf(name, size, "unknown machine");
        return;
    }
    name_processor(processor, sizeof processor);
    snprintf(name, size, "%s %s %s, %ld processors%s", system.sysname, system.release,
             system.machine, sysconf(_SC_NPROCESSORS_ONLN), processor);
}

/* ---- Files --------------------------------------------------------------- */

static int64_t result_of(ssize_t got)
{
    return got < 0 ? epio_error_from_os(errno) : got;
}

/* A duplicate serves both purposes, and is direct if the original is. */
int bench_handle_duplicate(intptr_t handle, bench_purpose purpose, bool direct, intptr_t *duplicate)
{
    (void)purpose;
    (void)direct;
    *duplicate = fcntl((int)handle, F_DUPFD_CLOEXEC, 0);
    return *duplicate < 0 ? epio_error_from_os(errno) : 0;
}

void bench_handle_close(intptr_t handle)
{
    if (handle >= 0) {
        close((int)handle);
    }
}

int64_t bench_read_at(intptr_t handle, void *buffer, size_t size, uint64_t offset)
{
    return result_of(pread((int)handle, buffer, size, (off_t)offset));
}

int64_t bench_write_at(intptr_t handle, const void *buffer, size_t size, uint64_t offset)
{
    return result_of(pwrite((int)handle, buffer, size, (off_t)offset));
}

int64_t bench_read_cached_at(intptr_t handle, void *buffer, size_t size, uint64_t offset)
{
#if defined(RWF_NOWAIT)
    struct iovec part = {buffer, size};
    ssize_t got = preadv2((int)handle, &part, 1, (off_t)offset, RWF_NOWAIT);

    if (got == (ssize_t)size) {
        return got;
    }
    if (got < 0 && errno != EAGAIN) {
        return EPIO_ENOTSUP;
    }
    /* A page under writeback may be missed. */
    return bench_read_at(handle, buffer, size, offset);
#else
    (void)handle;
    (void)buffer;
    (void)size;
    (void)offset;
    return EPIO_ENOTSUP;
#endif
}

int bench_flush(intptr_t handle)
{
#if defined(__APPLE__)
    int result = fsync((int)handle);
#else
    int result = fdatasync((int)handle);
#endif

    return result != 0 ? epio_error_from_os(errno) : 0;
}

int bench_empty_caches(void)
{
#if defined(__linux__)
    int descriptor = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    ssize_t written;
    int error;

    if (descriptor < 0) {
        return epio_error_from_os(errno);
    }
    sync();
    written = write(descriptor, "3", 1);
    error = written < 0 ? epio_error_from_os(errno) : 0;
    close(descriptor);
    return error;
#else
    return EPIO_ENOTSUP;
#endif
}

/* ---- Threads ------------------------------------------------------------- */

static void *begin_thread(void *argument)
{
    const bench_thread *thread = argument;

    thread->function(thread->argument);
    return NULL;
}

bool bench_thread_start(bench_thread *thread)
{
    pthread_t started;

    if (pthread_create(&started, NULL, begin_thread, thread) != 0) {
        return false;
    }
    thread->system = (intptr_t)started;
    return true;
}

void bench_thread_join(bench_thread *thread)
{
    pthread_join((pthread_t)thread->system, NULL);
}

void bench_thread_yield(void)
{
    sched_yield();
}

/* ---- Other processes ----------------------------------------------------- */

void *bench_shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void bench_shared_memory_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, bytes);
    }
}

bool bench_child_run(void (*function)(void *argument), void *argument)
{
    pid_t child = fork();

    if (child == 0) {
        function(argument);
        _exit(0);
    }
    if (child < 0) {
        return false;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return true;
}

/* ---- Other programs ------------------------------------------------------ */

const char *bench_busy_command(void)
{
    return "(while :; do :; done) & read nothing; kill $!";
}

bool bench_find_command(const char *tree, char *command, size_t size)
{
#if defined(__linux__) /* elsewhere find(1) has no -printf */
    int len = snprintf(command, size, "find '%s' -printf '%%s %%p\\n' >/dev/null", tree);

    return len > 0 && (size_t)len < size && strchr(tree, '\'') == NULL;
#else
    (void)tree;
    (void)command;
    (void)size;
    return false;
#endif
}

bool bench_tree_command(const char *what, const char *path, const char *to, char *command,
                        size_t size)
{
    int len = to != NULL ? snprintf(command, size, "%s '%s' '%s'", what, path, to)
                         : snprintf(command, size, "%s '%s'", what, path);

    return len > 0 && (size_t)len < size && strchr(path, '\'') == NULL;
}

FILE *bench_command_open(const char *command)
{
    return popen(command, "w");
}

int bench_command_close(FILE *stream)
{
    return pclose(stream);
}
