/* A tour of epio-sqlite in seven parts: SQLite over a VFS of epio's, and an asynchronous database
 * with its transactions, queries, pool, streams, log and copies.
 *
 *     sqlite_tour [DIRECTORY]
 *
 * Makes a database of 100,000 books in DIRECTORY (default: the current one) and deletes it.
 * Portable: C11, epio, epio-sqlite and SQLite. */
#include <epio/db.h>
#include <epio/vfs.h> /* EPIO_KIND_... */

#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 4096
#define BATCH 1000

/* Shared by the parts. */
struct tour {
    epio_loop *loop;
    epio_db *db;
    char path[PATH_SIZE];
    char copy[PATH_SIZE]; /* of the database */
};

/* Prints the result of an operation, and passes it on. */
static int64_t show(const char *what, int64_t result)
{
    if (result < 0) {
        printf("  %-34s %s: %s\n", what, epio_error_name(result), epio_error_message(result));
    } else {
        printf("  %-34s %" PRId64 "\n", what, result);
    }
    return result;
}

/* ---- Part 1: the pager --------------------------------------------------- */

static uint64_t count_of(const epio_vfs *trace, uint32_t kind)
{
    epio_trace_counts counts = {.size = sizeof counts};

    return epio_trace_read(trace, kind, &counts) == 0 ? counts.count : 0;
}

/* Any program that uses SQLite can use it over epio: what it opens over the registered VFS is read
 * and written by that. This one counts. */
static int64_t part_pager(struct tour *tour)
{
    epio_vfs *trace;
    sqlite3 *connection = NULL;
    int code;
    int64_t result = epio_trace_vfs_create(&trace, epio_os_vfs());

    printf("\n1. SQLite's pager over a VFS of epio's\n");
    if (result == 0) {
        result = epio_sqlite_register("tour", trace, EPIO_SQLITE_OVERLAP);
    }
    if (result < 0) {
        return result;
    }
    code = sqlite3_open_v2(tour->path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                           "tour");
    if (code == SQLITE_OK) {
        code = sqlite3_exec(connection,
                            "PRAGMA journal_mode = WAL;"
                            "CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT, year INTEGER);"
                            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                            " LIMIT 100000) INSERT INTO book"
                            " SELECT i, 'Volume ' || i, 1500 + i * 7919 % 500 FROM n",
                            NULL, NULL, NULL);
    }
    sqlite3_close(connection);
    printf("  100,000 books: %" PRIu64 " writes, %" PRIu64 " syncs\n",
           count_of(trace, EPIO_KIND_WRITE), count_of(trace, EPIO_KIND_SYNC));
    epio_sqlite_unregister("tour");
    epio_vfs_destroy(trace);
    return epio_sqlite_error(code);
}

/* ---- Part 2: transactions ------------------------------------------------ */

static int64_t open_database(struct tour *tour)
{
    /* Up to 32 transactions that wait at the same time share one commit: see part 6. */
    epio_db_options options = {.size = sizeof options, .group = 32};
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_db_create(&tour->db, epio_loop_vfs(tour->loop), tour->path, &options);

    return result < 0 ? result : epio_wait(epio_db_open(&op, tour->db));
}

/* Begun, and ended when the program wants to: nobody else writes meanwhile. */
static int64_t transaction_step_by_step(struct tour *tour)
{
    epio_op op = EPIO_OP_INIT;
    epio_db *transaction, *savepoint;
    int64_t result = epio_wait(epio_db_begin(&op, tour->db, &transaction, EPIO_DB_WRITE));

    if (result < 0) {
        return result;
    }
    result = epio_wait(
        epio_db_execute(&op, transaction, "UPDATE book SET year = 0 WHERE id <= 10", NULL));
    show("books changed", result);
    result = epio_wait(epio_db_begin(&op, transaction, &savepoint, EPIO_DB_WRITE));
    if (result == 0) {
        show("and deleted", epio_wait(epio_db_execute(&op, savepoint, "DELETE FROM book", NULL)));
        show("but that is undone", epio_wait(epio_db_rollback(&op, savepoint)));
    }
    result = epio_wait(epio_db_commit(&op, transaction));
    if (result < 0) {
        epio_wait(epio_db_rollback(&op, transaction));
    }
    return show("committed: it is on the medium", result);
}

