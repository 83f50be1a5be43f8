/* The bytes of one file of the memory VFS, in blocks of a sparse tree: a hole costs nothing. */
#include "layers/memory_region.h"

#include <epio/epio.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A file's blocks are in a tree, as high as its last block needs; missing parts are holes; 9 levels
 * reach INT64_MAX. */
#define BLOCK_BITS EPIO__MEMORY_BLOCK_BITS
#define BLOCK_SIZE EPIO__MEMORY_BLOCK_SIZE
#define FANOUT_BITS 6
#define FANOUT ((size_t)1 << FANOUT_BITS)

/* Blocks of a range that are freed or put in place without letting others in. */
#define PART 1024u

/* Blocks of a region that are put in place so: they are copied. */
#define REGION_PART 4u

/* So many blocks that are left in a region leave it, so that its memory can be freed. */
#define FEW 64u

/* Of one range; a tebibyte, if a process can have that many bytes. */
#define MOST_SPARES                                                                                \
    (((uint64_t)1 << 40 < SIZE_MAX / 2 ? (uint64_t)1 << 40 : SIZE_MAX / 2) >> BLOCK_BITS)

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

/* Where the block is, or would be; NULL if there is no memory for the branches above. Those made on
 * the way stay: the tree is valid, with a hole there. */
static void **slot_make(epio__memory_contents *contents, uint64_t number)
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
    return slot;
}

/* The block, made if it is a hole; NULL if there is no memory. */
static unsigned char *block_make(epio__memory_contents *contents, uint64_t number)
{
    void **slot = slot_make(contents, number);
    if (slot != NULL && *slot == NULL) {
        *slot = calloc(1, BLOCK_SIZE);
        contents->blocks += *slot != NULL;
    }
    return slot != NULL ? *slot : NULL;
}

static void leave_region(epio__memory_region *region, void *block)
{
    memset(block, 0, BLOCK_SIZE);
    region->used--;
}

/* The block leaves the file. */
static void block_free(epio__memory_contents *contents, void *block)
{
    epio__memory_region *region = epio__memory_region_of(contents, block);
    if (region == NULL) {
        free(block);
    } else {
        leave_region(region, block);
    }
}

static bool block_is_mapped(const epio__memory_contents *contents, const void *block)
{
    const epio__memory_region *region = epio__memory_region_of(contents, block);
    return region != NULL && region->mappings != 0;
}

/* ---- Parts of a tree ---- */

/* A range of block numbers, from the first of a tree on; `end` may be beyond its last. */
typedef struct range {
    uint64_t first;
    uint64_t end;
} range;

/* The part of the range that is in branch `i` of a tree of that height, from its first block on. */
static range part_of(range whole, uint32_t height, size_t i)
{
    uint64_t begin = (uint64_t)i << (FANOUT_BITS * (height - 1));
    uint64_t width = (uint64_t)1 << (FANOUT_BITS * (height - 1));
    uint64_t end = whole.end < begin ? 0 : whole.end - begin;
    return (range){whole.first > begin ? whole.first - begin : 0, end < width ? end : width};
}

/* Is nothing of a tree of that height in the range? */
static bool is_outside(range of, uint32_t height)
{
    return of.first >= of.end || of.first >> (FANOUT_BITS * height) != 0;
}

/* The first branch, of a tree of that height, with a part of a range from `first` on. */
static size_t branch_of(uint64_t first, uint32_t height)
{
    return (size_t)(first >> (FANOUT_BITS * (height - 1)));
}

/* Frees the blocks of the range; those that are mapped stay, as zeros. Returns what is left: the
 * tree, or NULL. */
static void *tree_trim(epio__memory_contents *contents, void *at, uint32_t height, range gone)
{
    if (at == NULL || is_outside(gone, height)) {
        return at;
    }
    if (height == 0 && block_is_mapped(contents, at)) {
        return memset(at, 0, BLOCK_SIZE);
    }
    if (height == 0) {
        block_free(contents, at);
        contents->blocks--;
        return NULL;
    }
    bool used = false;
    for (size_t i = 0; i < FANOUT; i++) {
        void **slot = &((branch *)at)->below[i];
        *slot = tree_trim(contents, *slot, height - 1, part_of(gone, height, i));
        used = used || *slot != NULL;
    }
    if (!used) {
        free(at);
    }
    return used ? at : NULL;
}

