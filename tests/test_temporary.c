/* Files that are made without a name and get one, temporary directories, and syncs of directories
 * by their paths. */
#include "tree.h"

static bool has_links;

static void make_link(fixture *f, const char *target, const char *name)
{
    has_links = tree_try_symlink(f, target, name);
}

/* in/ with links that stay in it and one that leads out. */
static void make_tree(fixture *f)
{
    tree_make_all(f, "in/a");
    tree_make_all(f, "out");
    fixture_put(f, "in/a/file", "file", 4);
    make_link(f, "a", "in/good");
    make_link(f, "../out", "in/bad");
    make_link(f, "loop", "in/loop");
}

static void a_temporary_file_gets_a_name(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, ".", EPIO_OPEN_TEMPORARY);
    fixture_write(f, file, "new", 3, 0);
    fixture_put(f, "name", "old", 3);
    int64_t named = fixture_result(
        f, epio_name_temporary(&op, file, fixture_path(f, "name"), EPIO_NAME_NO_REPLACE));
    if (named == EPIO_ENOTSUP || named == EPIO_ENOENT) {
        fixture_close(f, file);
        fixture_skip(f, "the file system has no files without names");
    }
    check_result(named, EPIO_EEXIST);
    check_content(f, "name", "old", 3);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name"), EPIO_NAME_SYNC_DIR), 0);
    check_content(f, "name", "new", 3);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "other"), 0), EPIO_EINVAL);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "no/name"), 0), EPIO_EINVAL);
    fixture_close(f, file);
    check_content(f, "name", "new", 3);
    file = fixture_open(f, ".", EPIO_OPEN_TEMPORARY);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "no/name"), 0), EPIO_ENOENT);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "fresh"), EPIO_NAME_NO_REPLACE), 0);
    fixture_close(f, file);
    check(fixture_exists(f, "fresh") == 1);

    /* What cannot be replaced; and a name is given once. */
    tree_make_all(f, "d");
    file = fixture_open(f, "d", EPIO_OPEN_TEMPORARY);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d"), 0), EPIO_EISDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name/"), 0), EPIO_ENOTDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "missing/"), 0), EPIO_ENOENT);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name/x"), 0), EPIO_ENOTDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d/."), 0),
             IS_POSIX_TREE(f) ? EPIO_EBUSY : EPIO_EISDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d/one"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "d/one"), 0), 0);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d/two"), 0),
             IS_POSIX_TREE(f) ? EPIO_ENOENT : EPIO_EINVAL);
    fixture_close(f, file);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "d"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "fresh"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "name"), 0), 0);
}

static void temporary_directories_are_private(fixture *f)
{
    epio_op op = {0};
    char one[4096], other[4096];
    epio_info info = {.size = sizeof info};
    const char *parent = fixture_path(f, ".");
    int64_t len = fixture_result(f, epio_temporary_directory(&op, f->vfs, parent, one, sizeof one));
    check(len == (int64_t)strlen(one));
    check(fixture_result(f, epio_temporary_directory(&op, f->vfs, parent, other, sizeof other)) ==
          len);
    check(strcmp(one, other) != 0);
    check(strncmp(one, parent, strlen(parent)) == 0);
    check_op(f, epio_stat(&op, f->vfs, one, &info, EPIO_STAT_NOFOLLOW), 0);
    check(info.type == EPIO_TYPE_DIRECTORY);
    check(!IS_POSIX_TREE(f) || info.mode == 0700); /* elsewhere it inherits them */
    check_op(f, epio_rmdir(&op, f->vfs, one, 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, other, 0), 0);
    check_op(f, epio_temporary_directory(&op, f->vfs, parent, one, (size_t)len), EPIO_ERANGE);
    check(fixture_result(f, epio_temporary_directory(&op, f->vfs, NULL, one, sizeof one)) > 0);
    check(!f->memory || strncmp(one, "/epio-", 6) == 0);
    check_op(f, epio_rmdir(&op, f->vfs, one, 0), 0);
    check_op(f, epio_temporary_directory(&op, f->vfs, fixture_path(f, "missing"), one, sizeof one),
             EPIO_ENOENT);

    /* Beneath a directory: the path begins there, too. */
    make_tree(f);
    epio_file *directory = tree_open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    const char *good = has_links ? "good" : "a";
    len = fixture_result(f, epio_temporary_directory(&op, vfs, good, one, sizeof one));
    check(len == (int64_t)strlen(one) && strncmp(one, good, strlen(good)) == 0);
    check_op(f, epio_rmdir(&op, vfs, one, 0), 0);
    check_op(f, epio_temporary_directory(&op, vfs, has_links ? "bad" : "../out", one, sizeof one),
             EPIO_EACCES);
    check_op(f, epio_temporary_directory(&op, vfs, NULL, one, sizeof one), EPIO_EACCES);
    fixture_close(f, directory);
}

static void a_directory_is_synced_by_its_path(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in")), 0);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, has_links ? "in/good" : "in/a")),
             0);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "missing")), EPIO_ENOENT);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in/a/file")), EPIO_ENOTDIR);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in/loop")),
             has_links ? EPIO_ELOOP : EPIO_ENOENT);
    check_op(f, epio_sync_directory(&op, f->vfs, ""), EPIO_EINVAL);
    epio_file *directory = fixture_open(f, "in", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "a"), 0);
    fixture_close(f, directory);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_temporary_file_gets_a_name,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_MEMORIES),
        FIXTURE_TEST(temporary_directories_are_private,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_MEMORIES),
        FIXTURE_TEST(a_directory_is_synced_by_its_path,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORIES),
    };
    return FIXTURE_RUN("temporary", tests);
}
