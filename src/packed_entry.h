/* How epio_list packs an entry: its head, what the system gives with the name (an epio_info, or
 * nothing), the name with its NUL; each entry aligned as the first. And how one walks through a
 * buffer of such entries, or of events. */
#ifndef EPIO_PACKED_ENTRY_H
#define EPIO_PACKED_ENTRY_H

#include <epio/epio.h>

#include <string.h>

static inline uint32_t epio__entry_size(size_t name_len, bool has_info)
{
    size_t head = sizeof(epio_entry) + (has_info ? sizeof(epio_info) : 0);
    return (uint32_t)((head + name_len + 1 + 7) & ~(size_t)7);
}

/* Writes all but the name, behind which there is room for that: where it goes. */
static inline char *epio__entry_put(char *to, size_t name_len, uint32_t type, uint64_t id,
                                    const epio_info *info)
{
    epio_entry entry = {.size = epio__entry_size(name_len, info != NULL),
                        .name_len = (uint16_t)name_len,
                        .type = (uint8_t)type,
                        .has_info = info != NULL,
                        .id = id};
    memcpy(to, &entry, sizeof entry);
    to += sizeof entry;
    if (info != NULL) {
        memcpy(to, info, sizeof *info);
        to += sizeof *info;
    }
    return to;
}

/* An event, which has its two names behind it; those of overflow and end have none. */
static inline size_t epio__event_size(size_t name_len, size_t from_len)
{
    return (sizeof(epio_event) + name_len + 1 + from_len + 1 + 7) & ~(size_t)7;
}

/* Records behind each other, which begin with their size: the first for NULL, then the one behind
 * `record`; NULL at the end. */
static inline const void *epio__record_next(const void *buffer, size_t len, const void *record)
{
    size_t at = 0;
    if (record != NULL) {
        at = (size_t)((const char *)record - (const char *)buffer) + *(const uint32_t *)record;
    }
    return buffer != NULL && at < len ? (const char *)buffer + at : NULL;
}

#endif
