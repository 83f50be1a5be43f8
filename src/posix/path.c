/* Operations on paths alone: delete, rename, access, full_pathname. */
#include "posix/durable.h"
#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

/* Links followed per path, as on Linux. */
#define MOST_LINKS 40

/* ---- Directories ---- */

bool epio__directory_of(const char *path, char *directory, size_t size)
{
    const char *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/') {
        end--;
    }
    while (end > path && end[-1] != '/') {
        end--;
    }
    while (end > path + 1 && end[-1] == '/') {
        end--;
    }
    size_t len = (size_t)(end - path);
    if (len == 0) {
        path = ".";
        len = 1;
    }
    if (len >= size) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(directory, path, len);
    directory[len] = '\0';
    return true;
}

/* ---- Delete and rename ---- */

static bool is_directory(int at, const char *path)
{
    struct stat status;
    return fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static int remove_name(int at, const char *path)
{
    if (unlinkat(at, path, 0) == 0) {
        return 0;
    }
    if (errno == EPERM) { /* POSIX and macOS return it for a directory, too */
        errno = is_directory(at, path) ? EISDIR : EPERM;
    }
    return -1;
}

int64_t epio__os_delete(epio_op *op)
{
    const char *path = op->arguments.path.path;
    int at = epio__at(op);
    epio__durable durable = {.descriptor = -1};
    bool lasting = (op->flags & EPIO_DELETE_SYNC_DIR) != 0;
    if ((lasting && epio__durable_begin(&durable, at, path) != 0) || remove_name(at, path) != 0) {
        epio__durable_drop(&durable);
        return epio__op_fail(op);
    }
    return lasting ? epio__durable_finish(&durable, op) : 0;
}

/* Renames a file, which can have two names, without replacing: link(2) fails if the new name
 * exists. */
static int link_and_unlink(int at, const char *from, const char *to)
{
    if (linkat(at, from, at, to, 0) != 0) {
        return -1;
    }
    if (unlinkat(at, from, 0) == 0) {
        return 0;
    }
    int error = errno;
    (void)unlinkat(at, to, 0);
    errno = error;
    return -1;
}

/* Renames a directory without replacing: mkdir(2) fails if the new name exists, and rename(2)
 * replaces the empty directory. */
static int make_and_replace(int at, const char *from, const char *to)
{
    if (mkdirat(at, to, 0700) != 0) {
        return -1;
    }
    if (renameat(at, from, at, to) == 0) {
        return 0;
    }
    int error = errno == ENOTEMPTY ? EEXIST : errno;
    (void)unlinkat(at, to, AT_REMOVEDIR);
    errno = error;
    return -1;
}

/* Used where the system has no call that does not replace, or where its error may also mean that
 * the names are wrong, as for a directory that is to move into itself. */
static int rename_in_two_steps(int at, const char *from, const char *to)
{
    struct stat status;
    if (fstatat(at, from, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    return S_ISDIR(status.st_mode) ? make_and_replace(at, from, to) : link_and_unlink(at, from, to);
}

static int rename_without_replacing(int at, const char *from, const char *to)
{
#if defined(SYS_renameat2)
    /* musl has neither the name nor the call. */
    const unsigned no_replace = 1;
    if (syscall(SYS_renameat2, at, from, at, to, no_replace) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
#elif defined(RENAME_EXCL)
    if (renameatx_np(at, from, at, to, RENAME_EXCL) == 0) {
        return 0;
    }
    if (errno != ENOTSUP) {
        return -1;
    }
#endif
    return rename_in_two_steps(at, from, to);
}

static int rename_name(const epio_op *op)
{
    const char *from = op->arguments.path.path;
    const char *to = op->arguments.path.to;
    int at = epio__at(op);
    return (op->flags & EPIO_RENAME_NO_REPLACE) != 0 ? rename_without_replacing(at, from, to)
                                                     : renameat(at, from, at, to);
}

/* Flushes the new directory first, then the old: at no moment is the file durably absent from
 * both. */
static int64_t rename_durably(epio_op *op)
{
    int at = epio__at(op);
    epio__durable to = {.descriptor = -1};
    epio__durable from = {.descriptor = -1};
    if (epio__durable_begin(&to, at, op->arguments.path.to) != 0 ||
        epio__durable_begin(&from, at, op->arguments.path.path) != 0 || rename_name(op) != 0) {
        epio__durable_drop(&from);
        epio__durable_drop(&to);
        return epio__op_fail(op);
    }
    int64_t result = epio__durable_finish(&to, op);
    if (result == 0) {
        return epio__durable_finish(&from, op);
    }
    epio__durable_drop(&from);
    return result;
}

int64_t epio__os_rename(epio_op *op)
{
    if ((op->flags & EPIO_RENAME_SYNC_DIR) != 0) {
        return rename_durably(op);
    }
    return rename_name(op) == 0 ? 0 : epio__op_fail(op);
}

/* ---- Access ---- */

int64_t epio__os_access(epio_op *op)
{
    int mode = F_OK;
    if (op->flags == EPIO_ACCESS_READ) {
        mode = R_OK;
    } else if (op->flags == EPIO_ACCESS_READWRITE) {
        mode = R_OK | W_OK;
    }
    if (faccessat(epio__at(op), op->arguments.path.path, mode, AT_EACCESS) == 0) {
        return 1;
    }
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        return 0;
    default:
        return epio__op_fail(op);
    }
}

/* ---- Full path names ---- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool join(char *joined, size_t size, const char *directory, const char *name)
{
    const char *between = strcmp(directory, "/") == 0 ? "" : "/";
    if ((size_t)snprintf(joined, size, "%s%s%s", directory, between, name) >= size) {
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

/* One step for a path whose file does not exist: resolves its directory and appends its name; if
 * that is a link, its target goes to `target`, for the next step. 1: resolved. 0: continue with
 * the target. -1: errno. */
static int resolve_missing(const char *path, char *resolved, char *target)
{
    char directory[PATH_MAX];
    char real_directory[PATH_MAX];
    const char *name = last_part(path);
    /* "." and ".." themselves cannot be missing: their directory is. */
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        errno = ENOENT;
        return -1;
    }
    if (!epio__directory_of(path, directory, sizeof directory) ||
        realpath(directory, real_directory) == NULL ||
        !join(resolved, PATH_MAX, real_directory, name)) {
        return -1;
    }
    ssize_t len = readlink(resolved, target, PATH_MAX - 1);
    if (len < 0) {
        return 1;
    }
    target[len] = '\0';
    if (target[0] != '/') {
        char relative[PATH_MAX];
        memcpy(relative, target, (size_t)len + 1);
        return join(target, PATH_MAX, real_directory, relative) ? 0 : -1;
    }
    return 0;
}

static int resolve_from_here(const char *path, char *resolved)
{
    char pending[PATH_MAX];
    char target[PATH_MAX];
    for (int i = 0; i < MOST_LINKS; i++) {
        if (realpath(path, resolved) != NULL) {
            return 0;
        }
        if (errno != ENOENT) {
            return -1;
        }
        int step = resolve_missing(path, resolved, target);
        if (step != 0) {
            return step > 0 ? 0 : -1;
        }
        memcpy(pending, target, strlen(target) + 1);
        path = pending;
    }
    errno = ELOOP;
    return -1;
}

/* The path of an open directory, as it is now: 0, or -1 and errno. */
static int path_of_directory(int directory, char *path)
{
#if defined(__linux__)
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    if (len < 0) {
        errno = ENOTSUP; /* there is no /proc */
        return -1;
    }
    path[len] = '\0';
    return 0;
#elif defined(F_GETPATH)
    return fcntl(directory, F_GETPATH, path);
#else
    (void)directory;
    (void)path;
    errno = ENOTSUP;
    return -1;
#endif
}

int epio__resolve_path(int at, const char *path, char *resolved)
{
    char directory[PATH_MAX];
    char whole[PATH_MAX];
    if (at == AT_FDCWD || path[0] == '/') {
        return resolve_from_here(path, resolved);
    }
    if (path_of_directory(at, directory) != 0 || !join(whole, sizeof whole, directory, path)) {
        return -1;
    }
    return resolve_from_here(whole, resolved);
}

int64_t epio__os_full_pathname(epio_op *op)
{
    char resolved[PATH_MAX];
    if (epio__resolve_path(epio__at(op), op->arguments.path.path, resolved) != 0) {
        return epio__op_fail(op);
    }
    size_t len = strlen(resolved);
    if (len >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    memcpy(op->arguments.path.buffer, resolved, len + 1);
    return (int64_t)len;
}
