/* Ending an op early: by epio_cancel, by its deadline, by a close of its loop. What has to be
 * undone depends on the op's phase. The op ends by epio_complete, like any other. */
#include "core/loop.h"
#include "fatal.h"

static void unlink_from_first(epio_op *op)
{
    epio_op *first = epio__op_of_queue(op->queue.previous);
    first->link = NULL;
    op->queue.previous = NULL;
}

/* The worker that carries the op out gets a moment to return its true result, in case it is not
 * stuck in the kernel; then the thread is written off. */
static void begin_to_write_off(epio_loop *loop, epio_op *op)
{
    if (op->due_for == EPIO__DUE_NOTHING && epio__workers_may_write_off(op)) {
        epio__timer_stop(loop, op);
        epio__workers_expect(op);
        epio__timer_start(loop, op);
    }
}

/* Requests that the call ends which a worker is in, or will be, whichever VFS offloaded the op. The
 * op's fields are the worker's. */
static void interrupt(epio_loop *loop, epio_op *op)
{
    if (loop->backend->interrupt != NULL && epio__op_transfers(op)) {
        loop->backend->interrupt(loop->backend_state, op);
    }
}

static void cancel_held(epio_loop *loop, epio_op *op)
{
    switch (epio__workers_take_back(op)) {
    case EPIO__TAKE_BACK_DONE:
        op->route = EPIO__ROUTE_NONE;
        epio_complete(op, EPIO_ECANCELED);
        return;
    case EPIO__TAKE_BACK_NOT_THERE:
        if (op->vfs->methods->cancel != NULL) {
            op->vfs->methods->cancel(op->vfs, op);
        }
        return;
    case EPIO__TAKE_BACK_TOO_LATE:
        begin_to_write_off(loop, op);
        interrupt(loop, op);
        return;
    }
}

void epio__op_cancel_in_phase(epio_loop *loop, epio_op *op)
{
    switch (op->phase) {
    case EPIO__PHASE_LINKED:
        unlink_from_first(op);
        epio__op_end_early(op, EPIO_ECANCELED);
        return;
    case EPIO__PHASE_BARRIER:
        epio__op_end_early(op, EPIO_ECANCELED);
        return;
    case EPIO__PHASE_PARKED:
        epio_complete(op, EPIO_ECANCELED);
        return;
    case EPIO__PHASE_HELD:
    case EPIO__PHASE_RETURNING:
        cancel_held(loop, op);
        return;
    default:
        /* In the inbox or a batch, which check the mark; or at its end, unless a layer sends it
         * again. */
        return;
    }
}

void epio__op_cancel(epio_loop *loop, epio_op *op)
{
    if (epio__op_is(op, EPIO__KIND_MUST_RUN) || (op->state_flags & EPIO__FLAG_CANCEL) != 0) {
        return;
    }
    op->state_flags |= EPIO__FLAG_CANCEL;
    epio__op_cancel_in_phase(loop, op);
}

/* ---- Many at once ---- */

const epio_file *epio__op_file_as_submitted(const epio_op *op)
{
    if (epio__op_is(op, EPIO__KIND_ON_PATH)) {
        return op->arguments.path.kept;
    }
    const epio_file *file = op->file;
    for (const epio_frame *frame = op->frames; frame != NULL; frame = frame->below) {
        file = frame->file;
    }
    return file;
}

static bool is_of(const epio_op *op, const epio_file *file)
{
    bool internal = (op->state_flags & EPIO__FLAG_INTERNAL) != 0;
    return file == NULL ||
           (epio__op_keeps(op) != NULL && !internal && epio__op_file_as_submitted(op) == file);
}

void epio__op_cancel_list(epio_loop *loop, epio_node *list, const epio_file *file)
{
    epio_node *node = list->next;
    while (node != list) {
        epio_op *op = epio__op_of_held(node);
        node = node->next;
        if (is_of(op, file)) {
            epio__op_cancel(loop, op);
        }
    }
}

static void cancel_queue(epio_loop *loop, const epio__queue *queue, const epio_file *file)
{
    for (epio_node *node = queue->first; node != NULL; node = node->next) {
        epio_op *op = epio__op_of_queue(node);
        if (is_of(op, file)) {
            epio__op_cancel(loop, op);
        }
    }
}

void epio__op_cancel_listed(epio_loop *loop, const epio_file *file)
{
    epio__op_cancel_list(loop, &loop->held, file);
    cancel_queue(loop, &loop->collected, file);
    /* At their end, unless a layer sends them again, or they are to be retried. */
    cancel_queue(loop, &loop->ready, file);
    cancel_queue(loop, &loop->due, file);
}

/* ---- epio_cancel ---- */

/* Until the mark is cleared the op cannot be delivered nor its loop be destroyed, so op->loop may
 * be used. False: it is not in flight, or another thread is about to cancel it. */
static bool pin(epio_op *op)
{
    uint32_t state = epio__load_u32(&op->state);
    do {
        bool in_flight = (state & ~(uint32_t)EPIO__STATE_EXTRAS) == EPIO__STATE_IN_FLIGHT;
        if (!in_flight || (state & EPIO__STATE_CANCELLING) != 0) {
            return false;
        }
    } while (!epio__compare_exchange_u32(&op->state, &state, state | EPIO__STATE_CANCELLING));
    return true;
}

static void cancel_elsewhere(epio_loop *loop, epio_op *op)
{
    epio__loop_check_lives(loop, "epio_cancel");
    epio__loop_mark_shared(loop);
    epio__inbox_post_cancel(loop, op);
}

static void cancel_here(epio_loop *loop, epio_op *op)
{
    epio__clear_bits_u32(&op->state, EPIO__STATE_CANCELLING);
    epio__loop_drain(loop);
    epio__op_cancel(loop, op);
    epio__loop_notify_host(loop);
}

void epio_cancel(epio_op *op)
{
    if (op == NULL) {
        epio__fatal("epio_cancel", "the op is NULL");
    }
    if (!pin(op)) {
        return;
    }
    epio_loop *loop = op->loop;
    if (epio__loop_is_owner(loop)) {
        cancel_here(loop, op);
    } else {
        cancel_elsewhere(loop, op);
    }
}

void epio_cancel_all(epio_file *file)
{
    epio__file_check(file, "epio_cancel_all");
    epio_loop *loop = file->vfs->loop;
    if (loop == NULL) {
        return;
    }
    epio__loop_check_lives(loop, "epio_cancel_all");
    if (!epio__loop_is_owner(loop)) {
        epio__fatal("epio_cancel_all", "the file's loop belongs to another thread, or to none");
    }
    epio__loop_drain(loop);
    epio__barrier_cancel_all(loop, file);
    epio__loop_notify_host(loop);
}

/* ---- What is due ---- */

/* Until the write-off the worker may read op->due_for. */
void epio__op_write_off(epio_op *op)
{
    bool is_ours = epio__workers_write_off(op);
    op->due_for = EPIO__DUE_NOTHING;
    if (is_ours) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

void epio__op_expire(epio_loop *loop, epio_op *op)
{
    if ((op->state_flags & EPIO__FLAG_CANCEL) == 0) {
        op->state_flags |= EPIO__FLAG_EXPIRED;
        epio__op_cancel(loop, op);
    }
}
