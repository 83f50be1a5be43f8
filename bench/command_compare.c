/* epio-bench compare: the helpers of epio/bench.h, for the usual workloads. */
#include "report.h"

#include <epio/bench.h>

#include <inttypes.h>
#include <stdio.h>

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

/* The measurements, in the order of the columns that show them. */
enum { SYNCHRONOUS_NS, ASYNCHRONOUS_NS, SYNCHRONOUS_RATE, ASYNCHRONOUS_RATE, SPEEDUP, FIELDS };

/* ---- Measuring ----------------------------------------------------------- */

struct context {
    const bench_options *options;
    const char *backend;
    bool refused[WORKLOADS]; /* by the file system */
};

static bool go_on(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    (void)done;
    (void)total;
    return !bench_interrupted();
}

/* File systems may refuse direct I/O; the other workloads are measured all the same. */
static bool is_refusal(const struct workload *workload, int error)
{
    return workload->flags == EPIO_BENCH_DIRECT && (error == EPIO_EINVAL || error == EPIO_ENOTSUP);
}

static int measure(void *argument, size_t index, double *fields)
{
    struct context *context = argument;
    const bench_options *options = context->options;
    epio_bench_options bench = {.size = sizeof bench,
                                .path = options->path,
                                .iterations = options->iterations,
                                .bytes = (size_t)options->size,
                                .queue_depth = (uint32_t)options->depth,
                                .flags = workloads[index].flags,
                                .backend = options->backend,
                                .progress = go_on};
    epio_bench_result result = {.size = sizeof result};
    int error = context->refused[index] ? 0 : workloads[index].compare(&result, &bench);

    if (is_refusal(&workloads[index], error)) {
        context->refused[index] = true;
        return 0;
    }
    if (result.backend != NULL) {
        context->backend = result.backend;
    }
    fields[SYNCHRONOUS_NS] = (double)result.synchronous_ns;
    fields[ASYNCHRONOUS_NS] = (double)result.asynchronous_ns;
    fields[SYNCHRONOUS_RATE] = result.synchronous_bytes_per_second;
    fields[ASYNCHRONOUS_RATE] = result.asynchronous_bytes_per_second;
    fields[SPEEDUP] = result.speedup;
    return error;
}

/* ---- Results ------------------------------------------------------------- */

enum { WORKLOAD = BENCH_HEAD_COUNT, ITERATIONS, BYTES, FIRST_FIELD };
enum { SYNCHRONOUS_MB = FIRST_FIELD + SPEEDUP, ASYNCHRONOUS_MB, SPEEDUP_COLUMN };

static const bench_column columns[] = {
    BENCH_HEAD_COLUMNS,
    {NULL, "workload", -16, 0, 0, 0},
    {"iterations", NULL, 0, 0, 0, 0},
    {"bytes", NULL, 0, 0, 0, 0},
    {"synchronous_ns", NULL, 0, 0, 0, 0},
    {"asynchronous_ns", NULL, 0, 0, 0, 0},
    {"synchronous_bytes_per_s", NULL, 0, 0, 0, 0},
    {"asynchronous_bytes_per_s", NULL, 0, 0, 0, 0},
    {NULL, "synchronous MB/s", 18, 0, 1, 0},
    {NULL, "asynchronous MB/s", 18, 0, 1, 0},
    {"speedup", "speed-up", -19, 4, 2, BENCH_QUARTILES},
};

#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

static void fill_row(const struct context *context, const bench_rounds *rounds, size_t index,
                     bench_cell *cells)
{
    bench_candidate candidate = {.name = "epio", .backend = context->backend};
    size_t i;

    candidate.depth = context->options->depth;
    bench_head_fill(cells, "compare", workloads[index].name, &candidate);
    cells[WORKLOAD] = bench_text(workloads[index].name);
    cells[ITERATIONS] = bench_number((double)context->options->iterations);
    cells[BYTES] = bench_number((double)context->options->size);
    for (i = 0; i < SPEEDUP; i++) {
        cells[FIRST_FIELD + i] = bench_range(bench_rounds_quartiles(rounds, index, i));
    }
    cells[SYNCHRONOUS_MB] = bench_number(cells[FIRST_FIELD + SYNCHRONOUS_RATE].number.median / 1e6);
    cells[ASYNCHRONOUS_MB] =
        bench_number(cells[FIRST_FIELD + ASYNCHRONOUS_RATE].number.median / 1e6);
    cells[SPEEDUP_COLUMN] = bench_range(bench_rounds_quartiles(rounds, index, SPEEDUP));
}

static void report(const struct context *context, const bench_rounds *rounds)
{
    const bench_options *options = context->options;
    bench_cell cells[WORKLOADS * COLUMN_COUNT] = {{0}};
    size_t count = 0, i;
    char text[128];

    bench_rounds_describe(rounds, text, sizeof text);
    bench_say(options,
              "%" PRIu64 " operations of %" PRIu64 " bytes, up to %" PRIu64 " in flight (%s)\n\n",
              options->iterations, options->size, options->depth, text);
    for (i = 0; i < WORKLOADS; i++) {
        if (!context->refused[i]) {
            fill_row(context, rounds, i, &cells[count++ * COLUMN_COUNT]);
        } else {
            bench_say(options, "%s: not offered by this file system\n", workloads[i].name);
        }
    }
    bench_report(options, columns, COLUMN_COUNT, cells, count);
}

static int run_compare(const bench_options *options)
{
    struct context context = {.options = options};
    bench_rounds rounds = {.label = "compare",
                           .planned = (size_t)options->rounds,
                           .series = WORKLOADS,
                           .fields = FIELDS,
                           .measure = measure,
                           .context = &context};
    int error;

    bench_load_before();
    error = bench_rounds_take(&rounds);

    if (error == 0) {
        report(&context, &rounds);
    }
    bench_rounds_free(&rounds);
    return error;
}

const bench_command bench_compare_command = {
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
