/* The open file description whose position append.c uses. */
#ifndef EPIO_POSIX_APPEND_H
#define EPIO_POSIX_APPEND_H

#include "platform.h"

/* Of a new file, whose generation is known. */
void epio__position_init(epio__os_file *file);
/* Before the file's memory is freed. */
void epio__position_destroy(epio__os_file *file);

#endif
