/* Databases of SQLite's, asynchronously: statements, rows, transactions, checkpoints, backups and
 * notifications that complete on an epio loop. Part of the library epio-sqlite; needs epio's
 * asynchronous half.
 *
 * A database has one connection that writes and some that read. Each statement runs on a worker
 * thread of the loop, each connection on one thread at a time; nothing of SQLite runs on the loop's
 * own thread. The verbs here are like those of epio/epio.h: they fill an op, which is performed,
 * waited for or submitted, with a timeout, cancelled, linked. What they point at is theirs from
 * submit until completion. */
#ifndef EPIO_DB_H
#define EPIO_DB_H

#include <epio/sqlite.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;

typedef struct epio_db epio_db;     /* a database, or a transaction in it */
typedef struct epio_rows epio_rows; /* the rows of a query, in batches */

/* ---- Values ------------------------------------------------------------ */

#define EPIO_VALUE_NULL 0u /* an all-zero value */
#define EPIO_VALUE_INTEGER 1u
#define EPIO_VALUE_REAL 2u
#define EPIO_VALUE_TEXT 3u /* UTF-8 */
#define EPIO_VALUE_BLOB 4u

typedef struct epio_value {
    uint32_t type;
    uint32_t len; /* bytes of a text, without the NUL that it has in results, or a blob */
    union {
        int64_t integer;
        double real;
        const char *text;
        const void *blob;
    } is;
} epio_value;

/* What a statement's parameters are: values[i] is that of `?` number i + 1, or, with names, of the
 * parameter names[i], its ":", "@" or "$" included. Parameters without a value are NULL. */
typedef struct epio_parameters {
    size_t size; /* sizeof(epio_parameters) */
    const epio_value *values;
    const char *const *names; /* NULL: by number */
    size_t count;
} epio_parameters;

/* ---- Errors ------------------------------------------------------------ */

/* An op that fails with EPIO_ESQL was refused by SQLite: a syntax error, a constraint, a table that
 * is missing; EPIO_ECORRUPT: the file is damaged, or no database; EPIO_EBUSY: another program has
 * locked it, and the op had no time to wait. Other errors are those of files. */

/* SQLite's extended result code of an op of this header that has ended: SQLITE_OK (0) if it
 * succeeded, or failed before SQLite was asked. Valid as op->result is. Any thread. */
EPIO_SQLITE_API int epio_db_error_code(const epio_op *op);

/* What SQLite said of an op that failed. */
typedef struct epio_db_error {
    size_t size;       /* sizeof(epio_db_error), set by the caller */
    int32_t code;      /* as epio_db_error_code */
    int32_t offset;    /* bytes into the SQL at which the error is; -1: none */
    char message[256]; /* what sqlite3_errmsg said, cut if it must be; "" if the op succeeded */
} epio_db_error;

/* Lets the op, prepared by a verb of this header and not yet run, say there what went wrong. The
 * struct is the library's until the op ends. Returns `op`, for a runner. */
EPIO_SQLITE_VERB epio_op *epio_db_report(epio_op *op, epio_db_error *error);

/* ---- Databases --------------------------------------------------------- */

#define EPIO_DB_READ_ONLY 1u  /* writes nothing, but for the log and index that WAL needs */
#define EPIO_DB_MUST_EXIST 2u /* EPIO_ENOENT instead of a new, empty one */
#define EPIO_DB_OVERLAP                                                                            \
    4u /* EPIO_SQLITE_OVERLAP, as over a VFS without a loop, whichever it is: for slow disks; not  \
          with `sqlite_vfs`, which has that flag of its own (EPIO_EINVAL) */

