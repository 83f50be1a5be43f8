/* The semaphore as the core and the limiter share it. */
#ifndef EPIO_SEMAPHORE_H
#define EPIO_SEMAPHORE_H

#include "core/op.h"

/* Requests waiter->permits and waiter->bytes. 0: granted. EPIO_EPENDING: waiter->granted will be
 * called, from any thread, with waiter->outcome 0 or EPIO_ECLOSED; until then the waiter is the
 * semaphore's. EPIO_EINVAL, EPIO_ECLOSED: refused. */
int epio__semaphore_enqueue(epio_semaphore *semaphore, epio_waiter *waiter);

/* True: the waiter was still waiting, holds nothing and will not be called. */
bool epio__semaphore_withdraw(epio_semaphore *semaphore, epio_waiter *waiter);

/* Releases what a waiter was granted. */
void epio__semaphore_release(epio_semaphore *semaphore, uint32_t permits, uint64_t bytes);

/* Waits on this thread: 0, EPIO_EINVAL, EPIO_ECLOSED, EPIO_ETIMEDOUT. `deadline`
 * 0: none. */
int epio__semaphore_acquire(epio_semaphore *semaphore, uint32_t permits, uint64_t bytes,
                            uint64_t deadline);

/* The VFS that carries out an epio_acquire; it has no loop of its own. */
epio_vfs *epio__semaphore_vfs(epio_semaphore *semaphore);

/* Count what must be gone when it is destroyed: 1 more, or SIZE_MAX: 1 less. Ops of other kinds are
 * not counted. Any thread. */
void epio__semaphore_count_limit(epio_semaphore *semaphore, size_t amount);
void epio__semaphore_count_acquire(epio_semaphore *semaphore, size_t amount);

static inline void epio__semaphore_count_op(const epio_op *op, size_t amount)
{
    if (op->kind == EPIO_KIND_ACQUIRE && (op->state_flags & EPIO__FLAG_INVALID) == 0) {
        epio__semaphore_count_acquire(op->arguments.acquire.semaphore, amount);
    }
}

#endif
