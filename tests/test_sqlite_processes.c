/* Databases that processes share, some by epio and some by stock SQLite, in both kinds of journals:
 * transfers between accounts by processes that are killed at any moment and started again. The sum
 * stays, the database stays whole, and every transfer that a process saw committed is there.
 * EPIO_TEST_SEED repeats the kills; EPIO_TEST_KILLS says how many (2000: minutes). Also readers and
 * locks of one process as the other sees them. EPIO_TEST_ONCE; both kinds of byte-range locks:
 * EPIO_TEST_RANGE_LOCKS; also without loops: EPIO_TEST_WITHOUT_LOOP. Delayed writes:
 * EPIO_TEST_OVERLAP. */
#include "database.h"

#include <epio/sqlite.h>
#include <stdatomic.h>

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

/* ---- The database ------------------------------------------------------------ */

#define CROWD 6
#define ACCOUNTS 20
#define TOTAL (ACCOUNTS * 1000)
#define SECOND (1000 * MILLISECOND)

/* Shared by all processes. */
typedef struct shared_state {
    atomic_bool stop;
    atomic_uint errors;
    atomic_ullong done[CROWD]; /* transfers that the process saw committed */
} shared_state;

typedef struct member {
    shared_state *shared;
    const char *path;
    size_t number;
    random_source random;
    sqlite3 *database;
} member;

static bool is_stock(size_t number)
{
    return number % 2 == 1;
}

static const char *vfs_of(size_t number)
{
    return is_stock(number) ? NULL : TEST_VFS;
}

/* Each has padding, so that a transfer changes several pages. */
static void make_accounts(const char *path, const char *journal)
{
    char sql[64];
    sqlite3 *database = database_open(NULL, path);
    database_run(database, "PRAGMA page_size=1024");
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", journal);
    check_text(database, sql, journal);
    (void)snprintf(sql, sizeof sql, "PRAGMA user_version=%d", CROWD);
    database_run(database, sql);
    database_run(database,
                 "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER, padding);"
                 "CREATE INDEX by_balance ON account(balance);"
                 "CREATE TABLE done(member INTEGER PRIMARY KEY, n INTEGER);"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) "
                 "INSERT INTO account SELECT i, 1000, zeroblob(300) FROM n;"
                 "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5) "
                 "INSERT INTO done SELECT i, 0 FROM n");
    database_close(database);
}

/* ---- One process ----------------------------------------------------------------- */

static void fail_member(member *one, const char *what)
{
    print_error("%s process %u: %s: %s (%d)\n", is_stock(one->number) ? "stock" : "epio's",
                (unsigned)one->number, what, sqlite3_errmsg(one->database),
                sqlite3_extended_errcode(one->database));
    atomic_fetch_add(&one->shared->errors, 1);
    exit(255);
}

/* Wine alone opens a file that is to be deleted as soon as another closes it (here: has asked
 * whether it is there), so that a journal is gone once its writer has closed it. */
static bool has_lost_its_journal(member *one)
{
    return sqlite3_extended_errcode(one->database) == SQLITE_IOERR_DELETE_NOENT && system_is_wine();
}

static bool is_in_the_way(member *one, int code)
{
    return code == SQLITE_BUSY || code == SQLITE_PROTOCOL || has_lost_its_journal(one);
}

/* False: another is in the way, and nothing has happened, unless a transaction has ended. */
static bool try_run(member *one, const char *sql)
{
    int code = sqlite3_exec(one->database, sql, NULL, NULL, NULL) & 0xFF;
    if (code != SQLITE_OK && !is_in_the_way(one, code)) {
        fail_member(one, sql);
    }
    return code == SQLITE_OK;
}

/* A statement at its first row; NULL: another is in the way. */
static sqlite3_stmt *try_row(member *one, const char *sql)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(one->database, sql, -1, &statement, NULL) & 0xFF;
    code = code == SQLITE_OK ? sqlite3_step(statement) & 0xFF : code;
    if (code != SQLITE_ROW && !is_in_the_way(one, code)) {
        fail_member(one, sql);
    }
    if (code != SQLITE_ROW) {
        (void)sqlite3_finalize(statement);
        statement = NULL;
    }
    return statement;
}

