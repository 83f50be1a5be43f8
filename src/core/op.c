/* The slow path of an op in flight: from epio_submit, through whatever holds it up, to its one
 * delivery. fast_path.c is the entry for all ops, and spares most of them this. Ending one early is
 * cancel.c's, what it waits for by the clock due.c's, waiting for one wait.c's, what other threads
 * post inbox.c's; what an iteration of the loop does, and in which order, is loop.c's.
 *
 * Exactly one completion: an op is on the ready queue once, because epio_complete checks that it is
 * not there already. After delivery the library does not touch it: epio__op_finish_delivery first
 * lets every epio_cancel of another thread finish that has found the op in flight, then gives the
 * op to the caller in one atomic step. */
#include "core/loop.h"
#include "core/mapping.h"
#include "core/semaphore.h"
#include "fatal.h"
#include "reason.h"

/* ---- Completion ---- */

void epio__op_check_in_hand(const epio_op *op, const char *function)
{
    if (op->phase == EPIO__PHASE_READY) {
        epio__fatal(function, "the op was completed already");
    }
    if (op->phase == EPIO__PHASE_PARKED) {
        epio__fatal(function, "epio_complete_at ends the op already");
    }
    if (op->worker_state != EPIO__WORKER_NONE) {
        epio__fatal(function, "the op was offloaded or deferred already");
    }
}

static void leave_worker(epio_op *op)
{
    if (op->due_for == EPIO__DUE_WRITE_OFF) {
        epio__op_stop_due(op->loop, op);
    }
    if (op->worker_state == EPIO__WORKER_TAKEN) {
        epio__workers_collect(op);
    } else if (op->worker_state != EPIO__WORKER_NONE) {
        epio__fatal("epio_complete", "the op was offloaded or deferred, and will be carried out");
    }
}

static void make_ready(epio_loop *loop, epio_op *op)
{
    if (op->phase == EPIO__PHASE_READY) {
        epio__fatal("epio_complete", "the op was completed already");
    }
    if (op->due_for != EPIO__DUE_NOTHING) {
        epio__op_stop_due(loop, op);
    }
    op->fast = EPIO__FAST_NOT;
    epio__op_enter(op, EPIO__PHASE_READY);
    epio__queue_push(&loop->ready, op);
}

void epio__op_come_back(epio_loop *loop, epio_op *op)
{
    leave_worker(op);
    make_ready(loop, op);
}

void epio__op_complete(epio_op *op)
{
    epio_loop *loop = op->loop;
    if (!epio__loop_is_owner(loop)) {
        bool expected = op->expected != 0;
        op->expected = 0;
        epio__inbox_post_completed(loop, op, expected);
        return;
    }
    op->expected = 0;
    epio__op_come_back(loop, op);
    epio__loop_notify_host(loop);
}

bool epio_op_pending(const epio_op *op)
{
    if (op == NULL) {
        epio__fatal("epio_op_pending", "the op is NULL");
    }
    return epio_op_in_flight(op);
}

/* ---- Layers ---- */

void epio_frame_push(epio_op *op, epio_frame *frame)
{
    epio__require(op, "epio_frame_push", "the op is NULL");
    epio__require(frame, "epio_frame_push", "the frame is NULL");
    epio__frame_push(op, frame);
}

void epio_forward(epio_op *op, epio_vfs *vfs, epio_file *file)
{
    epio__require(op, "epio_forward", "the op is NULL");
    epio__require(vfs, "epio_forward", "the VFS is NULL");
    if ((op->state_flags & EPIO__FLAG_CANCEL) != 0) {
        epio__op_enter(op, EPIO__PHASE_HELD);
        op->progress = 0;
        epio_complete(op, EPIO_ECANCELED);
        return;
    }
    if (op->due_for == EPIO__DUE_ALARM) { /* of the VFS that forwards the op */
        epio__op_stop_due(op->loop, op);
        epio__op_start_deadline(op->loop, op);
    }
    epio__op_waits_no_more(op);
    epio__forward(op, vfs, file);
}

/* ---- Starting ---- */

