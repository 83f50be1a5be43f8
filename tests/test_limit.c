/* Backpressure: a limit holds for every user, ops that only wait or end a wait need no permit, and
 * all permits are released. */
#include "support.h"

#include "fault_vfs.h"

#include <stdatomic.h>

/* A limit of its own over the fixture's VFS, or over a fault layer on that. */
typedef struct limit_fixture {
    fixture *f;
    epio_semaphore *semaphore;
    uint32_t permits;
    epio_vfs *fault;
    epio_vfs *vfs;
} limit_fixture;

static limit_fixture limit_fixture_setup(fixture *f, uint32_t permits)
{
    limit_fixture l = {.f = f, .permits = permits};
    check_result(epio_semaphore_create(&l.semaphore, permits), 0);
    check_result(fault_vfs_create(&l.fault, f->vfs), 0);
    check_result(epio_limit_vfs_create(&l.vfs, l.fault, l.semaphore), 0);
    return l;
}

static void limit_fixture_teardown(limit_fixture *l)
{
    check(epio_semaphore_available(l->semaphore) == l->permits);
    epio_vfs_destroy(l->vfs);
    epio_vfs_destroy(l->fault);
    epio_semaphore_destroy(l->semaphore);
}

static epio_file *open_through(limit_fixture *l, const char *name)
{
    epio_op op = {0};
    check_op(l->f,
             epio_open(&op, l->vfs, fixture_path(l->f, name),
                       EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE),
             0);
    return op.file;
}

static void wait_until_held(limit_fixture *l, uint8_t kind, uint32_t count)
{
    while (fault_vfs_held(l->fault, kind) < count) {
        (void)epio_loop_poll(l->f->loop, MILLISECOND, 0);
    }
}

/* ---- Never more at once --------------------------------------------------- */

static atomic_int running;
static atomic_int most_running;
static atomic_int allowed;

static int64_t count_running(epio_op *op)
{
    int now = atomic_fetch_add(&running, 1) + 1;
    int most = atomic_load(&most_running);
    (void)op;
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now)) {
    }
    require(now <= atomic_load(&allowed));
    sleep_ns(MILLISECOND);
    (void)atomic_fetch_sub(&running, 1);
    return 1;
}

static void reset_counts(int limit)
{
    atomic_store(&running, 0);
    atomic_store(&most_running, 0);
    atomic_store(&allowed, limit);
}

#define OPS 60

static void no_more_than_permits_at_once(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 3);
    static epio_op ops[OPS];
    memset(ops, 0, sizeof ops);
    reset_counts(3);
    for (size_t i = 0; i < OPS; i++) {
        epio_submit(epio_work(&ops[i], l.vfs, count_running));
    }
    check_result(epio_loop_run(f->loop), OPS);
    for (size_t i = 0; i < OPS; i++) {
        check_result(ops[i].result, 1);
    }
    check(atomic_load(&most_running) == 3); /* and it lets that many run in parallel */
    limit_fixture_teardown(&l);
}

/* Reads and writes of several files; the fault layer counts those it holds. */
static void files_share_the_permits_in_order(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 2);
    epio_file *files[2] = {open_through(&l, "a"), open_through(&l, "b")};
    epio_op ops[6], op = {0};
    memset(ops, 0, sizeof ops);
    fault_vfs_hold(l.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < 6; i++) {
        epio_submit(epio_write(&ops[i], files[i % 2], "x", 1, i));
    }
    for (uint32_t i = 0; i < 3; i++) {
        wait_until_held(&l, EPIO_KIND_WRITE, 2);
        fixture_settle(f);
        check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 2);
        check(fault_vfs_arrived(l.fault, EPIO_KIND_WRITE) == 2 * i + 2);
        check(epio_semaphore_available(l.semaphore) == 0);
        for (size_t j = 0; j < 6; j++) {
            check(epio_op_pending(&ops[j]) == (j >= 2 * i));
        }
        fault_vfs_release(l.fault, EPIO_KIND_WRITE, 2);
        check_result(epio_wait(&ops[2 * i]), 1);
        check_result(epio_wait(&ops[2 * i + 1]), 1);
    }
    fault_vfs_release_all(l.fault, EPIO_KIND_WRITE);
    check_op(f, epio_close(&op, files[0]), 0);
    check_op(f, epio_close(&op, files[1]), 0);
    limit_fixture_teardown(&l);
}

