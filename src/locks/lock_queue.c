/* Which lock ops wait, and in which order. What each gets is decided by lock_steps.c and
 * range_steps.c; on which thread it waits is lock.c's.
 *
 * Each op wants bytes of the file: a range, or those of all levels. It waits behind the earlier ops
 * that want one of them, too, unless both are ranges that can be shared. Of one holder only one op
 * at a time wants a byte: others are in the holder's own list, in their order.
 *
 * Each release grants the waiters what they can have, in their order, before it unlocks the mutex.
 * An op waits either for this process, and then a release grants it, or for another process, and
 * then it polls.
 *
 * An op that waits is notified by a call from any thread, which its own thread acknowledges.
 * Between the two (`notified`) it must not end, whatever its outcome. */
#include "locks/lock_queue.h"

#include "core/event.h"
#include "list.h"
#include "locks/lock_bytes.h"
#include "locks/range_steps.h"
#include "reason.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

static epio_op *op_of_waiting(const epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, arguments.lock.node);
}

static bool is_range(const epio_op *op)
{
    return op->kind == EPIO_KIND_LOCK_RANGE;
}

/* The op raises a level, or changes the mode of a range. */
static bool has_a_part(const epio_op *op)
{
    return op->arguments.lock.initial_level != 0;
}
_Static_assert(EPIO_LOCK_NONE == 0 && EPIO__RANGE_FREE == 0, "nothing is held");

/* ---- Notifications ---- */

void epio__lock_wake_thread(epio_op *op)
{
    epio__event_set(op->waiter);
}

/* Only one is queued until its thread has acknowledged it. */
static void queue_notification(epio_node *notifications, epio_op *op)
{
    if (op->arguments.lock.notified == 0) {
        op->arguments.lock.notified = 1;
        epio_list_append(notifications, &op->queue);
    }
}

void epio__lock_notify_all(epio_node *notifications)
{
    while (!epio_list_empty(notifications)) {
        epio_op *op = EPIO_CONTAINER(notifications->next, epio_op, queue);
        epio_list_remove(&op->queue);
        op->arguments.lock.notify(op);
    }
}

/* ---- Polls ---- */

static bool overlaps(const epio_op *op, uint64_t start, uint64_t len)
{
    return epio__ranges_overlap(op->arguments.lock.start, op->arguments.lock.len, start, len);
}

static bool overlap(const epio_op *one, const epio_op *other)
{
    return overlaps(one, other->arguments.lock.start, other->arguments.lock.len);
}

/* An op that waits for another process polls. Threads that wait for one of its bytes poll too,
 * since the loop of that op may not run. */
static void start_polls(epio_op *op, epio_node *notifications)
{
    const epio_node *waiting = &epio__lock_holder_of(op)->node->waiting;
    op->arguments.lock.polling = 1;
    for (epio_node *at = waiting->next; at != waiting; at = at->next) {
        epio_op *other = op_of_waiting(at);
        if (other->arguments.lock.notify == epio__lock_wake_thread && overlap(op, other)) {
            queue_notification(notifications, other);
        }
    }
}

bool epio__lock_needs_polls(const epio_op *op)
{
    const epio_node *waiting = &epio__lock_holder_of(op)->node->waiting;
    for (const epio_node *at = waiting->next; at != waiting; at = at->next) {
        const epio_op *other = op_of_waiting(at);
        if (other->arguments.lock.polling != 0 && overlap(op, other)) {
            return true;
        }
    }
    return false;
}

/* ---- Order ---- */

static bool is_shared_range(const epio_op *op)
{
    return is_range(op) && op->arguments.lock.level == EPIO__RANGE_SHARED;
}

static bool stands_behind(const epio_op *op, const epio_op *earlier)
{
    return overlap(op, earlier) && !(is_shared_range(op) && is_shared_range(earlier));
}

/* Must the op wait for one that is in the queue before `place`? */
static bool is_behind(const epio_op *op, const epio_node *place)
{
    const epio_node *at = epio__lock_holder_of(op)->node->waiting.next;
    while (at != place && !stands_behind(op, op_of_waiting(at))) {
        at = at->next;
    }
    return at != place;
}

/* Must the op wait for an earlier one of its own holder? */
static bool is_later(const epio_op *op)
{
    const epio__lock_holder *holder = epio__lock_holder_of(op);
    const epio_node *waiting = &holder->node->waiting;
    for (const epio_node *at = waiting->next; at != waiting; at = at->next) {
        const epio_op *earlier = op_of_waiting(at);
        if (epio__lock_holder_of(earlier) == holder && overlap(op, earlier)) {
            return true;
        }
    }
    for (const epio_node *at = holder->later.next; at != &holder->later; at = at->next) {
        if (op_of_waiting(at) == op) {
            break;
        }
        if (overlap(op, op_of_waiting(at))) {
            return true;
        }
    }
    return false;
}

