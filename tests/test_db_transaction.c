/* Transactions and savepoints of databases: as handles, and around functions; what ends them, and
 * what is left of handles then. Results are read by SQLite itself. Its ops are any loop's:
 * EPIO_TEST_ONCE. */
#include "database.h"

#include <epio/db.h>
#include <stdatomic.h>

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

static int64_t perform(epio_db *transaction, const char *sql)
{
    epio_op op = EPIO_OP_INIT;
    return epio_perform(epio_db_execute(&op, transaction, sql, NULL));
}

/* How many rows there are, by a statement that changes as many rows. */
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

/* ---- Queries ----------------------------------------------------------------------- */

static epio_rows *query(fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    check_op(f, epio_db_query(&op, db, &rows, "SELECT a FROM t ORDER BY a", NULL), 0);
    check_op(f, epio_db_next(&op, rows, 1), 1);
    check_result(epio_rows_value(rows, 0, 0)->is.integer, 1);
    return rows;
}

static void insert_many(fixture *f, epio_db *db)
{
    run(f, db,
        "INSERT INTO t SELECT i, zeroblob(3000) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n)",
        2000);
}

static void queries_are_in_the_way_of_a_commit(fixture *f)
{
    static const uint32_t modes[] = {EPIO_DB_WRITE, EPIO_DB_SNAPSHOT};
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options, .ahead_bytes = 1024};
    epio_db *db = open_db(f, &options);
    insert_many(f, db);
    for (int i = 0; i < 2; i++) {
        epio_db *one = begin(f, db, modes[i]);
        epio_rows *rows = query(f, one);
        check_op(f, epio_db_commit(&op, one), EPIO_EBUSY);
        check_op(f, epio_db_end(&op, rows), 0);
        commit(f, one);
        one = begin(f, db, modes[i]);
        rows = query(f, one);
        roll_back(f, one);
        check(fixture_result(f, epio_db_next(&op, rows, 2000)) == EPIO_ECANCELED ||
              op.result > 0); /* what was worked out ahead may come yet */
        check_op(f, epio_db_next(&op, rows, 2000), EPIO_ECANCELED);
        check_op(f, epio_db_end(&op, rows), 0);
    }
    check_count(f, db, "1", 2000);
    close_db(f, db);
}

static void savepoints_end_their_queries_alone(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options, .ahead_bytes = 1024};
    epio_db *db = open_db(f, &options);
    insert_many(f, db);
    epio_db *outer = begin(f, db, EPIO_DB_WRITE);
    epio_rows *rows = query(f, outer);
    epio_db *inner = begin(f, outer, EPIO_DB_WRITE);
    run(f, inner, "INSERT INTO t VALUES(3000, 'x')", 1);
    roll_back(f, inner);
    inner = begin(f, outer, EPIO_DB_WRITE);
    run(f, inner, "INSERT INTO t VALUES(3001, 'x')", 1);
    epio_rows *more = query(f, inner);
    check_op(f, epio_db_commit(&op, inner), EPIO_EBUSY);
    check_op(f, epio_db_end(&op, more), 0);
    commit(f, inner);
    check_op(f, epio_db_next(&op, rows, 5000), 2000); /* and 3001, but the first */
    check_op(f, epio_db_end(&op, rows), 0);
    commit(f, outer);
    close_db(f, db);
}

/* ---- Other programs, and waiting ------------------------------------------------- */

static sqlite3 *open_other(fixture *f)
{
    databases_begin(f);
    return database_open(TEST_VFS, fixture_path(f, "db"));
}

static void close_other(fixture *f, sqlite3 *other)
{
    database_close(other);
    databases_end(f);
}

