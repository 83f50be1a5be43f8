/* The bytes of one file of the memory VFS: reading, writing and resizing them. Whose they are, and
 * the mutex under which they are used, is the caller's. */
#ifndef EPIO_LAYERS_MEMORY_CONTENTS_H
#define EPIO_LAYERS_MEMORY_CONTENTS_H

#include <stddef.h>
#include <stdint.h>

/* The unit of allocation. */
#define EPIO__MEMORY_BLOCK_BITS 14

/* Zeroed it is empty, and resized to 0 it owns no memory. */
typedef struct epio__memory_contents {
    void *root;      /* a branch, or the only block where the height is 0; NULL: a hole */
    uint32_t height; /* levels of branches */
    uint64_t size;   /* blocks hold zeros beyond it */
    uint64_t blocks; /* those that are no holes */
} epio__memory_contents;

/* The bytes read: fewer than `len` at the end of the file. */
int64_t epio__memory_read(const epio__memory_contents *contents, void *buffer, size_t len,
                          uint64_t offset);

/* `len`, or EPIO_ENOSPC with the blocks before the missing one written and within the size. */
int64_t epio__memory_write(epio__memory_contents *contents, const void *data, size_t len,
                           uint64_t offset);

/* The bytes of its blocks: fewer than its size with holes. */
uint64_t epio__memory_allocated(const epio__memory_contents *contents);

/* Shrinks or grows the file; what is added is a hole. */
void epio__memory_resize(epio__memory_contents *contents, uint64_t size);

#endif
