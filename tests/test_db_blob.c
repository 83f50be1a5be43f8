/* Blobs of a database as files. */
#include "db_cases.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define LEN 10000u

static epio_db *begin(fixture *f)
{
    epio_db *db = db_begin(f, f->vfs, NULL);
    db_run(f, db,
           "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES(5, zeroblob(10000))", 1);
    return db;
}

static int64_t open_blob(fixture *f, epio_db *db, uint32_t flags, epio_file **file)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = fixture_result(f, epio_db_open_blob(&op, db, "t", "b", 5, flags));
    check((op.file != NULL) == (result == 0));
    *file = op.file;
    return result;
}

static int64_t sum(fixture *f, const char *sql)
{
    databases_begin(f);
    sqlite3 *other = database_open(TEST_VFS, fixture_path(f, "db"));
    int64_t result = database_number(other, sql);
    database_close(other);
    databases_end(f);
    return result;
}

static void are_read_and_written(fixture *f)
{
    unsigned char data[LEN];
    unsigned char found[LEN + 10];
    epio_op op = EPIO_OP_INIT;
    epio_file *file;
    epio_db *db = begin(f);
    pattern_fill(data, sizeof data, 0);
    check_result(open_blob(f, db, READ_WRITE, &file), 0);
    check_op(f, epio_size(&op, file), LEN);
    fixture_write(f, file, data, 4000, 0);
    epio_iovec parts[] = {{data + 4000, 1000}, {data + 5000, LEN - 5000}};
    check_op(f, epio_writev(&op, file, parts, 2, 4000), LEN - 4000);
    check_op(f, epio_write(&op, file, data, 2, LEN - 1), EPIO_EFBIG);
    check_op(f, epio_write(&op, file, data, 1, LEN + 1), EPIO_EFBIG);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), LEN);
    check(memcmp(found, data, LEN) == 0);
    fixture_close(f, file);

    check_result(open_blob(f, db, EPIO_OPEN_READ, &file), 0);
    check_op(f, epio_read(&op, file, found, 100, LEN - 10), 10);
    check_op(f, epio_read(&op, file, found, 100, LEN), 0);
    check_op(f, epio_read(&op, file, found, 100, INT64_MAX - 100), 0);
    epio_iovec to[] = {{found, 10}, {found + 10, 10}, {found + 20, 10}};
    check_op(f, epio_readv(&op, file, to, 3, LEN - 15), 15);
    check(memcmp(found, data + LEN - 15, 15) == 0);
    check_op(f, epio_write(&op, file, data, 1, 0), EPIO_EBADF);
    check_op(f, epio_truncate(&op, file, 1), EPIO_EBADF);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), EPIO_ENOTSUP);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), EPIO_ENOTSUP);
    fixture_close(f, file);
    db_end(f, db);
}

static void are_durable_once_closed(fixture *f)
{
    static const char changed[] = "SELECT count(*) FROM t WHERE substr(b, 1, 1) = x'77'";
    epio_change found[2];
    epio_op op = {.timeout_ns = MILLISECOND};
    epio_file *file;
    epio_db *db = begin(f);
    check_op(f, epio_db_changes(&op, db, found, 2), EPIO_ETIMEDOUT);
    check_result(open_blob(f, db, READ_WRITE, &file), 0);
    fixture_write(f, file, "w", 1, 0);
    check_result(sum(f, changed), 0);
    fixture_close(f, file);
    check_result(sum(f, changed), 1);
    check_op(f, epio_db_changes(&op, db, found, 2), 1);
    check(found[0].kind == EPIO_CHANGE_UPDATE && found[0].row_id == 5);
    db_end(f, db);
}

static void that_are_missing_are_errors(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_db_error error = {.size = sizeof error};
    epio_db *db = begin(f);
    epio_op *open = epio_db_open_blob(&op, db, "main.t", "b", 6, EPIO_OPEN_READ);
    check_op(f, epio_db_report(open, &error), EPIO_ESQL);
    check(strstr(error.message, "rowid") != NULL && op.file == NULL);
    check_op(f, epio_db_open_blob(&op, db, "t", "c", 5, READ_WRITE), EPIO_ESQL);
    check_op(f, epio_db_open_blob(&op, db, "u", "b", 5, READ_WRITE), EPIO_ESQL);
    check_op(f, epio_db_open_blob(&op, db, "t", "b", 5, EPIO_OPEN_WRITE), EPIO_EINVAL);
    check_op(f, epio_db_open_blob(&op, db, NULL, "b", 5, EPIO_OPEN_READ), EPIO_EINVAL);
    db_run(f, db, "INSERT INTO t VALUES(6, 6)", 1); /* no transaction is left */
    db_end(f, db);
}

