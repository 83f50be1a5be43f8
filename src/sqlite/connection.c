/* SQLite's handle of one connection: opening and closing it, and what ends a statement early. Its
 * prepared statements are statement_cache.c's. */
#include "sqlite/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opcodes of SQLite's between two looks at whether the statement is to end: some tens of
 * microseconds. */
#define PROGRESS_STEPS 1000

/* Between two looks at whether another program has released its lock. */
#define BUSY_PAUSE UINT64_C(1000000)

epio__db_connection *epio__db_connection_make(epio__database *root, uint32_t role)
{
    epio__db_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->root = root;
    connection->role = role;
    atomic_init(&connection->interrupted, false);
    epio_list_init(&connection->ops);
    epio_list_init(&connection->rows);
    epio_list_init(&connection->blobs);
    epio_list_append(&root->connections, &connection->node);
    return connection;
}

/* ---- What ends a statement early ---- */

bool epio__db_connection_is_to_end(const epio__db_connection *connection)
{
    if (atomic_load_explicit(&connection->interrupted, memory_order_relaxed)) {
        return true;
    }
    return connection->deadline != 0 && epio_clock_monotonic() >= connection->deadline;
}

static int is_to_end(void *user)
{
    return epio__db_connection_is_to_end(user);
}

static int wait_for_others(void *user, int times)
{
    epio__db_connection *connection = user;
    (void)times;
    if (connection->may_wait_until == 0 || epio__db_connection_is_to_end(connection) ||
        epio_clock_monotonic() >= connection->may_wait_until) {
        return 0;
    }
    epio_op sleep = EPIO_OP_INIT;
    (void)epio_perform(epio_sleep(&sleep, epio_os_vfs(), BUSY_PAUSE));
    return 1;
}

void epio__db_connection_begin(epio__db_connection *connection, const epio_op *op)
{
    connection->deadline = epio_op_in_flight(op) ? 0 : op->timeout_ns;
    connection->may_wait_until = 0;
}

void epio__db_connection_end(epio__db_connection *connection)
{
    connection->deadline = 0;
    connection->may_wait_until = 0;
}

/* ---- Opening ---- */

static int set_pragma(epio__db_connection *connection, const char *name, const char *value)
{
    char *sql = sqlite3_mprintf("PRAGMA %s=%Q", name, value);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int code = sqlite3_exec(connection->handle, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return code;
}

static int open_handle(epio__db_connection *connection)
{
    const epio_db_options *options = &connection->root->options;
    bool makes = connection->role == EPIO__DB_WRITER && (options->flags & EPIO_DB_MUST_EXIST) == 0;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if ((options->flags & EPIO_DB_READ_ONLY) != 0) {
        flags |= SQLITE_OPEN_READONLY;
    } else {
        flags |= SQLITE_OPEN_READWRITE | (makes ? SQLITE_OPEN_CREATE : 0);
    }
    sqlite3 *handle = NULL;
    int code = sqlite3_open_v2(connection->root->path, &handle, flags,
                               connection->root->options.sqlite_vfs);
    epio__db_lock(connection->root);
    connection->handle = handle; /* also if it failed: it has the message */
    connection->root->stats.opened += code == SQLITE_OK;
    epio__db_unlock(connection->root);
    return code;
}

void epio__db_connection_set_hooks(epio__db_connection *connection)
{
    sqlite3 *handle = connection->handle;
    sqlite3_progress_handler(handle, PROGRESS_STEPS, is_to_end, connection);
    sqlite3_busy_handler(handle, wait_for_others, connection);
    sqlite3_wal_autocheckpoint(handle, 0);
    if (connection->role == EPIO__DB_WRITER) {
        sqlite3_wal_hook(handle, epio__db_checkpoint_hook, connection);
    }
}

/* The journal mode is the database's, so only the writer sets it. */
static int set_up(epio__db_connection *connection)
{
    const epio_db_options *options = &connection->root->options;
    int code = SQLITE_OK;
    if (options->configure != NULL) {
        code = options->configure(connection->handle, options->user);
    }
    epio__db_connection_set_hooks(connection); /* no commit of what `setup` does checkpoints */
    bool writes = (options->flags & EPIO_DB_READ_ONLY) == 0;
    if (code == SQLITE_OK && connection->role == EPIO__DB_WRITER && writes) {
        code = set_pragma(connection, "journal_mode", options->journal_mode);
    }
    if (code == SQLITE_OK) {
        code = set_pragma(connection, "synchronous", options->synchronous);
    }
    if (code == SQLITE_OK && options->setup != NULL) {
        code = sqlite3_exec(connection->handle, options->setup, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK && connection->role == EPIO__DB_READER) {
        code = sqlite3_exec(connection->handle, "PRAGMA query_only=1", NULL, NULL, NULL);
    }
    epio__db_connection_set_hooks(connection);
    if (code == SQLITE_OK && connection->role == EPIO__DB_WRITER) {
        code = epio__db_changes_watch(connection) ? SQLITE_OK : SQLITE_NOMEM;
    }
    return code;
}

int epio__db_connection_open(epio__db_connection *connection, epio_op *op)
{
    (void)op;
    int code = open_handle(connection);
    return code == SQLITE_OK ? set_up(connection) : code;
}

int64_t epio__db_open(epio__db_connection *connection, epio_op *op)
{
    /* The handle is open; a damaged file shows only when it is read. */
    int code =
        sqlite3_exec(connection->handle, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = epio__db_checkpoint_begin(connection);
    }
    if (code != SQLITE_OK) {
        int64_t result = epio__db_result(connection, op, code);
        epio__db_connection_close(connection);
        return result;
    }
    epio__db_lock(connection->root);
    connection->root->opened = true;
    epio__db_unlock(connection->root);
    return 0;
}

/* ---- Closing ---- */

void epio__db_connection_close(epio__db_connection *connection)
{
    epio__db_statements_free(connection);
    epio__db_lock(connection->root);
    sqlite3 *handle = connection->handle;
    connection->handle = NULL;
    epio__db_unlock(connection->root);
    sqlite3_close_v2(handle);
}

int64_t epio__db_close(epio__db_connection *connection, epio_op *op)
{
    (void)op;
    epio__database *root = connection->root;
    /* Nobody has one, and nothing waits: the list stays as it is. The writer is the last, so that
     * the log is written back once. */
    for (epio_node *node = root->connections.next; node != &root->connections; node = node->next) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        if (one != connection && one->handle != NULL) {
            epio__db_connection_close(one);
        }
    }
    if (connection->handle != NULL) {
        epio__db_connection_close(connection);
    }
    epio__db_lock(root);
    root->opened = false;
    root->state = EPIO__DB_NEW;
    root->log = (epio__db_log){0};
    root->stats.log_frames = 0;
    root->stats.log_held = 0;
    epio__db_pool_stop_timer(root);
    epio__db_unlock(root);
    return 0;
}