static void trim(epio__memory_contents *contents, range gone)
{
    contents->root = tree_trim(contents, contents->root, contents->height, gone);
}

static uint64_t tree_count(const void *at, uint32_t height, range in)
{
    if (at == NULL || is_outside(in, height)) {
        return 0;
    }
    uint64_t count = height == 0;
    for (size_t i = 0; height > 0 && i < FANOUT; i++) {
        count += tree_count(((const branch *)at)->below[i], height - 1, part_of(in, height, i));
    }
    return count;
}

/* The number of the first block, from `first` on, that there is, or that there is not; that of the
 * first block behind the tree: none. Branches may be empty. */
static uint64_t tree_next(const void *at, uint32_t height, uint64_t first, bool hole)
{
    uint64_t width = (uint64_t)1 << (FANOUT_BITS * height);
    if (at == NULL || height == 0) {
        return hole == (at == NULL) ? first : width;
    }
    uint64_t below = width >> FANOUT_BITS;
    for (size_t i = branch_of(first, height); i < FANOUT; i++) {
        uint64_t begin = (uint64_t)i * below;
        uint64_t inside = first > begin ? first - begin : 0;
        uint64_t found = tree_next(((const branch *)at)->below[i], height - 1, inside, hole);
        if (found < below) {
            return begin + found;
        }
    }
    return width;
}

/* Likewise in a file; UINT64_MAX: none. */
static uint64_t next_block(const epio__memory_contents *contents, uint64_t first, bool hole)
{
    if (!tree_reaches(contents, first)) {
        return hole ? first : UINT64_MAX;
    }
    uint64_t found = tree_next(contents->root, contents->height, first, hole);
    return tree_reaches(contents, found) || hole ? found : UINT64_MAX;
}

/* ---- Regions ---- */

static bool is_in_place(const epio__memory_contents *contents, const epio__memory_region *region,
                        uint64_t number)
{
    return block_find(contents, number) == epio__memory_region_block(region, number);
}

static uint64_t least(uint64_t one, uint64_t other)
{
    return other < one ? other : one;
}

static uint64_t greatest(uint64_t one, uint64_t other)
{
    return other > one ? other : one;
}

/* Zeroes what is in blocks of the region. */
static void zero_in_region(const epio__memory_contents *contents, const epio__memory_region *region,
                           uint64_t offset, uint64_t end)
{
    uint64_t at = greatest(offset, region->first << BLOCK_BITS);
    uint64_t stop = least(end, (region->first + region->count) << BLOCK_BITS);
    while (at < stop) {
        uint64_t behind = least(stop, ((at >> BLOCK_BITS) + 1) << BLOCK_BITS);
        if (is_in_place(contents, region, at >> BLOCK_BITS)) {
            unsigned char *block = epio__memory_region_block(region, at >> BLOCK_BITS);
            memset(block + (at & (BLOCK_SIZE - 1)), 0, (size_t)(behind - at));
        }
        at = behind;
    }
}

int epio__memory_region_fill(epio__memory_contents *contents, epio__memory_region *region,
                             uint64_t *offset, uint64_t end)
{
    for (uint32_t i = 0; i < REGION_PART && *offset < end; i++) {
        uint64_t number = *offset >> BLOCK_BITS;
        void *block = epio__memory_region_block(region, number);
        void **slot = slot_make(contents, number);
        if (slot == NULL) {
            return EPIO_ENOMEM;
        }
        if (*slot != block) {
            if (*slot != NULL) {
                memcpy(block, *slot, BLOCK_SIZE);
                block_free(contents, *slot);
            }
            contents->blocks += *slot == NULL;
            *slot = block;
            region->used++;
        }
        *offset = least(end, (number + 1) << BLOCK_BITS);
    }
    epio__memory_regions_sweep(contents);
    return 0;
}

/* Blocks beyond the end were only kept because they were mapped, and the last may hold what was
 * stored there. */
void epio__memory_region_release(epio__memory_contents *contents, epio__memory_region *region)
{
    uint64_t end = region->first + region->count;
    if (--region->mappings != 0) {
        return;
    }
    zero_in_region(contents, region, contents->size, end << BLOCK_BITS);
    uint64_t number = (contents->size + BLOCK_SIZE - 1) >> BLOCK_BITS;
    for (number = greatest(number, region->first); number < end; number++) {
        if (is_in_place(contents, region, number)) {
            trim(contents, (range){number, number + 1});
        }
    }
    epio__memory_regions_sweep(contents);
}

