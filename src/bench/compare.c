/* The benchmark helpers of epio/bench.h: the same work done synchronously and asynchronously. Uses
 * only the public headers, and struct_size.h. What epio is compared with is in the program
 * epio-bench. */
#include <epio/bench.h>
#include <epio/vfs.h>

#include "core/struct_size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Slices of each half at most; fewer if the queue would hardly fill. */
#define SLICES 16
#define QUEUE_FILLS_PER_SLICE 8

/* Buffers are page-aligned, as DIRECT needs. */
#define ALIGNMENT 4096u

enum { SYNCHRONOUS, ASYNCHRONOUS, HALVES };

struct comparison {
    epio_bench_options options;
    bool reading;
    epio_loop *loop;
    epio_file *files[HALVES];
    void *memory; /* the allocation that `buffers`, of `stride` bytes each, is in */
    unsigned char *buffers;
    size_t stride;
    struct task *tasks;
    uint64_t next; /* the asynchronous half's next iteration, and where its slice ends */
    uint64_t end;
    uint64_t elapsed[HALVES];
    uint64_t done; /* for the progress callback */
    uint64_t total;
    int error; /* the first */
};

/* One slot of the queue: carries out one iteration after another. */
struct task {
    epio_op op;
    struct comparison *comparison;
    unsigned char *buffer;
    bool syncing;
};

static bool durable(const struct comparison *comparison)
{
    return (comparison->options.flags & EPIO_BENCH_DURABLE) != 0;
}

static void fail(struct comparison *comparison, int64_t result)
{
    if (comparison->error == 0) {
        comparison->error = (int)result;
    }
}

/* A short read or write means that the file was changed: an error. */
static bool moved_all(struct comparison *comparison, int64_t result)
{
    if (result == (int64_t)comparison->options.bytes) {
        return true;
    }
    fail(comparison, result < 0 ? result : EPIO_EIO);
    return false;
}

static bool report_progress(struct comparison *comparison, uint64_t more)
{
    const epio_bench_options *options = &comparison->options;

    comparison->done += more;
    if (options->progress == NULL) {
        return true;
    }
    if (options->progress(options->user, comparison->done, comparison->total)) {
        return true;
    }
    fail(comparison, EPIO_ECANCELED);
    return false;
}

static epio_op *prepare(const struct comparison *comparison, epio_op *op, epio_file *file,
                        bool reading, unsigned char *buffer, uint64_t iteration)
{
    size_t bytes = comparison->options.bytes;
    uint64_t offset = iteration * bytes;

    return reading ? epio_read(op, file, buffer, bytes, offset)
                   : epio_write(op, file, buffer, bytes, offset);
}

static int64_t perform_one(struct comparison *comparison, epio_file *file, bool reading,
                           uint64_t iteration)
{
    epio_op op = {0};

    return epio_perform(prepare(comparison, &op, file, reading, comparison->buffers, iteration));
}

static bool sync_now(struct comparison *comparison, epio_file *file)
{
    epio_op op = {0};
    int64_t result = epio_perform(epio_sync(&op, file, EPIO_SYNC_DATA_ONLY));

    if (result < 0) {
        fail(comparison, result);
    }
    return result >= 0;
}

static void run_synchronous(struct comparison *comparison, uint64_t begin, uint64_t end)
{
    epio_file *file = comparison->files[SYNCHRONOUS];
    uint64_t i;

    for (i = begin; i < end; i++) {
        if (!moved_all(comparison, perform_one(comparison, file, comparison->reading, i)) ||
            (durable(comparison) && !sync_now(comparison, file))) {
            return;
        }
    }
}

static void start_next(struct task *task)
{
    struct comparison *comparison = task->comparison;

    if (comparison->next == comparison->end || comparison->error != 0) {
        return;
    }
    epio_submit(prepare(comparison, &task->op, comparison->files[ASYNCHRONOUS], comparison->reading,
                        task->buffer, comparison->next++));
}

