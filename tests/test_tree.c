/* Names in trees, the same on the system and in memory: directories made and removed, names moved
 * and exchanged, hard and symbolic links. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "tree.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define DIRECTORY (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)

static const char *long_name(size_t len)
{
    static char name[300];
    memset(name, 'n', len);
    name[len] = '\0';
    return name;
}

static uint32_t type_of(fixture *f, const char *name)
{
    return tree_stat(f, name, EPIO_STAT_NOFOLLOW).type;
}

/* A file, an empty directory, one with a file "in", links to both, one that leads nowhere, and two
 * that lead to each other. */
static void make_all_types(fixture *f)
{
    fixture_put(f, "file", "abc", 3);
    check_result(tree_mkdir(f, "empty", 0), 0);
    check_result(tree_mkdir(f, "full", 0), 0);
    fixture_put(f, "full/in", "in", 2);
    check_result(tree_symlink(f, "file", "to-file"), 0);
    check_result(tree_symlink(f, "full", "to-full"), 0);
    check_result(tree_symlink(f, "missing", "to-missing"), 0);
    check_result(tree_symlink(f, "loop-2", "loop"), 0);
    check_result(tree_symlink(f, "./loop", "loop-2"), 0);
}

/* ---- mkdir ---- */

static void mkdir_makes_one_directory(fixture *f)
{
    epio_op op = {0};
    make_all_types(f);
    check_result(tree_mkdir(f, "new", EPIO_MKDIR_SYNC_DIR | EPIO_OPEN_PERMISSIONS(0700)), 0);
    check_result(type_of(f, "new"), EPIO_TYPE_DIRECTORY);
    check_result(tree_stat(f, "new", 0).mode, 0700);
    check_result(tree_mkdir(f, "slashes//", 0), 0);
    check_result(tree_mkdir(f, "to-full/below", 0), 0);
    check_result(type_of(f, "full/below"), EPIO_TYPE_DIRECTORY);

    check_result(tree_mkdir(f, "new", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, "file", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, "to-missing", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, "to-missing/", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, "loop", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, ".", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, "new/..", 0), EPIO_EEXIST);
    check_result(tree_mkdir(f, "no/new", 0), EPIO_ENOENT);
    check_result(tree_mkdir(f, "to-missing/new", 0), EPIO_ENOENT);
    check_result(tree_mkdir(f, "file/new", 0), EPIO_ENOTDIR);
    check_result(tree_mkdir(f, "to-file/new", 0), EPIO_ENOTDIR);
    check_result(tree_mkdir(f, "loop/new", 0), EPIO_ELOOP);
    check_result(tree_mkdir(f, long_name(256), 0), EPIO_ENAMETOOLONG);
    check_result(tree_mkdir(f, long_name(255), 0), 0);
    check_op(f, epio_mkdir(&op, f->vfs, "/", 0), EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, f->vfs, "", 0), EPIO_EINVAL);
    check_op(f, epio_mkdir(&op, f->vfs, NULL, 0), EPIO_EINVAL);
    check_result(tree_mkdir(f, "other", 8), EPIO_EINVAL);
}

static void mkdir_makes_parents(fixture *f)
{
    uint32_t flags = EPIO_MKDIR_PARENTS;
    make_all_types(f);
    check_result(tree_mkdir(f, "a/b//c/", flags | EPIO_OPEN_PERMISSIONS(0700)), 0);
    check_result(tree_stat(f, "a/b/c", 0).mode, 0700);
    check(tree_stat(f, "a/b", 0).mode != 0700);
    check_result(tree_mkdir(f, "a/b/c", flags), 0);
    check_result(tree_mkdir(f, "a/b/d", flags | EPIO_MKDIR_SYNC_DIR), 0);
    check_result(tree_mkdir(f, "x/../y", flags), 0);
    check_result(type_of(f, "x"), EPIO_TYPE_DIRECTORY);
    check_result(type_of(f, "y"), EPIO_TYPE_DIRECTORY);
    check_result(tree_mkdir(f, "to-full", flags), 0);
    check_result(tree_mkdir(f, "to-full/g/h", flags), 0);
    check_result(type_of(f, "full/g/h"), EPIO_TYPE_DIRECTORY);
    check_result(tree_mkdir(f, ".", flags), 0);

    check_result(tree_mkdir(f, "file", flags), EPIO_EEXIST);
    check_result(tree_mkdir(f, "file/a/b", flags), EPIO_ENOTDIR);
    check_result(tree_mkdir(f, "to-missing", flags), EPIO_EEXIST);
    check_result(tree_mkdir(f, "to-missing/a", flags), EPIO_EEXIST);
    check_result(tree_mkdir(f, "loop/a", flags), EPIO_ELOOP);
    check_result(tree_mkdir(f, long_name(256), flags), EPIO_ENAMETOOLONG);
    check_result(fixture_exists(f, "missing"), 0);
}

