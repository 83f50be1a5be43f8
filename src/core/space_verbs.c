/* The verbs of epio/space.h: each checks its arguments and stores them in the op. */
#include "core/verb.h"

static void require_no_stream(epio_op *op)
{
    epio__verb_require(op, op->file == NULL || (op->file->attributes & EPIO_FILE_STREAM) == 0,
                       EPIO__REASON_STREAM_SPACE);
}

epio_op *epio_append(epio_op *op, epio_file *file, const void *buffer, size_t len)
{
    epio__verb_on_file(op, "epio_append", EPIO_KIND_APPEND, file);
    op->arguments.io.base = (void *)(uintptr_t)buffer; /* only read */
    op->arguments.io.len = len;
    op->arguments.io.offset = 0;
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, op->arguments.io.len <= INT64_MAX, EPIO__REASON_TOO_LONG);
    epio__verb_require_direction(op, EPIO_OPEN_WRITE);
    require_no_stream(op);
    return op;
}

static epio_op *change_range(epio_op *op, uint64_t offset, uint64_t len, uint32_t flags,
                             uint32_t known)
{
    op->arguments.io.offset = offset;
    op->arguments.io.len = len;
    op->flags = flags;
    epio__verb_require(op, (flags & ~known) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(op, len != 0, EPIO__REASON_NO_RANGE);
    epio__verb_require(op, offset <= INT64_MAX && len <= INT64_MAX - offset,
                       EPIO__REASON_BEYOND_LIMIT);
    epio__verb_require_direction(op, EPIO_OPEN_WRITE);
    require_no_stream(op);
    return op;
}

epio_op *epio_allocate(epio_op *op, epio_file *file, uint64_t offset, uint64_t len, uint32_t flags)
{
    epio__verb_on_file(op, "epio_allocate", EPIO_KIND_ALLOCATE, file);
    return change_range(op, offset, len, flags, EPIO_SPACE_KEEP_SIZE);
}

epio_op *epio_punch_hole(epio_op *op, epio_file *file, uint64_t offset, uint64_t len)
{
    epio__verb_on_file(op, "epio_punch_hole", EPIO_KIND_PUNCH_HOLE, file);
    return change_range(op, offset, len, 0, 0);
}

epio_op *epio_zero_range(epio_op *op, epio_file *file, uint64_t offset, uint64_t len,
                         uint32_t flags)
{
    epio__verb_on_file(op, "epio_zero_range", EPIO_KIND_ZERO_RANGE, file);
    return change_range(op, offset, len, flags, EPIO_SPACE_KEEP_SIZE);
}

static epio_op *seek(epio_op *op, uint64_t offset)
{
    op->arguments.io.offset = offset;
    op->arguments.io.len = 0;
    epio__verb_require(op, offset <= INT64_MAX, EPIO__REASON_BEYOND_LIMIT);
    epio__verb_require_bytes(op);
    require_no_stream(op);
    return op;
}

epio_op *epio_seek_data(epio_op *op, epio_file *file, uint64_t offset)
{
    return seek(epio__verb_on_file(op, "epio_seek_data", EPIO_KIND_SEEK_DATA, file), offset);
}

epio_op *epio_seek_hole(epio_op *op, epio_file *file, uint64_t offset)
{
    return seek(epio__verb_on_file(op, "epio_seek_hole", EPIO_KIND_SEEK_HOLE, file), offset);
}

epio_op *epio_advise(epio_op *op, epio_file *file, uint64_t offset, uint64_t len, uint32_t advice)
{
    epio__verb_on_file(op, "epio_advise", EPIO_KIND_ADVISE, file);
    op->arguments.io.offset = offset;
    op->arguments.io.len = len;
    op->flags = advice;
    epio__verb_require(op, advice <= EPIO_ADVICE_DONT_NEED, EPIO__REASON_UNKNOWN_ADVICE);
    epio__verb_require(op, offset <= INT64_MAX && len <= INT64_MAX - offset,
                       EPIO__REASON_BEYOND_LIMIT);
    epio__verb_require_bytes(op);
    require_no_stream(op);
    return op;
}
