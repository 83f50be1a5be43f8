/* Linux: reads and writes that would wait for the disk go to an io_uring; streams, wakes and
 * timers are left to epoll, whose descriptor the ring polls beside its own completions.
 *
 * An accepted op stays in `waiting` until the next poll: so submissions are batched, a full ring
 * neither fails nor recurses, and an op that has not started is withdrawn without a system call.
 * No result of a ring but success is final: a worker retries by the ordinary call, whose result
 * counts.
 *
 * The kernel keeps files in a ring open: after the process has ended, until the transfer ends,
 * and for a moment after the completion if a kernel thread carried it out. So the descriptor that
 * holds a lock never enters a ring (range_lock.c), and a direct transfer on a file open for
 * writing never goes to a kernel thread: a closed file must be closed for other processes too.
 *
 * Reads that are probably cached are submitted in batches, and most are complete when the call
 * that submits them returns (uring_read_together). */
#include "atomics.h"
#include "list.h"
#include "posix/backends.h"
#include "posix/descriptor.h"
#include "posix/posix.h"
#include "posix/wake_pipe.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Entries per submit, and ops in flight in the kernel: disks have shorter queues. The completion
 * queue holds twice as many, which leaves room for the completions of cancels. */
#define SUBMISSIONS 256u
#define MOST_IN_KERNEL 1024u

/* IOV_MAX on Linux. */
#define MOST_PARTS 1024u

/* The ring's table of registered files, for batches alone: it saves the kernel the file lookup of
 * each read, 10 % of a cached read. A registered file stays open for the system even if the
 * program closes it. So files are registered only after this many successive batches, and
 * unregistered by the first iteration without a batch, or after a close. */
#define MOST_REGISTERED 16u
#define BATCHES_BEFORE_REGISTERING 8u

/* The slot after those is the sentinel's: see give_up_ring. */
#define PLACES (MOST_REGISTERED + 1)

/* In op->notes: the op is listed in in_ring; it was submitted in a batch. */
#define NOTE_LISTED EPIO__NOTE_OF_BACKEND
#define NOTE_OF_BATCH (EPIO__NOTE_OF_BACKEND << 1)

/* op->progress of a batched op in flight. No result is as low. */
#define NOT_ENDED ((uint64_t)INT64_MIN)

typedef struct uring_state {
    void *epoll;
    struct io_uring ring;
    bool has_ring;
    bool refused;       /* no ring is allowed any more: all goes to workers */
    int sentinel;       /* hangs up when the kernel is done with the ring; -1: no ring */
    bool embedded;      /* completions have to make epoll's descriptor readable */
    bool watches_epoll; /* a poll of epoll's descriptor is in the ring */
    bool writes;        /* there are writes among the unsubmitted entries */
    bool has_table;
    uint32_t table;      /* file->ring_table of the files registered now */
    uint32_t registered; /* number of registered files */
    uint32_t batches;    /* successive batches since the table was empty */
    uint32_t in_kernel;  /* ops that have an entry */
    uint64_t ops;        /* those and the waiting ones */
    epio_node waiting;
    epio_node in_ring;      /* ops that have an entry, except those in `begun` */
    uint32_t listed;        /* length of in_ring */
    uint32_t begun_at_once; /* how many in `begun` are in use */
    epio_op *begun[MOST_IN_KERNEL];
    uint64_t *watched; /* ops, and epoll's streams */
} uring_state;

