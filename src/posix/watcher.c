/* See watcher.h. While armed the thread sleeps in poll(2) on a copy of the loop's set; a pipe of
 * its own interrupts it. One mutex protects everything, so that no notification follows the
 * return of disarm. */
#include "posix/watcher.h"

#if EPIO_ASYNC

#include "posix/wake_pipe.h"

#include <stdlib.h>
#include <string.h>

struct epio__watcher {
    epio__mutex mutex;
    epio__condition changed;
    epio__thread thread;
    uintptr_t identity; /* of the thread */
    int control[2];     /* interrupts poll */
    int handle[2];
    struct pollfd *set; /* as armed */
    size_t count;
    size_t capacity;
    struct pollfd *polled; /* the thread's copy, with room for the control pipe */
    size_t polled_capacity;
    uint64_t deadline;
    uint64_t generation;
    bool armed;
    bool notified; /* a byte is in the handle's pipe */
    bool polling;
    bool stopping;
    bool calling;
    void (*ready)(void *user);
    void *user;
};

static void notify_host(epio__watcher *watcher)
{
    watcher->armed = false;
    if (!watcher->notified) {
        watcher->notified = true;
        epio__wake_pipe_send(watcher->handle[1]);
    }
    if (watcher->ready != NULL) {
        void (*ready)(void *) = watcher->ready;
        void *user = watcher->user;
        watcher->calling = true;
        epio__mutex_unlock(&watcher->mutex);
        ready(user);
        epio__mutex_lock(&watcher->mutex);
        watcher->calling = false;
        epio__condition_broadcast(&watcher->changed);
    }
}

static bool reserve(struct pollfd **set, size_t *capacity, size_t count)
{
    if (count <= *capacity) {
        return true;
    }
    struct pollfd *larger = realloc(*set, count * 2 * sizeof larger[0]);
    if (larger == NULL) {
        return false;
    }
    *set = larger;
    *capacity = count * 2;
    return true;
}

/* Polls the armed set once; notifies if that is due. */
static void watch_once(epio__watcher *watcher)
{
    uint64_t generation = watcher->generation;
    uint64_t deadline = watcher->deadline;
    size_t count = watcher->count;
    if (!reserve(&watcher->polled, &watcher->polled_capacity, count + 1)) {
        notify_host(watcher); /* too early, but not too late */
        return;
    }
    if (count != 0) {
        memcpy(watcher->polled, watcher->set, count * sizeof watcher->set[0]);
    }
    watcher->polled[count].fd = watcher->control[0];
    watcher->polled[count].events = POLLIN;
    watcher->polled[count].revents = 0;
    watcher->polling = true;
    epio__mutex_unlock(&watcher->mutex);
    int ready = poll(watcher->polled, (nfds_t)(count + 1), epio__milliseconds_until(deadline));
    epio__mutex_lock(&watcher->mutex);
    watcher->polling = false;
    epio__wake_pipe_drain(watcher->control[0]);
    if (!watcher->armed || watcher->generation != generation) {
        return;
    }
    bool only_control = ready == 1 && watcher->polled[count].revents != 0;
    if ((ready > 0 && !only_control) || epio__monotonic_time() >= deadline) {
        notify_host(watcher);
    }
}

static void run(void *argument)
{
    epio__watcher *watcher = argument;
    epio__mutex_lock(&watcher->mutex);
    watcher->identity = epio__thread_self();
    while (!watcher->stopping) {
        if (watcher->armed) {
            watch_once(watcher);
        } else {
            epio__condition_wait(&watcher->changed, &watcher->mutex);
        }
    }
    epio__mutex_unlock(&watcher->mutex);
}

int epio__watcher_create(epio__watcher **created)
{
    epio__watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL) {
        return EPIO_ENOMEM;
    }
    int error = epio__wake_pipe_open(watcher->control);
    if (error != 0) {
        free(watcher);
        return error;
    }
    error = epio__wake_pipe_open(watcher->handle);
    if (error != 0) {
        epio__wake_pipe_close(watcher->control);
        free(watcher);
        return error;
    }
    epio__mutex_init(&watcher->mutex);
    epio__condition_init(&watcher->changed);
    error = epio__thread_start(&watcher->thread, run, watcher);
    if (error != 0) {
        epio__condition_destroy(&watcher->changed);
        epio__mutex_destroy(&watcher->mutex);
        epio__wake_pipe_close(watcher->control);
        epio__wake_pipe_close(watcher->handle);
        free(watcher);
        return error;
    }
    *created = watcher;
    return 0;
}

void epio__watcher_destroy(epio__watcher *watcher)
{
    if (watcher == NULL) {
        return;
    }
    epio__mutex_lock(&watcher->mutex);
    watcher->stopping = true;
    epio__wake_pipe_send(watcher->control[1]);
    epio__condition_broadcast(&watcher->changed);
    epio__mutex_unlock(&watcher->mutex);
    epio__thread_join(&watcher->thread);
    epio__condition_destroy(&watcher->changed);
    epio__mutex_destroy(&watcher->mutex);
    epio__watcher_abandon(watcher);
}

void epio__watcher_abandon(epio__watcher *watcher)
{
    if (watcher == NULL) {
        return;
    }
    epio__wake_pipe_close(watcher->control);
    epio__wake_pipe_close(watcher->handle);
    free(watcher->set);
    free(watcher->polled);
    free(watcher);
}

static bool same_set(const epio__watcher *watcher, const struct pollfd *set, size_t count)
{
    if (watcher->count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (watcher->set[i].fd != set[i].fd || watcher->set[i].events != set[i].events) {
            return false;
        }
    }
    return true;
}

void epio__watcher_arm(epio__watcher *watcher, const struct pollfd *set, size_t count,
                       uint64_t deadline)
{
    epio__mutex_lock(&watcher->mutex);
    if (watcher->notified) {
        epio__mutex_unlock(&watcher->mutex);
        return; /* not polled since the last notification */
    }
    if (watcher->armed && watcher->deadline == deadline && same_set(watcher, set, count)) {
        epio__mutex_unlock(&watcher->mutex);
        return;
    }
    if (reserve(&watcher->set, &watcher->capacity, count)) {
        if (count != 0) {
            memcpy(watcher->set, set, count * sizeof set[0]);
        }
        watcher->count = count;
        watcher->deadline = deadline;
        watcher->armed = true;
        watcher->generation++;
        if (watcher->polling) {
            epio__wake_pipe_send(watcher->control[1]);
        }
        epio__condition_broadcast(&watcher->changed);
    } else {
        notify_host(watcher); /* too early rather than never */
    }
    epio__mutex_unlock(&watcher->mutex);
}

static void forget_what_was_told(epio__watcher *watcher)
{
    if (watcher->notified) {
        watcher->notified = false;
        epio__wake_pipe_drain(watcher->handle[0]);
    }
}

void epio__watcher_disarm(epio__watcher *watcher)
{
    epio__mutex_lock(&watcher->mutex);
    watcher->armed = false;
    forget_what_was_told(watcher);
    epio__mutex_unlock(&watcher->mutex);
}

int epio__watcher_handle(const epio__watcher *watcher)
{
    return watcher->handle[0];
}

void epio__watcher_notify(epio__watcher *watcher, void (*ready)(void *user), void *user)
{
    epio__mutex_lock(&watcher->mutex);
    while (watcher->calling && watcher->identity != epio__thread_self()) {
        epio__condition_wait(&watcher->changed, &watcher->mutex);
    }
    watcher->ready = ready;
    watcher->user = user;
    forget_what_was_told(watcher); /* the new callback has not been called yet */
    epio__mutex_unlock(&watcher->mutex);
}

#endif
