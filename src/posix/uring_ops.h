/* The ops that go through the ring: the backend's state, and all that puts entries into the ring
 * or takes completions out. Which ops those are, and what else a poll does, is uring.c's. */
#ifndef EPIO_URING_OPS_H
#define EPIO_URING_OPS_H

#include "posix/posix.h"
#include "posix/uring_entries.h"
#include "posix/uring_ring.h"

typedef struct epio__uring {
    epio__uring_ring ring;
    epio__uring_buffers buffers;
    void *epoll;
    bool refused;           /* no ring is allowed any more: all goes to workers */
    bool embedded;          /* completions have to make epoll's descriptor readable */
    bool polls_epoll;       /* a poll of epoll's descriptor is in the ring */
    bool writes;            /* there are writes among the unsubmitted entries */
    uint32_t batches;       /* successive batches since the table was empty */
    uint32_t accepted;      /* transfers since the last flush */
    uint32_t in_kernel;     /* ops that have an entry */
    uint64_t ops;           /* those and the waiting ones */
    uint64_t writes_behind; /* those of `ops` that threads of the kernel carry out */
    epio_node waiting;
    epio_node in_ring;      /* ops that have an entry, except those in `started` */
    uint32_t listed;        /* length of in_ring */
    uint32_t started_count; /* how many in `started` are in use */
    epio_op *started[EPIO__URING_MOST_IN_KERNEL];
    uint64_t *pending_events; /* ops, and epoll's streams */
} epio__uring;

/* The file of the op must not be in a ring. */
static inline bool epio__uring_excludes(const epio_op *op)
{
    return epio__load_relaxed_u32(&epio__os_file_of(op)->keeps_from_ring) != 0;
}

/* The op waits for the next fill. */
void epio__uring_enqueue(epio__uring *state, epio_op *op);
/* Withdraws an op that still waits: true. Else asks the kernel to cancel it. */
bool epio__uring_cancel(epio__uring *state, epio_op *op);

/* Moves waiting ops into the ring, as many as fit. False: no ring can be had, and the loop has
 * new work for its workers. */
bool epio__uring_fill(epio__uring *state);
/* Fills the ring and submits. False: the kernel has left entries for the next time. */
bool epio__uring_flush(epio__uring *state);

/* See epio__backend.read_together. */
epio_node *epio__uring_read_together(void *state, epio_node *first, uint32_t count);

/* Submits what is prepared, and takes completions that are there. */
void epio__uring_poll(epio__uring *state);
/* There are more that the kernel has signalled: a call hands out only so many. */
bool epio__uring_has_more(const epio__uring *state);
/* Waits until the ring or epoll has something, or the deadline. */
void epio__uring_wait(epio__uring *state, uint64_t deadline);

/* See epio__backend.register_buffers. */
int epio__uring_register_buffers(epio__uring *state, const epio_iovec *parts, size_t count);

/* The ring lets go of a file on which no op is in flight. */
void epio__uring_forget(epio__uring *state, const epio__os_file *file);

/* Closes a ring that the kernel refuses to serve. Its ops go to workers in epio__uring_drain, once
 * the sentinel says that it has ended. */
void epio__uring_give_up(epio__uring *state);
/* Waits for the end of the ring that was given up. */
void epio__uring_drain(epio__uring *state);

#endif
