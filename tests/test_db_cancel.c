/* Ending statements of databases early: by cancels, deadlines, ends and closes, wherever they are.
 * What was not cancelled goes on, what follows works. EPIO_TEST_EFFORT makes more of it. Its ops
 * are any loop's: EPIO_TEST_ONCE. */
#include "support.h"

#include <epio/db.h>

/* ---- What the tests share ------------------------------------------------- */

static epio_db *open_db(fixture *f, epio_vfs *vfs)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_db_create(&db, vfs, fixture_path(f, "db"), NULL), 0);
    check_op(f, epio_db_open(&op, db), 0);
    return db;
}

static void close_db(fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_close(&op, db, 0), 0);
    epio_db_destroy(db);
}

static epio_rows *query(fixture *f, epio_db *db, const char *sql)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    check_op(f, epio_db_query(&op, db, &rows, sql, NULL), 0);
    return rows;
}

static int64_t next(fixture *f, epio_rows *rows, uint32_t batch)
{
    epio_op op = EPIO_OP_INIT;
    return fixture_result(f, epio_db_next(&op, rows, batch));
}

static void end(fixture *f, epio_rows *rows)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_end(&op, rows), 0);
}

static int64_t number(fixture *f, epio_db *db, const char *sql)
{
    epio_rows *rows = query(f, db, sql);
    check_result(next(f, rows, 1), 1);
    int64_t value = epio_rows_value(rows, 0, 0)->is.integer;
    check_result(next(f, rows, 1), 0);
    end(f, rows);
    return value;
}

/* The connections are as good as before. */
static void check_works(fixture *f, epio_db *db)
{
    epio_rows *rows[5]; /* more than there are readers, one after the other */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rows[i] = query(f, db, "VALUES(1), (2), (3)");
        check_result(next(f, rows[i], 10), 3);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_result(next(f, rows[i], 10), 0);
        end(f, rows[i]);
    }
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, "CREATE TABLE IF NOT EXISTS works(a)", NULL), 0);
}

/* A query without an end, which gives no row. */
#define ENDLESS                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"

/* ---- Deadlines ---------------------------------------------------------------- */

static void deadlines_end_statements(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    for (int i = 0; i < 3; i++) {
        epio_op op = EPIO_OP_INIT;
        epio_rows *rows = query(f, db, ENDLESS);
        op.timeout_ns = MILLISECOND;
        check_op(f, epio_db_next(&op, rows, 10), EPIO_ETIMEDOUT);
        check_op(f, epio_db_next(&op, rows, 10), EPIO_ETIMEDOUT); /* again: it has ended */
        end(f, rows);
        op.timeout_ns = MILLISECOND;
        check_op(f, epio_db_execute(&op, db, ENDLESS, NULL), EPIO_ETIMEDOUT);
        op.timeout_ns = 1000 * 1000 * MILLISECOND;
        check_op(f, epio_db_execute(&op, db, "SELECT 1", NULL), 0);
        check_works(f, db);
    }
    close_db(f, db);
}

/* All readers are taken. */
static void deadlines_end_waits(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .readers = 1, .ahead_bytes = 1};
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, "db"), &options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    epio_rows *holder = query(f, db, "VALUES(1), (2)");
    check_result(next(f, holder, 1), 1);
    epio_rows *rows = NULL;
    for (int i = 0; i < 3; i++) {
        op.timeout_ns = MILLISECOND;
        check_op(f, epio_db_query(&op, db, &rows, "SELECT 1", NULL), EPIO_ETIMEDOUT);
        check(rows == NULL);
    }
    check_result(next(f, holder, 1), 1);
    check_result(next(f, holder, 1), 0);
    check_result(number(f, db, "SELECT 17"), 17);
    end(f, holder);
    close_db(f, db);
}

/* ---- Cancels in the middle ------------------------------------------------------ */

typedef struct delivery {
    epio_op op;
    int count;
} delivery;

