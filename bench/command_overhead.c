/* epio-bench overhead: what epio itself costs, from the verb to the callback. */
#include "comparison.h"

#include <epio/vfs.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 32u
#define BLOCK 4096u
#define BLOCKS DEPTH
/* Reading the clock is no part of an operation. */
#define OPERATIONS_PER_CLOCK 8192u

struct overhead;

struct task {
    epio_op op;
    struct overhead *overhead;
    epio_file *file;
    uint64_t number; /* of the block that is read */
    uint64_t offset;
    unsigned char *buffer;
};

/* Operations on one loop, each of which is followed by another. As little as can be
 * is done besides: what this file costs is counted too. */
struct overhead {
    epio_loop *loop;
    epio_file *file;
    epio_vfs nothing_vfs;
    epio_file nothing_file;
    void *memory;
    int error;
    struct task tasks[DEPTH];
};

/* ---- Operations ---------------------------------------------------------- */

/* Operations to be started. */
static uint64_t left;

/* Every task reads its own block again and again. */
static void start_next(struct task *task)
{
    left--;
    epio_submit(epio_read(&task->op, task->file, task->buffer, BLOCK, task->offset));
}

static void task_done(epio_op *op)
{
    struct task *task = op->user;

    if (op->result != BLOCK || !bench_block_is(task->buffer, task->number)) {
        task->overhead->error = op->result < 0 ? (int)op->result : EPIO_EIO;
    } else if (left > 0) {
        start_next(task);
    }
}

static int run_operations(struct overhead *overhead, uint64_t count)
{
    size_t i;

    left = count;
    for (i = 0; i < DEPTH && left > 0; i++) {
        start_next(&overhead->tasks[i]);
    }
    epio_loop_run(overhead->loop);
    return overhead->error;
}

static int run_turn(void *context, bench_turn *turn)
{
    uint64_t began = epio_clock_monotonic();
    int error;

    do {
        error = run_operations(context, OPERATIONS_PER_CLOCK);
        turn->operations += OPERATIONS_PER_CLOCK;
        turn->elapsed = epio_clock_monotonic() - began;
    } while (error == 0 && turn->elapsed < turn->nanoseconds);
    return error;
}

/* ---- A VFS without the kernel -------------------------------------------- */

static void submit_nothing(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_complete(op, (int64_t)op->arguments.io.len);
}

static int64_t perform_nothing(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    return (int64_t)op->arguments.io.len;
}

static void cancel_nothing(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    (void)op;
}

static const epio_vfs_methods nothing_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "nothing",
    .submit = submit_nothing,
    .perform = perform_nothing,
    .cancel = cancel_nothing,
};

/* ---- The two workloads --------------------------------------------------- */

static const bench_workload cached_read = {.name = "cached read 4 KiB",
                                           .kind = BENCH_READ,
                                           .size = BLOCK,
                                           .depth = DEPTH,
                                           .blocks = BLOCKS};
static const bench_workload no_kernel_call = {
    .name = "without the kernel call", .kind = BENCH_READ, .size = BLOCK, .depth = DEPTH};

/* `target` NULL: without the kernel call. Closing works after an error too. */
static int open_overhead(struct overhead *overhead, const char *backend, const bench_target *target)
{
    unsigned char *buffers;
    size_t i;
    int error = bench_loop_create(backend, BENCH_ALONE, &overhead->loop);

    overhead->memory = bench_aligned_memory((size_t)DEPTH * BLOCK, &buffers);
    if (error != 0 || overhead->memory == NULL) {
        return error != 0 ? error : EPIO_ENOMEM;
    }
    if (target == NULL) {
        overhead->nothing_vfs.methods = &nothing_methods;
        overhead->nothing_vfs.loop = overhead->loop;
        epio_file_init(&overhead->nothing_file, &overhead->nothing_vfs, EPIO_OPEN_READ, 0);
        overhead->file = &overhead->nothing_file;
    } else {
        error = bench_file_adopt(target, 0, epio_loop_vfs(overhead->loop), &overhead->file);
    }
    for (i = 0; i < DEPTH; i++) {
        struct task *task = &overhead->tasks[i];

        task->op.done = task_done;
        task->op.user = task;
        task->overhead = overhead;
        task->file = overhead->file;
        task->number = i;
        task->offset = i * BLOCK;
        task->buffer = buffers + i * BLOCK;
        bench_block_mark(task->buffer, i);
    }
    return error;
}

static void close_overhead(struct overhead *overhead)
{
    if (overhead->file == &overhead->nothing_file) {
        epio_file_release(overhead->file);
    } else {
        bench_file_close(overhead->file);
    }
    epio_loop_destroy(overhead->loop);
    free(overhead->memory);
}

/* ---- Measuring ----------------------------------------------------------- */

static int run_workload(const bench_options *options, const bench_workload *workload,
                        const bench_target *target)
{
    const char *backends[BENCH_MOST_BACKENDS];
    bench_candidate candidates[BENCH_MOST_BACKENDS] = {{0}};
    struct overhead *all = calloc(BENCH_MOST_BACKENDS, sizeof *all);
    size_t count = bench_backends(options, backends), i;
    int error = all == NULL ? EPIO_ENOMEM : 0;

    for (i = 0; i < count && error == 0; i++) {
        candidates[i] = (bench_candidate){.name = "epio",
                                          .backend = backends[i],
                                          .mode = BENCH_ALONE,
                                          .depth = DEPTH,
                                          .run = run_turn,
                                          .context = &all[i]};
        error = open_overhead(&all[i], backends[i], target);
    }
    if (error == 0 && options->iterations != 0) {
        /* For callgrind: nothing that depends on the time. */
        error = run_operations(&all[0], options->iterations);
        bench_say(options, "%" PRIu64 " operations on %s\n", options->iterations, backends[0]);
    } else if (error == 0) {
        bench_comparison comparison = {.bench = "overhead",
                                       .workload = workload->name,
                                       .candidates = candidates,
                                       .count = count,
                                       .seconds = options->seconds};

        error = bench_compare(options, &comparison);
    }
    for (i = 0; i < count && all != NULL; i++) {
        close_overhead(&all[i]);
    }
    free(all);
    return error;
}

static int run_overhead(const bench_options *options)
{
    bool all = options->workload == NULL;
    bench_target target = {0};
    int error = 0;

    if (all || strcmp(options->workload, "none") == 0) {
        error = run_workload(options, &no_kernel_call, NULL);
    }
    if (error != 0 || (!all && strcmp(options->workload, "read") != 0)) {
        return error;
    }
    error = bench_target_open(&target, options, &cached_read, 1);
    if (error == 0) {
        error = run_workload(options, &cached_read, &target);
    }
    bench_target_close(&target);
    return error;
}

static const char *const workloads[] = {"read", "none", NULL};

const bench_command bench_overhead_command = {
    .name = "overhead",
    .summary = "what an operation costs from submit to done",
    .help = "Keeps 32 operations in flight: reads of 4 KiB that a VFS of this program completes\n"
            "at once, without a call of the kernel (--workload none), and cached reads of a file\n"
            "(--workload read). Verb, submit, delivery, callback and the C library's wrapper of\n"
            "the call are included. With --iterations, exactly so many are carried out, on one\n"
            "backend, and nothing is measured: run that twice under valgrind --tool=callgrind,\n"
            "and the difference is what these operations took; ci/bench does.",
    .options = BENCH_ROUNDS | BENCH_SECONDS | BENCH_WORKLOAD | BENCH_ITERATIONS,
    .defaults = {.rounds = 15, .seconds = 0.05, .path = "."},
    .workloads = workloads,
    .run = run_overhead,
};
