/* epio_walk: what it reports of a tree, in which order, and what ends it.
 * EPIO_TEST_WITHOUT_LOOP: epio_perform walks, too. */
#include "support.h"

#include <stdatomic.h>

#define ON_TREE ON_ANY

#define MOST_REPORTED 4096u

/* The C library's lists have one of their own. */
#if defined(__linux__)
#define DESCRIPTORS_OF_DIRECTORY 1
#else
#define DESCRIPTORS_OF_DIRECTORY 2
#endif

/* What the walk that is running has reported. */
typedef struct report {
    fixture *f;
    epio_op *op;
    char *paths[MOST_REPORTED];
    epio_walk_entry entries[MOST_REPORTED];
    epio_info infos[MOST_REPORTED];
    size_t count;
    size_t total; /* also beyond MOST_REPORTED */
    size_t errors;
    size_t calls;
    uintptr_t thread;
    uint32_t deepest;
    bool (*then)(struct report *all, epio_walk_entry *entries, size_t count);
    const char *leave_out; /* directories of this name */
    int most_descriptors;
    atomic_bool go;
} report;

static report all;

static void forget(fixture *f)
{
    for (size_t i = 0; i < all.count; i++) {
        free(all.paths[i]);
    }
    memset(&all, 0, sizeof all);
    all.f = f;
    all.thread = thread_self();
}

static bool note(epio_op *op, epio_walk_entry *entries, size_t count)
{
    check(count != 0 && thread_self() == all.thread);
    all.op = op;
    all.calls++;
    for (size_t i = 0; i < count; i++) {
        epio_walk_entry *one = &entries[i];
        const char *slash = strrchr(one->path, '/');
        check(strcmp(one->name, slash != NULL ? slash + 1 : one->path) == 0);
        all.total++;
        all.errors += one->error != 0;
        all.deepest = one->depth > all.deepest ? one->depth : all.deepest;
        if (all.leave_out != NULL && strcmp(one->name, all.leave_out) == 0) {
            check(one->enter);
            one->enter = false;
        }
        if (all.count == MOST_REPORTED) {
            continue;
        }
        all.paths[all.count] = strdup(one->path);
        all.entries[all.count] = *one;
        if (one->info != NULL) {
            all.infos[all.count] = *one->info;
        }
        all.count++;
    }
    return all.then == NULL || all.then(&all, entries, count);
}

/* How often a path was reported, and where the last time. */
static size_t times(const char *path, size_t *at)
{
    size_t found = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (strcmp(all.paths[i], path) == 0) {
            *at = i;
            found++;
        }
    }
    return found;
}

static size_t index_of(const char *path)
{
    size_t at = 0;
    if (times(path, &at) != 1) {
        print_error("%s was reported %u times\n", path, (unsigned)times(path, &at));
        check(false);
    }
    return at;
}

static int64_t walk(fixture *f, const char *name, epio_walk_options options)
{
    epio_op op = {0};
    options.size = sizeof options;
    options.entries = note;
    int64_t result = fixture_result(f, epio_walk(&op, f->vfs, fixture_path(f, name), &options));
    if (result >= 0) {
        check(result == (int64_t)all.total && op.os_error == 0);
    }
    return result;
}

#define WALK(f, name, ...) walk(f, name, (epio_walk_options){__VA_ARGS__})

/* ---- Trees ----------------------------------------------------------------------------- */

static epio_file *open_directory(fixture *f, epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    return op.file;
}

/* Closes a directory and opens another, by a path from there. */
static epio_file *go(fixture *f, epio_file *from, const char *path)
{
    epio_file *to = open_directory(f, epio_directory_vfs(from), path);
    fixture_close(f, from);
    return to;
}

static void make_directory(fixture *f, epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, vfs, path, EPIO_MKDIR_PARENTS), 0);
}

static void make_file(fixture *f, epio_vfs *vfs, const char *path, const char *content)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *file = op.file;
    if (content[0] != '\0') {
        fixture_write(f, file, content, strlen(content), 0);
    }
    fixture_close(f, file);
}

/* False: links need a privilege here (Windows), or there are none (Wine, which says that it has
 * made one). */
static bool make_link(fixture *f, epio_vfs *vfs, const char *target, const char *path)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    int64_t result = fixture_result(f, epio_symlink(&op, vfs, target, path, 0));
    if (SYSTEM_IS_POSIX || f->memory) {
        check_result(result, 0);
        return true;
    }
    check(result == 0 || result == EPIO_EPERM);
    return fixture_result(f, epio_stat(&op, vfs, path, &info, EPIO_STAT_NOFOLLOW)) == 0;
}

static const char *const sorted_paths[] = {"B",   "a",   "a.txt",  "empty", "link",
                                           "z",   "a/b", "a/file", "a/b/c", "a/b/x",
                                           "z/0", "z/1", "z/2",    "z/1/q"};
