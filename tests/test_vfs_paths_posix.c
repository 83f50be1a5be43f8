/* Names of what only POSIX has: symbolic links that every user may make, permissions, a second file
 * system. The rest is in test_vfs_paths.c. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4200
#define SECOND INT64_C(1000000000)

static void make_directory(fixture *f, const char *name)
{
    assert_true(directory_make(fixture_path(f, name)));
}

static void make_link(fixture *f, const char *target, const char *name)
{
    assert_int_equal(symlink(target, fixture_path(f, name)), 0);
}

static void delete_removes_the_link_alone(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "target", "x", 1);
    make_link(f, "target", "link");
    make_link(f, "nowhere", "dangling");
    make_directory(f, "directory");
    make_link(f, "directory", "to-directory");
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "link"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "dangling"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to-directory"), 0), 0);
    check_content(f, "target", "x", 1);
    check_result(fixture_exists(f, "directory"), 1);
    assert_int_equal(count_entries(f->real_directory), 2);
}

static epio_op *rename_op(fixture *f, epio_op *op, const char *from, const char *to, uint32_t flags)
{
    return epio_rename(op, f->vfs, fixture_path(f, from), fixture_path(f, to), flags);
}

static void rename_without_replacing_minds_links(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "old", "old", 3);
    make_link(f, "nowhere", "new");
    check_op(f, rename_op(f, &op, "old", "new", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_content(f, "old", "old", 3);
    check_op(f, rename_op(f, &op, "old", "new", 0), 0);
    check_content(f, "new", "old", 3);
    assert_int_equal(count_entries(f->real_directory), 1);
}

static void rename_never_copies(fixture *f)
{
    char elsewhere[] = "/dev/shm/epio-test-XXXXXX";
    char to[sizeof elsewhere + 8];
    struct stat here;
    struct stat there;
    epio_op op = {0};
    if (mkdtemp(elsewhere) == NULL) {
        fixture_skip(f, "no second file system");
    }
    if (stat(f->directory, &here) != 0 || stat(elsewhere, &there) != 0 ||
        here.st_dev == there.st_dev) {
        (void)rmdir(elsewhere);
        fixture_skip(f, "no second file system");
    }
    (void)snprintf(to, sizeof to, "%s/file", elsewhere);
    fixture_put(f, "file", "x", 1);
    check_op_fails(f, epio_rename(&op, f->vfs, fixture_path(f, "file"), to, 0), EPIO_EXDEV, EXDEV);
    check_op_fails(f,
                   epio_rename(&op, f->vfs, fixture_path(f, "file"), to,
                               EPIO_RENAME_NO_REPLACE | EPIO_RENAME_SYNC_DIR),
                   EPIO_EXDEV, EXDEV);
    check_content(f, "file", "x", 1);
    assert_int_equal(rmdir(elsewhere), 0);
}

static void access_follows_links(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "target", "x", 1);
    make_link(f, "target", "link");
    make_link(f, "nowhere", "dangling");
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "link"), EPIO_ACCESS_READWRITE), 1);
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "dangling"), EPIO_ACCESS_EXISTS), 0);
}

static void access_as_another_user(void *argument)
{
    fixture *f = argument;
    epio_op op = {0};
    if (geteuid() == 0) {
        check(setgid(65534) == 0 && setuid(65534) == 0);
    }
    check_result(epio_perform(epio_access(&op, epio_os_vfs(), fixture_path(f, "readable"),
                                          EPIO_ACCESS_READ)),
                 1);
    check_result(epio_perform(epio_access(&op, epio_os_vfs(), fixture_path(f, "readable"),
                                          EPIO_ACCESS_READWRITE)),
                 0);
    check_result(epio_perform(epio_access(&op, epio_os_vfs(), fixture_path(f, "secret"),
                                          EPIO_ACCESS_EXISTS)),
                 1);
    check_result(
        epio_perform(epio_access(&op, epio_os_vfs(), fixture_path(f, "secret"), EPIO_ACCESS_READ)),
        0);
}

static void access_minds_permissions(fixture *f)
{
    fixture_put(f, "readable", "x", 1);
    fixture_put(f, "secret", "x", 1);
    assert_int_equal(chmod(f->directory, 0755), 0);
    assert_int_equal(chmod(fixture_path(f, "readable"), 0444), 0);
    assert_int_equal(chmod(fixture_path(f, "secret"), 0000), 0);
    assert_int_equal(run_in_fork(access_as_another_user, f), 0);
}

/* The full pathname of a path in the test's directory. */
static void check_full(fixture *f, const char *name, const char *expected)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    const char *wanted = expected[0] == '/' ? expected : fixture_path(f, expected);
    const char *path = name[0] == '/' ? name : fixture_path(f, name);
    memset(found, 'g', sizeof found);
    check_op(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found), strlen(wanted));
    assert_string_equal(found, wanted);
    /* Nothing is written beyond the NUL. */
    check_bytes(found + strlen(wanted) + 1, 'g', sizeof found - strlen(wanted) - 1);
}

