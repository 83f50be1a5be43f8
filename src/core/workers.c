/* See workers.h. A worker runs the `perform` of the VFS that holds the op and posts the op back.
 * Threads start when there is work and end when there was none for a while.
 *
 * A system call on a dead mount may never return. So a lane does not count a thread whose op takes
 * too long (it is overdue), and starts another in its place; and an op on a path is carried out on
 * the thread's own copy, so that the owner can write the thread off and return the op to its
 * caller. */
#include "core/workers.h"

#include "core/loop.h"
#include "fatal.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_BEFORE_LEAVING_NS UINT64_C(2000000000)

/* How long a writer spins for the next write before it sleeps. */
#define SPIN_NS UINT64_C(50000)

/* How far a thread searches for an op whose file is not busy. */
#define SEARCH_LIMIT 64

/* A path lookup in memory takes microseconds; a disk, tens of milliseconds. When as many threads
 * hang as a lane's limit, the next are suspected sooner: ops behind a hundred others on a dead
 * mount should not be delayed noticeably. */
#define PATIENCE_WITH_PATHS_NS UINT64_C(5000000)
#define PATIENCE_WITH_FILES_NS UINT64_C(20000000)
#define PATIENCE_WHILE_MANY_HANG_NS UINT64_C(1000000)

/* Slower flushes are not for the owner's thread. */
#define LONG_FLUSH_NS UINT64_C(20000000)

/* Time for a thread to return the true result of a cancelled op on a path before it is written off:
 * less if the op was offloaded a while ago. */
#define MOMENT_NS UINT64_C(4000000)
#define LAST_MOMENT_NS UINT64_C(1000000)

/* Threads of a lane, however many hang. */
#define MOST_THREADS 1024

/* Time until the next try to start a thread, after one failed. */
#define TRY_AGAIN_NS UINT64_C(10000000)

/* No system has longer paths. */
#define LONGEST_PATH (UINT64_C(128) << 10)

enum {
    LANE_READ,
    LANE_WRITE,
    LANE_FLUSH,
    LANE_LOCK,
    LANE_PATH,
    LANE_CLOSE, /* apart, so that a close never waits behind an open */
    LANE_WORK
};

typedef struct worker {
    epio__lane *lane;
    epio__thread thread;
    epio_node node; /* among the lane's `threads`, or `left` */
    epio__spin spin;
    epio_op *op;    /* the op of its copy, in progress; NULL: none, or written off */
    uintptr_t file; /* atomic; the epio_file that it works on, for lanes with one thread per file */
    uint64_t medium;   /* the medium of that file; 0: none, or unknown */
    uint64_t ops;      /* started so far: shows whether it still carries out the same one */
    uint64_t ops_seen; /* at the last check */
    bool performing;
    bool may_hang;    /* in the kernel: the op is of the OS VFS */
    bool overdue;     /* not counted in lane->running */
    bool opens;       /* the op that it copied is an open */
    bool written_off; /* its op was returned to the caller */
    bool blocks;      /* an op in the lane's `behind` waits for its end */
    bool has_asked;   /* has spun, or decided not to, since its latest op: no second spin */
    bool orphaned;    /* written off, and its loop was destroyed meanwhile */

    /* The thread's own copy of an op on a path, and of its names. */
    epio_op copy;
    char *names;
    uint64_t room;
} worker;

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
    case EPIO_KIND_CLOSE:
        return LANE_CLOSE;
    case EPIO_KIND_WORK:
        return LANE_WORK;
    default:
        return op->kind >= EPIO_KIND_USER ? LANE_WORK : LANE_PATH;
    }
}

void epio__workers_init(epio_loop *loop, uint32_t most)
{
    epio__workers *workers = &loop->workers;
    workers->loop = loop;
    workers->references = 1;
    workers->several_processors = epio__processor_count() > 1;
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane *lane = &workers->lanes[i];
        lane->workers = workers;
        epio__mutex_init(&lane->mutex);
        epio__condition_init(&lane->work);
        epio__condition_init(&lane->watch);
        epio__list_init(&lane->queue);
        epio__list_init(&lane->behind);
        epio__list_init(&lane->threads);
        epio__list_init(&lane->left);
        bool as_many_as_asked = i == LANE_READ || i == LANE_WORK || (i == LANE_PATH && most > 4);
        lane->limit = as_many_as_asked ? most : 4;
        lane->patience = i == LANE_PATH ? PATIENCE_WITH_PATHS_NS : PATIENCE_WITH_FILES_NS;
        lane->hangs = i != LANE_WORK;
        /* Writers of one file would only wait for each other in the kernel; its locks must be taken
         * and released in order. */
        lane->one_per_file = i == LANE_WRITE || i == LANE_LOCK;
        lane->spins = i == LANE_WRITE && workers->several_processors;
    }
}

