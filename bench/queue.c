/* Common to all engines: chooses the next block, checks the results, and ends the turn. */
#include "engine.h"

#include <epio/vfs.h>

#include <stdlib.h>

/* The clock is read after this many operations at most, and after each one if this much time
 * passed between two readings. */
#define MOST_BETWEEN_CLOCKS 64u
#define LONG_BETWEEN_CLOCKS 50000u

/* If slots are used in rotation, a turn has at least this many times the depth, so that filling
 * the queue hardly counts. */
#define LEAST_FILLS 3u

/* ---- Opening and closing ------------------------------------------------- */

static int open_ring(bench_queue *queue)
{
    uint32_t i;

    queue->idle = calloc(queue->slot_count, sizeof *queue->idle);
    queue->idle_count = queue->slot_count;
    for (i = 0; queue->idle != NULL && i < queue->slot_count; i++) {
        queue->idle[i] = i;
    }
    return queue->idle != NULL ? 0 : EPIO_ENOMEM;
}

int bench_queue_open(bench_queue *queue, const bench_setup *setup)
{
    size_t slots = setup->slots != 0 ? setup->slots : setup->target->workload->depth;
    unsigned char *buffers = NULL;
    size_t i;

    queue->target = setup->target;
    queue->workload = setup->target->workload;
    queue->bytes = setup->bytes != 0 ? setup->bytes : queue->workload->size;
    queue->slot_count = slots;
    queue->state = 1;
    queue->appended = &queue->own_appended;
    queue->slots = calloc(slots, sizeof *queue->slots);
    queue->memory = bench_aligned_memory(slots * queue->bytes, &buffers);
    if (queue->slots == NULL || queue->memory == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < slots; i++) {
        queue->slots[i].buffer = buffers + i * queue->bytes;
    }
    return setup->slots > 1 ? open_ring(queue) : 0;
}

void bench_queue_close(bench_queue *queue)
{
    free(queue->idle);
    free(queue->memory);
    free(queue->slots);
}

/* ---- Step by step -------------------------------------------------------- */

void bench_queue_begin(bench_queue *queue, bench_turn *turn)
{
    atomic_store(&queue->own_appended, 0);
    queue->turn = turn;
    queue->clock_interval = 1;
    /* Even the shortest turn does something. */
    queue->until_clock = queue->idle != NULL ? turn->depth * LEAST_FILLS : 2;
    queue->over = false;
    queue->error = 0;
    queue->began = epio_clock_monotonic();
    queue->clock = queue->began;
    queue->until = queue->began + turn->nanoseconds;
}

/* Reading the clock costs a fraction of a short operation; but with long ones it must be read
 * soon. */
static bool time_is_up(bench_queue *queue)
{
    uint64_t now;

    if (--queue->until_clock > 0) {
        return false;
    }
    now = bench_interrupted() ? UINT64_MAX : epio_clock_monotonic();
    if (now - queue->clock > LONG_BETWEEN_CLOCKS) {
        queue->clock_interval = 1;
    } else if (queue->clock_interval < MOST_BETWEEN_CLOCKS) {
        queue->clock_interval *= 2;
    }
    queue->until_clock = queue->clock_interval;
    queue->clock = now;
    queue->over = now >= queue->until;
    return queue->over;
}

/* A mix decides by the block's number, so that all engines have the same. */
static bool is_written(const bench_workload *workload, uint64_t number)
{
    return workload->kind == BENCH_MIX ? number % 10 < 3 : workload->kind != BENCH_READ;
}

static void choose(bench_queue *queue, bench_slot *slot)
{
    const bench_workload *workload = queue->workload;

    if (workload->kind == BENCH_APPEND) {
        slot->number = atomic_fetch_add(queue->appended, 1);
    } else {
        slot->number = bench_block_next(&queue->state, workload->blocks);
    }
    slot->writes = is_written(workload, slot->number);
    if (slot->writes) {
        bench_block_mark(slot->buffer, slot->number);
    }
}

bool bench_queue_next(bench_queue *queue, bench_slot *slot)
{
    if (queue->over || time_is_up(queue)) {
        return false;
    }
    choose(queue, slot);
    if (queue->turn->latencies != NULL) {
        slot->begun = epio_clock_monotonic();
    }
    return true;
}

void bench_queue_fail(bench_queue *queue, int64_t error)
{
    if (queue->error == 0) {
        queue->error = error < 0 ? (int)error : EPIO_EIO;
    }
    queue->over = true;
}

void bench_queue_finish(bench_queue *queue, const bench_slot *slot, int64_t result)
{
    if (result != (int64_t)queue->bytes) {
        bench_queue_fail(queue, result);
        return;
    }
    if (!slot->writes && !bench_block_is(slot->buffer, slot->number)) {
        bench_queue_fail(queue, EPIO_EIO);
        return;
    }
    queue->turn->operations++;
    if (queue->turn->latencies != NULL) {
        bench_histogram_record(queue->turn->latencies, epio_clock_monotonic() - slot->begun);
    }
}

int bench_queue_end(bench_queue *queue)
{
    queue->turn->elapsed = epio_clock_monotonic() - queue->began;
    return queue->error;
}

/* ---- Engines with start and wait ----------------------------------------- */

static void put_idle(bench_queue *queue, const bench_slot *slot)
{
    size_t last = (queue->first_idle + queue->idle_count++) % queue->slot_count;

    queue->idle[last] = (uint32_t)(slot - queue->slots);
}

static void start(bench_queue *queue, bench_slot *slot)
{
    if (queue->idle != NULL) {
        slot = &queue->slots[queue->idle[queue->first_idle]];
    }
    if (!bench_queue_next(queue, slot)) {
        return;
    }
    if (queue->idle != NULL) {
        queue->first_idle = (queue->first_idle + 1) % queue->slot_count;
        queue->idle_count--;
    }
    queue->methods->start(queue, slot);
}

static void done(bench_queue *queue, bench_slot *slot, int64_t result)
{
    bench_queue_finish(queue, slot, result);
    if (queue->idle != NULL) {
        put_idle(queue, slot);
    }
    start(queue, slot);
}

void bench_queue_done(bench_queue *queue, bench_slot *slot, int64_t result)
{
    if (queue->workload->kind != BENCH_APPEND) {
        done(queue, slot, result);
    } else if (slot->flushing) {
        slot->flushing = false;
        done(queue, slot, result < 0 ? result : (int64_t)queue->bytes);
    } else if (result == (int64_t)queue->bytes) {
        slot->flushing = true;
        queue->methods->flush(queue, slot);
    } else {
        bench_queue_fail(queue, result);
    }
}

int bench_queue_run(bench_queue *queue, bench_turn *turn)
{
    size_t i;
    int error;

    bench_queue_begin(queue, turn);
    for (i = 0; i < turn->depth; i++) {
        start(queue, &queue->slots[i]);
    }
    error = queue->methods->wait(queue);
    return error != 0 ? error : bench_queue_end(queue);
}
