/* A helper thread for embedding: waits for packets of a loop that is not running, and notifies
 * its host when there are some. */
#ifndef EPIO_WATCHER_H
#define EPIO_WATCHER_H

#include "win32/win32.h"

typedef struct epio__watcher epio__watcher;

/* Starts the thread: 0, EPIO_EMFILE, EPIO_ENOMEM. */
int epio__watcher_create(epio__watcher **watcher, HANDLE port);
/* NULL is ignored. */
void epio__watcher_destroy(epio__watcher *watcher);

/* Waits until the port has something; then notifies, once. */
void epio__watcher_arm(epio__watcher *watcher);
/* No notification until the next arm. */
void epio__watcher_disarm(epio__watcher *watcher);

/* Called with each notification; NULL: none. Waits for a running call, unless it is on this
 * thread. */
void epio__watcher_notify(epio__watcher *watcher, void (*ready)(void *user), void *user);

#endif
