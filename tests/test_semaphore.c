/* The semaphore by itself: the order, cancels and deadlines of waiters, and every way to wait for
 * it. Limits are tested by test_limit.c. */
#include "support.h"

#include <stdatomic.h>

/* ---- Waiters that record their order ----------------------------------- */

typedef struct waiter {
    epio_op op;
    int *counter;
    int rank; /* 1: the first that was delivered; 0: not yet */
} waiter;

static void note_rank(epio_op *op)
{
    waiter *one = op->user;
    one->rank = ++*one->counter;
}

static void submit_acquire(fixture *f, waiter *one, epio_semaphore *semaphore, uint32_t permits,
                           int *counter)
{
    memset(one, 0, sizeof *one);
    one->counter = counter;
    one->op.done = note_rank;
    one->op.user = one;
    epio_submit(epio_acquire(&one->op, f->vfs, semaphore, permits));
}

static epio_semaphore *create(uint32_t permits)
{
    epio_semaphore *semaphore = NULL;
    check_result(epio_semaphore_create(&semaphore, permits), 0);
    return semaphore;
}

/* ---- Requests ---------------------------------------------------------- */

static void refuses_impossible_requests(fixture *f)
{
    epio_semaphore *semaphore = NULL;
    epio_op op = {0};
    check_result(epio_semaphore_create(&semaphore, 0), EPIO_EINVAL);
    check_result(epio_semaphore_create(NULL, 1), EPIO_EINVAL);
    semaphore = create(3);
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 0), EPIO_EINVAL);
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 4), EPIO_EINVAL);
    check_op(f, epio_acquire(&op, f->vfs, NULL, 1), EPIO_EINVAL);
    check_result(epio_semaphore_try_acquire(semaphore, 0), EPIO_EINVAL);
    check_result(epio_semaphore_try_acquire(semaphore, 4), EPIO_EINVAL);
    check(epio_semaphore_available(semaphore) == 3);
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 3), 0);
    check(epio_semaphore_available(semaphore) == 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), EPIO_EBUSY);
    epio_semaphore_release(semaphore, 3);
    check_result(epio_semaphore_try_acquire(semaphore, 2), 0);
    check(epio_semaphore_available(semaphore) == 1);
    check_result(epio_semaphore_try_acquire(semaphore, 2), EPIO_EBUSY);
    epio_semaphore_release(semaphore, 2);
    epio_semaphore_destroy(semaphore);
    epio_semaphore_destroy(NULL);
}

/* The one number of permits that the lock-free counter cannot hold. */
static void the_most_permits_that_there_can_be(fixture *f)
{
    epio_semaphore *semaphore = NULL;
    (void)f;
    check_result(epio_semaphore_create(&semaphore, UINT32_MAX), 0);
    check_result(epio_semaphore_try_acquire(semaphore, UINT32_MAX), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), EPIO_EBUSY);
    epio_semaphore_release(semaphore, UINT32_MAX - 1);
    check(epio_semaphore_available(semaphore) == UINT32_MAX - 1);
    epio_semaphore_release(semaphore, 1);
    check(epio_semaphore_available(semaphore) == UINT32_MAX);
    check_result(epio_semaphore_try_acquire(semaphore, UINT32_MAX), 0);
    epio_semaphore_destroy(semaphore);
}

static void release_too_many(const char *argument)
{
    (void)argument;
    epio_semaphore_release(create(2), 1);
}

static void aborts_when_too_many_are_released(fixture *f)
{
    (void)f;
    check_result(run_in_child(release_too_many, ""), ENDED_BY_ABORT);
}

/* ---- Order ------------------------------------------------------------- */

#define CROWD 64

