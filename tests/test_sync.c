/* Laws 5 and 6: what a sync covers, how syncs share flushes, how an error of a write reaches a
 * sync, and that a failed flush is never forgotten. A fault layer below holds, fails and counts
 * ops; some tests need only the setting's VFS and run in every setting. The strengths are tested
 * without loops, too: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include "fault_vfs.h"

#include <errno.h>

#if EPIO_ASYNC

/* ---- A file over the fault layer --------------------------------------- */

typedef struct sync_fixture {
    fixture *f;
    epio_vfs *fault;
    epio_file *file;
} sync_fixture;

static sync_fixture sync_fixture_setup(fixture *f)
{
    sync_fixture b = {.f = f};
    epio_op op = {0};
    assert_int_equal(fault_vfs_create(&b.fault, f->vfs), 0);
    check_result(epio_wait(epio_open(&op, b.fault, fixture_path(f, "data"),
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    b.file = op.file;
    return b;
}

static void sync_fixture_teardown(sync_fixture *b)
{
    epio_op op = {0};
    check_result(epio_wait(epio_close(&op, b->file)), 0);
    epio_vfs_destroy(b->fault);
}

static uint32_t flushes(const sync_fixture *b)
{
    return fault_vfs_arrived(b->fault, EPIO_KIND_SYNC);
}

static void wait_until_held(const sync_fixture *b, uint8_t kind, uint32_t count)
{
    /* A poll returns for deliveries, not for ops that become held. */
    while (fault_vfs_held(b->fault, kind) < count) {
        (void)epio_loop_poll(b->f->loop, MILLISECOND, 0);
    }
}

static int64_t sync_now(const sync_fixture *b)
{
    epio_op op = {0};
    return epio_wait(epio_sync(&op, b->file, EPIO_SYNC_FULL));
}

static int64_t write_now(const sync_fixture *b, uint64_t offset)
{
    epio_op op = {0};
    return epio_wait(epio_write(&op, b->file, "data", 4, offset));
}

/* Writes once, with this failure. */
static void fail_a_write(const sync_fixture *b, int result, int32_t os_error)
{
    fault_vfs_fail(b->fault, EPIO_KIND_WRITE, 0, 1, result, os_error);
    check_result(write_now(b, 0), result);
}

static void check_failed(const epio_op *op, int64_t result, int32_t os_error)
{
    check_result(op->result, result);
    assert_int_equal(op->os_error, os_error);
}

/* Records the order of deliveries. */
typedef struct delivery_log {
    const epio_op *delivered[64];
    size_t count;
} delivery_log;

static void log_delivery(epio_op *op)
{
    delivery_log *list = op->user;
    list->delivered[list->count++] = op;
}

static epio_op *logged(epio_op *op, delivery_log *list)
{
    op->done = log_delivery;
    op->user = list;
    return op;
}

/* ---- What a sync covers ------------------------------------------------ */

static void a_sync_waits_for_the_writes_before_it(fixture *f)
{
    static const uint8_t kinds[] = {EPIO_KIND_WRITE, EPIO_KIND_WRITEV, EPIO_KIND_TRUNCATE};
    for (size_t i = 0; i < 3; i++) {
        sync_fixture b = sync_fixture_setup(f);
        epio_iovec part = {(char[]){"x"}, 1};
        epio_op write = {0};
        epio_op sync = {0};
        fault_vfs_hold(b.fault, kinds[i]);
        epio_submit(kinds[i] == EPIO_KIND_WRITE    ? epio_write(&write, b.file, "x", 1, 0)
                    : kinds[i] == EPIO_KIND_WRITEV ? epio_writev(&write, b.file, &part, 1, 0)
                                                   : epio_truncate(&write, b.file, 10));
        epio_submit(epio_sync(&sync, b.file, EPIO_SYNC_FULL));
        fixture_settle(f);
        assert_true(epio_op_pending(&write));
        assert_true(epio_op_pending(&sync));
        assert_int_equal(flushes(&b), 0);
        fault_vfs_release_all(b.fault, kinds[i]);
        check_result(epio_wait(&sync), 0);
        assert_false(epio_op_pending(&write));
        assert_true(write.result >= 0);
        assert_int_equal(flushes(&b), 1);
        assert_int_equal(fault_vfs_writes_at_sync(b.fault), 0);
        sync_fixture_teardown(&b);
    }
}

static void a_sync_is_delivered_after_its_writes(fixture *f)
{
    enum { WRITES = 20 };
    sync_fixture b = sync_fixture_setup(f);
    delivery_log list = {.count = 0};
    epio_op writes[WRITES] = {{0}};
    epio_op sync = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < WRITES; i++) {
        epio_submit(logged(epio_write(&writes[i], b.file, "data", 4, i * 4), &list));
    }
    epio_submit(logged(epio_sync(&sync, b.file, EPIO_SYNC_DATA_ONLY), &list));
    wait_until_held(&b, EPIO_KIND_WRITE, WRITES);
    while (fault_vfs_held(b.fault, EPIO_KIND_WRITE) > 0) {
        fixture_settle(f);
        assert_int_equal(flushes(&b), 0);
        assert_true(epio_op_pending(&sync));
        fault_vfs_release(b.fault, EPIO_KIND_WRITE, 1);
    }
    while (epio_op_pending(&sync)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    assert_int_equal(list.count, WRITES + 1);
    assert_ptr_equal(list.delivered[WRITES], &sync);
    assert_int_equal(flushes(&b), 1);
    sync_fixture_teardown(&b);
}

/* Not even the `done` of the last write sees the sync end first. */
static void a_sync_from_a_callback_covers_its_write(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    delivery_log list = {.count = 0};
    epio_op held = {0};
    epio_op first_write = {0};
    epio_op sync = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITEV);
    epio_iovec part = {(char[]){"x"}, 1};
    epio_submit(logged(epio_writev(&held, b.file, &part, 1, 100), &list));
    epio_submit(logged(epio_write(&first_write, b.file, "y", 1, 0), &list));
    while (epio_op_pending(&first_write)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    epio_submit(logged(epio_sync(&sync, b.file, EPIO_SYNC_FULL), &list));
    fixture_settle(f);
    assert_true(epio_op_pending(&sync));
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITEV);
    while (epio_op_pending(&sync)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    assert_ptr_equal(list.delivered[1], &held);
    assert_ptr_equal(list.delivered[2], &sync);
    sync_fixture_teardown(&b);
}

static void later_writes_do_not_hold_a_sync(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op first = {0};
    epio_op sync = {0};
    epio_op later = {0};
    epio_submit(epio_write(&first, b.file, "a", 1, 0));
    epio_submit(epio_sync(&sync, b.file, EPIO_SYNC_FULL));
    fault_vfs_hold(b.fault, EPIO_KIND_TRUNCATE);
    epio_submit(epio_truncate(&later, b.file, 100));
    check_result(epio_wait(&sync), 0);
    assert_false(epio_op_pending(&first));
    assert_true(epio_op_pending(&later));
    fault_vfs_release_all(b.fault, EPIO_KIND_TRUNCATE);
    check_result(epio_wait(&later), 0);
    sync_fixture_teardown(&b);
}

static void reads_and_other_files_do_not_hold_a_sync(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    char found[4];
    epio_op op = {0};
    epio_op read = {0};
    epio_op write = {0};
    check_result(epio_wait(epio_open(&op, b.fault, fixture_path(f, "other"),
                                     EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *other = op.file;
    check_result(write_now(&b, 0), 4);
    fault_vfs_hold(b.fault, EPIO_KIND_READ);
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    epio_submit(epio_read(&read, b.file, found, 4, 0));
    epio_submit(epio_write(&write, other, "x", 1, 0));
    check_result(sync_now(&b), 0);
    assert_true(epio_op_pending(&read));
    assert_true(epio_op_pending(&write));
    fault_vfs_release_all(b.fault, EPIO_KIND_READ);
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&read), 4);
    check_result(epio_wait(&write), 1);
    check_result(epio_wait(epio_close(&op, other)), 0);
    sync_fixture_teardown(&b);
}

/* The whole chain counts as submitted with its first. */
static void a_sync_covers_linked_writes(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    delivery_log list = {.count = 0};
    epio_op ops[3] = {{0}};
    epio_op sync = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_TRUNCATE);
    (void)logged(epio_truncate(&ops[0], b.file, 0), &list);
    (void)logged(epio_write(&ops[1], b.file, "a", 1, 0), &list);
    (void)logged(epio_write(&ops[2], b.file, "b", 1, 1), &list);
    (void)epio_link(&ops[0], &ops[1], 0);
    (void)epio_link(&ops[1], &ops[2], 0);
    epio_submit(&ops[0]);
    epio_submit(logged(epio_sync(&sync, b.file, EPIO_SYNC_FULL), &list));
    fixture_settle(f);
    assert_int_equal(list.count, 0);
    fault_vfs_release_all(b.fault, EPIO_KIND_TRUNCATE);
    while (epio_op_pending(&sync)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    assert_int_equal(list.count, 4);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(list.delivered[i], &ops[i]);
    }
    assert_ptr_equal(list.delivered[3], &sync);
    assert_int_equal(fault_vfs_writes_at_sync(b.fault), 0);
    sync_fixture_teardown(&b);
}

static void a_linked_sync_follows_its_write(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op write = {0};
    epio_op sync = {0};
    epio_op again = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    (void)epio_write(&write, b.file, "a", 1, 0);
    epio_submit(epio_link(&write, epio_sync(&sync, b.file, EPIO_SYNC_FULL), 0));
    fixture_settle(f);
    assert_true(epio_op_pending(&sync));
    assert_int_equal(flushes(&b), 0);
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&sync), 0);
    check_result(write.result, 1);
    assert_int_equal(flushes(&b), 1);

    /* A write behind a sync is covered by the next sync, not by this one. */
    (void)epio_sync(&sync, b.file, EPIO_SYNC_FULL);
    epio_submit(epio_link(&sync, epio_write(&write, b.file, "b", 1, 0), 0));
    epio_submit(epio_sync(&again, b.file, EPIO_SYNC_FULL));
    check_result(epio_wait(&again), 0);
    check_result(sync.result, 0);
    check_result(write.result, 1);
    assert_int_equal(flushes(&b), 3);

    /* A failed write ends its linked sync, and the next sync reports it. */
    fault_vfs_fail(b.fault, EPIO_KIND_WRITE, 0, 1, EPIO_ENOSPC, ENOSPC);
    (void)epio_write(&write, b.file, "c", 1, 0);
    epio_submit(epio_link(&write, epio_sync(&sync, b.file, EPIO_SYNC_FULL), 0));
    check_result(epio_wait(&sync), EPIO_ECANCELED);
    check_result(epio_wait(epio_sync(&again, b.file, EPIO_SYNC_FULL)), EPIO_ENOSPC);
    sync_fixture_teardown(&b);
}

static void a_close_waits_for_write_and_sync(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    delivery_log list = {.count = 0};
    epio_op write = {0};
    epio_op sync = {0};
    epio_op close = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    epio_submit(logged(epio_write(&write, b.file, "a", 1, 0), &list));
    epio_submit(logged(epio_sync(&sync, b.file, EPIO_SYNC_FULL), &list));
    epio_submit(logged(epio_close(&close, b.file), &list));
    fixture_settle(f);
    assert_int_equal(list.count, 0);
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    while (epio_op_pending(&close)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    assert_int_equal(list.count, 3);
    assert_ptr_equal(list.delivered[0], &write);
    assert_ptr_equal(list.delivered[1], &sync);
    assert_ptr_equal(list.delivered[2], &close);
    check_result(sync.result, 0);
    check_result(close.result, 0);
    assert_int_equal(flushes(&b), 1);
    epio_vfs_destroy(b.fault);
}

/* ---- Shared flushes ---------------------------------------------------- */

static void syncs_of_one_iteration_share_a_flush(fixture *f)
{
    enum { TASKS = 32 };
    sync_fixture b = sync_fixture_setup(f);
    epio_op writes[TASKS] = {{0}};
    epio_op syncs[TASKS] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < TASKS; i++) {
        epio_submit(epio_write(&writes[i], b.file, "data", 4, i * 4));
    }
    for (size_t i = 0; i < TASKS; i++) {
        epio_submit(epio_sync(&syncs[i], b.file, EPIO_SYNC_DATA_ONLY));
    }
    wait_until_held(&b, EPIO_KIND_WRITE, TASKS);
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < TASKS; i++) {
        check_result(epio_wait(&syncs[i]), 0);
        check_result(writes[i].result, 4);
    }
    assert_int_equal(flushes(&b), 1);
    assert_int_equal(fault_vfs_writes_at_sync(b.fault), 0);
    sync_fixture_teardown(&b);
}

