/* Ending ops of a database early: by a cancel, by a deadline, by a close that does not await
 * them. */
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

static void interrupt_op(epio__database *root, const epio_op *op)
{
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (one->current == op) {
            epio__db_interrupt(one);
        }
    }
}

/* True if the op waited, and is the caller's to end. */
static bool withdraw(epio__database *root, epio_op *op)
{
    /* Not op->progress, nor the list's nodes: a worker may have completed it just now. */
    if ((op->arguments.words[EPIO__WORD_STATE] & EPIO__OP_LISTED) == 0) {
        op->arguments.words[EPIO__WORD_STATE] |= EPIO__OP_CANCELLED; /* or it would be parked */
        interrupt_op(root, op);
        return false;
    }
    if (epio__db_is_parked(op)) {
        epio__db_unpark(root, op);
        return true;
    }
    if (op->kind == EPIO__DB_NEXT) {
        epio__db_rows_cancel(op);
    } else {
        epio__db_op_take(op);
    }
    return true;
}

void epio__db_cancel(epio_vfs *vfs, epio_op *op)
{
    epio__database *root = EPIO_CONTAINER(vfs, epio__database, vfs);
    if (op->kind < EPIO__DB_OPEN || epio__db_must_be_carried_out(op)) {
        return;
    }
    epio__db_lock(root);
    bool waited = withdraw(root, op);
    epio__db_unlock(root);
    if (waited) {
        epio_complete(op, EPIO_ECANCELED);
        epio__db_dispatch(root); /* rows that were cancelled free their connection */
    }
}

bool epio__db_expire(epio__database *root, epio_op *op)
{
    if (op->kind < EPIO__DB_OPEN || epio__db_must_be_carried_out(op)) {
        return false;
    }
    return withdraw(root, op);
}

/* ---- A close ---- */

/* Those that must be carried out stay. */
static void withdraw_list(epio_node *list, epio_node *ended)
{
    epio_node all;
    epio_list_init(&all);
    epio_list_move_all(&all, list);
    while (!epio_list_empty(&all)) {
        epio_op *op = epio__db_op_take_first(&all);
        if (epio__db_must_be_carried_out(op)) {
            epio__db_op_put(list, op);
            continue;
        }
        epio__db_op_put(ended, op);
        if (op->kind == EPIO__DB_NEXT) {
            epio__db_rows_cancel(op);
            epio__db_op_put(ended, op);
        }
    }
}

static void withdraw_parked(epio__database *root, epio_node *ended)
{
    epio_node *next;
    for (epio_node *node = root->parked.next; node != &root->parked; node = next) {
        epio_op *op = EPIO_CONTAINER(node, epio_op, queue);
        next = node->next;
        epio__db_unpark(root, op);
        epio__db_op_put(ended, op);
    }
}

/* A close that cancels: what waits ends at once, what runs soon. */
static void cancel_everything(epio__database *root, epio_node *ended)
{
    epio_node *lists[] = {&root->reads, &root->writes, &root->checkpoints, &root->changes};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        withdraw_list(lists[i], ended);
    }
    withdraw_parked(root, ended);
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        withdraw_list(&one->ops, ended);
        epio__db_interrupt(one);
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
    /* With the mutex: a cancel or a deadline takes an op from whatever list it is in. */
    while (!epio_list_empty(&ended)) {
        epio__db_finish_locked(root, epio__db_op_take_first(&ended), EPIO_ECANCELED);
    }
    epio__db_unlock(root);
}