#define SORTED_COUNT (sizeof sorted_paths / sizeof sorted_paths[0])

static bool has_link; /* the tree that was made last */
#define TREE_COUNT (SORTED_COUNT - (has_link ? 0 : 1))

static bool is_in_tree(const char *path)
{
    return has_link || strcmp(path, "link") != 0;
}

static void make_tree(fixture *f)
{
    forget(f);
    make_directory(f, f->vfs, fixture_path(f, "tree"));
    epio_file *tree = open_directory(f, f->vfs, fixture_path(f, "tree"));
    epio_vfs *vfs = epio_directory_vfs(tree);
    make_directory(f, vfs, "a/b");
    make_directory(f, vfs, "empty");
    make_directory(f, vfs, "z/1");
    make_file(f, vfs, "B", "12345");
    make_file(f, vfs, "a.txt", "");
    make_file(f, vfs, "a/file", "123");
    make_file(f, vfs, "a/b/c", "1");
    make_file(f, vfs, "a/b/x", "12");
    make_file(f, vfs, "z/0", "");
    make_file(f, vfs, "z/2", "");
    make_file(f, vfs, "z/1/q", "");
    has_link = make_link(f, vfs, "a", "link");
    fixture_close(f, tree);
}

/* ---- What is reported ---------------------------------------------------------------------- */

static void all_entries_are_reported_once(fixture *f)
{
    make_tree(f);
    check_result(WALK(f, "tree", .flags = 0), TREE_COUNT);
    for (size_t i = 0; i < SORTED_COUNT; i++) {
        const char *path = sorted_paths[i];
        if (!is_in_tree(path)) {
            continue;
        }
        const epio_walk_entry *one = &all.entries[index_of(path)];
        uint32_t depth = 1;
        for (const char *at = path; *at != '\0'; at++) {
            depth += *at == '/';
        }
        bool is_directory = strcmp(path, "a") == 0 || strcmp(path, "a/b") == 0 ||
                            strcmp(path, "empty") == 0 || strcmp(path, "z") == 0 ||
                            strcmp(path, "z/1") == 0;
        check(one->depth == depth && one->error == 0 && one->id != 0);
        check((one->info != NULL) == (f->memory || !SYSTEM_IS_POSIX)); /* given with the name */
        check(one->enter == is_directory && is_directory == (one->type == EPIO_TYPE_DIRECTORY));
    }
    check(!has_link || all.entries[index_of("link")].type == EPIO_TYPE_LINK);
    check(index_of("a") < index_of("a/b") && index_of("a/b") < index_of("a/b/c"));
}

static void stat_says_what_they_are(fixture *f)
{
    make_tree(f);
    check_result(WALK(f, "tree", .flags = EPIO_WALK_STAT), TREE_COUNT);
    for (size_t i = 0; i < all.count; i++) {
        const epio_info *info = &all.infos[i];
        check(all.entries[i].info != NULL && info->type == all.entries[i].type);
        check(all.entries[i].id == info->id[0]);
    }
    check(all.infos[index_of("B")].bytes == 5 && all.infos[index_of("a/file")].bytes == 3);
    check(all.infos[index_of("a/b/x")].bytes == 2);
    check(!has_link || all.infos[index_of("link")].type == EPIO_TYPE_LINK);
}

static void sorted_is_one_order(fixture *f)
{
    make_tree(f);
    check_result(WALK(f, "tree", .flags = EPIO_WALK_SORTED), TREE_COUNT);
    size_t at = 0;
    for (size_t i = 0; i < SORTED_COUNT; i++) {
        check(!is_in_tree(sorted_paths[i]) || strcmp(all.paths[at++], sorted_paths[i]) == 0);
    }
}

static void a_directory_can_be_left_out(fixture *f)
{
    size_t at = 0;
    make_tree(f);
    all.leave_out = "a";
    check_result(WALK(f, "tree", .flags = 0), TREE_COUNT - 4);
    check(times("a", &at) == 1 && times("a/b", &at) == 0 && times("z/1/q", &at) == 1);
}

static void depth_is_limited(fixture *f)
{
    make_tree(f);
    check_result(WALK(f, "tree", .most_depth = 1), TREE_COUNT - 8);
    check(!all.entries[index_of("a")].enter);
    forget(f);
    check_result(WALK(f, "tree", .most_depth = 2), TREE_COUNT - 3);
    check(all.entries[index_of("a")].enter && !all.entries[index_of("a/b")].enter);
}

static void without_a_callback_they_are_counted(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    check_op(f, epio_walk(&op, f->vfs, fixture_path(f, "tree"), NULL), TREE_COUNT);
    check_op(f, epio_walk(&op, f->vfs, fixture_path(f, "tree/empty"), NULL), 0);
}

