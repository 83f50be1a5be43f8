/* epio: asynchronous file I/O on each system's own completion interface.
 *
 * This header is all that a user of the library needs; it includes `epio/metadata.h`,
 * `epio/directory.h`, `epio/space.h`, `epio/range.h`, `epio/mapping.h`, `epio/watch.h`,
 * `epio/document.h` and `epio/tree.h`.
 * `epio/layer.h`, `epio/vfs.h` and `epio/locks.h` are for those who write a layer or a VFS of their
 * own, `epio/bench.h` for benchmark helpers.
 *
 * A verb (`epio_read`, `epio_open`, ...) fills an `epio_op` and returns it; a
 * runner says how it is carried out:
 *
 *     epio_perform(verb)  on this thread, blocking; needs no loop
 *     epio_wait(verb)     submitted if need be, returns when it is done
 *     epio_submit(verb)   returns at once; op->done is called by the loop
 *
 * Units: offsets, sizes and lengths are bytes, times nanoseconds. Paths are
 * UTF-8. Results are >= 0, or one of the negative EPIO_E... below. */
#ifndef EPIO_EPIO_H
#define EPIO_EPIO_H

#include <epio/compiler.h>
#include <epio/directory.h>
#include <epio/document.h>
#include <epio/mapping.h>
#include <epio/metadata.h>
#include <epio/op.h>
#include <epio/range.h>
#include <epio/space.h>
#include <epio/tree.h>
#include <epio/watch.h>

/* 0 where the library was built without its asynchronous half: no loop, no
 * thread, epio_perform alone. The package files define it for you. */
#ifndef EPIO_ASYNC
#define EPIO_ASYNC 1
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define EPIO_VERSION_MAJOR 0
#define EPIO_VERSION_MINOR 1
#define EPIO_VERSION_PATCH 0

/* The version of the library that is linked, as "major.minor.patch". */
EPIO_API const char *epio_version(void);

/* ---- Errors ------------------------------------------------------------ */

/* Name, value, what it means. The numbers are epio's own and the same on every
 * system; what the system itself said is in op->os_error. */
#define EPIO_ERRORS(X)                                                                             \
    X(EPIO_EPENDING, -1, "the operation is still in flight")                                       \
    X(EPIO_EINVAL, -2, "an argument is invalid")                                                   \
    X(EPIO_ECANCELED, -3, "the operation was cancelled")                                           \
    X(EPIO_ETIMEDOUT, -4, "the operation's deadline passed")                                       \
    X(EPIO_ENOMEM, -5, "out of memory")                                                            \
    X(EPIO_EIO, -6, "an input or output error; after a failed flush, every write and sync")        \
    X(EPIO_ENOENT, -7, "no such file or directory")                                                \
    X(EPIO_EEXIST, -8, "the file exists already")                                                  \
    X(EPIO_EACCES, -9, "permission denied")                                                        \
    X(EPIO_EPERM, -10, "the system does not permit this operation")                                \
    X(EPIO_EISDIR, -11, "it is a directory, not a file")                                           \
    X(EPIO_ENOTDIR, -12, "the path, or a part of it, is not a directory")                          \
    X(EPIO_ELOOP, -13, "too many symbolic links, or one where none may be followed")               \
    X(EPIO_ENAMETOOLONG, -14, "the path or a name in it is too long")                              \
    X(EPIO_ENOSPC, -15, "no space is left on the device, or the quota is used up")                 \
    X(EPIO_EFBIG, -16, "the file would grow beyond what is allowed")                               \
    X(EPIO_EMFILE, -17, "too many open files")                                                     \
    X(EPIO_EBADF, -18, "not an open descriptor, or not open for this direction")                   \
    X(EPIO_EBUSY, -19, "in use: a lock is held, or operations are in flight")                      \
    X(EPIO_ESHARING, -20, "another program has the file open and does not share it")               \
    X(EPIO_EDEADLK, -21, "deadlock: waiting could never end; release what is held and retry")      \
    X(EPIO_EPIPE, -22, "no reader at the other end")                                               \
    X(EPIO_ESPIPE, -23, "a stream has no size and no positions")                                   \
    X(EPIO_EROFS, -24, "the file system is read-only")                                             \
    X(EPIO_EXDEV, -25, "the two paths are on different file systems")                              \
    X(EPIO_ENOTEMPTY, -26, "the directory is not empty")                                           \
    X(EPIO_ERANGE, -27, "the buffer is too small for the result")                                  \
    X(EPIO_ENOTSUP, -28, "not supported here")                                                     \
    X(EPIO_ENODEV, -29, "no such device")                                                          \
    X(EPIO_ECLOSED, -30, "the semaphore was closed")                                               \
    X(EPIO_ENODATA, -31, "no such extended attribute, or no data")                                 \
    X(EPIO_EUNKNOWN, -32, "an error that has no name here; see os_error")                          \
    X(EPIO_ESQL, -33, "the database refused the statement")                                        \
    X(EPIO_ECORRUPT, -34, "the file is damaged, or not of the format that is expected")            \
    X(EPIO_ECHANGED, -35, "the file is not the one that was loaded")

#define EPIO_DECLARE_ERROR(name, value, message) name = value,
enum { EPIO_ERRORS(EPIO_DECLARE_ERROR) EPIO_ERROR_LAST = EPIO_ECHANGED };
#undef EPIO_DECLARE_ERROR

/* "EPIO_ENOENT" and the like for an error; "EPIO_OK" for any result >= 0;
 * "EPIO_?" for a number that is no error. Static strings, any thread. */
EPIO_API const char *epio_error_name(int64_t result);

/* One sentence for people, without the name. Static, any thread. */
EPIO_API const char *epio_error_message(int64_t result);

/* The EPIO_E... for a raw errno or GetLastError value; 0 for 0, EPIO_EUNKNOWN
 * for one that has no name here. Any thread. */
EPIO_API int epio_error_from_os(int32_t os_error);

/* The reverse, for callers that need an errno (POSIX) or GetLastError value (Windows): the usual
 * one for an EPIO_E..., which epio_error_from_os need not map to the same error; 0 for any result
 * >= 0. What the system itself reported is in op->os_error. Any thread. */
EPIO_API int32_t epio_error_to_os(int64_t result);

/* ---- Programming errors ------------------------------------------------ */

/* What no completion could report ends the process: one line on standard error, "epio: FUNCTION:
 * what to fix", and abort. `handler`, if it is not NULL, is called first with the two parts of the
 * line, which it prints instead; it may end the process in its own way, or leave by longjmp or an
 * exception if the thread never calls epio again. If it returns, abort follows. For the whole
 * process, from any thread; returns the one before. */
