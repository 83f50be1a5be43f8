/* The memory that a loop's system may know beforehand: what the program registered, and the loop's
 * pool of buffers. */
#ifndef EPIO_REGISTERED_MEMORY_H
#define EPIO_REGISTERED_MEMORY_H

#include "core/buffer_pool.h"

typedef struct epio__registered {
    epio__buffer_pool *pool; /* NULL: none */
    bool pool_is_known;      /* the system has taken its memory */
    epio_iovec *parts; /* the program's, by address; then as many again and one, for all with the
                          pool's. The backend has one of these arrays */
    size_t count;      /* the program's */
} epio__registered;

/* At the loop's end, after the backend's. */
void epio__registered_free(epio__registered *registered);

#endif
