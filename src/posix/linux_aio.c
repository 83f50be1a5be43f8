/* See linux_aio.h. Ops wait until the owner flushes, so that one call submits many. Each has
 * RWF_NOWAIT, as submitting must not wait for the disk either: what would goes to a worker.
 *
 * A completion appears before the kernel has let go of the file: see close_and_wait.c. A
 * process that ends keeps its files and their locks until its transfers have ended. */
#include "posix/linux_aio.h"
#include "atomics.h"
#include "list.h"
#include "posix/kernel_transfer.h"
#include "posix/system_call.h"

#include <string.h>

/* Submitted or taken by one call. */
#define MOST_AT_ONCE 32u

/* In op->notes: where the op is. */
#define NOTE_WAITS EPIO__NOTE_OF_BACKEND
#define NOTE_IN_KERNEL (EPIO__NOTE_OF_BACKEND << 1)

/* The start of the memory at the context's address, which the kernel's fs/aio.c and libaio define:
 * it shows without a system call whether there are completions, and which, even if calls are
 * refused by now. */
struct epio__aio_ring {
    uint32_t id;
    uint32_t count; /* of events */
    uint32_t head;  /* the next to be taken; this side writes it */
    uint32_t tail;  /* the kernel writes it */
    uint32_t magic;
    uint32_t compatible_features;
    uint32_t incompatible_features;
    uint32_t header_length;
    struct io_event events[];
};

#define RING_MAGIC 0xa10a10a1u

void epio__linux_aio_init(epio__linux_aio *aio, int event, uint64_t *pending_events)
{
    memset(aio, 0, sizeof *aio);
    aio->event = event;
    aio->pending_events = pending_events;
    epio_list_init(&aio->waiting);
    for (uint32_t i = 0; i < EPIO__AIO_MOST_IN_KERNEL; i++) {
        aio->order[i] = (uint8_t)i;
    }
}

void epio__linux_aio_close(epio__linux_aio *aio)
{
    if (aio->context != 0) {
        (void)syscall(SYS_io_destroy, aio->context);
        aio->context = 0;
    }
}

/* Makes one if there is none. */
static bool has_context(epio__linux_aio *aio)
{
    if (aio->context != 0 || aio->refused) {
        return !aio->refused;
    }
    if (syscall(SYS_io_setup, EPIO__AIO_MOST_IN_KERNEL, &aio->context) != 0) {
        aio->context = 0;
        aio->refused = true;
        return false;
    }
    aio->ring = (struct epio__aio_ring *)(uintptr_t)aio->context;
    aio->refused = aio->ring->magic != RING_MAGIC || aio->ring->incompatible_features != 0 ||
                   aio->ring->header_length != sizeof *aio->ring;
    return !aio->refused;
}

/* ---- Submitting ---- */

static void enqueue(epio__linux_aio *aio, epio_op *op)
{
    op->notes |= NOTE_WAITS;
    epio_list_append(&aio->waiting, &op->queue);
    aio->writes = aio->writes || !epio__op_is(op, EPIO__KIND_READS);
    ++*aio->pending_events;
}

static bool accepts(epio__linux_aio *aio, const epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    /* Without waiting, it may end after a part of what should be appended as one. */
    bool appends = file->appends && !epio__op_is(op, EPIO__KIND_READS);
    return file->direct && !file->refuses_aio && !appends &&
           (op->notes & EPIO__NOTE_FOR_WORKER) == 0 && epio__kernel_transfer_fits(op) &&
           has_context(aio);
}

static void withdraw(epio__linux_aio *aio, epio_op *op)
{
    op->notes &= ~NOTE_WAITS;
    epio_list_remove(&op->queue);
    --*aio->pending_events;
}

bool epio__linux_aio_cancel(epio__linux_aio *aio, epio_op *op)
{
    if ((op->notes & NOTE_WAITS) != 0) {
        withdraw(aio, op);
        return true;
    }
    op->notes |= (op->notes & NOTE_IN_KERNEL) != 0 ? EPIO__NOTE_GIVEN_UP : 0;
    return false;
}

static void prepare(const epio__linux_aio *aio, struct iocb *block, epio_op *op)
{
    bool reads = epio__op_is(op, EPIO__KIND_READS);
    bool vectored = epio__op_is(op, EPIO__KIND_VECTORED);
    static const uint16_t codes[2][2] = {{IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV},
                                         {IOCB_CMD_PREAD, IOCB_CMD_PREADV}};
    memset(block, 0, sizeof *block);
    block->aio_data = (uintptr_t)op;
    block->aio_lio_opcode = codes[reads][vectored];
    block->aio_fildes = (uint32_t)epio__descriptor_of(op);
    block->aio_buf = (uintptr_t)op->arguments.io.base + op->progress;
    block->aio_nbytes = op->arguments.io.len - op->progress;
    block->aio_offset = (int64_t)(op->arguments.io.offset + op->progress);
    block->aio_rw_flags = RWF_NOWAIT;
    block->aio_flags = IOCB_FLAG_RESFD;
    block->aio_resfd = (uint32_t)aio->event;
}

/* How many were taken, or a negative errno, of the first. */
static int64_t submit_blocks(const epio__linux_aio *aio, struct iocb **blocks, uint32_t count)
{
    long taken = syscall(SYS_io_submit, aio->context, (long)count, blocks);
    return taken >= 0 ? taken : -(int64_t)errno;
}

/* A write starts inside the call, and may raise SIGXFSZ there. */
static int64_t submit_guarded(const epio__linux_aio *aio, struct iocb **blocks, uint32_t count)
{
    epio__signal_guard guard;
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int64_t taken = submit_blocks(aio, blocks, count);
    errno = EFBIG;
    epio__signal_guard_end(&guard, true);
    return taken;
}

