/* Programming errors: what no completion could report. */
#ifndef EPIO_FATAL_H
#define EPIO_FATAL_H

#include <stddef.h>

/* Prints "epio: FUNCTION: MESSAGE" on standard error and aborts. The message
 * says what to fix. */
_Noreturn void epio__fatal(const char *function, const char *message);

/* Aborts if the argument of that name, "the op" for instance, is NULL. */
static inline void epio__require(const void *argument, const char *function, const char *message)
{
    if (argument == NULL) {
        epio__fatal(function, message);
    }
}

#endif
