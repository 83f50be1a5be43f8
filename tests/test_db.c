/* Databases: opening, statements, errors, what waits for others, closing; by every runner. Rows,
 * transactions and what else there is have tests of their own. EPIO_TEST_OVERLAP. Its ops are any
 * loop's: EPIO_TEST_ONCE. */
#include "database.h"

#include <epio/db.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000000)

/* Runs for minutes, unless it is ended. */
#define ENDLESS                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000) "            \
    "INSERT INTO t SELECT max(i), 'endless' FROM n"

/* ---- What the tests share ------------------------------------------------- */

static epio_db *make_db(fixture *f, const char *name, const epio_db_options *options)
{
    epio_db *db = NULL;
    epio_db_options given = {.size = sizeof given};
    if (options != NULL) {
        given = *options;
    }
    given.flags |= databases_flags() != 0 ? EPIO_DB_OVERLAP : 0;
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, name), &given), 0);
    return db;
}

static epio_db *open_db(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = make_db(f, "db", NULL);
    check_op(f, epio_db_open(&op, db), 0);
    check_op(f, epio_db_execute(&op, db, "CREATE TABLE IF NOT EXISTS t(a, b)", NULL), 0);
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

/* What is in t, as SQLite itself finds it. */
static int rows_in(epio_db *db, fixture *f, const char *condition)
{
    /* An UPDATE says how many there are, whatever the VFS. */
    epio_op op = EPIO_OP_INIT;
    char sql[200];
    (void)snprintf(sql, sizeof sql, "UPDATE t SET a = a WHERE %s", condition);
    return (int)fixture_result(f, epio_db_execute(&op, db, sql, NULL));
}

/* ---- Statements ------------------------------------------------------------- */

static void statements_run(fixture *f)
{
    epio_db *db = open_db(f);
    epio_op op = EPIO_OP_INIT;
    run(f, db, "INSERT INTO t VALUES(1, 'one'); INSERT INTO t VALUES(2, 'two'); -- the end", 2);
    epio_value values[] = {
        {.type = EPIO_VALUE_INTEGER, .is = {.integer = 3}},
        {.type = EPIO_VALUE_TEXT, .len = 5, .is = {.text = "three"}},
    };
    epio_parameters parameters = {.size = sizeof parameters, .values = values, .count = 2};
    check_op(f, epio_db_execute(&op, db, "INSERT INTO t VALUES(?, ?)", &parameters), 1);
    const char *const names[] = {":b", ":a"};
    values[0] = values[1];
    values[1] = (epio_value){.type = EPIO_VALUE_REAL, .is = {.real = 2.5}};
    parameters.names = names;
    check_op(f, epio_db_execute(&op, db, "INSERT INTO t VALUES(:a, :b)", &parameters), 1);
    check_result(rows_in(db, f, "a = 2.5 AND b = 'three'"), 1);
    run(f, db, "UPDATE t SET b = 'x'", 4);
    run(f, db, "SELECT * FROM t", 0);
    run(f, db, "CREATE TABLE other(x)", 0);
    run(f, db, "PRAGMA user_version = 7", 0);
    close_db(f, db);

    db = open_db(f); /* once more: all is there */
    check_result(rows_in(db, f, "b = 'x'"), 4);
    close_db(f, db);
}

static void several_statements_are_one_transaction(fixture *f)
{
    epio_db *db = open_db(f);
    run(f, db, "INSERT INTO t VALUES(1, 1); INSERT INTO missing VALUES(1)", EPIO_ESQL);
    check_result(rows_in(db, f, "1"), 0);
    run(f, db, "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = 2; SELECT 1; END", 0);
    run(f, db, "INSERT INTO t VALUES(1, 1)", 1);
    check_result(rows_in(db, f, "b = 2"), 1);
    close_db(f, db);
}

static void what_follows_a_statement_counts(fixture *f)
{
    epio_db *db = open_db(f);
    run(f, db, "INSERT INTO t VALUES(1, 1);)", EPIO_ESQL);
    run(f, db, "INSERT INTO t VALUES(1, 1); 'more'", EPIO_ESQL);
    run(f, db, "123", EPIO_ESQL);
    check_result(rows_in(db, f, "1"), 0);
    run(f, db, "\xEF\xBB\xBFINSERT INTO t VALUES(1, 1);\xEF\xBB\xBF /* the end", 1);
    run(f, db,
        "\xEF\xBB\xBF"
        "BEGIN",
        EPIO_EINVAL);
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    check_op(f, epio_db_query(&op, db, &rows, "SELECT 1; 2", NULL), EPIO_EINVAL);
    epio_db_error error = {.size = sizeof error};
    const char *sql = "INSERT INTO t VALUES(1, 1); INSERT INTO t VALUES(2, @@)";
    check_op(f, epio_db_report(epio_db_execute(&op, db, sql, NULL), &error), EPIO_ESQL);
    check_result(error.offset, strchr(sql, '@') - sql);
    close_db(f, db);
}

static int64_t number(fixture *f, epio_db *db, const char *sql)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    check_op(f, epio_db_query(&op, db, &rows, sql, NULL), 0);
    check_op(f, epio_db_next(&op, rows, 2), 1);
    int64_t value = epio_rows_value(rows, 0, 0)->is.integer;
    check_op(f, epio_db_end(&op, rows), 0);
    return value;
}

