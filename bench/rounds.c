/* Interleaved rounds and their statistics. */
#include "contest.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The turn of each engine that does not count, as a part of one that does. */
#define WARM_UP_PART 5

/* What goes before a turn and does not count either: others have left their marks on
 * the processor's caches, and those in processes of their own on the memory's pages. */
#define LEAD_IN_PART 0.1

/* The part of a turn in which operations are timed one by one. It does not count for
 * the rate, so that looking at the clock costs nothing there. */
#define TIMED_PART 0.2

/* ---- Statistics ---------------------------------------------------------- */

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b ? 1 : 0;
}

/* Between two values, linearly. */
static double quantile(const double *sorted, size_t count, double part)
{
    double place = part * (double)(count - 1);
    size_t below = (size_t)place;
    double rest = place - (double)below;

    if (below + 1 == count) {
        return sorted[below];
    }
    return sorted[below] * (1.0 - rest) + sorted[below + 1] * rest;
}

bench_spread bench_spread_of(double *values, size_t count)
{
    bench_spread spread;

    qsort(values, count, sizeof *values, compare_doubles);
    spread.median = quantile(values, count, 0.5);
    spread.low = quantile(values, count, 0.25);
    spread.high = quantile(values, count, 0.75);
    return spread;
}

static double *value_at(const bench_contest *contest, size_t contender, size_t round,
                        bench_field field)
{
    return &contest->measured[(contender * contest->rounds + round) * BENCH_FIELDS + field];
}

bench_spread bench_contest_spread(const bench_contest *contest, size_t contender, bench_field field)
{
    size_t round;

    for (round = 0; round < contest->rounds; round++) {
        contest->values[round] = *value_at(contest, contender, round, field);
    }
    return bench_spread_of(contest->values, contest->rounds);
}

/* The best value in this round of those with one of the roles; 0: nobody has one. */
static double best_of(const bench_contest *contest, uint32_t roles, size_t round, bench_field field)
{
    double best = 0;
    size_t i;

    for (i = 0; i < contest->count; i++) {
        double value = *value_at(contest, i, round, field);
        bool better = best <= 0 || (field == BENCH_RATE ? value > best : value < best);

        if ((contest->contenders[i].roles & roles) != 0 && value > 0 && better) {
            best = value;
        }
    }
    return best;
}

bool bench_contest_ratio(const bench_contest *contest, size_t contender, uint32_t roles,
                         bench_field field, bench_spread *ratio)
{
    size_t round;

    for (round = 0; round < contest->rounds; round++) {
        double best = best_of(contest, roles, round, field);

        if (best <= 0) {
            return false;
        }
        contest->values[round] = *value_at(contest, contender, round, field) / best;
    }
    *ratio = bench_spread_of(contest->values, contest->rounds);
    return true;
}

/* ---- Turns --------------------------------------------------------------- */

static int run_turn(const bench_contender *contender, double seconds, bench_sample *sample)
{
    int error = contender->target != NULL ? bench_target_empty(contender->target) : 0;

    if (error == 0) {
        error = contender->run(contender->context, (uint64_t)(seconds * 1e9), sample);
    }
    if (error != 0) {
        return error;
    }
    if (bench_interrupted()) {
        return EPIO_ECANCELED;
    }
    return sample->operations == 0 || sample->nanoseconds == 0 ? EPIO_EIO : 0;
}

static int measure_rate(const bench_contender *contender, double seconds,
                        bench_histogram *latencies, double fields[BENCH_FIELDS])
{
    bench_sample sample = {0};
    uint64_t spent = bench_cpu_time();
    int error;

    sample.latencies = contender->timed ? latencies : NULL;
    error = run_turn(contender, seconds, &sample);
    if (error == 0) {
        fields[BENCH_RATE] = (double)sample.operations * 1e9 / (double)sample.nanoseconds;
        spent = sample.cpu_nanoseconds != 0 ? sample.cpu_nanoseconds : bench_cpu_time() - spent;
        fields[BENCH_CPU] = (double)spent / 1e3 / (double)sample.operations;
    }
    return error;
}

static int measure(const bench_contender *contender, double seconds, double fields[BENCH_FIELDS])
{
    bench_histogram latencies = {0};
    double untimed = contender->timed ? seconds : seconds * (1 - TIMED_PART);
    bench_sample lead_in = {0};
    int error = run_turn(contender, seconds * LEAD_IN_PART, &lead_in);

    if (error == 0) {
        error = measure_rate(contender, untimed, &latencies, fields);
    }

    if (error == 0 && !contender->timed) {
        bench_sample sample = {0};

        sample.latencies = &latencies;
        error = run_turn(contender, seconds * TIMED_PART, &sample);
    }
    if (error == 0) {
        fields[BENCH_P50] = (double)bench_histogram_quantile(&latencies, 0.5) / 1e3;
        fields[BENCH_P99] = (double)bench_histogram_quantile(&latencies, 0.99) / 1e3;
    }
    return error;
}

/* Measures, and says whose fault it was. */
static int measure_or_tell(const bench_contest *contest, size_t contender, double seconds,
                           double fields[BENCH_FIELDS])
{
    int error = measure(&contest->contenders[contender], seconds, fields);
    char label[64], text[160];

    if (error == 0 || error == EPIO_ECANCELED) {
        return error;
    }
    bench_contender_label(&contest->contenders[contender], label, sizeof label);
    snprintf(text, sizeof text, "%s, %s, %s", contest->bench, contest->workload, label);
    bench_report_error(text, error);
    return EXIT_FAILURE;
}

static int warm_up(const bench_contest *contest)
{
    double fields[BENCH_FIELDS];
    int error = 0;
    size_t i;

    for (i = 0; i < contest->count && error == 0; i++) {
        error = measure_or_tell(contest, i, contest->seconds / WARM_UP_PART, fields);
    }
    return error;
}

static int run_round(const bench_contest *contest, size_t round, const char *label)
{
    size_t turn;
    int error = 0;

    for (turn = 0; turn < contest->count && error == 0; turn++) {
        size_t contender = (round + turn) % contest->count;

        error = measure_or_tell(contest, contender, contest->seconds,
                                value_at(contest, contender, round, BENCH_RATE));
        bench_progress(label, round * contest->count + turn + 1, contest->rounds * contest->count);
    }
    return error;
}

int bench_contest_run(bench_contest *contest)
{
    size_t turns = contest->count * contest->rounds, round;
    char label[64];
    int error;

    contest->measured = calloc(turns * BENCH_FIELDS, sizeof *contest->measured);
    contest->values = calloc(contest->rounds, sizeof *contest->values);
    if (contest->measured == NULL || contest->values == NULL) {
        return EPIO_ENOMEM;
    }
    snprintf(label, sizeof label, "%s, %u", contest->workload,
             (unsigned int)contest->contenders[0].depth);
    bench_progress(label, 0, turns);
    error = warm_up(contest);
    for (round = 0; round < contest->rounds && error == 0; round++) {
        error = run_round(contest, round, label);
    }
    bench_progress(label, turns, turns);
    return error;
}

void bench_contest_free(bench_contest *contest)
{
    free(contest->measured);
    free(contest->values);
}
