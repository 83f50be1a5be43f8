/* Linux: streams wait in epoll, other threads wake the owner through an eventfd. The epoll
 * descriptor is itself the handle for embedding; only then does it hold a timerfd, or is there a
 * thread that watches the clock. */
#include "posix/backends.h"
#include "posix/descriptor.h"
#include "posix/linux_aio.h"
#include "posix/stream.h"
#include "posix/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 128

typedef struct epoll_state {
    int epoll;
    int event;            /* eventfd: wake */
    int timer;            /* timerfd, once embedded; else -1 */
    epio__watcher *clock; /* replaces a timerfd that the system refuses; else NULL */
    uint64_t timer_deadline;
    bool only_milliseconds; /* epoll_pwait2 is missing or forbidden */
    epio__streams streams;
    epio__linux_aio aio;    /* signals `event` */
    epio__watcher *watcher; /* for epio_loop_on_ready */
    struct epoll_event events[EVENTS_AT_ONCE];
} epoll_state;

/* `what` identifies the event's source: a file, or the address of one of these descriptors. */
static int add_descriptor(epoll_state *state, int descriptor, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = what}};
    return epoll_ctl(state->epoll, EPOLL_CTL_ADD, descriptor, &event);
}

/* Each write to it is an event of its own: its count need not be read. */
static int add_wake_event(epoll_state *state)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.ptr = &state->event}};
    return epoll_ctl(state->epoll, EPOLL_CTL_ADD, state->event, &event);
}

static uint32_t events_of_interest(uint32_t interest)
{
    return EPOLLONESHOT | ((interest & EPIO__WATCH_READ) != 0 ? (uint32_t)EPOLLIN : 0u) |
           ((interest & EPIO__WATCH_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0u);
}

static int watch(void *opaque, epio__os_file *file, uint32_t interest)
{
    epoll_state *state = opaque;
    int descriptor = (int)file->transfer_handle;
    struct epoll_event event = {.events = events_of_interest(interest), .data = {.ptr = file}};
    if (interest == 0) {
        /* Registered without events, it would still report a hang-up. */
        file->watch_slot = 0;
        (void)epoll_ctl(state->epoll, EPOLL_CTL_DEL, descriptor, NULL);
        return 0;
    }
    int action = file->watch_slot != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(state->epoll, action, descriptor, &event) == 0) {
        file->watch_slot = 1;
        return 0;
    }
    return errno == EPERM ? EPIO_ENOTSUP : epio__error_from_os(errno);
}

static void close_descriptors(epoll_state *state)
{
    if (state->timer >= 0) {
        (void)close(state->timer);
    }
    if (state->event >= 0) {
        (void)close(state->event);
    }
    if (state->epoll >= 0) {
        (void)close(state->epoll);
    }
    free(state);
}

static void epoll_close(void *opaque)
{
    epoll_state *state = opaque;
    epio__watcher_destroy(state->watcher);
    epio__watcher_destroy(state->clock);
    epio__linux_aio_close(&state->aio);
    close_descriptors(state);
}

/* Nothing is removed from the epoll, which is still the parent's. */
static void epoll_abandon(void *opaque)
{
    epoll_state *state = opaque;
    epio__watcher_abandon(state->watcher);
    epio__watcher_abandon(state->clock);
    close_descriptors(state);
}

