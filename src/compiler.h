/* What is asked of the compiler beyond C11. */
#ifndef EPIO_COMPILER_H
#define EPIO_COMPILER_H

#include <stdint.h>

/* __has_builtin says yes to this one for targets that then refuse it. */
#if defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__))
#if defined(__clang__)
#if __clang_major__ >= 14
#define EPIO__HAS_THREAD_POINTER 1
#endif
#elif defined(__GNUC__)
#if __GNUC__ >= 11
#define EPIO__HAS_THREAD_POINTER 1
#endif
#endif
#endif

/* Below this there is no thread. */
#define EPIO__THREAD_NONE_BELOW 16u

/* What no other living thread has. Every op asks twice. Where it is an address in the thread's
 * memory, a later thread may get it again: see epio__thread_watch_end. */
#if defined(EPIO__HAS_THREAD_POINTER)

static inline uintptr_t epio__thread_self(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

#else

uintptr_t epio__thread_self(void);

#endif

/* An address in the calling function's part of the stack, above its variables. */
#if defined(_MSC_VER) && !defined(__clang__)
void *_AddressOfReturnAddress(void);
#pragma intrinsic(_AddressOfReturnAddress)
#define EPIO__STACK_ADDRESS() ((uintptr_t)_AddressOfReturnAddress())
#else
#define EPIO__STACK_ADDRESS() ((uintptr_t)__builtin_frame_address(0))
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