/* While one flush runs, the syncs that become ready wait for one more. */
static void syncs_during_a_flush_share_the_next(fixture *f)
{
    enum { TASKS = 32 };
    sync_fixture b = sync_fixture_setup(f);
    epio_op writes[TASKS] = {{0}};
    epio_op syncs[TASKS] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    for (size_t i = 0; i < TASKS; i++) {
        epio_submit(epio_write(&writes[i], b.file, "data", 4, i * 4));
        epio_submit(epio_sync(&syncs[i], b.file, EPIO_SYNC_FULL));
        if (i == 0) {
            wait_until_held(&b, EPIO_KIND_SYNC, 1);
        }
    }
    for (size_t i = 0; i < TASKS; i++) {
        check_result(epio_wait(&writes[i]), 4);
        assert_true(epio_op_pending(&syncs[i]));
    }
    fixture_settle(f);
    assert_int_equal(flushes(&b), 1);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    for (size_t i = 0; i < TASKS; i++) {
        check_result(epio_wait(&syncs[i]), 0);
    }
    assert_int_equal(flushes(&b), 2);
    sync_fixture_teardown(&b);
}

/* A flush that began before a write ended does not count for it. */
static void a_running_flush_is_too_old(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op first = {0};
    epio_op second = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    epio_submit(epio_sync(&first, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    check_result(write_now(&b, 0), 4);
    epio_submit(epio_sync(&second, b.file, EPIO_SYNC_FULL));
    fixture_settle(f);
    assert_int_equal(flushes(&b), 1);
    fault_vfs_release(b.fault, EPIO_KIND_SYNC, 1);
    check_result(epio_wait(&first), 0);
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    assert_true(epio_op_pending(&second));
    assert_int_equal(flushes(&b), 2);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&second), 0);
    sync_fixture_teardown(&b);
}

/* 32 tasks, each of which writes and syncs repeatedly. */
enum { TASKS = 32, ROUNDS = 20 };

typedef struct task {
    sync_fixture *b;
    epio_op write;
    epio_op sync;
    size_t rounds;
    bool write_ended;
    bool pairs; /* submits the sync with the write, not after it */
} task;

static void task_begin(task *t);

static void task_wrote(epio_op *op)
{
    task *t = op->user;
    check_result(op->result, 4);
    t->write_ended = true;
    if (!t->pairs) {
        epio_submit(epio_sync(&t->sync, t->b->file, EPIO_SYNC_DATA_ONLY));
    }
}

static void task_synced(epio_op *op)
{
    task *t = op->user;
    check_result(op->result, 0);
    assert_true(t->write_ended);
    if (++t->rounds < ROUNDS) {
        task_begin(t);
    }
}

static void task_begin(task *t)
{
    uint64_t offset = (uint64_t)(t->rounds * 4);
    t->write_ended = false;
    epio_submit(epio_write(&t->write, t->b->file, "data", 4, offset));
    if (t->pairs) {
        epio_submit(epio_sync(&t->sync, t->b->file, EPIO_SYNC_DATA_ONLY));
    }
}

static void run_tasks(sync_fixture *b, bool pairs)
{
    static task tasks[TASKS];
    memset(tasks, 0, sizeof tasks);
    for (size_t i = 0; i < TASKS; i++) {
        tasks[i].b = b;
        tasks[i].pairs = pairs;
        tasks[i].write.done = task_wrote;
        tasks[i].write.user = &tasks[i];
        tasks[i].sync.done = task_synced;
        tasks[i].sync.user = &tasks[i];
        task_begin(&tasks[i]);
    }
    (void)epio_loop_run(b->f->loop);
    for (size_t i = 0; i < TASKS; i++) {
        assert_int_equal(tasks[i].rounds, ROUNDS);
    }
}

static void tasks_share_flushes(fixture *f)
{
    for (int pairs = 0; pairs < 2; pairs++) {
        sync_fixture b = sync_fixture_setup(f);
        run_tasks(&b, pairs != 0);
        print_message("%u flushes for %d syncs\n", flushes(&b), TASKS * ROUNDS);
        /* Alone they would be 640. How many are shared depends on timing; a quarter is little. */
        assert_true(flushes(&b) >= ROUNDS);
        assert_true(flushes(&b) < TASKS * ROUNDS * 3 / 4);
        sync_fixture_teardown(&b);
    }
}

static void a_shared_flush_is_the_strongest(fixture *f)
{
    static const struct {
        uint32_t requested[3];
        uint32_t wanted;
    } cases[] = {
        {{EPIO_SYNC_DATA_ONLY, EPIO_SYNC_DATA_ONLY, EPIO_SYNC_DATA_ONLY}, EPIO_SYNC_DATA_ONLY},
        {{EPIO_SYNC_DATA_ONLY, EPIO_SYNC_NORMAL, EPIO_SYNC_DATA_ONLY}, EPIO_SYNC_NORMAL},
        {{EPIO_SYNC_NORMAL, EPIO_SYNC_DATA_ONLY, EPIO_SYNC_NORMAL}, EPIO_SYNC_NORMAL},
        {{EPIO_SYNC_DATA_ONLY, EPIO_SYNC_FULL, EPIO_SYNC_DATA_ONLY}, EPIO_SYNC_FULL},
        {{EPIO_SYNC_FULL, EPIO_SYNC_NORMAL, EPIO_SYNC_DATA_ONLY}, EPIO_SYNC_FULL},
        {{EPIO_SYNC_NORMAL, EPIO_SYNC_NORMAL, EPIO_SYNC_FULL}, EPIO_SYNC_FULL},
    };
    sync_fixture b = sync_fixture_setup(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        epio_op write = {0};
        epio_op syncs[3] = {{0}};
        uint32_t before = flushes(&b);
        fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
        epio_submit(epio_write(&write, b.file, "x", 1, 0));
        for (size_t j = 0; j < 3; j++) {
            epio_submit(epio_sync(&syncs[j], b.file, cases[i].requested[j]));
        }
        wait_until_held(&b, EPIO_KIND_WRITE, 1);
        fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
        for (size_t j = 0; j < 3; j++) {
            check_result(epio_wait(&syncs[j]), 0);
        }
        assert_int_equal(flushes(&b) - before, 1);
        assert_int_equal(fault_vfs_sync_flags(b.fault), cases[i].wanted);
    }
    sync_fixture_teardown(&b);
}

