/* What other threads post to a loop: ops that they submit, complete or resume, and cancels; and the
 * wake of a sleeping owner. op.c handles the messages. */
#include "core/loop.h"

/* ---- Posts from other threads ---- */

static void push_inbox(epio_loop *loop, epio_op *op)
{
    uintptr_t head = epio__load_pointer(&loop->inbox);
    do {
        op->queue.next = head == 0 ? NULL : &((epio_op *)head)->queue;
    } while (!epio__compare_exchange_pointer(&loop->inbox, &head, (uintptr_t)op));
}

static void push_cancel(epio_loop *loop, epio_op *op)
{
    uintptr_t head = epio__load_pointer(&loop->cancels);
    do {
        op->cancel_next = (epio_op *)head;
    } while (!epio__compare_exchange_pointer(&loop->cancels, &head, (uintptr_t)op));
}

void epio__loop_notify(epio_loop *loop)
{
    if (epio__load_u32(&loop->sleeping) != 0 && epio__exchange_u32(&loop->sleeping, 0) != 0) {
        /* Before the wake, so that the woken owner sees it counted. */
        epio__add_size(&loop->counters.wakes, 1);
        loop->backend->wake(loop->backend_state);
    }
}

/* The owner wakes by itself soon; there will be more for it then. */
static void notify_in_time(epio_loop *loop, bool more)
{
    if (!more || epio__load_u32(&loop->sleeping) != EPIO__SLEEPING_LIGHTLY) {
        epio__loop_notify(loop);
    }
}

/* Once the op is pushed it may be delivered and the loop be destroyed: epio_loop_destroy waits for
 * visitors. */
static void post(epio_loop *loop, epio_op *op, uint8_t message, bool more)
{
    op->message = message;
    epio__add_size(&loop->visitors, 1);
    push_inbox(loop, op);
    notify_in_time(loop, more);
    epio__subtract_size(&loop->visitors, 1);
}

void epio__inbox_post(epio_loop *loop, epio_op *op, uint8_t message)
{
    post(loop, op, message, false);
}

void epio__inbox_post_completed(epio_loop *loop, epio_op *op, bool more)
{
    post(loop, op, EPIO__MESSAGE_COMPLETED, more);
}

void epio__inbox_post_cancel(epio_loop *loop, epio_op *op)
{
    epio__add_size(&loop->visitors, 1);
    push_cancel(loop, op);
    epio__loop_notify(loop);
    epio__subtract_size(&loop->visitors, 1);
}

void epio__loop_mark_shared(epio_loop *loop)
{
    if (epio__load_relaxed_u32(&loop->shared) == 0) {
        epio__store_relaxed_u32(&loop->shared, 1);
    }
}

/* ---- The owner ---- */

static void take_message(epio_loop *loop, epio_op *op)
{
    switch (op->message) {
    case EPIO__MESSAGE_SUBMITTED:
        loop->took_posts = true;
        epio__op_arrive(loop, op);
        return;
    case EPIO__MESSAGE_COMPLETED:
        epio__op_come_back(loop, op);
        return;
    default:
        epio__op_resume(loop, op);
        return;
    }
}

/* Restores the order of posting, behind what an outer call has not yet taken: a VFS may submit or
 * cancel inside its submit. */
static void collect_inbox(epio_loop *loop)
{
    if (epio__load_pointer(&loop->inbox) == 0) {
        return;
    }
    epio_op *last = (epio_op *)epio__exchange_pointer(&loop->inbox, 0);
    epio__queue batch;
    epio__queue_init(&batch);
    while (last != NULL) { /* the list starts with the last posted */
        epio_node *before = last->queue.next;
        epio__queue_push_front(&batch, last);
        last = before != NULL ? epio__op_of_queue(before) : NULL;
    }
    epio__queue_append(&loop->arrivals, &batch);
}

void epio__inbox_drain_cancels(epio_loop *loop)
{
    if (epio__load_pointer(&loop->cancels) == 0) {
        return;
    }
    epio_op *op = (epio_op *)epio__exchange_pointer(&loop->cancels, 0);
    while (op != NULL) {
        epio_op *next = op->cancel_next;
        epio__clear_bits_u32(&op->state, EPIO__STATE_CANCELLING);
        epio__op_cancel(loop, op);
        op = next;
    }
}

static void drain_inbox(epio_loop *loop)
{
    collect_inbox(loop);
    while (loop->arrivals.first != NULL) {
        take_message(loop, epio__queue_pop(&loop->arrivals));
    }
}

void epio__loop_drain_in_time(epio_loop *loop)
{
    collect_inbox(loop);
    while (loop->arrivals.first != NULL) {
        take_message(loop, epio__queue_pop(&loop->arrivals));
        if (loop->arrivals.first != NULL && epio__loop_is_late(loop)) {
            return; /* cancels must wait: their ops may still be among the arrivals */
        }
    }
    epio__inbox_drain_cancels(loop);
}

void epio__loop_drain(epio_loop *loop)
{
    drain_inbox(loop);
    epio__inbox_drain_cancels(loop);
}
