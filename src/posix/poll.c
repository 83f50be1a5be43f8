/* Any POSIX system: streams wait in poll(2), other threads wake the owner through a pipe. poll
 * has no descriptor to wait on, so an embedded loop has a watcher thread. */
#include "posix/backends.h"
#include "posix/stream.h"
#include "posix/wake_pipe.h"
#include "posix/watcher.h"

#include <errno.h>
#include <stdlib.h>

/* The set is the wake pipe, then one entry per file. */
#define FIRST_SLOT 1

typedef struct poll_state {
    int wake[2];
    struct pollfd *set;
    epio__os_file **files; /* files[i] belongs to set[i] */
    size_t count;
    size_t capacity;
    epio__streams streams;
    epio__watcher *watcher; /* once embedded */
} poll_state;

static bool reserve(poll_state *state)
{
    if (state->count < state->capacity) {
        return true;
    }
    size_t capacity = state->capacity * 2;
    struct pollfd *set = realloc(state->set, capacity * sizeof set[0]);
    if (set == NULL) {
        return false;
    }
    state->set = set;
    epio__os_file **files = realloc(state->files, capacity * sizeof(epio__os_file *));
    if (files == NULL) {
        return false;
    }
    state->files = files;
    state->capacity = capacity;
    return true;
}

/* The last entry moves into the free slot. */
static void remove_slot(poll_state *state, epio__os_file *file)
{
    size_t slot = (size_t)file->watch_slot;
    size_t last = --state->count;
    state->set[slot] = state->set[last];
    state->files[slot] = state->files[last];
    state->files[slot]->watch_slot = (int32_t)slot;
    file->watch_slot = 0;
}

static int watch(void *opaque, epio__os_file *file, uint32_t interest)
{
    poll_state *state = opaque;
    if (interest == 0) {
        if (file->watch_slot != 0) {
            remove_slot(state, file);
        }
        return 0;
    }
    if (file->watch_slot == 0) {
        if (!reserve(state)) {
            return EPIO_ENOMEM;
        }
        file->watch_slot = (int32_t)state->count++;
        state->files[file->watch_slot] = file;
    }
    struct pollfd *entry = &state->set[file->watch_slot];
    entry->fd = (int)file->transfer_handle;
    entry->events = (short)(((interest & EPIO__WATCH_READ) != 0 ? POLLIN : 0) |
                            ((interest & EPIO__WATCH_WRITE) != 0 ? POLLOUT : 0));
    entry->revents = 0;
    return 0;
}

static void free_state(poll_state *state)
{
    epio__wake_pipe_close(state->wake);
    free(state->set);
    free(state->files);
    free(state);
}

static void poll_close(void *opaque)
{
    poll_state *state = opaque;
    epio__watcher_destroy(state->watcher);
    free_state(state);
}

static void poll_abandon(void *opaque)
{
    poll_state *state = opaque;
    epio__watcher_abandon(state->watcher);
    free_state(state);
}

static int poll_open(uint64_t *pending_events, void **opened)
{
    poll_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return EPIO_ENOMEM;
    }
    int error = epio__wake_pipe_open(state->wake);
    if (error != 0) {
        free(state);
        return error;
    }
    state->capacity = 16;
    state->set = calloc(state->capacity, sizeof state->set[0]);
    state->files = calloc(state->capacity, sizeof(epio__os_file *));
    if (state->set == NULL || state->files == NULL) {
        poll_close(state);
        return EPIO_ENOMEM;
    }
    state->set[0].fd = state->wake[0];
    state->set[0].events = POLLIN;
    state->count = FIRST_SLOT;
    state->streams.watch = watch;
    state->streams.state = state;
    state->streams.count = pending_events;
    *opened = state;
    return 0;
}

static bool poll_submit(void *opaque, epio_op *op)
{
    poll_state *state = opaque;
    return epio__stream_submit(&state->streams, op);
}

static bool poll_cancel(void *opaque, epio_op *op)
{
    poll_state *state = opaque;
    return epio__stream_cancel(&state->streams, op);
}

static void poll_forget(void *opaque, epio__os_file *file)
{
    (void)watch(opaque, file, 0);
}

static uint32_t ready_of(short events)
{
    uint32_t ready = 0;
    if ((events & ~POLLOUT) != 0) {
        ready |= EPIO__WATCH_READ;
    }
    if ((events & ~POLLIN) != 0) {
        ready |= EPIO__WATCH_WRITE;
    }
    return ready;
}

static int wait_for_events(poll_state *state, uint64_t deadline)
{
#if defined(__linux__) || defined(__FreeBSD__) || defined(__OpenBSD__)
    if (deadline != 0 && deadline != EPIO_FOREVER) {
        uint64_t now = epio__monotonic_time();
        struct timespec left = epio__timespec(deadline > now ? deadline - now : 0);
        return ppoll(state->set, (nfds_t)state->count, &left, NULL);
    }
#endif
    return poll(state->set, (nfds_t)state->count,
                deadline == 0 ? 0 : epio__milliseconds_until(deadline));
}

static void poll_poll(void *opaque, uint64_t deadline)
{
    poll_state *state = opaque;
    if (state->watcher != NULL) {
        epio__watcher_disarm(state->watcher);
    }
    if (wait_for_events(state, deadline) <= 0) {
        return;
    }
    if (state->set[0].revents != 0) {
        epio__wake_pipe_drain(state->wake[0]);
    }
    /* From the end, since the last entry moves into a removed slot; an entry added during the
     * pass has no event yet. */
    for (size_t i = state->count; i-- > FIRST_SLOT;) {
        short events = state->set[i].revents;
        if (events != 0) {
            epio__os_file *file = state->files[i];
            remove_slot(state, file);
            if ((events & POLLNVAL) != 0) {
                epio__stream_unwatchable(&state->streams, file); /* macOS, /dev/tty */
            } else {
                epio__stream_ready(&state->streams, file, ready_of(events));
            }
        }
    }
}

static void poll_wake(void *opaque)
{
    const poll_state *state = opaque;
    epio__wake_pipe_send(state->wake[1]);
}

static int make_watcher(poll_state *state)
{
    return state->watcher != NULL ? 0 : epio__watcher_create(&state->watcher);
}

static intptr_t poll_handle(void *opaque)
{
    poll_state *state = opaque;
    int error = make_watcher(state);
    return error != 0 ? error : epio__watcher_handle(state->watcher);
}

static void poll_arm(void *opaque, uint64_t deadline)
{
    poll_state *state = opaque;
    if (state->watcher != NULL) {
        epio__watcher_arm(state->watcher, state->set, state->count, deadline);
    }
}

static int poll_notify(void *opaque, void (*ready)(void *user), void *user)
{
    poll_state *state = opaque;
    int error = ready != NULL ? make_watcher(state) : 0;
    if (error == 0 && state->watcher != NULL) {
        epio__watcher_notify(state->watcher, ready, user);
    }
    return error;
}

const epio__backend epio__backend_poll = {
    .name = "poll",
    .open = poll_open,
    .close = poll_close,
    .abandon = poll_abandon,
    .submit = poll_submit,
    .poll = poll_poll,
    .cancel = poll_cancel,
    .forget = poll_forget,
    .wake = poll_wake,
    .handle = poll_handle,
    .arm = poll_arm,
    .notify = poll_notify,
};
