/* Waits for ranges: the order of grants, how a wait ends, what is refused because it would
 * deadlock, and levels that wait for ranges. Both kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS.
 * EPIO_TEST_SEED repeats the stress.
 */
#include "op_fixture.h"
#include "partner.h"

#include <stdatomic.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define WAIT EPIO_LOCK_WAIT
#define SHARED EPIO_RANGE_SHARED
#define EXCLUSIVE EPIO_RANGE_EXCLUSIVE
#define SHORTLY (5 * MILLISECOND)
#define PENDING_BYTE UINT64_C(0x40000000)

static epio_file *open_locked(fixture *f)
{
    return fixture_open(f, "locked", READ_WRITE | EPIO_OPEN_CREATE);
}

/* Without waiting. */
static int64_t try_lock(epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    epio_op op = {0};
    return epio_perform(epio_lock_range(&op, file, start, len, mode, 0));
}

static void lock_now(epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    check_result(try_lock(file, start, len, mode), 0);
}

static void unlock_now(epio_file *file, uint64_t start, uint64_t len)
{
    epio_op op = {0};
    check_result(epio_perform(epio_unlock_range(&op, file, start, len)), 0);
}

static void submit(tracked *one, epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    epio_submit(epio_lock_range(track(one), file, start, len, mode, WAIT));
}

/* One iteration, without waiting: what needs a timer or another thread does not happen in it. */
static void poll_now(fixture *f)
{
    (void)epio_loop_poll(f->loop, 0, 0);
}

static void run_until_done(fixture *f, tracked *one)
{
    uint64_t deadline = system_monotonic_ns() + 20 * SECOND;
    while (one->calls == 0) {
        check(system_monotonic_ns() < deadline);
        (void)epio_loop_poll(f->loop, 10 * MILLISECOND, 0);
    }
}

static void check_granted(const tracked *one)
{
    check_result(one->calls, 1);
    check_result(one->result, 0);
}

static void check_waits(const tracked *one)
{
    check_result(one->calls, 0);
}

/* A file can change the mode of what it has. */
static bool converts(const fixture *f)
{
    return SYSTEM_IS_POSIX || f->memory;
}

/* An open file description of its own, with locks that epio does not know. */
static intptr_t foreign_open(fixture *f)
{
    intptr_t handle = handle_open(fixture_path(f, "locked"), READ_WRITE | EPIO_OPEN_CREATE);
    check(handle != NO_HANDLE);
    return handle;
}

/* ---- Order --------------------------------------------------------------------- */

#define WAITERS 200

static tracked waiters[WAITERS];
static epio_file *waiter_files[WAITERS];
static size_t granted_count;

static void open_waiters(fixture *f)
{
    granted_count = 0;
    for (size_t i = 0; i < WAITERS; i++) {
        waiter_files[i] = open_locked(f);
    }
}

static void close_waiters(fixture *f)
{
    for (size_t i = 0; i < WAITERS; i++) {
        fixture_close(f, waiter_files[i]);
    }
}

static void unlock_for_the_next(tracked *one)
{
    check(one == &waiters[granted_count]);
    check_result(one->result, 0);
    unlock_now(waiter_files[granted_count++], 10, 10);
}

/* Each hands it on, in an iteration that waits for nothing. */
static void a_release_grants_the_next(fixture *f)
{
    epio_file *holder = open_locked(f);
    lock_now(holder, 10, 10, EXCLUSIVE);
    open_waiters(f);
    for (size_t i = 0; i < WAITERS; i++) {
        submit(&waiters[i], waiter_files[i], 10, 10, EXCLUSIVE);
        waiters[i].then = unlock_for_the_next;
    }
    poll_now(f);
    check_result(granted_count, 0);
    unlock_now(holder, 10, 10);
    for (size_t i = 0; i < WAITERS; i++) {
        poll_now(f);
        check(granted_count > i);
    }
    close_waiters(f);
    fixture_close(f, holder);
}

static void a_hand_over_takes_one_poll(fixture *f)
{
    tracked one;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    for (int round = 0; round < 100; round++) {
        lock_now(holder, 0, 0, EXCLUSIVE);
        submit(&one, file, (uint64_t)round, 1, SHARED);
        poll_now(f);
        check_waits(&one);
        unlock_now(holder, 0, 0);
        check_result(try_lock(holder, 0, 0, EXCLUSIVE), EPIO_EBUSY); /* it was granted at once */
        poll_now(f);
        check_granted(&one);
        unlock_now(file, 0, 0);
    }
    fixture_close(f, holder);
    fixture_close(f, file);
}

static void others_overtake(fixture *f)
{
    tracked ops[5];
    epio_file *holder = open_locked(f);
    epio_file *files[5];
    lock_now(holder, 0, 10, EXCLUSIVE);
    for (size_t i = 0; i < 5; i++) {
        files[i] = open_locked(f);
    }
    submit(&ops[0], files[0], 5, 10, EXCLUSIVE);  /* behind the holder */
    submit(&ops[1], files[1], 12, 10, SHARED);    /* behind the first, though nobody has it */
    submit(&ops[2], files[2], 20, 10, EXCLUSIVE); /* behind the second */
    submit(&ops[3], files[3], 30, 10, EXCLUSIVE); /* behind none */
    submit(&ops[4], files[4], 12, 1, SHARED);
    poll_now(f);
    for (size_t i = 0; i < 5; i++) {
        check_result(ops[i].calls, i == 3 ? 1 : 0);
    }
    /* One that does not wait does not overtake either. */
    check_result(try_lock(files[3], 14, 1, SHARED), EPIO_EBUSY);
    unlock_now(holder, 0, 10);
    poll_now(f);
    check_granted(&ops[0]);
    check_waits(&ops[1]);
    unlock_now(files[0], 0, 0);
    poll_now(f);
    check_granted(&ops[1]);
    check_granted(&ops[4]);
    check_waits(&ops[2]);
    unlock_now(files[1], 0, 0);
    poll_now(f);
    check_granted(&ops[2]);
    for (size_t i = 0; i < 5; i++) {
        fixture_close(f, files[i]);
    }
    fixture_close(f, holder);
}

