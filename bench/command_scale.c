/* epio-bench scale: whether an operation costs more when many are in flight. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdlib.h>

#define BLOCK 4096u
#define BLOCKS 1024u
/* 1, 10, ... in flight, as far as --depth allows. */
#define DEPTHS 7u
/* Small reads: what an op costs shall not drown in the copying of data, nor in
 * what that data does to the processor's caches. */
#define READ_SIZE 64u
/* A turn has at least so many times the depth, so that filling the queue does
 * not count much. */
#define LEAST_ROUNDS 3u

struct scale {
    epio_loop *loop;
    bench_target target;
    epio_file *file;
    /* As many operations as there may be in flight. All of them are used in turn at
     * each depth, so that the processor's caches serve all depths alike. */
    uint64_t most;
    struct task *tasks;
    uint32_t *idle; /* which of them: a ring of so many places, first come first served */
    uint64_t first_idle;
    uint64_t state; /* of the order of blocks */
    uint64_t until;
    uint64_t least;
    uint64_t started;
    uint64_t finished;
    bench_histogram *latencies;
    int error; /* the first */
};

struct task {
    epio_op op;
    struct scale *scale;
    uint64_t number; /* of the block that is read */
    uint64_t begun;
    unsigned char buffer[READ_SIZE];
};

/* An engine's context. */
struct depth {
    struct scale *scale;
    uint64_t in_flight;
};

static void start_next(struct scale *scale)
{
    struct task *task = &scale->tasks[scale->idle[scale->first_idle]];

    scale->first_idle = (scale->first_idle + 1) % scale->most;
    scale->started++;
    task->number = bench_block_next(&scale->state, BLOCKS);
    if (scale->latencies != NULL) {
        task->begun = epio_clock_monotonic();
    }
    epio_submit(epio_read(&task->op, scale->file, task->buffer, READ_SIZE, task->number * BLOCK));
}

/* The ring's end follows from its start: what is not in flight is idle. */
static void put_idle(struct scale *scale, const struct task *task)
{
    uint64_t in_flight = scale->started - scale->finished;

    scale->idle[(scale->first_idle + scale->most - in_flight) % scale->most] =
        (uint32_t)(task - scale->tasks);
    scale->finished++;
}

static bool time_is_up(const struct scale *scale)
{
    if (scale->started < scale->least) {
        return false;
    }
    /* Looking at the clock costs a fraction of a read. */
    return scale->started % 64 == 0 && epio_clock_monotonic() >= scale->until;
}

static void fail(struct scale *scale, int64_t error)
{
    if (scale->error == 0) {
        scale->error = (int)error;
    }
}

static void task_done(epio_op *op)
{
    struct task *task = op->user;
    struct scale *scale = task->scale;

    put_idle(scale, task);
    if (scale->latencies != NULL) {
        bench_histogram_record(scale->latencies, epio_clock_monotonic() - task->begun);
    }
    if (op->result < 0) {
        fail(scale, op->result);
    } else if (op->result != READ_SIZE || !bench_block_is(task->buffer, task->number)) {
        fail(scale, EPIO_EIO);
    }
    if (scale->error != 0 || scale->until == 0) {
        return;
    }
    if (time_is_up(scale)) {
        scale->until = 0; /* nothing more is started */
    } else {
        start_next(scale);
    }
}

static int run_epio(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const struct depth *depth = context;
    struct scale *scale = depth->scale;
    uint64_t began = epio_clock_monotonic();
    uint64_t i;

    scale->started = 0;
    scale->finished = 0;
    scale->least = depth->in_flight * LEAST_ROUNDS;
    scale->until = began + nanoseconds;
    scale->latencies = sample->latencies;
    for (i = 0; i < depth->in_flight; i++) {
        start_next(scale);
    }
    epio_loop_run(scale->loop);
    sample->nanoseconds = epio_clock_monotonic() - began;
    sample->operations = scale->finished;
    return scale->error;
}

static const bench_workload workload = {.name = "cached read 64 bytes",
                                        .kind = BENCH_READ,
                                        .size = BLOCK,
                                        .depth = 1,
                                        .blocks = BLOCKS};

static int open_tasks(struct scale *scale)
{
    uint32_t i;

    scale->tasks = calloc((size_t)scale->most, sizeof *scale->tasks);
    scale->idle = calloc((size_t)scale->most, sizeof *scale->idle);
    if (scale->tasks == NULL || scale->idle == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < scale->most; i++) {
        struct task *task = &scale->tasks[i];

        scale->idle[i] = i;
        task->scale = scale;
        task->op.done = task_done;
        task->op.user = task;
    }
    return 0;
}

static int open_scale(struct scale *scale, const bench_options *options)
{
    int error;

    scale->state = 1;
    scale->most = options->depth;
    error = open_tasks(scale);
    if (error == 0) {
        error = bench_target_open(&scale->target, options, &workload, 1);
    }
    if (error == 0) {
        error = bench_loop_create(options->backend, BENCH_ALONE, &scale->loop);
    }
    if (error != 0) {
        return error;
    }
    return bench_file_adopt(&scale->target, 0, epio_loop_vfs(scale->loop), &scale->file);
}

static void close_scale(struct scale *scale)
{
    bench_file_close(scale->file);
    epio_loop_destroy(scale->loop);
    bench_target_close(&scale->target);
    free(scale->idle);
    free(scale->tasks);
}

/* The depths are the candidates. */
static int compare_depths(const bench_options *options, struct scale *scale)
{
    struct depth depths[DEPTHS];
    bench_candidate candidates[DEPTHS];
    bench_comparison comparison = {.bench = "scale",
                                   .workload = workload.name,
                                   .candidates = candidates,
                                   .seconds = options->seconds};
    uint64_t in_flight = 1;
    size_t i;

    for (i = 0; i < DEPTHS && in_flight <= scale->most; i++, in_flight *= 10) {
        depths[i] = (struct depth){scale, in_flight};
        candidates[i] = (bench_candidate){.name = "epio",
                                          .backend = epio_loop_backend(scale->loop),
                                          .mode = BENCH_ALONE,
                                          .depth = in_flight,
                                          .roles = i == 0 ? BENCH_ROLE_SINGLE : 0,
                                          .run = run_epio,
                                          .context = &depths[i]};
    }
    comparison.count = i;
    return bench_compare(options, &comparison);
}

static int run_scale(const bench_options *options)
{
    struct scale scale = {0};
    int error = open_scale(&scale, options);

    if (error == 0) {
        error = compare_depths(options, &scale);
    }
    close_scale(&scale);
    return error;
}

const bench_command bench_scale_command = {
    .name = "scale",
    .summary = "the cost of an operation from 1 to 100,000 in flight",
    .help = "Keeps 1, 10, 100 and so on, as far as --depth allows, cached reads of 64 bytes in\n"
            "flight; each that completes is followed by another. At each depth as many ops as\n"
            "--depth says are used in turn, so that memory is as near or far for all. The\n"
            "ratio is the rate over that of one in flight in the same round.",
    .options = BENCH_ROUNDS | BENCH_SECONDS | BENCH_DEPTH,
    .defaults = {.rounds = 15, .seconds = 0.1, .depth = 100000, .path = "."},
    .run = run_scale,
};
