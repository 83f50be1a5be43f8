/* Queries: rows in batches of any size, values of all types, errors in the middle, one batch ahead
 * and no more; by every runner. Cancelling them is test_db_cancel's. */
#include "support.h"

#include <epio/db.h>

/* ---- What the tests share ------------------------------------------------- */

static epio_db *open_db(fixture *f, const epio_db_options *options)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_db_create(&db, f->vfs, fixture_path(f, "db"), options), 0);
    check_op(f, epio_db_open(&op, db), 0);
    return db;
}

static void close_db(fixture *f, epio_db *db)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_close(&op, db, 0), 0);
    epio_db_destroy(db);
}

static void run(fixture *f, epio_db *db, const char *sql, int64_t result)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_execute(&op, db, sql, NULL), result);
}

static epio_rows *query(fixture *f, epio_db *db, const char *sql)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    check_op(f, epio_db_query(&op, db, &rows, sql, NULL), 0);
    return rows;
}

static int64_t next(fixture *f, epio_rows *rows, uint32_t batch)
{
    epio_op op = EPIO_OP_INIT;
    return fixture_result(f, epio_db_next(&op, rows, batch));
}

static void end(fixture *f, epio_rows *rows)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_end(&op, rows), 0);
}

static int64_t integer(const epio_rows *rows, uint32_t row, uint32_t column)
{
    const epio_value *value = epio_rows_value(rows, row, column);
    check(value != NULL && value->type == EPIO_VALUE_INTEGER);
    return value->is.integer;
}

#define COUNT_TO "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "

/* The integers from 1 on. */
static epio_rows *count_to(fixture *f, epio_db *db, unsigned last, const char *columns)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, COUNT_TO "SELECT %s FROM n", last, columns);
    return query(f, db, sql);
}

static epio_db_stats stats_of(epio_db *db)
{
    epio_db_stats stats = {.size = sizeof stats};
    check_result(epio_db_get_stats(db, &stats), 0);
    return stats;
}

/* ---- Batches ---------------------------------------------------------------- */

static void rows_come_in_batches(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_rows *rows = count_to(f, db, 1005, "i, i * 2");
    check_result(epio_rows_count(rows), 0);
    check_result(epio_rows_columns(rows), 2);
    int64_t expected = 1;
    for (;;) {
        int64_t count = next(f, rows, 100);
        check(count >= 0);
        check_result(epio_rows_count(rows), count);
        check_result(count, expected == 1001 ? 5 : expected > 1001 ? 0 : 100);
        if (count == 0) {
            break;
        }
        for (uint32_t i = 0; i < count; i++) {
            check_result(integer(rows, i, 0), expected);
            check_result(integer(rows, i, 1), expected * 2);
            expected++;
        }
        check(epio_rows_value(rows, (uint32_t)count, 0) == NULL);
        check(epio_rows_value(rows, 0, 2) == NULL);
    }
    check_result(next(f, rows, 100), 0);
    check_result(stats_of(db).rows, 1005);
    end(f, rows);
    close_db(f, db);
}

static void batch_sizes_may_differ(fixture *f)
{
    static const uint32_t sizes[] = {1, 1000, 3, 2, 700, 1, 1, 5000, 10, UINT32_MAX};
    epio_db *db = open_db(f, NULL);
    epio_rows *rows = count_to(f, db, 20000, "i");
    int64_t expected = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t left = 20001 - expected;
        int64_t count = next(f, rows, sizes[i]);
        check_result(count, left < sizes[i] ? left : sizes[i]);
        for (uint32_t row = 0; row < count; row++) {
            check_result(integer(rows, row, 0), expected++);
        }
    }
    check_result(next(f, rows, 1), 0);
    end(f, rows);
    close_db(f, db);
}

