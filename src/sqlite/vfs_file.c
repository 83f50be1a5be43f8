/* The bytes of a file that SQLite has open: read, written, synced, closed. */
#include "sqlite/vfs.h"

#include <string.h>

static epio__sqlite_file *own(sqlite3_file *base)
{
    return (epio__sqlite_file *)base;
}

static void close_file(epio__sqlite_file *file, epio_file *which)
{
    (void)epio_perform(epio_close(&file->op, which));
}

static int close_it(sqlite3_file *base)
{
    epio__sqlite_file *file = own(base);
    epio__sqlite_unmap(file);
    epio__sqlite_rejoin_locks(file);
    close_file(file, file->file);
    atomic_fetch_sub(&file->owner->open_files, 1);
    memset(file, 0, sizeof *file);
    return SQLITE_OK;
}

/* ---- Reopening ------------------------------------------------------------ */

static bool identify(epio_op *op, epio_file *file, epio_info *info)
{
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    return epio_perform(epio_file_stat(op, file, info)) == 0 && (info->known & EPIO_INFO_ID) != 0;
}

static bool is_same(epio_op *op, epio_file *one, epio_file *other)
{
    epio_info a;
    epio_info b;
    return identify(op, one, &a) && identify(op, other, &b) && a.device == b.device &&
           a.id[0] == b.id[0] && a.id[1] == b.id[1];
}

/* What holds locks goes on to hold them, until they are all released: no other connection gets in
 * between. */
static void exchange(epio__sqlite_file *file, epio_file *fresh)
{
    if (file->lock_level == SQLITE_LOCK_NONE) {
        epio__sqlite_rejoin_locks(file);
        close_file(file, file->file);
        file->lock_file = fresh;
    } else if (file->lock_file != file->file) {
        close_file(file, file->file);
    }
    file->file = fresh;
    file->marks &= ~EPIO__SQLITE_SYNC_FAILED;
}

int epio__sqlite_reopen(epio__sqlite_file *file)
{
    if (file->path == NULL) {
        return SQLITE_IOERR_WRITE; /* nothing leads to it again */
    }
    int64_t result = epio_perform(epio_open(&file->op, file->owner->vfs, file->path,
                                            EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_NOFOLLOW));
    if (result != 0) {
        int code = epio__sqlite_code(file, &file->op, SQLITE_IOERR_WRITE);
        return epio__sqlite_log(file->owner, &file->op, code, file->path);
    }
    epio_file *fresh = file->op.file;
    if (!is_same(&file->op, file->file, fresh)) {
        close_file(file, fresh);
        sqlite3_log(SQLITE_IOERR_WRITE, "epio: another file is at %s", file->path);
        return SQLITE_IOERR_WRITE;
    }
    exchange(file, fresh);
    return SQLITE_OK;
}

/* ---- Bytes ---------------------------------------------------------------- */

/* As stock has it, a disk that cannot read what it has is a damaged file system. */
static int read_error(epio__sqlite_file *file)
{
    bool damaged = !file->owner->windows && file->op.result == EPIO_EIO && file->op.os_error != 0;
    return epio__sqlite_code(file, &file->op, damaged ? SQLITE_IOERR_CORRUPTFS : SQLITE_IOERR_READ);
}

static int read_file(epio__sqlite_file *file, unsigned char *buffer, int len, sqlite3_int64 offset)
{
    int64_t result =
        epio_perform(epio_read(&file->op, file->file, buffer, (size_t)len, (uint64_t)offset));
    if (result == len) {
        return SQLITE_OK;
    }
    if (result < 0) {
        return read_error(file);
    }
    file->os_error = 0;
    memset(buffer + result, 0, (size_t)(len - result));
    return SQLITE_IOERR_SHORT_READ;
}

static int read_bytes(sqlite3_file *base, void *buffer, int len, sqlite3_int64 offset)
{
    epio__sqlite_file *file = own(base);
    if (offset >= file->mapped_len) {
        return read_file(file, buffer, len, offset);
    }
    if (len <= file->mapped_len - offset) {
        memcpy(buffer, file->mapped + offset, (size_t)len);
        return SQLITE_OK;
    }
    int mapped = (int)(file->mapped_len - offset);
    memcpy(buffer, file->mapped + offset, (size_t)mapped);
    return read_file(file, (unsigned char *)buffer + mapped, len - mapped, offset + mapped);
}

static int reopen_if_failed(epio__sqlite_file *file)
{
    return (file->marks & EPIO__SQLITE_SYNC_FAILED) != 0 ? epio__sqlite_reopen(file) : SQLITE_OK;
}

static int write_bytes(sqlite3_file *base, const void *buffer, int len, sqlite3_int64 offset)
{
    epio__sqlite_file *file = own(base);
    int code = reopen_if_failed(file);
    if (code != SQLITE_OK) {
        return code;
    }
    int64_t result =
        epio_perform(epio_write(&file->op, file->file, buffer, (size_t)len, (uint64_t)offset));
    return result == len ? SQLITE_OK : epio__sqlite_code(file, &file->op, SQLITE_IOERR_WRITE);
}

/* ---- Size ------------------------------------------------------------------ */

sqlite3_int64 epio__sqlite_round_up(const epio__sqlite_file *file, sqlite3_int64 size)
{
    sqlite3_int64 chunk = file->chunk_len;
    return chunk > 0 ? (size + chunk - 1) / chunk * chunk : size;
}

