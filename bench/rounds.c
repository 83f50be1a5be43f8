/* Interleaved rounds and their statistics, for any measurement. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b ? 1 : 0;
}

/* Interpolates linearly between two values. */
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

bench_quartiles bench_quartiles_of(double *values, size_t count)
{
    bench_quartiles quartiles;

    qsort(values, count, sizeof *values, compare_doubles);
    quartiles.median = quantile(values, count, 0.5);
    quartiles.low = quantile(values, count, 0.25);
    quartiles.high = quantile(values, count, 0.75);
    return quartiles;
}

double *bench_rounds_at(const bench_rounds *rounds, size_t series, size_t round)
{
    return &rounds->measured[(round * rounds->series + series) * rounds->fields];
}

bench_quartiles bench_rounds_quartiles(const bench_rounds *rounds, size_t series, size_t field)
{
    size_t round;

    for (round = 0; round < rounds->count; round++) {
        rounds->sorted[round] = bench_rounds_at(rounds, series, round)[field];
    }
    return bench_quartiles_of(rounds->sorted, rounds->count);
}

bench_quartiles bench_rounds_speed_of_first(const bench_rounds *rounds, size_t series, size_t field)
{
    size_t round;

    for (round = 0; round < rounds->count; round++) {
        rounds->sorted[round] = bench_rounds_at(rounds, 0, round)[field] /
                                bench_rounds_at(rounds, series, round)[field];
    }
    return bench_quartiles_of(rounds->sorted, rounds->count);
}

static int take_round(const bench_rounds *rounds, size_t round)
{
    size_t turn;
    int error = 0;

    for (turn = 0; turn < rounds->series && error == 0; turn++) {
        size_t series = (round + turn) % rounds->series;

        bench_progress(rounds->label, round * rounds->series + turn,
                       rounds->planned * rounds->series);
        error = rounds->measure(rounds->context, series, bench_rounds_at(rounds, series, round));
        if (error == 0 && bench_interrupted()) {
            error = EPIO_ECANCELED;
        }
    }
    return error;
}

static int take_rounds(bench_rounds *rounds)
{
    uint64_t began = epio_clock_monotonic(), now = began, longest = 0;
    int error = 0;

    while (rounds->count < rounds->planned && error == 0 &&
           (rounds->count == 0 || rounds->deadline == 0 || now + longest <= rounds->deadline)) {
        error = take_round(rounds, rounds->count);
        rounds->count++;
        began = now;
        now = epio_clock_monotonic();
        longest = now - began > longest ? now - began : longest;
    }
    return error;
}

int bench_rounds_take(bench_rounds *rounds)
{
    bench_load load;
    int error;

    rounds->measured =
        calloc(rounds->planned * rounds->series * rounds->fields, sizeof *rounds->measured);
    rounds->sorted = calloc(rounds->planned, sizeof *rounds->sorted);
    if (rounds->measured == NULL || rounds->sorted == NULL) {
        return EPIO_ENOMEM;
    }
    bench_load_begin(&load);
    error = take_rounds(rounds);
    rounds->others = bench_load_end(&load);
    if (error == 0 && !load.known) {
        bench_quartiles rates = bench_rounds_quartiles(rounds, 0, 0);

        bench_load_note_scatter(100 * (rates.high - rates.low) / rates.median);
    }
    bench_progress(rounds->label, 1, 1);
    return error;
}

void bench_rounds_describe(const bench_rounds *rounds, char *text, size_t size)
{
    int length =
        rounds->count == rounds->planned
            ? snprintf(text, size, "%zu round%s", rounds->count, rounds->count == 1 ? "" : "s")
            : snprintf(text, size, "time for %zu of %zu rounds", rounds->count, rounds->planned);

    if (rounds->others >= 0) {
        snprintf(text + length, size - (size_t)length,
                 ", other programs used %.0f %% of the processors", rounds->others);
    }
}

void bench_rounds_free(bench_rounds *rounds)
{
    free(rounds->measured);
    free(rounds->sorted);
}
