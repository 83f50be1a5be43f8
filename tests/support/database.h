/* Databases in tests: SQLite over the fixture's VFS, or over the system's as stock SQLite has it.
 * What fails, fails the test, with SQLite's message. */
#ifndef EPIO_TEST_DATABASE_H
#define EPIO_TEST_DATABASE_H

#include "support.h"

#ifdef EPIO_TEST_SQLITE

#include <sqlite3.h>

/* The name under which a test registers its VFS. */
#define TEST_VFS "epio-test"

/* Of registrations: EPIO_SQLITE_OVERLAP if the environment has EPIO_TEST_OVERLAP. */
uint32_t databases_flags(void);

/* Registers the fixture's VFS as TEST_VFS, and takes that back. */
void databases_begin(fixture *f);
void databases_end(fixture *f);

/* `vfs`: a name, or NULL for stock SQLite's. `path`: or a URI. It is open for reading and writing,
 * and made. */
sqlite3 *database_open(const char *vfs, const char *path);
/* The same with SQLITE_OPEN_... flags; a code. The connection is NULL after a failure. */
int database_try_open(sqlite3 **database, const char *vfs, const char *path, int flags);
void database_close(sqlite3 *database);

/* Runs all statements of `sql`. */
void database_run(sqlite3 *database, const char *sql);
/* The same: the extended code. */
int database_try(sqlite3 *database, const char *sql);

/* The first column of the first row. */
int64_t database_number(sqlite3 *database, const char *sql);
void check_text(sqlite3 *database, const char *sql, const char *expected);

/* Its main file, for SQLite's methods. */
sqlite3_file *database_file(sqlite3 *database);

/* PRAGMA integrity_check. */
void check_integrity(sqlite3 *database);

#endif

#endif
