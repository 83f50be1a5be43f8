/* Paths that must stay beneath an open directory. While others exchange directories for links:
 * test_beneath_posix.c. */
#include "tree.h"

#if defined(__linux__)
#include "fork.h"
#include "refuse.h"

#include <errno.h>
#include <sys/syscall.h>
#endif

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
    tree_make_all(f, "in/a/b");
    tree_make_all(f, "out");
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
    check(exchanged == EPIO_EACCES || (!IS_POSIX_TREE(f) && exchanged == EPIO_ENOTSUP));
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
    epio_file *directory = tree_open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *path = outside[i];
        if (!has_links && (strchr("bgw", path[0]) != NULL || path[1] == 'r')) {
            continue; /* by a link */
        }
        check_op(f, epio_stat(&op, vfs, path, &info, 0), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_READ), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, TREE_CONFINING), EPIO_EACCES);
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

/* A slash at the end follows a link even where the verb would not. */
static void no_slash_leads_out(fixture *f)
{
    static const char *const outside[] = {"bad/", "bad//", "worse/", "good/../../bad/"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_times times = {sizeof times, 1, 1, EPIO_TIME_KEEP};
    char buffer[64];
    make_tree(f);
    if (!has_links) {
        return;
    }
    epio_file *directory = tree_open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *path = outside[i];
        check_op(f, epio_stat(&op, vfs, path, &info, EPIO_STAT_NOFOLLOW), EPIO_EACCES);
        check_op(f, epio_set_times(&op, vfs, path, &times, EPIO_SET_NOFOLLOW), EPIO_EACCES);
        check_op(f, epio_read_link(&op, vfs, path, buffer, sizeof buffer), EPIO_EACCES);
        check_op(f, epio_link_file(&op, vfs, path, "new", 0), EPIO_EACCES);
    }
    check_op(f, epio_stat(&op, vfs, "good/", &info, EPIO_STAT_NOFOLLOW), 0);
    check_result(info.type, EPIO_TYPE_DIRECTORY);
    check_op(f, epio_stat(&op, vfs, "a/file/", &info, EPIO_STAT_NOFOLLOW), EPIO_ENOTDIR);
    check_op(f, epio_stat(&op, vfs, "dangling/", &info, EPIO_STAT_NOFOLLOW), EPIO_ENOENT);
    check_op(f, epio_read_link(&op, vfs, "good/", buffer, sizeof buffer), EPIO_EINVAL);
    uint32_t create = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;
    check_op(f, epio_open(&op, vfs, "new/", create), EPIO_EISDIR);
    check_op(f, epio_open(&op, vfs, "good/", create), EPIO_EISDIR);
    check_op(f, epio_open(&op, vfs, "good/", TREE_CONFINING | EPIO_OPEN_NOFOLLOW), 0);
    fixture_close(f, op.file);
    check_op(f, epio_open(&op, vfs, "bad/", TREE_CONFINING | EPIO_OPEN_NOFOLLOW), EPIO_EACCES);
    check_op(f, epio_link_file(&op, vfs, "good/", "new", 0), EPIO_EPERM);
    fixture_close(f, directory);
}

static void what_is_beneath_works(fixture *f)
{
    static const char *const inside[] = {"a/file", "a/../a/file", "good/../file", "./a//file",
                                         "good/./../../a/file"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    char buffer[4096];
    make_tree(f);
    epio_file *directory = tree_open_confining(f, "in");
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
        if (has_links) {
            len =
                fixture_result(f, epio_full_pathname(&op, vfs, "dangling", buffer, sizeof buffer));
            check(len > 11 && ends_with(buffer, "/in/missing"));
        }
        len = fixture_result(f, epio_full_pathname(&op, vfs, "x/", buffer, sizeof buffer));
        check(len == EPIO_ENOENT || !IS_POSIX_TREE(f));
    }

    /* A directory that is opened beneath confines, too. */
    check_op(f, epio_open(&op, vfs, "a", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *below = op.file;
    check_op(f, epio_stat(&op, epio_directory_vfs(below), "../a/file", &info, 0), EPIO_EACCES);
    check_op(f, epio_stat(&op, epio_directory_vfs(below), "b", &info, 0), 0);
    check_op(f, epio_close(&op, below), 0);

    /* One that was removed has no path, and still confines. */
    check_op(f, epio_mkdir(&op, vfs, "gone", 0), 0);
    check_op(f, epio_open(&op, vfs, "gone", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *gone = op.file;
    check_op(f, epio_rmdir(&op, vfs, "gone", 0), 0);
    static const char *const paths[] = {"..", ".", "x"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        vfs = epio_directory_vfs(gone);
        len = fixture_result(f, epio_full_pathname(&op, vfs, paths[i], buffer, sizeof buffer));
        check(len == (i == 0 ? EPIO_EACCES : EPIO_ENOENT) || len == EPIO_ENOTSUP ||
              !IS_POSIX_TREE(f));
    }
    fixture_close(f, gone);
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
    uint32_t beneath = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_BENEATH;
    check_op(f, epio_open(&op, vfs, "a", beneath | EPIO_OPEN_TEMPORARY), EPIO_ENOTSUP);
    check_op(f, epio_open(&op, vfs, "new", beneath | EPIO_OPEN_DELETE_ON_CLOSE), EPIO_ENOTSUP);
    check_op(f, epio_open(&op, vfs, "dangling", beneath), 0);
    fixture_close(f, op.file);
    check(!has_links || fixture_exists(f, "in/missing") == 1);
    fixture_close(f, directory);
}

static void a_confined_directory_is_synced(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    epio_file *directory = tree_open_confining(f, "in");
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "a"), 0);
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "."), 0);
    check_op(f,
             epio_sync_directory(&op, epio_directory_vfs(directory), has_links ? "bad" : "../out"),
             EPIO_EACCES);
    fixture_close(f, directory);
}

#if defined(__linux__)

/* ---- Without openat2 ---------------------------------------------------------------- */

typedef struct case_by_parts {
    fixture *f;
    void (*run)(fixture *f);
} case_by_parts;

static void without_openat2(void *argument)
{
    const case_by_parts *one = argument;
    refuse(SYS_openat2, ENOSYS);
    one->run(one->f);
}

/* As on kernels before 5.6, and where a filter of system calls does not know it. */
static void nothing_leads_out_by_parts(fixture *f)
{
    case_by_parts one = {f, nothing_leads_out};
    check_result(run_in_fork(without_openat2, &one), 0);
}

static void what_is_beneath_works_by_parts(fixture *f)
{
    case_by_parts one = {f, what_is_beneath_works};
    check_result(run_in_fork(without_openat2, &one), 0);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(nothing_leads_out,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORIES),
        FIXTURE_TEST(no_slash_leads_out, ON_OS_PERFORM | ON_OS | ON_MEMORIES),
        FIXTURE_TEST(what_is_beneath_works,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORIES),
        FIXTURE_TEST(a_single_open_can_be_confined, ON_OS_PERFORM | ON_OS | ON_MEMORIES),
        FIXTURE_TEST(a_confined_directory_is_synced, ON_OS_PERFORM | ON_OS | ON_MEMORIES),
#if defined(__linux__)
        FIXTURE_TEST(nothing_leads_out_by_parts, ON_OS_PERFORM),
        FIXTURE_TEST(what_is_beneath_works_by_parts, ON_OS_PERFORM),
#endif
    };
    return FIXTURE_RUN("beneath", tests);
}
