/* Compiler-specific attributes of the public declarations, beyond C11 and C++11. */
#ifndef EPIO_PUBLIC_COMPILER_H
#define EPIO_PUBLIC_COMPILER_H

#ifndef EPIO_API
#if defined(_WIN32) && defined(EPIO_SHARED)
#define EPIO_API __declspec(dllimport)
#else
#define EPIO_API
#endif
#endif

/* The same of the library epio-sqlite. */
#ifndef EPIO_SQLITE_API
#if defined(_WIN32) && defined(EPIO_SQLITE_SHARED)
#define EPIO_SQLITE_API __declspec(dllimport)
#else
#define EPIO_SQLITE_API
#endif
#endif

/* A verb: the op that it returns must be passed to a runner or to epio_link. */
#if defined(__clang__)
#define EPIO_MUST_USE __attribute__((warn_unused_result))
#elif defined(__cplusplus)
#define EPIO_MUST_USE [[nodiscard]]
#elif defined(__GNUC__) && __GNUC__ >= 11
#define EPIO_MUST_USE __extension__ [[nodiscard]]
#else
#define EPIO_MUST_USE
#endif

/* A function that does not return. */
#if defined(__cplusplus)
#define EPIO_NORETURN [[noreturn]]
#else
#define EPIO_NORETURN _Noreturn
#endif

#define EPIO_VERB EPIO_MUST_USE EPIO_API
#define EPIO_SQLITE_VERB EPIO_MUST_USE EPIO_SQLITE_API

#endif
