/* See workers.h. A worker runs the `perform` of the VFS that holds the op and
 * posts the op back; it knows nothing else of it. Threads start when there is
 * work for them and leave when there was none for a while. */
#include "core/workers.h"

#include "core/fatal.h"
#include "core/loop.h"

#define IDLE_BEFORE_LEAVING_NS UINT64_C(2000000000)

/* How long a writer looks out for the next write before it sleeps. */
#define SPIN_NS UINT64_C(50000)

/* How far a thread looks for an op whose file nobody is at. */
#define SEARCH_LIMIT 64

enum { LANE_READ, LANE_WRITE, LANE_FLUSH, LANE_LOCK, LANE_PATH, LANE_WORK };

enum { WORKER_NONE, WORKER_RUNNING, WORKER_LEFT };

static uint32_t lane_of(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
        return LANE_READ;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
    case EPIO_KIND_TRUNCATE:
        return LANE_WRITE;
    case EPIO_KIND_SYNC:
        return LANE_FLUSH;
    case EPIO_KIND_LOCK:
    case EPIO_KIND_UNLOCK:
        return LANE_LOCK;
    case EPIO_KIND_WORK:
        return LANE_WORK;
    default:
        return LANE_PATH;
    }
}

void epio__workers_init(epio__workers *workers, uint32_t readers)
{
    workers->several_processors = epio__processor_count() > 1;
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane *lane = &workers->lanes[i];
        epio__mutex_init(&lane->mutex);
        epio__condition_init(&lane->work);
        epio__list_init(&lane->queue);
        lane->limit = i == LANE_READ || i == LANE_WORK ? readers : 4;
        /* Writers of one file would only wait for each other in the kernel; its
         * locks are to be taken and released in order. */
        lane->one_per_file = i == LANE_WRITE || i == LANE_LOCK;
        lane->spins = i == LANE_WRITE && workers->several_processors;
    }
}

static bool somebody_is_at(const epio__lane *lane, const epio_file *file)
{
    for (uint32_t i = 0; i < lane->limit; i++) {
        if (lane->workers[i].file == file) {
            return true;
        }
    }
    return false;
}

/* The next op that may be begun; NULL: none. */
static epio_op *next_op(epio__lane *lane)
{
    uint32_t looked_at = 0;
    for (epio_node *node = lane->queue.next; node != &lane->queue; node = node->next) {
        epio_op *op = epio__op_of_queue(node);
        if (!lane->one_per_file || !somebody_is_at(lane, op->file)) {
            return op;
        }
        if (++looked_at == SEARCH_LIMIT) {
            return NULL;
        }
    }
    return NULL;
}

static void worker_run(void *argument);

/* Starts one more thread: false if there is no slot or no memory for one. */
static bool start_worker(epio__lane *lane)
{
    for (uint32_t i = 0; i < lane->limit; i++) {
        epio__worker *worker = &lane->workers[i];
        if (worker->state == WORKER_RUNNING) {
            continue;
        }
        if (worker->state == WORKER_LEFT) {
            epio__thread_join(&worker->thread);
        }
        worker->lane = lane;
        worker->file = NULL;
        worker->state = WORKER_NONE;
        if (epio__thread_start(&worker->thread, worker_run, worker) != 0) {
            return false;
        }
        worker->state = WORKER_RUNNING;
        return true;
    }
    return false;
}

/* Gets threads going for `count` new ops. */
static void rouse(epio__lane *lane, uint64_t count)
{
    epio__store_relaxed_u32(&lane->handed_over, lane->handed_over + 1);
    count -= count < lane->spinning ? count : lane->spinning;
    while (count > 0 && lane->idle > lane->signalled) {
        lane->signalled++;
        count--;
        epio__condition_signal(&lane->work);
    }
    while (count > 0 && start_worker(lane)) {
        count--;
    }
}

static void run_op(epio__lane *lane, epio__worker *worker, epio_op *op)
{
    epio__list_remove(&op->queue);
    epio__store_relaxed_u32(&op->place, EPIO__PLACE_TAKEN);
    bool flushes_for_writers = lane->one_per_file && op->kind == EPIO_KIND_SYNC;
    lane->flushing += flushes_for_writers ? 1 : 0;
    worker->file = flushes_for_writers ? NULL : op->file; /* others may write */
    if (lane->one_per_file && next_op(lane) != NULL) {
        rouse(lane, 1); /* there is another file's */
    }
    epio__mutex_unlock(&lane->mutex);
    epio_complete(op, op->vfs->methods->perform(op->vfs, op));
    epio__mutex_lock(&lane->mutex);
    worker->file = NULL;
    lane->flushing -= flushes_for_writers ? 1 : 0;
}

typedef struct handed_over {
    const epio__lane *lane;
    uint32_t seen;
} handed_over;

