/* The backends of POSIX systems, best first. */
#include "posix/backends.h"

const epio__backend *const epio__backends[] = {
#if defined(EPIO_LIBURING)
    &epio__backend_uring,
#endif
#if defined(__linux__)
    &epio__backend_epoll,
#endif
    &epio__backend_poll,
    NULL,
};