static void a_directory_is_a_vfs_to_walk(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    epio_walk_options options = {.size = sizeof options, .entries = note};
    epio_file *tree = open_directory(f, f->vfs, fixture_path(f, "tree"));
    check_op(f, epio_walk(&op, epio_directory_vfs(tree), "a", &options), 4);
    (void)index_of("b/c");
    check_op(f, epio_walk(&op, epio_directory_vfs(tree), ".", &options), TREE_COUNT);
    if (has_link) {
        check_op(f, epio_walk(&op, epio_directory_vfs(tree), "link", &options), 4);
    }
    fixture_close(f, tree);
}

static void what_is_wrong_is_refused(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    check_result(WALK(f, "missing", .flags = 0), EPIO_ENOENT);
    check_result(WALK(f, "tree/B", .flags = 0), EPIO_ENOTDIR);
    check_result(WALK(f, "tree", .flags = 16), EPIO_EINVAL);
    epio_walk_options small = {.size = sizeof(size_t)};
    check_op(f, epio_walk(&op, f->vfs, fixture_path(f, "tree"), &small), EPIO_EINVAL);
    check_op(f, epio_walk(&op, f->vfs, "", NULL), EPIO_EINVAL);
    check(all.calls == 0);
    check_op(f, epio_walk(&op, f->vfs, fixture_path(f, "missing"), NULL), EPIO_ENOENT);
    check(f->memory || op.os_error != 0);
}

static void what_cannot_be_read_is_reported_again(fixture *f)
{
    size_t at = 0;
    epio_op op = {0};
    make_tree(f);
    const char *path = fixture_path(f, "tree/z");
    check_op(f, epio_set_mode(&op, f->vfs, path, 0, 0), 0);
    if (epio_perform(epio_access(&op, epio_os_vfs(), path, EPIO_ACCESS_READ)) != 0) {
        check_op(f, epio_set_mode(&op, f->vfs, path, 0700, 0), 0);
        fixture_skip(f, "this user may read all");
    }
    check_result(WALK(f, "tree", .flags = EPIO_WALK_STAT), TREE_COUNT - 4 + 1);
    check(times("z", &at) == 2 && all.errors == 1);
    check(all.entries[at].error == EPIO_EACCES && (f->memory || all.entries[at].os_error != 0));
    check(all.entries[at].info == NULL && !all.entries[at].enter && all.entries[at].depth == 1);
    check(times("a/b/c", &at) == 1);

    /* It may be listed, but not looked into. */
    forget(f);
    check_op(f, epio_set_mode(&op, f->vfs, path, 0400, 0), 0);
    check_result(WALK(f, "tree", .flags = EPIO_WALK_STAT), TREE_COUNT);
    check(all.errors == 4 && all.entries[index_of("z/0")].error == EPIO_EACCES);
    check(times("z/1", &at) == 2 && all.entries[at].error == EPIO_EACCES);
    forget(f);
    check_op(f, epio_set_mode(&op, f->vfs, path, 0, 0), 0);
    check_result(WALK(f, "tree/z", .flags = 0), EPIO_EACCES);
    check_op(f, epio_set_mode(&op, f->vfs, path, 0700, 0), 0);
}

/* ---- Links ----------------------------------------------------------------------------- */

static void links_are_followed_once(fixture *f)
{
    size_t at = 0;
    make_tree(f);
    epio_file *tree = open_directory(f, f->vfs, fixture_path(f, "tree"));
    epio_vfs *vfs = epio_directory_vfs(tree);
    if (!has_link) {
        fixture_close(f, tree);
        fixture_skip(f, "there are no links");
    }
    (void)make_link(f, vfs, "..", "z/1/up");
    (void)make_link(f, vfs, "../..", "z/1/root");
    (void)make_link(f, vfs, "self", "z/self");
    (void)make_link(f, vfs, "nowhere", "z/dangling");
    (void)make_link(f, vfs, "../B", "z/to_file");
    fixture_close(f, tree);

    check_result(WALK(f, "tree", .flags = EPIO_WALK_SORTED), TREE_COUNT + 5);
    check(all.errors == 0);
    forget(f);
    check_result(WALK(f, "tree", .flags = EPIO_WALK_SORTED | EPIO_WALK_FOLLOW), TREE_COUNT + 5);
    check(all.errors == 4);
    check(all.entries[index_of("link")].error == EPIO_ELOOP); /* a was there before */
    check(all.entries[index_of("z/1/up")].error == EPIO_ELOOP);
    check(all.entries[index_of("z/1/root")].error == EPIO_ELOOP);
    check(all.entries[index_of("z/self")].error == EPIO_ELOOP);
    check(all.entries[index_of("z/dangling")].error == 0);
    check(!all.entries[index_of("z/to_file")].enter);
    check(all.entries[index_of("link")].type == EPIO_TYPE_LINK);

    /* What is left out by one name is entered by the other. */
    forget(f);
    make_directory(f, f->vfs, fixture_path(f, "other"));
    tree = open_directory(f, f->vfs, fixture_path(f, "other"));
    (void)make_link(f, epio_directory_vfs(tree), "../tree/a", "one");
    (void)make_link(f, epio_directory_vfs(tree), "../tree/a/b", "two");
    make_directory(f, epio_directory_vfs(tree), "z");
    (void)make_link(f, epio_directory_vfs(tree), "../../tree/a", "z/again");
    fixture_close(f, tree);
    all.leave_out = "one";
    check_result(WALK(f, "other", .flags = EPIO_WALK_FOLLOW), 8);
    check(times("two/c", &at) == 1 && times("z/again/file", &at) == 1);
    check(all.errors == 1 && all.entries[index_of("z/again/b")].error == EPIO_ELOOP);
    check(all.entries[index_of("two")].enter && all.entries[index_of("two")].depth == 1);
}

