/* Transactions and savepoints: as handles that programs hold, and around functions. Those that
 * share a commit are group.c's. */
#include "sqlite/db.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_open(const epio__db_connection *connection)
{
    return sqlite3_get_autocommit(connection->handle) == 0;
}

static void let_wait(epio__db_connection *connection, const epio_op *op)
{
    connection->may_wait_until =
        op->timeout_ns != 0 ? op->timeout_ns : epio_clock_monotonic() + EPIO__DB_BUSY_LIMIT;
}

/* Changes are the writer's. */
static void publish(epio__db_connection *connection)
{
    if (connection->role == EPIO__DB_WRITER) {
        epio__db_changes_publish(connection);
    }
}

/* Queries and blobs, before what they are in ends. */
static void end_all(epio__db_connection *connection)
{
    epio__db_rows_end_all(connection, EPIO_ECANCELED);
    epio__db_blobs_end_all(connection);
}

/* ---- Around a function ---- */

void epio__db_transaction_undo(epio__db_connection *connection)
{
    if (is_open(connection)) {
        (void)epio__db_run(connection, "ROLLBACK");
    }
}

static int64_t commit(epio__db_connection *connection, epio_op *op)
{
    let_wait(connection, op);
    int code = epio__db_run(connection, "COMMIT");
    connection->may_wait_until = 0;
    int64_t result = epio__db_result(connection, op, code);
    if (result == EPIO_RETRY) { /* it has waited, and a function is not called again */
        bool late = op->timeout_ns != 0 && epio_clock_monotonic() >= op->timeout_ns;
        result = late ? EPIO_ETIMEDOUT : EPIO_EBUSY;
    }
    return result;
}

int64_t epio__db_in_transaction(epio__db_connection *connection, epio_op *op,
                                epio__db_carrier *function)
{
    int64_t result = epio__db_result(connection, op, epio__db_run(connection, "BEGIN IMMEDIATE"));
    if (result == 0) {
        result = function(connection, op);
        if (result >= 0) {
            int64_t committed = commit(connection, op);
            result = committed != 0 ? committed : result;
        }
    }
    epio__db_transaction_undo(connection);
    return result;
}

/* ---- Handles ---- */

static epio_db *make_handle(epio__db_connection *connection, epio_db *outer, uint32_t mode)
{
    epio_db *made = calloc(1, sizeof *made);
    if (made != NULL) {
        *made = (epio_db){.root = connection->root,
                          .outer = outer,
                          .connection = connection,
                          .mode = mode,
                          .depth = outer->outer != NULL ? outer->depth + 1 : 0,
                          .active = connection->active};
    }
    return made;
}

/* The connection is the handle's: an outermost one has it. The mutex is held. */
static void take_connection(epio_db *made)
{
    epio__db_connection *connection = made->connection;
    made->root->objects++;
    if (made->depth != 0) {
        made->outer->inner = made;
        return;
    }
    connection->holder = made;
    connection->transaction = made;
}

void epio__db_handle_free(epio_db *db)
{
    epio__database *root = db->root;
    if (db->outer != &root->handle) {
        db->outer->inner = NULL;
    }
    db->connection = NULL;
    db->ended = true;
    root->objects--;
    free(root->ended[root->ended_next]);
    root->ended[root->ended_next] = db;
    root->ended_next = (root->ended_next + 1) % EPIO__ENDED_HANDLES;
}

/* Ops that were submitted behind the one that has ended the handle. True if one of them rolls back,
 * which is done. The mutex is held. */
static bool take_late_ops(epio__db_connection *connection, const epio_db *db, epio_node *late)
{
    bool rolls_back = false;
    epio_node all;
    epio_list_init(&all);
    epio_list_move_all(&all, &connection->ops);
    while (!epio_list_empty(&all)) {
        epio_op *op = EPIO_CONTAINER(all.next, epio_op, queue);
        if (op->kind < EPIO__DB_OPEN || epio__db_word_pointer(op, EPIO__WORD_OBJECT) != db) {
            epio_list_remove(&op->queue);
            epio_list_append(&connection->ops, &op->queue);
            continue;
        }
        epio__db_op_take(op);
        epio_list_append(late, &op->queue);
        rolls_back = rolls_back || op->kind == EPIO__DB_ROLLBACK;
    }
    return rolls_back;
}

/* The transaction or savepoint of the handle has ended, and those in it; with the outermost one the
 * connection is free. Handles that no op has ended have no connection any more, and wait for their
 * rollback. Without the mutex. */
