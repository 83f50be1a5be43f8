/* epio: asynchronous file I/O on each system's own completion interface.
 *
 * This header is all that a user of the library needs. `epio/vfs.h` is for
 * those who write a VFS of their own, `epio/bench.h` for benchmark helpers.
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
#include <epio/op.h>

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
    X(EPIO_ENOTDIR, -12, "a part of the path is not a directory")                                  \
    X(EPIO_ELOOP, -13, "too many symbolic links, or one where none may be followed")               \
    X(EPIO_ENAMETOOLONG, -14, "the path or a name in it is too long")                              \
    X(EPIO_ENOSPC, -15, "no space is left on the device, or the quota is used up")                 \
    X(EPIO_EFBIG, -16, "the file would grow beyond what is allowed")                               \
    X(EPIO_EMFILE, -17, "too many open files")                                                     \
    X(EPIO_EBADF, -18, "not an open descriptor, or not open for this direction")                   \
    X(EPIO_EBUSY, -19, "in use: a lock is held, or operations are in flight")                      \
    X(EPIO_ESHARING, -20, "another program has the file open and does not share it")               \
    X(EPIO_EDEADLK, -21, "waiting could never end: give up what is held, and begin anew")          \
    X(EPIO_EPIPE, -22, "nobody reads the other end")                                               \
    X(EPIO_ESPIPE, -23, "a stream has no size and no positions")                                   \
    X(EPIO_EROFS, -24, "the file system is read-only")                                             \
    X(EPIO_EXDEV, -25, "the two paths are on different file systems")                              \
    X(EPIO_ENOTEMPTY, -26, "the directory is not empty")                                           \
    X(EPIO_ERANGE, -27, "the buffer is too small for the result")                                  \
    X(EPIO_ENOTSUP, -28, "not supported here")                                                     \
    X(EPIO_ENODEV, -29, "no such device")                                                          \
    X(EPIO_ECLOSED, -30, "the semaphore was closed")                                               \
    X(EPIO_EUNKNOWN, -31, "an error that has no name here; see os_error")

#define EPIO_DECLARE_ERROR(name, value, message) name = value,
enum { EPIO_ERRORS(EPIO_DECLARE_ERROR) EPIO_ERROR_LAST = EPIO_EUNKNOWN };
#undef EPIO_DECLARE_ERROR

/* "EPIO_ENOENT" and the like for an error; "EPIO_OK" for any result >= 0;
 * "EPIO_?" for a number that is no error. Static strings, any thread. */
EPIO_API const char *epio_error_name(int64_t result);

/* One sentence for people, without the name. Static, any thread. */
EPIO_API const char *epio_error_message(int64_t result);

/* The EPIO_E... for a raw errno or GetLastError value; 0 for 0, EPIO_EUNKNOWN
 * for one that has no name here. Any thread. */
EPIO_API int epio_error_from_os(int32_t os_error);

/* The way back, for callers that speak in errno (POSIX) or GetLastError values (Windows): the
 * usual one for an EPIO_E..., which epio_error_from_os need not give back; 0 for any result
 * >= 0. Where it matters what the system said, op->os_error is that. Any thread. */
EPIO_API int32_t epio_error_to_os(int64_t result);

/* ---- Programming errors ------------------------------------------------ */

/* What no completion could report ends the process: one line on standard error, "epio:
 * FUNCTION: what to fix", and abort. `handler`, if it is not NULL, is called before with the
 * two parts of the line, which is then its to print; it may end the process in its own way,
 * or by longjmp or an exception leave for good a thread that calls epio no more. If it returns,
 * abort follows. For the whole process, from any thread; returns the one before. */
typedef void epio_fatal_handler(const char *function, const char *message);
EPIO_API epio_fatal_handler *epio_set_fatal_handler(epio_fatal_handler *handler);

/* Structs that tell each other's versions apart begin with their size: programs set it to
 * sizeof. The library accepts any from the first version's on. What an older program does not
 * have is 0; what a newer one has beyond is filled with 0 in results, and must be 0 in
 * options. */

/* ---- Nouns ------------------------------------------------------------- */

typedef struct epio_loop epio_loop;           /* where completions arrive */
typedef struct epio_vfs epio_vfs;             /* anything that can carry out operations */
typedef struct epio_file epio_file;           /* an open file of some VFS */
typedef struct epio_semaphore epio_semaphore; /* counted permits, first come first served */

/* For the functions that take a timeout: no limit, not at all. op->timeout_ns is no such: as
 * nobody has set it, 0 is no limit there, and so is EPIO_FOREVER. */
#define EPIO_FOREVER UINT64_MAX
#define EPIO_NOW UINT64_C(0)

/* Why an op ended with EPIO_EINVAL, or with EPIO_EBADF or EPIO_ESPIPE for what its verb was
 * given: "unknown flags", "TRUNCATE needs WRITE", "offset + len is beyond INT64_MAX". Of
 * several reasons the first. A static string, valid as soon as the op is done and until its
 * next verb: in its `done`, after epio_wait and epio_perform. NULL if the op did not end so, or
 * if it was the system that refused it (os_error says why), or a VFS of yours. Whoever may
 * read the op's result. epio_loop_invalid_reason and epio_bench_invalid_reason say the same of
 * options. */
EPIO_API const char *epio_op_invalid_reason(const epio_op *op);

/* ---- Runners ----------------------------------------------------------- */

