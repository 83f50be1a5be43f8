/* See event.h. */
#include "core/event.h"

#include "atomics.h"

void epio__event_init(epio__event *event)
{
    epio__mutex_init(&event->mutex);
    epio__condition_init(&event->condition);
    event->set = 0;
}

void epio__event_destroy(epio__event *event)
{
    epio__condition_destroy(&event->condition);
    epio__mutex_destroy(&event->mutex);
}

void epio__event_set(epio__event *event)
{
    epio__mutex_lock(&event->mutex);
    epio__store_u32(&event->set, 1);
    epio__condition_signal(&event->condition);
    epio__mutex_unlock(&event->mutex);
}

bool epio__event_wait(epio__event *event, uint64_t deadline)
{
    bool in_time = true;
    epio__mutex_lock(&event->mutex);
    while (event->set == 0 && in_time) {
        in_time = epio__condition_wait_until(&event->condition, &event->mutex, deadline);
    }
    bool was_set = event->set != 0;
    epio__store_u32(&event->set, 0);
    epio__mutex_unlock(&event->mutex);
    return was_set;
}
