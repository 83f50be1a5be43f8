/* See watch_tree.h: nodes, inodes, names. */
#include "posix/watch_tree.h"

#include "list.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

/* ---- Nodes ---- */

static uint64_t hash_of(const epio__watch_node *parent, const char *name)
{
    return epio__hash_name((uint64_t)(uintptr_t)parent, name);
}

static epio__watch_node *node_of_link(epio__table_link *link)
{
    return EPIO_CONTAINER(link, epio__watch_node, link);
}

epio__watch_node *epio__watch_node_find(const epio__watch_node *parent, const char *name)
{
    epio__table_link *link = epio__table_first(&parent->tree->source->nodes, hash_of(parent, name));
    for (; link != NULL; link = epio__table_next(link)) {
        epio__watch_node *node = node_of_link(link);
        if (node->parent == parent && strcmp(node->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

epio__watch_node *epio__watch_node_add(epio__watch_tree *tree, epio__watch_node *parent,
                                       const char *name)
{
    epio__watch_node *node = calloc(1, sizeof *node);
    char *own = strdup(name);
    if (node == NULL || own == NULL ||
        !epio__table_add(&tree->source->nodes, &node->link, hash_of(parent, name))) {
        free(node);
        free(own);
        return NULL;
    }
    node->tree = tree;
    node->parent = parent;
    node->name = own;
    epio_list_init(&node->children);
    if (parent != NULL) {
        epio_list_append(&parent->children, &node->sibling);
    }
    return node;
}

bool epio__watch_node_move(epio__watch_node *node, epio__watch_node *parent, const char *name)
{
    epio__table *nodes = &node->tree->source->nodes;
    char *own = strdup(name);
    if (own == NULL) {
        return false;
    }
    epio__table_remove(nodes, &node->link);
    epio_list_remove(&node->sibling);
    free(node->name);
    node->name = own;
    node->parent = parent;
    epio_list_append(&parent->children, &node->sibling);
    (void)epio__table_add(nodes, &node->link, hash_of(parent, name)); /* it had room */
    return true;
}

static void free_node(epio__watch_node *node)
{
    epio__watch_node_settle(node);
    epio__watch_node_detach(node);
    epio_list_remove(&node->waiting);
    epio_list_remove(&node->sibling);
    epio__table_remove(&node->tree->source->nodes, &node->link);
    free(node->name);
    free(node);
}

bool epio__watch_node_drop(epio__watch_node *node, size_t most)
{
    epio__watch_node *at = node;
    while (most-- > 0) {
        while (!epio_list_empty(&at->children)) {
            at = EPIO_CONTAINER(at->children.next, epio__watch_node, sibling);
        }
        epio__watch_node *parent = at->parent;
        bool last = at == node;
        free_node(at);
        if (last) {
            return true;
        }
        at = parent;
    }
    return false;
}

bool epio__watch_node_is_below(const epio__watch_node *node, const epio__watch_node *above)
{
    while (node != NULL && node != above) {
        node = node->parent;
    }
    return node != NULL;
}

/* ---- Inodes ---- */

epio__watch_inode *epio__watch_inode_find(const epio__watch_source *source, int wd)
{
    epio__table_link *link = epio__table_first(&source->inodes, (uint64_t)wd);
    return link != NULL ? EPIO_CONTAINER(link, epio__watch_inode, link) : NULL;
}

epio__watch_node *epio__watch_node_of(const epio__watch_inode *inode, const epio__watch_tree *tree)
{
    epio__watch_node *node = inode->nodes;
    while (node != NULL && node->tree != tree) {
        node = node->next_of_inode;
    }
    return node;
}

epio__watch_node *epio__watch_node_of_wd(const epio__watch_tree *tree, int wd)
{
    const epio__watch_inode *inode = epio__watch_inode_find(tree->source, wd);
    return inode != NULL ? epio__watch_node_of(inode, tree) : NULL;
}

bool epio__watch_node_attach(epio__watch_node *node, int wd, uint64_t device, uint64_t number)
{
    epio__watch_source *source = node->tree->source;
    epio__watch_inode *inode = epio__watch_inode_find(source, wd);
    if (inode == NULL) {
        inode = calloc(1, sizeof *inode);
        if (inode == NULL || !epio__table_add(&source->inodes, &inode->link, (uint64_t)wd)) {
            free(inode);
            (void)inotify_rm_watch(source->queue.descriptor, wd);
            return false;
        }
        inode->wd = wd;
        inode->device = device;
        inode->number = number;
    }
    node->inode = inode;
    node->next_of_inode = inode->nodes;
    inode->nodes = node;
    return true;
}

void epio__watch_node_detach(epio__watch_node *node)
{
    epio__watch_source *source = node->tree->source;
    epio__watch_inode *inode = node->inode;
    if (inode == NULL) {
        return;
    }
    epio__watch_node **at = &inode->nodes;
    while (*at != node) {
        at = &(*at)->next_of_inode;
    }
    *at = node->next_of_inode;
    node->inode = NULL;
    if (inode->nodes == NULL) {
        (void)inotify_rm_watch(source->queue.descriptor, inode->wd);
        epio__table_remove(&source->inodes, &inode->link);
        free(inode);
    }
}

void epio__watch_inode_forget(epio__watch_source *source, epio__watch_inode *inode)
{
    for (epio__watch_node *node = inode->nodes; node != NULL; node = node->next_of_inode) {
        node->inode = NULL;
    }
    epio__table_remove(&source->inodes, &inode->link);
    free(inode);
}

/* ---- Names in a window ---- */

typedef struct known_name {
    epio__table_link link;
    char name[];
} known_name;

static known_name *find_name(const epio__watch_node *node, const char *name)
{
    epio__table_link *link = epio__table_first(&node->names, epio__hash_name(0, name));
    while (link != NULL) {
        known_name *found = EPIO_CONTAINER(link, known_name, link);
        if (strcmp(found->name, name) == 0) {
            return found;
        }
        link = epio__table_next(link);
    }
    return NULL;
}

static bool has_window(const epio__watch_node *node)
{
    return node->in_window.next != NULL;
}

bool epio__watch_node_knows(const epio__watch_node *node, const char *name)
{
    return find_name(node, name) != NULL;
}

void epio__watch_node_note(epio__watch_node *node, const char *name)
{
    if (!has_window(node) || find_name(node, name) != NULL) {
        return;
    }
    size_t len = strlen(name);
    known_name *added = malloc(sizeof *added + len + 1);
    if (added == NULL || !epio__table_add(&node->names, &added->link, epio__hash_name(0, name))) {
        free(added);
        epio__watch_tree_break(node->tree, ENOMEM);
        return;
    }
    memcpy(added->name, name, len + 1);
}

void epio__watch_node_unnote(epio__watch_node *node, const char *name)
{
    known_name *found = find_name(node, name);
    if (found != NULL) {
        epio__table_remove(&node->names, &found->link);
        free(found);
    }
}

void epio__watch_node_open_window(epio__watch_node *node)
{
    epio_list_append(&node->tree->source->windows, &node->in_window);
    node->window_end = UINT64_MAX;
}

void epio__watch_node_settle(epio__watch_node *node)
{
    for (size_t i = 0; i < node->names.capacity; i++) {
        while (node->names.buckets[i] != NULL) {
            epio__table_link *link = node->names.buckets[i];
            node->names.buckets[i] = link->next;
            free(EPIO_CONTAINER(link, known_name, link));
        }
    }
    node->names.count = 0;
    epio__table_free(&node->names);
    epio_list_remove(&node->in_window);
}

/* ---- Reports ---- */

static bool reserve(char **room, size_t *capacity, size_t size)
{
    if (size > *capacity) {
        char *larger = realloc(*room, size * 2);
        if (larger == NULL) {
            return false;
        }
        *room = larger;
        *capacity = size * 2;
    }
    return true;
}

bool epio__watch_node_path(const epio__watch_node *node, const char *prefix, const char *name,
                           char **room, size_t *capacity)
{
    size_t start = strlen(prefix);
    size_t len = start + strlen(name);
    for (const epio__watch_node *at = node; at->parent != NULL; at = at->parent) {
        len += strlen(at->name) + 1;
    }
    if (!reserve(room, capacity, len + 1)) {
        return false;
    }
    memcpy(*room, prefix, start);
    char *to = *room + len - strlen(name);
    memcpy(to, name, strlen(name) + 1);
    for (const epio__watch_node *at = node; at->parent != NULL; at = at->parent) {
        size_t part = strlen(at->name);
        *--to = '/';
        to -= part;
        memcpy(to, at->name, part);
    }
    return true;
}

void epio__watch_tree_report(epio__watch_node *node, uint32_t kind, uint32_t type, const char *name,
                             const epio__watch_node *from_node, const char *from)
{
    epio__watch_tree *tree = node->tree;
    epio__watch_source *source = tree->source;
    if (!tree->live) {
        return;
    }
    if (!epio__watch_node_path(node, "", name, &source->path, &source->path_capacity) ||
        (from != NULL &&
         !epio__watch_node_path(from_node, "", from, &source->from, &source->from_capacity))) {
        epio__watch_tree_break(tree, ENOMEM);
        return;
    }
    epio__watch_report(tree->watch, kind, type, source->path, from != NULL ? source->from : NULL);
}

void epio__watch_tree_set_due(epio__watch_tree *tree)
{
    if (tree->in_due.next == NULL) {
        epio_list_append(&tree->source->due, &tree->in_due);
    }
}

void epio__watch_tree_lose(epio__watch_tree *tree, int error)
{
    tree->lost = true;
    tree->error = error;
    epio__watch_tree_set_due(tree);
}

void epio__watch_tree_break(epio__watch_tree *tree, int error)
{
    tree->broken = true;
    tree->source->is_starved = true;
    epio__watch_tree_lose(tree, error);
}
