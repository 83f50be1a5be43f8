/* The fast path: for ops without link, deadline or order to keep, on a file that is not being
 * closed, submitted by the owner. Most ops are such reads. They take this path from epio_submit to
 * their `done`, without the bookkeeping that only other ops need. An op that turns out to need more
 * continues on the slow path in op.c, from any point.
 *
 * Rare cases are in op.c also to keep them, and the registers that they would need, out of these
 * few functions. */
#include "core/flush_error.h"
#include "core/loop.h"
#include "fatal.h"

/* ---- Submit ---- */

static inline void enter(epio_loop *loop, epio_op *op)
{
    epio__store_u32(&op->state, EPIO__STATE_IN_FLIGHT);
    epio__count_size(&loop->in_flight, 1);
}

static inline void end_at_once(epio_loop *loop, epio_op *op)
{
    epio__op_enter(op, EPIO__PHASE_READY);
    epio__queue_push(&loop->ready, op);
}

/* Of another VFS, or not in memory. */
static EPIO__NOINLINE void pass_to_vfs(epio_loop *loop, epio_op *op)
{
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->fast = EPIO__FAST_IN_VFS;
    op->route = EPIO__ROUTE_AT_ONCE;
    op->reason = 0; /* of an earlier use; the verb did not clear it */
    op->vfs->methods->submit(op->vfs, op);
    if (op->phase == EPIO__PHASE_READY || op->phase == EPIO__PHASE_COLLECTED) {
        return;
    }
    op->fast = EPIO__FAST_NOT;
    epio__op_note_if_kept(op);
    epio__op_keep(loop, op);
}

static inline void submit_read(epio_loop *loop, epio_op *op)
{
    epio_vfs *vfs = op->vfs;
    epio_file *file = op->file;
    enter(loop, op);
    epio__count_size(&file->in_flight, 1);
    if (vfs != loop->resident || !epio__loop_collect(loop, file, op)) {
        op->progress = 0;
        pass_to_vfs(loop, op);
    }
}

/* Carries out a write at once: what is submitted later need not wait for it, and a sync that covers
 * it is delivered later anyway. False: it must take the slow path. */
static bool write_at_once(epio_loop *loop, epio_op *op)
{
    epio_file *file = op->file;
    if (!loop->inline_writes || op->vfs != loop->resident || epio__flush_forbids(op)) {
        return false;
    }
    int64_t result = 0;
    epio__count_size(&file->in_flight, 1);
    bool tried = loop->hooks->try_now(op->vfs, op, true, &result);
    if (!tried || result < 0) {
        epio__store_size(&file->in_flight, epio__load_relaxed_size(&file->in_flight) - 1);
        if (tried) {
            epio__op_fail_at_once(op, result);
        }
        return tried;
    }
    enter(loop, op);
    op->fast = EPIO__FAST;
    end_at_once(loop, op);
    return true;
}

static EPIO__NOINLINE void submit_other(epio_op *op)
{
    if (!epio__op_is_fast(op, EPIO__STATE_FAST_WRITE) || !write_at_once(op->loop, op)) {
        epio__op_submit(op);
    }
}

void epio_submit(epio_op *op)
{
    if (epio__op_is_fast(op, EPIO__STATE_FAST_READ)) {
        submit_read(op->loop, op);
    } else {
        submit_other(op);
    }
}

/* ---- Completion ---- */

void epio_complete(epio_op *op, int64_t result)
{
    epio__require(op, "epio_complete", "the op is NULL");
    epio_loop *loop = op->loop;
    /* op->result stays EPIO_EPENDING until the delivery. */
    op->outcome = result;
    if (epio__load_relaxed_pointer(&loop->fast_owner) != epio__thread_self() ||
        op->fast != EPIO__FAST_IN_VFS || result < 0) {
        epio__op_complete(op);
        return;
    }
    op->os_error = 0;
    op->fast = op->frames != NULL ? EPIO__FAST_THROUGH_LAYERS : EPIO__FAST;
    end_at_once(loop, op);
}

static void leave_batch(epio_op *op)
{
    op->queue.next = NULL;
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->route = EPIO__ROUTE_BACKEND;
    op->fast = EPIO__FAST_NOT;
    epio__op_keep(op->loop, op);
}

