/* What keeps the order of an open file: a sync waits for the writes before it,
 * syncs share flushes, and a close comes last. It lives above all VFSes, so
 * that no layer can let a sync overtake.
 *
 * Writes, truncates and syncs in flight are in file->ordered, in the order of
 * their submission. A sync that none of the first two precedes moves on to
 * file->ready, and from there, all that are ready at once, to file->flushing
 * when a flush begins: an op of the file's own, so that cancelling a sync
 * cancels nothing for the others. An error that no sync has reported yet is
 * handed along file->ordered to the next. */
#include "core/fatal.h"
#include "core/loop.h"
#include "core/sticky.h"

/* Hands an error to the op at `to`, or, if that is the end of file->ordered, to
 * whichever is submitted next. The first error is the one that counts. */
static void carry(epio_node *to, epio_file *file, int32_t error, int32_t os_error)
{
    if (to == &file->ordered) {
        if (file->carried_error == 0) {
            file->carried_error = error;
            file->carried_os_error = os_error;
        }
        return;
    }
    epio_op *op = epio__op_of_held(to);
    if (op->carried_error == 0) {
        op->carried_error = error;
        op->carried_os_error = os_error;
    }
}

/* It may outlive the syncs that asked for it. */
static bool flush_is_running(const epio_file *file)
{
    return epio__load_relaxed_u32(&file->flush.state) == EPIO__STATE_IN_FLIGHT;
}

static bool file_is_idle(const epio_file *file)
{
    return epio__list_empty(&file->ordered) && epio__list_empty(&file->ready) &&
           epio__list_empty(&file->flushing) && !flush_is_running(file);
}

void epio__barrier_enter(epio_loop *loop, epio_op *op)
{
    epio_file *file = op->file;
    if (file->close != NULL) {
        epio__fatal("epio_submit", "the op's file is being closed; submit it before the close");
    }
    epio__count_size(&file->in_flight, 1);
    file->locks += op->kind == EPIO_KIND_LOCK ? 1 : 0;
    if (!epio__op_is_ordered(op)) {
        return;
    }
    op->carried_error = file->carried_error;
    op->carried_os_error = file->carried_os_error;
    file->carried_error = 0;
    if (file->active.next == NULL) {
        epio__list_append(&loop->active_files, &file->active);
    }
    epio__list_append(&file->ordered, &op->held);
}

/* Moves on the syncs that nothing precedes; one that still waits for its link
 * holds up nobody. */
static void release_syncs(epio_file *file)
{
    epio_node *node = file->ordered.next;
    while (node != &file->ordered) {
        epio_op *op = epio__op_of_held(node);
        node = node->next;
        if (op->kind != EPIO_KIND_SYNC) {
            return;
        }
        if (op->phase == EPIO__PHASE_BARRIER) {
            if (epio__list_empty(&file->ready)) {
                file->hold_until = 0;
                epio__list_append(&file->vfs->loop->flush_files, &file->waiting);
            }
            epio__list_remove(&op->held);
            epio__list_append(&file->ready, &op->held);
        }
    }
}

void epio__barrier_start_sync(epio_op *op)
{
    op->phase = EPIO__PHASE_BARRIER;
    release_syncs(op->file);
}

/* What a sync that reports nothing has been handed goes to the next one. */
static void pass_on_error(epio_op *op)
{
    if (op->carried_error != 0) {
        epio_file *file = op->file;
        /* Those that are ready come before those that still wait. */
        epio_node *next = op->held.next;
        if (next == &file->ready || next == &file->flushing) {
            next = next == &file->flushing && !epio__list_empty(&file->ready) ? file->ready.next
                                                                              : file->ordered.next;
        }
        carry(next, file, op->carried_error, op->carried_os_error);
        op->carried_error = 0;
    }
}

