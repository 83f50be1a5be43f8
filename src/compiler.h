/* What is asked of the compiler beyond C11. */
#ifndef EPIO_COMPILER_H
#define EPIO_COMPILER_H

#include <stdint.h>

#if defined(__ELF__) && defined(__has_builtin)
#if __has_builtin(__builtin_thread_pointer)
#define EPIO__HAS_THREAD_POINTER 1
#endif
#endif

/* An address that no other living thread has; never 0. Every op asks twice. */
#if defined(EPIO__HAS_THREAD_POINTER)

static inline uintptr_t epio__thread_self(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

#else

uintptr_t epio__thread_self(void);

#endif

/* A function that stays one, so that its callers need not save what only it uses. */
#if defined(__has_attribute)
#if __has_attribute(noinline)
#define EPIO__NOINLINE __attribute__((noinline))
#endif
#endif
#if !defined(EPIO__NOINLINE)
#define EPIO__NOINLINE
#endif

#endif
