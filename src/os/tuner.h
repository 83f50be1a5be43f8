/* Finds the quicker of two methods for the same repeated work, by timing both now and then, as the
 * answer depends on the processor, the kernel and the present load. */
#ifndef EPIO_TUNER_H
#define EPIO_TUNER_H

#include "platform.h"

/* All zero: nothing is known yet. */
typedef struct epio__trial {
    uint32_t left;     /* uses of the quicker method until both are tried again */
    uint32_t quicker;  /* 0 or 1 */
    uint32_t at;       /* tries made in the present trial */
    uint64_t best[2];  /* best nanoseconds per work in this trial; 0: none */
    uint64_t habit[2]; /* likewise, moving average over trials */
} epio__trial;

/* True: the next use belongs to a trial. */
static inline bool epio__trial_is_due(epio__trial *trial)
{
    if (trial->left == 0) {
        return true;
    }
    trial->left--;
    return false;
}

/* The method that a trial takes next, to be reported by epio__trial_note. */
uint32_t epio__trial_way(const epio__trial *trial);

/* Records a try: its time, and the amount of work in any unit. */
void epio__trial_note(epio__trial *trial, uint64_t nanoseconds, uint64_t amount);

#endif
