/* Waiting for locks, on a thread, a worker or a loop. Who waits for whom is lock_queue.c's. */
#include "locks/lock.h"

#include "atomics.h"
#include "core/event.h"
#include "list.h"
#include "locks/lock_bytes.h"
#include "locks/lock_queue.h"
#include "locks/range_steps.h"
#include "reason.h"

/* ---- Nodes and holders ---- */

void epio__lock_node_init(epio__lock_node *node)
{
    epio__mutex_init(&node->mutex);
    epio_list_init(&node->holders);
    epio_list_init(&node->range_holders);
    epio_list_init(&node->waiting);
    node->holder_count = 0;
    node->writer = NULL;
    node->weakened_start = 0;
    node->weakened_end = 0;
}

void epio__lock_node_destroy(epio__lock_node *node)
{
    epio__mutex_destroy(&node->mutex);
}

void epio__lock_holder_init(epio__lock_holder *holder, epio__lock_node *node, const epio_file *file,
                            const epio__os_file *bytes)
{
    *holder = (epio__lock_holder){.node = node, .file = file, .bytes = bytes};
    epio__range_init(holder);
    epio_list_init(&holder->later);
}

bool epio__lock_node_is_free(const epio__lock_node *node)
{
    return node->holder_count == 0 && epio_list_empty(&node->range_holders);
}

uint32_t epio__lock_level_of(const epio__lock_holder *holder)
{
    return epio__load_u32(&holder->level);
}

static uint64_t next_poll(epio_op *op)
{
    uint32_t delay = op->arguments.lock.delay_ns;
    delay = delay == 0 ? EPIO__LOCK_FIRST_DELAY_NS : delay * 2;
    delay = delay > EPIO__LOCK_LAST_DELAY_NS ? EPIO__LOCK_LAST_DELAY_NS : delay;
    op->arguments.lock.delay_ns = delay;
    /* Jitter, so that several waiting processes do not poll in step. */
    uint32_t random;
    epio__random_bytes(&random, sizeof random);
    return epio__monotonic_time() + delay / 2 + random % delay;
}

/* ---- Unlock and check ---- */

static int64_t unlock_level(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    epio__lock_end_requests(holder, false, EPIO__PENDING_BYTE, EPIO__LEVEL_BYTES, notifications);
    holder->unlocks++;
    int result = epio__lock_lower(holder, op, op->arguments.lock.level);
    epio__lock_grant(holder->node, EPIO__PENDING_BYTE, EPIO__LEVEL_BYTES, notifications);
    return result;
}

static int64_t unlock_range(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    uint64_t start = op->arguments.lock.start;
    uint64_t len = op->arguments.lock.len;
    if (epio__range_is_partly_inside(holder, start, len)) {
        return epio__op_refuse(op, EPIO__REASON_HELD_OTHERWISE);
    }
    epio__lock_end_requests(holder, true, start, len, notifications);
    epio__range_note_unlock(holder, start, len);
    int result = epio__range_release(holder, start, len, op);
    epio__lock_grant(holder->node, start, len, notifications);
    return result;
}

/* A step that does not wait. */
static int64_t carry_out(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    switch (op->kind) {
    case EPIO_KIND_UNLOCK:
        return unlock_level(holder, op, notifications);
    case EPIO_KIND_UNLOCK_RANGE:
        return unlock_range(holder, op, notifications);
    case EPIO_KIND_TEST_RANGE:
        return epio__range_test(holder, op);
    default:
        return epio__lock_is_reserved(holder, op);
    }
}

static int64_t perform_at_once(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    int64_t result = carry_out(holder, op, &notifications);
    epio__mutex_unlock(&holder->node->mutex);
    epio__lock_notify_all(&notifications);
    return result;
}

void epio__lock_release_all(epio__lock_holder *holder)
{
    epio_op level = {.kind = EPIO_KIND_UNLOCK};
    epio_op ranges = {.kind = EPIO_KIND_UNLOCK_RANGE};
    level.arguments.lock.level = EPIO_LOCK_NONE;
    ranges.arguments.lock.len = INT64_MAX;
    (void)perform_at_once(holder, &level);
    (void)perform_at_once(holder, &ranges);
    while (epio__load_size(&holder->performers) != 0) {
        epio__thread_yield(); /* they were notified */
    }
    epio__range_destroy(holder);
}

/* ---- Waiting on this thread ---- */

/* Until when the thread sleeps: its deadline, or its next poll of other processes. */
static uint64_t sleeps_until(epio_op *op)
{
    uint64_t deadline = op->timeout_ns != 0 ? op->timeout_ns : EPIO_FOREVER;
    if (!epio__lock_needs_polls(op)) {
        return deadline;
    }
    uint64_t look = next_poll(op);
    return look < deadline ? look : deadline;
}

/* The thread is awake, with the mutex: polls, or gives up. */
static void poll_here(epio_op *op, epio_node *notifications)
{
    if (epio__lock_waits(op)) {
        epio__lock_grant_around(op, notifications);
    }
    if (!epio__lock_waits(op)) {
        return;
    }
    if (op->timeout_ns != 0 && op->timeout_ns <= epio__monotonic_time()) {
        epio__lock_withdraw(op, EPIO_ETIMEDOUT, notifications);
    } else if (epio__lock_waits_for_own_loop(op)) {
        epio__lock_withdraw(op, epio__op_refuse(op, EPIO__REASON_OWN_LOOP), notifications);
    }
}

/* One that does not wait needs nothing to wait with. */
static void lock_at_once(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    epio__lock_enqueue(holder, op, &notifications);
    epio__mutex_unlock(&holder->node->mutex);
    epio__lock_notify_all(&notifications);
}

