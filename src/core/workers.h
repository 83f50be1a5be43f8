/* Worker threads, for all that has no asynchronous form: what the owner may_spin of them. Each lane
 * (lane.h) has a queue and threads (worker.h) of its own, so that one kind of work never holds up
 * another; and what hangs in the kernel never holds up the rest of its lane. */
#ifndef EPIO_WORKERS_H
#define EPIO_WORKERS_H

#include "core/lane.h"

typedef struct epio__workers {
    epio_loop *loop;
    bool several_processors; /* the owner and a worker can run at once */
    uint32_t late_opens;     /* atomic; threads that carry out an open that was written off */
    uint32_t lacks_threads;  /* atomic; some lane does, and the owner knows or is being notified */
    uint32_t references;     /* atomic; the loop's own, and such threads after its end */
    epio__lane lanes[EPIO__LANES];
} epio__workers;

/* `most`: limit of threads that read, carry out path ops, or run functions of epio_work. */
void epio__workers_init(epio_loop *loop, uint32_t most);
/* Waits for the threads to end, except those that were written off; nothing may be queued. */
void epio__workers_stop(epio__workers *workers);
/* The owner does not need the loop any more. Its memory is freed now, or with the last thread that
 * was written off. */
void epio__workers_release(epio__workers *workers);

/* Offloads loop->to_offload to the workers. If no thread can be started the ops end with
 * EPIO_ENOMEM. */
void epio__workers_offload(epio_loop *loop);

/* Retries after some time if a lane could start no thread for its queue, which may wait for threads
 * that hang. */
void epio__workers_retry(epio_loop *loop);

typedef enum epio__take_back {
    EPIO__TAKE_BACK_NOT_THERE, /* it was neither offloaded nor deferred */
    EPIO__TAKE_BACK_DONE,      /* it has not started, and will not */
    EPIO__TAKE_BACK_TOO_LATE   /* a worker carries it out: its fields are the worker's */
} epio__take_back;

/* Takes an op back that epio_offload or epio_defer queued. */
epio__take_back epio__workers_take_back(epio_op *op);

/* May an op that is too late to take back be written off, after its thread had some time to finish
 * it? */
bool epio__workers_may_write_off(const epio_op *op);

/* Sets op->due to when the owner will do so. */
void epio__workers_expect(epio_op *op);

/* Leaves the thread to its own copy of the op: true, and the op is the caller's; the thread
 * disposes of its result. False: the thread has just ended the op. */
bool epio__workers_write_off(epio_op *op);

/* The owner collects an op that a worker has ended. */
void epio__workers_collect(epio_op *op);

/* Removes an op from loop->to_offload, for another route. */
void epio__workers_take_unoffloaded(epio_op *op);

/* Carries out one op of loop->to_offload on the owner's thread instead. */
void epio__workers_perform_one(epio_loop *loop);

/* Threads that have not ended, including idle ones. */
uint32_t epio__workers_count_threads(epio__workers *workers);

/* Would an idle owner be as quick as a worker? */
bool epio__workers_owner_may_perform(const epio_loop *loop);

#endif