typedef struct limit_user {
    epio_semaphore *semaphore;
    const char *path;
    unsigned count;
    bool performs;
} limit_user;

static int64_t run_op(const limit_user *one, epio_op *op)
{
    return one->performs ? epio_perform(op) : epio_wait(op);
}

/* With a loop and VFS of its own, and the shared semaphore. */
static void *work_in_a_thread(void *argument)
{
    const limit_user *one = argument;
    epio_loop *loop = NULL;
    epio_vfs *vfs = NULL;
    epio_op op = {0}, works[4];
    char byte = 'x';
    memset(works, 0, sizeof works);
    require(epio_loop_create(&loop, NULL) == 0);
    require(epio_limit_vfs_create(&vfs, epio_loop_vfs(loop), one->semaphore) == 0);
    require(run_op(one, epio_open(&op, vfs, one->path,
                                  EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)) == 0);
    epio_file *file = op.file;
    for (unsigned i = 0; i < one->count; i++) {
        for (size_t j = 0; j < 4 && !one->performs; j++) {
            epio_submit(epio_work(&works[j], vfs, count_running));
        }
        require(run_op(one, epio_write(&op, file, &byte, 1, i)) == 1);
        require(run_op(one, epio_work(&op, vfs, count_running)) == 1);
        require(run_op(one, epio_read(&op, file, &byte, 1, i)) == 1);
        (void)epio_loop_run(loop);
    }
    require(run_op(one, epio_sync(&op, file, 0)) == 0);
    require(run_op(one, epio_close(&op, file)) == 0);
    epio_vfs_destroy(vfs);
    epio_loop_destroy(loop);
    return NULL;
}

static void loops_and_threads_share_a_limit(fixture *f)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    limit_user members[4];
    test_thread threads[4];
    epio_semaphore *semaphore = NULL;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    reset_counts(2);
    for (size_t i = 0; i < 4; i++) {
        members[i] = (limit_user){semaphore, fixture_path(f, names[i]), 20, i == 3};
        thread_start(&threads[i], work_in_a_thread, &members[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        (void)thread_join(threads[i]);
    }
    check(atomic_load(&most_running) == 2);
    check(epio_semaphore_available(semaphore) == 2);
    epio_semaphore_destroy(semaphore);
}

/* ---- Bytes ------------------------------------------------------------------ */

static void bytes_in_flight_are_limited(fixture *f)
{
    static char data[1000];
    static const size_t lengths[] = {60, 40, 1, 500, 10, 100};
    limit_fixture l = limit_fixture_setup(f, 10);
    epio_op ops[6], op = {0};
    memset(ops, 0, sizeof ops);
    epio_semaphore_limit_bytes(l.semaphore, 100);
    epio_file *file = open_through(&l, "data");
    fault_vfs_hold(l.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < 6; i++) {
        epio_submit(epio_write(&ops[i], file, data, lengths[i], 0));
    }
    wait_until_held(&l, EPIO_KIND_WRITE, 2);
    fixture_settle(f);
    check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 2); /* 60 + 40 */
    check(epio_semaphore_available(l.semaphore) == 8);
    fault_vfs_release(l.fault, EPIO_KIND_WRITE, 1);
    check_result(epio_wait(&ops[0]), 60);
    fixture_settle(f);
    /* 40 + 1; the 10 would fit, but the 500 is before it. */
    check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 2);
    fault_vfs_release(l.fault, EPIO_KIND_WRITE, 1);
    check_result(epio_wait(&ops[1]), 40);
    fixture_settle(f);
    check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 1); /* the 500 needs all */
    fault_vfs_release(l.fault, EPIO_KIND_WRITE, 1);
    check_result(epio_wait(&ops[2]), 1);
    wait_until_held(&l, EPIO_KIND_WRITE, 1);
    fixture_settle(f);
    check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 1 && epio_op_pending(&ops[4]));
    fault_vfs_release(l.fault, EPIO_KIND_WRITE, 1);
    check_result(epio_wait(&ops[3]), 500);
    fixture_settle(f);
    check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 1); /* 10; then 100 needs all */
    fault_vfs_release_all(l.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&ops[4]), 10);
    check_result(epio_wait(&ops[5]), 100);
    check_op(f, epio_close(&op, file), 0);
    limit_fixture_teardown(&l);
}

