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

struct epio__chunk {
    epio__chunk *next;
    size_t size;
    size_t used;
    uint32_t unused_for; /* batches */
    char bytes[];
};

/* ---- Texts and blobs ---- */

static epio__chunk *take_spare(epio__batch *batch, size_t len)
{
    for (epio__chunk **at = &batch->spare; *at != NULL; at = &(*at)->next) {
        epio__chunk *chunk = *at;
        if (chunk->size >= len && (chunk->size <= LARGEST_CHUNK) == (len <= LARGEST_CHUNK)) {
            *at = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

static epio__chunk *make_chunk(epio__batch *batch, size_t len)
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
    epio__chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk != NULL) {
        chunk->size = size;
    }
    return chunk;
}

/* Room for so many bytes; NULL: no memory. */
static char *take_bytes(epio__batch *batch, size_t len)
{
    epio__chunk *first = batch->filled;
    if (first != NULL && first->size - first->used >= len) {
        char *bytes = first->bytes + first->used;
        first->used += len;
        return bytes;
    }
    epio__chunk *chunk = take_spare(batch, len);
    if (chunk == NULL) {
        chunk = make_chunk(batch, len);
    }
    if (chunk == NULL) {
        return NULL;
    }
    chunk->used = len;
    chunk->unused_for = 0;
    if (first != NULL && len > LARGEST_CHUNK) { /* the first one still has room */
        chunk->next = first->next;
        first->next = chunk;
    } else {
        chunk->next = first;
        batch->filled = chunk;
    }
    return chunk->bytes;
}

/* The bytes with a NUL behind them, which blobs need not have: false if there is no memory. */
static bool copy_bytes(epio__batch *batch, epio_value *value, const void *bytes, size_t len)
{
    char *copied = take_bytes(batch, len + 1);
    if (copied == NULL) {
        return false;
    }
    if (len != 0) {
        memcpy(copied, bytes, len);
    }
    copied[len] = '\0';
    value->len = (uint32_t)len;
    value->is.blob = copied;
    batch->bytes += len + 1;
    return true;
}

/* ---- Values ---- */

static int add_bytes(epio__batch *batch, sqlite3_stmt *statement, int column, epio_value *value,
                     uint64_t limit)
{
    const void *bytes = value->type == EPIO_VALUE_TEXT
                            ? (const void *)sqlite3_column_text(statement, column)
                            : sqlite3_column_blob(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    if (bytes == NULL && (value->type == EPIO_VALUE_TEXT || len != 0)) {
        return EPIO__ROW_NO_MEMORY; /* of SQLite's, to convert or to expand it */
    }
    if (batch->bytes + len + 1 > limit) {
        return EPIO__ROW_TOO_LARGE;
    }
    return copy_bytes(batch, value, bytes, len) ? EPIO__ROW_ADDED : EPIO__ROW_NO_MEMORY;
}

static int add_value(epio__batch *batch, sqlite3_stmt *statement, int column, epio_value *value,
                     uint64_t limit)
{
    value->len = 0;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value->type = EPIO_VALUE_INTEGER;
        value->is.integer = sqlite3_column_int64(statement, column);
        return EPIO__ROW_ADDED;
    case SQLITE_FLOAT:
        value->type = EPIO_VALUE_REAL;
        value->is.real = sqlite3_column_double(statement, column);
        return EPIO__ROW_ADDED;
    case SQLITE_TEXT:
        value->type = EPIO_VALUE_TEXT;
        return add_bytes(batch, statement, column, value, limit);
    case SQLITE_BLOB:
        value->type = EPIO_VALUE_BLOB;
        return add_bytes(batch, statement, column, value, limit);
    default:
        value->type = EPIO_VALUE_NULL;
        value->is.integer = 0;
        return EPIO__ROW_ADDED;
    }
}

static bool make_room(epio__batch *batch, uint32_t expected)
{
    size_t needed = batch->used + batch->columns;
    if (needed <= batch->capacity) {
        return true;
    }
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

int epio__batch_add(epio__batch *batch, sqlite3_stmt *statement, uint64_t limit, uint32_t expected)
{
    uint64_t bytes = batch->bytes;
    epio__chunk *first = batch->filled;
    size_t room = first != NULL ? first->used : 0;
    if (bytes + batch->columns * sizeof(epio_value) > limit) {
        return EPIO__ROW_TOO_LARGE;
    }
    if (!make_room(batch, expected)) {
        return EPIO__ROW_NO_MEMORY;
    }
    batch->bytes += batch->columns * sizeof(epio_value);
    epio_value *values = batch->values + batch->used;
    for (uint32_t i = 0; i < batch->columns; i++) {
        int outcome = add_value(batch, statement, (int)i, &values[i], limit);
        if (outcome != EPIO__ROW_ADDED) {
            batch->bytes = bytes;
            if (first != NULL && batch->filled == first) {
                first->used = room; /* chunks taken since stay taken, unused */
            }
            return outcome;
        }
    }
    batch->used += batch->columns;
    batch->count++;
    return EPIO__ROW_ADDED;
}

/* ---- From batch to batch ---- */

static void free_unused(epio__batch *batch)
{
    for (epio__chunk **at = &batch->spare; *at != NULL;) {
        epio__chunk *chunk = *at;
        chunk->unused_for++;
        if (chunk->size > LARGEST_CHUNK || chunk->unused_for > KEEP_UNUSED) {
            *at = chunk->next;
            free(chunk);
        } else {
            at = &chunk->next;
        }
    }
}

void epio__batch_reset(epio__batch *batch, uint32_t columns)
{
    if (batch->used != 0) { /* an empty batch says nothing of what the next one needs */
        free_unused(batch);
    }
    while (batch->filled != NULL) {
        epio__chunk *chunk = batch->filled;
        batch->filled = chunk->next;
        chunk->next = batch->spare;
        batch->spare = chunk;
    }
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

void epio__batch_free(epio__batch *batch)
{
    free(batch->values);
    epio__chunk *lists[] = {batch->filled, batch->spare};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        while (lists[i] != NULL) {
            epio__chunk *next = lists[i]->next;
            free(lists[i]);
            lists[i] = next;
        }
    }
}
