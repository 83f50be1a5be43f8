/* Which ops in flight can say how far they are. What they say is theirs. */
#ifndef EPIO_CORE_PROGRESS_H
#define EPIO_CORE_PROGRESS_H

#include "list.h"

#include <epio/document.h>

/* Embedded in what an op is made of. */
typedef struct epio__progress {
    epio_node node;
    const epio_op *op;
    void (*read)(struct epio__progress *progress, epio_progress_info *info);
} epio__progress;

/* `read` fills all but the size, on any thread, until the other returns. Any thread. */
void epio__progress_publish(epio__progress *progress, const epio_op *op,
                            void (*read)(epio__progress *progress, epio_progress_info *info));
void epio__progress_withdraw(epio__progress *progress);

#endif
