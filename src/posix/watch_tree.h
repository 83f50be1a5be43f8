/* What inotify watches: the directories of each epio__watch as a tree of nodes, which has the names
 * that the events reported so far have led to. It may lag behind the file system, never behind the
 * events. All of it is guarded by the mutex of watch.c.
 *
 * A node is attached once its directory, an inode, is watched by the kernel. Events that were
 * queued before that are not its. Of those queued until its entries were listed it is not known
 * whether the list shows them already: that is its window, in which the names that were reported
 * are kept, and events only set or remove a name, whatever it was before. So the copy that a user
 * keeps is right as soon as the window has passed. Behind it events are exact.
 *
 * What the kernel is asked for may have happened already: a directory that was just made may be
 * found under another name, with its old one still in the tree. Then the old node is left: it has
 * no inode, and waits for the event that removes it. */
#ifndef EPIO_WATCH_TREE_H
#define EPIO_WATCH_TREE_H

#include "posix/posix.h"
#include "posix/watch_queue.h"
#include "posix/watch_table.h"

#include <limits.h>

typedef struct epio__watch_inode epio__watch_inode;
typedef struct epio__watch_node epio__watch_node;
typedef struct epio__watch_tree epio__watch_tree;
typedef struct epio__watch_source epio__watch_source;

/* A directory that the kernel watches: for one node of each tree at most. */
struct epio__watch_inode {
    epio__table_link link; /* by wd */
    int wd;
    uint64_t device;
    uint64_t number;
    epio__watch_node *nodes;
};

/* A directory as a tree has it. */
struct epio__watch_node {
    epio__table_link link; /* by parent and name */
    epio__watch_tree *tree;
    epio__watch_node *parent; /* NULL: the root */
    epio_node sibling;
    epio_node children;
    epio_node waiting;        /* in a list of its tree */
    epio__watch_inode *inode; /* NULL: not attached */
    epio__watch_node *next_of_inode;
    uint64_t from;       /* events before this position are not its */
    uint64_t window_end; /* before this position it is not known what an event changed */
    epio_node in_window; /* among the windows of the source */
    epio__table names;   /* in the window: all that was reported as there */
    char *name;
};

/* The last RENAMED of a tree whose old name is there again: the first half of an exchange, or
 * something new of that name. */
typedef struct epio__watch_exchange {
    int from_wd; /* 0: none */
    int to_wd;
    char from[NAME_MAX + 1];
    char to[NAME_MAX + 1];
} epio__watch_exchange;

/* A name that was reported as gone, which may have been too early: before this position an event
 * may still move it. */
typedef struct epio__watch_loose {
    uint64_t hash;
    uint64_t until;
} epio__watch_loose;

#define EPIO__WATCH_LOOSE 8

struct epio__watch_tree {
    epio__watch *watch;
    epio__watch_source *source;
    epio_node in_source;
    epio_node in_due;
    epio__watch_node *root;
    epio_node pending;  /* nodes that are to be attached */
    epio_node stranded; /* their parents are not where the tree has them: until one is moved */
    epio_node doubtful; /* likewise, attached, but not looked into when that was needed */
    epio_node starved;  /* the system has no room for them: tried again after a while */
    char *path;         /* where the root was last, absolute */
    uint64_t device;    /* of the root */
    uint64_t number;
    /* A struct file_handle of the root, with room behind it; handle_bytes 0: none. */
    uint64_t handle[(sizeof(struct file_handle) + MAX_HANDLE_SZ + 7) / 8];
    uint64_t event_count; /* the last event that was a rename within the tree */
    epio__watch_exchange exchange;
    epio__watch_loose loose[EPIO__WATCH_LOOSE];
    size_t next_loose;
    uint64_t loose_until; /* as there, for all names */
    bool live;            /* it reports */
    bool ended;           /* the root is gone */
    bool lost;            /* an OVERFLOW is due */
    bool broken;          /* and the tree is to be built again */
    int error;            /* errno of what could not be attached before it was live */
};

/* Names with recent changes of what they name. */
#define EPIO__WATCH_RECENT 64

struct epio__watch_source {
    epio__watch_queue queue;
    epio__table inodes;
    epio__table nodes;
    epio_node trees;
    epio_node due;     /* those that have a step to do */
    epio_node windows; /* the first ends first */
    uint64_t event_count;
    bool is_starved;     /* a tree may have nodes in `starved`, or be broken */
    bool sees_no_mounts; /* the system does not show what is a mount point */
    char *path;          /* room for names that are reported */
    size_t path_capacity;
    char *from;
    size_t from_capacity;
    _Alignas(uint64_t) char listing[32768];
    struct {
        uint64_t hash;
        uint64_t time;
        uint32_t mask;
    } recent[EPIO__WATCH_RECENT];
    size_t next_recent;
};

