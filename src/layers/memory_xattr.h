/* The verbs of the memory VFS about extended attributes. Each carries out its op on the node. */
#ifndef EPIO_LAYERS_MEMORY_XATTR_H
#define EPIO_LAYERS_MEMORY_XATTR_H

#include "layers/memory_node.h"

/* Before the path is walked: is the name or value too long wherever that leads? 0, EPIO_ERANGE. */
int epio__memory_check_xattr(const epio_op *op);

int64_t epio__memory_xattr(epio__memory_node *node, epio_op *op);

#endif
