/* See op_fixture.h. */
#include "op_fixture.h"

#include <epio/vfs.h>

#if EPIO_ASYNC

#define PATIENCE (fixture_is_slow() ? 60 * SECOND : 10 * SECOND)

/* ---- The gate ------------------------------------------------------------ */

typedef struct gate_vfs {
    epio_vfs base;
    epio_vfs *inner;
    test_mutex mutex;
    test_condition opened;
    uint32_t waiting;
    bool shut;
} gate_vfs;

static gate_vfs *gate_of(epio_vfs *base)
{
    return (gate_vfs *)(void *)base;
}

static void pass_gate(gate_vfs *gate)
{
    mutex_lock(&gate->mutex);
    gate->waiting++;
    while (gate->shut) {
        condition_wait(&gate->opened, &gate->mutex);
    }
    gate->waiting--;
    mutex_unlock(&gate->mutex);
}

static int64_t gate_perform(epio_vfs *base, epio_op *op)
{
    gate_vfs *gate = gate_of(base);
    pass_gate(gate);
    int64_t result = epio_perform_on(op, gate->inner, op->file);
    if ((op->kind == EPIO_KIND_OPEN || op->kind == EPIO_KIND_ADOPT) && result >= 0) {
        op->file->vfs = base; /* the inner file itself, not wrapped */
    }
    return result;
}

static void gate_submit(epio_vfs *base, epio_op *op)
{
    if (op->kind == EPIO_KIND_SLEEP) {
        epio_forward(op, gate_of(base)->inner, op->file);
    } else {
        epio_offload(op);
    }
}

static void gate_cancel(epio_vfs *base, epio_op *op)
{
    (void)base;
    (void)op; /* offloaded ops are cancelled by the core */
}

/* Its files are the inner VFS's. */
static uint32_t gate_lock_level(const epio_file *file)
{
    return gate_of(file->vfs)->inner->methods->lock_level(file);
}

static void gate_destroy(epio_vfs *base)
{
    gate_vfs *gate = gate_of(base);
    condition_destroy(&gate->opened);
    mutex_destroy(&gate->mutex);
    free(gate);
}

static const epio_vfs_methods gate_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "gate",
    .submit = gate_submit,
    .perform = gate_perform,
    .cancel = gate_cancel,
    .destroy = gate_destroy,
    .lock_level = gate_lock_level,
};

static epio_vfs *gate_create(epio_vfs *inner)
{
    gate_vfs *gate = calloc(1, sizeof *gate);
    check(gate != NULL);
    gate->base.methods = &gate_methods;
    gate->base.loop = inner->loop;
    gate->inner = inner;
    mutex_init(&gate->mutex);
    condition_init(&gate->opened);
    return &gate->base;
}

static void gate_set(op_fixture *one, bool shut)
{
    gate_vfs *gate = gate_of(one->gate);
    mutex_lock(&gate->mutex);
    gate->shut = shut;
    condition_broadcast(&gate->opened);
    mutex_unlock(&gate->mutex);
}

void gate_shut(op_fixture *one)
{
    gate_set(one, true);
}

uint32_t gate_waiting(op_fixture *one)
{
    gate_vfs *gate = gate_of(one->gate);
    mutex_lock(&gate->mutex);
    uint32_t waiting = gate->waiting;
    mutex_unlock(&gate->mutex);
    return waiting;
}

void gate_open(op_fixture *one)
{
    gate_set(one, false);
    while (gate_waiting(one) != 0) { /* no op may be caught by the next gate_shut */
        thread_yield();
    }
}

/* ---- A loop -------------------------------------------------------------- */

epio_file *op_fixture_open(op_fixture *one, epio_vfs *vfs, const char *name)
{
    epio_op op = {0};
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;
    check_result(epio_wait(epio_open(&op, vfs, fixture_path(one->f, name), flags)), 0);
    return op.file;
}

void op_fixture_close(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_wait(epio_close(&op, file)), 0);
}

