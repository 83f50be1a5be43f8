/* What a VFS of the program may rely on (epio/vfs.h), in its rarer turns: alarms beside deadlines,
 * ops that a layer sends again, flushes that it keeps, ops that it expects to end soon. Kinds of
 * its own: test_user_kinds.c; layers by epio/layer.h: test_custom_layer.c. */
#include "support.h"

#include <epio/vfs.h>

/* ---- A VFS whose answers the test chooses ---------------------------------- */

typedef struct answering_vfs {
    epio_vfs base;
    void (*submit)(struct answering_vfs *vfs, epio_op *op);
    void (*cancel)(struct answering_vfs *vfs, epio_op *op);
    epio_op *kept;
    int tries;
    int alarms;
    int cancels;
} answering_vfs;

static answering_vfs *answering(epio_vfs *vfs)
{
    return (answering_vfs *)(void *)vfs;
}

static int64_t answer(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    if (op->kind == EPIO_KIND_CLOSE) {
        epio_file_release(op->file);
        free(op->file);
    }
    return 0;
}

static void answer_submit(epio_vfs *vfs, epio_op *op)
{
    if (op->kind == EPIO_KIND_CLOSE) {
        epio_complete(op, answer(vfs, op));
    } else {
        answering(vfs)->submit(answering(vfs), op);
    }
}

static void answer_cancel(epio_vfs *vfs, epio_op *op)
{
    answering(vfs)->cancels++;
    if (answering(vfs)->cancel != NULL) {
        answering(vfs)->cancel(answering(vfs), op);
    }
}

static void answer_alarm(epio_vfs *vfs, epio_op *op)
{
    answering(vfs)->alarms++;
    epio_complete(op, 7);
}

static const epio_vfs_methods answering_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "answering",
    .submit = answer_submit,
    .perform = answer,
    .cancel = answer_cancel,
    .alarm = answer_alarm,
};

static answering_vfs make_answering(const fixture *f, void (*submit)(answering_vfs *, epio_op *),
                                    void (*cancel)(answering_vfs *, epio_op *))
{
    return (answering_vfs){.base = {.methods = &answering_methods, .loop = f->loop},
                           .submit = submit,
                           .cancel = cancel};
}

static epio_file *make_file(epio_vfs *vfs)
{
    epio_file *file = calloc(1, sizeof *file);
    check(file != NULL);
    epio_file_init(file, vfs, EPIO_OPEN_READ | EPIO_OPEN_WRITE, 0);
    return file;
}

static void keep(answering_vfs *vfs, epio_op *op)
{
    vfs->kept = op;
}

static void end_kept(answering_vfs *vfs, epio_op *op)
{
    vfs->kept = NULL;
    epio_complete(op, EPIO_ECANCELED);
}

/* ---- Alarms beside deadlines ------------------------------------------------ */

static void set_alarm(answering_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_alarm(op, epio_clock_monotonic() + 50 * MILLISECOND);
}

/* A `cancel` that cannot end the op, or needs some time for it. */
static void an_alarm_outlives_the_deadline(fixture *f)
{
    void (*const cancels[])(answering_vfs *, epio_op *) = {NULL, set_alarm};
    for (size_t i = 0; i < 2; i++) {
        answering_vfs vfs = make_answering(f, set_alarm, cancels[i]);
        epio_op op = {.timeout_ns = MILLISECOND};
        check_result(epio_wait(epio_op_prepare(&op, &vfs.base, NULL, EPIO_KIND_USER)), 7);
        check(vfs.alarms == 1 && vfs.cancels == 1);
    }
}

static void an_alarm_set_after_the_deadline_comes(fixture *f)
{
    answering_vfs vfs = make_answering(f, keep, set_alarm);
    epio_op op = {.timeout_ns = MILLISECOND};
    check_result(epio_wait(epio_op_prepare(&op, &vfs.base, NULL, EPIO_KIND_USER)), 7);
    check(vfs.alarms == 1 && vfs.cancels == 1);
}

