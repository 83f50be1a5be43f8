/* Linux: reads and writes that would wait for the disk go to an io_uring; all
 * else, streams and wakes and timers, is left to epoll, whose descriptor the ring
 * waits for beside its own completions.
 *
 * An op that was accepted lies in `waiting` until the next look at the kernel:
 * so submissions are batched, a full ring neither fails nor recurses, and what
 * has not begun is given up without asking anybody. Whatever a ring says but
 * success is not taken for the truth: a worker tries again by the ordinary call,
 * and has the last word.
 *
 * What a ring has, the kernel keeps open: after the process is gone for as long as it takes to
 * end a transfer, and when a thread of the kernel's carries one out for a moment after it was
 * completed. So the descriptor that holds a lock is never in a ring (range_lock.c); and no
 * direct transfer of what could be written to goes to those threads, since a file that is closed
 * must be closed for everybody.
 *
 * Reads of what is probably in memory come many at a time, and are over, most of them, when the
 * call returns that began them all (uring_read_together). */
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

/* Entries to submit at once, and ops that the kernel has at a time: disks have
 * shorter queues. Its own queue holds twice as many completions, so that those of
 * cancels find room too. */
#define SUBMISSIONS 256u
#define MOST_IN_KERNEL 1024u

/* IOV_MAX of Linux. */
#define MOST_PARTS 1024u

/* A ring's table of files, for batches alone: an entry saves the kernel from asking for the
 * file with each read, which is a tenth of one that is in memory. A file that is in the table
 * stays open for the system whoever closes it. So it is put there once so many batches
 * have followed each other, and taken out by the first iteration that has none, or comes after
 * a close. */
#define MOST_REGISTERED 16u
#define BATCHES_BEFORE_REGISTERING 8u

/* The place behind those is the sentinel's: see give_up_ring. */
#define PLACES (MOST_REGISTERED + 1)

/* In op->notes: it is listed in in_ring; came there from a batch. */
#define NOTE_LISTED EPIO__NOTE_OF_BACKEND
#define NOTE_OF_BATCH (EPIO__NOTE_OF_BACKEND << 1)

/* op->progress of one of a batch that has not ended. No result is as low. */
#define NOT_ENDED ((uint64_t)INT64_MIN)

typedef struct uring_state {
    void *epoll;
    struct io_uring ring;
    bool has_ring;
    bool refused;       /* no ring is to be had any more: all goes to workers */
    int sentinel;       /* ends when the kernel has nothing of the ring any more; -1: no ring */
    bool embedded;      /* completions have to make epoll's descriptor readable */
    bool watches_epoll; /* the ring will tell when epoll's descriptor is readable */
    bool writes;        /* among the entries that were not submitted yet */
    bool has_table;
    uint32_t table;      /* file->ring_table of those that are in it now */
    uint32_t registered; /* how many they are */
    uint32_t batches;    /* since it was empty */
    uint32_t in_kernel;  /* ops that have an entry */
    uint64_t ops;        /* those and the ones that wait */
    epio_node waiting;
    epio_node in_ring;      /* those that have an entry, but for the next */
    uint32_t listed;        /* how many those are */
    uint32_t begun_at_once; /* how many of these are in use */
    epio_op *begun[MOST_IN_KERNEL];
    uint64_t *watched; /* ops, and epoll's streams */
} uring_state;

/* An epio_iovec array is given to the kernel as it is. */
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

/* The kernel has it no more, or never had it. */
static void come_back(uring_state *state, epio_op *op)
{
    take_off_list(state, op);
    state->in_kernel--;
    add_ops(state, UINT64_MAX);
}

/* Out of what waits. */
static void withdraw(uring_state *state, epio_op *op)
{
    epio__list_remove(&op->queue);
    add_ops(state, UINT64_MAX);
}

/* ---- The ring's life ---- */

/* Best first. With DEFER_TASKRUN completions are worked on when the owner asks for
 * them and never interrupt it, with COOP_TASKRUN at its next system call; both say
 * by a flag in memory that there are some. */
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

/* Its memory was mapped by the descriptor that it was made with, and stays so. */
static bool move_ring(struct io_uring *ring)
{
    int moved = epio__descriptor_move(ring->ring_fd);
    ring->ring_fd = moved;
    ring->enter_ring_fd = moved;
    return moved >= 0;
}

/* The ring gets a table of files, among them the only descriptor of a pipe's write end: so
 * the read end says when the kernel is done with the ring and all that was in it. */
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

/* Its descriptor is not registered as those of files are, which would save a tenth of a
 * microsecond: a ring that is has no end before its thread, should the kernel refuse that. */
