/* The rows of queries, as programs see them: beginning and ending a query, handing batches over,
 * cancelling. Batches are worked out in rows_work.c. */
#include "sqlite/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A batch that takes longer is worth a wake of the loop's thread. */
#define LONGEST_EXPECTED UINT64_C(500000)

static epio_rows *rows_of(const epio_op *op)
{
    return epio__db_word_pointer(op, EPIO__WORD_OBJECT);
}

epio__db_connection *epio__db_rows_connection(const epio_rows *rows)
{
    return rows != NULL ? rows->connection : NULL;
}

epio__database *epio__db_rows_root(const epio_rows *rows)
{
    return rows->root;
}

/* ---- Batches ---- */

static void release(epio_rows *rows, epio__db_batch *batch)
{
    if (batch->permits != 0) {
        epio_semaphore_release(rows->root->options.ahead, batch->permits);
        batch->permits = 0;
    }
}

static void give_back(epio_rows *rows, epio__db_batch *batch)
{
    release(rows, batch);
    epio__db_batch_reset(batch, rows->columns);
}

/* The program has had all of a batch: the one that was worked out meanwhile takes its place. */
static void exchange(epio_rows *rows)
{
    epio__db_batch *had = rows->given;
    give_back(rows, had);
    rows->given = rows->ahead;
    rows->ahead = had;
}

static void give(epio_rows *rows, uint32_t count)
{
    epio__db_batch *batch = rows->given;
    rows->values = batch->values + (size_t)batch->given * batch->columns;
    rows->count = count;
    batch->given += count;
    rows->root->stats.rows += count;
}

static void report_error(const epio_rows *rows, epio_op *op)
{
    op->os_error = rows->os_error;
    op->arguments.words[EPIO__WORD_CODE] = (uint64_t)rows->why.code;
    epio_db_error *error = epio__db_word_pointer(op, EPIO__WORD_REPORT);
    if (error != NULL) {
        size_t size = error->size;
        *error = rows->why;
        error->size = size;
    }
}

static epio_op *take_next(epio_rows *rows)
{
    epio_op *op = rows->next;
    rows->next = NULL;
    epio__db_op_take(op);
    return op;
}

epio_op *epio__db_rows_answer(epio_rows *rows, int64_t *result)
{
    if (rows->next == NULL || rows->working) {
        return NULL;
    }
    if (rows->given->given == rows->given->count) {
        exchange(rows);
    }
    bool more_come = rows->connection != NULL && rows->error == 0;
    uint32_t left = rows->given->count - rows->given->given;
    if (left < rows->wanted && more_come) {
        return NULL;
    }
    epio_op *op = take_next(rows);
    if (left == 0) {
        *result = rows->error;
        report_error(rows, op);
        return op;
    }
    give(rows, left < rows->wanted ? left : rows->wanted);
    *result = rows->count;
    /* Who performs may never look at the loop, which the worker's turn would stay in. */
    bool has_all = rows->given->given == rows->given->count;
    rows->ahead_due = more_come && has_all && epio_op_in_flight(op);
    return op;
}

bool epio__db_rows_next(epio_op *op, int64_t *result)
{
    epio_rows *rows = rows_of(op);
    if (rows->next != NULL || rows->ending) {
        *result = epio__db_refuse(op, rows->ending ? "the rows are being ended"
                                                   : "one epio_db_next at a time");
        return true;
    }
    rows->values = NULL;
    rows->count = 0;
    rows->wanted = (uint32_t)op->arguments.words[EPIO__WORD_FIRST];
    rows->next = op;
    rows->ahead_due = false;
    epio_node none;
    epio_list_init(&none);
    epio__db_op_put(rows->connection != NULL ? &rows->connection->ops : &none, op);
    if (epio__db_rows_answer(rows, result) != NULL) {
        return true;
    }
    if (rows->working) { /* a batch ahead: it is to have what is asked for now */
        atomic_store_explicit(&rows->enough, rows->wanted, memory_order_relaxed);
        if (rows->took != 0 && rows->took < LONGEST_EXPECTED && epio_op_in_flight(op)) {
            epio_expect(op, rows->began + rows->took);
        }
    }
    return false;
}

/* ---- Ending early ---- */

