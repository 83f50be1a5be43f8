/* Extended attributes, of a path or of an open file: xattr(7) on Linux; nothing elsewhere. */
#include "posix/posix.h"

#if defined(__linux__)

#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>

static bool has_path(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_PATH);
}

static bool follows(const epio_op *op)
{
    return (op->flags & EPIO_XATTR_NOFOLLOW) == 0;
}

static int descriptor_of(const epio_op *op)
{
    return (int)epio__os_file_of(op)->handle;
}

/* The op's path, which the calls take from the process's directory alone. `room` has PATH_MAX. NULL
 * and errno: it is too long. */
static const char *path_of(const epio_op *op, char *room)
{
    const char *path = op->arguments.path.path;
    if (epio__at(op) == AT_FDCWD || path[0] == '/') {
        return path;
    }
    if (snprintf(room, PATH_MAX, "/proc/self/fd/%d/%s", epio__at(op), path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return room;
}

/* An attribute that is missing has an error of its own on Linux. */
static int64_t end_with(epio_op *op, ssize_t outcome)
{
    if (outcome < 0 && errno == ENODATA) {
        op->os_error = errno;
        return EPIO_ENOENT;
    }
    return outcome >= 0 ? outcome : epio__op_fail(op);
}

int64_t epio__os_get_xattr(epio_op *op)
{
    char room[PATH_MAX];
    const char *name = op->arguments.path.to;
    void *buffer = op->arguments.path.buffer;
    size_t len = (size_t)op->arguments.path.len;
    if (!has_path(op)) {
        return end_with(op, fgetxattr(descriptor_of(op), name, buffer, len));
    }
    const char *path = path_of(op, room);
    if (path == NULL) {
        return epio__op_fail(op);
    }
    return end_with(op, follows(op) ? getxattr(path, name, buffer, len)
                                    : lgetxattr(path, name, buffer, len));
}

int64_t epio__os_set_xattr(epio_op *op)
{
    char room[PATH_MAX];
    const char *name = op->arguments.path.to;
    const void *value = op->arguments.path.buffer;
    size_t len = (size_t)op->arguments.path.len;
    int how = (op->flags & EPIO_XATTR_CREATE) != 0 ? XATTR_CREATE : 0;
    how |= (op->flags & EPIO_XATTR_REPLACE) != 0 ? XATTR_REPLACE : 0;
    if (!has_path(op)) {
        return end_with(op, fsetxattr(descriptor_of(op), name, value, len, how));
    }
    const char *path = path_of(op, room);
    if (path == NULL) {
        return epio__op_fail(op);
    }
    return end_with(op, follows(op) ? setxattr(path, name, value, len, how)
                                    : lsetxattr(path, name, value, len, how));
}

int64_t epio__os_list_xattrs(epio_op *op)
{
    char room[PATH_MAX];
    char *buffer = op->arguments.path.buffer;
    size_t len = (size_t)op->arguments.path.len;
    if (!has_path(op)) {
        return end_with(op, flistxattr(descriptor_of(op), buffer, len));
    }
    const char *path = path_of(op, room);
    if (path == NULL) {
        return epio__op_fail(op);
    }
    return end_with(op, follows(op) ? listxattr(path, buffer, len) : llistxattr(path, buffer, len));
}

int64_t epio__os_remove_xattr(epio_op *op)
{
    char room[PATH_MAX];
    const char *name = op->arguments.path.to;
    if (!has_path(op)) {
        return end_with(op, fremovexattr(descriptor_of(op), name));
    }
    const char *path = path_of(op, room);
    if (path == NULL) {
        return epio__op_fail(op);
    }
    return end_with(op, follows(op) ? removexattr(path, name) : lremovexattr(path, name));
}

#else

int64_t epio__os_get_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_set_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_list_xattrs(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_remove_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

#endif
