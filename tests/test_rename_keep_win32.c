/* Renames that keep metadata, by ReplaceFileW: what it is asked to do, and that every way in which
 * it fails leaves a file at the name. Wine keeps only some of the metadata. EPIO_TEST_WITHOUT_LOOP:
 * also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#define KEEP EPIO_RENAME_KEEP_METADATA
#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS)

static epio__win32_calls real;

static bool end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

static WCHAR *wide(const char *path)
{
    int error = 0;
    WCHAR *name = epio__wide_name(path, &error);
    check_result(error, 0);
    return name;
}

static DWORD attributes_of(fixture *f, const char *name)
{
    WCHAR *wide_name = wide(fixture_path(f, name));
    DWORD attributes = GetFileAttributesW(wide_name);
    free(wide_name);
    return attributes;
}

static void set_attributes(fixture *f, const char *name, DWORD attributes)
{
    WCHAR *wide_name = wide(fixture_path(f, name));
    check(SetFileAttributesW(wide_name, attributes));
    free(wide_name);
}

static void put_both(fixture *f)
{
    fixture_put(f, "file", "old", 3);
    fixture_put(f, "new", "new!", 4);
}

static epio_op *keep(fixture *f, epio_op *op, uint32_t flags)
{
    return epio_rename(op, f->vfs, fixture_path(f, "new"), fixture_path(f, "file"), KEEP | flags);
}

/* ---- By the system's call --------------------------------------------------------- */

static void what_is_read_only_stays_so(fixture *f)
{
    const DWORD marks = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN;
    for (uint32_t durable = 0; durable < 2; durable++) {
        epio_op op = {0};
        put_both(f);
        set_attributes(f, "file", marks);
        check_op(f, keep(f, &op, durable), 0);
        check_content(f, "file", "new!", 4);
        check_result(attributes_of(f, "file") & FILE_ATTRIBUTE_READONLY, FILE_ATTRIBUTE_READONLY);
        if (!system_is_wine()) {
            check_result(attributes_of(f, "file") & marks, marks);
        }
        check_result(count_entries(f->directory), 1);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    }
}

static void a_file_in_an_open_directory(fixture *f)
{
    static const uint32_t directory_flags[] = {DIRECTORY, DIRECTORY | EPIO_OPEN_BENEATH};
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        epio_file *directory = fixture_open(f, ".", directory_flags[i]);
        epio_vfs *vfs = epio_directory_vfs(directory);
        put_both(f);
        check_op(f, epio_rename(&op, vfs, "new", "file", KEEP | EPIO_RENAME_SYNC_DIR), 0);
        check_content(f, "file", "new!", 4);
        check_result(count_entries(f->directory), 1);
        fixture_close(f, directory);
    }
}

static void others_that_share_it_keep_the_old_one(fixture *f)
{
    char data[4] = "";
    epio_op op = {0};
    put_both(f);
    epio_file *reader = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, keep(f, &op, 0), 0);
    fixture_read(f, reader, data, 3, 0);
    assert_memory_equal(data, "old", 3);
    fixture_close(f, reader);
    check_content(f, "file", "new!", 4);
    check_result(count_entries(f->directory), 1);
}

/* ReplaceFileW shares it with nobody. */
static void the_new_one_must_not_be_open(fixture *f)
{
    epio_op op = {0};
    put_both(f);
    epio_file *open = fixture_open(f, "new", READ_WRITE);
    check_op_fails(f, keep(f, &op, EPIO_RENAME_SYNC_DIR), EPIO_ESHARING, ERROR_SHARING_VIOLATION);
    fixture_close(f, open);
    check_content(f, "file", "old", 3);
    check_content(f, "new", "new!", 4);
    check_result(count_entries(f->directory), 2);
    check_op(f, keep(f, &op, EPIO_RENAME_SYNC_DIR), 0);
}

static void what_is_no_file_is_not_supported(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "new", "new!", 4);
    make_directory(f, "file");
    check_op(f, keep(f, &op, 0), EPIO_EISDIR);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "new"), 0), 0);
    make_directory(f, "new");
    make_directory(f, "file");
    check_op(f, keep(f, &op, 0), EPIO_ENOTSUP);
    check_result(count_entries(f->directory), 2);
}

