/* Metadata and links as only Windows has them: attributes, 128-bit ids, reparse points. What no
 * machine at hand shows, the calls of src/win32/calls.c answer. EPIO_TEST_WITHOUT_LOOP: also
 * without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

/* The last time before 1970. */
#define BEFORE_1970 INT64_C(-100)

static epio__win32_calls real;

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

/* ---- Stat ----------------------------------------------------------------------- */

#define KNOWN_OF_FILES                                                                             \
    (EPIO_INFO_MODE | EPIO_INFO_ATTRIBUTES | EPIO_INFO_LINKS | EPIO_INFO_ID | EPIO_INFO_BYTES |    \
     EPIO_INFO_ALLOCATED | EPIO_INFO_MODIFIED | EPIO_INFO_ACCESSED)

static void stat_says_what_is_there(fixture *f)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    fixture_put(f, "file", "data", 4);
    make_directory(f, "directory");
    info = stat_of(f, f->vfs, fixture_path(f, "file"), 0);
    check_result(info.known & KNOWN_OF_FILES, KNOWN_OF_FILES);
    check_result(info.known & (EPIO_INFO_OWNER | EPIO_INFO_BLOCK_SIZE), 0);
    check_result(info.type, EPIO_TYPE_FILE);
    check_result(info.mode, 0666);
    check_result(info.bytes, 4);
    check_result(info.links, 1);
    check(info.user == 0 && info.group == 0 && info.block_size == 0);
    check(info.modified > BILLION_SECONDS && info.modified < 4 * BILLION_SECONDS);
    epio_info same = stat_of(f, f->vfs, fixture_path(f, "file"), EPIO_STAT_NOFOLLOW);
    check(is_same_file(&info, &same));
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    same = stat_of_file(f, file);
    check(memcmp(&info, &same, sizeof info) == 0);
    fixture_close(f, file);

    info = stat_of(f, f->vfs, fixture_path(f, "directory"), 0);
    check_result(info.type, EPIO_TYPE_DIRECTORY);
    check_result(info.mode, 0777);
    check((info.attributes & FILE_ATTRIBUTE_DIRECTORY) != 0);
    check(!is_same_file(&info, &same));
    check_op_fails(f, epio_stat(&op, f->vfs, fixture_path(f, "none"), &info, 0), EPIO_ENOENT,
                   ERROR_FILE_NOT_FOUND);
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file/x"), &info, 0), EPIO_ENOTDIR);
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file/"), &info, 0), EPIO_ENOTDIR);
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "NUL"), &info, 0), EPIO_EINVAL);
    same = stat_of(f, f->vfs, fixture_path(f, "directory/"), 0);
    check_result(same.type, EPIO_TYPE_DIRECTORY);
}

