/* Which op has which connection when, and on which thread. A connection has the ops of its holder,
 * a transaction or rows, or if there is none those that wait for its role. It is carried out in
 * turns: a turn goes on while there is work, on a worker, or on a thread that performs an op. What
 * the ops do is in other files; all lists are guarded by the database's mutex. */
#include "sqlite/db_queue.h"

enum task { NOTHING, CARRY_OUT, WORK_ROWS, ABANDON, WORK_CHECKPOINT };

typedef struct turn {
    enum task task;
    epio_op *op;
} turn;

static epio_op *op_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, queue);
}

void epio__op_put(epio_node *list, epio_op *op)
{
    op->progress = 1; /* the database's while it holds the op: it is in a list */
    epio_list_append(list, &op->queue);
}

void epio__op_take(epio_op *op)
{
    op->progress = 0;
    epio_list_remove(&op->queue);
}

/* ---- Ending ---- */

static epio__database *root_of(const epio_op *op)
{
    return EPIO_CONTAINER(op->vfs, epio__database, vfs);
}

void epio__db_finish(epio_op *op, int64_t result)
{
    if (epio_op_in_flight(op)) {
        epio_complete(op, result);
        return;
    }
    epio__database *root = root_of(op);
    epio__db_lock(root);
    for (epio_node *node = root->waiters.next; node != &root->waiters; node = node->next) {
        epio__db_waiter *waiter = EPIO_CONTAINER(node, epio__db_waiter, node);
        if (waiter->op == op) {
            waiter->result = result;
            waiter->done = true;
            epio__db_wake(&waiter->woken);
            break;
        }
    }
    epio__db_unlock(root);
}

/* ---- Turns ---- */

static epio_node *shared_list(epio__db_connection *connection)
{
    epio__database *root = connection->root;
    switch (connection->role) {
    case EPIO__DB_WRITER:
        return &root->writes;
    case EPIO__DB_READER:
        return &root->reads;
    default:
        return &root->checkpoints;
    }
}

/* Where an op waits that may have any connection of its role. */
static epio_node *list_of(epio__database *root, const epio_op *op)
{
    bool reads = false;
    switch (op->kind) {
    case EPIO__DB_QUERY:
    case EPIO__DB_BACKUP:
        reads = true;
        break;
    case EPIO__DB_BEGIN:
    case EPIO__DB_TRANSACTION:
        reads = op->arguments.words[EPIO__WORD_FIRST + 1] == EPIO_DB_SNAPSHOT;
        break;
    case EPIO__DB_OPEN_BLOB:
        reads = (op->flags & EPIO_OPEN_WRITE) == 0;
        break;
    case EPIO__DB_CHECKPOINT:
        return &root->checkpoints;
    default:
        break;
    }
    return reads ? &root->reads : &root->writes;
}

epio__db_connection *epio__db_connection_of(const epio_op *op)
{
    if (op->kind < EPIO__DB_OPEN) {
        return epio__blob_connection(op->file);
    }
    if (op->kind == EPIO__DB_END || op->kind == EPIO__DB_NEXT) {
        return epio__rows_connection(epio__word_pointer(op, EPIO__WORD_OBJECT));
    }
    const epio_db *db = epio__word_pointer(op, EPIO__WORD_OBJECT);
    return db->connection;
}

/* A close comes when nothing else runs, waits or holds a connection. */
static bool may_close(const epio__db_connection *writer)
{
    const epio__database *root = writer->root;
    if (!epio_list_empty(&root->reads) || !epio_list_empty(&root->checkpoints)) {
        return false;
    }
    for (const epio_node *node = root->connections.next; node != &root->connections;
         node = node->next) {
        const epio__db_connection *one = EPIO_CONTAINER(node, const epio__db_connection, node);
        if (one->holder != NULL || (one != writer && one->running)) {
            return false;
        }
    }
    return true;
}

