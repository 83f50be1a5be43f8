/* SQLite's file locks and locks on ranges: those held on one inode, and the ops that wait for them.
 *
 * A lock node is shared by the files of one inode in this process; each has a holder of its own in
 * it. Other processes see a holder by its byte-range locks, which are the platform's; a holder
 * without them (in memory) excludes only others of this process. The creator of a node decides
 * which files share it. */
#ifndef EPIO_LOCK_H
#define EPIO_LOCK_H

#include "platform.h"

typedef struct epio__lock_holder epio__lock_holder;

typedef struct epio__lock_node {
    epio__mutex mutex;         /* guards the rest, and the holders */
    epio_node holders;         /* those of a level above NONE */
    size_t holder_count;       /* as many */
    epio__lock_holder *writer; /* the one above SHARED; NULL: none */
    epio_node range_holders;   /* those of a range, which may be among `holders`, too */
    epio_node waiting;         /* lock ops: of those that hold a part first, then as they came */
    uint64_t weakened_start;   /* bytes that a later op has made shared, for the next grant; */
    uint64_t weakened_end;     /* none if both are equal */
} epio__lock_node;

struct epio__lock_holder {
    epio__lock_node *node;
    const epio_file *file;
    const epio__os_file *bytes; /* NULL: other processes cannot see it */
    bool reserved;              /* it has the byte of RESERVED */
    uint32_t unlocks;           /* how often its level was lowered */
    size_t performers;          /* atomic; threads that may wait inside epio__lock_perform */
    uint32_t level;             /* atomic for readers without the mutex */
    epio_node holding;          /* in node->holders */
    epio_node ranges;           /* its epio__locked_range */
    epio_node spares;           /* those that it had, for the next */
    epio_node holding_ranges;   /* in node->range_holders */
    epio_node later;            /* its lock ops behind others of its own */

    struct epio__range_unlocks *range_unlocks; /* the latest; NULL: not recorded */
};

/* A lock op that may wait. */
static inline bool epio__lock_is_request(const epio_op *op)
{
    return op->kind == EPIO_KIND_LOCK || op->kind == EPIO_KIND_LOCK_RANGE;
}

static inline bool epio__lock_is_unlock(const epio_op *op)
{
    return op->kind == EPIO_KIND_UNLOCK || op->kind == EPIO_KIND_UNLOCK_RANGE;
}

/* No file has a level or a range. With the mutex. */
bool epio__lock_node_is_free(const epio__lock_node *node);

void epio__lock_node_init(epio__lock_node *node);
void epio__lock_node_destroy(epio__lock_node *node);

/* `bytes`: NULL, or the file that has the ranges, which is `file`. */
void epio__lock_holder_init(epio__lock_holder *holder, epio__lock_node *node, const epio_file *file,
                            const epio__os_file *bytes);

uint32_t epio__lock_level_of(const epio__lock_holder *holder);

/* Carries such an op out on this thread, waiting if its flags ask for that; for one in flight,
 * which must not block a worker, EPIO_RETRY instead. */
int64_t epio__lock_perform(epio__lock_holder *holder, epio_op *op);

/* Releases all that the holder has, and ends its waiting ops, before its file is closed: when this
 * returns no thread uses the holder. */
void epio__lock_release_all(epio__lock_holder *holder);

#if EPIO_ASYNC

/* The methods of a VFS whose files have holders, for its EPIO_KIND_LOCK and EPIO_KIND_LOCK_RANGE:
 * completes the op, now or when it gets its lock. */
void epio__lock_submit(epio__lock_holder *holder, epio_op *op);
void epio__lock_resumed(epio_op *op);
void epio__lock_alarm(epio_op *op);
void epio__lock_cancel(epio_op *op);

#endif

#endif