static void open_streams_have_a_type(fixture *f)
{
    HANDLE device = CreateFileW(L"\\\\.\\NUL", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    HANDLE ends[2];
    check(device != INVALID_HANDLE_VALUE);
    check(CreatePipe(&ends[0], &ends[1], NULL, 0));
    epio_file *file = fixture_adopt(f, (intptr_t)device, EPIO_OPEN_READ);
    epio_info info = stat_of_file(f, file);
    check_result(info.type, EPIO_TYPE_CHARACTER_DEVICE);
    check_result(info.known, 0);
    fixture_close(f, file);
    file = fixture_adopt(f, (intptr_t)ends[0], EPIO_OPEN_READ);
    info = stat_of_file(f, file);
    check_result(info.type, EPIO_TYPE_FIFO);
    fixture_close(f, file);
    check(CloseHandle(ends[1]));
}

static int calls_by_name;
static DWORD error_by_name;
static ULONG attributes_by_name;
static ULONG device_by_name;

static BOOL scripted_by_name(LPCWSTR name, LPVOID information, DWORD size)
{
    calls_by_name++;
    check(wcsncmp(name, L"\\\\?\\", 4) == 0);
    check_result(size, 104); /* what the system has to be told */
    if (error_by_name != 0) {
        return end_with(error_by_name);
    }
    epio__win32_stat stat = {
        .born = {.QuadPart = 1},                      /* too long ago */
        .modified = {.QuadPart = 116444736000000000}, /* 1970 */
        .changed = {.QuadPart = 116444736000000000 - 1},
        .bytes = {.QuadPart = 5},
        .allocated = {.QuadPart = 4096},
        .attributes = attributes_by_name,
        .links = 7,
        .device_type = device_by_name,
        .volume = 0x1122334455667788,
        .id = {0x0123456789ABCDEF, 0xFEDCBA9876543210},
    };
    memcpy(information, &stat, sizeof stat);
    return TRUE;
}

static void a_name_is_enough_where_the_system_knows_it(fixture *f)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    fixture_put(f, "file", "data", 4);
    const char *path = fixture_path(f, "file");
    real = epio__win32;
    epio__win32.get_information_by_name = scripted_by_name;
    calls_by_name = 0;
    error_by_name = 0;
    device_by_name = FILE_DEVICE_DISK;
    attributes_by_name = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN;
    info = stat_of(f, f->vfs, path, 0);
    check_result(info.known, EPIO_INFO_MODE | EPIO_INFO_ATTRIBUTES | EPIO_INFO_LINKS |
                                 EPIO_INFO_ID | EPIO_INFO_BYTES | EPIO_INFO_ALLOCATED |
                                 EPIO_INFO_MODIFIED | EPIO_INFO_CHANGED);
    check_result(info.type, EPIO_TYPE_FILE);
    check_result(info.mode, 0444);
    check_result(info.attributes, attributes_by_name);
    check(info.bytes == 5 && info.allocated == 4096 && info.links == 7);
    check(info.device == 0x1122334455667788 && info.id[0] == 0x0123456789ABCDEF &&
          info.id[1] == 0xFEDCBA9876543210);
    check(info.born == 0 && info.modified == 0 && info.changed == BEFORE_1970);
    attributes_by_name = FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_READONLY;
    info = stat_of(f, f->vfs, path, EPIO_STAT_NOFOLLOW);
    check(info.type == EPIO_TYPE_DIRECTORY && info.mode == 0555);
    check_result(calls_by_name, 2);

    /* What it cannot tell is asked by a handle: here, what the file really is. */
    attributes_by_name = FILE_ATTRIBUTE_REPARSE_POINT;
    check_result(stat_of(f, f->vfs, path, 0).bytes, 4);
    attributes_by_name = FILE_ATTRIBUTE_NORMAL;
    device_by_name = FILE_DEVICE_NULL;
    check_result(stat_of(f, f->vfs, path, 0).bytes, 4);
    error_by_name = ERROR_INVALID_PARAMETER;
    check_result(stat_of(f, f->vfs, path, 0).bytes, 4);
    error_by_name = ERROR_FILE_NOT_FOUND;
    check_op_fails(f, epio_stat(&op, f->vfs, path, &info, 0), EPIO_ENOENT, ERROR_FILE_NOT_FOUND);
    check_result(calls_by_name, 6);
    epio__win32 = real;
}

/* ---- What a handle says --------------------------------------------------------- */

static bool has_id;               /* FileIdInfo */
static DWORD scripted_attributes; /* 0: the real ones */
static DWORD scripted_tag;

static BOOL WINAPI scripted_get(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    static const uint64_t id[] = {0x1122334455667788, 0x0123456789ABCDEF, 0xFEDCBA9876543210};
    if (class == 18) { /* FileIdInfo */
        check_result(size, sizeof id);
        if (!has_id) {
            return end_with(ERROR_INVALID_PARAMETER);
        }
        memcpy(data, id, sizeof id);
        return TRUE;
    }
    if (class == FileAttributeTagInfo && scripted_attributes != 0) {
        FILE_ATTRIBUTE_TAG_INFO tag = {scripted_attributes, scripted_tag};
        memcpy(data, &tag, sizeof tag);
        return TRUE;
    }
    BOOL done = real.get_information(handle, class, data, size);
    if (done && class == FileBasicInfo && scripted_attributes != 0) {
        ((FILE_BASIC_INFO *)data)->FileAttributes = scripted_attributes;
    }
    return done;
}