/* What the connection does next; the op stays in its list. */
static turn next_turn(epio__db_connection *connection)
{
    epio__database *root = connection->root;
    if (!epio_list_empty(&connection->ops)) {
        return (turn){CARRY_OUT, op_of(connection->ops.next)};
    }
    if (epio__rows_want(connection)) {
        return (turn){WORK_ROWS, NULL};
    }
    if (connection->holder != NULL) {
        return (turn){root->state == EPIO__DB_CLOSING ? ABANDON : NOTHING, NULL};
    }
    if (connection->role != EPIO__DB_WRITER && root->state != EPIO__DB_NEW && !root->opened) {
        return (turn){NOTHING, NULL}; /* the writer makes the file first */
    }
    epio_node *shared = shared_list(connection);
    if (!epio_list_empty(shared)) {
        epio_op *op = op_of(shared->next);
        if (op->kind != EPIO__DB_CLOSE || may_close(connection)) {
            return (turn){CARRY_OUT, op};
        }
    }
    if (connection->role == EPIO__DB_CHECKPOINTER && epio__checkpoint_wanted(root)) {
        return (turn){WORK_CHECKPOINT, NULL};
    }
    return (turn){NOTHING, NULL};
}

bool epio__db_has_turn(epio__db_connection *connection)
{
    return next_turn(connection).task != NOTHING;
}

static epio__db_carrier *const carriers[] = {
    [EPIO__DB_OPEN - EPIO__DB_OPEN] = epio__db_open,
    [EPIO__DB_CLOSE - EPIO__DB_OPEN] = epio__db_close,
    [EPIO__DB_EXECUTE - EPIO__DB_OPEN] = epio__db_execute,
    [EPIO__DB_QUERY - EPIO__DB_OPEN] = epio__db_query,
    [EPIO__DB_NEXT - EPIO__DB_OPEN] = NULL,
    [EPIO__DB_END - EPIO__DB_OPEN] = epio__db_end,
    [EPIO__DB_BEGIN - EPIO__DB_OPEN] = epio__db_begin,
    [EPIO__DB_COMMIT - EPIO__DB_OPEN] = epio__db_commit,
    [EPIO__DB_ROLLBACK - EPIO__DB_OPEN] = epio__db_rollback,
    [EPIO__DB_TRANSACTION - EPIO__DB_OPEN] = epio__db_transaction,
    [EPIO__DB_CHECKPOINT - EPIO__DB_OPEN] = epio__db_checkpoint,
    [EPIO__DB_BACKUP - EPIO__DB_OPEN] = epio__db_backup,
    [EPIO__DB_OPEN_BLOB - EPIO__DB_OPEN] = epio__db_open_blob,
};

bool epio__db_must_be_carried_out(const epio_op *op)
{
    return op->kind == EPIO__DB_CLOSE || op->kind == EPIO__DB_END ||
           op->kind == EPIO__DB_ROLLBACK || op->kind == EPIO_KIND_CLOSE;
}

int64_t epio__db_carry_out(epio__db_connection *connection, epio_op *op)
{
    if (!connection->root->opened && op->kind != EPIO__DB_OPEN && op->kind != EPIO__DB_CLOSE) {
        return epio__db_refuse(op, "the database is not open");
    }
    if (connection->handle == NULL && op->kind != EPIO__DB_CLOSE) {
        int code = epio__connection_open(connection, op);
        if (code != SQLITE_OK) {
            int64_t result = epio__db_result(connection, op, code);
            epio__connection_close(connection);
            return result;
        }
    }
    int64_t refused = epio__transaction_check(connection, op);
    if (refused != 0) {
        return refused;
    }
    if (op->kind < EPIO__DB_OPEN) {
        return epio__blob_carry_out(connection, op);
    }
    return carriers[op->kind - EPIO__DB_OPEN](connection, op);
}

void epio__connection_change_current(epio__db_connection *connection, epio_op *op)
{
    epio_db_stats *stats = &connection->root->stats;
    connection->current = op;
    atomic_store(&connection->interrupted, false);
    stats->statements += connection->ran;
    stats->cache_hits += connection->cache_hits;
    connection->ran = 0;
    connection->cache_hits = 0;
}

void epio__connection_set_current(epio__db_connection *connection, epio_op *op)
{
    epio__db_lock(connection->root);
    epio__connection_change_current(connection, op);
    epio__db_unlock(connection->root);
}

