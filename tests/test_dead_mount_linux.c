/* A file system that never answers: ops on it block neither ops elsewhere nor their own callers. A
 * seccomp filter (seccomp_unotify(2)) sends system calls on paths with "/dead/" in them, and those
 * on the files of one device, to a thread that holds them until the test releases them. Only Linux
 * has that. */
#include "fork.h"
#include "op_fixture.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(SECCOMP_RET_USER_NOTIF) && defined(SECCOMP_FILTER_FLAG_NEW_LISTENER) &&                \
    defined(SECCOMP_USER_NOTIF_FLAG_CONTINUE)

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define MOST_HELD 4096

/* ---- The mount -------------------------------------------------------------- */

static struct {
    pthread_mutex_t mutex;
    int listener; /* the server's */
    bool dead;
    dev_t dead_device; /* calls about its files hang, too; 0: none */
    bool no_threads;   /* starting a thread fails with EAGAIN */
    size_t refused;    /* number of such failures */
    uint64_t held[MOST_HELD];
    size_t count;
} mount = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Which of its arguments are paths: a call and two bits. */
static const struct {
    int number;
    unsigned paths;
} calls_about_paths[] = {
#if defined(SYS_open)
    {SYS_open, 1u << 0},
    {SYS_unlink, 1u << 0},
    {SYS_rename, 1u << 0 | 1u << 1},
    {SYS_access, 1u << 0},
    {SYS_readlink, 1u << 0},
    {SYS_stat, 1u << 0},
    {SYS_lstat, 1u << 0},
#endif
#if defined(SYS_renameat)
    {SYS_renameat, 1u << 1 | 1u << 3},
#endif
#if defined(SYS_faccessat2)
    {SYS_faccessat2, 1u << 1},
#endif
#if defined(SYS_newfstatat)
    {SYS_newfstatat, 1u << 1},
#endif
    {SYS_openat, 1u << 1},
    {SYS_unlinkat, 1u << 1},
    {SYS_renameat2, 1u << 1 | 1u << 3},
    {SYS_faccessat, 1u << 1},
    {SYS_readlinkat, 1u << 1},
    {SYS_mkdirat, 1u << 1},
#if defined(SYS_statx)
    {SYS_statx, 1u << 1},
#endif
};

#define PATH_CALLS (sizeof calls_about_paths / sizeof calls_about_paths[0])

/* The first argument is the file. */
static const int calls_about_files[] = {SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_pread64};

#define FILE_CALLS (sizeof calls_about_files / sizeof calls_about_files[0])

/* These start a thread. */
static const int calls_for_threads[] = {
    SYS_clone,
#if defined(SYS_clone3)
    SYS_clone3,
#endif
};

#define THREAD_CALLS (sizeof calls_for_threads / sizeof calls_for_threads[0])
#define CALLS (PATH_CALLS + FILE_CALLS + THREAD_CALLS)

static int number_of_call(size_t i)
{
    if (i >= PATH_CALLS + FILE_CALLS) {
        return calls_for_threads[i - PATH_CALLS - FILE_CALLS];
    }
    return i < PATH_CALLS ? calls_about_paths[i].number : calls_about_files[i - PATH_CALLS];
}

static bool is_for_thread(const struct seccomp_data *data)
{
    bool is = false;
    for (size_t i = 0; i < THREAD_CALLS; i++) {
        is |= data->nr == calls_for_threads[i];
    }
    return is;
}

/* The calling thread is in this process. No lock has made its memory visible here, so the kernel
 * reads it. */
static bool is_on_the_mount(uint64_t path)
{
    char text[512] = {0};
    struct iovec here = {.iov_base = text, .iov_len = sizeof text - 1};
    struct iovec there = {.iov_base = (void *)(uintptr_t)path, .iov_len = sizeof text - 1};
    /* Only up to the end of the page, if the next one is not mapped. */
    if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) <= 0) {
        size_t to_the_page = 4096 - path % 4096;
        here.iov_len = to_the_page < sizeof text ? to_the_page : sizeof text - 1;
        there.iov_len = here.iov_len;
        (void)process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    }
    return strstr(text, "/dead/") != NULL;
}

static bool is_about_the_mount(const struct seccomp_data *data)
{
    for (size_t i = 0; i < PATH_CALLS; i++) {
        for (unsigned argument = 0; argument < 4; argument++) {
            if (calls_about_paths[i].number == data->nr &&
                (calls_about_paths[i].paths & 1u << argument) != 0 &&
                is_on_the_mount(data->args[argument])) {
                return true;
            }
        }
    }
    struct stat status;
    bool about_file = false;
    for (size_t i = 0; i < FILE_CALLS; i++) {
        about_file |= data->nr == calls_about_files[i];
    }
    return about_file && mount.dead_device != 0 &&
           syscall(SYS_fstat, (int)data->args[0], &status) == 0 &&
           status.st_dev == mount.dead_device;
}