static void an_id_has_128_bits(fixture *f)
{
    fixture_put(f, "file", "data", 4);
    real = epio__win32;
    epio__win32.get_information = scripted_get;
    scripted_attributes = 0;
    has_id = true;
    epio_info info = stat_of(f, f->vfs, fixture_path(f, "file"), 0);
    check(info.device == 0x1122334455667788 && info.id[0] == 0x0123456789ABCDEF &&
          info.id[1] == 0xFEDCBA9876543210);
    has_id = false;
    info = stat_of(f, f->vfs, fixture_path(f, "file"), 0);
    epio__win32 = real;
    check((info.known & EPIO_INFO_ID) != 0);
    check(info.id[0] != 0x0123456789ABCDEF && info.id[1] == 0);
}

/* ---- Reparse points ------------------------------------------------------------- */

/* What FSCTL_GET_REPARSE_POINT returns. */
typedef struct reparse_point {
    ULONG tag;
    bool has_flags; /* before the names: of symbolic links */
    const WCHAR *target;
    const WCHAR *shown;
    DWORD cut; /* bytes of it that are missing */
} reparse_point;

static const reparse_point *reparse;
static DWORD control_error;
static int controls;
static unsigned char written[1024]; /* by FSCTL_SET_REPARSE_POINT */
static DWORD written_len;

static void put_u16(unsigned char *to, size_t value)
{
    to[0] = (unsigned char)(value & 0xFF);
    to[1] = (unsigned char)(value >> 8);
}

static DWORD fill_reparse_point(unsigned char *to)
{
    size_t target = wcslen(reparse->target) * sizeof(WCHAR);
    size_t shown = wcslen(reparse->shown) * sizeof(WCHAR);
    size_t names = reparse->has_flags ? 20 : 16;
    memset(to, 0, names);
    memcpy(to, &reparse->tag, sizeof reparse->tag);
    put_u16(to + 4, names - 8 + target + shown);
    put_u16(to + 8, shown); /* the shown name comes first */
    put_u16(to + 10, target);
    put_u16(to + 14, shown);
    memcpy(to + names, reparse->shown, shown);
    memcpy(to + names + shown, reparse->target, target);
    return (DWORD)(names + shown + target) - reparse->cut;
}

static BOOL WINAPI scripted_control(HANDLE handle, DWORD code, LPVOID in, DWORD in_size, LPVOID out,
                                    DWORD out_size, LPDWORD len, LPOVERLAPPED overlapped)
{
    (void)handle;
    check(overlapped == NULL);
    controls++;
    if (code == FSCTL_SET_REPARSE_POINT) {
        check(in_size <= sizeof written);
        memcpy(written, in, in_size);
        written_len = in_size;
        return end_with(control_error);
    }
    check(code == FSCTL_GET_REPARSE_POINT && out_size == 16384);
    if (control_error != 0) {
        return end_with(control_error);
    }
    *len = fill_reparse_point(out);
    return TRUE;
}

static void begin_reparse_points(const reparse_point *point)
{
    real = epio__win32;
    epio__win32.get_information = scripted_get;
    epio__win32.control = scripted_control;
    reparse = point;
    scripted_tag = point->tag;
    scripted_attributes = FILE_ATTRIBUTE_REPARSE_POINT;
    has_id = false;
    control_error = 0;
    controls = 0;
}

static void read_link_says_where_it_leads(fixture *f)
{
    static const struct {
        reparse_point point;
        const char *expected;
    } cases[] = {
        {{IO_REPARSE_TAG_SYMLINK, true, L"..\\file", L"shown", 0}, "..\\file"},
        {{IO_REPARSE_TAG_SYMLINK, true, L"\\??\\C:\\d\x00e9", L"C:\\x", 0}, "C:\\d\xc3\xa9"},
        {{IO_REPARSE_TAG_SYMLINK, true, L"\\??\\UNC\\server\\share\\x", L"", 0},
         "\\\\server\\share\\x"},
        {{IO_REPARSE_TAG_MOUNT_POINT, false, L"\\??\\C:\\directory", L"C:\\directory", 0},
         "C:\\directory"},
        {{IO_REPARSE_TAG_MOUNT_POINT, false, L"\\??\\Volume{1}\\", L"", 0}, "\\\\?\\Volume{1}\\"},
    };
    fixture_put(f, "link", "", 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char found[64];
        epio_op op = {0};
        const char *path = fixture_path(f, "link");
        const size_t len = strlen(cases[i].expected);
        begin_reparse_points(&cases[i].point);
        check_op(f, epio_read_link(&op, f->vfs, path, found, sizeof found), len);
        check(strcmp(found, cases[i].expected) == 0);
        check_op(f, epio_read_link(&op, f->vfs, path, found, len + 1), len);
        check_op(f, epio_read_link(&op, f->vfs, path, found, len), EPIO_ERANGE);
        check_op(f, epio_read_link(&op, f->vfs, path, NULL, 0), EPIO_ERANGE);
        epio_info info = stat_of(f, f->vfs, path, EPIO_STAT_NOFOLLOW);
        check_result(info.type, EPIO_TYPE_LINK);
        check_result(info.bytes, len);
        epio__win32 = real;
    }
}

