/* What tests of epio/db.h share: a database in the test's directory. */
#ifndef EPIO_TEST_DB_CASES_H
#define EPIO_TEST_DB_CASES_H

#include "database.h"

#if defined(EPIO_TEST_SQLITE) && EPIO_ASYNC

#include <epio/db.h>

/* The database "db" over the fixture's VFS, or another; NULL options: the defaults. */
epio_db *db_begin(fixture *f, epio_vfs *vfs, const epio_db_options *options);

/* Closes and destroys it. */
void db_end(fixture *f, epio_db *db);

/* Carries the SQL out, and compares the result. */
void db_run(fixture *f, epio_db *db, const char *sql, int64_t result);

/* So many rows of `len` bytes each into t(a, b), which is made if it is missing: one commit for
 * each. */
void db_fill(fixture *f, epio_db *db, unsigned rows, unsigned len);

epio_db_stats db_stats(const epio_db *db);

/* Polls the loop until something has happened. */
void db_poll(fixture *f);

#endif

#endif
