/* A failed flush is never forgotten: the system may have dropped what it could not write, so a
 * later success proves nothing. */
#ifndef EPIO_FLUSH_ERROR_H
#define EPIO_FLUSH_ERROR_H

#include "core/op.h"

enum { EPIO__FLUSH_GOOD, EPIO__FLUSH_FAILING, EPIO__FLUSH_FAILED };

static inline bool epio__flush_has_failed(epio_file *file)
{
    return epio__load_u32(&file->flush_failed) == EPIO__FLUSH_FAILED;
}

/* The same for a write, whose error it sets. */
static inline bool epio__flush_forbids(epio_op *op)
{
    if (!epio__flush_has_failed(op->file)) {
        return false;
    }
    op->os_error = op->file->flush_os_error;
    return true;
}

/* Invalid requests and cancels say nothing about the medium. */
static inline bool epio__flush_sticks(int64_t result)
{
    return result < 0 && result != EPIO_EINVAL && result != EPIO_ENOTSUP &&
           result != EPIO_ECANCELED && result != EPIO_ETIMEDOUT && result != EPIO_ENOMEM &&
           result != EPIO_EBADF && result != EPIO_ECLOSED;
}

/* The result of a flush for its syncs. The first failure is recorded, and from then on every flush
 * fails, whatever its own result: the system reports a failure to only one of several flushes in
 * flight. */
static inline int64_t epio__flush_outcome(epio_file *file, int64_t result, int32_t *os_error)
{
    uint32_t state = EPIO__FLUSH_GOOD;
    /* Two epio_perform may fail at once: one claims the state, then publishes the error. */
    if (epio__flush_sticks(result) &&
        epio__compare_exchange_u32(&file->flush_failed, &state, EPIO__FLUSH_FAILING)) {
        file->flush_os_error = *os_error;
        epio__store_u32(&file->flush_failed, EPIO__FLUSH_FAILED);
        return result;
    }
    if (epio__flush_has_failed(file)) {
        *os_error = file->flush_os_error;
        return EPIO_EIO;
    }
    return result;
}

#endif
