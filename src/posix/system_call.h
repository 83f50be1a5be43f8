/* preadv2(2) without libc. A read from the page cache costs little more than this call; libc's
 * wrappers, with cancellation points and variable arguments, take as many instructions as the op
 * itself up to here. */
#ifndef EPIO_SYSTEM_CALL_H
#define EPIO_SYSTEM_CALL_H

#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* musl before 1.2.5 has neither the name nor the call; the kernel has both. */
#if defined(SYS_preadv2) && !defined(RWF_NOWAIT)
#define RWF_NOWAIT 0x8
#define EPIO__NO_PREADV2_IN_LIBC
#endif
#endif

#if defined(__x86_64__) && defined(__LP64__) && defined(__linux__)

static inline int64_t epio__preadv2(int descriptor, const struct iovec *parts, int count,
                                    uint64_t offset, int flags)
{
    register uint64_t position __asm__("r10") = offset;
    register uint64_t high_half __asm__("r8") = 0; /* of an offset of 128 bits */
    register int64_t how __asm__("r9") = flags;
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((int64_t)SYS_preadv2), "D"((int64_t)descriptor), "S"(parts),
                       "d"((int64_t)count), "r"(position), "r"(high_half), "r"(how)
                     : "rcx", "r11", "memory");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

#elif defined(EPIO__NO_PREADV2_IN_LIBC)

static inline int64_t epio__preadv2(int descriptor, const struct iovec *parts, int count,
                                    uint64_t offset, int flags)
{
    unsigned long low_half = (unsigned long)offset;
    unsigned long high_half = (unsigned long)(sizeof(long) == 8 ? 0 : offset >> 32);
    return syscall(SYS_preadv2, descriptor, parts, count, low_half, high_half, flags);
}

#elif defined(RWF_NOWAIT)

static inline int64_t epio__preadv2(int descriptor, const struct iovec *parts, int count,
                                    uint64_t offset, int flags)
{
    return preadv2(descriptor, parts, count, (off_t)offset, flags);
}

#endif

#endif
