/* The operating system as a VFS: decides the route of an op. Reads that the page cache can probably
 * serve are collected and read on the owner's thread; what the backend has an asynchronous form for
 * goes there; the rest is offloaded to a worker. How each is done is the platform's. */
#include "os/os_vfs.h"

#include "atomics.h"
#include "core/directory.h"
#include "core/generic_ops.h"
#include "core/op.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif
#include "os/lock_table.h"
#include "os/os_tree.h"
#include "os/os_watch.h"

#if EPIO_ASYNC

static epio__os_vfs *vfs_of(epio_vfs *base)
{
    return (epio__os_vfs *)(void *)base;
}

#endif

static intptr_t os_handle(const epio_file *file)
{
    return epio__file_is_watch(file) ? -1 : ((const epio__os_file *)(const void *)file)->handle;
}

static uint32_t lock_level(const epio_file *file)
{
    if (epio__file_is_watch(file)) {
        return EPIO_LOCK_NONE;
    }
    const epio__lock_holder *holder =
        epio__lock_table_find((const epio__os_file *)(const void *)file);
    return holder != NULL ? epio__lock_level_of(holder) : EPIO_LOCK_NONE;
}

static epio__os_file *file_of(const epio_op *op)
{
    return (epio__os_file *)(void *)op->file;
}

static int64_t perform_lock(epio_op *op)
{
    bool unlocks = epio__lock_is_unlock(op);
    epio__lock_holder *holder =
        unlocks ? epio__lock_table_find(file_of(op)) : epio__lock_table_join(file_of(op));
    if (holder == NULL) {
        return unlocks ? 0 : EPIO_ENOMEM; /* it never had any */
    }
    int64_t result = epio__lock_perform(holder, op);
    if (unlocks) {
        epio__lock_table_settle(holder);
    }
    return result;
}

#if EPIO_ASYNC

/* Before a close: makes the backend release the file, which otherwise stays open. Only the owner
 * can do that; for other threads its next iteration does. */
static void let_go_of_file(epio__os_vfs *vfs, const epio_op *op)
{
    if (epio__loop_is_owner(vfs->base.loop)) {
        vfs->backend->forget(vfs->backend_state, file_of(op));
    } else {
        epio__store_u32(&vfs->closed_file, 1);
    }
}

#endif

static int64_t perform_by_platform(epio_vfs *base, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        return epio__os_open(base, op);
    case EPIO_KIND_ADOPT:
        return epio__os_adopt(base, op);
    case EPIO_KIND_CLOSE:
        return epio__os_close(op);
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return epio__os_transfer(op);
    case EPIO_KIND_TRUNCATE:
        return epio__os_truncate(op);
    case EPIO_KIND_APPEND:
        return epio__os_append(op);
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
        return epio__os_change_space(op);
    case EPIO_KIND_SEEK_DATA:
    case EPIO_KIND_SEEK_HOLE:
        return epio__os_seek(op);
    case EPIO_KIND_COPY_RANGE:
        return epio__os_vfs_copy(op);
    case EPIO_KIND_ADVISE:
        return epio__os_advise(op);
    case EPIO_KIND_MAP:
        return epio__os_map(op);
    case EPIO_KIND_UNMAP:
        return epio__os_unmap(op);
    case EPIO_KIND_SYNC_MAPPING:
        return epio__os_sync_mapping(op);
    case EPIO_KIND_SYNC:
        return epio__os_sync(op);
    case EPIO_KIND_SIZE:
        return epio__os_size(op);
    case EPIO_KIND_DELETE:
        return epio__os_delete(op);
    case EPIO_KIND_RENAME:
        return epio__os_rename(op);
    case EPIO_KIND_ACCESS:
        return epio__os_access(op);
    case EPIO_KIND_FULL_PATHNAME:
        return epio__os_full_pathname(op);
    default:
        return epio__os_perform_on_tree(op);
    }
}

