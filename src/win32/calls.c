/* The calls that tests can replace, and those that are looked up by name. */
#include "win32/win32.h"

#include <wchar.h>

#define FLUSH_DATA_ONLY 4u
#define ACCESS_INFORMATION 8
#define MODE_INFORMATION 16
#define NOTIFICATION_INFORMATION 41

/* The documented layout of the structure in which ntdll returns a status. */
typedef struct nt_status_block {
    void *status;
    ULONG_PTR information;
} nt_status_block;

typedef LONG(NTAPI *flush_function)(HANDLE, ULONG, void *, ULONG, nt_status_block *);
typedef ULONG(NTAPI *error_function)(LONG);
typedef LONG(NTAPI *query_function)(HANDLE, nt_status_block *, void *, ULONG, int);

typedef void (*any_function)(void);

static any_function find_in_ntdll(const char *name)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    return ntdll != NULL ? (any_function)GetProcAddress(ntdll, name) : NULL;
}

/* A failed flush is final: another kind of flush might find the lost pages clean. */
static DWORD flush_data(HANDLE handle)
{
    nt_status_block block;
    flush_function flush = (flush_function)find_in_ntdll("NtFlushBuffersFileEx");
    error_function error_of = (error_function)find_in_ntdll("RtlNtStatusToDosError");
    if (flush == NULL || error_of == NULL) {
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
        return status >= 0 ? 0 : error_of(status);
    }
}

static bool is_on_ntfs(HANDLE handle)
{
    WCHAR name[MAX_PATH + 1];
    return GetVolumeInformationByHandleW(handle, NULL, 0, NULL, NULL, NULL, name, MAX_PATH + 1) &&
           wcscmp(name, L"NTFS") == 0;
}

static bool query(HANDLE handle, int which, ULONG *answer)
{
    nt_status_block block;
    query_function ask = (query_function)find_in_ntdll("NtQueryInformationFile");
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

static bool get_notification_modes(HANDLE handle, ULONG *modes)
{
    return query(handle, NOTIFICATION_INFORMATION, modes);
}

static BOOL cancel_synchronous(DWORD thread)
{
    HANDLE handle = OpenThread(THREAD_TERMINATE, FALSE, thread);
    BOOL done = handle != NULL && CancelSynchronousIo(handle);
    if (handle != NULL) {
        (void)CloseHandle(handle);
    }
    return done;
}

epio__win32_calls epio__win32 = {
    .read_file = ReadFile,
    .write_file = WriteFile,
    .get_overlapped_result = GetOverlappedResult,
    .get_completions = GetQueuedCompletionStatusEx,
    .cancel = CancelIoEx,
    .cancel_synchronous = cancel_synchronous,
    .set_notification_modes = SetFileCompletionNotificationModes,
    .get_notification_modes = get_notification_modes,
    .lock_file = LockFileEx,
    .unlock_file = UnlockFileEx,
    .set_information = SetFileInformationByHandle,
    .get_information = GetFileInformationByHandleEx,
    .delete_file = DeleteFileW,
    .get_full_path = GetFullPathNameW,
    .flush = FlushFileBuffers,
    .flush_data = flush_data,
    .is_on_ntfs = is_on_ntfs,
};
