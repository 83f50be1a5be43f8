/* The events of a watch, for any VFS: what its source reports (the platform, the memory VFS, a
 * comparison), in order, until it is read; and the ops that wait for it. Who reports, and which
 * directory that is, is the source's. */
#ifndef EPIO_WATCH_WATCH_H
#define EPIO_WATCH_WATCH_H

#include "platform.h"

/* An open watch of that VFS, without a source yet; NULL: no memory. `flags`: EPIO_WATCH_... */
epio__watch *epio__watch_create(epio_vfs *vfs, uint32_t flags);

/* For a close: no source reports any more, and no op is in flight. Ends what waits in an
 * epio_perform, and frees the watch. */
void epio__watch_free(epio__watch *watch);

/* In a forked child the watch is its parent's: it reports nothing, has no source, and its mutex may
 * be locked. */
bool epio__watch_is_inherited(const epio__watch *watch);

static inline bool epio__file_is_watch(const epio_file *file)
{
    return (file->attributes & EPIO_FILE_WATCH) != 0;
}

static inline epio__watch *epio__watch_of(epio_file *file)
{
    return (epio__watch *)(void *)file;
}

/* READ_EVENTS on this thread, waiting until the deadline; in flight, where it must not block a
 * worker, EPIO_RETRY instead. */
int64_t epio__watch_perform(epio__watch *watch, epio_op *op);

#if EPIO_ASYNC

/* The methods of a VFS for its READ_EVENTS: completes the op, now or when there are events. */
void epio__watch_submit(epio__watch *watch, epio_op *op);
void epio__watch_resumed(epio_op *op);
void epio__watch_cancel(epio_op *op);

#endif

#endif