static void await(fixture *f, const delivery *one)
{
    while (one->count == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
}

static void run_for(fixture *f, uint64_t nanoseconds)
{
    epio_op op = EPIO_OP_INIT;
    check(epio_wait(epio_sleep(&op, f->vfs, nanoseconds)) >= 0);
}

/* Cancels at some moment: how long the op took then. */
static uint64_t cancel_one(fixture *f, epio_op *verb, delivery *one, random_source *random)
{
    one->count = 0;
    count_delivery(verb, &one->count);
    epio_submit(verb);
    run_for(f, random_between(random, 1, 3 * MILLISECOND));
    uint64_t start = system_monotonic_ns();
    epio_cancel(&one->op);
    await(f, one);
    return system_monotonic_ns() - start;
}

static void cancel_often(fixture *f, epio_db *db, const char *name, const char *sql)
{
    random_source random = {7};
    unsigned rounds = fixture_rounds(20);
    unsigned cancelled = 0;
    uint64_t latest[2] = {0};
    for (unsigned i = 0; i < rounds; i++) {
        delivery one = {.op = EPIO_OP_INIT};
        epio_rows *rows = query(f, db, sql);
        uint64_t took = cancel_one(f, epio_db_next(&one.op, rows, 1u << 30), &one, &random);
        check(one.op.result == EPIO_ECANCELED || one.op.result > 0);
        cancelled += one.op.result == EPIO_ECANCELED;
        check_result(next(f, rows, 1), one.op.result < 0 ? EPIO_ECANCELED : 0);
        end(f, rows);
        latest[0] = took > latest[0] ? took : latest[0];
        one.op = (epio_op)EPIO_OP_INIT;
        took = cancel_one(f, epio_db_execute(&one.op, db, sql, NULL), &one, &random);
        check(one.op.result == EPIO_ECANCELED || one.op.result == 0);
        latest[1] = took > latest[1] ? took : latest[1];
        check_result(number(f, db, "SELECT 23"), 23);
    }
    print_message("%s: %u of %u cancelled; a query ended after %.2f ms at most, an execute %.2f\n",
                  name, cancelled, rounds, (double)latest[0] / 1e6, (double)latest[1] / 1e6);
}

static void cancels_end_long_statements(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    char sql[300];
    unsigned rows = fixture_is_slow() ? 30000 : fixture_rounds(1) >= 10 ? 3000000 : 300000;
    (void)snprintf(sql, sizeof sql,
                   "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c);"
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
                   "INSERT INTO t SELECT i, i * 7919 %% 65521, 'text ' || i FROM n;",
                   rows);
    check_op(f, epio_db_execute(&op, db, sql, NULL), rows);
    cancel_often(f, db, "scan", "SELECT a, b, c FROM t");
    cancel_often(f, db, "count", "SELECT count(*) FROM t");
    cancel_often(f, db, "sort", "SELECT a, c FROM t ORDER BY b, c");
    cancel_often(f, db, "recursion", ENDLESS);
    cancel_often(f, db, "join", "SELECT count(*) FROM t x, t y WHERE x.b <> y.a");
    check_works(f, db);
    close_db(f, db);
}

/* ---- Ends ----------------------------------------------------------------------- */

static void rows_end_while_they_are_worked_out(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    random_source random = {11};
    for (unsigned i = 0; i < fixture_rounds(20); i++) {
        delivery one = {.op = EPIO_OP_INIT};
        epio_rows *rows = query(f, db, ENDLESS);
        epio_submit(count_delivery(epio_db_next(&one.op, rows, 10), &one.count));
        if (i % 2 != 0) {
            run_for(f, random_between(&random, 1, MILLISECOND));
        }
        end(f, rows);
        await(f, &one);
        check_result(one.op.result, EPIO_ECANCELED);
        check_result(number(f, db, "SELECT 5"), 5);
    }
    check_works(f, db);
    close_db(f, db);
}

static void one_batch_is_asked_for_at_a_time(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    delivery one = {.op = EPIO_OP_INIT};
    epio_rows *rows = query(f, db, ENDLESS);
    epio_submit(count_delivery(epio_db_next(&one.op, rows, 10), &one.count));
    check_result(next(f, rows, 10), EPIO_EINVAL);
    epio_cancel(&one.op);
    await(f, &one);
    check_result(one.op.result, EPIO_ECANCELED);
    check_result(next(f, rows, 10), EPIO_ECANCELED);
    end(f, rows);
    close_db(f, db);
}

/* A query of the same transaction is at a row, where SQLite's interrupt would find it. */
static void cancels_in_a_transaction_hit_one(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    epio_db *transaction;
    check_op(f, epio_db_begin(&op, db, &transaction, EPIO_DB_WRITE), 0);
    epio_rows *other = query(f, transaction,
                             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                             "i < 1000) SELECT i FROM n");
    for (unsigned i = 0; i < 20; i++) {
        delivery one = {.op = EPIO_OP_INIT};
        epio_rows *rows = NULL;
        check_result(next(f, other, 10), 10);
        if (i % 2 == 0) {
            rows = query(f, transaction, ENDLESS);
            (void)epio_db_next(&one.op, rows, 10);
        } else {
            (void)epio_db_execute(&one.op, transaction, ENDLESS, NULL);
        }
        epio_submit(count_delivery(&one.op, &one.count));
        run_for(f, i % 4 * MILLISECOND / 4 + 1);
        epio_cancel(&one.op);
        await(f, &one);
        check_result(one.op.result, EPIO_ECANCELED);
        check_result(next(f, other, 10), 10);
        if (rows != NULL) {
            check_result(next(f, rows, 1), EPIO_ECANCELED);
            end(f, rows);
        }
    }
    end(f, other);
    check_op(f, epio_db_commit(&op, transaction), 0);
    check_works(f, db);
    close_db(f, db);
}

static int64_t query_without_end(epio_db *transaction, uint64_t timeout)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    require(epio_perform(epio_db_query(&op, transaction, &rows, ENDLESS, NULL)) == 0 ||
            op.result == EPIO_ECANCELED || op.result == EPIO_ETIMEDOUT);
    if (rows == NULL) {
        return op.result;
    }
    op.timeout_ns = timeout;
    int64_t result = epio_perform(epio_db_next(&op, rows, 10));
    require(epio_perform(epio_db_end(&op, rows)) == 0);
    return result;
}

