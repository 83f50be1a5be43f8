/* Waiting streams, shared by the backends epoll and poll. */
#ifndef EPIO_STREAM_H
#define EPIO_STREAM_H

#include "posix/posix.h"

#if EPIO_ASYNC

enum { EPIO__WATCH_READ = 1, EPIO__WATCH_WRITE = 2 };

typedef struct epio__streams {
    /* Waits for one of the events of `interest` (0: none) on the file, once; the backend then
     * calls epio__stream_ready. 0, EPIO_ENOTSUP (cannot be waited for), or the error for the op.
     * file->polled_events has the pending events. */
    int (*watch)(void *state, epio__os_file *file, uint32_t interest);
    void *state;
    uint64_t *count; /* files that are waited for */
} epio__streams;

/* See epio__backend.submit and .cancel. */
bool epio__stream_submit(epio__streams *streams, epio_op *op);
bool epio__stream_cancel(epio__streams *streams, epio_op *op);

/* The file became ready, and is no longer waited for. */
void epio__stream_ready(epio__streams *streams, epio__os_file *file, uint32_t ready);

/* The file turned out not to be watchable: its ops go to workers. */
void epio__stream_unwatchable(epio__streams *streams, epio__os_file *file);

#endif

#endif
