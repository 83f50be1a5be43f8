/* The index of the write-ahead log: shared memory, and its locks, in the bytes of stock SQLite's.
 */
#include "sqlite/vfs.h"

int epio__sqlite_shm_map(sqlite3_file *file, int region, int size, int extend,
                         void volatile **address)
{
    (void)file, (void)region, (void)size, (void)extend, (void)address;
    return SQLITE_IOERR_SHMMAP;
}

int epio__sqlite_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    (void)file, (void)offset, (void)count, (void)flags;
    return SQLITE_IOERR_SHMLOCK;
}

void epio__sqlite_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

int epio__sqlite_shm_unmap(sqlite3_file *file, int delete_it)
{
    (void)file, (void)delete_it;
    return SQLITE_OK;
}
