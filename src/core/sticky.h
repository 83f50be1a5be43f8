/* A failed flush is never forgotten: what the system could not write it may
 * have dropped, so later flushes that succeed prove nothing. */
#ifndef EPIO_STICKY_H
#define EPIO_STICKY_H

#include "core/op.h"

enum { EPIO__FLUSH_GOOD, EPIO__FLUSH_FAILING, EPIO__FLUSH_FAILED };

/* True, and the op's errors set, if a flush of its file failed before. */
static inline bool epio__flush_has_failed(epio_op *op)
{
    if (epio__load_u32(&op->file->flush_failed) != EPIO__FLUSH_FAILED) {
        return false;
    }
    op->os_error = op->file->flush_os_error;
    return true;
}

/* Notes how a flush of the file ended. Bad requests and cancels say nothing
 * about the medium, and do not stick. */
static inline void epio__flush_note(epio_file *file, int64_t result, int32_t os_error)
{
    if (result >= 0 || result == EPIO_EINVAL || result == EPIO_ENOTSUP ||
        result == EPIO_ECANCELED || result == EPIO_ETIMEDOUT || result == EPIO_ENOMEM ||
        result == EPIO_EBADF || result == EPIO_ECLOSED) {
        return;
    }
    /* Two epio_perform may fail at once: one claims it, then tells. */
    uint32_t none = EPIO__FLUSH_GOOD;
    if (epio__compare_exchange_u32(&file->flush_failed, &none, EPIO__FLUSH_FAILING)) {
        file->flush_os_error = os_error;
        epio__store_u32(&file->flush_failed, EPIO__FLUSH_FAILED);
    }
}

#endif
