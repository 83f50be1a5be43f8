/* How an op goes through the ring, from the list of those that wait to its completion; and what
 * becomes of it if the process loses the ring. uring.c decides which ops come here.
 *
 * An accepted op stays in `waiting` until the next poll: so submissions are batched, a full ring
 * neither fails nor recurses, and an op that has not started is withdrawn without a system call.
 *
 * Reads that are probably cached are submitted in batches, and most are complete when the call
 * that submits them returns (epio__uring_read_together). */
#include "posix/uring_ops.h"
#include "list.h"
#include "posix/backends.h"
#include "posix/kernel_transfer.h"

#include <poll.h>

/* Files are registered only after this many successive batches, and unregistered by the first
 * iteration without a batch, or after a close. */
#define BATCHES_BEFORE_REGISTERING 8u

/* In op->notes: the op is listed in in_ring; it was submitted in a batch. */
#define NOTE_LISTED EPIO__NOTE_OF_BACKEND
#define NOTE_OF_BATCH (EPIO__NOTE_OF_BACKEND << 1)

/* op->progress of a batched op in flight. No result is as low. */
#define NOT_ENDED ((uint64_t)INT64_MIN)

/* ---- Where an op is ---- */

static void add_ops(epio__uring *state, uint64_t count)
{
    state->ops += count;
    *state->pending_events += count;
}

/* The kernel no longer has it, or the list of those that wait. */
static void leave(epio__uring *state, const epio_op *op)
{
    add_ops(state, UINT64_MAX);
    state->writes_behind -= epio__uring_is_behind(op) ? 1 : 0;
}

void epio__uring_enqueue(epio__uring *state, epio_op *op)
{
    epio_list_append(&state->waiting, &op->queue);
    add_ops(state, 1);
    state->writes_behind += epio__uring_is_behind(op) ? 1 : 0;
}

/* Removes a waiting op. */
static void withdraw(epio__uring *state, epio_op *op)
{
    epio_list_remove(&op->queue);
    leave(state, op);
}

static void list_op(epio__uring *state, epio_op *op)
{
    op->notes |= NOTE_LISTED;
    epio_list_append(&state->in_ring, &op->queue);
    state->listed++;
}

static void unlist_op(epio__uring *state, epio_op *op)
{
    if ((op->notes & NOTE_LISTED) != 0) {
        op->notes &= ~(NOTE_LISTED | NOTE_OF_BATCH);
        epio_list_remove(&op->queue);
        EPIO__ASSERT(state->listed != 0);
        state->listed--;
    }
}

/* The kernel no longer has the op, or never had it. */
static void leave_ring(epio__uring *state, epio_op *op)
{
    unlist_op(state, op);
    EPIO__ASSERT(state->in_kernel != 0);
    state->in_kernel--;
    leave(state, op);
}

/* As epio__leave_batch, with progress reset: nothing is done, and the field still has a value
 * from the batch. */
static bool leave_batch(epio_op *op)
{
    op->progress = 0;
    return epio__leave_batch(op);
}

/* ---- Completions ---- */

static void reap_op(epio__uring *state, epio_op *op, int32_t result)
{
    if (epio__kernel_transfer_ended(op, result)) {
        epio__uring_enqueue(state, op);
    }
}

static void reap_entry(epio__uring *state, const struct io_uring_cqe *entry)
{
    uintptr_t data = (uintptr_t)entry->user_data;
    if (data == (uintptr_t)state) {
        state->polls_epoll = false;
    } else if (data != 0) { /* else the completion of a cancel, which says nothing */
        leave_ring(state, epio__uring_op_of(data));
        if ((data & EPIO__URING_OF_BATCH) == 0 || leave_batch(epio__uring_op_of(data))) {
            reap_op(state, epio__uring_op_of(data), epio__uring_result_of(entry));
        }
    }
}

/* `waited`: the completions arrived after the call that submitted their ops. */
static void reap(epio__uring *state, bool waited)
{
    struct io_uring_cq *queue = &state->ring.io.cq;
    if (!state->ring.open) {
        return;
    }
    unsigned head = *queue->khead;
    unsigned tail = io_uring_smp_load_acquire(queue->ktail);
    unsigned of_batch = tail - head;
    bool polled_epoll = state->polls_epoll;
    epio__queue ended;
    epio__queue_init(&ended);
    for (; head != tail; head++) {
        const struct io_uring_cqe *entry = &queue->cqes[head & queue->ring_mask];
        epio_op *op = epio__uring_op_of((uintptr_t)entry->user_data);
        if ((entry->user_data & EPIO__URING_OF_BATCH) != 0 &&
            entry->res == (int32_t)op->arguments.io.len) {
            op->progress = op->arguments.io.len;
            unlist_op(state, op);
            epio__queue_push(&ended, op);
        } else {
            reap_entry(state, entry);
            of_batch--;
        }
    }
    io_uring_smp_store_release(queue->khead, head);
    EPIO__ASSERT(of_batch <= state->in_kernel);
    state->in_kernel -= of_batch;
    add_ops(state, 0 - (uint64_t)of_batch);
    epio__batch_ended(&ended, waited);
    if (polled_epoll && !state->polls_epoll) {
        epio__backend_epoll.poll(state->epoll, 0);
    }
}

