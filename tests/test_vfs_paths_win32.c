/* Names as only Windows has them: devices, trailing dots and blanks, drives and shares, paths
 * longer than MAX_PATH; and files that others do not share. The rest is in test_vfs_paths.c and
 * test_open.c. EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "support.h"

#include "win32/win32.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* As epio passes it to the system; to be freed. */
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

/* By every verb that takes a name; nothing is created. */
static void check_refused(fixture *f, const char *name, int64_t expected)
{
    char found[512];
    epio_op op = {0};
    const char *path = fixture_path(f, name);
    const int32_t os_error = expected == EPIO_EINVAL ? 0 : OS_ERROR_THAT_FITS;
    check_op_fails(f, epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE), expected,
                   os_error);
    check_op_fails(f, epio_delete(&op, f->vfs, path, 0), expected, os_error);
    check_op_fails(f, epio_rename(&op, f->vfs, path, fixture_path(f, "other"), 0), expected,
                   os_error);
    check_op_fails(f, epio_rename(&op, f->vfs, fixture_path(f, "here"), path, 0), expected,
                   os_error);
    check_op_fails(f, epio_access(&op, f->vfs, path, EPIO_ACCESS_EXISTS), expected, os_error);
    check_op_fails(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found), expected,
                   os_error);
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
    check_result(count_entries(f->directory), 1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        fixture_put(f, others[i], others[i], strlen(others[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        check_content(f, others[i], others[i], strlen(others[i]));
    }
    check_result(count_entries(f->directory), 1 + sizeof others / sizeof others[0]);
}

static void what_is_not_utf8_is_refused(fixture *f)
{
    static const char *const names[] = {
        "\xff",
        "a\x80",
        "\xc3",
        "\xc0\xaf",
        "\xe0\x9f\xbf",
        "\xf5\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xe2\x82\x2f",
        "\xe2\x82",
        "\xed\xa0",
        "\xed\xa0\x80\xed\xb0\x80", /* a pair has its own form */
    };
    fixture_put(f, "here", "x", 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_refused(f, names[i], EPIO_EINVAL);
    }
    check_result(count_entries(f->directory), 1);
}

/* Windows' own functions drop trailing dots and blanks. */
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
    check_result(count_entries(f->directory), (int)count);
    epio_op op = {0};
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "name."), 0), 0);
    check_result(fixture_exists(f, "name."), 0);
    check_result(fixture_exists(f, "name"), 1);
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "name "), fixture_path(f, "name. "), 0),
             0);
    check_content(f, "name. ", "name ", 5);
}

static void check_as_utf8(const WCHAR *name, const char *expected)
{
    char *found = epio__narrow_name(name);
    check(found != NULL && strcmp(found, expected) == 0);
    free(found);
}

/* WTF-8: what Windows allows as a name has one form, and only one. */
static void half_a_character_has_a_form(fixture *f)
{
    static const WCHAR name[] = {'\\', '\\',   '?',    '\\',   'C',   ':',   '\\',   'a', 0xD800,
                                 'b',  0xDC00, 0xD83D, 0xDE00, 0x7FF, 0x800, 0xDBFF, 0};
    const char path[] = "C:\\a\xed\xa0\x80"
                        "b\xed\xb0\x80\xf0\x9f\x98\x80\xdf\xbf\xe0\xa0\x80\xed\xaf\xbf";
    (void)f;
    check_wide(path, name);
    check_as_utf8(name, path);
    check_as_utf8(L"\\\\?\\UNC\\server\\share\\x", "\\\\server\\share\\x");
    check_wide("C:\\\xf4\x8f\xbf\xbf", L"\\\\?\\C:\\\xDBFF\xDFFF");
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

/* What GetFullPathNameW returns, for a directory that need not exist. */
static const WCHAR *current;

static DWORD WINAPI full_path_of_current(LPCWSTR name, DWORD size, LPWSTR full, LPWSTR *last)
{
    DWORD len = (DWORD)wcslen(current);
    check(wcscmp(name, L".") == 0 && last == NULL);
    if (size <= len) {
        return len + 1;
    }
    wcscpy(full, current);
    return len;
}

/* A process started by a program that canonicalizes its paths has a current directory whose name is
 * literal. */
static void the_current_directory_may_be_literal(fixture *f)
{
    static const struct {
        const WCHAR *directory;
        const char *name;
        const WCHAR *expected;
    } cases[] = {
        {L"C:\\a\\b", "x", L"\\\\?\\C:\\a\\b\\x"},
        {L"C:\\", "x", L"\\\\?\\C:\\x"},
        {L"C:\\a", "/x", L"\\\\?\\C:\\x"},
        {L"\\\\?\\C:\\a\\b", "x", L"\\\\?\\C:\\a\\b\\x"},
        {L"\\\\?\\C:\\a\\b\\", "../x/./y", L"\\\\?\\C:\\a\\x\\y"},
        {L"\\\\?\\C:\\a", "../../..", L"\\\\?\\C:\\"},
        {L"\\\\?\\C:\\a", "/x", L"\\\\?\\C:\\x"},
        {L"\\\\server\\share\\a", "x", L"\\\\?\\UNC\\server\\share\\a\\x"},
        {L"\\\\server\\share\\a", "/x", L"\\\\?\\UNC\\server\\share\\x"},
        {L"\\\\?\\UNC\\server\\share\\a", "../../x", L"\\\\?\\UNC\\server\\share\\x"},
        {L"\\\\?\\UNC\\server\\share", "/x", L"\\\\?\\UNC\\server\\share\\x"},
        {L"\\\\?\\Volume{1}\\a", "../../x", L"\\\\?\\Volume{1}\\x"},
        {L"\\\\?\\Volume{1}\\a", "/x", L"\\\\?\\Volume{1}\\x"},
    };
    (void)f;
    epio__win32_calls real = epio__win32;
    epio__win32.get_full_path = full_path_of_current;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        current = cases[i].directory;
        check_wide(cases[i].name, cases[i].expected);
    }
    epio__win32 = real;
}