bool epio__leave_batch(epio_op *op)
{
    leave_batch(op);
    if ((op->state_flags & EPIO__FLAG_CANCEL) == 0) {
        return true;
    }
    epio_complete(op, EPIO_ECANCELED);
    return false;
}

static void end_by_slow_path(epio__queue *reads, uint8_t route)
{
    while (reads->first != NULL) {
        epio_op *op = epio__queue_pop(reads);
        leave_batch(op);
        op->route = route;
        epio_complete(op, (int64_t)op->progress);
    }
}

void epio__batch_ended(epio__queue *reads, bool waited)
{
    if (reads->first == NULL) {
        return;
    }
    epio_loop *loop = epio__op_of_queue(reads->first)->loop;
    if (waited || loop->uses_slow_path) {
        end_by_slow_path(reads, waited ? EPIO__ROUTE_BACKEND : EPIO__ROUTE_AT_ONCE);
    } else {
        epio__queue_append(&loop->ready, reads);
    }
}

/* ---- Delivery ---- */

/* For ops that submit_read or write_at_once started and that stayed on the fast path. */
static inline void deliver_fast(epio_loop *loop, epio_op *op)
{
    epio_file *file = op->file;
    op->result = op->outcome;
    epio__store_size(&file->in_flight, epio__load_relaxed_size(&file->in_flight) - 1);
    epio__count_size(&loop->in_flight, SIZE_MAX);
    loop->delivered++;
    void (*done)(epio_op *) = op->done;
    uint32_t state = EPIO__STATE_IN_FLIGHT;
    if (!epio__compare_exchange_u32(&op->state, &state, EPIO__STATE_DONE)) {
        epio__op_finish_delivery(loop, op); /* another thread cancels it or waits for it */
    } else if (done != NULL) {
        done(op);
    }
}

static void deliver_by_layers(epio_loop *loop, epio_op *op)
{
    op->fast = EPIO__FAST_NOT;
    op->result = op->outcome;
    if (!epio__op_return(loop, op)) {
        return;
    }
    op->outcome = op->result;
    if (op->result < 0 || op->file->close != NULL) {
        epio__op_deliver(loop, op);
    } else {
        deliver_fast(loop, op);
    }
}

/* Until loop->delivered is `end`, or a poll's time budget is spent. Ops of the fast path need not
 * check the time, as an embedded loop has none. */
static void deliver_due(epio_loop *loop, uint64_t end)
{
    epio_node *node;
    while ((node = loop->due.first) != NULL && loop->delivered < end) {
        epio_op *op = epio__op_of_queue(node);
        loop->due.first = node->next;
        node->next = NULL;
        if (op->fast == EPIO__FAST && op->file->close == NULL) {
            deliver_fast(loop, op);
        } else if (op->fast == EPIO__FAST_THROUGH_LAYERS) {
            deliver_by_layers(loop, op);
        } else {
            epio__op_deliver(loop, op);
            if (epio__loop_is_late(loop)) {
                return;
            }
        }
    }
}

void epio__loop_deliver(epio_loop *loop, uint32_t max)
{
    uint64_t end = max != 0 ? loop->delivered + max : UINT64_MAX;
    if (loop->due.first != NULL) {
        deliver_due(loop, end); /* what an outer iteration has not delivered yet */
    }
    if (loop->due.first == NULL) {
        loop->due = loop->ready;
        epio__queue_init(&loop->ready);
        deliver_due(loop, end);
        epio__queue_prepend(&loop->ready, &loop->due);
    }
}

/* ---- Leaving the fast path ---- */

static void use_slow_path(const epio__queue *queue)
{
    for (epio_node *node = queue->first; node != NULL; node = node->next) {
        epio_op *op = epio__op_of_queue(node);
        op->route = op->fast == EPIO__FAST ? EPIO__ROUTE_AT_ONCE : op->route;
        op->fast = EPIO__FAST_NOT;
    }
}

void epio__loop_use_slow_path(epio_loop *loop)
{
    loop->uses_slow_path = true;
    epio__store_relaxed_pointer(&loop->fast_owner, 0);
    use_slow_path(&loop->ready);
    use_slow_path(&loop->due);
}
