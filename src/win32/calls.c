/* The calls that tests can replace, and those that are looked up by name. */
#include "win32/win32.h"

epio__win32_calls epio__win32 = {
    .read_file = ReadFile,
    .write_file = WriteFile,
    .get_overlapped_result = GetOverlappedResult,
    .get_completions = GetQueuedCompletionStatusEx,
    .cancel = CancelIoEx,
    .set_notification_modes = SetFileCompletionNotificationModes,
    .lock_file = LockFileEx,
    .unlock_file = UnlockFileEx,
    .flush = FlushFileBuffers,
};

#define NOT_IMPLEMENTED ((LONG)0xC0000002)
#define FLUSH_DATA_ONLY 4u
#define ACCESS_INFORMATION 8
#define MODE_INFORMATION 16
#define SYNCHRONOUS_MODES 0x30u

/* The documented layout of what ntdll reports into. */
typedef struct nt_status_block {
    void *status;
    ULONG_PTR information;
} nt_status_block;

typedef LONG(NTAPI *flush_function)(HANDLE, ULONG, void *, ULONG, nt_status_block *);
typedef LONG(NTAPI *query_function)(HANDLE, nt_status_block *, void *, ULONG, int);

typedef void (*any_function)(void);

static any_function find_in_ntdll(const char *name)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    return ntdll != NULL ? (any_function)GetProcAddress(ntdll, name) : NULL;
}

LONG epio__nt_flush_data(HANDLE handle)
{
    nt_status_block block;
    flush_function flush = (flush_function)find_in_ntdll("NtFlushBuffersFileEx");
    return flush != NULL ? flush(handle, FLUSH_DATA_ONLY, NULL, 0, &block) : NOT_IMPLEMENTED;
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
    bool told = query(handle, ACCESS_INFORMATION, &answer);
    *access = answer;
    return told;
}

bool epio__nt_is_synchronous(HANDLE handle)
{
    ULONG mode = 0;
    /* Where it cannot be told, waiting in a worker is right for either kind. */
    return !query(handle, MODE_INFORMATION, &mode) || (mode & SYNCHRONOUS_MODES) != 0;
}
