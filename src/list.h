/* Lists, checked by the library's own assertions where those are on. */
#ifndef EPIO_LIST_H
#define EPIO_LIST_H

#include "fatal.h"

#define EPIO_LIST_ASSERT EPIO__ASSERT
#include <epio/list.h>

#endif
