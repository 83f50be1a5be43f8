/* A name that is made, moved or removed outlives a crash only once its directory was
 * flushed. What that takes is acquired before, so that nothing is done where it cannot be
 * had. */
#ifndef EPIO_DURABLE_H
#define EPIO_DURABLE_H

#include "platform.h"

typedef struct epio__durable {
    int descriptor;   /* -1: none */
    bool file_system; /* all of it is to be flushed, as the directory cannot be opened */
} epio__durable;

/* For the directory that holds `path`: 0, or -1 and errno. */
int epio__durable_begin(epio__durable *durable, const char *path);

/* Flushes, and ends it: 0, or EPIO_EIO with the op's os_error. */
int64_t epio__durable_finish(epio__durable *durable, epio_op *op);

/* Ends it, with or without a beginning, and leaves errno. */
void epio__durable_drop(epio__durable *durable);

#endif
