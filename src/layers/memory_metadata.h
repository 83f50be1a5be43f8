/* The verbs of the memory VFS about what a node is beside its bytes. Each carries out its op on the
 * node. */
#ifndef EPIO_LAYERS_MEMORY_METADATA_H
#define EPIO_LAYERS_MEMORY_METADATA_H

#include "layers/memory_node.h"

/* All that is known of it. */
void epio__memory_describe(const epio__memory_tree *tree, const epio__memory_node *node,
                           epio_info *to);

int64_t epio__memory_stat(const epio__memory_tree *tree, const epio__memory_node *node,
                          const epio_op *op);

/* Of any node: all are on one file system. */
int64_t epio__memory_file_system_info(const epio_op *op);

/* Before the file is looked for: 0, EPIO_EINVAL, EPIO_ENOTSUP. */
int epio__memory_check_times(epio_op *op);
int64_t epio__memory_set_times(epio__memory_node *node, epio_op *op);

/* EPIO_ENOTSUP for a symbolic link. */
int64_t epio__memory_set_mode(epio__memory_node *node, const epio_op *op);
int64_t epio__memory_set_owner(epio__memory_node *node, const epio_op *op);

#endif
