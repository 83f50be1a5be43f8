/* Which phase may follow which. See phase.h. */
#include "core/phase.h"

#if EPIO_ASSERTIONS

#include <stdio.h>

#define TO(phase) (1u << EPIO__PHASE_##phase)

static const struct {
    const char *name;
    unsigned next;
} phases[EPIO__PHASES] = {
    /* A write may be carried out before it is submitted. */
    [EPIO__PHASE_NONE] = {"NONE", TO(NONE) | TO(ARRIVING) | TO(COLLECTED) | TO(HELD) | TO(READY)},
    [EPIO__PHASE_ARRIVING] = {"ARRIVING",
                              TO(LINKED) | TO(BARRIER) | TO(CLOSING) | TO(HELD) | TO(READY)},
    [EPIO__PHASE_COLLECTED] = {"COLLECTED", TO(NONE) | TO(HELD) | TO(RETURNING)},
    [EPIO__PHASE_LINKED] = {"LINKED", TO(ARRIVING) | TO(READY)},
    [EPIO__PHASE_BARRIER] = {"BARRIER", TO(READY)},
    [EPIO__PHASE_CLOSING] = {"CLOSING", TO(HELD)},
    [EPIO__PHASE_HELD] = {"HELD", TO(COLLECTED) | TO(HELD) | TO(PARKED) | TO(READY)},
    [EPIO__PHASE_PARKED] = {"PARKED", TO(HELD) | TO(READY)},
    [EPIO__PHASE_READY] = {"READY", TO(NONE) | TO(RETURNING)},
    [EPIO__PHASE_RETURNING] = {"RETURNING", TO(COLLECTED) | TO(HELD) | TO(PARKED) | TO(READY)},
};

void epio__phase_check(const epio_op *op, uint8_t phase)
{
    EPIO__ASSERT(op->phase < EPIO__PHASES && phase < EPIO__PHASES);
    if ((phases[op->phase].next & (1u << phase)) == 0) {
        char message[96];
        (void)snprintf(message, sizeof message, "from %s to %s%s", phases[op->phase].name,
                       phases[phase].name,
                       op->phase == EPIO__PHASE_READY ? ": the op was completed already" : "");
        epio__fatal(epio_kind_name(op->kind), message);
    }
}

#endif