/* The blocks that are left get memory of their own, if there is some. */
static void empty_region(epio__memory_contents *contents, epio__memory_region *region)
{
    for (uint64_t i = 0; i < region->count && region->used != 0; i++) {
        if (is_in_place(contents, region, region->first + i)) {
            void *block = epio__memory_region_block(region, region->first + i);
            void *own = malloc(BLOCK_SIZE);
            if (own == NULL) {
                return;
            }
            *slot_make(contents, region->first + i) = memcpy(own, block, BLOCK_SIZE);
            leave_region(region, block);
        }
    }
}

/* After blocks were freed. */
static void settle_regions(epio__memory_contents *contents)
{
    for (epio__memory_region *at = contents->regions; at != NULL; at = at->next) {
        if (at->mappings == 0 && at->used <= FEW) {
            empty_region(contents, at);
        }
    }
    epio__memory_regions_sweep(contents);
}

/* What was stored beyond the end is not the file's. */
void epio__memory_grow(epio__memory_contents *contents, uint64_t size)
{
    if (size <= contents->size) {
        return;
    }
    for (const epio__memory_region *at = contents->regions; at != NULL; at = at->next) {
        zero_in_region(contents, at, contents->size, size);
    }
    contents->size = size;
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
        epio__memory_grow(contents, offset + count);
        memcpy(block + within, from + done, count);
        done += count;
        offset += count;
    }
    return (int64_t)len;
}

void epio__memory_resize(epio__memory_contents *contents, uint64_t size)
{
    epio__memory_grow(contents, size);
    size_t within = (size_t)(size & (BLOCK_SIZE - 1));
    uint64_t first_gone = (size >> BLOCK_BITS) + (within > 0);
    unsigned char *last = within > 0 ? block_find(contents, first_gone - 1) : NULL;
    if (last != NULL) {
        memset(last + within, 0, BLOCK_SIZE - within);
    }
    trim(contents, (range){first_gone, UINT64_MAX});
    contents->size = size;
    settle_regions(contents);
}

uint64_t epio__memory_allocated(const epio__memory_contents *contents)
{
    return contents->blocks * BLOCK_SIZE;
}

/* ---- Appending ---- */

size_t epio__memory_end_in_block(const epio__memory_contents *contents)
{
    return (size_t)(contents->size & (BLOCK_SIZE - 1));
}

