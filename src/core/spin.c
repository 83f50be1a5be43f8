/* See spin.h. A spin that was in vain makes the next ones rarer, not shorter: one that
 * is shorter than a wake-up would miss whoever has to be woken himself, and go on
 * missing him. */
#include "core/spin.h"

#define LOOKS_AT_ONCE 64
/* More would keep both sides asleep for long once they have missed each other, fewer
 * would cost more than a twentieth of the waits that are in vain. */
#define MOST_SKIPPED 15u

bool epio__spin_pays(epio__spin *spin)
{
    if (spin->skip != 0) {
        spin->skip--;
        return false;
    }
    return true;
}

bool epio__spin_until(epio__spin *spin, uint64_t deadline, bool (*has_news)(const void *of),
                      const void *of)
{
    do {
        for (int i = 0; i < LOOKS_AT_ONCE; i++) {
            if (has_news(of)) {
                spin->after = 0;
                return true;
            }
            epio__thread_pause();
        }
    } while (epio__monotonic_time() < deadline);
    spin->after = spin->after < MOST_SKIPPED ? 2 * spin->after + 1 : MOST_SKIPPED;
    spin->skip = spin->after;
    return false;
}
