/* What an op waits for by the clock: its deadline, a time at which it ends, an alarm of its VFS, a
 * retry. Owns op->due_for and op->due while an op is in flight, and decides what happens when its
 * time has come; the heap of all of them is timers.c's. */
#include "core/loop.h"
#include "fatal.h"

void epio__op_stop_due(epio_loop *loop, epio_op *op)
{
    epio__timer_stop(loop, op);
    op->due_for = EPIO__DUE_NOTHING;
}

void epio__op_start_deadline(epio_loop *loop, epio_op *op)
{
    if (op->timeout_ns != 0 && (op->state_flags & EPIO__FLAG_LATE) == 0 && op->in_heap == 0) {
        epio__timer_start(loop, op);
    }
}

static void wait_for_due(epio_loop *loop, epio_op *op, uint8_t due_for, uint64_t due)
{
    epio__timer_stop(loop, op);
    op->due_for = due_for;
    op->due = due;
    epio__timer_start(loop, op);
}

void epio__op_park(epio_loop *loop, epio_op *op, uint8_t due_for, uint64_t due)
{
    epio__op_enter(op, EPIO__PHASE_PARKED);
    op->route = EPIO__ROUTE_NONE;
    wait_for_due(loop, op, due_for, due);
    /* A flush is the file's own: a close of the loop cancels it through the file. */
    if (op->held.next == NULL && (op->state_flags & EPIO__FLAG_INTERNAL) == 0) {
        epio_list_append(&loop->held, &op->held);
    }
}

void epio_complete_at(epio_op *op, uint64_t due, int64_t result)
{
    epio__require(op, "epio_complete_at", "the op is NULL");
    epio__op_check_in_hand(op, "epio_complete_at");
    if ((op->state_flags & EPIO__FLAG_CANCEL) != 0) {
        epio_complete(op, EPIO_ECANCELED);
        return;
    }
    op->outcome = result;
    epio__op_park(op->loop, op, EPIO__DUE_END, due);
    epio__loop_notify_host(op->loop);
}

void epio_alarm(epio_op *op, uint64_t due)
{
    epio__require(op, "epio_alarm", "the op is NULL");
    epio_loop *loop = op->loop;
    if (op->phase == EPIO__PHASE_READY) {
        epio__fatal("epio_alarm", "the op was completed already");
    }
    epio__op_enter(op, EPIO__PHASE_HELD);
    wait_for_due(loop, op, EPIO__DUE_ALARM, due);
    epio__loop_notify_host(loop);
}

/* ---- What is due ---- */

static bool meets_deadline(const epio_op *op)
{
    if (op->due_for == EPIO__DUE_NOTHING) {
        return true;
    }
    return op->timeout_ns != 0 && (op->state_flags & EPIO__FLAG_LATE) == 0 &&
           op->timeout_ns < op->due;
}

/* The alarm of a VFS that cannot end the op at once still comes. */
static void pass_deadline(epio_loop *loop, epio_op *op)
{
    op->state_flags |= EPIO__FLAG_LATE;
    if (op->due_for == EPIO__DUE_ALARM) {
        epio__timer_start(loop, op);
    } else if (op->due_for != EPIO__DUE_NOTHING) { /* else a worker may be reading it */
        op->due_for = EPIO__DUE_NOTHING;
    }
    epio__op_expire(loop, op);
}

static void fire(epio_loop *loop, epio_op *op)
{
    uint8_t due_for = op->due_for;
    if (due_for == EPIO__DUE_WRITE_OFF) {
        epio__op_write_off(op);
        return;
    }
    if (meets_deadline(op)) {
        pass_deadline(loop, op);
        return;
    }
    op->due_for = EPIO__DUE_NOTHING;
    switch (due_for) {
    case EPIO__DUE_END:
        epio_complete(op, op->outcome);
        return;
    case EPIO__DUE_RETRY:
        epio__op_start_deadline(loop, op);
        epio__op_hold(op);
        return;
    case EPIO__DUE_ALARM:
        epio__op_start_deadline(loop, op);
        op->vfs->methods->alarm(op->vfs, op);
        return;
    default:
        return; /* a flush that was held back: the end of the iteration starts it */
    }
}

void epio__loop_fire_timers(epio_loop *loop)
{
    uint64_t now = epio__monotonic_time();
    epio_op *op;
    bool late = false;
    while (!late && (op = epio__timer_take(loop, now)) != NULL) {
        fire(loop, op);
        late = epio__loop_is_late(loop);
    }
}
