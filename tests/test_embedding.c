/* A loop embedded in another: its handle in a plain loop of waits and in GLib's, and the on_ready
 * function. */
#include "support.h"

#include <stdatomic.h>

#ifdef EPIO_TEST_GLIB
#include <glib-unix.h>
#endif

/* Timeout of what must happen; time in which nothing may happen. */
#define PATIENCE_MS 20000
#define SILENCE_MS 30

/* ---- A foreign loop ------------------------------------------------------ */

static intptr_t handle_of(fixture *f)
{
    intptr_t handle = epio_loop_handle(f->loop);
    check(handle >= 0);
    check(epio_loop_handle(f->loop) == handle);
    return handle;
}

static bool readable_within(intptr_t handle, int milliseconds)
{
    return handle_is_ready(handle, milliseconds);
}

/* Polls only when the handle is ready, until nothing is in flight. */
static uint64_t drive(fixture *f, intptr_t handle, uint32_t max)
{
    uint64_t delivered = 0;
    while (epio_loop_pending(f->loop) != 0) {
        check(readable_within(handle, PATIENCE_MS));
        uint64_t count = epio_loop_poll(f->loop, 0, max);
        check(max == 0 || count <= max);
        delivered += count;
    }
    return delivered;
}

/* The handle may still be readable for the last ops; then it must stay quiet. */
static void check_quiet(fixture *f, intptr_t handle)
{
    while (readable_within(handle, SILENCE_MS)) {
        static int spurious;
        check_result(epio_loop_poll(f->loop, 0, 0), 0);
        check(++spurious < 10000);
    }
    check(!readable_within(handle, SILENCE_MS));
}

/* ---- The handle ----------------------------------------------------------- */

static void drive_files(fixture *f, uint32_t max)
{
    enum { COUNT = 20 };
    static epio_op ops[COUNT];
    static char data[COUNT][100];
    epio_op op = {0};
    epio_op sync = {0};
    int calls = 0;
    intptr_t handle = handle_of(f);
    check_quiet(f, handle);
    epio_submit(epio_open(count_delivery(&op, &calls), f->vfs, fixture_path(f, "data"),
                          EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));
    check(drive(f, handle, max) == 1);
    epio_file *file = op.file;
    for (size_t i = 0; i < COUNT; i++) {
        memset(&ops[i], 0, sizeof ops[i]);
        memset(data[i], (int)i, 100);
        epio_submit(epio_write(count_delivery(&ops[i], &calls), file, data[i], 100, 100 * i));
    }
    epio_submit(epio_sync(count_delivery(&sync, &calls), file, 0));
    check(drive(f, handle, max) == COUNT + 1);
    for (size_t i = 0; i < COUNT; i++) {
        memset(data[i], 0xee, 100);
        epio_submit(epio_read(count_delivery(&ops[i], &calls), file, data[i], 100, 100 * i));
    }
    check(drive(f, handle, max) == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        check_bytes(data[i], (unsigned char)i, 100);
    }
    epio_submit(epio_close(count_delivery(&op, &calls), file));
    check(drive(f, handle, max) == 1);
    check(calls == 2 * COUNT + 3);
    check_quiet(f, handle);
}

static void handle_drives_files(fixture *f)
{
    drive_files(f, 0);
    drive_files(f, 1);
}

static void handle_signals_timers(fixture *f)
{
    epio_op ops[3] = {{0}, {0}, {0}};
    int calls = 0;
    intptr_t handle = handle_of(f);
    uint64_t started = system_monotonic_ns();
    epio_submit(epio_sleep(count_delivery(&ops[0], &calls), f->vfs, 60 * MILLISECOND));
    epio_submit(epio_sleep(count_delivery(&ops[1], &calls), f->vfs, 30 * MILLISECOND));
    while (calls == 0) {
        check(readable_within(handle, PATIENCE_MS));
        (void)epio_loop_poll(f->loop, 0, 0);
        check(calls == 0 || system_monotonic_ns() - started >= 30 * MILLISECOND);
    }
    check_result(ops[1].result, 30 * (int64_t)MILLISECOND);
    int calls_before = calls;
    /* A slow machine may have delivered both at once. */
    check(drive(f, handle, 0) == (uint64_t)(2 - calls_before));
    check(system_monotonic_ns() - started >= 60 * MILLISECOND);

    /* A cancelled sleep's time does not count any more. */
    epio_submit(epio_sleep(count_delivery(&ops[0], &calls), f->vfs, 60 * MILLISECOND));
    ops[1].timeout_ns = 60 * MILLISECOND;
    epio_submit(epio_sleep(count_delivery(&ops[1], &calls), f->vfs, 3600000 * MILLISECOND));
    (void)epio_loop_poll(f->loop, 0, 0);
    epio_cancel(&ops[0]);
    epio_cancel(&ops[1]);
    check(drive(f, handle, 0) == 2);
    while (readable_within(handle, 0)) {
        check_result(epio_loop_poll(f->loop, 0, 0), 0);
    }
    check(!readable_within(handle, 150));
}

/* A timer that is not due does not keep the handle readable. */
static void handle_is_still_until_the_timer(fixture *f)
{
    epio_op op = {0};
    intptr_t handle = handle_of(f);
    int wakes = 0;
    epio_submit(epio_sleep(&op, f->vfs, 100 * MILLISECOND));
    while (epio_loop_pending(f->loop) != 0) {
        check(readable_within(handle, PATIENCE_MS));
        (void)epio_loop_poll(f->loop, 0, 0);
        wakes++;
    }
    check(wakes <= 4); /* for the submission, for the expiry, and two spurious ones */
}

