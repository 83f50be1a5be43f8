/* libuv, which offloads file operations to its thread pool; of the default size. */
#include "engine.h"

#include <stdlib.h>
#include <uv.h>

struct context {
    bench_queue queue;
    uv_loop_t loop;
    bool has_loop;
    uv_file descriptor;
    uv_fs_t *requests; /* one per slot */
};

static void request_done(uv_fs_t *request)
{
    struct context *context = request->data;
    bench_queue *queue = &context->queue;
    int64_t result = request->result;

    uv_fs_req_cleanup(request);
    bench_queue_done(queue, &queue->slots[request - context->requests],
                     result < 0 ? epio_error_from_os((int32_t)-result) : result);
}

static void fail_unless_begun(bench_queue *queue, int error)
{
    if (error < 0) {
        bench_queue_fail(queue, epio_error_from_os(-error));
    }
}

static void start(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;
    uv_fs_t *request = &context->requests[slot - queue->slots];
    uv_buf_t buffer = uv_buf_init((char *)slot->buffer, queue->bytes);
    int64_t offset = (int64_t)bench_slot_offset(queue, slot);
    bool reads = !slot->writes;

    fail_unless_begun(queue, (reads ? uv_fs_read : uv_fs_write)(&context->loop, request,
                                                                context->descriptor, &buffer, 1,
                                                                offset, request_done));
}

static void flush(bench_queue *queue, bench_slot *slot)
{
    struct context *context = (struct context *)queue;
    uv_fs_t *request = &context->requests[slot - queue->slots];

    fail_unless_begun(queue,
                      uv_fs_fdatasync(&context->loop, request, context->descriptor, request_done));
}

static int wait_for_all(bench_queue *queue)
{
    uv_run(&((struct context *)queue)->loop, UV_RUN_DEFAULT);
    return 0;
}

static int open_context(void *argument, const bench_setup *setup)
{
    struct context *context = argument;
    size_t count = context->queue.slot_count, i;
    int error;

    context->descriptor = (uv_file)bench_target_handle(setup->target);
    context->requests = calloc(count, sizeof *context->requests);
    if (context->requests == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < count; i++) {
        context->requests[i].data = context;
    }
    error = epio_error_from_os(-uv_loop_init(&context->loop));
    context->has_loop = error == 0;
    return error;
}

static void close_context(void *argument)
{
    struct context *context = argument;

    if (context->has_loop) {
        uv_loop_close(&context->loop);
    }
    free(context->requests);
}

const bench_methods bench_libuv = {
    .size = sizeof(struct context),
    .leaves_threads = true,
    .open = open_context,
    .close = close_context,
    .start = start,
    .flush = flush,
    .wait = wait_for_all,
};
