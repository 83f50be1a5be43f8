/* What SQLite's result codes are in epio's errors, and the other way round. */
#include "sqlite/vfs.h"

#include <epio/vfs.h>

int epio_sqlite_error(int code)
{
    if (code == SQLITE_OK_SYMLINK) {
        return 0;
    }
    switch (code) {
    case SQLITE_IOERR_NOMEM:
        return EPIO_ENOMEM;
    case SQLITE_CANTOPEN_ISDIR:
        return EPIO_EISDIR;
    case SQLITE_CANTOPEN_SYMLINK:
        return EPIO_ELOOP;
    case SQLITE_BUSY_TIMEOUT:
        return EPIO_ETIMEDOUT;
    default:
        break;
    }
    switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
    case SQLITE_NOTICE:
    case SQLITE_WARNING:
        return 0;
    case SQLITE_NOMEM:
        return EPIO_ENOMEM;
    case SQLITE_INTERRUPT:
        return EPIO_ECANCELED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return EPIO_EBUSY;
    case SQLITE_READONLY:
        return EPIO_EROFS;
    case SQLITE_IOERR:
        return EPIO_EIO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return EPIO_ECORRUPT;
    case SQLITE_FULL:
        return EPIO_ENOSPC;
    case SQLITE_CANTOPEN:
        return EPIO_ENOENT;
    case SQLITE_PERM:
        return EPIO_EACCES;
    case SQLITE_NOLFS:
        return EPIO_EFBIG;
    case SQLITE_MISUSE:
        return EPIO_EINVAL;
    default:
        return EPIO_ESQL;
    }
}

int epio__sqlite_code(epio__sqlite_file *file, const epio_op *op, int code)
{
    if (file != NULL) {
        file->os_error = op->os_error;
        atomic_store_explicit(&file->owner->os_error, op->os_error, memory_order_relaxed);
    }
    switch (op->result) {
    case EPIO_ENOMEM:
        return SQLITE_IOERR_NOMEM;
    case EPIO_ENOSPC:
        return SQLITE_FULL;
    case EPIO_EBUSY:
    case EPIO_EDEADLK:
        return SQLITE_BUSY;
    default:
        return code;
    }
}

int epio__sqlite_log(epio__sqlite_vfs *vfs, const epio_op *op, int code, const char *path)
{
    atomic_store_explicit(&vfs->os_error, op->os_error, memory_order_relaxed);
    sqlite3_log(code, "epio: %s(%s) - %s (%d)", epio_kind_name(op->kind), path != NULL ? path : "",
                epio_error_message(op->result), (int)op->os_error);
    return code;
}
