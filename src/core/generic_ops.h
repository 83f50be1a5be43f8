/* What is about no file and no path, and so alike in every VFS that has no idea
 * of its own: sleep, current_time, randomness, work. */
#ifndef EPIO_GENERIC_OPS_H
#define EPIO_GENERIC_OPS_H

#include "platform.h"

/* Carries such an op out on this thread: true, and *result. False for others. */
bool epio__generic_perform(epio_op *op, int64_t *result);

#if EPIO_ASYNC
/* Lets a sleep end when it is due. The owner. */
void epio__generic_submit_sleep(epio_op *op);
#endif

#endif
