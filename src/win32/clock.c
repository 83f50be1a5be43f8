/* Clocks and waiting for them. */
#include "win32/win32.h"

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)

/* FILETIME counts 100 ns since 1601. */
#define UNIX_EPOCH INT64_C(116444736000000000)

/* Windows 10, version 1803. */
#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 0x00000002
#endif

uint64_t epio__monotonic_time(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    (void)QueryPerformanceFrequency(&frequency); /* neither fails since Windows XP */
    (void)QueryPerformanceCounter(&now);
    uint64_t ticks = (uint64_t)now.QuadPart;
    uint64_t rate = (uint64_t)frequency.QuadPart;
    /* In two parts: the product of all would overflow after some years. */
    return ticks / rate * SECOND + ticks % rate * SECOND / rate;
}

int64_t epio__current_time(void)
{
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    int64_t ticks = (int64_t)((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime);
    return (ticks - UNIX_EPOCH) * 100;
}

DWORD epio__milliseconds_until(uint64_t deadline)
{
    if (deadline == EPIO_FOREVER) {
        return INFINITE;
    }
    uint64_t now = epio__monotonic_time();
    uint64_t left = deadline > now ? deadline - now : 0;
    /* Rounded up: a wait that ends early would have to be started again. */
    uint64_t milliseconds = left / MILLISECOND + (left % MILLISECOND != 0 ? 1 : 0);
    return milliseconds >= INFINITE ? INFINITE - 1 : (DWORD)milliseconds;
}

HANDLE epio__timer_create(void)
{
    HANDLE timer =
        CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    return timer != NULL ? timer : CreateWaitableTimerExW(NULL, NULL, 0, TIMER_ALL_ACCESS);
}

bool epio__timer_set(HANDLE timer, uint64_t deadline)
{
    LARGE_INTEGER due = epio__time_until(deadline);
    return SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE) != FALSE;
}

LARGE_INTEGER epio__time_until(uint64_t deadline)
{
    uint64_t now = epio__monotonic_time();
    uint64_t left = deadline > now ? (deadline - now) / 100 + 1 : 1;
    return (LARGE_INTEGER){.QuadPart = -(int64_t)left};
}

void epio__sleep_until(uint64_t deadline)
{
    HANDLE timer = epio__timer_create();
    while (epio__monotonic_time() < deadline) {
        if (timer != NULL && epio__timer_set(timer, deadline)) {
            (void)WaitForSingleObject(timer, INFINITE);
        } else {
            Sleep(epio__milliseconds_until(deadline));
        }
    }
    if (timer != NULL) {
        (void)CloseHandle(timer);
    }
}
