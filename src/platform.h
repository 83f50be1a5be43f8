/* All that the library needs of an operating system. `src/posix` and `src/win32` implement it; no
 * file above them includes an OS header. */
#ifndef EPIO_PLATFORM_H
#define EPIO_PLATFORM_H

#include "atomics.h"
#include "compiler.h"
#include "kinds.h"
#include "queue.h"

#include <epio/vfs.h>

/* ---- Threads ----------------------------------------------------------- */

/* Opaque space for the system's own types; the platform asserts that they fit. */
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
/* One per process, for its global data. It is free in a forked child. */
epio__mutex *epio__process_mutex(void);

void epio__condition_init(epio__condition *condition);
void epio__condition_destroy(epio__condition *condition);
void epio__condition_wait(epio__condition *condition, epio__mutex *mutex);
/* False if `deadline` (monotonic; EPIO_FOREVER: none) passed. */
bool epio__condition_wait_until(epio__condition *condition, epio__mutex *mutex, uint64_t deadline);
void epio__condition_signal(epio__condition *condition);
void epio__condition_broadcast(epio__condition *condition);

/* Starts a thread that blocks all signals except its own faults: 0 or EPIO_ENOMEM. */
int epio__thread_start(epio__thread *thread, void (*run)(void *argument), void *argument);
void epio__thread_join(epio__thread *thread);
/* Instead of joining: its end is not awaited. */
void epio__thread_detach(epio__thread *thread);
void epio__thread_yield(void);
/* The calling thread gives way to others, as far as the system has priorities of threads: 1 to 19,
 * as nice(1). */
void epio__thread_give_way(uint32_t nice);
/* For each round of a spin loop. */
void epio__thread_pause(void);
/* Processors that this process may run on, 1 at least. */
uint32_t epio__processor_count(void);
/* Differs in a forked child. */
uint64_t epio__process_id(void);
/* How many forks lie between this process and the first that used the library; 0 where the system
 * has no fork. vfork and posix_spawn do not count. */
uint32_t epio__process_generation(void);

/* From now on, until the next call of epio__thread_forget_ends, epio__process_thread_ends is called
 * when this thread ends, on systems that report it and may reuse a thread's identity (compiler.h).
 * With the process's mutex held. */
void epio__thread_watch_end(void);
void epio__thread_forget_ends(void);

/* The bounds of the calling thread's own stack, which grows down: false if they are unknown. Code
 * that runs on a stack of its own (a coroutine) is outside them. */
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

/* Can a read from memory alone be tried on the file? */
enum {
    EPIO__CACHED_READS_UNKNOWN,
    EPIO__CACHED_READS_WORK,
    EPIO__CACHED_READS_ALWAYS, /* without a try: the file is only in memory */
    EPIO__CACHED_READS_NEVER
};

/* A file of the operating system. */
typedef struct epio__os_file {
    epio_file base;
    intptr_t handle;
    intptr_t transfer_handle; /* for reads and writes: `handle`, or the platform's own */
    uint32_t cached_reads;    /* atomic; EPIO__CACHED_READS_... */
    bool direct;              /* reads and writes bypass the page cache */
    bool may_be_pinned;       /* see epio__backend.pins_files */
    bool refuses_aio;         /* the kernel's AIO cannot transfer it without waiting */
    bool appends;             /* writes go to the end, whatever their offset */
    void *listing;            /* of a directory, how far it was listed, if the system does not
                                 keep that; NULL: none */
    bool confines;            /* a directory: paths that begin there stay beneath it */
    uint8_t medium;           /* the platform's, if it is known */
    bool medium_is_known;
    bool had_aio;             /* the kernel may still have it for a transfer that has ended */
    uint32_t keeps_from_ring; /* atomic; not 0: keep it from a backend that pins files */
    uint32_t generation;      /* epio__process_generation of the process that opened it */
    char *delete_path;        /* removed at close, owned; NULL: none */
    uint64_t device;          /* with the next: the file's identity, whatever its name */
    uint64_t inode;
    uint32_t opened_as;       /* the epio_open flags that its handle serves; 0: it was adopted */
    intptr_t lock_handle;     /* holds its range locks: `handle`, or the platform's own */
    bool locks_are_remote;    /* range-lock calls may have to wait for a server */
    uintptr_t lock;           /* atomic; its epio__lock_holder of src/locks; 0: none yet */
    uint32_t lock_generation; /* atomic; of the process that owns `lock` and lock_handle */
    epio_node closing;        /* among the files of its inode whose close waits */
    intptr_t position_handle; /* whose file position is this process's; -1: none yet */
    uint32_t position_generation; /* atomic; of the process that owns it and the mutex */
    epio__mutex position_mutex;   /* one op at a time moves the position */
    uint32_t stream;              /* the platform's flags for a stream */
    uint32_t polled_events;       /* the events that the backend polls on it */
    int32_t watch_slot;           /* the backend's entry for it; 0: none */
    uint32_t ring_table;          /* the generation of the ring's file table that has it */
    uint32_t ring_index;          /* its index in that table */
    epio_node readers;            /* ops that wait until it can be read, first come first served */
    epio_node writers;
} epio__os_file;

