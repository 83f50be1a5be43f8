/* The backup of a save: the old file under a second name, by a link to it where it is to be
 * replaced, else, and where there are no links, by a copy. */
#include "document/metadata.h"
#include "document/saving.h"

/* Of one copy: a cancel comes between two. */
#define PIECE (UINT64_C(16) << 20)

static int64_t copy_bytes(epio__procedure *procedure, epio_file *from, epio_file *to)
{
    epio_op op = EPIO_OP_INIT;
    uint64_t offset = 0;
    int64_t copied;
    do {
        copied = epio__document_perform(procedure,
                                        epio_copy_range(&op, from, offset, to, offset, PIECE));
        offset += copied > 0 ? (uint64_t)copied : 0;
    } while (copied > 0);
    return copied;
}

static int64_t take_times(epio__procedure *procedure, const epio_info *old, epio_file *to)
{
    epio_op op = EPIO_OP_INIT;
    epio_times times = EPIO_TIMES_INIT;
    if ((old->known & EPIO_INFO_MODIFIED) != 0) {
        times.modified = old->modified;
        (void)epio__document_perform(procedure, epio_file_set_times(&op, to, &times));
    }
    return epio__procedure_stopped(procedure) ? EPIO_ECANCELED : 0;
}

static int64_t fill_copy(epio__procedure *procedure, epio_saving *one, epio__replacement *copy,
                         epio_file *from)
{
    const epio_info *old = &one->replacement.old;
    bool durable = (one->flags & EPIO_SAVE_NO_DURABLE) == 0;
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__take_owner(procedure, old, copy->file, &copy->made);
    if (result >= 0) {
        result = copy_bytes(procedure, from, copy->file);
    }
    if (result >= 0) {
        result = epio__take_metadata(procedure, one->vfs, one->replacement.target, old, copy->file,
                                     &copy->made);
    }
    if (result >= 0) {
        result = take_times(procedure, old, copy->file);
    }
    if (result >= 0 && durable) {
        result = epio__document_perform(procedure, epio_sync(&op, copy->file, EPIO_SYNC_FULL));
    }
    return result < 0
               ? result
               : epio__replacement_name(procedure, copy, durable ? EPIO__REPLACE_DURABLE : 0);
}

static int64_t make_copy(epio__procedure *procedure, epio_saving *one)
{
    epio__replacement copy = {0};
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__document_perform(
        procedure, epio_open(&op, one->vfs, one->replacement.target,
                             EPIO_OPEN_READ | EPIO_OPEN_SEQUENTIAL | EPIO_OPEN_NOFOLLOW));
    if (result < 0) {
        return result;
    }
    epio_file *from = op.file;
    result = epio__replacement_find(procedure, &copy, one->vfs, one->backup, false);
    if (result == 0 && copy.exists && copy.old.type == EPIO_TYPE_DIRECTORY) {
        result = epio__document_fail(procedure, EPIO_EISDIR);
    }
    if (result == 0 && copy.exists && epio__same_file(&copy.old, &one->replacement.old)) {
        result = epio__document_refuse(procedure, EPIO__REASON_COPY_TO_ITSELF);
    }
    if (result == 0 && copy.exists && copy.old.type >= EPIO_TYPE_FIFO) {
        result = epio__document_refuse(procedure, EPIO__REASON_NO_REGULAR_FILE);
    }
    if (result == 0) {
        result = epio__replacement_make(procedure, &copy, 0600);
    }
    if (result == 0) {
        result = fill_copy(procedure, one, &copy, from);
    }
    (void)epio__replacement_end(procedure, &copy);
    (void)epio__procedure_undo(procedure, epio_close(&op, from));
    return result;
}

/* The system has no such links, not to this file, or not to there. */
static bool has_no_link(int64_t result)
{
    return result == EPIO_ENOTSUP || result == EPIO_EPERM || result == EPIO_EXDEV ||
           result == EPIO_EUNKNOWN || result == EPIO_EACCES || result == EPIO_EINVAL;
}

int64_t epio__saving_keep_backup(epio__procedure *procedure, epio_saving *one, bool by_link)
{
    epio__replacement *replacement = &one->replacement;
    int64_t result = EPIO_ENOTSUP;
    if (one->backup == NULL || !replacement->exists || replacement->old.type != EPIO_TYPE_FILE ||
        replacement->unnamed) {
        return 0;
    }
    if (by_link) {
        result = epio__replacement_keep_old(procedure, replacement, one->backup,
                                            (one->flags & EPIO_SAVE_NO_DURABLE) == 0);
    }
    return has_no_link(result) ? make_copy(procedure, one) : result;
}