void epio__db_rows_fail(epio_rows *rows, int64_t error)
{
    if (rows->error == 0) {
        rows->error = error;
    }
    if (!rows->working) { /* else they are the connection's thread's */
        rows->given->given = rows->given->count;
        give_back(rows, rows->ahead);
    }
}

void epio__db_rows_cancel(epio_op *op)
{
    epio_rows *rows = rows_of(op);
    bool late = op->timeout_ns != 0 && epio_clock_monotonic() >= op->timeout_ns;
    (void)take_next(rows);
    if (rows->error == 0) {
        rows->why.code = SQLITE_INTERRUPT;
        (void)snprintf(rows->why.message, sizeof rows->why.message, "interrupted");
    }
    epio__db_rows_fail(rows, late ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
    report_error(rows, op);
    if (rows->working) {
        epio__db_interrupt(rows->connection);
    }
}

void epio__db_rows_yield(epio__db_connection *connection)
{
    epio_rows *rows = connection->working;
    if (rows != NULL && rows->next == NULL) {
        atomic_store_explicit(&rows->enough, 0, memory_order_relaxed);
    }
}

epio_op *epio__db_rows_end_arrived(epio_rows *rows)
{
    rows->ending = true;
    epio_op *next = rows->next;
    if (next != NULL) {
        epio__db_rows_cancel(next);
    } else if (rows->working && rows->writes) { /* its end is to commit what it has written */
        atomic_store_explicit(&rows->enough, 0, memory_order_relaxed);
    } else if (rows->working) {
        epio__db_interrupt(rows->connection);
    }
    return next;
}

void epio__db_rows_detach(epio_rows *rows)
{
    epio__db_connection *connection = rows->connection;
    if (connection == NULL) {
        return;
    }
    if (connection->holder == rows) {
        connection->holder = NULL;
    }
    epio_list_remove(&rows->node);
    rows->connection = NULL;
}

/* Called without the mutex. */
static void end_statement(epio__db_connection *connection, epio_rows *rows)
{
    if (rows->statement != NULL) {
        epio__db_statement_return(connection, rows->statement);
        rows->statement = NULL;
    }
    epio__db_lock(connection->root);
    connection->active -= rows->stepped;
    rows->stepped = false;
    epio__db_rows_detach(rows);
    epio__db_unlock(connection->root);
}

void epio__db_rows_end_all(epio__db_connection *connection, int64_t error)
{
    while (!epio_list_empty(&connection->rows)) {
        epio_rows *rows = EPIO_CONTAINER(connection->rows.next, epio_rows, node);
        end_statement(connection, rows);
        epio__db_lock(connection->root);
        epio__db_rows_fail(rows, error);
        int64_t result = error;
        epio_op *op = epio__db_rows_answer(rows, &result);
        epio__db_unlock(connection->root);
        if (op != NULL) {
            epio__db_finish(op, result);
        }
    }
}

void epio__db_rows_free(epio_rows *rows)
{
    release(rows, rows->given);
    release(rows, rows->ahead);
    rows->root->objects--;
    epio__db_batch_free(rows->given);
    epio__db_batch_free(rows->ahead);
    free(rows->names);
    free(rows);
}

int64_t epio__db_end(epio__db_connection *connection, epio_op *op)
{
    epio_rows *rows = rows_of(op);
    int64_t result = 0;
    if (rows->statement != NULL && rows->error != 0) {
        epio__db_rows_undo(connection, rows); /* cancelled, and not ended since */
    } else if (rows->statement != NULL && rows->writes) {
        result =
            epio__db_rows_reset(connection, rows, op); /* this may be a commit, which may fail */
    }
    if (rows->connection != NULL) {
        end_statement(connection, rows);
    }
    epio__db_lock(connection->root);
    op->arguments.words[EPIO__WORD_OBJECT] = 0; /* another thread may look for its connection */
    epio__db_rows_free(rows);
    epio__db_unlock(connection->root);
    return result;
}

/* ---- Beginning ---- */

bool epio__db_rows_set_names(epio_rows *rows)
{
    uint32_t columns = (uint32_t)sqlite3_column_count(rows->statement);
    size_t size = columns * sizeof(char *) + 1;
    for (uint32_t i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(rows->statement, (int)i);
        if (name == NULL) {
            return false;
        }
        size += strlen(name) + 1;
    }
    char **names = malloc(size);
    if (names == NULL) {
        return false;
    }
    char *at = (char *)(names + columns);
    for (uint32_t i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(rows->statement, (int)i);
        size_t len = strlen(name) + 1;
        memcpy(at, name, len);
        names[i] = at;
        at += len;
    }
    free(rows->names);
    rows->names = names;
    rows->columns = columns;
    return true;
}

static epio_rows *make(epio__db_connection *connection, sqlite3_stmt *statement)
{
    epio_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL) {
        return NULL;
    }
    rows->root = connection->root;
    rows->statement = statement;
    rows->writes = sqlite3_stmt_readonly(statement) == 0;
    rows->given = &rows->batches[0];
    rows->ahead = &rows->batches[1];
    rows->why.offset = -1;
    atomic_init(&rows->enough, 0);
    if (!epio__db_rows_set_names(rows)) {
        free(rows);
        return NULL;
    }
    return rows;
}

