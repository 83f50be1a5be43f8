/* Ending a database's ops early: by a cancel or a deadline of one, or by a close that cancels all.
 * What waits ends at once, what runs is asked to. */
#include "sqlite/db_queue.h"

void epio__db_interrupt(epio__db_connection *connection)
{
    if (connection->current != NULL && epio__db_must_be_carried_out(connection->current)) {
        return;
    }
    atomic_store(&connection->interrupted, true);
    /* SQLite's own flag is quicker where one opcode takes long, but would hit whatever is at a row
     * as well. */
    if (connection->running && connection->handle != NULL && connection->active == 0) {
        sqlite3_interrupt(connection->handle);
    }
}

/* ---- A close ---- */

static epio_op *take_first(epio_node *list)
{
    epio_op *op = EPIO_CONTAINER(list->next, epio_op, queue);
    epio__op_take(op);
    return op;
}

static void finish_all(epio_node *ended, int64_t result)
{
    while (!epio_list_empty(ended)) {
        epio__db_finish(take_first(ended), result);
    }
}

/* A close that cancels: what waits ends at once, what runs soon. */
static void cancel_everything(epio__database *root, epio_node *ended)
{
    epio_node *lists[] = {&root->reads, &root->checkpoints, &root->changes};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        epio_list_move_all(ended, lists[i]);
    }
    epio_node writes;
    epio_list_init(&writes);
    epio_list_move_all(&writes, &root->writes);
    while (!epio_list_empty(&writes)) {
        epio_op *op = take_first(&writes);
        epio__op_put(epio__db_must_be_carried_out(op) ? &root->writes : ended, op);
    }
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_interrupt(EPIO_CONTAINER(node, epio__db_connection, node));
    }
}

void epio__db_close_arrived(epio__database *root, const epio_op *op)
{
    epio_node ended;
    epio_list_init(&ended);
    epio__db_lock(root);
    if ((op->flags & EPIO_DB_CANCEL) != 0) {
        cancel_everything(root, &ended);
    } else {
        epio_list_move_all(&ended, &root->changes);
    }
    epio__db_unlock(root);
    finish_all(&ended, EPIO_ECANCELED);
}

/* ---- One op ---- */

void epio__db_cancel(epio_vfs *vfs, epio_op *op)
{
    epio__database *root = EPIO_CONTAINER(vfs, epio__database, vfs);
    if (op->kind < EPIO__DB_OPEN || epio__db_must_be_carried_out(op)) {
        return;
    }
    epio__db_lock(root);
    bool waited = false;
    if (op->kind == EPIO__DB_NEXT) {
        epio__rows_cancel(op);
    } else if (op->progress != 0) {
        epio__op_take(op);
        waited = true;
    } else {
        for (epio_node *node = root->connections.next; node != &root->connections;
             node = node->next) {
            epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
            if (one->current == op) {
                epio__db_interrupt(one);
            }
        }
    }
    epio__db_unlock(root);
    if (waited) {
        epio_complete(op, EPIO_ECANCELED);
    }
}
