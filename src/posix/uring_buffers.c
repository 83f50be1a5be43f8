/* See uring_buffers.h. */
#include "posix/uring_buffers.h"

/* What kernels take as one buffer. */
#define LARGEST_PART ((size_t)1 << 30)

static bool fit(const epio__uring_buffers *buffers)
{
    for (uint32_t i = 0; i < buffers->count; i++) {
        if (buffers->parts[i].len > LARGEST_PART) {
            return false;
        }
    }
    return true;
}

void epio__uring_buffers_register(epio__uring_buffers *buffers, struct io_uring *ring)
{
    const void *parts = buffers->parts; /* the same as an array of struct iovec */
    buffers->in_ring = buffers->count != 0 && fit(buffers) &&
                       io_uring_register_buffers(ring, parts, buffers->count) == 0;
}

void epio__uring_buffers_unregister(epio__uring_buffers *buffers, struct io_uring *ring)
{
    if (buffers->in_ring) {
        buffers->in_ring = false;
        (void)io_uring_unregister_buffers(ring);
    }
}

int epio__uring_buffers_search(const epio__uring_buffers *buffers, const void *base, uint64_t len)
{
    uint32_t low = 0;
    uint32_t high = buffers->count; /* the part is among low .. high - 1, if any */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if ((uintptr_t)buffers->parts[middle].base <= (uintptr_t)base) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const epio_iovec *part = &buffers->parts[low];
    uint64_t start = (uintptr_t)base - (uintptr_t)part->base;
    bool inside =
        (uintptr_t)base >= (uintptr_t)part->base && len <= part->len && start <= part->len - len;
    return inside ? (int)low : -1;
}
