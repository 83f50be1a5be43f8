/* The open file description whose position append.c uses. */
#ifndef EPIO_POSIX_APPEND_H
#define EPIO_POSIX_APPEND_H

#include "platform.h"

/* Of a new file, whose generation is known. */
void epio__position_init(epio__os_file *file);
/* Before the file's memory is freed. */
void epio__position_destroy(epio__os_file *file);

/* lseek(2) with SEEK_DATA or SEEK_HOLE, where there are these: the offset, or -1 and errno. Any
 * thread. */
int64_t epio__position_seek(epio__os_file *file, uint64_t offset, bool hole);

#endif
