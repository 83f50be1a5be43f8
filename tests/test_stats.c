/* epio_loop_get_stats: the routes of ops, shared flushes, and the lengths of queues.
 * EPIO_TEST_SERIAL: some of it waits for a thread to sleep. */
#include "op_fixture.h"

#define COUNT 40
#define BLOCK 4096u

/* Checks the invariants, too. */
static epio_loop_stats stats_of(const epio_loop *loop)
{
    epio_loop_stats now = {.size = sizeof now};
    check_result(epio_loop_get_stats(loop, &now), 0);
    check(now.size == sizeof now);
    check(now.at_once <= now.delivered);
    check(now.at_once + now.by_backend + now.by_workers + now.by_owner + now.by_nobody ==
          now.delivered);
    check(now.in_flight == epio_loop_pending(loop));
    return now;
}

/* The counts since then, and the current lengths. */
static epio_loop_stats since(const epio_loop_stats *before, const epio_loop *loop)
{
    epio_loop_stats now = stats_of(loop);
    now.delivered -= before->delivered;
    now.at_once -= before->at_once;
    now.by_backend -= before->by_backend;
    now.by_workers -= before->by_workers;
    now.by_owner -= before->by_owner;
    now.by_nobody -= before->by_nobody;
    now.in_place -= before->in_place;
    now.flushes -= before->flushes;
    now.syncs -= before->syncs;
    now.deferred -= before->deferred;
    now.batches -= before->batches;
    now.sleeps -= before->sleeps;
    now.wakes -= before->wakes;
    return now;
}

static void check_all_queues_are_empty(const epio_loop *loop)
{
    epio_loop_stats now = stats_of(loop);
    check(now.in_flight == 0);
    check(now.ready_now == 0);
    check(now.deferred_now == 0);
    check(now.to_read_now == 0);
    check(now.to_offload_now == 0);
    check(now.at_backend_now == 0);
    check(now.at_workers_now == 0);
}

static int64_t nothing(epio_op *op)
{
    (void)op;
    return 7;
}

/* Sends each through a worker first: the route of an earlier use must not count, and the fast paths
 * are for reused ops. */
static void use_once(tracked *ops, unsigned count, epio_loop *loop)
{
    for (unsigned i = 0; i < count; i++) {
        epio_submit(epio_work(track(&ops[i]), epio_loop_vfs(loop), nothing));
    }
    (void)epio_loop_run(loop);
    for (unsigned i = 0; i < count; i++) {
        check_result(ops[i].result, 7);
        ops[i].calls = 0;
    }
}

static void submit_reads(tracked *ops, unsigned count, epio_file *file)
{
    static char into[64];
    for (unsigned i = 0; i < count; i++) {
        epio_submit(epio_read(&ops[i].op, file, into, sizeof into, 0));
    }
}

static void check_reads(const tracked *ops, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        check(ops[i].calls == 1);
        check_result(ops[i].result, 64);
    }
}

static epio_loop *make_loop(uint32_t inline_writes)
{
    epio_loop *loop;
    epio_loop_options options = {.size = sizeof options, .inline_writes = inline_writes};
    check_result(epio_loop_create(&loop, &options), 0);
    return loop;
}

static epio_file *open_temporary(epio_vfs *vfs, uint64_t len)
{
    static char content[BLOCK];
    epio_op op = {0};
    check_result(epio_wait(epio_open(&op, vfs, NULL, EPIO_OPEN_TEMPORARY)), 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_write(&op, file, content, (size_t)len, 0)), len);
    return file;
}

/* ---- Routes ---------------------------------------------------------------- */

static void arguments_are_checked(fixture *f)
{
    epio_loop *loop = make_loop(0);
    epio_loop_stats now = {.size = sizeof now};
    (void)f;
    check_result(epio_loop_get_stats(NULL, &now), EPIO_EINVAL);
    check_result(epio_loop_get_stats(loop, NULL), EPIO_EINVAL);
    now.size = 0;
    check_result(epio_loop_get_stats(loop, &now), EPIO_EINVAL);
    epio_loop_destroy(loop);
}

