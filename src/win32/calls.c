/* The calls that tests can replace, and those that are looked up by name. */
#include "win32/win32.h"

#include <wchar.h>

#define STAT_BASIC_BY_NAME 3 /* FileStatBasicByNameInfo */

typedef BOOL(WINAPI *by_name_function)(LPCWSTR, int, LPVOID, DWORD);
typedef void (*any_function)(void);

static any_function find_in(const WCHAR *library, const char *name)
{
    HMODULE module = GetModuleHandleW(library);
    return module != NULL ? (any_function)GetProcAddress(module, name) : NULL;
}

static bool is_on_ntfs(HANDLE handle)
{
    WCHAR name[MAX_PATH + 1];
    return GetVolumeInformationByHandleW(handle, NULL, 0, NULL, NULL, NULL, name, MAX_PATH + 1) &&
           wcscmp(name, L"NTFS") == 0;
}

/* Windows 11, version 24H2. */
static BOOL get_information_by_name(LPCWSTR name, LPVOID information, DWORD size)
{
    static uintptr_t found;
    static const uintptr_t missing = 1;
    uintptr_t known = epio__load_relaxed_pointer(&found);
    if (known == 0) {
        known = (uintptr_t)find_in(L"kernelbase.dll", "GetFileInformationByName");
        known = known != 0 ? known : missing;
        epio__store_relaxed_pointer(&found, known);
    }
    if (known == missing) {
        SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
        return FALSE;
    }
    return ((by_name_function)known)(name, STAT_BASIC_BY_NAME, information, size);
}

/* ReadDirectoryNotifyExtendedInformation of READ_DIRECTORY_NOTIFY_INFORMATION_CLASS, which came
 * with Windows 10, version 1709. */
#define EXTENDED_CHANGES 2

typedef BOOL(WINAPI *changes_function)(HANDLE, LPVOID, DWORD, BOOL, DWORD, LPDWORD, LPOVERLAPPED,
                                       LPOVERLAPPED_COMPLETION_ROUTINE, int);

static BOOL read_changes(HANDLE directory, LPVOID buffer, DWORD len, BOOL tree, DWORD filter,
                         LPOVERLAPPED overlapped, bool extended)
{
    if (!extended) {
        return ReadDirectoryChangesW(directory, buffer, len, tree, filter, NULL, overlapped, NULL);
    }
    changes_function read = (changes_function)find_in(L"kernel32.dll", "ReadDirectoryChangesExW");
    if (read == NULL) {
        SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
        return FALSE;
    }
    return read(directory, buffer, len, tree, filter, NULL, overlapped, NULL, EXTENDED_CHANGES);
}

/* Wine only sees subdirectories that are made after the call, under the names they had at first. */
static bool watches_trees(void)
{
    return find_in(L"ntdll.dll", "wine_get_version") == NULL;
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
    .get_notification_modes = epio__nt_notification_modes_of,
    .lock_file = LockFileEx,
    .unlock_file = UnlockFileEx,
    .set_information = SetFileInformationByHandle,
    .get_information = GetFileInformationByHandleEx,
    .get_information_by_name = get_information_by_name,
    .nt_create = epio__nt_create,
    .nt_set_information = epio__nt_set_information,
    .create_symbolic_link = CreateSymbolicLinkW,
    .control = DeviceIoControl,
    .delete_file = DeleteFileW,
    .replace_file = ReplaceFileW,
    .shell_operation = epio__shell_operation,
    .shell_item = epio__shell_item,
    .get_full_path = GetFullPathNameW,
    .flush = FlushFileBuffers,
    .flush_data = epio__nt_flush_data,
    .is_on_ntfs = is_on_ntfs,
    .get_volume_information = GetVolumeInformationByHandleW,
    .nt_full_size = epio__nt_full_size_of,
    .reopen = ReOpenFile,
    .create_mapping = CreateFileMappingW,
    .map_view = MapViewOfFile,
    .flush_view = FlushViewOfFile,
    .read_changes = read_changes,
    .watches_trees = watches_trees,
};