epio_file *op_fixture_open_stream(op_fixture *one, epio_vfs *vfs, const char *name, intptr_t *other)
{
    epio_op op = {0};
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE;
    intptr_t ends[2] = {NO_HANDLE, NO_HANDLE};
    if (SYSTEM_HAS_FIFOS) {
        fifo_make(fixture_path(one->f, name));
        (void)epio_open(&op, vfs, fixture_path(one->f, name), flags);
    } else {
        pipe_make_duplex(ends);
        (void)epio_adopt(&op, vfs, ends[0], flags);
    }
    check_result(epio_wait(&op), 0);
    *other = ends[1];
    return op.file;
}

void op_fixture_close_stream(epio_file *file, intptr_t other)
{
    op_fixture_close(file);
    check(other == NO_HANDLE || handle_close(other));
}

void op_fixture_setup(op_fixture *one, fixture *f)
{
    epio_loop_options options = {
        .size = sizeof options, .workers = 1, .poll_budget_ns = EPIO_FOREVER};
    epio_op op = {0};
    memset(one, 0, sizeof *one);
    one->f = f;
    check_result(epio_loop_create(&one->loop, &options), 0);
    one->os = epio_loop_vfs(one->loop);
    one->gate = gate_create(one->os);
    one->file = op_fixture_open(one, one->gate, "file");
    one->other[0] = op_fixture_open(one, one->gate, "other 0");
    one->other[1] = op_fixture_open(one, one->gate, "other 1");
    one->other[2] = op_fixture_open(one, one->gate, "other 2");
    pattern_fill(one->buffer, sizeof one->buffer, 0);
    check_result(epio_wait(epio_write(&op, one->file, one->buffer, sizeof one->buffer, 0)),
                 sizeof one->buffer);
}

void op_fixture_teardown(op_fixture *one)
{
    op_fixture_close(one->file);
    for (size_t i = 0; i < 3; i++) {
        op_fixture_close(one->other[i]);
    }
    check_result(epio_loop_pending(one->loop), 0);
    /* The workers must end before the VFS that they call. */
    epio_loop_destroy(one->loop);
    epio_vfs_destroy(one->gate);
}

void op_fixture_run_until_waiting(op_fixture *one, uint32_t count)
{
    uint64_t deadline = system_monotonic_ns() + PATIENCE;
    while (gate_waiting(one) != count) {
        check(system_monotonic_ns() < deadline);
        (void)epio_loop_poll(one->loop, MILLISECOND, 0);
    }
}

void op_fixture_run_until_done(op_fixture *one, tracked *op)
{
    uint64_t deadline = system_monotonic_ns() + PATIENCE;
    while (op->calls == 0) {
        check(system_monotonic_ns() < deadline);
        (void)epio_loop_poll(one->loop, 10 * MILLISECOND, 0);
    }
    check_result(op->calls, 1);
}

void op_fixture_run_for(op_fixture *one, uint64_t nanoseconds)
{
    uint64_t deadline = system_monotonic_ns() + nanoseconds;
    for (uint64_t now = system_monotonic_ns(); now < deadline; now = system_monotonic_ns()) {
        (void)epio_loop_poll(one->loop, deadline - now, 0);
    }
}

void op_fixture_drain(op_fixture *one)
{
    uint64_t deadline = system_monotonic_ns() + PATIENCE;
    while (epio_loop_pending(one->loop) != 0) {
        check(system_monotonic_ns() < deadline);
        (void)epio_loop_poll(one->loop, 10 * MILLISECOND, 0);
    }
}

/* ---- Cancelling and submitting ------------------------------------------- */

const char *const cancel_origin_names[CANCEL_ORIGINS] = {"the owner", "another thread", "a `done`"};

static void *cancel_in_thread(void *op)
{
    epio_cancel(op);
    return NULL;
}

static void *submit_in_thread(void *op)
{
    epio_submit(op);
    return NULL;
}

static void in_thread(void *(*run)(void *argument), void *argument)
{
    test_thread thread;
    thread_start(&thread, run, argument);
    (void)thread_join(thread);
}

void submit_elsewhere(epio_op *op)
{
    in_thread(submit_in_thread, op);
}

static void cancel_the_user(tracked *one)
{
    epio_cancel(one->user);
}

