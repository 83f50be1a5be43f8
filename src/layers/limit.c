/* Backpressure as a VFS: every op that passes holds a permit of a semaphore, and
 * its bytes, from before it starts until it has completed. What only waits for
 * others (sleep, streams, locks) or ends waits (close, unlock) needs none, so that
 * nothing queues behind what it would end; an open that has to try again gives its
 * permit back in between, since EPIO_RETRY takes the frames off. */
#include "atomics.h"
#include "core/fatal.h"
#include "core/semaphore.h"

#include <stdlib.h>

typedef struct limit_vfs limit_vfs;
typedef struct limit_file limit_file;

typedef struct limit_frame {
    epio_frame base;
    epio_waiter waiter;
    epio_op *op;
    limit_file *opened; /* for the file that an open is to find */
    bool waiting;
    bool holds;
    struct limit_frame *next_free;
} limit_frame;

struct limit_file {
    epio_file base;
    epio_file *inner;
    epio_frame close; /* a close must not need memory */
};

struct limit_vfs {
    epio_vfs base;
    epio_vfs *inner;
    epio_semaphore *semaphore;
    limit_frame *free_frames;
    size_t open_files; /* atomic */
};

static limit_vfs *vfs_of(epio_vfs *base)
{
    return (limit_vfs *)(void *)base;
}

static limit_file *file_of(epio_file *base)
{
    return (limit_file *)(void *)base;
}

static epio_file *inner_file(const epio_op *op)
{
    return op->file != NULL ? file_of(op->file)->inner : NULL;
}

static bool needs_permit(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_CLOSE:
    case EPIO_KIND_SLEEP:
    case EPIO_KIND_LOCK:
    case EPIO_KIND_UNLOCK:
        return false;
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return (op->file->traits & EPIO_FILE_STREAM) == 0;
    default:
        return true;
    }
}

/* ---- Files ---- */

static void wrap_opened(limit_vfs *vfs, limit_file *file, epio_op *op)
{
    file->inner = op->file;
    epio_file_init(&file->base, &vfs->base, op->file->flags, op->file->traits);
    epio__add_size(&vfs->open_files, 1);
    op->file = &file->base;
}

static void free_file(limit_file *file)
{
    epio__subtract_size(&vfs_of(file->base.vfs)->open_files, 1);
    epio_file_release(&file->base);
    free(file);
}

/* ---- On a loop ---- */

static limit_frame *take_frame(limit_vfs *vfs)
{
    limit_frame *frame = vfs->free_frames;
    if (frame != NULL) {
        vfs->free_frames = frame->next_free;
    } else {
        frame = malloc(sizeof *frame);
    }
    return frame;
}

static void put_frame(limit_vfs *vfs, limit_frame *frame)
{
    frame->next_free = vfs->free_frames;
    vfs->free_frames = frame;
}

static bool returned(epio_frame *base, epio_op *op)
{
    limit_frame *frame = (limit_frame *)(void *)base;
    limit_vfs *vfs = vfs_of(base->vfs);
    if (frame->opened != NULL) {
        if (op->result >= 0) {
            wrap_opened(vfs, frame->opened, op);
        } else {
            free(frame->opened);
        }
    }
    bool holds = frame->holds;
    uint64_t bytes = frame->waiter.bytes;
    put_frame(vfs, frame);
    if (holds) {
        epio__semaphore_release(vfs->semaphore, 1, bytes);
    }
    return true;
}

static bool close_returned(epio_frame *frame, epio_op *op)
{
    (void)frame;
    free_file(file_of(op->file));
    return true;
}

static void granted(epio_waiter *waiter)
{
    epio_resume(((limit_frame *)(void *)((char *)waiter - offsetof(limit_frame, waiter)))->op);
}

static void go_on(limit_vfs *vfs, limit_frame *frame, int outcome)
{
    frame->holds = outcome == 0 && frame->waiter.permits != 0;
    if (outcome == 0) {
        epio_forward(frame->op, vfs->inner, inner_file(frame->op));
    } else {
        epio_complete(frame->op, outcome);
    }
}

static void submit_close(limit_vfs *vfs, epio_op *op)
{
    limit_file *file = file_of(op->file);
    file->close.returned = close_returned;
    epio_frame_push(op, &file->close);
    epio_forward(op, vfs->inner, file->inner);
}

/* The op's frame if it waits here for a permit. */
static limit_frame *waiting_frame(const epio_vfs *vfs, const epio_op *op)
{
    limit_frame *frame = (limit_frame *)(void *)op->frames;
    if (frame == NULL || frame->base.vfs != vfs || frame->base.returned != returned ||
        !frame->waiting) {
        return NULL;
    }
    return frame;
}

