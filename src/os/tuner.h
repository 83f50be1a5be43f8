/* Finds the quicker of two methods for the same repeated work, by timing both now and then, as the
 * answer depends on the processor, the kernel and the present load. */
#ifndef EPIO_TUNER_H
#define EPIO_TUNER_H

#include "platform.h"

/* All zero: nothing is known yet. */
typedef struct epio__tuner {
    uint32_t left;       /* uses of the quicker method until both are tried again */
    uint32_t faster;     /* 0 or 1 */
    uint32_t at;         /* tries made in the present trial */
    uint64_t best[2];    /* best nanoseconds per work in this trial; 0: none */
    uint64_t average[2]; /* likewise, moving average over trials */
} epio__tuner;

/* True: the next use belongs to a trial. */
static inline bool epio__tuner_is_due(epio__tuner *tuner)
{
    if (tuner->left == 0) {
        return true;
    }
    tuner->left--;
    return false;
}

/* The method that a trial takes next, to be reported by epio__tuner_record. */
uint32_t epio__tuner_choice(const epio__tuner *tuner);

/* Records a try: its time, and the amount of work in any unit. */
void epio__tuner_record(epio__tuner *tuner, uint64_t nanoseconds, uint64_t amount);

#endif