typedef void epio_fatal_handler(const char *function, const char *message);
EPIO_API epio_fatal_handler *epio_set_fatal_handler(epio_fatal_handler *handler);

/* Structs that may grow between versions begin with their size, which programs set to sizeof. The
 * library accepts any size from the first version's on. Fields that an older program does not have
 * are 0; fields that only a newer program has are set to 0 in results, and must be 0 in options. */

/* ---- Nouns ------------------------------------------------------------- */

typedef struct epio_loop epio_loop;           /* where completions arrive */
typedef struct epio_vfs epio_vfs;             /* anything that can carry out operations */
typedef struct epio_file epio_file;           /* an open file of some VFS */
typedef struct epio_semaphore epio_semaphore; /* counted permits, first come first served */

/* The clock of all deadlines, in nanoseconds, from any beginning. Any thread. */
EPIO_API uint64_t epio_clock_monotonic(void);

/* For the functions that take a timeout: EPIO_FOREVER is no limit, EPIO_NOW does not wait. In
 * op->timeout_ns both mean no limit, as 0 is what a zeroed op has. */
#define EPIO_FOREVER UINT64_MAX
#define EPIO_NOW UINT64_C(0)

/* Why an op ended with EPIO_EINVAL, or with EPIO_EBADF or EPIO_ESPIPE for what its verb was given,
 * with EPIO_EDEADLK since this thread's loop has what it waits for, or with EPIO_ENOTSUP for want
 * of a HOME (epio_trash): "unknown flags", "TRUNCATE needs WRITE", "offset + len is beyond
 * INT64_MAX". The first of several reasons. A static string, valid as soon as the op is done and
 * until its next verb: in its `done`, after epio_wait and epio_perform. NULL if the op ended
 * otherwise, or was refused by the system (os_error says why) or by a VFS of yours. Any thread that
 * may read the op's result. For options there are epio_loop_invalid_reason and
 * epio_bench_invalid_reason. */
EPIO_API const char *epio_op_invalid_reason(const epio_op *op);

/* ---- Runners ----------------------------------------------------------- */

/* Carries the op out on this thread and returns its result; no loop is needed and `done` is not
 * called. Any thread. It waits for no submitted op (except that a lock queues behind other
 * waiters), and no epio_sync covers it. timeout_ns limits what only waits (sleep, streams, permits,
 * locks; on Windows an open, a delete or a rename while another program does not share the file):
 * EPIO_ETIMEDOUT. Errors: all of the verb's; an op without a file or VFS is EPIO_EINVAL. */
EPIO_API int64_t epio_perform(epio_op *op);

#if EPIO_ASYNC

/* Submits the op to its VFS's loop. Never fails and never calls `done`: every error arrives as the
 * op's completion. Any thread. The library owns the op and what it points at until the completion;
 * nothing is copied. An op with neither file nor VFS (NULL) is a programming error, as there is no
 * loop to deliver its EPIO_EINVAL, unless it is linked with one that has a loop; then it completes
 * there. */
EPIO_API void epio_submit(epio_op *op);

/* Submits the op if it was not yet, and returns its result when it is done. On
 * the loop's own thread it runs the loop meanwhile, delivering other ops; on
 * another it sleeps until the owner delivered this one. The op's `done` must
 * be NULL. One thread may wait for an op at a time. An op with neither file nor VFS is
 * EPIO_EINVAL. */
EPIO_API int64_t epio_wait(epio_op *op);

/* Requests that the op ends soon. It still completes exactly once, with EPIO_ECANCELED if it had
 * not started or only waits, with its true result if it took full effect. Any thread; an op that is
 * not in flight, or is in an epio_perform, is left alone. Not from a signal handler: that sets a
 * flag and calls epio_loop_wake, and the loop's owner cancels. The caller keeps the op alive and
 * unreused during the call. close and unlock cannot be cancelled.
 *
 * An op on a path, also on one that begins at an open directory, that a worker thread is carrying
 * out on a mount that does not answer ends a few milliseconds after it was cancelled or its
 * deadline passed, and what it points at is the caller's again. The system may still carry it out
 * once the mount answers: a file may be made, truncated, renamed or removed then; one that is
 * opened is closed again. */
EPIO_API void epio_cancel(epio_op *op);

/* epio_cancel for every op in flight that was submitted for this file; a close goes on. The
 * owner of its loop. */
EPIO_API void epio_cancel_all(epio_file *file);

/* Marks an op, prepared and not yet submitted, that does not keep epio_loop_run going, which
 * returns when only such ops are in flight: a read of a terminal, a periodic timer. The op counts
 * for everything else. Lasts for one submission. Returns `op`, for a runner. */
EPIO_VERB epio_op *epio_op_unref(epio_op *op);

/* True from submit until the completion is delivered (for a linked op: from
 * the submit of its first). Any thread. */
EPIO_API bool epio_op_pending(const epio_op *op);

#define EPIO_LINK_ALWAYS 1u /* the second follows even if an op before it failed */

/* Makes a chain: `second` starts when `first` has ended and every op of the chain before it,
 * `first` included, has succeeded (result >= 0); else it ends with EPIO_ECANCELED. With
 * EPIO_LINK_ALWAYS it starts in any case, once `first` has ended; the failure is remembered, and
 * ends what follows `second` without ALWAYS. So write, sync, close (ALWAYS), rename replaces a file
 * safely.
 *
 * Only the first of a chain is submitted; the others count as submitted with it, their timeouts
 * included. All were prepared by a verb and belong to one loop; a chain may have any length; an op
 * has one successor. Link a close or unlock with EPIO_LINK_ALWAYS: if it ends with EPIO_ECANCELED
 * because an op before it failed, its file stays open or locked. An op that is cancelled, or whose
 * deadline passes, while it waits for `first` ends at once; the ops linked behind it proceed from
 * there, as after an op that failed. Returns `first`. */
EPIO_VERB epio_op *epio_link(epio_op *first, epio_op *second, uint32_t flags);

#endif /* EPIO_ASYNC */

/* Every verb below fills the op and returns it; of its earlier contents only `done`, `user` and
 * `timeout_ns` stay. Any thread; a bad argument is reported by the completion. Beside the errors
 * named at each verb, all have: EPIO_ECANCELED, EPIO_ETIMEDOUT, EPIO_ENOMEM (also if no thread can
 * be started), EPIO_EIO, and EPIO_EUNKNOWN with its os_error. */

/* ---- Verbs: files ------------------------------------------------------ */