/* Readers that come later do not starve it. */
static void a_writer_comes_before_later_readers(fixture *f)
{
    tracked writer;
    tracked reader;
    epio_file *files[3];
    for (size_t i = 0; i < 3; i++) {
        files[i] = open_locked(f);
    }
    lock_now(files[0], 0, 10, SHARED);
    for (int round = 0; round < 20; round++) {
        submit(&writer, files[1], 5, 10, EXCLUSIVE);
        submit(&reader, files[2], 0, 10, SHARED);
        poll_now(f);
        check_waits(&reader);
        unlock_now(files[0], 0, 10);
        poll_now(f);
        check_granted(&writer);
        check_waits(&reader);
        unlock_now(files[1], 5, 10);
        poll_now(f);
        check_granted(&reader);
        epio_file *reads = files[0];
        files[0] = files[2];
        files[2] = reads;
    }
    for (size_t i = 0; i < 3; i++) {
        fixture_close(f, files[i]);
    }
}

static void a_whole_file_waits_for_all(fixture *f)
{
    tracked one;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    for (uint64_t i = 0; i < 10; i++) {
        lock_now(holder, i * 1000, 10, i % 2 == 0 ? SHARED : EXCLUSIVE);
    }
    submit(&one, file, 0, 0, EXCLUSIVE);
    for (uint64_t i = 0; i < 10; i++) {
        poll_now(f);
        check_waits(&one);
        unlock_now(holder, i * 1000, 10);
    }
    poll_now(f);
    check_granted(&one);
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* ---- The end of a wait ------------------------------------------------------------ */

/* It leaves nothing that blocks others. */
static void check_nothing_is_left(fixture *f)
{
    epio_file *file = open_locked(f);
    lock_now(file, 0, 0, EXCLUSIVE);
    fixture_close(f, file);
}

static void a_wait_ends_early(fixture *f)
{
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    epio_file *next = open_locked(f);
    lock_now(holder, 0, 10, SHARED);
    for (int how = 0; how < 4; how++) {
        tracked one;
        tracked behind;
        epio_op *op = track(&one);
        op->timeout_ns = how == 1 ? SHORTLY : 0;
        epio_submit(epio_lock_range(op, file, 5, 10, EXCLUSIVE, WAIT));
        submit(&behind, next, 0, 10, SHARED); /* blocked by the waiting one alone */
        if (how != 1) {
            poll_now(f); /* which may take longer than SHORTLY */
            check_waits(&behind);
        }
        if (how == 0) {
            epio_cancel(&one.op);
        } else if (how == 2) {
            unlock_now(file, 0, 100);
        } else if (how == 3) {
            fixture_close(f, file);
            file = open_locked(f);
        }
        run_until_done(f, &one);
        check_result(one.result, how == 1 ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
        poll_now(f);
        check_granted(&behind);
        unlock_now(next, 0, 10);
    }
    fixture_close(f, holder);
    fixture_close(f, file);
    fixture_close(f, next);
    check_nothing_is_left(f);
}

static void an_unlock_ends_what_is_inside(fixture *f)
{
    tracked ops[4];
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 0, 0, EXCLUSIVE);
    for (uint64_t i = 0; i < 4; i++) {
        submit(&ops[i], file, i * 10, 10, SHARED);
    }
    poll_now(f);
    unlock_now(file, 5, 25); /* the second and third */
    poll_now(f);
    check_waits(&ops[0]);
    check_waits(&ops[3]);
    check_result(ops[1].result, EPIO_ECANCELED);
    check_result(ops[2].result, EPIO_ECANCELED);
    epio_op op = {0};
    check_result(epio_perform(epio_unlock(&op, file, EPIO_LOCK_NONE)), 0); /* of levels alone */
    poll_now(f);
    check_waits(&ops[0]);
    unlock_now(holder, 0, 0);
    poll_now(f);
    check_granted(&ops[0]);
    check_granted(&ops[3]);
    fixture_close(f, holder);
    fixture_close(f, file);
}

static void linked_ops_follow_a_grant(fixture *f)
{
    static const char text[] = "guarded";
    tracked lock;
    tracked write;
    tracked unlock;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 0, 10, SHARED);
    (void)epio_lock_range(track(&lock), file, 0, 10, EXCLUSIVE, WAIT);
    (void)epio_write(track(&write), file, text, sizeof text, 0);
    (void)epio_unlock_range(track(&unlock), file, 0, 10);
    epio_submit(epio_link(&lock.op, epio_link(&write.op, &unlock.op, EPIO_LINK_ALWAYS), 0));
    poll_now(f);
    check_waits(&write);
    unlock_now(holder, 0, 10);
    run_until_done(f, &unlock);
    check_granted(&lock);
    check_result(write.result, sizeof text);
    check_result(unlock.result, 0);
    lock_now(holder, 0, 10, EXCLUSIVE);
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* ---- Several requests of one file ----------------------------------------------------- */

static void requests_of_one_file_keep_their_order(fixture *f)
{
    tracked ops[4];
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 0, 100, EXCLUSIVE);
    submit(&ops[0], file, 10, 10, EXCLUSIVE);
    submit(&ops[1], file, 10, 10, EXCLUSIVE); /* the same again */
    submit(&ops[2], file, 10, 10, SHARED);    /* then weaker */
    submit(&ops[3], file, 15, 10, SHARED);    /* partly the same */
    poll_now(f);
    check_result(try_lock(file, 10, 10, EXCLUSIVE), EPIO_EBUSY);
    unlock_now(holder, 0, 100);
    poll_now(f);
    check_granted(&ops[0]);
    check_granted(&ops[1]);
    check_granted(&ops[2]);
    check_result(ops[3].calls, 1);
    check_result(ops[3].result, EPIO_EINVAL);
    lock_now(holder, 10, 10, SHARED); /* so it is SHARED now */
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* The later one takes the place of the one that was withdrawn. */
static void a_later_request_outlives_an_earlier(fixture *f)
{
    tracked first;
    tracked second;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 0, 100, EXCLUSIVE);
    submit(&first, file, 10, 10, EXCLUSIVE);
    submit(&second, file, 15, 10, SHARED);
    poll_now(f);
    epio_cancel(&first.op);
    poll_now(f);
    check_result(first.result, EPIO_ECANCELED);
    check_waits(&second);
    unlock_now(holder, 0, 100);
    poll_now(f);
    check_granted(&second);
    unlock_now(file, 15, 10);
    lock_now(holder, 0, 100, EXCLUSIVE);
    submit(&first, file, 10, 10, EXCLUSIVE);
    submit(&second, file, 10, 10, SHARED);
    epio_cancel(&second.op); /* the one behind */
    poll_now(f);
    check_result(second.result, EPIO_ECANCELED);
    unlock_now(holder, 0, 0);
    poll_now(f);
    check_granted(&first);
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* A later request becomes a change of mode, which no newcomer may block. */
static void a_later_request_strengthens(fixture *f)
{
    tracked first;
    tracked second;
    tracked other;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    epio_file *newcomer = open_locked(f);
    lock_now(holder, 0, 10, EXCLUSIVE);
    submit(&first, file, 0, 10, SHARED);
    submit(&other, newcomer, 0, 10, EXCLUSIVE);
    submit(&second, file, 0, 10, EXCLUSIVE);
    poll_now(f);
    unlock_now(holder, 0, 10);
    poll_now(f);
    check_granted(&first);
    check_waits(&other);
    check_result(second.calls, 1);
    check_result(second.result, converts(f) ? 0 : EPIO_ENOTSUP);
    unlock_now(file, 0, 10);
    poll_now(f);
    check_granted(&other);
    fixture_close(f, holder);
    fixture_close(f, file);
    fixture_close(f, newcomer);
}

/* One that weakens as another ends admits readers of all that it weakens. */
static void a_later_request_weakens(fixture *f)
{
    tracked first;
    tracked between;
    tracked weaker;
    tracked reader;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    lock_now(holder, 0, 4, EXCLUSIVE);
    lock_now(file, 8, 16, EXCLUSIVE);
    submit(&reader, other, 20, 4, SHARED);
    submit(&first, file, 0, 8, SHARED);
    submit(&between, file, 4, 8, SHARED);
    submit(&weaker, file, 8, 16, SHARED);
    poll_now(f);
    check_waits(&weaker);
    check_waits(&reader);
    epio_cancel(&between.op);
    poll_now(f);
    check_granted(&weaker);
    check_granted(&reader);
    check_waits(&first);
    unlock_now(holder, 0, 4);
    poll_now(f);
    check_granted(&first);
    fixture_close(f, holder);
    fixture_close(f, file);
    fixture_close(f, other);
}

/* One that starts as an unlock ends another is no part of what is unlocked. */
static void an_unlock_starts_a_later_request(fixture *f)
{
    tracked first;
    tracked second;
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 20, 10, EXCLUSIVE);
    submit(&first, file, 5, 20, SHARED);
    submit(&second, file, 0, 10, SHARED);
    poll_now(f);
    check_waits(&second);
    unlock_now(file, 5, 20);
    poll_now(f);
    check_result(first.result, EPIO_ECANCELED);
    check_granted(&second);
    check_result(try_lock(holder, 0, 10, EXCLUSIVE), EPIO_EBUSY);
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* Of a range that is partly released, and weakened as soon as it is granted. */
static void a_grant_reaches_all_that_it_admits(fixture *f)
{
    tracked ops[3];
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    lock_now(holder, 0, 4, EXCLUSIVE);
    submit(&ops[0], file, 0, 8, EXCLUSIVE);
    submit(&ops[1], file, 0, 8, SHARED);
    submit(&ops[2], other, 4, 4, SHARED);
    poll_now(f);
    check_waits(&ops[2]);
    unlock_now(holder, 0, 4);
    poll_now(f);
    for (size_t i = 0; i < 3; i++) {
        check_granted(&ops[i]);
    }
    fixture_close(f, holder);
    fixture_close(f, file);
    fixture_close(f, other);
}

/* ---- Changes of mode ---------------------------------------------------------------- */

static void weakening_admits_readers(fixture *f)
{
    tracked readers[2];
    tracked writer;
    epio_file *files[4];
    for (size_t i = 0; i < 4; i++) {
        files[i] = open_locked(f);
    }
    lock_now(files[0], 0, 10, EXCLUSIVE);
    submit(&readers[0], files[1], 0, 5, SHARED);
    submit(&writer, files[2], 5, 5, EXCLUSIVE);
    submit(&readers[1], files[3], 0, 10, SHARED);
    poll_now(f);
    lock_now(files[0], 0, 10, SHARED);
    poll_now(f);
    check_granted(&readers[0]);
    check_waits(&writer);
    check_waits(&readers[1]); /* behind the writer */
    unlock_now(files[0], 0, 10);
    poll_now(f);
    check_granted(&writer);
    check_waits(&readers[1]);
    fixture_close(f, files[2]);
    poll_now(f);
    check_granted(&readers[1]);
    fixture_close(f, files[0]);
    fixture_close(f, files[1]);
    fixture_close(f, files[3]);
}

static void strengthening_comes_first(fixture *f)
{
    tracked newcomer;
    tracked one;
    tracked two;
    epio_op op = {0};
    epio_file *files[3];
    if (!converts(f)) {
        fixture_skip(f, "a range cannot be strengthened");
    }
    for (size_t i = 0; i < 3; i++) {
        files[i] = open_locked(f);
    }
    lock_now(files[0], 0, 10, SHARED);
    lock_now(files[1], 0, 10, SHARED);
    submit(&newcomer, files[2], 0, 10, EXCLUSIVE);
    submit(&one, files[0], 0, 10, EXCLUSIVE);
    poll_now(f);
    check_waits(&one);
    /* Both would wait for ever. */
    submit(&two, files[1], 0, 10, EXCLUSIVE);
    poll_now(f);
    check_result(two.calls, 1);
    check_result(two.result, EPIO_EDEADLK);
    check_result(try_lock(files[1], 0, 10, EXCLUSIVE), EPIO_EBUSY);
    check_result(epio_wait(epio_test_range(&op, files[2], 0, 10, SHARED)), 0); /* all as before */
    unlock_now(files[1], 0, 10);
    poll_now(f);
    check_granted(&one);
    check_waits(&newcomer);
    unlock_now(files[0], 0, 10);
    poll_now(f);
    check_granted(&newcomer);
    for (size_t i = 0; i < 3; i++) {
        fixture_close(f, files[i]);
    }
}

/* One that gives up keeps what it had. */
static void a_withdrawn_change_keeps_the_mode(fixture *f)
{
    tracked one;
    if (!converts(f)) {
        fixture_skip(f, "a range cannot be strengthened");
    }
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    epio_file *third = open_locked(f);
    lock_now(file, 0, 10, SHARED);
    lock_now(other, 0, 10, SHARED);
    submit(&one, file, 0, 10, EXCLUSIVE);
    poll_now(f);
    epio_cancel(&one.op);
    poll_now(f);
    check_result(one.result, EPIO_ECANCELED);
    unlock_now(other, 0, 10);
    check_result(try_lock(third, 0, 10, EXCLUSIVE), EPIO_EBUSY);
    lock_now(third, 0, 10, SHARED);
    /* And an unlock ends the change and releases it. */
    submit(&one, file, 0, 10, EXCLUSIVE);
    unlock_now(file, 0, 10);
    poll_now(f);
    check_result(one.result, EPIO_ECANCELED);
    lock_now(third, 0, 10, EXCLUSIVE);
    fixture_close(f, file);
    fixture_close(f, other);
    fixture_close(f, third);
}

/* ---- Levels ------------------------------------------------------------------------ */

static void raise(epio_file *file, uint32_t level)
{
    check_result(lock_raise_to(file, level), level);
}

static void lower(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_perform(epio_unlock(&op, file, EPIO_LOCK_NONE)), 0);
}