void epio__barrier_withdraw_sync(epio_op *op)
{
    epio_file *file = op->file;
    pass_on_error(op);
    epio__list_remove(&op->held);
    if (epio__list_empty(&file->ready)) {
        epio__list_remove(&file->waiting);
        if (!flush_is_running(file)) {
            epio__timer_stop(op->loop, &file->flush); /* nobody is left to be held back */
        }
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
    epio__list_remove(&file->active);
    op->marks |= EPIO__MARK_CLOSED;
    op->phase = EPIO__PHASE_HELD;
    op->way = EPIO__WAY_AT_ONCE;
    op->vfs->methods->submit(op->vfs, op);
    epio__op_note_if_kept(op);
}

static epio_file *file_as_submitted(epio_op *op)
{
    epio_file *file = op->file;
    for (epio_frame *frame = op->frames; frame != NULL; frame = frame->below) {
        file = frame->file;
    }
    return file;
}

/* What nothing else might end: reads and writes of a stream, waits for a lock. A
 * lock op that still waits for its first is seen to when it begins. */
static bool may_never_end(const epio_op *op, const epio_file *file)
{
    return (epio__op_transfers(op) && (file->traits & EPIO_FILE_STREAM) != 0) ||
           (op->kind == EPIO_KIND_LOCK && op->phase != EPIO__PHASE_LINKED);
}

static void cancel_endless(epio_loop *loop, epio_file *file, epio_node *list)
{
    epio_node *node = list->next;
    while (node != list) {
        epio_op *op = epio__op_of_held(node);
        node = node->next;
        if (may_never_end(op, file) && file_as_submitted(op) == file) {
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
    op->phase = EPIO__PHASE_CLOSING;
    if ((file->traits & EPIO_FILE_STREAM) != 0 || file->locks != 0) {
        cancel_endless(loop, file, &loop->held);
        cancel_endless(loop, file, &file->ordered);
    }
    try_close(file);
}

static void leave_ordered(epio_file *file, epio_op *op)
{
    bool failed = op->result < 0 && op->result != EPIO_ECANCELED && op->result != EPIO_ETIMEDOUT;
    if (op->kind != EPIO_KIND_SYNC && failed && op->carried_error == 0) {
        op->carried_error = (int32_t)op->result;
        op->carried_os_error = op->os_error;
    }
    if (op->held.next != NULL) {
        pass_on_error(op);
        epio__list_remove(&op->held);
    }
    release_syncs(file);
    if (file_is_idle(file)) {
        epio__list_remove(&file->active);
    }
}

void epio__barrier_leave(epio_op *op)
{
    if ((op->marks & EPIO__MARK_CLOSED) != 0) {
        return; /* the file is gone */
    }
    epio_file *file = op->file;
    file->locks -= op->kind == EPIO_KIND_LOCK ? 1 : 0;
    if (epio__op_is_ordered(op)) {
        leave_ordered(file, op);
    }
    /* Once the count is 0 an epio_perform of another thread may close the file;
     * not while a close is in flight, which counts itself. */
    bool closing = file->close != NULL;
    epio__store_size(&file->in_flight, epio__load_relaxed_size(&file->in_flight) - 1);
    if (closing) {
        try_close(file);
    }
}

/* How many they were. */
static uint64_t answer_syncs(epio_node *list, int64_t result, int32_t os_error)
{
    uint64_t count = 0;
    while (!epio__list_empty(list)) {
        epio_op *op = epio__op_of_held(list->next);
        epio__list_remove(&op->held);
        if (op->carried_error != 0) {
            op->os_error = op->carried_os_error;
            epio_complete(op, op->carried_error);
        } else {
            op->os_error = os_error;
            epio_complete(op, result);
        }
        count++;
    }
    return count;
}

/* NORMAL asks nothing of a file that is open only for reading. */
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

static uint32_t strongest(const epio_file *file, const epio_node *list)
{
    uint32_t flags = epio__op_of_held(list->next)->flags;
    for (epio_node *node = list->next; node != list; node = node->next) {
        const epio_op *op = epio__op_of_held(node);
        if (strength_of(file, op->flags) > strength_of(file, flags)) {
            flags = op->flags;
        }
    }
    return flags;
}

static bool another_sync_will_be_ready(const epio_file *file)
{
    for (epio_node *node = file->ordered.previous; node != &file->ordered; node = node->previous) {
        const epio_op *op = epio__op_of_held(node);
        if (op->kind == EPIO_KIND_SYNC && op->phase == EPIO__PHASE_BARRIER) {
            return true;
        }
        if (op->kind != EPIO_KIND_SYNC) {
            return false; /* the latest writes have no sync behind them yet */
        }
    }
    return false;
}

/* Tasks that submit write and sync together become ready one after the other;
 * a short wait lets them share. No longer than the last flush took: then it
 * costs nobody more than a flush that came just too late for him. */
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
    if (file->flush.timed == 0) {
        file->flush.marks = EPIO__MARK_INTERNAL;
        file->flush.phase = EPIO__PHASE_PARKED;
        file->flush.due = file->hold_until;
        epio__timer_start(loop, &file->flush);
    }
    return true;
}

static void begin_flush(epio_loop *loop, epio_file *file)
{
    epio__list_move_all(&file->flushing, &file->ready);
    epio_op *flush = epio_sync(&file->flush, file, strongest(file, &file->flushing));
    flush->marks = EPIO__MARK_INTERNAL;
    flush->phase = EPIO__PHASE_HELD;
    flush->progress = 0;
    flush->result = EPIO_EPENDING;
    epio__store_u32(&flush->state, EPIO__STATE_IN_FLIGHT);
    loop->internal++;
    file->flush_begun = epio__monotonic_time();
    flush->vfs->methods->submit(flush->vfs, flush);
}

void epio__barrier_flush(epio_loop *loop)
{
    epio_node *node = loop->flush_files.next;
    while (node != &loop->flush_files) {
        epio_file *file = EPIO__CONTAINER(node, epio_file, waiting);
        node = node->next;
        if (flush_is_running(file) || hold_back(loop, file)) {
            continue;
        }
        epio__list_remove(&file->waiting);
        if (epio__load_u32(&file->flush_failed) == EPIO__FLUSH_FAILED) {
            (void)answer_syncs(&file->ready, EPIO_EIO, file->flush_os_error);
        } else {
            begin_flush(loop, file);
        }
    }
}

void epio__barrier_flushed(epio_loop *loop, epio_op *op)
{
    epio_file *file = op->file;
    loop->internal--;
    file->flush_took = epio__monotonic_time() - file->flush_begun;
    epio__flush_note(file, op->result, op->os_error);
    loop->counters.flushes++;
    loop->counters.syncs +=
        answer_syncs(&file->flushing, op->result < 0 ? op->result : 0, op->os_error);
    if (epio__list_empty(&file->ordered) && epio__list_empty(&file->ready)) {
        epio__list_remove(&file->active);
    }
    /* As in epio__barrier_leave: the flush alone may have kept the file. */
    bool closing = file->close != NULL;
    epio__store_u32(&op->state, EPIO__STATE_DONE);
    if (closing) {
        try_close(file);
    }
}
