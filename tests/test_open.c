/* Opening, creating, adopting and closing files: every flag and its effects. FIFOs and terminals
 * are in test_stream.c. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>
#include <limits.h>

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

static intptr_t handle_of(const epio_file *file)
{
    intptr_t handle = epio_file_os_handle(file);
    assert_true(handle >= 0 && handle <= INT_MAX);
    return handle;
}

/* ---- Which file -------------------------------------------------------- */

static void create_makes_what_is_missing(fixture *f)
{
    check_refused(f, "file", EPIO_OPEN_READ, EPIO_ENOENT);
    check_refused(f, "file", READ_WRITE, EPIO_ENOENT);
    check_refused(f, "file", EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE, EPIO_ENOENT);
    check_result(fixture_exists(f, "file"), 0);

    fixture_close(f, fixture_open(f, "file", EPIO_OPEN_READ | EPIO_OPEN_CREATE));
    check_content(f, "file", "", 0);
    fixture_put(f, "file", "abc", 3);
    fixture_close(f, fixture_open(f, "file", READ_WRITE | EPIO_OPEN_CREATE));
    check_content(f, "file", "abc", 3);
    fixture_close(
        f, fixture_open(f, "durable", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR));
    check_result(fixture_exists(f, "durable"), 1);
    fixture_close(
        f, fixture_open(f, "durable", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR));
}

static void exclusive_makes_a_new_one(fixture *f)
{
    const uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE;
    epio_file *file = fixture_open(f, "file", flags);
    fixture_write(f, file, "abc", 3, 0);
    check_refused(f, "file", flags, EPIO_EEXIST);
    fixture_close(f, file);
    check_refused(f, "file", flags, EPIO_EEXIST);
    check_refused(f, "file", flags | EPIO_OPEN_TRUNCATE, EPIO_EEXIST);
    check_content(f, "file", "abc", 3);
    if (!f->memory && SYSTEM_IS_POSIX) {
        link_make("nowhere", fixture_path(f, "link"));
        check_refused(f, "link", flags, EPIO_EEXIST);
        check_result(fixture_exists(f, "nowhere"), 0);
    }
}

static void truncate_empties(fixture *f)
{
    fixture_put(f, "file", "abc", 3);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE);
    fixture_write(f, file, "x", 1, 1);
    fixture_close(f, file);
    check_content(f, "file", "\0x", 2);
    fixture_close(f, fixture_open(f, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE));
    check_content(f, "file", "", 0);
}

static void flags_that_contradict_are_invalid(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    check_refused(f, "file", 0, EPIO_EINVAL);
    check_refused(f, "new", EPIO_OPEN_CREATE, EPIO_EINVAL);
    check_refused(f, "file", EPIO_OPEN_READ | EPIO_OPEN_TRUNCATE, EPIO_EINVAL);
    check_refused(f, "file", READ_WRITE | EPIO_OPEN_EXCLUSIVE, EPIO_EINVAL);
    check_refused(f, "file", EPIO_OPEN_READ | 0x40000000u, EPIO_EINVAL);
    check_op(f, epio_open(&op, f->vfs, NULL, EPIO_OPEN_READ), EPIO_EINVAL);
    assert_null(op.file);
    check_content(f, "file", "abc", 3);
    check_result(fixture_exists(f, "new"), 0);
}

static void paths_that_lead_nowhere(fixture *f)
{
    char name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    fixture_make_directory(f, "directory");
    check_refused(f, "no/file", READ_WRITE | EPIO_OPEN_CREATE, EPIO_ENOENT);
    fixture_put(f, "file", "abc", 3);
    fixture_put(f, "directory/inside", "abc", 3);
    check_refused(f, "directory", EPIO_OPEN_READ, EPIO_EISDIR);
    check_refused(f, "directory", READ_WRITE, EPIO_EISDIR);
    check_refused(f, "directory", READ_WRITE | EPIO_OPEN_CREATE, EPIO_EISDIR);
    check_refused(f, "directory/", EPIO_OPEN_READ, EPIO_EISDIR);
    check_refused(f, "file/below", EPIO_OPEN_READ, EPIO_ENOTDIR);
    check_refused(f, "file/below", READ_WRITE | EPIO_OPEN_CREATE, EPIO_ENOTDIR);
    check_refused(f, "file/", EPIO_OPEN_READ, EPIO_ENOTDIR);
    check_refused(f, name, READ_WRITE | EPIO_OPEN_CREATE, EPIO_ENAMETOOLONG);
}

