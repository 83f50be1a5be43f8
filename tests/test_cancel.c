/* Cancelling: every kind of op in every state, by the loop's owner, by another
 * thread and from inside a `done`; and races of cancels with everything else.
 * Deadlines, which are cancels by the clock, are test_deadline's. */
#include "op_fixture.h"

#include <stdatomic.h>

/* ---- Every kind in every state ------------------------------------------- */

/* Brings op `one` of that kind into a state, cancels it, and returns the expected result. */
typedef int64_t cancel_in_state(op_fixture *fx, const op_kind *kind, tracked *one,
                                cancel_origin by);

static int64_t when_cancelled(const op_kind *kind)
{
    return kind->cannot_be_cancelled ? kind->success : EPIO_ECANCELED;
}

static int64_t prepared(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    op_fixture_cancel(fx, by, &one->op);
    check(!epio_op_pending(&one->op));
    check_result(one->calls, 0);
    epio_submit(&one->op);
    return kind->success;
}

static int64_t just_submitted(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    gate_shut(fx);
    epio_submit(&one->op);
    check_result(one->op.result, EPIO_EPENDING);
    op_fixture_cancel(fx, by, &one->op);
    gate_open(fx);
    /* The loop iteration that delivers the canceller starts the op on a worker. */
    return by == FROM_DONE && !kind->ends_at_once ? EPIO_EPENDING : when_cancelled(kind);
}

static int64_t in_the_inbox(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    gate_shut(fx);
    submit_elsewhere(&one->op);
    check_result(one->op.result, EPIO_EPENDING);
    op_fixture_cancel(fx, by, &one->op);
    gate_open(fx);
    return by == FROM_DONE && !kind->ends_at_once ? EPIO_EPENDING : when_cancelled(kind);
}

/* A worker has begun it, as those of the fillers take so long that they might hang: a machine that
 * is busy enough for that. Either result is right then. */
static bool has_begun(op_fixture *fx, const fillers *all)
{
    return gate_waiting(fx) > all->count;
}

static int64_t queued(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    fillers all;
    gate_shut(fx);
    fillers_submit(fx, &all, kind->lane);
    epio_submit(&one->op);
    op_fixture_run_for(fx, 2 * MILLISECOND);
    check_result(one->calls, 0);
    check_result(one->op.result, EPIO_EPENDING);
    op_fixture_cancel(fx, by, &one->op);
    bool begun = has_begun(fx, &all);
    if (!kind->cannot_be_cancelled && !begun) {
        op_fixture_run_until_done(fx, one); /* promptly: the gate is still shut */
    }
    fillers_finish(fx, &all);
    return begun ? EPIO_EPENDING : when_cancelled(kind);
}

static int64_t running(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    gate_shut(fx);
    epio_submit(&one->op);
    op_fixture_run_until_waiting(fx, 1);
    op_fixture_cancel(fx, by, &one->op);
    op_fixture_run_for(fx, 2 * MILLISECOND);
    check_result(one->calls, kind->ends_at_once ? 1 : 0);
    op_fixture_cancel(fx, by, &one->op);
    gate_open(fx);
    return kind->ends_at_once ? EPIO_ECANCELED : kind->success;
}

/* The worker has completed it, but it is not delivered. */
static int64_t completed(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    uint64_t deadline = system_monotonic_ns() + 10 * MILLISECOND;
    gate_shut(fx);
    epio_submit(&one->op);
    op_fixture_run_until_waiting(fx, 1);
    gate_open(fx);
    while (system_monotonic_ns() < deadline || gate_waiting(fx) != 0) {
        thread_yield();
    }
    op_fixture_cancel(fx, by, &one->op);
    /* The flush is done, the sync is not: either result is right. */
    return kind->ends_at_once ? EPIO_EPENDING : kind->success;
}