/* Those of an append are its length, and come back when it ends, whatever its result. */
static void bytes_of_appends_are_limited(fixture *f)
{
    static char data[100];
    limit_fixture l = limit_fixture_setup(f, 10);
    epio_op append = {0}, write = {0}, op = {0};
    epio_semaphore_limit_bytes(l.semaphore, 100);
    epio_file *file = open_through(&l, "data");
    fault_vfs_hold(l.fault, EPIO_KIND_APPEND);
    fault_vfs_hold(l.fault, EPIO_KIND_WRITE);
    epio_submit(epio_append(&append, file, data, 60));
    epio_submit(epio_write(&write, file, data, 41, 0));
    wait_until_held(&l, EPIO_KIND_APPEND, 1);
    fixture_settle(f);
    check(fault_vfs_held(l.fault, EPIO_KIND_WRITE) == 0); /* 60 + 41 */
    fault_vfs_release_all(l.fault, EPIO_KIND_APPEND);
    (void)epio_wait(&append); /* the offset, or the file system cannot */
    wait_until_held(&l, EPIO_KIND_WRITE, 1);
    fault_vfs_release_all(l.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&write), 41);
    check_op(f, epio_close(&op, file), 0);
    limit_fixture_teardown(&l);
}

/* A cancelled op and a failed one release their bytes, too. */
static void bytes_come_back(fixture *f)
{
    static char data[100];
    limit_fixture l = limit_fixture_setup(f, 4);
    epio_op ops[3], op = {0};
    epio_iovec parts[2] = {{data, 50}, {data + 50, 50}};
    memset(ops, 0, sizeof ops);
    epio_semaphore_limit_bytes(l.semaphore, 100);
    epio_file *file = open_through(&l, "data");
    for (int i = 0; i < 5; i++) {
        fault_vfs_hold(l.fault, EPIO_KIND_WRITEV);
        epio_submit(epio_writev(&ops[0], file, parts, 2, 0));
        epio_submit(epio_write(&ops[1], file, data, 100, 0));
        epio_submit(epio_write(&ops[2], file, data, 1, 0));
        wait_until_held(&l, EPIO_KIND_WRITEV, 1);
        fixture_settle(f);
        check(epio_op_pending(&ops[1]) && epio_op_pending(&ops[2]));
        epio_cancel(&ops[1]);
        epio_cancel(&ops[0]);
        check_result(epio_wait(&ops[0]), EPIO_ECANCELED);
        check_result(epio_wait(&ops[1]), EPIO_ECANCELED);
        check_result(epio_wait(&ops[2]), 1);
        fault_vfs_release_all(l.fault, EPIO_KIND_WRITEV);
        fault_vfs_fail(l.fault, EPIO_KIND_READ, 0, 1, EPIO_EIO, 5);
        check_op(f, epio_read(&op, file, data, 100, 0), EPIO_EIO);
    }
    check_op(f, epio_close(&op, file), 0);
    limit_fixture_teardown(&l);
}

/* ---- What needs no permit ----------------------------------------------------- */

static void close_and_sleep_need_no_permit(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 1);
    epio_op op = {0}, waiting = {0};
    epio_file *file = open_through(&l, "data");
    check_result(epio_semaphore_try_acquire(l.semaphore, 1), 0);
    epio_submit(epio_access(&waiting, l.vfs, fixture_path(f, "data"), EPIO_ACCESS_EXISTS));
    check_op(f, epio_sleep(&op, l.vfs, 1000), 1000);
    check_op(f, epio_close(&op, file), 0);
    fixture_settle(f);
    check(epio_op_pending(&waiting));
    epio_semaphore_release(l.semaphore, 1);
    check_result(epio_wait(&waiting), 1);
    limit_fixture_teardown(&l);
}

