/* For those who write a VFS: something that carries out operations.
 *
 * A VFS is three functions. `submit` accepts an op, for which epio_complete follows exactly once;
 * `perform` carries one out on the calling thread; `cancel` requests that one ends early. Opens,
 * paths and files go through the same three, so that a layer, which passes most ops on to an inner
 * VFS, is short; for most of them there is epio/layer.h.
 *
 * While a VFS holds an op, from submit or perform until it ends it, these fields are the VFS's:
 * `queue`, to keep the op in a list; `progress`, 0 at first; `os_error`; `due`, when it is to be
 * tried again (EPIO_RETRY); of a read, a
 * write or a full_pathname `notes`; of the first two arguments.io.system, four words. It may
 * change `arguments` before it passes the op to an inner VFS (another buffer in io.base), if it
 * restores them when the op returns. A layer passes paths on with path.directory, if there is one,
 * as the inner VFS's file, and likewise copy.from, or ends it with EPIO_ENOTSUP, if it is not its
 * own. `kind`, `flags`, `file`, `vfs`, `loop`, `timeout_ns` (by now the
 * deadline on epio_clock_monotonic, 0: none) and `user` are read-only; all else is the core's. An
 * open allocates what its return will need before it goes further down, since a file that was
 * opened must not be lost.
 *
 * Ops without a file (sleep, current_time, randomness, work) may be passed on, by epio_forward and
 * epio_perform_on, to the loop's VFS or epio_os_vfs.
 *
 * What the core guarantees: arguments are valid, syncs have waited for what they cover and share a
 * flush, a close comes when no other op of the file is in flight; deadlines and links are the
 * core's. `docs/architecture.md` shows the whole path. */
#ifndef EPIO_VFS_H
#define EPIO_VFS_H

#include <epio/epio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In op->notes of a full_pathname that succeeds: see epio_op_followed_link. */
#define EPIO_NOTE_FOLLOWED_LINK 1u

/* Values of op->kind, each with its member of op->arguments; op->flags are the verb's. A layer
 * forwards the kinds that it does not know, any other VFS ends them with EPIO_ENOTSUP. */
enum {
    EPIO_KIND_NONE,
    EPIO_KIND_OPEN,                /* path.path; flags; sets op->file */
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
    EPIO_KIND_UNLOCK,              /* lock.level; must not fail for lack of memory */
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
    EPIO_KIND_STAT,                /* path.path, path.buffer: an epio_info of path.len bytes */
    EPIO_KIND_FILE_STAT,           /* path.buffer, path.len: as STAT */
    EPIO_KIND_SET_TIMES,           /* path.path, path.buffer: an epio_times of path.len bytes */
    EPIO_KIND_FILE_SET_TIMES,      /* path.buffer, path.len: as SET_TIMES */
    EPIO_KIND_SET_MODE,            /* path.path, path.len: the mode */
    EPIO_KIND_FILE_SET_MODE,       /* path.len */
    EPIO_KIND_SET_OWNER,           /* path.path, path.len: user << 32 | group */
    EPIO_KIND_FILE_SET_OWNER,      /* path.len */
    EPIO_KIND_MKDIR,               /* path.path; flags */
    EPIO_KIND_RMDIR,               /* path.path; flags */
    EPIO_KIND_LIST,                /* op->file; path.buffer, path.len; flags */
    EPIO_KIND_LINK_FILE,           /* path.path, path.to; flags */
    EPIO_KIND_SYMLINK,             /* path.path: where; path.to: the target; flags */
    EPIO_KIND_READ_LINK,           /* path.path, path.buffer, path.len */
    EPIO_KIND_EXCHANGE,            /* path.path, path.to; flags */
    EPIO_KIND_GET_XATTR,           /* path.path, path.to: the name; path.buffer, path.len; flags */
    EPIO_KIND_FILE_GET_XATTR,      /* the same without path.path, as the next FILE_... */
    EPIO_KIND_SET_XATTR,           /* path.path, path.to, path.buffer, path.len; flags */
    EPIO_KIND_FILE_SET_XATTR,      /* path.to, path.buffer, path.len; flags */
    EPIO_KIND_LIST_XATTRS,         /* path.path, path.buffer, path.len; flags */
    EPIO_KIND_FILE_LIST_XATTRS,    /* path.buffer, path.len */
    EPIO_KIND_REMOVE_XATTR,        /* path.path, path.to; flags */
    EPIO_KIND_FILE_REMOVE_XATTR,   /* path.to */
    EPIO_KIND_FILE_SYSTEM_INFO, /* path.path, path.buffer: an epio_file_system of path.len bytes */
    EPIO_KIND_NAME_TEMPORARY,   /* op->file; path.path; flags */
    EPIO_KIND_TEMPORARY_DIRECTORY, /* path.path: the parent or NULL; path.buffer, path.len */
    EPIO_KIND_SYNC_DIRECTORY,      /* path.path */
    EPIO_KIND_WALK,                /* a walk's own: no other VFS sees it */
    EPIO_KIND_APPEND,              /* io.base, io.len; its result is the offset */
    EPIO_KIND_ALLOCATE,            /* io.offset, io.len; flags */
    EPIO_KIND_PUNCH_HOLE,          /* io.offset, io.len */
    EPIO_KIND_ZERO_RANGE,          /* io.offset, io.len; flags */
    EPIO_KIND_SEEK_DATA,           /* io.offset */
    EPIO_KIND_SEEK_HOLE,           /* io.offset */
    EPIO_KIND_ADVISE,              /* io.offset, io.len; flags: the advice */
    EPIO_KIND_COPY_RANGE,          /* copy: to op->file; its result may be less than copy.len, 0 at
                                      the end of copy.from; EPIO_ENOTSUP, as for a copy.from of
                                      another VFS: it is read and written */
    EPIO_KIND_LOCK_RANGE,          /* lock.start, lock.len, lock.level: EPIO_RANGE_...; flags */
    EPIO_KIND_UNLOCK_RANGE,        /* lock.start, lock.len; must not fail for lack of memory */
    EPIO_KIND_TEST_RANGE,          /* lock.start, lock.len, lock.level */
    EPIO_KIND_MAP,                 /* map.offset, map.len; flags: the access; sets map.mapping */
    EPIO_KIND_UNMAP,               /* map.mapping, which the VFS frees */
    EPIO_KIND_SYNC_MAPPING,        /* map.mapping, map.offset, map.len */
    EPIO_KIND_WATCH,               /* path.path; flags; sets op->file */
    EPIO_KIND_READ_EVENTS,         /* op->file; events.buffer, events.len */
    EPIO_KIND_TRASH,               /* path.path; flags */
    EPIO_KIND_LOAD,                /* procedures, made of other ops: no other VFS sees these */
    EPIO_KIND_SAVE,
    EPIO_KIND_SAVE_BEGIN,
    EPIO_KIND_SAVE_COMMIT,
    EPIO_KIND_SAVE_ABANDON,
    EPIO_KIND_COPY,
    EPIO_KIND_COPY_TREE,
    EPIO_KIND_REMOVE_TREE,
    EPIO_KIND_MOVE,
    EPIO_KIND_COUNT,