static worker *worker_of(epio_node *node)
{
    return EPIO__CONTAINER(node, worker, node);
}

/* ---- What may start ---- */

/* The thread that works on the file; NULL: none. */
static worker *worker_at_file(const epio__lane *lane, const epio_file *file)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (epio__load_relaxed_pointer(&worker_of(node)->file) == (uintptr_t)file) {
            return worker_of(node);
        }
    }
    return NULL;
}

static uint64_t medium_of(const epio_op *op)
{
    return epio__op_has_file(op) ? op->file->medium : 0;
}

/* A medium gets as many threads as the lane's limit, overdue or not: so a slow disk leaves threads
 * for the others. */
static bool medium_is_full(const epio__lane *lane, const epio_op *op)
{
    uint64_t medium = lane->overdue != 0 ? medium_of(op) : 0;
    uint32_t threads = 0;
    if (medium == 0) {
        return false;
    }
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        threads += worker_of(node)->performing && worker_of(node)->medium == medium ? 1 : 0;
    }
    return threads >= lane->limit;
}

/* The op is not searched again until a thread that blocks it ends: so many may wait for what hangs
 * that searching them would delay others. */
static void put_behind(epio__lane *lane, epio_op *op)
{
    epio__list_remove(&op->queue);
    epio__list_append(&lane->behind, &op->queue);
    lane->queued--;
    epio__store_relaxed_u32(&op->worker_state, op->worker_state + EPIO__LANES);
}

static void put_behind_medium(epio__lane *lane, epio_op *op)
{
    uint64_t medium = medium_of(op);
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        worker_of(node)->blocks |= worker_of(node)->performing && worker_of(node)->medium == medium;
    }
    put_behind(lane, op);
}

/* All that was put behind is searched again, before what came later. */
static void bring_forward(epio__lane *lane)
{
    for (epio_node *node = lane->behind.next; node != &lane->behind; node = node->next) {
        epio_op *op = epio__op_of_queue(node);
        epio__store_relaxed_u32(&op->worker_state, op->worker_state - EPIO__LANES);
        lane->queued++;
    }
    epio__list_move_all(&lane->behind, &lane->queue);
    epio__list_move_all(&lane->queue, &lane->behind);
}

/* The next op that may start; NULL: none was found. Ops that wait for a thread that hangs are
 * skipped: others are behind them. */
static epio_op *next_op(epio__lane *lane)
{
    uint32_t passed = 0;
    lane->searched_in_vain = false;
    epio_node *node = lane->queue.next;
    while (node != &lane->queue) {
        epio_op *op = epio__op_of_queue(node);
        node = node->next;
        if (medium_is_full(lane, op)) {
            put_behind_medium(lane, op);
            continue;
        }
        worker *busy = lane->one_per_file ? worker_at_file(lane, op->file) : NULL;
        if (busy == NULL) {
            return op;
        }
        if (busy->overdue) {
            busy->blocks = true;
            put_behind(lane, op);
        } else if (++passed == SEARCH_LIMIT) {
            lane->searched_in_vain = true;
            return NULL;
        }
    }
    return NULL;
}

/* ---- Waking and starting threads ---- */

static void worker_run(void *argument);

static void free_worker(worker *one)
{
    free(one->names);
    free(one);
}

static void join_those_that_left(epio__lane *lane)
{
    epio_node *node = lane->left.next;
    while (node != &lane->left) {
        worker *one = worker_of(node);
        node = node->next;
        epio__thread_join(&one->thread);
        free_worker(one);
    }
    epio__list_init(&lane->left);
}

/* How many may perform at once, without the overdue. If those reach the lane's limit, the rest of
 * the queue may be for the same dead mount, and should be found out soon. */