static void what_is_no_link_cannot_be_read(fixture *f)
{
    static const reparse_point cloud = {0x9000001A, false, L"", L"", 0};
    static const reparse_point broken = {IO_REPARSE_TAG_SYMLINK, true, L"abc", L"", 2};
    static const reparse_point empty = {IO_REPARSE_TAG_SYMLINK, true, L"", L"", 8};
    char found[64];
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    fixture_put(f, "file", "", 0);
    check_op_fails(f, epio_read_link(&op, f->vfs, path, found, sizeof found), EPIO_EINVAL,
                   ERROR_NOT_A_REPARSE_POINT);
    check_op(f, epio_read_link(&op, f->vfs, fixture_path(f, "none"), found, sizeof found),
             EPIO_ENOENT);
    begin_reparse_points(&cloud);
    check_op_fails(f, epio_read_link(&op, f->vfs, path, found, sizeof found), EPIO_EINVAL,
                   ERROR_NOT_A_REPARSE_POINT);
    check_result(stat_of(f, f->vfs, path, EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_FILE);
    epio__win32 = real;
    begin_reparse_points(&broken);
    check_op_fails(f, epio_read_link(&op, f->vfs, path, found, sizeof found), EPIO_EIO,
                   ERROR_INVALID_DATA);
    reparse = &empty;
    check_op_fails(f, epio_read_link(&op, f->vfs, path, found, sizeof found), EPIO_EINVAL,
                   ERROR_NOT_A_REPARSE_POINT);
    control_error = ERROR_ACCESS_DENIED;
    check_op_fails(f, epio_read_link(&op, f->vfs, path, found, sizeof found), EPIO_EACCES,
                   ERROR_ACCESS_DENIED);
    epio__win32 = real;
}

static void reparse_points_have_types(fixture *f)
{
    static const struct {
        ULONG tag;
        uint32_t type;
    } types[] = {
        {IO_REPARSE_TAG_SYMLINK, EPIO_TYPE_LINK},
        {IO_REPARSE_TAG_MOUNT_POINT, EPIO_TYPE_LINK},
        {0xA000001D, EPIO_TYPE_LINK},
        {0x80000023, EPIO_TYPE_SOCKET},
        {0x80000024, EPIO_TYPE_FIFO},
        {0x80000025, EPIO_TYPE_CHARACTER_DEVICE},
        {0x80000026, EPIO_TYPE_BLOCK_DEVICE},
        {0x80000013, EPIO_TYPE_FILE},
    };
    fixture_put(f, "file", "", 0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const reparse_point point = {types[i].tag, false, L"x", L"x", 0};
        begin_reparse_points(&point);
        epio_info info = stat_of(f, f->vfs, fixture_path(f, "file"), EPIO_STAT_NOFOLLOW);
        epio__win32 = real;
        check_result(info.type, types[i].type);
    }
}

static DWORD cannot_access(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    return (wanted->options & FILE_OPEN_REPARSE_POINT) == 0
               ? ERROR_CANT_ACCESS_FILE
               : real.nt_create(wanted, handle, created);
}

/* As sockets: nothing opens them but what does not follow. */
static void what_nothing_opens_can_be_described(fixture *f)
{
    static const reparse_point points[] = {{0x80000023, false, L"", L"", 0},
                                           {IO_REPARSE_TAG_SYMLINK, true, L"x", L"x", 0}};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file *directory = open_directory(f, ".");
    epio_vfs *vfs = epio_directory_vfs(directory);
    put_in(f, vfs, "file", "");
    begin_reparse_points(&points[0]);
    epio__win32.nt_create = cannot_access;
    check_op(f, epio_stat(&op, vfs, "file", &info, 0), 0);
    epio__win32 = real;
    check_result(info.type, EPIO_TYPE_SOCKET);
    begin_reparse_points(&points[1]);
    epio__win32.nt_create = cannot_access;
    check_op_fails(f, epio_stat(&op, vfs, "file", &info, 0), EPIO_EACCES, ERROR_CANT_ACCESS_FILE);
    epio__win32 = real;
    fixture_close(f, directory);
}

/* A link is not a directory, even if the system marks it as one; and can be opened as one only
 * by following it. */
static void a_link_to_a_directory_is_no_directory(fixture *f)
{
    static const reparse_point junction = {IO_REPARSE_TAG_MOUNT_POINT, false, L"x", L"x", 0};
    char found[1024];
    epio_op op = {0};
    make_directory(f, "link");
    check(fixture_result(f, epio_full_pathname(&op, f->vfs, fixture_path(f, "link"), found,
                                               sizeof found)) > 0);
    check(!epio_op_followed_link(&op));
    begin_reparse_points(&junction);
    scripted_attributes |= FILE_ATTRIBUTE_DIRECTORY;
    check_op_fails(f, epio_rmdir(&op, f->vfs, fixture_path(f, "link"), 0), EPIO_ENOTDIR,
                   ERROR_DIRECTORY);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "link"), DIRECTORY | EPIO_OPEN_NOFOLLOW),
             EPIO_ELOOP);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "link"), DIRECTORY), 0);
    epio_op asks = {0};
    check(fixture_result(f, epio_full_pathname(&asks, f->vfs, fixture_path(f, "link"), found,
                                               sizeof found)) > 0);
    check(epio_op_followed_link(&asks));
    epio__win32 = real;
    fixture_close(f, op.file);
    check_result(fixture_exists(f, "link"), 1);

    /* But what deletes a file deletes it. */
    epio_file *directory = open_directory(f, ".");
    epio_vfs *vfs = epio_directory_vfs(directory);
    static const reparse_point cloud = {0x9000001A, false, L"", L"", 0};
    begin_reparse_points(&cloud);
    scripted_attributes |= FILE_ATTRIBUTE_DIRECTORY;
    check_op(f, epio_delete(&op, vfs, "link", 0), EPIO_EISDIR);
    epio__win32 = real;
    begin_reparse_points(&junction);
    scripted_attributes |= FILE_ATTRIBUTE_DIRECTORY;
    check_op(f, epio_delete(&op, vfs, "link", EPIO_DELETE_SYNC_DIR), 0);
    epio__win32 = real;
    fixture_close(f, directory);
    check_result(count_entries(f->directory), 0);
}

