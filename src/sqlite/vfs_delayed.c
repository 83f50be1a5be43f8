/* The delayed writes of a file: copies of what SQLite wrote, in the order of their offsets, merged
 * where one follows another. When they are written is vfs_overlap.c's. */
#include "sqlite/vfs_overlap.h"

#include <string.h>

/* Room at first, and at most. */
#define FIRST_SIZE (64 * 1024)
#define MOST_SIZE (1024 * 1024)
#define FIRST_ROOM 64
#define MOST_ROOM 1024

/* Copying these pays for nothing: they are one system call each already. */
#define LONG_WRITE (256 * 1024)

/* A write that takes longer waits for a disk: more than handing several to a loop costs. */
#define SLOW_NS UINT64_C(100000)

/* In a row: one alone may have waited for the processor. */
#define SLOW_WRITES 2

/* How often several are written together then, before it is seen again whether they are slow. */
#define TIMES_TOGETHER 16

/* ---- Room ---- */

static void *grow(void *memory, int *size, int needed, int most, size_t unit)
{
    int wanted = *size;
    while (wanted < needed) {
        wanted *= 2;
    }
    if (wanted > most) {
        return NULL;
    }
    void *grown = sqlite3_realloc64(memory, (sqlite3_uint64)wanted * unit);
    if (grown != NULL) {
        *size = wanted;
    }
    return grown;
}

static bool has_bytes(epio__sqlite_delayed *delayed, int len)
{
    int size = delayed->bytes != NULL ? delayed->size : FIRST_SIZE;
    if (delayed->bytes != NULL && delayed->size - delayed->used >= len) {
        return true;
    }
    void *grown = grow(delayed->bytes, &size, delayed->used + len, MOST_SIZE, 1);
    if (grown == NULL) {
        return false;
    }
    delayed->bytes = grown;
    delayed->size = size;
    return true;
}

static bool has_extent(epio__sqlite_delayed *delayed)
{
    int room = delayed->extents != NULL ? delayed->room : FIRST_ROOM;
    if (delayed->extents != NULL && delayed->count < delayed->room) {
        return true;
    }
    void *grown =
        grow(delayed->extents, &room, delayed->count + 1, MOST_ROOM, sizeof(epio__sqlite_extent));
    if (grown == NULL) {
        return false;
    }
    delayed->extents = grown;
    delayed->room = room;
    return true;
}

void epio__sqlite_free_delayed(epio__sqlite_delayed *delayed)
{
    sqlite3_free(delayed->bytes);
    sqlite3_free(delayed->extents);
    memset(delayed, 0, sizeof *delayed);
}

/* ---- Extents ---- */

static sqlite3_int64 end_of(const epio__sqlite_extent *extent)
{
    return extent->offset + extent->len;
}