/* How long locks are waited for, and when the log is written back, is the library's. */
static void pragmas_take_nothing_away(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .setup = "PRAGMA busy_timeout = 60000"};
    epio_db *db = make_db(f, "db", &options);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_open(&op, db), 0);
    check_result(number(f, db, "PRAGMA busy_timeout"), 0);
    if (number(f, db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode") == 1) {
        run(f, db, "CREATE TABLE t(a, b); PRAGMA wal_autocheckpoint = 1", 0);
        epio_db_stats before = {.size = sizeof before};
        check_result(epio_db_get_stats(db, &before), 0);
        run(f, db, "INSERT INTO t VALUES(1, 1)", 1);
        epio_db_stats after = {.size = sizeof after};
        check_result(epio_db_get_stats(db, &after), 0);
        check(after.log_frames > before.log_frames);
    }
    close_db(f, db);
}

/* The time goes with the script's length, not with its square. */
static void scripts_may_be_long(fixture *f)
{
    enum { STATEMENTS = 20000, LEN = 26 };
    epio_db *db = open_db(f);
    char *sql = malloc(STATEMENTS * LEN + 1);
    for (int i = 0; i < STATEMENTS; i++) {
        (void)snprintf(sql + i * LEN, LEN + 1, "INSERT INTO t VALUES(1,2);");
    }
    run(f, db, sql, STATEMENTS);
    free(sql);
    close_db(f, db);
}

static void check_refused(fixture *f, epio_op *op, int64_t result, const char *message)
{
    epio_db_error error = {.size = sizeof error};
    check_op(f, epio_db_report(op, &error), result);
    check_result(epio_db_error_code(op), error.code);
    check(error.code != SQLITE_OK);
    assert_string_equal(error.message, message);
}

static void errors_are_reported(fixture *f)
{
    epio_db *db = open_db(f);
    epio_op op = EPIO_OP_INIT;
    epio_value value = {.type = EPIO_VALUE_INTEGER};
    epio_parameters one = {.size = sizeof one, .values = &value, .count = 1};
    const char *const names[] = {":x"};
    check_refused(f, epio_db_execute(&op, db, "SELECT 1 FROM missing", NULL), EPIO_ESQL,
                  "no such table: missing");
    check_refused(f, epio_db_execute(&op, db, "nonsense", NULL), EPIO_ESQL,
                  "near \"nonsense\": syntax error");
    check_refused(f, epio_db_execute(&op, db, "/* x */ begin", NULL), EPIO_EINVAL,
                  "transactions are begun by epio_db_begin");
    check_refused(f, epio_db_execute(&op, db, " ; -- nothing", NULL), EPIO_EINVAL, "no statement");
    check_refused(f, epio_db_execute(&op, db, NULL, NULL), EPIO_EINVAL, "the SQL is NULL");
    check_refused(f, epio_db_execute(&op, db, "DELETE FROM t", &one), EPIO_EINVAL,
                  "more values than the statement has parameters");
    one.size = 0;
    check_refused(f, epio_db_execute(&op, db, "DELETE FROM t WHERE a = ?", &one), EPIO_EINVAL,
                  "the parameters' size is not sizeof(epio_parameters)");
    one.size = sizeof one;
    one.names = names;
    check_refused(f, epio_db_execute(&op, db, "DELETE FROM t WHERE a = :y", &one), EPIO_EINVAL,
                  "the statement has no parameter of that name");
    run(f, db, "CREATE UNIQUE INDEX i ON t(a)", 0);
    run(f, db, "INSERT INTO t VALUES(1, 1)", 1);
    check_refused(f, epio_db_execute(&op, db, "INSERT INTO t VALUES(1, 2)", NULL), EPIO_ESQL,
                  "UNIQUE constraint failed: t.a");
    check_result(epio_db_error_code(&op), SQLITE_CONSTRAINT_UNIQUE);

    value = (epio_value){.type = EPIO_VALUE_TEXT, .len = 3};
    one.names = NULL;
    check_refused(f, epio_db_execute(&op, db, "DELETE FROM t WHERE a = ?", &one), EPIO_EINVAL,
                  "a text or blob is NULL, but has a length");

    epio_db_error error = {.size = sizeof error, .code = 5, .message = "old"};
    check_op(f, epio_db_report(epio_db_execute(&op, db, "DELETE FROM t; DELET", NULL), &error),
             EPIO_ESQL);
    check_result(error.offset, 15);
    check_op(f, epio_db_report(epio_db_execute(&op, db, "SELECT 1", NULL), &error), 0);
    assert_string_equal(error.message, "");
    check_result(error.code, 0);
    check_result(epio_db_error_code(&op), 0);
    close_db(f, db);
}

