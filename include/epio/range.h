/* Locks on ranges of a file's bytes. Part of epio/epio.h, which includes it; the conventions of
 * verbs are there. The five levels of epio_lock are made of such locks, too. */
#ifndef EPIO_RANGE_H
#define EPIO_RANGE_H

#include <epio/compiler.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;

#define EPIO_RANGE_SHARED 1u    /* any number of files; not beside EXCLUSIVE */
#define EPIO_RANGE_EXCLUSIVE 2u /* one file */

/* Locks `len` bytes from `start` on, which need not exist; `len` 0: all from there on. 0, also if
 * this file holds the range so already. Locks are a file's, as those of epio_lock: two files of one
 * process exclude each other as those of two processes do, and both exclude programs that use
 * fcntl(2) or LockFileEx. On POSIX systems they are advisory; on Windows no other file can read
 * what is EXCLUSIVE, or write what is locked.
 *
 * Without EPIO_LOCK_WAIT, EPIO_EBUSY if another lock conflicts, or if another op that conflicts
 * waits already. With it the op waits for its timeout at most, as epio_lock does: in this process
 * in the order of the requests, among those that conflict; a release grants at once. Locks of other
 * processes are polled. Of one file a request that overlaps an earlier one, which still waits,
 * begins when that has ended.
 *
 * A range that this file holds may be locked again as a whole, in the other mode: EXCLUSIVE to
 * SHARED without a gap; SHARED to EXCLUSIVE likewise, before requests of files that hold nothing
 * there, but for the system's files on Windows, where it is EPIO_ENOTSUP. Two files that hold a
 * range and both wait to make it EXCLUSIVE would wait for ever: in one process the second is
 * EPIO_EDEADLK. A range that overlaps another one of this file, but is not the same, is
 * EPIO_EINVAL; so is one with SQLite's lock bytes (0x40000000 to 0x400001FF) while the file holds a
 * level, and a level while the file holds such a range. To other files a level is a lock on some of
 * these bytes.
 *
 * With mappings (epio/mapping.h): what was stored before an unlock is seen after the lock that it
 * lets in, in another thread or process.
 *
 * Errors: EPIO_EINVAL (also: beyond INT64_MAX, unknown mode or flags), EPIO_EBADF (SHARED needs a
 * file open for reading, EXCLUSIVE for writing), EPIO_EBUSY, EPIO_EDEADLK (also an epio_perform
 * that waits for a file whose loop is the calling thread's), EPIO_ESPIPE (a stream), EPIO_EISDIR,
 * EPIO_ENOTSUP (also: the file system has no locks), EPIO_ENOMEM. See fcntl(2), F_OFD_SETLK;
 * LockFileEx. */
EPIO_VERB epio_op *epio_lock_range(epio_op *op, struct epio_file *file, uint64_t start,
                                   uint64_t len, uint32_t mode, uint32_t flags);

/* Unlocks all ranges of this file that are inside: 0, also if there are none. Waiting
 * epio_lock_range of this file inside it end with EPIO_ECANCELED first. Cannot be cancelled or
 * timed out; a close and the end of the process release all. Errors: EPIO_EINVAL (a range of the
 * file is partly inside: nothing was unlocked; beyond INT64_MAX), EPIO_ESPIPE, EPIO_EISDIR;
 * EPIO_EIO and the like if the system failed: the file does not hold them for epio any more. */
EPIO_VERB epio_op *epio_unlock_range(epio_op *op, struct epio_file *file, uint64_t start,
                                     uint64_t len);

/* 1 if another file, of this process or another, holds a part of the range so that it could not be
 * locked in this mode, else 0; what this file holds, and what only waits, does not count. The
 * answer may be outdated when it is read. On Windows, where it is found out by trying, another may
 * see the range locked for a moment, and EPIO_ENOTSUP is the answer about EXCLUSIVE if this file
 * itself holds a part SHARED, which leaves open who else does. Errors: those of epio_lock_range
 * that do not concern waiting. */
EPIO_VERB epio_op *epio_test_range(epio_op *op, struct epio_file *file, uint64_t start,
                                   uint64_t len, uint32_t mode);

#ifdef __cplusplus
}
#endif

#endif
