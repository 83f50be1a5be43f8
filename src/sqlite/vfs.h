/* epio as a VFS of SQLite's, inside: a registration, and a file that SQLite has open over it. Who
 * owns what: vfs.c the registration and what is done with paths; vfs_file.c the file's bytes;
 * vfs_lock.c its five levels; vfs_shm.c the write-ahead log's index; vfs_map.c pages that SQLite
 * reads in place; vfs_control.c file controls and what the device is like; error.c result codes. */
#ifndef EPIO_SQLITE_VFS_H
#define EPIO_SQLITE_VFS_H

#include <epio/sqlite.h>

#include <sqlite3.h>
#include <stdbool.h>

typedef struct epio__sqlite_vfs epio__sqlite_vfs;
typedef struct epio__sqlite_file epio__sqlite_file;
typedef struct epio__sqlite_shm epio__sqlite_shm;

struct epio__sqlite_vfs {
    sqlite3_vfs base; /* first: SQLite's pointer to it is ours */
    epio_vfs *vfs;
    uint32_t flags; /* EPIO_SQLITE_... */
};

struct epio__sqlite_file {
    sqlite3_file base; /* first: SQLite's pointer to it is ours */
    epio__sqlite_vfs *owner;
    epio_file *file;
    const char *path;      /* SQLite's, which lives as long as the file; NULL: a temporary file's */
    int open_flags;        /* SQLITE_OPEN_..., as it was opened */
    int32_t os_error;      /* of the last failure, for SQLITE_FCNTL_LAST_ERRNO */
    epio__sqlite_shm *shm; /* this connection's part in the log's index; NULL: none */
};

/* ---- error.c ---- */

/* The SQLite code of an operation's failed result: `code`, one of SQLITE_IOERR_..., unless the
 * error has a code of its own (SQLITE_FULL, SQLITE_NOMEM, SQLITE_BUSY and the like). Notes
 * os_error in the file, if that is not NULL. */
int epio__sqlite_code(epio__sqlite_file *file, const epio_op *op, int code);

/* ---- vfs_shm.c: xShmMap, xShmLock, xShmBarrier, xShmUnmap ---- */

int epio__sqlite_shm_map(sqlite3_file *file, int region, int size, int extend,
                         void volatile **address);
int epio__sqlite_shm_lock(sqlite3_file *file, int offset, int count, int flags);
void epio__sqlite_shm_barrier(sqlite3_file *file);
int epio__sqlite_shm_unmap(sqlite3_file *file, int delete_it);

/* SQLITE_FCNTL_EXTERNAL_READER: is a reader of another process in the log? One whose lock a
 * connection of this process has, too, is not seen. */
int epio__sqlite_shm_external_reader(sqlite3_file *file, int *found);

/* Can files of the VFS be mapped? If not, its io_methods have version 1, and SQLite has a log only
 * with locking_mode=EXCLUSIVE, for which it needs none of the above. */
bool epio__sqlite_shm_is_possible(epio_vfs *vfs);

#endif