static void grants_in_order_of_submission(fixture *f)
{
    epio_semaphore *semaphore = create(1);
    waiter waiters[CROWD];
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    for (int i = 0; i < CROWD; i++) {
        submit_acquire(f, &waiters[i], semaphore, 1, &counter);
    }
    for (int i = 0; i < CROWD; i++) {
        fixture_settle(f);
        check(counter == i);
        check_result(epio_semaphore_try_acquire(semaphore, 1), EPIO_EBUSY);
        epio_semaphore_release(semaphore, 1);
    }
    fixture_settle(f);
    for (int i = 0; i < CROWD; i++) {
        check_result(waiters[i].op.result, 0);
        check(waiters[i].rank == i + 1);
    }
    epio_semaphore_release(semaphore, 1);
    check(epio_semaphore_available(semaphore) == 1);
    epio_semaphore_destroy(semaphore);
}

static void small_requests_do_not_overtake_a_big_one(fixture *f)
{
    epio_semaphore *semaphore = create(4);
    waiter big, small[2];
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 2), 0);
    submit_acquire(f, &big, semaphore, 3, &counter);
    submit_acquire(f, &small[0], semaphore, 1, &counter);
    submit_acquire(f, &small[1], semaphore, 1, &counter);
    fixture_settle(f);
    check(counter == 0); /* two are free, but the first waiter needs three */
    check(epio_semaphore_available(semaphore) == 2);
    check_result(epio_semaphore_try_acquire(semaphore, 1), EPIO_EBUSY);
    epio_semaphore_release(semaphore, 1);
    fixture_settle(f);
    check(big.rank == 1 && counter == 1);
    epio_semaphore_release(semaphore, 1);
    fixture_settle(f);
    check(small[0].rank == 2 && small[1].rank == 0);
    epio_semaphore_release(semaphore, 3);
    fixture_settle(f);
    check(small[1].rank == 3);
    epio_semaphore_release(semaphore, 2);
    check(epio_semaphore_available(semaphore) == 4);
    epio_semaphore_destroy(semaphore);
}

static void one_release_grants_several(fixture *f)
{
    epio_semaphore *semaphore = create(5);
    waiter askers[5];
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 5), 0);
    for (int i = 0; i < 5; i++) {
        submit_acquire(f, &askers[i], semaphore, 1, &counter);
    }
    epio_semaphore_release(semaphore, 4);
    fixture_settle(f);
    check(counter == 4 && askers[4].rank == 0);
    epio_semaphore_release(semaphore, 5);
    fixture_settle(f);
    check(counter == 5);
    epio_semaphore_release(semaphore, 1);
    epio_semaphore_destroy(semaphore);
}

/* ---- Ends without a permit --------------------------------------------- */

static void cancelled_waiter_lets_others_pass(fixture *f)
{
    epio_semaphore *semaphore = create(2);
    waiter big, small;
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    submit_acquire(f, &big, semaphore, 2, &counter);
    submit_acquire(f, &small, semaphore, 1, &counter);
    fixture_settle(f);
    check(counter == 0);
    epio_cancel(&big.op);
    fixture_settle(f);
    check_result(big.op.result, EPIO_ECANCELED);
    check_result(small.op.result, 0);
    check(epio_semaphore_available(semaphore) == 0);
    epio_semaphore_release(semaphore, 2);
    check(epio_semaphore_available(semaphore) == 2);
    epio_semaphore_destroy(semaphore);
}

static void timed_out_waiter_lets_others_pass(fixture *f)
{
    epio_semaphore *semaphore = create(2);
    waiter big = {.rank = 0};
    waiter small;
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    uint64_t started = system_monotonic_ns();
    big.counter = &counter;
    big.op.done = note_rank;
    big.op.user = &big;
    big.op.timeout_ns = 20 * MILLISECOND;
    epio_submit(epio_acquire(&big.op, f->vfs, semaphore, 2));
    submit_acquire(f, &small, semaphore, 1, &counter);
    check_result(epio_loop_run(f->loop), 2);
    check_result(big.op.result, EPIO_ETIMEDOUT);
    check(system_monotonic_ns() - started >= 20 * MILLISECOND);
    check_result(small.op.result, 0);
    check(big.op.timeout_ns == 0); /* used up */
    epio_semaphore_release(semaphore, 2);
    check(epio_semaphore_available(semaphore) == 2);
    epio_semaphore_destroy(semaphore);
}

