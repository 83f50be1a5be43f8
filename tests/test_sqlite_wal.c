/* The write-ahead log over epio's VFSes, shared by connections of this process: snapshots and
 * checkpoints, recovery, what remains of it after the last close, read-only connections, indexes of
 * many regions, and connections in threads. Other processes are test_sqlite_processes.c's. Both
 * kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS. Also without loops: EPIO_TEST_WITHOUT_LOOP;
 * independent of the backend: EPIO_TEST_ONCE; delayed writes: EPIO_TEST_OVERLAP. */
#include "database.h"

#include "op_faults.h"

#include <epio/sqlite.h>

#include <stdatomic.h>

#define SETTINGS (ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS | ON_TRACE_MEMORY | ON_LIMIT_OS_PERFORM)
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static sqlite3 *open_log(fixture *f)
{
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    database_run(database, "PRAGMA wal_autocheckpoint=0");
    return database;
}

static sqlite3 *open_table(fixture *f)
{
    sqlite3 *database = open_log(f);
    database_run(database, "CREATE TABLE IF NOT EXISTS t(x)");
    return database;
}

static void insert(sqlite3 *database)
{
    database_run(database, "INSERT INTO t VALUES(1)");
}

static void check_rows(sqlite3 *database, int64_t expected)
{
    check_result(database_number(database, "SELECT count(*) FROM t"), expected);
}

static int64_t size_of(fixture *f, const char *name)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, name, EPIO_OPEN_READ);
    int64_t size = fixture_result(f, epio_size(&op, file));
    fixture_close(f, file);
    return size;
}

/* ---- Snapshots and checkpoints --------------------------------------------- */

static const char *const modes[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};

/* True: something was in the way. */
static bool checkpoint_is_busy(sqlite3 *database, size_t mode)
{
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s)", modes[mode]);
    return database_number(database, sql) != 0;
}

static void a_reader_keeps_its_snapshot(fixture *f)
{
    databases_begin(f);
    sqlite3 *writer = open_table(f);
    sqlite3 *reader = open_log(f);
    insert(writer);
    database_run(reader, "BEGIN");
    check_rows(reader, 1);
    insert(writer);
    check_rows(reader, 1);
    for (size_t mode = 0; mode < 4; mode++) {
        check(checkpoint_is_busy(writer, mode) == (mode != 0));
        insert(writer);
        check_rows(reader, 1);
    }
    database_run(reader, "COMMIT");
    check_rows(reader, 6);
    for (size_t mode = 0; mode < 4; mode++) {
        insert(writer);
        check(!checkpoint_is_busy(writer, mode));
        check(size_of(f, "data-wal") == 0 ? mode == 3 : mode != 3);
    }
    check_rows(reader, 10);
    check_integrity(reader);
    database_close(reader);
    database_close(writer);
    databases_end(f);
}

/* Readers have different marks; each close is that of its own locks alone. */
static void a_close_leaves_the_locks_of_others(fixture *f)
{
    sqlite3 *readers[6];
    databases_begin(f);
    sqlite3 *writer = open_table(f);
    for (int i = 0; i < 6; i++) {
        readers[i] = open_log(f);
        database_run(readers[i], "BEGIN");
        check_rows(readers[i], i);
        insert(writer);
    }
    for (int i = 0; i < 6; i++) {
        check_rows(readers[i], i);
        check(checkpoint_is_busy(writer, 2));
        database_close(readers[i]);
    }
    check(!checkpoint_is_busy(writer, 2));
    check_rows(writer, 6);
    database_close(writer);
    databases_end(f);
}