/* Runs on the connection's own thread, where waiting is harmless. An error undoes all of it. */
static int64_t move_year(epio_db *transaction, void *user)
{
    const char *year = user;
    epio_value value = {.type = EPIO_VALUE_TEXT, .len = (uint32_t)strlen(year), .is.text = year};
    epio_parameters parameters = {.size = sizeof parameters, .values = &value, .count = 1};
    epio_op op = EPIO_OP_INIT;

    return epio_perform(epio_db_execute(
        &op, transaction, "UPDATE book SET year = CAST(? AS INTEGER) WHERE year = 0", &parameters));
}

static int64_t part_transactions(struct tour *tour)
{
    static char year[] = "1984";
    epio_op op = EPIO_OP_INIT;
    int64_t result;

    printf("\n2. Transactions\n");
    result = transaction_step_by_step(tour);
    if (result < 0) {
        return result;
    }
    op.user = year;
    return show("a function in a transaction",
                epio_wait(epio_db_transaction(&op, tour->db, move_year, EPIO_DB_WRITE)));
}

/* ---- Part 3: queries and errors ------------------------------------------ */

static int64_t part_queries(struct tour *tour)
{
    const char *const names[] = {":from", ":to"};
    const epio_value values[] = {{.type = EPIO_VALUE_INTEGER, .is.integer = 1980},
                                 {.type = EPIO_VALUE_INTEGER, .is.integer = 1985}};
    const epio_parameters parameters = {
        .size = sizeof parameters, .values = values, .names = names, .count = 2};
    epio_db_error error = {.size = sizeof error};
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows;
    int64_t result;

    printf("\n3. Queries\n");
    result = epio_wait(epio_db_query(&op, tour->db, &rows,
                                     "SELECT title, year FROM book WHERE year BETWEEN :from AND :to"
                                     " ORDER BY year DESC LIMIT 3",
                                     &parameters));
    if (result < 0) {
        return result;
    }
    result = epio_wait(epio_db_next(&op, rows, BATCH));
    for (uint32_t i = 0; i < epio_rows_count(rows); i++) {
        printf("  %-34s %" PRId64 "\n", epio_rows_value(rows, i, 0)->is.text,
               epio_rows_value(rows, i, 1)->is.integer);
    }
    epio_wait(epio_db_end(&op, rows));

    /* What SQLite says of an op that it refuses. */
    epio_wait(
        epio_db_report(epio_db_execute(&op, tour->db, "UPDATE bok SET year = 1", NULL), &error));
    printf("  %s: %s\n", epio_error_name(op.result), error.message);
    return result < 0 ? result : 0;
}

/* ---- Part 4: the pool ---------------------------------------------------- */

/* A query as a chain of callbacks: begun, read, ended. */
struct search {
    epio_op op;
    epio_db *db;
    epio_rows *rows;
    const char *sql;
    int64_t found;
};

static void on_search_ended(epio_op *op)
{
    struct search *search = op->user;

    printf("  %-34s %" PRId64 "\n", search->sql + strlen("SELECT count(*) FROM "), search->found);
}

static void on_search_read(epio_op *op)
{
    struct search *search = op->user;

    search->found = op->result > 0 ? epio_rows_value(search->rows, 0, 0)->is.integer : op->result;
    op->done = on_search_ended;
    epio_submit(epio_db_end(op, search->rows));
}

static void on_search_begun(epio_op *op)
{
    struct search *search = op->user;

    search->found = op->result;
    if (op->result == 0) {
        op->done = on_search_read;
        epio_submit(epio_db_next(op, search->rows, 1));
    }
}