static int64_t cancelled_already(op_fixture *fx, const op_kind *kind, tracked *one,
                                 cancel_origin by)
{
    fillers all;
    gate_shut(fx);
    fillers_submit(fx, &all, kind->lane);
    epio_submit(&one->op);
    op_fixture_run_for(fx, MILLISECOND);
    op_fixture_cancel(fx, BY_THREAD, &one->op);
    op_fixture_cancel(fx, BY_THREAD, &one->op);
    op_fixture_cancel(fx, BY_OWNER, &one->op);
    op_fixture_cancel(fx, by, &one->op);
    op_fixture_run_for(fx, MILLISECOND);
    bool begun = has_begun(fx, &all);
    fillers_finish(fx, &all);
    return begun ? EPIO_EPENDING : when_cancelled(kind);
}

static int64_t delivered(op_fixture *fx, const op_kind *kind, tracked *one, cancel_origin by)
{
    epio_submit(&one->op);
    op_fixture_run_until_done(fx, one);
    op_fixture_cancel(fx, by, &one->op);
    check_result(one->op.result, one->result);
    return kind->success;
}

static void cancel_every_kind(fixture *f, cancel_in_state *state)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (size_t i = 0; i < op_kind_count; i++) {
        for (int by = 0; by < CANCEL_ORIGINS; by++) {
            const op_kind *kind = &op_kinds[i];
            tracked one;
            print_message("%s by %s\n", kind->name, cancel_origin_names[by]);
            kind->prepare(&fx, track(&one));
            int64_t expected = state(&fx, kind, &one, (cancel_origin)by);
            op_fixture_run_until_done(&fx, &one);
            op_fixture_run_for(&fx, MICROSECOND);
            check_result(one.calls, 1);
            check_result(one.op.result, one.result);
            if (expected == EPIO_EPENDING) {
                check(one.result == kind->success || one.result == EPIO_ECANCELED);
            } else {
                check_result(one.result, expected);
            }
            kind->clear(&fx, &one.op);
        }
    }
    op_fixture_teardown(&fx);
}

static void a_prepared_op(fixture *f)
{
    cancel_every_kind(f, prepared);
}

static void an_op_just_submitted(fixture *f)
{
    cancel_every_kind(f, just_submitted);
}

static void an_op_in_the_inbox(fixture *f)
{
    cancel_every_kind(f, in_the_inbox);
}

static void a_queued_op(fixture *f)
{
    cancel_every_kind(f, queued);
}

static void a_running_op(fixture *f)
{
    cancel_every_kind(f, running);
}

static void a_completed_op(fixture *f)
{
    cancel_every_kind(f, completed);
}

static void an_op_cancelled_already(fixture *f)
{
    cancel_every_kind(f, cancelled_already);
}

static void a_delivered_op(fixture *f)
{
    cancel_every_kind(f, delivered);
}

/* ---- Idle and linked ----------------------------------------------------- */

static void an_idle_op(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        track(&one);
        op_fixture_cancel(&fx, (cancel_origin)by, &one.op);
        check(!epio_op_pending(&one.op));
        check_result(one.calls, 0);
        epio_submit(epio_current_time(&one.op, fx.os));
        op_fixture_run_until_done(&fx, &one);
        check(one.result > 0);
    }
    op_fixture_teardown(&fx);
}

static void a_linked_op_before_its_first_is_submitted(fixture *f)
{
    op_fixture fx;
    tracked first;
    tracked second;
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        (void)epio_current_time(track(&first), fx.os);
        (void)epio_size(track(&second), fx.file);
        epio_submit(epio_link(&first.op, &second.op, 0));
        op_fixture_run_until_done(&fx, &second);
        check_result(second.result, 4096);
        (void)epio_current_time(&first.op, fx.os);
        (void)epio_size(&second.op, fx.file);
        (void)epio_link(&first.op, &second.op, 0);
        op_fixture_cancel(&fx, (cancel_origin)by, &second.op);
        op_fixture_cancel(&fx, (cancel_origin)by, &first.op);
        check(!epio_op_pending(&second.op));
        second.calls = 0;
        epio_submit(&first.op);
        op_fixture_run_until_done(&fx, &second);
        check_result(second.result, 4096);
        check_result(first.calls, 2);
    }
    op_fixture_teardown(&fx);
}

