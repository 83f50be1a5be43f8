/* Random bytes, by libsodium, which gets its seed from the system and is thread-safe; and names
 * made of them. */
#include "fatal.h"
#include "platform.h"

#include <sodium.h>
#include <stdio.h>

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

void epio__random_part(char part[EPIO__RANDOM_NAME_LEN])
{
    uint64_t random[2];
    epio__random_bytes(random, sizeof random);
    (void)snprintf(part, EPIO__RANDOM_NAME_LEN, "epio-%016llx%016llx",
                   (unsigned long long)random[0], (unsigned long long)random[1]);
}

void epio__random_name(const char *directory, char *name, size_t size)
{
    char part[EPIO__RANDOM_NAME_LEN];
    epio__random_part(part);
    (void)snprintf(name, size, "%s/%s", directory, part);
}
