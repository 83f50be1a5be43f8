/* The loop: what an iteration does and in which order, running, embedding, creation and end. Single
 * ops are op.c's, ownership is owner.c's.
 *
 * An iteration takes what other threads posted, fires timers, starts the flushes that are due,
 * reads what was collected, offloads to the workers, polls the kernel (waiting only if there is
 * nothing to deliver), and delivers what is ready by then: what a `done` submits waits for the next
 * iteration, so that no callback starves the rest. */
#include "core/loop.h"

#include "fatal.h"

#include <stdlib.h>

/* Writes that the owner carries out itself before it polls again. */
#define WRITES_AT_ONCE 16

/* How long the owner spins for a write to end before it sleeps: longer than a worker takes to wake
 * up. */
#define SPIN_NS UINT64_C(100000)

/* A light sleep, and how much has to wait for one thread: as many writes take about as long. */
#define LIGHT_SLEEP_NS UINT64_C(100000)
#define LONGEST_EXPECTATION_NS UINT64_C(1000000)
#define MANY_WRITES 4u

/* ---- Ownership ---- */

static inline void enter(epio_loop *loop, const char *function, uintptr_t here)
{
    if (loop == NULL || !epio__loop_is_owner(loop) || loop->depth != 0) {
        epio__loop_enter(loop, function, here);
    }
}

static void check_loop(const epio_loop *loop, const char *function)
{
    if (loop == NULL) {
        epio__fatal(function, "the loop is NULL");
    }
}

void epio_loop_detach(epio_loop *loop)
{
    enter(loop, "epio_loop_detach", EPIO__STACK_ADDRESS());
    if (loop->depth != 0) {
        epio__fatal("epio_loop_detach", "called from inside a `done`, while the loop runs");
    }
    if (loop->backend->release != NULL) {
        loop->backend->release(loop->backend_state);
        if (loop->embedded) {
            loop->signalled = false; /* the release has reset the handle */
            epio__workers_offload(loop);
            epio__loop_arm_host(loop);
        }
    }
    epio__store_relaxed_pointer(&loop->fast_owner, 0);
    epio__store_pointer(&loop->owner, EPIO__OWNER_NONE);
}

/* ---- An iteration ---- */

static bool something_was_posted(const epio_loop *loop)
{
    return epio__load_pointer(&loop->inbox) != 0 || epio__load_pointer(&loop->cancels) != 0;
}

static bool something_is_ready(const epio_loop *loop)
{
    return loop->ready.first != NULL || loop->due.first != NULL || loop->collected.first != NULL ||
           !epio_list_empty(&loop->deferred) || loop->arrivals.first != NULL;
}

static bool something_to_offload(const epio_loop *loop)
{
    return !epio_list_empty(&loop->to_offload);
}

/* When the owner has something to do by the clock; EPIO_FOREVER: never. */
static uint64_t next_due(const epio_loop *loop)
{
    uint64_t due = epio__timer_next(loop);
    return loop->retry_at != 0 && loop->retry_at < due ? loop->retry_at : due;
}

static bool in_flight(const epio_loop *loop)
{
    return epio__load_relaxed_size(&loop->in_flight) != 0 || loop->internal != 0 ||
           epio__load_size(&loop->inbound) != 0;
}

/* A flush goes on for its syncs, which are in flight themselves. */
static bool keeps_going(const epio_loop *loop)
{
    return epio__load_relaxed_size(&loop->in_flight) > loop->unreferenced ||
           epio__load_size(&loop->inbound) != 0;
}

static void collect(epio_loop *loop)
{
    if (something_was_posted(loop) || loop->arrivals.first != NULL) {
        epio__loop_drain_in_time(loop);
    }
    if (loop->timers != NULL) {
        epio__loop_fire_timers(loop);
    }
}

static void submit_deferred(epio_loop *loop)
{
    /* Ops that are deferred again wait for the next iteration. */
    epio_node again;
    if (epio_list_empty(&loop->deferred)) {
        return;
    }
    epio_list_init(&again);
    epio_list_move_all(&again, &loop->deferred);
    while (!epio_list_empty(&again) && epio_list_empty(&loop->deferred)) {
        epio_op *op = epio__op_of_queue(again.next);
        epio_list_remove(&op->queue);
        op->worker_state = EPIO__WORKER_NONE;
        op->vfs->methods->submit(op->vfs, op);
        epio__op_note_if_kept(op);
    }
    if (!epio_list_empty(&again)) {
        /* The one that was deferred again came before these. */
        epio_list_move_all(&loop->deferred, &again);
    }
}

