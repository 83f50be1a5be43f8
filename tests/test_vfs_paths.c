/* Ops without an open file: names (delete, rename, access, full_pathname), and sleep, current_time,
 * randomness and work. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>

#define PATH_ROOM 4200
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

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
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "no/directory"), 0), EPIO_ENOENT);
    check_op(f, epio_delete(&op, f->vfs, NULL, 0), EPIO_EINVAL);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "three"), 1u << 31), EPIO_EINVAL);
    check_result(fixture_exists(f, "three"), 1);
}

static void delete_spares_directories(fixture *f)
{
    epio_op op = {0};
    fixture_make_directory(f, "directory");
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "directory"), 0), EPIO_EISDIR);
    fixture_put(f, "directory/inside", "x", 1);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "directory"), EPIO_DELETE_SYNC_DIR),
             EPIO_EISDIR);
    check_result(fixture_exists(f, "directory/inside"), 1);
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

        /* To its own name. */
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

static void rename_says_what_is_wrong(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    fixture_put(f, "other", "y", 1);
    fixture_make_directory(f, "directory");
    fixture_put(f, "directory/inside", "z", 1);
    check_op(f, rename_op(f, &op, "nothing", "new", 0), EPIO_ENOENT);
    check_op(f, rename_op(f, &op, "nothing", "file", EPIO_RENAME_NO_REPLACE), EPIO_ENOENT);
    check_op(f, rename_op(f, &op, "file/below", "new", 0), EPIO_ENOTDIR);
    check_op(f, rename_op(f, &op, "file", "other/below", 0), EPIO_ENOTDIR);
    check_op(f, rename_op(f, &op, "file", "directory", 0), EPIO_EISDIR);
    check_op(f, rename_op(f, &op, "file", "directory", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_op(f, epio_rename(&op, f->vfs, NULL, "x", 0), EPIO_EINVAL);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "file"), NULL, 0), EPIO_EINVAL);
    check_op(f, rename_op(f, &op, "file", "new", 1u << 31), EPIO_EINVAL);
    check_op_fails(f, rename_op(f, &op, "file", "no/directory", 0), EPIO_ENOENT,
                   f->memory ? 0 : OS_ERROR(ENOENT));
    check_content(f, "file", "x", 1);
    check_content(f, "other", "y", 1);
    check_content(f, "directory/inside", "z", 1);
}

static void a_directory_is_not_moved_into_itself(fixture *f)
{
    static const uint32_t flags[] = {0, EPIO_RENAME_NO_REPLACE, EPIO_RENAME_SYNC_DIR,
                                     EPIO_RENAME_NO_REPLACE | EPIO_RENAME_SYNC_DIR};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_times times = {sizeof times, 1000, 1000, EPIO_TIME_KEEP};
    const char *inner = fixture_path(f, "directory/inner");
    fixture_make_directory(f, "directory");
    fixture_make_directory(f, "directory/inner");
    fixture_put(f, "directory/file", "x", 1);
    if (SYSTEM_IS_POSIX) {
        check_op(f, epio_set_times(&op, f->vfs, inner, &times, 0), 0);
    }
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        check_op(f, rename_op(f, &op, "directory", "directory/below", flags[i]), EPIO_EINVAL);
        check_result(fixture_exists(f, "directory/below"), 0);
        check_op(f, rename_op(f, &op, "directory", "directory/inner/below", flags[i]), EPIO_EINVAL);
        check_content(f, "directory/file", "x", 1);
    }
    if (SYSTEM_IS_POSIX) { /* nor is the name made for a moment */
        check_op(f, epio_stat(&op, f->vfs, inner, &info, 0), 0);
        check(info.modified < 1000000000);
    }
}

