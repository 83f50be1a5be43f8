/* An op arrives, by epio_submit or epio_perform: whether it ends at once, or where it waits. */
#include "sqlite/db_queue.h"

static const epio_op *op_of(const epio_node *node)
{
    return EPIO_CONTAINER(node, const epio_op, queue);
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
    uint64_t since = op->kind >= EPIO__DB_OPEN ? op->arguments.words[EPIO__WORD_SINCE] : 0;
    epio_node *before = list;
    if (since != 0) {
        before = list->next;
        while (before != list && op_of(before)->arguments.words[EPIO__WORD_SINCE] != 0 &&
               op_of(before)->arguments.words[EPIO__WORD_SINCE] <= since) {
            before = before->next;
        }
    }
    epio__op_put(before, op); /* at the end of the list that begins with `before` */
}

/* For any connection of its role. */
static void put_in_shared(epio__database *root, epio_op *op)
{
    epio_node *list = list_of(root, op);
    put_in_order(list, op);
    if (list == &root->writes) {
        if (root->options.group_ns != 0 && epio__group_takes(root, op)) {
            op->arguments.words[EPIO__WORD_OUTCOME] = epio_clock_monotonic();
        }
        epio__db_wake(&root->group_waits);
    }
}

bool epio__db_arrive(epio__database *root, epio_op *op, int64_t *result)
{
    if (op->kind == EPIO__DB_NEXT) {
        *result = EPIO_ECANCELED;
        return root->state != EPIO__DB_IS_OPEN || epio__rows_next(op, result);
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
    if (connection == NULL && op->kind < EPIO__DB_OPEN) {
        *result = epio__blob_refuse(root, op);
        return true;
    }
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
    } else {
        put_in_shared(root, op);
    }
    if (op->kind == EPIO__DB_END) {
        epio_op *next = epio__rows_end_arrived(epio__word_pointer(op, EPIO__WORD_OBJECT));
        if (next != NULL) {
            epio__db_finish_locked(root, next, EPIO_ECANCELED);
        }
    } else if (connection != NULL) {
        epio__rows_yield(connection);
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
            connection = epio__pool_reader(root);
        } else if (list == &root->writes) {
            connection = root->writer;
        } else {
            epio__pool_make_checkpointer(root);
            connection = root->checkpointer;
        }
    }
    return connection != NULL && !connection->running ? connection : NULL;
}