/* ---- Symbolic links ------------------------------------------------------------- */

static DWORD symlink_errors[2]; /* of the calls with and without the flag for anyone */
static int symlinks;
static DWORD symlink_flags;
static WCHAR symlink_name[1024];
static WCHAR symlink_target[1024];

static BOOLEAN WINAPI scripted_symlink(LPCWSTR name, LPCWSTR target, DWORD flags)
{
    symlinks++;
    symlink_flags = flags;
    (void)wcsncpy(symlink_name, name, 1023);
    (void)wcsncpy(symlink_target, target, 1023);
    return (BOOLEAN)end_with(symlink_errors[(flags & 2) != 0 ? 0 : 1]);
}

static void begin_symlinks(DWORD error, DWORD error_without_flag)
{
    real = epio__win32;
    epio__win32.create_symbolic_link = scripted_symlink;
    epio__win32.control = scripted_control;
    symlink_errors[0] = error;
    symlink_errors[1] = error_without_flag;
    symlinks = 0;
    controls = 0;
    control_error = 0;
    written_len = 0;
}

static bool name_ends_in(const WCHAR *name, const WCHAR *end)
{
    size_t len = wcslen(name);
    size_t end_len = wcslen(end);
    return len >= end_len && wcscmp(name + len - end_len, end) == 0;
}

