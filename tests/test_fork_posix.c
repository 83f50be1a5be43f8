/* A process that forks while it has a loop: its child may perform on the inherited files, close
 * them and destroy the loop; any other use of the loop aborts the child with a message; and the
 * parent's operations are unaffected. EPIO_TEST_RANGE_LOCKS */
#include "fork.h"
#include "op_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* ThreadSanitizer does not support threads in a child of a parent with threads. */
#if defined(__SANITIZE_THREAD__)
#define CHILD_MAY_START_THREADS false
#else
#define CHILD_MAY_START_THREADS true
#endif

/* ---- A parent with ops in flight ------------------------------------------- */

/* Ops of each kind that can be in flight; none ends by itself soon. */
typedef struct fork_fixture {
    fixture *f;
    epio_file *file;
    epio_file *stream;
    intptr_t ends[2]; /* the other end of the stream is the second */
    intptr_t gate[2]; /* a pipe that the worker reads */
    tracked reading;
    tracked sleeping;
    tracked working;
    tracked linked;
    tracked acquiring;
    epio_semaphore *semaphore;
    char *buffer; /* of the loop's pool; NULL: none */
    char byte;
} fork_fixture;

static int64_t wait_at_gate(epio_op *op)
{
    const tracked *one = op->user;
    const fork_fixture *all = one->user;
    char byte;
    return pipe_read(all->gate[0], &byte, 1);
}

