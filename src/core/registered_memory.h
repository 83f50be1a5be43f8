/* The memory that the program registered with its loop. */
#ifndef EPIO_REGISTERED_MEMORY_H
#define EPIO_REGISTERED_MEMORY_H

#include <epio/op.h>

typedef struct epio__registered {
    epio_iovec *parts; /* by address; the backend has them, too */
    size_t count;
} epio__registered;

/* At the loop's end, after the backend's. */
void epio__registered_free(epio__registered *registered);

#endif