static void there_may_be_nothing(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    run(f, db, "CREATE TABLE t(a, b)", 0);
    epio_rows *rows = query(f, db, "SELECT a, b AS \"x y\" FROM t");
    check_result(epio_rows_columns(rows), 2);
    assert_string_equal(epio_rows_name(rows, 0), "a");
    assert_string_equal(epio_rows_name(rows, 1), "x y");
    check(epio_rows_name(rows, 2) == NULL);
    check_result(next(f, rows, 10), 0);
    check_result(next(f, rows, 10), 0);
    end(f, rows);
    rows = query(f, db, "CREATE TABLE u(a)"); /* no columns, and it writes */
    check_result(epio_rows_columns(rows), 0);
    check_result(next(f, rows, 10), 0);
    end(f, rows);
    run(f, db, "INSERT INTO u VALUES(1)", 1);
    rows = query(f, db, "SELECT 1");
    end(f, rows); /* none was asked for */
    close_db(f, db);
}

/* ---- Values ------------------------------------------------------------------- */

static void check_value(const epio_rows *rows, uint32_t column, uint32_t type, const void *bytes,
                        uint32_t len)
{
    const epio_value *value = epio_rows_value(rows, 0, column);
    check(value != NULL && value->type == type && value->len == len);
    check(value->is.blob != NULL);
    check(memcmp(value->is.blob, bytes, len) == 0);
    check(type != EPIO_VALUE_TEXT || value->is.text[len] == '\0');
}

static void values_have_types(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_value values[] = {
        {.type = EPIO_VALUE_NULL},
        {.type = EPIO_VALUE_INTEGER, .is = {.integer = INT64_MIN}},
        {.type = EPIO_VALUE_REAL, .is = {.real = 0.1}},
        {.type = EPIO_VALUE_TEXT, .len = 7, .is = {.text = "a\0b\xC3\xA4\0c"}},
        {.type = EPIO_VALUE_BLOB, .len = 4, .is = {.blob = "\0\xFF\0\1"}},
        {.type = EPIO_VALUE_TEXT, .len = 0, .is = {.text = ""}},
        {.type = EPIO_VALUE_BLOB, .len = 0, .is = {.blob = ""}},
    };
    epio_parameters parameters = {.size = sizeof parameters, .values = values, .count = 7};
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows;
    check_op(f, epio_db_query(&op, db, &rows, "SELECT ?, ?, ?, ?, ?, ?, ?, ?8", &parameters), 0);
    memset(values, 0xFF, sizeof values); /* they are the program's again */
    check_result(next(f, rows, 5), 1);
    check_result(epio_rows_value(rows, 0, 0)->type, EPIO_VALUE_NULL);
    check(integer(rows, 0, 1) == INT64_MIN);
    check_result(epio_rows_value(rows, 0, 2)->type, EPIO_VALUE_REAL);
    check(epio_rows_value(rows, 0, 2)->is.real == 0.1);
    check_value(rows, 3, EPIO_VALUE_TEXT, "a\0b\xC3\xA4\0c", 7);
    check_value(rows, 4, EPIO_VALUE_BLOB, "\0\xFF\0\1", 4);
    check_value(rows, 5, EPIO_VALUE_TEXT, "", 0);
    check_value(rows, 6, EPIO_VALUE_BLOB, "", 0);
    check_result(epio_rows_value(rows, 0, 7)->type, EPIO_VALUE_NULL);
    end(f, rows);
    close_db(f, db);
}

/* A text of the number's digits, repeated as often as it says. */
static void check_text(const epio_rows *rows, uint32_t row, uint32_t column, unsigned number)
{
    char one[16];
    size_t len = (size_t)snprintf(one, sizeof one, "%05u", number);
    const epio_value *value = epio_rows_value(rows, row, column);
    check(value->type == EPIO_VALUE_TEXT && value->len == len * number);
    for (size_t at = 0; at < value->len; at += len) {
        check(memcmp(value->is.text + at, one, len) == 0);
    }
    check(value->is.text[value->len] == '\0');
}

static void texts_are_valid_until_the_next_batch(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_rows *rows = count_to(f, db, 600, "replace(hex(zeroblob(i)), '00', printf('%05d', i)), i");
    unsigned number = 1;
    for (;;) {
        int64_t count = next(f, rows, 50);
        check(count >= 0);
        if (count == 0) {
            break;
        }
        for (uint32_t i = 0; i < count; i++) {
            check_text(rows, i, 0, number++);
        }
    }
    check_result(number, 601);
    end(f, rows);
    close_db(f, db);
}

