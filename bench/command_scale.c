/* epio-bench scale: whether an operation costs more when many are in flight. */
#include "bench.h"

#include <epio/vfs.h>

#include <stdlib.h>

#define BLOCKS 1024u
/* Operations, of which some are in flight. All of them are used in turn at each
 * depth, so that the processor's caches serve all depths alike. */
#define MOST 100000u
/* Small reads: what an op costs shall not drown in the copying of data, nor in
 * what that data does to the processor's caches. */
#define READ_SIZE 64u
/* A turn has at least so many times the depth, so that filling the queue does
 * not count much. */
#define LEAST_ROUNDS 3u

struct scale {
    epio_loop *loop;
    epio_file *file;
    struct task *tasks; /* MOST of them, whatever the depth */
    uint32_t *idle;     /* which of them: a ring of MOST places, first come first served */
    uint64_t first_idle;
    uint64_t state; /* of the order of blocks */
    uint64_t until;
    uint64_t least;
    uint64_t started;
    uint64_t finished;
    int error; /* the first */
};

struct task {
    epio_op op;
    struct scale *scale;
    uint64_t number; /* of the block that is read */
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

    scale->first_idle = (scale->first_idle + 1) % MOST;
    scale->started++;
    task->number = bench_block_next(&scale->state, BLOCKS);
    epio_submit(
        epio_read(&task->op, scale->file, task->buffer, READ_SIZE, task->number * BENCH_BLOCK));
}

/* As many are idle as have been started and not finished less than MOST: the
 * ring's end follows from its start. */
static void put_idle(struct scale *scale, const struct task *task)
{
    uint64_t in_flight = scale->started - scale->finished;

    scale->idle[(scale->first_idle + MOST - in_flight) % MOST] = (uint32_t)(task - scale->tasks);
    scale->finished++;
}

static bool time_is_up(const struct scale *scale)
{
    if (scale->started < scale->least) {
        return false;
    }
    /* Looking at the clock costs a fraction of a read. */
    return scale->started % 64 == 0 && epio_monotonic_time() >= scale->until;
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
    uint64_t began = epio_monotonic_time();
    uint64_t i;

    scale->started = 0;
    scale->finished = 0;
    scale->least = depth->in_flight * LEAST_ROUNDS;
    scale->until = began + nanoseconds;
    for (i = 0; i < depth->in_flight; i++) {
        start_next(scale);
    }
    epio_loop_run(scale->loop);
    sample->nanoseconds = epio_monotonic_time() - began;
    sample->operations = scale->finished;
    return scale->error;
}

static int open_scale(struct scale *scale, const bench_options *options)
{
    uint32_t i;
    int error;

    scale->state = 1;
    scale->tasks = calloc(MOST, sizeof *scale->tasks);
    scale->idle = calloc(MOST, sizeof *scale->idle);
    if (scale->tasks == NULL || scale->idle == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < MOST; i++) {
        struct task *task = &scale->tasks[i];

        scale->idle[i] = i;
        task->scale = scale;
        task->op.done = task_done;
        task->op.user = task;
    }
    error = bench_loop_create(options, &scale->loop);
    if (error == 0) {
        error = bench_file_open(options, epio_loop_vfs(scale->loop), &scale->file);
    }
    return error != 0 ? error : bench_file_fill(scale->file, BLOCKS);
}

static void close_scale(struct scale *scale)
{
    bench_file_close(scale->file);
    epio_loop_destroy(scale->loop);
    free(scale->idle);
    free(scale->tasks);
}

static int compare_depths(const bench_options *options, struct scale *scale)
{
    static const uint64_t in_flight[] = {1, 10, 100, 1000, 10000, MOST};
    enum { DEPTHS = sizeof in_flight / sizeof in_flight[0] };
    struct depth depths[DEPTHS];
    bench_engine engines[DEPTHS];
    bench_score scores[DEPTHS];
    size_t i;
    int error;

    for (i = 0; i < DEPTHS; i++) {
        depths[i].scale = scale;
        depths[i].in_flight = in_flight[i];
        engines[i].name = "epio";
        engines[i].backend = epio_loop_backend(scale->loop);
        engines[i].run = run_epio;
        engines[i].context = &depths[i];
    }
    error = bench_rounds_run(options, "scale", engines, DEPTHS, 0, scores);
    if (error != 0) {
        return error;
    }
    bench_report_head(options, "Cached reads of 64 bytes, so many in flight at once",
                      "of one in flight");
    for (i = 0; i < DEPTHS; i++) {
        bench_row row = {"scale",     "cached read 64 bytes", in_flight[i], &engines[i], &scores[i],
                         "vs_depth_1"};

        bench_report_row(options, &row);
    }
    return 0;
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

const bench_command bench_scale = {
    .name = "scale",
    .summary = "the cost of an operation from 1 to 100,000 in flight",
    .help = "Keeps 1, 10, ... 100,000 cached reads of 64 bytes in flight; each that completes\n"
            "is followed by another. At each depth the same 100,000 ops are used in turn, so\n"
            "that memory is as near or far for all. The ratio is the rate over that of one in "
            "flight in the same\n"
            "round.",
    .options = BENCH_SECONDS,
    .defaults = {.rounds = 9, .seconds = 0.2, .path = "."},
    .run = run_scale,
};
