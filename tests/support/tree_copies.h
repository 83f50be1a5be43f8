/* Trees to be copied, removed and moved, and what becomes of them. */
#ifndef EPIO_TEST_TREE_COPIES_H
#define EPIO_TEST_TREE_COPIES_H

#include "tree.h"

/* Makes directories and files below a directory of the test's, which is made: how many, itself
 * included. Files are of few and of many bytes. */
uint64_t tree_make_sample(fixture *f, const char *name, unsigned depth, unsigned width);

/* The test fails unless both are the same: names, types, lengths, bytes, targets of links; with
 * `modes` also permissions. How many, itself included. */
uint64_t tree_check_same(epio_vfs *vfs, const char *path, epio_vfs *other_vfs, const char *other,
                         bool modes);

/* How many names are in and below it, itself included; 0: there is none. */
uint64_t tree_count(epio_vfs *vfs, const char *path);

/* What an error callback has seen and says. */
typedef struct tree_errors {
    uint32_t answer; /* EPIO_ON_ERROR_...; AGAIN: `again` times, then SKIP */
    uint32_t again;
    uint32_t count;
    uintptr_t thread; /* the one on which it must be called */
    bool running;
    bool cancels;
    epio_tree_error last;
    char path[8192];
} tree_errors;

/* For options.error; op->user is the fixture's. */
extern tree_errors tree_errors_seen;
uint32_t tree_note_error(epio_op *op, const epio_tree_error *error);

#endif
