/* Working out the rows of a query, on its connection's thread: as many as a NEXT asks for, or as
 * many as may be ahead of the program. */
#include "sqlite/rows.h"

/* Permits that a batch ahead asks for at once. */
#define PERMITS 16u

/* ---- How much may be ahead ---- */

/* More permits for a batch that has used those that it has: false if there are none. */
static bool more_permits(const epio__database *root, epio__db_batch *batch)
{
    uint64_t most = (root->options.ahead_bytes + 1023) / 1024;
    for (uint32_t step = PERMITS; step != 0; step /= 4) {
        if (batch->permits + (uint64_t)step <= most &&
            epio_semaphore_try_acquire(root->options.ahead, step) == 0) {
            batch->permits += step;
            return true;
        }
    }
    return false;
}

static uint64_t limit_of(const epio__database *root, const epio__db_batch *batch)
{
    uint64_t limit = root->options.ahead_bytes;
    uint64_t permitted = (uint64_t)batch->permits * 1024;
    return root->options.ahead == NULL || permitted > limit ? limit : permitted;
}

static int add_row(epio_rows *rows, epio__db_batch *batch, bool demanded, uint32_t expected)
{
    const epio__database *root = rows->root;
    if (demanded) {
        return epio__db_batch_add(batch, rows->statement, UINT64_MAX, expected);
    }
    for (;;) {
        int outcome = epio__db_batch_add(batch, rows->statement, limit_of(root, batch), expected);
        if (outcome != EPIO__ROW_TOO_LARGE || root->options.ahead == NULL ||
            !more_permits(root, batch)) {
            return outcome;
        }
    }
}

/* ---- Stepping ---- */

/* The schema may have changed since the statement was prepared: so have its columns then. */
static bool first_row(epio_rows *rows, epio__db_batch *batch)
{
    if (!epio__db_rows_set_names(rows)) {
        return false;
    }
    batch->columns = rows->columns;
    return true;
}

static int step(epio__db_connection *connection, epio_rows *rows, epio__db_batch *batch)
{
    if (atomic_load_explicit(&connection->interrupted, memory_order_relaxed)) {
        return SQLITE_INTERRUPT;
    }
    int code = sqlite3_step(rows->statement);
    if (code == SQLITE_ROW && !rows->stepped) {
        rows->stepped = true;
        code = first_row(rows, batch) ? code : SQLITE_NOMEM;
    }
    return code;
}

/* SQLITE_OK: there are enough, or as many as may be ahead; or why no more come. */
static int fill(epio__db_connection *connection, epio_rows *rows, epio__db_batch *batch,
                bool demanded)
{
    if (batch->count == 0) {
        batch->columns = rows->columns;
    }
    uint32_t enough;
    while (batch->count < (enough = atomic_load_explicit(&rows->enough, memory_order_relaxed))) {
        int code = rows->at_row ? SQLITE_ROW : step(connection, rows, batch);
        if (code != SQLITE_ROW) {
            return code;
        }
        rows->at_row = false;
        int outcome = add_row(rows, batch, demanded, enough);
        if (outcome != EPIO__ROW_ADDED) {
            rows->at_row = true;
            return outcome == EPIO__ROW_NO_MEMORY ? SQLITE_NOMEM : SQLITE_OK;
        }
    }
    return SQLITE_OK;
}

/* ---- A batch ---- */

typedef struct work {
    epio__db_connection *connection;
    epio_rows *rows;
    epio__db_batch *batch;
    bool demanded;
    bool was_stepped;
    epio_op op; /* what SQLite says of errors is noted in this one: nobody may wait, and who
                   waits may be cancelled meanwhile */
    epio_db_error why;
    int64_t result;
} work;

