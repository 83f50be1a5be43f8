/* Waiting for SQLite's locks. The steps between levels are lock_steps.c's.
 *
 * Each release grants the waiters what they can have, in their order, before it unlocks the mutex:
 * `grant_waiters`. An op waits either for this process, and then a release grants it, or for
 * another process, and then the first in the queue polls.
 *
 * An op that waits is notified by a call from any thread, which its own thread acknowledges.
 * Between the two (`notified`) it must not end, whatever its outcome. */
#include "locks/lock.h"

#include "atomics.h"
#include "core/event.h"
#include "list.h"
#include "locks/lock_steps.h"
#include "reason.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

static epio__lock_holder *holder_of(const epio_op *op)
{
    return op->arguments.lock.holder;
}

static epio_op *op_of_waiting(epio_node *node)
{
    return EPIO__CONTAINER(node, epio_op, arguments.lock.node);
}

/* ---- Nodes and holders ---- */

void epio__lock_node_init(epio__lock_node *node)
{
    epio__mutex_init(&node->mutex);
    epio__list_init(&node->holders);
    epio__list_init(&node->waiting);
    node->holder_count = 0;
    node->writer = NULL;
}

void epio__lock_node_destroy(epio__lock_node *node)
{
    epio__mutex_destroy(&node->mutex);
}

void epio__lock_holder_init(epio__lock_holder *holder, epio__lock_node *node, const epio_file *file,
                            const epio__os_file *bytes)
{
    *holder = (epio__lock_holder){.node = node, .file = file, .bytes = bytes};
    epio__list_init(&holder->later);
}

uint32_t epio__lock_level_of(const epio__lock_holder *holder)
{
    return epio__load_u32(&holder->level);
}

/* ---- Notifications ---- */

static void wake_thread(epio_op *op)
{
    epio__event_set(op->waiter);
}

/* Queues a notification, for notify_all once the mutex is free: an op has ended, or is to poll.
 * Only one is queued until its thread has acknowledged it. */
static void queue_notification(epio_node *notifications, epio_op *op)
{
    if (op->arguments.lock.notified == 0) {
        op->arguments.lock.notified = 1;
        epio__list_append(notifications, &op->queue);
    }
}

/* Each op may be gone when its call returns. */
static void notify_all(epio_node *notifications)
{
    while (!epio__list_empty(notifications)) {
        epio_op *op = EPIO__CONTAINER(notifications->next, epio_op, queue);
        epio__list_remove(&op->queue);
        op->arguments.lock.notify(op);
    }
}

/* ---- The queue ---- */

static bool waits(const epio_op *op)
{
    return op->arguments.lock.outcome == EPIO_EPENDING;
}

static bool is_first(const epio_op *op)
{
    const epio__lock_node *node = holder_of(op)->node;
    return node->waiting.next == &op->arguments.lock.node;
}

/* The first in the queue waits for another process. Threads that wait behind it poll too, since the
 * loop of the first may not run. */
static void notify_threads(epio__lock_node *node, epio_node *notifications)
{
    for (epio_node *at = node->waiting.next; at != &node->waiting; at = at->next) {
        epio_op *op = op_of_waiting(at);
        if (op->arguments.lock.notify == wake_thread) {
            queue_notification(notifications, op);
        }
    }
}

static bool first_polls(const epio__lock_node *node)
{
    return !epio__list_empty(&node->waiting) &&
           op_of_waiting(node->waiting.next)->arguments.lock.polling != 0;
}

static void enqueue(epio__lock_holder *holder, epio_op *op)
{
    epio_node *waiting = &holder->node->waiting;
    epio_node *before = waiting;
    if (op->arguments.lock.initial_level != EPIO_LOCK_NONE) {
        /* Holders before newcomers, which wait for the holders to release. */
        before = waiting->next;
        while (before != waiting &&
               op_of_waiting(before)->arguments.lock.initial_level != EPIO_LOCK_NONE) {
            before = before->next;
        }
    }
    epio__list_append(before, &op->arguments.lock.node); /* in front of it */
    holder->request = op;
}

static bool step_is_legal(uint32_t from, uint32_t to)
{
    return to == EPIO_LOCK_SHARED     ? from == EPIO_LOCK_NONE
           : to == EPIO_LOCK_RESERVED ? from == EPIO_LOCK_SHARED
                                      : from >= EPIO_LOCK_SHARED;
}