void epio__op_hold(epio_op *op)
{
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->route = EPIO__ROUTE_AT_ONCE;
    op->vfs->methods->submit(op->vfs, op);
    epio__op_note_if_kept(op);
}

/* A file that is being closed waits for no lock or event, but may still get what is there. */
static void hold_waiting(epio_loop *loop, epio_op *op)
{
    const epio_file *file = op->file;
    epio__op_hold(op);
    if (file->close != NULL && op->phase == EPIO__PHASE_HELD) {
        epio__op_cancel(loop, op);
    }
}

/* It has not started, or waits for a flush. */
void epio__op_end_early(epio_op *op, int64_t result)
{
    if (op->kind == EPIO_KIND_SYNC && op->file != NULL) {
        epio__barrier_withdraw_sync(op);
    }
    epio_complete(op, result);
}

void epio__op_start(epio_loop *loop, epio_op *op)
{
    if ((op->state_flags & EPIO__FLAG_INVALID) != 0) {
        epio__op_end_early(op, op->outcome);
        return;
    }
    bool cancelled = loop->closing || (op->state_flags & EPIO__FLAG_CANCEL) != 0;
    if (cancelled && !epio__op_is(op, EPIO__KIND_MUST_RUN)) {
        epio__op_end_early(op, EPIO_ECANCELED);
        return;
    }
    if (op->kind == EPIO_KIND_SYNC) {
        epio__barrier_start_sync(op);
    } else if (op->kind == EPIO_KIND_CLOSE) {
        epio__barrier_start_close(loop, op);
    } else if (epio__op_is(op, EPIO__KIND_WAITS)) {
        hold_waiting(loop, op);
    } else if (epio__op_maps(op)) {
        epio__mapping_start(op);
    } else if (epio__op_is(op, EPIO__KIND_CHANGES) && epio__flush_forbids(op)) {
        epio_complete(op, EPIO_EIO);
    } else {
        epio__op_hold(op);
    }
}

void epio__op_resume(epio_loop *loop, epio_op *op)
{
    op->vfs->methods->resumed(op->vfs, op);
    epio__op_note_if_kept(op);
    epio__loop_notify_host(loop);
}

void epio_resume(epio_op *op)
{
    epio__require(op, "epio_resume", "the op is NULL");
    if (op->vfs->methods->resumed == NULL) {
        epio__fatal("epio_resume", "the op's VFS has no `resumed` in its methods");
    }
    epio_loop *loop = op->loop;
    if (epio__loop_is_owner(loop)) {
        epio__op_resume(loop, op);
    } else {
        epio__loop_mark_shared(loop);
        epio__inbox_post(loop, op, EPIO__MESSAGE_RESUMED);
    }
}

/* Lists an op that did not end at once in loop->held, for a close of the loop, and starts its
 * deadline. */
void epio__op_keep(epio_loop *loop, epio_op *op)
{
    if (op->held.next == NULL && op->phase != EPIO__PHASE_BARRIER) {
        epio_list_append(&loop->held, &op->held);
    }
    epio__op_start_deadline(loop, op);
}

/* Submitted by another thread, and not yet seen by the owner: 1 more, or
 * SIZE_MAX: 1 less. */
static void count_inbound(epio_loop *loop, epio_op *op, size_t amount)
{
    epio__add_size(&loop->inbound, amount);
    epio_file *file = epio__op_keeps(op);
    epio_file *second = epio__op_keeps_second(op);
    if (file != NULL) {
        epio__add_size(&file->inbound, amount);
    }
    if (second != NULL) {
        epio__add_size(&second->inbound, amount);
    }
}

/* `inbound`: another thread submitted it, and counted it as such. The new count is added before the
 * old one is subtracted, so that no thread sees the op in neither. */