static void fork_fixture_setup(fork_fixture *all, fixture *f)
{
    epio_op op = {0};
    memset(all, 0, sizeof *all);
    all->f = f;
    all->file = fixture_create(f, "file");
    fixture_write(f, all->file, "0123456789", 10, 0);
    pipe_make(all->ends);
    pipe_make(all->gate);
    check_result(epio_wait(epio_adopt(&op, epio_loop_vfs(f->loop), all->ends[0], 0)), 0);
    all->stream = op.file;
    epio_submit(epio_read(track(&all->reading), all->stream, &all->byte, 1, 0));
    epio_submit(epio_sleep(track(&all->sleeping), epio_loop_vfs(f->loop), HOUR));
    (void)epio_work(track(&all->working), epio_loop_vfs(f->loop), wait_at_gate);
    (void)epio_size(track(&all->linked), all->file);
    all->working.user = all;
    epio_submit(epio_link(&all->working.op, &all->linked.op, 0));
    check_result(epio_semaphore_create(&all->semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(all->semaphore, 1), 0);
    epio_submit(epio_acquire(track(&all->acquiring), f->vfs, all->semaphore, 1));
    (void)epio_loop_poll(f->loop, 0, 0); /* now each waits */
    check(epio_loop_pending(f->loop) == 5);
}

static void wait_for(fork_fixture *all, const tracked *one)
{
    while (one->calls == 0) {
        (void)epio_loop_poll(all->f->loop, EPIO_FOREVER, 0);
    }
}

/* All ops continue as if there had been no child. */
static void check_parent_continues(fork_fixture *all)
{
    check(epio_loop_pending(all->f->loop) == 5);
    check_result(pipe_write(all->ends[1], "x", 1), 1);
    wait_for(all, &all->reading);
    check_result(all->reading.result, 1);
    check(all->byte == 'x');
    check_result(pipe_write(all->gate[1], "x", 1), 1);
    wait_for(all, &all->linked);
    check_result(all->working.result, 1);
    check_result(all->linked.result, 10);
    epio_semaphore_release(all->semaphore, 1);
    wait_for(all, &all->acquiring);
    check_result(all->acquiring.result, 0);
    epio_cancel(&all->sleeping.op);
    wait_for(all, &all->sleeping);
    check_result(all->sleeping.result, EPIO_ECANCELED);
    fixture_works(all->f);
}

static void fork_fixture_teardown(fork_fixture *all)
{
    epio_op op = {0};
    check_result(epio_wait(epio_close(&op, all->stream)), 0);
    check(handle_close(all->ends[1]) && handle_close(all->gate[0]) && handle_close(all->gate[1]));
    fixture_close(all->f, all->file);
    epio_semaphore_release(all->semaphore, 1);
    epio_semaphore_destroy(all->semaphore);
}

/* ---- Children that abort --------------------------------------------------- */

typedef struct misuse {
    const char *function; /* named in the message */
    void (*make)(fork_fixture *all);
} misuse;

static void ignore(void *user)
{
    (void)user;
}

static void submit_sleep(fork_fixture *all)
{
    epio_op op = {0};
    epio_submit(epio_sleep(&op, all->f->vfs, 1));
}

static void submit_read(fork_fixture *all)
{
    epio_op op = {0};
    char byte;
    check_result(epio_perform(epio_read(&op, all->file, &byte, 1, 0)), 1);
    epio_submit(
        epio_read(&op, all->file, &byte, 1, 0)); /* in the parent this takes the fast path */
}

static void wait_for_read(fork_fixture *all)
{
    epio_op op = {0};
    char byte;
    check_result(epio_perform(epio_read(&op, all->file, &byte, 1, 0)), 1);
    (void)epio_wait(epio_read(&op, all->file, &byte, 1, 0));
}

static void wait_in_flight(fork_fixture *all)
{
    all->sleeping.op.done = NULL;
    (void)epio_wait(&all->sleeping.op);
}

static void cancel(fork_fixture *all)
{
    epio_cancel(&all->sleeping.op);
}

static void run(fork_fixture *all)
{
    (void)epio_loop_run(all->f->loop);
}

static void poll_loop(fork_fixture *all)
{
    (void)epio_loop_poll(all->f->loop, 0, 0);
}

static void get_handle(fork_fixture *all)
{
    (void)epio_loop_handle(all->f->loop);
}

static void on_ready(fork_fixture *all)
{
    (void)epio_loop_on_ready(all->f->loop, ignore, NULL);
}

static void detach(fork_fixture *all)
{
    epio_loop_detach(all->f->loop);
}

static void close_with_timeout(fork_fixture *all)
{
    (void)epio_loop_close(all->f->loop, 0);
}

static void get_statistics(fork_fixture *all)
{
    epio_loop_stats now = {.size = sizeof now};
    (void)epio_loop_get_stats(all->f->loop, &now);
}

static void create_pool(fork_fixture *all)
{
    (void)epio_loop_create_pool(all->f->loop, 1, 1);
}

static void take_buffer(fork_fixture *all)
{
    (void)epio_loop_take_buffer(all->f->loop);
}

static void return_buffer(fork_fixture *all)
{
    epio_loop_return_buffer(all->f->loop, &all->byte);
}

static const misuse misuses[] = {
    {"epio_submit", submit_sleep},
    {"epio_submit", submit_read},
    {"epio_wait", wait_for_read},
    {"epio_wait", wait_in_flight},
    {"epio_cancel", cancel},
    {"epio_loop_run", run},
    {"epio_loop_poll", poll_loop},
    {"epio_loop_handle", get_handle},
    {"epio_loop_on_ready", on_ready},
    {"epio_loop_detach", detach},
    {"epio_loop_close", close_with_timeout},
    {"epio_loop_get_stats", get_statistics},
    {"epio_loop_create_pool", create_pool},
    {"epio_loop_take_buffer", take_buffer},
    {"epio_loop_return_buffer", return_buffer},
};

typedef struct captured {
    void (*make)(void *argument);
    void *argument;
    intptr_t ends[2];
} captured;

static void capture_stderr(void *argument)
{
    captured *one = argument;
    check(dup2((int)one->ends[1], STDERR_FILENO) == STDERR_FILENO);
    one->make(one->argument);
}

/* The forked child aborts with a one-line message that contains `words`. */
static void check_aborts(void (*make)(void *argument), void *argument, const char *function,
                         const char *words)
{
    char text[4096];
    size_t len = 0;
    int64_t got;
    captured one = {.make = make, .argument = argument};
    pipe_make(one.ends);
    pid_t process = start_fork(capture_stderr, &one);
    check(handle_close(one.ends[1]));
    while (len < sizeof text - 1 &&
           (got = pipe_read(one.ends[0], text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)got;
    }
    text[len] = '\0';
    check(handle_close(one.ends[0]));
    int status = end_of_fork(process);
    char begin[64];
    (void)snprintf(begin, sizeof begin, "epio: %s: ", function);
    const char *line = strstr(text, begin);
    bool right = status == 256 + SIGABRT && line != NULL && strstr(line, words) != NULL;
    if (!fixture_is_watched()) {
        right = right && line == text && strchr(text, '\n') == text + len - 1;
    }
    if (!right) {
        print_error("%s: status %x, said: %s\n", function, (unsigned)status, text);
    }
    check(right);
}

static fork_fixture *the_fixture;

static void commit_misuse(void *argument)
{
    const misuse *one = argument;
    one->make(the_fixture);
}

static void a_child_must_not_use_the_loop(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    the_fixture = &all;
    for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) {
        check_aborts(commit_misuse, (void *)(uintptr_t)&misuses[i], misuses[i].function,
                     "make a new loop");
    }
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

static void a_child_must_not_use_a_detached_loop(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    the_fixture = &all;
    epio_loop_detach(f->loop);
    for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) {
        check_aborts(commit_misuse, (void *)(uintptr_t)&misuses[i], misuses[i].function,
                     "make a new loop");
    }
    (void)epio_loop_poll(f->loop, 0, 0);
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

static pid_t forked;

static void fork_in_done(epio_op *op)
{
    (void)op;
    forked = fork();
}

static void never_delivered(epio_op *op)
{
    (void)op;
    if (forked == 0) {
        _exit(7); /* the parent checks it */
    }
}

static void fork_inside(void *argument)
{
    const fixture *f = argument;
    epio_op ops[2] = {{.done = fork_in_done}, {.done = never_delivered}};
    epio_submit(epio_current_time(&ops[0], f->vfs));
    epio_submit(epio_current_time(&ops[1], f->vfs));
    (void)epio_loop_run(f->loop);
    if (forked == 0) {
        _exit(8);
    }
    check_result(end_of_fork(forked), 256 + SIGABRT);
    abort();
}

/* In a child of the child, as the loop must not be the parent's. */
static void fork_inside_of_a_new_loop(void *argument)
{
    fixture own = {0};
    (void)argument;
    check_result(epio_loop_create(&own.loop, NULL), 0);
    own.vfs = epio_loop_vfs(own.loop);
    fork_inside(&own);
}

static void a_child_must_not_return_from_a_done(fixture *f)
{
    check_aborts(fork_inside_of_a_new_loop, f, "fork", "`done`");
}

/* ---- What a child may do ---------------------------------------------------- */

static void use_files(void *argument)
{
    fork_fixture *all = argument;
    epio_file *file = all->file;
    char data[16];
    epio_op op = {0};
    check_result(epio_perform(epio_read(&op, file, data, sizeof data, 0)), 10);
    check_result(epio_perform(epio_write(&op, file, "x", 1, 10)), 1);
    check_result(epio_perform(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_perform(epio_size(&op, file)), 11);
    check_result(epio_perform(epio_truncate(&op, file, 10)), 0);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void use_files_alone(void *argument)
{
    fixture *f = argument;
    fork_fixture all = {.f = f};
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    check_result(epio_perform(epio_open(&op, f->vfs, path, EPIO_OPEN_READ | EPIO_OPEN_WRITE)), 0);
    all.file = op.file;
    use_files(&all);
}

static void a_child_performs_on_the_files(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    check_result(run_in_fork(use_files, &all), 0);
    check_result(run_in_fork(use_files_alone, f), 0); /* opened in the child */
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

static void destroy_all(void *argument)
{
    const fixture *f = argument;
    epio_vfs_destroy(f->layer);
    epio_semaphore_destroy(f->semaphore);
    epio_vfs_destroy(f->memory_vfs);
    epio_loop_destroy(f->loop);
}

/* Closes the descriptors of the files and the loop; the others are the test's. */
static void close_all(void *argument)
{
    fork_fixture *all = argument;
    epio_op op = {0};
    epio_op *closing = epio_close(&op, all->stream); /* an op of it is in flight */
    check_result(epio_perform(closing), 0);
    check_result(epio_perform(epio_close(&op, all->file)), 0);
    epio_semaphore_destroy(all->semaphore);
    destroy_all(all->f);
    check_result(count_descriptors(), all->f->descriptors + 3);
    /* And can create a new loop. */
    epio_loop *loop;
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_wait(epio_sleep(&op, epio_loop_vfs(loop), 1)), 1);
    if (CHILD_MAY_START_THREADS) {
        check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), NULL, EPIO_OPEN_TEMPORARY)), 0);
        epio_file *file = op.file;
        check_result(epio_wait(epio_write(&op, file, "x", 1, 0)), 1);
        check_result(epio_wait(epio_close(&op, file)), 0);
    }
    epio_loop_destroy(loop);
}

