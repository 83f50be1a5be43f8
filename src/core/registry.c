/* See registry.h. */
#include "core/registry.h"

#include "list.h"

/* Guarded by the process's mutex. All zero at first. */
static epio_node entries;

static epio_node *first_entry(void)
{
    if (entries.next == NULL) {
        epio_list_init(&entries);
    }
    return entries.next;
}

static epio__entry *entry_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio__entry, node);
}

void epio__registry_add(epio__entry *entry, const epio__entry_methods *methods)
{
    entry->methods = methods;
    epio__mutex_lock(epio__process_mutex());
    (void)first_entry();
    epio_list_append(&entries, &entry->node);
    epio__mutex_unlock(epio__process_mutex());
}

void epio__registry_remove(epio__entry *entry)
{
    epio__mutex_lock(epio__process_mutex());
    epio_list_remove(&entry->node);
    epio__mutex_unlock(epio__process_mutex());
}

const char *epio__registry_needs_vfs(const epio_vfs *vfs)
{
    const char *reason = NULL;
    epio__mutex_lock(epio__process_mutex());
    for (epio_node *node = first_entry(); node != &entries && reason == NULL; node = node->next) {
        const epio__entry *entry = entry_of(node);
        if (entry->methods->needs_vfs != NULL) {
            reason = entry->methods->needs_vfs(entry, vfs);
        }
    }
    epio__mutex_unlock(epio__process_mutex());
    return reason;
}

/* ---- For the platform ---- */

void epio__process_before_fork(void)
{
    for (epio_node *node = first_entry(); node != &entries; node = node->next) {
        epio__entry *entry = entry_of(node);
        if (entry->methods->before_fork != NULL) {
            entry->methods->before_fork(entry);
        }
    }
}

void epio__process_after_fork(bool in_child)
{
    for (epio_node *node = first_entry(); node != &entries; node = node->next) {
        epio__entry *entry = entry_of(node);
        if (entry->methods->after_fork != NULL) {
            entry->methods->after_fork(entry, in_child);
        }
    }
}

void epio__process_thread_ends(void)
{
    for (epio_node *node = first_entry(); node != &entries; node = node->next) {
        epio__entry *entry = entry_of(node);
        if (entry->methods->thread_ends != NULL) {
            entry->methods->thread_ends(entry);
        }
    }
}
