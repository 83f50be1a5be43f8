/* What tests of directories and metadata share: each fails the test if its op does. */
#ifndef EPIO_TEST_TREE_WIN32_H
#define EPIO_TEST_TREE_WIN32_H

#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define DIRECTORY (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)

/* 2001-09-09 01:46:40 UTC. */
#define BILLION_SECONDS INT64_C(1000000000000000000)

epio_info stat_of(fixture *f, epio_vfs *vfs, const char *path, uint32_t flags);
epio_info stat_of_file(fixture *f, epio_file *file);
bool is_same_file(const epio_info *one, const epio_info *other);

/* By a name in the test's directory. */
void make_directory(fixture *f, const char *name);
epio_file *open_directory(fixture *f, const char *name);

/* Makes or replaces a file; checks its whole content, up to 63 bytes. */
void put_in(fixture *f, epio_vfs *vfs, const char *path, const char *content);
void check_in(fixture *f, epio_vfs *vfs, const char *path, const char *content);

#endif
