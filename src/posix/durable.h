/* A created, renamed or deleted name survives a crash only after its directory is flushed. The
 * descriptor for that is opened first, so that nothing is changed where it cannot be had. */
#ifndef EPIO_DURABLE_H
#define EPIO_DURABLE_H

#include "platform.h"

typedef struct epio__durable {
    int descriptor;   /* -1: none */
    bool file_system; /* flush all of it, as the directory cannot be opened */
} epio__durable;

/* For the directory that holds `path`, which begins at `at` if it is relative: 0, or -1 and errno.
 */
int epio__durable_begin(epio__durable *durable, int at, const char *path);

/* The same for `directory` itself, which may be a link to it if `follows`. */
int epio__durable_begin_in(epio__durable *durable, int at, const char *directory, bool follows);

/* Flushes and releases: 0, or EPIO_EIO with the op's os_error. */
int64_t epio__durable_finish(epio__durable *durable, epio_op *op);

/* Removes the op's path by `remove`, durably if `lasting`: the op's result. */
int64_t epio__op_remove(epio_op *op, bool lasting, int (*remove)(int at, const char *path));

/* Releases, whether begun or not; preserves errno. */
void epio__durable_drop(epio__durable *durable);

#endif
