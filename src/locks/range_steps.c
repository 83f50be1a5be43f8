/* The ranges that a holder has, and the memory for their records, which a holder keeps for its next
 * ranges. A range is unlocked as it was locked: those of one holder never overlap. Waiting is
 * lock_queue.c's. */
#include "locks/range_steps.h"

#include "list.h"
#include "locks/lock_bytes.h"
#include "reason.h"

#include <stdlib.h>

/* ---- Records ---- */

void epio__range_init(epio__lock_holder *holder)
{
    epio_list_init(&holder->ranges);
    epio_list_init(&holder->spares);
}

void epio__range_destroy(epio__lock_holder *holder)
{
    epio_node *at = holder->spares.next;
    while (at != &holder->spares) {
        epio__locked_range *range = epio__locked_range_of(at);
        at = at->next;
        free(range);
    }
    epio_list_init(&holder->spares);
    free(holder->range_unlocks);
    holder->range_unlocks = NULL;
}

/* A record among the spares; NULL if there is no memory. */
static epio__locked_range *spare_of(epio__lock_holder *holder)
{
    if (epio_list_empty(&holder->spares)) {
        epio__locked_range *range = calloc(1, sizeof *range);
        if (range == NULL) {
            return NULL;
        }
        epio_list_append(&holder->spares, &range->node);
    }
    return epio__locked_range_of(holder->spares.next);
}

static void add(epio__lock_holder *holder, epio__locked_range *range)
{
    epio_list_remove(&range->node);
    if (epio_list_empty(&holder->ranges)) {
        epio_list_append(&holder->node->range_holders, &holder->holding_ranges);
    }
    epio_list_append(&holder->ranges, &range->node);
}

static void drop(epio__lock_holder *holder, epio__locked_range *range)
{
    epio_list_remove(&range->node);
    epio_list_append(&holder->spares, &range->node);
    if (epio_list_empty(&holder->ranges)) {
        epio_list_remove(&holder->holding_ranges);
    }
}

/* One that overlaps; NULL: none. */
static epio__locked_range *find_overlapping(const epio__lock_holder *holder, uint64_t start,
                                            uint64_t len)
{
    for (epio_node *at = holder->ranges.next; at != &holder->ranges; at = at->next) {
        epio__locked_range *range = epio__locked_range_of(at);
        if (epio__ranges_overlap(range->start, range->len, start, len)) {
            return range;
        }
    }
    return NULL;
}

/* ---- Locking ---- */

static bool refuse(epio_op *op, uint8_t reason)
{
    (void)epio__lock_end_with(op, epio__op_refuse(op, reason));
    return true;
}

bool epio__range_prepare(epio__lock_holder *holder, epio_op *op)
{
    uint64_t start = op->arguments.lock.start;
    uint64_t len = op->arguments.lock.len;
    uint32_t mode = op->arguments.lock.level;
    const epio__locked_range *own = find_overlapping(holder, start, len);
    op->arguments.lock.initial_level = own != NULL ? (uint8_t)own->mode : EPIO__RANGE_FREE;
    if (own != NULL && (own->start != start || own->len != len)) {
        return refuse(op, EPIO__REASON_HELD_OTHERWISE);
    }
    if (holder->level != EPIO_LOCK_NONE && epio__range_has_level_bytes(start, len)) {
        return refuse(op, EPIO__REASON_RANGE_OF_LEVELS);
    }
    bool same = own != NULL && own->mode == mode;
    bool strengthen = own != NULL && mode == EPIO__RANGE_EXCLUSIVE && !same;
    if (strengthen && holder->bytes != NULL && !epio__range_locks_convert()) {
        (void)epio__lock_end_with(op, EPIO_ENOTSUP);
        return true;
    }
    if (same) {
        (void)epio__lock_end_with(op, 0);
    }
    return same;
}

epio__lock_outcome epio__range_take(epio__lock_holder *holder, epio_op *op)
{
    uint64_t start = op->arguments.lock.start;
    uint64_t len = op->arguments.lock.len;
    uint32_t mode = op->arguments.lock.level;
    op->os_error = 0;
    if (epio__lock_is_blocked(holder, start, len, mode)) {
        return EPIO__LOCK_BLOCKED_HERE;
    }
    epio__locked_range *range = find_overlapping(holder, start, len);
    bool new = range == NULL;
    if (new) {
        range = spare_of(holder);
        if (range == NULL) {
            return epio__lock_end_with(op, EPIO_ENOMEM);
        }
        *range = (epio__locked_range){range->node, start, len, EPIO__RANGE_FREE};
    }
    int error = epio__lock_change_bytes(holder, range, mode, op);
    if (error == EPIO_EBUSY) {
        return EPIO__LOCK_BLOCKED_BY_PROCESS;
    }
    if (error == 0) {
        range->mode = mode;
        if (new) {
            add(holder, range);
        }
    }
    return epio__lock_end_with(op, error);
}

