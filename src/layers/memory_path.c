/* See memory_path.h. The order of checks is Linux's, which decides between errors. */
#include "layers/memory_path.h"

#include <string.h>

/* Links followed per path, as on Linux. */
#define MOST_LINKS 40

/* ---- Steps ---- */

static const char *behind_slashes(const char *path)
{
    return path + strspn(path, "/");
}

/* Sets the next part of the path; returns what follows it. */
static const char *next_part(epio__memory_walk *walk, const char *path)
{
    size_t len = strcspn(path, "/");
    walk->name = path;
    walk->len = len;
    walk->slash = path[len] == '/';
    walk->last = EPIO__MEMORY_LAST_NAME;
    if (len == 0) {
        walk->last = EPIO__MEMORY_LAST_ROOT;
    } else if (path[0] == '.' && len == 1) {
        walk->last = EPIO__MEMORY_LAST_DOT;
    } else if (path[0] == '.' && path[1] == '.' && len == 2) {
        walk->last = EPIO__MEMORY_LAST_DOTS;
    }
    return behind_slashes(path + len);
}

int epio__memory_walk_name(epio__memory_walk *walk)
{
    walk->entry = NULL;
    walk->node = NULL;
    if (epio__memory_is_removed(walk->directory)) {
        return EPIO_ENOENT;
    }
    if (walk->len > EPIO__MEMORY_NAME_LIMIT) {
        return EPIO_ENAMETOOLONG;
    }
    walk->entry = epio__memory_entry_find(walk->directory, walk->name, walk->len);
    walk->node = walk->entry != NULL ? walk->entry->node : NULL;
    return 0;
}

static bool leads_out(const epio__memory_walk *walk)
{
    return walk->from->confines && walk->last == EPIO__MEMORY_LAST_DOTS &&
           walk->directory == walk->from->directory;
}

/* Walks one part, from walk->directory to walk->node. *target: it is a link, whose target has to be
 * walked from walk->directory first. */
static int step(epio__memory_walk *walk, bool follow, const char **target)
{
    *target = NULL;
    walk->node = walk->directory;
    if (walk->last == EPIO__MEMORY_LAST_DOTS) {
        walk->node = walk->directory->parent;
    }
    if (walk->last != EPIO__MEMORY_LAST_NAME) {
        return 0;
    }
    int result = epio__memory_walk_name(walk);
    if (result < 0 || walk->node == NULL) {
        return result < 0 ? result : EPIO_ENOENT;
    }
    if (walk->node->type != EPIO_TYPE_LINK || !follow) {
        return 0;
    }
    if (walk->links++ >= MOST_LINKS) {
        return EPIO_ELOOP;
    }
    epio__memory_note_accessed(walk->node);
    *target = walk->node->target;
    if (**target == '/' && walk->from->confines) {
        return EPIO_EACCES;
    }
    if (**target == '/') {
        walk->directory = walk->from->tree->root;
        walk->node = walk->directory;
        *target = behind_slashes(*target);
        *target = **target != '\0' ? *target : NULL;
    }
    return 0;
}

/* Walks all parts but the last, which may not be that of a link's target: the rest of the path
 * waits while a link is followed. */
static int walk_directories(epio__memory_walk *walk, const char *path)
{
    const char *rest[MOST_LINKS];
    size_t depth = 0;
    for (;;) {
        const char *target;
        if (!epio__memory_permits(walk->directory, EPIO__MEMORY_SEARCH)) {
            return EPIO_EACCES;
        }
        path = next_part(walk, path);
        if (leads_out(walk)) {
            return EPIO_EACCES;
        }
        if (*path == '\0') {
            if (depth == 0) {
                return 0;
            }
            path = rest[--depth];
        }
        int result = step(walk, true, &target);
        if (result < 0) {
            return result;
        }
        if (target != NULL) {
            rest[depth++] = path;
            path = target;
            continue;
        }
        if (!epio__memory_is_directory(walk->node)) {
            return EPIO_ENOTDIR;
        }
        walk->directory = walk->node;
    }
}

/* ---- Walks ---- */

