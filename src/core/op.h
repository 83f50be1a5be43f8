/* The state of an operation, as the core's files share it: the states that any thread may read, and
 * the owner's flags. Its phases are phase.h's. docs/architecture.md draws both. */
#ifndef EPIO_CORE_OP_H
#define EPIO_CORE_OP_H

#include "atomics.h"
#include "core/phase.h"
#include "kinds.h"
#include "list.h"
#include "platform.h"

/* op->state: who may touch the op. The high half tells an op from memory that
 * was never zeroed. */
enum {
    EPIO__STATE_ZEROED = 0,
    EPIO__STATE_PREPARED = 0x45700001,   /* a verb filled it */
    EPIO__STATE_FAST_READ = 0x45700011,  /* likewise, and it may take the fast path */
    EPIO__STATE_FAST_WRITE = 0x45700021, /* of fast_path.c */
    EPIO__STATE_LINKED = 0x45700002,     /* follows another that was not submitted yet */
    EPIO__STATE_IN_FLIGHT = 0x45700004,
    EPIO__STATE_DONE = 0x45700008, /* delivered or performed: the caller's again */

    /* With IN_FLIGHT: */
    EPIO__STATE_CANCELLING = 0x100, /* on the loop's list of cancels, or about to be */
    EPIO__STATE_WAITED_FOR = 0x200, /* op->waiter is set */
    EPIO__STATE_EXTRAS = EPIO__STATE_CANCELLING | EPIO__STATE_WAITED_FOR
};

/* op->message: why it is in the inbox. */
enum { EPIO__MESSAGE_SUBMITTED, EPIO__MESSAGE_COMPLETED, EPIO__MESSAGE_RESUMED };

/* op->fast: whether the op is on the fast path: no link, no deadline, no error, no thread but the
 * owner's. A read is from its verb on, a write once it was carried
 * out at once; neither is once a VFS has kept the op beyond its submit. The owner's. */
enum {
    EPIO__FAST_NOT,
    EPIO__FAST,
    EPIO__FAST_IN_VFS,        /* within the submit of its VFS */
    EPIO__FAST_THROUGH_LAYERS /* ended, and its frames are still on it */
};

/* op->state_flags. Set by the verb and the submitter, then the owner's. */
enum {
    EPIO__FLAG_INVALID = 0x01,      /* an argument is wrong: EPIO_EINVAL once submitted */
    EPIO__FLAG_CANCEL = 0x02,       /* it was cancelled, or its deadline passed */
    EPIO__FLAG_EXPIRED = 0x04,      /* its deadline passed */
    EPIO__FLAG_LINK_ALWAYS = 0x08,  /* the next follows in any case */
    EPIO__FLAG_INTERNAL = 0x10,     /* a flush of the core's own */
    EPIO__FLAG_CLOSED = 0x20,       /* a close that reached its VFS: the file is gone */
    EPIO__FLAG_UNREFERENCED = 0x40, /* it does not keep epio_loop_run going */
    EPIO__FLAG_LATE = 0x80          /* its deadline has passed, and is waited for no more */
};

/* op->due_for: what happens at op->due, unless the deadline comes first. The owner's; a worker that
 * carries the op out reads it under its lane's mutex. */
enum {
    EPIO__DUE_NOTHING,
    EPIO__DUE_END,       /* parked: it ends, with op->outcome */
    EPIO__DUE_RETRY,     /* parked: its VFS gets it again */
    EPIO__DUE_ALARM,     /* held: its VFS's `alarm` is called */
    EPIO__DUE_WRITE_OFF, /* held: its worker is written off, whatever the deadline */
    EPIO__DUE_FLUSH      /* a file's own flush, held back: it may start */
};

/* op->chain: what happened to the ops linked before it. The owner's. */
enum { EPIO__CHAIN_BROKEN = 0x01 /* one of them failed */ };

