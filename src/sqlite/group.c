/* Transactions that share a commit: one's failure leaves the others alone. Members are taken from
 * those that wait for the writer one by one, so that the others can still be cancelled, and late
 * ones join. */
#include "sqlite/db.h"

/* After a failure so many groups have savepoints from the beginning. */
#define CAREFUL_GROUPS 64

typedef struct group {
    epio__db_connection *connection;
    epio_node done;   /* carried out; they wait for the commit */
    epio_node again;  /* to be carried out again, as SQLite has undone all */
    uint32_t members; /* in both, and the one at hand */
    bool careful;     /* each member has a savepoint */
    uint64_t until;   /* others are waited for */
} group;

bool epio__db_group_takes(const epio__database *root, const epio_op *op)
{
    if (root->options.group < 2) {
        return false;
    }
    if (op->kind == EPIO__DB_TRANSACTION) {
        return op->arguments.words[EPIO__WORD_FIRST + 1] == EPIO_DB_WRITE;
    }
    return op->kind == EPIO__DB_EXECUTE &&
           epio__db_word_pointer(op, EPIO__WORD_OBJECT) == &root->handle &&
           epio__db_sql_can_share(epio__db_word_pointer(op, EPIO__WORD_FIRST));
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

static int64_t carry_out(epio__db_connection *connection, epio_op *op)
{
    int64_t result = op->kind == EPIO__DB_TRANSACTION ? epio__db_transaction_call(connection, op)
                                                      : epio__db_statements(connection, op);
    if (result < 0) {
        return result;
    }
    if (!is_open(connection)) {
        return EPIO_ECANCELED;
    }
    int64_t checked = epio__db_result(connection, op, check_constraints(connection));
    return checked != 0 ? checked : result;
}

static int64_t carry_out_in_savepoint(epio__db_connection *connection, epio_op *op)
{
    int64_t result =
        epio__db_result(connection, op, epio__db_run(connection, "SAVEPOINT epio_member"));
    if (result != 0) {
        return result;
    }
    size_t mark = epio__db_changes_mark(connection);
    result = carry_out(connection, op);
    if (!is_open(connection)) {
        return result;
    }
    if (result < 0) {
        epio__db_changes_rewind(connection, mark);
    }
    int code = result < 0 ? epio__db_run(connection, "ROLLBACK TO epio_member") : SQLITE_OK;
    code = code == SQLITE_OK ? epio__db_run(connection, "RELEASE epio_member") : code;
    if (code != SQLITE_OK) { /* what cannot be undone in part is undone whole */
        result = result < 0 ? result : epio__db_result(connection, op, code);
        epio__db_transaction_undo(connection);
    }
    return result;
}

/* Members seldom fail, and a savepoint costs as much as a short statement: the first go without,
 * and if one fails all are undone and carried out again, each in a savepoint. A function is not
 * called again for that. */
static int64_t carry_out_member(group *all, epio_op *op)
{
    epio__db_connection *connection = all->connection;
    all->careful = all->careful || op->kind == EPIO__DB_TRANSACTION;
    if (all->careful) {
        return carry_out_in_savepoint(connection, op);
    }
    int64_t result = carry_out(connection, op);
    if (result < 0) {
        all->careful = true;
        connection->root->careful_groups = CAREFUL_GROUPS;
        epio__db_transaction_undo(connection);
    }
    return result;
}

/* ---- All of them ---- */

/* The whole transaction is undone: what had succeeded begins anew, in its order. */
static void begin_again(group *all)
{
    epio__db_changes_publish(all->connection);
    epio_list_move_all(&all->done, &all->again);
    epio_list_move_all(&all->again, &all->done);
}

/* None is begun. */
static void end_all(group *all, int code)
{
    while (!epio_list_empty(&all->again)) {
        epio_op *op = take_first(&all->again);
        all->members--;
        epio__db_finish(op, epio__db_result(all->connection, op, code));
    }
}

static void fail_member(group *all, epio_op *op, int64_t result, int begun)
{
    epio__db_connection *connection = all->connection;
    epio__db_connection_set_current(connection,
                                    NULL); /* a cancel must not find one that has ended */
    all->members--;
    epio__db_finish(op, result);
    if (begun != SQLITE_OK) {
        epio__db_transaction_undo(connection);
        end_all(all, begun);
    } else if (!is_open(connection)) {
        begin_again(all);
    }
}

/* The op is the connection's current one. */
static void add_member(group *all, epio_op *op)
{
    epio__db_connection *connection = all->connection;
    epio__db_connection_begin(connection, op);
    int begun = is_open(connection) ? SQLITE_OK : epio__db_run(connection, "BEGIN IMMEDIATE");
    int64_t result = epio__db_result(connection, op, begun);
    if (result == 0) {
        result = carry_out_member(all, op);
    }
    epio__db_connection_end(connection);
    if (result < 0) {
        fail_member(all, op, result, begun);
        return;
    }
    op->arguments.words[EPIO__WORD_OUTCOME] = (uint64_t)result;
    epio_list_append(&all->done, &op->queue);
}

/* The first that waits, if it may join. The mutex is held. */
static epio_op *next_that_waits(epio__database *root)
{
    if (epio_list_empty(&root->writes)) {
        return NULL;
    }
    epio_op *op = op_of(root->writes.next);
    if (!epio__db_group_takes(root, op)) {
        return NULL;
    }
    epio__db_op_take(op);
    return op;
}

/* True if another may arrive in time. The mutex is held. */
static bool may_join(const group *all)
{
    const epio__database *root = all->connection->root;
    return all->members < root->options.group && all->members < root->group_expected &&
           epio_list_empty(&root->writes) && root->state == EPIO__DB_IS_OPEN &&
           epio_clock_monotonic() < all->until;
}

/* Takes the next one, which becomes the connection's current op; NULL: there is none, or none in
 * time. */
static epio_op *next_member(group *all)
{
    epio__db_connection *connection = all->connection;
    epio__database *root = connection->root;
    epio_op *op = NULL;
    epio__db_lock(root);
    epio__db_connection_change_current(connection, NULL);
    if (!epio_list_empty(&all->again)) {
        op = take_first(&all->again);
    } else if (all->members < root->options.group) {
        while ((op = next_that_waits(root)) == NULL && may_join(all)) {
            epio__db_sleep(root, &root->group_waits, all->until);
        }
        all->members += op != NULL;
    }
    epio__db_connection_change_current(connection, op);
    epio__db_unlock(root);
    return op;
}

/* ---- The commit ---- */

static uint64_t busy_limit(const group *all)
{
    uint64_t limit = epio_clock_monotonic() + EPIO__DB_BUSY_LIMIT;
    for (epio_node *node = all->done.next; node != &all->done; node = node->next) {
        uint64_t deadline = op_of(node)->timeout_ns;
        limit = deadline != 0 && deadline < limit ? deadline : limit;
    }
    return limit;
}

/* As many ops as there were lately, in the group and behind it, are worth waiting for. Counted
 * before those of the group have ended, as they may come back. */
static void expect_others(const group *all)
{
    epio__database *root = all->connection->root;
    size_t others = all->members;
    epio__db_lock(root);
    for (epio_node *node = root->writes.next;
         node != &root->writes && others < root->options.group &&
         epio__db_group_takes(root, op_of(node));
         node = node->next) {
        others++;
    }
    root->group_expected = others;
    epio__db_unlock(root);
}

static void commit(group *all)
{
    epio__db_connection *connection = all->connection;
    connection->may_wait_until = busy_limit(all);
    uint64_t begun = epio_clock_monotonic();
    int code = epio__db_run(connection, "COMMIT");
    connection->root->commit_took = epio_clock_monotonic() - begun;
    connection->may_wait_until = 0;
    if (code != SQLITE_OK) {
        epio_node *done = &all->done;
        for (epio_node *node = done->next; node != done; node = node->next) {
            epio_op *op = op_of(node);
            int64_t result = epio__db_result(connection, op, code);
            op->arguments.words[EPIO__WORD_OUTCOME] = (uint64_t)result;
        }
        epio__db_transaction_undo(connection);
    } else {
        epio__db_lock(connection->root);
        connection->root->stats.transactions += all->members - 1; /* publishing counts one */
        epio__db_unlock(connection->root);
    }
    epio__db_changes_publish(connection);
    expect_others(all);
    while (!epio_list_empty(&all->done)) {
        epio_op *op = take_first(&all->done);
        epio__db_finish(op, (int64_t)op->arguments.words[EPIO__WORD_OUTCOME]);
    }
}

/* Without a time of the program's own: those that the last commit has completed are often about to
 * ask for the next, and a moment costs less than a second commit. */
static uint64_t wait_limit(const epio__database *root, const epio_op *first)
{
    return root->options.group_ns != 0
               ? first->arguments.words[EPIO__WORD_OUTCOME] + root->options.group_ns
               : epio_clock_monotonic() + root->commit_took / 8;
}

void epio__db_group_run(epio__db_connection *connection, epio_op *first)
{
    const epio__database *root = connection->root;
    group all = {.connection = connection,
                 .members = 1,
                 .careful = root->careful_groups != 0,
                 .until = wait_limit(root, first)};
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
        epio__db_transaction_undo(connection);
    }
    connection->root->careful_groups -= root->careful_groups != 0;
}
