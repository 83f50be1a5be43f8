/* Counted permits and bytes with one queue for both, first come first served: a request for more
 * than is free holds up those behind it, else it might never be granted. The waiter's `granted`
 * resumes its op or thread.
 *
 * While no request waits and bytes are not limited, the permits are one atomic number,
 * `fast_permits`, which changes without the mutex. A thread that holds the mutex takes that number
 * over. */
#include "core/semaphore.h"

#include "core/event.h"
#include "core/registry.h"
#include "fatal.h"
#include "reason.h"

#include <stdlib.h>

/* In place of the number: permits_free has it, guarded by the mutex. */
#define LOCKED UINT32_MAX

struct epio_semaphore {
    epio_vfs vfs; /* of each epio_acquire */
    epio__entry entry;
    uint32_t fast_permits; /* atomic; permits that are free, or LOCKED */
    epio__mutex mutex;     /* guards the rest */
    epio_node waiters;
    uint64_t bytes_total; /* 0: bytes are not limited */
    uint64_t bytes_free;
    uint32_t permits_total;
    uint32_t permits_free;
    size_t limits; /* atomic; `limit` VFSes over it */
    size_t ops;    /* atomic; each an epio_acquire in flight, started or not */
    bool closed;
    bool inherited; /* this process was forked from the one that made it */
};

/* ---- With the mutex and without ---- */

static void lock(epio_semaphore *semaphore)
{
    epio__mutex_lock(&semaphore->mutex);
    uint32_t fast_permits = epio__exchange_u32(&semaphore->fast_permits, LOCKED);
    if (fast_permits != LOCKED) {
        semaphore->permits_free = fast_permits;
    }
}

static void unlock(epio_semaphore *semaphore)
{
    bool unlocked = epio_list_empty(&semaphore->waiters) && semaphore->bytes_total == 0 &&
                    !semaphore->closed && semaphore->permits_total != LOCKED;
    if (unlocked) {
        epio__store_u32(&semaphore->fast_permits, semaphore->permits_free);
    }
    epio__mutex_unlock(&semaphore->mutex);
}

/* False: the mutex is needed, or there are not enough. */
static bool take_fast(epio_semaphore *semaphore, uint32_t permits)
{
    uint32_t fast_permits = epio__load_u32(&semaphore->fast_permits);
    do {
        if (fast_permits == LOCKED || permits > fast_permits || permits == 0) {
            return false;
        }
    } while (!epio__compare_exchange_u32(&semaphore->fast_permits, &fast_permits,
                                         fast_permits - permits));
    return true;
}

/* False: the mutex is needed, or they were never acquired. */
static bool give_fast(epio_semaphore *semaphore, uint32_t permits)
{
    uint32_t fast_permits = epio__load_u32(&semaphore->fast_permits);
    do {
        if (fast_permits == LOCKED || permits > semaphore->permits_total - fast_permits) {
            return false;
        }
    } while (!epio__compare_exchange_u32(&semaphore->fast_permits, &fast_permits,
                                         fast_permits + permits));
    return true;
}

/* ---- Forks ---- */

static epio_semaphore *semaphore_of(epio__entry *entry)
{
    return EPIO_CONTAINER(entry, epio_semaphore, entry);
}

static void before_fork(epio__entry *entry)
{
    epio__mutex_lock(&semaphore_of(entry)->mutex);
}

/* Ops of the parent that hold or wait for permits neither release any in the child nor get any
 * there. */
static void after_fork(epio__entry *entry, bool in_child)
{
    epio_semaphore *semaphore = semaphore_of(entry);
    if (in_child) {
        epio_list_init(&semaphore->waiters);
        semaphore->inherited = true;
    }
    epio__mutex_unlock(&semaphore->mutex);
}

static const epio__entry_methods semaphore_methods = {
    .before_fork = before_fork,
    .after_fork = after_fork,
};

/* ---- epio_acquire ---- */

epio_vfs *epio__semaphore_vfs(epio_semaphore *semaphore)
{
    return &semaphore->vfs;
}

static int outcome_of(epio_op *op, int outcome)
{
    return outcome == EPIO_EINVAL ? epio__op_refuse(op, EPIO__REASON_TOO_MANY_PERMITS) : outcome;
}

static void acquire_granted(epio_waiter *waiter)
{
    epio_complete(EPIO_CONTAINER(waiter, epio_op, arguments.acquire.waiter), waiter->outcome);
}

static void submit_acquire(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_waiter *waiter = &op->arguments.acquire.waiter;
    waiter->granted = acquire_granted;
    op->route = EPIO__ROUTE_NONE; /* there is nothing to carry out */
    int outcome = epio__semaphore_enqueue(op->arguments.acquire.semaphore, waiter);
    if (outcome != EPIO_EPENDING) {
        epio_complete(op, outcome_of(op, outcome));
    }
}

static int64_t perform_acquire(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    int outcome = epio__semaphore_acquire(op->arguments.acquire.semaphore,
                                          op->arguments.acquire.waiter.permits, 0, op->timeout_ns);
    return outcome_of(op, outcome);
}

