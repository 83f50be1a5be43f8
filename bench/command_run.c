/* epio-bench run: epio alone, for as long as one likes, with how long its
 * operations took. */
#include "comparison.h"

#include <stdio.h>
#include <string.h>

#define FILE_SIZE ((uint64_t)16 << 20) /* of all files together, or one block */

/* The largest power of two that is not above it. */
static uint64_t power_of_two(uint64_t most)
{
    uint64_t power = 1;

    while (power <= most / 2) {
        power *= 2;
    }
    return power;
}

/* Every file has a block at least. */
static uint64_t count_blocks(const bench_options *options)
{
    uint64_t blocks = power_of_two(FILE_SIZE / options->size + 1);

    while (blocks < options->files) {
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

static int run_on(const bench_options *options, const bench_target *target)
{
    const char *backends[BENCH_MOST_BACKENDS];
    bench_instance instance;
    bench_setup setup = {.options = options, .target = target};
    bench_candidate candidate = {.name = "epio", .depth = options->depth, .timed = true};
    bench_comparison comparison = {.bench = "run",
                                   .workload = options->workload,
                                   .candidates = &candidate,
                                   .count = 1,
                                   .seconds = options->seconds,
                                   .target = target,
                                   .detailed = true};
    int error;

    bench_backends(options, backends);
    candidate.backend = setup.backend = backends[0];
    candidate.mode = options->inline_writes ? BENCH_INLINE : BENCH_ALONE;
    candidate.run = bench_engine_run;
    candidate.context = &instance;
    setup.engine = bench_engine_epio(candidate.mode);
    error = bench_engine_open(&instance, &setup);
    if (error == 0) {
        bench_say(options, "%s%u bytes each, %u file%s\n", options->direct ? "direct, " : "",
                  (unsigned int)options->size, (unsigned int)options->files,
                  options->files == 1 ? "" : "s");
        error = bench_compare(options, &comparison);
    }
    bench_engine_close(&instance);
    return error;
}

static int run_run(const bench_options *options)
{
    bench_workload workload = workload_of(options);
    bench_target target = {0};
    int error = bench_target_open(&target, options, &workload, (size_t)options->files);

    if (error == 0) {
        error = run_on(options, &target);
    } else if (options->direct) {
        fprintf(stderr, "epio-bench run: --direct may not be offered by this file system, "
                        "or not with this --size\n");
    }
    bench_target_close(&target);
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
    .options =
        BENCH_WORKLOAD | BENCH_SIZE | BENCH_DEPTH | BENCH_FILES | BENCH_SECONDS | BENCH_ROUTES,
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
