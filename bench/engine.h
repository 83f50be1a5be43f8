/* Workloads, and the engines that are compared on them.
 *
 * A workload says what is done again and again; a target is the file that all
 * engines of a comparison do it to; a queue chooses what comes next, checks what
 * came back and keeps the time, the same way for all. So an engine, one file
 * engine_<name>.c, is left with its own way to carry operations out. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "bench.h"
#include "histogram.h"

#include <stdatomic.h>
#include <string.h>

/* ---- Workloads --------------------------------------------------------- */

typedef enum bench_kind {
    BENCH_READ,      /* random blocks, each checked */
    BENCH_OVERWRITE, /* random blocks of a file that exists fully */
    BENCH_APPEND     /* a block at the end, and wait until it is on the medium */
} bench_kind;

typedef struct bench_workload {
    const char *name;
    bench_kind kind;
    bool direct; /* past the page cache */
    uint32_t size;
    uint32_t depth;  /* most in flight; of appends: so many tasks, each with one */
    uint64_t blocks; /* of `size` bytes, in all files; a power of two; appends: 0 */
} bench_workload;

/* ---- Targets ----------------------------------------------------------- */

#define BENCH_MOST_FILES 1024u

/* Files that nobody else sees and that are gone when they are closed. Block N is
 * in the file N % count, and begins with its number. */
typedef struct bench_target {
    const bench_workload *workload;
    size_t count;
    epio_file **files; /* of epio_os_vfs */
} bench_target;

/* Makes the files in the folder of the options: filled, on the medium and, unless
 * past it, in the page cache. 0 or an error; closing works after both. */
int bench_target_open(bench_target *target, const bench_options *options,
                      const bench_workload *workload, size_t count);
void bench_target_close(bench_target *target);

/* Before a turn of appends: nothing is in the files, and nothing of an earlier turn
 * is left for the medium to do. Leaves other targets alone. */
int bench_target_empty(const bench_target *target);

/* After overwrites: every block still begins with its number. */
int bench_target_check(const bench_target *target);

/* The system's handle of the only file of a target. */
intptr_t bench_target_handle(const bench_target *target);

/* ---- Queues ------------------------------------------------------------ */

/* What a turn did. */
typedef struct bench_sample {
    uint64_t operations;
    uint64_t nanoseconds;
    uint64_t cpu_nanoseconds;   /* 0: was spent in this process */
    bench_histogram *latencies; /* NULL: operations are not timed one by one */
} bench_sample;

/* A place in a queue: one operation in flight, or none. */
typedef struct bench_slot {
    unsigned char *buffer; /* aligned as going past the page cache needs it */
    uint64_t number;       /* of the block */
    uint64_t begun;
} bench_slot;

typedef struct bench_queue {
    const bench_target *target;
    const bench_workload *workload;
    bench_slot *slots;
    size_t slot_count;
    uint64_t state;              /* of the order of blocks */
    _Atomic(uint64_t) *appended; /* blocks so far in this turn; may be shared */
    _Atomic(uint64_t) own_appended;
    void *memory;

    /* Of the turn. */
    bench_sample *sample;
    uint64_t began;
    uint64_t until;
    uint64_t looked; /* at the clock */
    uint32_t looks_in;
    uint32_t looks_after;
    int error; /* the first */
} bench_queue;

/* A queue with so many slots. 0 or EPIO_ENOMEM; closing works after both. */
int bench_queue_open(bench_queue *queue, const bench_target *target, size_t slots);
void bench_queue_close(bench_queue *queue);

/* Begins a turn that is to last about so long. */
void bench_queue_begin(bench_queue *queue, uint64_t nanoseconds, bench_sample *sample);

/* Chooses the slot's next operation. False: there is none, the turn is to end. */
bool bench_queue_next(bench_queue *queue, bench_slot *slot);

/* The slot's operation ended: with as many bytes as a block has, or else with an
 * error. */
void bench_queue_finish(bench_queue *queue, const bench_slot *slot, int64_t result);

/* Ends the turn, in which nothing may be in flight any more: 0 or its error. */
int bench_queue_end(bench_queue *queue);

/* Lets the turn end early. */
void bench_queue_fail(bench_queue *queue, int64_t error);

/* Where the slot's block is: the target's file of this index, and in it. */
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

/* The next block to work on, in an order that is the same for all engines.
 * `blocks` is a power of two. */
uint64_t bench_block_next(uint64_t *state, uint64_t blocks);