static uint32_t limit_now(const epio__lane *lane)
{
    return lane->limit + (lane->overdue >= lane->limit ? lane->overdue : 0);
}

/* Starts one more thread: false if there is no room or no memory for one. */
static bool start_worker(epio__lane *lane)
{
    /* If all are busy, one more watches for those that hang. */
    bool watch = lane->hangs && lane->running == lane->performing;
    if ((lane->running >= limit_now(lane) && !watch) ||
        lane->running + lane->overdue >= MOST_THREADS) {
        return false;
    }
    join_those_that_left(lane);
    worker *one = calloc(1, sizeof *one);
    if (one == NULL) {
        lane->lacks_thread = true;
        return false;
    }
    one->lane = lane;
    epio__list_append(&lane->threads, &one->node);
    if (epio__thread_start(&one->thread, worker_run, one) != 0) {
        epio__list_remove(&one->node);
        free_worker(one);
        lane->lacks_thread = true;
        return false;
    }
    lane->running++;
    lane->starting++;
    return true;
}

/* Threads that have ended their op and will check the queue next. For writes, which follow one
 * another most closely, the owner counts those that it collected, which needs no shared cache
 * line. */
static uint32_t about_to_look(const epio__lane *lane)
{
    const epio__workers *workers = lane->workers;
    if (lane != &workers->lanes[LANE_WRITE]) {
        return epio__load_u32(&lane->returning);
    }
    int32_t writers = (int32_t)(epio__load_relaxed_u32(&workers->writes_ended) - lane->looked);
    return epio__load_u32(&lane->returning) + (writers > 0 ? (uint32_t)writers : 0);
}

/* An op of a VFS outside may take any time: watching it would only wake a thread for nothing, again
 * and again. */
static bool may_hang(const epio__lane *lane)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        const worker *one = worker_of(node);
        if (one->performing && one->may_hang && !one->overdue) {
            return lane->hangs;
        }
    }
    return false;
}

/* Wakes or starts workers for `wanted` ops, less those that a thread will find which is about to
 * check the queue: where one op follows another, one thread serves them all. */
static void rouse(epio__lane *lane, uint64_t wanted)
{
    if (lane->performing >= limit_now(lane) && (lane->watched || !may_hang(lane))) {
        return; /* no thread may start one now, and what hangs is watched */
    }
    uint64_t coming =
        (uint64_t)lane->spinning + lane->signalled + lane->starting + about_to_look(lane);
    wanted -= wanted < coming ? wanted : coming;
    while (wanted > 0 && lane->idle > lane->signalled) {
        lane->signalled++;
        wanted--;
        epio__condition_signal(&lane->work);
    }
    while (wanted > 0 && start_worker(lane)) {
        wanted--;
    }
}

static void rouse_for_queue(epio__lane *lane)
{
    lane->handed_over++; /* a thread that spins after a write must check the queue */
    if (!lane->one_per_file) {
        rouse(lane, lane->queued);
    } else if (next_op(lane) != NULL || (lane->searched_in_vain && !lane->watched)) {
        rouse(lane, 1); /* it wakes others as it finds files for them, or watches */
    }
}

/* ---- Carrying out ---- */

static bool is_of_the_system(const epio_op *op)
{
    return op->vfs == op->loop->resident;
}

bool epio__workers_may_write_off(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_PATH) && is_of_the_system(op);
}

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

static bool make_room(worker *one, uint64_t room)
{
    if (room > one->room) {
        free(one->names);
        one->names = malloc((size_t)room);
        one->room = one->names != NULL ? room : 0;
    }
    return room <= one->room;
}

/* Copies all that `perform` may read, so that the op and the names can be returned to the caller at
 * any moment. False: no memory. */
static bool copy_op(worker *one, const epio_op *op)
{
    const char *path = op->arguments.path.path;
    bool renames = op->kind == EPIO_KIND_RENAME;
    bool fills = op->kind == EPIO_KIND_FULL_PATHNAME;
    const char *to = renames ? op->arguments.path.to : NULL;
    uint64_t len = op->arguments.path.len;
    len = fills && len > LONGEST_PATH ? LONGEST_PATH : len;
    uint64_t room = (path != NULL ? strlen(path) + 1 : 0) + (to != NULL ? strlen(to) + 1 : 0);
    if (!make_room(one, room + (fills ? len : 0))) {
        return false;
    }
    char *names = one->names;
    epio_op *copy = &one->copy;
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
    copy->arguments.path.buffer = fills ? names : NULL;
    copy->arguments.path.len = len;
    return true;
}

