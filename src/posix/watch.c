/* What changes in directories, as the system reports it. */
#include "posix/posix.h"

int64_t epio__os_watch_begin(epio_op *op, epio__watch *watch)
{
    (void)op;
    (void)watch;
    return EPIO_ENOTSUP;
}

void epio__os_watch_end(epio__watch *watch)
{
    (void)watch;
}