static void expect_number(member *one, const char *sql, int64_t least, int64_t most)
{
    sqlite3_stmt *row = try_row(one, sql);
    if (row != NULL) {
        int64_t number = sqlite3_column_int64(row, 0);
        (void)sqlite3_finalize(row);
        if (number < least || number > most) {
            print_error("%lld, not %lld to %lld\n", (long long)number, (long long)least,
                        (long long)most);
            fail_member(one, sql);
        }
    }
}

static void expect_whole(member *one)
{
    sqlite3_stmt *row = try_row(one, "PRAGMA integrity_check");
    if (row != NULL) {
        const char *text = (const char *)sqlite3_column_text(row, 0);
        if (text == NULL || strcmp(text, "ok") != 0) {
            fail_member(one, text);
        }
        (void)sqlite3_finalize(row);
    }
}

static void open_member(member *one)
{
    char sql[64];
    int flags = SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(one->path, &one->database, flags, vfs_of(one->number)) != SQLITE_OK) {
        fail_member(one, "open");
    }
    (void)sqlite3_busy_timeout(one->database, 5000);
    (void)snprintf(sql, sizeof sql, "PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=%u",
                   one->number < 2 ? "FULL" : "OFF", 20 + 30 * (unsigned)one->number);
    while (!try_run(one, sql)) {
    }
}

/* Each transfer is counted within its transaction. `unknown`: of the one that a kill interrupted
 * nothing is known. */
static void expect_own_count(member *one, int64_t unknown)
{
    char sql[64];
    int64_t done = (int64_t)atomic_load(&one->shared->done[one->number]);
    (void)snprintf(sql, sizeof sql, "SELECT n FROM done WHERE member=%u", (unsigned)one->number);
    sqlite3_stmt *row = NULL;
    while (row == NULL) {
        row = try_row(one, sql);
    }
    int64_t counted = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    if (counted < done || counted > done + unknown) {
        print_error("%lld counted, %lld known\n", (long long)counted, (long long)done);
        fail_member(one, "a transfer is lost");
    }
    atomic_store(&one->shared->done[one->number], (unsigned long long)counted);
}

static void commit(member *one)
{
    while (!try_run(one, "COMMIT")) {
        if (sqlite3_get_autocommit(one->database)) {
            expect_own_count(one, 1);
            return;
        }
    }
    atomic_fetch_add(&one->shared->done[one->number], 1);
}

static void transfer(member *one)
{
    char sql[300];
    unsigned amount = (unsigned)random_between(&one->random, 1, 50);
    if (!try_run(one, "BEGIN IMMEDIATE")) {
        return;
    }
    (void)snprintf(sql, sizeof sql,
                   "UPDATE account SET balance=balance-%u, padding=randomblob(300) WHERE id=%u;"
                   "UPDATE account SET balance=balance+%u, padding=randomblob(300) WHERE id=%u;"
                   "UPDATE done SET n=n+1 WHERE member=%u",
                   amount, (unsigned)random_between(&one->random, 1, ACCOUNTS + 1), amount,
                   (unsigned)random_between(&one->random, 1, ACCOUNTS + 1), (unsigned)one->number);
    if (!try_run(one, sql)) {
        fail_member(one, "a writer is in the way of a writer");
    }
    if (random_between(&one->random, 0, 10) == 0) {
        if (!try_run(one, "ROLLBACK")) {
            fail_member(one, "ROLLBACK");
        }
        return;
    }
    commit(one);
}

static void reopen(member *one)
{
    if (sqlite3_close(one->database) != SQLITE_OK) {
        fail_member(one, "close");
    }
    open_member(one);
}

