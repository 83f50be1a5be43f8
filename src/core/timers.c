/* Timers: a pairing heap through the ops themselves, so that no timer needs memory of its own.
 * due.c decides what happens when one is due.
 *
 * Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap" (1986). Siblings are linked by
 * timer_next; timer_previous is the elder sibling or, for the eldest, the parent. */
#include "core/loop.h"

/* Does not change while the op is in the heap. */
static uint64_t due_of(const epio_op *op)
{
    bool has_deadline = op->timeout_ns != 0 && (op->state_flags & EPIO__FLAG_LATE) == 0;
    uint64_t deadline = has_deadline ? op->timeout_ns : EPIO_FOREVER;
    switch (op->due_for) {
    case EPIO__DUE_NOTHING:
        return deadline;
    case EPIO__DUE_WRITE_OFF:
        return op->due;
    default:
        return op->due < deadline ? op->due : deadline;
    }
}

static epio_op *meld(epio_op *one, epio_op *other)
{
    if (one == NULL) {
        return other;
    }
    if (other == NULL) {
        return one;
    }
    if (due_of(other) < due_of(one)) {
        epio_op *swap = one;
        one = other;
        other = swap;
    }
    other->timer_next = one->timer_child;
    other->timer_previous = one;
    if (one->timer_child != NULL) {
        one->timer_child->timer_previous = other;
    }
    one->timer_child = other;
    return one;
}

/* Melds a list of siblings into one heap: pairs from left to right, then all
 * from right to left. */
static epio_op *meld_siblings(epio_op *first)
{
    epio_op *pairs = NULL;
    while (first != NULL) {
        epio_op *second = first->timer_next;
        epio_op *rest = second != NULL ? second->timer_next : NULL;
        first->timer_next = NULL;
        first->timer_previous = NULL;
        if (second != NULL) {
            second->timer_next = NULL;
            second->timer_previous = NULL;
        }
        epio_op *pair = meld(first, second);
        pair->timer_next = pairs;
        pairs = pair;
        first = rest;
    }
    epio_op *root = NULL;
    while (pairs != NULL) {
        epio_op *next = pairs->timer_next;
        pairs->timer_next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void epio__timer_start(epio_loop *loop, epio_op *op)
{
    EPIO__ASSERT(op->in_heap == 0);
    op->timer_child = NULL;
    op->timer_next = NULL;
    op->timer_previous = NULL;
    op->in_heap = 1;
    loop->timers = meld(loop->timers, op);
    if ((op->state_flags & EPIO__FLAG_INTERNAL) == 0) {
        loop->user_timers++;
    }
}

void epio__timer_stop(epio_loop *loop, epio_op *op)
{
    if (op->in_heap == 0) {
        return;
    }
    EPIO__ASSERT(loop->timers != NULL);
    op->in_heap = 0;
    if ((op->state_flags & EPIO__FLAG_INTERNAL) == 0) {
        loop->user_timers--;
    }
    if (op == loop->timers) {
        loop->timers = meld_siblings(op->timer_child);
        return;
    }
    EPIO__ASSERT(op->timer_previous != NULL);
    if (op->timer_previous->timer_child == op) {
        op->timer_previous->timer_child = op->timer_next;
    } else {
        op->timer_previous->timer_next = op->timer_next;
    }
    if (op->timer_next != NULL) {
        op->timer_next->timer_previous = op->timer_previous;
    }
    loop->timers = meld(loop->timers, meld_siblings(op->timer_child));
}

uint64_t epio__timer_next(const epio_loop *loop)
{
    return loop->timers != NULL ? due_of(loop->timers) : EPIO_FOREVER;
}

epio_op *epio__timer_take(epio_loop *loop, uint64_t now)
{
    epio_op *op = loop->timers;
    if (op == NULL || due_of(op) > now) {
        return NULL;
    }
    epio__timer_stop(loop, op);
    return op;
}
