/* The rows of queries: worked out on the connection's thread, in batches, one ahead of the one that
 * the program has. */
#include "sqlite/db.h"

int64_t epio__db_query(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__db_end(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

bool epio__rows_next(epio_op *op, int64_t *result)
{
    (void)op;
    *result = EPIO_ENOTSUP;
    return true;
}

bool epio__rows_want(const epio__db_connection *connection)
{
    (void)connection;
    return false;
}

void epio__rows_work(epio__db_connection *connection)
{
    (void)connection;
}

int64_t epio__rows_perform(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

void epio__rows_cancel(epio_op *op)
{
    (void)op;
}

epio__db_connection *epio__rows_connection(const epio_rows *rows)
{
    (void)rows;
    return NULL;
}

epio__database *epio__rows_root(const epio_rows *rows)
{
    (void)rows;
    return NULL;
}

void epio__rows_end_all(epio__db_connection *connection, int64_t error)
{
    (void)connection, (void)error;
}

void epio__rows_free(epio_rows *rows)
{
    (void)rows;
}

uint32_t epio_rows_count(const epio_rows *rows)
{
    (void)rows;
    return 0;
}

uint32_t epio_rows_columns(const epio_rows *rows)
{
    (void)rows;
    return 0;
}

const char *epio_rows_name(const epio_rows *rows, uint32_t column)
{
    (void)rows, (void)column;
    return NULL;
}

const epio_value *epio_rows_value(const epio_rows *rows, uint32_t row, uint32_t column)
{
    (void)rows, (void)row, (void)column;
    return NULL;
}
