/* epio_perform: one op, carried out on the calling thread. */
#include "core/mapping.h"
#include "fatal.h"
#include "reason.h"
#if EPIO_ASYNC
#include "core/loop.h"
#include "core/semaphore.h"
#endif

int64_t epio_perform_on(epio_op *op, epio_vfs *vfs, epio_file *file)
{
    epio__require(op, "epio_perform_on", "the op is NULL");
    epio__require(vfs, "epio_perform_on", "the VFS is NULL");
    epio_vfs *own_vfs = op->vfs;
    epio_file *own_file = op->file;
    op->vfs = vfs;
    op->file = file;
    int64_t result = vfs->methods->perform(vfs, op);
    op->vfs = own_vfs;
    if (!epio__op_is(op, EPIO__KIND_OPENS)) {
        op->file = own_file;
    }
    return result;
}

/* The file's loop belongs to the process from which this one was forked: its ops continue only
 * there. */
static bool is_inherited(const epio_file *file)
{
#if EPIO_ASYNC
    return epio__loop_is_inherited(file->vfs->loop);
#else
    (void)file;
    return false;
#endif
}

bool epio__file_is_busy(const epio_file *file)
{
    bool busy = epio__load_size(&file->inbound) != 0 || epio__load_size(&file->in_flight) != 0 ||
                epio_op_in_flight(&file->flush);
    return busy && !is_inherited(file);
}

static int64_t perform_close(epio_op *op)
{
    if (epio__file_is_busy(op->file)) {
        return EPIO_EBUSY;
    }
    return op->vfs->methods->perform(op->vfs, op);
}

static int64_t perform_sync(epio_op *op)
{
    if (epio__flush_forbids(op)) {
        return EPIO_EIO;
    }
    int64_t result = op->vfs->methods->perform(op->vfs, op);
    return epio__flush_outcome(op->file, result, &op->os_error);
}

static int64_t perform_kind(epio_op *op)
{
    if (op->kind == EPIO_KIND_CLOSE) {
        return perform_close(op);
    }
    if (op->kind == EPIO_KIND_SYNC) {
        return perform_sync(op);
    }
    if (epio__op_maps(op)) {
        return epio__mapping_perform(op);
    }
    if (epio__op_is(op, EPIO__KIND_CHANGES) && epio__flush_forbids(op)) {
        return EPIO_EIO;
    }
    return op->vfs->methods->perform(op->vfs, op);
}

/* Retries what cannot be carried out yet, at the time that it asked for. */
static int64_t perform_until_done(epio_op *op)
{
    for (;;) {
        op->progress = 0;
        int64_t result = perform_kind(op);
        if (result != EPIO_RETRY) {
            return result;
        }
        if (op->timeout_ns != 0 && op->timeout_ns <= op->due) {
            epio__sleep_until(op->timeout_ns);
            return EPIO_ETIMEDOUT;
        }
        epio__sleep_until(op->due);
        op->os_error = 0;
    }
}

/* The calls that name the mistake are for those who make one. */
static inline void check(const epio_op *op)
{
    if (op == NULL || !epio__state_is_prepared(epio__load_u32(&op->state))) {
        epio__op_check_prepared(op, "epio_perform");
    }
}

static inline void check_open(const epio_op *op)
{
    const epio_file *file = epio__op_keeps(op);
    if ((file != NULL && epio__file_is_released(file)) || epio__op_is(op, EPIO__KIND_COPIES)) {
        epio__op_check_open(op, "epio_perform");
    }
}

int64_t epio_perform(epio_op *op)
{
    check(op);
    if (op->link != NULL) {
        epio__fatal("epio_perform", "the op has a successor; linked ops are for epio_submit");
    }
    int64_t result;
    if ((op->state_flags & EPIO__FLAG_INVALID) != 0) {
        result = op->result;
    } else {
        check_open(op);
        op->reason = EPIO__REASON_NONE; /* may be an earlier use's: verbs do not always clear it */
        /* From here to the end of the op it is a deadline. */
        if (op->timeout_ns != 0) {
            op->timeout_ns = epio__deadline_after(op->timeout_ns);
        }
        result = perform_until_done(op);
    }
    op->timeout_ns = 0;
    op->result = result;
    epio__store_u32(&op->state, EPIO__STATE_DONE);
    return result;
}
