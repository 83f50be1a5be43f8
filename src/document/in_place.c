/* A save that writes over the old file, as that cannot be replaced. Space is allocated first; then
 * it is not stopped any more, as half of it would be neither of the two files. */
#include "document/saving.h"

#include <string.h>

static int64_t open_target(epio__procedure *procedure, epio_saving *one, epio_file **file)
{
    const epio__replacement *replacement = &one->replacement;
    uint32_t flags = replacement->unnamed ? EPIO_OPEN_WRITE : EPIO_OPEN_WRITE | EPIO_OPEN_NOFOLLOW;
    epio_op op = EPIO_OP_INIT;
    int64_t result =
        epio__document_perform(procedure, epio_open(&op, one->vfs, replacement->target, flags));
    *file = op.file;
    return result;
}

/* A file system that cannot allocate says so only when it is full. */
static int64_t make_space(epio__procedure *procedure, epio_file *file, uint64_t len)
{
    epio_op op = EPIO_OP_INIT;
    if (len == 0) {
        return 0;
    }
    int64_t result =
        epio__document_perform(procedure, epio_allocate(&op, file, 0, len, EPIO_SPACE_KEEP_SIZE));
    if (result == EPIO_ENOSPC) { /* gives back what it has got */
        epio_op back = EPIO_OP_INIT;
        int64_t size = epio__procedure_undo(procedure, epio_size(&back, file));
        if (size >= 0) {
            (void)epio__procedure_undo(procedure, epio_truncate(&back, file, (uint64_t)size));
        }
    }
    return result == EPIO_ENOTSUP || result == EPIO_EINVAL ? 0 : result;
}

static int64_t must(epio__procedure *procedure, epio_op *op)
{
    int64_t result = epio__procedure_undo(procedure, op);
    if (result < 0) {
        epio__procedure_op(procedure)->os_error = op->os_error;
    }
    return result;
}

static int64_t write_over_file(epio__procedure *procedure, epio_saving *one, epio_file *file,
                               const epio__source *source)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__saving_keep_backup(procedure, one, false);
    if (result >= 0) {
        result = make_space(procedure, file, source->len);
    }
    if (result >= 0 && epio__procedure_stopped(procedure)) {
        result = EPIO_ECANCELED;
    }
    if (result >= 0) {
        result = epio__source_write(procedure, source, file, EPIO__SOURCE_MUST);
    }
    if (result >= 0) {
        result = must(procedure, epio_truncate(&op, file, source->len));
    }
    if (result >= 0 && (one->flags & EPIO_SAVE_NO_DURABLE) == 0) {
        result = must(procedure, epio_sync(&op, file, EPIO_SYNC_FULL));
    }
    return result;
}

int64_t epio__saving_write_over(epio__procedure *procedure, epio_saving *one,
                                const epio__source *source)
{
    epio_file *file;
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    int64_t result = open_target(procedure, one, &file);
    if (result < 0) {
        return result;
    }
    result = epio__document_perform(procedure, epio_file_stat(&op, file, &info));
    if (result >= 0) {
        result = epio__saving_check(procedure, one, true, &info);
    }
    if (result >= 0 && info.type == EPIO_TYPE_FILE) {
        result = write_over_file(procedure, one, file, source);
    } else if (result >= 0) {
        result = epio__source_write(procedure, source, file,
                                    info.type == EPIO_TYPE_FIFO ? EPIO__SOURCE_FIFO : 0);
    }
    if (result >= 0 && one->saved != NULL &&
        epio__procedure_undo(procedure, epio_file_stat(&op, file, &info)) == 0) {
        (void)epio_result_give(&info, sizeof info, sizeof info, one->saved);
    }
    int64_t closed = epio__procedure_undo(procedure, epio_close(&op, file));
    return result < 0 ? result : closed;
}
