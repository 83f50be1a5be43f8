/* Workloads, and the engines that are compared on them.
 *
 * A workload says which operation is repeated; a target is the file that all engines of a
 * comparison use; a queue chooses the next operation, checks the results and keeps the time, the
 * same for all. So an engine, methods in a file engine_<name>.c and its line in engines.c, only
 * carries operations out. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "bench.h"
#include "histogram.h"

#include <stdatomic.h>
#include <string.h>

typedef struct bench_engine bench_engine;
typedef struct bench_methods bench_methods;

/* ---- Workloads --------------------------------------------------------- */

typedef enum bench_kind {
    BENCH_READ,      /* random blocks, each checked */
    BENCH_OVERWRITE, /* random blocks of a file that exists fully */
    BENCH_MIX,       /* both: seven reads for three overwrites */
    BENCH_APPEND     /* a block at the end, then wait until it is on the medium */
} bench_kind;

typedef struct bench_workload {
    const char *name;
    bench_kind kind;
    bool direct; /* bypasses the page cache */
    uint32_t size;
    uint32_t depth;  /* most in flight; for appends: the number of tasks, each with one */
    uint64_t blocks; /* of `size` bytes, in all files; a power of two; appends: 0 */
} bench_workload;

/* ---- Targets ----------------------------------------------------------- */

#define BENCH_MOST_FILES 1024u

/* Files without a name, deleted when they are closed. Block N is in the file N % count, and
 * begins with its number. */
typedef struct bench_target {
    const bench_workload *workload;
    size_t count;
    epio_file **files; /* of epio_os_vfs */
} bench_target;

/* Creates the files in the directory of the options: filled, on the medium and, unless they
 * bypass it, in the page cache. 0 or an error; closing works after both. */
int bench_target_open(bench_target *target, const bench_options *options,
                      const bench_workload *workload, size_t count);
void bench_target_close(bench_target *target);

/* Before a turn of appends: empties the files, and waits until the medium has nothing left to do
 * for an earlier turn. Does nothing to other targets. */
int bench_target_empty(const bench_target *target);

/* After overwrites: every block still begins with its number. */
int bench_target_check(const bench_target *target);

/* The OS handle of a target's only file. */
intptr_t bench_target_handle(const bench_target *target);

/* What an engine is opened with. */
typedef struct bench_setup {
    const bench_options *options;
    const bench_engine *engine;
    const char *backend; /* NULL: not epio */
    const bench_target *target;
    uint64_t depth; /* most in flight; 0: the workload's */
    uint32_t roles; /* in addition to the engine's */
    size_t slots;   /* of its queue, at least the depth; 0: the depth */
    uint32_t bytes; /* of a block that an operation transfers; 0: all */
} bench_setup;

/* ---- Queues ------------------------------------------------------------ */

/* The plan of a turn, and its results. */
typedef struct bench_turn {
    uint64_t nanoseconds;       /* planned length, approximately */
    uint64_t depth;             /* most in flight */
    bench_histogram *latencies; /* NULL: operations are not timed one by one */
    uint64_t operations;
    uint64_t elapsed; /* nanoseconds */
    uint64_t cpu;     /* nanoseconds; 0: spent in this process */
} bench_turn;

/* A slot of a queue: one operation in flight, or none. */
typedef struct bench_slot {
    unsigned char *buffer; /* aligned for direct I/O */
    uint64_t number;       /* of the block */
    uint64_t begun;
    bool writes;   /* the block, else reads it */
    bool flushing; /* an append has been written, and is being flushed */
} bench_slot;

typedef struct bench_queue {
    const bench_methods *methods;
    const bench_target *target;
    const bench_workload *workload;
    uint32_t bytes; /* of one operation */
    bench_slot *slots;
    size_t slot_count;
    /* If fewer are in flight than there are slots, the slots are used in rotation, so that the
     * processor's caches have the same effect at all depths: a ring of idle slots. */
    uint32_t *idle;
    size_t first_idle;
    size_t idle_count;
    uint64_t state;              /* generates the order of blocks */
    _Atomic(uint64_t) *appended; /* blocks so far in this turn; may be shared */
    _Atomic(uint64_t) own_appended;
    void *memory;

    /* Of the turn. */
    bench_turn *turn;
    uint64_t began;
    uint64_t until;
    uint64_t clock;       /* last value read */
    uint64_t until_clock; /* operations until it is read again */
    uint32_t clock_interval;
    bool over; /* nothing more may start */
    int error; /* the first */
} bench_queue;

