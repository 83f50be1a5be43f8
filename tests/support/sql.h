/* SQLite's connections in tests, over a VFS of epio's or its own, and a layer that refuses ops. */
#ifndef EPIO_TEST_SQL_H
#define EPIO_TEST_SQL_H

#include "support.h"

#ifdef EPIO_TEST_SQLITE

#include <epio/layer.h>
#include <epio/sqlite.h>

#include <sqlite3.h>

#define SQL_FLAGS (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI)

/* ---- Connections ----------------------------------------------------------- */

/* Opens the database, or the test fails. `vfs` NULL: SQLite's default. */
sqlite3 *sql_open(const char *path, const char *vfs);
void sql_close(sqlite3 *db);

/* Runs the statements: the extended result code. */
int sql_try(sqlite3 *db, const char *statements);
/* They succeed, or the test fails with SQLite's message. */
#define sql_run(db, statements) sql_run_at(db, statements, __FILE__, __LINE__)
void sql_run_at(sqlite3 *db, const char *statements, const char *source, int line);

/* The first column of the first row. */
int64_t sql_number(sqlite3 *db, const char *query);
/* Compares it with a text. */
#define check_sql(db, query, expected) check_sql_at(db, query, expected, __FILE__, __LINE__)
void check_sql_at(sqlite3 *db, const char *query, const char *expected, const char *source,
                  int line);

/* The open file of its main database. */
sqlite3_file *sql_file(sqlite3 *db);

/* ---- A layer ----------------------------------------------------------------- */

/* Refuses ops of one kind with an error, `times` of them after `skip` that pass. */
typedef struct sql_faults {
    uint32_t kind;
    uint32_t skip;
    uint32_t times;
    int result;
    int32_t os_error;
    uint32_t only_flags;              /* of an open: all of these, or it passes */
    uint32_t counts[EPIO_KIND_COUNT]; /* that passed or were refused */
} sql_faults;

epio_vfs *sql_faults_create(epio_vfs *inner, sql_faults *faults);

#endif

#endif
