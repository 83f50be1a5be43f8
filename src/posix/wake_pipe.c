/* See wake_pipe.h. */
#include "posix/wake_pipe.h"

#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#if !defined(__linux__)
static bool prepare(int descriptor)
{
    return fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 &&
           fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0;
}
#endif

int epio__wake_pipe_open(int ends[2])
{
#if defined(__linux__)
    /* At once, so that no process started meanwhile inherits them. */
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return epio__error_from_os(errno);
    }
#else
    if (pipe(ends) != 0) {
        return epio__error_from_os(errno);
    }
    if (!prepare(ends[0]) || !prepare(ends[1])) {
        int error = epio__error_from_os(errno);
        epio__wake_pipe_close(ends);
        return error;
    }
#endif
    return 0;
}

void epio__wake_pipe_close(const int ends[2])
{
    (void)close(ends[0]);
    (void)close(ends[1]);
}

void epio__wake_pipe_send(int write_end)
{
    int error = errno;
    /* A full pipe says it already. */
    while (write(write_end, "", 1) < 0 && errno == EINTR) {
    }
    errno = error;
}

void epio__wake_pipe_drain(int read_end)
{
    char bytes[64];
    ssize_t got;
    do {
        got = read(read_end, bytes, sizeof bytes);
    } while (got == (ssize_t)sizeof bytes || (got < 0 && errno == EINTR));
}
