/* What a VFS does without an open file: names (delete, rename, access,
 * full_pathname), and sleep, current_time, randomness and work.
 * Serves a library without loops too: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_ROOM 4200

static void make_directory(fixture *f, const char *name)
{
    assert_int_equal(mkdir(fixture_path(f, name), 0755), 0);
}

static void make_link(fixture *f, const char *target, const char *name)
{
    assert_int_equal(symlink(target, fixture_path(f, name)), 0);
}

/* ---- delete ------------------------------------------------------------ */

static void delete_removes_a_name(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "one", "1", 1);
    fixture_put(f, "two", "2", 1);
    fixture_put(f, "three", "3", 1);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "one"), 0), 0);
    check_result(fixture_exists(f, "one"), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "two"), EPIO_DELETE_SYNC_DIR), 0);
    check_result(fixture_exists(f, "two"), 0);
    check_content(f, "three", "3", 1);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "one"), 0), EPIO_ENOENT);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "one"), EPIO_DELETE_SYNC_DIR),
             EPIO_ENOENT);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "three/below"), 0), EPIO_ENOTDIR);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "no/folder"), 0), EPIO_ENOENT);
    check_op(f, epio_delete(&op, f->vfs, "", 0), EPIO_ENOENT);
    check_op(f, epio_delete(&op, f->vfs, NULL, 0), EPIO_EINVAL);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "three"), 1u << 31), EPIO_EINVAL);
    check_result(fixture_exists(f, "three"), 1);
}

static void delete_spares_folders(fixture *f)
{
    epio_op op = {0};
    if (!f->memory) {
        make_directory(f, "folder");
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "folder"), 0), EPIO_EISDIR);
    }
    fixture_put(f, "folder/inside", "x", 1);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "folder"), EPIO_DELETE_SYNC_DIR),
             EPIO_EISDIR);
    check_result(fixture_exists(f, "folder/inside"), 1);
}

static void delete_removes_the_link_alone(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "target", "x", 1);
    make_link(f, "target", "link");
    make_link(f, "nowhere", "dangling");
    make_directory(f, "folder");
    make_link(f, "folder", "to-folder");
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "link"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "dangling"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to-folder"), 0), 0);
    check_content(f, "target", "x", 1);
    check_result(fixture_exists(f, "folder"), 1);
    assert_int_equal(count_entries(f->folder), 2);
}

/* ---- rename ------------------------------------------------------------ */

static epio_op *rename_op(fixture *f, epio_op *op, const char *from, const char *to, uint32_t flags)
{
    return epio_rename(op, f->vfs, fixture_path(f, from), fixture_path(f, to), flags);
}

static void rename_moves_and_replaces(fixture *f)
{
    static const uint32_t durable[] = {0, EPIO_RENAME_SYNC_DIR};
    epio_op op = {0};
    for (size_t i = 0; i < 2; i++) {
        fixture_put(f, "old", "content", 7);
        check_op(f, rename_op(f, &op, "old", "new", durable[i]), 0);
        check_result(fixture_exists(f, "old"), 0);
        check_content(f, "new", "content", 7);

        fixture_put(f, "old", "other", 5);
        check_op(f, rename_op(f, &op, "old", "new", durable[i]), 0);
        check_result(fixture_exists(f, "old"), 0);
        check_content(f, "new", "other", 5);

        /* Onto itself. */
        check_op(f, rename_op(f, &op, "new", "new", durable[i]), 0);
        check_content(f, "new", "other", 5);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "new"), 0), 0);
    }
}

static void rename_without_replacing(fixture *f)
{
    static const uint32_t flags[] = {EPIO_RENAME_NO_REPLACE,
                                     EPIO_RENAME_NO_REPLACE | EPIO_RENAME_SYNC_DIR};
    epio_op op = {0};
    for (size_t i = 0; i < 2; i++) {
        fixture_put(f, "old", "old", 3);
        fixture_put(f, "new", "new", 3);
        check_op(f, rename_op(f, &op, "old", "new", flags[i]), EPIO_EEXIST);
        check_content(f, "old", "old", 3);
        check_content(f, "new", "new", 3);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "new"), 0), 0);
        check_op(f, rename_op(f, &op, "old", "new", flags[i]), 0);
        check_result(fixture_exists(f, "old"), 0);
        check_content(f, "new", "old", 3);
    }
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
    assert_int_equal(count_entries(f->folder), 1);
}

