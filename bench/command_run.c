/* epio-bench run: epio alone, for as long as one likes, with how long its
 * operations took. */
#include "load.h"
#include "report.h"
#include "system.h"

#include <inttypes.h>
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

struct outcome {
    const char *backend;
    bench_mode mode;
    bench_turn turn;
    bench_histogram latencies;
};

/* ---- Results ------------------------------------------------------------- */

#define QUANTILES 4
static const double quantiles[QUANTILES] = {0.5, 0.9, 0.99, 0.999};

enum { SIZE = BENCH_HEAD_COUNT, FILES, RATE, MEGABYTES, CPU, MIN, FIRST_QUANTILE };
enum { MAX = FIRST_QUANTILE + QUANTILES, COLUMN_COUNT };

static const bench_column columns[COLUMN_COUNT] = {
    BENCH_HEAD_COLUMNS,
    {"size", NULL, 0, 0, 0, 0},
    {"files", NULL, 0, 0, 0, 0},
    {"ops_per_s", "ops/s", 11, 1, 0, 0},
    {"mb_per_s", "MB/s", 9, 2, 1, 0},
    {"cpu_us_per_op", "CPU us", 8, 4, 2, 0},
    {"min_us", "min us", 9, 3, 2, 0},
    {"p50_us", "p50 us", 9, 3, 2, 0},
    {"p90_us", "p90 us", 9, 3, 2, 0},
    {"p99_us", "p99 us", 9, 3, 2, 0},
    {"p999_us", "p99.9 us", 9, 3, 2, 0},
    {"max_us", "max us", 9, 3, 2, 0},
};

static void report(const bench_options *options, const struct outcome *outcome)
{
    const bench_histogram *latencies = &outcome->latencies;
    double operations = (double)outcome->turn.operations;
    double rate = operations * 1e9 / (double)outcome->turn.elapsed;
    bench_candidate candidate = {.name = "epio",
                                 .backend = outcome->backend,
                                 .mode = outcome->mode,
                                 .depth = options->depth};
    bench_cell cells[COLUMN_COUNT] = {{0}};
    size_t i;

    bench_head_fill(cells, "run", options->workload, &candidate);
    cells[SIZE] = bench_number((double)options->size);
    cells[FILES] = bench_number((double)options->files);
    cells[RATE] = bench_number(rate);
    cells[MEGABYTES] = bench_number(rate * (double)options->size / 1e6);
    cells[CPU] = bench_number((double)outcome->turn.cpu / 1e3 / operations);
    cells[MIN] = bench_number((double)latencies->least / 1e3);
    for (i = 0; i < QUANTILES; i++) {
        uint64_t quantile = bench_histogram_quantile(latencies, quantiles[i]);

        cells[FIRST_QUANTILE + i] = bench_number((double)quantile / 1e3);
    }
    cells[MAX] = bench_number((double)latencies->most / 1e3);
    bench_say(options,
              "%s%s of %" PRIu64 " bytes, %" PRIu64 " in flight, %" PRIu64 " file%s, %s%s\n",
              options->direct ? "direct " : "", options->workload, options->size, options->depth,
              options->files, options->files == 1 ? "" : "s", outcome->backend,
              options->inline_writes ? ", inline" : "");
    bench_report(options, columns, COLUMN_COUNT, cells, 1);
}

/* ---- Measuring ----------------------------------------------------------- */

static int measure(const bench_target *target, bench_instance *instance, struct outcome *outcome)
{
    bench_turn *turn = &outcome->turn;
    uint64_t spent;
    int error;

    bench_load_before();
    spent = bench_cpu_time();
    error = bench_engine_run(instance, turn);
    turn->cpu = bench_cpu_time() - spent;
    if (error == 0 && target->workload->kind == BENCH_OVERWRITE) {
        error = bench_target_check(target);
    }
    return error == 0 && turn->operations == 0 ? EPIO_EIO : error;
}

static int run_on(const bench_options *options, const bench_target *target)
{
    bench_mode mode = options->inline_writes ? BENCH_INLINE : BENCH_ALONE;
    const char *backends[BENCH_MOST_BACKENDS];
    struct outcome outcome = {.mode = mode};
    bench_instance instance;
    bench_setup setup = {.options = options, .target = target};
    int error;

    bench_backends(options, backends);
    setup.backend = backends[0];
    setup.engine = bench_engine_epio(mode);
    outcome.backend = backends[0];
    outcome.turn.nanoseconds = (uint64_t)(options->seconds * 1e9);
    outcome.turn.depth = options->depth;
    outcome.turn.latencies = &outcome.latencies;
    error = bench_engine_open(&instance, &setup);
    if (error == 0) {
        error = measure(target, &instance, &outcome);
    }
    bench_engine_close(&instance);
    if (error == 0) {
        report(options, &outcome);
    }
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
            "until each is on the medium, on the best back end or another. Every operation is\n"
            "timed, which costs short ones a few percent of their rate; epio-bench peers takes\n"
            "rates without. Blocks that were read are checked, and overwritten files at the end.",
    .options = BENCH_WORKLOAD | BENCH_SIZE | BENCH_DEPTH | BENCH_FILES | BENCH_SECONDS | BENCH_WAYS,
    .defaults =
        {.workload = "read", .size = 4096, .depth = 32, .files = 1, .seconds = 3, .path = "."},
    .workloads = workloads,
    .run = run_run,
};
