/* The connections of a database: those that read are made on demand, and closed when they were not
 * used for long. The timer that notices that, and a log that nobody adds to. */
#include "sqlite/db_queue.h"

/* The timer is not set anew for less. */
#define TIMER_SLACK UINT64_C(50000000)

bool epio__connection_is_free(const epio__db_connection *connection)
{
    return !connection->running && connection->holder == NULL;
}

/* ---- Making ---- */

/* One that is open is better, and the one used last, so that others are unused for long. */
static bool is_better(const epio__db_connection *one, const epio__db_connection *other)
{
    if (other == NULL || (one->handle != NULL) != (other->handle != NULL)) {
        return other == NULL || one->handle != NULL;
    }
    return one->idle_since > other->idle_since;
}

epio__db_connection *epio__pool_reader(epio__database *root)
{
    size_t readers = 0;
    epio__db_connection *best = NULL;
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (one->role == EPIO__DB_READER) {
            readers++;
            best = epio__connection_is_free(one) && is_better(one, best) ? one : best;
        }
    }
    if (best != NULL) {
        return best;
    }
    return readers < root->options.readers ? epio__connection_make(root, EPIO__DB_READER) : NULL;
}

/* For those of root->reads: as many readers as there are ops. */
static void make_readers(epio__database *root)
{
    size_t wanted = 0;
    size_t readers = 0;
    for (const epio_node *node = root->reads.next; node != &root->reads; node = node->next) {
        wanted++;
    }
    for (const epio_node *node = root->connections.next; node != &root->connections;
         node = node->next) {
        const epio__db_connection *one = EPIO_CONTAINER(node, const epio__db_connection, node);
        if (one->role == EPIO__DB_READER) {
            readers++;
            wanted -= wanted > 0 && epio__connection_is_free(one);
        }
    }
    for (; wanted > 0 && readers < root->options.readers; wanted--, readers++) {
        (void)epio__connection_make(root, EPIO__DB_READER);
    }
}

void epio__pool_make_checkpointer(epio__database *root)
{
    bool wanted = !epio_list_empty(&root->checkpoints) || epio__checkpoint_wanted(root);
    if (wanted && root->checkpointer == NULL) {
        root->checkpointer = epio__connection_make(root, EPIO__DB_CHECKPOINTER);
    }
}

void epio__pool_fill(epio__database *root)
{
    make_readers(root);
    epio__pool_make_checkpointer(root);
}

/* ---- Closing readers ---- */

void epio__pool_close_reader(epio__db_connection *connection)
{
    epio__database *root = connection->root;
    epio__connection_close(connection);
    epio__db_lock(root);
    connection->expired = false;
    /* Behind those that are open, so that it is the last to be opened again. */
    epio_list_remove(&connection->node);
    epio_list_append(&root->connections, &connection->node);
    epio__db_unlock(root);
}

/* EPIO_FOREVER: not at all. */
static uint64_t expires_at(const epio__db_connection *one)
{
    bool idle = one->role == EPIO__DB_READER && one->handle != NULL && !one->expired &&
                epio__connection_is_free(one);
    uint64_t limit = one->root->options.reader_idle_ns;
    return idle && limit < EPIO_FOREVER - one->idle_since ? one->idle_since + limit : EPIO_FOREVER;
}

static void expire_readers(epio__database *root)
{
    uint64_t now = epio_clock_monotonic();
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (expires_at(one) <= now) {
            one->expired = true;
        }
    }
}

/* ---- The timer ---- */

/* On the owner's thread. */
static void timer_delivered(epio_op *timer)
{
    epio__database *root = timer->user;
    epio__db_lock(root);
    root->timer_pending = false;
    root->timer_off = timer->result < 0 && !root->timer_moved;
    root->timer_moved = false;
    if (root->state == EPIO__DB_IS_OPEN) {
        expire_readers(root);
    }
    if (!epio__db_leave(root)) {
        epio__db_dispatch(root);
    }
}

static uint64_t next_due(const epio__database *root)
{
    uint64_t due = epio__checkpoint_due(root);
    for (const epio_node *node = root->connections.next; node != &root->connections;
         node = node->next) {
        uint64_t expires = expires_at(EPIO_CONTAINER(node, const epio__db_connection, node));
        due = expires < due ? expires : due;
    }
    return due;
}

void epio__pool_set_timer(epio__database *root)
{
    if (root->state != EPIO__DB_IS_OPEN || root->timer_off || root->timer_moved) {
        return;
    }
    uint64_t due = next_due(root);
    if (root->timer_pending) {
        if (due < root->timer_due && root->timer_due - due > TIMER_SLACK) {
            root->timer_moved = true;
            epio_cancel(&root->timer);
        }
        return;
    }
    if (due == EPIO_FOREVER) {
        return;
    }
    uint64_t now = epio_clock_monotonic();
    root->timer_pending = true;
    root->timer_due = due;
    root->timer.done = timer_delivered;
    root->timer.user = root;
    uint64_t left = due > now ? due - now : 0;
    epio_submit(epio_op_unref(epio_sleep(&root->timer, root->workers, left)));
}

void epio__pool_stop_timer(epio__database *root)
{
    if (root->timer_pending && !root->timer_moved) {
        root->timer_moved = true;
        epio_cancel(&root->timer);
    }
}
