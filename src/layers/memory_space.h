/* The verbs of the memory VFS about the space of a file. Each carries out its op on the node, with
 * the lock held; what takes long releases it in between. */
#ifndef EPIO_LAYERS_MEMORY_SPACE_H
#define EPIO_LAYERS_MEMORY_SPACE_H

#include "layers/memory_lock.h"
#include "layers/memory_node.h"

/* A write of this length or less is copied without letting others in, where it must be whole. */
#define EPIO__MEMORY_WHOLE_COPY ((uint64_t)1024 * 1024)

/* An append; or a write, vectored or not, to a file that was opened to append: the bytes are one
 * piece at the end. The op's result. */
int64_t epio__memory_append_op(epio__memory_lock *lock, epio__memory_node *node, const epio_op *op);

/* ALLOCATE, PUNCH_HOLE, ZERO_RANGE. */
int64_t epio__memory_change_space(epio__memory_lock *lock, epio__memory_node *node,
                                  const epio_op *op);

/* COPY_RANGE, of a part. */
int64_t epio__memory_copy_op(epio__memory_lock *lock, epio__memory_node *from,
                             epio__memory_node *to, epio_op *op);

/* SEEK_DATA, SEEK_HOLE. */
int64_t epio__memory_seek_op(const epio__memory_node *node, const epio_op *op);

#endif
