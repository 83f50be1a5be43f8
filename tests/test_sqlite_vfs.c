/* SQLite over any VFS: what databases do in the modes of the rollback journal, file controls, and
 * what fails. The system's own VFS of SQLite's, beside this one, is in test_sqlite_vfs_posix.c.
 * EPIO_TEST_ONCE, and without loops: EPIO_TEST_WITHOUT_LOOP; delayed writes:
 * EPIO_TEST_OVERLAP. */
#include "database.h"
#include "op_faults.h"

#include <epio/sqlite.h>

#define CREATE_FLAGS (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI)
#define ON_ALL ON_ANY_PERFORM
#define ON_TWO (ON_OS_PERFORM | ON_MEMORY_PERFORM)

static const char *const journal_modes[] = {"DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"};

/* DELETE, TRUNCATE, PERSIST: those that leave a journal when the process ends. */
#define LASTING_MODES 3

static void start(fixture *f)
{
    (void)epio_sqlite_unregister("tested"); /* a test that failed has left it */
    check_result(epio_sqlite_register("tested", f->vfs, databases_flags()), 0);
}

static void end(void)
{
    check_result(epio_sqlite_unregister("tested"), 0);
}

static sqlite3 *open_tested(fixture *f, const char *name)
{
    return database_open("tested", fixture_path(f, name));
}

static void set_mode(sqlite3 *db, const char *mode)
{
    char statement[64];
    (void)snprintf(statement, sizeof statement, "PRAGMA journal_mode=%s", mode);
    database_run(db, statement);
}

#define ROWS(count)                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " #count ") "

#define FILL_AGAIN ROWS(2000) "INSERT INTO t(b) SELECT randomblob(300) FROM n;"
#define FILL ROWS(2000) "INSERT INTO t SELECT i, randomblob(300) FROM n;"

/* ---- Registration ------------------------------------------------------------ */

static void refuses_registrations(fixture *f)
{
    check_result(epio_sqlite_register(NULL, f->vfs, 0), EPIO_EINVAL);
    check_result(epio_sqlite_register("", f->vfs, 0), EPIO_EINVAL);
    check_result(epio_sqlite_register("tested", NULL, 0), EPIO_EINVAL);
    check_result(epio_sqlite_register("tested", f->vfs, 1u << 30), EPIO_EINVAL);
    check_result(epio_sqlite_unregister(NULL), EPIO_EINVAL);
    check_result(epio_sqlite_unregister("tested"), EPIO_ENOENT);
    check_result(epio_sqlite_register(sqlite3_vfs_find(NULL)->zName, f->vfs, 0), EPIO_EEXIST);
    check_result(epio_sqlite_unregister(sqlite3_vfs_find(NULL)->zName), EPIO_ENOENT);
    start(f);
    check_result(epio_sqlite_register("tested", f->vfs, 0), EPIO_EEXIST);
    sqlite3 *db = open_tested(f, "db");
    check_result(epio_sqlite_unregister("tested"), EPIO_EBUSY);
    database_run(db, "CREATE TABLE t(a)");
    database_close(db);
    end();
    check_result(epio_sqlite_unregister("tested"), EPIO_ENOENT);
}

static void becomes_the_default(fixture *f)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    char name[] = "tested";
    check_result(epio_sqlite_register(name, f->vfs, EPIO_SQLITE_DEFAULT), 0);
    name[0] = 'x'; /* it was copied */
    check(strcmp(sqlite3_vfs_find(NULL)->zName, "tested") == 0);
    check_result(epio_sqlite_register("other", f->vfs, 0), 0);
    sqlite3 *db = database_open(NULL, fixture_path(f, "db"));
    char *vfs_name = NULL;
    check_result(sqlite3_file_control(db, "main", SQLITE_FCNTL_VFSNAME, &vfs_name), SQLITE_OK);
    check(strcmp(vfs_name, "tested") == 0);
    sqlite3_free(vfs_name);
    database_close(db);
    end();
    check(sqlite3_vfs_find(NULL) == system);
    check_result(epio_sqlite_unregister("other"), 0);
}

