/* Directories and names: making, removing and listing directories, paths relative to an open one,
 * links. Part of epio/epio.h, which includes it; the conventions of verbs, and opening, deleting
 * and renaming files, are there. */
#ifndef EPIO_DIRECTORY_H
#define EPIO_DIRECTORY_H

#include <epio/compiler.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;
struct epio_vfs;

/* ---- Making and removing ----------------------------------------------- */

#define EPIO_MKDIR_PARENTS 1u  /* those that are missing, too; one that is there is no error */
#define EPIO_MKDIR_SYNC_DIR 2u /* what was made is durable at completion */

/* Makes a directory: 0. Its permissions are or-ed to the flags as to those of epio_open
 * (EPIO_OPEN_PERMISSIONS), 0777 without, less the umask; parents that are made get 0777 and what
 * the owner needs to work in them. Errors: those of epio_open that concern paths, EPIO_EEXIST
 * (whatever has the name; with PARENTS if that is no directory), EPIO_EMLINK as EPIO_EUNKNOWN. See
 * mkdir(2). */
EPIO_VERB epio_op *epio_mkdir(epio_op *op, struct epio_vfs *vfs, const char *path, uint32_t flags);

#define EPIO_RMDIR_SYNC_DIR 1u /* the removal is durable at completion */

/* Removes an empty directory: 0. Errors: those of epio_delete; EPIO_ENOTEMPTY, EPIO_ENOTDIR (no
 * directory, or a link to one), EPIO_EBUSY (a mount point), EPIO_EINVAL ("."). See rmdir(2). */
EPIO_VERB epio_op *epio_rmdir(epio_op *op, struct epio_vfs *vfs, const char *path, uint32_t flags);

/* ---- Open directories -------------------------------------------------- */

/* A directory is opened by epio_open with EPIO_OPEN_DIRECTORY and EPIO_OPEN_READ. It is a file for
 * epio_close, epio_sync (what was made, moved or removed in it is durable), epio_file_stat and the
 * like, epio_list, and the next; reads, writes, sizes and locks are EPIO_EISDIR. */

/* Makes durable what was made, moved or removed in the directory at `path`: 0. An open, a sync and
 * a close in one, for a program that keeps no directory open. Names alone: a file's bytes are its
 * own sync's. A directory that may be searched but not read: as for SYNC_DIR. Errors: those of an
 * epio_open with DIRECTORY; EPIO_EIO with its os_error (the sync failed).
 * See fsync(2). */
EPIO_VERB epio_op *epio_sync_directory(epio_op *op, struct epio_vfs *vfs, const char *path);

/* The directory as a VFS: every verb that takes a VFS and paths takes this one, too, and relative
 * paths then begin at the directory, wherever that has been moved. Both paths of an op begin there.
 * The file's; it needs no destroying, and must not be used any more once the directory's close was
 * submitted. Ops of paths count as the directory's: its close waits for them. On a loop each may
 * need a descriptor while it is carried out: EPIO_EMFILE, beside the verb's errors. It cannot be
 * the inner VFS of another. Aborts if the file is no directory. Any thread. */
EPIO_API struct epio_vfs *epio_directory_vfs(struct epio_file *directory);

/* EPIO_OPEN_BENEATH, with a directory as the VFS: the path stays beneath it, whoever exchanges
 * directories for links meanwhile. Neither "..", nor a symbolic link, nor an absolute path leads
 * out of it: EPIO_EACCES. A directory that is opened with DIRECTORY and BENEATH, from any VFS,
 * confines all paths that begin at it, of every verb, and so do directories opened beneath it.
 * Where the system cannot resolve such paths itself (openat2(2)) they are resolved part by part; so
 * they are on Windows, where junctions and mount points are links that lead out. An open beneath
 * that makes a file and fails may leave it; TEMPORARY and DELETE_ON_CLOSE are EPIO_ENOTSUP there,
 * and so are, on Linux without /proc, verbs that are neither an open nor about a name alone. */

struct epio_info;

/* An entry of a list. What is known of it and its name are behind it: epio_entry_info,
 * epio_entry_name. */
typedef struct epio_entry {
    uint32_t size;     /* bytes to the next entry */
    uint16_t name_len; /* without the NUL */
    uint8_t type;      /* EPIO_TYPE_...; UNKNOWN where the file system does not say */
    bool has_info;     /* see epio_entry_info */
    uint64_t id;       /* the lower half of epio_info.id; of a mount point the one below it */
} epio_entry;

#define EPIO_LIST_REWIND 1u /* from the first entry on */