/* Copies the results to the op. */
static void bring_back(epio_op *op, const epio_op *copy, int64_t result)
{
    op->os_error = copy->os_error;
    op->reason = copy->reason;
    op->file = copy->file;
    if (op->kind == EPIO_KIND_FULL_PATHNAME) {
        if (result >= 0) {
            memcpy(op->arguments.path.buffer, copy->arguments.path.buffer, (size_t)result + 1);
        }
        return;
    }
    op->arguments.path.len = copy->arguments.path.len;
    if (op->due_for == EPIO__DUE_NOTHING) {
        op->due = copy->due; /* else op->due is the owner's, and no retry is wanted */
    }
}

/* The op was returned to its caller: closes the file of an open. */
static void dispose(worker *one, int64_t result)
{
    epio_op *copy = &one->copy;
    if (!one->opens) {
        return;
    }
    if (result >= 0) {
        epio_op close = {0};
        (void)epio_close(&close, copy->file);
        (void)copy->vfs->methods->perform(copy->vfs, &close);
    }
    epio__subtract_u32(&one->lane->workers->late_opens, 1);
}

/* Publishes what threads spin on once the mutex is free, as they lock it next. Notifies the owner
 * if no thread could be started, so that it retries. */
static void unlock_and_announce(epio__lane *lane)
{
    epio_loop *loop = lane->workers->loop;
    uint32_t handed_over = lane->handed_over;
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
    if (epio__load_relaxed_u32(&lane->announced) != handed_over) {
        epio__store_relaxed_u32(&lane->announced, handed_over);
    }
}

typedef struct handed_over {
    const epio__lane *lane;
    uint32_t seen;
} handed_over;

static bool was_handed_over(const void *of)
{
    const handed_over *look = of;
    return (int32_t)(epio__load_relaxed_u32(&look->lane->announced) - look->seen) > 0;
}

/* Unlocks the mutex, and locks it again at the end. The next write may come at once: the spin for
 * it is without the mutex, which the owner needs to queue it. */
static void perform_op(worker *one, epio_op *op)
{
    epio__lane *lane = one->lane;
    handed_over look = {lane, lane->handed_over};
    bool writes = lane_of(op) == LANE_WRITE; /* false for a flush that was given to a writer */
    bool asks = writes && lane->spins && lane->queued == 0;
    bool spins = asks && epio__spin_pays(&one->spin);
    unlock_and_announce(lane);
    int64_t result = op->vfs->methods->perform(op->vfs, op);
    if (writes) {
        epio__store_relaxed_pointer(&one->file, 0); /* the next may start */
    } else {
        epio__add_u32(&lane->returning, 1);
    }
    epio_complete(op, result);
    one->has_asked = asks && !(spins && epio__spin_until(&one->spin, epio__deadline_after(SPIN_NS),
                                                         was_handed_over, &look));
    epio__mutex_lock(&lane->mutex);
    if (writes) {
        lane->looked++;
    } else {
        epio__subtract_u32(&lane->returning, 1);
    }
}

static void perform_copy(worker *one, epio_op *op)
{
    epio__lane *lane = one->lane;
    one->op = op;
    one->opens = epio__op_is(op, EPIO__KIND_OPENS);
    bool copied = copy_op(one, op);
    unlock_and_announce(lane);
    int64_t result = EPIO_ENOMEM;
    if (copied) {
        result = one->copy.vfs->methods->perform(one->copy.vfs, &one->copy);
    }
    epio__mutex_lock(&lane->mutex);
    bool wanted = !one->written_off;
    if (wanted) {
        one->op = NULL;
        epio__add_u32(&lane->returning, 1);
        if (copied) {
            bring_back(op, &one->copy, result);
        }
    }
    epio__mutex_unlock(&lane->mutex);
    if (wanted) {
        epio_complete(op, result);
    } else {
        dispose(one, result);
    }
    epio__mutex_lock(&lane->mutex);
    epio__subtract_u32(&lane->returning, wanted ? 1 : 0);
    one->written_off = false;
}

