/* Opening and adopting with what only POSIX has: symbolic links that every user may make,
 * permissions and the umask, the modes of a descriptor. The rest is in test_open.c. Also without
 * loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static epio_op *open_op(fixture *f, epio_op *op, const char *name, uint32_t flags)
{
    return epio_open(op, f->vfs, fixture_path(f, name), flags);
}

/* A failed open has no file. */
static void check_refused(fixture *f, const char *name, uint32_t flags, int expected)
{
    epio_op op = {0};
    check_op(f, open_op(f, &op, name, flags), expected);
    assert_null(op.file);
}

static uint32_t mode_of(fixture *f, const char *name)
{
    struct stat status;
    assert_int_equal(lstat(fixture_path(f, name), &status), 0);
    return (uint32_t)status.st_mode & 07777u;
}

static void links_are_followed_without_nofollow(fixture *f)
{
    fixture_put(f, "target", "abc", 3);
    assert_true(directory_make(fixture_path(f, "directory")));
    fixture_put(f, "directory/file", "inside", 6);
    assert_int_equal(symlink("target", fixture_path(f, "link")), 0);
    assert_int_equal(symlink("new", fixture_path(f, "dangling")), 0);
    assert_int_equal(symlink("directory", fixture_path(f, "to-directory")), 0);
    assert_int_equal(symlink("loop", fixture_path(f, "loop")), 0);

    check_content(f, "link", "abc", 3);
    check_refused(f, "link", EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW, EPIO_ELOOP);
    check_refused(f, "link", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_NOFOLLOW, EPIO_ELOOP);
    check_refused(f, "link", EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE | EPIO_OPEN_NOFOLLOW, EPIO_ELOOP);
    check_refused(f, "dangling", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_NOFOLLOW, EPIO_ELOOP);
    check_refused(f, "loop", EPIO_OPEN_READ, EPIO_ELOOP);
    check_content(f, "target", "abc", 3);
    check_result(fixture_exists(f, "new"), 0);

    /* Only the last part of the path counts. */
    fixture_close(f, fixture_open(f, "target", EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW));
    fixture_close(f, fixture_open(f, "to-directory/file", EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW));

    fixture_close(f, fixture_open(f, "dangling", READ_WRITE | EPIO_OPEN_CREATE));
    check_result(fixture_exists(f, "new"), 1);
}

/* The link's target is deleted, and the link stays. */
static void delete_on_close_goes_through_links(fixture *f)
{
    static const char *const names[] = {"link", "chain", "in/link"};
    assert_true(directory_make(fixture_path(f, "in")));
    assert_int_equal(symlink("target", fixture_path(f, "link")), 0);
    assert_int_equal(symlink("link", fixture_path(f, "chain")), 0);
    assert_int_equal(symlink("../chain", fixture_path(f, "in/link")), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        /* Existing, or created through the link. */
        for (int made = 0; made < 2; made++) {
            if (made == 0) {
                fixture_put(f, "target", "x", 1);
            }
            uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE;
            epio_file *file = fixture_open(f, names[i], flags);
            check_result(fixture_exists(f, "target"), 1);
            fixture_close(f, file);
            check_result(fixture_exists(f, "target"), 0);
            assert_int_equal(count_entries(f->real_directory), 3);
        }
    }
}

static void a_name_made_through_a_link_is_durable(fixture *f)
{
    assert_true(directory_make(fixture_path(f, "in")));
    assert_int_equal(symlink("in/file", fixture_path(f, "link")), 0);
    uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR;
    for (int i = 0; i < 2; i++) {
        fixture_close(f, fixture_open(f, "link", flags));
        check_result(fixture_exists(f, "in/file"), 1);
    }
    check_refused(f, "link", flags | EPIO_OPEN_EXCLUSIVE, EPIO_EEXIST);
    assert_int_equal(symlink("no/file", fixture_path(f, "broken")), 0);
    check_refused(f, "broken", flags, EPIO_ENOENT);
}

static void permissions_are_less_the_umask(fixture *f)
{
    static const struct {
        uint32_t flags;
        mode_t mask;
        uint32_t expected;
    } cases[] = {
        {0, 0, 0666},
        {0, 022, 0644},
        {0, 077, 0600},
        {EPIO_OPEN_PERMISSIONS(0640), 022, 0640},
        {EPIO_OPEN_PERMISSIONS(0777), 0, 0777},
        {EPIO_OPEN_PERMISSIONS(0777), 027, 0750},
        {EPIO_OPEN_PERMISSIONS(0400), 0, 0400},
        {EPIO_OPEN_PERMISSIONS(0), 0, 0},
    };
    char name[32];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(name, sizeof name, "file%zu", i);
        mode_t before = umask(cases[i].mask);
        epio_op op = {0};
        int64_t result = fixture_result(
            f, open_op(f, &op, name,
                       READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE | cases[i].flags));
        (void)umask(before);
        check_result(result, 0);
        /* Open for the requested directions, whatever the mode. */
        fixture_write(f, op.file, "x", 1, 0);
        fixture_close(f, op.file);
        assert_int_equal(mode_of(f, name), cases[i].expected);
    }

    /* An existing file keeps its mode. */
    assert_int_equal(chmod(fixture_path(f, "file0"), 0604), 0);
    fixture_close(f, fixture_open(f, "file0",
                                  READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE |
                                      EPIO_OPEN_PERMISSIONS(0777)));
    assert_int_equal(mode_of(f, "file0"), 0604);
}

static int open_descriptor(fixture *f, const char *name, int flags)
{
    int descriptor = open(fixture_path(f, name), flags, 0644);
    assert_true(descriptor >= 0);
    return descriptor;
}

static void adopt_changes_no_mode(fixture *f)
{
    static const int modes[] = {0, O_NONBLOCK, O_APPEND};
    char found[4];
    for (size_t i = 0; i < 3; i++) {
        for (int inherited = 0; inherited < 2; inherited++) {
            int descriptor = open_descriptor(f, "file", O_RDWR | O_CREAT | O_CLOEXEC | modes[i]);
            int duplicate = dup(descriptor);
            assert_true(duplicate >= 0);
            assert_int_equal(fcntl(descriptor, F_SETFD, inherited != 0 ? 0 : FD_CLOEXEC), 0);
            int before = fcntl(descriptor, F_GETFL);
            epio_file *file = fixture_adopt(f, descriptor, 0);
            if (modes[i] != O_APPEND) {
                fixture_write(f, file, "abcd", 4, 0);
                fixture_read(f, file, found, 4, 0);
            }
            assert_int_equal(fcntl(descriptor, F_GETFL), before);
            assert_int_equal(fcntl(descriptor, F_GETFD), inherited != 0 ? 0 : FD_CLOEXEC);
            fixture_close(f, file);
            assert_int_equal(fcntl(duplicate, F_GETFL), before);
            assert_int_equal(close(duplicate), 0);
        }
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(links_are_followed_without_nofollow, ON_ANY_OS),
        FIXTURE_TEST(delete_on_close_goes_through_links, ON_ANY_OS),
        FIXTURE_TEST(a_name_made_through_a_link_is_durable, ON_ANY_OS),
        FIXTURE_TEST(permissions_are_less_the_umask, ON_ANY_OS),
        FIXTURE_TEST(adopt_changes_no_mode, ON_ANY_OS),
    };
    return FIXTURE_RUN("open, POSIX", tests);
}