static void count_chain(epio_loop *loop, epio_op *first, bool inbound)
{
    for (epio_op *op = first; op != NULL; op = op->link) {
        epio__count_size(&loop->in_flight, 1);
        loop->unreferenced += (op->state_flags & EPIO__FLAG_UNREFERENCED) != 0 ? 1 : 0;
        if (epio__op_keeps(op) != NULL) {
            epio__barrier_enter(loop, op);
        }
        if (inbound) {
            count_inbound(loop, op, SIZE_MAX);
        }
        if (op->link != NULL) {
            op->link->queue.previous = &op->queue;
        }
        if (op != first) {
            epio__op_enter(op, EPIO__PHASE_LINKED);
            epio__op_keep(loop, op);
            if ((op->state_flags & EPIO__FLAG_CANCEL) != 0) {
                epio__op_cancel_in_phase(loop, op); /* it was cancelled before it arrived */
            }
        }
    }
}

static void arrive(epio_loop *loop, epio_op *op, bool inbound)
{
    count_chain(loop, op, inbound);
    epio__op_start(loop, op);
    if (op->phase != EPIO__PHASE_READY) {
        epio__op_keep(loop, op);
    }
}

void epio__op_arrive(epio_loop *loop, epio_op *op)
{
    arrive(loop, op, true);
}

/* ---- Submitting ---- */

static bool chain_closes(const epio_file *file)
{
    return file != NULL && epio__load_relaxed_u32(&file->chain_closes) != 0;
}

/* A close with ops of its file linked behind it would wait for itself. The mark is in the file;
 * another thread that sees it is closing the same file, which is a programming error anyway. */
static void check_nothing_follows_closes(epio_op *first)
{
    for (epio_op *op = first; op != NULL; op = op->link) {
        epio_file *file = epio__op_keeps(op);
        if (file == NULL) {
            continue;
        }
        if (chain_closes(file) || chain_closes(epio__op_keeps_second(op))) {
            epio__fatal("epio_submit", "an op is linked behind the close of its file");
        }
        if (op->kind == EPIO_KIND_CLOSE) {
            epio__store_relaxed_u32(&file->chain_closes, 1);
        }
    }
    for (epio_op *op = first; op != NULL; op = op->link) {
        if (op->kind == EPIO_KIND_CLOSE && op->file != NULL) {
            epio__store_relaxed_u32(&op->file->chain_closes, 0);
        }
    }
}

/* Its file or VFS is NULL, which is EPIO_EINVAL wherever that can be delivered. */
static bool has_nothing(const epio_op *op)
{
    return op->vfs == NULL;
}

/* The loop of the first op in the chain that has a file or VFS. */
static epio_loop *loop_of_chain(const epio_op *first, const char *function)
{
    const epio_op *op = first;
    while (has_nothing(op) && op->link != NULL) {
        op = op->link;
    }
    if (op->loop == NULL) {
        epio__fatal(function, has_nothing(op) ? "the op has no file or VFS, and so no loop on "
                                                "which it could complete"
                                              : "the op's VFS has no loop; use epio_perform");
    }
    return op->loop;
}

epio_loop *epio__op_begin(epio_op *first, const char *function)
{
    epio__op_check_prepared(first, function);
    epio_loop *loop = loop_of_chain(first, function);
    bool closes = false;
    bool unmaps = false;
    for (epio_op *op = first; op != NULL; op = op->link) {
        op->loop = has_nothing(op) ? loop : op->loop;
        if (op->loop != loop) {
            epio__fatal(function, "linked ops belong to different loops");
        }
        closes |= op->kind == EPIO_KIND_CLOSE && op->link != NULL;
        unmaps |= op->kind == EPIO_KIND_UNMAP && op->link != NULL;
        if (epio__op_is(op, EPIO__KIND_MUST_RUN)) {
            op->timeout_ns = 0; /* it has no deadline, in any phase */
        } else if (op->timeout_ns != 0) {
            op->timeout_ns = epio__deadline_after(op->timeout_ns);
        }
        epio__op_enter(op, EPIO__PHASE_ARRIVING);
        op->fast = EPIO__FAST_NOT;
        op->route = EPIO__ROUTE_NONE;
        op->chain = 0;
        op->outcome = op->result;
        if ((op->state_flags & EPIO__FLAG_INVALID) == 0) {
            op->progress = 0;
            op->reason = EPIO__REASON_NONE;
        }
        op->result = EPIO_EPENDING;
        epio__semaphore_count_op(op, 1);
        if (epio__op_maps(op)) {
            epio__mapping_submitted(op, function);
        }
    }
    if (closes) {
        check_nothing_follows_closes(first);
    }
    if (unmaps) {
        epio__mapping_check_chain(first);
    }
    return loop;
}