static void has_the_methods_of_a_vfs(fixture *f)
{
    char bytes[16] = {0};
    double day = 0;
    sqlite3_int64 ms = 0;
    start(f);
    sqlite3_vfs *vfs = sqlite3_vfs_find("tested");
    check_result(vfs->iVersion, 3);
    check_result(vfs->xRandomness(vfs, sizeof bytes, bytes), sizeof bytes);
    check_result(vfs->xSleep(vfs, 1000), 1000);
    check_result(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
    check_result(vfs->xCurrentTime(vfs, &day), SQLITE_OK);
    check(ms / 86400000 == (sqlite3_int64)day && day > 2460000.0); /* 2023 */
    check((vfs->xDlOpen != NULL) == (sqlite3_vfs_find(NULL)->xDlOpen != NULL));
    if (vfs->xDlOpen != NULL) { /* SQLite loads extensions */
        void *library = vfs->xDlOpen(vfs, fixture_path(f, "no.library"));
        check(library == NULL);
        vfs->xDlError(vfs, sizeof bytes, bytes);
    }
    sqlite3 *db = open_tested(f, "db");
    check_text(db, "SELECT abs(julianday('now') - julianday()) < 1", "1");
    database_close(db);
    end();
}

/* ---- SQL ---------------------------------------------------------------------- */

static void change_rows(sqlite3 *db, bool can_roll_back)
{
    database_run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); BEGIN;" FILL "COMMIT");
    check_text(db, "SELECT count(*) || '/' || sum(a) FROM t", "2000/2001000");
    if (can_roll_back) {
        database_run(db, "BEGIN; UPDATE t SET b = 'x'; DELETE FROM t WHERE a > 10; ROLLBACK");
        check_text(db, "SELECT count(*) || '/' || count(DISTINCT b) FROM t", "2000/2000");
    }
    database_run(db, "UPDATE t SET b = a % 7; DELETE FROM t WHERE a % 2; CREATE INDEX i ON t(b)");
    check_text(db, "SELECT count(*) || '/' || sum(b) FROM t", "1000/3003");
    check_integrity(db);
}

static void works_in_every_journal_mode(fixture *f)
{
    start(f);
    for (size_t i = 0; i < sizeof journal_modes / sizeof journal_modes[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "db%u", (unsigned)i);
        sqlite3 *db = open_tested(f, name);
        set_mode(db, journal_modes[i]);
        change_rows(db, strcmp(journal_modes[i], "OFF") != 0);
        database_close(db);
        db = open_tested(f, name);
        check_text(db, "SELECT count(*) || '/' || sum(b) FROM t", "1000/3003");
        check_integrity(db);
        database_close(db);
    }
    end();
}

static void spills_to_temporary_files(fixture *f)
{
    op_faults faults;
    epio_vfs *layer = op_faults_create(f->vfs, &faults);
    check_result(epio_sqlite_register("tested", layer, databases_flags()), 0);
    sqlite3 *db = open_tested(f, "db");
    database_run(db,
                 "PRAGMA temp_store=FILE; PRAGMA cache_size=10; PRAGMA temp.cache_size=10;"
                 "CREATE TEMP TABLE u(a, b);" ROWS(20000) "INSERT INTO u SELECT i, randomblob(200)"
                                                          " FROM n; CREATE TABLE t(a, b)");
    check_text(db, "SELECT count(*) FROM (SELECT * FROM u ORDER BY b LIMIT 20000)", "20000");
    database_run(db, "BEGIN;" FILL "SAVEPOINT s; UPDATE t SET b = randomblob(300); ROLLBACK TO s;"
                     "UPDATE t SET b = 1 WHERE a < 100; COMMIT");
    check_text(db, "SELECT sum(b = 1) || '/' || count(*) FROM t", "99/2000");
    check_integrity(db);
    check(faults.counts[EPIO_KIND_OPEN] > 3); /* some of them temporary */
    database_close(db);
    end();
    epio_vfs_destroy(layer);
}

