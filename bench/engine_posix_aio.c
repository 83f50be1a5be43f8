/* The asynchronous files of POSIX: one control block per slot, aio_suspend until
 * one of them has ended. */
#include "engine.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct task {
    struct aiocb block;
    bench_slot *slot;
    bool flushes; /* the second half of an append */
};

struct context {
    bench_queue queue;
    int descriptor;
    struct task *tasks;
    const struct aiocb **waited_for; /* per task; NULL: not in flight */
    size_t in_flight;
};

static void note_begun(struct context *context, const struct task *task, int result)
{
    if (result != 0) {
        bench_queue_fail(&context->queue, epio_error_from_os(errno));
        return;
    }
    context->waited_for[task - context->tasks] = &task->block;
    context->in_flight++;
}

static void start_next(struct context *context, struct task *task)
{
    const bench_workload *workload = context->queue.workload;

    if (!bench_queue_next(&context->queue, task->slot)) {
        return;
    }
    memset(&task->block, 0, sizeof task->block);
    task->block.aio_fildes = context->descriptor;
    task->block.aio_buf = task->slot->buffer;
    task->block.aio_nbytes = workload->size;
    task->block.aio_offset = (off_t)bench_slot_offset(&context->queue, task->slot);
    task->block.aio_sigevent.sigev_notify = SIGEV_NONE;
    task->flushes = false;
    note_begun(context, task,
               workload->kind == BENCH_READ ? aio_read(&task->block) : aio_write(&task->block));
}

static void start_flush(struct context *context, struct task *task)
{
    memset(&task->block, 0, sizeof task->block);
    task->block.aio_fildes = context->descriptor;
    task->block.aio_sigevent.sigev_notify = SIGEV_NONE;
    task->flushes = true;
    note_begun(context, task, aio_fsync(O_DSYNC, &task->block));
}

static void complete(struct context *context, struct task *task, int error)
{
    ssize_t returned = aio_return(&task->block);
    int64_t result = error != 0 ? epio_error_from_os(error) : returned;
    bench_queue *queue = &context->queue;

    context->waited_for[task - context->tasks] = NULL;
    context->in_flight--;
    if (queue->workload->kind == BENCH_APPEND && !task->flushes) {
        if (result != (int64_t)queue->workload->size) {
            bench_queue_fail(queue, result);
            return;
        }
        start_flush(context, task);
        return;
    }
    if (task->flushes && result == 0) {
        result = queue->workload->size;
    }
    bench_queue_finish(queue, task->slot, result);
    start_next(context, task);
}

static void complete_all(struct context *context)
{
    size_t i;

    for (i = 0; i < context->queue.slot_count; i++) {
        int error;

        if (context->waited_for[i] == NULL) {
            continue;
        }
        error = aio_error(context->waited_for[i]);
        if (error != EINPROGRESS) {
            complete(context, &context->tasks[i], error);
        }
    }
}

static int run(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;
    size_t count = context->queue.slot_count, i;

    bench_queue_begin(&context->queue, nanoseconds, sample);
    for (i = 0; i < count; i++) {
        start_next(context, &context->tasks[i]);
    }
    while (context->in_flight > 0) {
        /* Its only other failure is a signal. */
        aio_suspend(context->waited_for, (int)count, NULL);
        complete_all(context);
    }
    return bench_queue_end(&context->queue);
}

static int open_context(const bench_setup *setup, void **result)
{
    struct context *context = calloc(1, sizeof *context);
    size_t count = setup->target->workload->depth, i;
    int error;

    if (context == NULL) {
        return EPIO_ENOMEM;
    }
    *result = context;
    context->descriptor = (int)bench_target_handle(setup->target);
    context->tasks = calloc(count, sizeof *context->tasks);
    context->waited_for = calloc(count, sizeof(const struct aiocb *));
    if (context->tasks == NULL || context->waited_for == NULL) {
        return EPIO_ENOMEM;
    }
    error = bench_queue_open(&context->queue, setup->target, count);
    for (i = 0; i < count && error == 0; i++) {
        context->tasks[i].slot = &context->queue.slots[i];
    }
    return error;
}

static void close_context(void *argument)
{
    struct context *context = argument;

    if (context == NULL) {
        return;
    }
    free(context->waited_for);
    free(context->tasks);
    bench_queue_close(&context->queue);
    free(context);
}

const bench_engine bench_engine_posix_aio = {
    .name = "POSIX AIO",
    .roles = BENCH_ROLE_PEER,
    .leaves_threads = true,
    .open = open_context,
    .run = run,
    .close = close_context,
};
