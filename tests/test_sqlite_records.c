/* Records of logs and journals that the VFS writes by one call: which bytes it holds back until the
 * page, by SQLite and by SQLite's methods; that nothing is held when a statement returns; and what
 * every other call on the file does first. What is left when the process is killed is
 * test_sqlite_overlap's, and test_sqlite_processes'. EPIO_TEST_ONCE. */
#include "database.h"
#include "disk_model.h"
#include "op_faults.h"

#include <epio/layer.h>
#include <epio/sqlite.h>

#define PATH "/data"

typedef struct scene {
    epio_vfs *memory;
    epio_vfs *faults_vfs;
    op_faults faults;
    disk_model *disk;
    epio_vfs *vfs;
} scene;

static void begin(scene *s)
{
    memset(s, 0, sizeof *s);
    check_result(epio_memory_vfs_create(&s->memory, NULL), 0);
    s->faults_vfs = op_faults_create(s->memory, &s->faults);
    s->vfs = disk_model_create(&s->disk, s->faults_vfs, PATH);
    (void)epio_sqlite_unregister(TEST_VFS);
    check_result(epio_sqlite_register(TEST_VFS, s->vfs, 0), 0);
}

static void end(scene *s)
{
    check_result(epio_sqlite_unregister(TEST_VFS), 0);
    epio_vfs_destroy(s->vfs);
    epio_vfs_destroy(s->faults_vfs);
    epio_vfs_destroy(s->memory);
}

static int64_t writes_of(const scene *s)
{
    return (int64_t)disk_count(s->disk, EPIO_KIND_WRITE);
}

/* ---- By SQLite --------------------------------------------------------------------- */

#define ROWS(count)                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " #count ") "

static int64_t writes_for(scene *s, sqlite3 *db, const char *sql)
{
    int64_t before = writes_of(s);
    database_run(db, sql);
    return writes_of(s) - before;
}

/* A write for each frame; and one for the log's header. */
static void a_frame_is_one_write(fixture *f)
{
    scene s;
    (void)f;
    begin(&s);
    sqlite3 *db = database_open(TEST_VFS, PATH);
    database_run(db, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                     "CREATE TABLE t(a INTEGER PRIMARY KEY, b); PRAGMA wal_checkpoint(TRUNCATE)");
    int64_t writes = writes_for(&s, db, ROWS(200) "INSERT INTO t SELECT i, zeroblob(900) FROM n");
    sqlite3_file *log = NULL;
    sqlite3_int64 size = 0;
    check_result(sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log), SQLITE_OK);
    check_result(log->pMethods->xFileSize(log, &size), SQLITE_OK);
    check((size - 32) % (1024 + 24) == 0);
    check_result(writes, 1 + (size - 32) / (1024 + 24));
    /* And across transactions, while nothing is read. */
    check_result(writes_for(&s, db, "UPDATE t SET b = 'one' WHERE a = 1"), 1);
    check_result(writes_for(&s, db, "UPDATE t SET b = 'two' WHERE a = 1"), 1);
    database_close(db);
    end(&s);
}

/* For a changed page one write to the database, and two to the journal: the number and the page,
 * and the checksum. Its header, and what ends it, are written once for each transaction. */
static void a_page_in_a_journal_is_two_writes(fixture *f)
{
    scene s;
    (void)f;
    begin(&s);
    sqlite3 *db = database_open(TEST_VFS, PATH);
    database_run(db, "PRAGMA page_size=1024; PRAGMA journal_mode=PERSIST; PRAGMA synchronous=OFF;"
                     "CREATE TABLE t(a INTEGER PRIMARY KEY, b);" ROWS(
                         50) "INSERT INTO t SELECT i, zeroblob(900) FROM n");
    int64_t one = writes_for(&s, db, "UPDATE t SET b = zeroblob(899) WHERE a = 30");
    int64_t several =
        writes_for(&s, db, "UPDATE t SET b = zeroblob(898) WHERE a BETWEEN 21 AND 30");
    check_result(several - one, 9 * 3);
    database_close(db);
    end(&s);
}

typedef struct way {
    const char *journal;
    const char *locking;
} way;

static const way ways[] = {{"DELETE", "NORMAL"},     {"TRUNCATE", "NORMAL"}, {"PERSIST", "NORMAL"},
                           {"PERSIST", "EXCLUSIVE"}, {"WAL", "NORMAL"},      {"WAL", "EXCLUSIVE"}};

/* Another call on the journal has nothing to write first. */
static void check_nothing_held(scene *s, sqlite3 *db)
{
    sqlite3_file *journal = NULL;
    sqlite3_int64 size;
    int64_t before = writes_of(s);
    check_result(sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal),
                 SQLITE_OK);
    if (journal != NULL && journal->pMethods != NULL) {
        check_result(journal->pMethods->xFileSize(journal, &size), SQLITE_OK);
    }
    check_result(writes_of(s), before);
}