static bool check_mounts(report *what, epio_walk_entry *entries, size_t count)
{
    epio_op op = {0};
    epio_info root = {.size = sizeof root};
    (void)what;
    check_result(epio_perform(epio_stat(&op, epio_os_vfs(), SYSTEM_ROOT, &root, 0)), 0);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].info != NULL && entries[i].type == EPIO_TYPE_DIRECTORY) {
            check(entries[i].enter == (entries[i].info->device == root.device));
        }
        entries[i].enter = false;
    }
    return true;
}

static void mounts_are_not_entered(fixture *f)
{
    forget(f);
    all.then = check_mounts;
    epio_walk_options options = {.size = sizeof options,
                                 .flags = EPIO_WALK_SAME_FILE_SYSTEM | EPIO_WALK_STAT,
                                 .entries = note};
    epio_op op = {0};
    check(fixture_result(f, epio_walk(&op, f->vfs, SYSTEM_ROOT, &options)) > 0);
}

/* ---- Large trees ----------------------------------------------------------------------- */

/* Each level has the next, two empty directories and one with a file in it. */
static void make_comb(fixture *f, const char *name, unsigned levels)
{
    forget(f);
    make_directory(f, f->vfs, fixture_path(f, name));
    epio_file *at = open_directory(f, f->vfs, fixture_path(f, name));
    for (unsigned i = 0; i < levels; i++) {
        epio_vfs *vfs = epio_directory_vfs(at);
        make_directory(f, vfs, "first");
        make_directory(f, vfs, "next");
        make_directory(f, vfs, "other/deep");
        make_directory(f, vfs, "zero");
        at = go(f, at, "next");
    }
    fixture_close(f, at);
}

static bool count_open(report *what, epio_walk_entry *entries, size_t count)
{
    (void)entries;
    (void)count;
    int now = count_descriptors();
    what->most_descriptors = now > what->most_descriptors ? now : what->most_descriptors;
    return true;
}

static void few_directories_are_open(fixture *f)
{
    static const uint32_t flags[] = {0, EPIO_WALK_SORTED, EPIO_WALK_STAT};
    unsigned levels = system_is_wine() ? 15 : 60; /* counting descriptors takes long */
    make_comb(f, "comb", levels);
    (void)WALK(f, "comb", .flags = 0);
    int before = count_descriptors();
    uint32_t step = fixture_is_slow() ? 64 : 4;
    for (uint32_t limit = 1; limit <= 64; limit *= step) {
        for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
            forget(f);
            all.then = count_open;
            check_result(WALK(f, "comb", .directories = limit, .flags = flags[i]), 5 * levels);
            check(all.errors == 0);
            int most = DESCRIPTORS_OF_DIRECTORY * (1 + (limit > 4 ? (int)limit : 4));
            check(before < 0 || all.most_descriptors <= before + most);
        }
    }
}

/* Paths become longer than the system takes; on Wine, where an open takes longer the deeper it is,
 * longer than a few calls of that take. */
