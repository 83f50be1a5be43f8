/* Polling memory for a moment before going to sleep: waking a sleeper takes tens of microseconds,
 * so spinning pays where an event usually comes sooner. */
#ifndef EPIO_SPIN_H
#define EPIO_SPIN_H

#include "platform.h"

/* The history of one thread, or of several together. All zero: a spin is worth a try. */
typedef struct epio__spin {
    uint32_t skip;  /* atomic, as the next; how many more times to sleep without a spin */
    uint32_t after; /* derives `skip` after the next spin without success */
} epio__spin;

/* True if a spin is worth a try now. Not for a single processor. */
bool epio__spin_pays(epio__spin *spin);

/* Spins until has_news(of), which is true then, or `deadline` (monotonic), which is false. */
bool epio__spin_until(epio__spin *spin, uint64_t deadline, bool (*has_news)(const void *of),
                      const void *of);

#endif
