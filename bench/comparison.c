/* A comparison of candidates: their turns, the measurements, and the columns that show them. */
#include "comparison.h"
#include "report.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>

/* Length of each candidate's warm-up turn, as a part of one that counts. */
#define WARM_UP_PART 0.2

/* Length of the lead-in before a turn, which does not count either: other candidates have changed
 * the processor's caches, and child processes the memory's pages. */
#define LEAD_IN_PART 0.1

/* The part of a turn in which operations are timed one by one. It does not count for the rate, so
 * that reading the clock does not lower that. */
#define TIMED_PART 0.2

/* ---- Turns --------------------------------------------------------------- */

static int run_turn(const bench_comparison *comparison, const bench_candidate *candidate,
                    double seconds, bench_turn *turn)
{
    int error = bench_target_empty(&comparison->target);

    turn->nanoseconds = (uint64_t)(seconds * 1e9);
    turn->depth = candidate->depth;
    if (error == 0) {
        error = bench_engine_run(candidate->instance, turn);
    }
    if (error != 0) {
        return error;
    }
    if (bench_interrupted()) {
        return EPIO_ECANCELED;
    }
    return turn->operations == 0 || turn->elapsed == 0 ? EPIO_EIO : 0;
}

static int measure_rate(const bench_comparison *comparison, const bench_candidate *candidate,
                        double seconds, bench_histogram *latencies, double *fields)
{
    bench_turn turn = {.latencies = candidate->timed ? latencies : NULL};
    uint64_t spent = bench_cpu_time();
    int error = run_turn(comparison, candidate, seconds, &turn);

    if (error == 0) {
        fields[BENCH_RATE] = (double)turn.operations * 1e9 / (double)turn.elapsed;
        spent = turn.cpu != 0 ? turn.cpu : bench_cpu_time() - spent;
        fields[BENCH_CPU] = (double)spent / 1e3 / (double)turn.operations;
    }
    return error;
}

static void fill_latencies(const bench_histogram *latencies, double *fields)
{
    static const double parts[] = {0.5, 0.9, 0.99, 0.999};
    size_t i;

    fields[BENCH_MIN] = (double)latencies->least / 1e3;
    for (i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fields[BENCH_P50 + i] = (double)bench_histogram_quantile(latencies, parts[i]) / 1e3;
    }
    fields[BENCH_MAX] = (double)latencies->most / 1e3;
}

static int measure(const bench_comparison *comparison, const bench_candidate *candidate,
                   double *fields)
{
    bench_histogram latencies = {0};
    double seconds = comparison->seconds;
    double untimed = candidate->timed ? seconds : seconds * (1 - TIMED_PART);
    bench_turn lead_in = {0}, timed = {.latencies = &latencies};
    int error = run_turn(comparison, candidate, seconds * LEAD_IN_PART, &lead_in);

    if (error == 0) {
        error = measure_rate(comparison, candidate, untimed, &latencies, fields);
    }
    if (error == 0 && !candidate->timed) {
        error = run_turn(comparison, candidate, seconds * TIMED_PART, &timed);
    }
    fill_latencies(&latencies, fields);
    return error;
}

/* Reports which candidate failed. */
static int report_failure(const bench_comparison *comparison, size_t candidate, int error)
{
    char label[64], text[160];

    if (error == 0 || error == EPIO_ECANCELED) {
        return error;
    }
    bench_candidate_label(&comparison->candidates[candidate], label, sizeof label);
    snprintf(text, sizeof text, "%s, %s, %s", comparison->plan->bench,
             comparison->plan->workload->name, label);
    bench_report_error(text, error);
    return EXIT_FAILURE;
}

static int measure_candidate(void *context, size_t candidate, double *fields)
{
    const bench_comparison *comparison = context;

    return report_failure(comparison, candidate,
                          measure(comparison, &comparison->candidates[candidate], fields));
}

static int warm_up(const bench_comparison *comparison)
{
    int error = 0;
    size_t i;

    for (i = 0; i < comparison->count && error == 0; i++) {
        bench_turn turn = {0};

        error = run_turn(comparison, &comparison->candidates[i], comparison->seconds * WARM_UP_PART,
                         &turn);
        error = report_failure(comparison, i, error);
    }
    return error;
}

/* ---- Ratios -------------------------------------------------------------- */

/* The best value in this round among the candidates with one of the roles; 0: there is none. */
static double best_of(const bench_comparison *comparison, uint32_t roles, size_t round,
                      bench_measure measure)
{
    double best = 0;
    size_t i;

    for (i = 0; i < comparison->count; i++) {
        double value = bench_rounds_at(&comparison->rounds, i, round)[measure];
        bool better = best <= 0 || (measure == BENCH_RATE ? value > best : value < best);

        if ((comparison->candidates[i].roles & roles) != 0 && value > 0 && better) {
            best = value;
        }
    }
    return best;
}

