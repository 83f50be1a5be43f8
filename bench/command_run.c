/* epio-bench run: epio alone, for a chosen time, with the latencies of its operations. */
#include "comparison.h"

#include <stdio.h>
#include <string.h>

#define FILE_SIZE ((uint64_t)16 << 20) /* of all files together, or one block */

/* A power of two, and at least one block per file. */
static uint64_t count_blocks(const bench_options *options)
{
    uint64_t blocks = 1;

    while (blocks < options->files || blocks * 2 * options->size <= FILE_SIZE) {
        blocks *= 2;
    }
    return blocks;
}

static bench_workload workload_of(const bench_options *options)
{
    bench_workload workload = {.name = options->workload};

    workload.direct = options->direct;
    workload.size = (uint32_t)options->size;
    workload.depth = (uint32_t)options->depth;
    if (strcmp(options->workload, "append") == 0) {
        workload.kind = BENCH_APPEND;
    } else {
        workload.kind = strcmp(options->workload, "write") == 0 ? BENCH_OVERWRITE : BENCH_READ;
        workload.blocks = count_blocks(options);
    }
    return workload;
}

static int run_run(const bench_options *options)
{
    const char *backends[BENCH_MOST_BACKENDS];
    bench_workload workload = workload_of(options);
    const bench_plan plan = {
        .bench = "run", .workload = &workload, .files = (size_t)options->files, .detailed = true};
    bench_setup setup = {.options = options};
    int error;

    bench_backends(options, backends);
    setup.backend = backends[0];
    setup.engine = bench_engine_epio(options->inline_writes ? BENCH_INLINE : BENCH_ALONE);
    error = bench_compare_engines(options, &plan, &setup, 1);
    if (error < 0 && options->direct) {
        fprintf(stderr, "epio-bench run: --direct may not be offered by this file system, "
                        "or not with this --size\n");
    }
    return error;
}

static const char *const workloads[] = {"read", "write", "append", NULL};

const bench_command bench_run_command = {
    .name = "run",
    .summary = "epio alone on one workload: rate, CPU, latency percentiles",
    .help = "Reads or overwrites random blocks of files that exist, or appends blocks and waits\n"
            "until each is on the medium, on the best backend or another. Every operation is\n"
            "timed, which costs short ones a few percent of their rate; epio-bench peers takes\n"
            "rates without. Blocks that were read are checked, and overwritten files at the end.",
    .options = BENCH_WORKLOAD | BENCH_SIZE | BENCH_DEPTH | BENCH_FILES | BENCH_SECONDS |
               BENCH_ROUTES | BENCH_BUSY,
    .defaults = {.workload = "read",
                 .size = 4096,
                 .depth = 32,
                 .files = 1,
                 .rounds = 1,
                 .seconds = 3,
                 .path = "."},
    .workloads = workloads,
    .run = run_run,
};
