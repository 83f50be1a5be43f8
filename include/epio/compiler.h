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

/* A verb: the op that it returns must be passed to a runner or to epio_link. */
#if defined(__clang__)
#define EPIO_VERB __attribute__((warn_unused_result)) EPIO_API
#elif defined(__cplusplus)
#define EPIO_VERB [[nodiscard]] EPIO_API
#elif defined(__GNUC__) && __GNUC__ >= 11
#define EPIO_VERB __extension__ [[nodiscard]] EPIO_API
#else
#define EPIO_VERB EPIO_API
#endif

#endif