static void visit(member *one)
{
    static const char *const checkpoints[] = {
        "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)",
        "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)"};
    switch (random_between(&one->random, 0, 40)) {
    case 0:
    case 1:
    case 2:
    case 3:
        expect_number(one, "SELECT sum(balance) FROM account", TOTAL, TOTAL);
        break;
    case 4:
        (void)try_run(one, checkpoints[random_between(&one->random, 0, 4)]);
        break;
    case 5:
        reopen(one);
        break;
    case 6:
        expect_whole(one);
        break;
    case 7:
        expect_own_count(one, 0);
        break;
    default:
        transfer(one);
    }
}

/* The argument: its number, then the path. */
static void run_member(const char *argument)
{
    char shared_path[700];
    member one = {.path = argument + 1, .number = (size_t)(argument[0] - '0')};
    (void)snprintf(shared_path, sizeof shared_path, "%s-shared", one.path);
    one.shared = shared_memory_map(shared_path, sizeof *one.shared);
    one.random.state = system_monotonic_ns() + one.number;
    check_result(epio_sqlite_register(TEST_VFS, epio_os_vfs(), databases_flags()), 0);
    open_member(&one);
    expect_own_count(&one, 1);
    while (!atomic_load(&one.shared->stop)) {
        visit(&one);
        sleep_us(random_between(&one.random, 0, 1000)); /* lets others in */
    }
    expect_own_count(&one, 0);
    check_result(sqlite3_close(one.database), SQLITE_OK);
}

/* ---- All of them -------------------------------------------------------------------- */

static void start_member(child *one, size_t number, const char *path)
{
    char argument[700];
    (void)snprintf(argument, sizeof argument, "%c%s", '0' + (int)number, path);
    child_start(one, run_member, argument, 0);
}

/* Every process makes progress: none is stuck. */
static void wait_for_progress(shared_state *shared, uint64_t rounds)
{
    uint64_t goals[CROWD];
    uint64_t deadline = system_monotonic_ns() + (fixture_is_slow() ? 100 : 60) * SECOND;
    for (size_t i = 0; i < CROWD; i++) {
        goals[i] = atomic_load(&shared->done[i]) + rounds;
    }
    for (size_t i = 0; i < CROWD; i++) {
        while (atomic_load(&shared->done[i]) < goals[i]) {
            if (system_monotonic_ns() >= deadline) {
                print_error("process %u is stuck\n", (unsigned)i);
            }
            check(atomic_load(&shared->errors) == 0);
            check(system_monotonic_ns() < deadline);
            sleep_us(1000);
        }
    }
}

static void check_accounts(const char *path, shared_state *shared, const uint64_t *kills)
{
    for (size_t vfs = 0; vfs < 2; vfs++) {
        sqlite3 *database = database_open(vfs_of(vfs), path);
        check_result(database_number(database, "SELECT sum(balance) FROM account"), TOTAL);
        check_integrity(database);
        for (size_t i = 0; i < CROWD; i++) {
            char sql[64];
            (void)snprintf(sql, sizeof sql, "SELECT n FROM done WHERE member=%u", (unsigned)i);
            uint64_t done = atomic_load(&shared->done[i]);
            check_result(database_number(database, sql), done);
            if (vfs == 0) {
                print_message("process %u, %-6s: %llu transfers, killed %llu times\n", (unsigned)i,
                              is_stock(i) ? "stock" : "epio's", (unsigned long long)done,
                              (unsigned long long)kills[i]);
            }
        }
        database_close(database);
    }
}

