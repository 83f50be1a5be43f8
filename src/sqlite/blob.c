/* A blob as an epio_file: its ops are carried out on the thread of the connection that has it. One
 * that is not opened in a transaction holds its connection, and to write begins a transaction of
 * its own, which its close commits. */
#include "sqlite/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct blob {
    epio_file base;
    epio_node node; /* in its connection's list */
    epio__database *root;
    _Atomic(epio__db_connection *) connection; /* NULL: it has ended */
    sqlite3_blob *handle;
    int64_t row_id;
    int len;
    bool own;     /* it holds its connection */
    bool changed; /* that was noted */
    char *table;  /* the two names are behind it in its memory */
    char schema[];
} blob;

static blob *blob_of(const epio_file *file)
{
    return (blob *)(uintptr_t)file; /* its first member */
}

static bool is_writable(const blob *one)
{
    return (one->base.flags & EPIO_OPEN_WRITE) != 0;
}

epio__db_connection *epio__db_blob_connection(const epio_file *file)
{
    return atomic_load(&blob_of(file)->connection);
}

/* ---- Opening ---- */

/* "table" or "schema.table". NULL: no memory. */
static blob *make(epio__db_connection *connection, const char *name)
{
    const char *dot = strchr(name, '.');
    int schema_len = dot != NULL ? (int)(dot - name) : 4;
    const char *table = dot != NULL ? dot + 1 : name;
    size_t names_len = (size_t)schema_len + strlen(table) + 2;
    blob *one = calloc(1, sizeof *one + names_len);
    if (one == NULL) {
        return NULL;
    }
    (void)snprintf(one->schema, names_len, "%.*s", schema_len, dot != NULL ? name : "main");
    one->table = one->schema + schema_len + 1;
    (void)snprintf(one->table, strlen(table) + 1, "%s", table);
    one->root = connection->root;
    atomic_init(&one->connection, connection);
    return one;
}

static void attach(epio__db_connection *connection, blob *one)
{
    epio__db_lock(connection->root);
    epio_list_append(&connection->blobs, &one->node);
    connection->active++; /* an interrupt would hit it */
    if (one->own) {
        connection->holder = one;
    }
    connection->root->objects++;
    epio__db_unlock(connection->root);
}

static void roll_back(epio__db_connection *connection)
{
    if (sqlite3_get_autocommit(connection->handle) == 0) {
        (void)epio__db_run(connection, "ROLLBACK");
    }
}

int64_t epio__db_open_blob(epio__db_connection *connection, epio_op *op)
{
    const epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
    const char *column = epio__db_word_pointer(op, EPIO__WORD_FIRST + 1);
    bool writes = (op->flags & EPIO_OPEN_WRITE) != 0;
    blob *one = make(connection, epio__db_word_pointer(op, EPIO__WORD_FIRST));
    if (one == NULL) {
        return EPIO_ENOMEM;
    }
    one->own = db->outer == NULL;
    one->row_id = (int64_t)op->arguments.words[EPIO__WORD_FIRST + 2];
    int code = one->own && writes ? epio__db_run(connection, "BEGIN IMMEDIATE") : SQLITE_OK;
    if (code == SQLITE_OK) {
        code = sqlite3_blob_open(connection->handle, one->schema, one->table, column, one->row_id,
                                 writes, &one->handle);
    }
    if (code != SQLITE_OK) {
        int64_t result = epio__db_result(connection, op, code);
        if (one->own) {
            roll_back(connection);
        }
        free(one);
        return result;
    }
    one->len = sqlite3_blob_bytes(one->handle);
    epio_file_init(&one->base, &connection->root->vfs, op->flags, 0);
    attach(connection, one);
    op->file = &one->base;
    return 0;
}

/* ---- Reading and writing ---- */

static int64_t result_of(epio__db_connection *connection, epio_op *op, int code)
{
    return code == SQLITE_OK ? 0 : epio__db_translate(connection, connection->handle, op, code);
}

static int64_t read_part(epio__db_connection *connection, epio_op *op, void *to, size_t len,
                         uint64_t offset)
{
    const blob *one = blob_of(op->file);
    uint64_t left = offset < (uint64_t)one->len ? (uint64_t)one->len - offset : 0;
    int count = (int)(len < left ? len : left);
    int from = left > 0 ? (int)offset : one->len;
    /* No bytes are read as well, since that finds a blob whose row was changed. */
    int64_t result = result_of(connection, op, sqlite3_blob_read(one->handle, to, count, from));
    return result == 0 ? count : result;
}