/* ---- Giving the ring up ---- */

/* Entries that the kernel has not consumed go to workers. The second of two whose first it has
 * consumed is left to the end of the ring. */
static void offload_unsubmitted(epio__uring *state)
{
    struct io_uring_sq *queue = &state->ring.io.sq;
    unsigned at = *queue->khead;
    if (at != queue->sqe_tail && epio__uring_is_second(epio__uring_next_entry(&state->ring.io))) {
        at++;
    }
    for (; at != queue->sqe_tail; at++) {
        uintptr_t data = (uintptr_t)queue->sqes[at & queue->ring_mask].user_data;
        if (data != (uintptr_t)state && data != 0 && (data & EPIO__URING_FIRST) == 0) {
            leave_ring(state, epio__uring_op_of(data));
            if ((data & EPIO__URING_OF_BATCH) == 0 || leave_batch(epio__uring_op_of(data))) {
                epio__kernel_transfer_failed(epio__uring_op_of(data));
            }
        }
    }
    queue->sqe_head = queue->sqe_tail;
    *queue->khead = queue->sqe_tail; /* may be written here: the kernel no longer reads the queue */
    *queue->ktail = queue->sqe_tail;
}

/* Lists the ops of the last batches that are still in flight. */
static void list_unfinished(epio__uring *state)
{
    for (uint32_t i = 0; i < state->started_count; i++) {
        if (state->started[i]->progress == NOT_ENDED) {
            state->started[i]->notes |= NOTE_OF_BATCH;
            list_op(state, state->started[i]);
        }
    }
    state->started_count = 0;
}

void epio__uring_drain(epio__uring *state)
{
    while (!epio__uring_ring_has_ended(&state->ring, -1)) {
    }
    epio__epoll_remove_other(state->epoll, state->ring.sentinel);
    epio__uring_sentinel_close(&state->ring);
    while (!epio_list_empty(&state->in_ring)) {
        epio_op *op = EPIO_CONTAINER(state->in_ring.next, epio_op, queue);
        bool of_batch = (op->notes & NOTE_OF_BATCH) != 0;
        leave_ring(state, op);
        if (!of_batch || leave_batch(op)) {
            epio__kernel_transfer_failed(op);
        }
    }
}

/* The process has lost the right to use rings, as one that sandboxes itself may. Ops in flight
 * would never be seen to end: completions of a deferred ring appear within calls that are now
 * refused. But the disk may still write into their buffers. So the ring is closed, and the kernel
 * closes the other end of the sentinel when it is done with the ring; then workers carry out all
 * these ops again (epio__uring_drain). */
void epio__uring_give_up(epio__uring *state)
{
    state->refused = true;
    state->writes = false;
    offload_unsubmitted(state);
    reap(state, true);
    list_unfinished(state);
    epio__uring_ring_close(&state->ring);
    if (state->in_kernel == 0) {
        epio__uring_sentinel_close(&state->ring);
    } else if (!epio__epoll_add_other(state->epoll, state->ring.sentinel)) {
        epio__uring_drain(state);
    }
}

/* Gives the ring up if the kernel refuses for good. */
static void check_result(epio__uring *state, int result)
{
    bool transient = result == -EAGAIN || result == -EBUSY || result == -EINTR || result == -ETIME;
    if (result < 0 && !transient) {
        epio__uring_give_up(state);
    }
}

/* ---- Submitting ---- */

/* Opens one if there is none. */
static bool has_ring(epio__uring *state)
{
    if (!state->ring.open && !state->refused) {
        int wake = state->embedded ? epio__epoll_wake_descriptor(state->epoll) : -1;
        state->refused = !epio__uring_ring_open(&state->ring, wake);
        state->polls_epoll = false;
        if (!state->refused) {
            epio__uring_buffers_register(&state->buffers, &state->ring.io);
        }
    }
    return !state->refused;
}

/* A write starts inside the call that submits it, and may raise SIGXFSZ there. */
static bool may_raise(const epio__uring *state)
{
    return state->writes && epio__writes_are_limited();
}

/* After a submit that returned this. The kernel may stop between the two entries of a write, for
 * lack of memory: then nothing would report when the write has ended, but for the ring's end. */