static void a_file_over_itself_stays(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "same", 4);
    check_op(f,
             epio_rename(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "file"),
                         EPIO_RENAME_KEEP_METADATA),
             0);
    check_content(f, "file", "same", 4);
}

/* ---- Failures ----------------------------------------------------------------------- */

static DWORD failure; /* of ReplaceFileW, in `failures` calls; 0: the system's */
static int failures;
static int calls;
static DWORD last_flags;
static bool links; /* does the volume have hard links? */

static BOOL move(const WCHAR *from, const WCHAR *to)
{
    return MoveFileExW(from, to, 0);
}

/* As its documentation has it. */
static BOOL WINAPI scripted_replace(LPCWSTR replaced, LPCWSTR replacement, LPCWSTR backup,
                                    DWORD flags, LPVOID exclude, LPVOID reserved)
{
    calls++;
    last_flags = flags;
    check(backup != NULL && exclude == NULL && reserved == NULL);
    check(GetFileAttributesW(replaced) != INVALID_FILE_ATTRIBUTES);
    check(GetFileAttributesW(replacement) != INVALID_FILE_ATTRIBUTES);
    if (calls > failures) {
        /* Older systems do without flags that they do not know; so does Wine. */
        return real.replace_file(replaced, replacement, backup, flags, exclude, reserved);
    }
    if (failure == ERROR_UNABLE_TO_MOVE_REPLACEMENT_2) {
        check(move(replaced, backup));
    }
    return end_with(failure);
}

static DWORD scripted_nt_set(HANDLE handle, int which, void *information, ULONG size)
{
    if (which == EPIO__NT_LINK && !links) {
        return ERROR_INVALID_FUNCTION;
    }
    return real.nt_set_information(handle, which, information, size);
}

static void script(bool has_links, DWORD error, int times)
{
    real = epio__win32;
    epio__win32.replace_file = scripted_replace;
    epio__win32.nt_set_information = scripted_nt_set;
    links = has_links;
    failure = error;
    failures = times;
    calls = 0;
}

static void check_one(fixture *f, const char *content)
{
    check_content(f, "file", content, strlen(content));
    check_result(count_entries(f->directory), 1);
}

static void volumes_without_links(fixture *f)
{
    for (uint32_t durable = 0; durable < 2; durable++) {
        epio_op op = {0};
        put_both(f);
        set_attributes(f, "file", durable ? FILE_ATTRIBUTE_READONLY : FILE_ATTRIBUTE_NORMAL);
        script(false, 0, 0);
        check_op(f, keep(f, &op, durable), 0);
        epio__win32 = real;
        check(calls >= 1);
        check_one(f, "new!");
        check_result(attributes_of(f, "file") & FILE_ATTRIBUTE_READONLY,
                     durable ? FILE_ATTRIBUTE_READONLY : 0);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    }
}

static void failures_that_pass_are_retried(fixture *f)
{
    static const DWORD errors[] = {ERROR_SHARING_VIOLATION, ERROR_UNABLE_TO_REMOVE_REPLACED,
                                   ERROR_UNABLE_TO_MOVE_REPLACEMENT,
                                   ERROR_UNABLE_TO_MOVE_REPLACEMENT_2};
    for (size_t i = 0; i < 2 * sizeof errors / sizeof errors[0]; i++) {
        epio_op op = {0};
        put_both(f);
        script(i % 2 == 0, errors[i / 2], 5);
        int64_t result = fixture_result(f, keep(f, &op, 0));
        epio__win32 = real;
        check_result(result, 0);
        check_result(calls, 6);
        check_one(f, "new!");
    }
}

static void failures_that_stay_leave_the_old_file(fixture *f)
{
    static const struct {
        DWORD error;
        int64_t result;
    } cases[] = {{ERROR_UNABLE_TO_MOVE_REPLACEMENT_2, EPIO_ESHARING},
                 {ERROR_DISK_FULL, EPIO_ENOSPC}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        epio_op op = {0};
        put_both(f);
        script(i % 2 == 0, cases[i / 2].error, INT32_MAX);
        check_op_fails(f, keep(f, &op, 0), cases[i / 2].result, (int32_t)cases[i / 2].error);
        epio__win32 = real;
        check_content(f, "file", "old", 3);
        check_content(f, "new", "new!", 4);
        check_result(count_entries(f->directory), 2);
    }
}

