/* epio-bench durable: tasks that append to one file and wait until each block
 * is on the medium, written in both ways. */
#include "comparison.h"

static int compare_tasks(const bench_options *options, uint64_t tasks)
{
    const bench_workload workload = {.name = "append 4 KiB and sync",
                                     .kind = BENCH_APPEND,
                                     .size = 4096,
                                     .depth = (uint32_t)tasks};

    return bench_compare_engines(options, "durable", &workload, BENCH_DURABLE, NULL, NULL);
}

static int run_durable(const bench_options *options)
{
    static const uint64_t usual[] = {1, 8, 32};
    size_t i;
    int error = bench_plot_check(options);

    if (error == 0 && options->tasks != 0) {
        error = compare_tasks(options, options->tasks);
    }
    for (i = 0; i < sizeof usual / sizeof usual[0] && error == 0 && options->tasks == 0; i++) {
        error = compare_tasks(options, usual[i]);
    }
    return error != 0 ? error : bench_plot_draw(options);
}

const bench_command bench_durable_command = {
    .name = "durable",
    .summary = "appends with a sync each, on one loop and on threads",
    .help = "Tasks append blocks of 4 KiB to one file and wait until each is durable: on one\n"
            "loop, once waiting for the write before the sync and once submitting both at once,\n"
            "beside as many threads that write and flush by themselves. The ideal is one thread\n"
            "that writes for all and flushes once. What the modes are: epio-bench peers --help.",
    .options = BENCH_ROUNDS | BENCH_SECONDS | BENCH_TASKS | BENCH_PLOT,
    .defaults = {.rounds = 15, .seconds = 0.1, .path = "."},
    .run = run_durable,
};
