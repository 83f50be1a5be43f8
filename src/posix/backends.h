/* The backends that this directory has. */
#ifndef EPIO_BACKENDS_H
#define EPIO_BACKENDS_H

#include "platform.h"

extern const epio__backend epio__backend_uring;
extern const epio__backend epio__backend_epoll;
extern const epio__backend epio__backend_poll;

/* What uring, which goes on where epoll ends, has to know of an epoll state: the
 * descriptor that is readable when its poll has something to do; the one among
 * those it looks at that wakes it, an eventfd; and that its owner now looks
 * himself, so that nobody need be told (epio__backend.notify). */
int epio__epoll_descriptor(const void *state);
int epio__epoll_wake_descriptor(const void *state);
void epio__epoll_disarm(void *state);

/* One more descriptor that ends a poll when it is readable, and is uring's to look at. False:
 * the system will not have it. */
bool epio__epoll_add_other(void *state, int descriptor);
void epio__epoll_remove_other(void *state, int descriptor);

#endif