/* Flags of epio_open. */
#define EPIO_OPEN_READ 0x0001u
#define EPIO_OPEN_WRITE 0x0002u
#define EPIO_OPEN_CREATE 0x0004u          /* make the file if it is not there */
#define EPIO_OPEN_EXCLUSIVE 0x0008u       /* with CREATE: EPIO_EEXIST if it is there */
#define EPIO_OPEN_TRUNCATE 0x0010u        /* needs WRITE: length 0 */
#define EPIO_OPEN_DELETE_ON_CLOSE 0x0020u /* the name is removed at close */
#define EPIO_OPEN_DIRECT 0x0040u     /* bypasses the page cache; the system's alignment rules */
#define EPIO_OPEN_NOFOLLOW 0x0080u   /* EPIO_ELOOP if the path's last part is a symbolic link */
#define EPIO_OPEN_SYNC_DIR 0x0100u   /* a name that CREATE made is durable at completion */
#define EPIO_OPEN_TEMPORARY 0x0200u  /* see epio_open */
#define EPIO_OPEN_DIRECTORY 0x0400u  /* a directory, with READ: see epio/directory.h */
#define EPIO_OPEN_SEQUENTIAL 0x1000u /* it will be read from its beginning to its end; a hint */
#define EPIO_OPEN_RANDOM 0x2000u     /* it will be read here and there; a hint */
#define EPIO_OPEN_NOATIME                                                                          \
    0x4000u /* reads do not change its time of access; EPIO_EPERM if it is                         \
               another user's (on Windows EPIO_EACCES) */
#define EPIO_OPEN_APPEND 0x04000000u /* needs WRITE: writes go to the end, at any offset */
#define EPIO_OPEN_EXACT 0x8000u      /* the umask does not cut EPIO_OPEN_PERMISSIONS */
#define EPIO_OPEN_BENEATH 0x0800u    /* the path leads to nothing outside: see epio/directory.h */

/* The permissions of a file that is created (POSIX mode bits, less the umask), to be or-ed to the
 * flags: EPIO_OPEN_PERMISSIONS(0600). Without it: 0666, for TEMPORARY always 0600. On Windows only
 * the owner's write bit counts. */
#ifdef __cplusplus
#define EPIO_OPEN_PERMISSIONS(mode) (((static_cast<uint32_t>(mode) & 0777u) | 01000u) << 16)
#else
#define EPIO_OPEN_PERMISSIONS(mode) ((((uint32_t)(mode)&0777u) | 01000u) << 16)
#endif

/* Opens a file: 0, and op->file. Always close-on-exec. READ, WRITE or both are needed, unless
 * TEMPORARY.
 *
 * TEMPORARY makes a file that no other program finds: without a name, or with a random one that is
 * removed at once (on Windows with the file), 0600, open for reading and writing, gone when it is
 * closed (or the process ends). `path` is the directory for it, or a file in the wanted directory;
 * NULL: the system's directory for temporary files (TMPDIR, else /var/tmp, /tmp).
 *
 * DELETE_ON_CLOSE removes the name that the file had when it was opened, if it is still this
 * file's: symbolic links in the path stay, their target is removed. A close that cannot remove it
 * returns the error.
 *
 * FIFOs and terminals are opened without blocking and read by readiness; an open for writing
 * completes when the FIFO has a reader.
 *
 * An open that fails removes the file that it made, unless another program has written to it by
 * then. With SYNC_DIR, EPIO_EIO also means that the open made a file but not a durable name; for an
 * existing file SYNC_DIR does nothing.
 *
 * Errors: EPIO_EINVAL (flags that contradict each other, NULL or empty path), EPIO_ENOENT,
 * EPIO_EEXIST, EPIO_EACCES, EPIO_EISDIR (a directory, without DIRECTORY), EPIO_ELOOP, EPIO_ENOTDIR,
 * EPIO_ENAMETOOLONG, EPIO_EMFILE, EPIO_ENOSPC, EPIO_EROFS, EPIO_ESHARING, EPIO_ENOMEM,
 * EPIO_ENOTSUP. See open(2).
 *
 * With APPEND each write goes to the end as one piece, beside all that other files and processes
 * append; but a list of more than 1,024 parts, more than 2 GiB, or what a full disk cuts, may be
 * several. epio_append also says where. Files of servers append as well as the server does. */
EPIO_VERB epio_op *epio_open(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags);

/* Makes a file of an open descriptor (POSIX) or HANDLE (Windows): 0, and op->file, which owns it
 * from then on; epio_close closes it. On failure the handle stays the caller's. `flags`: READ and
 * WRITE as it was opened, or 0: as it was. Neither its blocking mode nor its close-on-exec flag is
 * changed. Its locks are its own, even if others use the descriptor or a duplicate of it. Writes to
 * one that was opened with O_APPEND go to its end on Linux, whatever the offset: see pwrite(2).
 * Errors: EPIO_EBADF, EPIO_EINVAL, EPIO_EISDIR, EPIO_ENOMEM, EPIO_ENOTSUP (a VFS that has no
 * descriptors). */
EPIO_VERB epio_op *epio_adopt(epio_op *op, epio_vfs *vfs, intptr_t os_handle, uint32_t flags);

/* Closes the file: 0, or the last error, which may be that the name of a DELETE_ON_CLOSE could not
 * be removed and is still there. Waits for every op submitted to the file before; waiting stream
 * I/O and lock waits are cancelled. Cannot be cancelled or timed out; the file is gone whatever the
 * result (except if the close was linked and never started). An op submitted to it later is a
 * programming error. epio_perform of a close while ops are in flight is EPIO_EBUSY, and the file
 * stays open. */
EPIO_VERB epio_op *epio_close(epio_op *op, epio_file *file);

/* Reads `len` bytes at `offset`: the number of bytes, less than `len` only at the end of the file.
 * From a stream: what is available, 0 at its end; `offset` is ignored. Errors: EPIO_EINVAL (offset
 * + len beyond INT64_MAX, NULL buffer), EPIO_EBADF (not open for reading), EPIO_EIO, ... See
 * pread(2). */
EPIO_VERB epio_op *epio_read(epio_op *op, epio_file *file, void *buffer, size_t len,
                             uint64_t offset);

/* The same into any number of parts. */
EPIO_VERB epio_op *epio_readv(epio_op *op, epio_file *file, const epio_iovec *parts, size_t count,
                              uint64_t offset);

