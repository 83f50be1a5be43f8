/* See path_verbs.h. */
#include "path_verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/xattr.h>
#endif

#define VERB(name) static int64_t verb_##name(const verb_runner *runner, const verb_paths *at)
#define CALL(name) static int64_t call_##name(const verb_paths *at, path_start start)

int64_t runner_result(const verb_runner *runner, epio_op *op)
{
#if EPIO_ASYNC
    if (runner->waits) {
        return epio_wait(op);
    }
#endif
    (void)runner;
    return epio_perform(op);
}

static int64_t outcome_of(int64_t outcome)
{
    return outcome >= 0 ? outcome : -errno;
}

/* ---- Opens ------------------------------------------------------------------------------ */

static int64_t open_it(const verb_runner *runner, const char *path, uint32_t flags)
{
    epio_op op = {0};
    int64_t result = runner_result(runner, epio_open(&op, runner->vfs, path, flags));
    check((op.file != NULL) == (result == 0));
    if (result == 0) {
        epio_file *file = op.file;
        check_result(runner_result(runner, epio_close(&op, file)), 0);
    }
    return result;
}

/* A directory is EISDIR where it was not asked for. */
static int64_t call_open(const char *path, int flags)
{
    struct stat status;
    int file = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (file < 0) {
        return -errno;
    }
    check(fstat(file, &status) == 0 && close(file) == 0);
    return S_ISDIR(status.st_mode) && (flags & O_DIRECTORY) == 0 ? -EISDIR : 0;
}

#define OPEN(name, flags, system)                                                                  \
    VERB(name)                                                                                     \
    {                                                                                              \
        return open_it(runner, at->path, flags);                                                   \
    }                                                                                              \
    CALL(name)                                                                                     \
    {                                                                                              \
        (void)start;                                                                               \
        return call_open(at->path, system);                                                        \
    }

OPEN(read, EPIO_OPEN_READ, O_RDONLY)
OPEN(write, EPIO_OPEN_WRITE, O_WRONLY)
OPEN(read_write, EPIO_OPEN_READ | EPIO_OPEN_WRITE, O_RDWR)
OPEN(nofollow, EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW, O_RDONLY | O_NOFOLLOW)
OPEN(create, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE, O_WRONLY | O_CREAT)
OPEN(exclusive, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE,
     O_WRONLY | O_CREAT | O_EXCL)
OPEN(overwrite, EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE, O_WRONLY | O_TRUNC)
OPEN(directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY, O_RDONLY | O_DIRECTORY)

/* ---- Names ------------------------------------------------------------------------------ */

VERB(delete)
{
    epio_op op = {0};
    return runner_result(runner, epio_delete(&op, runner->vfs, at->path, 0));
}

/* A directory is EISDIR, also where the system says EPERM. */
CALL(delete)
{
    struct stat status;
    (void)start;
    int64_t outcome = outcome_of(unlink(at->path));
    bool directory = lstat(at->path, &status) == 0 && S_ISDIR(status.st_mode);
    return outcome == -EPERM && directory ? -EISDIR : outcome;
}

/* A directory that is not empty is ENOTEMPTY, also where the system says EEXIST. */
static int64_t call_rename(const char *from, const char *to)
{
    int64_t outcome = outcome_of(rename(from, to));
    return outcome == -EEXIST ? -ENOTEMPTY : outcome;
}

#define RENAME(name, to)                                                                           \
    VERB(name)                                                                                     \
    {                                                                                              \
        epio_op op = {0};                                                                          \
        return runner_result(runner, epio_rename(&op, runner->vfs, at->path, to, 0));              \
    }                                                                                              \
    CALL(name)                                                                                     \
    {                                                                                              \
        (void)start;                                                                               \
        return call_rename(at->path, to);                                                          \
    }

RENAME(rename_fresh, at->fresh)
RENAME(rename_other, at->other)
RENAME(rename_directory, at->directory)
RENAME(rename_moved, at->moved)

VERB(rename_over)
{
    epio_op op = {0};
    return runner_result(runner, epio_rename(&op, runner->vfs, at->other, at->path, 0));
}

CALL(rename_over)
{
    (void)start;
    return call_rename(at->other, at->path);
}

#if defined(SYS_renameat2)

static int64_t call_rename2(const char *from, const char *to, unsigned flags)
{
    return outcome_of(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags));
}

VERB(no_replace)
{
    epio_op op = {0};
    return runner_result(
        runner, epio_rename(&op, runner->vfs, at->path, at->other, EPIO_RENAME_NO_REPLACE));
}