/* Each has a connection of its own that reads, on a thread of its own. */
static int64_t part_pool(struct tour *tour)
{
    static const char *const queries[] = {
        "SELECT count(*) FROM book WHERE title LIKE '%99%'",
        "SELECT count(*) FROM book WHERE year < 1600",
        "SELECT count(*) FROM book WHERE year * id % 3 = 1",
        "SELECT count(*) FROM book WHERE title < 'Volume 5'",
    };
    struct search searches[4] = {{.rows = NULL}};
    epio_db_stats stats = {.size = sizeof stats};
    int64_t result = 0;

    printf("\n4. Four queries at once\n");
    for (int i = 0; i < 4; i++) {
        struct search *search = &searches[i];

        search->db = tour->db;
        search->sql = queries[i];
        search->op.done = on_search_begun;
        search->op.user = search;
        epio_submit(epio_db_query(&search->op, tour->db, &search->rows, search->sql, NULL));
    }
    epio_loop_run(tour->loop);
    for (int i = 0; i < 4; i++) {
        result = searches[i].found < 0 ? searches[i].found : result;
    }
    epio_db_get_stats(tour->db, &stats);
    show("connections that read", stats.readers_now);
    return result;
}

/* ---- Part 5: streams, cancels, deadlines --------------------------------- */

/* Batch by batch: the next is worked out while this one is used, and no more. */
static int64_t stream_all(struct tour *tour)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows;
    int64_t years = 0, count = 0, batches = 0;
    int64_t result =
        epio_wait(epio_db_query(&op, tour->db, &rows, "SELECT id, title, year FROM book", NULL));

    if (result < 0) {
        return result;
    }
    while ((result = epio_wait(epio_db_next(&op, rows, BATCH))) > 0) {
        batches++;
        for (uint32_t i = 0; i < epio_rows_count(rows); i++, count++) {
            years += epio_rows_value(rows, i, 2)->is.integer;
        }
    }
    epio_wait(epio_db_end(&op, rows));
    if (result == 0) {
        printf("  %" PRId64 " books in %" PRId64 " batches, of the year %" PRId64 " on average\n",
               count, batches, years / (count > 0 ? count : 1));
    }
    return result;
}

/* It would take hours. */
static int64_t stop_early(struct tour *tour, bool by_cancel)
{
    epio_op op = EPIO_OP_INIT, sleep = EPIO_OP_INIT, next = EPIO_OP_INIT;
    epio_rows *rows;
    int64_t result = epio_wait(
        epio_db_query(&op, tour->db, &rows, "SELECT max(a.id + b.id) FROM book a, book b", NULL));

    if (result < 0) {
        return result;
    }
    next.timeout_ns = by_cancel ? 0 : 20000000;
    epio_submit(epio_db_next(&next, rows, 1));
    if (by_cancel) {
        epio_wait(epio_sleep(&sleep, epio_loop_vfs(tour->loop), 20000000));
        epio_cancel(&next);
    }
    show(by_cancel ? "a query, cancelled after 20 ms" : "a query, with 20 ms of time",
         epio_wait(&next));
    return epio_wait(epio_db_end(&op, rows));
}

static int64_t part_streams(struct tour *tour)
{
    int64_t result;

    printf("\n5. Results as streams\n");
    result = stream_all(tour);
    if (result == 0) {
        result = stop_early(tour, true);
    }
    if (result == 0) {
        result = stop_early(tour, false);
    }
    return result;
}

/* ---- Part 6: the log, and commits that are shared ------------------------ */

/* One of 32 tasks, each of which commits one book after another. */
struct writer {
    epio_op op;
    epio_db *db;
    int left;
    int64_t error;
};

static void on_written(epio_op *op)
{
    struct writer *writer = op->user;

    writer->error = op->result < 0 ? op->result : 0;
    if (writer->error == 0 && --writer->left > 0) {
        epio_submit(epio_db_execute(op, writer->db,
                                    "INSERT INTO book(title, year) VALUES('New', 2000)", NULL));
    }
}

static int64_t write_by_tasks(struct tour *tour)
{
    static struct writer writers[32];
    int64_t result = 0;

    for (int i = 0; i < 32; i++) {
        struct writer *writer = &writers[i];

        writer->db = tour->db;
        writer->left = 20;
        writer->op.done = on_written;
        writer->op.user = writer;
        epio_submit(epio_db_execute(&writer->op, tour->db,
                                    "INSERT INTO book(title, year) VALUES('New', 2000)", NULL));
    }
    epio_loop_run(tour->loop);
    for (int i = 0; i < 32; i++) {
        result = writers[i].error != 0 ? writers[i].error : result;
    }
    return result;
}

