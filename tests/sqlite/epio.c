/* Makes epio's VFS the default of SQLite's test programs, under the name of the one that was:
 * several of them name it. SQLite calls this at each sqlite3_initialize, which registers its own
 * VFSes anew. */
#include "glue.h"

#include <epio/sqlite.h>

#include <sqlite3.h>
#include <stdio.h>

int epio_sqlite_tests_init(const char *unused)
{
    (void)unused;
    static sqlite3_vfs *ours;
    sqlite3_vfs *stock = sqlite3_vfs_find(ours != NULL ? ours->zName : NULL);
    if (stock != ours) {
        sqlite3_vfs_unregister(stock);
    }
    if (ours != NULL) {
        return sqlite3_vfs_register(ours, 1);
    }

    int error = epio_sqlite_register(stock->zName, epio_sqlite_tests_vfs(), EPIO_SQLITE_DEFAULT);
    if (error != 0) {
        fprintf(stderr, "epio's VFS cannot be registered: %s\n", epio_error_name(error));
        return SQLITE_ERROR;
    }
    ours = sqlite3_vfs_find(NULL);
    return SQLITE_OK;
}
