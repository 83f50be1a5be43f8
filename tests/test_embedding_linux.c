/* Nothing wakes while nothing happens: only Linux's /proc counts the wake-ups of a thread; and what
 * workers have for a nice value. The rest is in test_embedding.c. */
#include "support.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SILENCE_MS 30

static int handle_of(fixture *f)
{
    intptr_t handle = epio_loop_handle(f->loop);
    check(handle >= 0);
    check(epio_loop_handle(f->loop) == handle);
    return (int)handle;
}

static bool readable_within(int handle, int milliseconds)
{
    struct pollfd set = {.fd = handle, .events = POLLIN};
    return poll(&set, 1, milliseconds) == 1;
}

/* The handle may still be readable for the last ops; then it must stay quiet. */
static void check_quiet(fixture *f, int handle)
{
    while (readable_within(handle, SILENCE_MS)) {
        static int spurious;
        check_result(epio_loop_poll(f->loop, 0, 0), 0);
        check(++spurious < 10000);
    }
    check(!readable_within(handle, SILENCE_MS));
}

#define MAX_TASKS 256

typedef struct task_list {
    int ids[MAX_TASKS];
    size_t count;
} task_list;

static void *end_at_once(void *argument)
{
    return argument;
}

/* A sanitizer starts a thread of its own beside the program's first. */
static void start_all_threads(void)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, end_at_once, NULL) == 0);
    check(pthread_join(thread, NULL) == 0);
}

static void list_tasks(task_list *tasks)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    tasks->count = 0;
    check(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && tasks->count < MAX_TASKS) {
            tasks->ids[tasks->count++] = atoi(entry->d_name);
        }
    }
    (void)closedir(directory);
}

static bool is_in(const task_list *tasks, int id)
{
    for (size_t i = 0; i < tasks->count; i++) {
        if (tasks->ids[i] == id) {
            return true;
        }
    }
    return false;
}