bool epio__range_excludes_levels(const epio__lock_holder *holder)
{
    return find_overlapping(holder, EPIO__PENDING_BYTE, EPIO__LEVEL_BYTES) != NULL;
}

/* ---- Unlocking ---- */

bool epio__range_is_partly_inside(const epio__lock_holder *holder, uint64_t start, uint64_t len)
{
    for (epio_node *at = holder->ranges.next; at != &holder->ranges; at = at->next) {
        const epio__locked_range *range = epio__locked_range_of(at);
        if (epio__ranges_overlap(range->start, range->len, start, len) &&
            !epio__range_is_inside(range->start, range->len, start, len)) {
            return true;
        }
    }
    return false;
}

/* One that is partly inside has just been locked, by an op behind one that was ended. */
int epio__range_release(epio__lock_holder *holder, uint64_t start, uint64_t len, epio_op *op)
{
    int result = 0;
    int32_t os_error = 0;
    epio_node *at = holder->ranges.next;
    while (at != &holder->ranges) {
        epio__locked_range *range = epio__locked_range_of(at);
        at = at->next;
        if (!epio__range_is_inside(range->start, range->len, start, len)) {
            continue;
        }
        op->os_error = 0;
        int error = epio__lock_change_bytes(holder, range, EPIO__RANGE_FREE, op);
        if (error != 0 && result == 0) {
            result = error;
            os_error = op->os_error;
        }
        drop(holder, range);
    }
    op->os_error = os_error;
    return result;
}

/* ---- Testing ---- */

int epio__range_test(const epio__lock_holder *holder, epio_op *op)
{
    uint64_t start = op->arguments.lock.start;
    uint64_t len = op->arguments.lock.len;
    uint32_t mode = op->arguments.lock.level;
    op->os_error = 0;
    if (epio__lock_is_blocked(holder, start, len, mode)) {
        return 1;
    }
    return epio__lock_test_bytes(holder, start, len, mode, op);
}

/* ---- Unlocks between two tries of a worker ---- */

/* More than these between two tries, some 20 ms, and an op waits on that should have ended. */
#define MOST_UNLOCKS 64u

struct epio__range_unlocks {
    uint32_t count; /* of all since it was made */
    struct {
        uint64_t start;
        uint64_t len;
    } latest[MOST_UNLOCKS]; /* by their number, modulo */
};

void epio__range_note_unlock(epio__lock_holder *holder, uint64_t start, uint64_t len)
{
    struct epio__range_unlocks *unlocks = holder->range_unlocks;
    if (unlocks != NULL) {
        uint32_t slot = unlocks->count++ % MOST_UNLOCKS;
        unlocks->latest[slot].start = start;
        unlocks->latest[slot].len = len;
    }
}

/* The op stores the count that it has seen, plus 1; 0: it is at its first try. */
int epio__range_was_unlocked(epio__lock_holder *holder, epio_op *op)
{
    if (holder->range_unlocks == NULL) {
        holder->range_unlocks = calloc(1, sizeof *holder->range_unlocks);
    }
    struct epio__range_unlocks *unlocks = holder->range_unlocks;
    if (unlocks == NULL) {
        return EPIO_ENOMEM;
    }
    bool first = op->arguments.lock.unlocks == 0;
    uint32_t since = first ? 0 : unlocks->count - (op->arguments.lock.unlocks - 1);
    since = since < MOST_UNLOCKS ? since : MOST_UNLOCKS;
    op->arguments.lock.unlocks = unlocks->count + 1;
    for (uint32_t back = 1; back <= since; back++) {
        uint32_t slot = (unlocks->count - back) % MOST_UNLOCKS;
        if (epio__range_is_inside(op->arguments.lock.start, op->arguments.lock.len,
                                  unlocks->latest[slot].start, unlocks->latest[slot].len)) {
            return 1;
        }
    }
    return 0;
}
