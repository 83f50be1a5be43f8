/* The only place that maps errno values to EPIO_E... codes. */
#include "posix/posix.h"

#include <errno.h>

int epio__error_from_os(int32_t os_error)
{
    switch (os_error) {
    case EINVAL:
    case EFAULT:
        return EPIO_EINVAL;
    case ECANCELED:
        return EPIO_ECANCELED;
    case ENOMEM:
    case ENOBUFS:
    case ENOLCK:
        return EPIO_ENOMEM;
    case EIO:
    case ESTALE:
    case ETIMEDOUT: /* of a network file system, not an op's deadline */
        return EPIO_EIO;
    case ENOENT:
        return EPIO_ENOENT;
    case EEXIST:
        return EPIO_EEXIST;
    case EACCES:
        return EPIO_EACCES;
    case EPERM:
        return EPIO_EPERM;
    case EISDIR:
        return EPIO_EISDIR;
    case ENOTDIR:
        return EPIO_ENOTDIR;
    case ELOOP:
    case EMLINK: /* FreeBSD, for O_NOFOLLOW */
        return EPIO_ELOOP;
    case ENAMETOOLONG:
        return EPIO_ENAMETOOLONG;
    case ENOSPC:
    case EDQUOT:
        return EPIO_ENOSPC;
    case EFBIG:
    case EOVERFLOW:
        return EPIO_EFBIG;
    case EMFILE:
    case ENFILE:
        return EPIO_EMFILE;
    case EBADF:
        return EPIO_EBADF;
    case EBUSY:
    case ETXTBSY:
    case EAGAIN:
        return EPIO_EBUSY;
    case EDEADLK:
        return EPIO_EDEADLK;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return EPIO_EPIPE;
    case ESPIPE:
        return EPIO_ESPIPE;
    case EROFS:
        return EPIO_EROFS;
    case EXDEV:
        return EPIO_EXDEV;
    case ENOTEMPTY:
        return EPIO_ENOTEMPTY;
    case ERANGE:
        return EPIO_ERANGE;
    case ENOSYS:
    case ENOTSUP:
#if EOPNOTSUPP != ENOTSUP
    case EOPNOTSUPP:
#endif
        return EPIO_ENOTSUP;
    case ENODEV:
    case ENXIO:
        return EPIO_ENODEV;
#if defined(ENODATA)
    case ENODATA:
        return EPIO_ENODATA;
#endif
    default:
        return EPIO_EUNKNOWN;
    }
}

int64_t epio__op_fail(epio_op *op)
{
    op->os_error = errno;
    return epio__error_from_os(errno);
}

/* Indexed by -EPIO_E.... */
static const int32_t usual_errors[] = {
    [-EPIO_EPENDING] = EINPROGRESS, [-EPIO_EINVAL] = EINVAL,
    [-EPIO_ECANCELED] = ECANCELED,  [-EPIO_ETIMEDOUT] = ETIMEDOUT,
    [-EPIO_ENOMEM] = ENOMEM,        [-EPIO_EIO] = EIO,
    [-EPIO_ENOENT] = ENOENT,        [-EPIO_EEXIST] = EEXIST,
    [-EPIO_EACCES] = EACCES,        [-EPIO_EPERM] = EPERM,
    [-EPIO_EISDIR] = EISDIR,        [-EPIO_ENOTDIR] = ENOTDIR,
    [-EPIO_ELOOP] = ELOOP,          [-EPIO_ENAMETOOLONG] = ENAMETOOLONG,
    [-EPIO_ENOSPC] = ENOSPC,        [-EPIO_EFBIG] = EFBIG,
    [-EPIO_EMFILE] = EMFILE,        [-EPIO_EBADF] = EBADF,
    [-EPIO_EBUSY] = EBUSY,          [-EPIO_ESHARING] = ETXTBSY,
    [-EPIO_EDEADLK] = EDEADLK,      [-EPIO_EPIPE] = EPIPE,
    [-EPIO_ESPIPE] = ESPIPE,        [-EPIO_EROFS] = EROFS,
    [-EPIO_EXDEV] = EXDEV,          [-EPIO_ENOTEMPTY] = ENOTEMPTY,
    [-EPIO_ERANGE] = ERANGE,        [-EPIO_ENOTSUP] = ENOTSUP,
    [-EPIO_ENODEV] = ENODEV,        [-EPIO_ECLOSED] = ECANCELED,
#if defined(ENODATA)
    [-EPIO_ENODATA] = ENODATA,
#else
    [-EPIO_ENODATA] = ENOENT,
#endif
    [-EPIO_EUNKNOWN] = EIO,         [-EPIO_ESQL] = EINVAL,
    [-EPIO_ECORRUPT] = EIO,         [-EPIO_ECHANGED] = ESTALE,
};

int32_t epio__error_to_os(int error)
{
    return usual_errors[-error];
}
