/* See wake_pipe.h. */
#include "posix/wake_pipe.h"

#include "posix/descriptor.h"
#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#if defined(__linux__)

/* Sets the flags in the same call, so that no process started meanwhile inherits the ends. */
static int make_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}

static bool prepare(int descriptor)
{
    return descriptor >= 0;
}

#else

static int make_pipe(int ends[2])
{
    return pipe(ends);
}

static bool prepare(int descriptor)
{
    return descriptor >= 0 && fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 &&
           fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0;
}

#endif

int epio__wake_pipe_open(int ends[2])
{
    if (make_pipe(ends) != 0) {
        return epio__error_from_os(errno);
    }
    for (int i = 0; i < 2; i++) {
        ends[i] = epio__descriptor_move(ends[i]);
        if (!prepare(ends[i])) {
            int error = epio__error_from_os(errno);
            epio__wake_pipe_close(ends);
            return error;
        }
    }
    return 0;
}

void epio__wake_pipe_close(const int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            (void)close(ends[i]);
        }
    }
}

void epio__wake_pipe_send(int write_end)
{
    int error = errno;
    /* A full pipe is readable already. */
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
