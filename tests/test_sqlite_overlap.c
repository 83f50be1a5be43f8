/* EPIO_SQLITE_OVERLAP: what is on the disk at any moment at which the process is killed or the
 * power fails is a whole database with all that was committed, in every journal mode, with writes
 * one after the other and in flight together; how many ops that saves; and what a failed write does
 * to its transaction. What the VFS does with and without it the other tests of it check, and other
 * processes test_sqlite_processes. EPIO_TEST_ONCE. EPIO_TEST_SEED repeats it, EPIO_TEST_EFFORT
 * multiplies it; EPIO_TEST_FIGURES measures a slow disk. */
#include "database.h"
#include "disk_model.h"
#include "op_faults.h"

#include <epio/layer.h>
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

/* ---- A disk, a registration and a database ------------------------------------ */

typedef struct scene {
    epio_loop *loop; /* NULL: writes go one after the other */
    epio_vfs *memory;
    epio_vfs *faults_vfs;
    op_faults faults;
    epio_vfs *vfs;
    disk_model *disk;
    epio_vfs *copies;
    sqlite3 *db;
} scene;

#define PATH "/data"

/* The same files for connections that delay nothing; and what is left of them. */
#define PLAIN_VFS "epio-plain"
#define COPY_VFS "epio-copy"

static void begin_with(scene *s, bool together, uint32_t flags)
{
    memset(s, 0, sizeof *s);
    if (together) {
        check_result(epio_loop_create(&s->loop, NULL), 0);
    }
    check_result(epio_memory_vfs_create(&s->memory, s->loop), 0);
    s->faults_vfs = op_faults_create(s->memory, &s->faults);
    s->vfs = disk_model_create(&s->disk, s->faults_vfs, PATH);
    check_result(epio_memory_vfs_create(&s->copies, NULL), 0);
    disk_set_delays(s->disk, together ? SLOW : 0, 0);
    if (together) {
        epio_loop_detach(s->loop);
    }
    (void)epio_sqlite_unregister(TEST_VFS);
    (void)epio_sqlite_unregister(PLAIN_VFS);
    (void)epio_sqlite_unregister(COPY_VFS);
    check_result(epio_sqlite_register(TEST_VFS, s->vfs, flags), 0);
    check_result(epio_sqlite_register(PLAIN_VFS, s->vfs, 0), 0);
    check_result(epio_sqlite_register(COPY_VFS, s->copies, 0), 0);
    s->db = database_open(TEST_VFS, PATH);
}

static void begin(scene *s, bool together)
{
    begin_with(s, together, EPIO_SQLITE_OVERLAP);
}

static void end(scene *s)
{
    database_close(s->db);
    check_result(epio_sqlite_unregister(TEST_VFS), 0);
    check_result(epio_sqlite_unregister(PLAIN_VFS), 0);
    check_result(epio_sqlite_unregister(COPY_VFS), 0);
    check_result(disk_early_syncs(s->disk), 0);
    epio_vfs_destroy(s->vfs);
    epio_vfs_destroy(s->faults_vfs);
    epio_vfs_destroy(s->memory);
    epio_vfs_destroy(s->copies);
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
    enum { POWER_FAILS, IS_KILLED, IS_KILLED_AFTER_COMMIT } end;
} mode;

