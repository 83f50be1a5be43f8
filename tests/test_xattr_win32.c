/* Extended attributes as streams of a file. Wine has no streams: here each is a file in a directory
 * of the test's, by the calls of src/win32/calls.c. EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#include <wchar.h>

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS)

static epio__win32_calls real;
static fixture *now;
static HANDLE streams; /* the directory of those files */
static DWORD volume_flags;
static DWORD write_error;
static DWORD size_error;
static DWORD list_error;
static ULONG last_options;

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

static DWORD stream_create(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    WCHAR name[300];
    if (wanted->name[0] != L':') {
        return real.nt_create(wanted, handle, created);
    }
    const WCHAR *type = wcschr(wanted->name + 1, L':');
    check(type != NULL && wcscmp(type, L":$DATA") == 0);
    wmemcpy(name, wanted->name + 1, (size_t)(type - wanted->name) - 1);
    name[type - wanted->name - 1] = L'\0';
    last_options = wanted->options;
    epio__nt_creation file = *wanted;
    file.root = streams;
    file.name = name;
    return real.nt_create(&file, handle, created);
}

static BOOL WINAPI stream_volume(HANDLE file, LPWSTR label, DWORD label_size, LPDWORD serial,
                                 LPDWORD longest, LPDWORD flags, LPWSTR type, DWORD type_size)
{
    (void)file;
    (void)label;
    (void)label_size;
    (void)serial;
    (void)longest;
    (void)type;
    (void)type_size;
    *flags = volume_flags;
    return TRUE;
}

static BOOL WINAPI stream_write(HANDLE file, LPCVOID data, DWORD len, LPDWORD written,
                                LPOVERLAPPED overlapped)
{
    return write_error != 0 && overlapped == NULL
               ? end_with(write_error)
               : real.write_file(file, data, len, written, overlapped);
}

static BOOL WINAPI stream_set(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data, DWORD size)
{
    return size_error != 0 && class == FileEndOfFileInfo
               ? end_with(size_error)
               : real.set_information(file, class, data, size);
}

/* One entry of a list. */
static char *put_stream(char *at, const WCHAR *name)
{
    FILE_STREAM_INFO head = {.StreamNameLength = (DWORD)(wcslen(name) * sizeof *name)};
    size_t size = sizeof head + head.StreamNameLength;
    size = (size + 7) & ~(size_t)7;
    head.NextEntryOffset = (DWORD)size;
    memcpy(at, &head, sizeof head);
    memcpy(at + offsetof(FILE_STREAM_INFO, StreamName), name, head.StreamNameLength);
    return at + size;
}

static BOOL WINAPI stream_get(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data, DWORD size)
{
    static const char *const names[] = {"user.one", "user.two", "d\xc3\xa9"};
    static const WCHAR *const wide[] = {L":user.one:$DATA", L":user.two:$DATA", L":d\x00e9:$DATA"};
    if (class != FileStreamInfo) {
        return real.get_information(file, class, data, size);
    }
    if (list_error != 0) {
        return end_with(list_error);
    }
    if (size < 4096) {
        return end_with(ERROR_MORE_DATA);
    }
    char *last = data;
    char *at = put_stream(data, L"::$DATA");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "streams/%s", names[i]);
        if (file_exists(fixture_path(now, path))) {
            last = at;
            at = put_stream(at, wide[i]);
        }
    }
    last = at;
    (void)put_stream(at, L":index:$BITMAP");
    memset(last, 0, sizeof(DWORD)); /* the last one */
    return TRUE;
}

static void begin(fixture *f)
{
    now = f;
    make_directory(f, "streams");
    streams = (HANDLE)handle_open_directory(fixture_path(f, "streams"));
    check(streams != INVALID_HANDLE_VALUE);
    real = epio__win32;
    epio__win32.nt_create = stream_create;
    epio__win32.get_volume_information = stream_volume;
    epio__win32.write_file = stream_write;
    epio__win32.set_information = stream_set;
    epio__win32.get_information = stream_get;
    volume_flags = FILE_NAMED_STREAMS;
    write_error = 0;
    size_error = 0;
    list_error = 0;
}

static void end(void)
{
    epio__win32 = real;
    check(CloseHandle(streams));
}

