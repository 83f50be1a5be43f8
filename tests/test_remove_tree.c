/* epio_remove_tree: what is removed and what is refused; errors and what the callback says; others
 * that are in the tree meanwhile; deep trees. EPIO_TEST_WITHOUT_LOOP: epio_perform removes, too. */
#include "op_faults.h"
#include "tree_copies.h"

#define errors tree_errors_seen

static int64_t remove_with(fixture *f, const char *name, epio_tree_options options)
{
    epio_op op = {0};
    errors.thread = thread_self();
    options.size = sizeof options;
    return fixture_result(f, epio_remove_tree(&op, f->vfs, fixture_path(f, name), &options));
}

static int64_t remove_tree(fixture *f, const char *name)
{
    epio_op op = {0};
    return fixture_result(f, epio_remove_tree(&op, f->vfs, fixture_path(f, name), NULL));
}

static uint64_t count_of(fixture *f, const char *name)
{
    return tree_count(f->vfs, fixture_path(f, name));
}

/* ---- What is removed ---- */

static void trees_are_removed(fixture *f)
{
    uint64_t made = tree_make_sample(f, "tree", 3, 5);
    fixture_put(f, "beside", "abc", 3);
    check_result(remove_tree(f, "tree"), made);
    check_result(fixture_exists(f, "tree"), 0);
    check_result(remove_tree(f, "tree"), EPIO_ENOENT);
    fixture_make_directory(f, "empty");
    check_result(remove_tree(f, "empty"), 1);
    fixture_make_directory(f, "slash");
    check_result(remove_tree(f, "slash/"), 1);
    check_content(f, "beside", "abc", 3);
    check_result(remove_tree(f, "beside"), 1);
    check_result(fixture_exists(f, "beside"), 0);
}

static void links_are_removed_not_followed(fixture *f)
{
    fixture_make_directory(f, "tree");
    fixture_make_directory(f, "outside");
    fixture_put(f, "outside/file", "abc", 3);
    if (!tree_try_symlink(f, "../outside", "tree/link") ||
        !tree_try_symlink(f, "outside", "link")) {
        fixture_skip(f, "no symbolic links here");
    }
    check_result(remove_tree(f, "tree"), 2);
    check_result(remove_tree(f, "link/"), EPIO_ENOTDIR);
    check_content(f, "outside/file", "abc", 3);
    check_result(remove_tree(f, "link"), 1);
    check_content(f, "outside/file", "abc", 3);
}

static void roots_are_refused(fixture *f)
{
    static const char *const refused[] = {"tree/.", "tree/..", "tree/inner/../.",
                                          "tree/inner/../../", "tree/./"};
    const char *const roots[] = {"/", "//", ".", f->memory || SYSTEM_IS_POSIX ? "/." : "C:\\"};
    op_faults faults;
    epio_op op = {0};
    fixture_make_directory(f, "tree");
    fixture_make_directory(f, "tree/inner");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        check_result(remove_tree(f, refused[i]), EPIO_EINVAL);
    }
    /* One that opens nothing, in case that they are not. */
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    faults.kind = EPIO_KIND_OPEN;
    faults.times = UINT32_MAX;
    faults.result = EPIO_EACCES;
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        check_result(epio_perform(epio_remove_tree(&op, vfs, roots[i], NULL)), EPIO_EINVAL);
        const char *reason = epio_op_invalid_reason(&op);
        check(reason != NULL && strstr(reason, "root") != NULL);
    }
    check_result(epio_perform(epio_remove_tree(&op, vfs, "", NULL)), EPIO_EINVAL);
    check_result(epio_perform(epio_remove_tree(&op, vfs, NULL, NULL)), EPIO_EINVAL);
    epio_vfs_destroy(vfs);
    epio_tree_options options = {.size = sizeof options, .flags = EPIO_COPY_MERGE};
    check_op(f, epio_remove_tree(&op, f->vfs, fixture_path(f, "tree"), &options), EPIO_EINVAL);
    check_result(count_of(f, "tree"), 2);
}