/* Where mappings keep a file from becoming shorter, on Windows, it stays long: SQLite does without,
 * as with stock. */
int epio__sqlite_set_size(epio__sqlite_file *file, sqlite3_int64 size)
{
    bool remap = false;
    int64_t result = epio_perform(epio_truncate(&file->op, file->file, (uint64_t)size));
    if (result == EPIO_ESHARING && file->mapping != NULL && file->fetched == 0) {
        epio__sqlite_unmap(file);
        remap = true;
        result = epio_perform(epio_truncate(&file->op, file->file, (uint64_t)size));
    }
    if (result != 0 && result != EPIO_ESHARING) {
        int code = epio__sqlite_code(file, &file->op, SQLITE_IOERR_TRUNCATE);
        return epio__sqlite_log(file->owner, &file->op, code, file->path);
    }
    if (size < file->mapped_len && result == 0) {
        file->mapped_len = size;
    }
    return remap ? epio__sqlite_map(file, -1) : SQLITE_OK;
}

static int truncate_it(sqlite3_file *base, sqlite3_int64 size)
{
    epio__sqlite_file *file = own(base);
    int code = reopen_if_failed(file);
    if (code != SQLITE_OK) {
        return code;
    }
    return epio__sqlite_set_size(file, epio__sqlite_round_up(file, size));
}

/* A single byte is no database: stock takes it for an empty one. */
static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    epio__sqlite_file *file = own(base);
    int64_t result = epio_perform(epio_size(&file->op, file->file));
    if (result < 0) {
        return epio__sqlite_code(file, &file->op, SQLITE_IOERR_FSTAT);
    }
    *size = result == 1 ? 0 : result;
    return SQLITE_OK;
}

/* ---- Syncing ---------------------------------------------------------------- */

/* What is needed to read the data back is all that SQLite relies on, and all that stock asks for on
 * Linux; FULL is what PRAGMA fullfsync asks for. */
static uint32_t sync_mode(const epio__sqlite_file *file, int flags)
{
    if ((flags & 0x0F) == SQLITE_SYNC_FULL) {
        return EPIO_SYNC_FULL;
    }
    bool all = file->owner->windows && (flags & SQLITE_SYNC_DATAONLY) == 0;
    return all ? EPIO_SYNC_NORMAL : EPIO_SYNC_DATA_ONLY;
}

static bool is_separator(const epio__sqlite_file *file, char c)
{
    return c == '/' || (c == '\\' && file->owner->windows);
}

/* Makes the file's name durable. Many systems cannot, so that stock ignores the result, too. */
static void sync_directory(epio__sqlite_file *file)
{
    char directory[EPIO__SQLITE_PATH_SIZE];
    size_t len = strlen(file->path);
    while (len > 0 && !is_separator(file, file->path[len - 1])) {
        len--;
    }
    if (len >= sizeof directory) {
        return;
    }
    memcpy(directory, len > 0 ? file->path : ".", len > 0 ? len : 1);
    directory[len > 0 ? len : 1] = '\0';
    (void)epio_perform(epio_sync_directory(&file->op, file->owner->vfs, directory));
}

static int sync_it(sqlite3_file *base, int flags)
{
    epio__sqlite_file *file = own(base);
    /* SQLite never takes this for the failed one again: it is of a journal that is rolled back. */
    int code = reopen_if_failed(file);
    if (code != SQLITE_OK) {
        return code;
    }
    if (epio_perform(epio_sync(&file->op, file->file, sync_mode(file, flags))) != 0) {
        file->marks |= EPIO__SQLITE_SYNC_FAILED;
        (void)epio__sqlite_code(file, &file->op, SQLITE_IOERR_FSYNC);
        return epio__sqlite_log(file->owner, &file->op, SQLITE_IOERR_FSYNC, file->path);
    }
    if ((file->marks & EPIO__SQLITE_SYNC_DIRECTORY) != 0) {
        file->marks &= ~EPIO__SQLITE_SYNC_DIRECTORY;
        sync_directory(file);
    }
    return SQLITE_OK;
}

/* SQLite's names for its methods. */
#define METHODS_OF_BYTES                                                                           \
    .xClose = close_it, .xRead = read_bytes, .xWrite = write_bytes, .xTruncate = truncate_it,      \
    .xSync = sync_it, .xFileSize = file_size, .xLock = epio__sqlite_lock,                          \
    .xUnlock = epio__sqlite_unlock, .xCheckReservedLock = epio__sqlite_check_reserved_lock,        \
    .xFileControl = epio__sqlite_control, .xSectorSize = epio__sqlite_sector_size,                 \
    .xDeviceCharacteristics = epio__sqlite_characteristics

const sqlite3_io_methods epio__sqlite_methods = {
    .iVersion = 3,
    METHODS_OF_BYTES,
    .xShmMap = epio__sqlite_shm_map,
    .xShmLock = epio__sqlite_shm_lock,
    .xShmBarrier = epio__sqlite_shm_barrier,
    .xShmUnmap = epio__sqlite_shm_unmap,
    .xFetch = epio__sqlite_fetch,
    .xUnfetch = epio__sqlite_unfetch,
};

const sqlite3_io_methods epio__sqlite_methods_unmapped = {.iVersion = 1, METHODS_OF_BYTES};