static void attach(epio__db_connection *connection, epio_rows *rows)
{
    epio__db_lock(connection->root);
    rows->connection = connection;
    if (connection->holder == NULL) {
        connection->holder = rows;
    }
    epio_list_append(&connection->rows, &rows->node);
    connection->root->objects++;
    connection->root->stats.statements++;
    epio__db_unlock(connection->root);
}

/* The statement is prepared: 0, or why not, and then it is still the caller's. */
static int64_t begin(epio__db_connection *connection, epio_op *op, sqlite3_stmt *statement,
                     const char *tail)
{
    if (!epio__db_sql_is_blank(tail)) {
        return epio__db_refuse(op, "more than one statement");
    }
    bool reads = connection->role == EPIO__DB_READER && connection->holder == NULL;
    if (reads && sqlite3_stmt_readonly(statement) == 0) {
        return EPIO__DB_TO_WRITER;
    }
    const epio_parameters *parameters = epio__db_word_pointer(op, EPIO__WORD_FIRST + 1);
    int64_t result = epio__db_bind(connection, op, statement, parameters, true);
    if (result != 0) {
        return result;
    }
    epio_rows *rows = make(connection, statement);
    if (rows == NULL) {
        return EPIO_ENOMEM;
    }
    attach(connection, rows);
    *(epio_rows **)epio__db_word_pointer(op, EPIO__WORD_FIRST + 2) = rows;
    return 0;
}

int64_t epio__db_query(epio__db_connection *connection, epio_op *op)
{
    const char *sql = epio__db_word_pointer(op, EPIO__WORD_FIRST);
    if (epio__db_sql_is_blank(sql)) {
        return epio__db_refuse(op, "no statement");
    }
    if (epio__db_sql_is_transaction(sql)) {
        return epio__db_refuse(op, "transactions are begun by epio_db_begin");
    }
    sqlite3_stmt *statement;
    const char *tail;
    int code = epio__db_statement_take(connection, sql, &statement, &tail);
    if (code != SQLITE_OK) {
        return epio__db_result(connection, op, code);
    }
    int64_t result = begin(connection, op, statement, tail);
    if (result != 0) {
        epio__db_statement_return(connection, statement);
    }
    return result;
}

/* ---- What the program has ---- */

static void require(const epio_rows *rows, const char *function)
{
    if (rows == NULL) {
        epio_fatal(function, "the rows are NULL");
    }
}

uint32_t epio_rows_count(const epio_rows *rows)
{
    require(rows, "epio_rows_count");
    return rows->count;
}

uint32_t epio_rows_columns(const epio_rows *rows)
{
    require(rows, "epio_rows_columns");
    return rows->columns;
}

const char *epio_rows_name(const epio_rows *rows, uint32_t column)
{
    require(rows, "epio_rows_name");
    return column < rows->columns ? rows->names[column] : NULL;
}

const epio_value *epio_rows_value(const epio_rows *rows, uint32_t row, uint32_t column)
{
    require(rows, "epio_rows_value");
    if (row >= rows->count || column >= rows->columns) {
        return NULL;
    }
    return &rows->values[(size_t)row * rows->columns + column];
}
