/* See tuner.h. What counts of either way is its best time, since whatever interferes only takes
 * longer. */
#include "os/tuner.h"

/* Of each way. The first get used to it: caches, and what a way prepares for the next. */
#define TRIES 16u
#define TRIES_THAT_COUNT 4u
#define TIMES_BETWEEN_TRIALS 1000u

/* Nanoseconds for that much work, so that the quotient has some digits. */
#define UNIT 65536u

uint32_t epio__trial_way(const epio__trial *trial)
{
    return trial->at / TRIES;
}

static void conclude(epio__trial *trial)
{
    for (int way = 0; way < 2; way++) {
        uint64_t before = trial->habit[way] != 0 ? trial->habit[way] : trial->best[way];
        trial->habit[way] = (3 * before + trial->best[way]) / 4;
        trial->best[way] = 0;
    }
    trial->quicker = trial->habit[1] < trial->habit[0] ? 1 : 0;
    trial->left = TIMES_BETWEEN_TRIALS;
    trial->at = 0;
}

void epio__trial_note(epio__trial *trial, uint64_t nanoseconds, uint64_t amount)
{
    uint64_t *best = &trial->best[epio__trial_way(trial)];
    uint64_t pace = nanoseconds * UNIT / amount + 1;
    bool counts = trial->at % TRIES >= TRIES - TRIES_THAT_COUNT;
    if (counts && (*best == 0 || pace < *best)) {
        *best = pace;
    }
    trial->at++;
    if (trial->at == 2 * TRIES) {
        conclude(trial);
    }
}
