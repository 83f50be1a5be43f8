/* system.h on POSIX. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "tests: %s failed: %s\n", what, strerror(errno));
        abort();
    }
}

bool system_interrupts_calls(void)
{
    return false;
}

bool system_is_wine(void)
{
    return false;
}

/* ---- Threads ------------------------------------------------------------- */

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(test_mutex), "a mutex fits");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(test_condition), "a condition fits");

struct thread_record {
    pthread_t thread;
    void *(*run)(void *argument);
    void *argument;
    atomic_bool over;
};

static void *run_thread(void *argument)
{
    struct thread_record *record = argument;
    void *result = record->run(record->argument);
    atomic_store(&record->over, true);
    return result;
}

void thread_start(test_thread *one, void *(*run)(void *argument), void *argument)
{
    one->record = calloc(1, sizeof *one->record);
    must(one->record != NULL, "calloc");
    one->record->run = run;
    one->record->argument = argument;
    must(pthread_create(&one->record->thread, NULL, run_thread, one->record) == 0,
         "pthread_create");
}

void *thread_join(test_thread one)
{
    void *result = NULL;
    must(pthread_join(one.record->thread, &result) == 0, "pthread_join");
    free(one.record);
    return result;
}

bool thread_try_join(test_thread one)
{
    bool over = atomic_load(&one.record->over);
    if (over) {
        (void)thread_join(one);
    }
    return over;
}

static pthread_mutex_t *mutex_of(test_mutex *mutex)
{
    return (pthread_mutex_t *)(void *)mutex;
}

static pthread_cond_t *condition_of(test_condition *condition)
{
    return (pthread_cond_t *)(void *)condition;
}

void thread_yield(void)
{
    (void)sched_yield();
}

uintptr_t thread_self(void)
{
    static _Thread_local char here;
    return (uintptr_t)&here;
}

int count_threads(void)
{
    return count_entries("/proc/self/task");
}

void mutex_init(test_mutex *mutex)
{
    must(pthread_mutex_init(mutex_of(mutex), NULL) == 0, "pthread_mutex_init");
}

void mutex_destroy(test_mutex *mutex)
{
    (void)pthread_mutex_destroy(mutex_of(mutex));
}

void mutex_lock(test_mutex *mutex)
{
    (void)pthread_mutex_lock(mutex_of(mutex));
}

void mutex_unlock(test_mutex *mutex)
{
    (void)pthread_mutex_unlock(mutex_of(mutex));
}

void condition_init(test_condition *condition)
{
    must(pthread_cond_init(condition_of(condition), NULL) == 0, "pthread_cond_init");
}

void condition_destroy(test_condition *condition)
{
    (void)pthread_cond_destroy(condition_of(condition));
}

void condition_wait(test_condition *condition, test_mutex *mutex)
{
    (void)pthread_cond_wait(condition_of(condition), mutex_of(mutex));
}

void condition_signal(test_condition *condition)
{
    (void)pthread_cond_signal(condition_of(condition));
}

void condition_broadcast(test_condition *condition)
{
    (void)pthread_cond_broadcast(condition_of(condition));
}

/* ---- Time ---------------------------------------------------------------- */

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    must(clock_gettime(clock, &now) == 0, "clock_gettime");
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

uint64_t system_monotonic_ns(void)
{
    return (uint64_t)read_clock(CLOCK_MONOTONIC);
}

