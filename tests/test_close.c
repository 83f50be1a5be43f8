/* Closing: what the close of a file waits for (law 4), and how the close of a loop ends what is in
 * flight. */
#include "op_fixture.h"

#include <errno.h>
#include <stdatomic.h>

static tracked *order[4096];
static size_t delivered;

static void note(tracked *one)
{
    order[delivered++] = one;
}

static epio_op *noted(tracked *one)
{
    track(one);
    one->then = note;
    return &one->op;
}

static bool is_open(intptr_t descriptor)
{
    return handle_is_open(descriptor);
}

/* ---- Files --------------------------------------------------------------- */

static void waits_for_what_came_before(fixture *f)
{
    static char into[8];
    op_fixture fx;
    tracked ops[6];
    tracked close;
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.gate, "closed");
    delivered = 0;
    gate_shut(&fx);
    epio_submit(epio_write(noted(&ops[0]), file, "12345678", 8, 0));
    epio_submit(epio_read(noted(&ops[1]), file, into, 8, 0));
    epio_submit(epio_truncate(noted(&ops[2]), file, 4));
    epio_submit(epio_sync(noted(&ops[3]), file, EPIO_SYNC_FULL));
    epio_submit(epio_size(noted(&ops[4]), file));
    epio_submit(epio_write(noted(&ops[5]), file, "1", 1, 0));
    epio_submit(epio_close(noted(&close), file));
    op_fixture_run_for(&fx, 10 * MILLISECOND);
    check_result(close.calls, 0);
    gate_open(&fx);
    op_fixture_run_until_done(&fx, &close);
    check_result(close.result, 0);
    check_result(delivered, 7);
    check(order[6] == &close);
    for (int i = 0; i < 6; i++) {
        check(ops[i].result >= 0);
    }
    op_fixture_teardown(&fx);
}

static void cannot_be_cancelled_or_timed_out(fixture *f)
{
    op_fixture fx;
    tracked write;
    tracked close;
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        epio_file *file = op_fixture_open(&fx, fx.gate, "closed");
        gate_shut(&fx);
        epio_submit(epio_write(track(&write), file, "x", 1, 0));
        track(&close);
        close.op.timeout_ns = MILLISECOND;
        epio_submit(epio_close(&close.op, file));
        op_fixture_cancel(&fx, (cancel_origin)by, &close.op);
        op_fixture_run_for(&fx, 5 * MILLISECOND);
        check_result(close.calls, 0);
        gate_open(&fx);
        op_fixture_run_until_done(&fx, &close);
        check_result(close.result, 0);
        check_result(write.result, 1);
        check_result(close.op.timeout_ns, 0);
    }
    op_fixture_teardown(&fx);
}

/* It runs on a worker already. */
static void cannot_be_cancelled_while_it_runs(fixture *f)
{
    op_fixture fx;
    tracked close;
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        epio_file *file = op_fixture_open(&fx, fx.gate, "closed");
        gate_shut(&fx);
        track(&close);
        close.op.timeout_ns = MILLISECOND;
        epio_submit(epio_close(&close.op, file));
        op_fixture_run_until_waiting(&fx, 1);
        op_fixture_cancel(&fx, (cancel_origin)by, &close.op);
        op_fixture_run_for(&fx, 3 * MILLISECOND);
        check_result(close.calls, 0);
        gate_open(&fx);
        op_fixture_run_until_done(&fx, &close);
        check_result(close.result, 0);
    }
    op_fixture_teardown(&fx);
}

static void waits_for_what_has_no_permit(fixture *f)
{
    op_fixture fx;
    tracked read;
    tracked sync;
    tracked close;
    char byte;
    epio_semaphore *semaphore;
    epio_vfs *limit;
    op_fixture_setup(&fx, f);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, fx.os, semaphore), 0);
    epio_file *file = op_fixture_open(&fx, limit, "file");
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_submit(epio_read(track(&read), file, &byte, 1, 0));
    epio_submit(epio_sync(track(&sync), file, EPIO_SYNC_FULL));
    epio_submit(epio_close(track(&close), file));
    op_fixture_run_for(&fx, 5 * MILLISECOND);
    check_result(read.calls + sync.calls + close.calls, 0);
    epio_semaphore_release(semaphore, 1);
    op_fixture_run_until_done(&fx, &close);
    check_result(read.result, 1);
    check_result(sync.result, 0);
    check_result(close.result, 0);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(semaphore);
    op_fixture_teardown(&fx);
}

