/* The loop: creation, polls and runs, what a `done` may do, and that no op starves. */
#include "op_fixture.h"

#include <malloc.h>

static void *run_nothing(void *argument)
{
    return argument;
}

static int count_settled_threads(void)
{
    static bool warm;
    if (!warm) {
        /* The first thread may start another one, of a sanitizer. */
        test_thread thread;
        warm = true;
        thread_start(&thread, run_nothing, NULL);
        (void)thread_join(thread);
    }
    return count_threads();
}

/* A joined thread may be counted a little longer. */
static void check_threads_at_most(int count)
{
    uint64_t deadline = system_monotonic_ns() + SECOND;
    while (count_settled_threads() > count) {
        check(system_monotonic_ns() < deadline);
    }
}

static epio_loop *make_loop(void)
{
    epio_loop *loop;
    check_result(epio_loop_create(&loop, NULL), 0);
    return loop;
}

/* The delay allowed on a busy machine: far below the hour that a wrong result would take. */
static uint64_t tolerance(void)
{
    return 20 * SECOND;
}

/* ---- Creation ------------------------------------------------------------ */

static void options_are_checked(fixture *f)
{
    epio_loop *loop = NULL;
    epio_loop_options options = {.size = sizeof options};
    (void)f;
    check_result(epio_loop_create(NULL, NULL), EPIO_EINVAL);
    check_result(epio_loop_create(&loop, &options), 0);
    epio_loop_destroy(loop);
    loop = NULL;
    options.size = 0;
    check_result(epio_loop_create(&loop, &options), EPIO_EINVAL);
    options.size = sizeof options;
    options.backend = "no such thing";
    check_result(epio_loop_create(&loop, &options), EPIO_EINVAL);
    options.backend = "POLL";
    check_result(epio_loop_create(&loop, &options), EPIO_EINVAL);
    check(loop == NULL);
    options.backend = NULL;
    options.workers = 1000000;
    check_result(epio_loop_create(&loop, &options), 0);
    epio_op op = {0};
    check_result(epio_wait(epio_sleep(&op, epio_loop_vfs(loop), 1)), 1);
    epio_loop_destroy(loop);
}

/* The environment is restored afterwards. */
static void backends_by_name(fixture *f)
{
    epio_loop *loop;
    epio_loop_options options = {.size = sizeof options};
    char before[64] = "";
    const char *found = getenv("EPIO_BACKEND");
    (void)f;
    if (found != NULL) {
        (void)snprintf(before, sizeof before, "%s", found);
        loop = make_loop();
        check(strcmp(epio_loop_backend(loop), before) == 0);
        epio_loop_destroy(loop);
    }
    environment_set("EPIO_BACKEND", "no such thing");
    check_result(epio_loop_create(&loop, NULL), EPIO_EINVAL);
    options.backend = SYSTEM_BACKEND; /* precedes the environment */
    check_result(epio_loop_create(&loop, &options), 0);
    check(strcmp(epio_loop_backend(loop), SYSTEM_BACKEND) == 0);
    epio_loop_destroy(loop);
    environment_set("EPIO_BACKEND", SYSTEM_BACKEND);
    loop = make_loop();
    check(strcmp(epio_loop_backend(loop), SYSTEM_BACKEND) == 0);
    epio_loop_destroy(loop);
    environment_set("EPIO_BACKEND", ""); /* like an unset variable */
    loop = make_loop();
    epio_loop_destroy(loop);
    environment_set("EPIO_BACKEND", NULL);
    loop = make_loop();
    check(epio_loop_backend(loop)[0] != '\0');
    epio_loop_destroy(loop);
    if (found != NULL) {
        environment_set("EPIO_BACKEND", before);
    }
}

static void a_new_loop_is_small(fixture *f)
{
    int threads = count_settled_threads();
    (void)f;
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 before = mallinfo2();
    epio_loop *loop = make_loop();
    struct mallinfo2 after = mallinfo2();
    if (!fixture_is_watched()) { /* sanitizers have a heap of their own */
        check(after.uordblks + after.hblkhd > before.uordblks + before.hblkhd);
        check(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd < 64 * 1024);
    }
#else
    epio_loop *loop = make_loop();
#endif
    check_threads_at_most(threads);
    epio_loop_destroy(loop);
    check_result(sizeof(epio_op), 320);
    check_result(sizeof(epio_op), EPIO_OP_SIZE);
}