/* The deadline is the op's, and the cancel of the program came first. */
static void a_deadline_after_a_cancel_changes_nothing(fixture *f)
{
    answering_vfs vfs = make_answering(f, set_alarm, NULL);
    epio_op op = {.timeout_ns = 10 * MILLISECOND};
    epio_submit(epio_op_prepare(&op, &vfs.base, NULL, EPIO_KIND_USER));
    epio_cancel(&op);
    check_result(epio_wait(&op), 7);
    check(vfs.alarms == 1 && vfs.cancels == 1);
}

/* ---- Ops that are sent again ------------------------------------------------- */

typedef struct repeating_layer {
    epio_vfs base;
    epio_vfs *inner;
    epio_frame frame;
    bool repeats;
} repeating_layer;

static bool send_again(epio_frame *frame, epio_op *op)
{
    repeating_layer *layer = (repeating_layer *)(void *)frame->vfs;
    if (op->result != 0 || !layer->repeats) {
        return true;
    }
    layer->repeats = false;
    epio_frame_push(op, frame);
    epio_forward(op, layer->inner, op->file);
    return false;
}

static void repeating_submit(epio_vfs *vfs, epio_op *op)
{
    repeating_layer *layer = (repeating_layer *)(void *)vfs;
    if (op->kind == EPIO_KIND_CLOSE) {
        epio_complete(op, answer(vfs, op));
        return;
    }
    layer->frame.returned = send_again;
    epio_frame_push(op, &layer->frame);
    epio_forward(op, layer->inner, op->file);
}

static const epio_vfs_methods repeating_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "repeating",
    .submit = repeating_submit,
    .perform = answer,
};

static void keep_the_second_try(answering_vfs *vfs, epio_op *op)
{
    if (++vfs->tries == 2) {
        keep(vfs, op);
    } else {
        epio_complete(op, 0);
    }
}

enum { ALONE, WITH_THE_FILE, WITH_THE_LOOP, WAYS };

/* The first try has ended within epio_submit when the cancel comes. `used`: on the fast path. */
static void cancel_between_tries(fixture *f, int way, bool used)
{
    answering_vfs inner = make_answering(f, keep_the_second_try, end_kept);
    repeating_layer layer = {.base = {.methods = &repeating_methods, .loop = f->loop},
                             .inner = &inner.base};
    epio_file *file = make_file(&layer.base);
    epio_op op = EPIO_OP_INIT;
    char byte;
    if (used) {
        check_result(epio_wait(epio_read(&op, file, &byte, 1, 0)), 0);
    }
    layer.repeats = true;
    inner.tries = 0;
    epio_submit(epio_read(&op, file, &byte, 1, 0));
    check(inner.tries == 1);
    if (way == ALONE) {
        epio_cancel(&op);
    } else if (way == WITH_THE_FILE) {
        epio_cancel_all(file);
    } else {
        check_result(epio_loop_close(f->loop, EPIO_FOREVER), 0);
    }
    check_result(epio_wait(&op), EPIO_ECANCELED);
    check(inner.tries == 1);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void what_is_between_two_tries_is_cancelled(fixture *f)
{
    for (int way = ALONE; way < WITH_THE_LOOP; way++) {
        cancel_between_tries(f, way, false);
        cancel_between_tries(f, way, true);
    }
    cancel_between_tries(f, WITH_THE_LOOP, true);
}

static void a_first_try_is_cancelled_with_the_loop(fixture *f)
{
    cancel_between_tries(f, WITH_THE_LOOP, false);
}

/* ---- Unreferenced syncs -------------------------------------------------------- */

static void an_unreferenced_sync_keeps_no_run_going(fixture *f)
{
    answering_vfs vfs = make_answering(f, keep, end_kept);
    epio_file *file = make_file(&vfs.base);
    epio_op op = EPIO_OP_INIT, close = EPIO_OP_INIT;
    epio_submit(epio_op_unref(epio_sync(&op, file, EPIO_SYNC_FULL)));
    check_result(epio_loop_poll(f->loop, 0, 0), 0);
    check(vfs.kept != NULL); /* the flush has started */
    check_result(epio_loop_run(f->loop), 0);
    check_result(epio_loop_pending(f->loop), 1);
    epio_complete(vfs.kept, 0);
    check_result(epio_wait(epio_close(&close, file)), 0);
    check_result(op.result, 0);
}

/* ---- Ops that are expected ------------------------------------------------------ */

#define HOUR (UINT64_C(3600) * 1000 * MILLISECOND)

static void *complete_kept(void *op)
{
    epio_complete(op, 7);
    return NULL;
}

static void *complete_kept_late(void *op)
{
    epio_op sleep = EPIO_OP_INIT;
    (void)epio_perform(epio_sleep(&sleep, epio_os_vfs(), 3 * MILLISECOND));
    return complete_kept(op);
}

static void wait_for_expected(fixture *f, uint64_t in, void *(*ends)(void *op))
{
    answering_vfs vfs = make_answering(f, keep, NULL);
    epio_op op = EPIO_OP_INIT;
    test_thread thread;
    epio_submit(epio_op_prepare(&op, &vfs.base, NULL, EPIO_KIND_USER));
    check_result(epio_loop_poll(f->loop, 0, 0), 0);
    check(vfs.kept == &op);
    epio_expect(&op, epio_clock_monotonic() + in);
    thread_start(&thread, ends, &op);
    check_result(epio_wait(&op), 7);
    (void)thread_join(thread);
}

/* Whenever it is expected, and whenever it ends. */
static void an_expected_op_is_found(fixture *f)
{
    const uint64_t expected[] = {0, MILLISECOND / 10, MILLISECOND, HOUR};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        wait_for_expected(f, expected[i], complete_kept);
        wait_for_expected(f, expected[i], complete_kept_late);
    }
}