/* A layer that does not know directories has passed on its own. */
static bool begins_elsewhere(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_PATH) && op->arguments.path.directory != NULL &&
           op->arguments.path.directory->vfs->methods != &epio__os_vfs_methods;
}

static int64_t perform(epio_vfs *base, epio_op *op)
{
    int64_t result;
    switch (op->kind) { /* the most frequent ones, which nothing below concerns */
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return epio__os_transfer(op);
    case EPIO_KIND_SIZE:
        return epio__os_size(op);
    case EPIO_KIND_LOCK:
    case EPIO_KIND_UNLOCK:
    case EPIO_KIND_LOCK_RANGE:
    case EPIO_KIND_UNLOCK_RANGE:
        return perform_lock(op);
    case EPIO_KIND_STAT:
        return begins_elsewhere(op) ? EPIO_ENOTSUP : epio__os_perform_on_tree(op);
    default:
        break;
    }
    if (epio__os_is_of_watch(op)) {
        return begins_elsewhere(op) ? EPIO_ENOTSUP : epio__os_perform_on_watch(base, op);
    }
    if (epio__op_is(op, EPIO__KIND_LOCKS)) {
        return perform_lock(op);
    }
#if EPIO_ASYNC
    if (op->kind == EPIO_KIND_CLOSE && base->loop != NULL) {
        let_go_of_file(vfs_of(base), op);
    }
#endif
    if (epio__generic_perform(op, &result)) {
        return result;
    }
    if (begins_elsewhere(op)) {
        return EPIO_ENOTSUP;
    }
    result = perform_by_platform(base, op);
    if (epio__op_is(op, EPIO__KIND_OPENS) && result == 0) {
        epio__directory_init(op->file);
    }
#if EPIO_ASYNC
    if (epio__op_is(op, EPIO__KIND_OPENS) && result == 0 && base->loop != NULL) {
        file_of(op)->may_be_pinned = (vfs_of(base))->backend->pins_files;
    }
#endif
    return result;
}

#if EPIO_ASYNC

static void writes_begin(epio_vfs *base)
{
    epio__os_vfs *vfs = vfs_of(base);
    if (base->loop->iterates && !vfs->guards_writes) {
        vfs->guards_writes = epio__os_writes_begin();
    }
}

static void thread_leaves(epio_vfs *base)
{
    epio__os_vfs *vfs = vfs_of(base);
    if (vfs->guards_writes) {
        vfs->guards_writes = false;
        epio__os_writes_end();
    }
}

void epio__os_spend(const epio_op *op, uint64_t bytes)
{
    epio__loop_charge(op->loop, bytes);
}

/* Routes an op to the backend, or, if that has no asynchronous form for it, to a worker. */
static void route_op(epio__os_vfs *vfs, epio_op *op)
{
    if (vfs->backend->transfers_at_once && !epio__op_is_on_stream(op) &&
        epio__loop_is_spent(op->loop)) {
        epio_defer(op);
    } else if (!vfs->backend->submit(vfs->backend_state, op)) {
        epio_offload(op);
    } else if (op->phase != EPIO__PHASE_READY) {
        op->route = EPIO__ROUTE_BACKEND; /* else it ended within the call */
    }
}

/* May be tried on the owner's thread, and did not miss the cache before. */
static bool may_be_cached(const epio_op *op, uint64_t bytes)
{
    return bytes <= EPIO__LARGE_COPY && (op->notes & EPIO__NOTE_MISSED_CACHE) == 0 &&
           epio__load_relaxed_u32(&file_of(op)->cached_reads) != EPIO__CACHED_READS_NEVER;
}

