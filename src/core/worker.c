/* See worker.h. */
#include "core/worker.h"

#include "core/loop.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_BEFORE_LEAVING_NS UINT64_C(2000000000)

/* How long a writer spins for the next write before it sleeps. */
#define SPIN_NS UINT64_C(50000)

/* When as many threads hang as a lane's limit, the next are suspected sooner: ops behind a hundred
 * others on a dead mount should not be delayed noticeably. */
#define PATIENCE_WHILE_MANY_HANG_NS UINT64_C(1000000)

/* Threads of a lane, however many hang. */
#define MOST_THREADS 1024

/* No system has longer paths. */
#define LONGEST_PATH (UINT64_C(128) << 10)

static void worker_run(void *argument);

/* ---- Starting and joining ---- */

static void free_worker(epio__worker *worker)
{
    free(worker->names);
    free(worker);
}

static void join_ended(epio__lane *lane)
{
    epio_node *node = lane->ended.next;
    while (node != &lane->ended) {
        epio__worker *worker = epio__worker_of(node);
        node = node->next;
        epio__thread_join(&worker->thread);
        free_worker(worker);
    }
    epio_list_init(&lane->ended);
}

bool epio__worker_start(epio__lane *lane)
{
    /* If all are busy, one more watches for those that hang. */
    bool watch = lane->hangs && lane->running == lane->performing;
    if ((lane->running >= epio__lane_limit(lane) && !watch) ||
        lane->running + lane->overdue >= MOST_THREADS) {
        return false;
    }
    join_ended(lane);
    epio__worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        lane->lacks_thread = true;
        return false;
    }
    worker->lane = lane;
    epio_list_append(&lane->threads, &worker->node);
    if (epio__thread_start(&worker->thread, worker_run, worker) != 0) {
        epio_list_remove(&worker->node);
        free_worker(worker);
        lane->lacks_thread = true;
        return false;
    }
    lane->running++;
    lane->starting++;
    return true;
}

/* ---- The thread's own copy of an op ---- */

static char *copy_name(char **room, const char *name)
{
    if (name == NULL) {
        return NULL;
    }
    size_t size = strlen(name) + 1;
    char *copy = memcpy(*room, name, size);
    *room += size;
    return copy;
}

static bool make_room(epio__worker *worker, uint64_t room)
{
    if (room > worker->room) {
        free(worker->names);
        worker->names = malloc((size_t)room);
        worker->room = worker->names != NULL ? room : 0;
    }
    return room <= worker->room;
}

/* Bytes of the buffer that is its input or output; no path is as long as some buffers. */
static uint64_t buffer_len(const epio_op *op)
{
    uint64_t len = op->arguments.path.len;
    if (epio__op_is(op, EPIO__KIND_TEXT)) {
        return len > LONGEST_PATH ? LONGEST_PATH : len;
    }
    bool has_buffer = epio__op_is(op, EPIO__KIND_TAKES | EPIO__KIND_FILLS | EPIO__KIND_DESCRIBES);
    return has_buffer ? len : 0;
}

/* Copies all that `perform` may read, so that the op and what it points at can be returned to the
 * caller, who may close the directory, at any moment: 0 or an error. The buffer comes first, as a
 * struct is aligned. */