static void mark_overdue(epio__lane *lane, worker *one)
{
    if (!one->overdue) {
        one->overdue = true;
        lane->performing--;
        lane->running--;
        lane->overdue++;
    }
}

static void run_op(worker *one, epio_op *op)
{
    epio__lane *lane = one->lane;
    epio__list_remove(&op->queue);
    lane->queued--;
    epio__store_relaxed_u32(&op->worker_state, EPIO__WORKER_TAKEN);
    bool flushes_for_writers = lane->one_per_file && op->kind == EPIO_KIND_SYNC;
    lane->flushing += flushes_for_writers ? 1 : 0;
    /* During its flush others may write. */
    epio__store_relaxed_pointer(&one->file, flushes_for_writers ? 0 : (uintptr_t)op->file);
    one->medium = medium_of(op);
    one->may_hang = is_of_the_system(op);
    one->ops++;
    one->performing = true;
    lane->performing++;
    if (lane->queued != 0 && (lane->one_per_file || lane->performing >= limit_now(lane))) {
        rouse_for_queue(lane); /* there may be one of another file; or a watch is needed */
    }
    if (epio__workers_may_write_off(op)) {
        perform_copy(one, op);
    } else {
        perform_op(one, op);
    }
    one->performing = false;
    epio__store_relaxed_pointer(&one->file, 0);
    lane->flushing -= flushes_for_writers ? 1 : 0;
    bool hung = one->overdue;
    if (hung) {
        one->overdue = false;
        lane->running++;
        lane->overdue--;
    } else {
        lane->performing--;
    }
    bool none_hangs = hung && lane->overdue == 0; /* so no medium is full any more */
    if (one->blocks || none_hangs) {
        one->blocks = false;
        bring_forward(lane);
    }
    if (none_hangs && lane->queued != 0) {
        rouse_for_queue(lane); /* else there is room for one op, which this thread takes next */
    }
}

/* ---- A thread ---- */

/* All threads that may perform are busy and more ops wait, or so many wait for one file that the
 * search found no other: watches for threads that hang. */
static void watch_lane(epio__lane *lane)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        worker_of(node)->ops_seen = worker_of(node)->ops;
    }
    uint64_t patience = lane->overdue >= lane->limit ? PATIENCE_WHILE_MANY_HANG_NS : lane->patience;
    lane->watched = true;
    (void)epio__condition_wait_until(&lane->watch, &lane->mutex, epio__deadline_after(patience));
    lane->watched = false;
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        worker *one = worker_of(node);
        if (one->performing && one->may_hang && one->ops_seen == one->ops) {
            mark_overdue(lane, one);
        }
    }
    rouse_for_queue(lane);
}

/* True if there may be work, so that the thread need not sleep. */
static bool spin_for_work(worker *one)
{
    epio__lane *lane = one->lane;
    if (!lane->spins || one->has_asked || !epio__spin_pays(&one->spin)) {
        return false;
    }
    handed_over look = {lane, lane->handed_over};
    lane->spinning++;
    unlock_and_announce(lane);
    (void)epio__spin_until(&one->spin, epio__deadline_after(SPIN_NS), was_handed_over, &look);
    epio__mutex_lock(&lane->mutex);
    lane->spinning--;
    return lane->handed_over != look.seen || lane->stopping;
}

/* False: nothing came for so long that the thread may end. */
static bool sleep_for_work(epio__lane *lane)
{
    lane->idle++;
    bool in_time = epio__condition_wait_until(&lane->work, &lane->mutex,
                                              epio__deadline_after(IDLE_BEFORE_LEAVING_NS));
    lane->idle--;
    if (lane->signalled > 0) {
        lane->signalled--;
        return true;
    }
    return in_time || lane->queued != 0;
}

static void work_until_idle(worker *one)
{
    epio__lane *lane = one->lane;
    while (!one->orphaned) {
        epio_op *op = next_op(lane);
        bool may_perform = lane->performing < limit_now(lane);
        if (op != NULL && may_perform) {
            run_op(one, op);
        } else if ((op != NULL || lane->searched_in_vain) && !lane->watched && !lane->stopping &&
                   may_hang(lane)) {
            watch_lane(lane);
        } else if (lane->stopping || lane->running > limit_now(lane) + 1) {
            return;
        } else if (!spin_for_work(one) && !sleep_for_work(lane)) {
            return;
        }
    }
}