static void join_queue(epio__lock_holder *holder, epio_op *op)
{
    epio_node *waiting = &holder->node->waiting;
    epio_node *before = waiting;
    if (has_a_part(op)) {
        /* Holders before newcomers, which wait for the holders to release. */
        before = waiting->next;
        while (before != waiting && has_a_part(op_of_waiting(before))) {
            before = before->next;
        }
    }
    epio_list_append(before, &op->arguments.lock.node); /* in front of it */
    op->arguments.lock.queued = 1;
}

/* ---- Steps ---- */

static bool step_is_legal(uint32_t from, uint32_t to)
{
    return to == EPIO_LOCK_SHARED     ? from == EPIO_LOCK_NONE
           : to == EPIO_LOCK_RESERVED ? from == EPIO_LOCK_SHARED
                                      : from >= EPIO_LOCK_SHARED;
}

/* For a level, as epio__range_prepare. */
static bool prepare_level(const epio__lock_holder *holder, epio_op *op)
{
    uint32_t from = holder->level;
    uint32_t to = op->arguments.lock.level;
    op->arguments.lock.initial_level = (uint8_t)from;
    if (from == to) {
        (void)epio__lock_end_with(op, 0);
        return true;
    }
    uint8_t reason = EPIO__REASON_NONE;
    if (!step_is_legal(from, to)) {
        reason = to < from ? EPIO__REASON_LOCK_DOWN : EPIO__REASON_LOCK_SKIPS;
    } else if (epio__range_excludes_levels(holder)) {
        reason = EPIO__REASON_RANGE_OF_LEVELS;
    }
    if (reason != EPIO__REASON_NONE) {
        (void)epio__lock_end_with(op, epio__op_refuse(op, reason));
    }
    return reason != EPIO__REASON_NONE;
}

static epio__lock_outcome take(epio__lock_holder *holder, epio_op *op)
{
    return is_range(op) ? epio__range_take(holder, op) : epio__lock_raise(holder, op);
}

/* Back to what the holder had before the op. One for a range has changed nothing. */
static void revert(epio__lock_holder *holder, epio_op *op)
{
    if (!is_range(op)) {
        epio__lock_revert(holder, op);
    }
}

/* Does the op, which wants more of what its holder has, meet another such? Each waits for what the
 * other has. Of two levels the steps know that themselves. */
static bool would_deadlock(const epio__lock_holder *holder, const epio_op *op)
{
    const epio_node *waiting = &holder->node->waiting;
    for (const epio_node *at = waiting->next; at != waiting; at = at->next) {
        const epio_op *other = op_of_waiting(at);
        if (has_a_part(other) && epio__lock_holder_of(other) != holder &&
            (is_range(op) || is_range(other)) && overlap(op, other)) {
            return true;
        }
    }
    return false;
}

/* Starts an op that has not been in the queue: as far as it gets now. */
static epio__lock_outcome begin(epio__lock_holder *holder, epio_op *op)
{
    if (is_range(op) ? epio__range_prepare(holder, op) : prepare_level(holder, op)) {
        return EPIO__LOCK_ENDED;
    }
    if (!has_a_part(op) && is_behind(op, &holder->node->waiting)) {
        return EPIO__LOCK_BLOCKED_HERE;
    }
    epio__lock_outcome reached = take(holder, op);
    if (reached != EPIO__LOCK_ENDED && has_a_part(op) && would_deadlock(holder, op)) {
        return epio__lock_end_with(op, EPIO_EDEADLK);
    }
    return reached;
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
        revert(holder, op);
    }
    return outcome;
}

/* Starts an op that no other of its holder precedes: then it has ended or is in the queue. */
static void try_to_acquire(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    epio__lock_outcome reached = begin(holder, op);
    if (!epio__lock_may_wait(op)) {
        op->arguments.lock.outcome = refuse(holder, op, reached);
        return;
    }
    if (reached == EPIO__LOCK_ENDED) {
        if (op->arguments.lock.outcome != 0) {
            revert(holder, op);
        }
        return;
    }
    op->arguments.lock.outcome = EPIO_EPENDING;
    op->arguments.lock.polling = 0;
    join_queue(holder, op);
    if (reached == EPIO__LOCK_BLOCKED_BY_PROCESS) {
        start_polls(op, notifications);
    }
}

