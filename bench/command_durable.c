/* epio-bench durable: tasks that append to one file and wait until each block is on the medium,
 * written in two forms. */
#include "comparison.h"

static int compare_tasks(const bench_options *options, uint64_t tasks)
{
    const bench_workload workload = {.name = "append 4 KiB and sync",
                                     .kind = BENCH_APPEND,
                                     .size = 4096,
                                     .depth = (uint32_t)tasks};
    const bench_plan plan = {.bench = "durable", .workload = &workload};
    bench_setup setups[BENCH_MOST_CANDIDATES];
    size_t count = bench_engines_choose(options, &workload, BENCH_DURABLE, NULL, setups);

    return bench_compare_engines(options, &plan, setups, count);
}

static int run_durable(const bench_options *options)
{
    static const uint64_t usual[] = {1, 8, 32};
    size_t count = options->tasks != 0 ? 1 : sizeof usual / sizeof usual[0], i;
    int error = 0;

    for (i = 0; i < count && error == 0; i++) {
        error = compare_tasks(options, options->tasks != 0 ? options->tasks : usual[i]);
    }
    return error;
}

const bench_command bench_durable_command = {
    .name = "durable",
    .summary = "appends with a sync each, on one loop and on threads",
    .help = "Tasks append blocks of 4 KiB to one file and wait until each is durable: on one\n"
            "loop, once waiting for the write before the sync and once submitting both at once,\n"
            "beside as many threads that write and flush by themselves. The ideal is one thread\n"
            "that writes for all and flushes once. What the modes are: epio-bench peers --help.",
    .options = BENCH_BUSY | BENCH_ROUNDS | BENCH_SECONDS | BENCH_TASKS | BENCH_PLOT,
    .defaults = {.rounds = 15, .seconds = 0.1, .path = "."},
    .run = run_durable,
};
