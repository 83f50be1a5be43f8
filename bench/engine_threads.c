/* Blocking calls on several threads, each with one of its own in flight: an append
 * and a flush per thread and task, or direct reads by as many threads as help. */
#include "engine.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdlib.h>
#include <string.h>

/* Of direct reads, whatever the depth. */
#define MOST_READERS 16u

struct context;

struct worker {
    struct context *context;
    bench_thread thread;
    bench_queue queue;
    bench_sample sample;
    bench_histogram latencies;
    intptr_t handle;
    int error;
};

struct context {
    const bench_target *target;
    struct worker *workers;
    size_t count;
    uint64_t nanoseconds;
    _Atomic(uint64_t) appended;
    _Atomic(int) may_begin; /* 1: all threads are there; -1: some are not, leave */
};

static int64_t carry_out(const struct worker *worker, const bench_slot *slot)
{
    const bench_workload *workload = worker->queue.workload;
    uint64_t offset = bench_slot_offset(&worker->queue, slot);
    int64_t result;
    int error;

    if (workload->kind == BENCH_READ) {
        return bench_read_at(worker->handle, slot->buffer, workload->size, offset);
    }
    result = bench_write_at(worker->handle, slot->buffer, workload->size, offset);
    if (result < 0 || workload->kind == BENCH_OVERWRITE) {
        return result;
    }
    error = bench_flush(worker->handle);
    return error != 0 ? error : result;
}

static void work(void *argument)
{
    struct worker *worker = argument;
    struct context *context = worker->context;
    bench_slot *slot = &worker->queue.slots[0];
    int may_begin;

    while ((may_begin = atomic_load(&context->may_begin)) == 0) {
        bench_thread_yield();
    }
    bench_queue_begin(&worker->queue, context->nanoseconds, &worker->sample);
    while (may_begin > 0 && bench_queue_next(&worker->queue, slot)) {
        bench_queue_finish(&worker->queue, slot, carry_out(worker, slot));
    }
    worker->error = bench_queue_end(&worker->queue);
}

static void prepare(struct worker *worker, const bench_sample *sample)
{
    memset(&worker->sample, 0, sizeof worker->sample);
    if (sample->latencies != NULL) {
        memset(&worker->latencies, 0, sizeof worker->latencies);
        worker->sample.latencies = &worker->latencies;
    }
}

static void collect(const struct worker *worker, bench_sample *sample)
{
    sample->operations += worker->sample.operations;
    if (sample->latencies != NULL) {
        bench_histogram_add(sample->latencies, &worker->latencies);
    }
}

static int run(void *argument, uint64_t nanoseconds, bench_sample *sample)
{
    struct context *context = argument;
    size_t running = 0, i;
    uint64_t began;
    int error = 0;

    context->nanoseconds = nanoseconds;
    atomic_store(&context->appended, 0);
    atomic_store(&context->may_begin, 0);
    for (i = 0; i < context->count; i++) {
        prepare(&context->workers[i], sample);
    }
    while (running < context->count && bench_thread_start(&context->workers[running].thread)) {
        running++;
    }
    began = epio_clock_monotonic();
    atomic_store(&context->may_begin, running == context->count ? 1 : -1);
    for (i = 0; i < running; i++) {
        bench_thread_join(&context->workers[i].thread);
        error = error != 0 ? error : context->workers[i].error;
    }
    sample->nanoseconds = epio_clock_monotonic() - began;
    for (i = 0; i < running; i++) {
        collect(&context->workers[i], sample);
    }
    return running < context->count ? EPIO_ENOMEM : error;
}

static int open_worker(struct context *context, struct worker *worker)
{
    const bench_workload *workload = context->target->workload;
    int error = bench_queue_open(&worker->queue, context->target, 1);

    worker->context = context;
    worker->thread.function = work;
    worker->thread.argument = worker;
    worker->queue.appended = &context->appended;
    worker->queue.state = (uint64_t)(worker - context->workers) + 1;
    worker->handle = -1;
    if (error != 0) {
        return error;
    }
    return bench_handle_duplicate(bench_target_handle(context->target), BENCH_FOR_BLOCKING,
                                  workload->direct, &worker->handle);
}

static void close_context(void *argument)
{
    struct context *context = argument;
    size_t i;

    if (context == NULL) {
        return;
    }
    for (i = 0; i < context->count; i++) {
        bench_queue_close(&context->workers[i].queue);
        bench_handle_close(context->workers[i].handle);
    }
    free(context->workers);
    free(context);
}

static int open_context(const bench_setup *setup, void **result)
{
    const bench_workload *workload = setup->target->workload;
    struct context *context;
    size_t most = workload->kind == BENCH_APPEND ? workload->depth : MOST_READERS;
    int error = 0;

    /* What is in the page cache keeps nobody waiting. */
    if (workload->kind != BENCH_APPEND && !workload->direct) {
        return EPIO_ENOTSUP;
    }
    context = calloc(1, sizeof *context);
    if (context == NULL) {
        return EPIO_ENOMEM;
    }
    *result = context;
    context->target = setup->target;
    context->workers = calloc(most, sizeof *context->workers);
    if (context->workers == NULL) {
        return EPIO_ENOMEM;
    }
    while (context->count < most && error == 0) {
        error = open_worker(context, &context->workers[context->count++]);
    }
    return error;
}

const bench_engine bench_engine_threads = {
    .name = "threads",
    .roles = BENCH_ROLE_THREADS,
    .open = open_context,
    .run = run,
    .close = close_context,
};
