/* Operations on paths alone: delete, rename, access, full_pathname. */
#include "posix/durable.h"
#include "posix/place.h"

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
#else
#include "posix/descriptor.h"

#include <dirent.h>
#endif

/* Links followed per path, as on Linux. */
#define MOST_LINKS 40

/* ---- Directories ---- */

bool epio__is_separator(char c)
{
    return c == '/';
}

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

static int remove_name(int at, const char *path)
{
    if (unlinkat(at, path, 0) == 0) {
        return 0;
    }
    if (errno == EPERM) { /* POSIX and macOS return it for a directory, too */
        errno = epio__is_directory(at, path, false) ? EISDIR : EPERM;
    }
    return -1;
}

int64_t epio__os_delete(epio_op *op)
{
    return epio__op_remove(op, (op->flags & EPIO_DELETE_SYNC_DIR) != 0, remove_name);
}

/* Renames a file, which can have two names, without replacing: link(2) fails if the new name
 * exists. */
static int link_and_unlink(const epio__place *from, const epio__place *to)
{
    if (linkat(from->at, from->path, to->at, to->path, 0) != 0) {
        return -1;
    }
    if (unlinkat(from->at, from->path, 0) == 0) {
        return 0;
    }
    int error = errno;
    (void)unlinkat(to->at, to->path, 0);
    errno = error;
    return -1;
}

