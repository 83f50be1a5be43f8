/* File controls, and what the device is like. */
#include "sqlite/vfs.h"

#include <string.h>

/* Stock's on every system; SQLite takes no sector above the longest. */
#define SECTOR 4096
#define LONGEST_SECTOR 65536u

static epio__sqlite_file *own(sqlite3_file *base)
{
    return (epio__sqlite_file *)base;
}

/* Allocates what the database is about to need, by whole chunks. */
static int grow_by_chunks(epio__sqlite_file *file, sqlite3_int64 len)
{
    sqlite3_int64 wanted = epio__sqlite_round_up(file, len);
    int64_t size = epio_perform(epio_size(&file->op, file->file));
    if (size < 0) {
        return epio__sqlite_code(file, &file->op, SQLITE_IOERR_FSTAT);
    }
    if (wanted <= size) {
        return SQLITE_OK;
    }
    int64_t result = epio_perform(
        epio_allocate(&file->op, file->file, (uint64_t)size, (uint64_t)(wanted - size), 0));
    if (result == EPIO_ENOTSUP) {
        return epio__sqlite_set_size(file, wanted);
    }
    return result == 0 ? SQLITE_OK : epio__sqlite_code(file, &file->op, SQLITE_IOERR_WRITE);
}

static int size_hint(epio__sqlite_file *file, sqlite3_int64 len)
{
    int code = SQLITE_OK;
    if (file->chunk_len > 0) {
        code = grow_by_chunks(file, len);
    }
    if (code == SQLITE_OK && file->map_limit > 0 && len > file->mapped_len) {
        if (file->chunk_len <= 0) {
            code = epio__sqlite_set_size(file, len);
        }
        if (code == SQLITE_OK) {
            code = epio__sqlite_map(file, len);
        }
    }
    return code;
}

/* Negative asks, 0 clears, another number sets. */
static void mark(epio__sqlite_file *file, uint32_t bit, int *value)
{
    if (*value < 0) {
        *value = (file->marks & bit) != 0;
    } else if (*value == 0) {
        file->marks &= ~bit;
    } else {
        file->marks |= bit;
    }
}

static void identify(epio__sqlite_file *file)
{
    epio_info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    if (epio_perform(epio_file_stat(&file->op, file->file, &info)) == 0 &&
        (info.known & EPIO_INFO_ID) != 0) {
        file->device = info.device;
        file->id[0] = info.id[0];
        file->id[1] = info.id[1];
    }
}

/* Where files have no ids none has moved, as far as anyone can say. */
static int has_moved(epio__sqlite_file *file)
{
    epio_info info;
    if (file->path == NULL || (file->open_flags & SQLITE_OPEN_MAIN_DB) == 0) {
        return 0;
    }
    if (file->id[0] == 0 && file->id[1] == 0) {
        identify(file);
    }
    if (!epio__sqlite_stat(file->owner, &file->op, file->path, &info)) {
        return file->op.result != EPIO_ENOTSUP;
    }
    return (info.known & EPIO_INFO_ID) != 0 &&
           (info.id[0] != file->id[0] || info.id[1] != file->id[1] || info.device != file->device);
}

static int string_result(char *string, void *argument)
{
    *(char **)argument = string;
    return string != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

int epio__sqlite_control(sqlite3_file *base, int code, void *argument)
{
    epio__sqlite_file *file = own(base);
    switch (code) {
    case SQLITE_FCNTL_LOCKSTATE:
        *(int *)argument = file->lock_level;
        return SQLITE_OK;
    case SQLITE_FCNTL_LAST_ERRNO:
        *(int *)argument = (int)file->os_error;
        return SQLITE_OK;
    case SQLITE_FCNTL_CHUNK_SIZE:
        file->chunk_len = *(int *)argument;
        return SQLITE_OK;
    case SQLITE_FCNTL_SIZE_HINT:
        return size_hint(file, *(sqlite3_int64 *)argument);
    case SQLITE_FCNTL_PERSIST_WAL:
        mark(file, EPIO__SQLITE_PERSIST_WAL, argument);
        return SQLITE_OK;
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
        mark(file, EPIO__SQLITE_POWER_SAFE, argument);
        return SQLITE_OK;
    case SQLITE_FCNTL_VFSNAME:
        return string_result(sqlite3_mprintf("%s", file->owner->name), argument);
    case SQLITE_FCNTL_TEMPFILENAME:
        return string_result(epio__sqlite_temporary_name(file->owner), argument);
    case SQLITE_FCNTL_HAS_MOVED:
        *(int *)argument = has_moved(file);
        return SQLITE_OK;
    case SQLITE_FCNTL_EXTERNAL_READER:
        return epio__sqlite_shm_external_reader(base, argument);
    case SQLITE_FCNTL_MMAP_SIZE:
        return epio__sqlite_limit_map(file, argument);
    case SQLITE_FCNTL_WIN32_GET_HANDLE:
        if (!file->owner->windows) {
            return SQLITE_NOTFOUND;
        }
        *(intptr_t *)argument = epio_file_os_handle(file->file);
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

/* At least stock's, so that both read each other's journals as they were written. */
int epio__sqlite_sector_size(sqlite3_file *base)
{
    epio__sqlite_file *file = own(base);
    if (file->sector_len != 0) {
        return file->sector_len;
    }
    epio_file_system info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    file->sector_len = SECTOR;
    if (file->path != NULL &&
        epio_perform(epio_file_system_info(&file->op, file->owner->vfs, file->path, &info)) == 0 &&
        info.sector_size > SECTOR && info.sector_size <= LONGEST_SECTOR &&
        (info.sector_size & (info.sector_size - 1)) == 0) {
        file->sector_len = (int)info.sector_size;
    }
    return file->sector_len;
}

/* Not UNDELETABLE_WHEN_OPEN, not even on Windows: other files of epio's can be deleted there. */
int epio__sqlite_characteristics(sqlite3_file *base)
{
    return (own(base)->marks & EPIO__SQLITE_POWER_SAFE) != 0 ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
}
