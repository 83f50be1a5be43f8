/* Threads, mutexes and conditions, by slim reader/writer locks. */
#include "atomics.h"
#include "win32/win32.h"

#include <stdlib.h>

_Static_assert(sizeof(SRWLOCK) <= sizeof(epio__mutex), "a mutex fits");
_Static_assert(sizeof(CONDITION_VARIABLE) <= sizeof(epio__condition), "a condition fits");
_Static_assert(sizeof(HANDLE) <= sizeof(epio__thread), "a thread fits");

static SRWLOCK *mutex_of(epio__mutex *mutex)
{
    return (SRWLOCK *)(void *)mutex->space;
}

static CONDITION_VARIABLE *condition_of(epio__condition *condition)
{
    return (CONDITION_VARIABLE *)(void *)condition->space;
}

void epio__mutex_init(epio__mutex *mutex)
{
    InitializeSRWLock(mutex_of(mutex));
}

void epio__mutex_destroy(epio__mutex *mutex)
{
    (void)mutex; /* it holds no resources */
}

void epio__mutex_lock(epio__mutex *mutex)
{
    AcquireSRWLockExclusive(mutex_of(mutex));
}

void epio__mutex_unlock(epio__mutex *mutex)
{
    ReleaseSRWLockExclusive(mutex_of(mutex));
}

epio__mutex *epio__process_mutex(void)
{
    static epio__mutex mutex; /* all zero is SRWLOCK_INIT */
    return &mutex;
}

void epio__condition_init(epio__condition *condition)
{
    InitializeConditionVariable(condition_of(condition));
}

void epio__condition_destroy(epio__condition *condition)
{
    (void)condition;
}

void epio__condition_wait(epio__condition *condition, epio__mutex *mutex)
{
    (void)SleepConditionVariableSRW(condition_of(condition), mutex_of(mutex), INFINITE, 0);
}

bool epio__condition_wait_until(epio__condition *condition, epio__mutex *mutex, uint64_t deadline)
{
    DWORD milliseconds = epio__milliseconds_until(deadline);
    (void)SleepConditionVariableSRW(condition_of(condition), mutex_of(mutex), milliseconds, 0);
    return deadline == EPIO_FOREVER || epio__monotonic_time() < deadline;
}

void epio__condition_signal(epio__condition *condition)
{
    WakeConditionVariable(condition_of(condition));
}

void epio__condition_broadcast(epio__condition *condition)
{
    WakeAllConditionVariable(condition_of(condition));
}

typedef struct start_note {
    void (*run)(void *argument);
    void *argument;
} start_note;

/* For debuggers; looked up by name, as the function came with Windows 10, version 1607. */
static void name_this_thread(void)
{
    typedef HRESULT(WINAPI * describe_function)(HANDLE, PCWSTR);
    typedef void (*any_function)(void);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    describe_function describe =
        kernel != NULL
            ? (describe_function)(any_function)GetProcAddress(kernel, "SetThreadDescription")
            : NULL;
    if (describe != NULL) {
        (void)describe(GetCurrentThread(), L"epio");
    }
}

static DWORD WINAPI run_thread(void *argument)
{
    start_note note = *(start_note *)argument;
    free(argument);
    name_this_thread();
    note.run(note.argument);
    return 0;
}

static HANDLE *handle_of(epio__thread *thread)
{
    return (HANDLE *)(void *)thread->space;
}

int epio__thread_start(epio__thread *thread, void (*run)(void *argument), void *argument)
{
    start_note *note = malloc(sizeof *note);
    if (note == NULL) {
        return EPIO_ENOMEM;
    }
    note->run = run;
    note->argument = argument;
    *handle_of(thread) = CreateThread(NULL, 0, run_thread, note, 0, NULL);
    if (*handle_of(thread) == NULL) {
        free(note);
        return EPIO_ENOMEM;
    }
    return 0;
}

void epio__thread_give_way(uint32_t nice)
{
    (void)SetThreadPriority(GetCurrentThread(),
                            nice < 10 ? THREAD_PRIORITY_BELOW_NORMAL : THREAD_PRIORITY_LOWEST);
}

void epio__thread_join(epio__thread *thread)
{
    (void)WaitForSingleObject(*handle_of(thread), INFINITE);
    (void)CloseHandle(*handle_of(thread));
}

void epio__thread_detach(epio__thread *thread)
{
    (void)CloseHandle(*handle_of(thread));
}

/* A thread-local slot that numbers the threads; 0: there is none. */
static DWORD number_slot(void)
{
    static uint32_t known; /* atomic; the slot plus 1 */
    uint32_t slot = epio__load_u32(&known);
    if (slot == 0) {
        DWORD made = TlsAlloc();
        if (made == TLS_OUT_OF_INDEXES) {
            return 0;
        }
        if (epio__compare_exchange_u32(&known, &slot, made + 1)) {
            slot = made + 1;
        } else {
            (void)TlsFree(made); /* another thread was first */
        }
    }
    return slot;
}

/* Numbers, not an address, which a later thread may get again. By the system's own call: a
 * thread-local variable of mingw takes a mutex. */
uintptr_t epio__thread_self(void)
{
    static size_t latest = EPIO__THREAD_NONE_BELOW;
    DWORD slot = number_slot();
    uintptr_t number = slot != 0 ? (uintptr_t)TlsGetValue(slot - 1) : 0;
    if (number == 0) {
        number = epio__add_size(&latest, 1);
        if (slot == 0 || !TlsSetValue(slot - 1, (void *)number)) {
            return (uintptr_t)NtCurrentTeb(); /* no memory: the next best */
        }
    }
    return number;
}

void epio__thread_pause(void)
{
    YieldProcessor();
}

uint32_t epio__processor_count(void)
{
    DWORD count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count > 0 ? count : 1;
}

void epio__thread_yield(void)
{
    if (!SwitchToThread()) {
        Sleep(0);
    }
}

uint32_t epio__process_generation(void)
{
    return 0; /* Windows has no fork */
}

/* Thread identities are not reused here, and the system's notification of an end also comes for
 * fibers. */
void epio__thread_watch_end(void)
{
}

void epio__thread_forget_ends(void)
{
}

/* Of the fiber, if the thread runs one. */
bool epio__thread_stack(uintptr_t *low, uintptr_t *high)
{
    ULONG_PTR lowest;
    ULONG_PTR highest;
    GetCurrentThreadStackLimits(&lowest, &highest);
    *low = lowest;
    *high = highest;
    return true;
}

uint64_t epio__process_id(void)
{
    return GetCurrentProcessId();
}
