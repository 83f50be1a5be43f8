/* See generic_ops.h. */
#include "core/generic_ops.h"

static int64_t sleep_here(const epio_op *op)
{
    uint64_t nanoseconds = op->arguments.sleep.nanoseconds;
    uint64_t due = epio__monotonic_time() + nanoseconds;
    if (op->timeout_ns != 0 && op->timeout_ns < due) {
        epio__sleep_until(op->timeout_ns);
        return EPIO_ETIMEDOUT;
    }
    epio__sleep_until(due);
    return (int64_t)nanoseconds;
}

bool epio__generic_perform(epio_op *op, int64_t *result)
{
    switch (op->kind) {
    case EPIO_KIND_SLEEP:
        *result = sleep_here(op);
        return true;
    case EPIO_KIND_CURRENT_TIME:
        *result = epio__current_time();
        return true;
    case EPIO_KIND_RANDOMNESS:
        epio__random_bytes(op->arguments.io.base, (size_t)op->arguments.io.len);
        *result = (int64_t)op->arguments.io.len;
        return true;
    case EPIO_KIND_WORK:
        *result = op->arguments.work.function(op);
        return true;
    default:
        return false;
    }
}

#if EPIO_ASYNC

void epio__generic_submit_sleep(epio_op *op)
{
    uint64_t nanoseconds = op->arguments.sleep.nanoseconds;
    epio_complete_at(op, epio__monotonic_time() + nanoseconds, (int64_t)nanoseconds);
}

#endif