void op_fixture_cancel(op_fixture *one, cancel_origin by, epio_op *op)
{
    tracked trigger;
    switch (by) {
    case BY_OWNER:
        epio_cancel(op);
        return;
    case BY_THREAD:
        in_thread(cancel_in_thread, op);
        return;
    default:
        track(&trigger);
        trigger.then = cancel_the_user;
        trigger.user = op;
        epio_submit(epio_current_time(&trigger.op, one->os));
        op_fixture_run_until_done(one, &trigger);
        return;
    }
}

/* ---- One op of each kind ------------------------------------------------- */

static void clear_nothing(op_fixture *one, epio_op *op)
{
    (void)one;
    (void)op;
}

static void prepare_open(op_fixture *one, epio_op *op)
{
    (void)epio_open(op, one->gate, fixture_path(one->f, "file"), EPIO_OPEN_READ);
}

/* A successful open has a file, a failed one has none. */
static void clear_open(op_fixture *one, epio_op *op)
{
    (void)one;
    check((op->result == 0) == (op->file != NULL));
    if (op->file != NULL) {
        op_fixture_close(op->file);
    }
}

static intptr_t adopted = NO_HANDLE;

static void prepare_adopt(op_fixture *one, epio_op *op)
{
    adopted = handle_open(fixture_path(one->f, "file"), EPIO_OPEN_READ);
    check(adopted != NO_HANDLE);
    (void)epio_adopt(op, one->gate, adopted, 0);
}

/* After a failure the descriptor is still the caller's. */
static void clear_adopt(op_fixture *one, epio_op *op)
{
    if (op->file == NULL) {
        check(handle_close(adopted));
    }
    clear_open(one, op);
}

static void prepare_close(op_fixture *one, epio_op *op)
{
    (void)epio_close(op, op_fixture_open(one, one->gate, "closed"));
}

static void prepare_read(op_fixture *one, epio_op *op)
{
    static char into[100];
    (void)epio_read(op, one->file, into, sizeof into, 50);
}

static void prepare_readv(op_fixture *one, epio_op *op)
{
    static char into[2][50];
    static const epio_iovec parts[2] = {{into[0], 50}, {into[1], 50}};
    (void)epio_readv(op, one->file, parts, 2, 50);
}

static void prepare_write(op_fixture *one, epio_op *op)
{
    (void)epio_write(op, one->file, one->buffer, 100, 0);
}

static void prepare_writev(op_fixture *one, epio_op *op)
{
    static char from[2][50];
    static const epio_iovec parts[2] = {{from[0], 50}, {from[1], 50}};
    (void)epio_writev(op, one->file, parts, 2, 3900);
}

static void prepare_truncate(op_fixture *one, epio_op *op)
{
    (void)epio_truncate(op, one->file, 4096);
}

#if SYSTEM_HAS_SPACE

static void prepare_append(op_fixture *one, epio_op *op)
{
    (void)epio_append(op, one->file, one->buffer, 100);
}

/* Past the gate, which may be shut. */
static void clear_append(op_fixture *one, epio_op *op)
{
    epio_op truncate = {0};
    (void)op;
    epio_file *file = op_fixture_open(one, one->os, "file");
    check_result(epio_perform(epio_truncate(&truncate, file, 4096)), 0);
    op_fixture_close(file);
}

static void prepare_allocate(op_fixture *one, epio_op *op)
{
    (void)epio_allocate(op, one->file, 0, 4096, 0);
}

static void prepare_punch_hole(op_fixture *one, epio_op *op)
{
    (void)epio_punch_hole(op, one->file, 4096, 4096);
}

static void prepare_zero_range(op_fixture *one, epio_op *op)
{
    (void)epio_zero_range(op, one->file, 4096, 4096, EPIO_SPACE_KEEP_SIZE);
}

static void prepare_seek_data(op_fixture *one, epio_op *op)
{
    (void)epio_seek_data(op, one->file, 100);
}

static void prepare_seek_hole(op_fixture *one, epio_op *op)
{
    (void)epio_seek_hole(op, one->file, 100);
}

static void prepare_advise(op_fixture *one, epio_op *op)
{
    (void)epio_advise(op, one->file, 0, 0, EPIO_ADVICE_WILL_NEED);
}

#endif

static void prepare_sync(op_fixture *one, epio_op *op)
{
    (void)epio_sync(op, one->file, EPIO_SYNC_DATA_ONLY);
}

static void prepare_size(op_fixture *one, epio_op *op)
{
    (void)epio_size(op, one->file);
}

