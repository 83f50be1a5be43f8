/* Memory that is registered with the loop: which buffer of the ring an address is in. The ring's
 * own table is made anew with each ring. */
#ifndef EPIO_URING_BUFFERS_H
#define EPIO_URING_BUFFERS_H

#include <epio/op.h>

#include <liburing.h>

typedef struct epio__uring_buffers {
    const epio_iovec *parts; /* by address; the core's */
    uint32_t count;
    bool in_ring; /* the ring has them; else they are plain memory */
} epio__uring_buffers;

/* Registers them with a ring that has none; the system may refuse. */
void epio__uring_buffers_register(epio__uring_buffers *buffers, struct io_uring *ring);
void epio__uring_buffers_unregister(epio__uring_buffers *buffers, struct io_uring *ring);

int epio__uring_buffers_search(const epio__uring_buffers *buffers, const void *base, uint64_t len);

/* The index of the one in which all of this memory lies; -1: none, or the ring does not have it. */
static inline int epio__uring_buffers_find(const epio__uring_buffers *buffers, const void *base,
                                           uint64_t len)
{
    return buffers->in_ring ? epio__uring_buffers_search(buffers, base, len) : -1;
}

#endif
