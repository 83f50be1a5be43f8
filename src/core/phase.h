/* Where an op in flight is: the phases, and the one function that changes them.
 *
 * A phase says who holds the op and which list it is in, and so what has to be undone when it is
 * cancelled. Only the owner changes it, except while an op is being submitted, when it is the
 * submitter's.
 *
 *                 entered by                        left by                in which list
 *     NONE        a verb                            a runner               none
 *     ARRIVING    epio_submit, or the end of the    epio__op_start         inbox, then arrivals,
 *                 op before it in its chain                                by `queue`
 *     COLLECTED   epio_submit on the fast path      its batch's end, or    collected, then the
 *                 (epio__loop_collect)              its leaving the batch  batch's, then ready, by
 *                                                                          `queue`
 *     LINKED      its chain's submission            the end of the one     held or the file's
 *                                                   before it; a cancel    ordered, by `held`
 *     BARRIER     a sync's start                    its flush's end; a     the file's ordered,
 *                                                   cancel                 ready or flushing
 *     CLOSING     a close's or an unmap's start     the end of the file's  held; file->close, or
 *                                                   or mapping's last op   the mapping's unmap
 *     HELD        a VFS being given it              epio_complete and the  as its VFS keeps it;
 *                                                   like                   to_offload, deferred by
 *                                                                          `queue`; held
 *     PARKED      epio_complete_at, EPIO_RETRY      its time; a cancel     the timers' heap; held
 *     READY       epio_complete                     delivery               ready, then due, by
 *                                                                          `queue`
 *     RETURNING   delivery through layers, or of    the last frame; a      none
 *                 EPIO_RETRY                        layer sending it again
 *
 * After delivery the phase stays what it was, READY or COLLECTED: the op is the caller's, and
 * op->state says so. */
#ifndef EPIO_PHASE_H
#define EPIO_PHASE_H

#include "fatal.h"

#include <epio/vfs.h>

enum {
    EPIO__PHASE_NONE,
    EPIO__PHASE_ARRIVING,
    EPIO__PHASE_COLLECTED,
    EPIO__PHASE_LINKED,
    EPIO__PHASE_BARRIER,
    EPIO__PHASE_CLOSING,
    EPIO__PHASE_HELD,
    EPIO__PHASE_PARKED,
    EPIO__PHASE_READY,
    EPIO__PHASE_RETURNING,
    EPIO__PHASES
};

#if EPIO_ASSERTIONS
/* Aborts unless an op may go from its phase to this one. */
void epio__phase_check(const epio_op *op, uint8_t phase);
#endif

static inline void epio__op_enter(epio_op *op, uint8_t phase)
{
#if EPIO_ASSERTIONS
    epio__phase_check(op, phase);
#endif
    op->phase = phase;
}

#endif