static void end_handles(epio__db_connection *connection, epio_db *db, bool by_op)
{
    epio__database *root = connection->root;
    epio_node late;
    epio_list_init(&late);
    epio__db_lock(root);
    if (db->depth == 0) {
        connection->holder = NULL;
        connection->transaction = NULL;
    }
    for (epio_db *one = db; one != NULL;) {
        epio_db *inner = one->inner;
        one->inner = NULL;
        one->connection = NULL;
        one->outer = one == db ? one->outer : &root->handle;
        bool rolled_back = take_late_ops(connection, one, &late);
        if (rolled_back || (one == db && by_op)) {
            epio__db_handle_free(one);
        }
        one = inner;
    }
    epio__db_unlock(root);
    while (!epio_list_empty(&late)) {
        epio_op *op = EPIO_CONTAINER(late.next, epio_op, queue);
        epio_list_remove(&op->queue);
        epio__db_finish(op, op->kind == EPIO__DB_ROLLBACK ? 0 : EPIO_ECANCELED);
    }
}

int64_t epio__db_transaction_check(const epio__db_connection *connection, epio_op *op)
{
    if (op->kind < EPIO__DB_OPEN || op->kind == EPIO__DB_NEXT || op->kind == EPIO__DB_END ||
        op->kind == EPIO__DB_ROLLBACK) {
        return 0;
    }
    const epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    if (db->outer == NULL) {
        return 0;
    }
    if (db->inner != NULL) {
        return EPIO_EBUSY;
    }
    /* SQLite ends a transaction itself after some errors; the next statement would be one of its
     * own. */
    return is_open(connection) ? 0 : EPIO_ECANCELED;
}

/* ---- Beginning ---- */

static int run_savepoint(epio__db_connection *connection, const char *verb, const epio_db *db)
{
    char sql[48];
    (void)snprintf(sql, sizeof sql, "%s epio_%u", verb, (unsigned)db->depth);
    return epio__db_run(connection, sql);
}

/* The first read decides which state of the database the snapshot is of. */
static int begin_snapshot(epio__db_connection *connection)
{
    int code = epio__db_run(connection, "BEGIN");
    return code != SQLITE_OK ? code
                             : epio__db_run(connection, "SELECT 1 FROM sqlite_schema LIMIT 1");
}

static int begin_write(epio__db_connection *connection)
{
    /* SQLite begins a transaction that reads instead. */
    if (sqlite3_db_readonly(connection->handle, "main") == 1) {
        return SQLITE_READONLY;
    }
    return epio__db_run(connection, "BEGIN IMMEDIATE");
}

static int begin(epio__db_connection *connection, const epio_db *made)
{
    if (made->depth != 0) {
        return run_savepoint(connection, "SAVEPOINT", made);
    }
    return made->mode == EPIO_DB_WRITE ? begin_write(connection) : begin_snapshot(connection);
}

int64_t epio__db_begin(epio__db_connection *connection, epio_op *op)
{
    epio_db *outer = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    epio_db **transaction = epio__db_word_pointer(op, EPIO__WORD_FIRST);
    uint32_t mode = (uint32_t)op->arguments.words[EPIO__WORD_FIRST + 1];
    epio_db *made = make_handle(connection, outer, mode);
    if (made == NULL) {
        return epio__db_result(connection, op, SQLITE_NOMEM);
    }
    int64_t result = epio__db_result(connection, op, begin(connection, made));
    if (result != 0) {
        if (made->depth == 0) {
            epio__db_transaction_undo(connection);
        }
        free(made);
        return result;
    }
    bool writes = connection->role == EPIO__DB_WRITER;
    made->changes = writes ? epio__db_changes_mark(connection) : 0;
    epio__db_lock(connection->root);
    take_connection(made);
    epio__db_unlock(connection->root);
    *transaction = made;
    return 0;
}

/* ---- Ending ---- */

/* Every error but those that leave the transaction as it is. */
static bool undoes(int64_t result)
{
    return result != EPIO_RETRY && result != EPIO_EBUSY && result != EPIO_ECANCELED &&
           result != EPIO_ETIMEDOUT;
}

static int64_t commit_outermost(epio__db_connection *connection, epio_op *op)
{
    int64_t result = epio__db_result(connection, op, epio__db_run(connection, "COMMIT"));
    if (result == 0) {
        end_all(connection);
        publish(connection);
    } else if (undoes(result) || !is_open(connection)) {
        end_all(connection);
        epio__db_transaction_undo(connection);
        publish(connection);
    }
    return result;
}