/* The op has perhaps made shared what was exclusive, where no grant can be in between. */
static void note_weakened(epio__lock_node *node, const epio_op *op)
{
    uint64_t start = op->arguments.lock.start;
    uint64_t end = start + op->arguments.lock.len;
    bool first = node->weakened_start == node->weakened_end;
    node->weakened_start = first || start < node->weakened_start ? start : node->weakened_start;
    node->weakened_end = first || end > node->weakened_end ? end : node->weakened_end;
}

/* Starts the holder's later ops that no other precedes any more. */
static void start_later(epio__lock_holder *holder, epio_node *notifications)
{
    epio_node *at = holder->later.next;
    while (at != &holder->later) {
        epio_op *op = op_of_waiting(at);
        at = at->next;
        if (is_later(op)) {
            continue;
        }
        epio_list_remove(&op->arguments.lock.node);
        try_to_acquire(holder, op, notifications);
        if (!epio__lock_waits(op) || op->arguments.lock.polling != 0) {
            queue_notification(notifications, op);
        }
        if (is_shared_range(op) && has_a_part(op)) {
            note_weakened(holder->node, op);
        }
    }
}

/* Takes an op out of the queue, whose outcome is known. */
static void leave_queue(epio_op *op, epio_node *notifications)
{
    epio__lock_holder *holder = epio__lock_holder_of(op);
    bool was_later = op->arguments.lock.queued == 0;
    epio_list_remove(&op->arguments.lock.node);
    op->arguments.lock.queued = 0;
    if (op->arguments.lock.outcome != 0 && !was_later) {
        revert(holder, op);
    }
    start_later(holder, notifications);
}

/* ---- Grants ---- */

/* True: the op has left the queue. */
static bool grant_one(epio_op *op, epio_node *notifications)
{
    bool polled = op->arguments.lock.polling != 0;
    op->arguments.lock.polling = 0;
    if (is_behind(op, &op->arguments.lock.node)) {
        return false; /* to be notified when it has to poll again */
    }
    epio__lock_outcome reached = take(epio__lock_holder_of(op), op);
    if (reached == EPIO__LOCK_ENDED) {
        queue_notification(notifications, op);
        leave_queue(op, notifications);
        return true;
    }
    op->arguments.lock.outcome = EPIO_EPENDING;
    if (reached == EPIO__LOCK_BLOCKED_BY_PROCESS && polled) {
        op->arguments.lock.polling = 1;
    } else if (reached == EPIO__LOCK_BLOCKED_BY_PROCESS) {
        queue_notification(notifications, op);
        start_polls(op, notifications);
    }
    return false;
}

/* One that leaves may have failed, or be followed by one of its file that wants less: those behind
 * it are tried, too. */
static void grant_within(epio__lock_node *node, uint64_t start, uint64_t end,
                         epio_node *notifications)
{
    epio_node *at = node->waiting.next;
    while (at != &node->waiting) {
        epio_op *op = op_of_waiting(at);
        uint64_t op_start = op->arguments.lock.start;
        uint64_t op_end = op_start + op->arguments.lock.len;
        at = at->next; /* only this one can leave, though others may join */
        if (op_start < end && start < op_end && grant_one(op, notifications)) {
            start = op_start < start ? op_start : start;
            end = op_end > end ? op_end : end;
        }
    }
}

void epio__lock_grant(epio__lock_node *node, uint64_t start, uint64_t len, epio_node *notifications)
{
    grant_within(node, start, start + len, notifications);
    while (node->weakened_start != node->weakened_end) {
        uint64_t weakened_start = node->weakened_start;
        uint64_t weakened_end = node->weakened_end;
        node->weakened_start = node->weakened_end = 0;
        grant_within(node, weakened_start, weakened_end, notifications);
    }
}

void epio__lock_grant_around(epio_op *op, epio_node *notifications)
{
    epio__lock_grant(epio__lock_holder_of(op)->node, op->arguments.lock.start,
                     op->arguments.lock.len, notifications);
}

void epio__lock_withdraw(epio_op *op, int outcome, epio_node *notifications)
{
    op->arguments.lock.outcome = outcome;
    op->os_error = 0;
    leave_queue(op, notifications);
    epio__lock_grant_around(op, notifications);
}

