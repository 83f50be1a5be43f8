/* What a system knows of a file beside its bytes: type, size, times, permissions, owner. Part of
 * epio/epio.h, which includes it; the conventions of verbs are there.
 *
 * Each verb has a form for a path and one for an open file, which asks the file itself, whatever
 * its name is by now. */
#ifndef EPIO_METADATA_H
#define EPIO_METADATA_H

#include <epio/compiler.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;
struct epio_vfs;

/* ---- What a file is ---------------------------------------------------- */

/* Types. */
#define EPIO_TYPE_UNKNOWN 0u
#define EPIO_TYPE_FILE 1u
#define EPIO_TYPE_DIRECTORY 2u
#define EPIO_TYPE_LINK 3u /* a symbolic link; on Windows a junction, too */
#define EPIO_TYPE_FIFO 4u
#define EPIO_TYPE_SOCKET 5u
#define EPIO_TYPE_CHARACTER_DEVICE 6u
#define EPIO_TYPE_BLOCK_DEVICE 7u

/* Bits of epio_info.known: which of its fields the system reports. */
#define EPIO_INFO_MODE 0x0001u
#define EPIO_INFO_OWNER 0x0002u      /* user and group */
#define EPIO_INFO_ATTRIBUTES 0x0004u /* Windows alone */
#define EPIO_INFO_LINKS 0x0008u
#define EPIO_INFO_ID 0x0010u /* device and id */
#define EPIO_INFO_BYTES 0x0020u
#define EPIO_INFO_ALLOCATED 0x0040u
#define EPIO_INFO_BLOCK_SIZE 0x0080u
#define EPIO_INFO_BORN 0x0100u
#define EPIO_INFO_MODIFIED 0x0200u
#define EPIO_INFO_CHANGED 0x0400u
#define EPIO_INFO_ACCESSED 0x0800u

/* Fields that are not known are 0. Times are nanoseconds since 1970-01-01 00:00 UTC, before it
 * negative, as exact as the file system keeps them; one that these cannot express, before 1677 or
 * after 2262, is not known. */
typedef struct epio_info {
    size_t size; /* sizeof(epio_info) */

    uint32_t known; /* EPIO_INFO_... */
    uint32_t type;  /* EPIO_TYPE_... */
    uint32_t mode;  /* POSIX permissions, 07777 at most */
    uint32_t user;  /* POSIX numbers of its owner */
    uint32_t group;
    uint32_t attributes; /* FILE_ATTRIBUTE_... */
    uint32_t block_size; /* in bytes: transfers of a multiple of it are efficient */
    uint32_t unused;
    uint64_t links;     /* names that the file has */
    uint64_t device;    /* with `id`: which file it is, as long as it exists */
    uint64_t id[2];     /* the inode number in id[0]; a 128-bit file id, lower half first */
    uint64_t bytes;     /* length; of a symbolic link that of its target's name */
    uint64_t allocated; /* bytes on the medium: fewer with holes, or where it is compressed */
    int64_t born;
    int64_t modified; /* its bytes */
    int64_t changed;  /* its bytes or its metadata */
    int64_t accessed;
} epio_info;

#define EPIO_STAT_NOFOLLOW 1u /* of a symbolic link itself */

/* Says what is at the path: 0, and all of `info` but its size, which the caller sets. By one system
 * call (statx(2)), which needs no permission for the file itself. Errors: EPIO_EINVAL (NULL or
 * empty path, NULL, a size below that of the first version, unknown flags), EPIO_ENOENT,
 * EPIO_EACCES, EPIO_ENOTDIR, EPIO_ELOOP, EPIO_ENAMETOOLONG. */
EPIO_VERB epio_op *epio_stat(epio_op *op, struct epio_vfs *vfs, const char *path, epio_info *info,
                             uint32_t flags);

/* Says what the open file is: 0, and `info` as above. Errors: EPIO_EINVAL. See fstat(2). */
EPIO_VERB epio_op *epio_file_stat(epio_op *op, struct epio_file *file, epio_info *info);

