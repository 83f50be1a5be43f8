/* Whether a long write holds up short reads of the same loop. */
#include "engine.h"

#include <epio/vfs.h>

#include <stdlib.h>

#define WRITE_SIZE ((size_t)64 << 20)

struct context {
    bench_queue queue;
    epio_loop *loop;
    epio_file *file;
    epio_file *written; /* NULL: reads alone */
    unsigned char *data;
    void *memory;
    epio_op write;
    epio_op sync;
};

/* Where there is a write, its end is the turn's. */
static bool goes_on(const struct context *context)
{
    return context->written == NULL || epio_op_pending(&context->sync);
}

static void read_on(struct context *context)
{
    bench_queue *queue = &context->queue;
    bench_slot *slot = &queue->slots[0];
    epio_op op = {0};

    while (goes_on(context) && bench_queue_next(queue, slot)) {
        bench_queue_finish(
            queue, slot,
            epio_wait(epio_read(&op, context->file, slot->buffer, queue->workload->size,
                                bench_slot_offset(queue, slot))));
    }
}

static void end_write(struct context *context)
{
    while (epio_op_pending(&context->write) || epio_op_pending(&context->sync)) {
        epio_loop_poll(context->loop, EPIO_FOREVER, 0);
    }
    if (context->write.result < 0) {
        bench_queue_fail(&context->queue, context->write.result);
    } else if (context->sync.result < 0) {
        bench_queue_fail(&context->queue, context->sync.result);
    }
}

static int run(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;
    bool writes = context->written != NULL;

    bench_queue_begin(&context->queue, writes ? UINT64_MAX / 2 : nanoseconds, sample);
    if (writes) {
        epio_submit(epio_write(&context->write, context->written, context->data, WRITE_SIZE, 0));
        epio_submit(epio_sync(&context->sync, context->written, EPIO_SYNC_DATA_ONLY));
    }
    read_on(context);
    if (writes) {
        end_write(context);
    }
    return bench_queue_end(&context->queue);
}

static int open_written(struct context *context, const bench_options *options)
{
    context->memory = bench_aligned_memory(WRITE_SIZE, &context->data);
    if (context->memory == NULL) {
        return EPIO_ENOMEM;
    }
    return bench_file_open(options, epio_loop_vfs(context->loop), 0, &context->written);
}

static int open_context(const bench_setup *setup, bool writes, void **result)
{
    struct context *context = calloc(1, sizeof *context);
    int error;

    if (context == NULL) {
        return EPIO_ENOMEM;
    }
    *result = context;
    error = bench_queue_open(&context->queue, setup->target, 1);
    if (error == 0) {
        error = bench_loop_create(setup->backend, setup->mode, &context->loop);
    }
    if (error == 0) {
        error = bench_file_adopt(setup->target, 0, epio_loop_vfs(context->loop), &context->file);
    }
    return error == 0 && writes ? open_written(context, setup->options) : error;
}

static int open_alone(const bench_setup *setup, void **context)
{
    return open_context(setup, false, context);
}

static int open_beside(const bench_setup *setup, void **context)
{
    return open_context(setup, true, context);
}

static void close_context(void *argument)
{
    struct context *context = argument;

    if (context == NULL) {
        return;
    }
    bench_file_close(context->written);
    bench_file_close(context->file);
    epio_loop_destroy(context->loop);
    free(context->memory);
    bench_queue_close(&context->queue);
    free(context);
}

const bench_engine bench_engine_reads_alone = {
    .name = "epio, nothing beside",
    .roles = BENCH_ROLE_UNDISTURBED,
    .timed = true,
    .open = open_alone,
    .run = run,
    .close = close_context,
};

const bench_engine bench_engine_reads_beside_write = {
    .name = "epio, a write beside",
    .timed = true,
    .open = open_beside,
    .run = run,
    .close = close_context,
};
