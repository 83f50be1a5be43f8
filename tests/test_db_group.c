/* Transactions that share a commit: what each of them comes to when others fail, are cancelled, or
 * let SQLite undo all; a model of random ones; many threads. EPIO_TEST_SEED repeats the model. Its
 * ops are any loop's: EPIO_TEST_ONCE. */
#include "database.h"

#include <epio/db.h>
#include <stdatomic.h>

#define GROUP 16
#define SECOND (1000 * MILLISECOND)

static atomic_int marks;

/* The SQL function mark(x): x, and counts. */
static void mark(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    atomic_fetch_add(&marks, 1);
    sqlite3_result_value(context, values[0]);
}

static int add_mark(sqlite3 *connection, void *user)
{
    (void)user;
    return sqlite3_create_function(connection, "mark", 1, SQLITE_UTF8, NULL, mark, NULL, NULL);
}

static epio_db *open_db(fixture *f, const char *setup, uint64_t group_ns)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options,
                               .group = GROUP,
                               .group_ns = group_ns,
                               .setup = setup,
                               .configure = add_mark};
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, "db"), &options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    check_op(f, epio_db_execute(&op, db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)", NULL), 0);
    return db;
}

static void close_db(fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_close(&op, db, 0), 0);
    epio_db_destroy(db);
}

static void check_number(fixture *f, const char *sql, int64_t number)
{
    databases_begin(f);
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "db"));
    check_result(database_number(database, sql), number);
    check_integrity(database);
    database_close(database);
    databases_end(f);
}

static uint64_t commits(const epio_db *db)
{
    epio_db_stats stats = {.size = sizeof stats};
    check_result(epio_db_get_stats(db, &stats), 0);
    return stats.commits;
}

/* ---- A group ------------------------------------------------------------------- */

/* Ops that wait while `holder` has the writer, and then are one group. */
typedef struct scene {
    fixture *f;
    epio_db *db;
    epio_db *holder;
    epio_op ops[GROUP];
    size_t count;
    uint64_t commits;
} scene;

static void scene_begin(scene *all, fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    memset(all, 0, sizeof *all);
    all->f = f;
    all->db = db;
    check_op(f, epio_db_begin(&op, db, &all->holder, EPIO_DB_WRITE), 0);
    atomic_store(&marks, 0);
}

static epio_op *add_sql(scene *all, const char *sql)
{
    epio_op *op = &all->ops[all->count++];
    epio_submit(epio_db_execute(op, all->db, sql, NULL));
    return op;
}

static epio_op *add_function(scene *all, epio_db_function *function, void *user)
{
    epio_op *op = &all->ops[all->count++];
    op->user = user;
    epio_submit(epio_db_transaction(op, all->db, function, EPIO_DB_WRITE));
    return op;
}

static void scene_run(scene *all)
{
    epio_op op = EPIO_OP_INIT;
    all->commits = commits(all->db);
    check_op(all->f, epio_db_rollback(&op, all->holder), 0);
}

static void scene_end(scene *all, uint64_t expected)
{
    for (size_t i = 0; i < all->count; i++) {
        (void)epio_wait(&all->ops[i]);
    }
    check_result(commits(all->db) - all->commits, expected);
}

static int64_t perform(epio_db *transaction, const char *sql)
{
    epio_op op = EPIO_OP_INIT;
    return epio_perform(epio_db_execute(&op, transaction, sql, NULL));
}

typedef struct function_plan {
    const char *sql;
    int64_t result;
    int calls;
} function_plan;

static int64_t follow_plan(epio_db *transaction, void *user)
{
    function_plan *plan = user;
    plan->calls++;
    require(perform(transaction, plan->sql) == 1);
    return plan->result;
}

/* ---- Tests ----------------------------------------------------------------------- */

static void those_that_wait_share_a_commit(fixture *f)
{
    scene all;
    epio_db *db = open_db(f, NULL, 0);
    scene_begin(&all, f, db);
    for (int i = 0; i < GROUP; i++) {
        (void)add_sql(&all, i % 2 == 0 ? "INSERT INTO t(b) VALUES(1)"
                                       : "INSERT INTO t(b) VALUES(1); UPDATE t SET b = b + 1");
    }
    scene_run(&all);
    scene_end(&all, 1);
    for (int i = 0; i < GROUP; i++) {
        check_result(all.ops[i].result, i % 2 == 0 ? 1 : i + 2);
    }
    close_db(f, db);
    check_number(f, "SELECT count(*) FROM t", GROUP);
}