static uint64_t switches_of(int id)
{
    char path[64], line[256];
    unsigned long long voluntary = 0, others = 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
    FILE *status = fopen(path, "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        (void)sscanf(line, "voluntary_ctxt_switches: %llu", &voluntary);
        (void)sscanf(line, "nonvoluntary_ctxt_switches: %llu", &others);
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return voluntary + others;
}

/* Of the threads that the loop has started. */
static uint64_t switches(const task_list *before, size_t *threads)
{
    task_list now;
    uint64_t count = 0;
    list_tasks(&now);
    *threads = 0;
    for (size_t i = 0; i < now.count; i++) {
        if (!is_in(before, now.ids[i])) {
            count += switches_of(now.ids[i]);
            (*threads)++;
        }
    }
    return count;
}

static atomic_int ready_calls;

static void count_ready(void *user)
{
    (void)user;
    (void)atomic_fetch_add(&ready_calls, 1);
}

/* Idle workers leave after two seconds; then only the helper thread of the embedding may be
 * left. */
static void wait_for_workers_to_leave(const task_list *before)
{
    size_t threads = 2;
    for (int i = 0; i < 100 && threads > 1; i++) {
        sleep_ns(100 * MILLISECOND);
        (void)switches(before, &threads);
    }
    check(threads <= 1);
}

static void nothing_wakes_while_idle(fixture *f)
{
    task_list before;
    size_t threads;
    int ends[2];
    epio_op op = {0}, waiting = {0};
    char byte;
    start_all_threads();
    list_tasks(&before);
    fixture_put(f, "data", "x", 1);
    epio_file *file = fixture_open(f, "data", EPIO_OPEN_READ | EPIO_OPEN_WRITE);
    fixture_write(f, file, "y", 1, 0);
    check_op(f, epio_sync(&op, file, 0), 0);
    check(pipe(ends) == 0);
    check_op(f, epio_adopt(&op, f->vfs, ends[0], 0), 0);
    epio_file *reader = op.file;
    epio_submit(epio_read(&waiting, reader, &byte, 1, 0));
    int handle = handle_of(f);
    check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
    (void)epio_loop_poll(f->loop, 0, 0);
    wait_for_workers_to_leave(&before);
    check_quiet(f, handle);
    int calls = atomic_load(&ready_calls);
    uint64_t count = switches(&before, &threads);
    check(!readable_within(handle, 300));
    check(switches(&before, &threads) == count);
    check(atomic_load(&ready_calls) == calls);
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    fixture_close(f, reader);
    check_result(waiting.result, EPIO_ECANCELED);
    (void)close(ends[1]);
    fixture_close(f, file);
}

/* A loop that sleeps without a host does not wake either. */
static void *poll_until_woken(void *argument)
{
    fixture *f = argument;
    require(epio_loop_poll(f->loop, 3600000 * MILLISECOND, 0) == 0);
    epio_loop_detach(f->loop);
    return NULL;
}

/* A thread that waits for a processor comes to its sleep late. */
static uint64_t switches_once_asleep(const task_list *before, size_t *threads)
{
    uint64_t earlier, count = 0;
    int unchanged = 0;
    for (int i = 0; i < 200 && unchanged < 5; i++) {
        earlier = count;
        sleep_ns(20 * MILLISECOND);
        count = switches(before, threads);
        unchanged = count == earlier && count > 0 ? unchanged + 1 : 0;
    }
    return count;
}

static void nothing_wakes_while_it_sleeps(fixture *f)
{
    task_list before;
    size_t threads;
    pthread_t thread;
    epio_op op = {0};
    list_tasks(&before);
    epio_submit(epio_sleep(&op, f->vfs, 3600000 * MILLISECOND));
    epio_loop_detach(f->loop);
    check(pthread_create(&thread, NULL, poll_until_woken, f) == 0);
    uint64_t count = switches_once_asleep(&before, &threads);
    sleep_ns(200 * MILLISECOND);
    check(threads == 1);
    check(switches(&before, &threads) == count);
    epio_loop_wake(f->loop);
    check(pthread_join(thread, NULL) == 0);
    epio_cancel(&op);
    check_result(epio_loop_poll(f->loop, 0, 0), 1);
}

/* ---- Many open files -------------------------------------------------------- */

#define OPEN_FILES 100
#define LONG_SILENCE (2500 * MILLISECOND)

typedef struct wakeup_watch {
    epio_loop *loop;
    task_list tasks; /* without the watching thread */
    clockid_t sleeper;
    uint64_t switches;
    uint64_t switches_after;
    uint64_t sleeper_ns; /* processor time in the quiet period */
    uint64_t process_ns;
    uint64_t watch_ns; /* processor time of the watching thread, and a margin */
    size_t tasks_after;
} wakeup_watch;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    require(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A sanitizer's own thread is not counted. */
static uint64_t switches_of_all(const task_list *tasks)
{
    uint64_t count = 0;
    if (fixture_is_watched()) {
        return switches_of((int)getpid()); /* the main thread, which sleeps in the loop */
    }
    for (size_t i = 0; i < tasks->count; i++) {
        count += switches_of(tasks->ids[i]);
    }
    return count;
}

/* The main thread may still have work before it sleeps. */
static void wait_until_all_sleep(const wakeup_watch *watch)
{
    uint64_t count = 0, before = 1;
    for (int i = 0; i < 20 && count != before; i++) {
        before = count;
        sleep_ns(50 * MILLISECOND);
        count = switches_of_all(&watch->tasks);
    }
}

static void *watch_silence(void *argument)
{
    wakeup_watch *watch = argument;
    task_list now;
    wait_until_all_sleep(watch);
    watch->switches = switches_of_all(&watch->tasks);
    uint64_t sleeper = clock_ns(watch->sleeper);
    uint64_t self = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t process = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    sleep_ns(LONG_SILENCE);
    watch->process_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - process;
    watch->watch_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - self;
    watch->sleeper_ns = clock_ns(watch->sleeper) - sleeper;
    watch->switches_after = switches_of_all(&watch->tasks);
    list_tasks(&now);
    watch->tasks_after = now.count;
    epio_loop_wake(watch->loop);
    return NULL;
}

static uint64_t worker_threads(const epio_loop *loop)
{
    epio_loop_stats now = {.size = sizeof now};
    check_result(epio_loop_get_stats(loop, &now), 0);
    return now.threads_now;
}

static int64_t nothing(epio_op *op)
{
    (void)op;
    return 0;
}

/* Uses every route once. */
static void use_files(fixture *f, epio_file **files)
{
    static epio_op ops[OPEN_FILES];
    static char bytes[OPEN_FILES];
    epio_op op = {0};
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < OPEN_FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "file %d", i);
        fixture_put(f, name, "x", 1);
        files[i] = fixture_open(f, name, EPIO_OPEN_READ | EPIO_OPEN_WRITE);
        epio_submit(epio_write(&ops[i], files[i], "y", 1, 0));
    }
    (void)epio_loop_run(f->loop);
    check_op(f, epio_sync(&op, files[0], EPIO_SYNC_FULL), 0);
    handle_drop_cache(epio_file_os_handle(files[0]));
    for (int i = 0; i < OPEN_FILES; i++) {
        epio_submit(epio_read(&ops[i], files[i], &bytes[i], 1, 0));
    }
    (void)epio_loop_run(f->loop);
    check_bytes(bytes, 'y', sizeof bytes);
    check_op(f, epio_work(&op, f->vfs, nothing), 0);
}