static int copy_in(epio__worker *worker, epio_op *op)
{
    const char *path = op->arguments.path.path;
    const char *to = epio__op_is(op, EPIO__KIND_SECOND) ? op->arguments.path.to : NULL;
    uint64_t len = buffer_len(op);
    uint64_t room = (path != NULL ? strlen(path) + 1 : 0) + (to != NULL ? strlen(to) + 1 : 0);
    worker->directory = NULL;
    if (!make_room(worker, room + len)) {
        return EPIO_ENOMEM;
    }
    if (op->arguments.path.directory != NULL) {
        int error = epio__os_directory_copy(op->arguments.path.directory, &worker->directory,
                                            &op->os_error);
        if (error != 0) {
            return error;
        }
    }
    char *names = len != 0 ? worker->names + len : worker->names;
    epio_op *copy = &worker->copy;
    memset(copy, 0, sizeof *copy);
    copy->kind = op->kind;
    copy->flags = op->flags;
    copy->vfs = op->vfs;
    copy->loop = op->loop;
    copy->timeout_ns = op->timeout_ns;
    copy->result = EPIO_EPENDING;
    copy->state = EPIO__STATE_IN_FLIGHT;
    copy->arguments.path.path = copy_name(&names, path);
    copy->arguments.path.to = copy_name(&names, to);
    copy->arguments.path.directory = worker->directory;
    copy->arguments.path.buffer = len != 0 ? worker->names : NULL;
    copy->arguments.path.len = len != 0 ? len : op->arguments.path.len;
    if (len != 0 && epio__op_is(op, EPIO__KIND_TAKES | EPIO__KIND_DESCRIBES)) {
        memcpy(copy->arguments.path.buffer, op->arguments.path.buffer, (size_t)len);
    }
    return 0;
}

/* Copies the results to the op. */
static void copy_out(epio_op *op, const epio_op *copy, int64_t result)
{
    op->os_error = copy->os_error;
    op->reason = copy->reason;
    op->notes = copy->notes;
    op->file = copy->file;
    uint64_t filled = 0;
    if (result >= 0 && epio__op_is(op, EPIO__KIND_DESCRIBES)) {
        filled = copy->arguments.path.len;
    } else if (result >= 0 && epio__op_is(op, EPIO__KIND_FILLS)) {
        filled = (uint64_t)result + (epio__op_is(op, EPIO__KIND_TEXT) ? 1 : 0);
        filled = filled < copy->arguments.path.len ? filled : copy->arguments.path.len;
    }
    if (filled != 0 && copy->arguments.path.buffer != NULL) {
        memcpy(op->arguments.path.buffer, copy->arguments.path.buffer, (size_t)filled);
    }
    if (copy->arguments.path.buffer != NULL) {
        return;
    }
    op->arguments.path.len = copy->arguments.path.len;
    if (op->due_for == EPIO__DUE_NOTHING) {
        op->due = copy->due; /* else op->due is the owner's, and no retry is wanted */
    }
}

/* The op was returned to its caller: closes the file of an open. */
static void dispose(epio__worker *worker, int64_t result)
{
    epio_op *copy = &worker->copy;
    if (!worker->opens) {
        return;
    }
    if (result >= 0) {
        epio_op close = {0};
        (void)epio_close(&close, copy->file);
        (void)copy->vfs->methods->perform(copy->vfs, &close);
    }
    epio__subtract_u32(&worker->lane->workers->late_opens, 1);
}

/* ---- Carrying out ---- */

typedef struct queue_seen {
    const epio__lane *lane;
    uint32_t count;
} queue_seen;

static bool was_queued(const void *of)
{
    const queue_seen *seen = of;
    return (int32_t)(epio__load_relaxed_u32(&seen->lane->announced) - seen->count) > 0;
}

/* Unlocks the mutex, and locks it again at the end. The next write may come at once: the spin for
 * it is without the mutex, which the owner needs to queue it. */
static void perform_op(epio__worker *worker, epio_op *op)
{
    epio__lane *lane = worker->lane;
    queue_seen seen = {lane, lane->queue_changes};
    bool writes =
        epio__lane_of(op) == EPIO__LANE_WRITE; /* false for a flush that was given to a writer */
    bool more = lane->queued != 0;
    bool may_spin = writes && lane->spins && !more;
    bool spins = may_spin && epio__spin_pays(&worker->spin);
    epio__lane_unlock(lane);
    if (worker->flushes && op == &op->file->flush) {
        op->file->flush_begun = epio__monotonic_time(); /* until now it waited for its writes */
    }
    int64_t result = op->vfs->methods->perform(op->vfs, op);
    if (writes) {
        epio__store_relaxed_pointer(&worker->file, 0); /* the next may start */
    } else {
        epio__add_u32(&lane->returning, 1);
    }
    op->outcome = result; /* the owner may be asleep: as epio_complete, but quietly */
    epio__inbox_post_completed(op->loop, op, more);
    worker->has_spun =
        may_spin && !(spins && epio__spin_until(&worker->spin, epio__deadline_after(SPIN_NS),
                                                was_queued, &seen));
    epio__mutex_lock(&lane->mutex);
    if (!writes) {
        epio__subtract_u32(&lane->returning, 1);
    }
}

