/* Transactions that share a commit: each in a savepoint of its own, so that one's failure leaves
 * the others alone. Members are taken from those that wait for the writer one by one, so that the
 * others can still be cancelled, and late ones join. */
#include "sqlite/db.h"

/* How long a commit waits for another program's lock, if no member has a deadline. */
#define BUSY_LIMIT UINT64_C(5000000000)

typedef struct group {
    epio__db_connection *connection;
    epio_node done;   /* carried out; they wait for the commit */
    epio_node again;  /* to be carried out again, as SQLite has undone all */
    uint32_t members; /* in both, and the one at hand */
    uint64_t until;   /* others are waited for; 0: they are not */
} group;

bool epio__group_takes(const epio__database *root, const epio_op *op)
{
    if (root->options.group < 2) {
        return false;
    }
    if (op->kind == EPIO__DB_TRANSACTION) {
        return op->arguments.words[EPIO__WORD_FIRST + 1] == EPIO_DB_WRITE;
    }
    return op->kind == EPIO__DB_EXECUTE &&
           epio__word_pointer(op, EPIO__WORD_OBJECT) == &root->handle &&
           epio__sql_can_share(epio__word_pointer(op, EPIO__WORD_FIRST));
}

static epio_op *op_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, queue);
}

static epio_op *take_first(epio_node *list)
{
    epio_op *op = op_of(list->next);
    epio_list_remove(&op->queue);
    return op;
}

static bool is_open(const epio__db_connection *connection)
{
    return sqlite3_get_autocommit(connection->handle) == 0;
}

/* ---- One member ---- */

/* Constraints that are put off until the commit would fail it for all. */
static int check_constraints(epio__db_connection *connection)
{
    int violated = 0;
    int highest = 0;
    (void)sqlite3_db_status(connection->handle, SQLITE_DBSTATUS_DEFERRED_FKS, &violated, &highest,
                            0);
    return violated != 0 ? SQLITE_CONSTRAINT_FOREIGNKEY : SQLITE_OK;
}

static int64_t carry_out_member(epio__db_connection *connection, epio_op *op)
{
    int64_t result =
        epio__db_result(connection, op, epio__db_run(connection, "SAVEPOINT epio_member"));
    if (result != 0) {
        return result;
    }
    result = op->kind == EPIO__DB_TRANSACTION ? epio__transaction_call(connection, op)
                                              : epio__db_statements(connection, op);
    if (!is_open(connection)) {
        return result < 0 ? result : EPIO_ECANCELED;
    }
    if (result >= 0) {
        int64_t checked = epio__db_result(connection, op, check_constraints(connection));
        result = checked != 0 ? checked : result;
    }
    int code = result < 0 ? epio__db_run(connection, "ROLLBACK TO epio_member") : SQLITE_OK;
    code = code == SQLITE_OK ? epio__db_run(connection, "RELEASE epio_member") : code;
    if (code != SQLITE_OK) { /* what cannot be undone in part is undone whole */
        result = result < 0 ? result : epio__db_result(connection, op, code);
        epio__transaction_undo(connection);
    }
    return result;
}

/* ---- All of them ---- */

/* SQLite has undone the whole transaction: what had succeeded begins anew, in its order. */
static void begin_again(group *all)
{
    epio__changes_publish(all->connection);
    epio_list_move_all(&all->done, &all->again);
    epio_list_move_all(&all->again, &all->done);
}

/* None is begun. */
static void end_all(group *all, int code)
{
    all->members = 0;
    while (!epio_list_empty(&all->again)) {
        epio_op *op = take_first(&all->again);
        epio__db_finish(op, epio__db_result(all->connection, op, code));
    }
}

static void add_member(group *all, epio_op *op)
{
    epio__db_connection *connection = all->connection;
    epio__connection_set_current(connection, op);
    epio__connection_begin(connection, op);
    int code = is_open(connection) ? SQLITE_OK : epio__db_run(connection, "BEGIN IMMEDIATE");
    int64_t result = epio__db_result(connection, op, code);
    if (result == 0) {
        result = carry_out_member(connection, op);
    }
    epio__connection_end(connection);
    epio__connection_set_current(connection, NULL);
    if (result >= 0) {
        op->arguments.words[EPIO__WORD_OUTCOME] = (uint64_t)result;
        epio_list_append(&all->done, &op->queue);
        return;
    }
    all->members--;
    epio__db_finish(op, result);
    if (code != SQLITE_OK) {
        epio__transaction_undo(connection);
        end_all(all, code);
    } else if (!is_open(connection)) {
        begin_again(all);
    }
}

/* The first that waits, if it may join. The mutex is held. */
static epio_op *next_that_waits(epio__database *root)
{
    if (epio_list_empty(&root->writes)) {
        return NULL;
    }
    epio_op *op = op_of(root->writes.next);
    if (!epio__group_takes(root, op)) {
        return NULL;
    }
    epio__op_take(op);
    return op;
}

static epio_op *next_member(group *all)
{
    epio__database *root = all->connection->root;
    epio_op *op = NULL;
    if (!epio_list_empty(&all->again)) {
        return take_first(&all->again);
    }
    epio__db_lock(root);
    if (all->members < root->options.group) {
        op = next_that_waits(root);
        all->members += op != NULL;
    }
    epio__db_unlock(root);
    return op;
}

/* ---- The commit ---- */

static uint64_t busy_limit(const group *all)
{
    uint64_t limit = epio_clock_monotonic() + BUSY_LIMIT;
    for (epio_node *node = all->done.next; node != &all->done; node = node->next) {
        uint64_t deadline = op_of(node)->timeout_ns;
        limit = deadline != 0 && deadline < limit ? deadline : limit;
    }
    return limit;
}

static void commit(group *all)
{
    epio__db_connection *connection = all->connection;
    connection->may_wait_until = busy_limit(all);
    int code = epio__db_run(connection, "COMMIT");
    connection->may_wait_until = 0;
    if (code != SQLITE_OK) {
        epio_node *done = &all->done;
        for (epio_node *node = done->next; node != done; node = node->next) {
            epio_op *op = op_of(node);
            int64_t result = epio__db_result(connection, op, code);
            op->arguments.words[EPIO__WORD_OUTCOME] = (uint64_t)result;
        }
        epio__transaction_undo(connection);
    } else {
        epio__db_lock(connection->root);
        connection->root->stats.transactions += all->members - 1; /* publishing counts one */
        epio__db_unlock(connection->root);
    }
    epio__changes_publish(connection);
    while (!epio_list_empty(&all->done)) {
        epio_op *op = take_first(&all->done);
        epio__db_finish(op, (int64_t)op->arguments.words[EPIO__WORD_OUTCOME]);
    }
}

void epio__group_run(epio__db_connection *connection, epio_op *first)
{
    group all = {.connection = connection, .members = 1};
    epio_list_init(&all.done);
    epio_list_init(&all.again);
    epio_op *op = first;
    while (op != NULL) {
        add_member(&all, op);
        op = next_member(&all);
    }
    if (!epio_list_empty(&all.done)) {
        commit(&all);
    } else {
        epio__transaction_undo(connection);
    }
}