/* Carries the op out on this thread and returns its result; no loop is needed
 * and `done` is not called. Any thread. It runs alone: it waits for nothing
 * that was submitted (but a lock for its turn), and no barrier (epio_sync) counts
 * it. timeout_ns limits what only waits (sleep, streams, permits, locks; on Windows
 * an open, a delete or a rename while somebody else does not share the file):
 * EPIO_ETIMEDOUT. Every error of the verb; an op without a file or VFS is EPIO_EINVAL. */
EPIO_API int64_t epio_perform(epio_op *op);

#if EPIO_ASYNC

/* Hands the op to its VFS's loop. Never fails and never calls `done`: every
 * error arrives as the op's completion. Any thread. The library owns the op
 * and what it points at until the completion; nothing is copied. An op with neither file nor
 * VFS (NULL) has no loop on which its EPIO_EINVAL could be delivered: a programming error,
 * unless it is linked with one that has; then it completes there. */
EPIO_API void epio_submit(epio_op *op);

/* Submits the op if it was not yet, and returns its result when it is done. On
 * the loop's own thread it runs the loop meanwhile, delivering other ops; on
 * another it sleeps until the owner delivered this one. The op's `done` must
 * be NULL. One thread may wait for an op at a time. An op with neither file nor VFS is
 * EPIO_EINVAL. */
EPIO_API int64_t epio_wait(epio_op *op);

/* Asks for the op to end soon. A request: the op still completes exactly once,
 * with EPIO_ECANCELED if it had not started or only waits, with its true
 * result if it took full effect. Any thread; an op that is not in flight is
 * left alone. The caller keeps the op alive and unreused during the call.
 * close and unlock cannot be cancelled.
 *
 * An open, delete, rename, access or full_pathname that a thread of the loop's is at, on
 * a mount that does not answer, ends a few milliseconds after it was cancelled or its
 * deadline passed, and what it points at is the caller's again. The system may carry it
 * out all the same, whenever the mount answers: a file may still be made, truncated,
 * renamed or removed then; one that is opened is closed again. */
EPIO_API void epio_cancel(epio_op *op);

/* epio_cancel for every op of this file that was submitted through it: but for those that a
 * layer below holds as its own, and closes. The owner of its loop. */
EPIO_API void epio_cancel_all(epio_file *file);

/* Says of an op that was prepared and not yet submitted that it shall not keep epio_loop_run
 * going, which returns when all that is in flight is like that: a read of a terminal, a timer
 * that comes again and again. It counts for everything else. For this submission. Returns
 * `op`, for a runner. */
EPIO_VERB epio_op *epio_op_unref(epio_op *op);

/* True from submit until the completion is delivered (for a linked op: from
 * the submit of its first). Any thread. */
EPIO_API bool epio_op_pending(const epio_op *op);

#define EPIO_LINK_ALWAYS 1u /* the second follows even if an op before it failed */

/* Makes a chain: `second` starts when `first` has ended and every op of the chain
 * before it, `first` included, has succeeded (result >= 0); else it ends with
 * EPIO_ECANCELED. With EPIO_LINK_ALWAYS it starts in any case, once `first` has ended;
 * the failure is not forgotten by that, and ends what follows `second` without
 * ALWAYS. So write, sync, close (ALWAYS), rename is how a file is replaced safely.
 *
 * Only the first of a chain is submitted; the others count as submitted with it,
 * their timeouts included. All were prepared by a verb and belong to one loop; a
 * chain may be of any length; an op has one successor. Link a close or unlock with
 * EPIO_LINK_ALWAYS: one that ends with EPIO_ECANCELED, because an op before it failed,
 * leaves its file open or locked. An op that is cancelled, or whose deadline passes,
 * while it waits for `first` ends at once; what is linked behind it goes on from there,
 * and an op before it has failed. Returns `first`. */
EPIO_VERB epio_op *epio_link(epio_op *first, epio_op *second, uint32_t flags);

#endif /* EPIO_ASYNC */

/* Every verb below fills the op, whose earlier contents but `done`, `user` and
 * `timeout_ns` are lost, and returns it. Any thread; nothing is checked that the
 * completion could not report. Beside the errors named at each there are, for
 * all: EPIO_ECANCELED, EPIO_ETIMEDOUT, EPIO_ENOMEM (also: no thread can be
 * started), EPIO_EIO, and EPIO_EUNKNOWN with its os_error. */

/* ---- Verbs: files ------------------------------------------------------ */

/* Flags of epio_open. */
#define EPIO_OPEN_READ 0x0001u
#define EPIO_OPEN_WRITE 0x0002u
#define EPIO_OPEN_CREATE 0x0004u          /* make the file if it is not there */
#define EPIO_OPEN_EXCLUSIVE 0x0008u       /* with CREATE: EPIO_EEXIST if it is there */
#define EPIO_OPEN_TRUNCATE 0x0010u        /* needs WRITE: length 0 */
#define EPIO_OPEN_DELETE_ON_CLOSE 0x0020u /* the name goes when the file is closed */
#define EPIO_OPEN_DIRECT 0x0040u          /* past the page cache; the system's alignment rules */
#define EPIO_OPEN_NOFOLLOW 0x0080u        /* EPIO_ELOOP if the last part is a symbolic link */
#define EPIO_OPEN_SYNC_DIR 0x0100u        /* a name that CREATE made is durable when this is done */
#define EPIO_OPEN_TEMPORARY 0x0200u       /* see epio_open */

/* The permissions of a file that is created (POSIX mode bits, less the umask),
 * to be or-ed to the flags: EPIO_OPEN_PERMISSIONS(0600). Without it: 0666, for
 * TEMPORARY always 0600. Ignored by Windows but for the owner's write bit. */