static int64_t never_ends(epio_db *transaction, void *user)
{
    (void)user;
    return query_without_end(transaction, 0);
}

static int64_t is_late(epio_db *transaction, void *user)
{
    (void)user;
    return query_without_end(transaction, MILLISECOND);
}

static void functions_are_cancelled(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    for (unsigned i = 0; i < 10; i++) {
        delivery one = {.op = EPIO_OP_INIT};
        epio_submit(
            count_delivery(epio_db_transaction(&one.op, db, never_ends, i % 2), &one.count));
        run_for(f, i * MILLISECOND / 4 + 1);
        epio_cancel(&one.op);
        await(f, &one);
        check_result(one.op.result, EPIO_ECANCELED);
        check_works(f, db);
    }
    close_db(f, db);
}

/* The function's own deadline, then one of an op in it. */
static void functions_have_deadlines(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    op.timeout_ns = MILLISECOND;
    check_op(f, epio_db_transaction(&op, db, never_ends, EPIO_DB_WRITE), EPIO_ETIMEDOUT);
    check_op(f, epio_db_transaction(&op, db, is_late, EPIO_DB_WRITE), EPIO_ETIMEDOUT);
    check_works(f, db);
    close_db(f, db);
}

/* ---- Closes ----------------------------------------------------------------------- */

static void closes_cancel(fixture *f)
{
    for (int i = 0; i < 3; i++) {
        epio_db *db = open_db(f, f->vfs);
        delivery ops[3] = {{.op = EPIO_OP_INIT}};
        epio_rows *rows[2] = {query(f, db, ENDLESS), query(f, db, "VALUES(1), (2)")};
        check_result(next(f, rows[1], 1), 1);
        epio_submit(count_delivery(epio_db_next(&ops[0].op, rows[0], 10), &ops[0].count));
        epio_submit(count_delivery(epio_db_execute(&ops[1].op, db, ENDLESS, NULL), &ops[1].count));
        epio_submit(
            count_delivery(epio_db_execute(&ops[2].op, db, "SELECT 1", NULL), &ops[2].count));
        if (i != 0) {
            run_for(f, MILLISECOND);
        }
        epio_op op = EPIO_OP_INIT;
        check_op(f, epio_db_close(&op, db, EPIO_DB_CANCEL), 0);
        for (int k = 0; k < 3; k++) {
            await(f, &ops[k]);
            check_result(ops[k].op.result, EPIO_ECANCELED);
        }
        check_result(next(f, rows[1], 1), EPIO_ECANCELED);
        end(f, rows[0]);
        end(f, rows[1]);
        epio_db_destroy(db);
    }
}

