/* The bytes that holders lock, as other files and other processes see them. All functions are
 * called with the node's mutex held. */
#ifndef EPIO_LOCK_BYTES_H
#define EPIO_LOCK_BYTES_H

#include "locks/lock.h"

/* The bytes of SQLite's levels. */
#define EPIO__PENDING_BYTE UINT64_C(0x40000000)
#define EPIO__RESERVED_BYTE (EPIO__PENDING_BYTE + 1)
#define EPIO__SHARED_FIRST (EPIO__PENDING_BYTE + 2)
#define EPIO__SHARED_SIZE UINT64_C(510)
#define EPIO__LEVEL_BYTES (2 + EPIO__SHARED_SIZE) /* from PENDING on */

/* A range that a holder has. */
typedef struct epio__locked_range {
    epio_node node; /* in the holder's ranges or spares */
    uint64_t start;
    uint64_t len;
    uint32_t mode;
} epio__locked_range;

static inline epio__locked_range *epio__locked_range_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio__locked_range, node);
}

static inline bool epio__ranges_overlap(uint64_t start, uint64_t len, uint64_t other_start,
                                        uint64_t other_len)
{
    return start < other_start + other_len && other_start < start + len;
}

static inline bool epio__range_is_inside(uint64_t start, uint64_t len, uint64_t outer_start,
                                         uint64_t outer_len)
{
    return start >= outer_start && start + len <= outer_start + outer_len;
}

static inline bool epio__range_has_level_bytes(uint64_t start, uint64_t len)
{
    return epio__ranges_overlap(start, len, EPIO__PENDING_BYTE, EPIO__LEVEL_BYTES);
}

/* Some bytes that a holder locks, by a level or a range. */
typedef struct epio__lock_part {
    const epio__lock_holder *holder;
    uint64_t start;
    uint64_t len;
    uint32_t mode;
} epio__lock_part;

/* True: the caller has found what it looks for. */
typedef bool epio__lock_visit(void *context, const epio__lock_part *part);

/* Calls `visit` for what each holder but `self` locks, by a range alone, or by a level, too; true
 * as soon as that returns true. */
bool epio__lock_visit_ranges(const epio__lock_holder *self, epio__lock_visit *visit, void *context);
bool epio__lock_visit_others(const epio__lock_holder *self, epio__lock_visit *visit, void *context);

/* Would a lock of this mode on the bytes conflict with the part? */
bool epio__lock_part_blocks(const epio__lock_part *part, uint64_t start, uint64_t len,
                            uint32_t mode);

/* Does another holder of the node block the bytes: by a range, or by a level, too? */
bool epio__lock_is_blocked_by_range(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                                    uint32_t mode);
bool epio__lock_is_blocked(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                           uint32_t mode);

/* All holders of the node share the locks of the process. */
bool epio__lock_bytes_are_common(const epio__lock_holder *holder);

/* For a level: as epio__range_set, among the ranges of other holders, too. */
int epio__lock_set_bytes(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                         uint32_t mode, epio_op *op);
/* For a level: 1 if another process, another library in this one or another file's range has the
 * bytes exclusively, 0, or an error. */
int epio__lock_bytes_are_taken(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                               epio_op *op);

/* For a range that the node allows: as epio__range_change. */
int epio__lock_change_bytes(const epio__lock_holder *holder, const epio__locked_range *range,
                            uint32_t mode, epio_op *op);
/* For a range: 1 if another process blocks it, 0, or an error. */
int epio__lock_test_bytes(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                          uint32_t mode, epio_op *op);

#endif