static void one_writes_at_a_time(fixture *f)
{
    databases_begin(f);
    sqlite3 *one = open_table(f);
    sqlite3 *other = open_log(f);
    database_run(one, "BEGIN IMMEDIATE");
    check_result(database_try(other, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    check(checkpoint_is_busy(other, 1));
    insert(one);
    check_rows(other, 0);
    database_run(one, "COMMIT");
    database_run(other, "BEGIN");
    check_rows(other, 1);
    insert(one);
    check_result(database_try(other, "INSERT INTO t VALUES(2)"), SQLITE_BUSY_SNAPSHOT);
    database_run(other, "ROLLBACK");
    insert(other);
    check_rows(one, 3);
    database_close(one);
    database_close(other);
    databases_end(f);
}

static void the_log_is_checkpointed_by_itself(fixture *f)
{
    databases_begin(f);
    sqlite3 *database = open_table(f);
    database_run(database, "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=10");
    for (int i = 0; i < 100; i++) {
        insert(database);
    }
    check(size_of(f, "data-wal") < (int64_t)20 * 4200);
    database_run(database, "PRAGMA wal_autocheckpoint=0");
    for (int i = 0; i < 100; i++) {
        insert(database);
    }
    check(size_of(f, "data-wal") > (int64_t)90 * 4096);
    check_rows(database, 200);
    database_close(database);
    databases_end(f);
}

/* ---- What remains ----------------------------------------------------------- */

static void close_without_checkpoint(sqlite3 *database)
{
    int off = 0;
    check_result(sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &off), SQLITE_OK);
    check_result(off, 1);
    database_close(database);
}

static void a_log_is_recovered(fixture *f)
{
    epio_op op = {0};
    databases_begin(f);
    sqlite3 *database = open_table(f);
    insert(database);
    close_without_checkpoint(database);
    check(fixture_exists(f, "data-wal") == 1);
    check(fixture_exists(f, "data-shm") == 1);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "data-shm"), 0), 0);
    database = open_table(f);
    check_rows(database, 1);
    insert(database);
    close_without_checkpoint(database);
    database = open_table(f);
    check_rows(database, 2);
    check_integrity(database);
    database_close(database);
    check(fixture_exists(f, "data-wal") == 0);
    check(fixture_exists(f, "data-shm") == 0);
    databases_end(f);
}

/* Leaves a log with two rows, and an index from before the second: valid but for what it says of
 * the log, as after a crash of the system. */
static void leave_an_old_index(fixture *f)
{
    static unsigned char index[32768];
    sqlite3 *database = open_table(f);
    insert(database);
    epio_file *file = fixture_open(f, "data-shm", EPIO_OPEN_READ);
    epio_mapping *mapping = fixture_map(f, file, 0, sizeof index, EPIO_MAP_READ);
    memcpy(index, mapped_bytes(mapping), sizeof index);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
    insert(database);
    close_without_checkpoint(database);
    fixture_put(f, "data-shm", index, sizeof index);
}

static void the_first_begins_the_index_anew(fixture *f)
{
    databases_begin(f);
    leave_an_old_index(f);
    sqlite3 *database = open_table(f);
    check_rows(database, 2);
    sqlite3 *second = open_table(f);
    check_rows(second, 2);
    database_close(second);
    check_rows(database, 2);
    database_close(database);
    databases_end(f);
}

static void the_log_may_persist(fixture *f)
{
    int persist = 1;
    databases_begin(f);
    sqlite3 *database = open_table(f);
    check_result(sqlite3_file_control(database, NULL, SQLITE_FCNTL_PERSIST_WAL, &persist),
                 SQLITE_OK);
    insert(database);
    database_close(database);
    check(fixture_exists(f, "data-wal") == 1);
    check(fixture_exists(f, "data-shm") == 1);
    database = open_table(f);
    check_rows(database, 1);
    database_close(database);
    check(fixture_exists(f, "data-wal") == 0);
    check(fixture_exists(f, "data-shm") == 0);
    databases_end(f);
}

