/* For tests of an operation's life: a loop with few workers, a VFS whose gate
 * keeps ops on their workers, ops of every kind, and ops that wait for
 * something that does not come. */
#ifndef EPIO_TEST_LIFE_H
#define EPIO_TEST_LIFE_H

#include "support.h"

#include <epio/vfs.h>

#if EPIO_ASYNC

#define MICROSECOND UINT64_C(1000)
#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* Long enough to say that something did not happen, on a slow machine too. */
#define HOUR (3600 * SECOND)

/* ---- Ops that are watched ------------------------------------------------ */

/* An op whose `done` counts its calls and compares what it sees. */
typedef struct tracked {
    epio_op op; /* its `user` is this */
    int calls;
    int64_t result;                    /* as `done` saw it */
    void (*then)(struct tracked *one); /* called by `done`; NULL: nothing */
    void *user;
} tracked;

/* Zeroes it and gives it its `done`. Returns &one->op, for a verb. */
epio_op *track(tracked *one);

/* ---- A loop and its gate ------------------------------------------------- */

typedef struct life {
    fixture *f;
    epio_loop *loop; /* one worker reads, one works */
    epio_vfs *os;    /* its VFS */
    epio_vfs *gate;  /* over it: all that takes a worker goes through a gate */
    epio_file *file; /* of `gate`, 4096 bytes of pattern */
    epio_file *other[3];
    char buffer[4096];
    const char *names[16]; /* of life_path, and */
    const char *paths[16];
} life;

void life_begin(life *one, fixture *f);

/* Everything must be closed and at its end. */
void life_end(life *one);

/* fixture_path, which remembers: a test may ask as often as it likes. */
const char *life_path(life *one, const char *name);

/* A file in the test's directory, made if it is not there, opened on `vfs`. */
epio_file *life_open(life *one, epio_vfs *vfs, const char *name);
void life_close(epio_file *file);

/* A stream that nobody else reads or writes, opened on `vfs`: a FIFO of that name,
 * or where there are none a pipe, whose other end is *other. */
epio_file *life_open_stream(life *one, epio_vfs *vfs, const char *name, intptr_t *other);
/* NO_HANDLE: there is no other end. */
void life_close_stream(epio_file *file, intptr_t other);

/* While the gate is shut whoever comes to it waits there, on its worker. */
void gate_shut(life *one);
void gate_open(life *one);
/* Ops that wait at the gate now. */
uint32_t gate_waiting(life *one);

/* Runs the loop until so many wait at the gate; the test fails if they do not. */
void life_run_until_waiting(life *one, uint32_t count);

/* Runs the loop until the op was delivered; the test fails if it takes above
 * five seconds. */
void life_run_until_done(life *one, tracked *op);

/* Runs the loop for so long. */
void life_run_for(life *one, uint64_t nanoseconds);

/* Runs the loop until nothing is in flight. */
void life_run_out(life *one);

/* Who cancels. */
typedef enum who { BY_OWNER, BY_THREAD, FROM_DONE, WHO_COUNT } who;

extern const char *const who_names[WHO_COUNT];

/* Cancels the op; FROM_DONE runs the loop for the call. */
void life_cancel(life *one, who by, epio_op *op);

/* Submits the op from another thread, which is gone when this returns. */
void submit_elsewhere(epio_op *op);

uint64_t now_ns(void);

/* ---- One op of each kind ------------------------------------------------- */

/* The workers that carry out a kind. */
typedef enum lane {
    LANE_READ,
    LANE_WRITE,
    LANE_FLUSH,
    LANE_LOCK,
    LANE_PATH,
    LANE_CLOSE,
    LANE_WORK
} lane;

typedef struct life_kind {
    const char *name;
    lane lane;
    int64_t success;
    bool cannot_be_cancelled; /* close */
    bool ends_at_once;        /* sync: cancelled while the flush goes on */
    void (*prepare)(life *one, epio_op *op);
    /* After the delivery: undoes what is left, and checks it. */
    void (*clear)(life *one, epio_op *op);
} life_kind;

extern const life_kind life_kinds[];
extern const size_t life_kind_count;

/* Takes every worker of the lane to the shut gate. */
typedef struct fillers {
    tracked ops[4];
    uint32_t count;
} fillers;

void fillers_submit(life *one, fillers *all, lane which);
/* The same without waiting until they are there: how many there will be. */
uint32_t fillers_start(life *one, fillers *all, lane which);
/* Opens the gate and sees them off. */
void fillers_finish(life *one, fillers *all);

/* ---- Ops that wait ------------------------------------------------------- */

typedef struct life_wait {
    const char *name;
    /* Prepares `op` so that it will wait, submitting others if need be. */
    void (*begin)(life *one, epio_op *op);
    /* After the delivery: nothing else was disturbed. */
    void (*check_others)(void);
    /* Undoes what `begin` made. */
    void (*end)(life *one, epio_op *op);
} life_wait;

extern const life_wait life_waits[];
extern const size_t life_wait_count;

#endif

#endif
