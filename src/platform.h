/* All that the library asks of an operating system. `src/posix` and
 * `src/win32` implement it; above it nobody includes an OS header. */
#ifndef EPIO_PLATFORM_H
#define EPIO_PLATFORM_H

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
void epio__thread_yield(void);
/* An address that no other living thread has; never 0. */
uintptr_t epio__thread_self(void);

/* ---- Clocks ------------------------------------------------------------ */

uint64_t epio__monotonic_time(void);
/* Since 1970-01-01 UTC. */
int64_t epio__current_time(void);
void epio__sleep_until(uint64_t deadline);

/* ---- Errors ------------------------------------------------------------ */

/* The EPIO_E... for an OS error; EPIO_EUNKNOWN for one without a name. */
int epio__error_from_os(int32_t os_error);

/* ---- Files ------------------------------------------------------------- */

/* A file of the operating system. */
typedef struct epio__os_file {
    epio_file base;
    intptr_t handle;
    intptr_t transfer_handle; /* what reads and writes use: that, or the platform's own */
    uint32_t no_cached_read;  /* atomic; 1: the system cannot tell what is cached */
    char *delete_path;        /* to be removed at close, owned; NULL: nothing */
    uint64_t delete_device;   /* what it was when opened, so that nothing else is removed */
    uint64_t delete_inode;
    uint32_t stream;    /* the platform's notes on a stream */
    uint32_t watched;   /* what the back end waits for on it */
    int32_t watch_slot; /* the back end's entry for it; 0: none */
    epio_node readers;  /* ops that wait until it can be read, first come first served */
    epio_node writers;
} epio__os_file;

static inline bool epio__op_reads(const epio_op *op)
{
    return op->kind == EPIO_KIND_READ || op->kind == EPIO_KIND_READV;
}

/* Around several writes on this thread: what each does to keep its signals from
 * the application is done once for all. Not nested. */
void epio__os_writes_begin(void);
void epio__os_writes_end(void);

/* Carries out one op of the OS VFS on this thread, whatever its kind, and
 * returns the result. It waits for streams, until the deadline; an open that
 * would wait for another program is EPIO_RETRY. By now op->timeout_ns is the
 * deadline, 0 for none; op->progress bytes of a read or write are done. */
int64_t epio__os_perform(epio_vfs *vfs, epio_op *op);

/* Reads what the system has in memory, without waiting. True: the op is
 * finished, with *result. False: op->progress bytes are done, and the rest
 * would wait or cannot be told. */
bool epio__os_read_cached(epio_op *op, int64_t *result);

/* Random bytes fit for keys. The one function here that `src/os` gives to the
 * platform, for the names of temporary files. */
void epio__random_bytes(void *buffer, size_t len);

#if EPIO_ASYNC

/* ---- Back ends --------------------------------------------------------- */

/* One way of waiting for completions. All but wake are called by the loop's
 * owner; the state belongs to the back end. */
typedef struct epio__backend {
    const char *name;

    /* In *watched it keeps how many things poll could find without a wake. 0,
     * EPIO_ENOTSUP (not on this system), EPIO_EMFILE, EPIO_ENOMEM. */
    int (*open)(uint64_t *watched, void **state);
    void (*close)(void *state);

    /* Accepts an op of the OS VFS: true, and epio_complete will follow. False:
     * it has no asynchronous form here, and nothing was touched. */
    bool (*submit)(void *state, epio_op *op);

    /* Completes what is ready, waiting for the first until `deadline`
     * (monotonic; 0: not at all; EPIO_FOREVER) or `wake`. */
    void (*poll)(void *state, uint64_t deadline);

    /* Gives up an op that it accepted: true, and the caller completes it. False
     * for an op that it does not have. */
    bool (*cancel)(void *state, epio_op *op);

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
} epio__backend;

/* Those of this platform, best first, ended by NULL. */
extern const epio__backend *const epio__backends[];

#endif

#endif