static void make_file(op_fixture *one, const char *name)
{
    file_make(fixture_path(one->f, name));
}

static bool exists(op_fixture *one, const char *name)
{
    return file_exists(fixture_path(one->f, name));
}

static void prepare_lock(op_fixture *one, epio_op *op)
{
    (void)epio_lock(op, one->file, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT);
}

/* The level agrees with the result. */
static void clear_lock(op_fixture *one, epio_op *op)
{
    epio_op unlock = {0};
    check_result(epio_file_lock_level(one->file),
                 op->result == 0 ? EPIO_LOCK_SHARED : EPIO_LOCK_NONE);
    check_result(epio_perform(epio_unlock(&unlock, one->file, EPIO_LOCK_NONE)), 0);
}

static void prepare_unlock(op_fixture *one, epio_op *op)
{
    epio_op lock = {0};
    check_result(epio_perform(epio_lock(&lock, one->file, EPIO_LOCK_SHARED, 0)), 0);
    (void)epio_unlock(op, one->file, EPIO_LOCK_NONE);
}

static void clear_unlock(op_fixture *one, epio_op *op)
{
    (void)op;
    check_result(epio_file_lock_level(one->file), EPIO_LOCK_NONE);
}

static void prepare_check_reserved_lock(op_fixture *one, epio_op *op)
{
    (void)epio_check_reserved_lock(op, one->file);
}

static void prepare_delete(op_fixture *one, epio_op *op)
{
    make_file(one, "victim");
    (void)epio_delete(op, one->gate, fixture_path(one->f, "victim"), 0);
}

static void clear_delete(op_fixture *one, epio_op *op)
{
    check(exists(one, "victim") == (op->result != 0));
}

static void prepare_rename(op_fixture *one, epio_op *op)
{
    make_file(one, "from");
    (void)epio_rename(op, one->gate, fixture_path(one->f, "from"), fixture_path(one->f, "to"), 0);
}

static void clear_rename(op_fixture *one, epio_op *op)
{
    check(exists(one, "from") == (op->result != 0));
    check(exists(one, "to") == (op->result == 0));
    (void)file_remove(fixture_path(one->f, "to"));
}

static void prepare_access(op_fixture *one, epio_op *op)
{
    (void)epio_access(op, one->gate, fixture_path(one->f, "file"), EPIO_ACCESS_READ);
}

static void prepare_full_pathname(op_fixture *one, epio_op *op)
{
    static char path[4096];
    (void)epio_full_pathname(op, one->gate, SYSTEM_ROOT, path, sizeof path);
}

static void prepare_randomness(op_fixture *one, epio_op *op)
{
    static unsigned char random[10];
    (void)epio_randomness(op, one->gate, random, sizeof random);
}

static int64_t answer(epio_op *op)
{
    (void)op;
    return 42;
}

static void prepare_work(op_fixture *one, epio_op *op)
{
    (void)epio_work(op, one->gate, answer);
}

