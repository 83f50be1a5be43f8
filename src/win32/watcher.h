/* A helper thread for embedding: waits for packets beside a loop that is not running, and
 * tells when there are some. */
#ifndef EPIO_WATCHER_H
#define EPIO_WATCHER_H

#include "win32/win32.h"

typedef struct epio__watcher epio__watcher;

/* Starts the thread: 0, EPIO_EMFILE, EPIO_ENOMEM. */
int epio__watcher_create(epio__watcher **watcher, HANDLE port);
/* NULL is ignored. */
void epio__watcher_destroy(epio__watcher *watcher);

/* Waits for the port to have something; then tells, once. */
void epio__watcher_arm(epio__watcher *watcher);
/* Tells no more until the next arm. */
void epio__watcher_disarm(epio__watcher *watcher);

/* Is called when it tells; NULL: nothing is. Waits for a running call, unless it is this
 * thread's own. */
void epio__watcher_notify(epio__watcher *watcher, void (*ready)(void *user), void *user);

#endif
