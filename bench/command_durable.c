/* epio-bench durable: tasks that append to one file and wait until each block
 * is on the medium, in both ways that they can be written. */
#include "comparison.h"

#include <string.h>

#define BLOCK 4096u
#define MOST_ENTRIES (2 + 4 * BENCH_MOST_BACKENDS)

/* Each task waits for its write and syncs then, or submits both in one go. */
static size_t list_entries(const bench_options *options, bench_entry entries[MOST_ENTRIES])
{
    static const bench_mode modes[] = {BENCH_ALONE, BENCH_HANDED_OVER};
    const char *backends[BENCH_MOST_BACKENDS];
    size_t backend_count = bench_backends(options, backends);
    size_t count = 0, backend, mode, together;

    memset(entries, 0, MOST_ENTRIES * sizeof *entries);
    entries[count++].engine = &bench_engine_ideal;
    entries[count++].engine = &bench_engine_threads;
    for (backend = 0; backend < backend_count; backend++) {
        for (mode = 0; mode < 2; mode++) {
            for (together = 0; together < 2; together++) {
                bench_entry *entry = &entries[count++];

                entry->engine = &bench_engine_epio;
                entry->name = together != 0 ? "both at once" : "write, then sync";
                entry->backend = backends[backend];
                entry->mode = modes[mode];
                entry->together = together != 0;
            }
        }
    }
    return count;
}

static int compare_tasks(const bench_options *options, uint64_t tasks)
{
    bench_workload workload = {
        .name = "append 4 KiB and sync", .kind = BENCH_APPEND, .size = BLOCK};
    bench_entry entries[MOST_ENTRIES];
    size_t count = list_entries(options, entries);

    workload.depth = (uint32_t)tasks;
    return bench_entries_compete(options, "durable", &workload, entries, count, NULL);
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
