/* The loop as the core's files share it. Fields without a word about threads belong to the
 * owner. */
#ifndef EPIO_LOOP_H
#define EPIO_LOOP_H

#include "core/loop_hooks.h"
#include "core/op.h"
#include "core/registered_memory.h"
#include "core/registry.h"
#include "core/workers.h"
#include "queue.h"

/* Only for epio_loop_get_stats: what cannot be derived. */
typedef struct epio__counters {
    size_t wakes;                  /* atomic; any thread */
    uint64_t routes[EPIO__ROUTES]; /* ops delivered; fast-path ones are left out */
    uint64_t in_place;
    uint64_t flushes;
    uint64_t syncs;
    uint64_t deferred;
    uint64_t batches;
    uint64_t sleeps;
} epio__counters;

/* Values of loop->owner that are no thread (epio__thread_self). */
enum {
    EPIO__OWNER_NONE,   /* detached */
    EPIO__OWNER_ENDED,  /* a thread that has ended */
    EPIO__OWNER_PARENT, /* a process from which this one was forked */
    EPIO__OWNERS
};

_Static_assert((uint32_t)EPIO__OWNERS <= EPIO__THREAD_NONE_BELOW, "no thread is one of them");

struct epio_loop {
    epio_vfs *resident; /* the VFS that lives here: epio_loop_vfs */
    const epio__loop_hooks *hooks;
    epio__entry entry;

    /* The backend, which waits for what is in flight. */
    const epio__backend *backend;
    void *backend_state;
    uint64_t pending_events; /* pending events: what the backend's poll could find without a wake */

    /* Any thread. */
    uintptr_t owner;      /* epio__thread_self of the owner, or EPIO__OWNER_... */
    uintptr_t fast_owner; /* the same, while the loop has a fast path */
    uintptr_t inbox;      /* last epio_op posted by another thread, linked by queue.next */
    uintptr_t cancels;    /* last epio_op cancelled by another thread, linked by cancel_next */
    size_t visitors;      /* calls of other threads that still touch the loop */
    size_t inbound;       /* ops submitted elsewhere that the owner has not seen */
    size_t in_flight;     /* ops that it has seen; written by the owner */
    size_t open_files;
    size_t mappings;     /* atomic */
    size_t unreferenced; /* those in in_flight that do not keep epio_loop_run going; the owner's */
    uint32_t sleeping;   /* atomic; EPIO__SLEEPING..., 0: awake */
    uint32_t woken;
    uint32_t stopping;
    uint32_t shared; /* a thread other than the owner has used the loop */

    epio__queue ready;          /* ended, not yet delivered */
    epio__queue due;            /* those of them that the current iteration delivers */
    epio__queue arrivals;       /* taken from the inbox, not yet handled */
    epio__queue collected;      /* reads for hooks->read_collected */
    epio_node deferred;         /* to be submitted again in the next iteration */
    epio_node to_offload;       /* for the workers, at the end of the iteration */
    epio_node held;             /* ops in flight that are in no list of a file */
    epio_node active_files;     /* files with writes or syncs in flight */
    epio_node flush_files;      /* those of them that wait for a flush to start */
    epio_op *timers;            /* earliest op of the heap */
    uint64_t user_timers;       /* timers other than those of held-back flushes */
    uint64_t to_offload_count;  /* ops in to_offload */
    uint64_t to_offload_writes; /* those of them that are writes */
    uint64_t collected_count;   /* ops in collected */
    uint64_t internal;          /* flushes of the core's own in flight */
    uint32_t flushes_behind;    /* those of them behind writes; EPIO__FLUSHES_BEHIND at most */
    uint64_t at_workers;        /* ops offloaded and not yet collected */
    uint64_t writes_at_workers; /* those of them that are writes */
    uint64_t retry_at;          /* when to retry starting threads; 0: never */
    epio__spin spin;            /* for writes at workers */
    epio__spin spin_posts;      /* for ops of other threads */
    uint64_t poll_budget;       /* of an embedded loop, in nanoseconds; EPIO_FOREVER: none */
    uint32_t worker_nice;       /* see epio_loop_options; 0: workers do not give way */
    int64_t bytes_left;         /* budget of this iteration on the owner's thread */
    uint64_t expected_at;       /* when to look for an op that was expected; 0: none is */
    uint64_t late_at;   /* when an embedded loop's poll has used up its time; EPIO_FOREVER: never */
    uint64_t delivered; /* ever */
    uint32_t depth;     /* nested iterations */
    uintptr_t iteration_at; /* where on the stack the innermost has its mark */
    bool closing;
    bool embedded;
    bool inline_writes;  /* the owner carries out buffered writes within their submit */
    bool iterates;       /* the loop runs, and will call hooks->thread_leaves */
    bool may_wait;       /* for a read: the loop is idle, so it may block */
    bool uses_slow_path; /* see epio__loop_use_slow_path */
    bool signalled;      /* the owner made the handle readable itself */
    bool took_posts;     /* other threads submitted ops since the last sleep */
    bool slept_in_vain;  /* the last light sleep for writes brought nothing */
    bool calls_host; /* epio_loop_on_ready is in use: a posted notification cannot be withdrawn */
    epio__counters counters;
    epio__registered registered;

