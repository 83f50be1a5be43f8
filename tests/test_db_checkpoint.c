/* The write-ahead log of a database: when it is written back, and by whom. */
#include "db_cases.h"

#include <stdatomic.h>

#include <epio/layer.h>

#define PAGE 4096u

/* ---- A disk that is full for the database, but not for its log ------------- */

typedef struct disk {
    atomic_bool full;
    atomic_uint refused;
} disk;

static bool *is_database(epio_file *file)
{
    return epio_layer_file_state(file);
}

static int disk_before(void *user, epio_op *op, void *state)
{
    disk *one = user;
    (void)state;
    if (op->kind == EPIO_KIND_WRITE && *is_database(op->file) && atomic_load(&one->full)) {
        atomic_fetch_add(&one->refused, 1);
        return EPIO_ENOSPC;
    }
    return 0;
}

static void disk_after(void *user, epio_op *op, void *state)
{
    (void)user, (void)state;
    const char *path = op->arguments.path.path;
    if (op->kind == EPIO_KIND_OPEN && op->result == 0 && path != NULL) {
        size_t len = strlen(path);
        *is_database(op->file) = len > 3 && strcmp(path + len - 3, "/db") == 0;
    }
}

static const epio_layer_methods disk_methods = {
    .size = sizeof disk_methods,
    .name = "disk",
    .file_state = sizeof(bool),
    .before = disk_before,
    .after = disk_after,
};

/* ---- What the tests share --------------------------------------------------- */

static int64_t checkpoint(fixture *f, epio_db *db, uint32_t mode, uint64_t timeout)
{
    epio_op op = {.timeout_ns = timeout};
    return fixture_result(f, epio_db_checkpoint(&op, db, mode));
}

/* A connection of another program's, which reads the database as it is now. */
static sqlite3 *begin_reader(fixture *f)
{
    databases_begin(f);
    sqlite3 *reader = database_open(TEST_VFS, fixture_path(f, "db"));
    database_run(reader, "BEGIN; SELECT count(*) FROM t");
    return reader;
}

static void end_reader(fixture *f, sqlite3 *reader)
{
    database_run(reader, "COMMIT");
    database_close(reader);
    databases_end(f);
}

/* ---- Tests -------------------------------------------------------------------- */

static void is_written_back_in_three_ways(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .checkpoint_bytes = UINT64_MAX};
    epio_db *db = db_begin(f, f->vfs, &options);
    for (uint32_t mode = EPIO_DB_PASSIVE; mode <= EPIO_DB_TRUNCATE; mode++) {
        db_fill(f, db, 3, 100);
        uint64_t checkpoints = db_stats(db).checkpoints;
        check(db_stats(db).log_frames >= 3);
        check_result(checkpoint(f, db, mode, 0), 0);
        check(db_stats(db).checkpoints == checkpoints + 1);
        check(db_stats(db).log_held == 0 && db_stats(db).log_held_ns == 0);
    }
    check(db_stats(db).log_frames == 0);
    epio_info info = {.size = sizeof info};
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "db-wal"), &info, 0), 0);
    check(info.bytes == 0);
    check_result(checkpoint(f, db, 3, 0), EPIO_EINVAL);
    db_end(f, db);
    check_result(fixture_exists(f, "db-wal"), 0);
}

static void a_reader_holds_it(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .checkpoint_bytes = UINT64_MAX};
    epio_db *db = db_begin(f, f->vfs, &options);
    db_fill(f, db, 1, 100);
    sqlite3 *reader = begin_reader(f);
    db_fill(f, db, 5, 100);
    int64_t left = checkpoint(f, db, EPIO_DB_PASSIVE, 0);
    check(left > 0);
    check(db_stats(db).log_held == (uint64_t)left && db_stats(db).log_frames > (uint64_t)left);
    check(db_stats(db).log_held_ns > 0);
    check_result(checkpoint(f, db, EPIO_DB_RESTART, 20 * MILLISECOND), EPIO_ETIMEDOUT);
    check_result(checkpoint(f, db, EPIO_DB_TRUNCATE, 20 * MILLISECOND), EPIO_ETIMEDOUT);
    db_fill(f, db, 1, 100);
    end_reader(f, reader);
    check_result(checkpoint(f, db, EPIO_DB_RESTART, 0), 0);
    check(db_stats(db).log_held == 0 && db_stats(db).log_held_ns == 0);
    db_end(f, db);
}