static void a_child_closes_all_and_the_parent_continues(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    for (int i = 0; i < 3; i++) {
        check_result(run_in_fork(close_all, &all), 0);
    }
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

/* Its new file is open, and is not the child's to close. */
static void a_child_leaves_a_save_to_its_parent(fixture *f)
{
    epio_op op = {0};
    epio_saving *saving = NULL;
    check_op(f, epio_save_begin(&op, f->vfs, fixture_path(f, "file"), NULL, &saving), 0);
    check_result(run_in_fork(destroy_all, f), 0);
    fixture_write(f, epio_saving_file(saving), "new", 3, 0);
    check_op(f, epio_save_commit(&op, saving), 0);
    check_result(fixture_exists(f, "file"), 1);
}

/* With a handle for a host loop, a helper thread, and their contents. */
static void of_an_embedded_loop(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    check(epio_loop_handle(f->loop) >= 0);
    check_result(run_in_fork(close_all, &all), 0);
    check_result(epio_loop_on_ready(f->loop, ignore, NULL), 0);
    check_result(run_in_fork(close_all, &all), 0);
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

/* The child's copies of its buffers are memory like other. */
static void use_buffer_and_close_all(void *argument)
{
    fork_fixture *all = argument;
    epio_op op = {0};
    check_result(epio_perform(epio_read(&op, all->file, all->buffer, 10, 0)), 10);
    check(memcmp(all->buffer, "0123456789", 10) == 0);
    close_all(all);
}

static void of_a_loop_with_a_pool(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    check(epio_loop_create_pool(f->loop, 4096, 2) >= 0);
    all.buffer = epio_loop_take_buffer(f->loop);
    memset(all.buffer, 'x', 4096);
    check_result(run_in_fork(use_buffer_and_close_all, &all), 0);
    check_bytes(all.buffer, 'x', 4096);
    epio_loop_return_buffer(f->loop, all.buffer);
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

static void close_loop(void *argument)
{
    const fixture *f = argument;
    epio_loop_destroy(f->loop);
}

static void wake_and_stop(void *argument)
{
    const fixture *f = argument;
    epio_loop_wake(f->loop);
    epio_loop_stop(f->loop);
    check(epio_loop_pending(f->loop) == 1);
    check(epio_loop_backend(f->loop) != NULL);
}

/* A signal handler that calls them may run in a child, too. */
static void wake_and_stop_stay_in_the_child(fixture *f)
{
    epio_op op = {0};
    intptr_t handle = epio_loop_handle(f->loop);
    check(handle >= 0);
    epio_submit(epio_sleep(&op, f->vfs, HOUR));
    (void)epio_loop_poll(f->loop, 0, 0);
    check(!handle_is_ready(handle, 0));
    check_result(run_in_fork(wake_and_stop, f), 0);
    check(!handle_is_ready(handle, 0));
    epio_cancel(&op);
    (void)epio_loop_run(f->loop);
    check_result(op.result, EPIO_ECANCELED);
}

/* Where the system shows it: a ring that a child has open or mapped outlives its process, with the
 * files in it. */
static void check_no_ring(void *argument)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    (void)argument;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        check(strstr(line, "io_uring") == NULL);
    }
    for (int i = 0; i < 100; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "/proc/self/fd/%d", i);
        ssize_t len = readlink(name, line, sizeof line - 1);
        line[len > 0 ? len : 0] = '\0';
        check(strstr(line, "io_uring") == NULL);
    }
}