static void closes_wait(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    delivery one = {.op = EPIO_OP_INIT};
    epio_rows *rows = query(f, db,
                            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                            "i < 100000) SELECT i FROM n");
    epio_submit(count_delivery(epio_db_next(&one.op, rows, 60000), &one.count));
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_close(&op, db, 0), 0);
    await(f, &one);
    check_result(one.op.result, 60000);
    check_result(epio_rows_value(rows, 59999, 0)->is.integer, 60000);
    check_result(next(f, rows, 1), EPIO_ECANCELED);
    end(f, rows);
    epio_db_destroy(db);
}

/* With everything in flight. What is left is ended without the loop. */
static void loops_are_closed(fixture *f)
{
    for (unsigned i = 0; i < 10; i++) {
        epio_loop *loop;
        check_result(epio_loop_create(&loop, NULL), 0);
        epio_db *db;
        epio_op op = EPIO_OP_INIT;
        check_result(epio_db_create(&db, epio_loop_vfs(loop), fixture_path(f, "db"), NULL), 0);
        check_result(epio_wait(epio_db_open(&op, db)), 0);
        epio_rows *rows[6] = {NULL};
        delivery ops[8];
        memset(ops, 0, sizeof ops);
        for (int k = 0; k < 3; k++) {
            const char *sql = k == 0 ? "VALUES(1), (2), (3)" : ENDLESS;
            check_result(epio_wait(epio_db_query(&op, db, &rows[k], sql, NULL)), 0);
            epio_submit(count_delivery(epio_db_next(&ops[k].op, rows[k], 2), &ops[k].count));
        }
        for (int k = 3; k < 6; k++) {
            epio_submit(count_delivery(epio_db_query(&ops[k].op, db, &rows[k], "SELECT 1", NULL),
                                       &ops[k].count));
        }
        epio_submit(count_delivery(epio_db_execute(&ops[6].op, db, ENDLESS, NULL), &ops[6].count));
        epio_submit(
            count_delivery(epio_db_execute(&ops[7].op, db, "SELECT 1", NULL), &ops[7].count));
        if (i % 2 != 0) {
            check_result(epio_wait(epio_sleep(&op, epio_loop_vfs(loop), i * MILLISECOND)),
                         i * MILLISECOND);
        }
        check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
        for (int k = 0; k < 8; k++) {
            check_result(ops[k].count, 1);
            check(ops[k].op.result >= 0 || ops[k].op.result == EPIO_ECANCELED);
        }
        for (int k = 0; k < 6; k++) {
            if (rows[k] != NULL) {
                check_result(epio_perform(epio_db_end(&op, rows[k])), 0);
            }
        }
        check_result(epio_perform(epio_db_close(&op, db, 0)), 0);
        epio_db_destroy(db);
        epio_loop_destroy(loop);
    }
}

/* ---- A model ------------------------------------------------------------------------ */

/* Tasks that query, ask for batches of any size and end, or count in a table. Any of their ops may
 * be cancelled or have a deadline. Rows come in order; an op is cancelled only if it was asked to
 * be; what was counted is what succeeded. */
enum { TASKS = 7, WRITERS = 2 };

typedef struct model {
    fixture *f;
    epio_db *db;
    random_source random;
    int64_t counted;
    unsigned left; /* queries to begin */
    unsigned active;
    unsigned cancelled;
} model;

enum stage { IDLE, WRITES, QUERIES, ASKS, ENDS };

typedef struct task {
    epio_op op;
    model *model;
    enum stage stage;
    epio_rows *rows;
    int64_t last; /* row that it had */
    int64_t end;  /* how many there are */
    uint32_t batch;
    bool writer;
    bool may_fail; /* it was cancelled, or has a deadline */
    bool failed;   /* the query has ended that way */
    char sql[200];
} task;

static void task_goes_on(epio_op *op);

static uint64_t pick(model *m, uint64_t low, uint64_t high)
{
    return random_between(&m->random, low, high);
}

static void submit(task *one, enum stage stage, epio_op *op)
{
    model *m = one->model;
    one->stage = stage;
    op->done = task_goes_on;
    op->user = one;
    op->timeout_ns = pick(m, 0, 10) == 0 ? pick(m, 1, 2 * MILLISECOND) : 0;
    one->may_fail = op->timeout_ns != 0;
    epio_submit(op);
}