static void rename_between_directories(fixture *f)
{
    epio_op op = {0};
    fixture_make_directory(f, "here");
    fixture_make_directory(f, "there");
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

/* Writes a new file, renames it over the old one while that is read, and deletes it while it is
 * read: repeatedly, and nothing is left. */
static void the_pattern_of_a_file_server(fixture *f)
{
    enum { LENGTH = 1 << 20 };
    static unsigned char data[LENGTH];
    unsigned rounds = fixture_rounds(250);
    unsigned char found;
    epio_op op = {0};
    for (unsigned round = 0; round < rounds; round++) {
        unsigned char mark = (unsigned char)round;
        fixture_put(f, "served", "old", 3);
        epio_file *before = fixture_open(f, "served", EPIO_OPEN_READ);
        epio_file *file = fixture_open(f, "new", READ_WRITE | EPIO_OPEN_CREATE);
        memset(data, mark, LENGTH);
        fixture_write(f, file, data, LENGTH, 0);
        if (round % 2 == 0) {
            fixture_close(f, file);
        }
        check_op(f, rename_op(f, &op, "new", "served", 0), 0);
        epio_file *after = fixture_open(f, "served", EPIO_OPEN_READ);
        check_op(f, epio_size(&op, after), LENGTH);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "served"), 0), 0);
        check_result(fixture_exists(f, "served"), 0);
        fixture_read(f, before, &found, 1, 0);
        check(found == 'o');
        fixture_read(f, after, &found, 1, LENGTH - 1);
        check(found == mark);
        fixture_close(f, before);
        fixture_close(f, after);
        if (round % 2 != 0) {
            fixture_close(f, file);
        }
        f->names_used = 0;
    }
    check_result(count_entries(f->directory), 0);
}

/* ---- access ------------------------------------------------------------ */

static void access_reports_existence_and_mode(fixture *f)
{
    static const uint32_t modes[] = {EPIO_ACCESS_EXISTS, EPIO_ACCESS_READ, EPIO_ACCESS_READWRITE};
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    for (size_t i = 0; i < 3; i++) {
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file"), modes[i]), 1);
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "nothing"), modes[i]), 0);
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "no/directory"), modes[i]), 0);
        check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file/below"), modes[i]), 0);
    }
    check_op(f, epio_access(&op, f->vfs, f->directory, EPIO_ACCESS_EXISTS), 1);
    check_op(f, epio_access(&op, f->vfs, NULL, EPIO_ACCESS_EXISTS), EPIO_EINVAL);
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file"), 3), EPIO_EINVAL);
    check_op(f, epio_access(&op, f->vfs, fixture_path(f, "file"), 1u << 31), EPIO_EINVAL);
}

/* ---- Every verb that has a path ---------------------------------------- */

static void an_empty_path_is_invalid(fixture *f)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    check_op(f, epio_open(&op, f->vfs, "", EPIO_OPEN_READ), EPIO_EINVAL);
    check_op(f, epio_open(&op, f->vfs, "", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), EPIO_EINVAL);
    check_op(f, epio_open(&op, f->vfs, "", EPIO_OPEN_TEMPORARY), EPIO_EINVAL);
    assert_null(op.file);
    check_op(f, epio_delete(&op, f->vfs, "", EPIO_DELETE_SYNC_DIR), EPIO_EINVAL);
    check_op(f, epio_rename(&op, f->vfs, "", fixture_path(f, "new"), 0), EPIO_EINVAL);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "file"), "", 0), EPIO_EINVAL);
    check_op(f, epio_access(&op, f->vfs, "", EPIO_ACCESS_EXISTS), EPIO_EINVAL);
    check_op(f, epio_full_pathname(&op, f->vfs, "", found, sizeof found), EPIO_EINVAL);
    check_content(f, "file", "x", 1);
}

/* ---- full_pathname ----------------------------------------------------- */

static bool is_absolute(const char *path)
{
    return path[0] == '/' || (path[0] != '\0' && path[1] == ':');
}

/* The full pathname of a path in the test's directory. */
static void check_full(fixture *f, const char *name, const char *expected)
{
    char found[PATH_ROOM];
    epio_op op = {0};
    const char *wanted = is_absolute(expected) ? expected : fixture_path(f, expected);
    const char *path = is_absolute(name) ? name : fixture_path(f, name);
    memset(found, 'g', sizeof found);
    check_op(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found), strlen(wanted));
    assert_true(paths_agree(found, wanted));
    /* Nothing is written beyond the NUL. */
    check_bytes(found + strlen(wanted) + 1, 'g', sizeof found - strlen(wanted) - 1);
}

