/* A walk through a tree of directories: what its files share. walk_plan.c decides, on the
 * owner's thread, what is read next; walk_step.c reads, on a worker's.
 *
 * A directory belongs to the step that has it, else to the owner. Its name, parent and depth never
 * change; its file may be used by the steps that have it pinned. */
#ifndef EPIO_TREE_WALK_H
#define EPIO_TREE_WALK_H

#include "core/verb.h"

/* Entries of a batch at most: the hand-over between threads is a tenth of the time with a quarter
 * of that. */
#define EPIO__WALK_BATCH 2048u

/* Directories that a step reads at most: fewer would make the hand-over between threads dear where
 * they have few entries. */
#define EPIO__WALK_DIRECTORIES 16u

/* Files that a step opens at most and does not close, and that it closes for the owner. */
#define EPIO__WALK_OPENED 16u

/* Names that were listed and not yet reported. */
typedef struct epio__names {
    struct epio__names *next;
    size_t len;
    size_t at; /* of the first that was not reported */
    uint64_t data[];
} epio__names;

typedef struct epio__walk_directory {
    struct epio__walk_directory *parent; /* NULL: the root */
    uint32_t depth;                      /* 0: the root */
    size_t path_len;                     /* relative to the root */
    size_t name_len;
    bool by_link; /* its name was a symbolic link's */

    /* The owner's. */
    struct epio__walk_directory *next; /* in a stack or list */
    epio_node open;                    /* among those that can be evicted */
    size_t refs;                       /* 1 until it was read, and 1 for each child */
    size_t waiting;                    /* children that were not opened yet */
    uint32_t pins;                     /* steps that use its file */
    bool waits;                        /* it was not opened yet */
    bool busy;                         /* a step opens it again, or evicts it */
    bool was_read;                     /* `finished`, as the latest step left it */

    /* Of the one who has it. */
    epio_file *file; /* NULL: not open */
    bool found;      /* a directory in it that may be entered */
    bool listed;     /* all names are in `names` */
    bool finished;   /* all of them were reported, or it is gone */
    bool identified; /* the next two are known */
    uint64_t device;
    uint64_t id[2];
    int32_t error; /* of its list */
    int32_t os_error;
    epio__names *names;
    epio__names *last_names;
    const epio_entry **order; /* of all names, sorted */
    size_t order_count;
    size_t order_at;

    char name[];
} epio__walk_directory;

/* What the owner has to know of an entry. */
typedef struct epio__walk_mark {
    epio__walk_directory *in; /* NULL: it is reported a second time */
    bool may_enter;           /* the owner's: as it was reported */
    bool by_link;
    bool identified;
    uint64_t device; /* of the directory, for FOLLOW */
    uint64_t id[2];
} epio__walk_mark;

typedef struct epio__walk_step {
    epio_op op; /* epio_work */
    struct epio__walk *walk;
    struct epio__walk_step *next_idle;

    /* To do: set by the owner. */
    epio_file *to_close[2 * EPIO__WALK_OPENED];
    size_t to_close_count;
    epio__walk_directory *evicted[EPIO__WALK_OPENED];
    size_t evicted_count;
    epio__walk_directory *base;  /* open and pinned: what is opened again begins there; or NULL */
    epio__walk_directory *again; /* it is opened again first; or NULL */
    epio__walk_directory *opened[EPIO__WALK_OPENED]; /* on the way to it, and it: they stay open */
    size_t again_count;                              /* of these, the last of which is `again` */
    epio__walk_directory *todo[EPIO__WALK_DIRECTORIES]; /* all of one parent */
    size_t todo_count;

    /* Done: set by the step. */
    size_t done;         /* of `todo`; the others were not touched */
    size_t opened_count; /* of `opened` */
    size_t left_open;    /* these, and of `todo` */
    size_t count;
    bool ran;
    bool full;     /* an entry had no room */
    bool found;    /* a directory that may be entered */
    int64_t error; /* of the walk itself; 0: none */
    int32_t os_error;

    epio_op stat; /* of each entry in turn: one that is used again needs no zeroing */
    epio_walk_entry *entries;
    epio__walk_mark *marks;
    epio_info *infos;
    char *text; /* paths of the entries */
    size_t text_size;
    size_t text_len;
    char *prefix; /* of the paths of one directory */
    size_t prefix_size;
    epio__names *spare;
} epio__walk_step;

