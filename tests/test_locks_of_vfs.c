/* SQLite's locks, and those on ranges, for the files of an external VFS, by epio/locks.h. What they
 * mean is tested with epio's own VFSes. */
#include "support.h"

#include <epio/locks.h>

/* ---- A VFS of one file that only has locks --------------------------------- */

typedef struct locked_vfs {
    epio_vfs base;
    epio_lock_node *node;
} locked_vfs;

typedef struct locked_file {
    epio_file base;
    epio_lock_holder *holder;
} locked_file;

static locked_file *file_of(const epio_file *file)
{
    return (locked_file *)(uintptr_t)file;
}

static int64_t open_file(locked_vfs *vfs, epio_op *op)
{
    locked_file *file = calloc(1, sizeof *file);
    check(file != NULL);
    epio_file_init(&file->base, &vfs->base, op->flags, 0);
    check_result(epio_lock_holder_create(&file->holder, vfs->node, &file->base), 0);
    op->file = &file->base;
    return 0;
}

static int64_t locked_perform(epio_vfs *vfs, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        return open_file((locked_vfs *)(void *)vfs, op);
    case EPIO_KIND_CLOSE:
        epio_lock_holder_destroy(file_of(op->file)->holder);
        epio_file_release(op->file);
        free(op->file);
        return 0;
    default:
        return epio_lock_holder_perform(file_of(op->file)->holder, op);
    }
}

static void locked_submit(epio_vfs *vfs, epio_op *op)
{
    if (op->kind == EPIO_KIND_LOCK || op->kind == EPIO_KIND_LOCK_RANGE) {
        epio_lock_holder_submit(file_of(op->file)->holder, op);
    } else {
        epio_complete(op, locked_perform(vfs, op));
    }
}

static void locked_cancel(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_lock_holder_cancel(op);
}

static void locked_resumed(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_lock_holder_resumed(op);
}

static void locked_alarm(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_lock_holder_alarm(op);
}

static uint32_t locked_level(const epio_file *file)
{
    return epio_lock_holder_level(file_of(file)->holder);
}

static const epio_vfs_methods locked_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "locked",
    .submit = locked_submit,
    .perform = locked_perform,
    .cancel = locked_cancel,
    .lock_level = locked_level,
    .alarm = locked_alarm,
    .resumed = locked_resumed,
};

static epio_file *open_on(locked_vfs *vfs)
{
    epio_op op = EPIO_OP_INIT;
    check_result(epio_wait(epio_open(&op, &vfs->base, "any", EPIO_OPEN_READ | EPIO_OPEN_WRITE)), 0);
    return op.file;
}

static void close_now(epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    check_result(epio_wait(epio_close(&op, file)), 0);
}

static locked_vfs make_vfs(const fixture *f)
{
    locked_vfs vfs = {.base = {.methods = &locked_methods, .loop = f->loop}};
    check_result(epio_lock_node_create(&vfs.node), 0);
    return vfs;
}

/* ---- Tests ---------------------------------------------------------------- */