static void ends_what_waits_on_a_stream(fixture *f)
{
    static char into[3][10];
    static const char lot[1 << 20];
    op_fixture fx;
    tracked reads[3];
    tracked write;
    tracked other_read;
    tracked close;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *streams[2];
    intptr_t others[2];
    for (int i = 0; i < 2; i++) {
        streams[i] =
            op_fixture_open_stream(&fx, fx.os, i == 0 ? "fifo" : "another fifo", &others[i]);
    }
    for (int i = 0; i < 3; i++) {
        epio_submit(epio_read(track(&reads[i]), streams[0], into[i], 10, 0));
    }
    epio_submit(epio_read(track(&other_read), streams[1], into[0], 10, 0));
    op_fixture_run_for(&fx, MILLISECOND);
    epio_submit(epio_close(track(&close), streams[0]));
    op_fixture_run_until_done(&fx, &close);
    check_result(close.result, 0);
    for (int i = 0; i < 3; i++) {
        check_result(reads[i].calls, 1);
        check_result(reads[i].result, EPIO_ECANCELED);
    }
    check_result(other_read.calls, 0); /* of another file */
    if (others[1] != NO_HANDLE) {
        check(pipe_write(others[1], "hello", 5) == 5);
    } else {
        check_result(epio_wait(epio_write(&op, streams[1], "hello", 5, 0)), 5);
    }
    op_fixture_run_until_done(&fx, &other_read);
    check_result(other_read.result, 5);
    epio_submit(epio_write(track(&write), streams[1], lot, sizeof lot, 0));
    op_fixture_run_for(&fx, MILLISECOND);
    check_result(write.calls, 0);
    epio_submit(epio_close(track(&close), streams[1]));
    op_fixture_run_until_done(&fx, &close);
    check_result(write.calls, 1);
    check_result(write.result, EPIO_ECANCELED);
    for (int i = 0; i < 2; i++) {
        check(others[i] == NO_HANDLE || handle_close(others[i]));
    }
    op_fixture_teardown(&fx);
}

/* From another thread, where stream I/O and close are posted together. */
static void ends_a_stream_from_another_thread(fixture *f)
{
    static char into[10];
    op_fixture fx;
    tracked read;
    tracked close;
    intptr_t other;
    op_fixture_setup(&fx, f);
    epio_file *stream = op_fixture_open_stream(&fx, fx.os, "fifo", &other);
    submit_elsewhere(epio_read(track(&read), stream, into, 10, 0));
    submit_elsewhere(epio_close(track(&close), stream));
    op_fixture_run_until_done(&fx, &close);
    check_result(close.result, 0);
    check_result(read.result, EPIO_ECANCELED);
    check(other == NO_HANDLE || handle_close(other));
    op_fixture_teardown(&fx);
}

static void is_busy_when_performed_with_ops_in_flight(fixture *f)
{
    op_fixture fx;
    tracked write;
    tracked sync;
    epio_op close = {0};
    char into[4];
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.gate, "closed");
    intptr_t descriptor = epio_file_os_handle(file);
    (void)descriptor;
    gate_shut(&fx);
    epio_submit(epio_write(track(&write), file, "data", 4, 0));
    check_result(epio_perform(epio_close(&close, file)), EPIO_EBUSY);
    op_fixture_run_until_waiting(&fx, 1);
    check_result(epio_perform(epio_close(&close, file)), EPIO_EBUSY);
    gate_open(&fx);
    op_fixture_run_until_done(&fx, &write);
    /* Submitted elsewhere and not seen by the owner yet. */
    submit_elsewhere(epio_sync(track(&sync), file, EPIO_SYNC_FULL));
    check_result(epio_perform(epio_close(&close, file)), EPIO_EBUSY);
    gate_shut(&fx);
    op_fixture_run_until_waiting(&fx, 1);
    /* The sync is over, its flush is not. */
    epio_cancel(&sync.op);
    op_fixture_run_until_done(&fx, &sync);
    check_result(epio_perform(epio_close(&close, file)), EPIO_EBUSY);
    gate_open(&fx);
    check_result(epio_wait(epio_read(&op, file, into, 4, 0)), 4);
    check(memcmp(into, "data", 4) == 0);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_perform(epio_close(&close, file)), 0);
    op_fixture_teardown(&fx);
}