static void offload(epio_loop *loop)
{
    if (something_to_offload(loop)) {
        loop->counters.batches++;
        if (loop->to_offload_writes != 0) {
            epio__barrier_flush_behind(loop);
        }
        epio__workers_offload(loop);
    }
    epio__workers_retry(loop);
}

/* If the loop is idle and no other thread can post to it, the owner saves the round trip to a
 * worker. */
static bool may_perform_itself(const epio_loop *loop, uint64_t deadline)
{
    return deadline == EPIO_FOREVER && something_to_offload(loop) && !loop->embedded &&
           epio__load_relaxed_u32(&loop->shared) == 0 && loop->user_timers == 0 &&
           loop->pending_events == 0 && epio__workers_owner_may_perform(loop);
}

/* Some writes are quicker on a thread of the system. `deadline`: the iteration's. */
static void write_behind(epio_loop *loop, uint64_t deadline)
{
    bool here = deadline != 0 && !something_is_ready(loop) && may_perform_itself(loop, deadline);
    loop->hooks->write_behind(loop->resident, here);
}

/* A single op, or a few writes: more would delay other events. */
static void perform_itself(epio_loop *loop)
{
    if (loop->to_offload_writes == 0) {
        epio__workers_perform_one(loop);
        return;
    }
    loop->hooks->writes_begin(loop->resident);
    for (int i = 0; i < WRITES_AT_ONCE && loop->to_offload_writes != 0; i++) {
        if (!epio__workers_owner_may_perform(loop)) {
            return;
        }
        epio__workers_perform_one(loop);
    }
}

static bool has_news(const void *of)
{
    const epio_loop *loop = of;
    return something_was_posted(loop) || epio__load_relaxed_u32(&loop->woken) != 0;
}

/* What may end a spin soon, or NULL. Buffered writes do; another thread that has just submitted
 * often submits again. During a flush the kernel's own threads need the processors. */
static epio__spin *reason_to_spin(epio_loop *loop)
{
    if (loop->writes_at_workers != loop->at_workers || loop->internal != 0) {
        return NULL;
    }
    if (loop->writes_at_workers != 0) {
        return &loop->spin;
    }
    return loop->took_posts ? &loop->spin_posts : NULL;
}

/* A spinning owner needs no wake. */
static void spin(epio_loop *loop, uint64_t deadline)
{
    epio__spin *reason = reason_to_spin(loop);
    loop->took_posts = false;
    if (reason == NULL || loop->pending_events != 0 || !loop->workers.several_processors ||
        !epio__spin_pays(reason)) {
        return;
    }
    uint64_t until = epio__deadline_after(SPIN_NS);
    uint64_t timer = next_due(loop);
    until = timer < until ? timer : until;
    (void)epio__spin_until(reason, deadline < until ? deadline : until, has_news, loop);
}

static void look_at_kernel(epio_loop *loop, uint64_t deadline)
{
    loop->signalled = false;
    if (deadline != 0) {
        uint64_t timer = next_due(loop);
        loop->backend->poll(loop->backend_state, timer < deadline ? timer : deadline);
    } else if (loop->embedded || loop->pending_events != 0) {
        loop->backend->poll(loop->backend_state, 0);
    }
}

/* Until when the owner sleeps lightly; 0: not at all. So many writes wait for workers that waking
 * it for each would cost more than the writes, but not twice in a row without news: what hangs must
 * not wake a thread again and again. Or an op is expected, once. */
static uint64_t sleep_lightly_until(epio_loop *loop)
{
    uint64_t expected = loop->expected_at;
    bool writes = loop->writes_at_workers >= MANY_WRITES && !loop->slept_in_vain;
    if ((!writes && expected == 0) || loop->embedded || !loop->backend->waits_precisely) {
        return 0;
    }
    uint64_t now = epio__monotonic_time();
    if (writes) {
        return now + LIGHT_SLEEP_NS;
    }
    uint64_t most = now + LONGEST_EXPECTATION_NS;
    expected = expected < most ? expected : most;
    loop->expected_at = expected > now ? expected : 0; /* a timer may end the sleep earlier */
    return loop->writes_at_workers == 0 ? loop->expected_at : 0;
}

/* Waits for the kernel, a worker or another thread. A thread that posts after the exchange sees
 * that the owner sleeps; what was posted before is seen here. */