/* With a small cache, so that pages are written early, and frames of the log again: the last thing
 * that such a transaction writes is then a frame's header alone. */
static void nothing_is_held_after_a_statement(fixture *f)
{
    static const char *const statements[] = {
        "INSERT INTO t SELECT NULL, randomblob(700) FROM t LIMIT 20",
        "BEGIN",
        "UPDATE t SET b = randomblob(600)",
        "UPDATE t SET b = randomblob(600)",
        "SAVEPOINT s",
        "UPDATE t SET b = randomblob(500) WHERE a % 2 = 0",
        "ROLLBACK TO s",
        "UPDATE t SET b = randomblob(500) WHERE a % 3 = 0",
        "COMMIT",
        "UPDATE t SET b = randomblob(600) WHERE a = 3",
        "BEGIN",
        "UPDATE t SET b = randomblob(600)",
        "ROLLBACK",
        "UPDATE t SET b = randomblob(600) WHERE a = 4",
    };
    (void)f;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        scene s;
        char sql[200];
        begin(&s);
        sqlite3 *db = database_open(TEST_VFS, PATH);
        (void)snprintf(sql, sizeof sql,
                       "PRAGMA page_size=1024; PRAGMA locking_mode=%s; PRAGMA journal_mode=%s",
                       ways[i].locking, ways[i].journal);
        database_run(db, sql);
        database_run(db, "PRAGMA synchronous=OFF; PRAGMA cache_size=5;"
                         "CREATE TABLE t(a INTEGER PRIMARY KEY, b);" ROWS(
                             60) "INSERT INTO t SELECT i, zeroblob(700) FROM n");
        for (size_t k = 0; k < sizeof statements / sizeof statements[0]; k++) {
            database_run(db, statements[k]);
            check_nothing_held(&s, db);
        }
        check_integrity(db);
        database_close(db);
        end(&s);
    }
}

/* ---- By SQLite's methods ----------------------------------------------------------- */

typedef struct open_file {
    sqlite3_vfs *vfs;
    sqlite3_file *file;
} open_file;

static const sqlite3_io_methods *open_it(open_file *one, int kind)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | kind;
    const char *path = kind == SQLITE_OPEN_SUBJOURNAL ? NULL : PATH;
    one->vfs = sqlite3_vfs_find(TEST_VFS);
    one->file = calloc(1, (size_t)one->vfs->szOsFile);
    if (one->file == NULL) {
        abort();
    }
    check_result(one->vfs->xOpen(one->vfs, path, one->file, flags, NULL), SQLITE_OK);
    return one->file->pMethods;
}

static unsigned char bytes[70000];

static int put(open_file *one, int len, sqlite3_int64 offset)
{
    return one->file->pMethods->xWrite(one->file, bytes + offset, len, offset);
}

static void put_well(open_file *one, int len, sqlite3_int64 offset)
{
    check_result(put(one, len, offset), SQLITE_OK);
}

static void fill_bytes(void)
{
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    }
}

/* The writes that reach the VFS. */
static int64_t written(const scene *s)
{
    return (int64_t)s->faults.counts[EPIO_KIND_WRITE];
}

static void check_bytes_of(open_file *one, int len, sqlite3_int64 offset)
{
    static unsigned char read[sizeof bytes];
    check_result(one->file->pMethods->xRead(one->file, read, len, offset), SQLITE_OK);
    check(memcmp(read, bytes + offset, (size_t)len) == 0);
}

static void close_it(open_file *one)
{
    check_result(one->file->pMethods->xClose(one->file), SQLITE_OK);
    free(one->file);
}

/* In a log: a header that begins where the last write ended. */
static void holds_the_header_of_a_new_frame(fixture *f)
{
    scene s;
    open_file one;
    (void)f;
    fill_bytes();
    begin(&s);
    (void)open_it(&one, SQLITE_OPEN_WAL);
    put_well(&one, 24, 0); /* where nothing ended */
    check_result(written(&s), 1);
    put_well(&one, 32, 0);
    put_well(&one, 24, 32);
    check_result(written(&s), 2);
    put_well(&one, 512, 56);
    check_result(written(&s), 3);
    put_well(&one, 24, 568);
    put_well(&one, 65536, 592); /* the longest page */
    check_result(written(&s), 4);
    check_bytes_of(&one, 592 + 65536, 0);
    put_well(&one, 24, 592 + 65536); /* a read came before */
    check_result(written(&s), 5);
    put_well(&one, 24, 32); /* written again */
    check_result(written(&s), 6);
    put_well(&one, 4, 56); /* no header */
    check_result(written(&s), 7);
    put_well(&one, 24, 60);
    put_well(&one, 24, 700); /* what follows is elsewhere */
    check_result(written(&s), 9);
    check_bytes_of(&one, 592 + 65536, 0);
    close_it(&one);
    end(&s);
}

