/* Clocks and waiting for them. */
#include "posix/posix.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)

struct timespec epio__timespec(uint64_t nanoseconds)
{
    /* A 32-bit time_t holds no more than 68 years. */
    if (sizeof(time_t) == 4 && nanoseconds / SECOND > INT32_MAX) {
        nanoseconds = INT32_MAX * SECOND;
    }
    struct timespec time = {.tv_sec = (time_t)(nanoseconds / SECOND),
                            .tv_nsec = (int32_t)(nanoseconds % SECOND)};
    return time;
}

uint64_t epio__monotonic_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

int64_t epio__current_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * (int64_t)SECOND + (int64_t)now.tv_nsec;
}

void epio__sleep_until(uint64_t deadline)
{
    for (;;) {
        uint64_t now = epio__monotonic_time();
        if (now >= deadline) {
            return;
        }
        struct timespec time = epio__timespec(deadline - now);
        (void)nanosleep(&time, NULL);
    }
}

int epio__milliseconds_until(uint64_t deadline)
{
    if (deadline == EPIO_FOREVER) {
        return -1;
    }
    uint64_t now = epio__monotonic_time();
    uint64_t left = deadline > now ? deadline - now : 0;
    /* Rounded up: a wait that ends early would have to be started again. */
    uint64_t milliseconds = left / MILLISECOND + (left % MILLISECOND != 0 ? 1 : 0);
    return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}
