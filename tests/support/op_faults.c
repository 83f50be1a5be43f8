/* See op_faults.h. */
#include "op_faults.h"

#include "support.h"

#include <epio/layer.h>

/* A write is one in whatever form. */
static uint32_t kind_of(const epio_op *op)
{
    return op->kind == EPIO_KIND_WRITEV ? EPIO_KIND_WRITE : op->kind;
}

static int before(void *user, epio_op *op, void *state)
{
    op_faults *faults = user;
    (void)state;
    if (op->kind < EPIO_KIND_COUNT) {
        faults->counts[kind_of(op)]++;
    }
    if (kind_of(op) != faults->kind || faults->times == 0 ||
        (op->flags & faults->only_flags) != faults->only_flags) {
        return 0;
    }
    if (faults->skip > 0) {
        faults->skip--;
        return 0;
    }
    faults->times--;
    op->os_error = faults->os_error;
    return faults->result;
}

static const epio_layer_methods methods = {
    .size = sizeof(epio_layer_methods), .name = "op faults", .before = before};

epio_vfs *op_faults_create(epio_vfs *inner, op_faults *faults)
{
    epio_vfs *layer;
    memset(faults, 0, sizeof *faults);
    check_result(epio_layer_vfs_create(&layer, inner, &methods, faults), 0);
    return layer;
}