int64_t system_time_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void sleep_ns(uint64_t nanoseconds)
{
    struct timespec time = {.tv_sec = (time_t)(nanoseconds / UINT64_C(1000000000)),
                            .tv_nsec = (int32_t)(nanoseconds % UINT64_C(1000000000))};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

void sleep_us(uint64_t microseconds)
{
    sleep_ns(microseconds * 1000);
}

static const char *guarded = "";

static void it_hangs(int signal_number)
{
    static const char message[] = "a test hangs: ";
    (void)signal_number;
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    (void)!write(STDERR_FILENO, guarded, strlen(guarded));
    (void)!write(STDERR_FILENO, "\n", 1);
    abort();
}

void hang_guard(unsigned seconds, const char *what)
{
    guarded = what;
    (void)signal(SIGALRM, it_hangs);
    (void)alarm(seconds);
}

/* ---- The process --------------------------------------------------------- */

void environment_set(const char *name, const char *value)
{
    must((value != NULL ? setenv(name, value, 1) : unsetenv(name)) == 0, "setenv");
}

int64_t system_peak_memory(void)
{
    struct rusage usage;
    must(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
#ifdef __APPLE__
    return (int64_t)usage.ru_maxrss;
#else
    return (int64_t)usage.ru_maxrss * 1024;
#endif
}

bool descriptor_limit_raise(uint64_t count, uint64_t *before)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    *before = limit.rlim_cur;
    if (limit.rlim_cur < count) {
        limit.rlim_cur = (rlim_t)count;
        limit.rlim_max = limit.rlim_max < count ? (rlim_t)count : limit.rlim_max;
    }
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void descriptor_limit_restore(uint64_t before)
{
    struct rlimit now;
    must(getrlimit(RLIMIT_NOFILE, &now) == 0, "getrlimit");
    now.rlim_cur = (rlim_t)before; /* a lowered hard limit could not be raised again */
    must(setrlimit(RLIMIT_NOFILE, &now) == 0, "setrlimit");
}

/* Tries every number below the limit: slow with a high limit. */
static int probe_descriptors(void)
{
    int limit = (int)sysconf(_SC_OPEN_MAX);
    int count = 0;
    /* With a huge limit the lowest numbers are still used first. */
    if (limit < 0 || limit > 65536) {
        limit = 65536;
    }
    for (int i = 0; i < limit; i++) {
        struct stat status;
        count += fstat(i, &status) == 0 ? 1 : 0;
    }
    return count;
}

int count_descriptors(void)
{
    DIR *open_ones = opendir("/dev/fd");
    if (open_ones == NULL) {
        return probe_descriptors();
    }
    int count = -1; /* without the directory's own */
    bool lists_all = false;
    for (const struct dirent *entry; (entry = readdir(open_ones)) != NULL;) {
        bool number = entry->d_name[0] != '.';
        count += number ? 1 : 0;
        lists_all = lists_all || (number && atoi(entry->d_name) == dirfd(open_ones));
    }
    (void)closedir(open_ones);
    return lists_all ? count : probe_descriptors(); /* some systems list 0 to 2 alone */
}

/* ---- Files --------------------------------------------------------------- */

bool test_directory_make(char *directory, size_t len)
{
    const char *parent = getenv("TMPDIR");
    char made[512];
    if (parent == NULL || parent[0] == '\0') {
        parent = "/tmp";
    }
    if (snprintf(made, sizeof made, "%s/epio-test-XXXXXX", parent) >= (int)sizeof made ||
        mkdtemp(made) == NULL) {
        return false;
    }
    /* Resolved, so that tests can compare full pathnames with it. */
    char *resolved = realpath(made, NULL);
    if (resolved == NULL || strlen(resolved) >= len) {
        free(resolved);
        return false;
    }
    memcpy(directory, resolved, strlen(resolved) + 1);
    free(resolved);
    return true;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void test_directory_remove(const char *directory)
{
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

bool directory_make(const char *path)
{
    return mkdir(path, 0755) == 0;
}

bool directory_remove(const char *path)
{
    return rmdir(path) == 0;
}

int count_entries(const char *directory)
{
    DIR *entries = opendir(directory);
    int count = 0;
    if (entries == NULL) {
        return -1;
    }
    while (readdir(entries) != NULL) {
        count++;
    }
    (void)closedir(entries);
    return count - 2;
}

bool current_directory(char *path, size_t len)
{
    return getcwd(path, len) != NULL;
}

bool current_directory_set(const char *path)
{
    return chdir(path) == 0;
}

bool paths_agree(const char *found, const char *wanted)
{
    return strcmp(found, wanted) == 0;
}

void file_make(const char *path)
{
    int descriptor = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    must(descriptor >= 0, path);
    (void)close(descriptor);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int64_t file_size(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

bool file_remove(const char *path)
{
    return unlink(path) == 0;
}

void fifo_make(const char *path)
{
    must(mkfifo(path, 0600) == 0, path);
}

void link_make(const char *target, const char *path)
{
    must(symlink(target, path) == 0, path);
}

unsigned system_umask(unsigned mask)
{
    return umask((mode_t)mask);
}

/* ---- Descriptors --------------------------------------------------------- */

intptr_t handle_open(const char *path, uint32_t flags)
{
    int how = O_CLOEXEC;
    if ((flags & EPIO_OPEN_READ) != 0 && (flags & EPIO_OPEN_WRITE) != 0) {
        how |= O_RDWR;
    } else {
        how |= (flags & EPIO_OPEN_WRITE) != 0 ? O_WRONLY : O_RDONLY;
    }
    how |= (flags & EPIO_OPEN_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & EPIO_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    return open(path, how, 0600);
}

bool handle_close(intptr_t handle)
{
    return close((int)handle) == 0;
}

bool handle_is_open(intptr_t handle)
{
    return fcntl((int)handle, F_GETFD) >= 0;
}

intptr_t handle_duplicate(intptr_t handle)
{
    int other = dup((int)handle);
    must(other >= 0, "dup");
    return other;
}

int64_t handle_read_at(intptr_t handle, void *data, size_t len, uint64_t offset)
{
    return pread((int)handle, data, len, (off_t)offset);
}

int64_t handle_write_at(intptr_t handle, const void *data, size_t len, uint64_t offset)
{
    return pwrite((int)handle, data, len, (off_t)offset);
}

int64_t handle_size(intptr_t handle)
{
    struct stat status;
    return fstat((int)handle, &status) == 0 ? (int64_t)status.st_size : -1;
}

intptr_t handle_open_directory(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(directory >= 0, path);
    return directory;
}

int64_t handle_position(intptr_t handle)
{
    return lseek((int)handle, 0, SEEK_CUR);
}

bool handle_is_inherited(intptr_t handle)
{
    return (fcntl((int)handle, F_GETFD) & FD_CLOEXEC) == 0;
}

bool handle_is_private_file(intptr_t handle)
{
    struct stat status;
    return fstat((int)handle, &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_mode & 07777) == 0600;
}

bool handle_is_beside(intptr_t handle, const char *path)
{
    struct stat one;
    struct stat other;
    return fstat((int)handle, &one) == 0 && stat(path, &other) == 0 && one.st_dev == other.st_dev;
}

bool handle_is_direct(intptr_t handle)
{
#ifdef O_DIRECT
    return (fcntl((int)handle, F_GETFL) & O_DIRECT) != 0;
#else
    (void)handle;
    return true;
#endif
}

bool handle_is_ready(intptr_t handle, int milliseconds)
{
    struct pollfd set = {.fd = (int)handle, .events = POLLIN};
    return poll(&set, 1, milliseconds) == 1;
}

void handle_drop_cache(intptr_t handle)
{
#ifdef POSIX_FADV_DONTNEED
    (void)posix_fadvise((int)handle, 0, 0, POSIX_FADV_DONTNEED);
#else
    (void)handle;
#endif
}

static bool set_lock(int command, intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};
    struct flock range = {
        .l_type = types[mode], .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)len};
    if (fcntl((int)handle, command, &range) == 0) {
        return true;
    }
    must(errno == EAGAIN || errno == EACCES, "fcntl for a lock");
    return false;
}

/* Locks of the open file description: to epio, those of another process. */
bool handle_lock_range(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    return set_lock(F_OFD_SETLK, handle, start, len, mode);
}

bool handle_lock_range_of_process(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    return set_lock(F_SETLK, handle, start, len, mode);
}

void handle_unlock_all(intptr_t handle)
{
    (void)handle_lock_range(handle, 0, LOCK_TO_THE_END, HANDLE_UNLOCK);
}

handle_lock handle_range_is_locked(intptr_t handle, uint64_t start, uint64_t len)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)len};
    must(fcntl((int)handle, F_GETLK, &range) == 0, "F_GETLK");
    if (range.l_type == F_UNLCK) {
        return HANDLE_UNLOCK;
    }
    return range.l_type == F_RDLCK ? HANDLE_LOCK_SHARED : HANDLE_LOCK_EXCLUSIVE;
}

/* ---- Memory of several processes ------------------------------------------ */

void *shared_memory_map(const char *path, size_t len)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(descriptor >= 0 && ftruncate(descriptor, (off_t)len) == 0, path);
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    must(memory != MAP_FAILED, "mmap");
    (void)close(descriptor);
    return memory;
}

void shared_memory_unmap(void *memory, size_t len)
{
    must(munmap(memory, len) == 0, "munmap");
}

/* ---- Pipes --------------------------------------------------------------- */

static void keep_from_children(const int ends[2])
{
    for (size_t i = 0; i < 2; i++) {
        must(fcntl(ends[i], F_SETFD, FD_CLOEXEC) == 0, "FD_CLOEXEC");
    }
}

void pipe_make(intptr_t ends[2])
{
    int made[2];
    must(pipe(made) == 0, "pipe");
    keep_from_children(made);
    ends[0] = made[0];
    ends[1] = made[1];
}

void pipe_make_plain(intptr_t ends[2])
{
    pipe_make(ends);
}

void pipe_make_duplex(intptr_t ends[2])
{
    int made[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, made) == 0, "socketpair");
    keep_from_children(made);
    ends[0] = made[0];
    ends[1] = made[1];
}

