/* epio-bench durable: tasks that append to one file and wait until each block
 * is on the medium, on one loop and on threads. */
#include "bench.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdlib.h>
#include <string.h>

struct durable {
    bench_appends appends;
    bool together; /* write and sync are submitted in one go */
    epio_loop *loop;
    epio_file *file;
    uint64_t offset; /* where the next block goes */
    uint64_t until;
    uint64_t finished;
    int error; /* the first */
    struct task *tasks;
};

/* One of the writers: appends a block, makes it durable, and again. */
struct task {
    epio_op write;
    epio_op sync;
    struct durable *durable;
};

static unsigned char block[BENCH_BLOCK];

static void fail(struct durable *durable, int64_t result)
{
    if (durable->error == 0) {
        durable->error = (int)result;
    }
}

static void submit_sync(struct task *task)
{
    epio_submit(epio_sync(&task->sync, task->durable->file, EPIO_SYNC_DATA_ONLY));
}

static void append(struct task *task)
{
    struct durable *durable = task->durable;
    uint64_t offset = durable->offset;

    durable->offset += BENCH_BLOCK;
    epio_submit(epio_write(&task->write, durable->file, block, BENCH_BLOCK, offset));
    if (durable->together) {
        submit_sync(task);
    }
}

static void write_done(epio_op *op)
{
    struct task *task = op->user;

    if (op->result < 0) {
        fail(task->durable, op->result);
    } else if (!task->durable->together) {
        submit_sync(task);
    }
}

static void sync_done(epio_op *op)
{
    struct task *task = op->user;
    struct durable *durable = task->durable;

    if (op->result < 0) {
        fail(durable, op->result);
    }
    durable->finished++;
    if (durable->error == 0 && epio_monotonic_time() < durable->until) {
        append(task);
    }
}

static void run_tasks(struct durable *durable, uint64_t nanoseconds, bench_sample *sample)
{
    uint64_t started = epio_monotonic_time();
    uint64_t i;

    durable->offset = 0;
    durable->finished = 0;
    durable->until = started + nanoseconds;
    for (i = 0; i < durable->appends.writers; i++) {
        append(&durable->tasks[i]);
    }
    epio_loop_run(durable->loop);
    sample->nanoseconds = epio_monotonic_time() - started;
    sample->operations = durable->finished;
}

static int run_epio(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    struct durable *durable = context;
    int error =
        bench_file_open(durable->appends.options, epio_loop_vfs(durable->loop), &durable->file);

    if (error != 0) {
        return error;
    }
    run_tasks(durable, nanoseconds, sample);
    bench_file_close(durable->file);
    return durable->error;
}

static int open_durable(struct durable *durable, const bench_options *options, uint64_t writers,
                        bool together)
{
    uint64_t i;
    int error;

    memset(durable, 0, sizeof *durable);
    durable->appends.options = options;
    durable->appends.writers = writers;
    durable->together = together;
    durable->tasks = calloc((size_t)writers, sizeof *durable->tasks);
    if (durable->tasks == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < writers; i++) {
        struct task *task = &durable->tasks[i];

        task->durable = durable;
        task->write.done = write_done;
        task->write.user = task;
        task->sync.done = sync_done;
        task->sync.user = task;
    }
    error = bench_loop_create(options, &durable->loop);
    return error;
}

static void close_durable(struct durable *durable)
{
    epio_loop_destroy(durable->loop);
    free(durable->tasks);
}

static int compare_engines(const bench_options *options, struct durable *awaited,
                           struct durable *together)
{
    const char *backend = epio_loop_backend(awaited->loop);
    bench_engine engines[] = {
        {"threads", NULL, bench_thread_appends, &awaited->appends},
        {"epio, write then sync", backend, run_epio, awaited},
        {"epio, both at once", backend, run_epio, together},
        {"one flush for all (ideal)", NULL, bench_grouped_appends, &awaited->appends},
    };
    enum { ENGINES = sizeof engines / sizeof engines[0] };
    bench_score scores[ENGINES];
    size_t i;
    int error = bench_rounds_run(options, "durable appends", engines, ENGINES, 0, scores);

    for (i = 0; i < ENGINES && error == 0; i++) {
        bench_row row = {"durable",
                         "append 4 KiB and sync",
                         awaited->appends.writers,
                         &engines[i],
                         &scores[i],
                         "vs_blocking"};

        bench_report_row(options, &row);
    }
    return error;
}

static int run_with(const bench_options *options, uint64_t writers)
{
    struct durable awaited, together;
    int error = open_durable(&awaited, options, writers, false);
    int other = open_durable(&together, options, writers, true);

    if (error == 0) {
        error = other;
    }
    if (error == 0) {
        error = compare_engines(options, &awaited, &together);
    }
    close_durable(&together);
    close_durable(&awaited);
    return error;
}

static int run_durable(const bench_options *options)
{
    static const uint64_t usual[] = {1, 8, 32};
    size_t i;
    int error = 0;

    memset(block, 'e', sizeof block);
    bench_report_head(options, "Appends of 4 KiB, each durable before its task goes on",
                      "of the threads");
    if (options->tasks != 0) {
        return run_with(options, options->tasks);
    }
    for (i = 0; i < sizeof usual / sizeof usual[0] && error == 0; i++) {
        error = run_with(options, usual[i]);
    }
    return error;
}

const bench_command bench_durable = {
    .name = "durable",
    .summary = "appends with a sync each, on one loop and on threads",
    .help = "Tasks append blocks of 4 KiB to one file and wait until each is durable: on one\n"
            "loop, once waiting for the write before the sync and once submitting both\n"
            "together, beside as many threads that write and flush by themselves. The ratio is\n"
            "that to the threads' rate in the same round. The last line is what one thread\n"
            "gets that writes for all and flushes once.",
    .options = BENCH_SECONDS | BENCH_TASKS,
    .defaults = {.rounds = 7, .seconds = 0.3, .path = "."},
    .run = run_durable,
};
