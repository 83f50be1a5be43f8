/* Regions: where a file of the memory VFS is mapped, its blocks lie side by side in memory of their
 * own, and the file's tree leads there. A region has more room than its first mapping needs, so
 * that others can share it. It keeps its blocks when its mappings are gone, but what frees blocks
 * takes them from it again, and a new region may. Which blocks a file has, and where, is
 * memory_contents.c's. */
#ifndef EPIO_LAYERS_MEMORY_REGION_H
#define EPIO_LAYERS_MEMORY_REGION_H

#include "layers/memory_contents.h"

#define EPIO__MEMORY_BLOCK_SIZE ((size_t)1 << EPIO__MEMORY_BLOCK_BITS)

/* Block numbers of regions that are mapped do not overlap. */
struct epio__memory_region {
    epio__memory_region *next;
    uint64_t first; /* the number of the block at `bytes` */
    uint64_t count;
    uint64_t used;   /* blocks that are the file's; the others are zeros */
    size_t mappings; /* while there are some, blocks that the file frees stay its own, as zeros */
    unsigned char *bytes; /* at the beginning of a page */
    void *memory;
};

/* The region of the range, made if need be, with one more mapping: 0; EPIO_ENOMEM; EPIO_ENOTSUP: a
 * region that is mapped overlaps the range, and does not have room for it. */
int epio__memory_region_take(epio__memory_contents *contents, uint64_t offset, uint64_t end,
                             epio__memory_region **region);

/* The region to which a block belongs; NULL: it is on its own. */
epio__memory_region *epio__memory_region_of(const epio__memory_contents *contents,
                                            const void *block);

static inline void *epio__memory_region_block(const epio__memory_region *region, uint64_t number)
{
    return region->bytes + ((size_t)(number - region->first) << EPIO__MEMORY_BLOCK_BITS);
}

/* Frees those with neither mappings nor blocks. */
void epio__memory_regions_sweep(epio__memory_contents *contents);

/* What most systems have, and what a program may expect of an offset of 0. */
#define EPIO__MEMORY_PAGE ((size_t)4096)

/* Zeros that begin at a page; the caller frees *memory. NULL: no memory. */
void *epio__memory_pages_make(uint64_t len, void **memory);

#endif
