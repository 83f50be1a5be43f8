/* See compiler.h: for compilers without a built-in. */
#include "compiler.h"

#if !defined(EPIO__HAS_THREAD_POINTER)

#include "atomics.h"

/* Numbers, not the address of the thread's memory, which the next thread may get. */
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

typedef int epio__not_empty; /* ISO C requires a declaration in each file */

#endif
