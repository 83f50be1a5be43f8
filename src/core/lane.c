/* See lane.h. */
#include "core/lane.h"

#include "core/loop.h"
#include "core/worker.h"

/* How far a thread searches for an op whose file is not busy. */
#define SEARCH_LIMIT 64

/* A disk takes tens of milliseconds. */
#define PATIENCE_WITH_FILES_NS UINT64_C(20000000)

static uint32_t lane_of_work(const epio_op *op)
{
    return op->frames != NULL ? EPIO__LANE_LAYERED_WORK : EPIO__LANE_WORK;
}

uint32_t epio__lane_of(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_SEEK_DATA:
    case EPIO_KIND_SEEK_HOLE:
    case EPIO_KIND_ADVISE:
    case EPIO_KIND_COPY_RANGE:
    case EPIO_KIND_UNMAP:
    case EPIO_KIND_SYNC_MAPPING:
        return EPIO__LANE_TRANSFER;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return op->file->writes_together != 0 ? EPIO__LANE_TRANSFER : EPIO__LANE_WRITE;
    case EPIO_KIND_TRUNCATE:
    case EPIO_KIND_APPEND:
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
        return EPIO__LANE_WRITE;
    case EPIO_KIND_SYNC:
        return EPIO__LANE_FLUSH;
    case EPIO_KIND_LOCK:
    case EPIO_KIND_UNLOCK:
    case EPIO_KIND_LOCK_RANGE:
    case EPIO_KIND_UNLOCK_RANGE:
        return EPIO__LANE_LOCK;
    case EPIO_KIND_CLOSE:
        return EPIO__LANE_CLOSE;
    case EPIO_KIND_WORK:
        return lane_of_work(op);
    default:
        return op->kind >= EPIO_KIND_USER ? lane_of_work(op) : EPIO__LANE_PATH;
    }
}

void epio__lane_init(epio__lane *lane, epio__workers *workers, uint32_t which, uint32_t most)
{
    lane->workers = workers;
    epio__mutex_init(&lane->mutex);
    epio__condition_init(&lane->work);
    epio__condition_init(&lane->watch);
    epio_list_init(&lane->queue);
    epio_list_init(&lane->aside);
    epio_list_init(&lane->threads);
    epio_list_init(&lane->ended);
    bool work = which == EPIO__LANE_WORK || which == EPIO__LANE_LAYERED_WORK;
    bool as_many_as_asked =
        which == EPIO__LANE_TRANSFER || work || (which == EPIO__LANE_PATH && most > 4);
    lane->limit = as_many_as_asked ? most : 4;
    lane->patience =
        which == EPIO__LANE_PATH ? EPIO__PATIENCE_WITH_PATHS_NS : PATIENCE_WITH_FILES_NS;
    lane->hangs = !work;
    /* Writers of one file would only wait for each other in the kernel; its locks must be taken and
     * released in order. */
    lane->one_per_file = which == EPIO__LANE_WRITE || which == EPIO__LANE_LOCK;
    lane->spins = which == EPIO__LANE_WRITE && workers->several_processors;
}

void epio__lane_destroy(epio__lane *lane)
{
    EPIO__ASSERT(epio_list_empty(&lane->queue) && epio_list_empty(&lane->aside) &&
                 epio_list_empty(&lane->threads) && epio_list_empty(&lane->ended));
    epio__condition_destroy(&lane->watch);
    epio__condition_destroy(&lane->work);
    epio__mutex_destroy(&lane->mutex);
}

/* ---- What may start ---- */

epio__worker *epio__lane_worker_at_file(const epio__lane *lane, const epio_file *file)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (epio__load_relaxed_pointer(&epio__worker_of(node)->file) == (uintptr_t)file) {
            return epio__worker_of(node);
        }
    }
    return NULL;
}

uint64_t epio__lane_medium_of(const epio_op *op)
{
    return epio__op_has_file(op) ? op->file->medium : 0;
}

