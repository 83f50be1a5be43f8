/* Names and messages of errors, the version, and the way out for programming
 * errors. What an OS error means is the platform's to say. */
#include "fatal.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *epio_version(void)
{
    return VERSION_TEXT(EPIO_VERSION_MAJOR, EPIO_VERSION_MINOR, EPIO_VERSION_PATCH);
}

const char *epio_error_name(int64_t result)
{
    if (result >= 0) {
        return "EPIO_OK";
    }
    switch (result) {
#define NAME_CASE(name, value, message)                                                            \
    case value:                                                                                    \
        return #name;
        EPIO_ERRORS(NAME_CASE)
#undef NAME_CASE
    default:
        return "EPIO_?";
    }
}

const char *epio_error_message(int64_t result)
{
    if (result >= 0) {
        return "success";
    }
    switch (result) {
#define MESSAGE_CASE(name, value, message)                                                         \
    case value:                                                                                    \
        return message;
        EPIO_ERRORS(MESSAGE_CASE)
#undef MESSAGE_CASE
    default:
        return "not an error of epio";
    }
}

int epio_error_from_os(int32_t os_error)
{
    return os_error == 0 ? 0 : epio__error_from_os(os_error);
}

_Noreturn void epio__fatal(const char *function, const char *message)
{
    (void)fprintf(stderr, "epio: %s: %s\n", function, message);
    (void)fflush(stderr);
    abort();
}

#if EPIO_ASSERTIONS

_Noreturn void epio__assertion_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "epio: %s:%d: not so: %s; this is a fault of epio\n", file, line,
                  condition);
    (void)fflush(stderr);
    abort();
}

#endif