/* ---- Errors of writes -------------------------------------------------- */

static void the_next_sync_reports_a_failed_write(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    fail_a_write(&b, EPIO_ENOSPC, ENOSPC);
    check_result(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)), EPIO_ENOSPC);
    assert_int_equal(op.os_error, ENOSPC);
    /* It flushed all the same, and reports no error twice. */
    assert_int_equal(flushes(&b), 1);
    check_result(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)), 0);
    assert_int_equal(op.os_error, 0);
    assert_int_equal(flushes(&b), 2);

    /* A truncate and a vectored write count like a write. */
    fault_vfs_fail_after(b.fault, EPIO_KIND_TRUNCATE, 0, 1, EPIO_EFBIG, EFBIG);
    check_result(epio_wait(epio_truncate(&op, b.file, 100)), EPIO_EFBIG);
    check_result(sync_now(&b), EPIO_EFBIG);
    check_result(sync_now(&b), 0);
    epio_iovec part = {(char[]){"x"}, 1};
    fault_vfs_fail_after(b.fault, EPIO_KIND_WRITEV, 0, 1, EPIO_EIO, EIO);
    check_result(epio_wait(epio_writev(&op, b.file, &part, 1, 0)), EPIO_EIO);
    check_result(sync_now(&b), EPIO_EIO);
    check_result(sync_now(&b), 0);

    /* A failed read, and size, mean nothing to a sync. */
    fault_vfs_fail(b.fault, EPIO_KIND_READ, 0, 1, EPIO_EIO, EIO);
    check_result(epio_wait(epio_read(&op, b.file, (char[4]){0}, 4, 0)), EPIO_EIO);
    check_result(sync_now(&b), 0);
    check_result(write_now(&b, 0), 4);
    sync_fixture_teardown(&b);
}

static void the_first_of_several_errors_is_reported(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    fail_a_write(&b, EPIO_ENOSPC, ENOSPC);
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    check_result(write_now(&b, 0), 4);
    check_result(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)), EPIO_ENOSPC);
    assert_int_equal(op.os_error, ENOSPC);
    check_result(sync_now(&b), 0);
    sync_fixture_teardown(&b);
}

static void only_the_sync_that_covers_it_reports(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op good = {0};
    epio_op bad = {0};
    epio_op syncs[4] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    fault_vfs_hold(b.fault, EPIO_KIND_TRUNCATE);
    epio_submit(epio_write(&good, b.file, "a", 1, 0));
    epio_submit(epio_sync(&syncs[0], b.file, EPIO_SYNC_FULL));
    epio_submit(epio_truncate(&bad, b.file, 100));
    for (size_t i = 1; i < 4; i++) {
        epio_submit(epio_sync(&syncs[i], b.file, EPIO_SYNC_FULL));
    }
    wait_until_held(&b, EPIO_KIND_TRUNCATE, 1);
    /* The failure comes before the sync ahead of it is done. */
    fault_vfs_fail_after(b.fault, EPIO_KIND_TRUNCATE, 0, 1, EPIO_ENOSPC, ENOSPC);
    fault_vfs_release_all(b.fault, EPIO_KIND_TRUNCATE);
    check_result(epio_wait(&bad), EPIO_ENOSPC);
    assert_true(epio_op_pending(&syncs[0]));
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < 4; i++) {
        check_result(epio_wait(&syncs[i]), i == 1 ? EPIO_ENOSPC : 0);
        assert_int_equal(syncs[i].os_error, i == 1 ? ENOSPC : 0);
    }
    sync_fixture_teardown(&b);
}

static void cancelled_writes_are_no_failures(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op cancelled = {0};
    epio_op expired = {0};
    epio_op sync = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    expired.timeout_ns = MILLISECOND;
    epio_submit(epio_write(&cancelled, b.file, "a", 1, 0));
    epio_submit(epio_write(&expired, b.file, "b", 1, 0));
    epio_submit(epio_sync(&sync, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_WRITE, 1);
    epio_cancel(&cancelled);
    check_result(epio_wait(&cancelled), EPIO_ECANCELED);
    check_result(epio_wait(&expired), EPIO_ETIMEDOUT);
    check_result(epio_wait(&sync), 0);
    assert_int_equal(flushes(&b), 1);
    check_result(sync_now(&b), 0);
    sync_fixture_teardown(&b);
}

/* epio_perform runs alone: no sync waits for it or reports it. */
static void performed_writes_count_for_nothing(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    fault_vfs_fail(b.fault, EPIO_KIND_WRITE, 0, 1, EPIO_ENOSPC, ENOSPC);
    check_result(epio_perform(epio_write(&op, b.file, "a", 1, 0)), EPIO_ENOSPC);
    assert_int_equal(op.os_error, ENOSPC);
    check_result(sync_now(&b), 0);
    check_result(epio_perform(epio_write(&op, b.file, "a", 1, 0)), 1);
    check_result(epio_perform(epio_sync(&op, b.file, EPIO_SYNC_FULL)), 0);
    sync_fixture_teardown(&b);
}

/* ---- Cancelled syncs --------------------------------------------------- */

static void a_cancelled_sync_ends_at_once(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op write = {0};
    epio_op syncs[3] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    epio_submit(epio_write(&write, b.file, "a", 1, 0));
    syncs[1].timeout_ns = MILLISECOND;
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_sync(&syncs[i], b.file, EPIO_SYNC_FULL));
    }
    fixture_settle(f);
    epio_cancel(&syncs[0]);
    check_result(epio_wait(&syncs[0]), EPIO_ECANCELED);
    check_result(epio_wait(&syncs[1]), EPIO_ETIMEDOUT);
    assert_true(epio_op_pending(&write));
    assert_true(epio_op_pending(&syncs[2]));
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&syncs[2]), 0);
    assert_int_equal(flushes(&b), 1);
    sync_fixture_teardown(&b);
}

static void a_cancelled_sync_leaves_the_flush_to_the_others(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op syncs[3] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_sync(&syncs[i], b.file, EPIO_SYNC_FULL));
    }
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_cancel(&syncs[1]);
    check_result(epio_wait(&syncs[1]), EPIO_ECANCELED);
    assert_int_equal(fault_vfs_held(b.fault, EPIO_KIND_SYNC), 1);
    assert_true(epio_op_pending(&syncs[0]));
    assert_true(epio_op_pending(&syncs[2]));
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&syncs[0]), 0);
    check_result(epio_wait(&syncs[2]), 0);
    assert_int_equal(flushes(&b), 1);
    sync_fixture_teardown(&b);
}

/* No sync waits for the flush any more, but the close does. */
static void a_flush_outlives_its_syncs(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op syncs[2] = {{0}};
    epio_op close = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    for (size_t i = 0; i < 2; i++) {
        epio_submit(epio_sync(&syncs[i], b.file, EPIO_SYNC_FULL));
    }
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    for (size_t i = 0; i < 2; i++) {
        epio_cancel(&syncs[i]);
        check_result(epio_wait(&syncs[i]), EPIO_ECANCELED);
    }
    assert_int_equal(fault_vfs_held(b.fault, EPIO_KIND_SYNC), 1);
    epio_submit(epio_close(&close, b.file));
    fixture_settle(f);
    assert_true(epio_op_pending(&close));
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&close), 0);
    epio_vfs_destroy(b.fault);
}