/* A VFS without temporary files gives them names. */
static void names_temporary_files(fixture *f)
{
    op_faults faults;
    epio_vfs *layer = op_faults_create(f->vfs, &faults);
    check_result(epio_sqlite_register("tested", layer, databases_flags()), 0);
    sqlite3 *db = open_tested(f, "db");
    faults.kind = EPIO_KIND_OPEN;
    faults.only_flags = EPIO_OPEN_TEMPORARY;
    faults.times = UINT32_MAX;
    faults.result = EPIO_ENOTSUP;
    database_run(
        db, "PRAGMA temp_store=FILE; PRAGMA temp.cache_size=10; CREATE TEMP TABLE u(a, b);" ROWS(
                5000) "INSERT INTO u SELECT i, randomblob(200) FROM n");
    check(faults.times < UINT32_MAX);
    check_text(db, "SELECT count(*) FROM u", "5000");
    database_close(db);
    end();
    epio_vfs_destroy(layer);
}

static void vacuums(fixture *f)
{
    char statement[600];
    start(f);
    sqlite3 *db = open_tested(f, "db");
    database_run(db, "PRAGMA auto_vacuum=INCREMENTAL; VACUUM; CREATE TABLE t(a, b);" FILL
                     "DELETE FROM t WHERE a > 100");
    int64_t before = database_number(db, "PRAGMA page_count");
    database_run(db, "PRAGMA incremental_vacuum(50)");
    check_result(database_number(db, "PRAGMA page_count"), before - 50);
    database_run(db, "VACUUM");
    check(database_number(db, "PRAGMA page_count") < before / 2);
    (void)snprintf(statement, sizeof statement, "VACUUM INTO '%s'", fixture_path(f, "copy"));
    database_run(db, statement);
    check_integrity(db);
    database_close(db);
    db = open_tested(f, "copy");
    check_text(db, "SELECT count(*) FROM t", "100");
    database_close(db);
    end();
}

static void attaches(fixture *f)
{
    char statement[600];
    start(f);
    for (size_t i = 0; i < LASTING_MODES; i++) {
        sqlite3 *db = open_tested(f, "db");
        (void)snprintf(statement, sizeof statement, "ATTACH '%s' AS other",
                       fixture_path(f, "other"));
        database_run(db, statement);
        set_mode(db, journal_modes[i]);
        database_run(db, "CREATE TABLE IF NOT EXISTS t(a); CREATE TABLE IF NOT EXISTS other.o(a);"
                         "BEGIN; INSERT INTO t VALUES(1); INSERT INTO o VALUES(1); COMMIT;"
                         "BEGIN; INSERT INTO t VALUES(2); INSERT INTO o VALUES(2); ROLLBACK");
        check_result(database_number(db, "SELECT count(*) FROM t, o WHERE t.rowid = o.rowid"),
                     i + 1);
        database_close(db);
    }
    end();
}

static void maps_pages(fixture *f)
{
    start(f);
    sqlite3 *db = open_tested(f, "db");
    if (database_number(db, "PRAGMA mmap_size=4000000") != 4000000) {
        database_close(db); /* SQLite was built without */
        end();
        return;
    }
    database_run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b);" FILL);
    check_text(db, "SELECT sum(length(b)) FROM t", "600000");
    database_run(db, FILL_AGAIN);
    check_text(db, "SELECT sum(length(b)) FROM t", "1200000");
    database_run(db, "DELETE FROM t WHERE a > 100; VACUUM");
    check_text(db, "SELECT sum(length(b)) FROM t", "30000");
    database_run(db, "PRAGMA mmap_size=0");
    database_run(db, FILL_AGAIN);
    database_run(db, "PRAGMA mmap_size=100000"); /* less than the file */
    check_text(db, "SELECT count(*) FROM t", "2100");
    check_integrity(db);
    database_close(db);
    end();
}