static void names_are_any_utf8(fixture *f)
{
    /* Windows has no files with the last three of these in their names. */
    static const char *const names[] = {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "a b",
                                        "-x",
                                        "...",
                                        "quote'\"",
                                        "back\\slash",
                                        "new\nline"};
    size_t count = sizeof names / sizeof names[0] - (f->memory || SYSTEM_IS_POSIX ? 0 : 3);
    for (size_t i = 0; i < count; i++) {
        fixture_put(f, names[i], names[i], strlen(names[i]));
    }
    for (size_t i = 0; i < count; i++) {
        check_content(f, names[i], names[i], strlen(names[i]));
    }
}

/* ---- Permissions and inheritance --------------------------------------- */

static void files_are_closed_on_exec(fixture *f)
{
    static const uint32_t flags[] = {
        READ_WRITE | EPIO_OPEN_CREATE,
        EPIO_OPEN_READ,
        EPIO_OPEN_WRITE,
        READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR,
        READ_WRITE | EPIO_OPEN_DELETE_ON_CLOSE,
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        epio_file *file = fixture_open(f, "file", flags[i]);
        intptr_t handle = handle_of(file);
        assert_false(handle_is_inherited(handle));
        fixture_close(f, file);
        assert_false(handle_is_open(handle));
    }
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_TEMPORARY), 0);
    assert_false(handle_is_inherited(handle_of(op.file)));
    fixture_close(f, op.file);
}

/* ---- Files that are deleted -------------------------------------------- */

static void delete_on_close(fixture *f)
{
    char found[3];
    epio_file *file =
        fixture_open(f, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE);
    fixture_write(f, file, "abc", 3, 0);
    check_result(fixture_exists(f, "file"), 1);
    epio_file *other = fixture_open(f, "file", EPIO_OPEN_READ);
    fixture_close(f, file);
    check_result(fixture_exists(f, "file"), 0);
    fixture_read(f, other, found, 3, 0);
    assert_memory_equal(found, "abc", 3);
    fixture_close(f, other);

    fixture_put(f, "file", "old", 3);
    fixture_close(f, fixture_open(f, "file", EPIO_OPEN_READ | EPIO_OPEN_DELETE_ON_CLOSE));
    check_result(fixture_exists(f, "file"), 0);
    epio_op op = {0};
    /* Permissions restrict writes, not the removal of the name. */
    check_op(f,
             epio_open(&op, f->vfs, fixture_path(f, "read-only"),
                       READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE |
                           EPIO_OPEN_PERMISSIONS(0400)),
             0);
    check_result(fixture_exists(f, "read-only"), 1);
    fixture_close(f, op.file);
    check_result(fixture_exists(f, "read-only"), 0);
}

/* The name may belong to another file by then. */
static void delete_on_close_removes_nothing_else(fixture *f)
{
    epio_op op = {0};
    epio_file *file =
        fixture_open(f, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    fixture_close(f, file);

    file = fixture_open(f, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE);
    fixture_put(f, "new", "new", 3);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "new"), fixture_path(f, "file"), 0), 0);
    fixture_close(f, file);
    check_content(f, "file", "new", 3);
}

static void delete_on_close_knows_its_directory(fixture *f)
{
    char before[4096];
    epio_op op = {0};
    assert_true(current_directory(before, sizeof before));
    assert_true(current_directory_set(f->directory));
    int64_t result =
        fixture_result(f, epio_open(&op, f->vfs, "relative",
                                    READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE));
    assert_true(current_directory_set(before));
    check_result(result, 0);
    check_result(fixture_exists(f, "relative"), 1);
    fixture_close(f, op.file);
    check_result(fixture_exists(f, "relative"), 0);
}

