/* See memory_node.h. */
#include "layers/memory_node.h"

#include "atomics.h"
#include "list.h"
#include "platform.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_MODE 0755u

/* ---- The tree ---- */

int epio__memory_tree_init(epio__memory_tree *tree)
{
    static uint32_t devices;
    epio_list_init(&tree->nodes);
    tree->device = epio__add_u32(&devices, 1);
    tree->root = epio__memory_node_create(tree, EPIO_TYPE_DIRECTORY, ROOT_MODE);
    if (tree->root == NULL) {
        return EPIO_ENOMEM;
    }
    tree->root->parent = tree->root;
    return 0;
}

static void free_attributes(epio__memory_attribute *first)
{
    while (first != NULL) {
        epio__memory_attribute *next = first->next;
        free(first);
        first = next;
    }
}

static void free_node(epio__memory_node *node)
{
    epio_list_remove(&node->all);
    epio__memory_resize(&node->contents, 0);
    epio__lock_node_destroy(&node->lock);
    free_attributes(node->attributes);
    free(node->target);
    free(node);
}

/* Turns the tree to the right until it is a list: as deep as it may be, this needs no stack. */
static void free_entries(epio__memory_entry *at)
{
    while (at != NULL) {
        epio__memory_entry *less = at->less;
        if (less != NULL) {
            at->less = less->more;
            less->more = at;
            at = less;
        } else {
            epio__memory_entry *more = at->more;
            free(at);
            at = more;
        }
    }
}

void epio__memory_tree_free(epio__memory_tree *tree)
{
    epio_node *at = tree->nodes.next;
    while (at != &tree->nodes) {
        epio__memory_node *node = EPIO_CONTAINER(at, epio__memory_node, all);
        at = at->next;
        free_entries(node->entries);
        free_node(node);
    }
}

/* ---- Nodes ---- */

epio__memory_node *epio__memory_node_create(epio__memory_tree *tree, uint32_t type, uint32_t mode)
{
    epio__memory_node *node = calloc(1, sizeof *node);
    if (node != NULL) {
        node->id = ++tree->last_id;
        node->type = type;
        node->mode = mode;
        node->references = 1;
        node->born = epio__current_time();
        node->modified = node->born;
        node->changed = node->born;
        node->accessed = node->born;
        epio__lock_node_init(&node->lock);
        epio_list_init(&node->names);
        epio_list_init(&node->watches);
        epio_list_append(&tree->nodes, &node->all);
    }
    return node;
}

/* A removed directory may have been the last to need its parent, and so on upwards. */
void epio__memory_node_release(epio__memory_node *node)
{
    while (node != NULL && --node->references == 0) {
        epio__memory_node *parent = node->parent;
        free_node(node);
        node = parent;
    }
}

/* ---- Times ---- */

void epio__memory_note_modified(epio__memory_node *node)
{
    node->modified = epio__current_time();
    node->changed = node->modified;
}

void epio__memory_note_changed(epio__memory_node *node)
{
    node->changed = epio__current_time();
}

void epio__memory_note_accessed(epio__memory_node *node)
{
    if (node->accessed <= node->modified || node->accessed <= node->changed) {
        node->accessed = epio__current_time();
    }
}

/* ---- The entries of a directory: a treap ---- */

static int compare(const char *name, size_t len, const epio__memory_entry *entry)
{
    int order = memcmp(name, entry->name, len < entry->len ? len : entry->len);
    return order != 0 ? order : (len > entry->len) - (len < entry->len);
}

static epio__memory_entry **below(epio__memory_entry *at, const char *name, size_t len)
{
    return compare(name, len, at) < 0 ? &at->less : &at->more;
}

static epio__memory_entry **slot_of(epio__memory_node *directory, const epio__memory_entry *entry)
{
    epio__memory_entry **slot = &directory->entries;
    while (*slot != entry) {
        slot = below(*slot, entry->name, entry->len);
    }
    return slot;
}

/* Those of lower priority are split by the name into what is under the new entry. */
static void treap_insert(epio__memory_entry **slot, epio__memory_entry *entry)
{
    while (*slot != NULL && (*slot)->priority >= entry->priority) {
        slot = below(*slot, entry->name, entry->len);
    }
    epio__memory_entry *rest = *slot;
    epio__memory_entry **less = &entry->less;
    epio__memory_entry **more = &entry->more;
    *slot = entry;
    while (rest != NULL) {
        epio__memory_entry *at = rest;
        if (compare(entry->name, entry->len, at) < 0) {
            *more = at;
            more = &at->less;
            rest = at->less;
        } else {
            *less = at;
            less = &at->more;
            rest = at->more;
        }
    }
    *less = NULL;
    *more = NULL;
}

