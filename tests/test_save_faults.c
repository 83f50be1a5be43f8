/* Saves of which one call fails, or that are cancelled during it, for each of their calls: the file
 * is the old one or the new one, and nothing is left. Also without loops: EPIO_TEST_WITHOUT_LOOP.
 */
#include "support.h"

#include <epio/layer.h>

typedef enum fault_mode { FAIL_INSTEAD, FAIL_AFTERWARDS, CANCEL } fault_mode;

/* A layer in which the call of this number meets its fault. */
typedef struct nth_fault {
    fault_mode mode;
    int at; /* from 1 on; 0: never */
    int result;
    int calls;
    uint8_t kind; /* of that call */
    epio_op *op;  /* to be cancelled */
} nth_fault;

static int before(void *user, epio_op *op, void *state)
{
    nth_fault *fault = user;
    (void)state;
    if (++fault->calls != fault->at) {
        return 0;
    }
    fault->kind = op->kind;
#if EPIO_ASYNC
    if (fault->mode == CANCEL) {
        epio_cancel(fault->op);
    }
#endif
    return fault->mode == FAIL_INSTEAD ? fault->result : 0;
}

static void after(void *user, epio_op *op, void *state)
{
    nth_fault *fault = user;
    (void)state;
    if (fault->mode == FAIL_AFTERWARDS && fault->calls == fault->at && op->kind != EPIO_KIND_OPEN &&
        op->result >= 0) {
        op->result = fault->result;
    }
}

static const epio_layer_methods methods = {
    .size = sizeof(epio_layer_methods), .name = "nth fault", .before = before, .after = after};

/* ---- Scenarios ------------------------------------------------------------- */

#define OLD_TEXT "the old text of the file"
#define NEW_TEXT "new"

typedef struct scenario {
    const char *name;
    bool exists;
    bool linked;
    bool in_steps;
    bool leftovers;
    uint32_t flags;
} scenario;

static const scenario scenarios[] = {
    {"replace", true, false, false, false, 0},
    {"not durable", true, false, false, false, EPIO_SAVE_NO_DURABLE},
    {"make", false, false, false, false, 0},
    {"backup", true, false, false, false, EPIO_SAVE_BACKUP},
    {"unchanged", true, false, false, false, EPIO_SAVE_IF_UNCHANGED},
    {"in steps", true, false, true, false, EPIO_SAVE_BACKUP},
    {"in place", true, true, false, false, EPIO_SAVE_IN_PLACE_FALLBACK},
    {"in place in steps", true, true, true, false, EPIO_SAVE_IN_PLACE_FALLBACK},
    {"leftovers", true, false, false, true, 0},
};

static void put_text(fixture *f, const char *name, const char *text)
{
    fixture_put(f, name, text, strlen(text));
}

static void remove_it(fixture *f, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    (void)fixture_result(f, epio_delete(&op, f->vfs, fixture_path(f, name), 0));
}

static void arrange(fixture *f, const scenario *one, epio_info *known)
{
    epio_op op = EPIO_OP_INIT;
    const char *path = fixture_path(f, "file");
    if (one->exists) {
        put_text(f, "file", OLD_TEXT);
        known->size = sizeof *known;
        check_op(f, epio_stat(&op, f->vfs, path, known, 0), 0);
    }
    if (one->linked) {
        check_op(f, epio_link_file(&op, f->vfs, path, fixture_path(f, "twin"), 0), 0);
    }
    if ((one->flags & EPIO_SAVE_BACKUP) != 0) {
        put_text(f, "file~", "the backup before");
    }
    if (one->leftovers) {
        put_text(f, ".file.saving", "half");
        put_text(f, ".file.saving1", "half");
    }
}

static bool is_text(fixture *f, const char *name, const char *text)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    int64_t len = fixture_result(f, epio_load(&op, f->vfs, fixture_path(f, name), &buffer, NULL));
    bool same = len == (int64_t)strlen(text) && memcmp(buffer.data, text, (size_t)len) == 0;
    epio_buffer_free(&buffer);
    return same;
}

/* Names that may be there, and others. */
static int strangers(fixture *f, const scenario *one)
{
    epio_op op = EPIO_OP_INIT;
    uint64_t buffer[512];
    int count = 0;
    int64_t len;
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *directory = op.file;
    while ((len = fixture_result(f, epio_list(&op, directory, buffer, sizeof buffer, 0))) > 0) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
            const char *name = epio_entry_name(entry);
            bool known = strcmp(name, "file") == 0 || (one->linked && strcmp(name, "twin") == 0) ||
                         ((one->flags & EPIO_SAVE_BACKUP) != 0 && strcmp(name, "file~") == 0);
            count += known ? 0 : 1;
        }
    }
    fixture_close(f, directory);
    return count;
}

/* ---- One save ------------------------------------------------------------------ */