/* A medium gets as many threads as the lane's limit, overdue or not: so a slow disk leaves threads
 * for the others. */
static bool medium_is_full(const epio__lane *lane, const epio_op *op)
{
    uint64_t medium = lane->overdue != 0 ? epio__lane_medium_of(op) : 0;
    uint32_t threads = 0;
    if (medium == 0) {
        return false;
    }
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        threads +=
            epio__worker_of(node)->performing && epio__worker_of(node)->medium == medium ? 1 : 0;
    }
    return threads >= lane->limit;
}

/* The op is not searched again until a thread that blocks it ends: so many may wait for what hangs
 * that searching them would delay others. */
static void set_aside(epio__lane *lane, epio_op *op)
{
    EPIO__ASSERT(lane->queued != 0 && op->worker_state >= EPIO__WORKER_QUEUED &&
                 op->worker_state < EPIO__WORKER_QUEUED + EPIO__LANES);
    epio_list_remove(&op->queue);
    epio_list_append(&lane->aside, &op->queue);
    lane->queued--;
    epio__store_relaxed_u32(&op->worker_state, op->worker_state + EPIO__LANES);
}

static void set_aside_for_medium(epio__lane *lane, epio_op *op)
{
    uint64_t medium = epio__lane_medium_of(op);
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        epio__worker_of(node)->blocks |=
            epio__worker_of(node)->performing && epio__worker_of(node)->medium == medium;
    }
    set_aside(lane, op);
}

void epio__lane_bring_back_aside(epio__lane *lane)
{
    for (epio_node *node = lane->aside.next; node != &lane->aside; node = node->next) {
        epio_op *op = epio__op_of_queue(node);
        EPIO__ASSERT(op->worker_state >= EPIO__WORKER_QUEUED + EPIO__LANES);
        epio__store_relaxed_u32(&op->worker_state, op->worker_state - EPIO__LANES);
        lane->queued++;
    }
    epio_list_move_all(&lane->aside, &lane->queue);
    epio_list_move_all(&lane->queue, &lane->aside);
}

/* A thread leaves its file without the mutex, at any moment: one search must not pass an op of the
 * file and then find a later one free; nor another search, while the first is aside. */
static void look_at_threads(epio__lane *lane)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        epio__worker *worker = epio__worker_of(node);
        if (!worker->blocks) {
            worker->seen_at = epio__load_relaxed_pointer(&worker->file);
        }
    }
}

static epio__worker *worker_seen_at(const epio__lane *lane, const epio_file *file)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (epio__worker_of(node)->seen_at == (uintptr_t)file) {
            return epio__worker_of(node);
        }
    }
    return NULL;
}

epio_op *epio__lane_next_op(epio__lane *lane)
{
    uint32_t passed = 0;
    if (lane->one_per_file) {
        look_at_threads(lane);
    }
    lane->search_gave_up = false;
    epio_node *node = lane->queue.next;
    while (node != &lane->queue) {
        epio_op *op = epio__op_of_queue(node);
        node = node->next;
        if (medium_is_full(lane, op)) {
            set_aside_for_medium(lane, op);
            continue;
        }
        epio__worker *busy = lane->one_per_file ? worker_seen_at(lane, op->file) : NULL;
        if (busy == NULL) {
            return op;
        }
        if (busy->overdue) {
            busy->blocks = true;
            set_aside(lane, op);
        } else if (++passed == SEARCH_LIMIT) {
            lane->search_gave_up = true;
            return NULL;
        }
    }
    return NULL;
}

/* ---- Waking threads ---- */

/* If the overdue reach the lane's limit, the rest of
 * the queue may be for the same dead mount, and should be found out soon. */
uint32_t epio__lane_limit(const epio__lane *lane)
{
    return lane->limit + (lane->overdue >= lane->limit ? lane->overdue : 0);
}

/* Writes follow one another most closely: a thread that ended one says so by a word of its own,
 * before it posts the op. */