CALL(no_replace)
{
    (void)start;
    return call_rename2(at->path, at->other, 1);
}

VERB(no_replace_fresh)
{
    epio_op op = {0};
    return runner_result(
        runner, epio_rename(&op, runner->vfs, at->path, at->fresh, EPIO_RENAME_NO_REPLACE));
}

CALL(no_replace_fresh)
{
    (void)start;
    return call_rename2(at->path, at->fresh, 1);
}

VERB(exchange)
{
    epio_op op = {0};
    return runner_result(runner, epio_exchange(&op, runner->vfs, at->path, at->other, 0));
}

CALL(exchange)
{
    (void)start;
    return call_rename2(at->path, at->other, 2);
}

#endif

VERB(link_file)
{
    epio_op op = {0};
    return runner_result(runner, epio_link_file(&op, runner->vfs, at->path, at->fresh, 0));
}

CALL(link_file)
{
    (void)start;
    return outcome_of(linkat(AT_FDCWD, at->path, AT_FDCWD, at->fresh, 0));
}

VERB(symlink)
{
    epio_op op = {0};
    return runner_result(runner, epio_symlink(&op, runner->vfs, "any text", at->path, 0));
}

CALL(symlink)
{
    (void)start;
    return outcome_of(symlink("any text", at->path));
}

VERB(read_link)
{
    epio_op op = {0};
    char text[PATH_MAX];
    return runner_result(runner, epio_read_link(&op, runner->vfs, at->path, text, sizeof text));
}

CALL(read_link)
{
    char text[PATH_MAX];
    (void)start;
    return outcome_of(readlink(at->path, text, sizeof text));
}

/* ---- Directories ------------------------------------------------------------------------ */

VERB(mkdir)
{
    epio_op op = {0};
    return runner_result(runner, epio_mkdir(&op, runner->vfs, at->path, 0));
}

CALL(mkdir)
{
    (void)start;
    return outcome_of(mkdir(at->path, 0777));
}

VERB(parents)
{
    epio_op op = {0};
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/p/q", at->path) >= (int)sizeof path) {
        return EPIO_ENAMETOOLONG;
    }
    return runner_result(runner, epio_mkdir(&op, runner->vfs, path, EPIO_MKDIR_PARENTS));
}

