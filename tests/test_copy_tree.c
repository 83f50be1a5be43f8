/* epio_copy_tree: what is copied, with which flags; errors and what the callback says; cancels and
 * failures leave no file in part. EPIO_TEST_WITHOUT_LOOP: epio_perform copies, too. */
#include "op_faults.h"
#include "tree_copies.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define errors tree_errors_seen

static int64_t copy_with(fixture *f, const char *from, const char *to, epio_tree_options options)
{
    epio_op op = {0};
    errors.thread = thread_self();
    options.size = sizeof options;
    return fixture_result(
        f, epio_copy_tree(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), &options));
}

static int64_t copy_tree(fixture *f, const char *from, const char *to, uint32_t flags)
{
    return copy_with(f, from, to, (epio_tree_options){.flags = flags});
}

static uint64_t check_same(fixture *f, const char *one, const char *other)
{
    return tree_check_same(f->vfs, fixture_path(f, one), f->vfs, fixture_path(f, other),
                           IS_POSIX_TREE(f));
}

static uint64_t count_of(fixture *f, const char *name)
{
    return tree_count(f->vfs, fixture_path(f, name));
}

/* ---- What is copied ---- */

static void trees_are_copied(fixture *f)
{
    epio_op op = {0};
    uint64_t made = tree_make_sample(f, "from", 3, 5);
    check_op(f, epio_copy_tree(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), NULL),
             made);
    check_result(op.os_error, 0);
    check_result(check_same(f, "from", "to"), made);
    check_result(copy_tree(f, "from", "to", 0), EPIO_EEXIST);
    check_result(count_of(f, "to"), made);
    check_result(copy_tree(f, "to", "again", EPIO_COPY_METADATA | EPIO_COPY_DURABLE), made);
    check_result(check_same(f, "from", "again"), made);
    check_result(copy_tree(f, "from", "whole", EPIO_COPY_WHOLE), made);
    check_result(check_same(f, "from", "whole"), made);
}

static void empty_directories_and_files_are_copied(fixture *f)
{
    fixture_make_directory(f, "from");
    check_result(copy_tree(f, "from", "to", 0), 1);
    check_result(count_of(f, "to"), 1);
    fixture_put(f, "file", "abc", 3);
    check_result(copy_tree(f, "file", "other", 0), 1);
    check_content(f, "other", "abc", 3);
    check_result(copy_tree(f, "file", "file", 0), EPIO_EINVAL);
    check_result(copy_tree(f, "file", "to", 0), EPIO_EISDIR);
    check_result(copy_tree(f, "none", "new", 0), EPIO_ENOENT);
    check_result(copy_tree(f, "from", "none/to", 0), EPIO_ENOENT);
    check_result(copy_tree(f, "from", "file", EPIO_COPY_MERGE), EPIO_ENOTDIR);
}

static void a_wide_directory_is_copied(fixture *f)
{
    const unsigned width = fixture_rounds(3000);
    fixture_make_directory(f, "from");
    for (unsigned i = 0; i < width; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "from/%u %s", i, "a name of some length");
        if (i % 50 == 0) {
            fixture_make_directory(f, name);
        } else {
            fixture_put(f, name, name, i % 10);
        }
        f->names_used = 0;
    }
    check_result(copy_tree(f, "from", "to", 0), width + 1);
    check_result(check_same(f, "from", "to"), width + 1);
}

/* ---- Merging ---- */

static void trees_are_merged(fixture *f)
{
    uint64_t made = tree_make_sample(f, "from", 1, 3);
    fixture_make_directory(f, "to");
    fixture_make_directory(f, "to/directory 0");
    fixture_put(f, "to/directory 0/file 0", "old", 3);
    fixture_put(f, "to/own", "own", 3);
    check_result(copy_tree(f, "from", "to", EPIO_COPY_MERGE | EPIO_COPY_NO_REPLACE), made - 1);
    check_content(f, "to/directory 0/file 0", "old", 3);
    check_content(f, "to/own", "own", 3);
    check_result(count_of(f, "to"), made + 1);
    check_result(copy_tree(f, "from", "to", EPIO_COPY_MERGE), made);
    check_content(f, "to/own", "own", 3);
    check_content(f, "to/directory 0/file 0", "", 0);
    check_result(count_of(f, "to"), made + 1);
    check_result(tree_delete(f, "to/own"), 0);
    check_result(check_same(f, "from", "to"), made);
    check_result(copy_tree(f, "from", "new", EPIO_COPY_MERGE), made);
}