static void submit_level(tracked *one, epio_file *file, uint32_t level)
{
    epio_submit(epio_lock(track(one), file, level, WAIT));
}

static void levels_and_ranges_wait_for_each_other(fixture *f)
{
    tracked level;
    tracked range;
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    lock_now(file, 0, 0, EXCLUSIVE);
    submit_level(&level, other, EPIO_LOCK_SHARED);
    poll_now(f);
    check_waits(&level);
    unlock_now(file, 0, 0);
    poll_now(f);
    check_granted(&level);
    raise(other, EPIO_LOCK_EXCLUSIVE);
    submit(&range, file, PENDING_BYTE + 100, 1, SHARED);
    poll_now(f);
    check_waits(&range);
    lower(other);
    poll_now(f);
    check_granted(&range);
    /* An upgrade waits for the range at PENDING. */
    raise(other, EPIO_LOCK_RESERVED);
    submit_level(&level, other, EPIO_LOCK_EXCLUSIVE);
    poll_now(f);
    check_waits(&level);
    check_result(epio_file_lock_level(other), EPIO_LOCK_PENDING);
    unlock_now(file, 0, 0);
    poll_now(f);
    check_granted(&level);
    fixture_close(f, file);
    fixture_close(f, other);
}

static void levels_and_ranges_keep_one_order(fixture *f)
{
    tracked level;
    tracked ranges[2];
    epio_file *files[4];
    for (size_t i = 0; i < 4; i++) {
        files[i] = open_locked(f);
    }
    raise(files[0], EPIO_LOCK_EXCLUSIVE);
    submit(&ranges[0], files[1], PENDING_BYTE, 512, EXCLUSIVE);
    submit_level(&level, files[2], EPIO_LOCK_SHARED);
    submit(&ranges[1], files[3], PENDING_BYTE, 512, EXCLUSIVE);
    poll_now(f);
    lower(files[0]);
    poll_now(f);
    check_granted(&ranges[0]);
    check_waits(&level);
    unlock_now(files[1], 0, 0);
    poll_now(f);
    check_granted(&level);
    check_waits(&ranges[1]);
    lower(files[2]);
    poll_now(f);
    check_granted(&ranges[1]);
    for (size_t i = 0; i < 4; i++) {
        fixture_close(f, files[i]);
    }
}