static void values_may_be_large(fixture *f)
{
    static const unsigned mebibyte = 1 << 20;
    unsigned large = fixture_is_slow() ? 4 : 100;
    epio_db *db = open_db(f, NULL);
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "SELECT zeroblob(10) UNION ALL SELECT zeroblob(%u) UNION ALL SELECT 'end'",
                   large * mebibyte);
    epio_rows *rows = query(f, db, sql);
    check_result(next(f, rows, 1), 1);
    check_result(epio_rows_value(rows, 0, 0)->len, 10);
    check_result(next(f, rows, 1), 1);
    const epio_value *value = epio_rows_value(rows, 0, 0);
    check_result(value->len, large * mebibyte);
    const char *bytes = value->is.blob;
    check(bytes[0] == 0 && memcmp(bytes, bytes + 1, value->len - 1) == 0);
    check_result(next(f, rows, 1), 1);
    check_value(rows, 0, EPIO_VALUE_TEXT, "end", 3);
    check_result(next(f, rows, 1), 0);
    end(f, rows);
    close_db(f, db);
}

static void columns_may_be_many(fixture *f)
{
    enum { COLUMNS = 2000 };
    static char sql[COLUMNS * 8 + 200];
    epio_db *db = open_db(f, NULL);
    size_t len = (size_t)snprintf(sql, sizeof sql, COUNT_TO "SELECT i", 40u);
    for (unsigned i = 1; i < COLUMNS; i++) {
        len += (size_t)snprintf(sql + len, sizeof sql - len, ",i+%u", i);
    }
    (void)snprintf(sql + len, sizeof sql - len, " FROM n");
    epio_rows *rows = query(f, db, sql);
    check_result(epio_rows_columns(rows), COLUMNS);
    assert_string_equal(epio_rows_name(rows, COLUMNS - 1), "i+1999");
    int64_t row = 1;
    for (int64_t count; (count = next(f, rows, 7)) != 0;) {
        check(count > 0);
        for (uint32_t i = 0; i < count; i++, row++) {
            for (uint32_t column = 0; column < COLUMNS; column++) {
                check(integer(rows, i, column) == row + column);
            }
        }
    }
    check_result(row, 41);
    end(f, rows);
    close_db(f, db);
}

/* ---- Errors ---------------------------------------------------------------------- */

static void refuse(fixture *f, epio_db *db, const char *sql, int64_t result)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows = NULL;
    epio_db_error error = {.size = sizeof error};
    check_op(f, epio_db_report(epio_db_query(&op, db, &rows, sql, NULL), &error), result);
    check(rows == NULL);
    check(error.message[0] != '\0');
}

static void queries_may_be_wrong(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    refuse(f, db, "SELECT missing", EPIO_ESQL);
    refuse(f, db, "SELECT 1; SELECT 2", EPIO_EINVAL);
    refuse(f, db, " -- nothing", EPIO_EINVAL);
    refuse(f, db, "BEGIN", EPIO_EINVAL);
    epio_rows *rows = query(f, db, "SELECT 1; -- and no more");
    check_result(next(f, rows, 1), 1);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_next(&op, rows, 0), EPIO_EINVAL);
    end(f, rows);
    close_db(f, db);
}

static void rows_before_an_error_are_given(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_rows *rows = count_to(f, db, 100, "CASE WHEN i < 26 THEN i ELSE abs(-1 << 63) END");
    check_result(next(f, rows, 10), 10);
    check_result(next(f, rows, 10), 10);
    check_result(next(f, rows, 10), 5);
    check_result(integer(rows, 4, 0), 25);
    epio_op op = EPIO_OP_INIT;
    epio_db_error error = {.size = sizeof error};
    for (int i = 0; i < 2; i++) {
        check_op(f, epio_db_report(epio_db_next(&op, rows, 10), &error), EPIO_ESQL);
        assert_string_equal(error.message, "integer overflow");
        check_result(epio_db_error_code(&op), error.code);
        check(error.code != 0);
        check_result(epio_rows_count(rows), 0);
    }
    check_result(stats_of(db).failed, 1);
    rows = (end(f, rows), query(f, db, "SELECT 1")); /* the connection is as good as before */
    check_result(next(f, rows, 10), 1);
    end(f, rows);
    close_db(f, db);
}

