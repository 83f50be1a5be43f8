/* Files in memory. Part of epio/epio.h, which includes it; the conventions of verbs are there. */
#ifndef EPIO_MAPPING_H
#define EPIO_MAPPING_H

#include <epio/compiler.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;

/* A range of a file in memory, from an epio_map that succeeded to the submit of its epio_unmap. It
 * has nothing to do with the file's close: it stays, also if the file is removed. */
typedef struct epio_mapping epio_mapping;

#define EPIO_MAP_READ 1u  /* every mapping can be read */
#define EPIO_MAP_WRITE 2u /* what is stored is the file's, at once for all of this machine */
#define EPIO_MAP_PRIVATE                                                                           \
    4u /* with WRITE: what is stored is the mapping's alone, never the file's */

/* Maps `len` bytes from `offset` on, any offset: `len`, and epio_op_mapping. The range must lie
 * within the file (EPIO_EINVAL): grow that first, by epio_truncate. What others write to the file
 * is seen, except in a PRIVATE mapping, where it may be or not.
 *
 * Where the file becomes shorter later: on POSIX systems a load or store in a page beyond its end
 * is a SIGBUS; on Windows nobody can make it shorter (EPIO_EBUSY); in the memory VFS the bytes are
 * zeros, and no longer the file's. So it is everywhere if a page cannot be read or has no space on
 * the disk: SIGBUS, or on Windows an exception. A program that cannot trust the file's other users
 * reads it instead.
 *
 * Errors: EPIO_EINVAL (unknown access, without READ, `len` 0, beyond the end or INT64_MAX),
 * EPIO_EBADF (the file is not open for reading; WRITE without PRIVATE: for writing), EPIO_EISDIR,
 * EPIO_ENOMEM (address space; also above SIZE_MAX), EPIO_ENOTSUP (the file system or a layer that
 * changes bytes; a stream; in the memory VFS a range that overlaps another mapping and is not
 * inside it), EPIO_EACCES. See mmap(2), MapViewOfFile. */
EPIO_VERB epio_op *epio_map(epio_op *op, struct epio_file *file, uint64_t offset, uint64_t len,
                            uint32_t access);

/* The mapping of an epio_map that succeeded; else NULL. Any thread. */
EPIO_API epio_mapping *epio_op_mapping(const epio_op *op);

/* Where its bytes are, and how many. Any thread. */
EPIO_API void *epio_mapping_address(const epio_mapping *mapping);
EPIO_API uint64_t epio_mapping_len(const epio_mapping *mapping);

/* Ends a mapping: 0. It completes on the loop of the file that was mapped, must be submitted before
 * the VFS or loop is destroyed, and cannot be cancelled or timed out. An epio_sync_mapping that was
 * submitted before is carried out: its pages stay until then. What was stored is the file's, synced
 * or not. Errors: EPIO_EINVAL (NULL). See munmap(2). */
EPIO_VERB epio_op *epio_unmap(epio_op *op, epio_mapping *mapping);

/* Writes what was stored in `len` bytes from `offset` of the mapping on to the disk, as epio_sync
 * does for writes: 0. `len` 0: to its end. Of a PRIVATE or a READ mapping it does nothing. The file
 * may be closed. Where it fails, later calls for this mapping, and syncs and writes of the file,
 * fail with EPIO_EIO and the same os_error, as after a failed epio_sync. Errors: EPIO_EINVAL (NULL,
 * beyond the mapping), EPIO_EIO, EPIO_ENOSPC. See msync(2), FlushViewOfFile. */
EPIO_VERB epio_op *epio_sync_mapping(epio_op *op, epio_mapping *mapping, uint64_t offset,
                                     uint64_t len);

#ifdef __cplusplus
}
#endif

#endif
