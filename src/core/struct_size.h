/* The library's own structs that cross its boundary, and grow from version to version: each begins
 * with its size as the program knows it. What takes and gives them is in epio/vfs.h, as libraries
 * beside epio have such structs, too. */
#ifndef EPIO_STRUCT_SIZE_H
#define EPIO_STRUCT_SIZE_H

#include <epio/vfs.h>

/* The size of `type` in the version whose last field is `member`. */
#define EPIO__SIZE_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

#endif
