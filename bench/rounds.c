/* Interleaved rounds and their statistics. Machines speed up and slow down by
 * themselves: engines are compared only with what ran beside them, in the same
 * round. */
#include "bench.h"
#include "system.h"

#include <stdlib.h>

/* The turn of each engine that does not count, as a part of one that does. */
#define WARM_UP_PART 5

/* Measurements, one for each engine and round. */
struct measurements {
    double *rate;
    double *cpu;
    double *ratio;
};

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

static int measure(const bench_engine *engine, double seconds, double *rate, double *cpu)
{
    bench_sample sample = {0, 0};
    uint64_t spent = bench_cpu_time();
    int error = engine->run(engine->context, (uint64_t)(seconds * 1e9), &sample);

    if (error != 0) {
        return error;
    }
    if (bench_interrupted()) {
        return EPIO_ECANCELED;
    }
    if (sample.operations == 0 || sample.nanoseconds == 0) {
        return EPIO_EIO;
    }
    *rate = (double)sample.operations * 1e9 / (double)sample.nanoseconds;
    *cpu = (double)(bench_cpu_time() - spent) / 1e3 / (double)sample.operations;
    return 0;
}

static int warm_up(const bench_options *options, const bench_engine *engines, size_t count)
{
    double rate, cpu;
    size_t i;

    for (i = 0; i < count; i++) {
        int error = measure(&engines[i], options->seconds / WARM_UP_PART, &rate, &cpu);

        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int run_round(const bench_options *options, const bench_engine *engines, size_t count,
                     size_t round, const struct measurements *all, const char *label)
{
    size_t turn;

    for (turn = 0; turn < count; turn++) {
        size_t engine = (round + turn) % count;
        size_t at = engine * options->rounds + round;
        int error = measure(&engines[engine], options->seconds, &all->rate[at], &all->cpu[at]);

        if (error != 0) {
            return error;
        }
        bench_progress(label, round * count + turn + 1, options->rounds * count);
    }
    return 0;
}

static void score_all(const bench_options *options, size_t count, size_t baseline,
                      const struct measurements *all, bench_score *scores)
{
    size_t rounds = options->rounds;
    size_t i, round;

    /* Sorting forgets which round was which: all ratios come first. */
    for (i = 0; i < count; i++) {
        for (round = 0; round < rounds; round++) {
            all->ratio[i * rounds + round] =
                all->rate[i * rounds + round] / all->rate[baseline * rounds + round];
        }
    }
    for (i = 0; i < count; i++) {
        scores[i].rate = bench_spread_of(&all->rate[i * rounds], rounds);
        scores[i].cpu = bench_spread_of(&all->cpu[i * rounds], rounds);
        scores[i].ratio = bench_spread_of(&all->ratio[i * rounds], rounds);
    }
}

int bench_rounds_run(const bench_options *options, const char *label, const bench_engine *engines,
                     size_t count, size_t baseline, bench_score *scores)
{
    size_t places = count * options->rounds;
    double *memory = calloc(places * 3, sizeof *memory);
    struct measurements all;
    size_t round;
    int error;

    if (memory == NULL) {
        return EPIO_ENOMEM;
    }
    all.rate = memory;
    all.cpu = memory + places;
    all.ratio = memory + 2 * places;
    bench_progress(label, 0, places);
    error = warm_up(options, engines, count);
    for (round = 0; round < options->rounds && error == 0; round++) {
        error = run_round(options, engines, count, round, &all, label);
    }
    if (error == 0) {
        score_all(options, count, baseline, &all, scores);
    } else {
        bench_progress(label, places, places);
    }
    free(memory);
    return error;
}
