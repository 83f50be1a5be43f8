/* Deadlines: timeout_ns on every kind of op in every state. A deadline ends an op like a cancel,
 * with another error; cancels are tested by test_cancel.c. */
#include "op_fixture.h"

#include <stdatomic.h>

#define SHORTLY (5 * MILLISECOND)

static void check_took(uint64_t started, uint64_t at_least, uint64_t at_most)
{
    uint64_t took = system_monotonic_ns() - started;
    check(took >= at_least);
    check(took <= (fixture_is_slow() ? at_most + 20 * SECOND : at_most));
}

/* ---- Every kind in every state ------------------------------------------- */

/* Submits `timed` with a timeout; returns the expected result. */
typedef int64_t expire_in_state(op_fixture *fx, const op_kind *kind, tracked *one);

static int64_t when_expired(const op_kind *kind)
{
    return kind->cannot_be_cancelled ? kind->success : EPIO_ETIMEDOUT;
}

static int64_t queued(op_fixture *fx, const op_kind *kind, tracked *one)
{
    fillers all;
    gate_shut(fx);
    fillers_submit(fx, &all, kind->lane);
    one->op.timeout_ns = SHORTLY;
    uint64_t started = system_monotonic_ns();
    epio_submit(&one->op);
    if (kind->cannot_be_cancelled) {
        op_fixture_run_for(fx, 2 * SHORTLY);
        check_result(one->calls, 0);
    } else {
        op_fixture_run_until_done(fx, one);
        check_took(started, SHORTLY, 2 * SECOND);
    }
    fillers_finish(fx, &all);
    return when_expired(kind);
}

/* Submits it until a worker has started before the deadline: a busy machine may be slow to start
 * the thread. Returns the timeout that was enough. */
static uint64_t submit_until_running(op_fixture *fx, const op_kind *kind, tracked *one)
{
    uint64_t timeout = fixture_is_slow() ? 500 * MILLISECOND : 100 * MILLISECOND;
    for (;;) {
        one->op.timeout_ns = timeout;
        epio_submit(&one->op);
        while (gate_waiting(fx) == 0 && one->calls == 0) {
            (void)epio_loop_poll(fx->loop, MILLISECOND, 0);
        }
        if (one->calls == 0) {
            return timeout;
        }
        check_result(one->result, EPIO_ETIMEDOUT);
        gate_open(fx);
        kind->clear(fx, &one->op);
        kind->prepare(fx, track(one));
        gate_shut(fx);
        timeout *= 2;
        check(timeout < 60 * SECOND);
    }
}

static int64_t running(op_fixture *fx, const op_kind *kind, tracked *one)
{
    gate_shut(fx);
    uint64_t timeout = submit_until_running(fx, kind, one);
    op_fixture_run_for(fx, timeout + SHORTLY);
    check_result(one->calls, kind->ends_at_once ? 1 : 0);
    gate_open(fx);
    return kind->ends_at_once ? EPIO_ETIMEDOUT : kind->success;
}

static int64_t in_the_inbox(op_fixture *fx, const op_kind *kind, tracked *one)
{
    gate_shut(fx);
    one->op.timeout_ns = SHORTLY;
    submit_elsewhere(&one->op);
    sleep_ns(2 * SHORTLY);
    /* The deadline has passed before the loop sees the op. */
    (void)epio_loop_poll(fx->loop, 0, 0);
    gate_open(fx);
    return kind->cannot_be_cancelled ? kind->success : EPIO_EPENDING;
}

static int64_t far_deadline(op_fixture *fx, const op_kind *kind, tracked *one)
{
    (void)fx;
    one->op.timeout_ns = HOUR;
    epio_submit(&one->op);
    return kind->success;
}

static int64_t no_deadline(op_fixture *fx, const op_kind *kind, tracked *one)
{
    (void)fx;
    one->op.timeout_ns = EPIO_FOREVER;
    epio_submit(&one->op);
    return kind->success;
}