static void journal_modes_change(fixture *f)
{
    static const char *const others[] = {"delete", "truncate", "persist", "memory", "off"};
    databases_begin(f);
    sqlite3 *database = open_table(f);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char sql[64];
        sqlite3 *second = open_log(f);
        check_rows(second, (int64_t)(2 * i));
        (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", others[i]);
        check_result(database_try(database, sql), SQLITE_BUSY);
        database_close(second);
        check_text(database, sql, others[i]);
        check(fixture_exists(f, "data-wal") == 0);
        check(fixture_exists(f, "data-shm") == 0);
        insert(database);
        check_text(database, "PRAGMA journal_mode=WAL", "wal");
        insert(database);
        check(fixture_exists(f, "data-shm") == 1);
    }
    check_rows(database, 10);
    check_integrity(database);
    database_close(database);
    databases_end(f);
}

static void an_exclusive_connection_has_no_index(fixture *f)
{
    databases_begin(f);
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_text(database, "PRAGMA locking_mode=EXCLUSIVE", "exclusive");
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    database_run(database, "CREATE TABLE t(x)");
    insert(database);
    check(fixture_exists(f, "data-shm") == 0);
    database_close(database);
    database = open_log(f);
    insert(database);
    check(fixture_exists(f, "data-shm") == 1);
    check_text(database, "PRAGMA locking_mode=EXCLUSIVE", "exclusive");
    insert(database);
    check_text(database, "PRAGMA locking_mode=NORMAL", "normal");
    check_rows(database, 3);
    sqlite3 *second = open_log(f);
    check_rows(second, 3);
    database_close(second);
    database_close(database);
    databases_end(f);
}

/* ---- Read-only ---------------------------------------------------------------- */

static void a_connection_may_be_read_only(fixture *f)
{
    sqlite3 *reader;
    databases_begin(f);
    sqlite3 *writer = open_table(f);
    insert(writer);
    check_result(
        database_try_open(&reader, TEST_VFS, fixture_path(f, "data"), SQLITE_OPEN_READONLY),
        SQLITE_OK);
    database_run(reader, "BEGIN");
    check_rows(reader, 1);
    insert(writer);
    check_rows(reader, 1);
    check(checkpoint_is_busy(writer, 2));
    database_run(reader, "COMMIT");
    check_rows(reader, 2);
    check_result(database_try(reader, "INSERT INTO t VALUES(2)"), SQLITE_READONLY);
    database_close(writer);
    check_rows(reader, 2);
    database_close(reader);
    databases_end(f);
}

static sqlite3 *open_with_read_only_index(fixture *f)
{
    char uri[700];
    sqlite3 *reader;
    const char *path = fixture_path(f, "data");
    (void)snprintf(uri, sizeof uri, "file:%s%s?readonly_shm=1", path[0] == '/' ? "" : "/", path);
    check_result(database_try_open(&reader, TEST_VFS, uri, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI),
                 SQLITE_OK);
    return reader;
}

/* Whoever may only read the index reads the log itself, while nobody keeps the index. */
static void an_index_may_be_read_only(fixture *f)
{
    databases_begin(f);
    sqlite3 *writer = open_table(f);
    insert(writer);
    close_without_checkpoint(writer);

    sqlite3 *reader = open_with_read_only_index(f);
    check_rows(reader, 1);
    sqlite3 *second = open_with_read_only_index(f);
    check_rows(second, 1);
    writer = open_table(f);
    check_rows(reader, 1);
    insert(writer);
    check_rows(reader, 2);
    check_result(database_try(reader, "INSERT INTO t VALUES(2)") & 0xFF, SQLITE_READONLY);
    database_run(reader, "BEGIN");
    check_rows(reader, 2);
    check(!checkpoint_is_busy(writer, 0));
    insert(writer);
    check(checkpoint_is_busy(writer, 2));
    check_rows(reader, 2);
    database_run(reader, "COMMIT");
    check_rows(second, 3);
    database_close(second);
    database_close(writer);
    check_rows(reader, 3);
    database_close(reader);
    databases_end(f);
}

