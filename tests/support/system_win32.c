/* system.h on Windows. */
#include "support.h"

#include "win32/win32.h"

#if defined(_MSC_VER)
#include <crtdbg.h>
#endif
#include <psapi.h>
#include <signal.h>
#include <tlhelp32.h>

/* Exit codes of processes that did not exit by themselves. */
#define CODE_ABORTED 0xE0A80000u
#define CODE_KILLED 0xE0A80001u

#define MOST_TRIES 10

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "tests: %s failed: %lu\n", what, (unsigned long)GetLastError());
        abort();
    }
}

bool system_interrupts_calls(void)
{
    return true;
}

bool system_is_wine(void)
{
    return GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
}

/* ---- Paths --------------------------------------------------------------- */

/* UTF-16, absolute and with the prefix that allows any length and name; to be
 * freed. */
static wchar_t *wide_path(const char *path)
{
    static const wchar_t prefix[] = L"\\\\?\\";
    int len = MultiByteToWideChar(CP_UTF8, 0, path, -1, NULL, 0);
    wchar_t *plain = calloc((size_t)len + 1, sizeof *plain);
    must(len > 0 && plain != NULL, path);
    (void)MultiByteToWideChar(CP_UTF8, 0, path, -1, plain, len);
    for (wchar_t *at = plain; *at != 0; at++) {
        *at = *at == L'/' ? L'\\' : *at;
    }
    bool is_absolute = plain[0] != 0 && plain[1] == L':' && plain[2] == L'\\';
    if (!is_absolute || wcschr(plain, L'~') != NULL) {
        return plain;
    }
    wchar_t *wide = calloc((size_t)len + 5, sizeof *wide);
    must(wide != NULL, path);
    memcpy(wide, prefix, 4 * sizeof *wide);
    memcpy(wide + 4, plain, (size_t)len * sizeof *wide);
    free(plain);
    return wide;
}

static bool narrow_path(const wchar_t *wide, char *path, size_t len)
{
    return WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, (int)len, NULL, NULL) > 0;
}

/* ---- Threads ------------------------------------------------------------- */

struct thread_record {
    HANDLE thread;
    void *(*run)(void *argument);
    void *argument;
    void *result;
};

static DWORD WINAPI run_thread(void *argument)
{
    struct thread_record *record = argument;
    record->result = record->run(record->argument);
    return 0;
}

void thread_start(test_thread *one, void *(*run)(void *argument), void *argument)
{
    one->record = calloc(1, sizeof *one->record);
    must(one->record != NULL, "calloc");
    one->record->run = run;
    one->record->argument = argument;
    one->record->thread = CreateThread(NULL, 0, run_thread, one->record, 0, NULL);
    must(one->record->thread != NULL, "CreateThread");
}

void *thread_join(test_thread one)
{
    must(WaitForSingleObject(one.record->thread, INFINITE) == WAIT_OBJECT_0, "joining a thread");
    (void)CloseHandle(one.record->thread);
    void *result = one.record->result;
    free(one.record);
    return result;
}

bool thread_try_join(test_thread one)
{
    bool over = WaitForSingleObject(one.record->thread, 0) == WAIT_OBJECT_0;
    if (over) {
        (void)thread_join(one);
    }
    return over;
}

void thread_yield(void)
{
    (void)SwitchToThread();
}

uintptr_t thread_self(void)
{
    return GetCurrentThreadId();
}

int count_threads(void)
{
    THREADENTRY32 entry = {.dwSize = sizeof entry};
    int count = 0;
    HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    must(list != INVALID_HANDLE_VALUE, "CreateToolhelp32Snapshot");
    for (BOOL more = Thread32First(list, &entry); more; more = Thread32Next(list, &entry)) {
        count += entry.th32OwnerProcessID == GetCurrentProcessId() ? 1 : 0;
    }
    (void)CloseHandle(list);
    return count;
}

static SRWLOCK *mutex_of(test_mutex *mutex)
{
    return (SRWLOCK *)(void *)mutex;
}

static CONDITION_VARIABLE *condition_of(test_condition *condition)
{
    return (CONDITION_VARIABLE *)(void *)condition;
}

void mutex_init(test_mutex *mutex)
{
    InitializeSRWLock(mutex_of(mutex));
}

void mutex_destroy(test_mutex *mutex)
{
    (void)mutex;
}

