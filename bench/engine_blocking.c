/* The engines of one thread that does one call after another: what a program
 * without any asynchronous files does, and what none can beat by much as long as
 * there is nothing to overlap. */
#include "engine.h"
#include "system.h"

#include <stdlib.h>

typedef int64_t read_function(intptr_t handle, void *buffer, size_t size, uint64_t offset);

struct context {
    bench_queue queue;
    intptr_t handle;
    read_function *read;
};

static void close_context(void *argument)
{
    struct context *context = argument;

    if (context != NULL) {
        bench_queue_close(&context->queue);
        bench_handle_close(context->handle);
        free(context);
    }
}

static int open_context(const bench_setup *setup, read_function *read, void **result)
{
    const bench_target *target = setup->target;
    struct context *context = calloc(1, sizeof *context);
    int error;

    if (context == NULL) {
        return EPIO_ENOMEM;
    }
    *result = context;
    context->read = read;
    context->handle = -1;
    error = bench_queue_open(&context->queue, target, target->workload->depth);
    if (error != 0) {
        return error;
    }
    return bench_handle_duplicate(bench_target_handle(target), BENCH_FOR_BLOCKING,
                                  target->workload->direct, &context->handle);
}

static int64_t carry_out(const struct context *context, const bench_slot *slot)
{
    const bench_workload *workload = context->queue.workload;
    uint64_t offset = bench_slot_offset(&context->queue, slot);

    if (workload->kind == BENCH_READ) {
        return context->read(context->handle, slot->buffer, workload->size, offset);
    }
    return bench_write_at(context->handle, slot->buffer, workload->size, offset);
}

static int run_one_by_one(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;
    bench_queue *queue = &context->queue;
    size_t i = 0;

    /* As many buffers as the others have, so that the processor's caches hold no more
     * of them for this one. */
    bench_queue_begin(queue, nanoseconds, sample);
    while (bench_queue_next(queue, &queue->slots[i])) {
        bench_queue_finish(queue, &queue->slots[i], carry_out(context, &queue->slots[i]));
        i = i + 1 < queue->slot_count ? i + 1 : 0;
    }
    return bench_queue_end(&context->queue);
}

static int open_blocking(const bench_setup *setup, void **context)
{
    if (setup->target->workload->kind == BENCH_APPEND) {
        return EPIO_ENOTSUP;
    }
    return open_context(setup, bench_read_at, context);
}

static int open_nowait(const bench_setup *setup, void **context)
{
    const bench_workload *workload = setup->target->workload;
    int error;

    if (workload->kind != BENCH_READ || workload->direct) {
        return EPIO_ENOTSUP;
    }
    error = open_context(setup, bench_read_cached_at, context);
    if (error == 0) {
        const struct context *opened = *context;

        error = carry_out(opened, &opened->queue.slots[0]) == EPIO_ENOTSUP ? EPIO_ENOTSUP : 0;
    }
    return error;
}

/* Appends for all tasks, then flushes once for all. */
static int append_for_all(struct context *context)
{
    bench_queue *queue = &context->queue;
    size_t begun = 0, i;
    int error = 0;

    while (begun < queue->slot_count && bench_queue_next(queue, &queue->slots[begun])) {
        int64_t result = carry_out(context, &queue->slots[begun++]);

        if (result != (int64_t)queue->workload->size) {
            bench_queue_fail(queue, result);
        }
    }
    if (begun > 0) {
        error = bench_flush(context->handle);
    }
    for (i = 0; i < begun; i++) {
        bench_queue_finish(queue, &queue->slots[i],
                           error != 0 ? error : (int64_t)queue->workload->size);
    }
    return begun == queue->slot_count;
}

static int run_ideal(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;

    bench_queue_begin(&context->queue, nanoseconds, sample);
    while (append_for_all(context)) {
    }
    return bench_queue_end(&context->queue);
}

static int open_ideal(const bench_setup *setup, void **context)
{
    if (setup->target->workload->kind != BENCH_APPEND) {
        return EPIO_ENOTSUP;
    }
    return open_context(setup, NULL, context);
}

const bench_engine bench_engine_blocking = {
    .name = "blocking",
    .roles = BENCH_ROLE_BLOCKING,
    .open = open_blocking,
    .run = run_one_by_one,
    .close = close_context,
};

const bench_engine bench_engine_nowait = {
    .name = "nowait",
    .roles = BENCH_ROLE_NOWAIT,
    .open = open_nowait,
    .run = run_one_by_one,
    .close = close_context,
};

const bench_engine bench_engine_ideal = {
    .name = "ideal",
    .roles = BENCH_ROLE_BLOCKING | BENCH_ROLE_IDEAL,
    .open = open_ideal,
    .run = run_ideal,
    .close = close_context,
};
