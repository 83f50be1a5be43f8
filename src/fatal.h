/* Programming errors: the caller's, which no completion could report, and the library's own. */
#ifndef EPIO_FATAL_H
#define EPIO_FATAL_H

#include <stddef.h>

/* Prints "epio: FUNCTION: MESSAGE" on standard error and aborts. The message
 * says what to fix. */
_Noreturn void epio__fatal(const char *function, const char *message);

/* Aborts with this message, "the op is NULL" for instance, if the argument is NULL. */
static inline void epio__require(const void *argument, const char *function, const char *message)
{
    if (argument == NULL) {
        epio__fatal(function, message);
    }
}

/* Assertions about the library's own code; checked in debug builds and in all tests. */
#if EPIO_ASSERTIONS
_Noreturn void epio__assertion_failed(const char *file, int line, const char *condition);
#define EPIO__ASSERT(condition)                                                                    \
    ((condition) ? (void)0 : epio__assertion_failed(__FILE__, __LINE__, #condition))
#else
#define EPIO__ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
