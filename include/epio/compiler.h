/* What the public headers ask of compilers beyond C11 and C++11: the marks on declarations. */
#ifndef EPIO_PUBLIC_COMPILER_H
#define EPIO_PUBLIC_COMPILER_H

#ifndef EPIO_API
#if defined(_WIN32) && defined(EPIO_SHARED)
#define EPIO_API __declspec(dllimport)
#else
#define EPIO_API
#endif
#endif

/* A verb: the op that it returns is for a runner, or for epio_link. */
#if defined(__cplusplus)
#define EPIO_VERB [[nodiscard]] EPIO_API
#elif defined(__clang__)
#define EPIO_VERB __attribute__((warn_unused_result)) EPIO_API
#elif defined(__GNUC__) && __GNUC__ >= 11
#define EPIO_VERB __extension__ [[nodiscard]] EPIO_API
#else
#define EPIO_VERB EPIO_API
#endif

#endif
