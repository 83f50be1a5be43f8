/* The verbs of epio/mapping.h: each checks its arguments and stores them in the op. */
#include "core/mapping.h"
#include "core/verb.h"
#include "fatal.h"

epio_op *epio_map(epio_op *op, epio_file *file, uint64_t offset, uint64_t len, uint32_t access)
{
    const uint32_t known = EPIO_MAP_READ | EPIO_MAP_WRITE | EPIO_MAP_PRIVATE;
    epio__verb_on_file(op, "epio_map", EPIO_KIND_MAP, file);
    op->arguments.map.mapping = NULL;
    op->arguments.map.offset = offset;
    op->arguments.map.len = len;
    op->flags = access;
    epio__verb_require(op, (access & ~known) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(op, (access & EPIO_MAP_READ) != 0, EPIO__REASON_MAP_WITHOUT_READ);
    epio__verb_require(op, len != 0, EPIO__REASON_NO_RANGE);
    epio__verb_require(op, offset <= INT64_MAX && len <= INT64_MAX - offset,
                       EPIO__REASON_BEYOND_LIMIT);
    epio__verb_require_direction(op, EPIO_OPEN_READ);
    if ((access & (EPIO_MAP_WRITE | EPIO_MAP_PRIVATE)) == EPIO_MAP_WRITE) {
        epio__verb_require_direction(op, EPIO_OPEN_WRITE);
    }
    return op;
}

epio_mapping *epio_op_mapping(const epio_op *op)
{
    epio__require(op, "epio_op_mapping", "the op is NULL");
    bool mapped = op->kind == EPIO_KIND_MAP && op->result >= 0 &&
                  epio__load_u32(&op->state) == EPIO__STATE_DONE;
    return mapped ? op->arguments.map.mapping : NULL;
}

void *epio_mapping_address(const epio_mapping *mapping)
{
    epio__require(mapping, "epio_mapping_address", "the mapping is NULL");
    return mapping->address;
}

uint64_t epio_mapping_len(const epio_mapping *mapping)
{
    epio__require(mapping, "epio_mapping_len", "the mapping is NULL");
    return mapping->len;
}

static epio_op *prepare(epio_op *op, const char *function, uint8_t kind, epio_mapping *mapping)
{
    if (mapping != NULL) {
        epio__mapping_check(mapping, function);
    }
    epio__verb_on_vfs(op, function, kind, mapping != NULL ? mapping->vfs : NULL);
    if (mapping == NULL) {
        op->result = epio__op_refuse(op, EPIO__REASON_MAPPING_IS_NULL);
    }
    op->arguments.map.mapping = mapping;
    op->arguments.map.offset = 0;
    op->arguments.map.len = 0;
    return op;
}

epio_op *epio_unmap(epio_op *op, epio_mapping *mapping)
{
    return prepare(op, "epio_unmap", EPIO_KIND_UNMAP, mapping);
}

epio_op *epio_sync_mapping(epio_op *op, epio_mapping *mapping, uint64_t offset, uint64_t len)
{
    prepare(op, "epio_sync_mapping", EPIO_KIND_SYNC_MAPPING, mapping);
    if (mapping != NULL) {
        bool inside = offset <= mapping->len && len <= mapping->len - offset;
        op->arguments.map.offset = offset;
        op->arguments.map.len = len != 0 || !inside ? len : mapping->len - offset;
        epio__verb_require(op, inside, EPIO__REASON_BEYOND_MAPPING);
    }
    return op;
}
