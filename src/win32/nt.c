/* What only ntdll has. Its functions are looked up by name, as not every import library has them;
 * what they return becomes an error as GetLastError would return it. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define FLUSH_DATA_ONLY 4u
#define ACCESS_INFORMATION 8
#define MODE_INFORMATION 16
#define NOTIFICATION_INFORMATION 41
#define FULL_SIZE_INFORMATION 7 /* of FS_INFORMATION_CLASS */

typedef LONG(NTAPI *flush_function)(HANDLE, ULONG, void *, ULONG, IO_STATUS_BLOCK *);
typedef ULONG(NTAPI *error_function)(LONG);
typedef LONG(NTAPI *information_function)(HANDLE, IO_STATUS_BLOCK *, void *, ULONG, int);
typedef LONG(NTAPI *create_function)(HANDLE *, ACCESS_MASK, OBJECT_ATTRIBUTES *, IO_STATUS_BLOCK *,
                                     LARGE_INTEGER *, ULONG, ULONG, ULONG, ULONG, void *, ULONG);

typedef void (*any_function)(void);

static any_function find(const char *name)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    return ntdll != NULL ? (any_function)GetProcAddress(ntdll, name) : NULL;
}

/* The same, for calls that a walk through a tree makes for each file. */
static any_function find_once(const char *name, uintptr_t *found)
{
    uintptr_t known = epio__load_relaxed_pointer(found);
    if (known == 0) {
        known = (uintptr_t)find(name);
        epio__store_relaxed_pointer(found, known);
    }
    return (any_function)known;
}

static DWORD error_of(LONG status)
{
    error_function convert = (error_function)find("RtlNtStatusToDosError");
    return status >= 0 ? 0 : convert != NULL ? convert(status) : ERROR_GEN_FAILURE;
}

/* ---- Open files ---- */

/* A failed flush is final: another kind of flush might find the lost pages clean. */
DWORD epio__nt_flush_data(HANDLE handle)
{
    IO_STATUS_BLOCK block;
    flush_function flush = (flush_function)find("NtFlushBuffersFileEx");
    if (flush == NULL) {
        return ERROR_NOT_SUPPORTED;
    }
    LONG status = flush(handle, FLUSH_DATA_ONLY, NULL, 0, &block);
    switch ((ULONG)status) {
    case 0xC0000002: /* STATUS_NOT_IMPLEMENTED */
    case 0xC000000D: /* STATUS_INVALID_PARAMETER */
    case 0xC0000010: /* STATUS_INVALID_DEVICE_REQUEST */
    case 0xC00000BB: /* STATUS_NOT_SUPPORTED */
        return ERROR_NOT_SUPPORTED;
    default:
        return error_of(status);
    }
}

static bool query(HANDLE handle, int which, ULONG *answer)
{
    IO_STATUS_BLOCK block;
    information_function ask = (information_function)find("NtQueryInformationFile");
    return ask != NULL && ask(handle, &block, answer, sizeof *answer, which) >= 0;
}

bool epio__nt_access_of(HANDLE handle, ACCESS_MASK *access)
{
    ULONG answer = 0;
    bool known = query(handle, ACCESS_INFORMATION, &answer);
    *access = answer;
    return known;
}

bool epio__nt_mode_of(HANDLE handle, ULONG *mode)
{
    return query(handle, MODE_INFORMATION, mode);
}

bool epio__nt_notification_modes_of(HANDLE handle, ULONG *modes)
{
    return query(handle, NOTIFICATION_INFORMATION, modes);
}

DWORD epio__nt_set_information(HANDLE handle, int which, void *information, ULONG size)
{
    static uintptr_t found;
    IO_STATUS_BLOCK block;
    information_function set = (information_function)find_once("NtSetInformationFile", &found);
    return set != NULL ? error_of(set(handle, &block, information, size, which))
                       : ERROR_CALL_NOT_IMPLEMENTED;
}

DWORD epio__nt_full_size_of(HANDLE handle, epio__nt_full_size *size)
{
    IO_STATUS_BLOCK block;
    information_function ask = (information_function)find("NtQueryVolumeInformationFile");
    return ask != NULL ? error_of(ask(handle, &block, size, sizeof *size, FULL_SIZE_INFORMATION))
                       : ERROR_CALL_NOT_IMPLEMENTED;
}

/* ---- Names relative to a directory ---- */

/* https://learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntcreatefile: with a
 * RootDirectory the name is relative to it, and empty for the directory itself. */
DWORD epio__nt_create(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    static uintptr_t found;
    IO_STATUS_BLOCK block = {.Information = FILE_OPENED};
    UNICODE_STRING name = {.Length = (USHORT)(wcslen(wanted->name) * sizeof(WCHAR)),
                           .MaximumLength = (USHORT)(wcslen(wanted->name) * sizeof(WCHAR)),
                           .Buffer = (WCHAR *)(uintptr_t)wanted->name};
    OBJECT_ATTRIBUTES object = {.Length = sizeof object,
                                .RootDirectory = wanted->root,
                                .ObjectName = &name,
                                .Attributes = OBJ_CASE_INSENSITIVE};
    create_function create = (create_function)find_once("NtCreateFile", &found);
    if (create == NULL) {
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
    LONG status =
        create(handle, wanted->access, &object, &block, NULL, wanted->attributes,
               FILE_SHARE_READ | FILE_SHARE_WRITE | (wanted->pins ? 0u : (ULONG)FILE_SHARE_DELETE),
               wanted->disposition, wanted->options, NULL, 0);
    *created = status >= 0 && block.Information == FILE_CREATED;
    return error_of(status);
}