/* With a rollback journal a reader is in the way of a commit. */
static void a_commit_waits_for_readers(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options, .journal_mode = "delete"};
    epio_db *db = open_db(f, &options);
    sqlite3 *other = open_other(f);
    database_run(other, "BEGIN");
    check_result(database_number(other, "SELECT count(*) FROM t"), 0);
    epio_db *one = begin(f, db, EPIO_DB_WRITE);
    run(f, one, "INSERT INTO t VALUES(1, 'x')", 1);
    op.timeout_ns = 20 * MILLISECOND;
    check_op(f, epio_db_commit(&op, one), EPIO_ETIMEDOUT);
    run(f, one, "INSERT INTO t VALUES(2, 'x')", 1); /* it is as it was */
    if (!f->performs) {
        epio_submit(epio_db_commit(&op, one));
        (void)epio_loop_poll(f->loop, EPIO_NOW, 0); /* it is tried again and again */
        check(epio_op_pending(&op));
        epio_cancel(&op);
        check_result(epio_wait(&op), EPIO_ECANCELED);
        epio_submit(epio_db_commit(&op, one));
        (void)epio_loop_poll(f->loop, EPIO_NOW, 0); /* it is tried again and again */
        database_run(other, "COMMIT");
        check_result(epio_wait(&op), 0);
    } else {
        database_run(other, "COMMIT");
        commit(f, one);
    }
    check_result(database_number(other, "SELECT count(*) FROM t"), 2);
    close_other(f, other);
    close_db(f, db);
}

static void a_begin_waits_for_writers_elsewhere(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *one = NULL;
    epio_db *db = open_db(f, NULL);
    sqlite3 *other = open_other(f);
    database_run(other, "BEGIN IMMEDIATE");
    op.timeout_ns = 20 * MILLISECOND;
    check_op(f, epio_db_begin(&op, db, &one, EPIO_DB_WRITE), EPIO_ETIMEDOUT);
    roll_back(f, begin(f, db, EPIO_DB_SNAPSHOT));
    database_run(other, "INSERT INTO t VALUES(1, 'x'); COMMIT");
    one = begin(f, db, EPIO_DB_WRITE);
    run(f, one, "UPDATE t SET b = 'y'", 1);
    commit(f, one);
    close_other(f, other);
    close_db(f, db);
}

static void writers_are_served_in_their_order(fixture *f)
{
    epio_op ops[5] = {EPIO_OP_INIT};
    epio_db *handles[5] = {NULL};
    epio_db *db = open_db(f, NULL);
    for (int i = 0; i < 5; i++) {
        ops[i].timeout_ns = i == 2 ? 1 : 0;
        epio_submit(epio_db_begin(&ops[i], db, &handles[i], EPIO_DB_WRITE));
    }
    check_result(epio_wait(&ops[2]), EPIO_ETIMEDOUT);
    epio_cancel(&ops[3]);
    check_result(epio_wait(&ops[3]), EPIO_ECANCELED);
    check_result(epio_wait(&ops[0]), 0);
    fixture_settle(f);
    check(epio_op_pending(&ops[1]));
    commit(f, handles[0]);
    check_result(epio_wait(&ops[1]), 0);
    check(epio_op_pending(&ops[4]));
    roll_back(f, handles[1]);
    check_result(epio_wait(&ops[4]), 0);
    assert_null(handles[2]);
    assert_null(handles[3]);
    /* Behind the end of a transaction its ops end, too. */
    epio_submit(epio_db_commit(&ops[0], handles[4]));
    epio_submit(epio_db_execute(&ops[1], handles[4], "INSERT INTO t VALUES(1, 'x')", NULL));
    epio_submit(epio_db_rollback(&ops[2], handles[4]));
    check_result(epio_wait(&ops[0]), 0);
    check_result(epio_wait(&ops[1]), EPIO_ECANCELED);
    check_result(epio_wait(&ops[2]), 0);
    close_db(f, db);
}

static void a_performed_begin_ends_at_its_deadline(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *other = NULL;
    epio_db *db = open_db(f, NULL);
    epio_db *one = begin(f, db, EPIO_DB_WRITE);
    op.timeout_ns = 5 * MILLISECOND;
    check_result(epio_perform(epio_db_begin(&op, db, &other, EPIO_DB_WRITE)), EPIO_ETIMEDOUT);
    op.timeout_ns = 5 * MILLISECOND;
    check_result(epio_perform(epio_db_execute(&op, db, "DELETE FROM t", NULL)), EPIO_ETIMEDOUT);
    roll_back(f, one);
    close_db(f, db);
}