/* ---- Connections ------------------------------------------------------------------- */

/* As many as there are rows, which have one reader: each frees it with its last row. */
static void readers_are_free_after_the_last_row(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .readers = 1};
    epio_db *db = open_db(f, &options);
    epio_rows *rows[5];
    for (int64_t i = 0; i < 5; i++) {
        rows[i] = count_to(f, db, 3, "i");
        check_result(next(f, rows[i], 10), 3);
    }
    for (int i = 0; i < 5; i++) {
        check_result(integer(rows[i], 2, 0), 3);
        check_result(next(f, rows[i], 10), 0);
        end(f, rows[i]);
    }
    check_result(stats_of(db).opened, 2);
    close_db(f, db);
}

static void several_queries_take_turns(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    epio_rows *rows[4];
    for (int i = 0; i < 4; i++) { /* one statement, four times */
        rows[i] = count_to(f, db, 100, "i");
    }
    for (int64_t expected = 1; expected < 101; expected++) {
        for (int i = 0; i < 4; i++) {
            check_result(next(f, rows[i], 1), 1);
            check_result(integer(rows[i], 0, 0), expected);
        }
    }
    for (int i = 0; i < 4; i++) {
        check_result(next(f, rows[i], 1), 0);
        end(f, rows[i]);
    }
    close_db(f, db);
}

static void statements_that_write_have_the_writer(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    run(f, db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)", 0);
    for (int i = 0; i < 3; i++) { /* to the end; to its first row; not at all */
        epio_rows *rows = query(f, db, "INSERT INTO t(b) VALUES('x'), ('y'), ('z') RETURNING a, b");
        if (i == 0) {
            check_result(next(f, rows, 10), 3);
            check_result(integer(rows, 2, 0), 3);
            check_result(next(f, rows, 10), 0);
        } else if (i == 1) {
            check_result(next(f, rows, 1), 1);
        }
        end(f, rows);
        run(f, db, "UPDATE t SET b = b || '.'", i == 0 ? 3 : 6);
    }
    epio_rows *rows = query(f, db, "SELECT count(*) FROM t");
    check_result(next(f, rows, 10), 1);
    check_result(integer(rows, 0, 0), 6);
    end(f, rows);
    close_db(f, db);
}

/* A statement is prepared once, but sees the columns that there are. */
static void columns_may_change(fixture *f)
{
    epio_db *db = open_db(f, NULL);
    run(f, db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)", 1);
    epio_rows *rows = query(f, db, "SELECT * FROM t");
    check_result(epio_rows_columns(rows), 1);
    run(f, db, "ALTER TABLE t ADD COLUMN b DEFAULT 2", 0);
    check_result(next(f, rows, 10), 1);
    check_result(epio_rows_columns(rows), 2);
    assert_string_equal(epio_rows_name(rows, 1), "b");
    check_result(integer(rows, 0, 1), 2);
    end(f, rows);
    close_db(f, db);
}

static void a_close_ends_rows(fixture *f)
{
    for (uint32_t flags = 0; flags <= EPIO_DB_CANCEL; flags += EPIO_DB_CANCEL) {
        epio_db *db = open_db(f, NULL);
        epio_rows *rows = count_to(f, db, 1000, "i");
        check_result(next(f, rows, 10), 10);
        epio_op op = EPIO_OP_INIT;
        check_op(f, epio_db_close(&op, db, flags), 0);
        check_result(epio_rows_count(rows), 10); /* the batch is the program's yet */
        check_result(integer(rows, 9, 0), 10);
        check_result(next(f, rows, 10), EPIO_ECANCELED);
        end(f, rows);
        epio_db_destroy(db);
    }
}

/* ---- Ahead ---------------------------------------------------------------------------- */

