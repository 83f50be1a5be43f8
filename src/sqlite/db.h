/* A database, inside: its connections, which are on one thread at a time, and the ops that wait for
 * them. Who owns what: db.c making, freeing, and what epio asks of the database as a VFS;
 * db_verbs.c the verbs; db_queue.c which op has which connection when; db_dispatch.c
 * threads for that;
 * db_park.c those that wait for another program's lock; db_cancel.c ending them early;
 * connection.c SQLite's handle, interrupting it, its statements; statement.c running SQL; rows.c,
 * rows_work.c, batch.c queries; transaction.c transactions and savepoints; group.c those that share
 * a commit; checkpoint.c the log; backup.c copies; blob.c blobs as files; changes.c notifications.
 */
#ifndef EPIO_SQLITE_DB_H
#define EPIO_SQLITE_DB_H

#include <epio/db.h>
#include <epio/list.h>
#include <epio/vfs.h>

#include <sqlite3.h>
#include <stdatomic.h>

typedef struct epio__db_connection epio__db_connection;
typedef struct epio__db_waiter epio__db_waiter;
typedef struct epio__database epio__database;
typedef struct epio__db_statement epio__db_statement;

/* Kinds of the ops, and what is in arguments.words. The first is always the epio_db, or the
 * epio_rows of NEXT and END; the last two are ERROR_CODE and REPORT. */
enum {
    EPIO__DB_OPEN = EPIO_KIND_USER,
    EPIO__DB_CLOSE,       /* op->flags */
    EPIO__DB_EXECUTE,     /* sql, parameters */
    EPIO__DB_QUERY,       /* sql, parameters, epio_rows ** */
    EPIO__DB_NEXT,        /* batch */
    EPIO__DB_END,         /* nothing */
    EPIO__DB_BEGIN,       /* epio_db **, mode */
    EPIO__DB_COMMIT,      /* nothing */
    EPIO__DB_ROLLBACK,    /* nothing */
    EPIO__DB_TRANSACTION, /* function, mode */
    EPIO__DB_CHECKPOINT,  /* mode */
    EPIO__DB_BACKUP,      /* path; op->flags; DONE, TOTAL: pages, atomic */
    EPIO__DB_CHANGES,     /* epio_change *, count */
    EPIO__DB_KINDS,
    EPIO__DB_OPEN_BLOB = EPIO_KIND_USER_OPENS /* table, column, row id, flags; sets op->file */
};

/* False: of a blob's file, or of nobody's. */
static inline bool epio__db_is_verb(const epio_op *op)
{
    return (op->kind >= EPIO__DB_OPEN && op->kind < EPIO__DB_KINDS) ||
           op->kind == EPIO__DB_OPEN_BLOB;
}

enum {
    EPIO__WORD_OBJECT = 0,
    EPIO__WORD_FIRST = 1,   /* and so on */
    EPIO__WORD_OUTCOME = 3, /* in a group: the result, if the commit succeeds */
    EPIO__WORD_STATE = 4,   /* EPIO__OP_...; guarded by the mutex */
    EPIO__WORD_SINCE = 5,   /* when it first found another program's lock; 0: never */
    EPIO__WORD_CODE = 6,    /* SQLite's extended code */
    EPIO__WORD_REPORT = 7   /* epio_db_error *, or 0 */
};

#define EPIO__OP_LISTED 1u    /* it is in a list of the database's */
#define EPIO__OP_WRITES 2u    /* a QUERY that needs the writer */
#define EPIO__OP_PARKED 4u    /* it waits for another program's lock: db_park.c */
#define EPIO__OP_CANCELLED 8u /* it was when it was in no list */

static inline void *epio__db_word_pointer(const epio_op *op, int word)
{
    return (void *)(uintptr_t)op->arguments.words[word];
}

/* ---- What a database is ------------------------------------------------- */

