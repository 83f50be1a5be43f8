/* See memory_mapping.h. A private mapping is a copy; any other is a part of a region, whose blocks
 * are the file's. Stores are made without the mutex, so when they were is not known: as long as a
 * file may be stored to, its time of change is that of the last sync or unmap. */
#include "layers/memory_mapping.h"

#include "layers/memory_region.h"
#include "reason.h"

#include <stdlib.h>

#define COPIED_AT_ONCE ((size_t)64 * 1024)

typedef struct memory_mapping {
    epio_mapping base;
    epio__memory_node *node;
    epio__memory_region *region; /* NULL: it is a copy, */
    void *copy;                  /* in this memory */
    bool shows_stores;
} memory_mapping;

static memory_mapping *mapping_of(const epio_op *op)
{
    return (memory_mapping *)(void *)op->arguments.map.mapping;
}

static int64_t map_copy(epio__memory_lock *lock, memory_mapping *mapping, const epio_op *op)
{
    uint64_t len = op->arguments.map.len;
    /* As one of the system's has it. */
    size_t in_page = (size_t)(op->arguments.map.offset % EPIO__MEMORY_PAGE);
    unsigned char *pages = epio__memory_pages_make(in_page + len, &mapping->copy);
    if (pages == NULL) {
        return EPIO_ENOMEM;
    }
    unsigned char *bytes = pages + in_page;
    for (uint64_t done = 0; done < len;) {
        uint64_t rest = len - done;
        size_t count = rest < COPIED_AT_ONCE ? (size_t)rest : COPIED_AT_ONCE;
        (void)epio__memory_read(&mapping->node->contents, bytes + done, count,
                                op->arguments.map.offset + done);
        done += count;
        if (done < len) {
            epio__memory_let_others_in(lock);
        }
    }
    mapping->base.address = bytes;
    return 0;
}

static int64_t map_region(epio__memory_lock *lock, memory_mapping *mapping, const epio_op *op)
{
    epio__memory_contents *contents = &mapping->node->contents;
    uint64_t offset = op->arguments.map.offset;
    uint64_t end = offset + op->arguments.map.len;
    int64_t result = epio__memory_region_take(contents, offset, end, &mapping->region);
    if (result != 0) {
        return result;
    }
    while (result == 0 && offset < end) {
        result = epio__memory_region_fill(contents, mapping->region, &offset, end);
        if (result == 0 && offset < end) {
            epio__memory_let_others_in(lock);
        }
    }
    if (result != 0) {
        epio__memory_region_release(contents, mapping->region);
        return result;
    }
    offset = op->arguments.map.offset;
    unsigned char *block =
        epio__memory_region_block(mapping->region, offset >> EPIO__MEMORY_BLOCK_BITS);
    mapping->base.address = block + (offset & (EPIO__MEMORY_BLOCK_SIZE - 1));
    return 0;
}

int64_t epio__memory_map(epio__memory_lock *lock, epio__memory_node *node, epio_op *op)
{
    uint64_t len = op->arguments.map.len;
    bool private = (op->flags & EPIO_MAP_PRIVATE) != 0;
    if (op->arguments.map.offset + len > node->contents.size) {
        return epio__op_refuse(op, EPIO__REASON_BEYOND_END);
    }
    memory_mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL || len > SIZE_MAX / 2) {
        free(mapping);
        return EPIO_ENOMEM;
    }
    mapping->node = node;
    mapping->shows_stores = (op->flags & EPIO_MAP_WRITE) != 0 && !private;
    int64_t result = private ? map_copy(lock, mapping, op) : map_region(lock, mapping, op);
    if (result != 0) {
        free(mapping);
        return result;
    }
    node->references++;
    epio__mapping_init(&mapping->base, op->vfs, mapping->base.address, len);
    op->arguments.map.mapping = &mapping->base;
    return 0;
}

int64_t epio__memory_unmap(epio_op *op)
{
    memory_mapping *mapping = mapping_of(op);
    if (mapping->region != NULL) {
        epio__memory_region_release(&mapping->node->contents, mapping->region);
    }
    if (mapping->shows_stores) {
        epio__memory_note_modified(mapping->node);
    }
    free(mapping->copy);
    epio__memory_node_release(mapping->node);
    epio__mapping_free(&mapping->base);
    return 0;
}

int64_t epio__memory_sync_mapping(const epio_op *op)
{
    const memory_mapping *mapping = mapping_of(op);
    if (mapping->shows_stores) {
        epio__memory_note_modified(mapping->node);
    }
    return 0;
}
