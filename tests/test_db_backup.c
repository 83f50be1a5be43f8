/* Copies of databases that are in use. Its ops are any loop's: EPIO_TEST_ONCE. */
#include "db_cases.h"

#include <epio/layer.h>
#include <stdatomic.h>

#define PAGE 4096u

/* ---- A disk for copies, which is slow, or becomes full ---------------------- */

typedef struct disk {
    atomic_int writes_left; /* -1: no limit */
    atomic_uint pause_us;   /* before each write */
    atomic_uint writes;
    atomic_int sync_of_name; /* what a rename that makes its name durable ends with; 0: the truth */
} disk;

static bool *is_copy(epio_file *file)
{
    return epio_layer_file_state(file);
}

static int disk_before(void *user, epio_op *op, void *state)
{
    disk *one = user;
    epio_op sleep = EPIO_OP_INIT;
    (void)state;
    if (op->kind != EPIO_KIND_WRITE || !*is_copy(op->file)) {
        return 0;
    }
    atomic_fetch_add(&one->writes, 1);
    unsigned pause = atomic_load(&one->pause_us);
    if (pause > 0) {
        (void)epio_perform(epio_sleep(&sleep, epio_os_vfs(), pause * UINT64_C(1000)));
    }
    int left = atomic_load(&one->writes_left);
    if (left > 0) {
        atomic_store(&one->writes_left, left - 1);
    }
    return left == 0 ? EPIO_ENOSPC : 0;
}

static void disk_after(void *user, epio_op *op, void *state)
{
    disk *one = user;
    (void)state;
    const char *path = op->arguments.path.path;
    if (op->kind == EPIO_KIND_OPEN && op->result == 0 && path != NULL) {
        *is_copy(op->file) = strstr(path, "copy") != NULL;
    }
    if (op->kind == EPIO_KIND_RENAME && op->result == 0) {
        op->result = atomic_load(&one->sync_of_name);
    }
}

static const epio_layer_methods disk_methods = {
    .size = sizeof disk_methods,
    .name = "disk",
    .file_state = sizeof(bool),
    .before = disk_before,
    .after = disk_after,
};

static epio_vfs *make_disk(fixture *f, disk *one)
{
    epio_vfs *vfs;
    atomic_init(&one->writes_left, -1);
    check_result(epio_layer_vfs_create(&vfs, f->vfs, &disk_methods, one), 0);
    return vfs;
}

/* ---- What the tests share ---------------------------------------------------- */

static int64_t back_up(fixture *f, epio_db *db, const char *name, uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    return fixture_result(f, epio_db_backup(&op, db, fixture_path(f, name), flags));
}

static int64_t rows_of(fixture *f, const char *name)
{
    databases_begin(f);
    sqlite3 *copy = database_open(TEST_VFS, fixture_path(f, name));
    check_integrity(copy);
    int64_t rows = database_number(copy, "SELECT count(*) FROM t");
    database_close(copy);
    databases_end(f);
    return rows;
}

/* So many rows of a page each, by one commit. */
static void fill_much(fixture *f, epio_db *db, unsigned rows)
{
    char sql[200];
    db_fill(f, db, 0, 0);
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT %u)"
                   "INSERT INTO t SELECT NULL, randomblob(4000) FROM n",
                   rows);
    db_run(f, db, sql, rows);
}

/* The test's directory has nothing but these. */
static void check_only(fixture *f, const char *const *names, size_t count)
{
    epio_op op = EPIO_OP_INIT;
    _Alignas(uint64_t) char entries[8192];
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *directory = op.file;
    int64_t len;
    size_t found = 0;
    while ((len = fixture_result(f, epio_list(&op, directory, entries, sizeof entries, 0))) > 0) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(entries, (size_t)len, entry)) != NULL) {
            bool expected = false;
            for (size_t i = 0; i < count; i++) {
                expected = expected || strcmp(epio_entry_name(entry), names[i]) == 0;
            }
            if (!expected) {
                print_error("there is also %s\n", epio_entry_name(entry));
            }
            check(expected);
            found++;
        }
    }
    check_result(len, 0);
    check(found == count);
    fixture_close(f, directory);
}

