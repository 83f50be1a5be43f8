/* See patience.h. */
#include "core/patience.h"

#include "core/directory.h"
#include "platform.h"

/* As long as an op without a deadline waits for a file that is not shared. */
#define SHARING_NS UINT64_C(1000000000)

uint64_t epio__patience_with(const epio_op *op, const epio_vfs *vfs)
{
    const epio_file *from = epio__directory_of_vfs(vfs);
    vfs = from != NULL ? from->vfs : vfs;
#if EPIO_ASYNC
    if (op->loop != NULL && vfs == epio_loop_vfs(op->loop)) {
        return 0;
    }
#else
    (void)op;
#endif
    return vfs == epio_os_vfs() ? 0 : EPIO__PATIENCE_NS;
}

/* Its deadline came before another program shared the file, which os_error says. */
static bool is_not_shared(const epio_op *op)
{
    return op->os_error != 0 && epio_error_from_os(op->os_error) == EPIO_ESHARING;
}

/* What timed out below has another os_error. */
static bool is_to_wait(const epio_op *op, uint64_t begun)
{
    if (op->result != EPIO_ETIMEDOUT) {
        return false;
    }
    return op->os_error == 0 || (is_not_shared(op) && epio_clock_monotonic() - begun < SHARING_NS);
}

int64_t epio__perform_patiently(epio_op *op, uint64_t patience_ns, bool (*ended)(void *user),
                                void *user)
{
    op->timeout_ns = patience_ns;
    if (patience_ns == 0) {
        return epio_perform(op);
    }
    const epio_op again = *op;
    uint64_t begun = epio_clock_monotonic();
    (void)epio_perform(op);
    while (is_to_wait(op, begun) && !ended(user)) {
        *op = again;
        (void)epio_perform(op);
    }
    if (op->result == EPIO_ETIMEDOUT && is_not_shared(op)) {
        op->result = EPIO_ESHARING;
    }
    return op->result;
}
