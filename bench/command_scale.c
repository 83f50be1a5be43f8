/* epio-bench scale: whether an operation costs more when many are in flight. */
#include "bench.h"

#include <epio/vfs.h>

#include <stdlib.h>

#define BLOCKS 1024u
/* Buffers that the ops share in turn: what the data does to the processor's
 * caches shall not grow with the depth. */
#define BUFFERS 16u
/* Each op is reused at least so often, so that the first use does not count much. */
#define LEAST_ROUNDS 3u

struct scale {
    uint64_t depth;
    epio_loop *loop;
    epio_file *file;
    struct task *tasks;
    unsigned char (*buffers)[BENCH_BLOCK];
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
    unsigned char *buffer;
};

static void start(struct task *task)
{
    struct scale *scale = task->scale;
    uint64_t number = bench_block_next(&scale->state, BLOCKS);

    scale->started++;
    epio_submit(epio_read(&task->op, scale->file, task->buffer, BENCH_BLOCK, number * BENCH_BLOCK));
}

static bool time_is_up(const struct scale *scale)
{
    if (scale->started < scale->least)
        return false;
    /* Looking at the clock costs a fraction of a read. */
    return scale->started % 64 == 0 && epio_monotonic_time() >= scale->until;
}

static void task_done(epio_op *op)
{
    struct task *task = op->user;
    struct scale *scale = task->scale;

    scale->finished++;
    if (op->result != BENCH_BLOCK && scale->error == 0)
        scale->error = op->result < 0 ? (int)op->result : EPIO_EIO;
    if (scale->error != 0 || scale->until == 0)
        return;
    if (time_is_up(scale))
        scale->until = 0; /* nothing more is started */
    else
        start(task);
}

static int run_epio(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    struct scale *scale = context;
    uint64_t began = epio_monotonic_time();
    uint64_t i;

    scale->started = 0;
    scale->finished = 0;
    scale->least = scale->depth * LEAST_ROUNDS;
    scale->until = began + nanoseconds;
    for (i = 0; i < scale->depth; i++)
        start(&scale->tasks[i]);
    epio_loop_run(scale->loop);
    sample->nanoseconds = epio_monotonic_time() - began;
    sample->operations = scale->finished;
    return scale->error;
}

static int open_scale(struct scale *scale, const bench_options *options, uint64_t depth)
{
    uint64_t i;
    int error;

    scale->depth = depth;
    scale->state = 1;
    scale->tasks = calloc((size_t)depth, sizeof *scale->tasks);
    scale->buffers = calloc(BUFFERS, sizeof *scale->buffers);
    if (scale->tasks == NULL || scale->buffers == NULL)
        return EPIO_ENOMEM;
    for (i = 0; i < depth; i++) {
        struct task *task = &scale->tasks[i];

        task->scale = scale;
        task->op.done = task_done;
        task->op.user = task;
        task->buffer = scale->buffers[i % BUFFERS];
    }
    error = bench_loop_create(options, &scale->loop);
    if (error == 0)
        error = bench_file_open(options, epio_loop_vfs(scale->loop), &scale->file);
    return error != 0 ? error : bench_file_fill(scale->file, BLOCKS);
}

static void close_scale(struct scale *scale)
{
    bench_file_close(scale->file);
    epio_loop_destroy(scale->loop);
    free(scale->buffers);
    free(scale->tasks);
}

static int compare_depths(const bench_options *options, struct scale *scales, size_t count)
{
    bench_engine engines[8];
    bench_score scores[8];
    size_t i;
    int error;

    for (i = 0; i < count; i++) {
        engines[i].name = "epio";
        engines[i].backend = epio_loop_backend(scales[i].loop);
        engines[i].run = run_epio;
        engines[i].context = &scales[i];
    }
    error = bench_rounds_run(options, "scale", engines, count, 0, scores);
    if (error != 0)
        return error;
    bench_report_head(options, "Cached reads of 4 KiB, so many in flight at once",
                      "of one in flight");
    for (i = 0; i < count; i++) {
        bench_row row = {"scale",     "cached read 4 KiB", scales[i].depth,
                         &engines[i], &scores[i],          "vs_depth_1"};

        bench_report_row(options, &row);
    }
    return 0;
}

static int run_scale(const bench_options *options)
{
    static const uint64_t depths[] = {1, 10, 100, 1000, 10000, 100000};
    enum { DEPTHS = sizeof depths / sizeof depths[0] };
    struct scale scales[DEPTHS] = {{0}};
    size_t i, opened = 0;
    int error = 0;

    while (opened < DEPTHS && error == 0) {
        error = open_scale(&scales[opened], options, depths[opened]);
        opened++;
    }
    if (error == 0)
        error = compare_depths(options, scales, DEPTHS);
    for (i = 0; i < opened; i++)
        close_scale(&scales[i]);
    return error;
}

const bench_command bench_scale = {
    .name = "scale",
    .summary = "the cost of an operation from 1 to 100,000 in flight",
    .help = "Keeps 1, 10, ... 100,000 cached reads of 4 KiB in flight; each that completes is\n"
            "submitted anew. The ratio is the rate over that of one in flight in the same\n"
            "round.",
    .options = BENCH_SECONDS,
    .defaults = {.rounds = 9, .seconds = 0.2, .path = "."},
    .run = run_scale,
};
