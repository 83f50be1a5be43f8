/* The databases of `epio-bench sqlite`: made, asked and removed by SQLite's own VFS, opened by
 * either. */
#include "engine.h"
#include "sqlite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bench_sqlite_path(const bench_sqlite *bench, const char *name, char *path)
{
    snprintf(path, BENCH_SQLITE_PATH, "%s/%s", bench->directory, name);
    return path;
}

void bench_sqlite_delete(const bench_sqlite *bench, const char *name)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    char path[BENCH_SQLITE_PATH];
    size_t i;

    for (i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        epio_op op = {0};

        snprintf(path, sizeof path, "%s/%s%s", bench->directory, name, endings[i]);
        epio_perform(epio_delete(&op, epio_os_vfs(), path, 0));
    }
}

/* ---- Connections of SQLite's own ------------------------------------------- */

int bench_sqlite_check(sqlite3 *connection, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
        return 0;
    }
    fprintf(stderr, "epio-bench sqlite: %s\n", sqlite3_errmsg(connection));
    return EXIT_FAILURE;
}

int bench_sqlite_run(sqlite3 *connection, const char *sql)
{
    return bench_sqlite_check(connection, sqlite3_exec(connection, sql, NULL, NULL, NULL));
}

int bench_sqlite_connect(const bench_sqlite *bench, const char *name, const char *vfs,
                         sqlite3 **connection)
{
    return bench_sqlite_connect_as(bench, name, vfs, SQLITE_OPEN_NOMUTEX, connection);
}

int bench_sqlite_connect_as(const bench_sqlite *bench, const char *name, const char *vfs, int flags,
                            sqlite3 **connection)
{
    char path[BENCH_SQLITE_PATH];
    int code = sqlite3_open_v2(bench_sqlite_path(bench, name, path), connection,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | flags,
                               vfs != NULL ? vfs : bench->stock);

    /* A busy machine may let another thread commit for long. */
    sqlite3_busy_timeout(*connection, 600000);
    return bench_sqlite_check(*connection, code);
}

int64_t bench_sqlite_ask(const bench_sqlite *bench, const char *name, const char *sql)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    int error = bench_sqlite_connect(bench, name, NULL, &connection);

    if (error == 0) {
        error = bench_sqlite_check(connection,
                                   sqlite3_prepare_v2(connection, sql, -1, &statement, NULL));
    }
    if (error == 0 && bench_sqlite_check(connection, sqlite3_step(statement)) == 0) {
        number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return number;
}

int bench_sqlite_make_rows(const bench_sqlite *bench, const char *name, uint64_t rows)
{
    sqlite3 *connection = NULL;
    char sql[300];
    int error = bench_sqlite_connect(bench, name, NULL, &connection);
    uint64_t made;

    if (error == 0) {
        error = bench_sqlite_run(connection,
                                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                                 "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, text TEXT)");
    }
    for (made = 0; made < rows && error == 0; made += 100000) {
        uint64_t count = rows - made < 100000 ? rows - made : 100000;

        bench_progress("making rows", made, rows);
        snprintf(sql, sizeof sql,
                 "INSERT INTO t WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i"
                 " LIMIT %" PRIu64 ") SELECT NULL, x * 7919 %% 1000003, 'row ' || x || ' of many'"
                 " FROM i",
                 count);
        error = bench_interrupted() ? EPIO_ECANCELED : bench_sqlite_run(connection, sql);
    }
    bench_progress("making rows", 1, 1);
    sqlite3_close(connection);
    return error;
}

/* ---- epio's ----------------------------------------------------------------- */

int bench_sqlite_open(const bench_sqlite *bench, const char *name, const epio_db_options *options,
                      bench_sqlite_db *made)
{
    char path[BENCH_SQLITE_PATH];
    epio_op op = {0};
    int64_t result = bench_loop_create(bench->options->backend, BENCH_ALONE, &made->loop);

    made->db = NULL;
    if (result < 0) {
        made->loop = NULL;
        return (int)result;
    }
    result = epio_db_create(&made->db, epio_loop_vfs(made->loop),
                            bench_sqlite_path(bench, name, path), options);
    if (result == 0) {
        result = epio_wait(epio_db_open(&op, made->db));
    }
    if (result < 0) {
        epio_db_destroy(made->db);
        epio_loop_destroy(made->loop);
        made->db = NULL;
        made->loop = NULL;
    }
    return result < 0 ? (int)result : 0;
}

int bench_sqlite_close(bench_sqlite_db *made, int error)
{
    epio_op op = {0};
    int64_t result = 0;

    if (made->db != NULL) {
        result = epio_wait(epio_db_close(&op, made->db, error != 0 ? EPIO_DB_CANCEL : 0));
        epio_db_destroy(made->db);
    }
    if (made->loop != NULL) {
        epio_loop_destroy(made->loop);
    }
    return error != 0 ? error : (int)result;
}