static bool leads_to_pipe(const char *path)
{
    WCHAR *name = wide(path);
    bool pipe = epio__may_be_pipe(name);
    free(name);
    return pipe;
}

/* Their servers could impersonate the opener. The flag against that has another meaning for
 * files. */
static void names_of_pipes_are_known(fixture *f)
{
    static const char *const pipes[] = {"//./pipe/x",
                                        "\\\\.\\PIPE\\x",
                                        "\\\\.\\Global\\pipe/x",
                                        "\\\\.\\x\\..\\pipe\\x",
                                        "\\\\?\\pipe\\x",
                                        "//server/pipe/x",
                                        "\\\\?\\UNC\\server\\pipe\\x",
                                        "\\\\.\\UNC\\server\\pipe\\x",
                                        "\\\\?\\GLOBALROOT\\Device\\NamedPipe\\x"};
    static const char *const files[] = {"pipe/x",
                                        "C:/pipe/x",
                                        "\\\\?\\C:\\pipe\\x",
                                        "\\\\.\\C:\\pipe\\x",
                                        "//server/share/pipe/x",
                                        "//pipe/share/x",
                                        "\\\\?\\Volume{1}\\x"};
    (void)f;
    for (size_t i = 0; i < sizeof pipes / sizeof pipes[0]; i++) {
        check(leads_to_pipe(pipes[i]));
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        check(!leads_to_pipe(files[i]));
    }
}

/* And they can be opened and used nevertheless. */
static void a_pipe_is_opened_by_its_name(fixture *f)
{
    char found[8];
    char path[64];
    WCHAR name[64];
    epio_op op = {0};
    (void)swprintf(name, 64, L"\\\\.\\pipe\\epio-opened-%lx", GetCurrentProcessId());
    (void)snprintf(path, sizeof path, "//./pipe/epio-opened-%lx", GetCurrentProcessId());
    HANDLE server = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED,
                                     PIPE_TYPE_BYTE, 1, 4096, 4096, 0, NULL);
    check(server != INVALID_HANDLE_VALUE);
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE), 0);
    check_result(pipe_write((intptr_t)server, "abc", 3), 3);
    epio_file *file = op.file;
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 3);
    fixture_close(f, file);
    check(CloseHandle(server));
}

static void names_are_relative_to_the_current_directory(fixture *f)
{
    char before[1024];
    char found[1024];
    char expected[1024];
    epio_op op = {0};
    check(current_directory(before, sizeof before));
    check(current_directory_set(f->directory));
    fixture_put(f, "file", "data", 4);
    char drive[] = {f->directory[0], ':', 'f', 'i', 'l', 'e', '\0'};
    static const char *const same[] = {"file", "./file", "file/../file", "x/../file"};
    (void)snprintf(expected, sizeof expected, "%s/file", f->directory);
    for (size_t i = 0; i <= sizeof same / sizeof same[0]; i++) {
        const char *path = i == 0 ? drive : same[i - 1];
        check_op(f, epio_full_pathname(&op, f->vfs, path, found, sizeof found),
                 (int64_t)strlen(expected));
        check(paths_agree(found, expected));
    }
    /* From the root of the current drive. */
    check_op(f, epio_open(&op, f->vfs, f->directory + 2, EPIO_OPEN_READ), EPIO_EISDIR);
    check(current_directory_set(before));
}