/* The first that ends behind the offset; `count`: none does. Most writes follow the last one. */
static int find(const epio__sqlite_delayed *delayed, sqlite3_int64 offset)
{
    int low = 0;
    int high = delayed->count;
    if (high > 0 && end_of(&delayed->extents[high - 1]) <= offset) {
        return high;
    }
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (end_of(&delayed->extents[middle]) <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* True: `before` continues with what is put at the end of the bytes. */
static bool continues(const epio__sqlite_delayed *delayed, int before, sqlite3_int64 offset)
{
    const epio__sqlite_extent *extent = &delayed->extents[before];
    return end_of(extent) == offset && extent->at + extent->len == delayed->used;
}

bool epio__sqlite_delay(epio__sqlite_overlap *overlap, const unsigned char *bytes, int len,
                        sqlite3_int64 offset)
{
    epio__sqlite_delayed *delayed = &overlap->delayed;
    int i = find(delayed, offset);
    if (i < delayed->count && delayed->extents[i].offset < offset + len) {
        epio__sqlite_extent *same = &delayed->extents[i];
        bool inside = offset >= same->offset && offset + len <= end_of(same);
        if (inside) {
            memcpy(delayed->bytes + same->at + (offset - same->offset), bytes, (size_t)len);
        }
        return inside;
    }
    if (len > LONG_WRITE || !has_bytes(delayed, len)) {
        return false;
    }
    if (i > 0 && continues(delayed, i - 1, offset)) {
        delayed->extents[i - 1].len += len;
    } else {
        if (!has_extent(delayed)) {
            return false;
        }
        epio__sqlite_extent *at = &delayed->extents[i];
        memmove(at + 1, at, (size_t)(delayed->count - i) * sizeof *at);
        *at = (epio__sqlite_extent){.offset = offset, .len = len, .at = delayed->used};
        delayed->count++;
    }
    memcpy(delayed->bytes + delayed->used, bytes, (size_t)len);
    delayed->used += len;
    return true;
}

bool epio__sqlite_read_delayed(const epio__sqlite_overlap *overlap, unsigned char *bytes, int len,
                               sqlite3_int64 offset)
{
    const epio__sqlite_delayed *delayed = &overlap->delayed;
    sqlite3_int64 end = offset + len;
    int copied = 0;
    for (int i = find(delayed, offset); i < delayed->count; i++) {
        const epio__sqlite_extent *extent = &delayed->extents[i];
        if (extent->offset >= end) {
            break;
        }
        sqlite3_int64 from = extent->offset > offset ? extent->offset : offset;
        sqlite3_int64 to = end_of(extent) < end ? end_of(extent) : end;
        memcpy(bytes + (from - offset), delayed->bytes + extent->at + (from - extent->offset),
               (size_t)(to - from));
        copied += (int)(to - from);
    }
    return copied == len;
}

sqlite3_int64 epio__sqlite_delayed_end(const epio__sqlite_overlap *overlap)
{
    const epio__sqlite_delayed *delayed = &overlap->delayed;
    return delayed->count > 0 ? end_of(&delayed->extents[delayed->count - 1]) : 0;
}

void epio__sqlite_cut_delayed(epio__sqlite_overlap *overlap, sqlite3_int64 size)
{
    epio__sqlite_delayed *delayed = &overlap->delayed;
    while (delayed->count > 0 && delayed->extents[delayed->count - 1].offset >= size) {
        delayed->count--;
    }
    if (delayed->count > 0 && end_of(&delayed->extents[delayed->count - 1]) > size) {
        epio__sqlite_extent *last = &delayed->extents[delayed->count - 1];
        last->len = (int)(size - last->offset);
    }
    if (delayed->count == 0) {
        delayed->used = 0;
    }
}

/* ---- Writing ---- */

static int write_extent(epio__sqlite_overlap *overlap, const epio__sqlite_extent *extent)
{
    return overlap->methods->xWrite(&overlap->file->base, overlap->delayed.bytes + extent->at,
                                    extent->len, extent->offset);
}

/* One after the other while they are quick, as those to the system's cache are; after some slow
 * ones the rest together, and so the next times, until it is tried again. */
static int write_several(epio__sqlite_overlap *overlap)
{
    epio__sqlite_delayed *delayed = &overlap->delayed;
    int code = SQLITE_OK;
    int slow = 0;
    int i = 0;
    uint64_t began = epio_clock_monotonic();
    while (i < delayed->count && code == SQLITE_OK && delayed->together == 0) {
        code = write_extent(overlap, &delayed->extents[i++]);
        uint64_t now = epio_clock_monotonic();
        slow = now - began > SLOW_NS ? slow + 1 : 0;
        delayed->together = slow == SLOW_WRITES ? TIMES_TOGETHER : 0;
        began = now;
    }
    if (code == SQLITE_OK && i < delayed->count) {
        delayed->together--;
        code = epio__sqlite_write_together(overlap, &delayed->extents[i], delayed->count - i);
    }
    return code;
}

static int write_in_order(epio__sqlite_overlap *overlap)
{
    int code = SQLITE_OK;
    for (int i = 0; i < overlap->delayed.count && code == SQLITE_OK; i++) {
        code = write_extent(overlap, &overlap->delayed.extents[i]);
    }
    return code;
}

int epio__sqlite_write_delayed(epio__sqlite_overlap *overlap)
{
    if (overlap->delayed.count == 0) {
        return SQLITE_OK;
    }
    bool several = overlap->file->owner->together != NULL && overlap->delayed.count > 1;
    int code = several ? write_several(overlap) : write_in_order(overlap);
    if (code == SQLITE_OK) {
        epio__sqlite_cut_delayed(overlap, 0);
    }
    return code;
}
