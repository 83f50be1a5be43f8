/* Turns and the table of `epio-bench sqlite`: every scenario has the same columns, of which those
 * that it does not measure are left out. */
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_ENGINES 8u

enum { RATE, CPU, MEMORY, FIELDS };

struct context {
    const bench_sqlite *bench;
    const bench_sqlite_engine *engines;
    bench_histogram *latencies; /* one for each engine */
};

static int measure(void *argument, size_t series, double *fields)
{
    struct context *context = argument;
    const bench_sqlite_engine *engine = &context->engines[series];
    bench_sqlite_turn turn = {.latencies = &context->latencies[series]};
    int error = engine->run(context->bench, engine->kind, &turn);

    fields[RATE] = turn.rate;
    fields[CPU] = turn.cpu_us;
    fields[MEMORY] = turn.memory;
    if (error < 0 && error != EPIO_ECANCELED) {
        bench_report_error(engine->name, error);
        error = EXIT_FAILURE;
    }
    return error;
}

/* ---- Results ------------------------------------------------------------- */

enum { ENGINE = BENCH_HEAD_COUNT, PER_SECOND, OF_FIRST, CPU_US, CPU_OF_FIRST, P50, P99, MAX, MIB };

static const bench_column columns[] = {
    BENCH_HEAD_COLUMNS,
    {NULL, "", -28, 0, 0, 0},
    {"ops_per_s", "per second", 11, 1, 0, 0},
    {"vs_first", "of the first's speed", -20, 4, 2, BENCH_QUARTILES},
    {"cpu_us_per_op", "CPU us", 9, 3, 2, 0},
    {"cpu_vs_first", "of the first's CPU", -20, 4, 2, BENCH_QUARTILES},
    {"p50_us", "p50 us", 9, 1, 0, 0},
    {"p99_us", "p99 us", 9, 1, 0, 0},
    {"max_us", "longest us", 10, 1, 0, 0},
    {"memory_mib", "MiB more", 8, 2, 1, 0},
};

#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

/* Of the first engine in the same round; unknown if it was not measured. */
static bench_cell ratio(const bench_rounds *rounds, size_t series, size_t field)
{
    size_t round;

    for (round = 0; round < rounds->count; round++) {
        double first = bench_rounds_at(rounds, 0, round)[field];

        if (first <= 0) {
            return (bench_cell){0};
        }
        rounds->sorted[round] = bench_rounds_at(rounds, series, round)[field] / first;
    }
    return bench_range(bench_quartiles_of(rounds->sorted, rounds->count));
}

static bench_cell median(const bench_rounds *rounds, size_t series, size_t field)
{
    return bench_time(bench_rounds_quartiles(rounds, series, field).median);
}

static void fill(bench_cell *row, const struct context *context, const bench_rounds *rounds,
                 size_t i)
{
    const bench_histogram *latencies = &context->latencies[i];

    row[ENGINE] = bench_text(context->engines[i].name);
    row[PER_SECOND] = median(rounds, i, RATE);
    row[OF_FIRST] = ratio(rounds, i, RATE);
    row[CPU_US] = median(rounds, i, CPU);
    row[CPU_OF_FIRST] = ratio(rounds, i, CPU);
    row[P50] = bench_time((double)bench_histogram_quantile(latencies, 0.5) / 1e3);
    row[P99] = bench_time((double)bench_histogram_quantile(latencies, 0.99) / 1e3);
    row[MAX] = bench_time((double)latencies->most / 1e3);
    row[MIB] = median(rounds, i, MEMORY);
}

static void report(const struct context *context, const char *workload, uint64_t depth,
                   const char *what, const bench_rounds *rounds)
{
    bench_cell cells[MOST_ENGINES * COLUMN_COUNT] = {{0}};
    char text[128];
    size_t i;

    bench_rounds_describe(rounds, text, sizeof text);
    bench_say(context->bench->options, "sqlite, %s: %s (%s)\n\n", workload, what, text);
    for (i = 0; i < rounds->series; i++) {
        const bench_candidate candidate = {.name = context->engines[i].name, .depth = depth};

        bench_head_fill(&cells[i * COLUMN_COUNT], "sqlite", workload, &candidate);
        fill(&cells[i * COLUMN_COUNT], context, rounds, i);
    }
    bench_report(context->bench->options, columns, COLUMN_COUNT, cells, rounds->series);
    bench_say(context->bench->options, "\n");
}

int bench_sqlite_compare(const bench_sqlite *bench, const char *workload, uint64_t depth,
                         const char *what, const bench_sqlite_engine *engines, size_t count)
{
    struct context context = {
        .bench = bench, .engines = engines, .latencies = calloc(count, sizeof *context.latencies)};
    bench_rounds rounds = {.label = workload,
                           .planned = (size_t)bench->options->rounds,
                           .series = count,
                           .fields = FIELDS,
                           .measure = measure,
                           .context = &context};
    int error = context.latencies != NULL ? bench_rounds_take(&rounds) : EPIO_ENOMEM;

    if (error == 0) {
        report(&context, workload, depth, what, &rounds);
    }
    bench_rounds_free(&rounds);
    free(context.latencies);
    return error;
}