/* A database, as programs see it, or a transaction or savepoint in it. */
struct epio_db {
    epio__database *root;
    epio_db *outer;                  /* what it was begun in; NULL: it is the database */
    epio_db *inner;                  /* the savepoint that is open in it; its connection's thread */
    epio__db_connection *connection; /* a transaction's, until it has ended */
    uint32_t mode;                   /* EPIO_DB_WRITE, _SNAPSHOT */
    uint32_t depth;                  /* of a savepoint: its name is made of this */
    uint32_t active;                 /* statements of the connection at a row, as it was begun */
    size_t changes;                  /* epio__db_changes_mark of a savepoint that writes */
    bool of_function;                /* it ends as its function returns */
    bool ended;                      /* and is kept for a while, so that late uses are found */
};

/* Transactions that have ended and are kept. */
#define EPIO__ENDED_HANDLES 16

/* One of the three parts that a connection plays. */
enum { EPIO__DB_WRITER, EPIO__DB_READER, EPIO__DB_CHECKPOINTER };

struct epio__db_connection {
    epio_node node; /* in the database's list */
    epio__database *root;
    uint32_t role;

    /* Guarded by the database's mutex. */
    bool running;         /* a thread has it */
    bool run_pending;     /* `run` is in flight */
    int64_t refuse_with;  /* what its ops end with, as it has no thread; 0: they are carried out */
    void *holder;         /* the transaction or rows that have it; NULL: any op of its role may */
    epio_db *transaction; /* the outermost that is open on it; NULL: none */
    epio_node ops;        /* ops of its holder that wait, in their order */
    epio_node rows;       /* its epio_rows, by their node */
    epio_node blobs;      /* blob.c's: those that are open on it */
    epio_op *current;     /* the op that is carried out, if that may be cancelled */
    epio_rows *working;   /* those whose batch is worked out */
    uint64_t idle_since;
    bool expired; /* a reader that is to be closed, as it was not used for long */

    /* The thread's that has it. */
    sqlite3 *handle;         /* NULL: not open yet */
    atomic_bool interrupted; /* any thread: what runs is to end */
    bool in_function;        /* the function of a transaction runs: ops are performed at once */
    uint64_t deadline;       /* of what runs by epio_perform; 0: none */
    uint64_t may_wait_until; /* for other programs' locks, on this thread; 0: not here */
    uint32_t active;         /* statements that are at a row: SQLite's interrupt would hit them */
    epio__db_statement *statements;
    uint64_t statement_uses;
    uint64_t ran;        /* statements, and how many of them were prepared already: not in the */
    uint64_t cache_hits; /* statistics yet */
    epio_op run;         /* of epio_work: this connection's turn on a worker */
};

/* What is known of the write-ahead log: checkpoint.c's. Guarded by the database's mutex. */
typedef struct epio__db_log {
    uint64_t page_len;
    uint64_t frames;       /* in the log, at the last commit or checkpoint */
    uint64_t written_back; /* of those; 0 also: not known */
    uint64_t commits;      /* to the log, since it was opened */
    uint64_t committed;    /* when the last one was */
    uint64_t not_before;   /* when the next checkpoint may be that nobody has asked for */
    uint64_t pause;        /* before that: doubled by each that did not get to the end */
    uint64_t held_since;   /* when a reader was first found at held_at; 0: none holds the log */
    uint64_t held_at;
    bool hurry; /* a reader has left that may have held it */
} epio__db_log;

struct epio__database {
    epio_db handle; /* what programs have */
    epio_vfs vfs;   /* whose ops the verbs are */
    epio_vfs *inner;
    epio_vfs *workers; /* the loop's own VFS, for work; NULL: no loop */
    char *path;
    epio_db_options options; /* strings copied, defaults filled in */
    char sqlite_vfs[40];     /* the name of the registration over `inner`; "": options.sqlite_vfs */