/* Nobody has begun it anew. */
static void an_old_index_that_is_read_only(fixture *f)
{
    databases_begin(f);
    leave_an_old_index(f);
    sqlite3 *reader = open_with_read_only_index(f);
    check_rows(reader, 2);
    check_rows(reader, 2);
    sqlite3 *writer = open_table(f);
    check_rows(reader, 2);
    insert(writer);
    check_rows(reader, 3);
    close_without_checkpoint(writer);
    check_rows(reader, 3);
    database_close(reader);
    databases_end(f);
}

static void a_missing_index_that_is_read_only(fixture *f)
{
    epio_op op = {0};
    databases_begin(f);
    sqlite3 *writer = open_table(f);
    insert(writer);
    close_without_checkpoint(writer);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "data-shm"), 0), 0);
    sqlite3 *reader = open_with_read_only_index(f);
    check_result(database_try(reader, "SELECT * FROM t") & 0xFF, SQLITE_CANTOPEN);
    database_close(reader);
    databases_end(f);
}

/* ---- Many regions ---------------------------------------------------------------- */

/* A region has 4,096 frames, the first some fewer. */
static void fill_regions(sqlite3 *database, unsigned regions)
{
    unsigned pages = 20000;
    database_run(database,
                 "BEGIN;"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                 "INSERT INTO t SELECT zeroblob(400) FROM n;"
                 "COMMIT");
    for (unsigned frames = pages; frames < regions * 4096; frames += pages) {
        database_run(database, "UPDATE t SET x = randomblob(400)");
    }
}

static void an_index_has_many_regions(fixture *f)
{
    unsigned regions = f->memory && !fixture_is_slow() ? 40 : 6;
    databases_begin(f);
    sqlite3 *writer = database_open(TEST_VFS, fixture_path(f, "data"));
    database_run(writer, "PRAGMA page_size=512; PRAGMA synchronous=OFF; PRAGMA cache_size=-40000");
    check_text(writer, "PRAGMA journal_mode=WAL", "wal");
    database_run(writer, "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)");
    sqlite3 *reader = open_log(f);
    check_rows(reader, 0);
    fill_regions(writer, regions);
    check(size_of(f, "data-shm") >= (int64_t)regions * 32768);
    check_rows(reader, 20000);
    check_result(database_number(reader, "SELECT sum(length(x)) FROM t"), 20000 * 400);
    sqlite3 *late = open_log(f);
    check_integrity(late);
    database_close(late);
    database_close(writer);
    check_rows(reader, 20000);
    database_close(reader);
    databases_end(f);
}

/* ---- The methods ---------------------------------------------------------------- */

static int set_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return file->pMethods->xShmLock(file, offset, count, flags);
}

/* Only one that extends the index finds what it has not. */
static void a_region_is_there_or_not(fixture *f)
{
    void volatile *address;
    databases_begin(f);
    sqlite3 *database = open_table(f);
    sqlite3_file *file = database_file(database);
    check_result(file->pMethods->xShmMap(file, 3, 32768, 0, &address), SQLITE_OK);
    check(address == NULL);
    check_result(size_of(f, "data-shm"), 32768);
    check_result(file->pMethods->xShmMap(file, 3, 32768, 1, &address), SQLITE_OK);
    check(address != NULL);
    check_result(size_of(f, "data-shm"), 4 * 32768);
    *(unsigned char volatile *)address = 7;

    sqlite3 *second = open_table(f);
    check_rows(second, 0);
    file = database_file(second);
    check_result(file->pMethods->xShmMap(file, 3, 32768, 0, &address), SQLITE_OK);
    check(address != NULL && *(unsigned char volatile *)address == 7);
    file->pMethods->xShmBarrier(file);
    database_close(second);
    database_close(database);
    databases_end(f);
}

