/* Which op has which connection when. A connection has the ops of its holder,
 * a transaction or rows, or if there is none those that wait for its role. It is carried out in
 * turns: a turn goes on while there is work, on a worker, or on a thread that performs an op:
 * db_dispatch.c. What the ops do is in other files; all lists are guarded by the database's mutex.
 */
#include "sqlite/db_queue.h"

enum task { NOTHING, CARRY_OUT, WORK_ROWS, ABANDON, WORK_CHECKPOINT, CLOSE_READER };

typedef struct turn {
    enum task task;
    epio_op *op;
} turn;

static epio_op *op_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, queue);
}

void epio__db_op_put(epio_node *list, epio_op *op)
{
    if (op->kind >= EPIO__DB_OPEN) {
        op->arguments.words[EPIO__WORD_STATE] |= EPIO__OP_LISTED;
    }
    epio_list_append(list, &op->queue);
}

void epio__db_op_take(epio_op *op)
{
    if (op->kind >= EPIO__DB_OPEN) {
        op->arguments.words[EPIO__WORD_STATE] &= ~(uint64_t)EPIO__OP_LISTED;
    }
    epio_list_remove(&op->queue);
}

epio_op *epio__db_op_take_first(epio_node *list)
{
    epio_op *op = op_of(list->next);
    epio__db_op_take(op);
    return op;
}

/* ---- Ending ---- */

static epio__database *root_of(const epio_op *op)
{
    return EPIO_CONTAINER(op->vfs, epio__database, vfs);
}

void epio__db_finish_locked(epio__database *root, epio_op *op, int64_t result)
{
    if (epio_op_in_flight(op)) {
        if (result != EPIO_RETRY || !epio__db_park(root, op)) {
            epio_complete(op, result == EPIO_RETRY ? EPIO_ECANCELED : result);
        }
        return;
    }
    for (epio_node *node = root->waiters.next; node != &root->waiters; node = node->next) {
        epio__db_waiter *waiter = EPIO_CONTAINER(node, epio__db_waiter, node);
        if (waiter->op == op) {
            waiter->result = result;
            waiter->done = true;
            epio__db_wake(&waiter->woken);
            break;
        }
    }
}

