/* Backpressure as a VFS: every op that passes holds a permit of a semaphore, and its bytes, from
 * before it starts until it has completed. Ops that only wait for others (sleep, streams, locks) or
 * end waits (close, unlock) need none, so that no op queues behind one that it would end, nor do
 * those that remove what a procedure has begun, which must not fail; an open that is retried
 * releases its permit in between, since EPIO_RETRY removes the frames. */
#include "core/semaphore.h"
#include "layers/layer.h"

#include <stdlib.h>

typedef struct limit_frame {
    epio__layer_frame base;
    epio_waiter waiter;
    epio_op *op;
    bool holds;
} limit_frame;

typedef struct limit_vfs {
    epio__layer base;
    epio_semaphore *semaphore;
} limit_vfs;

static limit_vfs *vfs_of(epio_vfs *base)
{
    return (limit_vfs *)(void *)base;
}

static limit_frame *frame_of(epio_frame *base)
{
    return (limit_frame *)(void *)base;
}

static bool needs_permit(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_CLOSE:
    case EPIO_KIND_SLEEP:
    case EPIO_KIND_LOCK:
    case EPIO_KIND_UNLOCK:
    case EPIO_KIND_LOCK_RANGE:
    case EPIO_KIND_UNLOCK_RANGE:
    case EPIO_KIND_UNMAP:
    case EPIO_KIND_READ_EVENTS:
        return false;
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return !epio__op_is_on_stream(op);
    default:
        return true;
    }
}

/* ---- On a loop ---- */

static bool returned(epio_frame *base, epio_op *op)
{
    limit_frame *frame = frame_of(base);
    limit_vfs *vfs = vfs_of(base->vfs);
    bool holds = frame->holds;
    uint64_t bytes = frame->waiter.bytes;
    epio__layer_end(&vfs->base, &frame->base, op);
    if (holds) {
        epio__semaphore_release(vfs->semaphore, 1, bytes);
    }
    return true;
}

static void granted(epio_waiter *waiter)
{
    epio_resume(EPIO_CONTAINER(waiter, limit_frame, waiter)->op);
}

static void proceed(limit_vfs *vfs, limit_frame *frame, epio_op *op, int outcome)
{
    frame->holds = outcome == 0 && frame->waiter.permits != 0;
    if (outcome == 0) {
        epio__layer_forward(&vfs->base, op);
    } else {
        epio_complete(op, outcome);
    }
}

static void submit(epio_vfs *base, epio_op *op)
{
    limit_vfs *vfs = vfs_of(base);
    limit_frame *frame = (limit_frame *)(void *)epio__layer_begin(&vfs->base, op);
    if (frame == NULL) {
        epio_complete(op, epio__layer_do_without(&vfs->base, op));
        return;
    }
    frame->op = op;
    frame->holds = false;
    frame->waiter.permits = 0;
    frame->waiter.outcome = 0;
    int outcome = 0;
    if (needs_permit(op)) {
        frame->waiter.granted = granted;
        frame->waiter.permits = 1;
        frame->waiter.bytes = op->kind == EPIO_KIND_READ ? op->arguments.io.len : epio_op_bytes(op);
        outcome = epio__semaphore_enqueue(vfs->semaphore, &frame->waiter);
        if (outcome == EPIO_EPENDING) {
            return;
        }
    }
    proceed(vfs, frame, op, outcome);
}

static void resumed(epio_vfs *base, epio_op *op)
{
    limit_frame *frame = frame_of(op->frames);
    epio__op_waits_no_more(op);
    proceed(vfs_of(base), frame, op, frame->waiter.outcome);
}

/* One that was granted meanwhile will be resumed: epio_forward ends it. */
static void cancel(epio_vfs *base, epio_op *op)
{
    epio_frame *top = op->frames;
    if (top != NULL && top->vfs == base && top->returned == returned &&
        epio__semaphore_withdraw(vfs_of(base)->semaphore, &frame_of(top)->waiter)) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

/* ---- epio_perform ---- */

static int64_t perform(epio_vfs *base, epio_op *op)
{
    limit_vfs *vfs = vfs_of(base);
    /* Permits in a forked child may never be released: ops of its parent hold them. */
    if (op->undoes || !needs_permit(op) || vfs->base.inherited) {
        return epio__layer_perform(&vfs->base, op);
    }
    uint64_t bytes = epio_op_bytes(op);
    int outcome = epio__semaphore_acquire(vfs->semaphore, 1, bytes, op->timeout_ns);
    if (outcome != 0) {
        return outcome;
    }
    int64_t result = epio__layer_perform(&vfs->base, op);
    epio__semaphore_release(vfs->semaphore, 1, bytes);
    return result;
}

/* ---- The VFS ---- */

static void destroy(epio_vfs *base)
{
    limit_vfs *vfs = vfs_of(base);
    epio__layer_check_unused(&vfs->base);
    epio__semaphore_count_limit(vfs->semaphore, SIZE_MAX);
    epio__layer_destroy(&vfs->base);
}

static const epio_vfs_methods limit_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "limit",
    .submit = submit,
    .perform = perform,
    .cancel = cancel,
    .resumed = resumed,
    .destroy = destroy,
    .os_handle = epio__layer_os_handle,
    .lock_level = epio__layer_lock_level,
};

int epio_limit_vfs_create(epio_vfs **created, epio_vfs *inner, epio_semaphore *semaphore)
{
    if (created == NULL || !epio__layer_may_lie_over(inner) || semaphore == NULL) {
        return EPIO_EINVAL;
    }
    limit_vfs *vfs = calloc(1, sizeof *vfs);
    if (vfs == NULL) {
        return EPIO_ENOMEM;
    }
    epio__layer_init(&vfs->base, &limit_methods, inner, returned, sizeof(limit_frame));
    vfs->semaphore = semaphore;
    epio__semaphore_count_limit(semaphore, 1);
    *created = &vfs->base.base;
    return 0;
}
