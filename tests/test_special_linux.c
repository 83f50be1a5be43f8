/* Descriptors of Linux that are no files, and files that are none: counters, timers, signals,
 * watches, and files of /proc that refuse writes at a position. All are streams. And files that are
 * only in memory. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* Starts a read that has to wait, except where ops are performed, and ends it by `happen`. */
static void read_when(fixture *f, epio_op *op, void (*happen)(int descriptor), int descriptor)
{
#if EPIO_ASYNC
    if (!f->performs) {
        epio_submit(op);
        (void)epio_loop_poll(f->loop, 1000000, 0);
        check(epio_op_pending(op));
        happen(descriptor);
        (void)epio_wait(op);
        return;
    }
#endif
    (void)f;
    happen(descriptor);
    (void)epio_perform(op);
}

static void add_five(int descriptor)
{
    uint64_t five = 5;
    check(write(descriptor, &five, sizeof five) == sizeof five);
}

static void a_counter(fixture *f)
{
    static const int modes[] = {0, EFD_NONBLOCK};
    for (size_t i = 0; i < 2; i++) {
        uint64_t value = 0;
        uint64_t seven = 7;
        epio_op op = {0};
        int descriptor = eventfd(0, EFD_CLOEXEC | modes[i]);
        epio_file *file = fixture_adopt(f, descriptor, 0);
        read_when(f, epio_read(&op, file, &value, sizeof value, 0), add_five, descriptor);
        check_result(op.result, sizeof value);
        check(value == 5);
        check_op(f, epio_write(&op, file, &seven, sizeof seven, 0), sizeof seven);
        epio_iovec halves[2] = {{&seven, 4}, {(char *)&seven + 4, 4}};
        check_op(f, epio_writev(&op, file, halves, 2, 0), sizeof seven);
        halves[0].base = &value;
        halves[1].base = (char *)&value + 4;
        check_op(f, epio_readv(&op, file, halves, 2, 0), sizeof value);
        check(value == 14);
        check_op_fails(f, epio_write(&op, file, &seven, 4, 0), EPIO_EINVAL, EINVAL);
        check_op(f, epio_size(&op, file), EPIO_ESPIPE);
        op.timeout_ns = 1000000;
        check_op(f, epio_read(&op, file, &value, sizeof value, 0), EPIO_ETIMEDOUT);
        fixture_close(f, file);
    }
}

static void start_timer(int descriptor)
{
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    check(timerfd_settime(descriptor, 0, &soon, NULL) == 0);
}

static void a_timer(fixture *f)
{
    uint64_t count = 0;
    epio_op op = {0};
    int descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    epio_file *file = fixture_adopt(f, descriptor, 0);
    read_when(f, epio_read(&op, file, &count, sizeof count, 0), start_timer, descriptor);
    check_result(op.result, sizeof count);
    check(count == 1);
    fixture_close(f, file);
}

static void raise_signal(int descriptor)
{
    (void)descriptor;
    check(pthread_kill(pthread_self(), SIGUSR1) == 0);
}

static void a_signal(fixture *f)
{
    struct signalfd_siginfo signal_info;
    sigset_t set, before;
    epio_op op = {0};
    check(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0);
    check(pthread_sigmask(SIG_BLOCK, &set, &before) == 0);
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    epio_file *file = fixture_adopt(f, descriptor, 0);
    read_when(f, epio_read(&op, file, &signal_info, sizeof signal_info, 0), raise_signal,
              descriptor);
    check_result(op.result, sizeof signal_info);
    check(signal_info.ssi_signo == SIGUSR1);
    fixture_close(f, file);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

static const char *watched_directory;

static void make_file(int descriptor)
{
    char path[700];
    (void)descriptor;
    (void)snprintf(path, sizeof path, "%s/new", watched_directory);
    file_make(path);
}

static void a_watch(fixture *f)
{
    static _Alignas(struct inotify_event) char events[4096];
    epio_op op = {0};
    int descriptor = inotify_init1(IN_CLOEXEC);
    check(inotify_add_watch(descriptor, f->directory, IN_CREATE) >= 0);
    watched_directory = f->directory;
    epio_file *file = fixture_adopt(f, descriptor, 0);
    epio_iovec parts[2] = {{events, 4}, {events + 4, sizeof events - 4}};
    read_when(f, epio_readv(&op, file, parts, 2, 0), make_file, descriptor);
    check(op.result >= (int64_t)sizeof(struct inotify_event));
    const struct inotify_event *event = (const struct inotify_event *)(const void *)events;
    check((event->mask & IN_CREATE) != 0 && strcmp(event->name, "new") == 0);
    fixture_close(f, file);
}

static epio_file *open_special(fixture *f, const char *path, uint32_t flags)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, path, flags), 0);
    return op.file;
}