static void handle_signals_submissions(fixture *f)
{
    epio_op op = {0};
    char byte = 0;
    intptr_t handle = handle_of(f);
    fixture_put(f, "data", "x", 1);
    epio_file *file = fixture_open(f, "data", EPIO_OPEN_READ);
    check_quiet(f, handle);
    epio_submit(epio_read(&op, file, &byte, 1, 0));
    check(readable_within(handle, PATIENCE_MS));
    check(drive(f, handle, 0) == 1 && byte == 'x');
    check_quiet(f, handle);
    fixture_close(f, file);
}

static void handle_stays_readable_while_something_is_left(fixture *f)
{
    epio_op ops[5];
    int calls = 0;
    intptr_t handle = handle_of(f);
    memset(ops, 0, sizeof ops);
    check_quiet(f, handle);
    for (int i = 0; i < 5; i++) {
        epio_submit(epio_current_time(count_delivery(&ops[i], &calls), f->vfs));
    }
    for (int i = 0; i < 5; i++) {
        check(readable_within(handle, PATIENCE_MS));
        check_result(epio_loop_poll(f->loop, 0, 1), 1);
        check(calls == i + 1);
    }
    check_quiet(f, handle);
}

/* Embedded late: the loop was in use, and ops are ready. */
static void handle_made_late_signals_what_is_ready(fixture *f)
{
    epio_op ops[2] = {{0}, {0}};
    int calls = 0;
    epio_submit(epio_sleep(count_delivery(&ops[0], &calls), f->vfs, 10 * MILLISECOND));
    epio_submit(epio_current_time(count_delivery(&ops[1], &calls), f->vfs));
    intptr_t handle = handle_of(f);
    check(drive(f, handle, 1) == 2);
    check(calls == 2);
    check_quiet(f, handle);
}

static size_t take_some(intptr_t descriptor)
{
    static char some[65536];
    int64_t got = pipe_read(descriptor, some, sizeof some);
    check(got > 0);
    return (size_t)got;
}

static void handle_signals_streams(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0}, reading = {0}, writing = {0};
    static char big[200000];
    static char some[65536];
    char found[4] = "";
    intptr_t handle = handle_of(f);
    pipe_make(ends);
    check_op(f, epio_adopt(&op, f->vfs, ends[0], 0), 0);
    epio_file *reader = op.file;
    check_op(f, epio_adopt(&op, f->vfs, ends[1], 0), 0);
    epio_file *writer = op.file;
    epio_submit(epio_read(&reading, reader, found, 3, 0));
    check_quiet(f, handle); /* the pipe is empty */
    check(pipe_write(ends[1], "abc", 3) == 3);
    check(drive(f, handle, 0) == 1 && strcmp(found, "abc") == 0);
    check_quiet(f, handle);

    /* More than a pipe holds: continues as the reader reads. */
    epio_submit(epio_write(&writing, writer, big, sizeof big, 0));
    size_t got = 0;
    while (epio_op_pending(&writing)) {
        /* Where a write is one system call, the handle is signalled only at its end. */
        int patience = got < sizeof big ? 100 : PATIENCE_MS;
        check(readable_within(handle, patience) || got < sizeof big);
        (void)epio_loop_poll(f->loop, 0, 0);
        got += (size_t)pipe_read_some(ends[0], some, sizeof some);
    }
    check_result(writing.result, sizeof big);
    while (got < sizeof big) {
        got += take_some(ends[0]);
    }
    check_quiet(f, handle);
    fixture_close(f, reader);
    fixture_close(f, writer);
}

/* The handle is not signalled for what a poll completed itself. */
static void one_poll_is_enough(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0}, reading = {0};
    char found[4] = "";
    intptr_t handle = handle_of(f);
    pipe_make(ends);
    check_op(f, epio_adopt(&op, f->vfs, ends[0], 0), 0);
    epio_file *reader = op.file;
    epio_submit(epio_read(&reading, reader, found, 3, 0));
    (void)epio_loop_poll(f->loop, 0, 0);
    check_quiet(f, handle);
    check(pipe_write(ends[1], "abc", 3) == 3);
    check(readable_within(handle, PATIENCE_MS));
    check_result(epio_loop_poll(f->loop, 0, 0), 1);
    check(!readable_within(handle, SILENCE_MS));
    check(handle_close(ends[1]));
    fixture_close(f, reader);
}

/* ---- From other threads ----------------------------------------------------- */

typedef struct foreign_thread {
    epio_vfs *vfs;
    epio_semaphore *semaphore;
    epio_op *victim;
    epio_op op;
    atomic_int posted;
} foreign_thread;

static void *submit_from_outside(void *argument)
{
    foreign_thread *one = argument;
    sleep_ns(10 * MILLISECOND);
    require(epio_wait(epio_current_time(&one->op, one->vfs)) > 0);
    epio_cancel(one->victim);
    epio_semaphore_release(one->semaphore, 1);
    return NULL;
}

