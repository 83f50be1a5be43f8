/* See compiler.h: for compilers that do not say by themselves. */
#include "compiler.h"

#if !defined(EPIO__HAS_THREAD_POINTER)

#include "atomics.h"

/* Numbers, and not an address in the thread's memory, which the next thread may get. */
uintptr_t epio__thread_self(void)
{
    static size_t latest = EPIO__THREAD_NONE_BELOW;
    static _Thread_local uintptr_t number;
    if (number == 0) {
        number = epio__add_size(&latest, 1);
    }
    return number;
}

#else

typedef int epio__not_empty; /* as ISO C wants of a file */

#endif