int epio__memory_walk_begin(epio__memory_walk *walk, const epio__memory_start *from,
                            const char *path)
{
    memset(walk, 0, sizeof *walk);
    if (strlen(path) >= EPIO__MEMORY_PATH_SIZE) {
        return EPIO_ENAMETOOLONG;
    }
    if (path[0] == '/' && from->confines) {
        return EPIO_EACCES;
    }
    walk->from = from;
    walk->directory = path[0] == '/' ? from->tree->root : from->directory;
    path = behind_slashes(path);
    if (*path == '\0') {
        (void)next_part(walk, path);
        return 0;
    }
    int result = walk_directories(walk, path);
    if (result == 0 && from->confines && walk->last == EPIO__MEMORY_LAST_DOTS) {
        /* As POSIX resolves such a path part by part: no call sees its "..". */
        walk->directory = walk->directory->parent;
        walk->last = EPIO__MEMORY_LAST_DOT;
    }
    return result;
}

int epio__memory_walk_to_end(epio__memory_walk *walk, uint32_t flags)
{
    for (;;) {
        const char *target;
        if (walk->last == EPIO__MEMORY_LAST_NAME && walk->slash) {
            if ((flags & EPIO__MEMORY_CREATE) != 0) {
                return EPIO_EISDIR;
            }
            flags |= EPIO__MEMORY_FOLLOW | EPIO__MEMORY_DIRECTORY;
        }
        int result = step(walk, (flags & EPIO__MEMORY_FOLLOW) != 0, &target);
        if (result == 0 && target != NULL) {
            result = walk_directories(walk, target);
            if (result == 0) {
                continue;
            }
        } else {
            walk->vacant = result == EPIO_ENOENT;
            walk->slash = walk->slash || (flags & EPIO__MEMORY_DIRECTORY) != 0;
        }
        if (result < 0) {
            return result;
        }
        bool wrong =
            (flags & EPIO__MEMORY_DIRECTORY) != 0 && !epio__memory_is_directory(walk->node);
        return wrong ? EPIO_ENOTDIR : 0;
    }
}

int epio__memory_walk_path(epio__memory_walk *walk, const epio__memory_start *from,
                           const char *path, uint32_t flags)
{
    int result = epio__memory_walk_begin(walk, from, path);
    return result == 0 ? epio__memory_walk_to_end(walk, flags) : result;
}

/* ---- Full paths ---- */

/* Puts a part in front of what is at *at. */
static bool prepend(char *full, size_t *at, const char *name, size_t len)
{
    if (*at < len + 1) {
        return false;
    }
    *at -= len + 1;
    full[*at] = '/';
    memcpy(full + *at + 1, name, len);
    return true;
}

int64_t epio__memory_full_path(const epio__memory_start *from, const char *path,
                               char full[EPIO__MEMORY_PATH_SIZE], bool *followed)
{
    epio__memory_walk walk;
    size_t at = EPIO__MEMORY_PATH_SIZE - 1;
    if (path[0] != '/' && !from->confines && epio__memory_is_removed(from->directory)) {
        return EPIO_ENOENT; /* there is no absolute path */
    }
    int result = epio__memory_walk_path(&walk, from, path, EPIO__MEMORY_FOLLOW);
    if (result < 0 && (!walk.vacant || walk.slash)) {
        return result;
    }
    full[at] = '\0';
    *followed = walk.links != 0;
    const epio__memory_node *directory = walk.node;
    bool fits = true;
    if (directory == NULL || !epio__memory_is_directory(directory)) {
        directory = walk.directory;
        fits = prepend(full, &at, walk.name, walk.len);
    }
    if (epio__memory_is_removed(directory)) {
        return EPIO_ENOENT;
    }
    for (; fits && directory->name != NULL; directory = directory->parent) {
        fits = prepend(full, &at, directory->name->name, directory->name->len);
    }
    if (fits && full[at] == '\0') {
        fits = prepend(full, &at, "", 0);
    }
    if (!fits) {
        return EPIO_ENAMETOOLONG;
    }
    memmove(full, full + at, EPIO__MEMORY_PATH_SIZE - at);
    return (int64_t)(EPIO__MEMORY_PATH_SIZE - 1 - at);
}
