/* Paths that must stay beneath an open directory; and names for temporary files, temporary
 * directories, syncs of directories, extended attributes and file systems. */
#include "tree.h"

#define CONFINING (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH)

static epio_file *open_confining(fixture *f, const char *name)
{
    return fixture_open(f, name, CONFINING);
}

static void make_directory(fixture *f, const char *name)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, name), EPIO_MKDIR_PARENTS), 0);
}

static bool has_links;

static void make_link(fixture *f, const char *target, const char *name)
{
    has_links = tree_try_symlink(f, target, name);
}

/* With either slash. */
static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(end);
    size_t at = strlen(path) - len;
    for (size_t i = 0; i < len; i++) {
        char found = path[at + i];
        if ((found == '\\' ? '/' : found) != end[i]) {
            return false;
        }
    }
    return true;
}

/* in/ with what leads out of it, and a secret beside it. */
static void make_tree(fixture *f)
{
    make_directory(f, "in/a/b");
    make_directory(f, "out");
    fixture_put(f, "out/secret", "secret", 6);
    fixture_put(f, "in/a/file", "file", 4);
    make_link(f, "a/b", "in/good");
    make_link(f, "../out", "in/bad");
    make_link(f, "/etc", "in/worse");
    make_link(f, "a/../..", "in/around");
    make_link(f, "missing", "in/dangling");
    make_link(f, "loop", "in/loop");
}

static void check_links_lead_nowhere(fixture *f, epio_vfs *vfs)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    char buffer[8];
    check_op(f, epio_mkdir(&op, vfs, "bad/new", 0), EPIO_EACCES);
    check_op(f, epio_mkdir(&op, vfs, "bad/new/newer", EPIO_MKDIR_PARENTS), EPIO_EACCES);
    check_op(f, epio_delete(&op, vfs, "bad/secret", 0), EPIO_EACCES);
    check_op(f, epio_delete(&op, vfs, "bad/secret", EPIO_DELETE_SYNC_DIR), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "a/file", "bad/file", 0), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "bad/secret", "a/secret", 0), EPIO_EACCES);
    check_op(f, epio_link_file(&op, vfs, "bad/secret", "a/secret", 0), EPIO_EACCES);
    check_op(f, epio_symlink(&op, vfs, "x", "bad/x", 0), EPIO_EACCES);
    int64_t exchanged = fixture_result(f, epio_exchange(&op, vfs, "a/file", "bad/secret", 0));
    check(exchanged == EPIO_EACCES || (!SYSTEM_IS_POSIX && exchanged == EPIO_ENOTSUP));
    int64_t got = fixture_result(f, epio_get_xattr(&op, vfs, "bad/secret", "user.x", buffer, 8, 0));
    check(got == EPIO_EACCES || got == EPIO_ENOTSUP);
    check_op(f, epio_stat(&op, vfs, "loop", &info, 0), EPIO_ELOOP);
    check_op(f, epio_stat(&op, vfs, "dangling", &info, 0), EPIO_ENOENT);
}

/* What leads out is EPIO_EACCES, whatever the verb would do there. */
static void nothing_leads_out(fixture *f)
{
    static const char *const outside[] = {"..",
                                          "../out",
                                          "../out/secret",
                                          "bad",
                                          "bad/secret",
                                          "worse/passwd",
                                          "a/../../out",
                                          "around/out",
                                          "good/../../../out/",
                                          "/etc",
                                          "/",
                                          "a/b/../../..",
                                          "good/../../..",
                                          "bad/.",
                                          "bad/../in"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file_system system = {.size = sizeof system};
    epio_times times = {sizeof times, 1, 1, EPIO_TIME_KEEP};
    char buffer[4096];
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *path = outside[i];
        if (!has_links && (strchr("bgw", path[0]) != NULL || path[1] == 'r')) {
            continue; /* by a link */
        }
        check_op(f, epio_stat(&op, vfs, path, &info, 0), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_READ), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, CONFINING), EPIO_EACCES);
        check_op(f, epio_set_times(&op, vfs, path, &times, 0), EPIO_EACCES);
        check_op(f, epio_set_mode(&op, vfs, path, 0777, 0), EPIO_EACCES);
        check_op(f, epio_file_system_info(&op, vfs, path, &system), EPIO_EACCES);
        int64_t len = fixture_result(f, epio_full_pathname(&op, vfs, path, buffer, sizeof buffer));
        check(len == EPIO_EACCES || len == EPIO_ENOTSUP);
        check_op(f, epio_access(&op, vfs, path, EPIO_ACCESS_EXISTS), 0);
    }
    check_op(f, epio_rmdir(&op, vfs, "../out", 0), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "a/file", "../file", 0), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "../out/secret", "a/secret", 0), EPIO_EACCES);
    check_op(f, epio_link_file(&op, vfs, "../out/secret", "a/secret", 0), EPIO_EACCES);
    check_op(f, epio_symlink(&op, vfs, "x", "../x", 0), EPIO_EACCES);
    check_op(f, epio_read_link(&op, vfs, "../in/bad", buffer, sizeof buffer), EPIO_EACCES);
    check_op(f, epio_delete(&op, vfs, "../out/secret", EPIO_DELETE_SYNC_DIR), EPIO_EACCES);
    check_op(f, epio_mkdir(&op, vfs, "../new/newer", EPIO_MKDIR_PARENTS), EPIO_EACCES);
    check_op(f, epio_sync_directory(&op, vfs, "../out"), EPIO_EACCES);
    if (has_links) {
        check_links_lead_nowhere(f, vfs);
    }
    fixture_close(f, directory);
    check_content(f, "out/secret", "secret", 6);
}