static void a_failed_flush_is_kept_without_waiters(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op sync = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    fault_vfs_fail_after(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, EIO);
    epio_submit(epio_sync(&sync, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_cancel(&sync);
    check_result(epio_wait(&sync), EPIO_ECANCELED);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    fixture_settle(f);
    check_result(sync_now(&b), EPIO_EIO);
    check_result(write_now(&b, 0), EPIO_EIO);
    sync_fixture_teardown(&b);
}

/* The error of a write goes from a cancelled sync to the next, wherever the
 * first was when it was cancelled. */
static void a_cancelled_sync_passes_its_error_on(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op first = {0};
    epio_op second = {0};

    /* While its flush runs; to a later one. */
    fail_a_write(&b, EPIO_ENOSPC, ENOSPC);
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    epio_submit(epio_sync(&first, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_cancel(&first);
    check_result(epio_wait(&first), EPIO_ECANCELED);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(epio_sync(&second, b.file, EPIO_SYNC_FULL)), EPIO_ENOSPC);
    assert_int_equal(second.os_error, ENOSPC);
    check_result(sync_now(&b), 0);

    /* To one that shares its flush. */
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    epio_submit(epio_sync(&first, b.file, EPIO_SYNC_FULL));
    epio_submit(epio_sync(&second, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_cancel(&first);
    check_result(epio_wait(&first), EPIO_ECANCELED);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&second), EPIO_EFBIG);
    assert_int_equal(second.os_error, EFBIG);
    check_result(sync_now(&b), 0);

    /* To one that waits for the flush after it. */
    fail_a_write(&b, EPIO_ENOSPC, ENOSPC);
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    epio_submit(epio_sync(&first, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_submit(epio_sync(&second, b.file, EPIO_SYNC_FULL));
    fixture_settle(f);
    epio_cancel(&first);
    check_result(epio_wait(&first), EPIO_ECANCELED);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&second), EPIO_ENOSPC);
    check_result(sync_now(&b), 0);
    sync_fixture_teardown(&b);
}

/* The same where the first still waits for its writes. */
static void a_waiting_sync_passes_its_error_on(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op held[2] = {{0}};
    epio_op failing = {0};
    epio_op syncs[3] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    epio_submit(epio_write(&held[0], b.file, "a", 1, 0));
    fault_vfs_fail(b.fault, EPIO_KIND_TRUNCATE, 0, 1, EPIO_ENOSPC, ENOSPC);
    epio_submit(epio_truncate(&failing, b.file, 0));
    epio_submit(epio_sync(&syncs[0], b.file, EPIO_SYNC_FULL));
    epio_submit(epio_write(&held[1], b.file, "b", 1, 0));
    epio_submit(epio_sync(&syncs[1], b.file, EPIO_SYNC_FULL));
    check_result(epio_wait(&failing), EPIO_ENOSPC);
    epio_cancel(&syncs[0]);
    check_result(epio_wait(&syncs[0]), EPIO_ECANCELED);
    epio_cancel(&syncs[1]);
    check_result(epio_wait(&syncs[1]), EPIO_ECANCELED);
    epio_submit(epio_sync(&syncs[2], b.file, EPIO_SYNC_FULL));
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&syncs[2]), EPIO_ENOSPC);
    assert_int_equal(syncs[2].os_error, ENOSPC);
    check_result(sync_now(&b), 0);
    sync_fixture_teardown(&b);
}

/* Cancelled when it already has the error: either result is right, but the error is reported
 * once. */
static void an_error_is_reported_exactly_once(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    for (int i = 0; i < 50; i++) {
        epio_op first = {0};
        epio_op second = {0};
        fail_a_write(&b, EPIO_ENOSPC, ENOSPC);
        epio_submit(epio_sync(&first, b.file, EPIO_SYNC_FULL));
        epio_submit(epio_sync(&second, b.file, EPIO_SYNC_FULL));
        for (int polls = i % 10; polls > 0; polls--) {
            (void)epio_loop_poll(f->loop, 0, 1);
        }
        epio_cancel(&first);
        int64_t result = epio_wait(&first);
        int64_t other = epio_wait(&second);
        int64_t last = sync_now(&b);
        int reports = (result == EPIO_ENOSPC) + (other == EPIO_ENOSPC) + (last == EPIO_ENOSPC);
        assert_int_equal(reports, 1);
    }
    sync_fixture_teardown(&b);
}

/* ---- Syncs that end early ---------------------------------------------- */

/* The state of a sync that covers a failed write, how it ends without a flush of its own, and the
 * state of the sync that gets the error. */
enum { FIRST_LINKED, FIRST_BEHIND_A_WRITE, FIRST_FLUSHING, FIRST_CASES };
enum { END_CANCELLED, END_BY_THREAD, END_EXPIRED, END_LINK_FAILED, END_INVALID, ENDS };
enum { NEXT_LATER, NEXT_LINKED, NEXT_BEHIND_A_WRITE, NEXT_AS_FAR_AS_IT_GOES, NEXT_CASES };

typedef struct early_end {
    sync_fixture b;
    epio_op before_first;
    epio_op before_next;
    epio_op first;
    epio_op next;
    char into[4];
    epio_iovec part;
} early_end;

static void submit_first(early_end *e, int position, int end)
{
    (void)epio_sync(&e->first, e->b.file, end == END_INVALID ? 77 : EPIO_SYNC_FULL);
    e->first.timeout_ns = end == END_EXPIRED ? MILLISECOND : 0;
    switch (position) {
    case FIRST_LINKED:
        (void)epio_read(&e->before_first, e->b.file, e->into, 4, 0);
        epio_submit(epio_link(&e->before_first, &e->first, 0));
        break;
    case FIRST_BEHIND_A_WRITE:
        epio_submit(epio_write(&e->before_first, e->b.file, "a", 1, 0));
        epio_submit(&e->first);
        break;
    default:
        epio_submit(&e->first);
        break;
    }
    (void)epio_loop_poll(e->b.f->loop, 0, 0); /* starts what can start */
}

static void submit_next(early_end *e, int position)
{
    (void)epio_sync(&e->next, e->b.file, EPIO_SYNC_FULL);
    switch (position) {
    case NEXT_LINKED:
        (void)epio_readv(&e->before_next, e->b.file, &e->part, 1, 0);
        epio_submit(epio_link(&e->before_next, &e->next, 0));
        break;
    case NEXT_BEHIND_A_WRITE:
        epio_submit(epio_writev(&e->before_next, e->b.file, &e->part, 1, 0));
        epio_submit(&e->next);
        break;
    default:
        epio_submit(&e->next);
        break;
    }
    (void)epio_loop_poll(e->b.f->loop, 0, 0); /* starts what can start */
}

static void *cancel_first(void *argument)
{
    epio_cancel(&((early_end *)argument)->first);
    return NULL;
}

static void end_first(early_end *e, int end)
{
    test_thread thread;
    switch (end) {
    case END_CANCELLED:
        epio_cancel(&e->first);
        break;
    case END_BY_THREAD:
        thread_start(&thread, cancel_first, e);
        (void)thread_join(thread);
        break;
    case END_LINK_FAILED:
        fault_vfs_fail_after(e->b.fault, EPIO_KIND_READ, 0, 1, EPIO_EIO, EIO);
        fault_vfs_release(e->b.fault, EPIO_KIND_READ, 1);
        break;
    case END_INVALID: /* found when it starts */
        fault_vfs_release(e->b.fault, EPIO_KIND_READ, 1);
        break;
    default:
        break; /* by itself */
    }
    check_result(epio_wait(&e->first), end == END_INVALID   ? EPIO_EINVAL
                                       : end == END_EXPIRED ? EPIO_ETIMEDOUT
                                                            : EPIO_ECANCELED);
}

static void end_a_sync_early(fixture *f, int position, int end, int next)
{
    static const uint8_t held[] = {EPIO_KIND_READ, EPIO_KIND_READV, EPIO_KIND_WRITE,
                                   EPIO_KIND_WRITEV, EPIO_KIND_SYNC};
    early_end e = {.b = sync_fixture_setup(f)};
    e.part = (epio_iovec){e.into, 4};
    fail_a_write(&e.b, EPIO_EFBIG, EFBIG);
    for (size_t i = 0; i < sizeof held; i++) {
        fault_vfs_hold(e.b.fault, held[i]);
    }
    submit_first(&e, position, end);
    if (next != NEXT_LATER) {
        submit_next(&e, next);
    }
    end_first(&e, end);
    if (next == NEXT_LATER) {
        submit_next(&e, next);
    }
    for (size_t i = 0; i < sizeof held; i++) {
        fault_vfs_release_all(e.b.fault, held[i]);
    }
    check_result(epio_wait(&e.next), EPIO_EFBIG);
    assert_int_equal(e.next.os_error, EFBIG);
    check_result(sync_now(&e.b), 0);
    sync_fixture_teardown(&e.b);
}

static void a_sync_that_ends_early_passes_its_error_on(fixture *f)
{
    for (int position = 0; position < FIRST_CASES; position++) {
        for (int end = 0; end < ENDS; end++) {
            if (end == END_LINK_FAILED && position != FIRST_LINKED) {
                continue;
            }
            for (int next = 0; next < NEXT_CASES; next++) {
                end_a_sync_early(f, position, end, next);
            }
        }
    }
}

/* The write that fails is the one that a sync is linked behind. */
static void a_failed_write_is_reported_past_its_chain(fixture *f)
{
    for (int syncs = 1; syncs < 4; syncs++) {
        sync_fixture b = sync_fixture_setup(f);
        epio_op write = {0};
        epio_op chain[3] = {{0}};
        epio_op other = {0};
        fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
        fault_vfs_fail_after(b.fault, EPIO_KIND_WRITE, 0, 1, EPIO_EFBIG, EFBIG);
        (void)epio_write(&write, b.file, "a", 1, 0);
        epio_op *last = &write;
        for (int i = 0; i < syncs; i++) {
            (void)epio_link(last, epio_sync(&chain[i], b.file, EPIO_SYNC_FULL), 0);
            last = &chain[i];
        }
        epio_submit(&write);
        epio_submit(epio_sync(&other, b.file, EPIO_SYNC_FULL));
        fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
        check_result(epio_wait(&other), EPIO_EFBIG);
        assert_int_equal(other.os_error, EFBIG);
        check_result(write.result, EPIO_EFBIG);
        for (int i = 0; i < syncs; i++) {
            check_result(epio_wait(&chain[i]), EPIO_ECANCELED);
        }
        check_result(sync_now(&b), 0);
        sync_fixture_teardown(&b);
    }
}

/* Both become ready by the same write; the one submitted first is delivered first, and reports. */
static void a_linked_sync_is_not_overtaken(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    delivery_log list = {.count = 0};
    epio_op write = {0};
    epio_op first = {0};
    epio_op second = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    fault_vfs_fail_after(b.fault, EPIO_KIND_WRITE, 0, 1, EPIO_EFBIG, EFBIG);
    (void)logged(epio_write(&write, b.file, "a", 1, 0), &list);
    (void)logged(epio_sync(&first, b.file, EPIO_SYNC_FULL), &list);
    epio_submit(epio_link(&write, &first, EPIO_LINK_ALWAYS));
    epio_submit(logged(epio_sync(&second, b.file, EPIO_SYNC_FULL), &list));
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    while (epio_op_pending(&first) || epio_op_pending(&second)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    check_result(first.result, EPIO_EFBIG);
    check_result(second.result, 0);
    assert_ptr_equal(list.delivered[1], &first);
    assert_ptr_equal(list.delivered[2], &second);
    assert_int_equal(flushes(&b), 1);

    /* Cancelled when it has become ready, it leaves the error to the other. */
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    fault_vfs_fail_after(b.fault, EPIO_KIND_WRITE, 0, 1, EPIO_EFBIG, EFBIG);
    list.count = 0;
    (void)epio_write(&write, b.file, "a", 1, 0);
    (void)epio_sync(&first, b.file, EPIO_SYNC_FULL);
    epio_submit(epio_link(&write, &first, EPIO_LINK_ALWAYS));
    epio_submit(epio_sync(&second, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_cancel(&first);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    while (epio_op_pending(&second)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    check_result(first.result, EPIO_ECANCELED);
    check_result(second.result, EPIO_EFBIG);
    sync_fixture_teardown(&b);
}

/* A sync that waits for its link delays no other, so none may rely on it. */
static void the_first_to_complete_its_flush_reports(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op read = {0};
    epio_op linked = {0};
    epio_op other = {0};
    char into[4];
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    fault_vfs_hold(b.fault, EPIO_KIND_READ);
    (void)epio_read(&read, b.file, into, 4, 0);
    (void)epio_sync(&linked, b.file, EPIO_SYNC_FULL);
    epio_submit(epio_link(&read, &linked, 0));
    check_result(epio_wait(epio_sync(&other, b.file, EPIO_SYNC_FULL)), EPIO_EFBIG);
    assert_int_equal(other.os_error, EFBIG);
    assert_true(epio_op_pending(&linked));
    fault_vfs_release_all(b.fault, EPIO_KIND_READ);
    check_result(epio_wait(&linked), 0);
    check_result(sync_now(&b), 0);

    /* It starts while the flush of the other is in flight. */
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    fault_vfs_hold(b.fault, EPIO_KIND_READ);
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    (void)epio_read(&read, b.file, into, 4, 0);
    (void)epio_sync(&linked, b.file, EPIO_SYNC_FULL);
    epio_submit(epio_link(&read, &linked, 0));
    epio_submit(epio_sync(&other, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    fault_vfs_release_all(b.fault, EPIO_KIND_READ);
    check_result(epio_wait(&read) < 0, false);
    fault_vfs_release(b.fault, EPIO_KIND_SYNC, 1);
    check_result(epio_wait(&other), EPIO_EFBIG);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&linked), 0);

    /* The linked one does not report a later failure. */
    fault_vfs_hold(b.fault, EPIO_KIND_READ);
    (void)epio_read(&read, b.file, into, 4, 0);
    (void)epio_sync(&linked, b.file, EPIO_SYNC_FULL);
    epio_submit(epio_link(&read, &linked, 0));
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    fault_vfs_release_all(b.fault, EPIO_KIND_READ);
    check_result(epio_wait(&linked), 0);
    check_result(sync_now(&b), EPIO_EFBIG);
    sync_fixture_teardown(&b);
}

/* ---- Failed flushes ---------------------------------------------------- */

/* What counts as a write, beside it. */
static epio_op *other_write(epio_op *op, epio_file *file, unsigned verb)
{
    switch (verb) {
    case 0:
        return epio_append(op, file, "x", 1);
    case 1:
        return epio_allocate(op, file, 0, 1, 0);
    case 2:
        return epio_punch_hole(op, file, 0, 1);
    case 3:
        return epio_zero_range(op, file, 0, 1, 0);
    default:
        return epio_copy_range(op, file, 0, file, 1, 1);
    }
}

static void check_flush_error(const sync_fixture *b, int32_t os_error)
{
    static const uint32_t strengths[] = {EPIO_SYNC_FULL, EPIO_SYNC_NORMAL, EPIO_SYNC_DATA_ONLY};
    epio_iovec part = {(char[]){"x"}, 1};
    epio_op op = {0};
    char found[4];
    uint32_t writes = fault_vfs_arrived(b->fault, EPIO_KIND_WRITE);
    uint32_t vectors = fault_vfs_arrived(b->fault, EPIO_KIND_WRITEV);
    uint32_t syncs = fault_vfs_arrived(b->fault, EPIO_KIND_SYNC);
    for (size_t i = 0; i < 3; i++) {
        check_result(epio_wait(epio_sync(&op, b->file, strengths[i])), EPIO_EIO);
        check_failed(&op, EPIO_EIO, os_error);
        check_result(epio_perform(epio_sync(&op, b->file, strengths[i])), EPIO_EIO);
        check_failed(&op, EPIO_EIO, os_error);
        check_result(epio_wait(epio_write(&op, b->file, "x", 1, 0)), EPIO_EIO);
        check_failed(&op, EPIO_EIO, os_error);
        check_result(epio_wait(epio_writev(&op, b->file, &part, 1, 0)), EPIO_EIO);
        check_failed(&op, EPIO_EIO, os_error);
        check_result(epio_perform(epio_write(&op, b->file, "x", 1, 0)), EPIO_EIO);
        check_failed(&op, EPIO_EIO, os_error);
        for (unsigned verb = 0; verb < 5; verb++) {
            check_result(epio_wait(other_write(&op, b->file, verb)), EPIO_EIO);
            check_failed(&op, EPIO_EIO, os_error);
            check_result(epio_perform(other_write(&op, b->file, verb)), EPIO_EIO);
            check_failed(&op, EPIO_EIO, os_error);
        }
    }
    assert_int_equal(fault_vfs_arrived(b->fault, EPIO_KIND_WRITE), writes);
    assert_int_equal(fault_vfs_arrived(b->fault, EPIO_KIND_WRITEV), vectors);
    assert_int_equal(fault_vfs_arrived(b->fault, EPIO_KIND_SYNC), syncs);

    /* Reads still work. */
    check_result(epio_wait(epio_read(&op, b->file, found, 4, 0)), 4);
    check_result(epio_wait(epio_size(&op, b->file)), 4);
}

static void a_failed_flush_is_never_forgotten(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    check_result(write_now(&b, 0), 4);
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_ENOSPC, ENOSPC);
    assert_true(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)) < 0);
    assert_int_equal(op.os_error, ENOSPC);
    check_flush_error(&b, ENOSPC);

    /* Another open of the file works, and reopening ends it. */
    epio_file *failed_file = b.file;
    check_result(epio_wait(epio_open(&op, b.fault, fixture_path(f, "data"),
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE)),
                 0);
    b.file = op.file;
    check_result(write_now(&b, 0), 4);
    check_result(sync_now(&b), 0);
    check_result(epio_wait(epio_close(&op, b.file)), 0);
    b.file = failed_file;
    check_flush_error(&b, ENOSPC);
    check_result(epio_wait(epio_close(&op, b.file)), 0);
    check_result(epio_wait(epio_open(&op, b.fault, fixture_path(f, "data"),
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE)),
                 0);
    b.file = op.file;
    check_result(write_now(&b, 0), 4);
    check_result(sync_now(&b), 0);
    sync_fixture_teardown(&b);
}

static void a_failed_performed_flush_is_not_forgotten_either(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    check_result(write_now(&b, 0), 4);
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, EIO);
    check_result(epio_perform(epio_sync(&op, b.file, EPIO_SYNC_FULL)), EPIO_EIO);
    assert_int_equal(op.os_error, EIO);
    check_flush_error(&b, EIO);
    sync_fixture_teardown(&b);
}

/* All syncs that share the flush, and all that wait for the next, report it. */
static void a_failed_flush_fails_all_waiting_syncs(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op held = {0};
    epio_op sharing[3] = {{0}};
    epio_op waiting[3] = {{0}};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    fault_vfs_hold(b.fault, EPIO_KIND_WRITE);
    fault_vfs_fail_after(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, EIO);
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_sync(&sharing[i], b.file, EPIO_SYNC_FULL));
    }
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    epio_submit(epio_write(&held, b.file, "data", 4, 0));
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_sync(&waiting[i], b.file, EPIO_SYNC_FULL));
    }
    wait_until_held(&b, EPIO_KIND_WRITE, 1);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    for (size_t i = 0; i < 3; i++) {
        check_result(epio_wait(&sharing[i]), EPIO_EIO);
        assert_int_equal(sharing[i].os_error, EIO);
        assert_true(epio_op_pending(&waiting[i]));
    }
    /* Writes in flight keep their results. */
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&held), 4);
    for (size_t i = 0; i < 3; i++) {
        check_result(epio_wait(&waiting[i]), EPIO_EIO);
        assert_int_equal(waiting[i].os_error, EIO);
    }
    assert_int_equal(flushes(&b), 1);
    check_flush_error(&b, EIO);
    sync_fixture_teardown(&b);
}