/* Zero is the default of every field. */
typedef struct epio_db_options {
    size_t size; /* sizeof(epio_db_options) */
    uint32_t flags;
    uint32_t readers;           /* connections that read at the same time, at most; 0: 4 */
    uint32_t cached_statements; /* prepared statements kept for each connection; 0: 32 */
    uint32_t group;    /* transactions (epio_db_execute, epio_db_transaction) that may share
                          a commit; 0: each commits alone. See docs/sqlite.md */
    uint64_t group_ns; /* how long the first of a group waits for others at most, as many as there
                          were lately; 0: an eighth of the time that a commit takes */
    const char *journal_mode; /* "wal", "delete", "truncate", "persist", "memory", "off"; NULL:
                                 "wal", where the VFS can have that, else "delete" */
    const char *synchronous;  /* "off", "normal", "full", "extra"; NULL: "full" */
    const char *setup;      /* SQL that each connection runs first, pragmas for example; or NULL */
    const char *sqlite_vfs; /* the name of an SQLite VFS; NULL: epio's, over the epio VFS */
    uint64_t checkpoint_bytes; /* a log of so many bytes is written back; 0: 4 MiB; UINT64_MAX:
                                  only when epio_db_checkpoint asks */
    uint64_t reader_idle_ns;   /* a reader unused for so long is closed; 0: 10 s */
    uint64_t ahead_bytes;  /* of rows that a query works out before they are asked for; 0: 1 MiB */
    epio_semaphore *ahead; /* permits, of 1 KiB each, that rows worked out ahead hold; shared
                              with whom you like; NULL: none are needed */
    int (*configure)(struct sqlite3 *connection, void *user); /* each new connection's first: for
                                  functions, collations, extensions; returns an SQLite code. Any
                                  thread; NULL: none */
    void *user;
} epio_db_options;

/* Makes a database of the file `path` of `vfs`; its ops complete on the loop of that; without a
 * loop they can only be performed. Opens nothing: that is epio_db_open. Path and strings are
 * copied; `vfs`, and the semaphore, must outlive it. NULL options: the defaults. Errors:
 * EPIO_EINVAL (NULL, an empty path, ":memory:" (use epio_memory_vfs_create), unknown flags or
 * modes, options that this version does not know), EPIO_ENOMEM. Any thread. */
EPIO_SQLITE_API int epio_db_create(epio_db **db, epio_vfs *vfs, const char *path,
                                   const epio_db_options *options);

/* Frees it; NULL is ignored. Aborts if it is open, or rows or transactions were not ended. The
 * loop's owner, if it has a loop. */
EPIO_SQLITE_API void epio_db_destroy(epio_db *db);

/* Opens the database: its writer, by which it is made if it is missing: 0. Errors: those of
 * epio_open; EPIO_ECORRUPT, EPIO_EBUSY, EPIO_ESQL (of `setup`), EPIO_EINVAL (it is open). */
EPIO_SQLITE_VERB epio_op *epio_db_open(epio_op *op, epio_db *db);

#define EPIO_DB_CANCEL 1u /* cancel what runs and waits, instead of awaiting it */

/* Closes all connections, after what was submitted before has ended: 0. Rows and transactions that
 * are open end: transactions are rolled back, what a statement with open rows wrote is kept, as by
 * epio_db_end; later ops on them are EPIO_ECANCELED, but those
 * that end them (epio_db_end, epio_db_rollback), which they still need. Cannot be cancelled; after
 * epio_loop_close, which ends every op that comes later, it is performed by epio_perform, as those
 * two are. */
EPIO_SQLITE_VERB epio_op *epio_db_close(epio_op *op, epio_db *db, uint32_t flags);

/* ---- Statements -------------------------------------------------------- */

/* Runs SQL on the connection that writes (in a transaction, on its own): how many rows it changed.
 * Rows that it returns are dropped. Several statements, without parameters, are one transaction. In
 * a transaction, its savepoints apply. BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE are EPIO_EINVAL:
 * transactions are epio_db_begin's. EPIO_ECANCELED and EPIO_ETIMEDOUT leave nothing of it; but
 * inside a transaction SQLite rolls back that transaction, whole, if the statement had begun to
 * write. Errors: EPIO_ESQL, EPIO_EBUSY, EPIO_ECORRUPT, EPIO_ENOSPC, EPIO_EROFS, EPIO_EINVAL (NULL,
 * no statement, more parameters than there are). */
EPIO_SQLITE_VERB epio_op *epio_db_execute(epio_op *op, epio_db *db, const char *sql,
                                          const epio_parameters *parameters);

/* Begins a query: 0, and *rows, which epio_db_end ends. A statement that writes (INSERT ...
 * RETURNING) has the connection that writes until its last row was asked for, or its end. Errors:
 * those of epio_db_execute; EPIO_EINVAL also: more than one statement. */
EPIO_SQLITE_VERB epio_op *epio_db_query(epio_op *op, epio_db *db, epio_rows **rows, const char *sql,
                                        const epio_parameters *parameters);

/* The next rows, `batch` at most: how many, fewer only before the end or an error, 0 after the
 * last. Their values are in the epio_rows until the next epio_db_next or epio_db_end of it. While
 * they are used the next batch is worked out, one ahead and no more, unless the op was performed:
 * that works on demand alone. One at a time: EPIO_EINVAL. Cancelled, or with any other error, the
 * query has ended, and later calls are the same error; of what a statement wrote nothing is left,
 * as with epio_db_execute. A cancelled op ends at once, its statement
 * in a moment: until then it has its connection. */
