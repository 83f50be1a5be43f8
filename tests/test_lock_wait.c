/* Waits for locks: the order of grants, how a wait ends early and what is left then, and what is
 * refused because it would deadlock. Both kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS. */
#include "op_fixture.h"
#include "partner.h"

#include <stdatomic.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define WAIT EPIO_LOCK_WAIT
#define SHORTLY (5 * MILLISECOND)

static epio_file *open_locked(fixture *f)
{
    return fixture_open(f, "locked", READ_WRITE | EPIO_OPEN_CREATE);
}

static void raise_to(epio_file *file, uint32_t level)
{
    check_result(lock_raise_to(file, level), level);
}

static void unlock_to(epio_file *file, uint32_t level)
{
    epio_op op = {0};
    check_result(epio_perform(epio_unlock(&op, file, level)), 0);
}

static epio_file *open_and_raise(fixture *f, uint32_t level)
{
    epio_file *file = open_locked(f);
    raise_to(file, level);
    return file;
}

static void submit_lock(tracked *one, epio_file *file, uint32_t level)
{
    epio_submit(epio_lock(&one->op, file, level, WAIT));
}

static void poll_now(fixture *f)
{
    (void)epio_loop_poll(f->loop, 0, 0);
}

/* For what depends on other threads or on time. */
static void run_until_done(fixture *f, tracked *one)
{
    uint64_t deadline = system_monotonic_ns() + 10 * SECOND;
    while (one->calls == 0) {
        check(system_monotonic_ns() < deadline);
        (void)epio_loop_poll(f->loop, 10 * MILLISECOND, 0);
    }
}

static void run_for(fixture *f, uint64_t nanoseconds)
{
    uint64_t deadline = system_monotonic_ns() + nanoseconds;
    do {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    } while (system_monotonic_ns() < deadline);
}

/* ---- Locks of another process, for epio --------------------------------------- */

/* An open file description of its own, with locks that epio does not know. */
static intptr_t foreign_open(fixture *f)
{
    intptr_t handle = handle_open(fixture_path(f, "locked"), READ_WRITE | EPIO_OPEN_CREATE);
    check(handle != NO_HANDLE);
    return handle;
}

static void foreign_set(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    check(handle_lock_range(handle, start, len, mode));
}

#define PENDING_BYTE 0x40000000
#define RESERVED_BYTE (PENDING_BYTE + 1)
#define SHARED_FIRST (PENDING_BYTE + 2)

/* ---- Order --------------------------------------------------------------------- */

#define WAITERS 1000

static size_t granted_count;
static tracked waiters[WAITERS];
static epio_file *waiter_files[WAITERS];

static void granted_in_order(tracked *one)
{
    check(one == &waiters[granted_count]);
    check_result(one->result, 0);
    granted_count++;
}

static void submit_waiters(fixture *f)
{
    granted_count = 0;
    for (size_t i = 0; i < WAITERS; i++) {
        waiter_files[i] = fixture_open(f, "locked", EPIO_OPEN_READ);
        (void)track(&waiters[i]);
        waiters[i].then = granted_in_order;
        submit_lock(&waiters[i], waiter_files[i], EPIO_LOCK_SHARED);
    }
    poll_now(f);
    check_result(granted_count, 0);
}

static void close_waiters(fixture *f)
{
    for (size_t i = 0; i < WAITERS; i++) {
        fixture_close(f, waiter_files[i]);
    }
}

static void a_thousand_are_granted_in_order(fixture *f)
{
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    submit_waiters(f);
    unlock_to(holder, EPIO_LOCK_NONE);
    poll_now(f); /* one iteration, without waiting */
    check_result(granted_count, WAITERS);
    close_waiters(f);
    fixture_close(f, holder);
}

/* All of one file: each ends when the one before it ends. */
static void a_thousand_of_one_file_are_granted_in_order(fixture *f)
{
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    granted_count = 0;
    for (size_t i = 0; i < WAITERS; i++) {
        (void)track(&waiters[i]);
        waiters[i].then = granted_in_order;
        submit_lock(&waiters[i], file, EPIO_LOCK_SHARED);
    }
    unlock_to(holder, EPIO_LOCK_NONE);
    poll_now(f);
    check_result(granted_count, WAITERS);
    check_result(epio_file_lock_level(file), EPIO_LOCK_SHARED);
    fixture_close(f, file);
    fixture_close(f, holder);
}

static void some_of_a_thousand_are_cancelled(fixture *f)
{
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    submit_waiters(f);
    for (size_t i = 0; i < WAITERS; i += 2) {
        waiters[i].then = NULL;
        epio_cancel(&waiters[i].op);
    }
    poll_now(f);
    unlock_to(holder, EPIO_LOCK_NONE);
    for (size_t i = 1; i < WAITERS; i += 2) {
        waiters[i].then = NULL;
    }
    poll_now(f);
    for (size_t i = 0; i < WAITERS; i++) {
        check_result(waiters[i].calls, 1);
        check_result(waiters[i].result, i % 2 == 0 ? EPIO_ECANCELED : 0);
        check_result(epio_file_lock_level(waiter_files[i]), i % 2 == 0 ? 0 : EPIO_LOCK_SHARED);
    }
    close_waiters(f);
    fixture_close(f, holder);
}

/* Each holds it alone, and its `done` unlocks it for the next. */
static void unlock_for_the_next(tracked *one)
{
    size_t index = (size_t)(one - waiters);
    check(index == granted_count);
    granted_count++;
    unlock_to(waiter_files[index], EPIO_LOCK_NONE);
}

static void each_unlock_grants_the_next(fixture *f)
{
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    submit_waiters(f);
    for (size_t i = 0; i < WAITERS; i++) {
        waiters[i].then = unlock_for_the_next;
    }
    unlock_to(holder, EPIO_LOCK_NONE);
    poll_now(f);
    check_result(granted_count, WAITERS);
    close_waiters(f);
    fixture_close(f, holder);
}

static void upgrades_go_before_new_requests(fixture *f)
{
    tracked newer;
    tracked upgrade;
    epio_file *reader = open_and_raise(f, EPIO_LOCK_SHARED);
    epio_file *writer = open_and_raise(f, EPIO_LOCK_RESERVED);
    epio_file *other = open_locked(f);
    (void)track(&newer);
    (void)track(&upgrade);
    submit_lock(&upgrade, writer, EPIO_LOCK_EXCLUSIVE);
    submit_lock(&newer, other, EPIO_LOCK_SHARED);
    poll_now(f);
    check_result(epio_file_lock_level(writer), EPIO_LOCK_PENDING);
    unlock_to(reader, EPIO_LOCK_NONE);
    poll_now(f);
    check_result(upgrade.calls, 1);
    check_result(newer.calls, 0);
    check_result(epio_file_lock_level(writer), EPIO_LOCK_EXCLUSIVE);
    unlock_to(writer, EPIO_LOCK_SHARED);
    poll_now(f);
    check_result(newer.calls, 1);
    check_result(newer.result, 0);
    fixture_close(f, reader);
    fixture_close(f, writer);
    fixture_close(f, other);
}