static epio_saving *begin_saving(limit_fixture *l, const char *name)
{
    epio_op op = {0};
    epio_saving *saving = NULL;
    check_op(l->f, epio_save_begin(&op, l->vfs, fixture_path(l->f, name), NULL, &saving), 0);
    fixture_write(l->f, epio_saving_file(saving), "new", 3, 0);
    return saving;
}

/* What would name its new file, if it were left. */
static void check_nothing_is_left(fixture *f)
{
    check_result(fixture_exists(f, ".one.saving"), 0);
    check_result(fixture_exists(f, ".two.saving"), 0);
}

static void an_abandon_needs_no_permit(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 1);
    epio_op op = {0};
    epio_saving *one = begin_saving(&l, "one");
    epio_saving *two = begin_saving(&l, "two");
    check_result(epio_semaphore_try_acquire(l.semaphore, 1), 0);
    check_op(f, epio_save_abandon(&op, one), 0);
    epio_semaphore_release(l.semaphore, 1);
    epio_semaphore_close(l.semaphore);
    check_op(f, epio_save_commit(&op, two), EPIO_ECLOSED);
    check_op(f, epio_save_abandon(&op, two), 0);
    check_nothing_is_left(f);
    limit_fixture_teardown(&l);
}

/* Where the loop ends it. */
static void an_abandon_of_a_closed_loop_needs_no_permit(fixture *f)
{
    epio_loop *loop;
    epio_vfs *vfs;
    epio_semaphore *semaphore;
    epio_op op = {0};
    epio_saving *saving = NULL;
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&vfs, epio_loop_vfs(loop), semaphore), 0);
    check_result(epio_wait(epio_save_begin(&op, vfs, fixture_path(f, "one"), NULL, &saving)), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_submit(epio_save_abandon(&op, saving));
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check_result(op.result, 0);
    check_nothing_is_left(f);
    epio_semaphore_release(semaphore, 1);
    epio_vfs_destroy(vfs);
    epio_loop_destroy(loop);
    epio_semaphore_destroy(semaphore);
}

static void waiting_stream_needs_no_permit(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 1);
    epio_op op = {0}, reading = {0}, writing = {0};
    intptr_t ends[2];
    char found[3] = "", byte = 'x';
    static char big[300000];
    epio_file *file = open_through(&l, "data");
    pipe_make(ends);
    check_op(f, epio_adopt(&op, l.vfs, ends[0], 0), 0);
    epio_file *reader = op.file;
    check_op(f, epio_adopt(&op, l.vfs, ends[1], 0), 0);
    epio_file *writer = op.file;
    epio_submit(epio_read(&reading, reader, found, 2, 0));
    fixture_settle(f);
    check(epio_op_pending(&reading));
    check(epio_semaphore_available(l.semaphore) == 1);
    check_op(f, epio_write(&op, file, &byte, 1, 0), 1);
    check_op(f, epio_read(&op, file, &byte, 1, 0), 1);
    check_op(f, epio_write(&op, writer, "ok", 2, 0), 2);
    check_result(epio_wait(&reading), 2);
    check(strcmp(found, "ok") == 0);
    epio_submit(epio_write(&writing, writer, big, sizeof big, 0));
    fixture_settle(f);
    check(epio_op_pending(&writing)); /* the pipe is full */
    check_op(f, epio_read(&op, file, &byte, 1, 0), 1);
    epio_cancel(&writing);
    check_result(epio_wait(&writing), EPIO_ECANCELED);
    check_op(f, epio_close(&op, reader), 0);
    check_op(f, epio_close(&op, writer), 0);
    check_op(f, epio_close(&op, file), 0);
    limit_fixture_teardown(&l);
}

