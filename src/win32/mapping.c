/* Files in memory. */
#include "win32/win32.h"

int64_t epio__os_map(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_unmap(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_sync_mapping(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