static void exclude_each_other(fixture *f)
{
    locked_vfs vfs = make_vfs(f);
    epio_op op = EPIO_OP_INIT;
    epio_file *one = open_on(&vfs);
    epio_file *other = open_on(&vfs);
    check_op(f, epio_lock(&op, one, EPIO_LOCK_SHARED, 0), 0);
    check_op(f, epio_lock(&op, other, EPIO_LOCK_SHARED, 0), 0);
    check_op(f, epio_lock(&op, one, EPIO_LOCK_RESERVED, 0), 0);
    check_op(f, epio_check_reserved_lock(&op, other), 1);
    check_op(f, epio_lock(&op, other, EPIO_LOCK_RESERVED, EPIO_LOCK_WAIT), EPIO_EDEADLK);
    check_op(f, epio_lock(&op, one, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EBUSY);
    check(epio_file_lock_level(one) == EPIO_LOCK_PENDING);
    check_op(f, epio_unlock(&op, other, EPIO_LOCK_NONE), 0);
    check_op(f, epio_lock(&op, one, EPIO_LOCK_EXCLUSIVE, 0), 0);
    check_op(f, epio_lock(&op, other, EPIO_LOCK_SHARED, 0), EPIO_EBUSY);
    close_now(one);
    check_op(f, epio_lock(&op, other, EPIO_LOCK_SHARED, 0), 0);
    close_now(other);
    epio_lock_node_destroy(vfs.node);
}

static void wait_for_each_other(fixture *f)
{
    locked_vfs vfs = make_vfs(f);
    epio_op op = EPIO_OP_INIT;
    epio_op waiting = EPIO_OP_INIT;
    epio_file *one = open_on(&vfs);
    epio_file *other = open_on(&vfs);
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    /* Ended by its deadline, a cancel, the close of its file, and finally granted. */
    waiting.timeout_ns = MILLISECOND;
    check_result(epio_wait(epio_lock(&waiting, other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT)),
                 EPIO_ETIMEDOUT);
    epio_submit(epio_lock(&waiting, other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    epio_cancel(&waiting);
    check_result(epio_wait(&waiting), EPIO_ECANCELED);
    epio_submit(epio_lock(&waiting, other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    close_now(other);
    check_result(epio_wait(&waiting), EPIO_ECANCELED);
    other = open_on(&vfs);
    epio_submit(epio_lock(&waiting, other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    (void)epio_loop_poll(f->loop, EPIO_NOW, 0);
    check(epio_op_pending(&waiting));
    check_result(epio_wait(epio_unlock(&op, one, EPIO_LOCK_NONE)), 0);
    check_result(epio_wait(&waiting), 0);
    check(epio_file_lock_level(other) == EPIO_LOCK_SHARED);
    close_now(one);
    close_now(other);
    epio_lock_node_destroy(vfs.node);
}

static void ranges_wait_for_each_other(fixture *f)
{
    locked_vfs vfs = make_vfs(f);
    epio_op op = EPIO_OP_INIT;
    epio_op waiting = EPIO_OP_INIT;
    epio_file *one = open_on(&vfs);
    epio_file *other = open_on(&vfs);
    const uint32_t mode = EPIO_RANGE_EXCLUSIVE;
    check_op(f, epio_lock_range(&op, one, 10, 10, mode, 0), 0);
    check_op(f, epio_test_range(&op, other, 0, 0, EPIO_RANGE_SHARED), 1);
    check_op(f, epio_lock_range(&op, other, 15, 10, mode, 0), EPIO_EBUSY);
    waiting.timeout_ns = MILLISECOND;
    check_result(epio_wait(epio_lock_range(&waiting, other, 15, 10, mode, EPIO_LOCK_WAIT)),
                 EPIO_ETIMEDOUT);
    epio_submit(epio_lock_range(&waiting, other, 15, 10, mode, EPIO_LOCK_WAIT));
    epio_cancel(&waiting);
    check_result(epio_wait(&waiting), EPIO_ECANCELED);
    epio_submit(epio_lock_range(&waiting, other, 15, 10, mode, EPIO_LOCK_WAIT));
    check_op(f, epio_unlock_range(&op, other, 0, 0), 0);
    check_result(epio_wait(&waiting), EPIO_ECANCELED);
    epio_submit(epio_lock_range(&waiting, other, 15, 10, mode, EPIO_LOCK_WAIT));
    check_op(f, epio_unlock_range(&op, one, 0, 0), 0);
    check_result(epio_wait(&waiting), 0);
    /* A level waits for a range with its bytes, without another process to poll. */
    check_op(f, epio_lock_range(&op, one, 0x40000000, 1, mode, 0), 0);
    epio_submit(epio_lock(&waiting, other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    (void)epio_loop_poll(f->loop, EPIO_NOW, 0);
    check(epio_op_pending(&waiting));
    close_now(one);
    check_result(epio_wait(&waiting), 0);
    close_now(other);
    epio_lock_node_destroy(vfs.node);
}

static void arguments_are_checked(fixture *f)
{
    epio_lock_holder *holder = NULL;
    epio_lock_node *node;
    epio_file file;
    (void)f;
    check_result(epio_lock_node_create(NULL), EPIO_EINVAL);
    check_result(epio_lock_node_create(&node), 0);
    check_result(epio_lock_holder_create(NULL, node, &file), EPIO_EINVAL);
    check_result(epio_lock_holder_create(&holder, NULL, &file), EPIO_EINVAL);
    check_result(epio_lock_holder_create(&holder, node, NULL), EPIO_EINVAL);
    check(holder == NULL);
    epio_lock_holder_destroy(NULL);
    epio_lock_node_destroy(NULL);
    epio_lock_node_destroy(node);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(exclude_each_other, ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(wait_for_each_other, ON_OS),
        FIXTURE_TEST(ranges_wait_for_each_other, ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(arguments_are_checked, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("locks of a VFS", tests);
}
