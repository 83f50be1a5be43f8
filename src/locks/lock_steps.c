/* The steps between the levels, as https://www.sqlite.org/lockingv3.html and the comments of
 * SQLite's os_unix.c describe it.
 *
 * For other processes a level is a set of byte-range locks, and so it is for
 * the ranges of other files (lock_bytes.c):
 *
 *     SHARED     shared on the 510 bytes of SHARED; not while another has PENDING, by which a
 *                writer keeps readers out
 *     RESERVED   and exclusive on RESERVED
 *     PENDING    and exclusive on PENDING
 *     EXCLUSIVE  and exclusive on SHARED
 *
 * A hot journal is rolled back by going from SHARED to EXCLUSIVE directly, through PENDING but
 * without the byte of RESERVED, whose holder would seem to own the journal.
 *
 * Inside the process the node knows the conflicting holders; byte-range locks are requested only if
 * there are none. Waiting is lock_queue.c's. */
#include "locks/lock_steps.h"

#include "atomics.h"
#include "list.h"
#include "locks/lock_bytes.h"

/* Records the holder's new level. */
static void set_level(epio__lock_holder *holder, uint32_t level)
{
    epio__lock_node *node = holder->node;
    if (holder->level == EPIO_LOCK_NONE && level != EPIO_LOCK_NONE) {
        epio_list_append(&node->holders, &holder->holding);
        node->holder_count++;
    } else if (holder->level != EPIO_LOCK_NONE && level == EPIO_LOCK_NONE) {
        epio_list_remove(&holder->holding);
        node->holder_count--;
    }
    if (level > EPIO_LOCK_SHARED) {
        node->writer = holder;
    } else if (node->writer == holder) {
        node->writer = NULL;
    }
    epio__store_u32(&holder->level, level);
}

/* ---- Raising, as far as it goes at once ---- */

/* 0, or EPIO_EBUSY if another process has the byte, or another error. */
static int check_free_elsewhere(const epio__lock_holder *holder, uint64_t byte, epio_op *op)
{
    int taken = epio__lock_bytes_are_taken(holder, byte, 1, op);
    return taken > 0 ? EPIO_EBUSY : taken;
}

/* As the system refuses it, with its os_error. */
static int try_pending(epio__lock_holder *holder, epio_op *op)
{
    int error = epio__lock_set_bytes(holder, EPIO__PENDING_BYTE, 1, EPIO__RANGE_SHARED, op);
    return error != 0 ? error
                      : epio__lock_set_bytes(holder, EPIO__PENDING_BYTE, 1, EPIO__RANGE_FREE, op);
}

/* SQLite locks PENDING meanwhile; to test it is enough, and one call less. A writer that gets it
 * between the two calls finds a reader that came before, or keeps this one out. */
static int take_shared_bytes(epio__lock_holder *holder, epio_op *op)
{
    int error = check_free_elsewhere(holder, EPIO__PENDING_BYTE, op);
    if (error == EPIO_EBUSY) {
        error = try_pending(holder, op);
    }
    bool there_already = epio__lock_bytes_are_common(holder) && holder->node->holder_count != 0;
    if (error != 0 || there_already) {
        return error;
    }
    return epio__lock_set_bytes(holder, EPIO__SHARED_FIRST, EPIO__SHARED_SIZE, EPIO__RANGE_SHARED,
                                op);
}

static epio__lock_outcome raise_to_shared(epio__lock_holder *holder, epio_op *op)
{
    const epio__lock_holder *writer = holder->node->writer;
    if (writer != NULL && writer->level >= EPIO_LOCK_PENDING) {
        return EPIO__LOCK_BLOCKED_HERE;
    }
    int error = take_shared_bytes(holder, op);
    if (error == EPIO_EBUSY) {
        return EPIO__LOCK_BLOCKED_BY_PROCESS;
    }
    if (error == 0) {
        set_level(holder, EPIO_LOCK_SHARED);
    }
    return epio__lock_end_with(op, error);
}

/* A holder of RESERVED or PENDING waits for this one's SHARED to be released: waiting for it would
 * deadlock. One that went to PENDING directly has no byte of RESERVED, so PENDING is tested, too,
 * for an op that waits; only afterwards, as on systems that can only test by trying, the test may
 * block others. Without a wait there is no deadlock: the other gets its EXCLUSIVE once this one
 * gives up, as with SQLite, which does not test. */
static epio__lock_outcome raise_to_reserved(epio__lock_holder *holder, epio_op *op)
{
    if (holder->node->writer != NULL) {
        return epio__lock_end_with(op, EPIO_EDEADLK);
    }
    int error = epio__lock_set_bytes(holder, EPIO__RESERVED_BYTE, 1, EPIO__RANGE_EXCLUSIVE, op);
    if (error != 0) {
        return epio__lock_end_with(op, error);
    }
    error = epio__lock_may_wait(op) ? check_free_elsewhere(holder, EPIO__PENDING_BYTE, op) : 0;
    if (error != 0) {
        (void)epio__lock_set_bytes(holder, EPIO__RESERVED_BYTE, 1, EPIO__RANGE_FREE, op);
        return epio__lock_end_with(op, error);
    }
    holder->reserved = true;
    set_level(holder, EPIO_LOCK_RESERVED);
    return epio__lock_end_with(op, 0);
}

/* This holder has a byte by which the other sees that it must give up, if it has only just started:
 * it gets some time. */