int64_t epio__db_commit(epio__db_connection *connection, epio_op *op)
{
    epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    if (db->of_function) {
        return epio__db_refuse(op, "the transaction is committed when its function returns");
    }
    if (connection->active > db->active) {
        return EPIO_EBUSY;
    }
    int64_t result = db->depth != 0
                         ? epio__db_result(connection, op, run_savepoint(connection, "RELEASE", db))
                         : commit_outermost(connection, op);
    if (result == 0) {
        end_handles(connection, db, true);
    }
    return result;
}

static void roll_back_savepoint(epio__db_connection *connection, const epio_db *db)
{
    if (connection->active > db->active) {
        end_all(connection);
    }
    if (connection->role == EPIO__DB_WRITER) {
        epio__db_changes_rewind(connection, db->changes);
    }
    if (is_open(connection)) {
        int code = run_savepoint(connection, "ROLLBACK TO", db);
        code = code == SQLITE_OK ? run_savepoint(connection, "RELEASE", db) : code;
        if (code != SQLITE_OK) { /* what cannot be undone in part is undone whole */
            epio__db_transaction_undo(connection);
        }
    }
}

int64_t epio__db_rollback(epio__db_connection *connection, epio_op *op)
{
    epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    if (db->of_function) {
        return epio__db_refuse(op, "the transaction is rolled back when its function fails");
    }
    if (db->depth != 0) {
        roll_back_savepoint(connection, db);
    } else {
        end_all(connection);
        epio__db_transaction_undo(connection);
        publish(connection);
    }
    end_handles(connection, db, true);
    return 0;
}

void epio__db_transaction_abandon(epio__db_connection *connection)
{
    end_all(connection);
    epio__db_transaction_undo(connection);
    publish(connection);
    if (connection->transaction != NULL) {
        end_handles(connection, connection->transaction, false);
    }
    epio__db_lock(connection->root);
    connection->holder = NULL; /* rows may have it */
    epio__db_unlock(connection->root);
}

/* ---- Functions ---- */

/* Results that are the library's own. */
static bool is_reserved(int64_t result)
{
    return result == EPIO_RETRY || result == EPIO__DB_TO_WRITER || result == EPIO_EPENDING;
}

int64_t epio__db_transaction_call(epio__db_connection *connection, epio_op *op)
{
    epio__database *root = connection->root;
    epio_db_function *function =
        (epio_db_function *)(uintptr_t)op->arguments.words[EPIO__WORD_FIRST];
    uint32_t mode = (uint32_t)op->arguments.words[EPIO__WORD_FIRST + 1];
    epio_db *made = make_handle(connection, &root->handle, mode);
    if (made == NULL) {
        return epio__db_result(connection, op, SQLITE_NOMEM);
    }
    made->of_function = true;
    epio__db_lock(root);
    take_connection(made);
    connection->in_function = true;
    epio__db_unlock(root);
    let_wait(connection, op);
    int64_t result = function(made, op->user);
    connection->may_wait_until = 0;
    end_all(connection);
    bool left_open = made->inner != NULL;
    epio__db_lock(root);
    connection->in_function = false;
    epio__db_unlock(root);
    end_handles(connection, made, true);
    if (result >= 0 && left_open) {
        return EPIO_EBUSY;
    }
    if (result >= 0 && (!is_open(connection) || atomic_load(&connection->interrupted))) {
        return EPIO_ECANCELED; /* it went on although that had ended it */
    }
    if (result >= 0 && connection->deadline != 0 &&
        epio_clock_monotonic() >= connection->deadline) {
        return EPIO_ETIMEDOUT;
    }
    return is_reserved(result) ? epio__db_refuse(op, "the function's result is not an error's")
                               : result;
}

static int64_t read_in_snapshot(epio__db_connection *connection, epio_op *op)
{
    int64_t result = epio__db_result(connection, op, begin_snapshot(connection));
    if (result == 0) {
        result = epio__db_transaction_call(connection, op);
    }
    epio__db_transaction_undo(connection);
    return result;
}

int64_t epio__db_transaction(epio__db_connection *connection, epio_op *op)
{
    if (op->arguments.words[EPIO__WORD_FIRST + 1] == EPIO_DB_SNAPSHOT) {
        return read_in_snapshot(connection, op);
    }
    if (sqlite3_db_readonly(connection->handle, "main") == 1) {
        return epio__db_result(connection, op, SQLITE_READONLY);
    }
    int64_t result = epio__db_in_transaction(connection, op, epio__db_transaction_call);
    publish(connection);
    return result;
}
