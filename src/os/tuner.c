/* See tuner.h. Of either method the best time counts, since interference only adds time. */
#include "os/tuner.h"

/* Tries of each method. The first are warm-up: for caches, and for what one try prepares for the
 * next. */
#define TRIES 16u
#define TRIES_THAT_COUNT 4u
#define TIMES_BETWEEN_TRIALS 1000u

/* Times are nanoseconds per this much work, so that the quotient has enough digits. */
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
