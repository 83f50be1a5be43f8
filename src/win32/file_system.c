/* On which file system a path is, and what that can do. */
#include "win32/win32.h"

#include <string.h>
#include <wchar.h>

/* Windows 10, version 1803: by number, as older headers lack the name. */
#define CASE_SENSITIVE_INFO ((FILE_INFO_BY_HANDLE_CLASS)23)
#define IS_CASE_SENSITIVE 1u

/* Missing from some headers. */
#define SUPPORTS_BLOCK_REFCOUNTING 0x08000000u

static void set_trait(epio_file_system *info, uint32_t trait, bool holds)
{
    info->known |= trait;
    info->traits |= holds ? trait : 0;
}

static void take_type(epio_file_system *info, const WCHAR *name)
{
    char type[(MAX_PATH + 1) * EPIO__NARROW_MOST + 1];
    size_t len = epio__narrow(name, wcslen(name), type);
    if (len < sizeof info->type) {
        memcpy(info->type, type, len + 1);
    }
}

/* Each directory of NTFS has its own answer. Of a file it is not asked where the directory is. */
static void take_case(epio_file_system *info, HANDLE handle, bool remote)
{
    ULONG flags = 0;
    FILE_BASIC_INFO basic;
    if (!epio__win32.get_information(handle, FileBasicInfo, &basic, sizeof basic) ||
        (basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        return;
    }
    bool asked =
        epio__win32.get_information(handle, CASE_SENSITIVE_INFO, &flags, sizeof flags) != FALSE;
    if (asked || !remote) {
        set_trait(info, EPIO_FS_CASE_SENSITIVE, (flags & IS_CASE_SENSITIVE) != 0);
    }
}

/* False and GetLastError. */
static bool describe(HANDLE handle, epio_file_system *info)
{
    WCHAR type[MAX_PATH + 1] = L"";
    DWORD longest = 0;
    DWORD flags = 0;
    epio__nt_full_size size;
    if (!epio__win32.get_volume_information(handle, NULL, 0, NULL, &longest, &flags, type,
                                            MAX_PATH + 1)) {
        return false;
    }
    DWORD error = epio__win32.nt_full_size(handle, &size);
    if (error != 0) {
        SetLastError(error);
        return false;
    }
    uint64_t unit = (uint64_t)size.sectors_per_unit * size.bytes_per_sector;
    info->bytes = (uint64_t)size.total.QuadPart * unit;
    info->free = (uint64_t)size.free.QuadPart * unit;
    info->available = (uint64_t)size.available.QuadPart * unit;
    info->block_size = (uint32_t)unit;
    info->sector_size = size.bytes_per_sector;
    info->longest_name = longest;
    bool remote = epio__is_remote(handle);
    set_trait(info, EPIO_FS_REMOTE, remote);
    set_trait(info, EPIO_FS_READ_ONLY, (flags & FILE_READ_ONLY_VOLUME) != 0);
    set_trait(info, EPIO_FS_REFLINKS, (flags & SUPPORTS_BLOCK_REFCOUNTING) != 0);
    take_case(info, handle, remote);
    take_type(info, type);
    return true;
}

int64_t epio__os_file_system_info(epio_op *op, epio_file_system *info)
{
    HANDLE handle;
    int64_t result = epio__op_open_metadata(op, FILE_READ_ATTRIBUTES, true, &handle);
    if (result == 0) {
        result = describe(handle, info) ? 0 : epio__op_fail(op);
        (void)CloseHandle(handle);
    }
    return result;
}
