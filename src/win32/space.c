/* The space of files: appending, allocation, holes, advice. */
#include "win32/win32.h"

int64_t epio__os_append(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_change_space(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_seek(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

int64_t epio__os_advise(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
