/* See database.h. */
#include "database.h"

#ifdef EPIO_TEST_SQLITE

#include <epio/sqlite.h>

/* Every test of a VFS of SQLite's can be run with its writes delayed. */
uint32_t databases_flags(void)
{
    return getenv("EPIO_TEST_OVERLAP") != NULL ? EPIO_SQLITE_OVERLAP : 0;
}

void databases_begin(fixture *f)
{
    check_result(epio_sqlite_register(TEST_VFS, f->vfs, databases_flags()), 0);
}

void databases_end(fixture *f)
{
    (void)f;
    check_result(epio_sqlite_unregister(TEST_VFS), 0);
}

static void check_code(sqlite3 *database, int code, const char *what)
{
    if (code != SQLITE_OK) {
        print_error("%s: %s (%d)\n", what, sqlite3_errmsg(database), code);
    }
    check(code == SQLITE_OK);
}

int database_try_open(sqlite3 **database, const char *vfs, const char *path, int flags)
{
    int code = sqlite3_open_v2(path, database, flags, vfs);
    if (code == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(*database, 1);
    } else {
        (void)sqlite3_close(*database);
        *database = NULL;
    }
    return code;
}

sqlite3 *database_open(const char *vfs, const char *path)
{
    sqlite3 *database;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;
    check_result(database_try_open(&database, vfs, path, flags), SQLITE_OK);
    return database;
}

void database_close(sqlite3 *database)
{
    check_code(database, sqlite3_close(database), "close");
}

int database_try(sqlite3 *database, const char *sql)
{
    (void)sqlite3_exec(database, sql, NULL, NULL, NULL);
    return sqlite3_extended_errcode(database);
}

void database_run(sqlite3 *database, const char *sql)
{
    check_code(database, sqlite3_exec(database, sql, NULL, NULL, NULL), sql);
}

static sqlite3_stmt *first_row(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement;
    check_code(database, sqlite3_prepare_v2(database, sql, -1, &statement, NULL), sql);
    int code = sqlite3_step(statement);
    check_code(database, code == SQLITE_ROW ? SQLITE_OK : code, sql);
    return statement;
}

int64_t database_number(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = first_row(database, sql);
    int64_t number = sqlite3_column_int64(statement, 0);
    check_code(database, sqlite3_finalize(statement), sql);
    return number;
}

void check_text(sqlite3 *database, const char *sql, const char *expected)
{
    sqlite3_stmt *statement = first_row(database, sql);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    bool same = text != NULL && strcmp(text, expected) == 0;
    if (!same) {
        print_error("%s: %s instead of %s\n", sql, text != NULL ? text : "NULL", expected);
    }
    check_code(database, sqlite3_finalize(statement), sql);
    check(same);
}

sqlite3_file *database_file(sqlite3 *database)
{
    sqlite3_file *file = NULL;
    check_result(sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file),
                 SQLITE_OK);
    return file;
}

void check_integrity(sqlite3 *database)
{
    check_text(database, "PRAGMA integrity_check", "ok");
}

#endif
