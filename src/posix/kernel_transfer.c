/* See kernel_transfer.h. */
#include "posix/kernel_transfer.h"

/* IOV_MAX on Linux. */
#define MOST_PARTS 1024u

bool epio__kernel_transfer_fits(const epio_op *op)
{
    uint64_t bytes = epio_op_bytes(op);
    if (bytes == 0 || bytes > EPIO__LARGE_COPY) {
        return false; /* pinning or copying so much takes too much of the owner's time */
    }
    return !epio__op_is(op, EPIO__KIND_VECTORED) ||
           (op->progress == 0 && op->arguments.io.len <= MOST_PARTS);
}

void epio__kernel_transfer_failed(epio_op *op)
{
    bool cancelled = (op->notes & EPIO__NOTE_GIVEN_UP) != 0;
    op->notes = (op->notes & ~EPIO__NOTE_GIVEN_UP) | EPIO__NOTE_FOR_WORKER;
    if (cancelled) {
        epio_complete(op, EPIO_ECANCELED);
    } else {
        epio_offload(op);
    }
}

/* All bytes are transferred, or the file has ended. */
static bool is_finished(epio_op *op, int64_t done)
{
    bool ended = done == 0 && epio__op_is(op, EPIO__KIND_READS);
    op->progress += (uint64_t)done;
    return ended || op->progress == epio_op_bytes(op);
}

bool epio__kernel_transfer_ended(epio_op *op, int64_t result)
{
    bool met_end = result < 0 && epio__read_met_end(op, (int)-result);
    if (met_end || (result >= 0 && is_finished(op, result))) {
        op->notes &= ~EPIO__NOTE_GIVEN_UP;
        epio_complete(op, (int64_t)op->progress);
        return false;
    }
    if (result <= 0 || epio__op_is(op, EPIO__KIND_VECTORED) ||
        (op->notes & EPIO__NOTE_GIVEN_UP) != 0) {
        epio__kernel_transfer_failed(op);
        return false;
    }
    return true;
}