static bool read_cached(epio_op *op, uint64_t bytes)
{
    if (op->kind == EPIO_KIND_READ ? epio__os_read_cached(op, bytes)
                                   : epio__os_readv_cached(op, bytes)) {
        epio__os_file *file = file_of(op);
        if (op->progress != 0 &&
            epio__load_relaxed_u32(&file->cached_reads) == EPIO__CACHED_READS_UNKNOWN) {
            epio__os_file_note_cached_reads(file, EPIO__CACHED_READS_WORK);
        }
        return true;
    }
    op->notes |= EPIO__NOTE_MISSED_CACHE;
    return false;
}

static void read_one_by_one(epio__os_vfs *vfs, epio_node *first)
{
    if (first == NULL) {
        return;
    }
    epio__queue ended;
    epio__queue_init(&ended);
    for (epio_node *node = first, *next; node != NULL; node = next) {
        epio_op *op = epio__op_of_queue(node);
        next = node->next;
        if (epio__os_read_cached(op, op->arguments.io.len)) {
            epio__queue_push(&ended, op);
            continue;
        }
        op->notes |= EPIO__NOTE_MISSED_CACHE;
        if (epio__leave_batch(op)) {
            route_op(vfs, op);
        }
    }
    epio__batch_ended(&ended, false);
}

static uint64_t cost_of(const epio_node *node)
{
    uint64_t cost = 0;
    for (; node != NULL; node = node->next) {
        cost += EPIO_CONTAINER(node, const epio_op, queue)->arguments.io.len + EPIO__OP_COST;
    }
    return cost;
}

enum { TOGETHER, ONE_BY_ONE };

static void read_by(epio__os_vfs *vfs, uint32_t choice, epio_node *first, uint32_t count)
{
    if (choice == TOGETHER) {
        vfs->read_together = true;
        first = vfs->backend->read_together(vfs->backend_state, first, count);
    }
    read_one_by_one(vfs, first);
}

/* Where both methods are available, by the quicker one according to the tuner. */
static void read_several(epio__os_vfs *vfs, epio_node *first, uint32_t count)
{
    epio__tuner *tuner = &vfs->tuner;
    if (!epio__tuner_is_due(tuner)) {
        read_by(vfs, tuner->faster, first, count);
        return;
    }
    uint64_t cost = cost_of(first);
    uint64_t begun = epio__monotonic_time();
    read_by(vfs, epio__tuner_choice(tuner), first, count);
    epio__tuner_record(tuner, epio__monotonic_time() - begun, cost);
}

static void read_collected(epio_vfs *base)
{
    epio__os_vfs *vfs = vfs_of(base);
    epio_loop *loop = base->loop;
    epio_node *first = loop->collected.first;
    uint64_t count = loop->collected_count;
    if (vfs->read_together &&
        (count < EPIO__READS_OF_A_BATCH || epio__load_u32(&vfs->closed_file) != 0)) {
        vfs->read_together = false;
        epio__store_u32(&vfs->closed_file, 0);
        (void)vfs->backend->read_together(vfs->backend_state, NULL, 0);
    }
    if (first == NULL) {
        return;
    }
    epio__queue_init(&loop->collected);
    loop->collected_count = 0;
    if (count >= EPIO__READS_OF_A_BATCH && vfs->backend->read_together != NULL) {
        read_several(vfs, first, (uint32_t)count);
    } else {
        read_one_by_one(vfs, first);
    }
}

/* A buffered write that the backend may carry out. A flush that follows writes is quicker where
 * these are, on a worker. */
static bool may_go_behind(const epio_vfs *base, const epio_op *op)
{
    return op->vfs == base && epio__op_is_at_offset(op) && !epio__op_is(op, EPIO__KIND_READS) &&
           !file_of(op)->direct && (op->notes & EPIO__NOTE_FOR_WORKER) == 0 &&
           epio_list_empty(&op->file->syncs);
}

