/* All that the library asks of an operating system. `src/posix` and
 * `src/win32` implement it; above it nobody includes an OS header. */
#ifndef EPIO_PLATFORM_H
#define EPIO_PLATFORM_H

#include "atomics.h"
#include "compiler.h"
#include "kinds.h"
#include "queue.h"

#include <epio/vfs.h>

/* ---- Threads ----------------------------------------------------------- */

/* Opaque room for the system's own types; the platform asserts that they fit. */
typedef struct epio__mutex {
    uint64_t space[8];
} epio__mutex;

typedef struct epio__condition {
    uint64_t space[8];
} epio__condition;

typedef struct epio__thread {
    uint64_t space[2];
} epio__thread;

void epio__mutex_init(epio__mutex *mutex);
void epio__mutex_destroy(epio__mutex *mutex);
void epio__mutex_lock(epio__mutex *mutex);
void epio__mutex_unlock(epio__mutex *mutex);
/* The one for what a process has once. A forked child finds it free. */
epio__mutex *epio__process_mutex(void);

void epio__condition_init(epio__condition *condition);
void epio__condition_destroy(epio__condition *condition);
void epio__condition_wait(epio__condition *condition, epio__mutex *mutex);
/* False if `deadline` (monotonic; EPIO_FOREVER: none) passed. */
bool epio__condition_wait_until(epio__condition *condition, epio__mutex *mutex, uint64_t deadline);
void epio__condition_signal(epio__condition *condition);
void epio__condition_broadcast(epio__condition *condition);

/* Starts a thread that takes no signals but those of its own faults: 0 or
 * EPIO_ENOMEM. */
int epio__thread_start(epio__thread *thread, void (*run)(void *argument), void *argument);
void epio__thread_join(epio__thread *thread);
/* Instead: nobody waits for its end. */
void epio__thread_detach(epio__thread *thread);
void epio__thread_yield(void);
/* In a loop that waits for another thread without sleeping. */
void epio__thread_pause(void);
/* Processors that this process may run on, 1 at least. */
uint32_t epio__processor_count(void);
/* Another one in a child that was forked. */
uint64_t epio__process_id(void);
/* How many forks lie between this process and the first in which the library was used; 0
 * where there are none. What vfork and posix_spawn make is not counted. */
uint32_t epio__process_generation(void);

/* From now on, until the next call of epio__thread_forget_ends, epio__process_thread_ends is
 * called when this thread ends; where the system says so, and its identity (compiler.h) may
 * be another thread's later. With the process's mutex. */
void epio__thread_watch_end(void);
void epio__thread_forget_ends(void);

/* The bounds of the calling thread's own stack, which grows down: false where they cannot be
 * told. Code that runs on a stack of its own (a coroutine) is not within them. */
bool epio__thread_stack(uintptr_t *low, uintptr_t *high);

/* ---- Clocks ------------------------------------------------------------ */

uint64_t epio__monotonic_time(void);
/* Since 1970-01-01 UTC. */
int64_t epio__current_time(void);
void epio__sleep_until(uint64_t deadline);

/* ---- Errors ------------------------------------------------------------ */

/* The EPIO_E... for an OS error; EPIO_EUNKNOWN for one without a name. */
int epio__error_from_os(int32_t os_error);
/* The usual OS error for an EPIO_E.... */
int32_t epio__error_to_os(int error);

/* ---- Files ------------------------------------------------------------- */

/* Can the system tell what of a file it has in memory? */
enum {
    EPIO__CACHED_READS_UNKNOWN,
    EPIO__CACHED_READS_WORK,
    EPIO__CACHED_READS_ALWAYS, /* it need not: the file is nowhere else */
    EPIO__CACHED_READS_NEVER
};

/* A file of the operating system. */
typedef struct epio__os_file {
    epio_file base;
    intptr_t handle;
    intptr_t transfer_handle; /* what reads and writes use: that, or the platform's own */
    uint32_t cached_reads;    /* atomic; EPIO__CACHED_READS_... */
    bool direct;              /* reads and writes go past the page cache */
    bool may_be_pinned;       /* see epio__backend.pins_files */
    uint32_t keeps_from_ring; /* atomic; not 0: such a backend is to have nothing of it */
    uint32_t generation;      /* epio__process_generation of the process that opened it */
    char *delete_path;        /* to be removed at close, owned; NULL: nothing */
    uint64_t device;          /* with the next: which file it is, whatever its name */
    uint64_t inode;
    uint32_t opened_as;    /* the epio_open flags that its handle is good for; 0: it was adopted */
    intptr_t lock_handle;  /* what holds its ranges: `handle`, or the platform's own */
    bool locks_are_remote; /* the calls about ranges may take as long as a server */
    uintptr_t lock; /* atomic; the epio__lock_holder of src/locks; 0: never asked for a lock */
    uint32_t lock_generation; /* atomic; of the process whose that and the lock_handle are */
    epio_node closing;        /* among the files of its inode that are still to be closed */
    uint32_t stream;          /* the platform's notes on a stream */
    uint32_t watched;         /* what the backend waits for on it */
    int32_t watch_slot;       /* the backend's entry for it; 0: none */
    uint32_t ring_table;      /* a ring's table of files, of that moment, which has it */
    uint32_t ring_index;      /* there */
    epio_node readers;        /* ops that wait until it can be read, first come first served */
    epio_node writers;
} epio__os_file;

