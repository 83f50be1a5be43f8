/* The mutex of a memory VFS. First come, first served: with one mutex a long copy would get it
 * back, part after part, before a waiter has woken up. */
#ifndef EPIO_LAYERS_MEMORY_LOCK_H
#define EPIO_LAYERS_MEMORY_LOCK_H

#include "platform.h"

typedef struct epio__memory_lock {
    epio__mutex turnstile; /* held by the next thread that gets `mutex` */
    epio__mutex mutex;
} epio__memory_lock;

static inline void epio__memory_lock_acquire(epio__memory_lock *lock)
{
    epio__mutex_lock(&lock->turnstile);
    epio__mutex_lock(&lock->mutex);
    epio__mutex_unlock(&lock->turnstile);
}

static inline void epio__memory_lock_release(epio__memory_lock *lock)
{
    epio__mutex_unlock(&lock->mutex);
}

static inline void epio__memory_let_others_in(epio__memory_lock *lock)
{
    epio__memory_lock_release(lock);
    epio__memory_lock_acquire(lock);
}

#endif