static int64_t passed_at_once(op_fixture *fx, const op_kind *kind, tracked *one)
{
    (void)fx;
    one->op.timeout_ns = 1;
    epio_submit(&one->op);
    return kind->cannot_be_cancelled ? kind->success : EPIO_EPENDING;
}

/* The user's cancel comes first, then the deadline. */
static int64_t cancelled_before(op_fixture *fx, const op_kind *kind, tracked *one)
{
    fillers all;
    gate_shut(fx);
    fillers_submit(fx, &all, kind->lane);
    one->op.timeout_ns = HOUR;
    epio_submit(&one->op);
    op_fixture_run_for(fx, MILLISECOND);
    epio_cancel(&one->op);
    op_fixture_run_for(fx, MILLISECOND);
    fillers_finish(fx, &all);
    return kind->cannot_be_cancelled ? kind->success : EPIO_ECANCELED;
}

static void expire_every_kind(fixture *f, expire_in_state *state)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (size_t i = 0; i < op_kind_count; i++) {
        const op_kind *kind = &op_kinds[i];
        tracked one;
        print_message("%s\n", kind->name);
        kind->prepare(&fx, track(&one));
        int64_t expected = state(&fx, kind, &one);
        op_fixture_run_until_done(&fx, &one);
        op_fixture_run_for(&fx, MICROSECOND);
        check_result(one.calls, 1);
        check_result(one.op.timeout_ns, 0);
        if (expected == EPIO_EPENDING) {
            check(one.result == kind->success || one.result == EPIO_ETIMEDOUT);
        } else {
            check_result(one.result, expected);
        }
        kind->clear(&fx, &one.op);
    }
    op_fixture_teardown(&fx);
}

static void of_a_queued_op(fixture *f)
{
    expire_every_kind(f, queued);
}

static void of_a_running_op(fixture *f)
{
    expire_every_kind(f, running);
}

static void of_an_op_in_the_inbox(fixture *f)
{
    expire_every_kind(f, in_the_inbox);
}

static void that_is_far_away(fixture *f)
{
    expire_every_kind(f, far_deadline);
}

static void without_end(fixture *f)
{
    expire_every_kind(f, no_deadline);
}

static void that_is_passed_at_once(fixture *f)
{
    expire_every_kind(f, passed_at_once);
}

static void of_a_cancelled_op(fixture *f)
{
    expire_every_kind(f, cancelled_before);
}

/* ---- What waits ---------------------------------------------------------- */

static void of_what_waits(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (size_t i = 0; i < wait_case_count; i++) {
        const wait_case *wait = &wait_cases[i];
        tracked one;
        print_message("%s\n", wait->name);
        track(&one);
        one.op.timeout_ns = 20 * MILLISECOND;
        uint64_t started = system_monotonic_ns();
        wait->begin(&fx, &one.op);
        if (one.calls == 0 && !epio_op_pending(&one.op)) {
            started = system_monotonic_ns();
            epio_submit(&one.op);
        }
        op_fixture_run_until_done(&fx, &one);
        check_took(started, 20 * MILLISECOND, 4 * SECOND);
        check_result(one.result, EPIO_ETIMEDOUT);
        check_result(one.op.timeout_ns, 0);
        wait->check_others();
        wait->end(&fx, &one.op);
        op_fixture_drain(&fx);
        check_result(one.calls, 1);
    }
    op_fixture_teardown(&fx);
}

/* epio_wait on the loop of another thread. */
typedef struct foreign_wait {
    epio_op op;
    atomic_bool over;
    epio_loop *loop;
    int64_t result;
} foreign_wait;

static void *wait_elsewhere(void *argument)
{
    foreign_wait *one = argument;
    one->result = epio_wait(&one->op);
    atomic_store(&one->over, true);
    epio_loop_wake(one->loop);
    return NULL;
}