/* Writes `len` bytes at `offset`: all of them, or an error. Beyond the end of the file it leaves a
 * hole of zeros. To a stream: `offset` is ignored. After an error or a cancel the range is
 * undefined. Errors: EPIO_EINVAL, EPIO_EBADF, EPIO_ENOSPC, EPIO_EFBIG, EPIO_EPIPE, EPIO_EIO, ...
 * See pwrite(2).
 *
 * Where writes are messages (datagram and packet sockets; eventfd and the like; files of /proc that
 * cannot be written at an offset) each write is one message, and so is each read: the unread rest
 * of it is lost. An empty message is written, and read, as 0 bytes. EPIO_EINVAL: more parts than
 * one system call takes (IOV_MAX); also, except for sockets, more than 4096 bytes in several
 * parts. */
EPIO_VERB epio_op *epio_write(epio_op *op, epio_file *file, const void *buffer, size_t len,
                              uint64_t offset);

/* The same from any number of parts. */
EPIO_VERB epio_op *epio_writev(epio_op *op, epio_file *file, const epio_iovec *parts, size_t count,
                               uint64_t offset);

/* Makes the file `size` bytes long: 0. Growth is filled with zeros. Errors: EPIO_EINVAL (above
 * INT64_MAX, or a stream), EPIO_EBADF, EPIO_EFBIG, ... */
EPIO_VERB epio_op *epio_truncate(epio_op *op, epio_file *file, uint64_t size);

#define EPIO_SYNC_FULL 0u      /* data and all of the metadata are on the medium */
#define EPIO_SYNC_NORMAL 1u    /* the same, but on macOS only ordered (F_BARRIERFSYNC) */
#define EPIO_SYNC_DATA_ONLY 2u /* data, and the metadata that reading it back needs */

/* Makes durable every write and truncate submitted to this file before, finished or not: 0. If one
 * of those failed, or was refused for its arguments (a cancel or a deadline is no failure), the
 * first sync that covers it and
 * completes its flush reports that error; a sync that ends otherwise (cancelled, an op before it in
 * its chain failed, its arguments are invalid, its flush was refused) leaves the error to the next.
 * Syncs share flushes.
 *
 * A failed flush takes precedence: the syncs that share it get its error, and from then on every
 * sync of this file, and all that a sync covers but a truncate, is EPIO_EIO, with the first
 * os_error, until it is reopened; rewrite what followed the last good sync. On a file open only for
 * reading NORMAL does nothing.
 *
 * Errors: that of an earlier write or truncate; EPIO_EINVAL (an unknown mode, or a stream),
 * EPIO_EIO, EPIO_ENOSPC, ... See fsync(2). */
EPIO_VERB epio_op *epio_sync(epio_op *op, epio_file *file, uint32_t mode);

/* The file's size in bytes. Errors: EPIO_ESPIPE (a stream), EPIO_EIO. */
EPIO_VERB epio_op *epio_size(epio_op *op, epio_file *file);

/* ---- Verbs: locks ------------------------------------------------------ */

/* How much of a file is locked: the levels, and the bytes that stand for them,
 * are SQLite's (https://www.sqlite.org/lockingv3.html), so that epio and SQLite
 * exclude each other. docs/locking.md has the table. */
#define EPIO_LOCK_NONE 0u
#define EPIO_LOCK_SHARED 1u    /* reading; any number of holders */
#define EPIO_LOCK_RESERVED 2u  /* will write; one holder, beside readers */
#define EPIO_LOCK_PENDING 3u   /* waits for readers to leave; admits no new ones */
#define EPIO_LOCK_EXCLUSIVE 4u /* writing; no other holder */

#define EPIO_LOCK_WAIT 1u /* wait for conflicting locks */

/* Raises what this file holds to SHARED (from NONE), RESERVED (from SHARED) or EXCLUSIVE (from
 * SHARED, RESERVED or PENDING): 0, also if it holds that level already. Locks are a file's, not a
 * thread's or an op's: two files of one process exclude each other as those of two processes do.
 *
 * Without WAIT, EPIO_EBUSY if another lock conflicts. An EXCLUSIVE that conflicts with readers only
 * leaves the file at PENDING then, as in SQLite: no new reader is admitted, and a retry succeeds
 * once the last reader has left. (A reader of another process that is just acquiring SHARED may
 * keep it from PENDING too.)
 *
 * With WAIT the op waits for its timeout at most: on a loop without a thread, by epio_perform on
 * this thread. Inside a process waiters are granted in the order of their requests, but EXCLUSIVE,
 * which only holders may request, before SHARED; a release grants at once. Locks of other processes
 * are polled, after a fraction of a millisecond at first, then with growing delay, up to about 20
 * ms. EPIO_ECANCELED and EPIO_ETIMEDOUT restore the level held before; a lock that was granted at
 * the last moment is 0.
 *
 * With WAIT, refused at once since the wait might never end: a holder that raises its level against
 * another's RESERVED or PENDING (EPIO_EDEADLK if that is a file of this process, EPIO_EBUSY if
 * not), and an epio_perform that waits for a file whose loop is the calling thread's
 * (EPIO_EDEADLK). Unlock to NONE then, let some time pass, and start again; docs/locking.md shows
 * how.
 *
 * The lock ops of one file are carried out in the order of their submission; one that waits holds
 * up those behind it (without WAIT they are EPIO_EBUSY). epio_unlock and epio_close end every
 * waiting lock op with EPIO_ECANCELED.
 *
 * Errors: EPIO_EINVAL (PENDING, a lower level, a step that skips one, unknown flags), EPIO_EBADF
 * (SHARED needs a file open for reading, the others for writing), EPIO_EBUSY, EPIO_EDEADLK,
 * EPIO_ESPIPE (a stream), EPIO_ENOTSUP (the file system has no locks), EPIO_ENOMEM (also if the
 * system's lock table is full). EPIO_EINVAL for every lock op if the environment variable
 * EPIO_RANGE_LOCKS names a kind of lock that the system does not have. */
EPIO_VERB epio_op *epio_lock(epio_op *op, epio_file *file, uint32_t level, uint32_t flags);

/* Lowers what this file holds to SHARED or NONE: 0, also if it holds no more than that. No other
 * lock is granted between EXCLUSIVE and SHARED. Cannot be cancelled or timed out; but linked behind
 * an op that fails it runs only with EPIO_LINK_ALWAYS. Waiting lock ops of this file end with
 * EPIO_ECANCELED first. A close of the file, and the end of the process, release all. Errors:
 * EPIO_EINVAL (another level); EPIO_EIO and the like if the system failed: the file then still
 * holds no more than requested, except that a step to SHARED leaves EXCLUSIVE. */
EPIO_VERB epio_op *epio_unlock(epio_op *op, epio_file *file, uint32_t level);

/* 1 if another process has the byte of RESERVED, or a file of this process, this one included,
 * holds RESERVED or more; else 0. A file that was raised from SHARED to EXCLUSIVE directly has no
 * such byte, since a hot journal is rolled back that way and must keep looking hot: as in SQLite,
 * it does not count if another process holds it, and in this process only once it has EXCLUSIVE.
 * The answer may be outdated when it is read. Errors: EPIO_ESPIPE, EPIO_ENOTSUP. */
