/* Rows in memory: what a query has worked out and a program reads. Values are in one array, the
 * bytes of texts and blobs in chunks, both reused from batch to batch. */
#ifndef EPIO_SQLITE_BATCH_H
#define EPIO_SQLITE_BATCH_H

#include <epio/db.h>

#include <sqlite3.h>

typedef struct epio__chunk epio__chunk;

/* All zero: empty. One thread at a time. */
typedef struct epio__batch {
    epio_value *values;
    size_t capacity; /* values that there is room for */
    size_t used;     /* values in use: rows times columns */
    uint32_t columns;
    uint32_t count;      /* rows */
    uint32_t given;      /* of those, that the program has had or has */
    uint32_t permits;    /* of the semaphore of options.ahead */
    uint64_t bytes;      /* of values, texts and blobs */
    epio__chunk *filled; /* the first is the one with room */
    epio__chunk *spare;
    size_t next_chunk; /* size of the next */
} epio__batch;

enum { EPIO__ROW_ADDED, EPIO__ROW_TOO_LARGE, EPIO__ROW_NO_MEMORY };

/* Copies the row that the statement is at, unless the batch would be larger than `limit` bytes
 * then: EPIO__ROW_TOO_LARGE, and nothing of it is added. `expected` rows there will be, at most. */
int epio__batch_add(epio__batch *batch, sqlite3_stmt *statement, uint64_t limit, uint32_t expected);

/* Empties it, for rows of so many columns; keeps memory that the next batch may need. */
void epio__batch_reset(epio__batch *batch, uint32_t columns);

void epio__batch_free(epio__batch *batch);

#endif
