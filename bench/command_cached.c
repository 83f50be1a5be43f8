/* epio-bench cached: what waiting for one read at a time costs when the page
 * cache has it all, so that there is nothing to overlap. */
#include "bench.h"
#include "system.h"

#include <epio/vfs.h>

#define BLOCKS 1024u
#define READS_PER_LOOK 64

struct cached {
    epio_loop *loop;
    epio_file *file;
    bench_reads rival;
};

static int run_epio(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    const struct cached *cached = context;
    unsigned char block[BENCH_BLOCK];
    epio_op op = {0};
    uint64_t state = 1, started = epio_monotonic_time();
    int i;

    do {
        for (i = 0; i < READS_PER_LOOK; i++) {
            uint64_t number = bench_block_next(&state, BLOCKS);
            int64_t got =
                epio_wait(epio_read(&op, cached->file, block, BENCH_BLOCK, number * BENCH_BLOCK));

            if (got != BENCH_BLOCK || !bench_block_is(block, number)) {
                return got < 0 ? (int)got : EPIO_EIO;
            }
        }
        sample->operations += READS_PER_LOOK;
        sample->nanoseconds = epio_monotonic_time() - started;
    } while (sample->nanoseconds < nanoseconds);
    return 0;
}

/* Not every system can say what is cached. */
static size_t count_engines(struct cached *cached)
{
    bench_sample sample = {0, 0};

    return bench_cached_reads(&cached->rival, 0, &sample) == EPIO_ENOTSUP ? 2 : 3;
}

static int compare_engines(const bench_options *options, struct cached *cached)
{
    bench_engine engines[] = {
        {bench_blocking_read, NULL, bench_blocking_reads, &cached->rival},
        {"epio", epio_loop_backend(cached->loop), run_epio, cached},
        {bench_cached_read, NULL, bench_cached_reads, &cached->rival},
    };
    bench_score scores[3];
    size_t count = count_engines(cached), i;
    int error = bench_rounds_run(options, "cached reads", engines, count, 0, scores);

    if (error != 0) {
        return error;
    }
    bench_report_head(options, "Cached reads of 4 KiB, one at a time", "of blocking");
    for (i = 0; i < count; i++) {
        bench_row row = {"cached", "cached read 4 KiB", 1, &engines[i], &scores[i], "vs_blocking"};

        bench_report_row(options, &row);
    }
    return 0;
}

static int run_cached(const bench_options *options)
{
    struct cached cached = {0};
    int error = bench_loop_create(options, &cached.loop);

    if (error == 0) {
        error = bench_file_open(options, epio_loop_vfs(cached.loop), &cached.file);
    }
    if (error == 0) {
        error = bench_file_fill(cached.file, BLOCKS);
    }
    if (error == 0) {
        cached.rival.handle = epio_os_handle(cached.file);
        cached.rival.blocks = BLOCKS;
        error = compare_engines(options, &cached);
    }
    bench_file_close(cached.file);
    epio_loop_destroy(cached.loop);
    return error;
}

const bench_command bench_cached = {
    .name = "cached",
    .summary = "cached reads, waited for one at a time, beside a blocking loop",
    .help = "Reads random blocks of 4 KiB out of the page cache, one at a time: by epio_wait,\n"
            "by the system's blocking call, and by the one that reads only what is cached,\n"
            "where there is such a call. The ratio is the share of the blocking call's rate\n"
            "in the same round.",
    .options = BENCH_SECONDS,
    .defaults = {.rounds = 9, .seconds = 0.2, .path = "."},
    .run = run_cached,
};