/* Others end at once, whatever is expected. */
static void what_is_not_expected_wakes(fixture *f)
{
    answering_vfs vfs = make_answering(f, keep, NULL);
    epio_op op = EPIO_OP_INIT;
    epio_submit(epio_op_prepare(&op, &vfs.base, NULL, EPIO_KIND_USER));
    check_result(epio_loop_poll(f->loop, 0, 0), 0);
    epio_expect(&op, epio_clock_monotonic() + HOUR);
    epio_op sleep = EPIO_OP_INIT;
    check_result(epio_wait(epio_sleep(&sleep, f->vfs, MILLISECOND)), MILLISECOND);
    epio_complete(&op, 7); /* by the owner, too */
    check_result(epio_wait(&op), 7);
}

static epio_loop_stats stats_of(const epio_loop *loop)
{
    epio_loop_stats stats = {.size = sizeof stats};
    check_result(epio_loop_get_stats(loop, &stats), 0);
    return stats;
}

static void *complete_kept_soon(void *op)
{
    sleep_us(300); /* so that the loop sleeps already, and still expects it */
    return complete_kept(op);
}

/* A thread that ends it while the loop sleeps for it does not wake the loop. On a busy machine the
 * thread may be too late, and then does, or the loop is: it is tried until it was so a few times.
 */
static void an_expected_op_wakes_nobody(fixture *f)
{
    const unsigned most = 20000;
    const char *backend = epio_loop_backend(f->loop);
    if (strcmp(backend, "epoll") != 0 && strcmp(backend, "uring") != 0) {
        return; /* their waits are not precise enough */
    }
    unsigned unwoken = 0;
    for (unsigned i = 0; i < most && unwoken < 3; i++) {
        epio_loop_stats before = stats_of(f->loop);
        wait_for_expected(f, HOUR, complete_kept_soon);
        epio_loop_stats after = stats_of(f->loop);
        unwoken += after.sleeps != before.sleeps && after.wakes == before.wakes ? 1 : 0;
    }
    check_result(unwoken, 3);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(an_alarm_outlives_the_deadline, ON_OS),
        FIXTURE_TEST(an_alarm_set_after_the_deadline_comes, ON_OS),
        FIXTURE_TEST(a_deadline_after_a_cancel_changes_nothing, ON_OS),
        FIXTURE_TEST(what_is_between_two_tries_is_cancelled, ON_OS),
        FIXTURE_TEST(a_first_try_is_cancelled_with_the_loop, ON_OS),
        FIXTURE_TEST(an_unreferenced_sync_keeps_no_run_going, ON_OS),
        FIXTURE_TEST(an_expected_op_is_found, ON_OS),
        FIXTURE_TEST(what_is_not_expected_wakes, ON_OS),
        FIXTURE_TEST(an_expected_op_wakes_nobody, ON_OS),
    };
    return FIXTURE_RUN("a VFS of the program", tests);
}