void epio__db_finish(epio_op *op, int64_t result)
{
    if (epio_op_in_flight(op) && result != EPIO_RETRY) {
        epio_complete(op, result);
        return;
    }
    epio__database *root = root_of(op);
    epio__db_lock(root);
    epio__db_finish_locked(root, op, result);
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

/* A close comes when nothing else runs, waits or holds a connection. */
static bool may_close(const epio__db_connection *writer)
{
    const epio__database *root = writer->root;
    if (!epio_list_empty(&root->reads) || !epio_list_empty(&root->checkpoints) ||
        !epio_list_empty(&root->parked)) {
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
    if (!epio_list_empty(&connection->ops) && op_of(connection->ops.next)->kind != EPIO__DB_NEXT) {
        return (turn){CARRY_OUT, op_of(connection->ops.next)};
    }
    if (epio__db_rows_want(connection)) {
        bool awaited = !epio_list_empty(&connection->ops);
        return (turn){WORK_ROWS, awaited ? op_of(connection->ops.next) : NULL};
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
        if (!root->opened && !epio_list_empty(&root->parked) && op->kind != EPIO__DB_OPEN) {
            return (turn){NOTHING, NULL}; /* the open is tried again first */
        }
        if (op->kind != EPIO__DB_CLOSE || may_close(connection)) {
            return (turn){CARRY_OUT, op};
        }
    }
    if (connection->role == EPIO__DB_CHECKPOINTER && epio__db_checkpoint_wanted(root)) {
        return (turn){WORK_CHECKPOINT, NULL};
    }
    if (connection->expired && root->state == EPIO__DB_IS_OPEN) {
        return (turn){CLOSE_READER, NULL};
    }
    return (turn){NOTHING, NULL};
}

bool epio__db_has_turn_for(epio__db_connection *connection, const epio_op *op)
{
    turn next = next_turn(connection);
    if (next.op != NULL && next.op != op && (op->timeout_ns != 0 || !epio_op_in_flight(next.op))) {
        return false; /* another thread has it, whose deadline is not this one's */
    }
    return next.task != NOTHING;
}

/* Ops that were submitted: those that are performed bring their thread. */
size_t epio__db_submitted_in(const epio_node *list)
{
    size_t length = 0;
    for (const epio_node *node = list->next; node != list; node = node->next) {
        length += epio_op_in_flight(EPIO_CONTAINER(node, const epio_op, queue));
    }
    return length;
}

bool epio__db_needs_worker(epio__db_connection *connection)
{
    turn next = next_turn(connection);
    if (next.op == NULL) {
        return next.task != NOTHING;
    }
    bool shared = epio_list_empty(&connection->ops);
    return epio_op_in_flight(next.op) ||
           (shared && epio__db_submitted_in(shared_list(connection)) != 0);
}

static epio__db_carrier *const carriers[] = {
    [0] = epio__db_open,
    [EPIO__DB_CLOSE - EPIO__DB_OPEN] = epio__db_close,
    [EPIO__DB_EXECUTE - EPIO__DB_OPEN] = epio__db_execute,
    [EPIO__DB_QUERY - EPIO__DB_OPEN] = epio__db_query,
    [EPIO__DB_NEXT - EPIO__DB_OPEN] = NULL, /* by epio__db_rows_work */
    [EPIO__DB_END - EPIO__DB_OPEN] = epio__db_end,
    [EPIO__DB_BEGIN - EPIO__DB_OPEN] = epio__db_begin,
    [EPIO__DB_COMMIT - EPIO__DB_OPEN] = epio__db_commit,
    [EPIO__DB_ROLLBACK - EPIO__DB_OPEN] = epio__db_rollback,
    [EPIO__DB_TRANSACTION - EPIO__DB_OPEN] = epio__db_transaction,
    [EPIO__DB_CHECKPOINT - EPIO__DB_OPEN] = epio__db_checkpoint,
    [EPIO__DB_BACKUP - EPIO__DB_OPEN] = epio__db_backup,
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
        int code = epio__db_connection_open(connection, op);
        if (code != SQLITE_OK) {
            int64_t result = epio__db_result(connection, op, code);
            epio__db_connection_close(connection);
            return result;
        }
    }
    int64_t refused = epio__db_transaction_check(connection, op);
    if (refused != 0) {
        return refused;
    }
    if (op->kind < EPIO__DB_OPEN) {
        return epio__db_blob_carry_out(connection, op);
    }
    if (op->kind == EPIO__DB_OPEN_BLOB) {
        return epio__db_open_blob(connection, op);
    }
    return carriers[op->kind - EPIO__DB_OPEN](connection, op);
}

void epio__db_connection_change_current(epio__db_connection *connection, epio_op *op)
{
    epio_db_stats *stats = &connection->root->stats;
    connection->current = op;
    atomic_store(&connection->interrupted, false);
    stats->statements += connection->ran;
    stats->cache_hits += connection->cache_hits;
    connection->ran = 0;
    connection->cache_hits = 0;
}

void epio__db_connection_set_current(epio__db_connection *connection, epio_op *op)
{
    epio__db_lock(connection->root);
    epio__db_connection_change_current(connection, op);
    epio__db_unlock(connection->root);
}

/* A query was submitted before a close that waits already. The mutex is held. */
static void give_to_writer(epio__database *root, epio_op *op)
{
    epio_node *before = root->writes.next;
    while (before != &root->writes && op_of(before)->kind != EPIO__DB_CLOSE) {
        before = before->next;
    }
    op->arguments.words[EPIO__WORD_STATE] |= EPIO__OP_WRITES;
    epio__db_op_put(before, op);
}

/* The op has left its list. */
static void take_turn(epio__db_connection *connection, epio_op *op)
{
    epio__database *root = connection->root;
    int64_t result = connection->refuse_with;
    if (result == 0 || epio__db_must_be_carried_out(op)) {
        epio__db_connection_begin(connection, op);
        result = epio__db_carry_out(connection, op);
        epio__db_connection_end(connection);
    }
    epio__db_lock(root);
    bool cancelled = atomic_load(&connection->interrupted);
    epio__db_connection_change_current(connection, NULL);
    if (result == EPIO_RETRY && epio_op_in_flight(op)) {
        if (!cancelled && epio__db_park(root, op)) {
            epio__db_unlock(root);
            return;
        }
        result = EPIO_ECANCELED;
    }
    if (op->kind == EPIO__DB_OPEN && result < 0) {
        root->state = EPIO__DB_NEW;
    }
    bool goes_on = result == EPIO__DB_TO_WRITER && !cancelled;
    if (goes_on) {
        give_to_writer(root, op);
    }
    epio__db_unlock(root);
    if (goes_on) {
        epio__db_dispatch(root);
        return;
    }
    result = result == EPIO__DB_TO_WRITER ? EPIO_ECANCELED : result;
    bool closed = op->kind == EPIO__DB_CLOSE || (op->kind == EPIO__DB_OPEN && result < 0);
    if (closed && epio_op_in_flight(op)) {
        epio__db_lock(root);
        root->closed = op; /* until no turn is in flight any more */
        root->closed_result = result;
        epio__db_unlock(root);
        return;
    }
    epio__db_finish(op, result);
}

/* What holds the connection ends, as the database is closed. */
static void abandon(epio__db_connection *connection)
{
    epio__db_rows_end_all(connection, EPIO_ECANCELED);
    epio__db_blobs_end_all(connection);
    if (connection->holder != NULL) {
        epio__db_transaction_abandon(connection);
    }
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
            epio__db_op_take(next.op);
            grouped = connection->role == EPIO__DB_WRITER && connection->holder == NULL &&
                      connection->refuse_with == 0 && epio__db_group_takes(root, next.op);
            epio__db_connection_change_current(connection, next.op);
            connection->expired = false;
        }
        epio__db_unlock(root);
        if (grouped) {
            epio__db_group_run(connection, next.op);
            epio__db_connection_set_current(connection, NULL);
        } else if (next.task == CARRY_OUT) {
            take_turn(connection, next.op);
        } else if (next.task == WORK_ROWS) {
            epio__db_rows_work(connection);
        } else if (next.task == WORK_CHECKPOINT) {
            epio__db_checkpoint_work(connection);
        } else if (next.task == CLOSE_READER) {
            epio__db_pool_close_reader(connection);
        } else {
            abandon(connection);
        }
        epio__db_lock(root);
    }
    connection->running = false;
    connection->idle_since = epio_clock_monotonic();
    if (connection->role == EPIO__DB_READER && connection->holder == NULL) {
        epio__db_checkpoint_reader_left(root);
    }
}