static void worker_run(void *argument)
{
    worker *one = argument;
    epio__lane *lane = one->lane;
    epio__mutex_lock(&lane->mutex);
    lane->starting--;
    work_until_idle(one);
    if (one->orphaned) {
        epio__mutex_unlock(&lane->mutex);
        free_worker(one);
        epio__workers_release(lane->workers);
        return;
    }
    lane->running--;
    epio__list_remove(&one->node);
    epio__list_append(&lane->left, &one->node);
    epio__mutex_unlock(&lane->mutex);
}

/* ---- Offloading ---- */

/* Does the lane have threads, some of which may hang? */
static bool has_workers(const epio__lane *lane)
{
    if (lane->running != 0) {
        return true;
    }
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (!worker_of(node)->written_off) {
            return true;
        }
    }
    return false;
}

/* Takes the queue of a lane that has no thread and gets none. */
static void take_if_deserted(epio__lane *lane, epio_node *queue)
{
    if (!has_workers(lane)) {
        bring_forward(lane);
        epio__list_move_all(queue, &lane->queue);
        lane->queued = 0;
    }
}

/* The workers do not have it any more. */
static void leave_workers(epio_op *op)
{
    op->worker_state = EPIO__WORKER_NOT;
    op->loop->at_workers--;
    op->loop->writes_at_workers -= lane_of(op) == LANE_WRITE ? 1 : 0;
}

/* Ends what no worker will carry out; what must run the owner carries out. */
static void fail_all(epio_node *queue)
{
    while (!epio__list_empty(queue)) {
        epio_op *op = epio__op_of_queue(queue->next);
        epio__list_remove(&op->queue);
        leave_workers(op);
        bool here = epio__op_is(op, EPIO__KIND_MUST_RUN);
        op->route = here ? EPIO__ROUTE_OWNER : EPIO__ROUTE_NOBODY;
        epio_complete(op, here ? op->vfs->methods->perform(op->vfs, op) : EPIO_ENOMEM);
    }
}

/* A flush often follows a write, whose thread is still awake and idle: true, and that thread gets
 * the flush. */
static bool give_flush_to_writer(epio_loop *loop, epio_node *flush)
{
    epio__lane *lane = &loop->workers.lanes[LANE_WRITE];
    epio__mutex_lock(&lane->mutex);
    const epio_op *op = epio__op_of_queue(flush->next);
    /* One flush at a time: the other threads are for writes. */
    bool awake = lane->spinning + about_to_look(lane) != 0 && epio__list_empty(&lane->queue) &&
                 lane->flushing == 0 && worker_at_file(lane, op->file) == NULL;
    if (awake) {
        epio__op_of_queue(flush->next)->worker_state = EPIO__WORKER_QUEUED + LANE_WRITE;
        epio__list_move_all(&lane->queue, flush);
        lane->queued++;
        rouse_for_queue(lane);
    }
    unlock_and_announce(lane);
    return awake;
}

void epio__workers_hand_over(epio_loop *loop)
{
    epio_node batches[EPIO__LANES];
    uint32_t counts[EPIO__LANES] = {0};
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__list_init(&batches[i]);
    }
    uint64_t now = 0;
    while (!epio__list_empty(&loop->hand_over)) {
        epio_op *op = epio__op_of_queue(loop->hand_over.next);
        uint32_t lane = lane_of(op);
        if (epio__workers_may_write_off(op)) {
            now = now != 0 ? now : epio__monotonic_time();
            op->offloaded_at = now;
        }
        epio__list_remove(&op->queue);
        op->worker_state = EPIO__WORKER_QUEUED + lane;
        op->route = EPIO__ROUTE_WORKER;
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
        lane->queued += counts[i];
        rouse_for_queue(lane);
        take_if_deserted(lane, &batches[i]);
        unlock_and_announce(lane);
        fail_all(&batches[i]);
    }
}

static void try_again_in(epio__lane *lane)
{
    epio_node deserted;
    epio__list_init(&deserted);
    epio__mutex_lock(&lane->mutex);
    if (lane->lacks_thread) {
        lane->lacks_thread = false;
        rouse_for_queue(lane);
        take_if_deserted(lane, &deserted);
    }
    unlock_and_announce(lane);
    fail_all(&deserted);
}

