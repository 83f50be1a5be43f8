/* SQLite's file locks: what files hold of one inode, and who waits for it.
 *
 * A lock node is what the files of one inode in this process have in common; each
 * has a holder of its own in it. The bytes by which other processes see a holder
 * are the platform's; a holder without them (in memory) has only this process to
 * agree with. Which files share a node is left to whoever makes it. */
#ifndef EPIO_LOCK_H
#define EPIO_LOCK_H

#include "platform.h"

typedef struct epio__lock_holder epio__lock_holder;

typedef struct epio__lock_node {
    epio__mutex mutex;         /* guards the rest, and the holders */
    epio_node holders;         /* those above NONE */
    size_t holder_count;       /* as many */
    epio__lock_holder *writer; /* the one above SHARED; NULL: none */
    epio_node waiting;         /* lock ops: upgrades first, then as they came */
} epio__lock_node;

struct epio__lock_holder {
    epio__lock_node *node;
    const epio_file *file;
    const epio__os_file *bytes; /* NULL: nobody outside this process can see it */
    bool reserved;              /* it has the byte of RESERVED */
    uint32_t unlocks;           /* how often it was unlocked */
    size_t performers;          /* atomic; threads inside epio__lock_perform */
    uint32_t level;             /* atomic for those who only look */
    epio_node holding;          /* in node->holders */
    epio_op *request;           /* its lock op in node->waiting; NULL: none */
    epio_node later;            /* its lock ops behind that one */
};

void epio__lock_node_init(epio__lock_node *node);
void epio__lock_node_destroy(epio__lock_node *node);

/* `bytes`: NULL, or the file that has the ranges, which is `file`. */
void epio__lock_holder_init(epio__lock_holder *holder, epio__lock_node *node, const epio_file *file,
                            const epio__os_file *bytes);

uint32_t epio__lock_level_of(const epio__lock_holder *holder);

/* Carries such an op out on this thread, waiting if it asks for that; for one in
 * flight, which must not keep a worker waiting, EPIO_RETRY instead. */
int64_t epio__lock_perform(epio__lock_holder *holder, epio_op *op);

/* Gives up all that the holder has, and ends what waits for it, before its file
 * goes: when this returns nobody has anything to do with it. */
void epio__lock_release_all(epio__lock_holder *holder);

#if EPIO_ASYNC

/* The methods of a VFS whose files have holders, for its EPIO_KIND_LOCK: completes
 * the op, now or when it gets its lock. */
void epio__lock_submit(epio__lock_holder *holder, epio_op *op);
void epio__lock_resumed(epio_op *op);
void epio__lock_alarm(epio_op *op);
void epio__lock_cancel(epio_op *op);

#endif

#endif