static bool was_handed_over(const void *of)
{
    const handed_over *look = of;
    return epio__load_relaxed_u32(&look->lane->handed_over) != look->seen;
}

/* True if there may be something to do, so that the thread need not sleep. */
static bool spin_for_work(epio__lane *lane, epio__worker *worker)
{
    if (!lane->spins || !epio__spin_pays(&worker->spin)) {
        return false;
    }
    handed_over look = {lane, lane->handed_over};
    lane->spinning++;
    epio__mutex_unlock(&lane->mutex);
    (void)epio__spin_until(&worker->spin, epio__deadline_after(SPIN_NS), was_handed_over, &look);
    epio__mutex_lock(&lane->mutex);
    lane->spinning--;
    return lane->handed_over != look.seen || lane->stopping;
}

static void worker_run(void *argument)
{
    epio__worker *worker = argument;
    epio__lane *lane = worker->lane;
    epio__mutex_lock(&lane->mutex);
    for (;;) {
        epio_op *op = next_op(lane);
        if (op != NULL) {
            run_op(lane, worker, op);
            continue;
        }
        if (lane->stopping) {
            break;
        }
        if (spin_for_work(lane, worker)) {
            continue;
        }
        lane->idle++;
        bool in_time = epio__condition_wait_until(&lane->work, &lane->mutex,
                                                  epio__deadline_after(IDLE_BEFORE_LEAVING_NS));
        lane->idle--;
        if (lane->signalled > 0) {
            lane->signalled--;
        } else if (!in_time && epio__list_empty(&lane->queue)) {
            break;
        }
    }
    worker->state = WORKER_LEFT;
    epio__mutex_unlock(&lane->mutex);
}

static bool has_workers(const epio__lane *lane)
{
    for (uint32_t i = 0; i < lane->limit; i++) {
        if (lane->workers[i].state == WORKER_RUNNING) {
            return true;
        }
    }
    return false;
}

/* No thread is there and none can be had. */
static void refuse_all(epio_node *queue)
{
    while (!epio__list_empty(queue)) {
        epio_op *op = epio__op_of_queue(queue->next);
        epio__list_remove(&op->queue);
        op->place = EPIO__PLACE_TAKEN;
        bool here = epio__op_must_run(op);
        op->way = here ? EPIO__WAY_OWNER : EPIO__WAY_NOBODY;
        epio_complete(op, here ? op->vfs->methods->perform(op->vfs, op) : EPIO_ENOMEM);
    }
}

/* A flush often follows a write, whose thread is still awake and has nothing else to
 * do: true, and the flush is its. */
static bool give_flush_to_writer(epio_loop *loop, epio_node *flush)
{
    epio__lane *lane = &loop->workers.lanes[LANE_WRITE];
    epio__mutex_lock(&lane->mutex);
    const epio_op *op = epio__op_of_queue(flush->next);
    /* One at a time: the other threads are for writes. */
    bool awake = lane->spinning != 0 && epio__list_empty(&lane->queue) && lane->flushing == 0 &&
                 !somebody_is_at(lane, op->file);
    if (awake) {
        epio__op_of_queue(flush->next)->place = EPIO__PLACE_QUEUED + LANE_WRITE;
        epio__list_move_all(&lane->queue, flush);
        rouse(lane, 1);
    }
    epio__mutex_unlock(&lane->mutex);
    return awake;
}

void epio__workers_hand_over(epio_loop *loop)
{
    epio_node batches[EPIO__LANES];
    uint64_t counts[EPIO__LANES] = {0};
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__list_init(&batches[i]);
    }
    while (!epio__list_empty(&loop->hand_over)) {
        epio_op *op = epio__op_of_queue(loop->hand_over.next);
        uint32_t lane = lane_of(op);
        epio__list_remove(&op->queue);
        op->place = EPIO__PLACE_QUEUED + lane;
        op->way = EPIO__WAY_WORKER;
        epio__list_append(&batches[lane], &op->queue);
        counts[lane]++;
        loop->at_workers++;
        loop->writes_at_workers += lane == LANE_WRITE ? 1 : 0;
    }
    loop->hand_over_count = 0;
    loop->hand_over_writes = 0;
    if (counts[LANE_FLUSH] == 1 && counts[LANE_WRITE] == 0 &&
        give_flush_to_writer(loop, &batches[LANE_FLUSH])) {
        counts[LANE_FLUSH] = 0;
    }
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        if (counts[i] == 0) {
            continue;
        }
        epio__lane *lane = &loop->workers.lanes[i];
        epio__mutex_lock(&lane->mutex);
        epio__list_move_all(&lane->queue, &batches[i]);
        if (!lane->one_per_file) {
            rouse(lane, counts[i]);
        } else if (next_op(lane) != NULL) {
            rouse(lane, 1); /* which rouses others as it finds files for them */
        }
        if (!has_workers(lane)) {
            epio__list_move_all(&batches[i], &lane->queue);
        }
        epio__mutex_unlock(&lane->mutex);
        refuse_all(&batches[i]);
    }
}