/* The kernel reads an epio_iovec array as struct iovec. */
_Static_assert(sizeof(epio_iovec) == sizeof(struct iovec) &&
                   offsetof(epio_iovec, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(epio_iovec, len) == offsetof(struct iovec, iov_len),
               "the parts of an op are what readv(2) takes");

static void add_ops(uring_state *state, uint64_t count)
{
    state->ops += count;
    *state->watched += count;
}

static void list_op(uring_state *state, epio_op *op)
{
    op->notes |= NOTE_LISTED;
    epio__list_append(&state->in_ring, &op->queue);
    state->listed++;
}

static void take_off_list(uring_state *state, epio_op *op)
{
    if ((op->notes & NOTE_LISTED) != 0) {
        op->notes &= ~(NOTE_LISTED | NOTE_OF_BATCH);
        epio__list_remove(&op->queue);
        state->listed--;
    }
}

/* The kernel no longer has the op, or never had it. */
static void come_back(uring_state *state, epio_op *op)
{
    take_off_list(state, op);
    state->in_kernel--;
    add_ops(state, UINT64_MAX);
}

/* Removes a waiting op. */
static void withdraw(uring_state *state, epio_op *op)
{
    epio__list_remove(&op->queue);
    add_ops(state, UINT64_MAX);
}

/* ---- Creating and closing the ring ---- */

/* Best first. With DEFER_TASKRUN completions are processed when the owner asks for them and never
 * interrupt it, with COOP_TASKRUN at its next system call; both set a flag in memory when there
 * are some. */
static int make_ring(struct io_uring *ring)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int error = -EINVAL;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && error == -EINVAL; i++) {
        struct io_uring_params parameters = {
            .flags = flags[i] | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = 2 * MOST_IN_KERNEL,
        };
        error = io_uring_queue_init_params(SUBMISSIONS, ring, &parameters);
    }
    return error;
}

/* Its memory was mapped through the original descriptor, and stays mapped. */
static bool move_ring(struct io_uring *ring)
{
    int moved = epio__descriptor_move(ring->ring_fd);
    ring->ring_fd = moved;
    ring->enter_ring_fd = moved;
    return moved >= 0;
}

/* Registers the ring's table of files, with the only descriptor of a pipe's write end in it: so
 * the read end reports when the kernel is done with the ring and all that was in it. */
static bool fill_table(uring_state *state)
{
    int ends[2];
    int files[PLACES];
    if (epio__wake_pipe_open(ends) != 0) {
        return false;
    }
    memset(files, -1, sizeof files);
    files[MOST_REGISTERED] = ends[1];
    bool filled = io_uring_register_files(&state->ring, files, PLACES) == 0;
    state->sentinel = ends[0];
    (void)close(ends[1]);
    return filled;
}

static void close_sentinel(uring_state *state)
{
    if (state->sentinel >= 0) {
        (void)close(state->sentinel);
        state->sentinel = -1;
    }
}

/* The ring's descriptor is not registered, which would save 0.1 us per call: should the kernel
 * refuse further calls, a registered ring could not end before its thread. */
static bool open_ring(uring_state *state)
{
    if (make_ring(&state->ring) != 0) {
        return false;
    }
    /* A wait with a timeout (Linux 5.11), and no completion lost even if the queue is full. */
    unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
    bool fit = move_ring(&state->ring) && (state->ring.features & needed) == needed;
    if (fit && state->embedded) {
        fit =
            io_uring_register_eventfd(&state->ring, epio__epoll_wake_descriptor(state->epoll)) == 0;
    }
    if (!fit || !fill_table(state)) {
        io_uring_queue_exit(&state->ring);
        close_sentinel(state);
        return false;
    }
    state->has_table = true;
    state->watches_epoll = false;
    state->has_ring = true;
    return true;
}

/* False: the kernel keeps the files, at least as long as the ring. */
static bool take_out_files(uring_state *state)
{
    int none[MOST_REGISTERED];
    unsigned count = state->registered;
    memset(none, -1, sizeof none);
    state->registered = 0;
    state->table++;
    return io_uring_register_files_update(&state->ring, 0, none, count) == (int)count;
}

static void register_file(uring_state *state, epio__os_file *file)
{
    int descriptor = (int)file->transfer_handle;
    if (file->ring_table == state->table || state->registered == MOST_REGISTERED) {
        return;
    }
    if (io_uring_sq_ready(&state->ring) != 0) {
        return; /* unsubmitted entries may still name a slot of an older table */
    }
    if (io_uring_register_files_update(&state->ring, state->registered, &descriptor, 1) != 1) {
        state->has_table = false;
        return;
    }
    file->ring_table = state->table;
    file->ring_index = state->registered++;
}

