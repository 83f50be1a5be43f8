/* Every descriptor that the library makes, for itself or for a file, comes from here. */
#ifndef EPIO_DESCRIPTOR_H
#define EPIO_DESCRIPTOR_H

#include <sys/types.h>

/* open(2), close-on-exec and above the standard streams: the descriptor, or -1 and
 * errno. */
int epio__descriptor_open(const char *path, int flags, mode_t mode);

/* Another number for a new descriptor that is one of a standard stream's; any other stays
 * as it is, -1 too, with errno. -1 and errno: there is none, and it is closed. */
int epio__descriptor_move(int descriptor);

/* In a forked child, whose only thread is at no open, with epio__descriptor_mutex held. */
void epio__descriptors_in_child(void);

#endif
