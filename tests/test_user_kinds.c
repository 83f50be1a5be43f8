/* Verbs of another library: kinds from EPIO_KIND_USER on, which get what epio's own have: every
 * runner, cancel, deadline, link, layers, workers, and closes that wait for them. */
#include "support.h"

#include <epio/vfs.h>

/* ---- The library ---------------------------------------------------------- */

enum {
    KIND_ADD = EPIO_KIND_USER,
    KIND_ADD_ELSEWHERE,
    KIND_WAIT = EPIO_KIND_USER_OPENS - 1,
    KIND_OPEN, /* a file with the value words[0] */
    KIND_LAST = 255
};

typedef struct adder {
    epio_vfs base;
    epio_vfs *inner; /* of its files, and for unknown kinds */
} adder;

typedef struct adder_file {
    epio_file base;
    uint64_t base_value;
} adder_file;

static int64_t adder_open(epio_vfs *vfs, epio_op *op)
{
    adder_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    epio_file_init(&file->base, vfs, EPIO_OPEN_READ, 0);
    file->base_value = op->arguments.words[0];
    op->file = &file->base;
    return 0;
}

static int64_t adder_perform(epio_vfs *vfs, epio_op *op)
{
    switch (op->kind) {
    case KIND_ADD:
    case KIND_ADD_ELSEWHERE: {
        const adder_file *file = (const adder_file *)(const void *)op->file;
        uint64_t sum = file != NULL ? file->base_value : 0;
        for (size_t i = 0; i < 8; i++) {
            sum += op->arguments.words[i];
        }
        return (int64_t)sum;
    }
    case KIND_OPEN:
        return adder_open(vfs, op);
    case EPIO_KIND_CLOSE:
        epio_file_release(op->file);
        free(op->file);
        return 0;
    default:
        return epio_perform_on(op, ((adder *)(void *)vfs)->inner, NULL);
    }
}

static void adder_submit(epio_vfs *vfs, epio_op *op)
{
    if (op->kind == KIND_ADD_ELSEWHERE || op->kind == KIND_OPEN) {
        epio_offload(op);
    } else if (op->kind != KIND_WAIT) {
        epio_complete(op, adder_perform(vfs, op));
    }
}

static void adder_cancel(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_complete(op, EPIO_ECANCELED);
}

static const epio_vfs_methods adder_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "adder",
    .submit = adder_submit,
    .perform = adder_perform,
    .cancel = adder_cancel,
};

static adder make_adder(const fixture *f)
{
    return (adder){.base = {.methods = &adder_methods, .loop = f->loop}, .inner = f->vfs};
}

static epio_file *make_file(adder *one, uint64_t value)
{
    adder_file *file = calloc(1, sizeof *file);
    check(file != NULL);
    epio_file_init(&file->base, &one->base, EPIO_OPEN_READ, 0);
    file->base_value = value;
    return &file->base;
}

/* The verb. */
static epio_op *add(epio_op *op, epio_vfs *vfs, epio_file *file, uint32_t kind, uint64_t first)
{
    epio_op_prepare(op, vfs, file, kind);
    for (size_t i = 0; i < 8; i++) {
        op->arguments.words[i] = first + i;
    }
    return op;
}

/* ---- Tests ---------------------------------------------------------------- */

static void take_eight_words(fixture *f)
{
    adder one = make_adder(f);
    for (uint32_t kind = KIND_ADD; kind <= KIND_ADD_ELSEWHERE; kind++) {
        epio_op op = EPIO_OP_INIT;
        check_result(epio_perform(add(&op, &one.base, NULL, kind, 1)), 36);
        check_result(epio_wait(add(&op, &one.base, NULL, kind, 2)), 44);
        check(op.kind == kind);
    }
    assert_string_equal(epio_kind_name(KIND_ADD), "user");
    assert_string_equal(epio_kind_name(KIND_LAST), "user");
    assert_string_equal(epio_kind_name(256), "?");
}

static void go_through_layers(fixture *f)
{
    adder one = make_adder(f);
    epio_semaphore *semaphore;
    epio_vfs *limit;
    epio_vfs *trace;
    epio_trace_counts counts = {.size = sizeof counts};
    epio_op op = EPIO_OP_INIT;
    char text[2000];
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, &one.base, semaphore), 0);
    check_result(epio_trace_vfs_create(&trace, limit), 0);
    for (uint32_t kind = KIND_ADD; kind <= KIND_ADD_ELSEWHERE; kind++) {
        check_result(epio_wait(add(&op, trace, NULL, kind, 1)), 36);
        check_result(epio_perform(add(&op, trace, NULL, kind, 1)), 36);
    }
    check_result(epio_trace_read(trace, KIND_WAIT, &counts), 0);
    check(counts.count == 4 && counts.failed == 0); /* one count for all of them */
    check(epio_trace_summary(trace, text, sizeof text) > 0);
    check(strstr(text, "\nuser ") != NULL);
    check_result(epio_semaphore_available(semaphore), 1);
    epio_vfs_destroy(trace);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(semaphore);
}