#ifdef __cplusplus
#define EPIO_OPEN_PERMISSIONS(mode) (((static_cast<uint32_t>(mode) & 0777u) | 01000u) << 16)
#else
#define EPIO_OPEN_PERMISSIONS(mode) ((((uint32_t)(mode)&0777u) | 01000u) << 16)
#endif

/* Opens a file: 0, and op->file. Always close-on-exec. READ, WRITE or both are
 * needed, unless TEMPORARY.
 *
 * TEMPORARY makes a file that nobody else finds: without a name, or with a random one
 * that goes at once (on Windows with the file), 0600, open for reading and writing,
 * gone when it is closed (or the process ends). `path` is
 * the directory for it, or a file beside which it goes; NULL: the system's directory
 * for temporary files (TMPDIR, else /var/tmp, /tmp).
 *
 * DELETE_ON_CLOSE removes the name under which the file lay when it was opened, if
 * that is still this file's: of a path through symbolic links what they lead to, and
 * the links stay. A close that cannot remove it says so.
 *
 * FIFOs and terminals are opened without blocking and read by readiness; an
 * open for writing completes when the FIFO has a reader.
 *
 * An open that fails leaves no file that it has made, unless another program has
 * written to it by then. With SYNC_DIR, EPIO_EIO is also an open that made a file
 * which could not be made durable; for a file that was there it does nothing.
 *
 * Errors: EPIO_EINVAL (flags that contradict each other, NULL or empty path),
 * EPIO_ENOENT, EPIO_EEXIST, EPIO_EACCES, EPIO_EISDIR (a directory), EPIO_ELOOP,
 * EPIO_ENOTDIR, EPIO_ENAMETOOLONG, EPIO_EMFILE, EPIO_ENOSPC, EPIO_EROFS,
 * EPIO_ESHARING, EPIO_ENOMEM, EPIO_ENOTSUP. See open(2). */
EPIO_VERB epio_op *epio_open(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags);

/* Makes a file of an open descriptor (POSIX) or HANDLE (Windows) that the
 * caller hands over: 0, and op->file; epio_close closes it. On failure it stays
 * the caller's. `flags`: READ and WRITE as it was opened, or 0: as it was.
 * Neither its blocking mode nor its close-on-exec flag is changed. Its locks are
 * its own, whoever else has the descriptor or a duplicate of it. Writes to one
 * that was opened with O_APPEND go to its end on Linux, whatever the offset: see
 * pwrite(2).
 * Errors: EPIO_EBADF, EPIO_EINVAL, EPIO_EISDIR, EPIO_ENOMEM, EPIO_ENOTSUP (a
 * VFS that has no descriptors). */
EPIO_VERB epio_op *epio_adopt(epio_op *op, epio_vfs *vfs, intptr_t os_handle, uint32_t flags);

/* Closes the file: 0, or the last error; also that which kept the name of a
 * DELETE_ON_CLOSE from being removed, which is then still there. Waits for all that was submitted
 * to the file before; waiting stream I/O and lock waits are cancelled. Cannot be cancelled or timed
 * out; the file is gone whatever the result (but for a close that was linked and never began). An
 * op submitted to it later is a programming error. epio_perform of a close while ops are in flight
 * is EPIO_EBUSY, and the file stays open. */
EPIO_VERB epio_op *epio_close(epio_op *op, epio_file *file);

/* Reads `len` bytes at `offset`: the number of bytes, less than asked only at
 * the end of the file. From a stream: what is there, 0 at its end; `offset` is
 * ignored. Errors: EPIO_EINVAL (offset + len beyond INT64_MAX, NULL buffer),
 * EPIO_EBADF (not open for reading), EPIO_EIO, ... See pread(2). */
EPIO_VERB epio_op *epio_read(epio_op *op, epio_file *file, void *buffer, size_t len,
                             uint64_t offset);

/* The same into `count` parts, any number of them. */
EPIO_VERB epio_op *epio_readv(epio_op *op, epio_file *file, const epio_iovec *parts, size_t count,
                              uint64_t offset);

/* Writes `len` bytes at `offset`: all of them, or an error. Beyond the end of
 * the file it leaves a hole of zeros. To a stream: `offset` is ignored. After
 * an error or a cancel the range is undefined. Errors: EPIO_EINVAL, EPIO_EBADF,
 * EPIO_ENOSPC, EPIO_EFBIG, EPIO_EPIPE, EPIO_EIO, ... See pwrite(2).
 *
 * Where writes are messages (sockets of datagrams or packets; eventfd and its like; what in
 * /proc cannot be written at an offset) each is one, never more, and so is each read: what is
 * not read of it is lost. An empty message is written, and read, as 0 bytes. More parts than
 * one call of the system takes (IOV_MAX) are EPIO_EINVAL, to what is no socket more
 * than 4096 bytes of several parts, too. */
EPIO_VERB epio_op *epio_write(epio_op *op, epio_file *file, const void *buffer, size_t len,
                              uint64_t offset);

/* The same from `count` parts, any number of them. */
EPIO_VERB epio_op *epio_writev(epio_op *op, epio_file *file, const epio_iovec *parts, size_t count,
                               uint64_t offset);

/* Makes the file `size` bytes long: 0. What it gains is zeros. Errors:
 * EPIO_EINVAL (above INT64_MAX, or a stream), EPIO_EBADF, EPIO_EFBIG, ... */