    /* From here up to 255: kinds of VFSes outside epio; arguments.words, in their own format. See
     * epio_op_prepare. */
    EPIO_KIND_USER = 128,
    EPIO_KIND_USER_OPENS = 240 /* those from here on open a file, as OPEN does: they set op->file */
};

/* "read" for EPIO_KIND_READ, and so on: the verb's name without epio_; "none" for
 * EPIO_KIND_NONE, "user" from EPIO_KIND_USER on, "?" for a number that is no kind. Static
 * strings, any thread. */
EPIO_API const char *epio_kind_name(uint32_t kind);

/* The path that the op's verb was given: of two the first, of epio_symlink that of the link; NULL:
 * it takes none. It is the caller's, who may have freed it once the op was done. For messages. Any
 * thread that may read the op's result. */
EPIO_API const char *epio_op_path(const epio_op *op);

typedef struct epio_vfs_methods {
    size_t size; /* sizeof(epio_vfs_methods) */
    const char *name;

    /* Accepts an op. Called by the owner of vfs->loop, with op->vfs == vfs.
     * May call epio_complete before it returns. Never blocks. */
    void (*submit)(epio_vfs *vfs, epio_op *op);

    /* Carries the op out, sets op->os_error and returns the result. Any thread, several at once.
     * Used by both epio_perform and epio_offload. */
    int64_t (*perform)(epio_vfs *vfs, epio_op *op);

    /* Requests that an op which this VFS holds (op->vfs == vfs) ends: complete it with
     * EPIO_ECANCELED if it waits, else do nothing. Not called for one that was deferred, offloaded
     * or parked: the core ends those itself. NULL if the VFS keeps no others. The owner. */
    void (*cancel)(epio_vfs *vfs, epio_op *op);

    /* Frees the VFS; NULL: it is not the user's to free. */
    void (*destroy)(epio_vfs *vfs);

    /* For epio_file_os_handle; NULL: -1. */
    intptr_t (*os_handle)(const epio_file *file);

    /* For epio_file_lock_level; NULL: EPIO_LOCK_NONE. Any thread. */
    uint32_t (*lock_level)(const epio_file *file);

    /* The time set by epio_alarm has come. NULL unless the VFS sets alarms. The owner. */
    void (*alarm)(epio_vfs *vfs, epio_op *op);

    /* Called for epio_resume. NULL unless the VFS calls that. The owner. */
    void (*resumed)(epio_vfs *vfs, epio_op *op);
} epio_vfs_methods;

