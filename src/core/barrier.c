/* Keeps the order of an open file: a sync waits for the writes before it, syncs share flushes, and
 * a close comes last. It is above all VFSes, so that no layer can let a sync overtake a write.
 *
 * A file has two orders. file->ordered lists its writes, truncates and syncs in flight as they were
 * submitted, and tells which syncs no op precedes any more. These move to file->ready, and from
 * there, all at once, to file->flushing when a flush starts. The flush is an op of the file's own,
 * so that cancelling a sync cancels nothing for the others. A flush may start before the writes are
 * done that it is for, if workers, who keep a file's order, carry out these and it. file->syncs
 * lists every sync that has not ended in the order of submission, and tells which one reports an
 * error: the error of a write is carried by the first sync that covers it. The first sync whose
 * flush succeeds reports it, and what the syncs before it carry; one that ends in any other way
 * leaves it to the next. */
#include "core/flush_error.h"
#include "core/loop.h"
#include "fatal.h"

/* Where a sync is. In the first two it may still wait for its link. */
enum {
    EPIO__SYNC_BEHIND,  /* in file->ordered, behind writes or not yet checked */
    EPIO__SYNC_AHEAD,   /* the same, and the flush in flight is behind these writes, too */
    EPIO__SYNC_CLEAR,   /* linked, and only waits for its link */
    EPIO__SYNC_READY,   /* in file->ready */
    EPIO__SYNC_FLUSHING /* in file->flushing */
};

/* How many of the last ops hold_back checks. */
#define LOOK_BACK 16

static epio_op *op_of_sync(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, arguments.sync.node);
}

/* ---- Errors that no sync has reported yet ---- */

/* Gives an error to a sync, or to a write, which passes it on when it is delivered. */
static void give_error(epio_file *file, epio_op *op, int32_t error, int32_t os_error)
{
    if (op->kind == EPIO_KIND_SYNC && op->carried_error == 0) {
        file->unreported++;
    }
    op->carried_error = error;
    op->carried_os_error = os_error;
}

static void take_error(epio_file *file, epio_op *sync)
{
    if (sync->carried_error != 0) {
        sync->carried_error = 0;
        file->unreported--;
    }
}

static void leave_error(epio_file *file, int32_t error, int32_t os_error)
{
    file->carried_error = error;
    file->carried_os_error = os_error;
}

/* A write is delivered: the error that it carries goes to the next op in file->ordered, or to the
 * sync that is submitted next. The first error counts. */
static void pass_on_error(epio_file *file, const epio_op *write)
{
    if (write->held.next == &file->ordered) {
        if (file->carried_error == 0) {
            leave_error(file, write->carried_error, write->carried_os_error);
        }
        return;
    }
    epio_op *next = epio__op_of_held(write->held.next);
    if (next->carried_error == 0) {
        give_error(file, next, write->carried_error, write->carried_os_error);
    }
}

/* A sync ends without reporting: its error goes to the next sync, replacing that one's, which is of
 * a later write. */
static void pass_on_sync_error(epio_file *file, epio_op *sync)
{
    if (sync->carried_error == 0) {
        return;
    }
    epio_node *next = sync->arguments.sync.node.next;
    if (next == &file->syncs) {
        leave_error(file, sync->carried_error, sync->carried_os_error);
    } else {
        give_error(file, op_of_sync(next), sync->carried_error, sync->carried_os_error);
    }
    take_error(file, sync);
}

/* ---- Order ---- */

/* It may outlive the syncs that requested it. */
static bool flush_is_running(const epio_file *file)
{
    return epio__load_relaxed_u32(&file->flush.state) == EPIO__STATE_IN_FLIGHT;
}

static bool file_is_idle(const epio_file *file)
{
    return epio_list_empty(&file->ordered) && epio_list_empty(&file->syncs) &&
           !flush_is_running(file);
}

static void enter_sync(epio_file *file, epio_op *op)
{
    op->arguments.sync.stage = EPIO__SYNC_BEHIND;
    epio_list_append(&file->syncs, &op->arguments.sync.node);
    if (file->carried_error != 0) {
        give_error(file, op, file->carried_error, file->carried_os_error);
        file->carried_error = 0;
    }
}

static void check_not_closing(const epio_file *file)
{
    if (file->close != NULL) {
        epio__fatal("epio_submit", epio__file_is_released(file)
                                       ? "the op's file is closed already"
                                       : "the op's file is being closed; submit it before the "
                                         "close");
    }
}