/* The length without the last part. */
static size_t above(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

/* As mkdir -p. */
static int64_t make_all(const char *path, size_t len)
{
    char part[PATH_MAX];
    struct stat status;
    (void)snprintf(part, sizeof part, "%.*s", (int)len, path);
    if (mkdir(part, 0777) == 0) {
        return 0;
    }
    if (errno == ENOENT && above(path, len) != 0) {
        int64_t outcome = make_all(path, above(path, len));
        if (outcome != 0 || mkdir(part, 0777) == 0) {
            return outcome;
        }
    }
    int error = errno;
    return error == EEXIST && stat(part, &status) == 0 && S_ISDIR(status.st_mode) ? 0 : -error;
}

CALL(parents)
{
    char path[PATH_MAX];
    (void)start;
    return snprintf(path, sizeof path, "%s/p/q", at->path) < (int)sizeof path
               ? make_all(path, strlen(path))
               : -ENAMETOOLONG;
}

VERB(rmdir)
{
    epio_op op = {0};
    return runner_result(runner, epio_rmdir(&op, runner->vfs, at->path, 0));
}

/* Beneath a directory ".." is resolved before, and what is left of it is ".". */
CALL(rmdir)
{
    size_t len = strlen(at->path);
    int64_t outcome = outcome_of(rmdir(at->path));
    bool up = len > 3 && strcmp(at->path + len - 3, "/..") == 0;
    return outcome == -ENOTEMPTY && up && start == BENEATH_DIRECTORY ? -EINVAL : outcome;
}

VERB(list)
{
    epio_op op = {0};
    _Alignas(uint64_t) char names[1024];
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY;
    int64_t result = runner_result(runner, epio_open(&op, runner->vfs, at->path, flags));
    if (result == 0) {
        epio_file *file = op.file;
        result = runner_result(runner, epio_list(&op, file, names, sizeof names, 0));
        check_result(runner_result(runner, epio_close(&op, file)), 0);
    }
    return result;
}

VERB(walk)
{
    epio_op op = {0};
    return runner_result(runner, epio_walk(&op, runner->vfs, at->path, NULL));
}

VERB(sync_directory)
{
    epio_op op = {0};
    return runner_result(runner, epio_sync_directory(&op, runner->vfs, at->path));
}

/* One that may be searched but not read is synced by one above it. */
CALL(sync_directory)
{
    int64_t outcome = call_directory(at, start);
#if defined(__linux__)
    char above[PATH_MAX];
    struct stat status;
    (void)snprintf(above, sizeof above, "%s/..", at->path);
    if (outcome == -EACCES && stat(above, &status) == 0) {
        return 0;
    }
#endif
    return outcome;
}

/* ---- Temporary files and directories ---------------------------------------------------- */

VERB(temporary_directory)
{
    epio_op op = {0};
    char path[2 * PATH_MAX];
    return runner_result(runner,
                         epio_temporary_directory(&op, runner->vfs, at->path, path, sizeof path));
}

CALL(temporary_directory)
{
    char path[PATH_MAX + 16];
    (void)start;
    (void)snprintf(path, sizeof path, "%s/epio-test", at->path);
    return outcome_of(mkdir(path, 0700));
}

#if defined(__linux__)

static int64_t name_temporary(const verb_runner *runner, const verb_paths *at, uint32_t flags)
{
    epio_op op = {0};
    verb_runner whole = *runner;
    int64_t result = runner_result(
        &whole, epio_open(&op, runner->vfs, at->top, EPIO_OPEN_TEMPORARY | EPIO_OPEN_WRITE));
    if (result == 0) {
        epio_file *file = op.file;
        result = runner_result(runner, epio_name_temporary(&op, file, at->path, flags));
        check_result(runner_result(runner, epio_close(&op, file)), 0);
    }
    return result;
}

static int64_t call_name(const verb_paths *at, bool replaces)
{
    char link[64];
    char fresh[PATH_MAX + 16];
    int64_t outcome = 0;
    int file = open(at->top, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0) {
        return -errno;
    }
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (linkat(AT_FDCWD, link, AT_FDCWD, at->path, AT_SYMLINK_FOLLOW) != 0) {
        outcome = -errno;
    }
    if (outcome == -EEXIST && replaces) {
        (void)snprintf(fresh, sizeof fresh, "%.*s/epio-test",
                       (int)above(at->path, strlen(at->path)), at->path);
        outcome = outcome_of(linkat(AT_FDCWD, link, AT_FDCWD, fresh, AT_SYMLINK_FOLLOW));
        if (outcome == 0 && rename(fresh, at->path) != 0) {
            outcome = -errno;
            check(unlink(fresh) == 0);
        }
        /* That it is a directory is known before the right to replace it is asked for. */
        struct stat status;
        bool denied = outcome == -EACCES || outcome == -EPERM;
        if (denied && lstat(at->path, &status) == 0 && S_ISDIR(status.st_mode)) {
            outcome = -EISDIR;
        }
    }
    check(close(file) == 0);
    return outcome;
}

VERB(name_temporary)
{
    return name_temporary(runner, at, 0);
}

CALL(name_temporary)
{
    (void)start;
    return call_name(at, true);
}

VERB(name_fresh)
{
    return name_temporary(runner, at, EPIO_NAME_NO_REPLACE);
}

CALL(name_fresh)
{
    (void)start;
    return call_name(at, false);
}

#endif

/* ---- Metadata --------------------------------------------------------------------------- */

/* An absent file is an answer. */
#define ACCESS(name, mode, system)                                                                 \
    VERB(name)                                                                                     \
    {                                                                                              \
        epio_op op = {0};                                                                          \
        return runner_result(runner, epio_access(&op, runner->vfs, at->path, mode));               \
    }                                                                                              \
    CALL(name)                                                                                     \
    {                                                                                              \
        (void)start;                                                                               \
        bool can = faccessat(AT_FDCWD, at->path, system, AT_EACCESS) == 0;                         \
        bool known = can || errno == ENOENT || errno == ENOTDIR || errno == EACCES ||              \
                     errno == EPERM || errno == EROFS || errno == ETXTBSY;                         \
        return known ? can : -errno;                                                               \
    }

ACCESS(exists, EPIO_ACCESS_EXISTS, F_OK)
ACCESS(may_read, EPIO_ACCESS_READ, R_OK)
ACCESS(may_write, EPIO_ACCESS_READWRITE, R_OK | W_OK)

#define STAT(name, flags, system)                                                                  \
    VERB(name)                                                                                     \
    {                                                                                              \
        epio_op op = {0};                                                                          \
        epio_info info = {.size = sizeof info};                                                    \
        int64_t result =                                                                           \
            runner_result(runner, epio_stat(&op, runner->vfs, at->path, &info, flags));            \
        return result == 0 ? (int64_t)info.mode : result;                                          \
    }                                                                                              \
    CALL(name)                                                                                     \
    {                                                                                              \
        struct stat status;                                                                        \
        (void)start;                                                                               \
        return system(at->path, &status) == 0 ? (int64_t)(status.st_mode & 07777) : -errno;        \
    }

STAT(stat, 0, stat)
STAT(stat_link, EPIO_STAT_NOFOLLOW, lstat)

static const epio_times some_times = {sizeof some_times, 5000000000, 7000000000, EPIO_TIME_KEEP};
static const epio_times present = {sizeof present, EPIO_TIME_NOW, EPIO_TIME_NOW, EPIO_TIME_KEEP};
static const struct timespec some_specs[2] = {{7, 0}, {5, 0}};
static const struct timespec present_specs[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};

/* A verb that sets something, and its system call. */
#define SET(name, call_of_verb, system)                                                            \
    VERB(name)                                                                                     \
    {                                                                                              \
        epio_op op = {0};                                                                          \
        return runner_result(runner, call_of_verb);                                                \
    }                                                                                              \
    CALL(name)                                                                                     \
    {                                                                                              \
        (void)start;                                                                               \
        return outcome_of(system);                                                                 \
    }

#define NOFOLLOW AT_SYMLINK_NOFOLLOW
SET(set_times, epio_set_times(&op, runner->vfs, at->path, &some_times, 0),
    utimensat(AT_FDCWD, at->path, some_specs, 0))
SET(set_present, epio_set_times(&op, runner->vfs, at->path, &present, 0),
    utimensat(AT_FDCWD, at->path, present_specs, 0))
SET(set_times_of_link, epio_set_times(&op, runner->vfs, at->path, &some_times, EPIO_SET_NOFOLLOW),
    utimensat(AT_FDCWD, at->path, some_specs, NOFOLLOW))
SET(set_mode, epio_set_mode(&op, runner->vfs, at->path, 0640, 0), chmod(at->path, 0640))
SET(set_mode_bits, epio_set_mode(&op, runner->vfs, at->path, 06755, 0), chmod(at->path, 06755))
SET(keep_owner, epio_set_owner(&op, runner->vfs, at->path, EPIO_OWNER_KEEP, EPIO_OWNER_KEEP, 0),
    chown(at->path, (uid_t)-1, (gid_t)-1))
SET(set_own_group, epio_set_owner(&op, runner->vfs, at->path, EPIO_OWNER_KEEP, getegid(), 0),
    chown(at->path, (uid_t)-1, getegid()))
SET(set_owner, epio_set_owner(&op, runner->vfs, at->path, 12, 12, 0), chown(at->path, 12, 12))
SET(set_owner_of_link, epio_set_owner(&op, runner->vfs, at->path, 12, 12, EPIO_SET_NOFOLLOW),
    lchown(at->path, 12, 12))

#if defined(__linux__)
SET(set_xattr, epio_set_xattr(&op, runner->vfs, at->path, "user.x", "1", 1, 0),
    setxattr(at->path, "user.x", "1", 1, 0))
SET(set_xattr_of_link,
    epio_set_xattr(&op, runner->vfs, at->path, "user.x", "1", 1, EPIO_XATTR_NOFOLLOW),
    lsetxattr(at->path, "user.x", "1", 1, 0))
SET(list_xattrs, epio_list_xattrs(&op, runner->vfs, at->path, NULL, 0, 0),
    listxattr(at->path, NULL, 0))

/* An attribute that is not there is ENOENT. */
VERB(get_xattr)
{
    epio_op op = {0};
    return runner_result(runner, epio_get_xattr(&op, runner->vfs, at->path, "user.x", NULL, 0, 0));
}

CALL(get_xattr)
{
    (void)start;
    int64_t outcome = outcome_of(getxattr(at->path, "user.x", NULL, 0));
    return outcome;
}

VERB(remove_xattr)
{
    epio_op op = {0};
    return runner_result(runner, epio_remove_xattr(&op, runner->vfs, at->path, "user.x", 0));
}

CALL(remove_xattr)
{
    (void)start;
    int64_t outcome = outcome_of(removexattr(at->path, "user.x"));
    return outcome;
}
#endif

VERB(file_system)
{
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    return runner_result(runner, epio_file_system_info(&op, runner->vfs, at->path, &info));
}

CALL(file_system)
{
    struct statvfs status;
    (void)start;
    return outcome_of(statvfs(at->path, &status));
}

/* ---- Full pathnames --------------------------------------------------------------------- */

VERB(full_pathname)
{
    epio_op op = {0};
    char path[PATH_MAX];
    return runner_result(runner, epio_full_pathname(&op, runner->vfs, at->path, path, sizeof path));
}

/* realpath(3), but that the file itself may be missing; then its directory's, and the name. A link
 * that dangles leads on. */
CALL(full_pathname)
{
    char path[PATH_MAX];
    char above[PATH_MAX];
    char target[PATH_MAX];
    struct stat status;
    if (realpath(at->path, path) != NULL) {
        return (int64_t)strlen(path);
    }
    if (errno != ENOENT) {
        return -errno;
    }
    (void)snprintf(above, sizeof above, "%s", at->path);
    char *name = strrchr(above, '/');
    *name++ = '\0';
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        realpath(above, path) == NULL) {
        return -ENOENT;
    }
    if (lstat(at->path, &status) == 0) {
        ssize_t len = readlink(at->path, target, sizeof target - 1);
        check(len > 0);
        target[len] = '\0';
        name = target;
    }
    (void)start;
    return (int64_t)(strlen(path) + 1 + strlen(name));
}