static void cancel_after_the_grant_keeps_the_permit(fixture *f)
{
    epio_semaphore *semaphore = create(1);
    waiter one;
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    submit_acquire(f, &one, semaphore, 1, &counter);
    epio_semaphore_release(semaphore, 1);
    epio_cancel(&one.op); /* too late: it is granted, though not delivered */
    fixture_settle(f);
    check_result(one.op.result, 0);
    check(epio_semaphore_available(semaphore) == 0);
    epio_semaphore_release(semaphore, 1);
    epio_semaphore_destroy(semaphore);
}

static void close_wakes_all(fixture *f)
{
    epio_semaphore *semaphore = create(2);
    waiter askers[3];
    epio_op op = {0};
    int counter = 0;
    check_result(epio_semaphore_try_acquire(semaphore, 2), 0);
    for (int i = 0; i < 3; i++) {
        submit_acquire(f, &askers[i], semaphore, 1, &counter);
    }
    epio_semaphore_close(semaphore);
    fixture_settle(f);
    for (int i = 0; i < 3; i++) {
        check_result(askers[i].op.result, EPIO_ECLOSED);
    }
    check_result(epio_semaphore_try_acquire(semaphore, 1), EPIO_ECLOSED);
    epio_semaphore_release(semaphore, 2);
    check(epio_semaphore_available(semaphore) == 2);
    check_result(epio_semaphore_try_acquire(semaphore, 1), EPIO_ECLOSED);
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 1), EPIO_ECLOSED);
    epio_semaphore_destroy(semaphore);
}

static void loop_close_ends_the_wait(fixture *f)
{
    (void)f;
    epio_loop *loop = NULL;
    epio_semaphore *semaphore = create(1);
    epio_op waiting[2] = {{0}, {0}};
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_submit(epio_acquire(&waiting[0], epio_loop_vfs(loop), semaphore, 1));
    epio_submit(epio_acquire(&waiting[1], epio_loop_vfs(loop), semaphore, 1));
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check_result(waiting[0].result, EPIO_ECANCELED);
    check_result(waiting[1].result, EPIO_ECANCELED);
    epio_semaphore_release(semaphore, 1);
    check(epio_semaphore_available(semaphore) == 1);
    epio_loop_destroy(loop);
    epio_semaphore_destroy(semaphore);
}

typedef struct releasing_waiter {
    waiter base;
    epio_semaphore *semaphore;
} releasing_waiter;

static void release_in_done(epio_op *op)
{
    releasing_waiter *one = op->user;
    one->base.rank = ++*one->base.counter;
    epio_semaphore_release(one->semaphore, 1);
}

static void a_release_in_done_grants_the_next(fixture *f)
{
    epio_semaphore *semaphore = create(1);
    static releasing_waiter batons[1000];
    int counter = 0;
    for (int i = 0; i < 1000; i++) {
        batons[i] = (releasing_waiter){.semaphore = semaphore};
        batons[i].base.counter = &counter;
        batons[i].base.op.done = release_in_done;
        batons[i].base.op.user = &batons[i];
        epio_submit(epio_acquire(&batons[i].base.op, f->vfs, semaphore, 1));
    }
    check_result(epio_loop_run(f->loop), 1000);
    for (int i = 0; i < 1000; i++) {
        check(batons[i].base.rank == i + 1);
    }
    check(epio_semaphore_available(semaphore) == 1);
    epio_semaphore_destroy(semaphore);
}

/* ---- Threads ----------------------------------------------------------- */

typedef struct releaser {
    epio_semaphore *semaphore;
    bool closes;
} releaser;

static void *release_later(void *argument)
{
    const releaser *one = argument;
    sleep_ns(20 * MILLISECOND);
    if (one->closes) {
        epio_semaphore_close(one->semaphore);
    } else {
        epio_semaphore_release(one->semaphore, 1);
    }
    return NULL;
}