/* Each wants more of what the other shares. */
static void a_level_and_a_range_would_deadlock(fixture *f)
{
    tracked level;
    tracked range;
    if (!converts(f)) {
        fixture_skip(f, "a range cannot be strengthened");
    }
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    for (int first = 0; first < 2; first++) {
        lock_now(file, PENDING_BYTE + 2, 510, SHARED);
        raise(other, EPIO_LOCK_SHARED);
        if (first == 0) {
            submit(&range, file, PENDING_BYTE + 2, 510, EXCLUSIVE);
            submit_level(&level, other, EPIO_LOCK_EXCLUSIVE);
        } else {
            submit_level(&level, other, EPIO_LOCK_EXCLUSIVE);
            submit(&range, file, PENDING_BYTE + 2, 510, EXCLUSIVE);
        }
        poll_now(f);
        check_result((first == 0 ? &level : &range)->result, EPIO_EDEADLK);
        check_waits(first == 0 ? &range : &level);
        if (first == 0) {
            check_result(epio_file_lock_level(other), EPIO_LOCK_SHARED);
            lower(other);
        } else {
            unlock_now(file, 0, 0);
        }
        poll_now(f);
        check_granted(first == 0 ? &range : &level);
        unlock_now(file, 0, 0);
        lower(other);
    }
    fixture_close(f, file);
    fixture_close(f, other);
}

