/* The names of the memory VFS, and the files that they refer to: resolving a path; finding, adding,
 * removing and moving a name. A directory is there as long as a name is below it.
 *
 * The bytes of a file are memory_contents.h's. Ops, open files and the mutex under which all this
 * is used are memory.c's. */
#ifndef EPIO_LAYERS_MEMORY_NAMES_H
#define EPIO_LAYERS_MEMORY_NAMES_H

#include "layers/memory_contents.h"
#include "locks/lock.h"

#include <stdbool.h>

/* ---- Files ---- */

/* A file, whether a name still refers to it or not. */
typedef struct epio__memory_node {
    char *name;          /* as in epio__memory_path; NULL: it has none, or it was removed */
    uint32_t mode;       /* POSIX mode bits */
    uint64_t references; /* open files, and one for the name */
    epio__memory_contents contents;
    epio__lock_node lock;
} epio__memory_node;

/* An empty file with one reference, the caller's; NULL: no memory. */
epio__memory_node *epio__memory_node_create(uint32_t mode);

/* The last reference frees it. */
void epio__memory_node_release(epio__memory_node *node);

/* `directions`: EPIO_OPEN_READ and EPIO_OPEN_WRITE; other flags are ignored. */
bool epio__memory_node_permits(const epio__memory_node *node, uint32_t directions);

/* ---- Paths ---- */

/* The usual limits: a path with its NUL, a part of it without. */
#define EPIO__MEMORY_PATH_SIZE 4096
#define EPIO__MEMORY_PART_LIMIT 255

/* A resolved path. */
typedef struct epio__memory_path {
    char name[EPIO__MEMORY_PATH_SIZE + 2]; /* "/part/part", the root is ""; room for one slash */
    size_t len;
    size_t index;   /* among the names: where the file is or would be */
    bool directory; /* written as a directory's, with a slash or dots at its end */
    bool vacant;    /* there is no file, and one could be made */
} epio__memory_path;

/* ---- Names ---- */

/* Zeroed it is empty. */
typedef struct epio__memory_names {
    epio__memory_node **nodes; /* sorted by name */
    size_t count;
    size_t capacity;
} epio__memory_names;

/* Resolves a path. 0 if it leads to a file; EPIO_ENOENT; EPIO_EISDIR for a directory; EPIO_ENOTDIR
 * if it needs a directory where a file is; EPIO_ENAMETOOLONG. */
int epio__memory_names_find(const epio__memory_names *names, const char *path,
                            epio__memory_path *found);

/* The file that a path was found to lead to. */
epio__memory_node *epio__memory_names_node(const epio__memory_names *names,
                                           const epio__memory_path *found);

/* Gives the node the name of a vacant path, and takes over its reference. 0 or EPIO_ENOMEM. */
int epio__memory_names_add(epio__memory_names *names, const epio__memory_path *vacant,
                           epio__memory_node *node);

/* Removes the name, and releases its reference. */
void epio__memory_names_remove(epio__memory_names *names, const epio__memory_path *found);

/* Gives the file another name, which is vacant or another file's, replaced. 0 or EPIO_ENOMEM. */
int epio__memory_names_move(epio__memory_names *names, const epio__memory_path *from,
                            const epio__memory_path *to);

void epio__memory_names_remove_all(epio__memory_names *names);

/* True if the path is below that directory, whether something is there or not. */
bool epio__memory_path_is_below(const epio__memory_path *directory, const char *path);

#endif
