/* Atomic access to plain fields. Public structs hold no `_Atomic`, so that they compile as C++ and
 * under every compiler; the fields that several threads touch are reached through this header and
 * nowhere else. `_Atomic T` has the size and form of T for these types on every compiler that we
 * support, and is as strictly aligned: 64-bit types, which may not be, are left out. Operations not
 * named relaxed are sequentially consistent, except stores, which release; there are no fences, as
 * ThreadSanitizer does not see them. */
#ifndef EPIO_ATOMICS_H
#define EPIO_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EPIO__ATOMICS(suffix, type)                                                                \
    _Static_assert(sizeof(_Atomic(type)) == sizeof(type), "atomics are plain in memory");          \
    static inline type epio__load_relaxed_##suffix(const type *from)                               \
    {                                                                                              \
        return atomic_load_explicit((const _Atomic(type) *)from, memory_order_relaxed);            \
    }                                                                                              \
    static inline type epio__load_##suffix(const type *from)                                       \
    {                                                                                              \
        return atomic_load((const _Atomic(type) *)from);                                           \
    }                                                                                              \
    static inline void epio__store_relaxed_##suffix(type *to, type value)                          \
    {                                                                                              \
        atomic_store_explicit((_Atomic(type) *)to, value, memory_order_relaxed);                   \
    }                                                                                              \
    static inline void epio__store_##suffix(type *to, type value)                                  \
    {                                                                                              \
        atomic_store_explicit((_Atomic(type) *)to, value, memory_order_release);                   \
    }                                                                                              \
    static inline type epio__exchange_##suffix(type *at, type value)                               \
    {                                                                                              \
        return atomic_exchange((_Atomic(type) *)at, value);                                        \
    }                                                                                              \
    static inline bool epio__compare_exchange_##suffix(type *at, type *expected, type value)       \
    {                                                                                              \
        return atomic_compare_exchange_strong((_Atomic(type) *)at, expected, value);               \
    }

EPIO__ATOMICS(u32, uint32_t)
EPIO__ATOMICS(size, size_t)
EPIO__ATOMICS(pointer, uintptr_t)

#undef EPIO__ATOMICS

static inline uint32_t epio__add_u32(uint32_t *at, uint32_t amount)
{
    return atomic_fetch_add((_Atomic(uint32_t) *)at, amount);
}

static inline size_t epio__add_size(size_t *at, size_t amount)
{
    return atomic_fetch_add((_Atomic(size_t) *)at, amount);
}

/* The counterpart of the above; may wrap. */
static inline uint32_t epio__subtract_u32(uint32_t *at, uint32_t amount)
{
    return atomic_fetch_sub((_Atomic(uint32_t) *)at, amount);
}

static inline size_t epio__subtract_size(size_t *at, size_t amount)
{
    return atomic_fetch_sub((_Atomic(size_t) *)at, amount);
}

static inline uint32_t epio__set_bits_u32(uint32_t *at, uint32_t bits)
{
    return atomic_fetch_or((_Atomic(uint32_t) *)at, bits);
}

static inline uint32_t epio__clear_bits_u32(uint32_t *at, uint32_t bits)
{
    return atomic_fetch_and((_Atomic(uint32_t) *)at, ~bits);
}

/* A counter that one thread writes and others read. */
static inline void epio__count_size(size_t *at, size_t amount)
{
    epio__store_relaxed_size(at, epio__load_relaxed_size(at) + amount);
}

#endif