/* The first rename was made, and neither the second nor its reversal can be. */
static BOOL WINAPI lose_the_backup(LPCWSTR replaced, LPCWSTR replacement, LPCWSTR backup,
                                   DWORD flags, LPVOID exclude, LPVOID reserved)
{
    WCHAR other[600];
    (void)replacement;
    (void)flags;
    (void)exclude;
    (void)reserved;
    check(swprintf(other, 600, L"%ls-kept", replaced) > 0);
    check(move(replaced, other));
    (void)backup;
    return end_with(ERROR_UNABLE_TO_MOVE_REPLACEMENT_2);
}

static void the_name_is_never_without_a_file(fixture *f)
{
    epio_op op = {0};
    put_both(f);
    script(false, 0, 0);
    epio__win32.replace_file = lose_the_backup;
    check_op(f, keep(f, &op, 0), 0);
    epio__win32 = real;
    check_content(f, "file", "new!", 4);
    check_content(f, "file-kept", "old", 3);
}

static void what_is_lost_is_said(fixture *f)
{
    for (int i = 0; i < 2; i++) {
        epio_op op = {0};
        put_both(f);
        script(i == 0, ERROR_INVALID_FUNCTION, 1);
        check_op(f, keep(f, &op, EPIO_RENAME_SYNC_DIR), EPIO_RENAMED_METADATA_LOST);
        epio__win32 = real;
        check_result(last_flags, REPLACEFILE_IGNORE_MERGE_ERRORS | REPLACEFILE_IGNORE_ACL_ERRORS);
        check_one(f, "new!");
    }
}

static fixture *running;

/* Stopped at its worst moment, with links: both files keep their names. */
static BOOL WINAPI look_around(LPCWSTR replaced, LPCWSTR replacement, LPCWSTR backup, DWORD flags,
                               LPVOID exclude, LPVOID reserved)
{
    check(move(replaced, backup));
    check_content(running, "file", "old", 3);
    check_content(running, "new", "new!", 4);
    check(move(backup, replaced));
    return real.replace_file(replaced, replacement, backup, flags, exclude, reserved);
}

static void both_names_stay_in_between(fixture *f)
{
    epio_op op = {0};
    put_both(f);
    script(true, 0, 0);
    running = f;
    epio__win32.replace_file = look_around;
    check_op(f, keep(f, &op, 0), 0);
    epio__win32 = real;
    check_one(f, "new!");
}

/* What a process that was killed has left is gone with the next such rename. */
static void leftovers_are_swept(fixture *f)
{
    epio_op op = {0};
    put_both(f);
    fixture_put(f, ".epio-old-0123456789abcdef", "new!", 4);
    check_op(f, keep(f, &op, 0), 0);
    check_one(f, "new!");
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(what_is_read_only_stays_so, ON_ANY_OS),
        FIXTURE_TEST(a_file_in_an_open_directory, ON_ANY_OS),
        FIXTURE_TEST(others_that_share_it_keep_the_old_one, ON_ANY_OS),
        FIXTURE_TEST(the_new_one_must_not_be_open, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(what_is_no_file_is_not_supported, ON_ANY_OS),
        FIXTURE_TEST(a_file_over_itself_stays, ON_ANY_OS),
        FIXTURE_TEST(volumes_without_links, ON_SOME),
        FIXTURE_TEST(failures_that_pass_are_retried, ON_SOME),
        FIXTURE_TEST(failures_that_stay_leave_the_old_file, ON_OS_ONCE),
        FIXTURE_TEST(the_name_is_never_without_a_file, ON_SOME),
        FIXTURE_TEST(what_is_lost_is_said, ON_SOME),
        FIXTURE_TEST(both_names_stay_in_between, ON_OS_PERFORM),
        FIXTURE_TEST(leftovers_are_swept, ON_SOME),
    };
    return FIXTURE_RUN("rename_keep_win32", tests);
}
