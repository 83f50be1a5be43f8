/* Names as only Windows has them: devices, dots and blanks at the end, drives and
 * shares, more letters than MAX_PATH; and files that others do not share. The rest is in
 * test_vfs_paths.c and test_open.c. EPIO_TEST_WITHOUT_LOOP: it serves a library without
 * loops too. */
#include "support.h"

#include "win32/win32.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define MILLISECOND UINT64_C(1000000)

/* As epio hands it to the system; to be freed. */
static WCHAR *wide(const char *path)
{
    int error = 0;
    WCHAR *name = epio__wide_name(path, &error);
    check_result(error, 0);
    return name;
}

static void check_wide(const char *path, const WCHAR *expected)
{
    WCHAR *name = wide(path);
    if (wcscmp(name, expected) != 0) {
        print_error("%s became %ls\n", path, name);
    }
    check(wcscmp(name, expected) == 0);
    free(name);
}

/* ---- Parts ------------------------------------------------------------------- */

/* By every verb that takes a name; nothing is made of it. */
static void check_refused(fixture *f, const char *name, int64_t expected)
{
    char found[512];
    epio_op op = {0};
    const char *path = fixture_path(f, name);
    check_op_fails(f, epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE), expected,
                   OS_ERROR_THAT_FITS);
    check_op_fails(f, epio_delete(&op, f->vfs, path, 0), expected, OS_ERROR_THAT_FITS);
    check_op_fails(f, epio_rename(&op, f->vfs, path, fixture_path(f, "other"), 0), expected,
                   OS_ERROR_THAT_FITS);
    check_op_fails(f, epio_rename(&op, f->vfs, fixture_path(f, "here"), path, 0), expected,
                   OS_ERROR_THAT_FITS);
    check_op_fails(f, epio_access(&op, f->vfs, path, EPIO_ACCESS_EXISTS), expected,
                   OS_ERROR_THAT_FITS);
    check_op_fails(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found), expected,
                   OS_ERROR_THAT_FITS);
    f->names_used = 0;
}

static void names_of_devices_are_refused(fixture *f)
{
    static const char *const names[] = {
        "NUL",  "nul",      "CON",         "con.txt",       "PRN",    "AUX",     "AUX.tar.gz",
        "COM1", "com9.log", "LPT1",        "LPT9",          "CONIN$", "conout$", "NUL .txt",
        "NUL:", "aux/file", "COM\xc2\xb9", "LPT\xc2\xb3.x", "CON."};
    static const char *const others[] = {"NULL",  "CONSOLE", "COM0", "COM10",  "xNUL",
                                         "x.NUL", "LPT",     "COM",  "con txt"};
    fixture_put(f, "here", "x", 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_refused(f, names[i], EPIO_EINVAL);
    }
    check_result(count_entries(f->folder), 1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        fixture_put(f, others[i], others[i], strlen(others[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        check_content(f, others[i], others[i], strlen(others[i]));
    }
    check_result(count_entries(f->folder), 1 + sizeof others / sizeof others[0]);
}

static void what_is_not_utf8_is_refused(fixture *f)
{
    static const char *const names[] = {
        "\xff", "a\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82\x2f"};
    fixture_put(f, "here", "x", 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_refused(f, names[i], EPIO_EINVAL);
    }
    check_result(count_entries(f->folder), 1);
}

/* Windows' own functions drop what is at the end. */
static void dots_and_blanks_at_the_end_are_kept(fixture *f)
{
    static const char *const names[] = {"name", "name.", "name..", "name ", "name. .", " name"};
    static const WCHAR *const tails[] = {L"\\name",  L"\\name.",   L"\\name..",
                                         L"\\name ", L"\\name. .", L"\\ name"};
    size_t count = sizeof names / sizeof names[0];
    for (size_t i = 0; i < count; i++) {
        fixture_put(f, names[i], names[i], strlen(names[i]));
        check_content(f, names[i], names[i], strlen(names[i]));
        WCHAR *name = wide(fixture_path(f, names[i]));
        size_t len = wcslen(name);
        check(wcscmp(name + len - wcslen(tails[i]), tails[i]) == 0);
        check(GetFileAttributesW(name) != INVALID_FILE_ATTRIBUTES);
        free(name);
    }
    check_result(count_entries(f->folder), (int)count);
    epio_op op = {0};
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "name."), 0), 0);
    check_result(fixture_exists(f, "name."), 0);
    check_result(fixture_exists(f, "name"), 1);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "name "), fixture_path(f, "name. "), 0),
             0);
    check_content(f, "name. ", "name ", 5);
}

