/* epio-bench run: epio alone, for as long as one likes, with how long its
 * operations took. */
#include "contest.h"
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
    bench_sample sample;
    uint64_t cpu;
    bench_histogram latencies;
};

static const struct {
    const char *name;
    const char *key; /* in JSON */
    double part;
} quantiles[] = {{"p50", "p50_us", 0.5},
                 {"p90", "p90_us", 0.9},
                 {"p99", "p99_us", 0.99},
                 {"p99.9", "p999_us", 0.999}};

#define QUANTILE_COUNT (sizeof quantiles / sizeof quantiles[0])

static double microseconds(const bench_histogram *latencies, size_t quantile)
{
    return (double)bench_histogram_quantile(latencies, quantiles[quantile].part) / 1e3;
}

static double rate_of(const struct outcome *outcome)
{
    return (double)outcome->sample.operations * 1e9 / (double)outcome->sample.nanoseconds;
}

static double cpu_of(const struct outcome *outcome)
{
    return (double)outcome->cpu / 1e3 / (double)outcome->sample.operations;
}

static void print_json(const bench_options *options, const struct outcome *outcome)
{
    const bench_histogram *latencies = &outcome->latencies;
    size_t i;

    printf("{\"bench\":\"run\",\"workload\":\"%s\",\"depth\":%" PRIu64
           ",\"engine\":\"epio\",\"backend\":\"%s\",\"mode\":\"%s\",\"size\":%" PRIu64
           ",\"files\":%" PRIu64,
           options->workload, options->depth, outcome->backend,
           bench_mode_name(options->inline_writes ? BENCH_INLINE : BENCH_ALONE), options->size,
           options->files);
    printf(",\"ops_per_s\":%.1f,\"mb_per_s\":%.2f,\"cpu_us_per_op\":%.4f", rate_of(outcome),
           rate_of(outcome) * (double)options->size / 1e6, cpu_of(outcome));
    printf(",\"min_us\":%.3f", (double)latencies->least / 1e3);
    for (i = 0; i < QUANTILE_COUNT; i++) {
        printf(",\"%s\":%.3f", quantiles[i].key, microseconds(latencies, i));
    }
    printf(",\"max_us\":%.3f}\n", (double)latencies->most / 1e3);
}

static void print_text(const bench_options *options, const struct outcome *outcome)
{
    const bench_histogram *latencies = &outcome->latencies;
    size_t i;

    printf("%s%s of %" PRIu64 " bytes, %" PRIu64 " in flight, %" PRIu64 " file%s, %s%s\n",
           options->direct ? "direct " : "", options->workload, options->size, options->depth,
           options->files, options->files == 1 ? "" : "s", outcome->backend,
           options->inline_writes ? ", inline" : "");
    printf("  %.0f operations/s, %.1f MB/s, %.2f us of CPU per operation\n", rate_of(outcome),
           rate_of(outcome) * (double)options->size / 1e6, cpu_of(outcome));
    printf("  latency in us: min %.2f", (double)latencies->least / 1e3);
    for (i = 0; i < QUANTILE_COUNT; i++) {
        printf(", %s %.2f", quantiles[i].name, microseconds(latencies, i));
    }
    printf(", max %.2f\n", (double)latencies->most / 1e3);
}

static int measure(const bench_options *options, const bench_target *target, void *context,
                   struct outcome *outcome)
{
    uint64_t spent = bench_cpu_time();
    int error;

    outcome->sample.latencies = &outcome->latencies;
    error = bench_engine_epio.run(context, (uint64_t)(options->seconds * 1e9), &outcome->sample);
    outcome->cpu = bench_cpu_time() - spent;
    if (error == 0 && target->workload->kind == BENCH_OVERWRITE) {
        error = bench_target_check(target);
    }
    if (error == 0 && outcome->sample.operations == 0) {
        error = EPIO_EIO;
    }
    return error;
}

static int run_on(const bench_options *options, const bench_target *target)
{
    bench_setup setup = {0};
    struct outcome outcome = {0};
    void *context = NULL;
    const char *backends[BENCH_MOST_BACKENDS];
    int error;

    bench_backends(options, backends);
    setup.options = options;
    setup.target = target;
    setup.backend = backends[0];
    setup.mode = options->inline_writes ? BENCH_INLINE : BENCH_ALONE;
    outcome.backend = backends[0];
    error = bench_engine_epio.open(&setup, &context);
    if (error == 0) {
        error = measure(options, target, context, &outcome);
    }
    bench_engine_epio.close(context);
    if (error == 0) {
        (options->json ? print_json : print_text)(options, &outcome);
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

const bench_command bench_run = {
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
