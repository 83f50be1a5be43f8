/* A failed flush is never forgotten: the system may have dropped what it could not write, so a
 * later success proves nothing. */
#ifndef EPIO_FLUSH_ERROR_H
#define EPIO_FLUSH_ERROR_H

#include "core/op.h"

enum { EPIO__FLUSH_GOOD, EPIO__FLUSH_FAILING, EPIO__FLUSH_FAILED };

/* What has become of flushes, for a file and its mappings: the system reports a failure once, to
 * whichever of them asks first, and a mapping may outlive its file. */
typedef struct epio__flush_note {
    uint32_t references; /* atomic; the file's and those of its mappings */
    uint32_t failed;     /* atomic */
    int32_t os_error;
} epio__flush_note;

/* NULL: the file has had no mapping. */
static inline epio__flush_note *epio__flush_note_of(const epio_file *file)
{
    return (epio__flush_note *)epio__load_pointer(&file->flush_note);
}

static inline bool epio__flush_note_has_failed(const epio__flush_note *note, int32_t *os_error)
{
    bool failed = note != NULL && epio__load_u32(&note->failed) == EPIO__FLUSH_FAILED;
    *os_error = failed ? note->os_error : *os_error;
    return failed;
}

/* True, and *os_error, if a flush of the file or of one of its mappings has failed. */
static inline bool epio__flush_has_failed(const epio_file *file, int32_t *os_error)
{
    if (epio__load_u32(&file->flush_failed) == EPIO__FLUSH_FAILED) {
        *os_error = file->flush_os_error;
        return true;
    }
    return epio__flush_note_has_failed(epio__flush_note_of(file), os_error);
}

/* The same for a write, whose error it sets. */
static inline bool epio__flush_forbids(epio_op *op)
{
    return epio__flush_has_failed(op->file, &op->os_error);
}

/* Invalid requests and cancels say nothing about the medium. */
static inline bool epio__flush_sticks(int64_t result)
{
    return result < 0 && result != EPIO_EINVAL && result != EPIO_ENOTSUP &&
           result != EPIO_ECANCELED && result != EPIO_ETIMEDOUT && result != EPIO_ENOMEM &&
           result != EPIO_EBADF && result != EPIO_ECLOSED;
}

/* False: it was recorded already, or is about to be. Two epio_perform may fail at once: one claims
 * the state, then publishes the error. */
static inline bool epio__flush_record(uint32_t *failed, int32_t *place, int32_t os_error)
{
    uint32_t state = EPIO__FLUSH_GOOD;
    if (!epio__compare_exchange_u32(failed, &state, EPIO__FLUSH_FAILING)) {
        return false;
    }
    *place = os_error;
    epio__store_u32(failed, EPIO__FLUSH_FAILED);
    return true;
}

/* The result of a flush for its syncs. The first failure is recorded, and from then on every flush
 * fails, whatever its own result: the system reports a failure to only one of several flushes in
 * flight. The file's own record comes before its note's: see epio__flush_note_make. */
static inline int64_t epio__flush_outcome(epio_file *file, int64_t result, int32_t *os_error)
{
    if (epio__flush_has_failed(file, os_error)) {
        return EPIO_EIO;
    }
    if (!epio__flush_sticks(result)) {
        return result;
    }
    if (!epio__flush_record(&file->flush_failed, &file->flush_os_error, *os_error)) {
        return epio__flush_has_failed(file, os_error) ? EPIO_EIO : result;
    }
    epio__flush_note *note = epio__flush_note_of(file);
    if (note != NULL) {
        (void)epio__flush_record(&note->failed, &note->os_error, *os_error);
    }
    return result;
}

/* The same of a mapping's flush. */
static inline int64_t epio__flush_outcome_of_mapping(epio__flush_note *note, int64_t result,
                                                     int32_t *os_error)
{
    if (epio__flush_note_has_failed(note, os_error)) {
        return EPIO_EIO;
    }
    if (note == NULL || !epio__flush_sticks(result) ||
        epio__flush_record(&note->failed, &note->os_error, *os_error)) {
        return result;
    }
    return epio__flush_note_has_failed(note, os_error) ? EPIO_EIO : result;
}

#endif