/* Its close waits for the op, too. */
static void keep_second(const epio_op *op)
{
    epio_file *file = epio__op_keeps_second(op);
    if (file != NULL) {
        check_not_closing(file);
        epio__count_size(&file->in_flight, 1);
    }
}

void epio__barrier_enter(epio_loop *loop, epio_op *op)
{
    epio_file *file = epio__op_keeps(op);
    check_not_closing(file);
    epio__count_size(&file->in_flight, 1);
    file->waits += epio__op_is(op, EPIO__KIND_WAITS) ? 1 : 0;
    keep_second(op);
    if (!epio__op_is(op, EPIO__KIND_ORDERED)) {
        return;
    }
    op->carried_error = 0;
    if (op->kind == EPIO_KIND_SYNC) {
        enter_sync(file, op);
    }
    if (file->active.next == NULL) {
        epio_list_append(&loop->active_files, &file->active);
    }
    epio_list_append(&file->ordered, &op->held);
}

/* Requests a flush, which starts at the end of the loop iteration, or after the one in flight. */
static void ask_for_flush(epio_file *file)
{
    if (file->waiting.next == NULL && !flush_is_running(file)) {
        epio_list_append(&file->vfs->loop->flush_files, &file->waiting);
    }
}

static void make_ready(epio_file *file, epio_op *op)
{
    if (epio_list_empty(&file->ready)) {
        file->hold_until = 0;
    }
    op->arguments.sync.stage = EPIO__SYNC_READY;
    epio_list_append(&file->ready, &op->held);
    ask_for_flush(file);
}

/* Moves the syncs that no op precedes; one that still waits for its link holds up no others. */
static void release_syncs(epio_file *file)
{
    while (!epio_list_empty(&file->ordered)) {
        epio_op *op = epio__op_of_held(file->ordered.next);
        if (op->kind != EPIO_KIND_SYNC) {
            return;
        }
        epio_list_remove(&op->held);
        if (op->arguments.sync.stage == EPIO__SYNC_AHEAD) {
            op->arguments.sync.stage = EPIO__SYNC_FLUSHING;
            epio_list_append(&file->flushing, &op->held);
        } else if (op->phase == EPIO__PHASE_BARRIER) {
            make_ready(file, op);
        } else {
            op->arguments.sync.stage = EPIO__SYNC_CLEAR;
        }
    }
}

void epio__barrier_start_sync(epio_op *op)
{
    epio__op_enter(op, EPIO__PHASE_BARRIER);
    if (op->arguments.sync.stage == EPIO__SYNC_CLEAR) {
        make_ready(op->file, op);
    } else {
        release_syncs(op->file);
    }
}

void epio__barrier_withdraw_sync(epio_op *op)
{
    epio_file *file = op->file;
    pass_on_sync_error(file, op);
    epio_list_remove(&op->arguments.sync.node);
    epio_list_remove(&op->held);
    if (epio_list_empty(&file->ready)) {
        epio_list_remove(&file->waiting);
        if (!flush_is_running(file)) {
            epio__timer_stop(op->loop, &file->flush); /* no sync is left to be held back */
        }
    }
}

void epio__barrier_cancel_syncs(epio_loop *loop, epio_file *file)
{
    epio_node *node = file->syncs.next;
    while (node != &file->syncs) {
        epio_op *op = op_of_sync(node);
        node = node->next;
        epio__op_cancel(loop, op);
    }
}

static void try_close(epio_file *file)
{
    epio_op *op = file->close;
    /* The close counts itself. */
    if (op == NULL || epio__load_relaxed_size(&file->in_flight) != 1 || flush_is_running(file)) {
        return;
    }
    epio__timer_stop(op->loop, &file->flush);
    epio_list_remove(&file->active);
    op->state_flags |= EPIO__FLAG_CLOSED;
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->route = EPIO__ROUTE_AT_ONCE;
    op->vfs->methods->submit(op->vfs, op);
    epio__op_note_if_kept(op);
}

void epio__barrier_cancel_all(epio_loop *loop, epio_file *file)
{
    epio__op_cancel_listed(loop, file);
    epio__op_cancel_list(loop, &file->ordered, file);
    epio__barrier_cancel_syncs(loop, file);
}

/* Ops that might never end: reads and writes of a stream, waits for a lock or an event. One that
 * still waits for its link is cancelled when it starts. */