static void write_behind(epio_vfs *base, bool here)
{
    epio__os_vfs *vfs = vfs_of(base);
    const epio__backend *backend = vfs->backend;
    epio_loop *loop = base->loop;
    if (backend->write_behind == NULL) {
        return;
    }
    uint64_t in_flight = loop->to_offload_writes + loop->writes_at_workers +
                         backend->writes_behind(vfs->backend_state);
    bool many = in_flight >= EPIO__MANY_WRITES;
    if (here && !many) {
        return; /* the quickest route there is */
    }
    epio_node queue;
    epio_list_init(&queue);
    epio_list_move_all(&queue, &loop->to_offload);
    while (!epio_list_empty(&queue)) {
        epio_op *op = epio__op_of_queue(queue.next);
        if (!may_go_behind(base, op) || !epio__write_routes_behind(&vfs->routes, op, many)) {
            epio_list_remove(&op->queue);
            epio_list_append(&loop->to_offload, &op->queue);
            continue;
        }
        epio__workers_take_unoffloaded(op);
        if (backend->write_behind(vfs->backend_state, op)) {
            op->route = EPIO__ROUTE_BACKEND;
        } else {
            op->notes |= EPIO__NOTE_FOR_WORKER;
            epio_offload(op);
        }
    }
}

static bool read_now(epio_op *op, bool may_wait, int64_t *result)
{
    if (may_wait) {
        op->progress = 0;
        *result = epio__os_transfer(op);
        return true;
    }
    uint64_t bytes = epio_op_bytes(op);
    if (!may_be_cached(op, bytes) || !read_cached(op, bytes)) {
        return false;
    }
    *result = (int64_t)op->progress;
    return true;
}

static bool write_now(epio_op *op, int64_t *result)
{
    if (!epio__loop_spend(op->loop, op->arguments.io.len)) {
        return false;
    }
    writes_begin(op->vfs);
    op->progress = 0;
    *result = epio__os_transfer(op);
    return true;
}

static bool try_now(epio_vfs *base, epio_op *op, bool may_wait, int64_t *result)
{
    (void)base;
    if (epio__op_is_on_stream(op)) {
        return false;
    }
    return epio__op_is(op, EPIO__KIND_READS) ? read_now(op, may_wait, result)
                                             : write_now(op, result);
}

static void submit_read(epio__os_vfs *vfs, epio_op *op)
{
    uint64_t bytes = epio_op_bytes(op);
    if (epio__op_is_on_stream(op)) {
        route_op(vfs, op);
    } else if (vfs->base.loop->may_wait) {
        op->progress = 0;
        epio_complete(op, epio__os_transfer(op));
    } else if (!may_be_cached(op, bytes)) {
        route_op(vfs, op);
    } else if (!epio__loop_spend(vfs->base.loop, bytes)) {
        epio_defer(op);
    } else if (read_cached(op, bytes)) {
        epio_complete(op, (int64_t)op->progress);
    } else {
        route_op(vfs, op);
    }
}

static void perform_here(epio__os_vfs *vfs, epio_op *op, uint64_t bytes)
{
    if (epio__loop_spend(vfs->base.loop, bytes)) {
        epio_complete(op, perform(&vfs->base, op));
    } else {
        epio_defer(op);
    }
}

static void submit_write(epio__os_vfs *vfs, epio_op *op)
{
    if (vfs->base.loop->inline_writes) {
        writes_begin(&vfs->base);
        perform_here(vfs, op, epio_op_bytes(op));
    } else {
        route_op(vfs, op);
    }
}

/* No backend has a form that tells where the bytes are. */
static void submit_append(epio__os_vfs *vfs, epio_op *op)
{
    if (vfs->base.loop->inline_writes) {
        writes_begin(&vfs->base);
        perform_here(vfs, op, epio_op_bytes(op));
    } else {
        epio_offload(op);
    }
}

/* The system's lock calls never wait for a holder, and are as short as system calls can be, unless
 * they have to ask a server. */