static void connections_exclude_each_other(fixture *f)
{
    int reserved = -1;
    start(f);
    sqlite3 *one = open_tested(f, "db");
    sqlite3 *two = open_tested(f, "db");
    database_run(one, "CREATE TABLE t(a)");
    database_run(one, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1)");
    sqlite3_file *file = database_file(two);
    check_result(file->pMethods->xCheckReservedLock(file, &reserved), SQLITE_OK);
    check_result(reserved, 1);
    check_text(two, "SELECT count(*) FROM t", "0");
    check_result(database_try(two, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    database_run(two, "BEGIN; SELECT * FROM t");
    check_result(database_try(one, "COMMIT"), SQLITE_BUSY); /* which leaves PENDING */
    int level = 0;
    check_result(sqlite3_file_control(one, "main", SQLITE_FCNTL_LOCKSTATE, &level), SQLITE_OK);
    check_result(level, SQLITE_LOCK_PENDING);
    database_run(two, "COMMIT");
    check_result(database_try(two, "SELECT * FROM t"), SQLITE_BUSY);
    database_run(one, "COMMIT");
    check_text(two, "SELECT count(*) FROM t", "1");
    database_run(one, "BEGIN EXCLUSIVE");
    check_result(database_try(two, "SELECT * FROM t"), SQLITE_BUSY);
    database_close(one);
    database_run(two, "INSERT INTO t VALUES(2)");
    database_close(two);
    end();
}

/* ---- File controls -------------------------------------------------------------- */

#define CONTROL(db, code, argument) sqlite3_file_control(db, "main", code, argument)

static int control_number(sqlite3 *db, int code, int value)
{
    check_result(CONTROL(db, code, &value), SQLITE_OK);
    return value;
}

static void has_file_controls(fixture *f)
{
    start(f);
    sqlite3 *db = open_tested(f, "db");
    database_run(db, "CREATE TABLE t(a)");
    check_result(control_number(db, SQLITE_FCNTL_LOCKSTATE, -1), SQLITE_LOCK_NONE);
    database_run(db, "BEGIN; SELECT * FROM t");
    check_result(control_number(db, SQLITE_FCNTL_LOCKSTATE, -1), SQLITE_LOCK_SHARED);
    database_run(db, "COMMIT; BEGIN IMMEDIATE");
    check_result(control_number(db, SQLITE_FCNTL_LOCKSTATE, -1), SQLITE_LOCK_RESERVED);
    database_run(db, "COMMIT");
    check_result(control_number(db, SQLITE_FCNTL_LAST_ERRNO, -1), 0);
    check_result(control_number(db, SQLITE_FCNTL_PERSIST_WAL, -1), 0);
    check_result(control_number(db, SQLITE_FCNTL_PERSIST_WAL, 1), 1);
    check_result(control_number(db, SQLITE_FCNTL_PERSIST_WAL, -1), 1);
    check_result(control_number(db, SQLITE_FCNTL_POWERSAFE_OVERWRITE, -1), 1);
    sqlite3_file *file = database_file(db);
    check_result(file->pMethods->xDeviceCharacteristics(file), SQLITE_IOCAP_POWERSAFE_OVERWRITE);
    check_result(control_number(db, SQLITE_FCNTL_POWERSAFE_OVERWRITE, 0), 0);
    check_result(file->pMethods->xDeviceCharacteristics(file), 0);
    check(file->pMethods->xSectorSize(file) >= 4096);
    check_result(control_number(db, SQLITE_FCNTL_HAS_MOVED, -1), 0);
    char *name = NULL;
    check_result(CONTROL(db, SQLITE_FCNTL_TEMPFILENAME, &name), SQLITE_OK);
    check(strstr(name, "/etilqs_") != NULL);
    sqlite3_free(name);
    int unknown = 0;
    check_result(CONTROL(db, 12345, &unknown), SQLITE_NOTFOUND);
    database_close(db);
    db = database_open("tested", fixture_path(f, "db"));
    database_close(db);
    end();
}

static void has_the_uri_parameters(fixture *f)
{
    char uri[600];
    start(f);
    (void)snprintf(uri, sizeof uri, "file:%s?psow=0&vfs=tested", fixture_path(f, "db"));
    sqlite3 *db = database_open(NULL, uri);
    check_result(control_number(db, SQLITE_FCNTL_POWERSAFE_OVERWRITE, -1), 0);
    database_run(db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    sqlite3 *holder = open_tested(f, "db");
    database_run(holder, "BEGIN EXCLUSIVE");
    check_result(database_try(db, "SELECT * FROM t"), SQLITE_BUSY);
    (void)snprintf(uri, sizeof uri, "file:%s?nolock=1", fixture_path(f, "db"));
    sqlite3 *other = database_open("tested", uri);
    check_text(other, "SELECT a FROM t", "1");
    database_close(other);
    (void)snprintf(uri, sizeof uri, "file:%s?immutable=1", fixture_path(f, "db"));
    other = database_open("tested", uri);
    check_text(other, "SELECT a FROM t", "1");
    check_result(database_try(other, "INSERT INTO t VALUES(2)"), SQLITE_READONLY);
    database_close(other);
    database_close(holder);
    database_close(db);
    end();
}

static void grows_by_chunks(fixture *f)
{
    sqlite3_int64 size = 0;
    int chunk = 65536;
    start(f);
    sqlite3 *db = open_tested(f, "db");
    check_result(CONTROL(db, SQLITE_FCNTL_CHUNK_SIZE, &chunk), SQLITE_OK);
    database_run(db, "CREATE TABLE t(a); INSERT INTO t VALUES(randomblob(100000))");
    sqlite3_file *file = database_file(db);
    check_result(file->pMethods->xFileSize(file, &size), SQLITE_OK);
    check_result(size, 131072);
    sqlite3_int64 hint = 200000;
    check_result(CONTROL(db, SQLITE_FCNTL_SIZE_HINT, &hint), SQLITE_OK);
    check_result(file->pMethods->xFileSize(file, &size), SQLITE_OK);
    check_result(size, 262144);
    database_run(db, "DELETE FROM t; VACUUM");
    check_result(file->pMethods->xFileSize(file, &size), SQLITE_OK);
    check_result(size, 65536);
    check_integrity(db);
    database_close(db);
    end();
}

static void has_moved_if_another_is_there(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    start(f);
    sqlite3 *db = open_tested(f, "db");
    database_run(db, "CREATE TABLE t(a)");
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "db"), fixture_path(f, "elsewhere"), 0),
             0);
    check_result(control_number(db, SQLITE_FCNTL_HAS_MOVED, -1), 1);
    database_run(db, "SELECT * FROM t");
    check_result(database_try(db, "INSERT INTO t VALUES(1)"), SQLITE_READONLY_DBMOVED);
    fixture_put(f, "db", "x", 1);
    check_result(control_number(db, SQLITE_FCNTL_HAS_MOVED, -1), 1);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "elsewhere"), fixture_path(f, "db"), 0),
             0);
    check_result(control_number(db, SQLITE_FCNTL_HAS_MOVED, -1), 0);
    database_run(db, "INSERT INTO t VALUES(1)");
    database_close(db);
    end();
}