static void deep_trees_are_walked(fixture *f)
{
    unsigned levels = fixture_is_slow() ? 1000 : 5000;
    levels = system_is_wine() ? 200 : levels;
    epio_op op = {0};
    forget(f);
    make_directory(f, f->vfs, fixture_path(f, "deep"));
    epio_file *at = open_directory(f, f->vfs, fixture_path(f, "deep"));
    for (unsigned i = 0; i < levels; i++) {
        check_op(f, epio_mkdir(&op, epio_directory_vfs(at), "a", 0), 0);
        check_op(f, epio_mkdir(&op, epio_directory_vfs(at), "b", 0), 0);
        at = go(f, at, "a");
    }
    fixture_close(f, at);
    check_result(WALK(f, "deep", .flags = 0), 2 * levels);
    check(all.errors == 0 && all.deepest == levels);
    forget(f);
    check_result(WALK(f, "deep", .flags = EPIO_WALK_SORTED | EPIO_WALK_STAT), 2 * levels);
    check(all.errors == 0 && all.deepest == levels);

    /* The test's directory is removed by paths, which must be short for that. */
    at = open_directory(f, f->vfs, fixture_path(f, "deep"));
    epio_vfs *vfs = epio_directory_vfs(at);
    for (unsigned i = 1; i < levels; i++) {
        check_op(f, epio_rename(&op, vfs, "a/a", "below", 0), 0);
        check_op(f, epio_rmdir(&op, vfs, "a/b", 0), 0);
        check_op(f, epio_rmdir(&op, vfs, "a", 0), 0);
        check_op(f, epio_rename(&op, vfs, "below", "a", 0), 0);
    }
    fixture_close(f, at);
}

static void many_names_are_in_one_directory(fixture *f)
{
    unsigned names = fixture_is_slow() ? 10000 : 100000;
    names = system_is_wine() ? 2000 : names;
    const uint32_t new_file = EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE;
    char name[32];
    forget(f);
    make_directory(f, f->vfs, fixture_path(f, "wide"));
    epio_file *wide = open_directory(f, f->vfs, fixture_path(f, "wide"));
    epio_vfs *vfs = epio_directory_vfs(wide);
    epio_op op = {0};
    for (unsigned i = 0; i < names; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        if (i % 100 == 0) {
            check_result(epio_perform(epio_mkdir(&op, vfs, name, 0)), 0);
        } else {
            check_result(epio_perform(epio_open(&op, vfs, name, new_file)), 0);
            check_result(epio_perform(epio_close(&op, op.file)), 0);
        }
    }
    fixture_close(f, wide);
    check_result(WALK(f, "wide", .flags = 0), names);
    forget(f);
    check_result(WALK(f, "wide", .flags = EPIO_WALK_STAT, .directories = 1), names);
    check(all.errors == 0);
    forget(f);
    check_result(WALK(f, "wide", .flags = EPIO_WALK_SORTED), names);
    for (size_t i = 1; i < all.count; i++) {
        check(strcmp(all.paths[i - 1], all.paths[i]) < 0);
    }
}

/* ---- Changes meanwhile ----------------------------------------------------------------- */

static bool remove_empty(report *what, epio_walk_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].name, "empty") == 0) {
            check(directory_remove(fixture_path(what->f, "tree/empty")));
        }
    }
    return true;
}

static bool exchange_for_link(report *what, epio_walk_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].path, "empty") == 0) {
            epio_op op = {0};
            const char *path = fixture_path(what->f, "tree/empty");
            check(directory_remove(path));
            (void)epio_perform(epio_symlink(&op, epio_os_vfs(), "z", path, 0));
        }
    }
    return true;
}

static bool move_the_tree(report *what, epio_walk_entry *entries, size_t count)
{
    (void)entries;
    (void)count;
    if (what->calls == 1) {
        epio_op op = {0};
        int64_t result = epio_perform(epio_rename(&op, epio_os_vfs(), fixture_path(what->f, "tree"),
                                                  fixture_path(what->f, "moved"), 0));
        /* Windows moves no directory beneath which another is open. */
        check(result == 0 || (!SYSTEM_IS_POSIX && result == EPIO_EACCES));
    }
    return true;
}

static void changes_are_no_errors(fixture *f)
{
    size_t at = 0;
    make_tree(f);
    all.then = remove_empty;
    check_result(WALK(f, "tree", .flags = 0), TREE_COUNT);
    check(all.errors == 0);
    make_directory(f, f->vfs, fixture_path(f, "tree/empty"));
    forget(f);
    all.then = exchange_for_link;
    check_result(WALK(f, "tree", .flags = EPIO_WALK_FOLLOW), TREE_COUNT);
    check(all.errors <= 1 && times("empty/1", &at) == 0); /* "link" leads to a */
    forget(f);
    all.then = move_the_tree;
    check_result(WALK(f, "tree", .flags = EPIO_WALK_STAT), has_link ? TREE_COUNT : TREE_COUNT - 1);
    check(all.errors == 0);
}

/* Once the walk is far below, another directory gets the name of one that it had to close. */
static bool move_another_in(report *what, epio_walk_entry *entries, size_t count)
{
    (void)count;
    if (entries[0].depth == 18 && !atomic_load(&what->go)) {
        epio_op op = {0};
        atomic_store(&what->go, true);
        epio_vfs *vfs = epio_os_vfs();
        const char *name = fixture_path(what->f, "comb/next/next");
        const char *away = fixture_path(what->f, "away");
        const char *decoy = fixture_path(what->f, "decoy");
        check_result(epio_perform(epio_rename(&op, vfs, name, away, 0)), 0);
        check_result(epio_perform(epio_rename(&op, vfs, decoy, name, 0)), 0);
    }
    return true;
}