/* ---- Opening and closing ------------------------------------------------------ */

static void options_are_checked(fixture *f)
{
    epio_db *db = NULL;
    epio_db_options options = {.size = sizeof options};
    check_result(epio_db_create(NULL, f->vfs, "db", NULL), EPIO_EINVAL);
    check_result(epio_db_create(&db, NULL, "db", NULL), EPIO_EINVAL);
    check_result(epio_db_create(&db, f->vfs, NULL, NULL), EPIO_EINVAL);
    check_result(epio_db_create(&db, f->vfs, "", NULL), EPIO_EINVAL);
    check_result(epio_db_create(&db, f->vfs, ":memory:", NULL), EPIO_EINVAL);
    options.size = 4;
    check_result(epio_db_create(&db, f->vfs, "db", &options), EPIO_EINVAL);
    options.size = sizeof options;
    options.flags = 8;
    check_result(epio_db_create(&db, f->vfs, "db", &options), EPIO_EINVAL);
    options.flags = EPIO_DB_OVERLAP;
    options.sqlite_vfs = "unix";
    check_result(epio_db_create(&db, f->vfs, "db", &options), EPIO_EINVAL);
    options.flags = 0;
    options.journal_mode = "wall";
    check_result(epio_db_create(&db, f->vfs, "db", &options), EPIO_EINVAL);
    options.journal_mode = "WAL";
    options.synchronous = "mostly";
    check_result(epio_db_create(&db, f->vfs, "db", &options), EPIO_EINVAL);
    check(db == NULL);

    struct {
        epio_db_options known;
        uint64_t later;
    } newer = {.known = {.size = sizeof newer}, .later = 1};
    check_result(epio_db_create(&db, f->vfs, "db", &newer.known), EPIO_EINVAL);
    newer.later = 0;
    check_result(epio_db_create(&db, f->vfs, "db", &newer.known), 0);
    struct {
        epio_db_stats known;
        uint64_t later;
    } stats = {.known = {.size = sizeof stats}, .later = 1};
    check_result(epio_db_get_stats(db, &stats.known), 0);
    check(stats.later == 0 && stats.known.size == sizeof stats);
    stats.known.size = 4;
    check_result(epio_db_get_stats(db, &stats.known), EPIO_EINVAL);
    epio_db_destroy(db);
}

static void check_opens(fixture *f, const char *name, uint32_t flags, int64_t result)
{
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options, .flags = flags};
    epio_db *db = make_db(f, name, &options);
    check_op(f, epio_db_open(&op, db), result);
    if (result == 0) {
        check_op(f, epio_db_close(&op, db, 0), 0);
    }
    epio_db_destroy(db);
}

