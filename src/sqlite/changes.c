/* What commits have changed, kept for those who ask. */
#include "sqlite/db.h"

void epio__changes_watch(epio__db_connection *connection)
{
    (void)connection;
}

bool epio__changes_take(epio__database *root, epio_op *op, int64_t *result)
{
    (void)root, (void)op;
    *result = EPIO_ENOTSUP;
    return true;
}

void epio__changes_publish(epio__db_connection *connection, bool committed)
{
    (void)connection, (void)committed;
}

void epio__changes_free(epio__database *root)
{
    (void)root;
}
