/* Worker threads: the one door for what has no asynchronous form. Each lane has
 * a queue and threads of its own, so that one kind of work never holds up
 * another. */
#ifndef EPIO_WORKERS_H
#define EPIO_WORKERS_H

#include "core/spin.h"

#define EPIO__LANES 6
#define EPIO__LANE_THREADS 16

typedef struct epio__worker {
    struct epio__lane *lane;
    epio__thread thread;
    const epio_file *file; /* what it is at */
    epio__spin spin;
    uint32_t state;
} epio__worker;

typedef struct epio__lane {
    epio__mutex mutex; /* guards the rest */
    epio__condition work;
    epio_node queue;
    uint32_t limit; /* of threads */
    uint32_t idle;
    uint32_t signalled;   /* idle threads that are about to look */
    uint32_t flushing;    /* threads of the lane of writes that are at a flush */
    uint32_t spinning;    /* threads that will see `handed_over` change */
    uint32_t handed_over; /* atomic, written under the mutex: how often there was something */
    bool one_per_file;    /* no two threads at one file */
    bool spins;           /* its ops are short and follow one another */
    bool stopping;
    epio__worker workers[EPIO__LANE_THREADS];
} epio__lane;

typedef struct epio__workers {
    bool several_processors; /* the owner and a worker can be at it at once */
    epio__lane lanes[EPIO__LANES];
} epio__workers;

void epio__workers_init(epio__workers *workers, uint32_t readers);
/* Waits for the threads to leave; nothing may be queued. */
void epio__workers_destroy(epio__workers *workers);

/* Gives the workers what the loop has collected for them. Where no thread can
 * be started the ops end with EPIO_ENOMEM. */
void epio__workers_hand_over(epio_loop *loop);

typedef enum epio__take_back {
    EPIO__TAKE_BACK_NOT_THERE, /* it was neither offloaded nor deferred */
    EPIO__TAKE_BACK_DONE,      /* nobody has begun it, and nobody will */
    EPIO__TAKE_BACK_TOO_LATE   /* a worker is at it: its fields are the worker's */
} epio__take_back;

/* Takes an op back from wherever epio_offload or epio_defer brought it. */
epio__take_back epio__workers_take_back(epio_op *op);

/* A worker has ended it, and the owner knows. */
void epio__workers_came_back(epio_op *op);

/* Carries out one collected op on the owner's thread instead. */
void epio__workers_perform_one(epio_loop *loop);

/* Those that have not left, idle ones too. */
uint32_t epio__workers_count_threads(epio__workers *workers);

/* Would the owner, with nothing else to do, be as quick as a worker? */
bool epio__workers_owner_may_perform(const epio_loop *loop);

#endif