static void what_was_moved_in_is_not_reported(fixture *f)
{
    size_t at = 0;
    make_comb(f, "comb", 20);
    make_directory(f, f->vfs, fixture_path(f, "decoy/other/deep/wrong"));
    make_directory(f, f->vfs, fixture_path(f, "decoy/next/next/next/other/deep/wrong"));
    all.then = move_another_in;
    int64_t found = WALK(f, "comb", .flags = EPIO_WALK_SORTED, .directories = 1);
    check(found > 80 && found < 100 && all.errors == 0 && atomic_load(&all.go));
    check(times("next/next/other/deep/wrong", &at) == 0);
    check(times("next/next/next/next/next/other/deep/wrong", &at) == 0);
    check(times("next/other/deep", &at) == 1); /* above it all is as it was */
}

/* Moves directories, removes and makes others, until it is told to stop. */
static void *change(void *argument)
{
    epio_file *tree = argument;
    epio_vfs *vfs = epio_directory_vfs(tree);
    epio_op op = {0};
    while (atomic_load(&all.go)) {
        (void)epio_perform(epio_rename(&op, vfs, "next/next/next", "away", 0));
        (void)epio_perform(epio_rmdir(&op, vfs, "next/first", 0));
        (void)epio_perform(epio_symlink(&op, vfs, "../..", "next/first", 0));
        (void)epio_perform(epio_rmdir(&op, vfs, "next/next/other/deep", 0));
        (void)epio_perform(epio_delete(&op, vfs, "next/first", 0));
        (void)epio_perform(epio_mkdir(&op, vfs, "next/first/new", EPIO_MKDIR_PARENTS));
        (void)epio_perform(epio_rmdir(&op, vfs, "next/first/new", 0));
        (void)epio_perform(epio_mkdir(&op, vfs, "next/next/other/deep", 0));
        (void)epio_perform(epio_rename(&op, vfs, "away", "next/next/next", 0));
    }
    return NULL;
}

static void a_tree_changes_meanwhile(fixture *f)
{
    test_thread thread;
    make_comb(f, "comb", 30);
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), fixture_path(f, "comb"),
                                        EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)),
                 0);
    epio_file *tree = op.file;
    atomic_store(&all.go, true);
    thread_start(&thread, change, tree);
    for (unsigned i = 0; i < fixture_rounds(200); i++) {
        int64_t found = WALK(f, "comb", .flags = i % 2 != 0 ? EPIO_WALK_STAT : EPIO_WALK_SORTED,
                             .directories = 1 + i % 40);
        check(found >= 8 && all.errors == 0);
        for (size_t j = 0; j < all.count; j++) {
            free(all.paths[j]);
        }
        all.count = 0;
        all.total = 0;
    }
    atomic_store(&all.go, false);
    (void)thread_join(thread);
    check_result(epio_perform(epio_close(&op, tree)), 0);
}

/* ---- Ends ------------------------------------------------------------------------------ */

static bool refuse(report *what, epio_walk_entry *entries, size_t count)
{
    (void)what;
    (void)entries;
    (void)count;
    return false;
}

static void the_callback_ends_it(fixture *f)
{
    make_comb(f, "comb", 30);
    all.then = refuse;
    check_result(WALK(f, "comb", .flags = 0), EPIO_ECANCELED);
    check(all.calls == 1);
    fixture_works(f);
}

static bool dawdle(report *what, epio_walk_entry *entries, size_t count)
{
    (void)what;
    (void)entries;
    (void)count;
    sleep_us(2000);
    return true;
}

static void a_deadline_ends_it(fixture *f)
{
    epio_op op = {.timeout_ns = 10 * MILLISECOND};
    make_comb(f, "comb", 50);
    all.then = dawdle;
    epio_walk_options options = {
        .size = sizeof options, .entries = note, .flags = EPIO_WALK_SORTED};
    check_op(f, epio_walk(&op, f->vfs, fixture_path(f, "comb"), &options), EPIO_ETIMEDOUT);
    check(all.total < 250);
}

static bool reverse(report *what, epio_walk_entry *entries, size_t count)
{
    (void)what;
    for (size_t i = 0; i < count / 2; i++) {
        epio_walk_entry entry = entries[i];
        entries[i] = entries[count - 1 - i];
        entries[count - 1 - i] = entry;
    }
    return true;
}

