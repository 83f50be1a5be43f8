/* See tuner.h. Of either method the best time counts, since interference only adds time. */
#include "os/tuner.h"

/* Tries of each method. The first are warm-up: for caches, and for what one try prepares for the
 * next. */
#define TRIES 16u
#define TRIES_THAT_COUNT 4u
#define TIMES_BETWEEN_TRIALS 1000u

/* Times are nanoseconds per this much work, so that the quotient has enough digits. */
#define UNIT 65536u

uint32_t epio__tuner_choice(const epio__tuner *tuner)
{
    return tuner->at / TRIES;
}

static void conclude(epio__tuner *tuner)
{
    for (int choice = 0; choice < 2; choice++) {
        uint64_t before =
            tuner->average[choice] != 0 ? tuner->average[choice] : tuner->best[choice];
        tuner->average[choice] = (3 * before + tuner->best[choice]) / 4;
        tuner->best[choice] = 0;
    }
    tuner->faster = tuner->average[1] < tuner->average[0] ? 1 : 0;
    tuner->left = TIMES_BETWEEN_TRIALS;
    tuner->at = 0;
}

void epio__tuner_record(epio__tuner *tuner, uint64_t nanoseconds, uint64_t amount)
{
    uint64_t *best = &tuner->best[epio__tuner_choice(tuner)];
    uint64_t pace = nanoseconds * UNIT / amount + 1;
    bool counts = tuner->at % TRIES >= TRIES - TRIES_THAT_COUNT;
    if (counts && (*best == 0 || pace < *best)) {
        *best = pace;
    }
    tuner->at++;
    if (tuner->at == 2 * TRIES) {
        conclude(tuner);
    }
}
