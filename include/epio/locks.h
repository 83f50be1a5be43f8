/* For those who write a VFS: SQLite's locks (epio_lock, epio_unlock, epio_check_reserved_lock) and
 * those on ranges (epio_lock_range, epio_unlock_range, epio_test_range) for its files, with
 * waiting, deadlines, cancel and order as docs/locking.md says, among the files of this process.
 * The VFS says which files are the same: those share one node. Each has a holder.
 *
 * The VFS passes ops of the six kinds to the holder of op->file: on `submit` an EPIO_KIND_LOCK and
 * an EPIO_KIND_LOCK_RANGE to epio_lock_holder_submit, the others to epio_lock_holder_perform,
 * completing them with what it returns; on `perform` all six to epio_lock_holder_perform. Its
 * methods `cancel`, `resumed` and `alarm` pass ops of those two kinds to epio_lock_holder_cancel,
 * _resumed and _alarm. */
#ifndef EPIO_LOCKS_H
#define EPIO_LOCKS_H

#include <epio/vfs.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct epio__lock_node epio_lock_node;     /* shared by all open files of one name */
typedef struct epio__lock_holder epio_lock_holder; /* the locks that one of them holds */

/* 0; EPIO_EINVAL: NULL; EPIO_ENOMEM. Any thread. */
EPIO_API int epio_lock_node_create(epio_lock_node **node);

/* NULL is ignored. Its holders must be destroyed before. Any thread. */
EPIO_API void epio_lock_node_destroy(epio_lock_node *node);

/* For a file that an open is about to return, after epio_file_init. 0; EPIO_EINVAL: NULL;
 * EPIO_ENOMEM. Any thread. */
EPIO_API int epio_lock_holder_create(epio_lock_holder **holder, epio_lock_node *node,
                                     const epio_file *file);

/* For a close, before epio_file_release: releases all that it holds, and ends its waiting ops with
 * EPIO_ECANCELED. NULL is ignored. Any thread. */
EPIO_API void epio_lock_holder_destroy(epio_lock_holder *holder);

/* The value for epio_file_lock_level. Any thread. */
EPIO_API uint32_t epio_lock_holder_level(const epio_lock_holder *holder);

/* Carries out an op of the six kinds on this thread, waiting if its flags ask for that; within an
 * epio_offload it returns EPIO_RETRY instead of waiting. Returns the result. Any thread. */
EPIO_API int64_t epio_lock_holder_perform(epio_lock_holder *holder, epio_op *op);

#if EPIO_ASYNC

/* Completes an EPIO_KIND_LOCK or EPIO_KIND_LOCK_RANGE, now or when it gets its lock. The owner. */
EPIO_API void epio_lock_holder_submit(epio_lock_holder *holder, epio_op *op);

/* For the methods `cancel`, `resumed` and `alarm`, of such an op that was submitted. The owner. */
EPIO_API void epio_lock_holder_cancel(epio_op *op);
EPIO_API void epio_lock_holder_resumed(epio_op *op);
EPIO_API void epio_lock_holder_alarm(epio_op *op);

#endif

#ifdef __cplusplus
}
#endif

#endif