static void submit_lock(epio__os_vfs *vfs, epio_op *op)
{
    epio__os_file *file = file_of(op);
    if (file->locks_are_remote && file->may_be_pinned) {
        epio__store_u32(&file->keeps_from_ring, 1);
    }
    epio__lock_holder *holder = file->locks_are_remote ? NULL : epio__lock_table_join(file);
    if (epio__load_relaxed_u32(&file->keeps_from_ring) != 0) {
        vfs->backend->forget(vfs->backend_state, file);
    }
    if (file->locks_are_remote) {
        epio_offload(op);
    } else if (holder != NULL && epio__lock_is_request(op)) {
        epio__lock_submit(holder, op);
    } else {
        epio_complete(op, perform_lock(op));
    }
}

static void alarm_lock(epio_vfs *base, epio_op *op)
{
    (void)base;
    epio__lock_alarm(op);
}

static void resumed(epio_vfs *base, epio_op *op)
{
    (void)base;
    if (op->kind == EPIO_KIND_READ_EVENTS) {
        epio__watch_resumed(op);
    } else {
        epio__lock_resumed(op);
    }
}

static void submit(epio_vfs *base, epio_op *op)
{
    epio__os_vfs *vfs = vfs_of(base);
    if (epio__os_is_of_watch(op)) {
        epio__os_submit_on_watch(op);
        return;
    }
    switch (op->kind) {
    case EPIO_KIND_READ:
        if (op->fast == EPIO__FAST_IN_VFS && !vfs->base.loop->may_wait &&
            epio__loop_collect(op->loop, op->file, op)) {
            op->fast = op->frames != NULL ? EPIO__FAST_THROUGH_LAYERS : EPIO__FAST;
        } else {
            submit_read(vfs, op);
        }
        return;
    case EPIO_KIND_READV:
        submit_read(vfs, op);
        return;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        if (epio__op_is_on_stream(op)) {
            route_op(vfs, op);
        } else {
            submit_write(vfs, op);
        }
        return;
    case EPIO_KIND_APPEND:
        submit_append(vfs, op);
        return;
    case EPIO_KIND_SLEEP:
        epio__generic_submit_sleep(op);
        return;
    case EPIO_KIND_CURRENT_TIME:
        epio_complete(op, perform(base, op));
        return;
    case EPIO_KIND_RANDOMNESS:
        if (op->arguments.io.len <= EPIO__LARGE_COPY) {
            perform_here(vfs, op, op->arguments.io.len);
            return;
        }
        epio_offload(op);
        return;
    case EPIO_KIND_CLOSE:
        vfs->backend->forget(vfs->backend_state, file_of(op));
        epio_offload(op);
        return;
    default:
        if (epio__op_is(op, EPIO__KIND_LOCKS)) {
            submit_lock(vfs, op);
        } else {
            epio_offload(op);
        }
        return;
    }
}

static void cancel(epio_vfs *base, epio_op *op)
{
    epio__os_vfs *vfs = vfs_of(base);
    if (epio__lock_is_request(op)) {
        epio__lock_cancel(op);
    } else if (epio__os_is_of_watch(op)) {
        epio__os_cancel_on_watch(op);
    } else if (vfs->backend->cancel(vfs->backend_state, op)) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

#endif

#if EPIO_ASYNC

const epio__loop_hooks epio__os_vfs_hooks = {
    .read_collected = read_collected,
    .write_behind = write_behind,
    .try_now = try_now,
    .writes_begin = writes_begin,
    .thread_leaves = thread_leaves,
};

#endif

const epio_vfs_methods epio__os_vfs_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "os",
#if EPIO_ASYNC
    .submit = submit,
    .cancel = cancel,
    .alarm = alarm_lock,
    .resumed = resumed,
#endif
    .perform = perform,
    .os_handle = os_handle,
    .lock_level = lock_level,
};

epio_vfs *epio_os_vfs(void)
{
    static epio_vfs vfs = {.methods = &epio__os_vfs_methods, .loop = NULL};
    return &vfs;
}
