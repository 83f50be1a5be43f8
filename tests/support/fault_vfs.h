/* A layer for tests, which fails, holds, repeats and counts chosen kinds of
 * operations on their way to an inner VFS. All of it, but for epio_perform, is
 * the loop owner's. */
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

/* The function says of each submitted op that came back whether it fails after all:
 * another result, and its os_error, or 0. Not for opens and closes. */
typedef int fault_judge(const epio_op *op, int32_t *os_error);
void fault_vfs_judge(epio_vfs *vfs, fault_judge *says);

/* Each op of the kind is sent to the inner VFS so many times more, once it came
 * back. Not for opens and closes. */
void fault_vfs_repeat(epio_vfs *vfs, uint8_t kind, uint32_t times);

/* Keeps ops of the kind from now on, until they are released or cancelled. */
void fault_vfs_hold(epio_vfs *vfs, uint8_t kind);

/* Lets the first `count` of those that are kept go on. */
void fault_vfs_release(epio_vfs *vfs, uint8_t kind, uint32_t count);

/* Lets all go on, and keeps no more. */
void fault_vfs_release_all(epio_vfs *vfs, uint8_t kind);

/* Ops of the kind that are kept now. */
uint32_t fault_vfs_held(const epio_vfs *vfs, uint8_t kind);

/* Ops of the kind that came to this layer, and that were sent on to the inner
 * VFS, since it was created. */
uint32_t fault_vfs_arrived(const epio_vfs *vfs, uint8_t kind);
uint32_t fault_vfs_reached(const epio_vfs *vfs, uint8_t kind);

/* The flags of the last sync that came. */
uint32_t fault_vfs_sync_flags(const epio_vfs *vfs);

/* Writes and truncates that were under way, here or further in, when the last
 * sync came. */
uint32_t fault_vfs_writes_at_sync(const epio_vfs *vfs);

#endif

#endif
