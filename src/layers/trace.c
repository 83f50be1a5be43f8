/* Tracing as a VFS: counts the ops that pass, by kind, and times them. The text for people is
 * trace_summary.c's.
 *
 * Most ops on a loop are reads and writes that succeed at once, a microsecond apart. They are
 * counted in words that only the loop's owner writes, and only a sample is timed; so most pay for
 * neither a mutex nor a clock. All others, and those of epio_perform, are counted in the sums
 * directly, which a mutex guards. */
#include "core/struct_size.h"
#include "layers/layer.h"

#include <stdlib.h>
#include <string.h>

/* Timings are limited to one per TIMING_SPACING nanoseconds, which costs less than one per cent of
 * the time, and some more after a pause. */
#define TIMING_SPACING 16000u
#define TIMING_CREDIT (64u * TIMING_SPACING)

/* Ops to skip before the clock is read again. With the one that is timed that makes a prime, so
 * that the sample does not follow a program's pattern. */
#define TIMINGS_SKIPPED 30u

/* The words of the fast ops are merged into the sums after so many, before they can wrap, even with
 * 32 bits. */
#define FAST_COUNT 1024u
#define FAST_BYTES (1 << 20)

/* When the next op is timed. Threads that race may time one more or less. */
typedef struct timing_sampler {
    size_t skip;    /* ops that are not timed, before the clock is read again */
    size_t credit;  /* credit: nanoseconds not yet spent on timings */
    size_t read_at; /* the clock at the last reading, its low bits */
} timing_sampler;

/* The counts of one kind. */
typedef struct record {
    /* Written by the owner; the first two only grow, and wrap. */
    size_t fast_count;
    size_t fast_bytes;
    size_t in_flight;

    size_t performing;      /* atomic */
    timing_sampler sampler; /* any thread */

    /* Guarded by the mutex. */
    size_t merged; /* the part of `fast_count` already merged into the sums */
    size_t merged_bytes;
    epio_trace_counts sums;
} record;

/* A record for each of epio's kinds, and one for all kinds of VFSes outside. */
#define RECORDS (EPIO_KIND_COUNT + 1)

typedef struct trace_vfs {
    epio__layer base;
    epio__mutex mutex;
    record records[RECORDS];
} trace_vfs;

static trace_vfs *vfs_of(epio_vfs *base)
{
    return (trace_vfs *)(void *)base;
}

static record *record_of(trace_vfs *vfs, uint8_t kind)
{
    return &vfs->records[kind < EPIO_KIND_COUNT ? kind : EPIO_KIND_COUNT];
}

/* ---- Time ---- */

/* Adds the time gone by to the credit, and spends a timing's share. False: not enough is left for
 * the next. */
static bool pay_for_timing(timing_sampler *sampler, uint64_t now)
{
    size_t gone = (size_t)now - epio__load_relaxed_size(&sampler->read_at);
    size_t credit = epio__load_relaxed_size(&sampler->credit);
    credit = gone < TIMING_CREDIT - credit ? credit + gone : TIMING_CREDIT;
    credit -= credit < TIMING_SPACING ? credit : TIMING_SPACING;
    epio__store_relaxed_size(&sampler->read_at, (size_t)now);
    epio__store_relaxed_size(&sampler->credit, credit);
    return credit >= TIMING_SPACING;
}

/* The monotonic time, if this op is to be timed; else 0. */
static uint64_t begin_timing(timing_sampler *sampler)
{
    size_t skip = epio__load_relaxed_size(&sampler->skip);
    if (skip > 0) {
        epio__store_relaxed_size(&sampler->skip, skip - 1);
        return 0;
    }
    uint64_t now = epio__monotonic_time();
    if (!pay_for_timing(sampler, now)) {
        epio__store_relaxed_size(&sampler->skip, TIMINGS_SKIPPED);
    }
    return now;
}

/* The index of its highest bit, up to the last bucket; 0 for 0. */
static unsigned bucket_of(uint64_t nanoseconds)
{
    unsigned power = 0;
    for (unsigned step = 32; step > 0; step /= 2) {
        if (nanoseconds >> step != 0) {
            nanoseconds >>= step;
            power += step;
        }
    }
    return power < EPIO_TRACE_BUCKETS ? power : EPIO_TRACE_BUCKETS - 1;
}

