/* A helper thread for embedding: waits beside a loop that is not running, and
 * tells when it should. */
#ifndef EPIO_WATCHER_H
#define EPIO_WATCHER_H

#include "posix/posix.h"

#if EPIO_ASYNC

#include <poll.h>

typedef struct epio__watcher epio__watcher;

/* Starts the thread: 0, EPIO_EMFILE, EPIO_ENOMEM. */
int epio__watcher_create(epio__watcher **watcher);
void epio__watcher_destroy(epio__watcher *watcher);
/* In a forked child, where the thread is not: frees the watcher alone. */
void epio__watcher_abandon(epio__watcher *watcher);

/* Waits for one of the descriptors, of which there may be none, or the deadline; then tells, once.
 * The set is copied; without memory for that it tells at once. */
void epio__watcher_arm(epio__watcher *watcher, const struct pollfd *set, size_t count,
                       uint64_t deadline);
/* Tells no more until the next arm, and empties the handle. */
void epio__watcher_disarm(epio__watcher *watcher);

/* Readable from telling until disarm. */
int epio__watcher_handle(const epio__watcher *watcher);

/* Is called when it tells; NULL: nothing is. Waits for a running call, unless
 * it is this thread's own. */
void epio__watcher_notify(epio__watcher *watcher, void (*ready)(void *user), void *user);

#endif

#endif
