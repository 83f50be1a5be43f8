/* Links: further names of a file, symbolic links; and the exchange of two names. */
#include "posix/place.h"

#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#else
#include <stdio.h>
#endif

/* ---- Two names ---- */

/* Both paths of the op: the call's outcome, as the op's result. `follows`: a link in the last part
 * of the first. */
static int64_t on_both(epio_op *op, bool follows,
                       int (*call)(const epio__place *one, const epio__place *other))
{
    epio__place one;
    epio__place other;
    if (epio__place_begin(&one, op, op->arguments.path.path, follows) != 0) {
        return epio__op_fail(op);
    }
    int outcome = epio__place_begin(&other, op, op->arguments.path.to, false);
    if (outcome == 0) {
        outcome = call(&one, &other);
        epio__place_end(&other);
    }
    epio__place_end(&one);
    return outcome == 0 ? 0 : epio__op_fail(op);
}

static int link_names(const epio__place *from, const epio__place *to)
{
    return linkat(from->at, from->path, to->at, to->path, 0);
}

int64_t epio__os_link_file(epio_op *op)
{
    return on_both(op, epio__path_is_followed(op->arguments.path.path, false), link_names);
}

static int exchange_names(const epio__place *one, const epio__place *other)
{
#if defined(SYS_renameat2)
    const unsigned exchange = 2;
    int outcome = (int)syscall(SYS_renameat2, one->at, one->path, other->at, other->path, exchange);
    if (outcome != 0 && errno == ENOSYS) {
        errno = EOPNOTSUPP;
    }
    return outcome;
#elif defined(RENAME_SWAP)
    return renameatx_np(one->at, one->path, other->at, other->path, RENAME_SWAP);
#else
    (void)one;
    (void)other;
    errno = EOPNOTSUPP;
    return -1;
#endif
}

int64_t epio__os_exchange(epio_op *op)
{
    return on_both(op, false, exchange_names);
}

/* ---- Symbolic links ---- */

static int64_t make_link(epio_op *op, int at, const char *path, void *with)
{
    (void)with;
    return symlinkat(op->arguments.path.to, at, path);
}

int64_t epio__os_symlink(epio_op *op)
{
    return epio__op_on_place(op, false, make_link, NULL);
}

/* A target that fills the buffer may go on. */
static int64_t read_target(epio_op *op, int at, const char *path, void *with)
{
    char *buffer = op->arguments.path.buffer;
    size_t size = (size_t)op->arguments.path.len;
    char none;
    (void)with;
    ssize_t len = readlinkat(at, path, size != 0 ? buffer : &none, size != 0 ? size : 1);
    if (len >= 0 && (size_t)len >= size) {
        errno = ERANGE;
        return -1;
    }
    if (len >= 0) {
        buffer[len] = '\0';
    }
    return len;
}

int64_t epio__os_read_link(epio_op *op)
{
    return epio__op_on_file(op, false, read_target, NULL);
}