static void a_new_loop_has_done_nothing(fixture *f)
{
    epio_loop *loop = make_loop(0);
    epio_loop_stats now;
    epio_loop_stats zero = {.size = sizeof zero};
    (void)f;
    memset(&now, 0xFF, sizeof now);
    now.size = sizeof now;
    check_result(epio_loop_get_stats(loop, &now), 0);
    check(now.threads_now == 0);
    size_t first = offsetof(epio_loop_stats, delivered); /* after a possible gap */
    size_t last = offsetof(epio_loop_stats, threads_now);
    check(memcmp((char *)&now + first, (char *)&zero + first, last - first) == 0);
    epio_loop_destroy(loop);
}

/* On every backend: where the system reports what is cached no worker is needed or woken. */
static void check_cached_reads(const epio_loop_stats *before, const epio_loop *loop, uint64_t count)
{
    epio_loop_stats now = since(before, loop);
    check(now.delivered == count);
    check(now.by_nobody == 0);
    if (SYSTEM_REPORTS_CACHED) {
        check(now.at_once == count);
        check(now.batches == 0);
        check(now.sleeps == 0);
        check(now.wakes == 0);
    }
}

static void cached_reads_are_at_once(fixture *f)
{
    static tracked ops[COUNT];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = open_temporary(fx.os, BLOCK);
    use_once(ops, COUNT, fx.loop);
    epio_loop_stats before = stats_of(fx.loop);
    submit_reads(ops, COUNT, file);
    check(stats_of(fx.loop).in_flight == COUNT);
    if (SYSTEM_REPORTS_CACHED) {
        check(stats_of(fx.loop).ready_now + stats_of(fx.loop).to_read_now == COUNT);
    }
    op_fixture_drain(&fx);
    check_reads(ops, COUNT);
    check_cached_reads(&before, fx.loop, COUNT);
    check_all_queues_are_empty(fx.loop);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static void cached_reads_of_an_embedded_loop(fixture *f)
{
    static tracked ops[COUNT];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = open_temporary(fx.os, BLOCK);
    use_once(ops, COUNT, fx.loop);
    epio_loop_stats before = stats_of(fx.loop);
    submit_reads(ops, COUNT / 2, file); /* ready when it is embedded */
    check(epio_loop_handle(fx.loop) >= 0);
    submit_reads(&ops[COUNT / 2], COUNT / 2, file);
    op_fixture_drain(&fx);
    check_reads(ops, COUNT);
    epio_loop_stats now = since(&before, fx.loop);
    check(now.delivered == COUNT);
    if (SYSTEM_REPORTS_CACHED) {
        check(now.at_once == COUNT);
    }
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static void a_layer_changes_no_route(fixture *f)
{
    static tracked ops[COUNT];
    tracked work;
    op_fixture fx;
    epio_vfs *trace;
    op_fixture_setup(&fx, f);
    check_result(epio_trace_vfs_create(&trace, fx.os), 0);
    epio_file *file = open_temporary(trace, BLOCK);
    use_once(ops, COUNT, fx.loop);
    epio_loop_stats before = stats_of(fx.loop);
    submit_reads(ops, COUNT, file);
    op_fixture_drain(&fx);
    check_reads(ops, COUNT);
    check_cached_reads(&before, fx.loop, COUNT);
    before = stats_of(fx.loop);
    epio_submit(epio_work(track(&work), trace, nothing));
    op_fixture_drain(&fx);
    check(since(&before, fx.loop).by_workers == 1);
    op_fixture_close(file);
    epio_vfs_destroy(trace);
    op_fixture_teardown(&fx);
}

static void memory_is_at_once(fixture *f)
{
    static tracked ops[COUNT];
    op_fixture fx;
    epio_vfs *memory;
    op_fixture_setup(&fx, f);
    check_result(epio_memory_vfs_create(&memory, fx.loop), 0);
    epio_file *file = open_temporary(memory, BLOCK);
    use_once(ops, COUNT, fx.loop);
    epio_loop_stats before = stats_of(fx.loop);
    submit_reads(ops, COUNT, file);
    op_fixture_drain(&fx);
    check_reads(ops, COUNT);
    epio_loop_stats now = since(&before, fx.loop);
    check(now.delivered == COUNT);
    check(now.at_once == COUNT);
    op_fixture_close(file);
    check(since(&before, fx.loop).at_once == COUNT + 1);
    epio_vfs_destroy(memory);
    op_fixture_teardown(&fx);
}

/* More than the budget of an iteration: the rest is deferred. */
static void a_spent_budget_defers(fixture *f)
{
    enum { MANY = 3000 };
    static tracked ops[MANY];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = open_temporary(fx.os, BLOCK);
    use_once(ops, MANY, fx.loop);
    epio_loop_stats before = stats_of(fx.loop);
    check(before.deferred_now == 0);
    submit_reads(ops, MANY, file);
    epio_loop_stats now = since(&before, fx.loop);
    if (SYSTEM_REPORTS_CACHED) {
        check(now.deferred_now > 0 && now.deferred_now < MANY);
        check(now.ready_now + now.to_read_now + now.deferred_now == MANY);
        check(now.deferred == now.deferred_now);
    }
    op_fixture_drain(&fx);
    check_reads(ops, MANY);
    check_cached_reads(&before, fx.loop, MANY);
    check_all_queues_are_empty(fx.loop);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static void work_goes_to_workers(fixture *f)
{
    tracked ops[3];
    epio_loop *loop = make_loop(0);
    (void)f;
    for (int i = 0; i < 3; i++) {
        epio_submit(epio_work(track(&ops[i]), epio_loop_vfs(loop), nothing));
    }
    epio_loop_stats now = stats_of(loop);
    check(now.to_offload_now == 3);
    check(now.at_workers_now == 0);
    check(now.threads_now == 0);
    check_result(epio_loop_run(loop), 3);
    now = stats_of(loop);
    check(now.delivered == 3);
    check(now.by_workers == 3);
    check(now.batches == 1); /* together */
    check(now.threads_now >= 1);
    check_all_queues_are_empty(loop);
    epio_loop_destroy(loop);
}

/* The owner has nothing else to do. */
static void the_owner_carries_out_ops(fixture *f)
{
    epio_op op = {0};
    epio_loop *loop = make_loop(0);
    (void)f;
    epio_file *file = open_temporary(epio_loop_vfs(loop), BLOCK);
    epio_loop_stats before = stats_of(loop);
    check_result(epio_wait(epio_size(&op, file)), BLOCK);
    epio_loop_stats now = since(&before, loop);
    check(now.delivered == 1);
    if (SYSTEM_REPORTS_LOCAL) {
        check(now.by_owner == 1);
        check(now.batches == 0);
    }
    op_fixture_close(file);
    epio_loop_destroy(loop);
}

/* One after the other, so that a thread is always about to be free. */
static void one_thread_carries_out_one_op_at_a_time(fixture *f)
{
    epio_op op = {0};
    char path[512];
    epio_loop *loop = make_loop(0);
    epio_vfs *os = epio_loop_vfs(loop);
    epio_file *file = open_temporary(os, BLOCK);
    (void)snprintf(path, sizeof path, "%s", fixture_path(f, "file"));
    for (int round = 0; round < 300; round++) {
        tracked one;
        epio_submit(epio_work(track(&one), os, nothing));
        while (one.calls == 0) {
            (void)epio_loop_poll(loop, SECOND, 0);
        }
    }
    /* One for the open, and another for the ops that the owner may not carry out. */
    uint32_t others = SYSTEM_REPORTS_LOCAL ? 1 : 2;
    check(stats_of(loop).threads_now <= others + 1);
    for (int round = 0; round < 300; round++) {
        tracked one;
        epio_submit(epio_access(track(&one), os, path, EPIO_ACCESS_EXISTS));
        while (one.calls == 0) {
            (void)epio_loop_poll(loop, SECOND, 0);
        }
        epio_submit(epio_write(track(&one), file, "x", 1, 0));
        while (one.calls == 0) {
            (void)epio_loop_poll(loop, SECOND, 0);
        }
    }
    check(stats_of(loop).threads_now <= 3);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

/* A VFS that keeps its ops, for another thread to complete. */
typedef struct keeper {
    epio_vfs base;
    epio_op *kept;
} keeper;

static void keep(epio_vfs *vfs, epio_op *op)
{
    ((keeper *)(void *)vfs)->kept = op;
}

static void keep_forwarding(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    (void)op;
}

static void *complete_kept(void *argument)
{
    keeper *one = argument;
    epio_complete(one->kept, 1);
    return NULL;
}

static void an_op_that_a_vfs_keeps_is_not_at_once(fixture *f)
{
    static const epio_vfs_methods methods = {
        .size = sizeof methods, .name = "keeper", .submit = keep, .cancel = keep_forwarding};
    epio_semaphore *semaphore;
    epio_vfs *layers[3];
    epio_loop *loop = make_loop(0);
    keeper one = {.base = {.methods = &methods, .loop = loop}};
    (void)f;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    layers[0] = &one.base;
    check_result(epio_trace_vfs_create(&layers[1], layers[0]), 0);
    check_result(epio_limit_vfs_create(&layers[2], layers[1], semaphore), 0);
    for (int i = 0; i < 3; i++) {
        tracked op;
        test_thread thread;
        epio_loop_stats before = stats_of(loop);
        epio_submit(epio_access(track(&op), layers[i], "any", EPIO_ACCESS_EXISTS));
        (void)epio_loop_poll(loop, 0, 0);
        thread_start(&thread, complete_kept, &one);
        (void)thread_join(thread);
        check_result(epio_loop_run(loop), 1);
        check_result(op.result, 1);
        epio_loop_stats now = since(&before, loop);
        check(now.at_once == 0);
        check(now.by_nobody == 1);
    }
    epio_vfs_destroy(layers[2]);
    epio_vfs_destroy(layers[1]);
    epio_semaphore_destroy(semaphore);
    epio_loop_destroy(loop);
}

static void a_lock_that_waited_is_not_at_once(fixture *f)
{
    epio_op op = {0};
    tracked waits;
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *one = op_fixture_open(&fx, fx.os, "file");
    epio_file *other = op_fixture_open(&fx, fx.os, "file");
    epio_loop_stats before = stats_of(fx.loop);
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    check(since(&before, fx.loop).at_once == 2);
    epio_submit(epio_lock(track(&waits), other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    op_fixture_run_for(&fx, MILLISECOND);
    check_result(waits.calls, 0);
    check_result(epio_wait(epio_unlock(&op, one, EPIO_LOCK_NONE)), 0);
    op_fixture_run_until_done(&fx, &waits);
    check_result(waits.result, 0);
    epio_loop_stats now = since(&before, fx.loop);
    check(now.delivered == 4);
    check(now.at_once == 3);
    check(now.by_nobody == 1);
    op_fixture_close(one);
    op_fixture_close(other);
    op_fixture_teardown(&fx);
}

static void inline_writes_are_at_once(fixture *f)
{
    (void)f;
    for (uint32_t inline_writes = 0; inline_writes < 2; inline_writes++) {
        epio_op op = {0};
        epio_loop *loop = make_loop(inline_writes);
        epio_file *file = open_temporary(epio_loop_vfs(loop), BLOCK);
        epio_loop_stats before = stats_of(loop);
        check_result(epio_wait(epio_write(&op, file, "x", 1, 0)), 1);
        epio_loop_stats now = since(&before, loop);
        check(now.delivered == 1);
        check(now.by_nobody == 0);
        if (inline_writes != 0) {
            check(now.at_once == 1);
            epio_submit(epio_write(&op, file, "x", 1, 0)); /* the second use of the op */
            check_result(epio_loop_run(loop), 1);
            check(since(&before, loop).at_once == 2);
        } else if (SYSTEM_IS_POSIX && SYSTEM_REPORTS_LOCAL) {
            check(now.by_owner == 1);
        }
        op_fixture_close(file);
        epio_loop_destroy(loop);
    }
}

/* Reads in place, for a thread that waits anyway. */
static void reads_in_place(fixture *f)
{
    char into[64];
    epio_op op = {0};
    epio_loop *loop = make_loop(0);
    (void)f;
    epio_file *file = open_temporary(epio_loop_vfs(loop), BLOCK);
    epio_loop_stats before = stats_of(loop);
    check_result(epio_wait(epio_read(&op, file, into, sizeof into, 0)), sizeof into);
    epio_loop_stats now = since(&before, loop);
    check(now.in_place == (SYSTEM_REPORTS_LOCAL || SYSTEM_REPORTS_CACHED ? 1 : 0));
    check(now.delivered == 1 - now.in_place);
    op_fixture_close(file);
    epio_loop_destroy(loop);
}

/* Not every file system has direct transfers. */
static epio_file *open_data(fixture *f)
{
    static const char content[COUNT * BLOCK];
    fixture_put(f, "data", content, sizeof content);
    return fixture_open_direct(f, "data", EPIO_OPEN_READ);
}

static void direct_reads_wait_for_the_disk(fixture *f)
{
    static tracked ops[COUNT];
    epio_file *file = open_data(f);
    unsigned char *memory = malloc((COUNT + 1) * (size_t)BLOCK);
    check(memory != NULL);
    unsigned char *aligned = memory + BLOCK - (uintptr_t)memory % BLOCK;
    const char *backend = epio_loop_backend(f->loop);
    epio_loop_stats before = stats_of(f->loop);
    for (unsigned i = 0; i < COUNT; i++) {
        epio_submit(epio_read(track(&ops[i]), file, aligned + (size_t)i * BLOCK, BLOCK,
                              (uint64_t)i * BLOCK));
    }
    epio_loop_stats now = since(&before, f->loop);
    check(now.at_backend_now + now.to_offload_now + now.ready_now + now.deferred_now == COUNT);
    if (strcmp(backend, "uring") == 0) {
        check(now.at_backend_now == COUNT);
    }
    (void)epio_loop_run(f->loop);
    now = since(&before, f->loop);
    check(now.delivered == COUNT);
    if (strcmp(backend, "uring") == 0) {
        check(now.by_backend == COUNT);
        check(now.batches == 0);
    } else if (strcmp(backend, "iocp") == 0) {
        check(now.by_backend + now.at_once == COUNT);
    } else {
        check(now.by_workers == COUNT);
    }
    check_all_queues_are_empty(f->loop);
    free(memory);
    fixture_close(f, file);
}

/* Where workers carry them out, there is one for each. */
static void direct_writes_do_not_queue(fixture *f)
{
    static tracked ops[COUNT];
    static const char content[COUNT * BLOCK];
    fixture_put(f, "data", content, sizeof content);
    epio_file *file = fixture_open_direct(f, "data", EPIO_OPEN_WRITE);
    unsigned char *memory = calloc(2, BLOCK);
    check(memory != NULL);
    unsigned char *aligned = memory + BLOCK - (uintptr_t)memory % BLOCK;
    const char *backend = epio_loop_backend(f->loop);
    bool by_workers = strcmp(backend, "epoll") == 0 || strcmp(backend, "poll") == 0;
    epio_loop_stats before = stats_of(f->loop);
    for (unsigned i = 0; i < COUNT; i++) {
        epio_submit(epio_write(track(&ops[i]), file, aligned, BLOCK, (uint64_t)i * BLOCK));
    }
    epio_loop_stats now = since(&before, f->loop);
    check(strcmp(backend, "uring") != 0 || now.at_backend_now == COUNT);
    (void)epio_loop_poll(f->loop, 0, 0);
    now = stats_of(f->loop);
    check(!by_workers || now.threads_now >= 2);
    (void)epio_loop_run(f->loop);
    for (unsigned i = 0; i < COUNT; i++) {
        check_result(ops[i].result, BLOCK);
    }
    free(memory);
    fixture_close(f, file);
}

static void streams_are_waited_for(fixture *f)
{
    char into[10];
    tracked read;
    intptr_t other;
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *stream = op_fixture_open_stream(&fx, fx.os, "stream", &other);
    epio_loop_stats before = stats_of(fx.loop);
    epio_submit(epio_read(track(&read), stream, into, sizeof into, 0));
    op_fixture_run_for(&fx, MILLISECOND);
    epio_loop_stats now = since(&before, fx.loop);
    check(now.at_backend_now == 1);
    check(now.in_flight == 1);
    check(now.delivered == 0);
    before = stats_of(fx.loop);
    intptr_t writer = other != NO_HANDLE ? other : epio_file_os_handle(stream);
    check(pipe_write(writer, "x", 1) == 1);
    op_fixture_run_until_done(&fx, &read);
    check_result(read.result, 1);
    check(since(&before, fx.loop).by_backend == 1);

    /* Data that is there is not waited for. */
    before = stats_of(fx.loop);
    check(pipe_write(writer, "x", 1) == 1);
    epio_submit(epio_read(track(&read), stream, into, sizeof into, 0));
    op_fixture_run_until_done(&fx, &read);
    now = since(&before, fx.loop);
    check(now.at_once + now.by_backend == 1);
    check(now.at_once == 1 || !SYSTEM_IS_POSIX);
    check_all_queues_are_empty(fx.loop);
    op_fixture_close_stream(stream, other);
    op_fixture_teardown(&fx);
}

static void ops_that_no_route_carries_out(fixture *f)
{
    tracked invalid, first, second, sleeping, acquired, queued, at_gate, failed;
    epio_semaphore *semaphore;
    op_fixture fx;
    op_fixture_setup(&fx, f);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    epio_loop_stats before = stats_of(fx.loop);
    epio_submit(epio_read(track(&invalid), fx.file, NULL, 1, 0));
    epio_submit(epio_sleep(track(&sleeping), fx.os, 1));
    epio_submit(epio_acquire(track(&acquired), fx.os, semaphore, 1));
    op_fixture_drain(&fx);
    epio_semaphore_release(semaphore, 1);
    epio_loop_stats now = since(&before, fx.loop);
    check(now.delivered == 3);
    check(now.by_nobody == 3);

    /* Linked behind an op that failed on a worker. Its previous use was on a worker, too. */
    epio_submit(epio_work(track(&second), fx.os, nothing));
    op_fixture_drain(&fx);
    before = stats_of(fx.loop);
    (void)epio_delete(track(&first), fx.os, fixture_path(fx.f, "no such file"), 0);
    epio_submit(epio_link(&first.op, epio_work(&second.op, fx.os, nothing), 0));
    op_fixture_drain(&fx);
    check_result(second.result, EPIO_ECANCELED);
    now = since(&before, fx.loop);
    check(now.delivered == 2);
    check(now.by_nobody == 1);
    check(now.by_workers + now.by_owner == 1);

    /* Cancelled before it was offloaded, and in a worker's queue. */
    gate_shut(&fx);
    epio_submit(epio_work(track(&at_gate), fx.gate, nothing));
    op_fixture_run_until_waiting(&fx, 1);
    epio_submit(epio_work(track(&queued), fx.gate, nothing));
    op_fixture_run_for(&fx, MILLISECOND);
    check(stats_of(fx.loop).at_workers_now == 2);
    before = stats_of(fx.loop);
    epio_submit(epio_work(track(&failed), fx.gate, nothing));
    epio_cancel(&failed.op);
    epio_cancel(&queued.op);
    (void)epio_loop_poll(fx.loop, 0, 0);
    check_result(queued.result, EPIO_ECANCELED);
    check_result(failed.result, EPIO_ECANCELED);
    now = since(&before, fx.loop);
    check(now.delivered == 2);
    check(now.by_nobody == 2);
    check(now.at_workers_now == 1);
    gate_open(&fx);
    op_fixture_drain(&fx);
    check(since(&before, fx.loop).by_workers == 1);
    epio_semaphore_destroy(semaphore);
    op_fixture_teardown(&fx);
}

/* In a VFS above the system's, never seen below. */
static void what_only_waits_in_a_layer(fixture *f)
{
    char into[64];
    tracked read;
    epio_vfs *limit;
    epio_semaphore *semaphore;
    op_fixture fx;
    op_fixture_setup(&fx, f);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, fx.os, semaphore), 0);
    epio_file *file = open_temporary(limit, BLOCK);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_loop_stats before = stats_of(fx.loop);
    epio_submit(epio_read(track(&read), file, into, sizeof into, 0));
    epio_cancel(&read.op);
    op_fixture_drain(&fx);
    check_result(read.result, EPIO_ECANCELED);
    check(since(&before, fx.loop).by_nobody == 1);
    epio_semaphore_release(semaphore, 1);
    op_fixture_close(file);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(semaphore);
    op_fixture_teardown(&fx);
}

/* ---- Queues ---------------------------------------------------------------- */

static void queues_have_their_length(fixture *f)
{
    tracked at_gate[3], ready[2];
    op_fixture fx;
    op_fixture_setup(&fx, f); /* with one worker for work */
    gate_shut(&fx);
    for (int i = 0; i < 3; i++) {
        epio_submit(epio_work(track(&at_gate[i]), fx.gate, nothing));
    }
    check(stats_of(fx.loop).to_offload_now == 3);
    op_fixture_run_until_waiting(&fx, 1);
    epio_loop_stats now = stats_of(fx.loop);
    check(now.to_offload_now == 0);
    check(now.at_workers_now == 3);
    check(now.in_flight == 3);
    check(now.threads_now >= 1);
    for (int i = 0; i < 2; i++) {
        epio_submit(epio_current_time(track(&ready[i]), fx.os));
    }
    now = stats_of(fx.loop);
    check(now.ready_now == 2);
    check(now.in_flight == 5);
    check_result(epio_loop_poll(fx.loop, 0, 1), 1);
    now = stats_of(fx.loop);
    check(now.ready_now == 1);
    check(now.in_flight == 4);
    gate_open(&fx);
    op_fixture_drain(&fx);
    check_all_queues_are_empty(fx.loop);
    op_fixture_teardown(&fx);
}

static const epio_loop *loop_of_done;
static epio_loop_stats seen_in_done;

static void check_stats_in_done(tracked *one)
{
    (void)one;
    seen_in_done = stats_of(loop_of_done);
}

static void a_done_counts_its_op(fixture *f)
{
    tracked one;
    epio_loop *loop = make_loop(0);
    (void)f;
    loop_of_done = loop;
    epio_submit(epio_current_time(track(&one), epio_loop_vfs(loop)));
    one.then = check_stats_in_done;
    check_result(epio_loop_run(loop), 1);
    check(seen_in_done.delivered == 1);
    check(seen_in_done.at_once == 1);
    check(seen_in_done.in_flight == 0);
    epio_loop_destroy(loop);
}

/* ---- Flushes --------------------------------------------------------------- */

static void syncs_share_a_flush(fixture *f)
{
    tracked writes[8], syncs[8];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = open_temporary(fx.os, BLOCK);
    epio_loop_stats before = stats_of(fx.loop);
    for (unsigned i = 0; i < 8; i++) {
        epio_submit(epio_write(track(&writes[i]), file, "x", 1, i));
    }
    for (unsigned i = 0; i < 8; i++) {
        epio_submit(epio_sync(track(&syncs[i]), file, EPIO_SYNC_DATA_ONLY));
    }
    op_fixture_drain(&fx);
    epio_loop_stats now = since(&before, fx.loop);
    check(now.syncs == 8);
    check(now.flushes == 1);
    check(now.delivered == 16);
    check(now.by_nobody == 8);

    /* One after the other they share nothing. */
    before = stats_of(fx.loop);
    for (unsigned i = 0; i < 3; i++) {
        epio_submit(epio_sync(track(&syncs[i]), file, EPIO_SYNC_DATA_ONLY));
        op_fixture_drain(&fx);
    }
    now = since(&before, fx.loop);
    check(now.syncs == 3);
    check(now.flushes == 3);
    check_all_queues_are_empty(fx.loop);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

/* ---- Sleep and wake -------------------------------------------------------- */

static void *submit_later(void *op)
{
    sleep_ns(20 * MILLISECOND);
    epio_submit(op);
    return NULL;
}

/* The submit may come before the owner sleeps: then no thread is woken, and it is tried again. */
static void a_thread_wakes_a_sleeper(fixture *f)
{
    epio_loop *loop = make_loop(0);
    uint64_t tries = 0;
    (void)f;
    while (stats_of(loop).wakes == 0) {
        tracked one;
        test_thread thread;
        check(tries < 500);
        track(&one);
        thread_start(&thread, submit_later, epio_current_time(&one.op, epio_loop_vfs(loop)));
        check_result(epio_loop_poll(loop, 60 * SECOND, 0), 1);
        (void)thread_join(thread);
        tries++;
        check(one.calls == 1);
        check(stats_of(loop).wakes <= tries);
    }
    check(stats_of(loop).sleeps >= 1);
    check(stats_of(loop).delivered == tries);
    check_all_queues_are_empty(loop);
    epio_loop_destroy(loop);
}

static void an_awake_owner_is_not_woken(fixture *f)
{
    tracked one;
    epio_loop *loop = make_loop(0);
    (void)f;
    submit_elsewhere(epio_current_time(track(&one), epio_loop_vfs(loop)));
    epio_loop_stats now = stats_of(loop);
    check(now.wakes == 0);
    check(now.in_flight == 1);
    check(now.ready_now == 0);
    check_result(epio_loop_run(loop), 1);
    now = stats_of(loop);
    check(now.wakes == 0);
    check(now.sleeps == 0);
    check(now.at_once == 1);

    /* Woken before it sleeps, it does not sleep. */
    epio_loop_wake(loop);
    check_result(epio_loop_poll(loop, 60 * SECOND, 0), 0);
    now = stats_of(loop);
    check(now.wakes == 0);
    check(now.sleeps == 0);
    epio_loop_destroy(loop);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(arguments_are_checked, ON_OS_PERFORM),
        FIXTURE_TEST(a_new_loop_has_done_nothing, ON_OS_PERFORM),
        FIXTURE_TEST(cached_reads_are_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(cached_reads_of_an_embedded_loop, ON_OS_PERFORM),
        FIXTURE_TEST(a_layer_changes_no_route, ON_OS_PERFORM),
        FIXTURE_TEST(memory_is_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(a_spent_budget_defers, ON_OS_PERFORM),
        FIXTURE_TEST(work_goes_to_workers, ON_OS_PERFORM),
        FIXTURE_TEST(the_owner_carries_out_ops, ON_OS_PERFORM),
        FIXTURE_TEST(one_thread_carries_out_one_op_at_a_time, ON_OS_PERFORM),
        FIXTURE_TEST(an_op_that_a_vfs_keeps_is_not_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(a_lock_that_waited_is_not_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(inline_writes_are_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(reads_in_place, ON_OS_PERFORM),
        FIXTURE_TEST(direct_writes_do_not_queue, ON_OS),
        FIXTURE_TEST(direct_reads_wait_for_the_disk, ON_OS),
        FIXTURE_TEST(streams_are_waited_for, ON_OS_PERFORM),
        FIXTURE_TEST(ops_that_no_route_carries_out, ON_OS_PERFORM),
        FIXTURE_TEST(what_only_waits_in_a_layer, ON_OS_PERFORM),
        FIXTURE_TEST(queues_have_their_length, ON_OS_PERFORM),
        FIXTURE_TEST(a_done_counts_its_op, ON_OS_PERFORM),
        FIXTURE_TEST(syncs_share_a_flush, ON_OS_PERFORM),
        FIXTURE_TEST(a_thread_wakes_a_sleeper, ON_OS_PERFORM),
        FIXTURE_TEST(an_awake_owner_is_not_woken, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("stats", tests);
}
