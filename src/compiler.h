/* Compiler features beyond C11. */
#ifndef EPIO_COMPILER_H
#define EPIO_COMPILER_H

#include <stdint.h>

/* No test by __has_builtin, which is true for this one on targets that then reject it. */
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

/* No thread's identity is below this. */
#define EPIO__THREAD_NONE_BELOW 16u

/* The calling thread's identity, unique among living threads. Read twice by every op. If it is an
 * address in the thread's memory, a later thread may get the same: see epio__thread_watch_end. */
#if defined(EPIO__HAS_THREAD_POINTER)

static inline uintptr_t epio__thread_self(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

#else

uintptr_t epio__thread_self(void);

#endif

/* An address in the calling function's stack frame, above its variables. */
#if defined(_MSC_VER) && !defined(__clang__)
void *_AddressOfReturnAddress(void);
#pragma intrinsic(_AddressOfReturnAddress)
#define EPIO__STACK_ADDRESS() ((uintptr_t)_AddressOfReturnAddress())
#else
#define EPIO__STACK_ADDRESS() ((uintptr_t)__builtin_frame_address(0))
#endif

/* A function that is not inlined, so that its callers need not save the registers that only it
 * uses. */
#if defined(__has_attribute)
#if __has_attribute(noinline)
#define EPIO__NOINLINE __attribute__((noinline))
#endif
#endif
#if !defined(EPIO__NOINLINE)
#define EPIO__NOINLINE
#endif

#endif
