/* The operating system as a VFS. */
#ifndef EPIO_OS_VFS_H
#define EPIO_OS_VFS_H

#include "atomics.h"
#include "os/read_batch.h"
#include "platform.h"

/* What an op takes of a turn beside its bytes: as long as these many to copy. */
#define EPIO__OP_COST 4096u

typedef struct epio__os_vfs {
    epio_vfs base;
#if EPIO_ASYNC
    const epio__backend *backend; /* the loop's, as the next */
    void *backend_state;
    int64_t bytes_left; /* of this turn's budget for what runs on the owner's thread */
    uint64_t late_at;   /* when an embedded loop's poll has taken its time; EPIO_FOREVER: never */
    epio__read_batch batch;
    uint32_t inline_writes;
    bool in_turn;       /* the loop runs, and will call epio__os_vfs_leave */
    bool guards_writes; /* see epio__os_writes_begin */
    bool may_wait;      /* for a read: the loop has nothing else to do */
#endif
} epio__os_vfs;

extern const epio_vfs_methods epio__os_vfs_methods;

#if EPIO_ASYNC

/* Reads on the calling thread: true, and *result. Unless it may wait, only what
 * the page cache has and is quickly copied. */
bool epio__os_vfs_read_now(epio_op *op, bool may_wait, int64_t *result);

/* A plain read (plain.c) of what is probably in memory, within the turn's budget: true, and
 * epio__os_vfs_read_batch will see to it. */
static inline bool epio__os_vfs_collect(epio__os_vfs *vfs, const epio_file *base, epio_op *op)
{
    const epio__os_file *file = (const epio__os_file *)(const void *)base;
    uint64_t bytes = op->arguments.io.len;
    if (epio__load_relaxed_u32(&file->cached_reads) != EPIO__CACHED_READS_WORK ||
        bytes > EPIO__LARGE_COPY || vfs->bytes_left <= 0) {
        return false;
    }
    vfs->bytes_left -= (int64_t)(bytes + EPIO__OP_COST);
    vfs->batch.count++;
    epio__queue_push(&vfs->batch.reads, op);
    return true;
}

/* Carries out what was collected. */
void epio__os_vfs_read_batch(epio__os_vfs *vfs);

/* A plain write (op.h) on a loop with inline_writes: true, and *result, which is
 * op->progress or an error. False: not now, and nothing was done. */
bool epio__os_vfs_write_at_once(epio__os_vfs *vfs, epio_op *op, int64_t *result);

/* The poll is to come to its end. The clock is only looked at where there is a limit. */
static inline bool epio__os_vfs_is_late(const epio__os_vfs *vfs)
{
    return vfs->late_at != EPIO_FOREVER && epio__monotonic_time() >= vfs->late_at;
}

/* The loop begins a turn. */
void epio__os_vfs_new_turn(epio__os_vfs *vfs);

/* A write is about to be carried out on the owner's thread. */
void epio__os_vfs_guard_write(epio__os_vfs *vfs);

/* The loop has had its last turn before its thread goes elsewhere. */
void epio__os_vfs_leave(epio__os_vfs *vfs);

#endif

#endif