/* The close does not report an earlier failure again; the file is closed. */
static void of_a_file_with_a_failed_op(fixture *f)
{
    op_fixture fx;
    tracked bad;
    tracked close;
    char byte;
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "closed");
    intptr_t descriptor = epio_file_os_handle(file);
    check(is_open(descriptor));
    epio_submit(epio_write(track(&bad), file, NULL, 1, 0));
    epio_submit(epio_close(track(&close), file));
    op_fixture_run_until_done(&fx, &close);
    check_result(bad.result, EPIO_EINVAL);
    check_result(close.result, 0);
    check(!is_open(descriptor));
    file = op_fixture_open(&fx, fx.os, "closed");
    epio_submit(epio_read(track(&bad), file, &byte, 1, INT64_MAX));
    op_fixture_run_until_done(&fx, &bad);
    epio_submit(epio_close(track(&close), file));
    op_fixture_run_until_done(&fx, &close);
    check_result(bad.result, EPIO_EINVAL);
    check_result(close.result, 0);
    op_fixture_teardown(&fx);
}

static void reports_an_error_and_frees_the_file(fixture *f)
{
    op_fixture fx;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "closed");
    check(handle_close(epio_file_os_handle(file))); /* unknown to epio */
    check_result(epio_wait(epio_close(&op, file)), EPIO_EBADF);
    check_os_error(&op, OS_ERROR(EBADF));
    op_fixture_teardown(&fx); /* would abort if the file still counted */
}

static void of_many_files_at_once(fixture *f)
{
    enum { FILES = 100 };
    static tracked opens[FILES];
    static tracked writes[FILES];
    static tracked syncs[FILES];
    static tracked closes[FILES];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int i = 0; i < FILES; i++) {
        epio_submit(epio_open(track(&opens[i]), fx.os, NULL, EPIO_OPEN_TEMPORARY));
    }
    op_fixture_drain(&fx);
    for (int i = 0; i < FILES; i++) {
        check_result(opens[i].result, 0);
        epio_submit(epio_write(track(&writes[i]), opens[i].op.file, "x", 1, (uint64_t)i));
        epio_submit(epio_sync(track(&syncs[i]), opens[i].op.file, EPIO_SYNC_DATA_ONLY));
        epio_submit(epio_close(track(&closes[i]), opens[i].op.file));
    }
    op_fixture_drain(&fx);
    for (int i = 0; i < FILES; i++) {
        check_result(writes[i].result, 1);
        check_result(syncs[i].result, 0);
        check_result(closes[i].result, 0);
    }
    op_fixture_teardown(&fx);
}

/* ---- Loops --------------------------------------------------------------- */

static int64_t return_seven(epio_op *op)
{
    (void)op;
    return 7;
}

#define MANY 400

static tracked many[MANY];

/* Everything that can be in flight, in every state, on the loop of `l`: the
 * number of ops in `many`. */
