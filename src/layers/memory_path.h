/* What paths of the memory VFS lead to: walking from directory to directory, through symbolic links
 * and "..", with the rules and errors of path_resolution(7). */
#ifndef EPIO_LAYERS_MEMORY_PATH_H
#define EPIO_LAYERS_MEMORY_PATH_H

#include "layers/memory_node.h"

/* A path with its NUL. */
#define EPIO__MEMORY_PATH_SIZE 4096

/* Where paths begin. */
typedef struct epio__memory_start {
    epio__memory_tree *tree;
    epio__memory_node *directory; /* of relative ones */
    bool confines;                /* what leads out of the directory is EPIO_EACCES */
} epio__memory_start;

/* What the last part of a path is. */
enum {
    EPIO__MEMORY_LAST_NAME,
    EPIO__MEMORY_LAST_DOT,
    EPIO__MEMORY_LAST_DOTS,
    EPIO__MEMORY_LAST_ROOT /* there is none: the path is all slashes */
};

/* A position in a walk. `name` points into the path or a link's target, and is valid until names
 * are changed. */
typedef struct epio__memory_walk {
    const epio__memory_start *from;
    epio__memory_node *directory; /* where the last part begins */
    const char *name;             /* the last part */
    size_t len;
    uint32_t last;             /* EPIO__MEMORY_LAST_... */
    bool slash;                /* slashes follow it, or a link that led to it */
    bool vacant;               /* all there but the last part, a name */
    epio__memory_entry *entry; /* after walk_name */
    epio__memory_node *node;   /* what the path leads to: after walk_name, walk_to_end */
    unsigned links;            /* followed so far */
} epio__memory_walk;

/* Walks all parts of the path but the last. `from` is to stay until the end of the walk. */
int epio__memory_walk_begin(epio__memory_walk *walk, const epio__memory_start *from,
                            const char *path);

/* Then looks up the last part, a name, and follows no link: 0 whether there is one or not.
 * EPIO_ENAMETOOLONG; EPIO_ENOENT if the directory was removed. */
int epio__memory_walk_name(epio__memory_walk *walk);

#define EPIO__MEMORY_FOLLOW 1u    /* the last part, too, if it is a link */
#define EPIO__MEMORY_DIRECTORY 2u /* else EPIO_ENOTDIR */
#define EPIO__MEMORY_CREATE 4u    /* of a file: EPIO_EISDIR for slashes at the end */

/* Or walks the last part: 0 and walk->node. EPIO_ENOENT, walk->vacant: the name behind
 * walk->directory is missing, which may be that of a link's target. */
int epio__memory_walk_to_end(epio__memory_walk *walk, uint32_t flags);

/* All of it. */
int epio__memory_walk_path(epio__memory_walk *walk, const epio__memory_start *from,
                           const char *path, uint32_t flags);

/* The absolute path, links resolved, its last part need not exist: its length or an error.
 * *followed: a link led there. */
int64_t epio__memory_full_path(const epio__memory_start *from, const char *path,
                               char full[EPIO__MEMORY_PATH_SIZE], bool *followed);

#endif
