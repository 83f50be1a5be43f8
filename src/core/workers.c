/* See workers.h. What the owner does: offloads, collects, takes back, writes off. */
#include "core/workers.h"

#include "core/loop.h"
#include "core/worker.h"
#include "fatal.h"

#include <stdlib.h>

/* Slower flushes are not for the owner's thread. */
#define LONG_FLUSH_NS UINT64_C(20000000)

/* Time for a thread to return the true result of a cancelled op on a path before it is written off:
 * less if the op was offloaded a while ago. */
#define MOMENT_NS UINT64_C(4000000)
#define LAST_MOMENT_NS UINT64_C(1000000)

/* Time until the next try to start a thread, after one failed. */
#define RETRY_NS UINT64_C(10000000)

void epio__workers_init(epio_loop *loop, uint32_t most)
{
    epio__workers *workers = &loop->workers;
    workers->loop = loop;
    workers->references = 1;
    workers->several_processors = epio__processor_count() > 1;
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane_init(&workers->lanes[i], workers, i, most);
    }
}

/* ---- Offloading ---- */

/* The workers do not have it any more. */
static void leave_workers(epio_op *op)
{
    EPIO__ASSERT(op->loop->at_workers != 0);
    op->worker_state = EPIO__WORKER_NONE;
    op->loop->at_workers--;
    op->loop->writes_at_workers -= epio__lane_of(op) == EPIO__LANE_WRITE ? 1 : 0;
}

/* Ends what no worker will carry out; what must run the owner carries out. */
static void fail_all(epio_node *queue)
{
    while (!epio_list_empty(queue)) {
        epio_op *op = epio__op_of_queue(queue->next);
        epio_list_remove(&op->queue);
        leave_workers(op);
        bool here = epio__op_is(op, EPIO__KIND_MUST_RUN);
        op->route = here ? EPIO__ROUTE_OWNER : EPIO__ROUTE_NONE;
        epio_complete(op, here ? op->vfs->methods->perform(op->vfs, op) : EPIO_ENOMEM);
    }
}

/* A flush often follows a write, whose thread is still awake and idle: true, and that thread gets
 * the flush. */
static bool give_flush_to_writer(epio_loop *loop, epio_node *flush)
{
    epio__lane *lane = &loop->workers.lanes[EPIO__LANE_WRITE];
    epio__mutex_lock(&lane->mutex);
    const epio_op *op = epio__op_of_queue(flush->next);
    /* One flush at a time: the other threads are for writes. */
    bool awake = lane->spinning + epio__lane_about_to_check(lane) != 0 &&
                 epio_list_empty(&lane->queue) && lane->flushing == 0 &&
                 epio__lane_worker_at_file(lane, op->file) == NULL;
    if (awake) {
        epio__op_of_queue(flush->next)->worker_state = EPIO__WORKER_QUEUED + EPIO__LANE_WRITE;
        epio_list_move_all(&lane->queue, flush);
        lane->queued++;
        epio__lane_wake(lane);
    }
    epio__lane_unlock(lane);
    return awake;
}

/* The lane whose queue the op goes to. */
static uint32_t lane_to_queue(const epio_op *op)
{
    bool behind = op->kind == EPIO_KIND_SYNC && epio__barrier_flush_is_behind(op);
    return behind ? EPIO__LANE_WRITE : epio__lane_of(op);
}

void epio__workers_offload(epio_loop *loop)
{
    epio_node batches[EPIO__LANES];
    uint32_t counts[EPIO__LANES] = {0};
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio_list_init(&batches[i]);
    }
    uint64_t now = 0;
    while (!epio_list_empty(&loop->to_offload)) {
        epio_op *op = epio__op_of_queue(loop->to_offload.next);
        uint32_t lane = lane_to_queue(op);
        EPIO__ASSERT(op->phase == EPIO__PHASE_HELD && op->worker_state == EPIO__WORKER_TO_OFFLOAD);
        if (epio__workers_may_write_off(op)) {
            now = now != 0 ? now : epio__monotonic_time();
            op->offloaded_at = now;
        }
        epio_list_remove(&op->queue);
        op->worker_state = EPIO__WORKER_QUEUED + lane;
        op->route = EPIO__ROUTE_WORKER;
        epio_list_append(&batches[lane], &op->queue);
        counts[lane]++;
        loop->at_workers++;
        loop->writes_at_workers += epio__lane_of(op) == EPIO__LANE_WRITE ? 1 : 0;
    }
    loop->to_offload_count = 0;
    loop->to_offload_writes = 0;
    if (counts[EPIO__LANE_FLUSH] == 1 && counts[EPIO__LANE_WRITE] == 0 &&
        give_flush_to_writer(loop, &batches[EPIO__LANE_FLUSH])) {
        counts[EPIO__LANE_FLUSH] = 0;
    }
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        if (counts[i] == 0) {
            continue;
        }
        epio__lane *lane = &loop->workers.lanes[i];
        epio__mutex_lock(&lane->mutex);
        epio_list_move_all(&lane->queue, &batches[i]);
        lane->queued += counts[i];
        epio__lane_wake(lane);
        epio__lane_take_unserved(lane, &batches[i]);
        epio__lane_unlock(lane);
        fail_all(&batches[i]);
    }
}