void epio__workers_try_again(epio_loop *loop)
{
    if (epio__load_u32(&loop->workers.lacks_threads) == 0) {
        return;
    }
    uint64_t now = epio__monotonic_time();
    if (loop->try_again_at > now) {
        return;
    }
    if (loop->try_again_at != 0) {
        epio__store_u32(&loop->workers.lacks_threads, 0);
        for (uint32_t i = 0; i < EPIO__LANES; i++) {
            try_again_in(&loop->workers.lanes[i]);
        }
    }
    bool lacks = epio__load_u32(&loop->workers.lacks_threads) != 0;
    loop->try_again_at = lacks ? now + TRY_AGAIN_NS : 0;
}

/* ---- On the owner's thread ---- */

/* The owner reacts to nothing while it carries an op out: only short ops that need no more than
 * this machine's memory and disks. An open may reach a dead mount. */
static bool is_short_and_local(const epio_op *op)
{
    if (!epio__op_has_file(op) || (op->file->attributes & EPIO_FILE_LOCAL) == 0) {
        return false;
    }
    if ((op->state_flags & EPIO__FLAG_INTERNAL) != 0) {
        uint64_t took = EPIO__CONTAINER(op, epio_file, flush)->flush_took;
        return took != 0 && took < LONG_FLUSH_NS;
    }
    switch (op->kind) {
    case EPIO_KIND_SIZE:
    case EPIO_KIND_CLOSE:
        return true;
    default:
        return epio__op_transfers(op) && epio_op_bytes(op) <= EPIO__LARGE_COPY;
    }
}

bool epio__workers_owner_may_perform(const epio_loop *loop)
{
    if (loop->at_workers != 0 || loop->hand_over_count == 0) {
        return false;
    }
    /* Several ops gain by running in parallel, except buffered writes. */
    if (loop->hand_over_count != loop->hand_over_writes && loop->hand_over_count != 1) {
        return false;
    }
    return is_short_and_local(EPIO__CONTAINER(loop->hand_over.next, epio_op, queue));
}

static void take_from_hand_over(epio_op *op)
{
    epio_loop *loop = op->loop;
    epio__list_remove(&op->queue);
    loop->hand_over_count--;
    loop->hand_over_writes -= lane_of(op) == LANE_WRITE ? 1 : 0;
    op->worker_state = EPIO__WORKER_NOT;
}

void epio__workers_perform_one(epio_loop *loop)
{
    epio_op *op = epio__op_of_queue(loop->hand_over.next);
    take_from_hand_over(op);
    op->route = EPIO__ROUTE_OWNER;
    epio_complete(op, op->vfs->methods->perform(op->vfs, op));
}

/* ---- For VFSes ---- */

void epio_offload(epio_op *op)
{
    epio__require(op, "epio_offload", "the op is NULL");
    epio_loop *loop = op->loop;
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->worker_state = EPIO__WORKER_COLLECTED;
    epio__list_append(&loop->hand_over, &op->queue);
    loop->hand_over_count++;
    loop->hand_over_writes += lane_of(op) == LANE_WRITE ? 1 : 0;
    epio__loop_notify_host(loop);
}

void epio_defer(epio_op *op)
{
    epio__require(op, "epio_defer", "the op is NULL");
    epio__op_enter(op, EPIO__PHASE_HELD);
    op->worker_state = EPIO__WORKER_DEFERRED;
    op->loop->counters.deferred++;
    epio__list_append(&op->loop->deferred, &op->queue);
    epio__loop_notify_host(op->loop);
}

/* ---- Taking back ---- */

void epio__workers_came_back(epio_op *op)
{
    epio__workers *workers = &op->loop->workers;
    if (lane_of(op) == LANE_WRITE) {
        epio__store_relaxed_u32(&workers->writes_ended, workers->writes_ended + 1);
    }
    leave_workers(op);
}

