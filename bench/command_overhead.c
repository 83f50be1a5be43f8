/* epio-bench overhead: the cost of epio itself, from the verb to the callback. */
#include "comparison.h"

#include <epio/vfs.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 32u
#define BLOCK 4096u
/* Reading the clock must not count as part of an operation. */
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

/* Operations on one loop, each followed by another. Nothing else is done, since the cost of this
 * file is measured too. */
struct overhead {
    bench_queue queue; /* only its buffers are used */
    epio_loop *loop;
    epio_file *file;
    epio_vfs nothing_vfs;
    epio_file nothing_file;
    int error;
    struct task tasks[DEPTH];
};

/* ---- Operations ---------------------------------------------------------- */

/* Operations not started yet. */
static uint64_t left;

/* Every task reads its own block repeatedly. */
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

/* ---- The engine ---------------------------------------------------------- */

static int open_overhead(void *context, const bench_setup *setup)
{
    struct overhead *overhead = context;
    bool calls_kernel = setup->target->workload->blocks != 0;
    size_t i;
    int error = bench_loop_create(setup->backend, BENCH_ALONE, &overhead->loop);

    if (error == 0 && calls_kernel) {
        error = bench_file_adopt(setup->target, 0, epio_loop_vfs(overhead->loop), &overhead->file);
    } else if (error == 0) {
        overhead->nothing_vfs.methods = &nothing_methods;
        overhead->nothing_vfs.loop = overhead->loop;
        epio_file_init(&overhead->nothing_file, &overhead->nothing_vfs, EPIO_OPEN_READ, 0);
        overhead->file = &overhead->nothing_file;
    }
    for (i = 0; i < DEPTH; i++) {
        struct task *task = &overhead->tasks[i];

        task->op.done = task_done;
        task->op.user = task;
        task->overhead = overhead;
        task->file = overhead->file;
        task->number = i;
        task->offset = i * BLOCK;
        task->buffer = overhead->queue.slots[i].buffer;
        bench_block_mark(task->buffer, i);
    }
    return error;
}

static void close_overhead(void *context)
{
    struct overhead *overhead = context;

    if (overhead->file == &overhead->nothing_file) {
        epio_file_release(overhead->file);
    } else {
        bench_file_close(overhead->file);
    }
    epio_loop_destroy(overhead->loop);
}

static const bench_methods methods = {
    .size = sizeof(struct overhead),
    .open = open_overhead,
    .close = close_overhead,
    .run = run_turn,
};

static const bench_engine engine = {.name = "epio", .methods = &methods, .mode = BENCH_ALONE};

/* ---- Measuring ----------------------------------------------------------- */

/* For callgrind: nothing that depends on the time. */
static int run_exactly(const bench_options *options, const bench_workload *workload,
                       bench_setup *setup)
{
    bench_target target;
    bench_instance instance = {.context = NULL};
    int error = bench_target_open(&target, options, workload, 1);

    setup->target = &target;
    if (error == 0) {
        error = bench_engine_open(&instance, setup);
    }
    if (error == 0) {
        error = run_operations(instance.context, options->iterations);
        bench_say(options, "%" PRIu64 " operations on %s\n", options->iterations, setup->backend);
    }
    bench_engine_close(&instance);
    bench_target_close(&target);
    return error;
}

static int run_workload(const bench_options *options, const bench_workload *workload)
{
    const bench_plan plan = {.bench = "overhead", .workload = workload};
    const char *backends[BENCH_MOST_BACKENDS];
    bench_setup setups[BENCH_MOST_BACKENDS];
    size_t count = bench_backends(options, backends), i;

    for (i = 0; i < count; i++) {
        setups[i] = (bench_setup){.options = options, .engine = &engine, .backend = backends[i]};
    }
    return options->iterations != 0 ? run_exactly(options, workload, &setups[0])
                                    : bench_compare_engines(options, &plan, setups, count);
}

static int run_overhead(const bench_options *options)
{
    static const struct {
        const char *name;
        bench_workload workload;
    } all[] = {{"none", {"without the kernel call", BENCH_READ, false, BLOCK, DEPTH, 0}},
               {"read", {"cached read 4 KiB", BENCH_READ, false, BLOCK, DEPTH, DEPTH}}};
    size_t i;
    int error = 0;

    for (i = 0; i < sizeof all / sizeof all[0] && error == 0; i++) {
        if (options->workload == NULL || strcmp(options->workload, all[i].name) == 0) {
            error = run_workload(options, &all[i].workload);
        }
    }
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