/* ---- Changing it ------------------------------------------------------- */

/* Instead of a time: it stays as it is; it becomes the present. */
#define EPIO_TIME_KEEP INT64_MIN
#define EPIO_TIME_NOW INT64_MAX

/* 0 is a time, that of 1970: begin with EPIO_TIMES_INIT, which changes nothing, and set what is to
 * be changed. */
typedef struct epio_times {
    size_t size; /* sizeof(epio_times) */

    int64_t modified; /* as in epio_info, or one of the two above */
    int64_t accessed;
    int64_t born; /* EPIO_TIME_KEEP, except on Windows: else EPIO_ENOTSUP */
} epio_times;

#define EPIO_TIMES_INIT                                                                            \
    {                                                                                              \
        sizeof(epio_times), EPIO_TIME_KEEP, EPIO_TIME_KEEP, EPIO_TIME_KEEP                         \
    }

#define EPIO_SET_NOFOLLOW 1u /* of a symbolic link itself */

/* Sets times: 0. Errors: those of epio_stat; EPIO_EPERM (it belongs to another user), EPIO_EROFS,
 * EPIO_ENOTSUP (`born`; a VFS without times), EPIO_EINVAL (a time that the file system cannot
 * keep). See utimensat(2). */
EPIO_VERB epio_op *epio_set_times(epio_op *op, struct epio_vfs *vfs, const char *path,
                                  const epio_times *times, uint32_t flags);
EPIO_VERB epio_op *epio_file_set_times(epio_op *op, struct epio_file *file,
                                       const epio_times *times);

/* Sets the permissions (POSIX mode bits, 07777 at most): 0. On Windows the file becomes read-only
 * if the owner's write bit is not set. Errors: those of epio_stat; EPIO_EPERM, EPIO_EROFS,
 * EPIO_ENOTSUP (NOFOLLOW of a link on Linux, where links have no permissions). See chmod(2). */
EPIO_VERB epio_op *epio_set_mode(epio_op *op, struct epio_vfs *vfs, const char *path, uint32_t mode,
                                 uint32_t flags);
EPIO_VERB epio_op *epio_file_set_mode(epio_op *op, struct epio_file *file, uint32_t mode);

/* Instead of a user or group: it stays as it is. */
#define EPIO_OWNER_KEEP UINT32_MAX

/* Sets owner and group: 0. Errors: those of epio_stat; EPIO_EPERM, EPIO_EROFS, EPIO_ENOTSUP
 * (Windows). See chown(2). */
EPIO_VERB epio_op *epio_set_owner(epio_op *op, struct epio_vfs *vfs, const char *path,
                                  uint32_t user, uint32_t group, uint32_t flags);
EPIO_VERB epio_op *epio_file_set_owner(epio_op *op, struct epio_file *file, uint32_t user,
                                       uint32_t group);

/* ---- File systems ------------------------------------------------------ */

/* Bits of epio_file_system.traits, and of `known`, which says for which of them that is certain.
 * REFLINKS is not known of most servers, of bcachefs and overlayfs; POWER_SAFE only of ZFS and
 * NILFS, which never write over data that are in use. Elsewhere it is the disk's promise, which no
 * system can tell; SQLite assumes it (https://sqlite.org/psow.html). */
#define EPIO_FS_REMOTE 0x01u /* a server or another program answers, not this machine's disks */
#define EPIO_FS_MEMORY 0x02u /* gone when the machine is switched off */
#define EPIO_FS_READ_ONLY 0x04u
#define EPIO_FS_CASE_SENSITIVE 0x08u /* "a" and "A" are two names */
#define EPIO_FS_REFLINKS 0x10u       /* a copy can share the bytes on the medium */
#define EPIO_FS_POWER_SAFE                                                                         \
    0x20u /* a write that a power failure interrupts spares what is beside                         \
             it: SQLite's powersafe overwrite */

