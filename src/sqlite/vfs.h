/* epio as a VFS of SQLite's, inside: a registration, and a file that SQLite has open over it. Who
 * owns what: vfs.c the registration and what is done with paths; vfs_open.c opening;
 * vfs_temporary.c where temporary files are; vfs_file.c the file's bytes; vfs_record.c records of
 * journals and logs that are one write each; vfs_lock.c its five levels; vfs_shm.c the write-ahead
 * log's index; vfs_map.c pages that SQLite reads in place; vfs_control.c file controls and what the
 * device is like; error.c result codes. */
#ifndef EPIO_SQLITE_VFS_H
#define EPIO_SQLITE_VFS_H

#include <epio/sqlite.h>

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Longest path that SQLite gives to a VFS, its NUL included. */
#define EPIO__SQLITE_PATH_SIZE 4096

typedef struct epio__sqlite_vfs epio__sqlite_vfs;
typedef struct epio__sqlite_file epio__sqlite_file;
typedef struct epio__sqlite_shm epio__sqlite_shm;
struct epio__sqlite_overlap;
struct epio__sqlite_together;

struct epio__sqlite_vfs {
    sqlite3_vfs base; /* pAppData is this struct */
    epio_vfs *vfs;
    sqlite3_vfs *system; /* SQLite's own, which loads extensions; NULL: there is none */
    bool windows;        /* that is the one for Windows, whose manners differ */
    uint32_t flags;      /* EPIO_SQLITE_... */
    atomic_uint open_files;
    atomic_int os_error;        /* of the last failure, for sqlite3_system_errno */
    atomic_int shm_is_possible; /* vfs_shm.c's; 0: not known yet */

    /* With EPIO_SQLITE_OVERLAP alone; see vfs_overlap.h. */
    sqlite3_mutex *mutex; /* of the list */
    struct epio__sqlite_overlap *databases;
    struct epio__sqlite_together *together; /* NULL: one write after the other */
    char name[];
};

/* Bits of epio__sqlite_file.marks. */
#define EPIO__SQLITE_POWER_SAFE 1u     /* SQLITE_IOCAP_POWERSAFE_OVERWRITE holds */
#define EPIO__SQLITE_PERSIST_WAL 2u    /* the last connection leaves the log */
#define EPIO__SQLITE_SYNC_DIRECTORY 4u /* the first sync makes the file's name durable, too */
#define EPIO__SQLITE_SYNC_FAILED                                                                   \
    8u /* it has to be reopened before it is written or synced again                               \
        */

/* The first bytes of a record, of a file that has such. */
typedef struct epio__sqlite_prefix {
    int expected_len; /* 0: none are held */
    int len;          /* of what is held; 0: nothing */
    int size;         /* of the bytes below */
    sqlite3_int64 offset;
    sqlite3_int64 next;   /* where the last write ended; -1: something was read since */
    unsigned char *bytes; /* what is held, and room for a page */
} epio__sqlite_prefix;

struct epio__sqlite_file {
    sqlite3_file base; /* first: SQLite's pointer to it is ours */
    epio__sqlite_vfs *owner;
    epio_file *file;      /* its bytes */
    epio_file *lock_file; /* its locks: `file`, but from a reopening until the next NONE */
    const char *path;     /* SQLite's, which lives as long as the file; NULL: a temporary file's */
    int open_flags;       /* SQLITE_OPEN_..., as it was opened */
    int32_t os_error;     /* of the last failure, for SQLITE_FCNTL_LAST_ERRNO */
    uint32_t marks;
    int lock_level; /* SQLITE_LOCK_... */
    int chunk_len;  /* it grows and shrinks by multiples of that; 0: by bytes */
    int sector_len; /* 0: not asked for yet */

    /* Which file it is, for HAS_MOVED; 0: not asked for yet, or not known. */
    uint64_t device;
    uint64_t id[2];

    epio_mapping *mapping; /* of its first mapped_len bytes or more; NULL: none */
    unsigned char *mapped;
    sqlite3_int64 mapped_len;
    sqlite3_int64 map_limit; /* 0: nothing is mapped */
    int fetched;             /* pages that SQLite uses in place */

    epio__sqlite_prefix prefix;           /* without EPIO_SQLITE_OVERLAP alone */
    struct epio__sqlite_overlap *overlap; /* NULL: everything is done at once */
    epio__sqlite_shm *shm; /* this connection's part in the log's index; NULL: none */
    epio_op op; /* of what is being done to it: SQLite does one thing at a time to a file */
};

/* ---- error.c ---- */

/* The SQLite code of an operation's failed result: `code`, one of SQLITE_IOERR_..., unless the
 * error has a code of its own (SQLITE_FULL, SQLITE_NOMEM, SQLITE_BUSY and the like). Notes
 * os_error in the file, if that is not NULL. */
int epio__sqlite_code(epio__sqlite_file *file, const epio_op *op, int code);

/* Reports a failure to SQLite's log, and notes its os_error in the registration: returns `code`. */
int epio__sqlite_log(epio__sqlite_vfs *vfs, const epio_op *op, int code, const char *path);

/* ---- vfs.c ---- */

