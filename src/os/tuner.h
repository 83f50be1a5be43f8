/* Which of two ways of doing the same, again and again, is the quicker here: asked of the
 * clock now and then, as processors and kernels differ in it, and so do the times of day. */
#ifndef EPIO_TUNER_H
#define EPIO_TUNER_H

#include "platform.h"

/* All zero: nothing is known yet. */
typedef struct epio__trial {
    uint32_t left;     /* so often the quicker is to be taken before both are tried again */
    uint32_t quicker;  /* 0 or 1 */
    uint32_t at;       /* how far the present trial has got */
    uint64_t best[2];  /* nanoseconds for so much work, at best, in this trial; 0: none */
    uint64_t habit[2]; /* likewise, of some trials */
} epio__trial;

/* True: the next time is one of a trial. */
static inline bool epio__trial_is_due(epio__trial *trial)
{
    if (trial->left == 0) {
        return true;
    }
    trial->left--;
    return false;
}

/* Which way a trial takes next, and is to be noted to have taken. */
uint32_t epio__trial_way(const epio__trial *trial);

/* It took so long to do so much, in any unit. */
void epio__trial_note(epio__trial *trial, uint64_t nanoseconds, uint64_t amount);

#endif
