/* The nodes of the memory VFS (files, directories, symbolic links), and the entries of directories,
 * in a tree by name. What a path leads to is memory_path.h's; the rules for changing names are
 * memory_names.h's; the bytes of a file memory_contents.h's. The mutex under which all this is used
 * is memory.c's. */
#ifndef EPIO_LAYERS_MEMORY_NODE_H
#define EPIO_LAYERS_MEMORY_NODE_H

#include "fatal.h"
#include "layers/memory_contents.h"
#include "locks/lock.h"

#include <stdbool.h>

#define EPIO__MEMORY_NAME_LIMIT 255

typedef struct epio__memory_node epio__memory_node;

/* A name in a directory. */
typedef struct epio__memory_entry {
    struct epio__memory_entry *less;
    struct epio__memory_entry *more;
    epio__memory_node *node;
    epio__memory_node *directory;
    epio_node other;   /* among the names of its node */
    uint32_t priority; /* not below those of the two under it */
    uint32_t len;
    char name[]; /* ends with a NUL */
} epio__memory_entry;

/* An extended attribute. */
typedef struct epio__memory_attribute {
    struct epio__memory_attribute *next;
    size_t name_size;
    size_t len;   /* of the value */
    char bytes[]; /* the name with its NUL, then the value */
} epio__memory_attribute;

/* Whether a name still refers to it or not. */
struct epio__memory_node {
    epio_node all;       /* among the tree's nodes */
    uint64_t references; /* open files, names, and directories whose parent it is */
    uint64_t id;
    uint32_t type; /* EPIO_TYPE_... */
    uint32_t mode; /* POSIX mode bits */
    uint32_t user;
    uint32_t group;
    uint64_t links;  /* names; of a directory instead the directories in it */
    epio_node names; /* as many entries; of a directory one, or none */
    bool temporary;  /* made without a name, and has had none since */
    int64_t born;
    int64_t modified;
    int64_t changed;
    int64_t accessed;

    epio__lock_node lock;
    epio__memory_contents contents; /* of a file */
    char *target;                   /* of a symbolic link */
    epio__memory_attribute *attributes;

    /* Of a directory: */
    epio__memory_entry *entries;
    epio__memory_node *parent; /* the root's is itself; kept when the directory is removed */
    epio__memory_entry *name;  /* in the parent; NULL: the root, or removed */
    epio_node watches;         /* of this directory; memory_watch.h's */
};

/* Zeroed it is empty. */
typedef struct epio__memory_tree {
    epio_node nodes;
    epio__memory_node *root;
    uint64_t last_id;
    uint64_t priorities; /* state of a pseudo-random sequence */
    size_t watches;      /* of all nodes */
    uint32_t device;
} epio__memory_tree;

/* 0 or EPIO_ENOMEM. */
int epio__memory_tree_init(epio__memory_tree *tree);
/* Frees all nodes. */
void epio__memory_tree_free(epio__memory_tree *tree);

/* ---- Nodes ---- */

/* An empty one without a name, with one reference, the caller's; NULL: no memory. */
epio__memory_node *epio__memory_node_create(epio__memory_tree *tree, uint32_t type, uint32_t mode);

/* The last reference frees it. */
void epio__memory_node_release(epio__memory_node *node);

static inline bool epio__memory_is_directory(const epio__memory_node *node)
{
    return node->type == EPIO_TYPE_DIRECTORY;
}

/* A directory that was removed, and is still open or the parent of another such. */
static inline bool epio__memory_is_removed(const epio__memory_node *directory)
{
    EPIO__ASSERT(directory != NULL);
    return directory->name == NULL && directory->parent != directory;
}

/* The owner's permissions, which are all that count. */
#define EPIO__MEMORY_READ 0400u
#define EPIO__MEMORY_WRITE 0200u
#define EPIO__MEMORY_SEARCH 0100u

static inline bool epio__memory_permits(const epio__memory_node *node, uint32_t permissions)
{
    EPIO__ASSERT(node != NULL);
    return (node->mode & permissions) == permissions;
}

/* ---- Times ---- */

void epio__memory_note_modified(epio__memory_node *node); /* and changed */
void epio__memory_note_changed(epio__memory_node *node);
/* At most once after each change, as Linux does (relatime). */
void epio__memory_note_accessed(epio__memory_node *node);

/* ---- Entries ---- */

/* NULL: there is none. */
epio__memory_entry *epio__memory_entry_find(const epio__memory_node *directory, const char *name,
                                            size_t len);

/* The first entry behind that name, in the order of bytes; an empty name is before all. NULL: there
 * is none. */
epio__memory_entry *epio__memory_entry_after(const epio__memory_node *directory, const char *name,
                                             size_t len);

/* A name for a node, and a reference to that; in no directory yet. NULL: no memory. */
epio__memory_entry *epio__memory_entry_create(epio__memory_tree *tree, epio__memory_node *node,
                                              const char *name, size_t len);

/* Adds an entry to a directory that does not have the name: its node has one name more. */
void epio__memory_entry_insert(epio__memory_node *directory, epio__memory_entry *entry);

/* Removes an entry, and frees it: its node has one name less. */
void epio__memory_entry_remove(epio__memory_node *directory, epio__memory_entry *entry);

/* Exchanges the nodes of two entries. */
void epio__memory_entry_exchange(epio__memory_node *directory, epio__memory_entry *entry,
                                 epio__memory_node *other_directory, epio__memory_entry *other);

#endif