static void set_in_flight(epio_op *first, uint32_t extras)
{
    for (epio_op *op = first->link; op != NULL; op = op->link) {
        epio__store_u32(&op->state, EPIO__STATE_IN_FLIGHT);
    }
    epio__store_u32(&first->state, EPIO__STATE_IN_FLIGHT | extras);
}

static void submit_elsewhere(epio_loop *loop, epio_op *first, const char *function)
{
    epio__loop_check_lives(loop, function);
    for (epio_op *op = first; op != NULL; op = op->link) {
        count_inbound(loop, op, 1);
    }
    epio__loop_mark_shared(loop);
    epio__inbox_post(loop, first, EPIO__MESSAGE_SUBMITTED);
}

static void submit_here(epio_loop *loop, epio_op *op)
{
    /* Ops that other threads submitted before must come first. */
    if (op->kind == EPIO_KIND_SYNC || epio__op_is(op, EPIO__KIND_MUST_RUN) || op->link != NULL) {
        epio__loop_drain(loop);
    }
    arrive(loop, op, false);
    epio__loop_notify_host(loop);
}

/* A write that failed within its submit takes the slow path, as the next sync must report it. */
void epio__op_fail_at_once(epio_op *op, int64_t result)
{
    epio_loop *loop = epio__op_begin(op, "epio_submit");
    set_in_flight(op, 0);
    count_chain(loop, op, false);
    epio_complete(op, result);
}

void epio__op_launch(epio_loop *loop, epio_op *first, uint32_t extras, const char *function)
{
    set_in_flight(first, extras);
    if (epio__loop_is_owner(loop)) {
        submit_here(loop, first);
    } else {
        submit_elsewhere(loop, first, function);
    }
}

void epio__op_submit(epio_op *op)
{
    epio__op_launch(epio__op_begin(op, "epio_submit"), op, 0, "epio_submit");
}

/* ---- Delivery ---- */

/* False: a layer sent it again. */
static bool pop_frames(epio_op *op)
{
    while (op->frames != NULL) {
        epio_frame *frame = op->frames;
        op->frames = frame->below;
        op->vfs = frame->vfs;
        if (!epio__op_is(op, EPIO__KIND_OPENS)) {
            op->file = frame->file;
        }
        if (!frame->returned(frame, op)) {
            return false;
        }
    }
    return true;
}

static void settle_result(epio_op *op)
{
    if (op->result == EPIO_ECANCELED && (op->state_flags & EPIO__FLAG_EXPIRED) != 0) {
        op->result = EPIO_ETIMEDOUT;
    }
    if (op->result >= 0) {
        op->os_error = 0;
    } else if (epio__op_is(op, EPIO__KIND_OPENS)) {
        op->file = NULL;
    }
}

/* A failure stays with the chain: each op that starts passes it on to the next. */
static void follow_link(epio_loop *loop, epio_op *op)
{
    epio_op *second = op->link;
    if (second == NULL) {
        return;
    }
    op->link = NULL;
    second->queue.previous = NULL;
    if (op->result < 0) {
        op->chain |= EPIO__CHAIN_BROKEN;
    }
    second->chain = op->chain;
    if (second->chain == 0 || (op->state_flags & EPIO__FLAG_LINK_ALWAYS) != 0) {
        epio__op_enter(second, EPIO__PHASE_ARRIVING);
        epio__op_start(loop, second);
    } else {
        epio__op_end_early(second, EPIO_ECANCELED);
    }
}

static void call_done(epio_loop *loop, epio_op *op, void (*done)(epio_op *op))
{
    if (!loop->embedded) {
        done(op);
        return;
    }
    epio__loop_arm_host(loop); /* it may run the host's loop */
    done(op);
    epio__store_relaxed_u32(&loop->sleeping, 0);
}

