/* A database whose transactions share commits, in a process that is killed at any moment and
 * started again: every row that was acknowledged is there, no row of a member that failed, and the
 * database is whole. EPIO_TEST_SEED repeats the kills, EPIO_TEST_KILLS says how many.
 * EPIO_TEST_ONCE. */
#include "database.h"

#include <epio/db.h>
#include <stdatomic.h>

#define TASKS 32
#define SECOND (1000 * MILLISECOND)

/* Shared by both processes. */
typedef struct shared_state {
    atomic_bool stop;
    atomic_uint errors;
    atomic_ullong acknowledged[TASKS]; /* rows 1 to this of each task */
} shared_state;

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

/* ---- The process that writes ---------------------------------------------------- */

/* Writes its rows one after the other; some ops fail, on purpose, after they have written a row
 * that must not be there. */
typedef struct task {
    epio_op op;
    shared_state *shared;
    epio_db *db;
    uint64_t number;
    uint64_t next;
    random_source random;
    bool fails;
    bool ended;
    char sql[200];
} task;

static int64_t insert_by_function(epio_db *transaction, void *user)
{
    const task *one = user;
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_perform(epio_db_execute(&op, transaction, one->sql, NULL));
    return result == 1 && one->fails ? EPIO_ENOENT : result;
}

static void submit_next(task *one)
{
    uint64_t kind = random_between(&one->random, 0, 40);
    const char *row = "INSERT INTO t VALUES(%llu, %llu)";
    const char *rows = "INSERT INTO t VALUES(%llu, -%llu); INSERT INTO t VALUES(0, 0)";
    bool function = kind < 4;
    one->fails = kind < 2 || kind == 4;
    (void)snprintf(one->sql, sizeof one->sql, kind == 4 ? rows : row,
                   (unsigned long long)one->number,
                   (unsigned long long)(one->fails && function ? 1000000000 : one->next));
    if (function) {
        epio_submit(epio_db_transaction(&one->op, one->db, insert_by_function, EPIO_DB_WRITE));
    } else {
        epio_submit(epio_db_execute(&one->op, one->db, one->sql, NULL));
    }
}

static void task_done(epio_op *op)
{
    task *one = op->user;
    if ((op->result == 1) == one->fails) {
        print_error("%s (%d): \"%s\"\n", epio_error_name(op->result), epio_db_error_code(op),
                    one->sql);
        atomic_fetch_add(&one->shared->errors, 1);
        exit(255);
    }
    if (!one->fails) {
        atomic_store(&one->shared->acknowledged[one->number], one->next++);
    }
    one->ended = atomic_load(&one->shared->stop);
    if (!one->ended) {
        submit_next(one);
    }
}

static bool all_ended(const task *tasks)
{
    for (size_t i = 0; i < TASKS; i++) {
        if (!tasks[i].ended) {
            return false;
        }
    }
    return true;
}

/* The argument: the path. */
static void write_rows(const char *argument)
{
    static task tasks[TASKS];
    char shared_path[700];
    epio_loop *loop;
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {.size = sizeof options, .group = TASKS};
    (void)snprintf(shared_path, sizeof shared_path, "%s-shared", argument);
    shared_state *shared = shared_memory_map(shared_path, sizeof *shared);
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_db_create(&db, epio_loop_vfs(loop), argument, &options), 0);
    check_result(epio_wait(epio_db_open(&op, db)), 0);
    for (size_t i = 0; i < TASKS; i++) {
        tasks[i] = (task){.shared = shared,
                          .db = db,
                          .number = i,
                          .next = atomic_load(&shared->acknowledged[i]) + 1,
                          .random = {.state = system_monotonic_ns() + i}};
        tasks[i].op.done = task_done;
        tasks[i].op.user = &tasks[i];
        submit_next(&tasks[i]);
    }
    while (!all_ended(tasks)) {
        (void)epio_loop_poll(loop, MILLISECOND, TASKS);
    }
    check_result(epio_wait(epio_db_close(&op, db, 0)), 0);
    epio_db_destroy(db);
    epio_loop_destroy(loop);
}

/* ---- The one that kills it --------------------------------------------------------- */

static void wait_for_rows(shared_state *shared, uint64_t count)
{
    uint64_t goal = count;
    uint64_t deadline = system_monotonic_ns() + 100 * SECOND;
    for (size_t i = 0; i < TASKS; i++) {
        goal += atomic_load(&shared->acknowledged[i]);
    }
    for (uint64_t sum = 0; sum < goal;) {
        check(atomic_load(&shared->errors) == 0);
        check(system_monotonic_ns() < deadline);
        sleep_us(500);
        sum = 0;
        for (size_t i = 0; i < TASKS; i++) {
            sum += atomic_load(&shared->acknowledged[i]);
        }
    }
}

/* What was in flight may be there or not; if it is, it counts as acknowledged from now on. By stock
 * SQLite, which recovers the log, too. */
static void check_rows(const char *path, shared_state *shared)
{
    sqlite3 *database = database_open(NULL, path);
    check_integrity(database);
    check_result(database_number(database, "SELECT count(*) FROM t WHERE n < 1 OR n >= 1000000000"),
                 0);
    for (size_t i = 0; i < TASKS; i++) {
        char sql[120];
        uint64_t known = atomic_load(&shared->acknowledged[i]);
        (void)snprintf(sql, sizeof sql, "SELECT coalesce(max(n), 0) FROM t WHERE task=%u",
                       (unsigned)i);
        uint64_t most = (uint64_t)database_number(database, sql);
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE task=%u", (unsigned)i);
        check_result(database_number(database, sql), most);
        if (most != known && most != known + 1) {
            print_error("task %u: %llu acknowledged, %llu there\n", (unsigned)i,
                        (unsigned long long)known, (unsigned long long)most);
        }
        check(most == known || most == known + 1);
        atomic_store(&shared->acknowledged[i], most);
    }
    database_close(database);
}

static void make_table(const char *path)
{
    sqlite3 *database = database_open(NULL, path);
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    database_run(database,
                 "CREATE TABLE t(task INTEGER, n INTEGER CHECK(n <> 0), PRIMARY KEY(task, n)) "
                 "WITHOUT ROWID");
    database_close(database);
}

static void kills_lose_nothing(fixture *f)
{
    child writer;
    uint64_t seed = number_from("EPIO_TEST_SEED", system_monotonic_ns());
    uint64_t kills = number_from("EPIO_TEST_KILLS", fixture_rounds(12));
    random_source random = {.state = seed};
    const char *path = fixture_path(f, "rows");
    shared_state *shared = shared_memory_map(fixture_path(f, "rows-shared"), sizeof *shared);
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    make_table(path);
    for (uint64_t i = 0; i < kills; i++) {
        child_start(&writer, write_rows, path, 0);
        wait_for_rows(shared, random_between(&random, 1, 200));
        sleep_us(random_between(&random, 0, 2000));
        child_kill(&writer);
        check_rows(path, shared);
    }
    child_start(&writer, write_rows, path, 0);
    wait_for_rows(shared, TASKS);
    atomic_store(&shared->stop, true);
    check_result(child_end(&writer), 0);
    check_rows(path, shared);
    shared_memory_unmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(write_rows)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(kills_lose_nothing, ON_OS),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("db_processes", tests);
}
