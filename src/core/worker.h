/* A worker: a thread of a lane. It runs the `perform` of the VFS that holds the op and posts the op
 * back. Threads start when there is work and end when there was none for a while.
 *
 * A system call on a dead mount may never return. So a lane does not count a thread whose op takes
 * too long (it is overdue), and starts another in its place; and an op on a path is carried out on
 * the thread's own copy, so that the owner can write the thread off and return the op to its
 * caller. */
#ifndef EPIO_WORKER_H
#define EPIO_WORKER_H

#include "core/lane.h"

typedef struct epio__worker {
    epio__lane *lane;
    epio__thread thread;
    epio_node node; /* among the lane's `threads`, or `ended` */
    epio__spin spin;
    epio_op *op;    /* the op of its copy, in progress; NULL: none, or written off */
    uintptr_t file; /* atomic; the epio_file that it works on, for lanes with one thread per file */
    uintptr_t seen_at; /* `file` when the present search of the lane began, or since `blocks` */
    uint64_t medium;   /* the medium of that file; 0: none, or unknown */
    uint64_t ops;      /* started so far: shows whether it still carries out the same one */
    uint64_t ops_seen; /* at the last check */
    bool performing;
    bool flushes;     /* for the lane of writes, and so at no file */
    bool may_hang;    /* in the kernel: the op is of the OS VFS */
    bool overdue;     /* not counted in lane->running */
    bool opens;       /* the op that it copied is an open */
    bool written_off; /* its op was returned to the caller */
    bool blocks;      /* an op in the lane's `aside` waits for its end */
    bool has_spun;    /* or decided not to, since its latest op: no second spin */
    bool orphaned;    /* written off, and its loop was destroyed meanwhile */

    /* The thread's own copy of an op on a path, and of its names. */
    epio_op copy;
    char *names;
    uint64_t room;
    epio_file *directory; /* where its path begins, a handle of its own; NULL: nowhere */
} epio__worker;

static inline epio__worker *epio__worker_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio__worker, node);
}

/* Starts one more thread: false if there is no room or no memory for one. The mutex is held. */
bool epio__worker_start(epio__lane *lane);

/* Ends the lane's threads and waits for them, except those that were written off. */
void epio__worker_join_all(epio__lane *lane);

#endif
