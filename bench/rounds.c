/* Interleaved rounds and their statistics. What is measured is not known here. */
#include "comparison.h"

#include <stdlib.h>

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

static int take_round(const bench_rounds *rounds, size_t round)
{
    size_t turn;
    int error = 0;

    for (turn = 0; turn < rounds->series && error == 0; turn++) {
        size_t series = (round + turn) % rounds->series;

        bench_progress(rounds->label, round * rounds->series + turn,
                       rounds->count * rounds->series);
        error = rounds->measure(rounds->context, series, bench_rounds_at(rounds, series, round));
        if (error == 0 && bench_interrupted()) {
            error = EPIO_ECANCELED;
        }
    }
    return error;
}

int bench_rounds_take(bench_rounds *rounds)
{
    size_t turns = rounds->count * rounds->series, round;
    int error = 0;

    rounds->measured = calloc(turns * rounds->fields, sizeof *rounds->measured);
    rounds->sorted = calloc(rounds->count, sizeof *rounds->sorted);
    if (rounds->measured == NULL || rounds->sorted == NULL) {
        return EPIO_ENOMEM;
    }
    for (round = 0; round < rounds->count && error == 0; round++) {
        error = take_round(rounds, round);
    }
    bench_progress(rounds->label, 1, 1);
    return error;
}

void bench_rounds_free(bench_rounds *rounds)
{
    free(rounds->measured);
    free(rounds->sorted);
}
