/* Transactions and savepoints: as handles that programs hold, and around functions. Those that
 * share a commit are group.c's. */
#include "sqlite/db.h"

/* How long a commit waits for another program's lock, on its thread, without a deadline. */
#define BUSY_LIMIT UINT64_C(5000000000)

static int64_t commit(epio__db_connection *connection, epio_op *op)
{
    connection->may_wait_until =
        op->timeout_ns != 0 ? op->timeout_ns : epio_clock_monotonic() + BUSY_LIMIT;
    int code = epio__db_run(connection, "COMMIT");
    connection->may_wait_until = 0;
    return epio__db_result(connection, op, code);
}

int64_t epio__db_in_transaction(epio__db_connection *connection, epio_op *op,
                                epio__db_carrier *function)
{
    int64_t begun = epio__db_result(connection, op, epio__db_run(connection, "BEGIN IMMEDIATE"));
    if (begun != 0) {
        return begun;
    }
    int64_t result = function(connection, op);
    if (result >= 0) {
        int64_t committed = commit(connection, op);
        result = committed != 0 ? committed : result;
    }
    if (sqlite3_get_autocommit(connection->handle) == 0) {
        (void)epio__db_run(connection, "ROLLBACK");
    }
    return result;
}

int64_t epio__db_begin(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__db_commit(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__db_rollback(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__db_transaction(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

void epio__transaction_abandon(epio__db_connection *connection)
{
    (void)connection;
}

void epio__handle_free(epio_db *db)
{
    (void)db;
}
