/* The watches of the OS VFS: which source a new one gets, and the ops on one, which is no
 * epio__os_file. Their events are src/watch's, the sources the platform's and watch_compare.h's. */
#ifndef EPIO_OS_WATCH_H
#define EPIO_OS_WATCH_H

#include "kinds.h"
#include "watch/watch.h"

/* An op that makes a watch, or is on one. */
static inline bool epio__os_is_of_watch(const epio_op *op)
{
    return op->kind == EPIO_KIND_WATCH || (epio__op_has_file(op) && epio__file_is_watch(op->file));
}

/* On this thread. */
int64_t epio__os_perform_on_watch(epio_vfs *vfs, epio_op *op);

#if EPIO_ASYNC
void epio__os_submit_on_watch(epio_op *op);
void epio__os_cancel_on_watch(epio_op *op);
#endif

#endif