/* A chain submitted by another thread, not seen by the owner yet. */
static void a_linked_op_in_the_inbox(fixture *f)
{
    op_fixture fx;
    tracked chain[4];
    op_fixture_setup(&fx, f);
    for (int victim = 0; victim < 4; victim++) {
        for (int by = BY_OWNER; by <= BY_THREAD; by++) {
            for (int i = 0; i < 4; i++) {
                (void)epio_size(track(&chain[i]), fx.file);
                if (i > 0) {
                    (void)epio_link(&chain[i - 1].op, &chain[i].op, 0);
                }
            }
            gate_shut(&fx);
            submit_elsewhere(&chain[0].op);
            op_fixture_cancel(&fx, (cancel_origin)by, &chain[victim].op);
            op_fixture_run_for(&fx, MILLISECOND);
            gate_open(&fx);
            for (int i = 0; i < 4; i++) {
                op_fixture_run_until_done(&fx, &chain[i]);
                check_result(chain[i].result, i < victim ? 4096 : EPIO_ECANCELED);
            }
        }
    }
    op_fixture_teardown(&fx);
}

/* ---- What waits ---------------------------------------------------------- */

static void cancel_wait(op_fixture *fx, const wait_case *wait, cancel_origin by)
{
    tracked one;
    track(&one);
    wait->begin(fx, &one.op);
    if (!epio_op_pending(&one.op)) {
        epio_submit(&one.op);
    }
    op_fixture_run_for(fx, 3 * MILLISECOND);
    check_result(one.calls, 0);
    check_result(one.op.result, EPIO_EPENDING);
    op_fixture_cancel(fx, by, &one.op);
    op_fixture_cancel(fx, by, &one.op);
    op_fixture_run_until_done(fx, &one);
    check_result(one.result, EPIO_ECANCELED);
    wait->check_others();
    wait->end(fx, &one.op);
    op_fixture_drain(fx);
    check_result(one.calls, 1);
}

static void what_waits(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (size_t i = 0; i < wait_case_count; i++) {
        for (int by = 0; by < CANCEL_ORIGINS; by++) {
            print_message("%s by %s\n", wait_cases[i].name, cancel_origin_names[by]);
            cancel_wait(&fx, &wait_cases[i], (cancel_origin)by);
        }
    }
    op_fixture_teardown(&fx);
}

/* In the inbox, and cancelled before the owner saw it. */
static void what_would_wait(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    for (int by = BY_OWNER; by <= BY_THREAD; by++) {
        for (size_t i = 0; i < wait_case_count; i++) {
            track(&one);
            wait_cases[i].begin(&fx, &one.op);
            if (!epio_op_pending(&one.op)) {
                submit_elsewhere(&one.op);
            }
            op_fixture_cancel(&fx, (cancel_origin)by, &one.op);
            op_fixture_run_until_done(&fx, &one);
            check_result(one.result, EPIO_ECANCELED);
            wait_cases[i].check_others();
            wait_cases[i].end(&fx, &one.op);
            op_fixture_drain(&fx);
            check_result(one.calls, 1);
        }
    }
    op_fixture_teardown(&fx);
}

static void cancel_itself(tracked *one)
{
    epio_cancel(&one->op);
}

static void an_op_from_its_own_done(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    track(&one);
    one.then = cancel_itself;
    for (int i = 1; i <= 3; i++) {
        epio_submit(epio_size(&one.op, fx.file));
        one.calls = 0;
        op_fixture_run_until_done(&fx, &one);
        check_result(one.result, 4096);
    }
    op_fixture_teardown(&fx);
}

/* A cancel of one flight is no cancel of the next. */
static void a_cancel_is_used_up(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        epio_submit(epio_sleep(track(&one), fx.os, HOUR));
        op_fixture_cancel(&fx, (cancel_origin)by, &one.op);
        op_fixture_run_until_done(&fx, &one);
        check_result(one.result, EPIO_ECANCELED);
        one.calls = 0;
        epio_submit(epio_sleep(&one.op, fx.os, MILLISECOND));
        op_fixture_run_until_done(&fx, &one);
        check_result(one.result, MILLISECOND);
    }
    op_fixture_teardown(&fx);
}