/* 0 or EPIO_ENOMEM; closing works after both. */
int bench_queue_open(bench_queue *queue, const bench_setup *setup);
void bench_queue_close(bench_queue *queue);

/* Runs a turn of an engine that has the methods start and wait. */
int bench_queue_run(bench_queue *queue, bench_turn *turn);

/* Such an engine has completed what `start` or `flush` began: bytes, or an error. Goes on with
 * the slot: flushes what it appended, or starts the next operation. */
void bench_queue_done(bench_queue *queue, bench_slot *slot, int64_t result);

/* The same step by step, for engines with a loop of their own. Next: chooses the slot's next
 * operation; false: there is none, the turn is to end. Finish: it ended, with all its bytes or
 * else with an error. End: nothing is in flight any more; 0 or the turn's error. */
void bench_queue_begin(bench_queue *queue, bench_turn *turn);
bool bench_queue_next(bench_queue *queue, bench_slot *slot);
void bench_queue_finish(bench_queue *queue, const bench_slot *slot, int64_t result);
int bench_queue_end(bench_queue *queue);

/* Ends the turn early. */
void bench_queue_fail(bench_queue *queue, int64_t error);

/* Location of the slot's block: the index of the target's file, and the offset in it. */
static inline size_t bench_slot_file(const bench_queue *queue, const bench_slot *slot)
{
    size_t count = queue->target->count;

    return count == 1 ? 0 : (size_t)(slot->number % count);
}

static inline uint64_t bench_slot_offset(const bench_queue *queue, const bench_slot *slot)
{
    size_t count = queue->target->count;

    return (count == 1 ? slot->number : slot->number / count) * queue->workload->size;
}

/* The next block to work on, in an order that is the same for all engines. `blocks` is a power of
 * two. */
uint64_t bench_block_next(uint64_t *state, uint64_t blocks);

/* Only the first bytes of a block matter; the rest is not checked. */
static inline void bench_block_mark(void *block, uint64_t number)
{
    memcpy(block, &number, sizeof number);
}

static inline bool bench_block_is(const void *block, uint64_t number)
{
    return memcmp(block, &number, sizeof number) == 0;
}

/* `bytes` of memory, at *aligned usable for direct I/O; free() it. NULL: out of memory. */
void *bench_aligned_memory(size_t bytes, unsigned char **aligned);

/* ---- Engines ----------------------------------------------------------- */

/* How an epio loop does buffered writes and flushes. */
typedef enum bench_mode {
    BENCH_NO_MODE,     /* not epio */
    BENCH_ALONE,       /* a loop that waits alone, and runs ops that it would offload */
    BENCH_HANDED_OVER, /* a second thread has used the loop once: workers run them */
    BENCH_INLINE       /* inline_writes: submit runs them */
} bench_mode;

/* "alone" etc.; "" for none. */
const char *bench_mode_name(bench_mode mode);

/* The methods of an engine. Its context begins with its queue. */
struct bench_methods {
    size_t size;         /* of the context */
    bool leaves_threads; /* leaves threads in its process: see instance.c */

    /* Opens the rest of the context: 0; EPIO_ENOTSUP: not possible with it; or an error. It is
     * closed after each of them. */
    int (*open)(void *context, const bench_setup *setup);
    void (*close)(void *context);

    /* Runs a turn: 0 or an error. NULL: bench_queue_run, with the other three. */
    int (*run)(void *context, bench_turn *turn);

    /* Start the slot's transfer, and the flush of what it appended; wait until no slot is in
     * flight: 0 or an error. */
    void (*start)(bench_queue *queue, bench_slot *slot);
    void (*flush)(bench_queue *queue, bench_slot *slot);
    int (*wait)(bench_queue *queue);
};

