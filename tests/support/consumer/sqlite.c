/* A program that knows epio-sqlite as installed: it registers a VFS, makes a database over it and
 * reads it back. The argument is the database, which is removed. Uses nothing else of this tree. */
#include <epio/sqlite.h>
#if EPIO_ASYNC
#include <epio/db.h>
#endif

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>

static const char vfs_name[] = "consumer";

/* Prints what failed; true if `code` is an error of SQLite's. */
static bool failed(const char *what, int code)
{
    int error = epio_sqlite_error(code);
    if (error != 0) {
        fprintf(stderr, "%s: %s (%s)\n", what, sqlite3_errstr(code), epio_error_name(error));
    }
    return error != 0;
}

static int read_number(void *number, int columns, char **values, char **names)
{
    (void)names;
    return columns == 1 && sscanf(values[0], "%d", (int *)number) == 1 ? 0 : 1;
}

static bool exchange(sqlite3 *database)
{
    int sum = 0;
    return !failed("write", sqlite3_exec(database,
                                         "DROP TABLE IF EXISTS t; CREATE TABLE t(n);"
                                         "INSERT INTO t VALUES (40), (2)",
                                         NULL, NULL, NULL)) &&
           !failed("read",
                   sqlite3_exec(database, "SELECT sum(n) FROM t", read_number, &sum, NULL)) &&
           sum == 42;
}

static bool use_database(const char *path)
{
    sqlite3 *database = NULL;
    bool good =
        !failed("open", sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                        vfs_name)) &&
        exchange(database);
    return !failed("close", sqlite3_close(database)) && good;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: consumer DATABASE\n");
        return 2;
    }
    int error = epio_sqlite_register(vfs_name, epio_os_vfs(), 0);
    if (error < 0) {
        fprintf(stderr, "register: %s\n", epio_error_message(error));
        return 1;
    }
    bool good = use_database(arguments[1]);
    good = epio_sqlite_unregister(vfs_name) == 0 && good;
    remove(arguments[1]);
    printf("SQLite %s on epio %s: %s\n", sqlite3_libversion(), epio_version(),
           good ? "good" : "failed");
    return good ? 0 : 1;
}
