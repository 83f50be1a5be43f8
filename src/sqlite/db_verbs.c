/* The verbs of epio/db.h: they fill an op, and say nothing of what it will meet. */
#include "sqlite/db.h"

static const char *const names[] = {
    [0] = "epio_db_open",
    [EPIO__DB_CLOSE - EPIO__DB_OPEN] = "epio_db_close",
    [EPIO__DB_EXECUTE - EPIO__DB_OPEN] = "epio_db_execute",
    [EPIO__DB_QUERY - EPIO__DB_OPEN] = "epio_db_query",
    [EPIO__DB_NEXT - EPIO__DB_OPEN] = "epio_db_next",
    [EPIO__DB_END - EPIO__DB_OPEN] = "epio_db_end",
    [EPIO__DB_BEGIN - EPIO__DB_OPEN] = "epio_db_begin",
    [EPIO__DB_COMMIT - EPIO__DB_OPEN] = "epio_db_commit",
    [EPIO__DB_ROLLBACK - EPIO__DB_OPEN] = "epio_db_rollback",
    [EPIO__DB_TRANSACTION - EPIO__DB_OPEN] = "epio_db_transaction",
    [EPIO__DB_CHECKPOINT - EPIO__DB_OPEN] = "epio_db_checkpoint",
    [EPIO__DB_BACKUP - EPIO__DB_OPEN] = "epio_db_backup",
    [EPIO__DB_OPEN_BLOB - EPIO__DB_OPEN] = "epio_db_open_blob",
    [EPIO__DB_CHANGES - EPIO__DB_OPEN] = "epio_db_changes",
};

static epio_op *prepare(epio_op *op, epio__database *root, uint32_t kind, const void *object)
{
    if (op == NULL) {
        epio_fatal(names[kind - EPIO__DB_OPEN], "the op is NULL");
    }
    epio_op_prepare(op, root != NULL ? &root->vfs : NULL, NULL, kind);
    for (size_t i = 0; i < sizeof op->arguments.words / sizeof op->arguments.words[0]; i++) {
        op->arguments.words[i] = 0;
    }
    op->flags = 0;
    op->arguments.words[EPIO__WORD_OBJECT] = (uint64_t)(uintptr_t)object;
    return op;
}

static epio_op *prepare_in(epio_op *op, epio_db *db, uint32_t kind)
{
    return prepare(op, db != NULL ? db->root : NULL, kind, db);
}

static void put_pointer(epio_op *op, int word, const void *pointer)
{
    op->arguments.words[word] = (uint64_t)(uintptr_t)pointer;
}

epio_op *epio_db_report(epio_op *op, epio_db_error *error)
{
    if (op == NULL) {
        epio_fatal("epio_db_report", "the op is NULL");
    }
    if (error != NULL && error->size < sizeof *error) {
        epio_fatal("epio_db_report", "the error's size is not sizeof(epio_db_error)");
    }
    put_pointer(op, EPIO__WORD_REPORT, error);
    return op;
}

int epio_db_error_code(const epio_op *op)
{
    if (op == NULL) {
        epio_fatal("epio_db_error_code", "the op is NULL");
    }
    if (!epio__db_is_verb(op)) {
        return SQLITE_OK;
    }
    return (int)op->arguments.words[EPIO__WORD_CODE];
}

epio_op *epio_db_open(epio_op *op, epio_db *db)
{
    return prepare_in(op, db, EPIO__DB_OPEN);
}

epio_op *epio_db_close(epio_op *op, epio_db *db, uint32_t flags)
{
    prepare_in(op, db, EPIO__DB_CLOSE);
    op->flags = flags;
    return op;
}

epio_op *epio_db_execute(epio_op *op, epio_db *db, const char *sql,
                         const epio_parameters *parameters)
{
    prepare_in(op, db, EPIO__DB_EXECUTE);
    put_pointer(op, EPIO__WORD_FIRST, sql);
    put_pointer(op, EPIO__WORD_FIRST + 1, parameters);
    return op;
}

epio_op *epio_db_query(epio_op *op, epio_db *db, epio_rows **rows, const char *sql,
                       const epio_parameters *parameters)
{
    prepare_in(op, db, EPIO__DB_QUERY);
    put_pointer(op, EPIO__WORD_FIRST, sql);
    put_pointer(op, EPIO__WORD_FIRST + 1, parameters);
    put_pointer(op, EPIO__WORD_FIRST + 2, rows);
    return op;
}

epio_op *epio_db_next(epio_op *op, epio_rows *rows, uint32_t batch)
{
    prepare(op, rows != NULL ? epio__db_rows_root(rows) : NULL, EPIO__DB_NEXT, rows);
    op->arguments.words[EPIO__WORD_FIRST] = batch;
    return op;
}

epio_op *epio_db_end(epio_op *op, epio_rows *rows)
{
    return prepare(op, rows != NULL ? epio__db_rows_root(rows) : NULL, EPIO__DB_END, rows);
}

epio_op *epio_db_begin(epio_op *op, epio_db *db, epio_db **transaction, uint32_t mode)
{
    prepare_in(op, db, EPIO__DB_BEGIN);
    put_pointer(op, EPIO__WORD_FIRST, transaction);
    op->arguments.words[EPIO__WORD_FIRST + 1] = mode;
    return op;
}

epio_op *epio_db_commit(epio_op *op, epio_db *transaction)
{
    return prepare_in(op, transaction, EPIO__DB_COMMIT);
}

epio_op *epio_db_rollback(epio_op *op, epio_db *transaction)
{
    return prepare_in(op, transaction, EPIO__DB_ROLLBACK);
}

epio_op *epio_db_transaction(epio_op *op, epio_db *db, epio_db_function *function, uint32_t mode)
{
    prepare_in(op, db, EPIO__DB_TRANSACTION);
    op->arguments.words[EPIO__WORD_FIRST] = (uint64_t)(uintptr_t)function;
    op->arguments.words[EPIO__WORD_FIRST + 1] = mode;
    return op;
}

epio_op *epio_db_checkpoint(epio_op *op, epio_db *db, uint32_t mode)
{
    prepare_in(op, db, EPIO__DB_CHECKPOINT);
    op->arguments.words[EPIO__WORD_FIRST] = mode;
    return op;
}

epio_op *epio_db_backup(epio_op *op, epio_db *db, const char *path, uint32_t flags)
{
    prepare_in(op, db, EPIO__DB_BACKUP);
    put_pointer(op, EPIO__WORD_FIRST, path);
    op->flags = flags;
    return op;
}

epio_op *epio_db_open_blob(epio_op *op, epio_db *db, const char *table, const char *column,
                           int64_t row_id, uint32_t flags)
{
    prepare_in(op, db, EPIO__DB_OPEN_BLOB);
    put_pointer(op, EPIO__WORD_FIRST, table);
    put_pointer(op, EPIO__WORD_FIRST + 1, column);
    op->arguments.words[EPIO__WORD_FIRST + 2] = (uint64_t)row_id;
    op->flags = flags;
    return op;
}

epio_op *epio_db_changes(epio_op *op, epio_db *db, epio_change *changes, size_t count)
{
    prepare_in(op, db, EPIO__DB_CHANGES);
    put_pointer(op, EPIO__WORD_FIRST, changes);
    op->arguments.words[EPIO__WORD_FIRST + 1] = count;
    return op;
}
