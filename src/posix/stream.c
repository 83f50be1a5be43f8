/* Pipes, FIFOs, sockets and terminals: transfers that never block a thread, and the queues of
 * those that wait. The backend waits for the descriptor. */
#include "posix/stream.h"

#include "atomics.h"
#include "list.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* the signal guard covers it */
#endif

/* Parts per call. */
#ifdef IOV_MAX
#define MOST_PARTS IOV_MAX
#else
#define MOST_PARTS 16 /* the minimum that POSIX guarantees */
#endif

/* Bytes per call to a descriptor that is no socket and treats each part as a call of its own. */
#define LARGEST_TOGETHER 4096

/* The kernel reads an epio_iovec array as struct iovec. */
_Static_assert(sizeof(epio_iovec) == sizeof(struct iovec) &&
                   offsetof(epio_iovec, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(epio_iovec, len) == offsetof(struct iovec, iov_len),
               "the parts of an op are what readv(2) takes");

/* Limits one write: a fast reader at the other end could keep it running without end. */
#define ROUNDS_AT_ONCE 32

/* Delay before a retry on what poll(2) cannot watch. */
#define UNWATCHED_DELAY_NS UINT64_C(10000000)

/* ---- One transfer ---- */

/* Atomic: several threads may use one stream, by epio_perform. */
static bool has_note(const epio__os_file *file, uint32_t notes)
{
    return (epio__load_relaxed_u32(&file->stream) & notes) != 0;
}

static short events_for(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_READS) ? POLLIN : POLLOUT;
}

static short ready_events(const epio_op *op)
{
    struct pollfd entry = {.fd = epio__descriptor_of(op), .events = events_for(op)};
    return poll(&entry, 1, 0) > 0 ? entry.revents : 0;
}

static int64_t transfer_parts(const epio_op *op, struct iovec *parts, int count)
{
    const epio__os_file *file = epio__os_file_of(op);
    int descriptor = (int)file->transfer_handle;
    bool reads = epio__op_is(op, EPIO__KIND_READS);
    if (has_note(file, EPIO__STREAM_SOCKET)) {
        struct msghdr message = {.msg_iov = parts};
        message.msg_iovlen = (uint16_t)count; /* int on one system, size_t on another: fits both */
        return reads ? recvmsg(descriptor, &message, MSG_DONTWAIT)
                     : sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (reads && has_note(file, EPIO__STREAM_READS_AT_OFFSET)) {
        return preadv(descriptor, parts, count, (off_t)op->arguments.io.offset);
    }
    return reads ? readv(descriptor, parts, count) : writev(descriptor, parts, count);
}

static int64_t transfer_some(const epio_op *op, uint64_t limit)
{
    /* In one call as the caller passed them: a reader of messages gets them as one. */
    if (epio__op_is(op, EPIO__KIND_VECTORED) && op->progress == 0 && limit == UINT64_MAX &&
        op->arguments.io.len <= MOST_PARTS) {
        return transfer_parts(op, op->arguments.io.base, (int)op->arguments.io.len);
    }
    struct iovec parts[EPIO__PARTS_AT_ONCE];
    epio__cursor cursor = epio__cursor_at(op, op->progress);
    int count = epio__cursor_parts(op, cursor, limit, parts);
    return transfer_parts(op, parts, count);
}

static void copy_parts(const epio_op *op, char *memory, uint64_t bytes)
{
    const epio_iovec *part = op->arguments.io.base;
    for (uint64_t done = 0; done < bytes; part++) {
        uint64_t len = bytes - done < part->len ? bytes - done : part->len;
        if (len != 0 && epio__op_is(op, EPIO__KIND_READS)) {
            memcpy(part->base, memory + done, (size_t)len);
        } else if (len != 0) {
            memcpy(memory + done, part->base, (size_t)len);
        }
        done += len;
    }
}

/* Kernel counters, timers and watches, and descriptors that are no files, take each part as a
 * write of its own, and fill only one part per read. Their transfers are small, so the parts are
 * joined. */
static int64_t transfer_together(const epio_op *op)
{
    char memory[LARGEST_TOGETHER];
    int descriptor = epio__descriptor_of(op);
    uint64_t bytes = epio_op_bytes(op);
    if (epio__op_is(op, EPIO__KIND_READS)) {
        size_t room = bytes < sizeof memory ? (size_t)bytes : sizeof memory;
        ssize_t got = read(descriptor, memory, room);
        if (got > 0) {
            copy_parts(op, memory, (uint64_t)got);
        }
        return got;
    }
    if (bytes > sizeof memory) {
        errno = EINVAL;
        return -1;
    }
    copy_parts(op, memory, bytes);
    return write(descriptor, memory, (size_t)bytes);
}

static int64_t transfer_message(const epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    if (!epio__op_is(op, EPIO__KIND_VECTORED) || op->arguments.io.len <= 1) {
        return transfer_some(op, UINT64_MAX);
    }
    if (op->arguments.io.len > MOST_PARTS) {
        errno = EINVAL;
        return -1;
    }
    bool takes_parts =
        has_note(file, EPIO__STREAM_SOCKET) ||
        (epio__op_is(op, EPIO__KIND_READS) && has_note(file, EPIO__STREAM_READS_AT_OFFSET));
    return takes_parts ? transfer_some(op, UINT64_MAX) : transfer_together(op);
}

/* True if it would have to wait, as far as is known without trying. */
static bool would_block(epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    if (has_note(file, EPIO__STREAM_NONBLOCKING | EPIO__STREAM_SOCKET)) {
        return false;
    }
    return ready_events(op) == 0;
}

/* A blocking pipe reported writable takes PIPE_BUF bytes at once, and perhaps no more: poll(2),
 * pipe(7). A terminal guarantees a single byte. */
static uint64_t write_limit(const epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    if (has_note(file, EPIO__STREAM_NONBLOCKING | EPIO__STREAM_SOCKET)) {
        return UINT64_MAX; /* the kernel reports when it has to wait */
    }
    return has_note(file, EPIO__STREAM_TERMINAL) ? 1 : PIPE_BUF;
}

static bool attempt_read(epio_op *op, int64_t *result)
{
    epio__os_file *file = epio__os_file_of(op);
    for (;;) {
        if (would_block(op)) {
            return false;
        }
        int64_t done = has_note(file, EPIO__STREAM_MESSAGES) ? transfer_message(op)
                                                             : transfer_some(op, UINT64_MAX);
        if (done > 0) {
            if (has_note(file, EPIO__STREAM_AWAITS_WRITER)) {
                epio__clear_bits_u32(&file->stream, EPIO__STREAM_AWAITS_WRITER);
            }
            *result = done;
            return true;
        }
        if (done == 0) {
            /* Without a writer a FIFO reads as ended; poll(2) tells the difference until the
             * first writer. */
            if (has_note(file, EPIO__STREAM_AWAITS_WRITER) && ready_events(op) == 0) {
                return false;
            }
            *result = 0;
            return true;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        }
        if (errno != EINTR) {
            *result = epio__op_fail(op);
            return true;
        }
    }
}

/* In one call, whose result is the result of the op. */
static bool attempt_message(epio_op *op, int64_t *result)
{
    int64_t bytes = (int64_t)epio_op_bytes(op);
    int64_t done;
    do {
        if (would_block(op)) {
            return false;
        }
        done = transfer_message(op);
    } while (done < 0 && errno == EINTR);
    if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return false;
    }
    if (done >= 0 && done != bytes) {
        errno = EIO; /* the rest would be another message */
    }
    *result = done == bytes ? done : epio__op_fail(op);
    return true;
}

