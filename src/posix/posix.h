/* Shared by the POSIX files. */
#ifndef EPIO_POSIX_H
#define EPIO_POSIX_H

#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* ---- clock.c ---- */

struct timespec epio__timespec(uint64_t nanoseconds);
/* Milliseconds from now for poll(2), rounded up; -1 for EPIO_FOREVER. */
int epio__milliseconds_until(uint64_t deadline);

/* ---- error.c ---- */

/* Stores errno in the op and returns its EPIO_E... code. */
int64_t epio__op_fail(epio_op *op);

/* ---- thread.c ---- */

/* As epio__process_mutex, for descriptor.c; taken after that one. */
epio__mutex *epio__descriptor_mutex(void);

/* Is this a thread of epio__thread_start? They block all signals. */
bool epio__thread_takes_no_signals(void);

/* ---- watch.c ---- */

#if defined(__linux__)
/* In a forked child: its parent's watches are not its own. */
void epio__watches_in_child(void);
#endif

/* ---- signal_guard.c ---- */

/* Hides from the application the SIGPIPE of a write to a stream and the SIGXFSZ of a write to a
 * file: it is blocked on this thread between the two calls, and one that the write raised is
 * consumed. */
typedef struct epio__signal_guard {
    int number;
    bool active;
    bool unblock; /* it was not blocked before */
    bool pending; /* it was pending before, and is the application's */
} epio__signal_guard;

void epio__signal_guard_begin(epio__signal_guard *guard, int number);
/* Preserves errno, which shows what the write raised. */
void epio__signal_guard_end(epio__signal_guard *guard, bool failed);

/* Does this process have a limit for the size of files, beyond which a write raises SIGXFSZ? */
bool epio__writes_are_limited(void);

/* How much may be written at `position`, or to a file of any length from 0 on, before the system
 * raises SIGXFSZ. Linux sends that to the writing thread, as POSIX requires, and the guard
 * consumes it; other systems send it to the process, where another thread may take it first:
 * there it must not be raised. */
#if defined(__linux__)
static inline uint64_t epio__room_for_write(int descriptor, uint64_t position)
{
    (void)descriptor;
    (void)position;
    return UINT64_MAX;
}
#else
uint64_t epio__room_for_write(int descriptor, uint64_t position);
#endif

/* The same for the SIGPIPE of a stream, where the descriptor can be set to raise none. (It is
 * never reset: on XNU a reset also drops other settings.) */
void epio__forbid_sigpipe(int descriptor);

/* ---- transfer.c: reads and writes ---- */

#define EPIO__PARTS_AT_ONCE 64

/* Position of a transfer in its buffers. */
typedef struct epio__cursor {
    uint64_t part;
    uint64_t done_of_part;
} epio__cursor;

/* The cursor after the first `done` bytes. */
epio__cursor epio__cursor_at(const epio_op *op, uint64_t done);
void epio__cursor_advance(const epio_op *op, epio__cursor *cursor, uint64_t bytes);
/* Lists the rest, up to EPIO__PARTS_AT_ONCE parts and `limit` bytes. */
int epio__cursor_parts(const epio_op *op, epio__cursor cursor, uint64_t limit, struct iovec *parts);

/* One flush call of the given EPIO_SYNC_... strength: 0, or -1 and errno. */
int epio__flush(int descriptor, uint32_t strength);

static inline epio__os_file *epio__os_file_of(const epio_op *op)
{
    return (epio__os_file *)(void *)op->file;
}

static inline int epio__descriptor_of(const epio_op *op)
{
    return (int)epio__os_file_of(op)->transfer_handle;
}

/* The smallest block of a disk. */
#define EPIO__SMALLEST_BLOCK 512u

/* A direct read that ends within a block has met the end of the file. If the file has grown
 * since, reading on from there fails with EINVAL, which shows that it was the end. (Files without
 * blocks, on a server, may end a read anywhere, and reading on works.) */
