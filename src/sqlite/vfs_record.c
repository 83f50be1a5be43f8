/* The first bytes of a record, held back until the page that follows them, so that both are one
 * system call:
 *
 *   file                  a record                       what is held
 *   the log               header, page                   the header of a frame at the log's end
 *   the journal           page number, page, checksum    the page number
 *   a statement journal   page number, page              the page number
 *
 * SQLite writes the page in its next call of any kind, from the same function: walWriteOneFrame,
 * pagerAddPageToRollbackJournal, subjournalPage. So nothing is held while it writes to another
 * file, touches the index or a lock, or returns to the program, and what others see, what is left
 * when this process is killed, and what a sync covers is what it would be without. Only a sync
 * comes in between, where a frame is split at the end of a sector; that, and every other call on
 * the file, begins with what is held, and fails with its error.
 *
 * Other writes of the same lengths are not held, as nothing need follow them:
 * - In the log, a header that is written again to put its checksum right, perhaps as the last thing
 *   that a transaction does. SQLite has read the frame just before. A header at the log's end
 *   follows the log's header or another frame, and none was read since; if one was, or another
 *   connection wrote the frame before, this header is not held, either.
 * - In the journal, the checksum of a page: without syncs the database's page is written next, to
 *   be rolled back by the record that the checksum completes. The journal's headers begin with
 *   sectors, and pages are multiples of 512 bytes, so that page numbers are at multiples of 8
 *   bytes, and checksums are not. The record of a super-journal has four bytes in several places,
 *   and ends with others.
 *
 * A VFS over this one that calls it in another order loses nothing but what a killed process, or
 * another connection that reads the file, would have found. */
#include "sqlite/vfs.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_HEADER 24
#define PAGE_NUMBER 4
#define ALIGNMENT_OF_RECORDS 8
#define LONGEST_PAGE 65536

/* No write ended anywhere since something was read. */
#define NOWHERE (-1)

static epio__sqlite_file *own(sqlite3_file *base)
{
    return (epio__sqlite_file *)base;
}

/* ---- Writing ---------------------------------------------------------------- */

static bool is_prefix(const epio__sqlite_file *file, int len, sqlite3_int64 offset)
{
    if (len != file->prefix.expected_len) {
        return false;
    }
    if (len == FRAME_HEADER) {
        return offset == file->prefix.next;
    }
    return (file->open_flags & SQLITE_OPEN_SUBJOURNAL) != 0 || offset % ALIGNMENT_OF_RECORDS == 0;
}

/* A copy costs less than a second call, and less than a write of two parts where a VFS makes two
 * writes of them. SQLite need not know that there is no memory: then nothing is held. */
static bool has_room(epio__sqlite_prefix *prefix, int len)
{
    if (prefix->size < len) {
        unsigned char *bytes = realloc(prefix->bytes, (size_t)len);
        prefix->bytes = bytes != NULL ? bytes : prefix->bytes;
        prefix->size = bytes != NULL ? len : prefix->size;
    }
    return prefix->size >= len;
}

static bool hold(epio__sqlite_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    epio__sqlite_prefix *prefix = &file->prefix;
    if (!is_prefix(file, len, offset) || !has_room(prefix, len)) {
        return false;
    }
    memcpy(prefix->bytes, bytes, (size_t)len);
    prefix->len = len;
    prefix->offset = offset;
    return true;
}

/* What fails is not tried again: SQLite takes the call's error for that of the write. */
static int release(epio__sqlite_file *file)
{
    epio__sqlite_prefix *prefix = &file->prefix;
    int len = prefix->len;
    prefix->len = 0;
    return len != 0 ? epio__sqlite_methods.xWrite(&file->base, prefix->bytes, len, prefix->offset)
                    : SQLITE_OK;
}

/* What is held, and these bytes behind it; or by itself. */
static int write_behind(epio__sqlite_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    epio__sqlite_prefix *prefix = &file->prefix;
    bool follows = prefix->len != 0 && offset == prefix->offset + prefix->len;
    if (follows && len <= LONGEST_PAGE && has_room(prefix, prefix->len + len)) {
        memcpy(prefix->bytes + prefix->len, bytes, (size_t)len);
        prefix->len += len;
        return release(file);
    }
    int code = release(file);
    return code == SQLITE_OK ? epio__sqlite_methods.xWrite(&file->base, bytes, len, offset) : code;
}

static int write_bytes(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    epio__sqlite_file *file = own(base);
    int code = SQLITE_OK;
    if (file->prefix.len != 0 || !hold(file, bytes, len, offset)) {
        code = write_behind(file, bytes, len, offset);
    }
    file->prefix.next = code == SQLITE_OK ? offset + len : NOWHERE;
    return code;
}

/* ---- Every other call --------------------------------------------------------- */

static int close_it(sqlite3_file *base)
{
    int released = release(own(base));
    free(own(base)->prefix.bytes);
    int code = epio__sqlite_methods.xClose(base);
    return code != SQLITE_OK ? code : released;
}

static int read_bytes(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
    int code = release(own(base));
    own(base)->prefix.next = NOWHERE;
    return code == SQLITE_OK ? epio__sqlite_methods.xRead(base, bytes, len, offset) : code;
}

static int truncate_it(sqlite3_file *base, sqlite3_int64 size)
{
    int code = release(own(base));
    own(base)->prefix.next = NOWHERE;
    return code == SQLITE_OK ? epio__sqlite_methods.xTruncate(base, size) : code;
}

static int sync_it(sqlite3_file *base, int flags)
{
    int code = release(own(base));
    return code == SQLITE_OK ? epio__sqlite_methods.xSync(base, flags) : code;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    int code = release(own(base));
    return code == SQLITE_OK ? epio__sqlite_methods.xFileSize(base, size) : code;
}

static int control(sqlite3_file *base, int what, void *argument)
{
    int code = release(own(base));
    return code == SQLITE_OK ? epio__sqlite_control(base, what, argument) : code;
}

/* Neither an index nor pages in place: those are a database's. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = close_it,
    .xRead = read_bytes,
    .xWrite = write_bytes,
    .xTruncate = truncate_it,
    .xSync = sync_it,
    .xFileSize = file_size,
    .xLock = epio__sqlite_lock,
    .xUnlock = epio__sqlite_unlock,
    .xCheckReservedLock = epio__sqlite_check_reserved_lock,
    .xFileControl = control,
    .xSectorSize = epio__sqlite_sector_size,
    .xDeviceCharacteristics = epio__sqlite_characteristics,
};

void epio__sqlite_prefix_begin(epio__sqlite_file *file)
{
    int flags = file->open_flags;
    if ((flags & SQLITE_OPEN_WAL) != 0) {
        file->prefix.expected_len = FRAME_HEADER;
    } else if ((flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUBJOURNAL)) != 0) {
        file->prefix.expected_len = PAGE_NUMBER;
    } else {
        return;
    }
    file->prefix.next = NOWHERE;
    file->base.pMethods = &methods;
}