static bool attempt_write(epio_op *op, int64_t *result)
{
    uint64_t bytes = epio_op_bytes(op);
    for (int round = 0; op->progress < bytes; round++) {
        if (round == ROUNDS_AT_ONCE || would_block(op)) {
            return false;
        }
        int64_t done = transfer_some(op, write_limit(op));
        if (done >= 0) {
            op->progress += (uint64_t)done;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        } else if (errno != EINTR) {
            *result = epio__op_fail(op);
            return true;
        }
    }
    *result = (int64_t)bytes;
    return true;
}

bool epio__stream_attempt(epio_op *op, int64_t *result)
{
    bool messages = has_note(epio__os_file_of(op), EPIO__STREAM_MESSAGES);
    bool reads = epio__op_is(op, EPIO__KIND_READS);
    bool may_be_empty = messages && !reads && has_note(epio__os_file_of(op), EPIO__STREAM_SOCKET);
    if (epio_op_bytes(op) == 0 && !may_be_empty) {
        *result = 0;
        return true;
    }
    if (reads) {
        return attempt_read(op, result);
    }
    epio__signal_guard guard;
    epio__signal_guard_begin(&guard, SIGPIPE);
    bool ended = messages ? attempt_message(op, result) : attempt_write(op, result);
    epio__signal_guard_end(&guard, ended && *result < 0);
    return ended;
}

/* There is no readiness event for it: the op is retried after a delay. A write that has begun
 * cannot be restarted, and keeps the thread. True: it waited. */
static bool wait_unwatched(epio_op *op, uint64_t deadline)
{
    uint64_t due = epio__monotonic_time() + UNWATCHED_DELAY_NS;
    if (op->progress == 0) {
        op->due = due;
        return false;
    }
    epio__sleep_until(due < deadline ? due : deadline);
    return true;
}