/* What is under the entry is merged into its place. */
static void treap_remove(epio__memory_entry **slot)
{
    epio__memory_entry *less = (*slot)->less;
    epio__memory_entry *more = (*slot)->more;
    while (less != NULL && more != NULL) {
        if (less->priority > more->priority) {
            *slot = less;
            slot = &less->more;
            less = less->more;
        } else {
            *slot = more;
            slot = &more->less;
            more = more->less;
        }
    }
    *slot = less != NULL ? less : more;
}

epio__memory_entry *epio__memory_entry_find(const epio__memory_node *directory, const char *name,
                                            size_t len)
{
    epio__memory_entry *at = directory->entries;
    while (at != NULL) {
        int order = compare(name, len, at);
        if (order == 0) {
            return at;
        }
        at = order < 0 ? at->less : at->more;
    }
    return NULL;
}

epio__memory_entry *epio__memory_entry_after(const epio__memory_node *directory, const char *name,
                                             size_t len)
{
    epio__memory_entry *found = NULL;
    epio__memory_entry *at = directory->entries;
    while (at != NULL) {
        if (compare(name, len, at) < 0) {
            found = at;
            at = at->less;
        } else {
            at = at->more;
        }
    }
    return found;
}

/* ---- Entries and their nodes ---- */

/* xorshift64*: any sequence that does not follow the names will do. */
static uint32_t next_priority(epio__memory_tree *tree)
{
    uint64_t state = tree->priorities != 0 ? tree->priorities : UINT64_C(0x9E3779B97F4A7C15);
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    tree->priorities = state;
    return (uint32_t)((state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

epio__memory_entry *epio__memory_entry_create(epio__memory_tree *tree, epio__memory_node *node,
                                              const char *name, size_t len)
{
    epio__memory_entry *entry = calloc(1, sizeof *entry + len + 1);
    if (entry != NULL) {
        memcpy(entry->name, name, len);
        entry->len = (uint32_t)len;
        entry->priority = next_priority(tree);
        entry->node = node;
        node->references++;
    }
    return entry;
}

/* What a node has to know of its name, once it has it. */
static void note_name(epio__memory_node *directory, epio__memory_entry *entry)
{
    epio__memory_node *node = entry->node;
    entry->directory = directory;
    epio_list_append(&node->names, &entry->other);
    if (!epio__memory_is_directory(node)) {
        node->links++;
        return;
    }
    epio__memory_node *before = node->parent;
    node->name = entry;
    node->parent = directory;
    directory->references++;
    directory->links++;
    epio__memory_node_release(before);
}

/* A directory that is moved gets its new name first. */
static void forget_name(epio__memory_node *directory, epio__memory_entry *entry)
{
    epio__memory_node *node = entry->node;
    epio_list_remove(&entry->other);
    if (!epio__memory_is_directory(node)) {
        node->links--;
        return;
    }
    directory->links--;
    if (node->name == entry) {
        node->name = NULL;
    }
}

void epio__memory_entry_insert(epio__memory_node *directory, epio__memory_entry *entry)
{
    treap_insert(&directory->entries, entry);
    note_name(directory, entry);
    epio__memory_note_modified(directory);
}

void epio__memory_entry_remove(epio__memory_node *directory, epio__memory_entry *entry)
{
    treap_remove(slot_of(directory, entry));
    forget_name(directory, entry);
    epio__memory_note_modified(directory);
    epio__memory_note_changed(entry->node);
    epio__memory_node_release(entry->node);
    free(entry);
}

void epio__memory_entry_exchange(epio__memory_node *directory, epio__memory_entry *entry,
                                 epio__memory_node *other_directory, epio__memory_entry *other)
{
    epio__memory_node *node = entry->node;
    forget_name(directory, entry);
    forget_name(other_directory, other);
    entry->node = other->node;
    other->node = node;
    note_name(directory, entry);
    note_name(other_directory, other);
    epio__memory_note_modified(directory);
    epio__memory_note_modified(other_directory);
    epio__memory_note_changed(entry->node);
    epio__memory_note_changed(other->node);
}