static void close_ring(uring_state *state)
{
    if (state->has_ring) {
        if (state->registered != 0) {
            (void)take_out_files(state); /* now, not when the kernel gets to it */
        }
        state->has_ring = false;
        state->watches_epoll = false;
        io_uring_queue_exit(&state->ring);
    }
}

static void uring_close(void *opaque)
{
    uring_state *state = opaque;
    close_ring(state);
    close_sentinel(state);
    epio__backend_epoll.close(state->epoll);
    free(state);
}

/* While a child has the ring, it does not end and keeps its files open. Its memory is shared with
 * the parent, and is not written to. */
static void uring_forked(void *opaque)
{
    uring_state *state = opaque;
    if (state->has_ring) {
        state->has_ring = false;
        io_uring_queue_exit(&state->ring);
    }
}

static void uring_abandon(void *opaque)
{
    uring_state *state = opaque;
    close_sentinel(state);
    epio__backend_epoll.abandon(state->epoll);
    free(state);
}

static int uring_open(uint64_t *watched, void **opened)
{
    uring_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return EPIO_ENOMEM;
    }
    state->watched = watched;
    state->table = 1;
    state->sentinel = -1;
    epio__list_init(&state->waiting);
    epio__list_init(&state->in_ring);
    int error = epio__backend_epoll.open(watched, &state->epoll);
    if (error != 0) {
        free(state);
        return error;
    }
    if (!open_ring(state)) {
        uring_close(state);
        return EPIO_ENOTSUP;
    }
    *opened = state;
    return 0;
}

/* ---- Accepting ops ---- */

/* The kernel would carry out a buffered write, and a read that has to wait, on threads of its
 * own: a worker of the library costs less. docs/performance.md has the figures. */
static bool waits_for_the_disk(const epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    if (file->direct) {
        return true;
    }
    return epio__op_is(op, EPIO__KIND_READS) && (op->notes & EPIO__NOTE_MISSED_CACHE) != 0 &&
           epio__load_relaxed_u32(&file->cached_reads) != EPIO__CACHED_READS_NEVER;
}

static bool keeps_from_ring(const epio_op *op)
{
    return epio__load_relaxed_u32(&epio__os_file_of(op)->keeps_from_ring) != 0;
}

static bool fits(const epio_op *op)
{
    uint64_t bytes = epio_op_bytes(op);
    if (bytes == 0 || bytes > EPIO__LARGE_COPY) {
        return false; /* pinning or copying so much takes too much of the owner's time */
    }
    return !epio__op_is(op, EPIO__KIND_VECTORED) ||
           (op->progress == 0 && op->arguments.io.len <= MOST_PARTS);
}

static bool is_for_epoll(const epio_op *op)
{
    return !epio__op_transfers(op) || epio__op_is_on_stream(op);
}

static bool uring_submit(void *opaque, epio_op *op)
{
    uring_state *state = opaque;
    if (is_for_epoll(op)) {
        return epio__backend_epoll.submit(state->epoll, op);
    }
    if (state->refused || !waits_for_the_disk(op) || !fits(op) || keeps_from_ring(op)) {
        return false;
    }
    epio__list_append(&state->waiting, &op->queue);
    add_ops(state, 1);
    return true;
}

/* ---- Submitting ---- */

/* This bit in an entry's user data, beside the op's address, marks an op of a batch. */
#define OF_BATCH ((uintptr_t)1)

static epio_op *op_of(uintptr_t data)
{
    return (epio_op *)(data & ~OF_BATCH);
}

/* As epio__leave_batch, with progress reset: nothing is done, and the field still has a value
 * from the batch. */
static bool leave_batch(epio_op *op)
{
    op->progress = 0;
    return epio__leave_batch(op);
}