/* Of many directories with names of many lengths a batch has entries of several. */
static void a_batch_may_get_another_order(fixture *f)
{
    enum { DIRECTORIES = 60, EACH = 1 + 2 * 3 };
    make_directory(f, f->vfs, fixture_path(f, "many"));
    for (int i = 0; i < DIRECTORIES; i++) {
        for (int j = 0; j < 3; j++) {
            char name[128];
            (void)snprintf(name, sizeof name, "many/%c%0*d/%d-%d/x", 'a' + i % 26, i + 1, i, j, i);
            make_directory(f, f->vfs, fixture_path(f, name));
        }
    }
    static const uint32_t flags[] = {0, EPIO_WALK_SORTED, EPIO_WALK_FOLLOW};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        forget(f);
        all.then = reverse;
        check_result(WALK(f, "many", .flags = flags[i]), DIRECTORIES * EACH);
        check_result(all.errors, 0);
    }
}

#if EPIO_ASYNC

/* Others hold all permits, and release none. */
static void a_wait_for_a_permit_ends(fixture *f)
{
    epio_op op = {.timeout_ns = 10 * MILLISECOND};
    make_comb(f, "comb", 3);
    const char *path = fixture_path(f, "comb");
    check_result(epio_semaphore_try_acquire(f->semaphore, f->permits), 0);
    check_result(epio_perform(epio_walk(&op, f->vfs, path, NULL)), EPIO_ETIMEDOUT);
    op.timeout_ns = 10 * MILLISECOND;
    check_result(epio_wait(epio_walk(&op, f->vfs, path, NULL)), EPIO_ETIMEDOUT);
    epio_submit(epio_walk(&op, f->vfs, path, NULL));
    (void)epio_loop_poll(f->loop, 10 * MILLISECOND, 0);
    epio_cancel(&op);
    check_result(epio_wait(&op), EPIO_ECANCELED);

    /* It goes on where it waited. */
    epio_submit(epio_walk(&op, f->vfs, path, NULL));
    (void)epio_loop_poll(f->loop, 120 * MILLISECOND, 0);
    check(epio_op_pending(&op));
    epio_semaphore_release(f->semaphore, f->permits);
    check(epio_wait(&op) > 0);
}

static bool cancel_it(report *what, epio_walk_entry *entries, size_t count)
{
    (void)entries;
    (void)count;
    epio_cancel(what->op);
    return true;
}

static void a_cancel_ends_it(fixture *f)
{
    make_comb(f, "comb", 30);
    all.then = cancel_it;
    check_result(WALK(f, "comb", .flags = 0), EPIO_ECANCELED);
    check(all.calls == 1);
}

static void *cancel_soon(void *argument)
{
    while (!atomic_load(&all.go)) {
        thread_yield();
    }
    epio_cancel(argument);
    return NULL;
}

static bool let_it_be_cancelled(report *what, epio_walk_entry *entries, size_t count)
{
    atomic_store(&what->go, true);
    return dawdle(what, entries, count);
}

static void another_thread_ends_it(fixture *f)
{
    test_thread thread;
    epio_op op = {0};
    make_comb(f, "comb", 60);
    for (unsigned i = 0; i < fixture_rounds(20); i++) {
        forget(f);
        all.then = let_it_be_cancelled;
        epio_walk_options options = {.size = sizeof options, .entries = note};
        epio_submit(epio_walk(&op, f->vfs, fixture_path(f, "comb"), &options));
        thread_start(&thread, cancel_soon, &op);
        check_result(epio_wait(&op), EPIO_ECANCELED);
        (void)thread_join(thread);
        check(all.total < 300);
    }
    epio_submit(epio_walk(&op, f->vfs, fixture_path(f, "comb"), NULL));
    epio_cancel(&op);
    check_result(epio_wait(&op), EPIO_ECANCELED);
}

static void it_is_linked_like_others(fixture *f)
{
    epio_op first = {0};
    epio_op second = {0};
    epio_op third = {0};
    make_tree(f);
    const char *path = fixture_path(f, "tree");
    epio_walk_options options = {.size = sizeof options, .entries = note};
    (void)epio_mkdir(&first, f->vfs, fixture_path(f, "tree/more"), 0);
    (void)epio_walk(&second, f->vfs, path, &options);
    (void)epio_rmdir(&third, f->vfs, fixture_path(f, "tree/more"), 0);
    (void)epio_link(&first, &second, 0);
    (void)epio_link(&second, &third, 0);
    epio_submit(&first);
    check_result(epio_wait(&third), 0);
    check_result(first.result, 0);
    check_result(second.result, TREE_COUNT + 1);
    (void)index_of("more");

    /* A failed one breaks the chain, one that waits is cancelled. */
    (void)epio_walk(&first, f->vfs, fixture_path(f, "missing"), NULL);
    (void)epio_walk(&second, f->vfs, path, NULL);
    (void)epio_link(&first, &second, 0);
    epio_submit(&first);
    check_result(epio_wait(&second), EPIO_ECANCELED);
    check_result(first.result, EPIO_ENOENT);
}