/* ---- rmdir and delete ---- */

static void rmdir_removes_empty_directories(fixture *f)
{
    epio_op op = {0};
    make_all_types(f);
    check_result(tree_mkdir(f, "other", 0), 0);
    check_result(tree_rmdir(f, "empty/"), 0);
    check_result(fixture_exists(f, "empty"), 0);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "other"), EPIO_RMDIR_SYNC_DIR), 0);
    check_result(tree_rmdir(f, "empty"), EPIO_ENOENT);
    check_result(tree_rmdir(f, "full"), EPIO_ENOTEMPTY);
    check_result(tree_rmdir(f, "full/in"), EPIO_ENOTDIR);
    check_result(tree_rmdir(f, "full/in/x"), EPIO_ENOTDIR);
    check_result(tree_rmdir(f, "to-full"), EPIO_ENOTDIR);
    check_result(tree_rmdir(f, "to-full/"), EPIO_ENOTDIR);
    check_result(tree_rmdir(f, "full/."), EPIO_EINVAL);
    check_result(tree_rmdir(f, "full/.."), EPIO_ENOTEMPTY);
    check_result(tree_rmdir(f, "loop/x"), EPIO_ELOOP);
    check_result(tree_rmdir(f, long_name(256)), EPIO_ENAMETOOLONG);
    check_op(f, epio_rmdir(&op, f->vfs, "/", 0), EPIO_EBUSY);
    check_op(f, epio_rmdir(&op, f->vfs, "", 0), EPIO_EINVAL);
    check_result(tree_delete(f, "full/in"), 0);
    check_result(tree_rmdir(f, "full"), 0);
}

static void delete_removes_links_themselves(fixture *f)
{
    make_all_types(f);
    check_result(tree_delete(f, "to-full/"), EPIO_ENOTDIR);
    check_result(tree_delete(f, "empty/"), EPIO_EISDIR);
    check_result(tree_delete(f, "empty/."), EPIO_EISDIR);
    check_result(tree_delete(f, "file/"), EPIO_ENOTDIR);
    check_result(tree_delete(f, "to-full/in"), 0);
    check_result(tree_delete(f, "to-full"), 0);
    check_result(tree_delete(f, "to-file"), 0);
    check_result(tree_delete(f, "to-missing"), 0);
    check_result(tree_delete(f, "loop"), 0);
    check_content(f, "file", "abc", 3);
    check_result(type_of(f, "full"), EPIO_TYPE_DIRECTORY);
    check_result(tree_delete(f, "loop-2/x"), EPIO_ENOENT);
}

/* ---- rename and exchange ---- */

