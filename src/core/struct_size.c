/* See struct_size.h. */
#include "core/struct_size.h"
#include "fatal.h"

#include <string.h>

static size_t size_of(const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof size);
    return size;
}

static bool is_zero(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

bool epio_options_take(void *options, size_t size, size_t first, const void *given)
{
    epio__require(options, "epio_options_take", "the options are NULL");
    epio__require(given, "epio_options_take", "the given options are NULL");
    size_t his = size_of(given);
    if (his < first || (his > size && !is_zero((const unsigned char *)given + size, his - size))) {
        return false;
    }
    memset(options, 0, size);
    memcpy(options, given, his < size ? his : size);
    return true;
}

bool epio_result_give(const void *result, size_t size, size_t first, void *given)
{
    epio__require(result, "epio_result_give", "the result is NULL");
    epio__require(given, "epio_result_give", "the struct to fill is NULL");
    size_t his = size_of(given);
    if (his < first) {
        return false;
    }
    size_t common = his < size ? his : size;
    unsigned char *bytes = given;
    memcpy(bytes + sizeof his, (const unsigned char *)result + sizeof his, common - sizeof his);
    memset(bytes + common, 0, his - common);
    return true;
}
