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
        op.timeout_ns = 0;
        (void)epio_perform(epio_sleep(&op, epio_os_vfs(), UINT64_C(1000000)));
    }
    epio__db_lock(root);
    *woken = NULL;
    epio_semaphore_destroy(made); /* who released it had the mutex */
}

/* True if the deadline has ended an op that waited; one that another thread carries out is asked to
 * end. */
static bool has_expired(epio__database *root, epio__db_waiter *waiter)
{
    uint64_t deadline = waiter->op->timeout_ns;
    if (deadline == 0 || waiter->expired || waiter->done || epio_clock_monotonic() < deadline) {
        return false;
    }
    waiter->expired = true;
    if (epio__db_expire(root, waiter->op)) {
        waiter->done = true;
        waiter->result = EPIO_ETIMEDOUT;
    }
    return waiter->done;
}

/* A close waits for what all connections have to do. */
epio__db_connection *epio__db_connection_with_turn(epio__database *root, const epio_op *op)
{
    epio__db_connection *connection = epio__db_connection_for(root, op);
    if (connection != NULL && epio__db_has_turn_for(connection, op)) {
        return connection;
    }
    for (epio_node *node = root->connections.next;
         op->kind == EPIO__DB_CLOSE && node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (!one->running && epio__db_has_turn_for(one, op)) {
            return one;
        }
    }
    return NULL;
}

/* Where no worker does that: this thread has its result already. The mutex is held on entry and
 * return. */
static void write_log_back(epio__database *root)
{
    if (!epio__db_checkpoint_overdue(root)) {
        return;
    }
    epio__db_pool_make_checkpointer(root);
    epio__db_connection *connection = root->checkpointer;
    if (connection != NULL && !connection->running) {
        connection->running = true;
        epio__db_work(connection, NULL);
        epio__db_dispatch_locked(root); /* a close may have waited for it */
    }
}

static int64_t perform_queued(epio__database *root, epio_op *op)
{
    epio__db_waiter waiter = {.op = op};
    int64_t result;
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
    while (!waiter.done && !has_expired(root, &waiter)) {
        epio__db_connection *connection = epio__db_connection_with_turn(root, op);
        if (connection != NULL) {
            connection->running = true;
            epio__db_work(connection, &waiter);
            epio__db_unlock(root);
            epio__db_dispatch(root);
            epio__db_lock(root);
        } else {
            epio__db_sleep(root, &waiter.woken, waiter.expired ? 0 : op->timeout_ns);
        }
    }
    if (waiter.expired || op->kind == EPIO__DB_NEXT || op->kind == EPIO__DB_END) {
        epio__db_dispatch_locked(root); /* rows that ended free their connection */
    }
    write_log_back(root);
    epio_list_remove(&waiter.node);
    (void)epio__db_leave(root);
    return waiter.expired && waiter.result == EPIO_ECANCELED ? EPIO_ETIMEDOUT : waiter.result;
}

static bool has_passed(uint64_t deadline)
{
    return deadline != 0 && epio_clock_monotonic() >= deadline;
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
    int64_t result = op->kind == EPIO__DB_NEXT ? epio__db_rows_perform(connection, op)
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