const op_kind op_kinds[] = {
    {"open", LANE_PATH, 0, false, false, prepare_open, clear_open},
    {"adopt", LANE_PATH, 0, false, false, prepare_adopt, clear_adopt},
    {"close", LANE_CLOSE, 0, true, false, prepare_close, clear_nothing},
    {"read", LANE_READ, 100, false, false, prepare_read, clear_nothing},
    {"readv", LANE_READ, 100, false, false, prepare_readv, clear_nothing},
    {"write", LANE_WRITE, 100, false, false, prepare_write, clear_nothing},
    {"writev", LANE_WRITE, 100, false, false, prepare_writev, clear_nothing},
    {"truncate", LANE_WRITE, 0, false, false, prepare_truncate, clear_nothing},
#if SYSTEM_HAS_SPACE
    {"append", LANE_WRITE, 4096, false, false, prepare_append, clear_append},
    {"allocate", LANE_WRITE, 0, false, false, prepare_allocate, clear_nothing},
    {"punch_hole", LANE_WRITE, 0, false, false, prepare_punch_hole, clear_nothing},
    {"zero_range", LANE_WRITE, 0, false, false, prepare_zero_range, clear_nothing},
    {"seek_data", LANE_READ, 100, false, false, prepare_seek_data, clear_nothing},
    {"seek_hole", LANE_READ, 4096, false, false, prepare_seek_hole, clear_nothing},
    {"advise", LANE_READ, 0, false, false, prepare_advise, clear_nothing},
#endif
    {"sync", LANE_FLUSH, 0, false, true, prepare_sync, clear_nothing},
    {"size", LANE_PATH, 4096, false, false, prepare_size, clear_nothing},
    {"lock", LANE_LOCK, 0, false, false, prepare_lock, clear_lock},
    {"unlock", LANE_LOCK, 0, true, false, prepare_unlock, clear_unlock},
    {"check_reserved_lock", LANE_PATH, 0, false, false, prepare_check_reserved_lock, clear_nothing},
    {"delete", LANE_PATH, 0, false, false, prepare_delete, clear_delete},
    {"rename", LANE_PATH, 0, false, false, prepare_rename, clear_rename},
    {"access", LANE_PATH, 1, false, false, prepare_access, clear_nothing},
    {"full_pathname", LANE_PATH, sizeof SYSTEM_ROOT - 1, false, false, prepare_full_pathname,
     clear_nothing},
    {"randomness", LANE_PATH, 10, false, false, prepare_randomness, clear_nothing},
    {"work", LANE_WORK, 42, false, false, prepare_work, clear_nothing},
};

const size_t op_kind_count = sizeof op_kinds / sizeof op_kinds[0];

/* Opened past the gate, which is shut; closed through it. */
static epio_op *prepare_closing(op_fixture *one, epio_op *op, uint32_t number)
{
    static const char *const names[] = {"closing 0", "closing 1", "closing 2", "closing 3"};
    epio_file *file = op_fixture_open(one, one->os, names[number]);
    file->vfs = one->gate;
    return epio_close(op, file);
}

static epio_op *prepare_filler(op_fixture *one, epio_op *op, lane which, uint32_t number)
{
    static char into[16];
    switch (which) {
    case LANE_READ:
        return epio_read(op, one->file, into, 1, 0);
    case LANE_WRITE: /* one at a time per file */
        return epio_write(op, one->file, one->buffer, 1, 0);
    case LANE_FLUSH:
        return epio_sync(op, number == 0 ? one->file : one->other[number - 1], EPIO_SYNC_FULL);
    case LANE_LOCK: /* likewise */
        return epio_unlock(op, one->file, EPIO_LOCK_NONE);
    case LANE_PATH:
        return epio_access(op, one->gate, SYSTEM_ROOT, EPIO_ACCESS_EXISTS);
    case LANE_CLOSE:
        return prepare_closing(one, op, number);
    default:
        return epio_work(op, one->gate, answer);
    }
}

uint32_t fillers_start(op_fixture *one, fillers *all, lane which)
{
    all->count = which == LANE_FLUSH || which == LANE_PATH || which == LANE_CLOSE ? 4 : 1;
    for (uint32_t i = 0; i < all->count; i++) {
        epio_submit(prepare_filler(one, track(&all->ops[i]), which, i));
    }
    return all->count;
}

void fillers_submit(op_fixture *one, fillers *all, lane which)
{
    op_fixture_run_until_waiting(one, fillers_start(one, all, which));
}

void fillers_finish(op_fixture *one, fillers *all)
{
    gate_open(one);
    for (uint32_t i = 0; i < all->count; i++) {
        op_fixture_run_until_done(one, &all->ops[i]);
        check(all->ops[i].result >= 0);
    }
}

/* ---- Ops that wait ------------------------------------------------------- */

/* Made by `begin`, undone by `end`. */
static epio_file *stream;
static intptr_t other_end; /* of a pipe in place of a FIFO */
static epio_semaphore *semaphore;
static epio_vfs *limit;
static epio_file *limited;
static tracked before;
static tracked behind;

static void check_nothing(void)
{
}

static void check_before(void)
{
    check_result(before.calls, 0);
}

static void check_before_and_behind(void)
{
    check_result(before.calls, 0);
    check_result(behind.calls, 0);
}

static void check_one_is_free(void)
{
    check_result(epio_semaphore_available(semaphore), 1);
}

static void check_none_is_free(void)
{
    check_result(epio_semaphore_available(semaphore), 0);
}

