/* epio's engine: one loop with one operation per slot in flight. Depth 1 is waited
 * for, one operation at a time; else each completion starts the next. */
#include "engine.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdlib.h>
#include <string.h>

/* What is stacked for the workloads through layers. */
#define LAYERS 2u

struct context;

struct task {
    epio_op op;
    epio_op sync; /* of an append */
    bench_slot *slot;
    struct context *context;
};

struct context {
    bench_queue queue;
    bool together;
    epio_loop *loop;
    epio_vfs *layers[LAYERS];
    epio_semaphore *semaphore; /* with more permits than there are operations */
    epio_file **files;
    size_t file_count;
    struct task *tasks;
};

static epio_op *prepare(struct context *context, epio_op *op, const bench_slot *slot)
{
    epio_file *file = context->files[bench_slot_file(&context->queue, slot)];
    uint64_t offset = bench_slot_offset(&context->queue, slot);
    uint32_t size = context->queue.workload->size;

    if (context->queue.workload->kind == BENCH_READ) {
        return epio_read(op, file, slot->buffer, size, offset);
    }
    return epio_write(op, file, slot->buffer, size, offset);
}

/* ---- One at a time ------------------------------------------------------- */

static int run_one_by_one(struct context *context, uint64_t nanoseconds, bench_sample *sample)
{
    bench_queue *queue = &context->queue;
    bench_slot *slot = &queue->slots[0];
    epio_op op = {0};

    bench_queue_begin(queue, nanoseconds, sample);
    while (bench_queue_next(queue, slot)) {
        bench_queue_finish(queue, slot, epio_wait(prepare(context, &op, slot)));
    }
    return bench_queue_end(queue);
}

/* ---- Several in flight --------------------------------------------------- */

static void submit_sync(struct task *task)
{
    struct context *context = task->context;
    epio_file *file = context->files[bench_slot_file(&context->queue, task->slot)];

    epio_submit(epio_sync(&task->sync, file, EPIO_SYNC_DATA_ONLY));
}

static void start_next(struct task *task)
{
    struct context *context = task->context;

    if (bench_queue_next(&context->queue, task->slot)) {
        epio_submit(prepare(context, &task->op, task->slot));
        if (context->together) {
            submit_sync(task);
        }
    }
}

static void operation_done(epio_op *op)
{
    struct task *task = op->user;

    bench_queue_finish(&task->context->queue, task->slot, op->result);
    start_next(task);
}

static void append_done(epio_op *op)
{
    struct task *task = op->user;
    bench_queue *queue = &task->context->queue;

    if (op->result != (int64_t)queue->workload->size) {
        bench_queue_fail(queue, op->result);
    } else if (!task->context->together) {
        submit_sync(task);
    }
}

static void sync_done(epio_op *op)
{
    struct task *task = op->user;
    bench_queue *queue = &task->context->queue;

    bench_queue_finish(queue, task->slot, op->result < 0 ? op->result : queue->workload->size);
    start_next(task);
}

static int run_queue(struct context *context, uint64_t nanoseconds, bench_sample *sample)
{
    size_t i;

    bench_queue_begin(&context->queue, nanoseconds, sample);
    for (i = 0; i < context->queue.slot_count; i++) {
        start_next(&context->tasks[i]);
    }
    epio_loop_run(context->loop);
    return bench_queue_end(&context->queue);
}

static int run(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;
    const bench_workload *workload = context->queue.workload;

    /* A write is waited for by the loop that runs, so that both ways of doing it are
     * the loop's. */
    if (workload->depth == 1 && workload->kind == BENCH_READ) {
        return run_one_by_one(context, nanoseconds, sample);
    }
    return run_queue(context, nanoseconds, sample);
}

/* ---- Opening and closing ------------------------------------------------- */

static int open_tasks(struct context *context)
{
    size_t count = context->queue.slot_count, i;
    bool appends = context->queue.workload->kind == BENCH_APPEND;

    context->tasks = calloc(count, sizeof *context->tasks);
    if (context->tasks == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < count; i++) {
        struct task *task = &context->tasks[i];

        task->slot = &context->queue.slots[i];
        task->context = context;
        task->op.done = appends ? append_done : operation_done;
        task->op.user = task;
        task->sync.done = sync_done;
        task->sync.user = task;
    }
    return 0;
}

/* Two layers, neither of which holds anything up, over the loop's VFS. */
static int open_layers(struct context *context)
{
    epio_vfs **layers = context->layers;
    int error = epio_semaphore_create(&context->semaphore, 1000000u);

    if (error == 0) {
        error = epio_limit_vfs_create(&layers[0], epio_loop_vfs(context->loop), context->semaphore);
    }
    if (error == 0) {
        error = epio_trace_vfs_create(&layers[1], layers[0]);
    }
    return error;
}

static int open_files(struct context *context, const bench_target *target, epio_vfs *vfs)
{
    int error = 0;

    context->files = calloc(target->count, sizeof(epio_file *));
    if (context->files == NULL) {
        return EPIO_ENOMEM;
    }
    while (context->file_count < target->count && error == 0) {
        size_t i = context->file_count++;

        error = bench_file_adopt(target, i, vfs, &context->files[i]);
    }
    return error;
}

static int open_context(const bench_setup *setup, void **result)
{
    struct context *context = calloc(1, sizeof *context);
    int error;

    if (context == NULL) {
        return EPIO_ENOMEM;
    }
    *result = context;
    context->together = setup->together;
    error = bench_queue_open(&context->queue, setup->target, setup->target->workload->depth);
    if (error == 0) {
        error = open_tasks(context);
    }
    if (error == 0) {
        error = bench_loop_create(setup->backend, setup->mode, &context->loop);
    }
    if (error == 0 && setup->layers) {
        error = open_layers(context);
    }
    if (error != 0) {
        return error;
    }
    return open_files(context, setup->target,
                      setup->layers ? context->layers[LAYERS - 1] : epio_loop_vfs(context->loop));
}

static void close_context(void *argument)
{
    struct context *context = argument;
    size_t i;

    if (context == NULL) {
        return;
    }
    for (i = 0; i < context->file_count; i++) {
        bench_file_close(context->files[i]);
    }
    for (i = LAYERS; i > 0; i--) {
        epio_vfs_destroy(context->layers[i - 1]);
    }
    epio_semaphore_destroy(context->semaphore);
    epio_loop_destroy(context->loop);
    free(context->files);
    free(context->tasks);
    bench_queue_close(&context->queue);
    free(context);
}

const bench_engine bench_engine_epio = {
    .name = "epio",
    .open = open_context,
    .run = run,
    .close = close_context,
};