/* Every runner waits for a permit from any thread. */
static void waits_for_another_thread(fixture *f)
{
    epio_semaphore *semaphore = create(1);
    for (int i = 0; i < 2; i++) {
        releaser one = {semaphore, i == 1};
        epio_op op = {0};
        test_thread thread;
        check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
        thread_start(&thread, release_later, &one);
        check_op(f, epio_acquire(&op, f->vfs, semaphore, 1), i == 0 ? 0 : EPIO_ECLOSED);
        (void)thread_join(thread);
        epio_semaphore_release(semaphore, 1);
    }
    check(epio_semaphore_available(semaphore) == 1);
    epio_semaphore_destroy(semaphore);
}

static void times_out_by_every_runner(fixture *f)
{
    epio_semaphore *semaphore = create(1);
    epio_op op = {.timeout_ns = 20 * MILLISECOND};
    uint64_t started = system_monotonic_ns();
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 1), EPIO_ETIMEDOUT);
    check(system_monotonic_ns() - started >= 20 * MILLISECOND);
    epio_semaphore_release(semaphore, 1);
    check(epio_semaphore_available(semaphore) == 1);
    op.timeout_ns = 1;
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 1), 0); /* does not wait */
    epio_semaphore_release(semaphore, 1);
    epio_semaphore_destroy(semaphore);
}

/* Several threads acquire and release in every way, cancel and time out in every state; in the end
 * all permits are free, and never more were acquired than exist. */
#define CONTENDERS 4
#define TOTAL 3

typedef struct contention {
    epio_semaphore *semaphore;
    atomic_int held;
    atomic_int most;
    atomic_int granted;
    unsigned rounds;
} contention;

typedef struct contender {
    contention *shared;
    uint64_t seed;
} contender;

static void hold_and_release(contention *shared, uint32_t permits)
{
    int held = atomic_fetch_add(&shared->held, (int)permits) + (int)permits;
    require(held <= TOTAL);
    (void)atomic_fetch_add(&shared->granted, 1);
    (void)atomic_fetch_sub(&shared->held, (int)permits);
    epio_semaphore_release(shared->semaphore, permits);
}

static void *cancel_at_once(void *argument)
{
    epio_cancel(argument);
    return NULL;
}

/* The owner waits for an op that another thread may cancel. */
static int64_t race_a_cancel(epio_op *op, random_source *random)
{
    test_thread thread;
    epio_submit(op);
    if (random_between(random, 0, 8) != 0) {
        return epio_wait(op);
    }
    thread_start(&thread, cancel_at_once, op);
    int64_t result = epio_wait(op);
    (void)thread_join(thread);
    return result;
}

static void contend_once(contention *shared, epio_loop *loop, random_source *random)
{
    epio_op op = {0};
    uint32_t permits = (uint32_t)random_between(random, 1, TOTAL + 1);
    int64_t result;
    if (random_between(random, 0, 3) == 0) {
        op.timeout_ns = random_between(random, 1, 200000);
    }
    switch (random_between(random, 0, 4)) {
    case 0:
        result = epio_semaphore_try_acquire(shared->semaphore, permits);
        break;
    case 1:
        result = epio_perform(epio_acquire(&op, epio_os_vfs(), shared->semaphore, permits));
        break;
    case 2:
        result = epio_wait(epio_acquire(&op, epio_loop_vfs(loop), shared->semaphore, permits));
        break;
    default:
        result = race_a_cancel(epio_acquire(&op, epio_loop_vfs(loop), shared->semaphore, permits),
                               random);
        break;
    }
    require(result == 0 || result == EPIO_ETIMEDOUT || result == EPIO_ECANCELED ||
            result == EPIO_EBUSY);
    if (result == 0) {
        hold_and_release(shared, permits);
    }
}

static void *contend(void *argument)
{
    const contender *one = argument;
    random_source random = {one->seed};
    epio_loop *loop = NULL;
    require(epio_loop_create(&loop, NULL) == 0);
    for (unsigned i = 0; i < one->shared->rounds; i++) {
        contend_once(one->shared, loop, &random);
    }
    epio_loop_destroy(loop);
    return NULL;
}