/* Blocks differ in their first bytes only; what follows is of no interest. */
static inline void bench_block_mark(void *block, uint64_t number)
{
    memcpy(block, &number, sizeof number);
}

static inline bool bench_block_is(const void *block, uint64_t number)
{
    return memcmp(block, &number, sizeof number) == 0;
}

/* `bytes` of memory, of which *aligned may be read to and written from past the
 * page cache; free() it. NULL: none is left. */
void *bench_aligned_memory(size_t bytes, unsigned char **aligned);

/* ---- Engines ----------------------------------------------------------- */

/* How an epio loop does buffered writes and flushes. */
typedef enum bench_mode {
    BENCH_NO_MODE,     /* not epio */
    BENCH_ALONE,       /* a loop that waits alone, and does itself what it would hand over */
    BENCH_HANDED_OVER, /* a second thread has used the loop once: workers do it */
    BENCH_INLINE       /* inline_writes: submit does it */
} bench_mode;

/* "alone" and the like; "" for none. */
const char *bench_mode_name(bench_mode mode);

/* What an engine is opened for. The last ones matter to epio's alone. */
typedef struct bench_setup {
    const bench_options *options;
    const bench_target *target;
    const char *backend;
    bench_mode mode;
    bool layers;   /* two of them, over the loop's VFS */
    bool together; /* appends: write and sync are submitted in one go */
} bench_setup;

/* What an engine is to the others that it is compared with. */
#define BENCH_ROLE_BLOCKING 0x01u    /* a loop of blocking calls, on one thread */
#define BENCH_ROLE_NOWAIT 0x02u      /* the same by the call that reads only what is cached */
#define BENCH_ROLE_THREADS 0x04u     /* blocking calls on several threads */
#define BENCH_ROLE_PEER 0x08u        /* asynchronous, driven by one thread */
#define BENCH_ROLE_IDEAL 0x10u       /* cannot be had by independent tasks */
#define BENCH_ROLE_PLAIN 0x20u       /* the same engine without layers */
#define BENCH_ROLE_UNDISTURBED 0x40u /* the same engine with nothing beside */
#define BENCH_ROLE_SINGLE 0x80u      /* the same engine with one in flight */

typedef struct bench_engine {
    const char *name;
    uint32_t roles;
    bool timed;          /* each operation of its turns, not those of a part that does not count */
    bool leaves_threads; /* in its process: see apart.c */

    /* 0 and *context; EPIO_ENOTSUP: this workload is not for it; or an error. What
     * *context is then, unless NULL, is closed all the same. */
    int (*open)(const bench_setup *setup, void **context);

    /* Works for about so long, and says how much it did: 0 or an error. */
    int (*run)(void *context, uint64_t nanoseconds, bench_sample *sample);

    void (*close)(void *context);
} bench_engine;

/* The same three functions, for an engine that leaves threads. */
int bench_apart_open(const bench_engine *engine, const bench_setup *setup, void **context);
int bench_apart_run(void *context, uint64_t nanoseconds, bench_sample *sample);
void bench_apart_close(void *context);

/* Those that do without epio and were found when this was built; NULL last. */
extern const bench_engine *const bench_rivals[];
extern const bench_engine bench_engine_threads;
extern const bench_engine bench_engine_ideal;

extern const bench_engine bench_engine_epio;

/* epio's reads one at a time, without and with a large write and a sync of it beside
 * them on the same loop, for as long as that takes. */
extern const bench_engine bench_engine_reads_alone;
extern const bench_engine bench_engine_reads_beside_write;

/* ---- epio's part ------------------------------------------------------- */

/* A loop that works in this way. NULL: the default back end. */
int bench_loop_create(const char *backend, bench_mode mode, epio_loop **loop);

/* The target's file of this index as one of `vfs`. */
int bench_file_adopt(const bench_target *target, size_t index, epio_vfs *vfs, epio_file **file);

/* Closes it; NULL is ignored. */
void bench_file_close(epio_file *file);

/* Opens a temporary file in the folder of the options; `flags` are further ones of
 * epio_open. */
int bench_file_open(const bench_options *options, epio_vfs *vfs, uint32_t flags, epio_file **file);

#define BENCH_MOST_BACKENDS 4

/* Fills `names` with the back ends to measure: the one of the options or of the
 * environment, else all that work here but `poll` where there is a better one.
 * Returns how many. */
size_t bench_backends(const bench_options *options, const char *names[BENCH_MOST_BACKENDS]);

#endif