/* ---- What cannot be opened -------------------------------------------------------- */

static int open_fails(fixture *f, const char *name, int flags)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(fixture_path(f, name), &db, flags, "tested");
    check(code != SQLITE_OK);
    code = sqlite3_extended_errcode(db);
    check_result(sqlite3_close(db), SQLITE_OK);
    return code;
}

static void refuses_what_cannot_be_opened(fixture *f)
{
    start(f);
    fixture_make_directory(f, "directory");
    check_result(open_fails(f, "directory", CREATE_FLAGS), SQLITE_CANTOPEN_ISDIR);
    check_result(open_fails(f, "directory", SQLITE_OPEN_READONLY), SQLITE_CANTOPEN_ISDIR);
    check_result(open_fails(f, "missing", SQLITE_OPEN_READWRITE), SQLITE_CANTOPEN);
    check_result(open_fails(f, "missing", SQLITE_OPEN_READONLY), SQLITE_CANTOPEN);
    check_result(open_fails(f, "missing/db", CREATE_FLAGS), SQLITE_CANTOPEN);
    fixture_make_directory(f, "db-journal");
    sqlite3 *db = open_tested(f, "db");
    check_result(database_try(db, "CREATE TABLE t(a)"), SQLITE_CANTOPEN);
    database_close(db);
    fixture_put(f, "text", "This is no database, but a text that is long enough to see it.", 62);
    db = open_tested(f, "text");
    check_result(database_try(db, "SELECT * FROM sqlite_schema"), SQLITE_NOTADB);
    database_close(db);
    end();
}

