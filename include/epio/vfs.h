/* For those who write a VFS: something that carries out operations.
 *
 * A VFS is three functions. `submit` accepts an op, for which epio_complete
 * follows exactly once; `perform` carries one out on the calling thread;
 * `cancel` asks for one to end. Opens, paths and files go through the same
 * three, so that a layer, which passes most ops on to an inner VFS, is short; for most
 * of them there is epio/layer.h.
 *
 * Of an op that a VFS was given and has not ended, these fields are its own: `queue`, to keep
 * the op in a list; `progress`, 0 at first; `os_error`; of a read or write `notes`, and
 * arguments.io.system, four words. It may put others into `arguments` on the op's way to an
 * inner VFS (another buffer in io.base), if it puts them back when the op returns. `kind`,
 * `flags`, `file`, `vfs`, `loop`, `timeout_ns` (by now the deadline on epio_clock_monotonic, 0:
 * none) and `user` are to be read; all else is the core's. An open allocates before it goes
 * further what its return will need, since a file that was opened cannot be lost.
 *
 * What is no file's (sleep, current_time, randomness, work) a VFS may pass on, by
 * epio_forward and epio_perform_on, to the loop's VFS or epio_os_vfs.
 *
 * What the core has done before an op gets here: arguments are valid, syncs
 * wait for what they cover and share a flush, a close comes alone, deadlines
 * and links are the core's. `docs/architecture.md` shows the whole path. */
#ifndef EPIO_VFS_H
#define EPIO_VFS_H

#include <epio/epio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What op->kind can be. op->arguments says with what; op->flags are the
 * verb's. A layer forwards the kinds that it does not know. */
enum {
    EPIO_KIND_NONE,
    EPIO_KIND_OPEN,                /* path; flags; sets op->file */
    EPIO_KIND_ADOPT,               /* adopt; flags; sets op->file */
    EPIO_KIND_CLOSE,               /* op->file, which the VFS frees */
    EPIO_KIND_READ,                /* io */
    EPIO_KIND_READV,               /* io; base is an epio_iovec array of len parts */
    EPIO_KIND_WRITE,               /* io */
    EPIO_KIND_WRITEV,              /* io; as READV */
    EPIO_KIND_TRUNCATE,            /* io.offset: the new size */
    EPIO_KIND_SYNC,                /* flags: EPIO_SYNC_... */
    EPIO_KIND_SIZE,                /* op->file */
    EPIO_KIND_LOCK,                /* lock.level; flags */
    EPIO_KIND_UNLOCK,              /* lock.level; must not fail for want of memory */
    EPIO_KIND_CHECK_RESERVED_LOCK, /* op->file */
    EPIO_KIND_DELETE,              /* path.path; flags */
    EPIO_KIND_RENAME,              /* path.path, path.to; flags */
    EPIO_KIND_ACCESS,              /* path.path; flags: the mode */
    EPIO_KIND_FULL_PATHNAME,       /* path.path, path.buffer, path.len */
    EPIO_KIND_SLEEP,               /* sleep */
    EPIO_KIND_CURRENT_TIME,        /* nothing */
    EPIO_KIND_RANDOMNESS,          /* io.base, io.len */
    EPIO_KIND_ACQUIRE,             /* a semaphore's own: no other VFS sees it */
    EPIO_KIND_WORK,                /* work */
    EPIO_KIND_COUNT,

    /* And up to 255, of VFSes outside: words, or whatever they make of it; see
     * epio_op_prepare. */
    EPIO_KIND_USER = 128
};

/* "read" for EPIO_KIND_READ, and so on: the verb's name without epio_; "none" for
 * EPIO_KIND_NONE, "user" from EPIO_KIND_USER on, "?" for a number that is no kind. Static
 * strings, any thread. */
EPIO_API const char *epio_kind_name(uint32_t kind);