static epio__lock_outcome end_unless_new(epio_op *op, int error)
{
    bool new = error == EPIO_EBUSY &&epio__lock_may_wait(op) &&
               op->arguments.lock.conflicts < EPIO__LOCK_MOST_CONFLICTS;
    if (!new) {
        return epio__lock_end_with(op, error);
    }
    if (op->arguments.lock.conflicts++ == 0) {
        op->arguments.lock.delay_ns = 0;
    }
    return EPIO__LOCK_BLOCKED_BY_PROCESS;
}

static epio__lock_outcome raise_to_pending(epio__lock_holder *holder, epio_op *op)
{
    int error = holder->reserved ? 0 : check_free_elsewhere(holder, EPIO__RESERVED_BYTE, op);
    if (error != 0) {
        return epio__lock_end_with(op, error);
    }
    error = epio__lock_set_bytes(holder, EPIO__PENDING_BYTE, 1, EPIO__RANGE_EXCLUSIVE, op);
    if (error == EPIO_EBUSY) {
        error = check_free_elsewhere(holder, EPIO__PENDING_BYTE, op);
        if (error == 0) {
            return EPIO__LOCK_BLOCKED_BY_PROCESS; /* for a reader that is just acquiring SHARED */
        }
        return holder->reserved ? end_unless_new(op, error) : epio__lock_end_with(op, error);
    }
    if (error == 0) {
        set_level(holder, EPIO_LOCK_PENDING);
    }
    return epio__lock_end_with(op, error);
}

static epio__lock_outcome raise_to_exclusive(epio__lock_holder *holder, epio_op *op)
{
    epio__lock_node *node = holder->node;
    if (node->writer != NULL && node->writer != holder) {
        return epio__lock_end_with(op, EPIO_EDEADLK);
    }
    if (holder->level < EPIO_LOCK_PENDING) {
        epio__lock_outcome reached = raise_to_pending(holder, op);
        if (reached != EPIO__LOCK_ENDED || op->arguments.lock.outcome != 0) {
            return reached;
        }
    }
    if (!holder->reserved) {
        int error = check_free_elsewhere(holder, EPIO__RESERVED_BYTE, op);
        if (error != 0) {
            return end_unless_new(op, error);
        }
    }
    op->arguments.lock.conflicts = 0;
    if (node->holder_count > 1) {
        return EPIO__LOCK_BLOCKED_HERE;
    }
    int error = epio__lock_set_bytes(holder, EPIO__SHARED_FIRST, EPIO__SHARED_SIZE,
                                     EPIO__RANGE_EXCLUSIVE, op);
    if (error == EPIO_EBUSY) {
        return EPIO__LOCK_BLOCKED_BY_PROCESS;
    }
    if (error == 0) {
        set_level(holder, EPIO_LOCK_EXCLUSIVE);
    }
    return epio__lock_end_with(op, error);
}

epio__lock_outcome epio__lock_raise(epio__lock_holder *holder, epio_op *op)
{
    op->os_error = 0;
    switch (op->arguments.lock.level) {
    case EPIO_LOCK_SHARED:
        return raise_to_shared(holder, op);
    case EPIO_LOCK_RESERVED:
        return raise_to_reserved(holder, op);
    default:
        return raise_to_exclusive(holder, op);
    }
}

/* ---- Lowering ---- */

void epio__lock_revert(epio__lock_holder *holder, epio_op *op)
{
    uint32_t found = op->arguments.lock.initial_level;
    if (holder->level != found) {
        /* The only level in between is PENDING. */
        int32_t os_error = op->os_error;
        (void)epio__lock_set_bytes(holder, EPIO__PENDING_BYTE, 1, EPIO__RANGE_FREE, op);
        op->os_error = os_error;
        set_level(holder, found);
    }
}

static int go_down_to_shared(epio__lock_holder *holder, epio_op *op)
{
    int error = 0;
    if (holder->level == EPIO_LOCK_EXCLUSIVE) {
        error = epio__lock_set_bytes(holder, EPIO__SHARED_FIRST, EPIO__SHARED_SIZE,
                                     EPIO__RANGE_SHARED, op);
        if (error != 0) {
            return error;
        }
    }
    error = epio__lock_set_bytes(holder, EPIO__PENDING_BYTE, 2, EPIO__RANGE_FREE, op);
    holder->reserved = false;
    set_level(holder, EPIO_LOCK_SHARED);
    return error;
}

static int go_down_to_none(epio__lock_holder *holder, epio_op *op)
{
    bool others_need_shared = epio__lock_bytes_are_common(holder) && holder->node->holder_count > 1;
    uint64_t len =
        EPIO__SHARED_FIRST - EPIO__PENDING_BYTE + (others_need_shared ? 0 : EPIO__SHARED_SIZE);
    int error = 0;
    if (!others_need_shared || holder->level > EPIO_LOCK_SHARED) {
        error = epio__lock_set_bytes(holder, EPIO__PENDING_BYTE, len, EPIO__RANGE_FREE, op);
    }
    holder->reserved = false;
    set_level(holder, EPIO_LOCK_NONE);
    return error;
}

int epio__lock_lower(epio__lock_holder *holder, epio_op *op, uint32_t level)
{
    if (holder->level <= level) {
        return 0;
    }
    return level == EPIO_LOCK_SHARED ? go_down_to_shared(holder, op) : go_down_to_none(holder, op);
}

/* ---- Testing ---- */

int epio__lock_is_reserved(const epio__lock_holder *holder, epio_op *op)
{
    const epio__lock_holder *writer = holder->node->writer;
    if (writer != NULL && (writer->reserved || writer->level == EPIO_LOCK_EXCLUSIVE)) {
        return 1;
    }
    /* Only the byte counts: a holder that was raised directly rolls back a hot journal, which must
     * keep looking hot. */
    return epio__lock_bytes_are_taken(holder, EPIO__RESERVED_BYTE, 1, op);
}