bool epio__workers_owner_may_perform(const epio_loop *loop)
{
    if (loop->at_workers != 0 || loop->hand_over_count == 0) {
        return false;
    }
    /* Several ops gain by running side by side, but for buffered writes. */
    if (loop->hand_over_count != loop->hand_over_writes && loop->hand_over_count != 1) {
        return false;
    }
    const epio_op *op = EPIO__CONTAINER(loop->hand_over.next, epio_op, queue);
    return op->kind != EPIO_KIND_WORK; /* promised to run on a worker */
}

static void take_from_hand_over(epio_op *op)
{
    epio_loop *loop = op->loop;
    epio__list_remove(&op->queue);
    loop->hand_over_count--;
    loop->hand_over_writes -= lane_of(op) == LANE_WRITE ? 1 : 0;
    op->place = EPIO__PLACE_NONE;
}

void epio__workers_perform_one(epio_loop *loop)
{
    epio_op *op = epio__op_of_queue(loop->hand_over.next);
    take_from_hand_over(op);
    op->way = EPIO__WAY_OWNER;
    epio_complete(op, op->vfs->methods->perform(op->vfs, op));
}

void epio_offload(epio_op *op)
{
    epio_loop *loop = op->loop;
    op->phase = EPIO__PHASE_HELD;
    op->place = EPIO__PLACE_HAND_OVER;
    epio__list_append(&loop->hand_over, &op->queue);
    loop->hand_over_count++;
    loop->hand_over_writes += lane_of(op) == LANE_WRITE ? 1 : 0;
    epio__loop_notify_host(loop);
}

void epio_defer(epio_op *op)
{
    op->phase = EPIO__PHASE_HELD;
    op->place = EPIO__PLACE_DEFERRED;
    op->loop->counters.deferred++;
    epio__list_append(&op->loop->deferred, &op->queue);
    epio__loop_notify_host(op->loop);
}

void epio__workers_came_back(epio_op *op)
{
    op->place = EPIO__PLACE_NONE;
    op->loop->at_workers--;
    op->loop->writes_at_workers -= lane_of(op) == LANE_WRITE ? 1 : 0;
}

static bool take_back_from_queue(epio_op *op, epio__lane *lane)
{
    epio__mutex_lock(&lane->mutex);
    bool queued = op->place >= EPIO__PLACE_QUEUED;
    if (queued) {
        epio__list_remove(&op->queue);
        epio__workers_came_back(op);
    }
    epio__mutex_unlock(&lane->mutex);
    return queued;
}

epio__take_back epio__workers_take_back(epio_op *op)
{
    /* Only a worker changes the place of an op behind the owner's back, and only
     * of one that is in its queue. */
    uint32_t place = epio__load_relaxed_u32(&op->place);
    switch (place) {
    case EPIO__PLACE_NONE:
        return EPIO__TAKE_BACK_NOT_THERE;
    case EPIO__PLACE_DEFERRED:
        epio__list_remove(&op->queue);
        op->place = EPIO__PLACE_NONE;
        return EPIO__TAKE_BACK_DONE;
    case EPIO__PLACE_HAND_OVER:
        take_from_hand_over(op);
        return EPIO__TAKE_BACK_DONE;
    case EPIO__PLACE_TAKEN:
        return EPIO__TAKE_BACK_TOO_LATE;
    default:
        return take_back_from_queue(op, &op->loop->workers.lanes[place - EPIO__PLACE_QUEUED])
                   ? EPIO__TAKE_BACK_DONE
                   : EPIO__TAKE_BACK_TOO_LATE;
    }
}

uint32_t epio__workers_count_threads(epio__workers *workers)
{
    uint32_t threads = 0;
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane *lane = &workers->lanes[i];
        epio__mutex_lock(&lane->mutex);
        for (uint32_t j = 0; j < lane->limit; j++) {
            threads += lane->workers[j].state == WORKER_RUNNING ? 1 : 0;
        }
        epio__mutex_unlock(&lane->mutex);
    }
    return threads;
}

void epio__workers_destroy(epio__workers *workers)
{
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane *lane = &workers->lanes[i];
        epio__mutex_lock(&lane->mutex);
        lane->stopping = true;
        epio__condition_broadcast(&lane->work);
        epio__mutex_unlock(&lane->mutex);
        for (uint32_t j = 0; j < lane->limit; j++) {
            epio__mutex_lock(&lane->mutex);
            bool started = lane->workers[j].state != WORKER_NONE;
            epio__mutex_unlock(&lane->mutex);
            if (started) {
                epio__thread_join(&lane->workers[j].thread);
            }
        }
        epio__condition_destroy(&lane->work);
        epio__mutex_destroy(&lane->mutex);
    }
}
