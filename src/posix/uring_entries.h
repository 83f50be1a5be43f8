/* What an op looks like in the ring: its entries, and the result in their completions. Who has the
 * op meanwhile is uring_ops.h's. */
#ifndef EPIO_URING_ENTRIES_H
#define EPIO_URING_ENTRIES_H

#include "posix/posix.h"
#include "posix/uring_buffers.h"

#include <liburing.h>

/* These bits in an entry's user data, beside the op's address, mark an op of a batch, and the first
 * of the two entries of a write behind. */
#define EPIO__URING_OF_BATCH ((uintptr_t)1)
#define EPIO__URING_FIRST ((uintptr_t)2)

/* No op needs more. */
#define EPIO__URING_ENTRIES_OF_AN_OP 2u

static inline epio_op *epio__uring_op_of(uintptr_t data)
{
    return (epio_op *)(data & ~(EPIO__URING_OF_BATCH | EPIO__URING_FIRST));
}

/* A buffered write, which a thread of the kernel carries out. */
static inline bool epio__uring_is_behind(const epio_op *op)
{
    return !epio__op_is(op, EPIO__KIND_READS) && !epio__os_file_of(op)->direct;
}

/* Can the ring carry them out? */
static inline bool epio__uring_writes_behind(const struct io_uring *ring)
{
    return (ring->features & IORING_FEAT_CQE_SKIP) != 0 &&
           (ring->flags & IORING_SETUP_SUBMIT_ALL) != 0; /* else one bad entry would part two */
}

/* The first entry that the kernel has not consumed; there is one. */
const struct io_uring_sqe *epio__uring_next_entry(const struct io_uring *ring);
/* Is it the second of two? */
bool epio__uring_is_second(const struct io_uring_sqe *entry);

/* Prepares the rest of a transfer. There is room for EPIO__URING_ENTRIES_OF_AN_OP. */
void epio__uring_prepare(struct io_uring *ring, const epio__uring_buffers *buffers, epio_op *op);
/* The bytes of an op that is not of a batch, or a negative errno. */
int32_t epio__uring_result_of(const struct io_uring_cqe *entry);

/* An entry names its file by the descriptor, or by the slot in the table. */
typedef struct epio__uring_file {
    int number;
    uint32_t flags;
} epio__uring_file;

/* Inline, as it is most of what a batched read costs. `buffer`: the index of a registered one, or
 * -1. */
static inline void epio__uring_prepare_batched(struct io_uring_sqe *entry, epio__uring_file file,
                                               int buffer, const epio_op *op)
{
    io_uring_prep_rw(buffer >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ, entry, file.number,
                     op->arguments.io.base, (unsigned)op->arguments.io.len,
                     op->arguments.io.offset);
    entry->flags = (uint8_t)file.flags;
    /* The fields that liburing clears, in some versions here, in others when it returns the
     * entry. */
    entry->ioprio = 0;
    entry->rw_flags = 0;
    entry->buf_index = (uint16_t)(buffer >= 0 ? buffer : 0);
    entry->personality = 0;
    entry->file_index = 0;
    entry->addr3 = 0;
    entry->__pad2[0] = 0;
    io_uring_sqe_set_data64(entry, (uintptr_t)op | EPIO__URING_OF_BATCH);
}

#endif