static bool may_never_end(const epio_op *op, const epio_file *file)
{
    return (epio__op_transfers(op) && (file->attributes & EPIO_FILE_STREAM) != 0) ||
           (epio__op_is(op, EPIO__KIND_WAITS) && op->phase != EPIO__PHASE_LINKED);
}

static void cancel_endless(epio_loop *loop, epio_file *file, epio_node *list)
{
    epio_node *node = list->next;
    while (node != list) {
        epio_op *op = epio__op_of_held(node);
        node = node->next;
        if (may_never_end(op, file) && epio__op_file_as_submitted(op) == file) {
            epio__op_cancel(loop, op);
        }
    }
}

void epio__barrier_start_close(epio_loop *loop, epio_op *op)
{
    epio_file *file = op->file;
    if (file->close != NULL) {
        epio__fatal("epio_submit", "the file is being closed already");
    }
    file->close = op;
    epio__op_enter(op, EPIO__PHASE_CLOSING);
    bool alone = epio__load_relaxed_size(&file->in_flight) == 1; /* the close counts itself */
    if (!alone && ((file->attributes & EPIO_FILE_STREAM) != 0 || file->waits != 0)) {
        cancel_endless(loop, file, &loop->held);
        cancel_endless(loop, file, &file->ordered);
    }
    try_close(file);
}

static void leave_ordered(epio_file *file, epio_op *op)
{
    bool failed = op->result < 0 && op->result != EPIO_ECANCELED && op->result != EPIO_ETIMEDOUT;
    /* A sync left the list when it ended, and an op that ended at once never was in it. */
    if (op->held.next != NULL) {
        if (failed && op->carried_error == 0) {
            give_error(file, op, (int32_t)op->result, op->os_error);
        }
        if (op->carried_error != 0) {
            pass_on_error(file, op);
        }
        epio_list_remove(&op->held);
        release_syncs(file);
    }
    if (file_is_idle(file)) {
        epio_list_remove(&file->active);
    }
}

/* Once the count is 0 an epio_perform of another thread may close the file; not while a close is in
 * flight, which counts itself. */
static void let_go(epio_file *file)
{
    bool closing = file->close != NULL;
    EPIO__ASSERT(epio__load_relaxed_size(&file->in_flight) != 0);
    epio__store_size(&file->in_flight, epio__load_relaxed_size(&file->in_flight) - 1);
    if (closing) {
        try_close(file);
    }
}

void epio__barrier_leave(epio_op *op)
{
    if ((op->state_flags & EPIO__FLAG_CLOSED) != 0) {
        return; /* the file is gone */
    }
    epio_file *file = epio__op_keeps(op);
    file->waits -= epio__op_is(op, EPIO__KIND_WAITS) ? 1 : 0;
    if (epio__op_is(op, EPIO__KIND_ORDERED)) {
        leave_ordered(file, op);
    }
    epio_file *second = epio__op_keeps_second(op);
    let_go(file);
    if (second != NULL) {
        let_go(second);
    }
}

/* ---- Flushes ---- */

static void answer(epio_loop *loop, epio_op *op, int64_t result, int32_t os_error)
{
    loop->counters.syncs += op->arguments.sync.stage == EPIO__SYNC_FLUSHING ? 1 : 0;
    epio_list_remove(&op->held);
    epio_list_remove(&op->arguments.sync.node);
    op->os_error = os_error;
    epio_complete(op, result);
}

/* A flush succeeded. In the order of submission, each sync reports the first error carried by those
 * up to it. */
static void answer_flushed(epio_loop *loop, epio_file *file)
{
    while (file->unreported == 0 && !epio_list_empty(&file->flushing)) {
        answer(loop, epio__op_of_held(file->flushing.next), 0, 0);
    }
    int32_t error = 0;
    int32_t os_error = 0;
    epio_node *node = file->syncs.next;
    while (!epio_list_empty(&file->flushing)) {
        epio_op *op = op_of_sync(node);
        node = node->next;
        if (error == 0 && op->carried_error != 0) {
            error = op->carried_error;
            os_error = op->carried_os_error;
        }
        take_error(file, op);
        if (op->arguments.sync.stage == EPIO__SYNC_FLUSHING) {
            answer(loop, op, error, os_error);
            error = 0;
            os_error = 0;
        }
    }
}

static void fail_syncs(epio_loop *loop, epio_file *file, epio_node *list, int64_t result,
                       int32_t os_error)
{
    while (!epio_list_empty(list)) {
        epio_op *op = epio__op_of_held(list->next);
        pass_on_sync_error(file, op);
        answer(loop, op, result, os_error);
    }
}