static void a_symbolic_link_is_of_the_kind_of_its_target(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, "a/link");
    make_directory(f, "a");
    make_directory(f, "a/directory");
    fixture_put(f, "file", "", 0);
    static const struct {
        const char *target;
        const WCHAR *expected;
        DWORD flags;
    } cases[] = {
        {"directory", L"directory", 3}, {"./directory/", L".\\directory\\", 3},
        {"../file", L"..\\file", 2},    {"../a", L"..\\a", 3},
        {"none/x", L"none\\x", 2},      {"..", L"..", 3},
    };
    begin_symlinks(0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_op(f, epio_symlink(&op, f->vfs, cases[i].target, path, 0), 0);
        check(name_ends_in(symlink_name, L"\\a\\link"));
        check(wcsncmp(symlink_name, L"\\\\?\\", 4) == 0);
        check(wcscmp(symlink_target, cases[i].expected) == 0);
        check_result(symlink_flags, cases[i].flags);
    }
    check_op(f, epio_symlink(&op, f->vfs, fixture_path(f, "a"), path, 0), 0);
    check_result(symlink_flags, 3);
    check(symlink_target[1] == L':' && name_ends_in(symlink_target, L"\\a"));
    check_result(symlinks, sizeof cases / sizeof cases[0] + 1);
    check_op(f, epio_symlink(&op, f->vfs, "\xff", path, 0), EPIO_EINVAL);

    /* Before version 1703 the system refuses the flag. */
    symlink_errors[0] = ERROR_INVALID_PARAMETER;
    check_op(f, epio_symlink(&op, f->vfs, "directory", path, 0), 0);
    check_result(symlink_flags, 1);
    symlink_errors[1] = ERROR_ALREADY_EXISTS;
    check_op_fails(f, epio_symlink(&op, f->vfs, "directory", path, 0), EPIO_EEXIST,
                   ERROR_ALREADY_EXISTS);
    check_result(controls, 0);
    epio__win32 = real;
}

/* Both names of a junction, as FSCTL_SET_REPARSE_POINT gets them. */
static void check_junction(const char *target)
{
    int error = 0;
    WCHAR *name = epio__wide_name(target, &error);
    size_t len = wcslen(name) * sizeof *name;
    ULONG tag;
    memcpy(&tag, written, sizeof tag);
    check_result(tag, IO_REPARSE_TAG_MOUNT_POINT);
    check_result(written[4] | written[5] << 8, written_len - 8);
    check_result(written[8] | written[9] << 8, 0);
    check_result(written[10] | written[11] << 8, len);
    check_result(written[12] | written[13] << 8, len + 2);
    check_result(written[14] | written[15] << 8, len - 8);
    check_result(written_len, 16 + len + 2 + len - 8 + 2);
    name[1] = L'?';
    assert_memory_equal(written + 16, name, len);
    assert_memory_equal(written + 16 + len + 2, name + 4, len - 8);
    check(written[16 + len] == 0 && written[16 + len + 1] == 0);
    free(name);
}

static void a_junction_needs_no_privilege(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, "link");
    make_directory(f, "directory");
    fixture_put(f, "file", "", 0);
    begin_symlinks(ERROR_PRIVILEGE_NOT_HELD, 0);
    check_op(f, epio_symlink(&op, f->vfs, fixture_path(f, "directory"), path, 0), 0);
    check_result(controls, 1);
    check_junction(fixture_path(f, "directory"));
    check_result(fixture_exists(f, "link"), 1);
    check_op(f, epio_rmdir(&op, f->vfs, path, 0), 0);

    /* Neither to a file, nor by a relative name. */
    check_op_fails(f, epio_symlink(&op, f->vfs, fixture_path(f, "file"), path, 0), EPIO_EPERM,
                   ERROR_PRIVILEGE_NOT_HELD);
    check_op_fails(f, epio_symlink(&op, f->vfs, "directory", path, 0), EPIO_EPERM,
                   ERROR_PRIVILEGE_NOT_HELD);
    check_result(controls, 1);
    control_error = ERROR_INVALID_FUNCTION; /* a file system without reparse points */
    check_op_fails(f, epio_symlink(&op, f->vfs, fixture_path(f, "directory"), path, 0), EPIO_EPERM,
                   ERROR_PRIVILEGE_NOT_HELD);
    check_result(controls, 2);
    epio__win32 = real;
    check_result(fixture_exists(f, "link"), 0);
}