    epio__workers workers;
};

/* Flushes that occupy a thread for writes at a time: the others are for other files. */
#define EPIO__FLUSHES_BEHIND 1u

/* In loop->sleeping: the owner waits, or will poll again only when woken; or it waits for a moment,
 * and what workers have completed need not wake it while more is to come. */
enum { EPIO__SLEEPING = 1, EPIO__SLEEPING_LIGHTLY = 2 };

/* ---- fast_path.c: the fast path, and the entry to the slow path ---- */

/* Delivers what is ready now, up to `max` ops; 0: no limit. */
void epio__loop_deliver(epio_loop *loop, uint32_t max);

/* From now on every op takes the slow path. */
void epio__loop_use_slow_path(epio_loop *loop);

/* May it take the fast path? `state`: FAST_READ or FAST_WRITE. */
static inline bool epio__op_is_fast(const epio_op *op, uint32_t state)
{
    return op != NULL && epio__load_u32(&op->state) == state && op->timeout_ns == 0 &&
           epio__load_relaxed_pointer(&op->loop->fast_owner) == epio__thread_self() &&
           op->file->close == NULL;
}

/* ---- op.c: from submission to delivery ---- */

/* The slow path of epio_submit, of epio_complete (the result is in op->outcome), and of the
 * delivery, in which a layer may send the op again. */
void epio__op_submit(epio_op *op);
void epio__op_complete(epio_op *op);
void epio__op_deliver(epio_loop *loop, epio_op *op);
/* Lists an op that did not end within its submit in loop->held, for a close of the loop, and starts
 * its deadline. */
void epio__op_keep(epio_loop *loop, epio_op *op);
/* A write that was carried out before it was submitted, and failed: it takes the slow path, as the
 * next sync must report it. */
void epio__op_fail_at_once(epio_op *op, int64_t result);
/* Returns an op with its op->result through its layers. False: one sent it again. */
bool epio__op_return(epio_loop *loop, epio_op *op);
/* The end of a delivery: the last access to the op is the call of its `done`. */
void epio__op_finish_delivery(epio_loop *loop, epio_op *op);

/* Starts an op that no link holds back any more. */
void epio__op_start(epio_loop *loop, epio_op *op);
/* Ends an op that has not started, or waits for a flush. */
void epio__op_end_early(epio_op *op, int64_t result);
/* Aborts unless a VFS has the op, to end it or hand it over. */
void epio__op_check_in_hand(const epio_op *op, const char *function);
/* Checks and prepares a chain that is being submitted. Returns its loop. */
epio_loop *epio__op_begin(epio_op *first, const char *function);
/* Then submits it, from any thread. `extras`: EPIO__STATE_WAITED_FOR or 0. */
void epio__op_launch(epio_loop *loop, epio_op *first, uint32_t extras, const char *function);
/* Handle an op from the inbox: submitted, completed or resumed by another thread. */
void epio__op_arrive(epio_loop *loop, epio_op *op);
void epio__op_come_back(epio_loop *loop, epio_op *op);
void epio__op_resume(epio_loop *loop, epio_op *op);
/* Gives it to its VFS. */
void epio__op_hold(epio_op *op);

/* ---- due.c ---- */

/* Fires the timers that are due; once a poll has used up its time the rest stays for the next. */
void epio__loop_fire_timers(epio_loop *loop);
void epio__op_start_deadline(epio_loop *loop, epio_op *op);
/* It waits for no time any more; the deadline stops, too. */
void epio__op_stop_due(epio_loop *loop, epio_op *op);
/* It waits for nothing but this time. */
void epio__op_park(epio_loop *loop, epio_op *op, uint8_t due_for, uint64_t due);

/* ---- cancel.c ---- */