/* Requests for other bytes do not touch each other. */
static void levels_and_ranges_do_not_disturb_each_other(fixture *f)
{
    tracked level;
    tracked range;
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    lock_now(file, 0, 100, EXCLUSIVE);
    raise(file, EPIO_LOCK_EXCLUSIVE);
    submit_level(&level, other, EPIO_LOCK_SHARED);
    submit(&range, other, 50, 10, SHARED);
    poll_now(f);
    check_waits(&level);
    check_waits(&range);
    unlock_now(file, 0, 0);
    poll_now(f);
    check_waits(&level);
    check_granted(&range);
    lower(file);
    poll_now(f);
    check_granted(&level);
    submit(&range, file, 50, 10, EXCLUSIVE);
    lower(other);
    poll_now(f);
    check_waits(&range);
    fixture_close(f, other);
    poll_now(f);
    check_granted(&range);
    fixture_close(f, file);
}

/* ---- Other processes ------------------------------------------------------------------ */

static void another_process_is_polled(fixture *f)
{
    tracked one;
    tracked behind;
    epio_op op = {0};
    intptr_t foreign = foreign_open(f);
    epio_file *file = open_locked(f);
    epio_file *other = open_locked(f);
    check(handle_lock_range(foreign, 100, 10, HANDLE_LOCK_SHARED));
    check_result(epio_perform(epio_test_range(&op, file, 0, 0, SHARED)), 0);
    check_result(epio_perform(epio_test_range(&op, file, 0, 0, EXCLUSIVE)), 1);
    check_result(try_lock(file, 105, 1, EXCLUSIVE), EPIO_EBUSY);
    lock_now(file, 90, 10, EXCLUSIVE);
    (void)epio_lock_range(track(&one), file, 105, 10, EXCLUSIVE, WAIT);
    one.op.timeout_ns = SHORTLY;
    epio_submit(&one.op);
    run_until_done(f, &one);
    check_result(one.result, EPIO_ETIMEDOUT);
    submit(&one, file, 105, 10, EXCLUSIVE);
    submit(&behind, other, 110, 10, EXCLUSIVE);
    poll_now(f);
    check_waits(&behind);
    check(handle_lock_range(foreign, 100, 10, HANDLE_UNLOCK));
    run_until_done(f, &one);
    check_granted(&one);
    check_waits(&behind);
    /* What is held here, the other one sees. */
    check(!handle_lock_range(foreign, 100, 10, HANDLE_LOCK_SHARED));
    check(!handle_lock_range(foreign, 99, 1, HANDLE_LOCK_SHARED));
    unlock_now(file, 100, 20);
    poll_now(f);
    check_granted(&behind);
    check(handle_lock_range(foreign, 100, 10, HANDLE_LOCK_EXCLUSIVE));
    handle_unlock_all(foreign);
    check(handle_close(foreign));
    fixture_close(f, file);
    fixture_close(f, other);
}

/* The polls of one range do not depend on those of another. */
static void several_ranges_are_polled(fixture *f)
{
    tracked ops[10];
    intptr_t foreign = foreign_open(f);
    epio_file *file = open_locked(f);
    for (uint64_t i = 0; i < 10; i++) {
        check(handle_lock_range(foreign, i * 10, 10, HANDLE_LOCK_EXCLUSIVE));
        submit(&ops[i], file, i * 10 + 5, 2, i % 2 == 0 ? SHARED : EXCLUSIVE);
    }
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t at = i * 7 % 10;
        poll_now(f);
        check_waits(&ops[at]);
        check(handle_lock_range(foreign, at * 10, 10, HANDLE_UNLOCK));
        run_until_done(f, &ops[at]);
        check_granted(&ops[at]);
    }
    check(handle_close(foreign));
    fixture_close(f, file);
}

/* Blocked by another process, then by a file here, and the other way round. */
static void blocked_here_and_elsewhere(fixture *f)
{
    tracked one;
    intptr_t foreign = foreign_open(f);
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 0, 10, SHARED);
    check(handle_lock_range(foreign, 10, 10, HANDLE_LOCK_SHARED));
    submit(&one, file, 0, 20, EXCLUSIVE);
    poll_now(f);
    check(handle_lock_range(foreign, 10, 10, HANDLE_UNLOCK));
    poll_now(f);
    check_waits(&one);
    check(handle_lock_range(foreign, 10, 10, HANDLE_LOCK_SHARED));
    unlock_now(holder, 0, 10);
    poll_now(f);
    check_waits(&one);
    check(handle_lock_range(foreign, 10, 10, HANDLE_UNLOCK));
    run_until_done(f, &one);
    check_granted(&one);
    check(handle_close(foreign));
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* ---- Threads ----------------------------------------------------------------------- */