void mutex_lock(test_mutex *mutex)
{
    AcquireSRWLockExclusive(mutex_of(mutex));
}

void mutex_unlock(test_mutex *mutex)
{
    ReleaseSRWLockExclusive(mutex_of(mutex));
}

void condition_init(test_condition *condition)
{
    InitializeConditionVariable(condition_of(condition));
}

void condition_destroy(test_condition *condition)
{
    (void)condition;
}

void condition_wait(test_condition *condition, test_mutex *mutex)
{
    (void)SleepConditionVariableSRW(condition_of(condition), mutex_of(mutex), INFINITE, 0);
}

void condition_signal(test_condition *condition)
{
    WakeConditionVariable(condition_of(condition));
}

void condition_broadcast(test_condition *condition)
{
    WakeAllConditionVariable(condition_of(condition));
}

/* ---- Time ---------------------------------------------------------------- */

uint64_t system_monotonic_ns(void)
{
    LARGE_INTEGER now, frequency;
    (void)QueryPerformanceFrequency(&frequency);
    (void)QueryPerformanceCounter(&now);
    uint64_t ticks = (uint64_t)now.QuadPart;
    uint64_t rate = (uint64_t)frequency.QuadPart;
    return ticks / rate * UINT64_C(1000000000) + ticks % rate * UINT64_C(1000000000) / rate;
}

int64_t system_time_ns(void)
{
    FILETIME now; /* since 1601, in 100 ns */
    GetSystemTimePreciseAsFileTime(&now);
    int64_t ticks = (int64_t)now.dwHighDateTime << 32 | now.dwLowDateTime;
    return (ticks - INT64_C(116444736000000000)) * 100;
}

/* Sleep counts whole ticks, so the rest is spent polling the clock. */
void sleep_ns(uint64_t nanoseconds)
{
    uint64_t end = system_monotonic_ns() + nanoseconds;
    for (uint64_t now = system_monotonic_ns(); now < end; now = system_monotonic_ns()) {
        uint64_t milliseconds = (end - now) / 1000000;
        Sleep(milliseconds > 1000000 ? 1000000 : (DWORD)milliseconds);
    }
}

void sleep_us(uint64_t microseconds)
{
    sleep_ns(microseconds * 1000);
}

static SRWLOCK guard_lock = SRWLOCK_INIT;
static CONDITION_VARIABLE guard_changed = CONDITION_VARIABLE_INIT;
static bool guard_is_on_duty;
static uint64_t guard_deadline; /* 0: none */
static const char *guarded = "";

static DWORD WINAPI guard(void *unused)
{
    (void)unused;
    AcquireSRWLockExclusive(&guard_lock);
    for (;;) {
        uint64_t now = system_monotonic_ns();
        if (guard_deadline != 0 && now >= guard_deadline) {
            break;
        }
        DWORD wait = guard_deadline == 0 ? INFINITE : (DWORD)((guard_deadline - now) / 1000000 + 1);
        (void)SleepConditionVariableSRW(&guard_changed, &guard_lock, wait, 0);
    }
    (void)fprintf(stderr, "a test hangs: %s\n", guarded);
    (void)fflush(stderr);
    (void)TerminateProcess(GetCurrentProcess(), CODE_ABORTED);
    return 0;
}

static VOID CALLBACK do_nothing(PTP_CALLBACK_INSTANCE instance, PVOID unused, PTP_TIMER timer)
{
    (void)instance;
    (void)unused;
    (void)timer;
}

static VOID CALLBACK no_completion(PTP_CALLBACK_INSTANCE instance, PVOID unused, PVOID overlapped,
                                   ULONG result, ULONG_PTR bytes, PTP_IO io)
{
    (void)instance;
    (void)unused;
    (void)overlapped;
    (void)result;
    (void)bytes;
    (void)io;
}