EPIO_VERB epio_op *epio_check_reserved_lock(epio_op *op, epio_file *file);

/* The level held now: EPIO_LOCK_NONE to EPIO_LOCK_EXCLUSIVE. PENDING is possible while a lock op
 * waits for EXCLUSIVE. Any thread. */
EPIO_API uint32_t epio_file_lock_level(const epio_file *file);

/* The descriptor or HANDLE behind a file, still owned by it; -1 if there is
 * none (a memory file). Any thread. */
EPIO_API intptr_t epio_file_os_handle(const epio_file *file);

/* ---- Verbs: a VFS ------------------------------------------------------ */

/* SYNC_DIR: what the directory's sync needs is acquired first, and an error in that, such as
 * EPIO_EMFILE, means that nothing was done. Once the name is made, moved or removed the only error
 * is EPIO_EIO, with its os_error: the op took effect (except that an open's new file is removed
 * again), but may not survive a crash of the system. A directory that may be searched but not read
 * suffices on Linux, on local file systems; elsewhere it is EPIO_EACCES. */

#define EPIO_DELETE_SYNC_DIR 1u /* the removal is durable at completion */

/* Removes a file's name: 0. Errors: EPIO_EINVAL (NULL or empty path, unknown flags), EPIO_ENOENT,
 * EPIO_EISDIR (a directory), EPIO_EACCES, EPIO_EPERM, EPIO_ENOTDIR, EPIO_ELOOP, EPIO_ENAMETOOLONG,
 * EPIO_EROFS, EPIO_EBUSY; EPIO_EMFILE (SYNC_DIR); EPIO_EIO also if the name was removed, but not
 * durably. See unlink(2). */
EPIO_VERB epio_op *epio_delete(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags);

#define EPIO_RENAME_SYNC_DIR 1u   /* the new name is durable at completion */
#define EPIO_RENAME_NO_REPLACE 2u /* EPIO_EEXIST if the new name exists */
/* What is replaced keeps its attributes, ACL, named streams and time of creation (and its short
 * name, where the file system remembers it for a while); only the bytes become those of `from`. */
#define EPIO_RENAME_KEEP_METADATA 4u
#define EPIO_RENAMED_METADATA_LOST 1 /* the result: some of that could not be kept */

/* Renames a file: 0. Replaces what has the new name, atomically. Errors: those of epio_delete, for
 * either path, and EPIO_EXDEV (it is never a copy), EPIO_EEXIST (NO_REPLACE), EPIO_EINVAL (a
 * directory into itself), EPIO_ENOSPC. EPIO_EIO also if the file was renamed, but not durably. See
 * rename(2).
 *
 * KEEP_METADATA is for Windows, by ReplaceFileW. Elsewhere and for what is no file it is
 * EPIO_ENOTSUP, with nothing done; if there is nothing at `to`, EPIO_ENOENT. `from` must not be
 * open, on no handle: EPIO_ESHARING; its own metadata are those of `to` even if it stays. On
 * volumes without hard links a crash of the process in the middle may leave the old file under
 * another name. EPIO_EINVAL with NO_REPLACE. */
EPIO_VERB epio_op *epio_rename(epio_op *op, epio_vfs *vfs, const char *from, const char *to,
                               uint32_t flags);

#define EPIO_ACCESS_EXISTS 0u
#define EPIO_ACCESS_READ 1u
#define EPIO_ACCESS_READWRITE 2u

/* 1 if the path exists, may be read, may be read and written; else 0. An error only if that cannot
 * be determined: EPIO_EINVAL (NULL or empty path, unknown mode), EPIO_ELOOP, EPIO_ENAMETOOLONG,
 * EPIO_EIO. See access(2); the effective user counts. */
EPIO_VERB epio_op *epio_access(epio_op *op, epio_vfs *vfs, const char *path, uint32_t mode);

/* Writes the absolute path, symbolic links resolved, ended by a NUL, into `buffer`: its length
 * without the NUL. The file itself need not exist, its directory must. Errors: EPIO_ERANGE if `len`
 * is not above the length (then nothing is written), EPIO_EINVAL (NULL or empty path), EPIO_ENOENT,
 * EPIO_ENOTDIR, EPIO_EACCES, EPIO_ELOOP, EPIO_ENAMETOOLONG; EPIO_ENOTSUP (a path that begins at a
 * directory, where the system does not say where that is). See realpath(3). */
EPIO_VERB epio_op *epio_full_pathname(epio_op *op, epio_vfs *vfs, const char *path, char *buffer,
                                      size_t len);

/* After an epio_full_pathname that succeeded: is a part of the path it was given, the last one too,
 * a symbolic link (on Windows also a junction), as SQLITE_OK_SYMLINK has it? Then another path may
 * soon be what this one leads to. False for all other ops. The caller's thread. */
EPIO_API bool epio_op_followed_link(const epio_op *op);

/* Waits at least that long, and returns `nanoseconds`. EPIO_EINVAL above INT64_MAX. */
EPIO_VERB epio_op *epio_sleep(epio_op *op, epio_vfs *vfs, uint64_t nanoseconds);

/* Nanoseconds since 1970-01-01 00:00 UTC. Does not fail. */
EPIO_VERB epio_op *epio_current_time(epio_op *op, epio_vfs *vfs);

/* Fills the buffer with random bytes fit for keys (libsodium): `len`.
 * EPIO_EINVAL: NULL. */
EPIO_VERB epio_op *epio_randomness(epio_op *op, epio_vfs *vfs, void *buffer, size_t len);

/* Runs `function(op)` on a worker thread: what it returned. All signals except faults are blocked
 * there. A function that has started cannot be cancelled; it may read op->user, and nothing else of
 * the op. epio_perform runs it on the calling thread. */
EPIO_VERB epio_op *epio_work(epio_op *op, epio_vfs *vfs, epio_work_function *function);

/* ---- VFSes ------------------------------------------------------------- */

/* The operating system as a VFS without a loop, for epio_perform alone. Static;
 * never destroyed. Any thread. */
EPIO_API epio_vfs *epio_os_vfs(void);

/* A VFS whose files live in memory, with the behaviour of a POSIX file system: a tree of
 * directories, hard and symbolic links, times, and permissions (the owner's count, and there is no
 * umask). At first it has the directory "/" alone, where relative paths begin, and which is the one
 * for temporary files; epio_mkdir makes more. Space is memory in blocks of 16 KiB, and where there
 * is none EPIO_ENOSPC: epio_allocate takes it (a tebibyte at most, all or nothing), and what is
 * allocated is data for epio_seek_data; epio_punch_hole and epio_zero_range give it back. Ops
 * complete on `loop`; NULL: epio_perform alone. 0 or EPIO_ENOMEM. Any thread. */