static void rename_says_what_is_wrong(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    fixture_put(f, "other", "y", 1);
    if (!f->memory) {
        make_directory(f, "folder");
    }
    fixture_put(f, "folder/inside", "z", 1);
    check_op(f, rename_op(f, &op, "nothing", "new", 0), EPIO_ENOENT);
    check_op(f, rename_op(f, &op, "nothing", "file", EPIO_RENAME_NO_REPLACE), EPIO_ENOENT);
    check_op(f, rename_op(f, &op, "file/below", "new", 0), EPIO_ENOTDIR);
    check_op(f, rename_op(f, &op, "file", "other/below", 0), EPIO_ENOTDIR);
    check_op(f, rename_op(f, &op, "file", "folder", 0), EPIO_EISDIR);
    check_op(f, rename_op(f, &op, "file", "folder", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_op(f, epio_rename(&op, f->vfs, NULL, "x", 0), EPIO_EINVAL);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "file"), NULL, 0), EPIO_EINVAL);
    check_op(f, rename_op(f, &op, "file", "new", 1u << 31), EPIO_EINVAL);
    if (!f->memory) {
        check_op_fails(f, rename_op(f, &op, "file", "no/folder", 0), EPIO_ENOENT, ENOENT);
    }
    check_content(f, "file", "x", 1);
    check_content(f, "other", "y", 1);
    check_content(f, "folder/inside", "z", 1);
}

static void rename_between_folders(fixture *f)
{
    epio_op op = {0};
    if (!f->memory) {
        make_directory(f, "here");
        make_directory(f, "there");
    }
    fixture_put(f, "here/file", "abc", 3);
    check_op(f, rename_op(f, &op, "here/file", "there/moved", EPIO_RENAME_SYNC_DIR), 0);
    check_result(fixture_exists(f, "here/file"), 0);
    check_content(f, "there/moved", "abc", 3);
}

static void an_open_file_follows_its_rename(fixture *f)
{
    char found[4];
    epio_op op = {0};
    epio_file *moved = fixture_create(f, "old");
    fixture_put(f, "new", "replaced", 8);
    epio_file *replaced = fixture_open(f, "new", EPIO_OPEN_READ);
    check_op(f, rename_op(f, &op, "old", "new", 0), 0);
    fixture_write(f, moved, "abcd", 4, 0);
    fixture_read(f, replaced, found, 4, 0);
    assert_memory_equal(found, "repl", 4);
    fixture_close(f, replaced);
    fixture_close(f, moved);
    check_content(f, "new", "abcd", 4);
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
    if (stat(f->folder, &here) != 0 || stat(elsewhere, &there) != 0 ||
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

/* ---- access ------------------------------------------------------------ */

static void access_tells_what_is_there(fixture *f)
{
    static const uint32_t modes[] = {EPIO_ACCESS_EXISTS, EPIO_ACCESS_READ, EPIO_ACCESS_READWRITE};
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    for (size_t i = 0; i < 3; i++) {
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file"), modes[i]), 1);
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "nothing"), modes[i]), 0);
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "no/folder"), modes[i]), 0);
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file/below"), modes[i]), 0);
    }
    check_op(f, epio_access(&op, f->vfs, f->folder, EPIO_ACCESS_EXISTS), 1);
    check_op(f, epio_access(&op, f->vfs, NULL, EPIO_ACCESS_EXISTS), EPIO_EINVAL);
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file"), 3), EPIO_EINVAL);
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file"), 1u << 31), EPIO_EINVAL);
}

static void access_looks_behind_links(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "target", "x", 1);
    make_link(f, "target", "link");
    make_link(f, "nowhere", "dangling");
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "link"), EPIO_ACCESS_READWRITE), 1);
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "dangling"), EPIO_ACCESS_EXISTS), 0);
}

static void access_as_somebody_else(void *argument)
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
    assert_int_equal(chmod(f->folder, 0755), 0);
    assert_int_equal(chmod(fixture_path(f, "readable"), 0444), 0);
    assert_int_equal(chmod(fixture_path(f, "secret"), 0000), 0);
    assert_int_equal(run_in_child(access_as_somebody_else, f), 0);
}