static void a_failed_member_fails_alone(fixture *f)
{
    scene all;
    function_plan good = {.sql = "INSERT INTO t VALUES(20, 'f')", .result = 7};
    function_plan bad = {.sql = "INSERT INTO t VALUES(21, 'f')", .result = EPIO_ENOENT};
    epio_db *db = open_db(f, NULL, 0);
    for (int round = 0; round < 2; round++) { /* in the second each has a savepoint at once */
        scene_begin(&all, f, db);
        (void)add_sql(&all, "INSERT INTO t VALUES(1, 'one')");
        (void)add_sql(&all, "INSERT INTO t VALUES(2, 'x'); INSERT INTO t VALUES(1, 'again')");
        (void)add_sql(&all, "INSERT OR FAIL INTO t VALUES(3, 'x'), (1, 'again'), (4, 'x')");
        (void)add_sql(&all, "INSERT OR ROLLBACK INTO t VALUES(1, 'again')");
        (void)add_sql(&all, "INSERT INTO missing VALUES(1)");
        (void)add_function(&all, follow_plan, &good);
        (void)add_function(&all, follow_plan, &bad);
        (void)add_sql(&all, "INSERT INTO t VALUES(2, 'two')");
        scene_run(&all);
        scene_end(&all, 1);
        static const int64_t results[] = {1,         EPIO_ESQL, EPIO_ESQL,   EPIO_ESQL,
                                          EPIO_ESQL, 7,         EPIO_ENOENT, 1};
        for (size_t i = 0; i < all.count; i++) {
            check_result(all.ops[i].result, results[i]);
        }
        check_result(epio_db_error_code(&all.ops[2]), SQLITE_CONSTRAINT_PRIMARYKEY);
        check_op(f, epio_db_execute(&all.ops[0], db, "DELETE FROM t", NULL), 3);
    }
    check_result(good.calls, 2);
    check_result(bad.calls, 2);
    close_db(f, db);
}

/* A statement that has begun to write, and does not end by itself. */
#define ENDLESS                                                                                    \
    "INSERT INTO t SELECT mark(i), 'endless' FROM "                                                \
    "(WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"

static void wait_for_marks(int count)
{
    uint64_t deadline = system_monotonic_ns() + 60 * SECOND;
    while (atomic_load(&marks) < count) {
        check(system_monotonic_ns() < deadline);
        sleep_us(100);
    }
}

static void an_interrupted_member_fails_alone(fixture *f)
{
    scene all;
    function_plan plan = {.sql = "INSERT INTO t VALUES(2, 'f')", .result = 0};
    epio_db *db = open_db(f, NULL, 0);
    scene_begin(&all, f, db);
    (void)add_sql(&all, "INSERT INTO t VALUES(1, 'one')");
    (void)add_function(&all, follow_plan, &plan);
    epio_op *endless = add_sql(&all, ENDLESS);
    (void)add_sql(&all, "INSERT INTO t VALUES(3, 'three')");
    scene_run(&all);
    wait_for_marks(10);
    epio_cancel(&all.ops[0]); /* waits for the commit alone: it cannot be undone */
    epio_cancel(endless);
    scene_end(&all, 1);
    check_result(endless->result, EPIO_ECANCELED);
    check_result(all.ops[0].result, 1);
    check_result(all.ops[1].result, 0);
    check_result(all.ops[3].result, 1);
    check_result(plan.calls, 2);
    close_db(f, db);
    check_number(f, "SELECT sum(a) FROM t", 1 + 2 + 3);
}

static void deadlines_are_each_ones_own(fixture *f)
{
    scene all;
    epio_db *db = open_db(f, NULL, 0);
    scene_begin(&all, f, db);
    all.ops[0].timeout_ns = 1;
    (void)add_sql(&all, "INSERT INTO t VALUES(1, 'late before it ran')");
    (void)add_sql(&all, "INSERT INTO t VALUES(2, 'two')");
    check_result(epio_wait(&all.ops[0]), EPIO_ETIMEDOUT);
    all.ops[2].timeout_ns = 50 * MILLISECOND;
    (void)add_sql(&all, ENDLESS);
    epio_op *cancelled = add_sql(&all, "INSERT INTO t VALUES(3, 'cancelled before it ran')");
    (void)add_sql(&all, "INSERT INTO t VALUES(4, 'four')");
    epio_cancel(cancelled);
    scene_run(&all);
    scene_end(&all, 1);
    check_result(all.ops[1].result, 1);
    check_result(all.ops[2].result, EPIO_ETIMEDOUT);
    check_result(all.ops[3].result, EPIO_ECANCELED);
    check_result(all.ops[4].result, 1);
    close_db(f, db);
    check_number(f, "SELECT sum(a) FROM t", 2 + 4);
}