static void of_an_op_of_another_thread(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (size_t i = 0; i < wait_case_count; i++) {
        foreign_wait one = {.loop = fx.loop};
        test_thread thread;
        one.op.timeout_ns = 20 * MILLISECOND;
        wait_cases[i].begin(&fx, &one.op);
        thread_start(&thread, wait_elsewhere, &one);
        while (!atomic_load(&one.over)) {
            (void)epio_loop_poll(fx.loop, SECOND, 0);
        }
        (void)thread_join(thread);
        check_result(one.result, EPIO_ETIMEDOUT);
        wait_cases[i].check_others();
        wait_cases[i].end(&fx, &one.op);
        op_fixture_drain(&fx);
    }
    op_fixture_teardown(&fx);
}

/* ---- One submission ------------------------------------------------------ */

static void is_used_up_by_one_submission(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    track(&one);
    one.op.timeout_ns = MILLISECOND;
    epio_submit(epio_sleep(&one.op, fx.os, HOUR));
    op_fixture_run_until_done(&fx, &one);
    check_result(one.result, EPIO_ETIMEDOUT);
    check_result(one.op.timeout_ns, 0);
    one.calls = 0;
    epio_submit(epio_sleep(&one.op, fx.os, 10 * MILLISECOND));
    op_fixture_run_until_done(&fx, &one);
    check_result(one.result, 10 * MILLISECOND);
    one.op.done = NULL;
    one.op.timeout_ns = MILLISECOND;
    check_result(epio_wait(epio_sleep(&one.op, fx.os, HOUR)), EPIO_ETIMEDOUT);
    check_result(one.op.timeout_ns, 0);
    one.op.timeout_ns = MILLISECOND;
    check_result(epio_perform(epio_sleep(&one.op, fx.os, HOUR)), EPIO_ETIMEDOUT);
    check_result(one.op.timeout_ns, 0);
    check_result(epio_perform(epio_sleep(&one.op, fx.os, 2 * MILLISECOND)), 2 * MILLISECOND);
    /* An invalid op uses it up, too. */
    one.op.timeout_ns = HOUR;
    check_result(epio_wait(epio_work(&one.op, fx.os, NULL)), EPIO_EINVAL);
    check_result(one.op.timeout_ns, 0);
    op_fixture_teardown(&fx);
}

/* The clock starts at submit, not at the verb. */
static void counts_from_the_submit(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    track(&one);
    one.op.timeout_ns = 20 * MILLISECOND;
    (void)epio_sleep(&one.op, fx.os, HOUR);
    op_fixture_run_for(&fx, 40 * MILLISECOND);
    uint64_t started = system_monotonic_ns();
    epio_submit(&one.op);
    op_fixture_run_until_done(&fx, &one);
    check_took(started, 20 * MILLISECOND, 2 * SECOND);
    op_fixture_teardown(&fx);
}

/* A sleep shorter than its deadline succeeds, a longer one does not; if both are equal either is
 * right. */
static void of_sleeps_of_all_lengths(fixture *f)
{
    op_fixture fx;
    tracked all[40];
    op_fixture_setup(&fx, f);
    uint64_t started = system_monotonic_ns();
    for (uint64_t i = 0; i < 40; i++) {
        track(&all[i]);
        all[i].op.timeout_ns = 100 * MILLISECOND;
        epio_submit(epio_sleep(&all[i].op, fx.os, 5 * i * MILLISECOND));
    }
    op_fixture_drain(&fx);
    check_took(started, 100 * MILLISECOND, 2 * SECOND);
    for (uint64_t i = 0; i < 40; i++) {
        check_result(all[i].calls, 1);
        if (i < 10) {
            check_result(all[i].result, 5 * i * MILLISECOND);
        } else if (i > 20) {
            check_result(all[i].result, EPIO_ETIMEDOUT);
        }
    }
    op_fixture_teardown(&fx);
}

/* Timers expire in the order of their time, not of submission. */
static tracked *order_seen[200];
static size_t order_count;

static void note_order(tracked *one)
{
    order_seen[order_count++] = one;
}

