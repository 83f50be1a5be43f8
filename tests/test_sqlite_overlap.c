/* EPIO_SQLITE_OVERLAP: what is on the disk at any moment at which the process is killed or the
 * power fails is a whole database with all that was committed, in every journal mode, with writes
 * one after the other and in flight together; how many ops that saves; and what a failed write does
 * to its transaction. What the VFS does with and without it the other tests of it check, and other
 * processes test_sqlite_processes. EPIO_TEST_ONCE. EPIO_TEST_SEED repeats it, EPIO_TEST_EFFORT
 * multiplies it. */
#include "database.h"
#include "disk_model.h"
#include "op_faults.h"

#include <epio/sqlite.h>

#define MICROSECOND UINT64_C(1000)

/* Long enough that the writes of a flush are in flight together. */
#define SLOW (120 * MICROSECOND)

#define ACCOUNTS 50
#define SUM (ACCOUNTS * 100)

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static uint64_t effort(void)
{
    return number_from("EPIO_TEST_EFFORT", 1);
}

/* ---- A disk, a registration and a database ------------------------------------ */

typedef struct scene {
    epio_loop *loop; /* NULL: writes go one after the other */
    epio_vfs *memory;
    epio_vfs *faults_vfs;
    op_faults faults;
    epio_vfs *vfs;
    disk_model *disk;
    sqlite3 *db;
    char path[1024];
    char copy[1024];
} scene;

/* The same files for connections that delay nothing. */
#define PLAIN_VFS "epio-plain"

static void begin_with(scene *s, fixture *f, bool together, uint32_t flags)
{
    memset(s, 0, sizeof *s);
    (void)strcpy(s->path, "/data");
    (void)snprintf(s->copy, sizeof s->copy, "%s", fixture_path(f, "copy"));
    if (together) {
        check_result(epio_loop_create(&s->loop, NULL), 0);
    }
    check_result(epio_memory_vfs_create(&s->memory, s->loop), 0);
    s->faults_vfs = op_faults_create(s->memory, &s->faults);
    s->vfs = disk_model_create(&s->disk, s->faults_vfs, s->path);
    disk_set_delays(s->disk, together ? SLOW : 0, 0);
    if (together) {
        epio_loop_detach(s->loop);
    }
    (void)epio_sqlite_unregister(TEST_VFS);
    (void)epio_sqlite_unregister(PLAIN_VFS);
    check_result(epio_sqlite_register(TEST_VFS, s->vfs, flags), 0);
    check_result(epio_sqlite_register(PLAIN_VFS, s->memory, 0), 0);
    s->db = database_open(TEST_VFS, s->path);
}

static void begin(scene *s, fixture *f, bool together)
{
    begin_with(s, f, together, EPIO_SQLITE_OVERLAP);
}

static void end(scene *s)
{
    database_close(s->db);
    check_result(epio_sqlite_unregister(TEST_VFS), 0);
    check_result(epio_sqlite_unregister(PLAIN_VFS), 0);
    check_result(disk_early_syncs(s->disk), 0);
    epio_vfs_destroy(s->vfs);
    epio_vfs_destroy(s->faults_vfs);
    epio_vfs_destroy(s->memory);
    epio_loop_destroy(s->loop);
}

static void run_with(sqlite3 *db, const char *format, int64_t a, int64_t b)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, format, (long long)a, (long long)b);
    database_run(db, sql);
}

/* ---- Killed, or without power --------------------------------------------------- */

typedef struct mode {
    const char *journal;
    const char *synchronous;
    const char *locking;
    bool power_fails; /* else the process is killed */
} mode;

static const mode modes[] = {
    {"DELETE", "FULL", "NORMAL", true},      {"TRUNCATE", "FULL", "NORMAL", true},
    {"PERSIST", "FULL", "NORMAL", true},     {"PERSIST", "FULL", "EXCLUSIVE", true},
    {"WAL", "FULL", "NORMAL", true},         {"WAL", "FULL", "EXCLUSIVE", true},
    {"DELETE", "OFF", "NORMAL", false},      {"TRUNCATE", "OFF", "NORMAL", false},
    {"PERSIST", "OFF", "NORMAL", false},     {"PERSIST", "OFF", "EXCLUSIVE", false},
    {"TRUNCATE", "OFF", "EXCLUSIVE", false}, {"DELETE", "NORMAL", "NORMAL", false},
    {"WAL", "OFF", "NORMAL", false},         {"WAL", "NORMAL", "NORMAL", false},
    {"WAL", "OFF", "EXCLUSIVE", false},
};

static void make_tables(sqlite3 *db)
{
    database_run(db, "BEGIN; CREATE TABLE account(id INTEGER PRIMARY KEY, balance, padding);"
                     "CREATE TABLE last(n); INSERT INTO last VALUES(0);"
                     "CREATE TABLE history(n INTEGER PRIMARY KEY, padding);"
                     "CREATE INDEX i ON account(balance);"
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) "
                     "INSERT INTO account SELECT i, 100, zeroblob(200) FROM n; COMMIT");
}

