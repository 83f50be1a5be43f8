/* Latencies in logarithmic counters. */
#include "histogram.h"

#include <stddef.h>

/* The first two powers of two have exact counters: one per number. */
static size_t counter_of(uint64_t value)
{
    uint64_t rest = value;
    size_t power = 0, counter;

    while (rest >= 2 * BENCH_HISTOGRAM_PARTS) {
        rest >>= 1;
        power++;
    }
    counter = power * BENCH_HISTOGRAM_PARTS + (size_t)rest;
    return counter < BENCH_HISTOGRAM_COUNTERS ? counter : BENCH_HISTOGRAM_COUNTERS - 1;
}

/* The largest value of this counter. */
static uint64_t highest_of(size_t counter)
{
    size_t power = counter < 2 * BENCH_HISTOGRAM_PARTS ? 0 : counter / BENCH_HISTOGRAM_PARTS - 1;
    uint64_t rest = counter - power * BENCH_HISTOGRAM_PARTS;

    return ((rest + 1) << power) - 1;
}

void bench_histogram_record(bench_histogram *histogram, uint64_t nanoseconds)
{
    if (histogram->total == 0 || nanoseconds < histogram->least) {
        histogram->least = nanoseconds;
    }
    if (nanoseconds > histogram->most) {
        histogram->most = nanoseconds;
    }
    histogram->total++;
    histogram->counters[counter_of(nanoseconds)]++;
}

void bench_histogram_add(bench_histogram *histogram, const bench_histogram *other)
{
    size_t i;

    if (other->total == 0) {
        return;
    }
    if (histogram->total == 0 || other->least < histogram->least) {
        histogram->least = other->least;
    }
    if (other->most > histogram->most) {
        histogram->most = other->most;
    }
    histogram->total += other->total;
    for (i = 0; i < BENCH_HISTOGRAM_COUNTERS; i++) {
        histogram->counters[i] += other->counters[i];
    }
}

uint64_t bench_histogram_quantile(const bench_histogram *histogram, double part)
{
    double wanted = part * (double)histogram->total;
    uint64_t seen = 0;
    size_t i;

    for (i = 0; i < BENCH_HISTOGRAM_COUNTERS; i++) {
        seen += histogram->counters[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t highest = highest_of(i);

            return highest < histogram->most ? highest : histogram->most;
        }
    }
    return histogram->most;
}
