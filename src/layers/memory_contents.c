/* The bytes of one file of the memory VFS, in blocks of a sparse tree: a hole costs nothing. */
#include "layers/memory_contents.h"

#include <epio/epio.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A file's blocks are in a tree, as high as its last block needs; missing parts are holes; 9 levels
 * reach INT64_MAX. */
#define BLOCK_BITS EPIO__MEMORY_BLOCK_BITS
#define BLOCK_SIZE ((size_t)1 << BLOCK_BITS)
#define FANOUT_BITS 6
#define FANOUT ((size_t)1 << FANOUT_BITS)

typedef struct branch {
    void *below[FANOUT]; /* branches, or blocks at the lowest level; NULL: a hole */
} branch;

static size_t smaller(size_t one, uint64_t other)
{
    return other < one ? (size_t)other : one;
}

/* ---- Blocks ---- */

static bool tree_reaches(const epio__memory_contents *contents, uint64_t number)
{
    return number >> (FANOUT_BITS * contents->height) == 0;
}

static void **slot_of(void *at, uint32_t level, uint64_t number)
{
    return &((branch *)at)->below[(number >> (FANOUT_BITS * level)) & (FANOUT - 1)];
}

/* The block, or NULL for a hole. */
static unsigned char *block_find(const epio__memory_contents *contents, uint64_t number)
{
    void *at = tree_reaches(contents, number) ? contents->root : NULL;
    for (uint32_t level = contents->height; at != NULL && level-- > 0;) {
        at = *slot_of(at, level, number);
    }
    return at;
}

/* The block, made if it is a hole; NULL if there is no memory. Branches made on the way stay: the
 * tree is valid, with a hole there. */
static unsigned char *block_make(epio__memory_contents *contents, uint64_t number)
{
    while (!tree_reaches(contents, number)) {
        branch *above = calloc(1, sizeof *above);
        if (above == NULL) {
            return NULL;
        }
        above->below[0] = contents->root;
        contents->root = above;
        contents->height++;
    }
    void **slot = &contents->root;
    for (uint32_t level = contents->height; level-- > 0;) {
        if (*slot == NULL && (*slot = calloc(1, sizeof(branch))) == NULL) {
            return NULL;
        }
        slot = slot_of(*slot, level, number);
    }
    if (*slot == NULL) {
        *slot = calloc(1, BLOCK_SIZE);
        contents->blocks += *slot != NULL;
    }
    return *slot;
}

/* Frees the blocks from `first` on of a tree of that height, and subtracts them from *blocks.
 * Returns what is left: the tree, or NULL. */
static void *tree_trim(void *at, uint32_t height, uint64_t first, uint64_t *blocks)
{
    if (at == NULL) {
        return NULL;
    }
    if (height > 0) {
        uint32_t bits = FANOUT_BITS * (height - 1);
        uint64_t inside = first & (((uint64_t)1 << bits) - 1);
        for (size_t i = (size_t)(first >> bits); i < FANOUT; i++) {
            void **slot = &((branch *)at)->below[i];
            *slot = tree_trim(*slot, height - 1, inside, blocks);
            inside = 0;
        }
    }
    if (first > 0) {
        return at;
    }
    *blocks -= height == 0;
    free(at);
    return NULL;
}

/* ---- Bytes ---- */

int64_t epio__memory_read(const epio__memory_contents *contents, void *buffer, size_t len,
                          uint64_t offset)
{
    unsigned char *to = buffer;
    len = offset < contents->size ? smaller(len, contents->size - offset) : 0;
    for (size_t done = 0; done < len;) {
        size_t within = (size_t)(offset & (BLOCK_SIZE - 1));
        size_t count = smaller(BLOCK_SIZE - within, len - done);
        const unsigned char *block = block_find(contents, offset >> BLOCK_BITS);
        if (block != NULL) {
            memcpy(to + done, block + within, count);
        } else {
            memset(to + done, 0, count);
        }
        done += count;
        offset += count;
    }
    return (int64_t)len;
}

/* The file grows with every block, so that what was written before memory ran out is not beyond its
 * end. */
int64_t epio__memory_write(epio__memory_contents *contents, const void *data, size_t len,
                           uint64_t offset)
{
    const unsigned char *from = data;
    for (size_t done = 0; done < len;) {
        size_t within = (size_t)(offset & (BLOCK_SIZE - 1));
        size_t count = smaller(BLOCK_SIZE - within, len - done);
        unsigned char *block = block_make(contents, offset >> BLOCK_BITS);
        if (block == NULL) {
            return EPIO_ENOSPC;
        }
        memcpy(block + within, from + done, count);
        done += count;
        offset += count;
        if (contents->size < offset) {
            contents->size = offset;
        }
    }
    return (int64_t)len;
}

void epio__memory_resize(epio__memory_contents *contents, uint64_t size)
{
    size_t within = (size_t)(size & (BLOCK_SIZE - 1));
    uint64_t first_gone = (size >> BLOCK_BITS) + (within > 0);
    unsigned char *last = within > 0 ? block_find(contents, first_gone - 1) : NULL;
    if (last != NULL) {
        memset(last + within, 0, BLOCK_SIZE - within);
    }
    if (tree_reaches(contents, first_gone)) {
        contents->root = tree_trim(contents->root, contents->height, first_gone, &contents->blocks);
    }
    contents->size = size;
}

uint64_t epio__memory_allocated(const epio__memory_contents *contents)
{
    return contents->blocks * BLOCK_SIZE;
}