static void submit_new(limit_vfs *vfs, epio_op *op)
{
    bool opens = op->kind == EPIO_KIND_OPEN || op->kind == EPIO_KIND_ADOPT;
    limit_frame *frame = take_frame(vfs);
    limit_file *opened = opens ? malloc(sizeof *opened) : NULL;
    if (frame == NULL || (opens && opened == NULL)) {
        if (frame != NULL) {
            put_frame(vfs, frame);
        }
        free(opened);
        /* An unlock waits for nothing: it can do without a frame. */
        bool here = op->kind == EPIO_KIND_UNLOCK;
        epio_complete(op, here ? epio_perform_on(op, vfs->inner, inner_file(op)) : EPIO_ENOMEM);
        return;
    }
    frame->base.returned = returned;
    frame->op = op;
    frame->opened = opened;
    frame->waiting = false;
    frame->holds = false;
    frame->waiter.granted = granted;
    frame->waiter.permits = 0;
    epio_frame_push(op, &frame->base);
    int outcome = 0;
    if (needs_permit(op)) {
        frame->waiter.permits = 1;
        frame->waiter.bytes = epio_op_bytes(op);
        frame->waiting = true;
        outcome = epio__semaphore_enqueue(vfs->semaphore, &frame->waiter);
        if (outcome == EPIO_EPENDING) {
            return;
        }
        frame->waiting = false;
    }
    go_on(vfs, frame, outcome);
}

static void submit(epio_vfs *base, epio_op *op)
{
    limit_vfs *vfs = vfs_of(base);
    limit_frame *frame = waiting_frame(base, op);
    if (frame != NULL) {
        frame->waiting = false;
        go_on(vfs, frame, frame->waiter.outcome);
    } else if (op->kind == EPIO_KIND_CLOSE) {
        submit_close(vfs, op);
    } else {
        submit_new(vfs, op);
    }
}

static void cancel(epio_vfs *base, epio_op *op)
{
    limit_frame *frame = waiting_frame(base, op);
    /* One that was granted meanwhile is on its way: epio_forward ends it. */
    if (frame != NULL && epio__semaphore_withdraw(vfs_of(base)->semaphore, &frame->waiter)) {
        frame->waiting = false;
        epio_complete(op, EPIO_ECANCELED);
    }
}

/* ---- epio_perform ---- */

static int64_t perform_close(limit_vfs *vfs, epio_op *op)
{
    limit_file *file = file_of(op->file);
    int64_t result = epio_perform_on(op, vfs->inner, file->inner);
    free_file(file);
    return result;
}

static int64_t perform_open(limit_vfs *vfs, epio_op *op)
{
    limit_file *file = malloc(sizeof *file);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = epio_perform_on(op, vfs->inner, NULL);
    if (result >= 0) {
        wrap_opened(vfs, file, op);
    } else {
        free(file);
    }
    return result;
}

static int64_t perform_kind(limit_vfs *vfs, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_OPEN:
    case EPIO_KIND_ADOPT:
        return perform_open(vfs, op);
    case EPIO_KIND_CLOSE:
        return perform_close(vfs, op);
    default:
        return epio_perform_on(op, vfs->inner, inner_file(op));
    }
}

static int64_t perform(epio_vfs *base, epio_op *op)
{
    limit_vfs *vfs = vfs_of(base);
    if (!needs_permit(op)) {
        return perform_kind(vfs, op);
    }
    uint64_t bytes = epio_op_bytes(op);
    int outcome = epio__semaphore_acquire(vfs->semaphore, 1, bytes, op->timeout_ns);
    if (outcome != 0) {
        return outcome;
    }
    int64_t result = perform_kind(vfs, op);
    epio__semaphore_release(vfs->semaphore, 1, bytes);
    return result;
}

/* ---- The VFS ---- */

static intptr_t os_handle(const epio_file *file)
{
    return epio_os_handle(((const limit_file *)(const void *)file)->inner);
}

static uint32_t lock_level(const epio_file *file)
{
    return epio_lock_level(((const limit_file *)(const void *)file)->inner);
}

static void destroy(epio_vfs *base)
{
    limit_vfs *vfs = vfs_of(base);
    if (epio__load_size(&vfs->open_files) != 0) {
        epio__fatal("epio_vfs_destroy", "a file of the VFS is still open; close it first");
    }
    while (vfs->free_frames != NULL) {
        limit_frame *frame = vfs->free_frames;
        vfs->free_frames = frame->next_free;
        free(frame);
    }
    free(vfs);
}

static const epio_vfs_methods limit_methods = {
    .name = "limit",
    .submit = submit,
    .perform = perform,
    .cancel = cancel,
    .destroy = destroy,
    .os_handle = os_handle,
    .lock_level = lock_level,
};

int epio_limit_vfs_create(epio_vfs **created, epio_vfs *inner, epio_semaphore *semaphore)
{
    if (created == NULL || inner == NULL || semaphore == NULL) {
        return EPIO_EINVAL;
    }
    limit_vfs *vfs = calloc(1, sizeof *vfs);
    if (vfs == NULL) {
        return EPIO_ENOMEM;
    }
    vfs->base.methods = &limit_methods;
    vfs->base.loop = inner->loop;
    vfs->inner = inner;
    vfs->semaphore = semaphore;
    *created = &vfs->base;
    return 0;
}
