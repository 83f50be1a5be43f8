/* A blob as an epio_file. */
#include "sqlite/db.h"

int64_t epio__db_open_blob(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__blob_carry_out(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

epio__db_connection *epio__blob_connection(const epio_file *file)
{
    (void)file;
    return NULL;
}
