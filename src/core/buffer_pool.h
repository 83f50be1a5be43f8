/* The buffers of a pool: one block of memory, and which of its buffers are free. Which loop has
 * the pool, and whether the system knows its memory, is registered_memory.c's. */
#ifndef EPIO_BUFFER_POOL_H
#define EPIO_BUFFER_POOL_H

#include <epio/op.h>

/* The start of a malloc block; free() it. */
typedef struct epio__buffer_pool {
    epio_iovec memory; /* all buffers, one after the other */
    size_t distance;   /* from one buffer to the next */
    size_t count;
    size_t first; /* the free buffer that was returned last; `count`: none */
    size_t
        *next; /* of each buffer: the free one that was returned before it, or that it is taken */
} epio__buffer_pool;

/* 0, EPIO_EINVAL or EPIO_ENOMEM; see epio_loop_create_pool. */
int epio__buffer_pool_create(epio__buffer_pool **created, size_t size, size_t count);

/* NULL: all are taken. */
void *epio__buffer_pool_take(epio__buffer_pool *pool);
/* Aborts unless the buffer is one that is taken. */
void epio__buffer_pool_return(epio__buffer_pool *pool, const void *buffer, const char *function);

#endif