/* The first use of the system's thread pool makes handles that stay. */
static void start_thread_pool(void)
{
    PTP_TIMER timer = CreateThreadpoolTimer(do_nothing, NULL, NULL);
    FILETIME now = {0};
    must(timer != NULL, "CreateThreadpoolTimer");
    SetThreadpoolTimer(timer, &now, 0, 0);
    WaitForThreadpoolTimerCallbacks(timer, FALSE);
    CloseThreadpoolTimer(timer);
    HANDLE directory =
        CreateFileW(L".", FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                    OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, NULL);
    must(directory != INVALID_HANDLE_VALUE, "CreateFileW");
    PTP_IO io = CreateThreadpoolIo(directory, no_completion, NULL, NULL);
    must(io != NULL, "CreateThreadpoolIo");
    DWORD buffer[16];
    OVERLAPPED overlapped = {0};
    StartThreadpoolIo(io);
    must(ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, FILE_NOTIFY_CHANGE_SECURITY,
                               NULL, &overlapped, NULL) &&
             CancelIoEx(directory, &overlapped),
         "ReadDirectoryChangesW");
    WaitForThreadpoolIoCallbacks(io, FALSE);
    (void)CloseHandle(directory);
    CloseThreadpoolIo(io);
}

/* Errors that end a program are printed on stderr: Microsoft's debug run-time library would open a
 * window, even before SIGABRT, and wait for a click. */
static void show_no_windows(void)
{
    (void)SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
#if defined(_MSC_VER)
    static const int kinds[] = {_CRT_WARN, _CRT_ERROR, _CRT_ASSERT};
    (void)_set_abort_behavior(0, _WRITE_ABORT_MSG | _CALL_REPORTFAULT);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        (void)_CrtSetReportMode(kinds[i], _CRTDBG_MODE_FILE);
        (void)_CrtSetReportFile(kinds[i], _CRTDBG_FILE_STDERR);
    }
#endif
}

/* Its thread is there before a test counts handles, and stays. */
void hang_guard(unsigned seconds, const char *what)
{
    AcquireSRWLockExclusive(&guard_lock);
    guarded = what;
    guard_deadline = seconds == 0 ? 0 : system_monotonic_ns() + seconds * UINT64_C(1000000000);
    if (!guard_is_on_duty) {
        HANDLE thread = CreateThread(NULL, 0, guard, NULL, 0, NULL);
        must(thread != NULL, "CreateThread");
        (void)CloseHandle(thread);
        start_thread_pool();
        show_no_windows();
        guard_is_on_duty = true;
    }
    ReleaseSRWLockExclusive(&guard_lock);
    WakeConditionVariable(&guard_changed);
}

/* ---- The process --------------------------------------------------------- */

/* For the C library, whose getenv epio calls, and for child processes. */
void environment_set(const char *name, const char *value)
{
    must(_putenv_s(name, value != NULL ? value : "") == 0, "_putenv_s");
}

int64_t system_peak_memory(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
    must(K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters) != 0,
         "GetProcessMemoryInfo");
    return (int64_t)counters.PeakPagefileUsage;
}

/* Limited by memory only. */
bool descriptor_limit_raise(uint64_t count, uint64_t *before)
{
    *before = count;
    return true;
}

void descriptor_limit_restore(uint64_t before)
{
    (void)before;
}

/* Wine knows no GetProcessHandleCount (it says 0), and its server crashes when it is
 * asked for the list of all handles while a process comes or goes. It gives out the
 * lowest number that is free, so that there are no long gaps. */
static int count_one_by_one(void)
{
    enum { STEP = 4, LONGEST_GAP = 256 };
    int count = 0;
    DWORD flags;
    for (uintptr_t number = STEP, last = 0; number - last <= STEP * LONGEST_GAP; number += STEP) {
        if (GetHandleInformation((HANDLE)number, &flags)) {
            count++;
            last = number;
        }
    }
    return count;
}

int count_descriptors(void)
{
    DWORD count = 0;
    epio__events_close(); /* a pool, as large as calls were concurrent */
    if (GetProcessHandleCount(GetCurrentProcess(), &count) && count > 0) {
        return (int)count;
    }
    return count_one_by_one();
}

/* ---- Files --------------------------------------------------------------- */

bool test_directory_make(char *directory, size_t len)
{
    static unsigned number;
    wchar_t parent[512], resolved[512];
    char path[512];
    DWORD parent_len = GetTempPathW(512, parent);
    if (parent_len == 0 || parent_len >= 512 || GetLongPathNameW(parent, resolved, 512) == 0 ||
        !narrow_path(resolved, path, sizeof path)) {
        return false;
    }
    for (char *at = path; *at != '\0'; at++) {
        *at = *at == '\\' ? '/' : *at;
    }
    /* A killed process may have left one with the same number. */
    for (int tries = 0; tries < 1000; tries++) {
        int written = snprintf(directory, len, "%sepio-test-%lx-%x", path,
                               (unsigned long)GetCurrentProcessId(), number++);
        if (written <= 0 || (size_t)written >= len) {
            return false;
        }
        if (directory_make(directory)) {
            return true;
        }
    }
    return false;
}