static void sleep_until(epio_loop *loop, uint64_t deadline, bool heeds_wake)
{
    uint64_t moment = sleep_lightly_until(loop);
    epio__exchange_u32(&loop->sleeping, moment != 0 ? EPIO__SLEEPING_LIGHTLY : EPIO__SLEEPING);
    if (moment != 0) {
        deadline = moment < deadline ? moment : deadline;
    }
    if (something_was_posted(loop) || something_is_ready(loop) ||
        (heeds_wake && epio__load_u32(&loop->woken) != 0)) {
        deadline = 0;
    }
    loop->counters.sleeps += deadline != 0 ? 1 : 0;
    look_at_kernel(loop, deadline);
    epio__store_relaxed_u32(&loop->sleeping, 0);
    loop->slept_in_vain = moment != 0 && !something_was_posted(loop);
}

void epio_expect(epio_op *op, uint64_t at)
{
    epio__require(op, "epio_expect", "the op is NULL");
    epio__op_check_in_hand(op, "epio_expect");
    epio_loop *loop = op->loop;
    op->fast = EPIO__FAST_NOT;
    op->expected = 1;
    if (loop->expected_at == 0 || at < loop->expected_at) {
        loop->expected_at = at;
    }
}

/* Half of a poll's time is for arrivals, half for deliveries, so that neither starves the other. */
static void allow_half(epio_loop *loop, uint64_t budget)
{
    loop->late_at = budget == EPIO_FOREVER ? EPIO_FOREVER : epio__deadline_after(budget / 2);
}

/* `deadline` 0: does not wait. `max` 0: no limit. `budget`: see poll_budget_ns. */
static void iterate(epio_loop *loop, uint64_t deadline, uint32_t max, bool heeds_wake,
                    uint64_t budget)
{
    volatile uintptr_t mark = epio__iteration_mark(loop);
    uintptr_t outer = loop->iteration_at;
    loop->iteration_at = (uintptr_t)&mark;
    loop->depth++;
    allow_half(loop, budget);
    loop->bytes_left = EPIO__ITERATION_BYTES;
    loop->iterates = true;
    if (loop->embedded) {
        /* Awake: what this iteration completes is delivered without notifying the host. */
        epio__store_relaxed_u32(&loop->sleeping, 0);
    }
    collect(loop);
    submit_deferred(loop);
    if (!epio_list_empty(&loop->flush_files)) {
        epio__barrier_flush(loop);
    }
    loop->hooks->read_collected(loop->resident);
    if (loop->to_offload_writes != 0) {
        write_behind(loop, deadline);
    }
    if (deadline == 0 || something_is_ready(loop)) {
        offload(loop);
        look_at_kernel(loop, 0);
    } else if (may_perform_itself(loop, deadline)) {
        perform_itself(loop);
    } else {
        offload(loop);
        spin(loop, deadline);
        sleep_until(loop, deadline, heeds_wake);
        allow_half(loop, budget); /* waiting does not count */
    }
    collect(loop);
    allow_half(loop, budget);
    epio__loop_deliver(loop, max);
    if (epio__loop_is_inherited(loop)) {
        epio__fatal("fork", "the child has returned from a `done` into the loop of its parent; "
                            "it must exec, exit, or go on inside of the `done`");
    }
    loop->depth--;
    loop->iteration_at = outer;
}

void epio__loop_arm_host(epio_loop *loop)
{
    uint64_t due = next_due(loop);
    loop->backend->arm(loop->backend_state, due);
    epio__exchange_u32(&loop->sleeping, EPIO__SLEEPING);
    /* A timer that a poll left for the next is in the past: the alarm would not fire for it. */
    bool something_to_do = something_was_posted(loop) || something_is_ready(loop) ||
                           (due != EPIO_FOREVER && due <= epio__monotonic_time());
    if (something_to_do && !loop->signalled) {
        loop->signalled = true;
        epio__loop_notify(loop);
    }
}

/* Before the call returns to the program: starts what was submitted, and arms the host. */
static void before_return(epio_loop *loop)
{
    epio__barrier_flush(loop);
    loop->hooks->read_collected(loop->resident);
    if (loop->to_offload_writes != 0) {
        write_behind(loop, 0);
    }
    if (loop->pending_events != 0 && loop->backend->flush != NULL) {
        loop->backend->flush(loop->backend_state);
    }
    offload(loop);
    if (loop->depth == 0) {
        loop->iterates = false;
        loop->hooks->thread_leaves(loop->resident);
    }
    if (!loop->embedded) {
        return;
    }
    if (loop->signalled && !loop->calls_host && !something_is_ready(loop)) {
        look_at_kernel(loop, 0); /* resets what was signalled while a `done` ran */
    }
    epio__loop_arm_host(loop);
}