static void waiting_for_readers_ends(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_fill(f, db, 1, 100);
    sqlite3 *reader = begin_reader(f);
    db_fill(f, db, 1, 100);
    epio_op cancelled = EPIO_OP_INIT;
    epio_op waits = EPIO_OP_INIT;
    epio_submit(epio_db_checkpoint(&cancelled, db, EPIO_DB_RESTART));
    db_fill(f, db, 10, 100); /* it keeps no commit from its end */
    epio_cancel(&cancelled);
    check_result(epio_wait(&cancelled), EPIO_ECANCELED);
    epio_submit(epio_db_checkpoint(&waits, db, EPIO_DB_TRUNCATE));
    db_fill(f, db, 10, 100);
    end_reader(f, reader);
    check_result(epio_wait(&waits), 0);
    db_end(f, db);
}

/* By the database itself, though it is never idle. */
static void stays_short(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .checkpoint_bytes = 16 * PAGE};
    epio_db *db = db_begin(f, f->vfs, &options);
    uint64_t wanted = 0;
    for (unsigned rows = 0; rows < 100 || db_stats(db).checkpoints < wanted; rows++) {
        db_fill(f, db, 1, PAGE);
        wanted = rows < 100 ? 2 : wanted;
    }
    while (db_stats(db).log_frames > 16 + 8) {
        db_fill(f, db, 1, PAGE);
    }
    check(db_stats(db).checkpoints_failed == 0);
    db_end(f, db);
}

/* A loop's timer, which does not keep it going. */
static void is_written_back_when_idle(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_fill(f, db, 1, 100);
    (void)epio_loop_run(f->loop);
    check(db_stats(db).checkpoints == 0);
    while (db_stats(db).checkpoints == 0) {
        db_poll(f);
    }
    check(db_stats(db).log_held == 0);
    db_end(f, db);
    check_result(epio_loop_pending(f->loop), 0);
}

/* A database may be destroyed, and a loop closed, while the timer is set. */
static void timers_end_with_the_loop(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_fill(f, db, 1, 100);
    epio_op op = EPIO_OP_INIT;
    check_result(epio_loop_close(f->loop, EPIO_FOREVER), 0);
    check_result(epio_perform(epio_db_close(&op, db, 0)), 0);
    epio_db_destroy(db);
}

static void a_full_disk_harms_no_commit(fixture *f)
{
    disk one = {false};
    epio_vfs *layer;
    check_result(epio_layer_vfs_create(&layer, f->vfs, &disk_methods, &one), 0);
    epio_db_options options = {.size = sizeof options, .checkpoint_bytes = 4 * PAGE};
    epio_db *db = db_begin(f, layer, &options);
    db_fill(f, db, 1, 100);
    atomic_store(&one.full, true);
    while (db_stats(db).checkpoints_failed == 0) {
        db_fill(f, db, 1, PAGE);
    }
    db_fill(f, db, 10, PAGE);
    check_result(checkpoint(f, db, EPIO_DB_PASSIVE, 0), EPIO_ENOSPC);
    check(atomic_load(&one.refused) > 0);
    atomic_store(&one.full, false);
    uint64_t checkpoints = db_stats(db).checkpoints;
    while (db_stats(db).checkpoints == checkpoints) { /* it tries again */
        db_fill(f, db, 1, PAGE);
    }
    check_result(checkpoint(f, db, EPIO_DB_TRUNCATE, 0), 0);
    db_end(f, db);
    epio_vfs_destroy(layer);
}

/* Without a log there is nothing to do. */
static void a_journal_is_none(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .journal_mode = "delete"};
    epio_db *db = db_begin(f, f->vfs, &options);
    db_fill(f, db, 1, 100);
    check_result(checkpoint(f, db, EPIO_DB_TRUNCATE, 0), 0);
    check(db_stats(db).checkpoints == 0 && db_stats(db).log_frames == 0);
    db_end(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(is_written_back_in_three_ways, ON_ANY),
        FIXTURE_TEST(a_reader_holds_it, ON_ANY),
        FIXTURE_TEST(waiting_for_readers_ends, ON_OS | ON_MEMORY),
        FIXTURE_TEST(stays_short,
                     ON_OS_PERFORM | ON_OS | ON_OS_LOOP_PERFORM | ON_MEMORY | ON_MEMORY_PERFORM),
        FIXTURE_TEST(is_written_back_when_idle, ON_OS | ON_MEMORY),
        FIXTURE_TEST(timers_end_with_the_loop, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_full_disk_harms_no_commit,
                     ON_OS_PERFORM | ON_OS | ON_OS_LOOP_PERFORM | ON_MEMORY),
        FIXTURE_TEST(a_journal_is_none, ON_ANY),
    };
    return FIXTURE_RUN("the log of a database", tests);
}
