/* The bytes that holders lock. Inside the process the node knows them, by the holders' levels and
 * ranges; the system is asked only for what the node allows.
 *
 * Where all files of a process share their locks, an unlock must leave what other holders of the
 * node have on the same bytes. */
#include "locks/lock_bytes.h"

#include "list.h"
#include "reason.h"

/* ---- What holders have ---- */

static bool visit_level(const epio__lock_holder *holder, epio__lock_visit *visit, void *context)
{
    bool alone = holder->level == EPIO_LOCK_EXCLUSIVE;
    const epio__lock_part parts[] = {
        {holder, EPIO__SHARED_FIRST, EPIO__SHARED_SIZE,
         alone ? EPIO__RANGE_EXCLUSIVE : EPIO__RANGE_SHARED},
        {holder, EPIO__RESERVED_BYTE, 1, EPIO__RANGE_EXCLUSIVE},
        {holder, EPIO__PENDING_BYTE, 1, EPIO__RANGE_EXCLUSIVE},
    };
    return (holder->level != EPIO_LOCK_NONE && visit(context, &parts[0])) ||
           (holder->reserved && visit(context, &parts[1])) ||
           (holder->level >= EPIO_LOCK_PENDING && visit(context, &parts[2]));
}

static bool visit_ranges_of(const epio__lock_holder *holder, epio__lock_visit *visit, void *context)
{
    for (epio_node *at = holder->ranges.next; at != &holder->ranges; at = at->next) {
        const epio__locked_range *range = epio__locked_range_of(at);
        const epio__lock_part part = {holder, range->start, range->len, range->mode};
        if (visit(context, &part)) {
            return true;
        }
    }
    return false;
}

bool epio__lock_visit_ranges(const epio__lock_holder *self, epio__lock_visit *visit, void *context)
{
    const epio_node *list = &self->node->range_holders;
    for (epio_node *at = list->next; at != list; at = at->next) {
        const epio__lock_holder *other = EPIO_CONTAINER(at, epio__lock_holder, holding_ranges);
        if (other != self && visit_ranges_of(other, visit, context)) {
            return true;
        }
    }
    return false;
}

bool epio__lock_visit_others(const epio__lock_holder *self, epio__lock_visit *visit, void *context)
{
    const epio_node *list = &self->node->holders;
    for (epio_node *at = list->next; at != list; at = at->next) {
        const epio__lock_holder *other = EPIO_CONTAINER(at, epio__lock_holder, holding);
        if (other != self && visit_level(other, visit, context)) {
            return true;
        }
    }
    return epio__lock_visit_ranges(self, visit, context);
}

bool epio__lock_part_blocks(const epio__lock_part *part, uint64_t start, uint64_t len,
                            uint32_t mode)
{
    bool shared = part->mode == EPIO__RANGE_SHARED && mode == EPIO__RANGE_SHARED;
    return !shared && epio__ranges_overlap(part->start, part->len, start, len);
}

static bool blocks(void *context, const epio__lock_part *part)
{
    const epio__lock_part *wanted = context;
    return epio__lock_part_blocks(part, wanted->start, wanted->len, wanted->mode);
}

bool epio__lock_is_blocked_by_range(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                                    uint32_t mode)
{
    epio__lock_part wanted = {holder, start, len, mode};
    return epio__lock_visit_ranges(holder, blocks, &wanted);
}

bool epio__lock_is_blocked(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                           uint32_t mode)
{
    epio__lock_part wanted = {holder, start, len, mode};
    return epio__lock_visit_others(holder, blocks, &wanted);
}

/* The first part, by its start, with bytes of [at, end). */
typedef struct first_part {
    uint64_t at;
    uint64_t end;
    uint64_t part_start; /* not before `at`; `end`: none */
    uint64_t part_end;
    uint32_t mode;
} first_part;

static bool keep_first(void *context, const epio__lock_part *part)
{
    first_part *first = context;
    uint64_t start = part->start > first->at ? part->start : first->at;
    if (start < first->part_start && part->start + part->len > first->at) {
        first->part_start = start;
        first->part_end = part->start + part->len;
        first->mode = part->mode;
    }
    return false;
}

