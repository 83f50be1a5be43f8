/* Copying between files without their bytes passing through the program. */
#include "win32/win32.h"

int64_t epio__os_copy_range(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
