/* epio-bench scale: whether an operation costs more when many are in flight. */
#include "comparison.h"

/* 1, 10, ... in flight, as far as --depth allows. */
#define DEPTHS 7u

/* Small reads: what an op costs must not drown in the copying of data, nor in
 * what that data does to the processor's caches. */
#define READ_SIZE 64u

static const bench_workload workload = {
    .name = "cached read 64 bytes", .kind = BENCH_READ, .size = 4096, .depth = 1, .blocks = 1024};

/* The depths are the candidates, of one engine with as many slots as --depth says. */
static int compare_depths(const bench_options *options, bench_instance *instance)
{
    bench_candidate candidates[DEPTHS];
    bench_comparison comparison = {.bench = "scale",
                                   .workload = workload.name,
                                   .candidates = candidates,
                                   .seconds = options->seconds};
    uint64_t depth = 1;
    size_t i;

    for (i = 0; i < DEPTHS && depth <= options->depth; i++, depth *= 10) {
        candidates[i] = (bench_candidate){.name = "epio",
                                          .backend = instance->setup.backend,
                                          .mode = BENCH_ALONE,
                                          .depth = depth,
                                          .roles = i == 0 ? BENCH_ROLE_SINGLE : 0,
                                          .run = bench_engine_run,
                                          .context = instance};
    }
    comparison.count = i;
    return bench_compare(options, &comparison);
}

static int run_scale(const bench_options *options)
{
    const char *backends[BENCH_MOST_BACKENDS];
    bench_target target = {0};
    bench_setup setup = {.options = options,
                         .engine = bench_engine_epio(BENCH_ALONE),
                         .target = &target,
                         .slots = (size_t)options->depth,
                         .bytes = READ_SIZE};
    bench_instance instance = {.context = NULL};
    int error = bench_target_open(&target, options, &workload, 1);

    bench_backends(options, backends);
    setup.backend = backends[0];
    if (error == 0) {
        error = bench_engine_open(&instance, &setup);
    }
    if (error == 0) {
        error = compare_depths(options, &instance);
    }
    bench_engine_close(&instance);
    bench_target_close(&target);
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