static void what_is_in_the_way_is_an_error(fixture *f)
{
    fixture_make_directory(f, "from");
    fixture_make_directory(f, "from/a");
    fixture_put(f, "from/a/file", "1", 1);
    fixture_put(f, "from/b", "2", 1);
    fixture_make_directory(f, "to");
    fixture_put(f, "to/a", "file", 4);
    fixture_make_directory(f, "to/b");
    errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP};
    check_result(copy_with(f, "from", "to",
                           (epio_tree_options){.flags = EPIO_COPY_MERGE, .error = tree_note_error}),
                 1);
    check_result(errors.count, 2);
    check_content(f, "to/a", "file", 4);
}

/* ---- Into itself ---- */

static const char *reason_of_stop;

static uint32_t stop_with_reason(epio_op *op, const epio_tree_error *error)
{
    (void)op;
    reason_of_stop = error->reason;
    return EPIO_ON_ERROR_STOP;
}

static void a_tree_is_not_copied_into_itself(fixture *f)
{
    epio_op op = {0};
    fixture_make_directory(f, "from");
    fixture_make_directory(f, "from/inner");
    fixture_make_directory(f, "fromage");
    check_result(copy_tree(f, "from", "from", EPIO_COPY_MERGE), EPIO_EINVAL);
    check_result(copy_tree(f, "from", "from/to", 0), EPIO_EINVAL);
    check_result(copy_tree(f, "from", "from/inner/to", 0), EPIO_EINVAL);
    check_result(copy_tree(f, "from", "from/inner", EPIO_COPY_MERGE), EPIO_EINVAL);
    check_result(copy_tree(f, "from", "fromage/../from/to", 0), EPIO_EINVAL);
    check_op(f,
             epio_copy_tree(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "from/x"), NULL),
             EPIO_EINVAL);
    const char *reason = epio_op_invalid_reason(&op);
    check(reason != NULL && strstr(reason, "into itself") != NULL);
    epio_tree_options options = {.size = sizeof options, .error = stop_with_reason};
    reason_of_stop = NULL;
    check_op(
        f,
        epio_copy_tree(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "from/x"), &options),
        EPIO_EINVAL);
    check(reason_of_stop != NULL && strstr(reason_of_stop, "into itself") != NULL);
    check_result(count_of(f, "from"), 2);
    check_result(copy_tree(f, "from", "fromage/to", 0), 2);
    if (tree_try_symlink(f, "from/inner", "link")) {
        check_result(copy_tree(f, "from", "link/to", 0), EPIO_EINVAL);
    }
    check_result(count_of(f, "from"), 2);
}

/* ---- Links ---- */