static void change(sqlite3 *db, random_source *random)
{
    int64_t amount = (int64_t)random_between(random, 1, 50);
    for (int i = 0; i < 2; i++) {
        run_with(db, "UPDATE account SET balance = balance + %lld WHERE id = %lld",
                 i == 0 ? amount : -amount, (int64_t)random_between(random, 1, ACCOUNTS));
    }
    run_with(db, "UPDATE account SET padding = randomblob(%lld) WHERE id %% 7 = %lld",
             (int64_t)random_between(random, 1, 3000), (int64_t)random_between(random, 0, 6));
}

/* Transaction number n. */
static void transact(sqlite3 *db, random_source *random, int64_t n)
{
    database_run(db, "BEGIN");
    run_with(db, "UPDATE last SET n = %lld; INSERT INTO history VALUES(%lld, randomblob(700))", n,
             n);
    change(db, random);
    if (random_between(random, 0, 2) == 0) {
        database_run(db, "SAVEPOINT s");
        change(db, random);
        database_run(db, "ROLLBACK TO s");
        change(db, random);
    }
    database_run(db, "COMMIT");
}

static void roll_back(sqlite3 *db, random_source *random)
{
    database_run(db, "BEGIN; DELETE FROM last");
    change(db, random);
    database_run(db, "ROLLBACK");
}

static void check_point(sqlite3 *db, random_source *random)
{
    static const char *const kinds[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s)",
                   kinds[random_between(random, 0, 3)]);
    database_run(db, sql);
}

static void work(scene *s, const mode *m, random_source *random)
{
    char sql[200];
    disk_record(s->disk, true);
    database_run(s->db, "PRAGMA page_size=1024");
    (void)snprintf(sql, sizeof sql, "PRAGMA locking_mode=%s; PRAGMA journal_mode=%s;", m->locking,
                   m->journal);
    database_run(s->db, sql);
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA synchronous=%s; PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=40",
                   m->synchronous);
    database_run(s->db, sql);
    make_tables(s->db);
    disk_mark(s->disk, 1); /* the tables, and transactions: one less */
    for (int64_t n = 1; n <= 20; n++) {
        transact(s->db, random, n);
        disk_mark(s->disk, (uint64_t)n + 1);
        if (random_between(random, 0, 3) == 0) {
            roll_back(s->db, random);
        }
        if (random_between(random, 0, 5) == 0) {
            check_point(s->db, random);
        }
        if (n == 10) {
            database_run(s->db, "VACUUM");
        }
    }
}

/* What is on the disk after some of the records, by stock SQLite. */
static void check_copy(const scene *s, const mode *m, size_t records, random_source *random)
{
    uint64_t mark = disk_mark_at(s->disk, records);
    disk_build(s->disk, records, m->power_fails ? random : NULL, s->copy);
    sqlite3 *copy = database_open(NULL, s->copy);
    check_integrity(copy);
    if (mark > 0) {
        int64_t n = database_number(copy, "SELECT n FROM last");
        if (n != (int64_t)mark - 1 && n != (int64_t)mark) {
            print_error("%s, %s, %s: %d transactions after %u records, not %u\n", m->journal,
                        m->synchronous, m->locking, (int)n, (unsigned)records, (unsigned)mark - 1);
        }
        check(n == (int64_t)mark - 1 || n == (int64_t)mark);
        check_result(database_number(copy, "SELECT count(*) FROM history"), n);
        check_result(database_number(copy, "SELECT sum(balance) FROM account"), SUM);
    }
    database_close(copy);
}

static void survives(fixture *f, const mode *m, bool together, random_source *random)
{
    scene s;
    begin(&s, f, together);
    work(&s, m, random);
    check_integrity(s.db);
    size_t count = disk_records(s.disk);
    for (uint64_t i = 0; i < 6 * effort(); i++) {
        check_copy(&s, m, (size_t)random_between(random, 0, count), random);
    }
    check_copy(&s, m, count, random);
    check(!together || disk_most_in_flight(s.disk) > 1);
    end(&s);
}

static void survives_all(fixture *f, bool together)
{
    uint64_t seed = number_from("EPIO_TEST_SEED", epio_clock_monotonic());
    random_source random = {seed};
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        survives(f, &modes[i], together, &random);
    }
}

static void is_whole_at_any_moment(fixture *f)
{
    survives_all(f, false);
}

static void is_whole_while_writes_are_in_flight(fixture *f)
{
    survives_all(f, true);
}

/* ---- Fewer ops --------------------------------------------------------------------- */

#define ROWS(count)                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " #count ") "

typedef struct ops {
    int64_t reads;
    int64_t writes;
} ops;

