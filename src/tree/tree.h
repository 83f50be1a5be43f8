/* What is done to all that is in a directory, by several threads: what copying and removing a tree
 * share. tree.c has the threads and what they do next, tree_open.c which directories are open; what
 * becomes of an entry is its type's, copy_tree.c's or remove_tree.c's.
 *
 * Directories that wait are in a stack: what was found last is done first, and a directory whose
 * list goes on lies below those that were found in it. A directory ends when its list, what threads
 * do in it and all directories in it have ended. */
#ifndef EPIO_TREE_TREE_H
#define EPIO_TREE_TREE_H

#include "document/calls.h"
#include "document/copy_file.h"
#include "platform.h"

#include <epio/tree.h>

/* Of a list of names: short, so that other threads get the next one. */
#define EPIO__TREE_LIST ((size_t)16 << 10)

/* Names that were listed, and were not looked at when their directory had to be closed. */
typedef struct epio__tree_names {
    struct epio__tree_names *next;
    size_t len;
    uint64_t data[EPIO__TREE_LIST / sizeof(uint64_t)];
} epio__tree_names;

typedef struct epio__tree_node {
    struct epio__tree_node *parent; /* NULL: the root. Not changed, as the next */
    size_t depth;
    bool by_link; /* its name is a symbolic link's */

    /* Guarded by the tree's mutex. */
    struct epio__tree_node *next; /* in the stack */
    epio_node all;                /* among all of the tree */
    epio_node open;               /* among those that can be closed for others */
    size_t refs; /* 1 until it is listed, 1 in the stack, 1 for each thread in it and each child */
    uint32_t pins; /* threads that use its files */
    bool waits;    /* it is in the stack */
    bool busy;     /* a thread closes its files, or opens them again */
    bool listed;   /* to its end */
    bool left;     /* something in it was skipped */
    epio__tree_names *names;
    bool names_are_all; /* the list has no more */
    int32_t list_error; /* at its end */

    /* Of the thread that opens it, then not changed. */
    bool entered;
    epio_file *files[2]; /* the target is the second; NULL: not open */
    bool identified[2];
    uint64_t device[2];
    uint64_t id[2][2];

    /* Of the tree's type. */
    epio_info info;
    bool made;        /* the target */
    uint32_t passes;  /* in vain */
    uint32_t changes; /* atomic */

    size_t name_len;
    char name[];
} epio__tree_node;

typedef struct epio__tree epio__tree;

/* One thread's. */
typedef struct epio__tree_thread {
    epio__tree *tree;
    epio__copier copier;
    uint64_t *list;
    char shown[512]; /* the end of the path of a directory, and a name */
    size_t shown_len;
    uint64_t done;       /* until it ends */
    epio__tree_node *in; /* where it copies a file */
    const epio__tree_node *shown_node;
} epio__tree_thread;

/* In what follows 0 is success and an error asks what becomes of it. Where a thread is in a
 * directory its files are open. */
typedef struct epio__tree_type {
    uint32_t files; /* of a directory: 1, or 2 with a target */

    /* Opens the files of a directory, whose parent's are open: 0; 1: there is nothing to be done in
     * it, and no file is open. */
    int64_t (*enter)(epio__tree_thread *thread, epio__tree_node *node);
    int64_t (*visit)(epio__tree_thread *thread, epio__tree_node *node, const epio_entry *entry);
    /* After all that is in it: 0; 1: it is to be entered once more. */
    int64_t (*leave)(epio__tree_thread *thread, epio__tree_node *node);
} epio__tree_type;

struct epio__tree {
    /* The terms, set by whoever runs it. */
    const epio__tree_type *type;
    epio__procedure *procedure;
    epio_vfs *vfs;
    epio_vfs *to_vfs;
    const char *path;
    const char *to;
    uint32_t flags;
    uint32_t threads;
    epio_tree_decide *decide;
    bool over_links; /* a copy of a file: a symbolic link at its target is replaced */
    bool must;       /* it is done although the procedure was stopped, and what fails is skipped */

    epio__mutex mutex;
    epio__condition changed;

    /* The rest of these is guarded. */
    epio__tree_node *stack;
    epio__tree_node *root;
    epio_node all;
    epio_node open;
    size_t alive;   /* nodes */
    size_t waiting; /* threads */
    size_t open_count;
    size_t most_open;
    uint32_t stop; /* atomic */
    int64_t error;
    epio__failure failure;
    uint64_t done;
    uint64_t skipped;
    epio_info copied; /* what was at `path` when it was copied */

    /* Of copies: what has several names, and what is known of the root of the target. */
    struct epio__tree_links *links;
    bool made; /* the target, or it was a file or link */
    epio_info root_info;
};

/* Does all of it: how much was done, or the error, with tree->failure. The terms are set, the rest
 * is 0. */
int64_t epio__tree_run(epio__tree *tree);

/* ---- Whole trees, for verbs ---- */

/* The terms are set but for the type. Copies, or removes, what is at tree->path, whatever it is. */
int64_t epio__tree_copy(epio__tree *tree);
int64_t epio__tree_remove(epio__tree *tree);

/* The same of a path of the user's: not of a root. */
int64_t epio__tree_remove_path(epio__tree *tree);

/* Fills the terms from an op's options. */
void epio__tree_take_terms(epio__tree *tree, epio__procedure *procedure);

/* Of a verb with such options, `known` being its flags. */
void epio__tree_require(epio_op *op, const epio_tree_options *options, uint32_t known);

/* Gives the op of the procedure what is known of the failure that is its result. */
void epio__tree_explain(const epio__tree *tree, int64_t result);

/* ---- For types ---- */

bool epio__tree_stopped(const epio__tree *tree);

/* epio__copier_perform, or if the tree must, whatever happens. */
int64_t epio__tree_perform(epio__tree_thread *thread, epio_op *op);

/* epio_file_stat, likewise; `info` is cleared, but for its size. */
int64_t epio__tree_stat_file(epio__tree_thread *thread, epio_file *file, epio_info *info);

/* The VFS of the directory's file, or for the root's parent that of the tree. */
epio_vfs *epio__tree_vfs(const epio__tree *tree, const epio__tree_node *node, uint32_t which);

/* A directory in this one is to be entered: 0. */
int64_t epio__tree_found(epio__tree_thread *thread, epio__tree_node *parent, const char *name,
                         bool by_link);

/* One more is done. */
void epio__tree_count(epio__tree_thread *thread);

/* Something in it was left out. */
void epio__tree_skip(epio__tree_thread *thread, epio__tree_node *node);

/* The path of an entry relative to the tree, of the directory itself if `name` is NULL: memory, or
 * NULL. */
char *epio__tree_path(const epio__tree_node *node, const char *name);

/* ---- Open directories: tree_open.c ---- */

/* Opens a directory for the first time, by the type: see `enter`. */
int64_t epio__tree_enter(epio__tree_thread *thread, epio__tree_node *node);

/* Keeps the files of one that was entered open, and opens them again if need be: 0. */
int64_t epio__tree_hold(epio__tree_thread *thread, epio__tree_node *node);
void epio__tree_release(epio__tree_thread *thread, epio__tree_node *node);

/* Nobody holds it: closes its files. */
void epio__tree_close(epio__tree_thread *thread, epio__tree_node *node);

/* There are no more descriptors: closes some, and fewer stay open from now on. False: there are as
 * few as can be. */
bool epio__tree_shrink(epio__tree_thread *thread);

/* Another part of the list, in thread->list: its length; 0: it has ended. */
int64_t epio__tree_list(epio__tree_thread *thread, epio__tree_node *node);

#endif
