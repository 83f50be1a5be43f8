/* See os_tree.h. */
#include "os/os_tree.h"

#include "core/struct_size.h"
#include "reason.h"

#include <string.h>

/* The struct that a verb describes something by, unless that failed. */
static int64_t give(epio_op *op, int64_t result, const void *info, size_t size)
{
    if (result == 0) {
        (void)epio_result_give(info, size, 0, op->arguments.path.buffer);
    }
    return result;
}

static int64_t stat_file(epio_op *op)
{
    epio_info info;
    return give(op, epio__os_stat(op, &info), &info, sizeof info);
}

static int64_t describe_file_system(epio_op *op)
{
    epio_file_system info;
    memset(&info, 0, sizeof info);
    return give(op, epio__os_file_system_info(op, &info), &info, sizeof info);
}

static int64_t set_times(epio_op *op)
{
    epio_times times;
    bool taken = epio_options_take(&times, sizeof times, 0, op->arguments.path.buffer);
    return taken ? epio__os_set_times(op, &times) : epio__op_refuse(op, EPIO__REASON_STRUCT_FIELD);
}

int64_t epio__os_perform_on_tree(epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_STAT:
    case EPIO_KIND_FILE_STAT:
        return stat_file(op);
    case EPIO_KIND_SET_TIMES:
    case EPIO_KIND_FILE_SET_TIMES:
        return set_times(op);
    case EPIO_KIND_SET_MODE:
    case EPIO_KIND_FILE_SET_MODE:
        return epio__os_set_mode(op);
    case EPIO_KIND_SET_OWNER:
    case EPIO_KIND_FILE_SET_OWNER:
        return epio__os_set_owner(op);
    case EPIO_KIND_FILE_SYSTEM_INFO:
        return describe_file_system(op);
    case EPIO_KIND_MKDIR:
        return epio__os_mkdir(op);
    case EPIO_KIND_RMDIR:
        return epio__os_rmdir(op);
    case EPIO_KIND_SYNC_DIRECTORY:
        return epio__os_sync_directory(op);
    case EPIO_KIND_LIST:
        return epio__os_list(op);
    case EPIO_KIND_NAME_TEMPORARY:
        return epio__os_name_temporary(op);
    case EPIO_KIND_TEMPORARY_DIRECTORY:
        return epio__os_temporary_directory(op);
    case EPIO_KIND_LINK_FILE:
        return epio__os_link_file(op);
    case EPIO_KIND_SYMLINK:
        return epio__os_symlink(op);
    case EPIO_KIND_READ_LINK:
        return epio__os_read_link(op);
    case EPIO_KIND_EXCHANGE:
        return epio__os_exchange(op);
    case EPIO_KIND_TRASH:
        return epio__os_trash(op);
    case EPIO_KIND_GET_XATTR:
    case EPIO_KIND_FILE_GET_XATTR:
    case EPIO_KIND_SET_XATTR:
    case EPIO_KIND_FILE_SET_XATTR:
    case EPIO_KIND_LIST_XATTRS:
    case EPIO_KIND_FILE_LIST_XATTRS:
    case EPIO_KIND_REMOVE_XATTR:
    case EPIO_KIND_FILE_REMOVE_XATTR:
        return epio__os_xattr(op);
    default:
        return EPIO_ENOTSUP;
    }
}
