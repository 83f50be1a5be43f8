/* A close after which the file is closed for other processes, too, though a transfer of the
 * kernel's AIO had it: its completion is seen a moment before the kernel lets go of the file. */
#include "posix/posix.h"

#include <unistd.h>

#if defined(__linux__)

#include "posix/descriptor.h"

#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>

/* No longer, as another descriptor of the program, or of a child, may keep the file open for good.
 */
#define MOST_NANOSECONDS UINT64_C(20000000)

/* An inotify(7) instance that reports when the file is released; -1: none can be had. */
static int watch_release(int descriptor)
{
    char path[sizeof "/proc/self/fd/" + 3 * sizeof descriptor];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int watch = epio__descriptor_move(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (watch >= 0 && inotify_add_watch(watch, path, IN_CLOSE | IN_ONESHOT) < 0) {
        (void)close(watch);
        watch = -1;
    }
    return watch;
}

int epio__close_and_wait(int descriptor)
{
    int watch = watch_release(descriptor);
    int result = close(descriptor);
    int error = errno;
    if (watch >= 0) {
        /* Signals of the program do not shorten it. */
        struct pollfd released = {.fd = watch, .events = POLLIN};
        uint64_t until = epio__monotonic_time() + MOST_NANOSECONDS;
        while (poll(&released, 1, epio__milliseconds_until(until)) < 0 && errno == EINTR) {
        }
        (void)close(watch);
    }
    errno = error;
    return result;
}

#else

int epio__close_and_wait(int descriptor)
{
    return close(descriptor);
}

#endif
