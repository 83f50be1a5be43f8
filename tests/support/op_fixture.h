/* The fixture of tests of ops in every state: a loop with few workers, a VFS whose gate blocks
 * ops on their workers, an op of each kind, and ops that wait for an event that never comes. */
#ifndef EPIO_TEST_OP_FIXTURE_H
#define EPIO_TEST_OP_FIXTURE_H

#include "support.h"

#include <epio/vfs.h>

#if EPIO_ASYNC

#define MICROSECOND UINT64_C(1000)
#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* Long enough to say that something did not happen, on a slow machine too. */
#define HOUR (3600 * SECOND)

/* ---- A loop and its gate ------------------------------------------------- */

typedef struct op_fixture {
    fixture *f;
    epio_loop *loop; /* one worker reads, one works */
    epio_vfs *os;    /* its VFS */
    epio_vfs *gate;  /* over it: all that takes a worker goes through a gate */
    epio_file *file; /* of `gate`, 4096 bytes of pattern */
    epio_file *other[3];
    char buffer[4096];
} op_fixture;

void op_fixture_setup(op_fixture *one, fixture *f);

/* Everything must be closed and at its end. */
void op_fixture_teardown(op_fixture *one);

/* A file in the test's directory, made if it is not there, opened on `vfs`. */
epio_file *op_fixture_open(op_fixture *one, epio_vfs *vfs, const char *name);
void op_fixture_close(epio_file *file);

/* A stream that nobody else reads or writes, opened on `vfs`: a FIFO of that name,
 * or where there are none a pipe, whose other end is *other. */
epio_file *op_fixture_open_stream(op_fixture *one, epio_vfs *vfs, const char *name,
                                  intptr_t *other);
/* NO_HANDLE: there is no other end. */
void op_fixture_close_stream(epio_file *file, intptr_t other);

/* While the gate is shut whoever comes to it waits there, on its worker. */
void gate_shut(op_fixture *one);
void gate_open(op_fixture *one);
/* Ops that wait at the gate now. */
uint32_t gate_waiting(op_fixture *one);

/* Runs the loop until so many wait at the gate; the test fails if they do not. */
void op_fixture_run_until_waiting(op_fixture *one, uint32_t count);

/* Runs the loop until the op was delivered; the test fails if it takes above
 * five seconds. */
void op_fixture_run_until_done(op_fixture *one, tracked *op);

/* Runs the loop for so long. */
void op_fixture_run_for(op_fixture *one, uint64_t nanoseconds);

/* Runs the loop until nothing is in flight. */
void op_fixture_drain(op_fixture *one);

/* Who cancels. */
typedef enum cancel_origin { BY_OWNER, BY_THREAD, FROM_DONE, CANCEL_ORIGINS } cancel_origin;

extern const char *const cancel_origin_names[CANCEL_ORIGINS];

/* Cancels the op; FROM_DONE runs the loop for the call. */
void op_fixture_cancel(op_fixture *one, cancel_origin by, epio_op *op);

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

typedef struct op_kind {
    const char *name;
    lane lane;
    int64_t success;
    bool cannot_be_cancelled; /* close */
    bool ends_at_once;        /* sync: cancelled while the flush goes on */
    void (*prepare)(op_fixture *one, epio_op *op);
    /* After the delivery: undoes what is left, and checks it. */
    void (*clear)(op_fixture *one, epio_op *op);
} op_kind;

extern const op_kind op_kinds[];
extern const size_t op_kind_count;

/* Takes every worker of the lane to the shut gate. */
typedef struct fillers {
    tracked ops[4];
    uint32_t count;
} fillers;

void fillers_submit(op_fixture *one, fillers *all, lane which);
/* The same without waiting until they are there: how many there will be. */
uint32_t fillers_start(op_fixture *one, fillers *all, lane which);
/* Opens the gate and sees them off. */
void fillers_finish(op_fixture *one, fillers *all);

/* ---- Ops that wait ------------------------------------------------------- */

typedef struct wait_case {
    const char *name;
    /* Prepares `op` so that it will wait, submitting others if need be. */
    void (*begin)(op_fixture *one, epio_op *op);
    /* After the delivery: nothing else was disturbed. */
    void (*check_others)(void);
    /* Undoes what `begin` made. */
    void (*end)(op_fixture *one, epio_op *op);
} wait_case;

extern const wait_case wait_cases[];
extern const size_t wait_case_count;

#endif

#endif
