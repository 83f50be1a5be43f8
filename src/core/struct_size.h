/* Structs that cross the library's boundary, and grow from version to version: each begins with its
 * size as the program knows it. Any size from that of the first version on is accepted. */
#ifndef EPIO_STRUCT_SIZE_H
#define EPIO_STRUCT_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* The size of `type` in the version whose last field is `member`. */
#define EPIO__SIZE_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Copies the caller's options to this version's struct of `size` bytes: fields that the caller does
 * not have are 0. False: the caller's size is below `first`, or fields beyond `size`, which this
 * version does not know, are not 0. */
bool epio__options_take(void *options, size_t size, size_t first, const void *given);

/* Fills the caller's struct from a result of `size` bytes, and what is beyond that with 0; the
 * caller's size stays. False: that is below `first`, and nothing was done. */
bool epio__result_give(const void *result, size_t size, size_t first, void *given);

#endif