static void begin_sleep(op_fixture *one, epio_op *op)
{
    (void)epio_sleep(op, one->os, HOUR);
}

static void end_nothing(op_fixture *one, epio_op *op)
{
    (void)one;
    (void)op;
}

static void make_fifo(op_fixture *one)
{
    (void)file_remove(fixture_path(one->f, "fifo"));
    fifo_make(fixture_path(one->f, "fifo"));
}

static void open_fifo(op_fixture *one)
{
    (void)file_remove(fixture_path(one->f, "fifo"));
    stream = op_fixture_open_stream(one, one->os, "fifo", &other_end);
}

static void begin_fifo_read(op_fixture *one, epio_op *op)
{
    static char into[10];
    open_fifo(one);
    (void)epio_read(op, stream, into, sizeof into, 0);
}

static void begin_fifo_readv(op_fixture *one, epio_op *op)
{
    static char into[10];
    static const epio_iovec part = {into, sizeof into};
    open_fifo(one);
    (void)epio_readv(op, stream, &part, 1, 0);
}

static void begin_fifo_second_read(op_fixture *one, epio_op *op)
{
    static char into[10];
    begin_fifo_read(one, track(&before));
    epio_submit(&before.op);
    (void)epio_read(op, stream, into, sizeof into, 0);
}

static void begin_fifo_write(op_fixture *one, epio_op *op)
{
    static const char lot[1 << 20];
    open_fifo(one);
    (void)epio_write(op, stream, lot, sizeof lot, 0);
}

static void end_fifo(op_fixture *one, epio_op *op)
{
    (void)one;
    (void)op;
    op_fixture_close_stream(stream, other_end);
}

static void end_fifo_second_read(op_fixture *one, epio_op *op)
{
    end_fifo(one, op);
    check_result(before.calls, 1);
    check_result(before.result, EPIO_ECANCELED);
}

static void begin_fifo_open(op_fixture *one, epio_op *op)
{
    make_fifo(one);
    (void)epio_open(op, one->os, fixture_path(one->f, "fifo"), EPIO_OPEN_WRITE);
}

static void begin_limited_fifo_open(op_fixture *one, epio_op *op)
{
    make_fifo(one);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, one->os, semaphore), 0);
    (void)epio_open(op, limit, fixture_path(one->f, "fifo"), EPIO_OPEN_WRITE);
}

static void end_fifo_open(op_fixture *one, epio_op *op)
{
    (void)one;
    check(op->file == NULL);
}

static void end_limited_fifo_open(op_fixture *one, epio_op *op)
{
    end_fifo_open(one, op);
    check_result(epio_semaphore_available(semaphore), 1);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(semaphore);
}

static void begin_acquire(op_fixture *one, epio_op *op)
{
    check_result(epio_semaphore_create(&semaphore, 3), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 2), 0);
    (void)epio_acquire(op, one->os, semaphore, 2);
}

static void end_acquire(op_fixture *one, epio_op *op)
{
    (void)one;
    (void)op;
    check_result(epio_semaphore_available(semaphore), 1);
    epio_semaphore_release(semaphore, 2);
    check_result(epio_semaphore_available(semaphore), 3);
    epio_semaphore_destroy(semaphore);
}

static void make_limit(op_fixture *one)
{
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, one->os, semaphore), 0);
    limited = op_fixture_open(one, limit, "file");
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
}

static void end_limit(op_fixture *one, epio_op *op)
{
    (void)one;
    (void)op;
    check_result(epio_semaphore_available(semaphore), 0);
    epio_semaphore_release(semaphore, 1);
    op_fixture_close(limited);
    check_result(epio_semaphore_available(semaphore), 1);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(semaphore);
}

static void begin_limited_read(op_fixture *one, epio_op *op)
{
    static char into[10];
    make_limit(one);
    (void)epio_read(op, limited, into, sizeof into, 0);
}

static void begin_limited_write(op_fixture *one, epio_op *op)
{
    make_limit(one);
    (void)epio_write(op, limited, "x", 1, 0);
}

static void begin_limited_open(op_fixture *one, epio_op *op)
{
    make_limit(one);
    (void)epio_open(op, limit, fixture_path(one->f, "file"), EPIO_OPEN_READ);
}