static void check_no_copy(fixture *f)
{
    static const char *const names[] = {"db"};
    check_only(f, names, 1);
}

/* For a stock process. */
static void count_rows(const char *path)
{
    sqlite3 *copy = database_open(NULL, path);
    check_integrity(copy);
    check(database_number(copy, "SELECT count(*) FROM t") == 20);
    database_close(copy);
}

/* ---- Tests -------------------------------------------------------------------- */

static void copies_all(fixture *f)
{
    static const char *const names[] = {"db", "copy", "compact"};
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_fill(f, db, 20, 3 * PAGE);
    check_result(back_up(f, db, "copy", 0), 0);
    db_run(f, db, "DELETE FROM t WHERE a > 10", 10);
    check_result(back_up(f, db, "compact", EPIO_DB_COMPACT), 0);
    check_result(back_up(f, db, "copy", 0), EPIO_EEXIST);
    check_result(back_up(f, db, "compact", EPIO_DB_COMPACT), EPIO_EEXIST);
    check_result(back_up(f, db, "copy", 2), EPIO_EINVAL);
    check_result(back_up(f, db, "missing/copy", 0), EPIO_ENOENT);
    db_fill(f, db, 1, 10); /* the reader's next op is as any other */
    db_end(f, db);
    check_result(rows_of(f, "copy"), 20);
    check_result(rows_of(f, "compact"), 10);
    check_result(rows_of(f, "db"), 11);
    check_only(f, names, 3);
}

static void stock_reads_them(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_fill(f, db, 20, PAGE);
    check_result(back_up(f, db, "copy", 0), 0);
    check_result(back_up(f, db, "compact", EPIO_DB_COMPACT), 0);
    check_result(run_in_child(count_rows, fixture_path(f, "copy")), 0);
    check_result(run_in_child(count_rows, fixture_path(f, "compact")), 0);
    db_end(f, db);
}

static void over_another_vfs_of_sqlites(fixture *f)
{
    databases_begin(f);
    epio_db_options options = {.size = sizeof options, .sqlite_vfs = TEST_VFS};
    epio_db *db = db_begin(f, f->vfs, &options);
    db_fill(f, db, 3, PAGE);
    check_result(back_up(f, db, "copy", 0), 0);
    check_result(back_up(f, db, "copy", 0), EPIO_EEXIST);
    db_end(f, db);
    databases_end(f);
    check_result(rows_of(f, "copy"), 3);
}

/* Neither begins it again, nor is in it. */
static void others_write_meanwhile(fixture *f)
{
    disk one = {0};
    epio_vfs *vfs = make_disk(f, &one);
    epio_op op = EPIO_OP_INIT;
    epio_progress_info info = {.size = sizeof info};
    epio_db *db = db_begin(f, vfs, NULL);
    fill_much(f, db, 500);
    atomic_store(&one.pause_us, 20000); /* until it was seen in the middle */
    epio_submit(epio_db_backup(&op, db, fixture_path(f, "copy"), 0));
    uint64_t last = 0;
    unsigned rows = 0;
    while (atomic_load(&one.writes) == 0) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    while (epio_op_pending(&op)) {
        if (epio_progress(&op, &info) == 0) { /* it has not ended meanwhile */
            check(info.bytes <= info.total_bytes && info.bytes >= last);
            last = info.bytes;
            atomic_store(&one.pause_us, last != 0 ? 100 : 20000);
        }
        db_fill(f, db, 1, 100);
        rows++;
    }
    check(rows > 0);
    check_result(op.result, 0);
    check(last != 0 && info.total_bytes > (uint64_t)500 * 512);
    check_result(epio_progress(&op, &info), EPIO_ENOTSUP);
    db_end(f, db);
    epio_vfs_destroy(vfs);
    check_result(rows_of(f, "copy"), 500);
    check_result(rows_of(f, "db"), 500 + (int64_t)rows);
}

