/* speed: one connection that inserts, updates and selects, over SQLite's own VFS and over epio's.
 * SQLite is the same: what differs is the VFS. */
#include "sqlite.h"
#include "system.h"

#include <epio/vfs.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DATABASE "speed"

struct mix {
    const bench_sqlite *bench;
    sqlite3 *connection;
    uint64_t rows;
    uint64_t statements; /* run so far */
};

/* Runs `sql` with the numbers 1 to `count`, scattered over the rows, as its parameters. */
static int repeat(struct mix *mix, const char *sql, uint64_t count)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(mix->connection, sql, -1, &statement, NULL);
    uint64_t i;

    for (i = 0; i < count && code == SQLITE_OK; i++) {
        sqlite3_bind_int64(statement, 1, (int64_t)(i * 7919 % mix->rows + 1));
        sqlite3_bind_int64(statement, 2, (int64_t)(i * 104729 % 1000003));
        while (sqlite3_step(statement) == SQLITE_ROW) {
            (void)sqlite3_column_int64(statement, 0);
        }
        code = sqlite3_reset(statement);
    }
    mix->statements += count;
    sqlite3_finalize(statement);
    return bench_sqlite_check(mix->connection, code);
}

static int repeat_in_transaction(struct mix *mix, const char *sql, uint64_t count)
{
    int error = bench_sqlite_run(mix->connection, "BEGIN");

    if (error == 0) {
        error = repeat(mix, sql, count);
    }
    return error == 0 ? bench_sqlite_run(mix->connection, "COMMIT") : error;
}

static int run_mix(struct mix *mix)
{
    int error = repeat_in_transaction(
        mix, "INSERT OR REPLACE INTO t VALUES(?, ?, printf('%d and then %d', ?1, ?2))", mix->rows);

    if (error == 0) {
        error = bench_sqlite_run(mix->connection, "CREATE INDEX i ON t(n)");
    }
    if (error == 0) {
        error = repeat(mix, "SELECT text FROM t WHERE id = ?1 AND ?2 >= 0", mix->rows);
    }
    if (error == 0) {
        error = repeat_in_transaction(mix, "UPDATE t SET n = ?2 WHERE id = ?1", mix->rows / 4);
    }
    if (error == 0) {
        error =
            repeat(mix, "UPDATE t SET text = 'short' WHERE id = ?1 AND ?2 >= 0", mix->rows / 50);
    }
    if (error == 0) {
        error = repeat(mix, "SELECT count(*) FROM t WHERE n BETWEEN ?2 AND ?2 + ?1 % 100",
                       mix->rows / 4);
    }
    if (error == 0) {
        error = repeat(mix, "SELECT sum(n) FROM t WHERE ?1 + ?2 > 0", 10);
    }
    if (error == 0) {
        error =
            repeat_in_transaction(mix, "DELETE FROM t WHERE id = ?1 AND ?2 >= 0", mix->rows / 4);
    }
    return error;
}

int bench_sqlite_mix(const bench_sqlite *bench, const char *vfs, const char *settings,
                     uint64_t rows, bench_sqlite_turn *turn)
{
    struct mix mix = {.bench = bench, .rows = rows};
    uint64_t began, cpu;
    int error;

    bench_sqlite_delete(bench, DATABASE);
    error = bench_sqlite_connect(bench, DATABASE, vfs, &mix.connection);
    if (error == 0) {
        error = bench_sqlite_run(mix.connection, settings);
    }
    if (error == 0) {
        error = bench_sqlite_run(mix.connection,
                                 "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, text TEXT)");
    }
    began = epio_clock_monotonic();
    cpu = bench_cpu_time();
    if (error == 0) {
        error = run_mix(&mix);
    }
    turn->cpu_us = (double)(bench_cpu_time() - cpu) / 1e3 / (double)mix.statements;
    turn->rate = (double)mix.statements * 1e9 / (double)(epio_clock_monotonic() - began);
    sqlite3_close(mix.connection);
    bench_sqlite_delete(bench, DATABASE);
    return error;
}

/* What is not the processor's time is the disk's, which both wait for alike: nothing is flushed.
 * The rows do not fit in SQLite's cache, so that pages are read and written. */
enum { STOCK, EPIO, OVERLAPPED };

static const char *const vfses[] = {NULL, BENCH_SQLITE_VFS, BENCH_SQLITE_OVERLAPPED};

static int run_with_journal(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    return bench_sqlite_mix(bench, vfses[kind],
                            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF",
                            bench->options->statements, turn);
}

static int run_with_log(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    return bench_sqlite_mix(bench, vfses[kind], "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
                            bench->options->statements, turn);
}

int bench_sqlite_speed(const bench_sqlite *bench)
{
    static const bench_sqlite_engine journal[] = {
        {"stock", STOCK, run_with_journal},
        {"epio's VFS", EPIO, run_with_journal},
        {"epio's VFS, overlapped", OVERLAPPED, run_with_journal},
    };
    static const bench_sqlite_engine log[] = {
        {"stock", STOCK, run_with_log},
        {"epio's VFS", EPIO, run_with_log},
        {"epio's VFS, overlapped", OVERLAPPED, run_with_log},
    };
    int error = bench_sqlite_compare(bench, "speed, journal", 1, "statements of one connection",
                                     journal, sizeof journal / sizeof journal[0]);

    if (error == 0) {
        error = bench_sqlite_compare(bench, "speed, WAL", 1, "statements of one connection", log,
                                     sizeof log / sizeof log[0]);
    }
    return error;
}