int64_t pipe_read(intptr_t handle, void *data, size_t len)
{
    return read((int)handle, data, len);
}

int64_t pipe_write(intptr_t handle, const void *data, size_t len)
{
    return write((int)handle, data, len);
}

int64_t pipe_read_some(intptr_t handle, void *data, size_t len)
{
    int before = fcntl((int)handle, F_GETFL);
    (void)fcntl((int)handle, F_SETFL, before | O_NONBLOCK);
    int64_t got = read((int)handle, data, len);
    (void)fcntl((int)handle, F_SETFL, before);
    return got > 0 ? got : 0;
}

/* ---- Other processes ----------------------------------------------------- */

static char *program_path;

void process_set_program(const char *program)
{
    free(program_path);
    program_path = realpath("/proc/self/exe", NULL);
    if (program_path == NULL) {
        program_path = realpath(program, NULL);
    }
    must(program_path != NULL, program);
}

/* Between fork and exec: nothing may need a lock that a thread of the parent held. */
static void become(char *const words[], const intptr_t streams[3])
{
    for (int i = 0; i < 3; i++) {
        if (streams[i] != NO_HANDLE) {
            (void)dup2((int)streams[i], i);
        }
    }
    (void)execv(program_path, words);
    _exit(255);
}

void process_start(test_process *one, const char *const words[], size_t count,
                   const intptr_t streams[3])
{
    char *arguments[16] = {program_path};
    must(program_path != NULL && count < 15, "process_start");
    for (size_t i = 0; i < count; i++) {
        arguments[i + 1] = (char *)(uintptr_t)words[i];
    }
    (void)fflush(NULL);
    pid_t process = fork();
    must(process >= 0, "fork");
    if (process == 0) {
        become(arguments, streams);
    }
    one->system = process;
}

int process_wait(test_process *one)
{
    int status = 0;
    must(waitpid((pid_t)one->system, &status, 0) == (pid_t)one->system, "waitpid");
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    switch (WTERMSIG(status)) {
    case SIGABRT:
        return ENDED_BY_ABORT;
    case SIGKILL:
        return ENDED_BY_KILL;
    default:
        return 256 + WTERMSIG(status);
    }
}

void process_kill(test_process *one)
{
    must(kill((pid_t)one->system, SIGKILL) == 0, "kill");
}

void process_begin(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* some children abort on purpose */
}

intptr_t process_input(void)
{
    return STDIN_FILENO;
}

intptr_t process_output(void)
{
    return STDOUT_FILENO;
}