static void full_pathname_is_absolute(fixture *f)
{
    fixture_make_directory(f, "sub");
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
    check_full(f, "sub/..", f->directory);
    check_full(f, "sub/.", "sub");
    check_full(f, "sub/", "sub");
    check_full(f, "sub", "sub");
    if (f->memory || SYSTEM_IS_POSIX) {
        check_full(f, "/", "/");
        check_full(f, "/..", "/");
        check_full(f, "/../.", "/");
        check_full(f, "/epio-not-there", "/epio-not-there");
        check_full(f, "//epio-not-there", "/epio-not-there");
    } else {
        check_full(f, SYSTEM_ROOT, SYSTEM_ROOT);
        check_full(f, SYSTEM_ROOT "..", SYSTEM_ROOT);
        check_full(f, SYSTEM_ROOT "../.", SYSTEM_ROOT);
        check_full(f, SYSTEM_ROOT "epio-not-there", SYSTEM_ROOT "epio-not-there");
        check_full(f, SYSTEM_ROOT "/epio-not-there", SYSTEM_ROOT "epio-not-there");
    }
}

static void full_pathname_needs_the_directory(fixture *f)
{
    char found[PATH_ROOM] = "unchanged";
    epio_op op = {0};
    fixture_put(f, "file", "x", 1);
    check_op(f, epio_full_pathname(&op, f->vfs, fixture_path(f, "file/below"), found, sizeof found),
             EPIO_ENOTDIR);
    check_op(f, epio_full_pathname(&op, f->vfs, NULL, found, sizeof found), EPIO_EINVAL);
    check_op(f, epio_full_pathname(&op, f->vfs, SYSTEM_ROOT, NULL, sizeof found), EPIO_EINVAL);
    check_op(f, epio_full_pathname(&op, f->vfs, fixture_path(f, "no/file"), found, sizeof found),
             EPIO_ENOENT);
    /* Windows resolves dots lexically, whatever is on the disk. */
    if (f->memory || SYSTEM_IS_POSIX) {
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
            assert_true(paths_agree(found, path));
            check_bytes(found + len + 1, 'g', sizeof found - len - 1);
        }
    }
    const char *root = f->memory ? "/" : SYSTEM_ROOT;
    size_t root_len = strlen(root);
    check_op(f, epio_full_pathname(&op, f->vfs, root, found, root_len), EPIO_ERANGE);
    check_op(f, epio_full_pathname(&op, f->vfs, root, found, root_len + 1), root_len);
    check_op(f, epio_full_pathname(&op, f->vfs, root, NULL, 0), EPIO_ERANGE);
}

static void full_pathname_of_a_relative_path(fixture *f)
{
    char before[PATH_ROOM];
    char found[PATH_ROOM];
    epio_op op = {0};
    assert_true(current_directory(before, sizeof before));
    fixture_make_directory(f, "sub");
    fixture_put(f, "sub/file", "x", 1);
    const char *expected[] = {fixture_path(f, "sub/file"), fixture_path(f, "sub"), f->directory,
                              fixture_path(f, "not-there")};
    static const char *const paths[] = {"file", ".", "..", "../not-there"};

    assert_true(current_directory_set(fixture_path(f, "sub")));
    for (size_t i = 0; i < 4; i++) {
        memset(found, 'g', sizeof found);
        int64_t result =
            fixture_result(f, epio_full_pathname(&op, f->vfs, paths[i], found, sizeof found));
        if (result != (int64_t)strlen(expected[i]) || !paths_agree(found, expected[i])) {
            print_error("%s gave %lld\n", paths[i], (long long)result);
            assert_true(current_directory_set(before));
            fail();
        }
    }
    assert_true(current_directory_set(before));
}

/* ---- Time -------------------------------------------------------------- */

