/* On which file system a path is, and what that can do. */
#include "posix/place.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#if defined(__linux__)
#include "posix/descriptor.h"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__)
#include <sys/param.h>

#include <sys/mount.h> /* needs the header above */
#endif

static void set_trait(epio_file_system *info, uint32_t trait, bool holds)
{
    info->known |= trait;
    info->traits |= holds ? trait : 0;
}

#if defined(__linux__) || defined(MNT_LOCAL)

static void set_medium(epio_file_system *info, epio__medium medium)
{
    if (medium != EPIO__MEDIUM_UNKNOWN) {
        set_trait(info, EPIO_FS_REMOTE, medium == EPIO__MEDIUM_REMOTE);
        set_trait(info, EPIO_FS_MEMORY, medium == EPIO__MEDIUM_MEMORY);
    }
}

#endif

#if defined(__linux__)

/* ---- Linux ---- */

static bool is_any(const char *type, const char *const *types)
{
    while (*types != NULL && strcmp(type, *types) != 0) {
        types++;
    }
    return *types != NULL;
}

/* Not of types where it depends on how the file system was made (XFS), on the server (NFS 4.2), on
 * what is below (overlayfs), or on the directory (those that can fold case).
 *
 * Power-safe is what never writes over data that are in use. Others leave it to the disk:
 * https://sqlite.org/psow.html. btrfs and bcachefs write in place where a file, a directory or the
 * mount says so, which only an open of the file would show, and its close might drop locks. */
static void set_traits_of_type(epio_file_system *info)
{
    static const char *const power_safe[] = {"zfs", "nilfs", NULL};
    static const char *const sensitive[] = {"btrfs", "zfs", "reiserfs", NULL};
    static const char *const insensitive[] = {"vfat", "exfat", NULL};
    static const char *const reflinks[] = {"btrfs", NULL};
    static const char *const no_reflinks[] = {"ext4",  "tmpfs", "ramfs", "vfat",
                                              "exfat", "f2fs",  NULL};
    if (is_any(info->type, sensitive) || is_any(info->type, insensitive)) {
        set_trait(info, EPIO_FS_CASE_SENSITIVE, is_any(info->type, sensitive));
    }
    if (is_any(info->type, reflinks) || is_any(info->type, no_reflinks)) {
        set_trait(info, EPIO_FS_REFLINKS, is_any(info->type, reflinks));
    }
    if (is_any(info->type, power_safe)) {
        set_trait(info, EPIO_FS_POWER_SAFE, true);
    }
}

/* Opens the directory, or the one of what is no directory: opening a device has effects, and
 * closing a file drops the locks that others in this process have on it. -1: none that may be read.
 */