/* ---- The system ---- */

bool epio__lock_bytes_are_common(const epio__lock_holder *holder)
{
    return holder->bytes != NULL && epio__range_locks_are_common();
}

/* EPIO_EINVAL from the platform, not from the system, has one reason. */
static int outcome_of(epio_op *op, int outcome)
{
    bool refused = outcome == EPIO_EINVAL && op->os_error == 0;
    return refused ? epio__op_refuse(op, EPIO__REASON_RANGE_LOCKS) : outcome;
}

/* Goes on after an error, and returns the first. */
static int free_common_bytes(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                             epio_op *op)
{
    int result = 0;
    uint64_t end = start + len;
    while (start < end) {
        first_part kept = {start, end, end, end, EPIO__RANGE_FREE};
        int32_t os_error = 0;
        int error = 0;
        (void)epio__lock_visit_others(holder, keep_first, &kept);
        if (kept.part_start > start) {
            error = epio__range_set(holder->bytes, start, kept.part_start - start, EPIO__RANGE_FREE,
                                    &os_error);
        }
        if (error != 0 && result == 0) {
            result = error;
            op->os_error = os_error;
        }
        start = kept.part_end;
    }
    return result;
}

int epio__lock_set_bytes(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                         uint32_t mode, epio_op *op)
{
    if (mode != EPIO__RANGE_FREE && epio__lock_is_blocked_by_range(holder, start, len, mode)) {
        return EPIO_EBUSY;
    }
    if (holder->bytes == NULL) {
        return 0;
    }
    if (mode == EPIO__RANGE_FREE && epio__range_locks_are_common()) {
        return outcome_of(op, free_common_bytes(holder, start, len, op));
    }
    return outcome_of(op, epio__range_set(holder->bytes, start, len, mode, &op->os_error));
}

int epio__lock_bytes_are_taken(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                               epio_op *op)
{
    if (epio__lock_is_blocked_by_range(holder, start, len, EPIO__RANGE_SHARED)) {
        return 1;
    }
    return epio__lock_test_bytes(holder, start, len, EPIO__RANGE_SHARED, op);
}

int epio__lock_change_bytes(const epio__lock_holder *holder, const epio__locked_range *range,
                            uint32_t mode, epio_op *op)
{
    if (holder->bytes == NULL) {
        return 0;
    }
    if (mode == EPIO__RANGE_FREE && epio__range_locks_are_common()) {
        return outcome_of(op, free_common_bytes(holder, range->start, range->len, op));
    }
    return outcome_of(op, epio__range_change(holder->bytes, range->start, range->len, range->mode,
                                             mode, &op->os_error));
}

static int test_piece(const epio__lock_holder *holder, uint64_t start, uint64_t end, uint32_t mode,
                      epio_op *op)
{
    if (start == end) {
        return 0;
    }
    return outcome_of(op,
                      epio__range_is_taken(holder->bytes, start, end - start, mode, &op->os_error));
}

/* Where a test is a try, what the holder itself has is left out: nobody else has what it has
 * exclusively, and what it shares nobody else has exclusively. Whether others share it too, nothing
 * tells. */
static int test_around_own(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                           uint32_t mode, epio_op *op)
{
    uint64_t end = start + len;
    bool unknown = false;
    while (start < end) {
        first_part own = {start, end, end, end, EPIO__RANGE_FREE};
        (void)visit_level(holder, keep_first, &own);
        (void)visit_ranges_of(holder, keep_first, &own);
        int taken = test_piece(holder, start, own.part_start, mode, op);
        if (taken != 0) {
            return taken;
        }
        unknown = unknown || (own.mode == EPIO__RANGE_SHARED && mode == EPIO__RANGE_EXCLUSIVE);
        start = own.part_end;
    }
    return unknown ? EPIO_ENOTSUP : 0;
}

int epio__lock_test_bytes(const epio__lock_holder *holder, uint64_t start, uint64_t len,
                          uint32_t mode, epio_op *op)
{
    if (holder->bytes == NULL) {
        return 0;
    }
    return epio__range_locks_convert() ? test_piece(holder, start, start + len, mode, op)
                                       : test_around_own(holder, start, len, mode, op);
}
