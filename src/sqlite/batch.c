/* Rows in memory: a batch grows row by row, and keeps its memory for the next. Who may touch which
 * batch when is rows.c's. */
#include "sqlite/batch.h"

#include <stdlib.h>
#include <string.h>

/* Sizes of chunks that hold many values; a larger value has one of its own. */
#define SMALLEST_CHUNK ((size_t)16 << 10)
#define LARGEST_CHUNK ((size_t)256 << 10)

/* Batches that a chunk may go unused before it is freed; a larger one is freed at once. */
#define KEEP_UNUSED 8

/* An array of values larger than this is given back if most of it was not needed. */
#define LARGE_ARRAY (((size_t)1 << 20) / sizeof(epio_value))

struct epio__db_chunk {
    epio__db_chunk *next;
    size_t size;
    uint32_t unused_for; /* batches */
    char bytes[];
};

/* ---- Texts and blobs ---- */

static epio__db_chunk *take_spare(epio__db_batch *batch, size_t len)
{
    for (epio__db_chunk **at = &batch->spare; *at != NULL; at = &(*at)->next) {
        epio__db_chunk *chunk = *at;
        if (chunk->size >= len && (chunk->size <= LARGEST_CHUNK) == (len <= LARGEST_CHUNK)) {
            *at = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

static epio__db_chunk *make_chunk(epio__db_batch *batch, size_t len)
{
    size_t size = len + len / 8; /* so that the next one, a little larger, finds it */
    if (len <= LARGEST_CHUNK) {
        if (batch->next_chunk < SMALLEST_CHUNK) {
            batch->next_chunk = SMALLEST_CHUNK;
        }
        size = len > batch->next_chunk ? len : batch->next_chunk;
        batch->next_chunk =
            batch->next_chunk < LARGEST_CHUNK ? batch->next_chunk * 2 : LARGEST_CHUNK;
    }
    epio__db_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk != NULL) {
        chunk->size = size;
    }
    return chunk;
}

/* Room for so many bytes where the first chunk has not enough; NULL: no memory. */
static char *take_bytes(epio__db_batch *batch, size_t len)
{
    epio__db_chunk *chunk = take_spare(batch, len);
    if (chunk == NULL) {
        chunk = make_chunk(batch, len);
    }
    if (chunk == NULL) {
        return NULL;
    }
    chunk->unused_for = 0;
    epio__db_chunk *first = batch->filled;
    if (first != NULL && len > LARGEST_CHUNK) { /* the first one still has room */
        chunk->next = first->next;
        first->next = chunk;
    } else {
        chunk->next = first;
        batch->filled = chunk;
        batch->room = chunk->bytes + len;
        batch->room_end = chunk->bytes + chunk->size;
    }
    return chunk->bytes;
}

/* ---- Values ---- */

/* SQLite's types are those of values here, but NULL's. */
_Static_assert(SQLITE_INTEGER == EPIO_VALUE_INTEGER && SQLITE_FLOAT == EPIO_VALUE_REAL &&
                   SQLITE_TEXT == EPIO_VALUE_TEXT && SQLITE_BLOB == EPIO_VALUE_BLOB,
               "types have the same numbers");

/* With a NUL behind the bytes, which blobs need not have. Into memory that is there it may go
 * beyond `limit`, as the row is dropped then; none is taken for that. */
static int add_bytes(epio__db_batch *batch, sqlite3_value *from, epio_value *value, uint64_t limit)
{
    const void *bytes = value->type == EPIO_VALUE_TEXT ? (const void *)sqlite3_value_text(from)
                                                       : sqlite3_value_blob(from);
    size_t len = (size_t)sqlite3_value_bytes(from);
    if (bytes == NULL && (value->type == EPIO_VALUE_TEXT || len != 0)) {
        return EPIO__ROW_NO_MEMORY; /* of SQLite's, to convert or to expand it */
    }
    char *copied = batch->room;
    if (len < (size_t)(batch->room_end - copied)) {
        batch->room = copied + len + 1;
    } else if (batch->bytes + len + 1 > limit) {
        return EPIO__ROW_TOO_LARGE;
    } else if ((copied = take_bytes(batch, len + 1)) == NULL) {
        return EPIO__ROW_NO_MEMORY;
    }
    if (len != 0) {
        memcpy(copied, bytes, len);
    }
    copied[len] = '\0';
    value->len = (uint32_t)len;
    value->is.blob = copied;
    batch->bytes += len + 1;
    return EPIO__ROW_ADDED;
}

static int add_values(epio__db_batch *batch, sqlite3_stmt *statement, uint64_t limit)
{
    epio_value *value = batch->values + batch->used;
    int columns = (int)batch->columns;
    for (int i = 0; i < columns; i++, value++) {
        /* One look-up of the column instead of one for each question. The value has no mutex; nor
         * has the connection, which is on this thread alone. */
        sqlite3_value *from = sqlite3_column_value(statement, i);
        int type = sqlite3_value_type(from);
        value->type = (uint32_t)type;
        value->len = 0;
        if (type == SQLITE_INTEGER) {
            value->is.integer = sqlite3_value_int64(from);
        } else if (type == SQLITE_FLOAT) {
            value->is.real = sqlite3_value_double(from);
        } else if (type == SQLITE_NULL) {
            value->type = EPIO_VALUE_NULL;
            value->is.integer = 0;
        } else {
            int outcome = add_bytes(batch, from, value, limit);
            if (outcome != EPIO__ROW_ADDED) {
                return outcome;
            }
        }
    }
    return batch->bytes <= limit ? EPIO__ROW_ADDED : EPIO__ROW_TOO_LARGE;
}

static bool make_room(epio__db_batch *batch, uint32_t expected)
{
    size_t needed = batch->used + batch->columns;
    size_t capacity = batch->capacity * 2;
    if (capacity == 0) { /* a small one at first: a batch may be allowed to have any number */
        size_t all = (size_t)(expected < 1024 ? expected : 1024) * batch->columns;
        capacity = all < LARGE_ARRAY ? all : LARGE_ARRAY;
    }
    capacity = capacity > needed ? capacity : needed;
    if (capacity > SIZE_MAX / sizeof *batch->values) {
        return false;
    }
    epio_value *values = realloc(batch->values, capacity * sizeof *values);
    if (values == NULL) {
        return false;
    }
    batch->values = values;
    batch->capacity = capacity;
    return true;
}

int epio__db_batch_add(epio__db_batch *batch, sqlite3_stmt *statement, uint64_t limit,
                       uint32_t expected)
{
    uint64_t bytes = batch->bytes;
    const epio__db_chunk *first = batch->filled;
    char *room = batch->room;
    batch->bytes += batch->columns * sizeof(epio_value);
    int outcome = EPIO__ROW_TOO_LARGE;
    if (batch->bytes <= limit) {
        bool has_room = batch->used + batch->columns <= batch->capacity;
        outcome = has_room || make_room(batch, expected) ? add_values(batch, statement, limit)
                                                         : EPIO__ROW_NO_MEMORY;
    }
    if (outcome == EPIO__ROW_ADDED) {
        batch->used += batch->columns;
        batch->count++;
        return outcome;
    }
    batch->bytes = bytes;
    if (batch->filled == first) {
        batch->room = room; /* chunks taken since stay taken, unused */
    }
    return outcome;
}

/* ---- From batch to batch ---- */

static void free_unused(epio__db_batch *batch)
{
    for (epio__db_chunk **at = &batch->spare; *at != NULL;) {
        epio__db_chunk *chunk = *at;
        chunk->unused_for++;
        if (chunk->size > LARGEST_CHUNK || chunk->unused_for > KEEP_UNUSED) {
            *at = chunk->next;
            free(chunk);
        } else {
            at = &chunk->next;
        }
    }
}

void epio__db_batch_reset(epio__db_batch *batch, uint32_t columns)
{
    if (batch->used != 0) { /* an empty batch says nothing of what the next one needs */
        free_unused(batch);
    }
    while (batch->filled != NULL) {
        epio__db_chunk *chunk = batch->filled;
        batch->filled = chunk->next;
        chunk->next = batch->spare;
        batch->spare = chunk;
    }
    batch->room = NULL;
    batch->room_end = NULL;
    if (batch->capacity > LARGE_ARRAY && batch->used < batch->capacity / 8) {
        free(batch->values);
        batch->values = NULL;
        batch->capacity = 0;
    }
    batch->columns = columns;
    batch->used = 0;
    batch->count = 0;
    batch->given = 0;
    batch->bytes = 0;
}

void epio__db_batch_free(epio__db_batch *batch)
{
    free(batch->values);
    epio__db_chunk *lists[] = {batch->filled, batch->spare};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        while (lists[i] != NULL) {
            epio__db_chunk *next = lists[i]->next;
            free(lists[i]);
            lists[i] = next;
        }
    }
}