static void a_perform_that_waits_for_its_own_loop(fixture *f)
{
    tracked one;
    epio_op op = {0};
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    epio_file *third = open_locked(f);
    lock_now(holder, 0, 10, EXCLUSIVE);
    check_result(epio_perform(epio_lock_range(&op, file, 5, 1, SHARED, WAIT)), EPIO_EDEADLK);
    check(strstr(epio_op_invalid_reason(&op), "epio_wait") != NULL);
    submit(&one, file, 5, 10, EXCLUSIVE);
    poll_now(f);
    check_result(epio_perform(epio_lock_range(&op, third, 12, 10, SHARED, WAIT)), EPIO_EDEADLK);
    check_result(epio_perform(epio_lock_range(&op, file, 5, 10, SHARED, WAIT)), EPIO_EDEADLK);
    check_result(epio_perform(epio_lock_range(&op, third, 15, 10, SHARED, WAIT)), 0);
    lock_now(holder, PENDING_BYTE, 512, EXCLUSIVE);
    check_result(epio_perform(epio_lock(&op, third, EPIO_LOCK_SHARED, WAIT)), EPIO_EDEADLK);
    unlock_now(holder, 0, 0);
    poll_now(f);
    check_granted(&one);
    fixture_close(f, holder);
    fixture_close(f, file);
    fixture_close(f, third);
}

static void *release_shortly(void *argument)
{
    sleep_us(5000);
    unlock_now(argument, 0, 0);
    return NULL;
}

static void a_perform_waits_for_others(fixture *f)
{
    test_thread thread;
    epio_op op = {0};
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    lock_now(holder, 0, 0, EXCLUSIVE);
    op.timeout_ns = SHORTLY;
    check_op(f, epio_lock_range(&op, file, 3, 4, SHARED, WAIT), EPIO_ETIMEDOUT);
    thread_start(&thread, release_shortly, holder);
    check_op(f, epio_lock_range(&op, file, 3, 4, EXCLUSIVE, WAIT), 0);
    (void)thread_join(thread);
    check_result(try_lock(holder, 3, 1, SHARED), EPIO_EBUSY);
    fixture_close(f, holder);
    fixture_close(f, file);
}

static void *free_shortly(void *argument)
{
    sleep_us(5000);
    check(handle_lock_range(*(intptr_t *)argument, 0, 100, HANDLE_UNLOCK));
    return NULL;
}

/* An op of this loop, which does not run meanwhile, waits for the same of the same file. */
static void a_perform_behind_an_op_of_its_own_loop(fixture *f)
{
    tracked one;
    test_thread thread;
    epio_op op = {0};
    intptr_t foreign = foreign_open(f);
    epio_file *file = open_locked(f);
    check(handle_lock_range(foreign, 0, 100, HANDLE_LOCK_EXCLUSIVE));
    submit(&one, file, 50, 10, EXCLUSIVE);
    thread_start(&thread, free_shortly, &foreign);
    check_result(epio_perform(epio_lock_range(&op, file, 50, 10, EXCLUSIVE, WAIT)), 0);
    check_waits(&one);
    poll_now(f);
    check_granted(&one);
    (void)thread_join(thread);
    fixture_close(f, file);
    check(handle_close(foreign));
}

static void *wait_until_closed(void *argument)
{
    epio_op op = {0};
    check_result(epio_perform(epio_lock_range(&op, argument, 0, 10, SHARED, WAIT)), EPIO_ECANCELED);
    return NULL;
}

static void a_close_ends_the_wait_of_another_thread(fixture *f)
{
    for (int round = 0; round < 20; round++) {
        test_thread thread;
        intptr_t foreign = foreign_open(f);
        epio_file *file = open_locked(f);
        check(handle_lock_range(foreign, 0, 10, HANDLE_LOCK_EXCLUSIVE));
        thread_start(&thread, wait_until_closed, file);
        epio_op op = {0};
        do { /* until it waits: then another is refused without a system call */
            thread_yield();
            check_result(epio_perform(epio_lock_range(&op, file, 0, 10, SHARED, 0)), EPIO_EBUSY);
        } while (op.os_error != 0);
        fixture_close(f, file);
        (void)thread_join(thread);
        check(handle_close(foreign));
    }
}

/* ---- Two loops --------------------------------------------------------------------- */

#define PLAYERS 4u
#define CELLS 8u

/* Each cell is guarded by a range; the counters are not atomic, so that a sanitizer sees an error
 * of the locks, too. */
typedef struct game {
    const char *path;
    unsigned rounds;
    uint64_t cells[CELLS];
} game;

static void play(game *one, epio_vfs *vfs, uint64_t seed, epio_loop *loop)
{
    random_source random = {.state = seed};
    epio_op op = {0};
    require(epio_perform(epio_open(&op, vfs, one->path, READ_WRITE)) == 0);
    epio_file *file = op.file;
    for (unsigned i = 0; i < one->rounds; i++) {
        uint64_t first = random_between(&random, 0, CELLS);
        uint64_t count = random_between(&random, 1, CELLS - first + 1);
        (void)epio_lock_range(&op, file, first * 16, count * 16, EXCLUSIVE, WAIT);
        require((loop != NULL ? epio_wait(&op) : epio_perform(&op)) == 0);
        for (uint64_t at = first; at < first + count; at++) {
            one->cells[at]++;
        }
        require(epio_perform(epio_unlock_range(&op, file, first * 16, count * 16)) == 0);
    }
    require(epio_perform(epio_close(&op, file)) == 0);
}

static void *play_on_a_loop(void *argument)
{
    epio_loop *loop;
    require(epio_loop_create(&loop, NULL) == 0);
    play(argument, epio_loop_vfs(loop), (uintptr_t)&loop, loop);
    epio_loop_destroy(loop);
    return NULL;
}

static void *play_by_perform(void *argument)
{
    int here;
    play(argument, epio_os_vfs(), (uintptr_t)&here, NULL);
    return NULL;
}