static void attributes_are_streams(fixture *f)
{
    epio_op op = {0};
    char value[16];
    char names[64];
    epio_file *file = fixture_create(f, "file");
    const char *path = fixture_path(f, "file");
    begin(f);
    check_op(f, epio_file_set_xattr(&op, file, "user.one", "1", 1, 0), 0);
    check_result(last_options & FILE_OPEN_REPARSE_POINT, 0);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.two", "22", 2, EPIO_XATTR_CREATE), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.two", "3", 1, EPIO_XATTR_CREATE),
             EPIO_EEXIST);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.no", "3", 1, EPIO_XATTR_REPLACE),
             EPIO_ENODATA);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", NULL, 0, 0), 2);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 1, 0), EPIO_ERANGE);
    memset(value, '#', sizeof value);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 2, 0), 2);
    check(memcmp(value, "22#", 3) == 0);
    check_op(f, epio_file_get_xattr(&op, file, "user.one", value, sizeof value), 1);
    check_op_fails(f, epio_get_xattr(&op, f->vfs, path, "user.no", value, sizeof value, 0),
                   EPIO_ENODATA, ERROR_FILE_NOT_FOUND);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), 18);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 18);
    check(strcmp(names, "user.one") == 0 && strcmp(names + 9, "user.two") == 0);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, names, 17, 0), EPIO_ERANGE);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "d\xc3\xa9", "", 0, EPIO_XATTR_NOFOLLOW), 0);
    check((last_options & FILE_OPEN_REPARSE_POINT) != 0);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, names, sizeof names, 0), 22);
    check(strcmp(names + 18, "d\xc3\xa9") == 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "d\xc3\xa9", value, sizeof value, 0), 0);
    check_op(f, epio_remove_xattr(&op, f->vfs, path, "d\xc3\xa9", 0), 0);
    check_op(f, epio_remove_xattr(&op, f->vfs, path, "user.one", 0), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), EPIO_ENODATA);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 0);
    check_op(f, epio_list_xattrs(&op, f->vfs, fixture_path(f, "missing"), NULL, 0, 0), EPIO_ENOENT);
    end();
    fixture_close(f, file);
}

static void values_are_set_as_a_whole(fixture *f)
{
    epio_op op = {0};
    char value[16];
    fixture_put(f, "file", "", 0);
    const char *path = fixture_path(f, "file");
    begin(f);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "one", "longer", 6, 0), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "one", "short", 5, 0), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "one", value, sizeof value, 0), 5);
    check(memcmp(value, "short", 5) == 0);

    /* Longer than any path. */
    static char large[300000];
    static char found[sizeof large];
    memset(large, 'v', sizeof large);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "large", large, sizeof large, 0), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "large", found, sizeof found, 0), sizeof large);
    check(memcmp(found, large, sizeof large) == 0);
    check_op(f, epio_remove_xattr(&op, f->vfs, path, "large", 0), 0);

    /* Without room for the new value the old one stays, and none is made. */
    size_error = ERROR_DISK_FULL;
    check_op_fails(f, epio_set_xattr(&op, f->vfs, path, "one", "too long", 8, 0), EPIO_ENOSPC,
                   ERROR_DISK_FULL);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "two", "new", 3, 0), EPIO_ENOSPC);
    size_error = 0;
    write_error = ERROR_IO_DEVICE;
    check_op(f, epio_set_xattr(&op, f->vfs, path, "one", "too long", 8, 0), EPIO_EIO);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "two", "new", 3, 0), EPIO_EIO);
    write_error = 0;
    check_op(f, epio_get_xattr(&op, f->vfs, path, "two", value, sizeof value, 0), EPIO_ENODATA);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "one", value, sizeof value, 0), 5);
    check(memcmp(value, "short", 5) == 0);
    end();
}

static void what_cannot_be_an_attribute(fixture *f)
{
    epio_op op = {0};
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    fixture_put(f, "file", "", 0);
    const char *path = fixture_path(f, "file");
    begin(f);
    static const char *const wrong[] = {"a:b", "a/b", "a\\b", ":$DATA", "\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check_op(f, epio_set_xattr(&op, f->vfs, path, wrong[i], "1", 1, 0), EPIO_EINVAL);
        check_op(f, epio_remove_xattr(&op, f->vfs, path, wrong[i], 0), EPIO_EINVAL);
    }
    check_op(f, epio_set_xattr(&op, f->vfs, path, name, "1", 1, 0), EPIO_ENAMETOOLONG);

    /* A directory without streams has no list; other errors are errors. */
    list_error = ERROR_HANDLE_EOF;
    check_op(f, epio_list_xattrs(&op, f->vfs, fixture_path(f, "streams"), NULL, 0, 0), 0);
    list_error = ERROR_ACCESS_DENIED;
    check_op_fails(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), EPIO_EACCES,
                   ERROR_ACCESS_DENIED);
    list_error = ERROR_MORE_DATA;
    check_op(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), EPIO_ERANGE);

    volume_flags = FILE_CASE_PRESERVED_NAMES;
    check_op_fails(f, epio_set_xattr(&op, f->vfs, path, "one", "1", 1, 0), EPIO_ENOTSUP,
                   ERROR_NOT_SUPPORTED);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), EPIO_ENOTSUP);
    end();
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(attributes_are_streams, ON_SOME),
        FIXTURE_TEST(values_are_set_as_a_whole, ON_SOME),
        FIXTURE_TEST(what_cannot_be_an_attribute, ON_SOME),
    };
    return FIXTURE_RUN("xattr of Windows", tests);
}