static void prepare_transfer(struct io_uring_sqe *entry, const epio_op *op)
{
    int descriptor = epio__descriptor_of(op);
    char *base = op->arguments.io.base;
    uint64_t offset = op->arguments.io.offset + op->progress;
    unsigned len = (unsigned)op->arguments.io.len;
    unsigned done = (unsigned)op->progress;
    switch (op->kind) {
    case EPIO_KIND_READ:
        io_uring_prep_read(entry, descriptor, base + done, len - done, offset);
        return;
    case EPIO_KIND_WRITE:
        io_uring_prep_write(entry, descriptor, base + done, len - done, offset);
        return;
    case EPIO_KIND_READV:
        io_uring_prep_readv(entry, descriptor, op->arguments.io.base, len, offset);
        return;
    default:
        io_uring_prep_writev(entry, descriptor, op->arguments.io.base, len, offset);
        return;
    }
}

static void prepare(struct io_uring_sqe *entry, epio_op *op)
{
    prepare_transfer(entry, op);
    if (epio__os_file_of(op)->direct && (op->file->flags & EPIO_OPEN_WRITE) != 0) {
        /* By the disk, but not by a kernel thread, which would keep the file open for writing.
         * Reads of a file that is not open for writing may use one: pages that another program
         * has yet to write out would otherwise send each read to a worker. */
        entry->rw_flags = RWF_NOWAIT;
    }
    io_uring_sqe_set_data(entry, op);
}

/* The op was not carried out, as far as is known. */
static void give_up_op(epio_op *op)
{
    bool cancelled = (op->notes & EPIO__NOTE_GIVEN_UP) != 0;
    op->notes &= ~EPIO__NOTE_GIVEN_UP;
    if (cancelled) {
        epio_complete(op, EPIO_ECANCELED);
    } else {
        epio_offload(op);
    }
}

/* Entries that the kernel has not consumed go to workers. */
static void take_back_entries(uring_state *state)
{
    struct io_uring_sq *queue = &state->ring.sq;
    for (unsigned at = *queue->khead; at != queue->sqe_tail; at++) {
        uintptr_t whose = (uintptr_t)queue->sqes[at & queue->ring_mask].user_data;
        if (whose != (uintptr_t)state && whose != 0) {
            come_back(state, op_of(whose));
            if ((whose & OF_BATCH) == 0 || leave_batch(op_of(whose))) {
                give_up_op(op_of(whose));
            }
        }
    }
    queue->sqe_head = queue->sqe_tail;
    *queue->khead = queue->sqe_tail; /* may be written here: the kernel no longer reads the queue */
    *queue->ktail = queue->sqe_tail;
}

/* Lists the ops of the last batches that are still in flight. */
static void list_begun(uring_state *state)
{
    for (uint32_t i = 0; i < state->begun_at_once; i++) {
        if (state->begun[i]->progress == NOT_ENDED) {
            state->begun[i]->notes |= NOTE_OF_BATCH;
            list_op(state, state->begun[i]);
        }
    }
    state->begun_at_once = 0;
}

static bool ring_has_ended(const uring_state *state, int milliseconds)
{
    struct pollfd sentinel = {.fd = state->sentinel, .events = POLLIN};
    return poll(&sentinel, 1, milliseconds) > 0;
}

/* Waits for the end of the ring that was given up. */
static void end_ring(uring_state *state)
{
    while (!ring_has_ended(state, -1)) {
    }
    epio__epoll_remove_other(state->epoll, state->sentinel);
    close_sentinel(state);
    while (!epio__list_empty(&state->in_ring)) {
        epio_op *op = EPIO__CONTAINER(state->in_ring.next, epio_op, queue);
        bool of_batch = (op->notes & NOTE_OF_BATCH) != 0;
        come_back(state, op);
        if (!of_batch || leave_batch(op)) {
            give_up_op(op);
        }
    }
}

static void reap(uring_state *state, bool waited);

/* The process has lost the right to use rings, as one that sandboxes itself may. Ops in flight
 * would never be seen to end: completions of a deferred ring appear within calls that are now
 * refused. But the disk may still write into their buffers. So the ring is closed, and the kernel
 * closes the other end of the sentinel when it is done with the ring; then workers carry out all
 * these ops again (end_ring). */
