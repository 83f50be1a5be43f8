/* An outside program and SQLite's wal-index: a mapping and locks on ranges suffice to read what
 * SQLite writes there, and to keep it out. SQLite runs in processes of its own. Also
 * EPIO_TEST_RANGE_LOCKS, and without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#ifdef EPIO_TEST_SQLITE
#include <sqlite3.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define INDEX_LEN 32768u

/* https://www.sqlite.org/walformat.html, 2: the header, twice, and the bytes of the locks. */
#define HEADER_LEN 48u
#define VERSION 3007000u
#define LAST_FRAME_AT 16u
#define WRITE_LOCK 120u
#define FIRST_READ_LOCK 123u
#define READ_LOCKS 5u

enum { LATER = 100 }; /* statuses of children, above SQLite's codes */

/* ---- SQLite ---------------------------------------------------------------- */

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;
    check(sqlite3_open(path, &db) == SQLITE_OK);
    check(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0", NULL, NULL,
                       NULL) == SQLITE_OK);
    return db;
}

static void finish(sqlite3 *db, int status)
{
    (void)sqlite3_close(db);
    exit(status);
}

/* Keeps the wal-index there until its input ends. A byte before: holds the lock of writers from
 * then to the next byte. */
static void keep_database(const char *path)
{
    char byte;
    sqlite3 *db = open_database(path);
    check(sqlite3_exec(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)", NULL, NULL, NULL) ==
          SQLITE_OK);
    const char *next = "BEGIN IMMEDIATE";
    do {
        check(pipe_write(process_output(), "r", 1) == 1);
        if (pipe_read(process_input(), &byte, 1) != 1) {
            break;
        }
        check(sqlite3_exec(db, next, NULL, NULL, NULL) == SQLITE_OK);
        next = next[0] == 'B' ? "COMMIT" : "BEGIN IMMEDIATE";
    } while (true);
    finish(db, 0);
}

static void write_row(const char *path)
{
    sqlite3 *db = open_database(path);
    finish(db, sqlite3_exec(db, "INSERT INTO t VALUES(2)", NULL, NULL, NULL));
}

/* Starts the log anew, which no reader may use then: LATER if one does. */
static void restart_log(const char *path)
{
    sqlite3_stmt *statement;
    sqlite3 *db = open_database(path);
    check(sqlite3_prepare_v2(db, "PRAGMA wal_checkpoint(RESTART)", -1, &statement, NULL) ==
          SQLITE_OK);
    check(sqlite3_step(statement) == SQLITE_ROW);
    int busy = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    finish(db, busy != 0 ? LATER : 0);
}

/* ---- The index ------------------------------------------------------------- */

typedef struct wal_index {
    child keeper;
    const char *path;
    epio_file *file;
    epio_mapping *mapping;
    const unsigned char *bytes;
} wal_index;

static void wait_for_keeper(wal_index *w)
{
    char byte;
    check(pipe_read(w->keeper.from, &byte, 1) == 1);
}

static void start(fixture *f, wal_index *w)
{
    epio_op op = {0};
    w->path = fixture_path(f, "data");
    child_start(&w->keeper, keep_database, w->path, CHILD_PIPES);
    wait_for_keeper(w);
    w->file = fixture_open(f, "data-shm", READ_WRITE);
    check_op(f, epio_map(&op, w->file, 0, INDEX_LEN, EPIO_MAP_READ), 0);
    w->mapping = epio_op_mapping(&op);
    w->bytes = epio_mapping_address(w->mapping);
}

static void end(fixture *f, wal_index *w)
{
    epio_op op = {0};
    check_op(f, epio_unmap(&op, w->mapping), 0);
    fixture_close(f, w->file);
    check_result(child_end(&w->keeper), 0);
}

static uint32_t last_frame(const wal_index *w)
{
    uint32_t frame;
    check(memcmp(w->bytes, w->bytes + HEADER_LEN, HEADER_LEN) == 0);
    memcpy(&frame, w->bytes + LAST_FRAME_AT, sizeof frame);
    return frame;
}

static void what_sqlite_writes_is_in_the_mapping(fixture *f)
{
    wal_index w;
    uint32_t version;
    start(f, &w);
    memcpy(&version, w.bytes, sizeof version);
    check_result(version, VERSION);
    uint32_t frames = last_frame(&w);
    check(frames != 0);
    check_result(run_in_child(write_row, w.path), SQLITE_OK);
    check(last_frame(&w) > frames);
    end(f, &w);
}

static void a_range_keeps_sqlite_out(fixture *f)
{
    epio_op op = {0};
    wal_index w;
    start(f, &w);
    check_op(f, epio_lock_range(&op, w.file, WRITE_LOCK, 1, EPIO_RANGE_EXCLUSIVE, 0), 0);
    check_result(run_in_child(write_row, w.path), SQLITE_BUSY);
    check_op(f, epio_unlock_range(&op, w.file, WRITE_LOCK, 1), 0);
    check_result(run_in_child(write_row, w.path), SQLITE_OK);
    end(f, &w);
}

static void a_reader_holds_the_log_back(fixture *f)
{
    epio_op op = {0};
    wal_index w;
    start(f, &w);
    check_op(
        f, epio_lock_range(&op, w.file, FIRST_READ_LOCK + 1, READ_LOCKS - 1, EPIO_RANGE_SHARED, 0),
        0);
    check_result(run_in_child(restart_log, w.path), LATER);
    check_op(f, epio_unlock_range(&op, w.file, 0, 0), 0);
    check_result(run_in_child(restart_log, w.path), 0);
    end(f, &w);
}

static void sqlite_keeps_a_range(fixture *f)
{
    epio_op op = {0};
    wal_index w;
    start(f, &w);
    check_op(f, epio_test_range(&op, w.file, WRITE_LOCK, 1, EPIO_RANGE_EXCLUSIVE), 0);
    check(pipe_write(w.keeper.to, "b", 1) == 1);
    wait_for_keeper(&w);
    check_op(f, epio_test_range(&op, w.file, WRITE_LOCK, 1, EPIO_RANGE_EXCLUSIVE), 1);
    check_op(f, epio_lock_range(&op, w.file, WRITE_LOCK, 1, EPIO_RANGE_EXCLUSIVE, 0), EPIO_EBUSY);
    /* It commits while this waits, or before. */
    check(pipe_write(w.keeper.to, "c", 1) == 1);
    check_op(f, epio_lock_range(&op, w.file, WRITE_LOCK, 1, EPIO_RANGE_EXCLUSIVE, EPIO_LOCK_WAIT),
             0);
    wait_for_keeper(&w);
    end(f, &w);
}

#endif

int main(int argc, char **argv)
{
#ifdef EPIO_TEST_SQLITE
    static const child_function children[] = {CHILD(keep_database), CHILD(write_row),
                                              CHILD(restart_log)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(what_sqlite_writes_is_in_the_mapping, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_range_keeps_sqlite_out, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_reader_holds_the_log_back, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(sqlite_keeps_a_range, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("wal-index", tests);
#else
    (void)argc;
    (void)argv;
    return 77; /* built without SQLite */
#endif
}
