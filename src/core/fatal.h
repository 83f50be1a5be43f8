/* Programming errors: what no completion could report. */
#ifndef EPIO_FATAL_H
#define EPIO_FATAL_H

/* Prints "epio: FUNCTION: MESSAGE" on standard error and aborts. The message
 * says what to fix. */
_Noreturn void epio__fatal(const char *function, const char *message);

#endif
