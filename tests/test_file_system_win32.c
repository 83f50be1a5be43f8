/* What Windows says of a volume, and what of it is known. EPIO_TEST_WITHOUT_LOOP: also without
 * loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#include <wchar.h>

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS)
#define REFLINKS_FLAG 0x08000000u

static epio__win32_calls real;
static DWORD volume_flags;
static const WCHAR *volume_type;
static DWORD volume_error;
static DWORD size_error;
static bool is_remote;
static int case_flag; /* -1: there is no such thing */

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

static BOOL WINAPI scripted_volume(HANDLE file, LPWSTR label, DWORD label_size, LPDWORD serial,
                                   LPDWORD longest, LPDWORD flags, LPWSTR type, DWORD type_size)
{
    check(file != NULL && label == NULL && label_size == 0 && serial == NULL && type_size > 255);
    *longest = 200;
    *flags = volume_flags;
    wcscpy(type, volume_type);
    return end_with(volume_error);
}

static DWORD scripted_size(HANDLE file, epio__nt_full_size *size)
{
    check(file != NULL);
    size->total.QuadPart = INT64_C(1) << 40;
    size->available.QuadPart = 10;
    size->free.QuadPart = 20;
    size->sectors_per_unit = 8;
    size->bytes_per_sector = 4096;
    return size_error;
}

static BOOL WINAPI scripted_get(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    if (class == FileRemoteProtocolInfo) {
        return end_with(is_remote ? 0 : ERROR_INVALID_PARAMETER);
    }
    if (class == 23) { /* FileCaseSensitiveInfo */
        check_result(size, sizeof(ULONG));
        ULONG flag = case_flag > 0 ? 1 : 0;
        memcpy(data, &flag, sizeof flag);
        return end_with(case_flag < 0 ? ERROR_INVALID_PARAMETER : 0);
    }
    return real.get_information(file, class, data, size);
}

static epio_file_system describe(fixture *f, const char *name)
{
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, name), &info), 0);
    check_result(info.traits & ~info.known, 0);
    return info;
}

static void begin(void)
{
    real = epio__win32;
    epio__win32.get_volume_information = scripted_volume;
    epio__win32.nt_full_size = scripted_size;
    epio__win32.get_information = scripted_get;
    volume_flags = 0;
    volume_type = L"ReFS";
    volume_error = 0;
    size_error = 0;
    is_remote = false;
    case_flag = -1;
}

static void sizes_are_of_units(fixture *f)
{
    begin();
    epio_file_system info = describe(f, ".");
    epio__win32 = real;
    check(info.bytes == UINT64_C(1) << 55 && info.free == 20 * 32768);
    check(info.available == 10 * 32768 && info.block_size == 32768 && info.sector_size == 4096);
    check(info.longest_name == 200 && info.files == 0 && strcmp(info.type, "ReFS") == 0);
}

static void traits_are_known_or_not(fixture *f)
{
    const uint32_t always = EPIO_FS_REMOTE | EPIO_FS_READ_ONLY | EPIO_FS_REFLINKS;
    fixture_put(f, "file", "", 0);
    begin();
    epio_file_system info = describe(f, ".");
    check_result(info.known, always | EPIO_FS_CASE_SENSITIVE);
    check_result(info.traits, 0);
    check_result(describe(f, "file").known, always);
    case_flag = 1;
    check_result(describe(f, ".").traits, EPIO_FS_CASE_SENSITIVE);
    case_flag = 0;
    is_remote = true;
    info = describe(f, ".");
    check(info.known == (always | EPIO_FS_CASE_SENSITIVE) && info.traits == EPIO_FS_REMOTE);
    case_flag = -1;
    check_result(describe(f, ".").known, always);
    volume_flags = FILE_READ_ONLY_VOLUME | REFLINKS_FLAG | FILE_CASE_SENSITIVE_SEARCH;
    check_result(describe(f, ".").traits, always);
    volume_type = L"a file system with a name of many characters";
    check(describe(f, ".").type[0] == '\0');
    epio__win32 = real;
}

static void volumes_may_fail(fixture *f)
{
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    begin();
    size_error = ERROR_ACCESS_DENIED;
    check_op_fails(f, epio_file_system_info(&op, f->vfs, f->directory, &info), EPIO_EACCES,
                   ERROR_ACCESS_DENIED);
    volume_error = ERROR_NOT_READY;
    check_op_fails(f, epio_file_system_info(&op, f->vfs, f->directory, &info), EPIO_ENODEV,
                   ERROR_NOT_READY);
    epio__win32 = real;
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "none"), &info), EPIO_ENOENT);
    epio_file *directory = open_directory(f, ".");
    check_op(f, epio_file_system_info(&op, epio_directory_vfs(directory), ".", &info), 0);
    check(info.bytes != 0 && info.available <= info.bytes && info.block_size >= 512);
    fixture_close(f, directory);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(sizes_are_of_units, ON_SOME),
        FIXTURE_TEST(traits_are_known_or_not, ON_SOME),
        FIXTURE_TEST(volumes_may_fail, ON_SOME),
    };
    return FIXTURE_RUN("file systems of Windows", tests);
}