static bool open_ring(uring_state *state)
{
    if (make_ring(&state->ring) != 0) {
        return false;
    }
    /* A wait with a limit (Linux 5.11), and no completion lost whatever comes. */
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

/* False: the kernel has the files for good, or as long as the ring. */
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
        return; /* what the kernel did not take yet may still name a place by an older table */
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
            (void)take_out_files(state); /* now, and not when the kernel comes to it */
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

/* A ring does not end, nor let go of its files, while a child has it. Its memory is the
 * parent's too, and is not written to. */
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

/* ---- Accepting ---- */

/* The kernel would carry out a buffered write, and what it cannot read without
 * waiting, on threads of its own: a worker of ours is nearer. docs/performance.md
 * has the figures. */
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
        return false; /* to pin or copy so much takes the owner's time */
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

/* An op of a batch is known by its entry's user data: its address, and this bit. */
#define OF_BATCH ((uintptr_t)1)

static epio_op *op_of(uintptr_t data)
{
    return (epio_op *)(data & ~OF_BATCH);
}

/* As epio__leave_batch: nothing of it is done, whatever its last flight has left there. */
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
        /* By the disk, but by no thread of the kernel's, which would keep the file open for
         * writing. Reads of what cannot be written may take that way: pages that another
         * program has yet to write out would else send each of them to a worker. */
        entry->rw_flags = RWF_NOWAIT;
    }
    io_uring_sqe_set_data(entry, op);
}

/* It was not carried out, as far as can be told. */
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

/* What the kernel was not given yet goes to workers. */
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
    *queue->khead = queue->sqe_tail; /* ours to write now that the kernel never looks */
    *queue->ktail = queue->sqe_tail;
}

/* Those of the last batches that the kernel still has. */
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

/* The ring that was given up, waiting for its end. */
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

/* The process has lost the right to use rings, as one that locks itself in may. What the
 * kernel has now would not be seen to end: completions of a deferred ring appear within calls
 * that are refused. But the disk may write into the buffers all that time. So the ring is
 * closed, and the kernel closes the other end of the sentinel when nothing of it is left;
 * then workers carry all of it out once more (end_ring). */
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

/* Gives the kernel what was prepared. What it does not take now (it lacks memory,
 * or completions are to be reaped first) stays for the next time. */
static void submit_entries(uring_state *state)
{
    if (!state->writes) {
        heed(state, io_uring_submit(&state->ring));
        return;
    }
    /* A write begins inside of the call, with the signals that are its own. */
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

/* How an entry names a file: by its descriptor, or its place in the table. */
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
    /* What liburing clears, some versions here, others where they hand out the entry. */
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

/* Gives the ring what waits, as much as it takes. False: there is no ring to be had,
 * and the loop has new work for its workers. */
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

/* True: the kernel has done all that it was asked for, or there is no more. */
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
    } else if (whose != 0) { /* else the answer to a cancel, which says nothing */
        come_back(state, op_of(whose));
        if ((whose & OF_BATCH) == 0 || leave_batch(op_of(whose))) {
            reap_op(state, op_of(whose), entry->res);
        }
    }
}

/* `waited`: what is found has come after the call that began it. */
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

/* As many as the ring and the kernel have room for: how many. */
static uint32_t prepare_batch(uring_state *state, epio_node **first, uint32_t count)
{
    struct io_uring_sq *queue = &state->ring.sq;
    unsigned tail = queue->sqe_tail;
    unsigned room = queue->ring_entries - (tail - IO_URING_READ_ONCE(*queue->khead));
    uint32_t room_in_kernel = MOST_IN_KERNEL - state->in_kernel;
    room = room < room_in_kernel ? room : room_in_kernel;
    count = count < room ? count : room;
    epio_node *node = *first;
    const epio__os_file *file = NULL; /* most are of the same as the one before */
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

/* Until the ring or epoll has something, or the deadline. */
static void wait_for_either(uring_state *state, uint64_t deadline)
{
    struct io_uring_sqe *entry = state->watches_epoll ? NULL : take_entry(state);
    if (entry != NULL) {
        io_uring_prep_poll_add(entry, epio__epoll_descriptor(state->epoll), POLLIN);
        io_uring_sqe_set_data(entry, state);
        state->watches_epoll = true;
    }
    if (!state->watches_epoll) {
        return; /* nothing would tell of wakes; the next look may have more luck */
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

/* Completions signal the descriptor of wakes, which an embedded loop's host waits
 * for. It is reset after a look, and looked at once more, for what came in between. */
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

/* ---- Everything else ---- */

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
    if (entry != NULL) { /* else it ends when it ends */
        io_uring_prep_cancel(entry, op, 0);
        io_uring_sqe_set_data(entry, NULL);
    }
    op->notes |= (op->notes & NOTE_LISTED) != 0 ? EPIO__NOTE_GIVEN_UP : 0;
    return false;
}

/* A ring serves the thread that made it, and the kernel drops what is in it when
 * that thread ends. */
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
        look(state); /* it may be that the kernel lets go of the file's last op only now */
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
