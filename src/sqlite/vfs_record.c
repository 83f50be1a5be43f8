/* Journals and logs, written with one call for each page instead of two: the few bytes that SQLite
 * writes in front of a page wait for the page, and go out with it. Owns which bytes may wait; how
 * bytes are written is vfs_file.c's.
 *
 * SQLite writes a record of a log as its header of 24 bytes and then its page, one of a journal as
 * the page's number of 4 bytes, the page and, except in a statement's journal, 4 bytes of checksum.
 * Nothing comes between header and page: no call for another file, no return to the program. So
 * what a process that is killed there leaves is a record less, not a record that others take for
 * whole. A checksum is written at once: what SQLite does next may be to another file. Any other
 * call for the file writes first what waits. */
#include "sqlite/vfs.h"

#include <string.h>

#define FRAME_HEADER 24
#define PAGE_NUMBER 4

static epio__sqlite_file *own(sqlite3_file *base)
{
    return (epio__sqlite_file *)base;
}

static int write_plain(sqlite3_file *base, const void *buffer, int len, sqlite3_int64 offset)
{
    return epio__sqlite_methods.xWrite(base, buffer, len, offset);
}

/* Writes what waits. */
static int flush(sqlite3_file *base)
{
    epio__sqlite_file *file = own(base);
    int len = file->header_len;
    file->header_len = 0;
    return len != 0 ? write_plain(base, file->header, len, file->header_offset) : SQLITE_OK;
}

/* Is a page to follow? A main journal has a number of a page wherever no page has just ended. */
static bool waits(const epio__sqlite_file *file, int len, sqlite3_int64 offset)
{
    if ((file->open_flags & SQLITE_OPEN_WAL) != 0) {
        return len == FRAME_HEADER;
    }
    bool checksum = (file->open_flags & SQLITE_OPEN_SUBJOURNAL) == 0 && offset == file->record_end;
    return len == PAGE_NUMBER && !checksum;
}

static int write_record(sqlite3_file *base, const void *page, int len)
{
    epio__sqlite_file *file = own(base);
    size_t header_len = (size_t)file->header_len;
    epio_iovec parts[2] = {{file->header, header_len}, {(void *)(uintptr_t)page, (size_t)len}};
    file->header_len = 0;
    int64_t result =
        epio_perform(epio_writev(&file->op, file->file, parts, 2, (uint64_t)file->header_offset));
    return result == (int64_t)header_len + len
               ? SQLITE_OK
               : epio__sqlite_code(file, &file->op, SQLITE_IOERR_WRITE);
}

static int write_bytes(sqlite3_file *base, const void *buffer, int len, sqlite3_int64 offset)
{
    epio__sqlite_file *file = own(base);
    if (file->header_len != 0 && offset == file->header_offset + file->header_len) {
        file->record_end = offset + len;
        return write_record(base, buffer, len);
    }
    int code = flush(base);
    if (code != SQLITE_OK) {
        return code;
    }
    if (waits(file, len, offset) && (file->marks & EPIO__SQLITE_SYNC_FAILED) == 0) {
        memcpy(file->header, buffer, (size_t)len);
        file->header_len = len;
        file->header_offset = offset;
        return SQLITE_OK;
    }
    return write_plain(base, buffer, len, offset);
}

/* ---- All else writes first what waits ---- */

static int close_it(sqlite3_file *base)
{
    (void)flush(base);
    return epio__sqlite_methods.xClose(base);
}

static int read_bytes(sqlite3_file *base, void *buffer, int len, sqlite3_int64 offset)
{
    int code = flush(base);
    return code == SQLITE_OK ? epio__sqlite_methods.xRead(base, buffer, len, offset) : code;
}

static int truncate_it(sqlite3_file *base, sqlite3_int64 size)
{
    int code = flush(base);
    return code == SQLITE_OK ? epio__sqlite_methods.xTruncate(base, size) : code;
}

static int sync_it(sqlite3_file *base, int flags)
{
    int code = flush(base);
    return code == SQLITE_OK ? epio__sqlite_methods.xSync(base, flags) : code;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    int code = flush(base);
    return code == SQLITE_OK ? epio__sqlite_methods.xFileSize(base, size) : code;
}

static int control(sqlite3_file *base, int code, void *argument)
{
    int flushed = flush(base);
    return flushed == SQLITE_OK ? epio__sqlite_methods.xFileControl(base, code, argument) : flushed;
}

/* The first version's: SQLite maps and shares databases alone. */
const sqlite3_io_methods epio__sqlite_record_methods = {
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