static void waiting_open_of_a_fifo_holds_no_permit(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 1);
    const char *path = fixture_path(f, "fifo");
    epio_op opening = {0}, op = {0};
    fifo_make(path);
    epio_submit(epio_open(&opening, l.vfs, path, EPIO_OPEN_WRITE));
    fixture_settle(f);
    check(epio_op_pending(&opening));
    check_op(f, epio_access(&op, l.vfs, path, EPIO_ACCESS_EXISTS), 1);
    check_op(f, epio_open(&op, l.vfs, path, EPIO_OPEN_READ), 0);
    epio_file *reader = op.file;
    check_result(epio_wait(&opening), 0);
    check_op(f, epio_close(&op, opening.file), 0);
    check_op(f, epio_close(&op, reader), 0);
    epio_submit(epio_open(&opening, l.vfs, path, EPIO_OPEN_WRITE));
    fixture_settle(f);
    epio_cancel(&opening);
    check_result(epio_wait(&opening), EPIO_ECANCELED);
    check(opening.file == NULL);
    limit_fixture_teardown(&l);
}

/* ---- Ends while waiting for a permit -------------------------------------------- */

static void cancel_and_deadline_while_waiting(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 1);
    epio_op ops[3], op = {0};
    char byte = 'x';
    memset(ops, 0, sizeof ops);
    epio_file *file = open_through(&l, "data");
    check_result(epio_semaphore_try_acquire(l.semaphore, 1), 0);
    epio_submit(epio_write(&ops[0], file, &byte, 1, 0));
    ops[1].timeout_ns = 20 * MILLISECOND;
    epio_submit(epio_write(&ops[1], file, &byte, 1, 0));
    epio_submit(epio_write(&ops[2], file, &byte, 1, 5));
    epio_cancel(&ops[0]);
    check_result(epio_wait(&ops[0]), EPIO_ECANCELED);
    check_result(epio_wait(&ops[1]), EPIO_ETIMEDOUT);
    check(fault_vfs_arrived(l.fault, EPIO_KIND_WRITE) == 0);
    check(epio_op_pending(&ops[2]));
    epio_semaphore_release(l.semaphore, 1);
    check_result(epio_wait(&ops[2]), 1);
    /* Granted, then cancelled before its notification: the permit is released. */
    check_result(epio_semaphore_try_acquire(l.semaphore, 1), 0);
    epio_submit(epio_open(&ops[0], l.vfs, fixture_path(f, "data"), EPIO_OPEN_READ));
    epio_cancel(&ops[0]);
    epio_semaphore_release(l.semaphore, 1);
    check_result(epio_wait(&ops[0]), EPIO_ECANCELED);
    check_op(f, epio_sync(&op, file, 0), 0);
    check_op(f, epio_close(&op, file), 0);
    limit_fixture_teardown(&l);
}

static void semaphore_closed_while_waiting(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 1);
    epio_op ops[3], op = {0};
    char byte = 'x';
    memset(ops, 0, sizeof ops);
    epio_file *file = open_through(&l, "data");
    fault_vfs_hold(l.fault, EPIO_KIND_WRITE);
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_write(&ops[i], file, &byte, 1, 0));
    }
    wait_until_held(&l, EPIO_KIND_WRITE, 1);
    epio_semaphore_close(l.semaphore);
    check_result(epio_wait(&ops[1]), EPIO_ECLOSED);
    check_result(epio_wait(&ops[2]), EPIO_ECLOSED);
    check(epio_op_pending(&ops[0])); /* an op with a permit continues */
    fault_vfs_release_all(l.fault, EPIO_KIND_WRITE);
    check_result(epio_wait(&ops[0]), 1);
    check_op(f, epio_read(&op, file, &byte, 1, 0), EPIO_ECLOSED);
    check_op(f, epio_open(&op, l.vfs, fixture_path(f, "data"), EPIO_OPEN_READ), EPIO_ECLOSED);
    check(op.file == NULL);
    check_op(f, epio_close(&op, file), 0);
    limit_fixture_teardown(&l);
}

