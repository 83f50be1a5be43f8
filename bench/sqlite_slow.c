/* slow: the mix of statements on a disk where every read, write and flush takes its time: a layer
 * over the operating system. SQLite's own VFS has no layers, so epio's is the first. */
#include "engine.h"
#include "sqlite.h"

#include <epio/layer.h>

#include <stdio.h>
#include <stdlib.h>

#define DELAY 100000u
#define ROWS_PART 50u /* of --statements */

#define SLOW "epio-bench-slow"
#define SLOW_OVERLAPPED "epio-bench-slow-overlap"
#define SETTINGS "PRAGMA synchronous=FULL; PRAGMA cache_size=20;"

/* ---- The disk -------------------------------------------------------------- */

/* Submitted ops that wait for their time: they are sent again. One thread at a time. */
struct disk {
    const epio_op *waiting[4096];
};

static bool has_waited(struct disk *disk, const epio_op *op)
{
    size_t place = 0, i;

    for (i = 0; i < sizeof disk->waiting / sizeof disk->waiting[0]; i++) {
        if (disk->waiting[i] == op) {
            disk->waiting[i] = NULL;
            return true;
        }
        place = disk->waiting[i] == NULL ? i : place;
    }
    disk->waiting[place] = op;
    return false;
}

static int before(void *user, epio_op *op, void *state)
{
    epio_op sleep = {0};

    (void)state;
    if (op->kind != EPIO_KIND_READ && op->kind != EPIO_KIND_WRITE && op->kind != EPIO_KIND_WRITEV &&
        op->kind != EPIO_KIND_READV && op->kind != EPIO_KIND_SYNC) {
        return 0;
    }
    if (!epio_op_in_flight(op)) {
        epio_perform(epio_sleep(&sleep, epio_os_vfs(), DELAY));
        return 0;
    }
    if (!has_waited(user, op)) {
        op->due = epio_clock_monotonic() + DELAY;
        return EPIO_RETRY;
    }
    return 0;
}

static const epio_layer_methods methods = {
    .size = sizeof methods, .name = "slow", .before = before};

/* ---- Turns ------------------------------------------------------------------ */

static const char *const vfses[] = {SLOW, SLOW_OVERLAPPED};

static int run_with_journal(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    return bench_sqlite_mix(bench, vfses[kind], SETTINGS "PRAGMA journal_mode=DELETE",
                            bench->options->statements / ROWS_PART + 1, turn);
}

static int run_with_log(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    return bench_sqlite_mix(bench, vfses[kind], SETTINGS "PRAGMA journal_mode=WAL",
                            bench->options->statements / ROWS_PART + 1, turn);
}

static int compare(const bench_sqlite *bench)
{
    static const bench_sqlite_engine journal[] = {
        {"epio's VFS", 0, run_with_journal},
        {"epio's VFS, overlapped", 1, run_with_journal},
    };
    static const bench_sqlite_engine log[] = {
        {"epio's VFS", 0, run_with_log},
        {"epio's VFS, overlapped", 1, run_with_log},
    };
    static const char what[] = "statements, where a read, a write or a flush takes 100 us";
    int error = bench_sqlite_compare(bench, "slow disk, journal", 1, what, journal, 2);

    return error == 0 ? bench_sqlite_compare(bench, "slow disk, WAL", 1, what, log, 2) : error;
}

int bench_sqlite_slow(const bench_sqlite *bench)
{
    static struct disk disk, overlapped_disk;
    epio_vfs *slow = NULL, *overlapped = NULL;
    epio_loop *loop = NULL;
    int error = bench_loop_create(bench->options->backend, BENCH_ALONE, &loop);

    if (error != 0) {
        return error;
    }
    error = epio_layer_vfs_create(&slow, epio_os_vfs(), &methods, &disk);
    if (error == 0) {
        error = epio_layer_vfs_create(&overlapped, epio_loop_vfs(loop), &methods, &overlapped_disk);
    }
    epio_loop_detach(loop);
    if (error == 0) {
        error = epio_sqlite_register(SLOW, slow, 0);
    }
    if (error == 0) {
        error = epio_sqlite_register(SLOW_OVERLAPPED, overlapped, EPIO_SQLITE_OVERLAP);
    }
    if (error == 0) {
        error = compare(bench);
    }
    epio_sqlite_unregister(SLOW_OVERLAPPED);
    epio_sqlite_unregister(SLOW);
    epio_vfs_destroy(overlapped);
    epio_vfs_destroy(slow);
    epio_loop_destroy(loop);
    return error;
}
