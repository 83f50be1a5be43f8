/* epio-bench compare: the helpers of epio/bench.h, for the usual workloads. */
#include "contest.h"

#include <epio/bench.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct workload {
    const char *name;
    uint32_t flags;
    int (*compare)(epio_bench_result *result, const epio_bench_options *options);
} workloads[] = {
    {"write", 0, epio_bench_compare_write},
    {"durable write", EPIO_BENCH_DURABLE, epio_bench_compare_write},
    {"read", 0, epio_bench_compare_read},
    {"direct read", EPIO_BENCH_DIRECT, epio_bench_compare_read},
};

#define WORKLOADS (sizeof workloads / sizeof workloads[0])

/* All rounds of all workloads, one after another. */
struct comparison {
    const bench_options *options;
    epio_bench_result *results; /* rounds of the first workload, of the second, ... */
    int errors[WORKLOADS];
    size_t finished; /* comparisons, of rounds times WORKLOADS */
};

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    const struct comparison *comparison = user;
    size_t all = (size_t)comparison->options->rounds * WORKLOADS;

    /* The last step is the end of the last comparison, not before. */
    bench_progress("compare", comparison->finished * 1000 + done * 999 / total, all * 1000);
    return !bench_interrupted();
}

/* File systems may refuse to go past the page cache; the rest is of interest
 * all the same. */
static bool is_refusal(const struct workload *workload, int error)
{
    return workload->flags == EPIO_BENCH_DIRECT && (error == EPIO_EINVAL || error == EPIO_ENOTSUP);
}

static int run_one(struct comparison *comparison, size_t workload, epio_bench_result *result)
{
    const bench_options *options = comparison->options;
    epio_bench_options bench = {0};
    int error;

    if (comparison->errors[workload] != 0) {
        return 0;
    }
    bench.size = sizeof bench;
    bench.path = options->path;
    bench.iterations = options->iterations;
    bench.bytes = (size_t)options->size;
    bench.queue_depth = (uint32_t)options->depth;
    bench.flags = workloads[workload].flags;
    bench.backend = options->backend;
    bench.progress = show_progress;
    bench.user = comparison;
    error = workloads[workload].compare(result, &bench);
    comparison->errors[workload] = error;
    return is_refusal(&workloads[workload], error) ? 0 : error;
}

static int run_all(struct comparison *comparison)
{
    size_t rounds = (size_t)comparison->options->rounds;
    size_t round, workload;
    int error = 0;

    for (round = 0; round < rounds && error == 0; round++) {
        for (workload = 0; workload < WORKLOADS && error == 0; workload++) {
            error = run_one(comparison, workload, &comparison->results[workload * rounds + round]);
            comparison->finished++;
        }
    }
    bench_progress("compare", 1, 1);
    return error;
}

enum field { SYNCHRONOUS_NS, ASYNCHRONOUS_NS, SYNCHRONOUS_RATE, ASYNCHRONOUS_RATE, SPEEDUP };

static double get(const epio_bench_result *result, enum field field)
{
    switch (field) {
    case SYNCHRONOUS_NS:
        return (double)result->synchronous_ns;
    case ASYNCHRONOUS_NS:
        return (double)result->asynchronous_ns;
    case SYNCHRONOUS_RATE:
        return result->synchronous_bytes_per_second;
    case ASYNCHRONOUS_RATE:
        return result->asynchronous_bytes_per_second;
    case SPEEDUP:
        return result->speedup;
    }
    return 0;
}

static bench_spread spread_of(const epio_bench_result *results, size_t rounds, double *values,
                              enum field field)
{
    size_t i;

    for (i = 0; i < rounds; i++) {
        values[i] = get(&results[i], field);
    }
    return bench_spread_of(values, rounds);
}

