/* The memory VFS: holes, names, copies that a worker does, several threads.
 * What it shares with other VFSes is in the tests that run on all. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define HOUR UINT64_C(3600000000000)
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define TIB (UINT64_C(1) << 40)
#define LAST ((uint64_t)INT64_MAX)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static epio_file *open_path(fixture *f, const char *path, uint32_t flags)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, path, flags), 0);
    check(op.file != NULL);
    return op.file;
}

static void make_directory(fixture *f, const char *path)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, path, EPIO_MKDIR_PARENTS), 0);
}

static void refuses_open(fixture *f, const char *path, uint32_t flags, int64_t expected)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, path, flags), expected);
    check(op.file == NULL);
}

static void put_text(fixture *f, const char *path, const char *text)
{
    epio_file *file = open_path(f, path, CREATE | EPIO_OPEN_TRUNCATE);
    fixture_write(f, file, text, strlen(text), 0);
    fixture_close(f, file);
}

static void file_holds(fixture *f, epio_file *file, const char *text)
{
    char found[64];
    epio_op op = {0};
    check_op(f, epio_read(&op, file, found, sizeof found, 0), strlen(text));
    assert_memory_equal(found, text, strlen(text));
}

static void path_holds(fixture *f, const char *path, const char *text)
{
    epio_file *file = open_path(f, path, EPIO_OPEN_READ);
    file_holds(f, file, text);
    fixture_close(f, file);
}

static int64_t allows(fixture *f, const char *path, uint32_t mode)
{
    epio_op op = {0};
    return fixture_result(f, epio_access(&op, f->vfs, path, mode));
}

static int64_t delete_path(fixture *f, const char *path)
{
    epio_op op = {0};
    return fixture_result(f, epio_delete(&op, f->vfs, path, 0));
}

static int64_t rename_path(fixture *f, const char *from, const char *to, uint32_t flags)
{
    epio_op op = {0};
    return fixture_result(f, epio_rename(&op, f->vfs, from, to, flags));
}

static void far_offsets_cost_nothing(fixture *f)
{
    static const uint64_t offsets[] = {
        16 * KIB - 3, MIB - 3, 64 * MIB - 3, TIB / 256 - 3, TIB, 1024 * TIB - 3, LAST - 6,
    };
    static unsigned char zeros[70000];
    char found[6];
    epio_op op = {0};
    epio_file *file = open_path(f, "sparse", CREATE);
    fixture_write(f, file, "abcdef", 6, 0);
    for (size_t i = 0; i < COUNT(offsets); i++) {
        size_t hole = offsets[i] / 2 < sizeof zeros ? 1000 : sizeof zeros;
        fixture_write(f, file, "abcdef", 6, offsets[i]);
        check_op(f, epio_size(&op, file), offsets[i] + 6);
        memset(zeros, 'g', hole);
        fixture_read(f, file, zeros, hole, offsets[i] / 2 + 10);
        check_bytes(zeros, 0, hole);
    }
    for (size_t i = 0; i < COUNT(offsets); i++) {
        fixture_read(f, file, found, 6, offsets[i]);
        assert_memory_equal(found, "abcdef", 6);
    }
    check_op(f, epio_read(&op, file, found, 0, LAST), 0);
    check_op(f, epio_truncate(&op, file, LAST - 3), 0);
    check_op(f, epio_truncate(&op, file, LAST), 0);
    fixture_read(f, file, found, 6, LAST - 6);
    assert_memory_equal(found, "abc\0\0\0", 6);
    fixture_close(f, file);
}

static void what_is_gained_is_zeros(fixture *f)
{
    char found[8];
    epio_op op = {0};
    epio_file *file = open_path(f, "grown", CREATE);
    fixture_write(f, file, "abcdefgh", 8, 0);
    check_op(f, epio_truncate(&op, file, 2 * TIB), 0);
    for (uint64_t offset = 16 * KIB; offset < TIB; offset *= 2) {
        fixture_read(f, file, found, sizeof found, offset);
        check_bytes(found, 0, sizeof found);
    }
    fixture_close(f, file);
}

static void what_was_cut_off_does_not_come_back(fixture *f)
{
    static const size_t sizes[] = {
        0, 1, 4095, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 100000, MIB, MIB + 5,
    };
    static unsigned char bytes[2 * MIB];
    epio_op op = {0};
    epio_file *file = open_path(f, "cut", CREATE);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        memset(bytes, 'x', sizeof bytes);
        fixture_write(f, file, bytes, sizeof bytes, 0);
        check_op(f, epio_truncate(&op, file, sizes[i]), 0);
        check_op(f, epio_size(&op, file), sizes[i]);
        check_op(f, epio_truncate(&op, file, sizeof bytes), 0);
        fixture_read(f, file, bytes, sizeof bytes, 0);
        check_bytes(bytes, 'x', sizes[i]);
        check_bytes(bytes + sizes[i], 0, sizeof bytes - sizes[i]);
    }
    fixture_close(f, file);
}

static void truncating_and_closing_give_memory_back(fixture *f)
{
    static unsigned char bytes[MIB];
    epio_op op = {0};
    const uint64_t rounds = 150; /* a MiB each: more than may remain at the end */
    int64_t before = system_peak_memory();
    if (fixture_is_watched()) {
        fixture_skip(f, "this counts the memory in use");
    }
    epio_file *file = open_path(f, "rolling", CREATE);
    for (uint64_t round = 0; round < rounds; round++) {
        fixture_write(f, file, bytes, sizeof bytes, round * TIB / 64);
        check_op(f, epio_truncate(&op, file, round), 0);
    }
    fixture_close(f, file);
    for (uint64_t round = 0; round < rounds; round++) {
        file = open_path(f, round % 2 == 0 ? "new" : NULL,
                         round % 2 == 0 ? CREATE | EPIO_OPEN_EXCLUSIVE : EPIO_OPEN_TEMPORARY);
        fixture_write(f, file, bytes, sizeof bytes, 0);
        fixture_close(f, file);
        check_result(rename_path(f, "new", "old", 0), round % 2 == 0 ? 0 : EPIO_ENOENT);
    }
    check(system_peak_memory() - before < (int64_t)(100 * MIB));
}