/* ---- watch_tree.c ---- */

/* A new node that is not attached; NULL: no memory. */
epio__watch_node *epio__watch_node_add(epio__watch_tree *tree, epio__watch_node *parent,
                                       const char *name);
epio__watch_node *epio__watch_node_find(const epio__watch_node *parent, const char *name);
/* False: no memory. */
bool epio__watch_node_move(epio__watch_node *node, epio__watch_node *parent, const char *name);
/* Frees it with all below; at most `most` nodes of it: false if there are more. */
bool epio__watch_node_drop(epio__watch_node *node, size_t most);
bool epio__watch_node_is_below(const epio__watch_node *node, const epio__watch_node *above);

epio__watch_inode *epio__watch_inode_find(const epio__watch_source *source, int wd);
/* The kernel watches it: false: no memory. */
bool epio__watch_node_attach(epio__watch_node *node, int wd, uint64_t device, uint64_t number);
/* The node has no inode any more, which is forgotten if it was the last. */
void epio__watch_node_detach(epio__watch_node *node);
/* The kernel has ceased to watch it. */
void epio__watch_inode_forget(epio__watch_source *source, epio__watch_inode *inode);
epio__watch_node *epio__watch_node_of(const epio__watch_inode *inode, const epio__watch_tree *tree);
epio__watch_node *epio__watch_node_of_wd(const epio__watch_tree *tree, int wd);

/* Is the event, at this position, one whose name may have been reported already? */
static inline bool epio__watch_node_is_blind(const epio__watch_node *node, uint64_t position)
{
    return position < node->window_end;
}

bool epio__watch_node_knows(const epio__watch_node *node, const char *name);
/* What was reported as there, and as gone. */
void epio__watch_node_note(epio__watch_node *node, const char *name);
void epio__watch_node_unnote(epio__watch_node *node, const char *name);
/* Begins the window, with no name yet; settle ends it. */
void epio__watch_node_open_window(epio__watch_node *node);
void epio__watch_node_settle(epio__watch_node *node);

/* Writes the path below the root, of the node or of a name in it, behind `prefix`, which may be
 * empty: false: no memory. */
bool epio__watch_node_path(const epio__watch_node *node, const char *prefix, const char *name,
                           char **room, size_t *capacity);

/* Nothing is reported of a tree that is not live. `from` is the old name in `from_node`; NULL: no
 * RENAMED. */
void epio__watch_tree_report(epio__watch_node *node, uint32_t kind, uint32_t type, const char *name,
                             const epio__watch_node *from_node, const char *from);
/* There is something to attach, or to report. */
void epio__watch_tree_set_due(epio__watch_tree *tree);
/* What was lost cannot be said: an OVERFLOW is due. */
void epio__watch_tree_lose(epio__watch_tree *tree, int error);
/* No memory for what is in the tree, which is built again. */
void epio__watch_tree_break(epio__watch_tree *tree, int error);

/* ---- watch_attach.c ---- */

/* Opens the node's directory, if it is where the tree has it: -1 and errno; ESTALE: it is not;
 * EXDEV: nor is the root, and it was not found. */
int epio__watch_node_open(epio__watch_node *node);
/* Attaches the root, whose descriptor this is, and lists it: 0, or -1 and errno. */
int epio__watch_tree_begin(epio__watch_tree *tree, int descriptor);
/* A name in a directory is one: it is attached later, if the tree has such nodes. */
void epio__watch_tree_add_directory(epio__watch_node *parent, const char *name);
/* Attaches and lists the next node that is pending: false: there is none. */
bool epio__watch_tree_step(epio__watch_tree *tree);
/* What was stranded may be where the tree has it now. */
void epio__watch_tree_free_stranded(epio__watch_tree *tree);
/* The root was moved: finds it, if that can be. */
void epio__watch_tree_locate(epio__watch_tree *tree);
/* All that is below the root is attached anew, without a report. */
void epio__watch_tree_rebuild(epio__watch_tree *tree);
/* Must something be tried again, after a while? */
bool epio__watch_tree_is_starved(const epio__watch_tree *tree);
/* It is, by the steps to come. */
void epio__watch_tree_retry(epio__watch_tree *tree);

/* ---- watch_events.c ---- */

/* Takes an event from the queue, and reports what it says: false: there is none. */
bool epio__watch_source_step(epio__watch_source *source);

#endif