/* The core is told which files are worth collecting reads of. Any thread. */
static inline void epio__os_file_note_cached_reads(epio__os_file *file, uint32_t cached_reads)
{
    epio__store_relaxed_u32(&file->cached_reads, cached_reads);
    epio__store_relaxed_u32(&file->base.collects, cached_reads == EPIO__CACHED_READS_WORK ? 1 : 0);
}

static inline bool epio__op_is_on_stream(const epio_op *op)
{
    return (op->file->attributes & EPIO_FILE_STREAM) != 0;
}

/* Around several writes on this thread, and whatever else it does in between: what
 * each does to keep its signals from the application is done once for all. False:
 * nothing was done, and there is nothing to end. */
bool epio__os_writes_begin(void);
void epio__os_writes_end(void);

/* Each carries out one op of the OS VFS on this thread, whose kind its name says, and
 * returns the result. By now op->timeout_ns is the deadline, 0 for none. */

/* An open that would wait for another program is EPIO_RETRY. */
int64_t epio__os_open(epio_vfs *vfs, epio_op *op);
int64_t epio__os_adopt(epio_vfs *vfs, epio_op *op);
int64_t epio__os_close(epio_op *op);
/* Reads and writes, of which op->progress bytes are done. Waits for streams, until the
 * deadline. */
int64_t epio__os_transfer(epio_op *op);
int64_t epio__os_truncate(epio_op *op);
int64_t epio__os_sync(epio_op *op);
int64_t epio__os_size(epio_op *op);
int64_t epio__os_delete(epio_op *op);
int64_t epio__os_rename(epio_op *op);
int64_t epio__os_access(epio_op *op);
int64_t epio__os_full_pathname(epio_op *op);

/* Reads what the system has in memory, without waiting. `bytes` are the op's, of which
 * none is done yet. True: the op is finished, and op->progress is its result. False:
 * op->progress bytes are done, and the rest would wait or cannot be told. */
bool epio__os_read_cached(epio_op *op, uint64_t bytes);
bool epio__os_readv_cached(epio_op *op, uint64_t bytes);

/* A single copy above this is not for the owner's thread. */
#define EPIO__LARGE_COPY (UINT64_C(1) << 20)

/* In op->notes, of reads and writes alone. */
#define EPIO__NOTE_MISSED_CACHE 1u /* epio__os_read_cached found it not in memory */
#define EPIO__NOTE_GIVEN_UP 2u     /* it is to end, perhaps between two pieces */
#define EPIO__NOTE_OF_BACKEND 4u   /* and up: the backend's own */

/* Closes what the system knows of the file and frees its memory: 0, or an error
 * with *os_error. */
int epio__os_file_dispose(epio__os_file *file, int32_t *os_error);

/* ---- Byte-range locks -------------------------------------------------- */

/* What an open file can hold of a range of bytes. */
enum { EPIO__RANGE_FREE, EPIO__RANGE_SHARED, EPIO__RANGE_EXCLUSIVE };

/* Makes the file hold the range in this mode, wholly or, if it fails, as before.
 * Never waits for another holder. Down from exclusive to shared there is no moment
 * without either; up there may be one. 0; EPIO_EBUSY: somebody else's; EPIO_EINVAL with
 * *os_error 0: the kind of locks that the environment asks for is not there; or another
 * error. Sets *os_error if it fails. */
int epio__range_set(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                    int32_t *os_error);

/* 1 if anybody else holds any of the range exclusively, 0 if nobody does, or an
 * error with *os_error. */
int epio__range_is_taken(const epio__os_file *file, uint64_t start, uint64_t len,
                         int32_t *os_error);

/* True where all files of a process hold ranges in common, and closing any of them
 * frees the ranges of all. Known once a file is open. */
bool epio__range_locks_are_common(void);

/* In a forked child, before the next: what the file had for its locks is the parent's. */
void epio__range_locks_disinherit(epio__os_file *file);

/* Before the first of the above for a file, in each process that uses it: makes sure that no
 * other file, and no other process, holds the same ranges as this one, and that they end with
 * the process (file->may_be_pinned). */
void epio__range_locks_prepare(epio__os_file *file);

/* ---- What `src/core` and `src/os` give to the platform ------------------ */

/* To be called with the process's mutex held: around a fork, and when a thread ends that was
 * to be watched. */
