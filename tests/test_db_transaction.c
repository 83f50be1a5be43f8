/* Transactions and savepoints of databases: as handles, and around functions; what ends them, and
 * what is left of handles then. Results are read by SQLite itself. */
#include "database.h"

#include <epio/db.h>

static epio_db *open_db(fixture *f, const epio_db_options *options)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, "db"), options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    check_op(
        f, epio_db_execute(&op, db, "CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)", NULL),
        0);
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

static epio_db *begin(fixture *f, epio_db *db, uint32_t mode)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *transaction = NULL;
    check_op(f, epio_db_begin(&op, db, &transaction, mode), 0);
    return transaction;
}

static void commit(fixture *f, epio_db *transaction)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_commit(&op, transaction), 0);
}

static void roll_back(fixture *f, epio_db *transaction)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_rollback(&op, transaction), 0);
}

/* Which `a` there are, by a statement that changes as many rows. */
static void check_count(fixture *f, epio_db *db, const char *condition, int64_t count)
{
    char sql[100];
    (void)snprintf(sql, sizeof sql, "UPDATE t SET b = b WHERE %s", condition);
    run(f, db, sql, count);
}

/* ---- Handles ---------------------------------------------------------------- */

static void transactions_commit_and_roll_back(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_db *one = begin(f, db, EPIO_DB_WRITE);
    run(f, one, "INSERT INTO t VALUES(1, 'x'), (2, 'y')", 2);
    run(f, one, "UPDATE t SET b = 'z'", 2);
    commit(f, one);
    check_count(f, db, "b = 'z'", 2);
    one = begin(f, db, EPIO_DB_WRITE);
    run(f, one, "DELETE FROM t", 2);
    roll_back(f, one);
    check_count(f, db, "b = 'z'", 2);
    one = begin(f, db, EPIO_DB_WRITE);
    run(f, one, "INSERT INTO t VALUES(3, 'x')", 1);
    run(f, one, "INSERT INTO t VALUES(1, 'x')", EPIO_ESQL);
    run(f, one, "COMMIT", EPIO_EINVAL);
    commit(f, one);
    check_count(f, db, "1", 3);
    close_db(f, db);
}

static void savepoints_nest(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = open_db(f, NULL);
    epio_db *outer = begin(f, db, EPIO_DB_WRITE);
    run(f, outer, "INSERT INTO t VALUES(1, 'outer')", 1);
    epio_db *inner = begin(f, outer, EPIO_DB_WRITE);
    run(f, inner, "INSERT INTO t VALUES(2, 'inner')", 1);
    run(f, outer, "INSERT INTO t VALUES(3, 'outer')", EPIO_EBUSY);
    check_op(f, epio_db_commit(&op, outer), EPIO_EBUSY);
    epio_db *innermost = begin(f, inner, EPIO_DB_WRITE);
    run(f, innermost, "DELETE FROM t", 2);
    roll_back(f, innermost);
    run(f, inner, "UPDATE t SET b = 'seen'", 2);
    commit(f, inner);
    inner = begin(f, outer, EPIO_DB_WRITE);
    run(f, inner, "DELETE FROM t WHERE a = 1", 1);
    roll_back(f, inner);
    commit(f, outer);
    check_count(f, db, "b = 'seen'", 2);
    close_db(f, db);
}

static void a_snapshot_sees_its_beginning(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *none = NULL;
    epio_db_options options = {.size = sizeof options};
    epio_db *db = open_db(f, &options);
    epio_db *snapshot = begin(f, db, EPIO_DB_SNAPSHOT);
    run(f, snapshot, "INSERT INTO t VALUES(1, 'x')", EPIO_EROFS);
    check_op(f, epio_db_begin(&op, snapshot, &none, EPIO_DB_WRITE), EPIO_EINVAL);
    assert_null(none);
    epio_db *inner = begin(f, snapshot, EPIO_DB_SNAPSHOT);
    commit(f, inner);
    commit(f, snapshot);
    close_db(f, db);
}

/* ---- What ends them ----------------------------------------------------------- */

/* A handle that has ended is kept for a while. */
static void late_uses_are_refused(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = open_db(f, NULL);
    epio_db *one = begin(f, db, EPIO_DB_WRITE);
    commit(f, one);
    run(f, one, "DELETE FROM t", EPIO_EINVAL);
    check_op(f, epio_db_commit(&op, one), EPIO_EINVAL);
    check_op(f, epio_db_rollback(&op, one), EPIO_EINVAL);
    check_op(f, epio_db_begin(&op, one, &one, EPIO_DB_WRITE), EPIO_EINVAL);
    check_op(f, epio_db_commit(&op, db), EPIO_EINVAL);
    check_op(f, epio_db_rollback(&op, db), EPIO_EINVAL);
    close_db(f, db);
}

static void a_transaction_that_sqlite_ended_takes_its_rollback_alone(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = open_db(f, NULL);
    run(f, db, "INSERT INTO t VALUES(1, 'kept')", 1);
    epio_db *outer = begin(f, db, EPIO_DB_WRITE);
    epio_db *inner = begin(f, outer, EPIO_DB_WRITE);
    run(f, inner, "INSERT INTO t VALUES(2, 'lost')", 1);
    run(f, inner, "INSERT OR ROLLBACK INTO t VALUES(1, 'x')", EPIO_ESQL);
    run(f, inner, "INSERT INTO t VALUES(3, 'x')", EPIO_ECANCELED);
    check_op(f, epio_db_commit(&op, inner), EPIO_ECANCELED);
    roll_back(f, inner);
    run(f, outer, "INSERT INTO t VALUES(3, 'x')", EPIO_ECANCELED);
    check_op(f, epio_db_commit(&op, outer), EPIO_ECANCELED);
    roll_back(f, outer);
    check_count(f, db, "1", 1);
    close_db(f, db);
}

static void a_failed_commit_waits_for_its_rollback(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options, .setup = "PRAGMA foreign_keys=1"};
    epio_db *db = open_db(f, &options);
    run(f, db, "CREATE TABLE u(a REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)", 0);
    epio_db *one = begin(f, db, EPIO_DB_WRITE);
    run(f, one, "INSERT INTO u VALUES(9)", 1);
    check_op(f, epio_db_commit(&op, one), EPIO_ESQL);
    check_result(epio_db_error_code(&op), SQLITE_CONSTRAINT_FOREIGNKEY);
    run(f, one, "INSERT INTO t VALUES(9, 'x')", EPIO_ECANCELED);
    roll_back(f, one);
    run(f, db, "DELETE FROM u", 0);
    close_db(f, db);
}

static void an_outer_rollback_ends_savepoints(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_db *outer = begin(f, db, EPIO_DB_WRITE);
    epio_db *inner = begin(f, outer, EPIO_DB_WRITE);
    epio_db *innermost = begin(f, inner, EPIO_DB_WRITE);
    run(f, innermost, "INSERT INTO t VALUES(1, 'x')", 1);
    roll_back(f, outer);
    run(f, inner, "INSERT INTO t VALUES(1, 'x')", EPIO_ECANCELED);
    check_count(f, db, "1", 0);
    roll_back(f, inner);
    roll_back(f, innermost);
    close_db(f, db);
}

static void a_close_rolls_back(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = open_db(f, NULL);
    epio_db *snapshot = begin(f, db, EPIO_DB_SNAPSHOT);
    epio_db *outer = begin(f, db, EPIO_DB_WRITE);
    epio_db *inner = begin(f, outer, EPIO_DB_WRITE);
    run(f, inner, "INSERT INTO t VALUES(1, 'x')", 1);
    check_op(f, epio_db_close(&op, db, 0), 0);
    run(f, inner, "INSERT INTO t VALUES(1, 'x')", EPIO_ECANCELED);
    check_op(f, epio_db_commit(&op, outer), EPIO_ECANCELED);
    check_op(f, epio_db_open(&op, db), 0);
    check_op(f, epio_db_commit(&op, snapshot), EPIO_ECANCELED);
    check_count(f, db, "1", 0);
    roll_back(f, snapshot);
    roll_back(f, outer);
    roll_back(f, inner);
    close_db(f, db);
}

/* ---- Functions ------------------------------------------------------------------ */

typedef struct function_plan {
    int64_t result;
    bool leaves_open;
    bool ends_it;
    epio_db *inner;
    int calls;
} function_plan;

static function_plan plan; /* the fixture has the op's `user` */

static int64_t perform(epio_db *transaction, const char *sql)
{
    epio_op op = EPIO_OP_INIT;
    return epio_perform(epio_db_execute(&op, transaction, sql, NULL));
}

static int64_t follow_plan(epio_db *transaction, void *user)
{
    epio_op op = EPIO_OP_INIT;
    (void)user;
    plan.calls++;
    require(perform(transaction, "INSERT INTO t VALUES(1, 'x')") == 1);
    require(perform(transaction, "INSERT INTO t VALUES(1, 'x')") == EPIO_ESQL);
    require(epio_perform(epio_db_commit(&op, transaction)) == EPIO_EINVAL);
    require(epio_perform(epio_db_rollback(&op, transaction)) == EPIO_EINVAL);
    require(epio_perform(epio_db_begin(&op, transaction, &plan.inner, EPIO_DB_WRITE)) == 0);
    require(perform(transaction, "DELETE FROM t") == EPIO_EBUSY);
    require(perform(plan.inner, "INSERT INTO t VALUES(2, 'y')") == 1);
    if (plan.ends_it) {
        require(perform(plan.inner, "INSERT OR ROLLBACK INTO t VALUES(1, 1)") == EPIO_ESQL);
        require(perform(plan.inner, "INSERT INTO t VALUES(5, 1)") == EPIO_ECANCELED);
    }
    if (!plan.leaves_open) {
        require(epio_perform(epio_db_rollback(&op, plan.inner)) == 0);
    }
    return plan.result;
}

static void functions_are_transactions(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    plan = (function_plan){.result = EPIO_ENOENT};
    epio_db *db = open_db(f, NULL);
    check_op(f, epio_db_transaction(&op, db, follow_plan, EPIO_DB_WRITE), EPIO_ENOENT);
    check_count(f, db, "1", 0);
    plan.result = 77;
    plan.ends_it = true;
    check_op(f, epio_db_transaction(&op, db, follow_plan, EPIO_DB_WRITE), EPIO_ECANCELED);
    plan.ends_it = false;
    plan.leaves_open = true;
    check_op(f, epio_db_transaction(&op, db, follow_plan, EPIO_DB_WRITE), EPIO_EBUSY);
    check_count(f, db, "1", 0);
    roll_back(f, plan.inner);
    plan.leaves_open = false;
    check_op(f, epio_db_transaction(&op, db, follow_plan, EPIO_DB_WRITE), 77);
    check_count(f, db, "1", 1);
    check_result(plan.calls, 4);
    close_db(f, db);
}

static int64_t only_read(epio_db *transaction, void *user)
{
    (void)user;
    return perform(transaction, "DELETE FROM t") == EPIO_EROFS ? 5 : -1;
}

static void functions_read_snapshots(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = open_db(f, NULL);
    check_op(f, epio_db_transaction(&op, db, only_read, EPIO_DB_SNAPSHOT), 5);
    check_op(f, epio_db_transaction(&op, db, only_read, 7), EPIO_EINVAL);
    close_db(f, db);
}

static void a_read_only_database_begins_no_write(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *none = NULL;
    epio_db *db = open_db(f, NULL);
    close_db(f, db);
    epio_db_options options = {.size = sizeof options, .flags = EPIO_DB_READ_ONLY};
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, "db"), &options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    check_op(f, epio_db_begin(&op, db, &none, EPIO_DB_WRITE), EPIO_EROFS);
    check_op(f, epio_db_transaction(&op, db, follow_plan, EPIO_DB_WRITE), EPIO_EROFS);
    roll_back(f, begin(f, db, EPIO_DB_SNAPSHOT));
    close_db(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(transactions_commit_and_roll_back, ON_ANY),
        FIXTURE_TEST(savepoints_nest, ON_ANY),
        FIXTURE_TEST(a_snapshot_sees_its_beginning, ON_ANY),
        FIXTURE_TEST(late_uses_are_refused, ON_ANY),
        FIXTURE_TEST(a_transaction_that_sqlite_ended_takes_its_rollback_alone, ON_ANY),
        FIXTURE_TEST(a_failed_commit_waits_for_its_rollback, ON_ANY),
        FIXTURE_TEST(an_outer_rollback_ends_savepoints, ON_ANY),
        FIXTURE_TEST(a_close_rolls_back, ON_ANY),
        FIXTURE_TEST(functions_are_transactions, ON_ANY),
        FIXTURE_TEST(functions_read_snapshots, ON_ANY),
        FIXTURE_TEST(a_read_only_database_begins_no_write, ON_ANY),
    };
    return FIXTURE_RUN("db_transaction", tests);
}