static bool take_back_from_queue(epio_op *op, epio__lane *lane)
{
    epio__mutex_lock(&lane->mutex);
    bool queued = op->worker_state >= EPIO__WORKER_QUEUED;
    if (queued) {
        epio__list_remove(&op->queue);
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
    case EPIO__WORKER_NOT:
        return EPIO__TAKE_BACK_NOT_THERE;
    case EPIO__WORKER_DEFERRED:
        epio__list_remove(&op->queue);
        op->worker_state = EPIO__WORKER_NOT;
        return EPIO__TAKE_BACK_DONE;
    case EPIO__WORKER_COLLECTED:
        take_from_hand_over(op);
        return EPIO__TAKE_BACK_DONE;
    case EPIO__WORKER_TAKEN:
        return EPIO__TAKE_BACK_TOO_LATE;
    default:
        place = (place - EPIO__WORKER_QUEUED) % EPIO__LANES;
        return take_back_from_queue(op, &op->loop->workers.lanes[place]) ? EPIO__TAKE_BACK_DONE
                                                                         : EPIO__TAKE_BACK_TOO_LATE;
    }
}

static worker *worker_at(const epio__lane *lane, const epio_op *op)
{
    for (epio_node *node = lane->threads.next; node != &lane->threads; node = node->next) {
        if (worker_of(node)->op == op) {
            return worker_of(node);
        }
    }
    return NULL;
}

static epio__lane *lane_at_work_on(const epio_op *op)
{
    return &op->loop->workers.lanes[lane_of(op)];
}

void epio__workers_expect(epio_op *op)
{
    epio__lane *lane = lane_at_work_on(op);
    uint64_t now = epio__monotonic_time();
    epio__mutex_lock(&lane->mutex); /* the thread, too, sets op->due, for a retry */
    bool for_long = now - op->offloaded_at >= PATIENCE_WITH_PATHS_NS;
    op->due_for = EPIO__DUE_WRITE_OFF;
    op->due = now + (for_long ? LAST_MOMENT_NS : MOMENT_NS);
    epio__mutex_unlock(&lane->mutex);
}

bool epio__workers_write_off(epio_op *op)
{
    epio__lane *lane = lane_at_work_on(op);
    epio_node deserted;
    epio__list_init(&deserted);
    epio__mutex_lock(&lane->mutex);
    worker *one = worker_at(lane, op);
    if (one != NULL) {
        one->op = NULL;
        one->written_off = true;
        epio__add_u32(&lane->workers->late_opens, one->opens ? 1 : 0);
        mark_overdue(lane, one);
        rouse_for_queue(lane);
        take_if_deserted(lane, &deserted);
    }
    unlock_and_announce(lane);
    fail_all(&deserted);
    if (one != NULL) {
        leave_workers(op);
    }
    return one != NULL;
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

/* ---- The end ---- */

static void free_lanes(epio__workers *workers)
{
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__condition_destroy(&workers->lanes[i].watch);
        epio__condition_destroy(&workers->lanes[i].work);
        epio__mutex_destroy(&workers->lanes[i].mutex);
    }
}

void epio__workers_release(epio__workers *workers)
{
    if (epio__subtract_u32(&workers->references, 1) == 1) {
        free_lanes(workers);
        free(workers->loop);
    }
}

/* A thread that may never return is not joined. */
static void orphan_those_that_hang(epio__lane *lane)
{
    epio_node *node = lane->threads.next;
    while (node != &lane->threads) {
        worker *one = worker_of(node);
        node = node->next;
        if (one->written_off) {
            one->orphaned = true;
            epio__list_remove(&one->node);
            epio__thread_detach(&one->thread);
            epio__add_u32(&lane->workers->references, 1);
        }
    }
}

void epio__workers_stop(epio__workers *workers)
{
    for (uint32_t i = 0; i < EPIO__LANES; i++) {
        epio__lane *lane = &workers->lanes[i];
        epio__mutex_lock(&lane->mutex);
        lane->stopping = true;
        epio__condition_broadcast(&lane->work);
        epio__condition_broadcast(&lane->watch);
        orphan_those_that_hang(lane);
        while (!epio__list_empty(&lane->threads)) {
            worker *one = worker_of(lane->threads.next);
            epio__mutex_unlock(&lane->mutex);
            epio__thread_join(&one->thread);
            epio__mutex_lock(&lane->mutex);
            epio__list_remove(&one->node); /* it moved itself to `left` */
            free_worker(one);
        }
        join_those_that_left(lane);
        epio__mutex_unlock(&lane->mutex);
    }
}