EPIO_VERB epio_op *epio_truncate(epio_op *op, epio_file *file, uint64_t size);

#define EPIO_SYNC_FULL 0u      /* data and all of the metadata are on the medium */
#define EPIO_SYNC_NORMAL 1u    /* the same, but on macOS only ordered (F_BARRIERFSYNC) */
#define EPIO_SYNC_DATA_ONLY 2u /* data, and the metadata that reading it back needs */

/* Makes durable every write and truncate that was submitted to this file
 * before, finished or not: 0. If one of those failed (a cancel or a deadline is no
 * failure), the first sync that covers it and completes its flush reports that
 * error; one that ends without (cancelled, an op before it in its chain failed, its
 * arguments are invalid, its flush was refused) leaves the error to the next. Syncs
 * share flushes.
 *
 * A failed flush goes before all that: those who asked for it get its error, and from
 * then on every sync and write of this file is EPIO_EIO, with the first os_error,
 * until it is opened anew; rewrite what followed the last good sync. NORMAL on a file
 * open only for reading is 0. See fsync(2). */
EPIO_VERB epio_op *epio_sync(epio_op *op, epio_file *file, uint32_t mode);

/* The file's size in bytes. Errors: EPIO_ESPIPE (a stream), EPIO_EIO. */
EPIO_VERB epio_op *epio_size(epio_op *op, epio_file *file);

/* ---- Verbs: locks ------------------------------------------------------ */

/* How much of a file is locked: the levels, and the bytes that stand for them,
 * are SQLite's (https://www.sqlite.org/lockingv3.html), so that epio and SQLite
 * exclude each other. docs/locking.md has the table. */
#define EPIO_LOCK_NONE 0u
#define EPIO_LOCK_SHARED 1u    /* reads; any number of holders */
#define EPIO_LOCK_RESERVED 2u  /* will write; one, beside those that read */
#define EPIO_LOCK_PENDING 3u   /* waits for the readers to go; lets no new one in */
#define EPIO_LOCK_EXCLUSIVE 4u /* writes; alone */

#define EPIO_LOCK_WAIT 1u /* wait while others are in the way */

/* Raises what this file holds to SHARED (from NONE), RESERVED (from SHARED) or
 * EXCLUSIVE (from SHARED, RESERVED or PENDING): 0, also if it holds just that.
 * Locks are a file's, not a thread's or an op's: two files of one process
 * exclude each other as those of two processes do.
 *
 * Without WAIT, EPIO_EBUSY if others are in the way. An EXCLUSIVE that is kept
 * off by readers alone leaves the file at PENDING then, as in SQLite: no new
 * reader gets in, and asking again gets it once the last has gone. (A reader of
 * another process who is just coming in may keep it from PENDING too.)
 *
 * With WAIT the op waits, without a thread on a loop and on this one by
 * epio_perform, for its timeout at most. Inside a process waiters are served in
 * the order of asking, but EXCLUSIVE, which holders alone may ask for, before
 * SHARED; a release hands over at once. Other processes are asked again, after
 * a fraction of a millisecond at first, then ever less often, about every 20 ms.
 * EPIO_ECANCELED and EPIO_ETIMEDOUT leave the level that there was before; a
 * lock that was granted at the last moment is 0.
 *
 * With WAIT, refused at once since it could go on for ever: a holder that wants to
 * go up and meets another's RESERVED or PENDING (EPIO_EDEADLK if that is a file of
 * this process, EPIO_EBUSY if not), and an epio_perform that waits for a file whose
 * loop is the calling thread's (EPIO_EDEADLK). Unlock to NONE then, let some time
 * pass, and begin anew; docs/locking.md shows how.
 *
 * The lock ops of one file are carried out in the order of their submission; one
 * that waits holds up those behind it (without WAIT they are EPIO_EBUSY).
 * epio_unlock and epio_close end it with EPIO_ECANCELED, whoever waits.
 *
 * Errors: EPIO_EINVAL (PENDING, a lower level, a step that skips one, unknown
 * flags), EPIO_EBADF (SHARED needs a file open for reading, the others for
 * writing), EPIO_EBUSY, EPIO_EDEADLK, EPIO_ESPIPE (a stream), EPIO_ENOTSUP (the
 * file system has no locks), EPIO_ENOMEM (also: no room in the system's table of
 * locks). EPIO_EINVAL for every lock op, if the environment variable
 * EPIO_RANGE_LOCKS names a kind of lock that the system does not have. */
EPIO_VERB epio_op *epio_lock(epio_op *op, epio_file *file, uint32_t level, uint32_t flags);

/* Lowers what this file holds to SHARED or NONE: 0, also if it holds no more. From
 * EXCLUSIVE to SHARED nobody gets in between. Cannot be cancelled or timed out; but
 * linked behind an op that fails it is only carried out with EPIO_LINK_ALWAYS. Lock
 * ops of this file that wait end with EPIO_ECANCELED first. A close of the file, and
 * the end of the process, release all. Errors: EPIO_EINVAL (another level);
 * EPIO_EIO and the like if the system failed: then too the file holds no more than
 * was asked for, but for a step to SHARED, which leaves EXCLUSIVE. */
EPIO_VERB epio_op *epio_unlock(epio_op *op, epio_file *file, uint32_t level);

/* 1 if another process has the byte of RESERVED, or a file of this process, this one
 * included, holds RESERVED or more; else 0. Who went up from SHARED to EXCLUSIVE
 * directly has no such byte, since that is how a hot journal is rolled back, which
 * must go on to look hot: as in SQLite he does not count in another process, here
 * only once he has EXCLUSIVE. By the time it is read it may have changed. Errors:
 * EPIO_ESPIPE, EPIO_ENOTSUP. */