static void loop_closed_while_waiting(fixture *f)
{
    epio_loop *loop = NULL;
    epio_vfs *vfs = NULL;
    epio_semaphore *semaphore = NULL;
    epio_op ops[8], op = {0};
    char byte = 'x';
    memset(ops, 0, sizeof ops);
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&vfs, epio_loop_vfs(loop), semaphore), 0);
    check_result(
        epio_wait(epio_open(&op, vfs, fixture_path(f, "data"), EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
        0);
    for (size_t i = 0; i < 8; i++) {
        epio_submit(epio_write(&ops[i], op.file, &byte, 1, 0));
    }
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    for (size_t i = 0; i < 8; i++) {
        check(ops[i].result == EPIO_ECANCELED || ops[i].result == 1);
    }
    check_result(ops[7].result, EPIO_ECANCELED);
    check_result(epio_wait(epio_close(&op, op.file)), 0);
    check(epio_semaphore_available(semaphore) == 1);
    epio_vfs_destroy(vfs);
    epio_semaphore_destroy(semaphore);
    epio_loop_destroy(loop);
}

/* ---- Stacked and performed -------------------------------------------------------- */

static void limit_over_limit(fixture *f)
{
    limit_fixture l = limit_fixture_setup(f, 2);
    epio_semaphore *outer = NULL;
    epio_vfs *vfs = NULL;
    epio_op op = {0};
    static epio_op ops[40];
    char byte = 'x';
    memset(ops, 0, sizeof ops);
    check_result(epio_semaphore_create(&outer, 3), 0);
    check_result(epio_limit_vfs_create(&vfs, l.vfs, outer), 0);
    reset_counts(2);
    for (size_t i = 0; i < 40; i++) {
        epio_submit(epio_work(&ops[i], vfs, count_running));
    }
    for (size_t i = 0; i < 40; i += 4) {
        epio_cancel(&ops[i]);
    }
    check_result(epio_loop_run(f->loop), 40);
    for (size_t i = 0; i < 40; i++) {
        check(ops[i].result == 1 || (i % 4 == 0 && ops[i].result == EPIO_ECANCELED));
    }
    check_op(f,
             epio_open(&op, vfs, fixture_path(f, "data"),
                       EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE),
             0);
    epio_file *file = op.file;
    check_op(f, epio_write(&op, file, &byte, 1, 0), 1);
    check_op(f, epio_sync(&op, file, 0), 0);
    check_op(f, epio_close(&op, file), 0);
    check(epio_semaphore_available(outer) == 3);
    epio_vfs_destroy(vfs);
    epio_semaphore_destroy(outer);
    limit_fixture_teardown(&l);
}

static void performs_hold_permits_too(fixture *f)
{
    epio_semaphore *semaphore = NULL;
    epio_vfs *vfs = NULL;
    epio_op op = {0};
    char byte = 'x';
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&vfs, f->vfs, semaphore), 0);
    check_result(epio_perform(epio_open(&op, vfs, fixture_path(f, "data"),
                                        EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_write(&op, file, &byte, 1, 0)), 1);
    check(epio_semaphore_available(semaphore) == 1);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    op.timeout_ns = 5 * MILLISECOND;
    check_result(epio_perform(epio_read(&op, file, &byte, 1, 0)), EPIO_ETIMEDOUT);
    check_result(epio_perform(epio_sleep(&op, vfs, 1)), 1);
    epio_semaphore_release(semaphore, 1);
    check_result(epio_perform(epio_read(&op, file, &byte, 1, 0)), 1);
    epio_semaphore_close(semaphore);
    check_result(epio_perform(epio_read(&op, file, &byte, 1, 0)), EPIO_ECLOSED);
    check_result(epio_perform(epio_close(&op, file)), 0);
    check(epio_semaphore_available(semaphore) == 1);
    epio_vfs_destroy(vfs);
    epio_semaphore_destroy(semaphore);
}

