/* Bytes read ahead: what follows the reads of a scan, by one read that is longer than SQLite's. It
 * is only used while nobody else can change what SQLite may read of it: see vfs_overlap.c. */
#include "sqlite/vfs_overlap.h"

#include <string.h>

/* Reads in sequence before it is worth it, and how much is read then. */
#define RUN 2
#define FIRST_LEN (32 * 1024)
#define MOST_LEN (256 * 1024)

/* The most that is read ahead at once: a log that is twice as long as SQLite lets it become. */
#define LONGEST_RANGE (8 * 1024 * 1024)

/* Between two pages in sequence there may be the header of a frame. */
#define GAP 24

/* Where a transaction begins SQLite asks whether the file is still what it knows: its beginning is
 * always read anew. */
#define BEGINNING 100

void epio__sqlite_forget_ahead(epio__sqlite_overlap *overlap)
{
    overlap->ahead.len = 0;
}

void epio__sqlite_forget_range(epio__sqlite_overlap *overlap, int len, sqlite3_int64 offset)
{
    const epio__sqlite_ahead *ahead = &overlap->ahead;
    if (offset < ahead->offset + ahead->len && offset + len > ahead->offset) {
        epio__sqlite_forget_ahead(overlap);
    }
}

static bool is_scan(epio__sqlite_ahead *ahead, int len, sqlite3_int64 offset)
{
    bool follows = offset >= ahead->next && offset - ahead->next <= GAP;
    ahead->next = offset + len;
    ahead->run = follows ? ahead->run + 1 : 0;
    return ahead->run >= RUN;
}

static bool has_room(epio__sqlite_ahead *ahead, int size)
{
    if (size > ahead->size) {
        void *bytes = sqlite3_realloc64(ahead->bytes, (sqlite3_uint64)size);
        if (bytes == NULL) {
            return false;
        }
        ahead->bytes = bytes;
        ahead->size = size;
    }
    return true;
}

static bool fill(epio__sqlite_overlap *overlap, int len, sqlite3_int64 offset)
{
    epio__sqlite_ahead *ahead = &overlap->ahead;
    epio__sqlite_file *file = overlap->file;
    ahead->len = 0;
    if (!has_room(ahead, len)) {
        return false;
    }
    (void)epio_read(&file->op, file->file, ahead->bytes, (size_t)len, (uint64_t)offset);
    int64_t result = epio_perform(&file->op);
    ahead->offset = offset;
    ahead->len = result > 0 ? (int)result : 0;
    return result > 0;
}

/* The longer the scan, the more. */
static int next_len(const epio__sqlite_ahead *ahead)
{
    if (ahead->run == RUN) {
        return FIRST_LEN;
    }
    int twice = ahead->len > FIRST_LEN / 2 ? ahead->len * 2 : FIRST_LEN;
    return twice < MOST_LEN ? twice : MOST_LEN;
}

void epio__sqlite_read_range_ahead(epio__sqlite_overlap *overlap, sqlite3_int64 offset,
                                   sqlite3_int64 len)
{
    if (len <= LONGEST_RANGE) {
        (void)fill(overlap, (int)len, offset);
    }
}

void epio__sqlite_free_ahead(epio__sqlite_overlap *overlap)
{
    sqlite3_free(overlap->ahead.bytes);
    overlap->ahead = (epio__sqlite_ahead){.bytes = NULL};
}

static bool copy(const epio__sqlite_ahead *ahead, unsigned char *bytes, int len,
                 sqlite3_int64 offset)
{
    if (offset < ahead->offset || offset + len > ahead->offset + ahead->len) {
        return false;
    }
    memcpy(bytes, ahead->bytes + (offset - ahead->offset), (size_t)len);
    return true;
}

int epio__sqlite_read_ahead(epio__sqlite_overlap *overlap, unsigned char *bytes, int len,
                            sqlite3_int64 offset)
{
    epio__sqlite_ahead *ahead = &overlap->ahead;
    if (offset + len <= BEGINNING && overlap->part == EPIO__SQLITE_DATABASE) {
        epio__sqlite_forget_ahead(overlap);
        ahead->run = 0;
    } else if (overlap->file->map_limit == 0) {
        bool scan = is_scan(ahead, len, offset);
        if (copy(ahead, bytes, len, offset)) {
            return SQLITE_OK;
        }
        /* Under what is delayed the file is old. */
        if (scan && overlap->delayed.count == 0 && len < FIRST_LEN &&
            fill(overlap, next_len(ahead), offset) && copy(ahead, bytes, len, offset)) {
            return SQLITE_OK;
        }
    }
    return overlap->methods->xRead(&overlap->file->base, bytes, len, offset);
}