/* A cancel or the deadline, on the owner's thread. */
void epio__op_cancel(epio_loop *loop, epio_op *op);
/* The same for one that has its cancel mark already. */
void epio__op_cancel_in_phase(epio_loop *loop, epio_op *op);
/* The file that its submitter named, above all layers. */
const epio_file *epio__op_file_as_submitted(const epio_op *op);
/* Cancels those of the file, or of all files and of none: NULL; in a list by `held`, */
void epio__op_cancel_list(epio_loop *loop, epio_node *list, const epio_file *file);
/* and in the lists of the loop itself. */
void epio__op_cancel_listed(epio_loop *loop, const epio_file *file);
/* Its deadline has passed. */
void epio__op_expire(epio_loop *loop, epio_op *op);
/* Writes off the worker that carries it out, whose time to finish is over. */
void epio__op_write_off(epio_op *op);

/* ---- wait.c ---- */

/* Passes the result to op->waiter of an op that is WAITED_FOR. */
void epio__waiter_notify(void *waiter, int64_t result);

/* ---- inbox.c ---- */

/* From another thread than the owner's. After these the op and its loop may be gone. */
void epio__inbox_post(epio_loop *loop, epio_op *op, uint8_t message);
/* A worker has carried it out. `more`: others wait for its thread. */
void epio__inbox_post_completed(epio_loop *loop, epio_op *op, bool more);
void epio__inbox_post_cancel(epio_loop *loop, epio_op *op);
/* Another thread than the owner uses the loop. */
void epio__loop_mark_shared(epio_loop *loop);
/* Takes what other threads posted; */
void epio__loop_drain(epio_loop *loop);
/* the same, but once a poll has used up its time the rest stays for the next; */
void epio__loop_drain_in_time(epio_loop *loop);
/* cancels alone. */
void epio__inbox_drain_cancels(epio_loop *loop);
/* Wakes the owner if it sleeps. Any thread. */
void epio__loop_notify(epio_loop *loop);

static inline bool epio__loop_is_owner(const epio_loop *loop)
{
    return epio__load_relaxed_pointer(&loop->owner) == epio__thread_self();
}

/* The loop has nothing to do. */
static inline bool epio__loop_is_quiet(const epio_loop *loop)
{
    return (epio__load_pointer(&loop->inbox) | epio__load_pointer(&loop->cancels)) == 0 &&
           loop->ready.first == NULL && loop->due.first == NULL && loop->collected.first == NULL &&
           loop->timers == NULL && epio_list_empty(&loop->to_offload) &&
           epio_list_empty(&loop->flush_files) && epio_list_empty(&loop->deferred) &&
           !loop->embedded && !loop->closing && loop->pending_events == 0;
}

/* And nothing is in flight that could soon change that. */
static inline bool epio__loop_is_alone(const epio_loop *loop)
{
    return epio__load_relaxed_size(&loop->in_flight) == 0 && loop->internal == 0 &&
           epio__load_relaxed_u32(&loop->shared) == 0;
}

/* The poll has used up its time. The clock is only read if there is a limit. */
static inline bool epio__loop_is_late(const epio_loop *loop)
{
    return loop->late_at != EPIO_FOREVER && epio__monotonic_time() >= loop->late_at;
}

/* Budget of an iteration on the owner's thread, in bytes of copying: less than a millisecond, as
 * user interfaces must not stall. */
#define EPIO__ITERATION_BYTES (INT64_C(3) << 20)

/* Fixed cost of an op, in bytes of copying. */
#define EPIO__OP_COST 4096u

/* The iteration's budget is spent. One op is always allowed, so that all make progress. */
static inline bool epio__loop_is_spent(const epio_loop *loop)
{
    return loop->bytes_left <= 0 ||
           (loop->bytes_left != EPIO__ITERATION_BYTES && epio__loop_is_late(loop));
}

/* Charges the budget for an op for which the owner copied `bytes`. */
static inline void epio__loop_charge(epio_loop *loop, uint64_t bytes)
{
    uint64_t most = (uint64_t)EPIO__ITERATION_BYTES;
    loop->bytes_left -= (int64_t)(bytes < most ? bytes : most) + EPIO__OP_COST;
}

/* Before an op is carried out by the owner. False: not in this iteration (epio_defer). */
static inline bool epio__loop_spend(epio_loop *loop, uint64_t bytes)
{
    bool may = !epio__loop_is_spent(loop);
    if (may) {
        epio__loop_charge(loop, bytes);
    }
    return may;
}

/* Collects a read of data that is probably in memory, within the iteration's budget: true, and
 * hooks->read_collected will carry it out. */