static epio_op *first_waiting(const epio__linux_aio *aio)
{
    return EPIO_CONTAINER(aio->waiting.next, epio_op, queue);
}

static void offload_waiting(epio__linux_aio *aio, bool all)
{
    do {
        epio_op *op = first_waiting(aio);
        withdraw(aio, op);
        epio__kernel_transfer_failed(op);
        aio->offloaded = true;
    } while (all && !epio_list_empty(&aio->waiting));
}

/* The first of the waiting was not taken. True: go on with the others. */
static bool cope_with(epio__linux_aio *aio, int error)
{
    switch (error) {
    case EAGAIN:
        if (aio->in_kernel != 0) {
            return false; /* when some of those have ended */
        }
        break;
    case EPERM:
    case ENOSYS:
    case EACCES: /* the process has lost the right to the call */
        aio->refused = true;
        offload_waiting(aio, true);
        return false;
    case EOPNOTSUPP: /* RWF_NOWAIT */
        epio__os_file_of(first_waiting(aio))->refuses_aio = true;
        break;
    default:
        break;
    }
    offload_waiting(aio, false);
    return true;
}

static void note_taken(epio__linux_aio *aio, int64_t taken)
{
    epio_node *node = aio->waiting.next;
    for (int64_t i = 0; i < taken; i++) {
        epio_op *op = EPIO_CONTAINER(node, epio_op, queue);
        node = node->next;
        op->notes = (op->notes & ~NOTE_WAITS) | NOTE_IN_KERNEL;
        epio_list_remove(&op->queue);
        epio__os_file_of(op)->had_aio = true;
        aio->in_kernel++;
    }
}

/* False: the rest has to wait. */
static bool submit_some(epio__linux_aio *aio)
{
    struct iocb *list[MOST_AT_ONCE];
    uint32_t room = EPIO__AIO_MOST_IN_KERNEL - aio->in_kernel;
    uint32_t most = room < MOST_AT_ONCE ? room : MOST_AT_ONCE;
    uint32_t count = 0;
    for (epio_node *node = aio->waiting.next; node != &aio->waiting && count < most;
         node = node->next) {
        list[count] = &aio->blocks[aio->order[aio->in_kernel + count]];
        prepare(aio, list[count], EPIO_CONTAINER(node, epio_op, queue));
        count++;
    }
    if (count == 0) {
        return false;
    }
    bool guarded = aio->writes && epio__writes_are_limited();
    int64_t taken = guarded ? submit_guarded(aio, list, count) : submit_blocks(aio, list, count);
    if (taken < 0) {
        return cope_with(aio, (int)-taken);
    }
    note_taken(aio, taken);
    return taken != 0;
}

bool epio__linux_aio_flush(epio__linux_aio *aio)
{
    aio->offloaded = false;
    aio->accepted = 0;
    while (!epio_list_empty(&aio->waiting) && submit_some(aio)) {
    }
    aio->writes = aio->writes && !epio_list_empty(&aio->waiting);
    return !aio->offloaded;
}

bool epio__linux_aio_submit(epio__linux_aio *aio, epio_op *op)
{
    if (!accepts(aio, op)) {
        return false;
    }
    enqueue(aio, op);
    if (++aio->accepted == EPIO__KERNEL_TRANSFERS_AT_ONCE) {
        (void)epio__linux_aio_flush(aio);
    }
    return true;
}

/* ---- Completions ---- */

static void end(epio__linux_aio *aio, const struct io_event *event)
{
    epio_op *op = (epio_op *)(uintptr_t)event->data;
    const struct iocb *block = (const struct iocb *)(uintptr_t)event->obj;
    op->notes &= ~NOTE_IN_KERNEL;
    aio->in_kernel--;
    aio->order[aio->in_kernel] = (uint8_t)(block - aio->blocks);
    --*aio->pending_events;
    if (event->res == -EOPNOTSUPP) {
        epio__os_file_of(op)->refuses_aio = true;
    }
    if (epio__kernel_transfer_ended(op, event->res)) {
        enqueue(aio, op);
    }
}

/* The call would not be needed, but tells valgrind and the like what was read: it does not wait, as
 * there is a completion, and nothing else takes any. */
static uint32_t take_by_call(const epio__linux_aio *aio, struct io_event *events)
{
#if defined(SYS_io_getevents)
    long taken = syscall(SYS_io_getevents, aio->context, 1L, (long)MOST_AT_ONCE, events, NULL);
    return taken > 0 ? (uint32_t)taken : 0;
#else
    (void)aio;
    (void)events;
    return 0;
#endif
}

static uint32_t take_from_memory(const epio__linux_aio *aio, struct io_event *events)
{
    struct epio__aio_ring *ring = aio->ring;
    uint32_t head = ring->head;
    uint32_t taken = 0;
    while (taken < MOST_AT_ONCE && head != epio__load_u32(&ring->tail)) {
        events[taken++] = ring->events[head];
        head = head + 1 != ring->count ? head + 1 : 0;
    }
    epio__store_u32(&ring->head, head);
    return taken;
}

void epio__linux_aio_reap(epio__linux_aio *aio)
{
    struct io_event events[MOST_AT_ONCE];
    while (aio->in_kernel != 0 && aio->ring->head != epio__load_u32(&aio->ring->tail)) {
        uint32_t taken = take_by_call(aio, events);
        taken = taken != 0 ? taken : take_from_memory(aio, events);
        for (uint32_t i = 0; i < taken; i++) {
            end(aio, &events[i]);
        }
    }
}
