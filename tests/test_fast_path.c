/* The fast path: reads and writes by reused ops without link or deadline. And what can happen to
 * them meanwhile: a close, a cancel, a layer that resubmits them, an embedding of the loop. */
#include "support.h"

#include <epio/vfs.h>

#define READS 40
#define BYTES 100

typedef struct reads {
    epio_op ops[READS];
    unsigned char data[READS][BYTES];
    epio_file *file;
    int order[READS]; /* of delivery */
    int delivered;
} reads;

static void note_done(epio_op *op)
{
    reads *all = op->user;
    all->order[all->delivered++] = (int)(op - all->ops);
}

/* A file of READS parts, and reused ops. */
static void reads_make(reads *all, fixture *f, epio_file *file)
{
    static unsigned char content[READS * BYTES];
    memset(all, 0, sizeof *all);
    pattern_fill(content, sizeof content, 0);
    fixture_write(f, file, content, sizeof content, 0);
    all->file = file;
    for (int i = 0; i < READS; i++) {
        check_result(epio_wait(epio_read(&all->ops[i], file, all->data[i], BYTES, 0)), BYTES);
        all->ops[i].done = note_done;
        all->ops[i].user = all;
    }
}

static void reads_submit(reads *all)
{
    memset(all->data, 0, sizeof all->data);
    all->delivered = 0;
    for (int i = 0; i < READS; i++) {
        epio_submit(epio_read(&all->ops[i], all->file, all->data[i], BYTES, (uint64_t)i * BYTES));
    }
}

static void reads_check(const reads *all)
{
    static unsigned char wanted[BYTES];
    check(all->delivered == READS);
    for (int i = 0; i < READS; i++) {
        check_result(all->ops[i].result, BYTES);
        check(all->ops[i].os_error == 0);
        check(!epio_op_pending(&all->ops[i]));
        pattern_fill(wanted, BYTES, (uint64_t)i * BYTES);
        check(memcmp(all->data[i], wanted, BYTES) == 0);
    }
}

static void ops_are_reused(fixture *f)
{
    static reads all;
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    for (int round = 0; round < 5; round++) {
        reads_submit(&all);
        check(all.delivered == 0); /* not from inside submit */
        check(epio_op_pending(&all.ops[0]) && epio_loop_pending(f->loop) == READS);
        check_result(all.ops[0].result, EPIO_EPENDING);
        check_result(epio_loop_run(f->loop), READS);
        reads_check(&all);
        check(epio_loop_pending(f->loop) == 0);
    }
    fixture_close(f, file);
}

static void a_poll_delivers_at_most_max(fixture *f)
{
    static reads all;
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    reads_submit(&all);
    while (all.delivered < READS) {
        int before = all.delivered;
        uint64_t count = epio_loop_poll(f->loop, 10 * MILLISECOND, 3);
        check(count <= 3 && (int)count == all.delivered - before);
    }
    reads_check(&all);
    fixture_close(f, file);
}

static void ends_of_files_and_empty_reads(fixture *f)
{
    char data[16];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "0123456789", 10, 0);
    for (int again = 0; again < 2; again++) {
        check_op(f, epio_read(&op, file, data, sizeof data, 0), 10);
        check(memcmp(data, "0123456789", 10) == 0);
        check_op(f, epio_read(&op, file, data, sizeof data, 8), 2);
        check_op(f, epio_read(&op, file, data, sizeof data, 10), 0);
        check_op(f, epio_read(&op, file, data, sizeof data, 1000), 0);
        check_op(f, epio_read(&op, file, data, 0, 3), 0);
        check_op(f, epio_read(&op, file, NULL, 0, 3), 0);
        check_op(f, epio_read(&op, file, NULL, 1, 3), EPIO_EINVAL);
        check_op(f, epio_read(&op, file, data, 1, UINT64_MAX), EPIO_EINVAL);
        check_op(f, epio_read(&op, file, data, 1, INT64_MAX), EPIO_EINVAL);
        check_op(f, epio_read(&op, file, data, SIZE_MAX, 0), EPIO_EINVAL);
        check_op(f, epio_write(&op, file, data, 1, INT64_MAX), EPIO_EINVAL);
        check_op(f, epio_write(&op, file, NULL, 0, 0), 0);
    }
    fixture_close(f, file);
    file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, epio_write(&op, file, data, 1, 0), EPIO_EBADF);
    check_op(f, epio_write(&op, file, data, 1, 0), EPIO_EBADF);
    fixture_close(f, file);
    file = fixture_open(f, "file", EPIO_OPEN_WRITE);
    check_op(f, epio_read(&op, file, data, 1, 0), EPIO_EBADF);
    check_op(f, epio_read(&op, file, data, 1, 0), EPIO_EBADF);
    fixture_close(f, file);
}