EPIO_API int epio_memory_vfs_create(epio_vfs **vfs, epio_loop *loop);

/* Frees a VFS that a ..._vfs_create function made; NULL is ignored; an inner one is left alone. Its
 * files must be closed and its ops delivered; VFSes above it must be destroyed first: aborts if any
 * of that is not so. The loop's owner, if it has a loop. */
EPIO_API void epio_vfs_destroy(epio_vfs *vfs);

/* ---- Tracing ----------------------------------------------------------- */

/* buckets[i] of epio_trace_counts: took 2^i nanoseconds or more, but less than 2^(i+1). The first
 * includes 0, the last all that is longer. */
#define EPIO_TRACE_BUCKETS 40

/* Counts and times of the ops of one kind that passed a `trace` VFS. */
typedef struct epio_trace_counts {
    size_t size; /* sizeof(epio_trace_counts) */

    uint64_t in_flight; /* now: in the VFS or below it */
    uint64_t count;     /* returned; what follows is about these */
    uint64_t failed;    /* with an error other than the next */
    uint64_t cancelled; /* with EPIO_ECANCELED or EPIO_ETIMEDOUT */
    uint64_t bytes;     /* transferred by reads and writes, appended, copied */

    uint64_t timed;       /* of `count`; what follows is about these */
    uint64_t total_ns;    /* the sum of their times */
    uint64_t shortest_ns; /* 0 if none was timed */
    uint64_t longest_ns;
    uint64_t buckets[EPIO_TRACE_BUCKETS];
} epio_trace_counts;

/* A VFS over `inner` that counts the ops which pass through it, by kind, and times each from its
 * arrival until its return: on a loop, until its completion is about to be delivered. Waiting below
 * for permits, locks or streams is included, waiting above (for the op that it is linked to) is
 * not. `inner` must outlive it. 0, EPIO_EINVAL (NULL), EPIO_ENOMEM. Any thread.
 *
 * Of ops in quick succession only a sample is timed, as reading the clock would be much of their
 * cost: of each kind about one per 16 us, 64 more after a pause, and at least one in 31. The choice
 * does not depend on how long an op takes; but ops of quiet times weigh more than those of busy
 * ones, and the longest of all may be missing.
 *
 * Ops that do not reach the VFS are not counted: those with invalid arguments, those cancelled
 * before (linked, or a sync that waits for writes), an epio_acquire. Syncs are counted as flushes,
 * which several may share. An op that waits outside to be retried (an open of a FIFO that has no
 * reader) counts once, with its last try, or not at all if it ends in between. */
EPIO_API int epio_trace_vfs_create(epio_vfs **vfs, epio_vfs *inner);

/* The counts of one EPIO_KIND_... (epio/vfs.h; those from EPIO_KIND_USER on share one count) since
 * the VFS was created, or the last reset: 0. Fills all but `size`, which the caller sets. While ops
 * end on another thread the numbers may be slightly inconsistent. EPIO_EINVAL: NULL, a size below
 * that of the first version, an unknown kind, not a `trace` VFS. Any thread. */
EPIO_API int epio_trace_read(const epio_vfs *trace, uint32_t kind, epio_trace_counts *counts);

/* Sets all counts but in_flight to 0; ops in flight will count when they end. 0; EPIO_EINVAL: not a
 * `trace` VFS. Any thread. */
EPIO_API int epio_trace_reset(epio_vfs *trace);

/* Writes the counts as a table for people, a line for each kind that occurred and one for their
 * sum, ended by a NUL, into `buffer`: its length without the NUL, even if only the first `len` - 1
 * bytes of it fit (as snprintf does; NULL and 0: nothing is written). A time after "<" is an upper
 * bound for that part of the ops. EPIO_EINVAL: NULL with a `len`, not a `trace` VFS. Any thread. */
EPIO_API int64_t epio_trace_summary(const epio_vfs *trace, char *buffer, size_t len);

#if EPIO_ASYNC

/* ---- Loops ------------------------------------------------------------- */

/* A loop belongs to the thread that created it, until epio_loop_detach. If that thread ends first,
 * every later use aborts, except epio_loop_pending, _backend, _vfs, _wake and _stop.
 *
 * A `done` must return to its loop. If it was left by longjmp or an exception, the next call that
 * runs the loop aborts (if both are on the thread's own stack, and the stack still shows it). Calls
 * may be nested, each in a `done` of the one before, as deep as the stack allows, less its last 32
 * KiB, and 10,000 deep at most; deeper calls abort.
 *
 * A loop belongs to its process too. In a forked child, submit, wait and cancel abort for a loop
 * that the parent made, and so do all functions of the loop except those five (wake and stop do
 * nothing there) and epio_loop_destroy: make a new loop; a daemon creates its loop after it has
 * daemonized. epio_perform still works there on the loop's VFS, the layers over it and their files,
 * which are inherited descriptors without the parent's locks; permits of a `limit` are not
 * acquired. epio_perform of a close, epio_vfs_destroy and epio_loop_destroy free the child's copies
 * and leave the parent's alone: its ops continue, and a DELETE_ON_CLOSE name stays. A `done` in
 * which the process forks must not return in the child. Ops in flight at the fork never complete in
 * the child: use new ops there. */

typedef struct epio_loop_options {
    size_t size;         /* sizeof(epio_loop_options) */
    const char *backend; /* "uring", "epoll", "poll", "iocp"; NULL: EPIO_BACKEND of the environment,
                            else the best. If the system refuses one, the next of these is used:
                            epio_loop_backend names it */
    uint32_t
        workers; /* limit of threads for reads and direct writes, for paths (at least 4) and for
                    epio_work, each; 0: 16, the maximum. Threads hung in the kernel do not count */
    uint32_t inline_writes; /* 1: buffered writes run on the owner's thread, which may then wait
                               for the disk */
    /* Not in the first version of this struct: */
    uint64_t poll_budget_ns; /* nanoseconds. Of an embedded loop (epio_loop_handle,
                                epio_loop_on_ready): an epio_loop_poll that has been busy for that
                                long returns and leaves the rest for the next, as a window has
                                frames to draw. It ends between two operations, and has delivered at
                                least one if any was ready. 0: 4 ms; EPIO_FOREVER: no limit */
    uint32_t worker_nice; /* 1 to 19: worker threads give way to the other threads of the machine,
                             as nice(1) says it, so that a program that draws has its frames in
                             time while it loads and copies. On Linux added to the nice value of the
                             thread; Windows has two steps, below 10 and from there on; macOS one;
                             other systems none. 0: as the program's other threads */
    uint32_t reserved;    /* 0 */
} epio_loop_options;