static void begin_task(task *one)
{
    model *m = one->model;
    if (m->left == 0) {
        one->stage = IDLE;
        m->active--;
        return;
    }
    m->left--;
    if (one->writer) {
        submit(one, WRITES,
               epio_db_execute(&one->op, m->db,
                               "UPDATE counter SET n = n + (SELECT sum(a) > 0 FROM t)", NULL));
        return;
    }
    one->rows = NULL;
    one->last = 0;
    one->failed = false;
    one->end = (int64_t)pick(m, 1, 30000);
    (void)snprintf(one->sql, sizeof one->sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %lld) "
                   "SELECT i, 'text ' || i FROM n%s",
                   (long long)one->end, pick(m, 0, 4) == 0 ? " ORDER BY i" : "");
    submit(one, QUERIES, epio_db_query(&one->op, m->db, &one->rows, one->sql, NULL));
}

static void ask(task *one)
{
    model *m = one->model;
    if (pick(m, 0, 12) == 0 || (one->failed && pick(m, 0, 2) == 0)) {
        submit(one, ENDS, epio_db_end(&one->op, one->rows));
        return;
    }
    one->batch = (uint32_t)pick(m, 1, pick(m, 0, 3) == 0 ? 20000 : 300);
    submit(one, ASKS, epio_db_next(&one->op, one->rows, one->batch));
}

static void check_batch(task *one)
{
    int64_t left = one->end - one->last;
    int64_t count = left < one->batch ? left : one->batch;
    check_result(one->op.result, count);
    for (uint32_t i = 0; i < count; i++) {
        char text[32];
        one->last++;
        (void)snprintf(text, sizeof text, "text %lld", (long long)one->last);
        check(epio_rows_value(one->rows, i, 0)->is.integer == one->last);
        check(strcmp(epio_rows_value(one->rows, i, 1)->is.text, text) == 0);
    }
}

static void task_goes_on(epio_op *op)
{
    task *one = op->user;
    bool cancelled = op->result == EPIO_ECANCELED || op->result == EPIO_ETIMEDOUT;
    check(!cancelled || one->may_fail || (one->failed && one->stage == ASKS));
    one->model->cancelled += cancelled && one->may_fail;
    switch (one->stage) {
    case WRITES:
        check_result(op->result, cancelled ? op->result : 1);
        one->model->counted += !cancelled;
        begin_task(one);
        return;
    case QUERIES:
        check_result(op->result, cancelled ? op->result : 0);
        check((one->rows == NULL) == cancelled);
        if (cancelled) {
            begin_task(one);
        } else {
            ask(one);
        }
        return;
    case ASKS:
        check(cancelled || !one->failed);
        one->failed = cancelled;
        if (!cancelled) {
            check_batch(one);
        }
        ask(one);
        return;
    default:
        check_result(op->result, 0);
        begin_task(one);
    }
}

static void cancel_some(model *m, task *tasks)
{
    task *one = &tasks[pick(m, 0, TASKS)];
    if (one->stage != IDLE && pick(m, 0, 4) == 0) {
        one->may_fail = true;
        epio_cancel(&one->op);
    }
}

static void others_are_not_cancelled(fixture *f)
{
    static task tasks[TASKS];
    model m = {.f = f, .db = open_db(f, f->vfs), .left = fixture_rounds(300), .active = TASKS};
    const char *seed = getenv("EPIO_TEST_SEED");
    m.random.state = seed != NULL ? strtoull(seed, NULL, 10) : system_monotonic_ns();
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)m.random.state);
    epio_op op = EPIO_OP_INIT;
    check_op(f,
             epio_db_execute(&op, m.db,
                             "CREATE TABLE t(a); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 "
                             "UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n;"
                             "CREATE TABLE counter(n); INSERT INTO counter VALUES(0)",
                             NULL),
             20001);
    memset(tasks, 0, sizeof tasks);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i].model = &m;
        tasks[i].writer = i < WRITERS;
        begin_task(&tasks[i]);
    }
    while (m.active != 0) {
        (void)epio_loop_poll(f->loop, pick(&m, 0, 100000), 1);
        cancel_some(&m, tasks);
    }
    print_message("%u cancelled\n", m.cancelled);
    check_result(number(f, m.db, "SELECT n FROM counter"), m.counted);
    check_works(f, m.db);
    close_db(f, m.db);
}