bool bench_comparison_ratio(const bench_comparison *comparison, size_t candidate, uint32_t roles,
                            bench_measure measure, bench_quartiles *ratio)
{
    const bench_rounds *rounds = &comparison->rounds;
    size_t round;

    for (round = 0; round < rounds->count; round++) {
        double best = best_of(comparison, roles, round, measure);

        if (best <= 0) {
            return false;
        }
        rounds->sorted[round] = bench_rounds_at(rounds, candidate, round)[measure] / best;
    }
    *ratio = bench_quartiles_of(rounds->sorted, rounds->count);
    return true;
}

/* ---- Results ------------------------------------------------------------- */

enum { LABEL_DEPTH = BENCH_HEAD_COUNT, LABEL, SIZE, FILES, RATE, MEGABYTES, MEAN, MEAN_NS, CPU };
enum { FIRST_LATENCY = CPU + 1, FIRST_RATIO = FIRST_LATENCY + BENCH_MEASURES - BENCH_MIN };
enum { ROUNDS = FIRST_RATIO + 8, OTHERS };

static const bench_column columns[] = {
    BENCH_HEAD_COLUMNS,
    {NULL, "depth", 7, 0, 0, 0},
    {NULL, "engine", -35, 0, 0, 0},
    {"size", NULL, 0, 0, 0, 0},
    {"files", NULL, 0, 0, 0, 0},
    {"ops_per_s", "ops/s", 11, 1, 0, 0},
    {"mb_per_s", "MB/s", 9, 2, 1, 0},
    {"us_per_op", NULL, 0, 4, 0, 0},
    {NULL, "ns/op", -21, 0, 1, BENCH_QUARTILES},
    {"cpu_us_per_op", "CPU us", 7, 4, 2, 0},
    {"min_us", "min us", 8, 3, 2, 0},
    {"p50_us", "p50 us", 8, 3, 2, BENCH_REQUIRED},
    {"p90_us", "p90 us", 8, 3, 2, 0},
    {"p99_us", "p99 us", 8, 3, 2, BENCH_REQUIRED},
    {"p999_us", "p99.9 us", 8, 3, 2, 0},
    {"max_us", "max us", 8, 3, 2, 0},
    /* Two ratios are in every line, so that all lines have the most common ones. */
    {"vs_blocking", "of blocking", -19, 4, 2, BENCH_QUARTILES | BENCH_REQUIRED},
    {"vs_nowait", "of NOWAIT loop", -19, 4, 2, BENCH_QUARTILES},
    {"vs_threads", "of threads", -19, 4, 2, BENCH_QUARTILES},
    {"vs_best_peer", "of best peer", -19, 4, 2, BENCH_QUARTILES | BENCH_REQUIRED},
    {"vs_ideal", "of ideal", -19, 4, 2, BENCH_QUARTILES},
    {"vs_without_layers", "of none", -19, 4, 2, BENCH_QUARTILES},
    {"vs_depth_1", "of one", -19, 4, 2, BENCH_QUARTILES},
    {"p99_vs_alone", "p99, of alone", -19, 4, 2, BENCH_QUARTILES},
    {"rounds", NULL, 0, 0, 0, 0},
    {"others_cpu_percent", NULL, 0, 1, 0, 0},
};

#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

/* The baseline of each column from FIRST_RATIO on. */
static const uint32_t baselines[ROUNDS - FIRST_RATIO] = {
    BENCH_ROLE_BLOCKING, BENCH_ROLE_NOWAIT, BENCH_ROLE_THREADS, BENCH_ROLE_PEER,
    BENCH_ROLE_IDEAL,    BENCH_ROLE_PLAIN,  BENCH_ROLE_SINGLE,  BENCH_ROLE_UNDISTURBED,
};

/* Converts operations per second to nanoseconds per operation. */
static bench_quartiles times_of(bench_quartiles rates)
{
    return (bench_quartiles){1e9 / rates.median, 1e9 / rates.high, 1e9 / rates.low};
}

static void fill_ratios(const bench_comparison *comparison, size_t candidate, bool table,
                        bench_cell *cells)
{
    bench_quartiles ratio;
    size_t i;

    for (i = FIRST_RATIO; i < ROUNDS; i++) {
        uint32_t roles = baselines[i - FIRST_RATIO];
        bench_measure measure = roles == BENCH_ROLE_UNDISTURBED ? BENCH_P99 : BENCH_RATE;

        /* The ideal of appends is also their blocking baseline: one column is enough. */
        if (table && roles == BENCH_ROLE_BLOCKING &&
            bench_comparison_ratio(comparison, candidate, BENCH_ROLE_IDEAL, BENCH_RATE, &ratio)) {
            continue;
        }
        if (bench_comparison_ratio(comparison, candidate, roles, measure, &ratio)) {
            cells[i] = bench_range(ratio);
        }
    }
}