static void a_child_keeps_no_ring_of_its_parent(fixture *f)
{
    fork_fixture all;
    fork_fixture_setup(&all, f);
    check_result(run_in_fork(check_no_ring, f), 0);
    check_parent_continues(&all);
    fork_fixture_teardown(&all);
}

/* Enough reads for a ring, if there is one, which wait for the disk. */
static void ops_in_a_ring_continue(fixture *f)
{
    enum { READS = 64, SIZE = 4096 };
    static unsigned char *data;
    static epio_op ops[READS];
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    fixture_close(f, fixture_create(f, "file"));
    int64_t opened = epio_wait(
        epio_open(&op, f->vfs, path, EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_DIRECT));
    if (opened != 0) {
        fixture_skip(f, "the file system has no direct transfers");
    }
    epio_file *file = op.file;
    data = aligned_alloc(SIZE, (size_t)READS * SIZE);
    check(data != NULL);
    memset(data, 0x55, (size_t)READS * SIZE);
    check_result(epio_wait(epio_write(&op, file, data, (size_t)READS * SIZE, 0)), READS * SIZE);
    memset(data, 0, (size_t)READS * SIZE);
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < READS; i++) {
        epio_submit(epio_read(&ops[i], file, data + i * SIZE, SIZE, i * SIZE));
    }
    (void)epio_loop_poll(f->loop, 0, 1);
    check_result(run_in_fork(close_loop, f), 0);
    (void)epio_loop_run(f->loop);
    for (size_t i = 0; i < READS; i++) {
        check_result(ops[i].result, SIZE);
    }
    check_bytes(data, 0x55, (size_t)READS * SIZE);
    check_result(epio_wait(epio_close(&op, file)), 0);
    free(data);
}