static void handle_signals_other_threads(fixture *f)
{
    epio_op sleeping = {0}, waiting = {0};
    foreign_thread one = {.vfs = f->vfs, .victim = &sleeping};
    test_thread thread;
    intptr_t handle = handle_of(f);
    check_result(epio_semaphore_create(&one.semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(one.semaphore, 1), 0);
    epio_submit(epio_sleep(&sleeping, f->vfs, 3600000 * MILLISECOND));
    epio_submit(epio_acquire(&waiting, f->vfs, one.semaphore, 1));
    thread_start(&thread, submit_from_outside, &one);
    check(drive(f, handle, 0) + 1 >= 3); /* the thread's op may arrive before the last poll */
    (void)thread_join(thread);
    check_result(sleeping.result, EPIO_ECANCELED);
    check_result(waiting.result, 0);
    epio_semaphore_release(one.semaphore, 1);
    epio_semaphore_destroy(one.semaphore);
    check_quiet(f, handle);
}

#define STORM 4

static unsigned count_of_each(void)
{
    return fixture_is_slow() ? 200 : 2000;
}

static void *submit_many(void *argument)
{
    const foreign_thread *one = argument;
    for (unsigned i = 0; i < count_of_each(); i++) {
        epio_op op = {0};
        require(epio_wait(epio_current_time(&op, one->vfs)) > 0);
    }
    return NULL;
}

/* No wake-up is lost between a poll and the host loop's sleep. */
static void handle_survives_a_storm(fixture *f)
{
    foreign_thread one = {.vfs = f->vfs};
    test_thread threads[STORM];
    intptr_t handle = handle_of(f);
    uint64_t left = (uint64_t)STORM * count_of_each();
    for (size_t i = 0; i < STORM; i++) {
        thread_start(&threads[i], submit_many, &one);
    }
    while (left > 0) {
        check(readable_within(handle, PATIENCE_MS));
        left -= epio_loop_poll(f->loop, 0, 2);
    }
    for (size_t i = 0; i < STORM; i++) {
        (void)thread_join(threads[i]);
    }
    check_quiet(f, handle);
}

/* ---- Inside a `done` ---------------------------------------------------------- */

typedef struct nest {
    fixture *f;
    intptr_t handle;
    int depth;
    int calls;
    bool foreign; /* runs the foreign loop; else polls epio's */
    epio_op ops[12];
} nest;

/* A nested loop in a callback, like a modal dialog. */
static void nest_deeper(epio_op *op)
{
    nest *one = op->user;
    epio_op *mine = &one->ops[1 + 3 * one->depth];
    one->calls++;
    if (one->depth == 3) {
        return;
    }
    one->depth++;
    epio_submit(epio_current_time(count_delivery(&mine[0], &one->calls), one->f->vfs));
    epio_submit(epio_sleep(count_delivery(&mine[1], &one->calls), one->f->vfs, MILLISECOND));
    mine[2].done = nest_deeper;
    mine[2].user = one;
    epio_submit(epio_access(&mine[2], one->f->vfs, one->f->directory, EPIO_ACCESS_EXISTS));
    while (epio_op_pending(&mine[0]) || epio_op_pending(&mine[1]) || epio_op_pending(&mine[2])) {
        if (one->foreign) {
            check(readable_within(one->handle, PATIENCE_MS / 10));
            (void)epio_loop_poll(one->f->loop, 0, 1);
        } else {
            (void)epio_loop_poll(one->f->loop, EPIO_FOREVER, 1);
        }
    }
}

static void nest_loops(fixture *f, bool foreign)
{
    static nest one;
    memset(&one, 0, sizeof one);
    one.f = f;
    one.handle = handle_of(f);
    one.foreign = foreign;
    one.ops[0].done = nest_deeper;
    one.ops[0].user = &one;
    epio_submit(epio_current_time(&one.ops[0], f->vfs));
    epio_submit(epio_current_time(count_delivery(&one.ops[10], &one.calls), f->vfs));
    epio_submit(epio_sleep(count_delivery(&one.ops[11], &one.calls), f->vfs, 5 * MILLISECOND));
    check(drive(f, one.handle, 0) >= 1);
    check(one.calls == 12);
    check_quiet(f, one.handle);
}

static void polls_inside_done(fixture *f)
{
    nest_loops(f, false);
}

static void foreign_loop_runs_inside_done(fixture *f)
{
    nest_loops(f, true);
}

/* ---- Nothing wakes -------------------------------------------------------------- */

static atomic_int ready_calls;

static void count_ready(void *user)
{
    (void)user;
    (void)atomic_fetch_add(&ready_calls, 1);
}

/* ---- The on_ready function ------------------------------------------------------- */

static bool ready_calls_are(int calls)
{
    for (int i = 0; i < PATIENCE_MS && atomic_load(&ready_calls) < calls; i++) {
        sleep_ns(MILLISECOND);
    }
    sleep_ns(SILENCE_MS * MILLISECOND); /* and no more */
    return atomic_load(&ready_calls) == calls;
}

static void ready_is_called_once_a_batch(fixture *f)
{
    epio_op ops[10];
    int calls = 0;
    memset(ops, 0, sizeof ops);
    atomic_store(&ready_calls, 0);
    check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
    check(ready_calls_are(0));
    for (int i = 0; i < 10; i++) {
        epio_submit(epio_current_time(count_delivery(&ops[i], &calls), f->vfs));
    }
    check(ready_calls_are(1));
    check_result(epio_loop_poll(f->loop, 0, 3), 3);
    check(ready_calls_are(2)); /* seven are left */
    check_result(epio_loop_poll(f->loop, 0, 6), 6);
    check(ready_calls_are(3));
    check_result(epio_loop_poll(f->loop, 0, 0), 1);
    check(ready_calls_are(3));
    /* A sleep that is over when this thread gets the processor back ends in the poll, which
       leaves nothing to be called for. */
    uint64_t duration = 20 * MILLISECOND;
    int before;
    do {
        calls = 10;
        before = atomic_load(&ready_calls);
        epio_submit(epio_sleep(count_delivery(&ops[0], &calls), f->vfs, duration));
        (void)epio_loop_poll(f->loop, 0, 0);
        duration *= 2;
    } while (calls == 11);
    for (int i = 0; i < PATIENCE_MS && atomic_load(&ready_calls) == before; i++) {
        sleep_ns(MILLISECOND);
    }
    check(atomic_load(&ready_calls) > before); /* for the sleep, or for its submission */
    while (calls < 11) {
        (void)epio_loop_poll(f->loop, 0, 0);
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
}

static void *submit_and_note(void *argument)
{
    foreign_thread *one = argument;
    memset(&one->op, 0, sizeof one->op);
    epio_submit(epio_current_time(&one->op, one->vfs));
    return NULL;
}

static void submit_elsewhere(foreign_thread *one)
{
    test_thread thread;
    thread_start(&thread, submit_and_note, one);
    (void)thread_join(thread);
}

#define LARGE ((size_t)256 << 10)

static int reads_left;

static void read_again(epio_op *op)
{
    check_result(op->result, LARGE);
    if (reads_left-- > 0) {
        epio_submit(epio_read(op, op->file, op->user, LARGE, 0));
    }
}

/* A host that handles one message per call would fall behind. */
static void calls_do_not_pile_up(fixture *f)
{
    enum { SLOTS = 8, READS = 2000 };
    static epio_op ops[SLOTS];
    static char found[SLOTS][LARGE];
    int handled = 0;
    int most = 0;
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, found[0], LARGE, 0);
    atomic_store(&ready_calls, 0);
    check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
    reads_left = READS;
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < SLOTS; i++) {
        ops[i].done = read_again;
        ops[i].user = found[i];
        epio_submit(epio_read(&ops[i], file, found[i], LARGE, 0));
    }
    while (epio_loop_pending(f->loop) != 0) {
        int waiting = atomic_load(&ready_calls) - handled;
        most = waiting > most ? waiting : most;
        if (waiting > 0) {
            handled++;
            (void)epio_loop_poll(f->loop, 0, 0);
        } else {
            thread_yield();
        }
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    check(most <= 2);
    fixture_close(f, file);
}

static void ready_is_called_for_other_threads(fixture *f)
{
    foreign_thread one = {.vfs = f->vfs};
    atomic_store(&ready_calls, 0);
    check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
    for (int i = 1; i <= 5; i++) {
        submit_elsewhere(&one);
        check(ready_calls_are(i));
        while (epio_op_pending(&one.op)) {
            (void)epio_loop_poll(f->loop, 0, 0);
        }
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
}

/* A function that is set while ops are ready is called for them. */
static void ready_is_called_for_what_came_before_it(fixture *f)
{
    foreign_thread one = {.vfs = f->vfs};
    for (int i = 0; i < 3; i++) {
        atomic_store(&ready_calls, 0);
        check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
        check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
        submit_elsewhere(&one);
        sleep_ns(SILENCE_MS * MILLISECOND);
        check_result(atomic_load(&ready_calls), 0);
        check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
        check(ready_calls_are(1));
        while (epio_op_pending(&one.op)) {
            (void)epio_loop_poll(f->loop, 0, 0);
        }
        check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    }
}

static atomic_int inside_ready;
static atomic_int ready_removed;

static void slow_ready(void *user)
{
    (void)user;
    atomic_store(&inside_ready, 1);
    require(atomic_load(&ready_removed) == 0);
    sleep_ns(30 * MILLISECOND);
    require(atomic_load(&ready_removed) == 0);
    atomic_store(&inside_ready, 2);
}

static void removal_waits_for_a_running_call(fixture *f)
{
    foreign_thread one = {.vfs = f->vfs};
    atomic_store(&inside_ready, 0);
    atomic_store(&ready_removed, 0);
    check_result(epio_loop_on_ready(f->loop, slow_ready, NULL), 0);
    submit_elsewhere(&one);
    for (int i = 0; i < PATIENCE_MS && atomic_load(&inside_ready) == 0; i++) {
        sleep_ns(MILLISECOND);
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    atomic_store(&ready_removed, 1);
    check(atomic_load(&inside_ready) == 2);
    for (int i = 0; i < 3; i++) {
        while (epio_op_pending(&one.op)) {
            (void)epio_loop_poll(f->loop, 0, 0);
        }
        submit_elsewhere(&one);
        sleep_ns(5 * MILLISECOND);
    }
    while (epio_op_pending(&one.op)) {
        (void)epio_loop_poll(f->loop, 0, 0);
    }
}

/* A thread submits all the time; after the removal not one call comes. */
static void check_not_removed(void *user)
{
    const atomic_int *removed = user;
    require(atomic_load(removed) == 0);
}

static void no_call_after_removal(fixture *f)
{
    foreign_thread one = {.vfs = f->vfs};
    test_thread thread;
    static atomic_int removed[50];
    uint64_t left = count_of_each();
    thread_start(&thread, submit_many, &one);
    for (size_t i = 0; i < 50; i++) {
        atomic_store(&removed[i], 0);
        check_result(epio_loop_on_ready(f->loop, check_not_removed, &removed[i]), 0);
        for (int j = 0; j < 10; j++) {
            left -= epio_loop_poll(f->loop, MILLISECOND / 10, 0);
        }
        if (i % 2 == 0) {
            check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
        } else {
            check_result(epio_loop_on_ready(f->loop, count_ready, NULL), 0);
        }
        atomic_store(&removed[i], 1);
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    while (left > 0) {
        left -= epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    (void)thread_join(thread);
}

/* While the loop is detached the function may take it, and replace itself. */
static void replace_from_inside(void *user)
{
    epio_loop *loop = user;
    require(epio_loop_on_ready(loop, count_ready, NULL) == 0);
    epio_loop_detach(loop);
    atomic_store(&inside_ready, 1);
}

static void ready_replaces_itself(fixture *f)
{
    foreign_thread one = {.vfs = f->vfs};
    atomic_store(&ready_calls, 0);
    atomic_store(&inside_ready, 0);
    check_result(epio_loop_on_ready(f->loop, replace_from_inside, f->loop), 0);
    epio_loop_detach(f->loop);
    submit_elsewhere(&one);
    for (int i = 0; i < PATIENCE_MS && atomic_load(&inside_ready) == 0; i++) {
        sleep_ns(MILLISECOND);
    }
    check(atomic_load(&inside_ready) == 1);
    while (epio_op_pending(&one.op)) {
        (void)epio_loop_poll(f->loop, 0, 0);
    }
    int calls = atomic_load(&ready_calls);
    submit_elsewhere(&one);
    for (int i = 0; i < PATIENCE_MS && atomic_load(&ready_calls) == calls; i++) {
        sleep_ns(MILLISECOND);
    }
    check(atomic_load(&ready_calls) > calls);
    while (epio_op_pending(&one.op)) {
        (void)epio_loop_poll(f->loop, 0, 0);
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
}

/* ---- The budget of a poll --------------------------------------------------- */

/* A loop with a budget, unlike the fixture's, and a VFS as the setting says. */
typedef struct poll_fixture {
    epio_loop *loop;
    intptr_t handle;
    epio_semaphore *semaphore;
    epio_vfs *memory;
    epio_vfs *layer;
    epio_vfs *vfs;
} poll_fixture;

#define ON_EACH_LAYER (ON_OS | ON_MEMORY | ON_LIMIT_OS | ON_LIMIT_MEMORY | ON_TRACE_OS)

#define MANY 100

static void poll_fixture_setup(poll_fixture *one, fixture *f, uint64_t budget)
{
    epio_loop_options options = {.size = sizeof options, .poll_budget_ns = budget};
    memset(one, 0, sizeof *one);
    one->handle = NO_HANDLE;
    check_result(epio_loop_create(&one->loop, &options), 0);
    one->vfs = epio_loop_vfs(one->loop);
    if (f->memory) {
        check_result(epio_memory_vfs_create(&one->memory, one->loop), 0);
        one->vfs = one->memory;
    }
    if (f->semaphore != NULL) {
        check_result(epio_semaphore_create(&one->semaphore, 2 * MANY), 0);
        check_result(epio_limit_vfs_create(&one->layer, one->vfs, one->semaphore), 0);
    } else if (f->on == ON_TRACE_OS) {
        check_result(epio_trace_vfs_create(&one->layer, one->vfs), 0);
    }
    one->vfs = one->layer != NULL ? one->layer : one->vfs;
}

static void poll_fixture_embed(poll_fixture *one)
{
    one->handle = epio_loop_handle(one->loop);
    check(one->handle >= 0);
}

static void poll_fixture_teardown(poll_fixture *one)
{
    check_result(epio_loop_pending(one->loop), 0);
    epio_vfs_destroy(one->layer);
    epio_semaphore_destroy(one->semaphore);
    epio_vfs_destroy(one->memory);
    epio_loop_destroy(one->loop);
}

static uint64_t ready_now(const poll_fixture *one)
{
    epio_loop_stats statistics = {.size = sizeof statistics};
    check_result(epio_loop_get_stats(one->loop, &statistics), 0);
    return statistics.ready_now;
}

static epio_op many[MANY];
static int many_calls;

/* Called in order, and busy for that time. */
static void spin_for(epio_op *op, uint64_t nanoseconds)
{
    uint64_t started = system_monotonic_ns();
    check(op == &many[many_calls]);
    many_calls++;
    while (system_monotonic_ns() - started < nanoseconds) {
    }
}

static void count_in_order(epio_op *op)
{
    check(op == &many[many_calls]);
    many_calls++;
}

static void submit_all(epio_vfs *vfs, void (*done)(epio_op *op))
{
    memset(many, 0, sizeof many);
    many_calls = 0;
    for (size_t i = 0; i < MANY; i++) {
        many[i].done = done;
        epio_submit(epio_current_time(&many[i], vfs));
    }
}

/* Polls like a host; each poll delivers at least one, and at most `most`. */
static void drive_polls(poll_fixture *one, uint64_t most)
{
    uint64_t delivered = 0;
    while (delivered < MANY) {
        check(readable_within(one->handle, PATIENCE_MS));
        uint64_t count = epio_loop_poll(one->loop, 0, 0);
        check(count >= 1 && count <= most);
        delivered += count;
        check_result(many_calls, delivered);
    }
    check_result(epio_loop_pending(one->loop), 0);
}

static void spin_long(epio_op *op)
{
    spin_for(op, MILLISECOND);
}

/* All of them exceed the budget several times. */
static void spin_briefly(epio_op *op)
{
    spin_for(op, MILLISECOND / 4);
}

/* A millisecond each: the budget has room for at most five. */
static void a_poll_leaves_busy_callbacks_for_the_next(fixture *f)
{
    poll_fixture one;
    poll_fixture_setup(&one, f, 0);
    poll_fixture_embed(&one);
    submit_all(one.vfs, spin_long);
    drive_polls(&one, 5);
    poll_fixture_teardown(&one);
}

static void without_a_host_a_poll_delivers_all(fixture *f)
{
    poll_fixture one;
    poll_fixture_setup(&one, f, 0);
    submit_all(one.vfs, spin_briefly);
    check_result(epio_loop_poll(one.loop, 0, 0), MANY);
    check_result(many_calls, MANY);
    poll_fixture_teardown(&one);
}

static void a_poll_without_a_limit_delivers_all(fixture *f)
{
    poll_fixture one;
    poll_fixture_setup(&one, f, EPIO_FOREVER);
    poll_fixture_embed(&one);
    submit_all(one.vfs, spin_briefly);
    check(readable_within(one.handle, PATIENCE_MS));
    check_result(epio_loop_poll(one.loop, 0, 0), MANY);
    poll_fixture_teardown(&one);
}

static void the_shortest_poll_delivers_one(fixture *f)
{
    poll_fixture one;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    submit_all(one.vfs, count_in_order);
    drive_polls(&one, 1);
    poll_fixture_teardown(&one);
}

static void a_run_of_an_embedded_loop_has_no_limit(fixture *f)
{
    poll_fixture one;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    submit_all(one.vfs, count_in_order);
    check_result(epio_loop_run(one.loop), MANY);
    poll_fixture_teardown(&one);
}

static void a_poll_leaves_timers_for_the_next(fixture *f)
{
    poll_fixture one;
    int calls = 0;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < MANY; i++) {
        epio_submit(epio_sleep(count_delivery(&many[i], &calls), one.vfs, 1));
    }
    sleep_us(10);
    for (int i = 0; i < MANY; i++) {
        check(readable_within(one.handle, PATIENCE_MS));
        check_result(epio_loop_poll(one.loop, 0, 0), 1);
        check(ready_now(&one) <= (uint64_t)i + 1); /* at most two arrive for each one delivered */
        check_result(calls, i + 1);
    }
    poll_fixture_teardown(&one);
}

static void *submit_all_elsewhere(void *vfs)
{
    submit_all(vfs, count_in_order);
    return NULL;
}

static void a_poll_leaves_the_inbox_for_the_next(fixture *f)
{
    poll_fixture one;
    test_thread thread;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    thread_start(&thread, submit_all_elsewhere, one.vfs);
    (void)thread_join(thread);
    for (int i = 0; i < MANY; i++) {
        check(readable_within(one.handle, PATIENCE_MS));
        check_result(epio_loop_poll(one.loop, 0, 0), 1);
        check(ready_now(&one) <= (uint64_t)i + 1); /* no more arrive than the budget allows */
    }
    check_result(many_calls, MANY);
    poll_fixture_teardown(&one);
}

static void *submit_sleeps_elsewhere(void *vfs)
{
    memset(many, 0, sizeof many);
    many_calls = 0;
    for (size_t i = 0; i + 1 < MANY; i++) {
        epio_submit(epio_sleep(&many[i], vfs, 3600000 * MILLISECOND));
    }
    epio_submit(epio_current_time(count_delivery(&many[MANY - 1], &many_calls), vfs));
    return NULL;
}

/* None of them is ready. */
static void what_is_left_of_the_inbox_makes_the_handle_readable(fixture *f)
{
    poll_fixture one;
    test_thread thread;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    thread_start(&thread, submit_sleeps_elsewhere, one.vfs);
    (void)thread_join(thread);
    while (many_calls == 0) {
        check(readable_within(one.handle, PATIENCE_MS));
        check(epio_loop_poll(one.loop, 0, 0) <= 1);
    }
    check_result(epio_loop_close(one.loop, EPIO_FOREVER), 0);
    poll_fixture_teardown(&one);
}

static void *submit_and_cancel_elsewhere(void *vfs)
{
    memset(many, 0, sizeof many);
    many_calls = 0;
    for (size_t i = 0; i < MANY; i++) {
        epio_submit(epio_sleep(count_delivery(&many[i], &many_calls), vfs, 3600000 * MILLISECOND));
    }
    for (size_t i = 0; i < MANY; i++) {
        epio_cancel(&many[i]);
    }
    return NULL;
}

/* No op is cancelled before it arrives. */
static void a_poll_leaves_cancels_behind_the_inbox(fixture *f)
{
    poll_fixture one;
    test_thread thread;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    thread_start(&thread, submit_and_cancel_elsewhere, one.vfs);
    (void)thread_join(thread);
    while (epio_loop_pending(one.loop) != 0) {
        check(readable_within(one.handle, PATIENCE_MS));
        check(epio_loop_poll(one.loop, 0, 0) <= 1);
    }
    check_result(many_calls, MANY);
    for (size_t i = 0; i < MANY; i++) {
        check_result(many[i].result, EPIO_ECANCELED);
    }
    poll_fixture_teardown(&one);
}

static void a_poll_leaves_reads_for_the_next(fixture *f)
{
    enum { READS = 20, LENGTH = 1 << 20 };
    static char into[LENGTH];
    poll_fixture one;
    int calls = 0;
    epio_op op = {0};
    epio_loop_stats now = {.size = sizeof now};
    if (!SYSTEM_REPORTS_CACHED) {
        fixture_skip(f, "a worker reads");
    }
    fixture_put(f, "cached", into, LENGTH);
    poll_fixture_setup(&one, f, 1);
    check_result(epio_wait(epio_open(&op, one.vfs, fixture_path(f, "cached"), EPIO_OPEN_READ)), 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_read(&op, file, into, 1, 0)), 1);
    poll_fixture_embed(&one);
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < READS; i++) {
        epio_submit(epio_read(count_delivery(&many[i], &calls), file, into, LENGTH, 0));
    }
    check_result(epio_loop_get_stats(one.loop, &now), 0);
    uint64_t left = now.deferred_now;
    while (left > 0) {
        check(readable_within(one.handle, PATIENCE_MS));
        check(epio_loop_poll(one.loop, 0, 0) <= 1);
        check_result(epio_loop_get_stats(one.loop, &now), 0);
        check(now.deferred_now + 1 >= left); /* at most one was read */
        left = now.deferred_now;
    }
    while (calls < READS) {
        check(readable_within(one.handle, PATIENCE_MS));
        check(epio_loop_poll(one.loop, 0, 0) <= 1);
    }
    check_result(epio_wait(epio_close(&op, file)), 0);
    poll_fixture_teardown(&one);
}

static void poll_once_more(epio_op *op)
{
    poll_fixture *one = op->user;
    many_calls++;
    if (op == &many[0]) {
        check_result(epio_loop_poll(one->loop, 0, 0), 1); /* the nested poll has its own budget */
        check_result(many_calls, 2);
    }
}

static void a_poll_inside_done_has_a_time_of_its_own(fixture *f)
{
    poll_fixture one;
    poll_fixture_setup(&one, f, 1);
    poll_fixture_embed(&one);
    memset(many, 0, sizeof many);
    many_calls = 0;
    for (size_t i = 0; i < 10; i++) {
        many[i].done = poll_once_more;
        many[i].user = &one;
        epio_submit(epio_current_time(&many[i], one.vfs));
    }
    check_result(epio_loop_poll(one.loop, 0, 0), 2);
    for (int i = 0; i < 8; i++) {
        check_result(epio_loop_poll(one.loop, 0, 0), 1);
    }
    poll_fixture_teardown(&one);
}

static void count_calls(void *user)
{
    (void)atomic_fetch_add((atomic_int *)user, 1);
}

static void ready_is_called_for_what_a_poll_left(fixture *f)
{
    poll_fixture one;
    atomic_int wishes;
    atomic_init(&wishes, 0);
    poll_fixture_setup(&one, f, 1);
    check_result(epio_loop_on_ready(one.loop, count_calls, &wishes), 0);
    submit_all(one.vfs, count_in_order);
    for (int i = 0; i < MANY; i++) {
        uint64_t deadline = system_monotonic_ns() + PATIENCE_MS * MILLISECOND;
        while (atomic_load(&wishes) == 0) {
            check(system_monotonic_ns() < deadline);
            thread_yield();
        }
        atomic_store(&wishes, 0);
        check_result(epio_loop_poll(one.loop, 0, 0), 1);
    }
    check_result(epio_loop_on_ready(one.loop, NULL, NULL), 0);
    poll_fixture_teardown(&one);
}

/* ---- GLib --------------------------------------------------------------------------- */

#ifdef EPIO_TEST_GLIB

typedef struct glib_test {
    fixture *f;
    GMainLoop *main;
    epio_file *file;
    int calls;
    int left;
    char data[64];
    epio_op ops[16];
    epio_op nested[2];
} glib_test;

static gboolean on_handle(gint handle, GIOCondition condition, gpointer user)
{
    glib_test *one = user;
    (void)handle;
    (void)condition;
    (void)epio_loop_poll(one->f->loop, 0, 4);
    return G_SOURCE_CONTINUE;
}

static void glib_count(epio_op *op)
{
    glib_test *one = op->user;
    one->calls++;
    if (--one->left == 0) {
        g_main_loop_quit(one->main);
    }
}

static epio_op *glib_op(glib_test *one, epio_op *op)
{
    op->done = glib_count;
    op->user = one;
    one->left++;
    return op;
}

static void glib_opened(epio_op *op)
{
    glib_test *one = op->user;
    check_result(op->result, 0);
    one->file = op->file;
    for (size_t i = 1; i < 9; i++) {
        epio_submit(epio_write(glib_op(one, &one->ops[i]), one->file, one->data, 8, 8 * i));
    }
    epio_submit(epio_sync(glib_op(one, &one->ops[9]), one->file, 0));
    epio_submit(epio_sleep(glib_op(one, &one->ops[10]), one->f->vfs, 5 * MILLISECOND));
    glib_count(op);
}

static gboolean give_up(gpointer user)
{
    glib_test *one = user;
    one->calls = -1000;
    g_main_loop_quit(one->main);
    return G_SOURCE_CONTINUE;
}

static void runs_in_glib(fixture *f)
{
    static glib_test one;
    epio_op op = {0};
    memset(&one, 0, sizeof one);
    one.f = f;
    one.main = g_main_loop_new(NULL, FALSE);
    guint watch = g_unix_fd_add((gint)handle_of(f), G_IO_IN, on_handle, &one);
    guint guard = g_timeout_add(PATIENCE_MS, give_up, &one);
    glib_op(&one, &one.ops[0])->done = glib_opened;
    epio_submit(epio_open(&one.ops[0], f->vfs, fixture_path(f, "data"),
                          EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));
    g_main_loop_run(one.main);
    check(one.calls == 11);
    check(g_source_remove(watch));
    check(g_source_remove(guard));
    g_main_loop_unref(one.main);
    check_op(f, epio_close(&op, one.file), 0);
}

static gboolean poll_loop(gpointer user)
{
    glib_test *one = user;
    (void)epio_loop_poll(one->f->loop, 0, 0);
    return G_SOURCE_REMOVE;
}

static void post_to_glib(void *user)
{
    (void)g_idle_add(poll_loop, user);
}

static void glib_runs_by_on_ready(fixture *f)
{
    static glib_test one;
    memset(&one, 0, sizeof one);
    one.f = f;
    one.main = g_main_loop_new(NULL, FALSE);
    guint guard = g_timeout_add(PATIENCE_MS, give_up, &one);
    check_result(epio_loop_on_ready(f->loop, post_to_glib, &one), 0);
    for (size_t i = 0; i < 5; i++) {
        epio_submit(epio_sleep(glib_op(&one, &one.ops[i]), f->vfs, i * 5 * MILLISECOND));
        epio_submit(
            epio_access(glib_op(&one, &one.ops[5 + i]), f->vfs, f->directory, EPIO_ACCESS_EXISTS));
    }
    g_main_loop_run(one.main);
    check(one.calls == 10);
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    check(g_source_remove(guard));
    g_main_loop_unref(one.main);
}

#else

static void runs_in_glib(fixture *f)
{
    fixture_skip(f, "GLib is not there");
}

static void glib_runs_by_on_ready(fixture *f)
{
    fixture_skip(f, "GLib is not there");
}

#endif

static const fixture_test tests[] = {
    FIXTURE_TEST(handle_drives_files, ON_OS | ON_MEMORY | ON_LIMIT_OS | ON_LIMIT_MEMORY),
    FIXTURE_TEST(handle_signals_timers, ON_OS),
    FIXTURE_TEST(handle_is_still_until_the_timer, ON_OS),
    FIXTURE_TEST(handle_signals_submissions, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(handle_stays_readable_while_something_is_left, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(handle_made_late_signals_what_is_ready, ON_OS),
    FIXTURE_TEST(one_poll_is_enough, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(handle_signals_streams, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(handle_signals_other_threads, ON_OS),
    FIXTURE_TEST(handle_survives_a_storm, ON_OS),
    FIXTURE_TEST(polls_inside_done, ON_OS),
    FIXTURE_TEST(foreign_loop_runs_inside_done, ON_OS),
    FIXTURE_TEST(ready_is_called_once_a_batch, ON_OS),
    FIXTURE_TEST(calls_do_not_pile_up, ON_OS),
    FIXTURE_TEST(ready_is_called_for_other_threads, ON_OS),
    FIXTURE_TEST(ready_is_called_for_what_came_before_it, ON_OS),
    FIXTURE_TEST(removal_waits_for_a_running_call, ON_OS),
    FIXTURE_TEST(no_call_after_removal, ON_OS),
    FIXTURE_TEST(ready_replaces_itself, ON_OS),
    FIXTURE_TEST(a_poll_leaves_busy_callbacks_for_the_next, ON_EACH_LAYER),
    FIXTURE_TEST(without_a_host_a_poll_delivers_all, ON_EACH_LAYER),
    FIXTURE_TEST(a_poll_without_a_limit_delivers_all, ON_EACH_LAYER),
    FIXTURE_TEST(the_shortest_poll_delivers_one, ON_EACH_LAYER),
    FIXTURE_TEST(a_run_of_an_embedded_loop_has_no_limit, ON_EACH_LAYER),
    FIXTURE_TEST(a_poll_leaves_timers_for_the_next, ON_OS | ON_MEMORY),
    FIXTURE_TEST(a_poll_leaves_the_inbox_for_the_next, ON_EACH_LAYER),
    FIXTURE_TEST(what_is_left_of_the_inbox_makes_the_handle_readable, ON_EACH_LAYER),
    FIXTURE_TEST(a_poll_leaves_cancels_behind_the_inbox, ON_EACH_LAYER),
    FIXTURE_TEST(a_poll_leaves_reads_for_the_next, ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
    FIXTURE_TEST(a_poll_inside_done_has_a_time_of_its_own, ON_OS | ON_MEMORY),
    FIXTURE_TEST(ready_is_called_for_what_a_poll_left, ON_EACH_LAYER),
    FIXTURE_TEST_POSIX(runs_in_glib, ON_OS, "GLib waits for descriptors"),
    FIXTURE_TEST_POSIX(glib_runs_by_on_ready, ON_OS, "GLib is not there"),
};

int main(void)
{
#ifdef EPIO_TEST_GLIB
    (void)g_main_context_default(); /* opens a descriptor that stays */
#endif
    return FIXTURE_RUN("embedding", tests);
}
