/* Random bytes, by libsodium, which gets its seed from the system and is thread-safe. */
#include "fatal.h"
#include "platform.h"

#include <sodium.h>

void epio__random_bytes(void *buffer, size_t len)
{
    /* Initializes once; safe in any thread. */
    if (sodium_init() < 0) {
        epio__fatal("epio_randomness", "libsodium finds no source of randomness");
    }
    if (len != 0) { /* NULL is allowed then, but not by libsodium */
        randombytes_buf(buffer, len);
    }
}