/* A write submitted before the flush failed that starts after it. */
static void a_linked_write_after_a_failed_flush_fails(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op sync = {0};
    epio_op write = {0};
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, EIO);
    (void)epio_sync(&sync, b.file, EPIO_SYNC_FULL);
    (void)epio_write(&write, b.file, "x", 1, 0);
    epio_submit(epio_link(&sync, &write, EPIO_LINK_ALWAYS));
    check_result(epio_wait(&write), EPIO_EIO);
    assert_int_equal(write.os_error, EIO);
    check_result(sync.result, EPIO_EIO);
    assert_int_equal(fault_vfs_arrived(b.fault, EPIO_KIND_WRITE), 0);
    sync_fixture_teardown(&b);
}

static void some_failures_are_not_kept(fixture *f)
{
    static const struct {
        int result;
        int32_t os_error;
    } cases[] = {
        {EPIO_EINVAL, EINVAL},
        {EPIO_ENOTSUP, ENOSYS},
        {EPIO_ECANCELED, 0},
    };
    sync_fixture b = sync_fixture_setup(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        epio_op op = {0};
        fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, cases[i].result, cases[i].os_error);
        check_result(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)), cases[i].result);
        assert_int_equal(op.os_error, cases[i].os_error);
        check_result(write_now(&b, 0), 4);
        check_result(sync_now(&b), 0);
    }
    sync_fixture_teardown(&b);
}