    sqlite3_mutex *mutex; /* of all that follows, and of the connections' fields named above */
    uint32_t state;
    bool destroyed;  /* it is freed once no turn is in flight */
    epio_op *closed; /* a close, or a failed open, that has ended but for turns in flight */
    int64_t closed_result;
    bool opened;           /* the writer has opened the file */
    epio_node connections; /* epio__db_connection */
    epio__db_connection *writer;
    epio__db_connection *checkpointer;
    epio_node waiters; /* threads that perform ops */
    epio_node writes;  /* ops that wait for the writer */
    epio_node reads;   /* for any reader */
    epio_node checkpoints;
    epio_node parked;  /* db_park.c's */
    epio_node changes; /* EPIO__DB_CHANGES that wait */
    size_t objects;    /* rows and transactions that were not ended, blobs that are open */
    epio_db *ended[EPIO__ENDED_HANDLES]; /* the oldest is at ended_next */
    uint32_t ended_next;
    epio_semaphore *group_waits; /* of a group that waits for others; NULL: none does */
    size_t group_expected;       /* ops that the next group may wait for */
    uint64_t commit_took;        /* the last group's; the writer's thread */
    uint32_t careful_groups;     /* to come, each with savepoints; the writer's thread */
    epio_db_stats stats;

    epio__db_log log;
    void *changes_kept; /* changes.c's */

    /* db_pool.c's: a sleep that does not keep the loop going. */
    epio_op timer;
    uint64_t timer_due;
    bool timer_pending;
    bool timer_moved; /* it was cancelled to be set anew */
    bool timer_off;   /* the loop is being closed */
    bool loop_runs;   /* something was submitted: programs that only perform need not run it */
};

enum { EPIO__DB_NEW, EPIO__DB_IS_OPEN, EPIO__DB_CLOSING };

static inline void epio__db_lock(epio__database *root)
{
    sqlite3_mutex_enter(root->mutex);
}

static inline void epio__db_unlock(epio__database *root)
{
    sqlite3_mutex_leave(root->mutex);
}

/* How long another program's lock is waited for, in nanoseconds, where no deadline says. */
#define EPIO__DB_BUSY_LIMIT UINT64_C(5000000000)

/* ---- Results that no program sees ---------------------------------------- */

/* And EPIO_RETRY, with op->due: another program has the lock. What is in flight is parked until
 * then, what is performed the core performs again. */
#define EPIO__DB_TO_WRITER (-2002) /* a reader found that the statement writes */

/* ---- db.c ------------------------------------------------------------------- */

/* What an op was given: 0, or EPIO_EINVAL. Empties its report. */
int64_t epio__db_check(epio_op *op);

/* After epio_db_destroy. */
void epio__db_free_root(epio__database *root);

/* ---- db_queue.c ----------------------------------------------------------- */

/* Accepts an op: puts it where it waits, and starts connections. The owner's thread. */
void epio__db_submit(epio_vfs *vfs, epio_op *op);

/* Carries an op out on this thread, once it has its connection; or waits until another has. */
int64_t epio__db_perform(epio_vfs *vfs, epio_op *op);

/* Into a list where it waits, and out of it. The mutex is held. */
void epio__db_op_put(epio_node *list, epio_op *op);
void epio__db_op_take(epio_op *op);

/* The op that a cancel would find the connection at; NULL: none. Called without the mutex. */
void epio__db_connection_set_current(epio__db_connection *connection, epio_op *op);

/* The same with the mutex held. Adds what the connection has counted to the statistics. */
void epio__db_connection_change_current(epio__db_connection *connection, epio_op *op);

/* Sleeps until `*woken` is released and NULL again, or the clock has reached `until`, if that is
 * not 0. The mutex is held on entry and return. */
void epio__db_sleep(epio__database *root, epio_semaphore **woken, uint64_t until);

/* Ends such a sleep, if there is one. The mutex is held. */
void epio__db_wake(epio_semaphore **woken);

/* Ends an op: completes it, or wakes the thread that performs it. The mutex is not held, or is. */
void epio__db_finish(epio_op *op, int64_t result);
void epio__db_finish_locked(epio__database *root, epio_op *op, int64_t result);

/* ---- db_dispatch.c -------------------------------------------------------- */

/* Starts what can be started, after something has changed. The mutex is not held, or is. */
void epio__db_dispatch(epio__database *root);
void epio__db_dispatch_locked(epio__database *root);

/* True if a turn on a worker, or the timer, was not delivered yet. The mutex is held. */
bool epio__db_has_turns_pending(const epio__database *root);

/* ---- db_cancel.c ---------------------------------------------------------- */