/* Tells the core whether reads of the file are worth collecting. Any thread. */
static inline void epio__os_file_note_cached_reads(epio__os_file *file, uint32_t cached_reads)
{
    epio__store_relaxed_u32(&file->cached_reads, cached_reads);
    epio__store_relaxed_u32(&file->base.collects, cached_reads == EPIO__CACHED_READS_WORK ? 1 : 0);
}

static inline bool epio__op_is_on_stream(const epio_op *op)
{
    return (op->file->attributes & EPIO_FILE_STREAM) != 0;
}

/* A read or write of a file that has offsets. */
static inline bool epio__op_is_at_offset(const epio_op *op)
{
    return epio__op_transfers(op) && !epio__op_is_on_stream(op);
}

/* Around several writes on this thread, and anything between them: keeps signals of writes from the
 * application once for all, instead of in each. False: not needed, do not call the end. */
bool epio__os_writes_begin(void);
void epio__os_writes_end(void);

/* Each carries out one op of the OS VFS, of the kind in its name, on this thread and returns the
 * result. op->timeout_ns is the deadline here, 0 for none. */

/* An open that would wait for another program is EPIO_RETRY. */
int64_t epio__os_open(epio_vfs *vfs, epio_op *op);
int64_t epio__os_adopt(epio_vfs *vfs, epio_op *op);
int64_t epio__os_close(epio_op *op);

/* A copy of an open directory, with a handle of its own, where paths of an op can begin: 0 or an
 * error. For a thread that may be left behind in a call. NULL is dropped, too. */
int epio__os_directory_copy(const epio_file *directory, epio_file **copy, int32_t *os_error);
void epio__os_directory_drop(epio_file *copy);
/* Reads and writes, of which op->progress bytes are done. Waits for streams, until the
 * deadline. */
int64_t epio__os_transfer(epio_op *op);
int64_t epio__os_truncate(epio_op *op);
/* The offset where the bytes are. Any thread, several at once for one file. */
int64_t epio__os_append(epio_op *op);
/* ALLOCATE, PUNCH_HOLE, ZERO_RANGE. */
int64_t epio__os_change_space(epio_op *op);
/* SEEK_DATA, SEEK_HOLE. */
int64_t epio__os_seek(epio_op *op);
int64_t epio__os_advise(epio_op *op);
/* Of two files of the OS VFS: a reflink or a copy within the system, of all or, so that others get
 * their turn, of a part; 0 at the end of the first file. EPIO_ENOTSUP: the files, or their system,
 * have no such way; nothing was done. */
int64_t epio__os_copy_range(epio_op *op);
/* MAP sets op->arguments.map.mapping, made by epio__mapping_init; UNMAP ends it by
 * epio__mapping_free, whatever its result. SYNC_MAPPING of a mapping that was not made to be
 * written to, or is private, does nothing. */
int64_t epio__os_map(epio_op *op);
int64_t epio__os_unmap(epio_op *op);
int64_t epio__os_sync_mapping(epio_op *op);
int64_t epio__os_sync(epio_op *op);
int64_t epio__os_size(epio_op *op);
int64_t epio__os_delete(epio_op *op);
int64_t epio__os_rename(epio_op *op);
int64_t epio__os_access(epio_op *op);
int64_t epio__os_full_pathname(epio_op *op);

