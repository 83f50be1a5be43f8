/* Calls in which a worker blocks: the events that they end with, and how another thread
 * interrupts one. */
#include "atomics.h"
#include "win32/win32.h"

/* ---- Events ---- */

/* Spare events: creating and closing one would triple the cost of a call. More are in use at once
 * only if more threads wait. */
#define SPARE_EVENTS 32

static uintptr_t spare_events[SPARE_EVENTS]; /* atomic; 0: none */

HANDLE epio__event_take(void)
{
    for (size_t i = 0; i < SPARE_EVENTS; i++) {
        uintptr_t event = epio__load_relaxed_pointer(&spare_events[i]);
        if (event != 0 && epio__compare_exchange_pointer(&spare_events[i], &event, 0)) {
            return (HANDLE)event;
        }
    }
    return CreateEventW(NULL, TRUE, FALSE, NULL);
}

void epio__event_return(HANDLE event)
{
    for (size_t i = 0; i < SPARE_EVENTS; i++) {
        uintptr_t none = 0;
        if (epio__load_relaxed_pointer(&spare_events[i]) == 0 &&
            epio__compare_exchange_pointer(&spare_events[i], &none, (uintptr_t)event)) {
            return;
        }
    }
    (void)CloseHandle(event);
}

void epio__events_close(void)
{
    for (size_t i = 0; i < SPARE_EVENTS; i++) {
        uintptr_t event = epio__exchange_pointer(&spare_events[i], 0);
        if (event != 0) {
            (void)CloseHandle((HANDLE)event);
        }
    }
}

/* ---- Transfers on streams, which wait for the other end ---- */

/* A thread that is about to block can be interrupted only once it is inside the call: so the
 * attempt is repeated. */
#define AGAIN_MS 5

static SRWLOCK calls_lock = SRWLOCK_INIT;
static epio__blocking_call *calls;

static void interrupt(epio__blocking_call *call);

/* Under the lock the thread cannot start another call, which would be cancelled instead. */
static VOID CALLBACK interrupt_again(PTP_CALLBACK_INSTANCE instance, PVOID opaque, PTP_TIMER timer)
{
    epio__blocking_call *call = opaque;
    (void)instance;
    (void)timer;
    AcquireSRWLockExclusive(&calls_lock);
    if (call->under_way) {
        interrupt(call);
    }
    ReleaseSRWLockExclusive(&calls_lock);
}

static void start_timer(epio__blocking_call *call, uint64_t deadline)
{
    if (call->timer == NULL) {
        call->timer = CreateThreadpoolTimer(interrupt_again, call, NULL);
    }
    if (call->timer != NULL) {
        LARGE_INTEGER due = epio__time_until(deadline);
        FILETIME time;
        time.dwLowDateTime = due.LowPart;
        time.dwHighDateTime = (DWORD)due.HighPart;
        SetThreadpoolTimer(call->timer, &time, AGAIN_MS, 0);
    }
}

static void interrupt(epio__blocking_call *call)
{
    bool first = !call->interrupted;
    call->interrupted = true;
    if (call->overlapped != NULL) {
        (void)epio__win32.cancel(call->handle, call->overlapped);
    } else if (!epio__win32.cancel_synchronous(call->thread) && first) {
        start_timer(call, epio__monotonic_time());
    }
}

void epio__blocking_begin(epio__blocking_call *call, epio_op *op, HANDLE handle,
                          OVERLAPPED *overlapped, uint64_t deadline)
{
    *call = (epio__blocking_call){.op = op,
                                  .handle = handle,
                                  .overlapped = overlapped,
                                  .thread = GetCurrentThreadId(),
                                  .under_way = true};
    AcquireSRWLockExclusive(&calls_lock);
    call->interrupted = (op->notes & EPIO__NOTE_GIVEN_UP) != 0;
    call->next = calls;
    calls = call;
    if (deadline != 0) {
        start_timer(call, deadline);
    }
    ReleaseSRWLockExclusive(&calls_lock);
}

void epio__blocking_end(epio__blocking_call *call)
{
    AcquireSRWLockExclusive(&calls_lock);
    epio__blocking_call **at = &calls;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    call->under_way = false;
    ReleaseSRWLockExclusive(&calls_lock);
    if (call->timer != NULL) {
        SetThreadpoolTimer(call->timer, NULL, 0, 0);
        WaitForThreadpoolTimerCallbacks(call->timer, TRUE);
        CloseThreadpoolTimer(call->timer);
    }
}

bool epio__blocking_is_interrupted(epio__blocking_call *call)
{
    AcquireSRWLockExclusive(&calls_lock);
    bool interrupted = call->interrupted;
    if (interrupted && call->overlapped != NULL) {
        (void)epio__win32.cancel(call->handle, call->overlapped);
    }
    ReleaseSRWLockExclusive(&calls_lock);
    return interrupted;
}

void epio__blocking_interrupt(epio_op *op)
{
    AcquireSRWLockExclusive(&calls_lock);
    epio__blocking_call *call = calls;
    while (call != NULL && call->op != op) {
        call = call->next;
    }
    if (call != NULL) {
        interrupt(call);
    } else {
        op->notes |= EPIO__NOTE_GIVEN_UP; /* tells the thread to end */
    }
    ReleaseSRWLockExclusive(&calls_lock);
}