static double median_of(const bench_comparison *comparison, size_t index, bench_measure measure)
{
    return bench_rounds_quartiles(&comparison->rounds, index, measure).median;
}

static void fill_details(const bench_comparison *comparison, size_t index, bench_cell *cells)
{
    uint32_t size = comparison->plan->workload->size;
    int i;

    cells[SIZE] = bench_number(size);
    cells[FILES] = bench_number((double)comparison->target.count);
    cells[MEGABYTES] = bench_number(cells[RATE].number.median * size / 1e6);
    for (i = BENCH_MIN; i < BENCH_MEASURES; i++) {
        cells[FIRST_LATENCY + i - BENCH_MIN] =
            bench_time(median_of(comparison, index, (bench_measure)i));
    }
}

static void fill_row(const bench_comparison *comparison, size_t index, bool table, char label[64],
                     bench_cell *cells)
{
    const bench_candidate *candidate = &comparison->candidates[index];
    const bench_rounds *rounds = &comparison->rounds;
    bench_quartiles rate = bench_rounds_quartiles(rounds, index, BENCH_RATE);
    bench_cell *latencies = &cells[FIRST_LATENCY - BENCH_MIN];

    bench_candidate_label(candidate, label, 64);
    bench_head_fill(cells, comparison->plan->bench, comparison->plan->workload->name, candidate);
    cells[LABEL_DEPTH] = bench_number((double)candidate->depth);
    cells[LABEL] = bench_text(label);
    cells[RATE] = bench_number(rate.median);
    cells[MEAN] = bench_number(1e6 / rate.median);
    cells[CPU] = bench_number(median_of(comparison, index, BENCH_CPU));
    latencies[BENCH_P50] = bench_time(median_of(comparison, index, BENCH_P50));
    latencies[BENCH_P99] = bench_time(median_of(comparison, index, BENCH_P99));
    /* Operations that are not timed one by one have a mean. */
    if (!latencies[BENCH_P50].known) {
        cells[MEAN_NS] = bench_range(times_of(rate));
    }
    if (comparison->plan->detailed) {
        fill_details(comparison, index, cells);
    }
    fill_ratios(comparison, index, table, cells);
    cells[ROUNDS] = bench_number((double)rounds->count);
    if (rounds->others >= 0) {
        cells[OTHERS] = bench_number(rounds->others);
    }
}

static int report(const bench_options *options, const bench_comparison *comparison)
{
    bench_cell *cells = calloc(comparison->count * COLUMN_COUNT, sizeof *cells);
    char(*labels)[64] = calloc(comparison->count, sizeof *labels);
    char text[128];
    size_t i;

    if (cells != NULL && labels != NULL) {
        for (i = 0; i < comparison->count; i++) {
            fill_row(comparison, i, !options->json, labels[i], &cells[i * COLUMN_COUNT]);
        }
        bench_rounds_describe(&comparison->rounds, text, sizeof text);
        if (comparison->plan->detailed) {
            bench_say(options, "%s%u bytes each, %u file%s, ",
                      comparison->plan->workload->direct ? "direct, " : "",
                      (unsigned int)comparison->plan->workload->size,
                      (unsigned int)comparison->target.count,
                      comparison->target.count == 1 ? "" : "s");
        }
        bench_say(options, "%s (%s, turns of %.0f ms)\n", comparison->plan->workload->name, text,
                  comparison->seconds * 1e3);
        bench_report(options, columns, COLUMN_COUNT, cells, comparison->count);
    }
    free(labels);
    free(cells);
    if (cells == NULL || labels == NULL) {
        return EPIO_ENOMEM;
    }
    return options->plot != NULL ? bench_plot_add(comparison) : 0;
}

int bench_compare(const bench_options *options, bench_comparison *comparison)
{
    const bench_workload *workload = comparison->plan->workload;
    char label[64];
    int error;

    snprintf(label, sizeof label, "%s, %u", workload->name,
             (unsigned int)comparison->candidates[0].depth);
    comparison->rounds = (bench_rounds){.label = label,
                                        .planned = (size_t)options->rounds,
                                        .deadline = comparison->deadline,
                                        .series = comparison->count,
                                        .fields = BENCH_MEASURES,
                                        .measure = measure_candidate,
                                        .context = comparison};
    bench_load_before();
    error = warm_up(comparison);
    if (error == 0) {
        error = bench_rounds_take(&comparison->rounds);
    }
    if (error == 0 && (workload->kind == BENCH_OVERWRITE || workload->kind == BENCH_MIX)) {
        error = bench_target_check(&comparison->target);
    }
    if (error == 0) {
        error = report(options, comparison);
    }
    bench_rounds_free(&comparison->rounds);
    return error;
}