/* Each of the next four of a path, or of an open file. */
/* All of `info`, unless it fails. */
int64_t epio__os_stat(epio_op *op, epio_info *info);
int64_t epio__os_set_times(epio_op *op, const epio_times *times);
int64_t epio__os_set_mode(epio_op *op);
int64_t epio__os_set_owner(epio_op *op);
/* `info` is all zero at first. */
int64_t epio__os_file_system_info(epio_op *op, epio_file_system *info);
int64_t epio__os_mkdir(epio_op *op);
int64_t epio__os_rmdir(epio_op *op);
int64_t epio__os_sync_directory(epio_op *op);
int64_t epio__os_list(epio_op *op);
int64_t epio__os_name_temporary(epio_op *op);
int64_t epio__os_temporary_directory(epio_op *op);
int64_t epio__os_link_file(epio_op *op);
int64_t epio__os_symlink(epio_op *op);
int64_t epio__os_read_link(epio_op *op);
int64_t epio__os_exchange(epio_op *op);
int64_t epio__os_trash(epio_op *op);
/* Any of the kinds with XATTR in their names. */
int64_t epio__os_xattr(epio_op *op);

/* Reads what the system has in memory, without waiting. `bytes` is the op's length, of which none
 * is done yet. True: the op is finished, and op->progress is its result. False: op->progress bytes
 * are done, and the rest would wait, or may. */
bool epio__os_read_cached(epio_op *op, uint64_t bytes);
bool epio__os_readv_cached(epio_op *op, uint64_t bytes);

/* A single copy above this is not for the owner's thread. */
#define EPIO__LARGE_COPY (UINT64_C(1) << 20)

/* In op->notes, only of reads and writes. */
#define EPIO__NOTE_MISSED_CACHE 1u /* epio__os_read_cached found it not in memory */
#define EPIO__NOTE_GIVEN_UP 2u     /* it should end, perhaps between two pieces */
#define EPIO__NOTE_FOR_WORKER 4u   /* the backend did not carry it out */
#define EPIO__NOTE_OF_BACKEND 8u   /* and up: the backend's own */

/* Closes the file's handles and frees its memory: 0, or an error with *os_error. */
int epio__os_file_dispose(epio__os_file *file, int32_t *os_error);

/* ---- Byte-range locks -------------------------------------------------- */

/* Lock modes of a byte range. */
enum { EPIO__RANGE_FREE, EPIO__RANGE_SHARED, EPIO__RANGE_EXCLUSIVE };

/* Sets the file's lock on the whole range to this mode; if it fails, the lock stays as before.
 * Never waits for another holder. From exclusive to shared the range is never unlocked in between;
 * from shared to exclusive it may be. 0; EPIO_EBUSY: another holder; EPIO_EINVAL with *os_error 0:
 * the kind of lock that the environment names does not exist; or another error. Sets *os_error if
 * it fails. */
int epio__range_set(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                    int32_t *os_error);

/* The same for a range that the file has as a whole, in the mode `from`, and that overlaps no other
 * of its own: it is unlocked as it was locked. EPIO_ENOTSUP: from shared to exclusive, where
 * epio__range_locks_convert is false. */
int epio__range_change(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t from,
                       uint32_t mode, int32_t *os_error);

/* 1 if another holder blocks a lock of this mode on the range, else 0, or an error with *os_error.
 * Where epio__range_locks_convert is false this is tried, and the file must have no part of the
 * range shared, nor exclusively if the mode is. */
int epio__range_is_taken(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                         int32_t *os_error);

/* True if a file can have a range locked in the other mode, and be tested for others, while it has
 * it. */
bool epio__range_locks_convert(void);

/* True if all files of a process on one inode share its range locks, and closing any of them
 * releases those of all. Known once a file is open. */
bool epio__range_locks_are_common(void);

/* In a forked child, before epio__range_locks_prepare: the file's lock state is the parent's. */
void epio__range_locks_disinherit(epio__os_file *file);

/* Before the first of the above for a file, in each process that uses it: makes sure that the file
 * shares its range locks with no other file and no other process, and that they end with the
 * process (file->may_be_pinned). */
void epio__range_locks_prepare(epio__os_file *file);

/* ---- Changes in directories -------------------------------------------- */

