/* libuv, whose files go to its pool of threads; with as many as it starts by
 * itself. */
#include "engine.h"

#include <stdlib.h>
#include <uv.h>

struct context;

struct task {
    uv_fs_t request;
    bench_slot *slot;
    struct context *context;
};

struct context {
    bench_queue queue;
    uv_loop_t loop;
    bool has_loop;
    uv_file descriptor;
    struct task *tasks;
};

static int64_t result_of(uv_fs_t *request)
{
    int64_t result = request->result;

    uv_fs_req_cleanup(request);
    return result < 0 ? epio_error_from_os((int32_t)-result) : result;
}

static void transfer_done(uv_fs_t *request);
static void append_done(uv_fs_t *request);

static void start_next(struct task *task)
{
    struct context *context = task->context;
    const bench_workload *workload = context->queue.workload;
    bench_slot *slot = task->slot;
    uv_buf_t buffer;
    int64_t offset;
    int error;

    if (!bench_queue_next(&context->queue, slot)) {
        return;
    }
    buffer = uv_buf_init((char *)slot->buffer, workload->size);
    offset = (int64_t)bench_slot_offset(&context->queue, slot);
    if (workload->kind == BENCH_READ) {
        error = uv_fs_read(&context->loop, &task->request, context->descriptor, &buffer, 1, offset,
                           transfer_done);
    } else {
        error = uv_fs_write(&context->loop, &task->request, context->descriptor, &buffer, 1, offset,
                            workload->kind == BENCH_APPEND ? append_done : transfer_done);
    }
    if (error < 0) {
        bench_queue_fail(&context->queue, epio_error_from_os(-error));
    }
}

static void transfer_done(uv_fs_t *request)
{
    struct task *task = request->data;

    bench_queue_finish(&task->context->queue, task->slot, result_of(request));
    start_next(task);
}

static void flush_done(uv_fs_t *request)
{
    struct task *task = request->data;
    bench_queue *queue = &task->context->queue;
    int64_t result = result_of(request);

    bench_queue_finish(queue, task->slot, result < 0 ? result : queue->workload->size);
    start_next(task);
}

static void append_done(uv_fs_t *request)
{
    struct task *task = request->data;
    struct context *context = task->context;
    int64_t result = result_of(request);
    int error = 0;

    if (result != (int64_t)context->queue.workload->size) {
        bench_queue_fail(&context->queue, result);
        return;
    }
    error = uv_fs_fdatasync(&context->loop, request, context->descriptor, flush_done);
    if (error < 0) {
        bench_queue_fail(&context->queue, epio_error_from_os(-error));
    }
}

static int run(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;
    size_t i;

    bench_queue_begin(&context->queue, nanoseconds, sample);
    for (i = 0; i < context->queue.slot_count; i++) {
        start_next(&context->tasks[i]);
    }
    uv_run(&context->loop, UV_RUN_DEFAULT);
    return bench_queue_end(&context->queue);
}

static int open_tasks(struct context *context)
{
    size_t i;

    context->tasks = calloc(context->queue.slot_count, sizeof *context->tasks);
    if (context->tasks == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < context->queue.slot_count; i++) {
        context->tasks[i].slot = &context->queue.slots[i];
        context->tasks[i].context = context;
        context->tasks[i].request.data = &context->tasks[i];
    }
    return 0;
}

static int open_context(const bench_setup *setup, void **result)
{
    struct context *context = calloc(1, sizeof *context);
    int error;

    if (context == NULL) {
        return EPIO_ENOMEM;
    }
    *result = context;
    context->descriptor = (uv_file)bench_target_handle(setup->target);
    error = bench_queue_open(&context->queue, setup->target, setup->target->workload->depth);
    if (error == 0) {
        error = open_tasks(context);
    }
    if (error == 0) {
        error = epio_error_from_os(-uv_loop_init(&context->loop));
        context->has_loop = error == 0;
    }
    return error;
}

static void close_context(void *argument)
{
    struct context *context = argument;

    if (context == NULL) {
        return;
    }
    if (context->has_loop) {
        uv_loop_close(&context->loop);
    }
    free(context->tasks);
    bench_queue_close(&context->queue);
    free(context);
}

const bench_engine bench_engine_libuv = {
    .name = "libuv",
    .roles = BENCH_ROLE_PEER,
    .leaves_threads = true,
    .open = open_context,
    .run = run,
    .close = close_context,
};