/* A blob that is written has the writer: what is to be written next waits, or is cancelled. */
static void hold_their_connection(fixture *f)
{
    epio_op ops[3] = {EPIO_OP_INIT};
    epio_op op = EPIO_OP_INIT;
    epio_file *file;
    epio_db *db = begin(f);
    check_result(open_blob(f, db, READ_WRITE, &file), 0);
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_db_execute(&ops[i], db, "INSERT INTO t VALUES(NULL, 1)", NULL));
    }
    fixture_settle(f);
    check(epio_op_pending(&ops[0]) && db_stats(db).waiting_now == 3);
    epio_cancel(&ops[1]);
    check_result(epio_wait(&ops[1]), EPIO_ECANCELED);
    check_result(epio_wait(epio_write(&op, file, "w", 1, 0)), 1);
    check_result(epio_wait(epio_close(&op, file)), 0);
    check_result(epio_wait(&ops[0]), 1);
    check_result(epio_wait(&ops[2]), 1);
    db_end(f, db);
}

/* One that is read has a reader, and sees what was there when it was opened. */
static void are_read_while_others_write(fixture *f)
{
    char found[1];
    epio_op op = EPIO_OP_INIT;
    epio_file *file;
    epio_db *db = begin(f);
    check_result(open_blob(f, db, EPIO_OPEN_READ, &file), 0);
    check(db_stats(db).readers_now == 1 && db_stats(db).readers_busy == 1);
    db_run(f, db, "UPDATE t SET b = 'x'", 1);
    check_op(f, epio_read(&op, file, found, 1, 0), 1);
    check(found[0] == 0);
    fixture_close(f, file);
    check(db_stats(db).readers_busy == 0);
    db_end(f, db);
}

/* The database does not wait for them: they end, and what they have written is undone. */
static void end_with_the_database(fixture *f)
{
    char found[1];
    epio_op op = EPIO_OP_INIT;
    epio_file *reads;
    epio_file *writes;
    epio_db *db = begin(f);
    check_result(open_blob(f, db, EPIO_OPEN_READ, &reads), 0);
    check_result(open_blob(f, db, READ_WRITE, &writes), 0);
    fixture_write(f, writes, "w", 1, 0);
    check_op(f, epio_db_close(&op, db, 0), 0);
    check_op(f, epio_read(&op, reads, found, 1, 0), EPIO_ECANCELED);
    check_op(f, epio_write(&op, writes, "w", 1, 0), EPIO_ECANCELED);
    check_op(f, epio_close(&op, reads), 0);
    check_op(f, epio_close(&op, writes), 0);
    epio_db_destroy(db);
    check_result(sum(f, "SELECT count(*) FROM t WHERE substr(b, 1, 1) = x'77'"), 0);
}

static void are_closed_after_their_loop(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_file *file;
    epio_db *db = begin(f);
    check_result(open_blob(f, db, READ_WRITE, &file), 0);
    check_result(epio_wait(epio_write(&op, file, "w", 1, 0)), 1);
    check_result(epio_loop_close(f->loop, EPIO_FOREVER), 0);
    check_result(epio_wait(epio_write(&op, file, "w", 1, 0)), EPIO_ECANCELED);
    check_result(epio_wait(epio_close(&op, file)), 0);
    check_result(epio_perform(epio_db_close(&op, db, 0)), 0);
    epio_db_destroy(db);
    f->performs = true;
    check_result(sum(f, "SELECT count(*) FROM t WHERE substr(b, 1, 1) = x'77'"), 1);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(are_read_and_written, ON_ANY),
        FIXTURE_TEST(are_durable_once_closed, ON_ANY),
        FIXTURE_TEST(that_are_missing_are_errors, ON_ANY),
        FIXTURE_TEST(hold_their_connection, ON_OS | ON_MEMORY),
        FIXTURE_TEST(are_read_while_others_write, ON_ANY),
        FIXTURE_TEST(end_with_the_database, ON_ANY),
        FIXTURE_TEST(are_closed_after_their_loop, ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("blobs of a database", tests);
}
