/* Short forms of the verbs on trees, for names in the fixture's directory: each returns the op's
 * result. */
#ifndef EPIO_TEST_TREE_H
#define EPIO_TEST_TREE_H

#include "support.h"

/* Settings whose VFSes have trees as on POSIX, with links and modes. */
#define ON_TREES (ON_ANY_MEMORY | (SYSTEM_IS_POSIX ? ON_ANY_OS : 0u))
/* Settings of the memory VFS to be tried beside some of the system's. */
#define ON_MEMORIES (ON_MEMORY_PERFORM | ON_MEMORY | ON_LIMIT_MEMORY | ON_TRACE_MEMORY)
#define IS_POSIX_TREE(f) ((f)->memory || SYSTEM_IS_POSIX)

int64_t tree_mkdir(fixture *f, const char *name, uint32_t flags);
int64_t tree_rmdir(fixture *f, const char *name);
int64_t tree_delete(fixture *f, const char *name);
int64_t tree_rename(fixture *f, const char *from, const char *to, uint32_t flags);
int64_t tree_exchange(fixture *f, const char *name, const char *other);
int64_t tree_link(fixture *f, const char *from, const char *to);
/* The target is used as it is. */
int64_t tree_symlink(fixture *f, const char *target, const char *name);
/* False: links need a privilege here (Windows), or are only said to be made (Wine). */
bool tree_try_symlink(fixture *f, const char *target, const char *name);
/* The result of opening it; a file that was opened is closed. */
int64_t tree_open(fixture *f, const char *name, uint32_t flags);
int64_t tree_access(fixture *f, const char *name, uint32_t mode);
int64_t tree_set_mode(fixture *f, const char *name, uint32_t mode);

/* What stat says; the test fails if that does. */
epio_info tree_stat(fixture *f, const char *name, uint32_t flags);
int64_t tree_try_stat(fixture *f, const char *name, uint32_t flags);
epio_info tree_file_stat(fixture *f, epio_file *file);

epio_file *tree_open_directory(fixture *f, const char *name);

#define TREE_CONFINING (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH)
epio_file *tree_open_confining(fixture *f, const char *name);
/* With its parents. */
void tree_make_all(fixture *f, const char *name);

/* Do two names lead to the same node? */
bool tree_is_same(fixture *f, const char *name, const char *other);

#endif