static void give_up_ring(uring_state *state)
{
    state->refused = true;
    state->writes = false;
    take_back_entries(state);
    reap(state, true);
    list_begun(state);
    close_ring(state);
    if (state->in_kernel == 0) {
        close_sentinel(state);
    } else if (!epio__epoll_add_other(state->epoll, state->sentinel)) {
        end_ring(state);
    }
}

static void heed(uring_state *state, int outcome)
{
    bool later = outcome == -EAGAIN || outcome == -EBUSY || outcome == -EINTR || outcome == -ETIME;
    if (outcome < 0 && !later) {
        give_up_ring(state);
    }
}

static void empty_table(uring_state *state)
{
    state->batches = 0;
    if (state->registered != 0 && !take_out_files(state)) {
        give_up_ring(state);
    }
}

/* Submits the prepared entries. Those that the kernel does not take now (it lacks memory, or
 * completions must be reaped first) stay for the next time. */
static void submit_entries(uring_state *state)
{
    if (!state->writes) {
        heed(state, io_uring_submit(&state->ring));
        return;
    }
    /* A write starts inside the call, and may raise its signals there. */
    epio__signal_guard guard;
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int outcome = io_uring_submit(&state->ring);
    errno = EFBIG;
    epio__signal_guard_end(&guard, true);
    state->writes = io_uring_sq_ready(&state->ring) != 0;
    heed(state, outcome);
}

static struct io_uring_sqe *take_entry(uring_state *state)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&state->ring);
    if (entry == NULL) {
        submit_entries(state);
        entry = state->has_ring ? io_uring_get_sqe(&state->ring) : NULL;
    }
    return entry;
}

/* How an entry names a file: by its descriptor, or its slot in the table. */
typedef struct file_name {
    int descriptor;
    uint32_t flags;
} file_name;

static file_name name_file(uring_state *state, epio__os_file *file)
{
    if (state->has_table && state->batches > BATCHES_BEFORE_REGISTERING) {
        register_file(state, file);
    }
    file_name by_place = {(int)file->ring_index, IOSQE_FIXED_FILE};
    file_name by_descriptor = {(int)file->transfer_handle, 0};
    return file->ring_table == state->table ? by_place : by_descriptor;
}

static void prepare_of_batch(struct io_uring_sqe *entry, file_name name, const epio_op *op)
{
    io_uring_prep_read(entry, name.descriptor, op->arguments.io.base,
                       (unsigned)op->arguments.io.len, op->arguments.io.offset);
    entry->flags = (uint8_t)name.flags;
    /* The fields that liburing clears, in some versions here, in others when it returns the
     * entry. */
    entry->ioprio = 0;
    entry->rw_flags = 0;
    entry->buf_index = 0;
    entry->personality = 0;
    entry->file_index = 0;
    entry->addr3 = 0;
    entry->__pad2[0] = 0;
    io_uring_sqe_set_data64(entry, (uintptr_t)op | OF_BATCH);
}

static void send_to_workers(uring_state *state)
{
    while (!epio__list_empty(&state->waiting)) {
        epio_op *op = EPIO__CONTAINER(state->waiting.next, epio_op, queue);
        withdraw(state, op);
        epio_offload(op);
    }
}

/* Moves waiting ops into the ring, as many as fit. False: no ring can be had, and the loop has
 * new work for its workers. */
static bool fill(uring_state *state)
{
    if (epio__list_empty(&state->waiting)) {
        return true;
    }
    state->refused = state->refused || (!state->has_ring && !open_ring(state));
    if (state->refused) {
        send_to_workers(state);
        return false;
    }
    while (!epio__list_empty(&state->waiting) && state->in_kernel < MOST_IN_KERNEL) {
        struct io_uring_sqe *entry = take_entry(state);
        if (state->refused) {
            return fill(state);
        }
        if (entry == NULL) {
            return true;
        }
        epio_op *op = EPIO__CONTAINER(state->waiting.next, epio_op, queue);
        epio__list_remove(&op->queue);
        prepare(entry, op);
        list_op(state, op);
        state->writes = state->writes || !epio__op_is(op, EPIO__KIND_READS);
        state->in_kernel++;
    }
    return true;
}

