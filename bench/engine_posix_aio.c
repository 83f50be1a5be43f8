/* POSIX AIO: one control block per slot, and aio_suspend until one of them has ended. */
#include "engine.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct context {
    bench_queue queue;
    int descriptor;
    struct aiocb *blocks;
    const struct aiocb **waited_for; /* per slot; NULL: not in flight */
    size_t in_flight;
};

static struct aiocb *prepare(struct context *context, const bench_slot *slot)
{
    struct aiocb *block = &context->blocks[slot - context->queue.slots];

    memset(block, 0, sizeof *block);
    block->aio_fildes = context->descriptor;
    block->aio_sigevent.sigev_notify = SIGEV_NONE;
    return block;
}

static void note_begun(struct context *context, const struct aiocb *block, int result)
{
    if (result != 0) {
        bench_queue_fail(&context->queue, epio_error_from_os(errno));
        return;
    }
    context->waited_for[block - context->blocks] = block;
    context->in_flight++;
}

static void start(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;
    struct aiocb *block = prepare(context, slot);

    block->aio_buf = slot->buffer;
    block->aio_nbytes = queue->bytes;
    block->aio_offset = (off_t)bench_slot_offset(queue, slot);
    note_begun(context, block, !slot->writes ? aio_read(block) : aio_write(block));
}

static void flush(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;
    struct aiocb *block = prepare(context, slot);

    note_begun(context, block, aio_fsync(O_DSYNC, block));
}

static void complete(struct context *context, size_t index)
{
    int error = aio_error(context->waited_for[index]);
    int64_t result;

    if (error == EINPROGRESS) {
        return;
    }
    result = aio_return(&context->blocks[index]);
    context->waited_for[index] = NULL;
    context->in_flight--;
    bench_queue_done(&context->queue, &context->queue.slots[index],
                     error != 0 ? epio_error_from_os(error) : result);
}

static int wait_for_all(bench_queue *queue)
{
    struct context *context = (struct context *)queue;
    size_t i;

    while (context->in_flight > 0) {
        /* It fails otherwise only for a signal. */
        aio_suspend(context->waited_for, (int)queue->slot_count, NULL);
        for (i = 0; i < queue->slot_count; i++) {
            if (context->waited_for[i] != NULL) {
                complete(context, i);
            }
        }
    }
    return 0;
}

static int open_context(void *argument, const bench_setup *setup)
{
    struct context *context = argument;
    size_t count = context->queue.slot_count;

    context->descriptor = (int)bench_target_handle(setup->target);
    context->blocks = calloc(count, sizeof *context->blocks);
    context->waited_for = calloc(count, sizeof(const struct aiocb *));
    return context->blocks == NULL || context->waited_for == NULL ? EPIO_ENOMEM : 0;
}

static void close_context(void *argument)
{
    struct context *context = argument;

    free(context->waited_for);
    free(context->blocks);
}

const bench_methods bench_posix_aio = {
    .size = sizeof(struct context),
    .leaves_threads = true,
    .open = open_context,
    .close = close_context,
    .start = start,
    .flush = flush,
    .wait = wait_for_all,
};
