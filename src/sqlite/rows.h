/* Rows of a query, inside: what the program's calls (rows.c) and the connection's thread
 * (rows_work.c) share. */
#ifndef EPIO_SQLITE_ROWS_H
#define EPIO_SQLITE_ROWS_H

#include "sqlite/batch.h"
#include "sqlite/db.h"

/* A program has rows of `given`; it gets the others of that, then those of `ahead`, which are
 * worked out when `given` has none left. So there is one batch ahead at most. */
struct epio_rows {
    epio_node node; /* in its connection's list, while it has a statement */
    epio__database *root;

    /* Guarded by the database's mutex. */
    epio__db_connection *connection; /* NULL: the statement has ended */
    epio_op *next;                   /* a NEXT that waits, in its connection's ops */
    epio__db_batch *given;
    epio__db_batch *ahead;
    bool ahead_due;     /* a batch is to be worked out though nobody waits */
    bool ending;        /* an END has arrived */
    bool working;       /* the connection's thread works a batch out */
    uint32_t wanted;    /* rows, by the last NEXT */
    uint64_t began;     /* when the batch that is worked out was begun */
    uint64_t took;      /* how long the last full one took; 0: not known */
    int64_t error;      /* what calls end with after the rows that there are; 0: none */
    int32_t os_error;   /* of that */
    uint64_t since;     /* when another program's lock was met first; 0: not yet */
    epio_db_error why;  /* what SQLite said of it */
    atomic_uint enough; /* rows that the batch which is worked out is to have */

    char apart[EPIO__DB_CACHE_LINE]; /* see batch.h, as for the next */

    /* The program's: what the last NEXT gave. */
    const epio_value *values;
    uint32_t count;

    /* Set by the connection's thread while a NEXT waits, or before there is one. */
    uint32_t columns;
    char **names; /* of all columns, in one allocation with their bytes */

    char apart_too[EPIO__DB_CACHE_LINE];

    /* The connection's thread's. */
    sqlite3_stmt *statement;
    bool writes;
    bool stepped; /* it has begun */
    bool at_row;  /* and is at a row that is in no batch yet */

    epio__db_batch batches[2];
};

/* ---- rows.c --------------------------------------------------------------- */

/* Takes the NEXT that waits off, if its rows are there or no more come: the op, with *result; else
 * NULL. The mutex is held. */
epio_op *epio__db_rows_answer(epio_rows *rows, int64_t *result);

/* The query has failed: drops the rows that the program does not have. The mutex is held. */
void epio__db_rows_fail(epio_rows *rows, int64_t error);

/* The statement has ended: the connection is free, if it was theirs. The mutex is held. */
void epio__db_rows_detach(epio_rows *rows);

/* Takes the columns' names from the statement: false if there is no memory. */
bool epio__db_rows_set_names(epio_rows *rows);

/* ---- rows_work.c ------------------------------------------------------------ */

/* Ends the statement of one that writes, and so commits: 0 or why that failed. */
int64_t epio__db_rows_reset(epio__db_connection *connection, epio_rows *rows, epio_op *op);

/* The query has failed: what its statement has written goes, too. SQLite does that only where it
 * found the error itself; what one that is at a row has written would be kept by its reset. */
void epio__db_rows_undo(const epio__db_connection *connection, const epio_rows *rows);

/* Works one batch out on the connection's thread, and answers the NEXT that waits: it, with
 * *result; else NULL. Called without the mutex. */
epio_op *epio__db_rows_work_out(epio__db_connection *connection, epio_rows *rows, int64_t *result);

#endif