/* What steps read. */
typedef struct epio__walk_terms {
    epio_vfs *vfs;
    const char *path;
    uint32_t flags;
    uint32_t most_depth; /* UINT32_MAX: no limit */
    uint32_t share;      /* files that a step may have open */
    uint32_t stop;       /* atomic: the walk ends */
    uint64_t patience;   /* of a call, which is then made again; 0: no limit */
    uint64_t deadline;   /* of epio_perform; 0: none */
    uint64_t device;     /* the root's; set before a second step exists */
} epio__walk_terms;

/* Any thread. */
void epio__walk_step_run(epio__walk_step *step, epio__walk_terms *terms);

void epio__walk_close_file(epio_file *file);
void epio__walk_forget_names(epio__walk_directory *directory);

/* ---- Directories that were entered ---- */

/* Those that a walk with FOLLOW has entered, by device and id. The owner's. */
typedef struct epio__visited {
    struct epio__visit **buckets;
    size_t bucket_count;
    size_t count;
} epio__visited;

/* 1: it is new, and was added; 0: it is there; EPIO_ENOMEM. */
int epio__visited_add(epio__visited *visited, uint64_t device, const uint64_t id[2]);
void epio__visited_remove(epio__visited *visited, uint64_t device, const uint64_t id[2]);
void epio__visited_destroy(epio__visited *visited);

/* ---- A walk ---- */

#define EPIO__WALK_MOST_STEPS 16u

typedef struct epio__walk {
    epio__walk_terms terms;
    epio_op *op;
    bool (*entries)(epio_op *op, epio_walk_entry *entries, size_t count);
    bool on_loop;

    epio__walk_directory *stack;
    size_t stack_count;
    epio__walk_directory *found; /* SORTED: in the directory that is being read, in order */
    epio__walk_directory **found_end;

    epio_node open; /* directories, but for the root and those that steps have */
    size_t open_count;
    size_t most_open;
    epio_file **to_close; /* not in use any more; a step closes them */
    size_t to_close_count;
    size_t to_close_size;

    epio__walk_step *steps[EPIO__WALK_MOST_STEPS];
    size_t step_count;
    size_t most_steps;
    epio__walk_step *idle;
    size_t running;

    epio__visited visited;
    epio_progress_source progress;
    size_t shown; /* atomic; of `reported` */
    int64_t reported;
    int64_t error; /* 0: none */
    int32_t os_error;
    bool over;       /* nothing is read any more */
    bool ended;      /* its result is known */
    bool close_here; /* as no step does */
} epio__walk;

/* The root has neither parent nor entry. NULL: no memory. */
epio__walk_directory *epio__walk_new_directory(epio__walk_directory *parent,
                                               const epio_walk_entry *entry);
void epio__walk_push(epio__walk *walk, epio__walk_directory *directory);

void epio__walk_clear(epio__walk_step *step);
void epio__walk_take_files_to_close(epio__walk *walk, epio__walk_step *step);

/* Gives a step what is to be read next. False: nothing, or not before another step has ended. */
bool epio__walk_prepare(epio__walk *walk, epio__walk_step *step);

/* Reports what a step has found, and takes back what it had, whether it ran or not. */
void epio__walk_deliver(epio__walk *walk, epio__walk_step *step);

/* Nothing is read any more; the first call counts. */
void epio__walk_end(epio__walk *walk, int64_t error, int32_t os_error);

/* Releases all directories that are left. */
void epio__walk_leave(epio__walk *walk);

#endif