static void links_are_copied_as_links(fixture *f)
{
    fixture_make_directory(f, "from");
    fixture_make_directory(f, "from/inner");
    fixture_put(f, "from/inner/file", "abc", 3);
    fixture_make_directory(f, "outside");
    fixture_put(f, "outside/file", "xyz", 3);
    if (!tree_try_symlink(f, "../outside", "from/link") ||
        !tree_try_symlink(f, "none", "from/dangling") || !tree_try_symlink(f, ".", "from/loop")) {
        fixture_skip(f, "no symbolic links here");
    }
    check_result(copy_tree(f, "from", "to", EPIO_COPY_METADATA), 6);
    check_result(check_same(f, "from", "to"), 6);
    check_result(copy_tree(f, "from/link", "link", 0), 1);
    check_result(tree_stat(f, "link", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP};
    check_result(
        copy_with(f, "from", "followed",
                  (epio_tree_options){.flags = EPIO_COPY_FOLLOW, .error = tree_note_error}),
        5);
    check_result(errors.count, 2); /* the dangling one and the loop */
    check_content(f, "followed/link/file", "xyz", 3);
    check_result(count_of(f, "followed"), 5);
    check_result(tree_stat(f, "followed/link", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_DIRECTORY);
    check_result(copy_tree(f, "from", "stopped", EPIO_COPY_FOLLOW) < 0, true);
    /* Nobody is led out by a link in the target. */
    fixture_make_directory(f, "merged");
    check(tree_try_symlink(f, "../outside", "merged/inner"));
    check(tree_try_symlink(f, "../outside/file", "merged/other"));
    fixture_put(f, "from/other", "new", 3);
    errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP};
    (void)copy_with(f, "from", "merged",
                    (epio_tree_options){.flags = EPIO_COPY_MERGE, .error = tree_note_error});
    check_content(f, "outside/file", "xyz", 3);
    check_content(f, "merged/other", "new", 3);
    check_result(count_of(f, "outside"), 2);
    check_result(errors.count, 1);
}

static void names_of_one_file_stay_its_names(fixture *f)
{
    fixture_make_directory(f, "from");
    fixture_make_directory(f, "from/inner");
    fixture_put(f, "from/file", "abc", 3);
    fixture_put(f, "outside", "xyz", 3);
    if (tree_link(f, "from/file", "from/inner/same") != 0) {
        fixture_skip(f, "no hard links here");
    }
    check_result(tree_link(f, "from/file", "from/third"), 0);
    check_result(tree_link(f, "outside", "from/out"), 0);
    for (int i = 0; i < 2; i++) { /* the second time over the first */
        check_result(copy_tree(f, "from", "to", EPIO_COPY_MERGE), 6);
        check_result(check_same(f, "from", "to"), 6);
        check(tree_is_same(f, "to/file", "to/inner/same") &&
              tree_is_same(f, "to/file", "to/third"));
        check(!tree_is_same(f, "to/file", "from/file") && !tree_is_same(f, "to/out", "outside"));
        check_result(tree_stat(f, "to/file", 0).links, 3);
    }
}

/* ---- Metadata ---- */

static void permissions_and_times_come_after_the_contents(fixture *f)
{
    const int64_t then = INT64_C(1000000000) * 1000000000;
    epio_times times = EPIO_TIMES_INIT;
    epio_op op = {0};
    fixture_make_directory(f, "from");
    fixture_make_directory(f, "from/inner");
    fixture_put(f, "from/inner/file", "abc", 3);
    times.modified = then;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "from/inner"), &times, 0), 0);
    check_result(tree_set_mode(f, "from/inner", 0555), 0);
    check_result(copy_tree(f, "from", "to", 0), 3);
    check_result(tree_stat(f, "to/inner", 0).mode & 0777, 0555);
    check(tree_stat(f, "to/inner", 0).modified != then);
    check_result(copy_tree(f, "from", "all", EPIO_COPY_METADATA), 3);
    check_result(tree_stat(f, "all/inner", 0).mode & 0777, 0555);
    check(tree_stat(f, "all/inner", 0).modified == then);
    check_content(f, "all/inner/file", "abc", 3);
    check_result(tree_set_mode(f, "from/inner", 0755), 0);
    check_result(tree_set_mode(f, "to/inner", 0755), 0);
    check_result(tree_set_mode(f, "all/inner", 0755), 0);
}

/* ---- Errors ---- */

static uint64_t run_with_fault(fixture *f, epio_vfs *vfs, op_faults *faults, uint32_t kind,
                               uint32_t times, int64_t *result)
{
    epio_op op = {0};
    epio_tree_options options = {.size = sizeof options, .error = tree_note_error};
    errors.thread = thread_self();
    faults->kind = kind;
    faults->skip = 6;
    faults->times = times;
    faults->result = EPIO_EIO;
    faults->os_error = 5;
    memset(faults->counts, 0, sizeof faults->counts);
    *result = epio_perform(
        epio_copy_tree(&op, vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options));
    if (*result < 0) {
        check_result(op.os_error, 5);
    }
    faults->times = 0;
    return errors.count;
}

