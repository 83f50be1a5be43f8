/* Blocks that two files share on Windows, which Wine has not: the call is scripted. Else copies are
 * read and written. EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#include <wchar.h>

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS)
#define REFLINKS_FLAG 0x08000000u
#define DUPLICATE_EXTENTS 0x00098344u
#define TOO_MANY_REFERENCES 347u /* missing from some headers */
#define UNIT 4096u
#define ALL UINT64_MAX

typedef struct extents {
    HANDLE from;
    LARGE_INTEGER from_offset;
    LARGE_INTEGER to_offset;
    LARGE_INTEGER len;
} extents;

static epio__win32_calls real;
static DWORD volume_flags;
static DWORD error_of_sharing;
static unsigned calls;
static uint64_t shared;
static unsigned sparse_calls;
static HANDLE sparse; /* the file that is */

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

static BOOL WINAPI scripted_volume(HANDLE file, LPWSTR label, DWORD label_size, LPDWORD serial,
                                   LPDWORD longest, LPDWORD flags, LPWSTR type, DWORD type_size)
{
    (void)file;
    (void)label;
    (void)label_size;
    (void)serial;
    (void)type_size;
    *longest = 255;
    *flags = volume_flags;
    wcscpy(type, L"ReFS");
    return TRUE;
}

static DWORD scripted_size(HANDLE file, epio__nt_full_size *size)
{
    (void)file;
    memset(size, 0, sizeof *size);
    size->sectors_per_unit = 8;
    size->bytes_per_sector = 512;
    return 0;
}

static BOOL WINAPI scripted_get(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    BOOL done = real.get_information(file, class, data, size);
    if (done && class == FileBasicInfo && file == sparse) {
        ((FILE_BASIC_INFO *)data)->FileAttributes |= FILE_ATTRIBUTE_SPARSE_FILE;
    }
    return done;
}

static void move_unit(HANDLE handle, bool writes, unsigned char *data, uint64_t offset)
{
    HANDLE event = epio__event_take();
    DWORD bytes = 0;
    OVERLAPPED at = {.Offset = (DWORD)offset,
                     .OffsetHigh = (DWORD)(offset >> 32),
                     .hEvent = epio__event_without_packet(event)};
    BOOL done = writes ? real.write_file(handle, data, UNIT, &bytes, &at)
                       : real.read_file(handle, data, UNIT, &bytes, &at);
    if (!done && GetLastError() == ERROR_IO_PENDING) {
        done = real.get_overlapped_result(handle, &at, &bytes, TRUE);
    }
    require(done && (bytes == 0 || bytes == UNIT || at.InternalHigh == UNIT));
    epio__event_return(event);
}

/* As the documentation says: whole units, which both files have. */
static DWORD share(HANDLE to, const extents *wanted)
{
    LARGE_INTEGER size;
    unsigned char data[UNIT];
    calls++;
    if (error_of_sharing != 0) {
        return error_of_sharing;
    }
    require(wanted->from_offset.QuadPart % UNIT == 0 && wanted->to_offset.QuadPart % UNIT == 0 &&
            wanted->len.QuadPart % UNIT == 0 && wanted->len.QuadPart > 0);
    require(GetFileSizeEx(wanted->from, &size) &&
            size.QuadPart >= wanted->from_offset.QuadPart + wanted->len.QuadPart);
    require(GetFileSizeEx(to, &size) &&
            size.QuadPart >= wanted->to_offset.QuadPart + wanted->len.QuadPart);
    for (LONGLONG done = 0; done < wanted->len.QuadPart; done += UNIT) {
        move_unit(wanted->from, false, data, (uint64_t)(wanted->from_offset.QuadPart + done));
        move_unit(to, true, data, (uint64_t)(wanted->to_offset.QuadPart + done));
        shared += UNIT;
    }
    return 0;
}

static BOOL WINAPI scripted_control(HANDLE file, DWORD code, LPVOID in, DWORD in_len, LPVOID out,
                                    DWORD out_len, LPDWORD bytes, LPOVERLAPPED overlapped)
{
    if (code == DUPLICATE_EXTENTS) {
        require(in_len == sizeof(extents));
        overlapped->InternalHigh = 0;
        *bytes = 0;
        return end_with(share(file, in));
    }
    if (code == FSCTL_SET_SPARSE) {
        sparse_calls++;
        overlapped->InternalHigh = 0;
        return end_with(0);
    }
    return real.control(file, code, in, in_len, out, out_len, bytes, overlapped);
}