static void task_done(epio_op *op)
{
    struct task *task = op->user;
    struct comparison *comparison = task->comparison;

    if (task->syncing) {
        task->syncing = false;
        if (op->result < 0) {
            fail(comparison, op->result);
        }
    } else if (moved_all(comparison, op->result) && durable(comparison)) {
        task->syncing = true;
        epio_submit(epio_sync(&task->op, comparison->files[ASYNCHRONOUS], EPIO_SYNC_DATA_ONLY));
        return;
    }
    start_next(task);
}

static void run_asynchronous(struct comparison *comparison, uint64_t begin, uint64_t end)
{
    uint32_t i;

    comparison->next = begin;
    comparison->end = end;
    for (i = 0; i < comparison->options.queue_depth; i++) {
        start_next(&comparison->tasks[i]);
    }
    epio_loop_run(comparison->loop);
}

static void run_half(struct comparison *comparison, int half, uint64_t begin, uint64_t end)
{
    uint64_t started = epio_clock_monotonic();

    if (half == SYNCHRONOUS) {
        run_synchronous(comparison, begin, end);
    } else {
        run_asynchronous(comparison, begin, end);
    }
    comparison->elapsed[half] += epio_clock_monotonic() - started;
}

static uint64_t count_slices(const epio_bench_options *options)
{
    uint64_t slices = options->iterations / options->queue_depth / QUEUE_FILLS_PER_SLICE;

    return slices < 1 ? 1 : slices > SLICES ? SLICES : slices;
}

static void run_slices(struct comparison *comparison)
{
    uint64_t slices = count_slices(&comparison->options);
    uint64_t each = comparison->options.iterations / slices;
    uint64_t slice;
    int turn;

    for (slice = 0; slice < slices; slice++) {
        uint64_t begin = slice * each;
        uint64_t end = slice + 1 == slices ? comparison->options.iterations : begin + each;

        /* The halves alternate in going first. */
        for (turn = 0; turn < HALVES; turn++) {
            run_half(comparison, (int)((slice + (uint64_t)turn) % HALVES), begin, end);
            if (comparison->error != 0 || !report_progress(comparison, end - begin)) {
                return;
            }
        }
    }
}

/* Bytes that no file system stores as a hole or compresses well. */
static void fill(unsigned char *buffer, size_t bytes)
{
    uint32_t state = 2463534242u;
    size_t i;

    for (i = 0; i < bytes; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        buffer[i] = (unsigned char)state;
    }
}

