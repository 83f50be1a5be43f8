/* The engines of blocking calls. One thread with one call after another: a program without
 * asynchronous files, hard to beat unless there is something to overlap. And several threads with
 * one call each: an append and a flush per task, or direct reads by as many threads as help. */
#include "engine.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdlib.h>

/* For direct reads, at any depth. */
#define MOST_READERS 16u

/* ---- One thread ---------------------------------------------------------- */

struct lane {
    bench_queue queue;
    intptr_t handle;
    bool nowait;
};

static int64_t transfer(const struct lane *lane, const bench_slot *slot)
{
    const bench_workload *workload = lane->queue.workload;
    uint64_t offset = bench_slot_offset(&lane->queue, slot);

    if (slot->writes) {
        return bench_write_at(lane->handle, slot->buffer, workload->size, offset);
    }
    return (lane->nowait ? bench_read_cached_at : bench_read_at)(lane->handle, slot->buffer,
                                                                 workload->size, offset);
}

static int open_lane(void *context, const bench_setup *setup)
{
    struct lane *lane = context;
    int error;

    lane->nowait = (setup->engine->with & BENCH_WITH_NOWAIT) != 0;
    lane->handle = -1;
    error = bench_handle_duplicate(bench_target_handle(setup->target), BENCH_FOR_BLOCKING,
                                   setup->target->workload->direct, &lane->handle);
    if (error == 0 && lane->nowait && transfer(lane, &lane->queue.slots[0]) == EPIO_ENOTSUP) {
        error = EPIO_ENOTSUP;
    }
    return error;
}

static void close_lane(void *context)
{
    const struct lane *lane = context;

    bench_handle_close(lane->handle);
}

/* Uses as many buffers as the other engines, so that no more of them fit in the processor's
 * caches here. */
static void transfer_one_by_one(struct lane *lane)
{
    bench_queue *queue = &lane->queue;
    size_t i = 0;

    while (bench_queue_next(queue, &queue->slots[i])) {
        bench_queue_finish(queue, &queue->slots[i], transfer(lane, &queue->slots[i]));
        i = i + 1 < queue->slot_count ? i + 1 : 0;
    }
}

/* Appends for all tasks, then flushes once for all. */
static bool append_for_all(struct lane *lane)
{
    bench_queue *queue = &lane->queue;
    size_t begun = 0, i;
    int error = 0;

    while (begun < queue->slot_count && bench_queue_next(queue, &queue->slots[begun])) {
        int64_t result = transfer(lane, &queue->slots[begun++]);

        if (result != (int64_t)queue->bytes) {
            bench_queue_fail(queue, result);
        }
    }
    if (begun > 0) {
        error = bench_flush(lane->handle);
    }
    for (i = 0; i < begun; i++) {
        bench_queue_finish(queue, &queue->slots[i], error != 0 ? error : (int64_t)queue->bytes);
    }
    return begun == queue->slot_count;
}

static int run_lane(void *context, bench_turn *turn)
{
    struct lane *lane = context;

    bench_queue_begin(&lane->queue, turn);
    if (lane->queue.workload->kind != BENCH_APPEND) {
        transfer_one_by_one(lane);
    } else {
        while (append_for_all(lane)) {
        }
    }
    return bench_queue_end(&lane->queue);
}

const bench_methods bench_one_thread = {
    .size = sizeof(struct lane),
    .open = open_lane,
    .close = close_lane,
    .run = run_lane,
};

/* ---- Several threads ----------------------------------------------------- */

struct context;

struct worker {
    struct context *context;
    void *lane;
    bench_thread thread;
    bench_turn turn;
    bench_histogram latencies;
    int error;
};

struct context {
    bench_queue queue; /* its count of appends is shared by all */
    struct worker *workers;
    size_t count;
    _Atomic(int) may_begin; /* 1: all threads have started; -1: some could not, return */
};

static void work(void *argument)
{
    struct worker *worker = argument;
    int may_begin;

    while ((may_begin = atomic_load(&worker->context->may_begin)) == 0) {
        bench_thread_yield();
    }
    worker->error = may_begin > 0 ? bench_context_run(worker->lane, &worker->turn) : 0;
}

static int run_several(void *argument, bench_turn *turn)
{
    struct context *context = argument;
    size_t running = 0, i;
    uint64_t began;
    int error = 0;

    atomic_store(&context->queue.own_appended, 0);
    atomic_store(&context->may_begin, 0);
    for (i = 0; i < context->count; i++) {
        struct worker *worker = &context->workers[i];

        worker->turn = *turn;
        if (turn->latencies != NULL) {
            memset(&worker->latencies, 0, sizeof worker->latencies);
            worker->turn.latencies = &worker->latencies;
        }
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
    turn->elapsed = epio_clock_monotonic() - began;
    for (i = 0; i < running; i++) {
        turn->operations += context->workers[i].turn.operations;
        if (turn->latencies != NULL) {
            bench_histogram_add(turn->latencies, &context->workers[i].latencies);
        }
    }
    return running < context->count ? EPIO_ENOMEM : error;
}

/* A worker is the engine of one thread, with one slot. */
static int open_worker(struct context *context, struct worker *worker, const bench_setup *setup)
{
    static const bench_engine engine = {.methods = &bench_one_thread};
    bench_setup of_lane = *setup;
    bench_queue *queue;
    int error;

    of_lane.engine = &engine;
    of_lane.slots = 1;
    error = bench_context_open(&worker->lane, &of_lane);
    worker->context = context;
    worker->thread.function = work;
    worker->thread.argument = worker;
    if (error == 0) {
        queue = worker->lane;
        queue->appended = &context->queue.own_appended;
        queue->state = (uint64_t)(worker - context->workers) + 1;
    }
    return error;
}

static int open_several(void *argument, const bench_setup *setup)
{
    const bench_workload *workload = setup->target->workload;
    struct context *context = argument;
    size_t most = workload->kind == BENCH_APPEND ? workload->depth : MOST_READERS;
    int error = 0;

    context->workers = calloc(most, sizeof *context->workers);
    if (context->workers == NULL) {
        return EPIO_ENOMEM;
    }
    while (context->count < most && error == 0) {
        error = open_worker(context, &context->workers[context->count++], setup);
    }
    return error;
}

static void close_several(void *argument)
{
    struct context *context = argument;
    size_t i;

    for (i = 0; i < context->count; i++) {
        bench_context_close(context->workers[i].lane);
    }
    free(context->workers);
}

const bench_methods bench_several_threads = {
    .size = sizeof(struct context),
    .open = open_several,
    .close = close_several,
    .run = run_several,
};
