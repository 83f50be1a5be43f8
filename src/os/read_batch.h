/* Reads of what is probably in memory: collected until the loop looks at the kernel, then
 * carried out one by one or, where the back end has a call for many, together. */
#ifndef EPIO_READ_BATCH_H
#define EPIO_READ_BATCH_H

#include "core/queue.h"
#include "os/trial.h"

/* From so many on one call for all may be worth its own cost. */
#define EPIO__READS_OF_A_BATCH 8u

typedef struct epio__read_batch {
    epio__queue reads;
    uint32_t count;
    uint32_t closed;   /* atomic: a file was, since the latest */
    bool together;     /* one was, and the back end was not told yet of a turn without */
    epio__trial trial; /* one by one or together */
} epio__read_batch;

#endif