/* ---- Running ---- */

/* Test before the exchange: the atomic costs 10 % of a short iteration. */
static bool take_flag(uint32_t *flag)
{
    return epio__load_u32(flag) != 0 && epio__exchange_u32(flag, 0) != 0;
}

uint64_t epio_loop_run(epio_loop *loop)
{
    enter(loop, "epio_loop_run", EPIO__STACK_ADDRESS());
    uint64_t before = loop->delivered;
    uint64_t late_at = loop->late_at;
    for (;;) {
        /* In this order: a stop comes with a wake. */
        (void)take_flag(&loop->woken);
        if (take_flag(&loop->stopping) || !keeps_going(loop)) {
            break;
        }
        iterate(loop, EPIO_FOREVER, 0, true, EPIO_FOREVER);
    }
    before_return(loop);
    loop->late_at = late_at;
    return loop->delivered - before;
}

uint64_t epio_loop_poll(epio_loop *loop, uint64_t timeout_ns, uint32_t max)
{
    enter(loop, "epio_loop_poll", EPIO__STACK_ADDRESS());
    uint64_t before = loop->delivered;
    uint64_t late_at = loop->late_at; /* of a poll around this one */
    uint64_t budget = loop->embedded ? loop->poll_budget : EPIO_FOREVER;
    uint64_t deadline = 0;
    if (timeout_ns != 0) {
        deadline = timeout_ns == EPIO_FOREVER ? EPIO_FOREVER : epio__deadline_after(timeout_ns);
    }
    bool again;
    do {
        iterate(loop, deadline, max, true, budget);
        again = timeout_ns != 0 && loop->delivered == before && !take_flag(&loop->woken) &&
                (deadline == EPIO_FOREVER || epio__monotonic_time() < deadline);
    } while (again);
    before_return(loop);
    loop->late_at = late_at;
    return loop->delivered - before;
}

void epio__loop_run_until(epio_loop *loop, const bool *done)
{
    uint64_t late_at = loop->late_at;
    while (!*done) {
        iterate(loop, EPIO_FOREVER, 0, false, EPIO_FOREVER);
    }
    before_return(loop);
    loop->late_at = late_at;
}

/* The owner may see the flag, return and destroy the loop: the visit keeps the loop until this call
 * returns. */
void epio_loop_wake(epio_loop *loop)
{
    check_loop(loop, "epio_loop_wake");
    epio__add_size(&loop->visitors, 1);
    epio__exchange_u32(&loop->woken, 1);
    epio__loop_notify(loop);
    epio__subtract_size(&loop->visitors, 1);
}

void epio_loop_stop(epio_loop *loop)
{
    check_loop(loop, "epio_loop_stop");
    epio__add_size(&loop->visitors, 1);
    epio__exchange_u32(&loop->stopping, 1);
    epio_loop_wake(loop);
    epio__subtract_size(&loop->visitors, 1);
}

uint64_t epio_loop_pending(const epio_loop *loop)
{
    check_loop(loop, "epio_loop_pending");
    /* In this order: an op that moves between the counts is counted twice rather than not at
     * all. */
    size_t inbound = epio__load_size(&loop->inbound);
    return inbound + epio__load_size(&loop->in_flight);
}

/* ---- Embedding ---- */

static void embed(epio_loop *loop)
{
    loop->embedded = true;
    epio__loop_use_slow_path(loop);
    before_return(loop);
}

intptr_t epio_loop_handle(epio_loop *loop)
{
    enter(loop, "epio_loop_handle", EPIO__STACK_ADDRESS());
    intptr_t handle = loop->backend->handle(loop->backend_state);
    if (handle >= 0) {
        embed(loop);
    }
    return handle;
}

int epio_loop_on_ready(epio_loop *loop, void (*ready)(void *user), void *user)
{
    enter(loop, "epio_loop_on_ready", EPIO__STACK_ADDRESS());
    int error = loop->backend->notify(loop->backend_state, ready, user);
    if (error == 0) {
        loop->calls_host = ready != NULL;
    }
    if (loop->calls_host) {
        embed(loop);
    }
    return error;
}