EPIO_VERB epio_op *epio_check_reserved_lock(epio_op *op, epio_file *file);

/* What this file holds now: EPIO_LOCK_NONE to EPIO_LOCK_EXCLUSIVE. While a lock op
 * waits for EXCLUSIVE this may be PENDING. Any thread. */
EPIO_API uint32_t epio_file_lock_level(const epio_file *file);

/* The descriptor or HANDLE behind a file, still owned by it; -1 if there is
 * none (a memory file). Any thread. */
EPIO_API intptr_t epio_file_os_handle(const epio_file *file);

/* ---- Verbs: a VFS ------------------------------------------------------ */

/* What was done and could not be made durable has one error. With SYNC_DIR what that
 * takes is acquired first, and an error in it, such as EPIO_EMFILE, means that nothing
 * was done. Once the name is made, moved or gone the only error is EPIO_EIO, with the
 * os_error behind it: it took effect (but an open's new file is removed again), and may
 * not outlive a crash of the system. A directory that may be searched but not read will
 * do on Linux, on file systems of this machine; elsewhere it is EPIO_EACCES. */

#define EPIO_DELETE_SYNC_DIR 1u /* the removal is durable when this is done */

/* Removes a file's name: 0. Errors: EPIO_EINVAL (NULL or empty path, unknown flags),
 * EPIO_ENOENT, EPIO_EISDIR (a directory), EPIO_EACCES, EPIO_EPERM, EPIO_ENOTDIR,
 * EPIO_ELOOP, EPIO_ENAMETOOLONG, EPIO_EROFS, EPIO_EBUSY; EPIO_EMFILE (SYNC_DIR);
 * EPIO_EIO also if the name is gone but that could not be made durable. See
 * unlink(2). */
EPIO_VERB epio_op *epio_delete(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags);

#define EPIO_RENAME_SYNC_DIR 1u   /* the new name is durable when this is done */
#define EPIO_RENAME_NO_REPLACE 2u /* EPIO_EEXIST if the new name exists */

/* Renames a file: 0. Replaces what has the new name, atomically. Errors: those
 * of epio_delete, for either path, and EPIO_EXDEV (it is never a copy),
 * EPIO_EEXIST (NO_REPLACE), EPIO_EINVAL (a directory into itself), EPIO_ENOSPC.
 * EPIO_EIO also if the file has its new name but that could not be made durable. See
 * rename(2). */
EPIO_VERB epio_op *epio_rename(epio_op *op, epio_vfs *vfs, const char *from, const char *to,
                               uint32_t flags);

#define EPIO_ACCESS_EXISTS 0u
#define EPIO_ACCESS_READ 1u
#define EPIO_ACCESS_READWRITE 2u

/* 1 if the path exists, may be read, may be read and written; else 0. An error
 * only where that cannot be told: EPIO_EINVAL (NULL or empty path, unknown mode),
 * EPIO_ELOOP, EPIO_ENAMETOOLONG, EPIO_EIO. See access(2); the effective user counts. */
EPIO_VERB epio_op *epio_access(epio_op *op, epio_vfs *vfs, const char *path, uint32_t mode);

/* Writes the absolute path, symbolic links resolved, ended by a NUL, into
 * `buffer`: its length without the NUL. The file itself need not exist, its
 * directory must. Errors: EPIO_ERANGE if `len` is not above the length (nothing is
 * written then), EPIO_EINVAL (NULL or empty path), EPIO_ENOENT, EPIO_ENOTDIR, EPIO_EACCES,
 * EPIO_ELOOP, EPIO_ENAMETOOLONG. See realpath(3). */
EPIO_VERB epio_op *epio_full_pathname(epio_op *op, epio_vfs *vfs, const char *path, char *buffer,
                                      size_t len);

/* Waits at least so long: `nanoseconds`. EPIO_EINVAL above INT64_MAX. */
EPIO_VERB epio_op *epio_sleep(epio_op *op, epio_vfs *vfs, uint64_t nanoseconds);

/* Nanoseconds since 1970-01-01 00:00 UTC. Does not fail. */
EPIO_VERB epio_op *epio_current_time(epio_op *op, epio_vfs *vfs);

/* Fills the buffer with random bytes fit for keys (libsodium): `len`.
 * EPIO_EINVAL: NULL. */
EPIO_VERB epio_op *epio_randomness(epio_op *op, epio_vfs *vfs, void *buffer, size_t len);

/* Runs `function(op)` on a worker thread: what it returned. All signals but
 * those of faults are blocked there. A function that has begun cannot be
 * cancelled; it may look at op->user, and at nothing else of the op.
 * epio_perform runs it on the calling thread. */
EPIO_VERB epio_op *epio_work(epio_op *op, epio_vfs *vfs, epio_work_function *function);

/* ---- VFSes ------------------------------------------------------------- */

/* The operating system as a VFS without a loop, for epio_perform alone. Static;
 * never destroyed. Any thread. */
EPIO_API epio_vfs *epio_os_vfs(void);

/* A VFS whose files live in memory, with the behaviour of the real one; a path
 * is a name, there are no directories but what its slashes suggest. Ops complete on
 * `loop`; NULL: epio_perform alone. 0 or EPIO_ENOMEM. Any thread. */
EPIO_API int epio_memory_vfs_create(epio_vfs **vfs, epio_loop *loop);