/* One that was granted meanwhile ends with its permits. */
static void cancel_acquire(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    if (epio__semaphore_withdraw(op->arguments.acquire.semaphore, &op->arguments.acquire.waiter)) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

static const epio_vfs_methods acquire_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "semaphore",
    .submit = submit_acquire,
    .perform = perform_acquire,
    .cancel = cancel_acquire,
};

/* ---- A semaphore ---- */

int epio_semaphore_create(epio_semaphore **semaphore, uint32_t permits)
{
    if (semaphore == NULL || permits == 0) {
        return EPIO_EINVAL;
    }
    epio_semaphore *created = calloc(1, sizeof *created);
    if (created == NULL) {
        return EPIO_ENOMEM;
    }
    created->vfs.methods = &acquire_methods;
    epio__mutex_init(&created->mutex);
    epio_list_init(&created->waiters);
    created->permits_total = permits;
    created->permits_free = permits;
    created->fast_permits = permits;
    epio__registry_add(&created->entry, &semaphore_methods);
    *semaphore = created;
    return 0;
}

void epio_semaphore_limit_bytes(epio_semaphore *semaphore, uint64_t bytes)
{
    epio__require(semaphore, "epio_semaphore_limit_bytes", "the semaphore is NULL");
    lock(semaphore);
    bool in_use = !epio_list_empty(&semaphore->waiters) ||
                  semaphore->permits_free != semaphore->permits_total;
    if (!in_use) {
        semaphore->bytes_total = bytes;
        semaphore->bytes_free = bytes;
    }
    unlock(semaphore);
    if (in_use) {
        epio__fatal("epio_semaphore_limit_bytes", "the semaphore is in use already");
    }
}

void epio_semaphore_destroy(epio_semaphore *semaphore)
{
    if (semaphore == NULL) {
        return;
    }
    if (epio__load_size(&semaphore->limits) != 0) {
        epio__fatal("epio_semaphore_destroy", "a `limit` VFS uses it; destroy that first");
    }
    lock(semaphore);
    bool waited_for = !epio_list_empty(&semaphore->waiters);
    bool in_use = epio__load_size(&semaphore->ops) != 0 && !semaphore->inherited;
    unlock(semaphore);
    if (waited_for) {
        epio__fatal("epio_semaphore_destroy", "operations still wait for it; close it first");
    }
    if (in_use) {
        epio__fatal("epio_semaphore_destroy",
                    "an epio_acquire is in flight; wait for its completion first");
    }
    epio__registry_remove(&semaphore->entry);
    epio__mutex_destroy(&semaphore->mutex);
    free(semaphore);
}

void epio__semaphore_count_limit(epio_semaphore *semaphore, size_t amount)
{
    epio__add_size(&semaphore->limits, amount);
}

void epio__semaphore_count_acquire(epio_semaphore *semaphore, size_t amount)
{
    epio__add_size(&semaphore->ops, amount);
}

/* A request larger than the limit takes all. */
static uint64_t bytes_charged(const epio_semaphore *semaphore, uint64_t bytes)
{
    return bytes < semaphore->bytes_total ? bytes : semaphore->bytes_total;
}

static bool take(epio_semaphore *semaphore, uint32_t permits, uint64_t bytes)
{
    uint64_t charged = bytes_charged(semaphore, bytes);
    if (permits > semaphore->permits_free || charged > semaphore->bytes_free) {
        return false;
    }
    semaphore->permits_free -= permits;
    semaphore->bytes_free -= charged;
    return true;
}

/* Moves the waiters that can be granted now to `granted`. */
static void collect_granted(epio_semaphore *semaphore, epio_node *granted)
{
    while (!epio_list_empty(&semaphore->waiters)) {
        epio_waiter *waiter = EPIO_CONTAINER(semaphore->waiters.next, epio_waiter, node);
        if (semaphore->closed) {
            waiter->outcome = EPIO_ECLOSED;
        } else if (take(semaphore, waiter->permits, waiter->bytes)) {
            waiter->outcome = 0;
        } else {
            return;
        }
        epio_list_remove(&waiter->node);
        epio_list_append(granted, &waiter->node);
    }
}

/* Without the mutex, since it may start operations; each waiter may be gone when its call
 * returns. */
static void call_granted(epio_node *granted)
{
    while (!epio_list_empty(granted)) {
        epio_waiter *waiter = EPIO_CONTAINER(granted->next, epio_waiter, node);
        epio_list_remove(&waiter->node);
        waiter->granted(waiter);
    }
}