/* A refused request keeps new readers out; requested again, it must not wait behind those that wait
 * for it. */
static void an_upgrade_overtakes_requests_that_it_blocks(fixture *f)
{
    tracked newer;
    tracked upgrade;
    epio_op op = {0};
    epio_file *reader = open_and_raise(f, EPIO_LOCK_SHARED);
    epio_file *writer = open_and_raise(f, EPIO_LOCK_RESERVED);
    epio_file *other = open_locked(f);
    check_result(epio_wait(epio_lock(&op, writer, EPIO_LOCK_EXCLUSIVE, 0)), EPIO_EBUSY);
    submit_lock((track(&newer), &newer), other, EPIO_LOCK_SHARED);
    submit_lock((track(&upgrade), &upgrade), writer, EPIO_LOCK_EXCLUSIVE);
    unlock_to(reader, EPIO_LOCK_NONE);
    poll_now(f);
    check_result(upgrade.calls, 1);
    check_result(upgrade.result, 0);
    check_result(newer.calls, 0);
    unlock_to(writer, EPIO_LOCK_NONE);
    poll_now(f);
    check_result(newer.calls, 1);
    check_result(newer.result, 0);
    fixture_close(f, reader);
    fixture_close(f, writer);
    fixture_close(f, other);
}

/* A reader elsewhere that holds PENDING's byte for a moment delays it, but does not cost its
 * position. */
static void an_upgrade_that_waits_for_pending_comes_first(fixture *f)
{
    tracked newer;
    tracked upgrade;
    intptr_t foreign = foreign_open(f);
    epio_file *writer = open_and_raise(f, EPIO_LOCK_RESERVED);
    epio_file *other = open_locked(f);
    (void)track(&newer);
    (void)track(&upgrade);
    foreign_set(foreign, PENDING_BYTE, 1, HANDLE_LOCK_SHARED);
    submit_lock(&upgrade, writer, EPIO_LOCK_EXCLUSIVE); /* blocked by a reader elsewhere */
    foreign_set(foreign, SHARED_FIRST, 510, HANDLE_LOCK_SHARED);
    submit_lock(&newer, other, EPIO_LOCK_SHARED);
    foreign_set(foreign, PENDING_BYTE, 1, HANDLE_UNLOCK);
    run_for(f, 30 * MILLISECOND);
    check_result(epio_file_lock_level(writer), EPIO_LOCK_PENDING);
    check_result(newer.calls, 0);
    foreign_set(foreign, SHARED_FIRST, 510, HANDLE_UNLOCK);
    run_until_done(f, &upgrade);
    check_result(newer.calls, 0);
    unlock_to(writer, EPIO_LOCK_NONE);
    run_until_done(f, &newer);
    check_result(newer.result, 0);
    fixture_close(f, writer);
    fixture_close(f, other);
    check(handle_close(foreign));
}