static inline bool epio__loop_collect(epio_loop *loop, const epio_file *file, epio_op *op)
{
    uint64_t bytes = op->arguments.io.len;
    if (epio__load_relaxed_u32(&file->collects) == 0 || bytes > EPIO__LARGE_COPY ||
        loop->bytes_left <= 0) {
        return false;
    }
    loop->bytes_left -= (int64_t)(bytes + EPIO__OP_COST);
    loop->collected_count++;
    epio__op_enter(op, EPIO__PHASE_COLLECTED);
    epio__queue_push(&loop->collected, op);
    return true;
}

/* The owner has made work for the loop, perhaps between two polls. */
static inline void epio__loop_notify_host(epio_loop *loop)
{
    if (loop->embedded) {
        epio__loop_notify(loop);
    }
}

/* ---- owner.c: ownership ---- */

/* Makes the calling thread the owner of a new loop; and ends the ownership. */
void epio__loop_claim(epio_loop *loop);
void epio__loop_disclaim(epio_loop *loop);

/* Aborts unless the calling thread may run the loop, and takes it if it was detached. `here`:
 * EPIO__STACK_ADDRESS of the public function that was called. */
void epio__loop_enter(epio_loop *loop, const char *function, uintptr_t here);
/* Aborts if the owner cannot run the loop any more: what is submitted would never complete. Any
 * thread. */
void epio__loop_check_lives(const epio_loop *loop, const char *function);
/* Aborts if the iteration around this call was left, or if calls are nested too deep. */
void epio__loop_check_nested(const epio_loop *loop, const char *function, uintptr_t here);

/* The value at loop->iteration_at while the iteration has not been left. */
static inline uintptr_t epio__iteration_mark(const epio_loop *loop)
{
    return (uintptr_t)loop ^ (uintptr_t)0x5475726eu;
}

/* Made by another process, from which this one was forked. NULL: no loop. */
static inline bool epio__loop_is_inherited(const epio_loop *loop)
{
    return loop != NULL && epio__load_relaxed_pointer(&loop->owner) == EPIO__OWNER_PARENT;
}

/* ---- loop.c ---- */

/* The loop's memory, all zero, is the start of a malloc block, which the core frees at the loop's
 * end. The caller sets the backend and the options. */
void epio__loop_init(epio_loop *loop, epio_vfs *resident, const epio__loop_hooks *hooks);
/* The calling thread owns it from now on. `workers`: see epio__workers_init. */
void epio__loop_begin(epio_loop *loop, uint32_t workers);

/* Arms the host, before an embedded loop returns and before a `done`, which may run the host's
 * loop: the handle is readable if there is something to do. */
void epio__loop_arm_host(epio_loop *loop);
/* Runs the loop until *done. */
void epio__loop_run_until(epio_loop *loop, const bool *done);

static inline epio_op *epio__op_of_held(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, held);
}

/* ---- barrier.c: syncs, flush errors, and what a close waits for ---- */

/* An op of a file was submitted: the file counts it. */
void epio__barrier_enter(epio_loop *loop, epio_op *op);
/* Starts a sync whose links have ended. */
void epio__barrier_start_sync(epio_op *op);
/* A sync ends before its flush: the others continue, and the next one gets the error that it has
 * not reported. */
void epio__barrier_withdraw_sync(epio_op *op);
/* Cancels every sync of the file. */
void epio__barrier_cancel_syncs(epio_loop *loop, epio_file *file);
/* Cancels every op of the file. */
void epio__barrier_cancel_all(epio_loop *loop, epio_file *file);
/* Starts a close whose links have ended. */
void epio__barrier_start_close(epio_loop *loop, epio_op *op);
/* An op of a file is being delivered, with op->result final. */
void epio__barrier_leave(epio_op *op);
/* At the end of an iteration: starts the flushes that are not held back. */
void epio__barrier_flush(epio_loop *loop);
/* Starts flushes for syncs behind writes of loop->to_offload: a worker carries out both in one go,
 * without a return to the owner between them. */
void epio__barrier_flush_behind(epio_loop *loop);
/* Was the op, a sync, started so? It must stay behind these writes. */
bool epio__barrier_flush_is_behind(const epio_op *op);
/* The core's own flush ended. */
void epio__barrier_flushed(epio_loop *loop, epio_op *op);

/* ---- timers.c: deadlines and sleeps, earliest first ---- */

void epio__timer_start(epio_loop *loop, epio_op *op);
void epio__timer_stop(epio_loop *loop, epio_op *op);
/* When the earliest timer is due; EPIO_FOREVER if there is none. */
uint64_t epio__timer_next(const epio_loop *loop);
/* Takes an op that is due; NULL: none. */
epio_op *epio__timer_take(epio_loop *loop, uint64_t now);

#endif
