/* Databases: opening, statements, errors, closing; by every runner. Rows, transactions and what
 * else there is have tests of their own. */
#include "support.h"

#include <epio/db.h>

/* ---- What the tests share ------------------------------------------------- */

static epio_db *open_db(fixture *f, epio_vfs *vfs, const epio_db_options *options)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_db_create(&db, vfs, fixture_path(f, "db"), options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    return db;
}

static void close_db(fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_close(&op, db, 0), 0);
    epio_db_destroy(db);
}

static void run(fixture *f, epio_db *db, const char *sql, int64_t result)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, sql, NULL), result);
}

/* ---- Tests ------------------------------------------------------------------ */

static void statements_run(fixture *f)
{
    epio_db *db = open_db(f, f->vfs, NULL);
    epio_op op = EPIO_OP_INIT;
    run(f, db, "CREATE TABLE t(a, b)", 0);
    run(f, db, "INSERT INTO t VALUES(1, 'one'); INSERT INTO t VALUES(2, 'two');", 2);
    epio_value values[] = {
        {.type = EPIO_VALUE_INTEGER, .is = {.integer = 3}},
        {.type = EPIO_VALUE_TEXT, .len = 5, .is = {.text = "three"}},
    };
    epio_parameters parameters = {.size = sizeof parameters, .values = values, .count = 2};
    check_op(f, epio_db_execute(&op, db, "INSERT INTO t VALUES(?, ?)", &parameters), 1);
    run(f, db, "UPDATE t SET b = 'x'", 3);
    close_db(f, db);
}

static void errors_are_reported(fixture *f)
{
    epio_db *db = open_db(f, f->vfs, NULL);
    epio_op op = EPIO_OP_INIT;
    epio_db_error error = {.size = sizeof error};
    check_op(f, epio_db_report(epio_db_execute(&op, db, "SELECT 1 FROM missing", NULL), &error),
             EPIO_ESQL);
    assert_string_equal(error.message, "no such table: missing");
    check_result(epio_db_error_code(&op), error.code);
    check_op(f, epio_db_report(epio_db_execute(&op, db, "BEGIN", NULL), &error), EPIO_EINVAL);
    check_op(f, epio_db_report(epio_db_execute(&op, db, "SELECT 1", NULL), &error), 0);
    assert_string_equal(error.message, "");
    close_db(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(statements_run, ON_ANY),
        FIXTURE_TEST(errors_are_reported, ON_ANY),
    };
    return FIXTURE_RUN("db", tests);
}