void epio__process_before_fork(void);
void epio__process_after_fork(bool in_child);
void epio__process_thread_ends(void);

/* Instead of free for the memory of a file that was released, which is kept until some more
 * were: so that a second close, or another use that is too late, is found out. Any thread. */
void epio__file_free(void *memory);

/* Random bytes fit for keys, for the names of temporary files. */
void epio__random_bytes(void *buffer, size_t len);

/* Every close of a file goes through here: releases its locks, then disposes of
 * it, or lets that wait where it would free the ranges of other files. As
 * epio__os_file_dispose. */
int epio__os_file_close(epio__os_file *file, int32_t *os_error);

/* A file whose close still waits, opened as these flags say, for its handle: the
 * caller's again. NULL: there is none. */
epio__os_file *epio__os_file_reopen(uint64_t device, uint64_t inode, uint32_t flags);

#if EPIO_ASYNC

/* The backend, on the owner's thread, has carried out so many bytes of the op within
 * submit. */
void epio__os_spend(const epio_op *op, uint64_t bytes);

/* ---- Backends --------------------------------------------------------- */

/* One way of waiting for completions. All but wake are called by the loop's
 * owner; the state belongs to the backend. */
typedef struct epio__backend {
    const char *name;

    /* submit may carry out all of a transfer: it has its share of the iteration, which
     * epio__os_spend counts. */
    bool transfers_at_once;

    /* The system may keep a handle that it transfers by for a while after the process is
     * gone, and with it whatever the handle has locked. */
    bool pins_files;

    /* In *watched it keeps how many things poll could find without a wake. 0,
     * EPIO_ENOTSUP (not on this system), EPIO_EMFILE, EPIO_ENOMEM. */
    int (*open)(uint64_t *watched, void **state);
    void (*close)(void *state);

    /* Accepts an op of the OS VFS: true, and epio_complete will follow, or
     * epio_offload if it cannot do it after all. False:
     * it has no asynchronous form here, and nothing was touched. */
    bool (*submit)(void *state, epio_op *op);

    /* Begins `count` reads, linked by queue.next, whose files' cached reads work, by few
     * calls of the kernel, and completes by epio__batch_ended what was in memory; the others
     * follow in poll, by that or epio__leave_batch. Returns those for which there
     * is no room. `count` 0: nothing of what the last ones needed is to be kept. NULL:
     * there is no such call. */
    epio_node *(*read_together)(void *state, epio_node *first, uint32_t count);

    /* Starts what submit accepted, without waiting: the owner goes elsewhere.
     * NULL: submit has done so. */
    void (*flush)(void *state);

    /* Starts what submit accepted and completes what is ready, waiting for the first until
     * `deadline` (monotonic; 0: not at all; EPIO_FOREVER) or `wake`. */
    void (*poll)(void *state, uint64_t deadline);

    /* Gives up an op that it accepted: true, and the caller completes it. False
     * for an op that it does not have. */
    bool (*cancel)(void *state, epio_op *op);

    /* Asks for the call to end that a worker is in, or will be, for this read or write, if
     * it waits for others; op->kind alone is the caller's to look at. NULL: no call can be. */
    void (*interrupt)(void *state, epio_op *op);

    /* The file, on which nothing is in flight any more, will be closed. */
    void (*forget)(void *state, epio__os_file *file);

    /* Makes poll, the present or the next, return. Any thread; a signal handler
     * too. */
    void (*wake)(void *state);

    /* A descriptor for foreign loops, readable when poll has something to do;
     * a negative error. */
    intptr_t (*handle)(void *state);

    /* Between polls: poll will be due at `deadline` (EPIO_FOREVER: not by
     * time), for `handle` and `notify`. */
    void (*arm)(void *state, uint64_t deadline);

    /* See epio_loop_on_ready. */
    int (*notify)(void *state, void (*ready)(void *user), void *user);

    /* The owner gives the loop up: the next call comes from another thread. May
     * wait for what the disk is at. NULL: any thread will do. */
    void (*release)(void *state);

    /* In a forked child, before anything else runs there: gives up what would keep something
     * of the parent's from ending with it. NULL: there is no such thing. */
    void (*forked)(void *state);

    /* Instead of close in a forked child: frees the state and closes the child's
     * descriptors, and does nothing to what the parent has too. Its threads are not
     * here, and its mutexes may be locked. NULL: nothing forks. */
    void (*abandon)(void *state);
} epio__backend;

/* Reads of a batch are done, each with op->progress as its result. `waited`: after the call
 * that began them, for the disk. The owner. */
void epio__batch_ended(epio__queue *reads, bool waited);
/* One is not: from here on it is an op like any other, for submit. False: somebody has
 * cancelled it, and it has ended so. The owner. */
bool epio__leave_batch(epio_op *op);

/* Those of this platform, best first, ended by NULL. */
extern const epio__backend *const epio__backends[];

#endif

#endif