static void the_callback_decides(fixture *f)
{
    static const uint8_t kinds[] = {EPIO_KIND_OPEN, EPIO_KIND_READ, EPIO_KIND_WRITE,
                                    EPIO_KIND_MKDIR};
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    uint64_t made = tree_make_sample(f, "from", 2, 4);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int64_t result;
        errors = (tree_errors){.answer = EPIO_ON_ERROR_AGAIN, .again = 10};
        check_result(run_with_fault(f, vfs, &faults, kinds[i], 2, &result), 2);
        check_result(result, made);
        check(errors.last.error == EPIO_EIO && errors.last.os_error == 5);
        /* Of larger files bytes may be read and written by a copy_range. */
        check(strcmp(errors.last.verb, epio_kind_name(kinds[i])) == 0 ||
              strcmp(errors.last.verb, "copy_range") == 0);
        check_result(check_same(f, "from", "to"), made);
        check_result(
            epio_perform(epio_remove_tree(&(epio_op){0}, f->vfs, fixture_path(f, "to"), NULL)),
            made);
        errors = (tree_errors){.answer = EPIO_ON_ERROR_SKIP};
        check_result(run_with_fault(f, vfs, &faults, kinds[i], 1, &result), 1);
        check(result > 0 && result < (int64_t)made);
        check_result(epio_perform(epio_remove_tree(&(epio_op){0}, f->vfs, fixture_path(f, "to"),
                                                   NULL)) >= result,
                     true);
        errors = (tree_errors){.answer = EPIO_ON_ERROR_STOP};
        check_result(run_with_fault(f, vfs, &faults, kinds[i], 1, &result), 1);
        check_result(result, EPIO_EIO);
        check(epio_perform(epio_remove_tree(&(epio_op){0}, f->vfs, fixture_path(f, "to"), NULL)) >
              0);
    }
    epio_vfs_destroy(vfs);
}

/* Every file that is there is whole. */
static void check_whole(fixture *f, const char *name, unsigned depth)
{
    static const size_t sizes[] = {0, 1, 100, 5000, 70000, 200000, 33};
    uint64_t buffer[1024];
    epio_op op = {0};
    if (fixture_exists(f, name) == 0) {
        return;
    }
    epio_file *directory = tree_open_directory(f, name);
    int64_t len;
    while ((len = fixture_result(f, epio_list(&op, directory, buffer, sizeof buffer, 0))) > 0) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
            char inner[1024];
            unsigned number;
            (void)snprintf(inner, sizeof inner, "%s/%s", name, epio_entry_name(entry));
            if (sscanf(epio_entry_name(entry), "file %u", &number) == 1) {
                check_result(tree_stat(f, inner, 0).bytes, sizes[(number + depth) % COUNT(sizes)]);
            } else {
                check(strncmp(epio_entry_name(entry), "directory ", 10) == 0 && depth != 0);
                check_whole(f, inner, depth - 1);
            }
        }
    }
    check_result(len, 0);
    fixture_close(f, directory);
}

static void every_failure_leaves_whole_files(fixture *f)
{
    static const uint8_t kinds[] = {
        EPIO_KIND_OPEN,           EPIO_KIND_READ,         EPIO_KIND_WRITE,
        EPIO_KIND_FILE_STAT,      EPIO_KIND_LIST,         EPIO_KIND_COPY_RANGE,
        EPIO_KIND_MKDIR,          EPIO_KIND_SYNC,         EPIO_KIND_FILE_SET_TIMES,
        EPIO_KIND_SYNC_DIRECTORY, EPIO_KIND_FILE_SET_MODE};
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    uint64_t made = tree_make_sample(f, "from", 1, 3);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (uint32_t skip = 0;; skip += 1 + skip / 6) {
            epio_op op = {0};
            epio_tree_options options = {.size = sizeof options,
                                         .flags = EPIO_COPY_METADATA | EPIO_COPY_DURABLE};
            faults.kind = kinds[i];
            faults.skip = skip;
            faults.times = 1;
            faults.result = EPIO_EIO;
            faults.os_error = 5;
            memset(faults.counts, 0, sizeof faults.counts);
            int64_t result = epio_perform(
                epio_copy_tree(&op, vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options));
            bool failed = faults.counts[kinds[i]] > skip;
            faults.times = 0;
            f->names_used = 0;
            check(result == (int64_t)made || (failed && result == EPIO_EIO));
            check_whole(f, "to", 1);
            (void)epio_perform(epio_remove_tree(&op, f->vfs, fixture_path(f, "to"), NULL));
            check_result(fixture_exists(f, "to"), 0);
            if (!failed) {
                break;
            }
        }
    }
    epio_vfs_destroy(vfs);
}