static void end_by_cancel_and_deadline(fixture *f)
{
    adder one = make_adder(f);
    epio_op op = {.timeout_ns = MILLISECOND};
    check_result(epio_wait(epio_op_prepare(&op, &one.base, NULL, KIND_WAIT)), EPIO_ETIMEDOUT);
    epio_submit(epio_op_prepare(&op, &one.base, NULL, KIND_WAIT));
    epio_cancel(&op);
    check_result(epio_wait(&op), EPIO_ECANCELED);
}

static void are_linked(fixture *f)
{
    adder one = make_adder(f);
    epio_op first = EPIO_OP_INIT;
    epio_op second = EPIO_OP_INIT;
    (void)add(&first, &one.base, NULL, KIND_ADD_ELSEWHERE, 1);
    (void)add(&second, &one.base, NULL, KIND_ADD, 2);
    epio_submit(epio_link(&first, &second, 0));
    check_result(epio_wait(&second), 44);
    check_result(first.result, 36);
    (void)epio_op_prepare(&first, &one.base, NULL, KIND_WAIT);
    (void)add(&second, &one.base, NULL, KIND_ADD, 2);
    epio_submit(epio_link(&first, &second, 0));
    epio_cancel(&first);
    check_result(epio_wait(&second), EPIO_ECANCELED);
}

/* A close waits for such ops of its file. */
static void keep_their_file_open(fixture *f)
{
    adder one = make_adder(f);
    epio_op op = EPIO_OP_INIT;
    epio_op waiting = EPIO_OP_INIT;
    epio_op close = EPIO_OP_INIT;
    epio_file *file = make_file(&one, 1000);
    check_result(epio_wait(add(&op, NULL, file, KIND_ADD, 1)), 1036);
    check_result(epio_perform(add(&op, &one.base, file, KIND_ADD, 1)), 1036);
    epio_submit(epio_op_prepare(&waiting, NULL, file, KIND_WAIT));
    epio_submit(epio_close(&close, file));
    (void)epio_loop_poll(f->loop, 0, 0);
    check(epio_op_pending(&close) && epio_op_pending(&waiting));
    epio_cancel(&waiting);
    check_result(epio_wait(&close), 0);
    check_result(waiting.result, EPIO_ECANCELED);
}

/* Also through a layer, which has a file of its own then. */
static void open_files(fixture *f)
{
    adder one = make_adder(f);
    epio_vfs *trace;
    check_result(epio_trace_vfs_create(&trace, &one.base), 0);
    epio_vfs *vfses[] = {&one.base, trace};
    for (size_t i = 0; i < 4; i++) {
        epio_op op = EPIO_OP_INIT;
        epio_op_prepare(&op, vfses[i / 2], NULL, KIND_OPEN);
        op.arguments.words[0] = 1000;
        check_result(i % 2 == 0 ? epio_wait(&op) : epio_perform(&op), 0);
        epio_file *file = op.file;
        check(file != NULL && file->vfs == vfses[i / 2]);
        check_result(epio_wait(add(&op, NULL, file, KIND_ADD, 1)), 1036);
        check_result(epio_perform(epio_op_prepare(&op, NULL, file, KIND_OPEN)), EPIO_EINVAL);
        check_result(epio_wait(epio_close(&op, file)), 0);
    }
    epio_vfs_destroy(trace);
}

static void are_distinct_from_epios_own(fixture *f)
{
    adder one = make_adder(f);
    epio_op op = EPIO_OP_INIT;
    uint32_t wrong[] = {EPIO_KIND_NONE, EPIO_KIND_READ, EPIO_KIND_COUNT, EPIO_KIND_USER - 1, 256};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check_result(epio_wait(epio_op_prepare(&op, &one.base, NULL, wrong[i])), EPIO_EINVAL);
        assert_non_null(strstr(epio_op_invalid_reason(&op), "EPIO_KIND_USER"));
    }
    check_result(epio_perform(epio_op_prepare(&op, NULL, NULL, KIND_ADD)), EPIO_EINVAL);
    epio_file *file = make_file(&one, 0);
    check_result(epio_perform(epio_op_prepare(&op, f->vfs, file, KIND_ADD)), EPIO_EINVAL);
    assert_non_null(strstr(epio_op_invalid_reason(&op), "another VFS"));
    check_result(epio_perform(epio_close(&op, file)), 0);
    /* A VFS that does not know them refuses them. */
    check_result(epio_wait(epio_op_prepare(&op, f->vfs, NULL, KIND_ADD)), EPIO_ENOTSUP);
    check_result(epio_perform(epio_op_prepare(&op, f->vfs, NULL, KIND_ADD)), EPIO_ENOTSUP);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(take_eight_words, ON_OS | ON_MEMORY),
        FIXTURE_TEST(go_through_layers, ON_OS),
        FIXTURE_TEST(end_by_cancel_and_deadline, ON_OS | ON_MEMORY),
        FIXTURE_TEST(are_linked, ON_OS | ON_MEMORY),
        FIXTURE_TEST(keep_their_file_open, ON_OS),
        FIXTURE_TEST(open_files, ON_OS),
        FIXTURE_TEST(are_distinct_from_epios_own, ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("user kinds", tests);
}