static void print_json(const epio_bench_result *results, size_t rounds, double *values)
{
    const epio_bench_result *first = &results[0];
    bench_spread speedup = spread_of(results, rounds, values, SPEEDUP);

    printf("{\"bench\":\"compare\",\"workload\":\"%s\",\"depth\":%" PRIu32
           ",\"engine\":\"epio\",\"backend\":\"%s\",\"iterations\":%" PRIu64 ",\"bytes\":%" PRIu64,
           first->workload, first->queue_depth, first->backend, first->iterations, first->bytes);
    printf(",\"synchronous_ns\":%.0f", spread_of(results, rounds, values, SYNCHRONOUS_NS).median);
    printf(",\"asynchronous_ns\":%.0f", spread_of(results, rounds, values, ASYNCHRONOUS_NS).median);
    printf(",\"synchronous_bytes_per_s\":%.0f",
           spread_of(results, rounds, values, SYNCHRONOUS_RATE).median);
    printf(",\"asynchronous_bytes_per_s\":%.0f",
           spread_of(results, rounds, values, ASYNCHRONOUS_RATE).median);
    printf(",\"speedup\":%.4f,\"speedup_low\":%.4f,\"speedup_high\":%.4f}\n", speedup.median,
           speedup.low, speedup.high);
}

static void print_head(const bench_options *options)
{
    printf("%" PRIu64 " operations of %" PRIu64 " bytes, up to %" PRIu64
           " in flight; medians of %" PRIu64 " rounds\n\n",
           options->iterations, options->size, options->depth, options->rounds);
    printf("%-16s %18s %18s  %s\n", "workload", "synchronous MB/s", "asynchronous MB/s",
           "speed-up");
}

static void print_row(const epio_bench_result *results, size_t rounds, double *values)
{
    bench_spread speedup = spread_of(results, rounds, values, SPEEDUP);

    printf("%-16s %18.1f", results[0].workload,
           spread_of(results, rounds, values, SYNCHRONOUS_RATE).median / 1e6);
    printf(" %18.1f  %.2f  (%.2f to %.2f)\n",
           spread_of(results, rounds, values, ASYNCHRONOUS_RATE).median / 1e6, speedup.median,
           speedup.low, speedup.high);
}

static void print_all(const struct comparison *comparison, double *values)
{
    const bench_options *options = comparison->options;
    size_t rounds = (size_t)options->rounds;
    size_t i;

    if (!options->json) {
        print_head(options);
    }
    for (i = 0; i < WORKLOADS; i++) {
        const epio_bench_result *results = &comparison->results[i * rounds];

        if (comparison->errors[i] == 0 && options->json) {
            print_json(results, rounds, values);
        } else if (comparison->errors[i] == 0) {
            print_row(results, rounds, values);
        } else if (!options->json) {
            printf("%-16s not offered by this file system\n", workloads[i].name);
        }
    }
}

static int run_compare(const bench_options *options)
{
    struct comparison comparison = {0};
    double *values = calloc((size_t)options->rounds, sizeof *values);
    int error;

    comparison.options = options;
    comparison.results = calloc((size_t)options->rounds * WORKLOADS, sizeof *comparison.results);
    error = values == NULL || comparison.results == NULL ? EPIO_ENOMEM : run_all(&comparison);
    if (error == 0) {
        print_all(&comparison, values);
    }
    free(comparison.results);
    free(values);
    return error;
}

const bench_command bench_compare = {
    .name = "compare",
    .summary = "each call waited for, beside a queue of operations in flight",
    .help = "Does the same work twice, synchronously (epio_perform) and asynchronously\n"
            "(epio_submit, with --depth operations in flight): writes, writes with a sync\n"
            "each, reads out of the page cache, reads past it. The speed-up is the\n"
            "synchronous time over the asynchronous one.",
    .options = BENCH_ROUNDS | BENCH_ITERATIONS | BENCH_SIZE | BENCH_DEPTH,
    .defaults = {.rounds = 5, .path = ".", .iterations = 2000, .size = 4096, .depth = 32},
    .run = run_compare,
};