/* ---- Threads ------------------------------------------------------------------------ */

typedef struct performer {
    epio_db *db;
    unsigned number;
    unsigned rounds;
    int64_t counted;
} performer;

static void perform_query(const performer *one, unsigned round)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    require(epio_perform(epio_db_query(&op, one->db, &rows,
                                       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                       "FROM n WHERE i < 3000) SELECT i FROM n",
                                       NULL)) == 0);
    int64_t expected = 0;
    for (;;) {
        int64_t count = epio_perform(epio_db_next(&op, rows, 100 + round));
        require(count >= 0);
        for (uint32_t i = 0; i < count; i++) {
            require(epio_rows_value(rows, i, 0)->is.integer == ++expected);
        }
        if (count == 0) {
            break;
        }
    }
    require(expected == 3000);
    require(epio_perform(epio_db_end(&op, rows)) == 0);
}

static void perform_late_query(const performer *one)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    op.timeout_ns = 1000 * 1000 * MILLISECOND;
    require(epio_perform(epio_db_query(&op, one->db, &rows, ENDLESS, NULL)) == 0);
    op.timeout_ns = MILLISECOND / 2;
    require(epio_perform(epio_db_next(&op, rows, 1)) == EPIO_ETIMEDOUT);
    require(epio_perform(epio_db_end(&op, rows)) == 0);
    op.timeout_ns = MILLISECOND / 2;
    require(epio_perform(epio_db_execute(&op, one->db, ENDLESS, NULL)) == EPIO_ETIMEDOUT);
}

static void *performs(void *argument)
{
    performer *one = argument;
    for (unsigned i = 0; i < one->rounds; i++) {
        epio_op op = EPIO_OP_INIT;
        op.timeout_ns = (i % 2) * MILLISECOND;
        int64_t result =
            epio_perform(epio_db_execute(&op, one->db, "UPDATE counter SET n = n + 1", NULL));
        require(result == 1 || (i % 2 == 1 && result == EPIO_ETIMEDOUT));
        one->counted += result == 1;
        if (i % 3 == one->number % 3) {
            perform_late_query(one);
        }
        perform_query(one, i);
    }
    return NULL;
}

static void threads_perform(fixture *f)
{
    enum { THREADS = 6 };
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    check_op(
        f, epio_db_execute(&op, db, "CREATE TABLE counter(n); INSERT INTO counter VALUES(0)", NULL),
        1);
    performer all[THREADS];
    test_thread threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        all[i] = (performer){.db = db, .number = i, .rounds = fixture_rounds(10)};
        thread_start(&threads[i], performs, &all[i]);
    }
    int64_t counted = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
        counted += all[i].counted;
    }
    check_result(number(f, db, "SELECT n FROM counter"), counted);
    close_db(f, db);
}

/* It goes from a reader to the writer after the close has arrived. */
static void a_close_waits_for_queries_that_write(fixture *f)
{
    for (unsigned i = 0; i < 5; i++) {
        epio_db *db = open_db(f, f->vfs);
        epio_op op = EPIO_OP_INIT;
        check_op(f, epio_db_execute(&op, db, "CREATE TABLE IF NOT EXISTS t(a)", NULL), 0);
        delivery ops[2] = {{.op = EPIO_OP_INIT}, {.op = EPIO_OP_INIT}};
        epio_rows *rows = NULL;
        epio_submit(count_delivery(
            epio_db_query(&ops[0].op, db, &rows, "INSERT INTO t VALUES(1) RETURNING a", NULL),
            &ops[0].count));
        epio_submit(count_delivery(epio_db_close(&ops[1].op, db, 0), &ops[1].count));
        await(f, &ops[0]);
        await(f, &ops[1]);
        check_result(ops[0].op.result, 0);
        check_result(ops[1].op.result, 0);
        check_op(f, epio_db_end(&op, rows), 0);
        epio_db_destroy(db);
    }
}

/* ---- What statements have written ------------------------------------------------- */

#define INSERT_MANY                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "             \
    "INSERT INTO t SELECT i FROM n RETURNING a"

#define ENDLESS_ROWS                                                                               \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