static void remove_entry(const char *directory, const WIN32_FIND_DATAW *found)
{
    char name[1024];
    char path[4096];
    if (!narrow_path(found->cFileName, name, sizeof name) || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0 ||
        snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        return;
    }
    bool is_directory = (found->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    if (is_directory && (found->dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) {
        test_directory_remove(path);
    } else if (is_directory) {
        (void)directory_remove(path);
    } else {
        wchar_t *wide = wide_path(path);
        (void)SetFileAttributesW(wide, FILE_ATTRIBUTE_NORMAL);
        (void)DeleteFileW(wide);
        free(wide);
    }
}

static HANDLE list_directory(const char *directory, WIN32_FIND_DATAW *found)
{
    char pattern[4096];
    if (snprintf(pattern, sizeof pattern, "%s/*", directory) >= (int)sizeof pattern) {
        return INVALID_HANDLE_VALUE;
    }
    wchar_t *wide = wide_path(pattern);
    HANDLE list = FindFirstFileW(wide, found);
    free(wide);
    return list;
}

void test_directory_remove(const char *directory)
{
    WIN32_FIND_DATAW found;
    HANDLE list = list_directory(directory, &found);
    if (list != INVALID_HANDLE_VALUE) {
        do {
            remove_entry(directory, &found);
        } while (FindNextFileW(list, &found));
        (void)FindClose(list);
    }
    (void)directory_remove(directory);
}

bool directory_make(const char *path)
{
    wchar_t *wide = wide_path(path);
    bool made = CreateDirectoryW(wide, NULL) != 0;
    free(wide);
    return made;
}

bool directory_remove(const char *path)
{
    wchar_t *wide = wide_path(path);
    bool removed = RemoveDirectoryW(wide) != 0;
    free(wide);
    return removed;
}

int count_entries(const char *directory)
{
    WIN32_FIND_DATAW found;
    int count = 0;
    HANDLE list = list_directory(directory, &found);
    if (list == INVALID_HANDLE_VALUE) {
        return -1;
    }
    do {
        bool is_dots = wcscmp(found.cFileName, L".") == 0 || wcscmp(found.cFileName, L"..") == 0;
        count += is_dots ? 0 : 1;
    } while (FindNextFileW(list, &found));
    (void)FindClose(list);
    return count;
}

bool current_directory(char *path, size_t len)
{
    wchar_t wide[4096];
    DWORD wide_len = GetCurrentDirectoryW(4096, wide);
    return wide_len > 0 && wide_len < 4096 && narrow_path(wide, path, len);
}

bool current_directory_set(const char *path)
{
    wchar_t wide[4096];
    return MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 4096) > 0 &&
           SetCurrentDirectoryW(wide) != 0;
}

bool paths_agree(const char *found, const char *wanted)
{
    for (; *found != '\0' && *wanted != '\0'; found++, wanted++) {
        bool are_separators =
            (*found == '/' || *found == '\\') && (*wanted == '/' || *wanted == '\\');
        if (*found != *wanted && !are_separators) {
            return false;
        }
    }
    return *found == *wanted;
}

void file_make(const char *path)
{
    intptr_t handle = handle_open(path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE);
    must(handle != NO_HANDLE, path);
    (void)handle_close(handle);
}

static bool attributes_of(const char *path, WIN32_FILE_ATTRIBUTE_DATA *attributes)
{
    wchar_t *wide = wide_path(path);
    bool found = GetFileAttributesExW(wide, GetFileExInfoStandard, attributes) != 0;
    free(wide);
    return found;
}

bool file_exists(const char *path)
{
    WIN32_FILE_ATTRIBUTE_DATA attributes;
    return attributes_of(path, &attributes);
}

int64_t file_size(const char *path)
{
    WIN32_FILE_ATTRIBUTE_DATA attributes;
    if (!attributes_of(path, &attributes)) {
        return -1;
    }
    return (int64_t)attributes.nFileSizeHigh << 32 | attributes.nFileSizeLow;
}

bool file_remove(const char *path)
{
    wchar_t *wide = wide_path(path);
    bool removed = DeleteFileW(wide) != 0;
    free(wide);
    return removed;
}

void fifo_make(const char *path)
{
    must(false, path);
}

void link_make(const char *target, const char *path)
{
    (void)target;
    must(false, path);
}

unsigned system_umask(unsigned mask)
{
    (void)mask;
    return 0;
}

/* ---- Handles ------------------------------------------------------------- */

static HANDLE handle_of(intptr_t handle)
{
    return (HANDLE)handle;
}

intptr_t handle_open(const char *path, uint32_t flags)
{
    static const DWORD how[] = {OPEN_EXISTING, OPEN_ALWAYS, CREATE_NEW};
    DWORD access = 0;
    access |= (flags & EPIO_OPEN_READ) != 0 ? GENERIC_READ : 0;
    access |= (flags & EPIO_OPEN_WRITE) != 0 ? GENERIC_WRITE : 0;
    size_t choice = (flags & EPIO_OPEN_CREATE) == 0      ? 0
                    : (flags & EPIO_OPEN_EXCLUSIVE) == 0 ? 1
                                                         : 2;
    wchar_t *wide = wide_path(path);
    HANDLE handle =
        CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                    how[choice], FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED, NULL);
    free(wide);
    return (intptr_t)handle;
}

