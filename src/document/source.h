/* The bytes of a document on their way into a file: from memory, or from another file. */
#ifndef EPIO_DOCUMENT_SOURCE_H
#define EPIO_DOCUMENT_SOURCE_H

#include "procedure/procedure.h"

typedef struct epio__source {
    const epio_iovec *parts; /* NULL: of the file */
    size_t count;
    epio_file *file;
    uint64_t len;
} epio__source;

#define EPIO__SOURCE_MUST 1u /* once begun it is not stopped */
#define EPIO__SOURCE_FIFO 2u /* each write happens as a whole or not at all, and may wait long */

/* Writes all of it to the beginning of a file: 0. Counts progress. */
int64_t epio__source_write(epio__procedure *procedure, const epio__source *source, epio_file *to,
                           uint32_t how);

#endif
