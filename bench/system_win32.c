/* Windows' side of system.h.
 *
 * The rivals do what a plain blocking program does, so they need handles that are
 * not overlapped, and on such a handle the kernel lets one call in at a time:
 * each thread opens the file of its own anew. */
#define WIN32_LEAN_AND_MEAN
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00

#include "system.h"

#include <epio/vfs.h>

#include <io.h>
#include <process.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

/* Looking at the clock costs a fraction of a read; not every one shall pay it. */
#define READS_PER_LOOK 64

const char *const bench_blocking_read = "ReadFile";
const char *const bench_cached_read = "none";

bool bench_is_terminal(FILE *stream)
{
    return _isatty(_fileno(stream)) != 0;
}

/* In units of 100 ns. Windows counts them in ticks of its clock, some 15 ms: the
 * shorter a turn, the rougher. */
static uint64_t count_of(FILETIME time)
{
    return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

uint64_t bench_cpu_time(void)
{
    FILETIME created, exited, kernel, user;

    if (!GetProcessTimes(GetCurrentProcess(), &created, &exited, &kernel, &user)) {
        return 0;
    }
    return (count_of(kernel) + count_of(user)) * 100u;
}

static int last_error(void)
{
    return epio_error_from_os((int32_t)GetLastError());
}

/* The same file by a handle for blocking calls; NULL, and why is GetLastError. */
static HANDLE reopen(intptr_t handle)
{
    HANDLE opened = ReOpenFile((HANDLE)handle, GENERIC_READ | GENERIC_WRITE,
                               FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);

    return opened == INVALID_HANDLE_VALUE ? NULL : opened;
}

static OVERLAPPED place_of(uint64_t offset)
{
    OVERLAPPED place = {0};

    place.Offset = (DWORD)offset;
    place.OffsetHigh = (DWORD)(offset >> 32);
    return place;
}

/* ---- Reads -------------------------------------------------------------- */

static int read_block(HANDLE file, void *block, uint64_t number)
{
    OVERLAPPED place = place_of(number * BENCH_BLOCK);
    DWORD got = 0;

    if (!ReadFile(file, block, BENCH_BLOCK, &got, &place)) {
        return last_error();
    }
    return got == BENCH_BLOCK && bench_block_is(block, number) ? 0 : EPIO_EIO;
}

static int read_blocks(HANDLE file, uint64_t blocks, uint64_t nanoseconds, bench_sample *sample)
{
    unsigned char block[BENCH_BLOCK];
    uint64_t state = 1, started = epio_monotonic_time();
    int i;

    do {
        for (i = 0; i < READS_PER_LOOK; i++) {
            int error = read_block(file, block, bench_block_next(&state, blocks));

            if (error != 0) {
                return error;
            }
        }
        sample->operations += READS_PER_LOOK;
        sample->nanoseconds = epio_monotonic_time() - started;
    } while (sample->nanoseconds < nanoseconds);
    return 0;
}

int bench_blocking_reads(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_reads *reads = context;
    HANDLE file = reopen(reads->handle);
    int error;

    if (file == NULL) {
        return last_error();
    }
    error = read_blocks(file, reads->blocks, nanoseconds, sample);
    CloseHandle(file);
    return error;
}

/* Windows has no read that fails rather than wait for the disk. */
int bench_cached_reads(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    (void)context;
    (void)nanoseconds;
    (void)sample;
    return EPIO_ENOTSUP;
}

/* ---- Appends ------------------------------------------------------------ */

/* What the threads share. */
struct appenders {
    intptr_t handle;
    uint64_t until;
    volatile LONG64 offset;
    volatile LONG error; /* the first */
    SRWLOCK gate;        /* held until all of them may begin */
};

static void fail(struct appenders *appenders, int error)
{
    InterlockedCompareExchange(&appenders->error, error, 0);
}

static int append(struct appenders *appenders, HANDLE file, const unsigned char *block)
{
    OVERLAPPED place =
        place_of((uint64_t)InterlockedExchangeAdd64(&appenders->offset, BENCH_BLOCK));
    DWORD put = 0;

    if (!WriteFile(file, block, BENCH_BLOCK, &put, &place)) {
        return last_error();
    }
    return put == BENCH_BLOCK ? 0 : EPIO_EIO;
}

static int flush(HANDLE file)
{
    return FlushFileBuffers(file) ? 0 : last_error();
}

static int append_until(struct appenders *appenders, HANDLE file)
{
    unsigned char block[BENCH_BLOCK];
    int error;

    memset(block, 'e', sizeof block);
    AcquireSRWLockShared(&appenders->gate);
    ReleaseSRWLockShared(&appenders->gate);
    do {
        error = append(appenders, file, block);
        if (error == 0) {
            error = flush(file);
        }
    } while (error == 0 && epio_monotonic_time() < appenders->until);
    return error;
}

static unsigned __stdcall append_alone(void *argument)
{
    struct appenders *appenders = argument;
    HANDLE file = reopen(appenders->handle);
    int error;

    if (file == NULL) {
        fail(appenders, last_error());
        return 0;
    }
    error = append_until(appenders, file);
    if (error != 0) {
        fail(appenders, error);
    }
    CloseHandle(file);
    return 0;
}

static void finish_sample(struct appenders *appenders, uint64_t started, bench_sample *sample)
{
    sample->nanoseconds = epio_monotonic_time() - started;
    sample->operations = (uint64_t)InterlockedExchangeAdd64(&appenders->offset, 0) / BENCH_BLOCK;
}

static bool start(HANDLE *thread, struct appenders *appenders)
{
    *thread = (HANDLE)_beginthreadex(NULL, 0, append_alone, appenders, 0, NULL);
    return *thread != NULL;
}

static void run_threads(struct appenders *appenders, HANDLE *threads, uint64_t writers,
                        uint64_t nanoseconds, bench_sample *sample)
{
    uint64_t running = 0, started, i;

    AcquireSRWLockExclusive(&appenders->gate);
    while (running < writers && start(&threads[running], appenders)) {
        running++;
    }
    if (running < writers) {
        fail(appenders, EPIO_ENOMEM);
    }
    started = epio_monotonic_time();
    appenders->until = running < writers ? started : started + nanoseconds;
    ReleaseSRWLockExclusive(&appenders->gate);
    for (i = 0; i < running; i++) {
        WaitForSingleObject(threads[i], INFINITE);
        CloseHandle(threads[i]);
    }
    finish_sample(appenders, started, sample);
}

int bench_thread_appends(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_appends *appends = context;
    struct appenders appenders = {0};
    HANDLE *threads = calloc((size_t)appends->writers, sizeof *threads);
    epio_file *file;
    int error;

    if (threads == NULL) {
        return EPIO_ENOMEM;
    }
    error = bench_file_open(appends->options, epio_os_vfs(), &file);
    if (error == 0) {
        appenders.handle = epio_os_handle(file);
        InitializeSRWLock(&appenders.gate);
        run_threads(&appenders, threads, appends->writers, nanoseconds, sample);
        error = (int)appenders.error;
        bench_file_close(file);
    }
    free(threads);
    return error;
}

static int append_in_groups(struct appenders *appenders, HANDLE file, uint64_t writers,
                            uint64_t nanoseconds, bench_sample *sample)
{
    unsigned char block[BENCH_BLOCK];
    uint64_t started, i;
    int error = 0;

    memset(block, 'e', sizeof block);
    started = epio_monotonic_time();
    do {
        for (i = 0; i < writers && error == 0; i++) {
            error = append(appenders, file, block);
        }
        if (error == 0) {
            error = flush(file);
        }
    } while (error == 0 && epio_monotonic_time() - started < nanoseconds);
    finish_sample(appenders, started, sample);
    return error;
}

int bench_grouped_appends(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const bench_appends *appends = context;
    struct appenders appenders = {0};
    epio_file *file;
    HANDLE blocking;
    int error = bench_file_open(appends->options, epio_os_vfs(), &file);

    if (error != 0) {
        return error;
    }
    blocking = reopen(epio_os_handle(file));
    if (blocking == NULL) {
        error = last_error();
    } else {
        error = append_in_groups(&appenders, blocking, appends->writers, nanoseconds, sample);
        CloseHandle(blocking);
    }
    bench_file_close(file);
    return error;
}