/* ---- Times and permissions ------------------------------------------------------ */

static void times_are_set(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    epio_times times = {.size = sizeof times, .born = EPIO_TIME_KEEP};
    fixture_put(f, "file", "data", 4);
    times.modified = BILLION_SECONDS + 123456789;
    times.accessed = 2 * BILLION_SECONDS;
    check_op(f, epio_set_times(&op, f->vfs, path, &times, 0), 0);
    epio_info info = stat_of(f, f->vfs, path, 0);
    check_result(info.modified, BILLION_SECONDS + 123456700);
    check_result(info.accessed, 2 * BILLION_SECONDS);
    times.modified = BEFORE_1970 - 1; /* of two units the earlier */
    times.accessed = EPIO_TIME_KEEP;
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, epio_file_set_times(&op, file, &times), 0);
    info = stat_of_file(f, file);
    check_result(info.modified, BEFORE_1970 - 100);
    check_result(info.accessed, 2 * BILLION_SECONDS); /* later: Wine itself reads of the file */
    times.modified = EPIO_TIME_NOW;
    check_op(f, epio_file_set_times(&op, file, &times), 0);
    info = stat_of_file(f, file);
    check(info.modified > BILLION_SECONDS + BILLION_SECONDS / 2);
    check_result(info.accessed, 2 * BILLION_SECONDS);
    fixture_close(f, file);

    make_directory(f, "directory");
    times.modified = BILLION_SECONDS;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "directory"), &times, 0), 0);
    check_result(stat_of(f, f->vfs, fixture_path(f, "directory"), 0).modified, BILLION_SECONDS);
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "none"), &times, 0), EPIO_ENOENT);
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "file/"), &times, 0), EPIO_ENOTDIR);
}

static FILE_BASIC_INFO last_basic;
static int basic_sets;
static int denials; /* of the first calls */

static BOOL WINAPI record_basic(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    (void)handle;
    (void)size;
    check_result(class, FileBasicInfo);
    basic_sets++;
    if (denials > 0) {
        denials--;
        return end_with(ERROR_ACCESS_DENIED);
    }
    memcpy(&last_basic, data, sizeof last_basic);
    return TRUE;
}

/* Wine's files have no time of birth. */
static void a_birth_can_be_set(fixture *f)
{
    epio_op op = {0};
    const epio_times times = {.size = sizeof times,
                              .modified = EPIO_TIME_KEEP,
                              .accessed = EPIO_TIME_KEEP,
                              .born = INT64_MIN + 1};
    fixture_put(f, "file", "data", 4);
    real = epio__win32;
    epio__win32.set_information = record_basic;
    basic_sets = 0;
    denials = 0;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "file"), &times, 0), 0);
    check_result(basic_sets, 1);
    check_result(last_basic.CreationTime.QuadPart,
                 116444736000000000 + INT64_MIN / 100 - 1); /* 1677 */
    check(last_basic.LastWriteTime.QuadPart == 0 && last_basic.LastAccessTime.QuadPart == 0 &&
          last_basic.ChangeTime.QuadPart == 0 && last_basic.FileAttributes == 0);

    /* A handle without the right is opened again; what is denied then is an error. */
    epio__win32 = real;
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    epio__win32.set_information = record_basic;
    denials = 1;
    basic_sets = 0;
    check_op(f, epio_file_set_times(&op, file, &times), 0);
    check_result(basic_sets, 2);
    denials = 2;
    check_op_fails(f, epio_file_set_times(&op, file, &times), EPIO_EACCES, ERROR_ACCESS_DENIED);
    epio__win32 = real;
    fixture_close(f, file);
}