typedef struct epio_frame epio_frame;

/* Embed it first in your own struct. */
struct epio_vfs {
    const epio_vfs_methods *methods;
    epio_loop *loop; /* where its ops complete; NULL: epio_perform alone */
};

/* Reads and writes wait for other programs, and offsets are ignored. */
#define EPIO_FILE_STREAM 1u

/* Its ops need only this machine's memory and disks, so they end soon: an idle loop may carry one
 * out on its own thread. */
#define EPIO_FILE_LOCAL 2u

/* A directory: it has no bytes, and is an epio_directory_vfs. */
#define EPIO_FILE_DIRECTORY 4u

/* A watch: it has events alone. */
#define EPIO_FILE_WATCH 8u

/* Its writes go to its end, whatever their offset: it was opened to append. */
#define EPIO_FILE_APPENDS 16u

/* Embed it first in your own struct. All but the first four are the core's. */
struct epio_file {
    epio_vfs *vfs;
    uint32_t flags;      /* EPIO_OPEN_READ and EPIO_OPEN_WRITE: how it is open */
    uint32_t attributes; /* EPIO_FILE_... */
    uint64_t medium; /* the device that its ops wait for, by a number of your choice: one that hangs
                        blocks only its own share of the workers; 0, from epio_file_init: unknown */

    /* Rarely changed fields, read by the threads that carry its ops out: apart from the owner's
     * counters below, so that those do not evict them from other caches. */
    uint32_t fast;     /* flags whose ops may take the fast path */
    uint32_t collects; /* atomic; its reads are batched */
    uint32_t flush_failed;
    int32_t flush_os_error;
    uint32_t chain_closes;    /* while a chain is checked: an earlier op of it closes the file */
    uint32_t writes_together; /* workers may carry out several of its writes at once; not changed
                                 once it is open */
    epio_op *close;
    uint64_t hold_until;
    uint64_t flush_took;

    size_t in_flight;
    size_t inbound;
    size_t waits; /* ops in flight that nothing else might end: of locks, of events */
    int32_t carried_error;
    int32_t carried_os_error;
    epio_node active;   /* among the loop's files that have ops in the lists below */
    epio_node waiting;  /* among the loop's files that wait for a flush */
    epio_node ordered;  /* writes, truncates and syncs in the order of submission */
    epio_node ready;    /* syncs whose writes have all been delivered */
    epio_node flushing; /* syncs that the flush in flight will complete */
    epio_node syncs;    /* all that have not ended, in the order of submission */
    size_t unreported;  /* those of them with an error to report */
    uint64_t flush_begun;
    epio_op flush;
    uint64_t checked_in; /* the iteration that last asked whether a flush can follow its writes */
    epio_vfs directory;  /* epio_directory_vfs */
    union {
        uintptr_t flush_note; /* atomic; shared with its mappings; 0: it had none */
        uint64_t space_of_note;
    };
    /* For later versions: your struct embeds this one at its present size. */
    uint64_t reserved[6 - sizeof(epio_vfs) / sizeof(uint64_t)];
};

/* Embed it first in your own struct, all zero but for the first three: what an epio_map makes. A
 * layer puts itself into `vfs` when the MAP returns, so that what is done with the mapping comes
 * through it, too. An UNMAP comes when no SYNC_MAPPING is in flight, and the mapping is gone
 * whatever its result. */
struct epio_mapping {
    epio_vfs *vfs;
    void *address;
    uint64_t len;

    /* The core's. */
    epio_op *unmap;        /* NULL: it is not being unmapped */
    void *flush_note;      /* what flushes of the file have come to */
    size_t in_flight;      /* atomic; SYNC_MAPPINGs */
    uint32_t chain_unmaps; /* while a chain is checked: an earlier op of it unmaps it */
    uint32_t attributes;   /* the file's */
    uint64_t reserved[2];
};

/* Fills the base of a file that an open or adopt is about to return. `flags` are the open's; only
 * READ and WRITE are kept. Any thread. */
EPIO_API void epio_file_init(epio_file *file, epio_vfs *vfs, uint32_t flags, uint32_t attributes);

/* The counterpart, before a close frees the file's memory. Any thread. */
EPIO_API void epio_file_release(epio_file *file);

/* The length of a read, a write or an append in bytes, vectored or not; 0 for other kinds: a copy
 * within its VFS needs no memory of the program. */
EPIO_API uint64_t epio_op_bytes(const epio_op *op);