/* ---- full_pathname ----------------------------------------------------- */

/* A path in the test's folder comes out as another one. */
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

static void full_pathname_is_absolute(fixture *f)
{
    if (!f->memory) {
        make_directory(f, "sub");
    }
    fixture_put(f, "file", "x", 1);
    fixture_put(f, "sub/inside", "x", 1);
    check_full(f, "file", "file");
    check_full(f, "not-there", "not-there");
    check_full(f, "./file", "file");
    check_full(f, "././/file", "file");
    check_full(f, "sub/../file", "file");
    check_full(f, "sub/../not-there", "not-there");
    check_full(f, "sub/not-there", "sub/not-there");
    check_full(f, "sub/./../sub//inside", "sub/inside");
    check_full(f, "sub/..", f->folder);
    check_full(f, "sub/.", "sub");
    check_full(f, "sub/", "sub");
    check_full(f, "sub", "sub");
    check_full(f, "/", "/");
    check_full(f, "/..", "/");
    check_full(f, "/../.", "/");
    check_full(f, "/epio-not-there", "/epio-not-there");
    check_full(f, "//epio-not-there", "/epio-not-there");
}

static void full_pathname_needs_the_folder(fixture *f)
{
    char found[PATH_ROOM] = "unchanged";
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    check_op(f, epio_full_pathname(&op, f->vfs, fixture_path(f, "file/below"), found, sizeof found),
             EPIO_ENOTDIR);
    check_op(f, epio_full_pathname(&op, f->vfs, "", found, sizeof found), EPIO_ENOENT);
    check_op(f, epio_full_pathname(&op, f->vfs, NULL, found, sizeof found), EPIO_EINVAL);
    check_op(f, epio_full_pathname(&op, f->vfs, "/", NULL, sizeof found), EPIO_EINVAL);
    if (!f->memory) {
        check_op(f,
                 epio_full_pathname(&op, f->vfs, fixture_path(f, "no/file"), found, sizeof found),
                 EPIO_ENOENT);
        check_op(
            f, epio_full_pathname(&op, f->vfs, fixture_path(f, "no/../file"), found, sizeof found),
            EPIO_ENOENT);
    }
    assert_string_equal(found, "unchanged");
}

static void full_pathname_writes_all_or_nothing(fixture *f)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    size_t len = strlen(path);
    for (size_t room = 0; room <= len + 2; room++) {
        memset(found, 'g', sizeof found);
        int64_t result = fixture_result(f, epio_full_pathname(&op, f->vfs, path, found, room));
        if (room <= len) {
            check_result(result, EPIO_ERANGE);
            check_bytes(found, 'g', sizeof found);
        } else {
            check_result(result, len);
            assert_string_equal(found, path);
            check_bytes(found + len + 1, 'g', sizeof found - len - 1);
        }
    }
    check_op(f, epio_full_pathname(&op, f->vfs, "/", found, 1), EPIO_ERANGE);
    check_op(f, epio_full_pathname(&op, f->vfs, "/", found, 2), 1);
    check_op(f, epio_full_pathname(&op, f->vfs, "/", NULL, 0), EPIO_ERANGE);
}

static void full_pathname_resolves_links(fixture *f)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    make_directory(f, "real");
    make_directory(f, "real/deep");
    fixture_put(f, "real/file", "x", 1);
    make_link(f, "real", "folder");
    make_link(f, "folder/file", "link");
    make_link(f, "link", "chain");
    make_link(f, "nowhere", "dangling");
    make_link(f, "real/nowhere", "dangling-inside");
    make_link(f, "real/deep", "deep");
    make_link(f, fixture_path(f, "real/file"), "absolute");
    make_link(f, "loop-b", "loop-a");
    make_link(f, "loop-a", "loop-b");
    make_link(f, "no/folder", "broken");

    check_full(f, "link", "real/file");
    check_full(f, "chain", "real/file");
    check_full(f, "absolute", "real/file");
    check_full(f, "folder", "real");
    check_full(f, "folder/not-there", "real/not-there");
    check_full(f, "dangling", "nowhere");
    check_full(f, "dangling-inside", "real/nowhere");
    /* `..` leaves the folder that the link leads to, not the link's. */
    check_full(f, "deep/..", "real");
    check_full(f, "deep/../file", "real/file");
    check_full(f, "folder/deep/../../chain", "real/file");

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