/* Does a path in the test's directory lead through a link? */
static bool followed(fixture *f, const char *name)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    check(fixture_result(f, epio_full_pathname(&op, f->vfs,
                                               name[0] == '/' ? name : fixture_path(f, name), found,
                                               sizeof found)) > 0);
    return epio_op_followed_link(&op);
}

static void full_pathname_says_whether_links_were_followed(fixture *f)
{
    static const char *const through[] = {
        "link",      "link/file",  "link/none",         "chain/..",
        "file-link", "dangling",   "link/../real/file", "here/real/file",
        "./link/.",  "link//file", "real/up/real/file"};
    static const char *const without[] = {"real",           "real/file", "none",       "real/none",
                                          "./real/../real", "real/",     "real//file", "."};
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "real"), 0), 0);
    fixture_put(f, "real/file", "x", 1);
    check_op(f, epio_symlink(&op, f->vfs, "real", fixture_path(f, "link"), 0), 0);
    check_op(f, epio_symlink(&op, f->vfs, "link", fixture_path(f, "chain"), 0), 0);
    check_op(f, epio_symlink(&op, f->vfs, "real/file", fixture_path(f, "file-link"), 0), 0);
    check_op(f, epio_symlink(&op, f->vfs, "nowhere", fixture_path(f, "dangling"), 0), 0);
    check_op(f, epio_symlink(&op, f->vfs, ".", fixture_path(f, "here"), 0), 0);
    check_op(f, epio_symlink(&op, f->vfs, "..", fixture_path(f, "real/up"), 0), 0);
    for (size_t i = 0; i < sizeof through / sizeof through[0]; i++) {
        check(followed(f, through[i]));
    }
    /* Above the test's directory there may be some. */
    bool above = followed(f, f->directory);
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        check(followed(f, without[i]) == above);
    }
    check(!followed(f, "/"));
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "link"), EPIO_ACCESS_READ), 1);
    check(!epio_op_followed_link(&op)); /* of another verb it says nothing */
    check_op(f,
             epio_open(&op, f->vfs, fixture_path(f, "real"), EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY),
             0);
    epio_file *directory = op.file;
    epio_vfs *at = epio_directory_vfs(directory);
    char found[PATH_ROOM];
    check(fixture_result(f, epio_full_pathname(&op, at, "file", found, sizeof found)) > 0);
    check(!epio_op_followed_link(&op));
    check_op(f, epio_symlink(&op, f->vfs, "file", fixture_path(f, "real/inner"), 0), 0);
    check(fixture_result(f, epio_full_pathname(&op, at, "inner", found, sizeof found)) > 0);
    check(epio_op_followed_link(&op));
    check_op(f, epio_close(&op, directory), 0);
}

static void full_pathname_resolves_links(fixture *f)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    make_directory(f, "real");
    make_directory(f, "real/deep");
    fixture_put(f, "real/file", "x", 1);
    make_link(f, "real", "directory");
    make_link(f, "directory/file", "link");
    make_link(f, "link", "chain");
    make_link(f, "nowhere", "dangling");
    make_link(f, "real/nowhere", "dangling-inside");
    make_link(f, "real/deep", "deep");
    make_link(f, fixture_path(f, "real/file"), "absolute");
    make_link(f, "loop-b", "loop-a");
    make_link(f, "loop-a", "loop-b");
    make_link(f, "no/directory", "broken");

    check_full(f, "link", "real/file");
    check_full(f, "chain", "real/file");
    check_full(f, "absolute", "real/file");
    check_full(f, "directory", "real");
    check_full(f, "directory/not-there", "real/not-there");
    check_full(f, "dangling", "nowhere");
    check_full(f, "dangling-inside", "real/nowhere");
    /* `..` leaves the directory that the link leads to, not the link's. */
    check_full(f, "deep/..", "real");
    check_full(f, "deep/../file", "real/file");
    check_full(f, "directory/deep/../../chain", "real/file");

    check_op_fails(f,
                   epio_full_pathname(&op, f->vfs, fixture_path(f, "loop-a"), found, sizeof found),
                   EPIO_ELOOP, ELOOP);
    check_op_fails(
        f, epio_full_pathname(&op, f->vfs, fixture_path(f, "loop-a/x"), found, sizeof found),
        EPIO_ELOOP, ELOOP);
    check_op_fails(f,
                   epio_full_pathname(&op, f->vfs, fixture_path(f, "broken"), found, sizeof found),
                   EPIO_ENOENT, ENOENT);
}

#if defined(__linux__)

/* ---- Without /proc ---- */

