/* POSIX's side of system.h. */
#if defined(__linux__)
#define _GNU_SOURCE /* preadv2 */
#elif !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include "system.h"

#include <epio/vfs.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Looking at the clock costs a fraction of a read; not every one shall pay it. */
#define READS_PER_LOOK 64

const char *const bench_blocking_read = "pread";
const char *const bench_cached_read = "preadv2, RWF_NOWAIT";

bool bench_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

uint64_t bench_cpu_time(void)
{
    struct timespec spent;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) != 0) {
        return 0;
    }
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

/* What went wrong when `got` was returned instead of `wanted`. */
static int error_of(ssize_t got)
{
    return got < 0 ? epio_error_from_os(errno) : EPIO_EIO;
}

int bench_blocking_reads(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_reads *reads = context;
    unsigned char block[BENCH_BLOCK];
    uint64_t state = 1, started = epio_monotonic_time();
    int i;

    do {
        for (i = 0; i < READS_PER_LOOK; i++) {
            uint64_t number = bench_block_next(&state, reads->blocks);
            ssize_t got =
                pread((int)reads->handle, block, BENCH_BLOCK, (off_t)(number * BENCH_BLOCK));

            if (got != BENCH_BLOCK || !bench_block_is(block, number)) {
                return error_of(got);
            }
        }
        sample->operations += READS_PER_LOOK;
        sample->nanoseconds = epio_monotonic_time() - started;
    } while (sample->nanoseconds < nanoseconds);
    return 0;
}

#if defined(RWF_NOWAIT)

static ssize_t read_cached(int descriptor, void *block, uint64_t offset)
{
    struct iovec part = {block, BENCH_BLOCK};
    ssize_t got = preadv2(descriptor, &part, 1, (off_t)offset, RWF_NOWAIT);

    /* A page that is being written out may be missed. */
    return got == BENCH_BLOCK ? got : pread(descriptor, block, BENCH_BLOCK, (off_t)offset);
}

int bench_cached_reads(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_reads *reads = context;
    unsigned char block[BENCH_BLOCK];
    uint64_t state = 1, started = epio_monotonic_time();
    int i;

    do {
        for (i = 0; i < READS_PER_LOOK; i++) {
            uint64_t number = bench_block_next(&state, reads->blocks);
            ssize_t got = read_cached((int)reads->handle, block, number * BENCH_BLOCK);

            if (got != BENCH_BLOCK || !bench_block_is(block, number)) {
                return error_of(got);
            }
        }
        sample->operations += READS_PER_LOOK;
        sample->nanoseconds = epio_monotonic_time() - started;
    } while (sample->nanoseconds < nanoseconds);
    return 0;
}

#else

int bench_cached_reads(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    (void)context;
    (void)nanoseconds;
    (void)sample;
    return EPIO_ENOTSUP;
}

#endif

static int flush(int descriptor)
{
#if defined(__APPLE__)
    return fsync(descriptor);
#else
    return fdatasync(descriptor);
#endif
}

/* What the threads share. */
struct appenders {
    int descriptor;
    uint64_t until;
    _Atomic(uint64_t) offset;
    _Atomic(int) error;   /* the first */
    pthread_mutex_t gate; /* held until all of them may begin */
};

static void fail(struct appenders *appenders, int error)
{
    int none = 0;

    atomic_compare_exchange_strong(&appenders->error, &none, error);
}

static int append(struct appenders *appenders, const unsigned char *block)
{
    uint64_t offset = atomic_fetch_add(&appenders->offset, BENCH_BLOCK);
    ssize_t put = pwrite(appenders->descriptor, block, BENCH_BLOCK, (off_t)offset);

    return put == BENCH_BLOCK ? 0 : error_of(put);
}

static void *append_alone(void *argument)
{
    struct appenders *appenders = argument;
    unsigned char block[BENCH_BLOCK];
    int error = 0;

    memset(block, 'e', sizeof block);
    pthread_mutex_lock(&appenders->gate);
    pthread_mutex_unlock(&appenders->gate);
    do {
        error = append(appenders, block);
        if (error == 0 && flush(appenders->descriptor) != 0) {
            error = error_of(-1);
        }
    } while (error == 0 && epio_monotonic_time() < appenders->until);
    if (error != 0) {
        fail(appenders, error);
    }
    return NULL;
}

static void finish_sample(const struct appenders *appenders, uint64_t started, bench_sample *sample)
{
    sample->nanoseconds = epio_monotonic_time() - started;
    sample->operations = atomic_load(&appenders->offset) / BENCH_BLOCK;
}

static void run_threads(struct appenders *appenders, pthread_t *threads, uint64_t writers,
                        uint64_t nanoseconds, bench_sample *sample)
{
    uint64_t running = 0, started, i;

    pthread_mutex_lock(&appenders->gate);
    while (running < writers &&
           pthread_create(&threads[running], NULL, append_alone, appenders) == 0) {
        running++;
    }
    if (running < writers) {
        fail(appenders, EPIO_ENOMEM);
    }
    started = epio_monotonic_time();
    appenders->until = running < writers ? started : started + nanoseconds;
    pthread_mutex_unlock(&appenders->gate);
    for (i = 0; i < running; i++) {
        pthread_join(threads[i], NULL);
    }
    finish_sample(appenders, started, sample);
}

int bench_thread_appends(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_appends *appends = context;
    struct appenders appenders = {0};
    pthread_t *threads = calloc(appends->writers, sizeof *threads);
    epio_file *file;
    int error;

    if (threads == NULL) {
        return EPIO_ENOMEM;
    }
    error = bench_file_open(appends->options, epio_os_vfs(), &file);
    if (error == 0) {
        appenders.descriptor = (int)epio_os_handle(file);
        pthread_mutex_init(&appenders.gate, NULL);
        run_threads(&appenders, threads, appends->writers, nanoseconds, sample);
        pthread_mutex_destroy(&appenders.gate);
        error = atomic_load(&appenders.error);
        bench_file_close(file);
    }
    free(threads);
    return error;
}

int bench_grouped_appends(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_appends *appends = context;
    struct appenders appenders = {0};
    unsigned char block[BENCH_BLOCK];
    epio_file *file;
    uint64_t started, i;
    int error = bench_file_open(appends->options, epio_os_vfs(), &file);

    if (error != 0) {
        return error;
    }
    memset(block, 'e', sizeof block);
    appenders.descriptor = (int)epio_os_handle(file);
    started = epio_monotonic_time();
    do {
        for (i = 0; i < appends->writers && error == 0; i++) {
            error = append(&appenders, block);
        }
        if (error == 0 && flush(appenders.descriptor) != 0) {
            error = error_of(-1);
        }
    } while (error == 0 && epio_monotonic_time() - started < nanoseconds);
    finish_sample(&appenders, started, sample);
    bench_file_close(file);
    return error;
}
