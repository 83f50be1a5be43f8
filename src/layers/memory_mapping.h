/* The memory VFS's verbs of epio/mapping.h. */
#ifndef EPIO_LAYERS_MEMORY_MAPPING_H
#define EPIO_LAYERS_MEMORY_MAPPING_H

#include "layers/memory_lock.h"
#include "layers/memory_node.h"

/* Lets others in while it copies. A mapping is a reference to the node. */
int64_t epio__memory_map(epio__memory_lock *lock, epio__memory_node *node, epio_op *op);
int64_t epio__memory_unmap(epio_op *op);
int64_t epio__memory_sync_mapping(const epio_op *op);

#endif