static void lock_here(epio__lock_holder *holder, epio_op *op)
{
    epio__lock_node *node = holder->node;
    epio__event event;
    epio_node notifications;
    epio_list_init(&notifications);
    epio__event_init(&event);
    op->waiter = &event;
    op->arguments.lock.notify = epio__lock_wake_thread;

    epio__mutex_lock(&node->mutex);
    epio__lock_enqueue(holder, op, &notifications);
    if (epio__lock_waits(op) && epio__lock_waits_for_own_loop(op)) {
        epio__lock_withdraw(op, epio__op_refuse(op, EPIO__REASON_OWN_LOOP), &notifications);
    }
    while (epio__lock_waits(op) || op->arguments.lock.notified != 0) {
        uint64_t until = sleeps_until(op);
        epio__mutex_unlock(&node->mutex);
        epio__lock_notify_all(&notifications);
        bool notified = epio__event_wait(&event, until);
        epio__mutex_lock(&node->mutex);
        if (notified) {
            op->arguments.lock.notified = 0;
        }
        poll_here(op, &notifications);
    }
    epio__mutex_unlock(&node->mutex);
    epio__lock_notify_all(&notifications);
    op->waiter = NULL;
    epio__event_destroy(&event);
}

/* The first try stores the holder's count of unlocks, plus 1; 0: not yet stored. */
static bool level_was_unlocked(const epio__lock_holder *holder, epio_op *op)
{
    uint32_t unlocks = holder->unlocks + 1;
    if (op->arguments.lock.unlocks == 0) {
        op->arguments.lock.unlocks = unlocks;
    }
    return op->arguments.lock.unlocks != unlocks;
}

/* 0, or why the op cannot be tried again: an unlock has ended it, or there is no memory. */
static int check_since_last_try(epio__lock_holder *holder, epio_op *op)
{
    int unlocked = op->kind == EPIO_KIND_LOCK_RANGE ? epio__range_was_unlocked(holder, op)
                                                    : level_was_unlocked(holder, op);
    return unlocked > 0 ? EPIO_ECANCELED : unlocked;
}

/* For a worker: one try, which leaves nothing behind if it has to wait, except that an unlock ends
 * the op. */
static int64_t try_to_lock(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    bool again = false;
    op->arguments.lock.outcome = check_since_last_try(holder, op);
    if (op->arguments.lock.outcome == 0) {
        epio__lock_enqueue(holder, op, &notifications);
        again = epio__lock_waits(op);
    }
    if (again) {
        epio__lock_withdraw(op, EPIO_EBUSY, &notifications);
    } else {
        op->arguments.lock.unlocks = 0; /* a layer may send it again */
    }
    epio__mutex_unlock(&holder->node->mutex);
    epio__lock_notify_all(&notifications);
    if (!again) {
        return op->arguments.lock.outcome;
    }
    op->due = next_poll(op);
    return EPIO_RETRY;
}

/* One that may wait is counted, as an epio_close in another thread may end it and then free the
 * holder. */
static int64_t lock_by_thread(epio__lock_holder *holder, epio_op *op)
{
    if (!epio__lock_may_wait(op)) {
        lock_at_once(holder, op);
        return op->arguments.lock.outcome;
    }
    epio__add_size(&holder->performers, 1);
    lock_here(holder, op);
    int outcome = op->arguments.lock.outcome;
    epio__subtract_size(&holder->performers, 1);
    return outcome;
}

int64_t epio__lock_perform(epio__lock_holder *holder, epio_op *op)
{
    if (!epio__lock_is_request(op)) {
        return perform_at_once(holder, op);
    }
    return epio_op_in_flight(op) ? try_to_lock(holder, op) : lock_by_thread(holder, op);
}

/* ---- Waiting on a loop ---- */

#if EPIO_ASYNC

/* The node's mutex is held, and is unlocked here. */
static void settle(epio__lock_node *node, epio_op *op, epio_node *notifications)
{
    int outcome = op->arguments.lock.outcome;
    bool polls = op->arguments.lock.polling != 0;
    epio__mutex_unlock(&node->mutex);
    epio__lock_notify_all(notifications);
    if (outcome != EPIO_EPENDING) {
        epio_complete(op, outcome);
    } else if (polls) {
        epio_alarm(op, next_poll(op));
    }
}

void epio__lock_submit(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    op->arguments.lock.notify = epio_resume;
    epio__lock_enqueue(holder, op, &notifications);
    settle(holder->node, op, &notifications);
}

void epio__lock_resumed(epio_op *op)
{
    epio__lock_node *node = epio__lock_holder_of(op)->node;
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&node->mutex);
    op->arguments.lock.notified = 0;
    settle(node, op, &notifications);
}

void epio__lock_alarm(epio_op *op)
{
    epio__lock_node *node = epio__lock_holder_of(op)->node;
    bool polls_again = false;
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&node->mutex);
    if (epio__lock_waits(op) && op->arguments.lock.notified == 0) {
        epio__lock_grant_around(op, &notifications);
        polls_again = epio__lock_waits(op) && op->arguments.lock.polling != 0;
    }
    epio__mutex_unlock(&node->mutex);
    epio__lock_notify_all(&notifications);
    if (polls_again) {
        epio_alarm(op, next_poll(op));
    }
}

void epio__lock_cancel(epio_op *op)
{
    epio__lock_node *node = epio__lock_holder_of(op)->node;
    bool ended = false;
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&node->mutex);
    if (epio__lock_waits(op)) {
        epio__lock_withdraw(op, EPIO_ECANCELED, &notifications);
        /* One that was notified must not end before its owner has acknowledged it. */
        ended = op->arguments.lock.notified == 0;
    }
    epio__mutex_unlock(&node->mutex);
    epio__lock_notify_all(&notifications);
    if (ended) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

#endif
