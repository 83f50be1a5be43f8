/* epio's engine: one loop with one operation per slot in flight. Reads at depth 1 are waited for,
 * one at a time, with or without a long write in flight on the same loop; otherwise each
 * completion starts the next, in epio_loop_run or, by poll, one call for those that are there. */
#include "engine.h"

#include <epio/vfs.h>

#include <stdlib.h>

/* The number of layers for the workloads through layers. */
#define LAYERS 2u

#define WRITE_SIZE ((size_t)64 << 20)

struct task {
    epio_op op;
    bench_slot *slot;
    struct context *context;
};

/* The write in flight beside the reads, and its sync. */
struct beside {
    epio_file *file; /* NULL: none */
    unsigned char *data;
    void *memory;
    epio_op write;
    epio_op sync;
};

struct context {
    bench_queue queue;
    uint32_t with;
    epio_loop *loop;
    epio_vfs *layers[LAYERS];
    epio_semaphore *semaphore; /* with more permits than there are operations */
    epio_file **files;
    size_t file_count;
    struct task *tasks; /* one per slot */
    struct task *syncs; /* the same, for appends */
    struct beside beside;
};

static epio_file *file_of(const struct context *context, const bench_slot *slot)
{
    return context->files[bench_slot_file(&context->queue, slot)];
}

static epio_op *prepare(const struct context *context, epio_op *op, const bench_slot *slot)
{
    const bench_queue *queue = &context->queue;
    uint64_t offset = bench_slot_offset(queue, slot);

    if (!slot->writes) {
        return epio_read(op, file_of(context, slot), slot->buffer, queue->bytes, offset);
    }
    return epio_write(op, file_of(context, slot), slot->buffer, queue->bytes, offset);
}

/* ---- One at a time ------------------------------------------------------- */

static void begin_write(struct beside *beside)
{
    epio_submit(epio_write(&beside->write, beside->file, beside->data, WRITE_SIZE, 0));
    epio_submit(epio_sync(&beside->sync, beside->file, EPIO_SYNC_DATA_ONLY));
}

static void end_write(struct context *context)
{
    const struct beside *beside = &context->beside;

    while (epio_op_pending(&beside->write) || epio_op_pending(&beside->sync)) {
        epio_loop_poll(context->loop, EPIO_FOREVER, 0);
    }
    if (beside->write.result < 0 || beside->sync.result < 0) {
        bench_queue_fail(&context->queue,
                         beside->write.result < 0 ? beside->write.result : beside->sync.result);
    }
}

/* With a write in flight, its end is the end of the turn. */
static int run_one_by_one(struct context *context, bench_turn *turn)
{
    bench_queue *queue = &context->queue;
    bench_slot *slot = &queue->slots[0];
    const struct beside *beside = &context->beside;
    epio_op op = {0};

    bench_queue_begin(queue, turn);
    if (beside->file != NULL) {
        queue->until = UINT64_MAX / 2;
        begin_write(&context->beside);
    }
    while ((beside->file == NULL || epio_op_pending(&beside->sync)) &&
           bench_queue_next(queue, slot)) {
        bench_queue_finish(queue, slot, epio_wait(prepare(context, &op, slot)));
    }
    if (beside->file != NULL) {
        end_write(context);
    }
    return bench_queue_end(queue);
}

/* ---- Several in flight --------------------------------------------------- */

static void flush(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;
    epio_op *op = &context->syncs[slot - queue->slots].op;

    epio_submit(epio_sync(op, file_of(context, slot), EPIO_SYNC_DATA_ONLY));
}

static void start(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;

    epio_submit(prepare(context, &context->tasks[slot - queue->slots].op, slot));
    if ((context->with & BENCH_WITH_TOGETHER) != 0) {
        slot->flushing = true;
        flush(queue, slot);
    }
}

static void op_done(epio_op *op)
{
    struct task *task = op->user;

    bench_queue_done(&task->context->queue, task->slot, op->result);
}

/* The append ends with its sync, submitted together with it. */
static void together_done(epio_op *op)
{
    struct task *task = op->user;
    bench_queue *queue = &task->context->queue;

    if (op->result != (int64_t)queue->bytes) {
        bench_queue_fail(queue, op->result);
    }
}