/* Makes a loop that belongs to the calling thread. Starts no thread. NULL options: the defaults.
 * Errors: EPIO_EINVAL (NULL loop, an unknown backend, a size below that of the first version, an
 * option set that this version does not know; see epio_loop_invalid_reason), EPIO_EMFILE,
 * EPIO_ENOMEM. */
EPIO_API int epio_loop_create(epio_loop **loop, const epio_loop_options *options);

/* Why epio_loop_create would refuse these options, or (NULL) the environment, as one sentence:
 * "unknown backend 'urnig'; there are uring, epoll, poll". Writes it, ended by a NUL, into
 * `buffer`: its length without the NUL, even if only the first `len` - 1 bytes of it fit (as
 * snprintf does; NULL and 0: nothing is written). 0: the options are valid. EPIO_EINVAL: NULL with
 * a `len`. Any thread. */
EPIO_API int64_t epio_loop_invalid_reason(const epio_loop_options *options, char *buffer,
                                          size_t len);

/* Delivers completions until nothing is in flight (apart from epio_op_unref), or epio_loop_stop.
 * Returns how many were delivered. The owner, or any thread if the loop is detached. On POSIX
 * systems SIGXFSZ may be blocked on this thread while a loop runs (also by epio_loop_poll,
 * epio_wait and the like): threads and processes that a `done` starts inherit the mask. */
EPIO_API uint64_t epio_loop_run(epio_loop *loop);

/* Delivers what is ready, up to `max` (0: no limit), waiting for the first for `timeout_ns` at most
 * (EPIO_NOW, EPIO_FOREVER). Returns how many were delivered. May be called from inside a `done`.
 * Returns 0 early after epio_loop_wake or epio_loop_stop. On an embedded loop some ready ops may be
 * left for the next poll: see poll_budget_ns. */
EPIO_API uint64_t epio_loop_poll(epio_loop *loop, uint64_t timeout_ns, uint32_t max);

/* Makes the current epio_loop_run return, or else the next. Any thread. */
EPIO_API void epio_loop_stop(epio_loop *loop);

/* Makes the epio_loop_poll that waits return, or else the next that would wait. Any thread, also
 * from inside a signal handler. */
EPIO_API void epio_loop_wake(epio_loop *loop);

/* Tells the system which memory reads and writes will use, so that it need not look up its pages
 * for each of them: with io_uring, a read or write (of one part) whose buffer lies in one of these
 * then costs less, above all a direct one. All others work as before. Replaces what was registered
 * earlier; a `count` of 0: nothing is any more. The memory stays the caller's, and is not freed
 * before it was replaced, or the loop destroyed. A pool of the loop (epio_loop_create_pool) stays
 * registered beside it.
 *
 * 1: the system has taken it; 0: it is plain memory, as elsewhere than on Linux, or beyond the
 * process's limit of locked memory (RLIMIT_MEMLOCK), towards which a pool counts, too. Errors,
 * after which the same is registered as before: EPIO_EINVAL (NULL or empty parts, parts that
 * overlap one another or the pool, more than 1024), EPIO_EBUSY (try again after a poll),
 * EPIO_ENOMEM; the last not with a `count` of 0. Waits for ops in flight that use what was
 * registered earlier. Also from inside a `done`. The owner. */
EPIO_API int epio_loop_register_buffers(epio_loop *loop, const epio_iovec *buffers, size_t count);

/* Gives the loop a pool of `count` buffers of `size` bytes each, for epio_loop_take_buffer. Their
 * addresses are multiples of 4096, as EPIO_OPEN_DIRECT needs, and the system is told of them as by
 * epio_loop_register_buffers, beside what the program registers there. The memory is the loop's,
 * uninitialized, and lives as long as the loop. A loop has one pool: it is not replaced, as others
 * may hold its buffers.
 *
 * 1: the system has taken it; 0: it is plain memory, which serves as well, but costs more. What is
 * too much for the system together with what was registered before is plain memory, too. Errors:
 * EPIO_EINVAL (0, or more bytes than there are addresses), EPIO_EBUSY (the loop has a pool),
 * EPIO_ENOMEM. Waits for ops in flight that use what the program has registered. Also from inside a
 * `done`. The owner. */
EPIO_API int epio_loop_create_pool(epio_loop *loop, size_t size, size_t count);

/* Takes a buffer of the pool: the one that was returned last, as it is probably still in the
 * processor's caches. NULL: all are taken, or there is no pool. It is the caller's until it is
 * returned, or the loop destroyed, which needs no buffer back. Never waits nor allocates. Also from
 * inside a `done`. The owner; but the buffer may be used by any thread. */
EPIO_API void *epio_loop_take_buffer(epio_loop *loop);

/* Returns a buffer, which no op in flight uses: from the `done` of its op on. NULL is ignored.
 * Aborts if it is not a buffer of the pool, at its beginning, or not taken. Also from inside a
 * `done`. The owner. */
EPIO_API void epio_loop_return_buffer(epio_loop *loop, void *buffer);

/* Releases ownership: the loop belongs to the next thread that runs or polls it. May wait for reads
 * and writes that the disk is carrying out. */
EPIO_API void epio_loop_detach(epio_loop *loop);

/* How many ops are in flight. Any thread; it may be outdated at once. */
EPIO_API uint64_t epio_loop_pending(const epio_loop *loop);

/* Cancels all that is in flight and delivers every completion: 0, or EPIO_ETIMEDOUT if some were
 * left after `timeout_ns` (EPIO_FOREVER: no limit): reads, writes, syncs and closes stuck in the
 * kernel on a mount that does not answer. From then on new ops end unstarted with EPIO_ECANCELED;
 * closes still work. The owner. */
EPIO_API int epio_loop_close(epio_loop *loop, uint64_t timeout_ns);

/* epio_loop_close without limit, then frees the loop; NULL is ignored. Every file must be closed
 * before. Not from inside a `done`. In a forked child of the owner's process: frees only the
 * child's copy. */
EPIO_API void epio_loop_destroy(epio_loop *loop);

/* The name of the backend in use. Any thread. */
EPIO_API const char *epio_loop_backend(const epio_loop *loop);

/* What a loop has done since it was created, and what is in flight. An op through a layer counts by
 * its route below the layer; one that the layer sent again by its last route other than at_once.
 * Ops carried out by epio_perform are not counted. */