static int64_t read_parts(epio__db_connection *connection, epio_op *op)
{
    const epio_iovec *parts = op->arguments.io.base;
    int64_t done = 0;
    for (uint64_t i = 0; i < op->arguments.io.len; i++) {
        int64_t count = read_part(connection, op, parts[i].base, parts[i].len,
                                  op->arguments.io.offset + (uint64_t)done);
        if (count < 0) {
            return count;
        }
        done += count;
        if ((size_t)count < parts[i].len) {
            break;
        }
    }
    return done;
}

static int64_t write_parts(epio__db_connection *connection, epio_op *op, const epio_iovec *parts,
                           uint64_t count)
{
    blob *one = blob_of(op->file);
    uint64_t offset = op->arguments.io.offset;
    uint64_t len = epio_op_bytes(op);
    if (offset > (uint64_t)one->len || len > (uint64_t)one->len - offset) {
        return EPIO_EFBIG;
    }
    for (uint64_t i = 0; i < count; i++) {
        int code = sqlite3_blob_write(one->handle, parts[i].base, (int)parts[i].len, (int)offset);
        if (code != SQLITE_OK) {
            return result_of(connection, op, code);
        }
        offset += parts[i].len;
    }
    if (!one->changed && len > 0) { /* SQLite's hook does not say so */
        one->changed = true;
        epio__db_changes_note(connection, EPIO_CHANGE_UPDATE, one->schema, one->table, one->row_id);
    }
    return (int64_t)len;
}

/* ---- Closing ---- */

static void detach(epio__db_connection *connection, blob *one)
{
    epio__db_lock(connection->root);
    epio_list_remove(&one->node);
    connection->active--;
    if (one->own) {
        connection->holder = NULL;
    }
    atomic_store(&one->connection, NULL);
    epio__db_unlock(connection->root);
    (void)sqlite3_blob_close(one->handle); /* the error of its last op, again */
    one->handle = NULL;
}

/* The mutex is held. */
static void free_blob(epio__database *root, blob *one)
{
    root->objects--;
    epio_file_release(&one->base);
    free(one);
}

static int64_t commit(epio__db_connection *connection, epio_op *op)
{
    if (sqlite3_get_autocommit(connection->handle) != 0) {
        return EPIO_EIO; /* SQLite has rolled it back, as a write has failed */
    }
    connection->may_wait_until = epio_clock_monotonic() + EPIO__DB_BUSY_LIMIT;
    int64_t result = result_of(connection, op, epio__db_run(connection, "COMMIT"));
    connection->may_wait_until = 0;
    roll_back(connection);
    epio__db_changes_publish(connection);
    return result;
}

static int64_t close_blob(epio__db_connection *connection, epio_op *op)
{
    blob *one = blob_of(op->file);
    bool commits = one->own && is_writable(one);
    detach(connection, one);
    int64_t result = commits ? commit(connection, op) : 0;
    epio__db_lock(connection->root);
    free_blob(connection->root, one);
    epio__db_unlock(connection->root);
    return result;
}

void epio__db_blobs_end_all(epio__db_connection *connection)
{
    while (!epio_list_empty(&connection->blobs)) {
        blob *one = EPIO_CONTAINER(connection->blobs.next, blob, node);
        bool undoes = one->own && is_writable(one);
        detach(connection, one);
        if (undoes) {
            roll_back(connection);
            epio__db_changes_publish(connection);
        }
    }
}

int64_t epio__db_blob_refuse(epio__database *root, epio_op *op)
{
    if (op->kind != EPIO_KIND_CLOSE) {
        return EPIO_ECANCELED;
    }
    free_blob(root, blob_of(op->file));
    return 0;
}

int64_t epio__db_blob_carry_out(epio__db_connection *connection, epio_op *op)
{
    epio_iovec whole;
    int64_t result;
    if (epio__db_blob_connection(op->file) == NULL) { /* it ended while the op waited */
        epio__db_lock(connection->root);
        result = epio__db_blob_refuse(connection->root, op);
        epio__db_unlock(connection->root);
        return result;
    }
    switch (op->kind) {
    case EPIO_KIND_READ:
        return read_part(connection, op, op->arguments.io.base, (size_t)op->arguments.io.len,
                         op->arguments.io.offset);
    case EPIO_KIND_READV:
        return read_parts(connection, op);
    case EPIO_KIND_WRITE:
        whole = (epio_iovec){op->arguments.io.base, (size_t)op->arguments.io.len};
        return write_parts(connection, op, &whole, 1);
    case EPIO_KIND_WRITEV:
        return write_parts(connection, op, op->arguments.io.base, op->arguments.io.len);
    case EPIO_KIND_SIZE:
        result = read_part(connection, op, NULL, 0, 0);
        return result == 0 ? blob_of(op->file)->len : result;
    case EPIO_KIND_CLOSE:
        return close_blob(connection, op);
    default:
        return EPIO_ENOTSUP;
    }
}