static void opens_fail_with_reasons(fixture *f)
{
    check_opens(f, "missing/db", 0, EPIO_ENOENT);
    check_opens(f, "none", EPIO_DB_MUST_EXIST, EPIO_ENOENT);
    check_opens(f, "none", EPIO_DB_READ_ONLY, EPIO_ENOENT);
    check_result(fixture_exists(f, "none"), 0);
    fixture_make_directory(f, "directory");
    check_opens(f, "directory", 0, EPIO_EISDIR);
    static const char text[4096] = "This is a letter, and no database at all, as one can see.";
    fixture_put(f, "text", text, sizeof text);
    check_opens(f, "text", 0, EPIO_ECORRUPT);
    check_content(f, "text", text, sizeof text);
    check_opens(f, "new", 0, 0);
    check_opens(f, "new", EPIO_DB_MUST_EXIST, 0);
}

static void the_life_of_a_database(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *db = make_db(f, "db", NULL);
    check_op(f, epio_db_execute(&op, db, "SELECT 1", NULL), EPIO_EINVAL);
    check_op(f, epio_db_close(&op, db, 0), EPIO_EINVAL);
    for (int i = 0; i < 3; i++) {
        check_op(f, epio_db_open(&op, db), 0);
        check_op(f, epio_db_open(&op, db), EPIO_EINVAL);
        run(f, db, "CREATE TABLE IF NOT EXISTS t(a)", 0);
        check_op(f, epio_db_close(&op, db, 2), EPIO_EINVAL);
        check_op(f, epio_db_close(&op, db, 0), 0);
    }
    epio_db_destroy(db);
    db = make_db(f, "db", NULL); /* one that is never opened */
    epio_db_destroy(db);
}

static int configured(sqlite3 *connection, void *user)
{
    (void)connection;
    ++*(int *)user;
    return SQLITE_OK;
}

static int refused(sqlite3 *connection, void *user)
{
    (void)connection, (void)user;
    return SQLITE_AUTH;
}

static void connections_are_set_up(fixture *f)
{
    int times = 0;
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options,
                               .setup = "CREATE TABLE IF NOT EXISTS made(a); PRAGMA user_version=9",
                               .journal_mode = "delete",
                               .configure = configured,
                               .user = &times};
    epio_db *db = make_db(f, "db", &options);
    check_op(f, epio_db_open(&op, db), 0);
    check(times == 1);
    run(f, db, "INSERT INTO made VALUES(1)", 1);
    check_result(fixture_exists(f, "db-wal"), 0);
    close_db(f, db);

    options.setup = "nonsense";
    db = make_db(f, "db", &options);
    check_op(f, epio_db_open(&op, db), EPIO_ESQL);
    epio_db_destroy(db);
    options.configure = refused;
    db = make_db(f, "db", &options);
    check_op(f, epio_db_open(&op, db), EPIO_ESQL);
    check_result(epio_db_error_code(&op), SQLITE_AUTH);
    epio_db_destroy(db);
}

static void nothing_is_written_read_only(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    close_db(f, open_db(f));
    epio_db_options options = {.size = sizeof options, .flags = EPIO_DB_READ_ONLY};
    epio_db *db = make_db(f, "db", &options);
    check_op(f, epio_db_open(&op, db), 0);
    run(f, db, "INSERT INTO t VALUES(1, 1)", EPIO_EROFS);
    run(f, db, "SELECT * FROM t", 0);
    close_db(f, db);
}

/* ---- Other programs -------------------------------------------------------------- */

/* Another connection, of the same VFS, that has the write lock. */
typedef struct other {
    sqlite3 *handle;
    char name[32];
} other;

static void other_open(fixture *f, other *one)
{
    (void)snprintf(one->name, sizeof one->name, "other-%p", (void *)one);
    check_result(epio_sqlite_register(one->name, f->vfs, 0), 0);
    check_result(
        sqlite3_open_v2(fixture_path(f, "db"), &one->handle, SQLITE_OPEN_READWRITE, one->name),
        SQLITE_OK);
}

static void other_close(other *one)
{
    check_result(sqlite3_close(one->handle), SQLITE_OK);
    check_result(epio_sqlite_unregister(one->name), 0);
}