/* ---- Arriving ---- */

epio__db_connection *epio__db_connection_of(const epio_op *op)
{
    if (op->kind < EPIO__DB_OPEN) {
        return epio__db_blob_connection(op->file);
    }
    if (op->kind == EPIO__DB_END || op->kind == EPIO__DB_NEXT) {
        return epio__db_rows_connection(epio__db_word_pointer(op, EPIO__WORD_OBJECT));
    }
    const epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    return db->connection;
}

static epio_node *list_of(epio__database *root, const epio_op *op)
{
    bool reads = false;
    switch (op->kind) {
    case EPIO__DB_QUERY:
        reads = (op->arguments.words[EPIO__WORD_STATE] & EPIO__OP_WRITES) == 0;
        break;
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

/* Of a transaction or savepoint that has ended by itself, only the end is left. */
static int64_t end_handle(epio_op *op)
{
    epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    if (db->ended) {
        return epio__db_refuse(op, "the transaction has ended");
    }
    if (op->kind != EPIO__DB_ROLLBACK) {
        return EPIO_ECANCELED;
    }
    epio__db_handle_free(db);
    return 0;
}

/* Ops of the database's own life: 0, or why not. */
static int64_t change_state(epio__database *root, epio_op *op)
{
    if (op->kind == EPIO__DB_OPEN) {
        if (root->state != EPIO__DB_NEW) {
            return epio__db_refuse(op, "the database is open already");
        }
        if (root->writer == NULL) {
            root->writer = epio__db_connection_make(root, EPIO__DB_WRITER);
        }
        root->state = root->writer != NULL ? EPIO__DB_IS_OPEN : EPIO__DB_NEW;
        return root->writer != NULL ? 0 : EPIO_ENOMEM;
    }
    if (root->state != EPIO__DB_IS_OPEN) {
        return epio__db_refuse(op, "the database is not open");
    }
    root->state = EPIO__DB_CLOSING;
    return 0;
}

/* One that is tried again, as another program had the lock, is ahead of those that came later. */
static void put_in_order(epio_node *list, epio_op *op)
{
    uint64_t since = op->kind >= EPIO__DB_OPEN ? op->arguments.words[EPIO__WORD_SINCE] : 0;
    epio_node *before = list;
    if (since != 0) {
        before = list->next;
        while (before != list && op_of(before)->kind >= EPIO__DB_OPEN &&
               op_of(before)->arguments.words[EPIO__WORD_SINCE] != 0 &&
               op_of(before)->arguments.words[EPIO__WORD_SINCE] <= since) {
            before = before->next;
        }
    }
    epio__db_op_put(before, op); /* at the end of the list that begins with `before` */
}

/* For any connection of its role. */
static void put_in_shared(epio__database *root, epio_op *op)
{
    epio_node *list = list_of(root, op);
    put_in_order(list, op);
    if (list == &root->writes) {
        if (root->options.group_ns != 0 && epio__db_group_takes(root, op)) {
            op->arguments.words[EPIO__WORD_OUTCOME] = epio_clock_monotonic();
        }
        epio__db_wake(&root->group_waits);
    }
}

bool epio__db_arrive_again(epio__database *root, epio_op *op, int64_t *result)
{
    if (op->kind == EPIO__DB_NEXT) {
        return epio__db_rows_next(op, result);
    }
    epio__db_connection *connection = op->kind == EPIO__DB_OPEN ? NULL : epio__db_connection_of(op);
    const epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    if (connection == NULL && op->kind != EPIO__DB_END && db->outer != NULL) {
        *result = end_handle(op);
        return true;
    }
    if (connection != NULL) {
        put_in_order(&connection->ops, op);
    } else {
        put_in_shared(root, op);
    }
    return false;
}

bool epio__db_arrive(epio__database *root, epio_op *op, int64_t *result)
{
    if (op->kind == EPIO__DB_NEXT) {
        *result = EPIO_ECANCELED;
        return root->state != EPIO__DB_IS_OPEN || epio__db_rows_next(op, result);
    }
    if (op->kind == EPIO__DB_OPEN || op->kind == EPIO__DB_CLOSE) {
        *result = change_state(root, op);
        if (*result == 0) {
            epio__db_op_put(&root->writes, op);
            epio__db_wake(&root->group_waits);
        }
        return *result != 0;
    }
    if (op->kind == EPIO__DB_END || op->kind == EPIO__DB_ROLLBACK) {
        epio__db_park_end(root, epio__db_word_pointer(op, EPIO__WORD_OBJECT));
    }
    epio__db_connection *connection = epio__db_connection_of(op);
    if (connection == NULL && op->kind < EPIO__DB_OPEN) {
        *result = epio__db_blob_refuse(root, op);
        return true;
    }
    if (connection == NULL && op->kind == EPIO__DB_END) {
        epio__db_rows_free(epio__db_word_pointer(op, EPIO__WORD_OBJECT));
        *result = 0;
        return true;
    }
    if (op->kind > EPIO__DB_OPEN && op->kind != EPIO__DB_END) {
        const epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
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
        *result = root->state == EPIO__DB_NEW ? epio__db_refuse(op, "the database is not open")
                                              : EPIO_ECANCELED;
        return true;
    }
    if (op->kind == EPIO__DB_CHANGES) {
        return epio__db_changes_take(root, op, result);
    }
    if (connection != NULL) {
        epio__db_op_put(&connection->ops, op);
    } else {
        put_in_shared(root, op);
    }
    if (op->kind == EPIO__DB_END) {
        epio_op *next = epio__db_rows_end_arrived(epio__db_word_pointer(op, EPIO__WORD_OBJECT));
        if (next != NULL) {
            epio__db_finish_locked(root, next, EPIO_ECANCELED);
        }
    } else if (connection != NULL) {
        epio__db_rows_yield(connection);
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
    root->loop_runs = true;
    bool ended = epio__db_arrive(root, op, &result);
    if (ended || !closes) {
        epio__db_dispatch_locked(root);
    }
    epio__db_unlock(root);
    if (ended) {
        epio_complete(op, result);
    } else if (closes) {
        epio__db_close_arrived(root, op);
        epio__db_dispatch(root);
    }
}

epio__db_connection *epio__db_connection_for(epio__database *root, const epio_op *op)
{
    epio__db_connection *connection = epio__db_connection_of(op);
    bool of_rows = op->kind == EPIO__DB_NEXT || op->kind == EPIO__DB_END;
    if (connection == NULL && !of_rows) {
        const epio_node *list = list_of(root, op);
        if (list == &root->reads) {
            connection = epio__db_pool_reader(root);
        } else if (list == &root->writes) {
            connection = root->writer;
        } else {
            epio__db_pool_make_checkpointer(root);
            connection = root->checkpointer;
        }
    }
    return connection != NULL && !connection->running ? connection : NULL;
}