static void bad_arguments_are_refused(fixture *f)
{
    epio_semaphore *semaphore = NULL;
    epio_vfs *vfs = NULL;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(NULL, f->vfs, semaphore), EPIO_EINVAL);
    check_result(epio_limit_vfs_create(&vfs, NULL, semaphore), EPIO_EINVAL);
    check_result(epio_limit_vfs_create(&vfs, f->vfs, NULL), EPIO_EINVAL);
    epio_semaphore_destroy(semaphore);
}

#define ON_EITHER (ON_OS | ON_OS_SUBMIT | ON_MEMORY)

/* ---- What has threads of its own ---- */

enum { MANY = 40 };

static int64_t work(epio_op *op)
{
    (void)op;
    return 1;
}

static void count_ended(epio_op *op)
{
    size_t *ended = op->user;
    (*ended)++;
}

/* Whole loads keep the workers busy while they wait for permits, which are given to functions that
 * need a worker. */
static void works_do_not_wait_for_loads(fixture *f)
{
    static epio_op loads[MANY];
    static epio_op works[MANY];
    static epio_buffer buffers[MANY];
    size_t ended = 0;
    epio_semaphore *semaphore;
    epio_vfs *vfs;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    check_result(epio_limit_vfs_create(&vfs, f->vfs, semaphore), 0);
    fixture_put(f, "file", "text", 4);
    memset(loads, 0, sizeof loads);
    memset(works, 0, sizeof works);
    const char *path = fixture_path(f, "file");
    for (size_t i = 0; i < MANY; i++) {
        buffers[i] = (epio_buffer){.size = sizeof buffers[i]};
        (void)epio_load(&loads[i], vfs, path, &buffers[i], NULL);
        (void)epio_work(&works[i], vfs, work);
        loads[i].done = works[i].done = count_ended;
        loads[i].user = works[i].user = &ended;
    }
    for (size_t i = 0; i < MANY; i++) {
        epio_submit(&loads[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        epio_submit(&works[i]);
    }
    while (ended < 2 * (size_t)MANY) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        check_result(loads[i].result, 4);
        check_result(works[i].result, 1);
        epio_buffer_free(&buffers[i]);
    }
    epio_vfs_destroy(vfs);
    epio_semaphore_destroy(semaphore);
}

static const fixture_test tests[] = {
    FIXTURE_TEST(no_more_than_permits_at_once, ON_OS | ON_MEMORY),
    FIXTURE_TEST(files_share_the_permits_in_order, ON_EITHER),
    FIXTURE_TEST(loops_and_threads_share_a_limit, ON_OS_PERFORM),
    FIXTURE_TEST(bytes_in_flight_are_limited, ON_EITHER),
    FIXTURE_TEST(bytes_of_appends_are_limited, ON_EITHER),
    FIXTURE_TEST(bytes_come_back, ON_EITHER),
    FIXTURE_TEST(close_and_sleep_need_no_permit, ON_EITHER),
    FIXTURE_TEST(an_abandon_needs_no_permit, ON_EITHER),
    FIXTURE_TEST(an_abandon_of_a_closed_loop_needs_no_permit, ON_OS_PERFORM),
    FIXTURE_TEST(waiting_stream_needs_no_permit, ON_OS | ON_OS_SUBMIT),
    FIXTURE_TEST_POSIX(waiting_open_of_a_fifo_holds_no_permit, ON_OS | ON_OS_SUBMIT,
                       "FIFOs have no names"),
    FIXTURE_TEST(cancel_and_deadline_while_waiting, ON_EITHER),
    FIXTURE_TEST(semaphore_closed_while_waiting, ON_EITHER),
    FIXTURE_TEST(loop_closed_while_waiting, ON_OS_PERFORM),
    FIXTURE_TEST(limit_over_limit, ON_EITHER),
    FIXTURE_TEST(performs_hold_permits_too, ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS),
    FIXTURE_TEST(works_do_not_wait_for_loads, ON_OS | ON_MEMORY | ON_TRACE_OS),
    FIXTURE_TEST(bad_arguments_are_refused, ON_OS),
};

int main(void)
{
    return FIXTURE_RUN("limit", tests);
}
