/* Transactions that share a commit: each in a savepoint of its own, so that one's failure leaves
 * the others alone. */
#include "sqlite/db.h"

void epio__group_run(epio__db_connection *connection, epio_op *first)
{
    (void)connection;
    epio__db_finish(first, EPIO_ENOTSUP);
}

bool epio__group_takes(const epio__database *root, const epio_op *op)
{
    (void)root, (void)op;
    return false;
}