static int open_directory_there(int descriptor, const struct stat *status)
{
    struct stat found;
    char link[64];
    char path[PATH_MAX];
    char directory[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t len = readlink(link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    if (len < 0 || !epio__directory_of(path, directory, sizeof directory)) {
        return -1;
    }
    int opened = epio__descriptor_open(AT_FDCWD, S_ISDIR(status->st_mode) ? link : directory,
                                       O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    if (opened >= 0 && (fstat(opened, &found) != 0 || found.st_dev != status->st_dev)) {
        (void)close(opened); /* it was moved meanwhile */
        opened = -1;
    }
    return opened;
}

/* ioctl_xfs_fsgeometry(2); its header belongs to xfsprogs. The fourth version, which all kernels
 * know. */
struct xfs_geometry {
    uint32_t sizes[8];
    uint64_t counts[4];
    unsigned char uuid[16];
    uint32_t stripe[2];
    int32_t version;
    uint32_t flags;
    uint32_t more[4];
};

#define XFS_GEOMETRY _IOR('X', 124, struct xfs_geometry) /* XFS_IOC_FSGEOMETRY_V4 */

/* musl's ioctl takes an int, as POSIX has it. */
#if defined(__GLIBC__)
typedef unsigned long ioctl_request;
#else
typedef int ioctl_request;
#endif

#define XFS_IGNORES_CASE (1u << 13) /* XFS_FSOP_GEOM_FLAGS_DIRV2CI */
#define XFS_REFLINKS (1u << 20)     /* XFS_FSOP_GEOM_FLAGS_REFLINK */

static void set_traits_of_xfs(int descriptor, const struct stat *status, epio_file_system *info)
{
    struct xfs_geometry geometry;
    int directory = open_directory_there(descriptor, status);
    if (directory < 0) {
        return;
    }
    if (ioctl(directory, (ioctl_request)XFS_GEOMETRY, &geometry) == 0) {
        set_trait(info, EPIO_FS_REFLINKS, (geometry.flags & XFS_REFLINKS) != 0);
        set_trait(info, EPIO_FS_CASE_SENSITIVE, (geometry.flags & XFS_IGNORES_CASE) == 0);
    }
    (void)close(directory);
}

static bool read_number(const char *path, uint32_t *number)
{
    char text[32];
    int descriptor = epio__descriptor_open(AT_FDCWD, path, O_RDONLY, 0);
    ssize_t len = descriptor >= 0 ? read(descriptor, text, sizeof text - 1) : -1;
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    text[len > 0 ? len : 0] = '\0';
    return sscanf(text, "%u", number) == 1;
}

/* A partition has no queue of its own. */
static uint32_t sector_size_of(dev_t device)
{
    static const char *const queues[] = {"queue", "../queue"};
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        char path[128];
        uint32_t size;
        (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/logical_block_size",
                       major(device), minor(device), queues[i]);
        if (read_number(path, &size)) {
            return size;
        }
    }
    return 0;
}

static int add_what_the_system_knows(int at, const char *path, epio_file_system *info)
{
    struct stat status;
    struct statfs system;
    epio__medium medium;
    int descriptor = epio__descriptor_open(at, path, O_PATH, 0);
    if (descriptor < 0 || fstatfs(descriptor, &system) != 0 || fstat(descriptor, &status) != 0) {
        int error = errno;
        if (descriptor >= 0) {
            (void)close(descriptor);
        }
        errno = error;
        return -1;
    }
    (void)snprintf(info->type, sizeof info->type, "%s",
                   epio__medium_of_type((uint32_t)system.f_type, &medium));
    set_medium(info, medium);
    set_traits_of_type(info);
    if (strcmp(info->type, "xfs") == 0) {
        set_traits_of_xfs(descriptor, &status, info);
    }
    (void)close(descriptor);
    info->sector_size = sector_size_of(status.st_dev);
    return 0;
}

#elif defined(MNT_LOCAL)

static int add_what_the_system_knows(int at, const char *path, epio_file_system *info)
{
    struct statfs status;
    char whole[PATH_MAX];
    if (epio__resolve_path(at, path, whole) != 0 || statfs(whole, &status) != 0) {
        return -1;
    }
    (void)snprintf(info->type, sizeof info->type, "%s", status.f_fstypename);
    set_medium(info, (status.f_flags & MNT_LOCAL) != 0 ? EPIO__MEDIUM_LOCAL : EPIO__MEDIUM_REMOTE);
#if defined(_PC_CASE_SENSITIVE)
    long sensitive = pathconf(whole, _PC_CASE_SENSITIVE);
    if (sensitive >= 0) {
        set_trait(info, EPIO_FS_CASE_SENSITIVE, sensitive != 0);
    }
#endif
    return 0;
}

#else

static int add_what_the_system_knows(int at, const char *path, epio_file_system *info)
{
    (void)at;
    (void)path;
    (void)info;
    return 0;
}

#endif

/* ---- Everywhere ---- */

/* statvfs(3) has no form for a path that begins at a directory: the file is asked, where it can be
 * opened without any right to it, or must be as the path is confined. */
static int ask_numbers(int at, const char *path, bool follows, struct statvfs *status)
{
    if (at == AT_FDCWD || path[0] == '/') {
        return statvfs(path, status);
    }
#if defined(O_PATH)
    int how = O_PATH | O_CLOEXEC;
#else
    char whole[PATH_MAX];
    int how = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (follows) {
        return epio__resolve_path(at, path, whole) == 0 ? statvfs(whole, status) : -1;
    }
#endif
    int descriptor = openat(at, path, how | (follows ? 0 : O_NOFOLLOW));
    int outcome = descriptor >= 0 ? fstatvfs(descriptor, status) : -1;
    int error = errno;
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    errno = error;
    return outcome;
}

static int64_t describe(epio_op *op, int at, const char *path, void *with)
{
    epio_file_system *info = with;
    struct statvfs status;
    if (ask_numbers(at, path, epio__place_flag(op, true) == 0, &status) != 0) {
        return -1;
    }
    uint64_t unit = status.f_frsize != 0 ? status.f_frsize : status.f_bsize;
    info->bytes = status.f_blocks * unit;
    info->free = status.f_bfree * unit;
    info->available = status.f_bavail * unit;
    info->files = status.f_files;
    info->free_files = status.f_ffree;
    info->block_size = (uint32_t)unit;
    info->longest_name = (uint32_t)status.f_namemax;
    set_trait(info, EPIO_FS_READ_ONLY, (status.f_flag & ST_RDONLY) != 0);
    return add_what_the_system_knows(at, path, info);
}

int64_t epio__os_file_system_info(epio_op *op, epio_file_system *info)
{
    return epio__op_on_place(op, true, describe, info);
}