/* A watch, which a source of changes reports to. See src/watch/watch.h. */
typedef struct epio__watch {
    epio_file base;
    bool recursive;      /* not changed once it is open, as the next two */
    bool compares;       /* its source is the comparison, not the platform */
    uint32_t generation; /* epio__process_generation of the process that opened it */
    void *source;        /* the source's own */
    size_t performers;   /* atomic; threads that wait in an epio_perform */

    epio__mutex mutex;     /* guards the rest */
    epio_node waiting;     /* READ_EVENTS, first come first served */
    unsigned char *events; /* `len` bytes from `first` on, packed as epio_read_events gives them */
    size_t capacity;
    size_t first;
    size_t len;
    size_t last;      /* where the latest event is; SIZE_MAX: none */
    bool overflowed;  /* events were lost behind those */
    bool ended;       /* the directory itself is gone */
    bool end_is_read; /* and the reader has the event that says so */
} epio__watch;

/* Begins to report what changes in the directory of a WATCH: 0, and what changes from now on is
 * reported, by a thread of the platform's, until epio__os_watch_end. EPIO_ENOTSUP: nobody reports
 * the changes of this file system; or another error, with op->os_error: nothing was begun. Blocks
 * as an open does, and for as long: the op may have been given back to its caller meanwhile, and
 * the watch is ended then. */
int64_t epio__os_watch_begin(epio_op *op, epio__watch *watch);
/* When it returns no report of the watch is running, and none follows. May block for a moment. Not
 * called in a forked child for a watch of its parent: there the platform frees what it has by
 * itself, or keeps it. */
void epio__os_watch_end(epio__watch *watch);

/* What a source calls, from any thread, also with a mutex of its own that no epio__event_set and no
 * epio_resume can need; names are relative to the watched directory, with "/" on every system;
 * `from` is NULL unless RENAMED. OVERFLOW, with an empty name: what the source has lost. */
void epio__watch_report(epio__watch *watch, uint32_t kind, uint32_t type, const char *name,
                        const char *from);
/* The directory itself is gone: reports that, the last event. */
void epio__watch_report_end(epio__watch *watch);

/* ---- Paths ------------------------------------------------------------------ */

/* Does the part of a path behind it begin in what is before it? On Windows also of "C:". */
bool epio__is_separator(char c);

/* ---- What `src/core` and `src/os` provide to the platform ------------------ */

/* To be called with the process's mutex held: around a fork, and when a watched thread ends. */
void epio__process_before_fork(void);
void epio__process_after_fork(bool in_child);
void epio__process_thread_ends(void);

/* Frees the memory of a file that was released, but only after some more were, so that a second
 * close, or another use after close, is detected. Any thread. */
void epio__file_free(void *memory);

/* Fills the base of a mapping that is all zero; its memory begins with that, and is freed like a
 * file's. Any thread. */
void epio__mapping_init(epio_mapping *mapping, epio_vfs *vfs, void *address, uint64_t len);
void epio__mapping_free(epio_mapping *mapping);

/* Random bytes fit for keys, for the names of temporary files. */
void epio__random_bytes(void *buffer, size_t len);
#define EPIO__RANDOM_NAME_LEN 38
/* Writes a name that nobody can foresee, with its NUL. */
void epio__random_part(char part[EPIO__RANDOM_NAME_LEN]);
/* Writes "DIRECTORY/" and such a name, which makes it longer by that length, ended by a NUL. */
void epio__random_name(const char *directory, char *name, size_t size);

/* Every close of a file goes through here: releases its locks, then disposes of it, or delays that
 * if it would release the range locks of other files. As epio__os_file_dispose. */
int epio__os_file_close(epio__os_file *file, int32_t *os_error);

/* Returns a file of the inode, opened with these flags, whose close still waits, so that its handle
 * is reused; the caller owns it. NULL: none. */
epio__os_file *epio__os_file_reopen(uint64_t device, uint64_t inode, uint32_t flags);

#if EPIO_ASYNC

/* The backend has carried out `bytes` of the op within submit, on the owner's thread. */
void epio__os_spend(const epio_op *op, uint64_t bytes);

/* ---- Backends --------------------------------------------------------- */

/* One method of waiting for completions. All but wake are called by the loop's owner; the state
 * belongs to the backend. */
