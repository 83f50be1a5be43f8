/* Makes every descriptor of the library, for itself or for a file. */
#ifndef EPIO_DESCRIPTOR_H
#define EPIO_DESCRIPTOR_H

#include <sys/types.h>

/* As openat(2), close-on-exec and above the standard streams: the descriptor, or -1 and errno. */
int epio__descriptor_open(int directory, const char *path, int flags, mode_t mode);

/* Moves a new descriptor above the standard streams; any other, -1 included, is returned as it
 * is, with errno. -1 and errno: no number is free, and it is closed. */
int epio__descriptor_move(int descriptor);

/* In a forked child, whose only thread is not in an open, with epio__descriptor_mutex held. */
void epio__descriptors_in_child(void);

#endif
