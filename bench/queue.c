/* What all engines have in common: which block comes next, whether what came back
 * is right, and when the turn is over. */
#include "engine.h"

#include <epio/vfs.h>

#include <stdlib.h>
#include <string.h>

/* The clock is looked at after so many operations at most, and after each one
 * when so much time lay between two looks. */
#define MOST_LOOKS_AFTER 64u
#define LONG_BETWEEN_LOOKS 50000u

int bench_queue_open(bench_queue *queue, const bench_target *target, size_t slots)
{
    size_t size = target->workload->size;
    unsigned char *buffers = NULL;
    size_t i;

    memset(queue, 0, sizeof *queue);
    queue->target = target;
    queue->workload = target->workload;
    queue->slot_count = slots;
    queue->state = 1;
    queue->appended = &queue->own_appended;
    queue->slots = calloc(slots, sizeof *queue->slots);
    queue->memory = bench_aligned_memory(slots * size, &buffers);
    if (queue->slots == NULL || queue->memory == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < slots; i++) {
        queue->slots[i].buffer = buffers + i * size;
    }
    return 0;
}

void bench_queue_close(bench_queue *queue)
{
    free(queue->memory);
    free(queue->slots);
}

void bench_queue_begin(bench_queue *queue, uint64_t nanoseconds, bench_sample *sample)
{
    atomic_store(&queue->own_appended, 0);
    queue->sample = sample;
    queue->looks_after = 1;
    queue->looks_in = 2; /* no turn is so short that nothing is done in it */
    queue->error = 0;
    queue->began = epio_clock_monotonic();
    queue->looked = queue->began;
    queue->until = queue->began + nanoseconds;
}

/* Looking at the clock costs a fraction of a short operation; but long ones must
 * not be counted out for long. */
static bool time_is_up(bench_queue *queue)
{
    uint64_t now;

    if (--queue->looks_in > 0) {
        return false;
    }
    now = bench_interrupted() ? UINT64_MAX : epio_clock_monotonic();
    if (now - queue->looked > LONG_BETWEEN_LOOKS) {
        queue->looks_after = 1;
    } else if (queue->looks_after < MOST_LOOKS_AFTER) {
        queue->looks_after *= 2;
    }
    /* Once it is up it stays so: others in flight ask too. */
    queue->looks_in = now < queue->until ? queue->looks_after : 1;
    queue->looked = now;
    return now >= queue->until;
}

static void choose(bench_queue *queue, bench_slot *slot)
{
    const bench_workload *workload = queue->workload;

    if (workload->kind == BENCH_APPEND) {
        slot->number = atomic_fetch_add(queue->appended, 1);
    } else {
        slot->number = bench_block_next(&queue->state, workload->blocks);
    }
    if (workload->kind != BENCH_READ) {
        bench_block_mark(slot->buffer, slot->number);
    }
}

bool bench_queue_next(bench_queue *queue, bench_slot *slot)
{
    if (queue->error != 0 || time_is_up(queue)) {
        return false;
    }
    choose(queue, slot);
    if (queue->sample->latencies != NULL) {
        slot->begun = epio_clock_monotonic();
    }
    return true;
}

void bench_queue_fail(bench_queue *queue, int64_t error)
{
    if (queue->error == 0) {
        queue->error = error < 0 ? (int)error : EPIO_EIO;
    }
}

void bench_queue_finish(bench_queue *queue, const bench_slot *slot, int64_t result)
{
    if (result != (int64_t)queue->workload->size) {
        bench_queue_fail(queue, result);
        return;
    }
    if (queue->workload->kind == BENCH_READ && !bench_block_is(slot->buffer, slot->number)) {
        bench_queue_fail(queue, EPIO_EIO);
        return;
    }
    queue->sample->operations++;
    if (queue->sample->latencies != NULL) {
        bench_histogram_record(queue->sample->latencies, epio_clock_monotonic() - slot->begun);
    }
}

int bench_queue_end(bench_queue *queue)
{
    queue->sample->nanoseconds = epio_clock_monotonic() - queue->began;
    return queue->error;
}