static void ends_early(fixture *f)
{
    disk one = {0};
    epio_vfs *vfs = make_disk(f, &one);
    epio_db *db = db_begin(f, vfs, NULL);
    fill_much(f, db, 2000);
    atomic_store(&one.pause_us, 1000);
    for (uint32_t flags = 0; flags <= EPIO_DB_COMPACT; flags++) {
        epio_op op = EPIO_OP_INIT;
        atomic_store(&one.writes, 0);
        epio_submit(epio_db_backup(&op, db, fixture_path(f, "copy"), flags));
        while (atomic_load(&one.writes) < 2) {
            (void)epio_loop_poll(f->loop, MILLISECOND, 0);
        }
        epio_cancel(&op);
        check_result(epio_wait(&op), EPIO_ECANCELED);
        check_result(fixture_exists(f, "copy"), 0);
        op.timeout_ns = 5 * MILLISECOND;
        epio_submit(epio_db_backup(&op, db, fixture_path(f, "copy"), flags));
        check_result(epio_wait(&op), EPIO_ETIMEDOUT);
    }
    epio_op op = EPIO_OP_INIT;
    epio_op close = EPIO_OP_INIT;
    atomic_store(&one.writes, 0);
    epio_submit(epio_db_backup(&op, db, fixture_path(f, "copy"), 0));
    while (atomic_load(&one.writes) < 2) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    check_result(epio_wait(epio_db_close(&close, db, EPIO_DB_CANCEL)), 0);
    check_result(epio_wait(&op), EPIO_ECANCELED);
    epio_db_destroy(db);
    epio_vfs_destroy(vfs);
    check_no_copy(f);
}

static void a_full_disk_leaves_nothing(fixture *f)
{
    disk one = {0};
    epio_vfs *vfs = make_disk(f, &one);
    epio_db *db = db_begin(f, vfs, NULL);
    db_fill(f, db, 20, PAGE);
    for (int writes = 0; writes < 30; writes += 7) {
        atomic_store(&one.writes_left, writes > 20 ? 20 : writes);
        check_result(back_up(f, db, "copy", 0), EPIO_ENOSPC);
        atomic_store(&one.writes_left, writes > 20 ? 20 : writes);
        check_result(back_up(f, db, "copy", EPIO_DB_COMPACT), EPIO_ENOSPC);
    }
    atomic_store(&one.writes_left, -1);
    atomic_store(&one.sync_of_name, EPIO_EIO);
    check_result(back_up(f, db, "copy", 0), EPIO_EIO);
    db_end(f, db);
    epio_vfs_destroy(vfs);
    check_no_copy(f);
}

/* A writer makes it begin again, but not for ever. */
static void without_a_log(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .journal_mode = "delete"};
    epio_db *db = db_begin(f, f->vfs, &options);
    db_fill(f, db, 20, PAGE);
    check_result(back_up(f, db, "copy", 0), 0);
    check_result(back_up(f, db, "compact", EPIO_DB_COMPACT), 0);
    db_end(f, db);
    check_result(rows_of(f, "copy"), 20);
    check_result(rows_of(f, "compact"), 20);
}

static void without_a_log_beside_a_writer(fixture *f)
{
    disk one = {0};
    epio_vfs *vfs = make_disk(f, &one);
    epio_op op = EPIO_OP_INIT;
    epio_db_options options = {
        .size = sizeof options, .journal_mode = "delete", .synchronous = "off"};
    epio_db *db = db_begin(f, vfs, &options);
    fill_much(f, db, 300);
    atomic_store(&one.pause_us, 100);
    epio_submit(epio_db_backup(&op, db, fixture_path(f, "copy"), 0));
    while (epio_op_pending(&op)) {
        db_fill(f, db, 1, 100);
    }
    check_result(op.result, 0);
    db_end(f, db);
    epio_vfs_destroy(vfs);
    check(rows_of(f, "copy") >= 300);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(count_rows)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(copies_all, ON_ANY),
        FIXTURE_TEST(stock_reads_them, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(over_another_vfs_of_sqlites, ON_OS | ON_MEMORY),
        FIXTURE_TEST(others_write_meanwhile, ON_OS | ON_MEMORY),
        FIXTURE_TEST(ends_early, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_full_disk_leaves_nothing,
                     ON_OS_PERFORM | ON_OS | ON_OS_LOOP_PERFORM | ON_MEMORY),
        FIXTURE_TEST(without_a_log, ON_ANY),
        FIXTURE_TEST(without_a_log_beside_a_writer, ON_OS | ON_MEMORY),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("copies of a database", tests);
}
