/* Direct transfers by the AIO of the Linux kernel (io_submit(2)), for where there is no ring: many
 * containers forbid rings, but not this. Buffered ones it would only carry out within the call. */
#ifndef EPIO_LINUX_AIO_H
#define EPIO_LINUX_AIO_H

#include "posix/posix.h"

#include <linux/aio_abi.h>

struct epio__aio_ring;

/* In flight: more than disks queue. */
#define EPIO__AIO_MOST_IN_KERNEL 128u

typedef struct epio__linux_aio {
    aio_context_t context;       /* 0: none yet */
    struct epio__aio_ring *ring; /* its completions, in memory shared with the kernel */
    bool refused;                /* the system has none, or none any more: all goes to workers */
    bool offloaded;              /* the present flush has given ops to workers */
    bool writes;                 /* there are writes in `waiting` */
    int event;                   /* an eventfd, which completions signal */
    uint32_t accepted;           /* since the last flush */
    uint32_t in_kernel;
    epio_node waiting;
    uint64_t *pending_events;
    struct iocb blocks[EPIO__AIO_MOST_IN_KERNEL];
    uint8_t order[EPIO__AIO_MOST_IN_KERNEL]; /* of the blocks: `in_kernel` used ones come first */
} epio__linux_aio;

void epio__linux_aio_init(epio__linux_aio *aio, int event, uint64_t *pending_events);
/* Nothing is in flight. Not in a forked child, which does not have it. */
void epio__linux_aio_close(epio__linux_aio *aio);

/* True: accepted, for a flush, which every few bring with them. */
bool epio__linux_aio_submit(epio__linux_aio *aio, epio_op *op);
/* Withdraws an op that still waits: true. Any other ends by itself. */
bool epio__linux_aio_cancel(epio__linux_aio *aio, epio_op *op);

/* Submits those that wait. False: some went to workers instead, and the loop has new work. */
bool epio__linux_aio_flush(epio__linux_aio *aio);
/* Takes the completions that are there. */
void epio__linux_aio_reap(epio__linux_aio *aio);

#endif
