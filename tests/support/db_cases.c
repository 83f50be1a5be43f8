/* See db_cases.h. */
#include "db_cases.h"

#if defined(EPIO_TEST_SQLITE) && EPIO_ASYNC

epio_db *db_begin(fixture *f, epio_vfs *vfs, const epio_db_options *options)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_db_create(&db, vfs, fixture_path(f, "db"), options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    return db;
}

void db_end(fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_close(&op, db, 0), 0);
    epio_db_destroy(db);
}

void db_run(fixture *f, epio_db *db, const char *sql, int64_t result)
{
    epio_op op = EPIO_OP_INIT;
    epio_db_error error = {.size = sizeof error};
    int64_t actual = fixture_result(f, epio_db_report(epio_db_execute(&op, db, sql, NULL), &error));
    if (actual != result) {
        print_error("%s: %s\n", sql, error.message);
    }
    check_result(actual, result);
}

void db_fill(fixture *f, epio_db *db, unsigned rows, unsigned len)
{
    char sql[100];
    db_run(f, db, "CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)", 0);
    (void)snprintf(sql, sizeof sql, "INSERT INTO t(b) VALUES(randomblob(%u))", len);
    for (unsigned i = 0; i < rows; i++) {
        db_run(f, db, sql, 1);
    }
}

epio_db_stats db_stats(const epio_db *db)
{
    epio_db_stats stats = {.size = sizeof stats};
    check_result(epio_db_get_stats(db, &stats), 0);
    return stats;
}

void db_poll(fixture *f)
{
    if (f->loop != NULL && !f->performs) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
}

#endif