static int64_t part_log(struct tour *tour)
{
    epio_db_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    epio_op op = EPIO_OP_INIT;
    int64_t result;

    printf("\n6. The write-ahead log\n");
    epio_db_get_stats(tour->db, &before);
    result = write_by_tasks(tour);
    epio_db_get_stats(tour->db, &after);
    if (result < 0) {
        return result;
    }
    printf("  32 tasks: %" PRIu64 " transactions, durable by %" PRIu64 " commits of SQLite's\n",
           after.transactions - before.transactions, after.commits - before.commits);
    show("pages in the log", (int64_t)after.log_frames);
    return show("left by a checkpoint",
                epio_wait(epio_db_checkpoint(&op, tour->db, EPIO_DB_TRUNCATE)));
}

/* ---- Part 7: copies ------------------------------------------------------ */

/* While others read and write. */
static int64_t part_copies(struct tour *tour)
{
    epio_op op = EPIO_OP_INIT;
    epio_progress_info info = {.size = sizeof info};
    uint64_t quarters = 0;

    printf("\n7. A copy\n");
    epio_submit(epio_db_backup(&op, tour->db, tour->copy, 0));
    while (epio_op_pending(&op)) {
        epio_loop_poll(tour->loop, 1000000, 0);
        if (epio_progress(&op, &info) != 0 || info.total_bytes == 0) {
            continue;
        }
        if (info.bytes * 4 / info.total_bytes > quarters) {
            quarters = info.bytes * 4 / info.total_bytes;
            printf("  %" PRIu64 " of %" PRIu64 " bytes\n", info.bytes, info.total_bytes);
        }
    }
    return show("copied", op.result);
}

/* ---- The program --------------------------------------------------------- */

static void delete_database(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    char name[PATH_SIZE + 16];
    epio_op op = EPIO_OP_INIT;

    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        epio_perform(epio_delete(&op, epio_os_vfs(), name, 0));
    }
}

static int64_t run_parts(struct tour *tour)
{
    static int64_t (*const parts[])(struct tour * tour) = {
        open_database, part_transactions, part_queries, part_pool,
        part_streams,  part_log,          part_copies};
    epio_op op = EPIO_OP_INIT;
    int64_t result = part_pager(tour);

    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && result >= 0; i++) {
        result = parts[i](tour);
    }
    if (tour->db != NULL) {
        epio_wait(epio_db_close(&op, tour->db, EPIO_DB_CANCEL));
        epio_db_destroy(tour->db);
    }
    return result;
}

int main(int count, char **arguments)
{
    static struct tour tour;
    const char *directory = count > 1 ? arguments[1] : ".";
    int64_t result;

    if (strcmp(directory, "--help") == 0) {
        printf("usage: sqlite_tour [DIRECTORY]\n\n"
               "A tour of epio-sqlite; its database is made in DIRECTORY (.) and removed.\n");
        return EXIT_SUCCESS;
    }
    if (count > 2 || directory[0] == '-') {
        fprintf(stderr, "usage: sqlite_tour [DIRECTORY]\n");
        return 2;
    }
    (void)snprintf(tour.path, sizeof tour.path, "%.4000s/sqlite_tour.db", directory);
    (void)snprintf(tour.copy, sizeof tour.copy, "%.4000s/sqlite_tour-copy.db", directory);
    delete_database(tour.path);
    delete_database(tour.copy);
    result = epio_loop_create(&tour.loop, NULL);
    if (result >= 0) {
        printf("SQLite %s on epio %s\n", sqlite3_libversion(), epio_version());
        result = run_parts(&tour);
        epio_loop_destroy(tour.loop);
        delete_database(tour.path);
        delete_database(tour.copy);
    }
    if (result < 0) {
        fprintf(stderr, "sqlite_tour: %s: %s: %s\n", directory, epio_error_name(result),
                epio_error_message(result));
        return EXIT_FAILURE;
    }
    printf("\nAll seven parts are done.\n");
    return EXIT_SUCCESS;
}
