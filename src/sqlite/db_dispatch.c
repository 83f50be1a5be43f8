/* Threads for what connections have to do: workers of the loop, and those that perform ops, which
 * are woken for it. */
#include "sqlite/db_queue.h"

static int64_t on_worker(epio_op *run)
{
    epio__db_connection *connection = run->user;
    epio__database *root = connection->root;
    epio__db_lock(root);
    if (!connection->running) {
        connection->running = true;
        epio__db_work(connection, NULL);
    }
    epio__db_unlock(root);
    epio__db_dispatch(root);
    return 0;
}

bool epio__db_has_turns_pending(const epio__database *root)
{
    for (const epio_node *node = root->connections.next; node != &root->connections;
         node = node->next) {
        if (EPIO_CONTAINER(node, const epio__db_connection, node)->run_pending) {
            return true;
        }
    }
    return root->timer_pending;
}

bool epio__db_leave(epio__database *root)
{
    bool last = !epio__db_has_turns_pending(root) && epio_list_empty(&root->waiters);
    epio_op *closed = last ? root->closed : NULL;
    int64_t result = root->closed_result;
    if (closed != NULL) {
        root->closed = NULL;
    }
    bool destroyed = last && root->destroyed;
    epio__db_unlock(root);
    if (destroyed) {
        epio__db_free_root(root);
    } else if (closed != NULL) {
        epio_complete(closed, result);
    }
    return destroyed || closed != NULL;
}

/* On the owner's thread. A turn that could not start, as the loop is being closed or there is no
 * thread, refuses its ops here. */
static void turn_delivered(epio_op *run)
{
    epio__db_connection *connection = run->user;
    epio__database *root = connection->root;
    epio__db_lock(root);
    connection->run_pending = false;
    if (run->result < 0 && !connection->running) {
        connection->running = true;
        connection->refuse_with = run->result;
        epio__db_work(connection, NULL);
        connection->refuse_with = 0;
    }
    if (!epio__db_leave(root)) {
        epio__db_dispatch(root);
    }
}

/* One that has something to do and no thread: its turn is the caller's to submit. */
static epio__db_connection *next_to_start(epio__database *root, size_t *reads)
{
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (one->running || one->run_pending || !epio__db_needs_worker(one)) {
            continue;
        }
        if (one->role == EPIO__DB_READER && epio__db_connection_is_free(one)) {
            if (*reads == 0 && !one->expired) {
                continue; /* each op has a reader already */
            }
            *reads -= *reads > 0;
        }
        one->run_pending = true; /* a thread that performs may have it first */
        return one;
    }
    return NULL;
}

/* Threads that perform: each carries its own op out, and what nobody else would. */
static void wake_waiters(epio__database *root)
{
    for (epio_node *node = root->waiters.next; node != &root->waiters; node = node->next) {
        epio__db_waiter *waiter = EPIO_CONTAINER(node, epio__db_waiter, node);
        if (waiter->woken != NULL && epio__db_connection_with_turn(root, waiter->op) != NULL) {
            epio__db_wake(&waiter->woken);
        }
    }
}

/* A thread that performs a close does what is left for all connections itself: turns on workers
 * would outlive it. */
static bool closes_on_thread(const epio__database *root)
{
    for (const epio_node *node = root->waiters.next; node != &root->waiters; node = node->next) {
        if (EPIO_CONTAINER(node, const epio__db_waiter, node)->op->kind == EPIO__DB_CLOSE) {
            return true;
        }
    }
    return false;
}

void epio__db_dispatch_locked(epio__database *root)
{
    epio__db_pool_fill(root);
    wake_waiters(root);
    if (!root->loop_runs || closes_on_thread(root)) {
        return;
    }
    size_t reads = epio__db_submitted_in(&root->reads);
    epio__db_connection *one;
    while ((one = next_to_start(root, &reads)) != NULL) {
        one->run.done = turn_delivered;
        one->run.user = one;
        epio_submit(epio_work(&one->run, root->workers, on_worker));
    }
    epio__db_pool_set_timer(root);
}

void epio__db_dispatch(epio__database *root)
{
    epio__db_lock(root);
    epio__db_dispatch_locked(root);
    epio__db_unlock(root);
}
