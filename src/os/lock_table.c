/* A table of the inodes that this process locks. A file joins it with its first lock op, and leaves
 * it when it is closed.
 *
 * Where the files of a process share range locks, closing any of them, even one that never locked,
 * would release the locks of all: there a close waits until the last lock of the inode is
 * released. */
#include "os/lock_table.h"

#include "atomics.h"
#include "list.h"

#include <stdlib.h>

#define BUCKETS 256

typedef struct table_entry {
    epio__lock_node node;
    uint64_t device;
    uint64_t inode;
    epio_node in_bucket;
    epio_node to_close; /* files whose close waits; guarded by the node's mutex */
    size_t files;       /* that joined */
} table_entry;

/* Guarded by epio__process_mutex, which is taken before a node's. */
static epio_node buckets[BUCKETS];
static uint64_t process;

static table_entry *entry_of(epio__lock_node *node)
{
    return EPIO_CONTAINER(node, table_entry, node);
}

/* A forked child has none of its parent's locks: they do not block the files that it opens
 * itself. */
static void forget_parent(void)
{
    if (process == epio__process_id()) {
        return;
    }
    process = epio__process_id();
    for (size_t i = 0; i < BUCKETS; i++) {
        while (!epio_list_empty(&buckets[i])) {
            epio_list_remove(buckets[i].next);
        }
        epio_list_init(&buckets[i]);
    }
}

static epio_node *bucket_of(uint64_t device, uint64_t inode)
{
    /* Inode numbers are consecutive, so the sum spreads well. */
    return &buckets[(inode + device) % BUCKETS];
}

static table_entry *find_entry(uint64_t device, uint64_t inode)
{
    forget_parent();
    epio_node *bucket = bucket_of(device, inode);
    for (epio_node *at = bucket->next; at != bucket; at = at->next) {
        table_entry *entry = EPIO_CONTAINER(at, table_entry, in_bucket);
        if (entry->device == device && entry->inode == inode) {
            return entry;
        }
    }
    return NULL;
}

static table_entry *create_entry(const epio__os_file *file)
{
    table_entry *entry = calloc(1, sizeof *entry);
    if (entry != NULL) {
        epio__lock_node_init(&entry->node);
        entry->device = file->device;
        entry->inode = file->inode;
        epio_list_init(&entry->to_close);
        epio_list_append(bucket_of(file->device, file->inode), &entry->in_bucket);
    }
    return entry;
}

static epio__lock_holder *create_holder(epio__os_file *file)
{
    epio__lock_holder *holder = malloc(sizeof *holder);
    table_entry *entry = holder != NULL ? find_entry(file->device, file->inode) : NULL;
    if (holder != NULL && entry == NULL) {
        entry = create_entry(file);
    }
    if (entry == NULL) {
        free(holder);
        return NULL;
    }
    entry->files++;
    epio__lock_holder_init(holder, &entry->node, &file->base, file);
    return holder;
}

/* Is the file's lock state that of a process from which this one was forked? */
static bool locks_are_parents(const epio__os_file *file)
{
    return epio__load_u32(&file->lock_generation) != epio__process_generation();
}

epio__lock_holder *epio__lock_table_find(const epio__os_file *file)
{
    uintptr_t holder = epio__load_pointer(&file->lock);
    return holder != 0 && !locks_are_parents(file) ? (epio__lock_holder *)holder : NULL;
}

/* Frees the holder; the locks stay the parent's. The node's mutex may be locked, and is not
 * destroyed; so the records of ranges, which another thread may have been changing at the fork, are
 * left alone. */
static void forget_holder(epio__os_file *file)
{
    epio__lock_holder *holder = (epio__lock_holder *)epio__load_pointer(&file->lock);
    forget_parent(); /* then its nodes are in no bucket */
    if (holder != NULL && --entry_of(holder->node)->files == 0) {
        free(entry_of(holder->node));
    }
    free(holder);
    epio__store_pointer(&file->lock, 0);
}

static void make_own(epio__os_file *file)
{
    if (!locks_are_parents(file)) {
        return;
    }
    epio__mutex_lock(epio__process_mutex());
    if (locks_are_parents(file)) {
        forget_holder(file);
        epio__range_locks_disinherit(file);
        epio__store_u32(&file->lock_generation, epio__process_generation());
    }
    epio__mutex_unlock(epio__process_mutex());
}

