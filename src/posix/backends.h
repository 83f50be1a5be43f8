/* The backends that this directory has. */
#ifndef EPIO_BACKENDS_H
#define EPIO_BACKENDS_H

#include "platform.h"

extern const epio__backend epio__backend_uring;
extern const epio__backend epio__backend_epoll;
extern const epio__backend epio__backend_poll;

/* What uring, which is built on epoll, needs of an epoll state: the descriptor that is readable
 * when its poll has work; the eventfd in it that wakes the owner; and that the owner now polls by
 * itself, so no notification is needed (epio__backend.notify). */
int epio__epoll_descriptor(const void *state);
int epio__epoll_wake_descriptor(const void *state);
void epio__epoll_disarm(void *state);

/* Adds a descriptor that ends a poll when it is readable; uring handles its events. False: the
 * system refuses it. */
bool epio__epoll_add_other(void *state, int descriptor);
void epio__epoll_remove_other(void *state, int descriptor);

#endif