static void check_temporary(fixture *f, epio_file *file)
{
    char found[3];
    epio_op op = {0};
    fixture_write(f, file, "abc", 3, 100000);
    fixture_read(f, file, found, 3, 100000);
    assert_memory_equal(found, "abc", 3);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    if (!f->memory) {
        assert_true(handle_is_private_file(handle_of(file)));
    }
}

static void temporary_files_leave_nothing(fixture *f)
{
    epio_op op = {0};
    epio_file *files[3];
    fixture_put(f, "beside", "x", 1);
    const char *paths[3] = {f->directory, fixture_path(f, "beside"), fixture_path(f, "missing")};
    unsigned before = system_umask(0);
    for (size_t i = 0; i < 3; i++) {
        check_op(f, epio_open(&op, f->vfs, paths[i], EPIO_OPEN_TEMPORARY), 0);
        files[i] = op.file;
        check_temporary(f, files[i]);
        if (!f->memory) {
            assert_true(handle_is_beside(handle_of(files[i]), f->directory));
        }
    }
    (void)system_umask(before);
    for (size_t i = 0; i < 3; i++) {
        char found;
        fixture_write(f, files[i], &"012"[i], 1, 0);
        fixture_read(f, files[i], &found, 1, 0);
        assert_int_equal(found, '0' + (int)i);
    }
    for (size_t i = 0; i < 3; i++) {
        fixture_close(f, files[i]);
    }
    assert_int_equal(count_entries(f->real_directory), f->memory ? 0 : 1);
    check_content(f, "beside", "x", 1);
    check_result(fixture_exists(f, "missing"), 0);
}

/* NULL is the system's directory, which the environment may set. */
static void temporary_files_have_a_directory(fixture *f)
{
    char saved[4096] = "";
    const char *set = getenv(SYSTEM_TEMPORARY_VARIABLE);
    epio_op op = {0};
    if (set != NULL) {
        (void)snprintf(saved, sizeof saved, "%s", set);
    }
    environment_set(SYSTEM_TEMPORARY_VARIABLE, f->directory);
    int64_t result = fixture_result(f, epio_open(&op, f->vfs, NULL, EPIO_OPEN_TEMPORARY));
    environment_set(SYSTEM_TEMPORARY_VARIABLE, saved[0] != '\0' ? saved : NULL);
    check_result(result, 0);
    check_temporary(f, op.file);
    if (!f->memory) {
        assert_true(handle_is_beside(handle_of(op.file), f->directory));
    }
    fixture_close(f, op.file);
    assert_int_equal(count_entries(f->real_directory), 0);

    check_op(f, epio_open(&op, f->vfs, NULL, EPIO_OPEN_TEMPORARY), 0);
    check_temporary(f, op.file);
    fixture_close(f, op.file);
}

static void temporary_files_need_their_directory(fixture *f)
{
    check_refused(f, "no/directory/at-all", EPIO_OPEN_TEMPORARY, EPIO_ENOENT);
    assert_int_equal(count_entries(f->real_directory), 0);
}

static void wait_with_a_temporary_file(const char *directory)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), directory, EPIO_OPEN_TEMPORARY)), 0);
    check_result(epio_perform(epio_write(&op, op.file, "abc", 3, 0)), 3);
    check(pipe_write(process_output(), "x", 1) == 1);
    for (;;) {
        sleep_ns(UINT64_C(1000000000));
    }
}

static void temporary_files_end_with_the_process(fixture *f)
{
    child one;
    char byte;
    child_start(&one, wait_with_a_temporary_file, f->directory, CHILD_PIPES);
    check(pipe_read(one.from, &byte, 1) == 1);
    child_kill(&one);
    assert_int_equal(count_entries(f->real_directory), 0);
}

/* ---- Direct transfers -------------------------------------------------- */