/* Fills an op of a kind of your own, EPIO_KIND_USER to 255, and returns it, as a verb does: for
 * libraries that build their own verbs. Its VFS gets it by submit, perform and cancel, layers pass
 * it on, and links, deadlines and epio_offload (on the threads of epio_work) work as for any other.
 * op->arguments.words are the caller's, to be set after this call; they are not cleared. With a
 * file, which may be NULL, it is an op of that file: a close waits for it, and `vfs` is NULL or the
 * file's. One from EPIO_KIND_USER_OPENS on has none before: op->file is its result. EPIO_EINVAL
 * once it is run: a kind below EPIO_KIND_USER, neither VFS nor file, a file of another VFS, a file
 * with a kind that opens one. Any thread. */
EPIO_API epio_op *epio_op_prepare(epio_op *op, epio_vfs *vfs, epio_file *file, uint32_t kind);

/* For structs of your own that begin with their size, as epio's do, so that they can grow. Copies
 * the caller's options to yours, a struct of `size` bytes: fields that the caller does not have are
 * 0. False: the caller's size is below `first`, or fields beyond `size`, which you do not know, are
 * not 0. Any thread. */
EPIO_API bool epio_options_take(void *options, size_t size, size_t first, const void *given);

/* The reverse: fills the caller's struct from a result of `size` bytes, and what is beyond that
 * with 0; the caller's size stays. False: that is below `first`, and nothing was done. Any
 * thread. */
EPIO_API bool epio_result_give(const void *result, size_t size, size_t first, void *given);

/* Lets epio_progress find an op that takes long. Embed it in what the op is made of. `read` fills
 * all but the size, on any thread, one call at a time and none after the withdrawal, which comes
 * before the op ends. It may lock a mutex of yours, under which nothing of epio's is called. Any
 * thread. */
typedef struct epio_progress_source {
    epio_node node;
    const epio_op *op;
    void (*read)(struct epio_progress_source *source, epio_progress_info *info);
} epio_progress_source;

EPIO_API void epio_progress_publish(epio_progress_source *source, const epio_op *op,
                                    void (*read)(epio_progress_source *source,
                                                 epio_progress_info *info));
EPIO_API void epio_progress_withdraw(epio_progress_source *source);

/* Ends the process as epio's own programming errors do, with "epio: FUNCTION: MESSAGE"; see
 * epio_set_fatal_handler. Does not return. Any thread. */
EPIO_NORETURN EPIO_API void epio_fatal(const char *function, const char *message);

/* True if the op was submitted, false inside epio_perform. */
EPIO_API bool epio_op_in_flight(const epio_op *op);

/* A result that no user sees: the op could not be carried out yet, and is retried at op->due, from
 * the topmost VFS. Until then it has no frames and holds nothing, and a cancel or its deadline ends
 * it. */
#define EPIO_RETRY (-1000)

/* Lets another VFS perform the op, with another file: for a layer's `perform`. Restores op->vfs and
 * op->file afterwards, except the file that an open or adopt returned. */
EPIO_API int64_t epio_perform_on(epio_op *op, epio_vfs *vfs, epio_file *file);

#if EPIO_ASYNC

/* Ends an op, which is the core's again from here on. Set op->os_error before. Any thread. */
EPIO_API void epio_complete(epio_op *op, int64_t result);

/* Says when another thread will probably end the op, on the monotonic clock: a loop that has
 * nothing else to do looks for it then, or in a millisecond if that is earlier, and until then
 * epio_complete does not wake it, which would cost that thread some microseconds. For ops that end
 * soon and often: one may be found some tens of microseconds late. The owner, before that thread
 * may end it. */
EPIO_API void epio_expect(epio_op *op, uint64_t at);

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

/* Lets the loop call vfs->submit(op->vfs, op) again in its next iteration: for a VFS whose budget
 * for this one is spent. The owner. */
EPIO_API void epio_defer(epio_op *op);

/* Lets the owner call vfs->resumed(op->vfs, op). Any thread; at most one
 * at a time for an op, which must not be completed before that call. */
EPIO_API void epio_resume(epio_op *op);

/* A layer's record on an op that it passed on, in the layer's own memory. */
struct epio_frame {
    epio_frame *below;
    epio_vfs *vfs;
    epio_file *file;

    /* The op returned: op->result is set, op->vfs and op->file are what they were at
     * epio_frame_push (but an open's file is the new one). True: the op returns further up, perhaps
     * with another result. False: it was sent again, by epio_forward. The frame is the layer's
     * again. The owner. */
    bool (*returned)(epio_frame *frame, epio_op *op);
};

/* Saves op->vfs and op->file in the frame, which is the core's until `returned`. The owner. */
EPIO_API void epio_frame_push(epio_op *op, epio_frame *frame);

/* Passes an op on to another VFS, with another file. An op that was cancelled ends here instead.
 * The owner. */
EPIO_API void epio_forward(epio_op *op, epio_vfs *vfs, epio_file *file);

#endif /* EPIO_ASYNC */

#ifdef __cplusplus
}
#endif

#endif