/* A cancelled sync leaves the error to the next one. */
static void a_sync_passes_its_error_on(fixture *f)
{
    static const char nothing[1];
    op_fixture fx;
    tracked bad;
    tracked syncs[2];
    op_fixture_setup(&fx, f);
    gate_shut(&fx);
    /* Fails at submit. */
    epio_submit(epio_write(track(&bad), fx.file, nothing, 1, INT64_MAX));
    epio_submit(epio_sync(track(&syncs[0]), fx.file, EPIO_SYNC_FULL));
    epio_submit(epio_sync(track(&syncs[1]), fx.file, EPIO_SYNC_FULL));
    op_fixture_run_until_done(&fx, &bad);
    check_result(bad.result, EPIO_EINVAL);
    op_fixture_run_until_waiting(&fx, 1);
    epio_cancel(&syncs[0].op);
    op_fixture_run_until_done(&fx, &syncs[0]);
    check_result(syncs[0].result, EPIO_ECANCELED);
    check_result(syncs[1].calls, 0);
    gate_open(&fx);
    op_fixture_run_until_done(&fx, &syncs[1]);
    check_result(syncs[1].result, EPIO_EINVAL);
    op_fixture_teardown(&fx);
}

/* A VFS may let a worker wait in the inner VFS's `perform`. A cancel must not depend on what the
 * inner VFS does with an op that it holds itself. */