static void let_continue(uint64_t id)
{
    struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    /* Fails for a thread that was killed. */
    (void)syscall(SYS_ioctl, mount.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void refuse(uint64_t id)
{
    struct seccomp_notif_resp answer = {.id = id, .error = -EAGAIN};
    (void)syscall(SYS_ioctl, mount.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static int listener_line[2]; /* sends the listener to the server */

static void *serve_mount(void *unused)
{
    struct seccomp_notif call;
    (void)unused;
    require(read(listener_line[0], &mount.listener, sizeof mount.listener) ==
            (ssize_t)sizeof mount.listener);
    for (;;) {
        memset(&call, 0, sizeof call);
        if (syscall(SYS_ioctl, mount.listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
            if (errno != EINTR && errno != ENOENT) {
                return NULL;
            }
            continue;
        }
        pthread_mutex_lock(&mount.mutex);
        bool thread = is_for_thread(&call.data);
        bool no = thread && mount.no_threads;
        mount.refused += no ? 1 : 0;
        bool hold = mount.dead && !thread && is_about_the_mount(&call.data);
        if (hold) {
            require(mount.count < MOST_HELD);
            mount.held[mount.count++] = call.id;
        }
        pthread_mutex_unlock(&mount.mutex);
        if (no) {
            refuse(call.id);
        } else if (!hold) {
            let_continue(call.id);
        }
    }
}

static size_t mount_held(void)
{
    pthread_mutex_lock(&mount.mutex);
    size_t count = mount.count;
    pthread_mutex_unlock(&mount.mutex);
    return count;
}

static void mount_set(bool dead)
{
    pthread_mutex_lock(&mount.mutex);
    mount.dead = dead;
    if (!dead) {
        for (size_t i = 0; i < mount.count; i++) {
            let_continue(mount.held[i]);
        }
        mount.count = 0;
    }
    pthread_mutex_unlock(&mount.mutex);
}

static void mount_set_dead_device(dev_t device)
{
    pthread_mutex_lock(&mount.mutex);
    mount.dead_device = device;
    pthread_mutex_unlock(&mount.mutex);
}

static void mount_set_no_threads(bool none)
{
    pthread_mutex_lock(&mount.mutex);
    mount.no_threads = none;
    mount.refused = 0;
    pthread_mutex_unlock(&mount.mutex);
}

static size_t mount_refused(void)
{
    pthread_mutex_lock(&mount.mutex);
    size_t count = mount.refused;
    pthread_mutex_unlock(&mount.mutex);
    return count;
}

/* Filters the calling thread and all that it starts from now on, irrevocably. False: the system has
 * no such filters. */
static bool mount_begin(void)
{
    const size_t filtered = CALLS;
    struct sock_filter code[CALLS + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    for (size_t i = 0; i < filtered; i++) {
        struct sock_filter jump = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number_of_call(i),
                                           (uint8_t)(filtered - i), 0);
        code[1 + i] = jump;
    }
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_filter notify = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    code[1 + filtered] = allow;
    code[2 + filtered] = notify;
    struct sock_fprog program = {(unsigned short)(filtered + 3), code};
    pthread_t server;
    check(pipe(listener_line) == 0);
    check(pthread_create(&server, NULL, serve_mount, NULL) == 0); /* without the filter */
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    long listener =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0) {
        return false;
    }
    int number = (int)listener;
    check(write(listener_line[1], &number, sizeof number) == (ssize_t)sizeof number);
    return true;
}

/* ---- The fixture ------------------------------------------------------------- */

typedef struct mount_fixture {
    const char *directory;
    epio_loop *loop;
    epio_vfs *os;
    epio_vfs *trace; /* over it */
    epio_vfs *limit; /* over that, with enough permits */
    epio_semaphore *semaphore;
} mount_fixture;

static const char *path_in(const mount_fixture *s, const char *name, char *path)
{
    (void)snprintf(path, 512, "%s/%s", s->directory, name);
    return path;
}

/* False: not on this system. The mount still answers. */
static bool mount_fixture_setup(mount_fixture *s, const char *directory)
{
    char path[512];
    memset(s, 0, sizeof *s);
    s->directory = directory;
    (void)mkdir(path_in(s, "dead", path), 0700);
    check_result(epio_loop_create(&s->loop, NULL), 0);
    s->os = epio_loop_vfs(s->loop);
    check_result(epio_trace_vfs_create(&s->trace, s->os), 0);
    check_result(epio_semaphore_create(&s->semaphore, 1000), 0);
    check_result(epio_limit_vfs_create(&s->limit, s->trace, s->semaphore), 0);
    return mount_begin();
}

static void mount_fixture_teardown(mount_fixture *s)
{
    check_result(epio_loop_pending(s->loop), 0);
    check_result(epio_semaphore_available(s->semaphore), 1000);
    epio_vfs_destroy(s->limit);
    epio_semaphore_destroy(s->semaphore);
    epio_vfs_destroy(s->trace);
    epio_loop_destroy(s->loop);
}

/* Polls until `count` calls hang. */
static void wait_until_held(const mount_fixture *s, size_t count)
{
    while (mount_held() < count) {
        (void)epio_loop_poll(s->loop, MILLISECOND, 0);
    }
}

/* The same for one op, which may end before that: false. */
static bool comes_to_hang(const mount_fixture *s, const tracked *one)
{
    while (mount_held() == 0 && one->calls == 0) {
        (void)epio_loop_poll(s->loop, MILLISECOND, 0);
    }
    return mount_held() != 0;
}

static void drain(const mount_fixture *s)
{
    while (epio_loop_pending(s->loop) != 0) {
        (void)epio_loop_poll(s->loop, 10 * MILLISECOND, 0);
    }
}

/* Waits until the process has no more threads and descriptors than that. A worker without work
 * leaves after two seconds. */
static void wait_until_released(int threads, int descriptors)
{
    /* A sanitizer has threads of its own. */
    while ((!fixture_is_watched() && count_threads() > threads) ||
           count_descriptors() > descriptors) {
        thread_yield();
    }
}

/* One op of each verb on a healthy file. */
static void check_works_elsewhere(const mount_fixture *s, epio_vfs *vfs, int round)
{
    char one[512];
    char other[512];
    char name[64];
    char found[4096];
    epio_op op = {0};
    (void)snprintf(name, sizeof name, "healthy %d", round);
    path_in(s, name, one);
    (void)snprintf(name, sizeof name, "renamed %d", round);
    path_in(s, name, other);
    check_result(epio_wait(epio_open(&op, vfs, one, READ_WRITE | EPIO_OPEN_CREATE)), 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_write(&op, file, "x", 1, 0)), 1);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_wait(epio_size(&op, file)), 1);
    check_result(epio_wait(epio_rename(&op, vfs, one, other, 0)), 0);
    check_result(epio_wait(epio_access(&op, vfs, other, EPIO_ACCESS_READ)), 1);
    check(epio_wait(epio_full_pathname(&op, vfs, other, found, sizeof found)) > 0);
    check_result(epio_wait(epio_close(&op, file)), 0);
    check_result(epio_wait(epio_delete(&op, vfs, other, 0)), 0);
}

/* ---- Ops elsewhere ------------------------------------------------------------- */

#define MOST_HUNG 100

static void others_continue_in_child(void *directory)
{
    static const size_t counts[] = {1, 4, 20, MOST_HUNG};
    static tracked hung[MOST_HUNG];
    char path[512];
    mount_fixture s;
    if (!mount_fixture_setup(&s, directory)) {
        return;
    }
    path_in(&s, "dead/file", path);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        mount_set(true);
        for (size_t j = 0; j < counts[i]; j++) {
            epio_vfs *vfs = j % 2 == 0 ? s.limit : s.os;
            epio_submit(epio_open(track(&hung[j]), vfs, path, READ_WRITE | EPIO_OPEN_CREATE));
        }
        for (int round = 0; round < 12; round++) {
            check_works_elsewhere(&s, round % 2 == 0 ? s.os : s.limit, round);
        }
        wait_until_held(&s, counts[i]);
        for (size_t j = 0; j < counts[i]; j++) {
            check_result(hung[j].calls, 0);
            epio_cancel(&hung[j].op);
        }
        drain(&s); /* while the mount still hangs */
        for (size_t j = 0; j < counts[i]; j++) {
            check_result(hung[j].result, EPIO_ECANCELED);
            check(hung[j].op.file == NULL);
        }
        check_works_elsewhere(&s, s.os, 0);
        mount_set(false);
    }
    mount_fixture_teardown(&s);
}

static void others_continue(fixture *f)
{
    check_result(run_in_fork(others_continue_in_child, (void *)(uintptr_t)f->directory), 0);
}

/* ---- Cancelled ops return --------------------------------------------------------- */

enum {
    OPEN,
    TEMPORARY,
    DELETE,
    RENAME,
    RENAME_TO,
    ACCESS,
    FULL_PATHNAME,
    STAT,
    MKDIR,
    WATCH,
    WATCH_BY_COMPARING,
    VERBS
};

/* `path` is on the mount, `other` is not. */
static epio_op *prepare(epio_op *op, int verb, epio_vfs *vfs, const char *path, const char *other,
                        char *buffer, size_t len)
{
    static const epio_info info = {.size = sizeof info};
    switch (verb) {
    case OPEN:
        return epio_open(op, vfs, path, READ_WRITE | EPIO_OPEN_CREATE);
    case TEMPORARY:
        return epio_open(op, vfs, path, EPIO_OPEN_TEMPORARY);
    case DELETE:
        return epio_delete(op, vfs, path, EPIO_DELETE_SYNC_DIR);
    case RENAME:
        return epio_rename(op, vfs, path, other, EPIO_RENAME_SYNC_DIR);
    case RENAME_TO:
        return epio_rename(op, vfs, other, path, EPIO_RENAME_NO_REPLACE);
    case ACCESS:
        return epio_access(op, vfs, path, EPIO_ACCESS_READWRITE);
    case STAT:
        memcpy(buffer, &info, sizeof info);
        return epio_stat(op, vfs, path, (epio_info *)(void *)buffer, 0);
    case MKDIR:
        return epio_mkdir(op, vfs, path, EPIO_MKDIR_PARENTS);
    case WATCH:
        return epio_watch(op, vfs, path, EPIO_WATCH_RECURSIVE);
    case WATCH_BY_COMPARING:
        return epio_watch(op, vfs, path, EPIO_WATCH_RECURSIVE | EPIO_WATCH_COMPARE);
    default:
        return epio_full_pathname(op, vfs, path, buffer, len);
    }
}

enum { BY_CANCEL, BY_FOREIGN_CANCEL, BY_DEADLINE, ENDINGS };

static void *cancel_in_thread(void *op)
{
    epio_cancel(op);
    return NULL;
}

/* The caller frees the names and the buffer, and closes the directory where they begin, if
 * `within`, at once: the hung thread uses its own copies. */
static void cancel_and_free(mount_fixture *s, int verb, epio_vfs *vfs, int ending, bool within)
{
    char in_directory[512];
    tracked one;
    epio_file *directory = NULL;
    if (within) {
        epio_op op = EPIO_OP_INIT;
        check_result(
            epio_wait(epio_open(&op, vfs, s->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)), 0);
        directory = op.file;
        vfs = epio_directory_vfs(directory);
    }
    bool watches = verb == WATCH || verb == WATCH_BY_COMPARING;
    const char *name = watches ? "./dead/." : "./dead/file";
    char *path = strdup(within ? name : path_in(s, name + 2, in_directory));
    char *other = strdup(within ? "./elsewhere" : path_in(s, "elsewhere", in_directory));
    char *buffer = malloc(4096);
    check(path != NULL && other != NULL && buffer != NULL);
    memset(buffer, 'b', 4096);
    mount_set(true);
    uint64_t timeout = ending == BY_DEADLINE ? 20 * MILLISECOND : 0;
    do { /* a worker may need longer to begin */
        (void)prepare(track(&one), verb, vfs, path, other, buffer, 4096);
        one.op.timeout_ns = timeout;
        timeout *= 2;
        epio_submit(&one.op);
    } while (!comes_to_hang(s, &one));
    if (ending == BY_CANCEL) {
        epio_cancel(&one.op);
    } else if (ending == BY_FOREIGN_CANCEL) {
        test_thread thread;
        thread_start(&thread, cancel_in_thread, &one.op);
        (void)thread_join(thread);
    }
    drain(s);
    check_result(one.calls, 1);
    check_result(one.result, ending == BY_DEADLINE ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
    check_bytes(buffer + sizeof(epio_info), 'b', 4096 - sizeof(epio_info));
    if (within) {
        epio_submit(epio_close(track(&one), directory));
        drain(s);
        check_result(one.result, 0);
    }
    memset(path, 'p', strlen(path));
    memset(other, 'o', strlen(other));
    free(path);
    free(other);
    free(buffer);
    memset(&one, 0x77, sizeof one);
}

static void cancelled_ops_return_in_child(void *directory)
{
    mount_fixture s;
    if (!mount_fixture_setup(&s, directory)) {
        return;
    }
    check_works_elsewhere(&s, s.os, 0);
    int descriptors = count_descriptors();
    for (int verb = 0; verb < VERBS; verb++) {
        for (int ending = 0; ending < ENDINGS; ending++) {
            for (int within = 0; within < 2; within++) {
                cancel_and_free(&s, verb, ending % 2 == 0 ? s.os : s.limit, ending, within != 0);
                mount_set(false);
            }
        }
    }
    /* A file or watch that the hung op opened was closed. */
    wait_until_released(INT32_MAX, descriptors);
    mount_fixture_teardown(&s);
}

static void cancelled_ops_return(fixture *f)
{
    check_result(run_in_fork(cancelled_ops_return_in_child, (void *)(uintptr_t)f->directory), 0);
}

/* The hung threads outlive the loop, and complete nothing. */
static void a_loop_is_destroyed_despite_hung_threads_in_child(void *directory)
{
    static tracked hung[VERBS];
    int threads = count_threads() + 1; /* that of the mount */
    char path[512];
    char other[512];
    _Alignas(epio_info) char buffer[4096];
    mount_fixture s;
    if (!mount_fixture_setup(&s, directory)) {
        return;
    }
    path_in(&s, "dead/file", path);
    path_in(&s, "elsewhere", other);
    mount_fixture_teardown(&s);
    int descriptors = count_descriptors();
    for (int closes_first = 0; closes_first < 2; closes_first++) {
        check_result(epio_loop_create(&s.loop, NULL), 0);
        mount_set(true);
        for (int verb = 0; verb < VERBS; verb++) {
            epio_submit(prepare(track(&hung[verb]), verb, epio_loop_vfs(s.loop), path, other,
                                buffer, sizeof buffer));
        }
        wait_until_held(&s, VERBS);
        if (closes_first) {
            check_result(epio_loop_close(s.loop, EPIO_FOREVER), 0);
        }
        epio_loop_destroy(s.loop);
        for (int verb = 0; verb < VERBS; verb++) {
            check_result(hung[verb].calls, 1);
            check_result(hung[verb].result, EPIO_ECANCELED);
        }
        memset(hung, 0x77, sizeof hung);
        check(fixture_is_watched() || count_threads() >= threads + VERBS);
        mount_set(false);
        wait_until_released(threads, descriptors);
    }
}

static void a_loop_is_destroyed_despite_hung_threads(fixture *f)
{
    check_result(run_in_fork(a_loop_is_destroyed_despite_hung_threads_in_child,
                             (void *)(uintptr_t)f->directory),
                 0);
}

/* EPIO_TEST_ROUNDS: how often; else a few times. */
static void nothing_leaks_in_many_rounds_in_child(void *directory)
{
    static tracked hung[20];
    const char *wanted = getenv("EPIO_TEST_ROUNDS");
    int rounds = wanted != NULL ? atoi(wanted) : 20;
    char path[512];
    mount_fixture s;
    if (!mount_fixture_setup(&s, directory)) {
        return;
    }
    path_in(&s, "dead/file", path);
    check_works_elsewhere(&s, s.os, 0);
    int descriptors = count_descriptors();
    int64_t memory = 0;
    for (int round = 0; round < rounds; round++) {
        mount_set(true);
        for (size_t i = 0; i < 20; i++) {
            epio_submit(epio_open(track(&hung[i]), s.limit, path, READ_WRITE | EPIO_OPEN_CREATE));
        }
        wait_until_held(&s, 20);
        for (size_t i = 0; i < 20; i++) {
            epio_cancel(&hung[i].op);
        }
        drain(&s);
        check_works_elsewhere(&s, s.os, 0);
        mount_set(false);
        wait_until_released(INT32_MAX, descriptors);
        memory = round == rounds / 2 ? system_peak_memory() : memory;
    }
    /* Sanitizers keep memory of ended threads: 14 MiB were seen. */
    check(system_peak_memory() < memory + ((fixture_is_slow() ? 64 : 8) << 20));
    mount_fixture_teardown(&s);
}

static void nothing_leaks_in_many_rounds(fixture *f)
{
    check_result(
        run_in_fork(nothing_leaks_in_many_rounds_in_child, (void *)(uintptr_t)f->directory), 0);
}

/* ---- Files of a hung mount ------------------------------------------------------------ */

#define HUNG_FLUSHES 12

/* More flushes than there are threads hang on one file system; those of another continue. */
static void flushes_elsewhere_continue_in_child(void *directory)
{
    static tracked syncs[HUNG_FLUSHES];
    static epio_file *dead[HUNG_FLUSHES];
    struct stat here;
    struct stat there;
    epio_op op = {0};
    mount_fixture s;
    if (stat(directory, &here) != 0 || stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev || !mount_fixture_setup(&s, directory)) {
        return;
    }
    mount_set_dead_device(there.st_dev);
    for (size_t i = 0; i < HUNG_FLUSHES; i++) {
        epio_vfs *vfs = i % 2 == 0 ? s.os : s.limit;
        check_result(epio_wait(epio_open(&op, vfs, "/dev/shm", EPIO_OPEN_TEMPORARY)), 0);
        dead[i] = op.file;
    }
    mount_set(true);
    for (size_t i = 0; i < HUNG_FLUSHES; i++) {
        epio_submit(epio_sync(track(&syncs[i]), dead[i], EPIO_SYNC_FULL));
    }
    for (int round = 0; round < 10; round++) {
        check_works_elsewhere(&s, round % 2 == 0 ? s.os : s.limit, round);
    }
    for (size_t i = 0; i < HUNG_FLUSHES; i++) {
        check_result(syncs[i].calls, 0);
        epio_cancel(&syncs[i].op); /* ends at once, as every sync */
        check_result(epio_wait(epio_current_time(&op, s.os)) > 0, 1);
        check_result(syncs[i].result, EPIO_ECANCELED);
    }
    mount_set(false);
    for (size_t i = 0; i < HUNG_FLUSHES; i++) {
        check_result(epio_wait(epio_close(&op, dead[i])), 0);
    }
    mount_fixture_teardown(&s);
}

static void flushes_elsewhere_continue(fixture *f)
{
    check_result(run_in_fork(flushes_elsewhere_continue_in_child, (void *)(uintptr_t)f->directory),
                 0);
}

#define WRITES_BEHIND 100

/* One file hangs, and more ops wait for it than a thread searches for another file's. */
static void writes_elsewhere_continue_in_child(void *directory)
{
    static tracked ops[1 + WRITES_BEHIND];
    struct stat here;
    struct stat there;
    epio_op op = {0};
    mount_fixture s;
    if (stat(directory, &here) != 0 || stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev || !mount_fixture_setup(&s, directory)) {
        return;
    }
    mount_set_dead_device(there.st_dev);
    check_result(epio_wait(epio_open(&op, s.limit, "/dev/shm", EPIO_OPEN_TEMPORARY)), 0);
    epio_file *dead = op.file;
    mount_set(true);
    epio_submit(epio_truncate(track(&ops[0]), dead, 1));
    wait_until_held(&s, 1);
    for (size_t i = 1; i <= WRITES_BEHIND; i++) {
        epio_submit(epio_write(track(&ops[i]), dead, "x", 1, i));
    }
    for (int round = 0; round < 10; round++) {
        check_works_elsewhere(&s, round % 2 == 0 ? s.os : s.limit, round);
    }
    check_result(ops[0].calls, 0);
    mount_set(false);
    drain(&s);
    check_result(ops[0].result, 0);
    for (size_t i = 1; i <= WRITES_BEHIND; i++) {
        check_result(ops[i].result, 1);
    }
    check_result(epio_wait(epio_close(&op, dead)), 0);
    mount_fixture_teardown(&s);
}

static void writes_elsewhere_continue(fixture *f)
{
    check_result(run_in_fork(writes_elsewhere_continue_in_child, (void *)(uintptr_t)f->directory),
                 0);
}

#define READS_BEHIND 20000

static uint64_t fastest_read(mount_fixture *s, epio_file *file)
{
    uint64_t quickest = UINT64_MAX;
    epio_op op = {0};
    char bytes[16];
    for (int i = 0; i < 50; i++) {
        (void)epio_loop_poll(s->loop, MILLISECOND, 0); /* other ops are queued, too */
        uint64_t started = system_monotonic_ns();
        epio_submit(epio_read(&op, file, bytes, sizeof bytes, 0));
        check(epio_wait(&op) > 0);
        uint64_t took = system_monotonic_ns() - started;
        quickest = took < quickest ? took : quickest;
    }
    return quickest;
}

/* So many reads wait for a hung file that a search through them takes longer than a read. */
static void reads_elsewhere_stay_fast_in_child(void *directory)
{
    static tracked hung[READS_BEHIND];
    static const char elsewhere[] = "/sys/devices/system/cpu/online";
    static char bytes[READS_BEHIND][8];
    struct stat here;
    struct stat there;
    epio_op op = {0};
    mount_fixture s;
    if (stat(elsewhere, &here) != 0 || stat("/proc/version", &there) != 0 ||
        here.st_dev == there.st_dev || !mount_fixture_setup(&s, directory)) {
        return;
    }
    mount_set_dead_device(there.st_dev);
    check_result(epio_wait(epio_open(&op, s.os, "/proc/version", EPIO_OPEN_READ)), 0);
    epio_file *dead = op.file;
    check_result(epio_wait(epio_open(&op, s.os, elsewhere, EPIO_OPEN_READ)), 0);
    epio_file *file = op.file;
    uint64_t alone = fastest_read(&s, file);
    mount_set(true);
    for (size_t i = 0; i < READS_BEHIND; i++) {
        epio_submit(epio_read(track(&hung[i]), dead, bytes[i], sizeof bytes[i], 0));
    }
    uint64_t queued = fastest_read(&s, file);
    check(fixture_is_slow() || queued < 50 * alone);
    for (size_t i = 1; i <= READS_BEHIND / 2; i++) {
        epio_cancel(&hung[READS_BEHIND - i].op);
    }
    while (epio_loop_pending(s.loop) != READS_BEHIND / 2) {
        (void)epio_loop_poll(s.loop, MILLISECOND, 0);
    }
    mount_set(false);
    drain(&s);
    for (size_t i = 0; i < READS_BEHIND; i++) {
        check_result(hung[i].result, i < READS_BEHIND / 2 ? 8 : EPIO_ECANCELED);
    }
    check_result(epio_wait(epio_close(&op, dead)), 0);
    check_result(epio_wait(epio_close(&op, file)), 0);
    mount_fixture_teardown(&s);
}

static void reads_elsewhere_stay_fast(fixture *f)
{
    check_result(run_in_fork(reads_elsewhere_stay_fast_in_child, (void *)(uintptr_t)f->directory),
                 0);
}

/* ---- No threads --------------------------------------------------------------------------- */

/* No thread can be started for the op; a moment later one can. */
static void get_a_thread_later(mount_fixture *s, epio_op *op)
{
    mount_set_no_threads(true);
    epio_submit(op);
    while (mount_refused() == 0) {
        (void)epio_loop_poll(s->loop, MILLISECOND, 0);
    }
    mount_set_no_threads(false);
    check(epio_loop_poll(s->loop, 5 * SECOND, 0) == 1);
}

/* The only thread of a lane hangs while an op elsewhere needs one. */
static void threads_become_available_again_in_child(void *directory)
{
    static tracked hung;
    static tracked healthy;
    struct stat here;
    struct stat there;
    char path[512];
    epio_op op = {0};
    mount_fixture s;
    if (stat(directory, &here) != 0 || stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev || !mount_fixture_setup(&s, directory)) {
        return;
    }
    /* An op on a path, */
    mount_set(true);
    epio_submit(epio_open(track(&hung), s.os, path_in(&s, "dead/file", path), EPIO_OPEN_READ));
    wait_until_held(&s, 1);
    get_a_thread_later(&s, epio_access(track(&healthy), s.os, directory, EPIO_ACCESS_EXISTS));
    check_result(healthy.result, 1);
    epio_cancel(&hung.op);
    drain(&s);
    mount_set(false);
    /* and a flush. */
    check_result(epio_wait(epio_open(&op, s.os, "/dev/shm", EPIO_OPEN_TEMPORARY)), 0);
    epio_file *dead = op.file;
    check_result(epio_wait(epio_open(&op, s.os, directory, EPIO_OPEN_TEMPORARY)), 0);
    epio_file *file = op.file;
    mount_set_dead_device(there.st_dev);
    mount_set(true);
    epio_submit(epio_sync(track(&hung), dead, EPIO_SYNC_FULL));
    wait_until_held(&s, 1);
    get_a_thread_later(&s, epio_sync(track(&healthy), file, EPIO_SYNC_FULL));
    check_result(healthy.result, 0);
    mount_set(false);
    drain(&s);
    check_result(epio_wait(epio_close(&op, dead)), 0);
    check_result(epio_wait(epio_close(&op, file)), 0);
    mount_fixture_teardown(&s);
}

static void threads_become_available_again(fixture *f)
{
    check_result(
        run_in_fork(threads_become_available_again_in_child, (void *)(uintptr_t)f->directory), 0);
}

/* ---- The owner reacts to other threads -------------------------------------------------- */

typedef struct intervention {
    mount_fixture *mount_fixture;
    epio_op *op;
    int kind;
} intervention;

enum { STOP, WAKE, CANCEL, INTERVENTIONS };

static void *intervene(void *argument)
{
    intervention *one = argument;
    while (mount_held() == 0) {
        thread_yield();
    }
    switch (one->kind) {
    case STOP:
        epio_loop_stop(one->mount_fixture->loop);
        break;
    case WAKE:
        epio_loop_wake(one->mount_fixture->loop);
        break;
    default:
        epio_cancel(one->op);
        break;
    }
    return NULL;
}

/* The first use of this loop by another thread; the loop has nothing else to do. */
static void the_owner_stays_responsive_in_child(void *directory)
{
    char path[512];
    mount_fixture s;
    for (int kind = 0; kind < INTERVENTIONS; kind++) {
        tracked one;
        test_thread thread;
        if (kind == 0 && !mount_fixture_setup(&s, directory)) {
            return;
        }
        epio_loop *loop = NULL;
        check_result(epio_loop_create(&loop, NULL), 0);
        mount_fixture other = s;
        other.loop = loop;
        intervention what = {&other, &one.op, kind};
        mount_set(true);
        epio_submit(epio_open(track(&one), epio_loop_vfs(loop), path_in(&s, "dead/file", path),
                              EPIO_OPEN_READ));
        thread_start(&thread, intervene, &what);
        if (kind == WAKE) {
            check_result(epio_loop_poll(loop, EPIO_FOREVER, 0), 0);
        } else {
            (void)epio_loop_run(loop);
        }
        (void)thread_join(thread);
        check_result(one.calls, kind == CANCEL ? 1 : 0);
        check(mount_held() == 1);
        epio_loop_destroy(loop);
        check_result(one.calls, 1);
        mount_set(false);
    }
    mount_fixture_teardown(&s);
}

static void the_owner_stays_responsive(fixture *f)
{
    check_result(run_in_fork(the_owner_stays_responsive_in_child, (void *)(uintptr_t)f->directory),
                 0);
}

static void *submit_and_continue(void *argument)
{
    const mount_fixture *s = argument;
    epio_op op = {0};
    while (mount_held() == 0) {
        thread_yield();
    }
    check_result(epio_wait(epio_sleep(&op, s->os, 0)) >= 0, 1); /* a running loop is notified */
    mount_set(false);
    return NULL;
}

/* epio_wait for a read of a file that is not local. */
static void the_owner_never_blocks_in_a_read_in_child(void *directory)
{
    char bytes[16];
    struct stat status;
    mount_fixture s;
    if (stat("/proc/version", &status) != 0 || !mount_fixture_setup(&s, directory)) {
        return;
    }
    mount_set_dead_device(status.st_dev);
    for (int layers = 0; layers < 2; layers++) {
        test_thread thread;
        epio_op op = {0};
        mount_fixture fresh = s; /* a loop that no other thread has used */
        epio_vfs *trace = NULL;
        check_result(epio_loop_create(&fresh.loop, NULL), 0);
        fresh.os = epio_loop_vfs(fresh.loop);
        check_result(epio_trace_vfs_create(&trace, fresh.os), 0);
        epio_vfs *vfs = layers != 0 ? trace : fresh.os;
        check_result(epio_wait(epio_open(&op, vfs, "/proc/version", EPIO_OPEN_READ)), 0);
        epio_file *file = op.file;
        for (int again = 0; again < 2; again++) { /* the second takes the fast path */
            check(epio_wait(epio_read(&op, file, bytes, sizeof bytes, 0)) > 0);
        }
        mount_set(true);
        thread_start(&thread, submit_and_continue, &fresh);
        check(epio_wait(epio_read(&op, file, bytes, sizeof bytes, 0)) > 0);
        (void)thread_join(thread);
        check_result(epio_wait(epio_close(&op, file)), 0);
        epio_vfs_destroy(trace);
        epio_loop_destroy(fresh.loop);
    }
    mount_fixture_teardown(&s);
}

static void the_owner_never_blocks_in_a_read(fixture *f)
{
    check_result(
        run_in_fork(the_owner_never_blocks_in_a_read_in_child, (void *)(uintptr_t)f->directory), 0);
}

/* By epio_wait, with nothing else in flight. */
static void a_deadline_is_kept_in_child(void *directory)
{
    char path[512];
    char other[512];
    _Alignas(epio_info) char buffer[4096];
    mount_fixture s;
    if (!mount_fixture_setup(&s, directory)) {
        return;
    }
    path_in(&s, "dead/file", path);
    path_in(&s, "elsewhere", other);
    for (int verb = 0; verb < VERBS; verb++) {
        epio_op op = {0};
        mount_set(true);
        op.timeout_ns = 5 * MILLISECOND;
        (void)prepare(&op, verb, s.os, path, other, buffer, sizeof buffer);
        check_result(epio_wait(&op), EPIO_ETIMEDOUT);
        mount_set(false);
    }
    mount_fixture_teardown(&s);
}

static void a_deadline_is_kept(fixture *f)
{
    check_result(run_in_fork(a_deadline_is_kept_in_child, (void *)(uintptr_t)f->directory), 0);
}

/* A hung open may have left a file open, which is no error; a file that the caller did not close is
 * one. */
static void an_unclosed_file_aborts_in_child(void *directory)
{
    char path[512];
    mount_fixture s;
    if (!mount_fixture_setup(&s, directory)) {
        abort();
    }
    path_in(&s, "dead/file", path);
    epio_op op = {0};
    check_result(epio_wait(epio_open(&op, s.os, directory, EPIO_OPEN_TEMPORARY)), 0);
    mount_set(true);
    for (int i = 0; i < 3; i++) {
        op.timeout_ns = 5 * MILLISECOND;
        check_result(epio_wait(epio_access(&op, s.os, path, EPIO_ACCESS_EXISTS)), EPIO_ETIMEDOUT);
    }
    epio_loop_destroy(s.loop);
}

static void an_unclosed_file_aborts(fixture *f)
{
    check_result(run_in_fork(an_unclosed_file_aborts_in_child, (void *)(uintptr_t)f->directory),
                 256 + SIGABRT);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(others_continue, ON_OS_PERFORM),
        FIXTURE_TEST(cancelled_ops_return, ON_OS_PERFORM),
        FIXTURE_TEST(a_loop_is_destroyed_despite_hung_threads, ON_OS_PERFORM),
        FIXTURE_TEST(nothing_leaks_in_many_rounds, ON_OS_PERFORM),
        FIXTURE_TEST(flushes_elsewhere_continue, ON_OS_PERFORM),
        FIXTURE_TEST(writes_elsewhere_continue, ON_OS_PERFORM),
        FIXTURE_TEST(reads_elsewhere_stay_fast, ON_OS_PERFORM),
        FIXTURE_TEST(threads_become_available_again, ON_OS_PERFORM),
        FIXTURE_TEST(the_owner_stays_responsive, ON_OS_PERFORM),
        FIXTURE_TEST(the_owner_never_blocks_in_a_read, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_is_kept, ON_OS_PERFORM),
        FIXTURE_TEST(an_unclosed_file_aborts, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("dead mount", tests);
}

#else

int main(void)
{
    return 77; /* the kernel's headers know no such filters */
}

#endif