/* Asks what runs on the connection to end. The mutex is held. */
void epio__db_interrupt(epio__db_connection *connection);

/* The method cancel. */
void epio__db_cancel(epio_vfs *vfs, epio_op *op);

/* The op, which is not in flight, has met its deadline: takes it out of where it waits, true; or
 * asks what runs to end. The mutex is held. */
bool epio__db_expire(epio__database *root, epio_op *op);

/* ---- What an op does, on its connection's thread --------------------------- */

typedef int64_t epio__db_carrier(epio__db_connection *connection, epio_op *op);

/* Each returns the result, or one of those above. The connection is open. */
int64_t epio__db_open(epio__db_connection *connection, epio_op *op);
int64_t epio__db_close(epio__db_connection *connection, epio_op *op);
int64_t epio__db_execute(epio__db_connection *connection, epio_op *op);
int64_t epio__db_query(epio__db_connection *connection, epio_op *op);
int64_t epio__db_end(epio__db_connection *connection, epio_op *op);
int64_t epio__db_begin(epio__db_connection *connection, epio_op *op);
int64_t epio__db_commit(epio__db_connection *connection, epio_op *op);
int64_t epio__db_rollback(epio__db_connection *connection, epio_op *op);
int64_t epio__db_transaction(epio__db_connection *connection, epio_op *op);
int64_t epio__db_checkpoint(epio__db_connection *connection, epio_op *op);
int64_t epio__db_backup(epio__db_connection *connection, epio_op *op);
int64_t epio__db_open_blob(epio__db_connection *connection, epio_op *op);

/* ---- db_pool.c ----------------------------------------------------------------- */

/* True if no thread, transaction or rows have the connection. The mutex is held, as in all but the
 * last of these. */
bool epio__db_connection_is_free(const epio__db_connection *connection);

/* A reader that is free; NULL: there are as many as there may be, or there is no memory. */
epio__db_connection *epio__db_pool_reader(epio__database *root);

/* Makes the connections that the waiting ops need. */
void epio__db_pool_fill(epio__database *root);
void epio__db_pool_make_checkpointer(epio__database *root);

/* Sets the timer for what is due next: readers to be closed, a log to be written back. */
void epio__db_pool_set_timer(epio__database *root);

/* The database is closed: the timer ends soon. */
void epio__db_pool_stop_timer(epio__database *root);

/* Closes a reader that has expired. Its thread, without the mutex. */
void epio__db_pool_close_reader(epio__db_connection *connection);

/* ---- connection.c ----------------------------------------------------------- */

/* A connection of that role, not open; NULL: no memory. The mutex is held. */
epio__db_connection *epio__db_connection_make(epio__database *root, uint32_t role);

/* Opens its handle if it is not open: an SQLite code. Its thread. */
int epio__db_connection_open(epio__db_connection *connection, epio_op *op);

/* What SQLite calls of the library's. PRAGMA busy_timeout and wal_autocheckpoint put SQLite's own
 * in their place, which nobody can cancel, or which would make commits slow: so again after each
 * PRAGMA. Its thread. */
void epio__db_connection_set_hooks(epio__db_connection *connection);

/* True if what runs on it is to end: it was cancelled, or its deadline has passed. Its thread. */
bool epio__db_connection_is_to_end(const epio__db_connection *connection);

/* Closes the handle, statements included. Its thread, or nobody's. */
void epio__db_connection_close(epio__db_connection *connection);

/* Before and after each op: what ends it early, and that no interrupt outlives it. */
void epio__db_connection_begin(epio__db_connection *connection, const epio_op *op);
void epio__db_connection_end(epio__db_connection *connection);

/* A prepared statement of the first one in `sql`, from the cache if it is there, with `*tail`
 * behind it: an SQLite code. `*statement` is NULL if there is none, only space. It is given back by
 * epio__db_statement_return, which resets it. Statements of which others may follow are not kept.
 */
int epio__db_statement_take(epio__db_connection *connection, const char *sql,
                            sqlite3_stmt **statement, const char **tail);
void epio__db_statement_return(epio__db_connection *connection, sqlite3_stmt *statement);

