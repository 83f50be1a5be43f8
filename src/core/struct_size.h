/* Structs that cross the library's boundary, and grow from version to version: each begins with
 * its size as the program knows it. Any size from that of the first version on will do. */
#ifndef EPIO_STRUCT_SIZE_H
#define EPIO_STRUCT_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* The size of `type` in the version whose last field is `member`. */
#define EPIO__SIZE_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Takes over what the caller asks for, as this version's struct of `size` bytes: fields that he
 * does not know are 0. False: his size is below `first`, or beyond `size` he asks for
 * something that this version does not know. */
bool epio__options_take(void *options, size_t size, size_t first, const void *given);

/* Fills what the caller knows of a result of `size` bytes, and the rest of his with 0; his size
 * stays. False: it is below `first`, and nothing was done. */
bool epio__result_give(const void *result, size_t size, size_t first, void *given);

#endif
