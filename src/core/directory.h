/* Open directories as VFSes, for paths that begin there. A verb replaces such a VFS by that of the
 * directory's file, and notes the directory in the op: no op ever comes to it. */
#ifndef EPIO_CORE_DIRECTORY_H
#define EPIO_CORE_DIRECTORY_H

#include <epio/vfs.h>

/* The directory whose VFS it is; NULL: it is another VFS. */
epio_file *epio__directory_of_vfs(const epio_vfs *vfs);

/* Makes a VFS of a file that is being filled, if it is a directory. */
void epio__directory_init(epio_file *file);

#endif