static int allocate(struct comparison *comparison)
{
    const epio_bench_options *options = &comparison->options;
    size_t depth = options->queue_depth;
    size_t i;

    if (options->bytes > SIZE_MAX - ALIGNMENT) {
        return EPIO_ENOMEM;
    }
    comparison->stride = (options->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (comparison->stride > (SIZE_MAX - ALIGNMENT) / depth) {
        return EPIO_ENOMEM;
    }
    comparison->memory = malloc(comparison->stride * depth + ALIGNMENT);
    comparison->tasks = calloc(depth, sizeof *comparison->tasks);
    if (comparison->memory == NULL || comparison->tasks == NULL) {
        return EPIO_ENOMEM;
    }
    comparison->buffers =
        (unsigned char *)comparison->memory + ALIGNMENT - (uintptr_t)comparison->memory % ALIGNMENT;
    for (i = 0; i < depth; i++) {
        struct task *task = &comparison->tasks[i];

        task->op.done = task_done;
        task->op.user = task;
        task->comparison = comparison;
        task->buffer = comparison->buffers + i * comparison->stride;
        fill(task->buffer, comparison->stride);
    }
    return 0;
}

static int open_files(struct comparison *comparison)
{
    uint32_t direct = comparison->options.flags & EPIO_BENCH_DIRECT ? EPIO_OPEN_DIRECT : 0;
    int half;

    for (half = 0; half < HALVES; half++) {
        epio_op op = {0};
        int64_t result =
            epio_wait(epio_open(&op, epio_loop_vfs(comparison->loop), comparison->options.path,
                                EPIO_OPEN_TEMPORARY | direct));

        if (result < 0) {
            return (int)result;
        }
        comparison->files[half] = op.file;
    }
    return 0;
}

/* Reads or writes a whole file, in order, untimed. */
static bool pass_over(struct comparison *comparison, epio_file *file, bool reading)
{
    uint64_t i = 0;

    while (i < comparison->options.iterations &&
           moved_all(comparison, perform_one(comparison, file, reading, i))) {
        i++;
    }
    return comparison->error == 0;
}

/* Writes the files that will be read, syncs them, and reads them into the page cache: readers may
 * have to wait for pages that are still dirty. */
static void write_contents(struct comparison *comparison)
{
    bool direct = (comparison->options.flags & EPIO_BENCH_DIRECT) != 0;
    int half;

    for (half = 0; half < HALVES; half++) {
        epio_file *file = comparison->files[half];

        if (!pass_over(comparison, file, false) || !sync_now(comparison, file) ||
            !(direct || pass_over(comparison, file, true)) ||
            !report_progress(comparison, comparison->options.iterations)) {
            return;
        }
    }
}

static void run(struct comparison *comparison)
{
    epio_loop_options loop_options = {0};

    loop_options.size = sizeof loop_options;
    loop_options.backend = comparison->options.backend;
    comparison->error = epio_loop_create(&comparison->loop, &loop_options);
    if (comparison->error == 0) {
        comparison->error = allocate(comparison);
    }
    if (comparison->error == 0) {
        comparison->error = open_files(comparison);
    }
    if (comparison->error != 0 || !report_progress(comparison, 0)) {
        return;
    }
    if (comparison->reading) {
        write_contents(comparison);
    }
    if (comparison->error == 0) {
        run_slices(comparison);
    }
}

static void clean_up(struct comparison *comparison)
{
    int half;

    for (half = 0; half < HALVES; half++) {
        epio_op op = {0};

        if (comparison->files[half] == NULL) {
            continue;
        }
        if (epio_wait(epio_close(&op, comparison->files[half])) < 0) {
            fail(comparison, op.result);
        }
    }
    epio_loop_destroy(comparison->loop);
    free(comparison->tasks);
    free(comparison->memory);
}

static const char *name_workload(const struct comparison *comparison)
{
    bool direct = (comparison->options.flags & EPIO_BENCH_DIRECT) != 0;

    if (comparison->reading) {
        return direct ? "direct read" : "read";
    }
    if (durable(comparison)) {
        return direct ? "direct durable write" : "durable write";
    }
    return direct ? "direct write" : "write";
}

static double divide(double amount, uint64_t by)
{
    return amount / (by == 0 ? 1.0 : (double)by);
}

static void fill_result(const struct comparison *comparison, epio_bench_result *result,
                        const char *backend)
{
    const epio_bench_options *options = &comparison->options;
    double bytes = (double)options->iterations * (double)options->bytes;

    result->workload = name_workload(comparison);
    result->backend = backend;
    result->iterations = options->iterations;
    result->bytes = options->bytes;
    result->queue_depth = options->queue_depth;
    result->synchronous_ns = comparison->elapsed[SYNCHRONOUS];
    result->asynchronous_ns = comparison->elapsed[ASYNCHRONOUS];
    result->synchronous_bytes_per_second = divide(bytes * 1e9, result->synchronous_ns);
    result->asynchronous_bytes_per_second = divide(bytes * 1e9, result->asynchronous_ns);
    result->speedup = divide((double)result->synchronous_ns, result->asynchronous_ns);
}

/* Copies the options, with defaults for what is 0. Returns what is wrong with them, apart from the
 * loop's; NULL: nothing. */
static const char *fill_options(epio_bench_options *options, const epio_bench_options *given,
                                bool reading)
{
    size_t first = EPIO__SIZE_UP_TO(epio_bench_options, user);
    if (given != NULL && !epio_options_take(options, sizeof *options, first, given)) {
        return given->size < first ? "size is not sizeof(epio_bench_options)"
                                   : "options are set that this version does not know";
    }
    if (options->iterations == 0) {
        options->iterations = 1000;
    }
    if (options->bytes == 0) {
        options->bytes = 4096;
    }
    if (options->queue_depth == 0) {
        options->queue_depth = 32;
    }
    if (options->queue_depth > options->iterations) {
        options->queue_depth = (uint32_t)options->iterations;
    }
    if ((options->flags & ~(EPIO_BENCH_DIRECT | EPIO_BENCH_DURABLE)) != 0) {
        return "unknown flags";
    }
    if (reading && (options->flags & EPIO_BENCH_DURABLE) != 0) {
        return "DURABLE is for writing";
    }
    if (options->iterations > INT64_MAX / options->bytes) {
        return "iterations * bytes is beyond INT64_MAX";
    }
    return NULL;
}

int64_t epio_bench_invalid_reason(const epio_bench_options *options, bool reading, char *buffer,
                                  size_t len)
{
    epio_bench_options taken = {0};
    const char *reason = fill_options(&taken, options, reading);
    if (reason == NULL || (buffer == NULL && len != 0)) {
        epio_loop_options of_loop = {.size = sizeof of_loop, .backend = taken.backend};
        return epio_loop_invalid_reason(&of_loop, buffer, len);
    }
    return snprintf(buffer, len, "%s", reason);
}

static bool give(const epio_bench_result *found, epio_bench_result *result)
{
    return epio_result_give(found, sizeof *found, EPIO__SIZE_UP_TO(epio_bench_result, speedup),
                            result);
}

static int compare(epio_bench_result *result, const epio_bench_options *options, bool reading)
{
    struct comparison comparison = {0};
    const char *backend = NULL;

    epio_bench_result found = {0};

    if (result == NULL || !give(&found, result)) {
        return EPIO_EINVAL;
    }
    comparison.reading = reading;
    if (fill_options(&comparison.options, options, reading) != NULL) {
        return EPIO_EINVAL;
    }
    comparison.total = comparison.options.iterations * HALVES * (reading ? 2 : 1);
    run(&comparison);
    if (comparison.loop != NULL) {
        backend = epio_loop_backend(comparison.loop);
    }
    clean_up(&comparison);
    if (comparison.error == 0) {
        fill_result(&comparison, &found, backend);
        (void)give(&found, result);
    }
    return comparison.error;
}

int epio_bench_compare_write(epio_bench_result *result, const epio_bench_options *options)
{
    return compare(result, options, false);
}

int epio_bench_compare_read(epio_bench_result *result, const epio_bench_options *options)
{
    return compare(result, options, true);
}

int64_t epio_bench_summary(const epio_bench_result *result, char *buffer, size_t len)
{
    if (result == NULL || (buffer == NULL && len != 0)) {
        return EPIO_EINVAL;
    }
    return snprintf(buffer, len,
                    "%s: %" PRIu64 " x %" PRIu64 " bytes, up to %" PRIu32 " in flight (%s)\n"
                    "  %-13s %10.2f ms %10.1f MB/s\n"
                    "  %-13s %10.2f ms %10.1f MB/s\n"
                    "  %-13s %10.2f times\n",
                    result->workload, result->iterations, result->bytes, result->queue_depth,
                    result->backend, "synchronous", (double)result->synchronous_ns / 1e6,
                    result->synchronous_bytes_per_second / 1e6, "asynchronous",
                    (double)result->asynchronous_ns / 1e6,
                    result->asynchronous_bytes_per_second / 1e6, "speed-up", result->speedup);
}
