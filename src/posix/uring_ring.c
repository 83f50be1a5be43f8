/* The ring itself: how it is made, its table of files, its end. It knows no ops; what is in the
 * ring is uring_ops.c's. */
#include "posix/uring_ring.h"
#include "posix/descriptor.h"
#include "posix/wake_pipe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* The slot after those of registered files is the sentinel's. */
#define SLOTS (EPIO__URING_MOST_REGISTERED + 1)

void epio__uring_ring_init(epio__uring_ring *ring)
{
    memset(ring, 0, sizeof *ring);
    ring->table = 1;
    ring->sentinel = -1;
}

/* ---- Opening and closing ---- */

/* Best first. With DEFER_TASKRUN completions are processed when the owner asks for them and never
 * interrupt it, with COOP_TASKRUN at its next system call; both set a flag in memory when there
 * are some. */
static int make_ring(struct io_uring *io)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int error = -EINVAL;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && error == -EINVAL; i++) {
        struct io_uring_params parameters = {
            .flags = flags[i] | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = 2 * EPIO__URING_MOST_IN_KERNEL,
        };
        error = io_uring_queue_init_params(EPIO__URING_SUBMISSIONS, io, &parameters);
    }
    return error;
}

/* Its memory was mapped through the original descriptor, and stays mapped. */
static bool move_ring(struct io_uring *io)
{
    int moved = epio__descriptor_move(io->ring_fd);
    io->ring_fd = moved;
    io->enter_ring_fd = moved;
    return moved >= 0;
}

/* Registers the ring's table of files, with the only descriptor of a pipe's write end in it: so
 * the read end reports when the kernel is done with the ring and all that was in it. */
static bool fill_table(epio__uring_ring *ring)
{
    int ends[2];
    int files[SLOTS];
    if (epio__wake_pipe_open(ends) != 0) {
        return false;
    }
    memset(files, -1, sizeof files);
    files[EPIO__URING_MOST_REGISTERED] = ends[1];
    bool filled = io_uring_register_files(&ring->io, files, SLOTS) == 0;
    ring->sentinel = ends[0];
    (void)close(ends[1]);
    return filled;
}

/* The ring's descriptor is not registered, which would save 0.1 us per call: should the kernel
 * refuse further calls, a registered ring could not end before its thread. */
bool epio__uring_ring_open(epio__uring_ring *ring, int wake)
{
    if (make_ring(&ring->io) != 0) {
        return false;
    }
    /* A wait with a timeout (Linux 5.11), and no completion lost even if the queue is full. */
    unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
    bool fit = move_ring(&ring->io) && (ring->io.features & needed) == needed;
    if (!fit || (wake >= 0 && !epio__uring_ring_signals(ring, wake)) || !fill_table(ring)) {
        io_uring_queue_exit(&ring->io);
        epio__uring_sentinel_close(ring);
        return false;
    }
    ring->has_table = true;
    ring->open = true;
    return true;
}

bool epio__uring_ring_signals(epio__uring_ring *ring, int wake)
{
    return io_uring_register_eventfd(&ring->io, wake) == 0;
}

void epio__uring_ring_abandon(epio__uring_ring *ring)
{
    if (ring->open) {
        ring->open = false;
        io_uring_queue_exit(&ring->io);
    }
}

void epio__uring_ring_close(epio__uring_ring *ring)
{
    if (ring->open && ring->registered != 0) {
        (void)epio__uring_unregister_files(ring); /* now, not when the kernel gets to it */
    }
    epio__uring_ring_abandon(ring);
}

void epio__uring_sentinel_close(epio__uring_ring *ring)
{
    if (ring->sentinel >= 0) {
        (void)close(ring->sentinel);
        ring->sentinel = -1;
    }
}

bool epio__uring_ring_has_ended(const epio__uring_ring *ring, int milliseconds)
{
    struct pollfd sentinel = {.fd = ring->sentinel, .events = POLLIN};
    return poll(&sentinel, 1, milliseconds) > 0;
}

/* ---- The table of registered files ---- */

bool epio__uring_unregister_files(epio__uring_ring *ring)
{
    int none[EPIO__URING_MOST_REGISTERED];
    unsigned count = ring->registered;
    memset(none, -1, sizeof none);
    ring->registered = 0;
    ring->table++;
    return io_uring_register_files_update(&ring->io, 0, none, count) == (int)count;
}

void epio__uring_register_file(epio__uring_ring *ring, epio__os_file *file)
{
    int descriptor = (int)file->transfer_handle;
    if (io_uring_sq_ready(&ring->io) != 0) {
        return; /* unsubmitted entries may still name a slot of an older table */
    }
    if (io_uring_register_files_update(&ring->io, ring->registered, &descriptor, 1) != 1) {
        ring->has_table = false;
        return;
    }
    file->ring_table = ring->table;
    file->ring_index = ring->registered++;
}