static void a_full_database_fails_one(fixture *f)
{
    scene all;
    epio_db *db = open_db(f, "PRAGMA max_page_count=10", 0);
    scene_begin(&all, f, db);
    (void)add_sql(&all, "INSERT INTO t VALUES(1, 'one')");
    (void)add_sql(&all, "INSERT INTO t VALUES(2, zeroblob(1000000))");
    (void)add_sql(&all, "INSERT INTO t VALUES(3, 'three')");
    (void)add_sql(&all, "INSERT INTO t VALUES(4, 'x'), (5, zeroblob(1000000))");
    scene_run(&all);
    scene_end(&all, 1);
    check_result(all.ops[0].result, 1);
    check_result(all.ops[1].result, EPIO_ENOSPC);
    check_result(all.ops[2].result, 1);
    check_result(all.ops[3].result, EPIO_ENOSPC);
    close_db(f, db);
    check_number(f, "SELECT sum(a) FROM t", 1 + 3);
}

/* A constraint that only the commit would check. */
static void a_deferred_constraint_fails_one(fixture *f)
{
    scene all;
    epio_db *db = open_db(f, "PRAGMA foreign_keys=1", 0);
    epio_op op = EPIO_OP_INIT;
    check_op(f,
             epio_db_execute(
                 &op, db, "CREATE TABLE u(a REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)", NULL),
             0);
    scene_begin(&all, f, db);
    (void)add_sql(&all, "INSERT INTO t VALUES(1, 'one')");
    (void)add_sql(&all, "INSERT INTO u VALUES(9)");
    (void)add_sql(&all, "INSERT INTO u VALUES(7); INSERT INTO t VALUES(7, 'seven')");
    scene_run(&all);
    scene_end(&all, 1);
    check_result(all.ops[0].result, 1);
    check_result(all.ops[1].result, EPIO_ESQL);
    check_result(epio_db_error_code(&all.ops[1]), SQLITE_CONSTRAINT_FOREIGNKEY);
    check_result(all.ops[2].result, 2);
    close_db(f, db);
    check_number(f, "SELECT sum(a) FROM t", 1 + 7);
}

/* What a failed member has changed is not given to those who ask for changes. */
static void only_what_is_committed_is_noticed(fixture *f)
{
    scene all;
    epio_change changes[8];
    epio_op op = EPIO_OP_INIT;
    epio_db *db = open_db(f, NULL, 0);
    epio_submit(epio_db_changes(&op, db, changes, 8));
    for (int round = 0; round < 2; round++) { /* in the second each has a savepoint at once */
        scene_begin(&all, f, db);
        (void)add_sql(&all, "INSERT OR REPLACE INTO t VALUES(1, 'one')");
        (void)add_sql(&all, "INSERT INTO t VALUES(2, 'x'); INSERT INTO t VALUES(1, 'again')");
        (void)add_sql(&all, "INSERT OR REPLACE INTO t VALUES(3, 'three')");
        scene_run(&all);
        scene_end(&all, 1);
        check_result(epio_wait(&op), 2);
        check_result(changes[0].row_id, 1);
        check_result(changes[1].row_id, 3);
        epio_submit(epio_db_changes(&op, db, changes, 8));
    }
    epio_db *outer = NULL;
    epio_db *inner = NULL;
    check_op(f, epio_db_begin(&all.ops[0], db, &outer, EPIO_DB_WRITE), 0);
    check_op(f, epio_db_execute(&all.ops[0], outer, "INSERT INTO t VALUES(4, 'four')", NULL), 1);
    check_op(f, epio_db_begin(&all.ops[0], outer, &inner, EPIO_DB_WRITE), 0);
    check_op(f, epio_db_execute(&all.ops[0], inner, "INSERT INTO t VALUES(5, 'x')", NULL), 1);
    check_op(f, epio_db_rollback(&all.ops[0], inner), 0);
    check_op(f, epio_db_commit(&all.ops[0], outer), 0);
    check_result(epio_wait(&op), 1);
    check_result(changes[0].row_id, 4);
    close_db(f, db);
}