static void perform_copy(epio__worker *worker, epio_op *op)
{
    epio__lane *lane = worker->lane;
    worker->op = op;
    worker->opens = epio__op_is(op, EPIO__KIND_OPENS);
    int64_t result = copy_in(worker, op);
    bool copied = result == 0;
    epio__lane_unlock(lane);
    if (copied) {
        result = worker->copy.vfs->methods->perform(worker->copy.vfs, &worker->copy);
    }
    epio__mutex_lock(&lane->mutex);
    bool wanted = !worker->written_off;
    if (wanted) {
        worker->op = NULL;
        epio__add_u32(&lane->returning, 1);
        if (copied) {
            copy_out(op, &worker->copy, result);
        }
    }
    epio__mutex_unlock(&lane->mutex);
    if (wanted) {
        epio_complete(op, result);
    } else {
        dispose(worker, result);
    }
    epio__os_directory_drop(worker->directory); /* at last, since it may hang, too */
    epio__mutex_lock(&lane->mutex);
    epio__subtract_u32(&lane->returning, wanted ? 1 : 0);
    worker->written_off = false;
}

static bool calls_system(const epio_op *op)
{
    return op->vfs == op->loop->resident;
}

static void run_op(epio__worker *worker, epio_op *op)
{
    epio__lane *lane = worker->lane;
    EPIO__ASSERT(lane->queued != 0 && !worker->performing && !worker->overdue);
    epio_list_remove(&op->queue);
    lane->queued--;
    epio__store_relaxed_u32(&op->worker_state, EPIO__WORKER_TAKEN);
    worker->flushes = lane->one_per_file && op->kind == EPIO_KIND_SYNC;
    lane->flushing += worker->flushes ? 1 : 0;
    /* During its flush others may write. */
    epio__store_relaxed_pointer(&worker->file, worker->flushes ? 0 : (uintptr_t)op->file);
    worker->medium = epio__lane_medium_of(op);
    worker->may_hang = calls_system(op);
    worker->ops++;
    worker->performing = true;
    lane->performing++;
    if (lane->queued != 0 && (lane->one_per_file || lane->performing >= epio__lane_limit(lane))) {
        epio__lane_wake(lane); /* there may be one of another file; or a watch is needed */
    }
    if (epio__workers_may_write_off(op)) {
        perform_copy(worker, op);
    } else {
        perform_op(worker, op);
    }
    worker->performing = false;
    epio__store_relaxed_pointer(&worker->file, 0);
    lane->flushing -= worker->flushes ? 1 : 0;
    bool hung = worker->overdue;
    if (hung) {
        EPIO__ASSERT(lane->overdue != 0);
        worker->overdue = false;
        lane->running++;
        lane->overdue--;
    } else {
        EPIO__ASSERT(lane->performing != 0);
        lane->performing--;
    }
    bool none_hangs = hung && lane->overdue == 0; /* so no medium is full any more */
    if (worker->blocks || none_hangs) {
        worker->blocks = false;
        epio__lane_bring_back_aside(lane);
    }
    if (none_hangs && lane->queued != 0) {
        epio__lane_wake(lane); /* else there is room for one op, which this thread takes next */
    }
}

/* ---- A thread ---- */

/* All threads that may perform are busy and more ops wait, or so many wait for one file that the
 * search found no other: watches for threads that hang. */
static void watch_lane(epio__lane *lane)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        epio__worker_of(node)->ops_seen = epio__worker_of(node)->ops;
    }
    uint64_t patience = lane->overdue >= lane->limit ? PATIENCE_WHILE_MANY_HANG_NS : lane->patience;
    lane->watched = true;
    epio__lane_signal(lane);
    (void)epio__condition_wait_until(&lane->watch, &lane->mutex, epio__deadline_after(patience));
    lane->watched = false;
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        epio__worker *worker = epio__worker_of(node);
        if (worker->performing && worker->may_hang && worker->ops_seen == worker->ops) {
            epio__lane_mark_overdue(lane, worker);
        }
    }
    epio__lane_wake(lane);
}