/* ---- All of them ------------------------------------------------------------------------ */

#define ROW(name, traits)                                                                          \
    {                                                                                              \
#name, verb_##name, call_##name, traits                                                    \
    }

const path_verb path_verbs[] = {
    ROW(read, 0),
    ROW(write, VERB_WRITES_FIFO),
    ROW(read_write, 0),
    ROW(nofollow, 0),
    ROW(create, VERB_CHANGES | VERB_WRITES_FIFO),
    ROW(exclusive, VERB_CHANGES),
    ROW(overwrite, VERB_CHANGES | VERB_WRITES_FIFO),
    ROW(directory, 0),
    {"list", verb_list, call_directory, 0},
    {"walk", verb_walk, call_directory, 0},
    ROW(delete, VERB_CHANGES),
    ROW(rename_fresh, VERB_CHANGES),
    ROW(rename_other, VERB_CHANGES),
    ROW(rename_directory, VERB_CHANGES),
    ROW(rename_moved, VERB_CHANGES),
    ROW(rename_over, VERB_CHANGES),
#if defined(SYS_renameat2)
    ROW(no_replace, VERB_CHANGES),
    ROW(no_replace_fresh, VERB_CHANGES),
    ROW(exchange, VERB_CHANGES),
#endif
    ROW(link_file, VERB_CHANGES),
    ROW(symlink, VERB_CHANGES),
    ROW(read_link, VERB_IS_EXACT),
    ROW(mkdir, VERB_CHANGES),
    ROW(parents, VERB_CHANGES),
    ROW(rmdir, VERB_CHANGES),
    ROW(sync_directory, VERB_WAITS),
    ROW(temporary_directory, VERB_CHANGES | VERB_NOT_BENEATH),
#if defined(__linux__)
    ROW(name_temporary, VERB_CHANGES | VERB_NOT_BENEATH),
    ROW(name_fresh, VERB_CHANGES | VERB_NOT_BENEATH),
    ROW(set_xattr, 0),
    ROW(get_xattr, 0),
    ROW(list_xattrs, VERB_IS_EXACT),
    ROW(remove_xattr, 0),
    ROW(set_xattr_of_link, 0),
#endif
    ROW(exists, VERB_IS_EXACT),
    ROW(may_read, VERB_IS_EXACT),
    ROW(may_write, VERB_IS_EXACT),
    ROW(stat, VERB_IS_EXACT),
    ROW(stat_link, VERB_IS_EXACT),
    ROW(set_times, 0),
    ROW(set_present, 0),
    ROW(set_times_of_link, 0),
    ROW(set_mode, VERB_CHANGES),
    ROW(set_mode_bits, VERB_CHANGES),
    ROW(keep_owner, VERB_CHANGES),
    ROW(set_own_group, VERB_CHANGES),
    ROW(set_owner, VERB_CHANGES),
    ROW(set_owner_of_link, VERB_CHANGES),
    ROW(file_system, VERB_OPENS_BENEATH),
    ROW(full_pathname, VERB_IS_EXACT),
};

const size_t path_verbs_count = sizeof path_verbs / sizeof path_verbs[0];