/* Starts an op that has not been in the queue: as far as it gets now. */
static epio__lock_outcome begin(epio__lock_holder *holder, epio_op *op)
{
    uint32_t from = holder->level;
    op->arguments.lock.initial_level = (uint8_t)from;
    if (from == op->arguments.lock.level) {
        return epio__lock_end_with(op, 0);
    }
    if (!step_is_legal(from, op->arguments.lock.level)) {
        bool down = op->arguments.lock.level < from;
        uint8_t reason = down ? EPIO__REASON_LOCK_DOWN : EPIO__REASON_LOCK_SKIPS;
        return epio__lock_end_with(op, epio__op_refuse(op, reason));
    }
    bool newcomer = from == EPIO_LOCK_NONE;
    if (newcomer && !epio__list_empty(&holder->node->waiting)) {
        return EPIO__LOCK_BLOCKED_HERE; /* behind those that came before */
    }
    return epio__lock_raise(holder, op);
}

/* The result of an op that will not wait. */
static int refuse(epio__lock_holder *holder, epio_op *op, epio__lock_outcome reached)
{
    int outcome = reached == EPIO__LOCK_ENDED ? op->arguments.lock.outcome : EPIO_EBUSY;
    bool only_readers_left = reached != EPIO__LOCK_ENDED;
    if (outcome == EPIO_EDEADLK) {
        outcome = EPIO_EBUSY;
    }
    if (outcome != 0 && !only_readers_left) {
        epio__lock_revert(holder, op);
    }
    return outcome;
}

/* Starts an op whose holder has no other in the queue: then it has ended or is in the queue. */
static void try_to_acquire(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    epio__lock_outcome reached = begin(holder, op);
    if (!epio__lock_may_wait(op)) {
        op->arguments.lock.outcome = refuse(holder, op, reached);
        return;
    }
    if (reached == EPIO__LOCK_ENDED) {
        if (op->arguments.lock.outcome != 0) {
            epio__lock_revert(holder, op);
        }
        return;
    }
    op->arguments.lock.outcome = EPIO_EPENDING;
    op->arguments.lock.polling = 0;
    enqueue(holder, op);
    if (reached == EPIO__LOCK_BLOCKED_BY_PROCESS) {
        op->arguments.lock.polling = 1;
        notify_threads(holder->node, notifications);
    }
}

/* Starts the holder's later ops, behind the one that has just ended. */
static void start_next(epio__lock_holder *holder, epio_node *notifications)
{
    while (holder->request == NULL && !epio__list_empty(&holder->later)) {
        epio_op *op = op_of_waiting(holder->later.next);
        epio__list_remove(&op->arguments.lock.node);
        try_to_acquire(holder, op, notifications);
        if (!waits(op) || op->arguments.lock.polling != 0) {
            queue_notification(notifications, op);
        }
    }
}

/* Takes an op out of the queue, whose outcome is known. */
static void leave_queue(epio_op *op, epio_node *notifications)
{
    epio__lock_holder *holder = holder_of(op);
    epio__list_remove(&op->arguments.lock.node);
    if (holder->request != op) {
        return; /* it was still behind another */
    }
    holder->request = NULL;
    if (op->arguments.lock.outcome != 0) {
        epio__lock_revert(holder, op);
    }
    start_next(holder, notifications);
}

/* Grants the waiters what they can have now. */
static void grant_waiters(epio__lock_node *node, epio_node *notifications)
{
    while (!epio__list_empty(&node->waiting)) {
        epio_op *op = op_of_waiting(node->waiting.next);
        epio__lock_outcome reached = epio__lock_raise(holder_of(op), op);
        if (reached != EPIO__LOCK_ENDED) {
            op->arguments.lock.outcome = EPIO_EPENDING;
            if (reached == EPIO__LOCK_BLOCKED_BY_PROCESS && op->arguments.lock.polling == 0) {
                op->arguments.lock.polling = 1;
                queue_notification(notifications, op);
                notify_threads(node, notifications);
            }
            return;
        }
        queue_notification(notifications, op);
        leave_queue(op, notifications);
    }
}

/* Ends an op that waits, without its lock. */
static void withdraw(epio_op *op, int outcome, epio_node *notifications)
{
    op->arguments.lock.outcome = outcome;
    op->os_error = 0;
    leave_queue(op, notifications);
    grant_waiters(holder_of(op)->node, notifications);
}

/* Starts a new op: afterwards it has ended or waits, in the queue or behind another op of its
 * holder. */