/* Frees a VFS that a ..._vfs_create function made; NULL is ignored; an inner one is
 * left alone. Its files must be closed and its ops delivered; the VFSes above it are
 * destroyed first: aborts if one of them is not so. By the loop's owner, if it has a loop. */
EPIO_API void epio_vfs_destroy(epio_vfs *vfs);

/* ---- Tracing ----------------------------------------------------------- */

/* buckets[i] of epio_trace_counts: took 2^i nanoseconds or more, but less than
 * 2^(i+1). The first takes 0 too, the last whatever is longer. */
#define EPIO_TRACE_BUCKETS 40

/* What became of one kind of ops on their way through a `trace` VFS. */
typedef struct epio_trace_counts {
    size_t size; /* sizeof(epio_trace_counts) */

    uint64_t in_flight; /* now: came to the VFS, and not back */
    uint64_t count;     /* came back; what follows is about these */
    uint64_t failed;    /* with an error other than the next */
    uint64_t cancelled; /* with EPIO_ECANCELED or EPIO_ETIMEDOUT */
    uint64_t bytes;     /* that reads and writes have transferred */

    uint64_t timed;       /* of `count`; what follows is about these */
    uint64_t total_ns;    /* the sum of their times */
    uint64_t shortest_ns; /* 0 if there is none */
    uint64_t longest_ns;
    uint64_t buckets[EPIO_TRACE_BUCKETS];
} epio_trace_counts;

/* A VFS over `inner` that counts the ops which pass through it, by kind, and takes
 * the time of each from when it came until it came back: on a loop that is until
 * its completion is about to be delivered. Waiting below for permits, locks or
 * streams is part of it, waiting above (for the op that it is linked to) is not.
 * `inner` must outlive it. 0, EPIO_EINVAL (NULL), EPIO_ENOMEM. Any thread.
 *
 * Of ops that come in quick succession not all are timed, as the clock would be
 * much of what they cost: of each kind one in 16 us or so, 64 more after a pause, and
 * at least one in 31. Whether one is does not depend on how long it takes; but those
 * of quiet times weigh more among them than those of a rush, and the longest of all
 * may be missing.
 *
 * What does not get here is not counted: ops with invalid arguments, those that were
 * cancelled before (linked, or at a barrier), an epio_acquire. Of syncs only the
 * flushes are, of which several may share one. An op that waits outside, since it
 * has to be tried again (an open of a FIFO that has no reader), counts once, with its
 * last try, or not at all if it is given up in between. */
EPIO_API int epio_trace_vfs_create(epio_vfs **vfs, epio_vfs *inner);

/* What was counted of one EPIO_KIND_... (epio/vfs.h; those from EPIO_KIND_USER on share one
 * count) since the VFS was created, or the last reset: 0. Fills all but `size`, which the
 * caller sets. While ops end on another thread the numbers may be a moment apart.
 * EPIO_EINVAL: NULL, a size below that of the first version, an unknown kind, not a `trace`
 * VFS. Any thread. */
EPIO_API int epio_trace_read(const epio_vfs *trace, uint32_t kind, epio_trace_counts *counts);

/* All counts but in_flight begin at 0 again; ops in flight will count when they end.
 * 0; EPIO_EINVAL: not a `trace` VFS. Any thread. */
EPIO_API int epio_trace_reset(epio_vfs *trace);

/* Writes what was counted as a table for people, a line for each kind that occurred
 * and one for their sum, ended by a NUL, into `buffer`: its length without the NUL,
 * even if only the first `len` - 1 bytes of it had room (as snprintf does; NULL and
 * 0: nothing is written). A time after "<" is one that so large a part of the ops
 * stayed below. EPIO_EINVAL: NULL with a `len`, not a `trace` VFS. Any thread. */
EPIO_API int64_t epio_trace_summary(const epio_vfs *trace, char *buffer, size_t len);

#if EPIO_ASYNC

/* ---- Loops ------------------------------------------------------------- */

/* A loop belongs to the thread that created it, until epio_loop_detach. If that thread ends
 * before, every later use aborts, but for epio_loop_pending, _backend, _vfs, _wake and _stop.
 *
 * A `done` returns to its loop. If it was left by longjmp or an exception, the next call
 * that runs the loop aborts (where both lie on the thread's own stack, and something is left
 * there to tell it by). Calls may be nested, each in a `done` of the one before, as deep as
 * the stack allows, but for its last 32 KiB, and 10,000 deep at most; then they abort.
 *
 * A loop belongs to its process too. In a forked child, submit, wait and cancel abort for a loop
 * that the parent made, and so do all functions of the loop but those five (wake and stop do
 * nothing there) and epio_loop_destroy: make a new loop; a daemon makes its own after it has
 * daemonized. epio_perform goes on working there on the loop's VFS, the layers over it and
 * their files, which are inherited descriptors without the parent's locks; permits of a `limit` are
 * not asked for. epio_perform of a close, epio_vfs_destroy and epio_loop_destroy free what is the
 * child's and touch nothing of the parent's: its ops go on, and a DELETE_ON_CLOSE name stays. A
 * `done` in which the process forks must not return in the child. What was in flight stays so in
 * the child for ever: use new ops there. */

