/* The verbs of epio/range.h: each checks its arguments and stores them in the op. */
#include "core/verb.h"

static epio_op *prepare(epio_op *op, const char *function, uint8_t kind, epio_file *file,
                        uint64_t start, uint64_t len)
{
    epio__verb_on_file(op, function, kind, file);
    bool valid = start < INT64_MAX && len <= INT64_MAX - start;
    op->arguments.lock.start = start;
    op->arguments.lock.len = len != 0 || !valid ? len : INT64_MAX - start;
    op->arguments.lock.unlocks = 0;
    op->arguments.lock.delay_ns = 0;
    op->arguments.lock.conflicts = 0;
    epio__verb_require(op, valid, EPIO__REASON_BEYOND_LIMIT);
    epio__verb_require(op, file == NULL || (file->attributes & EPIO_FILE_STREAM) == 0,
                       EPIO__REASON_STREAM_LOCKS);
    epio__verb_require_bytes(op);
    return op;
}

static epio_op *take_mode(epio_op *op, uint32_t mode)
{
    bool known = mode == EPIO_RANGE_SHARED || mode == EPIO_RANGE_EXCLUSIVE;
    op->arguments.lock.level = (uint8_t)mode;
    epio__verb_require(op, known, EPIO__REASON_UNKNOWN_MODE);
    return op;
}

epio_op *epio_lock_range(epio_op *op, epio_file *file, uint64_t start, uint64_t len, uint32_t mode,
                         uint32_t flags)
{
    prepare(op, "epio_lock_range", EPIO_KIND_LOCK_RANGE, file, start, len);
    take_mode(op, mode);
    op->flags = flags;
    epio__verb_require(op, (flags & ~EPIO_LOCK_WAIT) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require_direction(op, mode == EPIO_RANGE_SHARED ? EPIO_OPEN_READ : EPIO_OPEN_WRITE);
    return op;
}

epio_op *epio_unlock_range(epio_op *op, epio_file *file, uint64_t start, uint64_t len)
{
    return prepare(op, "epio_unlock_range", EPIO_KIND_UNLOCK_RANGE, file, start, len);
}

epio_op *epio_test_range(epio_op *op, epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    prepare(op, "epio_test_range", EPIO_KIND_TEST_RANGE, file, start, len);
    return take_mode(op, mode);
}