static void submit(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    op->arguments.lock.holder = holder;
    op->arguments.lock.notified = 0;
    op->arguments.lock.polling = 0;
    op->os_error = 0;
    /* The lock may have become free since the first in the queue last polled. */
    grant_waiters(holder->node, notifications);
    if (holder->request == NULL) {
        try_to_acquire(holder, op, notifications);
    } else if (epio__lock_may_wait(op)) {
        op->arguments.lock.outcome = EPIO_EPENDING;
        epio__list_append(&holder->later, &op->arguments.lock.node);
    } else {
        op->arguments.lock.outcome = EPIO_EBUSY;
    }
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

/* Ends the holder's ops, the latest first, so that none starts because another ended. */
static void end_requests(epio__lock_holder *holder, epio_node *notifications)
{
    while (holder->request != NULL) {
        bool alone = epio__list_empty(&holder->later);
        epio_op *op = alone ? holder->request : op_of_waiting(holder->later.previous);
        op->arguments.lock.outcome = EPIO_ECANCELED;
        op->os_error = 0;
        queue_notification(notifications, op);
        leave_queue(op, notifications);
    }
}

static int64_t unlock(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio__list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    end_requests(holder, &notifications);
    holder->unlocks++;
    int result = epio__lock_lower(holder, op, op->arguments.lock.level);
    grant_waiters(holder->node, &notifications);
    epio__mutex_unlock(&holder->node->mutex);
    notify_all(&notifications);
    return result;
}

static int64_t check_reserved(epio__lock_holder *holder, epio_op *op)
{
    epio__mutex_lock(&holder->node->mutex);
    int result = epio__lock_is_reserved(holder, op);
    epio__mutex_unlock(&holder->node->mutex);
    return result;
}

void epio__lock_release_all(epio__lock_holder *holder)
{
    epio_op op = {0};
    op.arguments.lock.level = EPIO_LOCK_NONE;
    (void)unlock(holder, &op);
    while (epio__load_size(&holder->performers) != 0) {
        epio__thread_yield(); /* they were notified */
    }
}

/* ---- Waiting on this thread ---- */

#if EPIO_ASYNC

static bool is_own_loop(const epio_loop *loop)
{
    return loop != NULL && epio__loop_is_owner(loop);
}

/* Does a file block this one whose loop is the calling thread's, and so does not run while the
 * thread waits? If an op waits for EXCLUSIVE, which is granted before all others, every holder
 * blocks, else only one that keeps readers out. */
static bool waits_for_own_loop(const epio__lock_holder *holder)
{
    epio__lock_node *node = holder->node;
    bool upgrade =
        !epio__list_empty(&node->waiting) &&
        op_of_waiting(node->waiting.next)->arguments.lock.initial_level != EPIO_LOCK_NONE;
    for (epio_node *at = node->holders.next; at != &node->holders; at = at->next) {
        const epio__lock_holder *other = EPIO__CONTAINER(at, epio__lock_holder, holding);
        bool in_the_way = other != holder && (upgrade || other->level >= EPIO_LOCK_PENDING);
        if (in_the_way && is_own_loop(other->file->vfs->loop)) {
            return true;
        }
    }
    return false;
}

#else

static bool waits_for_own_loop(const epio__lock_holder *holder)
{
    (void)holder;
    return false;
}

#endif

/* Until when the thread sleeps: its deadline, or its next poll of other processes. */
static uint64_t sleeps_until(epio_op *op)
{
    uint64_t deadline = op->timeout_ns != 0 ? op->timeout_ns : EPIO_FOREVER;
    if (!first_polls(holder_of(op)->node)) {
        return deadline;
    }
    uint64_t look = next_poll(op);
    return look < deadline ? look : deadline;
}

/* The thread is awake, with the mutex: polls, or gives up. */
static void poll_here(epio_op *op, epio_node *notifications)
{
    epio__lock_holder *holder = holder_of(op);
    if (waits(op)) {
        grant_waiters(holder->node, notifications);
    }
    if (!waits(op)) {
        return;
    }
    if (op->timeout_ns != 0 && op->timeout_ns <= epio__monotonic_time()) {
        withdraw(op, EPIO_ETIMEDOUT, notifications);
    } else if (waits_for_own_loop(holder)) {
        withdraw(op, EPIO_EDEADLK, notifications);
    } else if (!is_first(op)) {
        op->arguments.lock.polling = 0; /* to be notified when it is first again */
    }
}

static void lock_here(epio__lock_holder *holder, epio_op *op)
{
    epio__lock_node *node = holder->node;
    epio__event event;
    epio_node notifications;
    epio__list_init(&notifications);
    epio__event_init(&event);
    op->waiter = &event;
    op->arguments.lock.notify = wake_thread;

    epio__mutex_lock(&node->mutex);
    submit(holder, op, &notifications);
    if (waits(op) && waits_for_own_loop(holder)) {
        withdraw(op, EPIO_EDEADLK, &notifications);
    }
    while (waits(op) || op->arguments.lock.notified != 0) {
        uint64_t until = sleeps_until(op);
        epio__mutex_unlock(&node->mutex);
        notify_all(&notifications);
        bool notified = epio__event_wait(&event, until);
        epio__mutex_lock(&node->mutex);
        if (notified) {
            op->arguments.lock.notified = 0;
        }
        poll_here(op, &notifications);
    }
    epio__mutex_unlock(&node->mutex);
    notify_all(&notifications);
    op->waiter = NULL;
    epio__event_destroy(&event);
}

/* The first try stores the holder's count of unlocks, plus 1; 0: not yet stored. */
static bool was_unlocked_since(epio__lock_holder *holder, epio_op *op)
{
    uint32_t unlocks = holder->unlocks + 1;
    if (op->arguments.lock.unlocks == 0) {
        op->arguments.lock.unlocks = unlocks;
    }
    return op->arguments.lock.unlocks != unlocks;
}

/* For a worker: one try, which leaves nothing behind if it has to wait, except that an unlock ends
 * the op. */
static int64_t try_to_lock(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio__list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    bool again = false;
    if (was_unlocked_since(holder, op)) {
        op->arguments.lock.outcome = EPIO_ECANCELED;
    } else {
        submit(holder, op, &notifications);
        again = waits(op);
    }
    if (again) {
        withdraw(op, EPIO_EBUSY, &notifications);
    } else {
        op->arguments.lock.unlocks = 0; /* a layer may send it again */
    }
    epio__mutex_unlock(&holder->node->mutex);
    notify_all(&notifications);
    if (!again) {
        return op->arguments.lock.outcome;
    }
    op->due = next_poll(op);
    return EPIO_RETRY;
}

/* Counted, as an epio_close in another thread may end it and then free the holder. */
static int64_t lock_by_thread(epio__lock_holder *holder, epio_op *op)
{
    epio__add_size(&holder->performers, 1);
    lock_here(holder, op);
    int outcome = op->arguments.lock.outcome;
    epio__subtract_size(&holder->performers, 1);
    return outcome;
}

int64_t epio__lock_perform(epio__lock_holder *holder, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_UNLOCK:
        return unlock(holder, op);
    case EPIO_KIND_CHECK_RESERVED_LOCK:
        return check_reserved(holder, op);
    default:
        return epio_op_in_flight(op) ? try_to_lock(holder, op) : lock_by_thread(holder, op);
    }
}