static void several_locks_at_once(fixture *f)
{
    enum {
        SHARED = SQLITE_SHM_SHARED,
        EXCLUSIVE = SQLITE_SHM_EXCLUSIVE,
        LOCK = SQLITE_SHM_LOCK,
        UNLOCK = SQLITE_SHM_UNLOCK
    };
    databases_begin(f);
    sqlite3 *database = open_table(f);
    sqlite3 *second = open_table(f);
    check_rows(second, 0);
    sqlite3_file *one = database_file(database);
    sqlite3_file *other = database_file(second);
    check_result(set_lock(one, 1, 3, LOCK | EXCLUSIVE), SQLITE_OK);
    epio_file *outside = fixture_open(f, "data-shm", READ_WRITE);
    for (unsigned i = 0; i < SQLITE_SHM_NLOCK; i++) {
        epio_op op = {0};
        check_op(f, epio_test_range(&op, outside, 120 + i, 1, EPIO_RANGE_SHARED), i >= 1 && i < 4);
    }
    fixture_close(f, outside);
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
        int expected = i >= 1 && i < 4 ? SQLITE_BUSY : SQLITE_OK;
        check_result(set_lock(other, i, 1, LOCK | SHARED), expected);
        check_result(set_lock(other, i, 1, UNLOCK | SHARED), SQLITE_OK);
    }
    check_result(set_lock(other, 0, 2, LOCK | EXCLUSIVE), SQLITE_BUSY);
    check_result(set_lock(one, 1, 3, UNLOCK | EXCLUSIVE), SQLITE_OK);

    check_result(set_lock(one, 5, 1, LOCK | SHARED), SQLITE_OK);
    check_result(set_lock(one, 5, 1, LOCK | SHARED), SQLITE_OK);
    check_result(set_lock(other, 5, 1, LOCK | SHARED), SQLITE_OK);
    check_result(set_lock(other, 5, 1, UNLOCK | SHARED), SQLITE_OK);
    check_result(set_lock(other, 4, 4, LOCK | EXCLUSIVE), SQLITE_BUSY);
    check_result(set_lock(one, 5, 1, UNLOCK | SHARED), SQLITE_OK);
    check_result(set_lock(other, 4, 4, LOCK | EXCLUSIVE), SQLITE_OK);
    check_result(set_lock(other, 4, 4, UNLOCK | EXCLUSIVE), SQLITE_OK);

    database_close(second);
    database_close(database);
    databases_end(f);
}

/* ---- Failures -------------------------------------------------------------------- */

/* A layer over the fixture's VFS, registered in its place. */
static epio_vfs *begin_with_faults(fixture *f, op_faults *faults)
{
    epio_vfs *vfs = op_faults_create(f->vfs, faults);
    check_result(epio_sqlite_register(TEST_VFS, vfs, databases_flags()), 0);
    return vfs;
}

static void end_with_faults(fixture *f, epio_vfs *vfs)
{
    databases_end(f);
    epio_vfs_destroy(vfs);
}

static sqlite3 *open_with_a_row(fixture *f)
{
    sqlite3 *database = open_table(f);
    insert(database);
    database_close(database);
    return database_open(TEST_VFS, fixture_path(f, "data"));
}

static void a_full_disk_is_an_error(fixture *f)
{
    op_faults faults;
    epio_vfs *vfs = begin_with_faults(f, &faults);
    sqlite3 *database = open_with_a_row(f);
    faults.kind = EPIO_KIND_WRITE;
    faults.result = EPIO_ENOSPC;
    for (uint32_t skip = 0; skip < 8; skip++) {
        faults.skip = skip;
        faults.times = 1;
        check_result(database_try(database, "SELECT * FROM t"), SQLITE_FULL);
        /* What it has by now is not lost. */
        database_close(database);
        database = database_open(TEST_VFS, fixture_path(f, "data"));
    }
    check_rows(database, 1);
    database_close(database);
    end_with_faults(f, vfs);
}

