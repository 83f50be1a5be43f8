/* Looking at memory for a moment before going to sleep: to wake a sleeper takes tens of
 * microseconds, which is worth it only where news comes sooner, again and again. */
#ifndef EPIO_SPIN_H
#define EPIO_SPIN_H

#include "platform.h"

/* One thread's habit. All zero: a spin is worth a try. */
typedef struct epio__spin {
    uint32_t skip;  /* so many times it goes to sleep at once */
    uint32_t after; /* what skip is to be after the next spin in vain */
} epio__spin;

/* True if a spin is worth a try now. Not to be asked on a single processor. */
bool epio__spin_pays(epio__spin *spin);

/* Spins until has_news(of), or `deadline` (monotonic): true if there is news. */
bool epio__spin_until(epio__spin *spin, uint64_t deadline, bool (*has_news)(const void *of),
                      const void *of);

#endif
