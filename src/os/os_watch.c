/* See os_watch.h. */
#include "os/os_watch.h"

#include "os/watch_compare.h"

/* The platform's source, or, where it has none, the comparison. */
static int64_t begin(epio_op *op, epio__watch *watch)
{
    int64_t result =
        (op->flags & EPIO_WATCH_COMPARE) == 0 ? epio__os_watch_begin(op, watch) : EPIO_ENOTSUP;
    op->os_error = result == EPIO_ENOTSUP ? 0 : op->os_error;
    return result == EPIO_ENOTSUP ? epio__compare_begin(op, watch) : result;
}

static int64_t open_watch(epio_vfs *vfs, epio_op *op)
{
    epio__watch *watch = epio__watch_create(vfs, op->flags);
    op->os_error = 0;
    if (watch == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = begin(op, watch);
    if (result < 0) {
        epio__watch_free(watch);
        return result;
    }
    op->file = &watch->base;
    return watch->compares ? EPIO_WATCH_COMPARES : 0;
}

static int64_t close_watch(epio__watch *watch)
{
    bool inherited = epio__watch_is_inherited(watch);
    if (watch->compares && inherited) {
        epio__compare_disinherit(watch);
    } else if (watch->compares) {
        epio__compare_end(watch);
    } else if (!inherited) {
        epio__os_watch_end(watch);
    }
    epio__watch_free(watch);
    return 0;
}

int64_t epio__os_perform_on_watch(epio_vfs *vfs, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_WATCH:
        return open_watch(vfs, op);
    case EPIO_KIND_READ_EVENTS:
        return epio__watch_perform(epio__watch_of(op->file), op);
    case EPIO_KIND_CLOSE:
        return close_watch(epio__watch_of(op->file));
    default:
        return EPIO_EBADF;
    }
}

#if EPIO_ASYNC

void epio__os_submit_on_watch(epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_WATCH:
    case EPIO_KIND_CLOSE:
        epio_offload(op);
        return;
    case EPIO_KIND_READ_EVENTS:
        epio__watch_submit(epio__watch_of(op->file), op);
        return;
    default:
        epio_complete(op, EPIO_EBADF);
        return;
    }
}

void epio__os_cancel_on_watch(epio_op *op)
{
    if (op->kind == EPIO_KIND_READ_EVENTS) {
        epio__watch_cancel(op);
    }
}

#endif