static void fail_once(fixture *f, uint32_t kind, int error, int expected)
{
    op_faults faults;
    epio_vfs *vfs = begin_with_faults(f, &faults);
    int before = count_descriptors();
    sqlite3 *database = open_with_a_row(f);
    faults.kind = kind;
    faults.result = error;
    faults.times = 1;
    check_result(database_try(database, "SELECT * FROM t"), expected);
    check_result(faults.times, 0);
    database_run(database, "SELECT * FROM t");
    insert(database);
    database_close(database);
    check_result(count_descriptors(), before);
    end_with_faults(f, vfs);
}

static void what_fails_can_be_tried_again(fixture *f)
{
    fail_once(f, EPIO_KIND_TRUNCATE, EPIO_EIO, SQLITE_IOERR_SHMOPEN);
    fail_once(f, EPIO_KIND_LOCK_RANGE, EPIO_EIO, SQLITE_IOERR_LOCK);
    fail_once(f, EPIO_KIND_MAP, EPIO_EIO, SQLITE_IOERR_SHMMAP);
    fail_once(f, EPIO_KIND_MAP, EPIO_ENOMEM, SQLITE_NOMEM);
}

/* As stock SQLite's VFSes without shared memory. */
static void without_mappings_a_log_is_exclusive(fixture *f)
{
    op_faults faults;
    epio_vfs *vfs = begin_with_faults(f, &faults);
    faults.kind = EPIO_KIND_MAP;
    faults.result = EPIO_ENOTSUP;
    faults.times = UINT32_MAX;
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_text(database, "PRAGMA journal_mode=WAL", "delete");
    database_run(database, "CREATE TABLE t(x)");
    insert(database);
    check_text(database, "PRAGMA locking_mode=EXCLUSIVE", "exclusive");
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    insert(database);
    check_rows(database, 2);
    database_close(database);
    database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_result(database_try(database, "SELECT * FROM t") & 0xFF, SQLITE_CANTOPEN);
    database_close(database);
    end_with_faults(f, vfs);
}

/* ---- Threads ----------------------------------------------------------------------- */

#define ACCOUNTS 10
#define TOTAL (ACCOUNTS * 1000)

typedef struct crowd {
    const char *path;
    unsigned transfers;
    atomic_uint writing; /* threads */
    atomic_ullong seed;
} crowd;

static sqlite3 *open_account(const crowd *c)
{
    sqlite3 *database;
    require(sqlite3_open_v2(c->path, &database, SQLITE_OPEN_READWRITE, TEST_VFS) == SQLITE_OK);
    require(sqlite3_busy_timeout(database, 60000) == SQLITE_OK);
    require(sqlite3_exec(database, "PRAGMA synchronous=OFF", NULL, NULL, NULL) == SQLITE_OK);
    return database;
}

/* Waits for others are not fair, least where threads run one at a time: again, unless a transaction
 * has begun. */
static void require_run(sqlite3 *database, const char *sql)
{
    int code;
    do {
        code = sqlite3_exec(database, sql, NULL, NULL, NULL);
    } while (code == SQLITE_BUSY && sqlite3_get_autocommit(database) != 0);
    if (code != SQLITE_OK) {
        print_error("%s: %s\n", sql, sqlite3_errmsg(database));
    }
    require(code == SQLITE_OK);
}