/* ---- Long names ------------------------------------------------------------------- */

/* Directories in directories; returns how many, and their path in `path`. */
static int make_deep(fixture *f, char *path, size_t len)
{
    static const char part[] = "/a-directory-whose-name-has-a-length-of-some-fifty-letters";
    size_t used = strlen(strcpy(path, f->directory));
    int depth = 0;
    while (used + 2 * sizeof part < len) {
        used += strlen(strcpy(path + used, part));
        check(directory_make(path));
        depth++;
    }
    return depth;
}

static void paths_of_thousands_of_letters(fixture *f)
{
    /* Wine passes names to a system that takes 4,095 bytes. */
    static char directory[6000], path[6100], other[6100], found[7000];
    epio_op op = {0};
    size_t len = system_is_wine() ? 3800 : 5500;
    int depth = make_deep(f, directory, len);
    check(strlen(directory) > len - 200);
    (void)snprintf(path, sizeof path, "%s/d\xc3\xa9j\xc3\xa0.bin", directory);
    (void)snprintf(other, sizeof other, "%s/other", directory);
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
        check(directory_remove(directory));
        *strrchr(directory, '/') = '\0';
    }
}

static void long_paths_to_short_names(fixture *f)
{
    static char path[40000];
    epio_op op = {0};
    fixture_put(f, "file", "data", 4);
    check(directory_make(fixture_path(f, "directory")));
    size_t used = strlen(strcpy(path, f->directory));
    while (used < 5000) {
        used += strlen(strcpy(path + used, "/directory/.."));
    }
    (void)strcpy(path + used, "/file");
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), 0);
    fixture_close(f, op.file);

    /* The system's limit is 32,767; that of a part 255. */
    used = strlen(f->directory);
    while (used < 35000) {
        used += strlen(strcpy(path + used, "/directory"));
    }
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), EPIO_ENAMETOOLONG);
    check_op(f, epio_access(&op, f->vfs, path, EPIO_ACCESS_EXISTS), EPIO_ENAMETOOLONG);
    memset(path, 'x', 256);
    path[256] = '\0';
    check_refused(f, path, EPIO_ENAMETOOLONG);
    path[255] = '\0';
    fixture_put(f, path, "x", 1);
    check_content(f, path, "x", 1);
    /* The name of a stream does not count. */
    int error = 0;
    (void)strcpy(path + 255, ":stream");
    free(epio__wide_name(path, &error));
    check_result(error, 0);
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

static void *close_soon(void *argument)
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

/* Scanners and indexers open files without sharing for a moment. */
static void sharing_violations_are_retried(fixture *f)
{
    for (int which = 0; which < 4; which++) {
        epio_op op = {0};
        test_thread thread;
        unsigned char found[8];
        fixture_put(f, "file", "data", 4);
        /* An earlier use of the op does not shorten the retries. */
        epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
        check_op(f, epio_read(&op, file, found, sizeof found, 4), 0);
        fixture_close(f, file);
        fixture_put(f, "other", "data", 4);
        thread_start(&thread, close_soon, hold_alone(f, "file"));
        check_op(f, prepare_verb(f, &op, which), 0);
        (void)thread_join(thread);
        if (which == 0) {
            fixture_close(f, op.file);
        }
    }
}

static void lasting_sharing_violations_are_reported(fixture *f)
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
        check_result(count_entries(f->directory), 2);
    }
}

/* The opens that they are made of return from a wait now and then, and must not wait for ever. */
static void so_they_are_of_whole_files(fixture *f)
{
    epio_op op = {0};
    epio_buffer buffer = {.size = sizeof buffer};
    fixture_put(f, "file", "data", 4);
    HANDLE holder = hold_alone(f, "file");
    check_op_fails(f, epio_load(&op, f->vfs, fixture_path(f, "file"), &buffer, NULL), EPIO_ESHARING,
                   ERROR_SHARING_VIOLATION);
    check_op_fails(f,
                   epio_copy(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "copy"), NULL),
                   EPIO_ESHARING, ERROR_SHARING_VIOLATION);
    check(CloseHandle(holder));
    epio_buffer_free(&buffer);
    check_result(count_entries(f->directory), 1);
    check_op(f, epio_load(&op, f->vfs, fixture_path(f, "file"), &buffer, NULL), 4);
    epio_buffer_free(&buffer);
}