int epio__semaphore_enqueue(epio_semaphore *semaphore, epio_waiter *waiter)
{
    int outcome;
    if (take_fast(semaphore, waiter->permits)) {
        return 0;
    }
    lock(semaphore);
    if (waiter->permits == 0 || waiter->permits > semaphore->permits_total) {
        outcome = EPIO_EINVAL;
    } else if (semaphore->closed) {
        outcome = EPIO_ECLOSED;
    } else if (epio_list_empty(&semaphore->waiters) &&
               take(semaphore, waiter->permits, waiter->bytes)) {
        outcome = 0;
    } else {
        waiter->outcome = EPIO_EPENDING;
        epio_list_append(&semaphore->waiters, &waiter->node);
        outcome = EPIO_EPENDING;
    }
    unlock(semaphore);
    return outcome;
}

bool epio__semaphore_withdraw(epio_semaphore *semaphore, epio_waiter *waiter)
{
    epio_node granted;
    epio_list_init(&granted);
    lock(semaphore);
    bool waiting = waiter->outcome == EPIO_EPENDING;
    if (waiting) {
        epio_list_remove(&waiter->node);
        waiter->outcome = EPIO_ECANCELED;
        collect_granted(semaphore, &granted); /* it may have held up smaller ones */
    }
    unlock(semaphore);
    call_granted(&granted);
    return waiting;
}

void epio__semaphore_release(epio_semaphore *semaphore, uint32_t permits, uint64_t bytes)
{
    if (give_fast(semaphore, permits)) {
        return;
    }
    epio_node granted;
    epio_list_init(&granted);
    lock(semaphore);
    if (permits > semaphore->permits_total - semaphore->permits_free) {
        unlock(semaphore);
        epio__fatal("epio_semaphore_release", "more permits are released than were acquired");
    }
    semaphore->permits_free += permits;
    semaphore->bytes_free += bytes_charged(semaphore, bytes);
    collect_granted(semaphore, &granted);
    unlock(semaphore);
    call_granted(&granted);
}

int epio_semaphore_try_acquire(epio_semaphore *semaphore, uint32_t permits)
{
    int outcome;
    epio__require(semaphore, "epio_semaphore_try_acquire", "the semaphore is NULL");
    if (take_fast(semaphore, permits)) {
        return 0;
    }
    lock(semaphore);
    if (permits == 0 || permits > semaphore->permits_total) {
        outcome = EPIO_EINVAL;
    } else if (semaphore->closed) {
        outcome = EPIO_ECLOSED;
    } else if (epio_list_empty(&semaphore->waiters) && take(semaphore, permits, 0)) {
        outcome = 0;
    } else {
        outcome = EPIO_EBUSY;
    }
    unlock(semaphore);
    return outcome;
}

void epio_semaphore_release(epio_semaphore *semaphore, uint32_t permits)
{
    epio__require(semaphore, "epio_semaphore_release", "the semaphore is NULL");
    epio__semaphore_release(semaphore, permits, 0);
}

uint32_t epio_semaphore_available(const epio_semaphore *semaphore)
{
    epio__require(semaphore, "epio_semaphore_available", "the semaphore is NULL");
    uint32_t fast_permits = epio__load_u32(&semaphore->fast_permits);
    if (fast_permits != LOCKED) {
        return fast_permits;
    }
    /* The mutex is not part of the caller's const view. */
    epio_semaphore *changed = (epio_semaphore *)(uintptr_t)semaphore;
    lock(changed);
    uint32_t available = changed->permits_free;
    unlock(changed);
    return available;
}

void epio_semaphore_close(epio_semaphore *semaphore)
{
    epio_node granted;
    epio__require(semaphore, "epio_semaphore_close", "the semaphore is NULL");
    epio_list_init(&granted);
    lock(semaphore);
    semaphore->closed = true;
    collect_granted(semaphore, &granted);
    unlock(semaphore);
    call_granted(&granted);
}

typedef struct thread_waiter {
    epio_waiter base;
    epio__event event;
} thread_waiter;

static void wake_thread(epio_waiter *base)
{
    epio__event_set(&EPIO_CONTAINER(base, thread_waiter, base)->event);
}

static int wait_for_grant(epio_semaphore *semaphore, thread_waiter *waiter, uint64_t deadline)
{
    if (!epio__event_wait(&waiter->event, deadline)) {
        if (epio__semaphore_withdraw(semaphore, &waiter->base)) {
            return EPIO_ETIMEDOUT;
        }
        /* Granted at the last moment: wait for the call of `granted`, since it uses this thread's
         * stack. */
        (void)epio__event_wait(&waiter->event, EPIO_FOREVER);
    }
    return waiter->base.outcome;
}

int epio__semaphore_acquire(epio_semaphore *semaphore, uint32_t permits, uint64_t bytes,
                            uint64_t deadline)
{
    thread_waiter waiter = {.base = {.granted = wake_thread, .bytes = bytes, .permits = permits}};
    epio__event_init(&waiter.event);
    int outcome = epio__semaphore_enqueue(semaphore, &waiter.base);
    if (outcome == EPIO_EPENDING) {
        outcome = wait_for_grant(semaphore, &waiter, deadline != 0 ? deadline : EPIO_FOREVER);
    }
    epio__event_destroy(&waiter.event);
    return outcome;
}
