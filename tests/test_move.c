/* epio_move: a rename where that can be, else a copy and a removal; what it replaces, and what is
 * left if it fails. EPIO_TEST_WITHOUT_LOOP: epio_perform moves, too. */
#include "op_faults.h"
#include "tree_copies.h"

#include <epio/layer.h>

#define errors tree_errors_seen

static int64_t move(fixture *f, const char *from, const char *to, uint32_t flags)
{
    epio_op op = {0};
    epio_tree_options options = {.size = sizeof options, .flags = flags};
    return fixture_result(
        f, epio_move(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), &options));
}

static uint64_t count_of(fixture *f, const char *name)
{
    return tree_count(f->vfs, fixture_path(f, name));
}

/* ---- By a rename ---- */

static void names_are_moved(fixture *f)
{
    epio_op op = {0};
    uint64_t made = tree_make_sample(f, "from", 1, 3);
    check_op(f, epio_move(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), NULL), 0);
    check_result(count_of(f, "from"), 0);
    check_result(count_of(f, "to"), made);
    fixture_put(f, "file", "abc", 3);
    fixture_put(f, "old", "xyz", 3);
    check_result(move(f, "file", "old", EPIO_COPY_NO_REPLACE), EPIO_EEXIST);
    check_content(f, "old", "xyz", 3);
    check_result(move(f, "file", "old", EPIO_COPY_DURABLE), 0);
    check_content(f, "old", "abc", 3);
    check_result(move(f, "to", "to/inner", 0), EPIO_EINVAL);
    check_result(move(f, "none", "other", 0), EPIO_ENOENT);
    check_result(move(f, "old", "other", EPIO_COPY_FOLLOW), EPIO_EINVAL);
}

static void directories_are_merged(fixture *f)
{
    uint64_t made = tree_make_sample(f, "from", 1, 3);
    fixture_make_directory(f, "to");
    fixture_put(f, "to/own", "own", 3);
    int64_t refused = move(f, "from", "to", 0);
    check(refused == EPIO_ENOTEMPTY || refused == EPIO_EEXIST ||
          (!IS_POSIX_TREE(f) && refused == EPIO_EACCES));
    check_result(count_of(f, "from"), made);
    if (refused == EPIO_EACCES) {
        fixture_skip(f, "a directory is never replaced by a rename here");
    }
    check_result(move(f, "from", "to", EPIO_COPY_MERGE), 1);
    check_result(count_of(f, "from"), 0);
    check_result(count_of(f, "to"), made + 1);
    /* What was there stays, and so does what it keeps from being moved. */
    fixture_make_directory(f, "again");
    fixture_put(f, "again/own", "new", 3);
    check_result(move(f, "again", "to", EPIO_COPY_MERGE | EPIO_COPY_NO_REPLACE), EPIO_ENOTEMPTY);
    check_content(f, "to/own", "own", 3);
    check_content(f, "again/own", "new", 3);
}

/* ---- By a copy ---- */

/* A layer that no rename passes, as if all were on two file systems. */
static epio_vfs *without_renames(fixture *f, op_faults *faults)
{
    epio_vfs *vfs = op_faults_create(f->vfs, faults);
    faults->kind = EPIO_KIND_RENAME;
    faults->times = 1;
    faults->result = EPIO_EXDEV;
    return vfs;
}

static int64_t move_by_copy(fixture *f, epio_vfs *vfs, op_faults *faults, const char *from,
                            const char *to, uint32_t flags)
{
    epio_op op = {0};
    epio_tree_options options = {.size = sizeof options, .flags = flags};
    faults->skip = 0;
    faults->times = 1;
    return epio_perform(epio_move(&op, vfs, fixture_path(f, from), fixture_path(f, to), &options));
}

static void what_cannot_be_renamed_is_copied(fixture *f)
{
    const int64_t then = INT64_C(1000000000) * 1000000000;
    epio_times times = EPIO_TIMES_INIT;
    epio_op op = {0};
    op_faults faults;
    epio_vfs *vfs = without_renames(f, &faults);
    uint64_t made = tree_make_sample(f, "from", 2, 3);
    times.modified = then;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "from/file 1"), &times, 0), 0);
    check_result(move_by_copy(f, vfs, &faults, "from", "to", 0), 1);
    check_result(count_of(f, "from"), 0);
    check_result(count_of(f, "to"), made);
    check(tree_stat(f, "to/file 1", 0).modified == then);
    fixture_put(f, "file", "abc", 3);
    check_result(move_by_copy(f, vfs, &faults, "file", "new", 0), 1);
    check_content(f, "new", "abc", 3);
    check_result(fixture_exists(f, "file"), 0);
    fixture_make_directory(f, "empty");
    fixture_make_directory(f, "small");
    check_result(move_by_copy(f, vfs, &faults, "small", "empty", EPIO_COPY_NO_REPLACE),
                 EPIO_EEXIST);
    check_result(move_by_copy(f, vfs, &faults, "small", "new", 0), EPIO_ENOTDIR);
    check_result(move_by_copy(f, vfs, &faults, "new", "small", 0), EPIO_EISDIR);
    check_result(move_by_copy(f, vfs, &faults, "small", "to", 0), EPIO_ENOTEMPTY);
    check_result(move_by_copy(f, vfs, &faults, "small", "empty", 0), 1);
    check_result(move_by_copy(f, vfs, &faults, "empty", "to", EPIO_COPY_MERGE), 1);
    check_result(count_of(f, "to"), made);
    faults.times = 0;
    epio_vfs_destroy(vfs);
}

