/* Names and messages of errors, the version, and the abort on programming errors. The platform maps
 * OS errors. */
#include "fatal.h"

#include "platform.h"
#include <epio/vfs.h>

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

int32_t epio_error_to_os(int64_t result)
{
    if (result >= 0) {
        return 0;
    }
    return epio__error_to_os(result >= EPIO_ERROR_LAST ? (int)result : EPIO_EUNKNOWN);
}

/* ---- Programming errors ---- */

static uintptr_t fatal_handler; /* atomic */

epio_fatal_handler *epio_set_fatal_handler(epio_fatal_handler *handler)
{
    return (epio_fatal_handler *)epio__exchange_pointer(&fatal_handler, (uintptr_t)handler);
}

_Noreturn void epio__fatal(const char *function, const char *message)
{
    epio_fatal_handler *handler = (epio_fatal_handler *)epio__load_pointer(&fatal_handler);
    if (handler != NULL) {
        handler(function, message);
    } else {
        (void)fprintf(stderr, "epio: %s: %s\n", function, message);
        (void)fflush(stderr);
    }
    abort();
}

void epio_fatal(const char *function, const char *message)
{
    epio__require(function, "epio_fatal", "the function is NULL");
    epio__require(message, "epio_fatal", "the message is NULL");
    epio__fatal(function, message);
}

#if EPIO_ASSERTIONS

_Noreturn void epio__assertion_failed(const char *file, int line, const char *condition)
{
    char message[200];
    (void)snprintf(message, sizeof message, "%d: not so: %s; this is a fault of epio", line,
                   condition);
    epio__fatal(file, message);
}

#endif