static void a_deleted_file_lives_until_its_last_close(fixture *f)
{
    epio_op op = {0};
    put_text(f, "a", "first");
    epio_file *one = open_path(f, "a", READ_WRITE);
    epio_file *two = open_path(f, "/a", READ_WRITE);
    check_result(delete_path(f, "a"), 0);
    check_result(delete_path(f, "a"), EPIO_ENOENT);
    check_result(allows(f, "a", EPIO_ACCESS_EXISTS), 0);
    put_text(f, "a", "second");
    fixture_write(f, one, "F", 1, 0);
    fixture_close(f, one);
    file_holds(f, two, "First");
    check_op(f, epio_truncate(&op, two, 2), 0);
    path_holds(f, "a", "second");
    fixture_close(f, two);
}

static void a_replaced_file_lives_until_its_last_close(fixture *f)
{
    put_text(f, "new", "longer than what it holds next");
    put_text(f, "new", "new");
    put_text(f, "old", "old");
    epio_file *replaced = open_path(f, "old", EPIO_OPEN_READ);
    epio_file *moved = open_path(f, "new", READ_WRITE);
    check_result(rename_path(f, "new", "old", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_result(rename_path(f, "new", "old", 0), 0);
    file_holds(f, replaced, "old");
    fixture_write(f, moved, "N", 1, 0);
    path_holds(f, "old", "New");
    refuses_open(f, "new", EPIO_OPEN_READ, EPIO_ENOENT);
    fixture_close(f, moved);
    fixture_close(f, replaced);
}

static void renaming_onto_itself_changes_nothing(fixture *f)
{
    put_text(f, "a", "same");
    make_directory(f, "b");
    check_result(rename_path(f, "a", "./b/../a", 0), 0);
    check_result(rename_path(f, "a", "a", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_result(rename_path(f, "gone", "a", 0), EPIO_ENOENT);
    path_holds(f, "a", "same");
}

static void delete_on_close_takes_only_its_own(fixture *f)
{
    uint32_t flags = CREATE | EPIO_OPEN_DELETE_ON_CLOSE;
    fixture_close(f, open_path(f, "a", flags));
    check_result(allows(f, "a", EPIO_ACCESS_EXISTS), 0);

    epio_file *replaced = open_path(f, "a", flags);
    put_text(f, "b", "other");
    check_result(rename_path(f, "b", "a", 0), 0);
    fixture_close(f, replaced);
    path_holds(f, "a", "other");

    epio_file *moved = open_path(f, "a", flags);
    check_result(rename_path(f, "a", "c", 0), 0);
    fixture_close(f, moved);
    path_holds(f, "c", "other");

    epio_file *kept = open_path(f, "c", EPIO_OPEN_READ);
    make_directory(f, "x");
    fixture_close(f, open_path(f, "/x/../c", EPIO_OPEN_READ | EPIO_OPEN_DELETE_ON_CLOSE));
    check_result(allows(f, "c", EPIO_ACCESS_EXISTS), 0);
    file_holds(f, kept, "other");
    fixture_close(f, kept);
}

static void temporary_files_have_no_name(fixture *f)
{
    put_text(f, "beside", "kept");
    epio_file *one = open_path(f, NULL, EPIO_OPEN_TEMPORARY);
    epio_file *two = open_path(f, "beside", EPIO_OPEN_TEMPORARY);
    fixture_write(f, one, "one", 3, 0);
    fixture_write(f, two, "two", 3, 0);
    file_holds(f, one, "one");
    file_holds(f, two, "two");
    fixture_close(f, one);
    fixture_close(f, two);
    path_holds(f, "beside", "kept");
}

static void full_pathnames_are_normal(fixture *f)
{
    static const char *const pairs[][2] = {
        {"a", "/a"},
        {"/a", "/a"},
        {"./a", "/a"},
        {"a/b/c", "/a/b/c"},
        {"//a///b//", "/a/b"},
        {"/a/./b/.", "/a/b"},
        {"/a/b/..", "/a"},
        {"/a/../../b", "/b"},
        {"..", "/"},
        {".", "/"},
        {"/", "/"},
        {"/a/..", "/"},
        {".a/b.", "/.a/b."},
        {"..a/...", "/..a/..."},
        {"/a b/\xc3\xa9", "/a b/\xc3\xa9"},
    };
    make_directory(f, "/a/b");
    make_directory(f, "/.a");
    make_directory(f, "/..a");
    make_directory(f, "/a b");
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char found[64];
        size_t len = strlen(pairs[i][1]);
        epio_op op = {0};
        memset(found, 'g', sizeof found);
        check_op(f, epio_full_pathname(&op, f->vfs, pairs[i][0], found, len), EPIO_ERANGE);
        check_bytes(found, 'g', sizeof found);
        check_op(f, epio_full_pathname(&op, f->vfs, pairs[i][0], found, len + 1), len);
        assert_string_equal(found, pairs[i][1]);
        check_bytes(found + len + 1, 'g', sizeof found - len - 1);
    }
}

static void full_pathnames_fail(fixture *f)
{
    char found[64];
    epio_op op = {0};
    put_text(f, "file", "");
    check_op(f, epio_full_pathname(&op, f->vfs, "file/x", found, sizeof found), EPIO_ENOTDIR);
    check_op(f, epio_full_pathname(&op, f->vfs, "file", NULL, 0), EPIO_ERANGE);
}

static void slashes_make_no_directories(fixture *f)
{
    refuses_open(f, "/home/file", CREATE, EPIO_ENOENT);
    check_result(allows(f, "/home", EPIO_ACCESS_EXISTS), 0);
    make_directory(f, "/home/user");
    put_text(f, "/home/user/file", "text");
    put_text(f, "/home/users", "");
    check_result(allows(f, "/home/user", EPIO_ACCESS_READWRITE), 1);
    check_result(allows(f, "/home/user/", EPIO_ACCESS_EXISTS), 1);
    check_result(allows(f, "/", EPIO_ACCESS_EXISTS), 1);
    check_result(allows(f, "/home/use", EPIO_ACCESS_EXISTS), 0);
    refuses_open(f, "/home/user", EPIO_OPEN_READ, EPIO_EISDIR);
    refuses_open(f, "home", CREATE, EPIO_EISDIR);
    refuses_open(f, "home", CREATE | EPIO_OPEN_EXCLUSIVE, EPIO_EEXIST);
    refuses_open(f, "/", CREATE, EPIO_EISDIR);
    refuses_open(f, "/new/", CREATE, EPIO_EISDIR);
    refuses_open(f, "/new/", READ_WRITE, EPIO_ENOENT);
    check_result(delete_path(f, "/home"), EPIO_EISDIR);
    check_result(rename_path(f, "/home/users", "/home/user", 0), EPIO_EISDIR);
    check_result(rename_path(f, "/home/users", "/new/", 0), EPIO_ENOTDIR);
    check_result(delete_path(f, "/home/user/file"), 0);
    check_result(allows(f, "/home/user", EPIO_ACCESS_EXISTS), 1);
}

static void a_file_is_no_directory(fixture *f)
{
    make_directory(f, "/a");
    put_text(f, "/a/file", "text");
    refuses_open(f, "/a/file/b", CREATE, EPIO_ENOTDIR);
    refuses_open(f, "/a/file/", EPIO_OPEN_READ, EPIO_ENOTDIR);
    check_result(delete_path(f, "/a/file/b/c"), EPIO_ENOTDIR);
    check_result(rename_path(f, "/a/file", "/a/file/b", 0), EPIO_ENOTDIR);
    check_result(allows(f, "/a/file/b", EPIO_ACCESS_EXISTS), 0);
    path_holds(f, "/a/file", "text");
}

static void make_directories_of(fixture *f, char *path)
{
    char *end = strrchr(path, '/');
    *end = '\0';
    make_directory(f, path);
    *end = '/';
}

static void long_names_have_a_limit(fixture *f)
{
    char path[5000];
    memset(path, 'x', sizeof path);
    path[256] = '\0';
    refuses_open(f, path, CREATE, EPIO_ENAMETOOLONG);
    path[255] = '\0';
    put_text(f, path, "");
    memset(path, 'x', sizeof path);
    for (size_t i = 200; i < sizeof path; i += 200) {
        path[i] = '/';
    }
    path[4096] = '\0';
    refuses_open(f, path, CREATE, EPIO_ENAMETOOLONG);
    path[4095] = '\0';
    make_directories_of(f, path);
    put_text(f, path, "long");
    make_directories_of(f, path + 1);
    check_result(rename_path(f, path, path + 1, 0), 0);
    path_holds(f, path + 1, "long");
    check_result(delete_path(f, path + 1), 0);
}

static void permissions_are_the_owners(fixture *f)
{
    uint32_t flags = CREATE | EPIO_OPEN_PERMISSIONS(0477);
    epio_file *file = open_path(f, "readable", flags);
    fixture_write(f, file, "x", 1, 0);
    fixture_close(f, file);
    check_result(allows(f, "readable", EPIO_ACCESS_EXISTS), 1);
    check_result(allows(f, "readable", EPIO_ACCESS_READ), 1);
    check_result(allows(f, "readable", EPIO_ACCESS_READWRITE), 0);
    refuses_open(f, "readable", flags | EPIO_OPEN_TRUNCATE, EPIO_EACCES);
    refuses_open(f, "readable", flags | EPIO_OPEN_EXCLUSIVE, EPIO_EEXIST);
    path_holds(f, "readable", "x");

    fixture_close(f, open_path(f, "closed", CREATE | EPIO_OPEN_PERMISSIONS(0)));
    check_result(allows(f, "closed", EPIO_ACCESS_EXISTS), 1);
    check_result(allows(f, "closed", EPIO_ACCESS_READ), 0);
    refuses_open(f, "closed", EPIO_OPEN_READ, EPIO_EACCES);
    check_result(delete_path(f, "closed"), 0);

    put_text(f, "usual", "");
    check_result(allows(f, "usual", EPIO_ACCESS_READWRITE), 1);
}

enum { NAMES = 1000, STEPS = 20000 };

/* Deletes, renames or creates one name, and sets its entry of `marks` to the file's content; 0: no
 * file. */
static void change_a_name(fixture *f, random_source *random, unsigned char *marks)
{
    char from[32];
    char to[32];
    size_t one = (size_t)random_between(random, 0, NAMES);
    size_t other = (size_t)random_between(random, 0, NAMES);
    unsigned char mark = (unsigned char)random_between(random, 1, 256);
    (void)snprintf(from, sizeof from, "f%zu/%zu", one % 7, one);
    (void)snprintf(to, sizeof to, "f%zu/%zu", other % 7, other);
    check_result(allows(f, from, EPIO_ACCESS_EXISTS), marks[one] != 0);
    if (marks[one] == 0) {
        epio_file *file = open_path(f, from, CREATE | EPIO_OPEN_EXCLUSIVE);
        fixture_write(f, file, &mark, 1, 0);
        fixture_close(f, file);
        marks[one] = mark;
    } else if (mark % 2 == 0) {
        check_result(delete_path(f, from), 0);
        marks[one] = 0;
    } else if (one != other) {
        check_result(rename_path(f, from, to, 0), 0);
        marks[other] = marks[one];
        marks[one] = 0;
    }
}

static void many_names_are_independent(fixture *f)
{
    unsigned char marks[NAMES] = {0};
    random_source random = {1};
    for (int i = 0; i < 7; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "f%d", i);
        make_directory(f, path);
    }
    for (int step = 0; step < STEPS; step++) {
        change_a_name(f, &random, marks);
    }
    for (size_t i = 0; i < NAMES; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "f%zu/%zu", i % 7, i);
        if (marks[i] == 0) {
            refuses_open(f, path, READ_WRITE, EPIO_ENOENT);
            continue;
        }
        unsigned char mark = 0;
        epio_file *file = open_path(f, path, EPIO_OPEN_READ);
        fixture_read(f, file, &mark, 1, 0);
        check(mark == marks[i]);
        fixture_close(f, file);
    }
}

static void two_vfses_share_nothing(fixture *f)
{
    epio_op op = {0};
    epio_vfs *other;
    put_text(f, "a", "mine");
    check_result(epio_memory_vfs_create(&other, NULL), 0);
    check_result(epio_perform(epio_access(&op, other, "a", EPIO_ACCESS_EXISTS)), 0);
    check_result(epio_perform(epio_open(&op, other, "a", CREATE)), 0);
    check_result(epio_perform(epio_close(&op, op.file)), 0);
    path_holds(f, "a", "mine");
    epio_vfs_destroy(other);
}

static int64_t answer(epio_op *op)
{
    return *(const int *)op->user;
}

static void sleeps_and_works(fixture *f)
{
    int number = 42;
    epio_op op = {0};
    op.user = &number;
    check_op(f, epio_work(&op, f->vfs, answer), 42);
    int64_t begin = fixture_result(f, epio_current_time(&op, f->vfs));
    check_op(f, epio_sleep(&op, f->vfs, 2000000), 2000000);
    op.timeout_ns = 1000000;
    check_op(f, epio_sleep(&op, f->vfs, HOUR), EPIO_ETIMEDOUT);
    check(fixture_result(f, epio_current_time(&op, f->vfs)) - begin > 2000000);
}

static void large_copies_are_whole(fixture *f)
{
    static unsigned char written[9 * MIB + 17];
    static unsigned char found[9 * MIB + 17];
    size_t len = sizeof written;
    random_source random = {7};
    epio_op op = {0};
    epio_iovec parts[] = {{found, 5}, {found + 5, 6 * MIB}, {found + 5 + 6 * MIB, 3 * MIB + 13}};
    epio_file *file = open_path(f, "large", CREATE);
    random_fill(&random, written, len);
    fixture_write(f, file, written, len, 3);
    fixture_read(f, file, found, len, 3);
    assert_memory_equal(found, written, len);
    memset(found, 0, len);
    check_op(f, epio_readv(&op, file, parts, COUNT(parts), 4), len - 1);
    assert_memory_equal(found, written + 1, len - 1);
    len = 2 * MIB + 17; /* 256 bytes per system call */
    check_op(f, epio_randomness(&op, f->vfs, found, len), len);
    assert_memory_not_equal(found, written, len);
    fixture_close(f, file);
}

#if EPIO_ASYNC

/* An iteration has a budget for copying, in every VFS: what is submitted beyond it waits for the
 * next iteration. */
static void a_submit_copies_within_the_budget(fixture *f)
{
    enum { READS = 32 };
    static unsigned char found[MIB];
    static epio_op ops[READS];
    epio_loop_stats now = {.size = sizeof now};
    epio_file *file = open_path(f, "large", CREATE);
    fixture_write(f, file, found, sizeof found, 0);
    for (int i = 0; i < READS; i++) {
        epio_submit(epio_read(&ops[i], file, found, sizeof found, 0));
    }
    check_result(epio_loop_get_stats(f->loop, &now), 0);
    check(now.deferred_now >= READS - 4); /* 3 MiB are the budget of an iteration */
    check_result((int64_t)epio_loop_run(f->loop), READS);
    for (int i = 0; i < READS; i++) {
        check_result(ops[i].result, MIB);
    }
    fixture_close(f, file);
}

#endif

static void destroy_too_early(const char *argument)
{
    epio_op op = {0};
    epio_vfs *vfs;
    (void)argument;
    check_result(epio_memory_vfs_create(&vfs, NULL), 0);
    check_result(epio_perform(epio_open(&op, vfs, "a", CREATE)), 0);
    epio_vfs_destroy(vfs);
}

static void destroying_it_with_an_open_file_aborts(fixture *f)
{
    static const char line[] = "epio: epio_vfs_destroy: a file of this VFS is still open";
    char said[256] = "";
    child one;
    (void)f;
    child_start(&one, destroy_too_early, "", CHILD_STDERR);
    check(pipe_read(one.errors, said, sizeof said - 1) > 0);
    check_result(child_end(&one), ENDED_BY_ABORT);
    assert_memory_equal(said, line, sizeof line - 1);
}

enum { THREADS = 4, ROUNDS = 1000, STRIPE = 40000 };

/* A thread with its own stripe of the file. */
typedef struct striper {
    test_thread thread;
    epio_vfs *vfs;
    epio_file *file;
    size_t number;
    bool failed;
} striper;

static bool write_a_stripe(striper *self, unsigned char *bytes, int byte)
{
    epio_op op = {0};
    uint64_t offset = self->number * STRIPE;
    memset(bytes, byte, STRIPE);
    if (epio_perform(epio_write(&op, self->file, bytes, STRIPE, offset)) != STRIPE) {
        return false;
    }
    memset(bytes, 255, STRIPE);
    if (epio_perform(epio_read(&op, self->file, bytes, STRIPE, offset)) != STRIPE) {
        return false;
    }
    return bytes[0] == byte && memcmp(bytes, bytes + 1, STRIPE - 1) == 0;
}

static bool replace_the_shared_name(striper *self)
{
    epio_op op = {0};
    char name[32];
    (void)snprintf(name, sizeof name, "own/%zu", self->number);
    if (epio_perform(epio_open(&op, self->vfs, name, CREATE)) != 0) {
        return false;
    }
    epio_file *own = op.file;
    return epio_perform(epio_write(&op, own, name, sizeof name, 0)) == sizeof name &&
           epio_perform(epio_rename(&op, self->vfs, name, "shared", 0)) == 0 &&
           epio_perform(epio_close(&op, own)) == 0;
}

static void *write_stripes(void *argument)
{
    striper *self = argument;
    unsigned char *bytes = malloc(STRIPE);
    self->failed = bytes == NULL;
    for (int round = 0; !self->failed && round < ROUNDS; round++) {
        self->failed = !write_a_stripe(self, bytes, round % 200) || !replace_the_shared_name(self);
    }
    free(bytes);
    return NULL;
}

static void start_stripers(striper *stripers, epio_vfs *vfs, epio_file *file)
{
    for (size_t i = 0; i < THREADS; i++) {
        stripers[i].vfs = vfs;
        stripers[i].file = file;
        stripers[i].number = i;
        thread_start(&stripers[i].thread, write_stripes, &stripers[i]);
    }
}

static void join_stripers(striper *stripers)
{
    for (size_t i = 0; i < THREADS; i++) {
        (void)thread_join(stripers[i].thread);
        check(!stripers[i].failed);
    }
}

static void several_threads_perform(fixture *f)
{
    striper stripers[THREADS];
    epio_op op = {0};
    make_directory(f, "own");
    epio_file *file = open_path(f, "striped", CREATE);
    start_stripers(stripers, f->vfs, file);
    join_stripers(stripers);
    check_op(f, epio_size(&op, file), THREADS * STRIPE);
    fixture_close(f, file);
    check_result(allows(f, "shared", EPIO_ACCESS_EXISTS), 1);
}

#if EPIO_ASYNC

typedef struct rewriter {
    epio_file *file;
    int left;
    bool failed;
} rewriter;

static void write_again(epio_op *op)
{
    static const unsigned char bytes[100];
    rewriter *self = op->user;
    self->failed = self->failed || op->result != sizeof bytes;
    if (--self->left > 0) {
        uint64_t offset = TIB + (uint64_t)self->left * 5000;
        epio_submit(epio_write(op, self->file, bytes, sizeof bytes, offset));
    }
}

static void threads_perform_while_a_loop_runs(fixture *f)
{
    static unsigned char bytes[8 * MIB];
    striper stripers[THREADS];
    epio_op small = {0};
    epio_op large = {0};
    make_directory(f, "own");
    epio_file *file = open_path(f, "striped", CREATE);
    rewriter again = {file, 2000, false};
    small.done = write_again;
    small.user = &again;
    start_stripers(stripers, f->vfs, file);
    epio_submit(epio_write(&large, file, bytes, sizeof bytes, 2 * TIB));
    epio_submit(epio_write(&small, file, bytes, 100, TIB));
    (void)epio_loop_run(f->loop);
    join_stripers(stripers);
    check(!again.failed && again.left == 0);
    check_result(large.result, sizeof bytes);
    fixture_close(f, file);
}

static void a_sync_covers_large_copies(fixture *f)
{
    static unsigned char bytes[4][3 * MIB];
    epio_op ops[COUNT(bytes)] = {0};
    epio_op sync = {0};
    int delivered = 0;
    epio_file *file = open_path(f, "large", CREATE);
    for (size_t i = 0; i < COUNT(bytes); i++) {
        epio_submit(epio_write(count_delivery(&ops[i], &delivered), file, bytes[i], sizeof bytes[i],
                               i * sizeof bytes[i]));
    }
    assert_int_equal(delivered, 0);
    check_op(f, epio_sync(&sync, file, EPIO_SYNC_FULL), 0);
    assert_int_equal(delivered, COUNT(bytes));
    for (size_t i = 0; i < COUNT(bytes); i++) {
        check_result(ops[i].result, sizeof bytes[i]);
    }
    fixture_close(f, file);
}

static void a_large_copy_ends_whole_or_cancelled(fixture *f)
{
    static unsigned char bytes[2 * MIB];
    epio_op ops[32] = {0};
    int delivered = 0;
    epio_file *file = open_path(f, "large", CREATE);
    for (size_t i = 0; i < COUNT(ops); i++) {
        epio_submit(epio_write(count_delivery(&ops[i], &delivered), file, bytes, sizeof bytes, 0));
    }
    for (size_t i = COUNT(ops); i-- > 0;) {
        epio_cancel(&ops[i]);
    }
    (void)epio_loop_run(f->loop);
    assert_int_equal(delivered, COUNT(ops));
    for (size_t i = 0; i < COUNT(ops); i++) {
        check(ops[i].result == (int64_t)sizeof bytes || ops[i].result == EPIO_ECANCELED);
    }
    /* The last was cancelled in the queue. */
    check_result(ops[COUNT(ops) - 1].result, EPIO_ECANCELED);
    fixture_close(f, file);
}

static void a_sleep_can_be_cancelled(fixture *f)
{
    epio_op sleeper = {0};
    epio_op short_one = {0};
    epio_submit(epio_sleep(&sleeper, f->vfs, HOUR));
    check_op(f, epio_sleep(&short_one, f->vfs, 1000000), 1000000);
    check(epio_op_pending(&sleeper));
    epio_cancel(&sleeper);
    check_result(epio_wait(&sleeper), EPIO_ECANCELED);
}

#endif

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(destroy_too_early)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(far_offsets_cost_nothing, ON_ANY_MEMORY),
        FIXTURE_TEST(what_is_gained_is_zeros, ON_ANY_MEMORY),
        FIXTURE_TEST(what_was_cut_off_does_not_come_back, ON_ANY_MEMORY),
        FIXTURE_TEST(truncating_and_closing_give_memory_back, ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_deleted_file_lives_until_its_last_close, ON_ANY_MEMORY),
        FIXTURE_TEST(a_replaced_file_lives_until_its_last_close, ON_ANY_MEMORY),
        FIXTURE_TEST(renaming_onto_itself_changes_nothing, ON_ANY_MEMORY),
        FIXTURE_TEST(delete_on_close_takes_only_its_own, ON_ANY_MEMORY),
        FIXTURE_TEST(temporary_files_have_no_name, ON_ANY_MEMORY),
        FIXTURE_TEST(full_pathnames_are_normal, ON_ANY_MEMORY),
        FIXTURE_TEST(full_pathnames_fail, ON_ANY_MEMORY),
        FIXTURE_TEST(slashes_make_no_directories, ON_ANY_MEMORY),
        FIXTURE_TEST(a_file_is_no_directory, ON_ANY_MEMORY),
        FIXTURE_TEST(long_names_have_a_limit, ON_ANY_MEMORY),
        FIXTURE_TEST(permissions_are_the_owners, ON_ANY_MEMORY),
        FIXTURE_TEST(many_names_are_independent, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(two_vfses_share_nothing, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(sleeps_and_works, ON_ANY_MEMORY),
        FIXTURE_TEST(large_copies_are_whole, ON_ANY_MEMORY),
        FIXTURE_TEST(destroying_it_with_an_open_file_aborts, ON_MEMORY_PERFORM),
        FIXTURE_TEST(several_threads_perform, ON_MEMORY_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(threads_perform_while_a_loop_runs, ON_MEMORY),
        FIXTURE_TEST(a_sync_covers_large_copies, ON_MEMORY | ON_LIMIT_MEMORY_3),
        FIXTURE_TEST(a_large_copy_ends_whole_or_cancelled, ON_MEMORY | ON_LIMIT_MEMORY),
        FIXTURE_TEST(a_sleep_can_be_cancelled, ON_ANY_MEMORY & ON_ANY_LOOP),
        FIXTURE_TEST(a_submit_copies_within_the_budget, ON_MEMORY | ON_TRACE_MEMORY),
#endif
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("memory", tests);
}