static void threads_hand_over(fixture *f)
{
    test_thread threads[PLAYERS];
    game one = {.path = fixture_path(f, "locked"), .rounds = fixture_rounds(500)};
    uint64_t sum = 0;
    fixture_close(f, open_locked(f));
    for (size_t i = 0; i < PLAYERS; i++) {
        thread_start(&threads[i], i % 2 == 0 ? play_on_a_loop : play_by_perform, &one);
    }
    for (size_t i = 0; i < PLAYERS; i++) {
        (void)thread_join(threads[i]);
    }
    for (size_t i = 0; i < CELLS; i++) {
        sum += one.cells[i];
    }
    check(sum >= PLAYERS * one.rounds);
    check_nothing_is_left(f);
}

/* ---- Locks that workers carry out, as on a network file system ---------------------------- */

static void of_workers_an_unlock_ends_the_wait(fixture *f)
{
    op_fixture fx;
    tracked inside;
    tracked outside;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *holder = op_fixture_open(&fx, fx.os, "locked");
    epio_file *file = op_fixture_open(&fx, fx.gate, "locked");
    lock_now(holder, 0, 100, EXCLUSIVE);
    submit(&inside, file, 10, 10, SHARED);
    submit(&outside, file, 30, 10, SHARED);
    op_fixture_run_for(&fx, SHORTLY);
    check_waits(&inside);
    check_result(epio_wait(epio_unlock_range(&op, file, 0, 20)), 0);
    op_fixture_run_until_done(&fx, &inside);
    check_result(inside.result, EPIO_ECANCELED);
    op_fixture_run_for(&fx, SHORTLY);
    check_waits(&outside);
    unlock_now(holder, 0, 100);
    op_fixture_run_until_done(&fx, &outside);
    check_granted(&outside);
    check_result(epio_wait(epio_unlock_range(&op, file, 0, 0)), 0);
    /* And the next is not ended by what was before. */
    submit(&inside, file, 10, 10, EXCLUSIVE);
    op_fixture_run_until_done(&fx, &inside);
    check_granted(&inside);
    op_fixture_close(holder);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static void of_workers_a_close_ends_the_wait(fixture *f)
{
    op_fixture fx;
    tracked one;
    op_fixture_setup(&fx, f);
    epio_file *holder = op_fixture_open(&fx, fx.os, "locked");
    epio_file *file = op_fixture_open(&fx, fx.gate, "locked");
    lock_now(holder, 0, 100, EXCLUSIVE);
    submit(&one, file, 10, 10, SHARED);
    op_fixture_run_for(&fx, SHORTLY);
    op_fixture_close(file);
    op_fixture_run_until_done(&fx, &one);
    check_result(one.result, EPIO_ECANCELED);
    op_fixture_close(holder);
    op_fixture_teardown(&fx);
}

/* ---- A stress -------------------------------------------------------------------------- */

/* Each file submits, unlocks and cancels at random; a table of bytes shows whether two have one. */
#define FILES 6u
#define BYTES 24u

typedef struct request {
    tracked one;
    uint64_t start;
    uint64_t len;
    uint32_t mode;
    uint64_t number; /* in the order of submission */
    bool free;
} request;

typedef struct crowd {
    fixture *f;
    random_source random;
    epio_file *files[FILES];
    request requests[FILES][4];
    uint64_t numbers;
    uint8_t modes[FILES][BYTES];   /* what the model says that each has */
    uint64_t latest[FILES][BYTES]; /* the number of the op that says so */
} crowd;

/* Overlapping ops of one file are carried out in their order, but perhaps delivered in another. */
static void set_model(crowd *all, size_t file, uint64_t start, uint64_t len, uint32_t mode,
                      uint64_t number)
{
    for (uint64_t byte = start; byte < start + len; byte++) {
        if (all->latest[file][byte] < number) {
            all->latest[file][byte] = number;
            all->modes[file][byte] = (uint8_t)mode;
        }
    }
}

static void check_exclusion(const crowd *all)
{
    for (size_t byte = 0; byte < BYTES; byte++) {
        unsigned shared = 0;
        unsigned exclusive = 0;
        for (size_t i = 0; i < FILES; i++) {
            shared += all->modes[i][byte] == SHARED ? 1 : 0;
            exclusive += all->modes[i][byte] == EXCLUSIVE ? 1 : 0;
        }
        check(exclusive <= 1 && (exclusive == 0 || shared == 0));
    }
}

static size_t file_of(const crowd *all, const request *one)
{
    return (size_t)(one - &all->requests[0][0]) / 4;
}

static bool is_blocked_by_holders(const crowd *all, const request *one)
{
    for (size_t i = 0; i < FILES; i++) {
        for (uint64_t byte = one->start; byte < one->start + one->len; byte++) {
            uint32_t held = i != file_of(all, one) ? all->modes[i][byte] : 0;
            if (held != 0 && (held == EXCLUSIVE || one->mode == EXCLUSIVE)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_blocked_by_request(const crowd *all, const request *one, const request *other)
{
    bool overlap = one->start < other->start + other->len && other->start < one->start + one->len;
    bool conflict = one->mode == EXCLUSIVE || other->mode == EXCLUSIVE ||
                    file_of(all, one) == file_of(all, other);
    return one != other && !other->free && overlap && conflict;
}

/* None waits without a reason. */
static void check_waiting(const crowd *all)
{
    const request *requests = &all->requests[0][0];
    for (size_t i = 0; i < (size_t)FILES * 4; i++) {
        bool blocked = requests[i].free || is_blocked_by_holders(all, &requests[i]);
        for (size_t j = 0; j < (size_t)FILES * 4 && !blocked; j++) {
            blocked = is_blocked_by_request(all, &requests[i], &requests[j]);
        }
        check(blocked);
    }
}

static void note_result(tracked *one)
{
    crowd *all = one->user;
    request *asked = (request *)(void *)one; /* its first field */
    asked->free = true;
    if (one->result == 0) {
        set_model(all, file_of(all, asked), asked->start, asked->len, asked->mode, asked->number);
    } else {
        check(one->result == EPIO_ECANCELED || one->result == EPIO_EINVAL ||
              one->result == EPIO_EBUSY || one->result == EPIO_EDEADLK ||
              (one->result == EPIO_ENOTSUP && !converts(all->f)));
    }
}

static void ask(crowd *all, size_t file)
{
    request *one = &all->requests[file][random_between(&all->random, 0, 4)];
    if (!one->free) {
        if (random_between(&all->random, 0, 4) == 0) {
            epio_cancel(&one->one.op);
        }
        return;
    }
    one->free = false;
    one->number = ++all->numbers;
    one->start = random_between(&all->random, 0, BYTES / 4) * 4;
    one->len = random_between(&all->random, 1, (BYTES - one->start) / 4 + 1) * 4;
    one->mode = (uint32_t)random_between(&all->random, SHARED, EXCLUSIVE + 1);
    epio_op *op = track(&one->one);
    one->one.user = all;
    one->one.then = note_result;
    epio_submit(epio_lock_range(op, all->files[file], one->start, one->len, one->mode,
                                random_between(&all->random, 0, 3) == 0 ? 0 : WAIT));
}

/* After all deliveries, which have no order: the model is what the files have. No timer grants. */
static void release(crowd *all, size_t file)
{
    epio_op op = {0};
    uint64_t start = random_between(&all->random, 0, BYTES / 4) * 4;
    uint64_t len = random_between(&all->random, 1, (BYTES - start) / 4 + 1) * 4;
    for (int i = 0; i < 3; i++) {
        poll_now(all->f);
    }
    check_exclusion(all);
    check_waiting(all);
    (void)epio_unlock_range(&op, all->files[file], start, len);
    if (epio_perform(&op) == 0) {
        memset(&all->modes[file][start], 0, (size_t)len);
        memset(&all->latest[file][start], 0, (size_t)len * sizeof all->latest[file][0]);
    }
}

static void a_crowd_of_requests(fixture *f)
{
    static crowd all;
    const char *seed = getenv("EPIO_TEST_SEED");
    uint64_t state = seed != NULL ? strtoull(seed, NULL, 10) : system_monotonic_ns();
    all = (crowd){.f = f, .random = {.state = state}};
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)state);
    for (size_t i = 0; i < FILES; i++) {
        all.files[i] = open_locked(f);
        for (size_t j = 0; j < 4; j++) {
            all.requests[i][j].free = true;
        }
    }
    for (unsigned i = 0; i < fixture_rounds(3000); i++) {
        size_t file = (size_t)random_between(&all.random, 0, FILES);
        if (random_between(&all.random, 0, 3) == 0) {
            release(&all, file);
        } else {
            ask(&all, file);
        }
    }
    for (size_t i = 0; i < FILES; i++) {
        fixture_close(f, all.files[i]); /* delivers all that wait */
        memset(all.modes[i], 0, BYTES);
    }
    for (size_t i = 0; i < FILES; i++) {
        for (size_t j = 0; j < 4; j++) {
            check(all.requests[i][j].free);
        }
    }
    check_nothing_is_left(f);
}

int main(void)
{
    enum { LOOPS = ON_OS | ON_MEMORY | ON_LIMIT_OS | ON_LIMIT_MEMORY | ON_TRACE_OS };
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_release_grants_the_next, LOOPS),
        FIXTURE_TEST(a_hand_over_takes_one_poll, LOOPS),
        FIXTURE_TEST(others_overtake, LOOPS),
        FIXTURE_TEST(a_writer_comes_before_later_readers, LOOPS),
        FIXTURE_TEST(a_whole_file_waits_for_all, LOOPS),
        FIXTURE_TEST(a_wait_ends_early, LOOPS),
        FIXTURE_TEST(an_unlock_ends_what_is_inside, LOOPS),
        FIXTURE_TEST(linked_ops_follow_a_grant, LOOPS),
        FIXTURE_TEST(requests_of_one_file_keep_their_order, LOOPS),
        FIXTURE_TEST(a_later_request_outlives_an_earlier, LOOPS),
        FIXTURE_TEST(a_later_request_strengthens, LOOPS),
        FIXTURE_TEST(a_later_request_weakens, LOOPS),
        FIXTURE_TEST(an_unlock_starts_a_later_request, LOOPS),
        FIXTURE_TEST(a_grant_reaches_all_that_it_admits, LOOPS),
        FIXTURE_TEST(weakening_admits_readers, LOOPS),
        FIXTURE_TEST(strengthening_comes_first, LOOPS),
        FIXTURE_TEST(a_withdrawn_change_keeps_the_mode, LOOPS),
        FIXTURE_TEST(levels_and_ranges_wait_for_each_other, LOOPS),
        FIXTURE_TEST(levels_and_ranges_keep_one_order, LOOPS),
        FIXTURE_TEST(a_level_and_a_range_would_deadlock, LOOPS),
        FIXTURE_TEST(levels_and_ranges_do_not_disturb_each_other, LOOPS),
        FIXTURE_TEST(another_process_is_polled, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(several_ranges_are_polled, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(blocked_here_and_elsewhere, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_perform_that_waits_for_its_own_loop, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_perform_waits_for_others, ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS),
        FIXTURE_TEST(a_perform_behind_an_op_of_its_own_loop, ON_OS),
        FIXTURE_TEST(a_close_ends_the_wait_of_another_thread, ON_OS_PERFORM),
        FIXTURE_TEST(threads_hand_over, ON_OS_PERFORM),
        FIXTURE_TEST(of_workers_an_unlock_ends_the_wait, ON_OS),
        FIXTURE_TEST(of_workers_a_close_ends_the_wait, ON_OS),
        FIXTURE_TEST(a_crowd_of_requests, LOOPS),
    };
    return FIXTURE_RUN("waits for ranges", tests);
}