static void what_is_beneath_works(fixture *f)
{
    static const char *const inside[] = {"a/file", "a/../a/file", "good/../file", "./a//file",
                                         "good/./../../a/file"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    char buffer[4096];
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    const char *other = has_links ? "good/../other" : "a/b/../other";
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        if (!has_links && inside[i][0] == 'g') {
            continue;
        }
        check_op(f, epio_stat(&op, vfs, inside[i], &info, 0), 0);
        check(info.type == EPIO_TYPE_FILE && info.bytes == 4);
        check_op(f, epio_access(&op, vfs, inside[i], EPIO_ACCESS_READ), 1);
        check_op(f, epio_open(&op, vfs, inside[i], EPIO_OPEN_READ), 0);
        epio_file *file = op.file;
        check_op(f, epio_close(&op, file), 0);
        check_op(f, epio_rename(&op, vfs, inside[i], "a/other", 0), 0);
        check_op(f, epio_rename(&op, vfs, other, "a/file", 0), 0);
    }
    const char *good = has_links ? "good" : "a/b";
    char below_good[32];
    (void)snprintf(below_good, sizeof below_good, "%s/new/newer", good);
    check_op(f, epio_mkdir(&op, vfs, below_good, EPIO_MKDIR_PARENTS), 0);
    check_op(f, epio_rmdir(&op, vfs, "a/b/new/newer/", EPIO_RMDIR_SYNC_DIR), 0);
    (void)snprintf(below_good, sizeof below_good, "%s/made", good);
    check_op(f, epio_open(&op, vfs, below_good, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *made = op.file;
    check_op(f, epio_close(&op, made), 0);
    check_op(f, epio_delete(&op, vfs, "a/b/made", 0), 0);
    check(!has_links || fixture_result(f, epio_delete(&op, vfs, "bad", 0)) == 0); /* itself */
    check(fixture_exists(f, "out/secret") == 1);
    int64_t len = fixture_result(f, epio_full_pathname(&op, vfs, good, buffer, sizeof buffer));
    if (len != EPIO_ENOTSUP) { /* the system does not say where a directory is */
        check(len > 0 && ends_with(buffer, "/in/a/b"));
        check(fixture_result(f, epio_full_pathname(&op, vfs, "a/x", buffer, sizeof buffer)) > 0);
        check(ends_with(buffer, "/in/a/x"));
    }

    /* A directory that is opened beneath confines, too. */
    check_op(f, epio_open(&op, vfs, "a", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *below = op.file;
    check_op(f, epio_stat(&op, epio_directory_vfs(below), "../a/file", &info, 0), EPIO_EACCES);
    check_op(f, epio_stat(&op, epio_directory_vfs(below), "b", &info, 0), 0);
    check_op(f, epio_close(&op, below), 0);
    fixture_close(f, directory);
}

/* Only the open with the flag is confined. */
static void a_single_open_can_be_confined(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    epio_file *directory = fixture_open(f, "in", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    epio_vfs *vfs = epio_directory_vfs(directory);
    const char *secret = has_links ? "bad/secret" : "../out/secret";
    check_op(f, epio_open(&op, vfs, secret, EPIO_OPEN_READ | EPIO_OPEN_BENEATH), EPIO_EACCES);
    check_op(f, epio_open(&op, vfs, secret, EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    check_op(f, epio_close(&op, file), 0);
    fixture_close(f, directory);
}

/* ---- Temporary files and directories ------------------------------------------------ */

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
    check_op(f, epio_stat(&op, f->vfs, one, &info, 0), 0);
    check(info.type == EPIO_TYPE_DIRECTORY);
    check(!SYSTEM_IS_POSIX || (info.mode & 07777) == 0700); /* elsewhere it inherits them */
    check_op(f, epio_rmdir(&op, f->vfs, one, 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, other, 0), 0);
    check_op(f, epio_temporary_directory(&op, f->vfs, parent, one, (size_t)len), EPIO_ERANGE);
    check(fixture_result(f, epio_temporary_directory(&op, f->vfs, NULL, one, sizeof one)) > 0);
    check_op(f, epio_rmdir(&op, f->vfs, one, 0), 0);
    check_op(f, epio_temporary_directory(&op, f->vfs, fixture_path(f, "missing"), one, sizeof one),
             EPIO_ENOENT);
}

/* ---- Syncs of directories ----------------------------------------------------------- */

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

static void a_confined_directory_is_synced(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "a"), 0);
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "."), 0);
    check_op(f,
             epio_sync_directory(&op, epio_directory_vfs(directory), has_links ? "bad" : "../out"),
             EPIO_EACCES);
    fixture_close(f, directory);
}

/* ---- Extended attributes ------------------------------------------------------------ */

static void attributes_are_kept(fixture *f)
{
    epio_op op = {0};
    char value[16];
    char names[64];
    epio_file *file = fixture_create(f, "file");
    const char *path = fixture_path(f, "file");
    if (fixture_result(f, epio_file_set_xattr(&op, file, "user.one", "1", 1, 0)) == EPIO_ENOTSUP) {
        fixture_close(f, file);
        fixture_skip(f, "the file system has no extended attributes");
    }
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.two", "22", 2, EPIO_XATTR_CREATE), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.two", "3", 1, EPIO_XATTR_CREATE),
             EPIO_EEXIST);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.no", "3", 1, EPIO_XATTR_REPLACE),
             EPIO_ENOENT);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", NULL, 0, 0), 2);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 1, 0), EPIO_ERANGE);
    memset(value, '#', sizeof value);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 2, 0), 2);
    check(memcmp(value, "22#", 3) == 0);
    check_op(f, epio_file_get_xattr(&op, file, "user.one", value, sizeof value), 1);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.no", value, sizeof value, 0), EPIO_ENOENT);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), 18);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 18);
    check(strcmp(names, "user.one") == 0 || strcmp(names, "user.two") == 0);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, names, 17, 0), EPIO_ERANGE);
    check_op(f, epio_remove_xattr(&op, f->vfs, path, "user.one", 0), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), EPIO_ENOENT);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "nonsense", value, sizeof value, 0),
             SYSTEM_IS_POSIX ? EPIO_ENOTSUP : EPIO_ENOENT);
    check_op(f, epio_list_xattrs(&op, f->vfs, fixture_path(f, "missing"), NULL, 0, 0), EPIO_ENOENT);
    fixture_close(f, file);
}

/* ---- File systems ------------------------------------------------------------------- */

static void a_file_system_is_described(fixture *f)
{
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    fixture_put(f, "file", "x", 1);
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "file"), &info), 0);
    check(info.bytes != 0 && info.free <= info.bytes && info.available <= info.free);
    check(info.block_size >= 512 && info.longest_name >= 255);
    check((info.known & EPIO_FS_READ_ONLY) != 0 && (info.traits & EPIO_FS_READ_ONLY) == 0);
    check((info.traits & ~info.known) == 0);
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "missing"), &info), EPIO_ENOENT);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(nothing_leads_out, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(what_is_beneath_works, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(a_single_open_can_be_confined, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_confined_directory_is_synced, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_directory_is_synced_by_its_path,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(a_temporary_file_gets_a_name, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(temporary_directories_are_private, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(attributes_are_kept, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS),
        FIXTURE_TEST(a_file_system_is_described, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
    };
    return FIXTURE_RUN("beneath", tests);
}