void epio__db_statements_free(epio__db_connection *connection);

/* ---- statement.c ------------------------------------------------------------- */

/* The op's result for an SQLite code, after noting in the op what SQLite says; 0 for SQLITE_OK. */
int64_t epio__db_result(epio__db_connection *connection, epio_op *op, int code);

/* The same, but notes nothing, as the op is none of epio/db.h, or `handle` is not the connection's:
 * sets op->os_error. Not for another program's lock. */
int64_t epio__db_translate(epio__db_connection *connection, sqlite3 *handle, epio_op *op, int code);

/* The same for what was refused before SQLite was asked: EPIO_EINVAL and the reason. */
int64_t epio__db_refuse(epio_op *op, const char *reason);

/* Binds parameters, copied if `copy`: 0, or the op's result. */
int64_t epio__db_bind(epio__db_connection *connection, epio_op *op, sqlite3_stmt *statement,
                      const epio_parameters *parameters, bool copy);

/* True if there is no statement, but perhaps space and comments. */
bool epio__db_sql_is_blank(const char *sql);

/* Where a statement ends takes SQLite's own parser, as a trigger's body has semicolons, too: false
 * if there may be a second one. */
bool epio__db_sql_is_one(const char *sql);

/* True for statements that begin or end transactions: those are refused. */
bool epio__db_sql_is_transaction(const char *sql);

bool epio__db_sql_is_pragma(const char *sql);

/* True for statements that may be undone by a savepoint and share a commit: INSERT and the like. */
bool epio__db_sql_can_share(const char *sql);

/* What an EXECUTE op says, whatever transaction there is: how many rows it changed. */
int64_t epio__db_statements(epio__db_connection *connection, epio_op *op);

/* The SQL alone, no parameters, rows dropped: an SQLite code. */
int epio__db_run(epio__db_connection *connection, const char *sql);

/* ---- rows.c --------------------------------------------------------------------- */

/* A NEXT was submitted or is performed: true if it has ended at once, with *result; else it is in
 * its connection's ops. The mutex is held. */
bool epio__db_rows_next(epio_op *op, int64_t *result);

/* True if rows of this connection have a batch to be worked out, or a statement to be ended. The
 * mutex is held. */
bool epio__db_rows_want(const epio__db_connection *connection);

/* Works one batch out, and finishes the NEXT that waits for it. The connection's thread, without
 * the mutex. */
void epio__db_rows_work(epio__db_connection *connection);

/* A NEXT in the function of a transaction: its batch is worked out here and now. */
int64_t epio__db_rows_perform(epio__db_connection *connection, epio_op *op);

/* A NEXT that waits is cancelled: the query has ended, though its statement may take a moment; the
 * op is the caller's to finish. The mutex is held. */
void epio__db_rows_cancel(epio_op *op);

/* An END has arrived: the NEXT that it cancels, for the caller to finish; NULL: none. The mutex is
 * held. */
epio_op *epio__db_rows_end_arrived(epio_rows *rows);

/* An op waits for the connection: a batch that nobody waits for ends with the rows that it has. The
 * mutex is held. */
void epio__db_rows_yield(epio__db_connection *connection);

/* The connection that has the statement of the rows; NULL: none any more. */
epio__db_connection *epio__db_rows_connection(const epio_rows *rows);
epio__database *epio__db_rows_root(const epio_rows *rows);

/* Ends the statements of all rows of the connection, as its transaction has ended, or the database
 * is closed; their next calls are `error`. The connection's thread, without the mutex. */
void epio__db_rows_end_all(epio__db_connection *connection, int64_t error);

/* Frees rows that have no connection any more. */
void epio__db_rows_free(epio_rows *rows);

/* ---- transaction.c, group.c ------------------------------------------------------- */

/* The function between BEGIN IMMEDIATE and COMMIT, rolled back if it fails: what it returned. */
int64_t epio__db_in_transaction(epio__db_connection *connection, epio_op *op,
                                epio__db_carrier *function);

/* The function of a TRANSACTION, whatever transaction there is: what it returned, or why that
 * transaction is to be rolled back. */