static void are_kept_in_order(fixture *f)
{
    op_fixture fx;
    static tracked all[200];
    /* The earliest time of each: the clock is read within its submit. */
    static uint64_t earliest[200];
    static uint64_t latest[200];
    random_source random = {.state = 5};
    op_fixture_setup(&fx, f);
    order_count = 0;
    uint64_t submitted = epio_clock_monotonic();
    for (size_t i = 0; i < 200; i++) {
        track(&all[i]);
        all[i].then = note_order;
        uint64_t at = submitted + (1 + random_between(&random, 0, 20)) * 20 * MILLISECOND;
        earliest[i] = epio_clock_monotonic();
        uint64_t delay = at > earliest[i] ? at - earliest[i] : 0;
        earliest[i] += delay;
        epio_submit(epio_sleep(&all[i].op, fx.os, delay));
        latest[i] = epio_clock_monotonic() + delay;
    }
    while (order_count < 20) {
        (void)epio_loop_poll(fx.loop, SECOND, 1);
    }
    /* Some leave the middle of the heap. */
    for (size_t i = 0; i < 200; i += 7) {
        epio_cancel(&all[i].op);
    }
    op_fixture_drain(&fx);
    check_result(order_count, 200);
    uint64_t last = 0;
    for (size_t i = 0; i < 200; i++) {
        size_t which = (size_t)(order_seen[i] - all);
        if (order_seen[i]->result == EPIO_ECANCELED) {
            continue;
        }
        check(order_seen[i]->result >= 0);
        check(latest[which] >= last);
        last = earliest[which] > last ? earliest[which] : last;
    }
    op_fixture_teardown(&fx);
}

/* ---- epio_perform -------------------------------------------------------- */

static void limits_what_waits_in_perform(fixture *f)
{
    char byte;
    epio_op op = {0};
    intptr_t ends[2];
    epio_semaphore *semaphore;
    uint64_t started = system_monotonic_ns();
    pipe_make(ends);
    check_result(epio_perform(epio_adopt(&op, f->vfs, ends[0], 0)), 0);
    epio_file *stream = op.file;
    op.timeout_ns = SHORTLY;
    check_result(epio_perform(epio_read(&op, stream, &byte, 1, 0)), EPIO_ETIMEDOUT);
    check_took(started, SHORTLY, 2 * SECOND);
    check_result(epio_perform(epio_close(&op, stream)), 0);
    check(handle_close(ends[1]));
    if (SYSTEM_HAS_FIFOS) {
        fifo_make(fixture_path(f, "fifo"));
        op.timeout_ns = SHORTLY;
        check_result(epio_perform(epio_open(&op, f->vfs, fixture_path(f, "fifo"), EPIO_OPEN_WRITE)),
                     EPIO_ETIMEDOUT);
        check(op.file == NULL);
    }
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    op.timeout_ns = SHORTLY;
    check_result(epio_perform(epio_acquire(&op, f->vfs, semaphore, 1)), EPIO_ETIMEDOUT);
    epio_semaphore_release(semaphore, 1);
    op.timeout_ns = SHORTLY;
    check_result(epio_perform(epio_acquire(&op, f->vfs, semaphore, 1)), 0);
    epio_semaphore_release(semaphore, 1);
    epio_semaphore_destroy(semaphore);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(of_a_queued_op, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_running_op, ON_OS_PERFORM),
        FIXTURE_TEST(of_an_op_in_the_inbox, ON_OS_PERFORM),
        FIXTURE_TEST(that_is_far_away, ON_OS_PERFORM),
        FIXTURE_TEST(without_end, ON_OS_PERFORM),
        FIXTURE_TEST(that_is_passed_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_cancelled_op, ON_OS_PERFORM),
        FIXTURE_TEST(of_what_waits, ON_OS_PERFORM),
        FIXTURE_TEST(of_an_op_of_another_thread, ON_OS_PERFORM),
        FIXTURE_TEST(is_used_up_by_one_submission, ON_OS_PERFORM),
        FIXTURE_TEST(counts_from_the_submit, ON_OS_PERFORM),
        FIXTURE_TEST(of_sleeps_of_all_lengths, ON_OS_PERFORM),
        FIXTURE_TEST(are_kept_in_order, ON_OS_PERFORM),
        FIXTURE_TEST(limits_what_waits_in_perform, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("deadline", tests);
}