static int64_t save_in_steps(fixture *f, epio_vfs *vfs, nth_fault *fault,
                             const epio_save_options *options)
{
    static epio_op op;
    static epio_op last;
    epio_saving *saving;
    fault->op = &op;
    int64_t result =
        fixture_result(f, epio_save_begin(&op, vfs, fixture_path(f, "file"), options, &saving));
    if (result < 0) {
        assert_null(saving);
        return result;
    }
    fault->op = &last; /* is not in flight */
    result =
        fixture_result(f, epio_write(&op, epio_saving_file(saving), NEW_TEXT, strlen(NEW_TEXT), 0));
    if (result >= 0) {
        fault->op = &op;
        result = fixture_result(f, epio_save_commit(&op, saving));
    }
    if (result < 0) {
        check_op(f, epio_save_abandon(&last, saving), 0);
    }
    return result;
}

static int64_t save_once(fixture *f, epio_vfs *vfs, nth_fault *fault, const scenario *one,
                         const epio_info *known)
{
    static epio_op op;
    epio_save_options options = {.size = sizeof options, .flags = one->flags, .expected = known};
    if (one->in_steps) {
        return save_in_steps(f, vfs, fault, &options);
    }
    fault->op = &op;
    return fixture_result(
        f, epio_save(&op, vfs, fixture_path(f, "file"), NEW_TEXT, strlen(NEW_TEXT), &options));
}

static bool old_is_whole(fixture *f, const scenario *one)
{
    return one->exists ? is_text(f, "file", OLD_TEXT) : fixture_exists(f, "file") == 0;
}

static void check_outcome(fixture *f, const scenario *one, const nth_fault *fault, int64_t result)
{
    bool old = old_is_whole(f, one);
    bool new = is_text(f, "file", NEW_TEXT);
    bool in_place = one->linked && fault->mode != CANCEL;
    bool wanted = result >= 0 ? new : fault->mode == FAIL_AFTERWARDS ? old || new : old;
    /* What fails while it is written over is neither: a system that fails so has lost it. */
    bool excused = in_place && result < 0;
    int left = strangers(f, one);
    /* What was left before, cannot be removed, or is there though its making failed, is left. */
    bool clean = left == 0 || one->leftovers || fault->kind == EPIO_KIND_DELETE ||
                 (fault->mode == FAIL_AFTERWARDS && fault->kind == EPIO_KIND_LINK_FILE);
    if (!(wanted || excused) || !clean) {
        print_error("%s, call %d of kind %s, mode %d: %s, old %d, new %d, left %d\n", one->name,
                    fault->at, epio_kind_name(fault->kind), (int)fault->mode,
                    epio_error_name(result), old, new, left);
    }
    check(wanted || excused);
    check(clean);
    if ((one->flags & EPIO_SAVE_BACKUP) != 0) {
        check(is_text(f, "file~", "the backup before") || is_text(f, "file~", OLD_TEXT));
    }
}

/* True: the fault's call was reached. */
static bool try_fault(fixture *f, const scenario *one, nth_fault *fault)
{
    epio_info known = {.size = sizeof known};
    epio_vfs *vfs;
    int used = (int)f->names_used;
    arrange(f, one, &known);
    fault->calls = 0;
    fault->kind = EPIO_KIND_NONE;
    check_result(epio_layer_vfs_create(&vfs, f->vfs, &methods, fault), 0);
    int64_t result = save_once(f, vfs, fault, one, &known);
    epio_vfs_destroy(vfs);
    bool reached = fault->calls >= fault->at;
    check_outcome(f, one, fault, result);
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options,
                                 .flags = (one->flags & EPIO_SAVE_BACKUP) | EPIO_SAVE_NO_DURABLE};
    check(fixture_result(f, epio_save(&op, f->vfs, fixture_path(f, "file"), "last", 4, &options)) >=
          0);
    check_result(strangers(f, one), 0);
    check(is_text(f, "file", "last"));
    remove_it(f, "file");
    remove_it(f, "file~");
    remove_it(f, "twin");
    f->names_used = (size_t)used;
    return reached;
}

static void try_all(fixture *f, fault_mode mode, int result)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        nth_fault fault = {.mode = mode, .result = result};
        do {
            fault.at++;
        } while (try_fault(f, &scenarios[i], &fault));
        check(fault.at > 5);
    }
}

static void each_call_fails(fixture *f)
{
    try_all(f, FAIL_INSTEAD, EPIO_EACCES);
    if (f->memory) { /* which syncs at once */
        try_all(f, FAIL_INSTEAD, EPIO_EIO);
        try_all(f, FAIL_INSTEAD, EPIO_ENOSPC);
    }
}

static void each_call_is_forbidden(fixture *f)
{
    try_all(f, FAIL_INSTEAD, EPIO_ENOTSUP);
    try_all(f, FAIL_INSTEAD, EPIO_ENOENT);
    try_all(f, FAIL_INSTEAD, EPIO_EEXIST);
    try_all(f, FAIL_INSTEAD, EPIO_EBUSY);
}

static void each_call_fails_afterwards(fixture *f)
{
    try_all(f, FAIL_AFTERWARDS, EPIO_EIO);
}

static void it_is_cancelled_at_each_call(fixture *f)
{
    try_all(f, CANCEL, 0);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(each_call_fails, ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS),
        FIXTURE_TEST(each_call_is_forbidden, ON_MEMORY_PERFORM),
        FIXTURE_TEST(each_call_fails_afterwards, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(it_is_cancelled_at_each_call, ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("save_faults", tests);
}