static void kill_and_start_again(fixture *f, const char *journal)
{
    uint64_t seed = number_from("EPIO_TEST_SEED", system_monotonic_ns());
    uint64_t rounds = number_from("EPIO_TEST_KILLS", fixture_rounds(20));
    random_source random = {.state = seed};
    child processes[CROWD];
    uint64_t kills[CROWD] = {0};
    const char *path = fixture_path(f, "accounts");
    shared_state *shared = shared_memory_map(fixture_path(f, "accounts-shared"), sizeof *shared);
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    make_accounts(path, journal);
    for (size_t i = 0; i < CROWD; i++) {
        start_member(&processes[i], i, path);
    }
    wait_for_progress(shared, 1);
    for (uint64_t i = 0; i < rounds && atomic_load(&shared->errors) == 0; i++) {
        size_t victim = (size_t)random_between(&random, 0, CROWD);
        sleep_us(random_between(&random, 0, 40000));
        child_kill(&processes[victim]);
        kills[victim]++;
        start_member(&processes[victim], victim, path);
    }
    check_result(atomic_load(&shared->errors), 0);
    wait_for_progress(shared, 3);
    atomic_store(&shared->stop, true);
    for (size_t i = 0; i < CROWD; i++) {
        check_result(child_end(&processes[i]), 0);
    }
    databases_begin(f);
    check_accounts(path, shared, kills);
    databases_end(f);
    shared_memory_unmap(shared, sizeof *shared);
}

static void kills_with_a_write_ahead_log(fixture *f)
{
    kill_and_start_again(f, "wal");
}

static void kills_with_a_rollback_journal(fixture *f)
{
    kill_and_start_again(f, "delete");
}

/* ---- Two processes ---------------------------------------------------------------- */

typedef struct session {
    child process;
} session;

/* Runs one line of SQL after the other and writes the code of each, or the number that a SELECT
 * gives; the argument: 's' or 'e', then the path. */
static void run_session(const char *argument)
{
    char sql[200];
    size_t len = 0;
    check_result(epio_sqlite_register(TEST_VFS, epio_os_vfs(), databases_flags()), 0);
    sqlite3 *database = database_open(argument[0] == 's' ? NULL : TEST_VFS, argument + 1);
    while (pipe_read(process_input(), sql + len, 1) == 1) {
        if (sql[len] != '\n') {
            check(++len < sizeof sql);
            continue;
        }
        sql[len] = '\0';
        len = 0;
        int64_t answer = strncmp(sql, "SELECT", 6) == 0 || strncmp(sql, "PRAGMA", 6) == 0
                             ? database_number(database, sql)
                             : database_try(database, sql);
        check(pipe_write(process_output(), &answer, sizeof answer) == sizeof answer);
    }
    database_close(database);
}

static void session_start(session *one, bool stock, const char *path)
{
    char argument[700];
    (void)snprintf(argument, sizeof argument, "%c%s", stock ? 's' : 'e', path);
    child_start(&one->process, run_session, argument, CHILD_PIPES);
}

static int64_t ask(session *one, const char *sql)
{
    int64_t answer = 0;
    char *at = (char *)&answer;
    check(pipe_write(one->process.to, sql, strlen(sql)) == (int64_t)strlen(sql));
    check(pipe_write(one->process.to, "\n", 1) == 1);
    for (size_t got = 0; got < sizeof answer;) {
        int64_t count = pipe_read(one->process.from, at + got, sizeof answer - got);
        check(count > 0);
        got += (size_t)count;
    }
    return answer;
}

static int64_t external_reader(sqlite3 *database)
{
    int found = -1;
    check_result(sqlite3_file_control(database, NULL, SQLITE_FCNTL_EXTERNAL_READER, &found),
                 SQLITE_OK);
    return found;
}