typedef struct epio_file_system {
    size_t size; /* sizeof(epio_file_system) */

    uint32_t known;
    uint32_t traits;
    uint64_t bytes;        /* of all; with the next 0 where there is no such limit */
    uint64_t free;         /* not in use */
    uint64_t available;    /* the same for this user */
    uint64_t files;        /* that can be at most; 0: not known */
    uint64_t free_files;   /* of those, not in use */
    uint32_t block_size;   /* unit of allocation */
    uint32_t sector_size;  /* unit of the medium's transfers, for DIRECT; 0: not known */
    uint32_t longest_name; /* bytes that always fit */
    char type[32];         /* "ext4"; "": not known */
} epio_file_system;

/* Says on which file system the path is: 0, and all of `info` but its size, which the caller sets.
 * Links are followed. The memory VFS is a file system of the type "memory", without a limit of its
 * own. Errors: those of epio_stat. See statvfs(3), statfs(2). */
EPIO_VERB epio_op *epio_file_system_info(epio_op *op, struct epio_vfs *vfs, const char *path,
                                         epio_file_system *info);

/* ---- Extended attributes ----------------------------------------------- */

/* Named values beside a file's bytes, a few KiB each. On Linux a name has a namespace in front,
 * such as "user."; a file system may have none of them, or no value of a given size. On Windows
 * they are alternate data streams, whose names have no ":", "/" and "\". Names end with a NUL,
 * values are bytes. The memory VFS has "user." alone, for names that work everywhere, of files and
 * directories: names of 255 bytes, values of 64 KiB, any number of them. Errors of each: those of
 * epio_stat; EPIO_ENOTSUP (the file system, the namespace, or a path from a directory without
 * /proc), EPIO_ENODATA (no such attribute), EPIO_EPERM ("user." of a symbolic link, on Linux),
 * EPIO_EACCES, EPIO_ERANGE (the name is too long), on Windows EPIO_EINVAL and EPIO_ENAMETOOLONG
 * (the name). See xattr(7). */

#define EPIO_XATTR_NOFOLLOW 1u /* of a symbolic link itself */
#define EPIO_XATTR_CREATE 2u   /* of set: EPIO_EEXIST if it is there */
#define EPIO_XATTR_REPLACE 4u  /* of set: EPIO_ENODATA if it is not there */

/* Reads a value: its length. `len` 0 asks for that alone. EPIO_ERANGE if the buffer is too small.
 */
EPIO_VERB epio_op *epio_get_xattr(epio_op *op, struct epio_vfs *vfs, const char *path,
                                  const char *name, void *buffer, size_t len, uint32_t flags);
EPIO_VERB epio_op *epio_file_get_xattr(epio_op *op, struct epio_file *file, const char *name,
                                       void *buffer, size_t len);

/* Sets a value, as a whole: 0. EPIO_ENOSPC, EPIO_ERANGE (too long for the file system). */
EPIO_VERB epio_op *epio_set_xattr(epio_op *op, struct epio_vfs *vfs, const char *path,
                                  const char *name, const void *value, size_t len, uint32_t flags);
EPIO_VERB epio_op *epio_file_set_xattr(epio_op *op, struct epio_file *file, const char *name,
                                       const void *value, size_t len, uint32_t flags);

/* Lists the names, each with its NUL: their length. `len` 0 asks for that alone. EPIO_ERANGE if the
 * buffer is too small. */
EPIO_VERB epio_op *epio_list_xattrs(epio_op *op, struct epio_vfs *vfs, const char *path,
                                    char *buffer, size_t len, uint32_t flags);
EPIO_VERB epio_op *epio_file_list_xattrs(epio_op *op, struct epio_file *file, char *buffer,
                                         size_t len);

/* Removes an attribute: 0. */
EPIO_VERB epio_op *epio_remove_xattr(epio_op *op, struct epio_vfs *vfs, const char *path,
                                     const char *name, uint32_t flags);
EPIO_VERB epio_op *epio_file_remove_xattr(epio_op *op, struct epio_file *file, const char *name);

#ifdef __cplusplus
}
#endif

#endif