/* The handles that are left are ended by epio_perform. */
static void a_loop_is_closed_with_everything_in_flight(fixture *f)
{
    epio_loop *loop;
    epio_db *db;
    epio_db *handles[3] = {NULL};
    epio_op ops[5] = {EPIO_OP_INIT};
    epio_db_options options = {.size = sizeof options, .group = 4};
    if (epio_loop_create(&loop, NULL) != 0) {
        fixture_skip(f, "no second loop");
    }
    check_result(epio_db_create(&db, epio_loop_vfs(loop), fixture_path(f, "db"), &options), 0);
    check_result(epio_wait(epio_db_open(&ops[0], db)), 0);
    check_result(epio_wait(epio_db_execute(&ops[0], db, "CREATE TABLE t(a, b)", NULL)), 0);
    check_result(epio_wait(epio_db_begin(&ops[0], db, &handles[0], EPIO_DB_WRITE)), 0);
    epio_submit(epio_db_execute(&ops[0], handles[0], "INSERT INTO t VALUES(1, 'x')", NULL));
    epio_submit(epio_db_begin(&ops[1], db, &handles[1], EPIO_DB_WRITE));
    epio_submit(epio_db_begin(&ops[2], db, &handles[2], EPIO_DB_SNAPSHOT));
    epio_submit(epio_db_execute(&ops[3], db, "INSERT INTO t VALUES(2, 'x')", NULL));
    epio_submit(epio_db_execute(&ops[4], db, "INSERT INTO t VALUES(3, 'x')", NULL));
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check(ops[0].result == 1 || ops[0].result == EPIO_ECANCELED);
    for (int i = 1; i < 5; i++) {
        check(ops[i].result == EPIO_ECANCELED || (i == 2 && ops[i].result == 0));
    }
    if (handles[2] != NULL) {
        check_result(epio_perform(epio_db_rollback(&ops[2], handles[2])), 0);
    }
    check_result(epio_perform(epio_db_commit(&ops[0], handles[0])), 0);
    check_result(epio_perform(epio_db_close(&ops[0], db, 0)), 0);
    epio_db_destroy(db);
    epio_loop_destroy(loop);
}

static int64_t wait_to_be_cancelled(epio_db *transaction, void *user)
{
    epio_op op = EPIO_OP_INIT;
    int64_t first;
    atomic_int *calls = user;
    require(perform(transaction, "INSERT INTO t VALUES(1, 'x')") == 1);
    atomic_fetch_add(calls, 1);
    do {
        first = epio_perform(epio_db_execute(&op, transaction, "UPDATE t SET b = 1", NULL));
    } while (first == 1);
    require(first == EPIO_ECANCELED);
    require(perform(transaction, "INSERT INTO t VALUES(2, 'x')") == EPIO_ECANCELED);
    return 5; /* although it should not */
}

static void a_cancel_ends_a_function(fixture *f)
{
    atomic_int calls = 0;
    epio_op op = {.user = &calls};
    epio_db *db = open_db(f, NULL);
    for (int i = 0; i < 2; i++) {
        atomic_store(&calls, 0);
        op.timeout_ns = i == 0 ? 0 : 20 * MILLISECOND;
        epio_submit(epio_db_transaction(&op, db, wait_to_be_cancelled, EPIO_DB_WRITE));
        while (i == 0 && atomic_load(&calls) == 0) {
            (void)epio_loop_poll(f->loop, MILLISECOND, 1);
        }
        if (i == 0) {
            epio_cancel(&op);
        }
        check_result(epio_wait(&op), i == 0 ? EPIO_ECANCELED : EPIO_ETIMEDOUT);
        check_count(f, db, "1", 0);
    }
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
        FIXTURE_TEST(queries_are_in_the_way_of_a_commit, ON_ANY),
        FIXTURE_TEST(savepoints_end_their_queries_alone, ON_ANY),
        FIXTURE_TEST(a_commit_waits_for_readers, ON_OS | ON_OS_PERFORM | ON_MEMORY),
        FIXTURE_TEST(a_begin_waits_for_writers_elsewhere, ON_OS | ON_OS_PERFORM | ON_MEMORY),
        FIXTURE_TEST(writers_are_served_in_their_order, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_performed_begin_ends_at_its_deadline,
                     ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS_LOOP_PERFORM),
        FIXTURE_TEST(a_loop_is_closed_with_everything_in_flight, ON_OS),
        FIXTURE_TEST(a_cancel_ends_a_function, ON_OS | ON_MEMORY),
        FIXTURE_TEST(functions_are_transactions, ON_ANY),
        FIXTURE_TEST(functions_read_snapshots, ON_ANY),
        FIXTURE_TEST(a_read_only_database_begins_no_write, ON_ANY),
    };
    return FIXTURE_RUN("db_transaction", tests);
}
