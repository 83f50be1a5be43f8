/* Calls that may wait for others, as for a permit of a `limit`, the bytes of a pipe, or a reader of
 * a FIFO, made by threads that have to notice meanwhile that they are to end. */
#ifndef EPIO_PATIENCE_H
#define EPIO_PATIENCE_H

#include <epio/epio.h>

/* How long one call waits before it is looked whether the caller is to end. A call that is made
 * again has lost its place in a queue. */
#define EPIO__PATIENCE_NS UINT64_C(50000000)

/* 0 if ops of the VFS wait for nothing but the system, which ends all of them; else the above. `op`
 * says which loop's VFS is the system's. */
uint64_t epio__patience_with(const epio_op *op, const epio_vfs *vfs);

/* epio_perform of an op that was not performed yet, again after each `patience_ns` until
 * `ended(user)`: its result, EPIO_ETIMEDOUT without an os_error if it waited in vain. A file that
 * another program does not share is waited for as long as without a deadline. 0: as long as the op
 * takes. */
int64_t epio__perform_patiently(epio_op *op, uint64_t patience_ns, bool (*ended)(void *user),
                                void *user);

#endif
