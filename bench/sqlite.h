/* What the scenarios of `epio-bench sqlite` share: databases in a directory of their own, engines
 * that take turns in rounds, and one table for their results. Built where there is epio-sqlite. */
#ifndef BENCH_SQLITE_H
#define BENCH_SQLITE_H

#include "bench.h"
#include "histogram.h"
#include "report.h"

#include <epio/db.h>
#include <sqlite3.h>

#define BENCH_SQLITE_PATH 4096

/* The name by which epio's VFS is registered; NULL stands for stock's. */
#define BENCH_SQLITE_VFS "epio-bench"
#define BENCH_SQLITE_OVERLAPPED "epio-bench-overlap"

typedef struct bench_sqlite {
    const bench_options *options;
    const char *stock; /* the name of SQLite's own VFS */
    char directory[BENCH_SQLITE_PATH - 64];
} bench_sqlite;

/* ---- Engines ------------------------------------------------------------- */

/* What one turn has measured; 0: it has not. */
typedef struct bench_sqlite_turn {
    double rate;                /* operations per second */
    double cpu_us;              /* of all threads, per operation */
    double memory;              /* MiB more than before, at most */
    bench_histogram *latencies; /* of all turns of the engine; records what it wants to show */
} bench_sqlite_turn;

typedef struct bench_sqlite_engine {
    const char *name;
    int kind; /* the scenario's */
    /* 0, an error, or EXIT_FAILURE if it was reported. */
    int (*run)(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn);
} bench_sqlite_engine;

/* Lets the engines take turns and shows the results, compared with the first one: 0, or what ended
 * them early. `what` says what an operation is, for the heading. */
int bench_sqlite_compare(const bench_sqlite *bench, const char *workload, uint64_t depth,
                         const char *what, const bench_sqlite_engine *engines, size_t count);

/* ---- Databases ----------------------------------------------------------- */

/* "directory/name" */
const char *bench_sqlite_path(const bench_sqlite *bench, const char *name, char *path);

/* Deletes a database, its journal and its log, as far as they are there. */
void bench_sqlite_delete(const bench_sqlite *bench, const char *name);

/* Opens a connection of SQLite's own over the VFS (NULL: stock's): 0, or EXIT_FAILURE. */
int bench_sqlite_connect(const bench_sqlite *bench, const char *name, const char *vfs,
                         sqlite3 **connection);

/* The same with SQLITE_OPEN_NOMUTEX or _FULLMUTEX. */
int bench_sqlite_connect_as(const bench_sqlite *bench, const char *name, const char *vfs, int flags,
                            sqlite3 **connection);

/* 0, or EXIT_FAILURE after reporting what SQLite says. */
int bench_sqlite_run(sqlite3 *connection, const char *sql);
int bench_sqlite_check(sqlite3 *connection, int code);

/* The single number that a query has, by a stock connection of its own; -1: reported. */
int64_t bench_sqlite_ask(const bench_sqlite *bench, const char *name, const char *sql);

/* Makes the table t(id INTEGER PRIMARY KEY, n, text) with so many rows, in WAL mode. */
int bench_sqlite_make_rows(const bench_sqlite *bench, const char *name, uint64_t rows);

/* A loop and a database of epio's on it, open; NULL options: the defaults. 0 or an error. */
typedef struct bench_sqlite_db {
    epio_loop *loop;
    epio_db *db;
} bench_sqlite_db;

int bench_sqlite_open(const bench_sqlite *bench, const char *name, const epio_db_options *options,
                      bench_sqlite_db *made);
int bench_sqlite_close(bench_sqlite_db *made, int error);

/* ---- A mix of statements ---------------------------------------------------- */

/* One connection over the VFS inserts `rows` rows, updates, selects and deletes some of them. */
int bench_sqlite_mix(const bench_sqlite *bench, const char *vfs, const char *settings,
                     uint64_t rows, bench_sqlite_turn *turn);

/* ---- Tasks that write ------------------------------------------------------ */

/* Tasks on the loop, each of which commits one row after another. */
typedef struct bench_sqlite_writers {
    epio_db *db;
    uint64_t end;     /* none commits after that */
    uint64_t commits; /* acknowledged */
    int64_t error;
    bench_histogram *latencies; /* NULL: not recorded */
    struct bench_sqlite_writer *all;
} bench_sqlite_writers;

#define BENCH_SQLITE_TABLE "CREATE TABLE written(task INTEGER, number INTEGER)"
#define BENCH_SQLITE_INSERT "INSERT INTO written VALUES(?, ?)"

/* Starts them: 0 or EPIO_ENOMEM. They have ended when the loop has nothing in flight. */
int bench_sqlite_writers_start(bench_sqlite_writers *writers, uint64_t tasks);
void bench_sqlite_writers_free(bench_sqlite_writers *writers);

/* ---- Scenarios -------------------------------------------------------------- */

typedef int bench_sqlite_scenario(const bench_sqlite *bench);

bench_sqlite_scenario bench_sqlite_speed, bench_sqlite_slow, bench_sqlite_commits,
    bench_sqlite_scan, bench_sqlite_cancel, bench_sqlite_timer;

#endif