/* The op has left its list. */
static void take_turn(epio__db_connection *connection, epio_op *op)
{
    epio__database *root = connection->root;
    int64_t result = connection->refuse_with;
    if (result == 0 || epio__db_must_be_carried_out(op)) {
        epio__connection_begin(connection, op);
        result = epio__db_carry_out(connection, op);
        epio__connection_end(connection);
    }
    epio__connection_set_current(connection, NULL);
    if (op->kind == EPIO__DB_OPEN && result < 0) {
        epio__db_lock(root);
        root->state = EPIO__DB_NEW;
        epio__db_unlock(root);
    }
    if (result == EPIO__DB_TO_WRITER) {
        epio__db_lock(root);
        epio__op_put(&root->writes, op);
        epio__db_unlock(root);
        epio__db_dispatch(root);
        return;
    }
    if (op->kind == EPIO__DB_CLOSE && epio_op_in_flight(op)) {
        epio__db_lock(root);
        root->closed = op; /* until no turn is in flight any more */
        root->closed_result = result;
        epio__db_unlock(root);
        return;
    }
    epio__db_finish(op, result);
}

void epio__db_work(epio__db_connection *connection, const epio__db_waiter *waiter)
{
    epio__database *root = connection->root;
    while (waiter == NULL || !waiter->done) {
        turn next = next_turn(connection);
        if (next.task == NOTHING) {
            break;
        }
        bool grouped = false;
        if (next.task == CARRY_OUT) {
            epio__op_take(next.op);
            grouped = connection->role == EPIO__DB_WRITER && connection->holder == NULL &&
                      connection->refuse_with == 0 && epio__group_takes(root, next.op);
            epio__connection_change_current(connection, next.op);
        }
        epio__db_unlock(root);
        if (grouped) {
            epio__group_run(connection, next.op);
            epio__connection_set_current(connection, NULL);
        } else if (next.task == CARRY_OUT) {
            take_turn(connection, next.op);
        } else if (next.task == WORK_ROWS) {
            epio__rows_work(connection);
        } else if (next.task == WORK_CHECKPOINT) {
            epio__checkpoint_work(connection);
        } else {
            epio__transaction_abandon(connection);
        }
        epio__db_lock(root);
    }
    connection->running = false;
    connection->idle_since = epio_clock_monotonic();
}

/* ---- Threads ---- */

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
    return false;
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
    bool last = !epio__db_has_turns_pending(root);
    epio_op *closed = last ? root->closed : NULL;
    int64_t result = root->closed_result;
    if (closed != NULL) {
        root->closed = NULL;
    }
    bool destroyed = last && root->destroyed;
    epio__db_unlock(root);
    if (destroyed) {
        epio__database_free(root);
        return;
    }
    if (closed != NULL) {
        epio_complete(closed, result);
        return;
    }
    epio__db_dispatch(root);
}

static size_t length_of(const epio_node *list)
{
    size_t length = 0;
    for (const epio_node *node = list->next; node != list; node = node->next) {
        length++;
    }
    return length;
}

static bool is_free(const epio__db_connection *connection)
{
    return !connection->running && connection->holder == NULL;
}

/* A reader that no one has; NULL: there are as many as there may be, or there is no memory. */
static epio__db_connection *free_reader(epio__database *root)
{
    size_t readers = 0;
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (one->role == EPIO__DB_READER) {
            readers++;
            if (is_free(one)) {
                return one;
            }
        }
    }
    return readers < root->options.readers ? epio__connection_make(root, EPIO__DB_READER) : NULL;
}

/* For those of root->reads: as many readers as there are ops. */
static void make_readers(epio__database *root)
{
    size_t wanted = length_of(&root->reads);
    size_t readers = 0;
    for (const epio_node *node = root->connections.next; node != &root->connections;
         node = node->next) {
        const epio__db_connection *one = EPIO_CONTAINER(node, const epio__db_connection, node);
        if (one->role == EPIO__DB_READER) {
            readers++;
            wanted -= wanted > 0 && is_free(one);
        }
    }
    for (; wanted > 0 && readers < root->options.readers; wanted--, readers++) {
        (void)epio__connection_make(root, EPIO__DB_READER);
    }
}