static void retry_in(epio__lane *lane)
{
    epio_node unserved;
    epio_list_init(&unserved);
    epio__mutex_lock(&lane->mutex);
    if (lane->lacks_thread) {
        lane->lacks_thread = false;
        epio__lane_wake(lane);
        epio__lane_take_unserved(lane, &unserved);
    }
    epio__lane_unlock(lane);
    fail_all(&unserved);
}

void epio__workers_retry(epio_loop *loop)
{
    if (epio__load_u32(&loop->workers.lacks_threads) == 0) {
        return;
    }
    uint64_t now = epio__monotonic_time();
    if (loop->retry_at > now) {
        return;
    }
    if (loop->retry_at != 0) {
        epio__store_u32(&loop->workers.lacks_threads, 0);
        for (uint32_t i = 0; i < EPIO__LANES; i++) {
            retry_in(&loop->workers.lanes[i]);
        }
    }
    bool lacks = epio__load_u32(&loop->workers.lacks_threads) != 0;
    loop->retry_at = lacks ? now + RETRY_NS : 0;
}

/* ---- On the owner's thread ---- */

/* The owner reacts to nothing while it carries an op out: only short ops that need no more than
 * this machine's memory and disks. An open may reach a dead mount. */
static bool is_short_and_local(const epio_op *op)
{
    if (op->kind == EPIO_KIND_UNMAP) {
        const epio_mapping *mapping = op->arguments.map.mapping;
        return (mapping->attributes & EPIO_FILE_LOCAL) != 0 && mapping->len <= EPIO__LARGE_COPY;
    }
    if (!epio__op_has_file(op) || (op->file->attributes & EPIO_FILE_LOCAL) == 0) {
        return false;
    }
    if ((op->state_flags & EPIO__FLAG_INTERNAL) != 0) {
        uint64_t took = EPIO_CONTAINER(op, epio_file, flush)->flush_took;
        return took != 0 && took < LONG_FLUSH_NS;
    }
    switch (op->kind) {
    case EPIO_KIND_SIZE:
    case EPIO_KIND_FILE_STAT:
    case EPIO_KIND_CLOSE:
    case EPIO_KIND_MAP: /* whatever its length */
        return true;
    default:
        return epio__op_transfers(op) && epio_op_bytes(op) <= EPIO__LARGE_COPY;
    }
}

bool epio__workers_owner_may_perform(const epio_loop *loop)
{
    if (loop->at_workers != 0 || loop->to_offload_count == 0) {
        return false;
    }
    /* Several ops gain by running in parallel, except buffered writes. */
    if (loop->to_offload_count != loop->to_offload_writes && loop->to_offload_count != 1) {
        return false;
    }
    return is_short_and_local(EPIO_CONTAINER(loop->to_offload.next, epio_op, queue));
}

void epio__workers_take_unoffloaded(epio_op *op)
{
    epio_loop *loop = op->loop;
    EPIO__ASSERT(loop->to_offload_count != 0);
    epio_list_remove(&op->queue);
    loop->to_offload_count--;
    loop->to_offload_writes -= epio__lane_of(op) == EPIO__LANE_WRITE ? 1 : 0;
    op->worker_state = EPIO__WORKER_NONE;
}

void epio__workers_perform_one(epio_loop *loop)
{
    epio_op *op = epio__op_of_queue(loop->to_offload.next);
    epio__workers_take_unoffloaded(op);
    op->route = EPIO__ROUTE_OWNER;
    epio_complete(op, op->vfs->methods->perform(op->vfs, op));
}

/* ---- For VFSes ---- */

void epio_offload(epio_op *op)
{
    epio__require(op, "epio_offload", "the op is NULL");
    epio_loop *loop = op->loop;
    epio__op_check_in_hand(op, "epio_offload");
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->fast = EPIO__FAST_NOT;
    op->worker_state = EPIO__WORKER_TO_OFFLOAD;
    epio_list_append(&loop->to_offload, &op->queue);
    loop->to_offload_count++;
    loop->to_offload_writes += epio__lane_of(op) == EPIO__LANE_WRITE ? 1 : 0;
    epio__loop_notify_host(loop);
}

