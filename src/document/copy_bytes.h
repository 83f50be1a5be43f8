/* The bytes of one open file for another, new one. */
#ifndef EPIO_COPY_BYTES_H
#define EPIO_COPY_BYTES_H

#include "document/copy_file.h"

/* Of `source`, which is what copier->info says: their number, or an error, and a part may be
 * there. */
int64_t epio__copy_bytes(epio__copier *copier, epio_file *source, epio_file *target);

#endif
