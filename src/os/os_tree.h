/* Ops on metadata and directories, as the OS VFS has the platform carry them out. */
#ifndef EPIO_OS_TREE_H
#define EPIO_OS_TREE_H

#include "platform.h"

/* What epio/metadata.h and epio/directory.h declare, on this thread; EPIO_ENOTSUP for other
 * kinds. */
int64_t epio__os_perform_on_tree(epio_op *op);

#endif