/* ---- Beginning and end ---- */

void epio__loop_init(epio_loop *loop, epio_vfs *resident, const epio__loop_hooks *hooks)
{
    loop->resident = resident;
    loop->hooks = hooks;
    loop->late_at = EPIO_FOREVER;
    loop->bytes_left = EPIO__ITERATION_BYTES;
    epio__queue_init(&loop->ready);
    epio__queue_init(&loop->due);
    epio__queue_init(&loop->collected);
    epio__queue_init(&loop->arrivals);
    epio_list_init(&loop->deferred);
    epio_list_init(&loop->to_offload);
    epio_list_init(&loop->held);
    epio_list_init(&loop->active_files);
    epio_list_init(&loop->flush_files);
}

void epio__loop_begin(epio_loop *loop, uint32_t workers)
{
    epio__workers_init(loop, workers);
    epio__loop_claim(loop);
}

static void cancel_all(epio_loop *loop)
{
    epio__op_cancel_listed(loop, NULL);
    for (epio_node *node = loop->active_files.next; node != &loop->active_files;
         node = node->next) {
        epio_file *file = EPIO_CONTAINER(node, epio_file, active);
        epio__op_cancel_list(loop, &file->ordered, NULL);
        epio__barrier_cancel_syncs(loop, file);
        if (epio_op_in_flight(&file->flush)) {
            epio__op_cancel(loop, &file->flush); /* a VFS may keep it waiting */
        }
    }
}

int epio_loop_close(epio_loop *loop, uint64_t timeout_ns)
{
    enter(loop, "epio_loop_close", EPIO__STACK_ADDRESS());
    uint64_t deadline =
        timeout_ns == EPIO_FOREVER ? EPIO_FOREVER : epio__deadline_after(timeout_ns);
    epio__loop_drain(loop);
    loop->closing = true;
    epio__loop_use_slow_path(loop);
    cancel_all(loop);
    while (in_flight(loop)) {
        if (deadline != EPIO_FOREVER && epio__monotonic_time() >= deadline) {
            iterate(loop, 0, 0, false, EPIO_FOREVER);
            if (in_flight(loop)) {
                before_return(loop);
                return EPIO_ETIMEDOUT;
            }
            break;
        }
        iterate(loop, deadline, 0, false, EPIO_FOREVER);
    }
    before_return(loop);
    return 0;
}

/* The parent's loop lives on: what is shared with it is left alone. The child has no workers, whose
 * lists may have been changing at the fork, and no visitors. */
static void destroy_in_child(epio_loop *loop)
{
    epio__loop_disclaim(loop);
    if (loop->backend->abandon != NULL) {
        loop->backend->abandon(loop->backend_state);
    }
    epio__registered_free(&loop->registered);
    free(loop);
}

void epio_loop_destroy(epio_loop *loop)
{
    if (epio__loop_is_inherited(loop)) {
        destroy_in_child(loop);
        return;
    }
    if (loop == NULL) {
        return;
    }
    enter(loop, "epio_loop_destroy", EPIO__STACK_ADDRESS());
    if (loop->depth != 0) {
        epio__fatal("epio_loop_destroy", "called from inside a `done`, while the loop runs");
    }
    (void)epio_loop_close(loop, EPIO_FOREVER);
    /* In this order: a thread that was written off may have opened a file, and will close it. */
    size_t being_disposed_of = epio__load_u32(&loop->workers.late_opens);
    if (epio__load_size(&loop->open_files) > being_disposed_of) {
        epio__fatal("epio_loop_destroy",
                    "a file is still open; close every file of the loop first");
    }
    if (epio__load_size(&loop->mappings) != 0) {
        epio__fatal("epio_loop_destroy",
                    "a mapping is still there; unmap every mapping of the loop first");
    }
    epio__workers_stop(&loop->workers);
    while (epio__load_size(&loop->visitors) != 0) {
        epio__thread_yield();
    }
    epio__loop_disclaim(loop);
    loop->backend->close(loop->backend_state);
    epio__registered_free(&loop->registered);
    epio__workers_release(&loop->workers);
}

const char *epio_loop_backend(const epio_loop *loop)
{
    check_loop(loop, "epio_loop_backend");
    return loop->backend->name;
}

epio_vfs *epio_loop_vfs(epio_loop *loop)
{
    check_loop(loop, "epio_loop_vfs");
    return loop->resident;
}