static void sleep_takes_its_time(fixture *f)
{
    static const uint64_t lengths[] = {0, 1, 1000, 1000000, 20000000};
    epio_op op = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t started = system_monotonic_ns();
        int64_t slept = fixture_result(f, epio_sleep(&op, f->vfs, lengths[i]));
        uint64_t passed = system_monotonic_ns() - started;
        assert_true(slept >= (int64_t)lengths[i]);
        assert_true(passed >= lengths[i]);
    }
    check_op(f, epio_sleep(&op, f->vfs, UINT64_MAX), EPIO_EINVAL);
}

static void a_deadline_ends_a_sleep(fixture *f)
{
    epio_op op = {0};
    op.timeout_ns = 5000000;
    uint64_t started = system_monotonic_ns();
    check_op(f, epio_sleep(&op, f->vfs, INT64_MAX), EPIO_ETIMEDOUT);
    assert_true(system_monotonic_ns() - started >= 5000000);

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
    /* Some systems have a coarser clock beside the fine one. */
    const int64_t slack = 100000000;
    int64_t before = system_time_ns();
    int64_t now = fixture_result(f, epio_current_time(&op, f->vfs));
    int64_t after = system_time_ns();
    assert_true(now >= before - slack);
    assert_true(now <= after + slack);
    int64_t later = fixture_result(f, epio_current_time(&op, f->vfs));
    assert_true(later >= now);
}

/* ---- Randomness -------------------------------------------------------- */

static void randomness_fills_the_buffer(fixture *f)
{
    enum { LENGTH = (1 << 20) + 4096 }; /* more than the owner's thread generates */
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

    /* All values occur, about equally often, up to the end. */
    size_t counts[256] = {0};
    for (size_t i = 0; i < LENGTH; i++) {
        counts[found[i]]++;
    }
    for (size_t i = 0; i < 256; i++) {
        assert_in_range(counts[i], LENGTH / 256 - 800, LENGTH / 256 + 800);
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
    uintptr_t thread;
    int64_t answer;
    int runs;
} job;

static int64_t run_job(epio_op *op)
{
    job *one = op->user;
    one->thread = thread_self();
    one->runs++;
    return one->answer;
}

/* The submit setting uses op->user, so here ops are waited for. */
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
        /* On a worker thread if there is a loop. */
        assert_int_equal(one.thread == thread_self(), f->performs);
    }
    check_result(work_result(f, epio_work(&op, f->vfs, NULL)), EPIO_EINVAL);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(delete_removes_a_name, ON_ANY),
        FIXTURE_TEST(delete_spares_directories, ON_ANY),
        FIXTURE_TEST(rename_moves_and_replaces, ON_ANY),
        FIXTURE_TEST(rename_without_replacing, ON_ANY),
        FIXTURE_TEST(rename_says_what_is_wrong, ON_ANY),
        FIXTURE_TEST(a_directory_is_not_moved_into_itself, ON_ANY),
        FIXTURE_TEST(rename_between_directories, ON_ANY),
        FIXTURE_TEST(an_open_file_follows_its_rename, ON_ANY),
        FIXTURE_TEST(the_pattern_of_a_file_server, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(access_reports_existence_and_mode, ON_ANY),
        FIXTURE_TEST(an_empty_path_is_invalid, ON_ANY),
        FIXTURE_TEST(full_pathname_is_absolute, ON_ANY),
        FIXTURE_TEST(full_pathname_needs_the_directory, ON_ANY),
        FIXTURE_TEST(full_pathname_writes_all_or_nothing, ON_ANY),
        FIXTURE_TEST(full_pathname_of_a_relative_path, ON_ANY_OS),
        FIXTURE_TEST(sleep_takes_its_time, ON_ANY),
        FIXTURE_TEST(a_deadline_ends_a_sleep, ON_ANY),
        FIXTURE_TEST(current_time_is_the_clock, ON_ANY),
        FIXTURE_TEST(randomness_fills_the_buffer, ON_ANY),
        FIXTURE_TEST(randomness_never_repeats, ON_ANY),
        FIXTURE_TEST(work_returns_what_the_function_did, ON_ANY),
    };
    return FIXTURE_RUN("vfs_paths", tests);
}
