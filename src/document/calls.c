/* See calls.h. */
#include "document/calls.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

int64_t epio__document_perform(epio__procedure *procedure, epio_op *op)
{
    int64_t result = epio__procedure_perform(procedure, op);
    if (result < 0) {
        epio__procedure_note(procedure, op->os_error);
    }
    return result;
}

int64_t epio__document_fail(epio__procedure *procedure, int64_t error)
{
    epio__procedure_note(procedure, 0);
    return error;
}

int64_t epio__document_refuse(epio__procedure *procedure, uint8_t reason)
{
    epio__procedure_note(procedure, 0);
    epio__procedure_op(procedure)->reason = reason;
    return epio__reason_error(reason);
}

bool epio__same_file(const epio_info *one, const epio_info *other)
{
    return (one->known & other->known & EPIO_INFO_ID) != 0 && one->device == other->device &&
           one->id[0] == other->id[0] && one->id[1] == other->id[1];
}

size_t epio__directory_len(const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && !epio__is_separator(path[len - 1])) {
        len--;
    }
    return len;
}

static epio_info *clear(epio_info *info)
{
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    return info;
}

epio_op *epio__prepare_stat_name(epio_op *op, epio_vfs *vfs, const char *path, epio_info *info,
                                 uint32_t flags)
{
    return epio_stat(op, vfs, path, clear(info), flags);
}

epio_op *epio__prepare_stat_file(epio_op *op, epio_file *file, epio_info *info)
{
    return epio_file_stat(op, file, clear(info));
}

int64_t epio__stat_name(epio__procedure *procedure, epio_vfs *vfs, const char *path,
                        epio_info *info, uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    return epio__document_perform(procedure, epio__prepare_stat_name(&op, vfs, path, info, flags));
}

int64_t epio__stat_file(epio__procedure *procedure, epio_file *file, epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    return epio__document_perform(procedure, epio__prepare_stat_file(&op, file, info));
}

void epio__delete_name(epio__procedure *procedure, epio_vfs *vfs, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    (void)epio__procedure_undo(procedure, epio_delete(&op, vfs, path, 0));
}

int64_t epio__close_file(epio__procedure *procedure, epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    return epio__procedure_undo(procedure, epio_close(&op, file));
}

char *epio__join(const char *first, size_t first_len, const char *second)
{
    size_t second_len = strlen(second);
    char *path = malloc(first_len + second_len + 1);
    if (path != NULL) {
        memcpy(path, first, first_len);
        memcpy(path + first_len, second, second_len + 1);
    }
    return path;
}