/* ---- Read-only files ------------------------------------------------------------------ */

static DWORD attributes_of(fixture *f, const char *name)
{
    WCHAR *wide_name = wide(fixture_path(f, name));
    DWORD attributes = GetFileAttributesW(wide_name);
    free(wide_name);
    return attributes;
}

static void put_read_only(fixture *f, const char *name, const char *content)
{
    fixture_put(f, name, content, strlen(content));
    WCHAR *wide_name = wide(fixture_path(f, name));
    check(SetFileAttributesW(wide_name, FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN));
    free(wide_name);
}

/* As on POSIX: a user who may change the directory may remove a name from it. */
static void a_read_only_file_can_be_deleted_and_replaced(fixture *f)
{
    for (uint32_t durable = 0; durable < 2; durable++) {
        epio_op op = {0};
        put_read_only(f, "file", "old");
        check_op(f,
                 epio_delete(&op, f->vfs, fixture_path(f, "file"),
                             durable != 0 ? EPIO_DELETE_SYNC_DIR : 0),
                 0);
        check_result(fixture_exists(f, "file"), 0);

        put_read_only(f, "file", "old");
        fixture_put(f, "new", "new", 3);
        check_op(f,
                 epio_rename(&op, f->vfs, fixture_path(f, "new"), fixture_path(f, "file"),
                             EPIO_RENAME_NO_REPLACE),
                 EPIO_EEXIST);
        check((attributes_of(f, "file") & FILE_ATTRIBUTE_READONLY) != 0);
        check_op(f,
                 epio_rename(&op, f->vfs, fixture_path(f, "new"), fixture_path(f, "file"),
                             durable != 0 ? EPIO_RENAME_SYNC_DIR : 0),
                 0);
        check_content(f, "file", "new", 3);
        check((attributes_of(f, "file") & FILE_ATTRIBUTE_READONLY) == 0);

        /* A file that replaces it keeps its read-only attribute. */
        put_read_only(f, "other", "other");
        check_op(f,
                 epio_rename(&op, f->vfs, fixture_path(f, "other"), fixture_path(f, "file"),
                             durable != 0 ? EPIO_RENAME_SYNC_DIR : 0),
                 0);
        check((attributes_of(f, "file") & FILE_ATTRIBUTE_READONLY) != 0);
        check_content(f, "file", "other", 5);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
        check_result(count_entries(f->directory), 0);
    }
}

static void what_cannot_go_stays_read_only(fixture *f)
{
    epio_op op = {0};
    put_read_only(f, "file", "data");
    fixture_put(f, "other", "other", 5);
    HANDLE holder = hold_alone(f, "file");
    /* Without a deadline, at which a thread may still be busy with it. */
    int64_t deleted = fixture_result(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0));
    check(deleted == EPIO_ESHARING || deleted == EPIO_EACCES);
    int64_t renamed = fixture_result(
        f, epio_rename(&op, f->vfs, fixture_path(f, "other"), fixture_path(f, "file"), 0));
    check(renamed == EPIO_ESHARING || renamed == EPIO_EACCES);
    check(CloseHandle(holder));
    check((attributes_of(f, "file") & FILE_ATTRIBUTE_READONLY) != 0);
    check_content(f, "file", "data", 4);
}

/* ---- Scripted calls -------------------------------------------------------------------- */

static epio__win32_calls real;
static bool knows_read_only; /* Windows 10, version 1809 */
static bool knows_posix;     /* version 1607, and a file system that supports it */
static int renames;
static int deletes;

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

/* FileRenameInfoEx and FileDispositionInfoEx, by what Wine has. */
static BOOL WINAPI scripted_set_information(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class,
                                            LPVOID data, DWORD size)
{
    DWORD flags = *(DWORD *)data;
    DWORD known = class == 22 ? 0x3 : 0x3;
    known |= knows_read_only ? (class == 22 ? 0x40u : 0x10u) : 0;
    if (class != 21 && class != 22) {
        return real.set_information(handle, class, data, size);
    }
    if (!knows_posix || (flags & ~known) != 0) {
        return end_with(ERROR_INVALID_PARAMETER);
    }
    check((flags & 0x2) != 0);
    if (class == 21) {
        FILE_DISPOSITION_INFO disposition = {.DeleteFile = TRUE};
        FILE_BASIC_INFO basic = {.FileAttributes = FILE_ATTRIBUTE_NORMAL};
        check(real.get_information(handle, FileBasicInfo, &basic, sizeof basic));
        if ((basic.FileAttributes & FILE_ATTRIBUTE_READONLY) != 0) {
            return end_with(ERROR_ACCESS_DENIED);
        }
        deletes++;
        return real.set_information(handle, FileDispositionInfo, &disposition, sizeof disposition);
    }
    renames++;
    *(DWORD *)data = flags & 1;
    return real.set_information(handle, FileRenameInfo, data, size);
}

