/* All loops, VFSes and semaphores of this process, for events that concern them all: a fork, the
 * end of a thread, a VFS that is destroyed too early. */
#ifndef EPIO_REGISTRY_H
#define EPIO_REGISTRY_H

#include "platform.h"

typedef struct epio__entry epio__entry;

/* All are called with the process's mutex held; NULL: not called. */
typedef struct epio__entry_methods {
    /* Around a fork of this process: locks a mutex that must be free in the child, and unlocks it
     * in both processes. Between the two nothing of the entry changes. */
    void (*before_fork)(epio__entry *entry);
    void (*after_fork)(epio__entry *entry, bool in_child);

    /* The calling thread ends. */
    void (*thread_ends)(epio__entry *entry);

    /* Why this VFS may not be destroyed yet; NULL: no reason. */
    const char *(*needs_vfs)(const epio__entry *entry, const epio_vfs *vfs);
} epio__entry_methods;

struct epio__entry {
    epio_node node;
    const epio__entry_methods *methods;
};

void epio__registry_add(epio__entry *entry, const epio__entry_methods *methods);
/* The last access to the entry. */
void epio__registry_remove(epio__entry *entry);

/* Asks every entry whether this VFS may be destroyed: NULL if so. */
const char *epio__registry_needs_vfs(const epio_vfs *vfs);

#endif
