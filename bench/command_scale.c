/* epio-bench scale: whether an operation costs more when many are in flight. */
#include "comparison.h"

/* 1, 10, ... in flight, up to --depth. */
#define DEPTHS 7u

/* Small reads: the cost of an op must not disappear behind the copying of data, nor behind the
 * cache misses of that data. */
#define READ_SIZE 64u

static const bench_workload workload = {
    .name = "cached read 64 bytes", .kind = BENCH_READ, .size = 4096, .depth = 1, .blocks = 1024};

/* The depths are the candidates, of one engine with as many slots as --depth. */
static int run_scale(const bench_options *options)
{
    const char *backends[BENCH_MOST_BACKENDS];
    const bench_plan plan = {.bench = "scale", .workload = &workload};
    bench_setup setups[DEPTHS];
    uint64_t depth = 1;
    size_t i;

    bench_backends(options, backends);
    for (i = 0; i < DEPTHS && depth <= options->depth; i++, depth *= 10) {
        setups[i] = (bench_setup){.options = options,
                                  .engine = bench_engine_epio(BENCH_ALONE),
                                  .backend = backends[0],
                                  .depth = depth,
                                  .roles = i == 0 ? BENCH_ROLE_SINGLE : 0,
                                  .slots = (size_t)options->depth,
                                  .bytes = READ_SIZE};
    }
    return bench_compare_engines(options, &plan, setups, i);
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