static void falls_back_to_reading(fixture *f)
{
    op_faults faults;
    epio_vfs *layer = op_faults_create(f->vfs, &faults);
    check_result(epio_sqlite_register("tested", layer, databases_flags()), 0);
    sqlite3 *db = open_tested(f, "db");
    database_run(db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    check_result(sqlite3_db_readonly(db, "main"), 0);
    database_close(db);
    const int errors[] = {EPIO_EACCES, EPIO_EROFS};
    for (size_t i = 0; i < 2; i++) {
        faults.kind = EPIO_KIND_OPEN;
        faults.only_flags = EPIO_OPEN_WRITE;
        faults.times = 1;
        faults.result = errors[i];
        db = open_tested(f, "db");
        check_result(faults.times, 0);
        check_result(sqlite3_db_readonly(db, "main"), 1);
        check_text(db, "SELECT a FROM t", "1");
        check_result(database_try(db, "INSERT INTO t VALUES(2)"), SQLITE_READONLY);
        database_close(db);
    }
    end();
    epio_vfs_destroy(layer);
}

static void follows_links_unless_forbidden(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    if (system_is_wine() && !f->memory) {
        return; /* its links are the host's, and look like files */
    }
    start(f);
    sqlite3 *db = open_tested(f, "db");
    database_run(db, "CREATE TABLE t(a)");
    if (fixture_result(f, epio_symlink(&op, f->vfs, "db", fixture_path(f, "link"), 0)) != 0) {
        database_close(db); /* not allowed to this user */
        end();
        return;
    }
    database_close(db);
    check_result(open_fails(f, "link", CREATE_FLAGS | SQLITE_OPEN_NOFOLLOW),
                 SQLITE_CANTOPEN_SYMLINK);
    db = open_tested(f, "link");
    database_run(db, "PRAGMA journal_mode=PERSIST; INSERT INTO t VALUES(1)");
    check_result(fixture_exists(f, "db-journal"), 1);
    check_result(fixture_exists(f, "link-journal"), 0);
    database_close(db);
    end();
}

/* ---- What fails later --------------------------------------------------------------- */

typedef struct faulty {
    op_faults faults;
    epio_vfs *layer;
    sqlite3 *db;
} faulty;

static void start_faulty(fixture *f, faulty *one, const char *mode, const char *pragmas)
{
    epio_op op = EPIO_OP_INIT;
    (void)fixture_result(f, epio_delete(&op, f->vfs, fixture_path(f, "db"), 0));
    one->layer = op_faults_create(f->vfs, &one->faults);
    (void)epio_sqlite_unregister("tested");
    check_result(epio_sqlite_register("tested", one->layer, databases_flags()), 0);
    one->db = open_tested(f, "db");
    set_mode(one->db, mode);
    database_run(one->db, pragmas);
    database_run(one->db,
                 "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES(1, 'old')");
}

static void end_faulty(faulty *one)
{
    database_close(one->db);
    end();
    epio_vfs_destroy(one->layer);
}

/* One op fails, whichever it is: the transaction is rolled back, or was committed, and the
 * connection goes on. True: there was no such op any more. */
static bool fail_once(fixture *f, const char *mode, const char *pragmas, uint32_t kind,
                      uint32_t skip, int error)
{
    faulty one;
    start_faulty(f, &one, mode, pragmas);
    one.faults.kind = kind;
    one.faults.skip = skip;
    one.faults.times = 1;
    one.faults.result = error;
    one.faults.os_error = 5;
    int code = database_try(one.db, "BEGIN; UPDATE t SET b = 'new';"
                                    "INSERT INTO t VALUES(2, randomblob(20000)); COMMIT;"
                                    "PRAGMA wal_checkpoint");
    bool none = one.faults.times != 0;
    one.faults.times = 0;
    if (code != SQLITE_OK && sqlite3_get_autocommit(one.db) == 0) {
        database_run(one.db, "ROLLBACK");
    }
    check(none || code != SQLITE_OK);
    /* What fails after the journal's end is reported, but was committed, as with stock. */
    int64_t rows = database_number(one.db, "SELECT count(*) FROM t");
    check(rows == 2 || (rows == 1 && code != SQLITE_OK));
    check_text(one.db, "SELECT b FROM t WHERE a = 1", rows == 2 ? "new" : "old");
    database_run(one.db, "INSERT INTO t VALUES(3, 'later')");
    check_text(one.db, "SELECT b FROM t WHERE a = 3", "later");
    check_integrity(one.db);
    end_faulty(&one);
    return none;
}

static void fail_each(fixture *f, const char *pragmas, uint32_t kind, int error)
{
    for (size_t i = 0; i < LASTING_MODES; i++) {
        uint32_t skip = 0;
        while (!fail_once(f, journal_modes[i], pragmas, kind, skip, error)) {
            skip++;
        }
        check(skip > 1);
    }
}

static void recovers_from_failed_syncs(fixture *f)
{
    fail_each(f, "PRAGMA synchronous=FULL", EPIO_KIND_SYNC, EPIO_EIO);
}

/* Of the log in a commit and in a checkpoint, and of the database. */
static void recovers_from_failed_syncs_of_a_log(fixture *f)
{
    uint32_t skip = 0;
    while (!fail_once(f, "WAL", "PRAGMA synchronous=FULL", EPIO_KIND_SYNC, skip, EPIO_EIO)) {
        skip++;
    }
    check(skip >= 2);
}

static void recovers_from_failed_syncs_alone(fixture *f)
{
    fail_each(f, "PRAGMA locking_mode=EXCLUSIVE", EPIO_KIND_SYNC, EPIO_EIO);
}

static void recovers_from_failed_writes(fixture *f)
{
    fail_each(f, "PRAGMA synchronous=FULL", EPIO_KIND_WRITE, EPIO_EIO);
}

static void reports_a_full_disk(fixture *f)
{
    faulty one;
    start_faulty(f, &one, "DELETE", "PRAGMA cache_size=10");
    one.faults.kind = EPIO_KIND_WRITE;
    one.faults.skip = 2;
    one.faults.times = UINT32_MAX;
    one.faults.result = EPIO_ENOSPC;
    check_result(
        database_try(one.db, ROWS(2000) "INSERT INTO t SELECT i + 9, randomblob(300) FROM n"),
        SQLITE_FULL);
    one.faults.times = 0;
    check_text(one.db, "SELECT count(*) FROM t", "1");
    database_run(one.db, ROWS(2000) "INSERT INTO t SELECT i + 9, randomblob(300) FROM n");
    check_integrity(one.db);
    end_faulty(&one);
}

static void reports_errors(fixture *f)
{
    faulty one;
    int32_t number = 0;
    start_faulty(f, &one, "DELETE", "PRAGMA cache_size=0");
    one.faults = (op_faults){.kind = EPIO_KIND_READ, .times = 1, .result = EPIO_EIO};
    check_result(database_try(one.db, "SELECT * FROM t"), SQLITE_IOERR_READ);
    one.faults =
        (op_faults){.kind = EPIO_KIND_READ, .times = 1, .result = EPIO_EACCES, .os_error = 13};
    check_result(database_try(one.db, "SELECT * FROM t"), SQLITE_IOERR_READ);
    check_result(CONTROL(one.db, SQLITE_FCNTL_LAST_ERRNO, &number), SQLITE_OK);
    check_result(number, 13);
    check_result(sqlite3_system_errno(one.db), 13);
    one.faults = (op_faults){.kind = EPIO_KIND_LOCK, .times = 1, .result = EPIO_EIO};
    check_result(database_try(one.db, "SELECT * FROM t"), SQLITE_IOERR_RDLOCK);
    one.faults = (op_faults){.kind = EPIO_KIND_LOCK, .times = 1, .result = EPIO_EDEADLK};
    check_result(database_try(one.db, "SELECT * FROM t"), SQLITE_BUSY);
    one.faults = (op_faults){.kind = EPIO_KIND_SIZE, .times = 1, .result = EPIO_EIO};
    check_result(database_try(one.db, "SELECT * FROM t"), SQLITE_IOERR_FSTAT);
    one.faults = (op_faults){.kind = EPIO_KIND_DELETE, .times = 1, .result = EPIO_EPERM};
    check(database_try(one.db, "INSERT INTO t VALUES(9, 9)") != SQLITE_OK);
    check_text(one.db, "SELECT count(*) FROM t WHERE a = 1", "1");
    end_faulty(&one);
}

/* A VFS that has only what SQLite cannot do without. */
static void does_without(fixture *f)
{
    static const uint32_t kinds[] = {EPIO_KIND_ALLOCATE,         EPIO_KIND_MAP,
                                     EPIO_KIND_FILE_SYSTEM_INFO, EPIO_KIND_STAT,
                                     EPIO_KIND_FILE_STAT,        EPIO_KIND_SYNC_DIRECTORY,
                                     EPIO_KIND_FULL_PATHNAME};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        faulty one;
        start_faulty(f, &one, "DELETE", "PRAGMA synchronous=FULL");
        one.faults.kind = kinds[i];
        one.faults.times = UINT32_MAX;
        one.faults.result = EPIO_ENOTSUP;
        int chunk = 65536;
        check_result(CONTROL(one.db, SQLITE_FCNTL_CHUNK_SIZE, &chunk), SQLITE_OK);
        database_run(one.db,
                     "PRAGMA mmap_size=1000000; INSERT INTO t VALUES(2, randomblob(100000));"
                     "UPDATE t SET b = 'new'; VACUUM");
        sqlite3 *other = open_tested(f, "db");
        check_text(other, "SELECT count(*) FROM t WHERE b = 'new'", "2");
        check_integrity(other);
        database_close(other);
        end_faulty(&one);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static const fixture_test tests[] = {
        FIXTURE_TEST(refuses_registrations, ON_TWO),
        FIXTURE_TEST(becomes_the_default, ON_TWO),
        FIXTURE_TEST(has_the_methods_of_a_vfs, ON_ALL),
        FIXTURE_TEST(works_in_every_journal_mode, ON_ALL),
        FIXTURE_TEST(spills_to_temporary_files, ON_TWO),
        FIXTURE_TEST(names_temporary_files, ON_TWO),
        FIXTURE_TEST(vacuums, ON_ALL),
        FIXTURE_TEST(attaches, ON_ALL),
        FIXTURE_TEST(maps_pages, ON_ALL),
        FIXTURE_TEST(connections_exclude_each_other, ON_ALL),
        FIXTURE_TEST(has_file_controls, ON_ALL),
        FIXTURE_TEST(has_the_uri_parameters, ON_TWO),
        FIXTURE_TEST(grows_by_chunks, ON_ALL),
        FIXTURE_TEST_POSIX(has_moved_if_another_is_there, ON_TWO,
                           "Windows does not rename what is open"),
        FIXTURE_TEST(refuses_what_cannot_be_opened, ON_TWO),
        FIXTURE_TEST(falls_back_to_reading, ON_TWO),
        FIXTURE_TEST(follows_links_unless_forbidden, ON_TWO),
        FIXTURE_TEST(recovers_from_failed_syncs, ON_TWO),
        FIXTURE_TEST(recovers_from_failed_syncs_of_a_log, ON_TWO),
        FIXTURE_TEST(recovers_from_failed_syncs_alone, ON_TWO),
        FIXTURE_TEST(recovers_from_failed_writes, ON_TWO),
        FIXTURE_TEST(reports_a_full_disk, ON_TWO),
        FIXTURE_TEST(reports_errors, ON_TWO),
        FIXTURE_TEST(does_without, ON_TWO),
    };
    return FIXTURE_RUN("sqlite-vfs", tests);
}