/* ---- What belongs to the parent --------------------------------------------- */

typedef struct opened {
    fixture *f;
    epio_file *file;
} opened;

static void close_in_child(void *argument)
{
    const opened *one = argument;
    epio_op op = {0};
    check_result(epio_perform(epio_close(&op, one->file)), 0);
}

static void a_name_goes_with_the_file_that_the_parent_closes(fixture *f)
{
    epio_file *file = fixture_open(
        f, "file", EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE);
    opened one = {f, file};
    check_result(run_in_fork(close_in_child, &one), 0);
    check_result(fixture_exists(f, "file"), 1);
    fixture_close(f, file);
    check_result(fixture_exists(f, "file"), 0);
}

/* Exits with 0 if an unrelated process gets the lock. */
static void lock_by_name(void *argument)
{
    fixture *f = argument;
    epio_op op = {0};
    epio_vfs *vfs = epio_os_vfs();
    const char *path = fixture_path(f, "file");
    check_result(epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_READ | EPIO_OPEN_WRITE)), 0);
    epio_file *file = op.file;
    int64_t result = epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, 0));
    check(result == 0 || result == EPIO_EBUSY);
    check_result(epio_perform(epio_close(&op, file)), 0);
    _exit(result == 0 ? 0 : 1);
}

/* The child is another process: it holds no lock, releases none, and gets none that the parent
 * holds. */
