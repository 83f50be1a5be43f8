/* Linux: reads and writes that would wait for the disk go to an io_uring, and buffered writes where
 * os_vfs.c finds that the kernel's threads are quicker than workers; streams, wakes and
 * timers are left to epoll, whose descriptor the ring polls beside its own completions. Here is
 * the backend made of the two: which of them gets an op, and what a poll, an embedding and a
 * release mean for both. uring_ops.c has the ops that go through the ring, uring_ring.c the ring.
 *
 * The kernel keeps files in a ring open: after the process has ended, until the transfer ends,
 * and for a moment after the completion if a kernel thread carried it out. But a closed file must
 * be closed for other processes too: so the descriptor that holds a lock never enters a ring
 * (range_lock.c), a direct transfer on a file open for writing never goes to a kernel thread, and a
 * buffered write ends when the kernel has let go of the file (uring_ops.c). */
#include "list.h"
#include "posix/backends.h"
#include "posix/kernel_transfer.h"
#include "posix/uring_ops.h"

#include <stdlib.h>

/* ---- Opening and closing ---- */

static void uring_close(void *opaque)
{
    epio__uring *state = opaque;
    epio__uring_ring_close(&state->ring);
    epio__uring_sentinel_close(&state->ring);
    epio__backend_epoll.close(state->epoll);
    free(state);
}

/* While a child has the ring, it does not end and keeps its files open. */
static void uring_forked(void *opaque)
{
    epio__uring *state = opaque;
    epio__uring_ring_abandon(&state->ring);
}

static void uring_abandon(void *opaque)
{
    epio__uring *state = opaque;
    epio__uring_sentinel_close(&state->ring);
    epio__backend_epoll.abandon(state->epoll);
    free(state);
}

static int uring_open(uint64_t *pending_events, void **opened)
{
    epio__uring *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return EPIO_ENOMEM;
    }
    state->pending_events = pending_events;
    epio__uring_ring_init(&state->ring);
    epio_list_init(&state->waiting);
    epio_list_init(&state->in_ring);
    int error = epio__backend_epoll.open(pending_events, &state->epoll);
    if (error != 0) {
        free(state);
        return error;
    }
    if (!epio__uring_ring_open(&state->ring, -1)) {
        uring_close(state);
        return EPIO_ENOTSUP;
    }
    *opened = state;
    return 0;
}

/* ---- Accepting ops ---- */

static void uring_flush(void *opaque)
{
    epio__uring *state = opaque;
    if (!epio__uring_flush(state) && state->embedded) {
        epio__backend_epoll.wake(state->epoll); /* to try again */
    }
}

/* Of buffered reads only those that were not in memory. */
static bool waits_for_the_disk(const epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    if (file->direct) {
        return true;
    }
    return epio__op_is(op, EPIO__KIND_READS) && (op->notes & EPIO__NOTE_MISSED_CACHE) != 0 &&
           epio__load_relaxed_u32(&file->cached_reads) != EPIO__CACHED_READS_NEVER;
}

static bool uring_submit(void *opaque, epio_op *op)
{
    epio__uring *state = opaque;
    if (!epio__op_is_at_offset(op)) {
        return epio__backend_epoll.submit(state->epoll, op);
    }
    if (state->refused || !waits_for_the_disk(op) || !epio__kernel_transfer_fits(op) ||
        epio__uring_excludes(op)) {
        return false;
    }
    epio__uring_enqueue(state, op);
    if (++state->accepted == EPIO__KERNEL_TRANSFERS_AT_ONCE) {
        uring_flush(state);
    }
    return true;
}

/* Not for servers and programs that serve file systems: what hangs there must not take the kernel's
 * threads from others. */
static bool uring_write_behind(void *opaque, epio_op *op)
{
    epio__uring *state = opaque;
    if (state->refused || !epio__uring_writes_behind(&state->ring.io) ||
        (op->file->attributes & EPIO_FILE_LOCAL) == 0 || !epio__kernel_transfer_fits(op) ||
        epio__uring_excludes(op)) {
        return false;
    }
    epio__uring_enqueue(state, op);
    return true;
}

static uint64_t uring_writes_behind(void *opaque)
{
    const epio__uring *state = opaque;
    return state->writes_behind;
}

/* ---- Polling ---- */

/* Completions signal the wake descriptor, which an embedded loop's host waits for. It is reset
 * after a poll, and polled once more for what arrived in between. What is left even then is
 * not signalled again. */