static void uring_flush(void *opaque)
{
    uring_state *state = opaque;
    if (fill(state) && state->has_ring && io_uring_sq_ready(&state->ring) != 0) {
        submit_entries(state);
        if (state->embedded && state->has_ring && io_uring_sq_ready(&state->ring) != 0) {
            epio__backend_epoll.wake(state->epoll); /* to try again */
        }
    }
}

/* ---- Completions ---- */

/* True: all bytes are transferred, or the file has ended. */
static bool is_finished(epio_op *op, int32_t done)
{
    bool ended = done == 0 && epio__op_is(op, EPIO__KIND_READS); /* the end of the file */
    op->progress += (uint64_t)done;
    return ended || op->progress == epio_op_bytes(op);
}

static void reap_op(uring_state *state, epio_op *op, int32_t outcome)
{
    bool met_end = outcome < 0 && epio__read_met_end(op, -outcome);
    if (met_end || (outcome >= 0 && is_finished(op, outcome))) {
        op->notes &= ~EPIO__NOTE_GIVEN_UP;
        epio_complete(op, (int64_t)op->progress);
    } else if (outcome <= 0 || epio__op_is(op, EPIO__KIND_VECTORED) ||
               (op->notes & EPIO__NOTE_GIVEN_UP) != 0) {
        give_up_op(op);
    } else {
        epio__list_append(&state->waiting, &op->queue);
        add_ops(state, 1);
    }
}

static void reap_entry(uring_state *state, const struct io_uring_cqe *entry)
{
    uintptr_t whose = (uintptr_t)entry->user_data;
    if (whose == (uintptr_t)state) {
        state->watches_epoll = false;
    } else if (whose != 0) { /* else the completion of a cancel, which says nothing */
        come_back(state, op_of(whose));
        if ((whose & OF_BATCH) == 0 || leave_batch(op_of(whose))) {
            reap_op(state, op_of(whose), entry->res);
        }
    }
}

/* `waited`: the completions arrived after the call that submitted their ops. */
static void reap(uring_state *state, bool waited)
{
    struct io_uring_cq *queue = &state->ring.cq;
    if (!state->has_ring) {
        return;
    }
    unsigned head = *queue->khead;
    unsigned tail = io_uring_smp_load_acquire(queue->ktail);
    unsigned of_batch = tail - head;
    bool watched_epoll = state->watches_epoll;
    epio__queue ended;
    epio__queue_init(&ended);
    for (; head != tail; head++) {
        const struct io_uring_cqe *entry = &queue->cqes[head & queue->ring_mask];
        epio_op *op = op_of((uintptr_t)entry->user_data);
        if ((entry->user_data & OF_BATCH) != 0 && entry->res == (int32_t)op->arguments.io.len) {
            op->progress = op->arguments.io.len;
            take_off_list(state, op);
            epio__queue_push(&ended, op);
        } else {
            reap_entry(state, entry);
            of_batch--;
        }
    }
    io_uring_smp_store_release(queue->khead, head);
    state->in_kernel -= of_batch;
    add_ops(state, 0 - (uint64_t)of_batch);
    epio__batch_ended(&ended, waited);
    if (watched_epoll && !state->watches_epoll) {
        epio__backend_epoll.poll(state->epoll, 0);
    }
}