bool handle_close(intptr_t handle)
{
    handle_unlock_all(handle);
    return CloseHandle(handle_of(handle)) != 0;
}

/* As a file or pipe: the value of one that was closed may soon be a thread's or an
 * event's. */
bool handle_is_open(intptr_t handle)
{
    DWORD flags;
    return GetHandleInformation(handle_of(handle), &flags) != 0 &&
           GetFileType(handle_of(handle)) != FILE_TYPE_UNKNOWN;
}

intptr_t handle_duplicate(intptr_t handle)
{
    HANDLE other = NULL;
    must(DuplicateHandle(GetCurrentProcess(), handle_of(handle), GetCurrentProcess(), &other, 0,
                         FALSE, DUPLICATE_SAME_ACCESS) != 0,
         "DuplicateHandle");
    return (intptr_t)other;
}

/* For handles bound to a port or not: the call completes here and posts no packet. */
typedef BOOL(WINAPI *transfer_call)(HANDLE handle, void *data, DWORD len, OVERLAPPED *overlapped);

static BOOL WINAPI call_read(HANDLE handle, void *data, DWORD len, OVERLAPPED *overlapped)
{
    return ReadFile(handle, data, len, NULL, overlapped);
}

static BOOL WINAPI call_write(HANDLE handle, void *data, DWORD len, OVERLAPPED *overlapped)
{
    return WriteFile(handle, data, len, NULL, overlapped);
}

intptr_t handle_open_directory(const char *path)
{
    wchar_t *wide = wide_path(path);
    HANDLE directory =
        CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, NULL);
    free(wide);
    must(directory != INVALID_HANDLE_VALUE, path);
    return (intptr_t)directory;
}

int64_t handle_position(intptr_t handle)
{
    LARGE_INTEGER none = {.QuadPart = 0};
    LARGE_INTEGER position;
    return SetFilePointerEx(handle_of(handle), none, &position, FILE_CURRENT)
               ? (int64_t)position.QuadPart
               : -1;
}

bool handle_is_inherited(intptr_t handle)
{
    DWORD flags = 0;
    return GetHandleInformation(handle_of(handle), &flags) && (flags & HANDLE_FLAG_INHERIT) != 0;
}

bool handle_is_private_file(intptr_t handle)
{
    return GetFileType(handle_of(handle)) == FILE_TYPE_DISK;
}

bool handle_is_beside(intptr_t handle, const char *path)
{
    BY_HANDLE_FILE_INFORMATION one;
    BY_HANDLE_FILE_INFORMATION other;
    intptr_t directory = handle_open_directory(path);
    bool known = GetFileInformationByHandle(handle_of(handle), &one) != 0 &&
                 GetFileInformationByHandle(handle_of(directory), &other) != 0;
    (void)handle_close(directory);
    return known && one.dwVolumeSerialNumber == other.dwVolumeSerialNumber;
}

bool handle_is_direct(intptr_t handle)
{
    (void)handle;
    return true;
}

bool handle_is_ready(intptr_t handle, int milliseconds)
{
    return WaitForSingleObject(handle_of(handle), (DWORD)milliseconds) == WAIT_OBJECT_0;
}

