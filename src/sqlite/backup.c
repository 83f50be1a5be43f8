/* Copies of a whole database, while others use it. Over an epio VFS the copy is made under a
 * temporary name beside its own, so that a copy which has its name is complete; over another of
 * SQLite's VFSes, which cannot rename, under its own. */
#include "sqlite/db.h"

/* A cancel waits for one step: those are made to take about so long, in nanoseconds. */
#define STEP_TIME UINT64_C(1000000)
#define FIRST_STEP 16
#define LAST_STEP 1024

/* Without a log a transaction of the copy keeps all commits out, so it has none at first; but each
 * commit then makes it begin again. */
#define RESTARTS 3u

typedef struct copy {
    epio__db_connection *connection;
    epio_op *op;
    sqlite3_vfs *vfs;
    bool renames;    /* it is made under a temporary name */
    bool made;       /* there may be a file to be removed */
    char *path;      /* where it is made */
    sqlite3 *target; /* NULL: not open */
    epio_progress_source progress;
    uint32_t page_size;
    _Atomic uint32_t done; /* pages */
    _Atomic uint32_t total;
} copy;

/* ---- Progress ---- */

static void read_progress(epio_progress_source *source, epio_progress_info *info)
{
    copy *one = EPIO_CONTAINER(source, copy, progress);
    info->bytes = (uint64_t)atomic_load(&one->done) * one->page_size;
    info->total_bytes = (uint64_t)atomic_load(&one->total) * one->page_size;
    info->total_files = 1;
}

/* The target's, which is not open yet, is that of the source. */
static uint32_t page_size_of(sqlite3 *handle)
{
    sqlite3_stmt *statement = NULL;
    int size = 0;
    if (sqlite3_prepare_v2(handle, "PRAGMA main.page_size", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        size = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return (uint32_t)size;
}

/* ---- Errors ---- */

/* What SQLite said of the copy's own handle. */
static int64_t target_result(const copy *one, int code)
{
    (void)epio__db_result(one->connection, one->op, code); /* for the op's code and message */
    return epio__db_translate(one->connection, one->target, one->op, code);
}

/* ---- The file ---- */

static bool exists(const copy *one, const char *path)
{
    int found = 0;
    return one->vfs->xAccess(one->vfs, path, SQLITE_ACCESS_EXISTS, &found) == SQLITE_OK &&
           found != 0;
}

static char *temporary_path(const char *path)
{
    uint64_t random;
    sqlite3_randomness((int)sizeof random, &random);
    return sqlite3_mprintf("%s-%016llx.tmp", path, (unsigned long long)random);
}

static int64_t begin(copy *one)
{
    const epio_db_options *options = &one->connection->root->options;
    const char *path = epio__db_word_pointer(one->op, EPIO__WORD_FIRST);
    one->vfs = sqlite3_vfs_find(options->sqlite_vfs);
    one->renames = one->connection->root->sqlite_vfs[0] != '\0';
    if (one->vfs == NULL) {
        return EPIO_ENODEV;
    }
    one->path = one->renames ? temporary_path(path) : sqlite3_mprintf("%s", path);
    if (one->path == NULL) {
        return EPIO_ENOMEM;
    }
    return exists(one, path) ? EPIO_EEXIST : 0;
}

static int open_target(copy *one)
{
    one->made = true;
    int code = sqlite3_open_v2(one->path, &one->target,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_EXRESCODE,
                               one->connection->root->options.sqlite_vfs);
    if (code == SQLITE_OK) { /* if it is not complete it is removed; few pages wait for the end */
        code = sqlite3_exec(one->target,
                            "PRAGMA journal_mode=off; PRAGMA synchronous=full;"
                            "PRAGMA cache_size=64",
                            NULL, NULL, NULL);
    }
    return code;
}

/* VACUUM has synced as the database is, which may be not at all. */
static int64_t sync_target(copy *one)
{
    sqlite3_file *file = NULL;
    int code = open_target(one);
    if (code == SQLITE_OK) {
        code = sqlite3_file_control(one->target, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    }
    if (code == SQLITE_OK) {
        code = file->pMethods->xSync(file, SQLITE_SYNC_FULL);
    }
    return code == SQLITE_OK ? 0 : target_result(one, code);
}

static int64_t give_name(const copy *one)
{
    if (!one->renames) {
        return 0;
    }
    epio_op op = EPIO_OP_INIT;
    const char *path = epio__db_word_pointer(one->op, EPIO__WORD_FIRST);
    (void)epio_perform(epio_rename(&op, one->connection->root->inner, one->path, path,
                                   EPIO_RENAME_NO_REPLACE | EPIO_RENAME_SYNC_DIR));
    one->op->os_error = op.os_error;
    return op.result;
}

static void remove_file(const copy *one)
{
    (void)one->vfs->xDelete(one->vfs, one->path, 0);
}

/* If only its durability failed, it has its name, which is no other's. */
static int64_t finish(copy *one)
{
    int64_t result = give_name(one);
    if (result == EPIO_EIO && !exists(one, one->path)) {
        (void)one->vfs->xDelete(one->vfs, epio__db_word_pointer(one->op, EPIO__WORD_FIRST), 0);
    }
    return result;
}

/* ---- Page by page ---- */

static int begin_snapshot(epio__db_connection *connection)
{
    return sqlite3_exec(connection->handle, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", NULL,
                        NULL, NULL);
}

static void end_snapshot(epio__db_connection *connection)
{
    if (sqlite3_get_autocommit(connection->handle) == 0) {
        (void)sqlite3_exec(connection->handle, "ROLLBACK", NULL, NULL, NULL);
    }
}

static bool has_log(epio__db_connection *connection)
{
    sqlite3_stmt *statement = NULL;
    bool wal = sqlite3_prepare_v2(connection->handle, "PRAGMA main.journal_mode", -1, &statement,
                                  NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW &&
               sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    return wal;
}

static int next_step_len(int len, uint64_t took)
{
    if (took > STEP_TIME * 2) {
        return len > 1 ? len / 2 : 1;
    }
    return took < STEP_TIME / 2 && len < LAST_STEP ? len * 2 : len;
}

/* SQLITE_DONE, an error, or SQLITE_INTERRUPT. */
static int copy_pages(copy *one, sqlite3_backup *backup)
{
    epio__db_connection *connection = one->connection;
    int code;
    int done = 0;
    int len = FIRST_STEP;
    unsigned restarts = 0;
    do {
        if (epio__db_connection_is_to_end(connection)) {
            return SQLITE_INTERRUPT;
        }
        uint64_t from = epio_clock_monotonic();
        connection->may_wait_until = from + EPIO__DB_BUSY_LIMIT;
        code = sqlite3_backup_step(backup, len);
        connection->may_wait_until = 0;
        len = next_step_len(len, epio_clock_monotonic() - from);
        int total = sqlite3_backup_pagecount(backup);
        int now = total - sqlite3_backup_remaining(backup);
        restarts += now < done;
        if (now < done && restarts == RESTARTS) {
            int begun = begin_snapshot(connection);
            code = begun == SQLITE_OK ? code : begun;
        }
        done = now;
        atomic_store(&one->total, (uint32_t)total);
        atomic_store(&one->done, (uint32_t)done);
    } while (code == SQLITE_OK);
    return code;
}

static int64_t copy_database(copy *one)
{
    epio__db_connection *connection = one->connection;
    int code = open_target(one);
    if (code != SQLITE_OK) {
        return target_result(one, code);
    }
    if (has_log(connection)) {
        code = begin_snapshot(connection);
        if (code != SQLITE_OK) {
            end_snapshot(connection);
            return epio__db_result(connection, one->op, code);
        }
    }
    sqlite3_backup *backup = sqlite3_backup_init(one->target, "main", connection->handle, "main");
    code = backup != NULL ? copy_pages(one, backup) : sqlite3_extended_errcode(one->target);
    int finished = sqlite3_backup_finish(backup);
    end_snapshot(connection);
    if (code == SQLITE_DONE) {
        code = finished;
    }
    if (code == SQLITE_OK) {
        return 0;
    }
    bool source = code == SQLITE_INTERRUPT || (code & 0xFF) == SQLITE_BUSY;
    return source ? epio__db_result(connection, one->op, code) : target_result(one, code);
}

/* ---- By VACUUM INTO ---- */

static int64_t compact(copy *one)
{
    epio__db_connection *connection = one->connection;
    char *sql = sqlite3_mprintf("VACUUM main INTO %Q", one->path);
    if (sql == NULL) {
        return EPIO_ENOMEM;
    }
    one->made = true;
    (void)sqlite3_exec(connection->handle, "PRAGMA query_only=0", NULL, NULL, NULL);
    int code = sqlite3_exec(connection->handle, sql, NULL, NULL, NULL);
    int64_t result = epio__db_result(connection, one->op, code);
    (void)sqlite3_exec(connection->handle, "PRAGMA query_only=1", NULL, NULL, NULL);
    sqlite3_free(sql);
    return result == 0 ? sync_target(one) : result;
}

int64_t epio__db_backup(epio__db_connection *connection, epio_op *op)
{
    copy one = {.connection = connection, .op = op};
    one.page_size = page_size_of(connection->handle);
    epio_progress_publish(&one.progress, op, read_progress);
    int64_t result = begin(&one);
    if (result == 0) {
        result = (op->flags & EPIO_DB_COMPACT) != 0 ? compact(&one) : copy_database(&one);
    }
    (void)sqlite3_close_v2(one.target);
    if (result == 0 && epio__db_connection_is_to_end(connection)) {
        result = epio__db_result(connection, op, SQLITE_INTERRUPT);
    }
    if (result == 0) {
        result = finish(&one);
    }
    if (result != 0 && one.made) {
        remove_file(&one);
    }
    sqlite3_free(one.path);
    epio_progress_withdraw(&one.progress);
    return result;
}