static int epoll_open(uint64_t *pending_events, void **opened)
{
    epoll_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return EPIO_ENOMEM;
    }
    state->timer = -1;
    state->timer_deadline = EPIO_FOREVER;
    state->streams.watch = watch;
    state->streams.state = state;
    state->streams.count = pending_events;
    state->event = -1;
    state->epoll = epio__descriptor_move(epoll_create1(EPOLL_CLOEXEC));
    if (state->epoll >= 0) {
        state->event = epio__descriptor_move(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    if (state->event < 0 || add_wake_event(state) != 0) {
        int error = epio__error_from_os(errno);
        epoll_close(state);
        return error;
    }
    epio__linux_aio_init(&state->aio, state->event, pending_events);
    *opened = state;
    return 0;
}

static bool epoll_submit(void *opaque, epio_op *op)
{
    epoll_state *state = opaque;
    return epio__op_is_at_offset(op) ? epio__linux_aio_submit(&state->aio, op)
                                     : epio__stream_submit(&state->streams, op);
}

static bool epoll_cancel(void *opaque, epio_op *op)
{
    epoll_state *state = opaque;
    return epio__op_is_at_offset(op) ? epio__linux_aio_cancel(&state->aio, op)
                                     : epio__stream_cancel(&state->streams, op);
}

static void epoll_flush(void *opaque)
{
    epoll_state *state = opaque;
    (void)epio__linux_aio_flush(&state->aio);
}

static void epoll_forget(void *opaque, epio__os_file *file)
{
    epoll_state *state = opaque;
    if (file->watch_slot != 0) {
        (void)watch(state, file, 0);
    }
}

static void read_counter(int descriptor)
{
    uint64_t count;
    (void)!read(descriptor, &count, sizeof count);
}

/* In nanoseconds where the kernel can (5.11), else in milliseconds. */
static int wait_for_events(epoll_state *state, uint64_t deadline)
{
#if defined(SYS_epoll_pwait2)
    if (deadline != 0 && deadline != EPIO_FOREVER && sizeof(time_t) == sizeof(void *) &&
        !state->only_milliseconds) {
        uint64_t now = epio__monotonic_time();
        struct timespec left = epio__timespec(deadline > now ? deadline - now : 0);
        long count = syscall(SYS_epoll_pwait2, state->epoll, state->events, EVENTS_AT_ONCE, &left,
                             NULL, (size_t)0);
        if (count >= 0 || errno == EINTR) {
            return (int)count;
        }
        /* Unknown to this kernel, or forbidden: containers return EPERM. */
        state->only_milliseconds = true;
    }
#endif
    return epoll_wait(state->epoll, state->events, EVENTS_AT_ONCE,
                      deadline == 0 ? 0 : epio__milliseconds_until(deadline));
}

static void handle_event(epoll_state *state, const struct epoll_event *event)
{
    if (event->data.ptr == state || event->data.ptr == &state->event) {
        return; /* see epio__epoll_add_other and add_wake_event */
    }
    if (event->data.ptr == &state->timer) {
        if (state->clock != NULL) {
            epio__watcher_disarm(state->clock);
        } else {
            read_counter(state->timer);
        }
        state->timer_deadline = EPIO_FOREVER;
        return;
    }
    uint32_t ready = 0;
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
        ready |= EPIO__WATCH_READ;
    }
    if ((event->events & ~(uint32_t)EPOLLIN) != 0) {
        ready |= EPIO__WATCH_WRITE;
    }
    epio__stream_ready(&state->streams, event->data.ptr, ready);
}

void epio__epoll_disarm(void *opaque)
{
    const epoll_state *state = opaque;
    if (state->watcher != NULL) {
        epio__watcher_disarm(state->watcher);
    }
}

static void epoll_poll(void *opaque, uint64_t deadline)
{
    epoll_state *state = opaque;
    epio__epoll_disarm(state);
    bool is_idle = epio__linux_aio_flush(&state->aio);
    int count = wait_for_events(state, is_idle ? deadline : 0);
    for (int i = 0; i < count; i++) {
        handle_event(state, &state->events[i]);
    }
    epio__linux_aio_reap(&state->aio);
}

static void epoll_wake(void *opaque)
{
    const epoll_state *state = opaque;
    int error = errno;
    uint64_t one = 1;
    (void)!write(state->event, &one, sizeof one);
    errno = error;
}

