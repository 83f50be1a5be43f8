/* A lane: the queue of one kind of work, and which op of it may start next. Owns the queue, the
 * counts of its threads, and when a thread is woken. What a thread does is worker.h's, what the
 * owner asks for is workers.h's.
 *
 * All is guarded by the lane's mutex, which every function but the first two expects to be held. */
#ifndef EPIO_LANE_H
#define EPIO_LANE_H

#include "core/spin.h"

#define EPIO__LANES 8
/* Threads of a lane, while none hangs. */
#define EPIO__LANE_THREADS 16
/* How long an op on a path may take before its thread is overdue. */
#define EPIO__PATIENCE_WITH_PATHS_NS UINT64_C(5000000)

enum {
    EPIO__LANE_TRANSFER, /* reads, and writes that a file takes several of at a time */
    EPIO__LANE_WRITE,    /* buffered writes */
    EPIO__LANE_FLUSH,
    EPIO__LANE_LOCK,
    EPIO__LANE_PATH,
    EPIO__LANE_CLOSE, /* apart, so that a close never waits behind an open */
    EPIO__LANE_WORK,
    EPIO__LANE_LAYERED_WORK /* apart, since it may hold a permit that threads of the above wait for
                             */
};

struct epio__worker;
struct epio__workers;

typedef struct epio__lane {
    struct epio__workers *workers;
    epio__mutex mutex; /* guards the rest */
    epio__condition work;
    epio__condition watch; /* a thread that watches the others sleeps on it */
    epio_node queue;
    uint32_t queued;     /* its length */
    epio_node aside;     /* ops that wait for a thread that hangs */
    epio_node threads;   /* running threads */
    epio_node ended;     /* ended threads, to be joined */
    uint32_t limit;      /* of threads that perform at once, without overdue ones */
    uint32_t running;    /* threads that are not overdue */
    uint32_t performing; /* those of them that carry out an op */
    uint32_t overdue;    /* threads whose op takes too long or was written off */
    uint32_t idle;       /* threads that sleep */
    uint32_t signalled;  /* idle threads that are about to check the queue */
    uint32_t to_signal;  /* those of them that are woken once the mutex is free */
    uint32_t starting;   /* new threads that are about to check the queue */
    uint32_t
        returning; /* atomic; threads about to check the queue, not of one_per_file after an op */
    uint32_t flushing;      /* threads of the write lane that carry out a flush */
    uint32_t spinning;      /* threads that will see `announced` change */
    uint32_t queue_changes; /* how often ops were queued */
    uint64_t patience;      /* how long an op may take before its thread is overdue */
    bool hangs;             /* its ops may hang in the kernel; not so the user's functions */
    bool one_per_file;      /* at most one thread per file */
    bool spins;             /* its ops are short and follow one another */
    bool watched;           /* a thread watches for overdue ones */
    bool search_gave_up;    /* the last search did: too many ops wait for their files */
    bool lacks_thread;      /* no thread could be started for what is in the queue */
    bool stopping;
    char apart[64];     /* keeps the word that threads spin on in a cache line of its own */
    uint32_t announced; /* atomic; queue_changes, published after the mutex is free again */
    char from_here[64];
} epio__lane;

/* The lane that carries the op out: one of the above. */
uint32_t epio__lane_of(const epio_op *op);
/* What the op's file is on, as far as is known; 0: no file, or unknown. */
uint64_t epio__lane_medium_of(const epio_op *op);

void epio__lane_init(epio__lane *lane, struct epio__workers *workers, uint32_t which,
                     uint32_t most);
void epio__lane_destroy(epio__lane *lane);

/* Releases the mutex, then publishes what threads spin on and wakes those that sleep, as they lock
 * it next. Notifies the owner if no thread could be started, so that it retries. */
void epio__lane_unlock(epio__lane *lane);
/* Wakes who is to be woken, before a wait that releases the mutex by itself. */
void epio__lane_signal(epio__lane *lane);

/* The next op that may start; NULL: none was found. Sets aside what waits for a thread that
 * hangs. */
epio_op *epio__lane_next_op(epio__lane *lane);
/* All that was set aside is searched again, before what came later. */
void epio__lane_bring_back_aside(epio__lane *lane);
/* Takes all that is queued or aside, if the lane has no thread and gets none. */
void epio__lane_take_unserved(epio__lane *lane, epio_node *queue);

/* The queue changed: wakes or starts as many threads as it needs. */
void epio__lane_wake(epio__lane *lane);
/* How many may perform at once, without the overdue. */
uint32_t epio__lane_limit(const epio__lane *lane);
/* Threads that have ended their op and will check the queue next. */
uint32_t epio__lane_about_to_check(const epio__lane *lane);
/* Is a thread in the kernel that may not return? */
bool epio__lane_may_hang(const epio__lane *lane);
/* The thread is not counted any more, so that another may start in its place. */
void epio__lane_mark_overdue(epio__lane *lane, struct epio__worker *worker);
/* The thread that works on the file; NULL: none. */
struct epio__worker *epio__lane_worker_at_file(const epio__lane *lane, const epio_file *file);

#endif
