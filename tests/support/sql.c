/* See sql.h. */
#include "sql.h"

#ifdef EPIO_TEST_SQLITE

sqlite3 *sql_open(const char *path, const char *vfs)
{
    sqlite3 *db;
    int code = sqlite3_open_v2(path, &db, SQL_FLAGS, vfs);
    if (code != SQLITE_OK) {
        print_error("%s: %s\n", path, sqlite3_errmsg(db));
    }
    check_result(code, SQLITE_OK);
    (void)sqlite3_extended_result_codes(db, 1);
    return db;
}

void sql_close(sqlite3 *db)
{
    check_result(sqlite3_close(db), SQLITE_OK);
}

int sql_try(sqlite3 *db, const char *statements)
{
    return sqlite3_exec(db, statements, NULL, NULL, NULL);
}

void sql_run_at(sqlite3 *db, const char *statements, const char *source, int line)
{
    int code = sql_try(db, statements);
    if (code != SQLITE_OK) {
        print_error("%s: %s\n", statements, sqlite3_errmsg(db));
    }
    check_result_at(code, SQLITE_OK, statements, source, line);
}

static sqlite3_stmt *first_row(sqlite3 *db, const char *query)
{
    sqlite3_stmt *statement;
    check_result(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        print_error("%s: %s (%d)\n", query, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
    }
    check_result(code, SQLITE_ROW);
    return statement;
}

int64_t sql_number(sqlite3 *db, const char *query)
{
    sqlite3_stmt *statement = first_row(db, query);
    int64_t result = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return result;
}

void check_sql_at(sqlite3 *db, const char *query, const char *expected, const char *source,
                  int line)
{
    sqlite3_stmt *statement = first_row(db, query);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    bool same = text != NULL && strcmp(text, expected) == 0;
    if (!same) {
        print_error("%s: %s\n", query, text != NULL ? text : "NULL");
    }
    (void)sqlite3_finalize(statement);
    check_at(same, query, source, line);
}

sqlite3_file *sql_file(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    check_result(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
    return file;
}

static int before(void *user, epio_op *op, void *state)
{
    sql_faults *faults = user;
    (void)state;
    if (op->kind < EPIO_KIND_COUNT) {
        faults->counts[op->kind]++;
    }
    if (op->kind != faults->kind || faults->times == 0 ||
        (op->flags & faults->only_flags) != faults->only_flags) {
        return 0;
    }
    if (faults->skip > 0) {
        faults->skip--;
        return 0;
    }
    faults->times--;
    op->os_error = faults->os_error;
    return faults->result;
}

static const epio_layer_methods methods = {
    .size = sizeof(epio_layer_methods), .name = "sql faults", .before = before};

epio_vfs *sql_faults_create(epio_vfs *inner, sql_faults *faults)
{
    epio_vfs *layer;
    memset(faults, 0, sizeof *faults);
    check_result(epio_layer_vfs_create(&layer, inner, &methods, faults), 0);
    return layer;
}

#endif