static void the_name_of_a_thread(fixture *f)
{
    char before[32] = "";
    char name[32] = "";
    char path[64];
    epio_op op = {0};
    (void)prctl(PR_GET_NAME, before);
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)gettid());
    static const uint32_t flags[] = {READ_WRITE, EPIO_OPEN_WRITE};
    for (size_t i = 0; i < 2; i++) {
        epio_file *file = open_special(f, path, flags[i]);
        check_op(f, epio_write(&op, file, "one", 3, 0), 3);
        (void)prctl(PR_GET_NAME, name);
        check(strcmp(name, "one") == 0);
        epio_iovec parts[3] = {{"tw", 2}, {"", 0}, {"o", 1}};
        check_op(f, epio_writev(&op, file, parts, 3, 0), 3);
        (void)prctl(PR_GET_NAME, name);
        check(strcmp(name, "two") == 0);
        for (int again = 0; i == 0 && again < 2; again++) { /* reads have positions */
            memset(name, 0, sizeof name);
            check_op(f, epio_read(&op, file, name, sizeof name, 0), 4);
            check(memcmp(name, "two\n", 4) == 0);
            check_op(f, epio_read(&op, file, name, sizeof name, 1), 3);
        }
        fixture_close(f, file);
    }
    check(prctl(PR_SET_NAME, before) == 0);
}

static void the_slack_of_timers(fixture *f)
{
    char text[32] = "";
    epio_op op = {0};
    int before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/timerslack_ns", (int)gettid());
    epio_file *file = open_special(f, path, READ_WRITE);
    check_op(f, epio_write(&op, file, "60000", 5, 0), 5);
    check(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 60000);
    epio_iovec parts[2] = {{"700", 3}, {"00", 2}};
    check_op(f, epio_writev(&op, file, parts, 2, 0), 5);
    check(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 70000);
    check_op(f, epio_read(&op, file, text, sizeof text, 0), 6);
    check(memcmp(text, "70000\n", 6) == 0);
    fixture_close(f, file);
    check(prctl(PR_SET_TIMERSLACK, before, 0, 0, 0) == 0);
}

/* An empty file of any file system is a file. */
static void files_are_no_streams(fixture *f)
{
    char data[16];
    epio_op op = {0};
    static const char *const names[] = {"/proc/self/status", "/proc/self/oom_score_adj"};
    epio_file *file = fixture_create(f, "empty");
    check_op(f, epio_size(&op, file), 0);
    check_op(f, epio_write(&op, file, "abc", 3, 5), 3);
    check_op(f, epio_size(&op, file), 8);
    fixture_close(f, file);
    for (size_t i = 0; i < 2; i++) {
        file = open_special(f, names[i], EPIO_OPEN_READ);
        check_op(f, epio_size(&op, file), 0);
        check(fixture_result(f, epio_read(&op, file, data, 2, 0)) == 2);
        check(fixture_result(f, epio_read(&op, file, data, 1, 1)) == 1);
        fixture_close(f, file);
    }
}

#if EPIO_ASYNC

static uint64_t by_worker(fixture *f)
{
    epio_loop_stats statistics = {.size = sizeof statistics};
    check_result(epio_loop_get_stats(f->loop, &statistics), 0);
    return statistics.by_workers;
}

static void check_reads_at_once(fixture *f, epio_file *file)
{
    static _Alignas(4096) unsigned char data[16][4096];
    epio_op ops[16];
    epio_iovec parts[2] = {{data[0], 4096}, {data[1], 4096}};
    memset(ops, 0, sizeof ops);
    uint64_t before = by_worker(f);
    for (int round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 16; i++) {
            memset(data[i], 0, 4096);
            epio_submit(epio_read(&ops[i], file, data[i], 4096, i % 4 * UINT64_C(4096)));
        }
        for (unsigned i = 0; i < 16; i++) {
            check_result(epio_wait(&ops[i]), 4096);
            check_bytes(data[i], (unsigned char)(i % 4 + 1), 4096);
        }
        check_result(epio_wait(epio_readv(&ops[0], file, parts, 2, 3 * 4096)), 4096);
        check_result(epio_wait(epio_read(&ops[0], file, data[0], 4096, 4 * 4096)), 0);
    }
    check(by_worker(f) == before);
}

/* No wait is needed. */
static void reads_of_files_in_memory_are_done_at_once(fixture *f)
{
    static _Alignas(4096) unsigned char data[4][4096];
    static const uint32_t flags[] = {0, EPIO_OPEN_DIRECT};
    struct statfs status;
    epio_op op = {0};
    if (statfs("/dev/shm", &status) != 0 || status.f_type != 0x01021994) {
        fixture_skip(f, "/dev/shm is no tmpfs here");
    }
    for (int i = 0; i < 4; i++) {
        memset(data[i], i + 1, 4096);
    }
    for (size_t i = 0; i < 2; i++) {
        int64_t opened = fixture_result(
            f, epio_open(&op, f->vfs, "/dev/shm", READ_WRITE | EPIO_OPEN_TEMPORARY | flags[i]));
        if (i == 1 && opened == EPIO_EINVAL) {
            break; /* not on every kernel */
        }
        check_result(opened, 0);
        epio_file *file = op.file;
        check_op(f, epio_write(&op, file, data, sizeof data, 0), sizeof data);
        check_reads_at_once(f, file);
        fixture_close(f, file);
    }
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_counter, ON_ANY_OS),
        FIXTURE_TEST(a_timer, ON_ANY_OS),
        FIXTURE_TEST(a_signal, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(a_watch, ON_ANY_OS),
        FIXTURE_TEST(the_name_of_a_thread, ON_ANY_OS),
        FIXTURE_TEST(the_slack_of_timers, ON_ANY_OS),
        FIXTURE_TEST(files_are_no_streams, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(reads_of_files_in_memory_are_done_at_once,
                     ON_OS | ON_LIMIT_OS_3 | ON_TRACE_OS),
#endif
    };
    return FIXTURE_RUN("special files, Linux", tests);
}
