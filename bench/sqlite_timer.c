/* timer: how late a timer of 1 ms is on a loop whose database scans and commits meanwhile. */
#include "sqlite.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>

#define DATABASE "timer"
#define PERIOD 1000000u
#define BATCH 1000u

enum { IDLE, SCANS, SCANS_AND_WRITES };

struct timer {
    epio_op op;
    epio_vfs *vfs;
    uint64_t due;
    uint64_t end;
    bench_histogram *lateness;
};

static void start_timer(struct timer *timer)
{
    timer->due = epio_clock_monotonic() + PERIOD;
    epio_submit(epio_sleep(&timer->op, timer->vfs, PERIOD));
}

static void on_timer(epio_op *op)
{
    struct timer *timer = op->user;
    uint64_t now = epio_clock_monotonic();

    bench_histogram_record(timer->lateness, now > timer->due ? now - timer->due : 0);
    if (now < timer->end) {
        start_timer(timer);
    }
}

/* ---- A scan, over and over -------------------------------------------------- */

struct scan {
    epio_op op;
    epio_db *db;
    epio_rows *rows;
    uint64_t end;
    uint64_t seen;
    int64_t error;
};

static void on_ended(epio_op *op);

static void on_begun_or_next(epio_op *op)
{
    struct scan *scan = op->user;
    uint32_t i;

    if (scan->rows == NULL) {
        scan->error = op->result; /* it did not begin */
        return;
    }
    for (i = 0; op->result > 0 && i < epio_rows_count(scan->rows); i++) {
        scan->seen += epio_rows_value(scan->rows, i, 2)->len;
    }
    scan->error = op->result < 0 ? op->result : 0;
    /* The first result is that of the query. */
    if (op->result < 0 || (op->result == 0 && scan->seen != 0) ||
        epio_clock_monotonic() >= scan->end) {
        op->done = on_ended;
        epio_submit(epio_db_end(op, scan->rows));
    } else {
        epio_submit(epio_db_next(op, scan->rows, BATCH));
    }
}

static void start_scan(struct scan *scan)
{
    scan->rows = NULL;
    scan->seen = 0;
    scan->op.done = on_begun_or_next;
    scan->op.user = scan;
    epio_submit(epio_db_query(&scan->op, scan->db, &scan->rows, "SELECT id, n, text FROM t", NULL));
}

static void on_ended(epio_op *op)
{
    struct scan *scan = op->user;

    if (scan->error == 0 && epio_clock_monotonic() < scan->end) {
        start_scan(scan);
    }
}

/* ---- Turns ---------------------------------------------------------------------- */

static int run_timer(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    epio_db_options options = {.size = sizeof options, .group = (uint32_t)bench->options->writers};
    uint64_t end = epio_clock_monotonic() + (uint64_t)(bench->options->seconds * 1e9);
    bench_sqlite_db opened = {0};
    struct timer timer = {.end = end, .lateness = turn->latencies};
    struct scan scan = {.end = end};
    bench_sqlite_writers writers = {.end = end};
    int error = bench_sqlite_open(bench, DATABASE, &options, &opened);

    if (error != 0) {
        return error;
    }
    timer.vfs = epio_loop_vfs(opened.loop);
    timer.op.done = on_timer;
    timer.op.user = &timer;
    start_timer(&timer);
    scan.db = writers.db = opened.db;
    if (kind >= SCANS) {
        start_scan(&scan);
    }
    if (kind == SCANS_AND_WRITES) {
        error = bench_sqlite_writers_start(&writers, bench->options->writers);
    }
    epio_loop_run(opened.loop);
    error = error != 0 ? error : (int)writers.error;
    error = bench_sqlite_close(&opened, error != 0 ? error : (int)scan.error);
    bench_sqlite_writers_free(&writers);
    return error;
}

int bench_sqlite_timer(const bench_sqlite *bench)
{
    char last[64];
    const bench_sqlite_engine engines[] = {
        {"nothing", IDLE, run_timer},
        {"a scan", SCANS, run_timer},
        {last, SCANS_AND_WRITES, run_timer},
    };
    sqlite3 *connection = NULL;
    int error = bench_sqlite_make_rows(bench, DATABASE, bench->options->rows);

    snprintf(last, sizeof last, "a scan, and %llu tasks",
             (unsigned long long)bench->options->writers);
    if (error == 0) {
        error = bench_sqlite_connect(bench, DATABASE, NULL, &connection);
    }
    if (error == 0) {
        error = bench_sqlite_run(connection, BENCH_SQLITE_TABLE);
    }
    sqlite3_close(connection);
    if (error == 0) {
        error = bench_sqlite_compare(bench, "timer", 1,
                                     "how late a timer of 1 ms is on the loop, beside", engines,
                                     sizeof engines / sizeof engines[0]);
    }
    bench_sqlite_delete(bench, DATABASE);
    return error;
}