/* More levels than directories stay open, and a longer path than the system takes. */
static void deep_trees_are_copied_and_removed(fixture *f)
{
    const unsigned levels = fixture_rounds(150);
    static const char name[] =
        "a name that is so long that a few of them are more than a path may have in all";
    epio_op op = {0};
    fixture_make_directory(f, "deep");
    epio_file *at = tree_open_directory(f, "deep");
    for (unsigned i = 0; i < levels; i++) {
        epio_vfs *vfs = epio_directory_vfs(at);
        check_op(f, epio_open(&op, vfs, "file", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), 0);
        fixture_close(f, op.file);
        check_op(f, epio_mkdir(&op, vfs, name, 0), 0);
        check_op(f, epio_open(&op, vfs, name, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
        fixture_close(f, at);
        at = op.file;
    }
    fixture_close(f, at);
    check_op(f, epio_copy_tree(&op, f->vfs, fixture_path(f, "deep"), fixture_path(f, "copy"), NULL),
             2 * levels + 1);
    check_result(count_of(f, "copy"), 2 * levels + 1);
    check_result(remove_tree(f, "copy"), 2 * levels + 1);
    check_result(remove_tree(f, "deep"), 2 * levels + 1);
    check_result(fixture_exists(f, "deep"), 0);
}

static void a_bush_is_removed(fixture *f)
{
    /* Many directories that have directories, each deeper than stay open. */
    uint64_t made = 1;
    fixture_make_directory(f, "bush");
    for (unsigned i = 0; i < 40; i++) {
        char name[1024];
        size_t len = (size_t)snprintf(name, sizeof name, "bush/%u", i);
        for (unsigned k = 0; k < 12; k++) {
            fixture_make_directory(f, name);
            made++;
            len += (size_t)snprintf(name + len, sizeof name - len, "/%u", k);
            fixture_put(f, name, "x", 1);
            made++;
            len += (size_t)snprintf(name + len, sizeof name - len, "d");
            f->names_used = 0;
        }
    }
    epio_op op = {0};
    check_op(f, epio_copy_tree(&op, f->vfs, fixture_path(f, "bush"), fixture_path(f, "copy"), NULL),
             made);
    check_result(remove_tree(f, "copy"), made);
    check_result(remove_tree(f, "bush"), made);
}

/* ---- Errors ---- */

static void the_callback_decides(fixture *f)
{
    op_faults faults;
    epio_op op = {0};
    epio_tree_options options = {.size = sizeof options, .error = tree_note_error};
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    uint64_t made = tree_make_sample(f, "tree", 2, 4);
    const char *path = fixture_path(f, "tree");
    faults = (op_faults){
        .kind = EPIO_KIND_DELETE, .skip = 5, .times = 1, .result = EPIO_EPERM, .os_error = 1};
    errors = (tree_errors){.answer = EPIO_ON_ERROR_STOP, .thread = thread_self()};
    check_result(epio_perform(epio_remove_tree(&op, vfs, path, &options)), EPIO_EPERM);
    check_result(op.os_error, 1);
    check(errors.count == 1 && strcmp(errors.last.verb, "delete") == 0 && errors.path[0] != '\0');
    uint64_t left = count_of(f, "tree");
    check(left <= made - 5 && left > 2);
    faults.times = 1;
    faults.skip = 0;
    errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP, .thread = thread_self()};
    int64_t removed = epio_perform(epio_remove_tree(&op, vfs, path, &options));
    check(removed > 0 && errors.count == 1);
    check_result(count_of(f, "tree"), left - (uint64_t)removed);
    left -= (uint64_t)removed;
    check(left >= 2 && left <= 4); /* a file, and the directories that it is in */
    faults.times = 3;
    errors = (tree_errors){.answer = EPIO_ON_ERROR_AGAIN, .again = 3, .thread = thread_self()};
    check_result(epio_perform(epio_remove_tree(&op, vfs, path, &options)), left);
    check_result(errors.count, 3);
    faults.times = 0;
    epio_vfs_destroy(vfs);
}

static void every_failure_is_reported(fixture *f)
{
    static const uint8_t kinds[] = {EPIO_KIND_OPEN, EPIO_KIND_LIST, EPIO_KIND_DELETE,
                                    EPIO_KIND_RMDIR};
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    for (size_t i = 0; i < sizeof kinds; i++) {
        for (uint32_t skip = 0;; skip += 1 + skip / 4) {
            epio_op op = {0};
            uint64_t made = tree_make_sample(f, "tree", 1, 6);
            const char *path = fixture_path(f, "tree");
            memset(&faults.counts, 0, sizeof faults.counts);
            faults.kind = kinds[i];
            faults.skip = skip;
            faults.times = 1;
            faults.result = EPIO_EIO;
            faults.os_error = 5;
            int64_t result = epio_perform(epio_remove_tree(&op, vfs, path, NULL));
            bool failed = faults.counts[kinds[i]] > skip;
            faults.times = 0;
            check(failed ? result == EPIO_EIO && op.os_error == 5 : result == (int64_t)made);
            if (!failed) {
                break;
            }
            check(epio_perform(epio_remove_tree(&op, f->vfs, path, NULL)) > 0);
            f->names_used = 0;
        }
    }
    epio_vfs_destroy(vfs);
}

/* ---- With others in it ---- */

/* Makes and moves names in a tree, as long as that is there. */
static void *disturb(void *argument)
{
    const char *path = argument;
    char names[2][1200];
    const unsigned changes = fixture_is_slow() ? 100 : 600;
    for (unsigned i = 0; i < changes; i++) {
        epio_op op = {0};
        (void)snprintf(names[0], sizeof names[0], "%s/%u", path, i % 7);
        (void)epio_perform(epio_mkdir(&op, epio_os_vfs(), names[0], 0));
        (void)snprintf(names[0], sizeof names[0], "%s/%u/%u", path, i % 7, i % 11);
        if (epio_perform(
                epio_open(&op, epio_os_vfs(), names[0], EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)) == 0) {
            (void)epio_perform(epio_close(&op, op.file));
        }
        (void)snprintf(names[0], sizeof names[0], "%s/%u", path, i % 5);
        (void)snprintf(names[1], sizeof names[1], "%s/%u/%u", path, i % 3, i % 13);
        (void)epio_perform(epio_rename(&op, epio_os_vfs(), names[0], names[1], 0));
    }
    return NULL;
}

static void others_change_it_meanwhile(fixture *f)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", fixture_path(f, "tree"));
    for (unsigned i = 0; i < fixture_rounds(30); i++) {
        epio_op op = {0};
        test_thread thread;
        (void)tree_make_sample(f, "tree", 1, 4);
        thread_start(&thread, disturb, path);
        errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP, .thread = thread_self()};
        int64_t result = remove_with(f, "tree", (epio_tree_options){.error = tree_note_error});
        (void)thread_join(thread);
        check(result >= 0);
        int64_t rest = epio_perform(epio_remove_tree(&op, epio_os_vfs(), path, NULL));
        check(rest > 0 || rest == EPIO_ENOENT);
        check_result(fixture_exists(f, "tree"), 0);
        f->names_used = 0;
    }
}