static void directories_are_renamed(fixture *f)
{
    make_all_types(f);
    check_result(tree_mkdir(f, "a/b", EPIO_MKDIR_PARENTS), 0);
    check_result(tree_rename(f, "full", "a/b/moved/", 0), 0);
    check_content(f, "a/b/moved/in", "in", 2);
    check(tree_is_same(f, "a/b/moved/..", "a/b"));
    check_result(tree_rename(f, "a/b/moved", "empty", 0), 0); /* which it replaces */
    check_content(f, "empty/in", "in", 2);
    check(tree_is_same(f, "empty/..", "."));
    check_result(tree_rename(f, "a", "empty", 0), EPIO_ENOTEMPTY);
    check_result(tree_rename(f, "a/b", "a", 0), EPIO_ENOTEMPTY);
    check_result(tree_rename(f, "a", "empty", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_result(tree_rename(f, "a", "a", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_result(tree_rename(f, "a", "a", 0), 0);
    check_result(tree_rename(f, "a", "file", 0), EPIO_ENOTDIR);
    check_result(tree_rename(f, "file", "a", 0), EPIO_EISDIR);
    check_result(tree_rename(f, "a", "a/b/c", 0), EPIO_EINVAL);
    check_result(tree_rename(f, "a", "no/c", 0), EPIO_ENOENT);
    check_result(tree_rename(f, "a/.", "c", 0), EPIO_EBUSY);
    check_result(tree_rename(f, "a", "a/b/..", 0), EPIO_EBUSY);
    check_result(tree_rename(f, "a/b", "loop/c", 0), EPIO_ELOOP);
    check_result(tree_rename(f, "a/b", long_name(256), 0), EPIO_ENAMETOOLONG);
    check_result(tree_rename(f, "file/", "c", 0), EPIO_ENOTDIR);
    check_result(tree_rename(f, "file", "c/", 0), EPIO_ENOTDIR);
    check_result(tree_rename(f, "to-full", "c/", 0), EPIO_ENOTDIR);
}

static void rename_moves_links_themselves(fixture *f)
{
    make_all_types(f);
    check_result(tree_rename(f, "to-file", "empty/moved", 0), 0);
    check_result(type_of(f, "empty/moved"), EPIO_TYPE_LINK);
    check_result(tree_try_stat(f, "empty/moved", 0), EPIO_ENOENT); /* its target is relative */
    check_result(tree_rename(f, "file", "to-full", 0), 0);         /* which it replaces */
    check_content(f, "to-full", "abc", 3);
    check_content(f, "full/in", "in", 2);
    check_result(tree_rename(f, "loop", "to-missing", 0), 0);
    check_result(tree_rename(f, "to-full", "to-missing", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
}

static void exchange_is_of_any_two(fixture *f)
{
    make_all_types(f);
    int64_t result = tree_exchange(f, "file", "full");
    if (result == EPIO_ENOTSUP) {
        fixture_skip(f, "the system has no exchange");
    }
    check_result(result, 0);
    check_content(f, "full", "abc", 3);
    check_content(f, "file/in", "in", 2);
    check_result(tree_exchange(f, "full", "to-missing"), 0);
    check_content(f, "to-missing", "abc", 3);
    check_result(type_of(f, "full"), EPIO_TYPE_LINK);
    check_result(tree_exchange(f, "file", "file"), 0);

    check_result(tree_mkdir(f, "empty/deep", 0), 0);
    check_result(tree_exchange(f, "empty/deep", "file"), 0);
    check_content(f, "empty/deep/in", "in", 2);
    check(tree_is_same(f, "empty/deep/..", "empty"));
    check(tree_is_same(f, "file/..", "."));
    check_result(tree_rmdir(f, "file"), 0);

    check_result(tree_exchange(f, "empty", "empty/deep"), EPIO_EINVAL);
    check_result(tree_exchange(f, "empty/deep", "empty"), EPIO_EINVAL);
    check_result(tree_exchange(f, "empty", "missing"), EPIO_ENOENT);
    check_result(tree_exchange(f, "missing", "empty"), EPIO_ENOENT);
    check_result(tree_exchange(f, "to-missing/", "empty"), EPIO_ENOTDIR);
    check_result(tree_exchange(f, "empty", "to-missing/x"), EPIO_ENOTDIR);
    check_result(tree_exchange(f, "empty", "loop/x"), EPIO_ELOOP);
    check_result(tree_exchange(f, "empty", long_name(256)), EPIO_ENAMETOOLONG);
    check_result(tree_exchange(f, "empty/.", "loop"), EPIO_EBUSY);
}

/* ---- Hard links ---- */

static void hard_links_are_one_file(fixture *f)
{
    make_all_types(f);
    check_result(tree_link(f, "file", "full/other"), 0);
    check(tree_is_same(f, "file", "full/other"));
    check_result((int64_t)tree_stat(f, "file", 0).links, 2);
    epio_file *file = fixture_open(f, "full/other", EPIO_OPEN_WRITE);
    fixture_write(f, file, "A", 1, 0);
    check_content(f, "file", "Abc", 3);
    check_result(tree_rename(f, "file", "full/other", 0), 0); /* of one file: both stay */
    check_result(fixture_exists(f, "file"), 1);
    check_result(tree_delete(f, "file"), 0);
    check_result((int64_t)tree_file_stat(f, file).links, 1);
    check_result(tree_delete(f, "full/other"), 0);
    check_result((int64_t)tree_file_stat(f, file).links, 0);
    fixture_close(f, file);

    check_result(tree_link(f, "to-missing", "same-link"), 0);
    check_result(type_of(f, "same-link"), EPIO_TYPE_LINK);
    check(tree_is_same(f, "to-missing", "same-link"));
    check_result(tree_link(f, "full", "new"), EPIO_EPERM);
    check_result(tree_link(f, "missing", "new"), EPIO_ENOENT);
    check_result(tree_link(f, "full/in", "no/new"), EPIO_ENOENT);
    check_result(tree_link(f, "full/in", "full"), EPIO_EEXIST);
    check_result(tree_link(f, "full/in", "to-missing"), EPIO_EEXIST);
    check_result(tree_link(f, "full/in", "new/"), EPIO_ENOENT);
    check_result(tree_link(f, "full/in/", "new"), EPIO_ENOTDIR);
    check_result(tree_link(f, "full/in/x", "new"), EPIO_ENOTDIR);
    check_result(tree_link(f, "loop/x", "new"), EPIO_ELOOP);
    check_result(tree_link(f, "full/in", long_name(256)), EPIO_ENAMETOOLONG);
    check_result(fixture_exists(f, "new"), 0);
}

/* ---- Symbolic links ---- */

static void links_hold_any_text(fixture *f)
{
    char target[4200];
    char found[4200];
    epio_op op = {0};
    make_all_types(f);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "to-file"), found, 5), 4);
    assert_string_equal(found, "file");
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "to-file"), found, 4), EPIO_ERANGE);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "to-file"), NULL, 0), EPIO_ERANGE);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "file"), found, 9), EPIO_EINVAL);
    check(op.os_error != 0);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "full"), found, 9), EPIO_EINVAL);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "missing"), found, 9), EPIO_ENOENT);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "to-full/"), found, 9), EPIO_EINVAL);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "loop/x"), found, 9), EPIO_ELOOP);
    check_result((int64_t)tree_stat(f, "to-file", EPIO_STAT_NOFOLLOW).bytes, 4);

    memset(target, '/', sizeof target);
    target[4096] = '\0';
    check_result(tree_symlink(f, target, "long"), EPIO_ENAMETOOLONG);
    size_t len = 4095;
    target[len] = '\0';
    int64_t made = tree_symlink(f, target, "long");
    if (made == EPIO_ENAMETOOLONG) { /* XFS */
        len = 1023;
        target[len] = '\0';
        made = tree_symlink(f, target, "long");
    }
    check_result(made, 0);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "long"), found, len + 1), len);
    assert_string_equal(found, target);
    check_result(tree_symlink(f, "", "empty-text"), EPIO_EINVAL);
    check_result(tree_symlink(f, "x", "file"), EPIO_EEXIST);
    check_result(tree_symlink(f, "x", "to-missing"), EPIO_EEXIST);
    check_result(tree_symlink(f, "x", "new/"), EPIO_ENOENT);
    check_result(tree_symlink(f, "x", "file/new"), EPIO_ENOTDIR);
    check_result(tree_symlink(f, "x", long_name(256)), EPIO_ENAMETOOLONG);
}