/* True if there may be work, so that the thread need not sleep. */
static bool spin_for_work(epio__worker *worker)
{
    epio__lane *lane = worker->lane;
    if (!lane->spins || worker->has_spun || !epio__spin_pays(&worker->spin)) {
        return false;
    }
    queue_seen seen = {lane, lane->queue_changes};
    lane->spinning++;
    epio__lane_unlock(lane);
    (void)epio__spin_until(&worker->spin, epio__deadline_after(SPIN_NS), was_queued, &seen);
    epio__mutex_lock(&lane->mutex);
    lane->spinning--;
    return lane->queue_changes != seen.count || lane->stopping;
}

/* False: nothing came for so long that the thread may end. */
static bool sleep_for_work(epio__lane *lane)
{
    lane->idle++;
    epio__lane_signal(lane);
    bool in_time = epio__condition_wait_until(&lane->work, &lane->mutex,
                                              epio__deadline_after(IDLE_BEFORE_LEAVING_NS));
    lane->idle--;
    if (lane->signalled > 0) {
        lane->signalled--;
        return true;
    }
    return in_time || lane->queued != 0;
}

static void work_until_idle(epio__worker *worker)
{
    epio__lane *lane = worker->lane;
    while (!worker->orphaned) {
        epio_op *op = epio__lane_next_op(lane);
        bool may_perform = lane->performing < epio__lane_limit(lane);
        if (op != NULL && may_perform) {
            run_op(worker, op);
        } else if ((op != NULL || lane->search_gave_up) && !lane->watched && !lane->stopping &&
                   epio__lane_may_hang(lane)) {
            watch_lane(lane);
        } else if (lane->stopping || lane->running > epio__lane_limit(lane) + 1) {
            return;
        } else if (!spin_for_work(worker) && !sleep_for_work(lane)) {
            return;
        }
    }
}

static void worker_run(void *argument)
{
    epio__worker *worker = argument;
    epio__lane *lane = worker->lane;
    uint32_t nice = lane->workers->loop->worker_nice;
    if (nice != 0) {
        epio__thread_give_way(nice);
    }
    epio__mutex_lock(&lane->mutex);
    lane->starting--;
    work_until_idle(worker);
    if (worker->orphaned) {
        epio__lane_unlock(lane);
        free_worker(worker);
        epio__workers_release(lane->workers);
        return;
    }
    lane->running--;
    epio_list_remove(&worker->node);
    epio_list_append(&lane->ended, &worker->node);
    epio__lane_unlock(lane);
}

/* ---- The end ---- */

/* A thread that may never return is not joined. */
static void orphan_hung(epio__lane *lane)
{
    epio_node *node = lane->threads.next;
    while (node != &lane->threads) {
        epio__worker *worker = epio__worker_of(node);
        node = node->next;
        if (worker->written_off) {
            worker->orphaned = true;
            epio_list_remove(&worker->node);
            epio__thread_detach(&worker->thread);
            epio__add_u32(&lane->workers->references, 1);
        }
    }
}

void epio__worker_join_all(epio__lane *lane)
{
    epio__mutex_lock(&lane->mutex);
    lane->stopping = true;
    epio__condition_broadcast(&lane->work);
    epio__condition_broadcast(&lane->watch);
    orphan_hung(lane);
    while (!epio_list_empty(&lane->threads)) {
        epio__worker *worker = epio__worker_of(lane->threads.next);
        epio__mutex_unlock(&lane->mutex);
        epio__thread_join(&worker->thread);
        epio__mutex_lock(&lane->mutex);
        epio_list_remove(&worker->node); /* it moved itself to `ended` */
        free_worker(worker);
    }
    join_ended(lane);
    epio__mutex_unlock(&lane->mutex);
}