void handle_drop_cache(intptr_t handle)
{
    (void)FlushFileBuffers(handle_of(handle));
}

/* A range of locks, as data of a call. */
typedef struct lock_call {
    DWORD flags;
    DWORD len_low;
    DWORD len_high;
} lock_call;

static BOOL WINAPI call_unlock(HANDLE handle, void *data, DWORD len, OVERLAPPED *overlapped)
{
    const lock_call *call = data;
    (void)len;
    return UnlockFileEx(handle, 0, call->len_low, call->len_high, overlapped);
}

static BOOL WINAPI call_lock(HANDLE handle, void *data, DWORD len, OVERLAPPED *overlapped)
{
    const lock_call *call = data;
    (void)len;
    return LockFileEx(handle, call->flags, 0, call->len_low, call->len_high, overlapped);
}

static int64_t transfer(intptr_t handle, transfer_call call, void *data, size_t len,
                        uint64_t offset)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    OVERLAPPED overlapped = {0};
    DWORD done = 0;
    must(event != NULL, "CreateEvent");
    overlapped.hEvent = (HANDLE)((intptr_t)event | 1); /* no packet */
    overlapped.Offset = (DWORD)offset;
    overlapped.OffsetHigh = (DWORD)(offset >> 32);
    BOOL good = call(handle_of(handle), data, (DWORD)len, &overlapped);
    if (good || GetLastError() == ERROR_IO_PENDING) {
        good = GetOverlappedResult(handle_of(handle), &overlapped, &done, TRUE);
    }
    DWORD error = good ? 0 : GetLastError();
    (void)CloseHandle(event);
    SetLastError(error);
    return good ? (int64_t)done : -1;
}

int64_t handle_read_at(intptr_t handle, void *data, size_t len, uint64_t offset)
{
    int64_t got = transfer(handle, call_read, data, len, offset);
    return got < 0 && GetLastError() == ERROR_HANDLE_EOF ? 0 : got;
}

int64_t handle_write_at(intptr_t handle, const void *data, size_t len, uint64_t offset)
{
    return transfer(handle, call_write, (void *)(uintptr_t)data, len, offset);
}

int64_t handle_size(intptr_t handle)
{
    LARGE_INTEGER size;
    return GetFileSizeEx(handle_of(handle), &size) ? (int64_t)size.QuadPart : -1;
}

static bool call_range(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    uint64_t whole = len != LOCK_TO_THE_END ? len : (uint64_t)INT64_MAX - start;
    lock_call range = {.len_low = (DWORD)whole, .len_high = (DWORD)(whole >> 32)};
    if (mode == HANDLE_UNLOCK) {
        return transfer(handle, call_unlock, &range, 0, start) >= 0;
    }
    range.flags = LOCKFILE_FAIL_IMMEDIATELY;
    range.flags |= mode == HANDLE_LOCK_EXCLUSIVE ? LOCKFILE_EXCLUSIVE_LOCK : 0;
    return transfer(handle, call_lock, &range, 0, start) >= 0;
}

/* The locked ranges, for handle_unlock_all: UnlockFileEx needs each of them. */
static struct {
    intptr_t handle; /* 0: a free entry */
    uint64_t start;
    uint64_t len;
} taken[64];

static SRWLOCK taken_lock = SRWLOCK_INIT;

static void note_range(intptr_t handle, uint64_t start, uint64_t len)
{
    size_t i = 0;
    while (i < 64 && taken[i].handle != 0) {
        i++;
    }
    must(i < 64, "noting a range");
    taken[i].handle = handle;
    taken[i].start = start;
    taken[i].len = len;
}

static void forget_range(intptr_t handle, uint64_t start, uint64_t len)
{
    for (size_t i = 0; i < 64; i++) {
        if (taken[i].handle == handle && taken[i].start == start && taken[i].len == len) {
            taken[i].handle = 0;
            return;
        }
    }
}

bool handle_lock_range(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    AcquireSRWLockExclusive(&taken_lock);
    bool good = call_range(handle, start, len, mode);
    if (mode == HANDLE_UNLOCK) {
        good = good || GetLastError() == ERROR_NOT_LOCKED;
        forget_range(handle, start, len);
    } else if (good) {
        note_range(handle, start, len);
    }
    ReleaseSRWLockExclusive(&taken_lock);
    return good;
}