/* Beside EPIO_SQLITE_OVERLAP: the loop of the VFS is its owner's. */
#define EPIO__SQLITE_NO_LOOP 0x80000000u

/* epio_sqlite_register of valid arguments, and with that flag. */
int epio__sqlite_register(const char *name, epio_vfs *vfs, uint32_t flags);

/* Says what is at the path: false if that cannot be found out, with the error in `op`. */
bool epio__sqlite_stat(epio__sqlite_vfs *vfs, epio_op *op, const char *path, epio_info *info);

/* ---- vfs_open.c: xOpen ---- */

/* What a new file has from its database: permissions, and as far as root made it its owner. */
typedef struct epio__sqlite_model {
    bool known;
    uint32_t mode;
    uint32_t user;
    uint32_t group;
} epio__sqlite_model;

void epio__sqlite_take_model(epio__sqlite_model *model, const epio_info *info);

/* EPIO_OPEN_CREATE, with the permissions. */
uint32_t epio__sqlite_creation_flags(const epio__sqlite_model *model);

/* What the umask has cut is added to a new file. One whose owner is another user's becomes that
 * user's, if `gives` and where the process may do that: it is root. */
void epio__sqlite_apply_model(epio__sqlite_file *file, epio_file *made,
                              const epio__sqlite_model *model, bool gives);

int epio__sqlite_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                      int *out_flags);

/* ---- vfs_overlap.c ---- */

/* An open file is to delay writes and to read ahead, if it is of a kind that may, and there is
 * memory. */
void epio__sqlite_overlap_begin(epio__sqlite_file *file);

/* ---- vfs_temporary.c ---- */

/* Writes the directory for temporary files into `buffer`; false: none of SQLite's will do, and the
 * VFS's own is to be used. */
bool epio__sqlite_temporary_directory(epio__sqlite_vfs *vfs, char *buffer, int len);

/* A name for a temporary file, for sqlite3_free; NULL: no memory. */
char *epio__sqlite_temporary_name(epio__sqlite_vfs *vfs);

/* ---- vfs_file.c: the methods for a file's bytes ---- */

extern const sqlite3_io_methods epio__sqlite_methods;
extern const sqlite3_io_methods epio__sqlite_methods_unmapped; /* the first version's */

/* Before anything else changes or syncs a file whose sync failed: an open of the same file takes
 * its place, since epio refuses to write to this one. An SQLite code. */
int epio__sqlite_reopen(epio__sqlite_file *file);

/* Truncates it, or makes it longer: an SQLite code. */
int epio__sqlite_set_size(epio__sqlite_file *file, sqlite3_int64 size);

/* The next multiple of the file's chunks. */
sqlite3_int64 epio__sqlite_round_up(const epio__sqlite_file *file, sqlite3_int64 size);

/* ---- vfs_record.c ---- */

/* An open file is to hold back the first bytes of records, if it is of a kind that has such. */
void epio__sqlite_prefix_begin(epio__sqlite_file *file);

/* ---- vfs_lock.c: xLock, xUnlock, xCheckReservedLock ---- */

int epio__sqlite_lock(sqlite3_file *file, int level);
int epio__sqlite_unlock(sqlite3_file *file, int level);
int epio__sqlite_check_reserved_lock(sqlite3_file *file, int *result);

/* Closes the open file that only locks, if there is one, and locks by the other. */
void epio__sqlite_rejoin_locks(epio__sqlite_file *file);

/* ---- vfs_map.c: xFetch, xUnfetch ---- */

int epio__sqlite_fetch(sqlite3_file *file, sqlite3_int64 offset, int len, void **page);
int epio__sqlite_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *page);

/* Maps the first `len` bytes, the whole file if it is negative, or as much as the limit allows,
 * unless pages are in use: an SQLite code. */
int epio__sqlite_map(epio__sqlite_file *file, sqlite3_int64 len);
void epio__sqlite_unmap(epio__sqlite_file *file);

/* Sets the limit, if it is not negative, and returns the earlier one in `limit`. */
int epio__sqlite_limit_map(epio__sqlite_file *file, sqlite3_int64 *limit);

/* ---- vfs_control.c: xFileControl, xSectorSize, xDeviceCharacteristics ---- */

int epio__sqlite_control(sqlite3_file *file, int code, void *argument);
int epio__sqlite_sector_size(sqlite3_file *file);
int epio__sqlite_characteristics(sqlite3_file *file);

/* ---- vfs_shm.c: xShmMap, xShmLock, xShmBarrier, xShmUnmap ---- */

int epio__sqlite_shm_map(sqlite3_file *file, int region, int size, int extend,
                         void volatile **address);
int epio__sqlite_shm_lock(sqlite3_file *file, int offset, int count, int flags);
void epio__sqlite_shm_barrier(sqlite3_file *file);
int epio__sqlite_shm_unmap(sqlite3_file *file, int delete_it);

/* SQLITE_FCNTL_EXTERNAL_READER: is a reader of another process in the log? */
int epio__sqlite_shm_external_reader(sqlite3_file *file, int *found);

/* Can files of the VFS be mapped? If not, SQLite has a log only with locking_mode=EXCLUSIVE, for
 * which it needs none of the above. */
bool epio__sqlite_shm_is_possible(epio__sqlite_vfs *vfs);

#endif
