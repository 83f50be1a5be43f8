/* The steps between the levels of a lock, without waiting. All are called with the node's
 * mutex held. */
#ifndef EPIO_LOCK_STEPS_H
#define EPIO_LOCK_STEPS_H

#include "locks/lock.h"

/* How long until the first in a queue polls again. */
#define EPIO__LOCK_FIRST_DELAY_NS UINT32_C(200000)
#define EPIO__LOCK_LAST_DELAY_NS UINT32_C(20000000)

/* Retries before a request that would deadlock fails. The other process may hold its byte only for
 * a test, and be preempted there: these take 45 ms. */
#define EPIO__LOCK_MOST_CONFLICTS 8

typedef enum epio__lock_outcome {
    EPIO__LOCK_ENDED,             /* with op->arguments.lock.outcome */
    EPIO__LOCK_BLOCKED_HERE,      /* for a file of this process */
    EPIO__LOCK_BLOCKED_BY_PROCESS /* which does not notify us: poll */
} epio__lock_outcome;

static inline bool epio__lock_may_wait(const epio_op *op)
{
    return (op->flags & EPIO_LOCK_WAIT) != 0;
}

static inline epio__lock_outcome epio__lock_end_with(epio_op *op, int outcome)
{
    op->arguments.lock.outcome = outcome;
    return EPIO__LOCK_ENDED;
}

/* Raises the holder towards the op's level, as far as it goes now. */
epio__lock_outcome epio__lock_raise(epio__lock_holder *holder, epio_op *op);
/* Reverts to the level before an op that did not get its lock. */
void epio__lock_revert(epio__lock_holder *holder, epio_op *op);
/* Lowers to SHARED or NONE: 0 or an error. */
int epio__lock_lower(epio__lock_holder *holder, epio_op *op, uint32_t level);
/* Does any holder, of any process, have RESERVED: 1, 0, or an error. */
int epio__lock_is_reserved(const epio__lock_holder *holder, epio_op *op);

#endif
