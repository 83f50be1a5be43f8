/* What epio-bench needs of the operating system: a terminal, CPU time, and the
 * rivals that do without epio. One file implements it for each system. */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

#include "bench.h"

#include <stdio.h>

bool bench_is_terminal(FILE *stream);

/* CPU time of all threads of this process, in nanoseconds. */
uint64_t bench_cpu_time(void);

/* What the calls of the rivals are called: those of bench_blocking_reads and of
 * bench_cached_reads. */
extern const char *const bench_blocking_read;
extern const char *const bench_cached_read;

/* Reads of random blocks out of the page cache, one at a time. */
typedef struct bench_reads {
    intptr_t handle; /* epio_os_handle of a file that bench_file_fill wrote */
    uint64_t blocks;
} bench_reads;

/* A bench_engine's run, with a bench_reads as context: the plain blocking call. */
int bench_blocking_reads(void *context, uint64_t nanoseconds, bench_sample *sample);

/* The same by the call that reads what is cached or fails; EPIO_ENOTSUP where
 * there is none. */
int bench_cached_reads(void *context, uint64_t nanoseconds, bench_sample *sample);

/* Appends of a block each, each made durable before its writer goes on. */
typedef struct bench_appends {
    const bench_options *options;
    uint64_t writers;
} bench_appends;

/* A bench_engine's run, with a bench_appends as context: one blocking thread
 * for each writer, which writes and flushes. */
int bench_thread_appends(void *context, uint64_t nanoseconds, bench_sample *sample);

/* The ideal: one thread writes for all, then flushes once. */
int bench_grouped_appends(void *context, uint64_t nanoseconds, bench_sample *sample);

#endif