/* What cannot share ends the group; the order of the requests stays. */
static void groups_keep_the_order(fixture *f)
{
    scene all;
    epio_db *db = open_db(f, NULL, 0);
    epio_db *handle = NULL;
    epio_op op = EPIO_OP_INIT;
    scene_begin(&all, f, db);
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('a')");
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('b')");
    (void)add_sql(&all, "PRAGMA user_version=5");
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('c')");
    epio_submit(epio_db_begin(&op, db, &handle, EPIO_DB_WRITE));
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('e')");
    scene_run(&all);
    check_result(epio_wait(&op), 0);
    check_op(f, epio_db_execute(&op, handle, "INSERT INTO t(b) VALUES('d')", NULL), 1);
    check_op(f, epio_db_commit(&op, handle), 0);
    scene_end(&all, 5);
    close_db(f, db);
    check_number(f, "SELECT group_concat(b, '') = 'abcde' FROM (SELECT b FROM t ORDER BY a)", 1);
}

/* The second waits for the first's group to have a member more, as there were two before. */
static void a_group_waits_for_others(fixture *f)
{
    scene all;
    epio_db *db = open_db(f, NULL, 3600 * SECOND);
    scene_begin(&all, f, db);
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('a')");
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('b')");
    scene_run(&all);
    scene_end(&all, 1);
    uint64_t before = commits(db);
    all.count = 0;
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('c')");
    sleep_us(1000);
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('d')");
    check_result(epio_wait(&all.ops[0]), 1);
    check_result(epio_wait(&all.ops[1]), 1);
    check_result(commits(db) - before, 1);
    (void)add_sql(&all, "INSERT INTO t(b) VALUES('e')"); /* a close does not wait for others */
    close_db(f, db);
    check_result(epio_wait(&all.ops[2]), 1);
    check_number(f, "SELECT count(*) FROM t", 5);
}

/* ---- The model ---------------------------------------------------------------------- */

static const char model_long[] =
    "INSERT INTO t SELECT %lld + i * 1000000, 'model' FROM (WITH RECURSIVE n(i) AS (SELECT 0 "
    "UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n)";

enum { MODEL_OPS = 24, MODEL_KINDS = 8 };

typedef struct model_op {
    epio_op op;
    uint32_t kind;
    int64_t id;
    char sql[160];
} model_op;

static int64_t model_function(epio_db *transaction, void *user)
{
    model_op *one = user;
    if (perform(transaction, one->sql) != 1) {
        return EPIO_EIO;
    }
    return one->kind % 2 == 0 ? 1 : EPIO_ENOENT;
}

/* Each writes `id` if it succeeds, and never anything else. */
static void model_submit(model_op *one, epio_db *db, random_source *random)
{
    static const char *const sql[MODEL_KINDS] = {
        "INSERT INTO t VALUES(%lld, 'model')",
        "INSERT INTO t VALUES(%lld, 'model'); INSERT INTO t VALUES(1, 'twice')",
        "INSERT OR FAIL INTO t VALUES(%lld, 'model'), (1, 'twice')",
        "INSERT OR ROLLBACK INTO t VALUES(%lld, 'model'), (1, 'twice')",
        model_long,
        "INSERT INTO t VALUES(%lld, zeroblob(4000000))",
    };
    one->op = (epio_op)EPIO_OP_INIT;
    one->op.user = one;
    one->kind = (uint32_t)random_between(random, 0, MODEL_KINDS + 8);
    one->kind = one->kind < MODEL_KINDS ? one->kind : 0;
    const char *format = sql[one->kind < 6 ? one->kind : 0];
    (void)snprintf(one->sql, sizeof one->sql, format, (long long)one->id);
    if (one->kind == 4) {
        one->op.timeout_ns = random_between(random, 1, 3 * MILLISECOND);
    }
    if (one->kind < 6) {
        epio_submit(epio_db_execute(&one->op, db, one->sql, NULL));
    } else {
        epio_submit(epio_db_transaction(&one->op, db, model_function, EPIO_DB_WRITE));
    }
}

static bool model_may_be(const model_op *one)
{
    switch (one->op.result) {
    case 1:
        return one->kind == 0 || one->kind == 6;
    case EPIO_ECANCELED:
        return true; /* some are cancelled */
    case EPIO_ESQL:
        return one->kind >= 1 && one->kind <= 3;
    case EPIO_ETIMEDOUT:
    case EPIO_ENOSPC:
        return one->kind == 4 || (one->kind == 5 && one->op.result == EPIO_ENOSPC);
    case EPIO_ENOENT:
        return one->kind == 7;
    case EPIO_EIO:
        return one->kind >= 6; /* its statement was cancelled */
    default:
        return false;
    }
}

