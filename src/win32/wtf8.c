/* UTF-16 names as UTF-8 and back. Windows allows a surrogate without its other half in a name; it
 * is encoded in three bytes like any character (WTF-8, https://wtf-8.codeberg.page), so that every
 * name has a form. A whole pair has only its form in UTF-8. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define FIRST_HIGH 0xD800u /* the first half of a pair */
#define FIRST_LOW 0xDC00u
#define AFTER_LOW 0xE000u
#define FIRST_OF_PAIRS 0x10000u
#define LAST_CHARACTER 0x10FFFFu

static bool is_high(uint32_t character)
{
    return character >= FIRST_HIGH && character < FIRST_LOW;
}

static bool is_low(uint32_t character)
{
    return character >= FIRST_LOW && character < AFTER_LOW;
}

/* ---- From UTF-8 ---- */

/* How many bytes follow the first of a character; negative if none begins with it. */
static int bytes_after(unsigned char first)
{
    return first < 0x80   ? 0
           : first < 0xC2 ? -1
           : first < 0xE0 ? 1
           : first < 0xF0 ? 2
           : first < 0xF5 ? 3
                          : -1;
}

/* Takes one character: false if there is none, or a longer form of it than necessary. */
static bool take_character(const unsigned char **at, uint32_t *character)
{
    static const uint32_t first_of_length[] = {0, 0x80, 0x800, FIRST_OF_PAIRS};
    static const unsigned char bits_of_first[] = {0x7F, 0x1F, 0x0F, 0x07};
    int more = bytes_after(**at);
    if (more < 0) {
        return false;
    }
    *character = *(*at)++ & bits_of_first[more];
    for (int i = 0; i < more; i++, (*at)++) {
        if ((**at & 0xC0) != 0x80) {
            return false;
        }
        *character = *character << 6 | (**at & 0x3Fu);
    }
    return *character >= first_of_length[more] && *character <= LAST_CHARACTER;
}

WCHAR *epio__widen(const char *path, int *error)
{
    /* No character has fewer bytes than UTF-16 has units for it. */
    WCHAR *name = malloc((strlen(path) + 1) * sizeof *name);
    const unsigned char *from = (const unsigned char *)path;
    WCHAR *to = name;
    if (name == NULL) {
        *error = EPIO_ENOMEM;
        return NULL;
    }
    while (*from != '\0') {
        uint32_t character;
        bool valid = take_character(&from, &character);
        if (!valid || (is_low(character) && to != name && is_high(to[-1]))) {
            free(name);
            *error = EPIO_EINVAL;
            return NULL;
        }
        if (character >= FIRST_OF_PAIRS) {
            character -= FIRST_OF_PAIRS;
            *to++ = (WCHAR)(FIRST_HIGH + (character >> 10));
            character = FIRST_LOW + (character & 0x3FFu);
        }
        *to++ = (WCHAR)character;
    }
    *to = L'\0';
    return name;
}

/* ---- To UTF-8 ---- */

static size_t put_character(uint32_t character, char *to)
{
    if (character < 0x80) {
        to[0] = (char)character;
        return 1;
    }
    size_t more = character < 0x800 ? 1 : character < FIRST_OF_PAIRS ? 2 : 3;
    static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
    for (size_t i = more; i > 0; i--, character >>= 6) {
        to[i] = (char)(0x80 | (character & 0x3Fu));
    }
    to[0] = (char)(marks[more] | character);
    return more + 1;
}

size_t epio__narrow(const WCHAR *name, size_t len, char *to)
{
    size_t bytes = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t character = name[i];
        if (is_high(character) && i + 1 < len && is_low(name[i + 1])) {
            character = FIRST_OF_PAIRS + ((character - FIRST_HIGH) << 10) + (name[++i] - FIRST_LOW);
        }
        char none[4];
        bytes += put_character(character, to != NULL ? to + bytes : none);
    }
    if (to != NULL) {
        to[bytes] = '\0';
    }
    return bytes;
}