/* Of a statement. */
static ops count_ops(scene *s, const char *sql)
{
    int64_t reads = (int64_t)disk_count(s->disk, EPIO_KIND_READ);
    int64_t writes = (int64_t)disk_count(s->disk, EPIO_KIND_WRITE);
    database_run(s->db, sql);
    return (ops){(int64_t)disk_count(s->disk, EPIO_KIND_READ) - reads,
                 (int64_t)disk_count(s->disk, EPIO_KIND_WRITE) - writes};
}

static void count_with(fixture *f, uint32_t flags, ops *counts)
{
    scene s;
    begin_with(&s, f, false, flags);
    database_run(s.db, "PRAGMA journal_mode=DELETE; CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    counts[0] = count_ops(&s, ROWS(1000) "INSERT INTO t SELECT i, randomblob(300) FROM n");
    database_close(s.db);
    s.db = database_open(TEST_VFS, s.path);
    counts[1] = count_ops(&s, "SELECT sum(length(b)) FROM t");
    database_run(s.db, "PRAGMA journal_mode=WAL");
    counts[2] = count_ops(&s, ROWS(1000) "INSERT INTO t SELECT i + 1000, randomblob(300) FROM n");
    counts[3] = count_ops(&s, "PRAGMA wal_checkpoint(TRUNCATE)");
    check_result(database_number(s.db, "SELECT count(*) FROM t"), 2000);
    end(&s);
}

static void has_fewer_ops(fixture *f)
{
    ops without[4];
    ops with[4];
    count_with(f, 0, without);
    count_with(f, EPIO_SQLITE_OVERLAP, with);
    for (size_t i = 0; i < 4; i++) {
        print_message("%d reads, %d writes; delayed and ahead: %d, %d\n", (int)without[i].reads,
                      (int)without[i].writes, (int)with[i].reads, (int)with[i].writes);
    }
    check(with[0].writes * 4 < without[0].writes);
    check(with[1].reads * 4 < without[1].reads);
    check(with[2].writes * 10 < without[2].writes);
    check(with[3].reads * 4 < without[3].reads);
    check(with[3].writes * 4 < without[3].writes);
}

/* ---- Failures ------------------------------------------------------------------------ */

static const char *const failing_modes[] = {"DELETE", "PERSIST", "WAL"};

/* One write fails, or all from that on: the transaction is rolled back as a whole, or committed.
 * False: there was no such write any more. */
static bool fail_write(scene *s, uint32_t skip, uint32_t times, int error)
{
    int64_t rows = database_number(s->db, "SELECT count(*) FROM t");
    s->faults = (op_faults){
        .kind = EPIO_KIND_WRITE, .skip = skip, .times = times, .result = error, .os_error = 5};
    int code = database_try(s->db, "BEGIN; INSERT INTO t VALUES(randomblob(5000));"
                                   "UPDATE t SET b = randomblob(3000) WHERE rowid % 3 = 1; COMMIT");
    bool some = s->faults.times < times;
    s->faults.times = 0;
    if (code != SQLITE_OK && sqlite3_get_autocommit(s->db) == 0) {
        database_run(s->db, "ROLLBACK");
    }
    check(!some || code != SQLITE_OK);
    int64_t after = database_number(s->db, "SELECT count(*) FROM t");
    check(code == SQLITE_OK ? after == rows + 1 : after == rows || after == rows + 1);
    check_integrity(s->db);
    /* What is in the files. */
    sqlite3 *other = database_open(PLAIN_VFS, s->path);
    check_result(database_number(other, "SELECT count(*) FROM t"), after);
    check_integrity(other);
    database_close(other);
    return some;
}

static void fails(fixture *f, bool together)
{
    for (size_t i = 0; i < sizeof failing_modes / sizeof failing_modes[0]; i++) {
        scene s;
        char sql[64];
        begin(&s, f, together);
        (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", failing_modes[i]);
        database_run(s.db, sql);
        database_run(s.db, "PRAGMA cache_size=5; CREATE TABLE t(b);" ROWS(
                               30) "INSERT INTO t SELECT randomblob(3000) FROM n");
        uint32_t skip = 0;
        while (fail_write(&s, skip, 1, EPIO_EIO)) {
            (void)fail_write(&s, skip, UINT32_MAX, EPIO_ENOSPC);
            skip++;
        }
        check(skip > 0);
        end(&s);
    }
}

static void rolls_back_what_cannot_be_written(fixture *f)
{
    fails(f, false);
    fails(f, true);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static const fixture_test tests[] = {
        FIXTURE_TEST(is_whole_at_any_moment, ON_OS_PERFORM),
        FIXTURE_TEST(is_whole_while_writes_are_in_flight, ON_OS_PERFORM),
        FIXTURE_TEST(has_fewer_ops, ON_OS_PERFORM),
        FIXTURE_TEST(rolls_back_what_cannot_be_written, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("sqlite-overlap", tests);
}