#if EPIO_ASYNC

static void cancels_end_it(fixture *f)
{
    for (unsigned i = 0; i < fixture_rounds(30); i++) {
        epio_op op = {0};
        uint64_t made = tree_make_sample(f, "tree", 2, 5);
        const char *path = fixture_path(f, "tree");
        epio_submit(epio_remove_tree(&op, f->vfs, path, NULL));
        uint64_t until = epio_clock_monotonic() + i * 50000;
        while (epio_clock_monotonic() < until && epio_op_pending(&op)) {
            (void)epio_loop_poll(f->loop, 10000, 16);
        }
        epio_cancel(&op);
        int64_t result = epio_op_pending(&op) ? epio_wait(&op) : op.result;
        check(result == (int64_t)made || result == EPIO_ECANCELED);
        memset(&op, 0, sizeof op);
        result = epio_wait(epio_remove_tree(&op, f->vfs, path, NULL));
        check(result > 0 || result == EPIO_ENOENT);
        f->names_used = 0;
    }
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(trees_are_removed, ON_ANY),
        FIXTURE_TEST(links_are_removed_not_followed, ON_ANY),
        FIXTURE_TEST(roots_are_refused, ON_ANY),
        FIXTURE_TEST(deep_trees_are_copied_and_removed,
                     ON_OS_PERFORM | ON_OS_ONCE | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_bush_is_removed, ON_OS_PERFORM | ON_OS_ONCE | ON_MEMORY | ON_LIMIT_OS_3),
        FIXTURE_TEST(the_callback_decides, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(every_failure_is_reported, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(others_change_it_meanwhile, ON_OS_PERFORM | ON_OS_ONCE),
#if EPIO_ASYNC
        FIXTURE_TEST(cancels_end_it, ON_OS | ON_MEMORY | ON_LIMIT_OS),
#endif
    };
    return FIXTURE_RUN("remove_tree", tests);
}