/* Starts a thread that makes a descriptor readable when the deadline has come. */
static int make_clock(epoll_state *state)
{
    epio__watcher *clock;
    int error = epio__watcher_create(&clock);
    if (error != 0) {
        return error;
    }
    if (add_descriptor(state, epio__watcher_handle(clock), &state->timer) != 0) {
        error = epio__error_from_os(errno);
        epio__watcher_destroy(clock);
        return error;
    }
    state->clock = clock;
    return 0;
}

static bool make_timerfd(epoll_state *state)
{
    int timer = epio__descriptor_move(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (timer >= 0 && add_descriptor(state, timer, &state->timer) != 0) {
        (void)close(timer);
        timer = -1;
    }
    state->timer = timer;
    return timer >= 0;
}

/* Whatever makes one of them fail, the other may work. */
static int make_timer(epoll_state *state)
{
    bool there = state->timer >= 0 || state->clock != NULL || make_timerfd(state);
    return there ? 0 : make_clock(state);
}

static bool set_timerfd(const epoll_state *state, uint64_t deadline)
{
    struct itimerspec setting;
    memset(&setting, 0, sizeof setting); /* all zero: disarmed */
    if (deadline != EPIO_FOREVER) {
        setting.it_value = epio__timespec(deadline);
    }
    return timerfd_settime(state->timer, TFD_TIMER_ABSTIME, &setting, NULL) == 0;
}

static void set_timer(epoll_state *state, uint64_t deadline)
{
    state->timer_deadline = deadline;
    if (state->timer >= 0) {
        if (set_timerfd(state, deadline)) {
            return;
        }
        (void)close(state->timer);
        state->timer = -1;
        if (make_clock(state) != 0) {
            epoll_wake(state); /* too early rather than never */
        }
    }
    if (state->clock != NULL) {
        epio__watcher_arm(state->clock, NULL, 0, deadline);
    }
}

static intptr_t epoll_handle(void *opaque)
{
    epoll_state *state = opaque;
    int error = make_timer(state);
    return error != 0 ? error : state->epoll;
}

static void epoll_arm(void *opaque, uint64_t deadline)
{
    epoll_state *state = opaque;
    bool has_timer = state->timer >= 0 || state->clock != NULL;
    if (has_timer && deadline != state->timer_deadline) {
        set_timer(state, deadline);
    }
    if (state->watcher != NULL) {
        struct pollfd set = {.fd = state->epoll, .events = POLLIN};
        epio__watcher_arm(state->watcher, &set, 1, EPIO_FOREVER);
    }
}

static int epoll_notify(void *opaque, void (*ready)(void *user), void *user)
{
    epoll_state *state = opaque;
    int error = make_timer(state);
    if (error == 0 && state->watcher == NULL && ready != NULL) {
        error = epio__watcher_create(&state->watcher);
    }
    if (error == 0 && state->watcher != NULL) {
        epio__watcher_notify(state->watcher, ready, user);
    }
    return error;
}

int epio__epoll_descriptor(const void *opaque)
{
    const epoll_state *state = opaque;
    return state->epoll;
}

int epio__epoll_wake_descriptor(const void *opaque)
{
    const epoll_state *state = opaque;
    return state->event;
}

bool epio__epoll_add_other(void *opaque, int descriptor)
{
    epoll_state *state = opaque;
    return add_descriptor(state, descriptor, state) == 0;
}

void epio__epoll_remove_other(void *opaque, int descriptor)
{
    const epoll_state *state = opaque;
    (void)epoll_ctl(state->epoll, EPOLL_CTL_DEL, descriptor, NULL);
}

const epio__backend epio__backend_epoll = {
    .name = "epoll",
    .waits_precisely = true,
    .open = epoll_open,
    .close = epoll_close,
    .abandon = epoll_abandon,
    .submit = epoll_submit,
    .flush = epoll_flush,
    .poll = epoll_poll,
    .cancel = epoll_cancel,
    .forget = epoll_forget,
    .wake = epoll_wake,
    .handle = epoll_handle,
    .arm = epoll_arm,
    .notify = epoll_notify,
};
