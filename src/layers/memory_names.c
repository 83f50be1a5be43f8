/* The names of the memory VFS in a sorted array, and the nodes of its files. */
#include "layers/memory_names.h"

#include <stdlib.h>
#include <string.h>

#define OWNER_READ 0400u
#define OWNER_WRITE 0200u

/* ---- Files ---- */

epio__memory_node *epio__memory_node_create(uint32_t mode)
{
    epio__memory_node *node = calloc(1, sizeof *node);
    if (node != NULL) {
        node->mode = mode;
        node->references = 1;
        epio__lock_node_init(&node->lock);
    }
    return node;
}

void epio__memory_node_release(epio__memory_node *node)
{
    if (--node->references == 0) {
        epio__memory_resize(&node->contents, 0);
        epio__lock_node_destroy(&node->lock);
        free(node->name);
        free(node);
    }
}

bool epio__memory_node_permits(const epio__memory_node *node, uint32_t directions)
{
    return ((directions & EPIO_OPEN_READ) == 0 || (node->mode & OWNER_READ) != 0) &&
           ((directions & EPIO_OPEN_WRITE) == 0 || (node->mode & OWNER_WRITE) != 0);
}

/* ---- Paths ---- */

static void path_append(epio__memory_path *to, const char *part, size_t len)
{
    bool up = len == 2 && part[0] == '.' && part[1] == '.';
    if (up || len == 0 || (len == 1 && part[0] == '.')) {
        while (up && to->len > 0 && to->name[--to->len] != '/') {
        }
        to->directory = true;
        return;
    }
    to->name[to->len] = '/';
    memcpy(to->name + to->len + 1, part, len);
    to->len += 1 + len;
    to->directory = false;
}

/* 0 or EPIO_ENAMETOOLONG. */
static int path_resolve(epio__memory_path *to, const char *path)
{
    size_t len = strlen(path);
    to->len = 0;
    to->vacant = false;
    if (len >= EPIO__MEMORY_PATH_SIZE) {
        return EPIO_ENAMETOOLONG;
    }
    for (; *path != '\0'; path += len + (path[len] == '/')) {
        len = strcspn(path, "/");
        if (len > EPIO__MEMORY_PART_LIMIT) {
            return EPIO_ENAMETOOLONG;
        }
        path_append(to, path, len);
        to->directory = to->directory || path[len] == '/';
    }
    to->name[to->len] = '\0';
    return 0;
}

static char *copy_name(const epio__memory_path *path)
{
    char *name = malloc(path->len + 1);
    if (name != NULL) {
        memcpy(name, path->name, path->len + 1);
    }
    return name;
}

bool epio__memory_path_is_below(const epio__memory_path *directory, const char *path)
{
    epio__memory_path at;
    return path_resolve(&at, path) == 0 && at.len > directory->len &&
           strncmp(at.name, directory->name, directory->len) == 0 && at.name[directory->len] == '/';
}

/* ---- The array ---- */

/* Does a name begin with these characters? *index is the first, or where it would be. */
static bool has_prefix(const epio__memory_names *names, const char *prefix, size_t len,
                       size_t *index)
{
    size_t low = 0;
    size_t high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(names->nodes[middle]->name, prefix, len) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *index = low;
    return low < names->count && strncmp(names->nodes[low]->name, prefix, len) == 0;
}

/* The whole name sorts before longer names that begin with it. */
static bool has_name(const epio__memory_names *names, const char *name, size_t len, size_t *index)
{
    return has_prefix(names, name, len, index) && names->nodes[*index]->name[len] == '\0';
}

/* Is it a directory, because other names are below it? */
static bool has_names_below(const epio__memory_names *names, epio__memory_path *path)
{
    size_t index;
    path->name[path->len] = '/';
    bool found = has_prefix(names, path->name, path->len + 1, &index);
    path->name[path->len] = '\0';
    return found;
}

/* False if there is no memory. After take_out it always succeeds. */
static bool insert(epio__memory_names *names, size_t index, epio__memory_node *node)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity > 0 ? 2 * names->capacity : 16;
        epio__memory_node **nodes = realloc(names->nodes, capacity * sizeof(epio__memory_node *));
        if (nodes == NULL) {
            return false;
        }
        names->nodes = nodes;
        names->capacity = capacity;
    }
    epio__memory_node **at = names->nodes + index;
    memmove(at + 1, at, (names->count - index) * sizeof(epio__memory_node *));
    names->count++;
    *at = node;
    return true;
}

static epio__memory_node *take_out(epio__memory_names *names, size_t index)
{
    epio__memory_node **at = names->nodes + index;
    epio__memory_node *node = *at;
    names->count--;
    memmove(at, at + 1, (names->count - index) * sizeof(epio__memory_node *));
    return node;
}

static void remove_at(epio__memory_names *names, size_t index)
{
    epio__memory_node *node = take_out(names, index);
    free(node->name);
    node->name = NULL;
    epio__memory_node_release(node);
}

/* ---- Names ---- */

int epio__memory_names_find(const epio__memory_names *names, const char *path,
                            epio__memory_path *found)
{
    int result = path_resolve(found, path);
    if (result < 0) {
        return result;
    }
    for (size_t i = 1; i < found->len; i++) {
        if (found->name[i] == '/' && has_name(names, found->name, i, &found->index)) {
            return EPIO_ENOTDIR;
        }
    }
    if (found->len == 0 || has_names_below(names, found)) {
        return EPIO_EISDIR;
    }
    if (has_name(names, found->name, found->len, &found->index)) {
        return found->directory ? EPIO_ENOTDIR : 0;
    }
    found->vacant = true;
    return EPIO_ENOENT;
}

epio__memory_node *epio__memory_names_node(const epio__memory_names *names,
                                           const epio__memory_path *found)
{
    return names->nodes[found->index];
}

int epio__memory_names_add(epio__memory_names *names, const epio__memory_path *vacant,
                           epio__memory_node *node)
{
    char *name = copy_name(vacant);
    if (name == NULL || !insert(names, vacant->index, node)) {
        free(name);
        return EPIO_ENOMEM;
    }
    node->name = name;
    return 0;
}

void epio__memory_names_remove(epio__memory_names *names, const epio__memory_path *found)
{
    remove_at(names, found->index);
}

int epio__memory_names_move(epio__memory_names *names, const epio__memory_path *from,
                            const epio__memory_path *to)
{
    size_t index = from->index;
    char *name = copy_name(to);
    if (name == NULL) {
        return EPIO_ENOMEM;
    }
    if (!to->vacant) {
        remove_at(names, to->index);
        index -= to->index < index;
    }
    epio__memory_node *node = take_out(names, index);
    free(node->name);
    node->name = name;
    (void)has_name(names, name, to->len, &index);
    (void)insert(names, index, node);
    return 0;
}

void epio__memory_names_remove_all(epio__memory_names *names)
{
    while (names->count > 0) {
        remove_at(names, names->count - 1);
    }
    free(names->nodes);
    names->nodes = NULL;
    names->capacity = 0;
}