typedef struct epio_loop_stats {
    size_t size; /* sizeof(epio_loop_stats) */

    /* Ops delivered: the sum of the five routes that follow; an op counts for its last. */
    uint64_t delivered;
    uint64_t at_once; /* by the owner: data in memory, in the iteration in which the VFS got the op;
                         short calls; inline writes; transfers that ended in the system call */
    uint64_t by_backend; /* by the ring or the port, or after waiting for a stream to be ready */
    uint64_t by_workers; /* offloaded to worker threads */
    uint64_t by_owner;   /* by the owner instead of a worker, as the loop was idle */
    uint64_t by_nobody;  /* without an execution: syncs, which a flush completes; ops that only wait
                            (sleep, acquire, a lock that was not free); ops that a VFS kept and
                            completed later, itself or by a thread of its own; ops that ended before
                            they started: invalid, cancelled, after a failed flush */

    uint64_t in_place; /* reads carried out inside epio_wait: never in flight, nor delivered */
    uint64_t flushes;  /* ended; each started by the loop for one or more syncs */
    uint64_t syncs;    /* completed by those: the flushes saved are syncs - flushes */
    uint64_t deferred; /* times an op was deferred, as its iteration's budget was spent */
    uint64_t batches;  /* times ops were offloaded to workers, any number at once */
    uint64_t sleeps;   /* times the owner waited in the kernel */
    uint64_t wakes; /* times a system call of another thread (embedded: also its own) woke it from
                       there or notified its host. Wraps where size_t has 32 bits */

    /* Now. All but the first include the flushes. */
    uint64_t in_flight;    /* as epio_loop_pending */
    uint64_t ready_now;    /* ended, but not yet delivered */
    uint64_t deferred_now; /* waiting for the next iteration */
    uint64_t to_read_now; /* reads of data probably in memory, batched for the end of this iteration
                             or the beginning of the next */
    uint64_t to_offload_now; /* will be offloaded to workers when this iteration ends */
    uint64_t at_backend_now; /* reads and writes at the ring or the port, and polled streams: one
                                for each of their ops, or one for several */
    uint64_t at_workers_now; /* offloaded, started or not, and not yet collected */
    uint32_t threads_now;    /* worker threads, idle ones too */
} epio_loop_stats;

/* Fills all but `size`, which the caller sets: 0. Counting costs the loop next to nothing, this
 * call a few mutexes. Also from inside a `done`. EPIO_EINVAL: NULL, a size below that of the first
 * version. The owner. */
EPIO_API int epio_loop_get_stats(const epio_loop *loop, epio_loop_stats *statistics);

/* The operating system as a VFS that completes on this loop. Lives as long as
 * the loop. Any thread. */
EPIO_API epio_vfs *epio_loop_vfs(epio_loop *loop);

/* For another event loop: a descriptor that is readable (POSIX), a HANDLE that is signalled
 * (Windows), whenever epio_loop_poll(loop, 0, max) has something to do, and not otherwise. Owned by
 * the loop; only to be waited on. Keeping it accurate costs the loop something from the first call
 * on. Where the system refuses what that needs (io_uring_register, timerfd_create) a helper thread
 * is used. Errors: EPIO_EMFILE (no descriptor), EPIO_ENOMEM (no memory, or no thread). The loop
 * works on without it, and the call may be repeated. The owner. */
EPIO_API intptr_t epio_loop_handle(epio_loop *loop);

/* The callback form: `ready(user)` is called, from a thread of the library, when epio_loop_poll has
 * something to do: once, and again after a poll that left something, or in which a `done` ran while
 * others waited. It should only post a message to the host's loop, and must not call this one. NULL
 * removes it; replacing and removing wait until a running call has returned. 0, EPIO_EMFILE or
 * EPIO_ENOMEM. The owner. */
EPIO_API int epio_loop_on_ready(epio_loop *loop, void (*ready)(void *user), void *user);

/* ---- Backpressure ------------------------------------------------------ */

/* Counted permits, granted in the order of the requests: small requests do not overtake a large
 * one. Any thread may call any of these; several loops may share one. 0, EPIO_EINVAL (no permits),
 * EPIO_ENOMEM. */
EPIO_API int epio_semaphore_create(epio_semaphore **semaphore, uint32_t permits);

/* Also limits the bytes that ops of `limit` VFSes have in flight through this semaphore; one that
 * is larger than the limit takes all. 0: no limit, the default. Call before the first use. */
EPIO_API void epio_semaphore_limit_bytes(epio_semaphore *semaphore, uint64_t bytes);

/* NULL is ignored. Aborts if ops wait for it, an epio_acquire is in flight, or there is still a
 * `limit` VFS over it. Permits that the caller holds need not be released. */
EPIO_API void epio_semaphore_destroy(epio_semaphore *semaphore);

/* Takes permits now: 0; EPIO_EBUSY if they are not free or others wait; EPIO_EINVAL (0, or more
 * than exist); EPIO_ECLOSED. */
EPIO_API int epio_semaphore_try_acquire(epio_semaphore *semaphore, uint32_t permits);

/* Releases permits; releasing more than were acquired is a programming error. */
EPIO_API void epio_semaphore_release(epio_semaphore *semaphore, uint32_t permits);

/* Permits that are free now. */
EPIO_API uint32_t epio_semaphore_available(const epio_semaphore *semaphore);

/* From now on nothing is granted: waiting and later requests get EPIO_ECLOSED. Permits may still be
 * released. */
EPIO_API void epio_semaphore_close(epio_semaphore *semaphore);

/* Waits for permits: 0, completing on the loop of `vfs`. The caller releases
 * them. Cancelled or timed out, it holds none. Errors: EPIO_EINVAL (0, or more
 * than exist), EPIO_ECLOSED. */
EPIO_VERB epio_op *epio_acquire(epio_op *op, epio_vfs *vfs, epio_semaphore *semaphore,
                                uint32_t permits);

/* A VFS over `inner` where every op holds a permit of `semaphore` until it completes. close,
 * unlock, sleep and ops that wait for others (streams, locks) hold none. An epio_perform through it
 * blocks until it has a permit, which never comes if the calling thread's own loop has to deliver
 * the ops that hold them: set a timeout, or use epio_wait. Whole files and trees (epio_load,
 * epio_save, ...) hold one in each of their calls. Both must outlive it. 0, EPIO_EINVAL,
 * EPIO_ENOMEM. */
EPIO_API int epio_limit_vfs_create(epio_vfs **vfs, epio_vfs *inner, epio_semaphore *semaphore);

#endif /* EPIO_ASYNC */

#ifdef __cplusplus
}
#endif

#endif