/* Waits until the rows that are worked out ahead hold permits, or no more come. */
static void await_permits(fixture *f, epio_semaphore *semaphore, uint32_t available)
{
    while (epio_semaphore_available(semaphore) != available) {
        epio_op op = EPIO_OP_INIT;
        check(fixture_result(f, epio_sleep(&op, f->vfs, 100000)) >= 0);
    }
}

static void batches_ahead_hold_permits(fixture *f)
{
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 40), 0);
    epio_db_options options = {.size = sizeof options, .ahead = semaphore};
    epio_db *db = open_db(f, &options);
    epio_rows *rows = count_to(f, db, 1000, "i");
    check_result(next(f, rows, 100), 100);
    await_permits(f, semaphore, 24); /* 100 rows of 16 bytes: 16 are taken at once */
    check_result(next(f, rows, 100), 100);
    await_permits(f, semaphore, 8); /* both: the program has one, the other is ahead */
    check_result(next(f, rows, 100), 100);
    await_permits(f, semaphore, 8); /* the first one's were given back */
    int64_t expected = 301;
    while (expected < 1001) {
        check_result(next(f, rows, 100), 100);
        check_result(integer(rows, 99, 0), expected + 99);
        expected += 100;
    }
    end(f, rows);
    await_permits(f, semaphore, 40);
    close_db(f, db);
    epio_semaphore_destroy(semaphore);
}

static void without_permits_nothing_is_ahead(fixture *f)
{
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 3), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 3), 0);
    epio_db_options options = {.size = sizeof options, .ahead = semaphore};
    epio_db *db = open_db(f, &options);
    epio_rows *rows = count_to(f, db, 1000, "i");
    for (int64_t expected = 1; expected < 1001; expected += 10) {
        check_result(next(f, rows, 10), 10);
        check_result(integer(rows, 9, 0), expected + 9);
    }
    check_result(next(f, rows, 10), 0);
    end(f, rows);
    epio_semaphore_release(semaphore, 3);
    close_db(f, db);
    epio_semaphore_destroy(semaphore);
}

/* A batch that may not be ahead as a whole is completed when it is asked for. */
static void little_may_be_ahead(fixture *f)
{
    epio_db_options options = {.size = sizeof options, .ahead_bytes = 1000};
    epio_db *db = open_db(f, &options);
    epio_rows *rows =
        count_to(f, db, 300, "i, printf('%.*c', i, 'x'), zeroblob(CASE i WHEN 150 THEN 5000 END)");
    int64_t expected = 1;
    while (expected < 301) {
        check_result(next(f, rows, 20), 20);
        for (uint32_t i = 0; i < 20; i++, expected++) {
            check_result(integer(rows, i, 0), expected);
            check_result(epio_rows_value(rows, i, 1)->len, expected);
            check_result(epio_rows_value(rows, i, 2)->len, expected == 150 ? 5000 : 0);
        }
    }
    check_result(next(f, rows, 20), 0);
    end(f, rows);
    close_db(f, db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(rows_come_in_batches, ON_ANY),
        FIXTURE_TEST(batch_sizes_may_differ, ON_ANY),
        FIXTURE_TEST(there_may_be_nothing, ON_ANY),
        FIXTURE_TEST(values_have_types, ON_ANY),
        FIXTURE_TEST(texts_are_valid_until_the_next_batch, ON_ANY),
        FIXTURE_TEST(values_may_be_large, ON_OS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(columns_may_be_many, ON_OS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(queries_may_be_wrong, ON_ANY),
        FIXTURE_TEST(rows_before_an_error_are_given, ON_ANY),
        FIXTURE_TEST(readers_are_free_after_the_last_row, ON_ANY),
        FIXTURE_TEST(several_queries_take_turns, ON_ANY),
        FIXTURE_TEST(statements_that_write_have_the_writer, ON_ANY),
        FIXTURE_TEST(columns_may_change, ON_ANY),
        FIXTURE_TEST(a_close_ends_rows, ON_ANY),
        FIXTURE_TEST(batches_ahead_hold_permits, ON_ANY_LOOP),
        FIXTURE_TEST(without_permits_nothing_is_ahead, ON_ANY),
        FIXTURE_TEST(little_may_be_ahead, ON_ANY),
    };
    return FIXTURE_RUN("db_rows", tests);
}