static void posix_semantics_where_there_are_some(fixture *f)
{
    for (int system_version = 0; system_version < 3; system_version++) {
        epio_op op = {0};
        knows_posix = system_version > 0;
        knows_read_only = system_version > 1;
        renames = 0;
        deletes = 0;
        fixture_put(f, "file", "old", 3);
        fixture_put(f, "new", "new", 3);
        real = epio__win32;
        epio__win32.set_information = scripted_set_information;
        check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "new"), fixture_path(f, "file"), 0),
                 0);
        check_op(f,
                 epio_rename(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "last"),
                             EPIO_RENAME_NO_REPLACE),
                 0);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "last"), 0), 0);
        epio__win32 = real;
        check_result(renames, knows_posix ? 2 : 0);
        check_result(deletes, knows_posix ? 1 : 0);
        check_result(count_entries(f->directory), 0);
    }
}

static DWORD flush_error;
static int flushes;

static BOOL WINAPI scripted_flush(HANDLE handle)
{
    flushes++;
    return flush_error != 0 ? end_with(flush_error) : real.flush(handle);
}

/* A name is durable by a flush, of the file or of another beside it. */
static void sync_dir_flushes(fixture *f)
{
    for (int fails = 0; fails < 2; fails++) {
        const int64_t expected = fails ? EPIO_EIO : 0;
        const int32_t os_error = fails ? ERROR_DISK_FULL : 0;
        epio_op op = {0};
        fixture_put(f, "file", "data", 4);
        put_read_only(f, "read-only", "data");
        real = epio__win32;
        epio__win32.flush = scripted_flush;
        flush_error = (DWORD)os_error;
        flushes = 0;
        check_op_fails(f,
                       epio_rename(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "new"),
                                   EPIO_RENAME_SYNC_DIR),
                       expected, os_error);
        check_result(fixture_exists(f, "new"), 1);
        check_result(flushes, 1);
        check_op_fails(f,
                       epio_rename(&op, f->vfs, fixture_path(f, "read-only"),
                                   fixture_path(f, "file"), EPIO_RENAME_SYNC_DIR),
                       expected, os_error);
        check_result(flushes, 2);
        check_op_fails(f, epio_delete(&op, f->vfs, fixture_path(f, "new"), EPIO_DELETE_SYNC_DIR),
                       expected, os_error);
        check_result(fixture_exists(f, "new"), 0);
        check_result(flushes, 3);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
        check_result(flushes, 3);
        epio__win32 = real;
        check_result(count_entries(f->directory), 0); /* no temporary file of the library is left */
    }
}

/* A failed open removes the file that it created. */
static void an_open_that_fails_leaves_nothing(fixture *f)
{
    static const uint32_t directions[] = {EPIO_OPEN_READ, EPIO_OPEN_WRITE, READ_WRITE};
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++) {
        const uint32_t flags = directions[i] | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR;
        epio_op op = {0};
        real = epio__win32;
        epio__win32.flush = scripted_flush;
        flush_error = 0;
        flushes = 0;
        check_op(f, epio_open(&op, f->vfs, fixture_path(f, "good"), flags), 0);
        check_result(flushes, 1);
        fixture_close(f, op.file);
        flush_error = ERROR_DISK_FULL;
        check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "new"), flags), EPIO_EIO,
                       ERROR_DISK_FULL);
        check(op.file == NULL);
        check_result(fixture_exists(f, "new"), 0);
        check_result(flushes, 2);
        /* An existing file is neither made durable nor removed. */
        check_op(f, epio_open(&op, f->vfs, fixture_path(f, "good"), flags), 0);
        check_result(flushes, 2);
        epio__win32 = real;
        fixture_close(f, op.file);
        check_result(count_entries(f->directory), 1);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "good"), 0), 0);
    }
}

static BOOL WINAPI delete_nothing(LPCWSTR name)
{
    (void)name;
    return end_with(ERROR_ACCESS_DENIED);
}

