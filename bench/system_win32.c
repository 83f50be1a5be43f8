/* system.h for Windows.
 *
 * Blocking calls need handles that are not overlapped, and on such a handle the kernel allows one
 * call at a time: each thread opens the file again. */
#define WIN32_LEAN_AND_MEAN
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00

#include "system.h"

#include <epio/epio.h>

#include <io.h>
#include <process.h>
#include <stdlib.h>
#include <windows.h>

#include <psapi.h> /* needs windows.h before it */

bool bench_is_terminal(FILE *stream)
{
    return _isatty(_fileno(stream)) != 0;
}

/* In units of 100 ns. Windows counts in ticks of its clock, about 15 ms: the shorter a turn, the
 * less exact. */
static uint64_t count_of(FILETIME time)
{
    return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

uint64_t bench_cpu_time(void)
{
    FILETIME created, exited, kernel, user;

    if (!GetProcessTimes(GetCurrentProcess(), &created, &exited, &kernel, &user)) {
        return 0;
    }
    return (count_of(kernel) + count_of(user)) * 100u;
}

uint64_t bench_peak_memory(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};

    return K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)
               ? counters.PeakWorkingSetSize
               : 0;
}

/* The kernel time includes the idle time. */
bool bench_others_time(uint64_t *others, uint64_t *all)
{
    FILETIME idle, kernel, user;
    uint64_t busy, own = bench_cpu_time();

    if (!GetSystemTimes(&idle, &kernel, &user)) {
        return false;
    }
    *all = (count_of(kernel) + count_of(user)) * 100u;
    busy = *all - count_of(idle) * 100u;
    *others = busy > own ? busy - own : 0;
    return true;
}

void bench_machine_name(char *name, size_t size)
{
    const char *processor = getenv("PROCESSOR_IDENTIFIER");

    snprintf(name, size, "Windows, %lu processors%s%s%s",
             (unsigned long)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS),
             processor != NULL ? " (" : "", processor != NULL ? processor : "",
             processor != NULL ? ")" : "");
}

static int last_error(void)
{
    return epio_error_from_os((int32_t)GetLastError());
}

/* ---- Files --------------------------------------------------------------- */

int bench_handle_duplicate(intptr_t handle, bench_purpose purpose, bool direct, intptr_t *duplicate)
{
    DWORD flags = (purpose == BENCH_FOR_EPIO ? FILE_FLAG_OVERLAPPED : 0) |
                  (direct ? FILE_FLAG_NO_BUFFERING : 0);
    HANDLE opened = ReOpenFile((HANDLE)handle, GENERIC_READ | GENERIC_WRITE,
                               FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, flags);

    *duplicate = (intptr_t)opened;
    return opened == INVALID_HANDLE_VALUE ? last_error() : 0;
}

void bench_handle_close(intptr_t handle)
{
    if ((HANDLE)handle != INVALID_HANDLE_VALUE) {
        CloseHandle((HANDLE)handle);
    }
}

static OVERLAPPED place_of(uint64_t offset)
{
    OVERLAPPED place = {0};

    place.Offset = (DWORD)offset;
    place.OffsetHigh = (DWORD)(offset >> 32);
    return place;
}

static int64_t result_of(BOOL succeeded, DWORD bytes)
{
    return succeeded ? (int64_t)bytes : (int64_t)last_error();
}

int64_t bench_read_at(intptr_t handle, void *buffer, size_t size, uint64_t offset)
{
    OVERLAPPED place = place_of(offset);
    DWORD got = 0;
    BOOL succeeded = ReadFile((HANDLE)handle, buffer, (DWORD)size, &got, &place);

    return result_of(succeeded, got);
}

int64_t bench_write_at(intptr_t handle, const void *buffer, size_t size, uint64_t offset)
{
    OVERLAPPED place = place_of(offset);
    DWORD put = 0;
    BOOL succeeded = WriteFile((HANDLE)handle, buffer, (DWORD)size, &put, &place);

    return result_of(succeeded, put);
}

/* Windows has no read that fails instead of waiting for the disk. */
int64_t bench_read_cached_at(intptr_t handle, void *buffer, size_t size, uint64_t offset)
{
    (void)handle;
    (void)buffer;
    (void)size;
    (void)offset;
    return EPIO_ENOTSUP;
}

int bench_flush(intptr_t handle)
{
    return FlushFileBuffers((HANDLE)handle) ? 0 : last_error();
}

int bench_empty_caches(void)
{
    return EPIO_ENOTSUP;
}

/* ---- Threads ------------------------------------------------------------- */

static unsigned __stdcall begin_thread(void *argument)
{
    const bench_thread *thread = argument;

    thread->function(thread->argument);
    return 0;
}

bool bench_thread_start(bench_thread *thread)
{
    thread->system = (intptr_t)_beginthreadex(NULL, 0, begin_thread, thread, 0, NULL);
    return thread->system != 0;
}

void bench_thread_join(bench_thread *thread)
{
    WaitForSingleObject((HANDLE)thread->system, INFINITE);
    CloseHandle((HANDLE)thread->system);
}

void bench_thread_yield(void)
{
    SwitchToThread();
}

/* ---- Other processes ----------------------------------------------------- */

void *bench_shared_memory(size_t bytes)
{
    return calloc(1, bytes);
}

void bench_shared_memory_free(void *memory, size_t bytes)
{
    (void)bytes;
    free(memory);
}

bool bench_child_run(void (*function)(void *argument), void *argument)
{
    function(argument);
    return true;
}

/* ---- Other programs ------------------------------------------------------ */

const char *bench_busy_command(void)
{
    return NULL;
}

bool bench_find_command(const char *tree, char *command, size_t size)
{
    (void)tree;
    (void)command;
    (void)size;
    return false;
}

bool bench_tree_command(const char *what, const char *path, const char *to, char *command,
                        size_t size)
{
    (void)what;
    (void)path;
    (void)to;
    (void)command;
    (void)size;
    return false;
}

FILE *bench_command_open(const char *command)
{
    return _popen(command, "w");
}

int bench_command_close(FILE *stream)
{
    return _pclose(stream);
}
