/* epio_copy_range: its verb, and its pieces by epio_perform or on a loop. What they are is
 * copy_pieces.c's to say.
 *
 * The copy is no parent of other ops. Its own op goes down again and again, as another kind each
 * time, to the VFS of the piece, and comes back by a frame. So whatever holds a piece holds the op:
 * a cancel and the deadline go there, and for the files it is one op from its submission to its
 * delivery. It is that of the copy again whenever no piece is in flight. */
#include "copy/copy.h"
#include "copy/copy_pieces.h"
#include "core/verb.h"

/* ---- epio_perform ---- */

static bool is_late(const epio_op *op, uint64_t time)
{
    return op->timeout_ns != 0 && op->timeout_ns <= time;
}

static int64_t perform_piece(epio__copy *copy, epio_op *op)
{
    for (;;) {
        op->progress = 0;
        epio_file *file = epio__copy_prepare(copy, op);
        int64_t result = epio_perform_on(op, file->vfs, file);
        epio__copy_restore(copy, op);
        if (result != EPIO_RETRY) {
            return result;
        }
        if (is_late(op, op->due)) {
            epio__sleep_until(op->timeout_ns);
            return EPIO_ETIMEDOUT;
        }
        epio__sleep_until(op->due);
    }
}

static int64_t perform_pieces(epio__copy *copy, epio_op *op)
{
    while (epio__copy_continue(copy, op, perform_piece(copy, op))) {
        if (is_late(op, epio__monotonic_time())) {
            return EPIO_ETIMEDOUT;
        }
    }
    op->os_error = copy->result < 0 ? op->os_error : 0;
    return copy->result;
}

static int64_t perform_copy(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    if (op->arguments.copy.len == 0) {
        return 0;
    }
    epio__copy *copy = epio__copy_create(op);
    if (copy == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = perform_pieces(copy, op);
    epio__copy_destroy(copy);
    return result;
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

static void send(epio__copy *copy, epio_op *op)
{
    epio_frame_push(op, &copy->frame);
    epio_file *file = epio__copy_prepare(copy, op);
    epio_forward(op, file->vfs, file);
}

static bool returned(epio_frame *frame, epio_op *op)
{
    epio__copy *copy = EPIO_CONTAINER(frame, epio__copy, frame);
    epio__copy_restore(copy, op);
    bool cancelled = (op->state_flags & EPIO__FLAG_CANCEL) != 0;
    if (op->result == EPIO_RETRY && !cancelled) {
        copy->waits = true;
        epio_alarm(op, op->due);
        return false;
    }
    op->result = op->result == EPIO_RETRY ? EPIO_ECANCELED : op->result;
    if (epio__copy_continue(copy, op, op->result)) {
        send(copy, op);
        return false;
    }
    op->result = copy->result;
    epio__copy_destroy(copy);
    return true;
}

static void submit_copy(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__copy *copy = op->arguments.copy.len != 0 ? epio__copy_create(op) : NULL;
    if (copy == NULL) {
        epio_complete(op, op->arguments.copy.len != 0 ? EPIO_ENOMEM : 0);
        return;
    }
    copy->frame.returned = returned;
    send(copy, op);
}

static void alarm_copy(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__copy *copy = op->arguments.copy.state;
    copy->waits = false;
    send(copy, op);
}

/* A piece in flight is ended by its holder. */
static void cancel_copy(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__copy *copy = op->arguments.copy.state;
    if (copy->waits) {
        epio__copy_destroy(copy);
        epio_complete(op, EPIO_ECANCELED);
    }
}

#endif

static const epio_vfs_methods copy_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "copy",
#if EPIO_ASYNC
    .submit = submit_copy,
    .cancel = cancel_copy,
    .alarm = alarm_copy,
#endif
    .perform = perform_copy,
};

/* Of each epio_copy_range; the loop is that of the files. */
static epio_vfs copy_vfs = {&copy_methods, NULL};

/* ---- The verb ---- */

static void require_files(epio_op *op, const epio_file *from, const epio_file *to, bool any_loop)
{
    epio__verb_require_direction(op, EPIO_OPEN_WRITE);
    epio__verb_require(op, from != NULL, EPIO__REASON_FILE_IS_NULL);
    if (from == NULL || to == NULL) {
        return;
    }
    epio__verb_require(op, (from->attributes & EPIO_FILE_DIRECTORY) == 0,
                       EPIO__REASON_IS_DIRECTORY);
    epio__verb_require(op, (from->attributes & EPIO_FILE_WATCH) == 0, EPIO__REASON_IS_WATCH);
    epio__verb_require(op, (from->flags & EPIO_OPEN_READ) != 0, EPIO__REASON_NOT_READABLE);
    epio__verb_require(op, ((from->attributes | to->attributes) & EPIO_FILE_STREAM) == 0,
                       EPIO__REASON_STREAM_SPACE);
    epio__verb_require(op, (to->attributes & EPIO_FILE_APPENDS) == 0, EPIO__REASON_COPY_APPENDS);
    epio__verb_require(op, any_loop || from->vfs->loop == to->vfs->loop, EPIO__REASON_TWO_LOOPS);
}

static epio_op *prepare(epio_op *op, epio_file *from, uint64_t offset, epio_file *to,
                        uint64_t to_offset, uint64_t len, bool any_loop)
{
    epio__verb_on_file(op, "epio_copy_range", EPIO_KIND_COPY_RANGE, to);
    if (from != NULL) {
        epio__file_check(from, "epio_copy_range");
    }
    if (len == UINT64_MAX && offset <= INT64_MAX && to_offset <= INT64_MAX) {
        len = INT64_MAX - (offset > to_offset ? offset : to_offset);
    }
    op->arguments.copy.from = from;
    op->arguments.copy.from_offset = offset;
    op->arguments.copy.offset = to_offset;
    op->arguments.copy.len = len;
    op->arguments.copy.state = NULL;
    epio__verb_require(op,
                       offset <= INT64_MAX && to_offset <= INT64_MAX && len <= INT64_MAX - offset &&
                           len <= INT64_MAX - to_offset,
                       EPIO__REASON_BEYOND_LIMIT);
    require_files(op, from, to, any_loop);
    epio__verb_require(op, from != to || !epio__op_copies_over_itself(op),
                       EPIO__REASON_RANGES_OVERLAP);
    if (op->state_flags == 0) {
        op->vfs = &copy_vfs;
    }
    return op;
}

epio_op *epio_copy_range(epio_op *op, epio_file *from, uint64_t offset, epio_file *to,
                         uint64_t to_offset, uint64_t len)
{
    return prepare(op, from, offset, to, to_offset, len, false);
}

epio_op *epio__copy_now(epio_op *op, epio_file *from, uint64_t offset, epio_file *to,
                        uint64_t to_offset, uint64_t len)
{
    return prepare(op, from, offset, to, to_offset, len, true);
}

epio_op *epio__copy_within(epio_op *op, epio_file *from, uint64_t offset, epio_file *to,
                           uint64_t to_offset, uint64_t len)
{
    (void)prepare(op, from, offset, to, to_offset, len, true);
    if (op->state_flags == 0) {
        op->vfs = to->vfs;
    }
    return op;
}