static void other_runs(other *one, const char *sql)
{
    check_result(sqlite3_exec(one->handle, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void deadlines_end_the_wait_for_others(fixture *f)
{
    epio_db *db = open_db(f);
    epio_op op = EPIO_OP_INIT;
    other one;
    other_open(f, &one);
    other_runs(&one, "BEGIN IMMEDIATE");
    epio_db_stats stats = {.size = sizeof stats};
    /* On a slow machine a deadline may pass before the lock was found. */
    for (uint64_t timeout = 30 * MILLISECOND; stats.busy == 0; timeout *= 2) {
        op.timeout_ns = timeout;
        check_op(f, epio_db_execute(&op, db, "INSERT INTO t VALUES(1, 1)", NULL), EPIO_ETIMEDOUT);
        check_result(epio_db_get_stats(db, &stats), 0);
    }
    other_runs(&one, "COMMIT");
    run(f, db, "INSERT INTO t VALUES(1, 1)", 1);
    other_close(&one);
    close_db(f, db);
}

#if EPIO_ASYNC

static void others_are_awaited(fixture *f)
{
    epio_db *db = open_db(f);
    other one;
    tracked write;
    tracked cancelled;
    other_open(f, &one);
    other_runs(&one, "BEGIN IMMEDIATE");
    epio_submit(epio_db_execute(track(&write), db, "INSERT INTO t VALUES(1, 1)", NULL));
    epio_submit(epio_db_execute(track(&cancelled), db, "INSERT INTO t VALUES(2, 2)", NULL));
    epio_db_stats stats = {.size = sizeof stats};
    while (stats.busy < 4) { /* both have found the lock */
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
        check_result(epio_db_get_stats(db, &stats), 0);
    }
    check(write.calls == 0);
    epio_cancel(&cancelled.op);
    while (cancelled.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    check_result(cancelled.result, EPIO_ECANCELED);
    other_runs(&one, "COMMIT");
    while (write.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    check_result(write.result, 1);
    other_close(&one);
    check_result(rows_in(db, f, "1"), 1);
    close_db(f, db);
}

static void wait_until_busy(fixture *f, epio_db *db)
{
    epio_db_stats stats = {.size = sizeof stats};
    while (stats.busy < 2) { /* it has been tried again */
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
        check_result(epio_db_get_stats(db, &stats), 0);
    }
}

static void a_close_awaits_what_waits_for_others(fixture *f)
{
    for (uint32_t flags = 0; flags <= EPIO_DB_CANCEL; flags++) {
        epio_db *db = open_db(f);
        other one;
        tracked write;
        tracked closing;
        other_open(f, &one);
        other_runs(&one, "BEGIN IMMEDIATE");
        epio_submit(epio_db_execute(track(&write), db, "INSERT INTO t VALUES(1, 1)", NULL));
        wait_until_busy(f, db);
        epio_submit(epio_db_close(track(&closing), db, flags));
        (void)epio_loop_poll(f->loop, EPIO_NOW, 0);
        check(flags != 0 || write.calls == 0);
        other_runs(&one, "COMMIT");
        while (closing.calls == 0) {
            (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
        }
        check_result(closing.result, 0);
        check(write.calls == 1);
        check_result(write.result, flags != 0 ? EPIO_ECANCELED : 1);
        epio_db_destroy(db);
        other_close(&one);
    }
}

static void a_loop_is_closed_while_others_are_awaited(fixture *f)
{
    epio_db *db = open_db(f);
    epio_op op = EPIO_OP_INIT;
    other one;
    tracked write;
    other_open(f, &one);
    other_runs(&one, "BEGIN IMMEDIATE");
    epio_submit(epio_db_execute(track(&write), db, "INSERT INTO t VALUES(1, 1)", NULL));
    wait_until_busy(f, db);
    check_result(epio_loop_close(f->loop, EPIO_FOREVER), 0);
    check_result(write.result, EPIO_ECANCELED);
    check_result(epio_perform(epio_db_close(&op, db, 0)), 0);
    epio_db_destroy(db);
    other_runs(&one, "COMMIT");
    other_close(&one);
}

static void an_open_awaits_others(fixture *f)
{
    close_db(f, open_db(f));
    other one;
    tracked opening;
    tracked write;
    other_open(f, &one);
    other_runs(&one, "PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE");
    epio_db *db = make_db(f, "db", NULL);
    epio_submit(epio_db_open(track(&opening), db));
    epio_submit(epio_db_execute(track(&write), db, "INSERT INTO t VALUES(1, 1)", NULL));
    wait_until_busy(f, db);
    check(opening.calls == 0 && write.calls == 0);
    other_close(&one);
    while (write.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    check(opening.calls == 1);
    check_result(opening.result, 0);
    check_result(write.result, 1);
    close_db(f, db);
}

/* ---- In flight ------------------------------------------------------------------- */

#define MANY 50

static void ops_are_carried_out_in_order(fixture *f)
{
    epio_db *db = make_db(f, "db", NULL);
    static tracked ops[MANY];
    static char sql[MANY][100];
    tracked opening;
    tracked closing;
    epio_submit(epio_db_open(track(&opening), db));
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(sql[i], sizeof sql[i],
                       i == 0 ? "CREATE TABLE t(a, b)"
                              : "INSERT INTO t SELECT %d, count(*) FROM t HAVING count(*) = %d - 1",
                       i, i);
        epio_submit(epio_db_execute(track(&ops[i]), db, sql[i], NULL));
    }
    epio_submit(epio_db_close(track(&closing), db, 0));
    while (closing.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    check(opening.calls == 1 && opening.result == 0);
    check_result(closing.result, 0);
    for (int i = 0; i < MANY; i++) {
        check(ops[i].calls == 1);
        check_result(ops[i].result, i == 0 ? 0 : 1);
    }
    epio_db_destroy(db);
}

static void a_failed_open_refuses_what_follows(fixture *f)
{
    epio_db *db = make_db(f, "missing/db", NULL);
    tracked opening;
    tracked write;
    epio_submit(epio_db_open(track(&opening), db));
    epio_submit(epio_db_execute(track(&write), db, "CREATE TABLE t(a)", NULL));
    while (opening.calls == 0 || write.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    check_result(opening.result, EPIO_ENOENT);
    check_result(write.result, EPIO_EINVAL);
    epio_db_destroy(db);
}

/* Waits until the database has this many ops that wait for a connection. */
static void poll_until_done(fixture *f, const tracked *one)
{
    while (one->calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
}

static void what_runs_and_what_waits_is_cancelled(fixture *f)
{
    epio_db *db = open_db(f);
    tracked endless;
    tracked waiting;
    tracked next;
    epio_submit(epio_db_execute(track(&endless), db, ENDLESS, NULL));
    epio_submit(epio_db_execute(track(&waiting), db, "INSERT INTO t VALUES(1, 1)", NULL));
    epio_submit(epio_db_execute(track(&next), db, "INSERT INTO t VALUES(2, 2)", NULL));
    fixture_settle(f);
    epio_cancel(&waiting.op);
    poll_until_done(f, &waiting);
    check_result(waiting.result, EPIO_ECANCELED);
    check(endless.calls == 0 && next.calls == 0);
    epio_cancel(&endless.op);
    poll_until_done(f, &next);
    check_result(endless.result, EPIO_ECANCELED);
    check_result(next.result, 1);
    check_result(rows_in(db, f, "1"), 1);
    close_db(f, db);
}

static void a_close_awaits_or_cancels(fixture *f)
{
    for (uint32_t flags = 0; flags <= EPIO_DB_CANCEL; flags++) {
        epio_db *db = open_db(f);
        tracked first;
        tracked second;
        tracked closing;
        epio_submit(epio_db_execute(track(&first), db, flags != 0 ? ENDLESS : "SELECT 1", NULL));
        epio_submit(epio_db_execute(track(&second), db, "INSERT INTO t VALUES(1, 1)", NULL));
        fixture_settle(f);
        epio_submit(epio_db_close(track(&closing), db, flags));
        tracked late;
        epio_submit(epio_db_execute(track(&late), db, "SELECT 1", NULL));
        poll_until_done(f, &closing);
        poll_until_done(f, &late);
        check_result(closing.result, 0);
        check_result(first.result, flags != 0 ? EPIO_ECANCELED : 0);
        check_result(second.result, flags != 0 ? EPIO_ECANCELED : 1);
        check(late.result == EPIO_ECANCELED || late.result == EPIO_EINVAL);
        epio_db_destroy(db);
    }
}

static void a_loop_is_closed_with_everything_in_flight(fixture *f)
{
    epio_db *db = open_db(f);
    tracked endless;
    tracked waiting;
    epio_submit(epio_db_execute(track(&endless), db, ENDLESS, NULL));
    epio_submit(epio_db_execute(track(&waiting), db, "INSERT INTO t VALUES(1, 1)", NULL));
    fixture_settle(f);
    check_result(epio_loop_close(f->loop, EPIO_FOREVER), 0);
    check_result(endless.result, EPIO_ECANCELED);
    check_result(waiting.result, EPIO_ECANCELED);
    epio_op op = EPIO_OP_INIT;
    check_result(epio_wait(epio_db_execute(&op, db, "SELECT 1", NULL)), EPIO_ECANCELED);
    check_result(epio_perform(epio_db_close(&op, db, 0)), 0);
    epio_db_destroy(db);
}

static void linked_ops_follow(fixture *f)
{
    epio_db *db = make_db(f, "db", NULL);
    tracked ops[4];
    epio_op *opening = epio_db_open(track(&ops[0]), db);
    epio_op *create = epio_db_execute(track(&ops[1]), db, "CREATE TABLE t(a, b)", NULL);
    epio_op *insert = epio_db_execute(track(&ops[2]), db, "INSERT INTO t VALUES(1, 2)", NULL);
    epio_op *closing = epio_db_close(track(&ops[3]), db, 0);
    (void)epio_link(insert, closing, EPIO_LINK_ALWAYS);
    (void)epio_link(create, insert, 0);
    epio_submit(epio_link(opening, create, 0));
    poll_until_done(f, &ops[3]);
    check(ops[0].result == 0 && ops[1].result == 0 && ops[2].result == 1 && ops[3].result == 0);
    epio_db_destroy(db);
}

#endif

/* ---- Threads ------------------------------------------------------------------------ */

#define THREADS 4
#define EACH 20

static void *perform_inserts(void *argument)
{
    epio_db *db = argument;
    epio_op op = EPIO_OP_INIT;
    for (int i = 0; i < EACH; i++) {
        require(epio_perform(epio_db_execute(&op, db, "INSERT INTO t VALUES(1, 1)", NULL)) == 1);
    }
    return NULL;
}

static void threads_perform(fixture *f)
{
    epio_db *db = open_db(f);
    test_thread threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        thread_start(&threads[i], perform_inserts, db);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
    check_result(rows_in(db, f, "1"), THREADS * EACH);
    close_db(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(statements_run, ON_ANY),
        FIXTURE_TEST(several_statements_are_one_transaction, ON_ANY),
        FIXTURE_TEST(what_follows_a_statement_counts, ON_ANY),
        FIXTURE_TEST(pragmas_take_nothing_away, ON_ANY),
        FIXTURE_TEST(scripts_may_be_long, ON_OS),
        FIXTURE_TEST(errors_are_reported, ON_ANY),
        FIXTURE_TEST(options_are_checked, ON_MEMORY_PERFORM),
        FIXTURE_TEST(opens_fail_with_reasons, ON_ANY),
        FIXTURE_TEST(the_life_of_a_database, ON_ANY),
        FIXTURE_TEST(connections_are_set_up, ON_ANY),
        FIXTURE_TEST(nothing_is_written_read_only, ON_ANY),
        FIXTURE_TEST(deadlines_end_the_wait_for_others, ON_ANY),
        FIXTURE_TEST(threads_perform, ON_ANY_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(others_are_awaited, ON_ANY_LOOP),
        FIXTURE_TEST(a_close_awaits_what_waits_for_others, ON_ANY_LOOP),
        FIXTURE_TEST(a_loop_is_closed_while_others_are_awaited, ON_OS | ON_MEMORY),
        FIXTURE_TEST(an_open_awaits_others, ON_ANY_LOOP),
        FIXTURE_TEST(ops_are_carried_out_in_order, ON_ANY_LOOP),
        FIXTURE_TEST(a_failed_open_refuses_what_follows, ON_ANY_LOOP),
        FIXTURE_TEST(what_runs_and_what_waits_is_cancelled, ON_ANY_LOOP),
        FIXTURE_TEST(a_close_awaits_or_cancels, ON_ANY_LOOP),
        FIXTURE_TEST(a_loop_is_closed_with_everything_in_flight, ON_OS | ON_MEMORY),
        FIXTURE_TEST(linked_ops_follow, ON_ANY_LOOP),
#endif
    };
    return FIXTURE_RUN("db", tests);
}