static inline bool epio__read_met_end(const epio_op *op, int error)
{
    return error == EINVAL && epio__op_is(op, EPIO__KIND_READS) && epio__os_file_of(op)->direct &&
           op->progress % EPIO__SMALLEST_BLOCK != 0;
}

/* ---- close_and_wait.c ---- */

/* Closes the descriptor, and waits a moment for the system to let go of the file: a transfer that
 * has ended may still be about to. As close(2). */
int epio__close_and_wait(int descriptor);

/* ---- stream.c: pipes, FIFOs, sockets, terminals ---- */

enum {
    EPIO__STREAM_NONBLOCKING = 0x1,       /* O_NONBLOCK is set */
    EPIO__STREAM_SOCKET = 0x2,            /* takes MSG_DONTWAIT and MSG_NOSIGNAL */
    EPIO__STREAM_AWAITS_WRITER = 0x4,     /* a FIFO that has had no writer yet */
    EPIO__STREAM_CANNOT_BE_WATCHED = 0x8, /* epoll(7) reports it always ready, poll(2) as invalid */
    EPIO__STREAM_TERMINAL = 0x10,
    EPIO__STREAM_MESSAGES = 0x20,       /* each write is one message to the reader */
    EPIO__STREAM_READS_AT_OFFSET = 0x40 /* only writes refuse an offset */
};

/* Transfers what it can without waiting: true, and *result; false: it has to wait, op->progress
 * bytes are done. */
bool epio__stream_attempt(epio_op *op, int64_t *result);
/* Waits, until the op's deadline; EPIO_RETRY if the stream has no readiness to wait for. */
int64_t epio__stream_perform(epio_op *op);

/* ---- medium.c ---- */

typedef enum epio__medium {
    EPIO__MEDIUM_UNKNOWN,
    EPIO__MEDIUM_LOCAL,  /* this machine's disks */
    EPIO__MEDIUM_MEMORY, /* and memory */
    EPIO__MEDIUM_REMOTE  /* a server or a program */
} epio__medium;

#if defined(__linux__)
/* Of a file system of this type (statfs(2)): its name; "" for one that is not known. */
const char *epio__medium_of_type(uint32_t type, epio__medium *medium);
#endif

/* `device`: the descriptor's st_dev. */
epio__medium epio__medium_of(int descriptor, uint64_t device);

/* ---- range_lock.c ---- */

/* Determines, once per process, which kind of range locks the system has. */
void epio__range_locks_decide(int descriptor);

/* ---- open.c, path.c, metadata.c, directory.c ---- */

/* Where the op's relative paths begin, for openat(2) and its kin. */
static inline int epio__at(const epio_op *op)
{
    const epio_file *directory = op->arguments.path.directory;
    return directory != NULL ? (int)((const epio__os_file *)(const void *)directory)->handle
                             : AT_FDCWD;
}

/* Makes the path absolute, with all links resolved; the file itself need not exist. `at` as above.
 * `resolved` has room for PATH_MAX: 0, or -1 and errno. */
int epio__resolve_path(int at, const char *path, char *resolved);
/* The same for a file that is to be made: EISDIR, as of open(2), if it is missing and the path, or
 * the link that leads to it, ends with a slash. */
int epio__resolve_new_path(int at, const char *path, char *resolved);
/* EPIO_TYPE_... of an st_mode. */
uint32_t epio__type_of_mode(mode_t mode);
#if defined(__linux__)
/* Fills the buffer with the entries that follow, packed: their length; 0: there are no more; -1 and
 * errno. Takes the directory's lock. */
int64_t epio_list_entries(int directory, char *buffer, size_t len);
#endif
/* Before a directory is closed. */
void epio__listing_close(epio__os_file *file);
/* Copies the directory part of `path` ("." if it has none): false if it does not fit. */
bool epio__directory_of(const char *path, char *directory, size_t size);

#endif
