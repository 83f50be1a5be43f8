/* The backends that this directory has. */
#ifndef EPIO_BACKENDS_H
#define EPIO_BACKENDS_H

#include "platform.h"

extern const epio__backend epio__backend_iocp;

#endif
