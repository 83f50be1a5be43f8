/* Databases by epio_perform: the op takes its place among the others, and the thread has the
 * connection itself if it is free, or sleeps until another has finished the op. */
#include "sqlite/db_queue.h"

void epio__db_wake(epio_semaphore **woken)
{
    if (*woken != NULL) {
        epio_semaphore_release(*woken, 1);
        *woken = NULL;
    }
}

void epio__db_sleep(epio__database *root, epio_semaphore **woken, uint64_t until)
{
    epio_semaphore *made = NULL;
    epio_op op = EPIO_OP_INIT;
    uint64_t now = until != 0 ? epio_clock_monotonic() : 0;
    if (until != 0 && now >= until) {
        return;
    }
    op.timeout_ns = until != 0 ? until - now : 0;
    if (epio_semaphore_create(&made, 1) == 0) {
        (void)epio_semaphore_try_acquire(made, 1);
        *woken = made;
        epio__db_unlock(root);
        (void)epio_perform(epio_acquire(&op, epio_os_vfs(), made, 1));
    } else { /* no memory: it looks again and again */
        epio__db_unlock(root);
        (void)epio_perform(epio_sleep(&op, epio_os_vfs(), UINT64_C(1000000)));
    }
    epio__db_lock(root);
    *woken = NULL;
    epio_semaphore_destroy(made); /* who released it had the mutex */
}

/* One that this thread can help the op along with; NULL: others have to. A close waits for what all
 * connections have to do. */
static epio__db_connection *connection_with_turn(epio__database *root, const epio_op *op)
{
    epio__db_connection *connection = epio__db_connection_for(root, op);
    if (connection != NULL && epio__db_has_turn(connection)) {
        return connection;
    }
    for (epio_node *node = root->connections.next;
         op->kind == EPIO__DB_CLOSE && node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (!one->running && epio__db_has_turn(one)) {
            return one;
        }
    }
    return NULL;
}

static bool has_passed(uint64_t deadline)
{
    return deadline != 0 && epio_clock_monotonic() >= deadline;
}

/* A deadline passed while the op waited; true. One that is carried out is ended by its connection.
 */
static bool end_if_late(epio_op *op, epio__db_waiter *waiter)
{
    bool waits = !waiter->done && op->progress != 0 && !epio__db_must_be_carried_out(op);
    if (waits && has_passed(op->timeout_ns)) {
        epio__op_take(op);
        waiter->result = EPIO_ETIMEDOUT;
        waiter->done = true;
        return true;
    }
    return false;
}

static int64_t perform_queued(epio__database *root, epio_op *op)
{
    epio__db_waiter waiter = {.op = op};
    int64_t result;
    bool late = false;
    epio__db_lock(root);
    if (epio__db_arrive(root, op, &result)) {
        epio__db_unlock(root);
        return result;
    }
    epio_list_append(&root->waiters, &waiter.node);
    if (op->kind == EPIO__DB_CLOSE) {
        epio__db_unlock(root);
        epio__db_close_arrived(root, op);
        epio__db_lock(root);
    }
    while (!waiter.done) {
        epio__db_connection *connection = connection_with_turn(root, op);
        if (connection != NULL) {
            connection->running = true;
            epio__db_work(connection, &waiter);
            epio__db_unlock(root);
            epio__db_dispatch(root);
            epio__db_lock(root);
        } else {
            epio__db_sleep(root, &waiter.woken, op->progress != 0 ? op->timeout_ns : 0);
            late = end_if_late(op, &waiter);
        }
    }
    epio_list_remove(&waiter.node);
    epio__db_unlock(root);
    if (late) {
        epio__db_dispatch(root); /* it may have been the one to carry out what is next */
    }
    return waiter.result;
}

/* In the function of a transaction, on the connection's thread: at once. It ends as the function's
 * op does, or by its own deadline. */
static int64_t perform_in_function(epio__db_connection *connection, epio_op *op)
{
    uint64_t deadline = connection->deadline;
    bool must = epio__db_must_be_carried_out(op);
    if (!must && atomic_load(&connection->interrupted)) {
        return EPIO_ECANCELED;
    }
    if (!must && (has_passed(deadline) || has_passed(op->timeout_ns))) {
        return EPIO_ETIMEDOUT;
    }
    if (op->timeout_ns != 0 && (deadline == 0 || op->timeout_ns < deadline)) {
        connection->deadline = op->timeout_ns;
    }
    int64_t result = op->kind == EPIO__DB_NEXT ? epio__rows_perform(connection, op)
                                               : epio__db_carry_out(connection, op);
    connection->deadline = deadline;
    return result;
}

int64_t epio__db_perform(epio_vfs *vfs, epio_op *op)
{
    epio__database *root = EPIO_CONTAINER(vfs, epio__database, vfs);
    int64_t result = epio__db_check(op);
    if (result != 0) {
        return result;
    }
    epio__db_lock(root);
    epio__db_connection *connection = epio__db_connection_of(op);
    bool in_function = connection != NULL && connection->in_function;
    epio__db_unlock(root);
    if (in_function) {
        return perform_in_function(connection, op);
    }
    return perform_queued(root, op);
}