typedef struct epio__backend {
    const char *name;

    /* submit may carry out all of a transfer, within the iteration's budget, which epio__os_spend
     * charges. */
    bool transfers_at_once;

    /* The system may keep a handle of a transfer open for a while after the process has ended, and
     * with it the handle's locks. */
    bool pins_files;

    /* poll waits until its deadline to some tens of microseconds, where the system can. */
    bool waits_precisely;

    /* It keeps in *pending_events the number of pending events: what poll could find without a
     * wake. 0, EPIO_ENOTSUP (not on this system), EPIO_EMFILE, EPIO_ENOMEM. */
    int (*open)(uint64_t *pending_events, void **state);
    void (*close)(void *state);

    /* Accepts an op of the OS VFS: true, and epio_complete will follow, or
     * epio_offload if it cannot do it after all. False:
     * it has no asynchronous form here, and nothing was touched. */
    bool (*submit)(void *state, epio_op *op);

    /* Starts `count` reads, linked by queue.next, of files with EPIO__CACHED_READS_WORK, by few
     * system calls, and completes by epio__batch_ended what was in memory; the others follow in
     * poll, by that or epio__leave_batch. Returns those for which there is no room. `count` 0:
     * release what the last ones needed. NULL: not supported. */
    epio_node *(*read_together)(void *state, epio_node *first, uint32_t count);

    /* Accepts a buffered write, as submit does, which a thread of the system carries out. NULL:
     * there are no such threads. */
    bool (*write_behind)(void *state, epio_op *op);

    /* How many of these it has. */
    uint64_t (*writes_behind)(void *state);

    /* Starts what submit accepted, without waiting, before the owner returns to the program. NULL:
     * submit has done so. */
    void (*flush)(void *state);

    /* Starts what submit accepted and completes what is ready, waiting for the first until
     * `deadline` (monotonic; 0: not at all; EPIO_FOREVER) or `wake`. */
    void (*poll)(void *state, uint64_t deadline);

    /* Withdraws an op that it accepted: true, and the caller completes it. False for an op that it
     * does not have. */
    bool (*cancel)(void *state, epio_op *op);

    /* Requests that the call ends which a worker is in, or will be, for this read or write, if it
     * waits for others; of the op only op->kind may be read. NULL: no call can be interrupted. */
    void (*interrupt)(void *state, epio_op *op);

    /* The file will be closed; no op is in flight on it. */
    void (*forget)(void *state, epio__os_file *file);

    /* The parts, by address, replace those of before: 1, the system has taken them all, or 0,
     * memory is plain memory. They stay until the next call. EPIO_EBUSY: nothing has changed. NULL:
     * always 0. */
    int (*register_buffers)(void *state, const epio_iovec *parts, size_t count);

    /* Makes the current poll return, or else the next. Any thread; a signal handler too. */
    void (*wake)(void *state);

    /* A descriptor for the host's loop, readable when poll has something to do; or a negative
     * error. */
    intptr_t (*handle)(void *state);

    /* Between polls, for `handle` and `notify`: poll will be due at `deadline` (EPIO_FOREVER:
     * none). */
    void (*arm)(void *state, uint64_t deadline);

    /* See epio_loop_on_ready. */
    int (*notify)(void *state, void (*ready)(void *user), void *user);

    /* The loop is detached: the next call may come from another thread. May wait for transfers of
     * the disk. NULL: any thread may call. */
    void (*release)(void *state);

    /* In a forked child, before anything else runs there: closes what would keep a resource of the
     * parent alive after its end. NULL: nothing would. */
    void (*forked)(void *state);

    /* Instead of close in a forked child: frees the state and closes the child's descriptors, and
     * does not affect the parent. The state's threads are not in the child, and its mutexes may be
     * locked. NULL: the system has no fork. */
    void (*abandon)(void *state);
} epio__backend;

/* Reads of a batch are done, each with op->progress as its result. `waited`: for the disk, after
 * the call that started them. The owner. */
void epio__batch_ended(epio__queue *reads, bool waited);
/* One was not done: from here on it is an ordinary op, for submit. False: it was cancelled, and has
 * ended with that. The owner. */
bool epio__leave_batch(epio_op *op);

/* The backends of this platform, best first, ended by NULL. */
extern const epio__backend *const epio__backends[];

#endif

#endif