static void look_from_elsewhere(void *argument)
{
    epio_file *const *directories = argument;
    char buffer[8];
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_times times = {sizeof times, 1, 1, EPIO_TIME_KEEP};
    epio_vfs *vfs = epio_directory_vfs(directories[0]);
    if (chroot(".") != 0) {
        _exit(77);
    }
    /* Nothing says of what is there that it is not. */
    check_result(epio_perform(epio_stat(&op, vfs, "file", &info, 0)), EPIO_ENOTSUP);
    check_result(epio_perform(epio_access(&op, vfs, "file", EPIO_ACCESS_READ)), EPIO_ENOTSUP);
    check_result(epio_perform(epio_set_times(&op, vfs, "file", &times, 0)), EPIO_ENOTSUP);
    check_result(epio_perform(epio_stat(&op, vfs, "no", &info, 0)), EPIO_ENOENT);
    check_result(epio_perform(epio_access(&op, vfs, "no", EPIO_ACCESS_READ)), 0);
    check_result(epio_perform(epio_stat(&op, vfs, "file", &info, EPIO_STAT_NOFOLLOW)), 0);
    check_result(epio_perform(epio_mkdir(&op, vfs, "sub", EPIO_MKDIR_PARENTS)), 0);
    check_result(epio_perform(epio_mkdir(&op, vfs, "file", EPIO_MKDIR_PARENTS)), EPIO_EEXIST);
    check_result(epio_perform(epio_temporary_directory(&op, vfs, "sub", NULL, 0)), EPIO_ERANGE);
    vfs = epio_directory_vfs(directories[1]);
    check_result(epio_perform(epio_stat(&op, vfs, "file", &info, 0)), 0);
    int64_t result = epio_perform(epio_get_xattr(&op, vfs, "file", "user.x", buffer, 8, 0));
    check_result(result, EPIO_ENOTSUP);
}

static void nothing_is_missing_without_proc(fixture *f)
{
    static const uint32_t flags[] = {EPIO_OPEN_BENEATH, 0};
    epio_file *directories[2];
    make_directory(f, "in");
    make_directory(f, "in/sub");
    fixture_put(f, "in/file", "x", 1);
    for (size_t i = 0; i < 2; i++) {
        directories[i] = fixture_open(f, "in", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | flags[i]);
    }
    int before = open(".", O_RDONLY | O_DIRECTORY);
    check(before >= 0 && chdir(f->directory) == 0);
    int status = run_in_fork(look_from_elsewhere, directories);
    check(fchdir(before) == 0 && close(before) == 0);
    fixture_close(f, directories[0]);
    fixture_close(f, directories[1]);
    if (status == 77) {
        fixture_skip(f, "the root directory may not be changed");
    }
    assert_int_equal(status, 0);
}

#endif

/* ---- Times ---- */

static void set_seconds(fixture *f, time_t accessed, time_t modified, long rest)
{
    const struct timespec times[2] = {{accessed, rest}, {modified, rest}};
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(f, "file"), times, 0), 0);
}

/* Nanoseconds in 64 bits end in the year 2262; a file system may have later times. */
static void times_that_do_not_fit_are_not_known(fixture *f)
{
    const uint32_t both = EPIO_INFO_MODIFIED | EPIO_INFO_ACCESSED;
    const time_t last = INT64_MAX / SECOND;
    struct stat status;
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    fixture_put(f, "file", "x", 1);
    set_seconds(f, last + 1, 5, 7);
    assert_int_equal(stat(fixture_path(f, "file"), &status), 0);
    if (status.st_atime != last + 1) {
        fixture_skip(f, "the file system has no such times");
    }
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file"), &info, 0), 0);
    check((info.known & both) == EPIO_INFO_MODIFIED);
    check(info.accessed == 0 && info.modified == 5 * SECOND + 7);
    set_seconds(f, last, last, INT64_MAX % SECOND); /* EPIO_TIME_NOW */
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file"), &info, 0), 0);
    check((info.known & both) == 0);
    set_seconds(f, last, -1, INT64_MAX % SECOND - 1);
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file"), &info, 0), 0);
    check((info.known & both) == both && info.accessed == INT64_MAX - 1);
    check(info.modified == INT64_MAX % SECOND - 1 - SECOND);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(delete_removes_the_link_alone, ON_ANY_OS),
        FIXTURE_TEST(rename_without_replacing_minds_links, ON_ANY_OS),
        FIXTURE_TEST(access_follows_links, ON_ANY_OS),
        FIXTURE_TEST(full_pathname_resolves_links, ON_ANY_OS),
        FIXTURE_TEST(full_pathname_says_whether_links_were_followed, ON_ANY_OS | ON_ANY_MEMORY),
        FIXTURE_TEST(rename_never_copies, ON_ANY_OS),
#if defined(__linux__)
        FIXTURE_TEST(nothing_is_missing_without_proc, ON_OS_PERFORM),
#endif
        FIXTURE_TEST(times_that_do_not_fit_are_not_known, ON_ANY_OS),
        FIXTURE_TEST(access_minds_permissions, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("vfs_paths, POSIX", tests);
}