typedef struct epio_vfs_methods {
    size_t size; /* sizeof(epio_vfs_methods) */
    const char *name;

    /* Accepts an op. Called by the owner of vfs->loop, with op->vfs == vfs.
     * May call epio_complete before it returns. Never blocks. */
    void (*submit)(epio_vfs *vfs, epio_op *op);

    /* Carries the op out and returns its result, having set op->os_error. Any
     * thread, several at once. The same function serves epio_perform and
     * epio_offload. */
    int64_t (*perform)(epio_vfs *vfs, epio_op *op);

    /* Asks for an op that this VFS holds (op->vfs == vfs) to end: complete it
     * with EPIO_ECANCELED if it waits, else do nothing. Not called for one that
     * was deferred, offloaded or parked: those the core ends itself. NULL if the VFS
     * keeps no other. The owner. */
    void (*cancel)(epio_vfs *vfs, epio_op *op);

    /* Frees the VFS; NULL: it is not the user's to free. */
    void (*destroy)(epio_vfs *vfs);

    /* What epio_file_os_handle answers; NULL: -1. */
    intptr_t (*os_handle)(const epio_file *file);

    /* What epio_file_lock_level answers; NULL: EPIO_LOCK_NONE. Any thread. */
    uint32_t (*lock_level)(const epio_file *file);

    /* The time of epio_alarm has come. NULL unless the VFS sets alarms. The
     * owner. */
    void (*alarm)(epio_vfs *vfs, epio_op *op);

    /* The answer to epio_resume. NULL unless the VFS calls that. The owner. */
    void (*resumed)(epio_vfs *vfs, epio_op *op);
} epio_vfs_methods;

typedef struct epio_frame epio_frame;

/* Embed it first in your own struct. */
struct epio_vfs {
    const epio_vfs_methods *methods;
    epio_loop *loop; /* where its ops complete; NULL: epio_perform alone */
};

/* Reads and writes on it wait for others, and positions mean nothing. */
#define EPIO_FILE_STREAM 1u

/* Its ops ask nothing but this machine's memory and disks, so they end soon: a loop that has
 * nothing else to do may carry one out on its own thread. */
#define EPIO_FILE_LOCAL 2u

/* Embed it first in your own struct. All but the first four are the core's. */
struct epio_file {
    epio_vfs *vfs;
    uint32_t flags;      /* EPIO_OPEN_READ and EPIO_OPEN_WRITE: what it is open for */
    uint32_t attributes; /* EPIO_FILE_... */
    uint64_t medium;     /* what its ops wait for, of your own numbering: while one hangs, it keeps
                            only workers of its own from the others; 0, from epio_file_init: unknown */

    /* What seldom changes: threads that carry its ops out read it, and what the owner counts
     * below shall not take it from their caches. */
    uint32_t fast;     /* those of the flags whose ops may go by the fast path */
    uint32_t collects; /* atomic; its reads are collected, to be carried out together */
    uint32_t flush_failed;
    int32_t flush_os_error;
    uint32_t chain_closes; /* while a chain is checked: it closes the file before here */
    epio_op *close;
    uint64_t hold_until;
    uint64_t flush_took;

    size_t in_flight;
    size_t inbound;
    size_t locks; /* lock ops among those in flight */
    int32_t carried_error;
    int32_t carried_os_error;
    epio_node active;   /* among the loop's files that have ops in the lists below */
    epio_node waiting;  /* among the loop's files that want a flush */
    epio_node ordered;  /* writes, truncates and syncs in the order of submission */
    epio_node ready;    /* syncs whose writes have all been delivered */
    epio_node flushing; /* syncs that the flush in flight will answer */
    epio_node syncs;    /* all that have no answer yet, in the order of submission */
    size_t unreported;  /* those of them with an error to report */
    uint64_t flush_begun;
    epio_op flush;
};

/* Fills the base of a file that an open or adopt is about to hand out. `flags`
 * are the open's, of which the directions are kept. Any thread. */
EPIO_API void epio_file_init(epio_file *file, epio_vfs *vfs, uint32_t flags, uint32_t attributes);