/* All ops in flight on the file, and no others. */
static void all_of_a_file(fixture *f)
{
    enum { WRITE, SYNC, LINKED, LOCKED, IN_INBOX, OTHER_FILE, NO_FILE, OPS };
    tracked ops[OPS];
    epio_op op = {0};
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *holder = op_fixture_open(&fx, fx.os, "locked");
    epio_file *file = op_fixture_open(&fx, fx.gate, "locked");
    check_result(epio_wait(epio_lock(&op, holder, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_wait(epio_lock(&op, holder, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    gate_shut(&fx);
    epio_submit(epio_write(track(&ops[WRITE]), file, fx.buffer, 1, 0));
    (void)epio_read(track(&ops[LINKED]), file, fx.buffer, 1, 0);
    epio_submit(epio_link(epio_sync(track(&ops[SYNC]), file, EPIO_SYNC_FULL), &ops[LINKED].op, 0));
    epio_submit(epio_lock(track(&ops[LOCKED]), file, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    epio_submit(epio_sync(track(&ops[OTHER_FILE]), fx.file, EPIO_SYNC_FULL));
    epio_submit(epio_sleep(track(&ops[NO_FILE]), fx.os, HOUR));
    submit_elsewhere(epio_sync(track(&ops[IN_INBOX]), file, EPIO_SYNC_FULL));
    epio_cancel_all(file);
    gate_open(&fx);
    for (int i = 0; i < NO_FILE; i++) {
        op_fixture_run_until_done(&fx, &ops[i]);
        /* A write on a worker may be carried out. */
        check(ops[i].result == (i == OTHER_FILE ? 0 : EPIO_ECANCELED) ||
              (i == WRITE && ops[i].result == 1));
    }
    check_result(ops[NO_FILE].calls, 0);
    epio_cancel_all(file); /* nothing is in flight */
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    epio_cancel(&ops[NO_FILE].op);
    op_fixture_run_until_done(&fx, &ops[NO_FILE]);
    op_fixture_close(file);
    op_fixture_close(holder);
    op_fixture_teardown(&fx);
}

static void a_read_of_a_stream_on_a_worker(fixture *f)
{
    static char into[4];
    op_fixture fx;
    tracked read_op;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        intptr_t ends[2];
        pipe_make(ends);
        check_result(epio_wait(epio_adopt(&op, fx.gate, ends[0], 0)), 0);
        epio_file *stream = op.file;
        gate_shut(&fx);
        epio_submit(epio_read(track(&read_op), stream, into, 4, 0));
        op_fixture_run_until_waiting(&fx, 1);
        gate_open(&fx);
        op_fixture_run_for(&fx, 20 * MILLISECOND); /* now it waits in the inner VFS */
        op_fixture_cancel(&fx, (cancel_origin)by, &read_op.op);
        op_fixture_run_for(&fx, 5 * MILLISECOND);
        if (system_interrupts_calls()) {
            op_fixture_run_until_done(&fx, &read_op);
            check_result(read_op.result, EPIO_ECANCELED);
        } else {
            check_result(read_op.calls, 0);
        }
        check(pipe_write(ends[1], "four", 4) == 4);
        if (!system_interrupts_calls()) {
            op_fixture_run_until_done(&fx, &read_op);
            check_result(read_op.result, 4);
            check(memcmp(into, "four", 4) == 0);
        }
        op_fixture_close(stream);
        check(handle_close(ends[1]));
    }
    op_fixture_teardown(&fx);
}

/* ---- Races --------------------------------------------------------------- */

#define RACE_KINDS 9

/* A thread that cancels the ops given to it, at random moments. */
typedef struct canceller {
    test_thread thread;
    _Atomic(epio_op *) op;
    atomic_bool leave;
    random_source random;
} canceller;

static void spin(random_source *random, uint64_t most)
{
    uint64_t until = system_monotonic_ns() + random_between(random, 0, most);
    while (system_monotonic_ns() < until) {
    }
}

static void *cancel_at_random(void *argument)
{
    canceller *one = argument;
    while (!atomic_load(&one->leave)) {
        epio_op *op = atomic_load(&one->op);
        if (op == NULL) {
            thread_yield();
            continue;
        }
        spin(&one->random, 20 * MICROSECOND);
        epio_cancel(op);
        atomic_store(&one->op, NULL);
    }
    return NULL;
}

static void canceller_start(canceller *one, uint64_t seed)
{
    memset(one, 0, sizeof *one);
    one->random.state = seed;
    thread_start(&one->thread, cancel_at_random, one);
}

static void canceller_await(canceller *one)
{
    while (atomic_load(&one->op) != NULL) {
        thread_yield();
    }
}

static void canceller_stop(canceller *one)
{
    atomic_store(&one->leave, true);
    (void)thread_join(one->thread);
}

static int64_t return_nine(epio_op *op)
{
    (void)op;
    return 9;
}

typedef struct race {
    op_fixture *fx;
    epio_semaphore *semaphore;
    epio_vfs *limit;
    epio_file *limited;
    epio_file *stream;
    intptr_t other_end;
    char into[4096];
    uint64_t until;
} race;

/* On a busy machine each round takes very long: a second of them is enough. */
static bool race_continues(const race *r, unsigned round, unsigned rounds)
{
    return round < fixture_rounds(rounds) &&
           (round < rounds / 20 || system_monotonic_ns() < r->until);
}

/* Prepares an op of a random kind and returns its result without a cancel; EPIO_EPENDING: it would
 * wait without end. */
static int64_t prepare_racer(race *r, epio_op *op, uint64_t kind)
{
    switch (kind) {
    case 0:
        (void)epio_sleep(op, r->fx->os, 10 * MICROSECOND);
        return 10 * MICROSECOND;
    case 1:
        (void)epio_read(op, r->fx->file, r->into, 100, 0);
        return 100;
    case 2:
        (void)epio_write(op, r->fx->file, r->fx->buffer, 100, 0);
        return 100;
    case 3:
        (void)epio_work(op, r->fx->os, return_nine);
        return 9;
    case 4:
        (void)epio_acquire(op, r->fx->os, r->semaphore, 1);
        return 0;
    case 5:
        (void)epio_read(op, r->limited, r->into, 100, 0);
        return 100;
    case 6:
        (void)epio_open(op, r->limit, fixture_path(r->fx->f, "race"),
                        EPIO_OPEN_WRITE | EPIO_OPEN_CREATE);
        return 0;
    case 7:
        (void)epio_sync(op, r->limited, EPIO_SYNC_DATA_ONLY);
        return 0;
    default:
        (void)epio_read(op, r->stream, r->into, 1, 0);
        return EPIO_EPENDING;
    }
}

static void finish_racer(race *r, epio_op *op, int64_t expected, uint64_t kind)
{
    if (op->result == EPIO_ECANCELED) {
        check(op->file == NULL || kind != 6);
        return;
    }
    check_result(op->result, expected);
    if (kind == 4) {
        epio_semaphore_release(r->semaphore, 1);
    } else if (kind == 6) {
        op_fixture_close(op->file);
    }
}

static void race_setup(race *r, op_fixture *fx, fixture *f)
{
    epio_op op = {0};
    intptr_t ends[2];
    memset(r, 0, sizeof *r);
    r->until = system_monotonic_ns() + fixture_rounds(1) * SECOND;
    op_fixture_setup(fx, f);
    r->fx = fx;
    check_result(epio_semaphore_create(&r->semaphore, 2), 0);
    check_result(epio_limit_vfs_create(&r->limit, fx->os, r->semaphore), 0);
    r->limited = op_fixture_open(fx, r->limit, "file");
    pipe_make(ends);
    check_result(epio_wait(epio_adopt(&op, fx->os, ends[0], 0)), 0);
    r->stream = op.file;
    r->other_end = ends[1];
}

static void race_teardown(race *r)
{
    op_fixture_close(r->stream);
    check(handle_close(r->other_end));
    op_fixture_close(r->limited);
    check_result(epio_semaphore_available(r->semaphore), 2);
    epio_vfs_destroy(r->limit);
    epio_semaphore_destroy(r->semaphore);
    op_fixture_teardown(r->fx);
}

/* The owner submits, another thread cancels. */
static void race_with_another_thread(fixture *f)
{
    op_fixture fx;
    race r;
    canceller other;
    random_source random = {.state = 11};
    tracked one;
    race_setup(&r, &fx, f);
    canceller_start(&other, 12);
    for (unsigned i = 0; race_continues(&r, i, 3000); i++) {
        uint64_t kind = random_between(&random, 0, RACE_KINDS);
        int64_t expected = prepare_racer(&r, track(&one), kind);
        bool early = random_between(&random, 0, 2) == 0 && expected != EPIO_EPENDING;
        if (early) {
            atomic_store(&other.op, &one.op);
        }
        epio_submit(&one.op);
        if (!early) {
            atomic_store(&other.op, &one.op);
        }
        spin(&random, 10 * MICROSECOND);
        op_fixture_run_until_done(&fx, &one);
        canceller_await(&other);
        check_result(one.calls, 1);
        finish_racer(&r, &one.op, expected, kind);
    }
    canceller_stop(&other);
    race_teardown(&r);
}

/* A thread submits, two others and the deadline cancel, the owner runs. */
typedef struct submitter {
    race *r;
    epio_op op;
    canceller *cancellers;
    atomic_bool over;
    bool failed;
} submitter;

static void *submit_and_wait(void *argument)
{
    submitter *one = argument;
    random_source random = {.state = 21};
    for (unsigned i = 0; !one->failed && race_continues(one->r, i, 3000); i++) {
        uint64_t kind = random_between(&random, 0, RACE_KINDS);
        kind = kind == 6 ? 0 : kind; /* the owner would have to close its file */
        int64_t expected = prepare_racer(one->r, &one->op, kind);
        one->op.timeout_ns = random_between(&random, 0, 3) == 0 ? 5 * MICROSECOND : 0;
        epio_submit(&one->op);
        atomic_store(&one->cancellers[0].op, &one->op);
        atomic_store(&one->cancellers[1].op, &one->op);
        int64_t result = epio_wait(&one->op);
        canceller_await(&one->cancellers[0]);
        canceller_await(&one->cancellers[1]);
        one->failed = result != one->op.result || epio_op_pending(&one->op) ||
                      (result != expected && result != EPIO_ECANCELED && result != EPIO_ETIMEDOUT);
        if (kind == 4 && result == 0) {
            epio_semaphore_release(one->r->semaphore, 1);
        }
    }
    atomic_store(&one->over, true);
    epio_loop_wake(one->r->fx->loop);
    return NULL;
}

static void race_of_many_threads(fixture *f)
{
    op_fixture fx;
    race r;
    canceller others[2];
    submitter one = {.r = &r, .cancellers = others};
    test_thread thread;
    race_setup(&r, &fx, f);
    canceller_start(&others[0], 22);
    canceller_start(&others[1], 23);
    thread_start(&thread, submit_and_wait, &one);
    while (!atomic_load(&one.over)) {
        (void)epio_loop_poll(fx.loop, EPIO_FOREVER, 0);
    }
    (void)thread_join(thread);
    check(!one.failed);
    canceller_stop(&others[0]);
    canceller_stop(&others[1]);
    race_teardown(&r);
}

/* Another thread cancels members of chains while they run. */
static void race_with_chains(fixture *f)
{
    op_fixture fx;
    race r;
    canceller other;
    random_source random = {.state = 31};
    tracked chain[5];
    race_setup(&r, &fx, f);
    canceller_start(&other, 32);
    for (unsigned i = 0; race_continues(&r, i, 1000); i++) {
        int64_t expected[5];
        for (int j = 0; j < 5; j++) {
            expected[j] = prepare_racer(&r, track(&chain[j]), random_between(&random, 0, 4));
            if (j > 0) {
                (void)epio_link(&chain[j - 1].op, &chain[j].op, 0);
            }
        }
        epio_submit(&chain[0].op);
        uint64_t victim = random_between(&random, 0, 5);
        atomic_store(&other.op, &chain[victim].op);
        spin(&random, 10 * MICROSECOND);
        bool broken = false;
        for (uint64_t j = 0; j < 5; j++) {
            op_fixture_run_until_done(&fx, &chain[j]);
            broken = broken || (j == victim && chain[j].result == EPIO_ECANCELED);
            check_result(chain[j].result, broken ? EPIO_ECANCELED : expected[j]);
        }
        canceller_await(&other);
    }
    canceller_stop(&other);
    race_teardown(&r);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(an_idle_op, ON_OS_PERFORM),
        FIXTURE_TEST(a_prepared_op, ON_OS_PERFORM),
        FIXTURE_TEST(a_linked_op_before_its_first_is_submitted, ON_OS_PERFORM),
        FIXTURE_TEST(an_op_just_submitted, ON_OS_PERFORM),
        FIXTURE_TEST(an_op_in_the_inbox, ON_OS_PERFORM),
        FIXTURE_TEST(a_linked_op_in_the_inbox, ON_OS_PERFORM),
        FIXTURE_TEST(a_queued_op, ON_OS_PERFORM),
        FIXTURE_TEST(a_running_op, ON_OS_PERFORM),
        FIXTURE_TEST(a_completed_op, ON_OS_PERFORM),
        FIXTURE_TEST(an_op_cancelled_already, ON_OS_PERFORM),
        FIXTURE_TEST(a_delivered_op, ON_OS_PERFORM),
        FIXTURE_TEST(what_waits, ON_OS_PERFORM),
        FIXTURE_TEST(what_would_wait, ON_OS_PERFORM),
        FIXTURE_TEST(an_op_from_its_own_done, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_is_used_up, ON_OS_PERFORM),
        FIXTURE_TEST(a_sync_passes_its_error_on, ON_OS_PERFORM),
        FIXTURE_TEST(all_of_a_file, ON_OS_PERFORM),
        FIXTURE_TEST(a_read_of_a_stream_on_a_worker, ON_OS_PERFORM),
        FIXTURE_TEST(race_with_another_thread, ON_OS_PERFORM),
        FIXTURE_TEST(race_of_many_threads, ON_OS_PERFORM),
        FIXTURE_TEST(race_with_chains, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("cancel", tests);
}