int64_t epio__db_transaction_call(epio__db_connection *connection, epio_op *op);

/* 0, or why no op of this kind may use the transaction that it names, if it names one. The
 * connection's thread. */
int64_t epio__db_transaction_check(const epio__db_connection *connection, epio_op *op);

/* ROLLBACK, if SQLite has not done that itself. */
void epio__db_transaction_undo(epio__db_connection *connection);

/* Frees what epio_db_begin made, and counts it out of its root and its outer one. The mutex is
 * held. */
void epio__db_handle_free(epio_db *db);

/* The connection's transaction is undone, and its rows end: before the database is closed. */
void epio__db_transaction_abandon(epio__db_connection *connection);

/* Carries `first`, which may share a commit, out together with those of root->writes that may, too:
 * finishes all of them, `first` included. The writer's thread, without the mutex. */
void epio__db_group_run(epio__db_connection *connection, epio_op *first);

/* True if the op may be in a group. The mutex is held. */
bool epio__db_group_takes(const epio__database *root, const epio_op *op);

/* ---- checkpoint.c ------------------------------------------------------------------ */

/* The database was opened by this connection: an SQLite code. Its thread. */
int epio__db_checkpoint_begin(epio__db_connection *connection);

/* Called by SQLite after each commit to the log: asks for a checkpoint if it is long. */
int epio__db_checkpoint_hook(void *connection, sqlite3 *handle, const char *schema, int frames);

/* True if the log is to be written back now, without an op. The mutex is held, as in the next
 * three. */
bool epio__db_checkpoint_wanted(const epio__database *root);

/* True if a thread that has performed an op should do that, as no worker does. */
bool epio__db_checkpoint_overdue(const epio__database *root);

/* When it is wanted, if nothing happens before; EPIO_FOREVER: it will not be. */
uint64_t epio__db_checkpoint_due(const epio__database *root);

/* A reader has ended what it had. */
void epio__db_checkpoint_reader_left(epio__database *root);

/* Writes the log back. The checkpointer's thread, without the mutex. */
void epio__db_checkpoint_work(epio__db_connection *connection);

/* ---- blob.c: an epio_file of the database's VFS --------------------------------------- */

/* The kinds of epio's that a blob's file takes: READ, READV, WRITE, WRITEV, SIZE, CLOSE. */
int64_t epio__db_blob_carry_out(epio__db_connection *connection, epio_op *op);

/* NULL: its transaction or the database has ended. Any thread. */
epio__db_connection *epio__db_blob_connection(const epio_file *file);

/* An op of a blob that has no connection any more: its result. The mutex is held. */
int64_t epio__db_blob_refuse(epio__database *root, epio_op *op);

/* Ends all blobs of the connection, before its transaction ends or the database is closed: what
 * those that are no transaction's have written is undone, and later ops of all are EPIO_ECANCELED.
 * The connection's thread, without the mutex. */
void epio__db_blobs_end_all(epio__db_connection *connection);

/* ---- changes.c --------------------------------------------------------------------------- */

/* Sets the hooks of a connection that writes: false if there is no memory. */
bool epio__db_changes_watch(epio__db_connection *connection);

/* A CHANGES op: true if it was finished at once, else it waits in root->changes. The mutex is
 * held. */
bool epio__db_changes_take(epio__database *root, epio_op *op, int64_t *result);

/* What SQLite has no hook for. The writer's thread. */
void epio__db_changes_note(epio__db_connection *connection, uint32_t kind, const char *schema,
                           const char *table, int64_t row_id);

/* After each op of the writer: if that has committed, counts that, and gives what was changed to
 * those that wait. Nothing in a transaction, nor after a rollback. The writer's thread, without the
 * mutex. */
void epio__db_changes_publish(epio__db_connection *connection);

/* SQLite does not say that a savepoint was rolled back: the changes since the mark are dropped.
 * Nothing for connections that do not write. The connection's thread. */
size_t epio__db_changes_mark(const epio__db_connection *connection);
void epio__db_changes_rewind(epio__db_connection *connection, size_t mark);

void epio__db_changes_free(epio__database *root);

#endif
