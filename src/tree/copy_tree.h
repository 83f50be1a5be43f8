/* What the files of a copy of a tree share. */
#ifndef EPIO_COPY_TREE_H
#define EPIO_COPY_TREE_H

#include "tree/tree.h"

/* ---- What has several names: copy_links.c ---- */

struct epio__tree_links *epio__copy_links_create(void);
void epio__copy_links_destroy(epio__tree *tree);

/* For a copier; see there. One thread at a time is between the two, so that a file is copied
 * before it gets another name. */
bool epio__copy_begin_linked(epio__copier *copier, const char *to, int64_t *result);
void epio__copy_end_linked(epio__copier *copier, const char *to, int64_t result);

/* ---- Where it is copied to: copy_place.c ---- */

/* EPIO_EINVAL if the target is the directory that is copied, or in it; 0. */
int64_t epio__copy_check_place(epio__tree_thread *thread, const epio_info *from);

#endif