void epio__op_finish_delivery(epio_loop *loop, epio_op *op)
{
    void (*done)(epio_op *) = op->done;
    int64_t result = op->result;
    op->timeout_ns = 0;
    uint32_t state = epio__load_u32(&op->state);
    for (;;) {
        if ((state & EPIO__STATE_CANCELLING) != 0) {
            /* An epio_cancel of another thread is about to put it on the list. */
            epio__inbox_drain_cancels(loop);
            state = epio__load_u32(&op->state);
            if ((state & EPIO__STATE_CANCELLING) != 0) {
                epio__thread_yield();
            }
            continue;
        }
        void *waiter = (state & EPIO__STATE_WAITED_FOR) != 0 ? op->waiter : NULL;
        if (epio__compare_exchange_u32(&op->state, &state, EPIO__STATE_DONE)) {
            if (waiter != NULL) {
                epio__waiter_notify(waiter, result);
            } else if (done != NULL) {
                call_done(loop, op, done);
            }
            return;
        }
    }
}

bool epio__op_return(epio_loop *loop, epio_op *op)
{
    epio__op_enter(op, EPIO__PHASE_RETURNING);
    if (pop_frames(op)) {
        epio__op_enter(op, EPIO__PHASE_READY);
        return true;
    }
    op->result = EPIO_EPENDING;
    if (op->phase == EPIO__PHASE_RETURNING) {
        epio__op_enter(op, EPIO__PHASE_HELD);
    }
    epio__op_note_if_kept(op);
    if (op->phase != EPIO__PHASE_READY && (op->state_flags & EPIO__FLAG_INTERNAL) == 0) {
        epio__op_keep(loop, op);
    }
    return false;
}

static void count_route(epio_loop *loop, const epio_op *op)
{
    uint8_t route = op->fast == EPIO__FAST ? EPIO__ROUTE_AT_ONCE : op->route;
    bool given_up = op->result == EPIO_ECANCELED || op->result == EPIO_ETIMEDOUT;
    if (route == EPIO__ROUTE_AT_ONCE && given_up) {
        route = EPIO__ROUTE_NONE; /* it waited in its VFS */
    }
    loop->counters.routes[route]++;
}

void epio__op_deliver(epio_loop *loop, epio_op *op)
{
    op->result = op->outcome;
    if (op->frames != NULL && !epio__op_return(loop, op)) {
        return;
    }
    if (op->result == EPIO_RETRY) {
        bool unwanted = loop->closing || (op->state_flags & EPIO__FLAG_CANCEL) != 0;
        op->result = EPIO_ECANCELED;
        op->os_error = 0;
        if (!unwanted || epio__op_is(op, EPIO__KIND_MUST_RUN)) {
            op->result = EPIO_EPENDING;
            op->progress = 0;
            epio__op_enter(op, EPIO__PHASE_RETURNING);
            epio__op_park(loop, op, EPIO__DUE_RETRY, op->due);
            return;
        }
    }
    EPIO__ASSERT(op->due_for == EPIO__DUE_NOTHING);
    settle_result(op);
    epio__timer_stop(loop, op);
    if ((op->state_flags & EPIO__FLAG_INTERNAL) != 0) {
        epio__barrier_flushed(loop, op);
        return;
    }
    if (epio__op_maps(op)) {
        epio__mapping_leave(op);
    }
    if (epio__op_keeps(op) != NULL) {
        epio__barrier_leave(op);
    }
    epio__semaphore_count_op(op, SIZE_MAX);
    EPIO__ASSERT(op->in_heap == 0 && op->worker_state == EPIO__WORKER_NONE);
    EPIO__ASSERT(op->frames == NULL && epio__load_relaxed_size(&loop->in_flight) != 0);
    epio_list_remove(&op->held);
    follow_link(loop, op);
    loop->unreferenced -= (op->state_flags & EPIO__FLAG_UNREFERENCED) != 0 ? 1 : 0;
    epio__count_size(&loop->in_flight, SIZE_MAX);
    count_route(loop, op);
    loop->delivered++;
    epio__op_finish_delivery(loop, op);
}
