/* From a path to a descriptor. */
#ifndef EPIO_OPEN_PATH_H
#define EPIO_OPEN_PATH_H

#include "posix/durable.h"

#include <limits.h>

typedef struct epio__opening {
    const char *path; /* the op's, or what the link there leads to */
    uint32_t flags;
    bool made;             /* there was no such file, and this open has made it */
    epio__durable durable; /* for what it makes */
    char link_target[PATH_MAX];
} epio__opening;

/* Opens as the op says: the descriptor, or -1 and errno. */
int epio__opening_begin(epio__opening *opening, const epio_op *op);

/* The file is about to be handed out: 0, or EPIO_EIO with the op's os_error if its name is
 * not durable. */
int64_t epio__opening_finish(epio__opening *opening, epio_op *op);

/* The open fails after all. Takes away the name that it has made, while the file is
 * still open. Leaves errno. */
void epio__opening_undo(epio__opening *opening, const epio__os_file *file);

/* What in the flags of an open decides what its descriptor can do. */
uint32_t epio__open_abilities(uint32_t flags);

#endif