/* A batch is worked out ahead as the query ends: its end commits, whatever that has come to. */
static void ends_keep_what_was_written(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, "CREATE TABLE t(a)", NULL), 0);
    random_source random = {13};
    for (unsigned i = 1; i <= fixture_rounds(40); i++) {
        epio_rows *rows = query(f, db, INSERT_MANY);
        check_result(next(f, rows, 9000), 9000);
        run_for(f, random_between(&random, 1, MILLISECOND));
        end(f, rows);
        check_result(number(f, db, "SELECT count(*) FROM t"), i * 20000);
    }
    close_db(f, db);
}

static void cancelled_queries_have_written_nothing(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, "CREATE TABLE t(a)", NULL), 0);
    random_source random = {17};
    int64_t expected = 0;
    for (unsigned i = 0; i < fixture_rounds(20); i++) {
        delivery one = {.op = EPIO_OP_INIT};
        epio_rows *rows = query(f, db, INSERT_MANY);
        check_result(next(f, rows, 10), 10);
        epio_submit(count_delivery(epio_db_next(&one.op, rows, 18000), &one.count));
        if (i % 2 != 0) {
            run_for(f, random_between(&random, 1, MILLISECOND));
        }
        epio_cancel(&one.op);
        await(f, &one);
        check(one.op.result == EPIO_ECANCELED || one.op.result == 18000);
        expected += one.op.result == EPIO_ECANCELED ? 0 : 20000;
        end(f, rows);
        check_result(number(f, db, "SELECT count(*) FROM t"), expected);
    }
    close_db(f, db);
}

/* The end of a query interrupts its batch: not the op that came before it. */
static void ops_before_an_end_are_not_interrupted(fixture *f)
{
    epio_db *db = open_db(f, f->vfs);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, "CREATE TABLE t(a)", NULL), 0);
    for (unsigned i = 1; i <= fixture_rounds(20); i++) {
        delivery ops[2] = {{.op = EPIO_OP_INIT}, {.op = EPIO_OP_INIT}};
        epio_db *transaction = NULL;
        check_op(f, epio_db_begin(&op, db, &transaction, EPIO_DB_WRITE), 0);
        epio_rows *rows = query(f, transaction, ENDLESS_ROWS);
        check_result(next(f, rows, 10000), 10000);
        epio_submit(count_delivery(
            epio_db_execute(&ops[0].op, transaction, "INSERT INTO t VALUES(1)", NULL),
            &ops[0].count));
        epio_submit(count_delivery(epio_db_end(&ops[1].op, rows), &ops[1].count));
        await(f, &ops[0]);
        await(f, &ops[1]);
        check_result(ops[0].op.result, 1);
        check_result(ops[1].op.result, 0);
        check_op(f, epio_db_commit(&op, transaction), 0);
        check_result(number(f, db, "SELECT count(*) FROM t"), i);
    }
    close_db(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(deadlines_end_statements, ON_ANY),
        FIXTURE_TEST(deadlines_end_waits, ON_ANY),
        FIXTURE_TEST(cancels_end_long_statements, ON_OS),
        FIXTURE_TEST(rows_end_while_they_are_worked_out, ON_ANY_LOOP),
        FIXTURE_TEST(one_batch_is_asked_for_at_a_time, ON_ANY_LOOP),
        FIXTURE_TEST(cancels_in_a_transaction_hit_one, ON_ANY_LOOP),
        FIXTURE_TEST(functions_are_cancelled, ON_ANY_LOOP),
        FIXTURE_TEST(functions_have_deadlines, ON_ANY),
        FIXTURE_TEST(ends_keep_what_was_written, ON_ANY_LOOP),
        FIXTURE_TEST(cancelled_queries_have_written_nothing, ON_ANY_LOOP),
        FIXTURE_TEST(ops_before_an_end_are_not_interrupted, ON_ANY_LOOP),
        FIXTURE_TEST(closes_cancel, ON_ANY_LOOP),
        FIXTURE_TEST(a_close_waits_for_queries_that_write, ON_ANY_LOOP),
        FIXTURE_TEST(closes_wait, ON_ANY_LOOP),
        FIXTURE_TEST(loops_are_closed, ON_OS),
        FIXTURE_TEST(others_are_not_cancelled, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(threads_perform, ON_ANY_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("db_cancel", tests);
}
