/* The backends of Windows. */
#include "win32/backends.h"

const epio__backend *const epio__backends[] = {
    &epio__backend_iocp,
    NULL,
};
