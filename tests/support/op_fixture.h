/* The fixture of tests of ops in every state: a loop with few workers, a VFS whose gate blocks
 * ops on their workers, an op of each kind, and ops that wait for an event that never comes. */
#ifndef EPIO_TEST_OP_FIXTURE_H
#define EPIO_TEST_OP_FIXTURE_H

#include "support.h"

#include <epio/vfs.h>

#if EPIO_ASYNC

#define MICROSECOND UINT64_C(1000)
#define SECOND UINT64_C(1000000000)

/* Longer than any test takes: a timeout that must not expire. */
#define HOUR (3600 * SECOND)

/* ---- A loop and its gate ------------------------------------------------- */

typedef struct op_fixture {
    fixture *f;
    epio_loop *loop; /* with one worker per lane */
    epio_vfs *os;    /* its VFS */
    epio_vfs *gate;  /* over it: blocks workers in its `perform` */
    epio_file *file; /* of `gate`, 4096 bytes of pattern_fill */
    epio_file *other[3];
    char buffer[4096];
} op_fixture;

void op_fixture_setup(op_fixture *one, fixture *f);

/* All other files must be closed, and nothing in flight. */
void op_fixture_teardown(op_fixture *one);

/* Opens or creates a file in the test's directory on `vfs`. */
epio_file *op_fixture_open(op_fixture *one, epio_vfs *vfs, const char *name);
void op_fixture_close(epio_file *file);

/* Opens a stream without reader and writer on `vfs`: a FIFO of that name, or on systems without
 * FIFOs a pipe, whose other end is *other. */
epio_file *op_fixture_open_stream(op_fixture *one, epio_vfs *vfs, const char *name,
                                  intptr_t *other);
/* NO_HANDLE: there is no other end. */
void op_fixture_close_stream(epio_file *file, intptr_t other);

/* While the gate is shut, ops block their workers in it. */
void gate_shut(op_fixture *one);
void gate_open(op_fixture *one);
/* Ops that are blocked in it now. */
uint32_t gate_waiting(op_fixture *one);

/* Runs the loop until `count` ops are blocked; fails after a timeout. */
void op_fixture_run_until_waiting(op_fixture *one, uint32_t count);

/* Runs the loop until the op is delivered; fails after a timeout. */
void op_fixture_run_until_done(op_fixture *one, tracked *op);

/* Runs the loop for that time. */
void op_fixture_run_for(op_fixture *one, uint64_t nanoseconds);

/* Runs the loop until nothing is in flight. */
void op_fixture_drain(op_fixture *one);

/* From where an op is cancelled. */
typedef enum cancel_origin { BY_OWNER, BY_THREAD, FROM_DONE, CANCEL_ORIGINS } cancel_origin;

extern const char *const cancel_origin_names[CANCEL_ORIGINS];

/* Cancels the op; FROM_DONE polls the loop for that. */
void op_fixture_cancel(op_fixture *one, cancel_origin by, epio_op *op);

/* Submits the op from another thread, which has ended when this returns. */
void submit_elsewhere(epio_op *op);

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
    bool ends_at_once;        /* sync: a cancel does not wait for the flush */
    void (*prepare)(op_fixture *one, epio_op *op);
    /* After the delivery: checks the effects and undoes them. */
    void (*clear)(op_fixture *one, epio_op *op);
} op_kind;

extern const op_kind op_kinds[];
extern const size_t op_kind_count;

/* Ops that occupy every worker of a lane at the shut gate. */
typedef struct fillers {
    tracked ops[4];
    uint32_t count;
} fillers;

void fillers_submit(op_fixture *one, fillers *all, lane which);
/* The same without waiting for them; returns how many will be blocked. */
uint32_t fillers_start(op_fixture *one, fillers *all, lane which);
/* Opens the gate and waits for their delivery. */
void fillers_finish(op_fixture *one, fillers *all);

/* ---- Ops that wait ------------------------------------------------------- */

typedef struct wait_case {
    const char *name;
    /* Prepares `op` so that it will wait, and submits others if needed. */
    void (*begin)(op_fixture *one, epio_op *op);
    /* After the delivery: checks that other ops are unaffected. */
    void (*check_others)(void);
    /* Undoes what `begin` made. */
    void (*end)(op_fixture *one, epio_op *op);
} wait_case;

extern const wait_case wait_cases[];
extern const size_t wait_case_count;

#endif

#endif
