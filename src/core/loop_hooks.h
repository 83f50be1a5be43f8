/* What a loop asks of the VFS that lives in it, its resident. All are called by the owner. */
#ifndef EPIO_LOOP_HOOKS_H
#define EPIO_LOOP_HOOKS_H

#include <epio/vfs.h>

typedef struct epio__loop_hooks {
    /* Carries out the reads in loop->collected, which has none of them from then on. Called
     * when there are none, too: what the last ones needed can be given back. */
    void (*read_collected)(epio_vfs *vfs);

    /* Carries out a prepared read, or on a loop with inline_writes a write: true, and
     * *result. False: not now, and nothing was done. `may_wait`: for the disk; else a read
     * takes what is in memory and quickly copied. A write that was carried out has
     * op->progress or an error as its result. */
    bool (*try_now)(epio_vfs *vfs, epio_op *op, bool may_wait, int64_t *result);

    /* Several writes may follow on this thread, with little in between, until
     * thread_leaves. */
    void (*writes_begin)(epio_vfs *vfs);

    /* The loop has had its last iteration before its thread goes elsewhere. */
    void (*thread_leaves)(epio_vfs *vfs);
} epio__loop_hooks;

#endif