/* ---- Waiting on a loop ---- */

#if EPIO_ASYNC

/* The node's mutex is held, and is unlocked here. */
static void settle(epio__lock_node *node, epio_op *op, epio_node *notifications)
{
    int outcome = op->arguments.lock.outcome;
    bool polls = op->arguments.lock.polling != 0;
    epio__mutex_unlock(&node->mutex);
    notify_all(notifications);
    if (outcome != EPIO_EPENDING) {
        epio_complete(op, outcome);
    } else if (polls) {
        epio_alarm(op, next_poll(op));
    }
}

void epio__lock_submit(epio__lock_holder *holder, epio_op *op)
{
    epio_node notifications;
    epio__list_init(&notifications);
    epio__mutex_lock(&holder->node->mutex);
    op->arguments.lock.notify = epio_resume;
    submit(holder, op, &notifications);
    settle(holder->node, op, &notifications);
}

void epio__lock_resumed(epio_op *op)
{
    epio__lock_node *node = holder_of(op)->node;
    epio_node notifications;
    epio__list_init(&notifications);
    epio__mutex_lock(&node->mutex);
    op->arguments.lock.notified = 0;
    settle(node, op, &notifications);
}

void epio__lock_alarm(epio_op *op)
{
    epio__lock_node *node = holder_of(op)->node;
    bool polls_again = false;
    epio_node notifications;
    epio__list_init(&notifications);
    epio__mutex_lock(&node->mutex);
    if (waits(op) && op->arguments.lock.notified == 0) {
        grant_waiters(node, &notifications);
        polls_again = waits(op) && is_first(op);
        op->arguments.lock.polling = polls_again ? 1 : 0;
    }
    epio__mutex_unlock(&node->mutex);
    notify_all(&notifications);
    if (polls_again) {
        epio_alarm(op, next_poll(op));
    }
}

void epio__lock_cancel(epio_op *op)
{
    epio__lock_node *node = holder_of(op)->node;
    bool ended = false;
    epio_node notifications;
    epio__list_init(&notifications);
    epio__mutex_lock(&node->mutex);
    if (waits(op)) {
        withdraw(op, EPIO_ECANCELED, &notifications);
        /* One that was notified must not end before its owner has acknowledged it. */
        ended = op->arguments.lock.notified == 0;
    }
    epio__mutex_unlock(&node->mutex);
    notify_all(&notifications);
    if (ended) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

#endif
