/* Every verb on paths beside the system calls that it stands for: what the calls answer says what
 * the verb has to. */
#ifndef EPIO_TEST_PATH_VERBS_H
#define EPIO_TEST_PATH_VERBS_H

#include "support.h"

/* How a verb's paths begin. */
typedef enum path_start { FROM_ROOT, FROM_DIRECTORY, BENEATH_DIRECTORY } path_start;

/* Where the verbs run: on a loop, or by epio_perform. */
typedef struct verb_runner {
    epio_vfs *vfs; /* the system's, or an open directory as one */
    bool waits;    /* by epio_wait */
    path_start start;
} verb_runner;

int64_t runner_result(const verb_runner *runner, epio_op *op);

/* The paths of a case: of the one that it is about, and others in the same tree. A verb's begin as
 * its runner says; the system's at the root. */
typedef struct verb_paths {
    const char *path;
    const char *other;     /* d/other */
    const char *directory; /* d/od */
    const char *fresh;     /* d/new, which is not there */
    const char *moved;     /* moved, in the tree itself */
    const char *top;       /* the tree; at the root always */
} verb_paths;

typedef struct path_verb {
    const char *name;
    int64_t (*verb)(const verb_runner *runner, const verb_paths *at);
    int64_t (*call)(const verb_paths *at, path_start start); /* or -errno */
    uint32_t traits;
} path_verb;

#define VERB_CHANGES 0x1u  /* where it succeeds */
#define VERB_IS_EXACT 0x2u /* results are the same number; else only both succeed */
#define VERB_NOT_BENEATH 0x4u
#define VERB_WRITES_FIFO 0x8u /* it waits for a reader */
#define VERB_WAITS 0x10u      /* for the disk */
/* Beneath a directory it opens the file, which takes a right to it, where there is no O_PATH. */
#if defined(__linux__)
#define VERB_OPENS_BENEATH 0u
#else
#define VERB_OPENS_BENEATH VERB_NOT_BENEATH
#endif

extern const path_verb path_verbs[];
extern const size_t path_verbs_count;

#endif