bool handle_lock_range_of_process(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode)
{
    return handle_lock_range(handle, start, len, mode);
}

void handle_unlock_all(intptr_t handle)
{
    AcquireSRWLockExclusive(&taken_lock);
    for (size_t i = 0; i < 64; i++) {
        if (taken[i].handle == handle) {
            (void)call_range(handle, taken[i].start, taken[i].len, HANDLE_UNLOCK);
            taken[i].handle = 0;
        }
    }
    ReleaseSRWLockExclusive(&taken_lock);
}

handle_lock handle_range_is_locked(intptr_t handle, uint64_t start, uint64_t len)
{
    static const handle_lock tries[] = {HANDLE_LOCK_EXCLUSIVE, HANDLE_LOCK_SHARED};
    static const handle_lock seen[] = {HANDLE_UNLOCK, HANDLE_LOCK_SHARED, HANDLE_LOCK_EXCLUSIVE};
    size_t failed = 0;
    while (failed < 2 && !handle_lock_range(handle, start, len, tries[failed])) {
        failed++;
    }
    if (failed < 2) {
        (void)handle_lock_range(handle, start, len, HANDLE_UNLOCK);
    }
    return seen[failed];
}

/* ---- Memory of several processes ------------------------------------------ */

void *shared_memory_map(const char *path, size_t len)
{
    wchar_t *wide = wide_path(path);
    HANDLE file = CreateFileW(wide, GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    free(wide);
    must(file != INVALID_HANDLE_VALUE, path);
    HANDLE section = CreateFileMappingW(file, NULL, PAGE_READWRITE, 0, (DWORD)len, NULL);
    must(section != NULL, "CreateFileMapping");
    void *memory = MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, len);
    must(memory != NULL, "MapViewOfFile");
    (void)CloseHandle(section);
    (void)CloseHandle(file);
    return memory;
}

void shared_memory_unmap(void *memory, size_t len)
{
    (void)len;
    must(UnmapViewOfFile(memory) != 0, "UnmapViewOfFile");
}

/* ---- Pipes --------------------------------------------------------------- */