/* ---- Events meanwhile ------------------------------------------------------ */

static void a_close_comes_after_them(fixture *f)
{
    static reads all;
    epio_op close = {0};
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    reads_submit(&all);
    check_result(epio_perform(epio_close(&close, file)), EPIO_EBUSY);
    epio_submit(epio_close(&close, file));
    check_result(epio_wait(&close), 0);
    reads_check(&all);
}

static void a_cancel_comes_too_late(fixture *f)
{
    static reads all;
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    reads_submit(&all);
    for (int i = 0; i < READS; i += 2) {
        epio_cancel(&all.ops[i]);
    }
    (void)epio_loop_run(f->loop);
    check(all.delivered == READS);
    for (int i = 0; i < READS; i++) {
        check(all.ops[i].result == BYTES || all.ops[i].result == EPIO_ECANCELED);
    }
    reads_submit(&all); /* the last cancel does not count any more */
    (void)epio_loop_run(f->loop);
    reads_check(&all);
    fixture_close(f, file);
}

static void a_deadline_and_a_link(fixture *f)
{
    static reads all;
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    memset(all.data, 0, sizeof all.data);
    for (int i = 0; i < READS; i += 2) {
        epio_op *first = epio_read(&all.ops[i], file, all.data[i], BYTES, (uint64_t)i * BYTES);
        all.ops[i].timeout_ns = i % 4 == 0 ? 10000 * MILLISECOND : 0;
        epio_submit(epio_link(
            first,
            epio_read(&all.ops[i + 1], file, all.data[i + 1], BYTES, (uint64_t)(i + 1) * BYTES),
            0));
    }
    (void)epio_loop_run(f->loop);
    reads_check(&all);
    fixture_close(f, file);
}

static void a_sync_is_delivered_after_writes(fixture *f)
{
    static reads all;
    static char data[BYTES];
    epio_op sync = {0};
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    for (int round = 0; round < 3; round++) {
        all.delivered = 0;
        for (int i = 0; i < READS; i++) {
            memset(data, 'a' + round, sizeof data);
            epio_submit(epio_write(&all.ops[i], file, data, BYTES, (uint64_t)i * BYTES));
        }
        epio_submit(epio_sync(&sync, file, EPIO_SYNC_DATA_ONLY));
        check_result(epio_wait(&sync), 0);
        check(all.delivered == READS);
    }
    fixture_read(f, file, all.data, READS * BYTES, 0);
    check_bytes(all.data, 'c', READS * BYTES);
    fixture_close(f, file);
}

/* The same with writes that are carried out within their submit. */
static void writes_at_once(fixture *f)
{
    epio_loop_options options = {.size = sizeof options, .inline_writes = 1};
    epio_loop *loop = NULL, *before = f->loop;
    epio_vfs *vfs = f->vfs;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, &options), 0);
    f->loop = loop;
    f->vfs = epio_loop_vfs(loop);
    a_sync_is_delivered_after_writes(f);
    check_result(epio_perform(epio_delete(&op, f->vfs, fixture_path(f, "file"), 0)), 0);
    a_close_comes_after_them(f);
    f->loop = before;
    f->vfs = vfs;
    epio_loop_destroy(loop);
}

/* ---- An embedded loop ------------------------------------------------------- */

static intptr_t embedded_handle;
static int ready_in_done;

/* A host loop that runs inside a `done` must be signalled for the rest. */
static void check_handle_in_done(epio_op *op)
{
    reads *all = op->user;
    note_done(op);
    if (all->delivered == 1) {
        ready_in_done = handle_is_ready(embedded_handle, 1000) ? 1 : 0;
    }
}