static const mode modes[] = {
    {"DELETE", "FULL", "NORMAL", POWER_FAILS},
    {"TRUNCATE", "FULL", "NORMAL", POWER_FAILS},
    {"PERSIST", "FULL", "NORMAL", POWER_FAILS},
    {"PERSIST", "FULL", "EXCLUSIVE", POWER_FAILS},
    {"WAL", "FULL", "NORMAL", POWER_FAILS},
    {"WAL", "FULL", "EXCLUSIVE", POWER_FAILS},
    {"DELETE", "OFF", "NORMAL", IS_KILLED},
    {"TRUNCATE", "OFF", "NORMAL", IS_KILLED},
    {"PERSIST", "OFF", "NORMAL", IS_KILLED},
    {"PERSIST", "OFF", "EXCLUSIVE", IS_KILLED},
    {"TRUNCATE", "OFF", "EXCLUSIVE", IS_KILLED},
    {"DELETE", "NORMAL", "NORMAL", IS_KILLED},
    {"WAL", "OFF", "NORMAL", IS_KILLED},
    {"WAL", "NORMAL", "NORMAL", IS_KILLED},
    {"WAL", "OFF", "EXCLUSIVE", IS_KILLED},
    {"MEMORY", "OFF", "NORMAL", IS_KILLED_AFTER_COMMIT},
    {"OFF", "OFF", "EXCLUSIVE", IS_KILLED_AFTER_COMMIT},
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
static void transact(sqlite3 *db, random_source *random, int64_t n, bool rolls_back)
{
    database_run(db, "BEGIN");
    run_with(db, "UPDATE last SET n = %lld; INSERT INTO history VALUES(%lld, randomblob(700))", n,
             n);
    change(db, random);
    if (rolls_back && random_between(random, 0, 2) == 0) {
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

static void set_up(sqlite3 *db, const mode *m)
{
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA page_size=1024; PRAGMA locking_mode=%s;"
                   "PRAGMA journal_mode=%s",
                   m->locking, m->journal);
    database_run(db, sql);
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA synchronous=%s; PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=40",
                   m->synchronous);
    database_run(db, sql);
}

/* Both see the same, by scans that are read ahead. */
static void compare(sqlite3 *one, sqlite3 *other)
{
    static const char *const scans[] = {"SELECT sum(length(padding) * n) FROM history",
                                        "SELECT sum(length(padding) * id) FROM account",
                                        "SELECT total(n) FROM last"};
    for (size_t i = 0; i < sizeof scans / sizeof scans[0]; i++) {
        check_result(database_number(one, scans[i]), database_number(other, scans[i]));
    }
}

static void work(scene *s, const mode *m, random_source *random)
{
    bool is_shared = strcmp(m->locking, "NORMAL") == 0;
    bool rolls_back = strcmp(m->journal, "OFF") != 0;
    sqlite3 *other = NULL;
    disk_record(s->disk, true);
    set_up(s->db, m);
    make_tables(s->db);
    if (is_shared) {
        other = database_open(PLAIN_VFS, PATH);
        set_up(other, m);
    }
    disk_mark(s->disk, 1); /* the tables, and transactions: one less */
    for (int64_t n = 1; n <= 12; n++) {
        bool others = is_shared && random_between(random, 0, 2) == 0;
        transact(others ? other : s->db, random, n, rolls_back);
        disk_mark(s->disk, (uint64_t)n + 1);
        if (is_shared) {
            compare(s->db, other);
        }
        if (rolls_back && random_between(random, 0, 2) == 0) {
            roll_back(s->db, random);
        }
        if (random_between(random, 0, 5) == 0) {
            check_point(s->db, random);
        }
        if (n == 6) {
            database_run(s->db, "VACUUM");
        }
    }
    if (is_shared) {
        database_close(other);
    }
}

/* The first moment at which the transaction of that one had been committed. */
static size_t after_commit(const scene *s, size_t records)
{
    uint64_t mark = disk_mark_at(s->disk, records);
    while (records > 0 && disk_mark_at(s->disk, records) == mark) {
        records--;
    }
    return records;
}

/* What is on the disk after some of the records. */
static void check_copy(const scene *s, const mode *m, size_t records, random_source *random)
{
    if (m->end == IS_KILLED_AFTER_COMMIT) {
        records = after_commit(s, records);
    }
    uint64_t mark = m->end == IS_KILLED_AFTER_COMMIT && records < disk_records(s->disk)
                        ? disk_mark_at(s->disk, records + 1)
                        : disk_mark_at(s->disk, records);
    disk_build(s->disk, records, m->end == POWER_FAILS ? random : NULL, s->copies);
    sqlite3 *copy = database_open(COPY_VFS, PATH);
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

static void survives(const mode *m, bool together, uint32_t flags, random_source *random)
{
    scene s;
    begin_with(&s, together, flags);
    work(&s, m, random);
    check_integrity(s.db);
    size_t count = disk_records(s.disk);
    for (unsigned i = 0; i < fixture_rounds(25); i++) {
        check_copy(&s, m, (size_t)random_between(random, 0, count), random);
    }
    check_copy(&s, m, count, random);
    check(!together || disk_most_in_flight(s.disk) > 1);
    end(&s);
}

static void survives_all(bool together, uint32_t flags)
{
    uint64_t seed = number_from("EPIO_TEST_SEED", epio_clock_monotonic());
    random_source random = {seed};
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        survives(&modes[i], together, flags, &random);
    }
}

static void is_whole_at_any_moment(fixture *f)
{
    (void)f;
    survives_all(false, EPIO_SQLITE_OVERLAP);
}

static void is_whole_while_writes_are_in_flight(fixture *f)
{
    (void)f;
    survives_all(true, EPIO_SQLITE_OVERLAP);
}

/* The first bytes of records are held then, too. */
static void is_whole_without_delays(fixture *f)
{
    (void)f;
    survives_all(false, 0);
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

static void count_with(uint32_t flags, ops *counts)
{
    scene s;
    begin_with(&s, false, flags);
    database_run(s.db, "PRAGMA journal_mode=DELETE; CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    counts[0] = count_ops(&s, ROWS(1000) "INSERT INTO t SELECT i, randomblob(300) FROM n");
    database_close(s.db);
    s.db = database_open(TEST_VFS, PATH);
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
    (void)f;
    count_with(0, without);
    count_with(EPIO_SQLITE_OVERLAP, with);
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
    sqlite3 *other = database_open(PLAIN_VFS, PATH);
    check_result(database_number(other, "SELECT count(*) FROM t"), after);
    check_integrity(other);
    database_close(other);
    return some;
}

static void fails(bool together)
{
    for (size_t i = 0; i < sizeof failing_modes / sizeof failing_modes[0]; i++) {
        scene s;
        char sql[64];
        begin(&s, together);
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
    (void)f;
    fails(false);
    fails(true);
}

/* A reader may hold back a checkpoint, whose end SQLite publishes then without a further call: what
 * of it could not be written has to be known before. */
static void reports_failed_checkpoints(fixture *f)
{
    static const char *const kinds[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    (void)f;
    for (size_t i = 0; i < 16; i++) {
        scene s;
        char sql[64];
        bool reads = i < 8; /* else it is of the whole log */
        begin(&s, i % 8 >= 4);
        database_run(s.db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                           "CREATE TABLE t(b);" ROWS(
                               50) "INSERT INTO t SELECT zeroblob(900) FROM n;"
                                   "PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET b = 'new'");
        sqlite3 *other = database_open(PLAIN_VFS, PATH);
        database_run(other, reads ? "BEGIN" : "");
        check_result(database_number(other, "SELECT count(*) FROM t WHERE b = 'new'"), 50);
        database_run(s.db, "INSERT INTO t VALUES('later')");
        s.faults = (op_faults){
            .kind = EPIO_KIND_WRITE, .times = UINT32_MAX, .result = EPIO_EIO, .os_error = 5};
        (void)snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s)", kinds[i % 4]);
        check_result(database_try(s.db, sql), SQLITE_IOERR_WRITE);
        s.faults.times = 0;
        database_run(other, reads ? "COMMIT" : "");
        database_run(other, "DELETE FROM t WHERE b = 'later'; INSERT INTO t VALUES('later')");
        check_result(database_number(other, "SELECT count(*) FROM t WHERE b = 'new'"), 50);
        check_integrity(other);
        database_run(s.db, "PRAGMA wal_checkpoint(TRUNCATE)");
        database_close(other);
        other = database_open(PLAIN_VFS, PATH);
        check_result(database_number(other, "SELECT count(*) FROM t"), 51);
        check_integrity(other);
        database_close(other);
        end(&s);
    }
}

/* ---- Threads ------------------------------------------------------------------------ */

#define THREADS 6

/* What is performed is slow, so that the rest is submitted. */
static int slow_before(void *user, epio_op *op, void *state)
{
    (void)user;
    (void)state;
    if (op->kind == EPIO_KIND_WRITE && !epio_op_in_flight(op)) {
        epio_op sleep = EPIO_OP_INIT;
        (void)epio_perform(epio_sleep(&sleep, epio_os_vfs(), SLOW));
    }
    return 0;
}

static const epio_layer_methods slow_methods = {
    .size = sizeof(epio_layer_methods), .name = "slow", .before = slow_before};

typedef struct writer {
    char path[1024];
    const char *journal;
} writer;

static void *write_scattered(void *argument)
{
    const writer *one = argument;
    char sql[100];
    random_source random = {(uint64_t)(uintptr_t)one};
    sqlite3 *db = database_open(TEST_VFS, one->path);
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", one->journal);
    database_run(db, sql);
    database_run(db, "PRAGMA synchronous=OFF; PRAGMA cache_size=100; PRAGMA wal_autocheckpoint=30;"
                     "CREATE TABLE t(a INTEGER PRIMARY KEY, b);" ROWS(
                         200) "INSERT INTO t SELECT i, zeroblob(900) FROM n");
    for (int i = 0; i < 10; i++) {
        run_with(db, "UPDATE t SET b = randomblob(900) WHERE a %% 13 = %lld OR a = %lld",
                 (int64_t)random_between(&random, 0, 12), i);
    }
    check_result(database_number(db, "SELECT count(*) FROM t WHERE length(b) = 900"), 200);
    check_integrity(db);
    database_close(db);
    return NULL;
}

/* Each runs the loop for itself and for the others. */
static void threads_share_a_loop(fixture *f)
{
    epio_loop *loop;
    epio_vfs *vfs;
    writer writers[THREADS];
    test_thread threads[THREADS];
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_layer_vfs_create(&vfs, epio_loop_vfs(loop), &slow_methods, NULL), 0);
    epio_loop_detach(loop);
    check_result(epio_sqlite_register(TEST_VFS, vfs, EPIO_SQLITE_OVERLAP), 0);
    for (size_t i = 0; i < THREADS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "db%u", (unsigned)i);
        (void)snprintf(writers[i].path, sizeof writers[i].path, "%s", fixture_path(f, name));
        writers[i].journal = i % 2 == 0 ? "DELETE" : "WAL";
        thread_start(&threads[i], write_scattered, &writers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
    }
    check_result(epio_sqlite_unregister(TEST_VFS), 0);
    (void)epio_loop_poll(loop, EPIO_NOW, 0); /* it is this thread's */
    epio_loop_stats stats = {.size = sizeof stats};
    check_result(epio_loop_get_stats(loop, &stats), 0);
    check(stats.delivered > 0);
    epio_vfs_destroy(vfs);
    epio_loop_destroy(loop);
}

/* ---- Figures ---------------------------------------------------------------------------- */

#define FIGURES 12

/* Nanoseconds that statements take on a disk of 1 ms. */
static double time_of(scene *s, int times, const char *sql)
{
    uint64_t began = epio_clock_monotonic();
    for (int i = 0; i < times; i++) {
        database_run(s->db, sql);
    }
    return (double)(epio_clock_monotonic() - began) / times;
}

static void reopen(scene *s)
{
    database_close(s->db);
    s->db = database_open(TEST_VFS, PATH);
}

static const char *const inserts[] = {
    "INSERT INTO t(b) VALUES(randomblob(100))",
    ROWS(10) "INSERT INTO t(b) SELECT randomblob(100) FROM n",
    ROWS(100) "INSERT INTO t(b) SELECT randomblob(100) FROM n",
    ROWS(1000) "INSERT INTO t(b) SELECT randomblob(100) FROM n",
};

static void measure(double *figures, uint32_t flags, bool together)
{
    scene s;
    begin_with(&s, together, flags);
    disk_set_delays(s.disk, MILLISECOND, MILLISECOND);
    for (size_t i = 0; i < 2; i++) {
        database_run(s.db, i == 0 ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL");
        database_run(s.db, "CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b);"
                           "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL");
        for (size_t j = 0; j < 4; j++) {
            *figures++ = time_of(&s, j < 3 ? 10 : 2, inserts[j]);
        }
    }
    database_run(s.db, "PRAGMA wal_checkpoint(TRUNCATE)");
    database_run(s.db,
                 "CREATE TABLE big(a INTEGER PRIMARY KEY, b);" ROWS(
                     1000) "INSERT INTO big SELECT i * 77777 % 65536, randomblob(3900) FROM n");
    database_run(s.db, "PRAGMA wal_checkpoint(TRUNCATE)");
    database_run(s.db, "UPDATE big SET b = randomblob(3900)");
    *figures++ = time_of(&s, 1, "PRAGMA wal_checkpoint(PASSIVE)");
    database_run(s.db, "PRAGMA wal_checkpoint(TRUNCATE); UPDATE big SET b = randomblob(3900)");
    *figures++ = time_of(&s, 1, "PRAGMA wal_checkpoint(TRUNCATE)");
    database_run(s.db, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    reopen(&s);
    *figures++ = time_of(&s, 1, "SELECT sum(length(b)) FROM big");
    database_run(s.db, "PRAGMA journal_mode=DELETE");
    *figures++ = time_of(&s, 1, "UPDATE big SET b = randomblob(3900) WHERE a % 7 = 0");
    end(&s);
}

/* Printed if EPIO_TEST_FIGURES is set. */
static void has_figures(fixture *f)
{
    static const char *const names[FIGURES] = {
        "journal, commit of 1 row",
        "journal, commit of 10 rows",
        "journal, commit of 100 rows",
        "journal, commit of 1,000 rows",
        "log, commit of 1 row",
        "log, commit of 10 rows",
        "log, commit of 100 rows",
        "log, commit of 1,000 rows",
        "checkpoint of 4 MiB, passive",
        "checkpoint of 4 MiB, truncating",
        "scan of 4 MiB that are not cached",
        "journal, update of 140 scattered pages",
    };
    double figures[3][FIGURES];
    (void)f;
    if (getenv("EPIO_TEST_FIGURES") == NULL) {
        return;
    }
    measure(figures[0], 0, true);
    measure(figures[1], EPIO_SQLITE_OVERLAP, false);
    measure(figures[2], EPIO_SQLITE_OVERLAP, true);
    for (size_t i = 0; i < FIGURES; i++) {
        print_message(
            "%-40s %8.1f ms; without a loop %8.1f, %5.1f times; with %8.1f, %5.1f times\n",
            names[i], figures[0][i] / 1e6, figures[1][i] / 1e6, figures[0][i] / figures[1][i],
            figures[2][i] / 1e6, figures[0][i] / figures[2][i]);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static const fixture_test tests[] = {
        FIXTURE_TEST(is_whole_at_any_moment, ON_OS_PERFORM),
        FIXTURE_TEST(is_whole_while_writes_are_in_flight, ON_OS_PERFORM),
        FIXTURE_TEST(is_whole_without_delays, ON_OS_PERFORM),
        FIXTURE_TEST(has_fewer_ops, ON_OS_PERFORM),
        FIXTURE_TEST(rolls_back_what_cannot_be_written, ON_OS_PERFORM),
        FIXTURE_TEST(threads_share_a_loop, ON_OS_PERFORM),
        FIXTURE_TEST(has_figures, ON_OS_PERFORM),
        FIXTURE_TEST(reports_failed_checkpoints, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("sqlite-overlap", tests);
}