/* Reaps one: it has the result of its kind, and is counted if it is committed. */
static int64_t model_reap(model_op *one)
{
    int64_t result = epio_wait(&one->op);
    if (!model_may_be(one)) {
        print_error("%s (%d): \"%s\"\n", epio_error_name(result), epio_db_error_code(&one->op),
                    one->sql);
    }
    check(model_may_be(one));
    return result == 1 ? one->id : 0;
}

static void random_groups_agree_with_a_model(fixture *f)
{
    static model_op ops[MODEL_OPS];
    const char *given = getenv("EPIO_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : system_monotonic_ns();
    random_source random = {.state = seed};
    unsigned rounds = fixture_rounds(300);
    int64_t sum = 1;
    int64_t count = 1;
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    epio_db *db = open_db(f, "PRAGMA max_page_count=450", 0);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, "INSERT INTO t VALUES(1, 'model')", NULL), 1);
    for (unsigned i = 0; i < rounds + MODEL_OPS; i++) {
        model_op *one = &ops[i % MODEL_OPS];
        if (i >= MODEL_OPS) {
            int64_t id = model_reap(one);
            sum += id;
            count += id != 0;
        }
        if (i >= rounds) {
            one->op = (epio_op)EPIO_OP_INIT;
            one->id = 0;
            continue;
        }
        one->id = 100 + (int64_t)i;
        model_submit(one, db, &random);
        if (random_between(&random, 0, 20) == 0) {
            epio_cancel(&ops[random_between(&random, 0, i < MODEL_OPS ? i + 1 : MODEL_OPS)].op);
        }
    }
    close_db(f, db);
    check_number(f, "SELECT sum(a) FROM t", sum);
    check_number(f, "SELECT count(*) FROM t WHERE b = 'model'", count);
}

/* ---- Threads ----------------------------------------------------------------------------- */

typedef struct thread_plan {
    epio_db *db;
    unsigned rounds;
    bool performs;
} thread_plan;

static void *insert_rows(void *argument)
{
    thread_plan *plan = argument;
    for (unsigned i = 0; i < plan->rounds; i++) {
        epio_op op = {.timeout_ns = i % 4 == 3 ? 1 : 0};
        (void)epio_db_execute(&op, plan->db, "INSERT INTO t(b) VALUES('thread')", NULL);
        int64_t result = plan->performs ? epio_perform(&op) : epio_wait(&op);
        require(result == 1 || (i % 4 == 3 && result == EPIO_ETIMEDOUT));
    }
    return NULL;
}

/* Some perform, some wait for the loop, which this thread runs. */
static void threads_share_commits(fixture *f)
{
    test_thread threads[6];
    epio_db *db = open_db(f, NULL, 0);
    thread_plan plans[2] = {{.db = db, .rounds = fixture_rounds(40), .performs = true},
                            {.db = db, .rounds = fixture_rounds(40), .performs = f->loop == NULL}};
    for (size_t i = 0; i < 6; i++) {
        thread_start(&threads[i], insert_rows, &plans[i % 2]);
    }
    for (size_t i = 0; i < 6;) {
        if (thread_try_join(threads[i])) {
            i++;
        } else if (f->loop != NULL) {
            (void)epio_loop_poll(f->loop, MILLISECOND, 100);
        } else {
            sleep_us(1000);
        }
    }
    close_db(f, db);
    databases_begin(f);
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "db"));
    check(database_number(database, "SELECT count(*) FROM t") >= 6 * (plans[0].rounds / 4 * 3));
    database_close(database);
    databases_end(f);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(those_that_wait_share_a_commit, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(a_failed_member_fails_alone, ON_OS | ON_MEMORY),
        FIXTURE_TEST(an_interrupted_member_fails_alone, ON_OS | ON_MEMORY),
        FIXTURE_TEST(deadlines_are_each_ones_own, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_full_database_fails_one, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_deferred_constraint_fails_one, ON_OS | ON_MEMORY),
        FIXTURE_TEST(only_what_is_committed_is_noticed, ON_OS | ON_MEMORY),
        FIXTURE_TEST(groups_keep_the_order, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_group_waits_for_others, ON_OS | ON_MEMORY),
        FIXTURE_TEST(random_groups_agree_with_a_model, ON_OS | ON_MEMORY),
        FIXTURE_TEST(threads_share_commits, ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("db_group", tests);
}
