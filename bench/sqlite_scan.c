/* scan: all rows of a table, by sqlite3_step on this thread and in batches on a loop; how fast, and
 * how much memory it takes. */
#include "sqlite.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE "scan"
#define QUERY "SELECT id, n, text FROM t"
#define BATCH 1000u
#define MIB 1048576.0

/* What all engines have to find: every value was looked at. */
struct found {
    uint64_t rows;
    uint64_t sum;
    uint64_t bytes;
};

/* ---- By sqlite3_step --------------------------------------------------------- */

static int step_through(const bench_sqlite *bench, const char *vfs, int flags, struct found *found)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *query = NULL;
    int error = bench_sqlite_connect_as(bench, DATABASE, vfs, flags, &connection),
        code = SQLITE_DONE;

    if (error == 0) {
        error =
            bench_sqlite_check(connection, sqlite3_prepare_v2(connection, QUERY, -1, &query, NULL));
    }
    while (error == 0 && (code = sqlite3_step(query)) == SQLITE_ROW) {
        found->sum += (uint64_t)sqlite3_column_int64(query, 0);
        found->sum += (uint64_t)sqlite3_column_int64(query, 1);
        found->bytes += strlen((const char *)sqlite3_column_text(query, 2));
        found->rows++;
    }
    error = error != 0 ? error : bench_sqlite_check(connection, code);
    sqlite3_finalize(query);
    sqlite3_close(connection);
    return error;
}

/* As sqlite3_open opens it, where SQLite was not built otherwise. */
static int step_stock(const bench_sqlite *bench, struct found *found)
{
    return step_through(bench, NULL, SQLITE_OPEN_FULLMUTEX, found);
}

static int step_without_mutexes(const bench_sqlite *bench, struct found *found)
{
    return step_through(bench, NULL, SQLITE_OPEN_NOMUTEX, found);
}

static int step_epio(const bench_sqlite *bench, struct found *found)
{
    return step_through(bench, BENCH_SQLITE_VFS, SQLITE_OPEN_NOMUTEX, found);
}

/* ---- In batches --------------------------------------------------------------- */

static void look_at(const epio_rows *rows, struct found *found)
{
    uint32_t count = epio_rows_count(rows), i;

    for (i = 0; i < count; i++) {
        found->sum += (uint64_t)epio_rows_value(rows, i, 0)->is.integer;
        found->sum += (uint64_t)epio_rows_value(rows, i, 1)->is.integer;
        found->bytes += strlen(epio_rows_value(rows, i, 2)->is.text);
        found->rows++;
    }
}

static int stream(const bench_sqlite *bench, struct found *found)
{
    bench_sqlite_db opened = {0};
    epio_rows *rows = NULL;
    epio_op op = {0};
    int64_t result = bench_sqlite_open(bench, DATABASE, NULL, &opened);

    if (result == 0) {
        result = epio_wait(epio_db_query(&op, opened.db, &rows, QUERY, NULL));
    }
    if (result == 0) {
        while ((result = epio_wait(epio_db_next(&op, rows, BATCH))) > 0) {
            look_at(rows, found);
        }
        epio_wait(epio_db_end(&op, rows));
    }
    return bench_sqlite_close(&opened, (int)result);
}

/* ---- Turns ----------------------------------------------------------------------- */

static int (*const scans[])(const bench_sqlite *bench, struct found *found) = {
    step_stock, step_without_mutexes, step_epio, stream};

/* Shared with a child process of one turn, whose memory nobody used before. */
struct child {
    const bench_sqlite *bench;
    int kind;
    bench_sqlite_turn turn;
    int error;
};

static void run_child(void *argument)
{
    struct child *child = argument;
    const bench_options *options = child->bench->options;
    struct found found = {0};
    uint64_t before = bench_peak_memory(), began = epio_clock_monotonic(), cpu = bench_cpu_time();
    double rows = (double)options->rows;

    child->error = scans[child->kind](child->bench, &found);
    child->turn.rate = rows * 1e9 / (double)(epio_clock_monotonic() - began);
    child->turn.cpu_us = (double)(bench_cpu_time() - cpu) / 1e3 / rows;
    child->turn.memory = (double)(bench_peak_memory() - before) / MIB;
    if (child->error == 0 && found.rows != options->rows) {
        fprintf(stderr, "epio-bench sqlite: not all rows were found\n");
        child->error = EXIT_FAILURE;
    }
}

static int run_scan(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    struct child *child = bench_shared_memory(sizeof *child);
    int error = EPIO_ENOMEM;

    if (child == NULL) {
        return error;
    }
    child->bench = bench;
    child->kind = kind;
    child->error = EPIO_EUNKNOWN; /* if it dies */
    if (bench_child_run(run_child, child)) {
        error = child->error;
        turn->rate = child->turn.rate;
        turn->cpu_us = child->turn.cpu_us;
        turn->memory = child->turn.memory;
    }
    bench_shared_memory_free(child, sizeof *child);
    return error;
}

int bench_sqlite_scan(const bench_sqlite *bench)
{
    static const bench_sqlite_engine engines[] = {
        {"sqlite3_step, stock", 0, run_scan},
        {"the same, NOMUTEX", 1, run_scan},
        {"NOMUTEX, epio's VFS", 2, run_scan},
        {"epio_db_next", 3, run_scan},
    };
    char what[80];
    int error = bench_sqlite_make_rows(bench, DATABASE, bench->options->rows);

    snprintf(what, sizeof what, "a query of %llu rows", (unsigned long long)bench->options->rows);
    if (error == 0) {
        error = bench_sqlite_compare(bench, "scan", 1, what, engines,
                                     sizeof engines / sizeof engines[0]);
    }
    bench_sqlite_delete(bench, DATABASE);
    return error;
}
