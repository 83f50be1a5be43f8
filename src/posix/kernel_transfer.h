/* Transfers that a queue of the kernel carries out, whichever: which fit, and what becomes of an op
 * that comes back. */
#ifndef EPIO_KERNEL_TRANSFER_H
#define EPIO_KERNEL_TRANSFER_H

#include "posix/posix.h"

/* How many one call starts. The disk begins with them while the owner prepares the next: it idles
 * if it gets all at once, and costs no more system calls than it gains by that. */
#define EPIO__KERNEL_TRANSFERS_AT_ONCE 4u

/* Not too long for the owner's thread, which prepares it. */
bool epio__kernel_transfer_fits(const epio_op *op);

/* The op was not carried out, as far as is known: a worker does, unless it was cancelled. */
void epio__kernel_transfer_failed(epio_op *op);

/* `result`: bytes, or a negative errno. No result but success is final: a worker retries by the
 * ordinary call, whose result counts. True: the op is still the queue's, for the rest. */
bool epio__kernel_transfer_ended(epio_op *op, int64_t result);

#endif