uint32_t epio__lane_about_to_check(const epio__lane *lane)
{
    uint32_t threads = epio__load_u32(&lane->returning);
    if (!lane->one_per_file) {
        return threads;
    }
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        const epio__worker *worker = epio__worker_of(node);
        threads +=
            worker->performing && !worker->flushes && epio__load_relaxed_pointer(&worker->file) == 0
                ? 1
                : 0;
    }
    return threads;
}

/* An op of a VFS outside may take any time: watching it would only wake a thread for nothing, again
 * and again. */
bool epio__lane_may_hang(const epio__lane *lane)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        const epio__worker *worker = epio__worker_of(node);
        if (worker->performing && worker->may_hang && !worker->overdue) {
            return lane->hangs;
        }
    }
    return false;
}

void epio__lane_mark_overdue(epio__lane *lane, epio__worker *worker)
{
    if (!worker->overdue) {
        EPIO__ASSERT(worker->performing && lane->performing != 0 && lane->running != 0);
        worker->overdue = true;
        lane->performing--;
        lane->running--;
        lane->overdue++;
    }
}

/* Wakes or starts workers for `wanted` ops, less those that a thread will find which is about to
 * check the queue: where one op follows another, one thread serves them all. */
static void wake_or_start(epio__lane *lane, uint64_t wanted)
{
    if (lane->performing >= epio__lane_limit(lane) &&
        (lane->watched || !epio__lane_may_hang(lane))) {
        return; /* no thread may start one now, and what hangs is watched */
    }
    uint64_t coming = (uint64_t)lane->spinning + lane->signalled + lane->starting +
                      epio__lane_about_to_check(lane);
    wanted -= wanted < coming ? wanted : coming;
    while (wanted > 0 && lane->idle > lane->signalled) {
        lane->signalled++;
        lane->to_signal++;
        wanted--;
    }
    while (wanted > 0 && epio__worker_start(lane)) {
        wanted--;
    }
}

void epio__lane_wake(epio__lane *lane)
{
    lane->queue_changes++; /* a thread that spins after a write must check the queue */
    if (!lane->one_per_file) {
        wake_or_start(lane, lane->queued);
    } else if (epio__lane_next_op(lane) != NULL || (lane->search_gave_up && !lane->watched)) {
        wake_or_start(lane, 1); /* it wakes others as it finds files for them, or watches */
    }
}

static void signal_threads(epio__lane *lane, uint32_t count)
{
    for (; count != 0; count--) {
        epio__condition_signal(&lane->work);
    }
}

void epio__lane_signal(epio__lane *lane)
{
    signal_threads(lane, lane->to_signal);
    lane->to_signal = 0;
}

void epio__lane_unlock(epio__lane *lane)
{
    epio_loop *loop = lane->workers->loop;
    uint32_t queue_changes = lane->queue_changes;
    uint32_t to_signal = lane->to_signal;
    lane->to_signal = 0;
    bool lacks = lane->lacks_thread && !lane->stopping &&
                 epio__exchange_u32(&lane->workers->lacks_threads, 1) == 0;
    if (lacks) {
        epio__add_size(&loop->visitors, 1); /* the op may be written off now */
    }
    epio__mutex_unlock(&lane->mutex);
    if (lacks) {
        epio__loop_notify(loop);
        epio__subtract_size(&loop->visitors, 1);
    }
    if (epio__load_relaxed_u32(&lane->announced) != queue_changes) {
        epio__store_relaxed_u32(&lane->announced, queue_changes);
    }
    signal_threads(lane, to_signal);
}

/* Does the lane have threads, some of which may hang? */
static bool has_threads(const epio__lane *lane)
{
    if (lane->running != 0) {
        return true;
    }
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (!epio__worker_of(node)->written_off) {
            return true;
        }
    }
    return false;
}

void epio__lane_take_unserved(epio__lane *lane, epio_node *queue)
{
    if (!has_threads(lane)) {
        epio__lane_bring_back_aside(lane);
        epio_list_move_all(queue, &lane->queue);
        lane->queued = 0;
    }
}