/* NORMAL does nothing for a file that is open only for reading. */
static uint32_t strength_of(const epio_file *file, uint32_t flags)
{
    switch (flags) {
    case EPIO_SYNC_FULL:
        return 3;
    case EPIO_SYNC_NORMAL:
        return (file->flags & EPIO_OPEN_WRITE) != 0 ? 2 : 0;
    default:
        return 1;
    }
}

static uint32_t stronger_of(const epio_file *file, uint32_t flags, uint32_t others)
{
    return strength_of(file, others) > strength_of(file, flags) ? others : flags;
}

/* Moves all ready syncs to the flush. Returns the strongest mode among them. */
static uint32_t take_ready(epio_file *file)
{
    uint32_t flags = epio__op_of_held(file->ready.next)->flags;
    while (!epio_list_empty(&file->ready)) {
        epio_op *op = epio__op_of_held(file->ready.next);
        flags = stronger_of(file, flags, op->flags);
        op->arguments.sync.stage = EPIO__SYNC_FLUSHING;
        epio_list_remove(&op->held);
        epio_list_append(&file->flushing, &op->held);
    }
    return flags;
}

/* Is there one behind the latest writes? Those that wait for their link will take longer. */
static bool another_sync_will_be_ready(const epio_file *file)
{
    const epio_node *node = file->ordered.previous;
    for (int i = 0; i < LOOK_BACK && node != &file->ordered; i++) {
        const epio_op *op = EPIO_CONTAINER(node, const epio_op, held);
        if (op->kind != EPIO_KIND_SYNC) {
            return false; /* the latest writes have no sync behind them yet */
        }
        if (op->phase == EPIO__PHASE_BARRIER) {
            return true;
        }
        node = node->previous;
    }
    return false;
}

/* Tasks that submit write and sync together become ready one after the other; a short wait lets
 * them share a flush. The wait is no longer than the last flush took, so it costs a sync no more
 * than just missing a flush. */
static bool hold_back(epio_loop *loop, epio_file *file)
{
    if (file->flush_took == 0 || !another_sync_will_be_ready(file)) {
        epio__timer_stop(loop, &file->flush);
        return false;
    }
    uint64_t now = epio__monotonic_time();
    if (file->hold_until == 0) {
        file->hold_until = now + file->flush_took;
    }
    if (now >= file->hold_until) {
        epio__timer_stop(loop, &file->flush);
        return false;
    }
    if (file->flush.in_heap == 0) {
        file->flush.state_flags = EPIO__FLAG_INTERNAL;
        file->flush.due_for = EPIO__DUE_FLUSH;
        file->flush.due = file->hold_until;
        epio__timer_start(loop, &file->flush);
    }
    return true;
}

static void begin_flush(epio_loop *loop, epio_file *file, uint32_t flags, uint8_t stage)
{
    epio_op *flush = epio_sync(&file->flush, file, flags);
    flush->arguments.sync.stage = stage;
    flush->state_flags = EPIO__FLAG_INTERNAL;
    flush->due_for = EPIO__DUE_NOTHING;
    epio__op_enter(flush, EPIO__PHASE_HELD);
    flush->progress = 0;
    flush->result = EPIO_EPENDING;
    epio__store_u32(&flush->state, EPIO__STATE_IN_FLIGHT);
    loop->internal++;
    file->flush_begun = epio__monotonic_time();
    flush->vfs->methods->submit(flush->vfs, flush);
}

void epio__barrier_flush(epio_loop *loop)
{
    epio_node asking; /* taken one by one: a VFS may cancel any op meanwhile */
    epio_list_init(&asking);
    epio_list_move_all(&asking, &loop->flush_files);
    while (!epio_list_empty(&asking)) {
        epio_file *file = EPIO_CONTAINER(asking.next, epio_file, waiting);
        epio_list_remove(&file->waiting);
        int32_t os_error = 0;
        if (epio__flush_has_failed(file, &os_error)) {
            epio__timer_stop(loop, &file->flush);
            fail_syncs(loop, file, &file->ready, EPIO_EIO, os_error);
        } else if (hold_back(loop, file)) {
            epio_list_append(&loop->flush_files, &file->waiting);
        } else {
            begin_flush(loop, file, take_ready(file), EPIO__SYNC_FLUSHING);
        }
    }
}

/* ---- Flushes behind writes that are not done yet ---- */

