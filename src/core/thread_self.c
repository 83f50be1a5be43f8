/* See compiler.h: for compilers that do not say by themselves. */
#include "compiler.h"

#if !defined(EPIO__HAS_THREAD_POINTER)

static _Thread_local char thread_mark;

uintptr_t epio__thread_self(void)
{
    return (uintptr_t)&thread_mark;
}

#else

typedef int epio__not_empty; /* as ISO C wants of a file */

#endif
