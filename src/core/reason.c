/* See reason.h. */
#include "reason.h"

#include "core/op.h"
#include "fatal.h"

int epio__reason_error(uint32_t reason)
{
    static const int errors[] = {0,
#define ERROR_OF(name, error, text) error,
                                 EPIO__REASONS(ERROR_OF)
#undef ERROR_OF
    };
    return errors[reason];
}

const char *epio__reason_text(uint32_t reason)
{
    static const char *const texts[] = {NULL,
#define TEXT_OF(name, error, text) text,
                                        EPIO__REASONS(TEXT_OF)
#undef TEXT_OF
    };
    return texts[reason];
}

const char *epio_op_invalid_reason(const epio_op *op)
{
    if (op == NULL) {
        epio__fatal("epio_op_invalid_reason", "the op is NULL");
    }
    /* An op that was refused may have ended otherwise, cancelled behind another; and an op that the
     * system refuses now may still have an earlier reason. */
    bool refused = epio__load_u32(&op->state) == EPIO__STATE_DONE && op->reason != 0 &&
                   op->os_error == 0 && op->result == epio__reason_error(op->reason);
    return refused ? epio__reason_text(op->reason) : NULL;
}
