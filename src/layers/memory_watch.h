/* The watches of a memory VFS: which of them sees a change, and by which names. The events that
 * wait to be read are src/watch's. All is used with the VFS's mutex held, while the entries that it
 * is about are in their directories. Where nothing is watched it costs a test. */
#ifndef EPIO_LAYERS_MEMORY_WATCH_H
#define EPIO_LAYERS_MEMORY_WATCH_H

#include "layers/memory_path.h"
#include "watch/watch.h"

/* Makes a watch of that VFS for the directory at the op's path: 0 and op->file, or an error. */
int64_t epio__memory_watch_open(const epio__memory_start *from, epio_vfs *vfs, epio_op *op);
/* Nothing is reported to it from here on; epio__watch_free is to follow. */
void epio__memory_watch_end(epio__memory_tree *tree, epio__watch *watch);

/* An op on the node, of a path or an open file, has this result: what its kind changes is reported
 * for all names of the node. */
void epio__memory_watch_changed(const epio__memory_tree *tree, const epio_op *op, int64_t result,
                                epio__memory_node *node);

/* A new name. Of a directory also what is in it. */
void epio__memory_watch_made(const epio__memory_tree *tree, const epio__memory_entry *entry);
/* A name that is about to be removed. */
void epio__memory_watch_removed(const epio__memory_tree *tree, const epio__memory_entry *entry);
/* Without an event of its name, which another node gets. */
void epio__memory_watch_replaced(const epio__memory_tree *tree, const epio__memory_node *node);
/* The node has its new name, and still the old one. */
void epio__memory_watch_renamed(const epio__memory_tree *tree, const epio__memory_entry *from,
                                const epio__memory_entry *to);
/* After the exchange. */
void epio__memory_watch_exchanged(const epio__memory_tree *tree, const epio__memory_entry *one,
                                  const epio__memory_entry *other);

#endif