static void make_checkpointer(epio__database *root)
{
    bool wanted = !epio_list_empty(&root->checkpoints) || epio__checkpoint_wanted(root);
    if (wanted && root->checkpointer == NULL) {
        root->checkpointer = epio__connection_make(root, EPIO__DB_CHECKPOINTER);
    }
}

/* True if the thread that performs the waiter's op waits for this connection. A close does what is
 * left for all of them. */
static bool waits_for(const epio__db_waiter *waiter, epio__db_connection *one)
{
    const epio_op *op = waiter->op;
    bool carried_out = op->kind != EPIO__DB_NEXT && op->progress == 0;
    if (waiter->done || op->kind == EPIO__DB_CLOSE || carried_out) {
        return !waiter->done && op->kind == EPIO__DB_CLOSE;
    }
    const epio__db_connection *connection = epio__db_connection_of(op);
    return connection == one || (connection == NULL && op->kind != EPIO__DB_NEXT &&
                                 list_of(one->root, op) == shared_list(one));
}

/* The thread that is to carry `op` out: the one that performs it, or another that would have to
 * wait for that; NULL: there is none. */
static epio__db_waiter *waiter_for(epio__db_connection *one, const epio_op *op)
{
    epio__database *root = one->root;
    epio__db_waiter *found = NULL;
    for (epio_node *node = root->waiters.next; node != &root->waiters; node = node->next) {
        epio__db_waiter *waiter = EPIO_CONTAINER(node, epio__db_waiter, node);
        if (waits_for(waiter, one)) {
            if (waiter->op == op) {
                return waiter;
            }
            found = found != NULL ? found : waiter;
        }
    }
    return found;
}

/* Turns go to threads that wait in epio_perform: the loop's own may be one of those, and start no
 * worker meanwhile. */
static void start(epio__db_connection *one, const epio_op *op)
{
    epio__db_waiter *waiter = waiter_for(one, op);
    if (waiter != NULL) {
        epio__db_wake(&waiter->woken);
    } else if (one->root->workers != NULL && !one->run_pending) {
        one->run_pending = true; /* a thread that performs may have it first */
        one->run.done = turn_delivered;
        one->run.user = one;
        epio_submit(epio_work(&one->run, one->root->workers, on_worker));
    }
}

/* The mutex is held. */
static void dispatch(epio__database *root)
{
    make_readers(root);
    make_checkpointer(root);
    epio_node *read = root->reads.next; /* each free reader has one */
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        turn next = one->running ? (turn){NOTHING, NULL} : next_turn(one);
        if (next.task == NOTHING) {
            continue;
        }
        if (next.op != NULL && next.op == op_of(root->reads.next)) {
            if (read == &root->reads) {
                continue;
            }
            next.op = op_of(read);
            read = read->next;
        }
        start(one, next.op);
    }
}

void epio__db_dispatch(epio__database *root)
{
    epio__db_lock(root);
    dispatch(root);
    epio__db_unlock(root);
}

/* ---- Arriving ---- */

/* Of a transaction or savepoint that has ended by itself, only the end is left. */
static int64_t end_handle(epio_op *op)
{
    epio_db *db = epio__word_pointer(op, EPIO__WORD_OBJECT);
    if (db->ended) {
        return epio__db_refuse(op, "the transaction has ended");
    }
    if (op->kind != EPIO__DB_ROLLBACK) {
        return EPIO_ECANCELED;
    }
    epio__handle_free(db);
    return 0;
}

/* Ops of the database's own life: 0, or why not. */
static int64_t change_state(epio__database *root, const epio_op *op)
{
    if (op->kind == EPIO__DB_OPEN) {
        if (root->state != EPIO__DB_NEW) {
            return EPIO_EINVAL;
        }
        if (root->writer == NULL) {
            root->writer = epio__connection_make(root, EPIO__DB_WRITER);
        }
        root->state = root->writer != NULL ? EPIO__DB_IS_OPEN : EPIO__DB_NEW;
        return root->writer != NULL ? 0 : EPIO_ENOMEM;
    }
    if (root->state != EPIO__DB_IS_OPEN) {
        return EPIO_EINVAL;
    }
    root->state = EPIO__DB_CLOSING;
    return 0;
}