static void full_pathname_of_a_relative_path(fixture *f)
{
    char before[PATH_ROOM];
    char found[PATH_ROOM];
    epio_op op = {0};
    assert_non_null(getcwd(before, sizeof before));
    make_directory(f, "sub");
    fixture_put(f, "sub/file", "x", 1);
    const char *expected[] = {fixture_path(f, "sub/file"), fixture_path(f, "sub"), f->folder,
                              fixture_path(f, "not-there")};
    static const char *const paths[] = {"file", ".", "..", "../not-there"};

    assert_int_equal(chdir(fixture_path(f, "sub")), 0);
    for (size_t i = 0; i < 4; i++) {
        memset(found, 'g', sizeof found);
        int64_t result =
            fixture_result(f, epio_full_pathname(&op, f->vfs, paths[i], found, sizeof found));
        if (result != (int64_t)strlen(expected[i]) || strcmp(found, expected[i]) != 0) {
            print_error("%s gave %lld\n", paths[i], (long long)result);
            assert_int_equal(chdir(before), 0);
            fail();
        }
    }
    assert_int_equal(chdir(before), 0);
}

/* ---- Time -------------------------------------------------------------- */

static uint64_t clock_reading(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(clock_gettime(clock, &now), 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void sleep_takes_as_long_as_asked(fixture *f)
{
    static const uint64_t lengths[] = {0, 1, 1000, 1000000, 20000000};
    epio_op op = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t begun = clock_reading(CLOCK_MONOTONIC);
        int64_t slept = fixture_result(f, epio_sleep(&op, f->vfs, lengths[i]));
        uint64_t passed = clock_reading(CLOCK_MONOTONIC) - begun;
        assert_true(slept >= (int64_t)lengths[i]);
        assert_true(passed >= lengths[i]);
    }
    check_op(f, epio_sleep(&op, f->vfs, UINT64_MAX), EPIO_EINVAL);
}

static void a_deadline_ends_a_sleep(fixture *f)
{
    epio_op op = {0};
    op.timeout_ns = 5000000;
    uint64_t begun = clock_reading(CLOCK_MONOTONIC);
    check_op(f, epio_sleep(&op, f->vfs, INT64_MAX), EPIO_ETIMEDOUT);
    assert_true(clock_reading(CLOCK_MONOTONIC) - begun >= 5000000);

    /* Used up by one submission. */
    check_op(f, epio_sleep(&op, f->vfs, 6000000), 6000000);

    /* A deadline that is not reached changes nothing. */
    op.timeout_ns = UINT64_C(3600000000000);
    check_op(f, epio_sleep(&op, f->vfs, 1000000), 1000000);
    op.timeout_ns = EPIO_FOREVER;
    check_op(f, epio_sleep(&op, f->vfs, 1000000), 1000000);
}

static void current_time_is_the_clock(fixture *f)
{
    epio_op op = {0};
    /* Some systems keep a coarser clock beside the fine one. */
    const int64_t slack = 100000000;
    int64_t before = (int64_t)clock_reading(CLOCK_REALTIME);
    int64_t now = fixture_result(f, epio_current_time(&op, f->vfs));
    int64_t after = (int64_t)clock_reading(CLOCK_REALTIME);
    assert_true(now >= before - slack);
    assert_true(now <= after + slack);
    int64_t later = fixture_result(f, epio_current_time(&op, f->vfs));
    assert_true(later >= now);
}

/* ---- Randomness -------------------------------------------------------- */

static void randomness_fills_the_buffer(fixture *f)
{
    enum { LENGTH = 3 << 20 };
    static const size_t lengths[] = {0, 1, 7, 255, 256, 257, 4096, LENGTH};
    unsigned char *found = malloc(LENGTH + 1);
    epio_op op = {0};
    assert_non_null(found);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = lengths[i];
        found[len] = 'g';
        check_op(f, epio_randomness(&op, f->vfs, found, len), len);
        assert_int_equal(found[len], 'g');
    }
    check_op(f, epio_randomness(&op, f->vfs, NULL, 0), 0);
    check_op(f, epio_randomness(&op, f->vfs, NULL, 1), EPIO_EINVAL);

    /* All bytes come, about equally often, to the very end. */
    size_t counts[256] = {0};
    for (size_t i = 0; i < LENGTH; i++) {
        counts[found[i]]++;
    }
    for (size_t i = 0; i < 256; i++) {
        assert_in_range(counts[i], LENGTH / 256 - 1500, LENGTH / 256 + 1500);
    }
    unsigned char tail = 0;
    for (size_t i = LENGTH - 64; i < LENGTH; i++) {
        tail |= found[i];
    }
    assert_int_not_equal(tail, 0);
    free(found);
}