static void the_loop_becomes_embedded(fixture *f)
{
    static reads all;
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    ready_in_done = -1;
    for (int i = 0; i < READS; i++) {
        all.ops[i].done = check_handle_in_done;
    }
    reads_submit(&all);
    embedded_handle = epio_loop_handle(f->loop);
    check(embedded_handle >= 0);
    while (all.delivered < READS) {
        (void)epio_loop_poll(f->loop, 100 * MILLISECOND, 0);
    }
    check(ready_in_done == 1);
    reads_check(&all);
    reads_submit(&all);
    while (all.delivered < READS) {
        check(handle_is_ready(embedded_handle, 10000));
        (void)epio_loop_poll(f->loop, 0, 0);
    }
    reads_check(&all);
    fixture_close(f, file);
}

/* ---- A layer that resubmits them ---------------------------------------------- */

typedef struct resubmit_vfs {
    epio_vfs base;
    epio_vfs *inner;
    epio_file file;
    epio_file *inner_file;
    epio_frame frames[READS];
    epio_op *first;
    bool fails;
    int sent[READS];
} resubmit_vfs;

static resubmit_vfs *resubmit_vfs_of(epio_vfs *base)
{
    return (resubmit_vfs *)(void *)base;
}

static bool resubmits(epio_frame *frame, epio_op *op)
{
    resubmit_vfs *vfs = resubmit_vfs_of(frame->vfs);
    ptrdiff_t index = frame - vfs->frames;
    check_result(op->result, BYTES);
    if (vfs->sent[index]++ < 2) {
        epio_frame_push(op, frame);
        epio_forward(op, vfs->inner, vfs->inner_file);
        return false;
    }
    if (vfs->fails) {
        op->result = EPIO_EIO;
        op->os_error = 5;
    }
    return true;
}

static void submit_again(epio_vfs *base, epio_op *op)
{
    resubmit_vfs *vfs = resubmit_vfs_of(base);
    epio_frame *frame = &vfs->frames[op - vfs->first];
    frame->returned = resubmits;
    vfs->sent[op - vfs->first] = 0;
    epio_frame_push(op, frame);
    epio_forward(op, vfs->inner, vfs->inner_file);
}

static int64_t perform_none(epio_vfs *vfs, epio_op *op)
{
    (void)vfs, (void)op;
    return EPIO_ENOTSUP;
}

static void cancel_none(epio_vfs *vfs, epio_op *op)
{
    (void)vfs, (void)op;
}

static void a_layer_resubmits_them(fixture *f)
{
    static const epio_vfs_methods methods = {.size = sizeof(epio_vfs_methods),
                                             .name = "again",
                                             .submit = submit_again,
                                             .perform = perform_none,
                                             .cancel = cancel_none};
    static reads all;
    static resubmit_vfs vfs;
    epio_file *file = fixture_create(f, "file");
    reads_make(&all, f, file);
    memset(&vfs, 0, sizeof vfs);
    vfs.base.methods = &methods;
    vfs.base.loop = f->loop;
    vfs.inner = f->vfs;
    vfs.inner_file = file;
    vfs.first = all.ops;
    epio_file_init(&vfs.file, &vfs.base, EPIO_OPEN_READ, 0);
    all.file = &vfs.file;
    for (int round = 0; round < 2; round++) {
        reads_submit(&all);
        (void)epio_loop_run(f->loop);
        reads_check(&all);
    }
    for (int i = 0; i < READS; i++) {
        check(vfs.sent[i] == 3);
    }
    vfs.fails = true;
    reads_submit(&all);
    (void)epio_loop_run(f->loop);
    check(all.delivered == READS);
    for (int i = 0; i < READS; i++) {
        check_result(all.ops[i].result, EPIO_EIO);
        check(all.ops[i].os_error == 5);
    }
    vfs.fails = false;
    all.ops[0].done = NULL;
    check_result(epio_wait(epio_read(&all.ops[0], &vfs.file, all.data[0], BYTES, 0)), BYTES);
    epio_file_release(&vfs.file);
    fixture_close(f, file);
}

/* Another thread posts the op before the layer that resubmitted it returns. */
static epio_semaphore *last_permit;

static void *release_at_once(void *argument)
{
    epio_semaphore_release(last_permit, 1);
    return argument;
}