/* op->worker_state: where an op is that a VFS offloaded or deferred. */
enum {
    EPIO__WORKER_NONE,
    EPIO__WORKER_DEFERRED,   /* for the next iteration */
    EPIO__WORKER_TO_OFFLOAD, /* for the workers, at the end of the iteration */
    EPIO__WORKER_TAKEN,      /* a worker carries it out */
    EPIO__WORKER_QUEUED /* plus the lane: in its queue; plus EPIO__LANES: in its `aside`. This and
                           TAKEN under the lane's mutex */
};

/* op->route: who carried it out, for epio_loop_get_stats. The owner's; unused for an op that is
 * EPIO__FAST to its end, which is AT_ONCE. */
enum {
    EPIO__ROUTE_NONE,
    EPIO__ROUTE_AT_ONCE,
    EPIO__ROUTE_BACKEND,
    EPIO__ROUTE_WORKER,
    EPIO__ROUTE_OWNER, /* instead of a worker */
    EPIO__ROUTES
};

/* Replaces file->close in a file that was released. */
extern epio_op epio__released;

/* Does the file's memory say that it is closed? It is kept for some time after the close. */
static inline bool epio__file_is_released(const epio_file *file)
{
    return file->close == &epio__released;
}

/* Aborts if the VFS's methods are not those of any version. */
void epio__vfs_check(const epio_vfs *vfs, const char *function);

/* Aborts if the file is NULL or closed. */
void epio__file_check(const epio_file *file, const char *function);

/* The monotonic time `timeout` from now; EPIO_FOREVER stays what it is. */
static inline uint64_t epio__deadline_after(uint64_t timeout)
{
    uint64_t now = epio__monotonic_time();
    return timeout > UINT64_MAX - now ? EPIO_FOREVER : now + timeout;
}

#if EPIO_ASYNC

/* An op that waited in a VFS continues: its further route counts. */
static inline void epio__op_waits_no_more(epio_op *op)
{
    if (op->route == EPIO__ROUTE_NONE) {
        op->route = EPIO__ROUTE_AT_ONCE;
    }
}

/* After a VFS's submit: if it kept the op, the op did not end at once. */
static inline void epio__op_note_if_kept(epio_op *op)
{
    if (op->phase == EPIO__PHASE_HELD && op->route == EPIO__ROUTE_AT_ONCE &&
        op->worker_state == EPIO__WORKER_NONE) {
        op->route = EPIO__ROUTE_NONE;
    }
}

/* Inline, as every read may go through epio's own layers: epio_frame_push, */
static inline void epio__frame_push(epio_op *op, epio_frame *frame)
{
    frame->vfs = op->vfs;
    frame->file = op->file;
    frame->below = op->frames;
    op->frames = frame;
}

/* and epio_forward, short for an op without cancel or alarm. */
static inline void epio__forward(epio_op *op, epio_vfs *vfs, epio_file *file)
{
    if ((op->state_flags & EPIO__FLAG_CANCEL) != 0 || op->due_for != EPIO__DUE_NOTHING) {
        epio_forward(op, vfs, file);
        return;
    }
    op->progress = 0;
    op->vfs = vfs;
    op->file = file;
    vfs->methods->submit(vfs, op);
}

#endif

/* Has it ops in flight, which an epio_perform of its close would not wait for? */
bool epio__file_is_busy(const epio_file *file);

/* The sum of their lengths, UINT64_MAX if it overflows; 0 for NULL. */
uint64_t epio__bytes_of_parts(const epio_iovec *parts, uint64_t count);

static inline bool epio__state_is_prepared(uint32_t state)
{
    return state == EPIO__STATE_PREPARED || state == EPIO__STATE_FAST_READ ||
           state == EPIO__STATE_FAST_WRITE;
}

/* An op must have been prepared by a verb and not yet be used: aborts if not. */
void epio__op_check_prepared(const epio_op *op, const char *function);
/* Aborts if the op is about a file that was closed since. */
void epio__op_check_open(const epio_op *op, const char *function);

#endif