static void direct_transfers_aligned_blocks(fixture *f)
{
    enum { BLOCK = 4096, COUNT = 16 };
    static _Alignas(4096) unsigned char written[BLOCK * COUNT];
    static _Alignas(4096) unsigned char found[BLOCK * COUNT];
    epio_op op = {0};
    int64_t result = fixture_result(
        f, open_op(f, &op, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DIRECT));
    if (result == EPIO_EINVAL || result == EPIO_ENOTSUP) {
        fixture_skip(f, "the file system has no direct transfers");
    }
    check_result(result, 0);
    epio_file *file = op.file;
    if (!f->memory && SYSTEM_REPORTS_DIRECT) {
        assert_true(handle_is_direct(handle_of(file)));
    }
    pattern_fill(written, sizeof written, 0);
    fixture_write(f, file, written, sizeof written, 0);
    fixture_read(f, file, found, sizeof found, 0);
    assert_memory_equal(found, written, sizeof written);
    check_op(f, epio_read(&op, file, found, sizeof found, BLOCK * (COUNT - 1)), BLOCK);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);

    /* The file may end within a block. */
    check_op(f, epio_truncate(&op, file, BLOCK * COUNT - 100), 0);
    memset(found, 0, sizeof found);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), BLOCK * COUNT - 100);
    assert_memory_equal(found, written, BLOCK * COUNT - 100);
    check_op(f, epio_read(&op, file, found, BLOCK, BLOCK * COUNT), 0);
    fixture_close(f, file);
    check_content(f, "file", written, sizeof written - 100);
}

/* ---- Adopted descriptors ----------------------------------------------- */

static intptr_t open_handle(fixture *f, const char *name, uint32_t flags)
{
    intptr_t handle = handle_open(fixture_path(f, name), flags);
    assert_true(handle != NO_HANDLE);
    return handle;
}

static void adopt_takes_a_descriptor(fixture *f)
{
    char found[4];
    epio_op op = {0};
    intptr_t descriptor = open_handle(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    epio_file *file = fixture_adopt(f, descriptor, 0);
    assert_int_equal(epio_file_os_handle(file), descriptor);
    fixture_write(f, file, "abcd", 4, 0);
    fixture_read(f, file, found, 4, 0);
    assert_memory_equal(found, "abcd", 4);
    check_op(f, epio_truncate(&op, file, 3), 0);
    check_op(f, epio_size(&op, file), 3);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    /* Its own position is neither used nor moved. */
    assert_int_equal(handle_position(descriptor), 0);
    fixture_close(f, file);
    assert_false(handle_is_open(descriptor));
    check_content(f, "file", "abc", 3);
}

static void adopt_finds_the_directions(fixture *f)
{
    char found[4];
    epio_op op = {0};
    static const uint32_t both[] = {0, EPIO_OPEN_READ, EPIO_OPEN_WRITE, READ_WRITE};
    fixture_put(f, "file", "abcd", 4);
    for (size_t i = 0; i < 4; i++) {
        epio_file *file = fixture_adopt(f, open_handle(f, "file", READ_WRITE), both[i]);
        bool reads = both[i] == 0 || (both[i] & EPIO_OPEN_READ) != 0;
        bool writes = both[i] == 0 || (both[i] & EPIO_OPEN_WRITE) != 0;
        check_op(f, epio_read(&op, file, found, 4, 0), reads ? 4 : EPIO_EBADF);
        check_op(f, epio_write(&op, file, "abcd", 4, 0), writes ? 4 : EPIO_EBADF);
        fixture_close(f, file);
    }
    epio_file *file = fixture_adopt(f, open_handle(f, "file", EPIO_OPEN_READ), 0);
    check_op(f, epio_read(&op, file, found, 4, 0), 4);
    check_op(f, epio_write(&op, file, "x", 1, 0), EPIO_EBADF);
    fixture_close(f, file);
    file = fixture_adopt(f, open_handle(f, "file", EPIO_OPEN_WRITE), 0);
    check_op(f, epio_read(&op, file, found, 4, 0), EPIO_EBADF);
    check_op(f, epio_write(&op, file, "x", 1, 0), 1);
    fixture_close(f, file);
}

/* A refused descriptor stays the caller's. */
static void check_adopt_refused(fixture *f, intptr_t descriptor, uint32_t flags, int expected)
{
    epio_op op = {0};
    int64_t result = fixture_result(f, epio_adopt(&op, f->vfs, descriptor, flags));
    if (expected != 0) {
        check_result(result, expected);
    }
    assert_true(result < 0);
    assert_null(op.file);
    if (descriptor >= 0) {
        assert_true(handle_is_open(descriptor));
        assert_true(handle_close(descriptor));
    }
}

static void adopt_refuses_what_is_no_file(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "abcd", 4);
    check_adopt_refused(f, -1, 0, EPIO_EBADF);
    check_op_fails(f, epio_adopt(&op, f->vfs, 60000, 0), EPIO_EBADF, OS_ERROR(EBADF));
    assert_null(op.file);
    check_op(f, epio_adopt(&op, f->vfs, (intptr_t)((uintptr_t)INT_MAX + 1), 0), EPIO_EBADF);
    check_op(f, epio_adopt(&op, f->vfs, INTPTR_MIN, 0), EPIO_EBADF);
    check_adopt_refused(f, handle_open_directory(f->directory), 0, EPIO_EISDIR);
    check_adopt_refused(f, open_handle(f, "file", READ_WRITE), EPIO_OPEN_CREATE, EPIO_EINVAL);
    /* Not open for this direction. */
    check_adopt_refused(f, open_handle(f, "file", EPIO_OPEN_READ), EPIO_OPEN_WRITE, 0);
    check_adopt_refused(f, open_handle(f, "file", EPIO_OPEN_READ), READ_WRITE, 0);
    check_adopt_refused(f, open_handle(f, "file", EPIO_OPEN_WRITE), EPIO_OPEN_READ, 0);
}

