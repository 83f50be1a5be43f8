/* What the system knows of a file beside its bytes. */
#include "win32/win32.h"

int64_t epio__os_stat(epio_op *op, epio_info *info)
{
    (void)op;
    (void)info;
    return EPIO_ENOTSUP;
}

int64_t epio__os_set_times(epio_op *op, const epio_times *times)
{
    (void)op;
    (void)times;
    return EPIO_ENOTSUP;
}

int64_t epio__os_set_mode(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_set_owner(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_mkdir(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_rmdir(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_sync_directory(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_list(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_link_file(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_symlink(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_read_link(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_exchange(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_get_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_set_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_list_xattrs(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_remove_xattr(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_file_system_info(epio_op *op, epio_file_system *info)
{
    (void)op;
    (void)info;
    return EPIO_ENOTSUP;
}

int64_t epio__os_name_temporary(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_temporary_directory(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
