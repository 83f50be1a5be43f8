/* What the random model of trees is made of, and the comparison of its two sides: see
 * test_tree_model_linux.c. */
#ifndef EPIO_TEST_TREE_MODEL_H
#define EPIO_TEST_TREE_MODEL_H

#include "support.h"

#include <epio/vfs.h>

enum {
    OPS = 200,
    HANDLES = 4,
    DEPTH = 60,      /* of the directory, so that no ".." leads out of the test's */
    MOST_NODES = 400 /* of a tree */
};

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define BASE HANDLES /* instead of a handle: where the tree is */
#define PATH_ROOM 512
#define LIST_ROOM 16384

/* Times that are set are before it, others behind. */
#define EARLIER INT64_C(1600000000000000000)

/* One op, for both sides. */
typedef struct action {
    uint32_t kind;
    size_t at;     /* the handle at which paths begin, or BASE */
    size_t handle; /* whose file it is; for an open where it goes */
    size_t second; /* whose file is copied */
    char path[PATH_ROOM];
    char to[PATH_ROOM]; /* another path, or the name of an attribute */
    uint32_t flags;
    uint64_t offset;
    uint64_t from_offset;
    size_t len;
    int64_t modified;
    int64_t accessed;
    uint32_t mode;
    uint32_t user;
    uint32_t group;
} action;

/* What came of it. */
typedef struct outcome {
    int64_t result;
    epio_info info;
    epio_file_system system;
    _Alignas(uint64_t) char buffer[LIST_ROOM];
} outcome;

typedef struct side {
    epio_vfs *vfs; /* the whole */
    epio_file *base;
    epio_file *handles[HANDLES];
    outcome last;
} side;

typedef struct world {
    fixture *f;
    side sides[2];           /* the system, memory */
    bool temporary[HANDLES]; /* its file was opened without a name */
    random_source random;
    uint64_t seed;
    char top[PATH_ROOM];         /* the absolute path of the sequence's directory */
    char absolute[PATH_ROOM];    /* and of the tree */
    bool privileged;             /* may change owners */
    bool exchanges;              /* the system can */
    bool attributes;             /* the system has */
    bool nameless;               /* the system has files without names */
    bool counts;                 /* the system counts a directory's subdirectories as links */
    bool lacks[EPIO_KIND_COUNT]; /* verbs of space that the system does not have */
    action log[OPS];
    size_t done;
} world;

/* The results of an op, and what it has read. */
void model_compare_outcomes(const world *w, const action *one);

/* All that is in both trees; `contents`: also what is in files and attributes. */
void model_compare_trees(const world *w, bool contents);

typedef struct name_list {
    const epio_entry *entries[64];
    size_t count;
    _Alignas(uint64_t) char buffer[LIST_ROOM];
} name_list;

/* The entries of the `len` bytes in list->buffer, by name. */
void model_sort_entries(name_list *list, size_t len);

#endif
