/* epio-bench sqlite: SQLite on epio beside SQLite as it is. Owns which scenarios there are, their
 * directory and the VFSes; each scenario is a file sqlite_*.c. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"speed", "slow", "commits", "scan", "cancel", "timer", NULL};

#if defined(BENCH_HAS_SQLITE)

#include "engine.h"
#include "sqlite.h"

static bench_sqlite_scenario *const scenarios[] = {bench_sqlite_speed,   bench_sqlite_slow,
                                                   bench_sqlite_commits, bench_sqlite_scan,
                                                   bench_sqlite_cancel,  bench_sqlite_timer};

static int run_scenarios(const bench_sqlite *bench)
{
    const char *wanted = bench->options->workload;
    int error = 0;
    size_t i;

    bench_say(bench->options, "SQLite %s\n\n", sqlite3_libversion());
    for (i = 0; names[i] != NULL && error == 0; i++) {
        if (wanted == NULL || strcmp(wanted, names[i]) == 0) {
            error = scenarios[i](bench);
        }
    }
    return error;
}

/* The overlapped one has a loop of its own, which SQLite's threads run. */
static int register_vfses(const bench_options *options, epio_loop **loop)
{
    int error = bench_loop_create(options->backend, BENCH_ALONE, loop);

    if (error != 0) {
        *loop = NULL;
        return error;
    }
    epio_loop_detach(*loop);
    error = epio_sqlite_register(BENCH_SQLITE_VFS, epio_os_vfs(), 0);
    if (error == 0) {
        error = epio_sqlite_register(BENCH_SQLITE_OVERLAPPED, epio_loop_vfs(*loop),
                                     EPIO_SQLITE_OVERLAP);
    }
    return error;
}

static void unregister_vfses(epio_loop *loop)
{
    epio_sqlite_unregister(BENCH_SQLITE_OVERLAPPED);
    epio_sqlite_unregister(BENCH_SQLITE_VFS);
    if (loop != NULL) {
        epio_loop_destroy(loop);
    }
}

static int run_sqlite(const bench_options *options)
{
    static bench_sqlite bench;
    epio_loop *loop = NULL;
    epio_op op = {0};
    int64_t error;

    bench.options = options;
    sqlite3_initialize();
    bench.stock = sqlite3_vfs_find(NULL)->zName;
    error = epio_perform(epio_temporary_directory(&op, epio_os_vfs(), options->path,
                                                  bench.directory, sizeof bench.directory));
    if (error >= 0) {
        error = register_vfses(options, &loop);
    }
    if (error == 0) {
        bench_load_before();
        error = run_scenarios(&bench);
    }
    unregister_vfses(loop);
    if (bench.directory[0] != '\0') {
        epio_perform(epio_rmdir(&op, epio_os_vfs(), bench.directory, 0));
    }
    return (int)error;
}

#else

static int run_sqlite(const bench_options *options)
{
    (void)options;
    fprintf(stderr, "epio-bench sqlite: it was built without epio-sqlite\n");
    return EXIT_FAILURE;
}

#endif

const bench_command bench_sqlite_command = {
    .name = "sqlite",
    .summary = "SQLite on epio, beside SQLite as it is",
    .help =
        "speed: one connection inserts, updates and selects, over SQLite's own VFS and over\n"
        "epio's; nothing is flushed, as the disk would take the same time of both. slow: a part\n"
        "of that on a disk where each read, write and flush takes 100 us, with and without\n"
        "overlap. commits: tasks that each commit one row after another, each durable: threads\n"
        "with connections and a busy timeout; one epio_db, without and with group commit; the\n"
        "ideal, one thread with a savepoint for each task and one commit for all. scan: all rows\n"
        "of a table, by sqlite3_step on this thread and in batches of 1,000 on a loop, each in a\n"
        "process of its own, whose memory is compared. cancel: from the cancel of a long query\n"
        "to its end. timer: how late a timer of 1 ms of the loop is while its database works.\n"
        "Latencies are those of all rounds; ratios are of turns of the same round.",
    .options = BENCH_BUSY | BENCH_ROUNDS | BENCH_SECONDS | BENCH_TABLE | BENCH_WORKLOAD,
    .workloads = names,
    .defaults = {.rounds = 7,
                 .seconds = 0.5,
                 .path = ".",
                 .statements = 50000,
                 .rows = 1000000,
                 .writers = 32,
                 .cancels = 200},
    .run = run_sqlite,
};
