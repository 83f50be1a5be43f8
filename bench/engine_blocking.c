/* The engines of blocking calls. One thread that does one call after another: what a
 * program without any asynchronous files does, and what none can beat by much as long
 * as there is nothing to overlap. And several threads with one call each: an append and
 * a flush per task, or direct reads by as many threads as help. */
#include "engine.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdlib.h>

/* Of direct reads, whatever the depth. */
#define MOST_READERS 16u

/* What one thread works with. */
struct lane {
    bench_queue queue;
    intptr_t handle;
    bool nowait;
};

static int open_lane(struct lane *lane, const bench_setup *setup)
{
    lane->nowait = (setup->engine->with & BENCH_WITH_NOWAIT) != 0;
    return bench_handle_duplicate(bench_target_handle(setup->target), BENCH_FOR_BLOCKING,
                                  setup->target->workload->direct, &lane->handle);
}

static int64_t transfer(const struct lane *lane, const bench_slot *slot)
{
    const bench_workload *workload = lane->queue.workload;
    uint64_t offset = bench_slot_offset(&lane->queue, slot);

    if (workload->kind != BENCH_READ) {
        return bench_write_at(lane->handle, slot->buffer, workload->size, offset);
    }
    return (lane->nowait ? bench_read_cached_at : bench_read_at)(lane->handle, slot->buffer,
                                                                 workload->size, offset);
}

static int64_t carry_out(const struct lane *lane, const bench_slot *slot)
{
    int64_t result = transfer(lane, slot);
    int error = 0;

    if (lane->queue.workload->kind == BENCH_APPEND && result >= 0) {
        error = bench_flush(lane->handle);
    }
    return error != 0 ? error : result;
}

static int run_lane(struct lane *lane, bench_turn *turn)
{
    bench_queue *queue = &lane->queue;
    size_t i = 0;

    /* As many buffers as the others have, so that the processor's caches hold no more
     * of them for this one. */
    bench_queue_begin(queue, turn);
    while (bench_queue_next(queue, &queue->slots[i])) {
        bench_queue_finish(queue, &queue->slots[i], carry_out(lane, &queue->slots[i]));
        i = i + 1 < queue->slot_count ? i + 1 : 0;
    }
    return bench_queue_end(queue);
}

/* ---- One thread ---------------------------------------------------------- */

static int open_one(void *context, const bench_setup *setup)
{
    struct lane *lane = context;
    int error;

    lane->handle = -1;
    error = open_lane(lane, setup);
    if (error == 0 && lane->nowait && transfer(lane, &lane->queue.slots[0]) == EPIO_ENOTSUP) {
        error = EPIO_ENOTSUP;
    }
    return error;
}

static void close_one(void *context)
{
    const struct lane *lane = context;

    bench_handle_close(lane->handle);
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

static int run_one(void *context, bench_turn *turn)
{
    struct lane *lane = context;

    if (lane->queue.workload->kind != BENCH_APPEND) {
        return run_lane(lane, turn);
    }
    bench_queue_begin(&lane->queue, turn);
    while (append_for_all(lane)) {
    }
    return bench_queue_end(&lane->queue);
}

const bench_methods bench_one_thread = {
    .size = sizeof(struct lane),
    .open = open_one,
    .close = close_one,
    .run = run_one,
};

/* ---- Several threads ----------------------------------------------------- */

struct context;

struct worker {
    struct lane lane;
    struct context *context;
    bench_thread thread;
    bench_turn turn;
    bench_histogram latencies;
    int error;
};

struct context {
    bench_queue queue; /* whose count of appends all share */
    struct worker *workers;
    size_t count;
    _Atomic(int) may_begin; /* 1: all threads are there; -1: some are not, leave */
};

static void work(void *argument)
{
    struct worker *worker = argument;
    int may_begin;

    while ((may_begin = atomic_load(&worker->context->may_begin)) == 0) {
        bench_thread_yield();
    }
    worker->error = may_begin > 0 ? run_lane(&worker->lane, &worker->turn) : 0;
}

static void prepare(struct worker *worker, const bench_turn *turn)
{
    worker->turn = *turn;
    if (turn->latencies != NULL) {
        memset(&worker->latencies, 0, sizeof worker->latencies);
        worker->turn.latencies = &worker->latencies;
    }
}

static void collect(const struct worker *worker, bench_turn *turn)
{
    turn->operations += worker->turn.operations;
    if (turn->latencies != NULL) {
        bench_histogram_add(turn->latencies, &worker->latencies);
    }
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
        prepare(&context->workers[i], turn);
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
        collect(&context->workers[i], turn);
    }
    return running < context->count ? EPIO_ENOMEM : error;
}

static int open_worker(struct context *context, struct worker *worker, const bench_setup *setup)
{
    bench_queue *queue = &worker->lane.queue;
    int error = bench_queue_open(queue, setup, 1);

    worker->context = context;
    worker->thread.function = work;
    worker->thread.argument = worker;
    queue->appended = &context->queue.own_appended;
    queue->state = (uint64_t)(worker - context->workers) + 1;
    worker->lane.handle = -1;
    return error != 0 ? error : open_lane(&worker->lane, setup);
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
        bench_queue_close(&context->workers[i].lane.queue);
        bench_handle_close(context->workers[i].lane.handle);
    }
    free(context->workers);
}

const bench_methods bench_several_threads = {
    .size = sizeof(struct context),
    .open = open_several,
    .close = close_several,
    .run = run_several,
};
