/* Latencies in a fixed number of counters: each power of two is divided evenly, so that values
 * are off by 3 % at most. Recording allocates nothing. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define BENCH_HISTOGRAM_PARTS 32u /* of each power of two */
#define BENCH_HISTOGRAM_COUNTERS (60u * BENCH_HISTOGRAM_PARTS)

/* All zero: nothing was recorded. */
typedef struct bench_histogram {
    uint64_t total;
    uint64_t least;
    uint64_t most;
    uint64_t counters[BENCH_HISTOGRAM_COUNTERS];
} bench_histogram;

void bench_histogram_record(bench_histogram *histogram, uint64_t nanoseconds);

/* Adds all values of `other`. */
void bench_histogram_add(bench_histogram *histogram, const bench_histogram *other);

/* The time within which this part of the operations (0.99: 99 %) ended, in nanoseconds; 0 if
 * nothing was recorded. */
uint64_t bench_histogram_quantile(const bench_histogram *histogram, double part);

#endif
