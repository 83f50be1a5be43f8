/* See watcher.h. A port can be waited on like any handle; the wait takes no packet. */
#include "win32/watcher.h"

#include <stdlib.h>

struct epio__watcher {
    HANDLE port;
    HANDLE nudge; /* what the thread has to do has changed */
    epio__thread thread;
    epio__mutex mutex; /* protects the rest */
    epio__condition call_ended;
    void (*ready)(void *user);
    void *user;
    uintptr_t calling; /* the thread that is in a call of `ready`; 0: none */
    bool armed;
    bool notified; /* notified since the last poll: the host already has a message */
    bool stopping;
};

static void call_ready(epio__watcher *watcher)
{
    void (*ready)(void *user) = watcher->ready;
    void *user = watcher->user;
    watcher->armed = false;
    watcher->notified = true;
    if (ready == NULL) {
        return;
    }
    watcher->calling = epio__thread_self();
    epio__mutex_unlock(&watcher->mutex);
    ready(user);
    epio__mutex_lock(&watcher->mutex);
    watcher->calling = 0;
    epio__condition_broadcast(&watcher->call_ended);
}

static void watch(void *argument)
{
    epio__watcher *watcher = argument;
    epio__mutex_lock(&watcher->mutex);
    while (!watcher->stopping) {
        HANDLE handles[] = {watcher->nudge, watcher->port};
        DWORD count = watcher->armed ? 2 : 1;
        epio__mutex_unlock(&watcher->mutex);
        DWORD which = WaitForMultipleObjects(count, handles, FALSE, INFINITE);
        epio__mutex_lock(&watcher->mutex);
        if (which == WAIT_OBJECT_0 + 1 && watcher->armed) {
            call_ready(watcher);
        }
    }
    epio__mutex_unlock(&watcher->mutex);
}

int epio__watcher_create(epio__watcher **created, HANDLE port)
{
    epio__watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL) {
        return EPIO_ENOMEM;
    }
    watcher->port = port;
    watcher->nudge = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (watcher->nudge == NULL) {
        int error = epio__error_from_os((int32_t)GetLastError());
        free(watcher);
        return error;
    }
    epio__mutex_init(&watcher->mutex);
    epio__condition_init(&watcher->call_ended);
    int error = epio__thread_start(&watcher->thread, watch, watcher);
    if (error != 0) {
        epio__condition_destroy(&watcher->call_ended);
        epio__mutex_destroy(&watcher->mutex);
        (void)CloseHandle(watcher->nudge);
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
    epio__mutex_unlock(&watcher->mutex);
    (void)SetEvent(watcher->nudge);
    epio__thread_join(&watcher->thread);
    (void)CloseHandle(watcher->nudge);
    epio__condition_destroy(&watcher->call_ended);
    epio__mutex_destroy(&watcher->mutex);
    free(watcher);
}

void epio__watcher_arm(epio__watcher *watcher)
{
    epio__mutex_lock(&watcher->mutex);
    bool begins = !watcher->armed && !watcher->notified;
    watcher->armed = watcher->armed || begins;
    epio__mutex_unlock(&watcher->mutex);
    if (begins) {
        (void)SetEvent(watcher->nudge);
    }
}

void epio__watcher_disarm(epio__watcher *watcher)
{
    epio__mutex_lock(&watcher->mutex);
    watcher->armed = false; /* the thread notices when the port has something */
    watcher->notified = false;
    epio__mutex_unlock(&watcher->mutex);
}

void epio__watcher_notify(epio__watcher *watcher, void (*ready)(void *user), void *user)
{
    epio__mutex_lock(&watcher->mutex);
    watcher->ready = ready;
    watcher->user = user;
    while (watcher->calling != 0 && watcher->calling != epio__thread_self()) {
        epio__condition_wait(&watcher->call_ended, &watcher->mutex);
    }
    watcher->notified = false; /* the new callback has not been called yet */
    epio__mutex_unlock(&watcher->mutex);
}
