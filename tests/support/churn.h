/* Random changes of a tree: files and directories are made, changed, renamed, linked, exchanged and
 * removed, by epio_perform. Several threads or processes may work in one tree, whose names are few
 * enough for them to meet; what fails because another was quicker is left out. A failure of another
 * kind aborts the program. */
#ifndef EPIO_TEST_CHURN_H
#define EPIO_TEST_CHURN_H

#include "support.h"

#define CHURN_LINKS 1u     /* files get further names, too */
#define CHURN_EXCHANGES 2u /* names are exchanged */
#define CHURN_SYMLINKS 4u

typedef struct churn {
    epio_vfs *vfs;
    const char *directory;
    uint64_t seed;
    unsigned files; /* so many are made, and as many changed, renamed and removed, about */
    uint32_t flags; /* CHURN_... */
} churn;

void churn_run(const churn *one);

/* For thread_start, of a churn; returns NULL. */
void *churn_thread(void *argument);

#endif
