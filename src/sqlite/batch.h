/* Rows in memory: what a query has worked out and a program reads. Values are in one array, the
 * bytes of texts and blobs in chunks, both reused from batch to batch. */
#ifndef EPIO_SQLITE_BATCH_H
#define EPIO_SQLITE_BATCH_H

#include <epio/db.h>

#include <sqlite3.h>

typedef struct epio__db_chunk epio__db_chunk;

/* Between what one thread writes row by row and what another reads meanwhile: a line that both use
 * goes back and forth between their processors. */
#define EPIO__DB_CACHE_LINE 64

/* All zero: empty. One thread at a time. */
typedef struct epio__db_batch {
    epio_value *values;
    size_t capacity; /* values that there is room for */
    size_t used;     /* values in use: rows times columns */
    uint32_t columns;
    uint32_t count;         /* rows */
    uint32_t given;         /* of those, that the program has had or has */
    uint32_t permits;       /* of the semaphore of options.ahead */
    uint64_t bytes;         /* of values, texts and blobs */
    epio__db_chunk *filled; /* the first is the one with room */
    char *room;             /* of that, from here */
    char *room_end;         /* to here; NULL and NULL: there is none */
    epio__db_chunk *spare;
    size_t next_chunk; /* size of the next */
    char apart[EPIO__DB_CACHE_LINE];
} epio__db_batch;

enum { EPIO__ROW_ADDED, EPIO__ROW_TOO_LARGE, EPIO__ROW_NO_MEMORY };

/* Copies the row that the statement is at, unless the batch would be larger than `limit` bytes
 * then: EPIO__ROW_TOO_LARGE, and nothing of it is added. `expected` rows there will be, at most. */
int epio__db_batch_add(epio__db_batch *batch, sqlite3_stmt *statement, uint64_t limit,
                       uint32_t expected);

/* Empties it, for rows of so many columns; keeps memory that the next batch may need. */
void epio__db_batch_reset(epio__db_batch *batch, uint32_t columns);

void epio__db_batch_free(epio__db_batch *batch);

#endif
