/* One thread sleeps until another sets the event. */
#ifndef EPIO_EVENT_H
#define EPIO_EVENT_H

#include "platform.h"

typedef struct epio__event {
    epio__mutex mutex; /* a thread that holds it blocks the setter */
    epio__condition condition;
    uint32_t set; /* atomic; changed with the mutex */
} epio__event;

void epio__event_init(epio__event *event);
/* No thread may be about to set it. */
void epio__event_destroy(epio__event *event);

/* The last access to the event, for the setter, is the end of this call. */
void epio__event_set(epio__event *event);

/* Waits until it is set, and resets it. False if `deadline` (monotonic; EPIO_FOREVER: none) passed
 * before. */
bool epio__event_wait(epio__event *event, uint64_t deadline);

#endif