/* ---- Whole names ---------------------------------------------------------------- */

static void names_become_absolute(fixture *f)
{
    (void)f;
    check_wide("C:/a/b", L"\\\\?\\C:\\a\\b");
    check_wide("c:\\a/./b/../c", L"\\\\?\\c:\\a\\c");
    check_wide("C:/../..", L"\\\\?\\C:\\");
    check_wide("C:/", L"\\\\?\\C:\\");
    check_wide("C://a///b/", L"\\\\?\\C:\\a\\b");
    check_wide("//server/share/a/../b", L"\\\\?\\UNC\\server\\share\\b");
    check_wide("\\\\server\\share\\..\\..\\x", L"\\\\?\\UNC\\server\\share\\x");
    check_wide("\\\\?\\C:\\a\\..\\b", L"\\\\?\\C:\\a\\..\\b"); /* taken as it is */
    check_wide("//?/C:/a", L"\\\\?\\C:\\a");
    check_wide("\\\\.\\pipe\\name", L"\\\\.\\pipe\\name");
    check_wide("//./pipe/name", L"\\\\.\\pipe\\name");
}

static void names_go_by_the_current_folder(fixture *f)
{
    char before[1024];
    char found[1024];
    char expected[1024];
    epio_op op = {0};
    check(current_folder(before, sizeof before));
    check(current_folder_set(f->folder));
    fixture_put(f, "file", "data", 4);
    char drive[] = {f->folder[0], ':', 'f', 'i', 'l', 'e', '\0'};
    static const char *const same[] = {"file", "./file", "file/../file", "x/../file"};
    (void)snprintf(expected, sizeof expected, "%s/file", f->folder);
    for (size_t i = 0; i <= sizeof same / sizeof same[0]; i++) {
        const char *path = i == 0 ? drive : same[i - 1];
        check_op(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found),
                 (int64_t)strlen(expected));
        check(paths_agree(found, expected));
    }
    /* From the root of the current drive. */
    check_op(f, epio_open(&op, f->vfs, f->folder + 2, EPIO_OPEN_READ), EPIO_EISDIR);
    check(current_folder_set(before));
}

/* ---- Long names ------------------------------------------------------------------- */

/* Folders in folders; returns how many, and their path in `path`. */
static int make_deep(fixture *f, char *path, size_t len)
{
    static const char part[] = "/a-folder-whose-name-has-a-length-of-some-fifty-letters";
    size_t used = strlen(strcpy(path, f->folder));
    int depth = 0;
    while (used + 2 * sizeof part < len) {
        used += strlen(strcpy(path + used, part));
        check(folder_make(path));
        depth++;
    }
    return depth;
}

static void paths_of_thousands_of_letters(fixture *f)
{
    /* Wine hands names to a system that takes 4,095 bytes. */
    static char folder[6000], path[6100], other[6100], found[7000];
    epio_op op = {0};
    size_t len = system_is_wine() ? 3800 : 5500;
    int depth = make_deep(f, folder, len);
    check(strlen(folder) > len - 200);
    (void)snprintf(path, sizeof path, "%s/d\xc3\xa9j\xc3\xa0.bin", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *file = op.file;
    fixture_write(f, file, "data", 4, 0);
    fixture_close(f, file);
    check_op(f, epio_access(&op, f->vfs, path, EPIO_ACCESS_READWRITE), 1);
    int64_t length = fixture_result(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found));
    check_result(length, strlen(path));
    check(paths_agree(found, path));
    check_op(f, epio_full_pathname(&op, f->vfs, path, found, 100), EPIO_ERANGE);
    check_op(f, epio_rename(&op, f->vfs, path, other, EPIO_RENAME_SYNC_DIR), 0);
    check_op(f, epio_access(&op, f->vfs, path, EPIO_ACCESS_EXISTS), 0);
    check_op(f, epio_open(&op, f->vfs, other, EPIO_OPEN_READ), 0);
    fixture_read(f, op.file, found, 4, 0);
    assert_memory_equal(found, "data", 4);
    fixture_close(f, op.file);
    check_op(f, epio_delete(&op, f->vfs, other, EPIO_DELETE_SYNC_DIR), 0);
    for (; depth > 0; depth--) {
        check(folder_remove(folder));
        *strrchr(folder, '/') = '\0';
    }
}

