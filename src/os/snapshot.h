/* What is in a directory, by name, and what differs from a later look at it. */
#ifndef EPIO_OS_SNAPSHOT_H
#define EPIO_OS_SNAPSHOT_H

#include "platform.h"

/* An entry. */
typedef struct epio__snapshot_entry {
    size_t name;    /* where in `text` its name is, relative to the directory, with a NUL */
    bool described; /* the rest but the type is known */
    uint32_t type;
    uint32_t mode;
    uint32_t user;
    uint32_t group;
    uint32_t attributes;
    uint64_t device;
    uint64_t id[2];
    uint64_t bytes;
    int64_t modified;
    int64_t changed;
} epio__snapshot_entry;

/* Zeroed it is empty. */
typedef struct epio__snapshot {
    epio__snapshot_entry *entries; /* by name, a directory in front of what is in it */
    size_t count;
    size_t capacity;
    char *text;
    size_t text_len;
    size_t text_capacity;
} epio__snapshot;

void epio__snapshot_free(epio__snapshot *snapshot);

/* Of what is in the open directory, of the OS VFS without a loop. What is in a directory that
 * cannot be listed is taken from `before`. 0; EPIO_ENOENT: the directory itself is gone;
 * EPIO_ECANCELED: *stop was set meanwhile; or an error, with *os_error. Nothing is left to free
 * then. */
int64_t epio__snapshot_take(epio__snapshot *snapshot, epio_file *directory, bool recursive,
                            const epio__snapshot *before, const uint32_t *stop, int32_t *os_error);

/* Reports what differs: of what was removed a directory behind what was in it, then what was made,
 * then what was changed. */
void epio__snapshot_compare(epio__watch *watch, const epio__snapshot *before,
                            const epio__snapshot *after);

#endif
