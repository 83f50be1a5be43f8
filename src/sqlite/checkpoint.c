/* The write-ahead log: when it is written back, on a connection of its own. */
#include "sqlite/db.h"

int64_t epio__db_checkpoint(epio__db_connection *connection, epio_op *op)
{
    (void)connection, (void)op;
    return EPIO_ENOTSUP;
}

int epio__checkpoint_hook(void *connection, sqlite3 *handle, const char *schema, int frames)
{
    (void)connection, (void)handle, (void)schema, (void)frames;
    return SQLITE_OK;
}

bool epio__checkpoint_wanted(const epio__database *root)
{
    (void)root;
    return false;
}

void epio__checkpoint_work(epio__db_connection *connection)
{
    (void)connection;
}
