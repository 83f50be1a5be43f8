/* The ranges that a holder has: locking, unlocking and testing them without waiting. All but the
 * last two, of memory alone, are called with the node's mutex held. */
#ifndef EPIO_RANGE_STEPS_H
#define EPIO_RANGE_STEPS_H

#include "locks/lock_steps.h"

/* Notes the mode in which the holder has the op's range, as op->arguments.lock.initial_level. True:
 * the op has ended, as nothing is to be done, or as it is refused. */
bool epio__range_prepare(epio__lock_holder *holder, epio_op *op);

/* Locks the op's range, or changes its mode, if that is possible now. */
epio__lock_outcome epio__range_take(epio__lock_holder *holder, epio_op *op);

/* Is a range of the holder partly inside? */
bool epio__range_is_partly_inside(const epio__lock_holder *holder, uint64_t start, uint64_t len);

/* Unlocks the holder's ranges inside: 0, or the first error. */
int epio__range_release(epio__lock_holder *holder, uint64_t start, uint64_t len, epio_op *op);

/* 1 if another holder, of any process, blocks the op's range, 0, or an error. */
int epio__range_test(const epio__lock_holder *holder, epio_op *op);

/* Does the holder have a range with bytes of the levels? */
bool epio__range_excludes_levels(const epio__lock_holder *holder);

/* For ops that are in no queue while they wait, as a worker retries them. Was the op's range
 * unlocked since the last call with this op? 1, 0, or EPIO_ENOMEM. */
int epio__range_was_unlocked(epio__lock_holder *holder, epio_op *op);
void epio__range_note_unlock(epio__lock_holder *holder, uint64_t start, uint64_t len);

void epio__range_init(epio__lock_holder *holder);
/* Frees the memory of a holder that has no range. */
void epio__range_destroy(epio__lock_holder *holder);

#endif
