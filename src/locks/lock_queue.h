/* The lock ops of one node that wait, for a level or a range, and their order. All are called with
 * the node's mutex held, but for epio__lock_notify_all. */
#ifndef EPIO_LOCK_QUEUE_H
#define EPIO_LOCK_QUEUE_H

#include "locks/lock.h"

static inline epio__lock_holder *epio__lock_holder_of(const epio_op *op)
{
    return op->arguments.lock.holder;
}

static inline bool epio__lock_waits(const epio_op *op)
{
    return op->arguments.lock.outcome == EPIO_EPENDING;
}

/* The `notify` of an op for which a thread waits, by op->waiter. */
void epio__lock_wake_thread(epio_op *op);

/* Notifies the ops that ended or are to poll: after the mutex is unlocked. Each op may be gone when
 * its call returns. */
void epio__lock_notify_all(epio_node *notifications);

/* Starts a new op: afterwards it has ended or waits, in the queue or behind another op of its
 * holder. */
void epio__lock_enqueue(epio__lock_holder *holder, epio_op *op, epio_node *notifications);

/* Grants what can be had now to the ops that wait for any of these bytes. */
void epio__lock_grant(epio__lock_node *node, uint64_t start, uint64_t len,
                      epio_node *notifications);
/* The same for the bytes of this op. */
void epio__lock_grant_around(epio_op *op, epio_node *notifications);

/* Ends an op that waits, without its lock. */
void epio__lock_withdraw(epio_op *op, int outcome, epio_node *notifications);

/* Ends the holder's ops for levels, or those for ranges that are inside, with EPIO_ECANCELED. */
void epio__lock_end_requests(epio__lock_holder *holder, bool ranges, uint64_t start, uint64_t len,
                             epio_node *notifications);

/* Does a thread that waits for the op have to poll? */
bool epio__lock_needs_polls(const epio_op *op);

/* Does a file block the op whose loop is the calling thread's, and so does not run while that
 * waits? */
bool epio__lock_waits_for_own_loop(const epio_op *op);

#endif