/* Ops that need no worker start none. */
static void threads_start_on_demand(fixture *f)
{
    char into[16];
    epio_op op = {0};
    int threads = count_settled_threads();
    epio_loop_options options = {.size = sizeof options, .inline_writes = 1};
    epio_loop *loop;
    check_result(epio_loop_create(&loop, &options), 0);
    epio_vfs *os = epio_loop_vfs(loop);
    check_result(epio_perform(epio_open(&op, os, fixture_path(f, "file"),
                                        EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    tracked ops[60];
    for (int i = 0; i < 60; i += 3) {
        epio_submit(epio_write(track(&ops[i]), file, "0123456789abcdef", 16, 0));
        epio_submit(epio_sleep(track(&ops[i + 1]), os, MICROSECOND));
        if (SYSTEM_REPORTS_CACHED) {
            epio_submit(epio_read(track(&ops[i + 2]), file, into, 16, 0));
        }
    }
    while (epio_loop_pending(loop) != 0) {
        (void)epio_loop_poll(loop, SECOND, 0);
    }
    check_threads_at_most(threads);
    check_result(epio_perform(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

static int64_t nothing(epio_op *op)
{
    (void)op;
    return 0;
}

static void workers_leave(fixture *f)
{
    int threads = count_settled_threads();
    if (threads < 0) {
        fixture_skip(f, "the system does not count threads");
    }
    epio_loop *loop = make_loop();
    epio_op op = {0};
    for (int round = 0; round < 2; round++) {
        check_result(epio_wait(epio_work(&op, epio_loop_vfs(loop), nothing)), 0);
        check(count_settled_threads() > threads);
        uint64_t deadline = system_monotonic_ns() + 30 * SECOND;
        while (count_settled_threads() > threads) {
            check(system_monotonic_ns() < deadline);
            check_result(epio_loop_poll(loop, 20 * MILLISECOND, 0), 0);
        }
    }
    epio_loop_destroy(loop);
    check_threads_at_most(threads);
}

static epio_loop_stats stats_of(epio_loop *loop)
{
    epio_loop_stats statistics = {.size = sizeof statistics};
    check_result(epio_loop_get_stats(loop, &statistics), 0);
    return statistics;
}

static void workers_that_left_are_not_counted(fixture *f)
{
    epio_op op = {0};
    epio_loop *loop = make_loop();
    (void)f;
    check_result(epio_wait(epio_work(&op, epio_loop_vfs(loop), nothing)), 0);
    check(stats_of(loop).threads_now == 1);
    uint64_t deadline = system_monotonic_ns() + 30 * SECOND;
    while (stats_of(loop).threads_now != 0) {
        check(system_monotonic_ns() < deadline);
        check_result(epio_loop_poll(loop, 20 * MILLISECOND, 0), 0);
    }
    check(stats_of(loop).sleeps > 1);
    epio_loop_destroy(loop);
}

static void workers_are_limited(fixture *f)
{
    tracked ops[20];
    op_fixture fx;
    op_fixture_setup(&fx, f); /* with one worker */
    gate_shut(&fx);
    for (int i = 0; i < 20; i++) {
        epio_submit(epio_read(track(&ops[i]), fx.file, fx.buffer, 10, 0));
    }
    op_fixture_run_until_waiting(&fx, 1);
    op_fixture_run_for(&fx, 20 * MILLISECOND);
    check_result(gate_waiting(&fx), 1);
    gate_open(&fx);
    op_fixture_drain(&fx);
    for (int i = 0; i < 20; i++) {
        check_result(ops[i].result, 10);
    }
    op_fixture_teardown(&fx);
}

/* ---- Polling ------------------------------------------------------------- */

static void poll_without_waiting(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked one;
    uint64_t started = system_monotonic_ns();
    (void)f;
    for (int i = 0; i < 100; i++) {
        check_result(epio_loop_poll(loop, 0, 0), 0);
    }
    epio_submit(epio_sleep(track(&one), epio_loop_vfs(loop), HOUR));
    check_result(epio_loop_poll(loop, 0, 0), 0);
    check(system_monotonic_ns() - started < tolerance());
    epio_cancel(&one.op);
    check_result(epio_loop_poll(loop, 0, 0), 1);
    check_result(one.calls, 1);
    epio_loop_destroy(loop);
}

static void poll_for_a_while(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked one;
    (void)f;
    uint64_t started = system_monotonic_ns();
    check_result(epio_loop_poll(loop, 20 * MILLISECOND, 0), 0);
    check(system_monotonic_ns() - started >= 20 * MILLISECOND);
    check(system_monotonic_ns() - started < 20 * MILLISECOND + tolerance());
    /* Not after an op is ready. */
    started = system_monotonic_ns();
    epio_submit(epio_sleep(track(&one), epio_loop_vfs(loop), 10 * MILLISECOND));
    check_result(epio_loop_poll(loop, HOUR, 0), 1);
    check(system_monotonic_ns() - started >= 10 * MILLISECOND);
    check(system_monotonic_ns() - started < 10 * MILLISECOND + tolerance());
    /* Sleeps are never short, and return their length. */
    for (uint64_t nanoseconds = 0; nanoseconds < 3 * MILLISECOND;
         nanoseconds += 200 * MICROSECOND) {
        started = system_monotonic_ns();
        epio_submit(epio_sleep(track(&one), epio_loop_vfs(loop), nanoseconds));
        check_result(epio_loop_poll(loop, EPIO_FOREVER, 0), 1);
        check(system_monotonic_ns() - started >= nanoseconds);
        check_result(one.result, nanoseconds);
    }
    epio_loop_destroy(loop);
}

static void poll_delivers_at_most(fixture *f)
{
    epio_loop *loop = make_loop();
    static tracked ops[10];
    (void)f;
    for (int i = 0; i < 10; i++) {
        epio_submit(epio_current_time(track(&ops[i]), epio_loop_vfs(loop)));
    }
    check_result(epio_loop_poll(loop, 0, 3), 3);
    check_result(epio_loop_pending(loop), 7);
    check_result(epio_loop_poll(loop, EPIO_FOREVER, 1), 1);
    check_result(epio_loop_poll(loop, SECOND, 3), 3);
    check_result(epio_loop_poll(loop, 0, 3), 3);
    check_result(epio_loop_poll(loop, 0, 3), 0);
    check_result(epio_loop_pending(loop), 0);
    for (int i = 0; i < 10; i++) {
        check_result(ops[i].calls, 1);
    }
    epio_loop_destroy(loop);
}

/* ---- Waking and stopping ------------------------------------------------- */

typedef struct other_thread {
    epio_loop *loop;
    void (*act)(epio_loop *loop);
    test_thread thread;
} other_thread;

static void *run_soon(void *argument)
{
    other_thread *one = argument;
    sleep_ns(10000000);
    one->act(one->loop);
    return NULL;
}

static void act_in_thread(other_thread *one, epio_loop *loop, void (*act)(epio_loop *loop))
{
    one->loop = loop;
    one->act = act;
    thread_start(&one->thread, run_soon, one);
}

static void join_act(other_thread *one)
{
    (void)thread_join(one->thread);
}

static void wake_ends_a_poll(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked sleep;
    other_thread other;
    (void)f;
    epio_submit(epio_sleep(track(&sleep), epio_loop_vfs(loop), HOUR));
    for (int i = 0; i < 3; i++) {
        act_in_thread(&other, loop, epio_loop_wake);
        check_result(epio_loop_poll(loop, i == 0 ? EPIO_FOREVER : HOUR, 0), 0);
        join_act(&other);
    }
    /* Otherwise the next poll that would wait, and only that one. */
    epio_loop_wake(loop);
    epio_loop_wake(loop);
    check_result(epio_loop_poll(loop, 0, 0), 0);
    check_result(epio_loop_poll(loop, EPIO_FOREVER, 0), 0);
    uint64_t started = system_monotonic_ns();
    check_result(epio_loop_poll(loop, 10 * MILLISECOND, 0), 0);
    check(system_monotonic_ns() - started >= 10 * MILLISECOND);
    /* It does not end an epio_wait. */
    epio_op op = {0};
    epio_loop_wake(loop);
    check_result(epio_wait(epio_sleep(&op, epio_loop_vfs(loop), MILLISECOND)), MILLISECOND);
    act_in_thread(&other, loop, epio_loop_wake);
    check_result(epio_wait(epio_sleep(&op, epio_loop_vfs(loop), 30 * MILLISECOND)),
                 30 * MILLISECOND);
    join_act(&other);
    epio_loop_destroy(loop);
}

static void stop_itself(tracked *one)
{
    epio_loop_stop(one->op.loop);
}

static void stop_ends_a_run(fixture *f)
{
    epio_loop *loop = make_loop();
    epio_vfs *os = epio_loop_vfs(loop);
    tracked sleep;
    tracked other_op;
    other_thread other;
    (void)f;
    check_result(epio_loop_run(loop), 0); /* nothing is in flight */
    epio_submit(epio_sleep(track(&sleep), os, HOUR));
    /* Before the run. */
    epio_loop_stop(loop);
    check_result(epio_loop_run(loop), 0);
    /* From a `done`. */
    epio_submit(epio_sleep(track(&other_op), os, MILLISECOND));
    other_op.then = stop_itself;
    check_result(epio_loop_run(loop), 1);
    check_result(other_op.calls, 1);
    check_result(sleep.calls, 0);
    /* From another thread. */
    for (int i = 0; i < 3; i++) {
        act_in_thread(&other, loop, epio_loop_stop);
        check_result(epio_loop_run(loop), 0);
        join_act(&other);
    }
    /* A wake does not stop it. */
    epio_submit(epio_sleep(track(&other_op), os, 30 * MILLISECOND));
    epio_cancel(&sleep.op);
    act_in_thread(&other, loop, epio_loop_wake);
    check_result(epio_loop_run(loop), 2);
    join_act(&other);
    check_result(other_op.result, 30 * MILLISECOND);
    epio_loop_destroy(loop);
}

static void *wake_often(void *argument)
{
    other_thread *one = argument;
    for (int i = 0; i < 2000; i++) {
        epio_loop_wake(one->loop);
    }
    epio_loop_stop(one->loop);
    return NULL;
}

/* A stop is not lost among any number of wakes. */
static void stop_among_wakes(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked sleep;
    (void)f;
    epio_submit(epio_sleep(track(&sleep), epio_loop_vfs(loop), HOUR));
    for (int i = 0; i < 10; i++) {
        other_thread other = {.loop = loop};
        thread_start(&other.thread, wake_often, &other);
        check_result(epio_loop_run(loop), 0);
        join_act(&other);
    }
    epio_loop_destroy(loop);
}

/* ---- Delivery ------------------------------------------------------------ */

static void never_from_inside_submit(fixture *f)
{
    op_fixture fx;
    char into[16];
    tracked ops[5];
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "file");
    epio_submit(epio_read(track(&ops[0]), file, into, 16, 0)); /* cached */
    epio_submit(epio_current_time(track(&ops[1]), fx.os));
    epio_submit(epio_read(track(&ops[2]), file, NULL, 16, 0)); /* invalid */
    epio_submit(epio_sleep(track(&ops[3]), fx.os, 0));
    epio_submit(epio_randomness(track(&ops[4]), fx.os, into, 16));
    for (int i = 0; i < 5; i++) {
        check_result(ops[i].calls, 0);
        check_result(ops[i].op.result, EPIO_EPENDING);
        check(epio_op_pending(&ops[i].op));
    }
    check_result(epio_loop_pending(fx.loop), 5);
    op_fixture_drain(&fx);
    check_result(ops[0].result, 16);
    check_result(ops[2].result, EPIO_EINVAL);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

/* A run ends without them, but not before the others. */
static void what_is_unreferenced_keeps_no_run_going(fixture *f)
{
    op_fixture fx;
    tracked endless[3];
    tracked other;
    op_fixture_setup(&fx, f);
    epio_submit(epio_op_unref(epio_sleep(track(&endless[0]), fx.os, HOUR)));
    (void)epio_op_unref(epio_sleep(track(&endless[1]), fx.os, HOUR));
    (void)epio_link(&endless[1].op, epio_sleep(track(&endless[2]), fx.os, HOUR), 0);
    (void)epio_op_unref(&endless[2].op);
    epio_submit(&endless[1].op);
    check_result(epio_loop_run(fx.loop), 0);
    check_result(epio_loop_pending(fx.loop), 3);
    epio_submit(epio_sleep(track(&other), fx.os, MILLISECOND));
    check_result(epio_loop_run(fx.loop), 1);
    check_result(other.calls, 1);
    for (int i = 0; i < 3; i++) {
        epio_cancel(&endless[i].op);
        op_fixture_run_until_done(&fx, &endless[i]);
    }
    /* It counts for one submission. */
    epio_submit(epio_sleep(track(&endless[0]), fx.os, MILLISECOND));
    check_result(epio_loop_run(fx.loop), 1);
    /* Reads, which otherwise take the fast path, and ops that end during a run. */
    for (int i = 0; i < 3; i++) {
        epio_submit(epio_op_unref(epio_read(track(&endless[0]), fx.file, fx.buffer, 1, 0)));
        op_fixture_run_until_done(&fx, &endless[0]);
    }
    epio_submit(epio_op_unref(epio_sleep(track(&endless[0]), fx.os, MILLISECOND)));
    epio_submit(epio_sleep(track(&other), fx.os, 20 * MILLISECOND));
    check_result(epio_loop_run(fx.loop), 2);
    check_result(epio_loop_run(fx.loop), 0);
    op_fixture_teardown(&fx);
}

static void pending_is_counted(fixture *f)
{
    op_fixture fx;
    tracked ops[3];
    tracked others[2];
    op_fixture_setup(&fx, f);
    check_result(epio_loop_pending(fx.loop), 0);
    epio_submit(epio_sleep(track(&ops[0]), fx.os, HOUR));
    check_result(epio_loop_pending(fx.loop), 1);
    submit_elsewhere(epio_sleep(track(&ops[1]), fx.os, HOUR));
    check_result(epio_loop_pending(fx.loop), 2);
    (void)epio_sleep(track(&ops[2]), fx.os, HOUR);
    check_result(epio_loop_pending(fx.loop), 2); /* only prepared */
    (void)epio_sleep(track(&others[0]), fx.os, 0);
    (void)epio_sleep(track(&others[1]), fx.os, 0);
    epio_submit(epio_link(&others[0].op, &others[1].op, 0));
    check_result(epio_loop_pending(fx.loop), 4);
    op_fixture_run_until_done(&fx, &others[1]);
    check_result(epio_loop_pending(fx.loop), 2);
    epio_cancel(&ops[0].op);
    check_result(epio_loop_pending(fx.loop), 2); /* until it is delivered */
    op_fixture_run_until_done(&fx, &ops[0]);
    check_result(epio_loop_pending(fx.loop), 1);
    epio_cancel(&ops[1].op);
    op_fixture_run_until_done(&fx, &ops[1]);
    check_result(epio_loop_pending(fx.loop), 0);
    check(epio_loop_run(fx.loop) == 0);
    op_fixture_teardown(&fx);
}

/* ---- What a `done` may do ------------------------------------------------ */

static int again_left;

static void submit_again(tracked *one)
{
    if (--again_left > 0) {
        epio_submit(epio_current_time(&one->op, one->op.vfs));
    }
}

static void a_done_resubmits_its_op(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked one;
    (void)f;
    again_left = 1000;
    epio_submit(epio_current_time(track(&one), epio_loop_vfs(loop)));
    one.then = submit_again;
    check_result(epio_loop_run(loop), 1000);
    check_result(one.calls, 1000);
    epio_loop_destroy(loop);
}

/* What a `done` submits waits for the next iteration, even if it is ready at once. */
static void an_iteration_ends(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked ops[3];
    tracked sleep;
    (void)f;
    again_left = 1000000000;
    for (int i = 0; i < 3; i++) {
        epio_submit(epio_current_time(track(&ops[i]), epio_loop_vfs(loop)));
        ops[i].then = submit_again;
    }
    for (int i = 0; i < 10; i++) {
        check_result(epio_loop_poll(loop, i % 2 == 0 ? 0 : EPIO_FOREVER, 0), 3);
    }
    epio_submit(epio_sleep(track(&sleep), epio_loop_vfs(loop), MILLISECOND));
    sleep.then = stop_itself;
    (void)epio_loop_run(loop);
    check_result(sleep.calls, 1);
    again_left = 0;
    (void)epio_loop_run(loop);
    epio_loop_destroy(loop);
}

static int freed;

static void free_op(epio_op *op)
{
    memset(op, 0xdd, sizeof *op); /* not accessed any more */
    free(op);
    freed++;
}

static epio_op *allocate_op(void)
{
    epio_op *op = calloc(1, sizeof *op);
    check(op != NULL);
    op->done = free_op;
    return op;
}

static void a_done_frees_its_op(fixture *f)
{
    op_fixture fx;
    char into[16];
    op_fixture_setup(&fx, f);
    freed = 0;
    for (int i = 0; i < 50; i++) {
        epio_submit(epio_current_time(allocate_op(), fx.os));
        epio_submit(epio_read(allocate_op(), fx.file, into, 16, 0));
        epio_submit(epio_write(allocate_op(), fx.file, "x", 1, 0));
        epio_submit(epio_sync(allocate_op(), fx.file, EPIO_SYNC_DATA_ONLY));
        epio_submit(epio_work(allocate_op(), fx.os, nothing));
        epio_op *timed = allocate_op();
        timed->timeout_ns = MILLISECOND;
        epio_submit(epio_sleep(timed, fx.os, HOUR));
        epio_op *first = epio_sleep(allocate_op(), fx.os, 0);
        epio_op *second = epio_sleep(allocate_op(), fx.os, 0);
        epio_submit(epio_link(first, second, 0));
        epio_op *cancelled = epio_sleep(allocate_op(), fx.os, HOUR);
        epio_submit(cancelled);
        epio_cancel(cancelled);
    }
    op_fixture_drain(&fx);
    check_result(freed, 50 * 9);
    op_fixture_teardown(&fx);
}

static uint64_t nested_count;

static void poll_inside(tracked *one)
{
    nested_count += epio_loop_poll(one->op.loop, 0, 0);
}

static void a_nested_poll_finds_all_that_is_ready(fixture *f)
{
    epio_loop *loop = make_loop();
    static tracked ops[200];
    (void)f;
    for (int poller = 0; poller < 200; poller += 33) {
        nested_count = 0;
        for (int i = 0; i < 200; i++) {
            epio_submit(epio_current_time(track(&ops[i]), epio_loop_vfs(loop)));
        }
        ops[poller].then = poll_inside;
        check_result(epio_loop_poll(loop, 0, 0), 200);
        check_result(nested_count, 199 - poller);
        for (int i = 0; i < 200; i++) {
            check_result(ops[i].calls, 1);
        }
        check_result(epio_loop_poll(loop, 0, 0), 0);
    }
    /* All of them, nested. */
    for (int i = 0; i < 200; i++) {
        epio_submit(epio_current_time(track(&ops[i]), epio_loop_vfs(loop)));
        ops[i].then = poll_inside;
    }
    check_result(epio_loop_poll(loop, 0, 0), 200);
    for (int i = 0; i < 200; i++) {
        check_result(ops[i].calls, 1);
    }
    epio_loop_destroy(loop);
}

/* A poll that waits, nested in another. */
static void sleep_inside(tracked *one)
{
    tracked *inner = one->user;
    epio_submit(epio_sleep(track(inner), one->op.vfs, 5 * MILLISECOND));
    while (inner->calls == 0) {
        (void)epio_loop_poll(one->op.loop, EPIO_FOREVER, 0);
    }
}

static void a_nested_poll_waits(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked ops[10];
    tracked inner[10];
    (void)f;
    for (int i = 0; i < 10; i++) {
        epio_submit(epio_current_time(track(&ops[i]), epio_loop_vfs(loop)));
        ops[i].then = sleep_inside;
        ops[i].user = &inner[i];
    }
    check_result(epio_loop_run(loop), 20);
    for (int i = 0; i < 10; i++) {
        check_result(ops[i].calls, 1);
        check_result(inner[i].calls, 1);
    }
    epio_loop_destroy(loop);
}

typedef struct nested_wait {
    op_fixture *fx;
    epio_op ready; /* in the same batch, without a `done` */
} nested_wait;

static void wait_inside(tracked *one)
{
    static char into[16];
    nested_wait *wait = one->user;
    epio_op op = {0};
    op_fixture *fx = wait->fx;
    check_result(epio_wait(epio_read(&op, fx->file, into, 16, 0)), 16);
    check_result(epio_wait(epio_write(&op, fx->file, "x", 1, 0)), 1);
    check_result(epio_wait(epio_sync(&op, fx->file, EPIO_SYNC_DATA_ONLY)), 0);
    check_result(epio_wait(epio_sleep(&op, fx->os, MILLISECOND)), MILLISECOND);
    check(epio_wait(&wait->ready) > 0);
}

static void a_nested_wait(fixture *f)
{
    op_fixture fx;
    tracked first;
    tracked last;
    nested_wait wait;
    op_fixture_setup(&fx, f);
    memset(&wait, 0, sizeof wait);
    wait.fx = &fx;
    epio_submit(epio_current_time(track(&first), fx.os));
    epio_submit(epio_current_time(&wait.ready, fx.os));
    epio_submit(epio_current_time(track(&last), fx.os));
    first.then = wait_inside;
    first.user = &wait;
    op_fixture_drain(&fx);
    check_result(first.calls, 1);
    check_result(last.calls, 1);
    op_fixture_teardown(&fx);
}

/* Nested waits end in the order of their ops. */
static int wait_depth;

static void wait_deeper(tracked *one)
{
    epio_op op = {0};
    epio_vfs *os = one->op.vfs;
    if (wait_depth++ < 20) {
        tracked next;
        epio_submit(epio_current_time(track(&next), os));
        next.then = wait_deeper;
        uint64_t nanoseconds = (uint64_t)(wait_depth % 3) * MILLISECOND;
        check_result(epio_wait(epio_sleep(&op, os, nanoseconds)), nanoseconds);
        while (next.calls == 0) {
            (void)epio_loop_poll(one->op.loop, EPIO_FOREVER, 0);
        }
        check_result(next.calls, 1);
    }
}

static void waits_inside_waits(fixture *f)
{
    epio_loop *loop = make_loop();
    tracked one;
    (void)f;
    wait_depth = 0;
    epio_submit(epio_current_time(track(&one), epio_loop_vfs(loop)));
    one.then = wait_deeper;
    (void)epio_loop_run(loop);
    check_result(one.calls, 1);
    check_result(epio_loop_pending(loop), 0);
    epio_loop_destroy(loop);
}

/* ---- Fairness ------------------------------------------------------------ */

typedef struct endless {
    epio_file *file;
    bool stop;
    char into[4096];
} endless;

static void read_again(tracked *one)
{
    endless *state = one->user;
    if (!state->stop) {
        epio_submit(epio_read(&one->op, state->file, state->into, sizeof state->into, 0));
    }
}

static void *feed_fifo(void *descriptor)
{
    sleep_ns(5000000);
    check(pipe_write(*(intptr_t *)descriptor, "x", 1) == 1);
    return NULL;
}

static void endless_reads_starve_no_op(fixture *f)
{
    op_fixture fx;
    epio_op op = {0};
    endless state = {.stop = false};
    tracked readers[8];
    tracked sleep;
    tracked write_op;
    tracked sync;
    tracked work;
    tracked other_read;
    tracked stream_read;
    tracked foreign;
    char byte;
    char other_byte;
    intptr_t ends[2];
    test_thread feeder;
    op_fixture_setup(&fx, f);
    state.file = op_fixture_open(&fx, fx.os, "file");
    pipe_make(ends);
    check_result(epio_wait(epio_adopt(&op, fx.os, ends[0], 0)), 0);
    epio_file *stream = op.file;
    for (int i = 0; i < 8; i++) {
        epio_submit(epio_read(track(&readers[i]), state.file, state.into, 4096, 0));
        readers[i].then = read_again;
        readers[i].user = &state;
    }
    check(epio_loop_poll(fx.loop, SYSTEM_REPORTS_CACHED ? 0 : tolerance(), 0) > 0);
    uint64_t started = system_monotonic_ns();
    epio_submit(epio_sleep(track(&sleep), fx.os, 5 * MILLISECOND));
    epio_submit(epio_write(track(&write_op), fx.other[0], "x", 1, 0));
    epio_submit(epio_sync(track(&sync), fx.other[0], EPIO_SYNC_DATA_ONLY));
    epio_submit(epio_work(track(&work), fx.os, nothing));
    epio_submit(epio_read(track(&other_read), fx.file, &other_byte, 1, 0));
    epio_submit(epio_read(track(&stream_read), stream, &byte, 1, 0));
    submit_elsewhere(epio_current_time(track(&foreign), fx.os));
    thread_start(&feeder, feed_fifo, &ends[1]);
    tracked *const others[] = {&sleep,      &write_op,    &sync,   &work,
                               &other_read, &stream_read, &foreign};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        while (others[i]->calls == 0) {
            check(system_monotonic_ns() - started < 5 * tolerance());
            check(epio_loop_poll(fx.loop, EPIO_FOREVER, 0) > 0);
        }
        check(others[i]->result >= 0);
    }
    check(readers[0].calls > 1);
    (void)thread_join(feeder);
    state.stop = true;
    op_fixture_drain(&fx);
    op_fixture_close(stream);
    check(handle_close(ends[1]));
    op_fixture_close(state.file);
    op_fixture_teardown(&fx);
}

/* The same inside one epio_loop_run, which only a timer ends. */
static void stop_the_readers(tracked *one)
{
    endless *state = one->user;
    state->stop = true;
}

static void endless_reads_starve_no_timer(fixture *f)
{
    op_fixture fx;
    endless state = {.stop = false};
    tracked reader;
    tracked sleep;
    op_fixture_setup(&fx, f);
    state.file = op_fixture_open(&fx, fx.os, "file");
    epio_submit(epio_read(track(&reader), state.file, state.into, 4096, 0));
    reader.then = read_again;
    reader.user = &state;
    uint64_t started = system_monotonic_ns();
    epio_submit(epio_sleep(track(&sleep), fx.os, 10 * MILLISECOND));
    sleep.then = stop_the_readers;
    sleep.user = &state;
    (void)epio_loop_run(fx.loop);
    check(system_monotonic_ns() - started < 10 * MILLISECOND + tolerance());
    check(reader.calls > 1);
    op_fixture_close(state.file);
    op_fixture_teardown(&fx);
}

/* Blocked ops do not delay cached reads. */
static void cached_reads_pass_what_is_slow(fixture *f)
{
    op_fixture fx;
    char into[4096];
    char byte;
    fillers work;
    fillers flush;
    fillers path;
    fillers write;
    fillers closes;
    tracked stream_read;
    tracked stream_open;
    tracked one;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "file");
    intptr_t other;
    epio_file *stream = op_fixture_open_stream(&fx, fx.os, "fifo", &other);
    epio_submit(epio_read(track(&stream_read), stream, &byte, 1, 0));
    track(&stream_open);
    if (SYSTEM_HAS_FIFOS) {
        fifo_make(fixture_path(fx.f, "unread"));
        epio_submit(
            epio_open(&stream_open.op, fx.os, fixture_path(fx.f, "unread"), EPIO_OPEN_WRITE));
    }
    op_fixture_run_for(&fx, 2 * MILLISECOND);
    gate_shut(&fx);
    /* Each lane has workers of its own. */
    uint32_t waiting = 0;
    static const lane lanes[] = {LANE_CLOSE, LANE_WORK, LANE_FLUSH, LANE_PATH, LANE_WRITE};
    fillers *const all[] = {&closes, &work, &flush, &path, &write};
    for (int i = 0; i < 5; i++) {
        waiting += fillers_start(&fx, all[i], lanes[i]);
        op_fixture_run_until_waiting(&fx, waiting);
    }
    uint64_t started = system_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        epio_submit(epio_read(track(&one), file, into, sizeof into, 0));
        op_fixture_run_until_done(&fx, &one);
        check_result(one.result, sizeof into);
        memset(&op, 0, sizeof op);
        check_result(epio_wait(epio_read(&op, file, into, sizeof into, 0)), sizeof into);
    }
    check(system_monotonic_ns() - started < 5 * tolerance());
    /* An uncached read gets a worker of its own lane, too. */
    epio_submit(epio_read(track(&one), fx.file, into, 1, 0));
    op_fixture_run_until_waiting(&fx, waiting + 1);
    check_result(stream_read.calls + stream_open.calls, 0);
    for (int i = 0; i < 5; i++) {
        check_result(all[i]->ops[0].calls, 0);
    }
    for (int i = 0; i < 5; i++) {
        fillers_finish(&fx, all[i]);
    }
    op_fixture_run_until_done(&fx, &one);
    epio_cancel(&stream_read.op);
    epio_cancel(&stream_open.op);
    op_fixture_drain(&fx);
    op_fixture_close_stream(stream, other);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(options_are_checked, ON_OS_PERFORM),
        FIXTURE_TEST(backends_by_name, ON_OS_PERFORM),
        FIXTURE_TEST(a_new_loop_is_small, ON_OS_PERFORM),
        FIXTURE_TEST(threads_start_on_demand, ON_OS_PERFORM),
        FIXTURE_TEST(workers_leave, ON_OS_PERFORM),
        FIXTURE_TEST(workers_that_left_are_not_counted, ON_OS_PERFORM),
        FIXTURE_TEST(workers_are_limited, ON_OS_PERFORM),
        FIXTURE_TEST(poll_without_waiting, ON_OS_PERFORM),
        FIXTURE_TEST(poll_for_a_while, ON_OS_PERFORM),
        FIXTURE_TEST(poll_delivers_at_most, ON_OS_PERFORM),
        FIXTURE_TEST(wake_ends_a_poll, ON_OS_PERFORM),
        FIXTURE_TEST(stop_ends_a_run, ON_OS_PERFORM),
        FIXTURE_TEST(stop_among_wakes, ON_OS_PERFORM),
        FIXTURE_TEST(never_from_inside_submit, ON_OS_PERFORM),
        FIXTURE_TEST(what_is_unreferenced_keeps_no_run_going, ON_OS_PERFORM),
        FIXTURE_TEST(pending_is_counted, ON_OS_PERFORM),
        FIXTURE_TEST(a_done_resubmits_its_op, ON_OS_PERFORM),
        FIXTURE_TEST(an_iteration_ends, ON_OS_PERFORM),
        FIXTURE_TEST(a_done_frees_its_op, ON_OS_PERFORM),
        FIXTURE_TEST(a_nested_poll_finds_all_that_is_ready, ON_OS_PERFORM),
        FIXTURE_TEST(a_nested_poll_waits, ON_OS_PERFORM),
        FIXTURE_TEST(a_nested_wait, ON_OS_PERFORM),
        FIXTURE_TEST(waits_inside_waits, ON_OS_PERFORM),
        FIXTURE_TEST(endless_reads_starve_no_op, ON_OS_PERFORM),
        FIXTURE_TEST(endless_reads_starve_no_timer, ON_OS_PERFORM),
        FIXTURE_TEST(cached_reads_pass_what_is_slow, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("loop", tests);
}
