/* Ops without file or path, which VFSes share unless they have their own form: sleep, current_time,
 * randomness, work. */
#ifndef EPIO_GENERIC_OPS_H
#define EPIO_GENERIC_OPS_H

#include "platform.h"

/* Carries such an op out on this thread: true, and *result. False for other kinds. */
bool epio__generic_perform(epio_op *op, int64_t *result);

#if EPIO_ASYNC
/* Ends a sleep when it is due. The owner. */
void epio__generic_submit_sleep(epio_op *op);
#endif

#endif
