/* See memory_region.h. */
#include "layers/memory_region.h"

#include <epio/epio.h>

#include <stdlib.h>

#define BLOCKS_OF(bytes) ((uint64_t)(bytes) >> EPIO__MEMORY_BLOCK_BITS)

/* Room that costs nothing but addresses, on most systems, until it is used. */
#define LEAST_ROOM BLOCKS_OF(1 << 20)

/* A file up to here gets one region from its beginning on, with room to grow. */
#define NEAR_BEGINNING BLOCKS_OF(16 << 20)

/* Further on regions begin and end at multiples of this, unless mapped ones are in the way. */
#define FAR_ROOM BLOCKS_OF(64 << 20)

/* More cannot be. */
#define MOST_BYTES ((uint64_t)1 << 40 < SIZE_MAX / 2 ? (uint64_t)1 << 40 : (uint64_t)(SIZE_MAX / 2))

void *epio__memory_pages_make(uint64_t len, void **memory)
{
    if (len >= MOST_BYTES) {
        return NULL;
    }
    unsigned char *bytes = calloc(1, (size_t)len + EPIO__MEMORY_PAGE);
    *memory = bytes;
    return bytes != NULL ? bytes + (EPIO__MEMORY_PAGE - (uintptr_t)bytes % EPIO__MEMORY_PAGE)
                         : NULL;
}

/* ---- Choosing the room ---- */

typedef struct range {
    uint64_t first;
    uint64_t end;
} range;

static bool has(const epio__memory_region *region, range of)
{
    return of.first >= region->first && of.end <= region->first + region->count;
}

static bool overlaps(const epio__memory_region *region, range of)
{
    return of.first < region->first + region->count && region->first < of.end;
}

static bool overlaps_mapped(const epio__memory_contents *contents, range of)
{
    const epio__memory_region *region = contents->regions;
    while (region != NULL && !(region->mappings != 0 && overlaps(region, of))) {
        region = region->next;
    }
    return region != NULL;
}

/* One that has the range, and room that no mapped one has. */
static epio__memory_region *find(const epio__memory_contents *contents, range of)
{
    for (epio__memory_region *region = contents->regions; region != NULL; region = region->next) {
        const range all = {region->first, region->first + region->count};
        if (has(region, of) && (region->mappings != 0 || !overlaps_mapped(contents, all))) {
            return region;
        }
    }
    return NULL;
}

static uint64_t power_of_two_from(uint64_t least)
{
    uint64_t power = LEAST_ROOM;
    while (power < least) {
        power *= 2;
    }
    return power;
}

/* More than the range, where no mapped region is. */
static range room_around(const epio__memory_contents *contents, range of)
{
    uint64_t size = BLOCKS_OF(contents->size) + 1;
    range room = {of.first / FAR_ROOM * FAR_ROOM, (of.end / FAR_ROOM + 1) * FAR_ROOM};
    if (of.first == 0 || of.end <= NEAR_BEGINNING) {
        uint64_t longest = size > of.end && size <= NEAR_BEGINNING ? size : of.end;
        room = (range){0, power_of_two_from(2 * longest)};
    }
    for (const epio__memory_region *at = contents->regions; at != NULL; at = at->next) {
        uint64_t end = at->first + at->count;
        if (at->mappings == 0) {
            continue;
        }
        room.first = end <= of.first && end > room.first ? end : room.first;
        room.end = at->first >= of.end && at->first < room.end ? at->first : room.end;
    }
    return room;
}

/* ---- Regions ---- */

static epio__memory_region *make(epio__memory_contents *contents, range room)
{
    epio__memory_region *region = calloc(1, sizeof *region);
    if (region == NULL) {
        return NULL;
    }
    region->first = room.first;
    region->count = room.end - room.first;
    if (region->count < BLOCKS_OF(MOST_BYTES)) {
        region->bytes =
            epio__memory_pages_make(region->count << EPIO__MEMORY_BLOCK_BITS, &region->memory);
    }
    if (region->bytes == NULL) {
        free(region);
        return NULL;
    }
    region->next = contents->regions;
    contents->regions = region;
    return region;
}

int epio__memory_region_take(epio__memory_contents *contents, uint64_t offset, uint64_t end,
                             epio__memory_region **region)
{
    const range of = {BLOCKS_OF(offset), BLOCKS_OF(end - 1) + 1};
    epio__memory_region *found = find(contents, of);
    if (found == NULL && overlaps_mapped(contents, of)) {
        return EPIO_ENOTSUP;
    }
    if (found == NULL) {
        found = make(contents, room_around(contents, of));
    }
    if (found == NULL) {
        found = make(contents, of);
    }
    if (found == NULL) {
        return EPIO_ENOMEM;
    }
    found->mappings++;
    *region = found;
    return 0;
}

epio__memory_region *epio__memory_region_of(const epio__memory_contents *contents,
                                            const void *block)
{
    epio__memory_region *region = contents->regions;
    while (region != NULL && (uintptr_t)block - (uintptr_t)region->bytes >=
                                 (uintptr_t)(region->count << EPIO__MEMORY_BLOCK_BITS)) {
        region = region->next;
    }
    return region;
}

void epio__memory_regions_sweep(epio__memory_contents *contents)
{
    epio__memory_region **at = &contents->regions;
    while (*at != NULL) {
        epio__memory_region *region = *at;
        if (region->mappings == 0 && region->used == 0) {
            *at = region->next;
            free(region->memory);
            free(region);
        } else {
            at = &region->next;
        }
    }
}