/* The mutex is held. */
static void begin(work *one)
{
    epio__db_connection *connection = one->connection;
    epio_rows *rows = one->rows;
    const epio_op *next = rows->next;
    one->demanded = next != NULL;
    one->batch = one->demanded ? rows->given : rows->ahead;
    one->was_stepped = rows->stepped;
    one->why.offset = -1;
    one->op.arguments.words[EPIO__WORD_REPORT] = (uint64_t)(uintptr_t)&one->why;
    one->op.arguments.words[EPIO__WORD_SINCE] = rows->since;
    uint64_t enough = (uint64_t)one->batch->given + rows->wanted;
    atomic_store_explicit(&rows->enough, enough < UINT32_MAX ? (uint32_t)enough : UINT32_MAX,
                          memory_order_relaxed);
    rows->ahead_due = false;
    rows->began = epio_clock_monotonic();
    rows->working = true;
    connection->working = rows;
    connection->active -= rows->stepped;
    if (!connection->in_function) {
        atomic_store(&connection->interrupted, false);
        if (next != NULL) {
            one->op.timeout_ns = next->timeout_ns;
            connection->deadline = epio_op_in_flight(next) ? 0 : next->timeout_ns;
        }
    }
}

/* The statement begins again, as another program had a lock. */
static void retry(work *one)
{
    sqlite3_reset(one->rows->statement);
    one->rows->stepped = false;
    one->rows->at_row = false;
}

void epio__db_rows_undo(const epio__db_connection *connection, const epio_rows *rows)
{
    if (rows->writes && sqlite3_stmt_busy(rows->statement) != 0) {
        sqlite3_interrupt(connection->handle);
        (void)sqlite3_step(rows->statement);
    }
}

static void end_statement(work *one)
{
    epio__db_connection *connection = one->connection;
    bool writes = one->rows->writes && sqlite3_get_autocommit(connection->handle) != 0;
    bool is_pragma = epio__db_sql_is_pragma(sqlite3_sql(one->rows->statement));
    epio__db_statement_return(connection, one->rows->statement);
    if (is_pragma) {
        epio__db_connection_set_hooks(connection);
    }
    one->rows->statement = NULL;
    one->rows->stepped = false;
    if (writes) {
        epio__db_changes_publish(connection);
    }
}

static void work_batch(work *one)
{
    epio__db_connection *connection = one->connection;
    if (one->rows->writes && one->was_stepped) {
        connection->may_wait_until = connection->deadline != 0
                                         ? connection->deadline
                                         : epio_clock_monotonic() + EPIO__DB_BUSY_LIMIT;
    }
    int code = fill(connection, one->rows, one->batch, one->demanded);
    connection->may_wait_until = 0;
    if (code == SQLITE_OK) {
        return;
    }
    one->result = epio__db_result(connection, &one->op, code);
    if (one->result == EPIO_RETRY && (one->rows->stepped || one->batch->count != 0)) {
        one->result = EPIO_EBUSY; /* rows were given: it cannot begin again */
    }
    if (one->result == EPIO_RETRY) {
        retry(one);
    } else {
        if (one->result != 0) {
            epio__db_rows_undo(connection, one->rows);
        }
        end_statement(one);
    }
}

/* The mutex is held. */
static void end(work *one)
{
    epio__db_connection *connection = one->connection;
    epio_rows *rows = one->rows;
    rows->took = one->batch->count == rows->wanted ? epio_clock_monotonic() - rows->began : 0;
    rows->working = false;
    connection->working = NULL;
    connection->active += rows->stepped;
    if (!connection->in_function) {
        connection->deadline = 0;
        atomic_store(&connection->interrupted, false);
    }
    if (one->result < 0 && one->result != EPIO_RETRY && rows->error == 0) {
        rows->error = one->result;
        rows->os_error = one->op.os_error;
        rows->why = one->why;
    } else if (rows->error != 0) { /* it was cancelled meanwhile */
        epio__db_rows_fail(rows, rows->error);
    }
    if (rows->statement == NULL) {
        epio__db_rows_detach(rows);
    }
}

/* The NEXT goes back to the core, which submits it again. The mutex is held. */
static epio_op *send_back(work *one)
{
    epio_rows *rows = one->rows;
    epio_op *op = rows->next;
    if (op != NULL) {
        rows->next = NULL;
        epio__db_op_take(op);
        op->due = one->op.due;
        rows->since = one->op.arguments.words[EPIO__WORD_SINCE];
    }
    return op;
}