static void links_are_followed(fixture *f)
{
    char found[1024];
    epio_op op = {0};
    make_all_types(f);
    check_content(f, "to-file", "abc", 3);
    check_content(f, "to-full/in", "in", 2);
    check_content(f, "to-full/../file", "abc", 3);
    check_result(tree_symlink(f, "../to-full/./in", "full/around"), 0);
    check_content(f, "to-full/around", "in", 2);
    check_result(tree_symlink(f, fixture_path(f, "full"), "absolute"), 0);
    check_content(f, "absolute/in", "in", 2);
    check_result(tree_symlink(f, "/", "to-root"), 0);
    check_result(tree_open(f, "to-root", DIRECTORY), 0);
    check_result(tree_try_stat(f, "to-root/epio-not-there", 0), EPIO_ENOENT);

    check_result(tree_open(f, "to-file", EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW), EPIO_ELOOP);
    check_result(tree_open(f, "to-full/in", EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW), 0);
    check_result(tree_open(f, "to-full", DIRECTORY), 0);
    check_result(tree_open(f, "to-full", DIRECTORY | EPIO_OPEN_NOFOLLOW), EPIO_ENOTDIR);
    check_result(tree_open(f, "to-file", DIRECTORY), EPIO_ENOTDIR);
    check_result(tree_open(f, "to-file/", EPIO_OPEN_READ), EPIO_ENOTDIR);
    check_result(tree_open(f, "loop", EPIO_OPEN_READ), EPIO_ELOOP);
    check_result(tree_open(f, "loop", CREATE), EPIO_ELOOP);
    check_result(tree_access(f, "to-file", EPIO_ACCESS_READWRITE), 1);
    check_result(tree_access(f, "to-missing", EPIO_ACCESS_EXISTS), 0);
    check_result(tree_access(f, "loop", EPIO_ACCESS_EXISTS), EPIO_ELOOP);
    const char *whole = fixture_path(f, "full/in");
    check_op(
        f, epio_full_pathname(&op, f->vfs, fixture_path(f, "to-full/around"), found, sizeof found),
        strlen(whole));
    assert_string_equal(found, whole);
    whole = fixture_path(f, "missing");
    check_op(f, epio_full_pathname(&op, f->vfs, fixture_path(f, "to-missing"), found, sizeof found),
             strlen(whole));
    assert_string_equal(found, whole);
}