static int submit_everything(op_fixture *fx, epio_file *limited, epio_file *stream,
                             epio_semaphore *none_free)
{
    static char into[16];
    int n = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 6; i++) { /* more than there are workers */
            epio_submit(epio_write(track(&many[n++]), fx->file, "x", 1, 0));
            epio_submit(epio_read(track(&many[n++]), fx->file, into, 1, 0));
            epio_submit(epio_sync(track(&many[n++]), fx->file, EPIO_SYNC_FULL));
            epio_submit(epio_size(track(&many[n++]), fx->other[0]));
            epio_submit(epio_work(track(&many[n++]), fx->gate, return_seven));
        }
        epio_submit(epio_sync(track(&many[n++]), fx->other[1], EPIO_SYNC_FULL));
        epio_submit(epio_sleep(track(&many[n++]), fx->os, HOUR));
        epio_submit(epio_acquire(track(&many[n++]), fx->os, none_free, 1));
        epio_submit(epio_read(track(&many[n++]), stream, into, 1, 0));
        epio_submit(epio_read(track(&many[n++]), limited, into, 1, 0));
        epio_submit(epio_sync(track(&many[n++]), limited, EPIO_SYNC_FULL));
        if (SYSTEM_HAS_FIFOS) {
            epio_submit(
                epio_open(track(&many[n++]), fx->os, fixture_path(fx->f, "fifo"), EPIO_OPEN_WRITE));
        }
        epio_submit(epio_current_time(track(&many[n++]), fx->os));
        int first = n;
        (void)epio_sleep(track(&many[n++]), fx->os, HOUR);
        (void)epio_write(track(&many[n++]), fx->file, "x", 1, 0);
        (void)epio_sync(track(&many[n++]), fx->file, EPIO_SYNC_FULL);
        (void)epio_current_time(track(&many[n++]), fx->os);
        for (int i = first + 1; i < n; i++) {
            (void)epio_link(&many[i - 1].op, &many[i].op, round % 2 == 0 ? 0 : EPIO_LINK_ALWAYS);
        }
        epio_submit(&many[first].op);
        many[n].op.timeout_ns = 0;
        track(&many[n]);
        many[n].op.timeout_ns = HOUR;
        epio_submit(epio_sleep(&many[n++].op, fx->os, HOUR));
        submit_elsewhere(epio_sleep(track(&many[n++]), fx->os, HOUR));
        submit_elsewhere(epio_write(track(&many[n++]), fx->file, "x", 1, 0));
        submit_elsewhere(epio_sync(track(&many[n++]), fx->file, EPIO_SYNC_FULL));
        if (round == 2) {
            (void)epio_loop_poll(fx->loop, 2 * MILLISECOND, 0); /* some start */
        }
    }
    epio_cancel(&many[0].op);
    epio_cancel(&many[3].op);
    check(n <= MANY);
    return n;
}

typedef struct full_loop {
    op_fixture fx;
    epio_semaphore *semaphore;
    epio_vfs *limit;
    epio_file *limited;
    epio_file *stream;
    intptr_t other_end;
    int count;
} full_loop;

static void full_loop_setup(full_loop *full, fixture *f)
{
    op_fixture *fx = &full->fx;
    op_fixture_setup(fx, f);
    if (SYSTEM_HAS_FIFOS) {
        fifo_make(fixture_path(fx->f, "fifo"));
    }
    check_result(epio_semaphore_create(&full->semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&full->limit, fx->os, full->semaphore), 0);
    full->limited = op_fixture_open(fx, full->limit, "file");
    full->stream = op_fixture_open_stream(fx, fx->os, "stream", &full->other_end);
    check_result(epio_semaphore_try_acquire(full->semaphore, 1), 0);
    gate_shut(fx);
    full->count = submit_everything(fx, full->limited, full->stream, full->semaphore);
}

static void check_everything_ended(full_loop *full)
{
    for (int i = 0; i < full->count; i++) {
        check_result(many[i].calls, 1);
        check(!epio_op_pending(&many[i].op));
        check(many[i].result >= 0 || many[i].result == EPIO_ECANCELED);
    }
    check_result(epio_loop_pending(full->fx.loop), 0);
}

/* Closes still work. */
static void full_loop_teardown(full_loop *full)
{
    op_fixture_close(full->limited);
    op_fixture_close_stream(full->stream, full->other_end);
    check_result(epio_semaphore_available(full->semaphore), 0);
    epio_semaphore_release(full->semaphore, 1);
    epio_vfs_destroy(full->limit);
    epio_semaphore_destroy(full->semaphore);
    op_fixture_teardown(&full->fx);
}

static void *open_gate_later(void *argument)
{
    sleep_ns(30000000);
    gate_open(argument);
    return NULL;
}

static void of_a_loop_with_everything_in_flight(fixture *f)
{
    full_loop full;
    test_thread thread;
    full_loop_setup(&full, f);
    thread_start(&thread, open_gate_later, &full.fx);
    check_result(epio_loop_close(full.fx.loop, EPIO_FOREVER), 0);
    (void)thread_join(thread);
    check_everything_ended(&full);
    check_result(epio_loop_close(full.fx.loop, EPIO_FOREVER), 0); /* again: nothing to do */
    full_loop_teardown(&full);
}