/* All that may fail comes first. A block that was allocated beyond the end is replaced. */
int epio__memory_append(epio__memory_contents *contents, epio__memory_contents *staged)
{
    size_t within = epio__memory_end_in_block(contents);
    uint64_t base = contents->size >> BLOCK_BITS;
    uint64_t count = staged->size > 0 ? ((staged->size - 1) >> BLOCK_BITS) + 1 : 0;
    for (uint64_t i = 0; i < count; i++) {
        if (slot_make(contents, base + i) == NULL) {
            return EPIO_ENOSPC;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        void **to = slot_make(contents, base + i);
        void **from = slot_make(staged, i);
        size_t before = i == 0 && *to != NULL ? within : 0;
        staged->blocks--;
        if (*to != NULL && epio__memory_region_of(contents, *to) != NULL) {
            memcpy((unsigned char *)*to + before, (unsigned char *)*from + before,
                   BLOCK_SIZE - before);
            free(*from);
        } else {
            if (before > 0) {
                memcpy(*from, *to, before);
            }
            contents->blocks += *to == NULL;
            free(*to);
            *to = *from;
        }
        *from = NULL;
    }
    contents->size += staged->size - within;
    return 0;
}

/* ---- Space ---- */

/* The blocks in which the bytes are. */
static range blocks_of(uint64_t offset, uint64_t end)
{
    return (range){offset >> BLOCK_BITS, ((end - 1) >> BLOCK_BITS) + 1};
}

/* Zeroes the bytes, which are in one block. */
static void zero_in_block(const epio__memory_contents *contents, uint64_t offset, uint64_t end)
{
    unsigned char *block = block_find(contents, offset >> BLOCK_BITS);
    if (block != NULL) {
        memset(block + (offset & (BLOCK_SIZE - 1)), 0, (size_t)(end - offset));
    }
}

/* Holes are skipped, however long. A block in which the file ends is freed whole. */
uint64_t epio__memory_clear(epio__memory_contents *contents, uint64_t offset, uint64_t end)
{
    uint64_t number = next_block(contents, offset >> BLOCK_BITS, false);
    uint64_t whole = end >= contents->size ? blocks_of(offset, end).end : end >> BLOCK_BITS;
    if (number > (end - 1) >> BLOCK_BITS) {
        return end;
    }
    uint64_t begin = number << BLOCK_BITS;
    if (begin < offset || number >= whole) {
        uint64_t behind = least(begin + BLOCK_SIZE, end);
        zero_in_block(contents, begin < offset ? offset : begin, behind);
        return behind;
    }
    range gone = {number, least(number + PART, whole)};
    trim(contents, gone);
    settle_regions(contents);
    return least(gone.end << BLOCK_BITS, end);
}

/* Blocks that cannot be are refused before all memory there is has been taken for them. That a
 * compiler must not see through this is what `volatile` is for. */
static bool is_conceivable(uint64_t count)
{
    if (count > MOST_SPARES) {
        return false;
    }
    void *volatile probe = malloc((size_t)count << BLOCK_BITS);
    bool conceivable = probe != NULL;
    free(probe);
    return conceivable;
}

bool epio__memory_spares_make(epio__memory_spares *spares, uint64_t count)
{
    epio__memory_spares made = {NULL};
    bool enough = is_conceivable(count);
    for (; enough && count > 0; count--) {
        void **block = calloc(1, BLOCK_SIZE);
        enough = block != NULL;
        if (enough) {
            *block = made.first;
            made.first = block;
        }
    }
    if (!enough) {
        epio__memory_spares_free(&made);
        return false;
    }
    epio__memory_spares_free(spares);
    *spares = made;
    return true;
}

static void *spare_take(epio__memory_spares *spares)
{
    void **block = spares->first;
    spares->first = *block;
    *block = NULL;
    return block;
}

void epio__memory_spares_free(epio__memory_spares *spares)
{
    while (spares->first != NULL) {
        free(spare_take(spares));
    }
}

uint64_t epio__memory_lacks(const epio__memory_contents *contents, uint64_t offset, uint64_t end)
{
    range in = blocks_of(offset, end);
    return in.end - in.first - tree_count(contents->root, contents->height, in);
}

int epio__memory_fill(epio__memory_contents *contents, uint64_t *offset, uint64_t end,
                      epio__memory_spares *spares)
{
    range all = blocks_of(*offset, end);
    uint64_t stop = all.end - all.first > PART ? all.first + PART : all.end;
    for (uint64_t number = all.first; number < stop; number++) {
        void **slot = slot_make(contents, number);
        if (slot == NULL) {
            return EPIO_ENOSPC;
        }
        if (*slot == NULL) {
            if (spares->first == NULL) {
                return EPIO_ENOMEM;
            }
            *slot = spare_take(spares);
            contents->blocks++;
        }
        *offset = number + 1 == all.end ? end : (number + 1) << BLOCK_BITS;
    }
    return 0;
}

uint64_t epio__memory_seek(const epio__memory_contents *contents, uint64_t offset, bool hole)
{
    uint64_t number = next_block(contents, offset >> BLOCK_BITS, hole);
    if (offset >= contents->size || number > (contents->size - 1) >> BLOCK_BITS) {
        return contents->size;
    }
    uint64_t begin = number << BLOCK_BITS;
    return begin > offset ? begin : offset;
}

static uint64_t copy_hole(epio__memory_contents *to, uint64_t offset, uint64_t len)
{
    uint64_t end = epio__memory_clear(to, offset, offset + len);
    epio__memory_grow(to, end);
    return end - offset;
}

int64_t epio__memory_copy(const epio__memory_contents *from, uint64_t from_offset,
                          epio__memory_contents *to, uint64_t to_offset, uint64_t len)
{
    if (from_offset >= from->size) {
        return 0;
    }
    len = least(len, from->size - from_offset);
    uint64_t data = epio__memory_seek(from, from_offset, false);
    if (data > from_offset) {
        return (int64_t)copy_hole(to, to_offset, least(len, data - from_offset));
    }
    size_t within = (size_t)(from_offset & (BLOCK_SIZE - 1));
    const unsigned char *block = block_find(from, from_offset >> BLOCK_BITS);
    return epio__memory_write(
        to, block + within,
        smaller(smaller(BLOCK_SIZE - within, len), BLOCK_SIZE - (to_offset & (BLOCK_SIZE - 1))),
        to_offset);
}