/* One that is tried again, as another program had the lock, is ahead of those that came later. */
static void put_in_order(epio_node *list, epio_op *op)
{
    uint64_t since = op->arguments.words[EPIO__WORD_SINCE];
    epio_node *before = list;
    if (since != 0 && op->kind >= EPIO__DB_OPEN) {
        before = list->next;
        while (before != list && op_of(before)->arguments.words[EPIO__WORD_SINCE] != 0 &&
               op_of(before)->arguments.words[EPIO__WORD_SINCE] <= since) {
            before = before->next;
        }
    }
    epio__op_put(before, op); /* at the end of the list that begins with `before` */
}

bool epio__db_arrive(epio__database *root, epio_op *op, int64_t *result)
{
    if (op->kind == EPIO__DB_NEXT) {
        return epio__rows_next(op, result);
    }
    if (op->kind == EPIO__DB_OPEN || op->kind == EPIO__DB_CLOSE) {
        *result = change_state(root, op);
        if (*result == 0) {
            epio__op_put(&root->writes, op);
            epio__db_wake(&root->group_waits);
        }
        return *result != 0;
    }
    epio__db_connection *connection = epio__db_connection_of(op);
    if (connection == NULL && op->kind == EPIO__DB_END) {
        epio__rows_free(epio__word_pointer(op, EPIO__WORD_OBJECT));
        *result = 0;
        return true;
    }
    if (op->kind > EPIO__DB_OPEN && op->kind != EPIO__DB_END) {
        const epio_db *db = epio__word_pointer(op, EPIO__WORD_OBJECT);
        if (db->outer != NULL && connection == NULL) {
            *result = end_handle(op);
            return true;
        }
        if (connection != NULL && connection->in_function) {
            *result = epio__db_refuse(op, "the ops of a function are performed");
            return true;
        }
    }
    if (root->state != EPIO__DB_IS_OPEN && !epio__db_must_be_carried_out(op)) {
        *result = root->state == EPIO__DB_NEW ? EPIO_EINVAL : EPIO_ECANCELED;
        return true;
    }
    if (op->kind == EPIO__DB_CHANGES) {
        return epio__changes_take(root, op, result);
    }
    if (connection != NULL) {
        epio__op_put(&connection->ops, op);
        return false;
    }
    epio_node *list = list_of(root, op);
    put_in_order(list, op);
    if (list == &root->writes) {
        if (root->options.group_ns != 0 && epio__group_takes(root, op)) {
            op->arguments.words[EPIO__WORD_ARRIVED] = epio_clock_monotonic();
        }
        epio__db_wake(&root->group_waits);
    }
    return false;
}

void epio__db_submit(epio_vfs *vfs, epio_op *op)
{
    epio__database *root = EPIO_CONTAINER(vfs, epio__database, vfs);
    int64_t result = epio__db_check(op);
    if (result != 0) {
        epio_complete(op, result);
        return;
    }
    bool closes = op->kind == EPIO__DB_CLOSE;
    epio__db_lock(root);
    bool ended = epio__db_arrive(root, op, &result);
    if (!closes) {
        dispatch(root);
    }
    epio__db_unlock(root);
    if (ended) {
        epio_complete(op, result);
    }
    if (closes) {
        epio__db_close_arrived(root, op);
        epio__db_dispatch(root);
    }
}

epio__db_connection *epio__db_connection_for(epio__database *root, const epio_op *op)
{
    epio__db_connection *connection = epio__db_connection_of(op);
    if (connection == NULL && op->kind != EPIO__DB_NEXT) {
        const epio_node *list = list_of(root, op);
        if (list == &root->reads) {
            connection = free_reader(root);
        } else if (list == &root->writes) {
            connection = root->writer;
        } else {
            make_checkpointer(root);
            connection = root->checkpointer;
        }
    }
    return connection != NULL && !connection->running ? connection : NULL;
}
