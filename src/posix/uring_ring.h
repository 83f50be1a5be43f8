/* An io_uring: opening it, closing it, and knowing when the kernel is done with it. What its
 * entries mean is uring_ops.h's. */
#ifndef EPIO_URING_RING_H
#define EPIO_URING_RING_H

#include "platform.h"

#include <liburing.h>

/* Entries per submit, and ops in flight in the kernel: disks have shorter queues. The completion
 * queue holds twice as many, which leaves room for the completions of cancels. */
#define EPIO__URING_SUBMISSIONS 256u
#define EPIO__URING_MOST_IN_KERNEL 1024u

typedef struct epio__uring_ring {
    struct io_uring io;
    bool open;
    bool has_table;      /* files can be registered */
    int sentinel;        /* hangs up when the kernel is done with the ring; -1: no ring */
    uint32_t table;      /* file->ring_table of the files registered now */
    uint32_t registered; /* number of registered files */
} epio__uring_ring;

void epio__uring_ring_init(epio__uring_ring *ring);

/* `wake`: as below; -1: none. False: the system has no such ring, or refuses it. */
bool epio__uring_ring_open(epio__uring_ring *ring, int wake);
/* From now on completions make the eventfd `wake` readable. False: the system refuses it. */
bool epio__uring_ring_signals(epio__uring_ring *ring, int wake);

/* The kernel ends what is in the ring, and the sentinel reports when it has. A ring that is not
 * open is left alone. */
void epio__uring_ring_close(epio__uring_ring *ring);

/* In a forked child. The memory of the ring is shared with the parent, and is not written to. */
void epio__uring_ring_abandon(epio__uring_ring *ring);

void epio__uring_sentinel_close(epio__uring_ring *ring);
/* Waits for it so long; -1: without a limit. */
bool epio__uring_ring_has_ended(const epio__uring_ring *ring, int milliseconds);

/* ---- The table of registered files ----
 *
 * For batches alone: it saves the kernel the file lookup of each read, 10 % of a cached read. A
 * registered file stays open for the system even if the program closes it, so uring_ops.c
 * registers files late and unregisters them soon. */

#define EPIO__URING_MOST_REGISTERED 16u

static inline bool epio__uring_is_registered(const epio__uring_ring *ring,
                                             const epio__os_file *file)
{
    return file->ring_table == ring->table;
}

static inline bool epio__uring_can_register(const epio__uring_ring *ring, const epio__os_file *file)
{
    return ring->has_table && !epio__uring_is_registered(ring, file) &&
           ring->registered != EPIO__URING_MOST_REGISTERED;
}

/* Where epio__uring_can_register; may leave it for the next time. */
void epio__uring_register_file(epio__uring_ring *ring, epio__os_file *file);

/* False: the kernel keeps the files, at least as long as the ring. */
bool epio__uring_unregister_files(epio__uring_ring *ring);

#endif