static void files_are_made_through_links(fixture *f)
{
    make_all_types(f);
    check_result(tree_open(f, "to-missing", READ_WRITE), EPIO_ENOENT);
    check_result(tree_open(f, "to-missing", CREATE | EPIO_OPEN_EXCLUSIVE), EPIO_EEXIST);
    check_result(tree_open(f, "to-missing", CREATE | EPIO_OPEN_NOFOLLOW), EPIO_ELOOP);
    check_result(fixture_exists(f, "missing"), 0);
    check_result(tree_symlink(f, "../to-missing", "full/chain"), 0);
    fixture_put(f, "full/chain", "made", 4);
    check_result(type_of(f, "missing"), EPIO_TYPE_FILE);
    check_content(f, "missing", "made", 4);

    /* Closing removes the target, not the links. */
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_DELETE_ON_CLOSE;
    check_result(tree_open(f, "full/chain", flags), 0);
    check_result(fixture_exists(f, "missing"), 0);
    check_result(type_of(f, "full/chain"), EPIO_TYPE_LINK);
    check_result(tree_symlink(f, "no/file", "broken"), 0);
    check_result(tree_open(f, "broken", CREATE), EPIO_ENOENT);

    /* A slash behind the target is for directories alone. */
    check_result(tree_symlink(f, "none/", "to-directory"), 0);
    check_result(tree_symlink(f, "../to-directory", "full/to-directory"), 0);
    check_result(tree_open(f, "none/", CREATE), EPIO_EISDIR);
    check_result(tree_open(f, "full/to-directory", CREATE), EPIO_EISDIR);
    check_result(tree_open(f, "full/to-directory", CREATE | EPIO_OPEN_SYNC_DIR), EPIO_EISDIR);
    check_result(tree_open(f, "full/to-directory", READ_WRITE), EPIO_ENOENT);
    check_result(tree_symlink(f, "none/./below/", "below"), 0);
    check_result(tree_open(f, "below", CREATE), EPIO_ENOENT);
}

static void forty_links_are_followed(fixture *f)
{
    fixture_put(f, "link-0", "end", 3);
    for (int i = 1; i <= 41; i++) {
        char name[16];
        char target[16];
        (void)snprintf(name, sizeof name, "link-%d", i);
        (void)snprintf(target, sizeof target, "link-%d", i - 1);
        check_result(tree_symlink(f, target, name), 0);
    }
    check_content(f, "link-40", "end", 3);
    check_result(tree_try_stat(f, "link-41", 0), EPIO_ELOOP);
    check_result(tree_try_stat(f, "link-41", EPIO_STAT_NOFOLLOW), 0);
    check_result(tree_open(f, "link-41", EPIO_OPEN_READ), EPIO_ELOOP);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(mkdir_makes_one_directory, ON_TREES),
        FIXTURE_TEST(mkdir_makes_parents, ON_TREES),
        FIXTURE_TEST(rmdir_removes_empty_directories, ON_TREES),
        FIXTURE_TEST(delete_removes_links_themselves, ON_TREES),
        FIXTURE_TEST(directories_are_renamed, ON_TREES),
        FIXTURE_TEST(rename_moves_links_themselves, ON_TREES),
        FIXTURE_TEST(exchange_is_of_any_two, ON_TREES),
        FIXTURE_TEST(hard_links_are_one_file, ON_TREES),
        FIXTURE_TEST(links_hold_any_text, ON_TREES),
        FIXTURE_TEST(links_are_followed, ON_TREES),
        FIXTURE_TEST(files_are_made_through_links, ON_TREES),
        FIXTURE_TEST(forty_links_are_followed, ON_TREES),
    };
    return FIXTURE_RUN("tree", tests);
}
