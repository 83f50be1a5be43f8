/* A helper thread for embedding: waits for a loop that is not running, and notifies its host when
 * it should run. */
#ifndef EPIO_WATCHER_H
#define EPIO_WATCHER_H

#include "posix/posix.h"

#if EPIO_ASYNC

#include <poll.h>

typedef struct epio__watcher epio__watcher;

/* Starts the thread: 0, EPIO_EMFILE, EPIO_ENOMEM. */
int epio__watcher_create(epio__watcher **watcher);
void epio__watcher_destroy(epio__watcher *watcher);
/* In a forked child, which does not have the thread: frees only the memory. */
void epio__watcher_abandon(epio__watcher *watcher);

/* Waits for one of the descriptors, of which there may be none, or the deadline; then notifies,
 * once. The set is copied; without memory for that it notifies at once. */
void epio__watcher_arm(epio__watcher *watcher, const struct pollfd *set, size_t count,
                       uint64_t deadline);
/* No notification until the next arm; empties the handle. */
void epio__watcher_disarm(epio__watcher *watcher);

/* Readable from a notification until disarm. */
int epio__watcher_handle(const epio__watcher *watcher);

/* Called with each notification; NULL: none. Waits for a running call, unless it is on this
 * thread. */
void epio__watcher_notify(epio__watcher *watcher, void (*ready)(void *user), void *user);

#endif

#endif