static bool is_same(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* Is the name in this directory, or somewhere below it? Found by ".." up to the root; false where
 * that may not be searched, or is too far away. */
static bool is_beneath(const epio__place *name, const struct stat *directory)
{
    char path[PATH_MAX];
    struct stat below = {0};
    struct stat here;
    if (!epio__directory_of(name->path, path, sizeof path)) {
        return false;
    }
    size_t len = strlen(path);
    while (fstatat(name->at, path, &here, 0) == 0 && !is_same(&here, &below)) {
        if (is_same(&here, directory)) {
            return true;
        }
        if (len + sizeof "/.." > sizeof path) {
            return false;
        }
        memcpy(path + len, "/..", sizeof "/..");
        len += strlen("/..");
        below = here;
    }
    return false;
}

/* Renames a directory without replacing: mkdir(2) fails if the new name exists, and rename(2)
 * replaces the empty directory. What cannot succeed, as the directory is to move into itself, must
 * not make the name even for a moment. */
static int make_and_replace(const epio__place *from, const struct stat *moved,
                            const epio__place *to)
{
    struct stat status;
    if (is_beneath(to, moved)) {
        errno = fstatat(to->at, to->path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? EEXIST : EINVAL;
        return -1;
    }
    if (mkdirat(to->at, to->path, 0700) != 0) {
        return -1;
    }
    if (renameat(from->at, from->path, to->at, to->path) == 0) {
        return 0;
    }
    int error = errno == ENOTEMPTY ? EEXIST : errno;
    (void)unlinkat(to->at, to->path, AT_REMOVEDIR);
    errno = error;
    return -1;
}

/* Used where the system has no call that does not replace, or where its error may also mean that
 * the names are wrong, as for a directory that is to move into itself. */
static int rename_in_two_steps(const epio__place *from, const epio__place *to)
{
    struct stat status;
    if (fstatat(from->at, from->path, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    return S_ISDIR(status.st_mode) ? make_and_replace(from, &status, to)
                                   : link_and_unlink(from, to);
}

int epio__rename_without_replacing(const epio__place *from, const epio__place *to)
{
#if defined(SYS_renameat2)
    /* musl has neither the name nor the call. */
    const unsigned no_replace = 1;
    if (syscall(SYS_renameat2, from->at, from->path, to->at, to->path, no_replace) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
#elif defined(RENAME_EXCL)
    if (renameatx_np(from->at, from->path, to->at, to->path, RENAME_EXCL) == 0) {
        return 0;
    }
    if (errno != ENOTSUP) {
        return -1;
    }
#endif
    return rename_in_two_steps(from, to);
}

static int rename_name(const epio_op *op, const epio__place *from, const epio__place *to)
{
    if ((op->flags & EPIO_RENAME_NO_REPLACE) != 0) {
        return epio__rename_without_replacing(from, to);
    }
    int outcome = renameat(from->at, from->path, to->at, to->path);
    if (outcome != 0 && errno == EEXIST) { /* XFS, as POSIX allows it */
        errno = ENOTEMPTY;
    }
    return outcome;
}

/* As they are written; otherwise it is flushed twice. */
static bool share_directory(const char *path, const char *other)
{
    char one[PATH_MAX];
    char two[PATH_MAX];
    return epio__directory_of(path, one, sizeof one) &&
           epio__directory_of(other, two, sizeof two) && strcmp(one, two) == 0;
}

/* Flushes the new directory first, then the old: at no moment is the file durably absent from
 * both. */
static int64_t rename_durably(epio_op *op, const epio__place *at, const epio__place *to_at)
{
    epio__durable to = {.descriptor = -1};
    epio__durable from = {.descriptor = -1};
    bool one = share_directory(op->arguments.path.path, op->arguments.path.to);
    if ((!one && epio__durable_begin(&from, at->at, at->path) != 0) ||
        epio__durable_begin(&to, to_at->at, to_at->path) != 0 || rename_name(op, at, to_at) != 0) {
        epio__durable_drop(&from);
        epio__durable_drop(&to);
        return epio__op_fail(op);
    }
    int64_t result = epio__durable_finish(&to, op);
    if (result == 0 && !one) {
        return epio__durable_finish(&from, op);
    }
    epio__durable_drop(&from);
    return result;
}

int64_t epio__os_rename(epio_op *op)
{
    epio__place from;
    epio__place to;
    int64_t result;
    if ((op->flags & EPIO_RENAME_KEEP_METADATA) != 0) {
        return EPIO_ENOTSUP; /* no system has a call for it */
    }
    if (epio__place_begin(&from, op, op->arguments.path.path, false) != 0) {
        return epio__op_fail(op);
    }
    if (epio__place_begin(&to, op, op->arguments.path.to, false) != 0) {
        result = epio__op_fail(op);
    } else {
        if ((op->flags & EPIO_RENAME_SYNC_DIR) != 0) {
            result = rename_durably(op, &from, &to);
        } else {
            result = rename_name(op, &from, &to) == 0 ? 0 : epio__op_fail(op);
        }
        epio__place_end(&to);
    }
    epio__place_end(&from);
    return result;
}

/* ---- Access ---- */

static int64_t is_accessible(epio_op *op, int at, const char *path, void *with)
{
    int mode = F_OK;
    (void)with;
    if (op->flags == EPIO_ACCESS_READ) {
        mode = R_OK;
    } else if (op->flags == EPIO_ACCESS_READWRITE) {
        mode = R_OK | W_OK;
    }
    int follow = epio__place_flag(op, true);
    int outcome = faccessat(at, path, mode, AT_EACCESS | follow);
    if (outcome != 0 && errno == EINVAL && follow != 0) {
        outcome = faccessat(at, path, mode, AT_EACCESS); /* not every system knows the flag */
    }
    return outcome == 0 ? 1 : -1;
}

int64_t epio__os_access(epio_op *op)
{
    int64_t result = epio__op_on_place(op, true, is_accessible, NULL);
    switch (result < 0 ? op->os_error : 0) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        op->os_error = 0;
        return 0;
    default:
        return result;
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
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        errno = ENOENT;
        return -1;
    }
    if (!epio__directory_of(path, directory, sizeof directory) ||
        realpath(directory, real_directory) == NULL ||
        !join(resolved, PATH_MAX, real_directory, name)) {
        return -1;
    }
    if (name[0] == '\0') { /* only a directory may be there */
        errno = EISDIR;
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
#if defined(__linux__)

static int path_of_directory(int directory, char *path)
{
    struct stat status;
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    if (len < 0) {
        errno = ENOTSUP; /* there is no /proc */
        return -1;
    }
    path[len] = '\0';
    if (fstat(directory, &status) == 0 && status.st_nlink == 0) {
        errno = ENOENT; /* it was removed, and the path says so in a way that may be a name */
        return -1;
    }
    return 0;
}

#elif defined(F_GETPATH)

static int path_of_directory(int directory, char *path)
{
    return fcntl(directory, F_GETPATH, path);
}

#else

/* The name of what has this identity: 0, or -1 and errno. */
static int find_name(int parent, const struct stat *child, char *name, size_t size)
{
    int own = fcntl(parent, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    DIR *stream = own >= 0 ? fdopendir(own) : NULL;
    const struct dirent *found = NULL;
    if (stream == NULL) {
        if (own >= 0) {
            (void)close(own);
        }
        return -1;
    }
    while ((found = readdir(stream)) != NULL) {
        struct stat status;
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0 &&
            fstatat(parent, found->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_dev == child->st_dev && status.st_ino == child->st_ino) {
            (void)snprintf(name, size, "%s", found->d_name);
            break;
        }
    }
    (void)closedir(stream);
    errno = ENOENT; /* it was removed */
    return found != NULL ? 0 : -1;
}

/* Puts "/name" before what is there. */
static int prepend(char *path, const char *name)
{
    size_t len = strlen(name);
    size_t rest = strlen(path);
    if (len + 1 + rest >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memmove(path + len + 1, path, rest + 1);
    path[0] = '/';
    memcpy(path + 1, name, len);
    return 0;
}

/* 1: went up. 0: it is the root. -1: errno. */
static int go_up(int *here, char *path)
{
    struct stat me;
    struct stat above;
    char name[NAME_MAX + 1];
    int parent = epio__descriptor_open(*here, "..", O_RDONLY | O_DIRECTORY, 0);
    if (parent < 0) {
        return -1;
    }
    int outcome = fstat(*here, &me) == 0 && fstat(parent, &above) == 0 ? 1 : -1;
    if (outcome > 0 && me.st_dev == above.st_dev && me.st_ino == above.st_ino) {
        outcome = 0;
    } else if (outcome > 0 &&
               (find_name(parent, &me, name, sizeof name) != 0 || prepend(path, name) != 0)) {
        outcome = -1;
    }
    int error = errno;
    (void)close(*here);
    *here = parent;
    errno = error;
    return outcome;
}

/* As getcwd(3) finds that of the process's: up to the root, by the names in each parent. */
static int path_of_directory(int directory, char *path)
{
    int here = fcntl(directory, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int outcome = here >= 0 ? 1 : -1;
    path[0] = '\0';
    while (outcome > 0) {
        outcome = go_up(&here, path);
    }
    int error = errno;
    if (here >= 0) {
        (void)close(here);
    }
    errno = error;
    if (outcome == 0 && path[0] == '\0') {
        memcpy(path, "/", 2);
    }
    return outcome;
}

#endif

int epio__resolve_new_path(int at, const char *path, char *resolved)
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

int epio__resolve_path(int at, const char *path, char *resolved)
{
    int outcome = epio__resolve_new_path(at, path, resolved);
    if (outcome != 0 && errno == EISDIR) {
        errno = ENOENT;
    }
    return outcome;
}

/* Of a place whose last part is no link any more. */
static int path_of_place(const epio__place *place, char *resolved)
{
#if EPIO__HAS_PROC_NAMES
    return path_of_directory(place->opened, resolved);
#else
    char directory[PATH_MAX];
    if (strcmp(place->path, ".") == 0) {
        return path_of_directory(place->at, resolved);
    }
    bool found = path_of_directory(place->at, directory) == 0 &&
                 join(resolved, PATH_MAX, directory, place->path);
    return found ? 0 : -1;
#endif
}

/* Beneath a directory that confines: what is there, or the name in its directory. */
static int resolve_confined(const epio_op *op, char *resolved)
{
    epio__place place;
    char directory[PATH_MAX];
    const char *path = op->arguments.path.path;
    if (epio__place_begin(&place, op, path, true) == 0) {
        int outcome = path_of_place(&place, resolved);
        epio__place_end(&place);
        return outcome;
    }
    if (errno != ENOENT || epio__place_begin_missing(&place, op, path) != 0) {
        return -1;
    }
    size_t last;
    bool named = epio__find_last_part(place.path, &last) && strchr(place.path, '/') == NULL;
    bool joined = named && path_of_directory(place.at, directory) == 0 &&
                  join(resolved, PATH_MAX, directory, place.path);
    errno = named ? errno : ENOENT;
    epio__place_end(&place);
    return joined ? 0 : -1;
}

/* Is a part of the path a symbolic link? What is behind one is not looked at. */
static bool passes_link(int at, const char *path)
{
    char part[PATH_MAX];
    size_t len = strspn(path, "/");
    while (path[len] != '\0' && len < sizeof part) {
        len += strcspn(path + len, "/");
        if (len >= sizeof part) {
            break;
        }
        memcpy(part, path, len);
        part[len] = '\0';
        if (epio__is_link(at, part)) {
            return true;
        }
        len += strspn(path + len, "/");
    }
    return false;
}

int64_t epio__os_full_pathname(epio_op *op)
{
    char resolved[PATH_MAX];
    int outcome = epio__op_is_confined(op)
                      ? resolve_confined(op, resolved)
                      : epio__resolve_path(epio__at(op), op->arguments.path.path, resolved);
    if (outcome != 0) {
        return epio__op_fail(op);
    }
    size_t len = strlen(resolved);
    if (len >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    memcpy(op->arguments.path.buffer, resolved, len + 1);
    bool unchanged = strcmp(resolved, op->arguments.path.path) == 0; /* by far the most */
    if (!unchanged && passes_link(epio__at(op), op->arguments.path.path)) {
        op->notes |= EPIO_NOTE_FOLLOWED_LINK;
    }
    return (int64_t)len;
}
