/* A layer by epio/layer.h: two functions that see ops go down and return, on a loop and
 * performed. */
#include "support.h"

#include <epio/layer.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* ---- A layer that counts, changes and refuses ----------------------------- */

typedef struct watcher {
    unsigned before[EPIO_KIND_COUNT];
    unsigned after[EPIO_KIND_COUNT];
    int refuses; /* what `before` returns; 0: nothing */
    unsigned destroyed;
    int64_t changes_to; /* result of ops that return; 0: unchanged */
    unsigned open_files;
} watcher;

typedef struct watcher_state {
    unsigned char zero[200];
    void *copy;
} watcher_state;

typedef struct watcher_file {
    uint64_t written;
} watcher_file;

static bool is_zero(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static int before(void *user, epio_op *op, void *opaque)
{
    watcher *one = user;
    watcher_state *state = opaque;
    check(is_zero(opaque, sizeof *state));
    memset(state->zero, 1, sizeof state->zero);
    one->before[op->kind]++;
    if (one->refuses != 0) {
        return one->refuses;
    }
    if (op->kind == EPIO_KIND_WRITE || op->kind == EPIO_KIND_APPEND) {
        size_t len = (size_t)op->arguments.io.len;
        unsigned char *copy = malloc(len);
        check(copy != NULL);
        memset(copy, 'x', len);
        state->copy = copy;
        op->arguments.io.base = copy;
        op->arguments.io.offset += 1;
    }
    return 0;
}

static void after(void *user, epio_op *op, void *opaque)
{
    watcher *one = user;
    watcher_state *state = opaque;
    check(state->zero[0] == 1);
    one->after[op->kind]++;
    if (op->kind == EPIO_KIND_APPEND) { /* as the caller gave it */
        check(op->arguments.io.base != state->copy && op->arguments.io.len == 3);
    }
    free(state->copy);
    if (op->kind == EPIO_KIND_OPEN && op->result == 0) {
        const watcher_file *file = epio_layer_file_state(op->file);
        check(file->written == 0);
        one->open_files++;
    } else if (op->kind == EPIO_KIND_CLOSE) {
        one->open_files--;
    } else if (op->kind == EPIO_KIND_WRITE && op->result > 0) {
        ((watcher_file *)epio_layer_file_state(op->file))->written += (uint64_t)op->result;
        check(op->arguments.io.offset == 0); /* as the caller gave it */
    }
    if (one->changes_to != 0 && op->kind == EPIO_KIND_READ) {
        op->result = one->changes_to;
    }
}

static void destroyed(void *user)
{
    ((watcher *)user)->destroyed++;
}

static const epio_layer_methods watcher_methods = {
    .size = sizeof(epio_layer_methods),
    .name = "watcher",
    .op_state = sizeof(watcher_state),
    .file_state = sizeof(watcher_file),
    .before = before,
    .after = after,
    .destroy = destroyed,
};

static epio_vfs *make_layer(fixture *f, watcher *one)
{
    epio_vfs *layer;
    memset(one, 0, sizeof *one);
    check_result(epio_layer_vfs_create(&layer, f->vfs, &watcher_methods, one), 0);
    return layer;
}

/* ---- Tests ---------------------------------------------------------------- */

static void sees_ops_go_down_and_return(fixture *f)
{
    static const char data[] = "abc";
    watcher one;
    char found[8] = {0};
    epio_op op = EPIO_OP_INIT;
    epio_vfs *layer = make_layer(f, &one);
    check_op(f, epio_open(&op, layer, fixture_path(f, "data"), READ_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *file = op.file;
    check(file->vfs == layer && one.open_files == 1);
    check_op(f, epio_write(&op, file, data, 3, 0), 3);
    check(((watcher_file *)epio_layer_file_state(file))->written == 3);
    check(op.arguments.io.base == (void *)(uintptr_t)data);
    check(memcmp(data, "abc", 4) == 0);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 4);
    check(memcmp(found, "\0xxx", 4) == 0);
    check_op(f, epio_size(&op, file), 4);
    check_op(f, epio_access(&op, layer, fixture_path(f, "none"), EPIO_ACCESS_EXISTS), 0);
    if (f->memory) {
        check_op(f, epio_append(&op, file, data, 3), 4);
        check(op.arguments.io.base == (void *)(uintptr_t)data);
        check_op(f, epio_read(&op, file, found, sizeof found, 1), 6);
        check(memcmp(found, "xxxxxx", 6) == 0);
        check_op(f, epio_truncate(&op, file, 4), 0);
        one.before[EPIO_KIND_READ]--;
        one.after[EPIO_KIND_READ]--;
    }
    one.changes_to = 2;
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 2);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 2); /* used before: the fast path */
    check_op(f, epio_close(&op, file), 0);
    check(one.open_files == 0);
    for (size_t i = 0; i < EPIO_KIND_COUNT; i++) {
        check(one.before[i] == one.after[i]);
    }
    check(one.before[EPIO_KIND_READ] == 3 && one.before[EPIO_KIND_CLOSE] == 1);
    check(one.destroyed == 0);
    epio_vfs_destroy(layer);
    check(one.destroyed == 1);
}

static void ends_ops_before_they_go(fixture *f)
{
    watcher one;
    char byte = 'x';
    epio_op op = EPIO_OP_INIT;
    epio_vfs *layer = make_layer(f, &one);
    const char *path = fixture_path(f, "data");
    check_op(f, epio_open(&op, layer, path, READ_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *file = op.file;
    one.refuses = EPIO_EACCES;
    check_op(f, epio_open(&op, layer, path, EPIO_OPEN_READ), EPIO_EACCES);
    check(op.file == NULL);
    check_op(f, epio_read(&op, file, &byte, 1, 0), EPIO_EACCES);
    check_op(f, epio_size(&op, file), EPIO_EACCES);
    check(one.after[EPIO_KIND_READ] == 0 && one.after[EPIO_KIND_OPEN] == 1);
    /* But not ops that must be carried out. */
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    check_op(f, epio_close(&op, file), 0);
    check(one.open_files == 0 && one.after[EPIO_KIND_CLOSE] == 1);
    epio_vfs_destroy(layer);
}

static void may_do_nothing_at_all(fixture *f)
{
    static const epio_layer_methods nothing = {.size = sizeof nothing, .name = "nothing"};
    epio_vfs *layer;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_layer_vfs_create(&layer, f->vfs, &nothing, NULL), 0);
    check_op(f, epio_open(&op, layer, fixture_path(f, "data"), READ_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *file = op.file;
    check_op(f, epio_write(&op, file, "x", 1, 0), 1);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    check_op(f, epio_close(&op, file), 0);
    epio_vfs_destroy(layer);
}

static void arguments_are_checked(fixture *f)
{
    epio_layer_methods methods = watcher_methods;
    epio_vfs *layer = NULL;
    check_result(epio_layer_vfs_create(NULL, f->vfs, &methods, NULL), EPIO_EINVAL);
    check_result(epio_layer_vfs_create(&layer, NULL, &methods, NULL), EPIO_EINVAL);
    check_result(epio_layer_vfs_create(&layer, f->vfs, NULL, NULL), EPIO_EINVAL);
    methods.size -= 1;
    check_result(epio_layer_vfs_create(&layer, f->vfs, &methods, NULL), EPIO_EINVAL);
    check(layer == NULL);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(sees_ops_go_down_and_return, ON_ANY),
        FIXTURE_TEST(ends_ops_before_they_go, ON_ANY),
        FIXTURE_TEST(may_do_nothing_at_all, ON_ANY),
        FIXTURE_TEST(arguments_are_checked, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("custom layer", tests);
}