epio__lock_holder *epio__lock_table_join(epio__os_file *file)
{
    epio__lock_holder *holder = epio__lock_table_find(file);
    if (holder != NULL) {
        return holder;
    }
    make_own(file);
    /* Without the mutex: a dead mount must not hold up other files. */
    epio__range_locks_prepare(file);
    epio__mutex_lock(epio__process_mutex());
    holder = epio__lock_table_find(file); /* two threads may join at once */
    if (holder == NULL) {
        holder = create_holder(file);
        epio__store_pointer(&file->lock, (uintptr_t)holder);
    }
    epio__mutex_unlock(epio__process_mutex());
    return holder;
}

/* Closes the files that waited for the last lock's release. The node's mutex is held, so that no
 * lock is granted meanwhile, which the close would release. */
static void close_waiting(table_entry *entry)
{
    while (epio__lock_node_is_free(&entry->node) && !epio_list_empty(&entry->to_close)) {
        int32_t os_error;
        epio_node *first = entry->to_close.next;
        epio_list_remove(first);
        (void)epio__os_file_dispose(EPIO_CONTAINER(first, epio__os_file, closing), &os_error);
    }
}

void epio__lock_table_settle(epio__lock_holder *holder)
{
    if (epio__range_locks_are_common()) {
        table_entry *entry = entry_of(holder->node);
        epio__mutex_lock(&entry->node.mutex);
        close_waiting(entry);
        epio__mutex_unlock(&entry->node.mutex);
    }
}

/* One file fewer uses it. */
static void drop_entry(table_entry *entry)
{
    epio__mutex_lock(epio__process_mutex());
    if (--entry->files == 0) {
        epio_list_remove(&entry->in_bucket);
        epio__lock_node_destroy(&entry->node);
        free(entry);
    }
    epio__mutex_unlock(epio__process_mutex());
}

static void release_holder(epio__lock_holder *holder)
{
    table_entry *entry = entry_of(holder->node);
    epio__lock_table_settle(holder);
    drop_entry(entry);
    free(holder);
}

/* No file may get the inode's first lock until the descriptor is closed or listed to be closed: the
 * node's mutex prevents it, or, without a node, the process's. The latter is avoided where closing
 * may wait for a server, unless there is no memory for a node. */
static int close_where_common(epio__os_file *file, int32_t *os_error)
{
    int result = 0;
    epio__mutex_lock(epio__process_mutex());
    table_entry *entry = find_entry(file->device, file->inode);
    if (entry == NULL && file->locks_are_remote) {
        entry = create_entry(file);
    }
    if (entry == NULL) {
        result = epio__os_file_dispose(file, os_error);
        epio__mutex_unlock(epio__process_mutex());
        return result;
    }
    entry->files++;
    epio__mutex_unlock(epio__process_mutex());
    epio__mutex_lock(&entry->node.mutex);
    if (epio__lock_node_is_free(&entry->node)) {
        result = epio__os_file_dispose(file, os_error);
    } else {
        epio_list_append(&entry->to_close, &file->closing);
    }
    epio__mutex_unlock(&entry->node.mutex);
    drop_entry(entry);
    return result;
}

static epio__os_file *take_waiting(table_entry *entry, uint32_t flags)
{
    for (epio_node *at = entry->to_close.next; at != &entry->to_close; at = at->next) {
        epio__os_file *file = EPIO_CONTAINER(at, epio__os_file, closing);
        if (file->opened_as == flags) {
            epio_list_remove(at);
            return file;
        }
    }
    return NULL;
}

epio__os_file *epio__os_file_reopen(uint64_t device, uint64_t inode, uint32_t flags)
{
    if (!epio__range_locks_are_common()) {
        return NULL;
    }
    epio__os_file *file = NULL;
    epio__mutex_lock(epio__process_mutex());
    table_entry *entry = find_entry(device, inode);
    if (entry != NULL) {
        epio__mutex_lock(&entry->node.mutex);
        file = take_waiting(entry, flags);
        epio__mutex_unlock(&entry->node.mutex);
    }
    epio__mutex_unlock(epio__process_mutex());
    return file;
}

int epio__os_file_close(epio__os_file *file, int32_t *os_error)
{
    make_own(file);
    epio__lock_holder *holder = epio__lock_table_find(file);
    if (holder != NULL) {
        epio__lock_release_all(holder);
        epio__store_pointer(&file->lock, 0);
    }
    int result = epio__range_locks_are_common() ? close_where_common(file, os_error)
                                                : epio__os_file_dispose(file, os_error);
    if (holder != NULL) {
        release_holder(holder);
    }
    return result;
}