typedef struct epio_loop_options {
    size_t size;            /* sizeof(epio_loop_options) */
    const char *backend;    /* "uring", "epoll", "poll", "iocp"; NULL: EPIO_BACKEND of the
                               environment, else the best. One that the system refuses gives way
                               to the next of these: epio_loop_backend says which it is */
    uint32_t workers;       /* most threads that read at once, most that are at paths (but at least
                               4), and most for epio_work; 0: 16, which is the most. Threads that
                               hang in the kernel do not count */
    uint32_t inline_writes; /* 1: buffered writes run on the owner's thread, which may then wait
                               for the disk */
    /* Since 0.2: */
    uint64_t poll_budget_ns; /* nanoseconds. Of an embedded loop (epio_loop_handle,
                                epio_loop_on_ready): when an epio_loop_poll has been busy for so
                                long it returns, and leaves the rest for the next: a window has
                                frames to draw. It ends between two operations, and has
                                delivered one at least if any was ready. 0: 4 ms;
                                EPIO_FOREVER: no limit */
} epio_loop_options;

/* Makes a loop that belongs to the calling thread. Starts no thread. NULL
 * options: the defaults. Errors: EPIO_EINVAL (NULL loop, an unknown backend, a size below
 * that of the first version, an option set that this one does not know; see
 * epio_loop_invalid_reason), EPIO_EMFILE, EPIO_ENOMEM. */
EPIO_API int epio_loop_create(epio_loop **loop, const epio_loop_options *options);

/* Why epio_loop_create would refuse these options, or (NULL) the environment, as one sentence:
 * "unknown backend 'urnig'; there are uring, epoll, poll". Writes it, ended by a NUL, into
 * `buffer`: its length without the NUL, even if only the first `len` - 1 bytes of it had
 * room (as snprintf does; NULL and 0: nothing is written). 0: there is nothing wrong with
 * them. EPIO_EINVAL: NULL with a `len`. Any thread. */
EPIO_API int64_t epio_loop_invalid_reason(const epio_loop_options *options, char *buffer,
                                          size_t len);

/* Delivers completions until nothing is in flight (but for epio_op_unref), or
 * epio_loop_stop. Returns
 * how many were delivered. The owner, or any thread if the loop is detached. On POSIX
 * systems SIGXFSZ may be blocked on this thread while a loop runs (also by epio_loop_poll,
 * epio_wait and the like): threads and processes that a `done` starts inherit that. */
EPIO_API uint64_t epio_loop_run(epio_loop *loop);

/* Delivers what is ready, up to `max` (0: no limit), waiting for the first for
 * `timeout_ns` at most (EPIO_NOW, EPIO_FOREVER). Returns how many were
 * delivered. May be called from inside a `done`. Returns 0 early after
 * epio_loop_wake or epio_loop_stop. Of an embedded loop it may leave some of what is
 * ready: see poll_budget_ns. */
EPIO_API uint64_t epio_loop_poll(epio_loop *loop, uint64_t timeout_ns, uint32_t max);

/* Makes epio_loop_run, the present or else the next, return. Any thread. */
EPIO_API void epio_loop_stop(epio_loop *loop);

/* Makes the epio_loop_poll that waits, or else the next that would, return.
 * Any thread, also from inside a signal handler. */
EPIO_API void epio_loop_wake(epio_loop *loop);

/* Gives the loop up: it belongs to the next thread that runs or polls it. May wait
 * for reads and writes that the disk is at. */
EPIO_API void epio_loop_detach(epio_loop *loop);

/* How many ops are in flight. Any thread; by then it may have changed. */
EPIO_API uint64_t epio_loop_pending(const epio_loop *loop);

/* Cancels all that is in flight and delivers every completion: 0, or
 * EPIO_ETIMEDOUT if some were left after `timeout_ns` (EPIO_FOREVER: no limit): reads,
 * writes, syncs and closes that the system is at on a mount that does not answer.
 * From then on new ops end with EPIO_ECANCELED unstarted; closes still work.
 * The owner. */
EPIO_API int epio_loop_close(epio_loop *loop, uint64_t timeout_ns);

/* epio_loop_close without limit, then frees the loop; NULL is ignored. Every
 * file must be closed by then. Not from inside a `done`. In a forked child of the owner's
 * process: frees the child's copy alone. */
EPIO_API void epio_loop_destroy(epio_loop *loop);

/* The name of the backend in use. Any thread. */
EPIO_API const char *epio_loop_backend(const epio_loop *loop);

/* What a loop has done since it was created, and what it is at. A layer's op counts by
 * the way that it went below the layer; one that the layer sent down again by the last
 * that was not at once. What epio_perform carries out is in none of
 * these. */
typedef struct epio_loop_stats {
    size_t size; /* sizeof(epio_loop_stats) */

    /* Ops delivered: the sum of the five ways that follow, by whichever an op went last. */
    uint64_t delivered;
    uint64_t
        at_once; /* on the owner's thread: what was in memory, in the iteration in which the VFS
                    got it; and when it got them short calls, inline writes, transfers
                    that ended within the system's call */
    uint64_t by_backend; /* the ring or the port had it, or it waited for a stream to be ready */
    uint64_t by_workers; /* handed over to worker threads */
    uint64_t by_owner;   /* meant for a worker, but the owner had nothing else to do */
    uint64_t by_nobody;  /* syncs, which a flush answers; what only waits (sleep, acquire, a lock
                            that was not free); what a VFS kept and answered later, itself or by
                            a thread of its own; what ended before it was begun: invalid,
                            cancelled, after a failed flush */

    uint64_t in_place; /* reads that epio_wait did on the spot: never in flight, nor delivered */
    uint64_t flushes;  /* that have ended, begun by the loop for one or more syncs */
    uint64_t syncs;    /* answered by those: the flushes saved are syncs - flushes */
    uint64_t deferred; /* times an op was put off, because its iteration had done its share */
    uint64_t batches;  /* times that ops were handed over to workers, any number at once */
    uint64_t sleeps;   /* times the owner waited in the kernel */
    uint64_t wakes;    /* times it was woken from there, or its host told, by a system call of
                          another thread (embedded: also its own). Where size_t has 32 bits it
                          begins at 0 again after 2^32 - 1 */

    /* Now. But for the first, the flushes count too. */
    uint64_t in_flight;    /* as epio_loop_pending */
    uint64_t ready_now;    /* ended, but not yet delivered */
    uint64_t deferred_now; /* wait for the next iteration */
    uint64_t to_read_now;  /* reads of what is probably in memory, which the end of this iteration
                              or the beginning of the next will carry out together */
    uint64_t to_hand_over_now; /* will be handed over to workers when this iteration ends */
    uint64_t at_backend_now;   /* reads and writes at the ring or the port, and streams that are
                                  waited for: one for each of their ops, or one for several */
    uint64_t at_workers_now;   /* handed over, begun or not, and not yet back */
    uint32_t threads_now;      /* worker threads, idle ones too */
} epio_loop_stats;