/* ---- Two VFSes ---- */

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
    uint64_t made = tree_make_sample(f, "from", 2, 5);
    check_result(memory_vfs_make(&memory, loop, f->directory), 0);
    options.to_vfs = memory;
    check_op(f,
             epio_copy_tree(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options),
             made);
    check_result(
        tree_check_same(f->vfs, fixture_path(f, "from"), memory, fixture_path(f, "to"), false),
        made);
    options.to_vfs = f->vfs;
    check_op(f,
             epio_copy_tree(&op, memory, fixture_path(f, "to"), fixture_path(f, "back"), &options),
             made);
    check_result(check_same(f, "from", "back"), made);
    epio_vfs_destroy(memory);
}

static void from_and_to_directories(fixture *f)
{
    epio_op op = {0};
    epio_tree_options options = {.size = sizeof options};
    uint64_t made = tree_make_sample(f, "from", 2, 3);
    fixture_make_directory(f, "place");
    epio_file *from = tree_open_directory(f, "from");
    epio_file *place = tree_open_confining(f, "place");
    options.to_vfs = epio_directory_vfs(place);
    check_op(f, epio_copy_tree(&op, epio_directory_vfs(from), ".", "to", &options), made);
    check_op(f, epio_copy_tree(&op, epio_directory_vfs(from), "directory 0", "../out", &options),
             EPIO_EACCES);
    check_op(f, epio_copy_tree(&op, epio_directory_vfs(from), ".", "to/x", NULL), EPIO_ENOENT);
    check_op(f, epio_copy_tree(&op, epio_directory_vfs(from), ".", "x", NULL), EPIO_EINVAL);
    fixture_close(f, from);
    fixture_close(f, place);
    check_result(check_same(f, "from", "place/to"), made);
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

static void cancels_leave_whole_files(fixture *f)
{
    uint64_t made = tree_make_sample(f, "from", 3, 6);
    for (unsigned i = 0; i < fixture_rounds(40); i++) {
        epio_op op = {0};
        op.timeout_ns = i % 2 == 0 ? 1 + i * 100000 : 0;
        epio_submit(
            epio_copy_tree(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), NULL));
        uint64_t until = epio_clock_monotonic() + i * 100000;
        while (i % 2 == 1 && epio_clock_monotonic() < until && epio_op_pending(&op)) {
            (void)epio_loop_poll(f->loop, 10000, 16);
        }
        if (i % 2 == 1) {
            epio_cancel(&op);
        }
        int64_t result = epio_op_pending(&op) ? epio_wait(&op) : op.result;
        check(result == (int64_t)made || result == (i % 2 == 0 ? EPIO_ETIMEDOUT : EPIO_ECANCELED));
        check_whole(f, "to", 3);
        memset(&op, 0, sizeof op);
        int64_t removed = epio_wait(epio_remove_tree(&op, f->vfs, fixture_path(f, "to"), NULL));
        check(removed > 0 || removed == EPIO_ENOENT);
        f->names_used = 0;
    }
}

static void the_callback_may_cancel(fixture *f)
{
    epio_op op = {0};
    epio_tree_options options = {.size = sizeof options, .error = tree_note_error};
    (void)tree_make_sample(f, "from", 1, 3);
    (void)tree_make_sample(f, "to", 0, 3);
    errors = (tree_errors){
        .answer = EPIO_ON_ERROR_AGAIN, .again = 1000, .thread = thread_self(), .cancels = true};
    check_result(epio_wait(epio_copy_tree(&op, f->vfs, fixture_path(f, "from"),
                                          fixture_path(f, "to"), &options)),
                 EPIO_ECANCELED);
    check_result(errors.count, 1);
}

static void progress_grows(fixture *f)
{
    epio_op op = {0};
    epio_progress_info info = {.size = sizeof info};
    uint64_t made = tree_make_sample(f, "from", 3, 6);
    uint64_t files = 0;
    bool named = false;
    char to[16];
    for (unsigned i = 0; !named; i++) {
        files = 0;
        (void)snprintf(to, sizeof to, "to %u", i);
        epio_submit(
            epio_copy_tree(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, to), NULL));
        while (epio_op_pending(&op)) {
            if (epio_progress(&op, &info) == 0) {
                check(info.files >= files && info.files <= made && info.skipped == 0);
                check(info.files <= info.total_files && info.bytes <= info.total_bytes);
                check(strlen(info.path) < sizeof info.path);
                named = named || info.path[0] != '\0';
                files = info.files;
            }
            (void)epio_loop_poll(f->loop, 10000, 16);
        }
        check_result(op.result, made);
    }
}