static void of_a_loop_can_time_out(fixture *f)
{
    full_loop full;
    full_loop_setup(&full, f);
    op_fixture_run_for(&full.fx, 5 * MILLISECOND);
    for (int i = 0; i < 3; i++) {
        uint64_t started = system_monotonic_ns();
        check_result(epio_loop_close(full.fx.loop, (uint64_t)i * 10 * MILLISECOND), EPIO_ETIMEDOUT);
        check(system_monotonic_ns() - started >= (uint64_t)i * 10 * MILLISECOND);
        check(system_monotonic_ns() - started < 20 * SECOND);
        check(epio_loop_pending(full.fx.loop) > 0);
    }
    /* Only ops at the gate are left, and the flush of a sync that ended. */
    check(epio_loop_pending(full.fx.loop) <= gate_waiting(&full.fx));
    gate_open(&full.fx);
    check_result(epio_loop_close(full.fx.loop, 60 * SECOND), 0);
    check_everything_ended(&full);
    full_loop_teardown(&full);
}

/* Other ways to end it. */
static void of_a_loop_that_keeps_running(fixture *f)
{
    full_loop full;
    full_loop_setup(&full, f);
    check_result(epio_loop_close(full.fx.loop, 0), EPIO_ETIMEDOUT);
    gate_open(&full.fx);
    (void)epio_loop_run(full.fx.loop);
    check_everything_ended(&full);
    full_loop_teardown(&full);
}

/* epio_loop_destroy closes it. */
static void destroy_ends_everything(fixture *f)
{
    enum { SLEEPS = 100 };
    static tracked sleeps[SLEEPS];
    tracked acquire;
    tracked work;
    tracked chain[3];
    epio_semaphore *semaphore;
    epio_loop *loop;
    (void)f;
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_vfs *os = epio_loop_vfs(loop);
    for (int i = 0; i < SLEEPS; i++) {
        epio_submit(epio_sleep(track(&sleeps[i]), os, i % 2 == 0 ? 0 : HOUR));
    }
    epio_submit(epio_acquire(track(&acquire), os, semaphore, 1));
    epio_submit(epio_work(track(&work), os, return_seven));
    for (int i = 0; i < 3; i++) {
        (void)epio_sleep(track(&chain[i]), os, HOUR);
    }
    (void)epio_link(&chain[0].op, &chain[1].op, EPIO_LINK_ALWAYS);
    (void)epio_link(&chain[1].op, &chain[2].op, 0);
    submit_elsewhere(&chain[0].op);
    epio_loop_destroy(loop);
    for (int i = 0; i < SLEEPS; i++) {
        check_result(sleeps[i].calls, 1);
        check(sleeps[i].result == EPIO_ECANCELED || (i % 2 == 0 && sleeps[i].result == 0));
    }
    check_result(acquire.result, EPIO_ECANCELED);
    check_result(work.calls, 1);
    check(work.result == EPIO_ECANCELED || work.result == 7);
    for (int i = 0; i < 3; i++) {
        check_result(chain[i].calls, 1);
        check_result(chain[i].result, EPIO_ECANCELED);
    }
    check_result(epio_semaphore_available(semaphore), 0);
    epio_semaphore_destroy(semaphore);
}

/* Each state by itself, destroyed there. */
static void of_a_loop_in_every_wait(fixture *f)
{
    for (size_t i = 0; i < wait_case_count; i++) {
        op_fixture fx;
        tracked one;
        test_thread thread;
        bool from_here = i % 2 == 0;
        op_fixture_setup(&fx, f);
        track(&one);
        wait_cases[i].begin(&fx, &one.op);
        if (!epio_op_pending(&one.op)) {
            if (from_here) {
                epio_submit(&one.op);
            } else {
                submit_elsewhere(&one.op);
            }
        }
        check_result(one.calls, 0);
        print_message("%s\n", wait_cases[i].name);
        int result = epio_loop_close(fx.loop, 0);
        check(result == 0 || result == EPIO_ETIMEDOUT);
        op_fixture_run_until_done(&fx, &one);
        check_result(one.result, EPIO_ECANCELED);
        thread_start(&thread, open_gate_later, &fx);
        check_result(epio_loop_close(fx.loop, EPIO_FOREVER), 0);
        (void)thread_join(thread);
        check_result(one.calls, 1);
        wait_cases[i].end(&fx, &one.op);
        op_fixture_teardown(&fx);
    }
}

