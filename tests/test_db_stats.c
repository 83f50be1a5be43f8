/* The statistics of a database, and its readers: made on demand, closed when they are unused. Its
 * ops are any loop's: EPIO_TEST_ONCE. */
#include "db_cases.h"

#define READERS 3

/* ---- Functions of transactions -------------------------------------------- */

static int64_t reads(epio_db *transaction, void *user)
{
    epio_op op = EPIO_OP_INIT;
    (void)user;
    return epio_perform(epio_db_execute(&op, transaction, "SELECT count(*) FROM t", NULL));
}

/* On a reader, and until the semaphore lets it. */
static int64_t reads_until_released(epio_db *transaction, void *user)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = reads(transaction, NULL);
    (void)epio_perform(epio_acquire(&op, epio_os_vfs(), user, 1));
    return result;
}

static epio_op *snapshot(epio_op *op, epio_db *db, epio_semaphore *until)
{
    epio_db_function *function = until != NULL ? reads_until_released : reads;
    op->user = until;
    return epio_db_transaction(op, db, function, EPIO_DB_SNAPSHOT);
}

/* ---- Tests -------------------------------------------------------------------- */

static void count_what_was_done(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    epio_op op = EPIO_OP_INIT;
    db_fill(f, db, 5, 10);
    epio_db_stats before = db_stats(db);
    check(before.statements == 6 && before.commits == 6 && before.transactions == 6);
    check(before.cache_hits == 4 && before.opened == 1 && before.failed == 0);
    db_run(f, db, "INSERT INTO t(a) VALUES(1)", EPIO_ESQL);
    db_run(f, db, "SELECT * FROM missing", EPIO_ESQL);
    db_run(f, db, "SELECT * FROM t", 0);
    db_run(f, db, "INSERT INTO t(b) VALUES(1); INSERT INTO t(b) VALUES(2)", 2);
    epio_db_stats after = db_stats(db);
    check(after.failed == 2);
    check(after.commits == 7 && after.transactions == 7);
    check_op(f, snapshot(&op, db, NULL), 0);
    check(db_stats(db).commits == 7 && db_stats(db).opened == 2);
    check(db_stats(db).readers_now == 1 && db_stats(db).readers_busy == 0);
    check(db_stats(db).waiting_now == 0);
    db_end(f, db);
}

static void need_a_size(fixture *f)
{
    epio_db_stats stats = {.size = 8};
    epio_db *db;
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, "db"), NULL), 0);
    check_result(epio_db_get_stats(db, &stats), EPIO_EINVAL);
    check_result(epio_db_get_stats(db, NULL), EPIO_EINVAL);
    stats.size = sizeof stats;
    check_result(epio_db_get_stats(NULL, &stats), EPIO_EINVAL);
    check_result(epio_db_get_stats(db, &stats), 0);
    epio_db_destroy(db);
}

static void interrupted_statements_count(fixture *f)
{
    static const char forever[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    epio_db *db = db_begin(f, f->vfs, NULL);
    epio_op op = EPIO_OP_INIT;
    /* On a slow machine a deadline may pass before the statement has begun. */
    for (uint64_t timeout = 5 * MILLISECOND; db_stats(db).interrupted == 0; timeout *= 2) {
        op.timeout_ns = timeout;
        check_op(f, epio_db_execute(&op, db, forever, NULL), EPIO_ETIMEDOUT);
    }
    check(db_stats(db).interrupted == 1);
    db_end(f, db);
}

/* As many as there are ops, up to the limit; the others wait. */
static void readers_are_made_on_demand(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .readers = READERS};
    epio_semaphore *until;
    epio_op ops[READERS + 2] = {EPIO_OP_INIT};
    check_result(epio_semaphore_create(&until, READERS + 2), 0);
    check_result(epio_semaphore_try_acquire(until, READERS + 2), 0);
    epio_db *db = db_begin(f, f->vfs, &options);
    db_fill(f, db, 1, 10);
    check(db_stats(db).readers_now == 0);
    for (unsigned i = 0; i < READERS + 2; i++) {
        epio_submit(snapshot(&ops[i], db, until));
    }
    while (db_stats(db).readers_busy < READERS || db_stats(db).waiting_now != 2) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    db_fill(f, db, 1, 10);
    epio_semaphore_release(until, READERS + 2);
    for (unsigned i = 0; i < READERS + 2; i++) {
        check_result(epio_wait(&ops[i]), 0);
    }
    check(db_stats(db).readers_now == READERS && db_stats(db).opened == 1 + READERS);
    for (unsigned i = 0; i < 10; i++) {
        check_result(epio_wait(snapshot(&ops[0], db, NULL)), 0);
    }
    check(db_stats(db).opened == 1 + READERS);
    db_end(f, db);
    epio_semaphore_destroy(until);
}

static void unused_readers_are_closed(fixture *f)
{
    epio_db_options options = {
        .size = sizeof options, .reader_idle_ns = 20 * MILLISECOND, .checkpoint_bytes = UINT64_MAX};
    epio_db *db = db_begin(f, f->vfs, &options);
    epio_op op = EPIO_OP_INIT;
    db_fill(f, db, 1, 10);
    for (unsigned i = 0; i < 3; i++) {
        check_op(f, snapshot(&op, db, NULL), 0);
        while (db_stats(db).readers_now != 0) {
            db_poll(f);
        }
        check(db_stats(db).opened == 2 + i);
    }
    db_end(f, db);
    check_result(epio_loop_pending(f->loop), 0);
}

/* The timer keeps neither the loop going nor the database from its end. */
static void timers_keep_nothing(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    epio_op op = EPIO_OP_INIT;
    db_fill(f, db, 1, 10);
    check_op(f, snapshot(&op, db, NULL), 0);
    (void)epio_loop_run(f->loop);
    check(db_stats(db).readers_now == 1);
    check_result(epio_perform(epio_db_close(&op, db, 0)), 0);
    epio_db_destroy(db);
    (void)epio_loop_run(f->loop);
    fixture_settle(f);
    check_result(epio_loop_pending(f->loop), 0);
    db = db_begin(f, f->vfs, NULL); /* and again */
    check_op(f, snapshot(&op, db, NULL), 0);
    db_end(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(count_what_was_done, ON_ANY),
        FIXTURE_TEST(need_a_size, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(interrupted_statements_count, ON_ANY),
        FIXTURE_TEST(readers_are_made_on_demand, ON_OS | ON_MEMORY),
        FIXTURE_TEST(unused_readers_are_closed, ON_OS | ON_MEMORY),
        FIXTURE_TEST(timers_keep_nothing, ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("statistics of a database", tests);
}