static void two_loops_copy_one_tree(fixture *f)
{
    epio_loop *loop;
    epio_op ops[2] = {{0}, {0}};
    uint64_t made = tree_make_sample(f, "from", 3, 5);
    check_result(epio_loop_create(&loop, NULL), 0);
    epio_submit(
        epio_copy_tree(&ops[0], f->vfs, fixture_path(f, "from"), fixture_path(f, "one"), NULL));
    epio_submit(epio_copy_tree(&ops[1], epio_loop_vfs(loop), fixture_path(f, "from"),
                               fixture_path(f, "two"), NULL));
    check_result(epio_wait(&ops[0]), made);
    check_result(epio_wait(&ops[1]), made);
    epio_loop_destroy(loop);
    check_result(check_same(f, "one", "two"), made);
}

static void a_closing_loop_ends_it(fixture *f)
{
    epio_loop *loop;
    epio_op op = {0};
    int delivered = 0;
    uint64_t made = tree_make_sample(f, "from", 3, 6);
    check_result(epio_loop_create(&loop, NULL), 0);
    epio_submit(epio_copy_tree(count_delivery(&op, &delivered), epio_loop_vfs(loop),
                               fixture_path(f, "from"), fixture_path(f, "to"), NULL));
    (void)epio_loop_poll(loop, 1000000, 16);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check(delivered == 1 && (op.result == EPIO_ECANCELED || op.result == (int64_t)made));
    epio_loop_destroy(loop);
    check_whole(f, "to", 3);
}

#endif

static uint32_t try_again(epio_op *op, const epio_tree_error *error)
{
    (void)op;
    check(error->error == EPIO_EIO);
    return EPIO_ON_ERROR_AGAIN;
}

/* The last error before it is not why the op ends. */
static void a_deadline_ends_the_tries(fixture *f)
{
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    epio_tree_options options = {.size = sizeof options, .error = try_again};
    epio_op op = EPIO_OP_INIT;
    fixture_make_directory(f, "from");
    fixture_put(f, "from/file", "abc", 3);
    faults.kind = EPIO_KIND_READ;
    faults.times = UINT32_MAX;
    faults.result = EPIO_EIO;
    faults.os_error = 5;
    (void)epio_copy_tree(&op, vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options);
    op.timeout_ns = 50 * MILLISECOND;
#if EPIO_ASYNC
    check_result(f->performs ? epio_perform(&op) : epio_wait(&op), EPIO_ETIMEDOUT);
#else
    check_result(epio_perform(&op), EPIO_ETIMEDOUT);
#endif
    epio_vfs_destroy(vfs);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(trees_are_copied, ON_ANY),
        FIXTURE_TEST(empty_directories_and_files_are_copied, ON_ANY),
        FIXTURE_TEST(a_wide_directory_is_copied, ON_OS_ONCE | ON_MEMORY_PERFORM | ON_LIMIT_OS),
        FIXTURE_TEST(trees_are_merged, ON_ANY),
        FIXTURE_TEST(what_is_in_the_way_is_an_error, ON_ANY),
        FIXTURE_TEST(a_tree_is_not_copied_into_itself, ON_ANY),
        FIXTURE_TEST(links_are_copied_as_links, ON_ANY),
        FIXTURE_TEST(names_of_one_file_stay_its_names, ON_ANY),
        FIXTURE_TEST_POSIX(permissions_and_times_come_after_the_contents, ON_ANY,
                           "directories have no POSIX modes there"),
        FIXTURE_TEST(the_callback_decides, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_deadline_ends_the_tries, ON_OS_PERFORM | ON_OS | ON_MEMORY),
        FIXTURE_TEST(every_failure_leaves_whole_files, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(between_two_vfses, ON_ANY),
        FIXTURE_TEST(from_and_to_directories, ON_OS_ONCE | ON_OS_PERFORM | ON_MEMORY | ON_TRACE_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(cancels_leave_whole_files, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(the_callback_may_cancel, ON_OS | ON_MEMORY),
        FIXTURE_TEST(progress_grows, ON_OS | ON_MEMORY),
        FIXTURE_TEST(two_loops_copy_one_tree, ON_OS),
        FIXTURE_TEST(a_closing_loop_ends_it, ON_OS),
#endif
    };
    return FIXTURE_RUN("copy_tree", tests);
}