static void poll_embedded(epio__uring *state, uint64_t deadline)
{
    epio__epoll_disarm(state->epoll);
    if (deadline != 0) {
        epio__uring_wait(state, deadline);
    } else {
        epio__uring_poll(state);
    }
    epio__backend_epoll.poll(state->epoll, 0);
    epio__uring_poll(state);
    if (epio__uring_has_more(state)) {
        epio__backend_epoll.wake(state->epoll);
    }
}

static void uring_poll(void *opaque, uint64_t deadline)
{
    epio__uring *state = opaque;
    if (!epio__uring_fill(state)) {
        return;
    }
    if (state->in_kernel == 0) {
        epio__backend_epoll.poll(state->epoll, deadline);
    } else if (state->refused) {
        epio__backend_epoll.poll(state->epoll, deadline);
        if (epio__uring_ring_has_ended(&state->ring, 0)) {
            epio__uring_drain(state);
        }
    } else if (state->embedded) {
        poll_embedded(state, deadline);
    } else if (deadline != 0) {
        epio__uring_wait(state, deadline);
    } else {
        epio__uring_poll(state);
        if (*state->pending_events != state->ops) {
            epio__backend_epoll.poll(state->epoll, 0);
        }
    }
}

/* ---- Other calls ---- */

static bool uring_cancel(void *opaque, epio_op *op)
{
    epio__uring *state = opaque;
    return epio__op_is_at_offset(op) ? epio__uring_cancel(state, op)
                                     : epio__backend_epoll.cancel(state->epoll, op);
}

/* A ring serves the thread that created it, and the kernel cancels what is in it when that thread
 * ends. */
static void uring_release(void *opaque)
{
    epio__uring *state = opaque;
    while (state->in_kernel != 0 && !state->refused) {
        epio__uring_wait(state, EPIO_FOREVER);
    }
    if (state->in_kernel != 0) {
        epio__uring_drain(state);
    }
    epio__uring_ring_close(&state->ring);
    epio__uring_sentinel_close(&state->ring);
    if (state->embedded && !epio_list_empty(&state->waiting)) {
        epio__backend_epoll.wake(state->epoll);
    }
}

static void uring_forget(void *opaque, epio__os_file *file)
{
    epio__uring *state = opaque;
    epio__uring_forget(state, file);
    epio__backend_epoll.forget(state->epoll, file);
}

static int uring_register_buffers(void *opaque, const epio_iovec *parts, size_t count)
{
    return epio__uring_register_buffers(opaque, parts, count);
}

static void uring_wake(void *opaque)
{
    const epio__uring *state = opaque;
    epio__backend_epoll.wake(state->epoll);
}

static void uring_arm(void *opaque, uint64_t deadline)
{
    const epio__uring *state = opaque;
    epio__backend_epoll.arm(state->epoll, deadline);
}

static void embed(epio__uring *state)
{
    if (state->embedded) {
        return;
    }
    if (state->ring.open) {
        if (!epio__uring_ring_signals(&state->ring, epio__epoll_wake_descriptor(state->epoll))) {
            epio__uring_give_up(state);
        }
        if (state->in_kernel != 0) {
            epio__backend_epoll.wake(state->epoll); /* there may be completions already */
        }
    }
    state->embedded = true;
}

static intptr_t uring_handle(void *opaque)
{
    epio__uring *state = opaque;
    embed(state);
    return epio__backend_epoll.handle(state->epoll);
}

static int uring_notify(void *opaque, void (*ready)(void *user), void *user)
{
    epio__uring *state = opaque;
    embed(state);
    return epio__backend_epoll.notify(state->epoll, ready, user);
}

const epio__backend epio__backend_uring = {
    .name = "uring",
    .pins_files = true,
    .waits_precisely = true,
    .open = uring_open,
    .close = uring_close,
    .forked = uring_forked,
    .abandon = uring_abandon,
    .submit = uring_submit,
    .read_together = epio__uring_read_together,
    .write_behind = uring_write_behind,
    .writes_behind = uring_writes_behind,
    .flush = uring_flush,
    .poll = uring_poll,
    .cancel = uring_cancel,
    .forget = uring_forget,
    .register_buffers = uring_register_buffers,
    .wake = uring_wake,
    .handle = uring_handle,
    .arm = uring_arm,
    .notify = uring_notify,
    .release = uring_release,
};
