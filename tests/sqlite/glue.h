/* What is linked to SQLite's test programs. */
#ifndef EPIO_SQLITE_TESTS_GLUE_H
#define EPIO_SQLITE_TESTS_GLUE_H

#include <epio/epio.h>

/* SQLite calls it at the end of each sqlite3_initialize. */
int epio_sqlite_tests_init(const char *unused);

/* What the programs run on; NULL: it cannot be made. */
epio_vfs *epio_sqlite_tests_vfs(void);

#endif
