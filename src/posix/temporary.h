/* Temporary files and directories: where they are, and a name for a file that has none. */
#ifndef EPIO_TEMPORARY_H
#define EPIO_TEMPORARY_H

#include "posix/posix.h"

/* Finds the directory for a temporary file, as epio_open documents: false if it is too long, or,
 * for a NULL path, if there is none. */
bool epio__directory_for_temporary(int at, const char *path, char *directory, size_t size);

#endif
