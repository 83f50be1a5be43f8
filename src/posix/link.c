/* Links: further names of a file, symbolic links; and the exchange of two names. */
#include "posix/posix.h"

#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#else
#include <stdio.h>
#endif

static int64_t end_with(epio_op *op, int outcome)
{
    return outcome == 0 ? 0 : epio__op_fail(op);
}

int64_t epio__os_link_file(epio_op *op)
{
    int at = epio__at(op);
    return end_with(op, linkat(at, op->arguments.path.path, at, op->arguments.path.to, 0));
}

int64_t epio__os_symlink(epio_op *op)
{
    return end_with(op, symlinkat(op->arguments.path.to, epio__at(op), op->arguments.path.path));
}

/* A target that fills the buffer may go on. */
int64_t epio__os_read_link(epio_op *op)
{
    char *buffer = op->arguments.path.buffer;
    size_t size = (size_t)op->arguments.path.len;
    char none;
    ssize_t len = readlinkat(epio__at(op), op->arguments.path.path, size != 0 ? buffer : &none,
                             size != 0 ? size : 1);
    if (len < 0) {
        return epio__op_fail(op);
    }
    if ((size_t)len >= size) {
        return EPIO_ERANGE;
    }
    buffer[len] = '\0';
    return len;
}

int64_t epio__os_exchange(epio_op *op)
{
    int at = epio__at(op);
    const char *path = op->arguments.path.path;
    const char *other = op->arguments.path.to;
#if defined(SYS_renameat2)
    const unsigned exchange = 2;
    if (syscall(SYS_renameat2, at, path, at, other, exchange) == 0) {
        return 0;
    }
    /* EINVAL is also a directory and one in it; the file system's lack of it looks the same. */
    return errno == ENOSYS ? EPIO_ENOTSUP : epio__op_fail(op);
#elif defined(RENAME_SWAP)
    return end_with(op, renameatx_np(at, path, at, other, RENAME_SWAP));
#else
    (void)at;
    (void)path;
    (void)other;
    return EPIO_ENOTSUP;
#endif
}
