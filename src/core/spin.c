/* See spin.h. A spin without success makes the next ones rarer, not shorter: one that is shorter
 * than a wake-up would always miss a thread that has to be woken first. */
#include "core/spin.h"

#include "atomics.h"

#define LOOKS_AT_ONCE 64
/* Where spins never succeed, beside a busy neighbour, they then cost a tenth of a microsecond of a
 * wait. A machine that has become quiet is noticed after some 10 ms. */
#define MOST_SKIPPED 1023u

bool epio__spin_pays(epio__spin *spin)
{
    uint32_t skip = epio__load_relaxed_u32(&spin->skip);
    if (skip != 0) {
        epio__store_relaxed_u32(&spin->skip, skip - 1);
    }
    return skip == 0;
}

static void note_result(epio__spin *spin, uint32_t after)
{
    epio__store_relaxed_u32(&spin->after, after);
    epio__store_relaxed_u32(&spin->skip, after);
}

bool epio__spin_until(epio__spin *spin, uint64_t deadline, bool (*has_news)(const void *of),
                      const void *of)
{
    do {
        for (int i = 0; i < LOOKS_AT_ONCE; i++) {
            if (has_news(of)) {
                /* By steps: a useless spin costs several times what a successful one saves. */
                note_result(spin, epio__load_relaxed_u32(&spin->after) / 2);
                return true;
            }
            epio__thread_pause();
        }
    } while (epio__monotonic_time() < deadline);
    uint32_t after = epio__load_relaxed_u32(&spin->after);
    note_result(spin, after < MOST_SKIPPED ? 2 * after + 1 : MOST_SKIPPED);
    return false;
}