static void end_limited_open(op_fixture *one, epio_op *op)
{
    check(op->file == NULL);
    end_limit(one, op);
}

/* The flush waits for a permit; the sync itself can be cancelled at once. */
static void begin_limited_sync(op_fixture *one, epio_op *op)
{
    make_limit(one);
    (void)epio_sync(op, limited, EPIO_SYNC_FULL);
}

static void begin_sync_behind_write(op_fixture *one, epio_op *op)
{
    gate_shut(one);
    epio_submit(epio_write(track(&before), one->file, one->buffer, 10, 0));
    op_fixture_run_until_waiting(one, 1);
    (void)epio_sync(op, one->file, EPIO_SYNC_FULL);
}

static void end_sync_behind_write(op_fixture *one, epio_op *op)
{
    (void)op;
    gate_open(one);
    op_fixture_run_until_done(one, &before);
    check_result(before.result, 10);
}

/* After a long flush a sync is held back for the writes in flight. */
static void begin_sync_held_back(op_fixture *one, epio_op *op)
{
    gate_shut(one);
    epio_submit(epio_sync(track(&before), one->file, EPIO_SYNC_FULL));
    op_fixture_run_until_waiting(one, 1);
    op_fixture_run_for(one, SECOND);
    gate_open(one);
    op_fixture_run_until_done(one, &before);
    gate_shut(one);
    epio_submit(epio_sync(op, one->file, EPIO_SYNC_FULL)); /* submitted: the write is behind it */
    epio_submit(epio_write(track(&before), one->file, one->buffer, 10, 0));
    epio_submit(epio_sync(track(&behind), one->file, EPIO_SYNC_FULL));
    op_fixture_run_until_waiting(one, 1);
}

static void end_sync_held_back(op_fixture *one, epio_op *op)
{
    end_sync_behind_write(one, op);
    op_fixture_run_until_done(one, &behind);
    check(behind.result == 0 || behind.result == EPIO_ECANCELED);
}

/* ---- Locks ---- */

/* `waiter` waits for what `locker` holds. */
static epio_file *locker;
static epio_file *waiter;
static intptr_t foreign; /* its locks are another process's to epio */

static void begin_lock(op_fixture *one, uint32_t held, uint32_t first, uint32_t wanted, epio_op *op)
{
    epio_op lock = {0};
    locker = op_fixture_open(one, one->os, "locked");
    waiter = op_fixture_open(one, one->os, "locked");
    for (uint32_t level = EPIO_LOCK_SHARED; level <= held; level++) {
        if (level != EPIO_LOCK_PENDING) {
            check_result(epio_perform(epio_lock(&lock, locker, level, 0)), 0);
        }
    }
    if (first != EPIO_LOCK_NONE) {
        check_result(epio_perform(epio_lock(&lock, waiter, first, 0)), 0);
    }
    (void)epio_lock(op, waiter, wanted, EPIO_LOCK_WAIT);
}

static void end_lock(op_fixture *one, epio_op *op)
{
    epio_op unlock = {0};
    (void)one;
    (void)op;
    /* The waiter left no lock that blocks the other file. */
    check_result(epio_perform(epio_lock(&unlock, locker, EPIO_LOCK_SHARED, 0)),
                 epio_file_lock_level(locker) > EPIO_LOCK_SHARED ? EPIO_EINVAL : 0);
    op_fixture_close(locker);
    op_fixture_close(waiter);
}

static void begin_shared_lock(op_fixture *one, epio_op *op)
{
    begin_lock(one, EPIO_LOCK_EXCLUSIVE, EPIO_LOCK_NONE, EPIO_LOCK_SHARED, op);
}

static void end_shared_lock(op_fixture *one, epio_op *op)
{
    check_result(epio_file_lock_level(waiter), EPIO_LOCK_NONE);
    end_lock(one, op);
}

static void begin_exclusive_lock(op_fixture *one, epio_op *op)
{
    begin_lock(one, EPIO_LOCK_SHARED, EPIO_LOCK_SHARED, EPIO_LOCK_EXCLUSIVE, op);
}

static void end_exclusive_lock(op_fixture *one, epio_op *op)
{
    check_result(epio_file_lock_level(waiter), EPIO_LOCK_SHARED);
    end_lock(one, op);
}

