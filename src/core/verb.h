/* What all verbs share: they fill an op, and record the first reason to refuse it. The verbs are in
 * verbs.c and tree_verbs.c. */
#ifndef EPIO_VERB_H
#define EPIO_VERB_H

#include "core/op.h"
#include "reason.h"

/* Fields that only an op in flight uses were cleared at the end of the last flight. */
static inline void epio__verb_fill(epio_op *op, uint8_t kind, uint8_t fast, epio_vfs *vfs,
                                   epio_loop *loop)
{
    op->os_error = 0;
    op->file = NULL;
    op->vfs = vfs;
    op->loop = loop;
    op->flags = 0;
    op->kind = kind;
    epio__op_enter(op, EPIO__PHASE_NONE);
    op->fast = fast;
    op->state_flags = 0;
    op->undoes = 0;
}

/* An op that concerns a VFS; of a directory's, that of the directory. `function` is the verb's
 * name. */
epio_op *epio__verb_on_vfs(epio_op *op, const char *function, uint8_t kind, epio_vfs *vfs);
/* An op that concerns an open file. */
epio_op *epio__verb_on_file(epio_op *op, const char *function, uint8_t kind, epio_file *file);
/* An op that concerns a path. */
epio_op *epio__verb_on_path(epio_op *op, const char *function, uint8_t kind, epio_vfs *vfs,
                            const char *path, uint32_t flags, uint32_t known_flags);

/* The first reason to refuse the op counts. */
void epio__verb_refuse(epio_op *op, uint8_t reason);

static inline void epio__verb_require(epio_op *op, bool valid, uint8_t reason)
{
    if (!valid) {
        epio__verb_refuse(op, reason);
    }
}

void epio__verb_require_path(epio_op *op, const char *path, uint8_t reason_if_null);

/* Of a verb on a file: that is no watch; nor a directory; it is open for EPIO_OPEN_READ or _WRITE.
 */
void epio__verb_require_no_watch(epio_op *op);
void epio__verb_require_bytes(epio_op *op);
void epio__verb_require_direction(epio_op *op, uint32_t direction);

/* Of the permissions in the flags of a verb that makes something. */
void epio__verb_require_permissions(epio_op *op);

/* The other path, or the target, of a verb that has two: the op. */
epio_op *epio__verb_take_second(epio_op *op, const char *path, uint8_t reason_if_null);

#endif