static void a_vfs_without_descriptors_adopts_none(fixture *f)
{
    epio_op op = {0};
    char path[600];
    (void)snprintf(path, sizeof path, "%s/beside", f->real_directory);
    intptr_t descriptor = handle_open(path, READ_WRITE | EPIO_OPEN_CREATE);
    assert_true(descriptor != NO_HANDLE);
    check_op(f, epio_adopt(&op, f->vfs, descriptor, 0), EPIO_ENOTSUP);
    assert_null(op.file);
    assert_true(handle_close(descriptor));
    epio_file *file = fixture_create(f, "file");
    assert_int_equal(epio_file_os_handle(file), -1);
    fixture_close(f, file);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(wait_with_a_temporary_file)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(create_makes_what_is_missing, ON_ANY),
        FIXTURE_TEST(exclusive_makes_a_new_one, ON_ANY),
        FIXTURE_TEST(truncate_empties, ON_ANY),
        FIXTURE_TEST(flags_that_contradict_are_invalid, ON_ANY),
        FIXTURE_TEST(paths_that_lead_nowhere, ON_ANY),
        FIXTURE_TEST(names_are_any_utf8, ON_ANY),
        FIXTURE_TEST(files_are_closed_on_exec, ON_ANY_OS),
        FIXTURE_TEST(delete_on_close, ON_ANY),
        FIXTURE_TEST(delete_on_close_removes_nothing_else, ON_ANY),
        FIXTURE_TEST(delete_on_close_knows_its_directory, ON_ANY_OS),
        FIXTURE_TEST(temporary_files_leave_nothing, ON_ANY),
        FIXTURE_TEST(temporary_files_have_a_directory, ON_ANY),
        FIXTURE_TEST(temporary_files_need_their_directory, ON_ANY_OS),
        FIXTURE_TEST(temporary_files_end_with_the_process, ON_OS_PERFORM),
        FIXTURE_TEST(direct_transfers_aligned_blocks, ON_ANY),
        FIXTURE_TEST(adopt_takes_a_descriptor, ON_ANY_OS),
        FIXTURE_TEST(adopt_finds_the_directions, ON_ANY_OS),
        FIXTURE_TEST(adopt_refuses_what_is_no_file, ON_ANY_OS),
        FIXTURE_TEST(a_vfs_without_descriptors_adopts_none, ON_ANY_MEMORY),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("open", tests);
}