/* Prepares as many as the ring and the kernel have room for; returns how many. */
static uint32_t prepare_batch(uring_state *state, epio_node **first, uint32_t count)
{
    struct io_uring_sq *queue = &state->ring.sq;
    unsigned tail = queue->sqe_tail;
    unsigned room = queue->ring_entries - (tail - IO_URING_READ_ONCE(*queue->khead));
    uint32_t room_in_kernel = MOST_IN_KERNEL - state->in_kernel;
    room = room < room_in_kernel ? room : room_in_kernel;
    count = count < room ? count : room;
    epio_node *node = *first;
    const epio__os_file *file = NULL; /* most are on the same file as the one before */
    file_name name = {-1, 0};
    for (unsigned end = tail + count; tail != end; tail++) {
        epio_op *op = epio__op_of_queue(node);
        if (epio__os_file_of(op) != file) {
            if (keeps_from_ring(op)) {
                count -= end - tail;
                break;
            }
            file = epio__os_file_of(op);
            name = name_file(state, epio__os_file_of(op));
        }
        prepare_of_batch(&queue->sqes[tail & queue->ring_mask], name, op);
        op->progress = NOT_ENDED;
        state->begun[state->begun_at_once++] = op;
        node = node->next;
    }
    *first = node;
    queue->sqe_tail = tail;
    state->in_kernel += count;
    add_ops(state, count);
    return count;
}

static epio_node *uring_read_together(void *opaque, epio_node *first, uint32_t count)
{
    uring_state *state = opaque;
    uint32_t begun = 1;
    if (count == 0) {
        empty_table(state);
        return NULL;
    }
    state->refused = state->refused || (!state->has_ring && !open_ring(state));
    state->batches++;
    while (count != 0 && begun != 0 && !state->refused) {
        begun = prepare_batch(state, &first, count);
        count -= begun;
        submit_entries(state);
    }
    if (state->has_ring) {
        reap(state, false);
        if (state->in_kernel != state->listed) {
            list_begun(state);
        }
        state->begun_at_once = 0;
    }
    return first;
}

static bool something_is_due(const uring_state *state)
{
    const unsigned due = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return (IO_URING_READ_ONCE(*state->ring.sq.kflags) & due) != 0;
}

static void look(uring_state *state)
{
    if (!state->has_ring) {
        return;
    }
    if (io_uring_sq_ready(&state->ring) != 0) {
        submit_entries(state);
    }
    if (state->has_ring && something_is_due(state)) {
        heed(state, io_uring_get_events(&state->ring));
    }
    reap(state, true);
}

/* Waits until the ring or epoll has something, or the deadline. */
static void wait_for_either(uring_state *state, uint64_t deadline)
{
    struct io_uring_sqe *entry = state->watches_epoll ? NULL : take_entry(state);
    if (entry != NULL) {
        io_uring_prep_poll_add(entry, epio__epoll_descriptor(state->epoll), POLLIN);
        io_uring_sqe_set_data(entry, state);
        state->watches_epoll = true;
    }
    if (!state->watches_epoll) {
        return; /* no wake would be noticed; the next poll retries */
    }
    if (state->writes) {
        submit_entries(state);
    }
    if (state->writes || state->refused) {
        reap(state, true);
        return;
    }
    struct __kernel_timespec left = {0, 0};
    if (deadline != EPIO_FOREVER) {
        uint64_t now = epio__monotonic_time();
        struct timespec time = epio__timespec(deadline > now ? deadline - now : 0);
        left.tv_sec = time.tv_sec;
        left.tv_nsec = time.tv_nsec;
    }
    struct io_uring_cqe *first = NULL;
    heed(state, io_uring_submit_and_wait_timeout(&state->ring, &first, 1,
                                                 deadline != EPIO_FOREVER ? &left : NULL, NULL));
    reap(state, true);
}

/* Completions signal the wake descriptor, which an embedded loop's host waits for. It is reset
 * after a poll, and polled once more for what arrived in between. */
static void poll_embedded(uring_state *state, uint64_t deadline)
{
    epio__epoll_disarm(state->epoll);
    if (deadline != 0) {
        wait_for_either(state, deadline);
    } else {
        look(state);
    }
    epio__backend_epoll.poll(state->epoll, 0);
    look(state);
}

