/* Pages that SQLite reads in place: one mapping of the file's beginning, which is only replaced
 * while no page of it is in use. */
#include "sqlite/vfs.h"

/* SQLite's own bound, SQLITE_MAX_MMAP_SIZE, as it is built by default. */
#define LONGEST INT64_C(0x7fff0000)

static epio__sqlite_file *own(sqlite3_file *base)
{
    return (epio__sqlite_file *)base;
}

void epio__sqlite_unmap(epio__sqlite_file *file)
{
    if (file->mapping != NULL) {
        (void)epio_perform(epio_unmap(&file->op, file->mapping));
        file->mapping = NULL;
        file->mapped = NULL;
        file->mapped_len = 0;
    }
}

/* Where the file cannot be mapped it is read. */
static void replace(epio__sqlite_file *file, sqlite3_int64 len)
{
    epio__sqlite_unmap(file);
    if (epio_perform(epio_map(&file->op, file->file, 0, (uint64_t)len, EPIO_MAP_READ)) != 0) {
        (void)epio__sqlite_log(file->owner, &file->op, SQLITE_OK, file->path);
        file->map_limit = 0;
        return;
    }
    file->mapping = epio_op_mapping(&file->op);
    file->mapped = epio_mapping_address(file->mapping);
    file->mapped_len = len;
}

int epio__sqlite_map(epio__sqlite_file *file, sqlite3_int64 len)
{
    if (file->fetched > 0) {
        return SQLITE_OK;
    }
    int64_t size = epio_perform(epio_size(&file->op, file->file));
    if (size < 0) {
        return epio__sqlite_code(file, &file->op, SQLITE_IOERR_FSTAT);
    }
    if (len < 0 || len > size) {
        len = size;
    }
    if (len > file->map_limit) {
        len = file->map_limit;
    }
    if (len == 0) {
        epio__sqlite_unmap(file);
    } else if (len != file->mapped_len) {
        replace(file, len);
    }
    return SQLITE_OK;
}

int epio__sqlite_limit_map(epio__sqlite_file *file, sqlite3_int64 *limit)
{
    sqlite3_int64 wanted = *limit > LONGEST ? LONGEST : *limit;
    *limit = file->map_limit;
    if (wanted < 0 || wanted == file->map_limit || file->fetched > 0) {
        return SQLITE_OK;
    }
    bool mapped = file->mapping != NULL;
    file->map_limit = wanted;
    return mapped ? epio__sqlite_map(file, -1) : SQLITE_OK;
}

int epio__sqlite_fetch(sqlite3_file *base, sqlite3_int64 offset, int len, void **page)
{
    epio__sqlite_file *file = own(base);
    *page = NULL;
    if (file->map_limit == 0) {
        return SQLITE_OK;
    }
    if (file->mapping == NULL) {
        int code = epio__sqlite_map(file, -1);
        if (code != SQLITE_OK) {
            return code;
        }
    }
    if (file->mapped_len >= offset + len) {
        *page = file->mapped + offset;
        file->fetched++;
    }
    return SQLITE_OK;
}

int epio__sqlite_unfetch(sqlite3_file *base, sqlite3_int64 offset, void *page)
{
    epio__sqlite_file *file = own(base);
    (void)offset;
    if (page != NULL) {
        file->fetched--;
    } else {
        epio__sqlite_unmap(file);
    }
    return SQLITE_OK;
}