static void lock_in_child(void *argument)
{
    const opened *one = argument;
    epio_op op = {0};
    check_result(epio_file_lock_level(one->file), EPIO_LOCK_NONE);
    check_result(epio_perform(epio_unlock(&op, one->file, EPIO_LOCK_NONE)), 0);
    check_result(epio_perform(epio_lock(&op, one->file, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
    check_result(epio_perform(epio_unlock(&op, one->file, EPIO_LOCK_NONE)), 0);
    check_result(run_in_fork(lock_by_name, one->f), 1);
    check_result(epio_perform(epio_close(&op, one->file)), 0);
    check_result(run_in_fork(lock_by_name, one->f), 1);
}

static void lock_when_free(void *argument)
{
    const opened *one = argument;
    epio_op op = {0};
    check_result(epio_perform(epio_lock(&op, one->file, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_perform(epio_lock(&op, one->file, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    check_result(epio_file_lock_level(one->file), EPIO_LOCK_EXCLUSIVE);
    check_result(run_in_fork(lock_by_name, one->f), 1);
    check_result(epio_perform(epio_close(&op, one->file)), 0);
    check_result(run_in_fork(lock_by_name, one->f), 0);
}

static void locks_stay_with_the_parent(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    opened one = {f, file};
    check_result(run_in_fork(lock_when_free, &one), 0);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), 0);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0), 0);
    check_result(run_in_fork(close_in_child, &one), 0);
    check_result(run_in_fork(lock_by_name, f), 1);
    check_result(run_in_fork(lock_in_child, &one), 0);
    check_result(epio_file_lock_level(file), EPIO_LOCK_EXCLUSIVE);
    check_result(run_in_fork(lock_by_name, f), 1);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    check_result(run_in_fork(lock_by_name, f), 0);
    check_result(run_in_fork(lock_when_free, &one), 0);
    fixture_close(f, file);
}

/* ---- Forks at any moment ---------------------------------------------------- */

/* Used by other threads while this one forks: each has a mutex that the child needs. */
typedef struct shared {
    epio_vfs *memory;
    epio_vfs *trace;
    epio_vfs *limit;
    epio_semaphore *semaphore;
    epio_file *file;
} shared;

static void *use_shared(void *argument)
{
    shared *all = argument;
    epio_op op = {0};
    char bytes[256] = {0};
    while (epio_semaphore_try_acquire(all->semaphore, 1) != EPIO_ECLOSED) {
        int64_t written = epio_perform(epio_write(&op, all->file, bytes, sizeof bytes, 0));
        int64_t acquired = epio_perform(epio_acquire(&op, all->memory, all->semaphore, 1));
        require(written == sizeof bytes || written == EPIO_ECLOSED);
        require(acquired == 0 || acquired == EPIO_ECLOSED);
        epio_semaphore_release(all->semaphore, acquired == 0 ? 2 : 1);
    }
    return NULL;
}

static void use_shared_in_child(void *argument)
{
    shared *all = argument;
    epio_op op = {0};
    char byte = 0;
    check_result(epio_perform(epio_write(&op, all->file, &byte, 1, 0)), 1);
    check_result(epio_perform(epio_close(&op, all->file)), 0);
    (void)epio_semaphore_available(all->semaphore);
    epio_vfs_destroy(all->limit);
    epio_vfs_destroy(all->trace);
    epio_vfs_destroy(all->memory);
    epio_semaphore_destroy(all->semaphore);
}

static void a_child_finds_all_mutexes_free(fixture *f)
{
    shared all = {0};
    test_thread threads[3];
    epio_op op = {0};
    (void)f;
    /* More permits than all can hold, so that no thread waits long. */
    check_result(epio_semaphore_create(&all.semaphore, 20), 0);
    epio_semaphore_limit_bytes(all.semaphore, 1 << 20);
    check_result(epio_memory_vfs_create(&all.memory, NULL), 0);
    check_result(epio_trace_vfs_create(&all.trace, all.memory), 0);
    check_result(epio_limit_vfs_create(&all.limit, all.trace, all.semaphore), 0);
    check_result(epio_perform(epio_open(&op, all.limit, "x", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    all.file = op.file;
    for (int i = 0; i < 3; i++) {
        thread_start(&threads[i], use_shared, &all);
    }
    for (unsigned i = 0; i < fixture_rounds(60); i++) {
        check_result(run_in_fork(use_shared_in_child, &all), 0);
    }
    epio_semaphore_close(all.semaphore);
    for (int i = 0; i < 3; i++) {
        (void)thread_join(threads[i]);
    }
    check_result(epio_perform(epio_close(&op, all.file)), 0);
    epio_vfs_destroy(all.limit);
    epio_vfs_destroy(all.trace);
    epio_vfs_destroy(all.memory);
    epio_semaphore_destroy(all.semaphore);
}

int main(void)
{
    if (fixture_is_emulated()) {
        return 77; /* valgrind reports the memory of the parent's threads as leaked */
    }
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_child_must_not_use_the_loop, ON_OS),
        FIXTURE_TEST(a_child_must_not_use_a_detached_loop, ON_OS),
        FIXTURE_TEST(a_child_must_not_return_from_a_done, ON_OS),
        FIXTURE_TEST(a_child_performs_on_the_files, ON_ANY_LOOP),
        FIXTURE_TEST(a_child_closes_all_and_the_parent_continues, ON_ANY_LOOP),
        FIXTURE_TEST(a_child_leaves_a_save_to_its_parent, ON_ANY_LOOP),
        FIXTURE_TEST(of_a_loop_with_a_pool, ON_OS),
        FIXTURE_TEST(of_an_embedded_loop, ON_OS),
        FIXTURE_TEST(a_child_keeps_no_ring_of_its_parent, ON_OS),
        FIXTURE_TEST(ops_in_a_ring_continue, ON_OS),
        FIXTURE_TEST(wake_and_stop_stay_in_the_child, ON_OS),
        FIXTURE_TEST(a_name_goes_with_the_file_that_the_parent_closes, ON_OS | ON_OS_PERFORM),
        FIXTURE_TEST(locks_stay_with_the_parent, ON_ANY_OS),
        FIXTURE_TEST(a_child_finds_all_mutexes_free, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("fork", tests);
}