/* The counterpart, before a close frees the file's memory. Any thread. */
EPIO_API void epio_file_release(epio_file *file);

/* Bytes that a read or write is about, vectored or not; 0 for other kinds. */
EPIO_API uint64_t epio_op_bytes(const epio_op *op);

/* Fills an op of a kind of your own, EPIO_KIND_USER to 255, and returns it, as a verb does:
 * what a library beside epio builds its verbs from. Its VFS gets it by submit, perform, cancel,
 * layers pass it on, and links, deadlines and epio_offload (among the functions of epio_work)
 * are as for any other. op->arguments.words are the caller's, to be set after this; they are not
 * cleared. With a file, which may be NULL, it is an op of that file: a close waits for it, and
 * `vfs` may be NULL. EPIO_EINVAL once it is run: a kind below EPIO_KIND_USER, neither VFS nor
 * file. Any thread. */
EPIO_API epio_op *epio_op_prepare(epio_op *op, epio_vfs *vfs, epio_file *file, uint32_t kind);

/* True if the op was submitted, false inside epio_perform. */
EPIO_API bool epio_op_in_flight(const epio_op *op);

/* A result that no user sees: the op could not be carried out yet, and is to be
 * tried again at op->due, from the top. Until then all frames are off, it holds
 * nothing, and a cancel or its deadline ends it. */
#define EPIO_RETRY (-1000)

/* The clock of all deadlines, in nanoseconds. */
EPIO_API uint64_t epio_clock_monotonic(void);

/* Lets another VFS perform the op, with another file: a layer's way to pass on
 * inside its `perform`. Restores op->vfs and op->file afterwards, but leaves
 * the file that an open or adopt found. */
EPIO_API int64_t epio_perform_on(epio_op *op, epio_vfs *vfs, epio_file *file);

#if EPIO_ASYNC

/* Ends an op. Any thread. The op is the core's again from here on. Set
 * op->os_error before. */
EPIO_API void epio_complete(epio_op *op, int64_t result);

/* Ends an op with `result` once the monotonic clock has reached `due`; a cancel
 * or the op's deadline ends it earlier, without asking the VFS. The owner. */
EPIO_API void epio_complete_at(epio_op *op, uint64_t due, int64_t result);

/* Lets vfs->alarm(op->vfs, op) be called once the monotonic clock has reached
 * `due`, unless the op ended before. A later call replaces an earlier one. The
 * owner. */
EPIO_API void epio_alarm(epio_op *op, uint64_t due);

/* Runs vfs->perform(op->vfs, op) on a worker thread, then epio_complete. The
 * owner. */
EPIO_API void epio_offload(epio_op *op);

/* Lets the loop call vfs->submit(op->vfs, op) again in its next iteration: for a VFS
 * that has done its share of this one. The owner. */
EPIO_API void epio_defer(epio_op *op);

/* Lets the owner call vfs->resumed(op->vfs, op). Any thread; at most one
 * at a time for an op, which must not be completed before that call. */
EPIO_API void epio_resume(epio_op *op);

/* A layer's mark on an op that it passed on, from the layer's own memory. */
struct epio_frame {
    epio_frame *below;
    epio_vfs *vfs;
    epio_file *file;

    /* The op came back: op->result is what it brought, op->vfs and op->file
     * are what they were at epio_frame_push (but an open's file is the one that
     * was found). True: passed on, perhaps with another result. False: sent
     * again, by epio_forward. The owner. The frame is the layer's again. */
    bool (*returned)(epio_frame *frame, epio_op *op);
};

/* Notes op->vfs and op->file in the frame, which is the core's until
 * `returned`. The owner. */
EPIO_API void epio_frame_push(epio_op *op, epio_frame *frame);

/* Passes an op on to another VFS, with another file. An op that somebody wants
 * to cancel ends here instead. The owner. */
EPIO_API void epio_forward(epio_op *op, epio_vfs *vfs, epio_file *file);

#endif /* EPIO_ASYNC */

#ifdef __cplusplus
}
#endif

#endif