static int wait_for_all(bench_queue *queue)
{
    const struct context *context = (const struct context *)queue;

    if ((context->with & BENCH_WITH_POLLS) == 0) {
        epio_loop_run(context->loop);
        return 0;
    }
    while (epio_loop_pending(context->loop) > 0) {
        epio_loop_poll(context->loop, EPIO_FOREVER, 0);
    }
    return 0;
}

static int run(void *argument, bench_turn *turn)
{
    struct context *context = argument;

    /* A write is waited for by running the loop, so that the loop carries it out whether it is
     * offloaded or not. */
    if (context->queue.slot_count == 1 && context->queue.workload->kind == BENCH_READ &&
        (context->with & BENCH_WITH_POLLS) == 0) {
        return run_one_by_one(context, turn);
    }
    return bench_queue_run(&context->queue, turn);
}

/* ---- Opening and closing ------------------------------------------------- */

static struct task *open_tasks(struct context *context, void (*done)(epio_op *op))
{
    bench_queue *queue = &context->queue;
    struct task *tasks = calloc(queue->slot_count, sizeof *tasks);
    size_t i;

    for (i = 0; tasks != NULL && i < queue->slot_count; i++) {
        tasks[i].slot = &queue->slots[i];
        tasks[i].context = context;
        tasks[i].op.done = done;
        tasks[i].op.user = &tasks[i];
    }
    return tasks;
}

static int open_all_tasks(struct context *context)
{
    bool together = (context->with & BENCH_WITH_TOGETHER) != 0;
    bool appends = context->queue.workload->kind == BENCH_APPEND;

    context->tasks = open_tasks(context, together ? together_done : op_done);
    if (appends) {
        context->syncs = open_tasks(context, op_done);
    }
    return context->tasks == NULL || (appends && context->syncs == NULL) ? EPIO_ENOMEM : 0;
}

/* Two layers, neither of which delays anything, over the loop's VFS. */
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

static int open_files(struct context *context, const bench_target *target)
{
    epio_vfs *vfs = context->layers[LAYERS - 1];
    int error = 0;

    context->files = calloc(target->count, sizeof(epio_file *));
    if (context->files == NULL) {
        return EPIO_ENOMEM;
    }
    while (context->file_count < target->count && error == 0) {
        size_t i = context->file_count++;

        error = bench_file_adopt(target, i, vfs != NULL ? vfs : epio_loop_vfs(context->loop),
                                 &context->files[i]);
    }
    return error;
}

static int open_beside(struct context *context, const bench_options *options)
{
    struct beside *beside = &context->beside;

    beside->memory = bench_aligned_memory(WRITE_SIZE, &beside->data);
    if (beside->memory == NULL) {
        return EPIO_ENOMEM;
    }
    return bench_file_open(options, epio_loop_vfs(context->loop), 0, &beside->file);
}

static int open_context(void *argument, const bench_setup *setup)
{
    struct context *context = argument;
    int error;

    context->with = setup->engine->with;
    error = open_all_tasks(context);
    if (error == 0) {
        error = bench_loop_create(setup->backend, setup->engine->mode, &context->loop);
    }
    if (error == 0 && (context->with & BENCH_WITH_LAYERS) != 0) {
        error = open_layers(context);
    }
    if (error == 0 && (context->with & BENCH_WITH_REGISTERED) != 0) {
        epio_iovec all = {context->queue.slots[0].buffer,
                          context->queue.slot_count * context->queue.bytes};

        error = epio_loop_register_buffers(context->loop, &all, 1) == 1 ? 0 : EPIO_ENOTSUP;
    }
    if (error == 0) {
        error = open_files(context, setup->target);
    }
    if (error == 0 && (context->with & BENCH_WITH_WRITE) != 0) {
        error = open_beside(context, setup->options);
    }
    return error;
}

static void close_context(void *argument)
{
    struct context *context = argument;
    size_t i;

    bench_file_close(context->beside.file);
    for (i = 0; i < context->file_count; i++) {
        bench_file_close(context->files[i]);
    }
    for (i = LAYERS; i > 0; i--) {
        epio_vfs_destroy(context->layers[i - 1]);
    }
    epio_semaphore_destroy(context->semaphore);
    epio_loop_destroy(context->loop);
    free(context->beside.memory);
    free(context->files);
    free(context->syncs);
    free(context->tasks);
}

const bench_methods bench_epio = {
    .size = sizeof(struct context),
    .open = open_context,
    .close = close_context,
    .run = run,
    .start = start,
    .flush = flush,
    .wait = wait_for_all,
};