static void a_close_waits_for_it(fixture *f)
{
    epio_op op = {0};
    epio_op close = {0};
    make_comb(f, "comb", 30);
    epio_file *comb = open_directory(f, f->vfs, fixture_path(f, "comb"));
    epio_submit(epio_walk(&op, epio_directory_vfs(comb), ".", NULL));
    epio_submit(epio_close(&close, comb));
    check_result(epio_wait(&close), 0);
    check(!epio_op_pending(&op));
    check_result(op.result, 150);
}

static void several_at_once(fixture *f)
{
    enum { WALKS = 10 };
    epio_op ops[WALKS] = {0};
    make_comb(f, "comb", 30);
    for (size_t i = 0; i < WALKS; i++) {
        epio_submit(epio_walk(&ops[i], f->vfs, fixture_path(f, "comb"), NULL));
    }
    for (size_t i = 0; i < WALKS; i++) {
        check_result(epio_wait(&ops[i]), 150);
    }
}

static void the_end_of_a_loop_ends_it(fixture *f)
{
    make_comb(f, "comb", 60);
    for (unsigned i = 0; i < fixture_rounds(50); i++) {
        epio_op op = {0};
        epio_loop *loop;
        check_result(epio_loop_create(&loop, NULL), 0);
        epio_submit(epio_walk(&op, epio_loop_vfs(loop), fixture_path(f, "comb"), NULL));
        for (unsigned j = 0; j < i % 10; j++) {
            (void)epio_loop_poll(loop, EPIO_FOREVER, 1);
        }
        check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
        check(op.result == EPIO_ECANCELED || op.result == 300);
        epio_loop_destroy(loop);
    }
}

static void an_unreferenced_one_keeps_no_loop(fixture *f)
{
    epio_op op = {0};
    make_comb(f, "comb", 30);
    epio_submit(epio_op_unref(epio_walk(&op, f->vfs, fixture_path(f, "comb"), NULL)));
    check(epio_loop_run(f->loop) == 0);
    check_result(epio_wait(&op), 150);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(all_entries_are_reported_once, ON_TREE),
        FIXTURE_TEST(stat_says_what_they_are, ON_TREE),
        FIXTURE_TEST(sorted_is_one_order, ON_TREE),
        FIXTURE_TEST(a_directory_can_be_left_out, ON_TREE),
        FIXTURE_TEST(depth_is_limited, ON_TREE),
        FIXTURE_TEST(without_a_callback_they_are_counted, ON_TREE),
        FIXTURE_TEST(a_directory_is_a_vfs_to_walk, ON_TREE),
        FIXTURE_TEST(what_is_wrong_is_refused, ON_TREE),
        FIXTURE_TEST(what_cannot_be_read_is_reported_again, ON_TREE),
        FIXTURE_TEST(links_are_followed_once, ON_TREE),
        FIXTURE_TEST(mounts_are_not_entered, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(few_directories_are_open, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(deep_trees_are_walked, ON_WORKER_ONCE),
        FIXTURE_TEST(many_names_are_in_one_directory, ON_WORKER_ONCE),
        FIXTURE_TEST(changes_are_no_errors, ON_ANY_OS),
        FIXTURE_TEST(what_was_moved_in_is_not_reported, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_tree_changes_meanwhile, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(the_callback_ends_it, ON_TREE),
        FIXTURE_TEST(a_deadline_ends_it, ON_TREE),
        FIXTURE_TEST(a_batch_may_get_another_order, ON_TREE),
#if EPIO_ASYNC
        FIXTURE_TEST(a_wait_for_a_permit_ends,
                     ON_LIMIT_OS | ON_LIMIT_OS_3 | ON_LIMIT_MEMORY | ON_LIMIT_MEMORY_3),
        FIXTURE_TEST(a_cancel_ends_it, ON_TREE & ON_ANY_LOOP),
        FIXTURE_TEST(another_thread_ends_it, ON_TREE & ON_ANY_LOOP),
        FIXTURE_TEST(it_is_linked_like_others, ON_TREE & ON_ANY_LOOP),
        FIXTURE_TEST(a_close_waits_for_it, ON_TREE & ON_ANY_LOOP),
        FIXTURE_TEST(several_at_once, ON_TREE & ON_ANY_LOOP),
        FIXTURE_TEST(the_end_of_a_loop_ends_it, ON_OS),
        FIXTURE_TEST(an_unreferenced_one_keeps_no_loop, ON_OS),
#endif
    };
    int failed = FIXTURE_RUN("walk", tests);
    forget(NULL);
    return failed;
}