static void the_write_bit_is_the_read_only_attribute(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    fixture_put(f, "file", "data", 4);
    epio_info before = stat_of(f, f->vfs, path, 0);
    check_op(f, epio_set_mode(&op, f->vfs, path, 0577, 0), 0);
    epio_info info = stat_of(f, f->vfs, path, 0);
    check_result(info.mode, 0444);
    check((info.attributes & FILE_ATTRIBUTE_READONLY) != 0);
    check_result(info.modified, before.modified);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, epio_file_set_mode(&op, file, 0200), 0);
    check_result(stat_of_file(f, file).mode, 0666);
    check_op(f, epio_file_set_owner(&op, file, 0, 0), EPIO_ENOTSUP);
    fixture_close(f, file);
    check_op(f, epio_set_owner(&op, f->vfs, path, 0, EPIO_OWNER_KEEP, 0), EPIO_ENOTSUP);
    check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, "none"), 0600, 0), EPIO_ENOENT);

    /* What is 0 stays; no attributes at all are written in another way. */
    real = epio__win32;
    epio__win32.set_information = record_basic;
    epio__win32.get_information = scripted_get;
    scripted_attributes = FILE_ATTRIBUTE_READONLY;
    has_id = false;
    denials = 0;
    check_op(f, epio_set_mode(&op, f->vfs, path, 0200, 0), 0);
    check_result(last_basic.FileAttributes, FILE_ATTRIBUTE_NORMAL);
    scripted_attributes = FILE_ATTRIBUTE_HIDDEN;
    check_op(f, epio_set_mode(&op, f->vfs, path, 0, 0), 0);
    epio__win32 = real;
    check_result(last_basic.FileAttributes, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_READONLY);
    check(last_basic.LastWriteTime.QuadPart == 0 && last_basic.CreationTime.QuadPart == 0);
}

/* ---- Hard links ----------------------------------------------------------------- */

static void a_file_may_have_two_names(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "data", 4);
    make_directory(f, "d");
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "d/two"), 0),
             0);
    check_content(f, "d/two", "data", 4);
    epio_info one = stat_of(f, f->vfs, fixture_path(f, "file"), 0);
    epio_info two = stat_of(f, f->vfs, fixture_path(f, "d/two"), 0);
    check(is_same_file(&one, &two));
    check_result(one.links, 2);
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "d/two"), 0),
             EPIO_EEXIST);
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "d"), 0),
             EPIO_EEXIST);
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "d"), fixture_path(f, "x"), 0),
             EPIO_EPERM);
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "none"), fixture_path(f, "x"), 0),
             EPIO_ENOENT);
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "x/y"), 0),
             EPIO_ENOENT);
    check_op(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"), fixture_path(f, "file/y"), 0),
             EPIO_ENOTDIR);
    epio_file *directory = open_directory(f, "d");
    epio_vfs *vfs = epio_directory_vfs(directory);
    check_op(f, epio_link_file(&op, vfs, "two", "three", 0), 0);
    check_op(f, epio_link_file(&op, vfs, fixture_path(f, "file"), "four", 0), 0);
    check_op(f, epio_link_file(&op, vfs, "three", fixture_path(f, "five"), 0), 0);
    check_result(stat_of(f, vfs, "two", 0).links, 5);
    check_op(f, epio_link_file(&op, vfs, "two", "four", 0), EPIO_EEXIST);
    fixture_close(f, directory);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(stat_says_what_is_there, ON_ANY_OS),
        FIXTURE_TEST(open_streams_have_a_type, ON_ANY_OS),
        FIXTURE_TEST(a_name_is_enough_where_the_system_knows_it, ON_ANY_OS),
        FIXTURE_TEST(an_id_has_128_bits, ON_ANY_OS),
        FIXTURE_TEST(read_link_says_where_it_leads, ON_ANY_OS),
        FIXTURE_TEST(what_is_no_link_cannot_be_read, ON_ANY_OS),
        FIXTURE_TEST(reparse_points_have_types, ON_ANY_OS),
        FIXTURE_TEST(what_nothing_opens_can_be_described, ON_ANY_OS),
        FIXTURE_TEST(a_link_to_a_directory_is_no_directory, ON_ANY_OS),
        FIXTURE_TEST(a_symbolic_link_is_of_the_kind_of_its_target, ON_ANY_OS),
        FIXTURE_TEST(a_junction_needs_no_privilege, ON_ANY_OS),
        FIXTURE_TEST(times_are_set, ON_ANY_OS),
        FIXTURE_TEST(a_birth_can_be_set, ON_ANY_OS),
        FIXTURE_TEST(the_write_bit_is_the_read_only_attribute, ON_ANY_OS),
        FIXTURE_TEST(a_file_may_have_two_names, ON_ANY_OS),
    };
    return FIXTURE_RUN("metadata and links on Windows", tests);
}