static void a_new_request_does_not_overtake_waiters(fixture *f)
{
    tracked waiting;
    epio_op op = {0};
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *first = open_locked(f);
    epio_file *second = open_locked(f);
    submit_lock((track(&waiting), &waiting), first, EPIO_LOCK_SHARED);
    check_result(epio_wait(epio_lock(&op, second, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
    unlock_to(holder, EPIO_LOCK_NONE);
    check_result(epio_file_lock_level(first), EPIO_LOCK_SHARED); /* at once, before an iteration */
    check_result(waiting.calls, 0);
    check_result(epio_wait(epio_lock(&op, second, EPIO_LOCK_SHARED, 0)), 0);
    check_result(waiting.calls, 1);
    fixture_close(f, first);
    fixture_close(f, second);
    fixture_close(f, holder);
}

/* ---- A writer among readers ------------------------------------------------------ */

#define READERS 8

typedef struct repeated_reader {
    tracked one;
    epio_file *file;
    bool over;
    bool unlocks;
} repeated_reader;

/* Locks and unlocks continually. */
static void read_on(tracked *one)
{
    repeated_reader *r = one->user;
    check_result(one->result, 0);
    if (r->unlocks) {
        r->unlocks = false;
        epio_submit(epio_unlock(&one->op, r->file, EPIO_LOCK_NONE));
    } else if (!r->over) {
        r->unlocks = true;
        epio_submit(epio_lock(&one->op, r->file, EPIO_LOCK_SHARED, WAIT));
    }
}

static void readers_begin(fixture *f, repeated_reader *readers)
{
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (repeated_reader){.file = open_locked(f)};
        (void)track(&readers[i].one);
        readers[i].one.user = &readers[i];
        readers[i].one.then = read_on;
        readers[i].unlocks = true;
        submit_lock(&readers[i].one, readers[i].file, EPIO_LOCK_SHARED);
        (void)epio_loop_poll(f->loop, 0, (uint32_t)i + 1); /* staggered */
    }
}

static void readers_end(fixture *f, repeated_reader *readers)
{
    for (size_t i = 0; i < READERS; i++) {
        readers[i].over = true;
    }
    (void)epio_loop_run(f->loop);
    for (size_t i = 0; i < READERS; i++) {
        fixture_close(f, readers[i].file);
    }
}

static void readers_do_not_starve_a_writer(fixture *f)
{
    repeated_reader readers[READERS];
    readers_begin(f, readers);
    for (int round = 0; round < 100; round++) {
        tracked one;
        int iterations = 0;
        epio_file *writer = open_locked(f);
        epio_op op = {0};
        check_result(epio_wait(epio_lock(&op, writer, EPIO_LOCK_SHARED, WAIT)), 0);
        if (round % 2 == 0) {
            check_result(epio_wait(epio_lock(&op, writer, EPIO_LOCK_RESERVED, WAIT)), 0);
        }
        (void)track(&one);
        submit_lock(&one, writer, EPIO_LOCK_EXCLUSIVE);
        while (one.calls == 0) {
            check(iterations++ < 10);
            poll_now(f);
        }
        check_result(one.result, 0);
        fixture_close(f, writer);
    }
    readers_end(f, readers);
}

/* ---- Ending a wait early, at every step -------------------------------------------- */

/* A wait, and what blocks it. */
typedef struct wait_step {
    const char *name;
    uint32_t found;      /* the waiter's level before */
    uint32_t wanted;     /* the level requested */
    uint32_t held;       /* by another file of this process */
    handle_lock pending; /* locks of another process, on the three ranges */
    handle_lock shared;
    uint32_t while_waiting; /* the waiter's level during the wait */
} wait_step;

static const wait_step steps[] = {
    {"SHARED behind EXCLUSIVE", 0, 1, 4, HANDLE_UNLOCK, HANDLE_UNLOCK, 0},
    {"SHARED behind PENDING", 0, 1, 3, HANDLE_UNLOCK, HANDLE_UNLOCK, 0},
    {"SHARED behind another process's PENDING", 0, 1, 0, HANDLE_LOCK_EXCLUSIVE, HANDLE_UNLOCK, 0},
    {"SHARED behind another process's EXCLUSIVE", 0, 1, 0, HANDLE_UNLOCK, HANDLE_LOCK_EXCLUSIVE, 0},
    {"EXCLUSIVE from SHARED behind a reader", 1, 4, 1, HANDLE_UNLOCK, HANDLE_UNLOCK, 3},
    {"EXCLUSIVE from RESERVED behind a reader", 2, 4, 1, HANDLE_UNLOCK, HANDLE_UNLOCK, 3},
    {"EXCLUSIVE from PENDING behind a reader", 3, 4, 1, HANDLE_UNLOCK, HANDLE_UNLOCK, 3},
    {"EXCLUSIVE from SHARED behind another process's reader", 1, 4, 0, HANDLE_UNLOCK,
     HANDLE_LOCK_SHARED, 3},
    {"EXCLUSIVE from RESERVED behind another process's reader", 2, 4, 0, HANDLE_UNLOCK,
     HANDLE_LOCK_SHARED, 3},
    {"EXCLUSIVE from PENDING behind another process's reader", 3, 4, 0, HANDLE_UNLOCK,
     HANDLE_LOCK_SHARED, 3},
    {"EXCLUSIVE from SHARED behind a reader on his way", 1, 4, 0, HANDLE_LOCK_SHARED, HANDLE_UNLOCK,
     1},
    {"EXCLUSIVE from RESERVED behind a reader on his way", 2, 4, 0, HANDLE_LOCK_SHARED,
     HANDLE_UNLOCK, 2},
    {"EXCLUSIVE behind readers here and elsewhere", 2, 4, 1, HANDLE_UNLOCK, HANDLE_LOCK_SHARED, 3},
};

#define STEPS (sizeof steps / sizeof steps[0])

typedef struct wait_fixture {
    fixture *f;
    const wait_step *step;
    epio_file *holder; /* NULL: no file of this process */
    epio_file *waiter;
    intptr_t foreign;
    uint32_t bytes; /* the locks that others see before the wait */
} wait_fixture;

static void take_pending(fixture *f, epio_file *file)
{
    epio_file *reader = open_and_raise(f, EPIO_LOCK_SHARED);
    check_result(lock_raise_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_PENDING);
    fixture_close(f, reader);
}

static void take_any(fixture *f, epio_file *file, uint32_t level)
{
    if (level == EPIO_LOCK_PENDING) {
        take_pending(f, file);
    } else {
        raise_to(file, level);
    }
}

static void wait_fixture_setup(wait_fixture *s, fixture *f, const wait_step *step)
{
    *s = (wait_fixture){.f = f, .step = step, .foreign = foreign_open(f)};
    s->waiter = open_locked(f);
    if (step->held == EPIO_LOCK_SHARED) {
        s->holder = open_and_raise(f, EPIO_LOCK_SHARED);
    }
    take_any(f, s->waiter, step->found);
    if (step->held > EPIO_LOCK_SHARED) {
        s->holder = open_locked(f);
        take_any(f, s->holder, step->held);
    }
    if (step->pending != HANDLE_UNLOCK) {
        foreign_set(s->foreign, PENDING_BYTE, 1, step->pending);
    }
    if (step->shared != HANDLE_UNLOCK) {
        foreign_set(s->foreign, SHARED_FIRST, 510, step->shared);
    }
    s->bytes = locks_on(fixture_path(f, "locked"));
}

static void check_waits(wait_fixture *s)
{
    check_result(epio_file_lock_level(s->waiter), s->step->while_waiting);
}

/* The waiter is as before, for this process and others; and when all have unlocked another process
 * gets every level. */
static void wait_fixture_teardown(wait_fixture *s, partner *other)
{
    check_result(epio_file_lock_level(s->waiter), s->step->found);
    check_result(locks_on(fixture_path(s->f, "locked")), s->bytes);
    handle_unlock_all(s->foreign);
    if (s->holder != NULL) {
        unlock_to(s->holder, EPIO_LOCK_NONE);
    }
    /* Nor does it block a new file here. */
    epio_file *newer = open_locked(s->f);
    check_result(lock_raise_to(newer, EPIO_LOCK_SHARED),
                 s->step->found == EPIO_LOCK_PENDING ? 0 : EPIO_LOCK_SHARED);
    fixture_close(s->f, newer);
    unlock_to(s->waiter, EPIO_LOCK_NONE);
    check_result(locks_on(fixture_path(s->f, "locked")), 0);
    for (uint32_t level = 0; level <= EPIO_LOCK_EXCLUSIVE; level++) {
        if (level != EPIO_LOCK_PENDING) {
            check_result(partner_raise_to(other, level), level);
        }
    }
    partner_unlock_all(other);
    if (s->holder != NULL) {
        fixture_close(s->f, s->holder);
    }
    fixture_close(s->f, s->waiter);
    check(handle_close(s->foreign));
}

typedef void end_early(wait_fixture *s);

static void at_every_step(fixture *f, end_early *end)
{
    partner other;
    const char *path = fixture_path(f, "locked");
    partner_make_file(path);
    partner_start(&other, BY_EPIO, path);
    for (size_t i = 0; i < STEPS; i++) {
        wait_fixture s;
        print_message("%s\n", steps[i].name);
        wait_fixture_setup(&s, f, &steps[i]);
        end(&s);
        wait_fixture_teardown(&s, &other);
    }
    partner_end(&other);
}

static void start_wait(wait_fixture *s, tracked *one)
{
    (void)track(one);
    submit_lock(one, s->waiter, s->step->wanted);
    run_for(s->f, SHORTLY);
    check_result(one->calls, 0);
    check_waits(s);
}

static void by_cancel(wait_fixture *s)
{
    tracked one;
    start_wait(s, &one);
    epio_cancel(&one.op);
    poll_now(s->f);
    check_result(one.calls, 1);
    check_result(one.result, EPIO_ECANCELED);
    check_result(one.op.os_error, 0);
}

static void by_cancel_at_once(wait_fixture *s)
{
    tracked one;
    (void)track(&one);
    submit_lock(&one, s->waiter, s->step->wanted);
    epio_cancel(&one.op);
    poll_now(s->f);
    check_result(one.calls, 1);
    check_result(one.result, EPIO_ECANCELED);
}

static void *cancel_it(void *argument)
{
    epio_cancel(argument);
    return NULL;
}

static void by_cancel_elsewhere(wait_fixture *s)
{
    tracked one;
    test_thread thread;
    start_wait(s, &one);
    thread_start(&thread, cancel_it, &one.op);
    run_until_done(s->f, &one);
    (void)thread_join(thread);
    check_result(one.result, EPIO_ECANCELED);
}

static void by_deadline(wait_fixture *s)
{
    tracked one;
    (void)track(&one);
    one.op.timeout_ns = 2 * SHORTLY;
    uint64_t started = system_monotonic_ns();
    submit_lock(&one, s->waiter, s->step->wanted);
    check_waits(s);
    run_until_done(s->f, &one);
    check(system_monotonic_ns() - started >= 2 * SHORTLY);
    check_result(one.result, EPIO_ETIMEDOUT);
    check_result(one.op.os_error, 0);
}

static void by_deadline_of_a_wait(wait_fixture *s)
{
    epio_op op = {.timeout_ns = SHORTLY};
    check_result(epio_wait(epio_lock(&op, s->waiter, s->step->wanted, WAIT)), EPIO_ETIMEDOUT);
}

/* This thread's epio_perform would be refused where a file of this loop blocks it. */
static void *perform_with_deadline(void *argument)
{
    wait_fixture *s = argument;
    epio_op op = {.timeout_ns = SHORTLY};
    uint64_t started = system_monotonic_ns();
    check_result(epio_perform(epio_lock(&op, s->waiter, s->step->wanted, WAIT)), EPIO_ETIMEDOUT);
    check_result(op.os_error, 0);
    check(system_monotonic_ns() - started >= SHORTLY);
    return NULL;
}

static void by_deadline_of_a_perform(wait_fixture *s)
{
    test_thread thread;
    thread_start(&thread, perform_with_deadline, s);
    (void)thread_join(thread);
}

static void by_unlock(wait_fixture *s)
{
    tracked one;
    start_wait(s, &one);
    unlock_to(s->waiter, EPIO_LOCK_NONE);
    poll_now(s->f);
    check_result(one.calls, 1);
    check_result(one.result, EPIO_ECANCELED);
    check_result(epio_file_lock_level(s->waiter), EPIO_LOCK_NONE);
    /* As wait_fixture_teardown expects. */
    handle_unlock_all(s->foreign);
    if (s->holder != NULL) {
        unlock_to(s->holder, EPIO_LOCK_NONE);
    }
    take_any(s->f, s->waiter, s->step->found);
    s->bytes = locks_on(fixture_path(s->f, "locked"));
}

static void by_close(wait_fixture *s)
{
    tracked one;
    epio_op op = {0};
    start_wait(s, &one);
    check_result(epio_wait(epio_close(&op, s->waiter)), 0);
    check_result(one.calls, 1);
    check_result(one.result, EPIO_ECANCELED);
    handle_unlock_all(s->foreign);
    if (s->holder != NULL) {
        unlock_to(s->holder, EPIO_LOCK_NONE);
    }
    check_result(locks_on(fixture_path(s->f, "locked")), 0);
    s->waiter = open_locked(s->f);
    take_any(s->f, s->waiter, s->step->found);
    s->bytes = locks_on(fixture_path(s->f, "locked"));
}

#define AT_EVERY_STEP(how)                                                                         \
    static void a_wait_is_ended_##how(fixture *f)                                                  \
    {                                                                                              \
        at_every_step(f, how);                                                                     \
    }

AT_EVERY_STEP(by_cancel)
AT_EVERY_STEP(by_cancel_at_once)
AT_EVERY_STEP(by_cancel_elsewhere)
AT_EVERY_STEP(by_deadline)
AT_EVERY_STEP(by_deadline_of_a_wait)
AT_EVERY_STEP(by_deadline_of_a_perform)
AT_EVERY_STEP(by_unlock)
AT_EVERY_STEP(by_close)

/* And each is granted when what blocks it is unlocked. */
static void by_being_granted(wait_fixture *s)
{
    tracked one;
    start_wait(s, &one);
    handle_unlock_all(s->foreign);
    if (s->holder != NULL) {
        unlock_to(s->holder, EPIO_LOCK_NONE);
    }
    run_until_done(s->f, &one);
    check_result(one.result, 0);
    check_result(one.op.os_error, 0);
    check_result(epio_file_lock_level(s->waiter), s->step->wanted);
    unlock_to(s->waiter, EPIO_LOCK_NONE);
    take_any(s->f, s->waiter, s->step->found);
    s->bytes = locks_on(fixture_path(s->f, "locked"));
}

AT_EVERY_STEP(by_being_granted)

static void *release_shortly(void *argument)
{
    sleep_us(20000);
    unlock_to(argument, EPIO_LOCK_NONE);
    return NULL;
}

/* ---- Deadlocks ----------------------------------------------------------------------- */

typedef int64_t run_lock(fixture *f, epio_op *op);

static int64_t by_wait(fixture *f, epio_op *op)
{
    (void)f;
    return epio_wait(op);
}

static int64_t by_perform(fixture *f, epio_op *op)
{
    (void)f;
    return epio_perform(op);
}

static int64_t by_submit(fixture *f, epio_op *op)
{
    epio_submit(op);
    poll_now(f);
    check(!epio_op_pending(op));
    return op->result;
}

static run_lock *const runners[] = {by_wait, by_perform, by_submit};

/* Without a deadline: it would hang. */
static void check_refused(fixture *f, epio_file *file, uint32_t level, int64_t expected)
{
    uint32_t found = epio_file_lock_level(file);
    for (size_t i = 0; i < 3; i++) {
        epio_op op = {0};
        check_result(runners[i](f, epio_lock(&op, file, level, WAIT)), expected);
        check_result(epio_file_lock_level(file), found);
    }
}

/* Each level of one holder, each request of another that reads. */
static void two_holders_in_one_process(fixture *f)
{
    static const uint32_t wishes[] = {EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    for (uint32_t held = EPIO_LOCK_RESERVED; held <= EPIO_LOCK_PENDING; held++) {
        for (size_t i = 0; i < 2; i++) {
            epio_file *reader = open_and_raise(f, EPIO_LOCK_SHARED);
            epio_file *writer = open_locked(f);
            check_result(
                lock_raise_to(writer, held == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE : held),
                held);
            check_refused(f, reader, wishes[i], EPIO_EDEADLK);
            unlock_to(reader, EPIO_LOCK_NONE);
            raise_to(writer, EPIO_LOCK_EXCLUSIVE);
            fixture_close(f, reader);
            fixture_close(f, writer);
        }
    }
}

/* The other one already waits. */
static void two_upgrades(fixture *f)
{
    static const uint32_t wishes[] = {EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    for (uint32_t from = EPIO_LOCK_SHARED; from <= EPIO_LOCK_RESERVED; from++) {
        for (size_t i = 0; i < 2; i++) {
            tracked one;
            epio_file *reader = open_and_raise(f, EPIO_LOCK_SHARED);
            epio_file *writer = open_and_raise(f, from);
            (void)track(&one);
            submit_lock(&one, writer, EPIO_LOCK_EXCLUSIVE);
            check_refused(f, reader, wishes[i], EPIO_EDEADLK);
            check_result(one.calls, 0);
            unlock_to(reader, EPIO_LOCK_NONE);
            poll_now(f);
            check_result(one.calls, 1);
            check_result(one.result, 0);
            fixture_close(f, reader);
            fixture_close(f, writer);
        }
    }
}

/* A lock that only the calling thread's own loop could release. */
static void a_perform_that_waits_for_its_own_loop(fixture *f)
{
    epio_op op = {0};
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *other = open_locked(f);
    check_result(epio_perform(epio_lock(&op, other, EPIO_LOCK_SHARED, WAIT)), EPIO_EDEADLK);
    unlock_to(holder, EPIO_LOCK_SHARED);
    raise_to(other, EPIO_LOCK_RESERVED);
    check_result(epio_perform(epio_lock(&op, other, EPIO_LOCK_EXCLUSIVE, WAIT)), EPIO_EDEADLK);
    check_result(epio_file_lock_level(other), EPIO_LOCK_RESERVED);
    check_result(epio_perform(epio_lock(&op, other, EPIO_LOCK_EXCLUSIVE, 0)), EPIO_EBUSY);
    check_result(epio_file_lock_level(other), EPIO_LOCK_PENDING);
    fixture_close(f, holder);
    fixture_close(f, other);
}

/* Another thread's file waits for this loop's reader, and blocks this thread's request. */
static void *upgrade_elsewhere(void *argument)
{
    epio_op op = {0};
    raise_to(argument, EPIO_LOCK_RESERVED);
    check_result(epio_perform(epio_lock(&op, argument, EPIO_LOCK_EXCLUSIVE, WAIT)), 0);
    return NULL;
}

static void a_perform_in_a_cycle_with_its_own_loop(fixture *f)
{
    test_thread thread;
    epio_op op = {0};
    const char *path = fixture_path(f, "locked");
    epio_file *reader = open_and_raise(f, EPIO_LOCK_SHARED);
    epio_file *newer = open_locked(f);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    epio_file *writer = op.file;
    thread_start(&thread, upgrade_elsewhere, writer);
    while (epio_file_lock_level(writer) != EPIO_LOCK_PENDING) {
        sleep_us(100);
    }
    check_result(epio_perform(epio_lock(&op, newer, EPIO_LOCK_SHARED, WAIT)), EPIO_EDEADLK);
    unlock_to(reader, EPIO_LOCK_NONE);
    (void)thread_join(thread);
    check_result(epio_perform(epio_close(&op, writer)), 0);
    fixture_close(f, reader);
    fixture_close(f, newer);
}

/* An op of this loop is first in the queue and cannot poll while the thread waits: the thread polls
 * for both. */
static void *free_shortly(void *argument)
{
    sleep_us(20000);
    foreign_set(*(intptr_t *)argument, PENDING_BYTE, 512, HANDLE_UNLOCK);
    return NULL;
}

static void a_perform_behind_an_op_of_its_own_loop(fixture *f)
{
    for (int same_file = 0; same_file < 2; same_file++) {
        tracked one;
        test_thread thread;
        epio_op op = {0};
        intptr_t foreign = foreign_open(f);
        epio_file *first = open_locked(f);
        epio_file *second = same_file ? first : open_locked(f);
        foreign_set(foreign, PENDING_BYTE, 512, HANDLE_LOCK_EXCLUSIVE);
        submit_lock((track(&one), &one), first, EPIO_LOCK_SHARED);
        thread_start(&thread, free_shortly, &foreign);
        check_result(epio_perform(epio_lock(&op, second, EPIO_LOCK_SHARED, WAIT)), 0);
        check_result(one.calls, 0);
        check_result(epio_file_lock_level(first), EPIO_LOCK_SHARED);
        poll_now(f);
        check_result(one.calls, 1);
        check_result(one.result, 0);
        (void)thread_join(thread);
        fixture_close(f, first);
        if (!same_file) {
            fixture_close(f, second);
        }
        check(handle_close(foreign));
    }
}

/* The first waits for a file of this process, then for another process. */
static void a_perform_polls_for_an_idle_loop(fixture *f)
{
    tracked one;
    test_thread thread;
    epio_op op = {0};
    intptr_t foreign = foreign_open(f);
    const char *path = fixture_path(f, "locked");
    epio_file *first = open_locked(f);
    epio_file *second = open_locked(f);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    epio_file *holder = op.file;
    foreign_set(foreign, SHARED_FIRST, 510, HANDLE_LOCK_SHARED);
    raise_to(holder, EPIO_LOCK_SHARED);
    check_result(epio_perform(epio_lock(&op, holder, EPIO_LOCK_EXCLUSIVE, 0)), EPIO_EBUSY);
    submit_lock((track(&one), &one), first, EPIO_LOCK_SHARED);
    foreign_set(foreign, SHARED_FIRST, 510, HANDLE_UNLOCK);
    thread_start(&thread, release_shortly, holder);
    check_result(epio_perform(epio_lock(&op, second, EPIO_LOCK_SHARED, WAIT)), 0);
    (void)thread_join(thread);
    poll_now(f);
    check_result(one.result, 0);
    check_result(epio_perform(epio_close(&op, holder)), 0);
    fixture_close(f, first);
    fixture_close(f, second);
    check(handle_close(foreign));
}

/* A file without a loop, or of another thread's loop, may be unlocked by another thread. */
static void a_perform_waits_for_others(fixture *f)
{
    test_thread thread;
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), fixture_path(f, "locked"),
                                        READ_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *holder = op.file;
    epio_file *other = open_locked(f);
    raise_to(holder, EPIO_LOCK_EXCLUSIVE);
    thread_start(&thread, release_shortly, holder);
    check_result(epio_perform(epio_lock(&op, other, EPIO_LOCK_SHARED, WAIT)), 0);
    (void)thread_join(thread);
    check_result(epio_file_lock_level(other), EPIO_LOCK_SHARED);
    check_result(epio_perform(epio_close(&op, holder)), 0);
    fixture_close(f, other);
}

static void *give_up(void *argument)
{
    epio_op op = {.timeout_ns = 50 * MILLISECOND};
    check_result(epio_perform(epio_lock(&op, argument, EPIO_LOCK_SHARED, WAIT)), EPIO_ETIMEDOUT);
    return NULL;
}

/* Each waits behind the other, in different loops. */
static void threads_that_perform_on_one_file(fixture *f)
{
    test_thread threads[3];
    intptr_t foreign = foreign_open(f);
    epio_file *file = open_locked(f);
    foreign_set(foreign, PENDING_BYTE, 512, HANDLE_LOCK_EXCLUSIVE);
    for (size_t i = 0; i < 3; i++) {
        thread_start(&threads[i], give_up, file);
    }
    (void)give_up(file);
    for (size_t i = 0; i < 3; i++) {
        (void)thread_join(threads[i]);
    }
    fixture_close(f, file);
    check(handle_close(foreign));
}

static void *wait_until_closed(void *argument)
{
    epio_op op = {0};
    check_result(epio_perform(epio_lock(&op, argument, EPIO_LOCK_SHARED, WAIT)), EPIO_ECANCELED);
    return NULL;
}

/* Until a lock op of the file waits: then another is refused without a system call. */
static void wait_until_queued(epio_file *file)
{
    epio_op op = {0};
    do {
        thread_yield();
        check_result(epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
    } while (op.os_error != 0);
}

/* The file is the only one of its inode here, and its locks end with it. */
static void a_close_ends_the_wait_of_another_thread(fixture *f)
{
    for (int round = 0; round < 20; round++) {
        test_thread thread;
        intptr_t foreign = foreign_open(f);
        epio_file *file = open_locked(f);
        foreign_set(foreign, PENDING_BYTE, 512, HANDLE_LOCK_EXCLUSIVE);
        thread_start(&thread, wait_until_closed, file);
        wait_until_queued(file);
        fixture_close(f, file);
        (void)thread_join(thread);
        check(handle_close(foreign));
    }
}

/* ---- Locks that workers carry out, as on a network file system ---------------------------- */

static void of_workers_an_unlock_ends_the_wait(fixture *f)
{
    op_fixture fx;
    tracked one;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *holder = op_fixture_open(&fx, fx.os, "locked");
    epio_file *file = op_fixture_open(&fx, fx.gate, "locked");
    raise_to(holder, EPIO_LOCK_EXCLUSIVE);
    submit_lock((track(&one), &one), file, EPIO_LOCK_SHARED);
    op_fixture_run_for(&fx, SHORTLY);
    check_result(one.calls, 0);
    check_result(epio_wait(epio_unlock(&op, file, EPIO_LOCK_NONE)), 0);
    op_fixture_run_until_done(&fx, &one);
    check_result(one.result, EPIO_ECANCELED);
    /* And it does not block the next. */
    submit_lock((track(&one), &one), file, EPIO_LOCK_SHARED);
    op_fixture_run_for(&fx, SHORTLY);
    unlock_to(holder, EPIO_LOCK_NONE);
    op_fixture_run_until_done(&fx, &one);
    check_result(one.result, 0);
    op_fixture_close(holder);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static void of_workers_locks_and_unlocks_keep_their_order(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.gate, "locked");
    for (int round = 0; round < 500; round++) {
        tracked lock;
        tracked unlock;
        (void)epio_lock(track(&lock), file, EPIO_LOCK_SHARED, WAIT);
        (void)epio_unlock(track(&unlock), file, EPIO_LOCK_NONE);
        epio_submit(&lock.op);
        epio_submit(&unlock.op);
        op_fixture_run_until_done(&fx, &lock);
        op_fixture_run_until_done(&fx, &unlock);
        check_result(lock.result, 0);
        check_result(epio_file_lock_level(file), EPIO_LOCK_NONE);
    }
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

/* ---- Several lock ops of one file ------------------------------------------------------ */

static void ops_of_one_file_run_in_order(fixture *f)
{
    tracked ops[4];
    epio_op op = {0};
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    for (size_t i = 0; i < 4; i++) {
        (void)track(&ops[i]);
    }
    submit_lock(&ops[0], file, EPIO_LOCK_SHARED);
    submit_lock(&ops[1], file, EPIO_LOCK_RESERVED);
    submit_lock(&ops[2], file, EPIO_LOCK_SHARED); /* lower by then */
    submit_lock(&ops[3], file, EPIO_LOCK_EXCLUSIVE);
    check_result(epio_wait(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
    unlock_to(holder, EPIO_LOCK_NONE);
    poll_now(f);
    for (size_t i = 0; i < 4; i++) {
        check_result(ops[i].calls, 1);
        check_result(ops[i].result, i == 2 ? EPIO_EINVAL : 0);
    }
    check_result(epio_file_lock_level(file), EPIO_LOCK_EXCLUSIVE);
    fixture_close(f, holder);
    fixture_close(f, file);
}

static void an_op_behind_another_can_be_cancelled(fixture *f)
{
    tracked first;
    tracked second;
    tracked third;
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    submit_lock((track(&first), &first), file, EPIO_LOCK_SHARED);
    submit_lock((track(&second), &second), file, EPIO_LOCK_RESERVED);
    submit_lock((track(&third), &third), file, EPIO_LOCK_EXCLUSIVE);
    epio_cancel(&second.op);
    poll_now(f);
    check_result(second.result, EPIO_ECANCELED);
    check_result(first.calls + third.calls, 0);
    epio_cancel(&first.op);
    poll_now(f);
    check_result(first.result, EPIO_ECANCELED);
    check_result(third.result, EPIO_EINVAL); /* from NONE */
    fixture_close(f, holder);
    fixture_close(f, file);
}

static void an_unlock_ends_all_that_waits(fixture *f)
{
    tracked ops[3];
    epio_op op = {0};
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    for (size_t i = 0; i < 3; i++) {
        submit_lock((track(&ops[i]), &ops[i]), file,
                    i == 1 ? EPIO_LOCK_RESERVED : EPIO_LOCK_SHARED);
    }
    check_result(epio_wait(epio_unlock(&op, file, EPIO_LOCK_SHARED)), 0);
    for (size_t i = 0; i < 3; i++) {
        check_result(ops[i].calls, 1);
        check_result(ops[i].result, EPIO_ECANCELED);
    }
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* ---- Links, closes, limits ------------------------------------------------------------- */

static void a_chain_locks_writes_and_unlocks(fixture *f)
{
    tracked ops[6];
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    for (size_t i = 0; i < 6; i++) {
        (void)track(&ops[i]);
    }
    (void)epio_lock(&ops[0].op, file, EPIO_LOCK_SHARED, WAIT);
    (void)epio_lock(&ops[1].op, file, EPIO_LOCK_RESERVED, WAIT);
    (void)epio_lock(&ops[2].op, file, EPIO_LOCK_EXCLUSIVE, WAIT);
    (void)epio_write(&ops[3].op, file, "x", 1, 0);
    (void)epio_sync(&ops[4].op, file, EPIO_SYNC_DATA_ONLY);
    (void)epio_unlock(&ops[5].op, file, EPIO_LOCK_NONE);
    for (size_t i = 0; i < 5; i++) {
        (void)epio_link(&ops[i].op, &ops[i + 1].op, EPIO_LINK_ALWAYS);
    }
    epio_submit(&ops[0].op);
    run_for(f, SHORTLY);
    check_result(ops[0].calls, 0);
    unlock_to(holder, EPIO_LOCK_NONE);
    (void)epio_loop_run(f->loop);
    for (size_t i = 0; i < 6; i++) {
        check_result(ops[i].calls, 1);
        check_result(ops[i].result, i == 3 ? 1 : 0);
    }
    check_result(epio_file_lock_level(file), EPIO_LOCK_NONE);
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* A close behind a chain lets the chain get a free lock, but cancels its wait for another. */
static void a_close_waits_for_no_lock_of_a_chain(fixture *f)
{
    for (int taken = 0; taken < 2; taken++) {
        tracked first;
        tracked second;
        epio_op op = {0};
        epio_file *holder = open_and_raise(f, taken ? EPIO_LOCK_EXCLUSIVE : EPIO_LOCK_NONE);
        epio_file *file = open_locked(f);
        (void)epio_sleep(track(&first), f->vfs, SHORTLY);
        (void)epio_lock(track(&second), file, EPIO_LOCK_SHARED, WAIT);
        (void)epio_link(&first.op, &second.op, 0);
        epio_submit(&first.op);
        check_result(epio_wait(epio_close(&op, file)), 0);
        check_result(first.calls, 1);
        check_result(second.calls, 1);
        check_result(second.result, taken ? EPIO_ECANCELED : 0);
        fixture_close(f, holder);
        raise_to(holder = open_locked(f), EPIO_LOCK_EXCLUSIVE);
        fixture_close(f, holder);
    }
}

static void a_lock_that_waits_holds_no_permit(fixture *f)
{
    tracked one;
    epio_op op = {0};
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    submit_lock((track(&one), &one), file, EPIO_LOCK_SHARED);
    check_result(epio_semaphore_available(f->semaphore), 1);
    check_result(epio_wait(epio_write(&op, file, "x", 1, 0)), 1);
    /* Nor does an unlock need a permit. */
    check_result(epio_semaphore_try_acquire(f->semaphore, 1), 0);
    check_result(epio_wait(epio_unlock(&op, holder, EPIO_LOCK_NONE)), 0);
    poll_now(f);
    check_result(one.result, 0);
    epio_semaphore_release(f->semaphore, 1);
    fixture_close(f, holder);
    fixture_close(f, file);
}

static void a_loop_close_ends_waits_and_carries_out_unlocks(fixture *f)
{
    tracked one;
    epio_op op = {0};
    epio_loop *loop;
    const char *path = fixture_path(f, "locked");
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), path, READ_WRITE)), 0);
    epio_file *file = op.file;
    submit_lock((track(&one), &one), file, EPIO_LOCK_SHARED);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check_result(one.calls, 1);
    check_result(one.result, EPIO_ECANCELED);
    unlock_to(holder, EPIO_LOCK_NONE);
    check_result(epio_wait(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_ECANCELED);
    raise_to(file, EPIO_LOCK_SHARED);
    check_result(epio_wait(epio_unlock(&op, file, EPIO_LOCK_NONE)), 0);
    check_result(epio_file_lock_level(file), EPIO_LOCK_NONE);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
    fixture_close(f, holder);
}

/* ---- Threads ------------------------------------------------------------------------------ */

#define THREADS 6

typedef struct contention {
    const char *path;
    epio_vfs *memory; /* or NULL */
    atomic_int inside;
    uint64_t counter; /* guarded only by the lock */
    unsigned rounds;
} contention;

typedef struct contention_thread {
    contention *contention;
    size_t number;
} contention_thread;

/* From NONE to EXCLUSIVE and back: by epio_perform or on a loop of its own, with
 * deadlines and cancels in between. */
static void contend_once(contention_thread *one, epio_file *file, epio_loop *loop,
                         random_source *random)
{
    contention *c = one->contention;
    static const uint32_t way[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    epio_op op = {0};
    size_t begin = random_between(random, 0, 4) == 0 ? 1 : 0; /* past RESERVED */
    for (size_t i = 0; i < 3; i++) {
        if (begin == 1 && i == 1) {
            continue;
        }
        op.timeout_ns = random_between(random, 0, 2) == 0 ? 200 * MICROSECOND : 0;
        (void)epio_lock(&op, file, way[i], WAIT);
        if (loop == NULL) {
            (void)epio_perform(&op);
        } else if (random_between(random, 0, 4) == 0) {
            epio_submit(&op);
            (void)epio_loop_poll(loop, random_between(random, 0, 100) * MICROSECOND, 0);
            epio_cancel(&op);
            (void)epio_wait(&op);
        } else {
            (void)epio_wait(&op);
        }
        if (op.result != 0) {
            check(op.result == EPIO_ETIMEDOUT || op.result == EPIO_EDEADLK ||
                  op.result == EPIO_ECANCELED);
            check(epio_file_lock_level(file) < way[i]);
            break;
        }
        check_result(epio_file_lock_level(file), way[i]);
    }
    if (epio_file_lock_level(file) == EPIO_LOCK_EXCLUSIVE) {
        check(atomic_fetch_add(&c->inside, 1) == 0);
        c->counter++;
        check(atomic_fetch_sub(&c->inside, 1) == 1);
    }
    (void)epio_unlock(&op, file, EPIO_LOCK_NONE);
    check_result(loop != NULL ? epio_wait(&op) : epio_perform(&op), 0);
}

static void *contend(void *argument)
{
    contention_thread *one = argument;
    contention *c = one->contention;
    random_source random = {.state = one->number};
    epio_loop *loop = NULL;
    epio_op op = {0};
    epio_vfs *vfs = epio_os_vfs();
    if (c->memory != NULL) {
        vfs = c->memory;
    } else if (one->number % 2 == 0) {
        check_result(epio_loop_create(&loop, NULL), 0);
        vfs = epio_loop_vfs(loop);
    }
    check_result(epio_perform(epio_open(&op, vfs, c->path, READ_WRITE | EPIO_OPEN_CREATE)), 0);
    epio_file *file = op.file;
    for (unsigned i = 0; i < c->rounds; i++) {
        contend_once(one, file, loop, &random);
    }
    check_result(epio_perform(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
    return NULL;
}

static void threads_exclude_each_other(fixture *f)
{
    contention c = {.path = fixture_path(f, "locked"), .rounds = fixture_rounds(500)};
    test_thread threads[THREADS];
    contention_thread all[THREADS];
    if (f->memory) {
        check_result(memory_vfs_make(&c.memory, NULL, f->directory), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        all[i] = (contention_thread){.contention = &c, .number = i};
        thread_start(&threads[i], contend, &all[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
    }
    check(c.counter > 0);
    print_message("EXCLUSIVE %llu times\n", (unsigned long long)c.counter);
    epio_vfs_destroy(c.memory);
}

/* A cancel and a release at the same moment: the op either has the lock or not. */
static void *release_at_once(void *argument)
{
    unlock_to(argument, EPIO_LOCK_NONE);
    return NULL;
}

static void a_grant_and_a_cancel_at_once(fixture *f)
{
    epio_file *holder = open_locked(f);
    epio_file *file = open_locked(f);
    int granted = 0;
    unsigned rounds = fixture_rounds(500);
    for (unsigned i = 0; i < rounds; i++) {
        tracked one;
        test_thread thread;
        raise_to(holder, EPIO_LOCK_EXCLUSIVE);
        submit_lock((track(&one), &one), file, EPIO_LOCK_SHARED);
        thread_start(&thread, release_at_once, holder);
        for (volatile int spin = 0; spin < (int)i * 100; spin++) {
        }
        epio_cancel(&one.op);
        run_until_done(f, &one);
        (void)thread_join(thread);
        check(one.result == 0 || one.result == EPIO_ECANCELED);
        check_result(epio_file_lock_level(file),
                     one.result == 0 ? EPIO_LOCK_SHARED : EPIO_LOCK_NONE);
        granted += one.result == 0 ? 1 : 0;
        unlock_to(file, EPIO_LOCK_NONE);
    }
    print_message("granted %d times of %u\n", granted, rounds);
    fixture_close(f, holder);
    fixture_close(f, file);
}

/* Another thread waits ahead of it for another process, and times out: the op is notified to poll
 * itself. Then that thread finds the lock free and grants it to the op. All before the loop's owner
 * runs. */
typedef struct notification_race {
    epio_file *before;
    epio_file *unrelated;
    intptr_t foreign;
    bool frees;
} notification_race;

static void *time_out_then_grant(void *argument)
{
    notification_race *b = argument;
    epio_op op = {.timeout_ns = 100 * MILLISECOND};
    check_result(epio_perform(epio_lock(&op, b->before, EPIO_LOCK_SHARED, WAIT)), EPIO_ETIMEDOUT);
    if (b->frees) {
        foreign_set(b->foreign, PENDING_BYTE, 1, HANDLE_UNLOCK);
        check_result(epio_perform(epio_lock(&op, b->unrelated, EPIO_LOCK_SHARED, 0)), 0);
    }
    return NULL;
}

static void check_notification(fixture *f, bool frees, bool cancels, int64_t expected)
{
    tracked one;
    test_thread thread;
    notification_race b = {.before = open_locked(f), .unrelated = open_locked(f), .frees = frees};
    epio_file *file = open_locked(f);
    b.foreign = foreign_open(f);
    foreign_set(b.foreign, PENDING_BYTE, 1, HANDLE_LOCK_EXCLUSIVE);
    thread_start(&thread, time_out_then_grant, &b);
    sleep_us(20000); /* now it is queued, or else this tests less */
    submit_lock((track(&one), &one), file, EPIO_LOCK_SHARED);
    (void)thread_join(thread);
    check_result(epio_file_lock_level(file), frees ? EPIO_LOCK_SHARED : EPIO_LOCK_NONE);
    if (cancels) {
        epio_cancel(&one.op);
    }
    run_for(f, SHORTLY);
    if (!frees) {
        foreign_set(b.foreign, PENDING_BYTE, 1, HANDLE_UNLOCK);
    }
    run_until_done(f, &one);
    run_for(f, SHORTLY);
    check_result(one.calls, 1);
    check_result(one.result, expected);
    check_result(epio_file_lock_level(file), expected == 0 ? EPIO_LOCK_SHARED : EPIO_LOCK_NONE);
    fixture_close(f, file);
    fixture_close(f, b.before);
    fixture_close(f, b.unrelated);
    check(handle_close(b.foreign));
}

static void a_notification_comes_once(fixture *f)
{
    check_notification(f, true, false, 0);
    check_notification(f, false, false, 0);
    check_notification(f, true, true, 0); /* the cancel comes too late */
    check_notification(f, false, true, EPIO_ECANCELED);
}

/* Another thread submits and waits; the loop's owner delivers. */
static void *wait_elsewhere(void *argument)
{
    epio_op op = {0};
    check_result(epio_wait(epio_lock(&op, argument, EPIO_LOCK_SHARED, WAIT)), 0);
    return NULL;
}

static void another_thread_waits(fixture *f)
{
    test_thread thread;
    epio_file *holder = open_and_raise(f, EPIO_LOCK_EXCLUSIVE);
    epio_file *file = open_locked(f);
    thread_start(&thread, wait_elsewhere, file);
    run_for(f, SHORTLY);
    unlock_to(holder, EPIO_LOCK_NONE);
    uint64_t deadline = system_monotonic_ns() + 10 * SECOND;
    while (epio_file_lock_level(file) != EPIO_LOCK_SHARED || epio_loop_pending(f->loop) != 0) {
        check(system_monotonic_ns() < deadline);
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    (void)thread_join(thread);
    fixture_close(f, holder);
    fixture_close(f, file);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {PARTNER_CHILDREN};
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_thousand_are_granted_in_order, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_thousand_of_one_file_are_granted_in_order, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(some_of_a_thousand_are_cancelled, ON_OS | ON_MEMORY),
        FIXTURE_TEST(each_unlock_grants_the_next, ON_OS | ON_MEMORY),
        FIXTURE_TEST(upgrades_go_before_new_requests, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(an_upgrade_overtakes_requests_that_it_blocks, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(an_upgrade_that_waits_for_pending_comes_first, ON_OS),
        FIXTURE_TEST(a_new_request_does_not_overtake_waiters, ON_OS | ON_MEMORY),
        FIXTURE_TEST(readers_do_not_starve_a_writer, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_cancel, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_cancel_at_once, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_cancel_elsewhere, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_deadline, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_deadline_of_a_wait, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_deadline_of_a_perform, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_unlock, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_close, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_wait_is_ended_by_being_granted, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(two_holders_in_one_process, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(two_upgrades, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_perform_that_waits_for_its_own_loop, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_perform_in_a_cycle_with_its_own_loop, ON_OS),
        FIXTURE_TEST(a_perform_behind_an_op_of_its_own_loop, ON_OS),
        FIXTURE_TEST(a_perform_polls_for_an_idle_loop, ON_OS),
        FIXTURE_TEST(a_close_ends_the_wait_of_another_thread, ON_OS_PERFORM),
        FIXTURE_TEST(of_workers_an_unlock_ends_the_wait, ON_OS_PERFORM),
        FIXTURE_TEST(of_workers_locks_and_unlocks_keep_their_order, ON_OS_PERFORM),
        FIXTURE_TEST(a_perform_waits_for_others, ON_OS),
        FIXTURE_TEST(threads_that_perform_on_one_file, ON_OS),
        FIXTURE_TEST(ops_of_one_file_run_in_order, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(an_op_behind_another_can_be_cancelled, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(an_unlock_ends_all_that_waits, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_chain_locks_writes_and_unlocks, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_close_waits_for_no_lock_of_a_chain, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_lock_that_waits_holds_no_permit, ON_LIMIT_OS | ON_LIMIT_MEMORY),
        FIXTURE_TEST(a_loop_close_ends_waits_and_carries_out_unlocks, ON_OS),
        FIXTURE_TEST(threads_exclude_each_other, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_grant_and_a_cancel_at_once, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_notification_comes_once, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(another_thread_waits, ON_OS | ON_MEMORY),
    };
    CHILDREN_ARE(children, argc, argv);
    lock_observer_start();
    return FIXTURE_RUN("waiting for locks", tests);
}