static void begin_foreign_lock(op_fixture *one, epio_op *op)
{
    begin_lock(one, EPIO_LOCK_NONE, EPIO_LOCK_NONE, EPIO_LOCK_SHARED, op);
    foreign = handle_open(fixture_path(one->f, "locked"), EPIO_OPEN_READ | EPIO_OPEN_WRITE);
    check(foreign != NO_HANDLE);
    check(handle_lock_range(foreign, 0x40000000, 512, HANDLE_LOCK_EXCLUSIVE));
}

static void end_foreign_lock(op_fixture *one, epio_op *op)
{
    check(handle_lock_range(foreign, 0x40000000, 512, HANDLE_UNLOCK));
    end_shared_lock(one, op);
    check(handle_close(foreign));
}

/* Waits for a permit of a limit below a trace. */
static epio_vfs *trace;

static void begin_traced_read(op_fixture *one, epio_op *op)
{
    static char into[10];
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, one->os, semaphore), 0);
    check_result(epio_trace_vfs_create(&trace, limit), 0);
    limited = op_fixture_open(one, trace, "file");
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    (void)epio_read(op, limited, into, sizeof into, 0);
}

static void end_traced_read(op_fixture *one, epio_op *op)
{
    epio_trace_counts counts = {.size = sizeof counts};
    epio_semaphore_release(semaphore, 1);
    op_fixture_close(limited);
    check_result(epio_trace_read(trace, EPIO_KIND_READ, &counts), 0);
    check_result(counts.in_flight, 0);
    epio_vfs_destroy(trace);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(semaphore);
    end_nothing(one, op);
}

static void begin_linked(op_fixture *one, epio_op *op)
{
    (void)epio_sleep(track(&before), one->os, HOUR);
    (void)epio_current_time(op, one->os);
    (void)epio_link(&before.op, op, EPIO_LINK_ALWAYS);
    epio_submit(&before.op);
}

static void end_linked(op_fixture *one, epio_op *op)
{
    (void)op;
    epio_cancel(&before.op);
    op_fixture_run_until_done(one, &before);
    check_result(before.result, EPIO_ECANCELED);
}

const wait_case wait_cases[] = {
    {"a sleep", begin_sleep, check_nothing, end_nothing},
    {"a read of an empty FIFO", begin_fifo_read, check_nothing, end_fifo},
    {"a vectored read of an empty FIFO", begin_fifo_readv, check_nothing, end_fifo},
    {"the second read of an empty FIFO", begin_fifo_second_read, check_before,
     end_fifo_second_read},
    {"a write to a full FIFO", begin_fifo_write, check_nothing, end_fifo},
    {"an acquire", begin_acquire, check_one_is_free, end_acquire},
    {"a read without a permit", begin_limited_read, check_none_is_free, end_limit},
    {"a write without a permit", begin_limited_write, check_none_is_free, end_limit},
    {"an open without a permit", begin_limited_open, check_none_is_free, end_limited_open},
    {"a sync whose flush has no permit", begin_limited_sync, check_none_is_free, end_limit},
    {"a read through a trace without a permit", begin_traced_read, check_none_is_free,
     end_traced_read},
    {"a sync behind a write", begin_sync_behind_write, check_before, end_sync_behind_write},
    {"a sync that is held back", begin_sync_held_back, check_before_and_behind, end_sync_held_back},
    {"a lock that another file has", begin_shared_lock, check_nothing, end_shared_lock},
    {"a lock that readers keep off", begin_exclusive_lock, check_nothing, end_exclusive_lock},
    {"a lock that another process has", begin_foreign_lock, check_nothing, end_foreign_lock},
    {"a linked op", begin_linked, check_before, end_linked},
    /* The opens of FIFOs come last. */
    {"an open of a FIFO without a reader", begin_fifo_open, check_nothing, end_fifo_open},
    {"the same through a limit", begin_limited_fifo_open, check_one_is_free, end_limited_fifo_open},
};

#define OPENS_OF_FIFOS 2

const size_t wait_case_count =
    sizeof wait_cases / sizeof wait_cases[0] - (SYSTEM_HAS_FIFOS ? 0 : OPENS_OF_FIFOS);

#endif
