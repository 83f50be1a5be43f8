/* How far ops are: of loads and saves while they are held in a layer, of ops that cannot say, and
 * of those that are not in flight any more. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <epio/layer.h>

#define LEN ((size_t)10 << 20)

/* A layer that asks, at each read and write, how far the outer op is. */
typedef struct observer {
    const epio_op *op;
    uint64_t bytes;
    uint64_t total;
    int asked;
} observer;

static int before(void *user, epio_op *op, void *state)
{
    observer *one = user;
    epio_progress_info info = {.size = sizeof info};
    (void)state;
    if (op->kind != EPIO_KIND_READ && op->kind != EPIO_KIND_WRITE) {
        return 0;
    }
    require(epio_progress(one->op, &info) == 0);
    require(info.bytes >= one->bytes && info.bytes <= LEN);
    require(info.total_files == 1 && info.files == 0 && info.path[0] == '\0');
    one->bytes = info.bytes;
    one->total = info.total_bytes;
    one->asked++;
    return 0;
}

static const epio_layer_methods methods = {
    .size = sizeof(epio_layer_methods), .name = "observer", .before = before};

static void check_observed(const observer *one, const epio_op *op)
{
    epio_progress_info info = {.size = sizeof info};
    check(one->asked >= 3);
    check_result(one->total, LEN);
    check(one->bytes >= LEN / 2);
    check_result(epio_progress(op, &info), EPIO_ENOTSUP); /* it has ended */
}

static void loads_and_saves_say_how_far_they_are(fixture *f)
{
    char *bytes = malloc(LEN);
    epio_buffer buffer = {.size = sizeof buffer};
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs;
    observer one = {.op = &op};
    pattern_fill(bytes, LEN, 0);
    check_result(epio_layer_vfs_create(&vfs, f->vfs, &methods, &one), 0);
    check_op(f, epio_save(&op, vfs, fixture_path(f, "file"), bytes, LEN, NULL), 0);
    check_observed(&one, &op);
    one = (observer){.op = &op};
    check_op(f, epio_load(&op, vfs, fixture_path(f, "file"), &buffer, NULL), LEN);
    check_observed(&one, &op);
    assert_memory_equal(buffer.data, bytes, LEN);
    epio_vfs_destroy(vfs);
    epio_buffer_free(&buffer);
    free(bytes);
}

static void others_cannot_say(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_progress_info info = {.size = sizeof info};
    check_result(epio_progress(&op, &info), EPIO_ENOTSUP);
    check(fixture_result(f, epio_current_time(&op, f->vfs)) > 0);
    check_result(epio_progress(&op, &info), EPIO_ENOTSUP);
    check_result(epio_progress(NULL, &info), EPIO_EINVAL);
    check_result(epio_progress(&op, NULL), EPIO_EINVAL);
    info.size = 8;
    check_result(epio_progress(&op, &info), EPIO_EINVAL);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(loads_and_saves_say_how_far_they_are, ON_ANY),
        FIXTURE_TEST(others_cannot_say, ON_OS_PERFORM | ON_MEMORY_PERFORM),
    };
    return FIXTURE_RUN("progress", tests);
}
