/* The bytes of one file of the memory VFS: reading, writing and resizing them, and which of them
 * have blocks. Whose they are, and the mutex under which they are used, is the caller's. Where
 * ranges may be long, a call does a part that takes a bounded time. */
#ifndef EPIO_LAYERS_MEMORY_CONTENTS_H
#define EPIO_LAYERS_MEMORY_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The unit of allocation. */
#define EPIO__MEMORY_BLOCK_BITS 14

typedef struct epio__memory_region epio__memory_region;

/* Zeroed it is empty, and resized to 0 it owns no memory. */
typedef struct epio__memory_contents {
    void *root;      /* a branch, or the only block where the height is 0; NULL: a hole */
    uint32_t height; /* levels of branches */
    uint64_t size;   /* blocks hold zeros beyond it, unless they are mapped, and may be allocated
                        there */
    uint64_t blocks; /* those that are no holes */
    epio__memory_region *regions; /* see memory_region.h */
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

/* Makes the file as long, if it is shorter. */
void epio__memory_grow(epio__memory_contents *contents, uint64_t size);

/* ---- Appending ---- */

/* Where in a block the end of the file is. */
size_t epio__memory_end_in_block(const epio__memory_contents *contents);

/* Moves the bytes of `staged`, from that offset of its first block on, to the end of the file,
 * which is at the same offset of a block: 0, or EPIO_ENOSPC and nothing has changed. */
int epio__memory_append(epio__memory_contents *contents, epio__memory_contents *staged);

/* ---- Space: ranges are not empty, and end at INT64_MAX ---- */

/* Frees the blocks of a part of the range, and zeroes its edges. Returns where the rest begins. */
uint64_t epio__memory_clear(epio__memory_contents *contents, uint64_t offset, uint64_t end);

/* Blocks of zeros that are in no file yet. Zeroed there are none. */
typedef struct epio__memory_spares {
    void *first;
} epio__memory_spares;

/* False: there is no memory, and no more spares than before. Needs no mutex. */
bool epio__memory_spares_make(epio__memory_spares *spares, uint64_t count);
void epio__memory_spares_free(epio__memory_spares *spares);

/* The blocks that the range lacks. */
uint64_t epio__memory_lacks(const epio__memory_contents *contents, uint64_t offset, uint64_t end);

/* Puts spares where the range has holes, from *offset on, which moves to where it stopped: at the
 * end, after a part, or EPIO_ENOMEM: at a hole without a spare. EPIO_ENOSPC: no memory. */
int epio__memory_fill(epio__memory_contents *contents, uint64_t *offset, uint64_t end,
                      epio__memory_spares *spares);

/* Copies a first part of the range, in a block of data or a hole, which becomes a hole in `to`: how
 * many bytes, 0 at the end of `from`; or EPIO_ENOSPC. The two may be one, if the ranges are
 * apart. */
int64_t epio__memory_copy(const epio__memory_contents *from, uint64_t from_offset,
                          epio__memory_contents *to, uint64_t to_offset, uint64_t len);
/* ---- Mapping: see memory_region.h ---- */

/* Puts the region's blocks where those of the range are, with what these hold, from *offset on,
 * which moves to where it stopped: at the end, or after a part. 0; EPIO_ENOMEM. */
int epio__memory_region_fill(epio__memory_contents *contents, epio__memory_region *region,
                             uint64_t *offset, uint64_t end);

/* A mapping of the region is gone. */
void epio__memory_region_release(epio__memory_contents *contents, epio__memory_region *region);

/* ---- Data and holes ---- */

/* The offset of the next byte, from `offset` on, that has a block, or has none (`hole`); at most
 * the size. */
uint64_t epio__memory_seek(const epio__memory_contents *contents, uint64_t offset, bool hole);

#endif