/* What an engine is to the others in a comparison. */
#define BENCH_ROLE_BLOCKING 0x01u    /* a loop of blocking calls, on one thread */
#define BENCH_ROLE_NOWAIT 0x02u      /* the same with the call that reads only cached data */
#define BENCH_ROLE_THREADS 0x04u     /* blocking calls on several threads */
#define BENCH_ROLE_PEER 0x08u        /* asynchronous, driven by one thread */
#define BENCH_ROLE_IDEAL 0x10u       /* impossible for independent tasks */
#define BENCH_ROLE_PLAIN 0x20u       /* the same engine without layers */
#define BENCH_ROLE_UNDISTURBED 0x40u /* the same engine without other load */
#define BENCH_ROLE_SINGLE 0x80u      /* the same engine with one in flight */

/* The comparisons that it takes part in. */
#define BENCH_PEERS 0x1u   /* of what a program would use without epio */
#define BENCH_LAYERS 0x2u  /* of epio with and without layers */
#define BENCH_BESIDE 0x4u  /* of epio with and without a long write in flight */
#define BENCH_DURABLE 0x8u /* of several forms of appending */

/* What it can do. */
#define BENCH_CACHED_READS 0x1u
#define BENCH_DIRECT_READS 0x2u
#define BENCH_OVERWRITES 0x4u
#define BENCH_APPENDS 0x8u
#define BENCH_DIRECT_WRITES 0x10u /* and mixes */
#define BENCH_ALL_WORK 0x1fu

/* How it differs from engines with the same methods. */
#define BENCH_WITH_NOWAIT 0x01u     /* the call that reads only cached data */
#define BENCH_WITH_REGISTERED 0x02u /* file and buffers */
#define BENCH_WITH_LAYERS 0x04u     /* two of them, over the loop's VFS */
#define BENCH_WITH_TOGETHER 0x08u   /* write and sync are submitted together */
#define BENCH_WITH_WRITE 0x10u      /* a long one and its sync in flight, which end the turn */
#define BENCH_WITH_TIMES 0x20u      /* of each operation, including those that count for the rate */
#define BENCH_WITH_POLLS 0x40u      /* each result by a `done` from epio_loop_poll */

struct bench_engine {
    const char *name;
    const bench_methods *methods;
    uint32_t comparisons;
    uint32_t work;
    uint32_t roles;
    uint32_t with;
    bench_mode mode; /* without a mode it has no backend either */
};

#define BENCH_MOST_CANDIDATES 32u

/* Fills in the engines of a comparison that can do the workload, first those without a backend,
 * then those of each. `backend` NULL: all backends. Returns how many. */
size_t bench_engines_choose(const bench_options *options, const bench_workload *workload,
                            uint32_t comparison, const char *backend,
                            bench_setup setups[BENCH_MOST_CANDIDATES]);

/* epio's engine for all workloads. */
const bench_engine *bench_engine_epio(bench_mode mode);

/* An open engine. */
typedef struct bench_instance {
    bench_setup setup;
    void *context;                 /* NULL: it is opened in child processes */
    struct bench_account *account; /* of child processes */
} bench_instance;

/* 0; EPIO_ENOTSUP: not possible with it; or an error. Closing works after all. */
int bench_engine_open(bench_instance *instance, const bench_setup *setup);
int bench_engine_run(bench_instance *instance, bench_turn *turn);
void bench_engine_close(bench_instance *instance);

/* The same without child processes. */
int bench_context_open(void **context, const bench_setup *setup);
int bench_context_run(void *context, bench_turn *turn);
void bench_context_close(void *context);

/* ---- For epio's engine ------------------------------------------------- */

/* A loop in this mode. NULL: the default backend. */
int bench_loop_create(const char *backend, bench_mode mode, epio_loop **loop);

/* Adopts the target's file of this index into `vfs`. */
int bench_file_adopt(const bench_target *target, size_t index, epio_vfs *vfs, epio_file **file);

/* Closes it; NULL is ignored. */
void bench_file_close(epio_file *file);

/* Opens a temporary file in the directory of the options; `flags` are added to those of
 * epio_open. */
int bench_file_open(const bench_options *options, epio_vfs *vfs, uint32_t flags, epio_file **file);

#define BENCH_MOST_BACKENDS 4

/* Fills `names` with the backends to measure: the one of the options or of the environment, else
 * all that work here except `poll` where there is a better one. Returns how many. */
size_t bench_backends(const bench_options *options, const char *names[BENCH_MOST_BACKENDS]);

#endif