static void uring_poll(void *opaque, uint64_t deadline)
{
    uring_state *state = opaque;
    if (!fill(state)) {
        return;
    }
    if (state->in_kernel == 0) {
        epio__backend_epoll.poll(state->epoll, deadline);
    } else if (state->refused) {
        epio__backend_epoll.poll(state->epoll, deadline);
        if (ring_has_ended(state, 0)) {
            end_ring(state);
        }
    } else if (state->embedded) {
        poll_embedded(state, deadline);
    } else if (deadline != 0) {
        wait_for_either(state, deadline);
    } else {
        look(state);
        if (*state->watched != state->ops) {
            epio__backend_epoll.poll(state->epoll, 0);
        }
    }
}

/* ---- Other calls ---- */

static bool uring_cancel(void *opaque, epio_op *op)
{
    uring_state *state = opaque;
    if (is_for_epoll(op)) {
        return epio__backend_epoll.cancel(state->epoll, op);
    }
    if ((op->notes & NOTE_LISTED) == 0 && op->queue.next != NULL) {
        withdraw(state, op);
        return true;
    }
    struct io_uring_sqe *entry = state->has_ring ? take_entry(state) : NULL;
    if (entry != NULL) { /* else it ends by itself */
        io_uring_prep_cancel(entry, op, 0);
        io_uring_sqe_set_data(entry, NULL);
    }
    op->notes |= (op->notes & NOTE_LISTED) != 0 ? EPIO__NOTE_GIVEN_UP : 0;
    return false;
}

/* A ring serves the thread that created it, and the kernel cancels what is in it when that thread
 * ends. */
static void uring_release(void *opaque)
{
    uring_state *state = opaque;
    while (state->in_kernel != 0 && !state->refused) {
        wait_for_either(state, EPIO_FOREVER);
    }
    if (state->in_kernel != 0) {
        end_ring(state);
    }
    close_ring(state);
    close_sentinel(state);
    if (state->embedded && !epio__list_empty(&state->waiting)) {
        epio__backend_epoll.wake(state->epoll);
    }
}

static void uring_forget(void *opaque, epio__os_file *file)
{
    uring_state *state = opaque;
    if (file->ring_table == state->table) {
        empty_table(state);
    }
    if (state->has_ring && !state->refused && something_is_due(state)) {
        look(state); /* the kernel may release the file of its last op only now */
    }
    epio__backend_epoll.forget(state->epoll, file);
}

static void uring_wake(void *opaque)
{
    const uring_state *state = opaque;
    epio__backend_epoll.wake(state->epoll);
}

static void uring_arm(void *opaque, uint64_t deadline)
{
    const uring_state *state = opaque;
    epio__backend_epoll.arm(state->epoll, deadline);
}

static void embed(uring_state *state)
{
    if (state->embedded) {
        return;
    }
    if (state->has_ring) {
        int error =
            io_uring_register_eventfd(&state->ring, epio__epoll_wake_descriptor(state->epoll));
        if (error != 0) {
            give_up_ring(state);
        }
        if (state->in_kernel != 0) {
            epio__backend_epoll.wake(state->epoll); /* there may be completions already */
        }
    }
    state->embedded = true;
}

static intptr_t uring_handle(void *opaque)
{
    uring_state *state = opaque;
    embed(state);
    return epio__backend_epoll.handle(state->epoll);
}

static int uring_notify(void *opaque, void (*ready)(void *user), void *user)
{
    uring_state *state = opaque;
    embed(state);
    return epio__backend_epoll.notify(state->epoll, ready, user);
}

const epio__backend epio__backend_uring = {
    .name = "uring",
    .pins_files = true,
    .open = uring_open,
    .close = uring_close,
    .forked = uring_forked,
    .abandon = uring_abandon,
    .submit = uring_submit,
    .read_together = uring_read_together,
    .flush = uring_flush,
    .poll = uring_poll,
    .cancel = uring_cancel,
    .forget = uring_forget,
    .wake = uring_wake,
    .handle = uring_handle,
    .arm = uring_arm,
    .notify = uring_notify,
    .release = uring_release,
};