static void check_submit(epio__uring *state, int result)
{
    unsigned left = io_uring_sq_ready(&state->ring.io);
    state->writes = state->writes && left != 0;
    if (left != 0 && epio__uring_is_second(epio__uring_next_entry(&state->ring.io))) {
        epio__uring_give_up(state);
    } else {
        check_result(state, result);
    }
}

static void submit_guarded(epio__uring *state)
{
    epio__signal_guard guard;
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int result = io_uring_submit(&state->ring.io);
    errno = EFBIG;
    epio__signal_guard_end(&guard, true);
    check_submit(state, result);
}

/* Submits the prepared entries. Those that the kernel does not take now (it lacks memory, or
 * completions must be reaped first) stay for the next time. */
static void submit_entries(epio__uring *state)
{
    if (may_raise(state)) {
        submit_guarded(state);
    } else {
        int result = io_uring_submit(&state->ring.io);
        check_submit(state, result);
    }
}

/* True: there is room for so many, which one call submits. */
static bool has_room(epio__uring *state, unsigned entries)
{
    if (io_uring_sq_space_left(&state->ring.io) < entries) {
        submit_entries(state);
    }
    return state->ring.open && io_uring_sq_space_left(&state->ring.io) >= entries;
}

static struct io_uring_sqe *get_entry(epio__uring *state)
{
    return has_room(state, 1) ? io_uring_get_sqe(&state->ring.io) : NULL;
}

static void offload_waiting(epio__uring *state)
{
    while (!epio_list_empty(&state->waiting)) {
        epio_op *op = EPIO_CONTAINER(state->waiting.next, epio_op, queue);
        withdraw(state, op);
        epio_offload(op);
    }
}

bool epio__uring_fill(epio__uring *state)
{
    state->accepted = 0;
    if (epio_list_empty(&state->waiting)) {
        return true;
    }
    if (!has_ring(state)) {
        offload_waiting(state);
        return false;
    }
    while (!epio_list_empty(&state->waiting) && state->in_kernel < EPIO__URING_MOST_IN_KERNEL) {
        bool room = has_room(state, EPIO__URING_ENTRIES_OF_AN_OP);
        if (state->refused) {
            offload_waiting(state);
            return false;
        }
        if (!room) {
            return true;
        }
        epio_op *op = EPIO_CONTAINER(state->waiting.next, epio_op, queue);
        epio_list_remove(&op->queue);
        epio__uring_prepare(&state->ring.io, &state->buffers, op);
        list_op(state, op);
        state->writes = state->writes || !epio__op_is(op, EPIO__KIND_READS);
        state->in_kernel++;
    }
    return true;
}

bool epio__uring_flush(epio__uring *state)
{
    if (epio__uring_fill(state) && state->ring.open && io_uring_sq_ready(&state->ring.io) != 0) {
        submit_entries(state);
        return !state->ring.open || io_uring_sq_ready(&state->ring.io) == 0;
    }
    return true;
}

/* ---- Batches ---- */

static epio__uring_file file_for_entry(epio__uring *state, epio__os_file *file)
{
    if (state->batches > BATCHES_BEFORE_REGISTERING &&
        epio__uring_can_register(&state->ring, file)) {
        epio__uring_register_file(&state->ring, file);
    }
    epio__uring_file by_slot = {(int)file->ring_index, IOSQE_FIXED_FILE};
    epio__uring_file by_descriptor = {(int)file->transfer_handle, 0};
    return epio__uring_is_registered(&state->ring, file) ? by_slot : by_descriptor;
}

/* Prepares as many as the ring and the kernel have room for; returns how many. */
static uint32_t prepare_batch(epio__uring *state, epio_node **first, uint32_t count)
{
    struct io_uring_sq *queue = &state->ring.io.sq;
    unsigned tail = queue->sqe_tail;
    unsigned room = queue->ring_entries - (tail - IO_URING_READ_ONCE(*queue->khead));
    uint32_t room_in_kernel = EPIO__URING_MOST_IN_KERNEL - state->in_kernel;
    room = room < room_in_kernel ? room : room_in_kernel;
    count = count < room ? count : room;
    epio_node *node = *first;
    const epio__os_file *file = NULL; /* most are on the same file as the one before */
    epio__uring_file target = {-1, 0};
    for (unsigned end = tail + count; tail != end; tail++) {
        epio_op *op = epio__op_of_queue(node);
        if (epio__os_file_of(op) != file) {
            if (epio__uring_excludes(op)) {
                count -= end - tail;
                break;
            }
            file = epio__os_file_of(op);
            target = file_for_entry(state, epio__os_file_of(op));
        }
        int buffer =
            epio__uring_buffers_find(&state->buffers, op->arguments.io.base, op->arguments.io.len);
        epio__uring_prepare_batched(&queue->sqes[tail & queue->ring_mask], target, buffer, op);
        op->progress = NOT_ENDED;
        state->started[state->started_count++] = op;
        node = node->next;
    }
    *first = node;
    queue->sqe_tail = tail;
    state->in_kernel += count;
    add_ops(state, count);
    return count;
}