/* Fills the buffer, which is aligned as for a uint64_t, with entries, without "." and "..", in no
 * order: their length in bytes, 0 at the end. There may be fewer than fit, as a kernel that is
 * interrupted gives a part; the next call goes on from there. What others make or remove meanwhile
 * may be among them or not; all else is, once. On btrfs what was made after the open is among them
 * from a REWIND on. Calls in flight for one directory at the same time get different parts of the
 * list. Names are bytes of the system's and can be opened again as they are; on Windows a lone
 * surrogate is encoded as such (WTF-8). Errors: EPIO_EBADF (no open directory), EPIO_ERANGE (the
 * next entry does not fit: 1 KiB always suffices), EPIO_EINVAL (NULL, unknown flags, not aligned),
 * EPIO_ENOENT (it was removed). See getdents(2). */
EPIO_VERB epio_op *epio_list(epio_op *op, struct epio_file *directory, void *buffer, size_t len,
                             uint32_t flags);

/* The entries of a buffer that epio_list has filled with `len` bytes: the first for NULL, then the
 * one behind `entry`; NULL at the end. Any thread. */
EPIO_API const epio_entry *epio_entry_next(const void *buffer, size_t len, const epio_entry *entry);
/* Ends with a NUL. */
EPIO_API const char *epio_entry_name(const epio_entry *entry);

/* What the system gives with the name for nothing, `known` says what that is: on Windows
 * attributes, sizes (not of links) and times, as they are in the directory, which may be behind
 * those of a file that is being written, or has further names; in the memory VFS all of epio_stat.
 * Else NULL. */
EPIO_API const struct epio_info *epio_entry_info(const epio_entry *entry);

/* ---- Whole trees ------------------------------------------------------- */

/* An entry of a walk. The library's, and valid during the call of `entries` alone, which changes
 * nothing in it but `enter`; it may bring the entries of its call into another order. */
typedef struct epio_walk_entry {
    const char *path;             /* relative to the walked directory: "a/b" */
    const char *name;             /* its last part: "b" */
    const struct epio_info *info; /* with EPIO_WALK_STAT of the entry itself, NULL if that failed;
                                     else as epio_entry_info */
    uint64_t id;                  /* as in epio_entry; with STAT as in epio_info */
    uint32_t type;                /* EPIO_TYPE_...; of a symbolic link always LINK */
    uint32_t depth;               /* 1 in the walked directory itself */
    int32_t error;                /* 0, or EPIO_E... of this entry alone */
    int32_t os_error;             /* errno or GetLastError behind it */
    bool enter; /* it is a directory, or with FOLLOW a link to one, whose entries follow;
                   set to false in `entries` to leave them out. Else false, and stays so */
    uint64_t reserved[3];
} epio_walk_entry;

#define EPIO_WALK_STAT 1u   /* with the epio_info of each entry, of a symbolic link itself */
#define EPIO_WALK_SORTED 2u /* in an order that depends on the names alone: see epio_walk */
#define EPIO_WALK_FOLLOW 4u /* symbolic links to directories are entered */
#define EPIO_WALK_SAME_FILE_SYSTEM 8u /* mount points are reported, not entered */

typedef struct epio_walk_options {
    size_t size; /* sizeof(epio_walk_options) */

    uint32_t flags; /* EPIO_WALK_... */
    uint32_t
        directories;     /* open at once at most, beside the walked one; 0: 32; 1 to 3 count as 4 */
    uint32_t most_depth; /* of entries; 0: no limit */

    /* Called with the next entries, 1 at least, by the owner of the loop; in an epio_perform on
     * the calling thread. False ends the walk: EPIO_ECANCELED. NULL: they are counted alone. */
    bool (*entries)(epio_op *op, epio_walk_entry *entries, size_t count);
} epio_walk_options;