EPIO_SQLITE_VERB epio_op *epio_db_next(epio_op *op, epio_rows *rows, uint32_t batch);

/* Ends a query, wherever it is, and frees its rows: 0, or, of a statement that writes and was not
 * at its end, why its commit failed: what it wrote is kept, if its first rows were given. An
 * epio_db_next in flight is EPIO_ECANCELED. Cannot be cancelled. */
EPIO_SQLITE_VERB epio_op *epio_db_end(epio_op *op, epio_rows *rows);

/* Of the batch that the last epio_db_next has completed: its rows, the statement's columns, the
 * value, whose text or blob is valid as the batch is. Rows and columns from 0 on; NULL beyond. The
 * thread that has the batch. */
EPIO_SQLITE_API uint32_t epio_rows_count(const epio_rows *rows);
EPIO_SQLITE_API uint32_t epio_rows_columns(const epio_rows *rows);
EPIO_SQLITE_API const char *epio_rows_name(const epio_rows *rows, uint32_t column);
EPIO_SQLITE_API const epio_value *epio_rows_value(const epio_rows *rows, uint32_t row,
                                                  uint32_t column);

/* ---- Transactions ------------------------------------------------------ */

#define EPIO_DB_WRITE 0u    /* BEGIN IMMEDIATE on the connection that writes */
#define EPIO_DB_SNAPSHOT 1u /* reads alone, and sees the database as it was at the begin */

/* Begins a transaction: 0, and *transaction, an epio_db for all verbs that take one, until it is
 * committed or rolled back. In a transaction: a savepoint; the outer one takes no ops until it has
 * ended (EPIO_EBUSY). It waits for the transactions before it, for its timeout at most, and for
 * those of other processes. Errors: EPIO_EBUSY (another process's, without a timeout, after 5 s),
 * EPIO_EROFS, EPIO_EINVAL (unknown mode; WRITE in a SNAPSHOT), ... */
EPIO_SQLITE_VERB epio_op *epio_db_begin(epio_op *op, epio_db *db, epio_db **transaction,
                                        uint32_t mode);

/* Ends it: 0, and what it wrote is durable, as `synchronous` says. Or an error, and nothing of it
 * is; epio_db_rollback is still due. EPIO_EBUSY (another program reads, without WAL),
 * EPIO_ETIMEDOUT and EPIO_ECANCELED leave it as it is: retry, or roll back. A query of it that is
 * not at its end is EPIO_EBUSY. */
EPIO_SQLITE_VERB epio_op *epio_db_commit(epio_op *op, epio_db *transaction);

/* Ends it, and undoes what it wrote: 0. Ends its queries, and its savepoints, whose rollbacks are
 * still due. Cannot be cancelled, nor fail; but a handle that was committed or rolled back already
 * is gone: EPIO_EINVAL, as long as the library remembers it. */
EPIO_SQLITE_VERB epio_op *epio_db_rollback(epio_op *op, epio_db *transaction);

/* The function of an epio_db_transaction: on a worker thread, with the transaction, on which it
 * performs verbs by epio_perform, and nothing else, but commit and rollback (EPIO_EINVAL); `user`
 * is the op's. It returns 0 or more, or an error, after which all is rolled back; so it is, with
 * EPIO_ECANCELED, if SQLite undid the transaction or the op was cancelled, and with EPIO_EBUSY if a
 * savepoint is left open. Queries that are left end; their epio_db_end, and the rollback of a
 * savepoint, are still due, and may be performed after the function. What SQLite said of an op in
 * it is in that op's report, not in the transaction's. */
typedef int64_t epio_db_function(epio_db *transaction, void *user);

/* Runs a function between BEGIN and COMMIT: what it returned, once that is durable. Cancelled, the
 * statement that runs, and each that follows, is EPIO_ECANCELED, and the function should return
 * that. With `group` it may be called again, if another transaction of the group had to be undone
 * by SQLite: its effects outside of the database are its own. */
EPIO_SQLITE_VERB epio_op *epio_db_transaction(epio_op *op, epio_db *db, epio_db_function *function,
                                              uint32_t mode);

/* ---- The log ----------------------------------------------------------- */

#define EPIO_DB_PASSIVE 0u  /* as far as readers let it */
#define EPIO_DB_RESTART 1u  /* waits for readers, so that the log begins anew */
#define EPIO_DB_TRUNCATE 2u /* the same, and its file is made empty */

/* Writes the write-ahead log back, on a connection of its own: the frames that are left in it, as a
 * reader still needs them. 0 also without WAL. A commit never does that: the database does by
 * itself when the log is as long as `checkpoint_bytes`, or it is idle. Errors: EPIO_EBUSY (RESTART,
 * TRUNCATE: readers did not end in time), EPIO_EIO, ... */
EPIO_SQLITE_VERB epio_op *epio_db_checkpoint(epio_op *op, epio_db *db, uint32_t mode);

/* ---- Copies ------------------------------------------------------------ */

#define EPIO_DB_COMPACT 1u /* by VACUUM INTO: without free pages */

/* Copies the database as it is now to the file `path` of the same VFS, while others read and write:
 * 0. The file must not exist (EPIO_EEXIST); if the op fails there is none. epio_progress says how
 * far it is, but not of COMPACT. */
EPIO_SQLITE_VERB epio_op *epio_db_backup(epio_op *op, epio_db *db, const char *path,
                                         uint32_t flags);

/* ---- Blobs ------------------------------------------------------------- */

/* Opens a blob as a file: 0, and op->file, for epio_read, epio_write, epio_size, epio_close; others
 * are EPIO_ENOTSUP. Its length does not change (EPIO_EFBIG beyond). EPIO_OPEN_READ, or with
 * EPIO_OPEN_WRITE: then it has the connection that writes, and what was written is durable, or
 * undone, when the close completes; in a transaction, with that. If the row is changed by others
 * its ops are EPIO_ESQL (SQLITE_ABORT). `table` may be "schema.table". */
EPIO_SQLITE_VERB epio_op *epio_db_open_blob(epio_op *op, epio_db *db, const char *table,
                                            const char *column, int64_t row_id, uint32_t flags);

/* ---- Changes ----------------------------------------------------------- */

#define EPIO_CHANGE_INSERT 1u
#define EPIO_CHANGE_UPDATE 2u
#define EPIO_CHANGE_DELETE 3u
#define EPIO_CHANGE_MANY 4u /* more than are kept: look at everything */

typedef struct epio_change {
    uint32_t kind;
    uint32_t reserved;
    const char *table; /* valid until the database is destroyed; NULL of MANY */
    int64_t row_id;
} epio_change;

/* Waits for a commit of this database (not another program's) that changes rows, and gives what it
 * changed, in its order, `count` at most: how many. The next call goes on from there: nothing is
 * missed from the first call on, but what MANY stands for (more than 65,536 kept). Tables WITHOUT
 * ROWID, and truncating DELETEs, are not noticed: sqlite3_update_hook. */
EPIO_SQLITE_VERB epio_op *epio_db_changes(epio_op *op, epio_db *db, epio_change *changes,
                                          size_t count);

/* ---- Statistics -------------------------------------------------------- */

typedef struct epio_db_stats {
    size_t size; /* sizeof(epio_db_stats) */

    uint64_t statements;   /* run, those of functions included */
    uint64_t rows;         /* given */
    uint64_t commits;      /* of SQLite's: each is durable on its own */
    uint64_t transactions; /* that these completed: more, with groups */
    uint64_t interrupted;  /* statements, by a cancel or a deadline */
    uint64_t busy;         /* times it was locked, by other programs or by its own connections */
    uint64_t failed;       /* ops that SQLite refused, or that found a damaged file */
    uint64_t cache_hits;   /* statements that were prepared already, BEGIN and the like included */
    uint64_t checkpoints;  /* that wrote something back */
    uint64_t checkpoints_failed; /* of those that nobody has asked for: tried again later */
    uint64_t log_frames;   /* in the write-ahead log, written back or not, as of the last commit or
                              checkpoint of this database */
    uint64_t log_held;     /* of those, that the last checkpoint left, as a reader held them */
    uint64_t log_held_ns;  /* how long a reader has held the log back; 0: none does */
    uint64_t opened;       /* connections, in all */
    uint32_t readers_now;  /* connections that are open to read */
    uint32_t readers_busy; /* of those, with a query or a transaction */
    uint64_t waiting_now;  /* ops that wait for a connection */
} epio_db_stats;

/* Fills all but `size`: 0; EPIO_EINVAL: NULL, a size below that of the first version. Any
 * thread. */
EPIO_SQLITE_API int epio_db_get_stats(const epio_db *db, epio_db_stats *statistics);

#ifdef __cplusplus
}
#endif

#endif
