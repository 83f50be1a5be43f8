/* From a path to a descriptor. */
#ifndef EPIO_OPEN_PATH_H
#define EPIO_OPEN_PATH_H

#include "posix/durable.h"

#include <limits.h>

typedef struct epio__opening {
    int at;           /* where the path begins if it is relative */
    const char *path; /* the op's, or the target of the link there */
    uint32_t flags;
    bool confined;         /* the path must stay beneath `at` */
    bool made;             /* the file was missing, and this open created it */
    epio__durable durable; /* for what it creates */
    char link_target[PATH_MAX];
} epio__opening;

/* Opens as the op says: the descriptor, or -1 and errno. */
int epio__opening_begin(epio__opening *opening, const epio_op *op);

/* Before the caller gets the file: 0, or EPIO_EIO with the op's os_error if its name is not
 * durable. */
int64_t epio__opening_finish(epio__opening *opening, epio_op *op);

/* When the open fails after all: removes the name that it created, while the file is still open.
 * Preserves errno. */
void epio__opening_undo(epio__opening *opening, const epio__os_file *file);

/* The flags of an open that decide what its descriptor can do. */
uint32_t epio__open_abilities(uint32_t flags);

/* For F_SETFL: all that such an open leaves set, without O_NONBLOCK. */
int epio__flags_that_stay(uint32_t flags);

#endif