void epio__lock_enqueue(epio__lock_holder *holder, epio_op *op, epio_node *notifications)
{
    op->arguments.lock.holder = holder;
    op->arguments.lock.notified = 0;
    op->arguments.lock.polling = 0;
    op->arguments.lock.queued = 0;
    op->os_error = 0;
    if (!is_range(op)) {
        op->arguments.lock.start = EPIO__PENDING_BYTE;
        op->arguments.lock.len = EPIO__LEVEL_BYTES;
    }
    /* The lock may have become free since those before it last polled. */
    epio__lock_grant_around(op, notifications);
    if (!is_later(op)) {
        try_to_acquire(holder, op, notifications);
    } else if (epio__lock_may_wait(op)) {
        op->arguments.lock.outcome = EPIO_EPENDING;
        epio_list_append(&holder->later, &op->arguments.lock.node);
    } else {
        op->arguments.lock.outcome = EPIO_EBUSY;
    }
    if (is_shared_range(op) && has_a_part(op) && !epio__lock_waits(op)) {
        epio__lock_grant_around(op, notifications); /* it was exclusive */
    }
}

/* Those behind others first, so that none of them starts because another ended. */
void epio__lock_end_requests(epio__lock_holder *holder, bool ranges, uint64_t start, uint64_t len,
                             epio_node *notifications)
{
    epio_node *const lists[] = {&holder->later, &holder->node->waiting};
    for (size_t i = 0; i < 2; i++) {
        epio_node *at = lists[i]->previous;
        while (at != lists[i]) {
            epio_op *op = op_of_waiting(at);
            at = at->previous;
            if (epio__lock_holder_of(op) == holder && is_range(op) == ranges &&
                epio__range_is_inside(op->arguments.lock.start, op->arguments.lock.len, start,
                                      len)) {
                op->arguments.lock.outcome = EPIO_ECANCELED;
                op->os_error = 0;
                queue_notification(notifications, op);
                leave_queue(op, notifications);
            }
        }
    }
}

/* ---- Deadlocks of a thread ---- */

#if EPIO_ASYNC

static bool is_own_loop(const epio__lock_holder *holder)
{
    const epio_loop *loop = holder->file->vfs->loop;
    return loop != NULL && epio__loop_is_owner(loop);
}

static bool blocks_by_own_loop(void *context, const epio__lock_part *part)
{
    const epio_op *op = context;
    uint32_t mode = is_shared_range(op) ? EPIO__RANGE_SHARED : EPIO__RANGE_EXCLUSIVE;
    return is_own_loop(part->holder) &&
           epio__lock_part_blocks(part, op->arguments.lock.start, op->arguments.lock.len, mode);
}

/* The first op that waits for a level raises one that its holder has. */
static bool an_upgrade_waits(const epio__lock_node *node)
{
    const epio_node *at = node->waiting.next;
    while (at != &node->waiting && is_range(op_of_waiting(at))) {
        at = at->next;
    }
    return at != &node->waiting && has_a_part(op_of_waiting(at));
}

/* If an op waits for EXCLUSIVE, which is granted before all others, every holder blocks, else only
 * one that keeps readers out. */
static bool level_waits_for_own_loop(const epio_op *op)
{
    const epio__lock_holder *holder = epio__lock_holder_of(op);
    epio__lock_node *node = holder->node;
    bool upgrade = an_upgrade_waits(node);
    for (epio_node *at = node->holders.next; at != &node->holders; at = at->next) {
        const epio__lock_holder *other = EPIO_CONTAINER(at, epio__lock_holder, holding);
        bool in_the_way = other != holder && (upgrade || other->level >= EPIO_LOCK_PENDING);
        if (in_the_way && is_own_loop(other)) {
            return true;
        }
    }
    return epio__lock_visit_ranges(holder, blocks_by_own_loop, (void *)(uintptr_t)op);
}

/* What blocks the range, the ops that it stands behind, and what blocks those. */
static bool range_waits_for_own_loop(const epio_op *op)
{
    const epio__lock_holder *holder = epio__lock_holder_of(op);
    const epio_node *waiting = &holder->node->waiting;
    if (epio__lock_visit_others(holder, blocks_by_own_loop, (void *)(uintptr_t)op)) {
        return true;
    }
    for (const epio_node *at = waiting->next; at != waiting && at != &op->arguments.lock.node;
         at = at->next) {
        epio_op *earlier = op_of_waiting(at);
        const epio__lock_holder *other = epio__lock_holder_of(earlier);
        if (stands_behind(op, earlier) &&
            ((other != holder && is_own_loop(other)) ||
             epio__lock_visit_others(other, blocks_by_own_loop, earlier))) {
            return true;
        }
    }
    return false;
}

bool epio__lock_waits_for_own_loop(const epio_op *op)
{
    return is_range(op) ? range_waits_for_own_loop(op) : level_waits_for_own_loop(op);
}

#else

bool epio__lock_waits_for_own_loop(const epio_op *op)
{
    (void)op;
    return false;
}

#endif