/* Nothing wakes any thread of the process while the loop sleeps. */
static void check_silence(fixture *f)
{
    pthread_t thread;
    static wakeup_watch watch;
    for (int i = 0; i < 100 && worker_threads(f->loop) > 0; i++) {
        (void)epio_loop_poll(f->loop, 100 * MILLISECOND, 0);
    }
    check(worker_threads(f->loop) == 0);
    sleep_ns(20 * MILLISECOND); /* until ended threads are gone */
    memset(&watch, 0, sizeof watch);
    watch.loop = f->loop;
    list_tasks(&watch.tasks);
    check(pthread_getcpuclockid(pthread_self(), &watch.sleeper) == 0);
    check(pthread_create(&thread, NULL, watch_silence, &watch) == 0);
    check_result(epio_loop_poll(f->loop, 60000 * MILLISECOND, 0), 0);
    check(pthread_join(thread, NULL) == 0);
    check(watch.tasks_after == watch.tasks.count + 1);
    check(watch.switches_after == watch.switches);
    check(watch.sleeper_ns == 0);
    if (!fixture_is_watched()) {
        check(watch.process_ns <= watch.watch_ns); /* the others took none */
    }
}

static void nothing_wakes_with_many_files_open(fixture *f)
{
    epio_file *files[OPEN_FILES];
    start_all_threads();
    use_files(f, files);
    check(worker_threads(f->loop) > 0);
    check_silence(f);
    for (int i = 0; i < OPEN_FILES; i++) {
        fixture_close(f, files[i]);
    }
}

/* Each with an op that waits for its events. */
static void nothing_wakes_with_many_watches_open(fixture *f)
{
    enum { MOST = 10000 };
    static epio_file *watches[MOST];
    static epio_op ops[MOST];
    int count = fixture_is_slow() ? MOST / 10 : MOST;
    static uint64_t buffer[64]; /* of all, as no event comes */
    epio_op op = {0};
    memset(ops, 0, sizeof ops);
    start_all_threads();
    for (int i = 0; i < count; i++) {
        int64_t result =
            fixture_result(f, epio_watch(&op, f->vfs, f->directory, EPIO_WATCH_RECURSIVE));
        if (result == EPIO_WATCH_COMPARES) {
            fixture_close(f, op.file);
            fixture_skip(f, "a comparison looks once a second");
        }
        check_result(result, 0);
        watches[i] = op.file;
        epio_submit(epio_read_events(&ops[i], watches[i], buffer, sizeof buffer));
    }
    check_silence(f);
    for (int i = 0; i < count; i++) {
        fixture_close(f, watches[i]);
        check_result(ops[i].result, EPIO_ECANCELED);
    }
}

/* ---- Priorities ------------------------------------------------------------- */

static int64_t own_nice(epio_op *op)
{
    (void)op;
    return getpriority(PRIO_PROCESS, 0) + 100; /* of the calling thread; at least -20 */
}

static void workers_give_way(fixture *f)
{
    epio_loop_options options = {.size = sizeof options, .worker_nice = 7};
    epio_loop *loop;
    epio_op op = {0};
    int64_t own = own_nice(NULL);
    int64_t expected = own + 7 < 119 ? own + 7 : 119;
    check_result(epio_loop_create(&loop, &options), 0);
    check_result(epio_wait(epio_work(&op, epio_loop_vfs(loop), own_nice)), expected);
    epio_loop_destroy(loop);
    check_result(own_nice(NULL), own);
    check_op(f, epio_work(&op, f->vfs, own_nice), own);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(workers_give_way, ON_OS),
        FIXTURE_TEST(nothing_wakes_while_idle, ON_OS),
        FIXTURE_TEST(nothing_wakes_while_it_sleeps, ON_OS),
        FIXTURE_TEST(nothing_wakes_with_many_files_open, ON_OS),
        FIXTURE_TEST(nothing_wakes_with_many_watches_open, ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("embedding, Linux", tests);
}
