/* Worker threads: the one door for what has no asynchronous form. Each lane has
 * a queue and threads of its own, so that one kind of work never holds up
 * another; and what hangs in the kernel never holds up the rest of its lane. */
#ifndef EPIO_WORKERS_H
#define EPIO_WORKERS_H

#include "core/spin.h"

#define EPIO__LANES 7
/* Of a lane, while none hangs. */
#define EPIO__LANE_THREADS 16

typedef struct epio__lane {
    struct epio__workers *workers;
    epio__mutex mutex; /* guards the rest */
    epio__condition work;
    epio__condition watch; /* see watch_lane */
    epio_node queue;
    uint32_t queued;      /* its length */
    epio_node behind;     /* what cannot begin before one of the threads that block it ends */
    epio_node threads;    /* those that run */
    epio_node left;       /* those that ended, to be joined */
    uint32_t limit;       /* of threads that perform at once, but for the overdue */
    uint32_t running;     /* threads that are not overdue */
    uint32_t performing;  /* those of them that carry out an op */
    uint32_t overdue;     /* threads that have been at one op for long, or for nobody */
    uint32_t idle;        /* threads that sleep */
    uint32_t signalled;   /* idle threads that are about to look */
    uint32_t starting;    /* new threads that are about to look */
    uint32_t returning;   /* atomic; threads about to look again after an op that is no write */
    uint32_t flushing;    /* threads of the lane of writes that are at a flush */
    uint32_t spinning;    /* threads that will see `announced` change */
    uint32_t handed_over; /* how often there was something */
    uint32_t looked;      /* how often a thread has looked again after a write */
    uint64_t patience;    /* how long a thread may be at one op before it is overdue */
    bool hangs;           /* its ops may hang in the kernel, and are the system's, not the user's */
    bool one_per_file;    /* no two threads at one file */
    bool spins;           /* its ops are short and follow one another */
    bool watched;         /* a thread looks out for those that are overdue */
    bool searched_in_vain; /* the last look at the queue met too much that waits for files */
    bool lacks_thread;     /* the system gave none for what is in the queue */
    bool stopping;
    char apart[64];     /* what threads look at while they spin is in nobody's way */
    uint32_t announced; /* atomic; handed_over, once the mutex was free again */
    char from_here[64];
} epio__lane;

typedef struct epio__workers {
    epio_loop *loop;
    bool several_processors; /* the owner and a worker can be at it at once */
    uint32_t writes_ended;   /* atomic, written by the owner: by threads */
    uint32_t late_opens;     /* atomic; threads at an open that nobody waits for any more */
    uint32_t lacks_threads;  /* atomic; some lane does, and the owner knows or is told */
    uint32_t references;     /* atomic; the loop's own, and such threads after its end */
    epio__lane lanes[EPIO__LANES];
} epio__workers;

/* `most`: threads that read at once, are at paths, or run the functions of epio_work. */
void epio__workers_init(epio_loop *loop, uint32_t most);
/* Waits for the threads to leave, but for those that were written off; nothing may be
 * queued. */
void epio__workers_stop(epio__workers *workers);
/* The owner needs the loop no more. Its memory goes now, or with the last thread that
 * was written off. */
void epio__workers_release(epio__workers *workers);

/* Gives the workers what the loop has collected for them. Where no thread can
 * be started the ops end with EPIO_ENOMEM. */
void epio__workers_hand_over(epio_loop *loop);

/* Once in a while, if some lane could start no thread for what waits: it may wait for those
 * that hang. */
void epio__workers_try_again(epio_loop *loop);

typedef enum epio__take_back {
    EPIO__TAKE_BACK_NOT_THERE, /* it was neither offloaded nor deferred */
    EPIO__TAKE_BACK_DONE,      /* nobody has begun it, and nobody will */
    EPIO__TAKE_BACK_TOO_LATE   /* a worker is at it: its fields are the worker's */
} epio__take_back;

/* Takes an op back from wherever epio_offload or epio_defer brought it. */
epio__take_back epio__workers_take_back(epio_op *op);

/* May an op that it is too late to take back be written off, once the thread has had
 * some time to finish it? */
bool epio__workers_may_write_off(const epio_op *op);

/* The owner will do so once op->due, which this sets, has come. */
void epio__workers_expect(epio_op *op);

/* Leaves the thread alone with its own copy of the op: true, and the op is the
 * caller's; what the thread brings it disposes of. False: it has just ended the op. */
bool epio__workers_write_off(epio_op *op);

/* A worker has ended it, and the owner knows. */
void epio__workers_came_back(epio_op *op);

/* Carries out one collected op on the owner's thread instead. */
void epio__workers_perform_one(epio_loop *loop);

/* Those that have not left, idle ones too. */
uint32_t epio__workers_count_threads(epio__workers *workers);

/* Would the owner, with nothing else to do, be as quick as a worker? */
bool epio__workers_owner_may_perform(const epio_loop *loop);

#endif