/* A running program can be replaced, but not removed. */
static void a_file_that_cannot_go_is_removed_later(fixture *f)
{
    epio_op op = {0};
    for (int system_version = 0; system_version < 3; system_version++) {
        bool runs = system_version < 2;
        fixture_put(f, "program", "old", 3);
        fixture_put(f, "new", "new", 3);
        epio_file *running = fixture_open(f, "program", EPIO_OPEN_READ);
        real = epio__win32;
        epio__win32.delete_file = runs ? delete_nothing : real.delete_file;
        check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "new"), fixture_path(f, "program"), 0),
                 0);
        epio__win32 = real;
        fixture_close(f, running);
        check_content(f, "program", "new", 3);
        check_result(count_entries(f->directory), runs ? 2 + system_version : 1);
    }
}

static BOOL WINAPI set_nothing(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                               DWORD size)
{
    (void)handle;
    (void)class;
    (void)data;
    (void)size;
    return end_with(ERROR_INVALID_PARAMETER);
}

static void a_close_that_cannot_delete_says_so(fixture *f)
{
    const uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE;
    epio_op op = {0};
    epio_file *file = fixture_open(f, "file", flags);
    real = epio__win32;
    epio__win32.set_information = set_nothing;
    epio__win32.delete_file = delete_nothing;
    check_op_fails(f, epio_close(&op, file), EPIO_EACCES, ERROR_ACCESS_DENIED);
    epio__win32 = real;
    check_result(fixture_exists(f, "file"), 1);
    file = fixture_open(f, "file", flags);
    fixture_close(f, file);
    check_result(fixture_exists(f, "file"), 0);
}

/* ---- Appending --------------------------------------------------------------------------- */

/* Windows appends all writes by such a handle. */
static void a_handle_that_only_appends_can_be_adopted(fixture *f)
{
    epio_op op = {0};
    WCHAR *name = wide(fixture_path(f, "file"));
    HANDLE handle = CreateFileW(name, FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE,
                                FILE_SHARE_READ, NULL, CREATE_NEW, FILE_FLAG_OVERLAPPED, NULL);
    free(name);
    check(handle != INVALID_HANDLE_VALUE);
    check_op(f, epio_adopt(&op, f->vfs, (intptr_t)handle, 0), 0);
    epio_file *file = op.file;
    fixture_write(f, file, "abc", 3, 0);
    fixture_write(f, file, "def", 3, 3);
    check_op(f, epio_sync(&op, file, 0), 0);
    fixture_close(f, file);
    check_content(f, "file", "abcdef", 6);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(names_of_devices_are_refused, ON_ANY_OS),
        FIXTURE_TEST(what_is_not_utf8_is_refused, ON_ANY_OS),
        FIXTURE_TEST(half_a_character_has_a_form, ON_OS_PERFORM),
        FIXTURE_TEST(dots_and_blanks_at_the_end_are_kept, ON_ANY_OS),
        FIXTURE_TEST(names_become_absolute, ON_OS_PERFORM),
        FIXTURE_TEST(names_are_relative_to_the_current_directory, ON_ANY_OS),
        FIXTURE_TEST(the_current_directory_may_be_literal, ON_OS_PERFORM),
        FIXTURE_TEST(names_of_pipes_are_known, ON_OS_PERFORM),
        FIXTURE_TEST(a_pipe_is_opened_by_its_name, ON_ANY_OS),
        FIXTURE_TEST(paths_of_thousands_of_letters, ON_ANY_OS),
        FIXTURE_TEST(long_paths_to_short_names, ON_ANY_OS),
        FIXTURE_TEST(sharing_violations_are_retried, ON_ANY_OS),
        FIXTURE_TEST(lasting_sharing_violations_are_reported, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(so_they_are_of_whole_files, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_read_only_file_can_be_deleted_and_replaced, ON_ANY_OS),
        FIXTURE_TEST(what_cannot_go_stays_read_only, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(posix_semantics_where_there_are_some, ON_ANY_OS),
        FIXTURE_TEST(sync_dir_flushes, ON_ANY_OS),
        FIXTURE_TEST(an_open_that_fails_leaves_nothing, ON_ANY_OS),
        FIXTURE_TEST(a_file_that_cannot_go_is_removed_later, ON_ANY_OS),
        FIXTURE_TEST(a_close_that_cannot_delete_says_so, ON_ANY_OS),
        FIXTURE_TEST(a_handle_that_only_appends_can_be_adopted, ON_ANY_OS),
    };
    return FIXTURE_RUN("paths on Windows", tests);
}