/* What one process does with a log, the other sees: `stock` is the kind of the other. */
static void share_a_log(fixture *f, bool stock)
{
    session other;
    const char *path = fixture_path(f, "data");
    databases_begin(f);
    sqlite3 *database = database_open(TEST_VFS, path);
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    database_run(database, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    session_start(&other, stock, path);
    check_result(ask(&other, "SELECT count(*) FROM t"), 1);
    check_result(external_reader(database), 0);

    check_result(ask(&other, "BEGIN"), SQLITE_OK);
    check_result(ask(&other, "SELECT count(*) FROM t"), 1);
    check_result(external_reader(database), 1);
    database_run(database, "INSERT INTO t VALUES(2)");
    check_result(ask(&other, "SELECT count(*) FROM t"), 1);
    check_result(database_number(database, "PRAGMA wal_checkpoint(RESTART)"), 1);
    check_result(ask(&other, "COMMIT"), SQLITE_OK);
    check_result(external_reader(database), 0);
    check_result(ask(&other, "SELECT count(*) FROM t"), 2);

    check_result(ask(&other, "BEGIN IMMEDIATE"), SQLITE_OK);
    check_result(database_try(database, "INSERT INTO t VALUES(3)"), SQLITE_BUSY);
    check_result(ask(&other, "INSERT INTO t VALUES(3)"), SQLITE_OK);
    check_result(database_number(database, "SELECT count(*) FROM t"), 2);
    check_result(ask(&other, "COMMIT"), SQLITE_OK);
    check_result(database_number(database, "SELECT count(*) FROM t"), 3);

    database_run(database, "BEGIN; SELECT count(*) FROM t");
    check_result(ask(&other, "INSERT INTO t VALUES(4)"), SQLITE_OK);
    check_result(ask(&other, "PRAGMA wal_checkpoint(TRUNCATE)"), 1);
    database_run(database, "COMMIT");
    check_result(ask(&other, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    check_result(file_size(fixture_path(f, "data-wal")), 0);

    /* Its locks do not outlive it. */
    check_result(ask(&other, "BEGIN IMMEDIATE"), SQLITE_OK);
    check_result(database_try(database, "INSERT INTO t VALUES(5)"), SQLITE_BUSY);
    child_kill(&other.process);
    database_run(database, "INSERT INTO t VALUES(5)");
    check_result(database_number(database, "SELECT count(*) FROM t"), 5);
    database_close(database);
    check(!file_exists(fixture_path(f, "data-shm")));
    databases_end(f);
}

static void a_log_is_shared_with_stock(fixture *f)
{
    share_a_log(f, true);
}

static void a_log_is_shared_with_epio(fixture *f)
{
    share_a_log(f, false);
}

/* Of this process they are no external readers. */
static void a_reader_of_this_process_is_not_external(fixture *f)
{
    databases_begin(f);
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    database_run(database, "CREATE TABLE t(x)");
    sqlite3 *reader = database_open(TEST_VFS, fixture_path(f, "data"));
    database_run(reader, "BEGIN; SELECT count(*) FROM t");
    check_result(external_reader(database), 0);
    database_run(reader, "COMMIT");
    database_close(reader);
    database_close(database);
    databases_end(f);
}

/* The index stays as long as anyone uses it, and the last one of either kind removes it. */
static void the_last_one_removes_the_log(fixture *f)
{
    for (int stock = 0; stock < 2; stock++) {
        session other;
        const char *path = fixture_path(f, "data");
        databases_begin(f);
        sqlite3 *database = database_open(TEST_VFS, path);
        check_text(database, "PRAGMA journal_mode=WAL", "wal");
        database_run(database, "CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1)");
        session_start(&other, stock != 0, path);
        check_result(ask(&other, "SELECT count(*) FROM t"), 1 + 2 * stock);
        database_close(database);
        check(file_exists(fixture_path(f, "data-shm")));
        check_result(ask(&other, "INSERT INTO t VALUES(2)"), SQLITE_OK);
        check_result(child_end(&other.process), 0);
        check(!file_exists(fixture_path(f, "data-wal")));
        check(!file_exists(fixture_path(f, "data-shm")));
        databases_end(f);
    }
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(run_member), CHILD(run_session)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_log_is_shared_with_stock, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_log_is_shared_with_epio, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_reader_of_this_process_is_not_external, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(the_last_one_removes_the_log, ON_OS_PERFORM),
        FIXTURE_TEST(kills_with_a_write_ahead_log, ON_OS_PERFORM),
        FIXTURE_TEST(kills_with_a_rollback_journal, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("SQLite in processes", tests);
}