void epio_defer(epio_op *op)
{
    epio__require(op, "epio_defer", "the op is NULL");
    epio__op_check_in_hand(op, "epio_defer");
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->fast = EPIO__FAST_NOT;
    op->worker_state = EPIO__WORKER_DEFERRED;
    op->loop->counters.deferred++;
    epio_list_append(&op->loop->deferred, &op->queue);
    epio__loop_notify_host(op->loop);
}

/* ---- Collecting and taking back ---- */

void epio__workers_collect(epio_op *op)
{
    EPIO__ASSERT(op->worker_state == EPIO__WORKER_TAKEN);
    leave_workers(op);
}

static bool take_back_from_queue(epio_op *op, epio__lane *lane)
{
    epio__mutex_lock(&lane->mutex);
    bool queued = op->worker_state >= EPIO__WORKER_QUEUED;
    if (queued) {
        epio_list_remove(&op->queue);
        lane->queued -= op->worker_state < EPIO__WORKER_QUEUED + EPIO__LANES ? 1 : 0;
        leave_workers(op);
    }
    epio__mutex_unlock(&lane->mutex);
    return queued;
}

epio__take_back epio__workers_take_back(epio_op *op)
{
    /* A worker changes this state only of an op that is in its queue. */
    uint32_t place = epio__load_relaxed_u32(&op->worker_state);
    switch (place) {
    case EPIO__WORKER_NONE:
        return EPIO__TAKE_BACK_NOT_THERE;
    case EPIO__WORKER_DEFERRED:
        epio_list_remove(&op->queue);
        op->worker_state = EPIO__WORKER_NONE;
        return EPIO__TAKE_BACK_DONE;
    case EPIO__WORKER_TO_OFFLOAD:
        epio__workers_take_unoffloaded(op);
        return EPIO__TAKE_BACK_DONE;
    case EPIO__WORKER_TAKEN:
        return EPIO__TAKE_BACK_TOO_LATE;
    default:
        place = (place - EPIO__WORKER_QUEUED) % EPIO__LANES;
        return take_back_from_queue(op, &op->loop->workers.lanes[place]) ? EPIO__TAKE_BACK_DONE
                                                                         : EPIO__TAKE_BACK_TOO_LATE;
    }
}

static epio__worker *worker_at(const epio__lane *lane, const epio_op *op)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (epio__worker_of(node)->op == op) {
            return epio__worker_of(node);
        }
    }
    return NULL;
}

static epio__lane *lane_at_work_on(const epio_op *op)
{
    return &op->loop->workers.lanes[epio__lane_of(op)];
}

bool epio__workers_may_write_off(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_PATH) && op->vfs == op->loop->resident;
}

void epio__workers_expect(epio_op *op)
{
    epio__lane *lane = lane_at_work_on(op);
    uint64_t now = epio__monotonic_time();
    epio__mutex_lock(&lane->mutex); /* the thread, too, sets op->due, for a retry */
    bool for_long = now - op->offloaded_at >= EPIO__PATIENCE_WITH_PATHS_NS;
    op->due_for = EPIO__DUE_WRITE_OFF;
    op->due = now + (for_long ? LAST_MOMENT_NS : MOMENT_NS);
    epio__mutex_unlock(&lane->mutex);
}

bool epio__workers_write_off(epio_op *op)
{
    epio__lane *lane = lane_at_work_on(op);
    epio_node unserved;
    epio_list_init(&unserved);
    epio__mutex_lock(&lane->mutex);
    epio__worker *worker = worker_at(lane, op);
    if (worker != NULL) {
        worker->op = NULL;
        worker->written_off = true;
        epio__add_u32(&lane->workers->late_opens, worker->opens ? 1 : 0);
        epio__lane_mark_overdue(lane, worker);
        epio__lane_wake(lane);
        epio__lane_take_unserved(lane, &unserved);
    }
    epio__lane_unlock(lane);
    fail_all(&unserved);
    if (worker != NULL) {
        leave_workers(op);
    }
    return worker != NULL;
}

uint32_t epio__workers_count_threads(epio__workers *workers)
{
    uint32_t threads = 0;
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane *lane = &workers->lanes[i];
        epio__mutex_lock(&lane->mutex);
        threads += lane->running + lane->overdue;
        epio__mutex_unlock(&lane->mutex);
    }
    return threads;
}

void epio__workers_release(epio__workers *workers)
{
    if (epio__subtract_u32(&workers->references, 1) == 1) {
        for (uint32_t i = 0; i < EPIO__LANES; i++) {
            epio__lane_destroy(&workers->lanes[i]);
        }
        free(workers->loop);
    }
}

void epio__workers_stop(epio__workers *workers)
{
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__worker_join_all(&workers->lanes[i]);
    }
}
