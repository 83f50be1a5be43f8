/* Copying between files without their bytes passing through the program. */
#include "posix/posix.h"

int64_t epio__os_copy_range(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