bool epio__barrier_flush_is_behind(const epio_op *op)
{
    return (op->state_flags & EPIO__FLAG_INTERNAL) != 0 &&
           op->arguments.sync.stage == EPIO__SYNC_AHEAD;
}

/* A piece of a copy is to be offloaded, too, but others follow it: it has a frame. */
static bool is_to_be_offloaded(const epio_op *op)
{
    return epio__load_relaxed_u32(&op->worker_state) == EPIO__WORKER_TO_OFFLOAD &&
           op->frames == NULL && epio__lane_of(op) == EPIO__LANE_WRITE;
}

/* May a flush follow all writes in flight, which are the lane's from now on? It is no use if the
 * latest have no sync yet. */
static bool flush_may_follow(epio_file *file)
{
    int32_t os_error = 0;
    if (file->vfs != file->vfs->loop->resident || flush_is_running(file) ||
        !epio_list_empty(&file->ready) || epio_list_empty(&file->syncs) ||
        epio__flush_has_failed(file, &os_error)) {
        return false;
    }
    const epio_op *last = EPIO_CONTAINER(file->ordered.previous, epio_op, held);
    if (epio_list_empty(&file->ordered) || last->kind != EPIO_KIND_SYNC ||
        last->phase != EPIO__PHASE_BARRIER) {
        return false;
    }
    for (const epio_node *node = file->ordered.next; node != &file->ordered; node = node->next) {
        const epio_op *op = EPIO_CONTAINER(node, epio_op, held);
        if (op->kind != EPIO_KIND_SYNC && !is_to_be_offloaded(op)) {
            return false;
        }
    }
    return true;
}

static void begin_flush_behind(epio_loop *loop, epio_file *file)
{
    uint32_t flags = epio__op_of_held(file->ordered.previous)->flags;
    for (epio_node *node = file->ordered.next; node != &file->ordered; node = node->next) {
        epio_op *op = epio__op_of_held(node);
        if (op->kind == EPIO_KIND_SYNC && op->phase == EPIO__PHASE_BARRIER) {
            op->arguments.sync.stage = EPIO__SYNC_AHEAD;
            flags = stronger_of(file, flags, op->flags);
        }
    }
    loop->flushes_behind++;
    begin_flush(loop, file, flags, EPIO__SYNC_AHEAD);
}

/* Each file once in an iteration: to check one takes as long as its list. */
void epio__barrier_flush_behind(epio_loop *loop)
{
    epio_node *node = loop->to_offload.next;
    while (node != &loop->to_offload && loop->flushes_behind < EPIO__FLUSHES_BEHIND) {
        epio_op *op = epio__op_of_queue(node);
        node = node->next; /* what is added below comes at the end */
        if (!is_to_be_offloaded(op) || op->file->checked_in == loop->counters.batches) {
            continue;
        }
        op->file->checked_in = loop->counters.batches;
        if (flush_may_follow(op->file)) {
            begin_flush_behind(loop, op->file);
        }
    }
}

/* A sync stays behind a write that was not done after all. */
static void flushed_behind(epio_loop *loop, epio_file *file)
{
    loop->flushes_behind--;
    for (epio_node *node = file->syncs.next; node != &file->syncs; node = node->next) {
        epio_op *op = op_of_sync(node);
        if (op->arguments.sync.stage == EPIO__SYNC_AHEAD) {
            op->arguments.sync.stage = EPIO__SYNC_BEHIND;
        }
    }
}

void epio__barrier_flushed(epio_loop *loop, epio_op *op)
{
    epio_file *file = op->file;
    loop->internal--;
    loop->counters.flushes++;
    file->flush_took = epio__monotonic_time() - file->flush_begun;
    if (epio__barrier_flush_is_behind(op)) {
        flushed_behind(loop, file);
    }
    int64_t result = epio__flush_outcome(file, op->result, &op->os_error);
    if (result < 0) {
        fail_syncs(loop, file, &file->flushing, result, op->os_error);
    } else {
        answer_flushed(loop, file);
    }
    if (!epio_list_empty(&file->ready)) {
        epio_list_append(&loop->flush_files, &file->waiting);
    }
    if (epio_list_empty(&file->ordered) && epio_list_empty(&file->syncs)) {
        epio_list_remove(&file->active);
    }
    /* As in epio__barrier_leave: the flush may have been all that kept the file open. */
    bool closing = file->close != NULL;
    epio__store_u32(&op->state, EPIO__STATE_DONE);
    if (closing) {
        try_close(file);
    }
}
