/* The verbs of the memory VFS that make, remove, move and list names. Each carries its op out,
 * whose relative paths begin at `from`, and returns the result; the order of checks is Linux's,
 * which decides between errors. */
#ifndef EPIO_LAYERS_MEMORY_NAMES_H
#define EPIO_LAYERS_MEMORY_NAMES_H

#include "layers/memory_path.h"

/* Makes a node where a walk found nothing: 0 and *made, which the name alone refers to. EPIO_ENOENT
 * (the directory was removed), EPIO_EACCES, EPIO_ENOMEM. `target`: of a symbolic link, else NULL.
 * The position is used up. */
int epio__memory_make(epio__memory_walk *walk, uint32_t type, uint32_t mode, const char *target,
                      epio__memory_node **made);

/* Makes a file without a name, so that no other open finds it: 0 and a reference to it. The path is
 * that of a directory, or of a file in one; NULL: of none. */
int epio__memory_make_temporary(const epio__memory_start *from, const char *path,
                                epio__memory_node **made);

/* Gives such a file a name. */
int64_t epio__memory_name_temporary(const epio__memory_start *from, epio__memory_node *node,
                                    epio_op *op);

int64_t epio__memory_temporary_directory(const epio__memory_start *from, const epio_op *op);

int64_t epio__memory_delete(const epio__memory_start *from, const char *path);
int64_t epio__memory_mkdir(const epio__memory_start *from, const epio_op *op);
int64_t epio__memory_rmdir(const epio__memory_start *from, const epio_op *op);
int64_t epio__memory_rename(const epio__memory_start *from, epio_op *op);
int64_t epio__memory_exchange(const epio__memory_start *from, epio_op *op);
int64_t epio__memory_link_file(const epio__memory_start *from, const epio_op *op);
int64_t epio__memory_symlink(const epio__memory_start *from, const epio_op *op);
int64_t epio__memory_read_link(const epio__memory_start *from, epio_op *op);

/* Which entries a list has had: those up to a name. */
typedef struct epio__memory_cursor {
    size_t len; /* 0: none */
    char name[EPIO__MEMORY_NAME_LIMIT];
} epio__memory_cursor;

/* Fills the buffer with the entries behind the cursor, which goes on. */
int64_t epio__memory_list(const epio__memory_tree *tree, epio__memory_node *directory,
                          epio__memory_cursor *cursor, char *buffer, size_t room);

#endif
