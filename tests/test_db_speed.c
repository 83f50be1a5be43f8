/* EPIO_TEST_ONCE EPIO_TEST_SERIAL: how fast and how evenly rows stream. A scan by epio_db_next is
 * compared with a bare loop of sqlite3_step over the same file and columns by stock SQLite, in
 * turns; what a timer of 1 ms on the loop had to wait meanwhile, and the memory it took, are
 * printed. Nothing here depends on time. 10 million rows: EPIO_TEST_EFFORT=500, and
 * EPIO_TEST_FILTER="scans*". */
#include "support.h"

#include "database.h"

#include <epio/db.h>

#include <time.h>

enum { BATCH = 1000, ROUNDS = 5 };

#define QUERY "SELECT id, number, text, part FROM t"

typedef struct sums {
    int64_t rows;
    int64_t integers;
    double reals;
    size_t bytes;
} sums;

static void fill_table(const char *path, unsigned rows)
{
    sqlite3 *database = database_open(NULL, path);
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA journal_mode=wal; PRAGMA synchronous=off;"
                   "CREATE TABLE t(id INTEGER PRIMARY KEY, number INTEGER, text TEXT, part REAL);"
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
                   "INSERT INTO t SELECT i, i * 7, 'row number ' || i, i / 3.0 FROM n;"
                   "PRAGMA wal_checkpoint(TRUNCATE)",
                   rows);
    database_run(database, sql);
    database_close(database);
}

/* ---- The bare loop ------------------------------------------------------------ */

static void scan_by_steps(sqlite3 *database, sums *all)
{
    sqlite3_stmt *statement;
    check_result(sqlite3_prepare_v2(database, QUERY, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        all->rows++;
        all->integers += sqlite3_column_int64(statement, 0) + sqlite3_column_int64(statement, 1);
        all->bytes += strlen((const char *)sqlite3_column_text(statement, 2));
        all->reals += sqlite3_column_double(statement, 3);
    }
    check_result(sqlite3_finalize(statement), SQLITE_OK);
}

/* ---- The stream ------------------------------------------------------------------ */

typedef struct stream {
    epio_op op;
    epio_rows *rows;
    sums sums;
    bool ended;
} stream;

static void add_batch(stream *one)
{
    uint32_t count = epio_rows_count(one->rows);
    for (uint32_t i = 0; i < count; i++) {
        const epio_value *row = epio_rows_value(one->rows, i, 0);
        one->sums.integers += row[0].is.integer + row[1].is.integer;
        one->sums.bytes += strlen(row[2].is.text);
        one->sums.reals += row[3].is.real;
    }
    one->sums.rows += count;
}

static void on_batch(epio_op *op)
{
    stream *one = op->user;
    check(op->result >= 0);
    if (op->result == 0) {
        one->ended = true;
        return;
    }
    add_batch(one);
    epio_submit(epio_db_next(op, one->rows, BATCH));
}

typedef struct timer {
    epio_op op;
    epio_vfs *vfs;
    const bool *ended;
    uint64_t due;
    uint64_t latest;
    unsigned beats;
} timer;

static void start_timer(timer *one)
{
    one->due = system_monotonic_ns() + MILLISECOND;
    epio_submit(epio_sleep(&one->op, one->vfs, MILLISECOND));
}

static void on_timer(epio_op *op)
{
    timer *one = op->user;
    uint64_t now = system_monotonic_ns();
    if (now > one->due && now - one->due > one->latest) {
        one->latest = now - one->due;
    }
    one->beats++;
    if (!*one->ended) {
        start_timer(one);
    }
}

static void scan_by_batches(fixture *f, epio_db *db, stream *one, timer *beat)
{
    check_op(f, epio_db_query(&one->op, db, &one->rows, QUERY, NULL), 0);
    one->op.done = on_batch;
    one->op.user = one;
    beat->op.done = on_timer;
    beat->op.user = beat;
    beat->vfs = f->vfs;
    beat->ended = &one->ended;
    start_timer(beat);
    epio_submit(epio_db_next(&one->op, one->rows, BATCH));
    (void)epio_loop_run(f->loop);
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_db_end(&op, one->rows), 0);
}

/* ---- The comparison ---------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void scans_are_compared(fixture *f)
{
    epio_db *db;
    epio_op op = EPIO_OP_INIT;
    const char *path = fixture_path(f, "db");
    fill_table(path, fixture_rounds(20000));
    check_result(epio_db_create(&db, f->vfs, path, NULL), 0);
    check_op(f, epio_db_open(&op, db), 0);
    double ratios[ROUNDS];
    uint64_t latest = 0;
    int64_t grown = 0;
    for (int round = 0; round < ROUNDS; round++) {
        sums bare = {0};
        sqlite3 *database;
        int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
        check_result(database_try_open(&database, NULL, path, flags), SQLITE_OK);
        clock_t cpu = clock();
        uint64_t start = system_monotonic_ns();
        scan_by_steps(database, &bare);
        uint64_t stepped = system_monotonic_ns() - start;
        double stepped_cpu = (double)(clock() - cpu) / CLOCKS_PER_SEC;
        database_close(database);
        stream one = {0};
        timer beat = {0};
        int64_t before = system_peak_memory();
        cpu = clock();
        start = system_monotonic_ns();
        scan_by_batches(f, db, &one, &beat);
        uint64_t streamed = system_monotonic_ns() - start;
        double streamed_cpu = (double)(clock() - cpu) / CLOCKS_PER_SEC;
        int64_t more = system_peak_memory() - before;
        check_result(one.sums.rows, bare.rows);
        check_result(one.sums.integers, bare.integers);
        check_result(one.sums.bytes, bare.bytes);
        check(one.sums.reals == bare.reals);
        ratios[round] = (double)stepped / (double)streamed;
        latest = beat.latest > latest ? beat.latest : latest;
        grown = more > grown ? more : grown;
        print_message(
            "%lld rows: %.1f ms by steps (CPU %.1f), %.1f ms by batches (CPU %.1f); timer at "
            "most %.2f ms late in %u\n",
            (long long)bare.rows, (double)stepped / 1e6, stepped_cpu * 1e3, (double)streamed / 1e6,
            streamed_cpu * 1e3, (double)beat.latest / 1e6, beat.beats);
    }
    qsort(ratios, ROUNDS, sizeof ratios[0], by_value);
    print_message("as fast as the bare loop: %.2f (from %.2f to %.2f); %.1f MiB more; timer at "
                  "most %.2f ms late\n",
                  ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1], (double)grown / 1048576,
                  (double)latest / 1e6);
    check_op(f, epio_db_close(&op, db, 0), 0);
    epio_db_destroy(db);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(scans_are_compared, ON_OS),
    };
    return FIXTURE_RUN("db_speed", tests);
}