/* ---- Ops submitted during the close -------------------------------------- */

typedef struct later {
    tracked ops[8];
    epio_file *file;
    op_fixture *fx;
    bool closed;
} later;

static char later_byte;

/* New ops of a `done` while the loop is being closed. */
static void submit_more(tracked *one)
{
    later *more = one->user;
    op_fixture *fx = more->fx;
    epio_submit(epio_sleep(track(&more->ops[0]), fx->os, 0));
    epio_submit(epio_read(track(&more->ops[1]), more->file, &later_byte, 1, 0));
    epio_submit(epio_write(track(&more->ops[2]), more->file, "x", 1, 4096));
    epio_submit(epio_sync(track(&more->ops[3]), more->file, EPIO_SYNC_FULL));
    epio_submit(epio_open(track(&more->ops[4]), fx->os, NULL, EPIO_OPEN_TEMPORARY));
    epio_submit(epio_work(track(&more->ops[5]), fx->os, return_seven));
    submit_elsewhere(epio_current_time(track(&more->ops[6]), fx->os));
    epio_submit(epio_close(track(&more->ops[7]), more->file));
}

static void of_a_loop_ends_new_ops(fixture *f)
{
    op_fixture fx;
    tracked sleep;
    later more;
    op_fixture_setup(&fx, f);
    more.fx = &fx;
    more.file = op_fixture_open(&fx, fx.os, "file");
    epio_submit(epio_sleep(track(&sleep), fx.os, HOUR));
    sleep.then = submit_more;
    sleep.user = &more;
    check_result(epio_loop_close(fx.loop, EPIO_FOREVER), 0);
    check_result(sleep.result, EPIO_ECANCELED);
    for (int i = 0; i < 7; i++) {
        check_result(more.ops[i].calls, 1);
        check_result(more.ops[i].result, EPIO_ECANCELED);
    }
    check(more.ops[4].op.file == NULL);
    check_result(more.ops[7].calls, 1);
    check_result(more.ops[7].result, 0);
    check_result(file_size(fixture_path(fx.f, "file")), 4096);
    /* After the close. */
    epio_op op = {0};
    check_result(epio_wait(epio_sleep(&op, fx.os, 0)), EPIO_ECANCELED);
    check_result(epio_wait(epio_read(&op, fx.file, &later_byte, 1, 0)), EPIO_ECANCELED);
    check_result(epio_wait(epio_write(&op, fx.file, "x", 1, 0)), EPIO_ECANCELED);
    check_result(epio_wait(epio_sync(&op, fx.file, 0)), EPIO_ECANCELED);
    /* epio_perform needs no loop. */
    check_result(epio_perform(epio_read(&op, fx.file, &later_byte, 1, 0)), 1);
    op_fixture_teardown(&fx);
}

static void resubmit(tracked *one)
{
    if (one->calls < 20) {
        epio_submit(epio_sleep(&one->op, one->user, HOUR));
    }
}

/* A `done` that always resubmits: the op ends each time. */
static void of_a_loop_whose_done_resubmits(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    epio_submit(epio_sleep(track(&one), fx.os, HOUR));
    one.then = resubmit;
    one.user = fx.os;
    check_result(epio_loop_close(fx.loop, EPIO_FOREVER), 0);
    check_result(one.calls, 20);
    check_result(one.result, EPIO_ECANCELED);
    op_fixture_teardown(&fx);
}

/* A running open succeeds, and its file must be closed. */
static void of_a_loop_delivers_a_running_open(fixture *f)
{
    op_fixture fx;
    tracked open;
    op_fixture_setup(&fx, f);
    gate_shut(&fx);
    epio_submit(epio_open(track(&open), fx.gate, fixture_path(fx.f, "file"), EPIO_OPEN_READ));
    op_fixture_run_until_waiting(&fx, 1);
    check_result(epio_loop_close(fx.loop, MILLISECOND), EPIO_ETIMEDOUT);
    check_result(open.calls, 0);
    gate_open(&fx);
    check_result(epio_loop_close(fx.loop, EPIO_FOREVER), 0);
    check_result(open.result, 0);
    check(open.op.file != NULL);
    op_fixture_close(open.op.file);
    op_fixture_teardown(&fx);
}