/* True if the program has ended the query meanwhile: so does its statement, before another op runs.
 * SQLite keeps an interrupt as long as a statement is at a row, and it would hit that op. The mutex
 * is held. */
static bool was_ended(const work *one)
{
    const epio_rows *rows = one->rows;
    return rows->statement != NULL && (rows->error != 0 || (rows->ending && !rows->writes));
}

epio_op *epio__db_rows_work_out(epio__db_connection *connection, epio_rows *rows, int64_t *result)
{
    work one = {.connection = connection, .rows = rows};
    epio__db_lock(connection->root);
    begin(&one);
    bool ends = rows->error != 0;
    epio__db_unlock(connection->root);
    if (!ends) {
        work_batch(&one);
    }
    epio__db_lock(connection->root);
    if (was_ended(&one)) {
        bool fails = rows->error != 0;
        epio__db_unlock(connection->root);
        if (fails) {
            epio__db_rows_undo(connection, rows);
        }
        end_statement(&one);
        epio__db_lock(connection->root);
    }
    end(&one);
    *result = one.result;
    epio_op *op = one.result == EPIO_RETRY ? send_back(&one) : epio__db_rows_answer(rows, result);
    epio__db_unlock(connection->root);
    return op;
}

/* ---- Whose turn it is ---- */

static bool wants(const epio_rows *rows)
{
    if (rows->ending) {
        return false; /* the END does it */
    }
    bool is_open = rows->root->state == EPIO__DB_IS_OPEN;
    return rows->error != 0 || (rows->ahead_due && is_open);
}

static epio_rows *next_rows(const epio__db_connection *connection)
{
    if (!epio_list_empty(&connection->ops)) {
        const epio_op *op = EPIO_CONTAINER(connection->ops.next, epio_op, queue);
        return op->kind == EPIO__DB_NEXT ? epio__db_word_pointer(op, EPIO__WORD_OBJECT) : NULL;
    }
    for (epio_node *node = connection->rows.next; node != &connection->rows; node = node->next) {
        epio_rows *rows = EPIO_CONTAINER(node, epio_rows, node);
        if (wants(rows)) {
            return rows;
        }
    }
    return NULL;
}

bool epio__db_rows_want(const epio__db_connection *connection)
{
    return next_rows(connection) != NULL;
}

void epio__db_rows_work(epio__db_connection *connection)
{
    epio__db_lock(connection->root);
    epio_rows *rows = next_rows(connection);
    if (rows != NULL && connection->refuse_with != 0) { /* there is no thread for it */
        if (rows->next != NULL) {
            epio__db_rows_fail(rows, connection->refuse_with);
        }
        rows->ahead_due = false;
    }
    epio__db_unlock(connection->root);
    int64_t result;
    epio_op *op = rows != NULL && (connection->refuse_with == 0 || rows->error != 0)
                      ? epio__db_rows_work_out(connection, rows, &result)
                      : NULL;
    if (op != NULL) {
        epio__db_finish(op, result);
    }
}

int64_t epio__db_rows_perform(epio__db_connection *connection, epio_op *op)
{
    epio_rows *rows = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    int64_t result;
    epio__db_lock(connection->root);
    bool ended = epio__db_rows_next(op, &result);
    epio__db_unlock(connection->root);
    while (!ended) {
        ended = epio__db_rows_work_out(connection, rows, &result) != NULL;
    }
    return result;
}

int64_t epio__db_rows_reset(epio__db_connection *connection, epio_rows *rows, epio_op *op)
{
    connection->may_wait_until = epio_clock_monotonic() + EPIO__DB_BUSY_LIMIT;
    int code = sqlite3_reset(rows->statement);
    connection->may_wait_until = 0;
    int64_t result = epio__db_result(connection, op, code);
    if (sqlite3_get_autocommit(connection->handle) != 0) {
        epio__db_changes_publish(connection);
    }
    return result == EPIO_RETRY ? EPIO_EBUSY : result;
}
