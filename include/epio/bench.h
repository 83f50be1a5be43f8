/* Benchmark helpers: throughput on this machine, one call at a time and with a queue.
 *
 * Both functions do the same work twice on files of their own: synchronously by a loop of
 * epio_perform, asynchronously by epio_submit with a number of operations in flight. The two
 * alternate in slices, so that other load on the machine affects both. */
#ifndef EPIO_BENCH_H
#define EPIO_BENCH_H

#include <epio/epio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if EPIO_ASYNC

#define EPIO_BENCH_DURABLE 1u /* writes: each is followed by a sync before the next */
#define EPIO_BENCH_DIRECT 2u  /* bypasses the page cache; `bytes`: see EPIO_OPEN_DIRECT */

/* What to measure. 0 and NULL stand for the defaults in parentheses. */
typedef struct epio_bench_options {
    size_t size;          /* sizeof(epio_bench_options) */
    const char *path;     /* directory for the files (the system's for temporary files) */
    uint64_t iterations;  /* operations of each half (1000) */
    size_t bytes;         /* of one operation (4096) */
    uint32_t queue_depth; /* limit of operations in flight (32) */
    uint32_t flags;       /* EPIO_BENCH_... */
    const char *backend;  /* as in epio_loop_options */

    /* Called on the calling thread, outside the timed parts: `done` grows from 0 to `total`. False:
     * stop, with EPIO_ECANCELED. May be NULL. */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} epio_bench_options;

typedef struct epio_bench_result {
    size_t size;          /* sizeof(epio_bench_result); the caller's to set */
    const char *workload; /* "write", "durable write", "direct read", ...; static */
    const char *backend;  /* static */
    uint64_t iterations;
    uint64_t bytes; /* of one operation */
    uint32_t queue_depth;
    uint64_t synchronous_ns;
    uint64_t asynchronous_ns;
    double synchronous_bytes_per_second;
    double asynchronous_bytes_per_second;
    double speedup; /* above 1: the asynchronous half was faster */
} epio_bench_result;

/* Writes `iterations` consecutive pieces to a new file, each half to its own. NULL options: the
 * defaults. 0, and the result is filled; or an error, and it is all zero except its size. The files
 * have no name that other programs see, and are gone when this returns. Needs room for 2 *
 * iterations * bytes. Any thread. Errors: EPIO_EINVAL (NULL result, a size below that of the first
 * version, unknown flags or backend, more than INT64_MAX bytes), EPIO_ENOMEM, EPIO_ECANCELED, and
 * those of open, write and sync. */
EPIO_API int epio_bench_compare_write(epio_bench_result *result, const epio_bench_options *options);

/* The same for reading, from files that were just written: out of the page
 * cache, unless DIRECT. DURABLE is EPIO_EINVAL. */
EPIO_API int epio_bench_compare_read(epio_bench_result *result, const epio_bench_options *options);

/* Why those two would refuse these options (NULL: the defaults): as epio_loop_invalid_reason. */
EPIO_API int64_t epio_bench_invalid_reason(const epio_bench_options *options, bool reading,
                                           char *buffer, size_t len);

/* Writes a result for people, in four lines ended by a NUL, into `buffer`: its length without the
 * NUL, even if only the first `len` - 1 bytes of it fit (as snprintf does; NULL and 0: nothing is
 * written). EPIO_EINVAL: NULL. Any thread. */
EPIO_API int64_t epio_bench_summary(const epio_bench_result *result, char *buffer, size_t len);

#endif /* EPIO_ASYNC */

#ifdef __cplusplus
}
#endif

#endif