static void a_failed_flush_is_that_files_alone(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    check_result(epio_wait(epio_open(&op, b.fault, fixture_path(f, "other"),
                                     EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *other = op.file;
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, EIO);
    check_result(sync_now(&b), EPIO_EIO);
    check_result(epio_wait(epio_write(&op, other, "x", 1, 0)), 1);
    check_result(epio_wait(epio_sync(&op, other, EPIO_SYNC_FULL)), 0);
    check_result(epio_wait(epio_close(&op, other)), 0);
    check_result(write_now(&b, 0), EPIO_EIO);
    sync_fixture_teardown(&b);
}

/* A failed write and a failed flush: the flush's error stays. */
static void both_failures_are_reported(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    fail_a_write(&b, EPIO_ENOSPC, ENOSPC);
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, EIO);
    assert_true(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)) < 0);
    check_result(epio_wait(epio_sync(&op, b.file, EPIO_SYNC_FULL)), EPIO_EIO);
    assert_int_equal(op.os_error, EIO);
    check_result(write_now(&b, 0), EPIO_EIO);
    sync_fixture_teardown(&b);
}

/* Law 6 precedes law 5, in every state of a sync that has the error of a write to report. */
static void a_failed_flush_precedes_the_error_of_a_write(fixture *f)
{
    enum { SHARES, SHARES_TOO, READY, BEHIND, LINKED, SYNCS };
    sync_fixture b = sync_fixture_setup(f);
    epio_op syncs[SYNCS] = {{0}};
    epio_op held[2] = {{0}};
    epio_op op = {0};
    epio_iovec part = {(char[]){"abcd"}, 4};
    char into[4];
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    fault_vfs_hold(b.fault, EPIO_KIND_WRITEV);
    fault_vfs_hold(b.fault, EPIO_KIND_READ);
    fault_vfs_fail_after(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, 77);
    epio_submit(epio_sync(&syncs[SHARES], b.file, EPIO_SYNC_FULL));
    epio_submit(epio_sync(&syncs[SHARES_TOO], b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    epio_submit(epio_sync(&syncs[READY], b.file, EPIO_SYNC_FULL));
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    epio_submit(epio_writev(&held[0], b.file, &part, 1, 0));
    epio_submit(epio_sync(&syncs[BEHIND], b.file, EPIO_SYNC_DATA_ONLY));
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    (void)epio_read(&held[1], b.file, into, 4, 0);
    (void)epio_sync(&syncs[LINKED], b.file, EPIO_SYNC_NORMAL);
    epio_submit(epio_link(&held[1], &syncs[LINKED], EPIO_LINK_ALWAYS));
    fixture_settle(f);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    fault_vfs_release_all(b.fault, EPIO_KIND_WRITEV);
    fault_vfs_release_all(b.fault, EPIO_KIND_READ);
    for (size_t i = 0; i < SYNCS; i++) {
        check_result(epio_wait(&syncs[i]), EPIO_EIO);
        assert_int_equal(syncs[i].os_error, 77);
    }

    /* A truncate may still fail, and its error does not matter either. */
    for (int i = 0; i < 3; i++) {
        fault_vfs_fail_after(b.fault, EPIO_KIND_TRUNCATE, 0, 1, EPIO_ENOSPC, ENOSPC);
        check_result(epio_wait(epio_truncate(&op, b.file, 4)), EPIO_ENOSPC);
        (void)epio_sync(&op, b.file, EPIO_SYNC_FULL);
        if (i == 0) {
            check_result(epio_wait(&op), EPIO_EIO);
        } else if (i == 1) {
            check_result(epio_perform(&op), EPIO_EIO);
        } else {
            epio_submit(&op);
            (void)epio_loop_run(f->loop);
            check_result(op.result, EPIO_EIO);
        }
        assert_int_equal(op.os_error, 77);
    }
    assert_int_equal(flushes(&b), 1);
    check_flush_error(&b, 77);
    sync_fixture_teardown(&b);
}

/* An error that says nothing about the medium completes no flush either. */
static void a_refused_flush_leaves_the_error_of_a_write(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op syncs[2] = {{0}};
    fail_a_write(&b, EPIO_EFBIG, EFBIG);
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EINVAL, EINVAL);
    epio_submit(epio_sync(&syncs[0], b.file, EPIO_SYNC_FULL));
    epio_submit(epio_sync(&syncs[1], b.file, EPIO_SYNC_FULL));
    for (size_t i = 0; i < 2; i++) {
        check_result(epio_wait(&syncs[i]), EPIO_EINVAL);
        assert_int_equal(syncs[i].os_error, EINVAL);
    }
    check_result(sync_now(&b), EPIO_EFBIG);
    check_result(sync_now(&b), 0);
    sync_fixture_teardown(&b);
}

/* The system reports a failure to one of two flushes. */
static void a_flush_beside_one_that_fails_fails(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op sync = {0};
    epio_op performed = {0};
    fault_vfs_hold(b.fault, EPIO_KIND_SYNC);
    epio_submit(epio_sync(&sync, b.file, EPIO_SYNC_FULL));
    wait_until_held(&b, EPIO_KIND_SYNC, 1);
    fault_vfs_fail(b.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, 77);
    check_result(epio_perform(epio_sync(&performed, b.file, EPIO_SYNC_FULL)), EPIO_EIO);
    fault_vfs_release_all(b.fault, EPIO_KIND_SYNC);
    check_result(epio_wait(&sync), EPIO_EIO);
    assert_int_equal(sync.os_error, 77);
    sync_fixture_teardown(&b);
}

/* ---- Any order --------------------------------------------------------- */

/* Random writes, syncs, links and cancels on one file, and what laws 5 and 3 require of each
 * delivery. The os_error of a failed write identifies it. */
enum { MODEL_OPS = 40, MODEL_ROUNDS = 60, MODEL_MARK = 1000 };

typedef struct model_op {
    epio_op op;
    struct model *model;
    size_t index;
    size_t behind;  /* index of its predecessor; MODEL_OPS: none */
    bool always;    /* of that link */
    bool fails;     /* a write that the fault layer fails */
    bool syncs;     /* a valid sync */
    bool cancelled; /* or its deadline passed */
    bool delivered;
    bool broken;     /* it or one before it in its chain failed */
    bool unreported; /* a failed write that no sync has reported */
} model_op;

typedef struct model {
    sync_fixture b;
    random_source random;
    uint64_t seed;
    model_op ops[MODEL_OPS];
    size_t count;
    size_t delivered;
} model;

static bool chance(model *m, unsigned percent)
{
    return random_between(&m->random, 0, 100) < percent;
}

static void expect(const model_op *one, bool holds, const char *what)
{
    if (!holds) {
        print_error("op %d, kind %d, result %d: %s; EPIO_TEST_SEED=%llu repeats it\n",
                    (int)one->index, (int)one->op.kind, (int)one->op.result, what,
                    (unsigned long long)one->model->seed);
        fail();
    }
}

static int fail_by_model(const epio_op *op, int32_t *os_error)
{
    const model_op *one = op->user;
    if (op->kind == EPIO_KIND_SYNC || one == NULL || !one->fails) {
        return 0;
    }
    *os_error = (int32_t)(MODEL_MARK + one->index);
    return EPIO_EFBIG;
}

/* A completed sync: all that it covers was delivered, and it reports one of the failed writes, if
 * there are any, for all of them. */
static void check_covered(model *m, model_op *sync)
{
    bool failed = false;
    for (size_t i = 0; i < sync->index; i++) {
        model_op *one = &m->ops[i];
        bool writes = one->op.kind != EPIO_KIND_SYNC && one->op.kind != EPIO_KIND_READ;
        expect(sync, one->delivered || !writes, "a write that it covers is in flight");
        if (one->unreported) {
            failed = true;
            one->unreported = false;
            if (sync->op.os_error == (int32_t)(MODEL_MARK + i)) {
                sync->unreported = true; /* temporarily: it reports one */
            }
        }
    }
    expect(sync, failed == (sync->op.result < 0), "an error is lost, or reported twice");
    expect(sync, failed == sync->unreported, "it does not cover what it reports");
    sync->unreported = false;
}

/* An op that was not cancelled started, or ended because one before it in its chain failed. */
static void check_chain(const model *m, model_op *one)
{
    bool ended = one->op.result == EPIO_ECANCELED || one->op.result == EPIO_ETIMEDOUT;
    bool broken = false;
    if (one->behind != MODEL_OPS) {
        const model_op *before = &m->ops[one->behind];
        expect(one, before->delivered || one->cancelled, "it overtook the one before it");
        broken = before->delivered && before->broken;
    }
    if (!one->cancelled) {
        expect(one, ended == (broken && !one->always), "the chain does not remember");
    }
    one->broken = broken || one->op.result < 0;
}

static void model_delivered(epio_op *op)
{
    model_op *one = op->user;
    model *m = one->model;
    one->delivered = true;
    m->delivered++;
    check_chain(m, one);
    if (op->result == EPIO_ECANCELED || op->result == EPIO_ETIMEDOUT) {
        return;
    }
    if (one->syncs) {
        check_covered(m, one);
    } else if (op->kind != EPIO_KIND_SYNC && op->kind != EPIO_KIND_READ) {
        expect(one, (op->result < 0) == one->fails, "not what the fault layer made of it");
        one->unreported = op->result < 0;
    }
}

static void prepare_model_op(model *m, model_op *one)
{
    static char into[4];
    static const epio_iovec part = {into, 1};
    memset(one, 0, sizeof *one);
    one->model = m;
    one->index = m->count++;
    one->behind = MODEL_OPS;
    one->op.done = model_delivered;
    one->op.user = one;
    if (chance(m, 10)) {
        one->cancelled = true;
        one->op.timeout_ns = 1 + random_between(&m->random, 0, MILLISECOND);
    }
    bool valid = !chance(m, 10);
    switch (random_between(&m->random, 0, 8)) {
    case 0:
        (void)epio_read(&one->op, m->b.file, into, 4, 0);
        return;
    case 1:
        (void)epio_writev(&one->op, m->b.file, &part, 1, 0);
        break;
    case 2:
        (void)epio_truncate(&one->op, m->b.file, 4);
        break;
    case 3:
    case 4:
        (void)epio_write(&one->op, m->b.file, "w", 1, 0);
        break;
    default:
        (void)epio_sync(&one->op, m->b.file, valid ? EPIO_SYNC_FULL : 77);
        one->syncs = valid;
        return;
    }
    one->fails = chance(m, 30);
}

static void submit_chain_of_model(model *m)
{
    model_op *first = &m->ops[m->count];
    prepare_model_op(m, first);
    model_op *last = first;
    while (m->count < MODEL_OPS && chance(m, 50)) {
        model_op *next = &m->ops[m->count];
        prepare_model_op(m, next);
        next->behind = last->index;
        next->always = chance(m, 40);
        (void)epio_link(&last->op, &next->op, next->always ? EPIO_LINK_ALWAYS : 0);
        last = next;
    }
    epio_submit(&first->op);
}

static void step_of_model(model *m)
{
    static const uint8_t kinds[] = {EPIO_KIND_READ, EPIO_KIND_WRITE, EPIO_KIND_WRITEV,
                                    EPIO_KIND_TRUNCATE, EPIO_KIND_SYNC};
    uint8_t kind = kinds[random_between(&m->random, 0, sizeof kinds)];
    model_op *one = m->count > 0 ? &m->ops[random_between(&m->random, 0, m->count)] : NULL;
    switch (random_between(&m->random, 0, 6)) {
    case 0:
        if (one != NULL && !one->delivered) {
            one->cancelled = true;
            epio_cancel(&one->op);
        }
        return;
    case 1:
        fault_vfs_hold(m->b.fault, kind);
        return;
    case 2:
        fault_vfs_release(m->b.fault, kind, (uint32_t)random_between(&m->random, 1, 4));
        return;
    case 3:
        (void)epio_loop_poll(m->b.f->loop, 0, (uint32_t)random_between(&m->random, 0, 3));
        return;
    default:
        if (m->count < MODEL_OPS) {
            submit_chain_of_model(m);
        }
        return;
    }
}

static void round_of_model(model *m)
{
    static const uint8_t kinds[] = {EPIO_KIND_READ, EPIO_KIND_WRITE, EPIO_KIND_WRITEV,
                                    EPIO_KIND_TRUNCATE, EPIO_KIND_SYNC};
    m->count = 0;
    m->delivered = 0;
    for (int i = 0; i < 150; i++) {
        step_of_model(m);
    }
    for (size_t i = 0; i < sizeof kinds; i++) {
        fault_vfs_release_all(m->b.fault, kinds[i]);
    }
    while (m->delivered < m->count) {
        (void)epio_loop_poll(m->b.f->loop, EPIO_FOREVER, 0);
    }
    /* The next sync reports what is left. */
    bool left = false;
    for (size_t i = 0; i < m->count; i++) {
        left |= m->ops[i].unreported;
    }
    check_result(sync_now(&m->b), left ? EPIO_EFBIG : 0);
    check_result(sync_now(&m->b), 0);
}

static void no_error_is_lost_in_random_orders(fixture *f)
{
    static model m;
    const char *seed = getenv("EPIO_TEST_SEED");
    memset(&m, 0, sizeof m);
    m.b = sync_fixture_setup(f);
    fault_vfs_judge(m.b.fault, fail_by_model);
    check_result(write_now(&m.b, 0), 4);
    for (uint64_t round = 1; round <= MODEL_ROUNDS; round++) {
        m.seed = seed != NULL ? strtoull(seed, NULL, 10) : round;
        m.random.state = m.seed;
        round_of_model(&m);
    }
    sync_fixture_teardown(&m.b);
}

/* ---- The layer API ----------------------------------------------------- */

/* A layer may send a returned op again; the layers above do not notice. */
static void a_layer_repeats_ops(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    epio_op op = {0};
    char found[4];
    fault_vfs_repeat(b.fault, EPIO_KIND_WRITE, 3);
    fault_vfs_repeat(b.fault, EPIO_KIND_READ, 2);
    fault_vfs_repeat(b.fault, EPIO_KIND_SYNC, 1);
    check_result(write_now(&b, 0), 4);
    assert_int_equal(fault_vfs_reached(b.fault, EPIO_KIND_WRITE), 4);
    check_result(epio_wait(epio_read(&op, b.file, found, 4, 0)), 4);
    assert_memory_equal(found, "data", 4);
    assert_int_equal(fault_vfs_reached(b.fault, EPIO_KIND_READ), 3);
    check_result(sync_now(&b), 0);
    assert_int_equal(fault_vfs_reached(b.fault, EPIO_KIND_SYNC), 2);
    assert_int_equal(fault_vfs_arrived(b.fault, EPIO_KIND_SYNC), 1);
    sync_fixture_teardown(&b);
}

static void layers_stack(fixture *f)
{
    enum { LAYERS = 5 };
    epio_vfs *layers[LAYERS];
    epio_op op = {0};
    char found[4];
    char path[600];
    for (size_t i = 0; i < LAYERS; i++) {
        assert_int_equal(fault_vfs_create(&layers[i], i == 0 ? f->vfs : layers[i - 1]), 0);
    }
    epio_vfs *top = layers[LAYERS - 1];
    check_result(epio_wait(epio_open(&op, top, fixture_path(f, "data"),
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    assert_ptr_equal(file->vfs, top);
    assert_int_equal(epio_file_os_handle(file) >= 0, !f->memory);
    check_result(epio_wait(epio_write(&op, file, "data", 4, 0)), 4);
    assert_ptr_equal(op.file, file);
    assert_ptr_equal(op.vfs, top);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_perform(epio_read(&op, file, found, 4, 0)), 4);
    assert_ptr_equal(op.file, file);
    assert_ptr_equal(op.vfs, top);
    assert_memory_equal(found, "data", 4);
    check_result(
        epio_wait(epio_rename(&op, top, fixture_path(f, "data"), fixture_path(f, "moved"), 0)), 0);
    check_result(
        epio_wait(epio_full_pathname(&op, top, fixture_path(f, "moved"), path, sizeof path)),
        (int64_t)strlen(fixture_path(f, "moved")));
    check_result(epio_wait(epio_sleep(&op, top, 1000)), 1000);
    check_result(epio_wait(epio_open(&op, top, fixture_path(f, "data"), EPIO_OPEN_READ)),
                 EPIO_ENOENT);
    assert_null(op.file);

    /* A failure at the bottom arrives at the top. */
    fault_vfs_fail(layers[0], EPIO_KIND_READ, 0, 2, EPIO_EIO, 77);
    check_result(epio_wait(epio_read(&op, file, found, 4, 0)), EPIO_EIO);
    assert_int_equal(op.os_error, 77);
    check_result(epio_perform(epio_read(&op, file, found, 4, 0)), EPIO_EIO);
    assert_int_equal(op.os_error, 77);
    check_result(epio_wait(epio_close(&op, file)), 0);

    check_result(epio_perform(epio_open(&op, top, fixture_path(f, "moved"), EPIO_OPEN_READ)), 0);
    assert_ptr_equal(op.file->vfs, top);
    check_result(epio_perform(epio_close(&op, op.file)), 0);
    for (size_t i = LAYERS; i-- > 0;) {
        epio_vfs_destroy(layers[i]);
    }
}

/* An op that is cancelled while held in a layer, and between two layers. */
static void a_layer_cancels_what_it_holds(fixture *f)
{
    epio_vfs *lower;
    epio_vfs *upper;
    epio_op op = {0};
    epio_op held[2] = {{0}};
    char found[4];
    assert_int_equal(fault_vfs_create(&lower, f->vfs), 0);
    assert_int_equal(fault_vfs_create(&upper, lower), 0);
    check_result(epio_wait(epio_open(&op, upper, fixture_path(f, "data"),
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    fault_vfs_hold(lower, EPIO_KIND_READ);
    fault_vfs_hold(upper, EPIO_KIND_WRITE);
    epio_submit(epio_read(&held[0], file, found, 4, 0));
    epio_submit(epio_write(&held[1], file, found, 4, 0));
    while (fault_vfs_held(lower, EPIO_KIND_READ) + fault_vfs_held(upper, EPIO_KIND_WRITE) < 2) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    for (size_t i = 0; i < 2; i++) {
        epio_cancel(&held[i]);
        check_result(epio_wait(&held[i]), EPIO_ECANCELED);
        assert_ptr_equal(held[i].file, file);
    }
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_vfs_destroy(upper);
    epio_vfs_destroy(lower);
}

/* Cancels the op in its `user`. */
static void cancel_the_other(epio_op *op)
{
    epio_cancel(op->user);
}

/* Two reads end in one iteration; the first to be delivered cancels the second, which has not
 * ended: its layer will send it again, or it is to be retried. The cancel is not lost. */
static void a_cancel_reaches_a_returning_op(fixture *f)
{
    sync_fixture b = sync_fixture_setup(f);
    char found[4];
    check_result(write_now(&b, 0), 4);
    for (int tries_again = 0; tries_again < 2; tries_again++) {
        epio_op first = {0};
        epio_op second = {0};
        first.done = cancel_the_other;
        first.user = &second;
        if (tries_again != 0) {
            fault_vfs_repeat(b.fault, EPIO_KIND_READV, 0);
            fault_vfs_fail(b.fault, EPIO_KIND_READV, 0, 1, EPIO_RETRY, 0);
        } else {
            fault_vfs_repeat(b.fault, EPIO_KIND_READV, 1);
        }
        epio_iovec part = {found, 4};
        epio_submit(epio_read(&first, b.file, found, 4, 0));
        epio_submit(epio_readv(&second, b.file, &part, 1, 0));
        check_result(epio_wait(&second), EPIO_ECANCELED);
    }
    sync_fixture_teardown(&b);
}

/* ---- Without the fault layer ------------------------------------------- */

static void a_thousand_writes_and_a_sync(fixture *f)
{
    enum { WRITES = 1000, PART = 100 };
    static epio_op writes[WRITES];
    static unsigned char data[WRITES * PART];
    epio_op sync = {0};
    memset(writes, 0, sizeof writes);
    pattern_fill(data, sizeof data, 0);
    epio_file *file = fixture_create(f, "data");
    for (size_t i = 0; i < WRITES; i++) {
        epio_submit(epio_write(&writes[i], file, data + i * PART, PART, i * PART));
    }
    check_result(epio_wait(epio_sync(&sync, file, EPIO_SYNC_DATA_ONLY)), 0);
    for (size_t i = 0; i < WRITES; i++) {
        assert_false(epio_op_pending(&writes[i]));
        check_result(writes[i].result, PART);
    }
    fixture_close(f, file);
    check_content(f, "data", data, sizeof data);
}

#endif

static void sync_has_three_strengths(fixture *f)
{
    static const uint32_t strengths[] = {EPIO_SYNC_FULL, EPIO_SYNC_NORMAL, EPIO_SYNC_DATA_ONLY};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    for (size_t i = 0; i < 3; i++) {
        fixture_write(f, file, "abc", 3, i * 3);
        check_op(f, epio_sync(&op, file, strengths[i]), 0);
        check_op(f, epio_sync(&op, file, strengths[i]), 0);
    }
    check_op(f, epio_sync(&op, file, 3), EPIO_EINVAL);
    check_op(f, epio_sync(&op, file, UINT32_MAX), EPIO_EINVAL);
    fixture_write(f, file, "abc", 3, 0);
    fixture_close(f, file);

    file = fixture_open(f, "data", EPIO_OPEN_READ);
    for (size_t i = 0; i < 3; i++) {
        check_op(f, epio_sync(&op, file, strengths[i]), 0);
    }
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(sync_has_three_strengths, ON_ANY),
#if EPIO_ASYNC
#define BENCH (ON_OS | ON_MEMORY | ON_LIMIT_OS_3 | ON_LIMIT_MEMORY)
        FIXTURE_TEST(a_sync_waits_for_the_writes_before_it, BENCH),
        FIXTURE_TEST(a_sync_is_delivered_after_its_writes, BENCH),
        FIXTURE_TEST(a_sync_from_a_callback_covers_its_write, BENCH),
        FIXTURE_TEST(later_writes_do_not_hold_a_sync, BENCH),
        FIXTURE_TEST(reads_and_other_files_do_not_hold_a_sync, BENCH),
        FIXTURE_TEST(a_sync_covers_linked_writes, BENCH),
        FIXTURE_TEST(a_linked_sync_follows_its_write, BENCH),
        FIXTURE_TEST(a_close_waits_for_write_and_sync, BENCH),
        FIXTURE_TEST(syncs_of_one_iteration_share_a_flush, BENCH),
        FIXTURE_TEST(syncs_during_a_flush_share_the_next, BENCH),
        FIXTURE_TEST(a_running_flush_is_too_old, BENCH),
        FIXTURE_TEST(tasks_share_flushes, BENCH),
        FIXTURE_TEST(a_shared_flush_is_the_strongest, BENCH),
        FIXTURE_TEST(the_next_sync_reports_a_failed_write, BENCH),
        FIXTURE_TEST(the_first_of_several_errors_is_reported, BENCH),
        FIXTURE_TEST(only_the_sync_that_covers_it_reports, BENCH),
        FIXTURE_TEST(cancelled_writes_are_no_failures, BENCH),
        FIXTURE_TEST(performed_writes_count_for_nothing, BENCH),
        FIXTURE_TEST(a_cancelled_sync_ends_at_once, BENCH),
        FIXTURE_TEST(a_cancelled_sync_leaves_the_flush_to_the_others, BENCH),
        FIXTURE_TEST(a_flush_outlives_its_syncs, BENCH),
        FIXTURE_TEST(a_failed_flush_is_kept_without_waiters, BENCH),
        FIXTURE_TEST(a_cancelled_sync_passes_its_error_on, BENCH),
        FIXTURE_TEST(a_waiting_sync_passes_its_error_on, BENCH),
        FIXTURE_TEST(an_error_is_reported_exactly_once, BENCH),
        FIXTURE_TEST(a_failed_flush_is_never_forgotten, BENCH),
        FIXTURE_TEST(a_failed_performed_flush_is_not_forgotten_either, BENCH),
        FIXTURE_TEST(a_failed_flush_fails_all_waiting_syncs, BENCH),
        FIXTURE_TEST(a_linked_write_after_a_failed_flush_fails, BENCH),
        FIXTURE_TEST(some_failures_are_not_kept, BENCH),
        FIXTURE_TEST(a_failed_flush_is_that_files_alone, BENCH),
        FIXTURE_TEST(both_failures_are_reported, BENCH),
#define EVERYWHERE (BENCH | ON_LIMIT_OS | ON_LIMIT_MEMORY_3 | ON_TRACE_OS | ON_TRACE_MEMORY)
        FIXTURE_TEST(a_sync_that_ends_early_passes_its_error_on, EVERYWHERE),
        FIXTURE_TEST(a_failed_write_is_reported_past_its_chain, EVERYWHERE),
        FIXTURE_TEST(a_linked_sync_is_not_overtaken, EVERYWHERE),
        FIXTURE_TEST(the_first_to_complete_its_flush_reports, EVERYWHERE),
        FIXTURE_TEST(a_failed_flush_precedes_the_error_of_a_write, EVERYWHERE),
        FIXTURE_TEST(a_refused_flush_leaves_the_error_of_a_write, EVERYWHERE),
        FIXTURE_TEST(a_flush_beside_one_that_fails_fails, EVERYWHERE),
        FIXTURE_TEST(no_error_is_lost_in_random_orders, EVERYWHERE),
        FIXTURE_TEST(a_layer_repeats_ops, BENCH),
        FIXTURE_TEST(layers_stack, BENCH),
        FIXTURE_TEST(a_layer_cancels_what_it_holds, BENCH),
        FIXTURE_TEST(a_cancel_reaches_a_returning_op, ON_MEMORY),
        FIXTURE_TEST(a_thousand_writes_and_a_sync, ON_ANY_LOOP & ~ON_OS_SUBMIT),
#endif
    };
    return FIXTURE_RUN("sync", tests);
}