static bool resubmits_to_wait(epio_frame *frame, epio_op *op)
{
    resubmit_vfs *vfs = resubmit_vfs_of(frame->vfs);
    test_thread thread;
    if (vfs->sent[0]++ != 0) {
        return true;
    }
    check_result(epio_semaphore_try_acquire(last_permit, 1), 0);
    epio_frame_push(op, frame);
    epio_forward(op, vfs->inner, vfs->inner_file); /* waits for the permit */
    thread_start(&thread, release_at_once, NULL);
    (void)thread_join(thread);
    return false;
}

static void submit_to_wait(epio_vfs *base, epio_op *op)
{
    resubmit_vfs *vfs = resubmit_vfs_of(base);
    vfs->frames[0].returned = resubmits_to_wait;
    vfs->sent[0] = 0;
    epio_frame_push(op, &vfs->frames[0]);
    epio_forward(op, vfs->inner, vfs->inner_file);
}

static void resubmitted_and_posted(fixture *f)
{
    static const epio_vfs_methods methods = {.size = sizeof(epio_vfs_methods),
                                             .name = "again",
                                             .submit = submit_to_wait,
                                             .perform = perform_none,
                                             .cancel = cancel_none};
    static resubmit_vfs vfs;
    char data[4] = {0};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "data", 4, 0);
    check_result(epio_wait(epio_read(&op, file, data, 4, 0)), 4); /* a reused op */
    memset(&vfs, 0, sizeof vfs);
    last_permit = f->semaphore;
    vfs.base.methods = &methods;
    vfs.base.loop = f->loop;
    vfs.inner = f->vfs;
    vfs.inner_file = file;
    epio_file_init(&vfs.file, &vfs.base, EPIO_OPEN_READ, 0);
    for (int round = 0; round < 3; round++) {
        memset(data, 0, sizeof data);
        epio_submit(epio_read(&op, &vfs.file, data, 4, 0));
        check_result(epio_wait(&op), 4);
        check(memcmp(data, "data", 4) == 0);
        check(epio_loop_pending(f->loop) == 0);
    }
    epio_file_release(&vfs.file);
    fixture_close(f, file);
}

/* ---- Waiting ------------------------------------------------------------------- */

static void *release_later(void *argument)
{
    sleep_ns(20 * MILLISECOND);
    epio_semaphore_release(argument, 1);
    return NULL;
}

/* A waited read waits for a permit first. */
static void a_read_waits_for_its_permit(fixture *f)
{
    char data[4];
    epio_op op = {0};
    test_thread thread;
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "data", 4, 0);
    check_result(epio_wait(epio_read(&op, file, data, 4, 0)), 4);
    check_result(epio_wait(epio_read(&op, file, data, 4, 0)), 4);
    for (uint32_t i = 0; i < f->permits; i++) {
        check_result(epio_semaphore_try_acquire(f->semaphore, 1), 0);
    }
    thread_start(&thread, release_later, f->semaphore);
    memset(data, 0, sizeof data);
    check_result(epio_wait(epio_read(&op, file, data, 4, 0)), 4);
    check(memcmp(data, "data", 4) == 0);
    (void)thread_join(thread);
    for (uint32_t i = 1; i < f->permits; i++) {
        epio_semaphore_release(f->semaphore, 1);
    }
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(ops_are_reused, ON_ANY_LOOP),
        FIXTURE_TEST(a_poll_delivers_at_most_max, ON_ANY_LOOP),
        FIXTURE_TEST(ends_of_files_and_empty_reads, ON_ANY),
        FIXTURE_TEST(a_close_comes_after_them, ON_ANY_LOOP),
        FIXTURE_TEST(a_cancel_comes_too_late, ON_ANY_LOOP),
        FIXTURE_TEST(a_deadline_and_a_link, ON_ANY_LOOP),
        FIXTURE_TEST(a_sync_is_delivered_after_writes, ON_ANY_LOOP),
        FIXTURE_TEST(writes_at_once, ON_OS),
        FIXTURE_TEST(the_loop_becomes_embedded, ON_OS | ON_MEMORY | ON_LIMIT_OS_3),
        FIXTURE_TEST(a_layer_resubmits_them, ON_OS | ON_MEMORY),
        FIXTURE_TEST(resubmitted_and_posted, ON_LIMIT_OS | ON_LIMIT_MEMORY),
        FIXTURE_TEST(a_read_waits_for_its_permit, ON_LIMIT_OS | ON_LIMIT_OS_3 | ON_LIMIT_MEMORY),
    };
    return FIXTURE_RUN("fast path", tests);
}