static void unregister_files(epio__uring *state)
{
    state->batches = 0;
    if (state->ring.registered != 0 && !epio__uring_unregister_files(&state->ring)) {
        epio__uring_give_up(state);
    }
}

epio_node *epio__uring_read_together(void *opaque, epio_node *first, uint32_t count)
{
    epio__uring *state = opaque;
    uint32_t started = 1;
    if (count == 0) {
        unregister_files(state);
        return NULL;
    }
    state->batches++;
    while (count != 0 && started != 0 && has_ring(state)) {
        started = prepare_batch(state, &first, count);
        count -= started;
        submit_entries(state);
    }
    if (state->ring.open) {
        reap(state, false);
        if (state->in_kernel != state->listed) {
            list_unfinished(state);
        }
        state->started_count = 0;
    }
    return first;
}

/* ---- Registered memory ---- */

/* Entries that are not submitted yet name the old parts. */
int epio__uring_register_buffers(epio__uring *state, const epio_iovec *parts, size_t count)
{
    if (has_ring(state) && io_uring_sq_ready(&state->ring.io) != 0) {
        submit_entries(state);
        if (state->ring.open && io_uring_sq_ready(&state->ring.io) != 0) {
            return EPIO_EBUSY;
        }
    }
    if (state->ring.open) {
        epio__uring_buffers_unregister(&state->buffers, &state->ring.io);
    }
    state->buffers = (epio__uring_buffers){.parts = parts, .count = (uint32_t)count};
    if (state->ring.open) {
        epio__uring_buffers_register(&state->buffers, &state->ring.io);
    }
    return state->buffers.in_ring ? 1 : 0;
}

/* ---- Polling and waiting ---- */

/* Completions wait that appear only within a call of the kernel. */
bool epio__uring_has_more(const epio__uring *state)
{
    const unsigned due = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return state->ring.open && (IO_URING_READ_ONCE(*state->ring.io.sq.kflags) & due) != 0;
}

void epio__uring_poll(epio__uring *state)
{
    if (!state->ring.open) {
        return;
    }
    if (io_uring_sq_ready(&state->ring.io) != 0) {
        submit_entries(state);
    }
    if (epio__uring_has_more(state)) {
        check_result(state, io_uring_get_events(&state->ring.io));
    }
    reap(state, true);
}

void epio__uring_wait(epio__uring *state, uint64_t deadline)
{
    struct io_uring_sqe *entry = state->polls_epoll ? NULL : get_entry(state);
    if (entry != NULL) {
        io_uring_prep_poll_add(entry, epio__epoll_descriptor(state->epoll), POLLIN);
        io_uring_sqe_set_data(entry, state);
        state->polls_epoll = true;
    }
    if (!state->polls_epoll) {
        return; /* no wake would be noticed; the next poll retries */
    }
    if (may_raise(state)) {
        /* Without waiting: that would hold back the program's own signal. */
        submit_guarded(state);
        reap(state, true);
        return;
    }
    struct __kernel_timespec timeout = {0, 0};
    if (deadline != EPIO_FOREVER) {
        uint64_t now = epio__monotonic_time();
        struct timespec time = epio__timespec(deadline > now ? deadline - now : 0);
        timeout.tv_sec = time.tv_sec;
        timeout.tv_nsec = time.tv_nsec;
    }
    struct io_uring_cqe *first = NULL;
    int result = io_uring_submit_and_wait_timeout(&state->ring.io, &first, 1,
                                                  deadline != EPIO_FOREVER ? &timeout : NULL, NULL);
    check_submit(state, result);
    reap(state, true);
}

/* ---- Ending early ---- */

bool epio__uring_cancel(epio__uring *state, epio_op *op)
{
    if ((op->notes & NOTE_LISTED) == 0 && op->queue.next != NULL) {
        withdraw(state, op);
        return true;
    }
    struct io_uring_sqe *entry = state->ring.open ? get_entry(state) : NULL;
    if (entry != NULL) { /* else it ends by itself */
        uintptr_t mark = epio__uring_is_behind(op) ? EPIO__URING_FIRST : 0;
        io_uring_prep_cancel64(entry, (uintptr_t)op | mark, 0);
        io_uring_sqe_set_data(entry, NULL);
    }
    op->notes |= (op->notes & NOTE_LISTED) != 0 ? EPIO__NOTE_GIVEN_UP : 0;
    return false;
}

void epio__uring_forget(epio__uring *state, const epio__os_file *file)
{
    if (epio__uring_is_registered(&state->ring, file)) {
        unregister_files(state);
    }
    if (epio__uring_has_more(state)) {
        epio__uring_poll(state); /* the kernel may release the file of its last op only now */
    }
}