/* Reports all that is in a directory, in its directories, and so on: the number of entries
 * reported. The directory itself is none. Where `path` is a symbolic link it is followed. The
 * options (NULL: count all) and the path are the caller's, and stay as they are until the
 * completion; op->user is for `entries`, which on a loop may call epio_cancel(op), too.
 *
 * A directory comes before what is in it; otherwise there is no order without SORTED. With SORTED
 * the entries of one directory come together, by the bytes of their names, then those of its
 * directories, one after the other, each with all that is below it. Without it memory and open
 * directories grow with the depth of the tree, not with its width; with it all names of a directory
 * are in memory, and one thread works. On a loop several worker threads read, more than there are
 * processors where these are few, as some of them wait for the disk.
 *
 * Where the tree is deeper than `directories` those nearest to the walked one are closed, and the
 * names that were not reported yet are kept in memory; they are opened again by their names,
 * checked by device and id, and what is left of them is left out if they were moved or removed
 * meanwhile. Each path begins at an open directory, so a tree that is moved, or has paths longer
 * than the system takes, is walked all the same. No symbolic link is followed without FOLLOW,
 * whoever puts one in a directory's place. What is made or removed meanwhile may be reported or
 * not; what is gone before it was looked at is no error.
 *
 * With FOLLOW each directory is entered once, by device and id: where it is met again its entry has
 * EPIO_ELOOP (one that is left out may be entered further on, by another name), which is also the
 * error of a link that leads to itself. A link that leads nowhere is only a link. Beneath a
 * directory that confines, one that leads out of the directory that it is in is not entered.
 *
 * An entry has an error if its stat failed; a directory that cannot be opened or listed is reported
 * again, with the error, without an info. Neither ends the walk. Its own errors are those of an
 * epio_open of the directory with DIRECTORY; EPIO_EINVAL (also unknown flags, a size below that of
 * the first version); EPIO_ENOMEM. Cancelled, or past its deadline (in an epio_perform, too), it
 * ends once the calls that threads are in have returned: on a mount that does not answer, not
 * before; those that wait for a permit of a `limit` end within a tenth of a second. `entries` is
 * not called after the completion. It must
 * not wait for the walk, as an epio_loop_close without a limit would. A directory whose VFS is
 * given stays open until then. epio_perform works without a loop. */
EPIO_VERB epio_op *epio_walk(epio_op *op, struct epio_vfs *vfs, const char *path,
                             const epio_walk_options *options);

/* ---- Temporary files and directories ----------------------------------- */

#define EPIO_NAME_SYNC_DIR                                                                         \
    1u /* the name is durable at completion; so is the file, if it was synced */
#define EPIO_NAME_NO_REPLACE 2u /* EPIO_EEXIST if the name exists */

/* Gives a file that was opened with TEMPORARY a name, and with it a life beyond its close: 0. A
 * relative path begins where the process is.
 * Replaces what has the name, atomically. It keeps its permissions, 0600 (epio_file_set_mode). On
 * the same file system. Errors: those of epio_rename; EPIO_ENOTSUP (the file system has no files
 * without names, on Windows no further names for files), EPIO_EINVAL (the file has a name),
 * EPIO_ENOENT (it has lost the one it was given). See open(2), O_TMPFILE, and linkat(2). */
EPIO_VERB epio_op *epio_name_temporary(epio_op *op, struct epio_file *file, const char *path,
                                       uint32_t flags);

/* Makes a directory with a random name, 0700, in the directory `parent` (NULL: the system's for
 * temporary files, as for TEMPORARY), and writes its path, ended by a NUL, into `buffer`: its
 * length without the NUL. The path begins as `parent` does. EPIO_ERANGE if `len` is not above that,
 * and nothing is made. Other errors: those of epio_mkdir. See mkdtemp(3). */
EPIO_VERB epio_op *epio_temporary_directory(epio_op *op, struct epio_vfs *vfs, const char *parent,
                                            char *buffer, size_t len);

/* ---- Links ------------------------------------------------------------- */

/* Gives the file at `from`, a symbolic link itself, another name: 0. `flags`: 0. Errors: those of
 * epio_rename with NO_REPLACE; EPIO_EPERM (a directory), EPIO_ENOTSUP (the file system has no such
 * links). See link(2). */
EPIO_VERB epio_op *epio_link_file(epio_op *op, struct epio_vfs *vfs, const char *from,
                                  const char *to, uint32_t flags);

/* Makes a symbolic link at `path` that leads to `target`, any text: 0. `flags`: 0. Errors: those of
 * epio_mkdir. See symlink(2). */
EPIO_VERB epio_op *epio_symlink(epio_op *op, struct epio_vfs *vfs, const char *target,
                                const char *path, uint32_t flags);

/* Writes the target of a symbolic link, ended by a NUL, into `buffer`: its length without the NUL.
 * Errors: EPIO_ERANGE if `len` is not above the length, EPIO_EINVAL (NULL; no symbolic link, with
 * an os_error), those of epio_stat. See readlink(2). */
EPIO_VERB epio_op *epio_read_link(epio_op *op, struct epio_vfs *vfs, const char *path, char *buffer,
                                  size_t len);

/* Exchanges what two names refer to, atomically: 0. `flags`: 0. Errors: those of epio_rename;
 * EPIO_ENOENT (either), EPIO_ENOTSUP (a system or file system without it). See renameat2(2). */
EPIO_VERB epio_op *epio_exchange(epio_op *op, struct epio_vfs *vfs, const char *path,
                                 const char *other, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif
