/* The verbs of the memory VFS about what a path leads to, which change no names. Each carries its
 * op out, whose relative path begins at `from`, and returns the result. */
#ifndef EPIO_LAYERS_MEMORY_LOOKUP_H
#define EPIO_LAYERS_MEMORY_LOOKUP_H

#include "layers/memory_path.h"

/* ACCESS, and what memory_metadata.h and memory_xattr.h have for a node. */
int64_t epio__memory_perform_on_path(const epio__memory_start *from, epio_op *op);
int64_t epio__memory_full_pathname(const epio__memory_start *from, epio_op *op);
int64_t epio__memory_sync_directory(const epio__memory_start *from, const epio_op *op);

#endif