static void begin(void)
{
    real = epio__win32;
    epio__win32.get_volume_information = scripted_volume;
    epio__win32.nt_full_size = scripted_size;
    epio__win32.get_information = scripted_get;
    epio__win32.control = scripted_control;
    volume_flags = REFLINKS_FLAG;
    error_of_sharing = 0;
    calls = 0;
    shared = 0;
    sparse_calls = 0;
    sparse = NULL;
}

static epio_file *create_with(fixture *f, const char *name, size_t len, uint64_t seed)
{
    static unsigned char data[200000];
    epio_file *file = fixture_create(f, name);
    pattern_fill(data, len, seed);
    fixture_write(f, file, data, len, 0);
    return file;
}

static void check_copied(fixture *f, epio_file *from, uint64_t offset, epio_file *to,
                         uint64_t to_offset, size_t len)
{
    static unsigned char expected[200000];
    static unsigned char found[200000];
    fixture_read(f, from, expected, len, offset);
    fixture_read(f, to, found, len, to_offset);
    check(memcmp(expected, found, len) == 0);
}

static void whole_units_are_shared(fixture *f)
{
    static const struct {
        uint64_t offset;
        uint64_t to_offset;
        uint64_t len;
        uint64_t copied;
        uint64_t shared;
    } cases[] = {{0, 0, ALL, 150000, 36 * UNIT},
                 {UNIT, 3 * UNIT, 5 * UNIT, 5 * UNIT, 5 * UNIT},
                 {UNIT, 0, UNIT + 1, UNIT + 1, UNIT},
                 {0, 0, UNIT - 1, UNIT - 1, 0},
                 {1, 0, ALL, 149999, 0},
                 {0, 1, 2 * UNIT, 2 * UNIT, 0},
                 {200000, 0, ALL, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        epio_op op = {0};
        epio_file *from = create_with(f, "from", 150000, 1);
        epio_file *to = create_with(f, "to", 100, 2);
        begin();
        check_op(f,
                 epio_copy_range(&op, from, cases[i].offset, to, cases[i].to_offset, cases[i].len),
                 cases[i].copied);
        epio__win32 = real;
        check_result(shared, cases[i].shared);
        check_copied(f, from, cases[i].offset, to, cases[i].to_offset, (size_t)cases[i].copied);
        uint64_t size = cases[i].to_offset + cases[i].copied;
        check_op(f, epio_size(&op, to), cases[i].copied != 0 && size > 100 ? size : 100);
        fixture_close(f, from);
        fixture_close(f, to);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "from"), 0), 0);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to"), 0), 0);
    }
}

static void else_it_is_written(fixture *f)
{
    static const DWORD errors[] = {ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER,
                                   ERROR_NOT_SUPPORTED, TOO_MANY_REFERENCES};
    for (size_t i = 0; i <= sizeof errors / sizeof errors[0]; i++) {
        bool lacks = i == sizeof errors / sizeof errors[0];
        epio_op op = {0};
        epio_file *from = create_with(f, "from", 150000, 1);
        epio_file *to = create_with(f, "to", 100, 2);
        begin();
        volume_flags = lacks ? 0 : volume_flags;
        error_of_sharing = lacks ? 0 : errors[i];
        check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), 150000);
        check_result(op.os_error, 0);
        epio__win32 = real;
        check_result(calls, lacks ? 0 : 1);
        check_copied(f, from, 0, to, 0, 150000);
        check_op(f, epio_size(&op, to), 150000);
        fixture_close(f, from);
        fixture_close(f, to);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "from"), 0), 0);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to"), 0), 0);
    }
}

/* What is sparse can share with sparse files alone. */
static void a_sparse_file_makes_the_other_sparse(fixture *f)
{
    epio_op op = {0};
    epio_file *from = create_with(f, "from", 10 * UNIT, 1);
    epio_file *to = create_with(f, "to", 100, 2);
    begin();
    sparse = (HANDLE)epio_file_os_handle(from);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, 10 * UNIT), 10 * UNIT);
    epio__win32 = real;
    check(sparse_calls == 1 && shared == 10 * UNIT);
    begin();
    sparse = (HANDLE)epio_file_os_handle(to);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, 10 * UNIT), 10 * UNIT);
    epio__win32 = real;
    check(sparse_calls == 0 && shared == 10 * UNIT);
    fixture_close(f, from);
    fixture_close(f, to);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(whole_units_are_shared, ON_SOME),
        FIXTURE_TEST(else_it_is_written, ON_SOME),
        FIXTURE_TEST(a_sparse_file_makes_the_other_sparse, ON_SOME),
    };
    return FIXTURE_RUN("copy_range of Windows", tests);
}
