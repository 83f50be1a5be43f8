/* See uring_entries.h. */
#include "posix/uring_entries.h"

#include <sys/uio.h>

/* The kernel reads an epio_iovec array as struct iovec. */
_Static_assert(sizeof(epio_iovec) == sizeof(struct iovec) &&
                   offsetof(epio_iovec, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(epio_iovec, len) == offsetof(struct iovec, iov_len),
               "the parts of an op are what readv(2) takes");

/* One part in registered memory names the ring's own buffer. */
static void prepare_transfer(const epio__uring_buffers *buffers, struct io_uring_sqe *entry,
                             const epio_op *op)
{
    static const uint8_t codes[2][2] = {{IORING_OP_WRITE, IORING_OP_WRITE_FIXED},
                                        {IORING_OP_READ, IORING_OP_READ_FIXED}};
    bool reads = epio__op_is(op, EPIO__KIND_READS);
    int descriptor = epio__descriptor_of(op);
    char *base = op->arguments.io.base;
    uint64_t offset = op->arguments.io.offset + op->progress;
    unsigned len = (unsigned)op->arguments.io.len;
    unsigned done = (unsigned)op->progress;
    if (epio__op_is(op, EPIO__KIND_VECTORED)) {
        io_uring_prep_rw(reads ? IORING_OP_READV : IORING_OP_WRITEV, entry, descriptor, base, len,
                         offset);
        return;
    }
    int buffer = epio__uring_buffers_find(buffers, base + done, len - done);
    io_uring_prep_rw(codes[reads][buffer >= 0], entry, descriptor, base + done, len - done, offset);
    entry->buf_index = (uint16_t)(buffer >= 0 ? buffer : 0);
}

/* The kernel's thread may keep the file open for a moment after the completion of a write, but not
 * of what is linked to it: so an entry of its own, which does nothing, reports the end. If the
 * first fails or writes less than all, that one alone has a completion. */
static void prepare_write_behind(struct io_uring *ring, const epio__uring_buffers *buffers,
                                 epio_op *op)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    prepare_transfer(buffers, entry, op);
    io_uring_sqe_set_flags(entry, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(entry, (uintptr_t)op | EPIO__URING_FIRST);
    entry = io_uring_get_sqe(ring);
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, op);
}

void epio__uring_prepare(struct io_uring *ring, const epio__uring_buffers *buffers, epio_op *op)
{
    if (epio__uring_is_behind(op)) {
        prepare_write_behind(ring, buffers, op);
        return;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    prepare_transfer(buffers, entry, op);
    if (epio__os_file_of(op)->direct && (op->file->flags & EPIO_OPEN_WRITE) != 0) {
        /* By the disk, but not by a kernel thread, which would keep the file open for writing.
         * Reads of a file that is not open for writing may use one: pages that another program
         * has yet to write out would otherwise send each read to a worker. */
        entry->rw_flags = RWF_NOWAIT;
    }
    io_uring_sqe_set_data(entry, op);
}

/* Either the second entry of a write behind is done, and all is written, or the first has failed,
 * or written less. */
int32_t epio__uring_result_of(const struct io_uring_cqe *entry)
{
    uintptr_t data = (uintptr_t)entry->user_data;
    const epio_op *op = epio__uring_op_of(data);
    bool is_second = (data & EPIO__URING_FIRST) == 0 && epio__uring_is_behind(op);
    return is_second && entry->res == 0 ? (int32_t)(epio_op_bytes(op) - op->progress) : entry->res;
}

const struct io_uring_sqe *epio__uring_next_entry(const struct io_uring *ring)
{
    return &ring->sq.sqes[*ring->sq.khead & ring->sq.ring_mask];
}

bool epio__uring_is_second(const struct io_uring_sqe *entry)
{
    return entry->opcode == IORING_OP_NOP;
}