int64_t epio__stream_perform(epio_op *op)
{
    int64_t result;
    uint64_t deadline = op->timeout_ns != 0 ? op->timeout_ns : EPIO_FOREVER;
    while (!epio__stream_attempt(op, &result)) {
        struct pollfd entry = {.fd = epio__descriptor_of(op), .events = events_for(op)};
        int ready = poll(&entry, 1, epio__milliseconds_until(deadline));
        if (ready < 0 && errno != EINTR) {
            return epio__op_fail(op);
        }
        if (ready > 0 && (entry.revents & POLLNVAL) != 0) {
            if (!wait_unwatched(op, deadline)) {
                return EPIO_RETRY;
            }
            ready = 0;
        }
        if (ready == 0 && epio__monotonic_time() >= deadline) {
            return EPIO_ETIMEDOUT;
        }
    }
    return result;
}

#if EPIO_ASYNC

/* ---- Waiting ops ---- */

static epio_node *queue_of(epio_op *op)
{
    epio__os_file *file = epio__os_file_of(op);
    return epio__op_is(op, EPIO__KIND_READS) ? &file->readers : &file->writers;
}

static epio_op *op_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, queue);
}

static uint32_t interest_of(const epio__os_file *file)
{
    return (epio_list_empty(&file->readers) ? 0u : EPIO__WATCH_READ) |
           (epio_list_empty(&file->writers) ? 0u : EPIO__WATCH_WRITE);
}

static int update_watch(epio__streams *streams, epio__os_file *file)
{
    uint32_t interest = interest_of(file);
    if (interest == file->polled_events) {
        return 0;
    }
    int error = streams->watch(streams->state, file, interest);
    if (error != 0) {
        return error;
    }
    if (file->polled_events == 0) {
        (*streams->count)++;
    } else if (interest == 0) {
        (*streams->count)--;
    }
    file->polled_events = interest;
    return 0;
}

bool epio__stream_submit(epio__streams *streams, epio_op *op)
{
    epio__os_file *file = epio__os_file_of(op);
    bool stream = (file->base.attributes & EPIO_FILE_STREAM) != 0;
    if (!stream || has_note(file, EPIO__STREAM_CANNOT_BE_WATCHED)) {
        return false;
    }
    epio_node *queue = queue_of(op);
    int64_t result;
    if (epio_list_empty(queue) && epio__stream_attempt(op, &result)) {
        epio_complete(op, result);
        return true;
    }
    epio_list_append(queue, &op->queue);
    int error = update_watch(streams, file);
    if (error == 0) {
        return true;
    }
    op->os_error = errno;
    epio_list_remove(&op->queue);
    if (error == EPIO_ENOTSUP) {
        epio__set_bits_u32(&file->stream, EPIO__STREAM_CANNOT_BE_WATCHED);
        return false;
    }
    epio_complete(op, error);
    return true;
}

static void advance(epio_node *queue)
{
    while (!epio_list_empty(queue)) {
        epio_op *op = op_of(queue->next);
        int64_t result;
        if (!epio__stream_attempt(op, &result)) {
            return;
        }
        epio_list_remove(&op->queue);
        epio_complete(op, result);
    }
}

static void fail_all(epio_node *queue, int error)
{
    while (!epio_list_empty(queue)) {
        epio_op *op = op_of(queue->next);
        epio_list_remove(&op->queue);
        epio_complete(op, error);
    }
}

void epio__stream_ready(epio__streams *streams, epio__os_file *file, uint32_t ready)
{
    if (file->polled_events != 0) {
        (*streams->count)--;
    }
    file->polled_events = 0; /* a watch reports one event */
    if ((ready & EPIO__WATCH_READ) != 0) {
        advance(&file->readers);
    }
    if ((ready & EPIO__WATCH_WRITE) != 0) {
        advance(&file->writers);
    }
    int error = update_watch(streams, file);
    if (error != 0) {
        fail_all(&file->readers, error);
        fail_all(&file->writers, error);
    }
}

static void offload_all(epio_node *queue)
{
    while (!epio_list_empty(queue)) {
        epio_op *op = op_of(queue->next);
        epio_list_remove(&op->queue);
        epio_offload(op);
    }
}

void epio__stream_unwatchable(epio__streams *streams, epio__os_file *file)
{
    if (file->polled_events != 0) {
        (*streams->count)--;
    }
    file->polled_events = 0;
    epio__set_bits_u32(&file->stream, EPIO__STREAM_CANNOT_BE_WATCHED);
    offload_all(&file->readers);
    offload_all(&file->writers);
}

bool epio__stream_cancel(epio__streams *streams, epio_op *op)
{
    if (!epio__op_transfers(op) || !epio__op_is_on_stream(op)) {
        return false;
    }
    epio__os_file *file = epio__os_file_of(op);
    if (has_note(file, EPIO__STREAM_CANNOT_BE_WATCHED)) {
        return false; /* a worker has it */
    }
    if (op->queue.next == NULL) {
        return false; /* it is not waiting */
    }
    epio_list_remove(&op->queue);
    (void)update_watch(streams, file);
    return true;
}

#endif