/* Fills all but `size`, which the caller sets: 0. Counting costs the loop next to nothing,
 * reading it a few locks. Also from inside a `done`. EPIO_EINVAL: NULL, a size below that of
 * the first version. The owner. */
EPIO_API int epio_loop_get_stats(const epio_loop *loop, epio_loop_stats *statistics);

/* The operating system as a VFS that completes on this loop. Lives as long as
 * the loop. Any thread. */
EPIO_API epio_vfs *epio_loop_vfs(epio_loop *loop);

/* For another event loop: a descriptor that is readable (POSIX), a HANDLE that
 * is signalled (Windows), whenever epio_loop_poll(loop, 0, max) has something
 * to do, and not otherwise. Owned by the loop; only to be waited on. From the
 * first call on the loop pays for keeping it right. Where the system refuses what
 * the best way needs (io_uring_register, timerfd_create) there is another, with a
 * thread. What is left is a negative error: EPIO_EMFILE (no descriptor to be had),
 * EPIO_ENOMEM (nor memory, or a thread). The loop goes on without, and the call can
 * be made again. The owner. */
EPIO_API intptr_t epio_loop_handle(epio_loop *loop);

/* The other way round: `ready(user)` is called, from a thread of the library's,
 * when epio_loop_poll has something to do: once, and again after a poll that
 * left something, or in which a `done` ran while others waited. It should only post a message to
 * the host's loop, and call nothing of this one. NULL removes it; replacing and removing wait until
 * a running call has returned. 0, EPIO_EMFILE or EPIO_ENOMEM. The owner. */
EPIO_API int epio_loop_on_ready(epio_loop *loop, void (*ready)(void *user), void *user);

/* ---- Backpressure ------------------------------------------------------ */

/* Counted permits, served in the order of asking: who asks for many is not
 * passed by who asks for few. Any thread may call any of these; several loops
 * may share one. 0, EPIO_EINVAL (no permits), EPIO_ENOMEM. */
EPIO_API int epio_semaphore_create(epio_semaphore **semaphore, uint32_t permits);

/* Also limits the bytes that ops of `limit` VFSes have in flight through this
 * semaphore; one that is larger alone takes all. 0: no limit, the default.
 * Before the first use. */
EPIO_API void epio_semaphore_limit_bytes(epio_semaphore *semaphore, uint64_t bytes);

/* NULL is ignored. Aborts if ops wait for it, an epio_acquire is in flight, or there is still a
 * `limit` VFS over it. Permits that the caller holds go with it. */
EPIO_API void epio_semaphore_destroy(epio_semaphore *semaphore);

/* Takes permits now: 0; EPIO_EBUSY if they are not free or others wait;
 * EPIO_EINVAL if there are never so many (or 0); EPIO_ECLOSED. */
EPIO_API int epio_semaphore_try_acquire(epio_semaphore *semaphore, uint32_t permits);

/* Gives permits back; more than were taken is a programming error. */
EPIO_API void epio_semaphore_release(epio_semaphore *semaphore, uint32_t permits);

/* Permits that are free now. */
EPIO_API uint32_t epio_semaphore_available(const epio_semaphore *semaphore);

/* From now on nothing is granted: who waits and who asks gets EPIO_ECLOSED.
 * Permits may still be released. */
EPIO_API void epio_semaphore_close(epio_semaphore *semaphore);

/* Waits for permits: 0, completing on the loop of `vfs`. The caller releases
 * them. Cancelled or timed out, it holds none. Errors: EPIO_EINVAL (0, or more
 * than exist), EPIO_ECLOSED. */
EPIO_VERB epio_op *epio_acquire(epio_op *op, epio_vfs *vfs, epio_semaphore *semaphore,
                                uint32_t permits);

/* A VFS over `inner` where every op holds a permit of `semaphore` until it
 * completes. close, unlock, sleep and all that waits for others (streams,
 * locks) hold none. An epio_perform through it waits for a permit in place, for
 * ever if the calling thread's own loop has to deliver what holds them: give it a
 * timeout, or use epio_wait. Both must outlive it. 0, EPIO_EINVAL, EPIO_ENOMEM. */
EPIO_API int epio_limit_vfs_create(epio_vfs **vfs, epio_vfs *inner, epio_semaphore *semaphore);

#endif /* EPIO_ASYNC */

#ifdef __cplusplus
}
#endif

#endif
