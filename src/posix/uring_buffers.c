/* See uring_buffers.h. */
#include "posix/uring_buffers.h"

#include <epio/epio.h>

#include <stdlib.h>
#include <string.h>

/* What kernels take as one buffer. */
#define LARGEST_PART ((size_t)1 << 30)

static int by_address(const void *one, const void *other)
{
    uintptr_t first = (uintptr_t)((const struct iovec *)one)->iov_base;
    uintptr_t second = (uintptr_t)((const struct iovec *)other)->iov_base;
    return (first > second) - (first < second);
}

int epio__uring_buffers_set(epio__uring_buffers *buffers, const epio_iovec *parts, size_t count)
{
    epio__uring_buffers_free(buffers);
    if (count == 0) {
        return 0;
    }
    struct iovec *sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL) {
        return EPIO_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (struct iovec){.iov_base = parts[i].base, .iov_len = parts[i].len};
    }
    qsort(sorted, count, sizeof *sorted, by_address);
    buffers->parts = sorted;
    buffers->count = (uint32_t)count;
    return 0;
}

void epio__uring_buffers_free(epio__uring_buffers *buffers)
{
    free(buffers->parts);
    memset(buffers, 0, sizeof *buffers);
}

static bool fit(const epio__uring_buffers *buffers)
{
    for (uint32_t i = 0; i < buffers->count; i++) {
        if (buffers->parts[i].iov_len > LARGEST_PART) {
            return false;
        }
    }
    return true;
}

void epio__uring_buffers_register(epio__uring_buffers *buffers, struct io_uring *ring)
{
    buffers->in_ring = buffers->count != 0 && fit(buffers) &&
                       io_uring_register_buffers(ring, buffers->parts, buffers->count) == 0;
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
        if ((uintptr_t)buffers->parts[middle].iov_base <= (uintptr_t)base) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct iovec *part = &buffers->parts[low];
    uint64_t start = (uintptr_t)base - (uintptr_t)part->iov_base;
    bool inside = (uintptr_t)base >= (uintptr_t)part->iov_base && len <= part->iov_len &&
                  start <= part->iov_len - len;
    return inside ? (int)low : -1;
}
