/* liburing at its fastest: a single issuer, deferred completions, and one system call for all
 * submissions and completions; once without and once with the file and the buffers registered. */
#include "engine.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

struct context {
    bench_queue queue;
    struct io_uring ring;
    bool has_ring;
    bool registered;
    int descriptor;   /* or the index of the registered file */
    size_t in_flight; /* completions still to arrive */
};

/* The last step of an entry: preparing it clears the flags. The tag is that of the slot's first
 * operation, or of the flush of its append. */
static void finish_entry(struct context *context, struct io_uring_sqe *entry, unsigned int flags,
                         const bench_slot *slot, bool flushes)
{
    uint64_t tag = (uint64_t)(slot - context->queue.slots) * 2;

    io_uring_sqe_set_flags(entry, flags | (context->registered ? IOSQE_FIXED_FILE : 0));
    io_uring_sqe_set_data64(entry, tag + flushes);
    context->in_flight++;
}

static void submit_transfer(struct context *context, const bench_slot *slot, unsigned int flags)
{
    /* For reads and writes, unregistered and registered buffers. */
    static const uint8_t codes[2][2] = {{IORING_OP_READ, IORING_OP_READ_FIXED},
                                        {IORING_OP_WRITE, IORING_OP_WRITE_FIXED}};
    const bench_queue *queue = &context->queue;
    /* There is an entry for each operation in flight. */
    struct io_uring_sqe *entry = io_uring_get_sqe(&context->ring);

    io_uring_prep_rw(codes[slot->writes][context->registered], entry, context->descriptor,
                     slot->buffer, queue->bytes, bench_slot_offset(queue, slot));
    entry->buf_index = (uint16_t)(context->registered ? slot - queue->slots : 0);
    finish_entry(context, entry, flags, slot, false);
}

static void start(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;
    struct io_uring_sqe *entry;

    if (queue->workload->kind != BENCH_APPEND) {
        submit_transfer(context, slot, 0);
        return;
    }
    submit_transfer(context, slot, IOSQE_IO_LINK);
    entry = io_uring_get_sqe(&context->ring);
    io_uring_prep_fsync(entry, context->descriptor, IORING_FSYNC_DATASYNC);
    finish_entry(context, entry, 0, slot, true);
}

static void complete(struct context *context, const struct io_uring_cqe *completion)
{
    uint64_t tag = io_uring_cqe_get_data64(completion);
    bench_queue *queue = &context->queue;
    bench_slot *slot = &queue->slots[tag / 2];
    int64_t result = completion->res < 0 ? epio_error_from_os(-completion->res) : completion->res;

    context->in_flight--;
    slot->flushing = tag % 2 == 1;
    if (queue->workload->kind != BENCH_APPEND || slot->flushing) {
        bench_queue_done(queue, slot, result);
    } else if (result != (int64_t)queue->bytes) {
        bench_queue_fail(queue, result);
    }
}

static int wait_for_all(bench_queue *queue)
{
    struct context *context = (struct context *)queue;

    while (context->in_flight > 0) {
        int submitted = io_uring_submit_and_wait(&context->ring, 1);
        struct io_uring_cqe *completion;
        unsigned int head, count = 0;

        if (submitted < 0 && submitted != -EINTR) {
            return epio_error_from_os(-submitted);
        }
        io_uring_for_each_cqe(&context->ring, head, completion)
        {
            complete(context, completion);
            count++;
        }
        io_uring_cq_advance(&context->ring, count);
    }
    return 0;
}

/* The best first; older kernels support fewer flags. */
static int open_ring(struct context *context)
{
    static const unsigned int flags[] = {
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
#if defined(IORING_SETUP_COOP_TASKRUN)
        IORING_SETUP_COOP_TASKRUN,
#endif
        0,
    };
    unsigned int entries = (unsigned int)context->queue.slot_count * 2;
    int result = -EINVAL;
    size_t i;

    for (i = 0; i < sizeof flags / sizeof flags[0] && result == -EINVAL; i++) {
        result = io_uring_queue_init(entries, &context->ring, flags[i]);
    }
    context->has_ring = result == 0;
    /* The kernel lacks io_uring, or a container forbids it. */
    return result == 0 ? 0 : EPIO_ENOTSUP;
}

static int register_buffers(struct context *context)
{
    size_t count = context->queue.slot_count, i;
    struct iovec *buffers = calloc(count, sizeof *buffers);
    int result;

    if (buffers == NULL) {
        return -ENOMEM;
    }
    for (i = 0; i < count; i++) {
        buffers[i].iov_base = context->queue.slots[i].buffer;
        buffers[i].iov_len = context->queue.workload->size;
    }
    result = io_uring_register_buffers(&context->ring, buffers, (unsigned int)count);
    free(buffers);
    return result;
}

/* Limits (RLIMIT_MEMLOCK) may forbid it. */
static int register_all(struct context *context)
{
    if (io_uring_register_files(&context->ring, &context->descriptor, 1) != 0 ||
        register_buffers(context) != 0) {
        return EPIO_ENOTSUP;
    }
    context->registered = true;
    context->descriptor = 0;
    return 0;
}

static int open_context(void *argument, const bench_setup *setup)
{
    struct context *context = argument;
    int error;

    context->descriptor = (int)bench_target_handle(setup->target);
    error = open_ring(context);
    if (error == 0 && (setup->engine->with & BENCH_WITH_REGISTERED) != 0) {
        error = register_all(context);
    }
    return error;
}

static void close_context(void *argument)
{
    struct context *context = argument;

    if (context->has_ring) {
        io_uring_queue_exit(&context->ring);
    }
}

const bench_methods bench_liburing = {
    .size = sizeof(struct context),
    .open = open_context,
    .close = close_context,
    .start = start,
    .wait = wait_for_all,
};
