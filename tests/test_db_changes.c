/* Notifications of what commits have changed. */
#include "db_cases.h"

#define ROOM 8u

static int64_t changes(fixture *f, epio_db *db, epio_change *found, size_t count)
{
    epio_op op = EPIO_OP_INIT;
    return fixture_result(f, epio_db_changes(&op, db, found, count));
}

static void check_change(const epio_change *one, uint32_t kind, const char *table, int64_t row_id)
{
    check_result(one->kind, kind);
    check_result(one->row_id, row_id);
    if (table == NULL) {
        check(one->table == NULL);
    } else {
        assert_string_equal(one->table, table);
    }
}

/* From here on they are kept: there is no first change yet, so the call has to be cancelled. */
static void ask_first(fixture *f, epio_db *db)
{
    epio_change found[1];
    epio_op op = {.timeout_ns = MILLISECOND};
    check_op(f, epio_db_changes(&op, db, found, 1), EPIO_ETIMEDOUT);
}

static epio_db *begin(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_run(f, db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE TABLE u(a INTEGER PRIMARY KEY)",
           0);
    db_run(f, db, "INSERT INTO t VALUES(1, 1)", 1);
    return db;
}

static void are_given_in_their_order(fixture *f)
{
    epio_change found[ROOM];
    epio_db *db = begin(f);
    ask_first(f, db);
    db_run(f, db, "INSERT INTO t VALUES(2, 2), (3, 3)", 2);
    db_run(f, db,
           "UPDATE t SET b = 5 WHERE a = 1; INSERT INTO u VALUES(7); DELETE FROM t WHERE a = 2", 3);
    check_result(changes(f, db, found, 2), 2);
    check_change(&found[0], EPIO_CHANGE_INSERT, "t", 2);
    check_change(&found[1], EPIO_CHANGE_INSERT, "t", 3);
    const char *name = found[0].table;
    check_result(changes(f, db, found, ROOM), 3);
    check_change(&found[0], EPIO_CHANGE_UPDATE, "t", 1);
    check_change(&found[1], EPIO_CHANGE_INSERT, "u", 7);
    check_change(&found[2], EPIO_CHANGE_DELETE, "t", 2);
    check(found[0].table == name);
    db_end(f, db);
}

static void are_those_of_commits(fixture *f)
{
    epio_change found[ROOM];
    epio_db *db = begin(f);
    ask_first(f, db);
    db_run(f, db, "INSERT INTO t VALUES(2, 2), (1, 1)", EPIO_ESQL); /* undone */
    db_run(f, db, "INSERT INTO t VALUES(4, 4); INSERT INTO t VALUES(4, 4)", EPIO_ESQL);
    db_run(f, db, "CREATE TEMP TABLE own(a); INSERT INTO own VALUES(1)", 1);
    db_run(f, db, "INSERT INTO t VALUES(9, 9)", 1);
    check_result(changes(f, db, found, ROOM), 1);
    check_change(&found[0], EPIO_CHANGE_INSERT, "t", 9);
    check_result(db_stats(db).commits >= 4, 1);
    db_end(f, db);
}

/* Those that wait get one commit each, in their order. */
static void wake_those_that_wait(fixture *f)
{
    epio_db *db = begin(f);
    epio_op ops[3] = {EPIO_OP_INIT};
    epio_change found[3][ROOM];
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_db_changes(&ops[i], db, found[i], ROOM));
    }
    fixture_settle(f);
    check(epio_op_pending(&ops[0]));
    epio_cancel(&ops[1]);
    check_result(epio_wait(&ops[1]), EPIO_ECANCELED);
    db_run(f, db, "INSERT INTO t VALUES(2, 2), (3, 3)", 2);
    check_result(epio_wait(&ops[0]), 2);
    db_run(f, db, "DELETE FROM t WHERE a = 3", 1);
    check_result(epio_wait(&ops[2]), 1);
    check_change(&found[2][0], EPIO_CHANGE_DELETE, "t", 3);
    db_end(f, db);
}

static void end_with_the_database(fixture *f)
{
    epio_db *db = begin(f);
    epio_op op = EPIO_OP_INIT;
    epio_change found[ROOM];
    epio_submit(epio_db_changes(&op, db, found, ROOM));
    db_end(f, db);
    check_result(epio_wait(&op), EPIO_ECANCELED);
}

/* More than are kept, in one commit and in several, become one that stands for all. */
static void many_become_one(fixture *f)
{
    static const char sql[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT "
        "40000) INSERT INTO u SELECT NULL FROM n";
    epio_change found[ROOM];
    epio_db *db = begin(f);
    ask_first(f, db);
    db_run(f, db, sql, 40000);
    check_result(changes(f, db, found, 1), 1);
    check_change(&found[0], EPIO_CHANGE_INSERT, "u", 1);
    db_run(f, db, sql, 40000); /* with what is left */
    db_run(f, db, "INSERT INTO t VALUES(2, 2)", 1);
    check_result(changes(f, db, found, ROOM), 1);
    check_change(&found[0], EPIO_CHANGE_MANY, NULL, 0);
    db_run(f, db, "INSERT INTO t VALUES(3, 3)", 1);
    check_result(changes(f, db, found, ROOM), 1);
    check_change(&found[0], EPIO_CHANGE_INSERT, "t", 3);
    db_run(f, db, "DELETE FROM u WHERE a > 0", 80000);
    check_result(changes(f, db, found, ROOM), 1);
    check_change(&found[0], EPIO_CHANGE_MANY, NULL, 0);
    db_end(f, db);
}

static void need_room(fixture *f)
{
    epio_change found[1];
    epio_db *db = begin(f);
    check_result(changes(f, db, found, 0), EPIO_EINVAL);
    check_result(changes(f, db, NULL, 1), EPIO_EINVAL);
    db_end(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(are_given_in_their_order, ON_ANY),
        FIXTURE_TEST(are_those_of_commits, ON_ANY),
        FIXTURE_TEST(wake_those_that_wait, ON_OS | ON_MEMORY),
        FIXTURE_TEST(end_with_the_database, ON_OS | ON_MEMORY),
        FIXTURE_TEST(many_become_one, ON_OS_PERFORM | ON_OS | ON_MEMORY),
        FIXTURE_TEST(need_room, ON_ANY),
    };
    return FIXTURE_RUN("changes of a database", tests);
}
