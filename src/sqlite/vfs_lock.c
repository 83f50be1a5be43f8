/* SQLite's five levels, which are epio's. */
#include "sqlite/vfs.h"

_Static_assert(SQLITE_LOCK_NONE == EPIO_LOCK_NONE && SQLITE_LOCK_SHARED == EPIO_LOCK_SHARED &&
                   SQLITE_LOCK_RESERVED == EPIO_LOCK_RESERVED &&
                   SQLITE_LOCK_PENDING == EPIO_LOCK_PENDING &&
                   SQLITE_LOCK_EXCLUSIVE == EPIO_LOCK_EXCLUSIVE,
               "epio's levels are SQLite's");

static epio__sqlite_file *own(sqlite3_file *base)
{
    return (epio__sqlite_file *)base;
}

void epio__sqlite_rejoin_locks(epio__sqlite_file *file)
{
    if (file->lock_file != file->file) {
        (void)epio_perform(epio_close(&file->op, file->lock_file));
        file->lock_file = file->file;
    }
}

/* What was refused may be a lock's conflict, or an error. */
static int refused(epio__sqlite_file *file, int code)
{
    if (file->op.result == EPIO_EACCES || file->op.result == EPIO_ECANCELED) {
        file->os_error = file->op.os_error;
        return SQLITE_BUSY;
    }
    return file->op.result == EPIO_EPERM ? SQLITE_PERM : epio__sqlite_code(file, &file->op, code);
}

int epio__sqlite_lock(sqlite3_file *base, int level)
{
    epio__sqlite_file *file = own(base);
    if (file->lock_level >= level) {
        return SQLITE_OK;
    }
    if (epio_perform(epio_lock(&file->op, file->lock_file, (uint32_t)level, 0)) == 0) {
        file->lock_level = level;
        return SQLITE_OK;
    }
    /* An EXCLUSIVE that waits for readers leaves PENDING. */
    file->lock_level = (int)epio_file_lock_level(file->lock_file);
    return refused(file, level == SQLITE_LOCK_SHARED ? SQLITE_IOERR_RDLOCK : SQLITE_IOERR_LOCK);
}

int epio__sqlite_unlock(sqlite3_file *base, int level)
{
    epio__sqlite_file *file = own(base);
    if (file->lock_level <= level) {
        return SQLITE_OK;
    }
    if (epio_perform(epio_unlock(&file->op, file->lock_file, (uint32_t)level)) != 0) {
        file->lock_level = (int)epio_file_lock_level(file->lock_file);
        return epio__sqlite_code(file, &file->op, SQLITE_IOERR_UNLOCK);
    }
    file->lock_level = level;
    if (level == SQLITE_LOCK_NONE) {
        epio__sqlite_rejoin_locks(file);
    }
    return SQLITE_OK;
}

int epio__sqlite_check_reserved_lock(sqlite3_file *base, int *result)
{
    epio__sqlite_file *file = own(base);
    int64_t held = epio_perform(epio_check_reserved_lock(&file->op, file->lock_file));
    *result = held == 1;
    return held >= 0 ? SQLITE_OK
                     : epio__sqlite_code(file, &file->op, SQLITE_IOERR_CHECKRESERVEDLOCK);
}
