/* Streams that wait, as the backends epoll and poll share them. */
#ifndef EPIO_STREAM_H
#define EPIO_STREAM_H

#include "posix/posix.h"

#if EPIO_ASYNC

enum { EPIO__WATCH_READ = 1, EPIO__WATCH_WRITE = 2 };

typedef struct epio__streams {
    /* Waits for one of the events of `interest` (0: for none) on the file, once;
     * epio__stream_ready tells. 0, EPIO_ENOTSUP (not to be waited for), or
     * the error that the op gets. file->watched is what it waits for now. */
    int (*watch)(void *state, epio__os_file *file, uint32_t interest);
    void *state;
    uint64_t *count; /* of files that are waited for */
} epio__streams;

/* See epio__backend.submit and .cancel. */
bool epio__stream_submit(epio__streams *streams, epio_op *op);
bool epio__stream_cancel(epio__streams *streams, epio_op *op);

/* A file that was waited for became ready, and is waited for no more. */
void epio__stream_ready(epio__streams *streams, epio__os_file *file, uint32_t ready);

/* A file that was waited for cannot be, as came out only now: workers have its ops. */
void epio__stream_unwatchable(epio__streams *streams, epio__os_file *file);

#endif

#endif