/* ---- Counts ---- */

static void add_time(epio_trace_counts *sums, uint64_t nanoseconds)
{
    if (sums->timed == 0 || nanoseconds < sums->shortest_ns) {
        sums->shortest_ns = nanoseconds;
    }
    if (nanoseconds > sums->longest_ns) {
        sums->longest_ns = nanoseconds;
    }
    sums->timed++;
    sums->total_ns += nanoseconds;
    sums->buckets[bucket_of(nanoseconds)]++;
}

/* An append's result is an offset. */
static int64_t bytes_of(const epio_op *op, int64_t result)
{
    if (op->kind == EPIO_KIND_APPEND && result >= 0) {
        return (int64_t)op->arguments.io.len;
    }
    bool moves = epio__op_transfers(op) || op->kind == EPIO_KIND_COPY_RANGE;
    return moves && result > 0 ? result : 0;
}

static void count_in_sums(trace_vfs *vfs, const epio_op *op, int64_t result, uint64_t begun)
{
    epio_trace_counts *sums = &record_of(vfs, op->kind)->sums;
    uint64_t ended = begun != 0 ? epio__monotonic_time() : 0;
    epio__mutex_lock(&vfs->mutex);
    sums->count++;
    sums->bytes += (uint64_t)bytes_of(op, result);
    if (result == EPIO_ECANCELED || result == EPIO_ETIMEDOUT) {
        sums->cancelled++;
    } else if (result < 0) {
        sums->failed++;
    }
    if (begun != 0) {
        add_time(sums, ended - begun);
    }
    epio__mutex_unlock(&vfs->mutex);
}

/* Merges the words of the fast ops into the sums. With the mutex held. */
static void merge(record *one)
{
    size_t fast_count = epio__load_relaxed_size(&one->fast_count);
    size_t bytes = epio__load_relaxed_size(&one->fast_bytes);
    /* The words may have wrapped: the difference is still right. */
    one->sums.count += (size_t)(fast_count - one->merged);
    one->sums.bytes += (size_t)(bytes - one->merged_bytes);
    one->merged = fast_count;
    one->merged_bytes = bytes;
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

typedef struct trace_frame {
    epio__layer_frame base;
    uint64_t begun; /* 0: it is not timed */
} trace_frame;

static void fold_in_time(trace_vfs *vfs, record *one)
{
    epio__mutex_lock(&vfs->mutex);
    merge(one);
    epio__mutex_unlock(&vfs->mutex);
}

static void count_quick(trace_vfs *vfs, record *one, int64_t bytes)
{
    epio__count_size(&one->fast_bytes, (size_t)bytes);
    epio__count_size(&one->fast_count, 1);
    if (epio__load_relaxed_size(&one->fast_count) % FAST_COUNT == 0) {
        fold_in_time(vfs, one);
    }
}

static bool returned(epio_frame *base, epio_op *op)
{
    trace_vfs *vfs = vfs_of(base->vfs);
    trace_frame *frame = (trace_frame *)(void *)base;
    record *one = record_of(vfs, op->kind);
    uint64_t begun = frame->begun;
    int64_t bytes = bytes_of(op, op->result);
    epio__count_size(&one->in_flight, SIZE_MAX);
    if (begun == 0 && op->result >= 0 && bytes <= FAST_BYTES && epio__layer_is_ordinary(op)) {
        epio__layer_end(&vfs->base, &frame->base, op);
        count_quick(vfs, one, bytes);
        return true;
    }
    epio__layer_end(&vfs->base, &frame->base, op);
    if (op->result != EPIO_RETRY) {
        count_in_sums(vfs, op, op->result, begun);
    }
    return true;
}

static void submit(epio_vfs *base, epio_op *op)
{
    trace_vfs *vfs = vfs_of(base);
    record *one = record_of(vfs, op->kind);
    trace_frame *frame = (trace_frame *)(void *)epio__layer_begin(&vfs->base, op);
    if (frame == NULL) {
        int64_t result = epio__layer_do_without(&vfs->base, op);
        count_in_sums(vfs, op, result, 0);
        epio_complete(op, result);
        return;
    }
    frame->begun = begin_timing(&one->sampler);
    epio__count_size(&one->in_flight, 1);
    epio__layer_forward(&vfs->base, op);
}

/* No op waits in this VFS: its holder below gets the cancel. */
static void cancel(epio_vfs *base, epio_op *op)
{
    (void)base;
    (void)op;
}

#endif

/* ---- epio_perform ---- */

static int64_t perform(epio_vfs *base, epio_op *op)
{
    trace_vfs *vfs = vfs_of(base);
    record *one = record_of(vfs, op->kind);
    (void)epio__add_size(&one->performing, 1);
    uint64_t begun = begin_timing(&one->sampler);
    int64_t result = epio__layer_perform(&vfs->base, op);
    (void)epio__subtract_size(&one->performing, 1);
    if (result != EPIO_RETRY) {
        count_in_sums(vfs, op, result, begun);
    }
    return result;
}

/* ---- The VFS ---- */

static void destroy(epio_vfs *base)
{
    trace_vfs *vfs = vfs_of(base);
    epio__layer_check_unused(&vfs->base);
    epio__layer_destroy(&vfs->base); /* and the mutex with it */
}

static const epio_vfs_methods trace_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "trace",
#if EPIO_ASYNC
    .submit = submit,
    .cancel = cancel,
#endif
    .perform = perform,
    .destroy = destroy,
    .os_handle = epio__layer_os_handle,
    .lock_level = epio__layer_lock_level,
};