static void close_inside(tracked *one)
{
    op_fixture *fx = one->user;
    check_result(epio_loop_close(fx->loop, EPIO_FOREVER), 0);
    check_result(epio_loop_pending(fx->loop), 0);
}

static void of_a_loop_from_inside_a_done(fixture *f)
{
    op_fixture fx;
    tracked trigger;
    tracked sleeps[20];
    op_fixture_setup(&fx, f);
    for (int i = 0; i < 20; i++) {
        epio_submit(epio_sleep(track(&sleeps[i]), fx.os, HOUR));
    }
    epio_submit(epio_current_time(track(&trigger), fx.os));
    trigger.then = close_inside;
    trigger.user = &fx;
    (void)epio_loop_run(fx.loop);
    check_result(trigger.calls, 1);
    for (int i = 0; i < 20; i++) {
        check_result(sleeps[i].calls, 1);
        check_result(sleeps[i].result, EPIO_ECANCELED);
    }
    op_fixture_teardown(&fx);
}

/* Threads that submit and wait while the loop is closed. */
typedef struct busy_thread {
    op_fixture *fx;
    test_thread thread;
    atomic_bool seen_cancel;
    int64_t odd; /* an unexpected result */
} busy_thread;

static void *keep_submitting(void *argument)
{
    busy_thread *one = argument;
    epio_op op = {0};
    for (;;) {
        int64_t result = epio_wait(epio_sleep(&op, one->fx->os, MICROSECOND));
        if (result == EPIO_ECANCELED) {
            break;
        }
        if (result != MICROSECOND) {
            one->odd = result;
            break;
        }
    }
    for (int i = 0; i < 20; i++) { /* from now on it is the only result */
        int64_t result = epio_wait(epio_current_time(&op, one->fx->os));
        if (result != EPIO_ECANCELED) {
            one->odd = result;
        }
    }
    atomic_store(&one->seen_cancel, true);
    epio_loop_wake(one->fx->loop);
    return NULL;
}

static void of_a_loop_that_others_use(fixture *f)
{
    busy_thread threads[3];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int i = 0; i < 3; i++) {
        memset(&threads[i], 0, sizeof threads[i]);
        threads[i].fx = &fx;
        thread_start(&threads[i].thread, keep_submitting, &threads[i]);
    }
    op_fixture_run_for(&fx, 20 * MILLISECOND);
    check_result(epio_loop_close(fx.loop, EPIO_FOREVER), 0);
    for (int i = 0; i < 3; i++) {
        while (!atomic_load(&threads[i].seen_cancel)) {
            (void)epio_loop_poll(fx.loop, 10 * MILLISECOND, 0);
        }
        (void)thread_join(threads[i].thread);
        check_result(threads[i].odd, 0);
    }
    op_fixture_teardown(&fx);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(waits_for_what_came_before, ON_OS_PERFORM),
        FIXTURE_TEST(cannot_be_cancelled_or_timed_out, ON_OS_PERFORM),
        FIXTURE_TEST(cannot_be_cancelled_while_it_runs, ON_OS_PERFORM),
        FIXTURE_TEST(waits_for_what_has_no_permit, ON_OS_PERFORM),
        FIXTURE_TEST(ends_what_waits_on_a_stream, ON_OS_PERFORM),
        FIXTURE_TEST(ends_a_stream_from_another_thread, ON_OS_PERFORM),
        FIXTURE_TEST(is_busy_when_performed_with_ops_in_flight, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_file_with_a_failed_op, ON_OS_PERFORM),
        FIXTURE_TEST(reports_an_error_and_frees_the_file, ON_OS_PERFORM),
        FIXTURE_TEST(of_many_files_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_with_everything_in_flight, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_can_time_out, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_that_keeps_running, ON_OS_PERFORM),
        FIXTURE_TEST(destroy_ends_everything, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_in_every_wait, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_ends_new_ops, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_whose_done_resubmits, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_delivers_a_running_open, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_from_inside_a_done, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_loop_that_others_use, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("close", tests);
}