/* Of a target that is a link the link is replaced, as by a rename. */
static void links_are_moved_as_links(fixture *f)
{
    op_faults faults;
    fixture_put(f, "file", "abc", 3);
    fixture_put(f, "outside", "xyz", 3);
    if (!tree_try_symlink(f, "outside", "link") || !tree_try_symlink(f, "outside", "from")) {
        fixture_skip(f, "no symbolic links here");
    }
    epio_vfs *vfs = without_renames(f, &faults);
    faults.only_flags = 0;
    check_result(move_by_copy(f, vfs, &faults, "from", "to", 0), 1);
    check_result(tree_stat(f, "to", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    check_result(fixture_exists(f, "from"), 0);
    check_result(move_by_copy(f, vfs, &faults, "file", "link", 0), 1);
    check_result(tree_stat(f, "link", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_FILE);
    check_content(f, "outside", "xyz", 3);
    faults.times = 0;
    epio_vfs_destroy(vfs);
}

static void between_two_vfses(fixture *f)
{
    epio_op op = {0};
    epio_vfs *memory;
    epio_tree_options options = {.size = sizeof options};
#if EPIO_ASYNC
    epio_loop *loop = f->loop;
#else
    epio_loop *loop = NULL;
#endif
    uint64_t made = tree_make_sample(f, "from", 2, 4);
    check_result(memory_vfs_make(&memory, loop, f->directory), 0);
    options.to_vfs = memory;
    check_op(f, epio_move(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options),
             1);
    check_result(count_of(f, "from"), 0);
    check_result(tree_count(memory, fixture_path(f, "to")), made);
    options.to_vfs = f->vfs;
    check_op(f, epio_move(&op, memory, fixture_path(f, "to"), fixture_path(f, "back"), &options),
             1);
    check_result(count_of(f, "back"), made);
    check_result(tree_count(memory, fixture_path(f, "to")), 0);
    epio_vfs_destroy(memory);
}

/* Whatever fails while it is copied, `from` is whole and nothing is at `to`; while it is removed,
 * `to` is whole. The faults are of one of the two. */
static void fail_at_each(fixture *f, epio_vfs *from_vfs, epio_vfs *to_vfs, op_faults *faults)
{
    epio_tree_options options = {.size = sizeof options, .to_vfs = to_vfs};
    for (uint32_t skip = 0;; skip += 1 + skip / 4) {
        epio_op op = {0};
        uint64_t made = tree_make_sample(f, "from", 1, 2);
        const char *from = fixture_path(f, "from");
        const char *to = fixture_path(f, "to");
        memset(&faults->counts, 0, sizeof faults->counts);
        faults->skip = skip;
        faults->times = 1;
        int64_t result = epio_perform(epio_move(&op, from_vfs, from, to, &options));
        bool failed = faults->counts[faults->kind] > skip;
        faults->times = 0;
        check(failed ? result == EPIO_EIO : result == 1);
        bool kept = tree_count(f->vfs, from) == made && fixture_exists(f, "to") == 0;
        bool moved = tree_count(f->vfs, to) == made;
        check(failed ? kept || moved : moved && tree_count(f->vfs, from) == 0);
        (void)epio_perform(epio_remove_tree(&op, f->vfs, from, NULL));
        (void)epio_perform(epio_remove_tree(&op, f->vfs, to, NULL));
        f->names_used = 0;
        if (!failed) {
            return;
        }
    }
}

static void a_failure_loses_nothing(fixture *f)
{
    static const uint8_t kinds[] = {EPIO_KIND_OPEN,   EPIO_KIND_READ, EPIO_KIND_WRITE,
                                    EPIO_KIND_MKDIR,  EPIO_KIND_LIST, EPIO_KIND_SYNC,
                                    EPIO_KIND_DELETE, EPIO_KIND_RMDIR};
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    faults.result = EPIO_EIO;
    faults.os_error = 5;
    for (size_t i = 0; i < sizeof kinds; i++) {
        faults.kind = kinds[i];
        fail_at_each(f, vfs, f->vfs, &faults);
        fail_at_each(f, f->vfs, vfs, &faults);
    }
    epio_vfs_destroy(vfs);
}

static void what_is_skipped_stays(fixture *f)
{
    op_faults faults;
    epio_op op = {0};
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    epio_tree_options options = {
        .size = sizeof options, .to_vfs = f->vfs, .error = tree_note_error};
    uint64_t made = tree_make_sample(f, "from", 1, 4);
    faults.kind = EPIO_KIND_READ;
    faults.skip = 1;
    faults.times = 1;
    faults.result = EPIO_EIO;
    errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP, .thread = thread_self()};
    check_result(
        epio_perform(epio_move(&op, vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options)),
        EPIO_ENOTEMPTY);
    check_result(errors.count, 1);
    check_result(count_of(f, "from"), made);
    check_result(count_of(f, "to"), made - 1);
    faults.times = 0;
    epio_vfs_destroy(vfs);
}

#if EPIO_ASYNC

static void cancels_lose_nothing(fixture *f)
{
    epio_vfs *memory;
    check_result(memory_vfs_make(&memory, f->loop, f->directory), 0);
    epio_tree_options options = {.size = sizeof options, .to_vfs = memory};
    for (unsigned i = 0; i < fixture_rounds(30); i++) {
        epio_op op = {0};
        uint64_t made = tree_make_sample(f, "from", 1, 5);
        const char *from = fixture_path(f, "from");
        const char *to = fixture_path(f, "to");
        epio_submit(epio_move(&op, f->vfs, from, to, &options));
        uint64_t until = epio_clock_monotonic() + i * 30000;
        while (epio_clock_monotonic() < until && epio_op_pending(&op)) {
            (void)epio_loop_poll(f->loop, 10000, 16);
        }
        epio_cancel(&op);
        int64_t result = epio_op_pending(&op) ? epio_wait(&op) : op.result;
        check(result == 1 || result == EPIO_ECANCELED);
        bool kept = tree_count(f->vfs, from) == made && tree_count(memory, to) == 0;
        check(kept || tree_count(memory, to) == made);
        (void)epio_perform(epio_remove_tree(&op, epio_os_vfs(), from, NULL));
        (void)epio_perform(epio_remove_tree(&op, memory, to, NULL));
        f->names_used = 0;
    }
    epio_vfs_destroy(memory);
}

#endif

/* As a save of another program does. */
typedef struct exchange {
    fixture *f;
    const char *path;
    const char *aside;
    bool done;
} exchange;

static int exchange_at_sync(void *user, epio_op *op, void *state)
{
    exchange *one = user;
    epio_op own = EPIO_OP_INIT;
    (void)state;
    if (op->kind == EPIO_KIND_SYNC && !one->done) {
        one->done = true;
        check_result(epio_perform(epio_rename(&own, one->f->vfs, one->path, one->aside, 0)), 0);
        fixture_put(one->f, "file", "newer", 5);
    }
    return 0;
}

static void what_has_got_the_name_since_stays(fixture *f)
{
    static const epio_layer_methods methods = {
        .size = sizeof methods, .name = "exchange", .before = exchange_at_sync};
    exchange one = {.f = f, .path = fixture_path(f, "file"), .aside = fixture_path(f, "aside")};
    op_faults faults;
    epio_vfs *vfs = without_renames(f, &faults);
    epio_vfs *layer;
    check_result(epio_layer_vfs_create(&layer, vfs, &methods, &one), 0);
    fixture_put(f, "file", "old", 3);
    check_result(move_by_copy(f, layer, &faults, "file", "to", 0), 1);
    check(one.done);
    check_content(f, "to", "old", 3);
    check_content(f, "file", "newer", 5);
    faults.times = 0;
    epio_vfs_destroy(layer);
    epio_vfs_destroy(vfs);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(names_are_moved, ON_ANY),
        FIXTURE_TEST(directories_are_merged, ON_ANY),
        FIXTURE_TEST(what_has_got_the_name_since_stays, ON_OS_PERFORM),
        FIXTURE_TEST(what_cannot_be_renamed_is_copied, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(links_are_moved_as_links, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(between_two_vfses, ON_ANY),
        FIXTURE_TEST(a_failure_loses_nothing, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(what_is_skipped_stays, ON_OS_PERFORM | ON_MEMORY_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(cancels_lose_nothing, ON_OS | ON_LIMIT_OS),
#endif
    };
    return FIXTURE_RUN("move", tests);
}