static void permits_survive_every_race(fixture *f)
{
    (void)f;
    contention shared = {.semaphore = create(TOTAL), .rounds = fixture_rounds(3000)};
    contender contenders[CONTENDERS];
    test_thread threads[CONTENDERS];
    for (unsigned i = 0; i < CONTENDERS; i++) {
        contenders[i] = (contender){&shared, i + 1};
        thread_start(&threads[i], contend, &contenders[i]);
    }
    for (unsigned i = 0; i < CONTENDERS; i++) {
        (void)thread_join(threads[i]);
    }
    check(atomic_load(&shared.granted) > 0);
    check(epio_semaphore_available(shared.semaphore) == TOTAL);
    check_result(epio_semaphore_try_acquire(shared.semaphore, TOTAL), 0);
    epio_semaphore_release(shared.semaphore, TOTAL);
    epio_semaphore_destroy(shared.semaphore);
}

/* ---- A call that is refused ---------------------------------------------------- */

static jmp_buf refused;

static void leave(const char *function, const char *message)
{
    (void)function;
    (void)message;
    longjmp(refused, 1);
}

static void *destroy_in_use(void *semaphore)
{
    if (setjmp(refused) == 0) {
        epio_semaphore_destroy(semaphore);
    }
    return NULL;
}

static void *limit_in_use(void *semaphore)
{
    if (setjmp(refused) == 0) {
        epio_semaphore_limit_bytes(semaphore, 100);
    }
    return NULL;
}

/* Its thread may leave the call and never come back: others still use the semaphore. */
static void a_refused_call_holds_nothing(fixture *f)
{
    void *(*const calls[])(void *) = {destroy_in_use, limit_in_use};
    for (size_t i = 0; i < 2; i++) {
        epio_semaphore *semaphore;
        epio_op op = EPIO_OP_INIT;
        test_thread thread;
        check_result(epio_semaphore_create(&semaphore, 1), 0);
        check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
        epio_submit(epio_acquire(&op, f->vfs, semaphore, 1));
        (void)epio_loop_poll(f->loop, 0, 0);
        (void)epio_set_fatal_handler(leave);
        thread_start(&thread, calls[i], semaphore);
        (void)thread_join(thread);
        (void)epio_set_fatal_handler(NULL);
        epio_semaphore_release(semaphore, 1);
        check_result(epio_wait(&op), 0);
        epio_semaphore_release(semaphore, 1);
        epio_semaphore_destroy(semaphore);
    }
}

static const fixture_test tests[] = {
    FIXTURE_TEST(refuses_impossible_requests, ON_OS | ON_OS_SUBMIT | ON_OS_PERFORM | ON_MEMORY),
    FIXTURE_TEST(the_most_permits_that_there_can_be, ON_OS_PERFORM),
    FIXTURE_TEST(aborts_when_too_many_are_released, ON_OS_PERFORM),
    FIXTURE_TEST(grants_in_order_of_submission, ON_OS | ON_MEMORY),
    FIXTURE_TEST(small_requests_do_not_overtake_a_big_one, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(one_release_grants_several, ON_OS),
    FIXTURE_TEST(cancelled_waiter_lets_others_pass, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(timed_out_waiter_lets_others_pass, ON_OS),
    FIXTURE_TEST(cancel_after_the_grant_keeps_the_permit, ON_OS),
    FIXTURE_TEST(close_wakes_all, ON_OS),
    FIXTURE_TEST(loop_close_ends_the_wait, ON_OS_PERFORM),
    FIXTURE_TEST(a_release_in_done_grants_the_next, ON_OS),
    FIXTURE_TEST(waits_for_another_thread, ON_OS | ON_OS_SUBMIT | ON_OS_PERFORM |
                                               ON_OS_LOOP_PERFORM | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(times_out_by_every_runner, ON_OS | ON_OS_SUBMIT | ON_OS_PERFORM |
                                                ON_OS_LOOP_PERFORM | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(permits_survive_every_race, ON_OS_PERFORM),
    FIXTURE_TEST(a_refused_call_holds_nothing, ON_OS),
};

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(release_too_many)};
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("semaphore", tests);
}
