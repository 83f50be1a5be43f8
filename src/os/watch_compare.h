/* Watches whose directories are compared with what they were, by the VFS's own verbs: where the
 * system reports no changes. */
#ifndef EPIO_OS_WATCH_COMPARE_H
#define EPIO_OS_WATCH_COMPARE_H

#include "watch/watch.h"

/* As epio__os_watch_begin; sets watch->compares. */
int64_t epio__compare_begin(epio_op *op, epio__watch *watch);
/* As epio__os_watch_end; waits for a comparison of this watch that runs. */
void epio__compare_end(epio__watch *watch);
/* Instead, for a watch of the parent's in a forked child. */
void epio__compare_disinherit(epio__watch *watch);

#endif