int epio_trace_vfs_create(epio_vfs **created, epio_vfs *inner)
{
    if (created == NULL || !epio__layer_may_lie_over(inner)) {
        return EPIO_EINVAL;
    }
    trace_vfs *vfs = calloc(1, sizeof *vfs);
    if (vfs == NULL) {
        return EPIO_ENOMEM;
    }
    epio__mutex_init(&vfs->mutex);
    vfs->base.mutex = &vfs->mutex;
#if EPIO_ASYNC
    epio__layer_init(&vfs->base, &trace_methods, inner, returned, sizeof(trace_frame));
#else
    epio__layer_init(&vfs->base, &trace_methods, inner, NULL, 0);
#endif
    for (size_t i = 0; i < RECORDS; i++) {
        vfs->records[i].sampler.credit = TIMING_CREDIT;
    }
    *created = &vfs->base.base;
    return 0;
}

/* ---- Reading the counts ---- */

/* NULL: it is another VFS. The mutex and the merging of counts are not part of the caller's const
 * view. */
static trace_vfs *trace_of(const epio_vfs *vfs)
{
    return vfs != NULL && vfs->methods == &trace_methods ? vfs_of((epio_vfs *)(uintptr_t)vfs)
                                                         : NULL;
}

/* Of the first version. */
#define FIRST_SIZE EPIO__SIZE_UP_TO(epio_trace_counts, buckets)

int epio_trace_read(const epio_vfs *vfs, uint32_t kind, epio_trace_counts *counts)
{
    trace_vfs *trace = trace_of(vfs);
    bool known = kind < EPIO_KIND_COUNT || (kind >= EPIO_KIND_USER && kind <= UINT8_MAX);
    if (trace == NULL || !known || counts == NULL) {
        return EPIO_EINVAL;
    }
    record *one = record_of(trace, (uint8_t)kind);
    epio__mutex_lock(&trace->mutex);
    merge(one);
    epio_trace_counts now = one->sums;
    epio__mutex_unlock(&trace->mutex);
    now.in_flight = (uint64_t)epio__load_relaxed_size(&one->in_flight) +
                    epio__load_relaxed_size(&one->performing);
    return epio_result_give(&now, sizeof now, FIRST_SIZE, counts) ? 0 : EPIO_EINVAL;
}

int epio_trace_reset(epio_vfs *vfs)
{
    trace_vfs *trace = trace_of(vfs);
    if (trace == NULL) {
        return EPIO_EINVAL;
    }
    epio__mutex_lock(&trace->mutex);
    for (size_t i = 0; i < RECORDS; i++) {
        merge(&trace->records[i]);
        memset(&trace->records[i].sums, 0, sizeof trace->records[i].sums);
    }
    epio__mutex_unlock(&trace->mutex);
    return 0;
}