static void long_ways_to_short_names(fixture *f)
{
    static char path[40000];
    epio_op op = {0};
    fixture_put(f, "file", "data", 4);
    check(folder_make(fixture_path(f, "folder")));
    size_t used = strlen(strcpy(path, f->folder));
    while (used < 5000) {
        used += strlen(strcpy(path + used, "/folder/.."));
    }
    (void)strcpy(path + used, "/file");
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), 0);
    fixture_close(f, op.file);

    /* The system's limit is 32,767; that of a part 255. */
    used = strlen(f->folder);
    while (used < 35000) {
        used += strlen(strcpy(path + used, "/folder"));
    }
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), EPIO_ENAMETOOLONG);
    check_op(f, epio_access(&op, f->vfs, path, EPIO_ACCESS_EXISTS), EPIO_ENAMETOOLONG);
    memset(path, 'x', 256);
    path[256] = '\0';
    check_refused(f, path, EPIO_ENAMETOOLONG);
    path[255] = '\0';
    fixture_put(f, path, "x", 1);
    check_content(f, path, "x", 1);
}

/* ---- Shared or not ------------------------------------------------------------------ */

static HANDLE hold_alone(fixture *f, const char *name)
{
    WCHAR *wide_name = wide(fixture_path(f, name));
    HANDLE handle = CreateFileW(wide_name, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    free(wide_name);
    check(handle != INVALID_HANDLE_VALUE);
    return handle;
}

static void *let_go_soon(void *argument)
{
    sleep_ns(150 * MILLISECOND);
    check(CloseHandle((HANDLE)argument));
    return NULL;
}

static epio_op *prepare_verb(fixture *f, epio_op *op, int which)
{
    const char *path = fixture_path(f, "file");
    switch (which) {
    case 0:
        return epio_open(op, f->vfs, path, EPIO_OPEN_READ);
    case 1:
        return epio_rename(op, f->vfs, path, fixture_path(f, "renamed"), 0);
    case 2:
        return epio_rename(op, f->vfs, fixture_path(f, "other"), path, 0);
    default:
        return epio_delete(op, f->vfs, path, 0);
    }
}

/* Scanners and indexers have a file for themselves for a moment. */
static void who_holds_a_file_is_waited_for(fixture *f)
{
    for (int which = 0; which < 4; which++) {
        epio_op op = {0};
        test_thread thread;
        unsigned char found[8];
        fixture_put(f, "file", "data", 4);
        /* Whatever the op did before has no part in its patience. */
        epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
        check_op(f, epio_read(&op, file, found, sizeof found, 4), 0);
        fixture_close(f, file);
        fixture_put(f, "other", "data", 4);
        thread_start(&thread, let_go_soon, hold_alone(f, "file"));
        check_op(f, prepare_verb(f, &op, which), 0);
        (void)thread_join(thread);
        if (which == 0) {
            fixture_close(f, op.file);
        }
    }
}

static void who_keeps_a_file_is_named(fixture *f)
{
    for (int which = 0; which < 4; which++) {
        epio_op op = {0};
        fixture_put(f, "file", "data", 4);
        fixture_put(f, "other", "data", 4);
        HANDLE holder = hold_alone(f, "file");
        op.timeout_ns = 50 * MILLISECOND;
        check_op(f, prepare_verb(f, &op, which), EPIO_ETIMEDOUT);
        int64_t result = fixture_result(f, prepare_verb(f, &op, which));
        check(result == EPIO_ESHARING || result == EPIO_EACCES);
        check(op.os_error == ERROR_SHARING_VIOLATION || op.os_error == ERROR_ACCESS_DENIED);
        check(CloseHandle(holder));
        check_content(f, "file", "data", 4);
        check_result(count_entries(f->folder), 2);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(names_of_devices_are_refused, ON_ANY_OS),
        FIXTURE_TEST(what_is_not_utf8_is_refused, ON_ANY_OS),
        FIXTURE_TEST(dots_and_blanks_at_the_end_are_kept, ON_ANY_OS),
        FIXTURE_TEST(names_become_absolute, ON_OS_PERFORM),
        FIXTURE_TEST(names_go_by_the_current_folder, ON_ANY_OS),
        FIXTURE_TEST(paths_of_thousands_of_letters, ON_ANY_OS),
        FIXTURE_TEST(long_ways_to_short_names, ON_ANY_OS),
        FIXTURE_TEST(who_holds_a_file_is_waited_for, ON_ANY_OS),
        FIXTURE_TEST(who_keeps_a_file_is_named, ON_OS_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("paths on Windows", tests);
}
