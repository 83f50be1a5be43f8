/* Extended attributes, of a path or of an open file: xattr(7) on Linux; nothing elsewhere. */
#include "posix/place.h"

#if defined(__linux__)

#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>

static bool follows(const epio_op *op)
{
    return (op->flags & EPIO_XATTR_NOFOLLOW) == 0;
}

static int descriptor_of(const epio_op *op)
{
    return (int)epio__os_file_of(op)->handle;
}

/* The system's call for the op: of a path, or without one of the op's file. */
static int64_t call(const epio_op *op, const char *path)
{
    const char *name = op->arguments.path.to;
    void *buffer = op->arguments.path.buffer;
    size_t len = (size_t)op->arguments.path.len;
    int how = (op->flags & EPIO_XATTR_CREATE) != 0 ? XATTR_CREATE : 0;
    how |= (op->flags & EPIO_XATTR_REPLACE) != 0 ? XATTR_REPLACE : 0;
    switch (op->kind) {
    case EPIO_KIND_GET_XATTR:
        return follows(op) ? getxattr(path, name, buffer, len) : lgetxattr(path, name, buffer, len);
    case EPIO_KIND_SET_XATTR:
        return follows(op) ? setxattr(path, name, buffer, len, how)
                           : lsetxattr(path, name, buffer, len, how);
    case EPIO_KIND_LIST_XATTRS:
        return follows(op) ? listxattr(path, buffer, len) : llistxattr(path, buffer, len);
    case EPIO_KIND_REMOVE_XATTR:
        return follows(op) ? removexattr(path, name) : lremovexattr(path, name);
    case EPIO_KIND_FILE_GET_XATTR:
        return fgetxattr(descriptor_of(op), name, buffer, len);
    case EPIO_KIND_FILE_SET_XATTR:
        return fsetxattr(descriptor_of(op), name, buffer, len, how);
    case EPIO_KIND_FILE_LIST_XATTRS:
        return flistxattr(descriptor_of(op), buffer, len);
    default:
        return fremovexattr(descriptor_of(op), name);
    }
}

/* The calls take a path from the process's directory alone. `room` has PATH_MAX. NULL and errno: it
 * is too long. */
static const char *from_here(int at, const char *path, char *room)
{
    if (at == AT_FDCWD || path[0] == '/') {
        return path;
    }
    if (snprintf(room, PATH_MAX, "/proc/self/fd/%d/%s", at, path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return room;
}

static int64_t call_on_path(epio_op *op, int at, const char *path, void *with)
{
    char room[PATH_MAX];
    const char *whole = from_here(at, path, room);
    (void)with;
    int64_t outcome = whole != NULL ? call(op, whole) : -1;
    if (outcome < 0 && whole == room) {
        epio__note_missing_proc(at);
    }
    return outcome;
}

/* An attribute that is missing, and a value that is too long for any file system, have errors of
 * their own on Linux. */
static int64_t rename_error(const epio_op *op, int64_t result)
{
    bool sets = op->kind == EPIO_KIND_SET_XATTR || op->kind == EPIO_KIND_FILE_SET_XATTR;
    if (op->os_error == ENODATA) {
        return EPIO_ENOENT;
    }
    return sets && op->os_error == E2BIG ? EPIO_ERANGE : result;
}

int64_t epio__os_xattr(epio_op *op)
{
    int64_t result = 0;
    if (epio__op_is(op, EPIO__KIND_ON_PATH)) {
        result = epio__op_on_file(op, follows(op), call_on_path, NULL);
    } else {
        result = call(op, NULL);
        result = result >= 0 ? result : epio__op_fail(op);
    }
    return result < 0 ? rename_error(op, result) : result;
}

#else

int64_t epio__os_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

#endif