static void randomness_never_repeats(fixture *f)
{
    unsigned char first[32];
    unsigned char second[32];
    epio_op op = {0};
    check_op(f, epio_randomness(&op, f->vfs, first, sizeof first), sizeof first);
    check_op(f, epio_randomness(&op, f->vfs, second, sizeof second), sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
}

/* ---- Work -------------------------------------------------------------- */

typedef struct job {
    pthread_t thread;
    int64_t answer;
    int runs;
} job;

static int64_t run_job(epio_op *op)
{
    job *one = op->user;
    one->thread = pthread_self();
    one->runs++;
    return one->answer;
}

/* op->user is the submit setting's own, so here ops are waited for. */
static int64_t work_result(fixture *f, epio_op *op)
{
#if EPIO_ASYNC
    return f->performs ? epio_perform(op) : epio_wait(op);
#else
    (void)f;
    return epio_perform(op);
#endif
}

static void work_returns_what_the_function_did(fixture *f)
{
    static const int64_t answers[] = {0, 1, 42, INT64_MAX, EPIO_EIO, EPIO_ECANCELED};
    epio_op op = {0};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        job one = {.answer = answers[i], .runs = 0};
        op.user = &one;
        check_result(work_result(f, epio_work(&op, f->vfs, run_job)), answers[i]);
        assert_int_equal(one.runs, 1);
        assert_ptr_equal(op.user, &one);
        /* On a thread of its own if there is a loop. */
        assert_int_equal(pthread_equal(one.thread, pthread_self()) != 0, f->performs);
    }
    check_result(work_result(f, epio_work(&op, f->vfs, NULL)), EPIO_EINVAL);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(delete_removes_a_name, ON_ANY),
        FIXTURE_TEST(delete_spares_folders, ON_ANY),
        FIXTURE_TEST(delete_removes_the_link_alone, ON_ANY_OS),
        FIXTURE_TEST(rename_moves_and_replaces, ON_ANY),
        FIXTURE_TEST(rename_without_replacing, ON_ANY),
        FIXTURE_TEST(rename_without_replacing_minds_links, ON_ANY_OS),
        FIXTURE_TEST(rename_says_what_is_wrong, ON_ANY),
        FIXTURE_TEST(rename_between_folders, ON_ANY),
        FIXTURE_TEST(an_open_file_follows_its_rename, ON_ANY),
        FIXTURE_TEST(rename_never_copies, ON_ANY_OS),
        FIXTURE_TEST(access_tells_what_is_there, ON_ANY),
        FIXTURE_TEST(access_looks_behind_links, ON_ANY_OS),
        FIXTURE_TEST(access_minds_permissions, ON_OS_PERFORM),
        FIXTURE_TEST(full_pathname_is_absolute, ON_ANY),
        FIXTURE_TEST(full_pathname_needs_the_folder, ON_ANY),
        FIXTURE_TEST(full_pathname_writes_all_or_nothing, ON_ANY),
        FIXTURE_TEST(full_pathname_resolves_links, ON_ANY_OS),
        FIXTURE_TEST(full_pathname_of_a_relative_path, ON_ANY_OS),
        FIXTURE_TEST(sleep_takes_as_long_as_asked, ON_ANY),
        FIXTURE_TEST(a_deadline_ends_a_sleep, ON_ANY),
        FIXTURE_TEST(current_time_is_the_clock, ON_ANY),
        FIXTURE_TEST(randomness_fills_the_buffer, ON_ANY),
        FIXTURE_TEST(randomness_never_repeats, ON_ANY),
        FIXTURE_TEST(work_returns_what_the_function_did, ON_ANY),
    };
    return FIXTURE_RUN("vfs_paths", tests);
}