static void holds_page_numbers(fixture *f)
{
    scene s;
    open_file one;
    (void)f;
    fill_bytes();
    begin(&s);
    (void)open_it(&one, SQLITE_OPEN_MAIN_JOURNAL);
    put_well(&one, 512, 0);
    for (int i = 0; i < 5; i++) {
        int64_t before = written(&s);
        put_well(&one, 4, 512 + 1032 * i);
        check_result(written(&s), before);
        put_well(&one, 1024, 516 + 1032 * i);
        check_result(written(&s), before + 1);
        put_well(&one, 4, 1540 + 1032 * i); /* the checksum: at once */
        check_result(written(&s), before + 2);
    }
    check_bytes_of(&one, 512 + 5 * 1032, 0);
    close_it(&one);
    (void)open_it(&one, SQLITE_OPEN_SUBJOURNAL | SQLITE_OPEN_DELETEONCLOSE);
    for (int i = 0; i < 5; i++) {
        int64_t before = written(&s);
        put_well(&one, 4, 1028 * i);
        check_result(written(&s), before);
        put_well(&one, 1024, 1028 * i + 4);
        check_result(written(&s), before + 1);
    }
    check_bytes_of(&one, 5 * 1028, 0);
    close_it(&one);
    end(&s);
}

/* Of databases and temporary files every write is made at once. */
static void holds_nothing_of_other_files(fixture *f)
{
    static const int kinds[] = {SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_TEMP_JOURNAL,
                                SQLITE_OPEN_SUPER_JOURNAL, SQLITE_OPEN_TRANSIENT_DB};
    (void)f;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        scene s;
        open_file one;
        begin(&s);
        (void)open_it(&one, kinds[i]);
        put_well(&one, 32, 0);
        put_well(&one, 24, 32);
        put_well(&one, 4, 56);
        check_result(written(&s), 3);
        close_it(&one);
        end(&s);
    }
}

enum { READS, TRUNCATES, ASKS_SIZE, SYNCS, CONTROLS, WRITES_ELSEWHERE, CLOSES, CALLS };

static int call(open_file *one, int which)
{
    const sqlite3_io_methods *methods = one->file->pMethods;
    char byte;
    int number = 0;
    sqlite3_int64 size;
    switch (which) {
    case READS:
        return methods->xRead(one->file, &byte, 1, 40);
    case TRUNCATES:
        return methods->xTruncate(one->file, 56);
    case ASKS_SIZE:
        return methods->xFileSize(one->file, &size);
    case SYNCS:
        return methods->xSync(one->file, SQLITE_SYNC_NORMAL);
    case CONTROLS:
        return methods->xFileControl(one->file, SQLITE_FCNTL_LOCKSTATE, &number);
    case WRITES_ELSEWHERE:
        return put(one, 1, 0);
    default:
        return methods->xClose(one->file);
    }
}

/* With what is held: it goes out first; and where that fails, the call fails, and the next does
 * not. */
static void other_calls_write_it_first(fixture *f)
{
    (void)f;
    for (int i = 0; i < CALLS * 2; i++) {
        scene s;
        open_file one;
        epio_info info = {.size = sizeof info};
        epio_op op = EPIO_OP_INIT;
        bool fails = i >= CALLS;
        int which = i % CALLS;
        begin(&s);
        (void)open_it(&one, SQLITE_OPEN_WAL);
        put_well(&one, 32, 0);
        put_well(&one, 24, 32);
        check_result(written(&s), 1);
        s.faults.kind = EPIO_KIND_WRITE;
        s.faults.times = fails ? 1 : 0;
        s.faults.result = EPIO_EIO;
        check_result(call(&one, which), fails ? SQLITE_IOERR_WRITE : SQLITE_OK);
        check_result(written(&s), !fails && which == WRITES_ELSEWHERE ? 3 : 2);
        check_result(epio_perform(epio_stat(&op, s.vfs, PATH, &info, 0)), 0);
        check_result((int64_t)info.bytes, fails ? 32 : 56);
        if (which != CLOSES) {
            check_result(call(&one, ASKS_SIZE), SQLITE_OK);
            check_result(one.file->pMethods->xClose(one.file), SQLITE_OK);
        }
        free(one.file);
        end(&s);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_frame_is_one_write, ON_OS_PERFORM),
        FIXTURE_TEST(a_page_in_a_journal_is_two_writes, ON_OS_PERFORM),
        FIXTURE_TEST(nothing_is_held_after_a_statement, ON_OS_PERFORM),
        FIXTURE_TEST(holds_the_header_of_a_new_frame, ON_OS_PERFORM),
        FIXTURE_TEST(holds_page_numbers, ON_OS_PERFORM),
        FIXTURE_TEST(holds_nothing_of_other_files, ON_OS_PERFORM),
        FIXTURE_TEST(other_calls_write_it_first, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("sqlite-records", tests);
}
