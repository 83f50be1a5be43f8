/* What a loop calls of its resident, the VFS that lives in it. The owner. */
#ifndef EPIO_LOOP_HOOKS_H
#define EPIO_LOOP_HOOKS_H

#include <epio/vfs.h>

typedef struct epio__loop_hooks {
    /* Carries out and removes the reads in loop->collected. Called with none, too, to release what
     * the last ones needed. */
    void (*read_collected)(epio_vfs *vfs);

    /* Passes those writes of loop->to_offload to the backend that are quicker there. `here`: the
     * owner would carry out what is left. */
    void (*write_behind)(epio_vfs *vfs, bool here);

    /* Carries out a prepared read, or on a loop with inline_writes a write: true, and *result.
     * False: not now, and nothing was done. `may_wait`: for the disk; else a read only takes data
     * in memory that is copied quickly. A write that was carried out has op->progress or an error
     * as its result. */
    bool (*try_now)(epio_vfs *vfs, epio_op *op, bool may_wait, int64_t *result);

    /* Several writes may follow on this thread in quick succession, until thread_leaves. */
    void (*writes_begin)(epio_vfs *vfs);

    /* The loop's last iteration is over, and its thread returns to the program. */
    void (*thread_leaves)(epio_vfs *vfs);
} epio__loop_hooks;

#endif