/* Named, as anonymous pipes cannot be overlapped. */
static void make_pipe(intptr_t ends[2], DWORD first_access, DWORD second_access)
{
    static volatile LONG number;
    wchar_t name[64];
    (void)swprintf(name, 64, L"\\\\.\\pipe\\epio-test-%lx-%lx",
                   (unsigned long)GetCurrentProcessId(),
                   (unsigned long)InterlockedIncrement(&number));
    HANDLE first =
        CreateNamedPipeW(name, first_access | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                         PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT, 1, 65536, 65536, 0, NULL);
    must(first != INVALID_HANDLE_VALUE, "CreateNamedPipe");
    HANDLE second =
        CreateFileW(name, second_access, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    must(second != INVALID_HANDLE_VALUE, "opening a pipe");
    ends[0] = (intptr_t)first;
    ends[1] = (intptr_t)second;
}

void pipe_make(intptr_t ends[2])
{
    make_pipe(ends, PIPE_ACCESS_INBOUND, GENERIC_WRITE | FILE_READ_ATTRIBUTES);
}

/* Not overlapped, for the C library. */
void pipe_make_plain(intptr_t ends[2])
{
    HANDLE made[2];
    must(CreatePipe(&made[0], &made[1], NULL, 65536) != 0, "CreatePipe");
    ends[0] = (intptr_t)made[0];
    ends[1] = (intptr_t)made[1];
}

void pipe_make_duplex(intptr_t ends[2])
{
    make_pipe(ends, PIPE_ACCESS_DUPLEX, GENERIC_READ | GENERIC_WRITE);
}

int64_t pipe_read(intptr_t handle, void *data, size_t len)
{
    int64_t got = transfer(handle, call_read, data, len, 0);
    bool closed = GetLastError() == ERROR_BROKEN_PIPE || GetLastError() == ERROR_PIPE_NOT_CONNECTED;
    return got < 0 && closed ? 0 : got;
}

int64_t pipe_write(intptr_t handle, const void *data, size_t len)
{
    return transfer(handle, call_write, (void *)(uintptr_t)data, len, 0);
}

int64_t pipe_read_some(intptr_t handle, void *data, size_t len)
{
    DWORD there = 0;
    if (!PeekNamedPipe(handle_of(handle), NULL, 0, NULL, &there, NULL) || there == 0) {
        return 0;
    }
    return pipe_read(handle, data, len < there ? len : there);
}

/* ---- Other processes ----------------------------------------------------- */

void process_set_program(const char *program)
{
    (void)program; /* the system knows */
}

/* Quoted as the C library of the new process parses it. */
static void append_word(char *line, size_t size, const char *word)
{
    size_t at = strlen(line);
    size_t slashes = 0;
    must(at + 2 * strlen(word) + 4 < size, "a command line of that length");
    line[at++] = ' ';
    line[at++] = '"';
    for (; *word != '\0'; word++) {
        slashes = *word == '\\' ? slashes + 1 : 0;
        if (*word == '"') {
            line[at++] = '\\';
        }
        line[at++] = *word;
    }
    while (slashes-- > 0) {
        line[at++] = '\\';
    }
    line[at++] = '"';
    line[at] = '\0';
}

/* An inheritable duplicate; of this process's own stream where there is none. */
static HANDLE inheritable(intptr_t stream, DWORD standard)
{
    HANDLE from = stream != NO_HANDLE ? handle_of(stream) : GetStdHandle(standard);
    HANDLE copy = NULL;
    (void)DuplicateHandle(GetCurrentProcess(), from, GetCurrentProcess(), &copy, 0, TRUE,
                          DUPLICATE_SAME_ACCESS);
    return copy;
}

void process_start(test_process *one, const char *const words[], size_t count,
                   const intptr_t streams[3])
{
    static const DWORD standard[3] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    wchar_t program[4096], wide_line[8192];
    char line[8192] = "test";
    STARTUPINFOW start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION made;
    HANDLE copies[3];
    (void)fflush(NULL);
    DWORD len = GetModuleFileNameW(NULL, program, 4096);
    must(len > 0 && len < 4096, "GetModuleFileName");
    for (size_t i = 0; i < count; i++) {
        append_word(line, sizeof line, words[i]);
    }
    must(MultiByteToWideChar(CP_UTF8, 0, line, -1, wide_line, 8192) > 0, line);
    for (size_t i = 0; i < 3; i++) {
        copies[i] = inheritable(streams[i], standard[i]);
    }
    start.hStdInput = copies[0];
    start.hStdOutput = copies[1];
    start.hStdError = copies[2];
    BOOL started = FALSE;
    for (int tries = 0; !started && tries < MOST_TRIES; tries++) {
        if (tries > 0) {
            Sleep(10); /* Wine's server now and then has an ERROR_INTERNAL_ERROR of its own */
        }
        started =
            CreateProcessW(program, wide_line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &made);
    }
    must(started != FALSE, "CreateProcess");
    (void)CloseHandle(made.hThread);
    for (size_t i = 0; i < 3; i++) {
        if (copies[i] != NULL) {
            (void)CloseHandle(copies[i]);
        }
    }
    one->system = (intptr_t)made.hProcess;
}

int process_wait(test_process *one)
{
    HANDLE process = handle_of(one->system);
    DWORD code = 0;
    must(WaitForSingleObject(process, INFINITE) == WAIT_OBJECT_0, "waiting for a process");
    must(GetExitCodeProcess(process, &code) != 0, "GetExitCodeProcess");
    (void)CloseHandle(process);
    if (code < 256) {
        return (int)code;
    }
    if (code == CODE_ABORTED) {
        return ENDED_BY_ABORT;
    }
    return code == CODE_KILLED ? ENDED_BY_KILL : (int)(code & 0x7FFFFFFF) | 0x1000;
}

void process_kill(test_process *one)
{
    HANDLE process = handle_of(one->system);
    must(TerminateProcess(process, CODE_KILLED) != 0 ||
             WaitForSingleObject(process, 0) == WAIT_OBJECT_0, /* it has ended by itself */
         "TerminateProcess");
}

static void end_by_abort(int signal_number)
{
    (void)signal_number;
    (void)fflush(stderr); /* like abort */
    (void)TerminateProcess(GetCurrentProcess(), CODE_ABORTED);
}

void process_begin(void)
{
    show_no_windows();
    (void)signal(SIGABRT, end_by_abort);
}

intptr_t process_input(void)
{
    return (intptr_t)GetStdHandle(STD_INPUT_HANDLE);
}

intptr_t process_output(void)
{
    return (intptr_t)GetStdHandle(STD_OUTPUT_HANDLE);
}
