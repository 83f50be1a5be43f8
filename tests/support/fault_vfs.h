/* A layer for tests, which fails, holds, repeats and counts ops of chosen kinds on their way to an
 * inner VFS. Its functions, except what epio_perform needs, are called by the loop's owner. */
#ifndef EPIO_TEST_FAULT_VFS_H
#define EPIO_TEST_FAULT_VFS_H

#include <epio/vfs.h>

#if EPIO_ASYNC

int fault_vfs_create(epio_vfs **vfs, epio_vfs *inner);

/* The next `times` ops of the kind end with this error, after `skip` that pass.
 * They do not reach the inner VFS. */
void fault_vfs_fail(epio_vfs *vfs, uint8_t kind, uint32_t skip, uint32_t times, int result,
                    int32_t os_error);

/* The same, but the inner VFS carries them out first. Not for opens. */
void fault_vfs_fail_after(epio_vfs *vfs, uint8_t kind, uint32_t skip, uint32_t times, int result,
                          int32_t os_error);

/* Called for each submitted op that returned: 0, or another result and its os_error. Not for opens
 * and closes. */
typedef int fault_judge(const epio_op *op, int32_t *os_error);
void fault_vfs_judge(epio_vfs *vfs, fault_judge *says);

/* Each op of the kind is sent to the inner VFS that many more times after its return. Not for opens
 * and closes. */
void fault_vfs_repeat(epio_vfs *vfs, uint8_t kind, uint32_t times);

/* Holds ops of the kind from now on, until they are released or cancelled. */
void fault_vfs_hold(epio_vfs *vfs, uint8_t kind);

/* Releases the first `count` held ops. */
void fault_vfs_release(epio_vfs *vfs, uint8_t kind, uint32_t count);

/* Releases all held ops, and holds no more. */
void fault_vfs_release_all(epio_vfs *vfs, uint8_t kind);

/* Ops of the kind that are held now. */
uint32_t fault_vfs_held(const epio_vfs *vfs, uint8_t kind);

/* Ops of the kind that arrived at this layer, and that were forwarded to the inner VFS, since its
 * creation. */
uint32_t fault_vfs_arrived(const epio_vfs *vfs, uint8_t kind);
uint32_t fault_vfs_reached(const epio_vfs *vfs, uint8_t kind);

/* The flags of the last sync that arrived. */
uint32_t fault_vfs_sync_flags(const epio_vfs *vfs);

/* Writes and truncates in flight, here or in the inner VFS, when the last sync arrived. */
uint32_t fault_vfs_writes_at_sync(const epio_vfs *vfs);

#endif

#endif