static int64_t required_number(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement;
    require(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK);
    require(sqlite3_step(statement) == SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    require(sqlite3_finalize(statement) == SQLITE_OK);
    return number;
}

static void *transfer(void *argument)
{
    crowd *c = argument;
    random_source random = {.state = atomic_fetch_add(&c->seed, 1)};
    sqlite3 *database = open_account(c);
    for (unsigned i = 0; i < c->transfers; i++) {
        char sql[256];
        unsigned amount = (unsigned)random_between(&random, 1, 50);
        (void)snprintf(sql, sizeof sql,
                       "BEGIN IMMEDIATE;"
                       "UPDATE account SET balance = balance - %u WHERE id = %u;"
                       "UPDATE account SET balance = balance + %u WHERE id = %u;"
                       "UPDATE done SET n = n + 1;"
                       "COMMIT",
                       amount, (unsigned)random_between(&random, 1, ACCOUNTS + 1), amount,
                       (unsigned)random_between(&random, 1, ACCOUNTS + 1));
        require_run(database, sql);
    }
    require(sqlite3_close(database) == SQLITE_OK);
    atomic_fetch_sub(&c->writing, 1);
    return NULL;
}

/* Opens the database again and again. */
static void *add_up(void *argument)
{
    crowd *c = argument;
    do {
        sqlite3 *database = open_account(c);
        for (int i = 0; i < 10; i++) {
            require(required_number(database, "SELECT sum(balance) FROM account") == TOTAL);
        }
        require(sqlite3_close(database) == SQLITE_OK);
    } while (atomic_load(&c->writing) != 0);
    return NULL;
}

static void *checkpoint(void *argument)
{
    crowd *c = argument;
    sqlite3 *database = open_account(c);
    require(sqlite3_busy_timeout(database, 20) == SQLITE_OK);
    for (int mode = 0; atomic_load(&c->writing) != 0; mode = (mode + 1) % 4) {
        int code = sqlite3_wal_checkpoint_v2(database, NULL, mode, NULL, NULL);
        require(code == SQLITE_OK || code == SQLITE_BUSY);
    }
    require(sqlite3_close(database) == SQLITE_OK);
    return NULL;
}

static void connections_in_threads(fixture *f)
{
    static void *(*const runs[])(void *argument) = {transfer, transfer, transfer,
                                                    add_up,   add_up,   checkpoint};
    enum { COUNT = sizeof runs / sizeof runs[0], WRITERS = 3 };
    crowd c = {.path = fixture_path(f, "data"), .transfers = fixture_rounds(100)};
    test_thread threads[COUNT];
    databases_begin(f);
    atomic_store(&c.writing, WRITERS);
    sqlite3 *database = open_log(f);
    database_run(database,
                 "PRAGMA wal_autocheckpoint=50;"
                 "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER);"
                 "CREATE TABLE done(n INTEGER); INSERT INTO done VALUES(0);"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) "
                 "INSERT INTO account SELECT i, 1000 FROM n");
    for (size_t i = 0; i < COUNT; i++) {
        thread_start(&threads[i], runs[i], &c);
    }
    for (size_t i = 0; i < COUNT; i++) {
        (void)thread_join(threads[i]);
    }
    check_result(database_number(database, "SELECT n FROM done"), WRITERS * c.transfers);
    check_result(database_number(database, "SELECT sum(balance) FROM account"), TOTAL);
    check_integrity(database);
    database_close(database);
    databases_end(f);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_reader_keeps_its_snapshot, SETTINGS),
        FIXTURE_TEST(a_close_leaves_the_locks_of_others, SETTINGS),
        FIXTURE_TEST(one_writes_at_a_time, SETTINGS),
        FIXTURE_TEST(the_log_is_checkpointed_by_itself, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_log_is_recovered, SETTINGS),
        FIXTURE_TEST(the_first_begins_the_index_anew, SETTINGS),
        FIXTURE_TEST(the_log_may_persist, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(journal_modes_change, SETTINGS),
        FIXTURE_TEST(an_exclusive_connection_has_no_index, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_connection_may_be_read_only, SETTINGS),
        FIXTURE_TEST(an_index_may_be_read_only, SETTINGS),
        FIXTURE_TEST(an_old_index_that_is_read_only, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_missing_index_that_is_read_only, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(an_index_has_many_regions, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_region_is_there_or_not, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(several_locks_at_once, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_full_disk_is_an_error, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(what_fails_can_be_tried_again, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(without_mappings_a_log_is_exclusive, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(connections_in_threads, SETTINGS),
    };
    return FIXTURE_RUN("write-ahead log", tests);
}
