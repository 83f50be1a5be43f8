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
 * has nothing to do with the file's close, and stays also if the file is removed (which Windows may
 * refuse while it is mapped). In a forked child the memory is there, too, and epio_perform of an
 * epio_unmap ends it for the child alone. */
typedef struct epio_mapping epio_mapping;

#define EPIO_MAP_READ 1u  /* every mapping can be read */
#define EPIO_MAP_WRITE 2u /* what is stored is the file's, at once for all of this machine */
#define EPIO_MAP_PRIVATE                                                                           \
    4u /* with WRITE: what is stored is the mapping's alone, never the file's */

/* Maps `len` bytes from `offset` on, any offset: 0, and epio_op_mapping. The range must lie within
 * the file (EPIO_EINVAL): grow that first, by epio_truncate. What others write to the file is seen;
 * in a PRIVATE mapping it may be or not, and by DIRECT or on another machine it may be late. Loads
 * and stores are the program's own: who shares the memory with other threads, programs, or epio's
 * reads and writes orders them.
 *
 * Where the file becomes shorter later: on POSIX systems a load or store in a page beyond its end
 * is a SIGBUS; on Windows nobody can make it shorter (EPIO_ESHARING); in the memory VFS the bytes
 * are zeros, and no longer the file's. Once it is longer again they are, from zeros on. A page that
 * cannot be read, or has no space on the disk, is a SIGBUS, too, on Windows an exception. So a
 * program that cannot trust the file's other users reads it instead.
 *
 * The memory VFS has space for all that is mapped, holes included, until it is unmapped. Mappings
 * of one file that overlap share memory. A file of up to 16 MiB can be mapped again, as a whole or
 * in pieces, until it is twice as long as at its first mapping, a shorter one up to 1 MiB at least;
 * beyond that a range that is partly in a mapping, or near one, may be EPIO_ENOTSUP until that is
 * unmapped.
 *
 * Errors: EPIO_EINVAL (unknown access, without READ, `len` 0, beyond the end or INT64_MAX),
 * EPIO_EBADF (the file is not open for reading; WRITE without PRIVATE: for writing), EPIO_EISDIR,
 * EPIO_ENOMEM (address space; also above SIZE_MAX), EPIO_ENOTSUP (the file system or a layer that
 * changes bytes; a stream; see above), EPIO_EACCES, EPIO_EMFILE. See mmap(2), MapViewOfFile. */
EPIO_VERB epio_op *epio_map(epio_op *op, struct epio_file *file, uint64_t offset, uint64_t len,
                            uint32_t access);

/* The mapping of an epio_map that succeeded; else NULL. Any thread. */
EPIO_API epio_mapping *epio_op_mapping(const epio_op *op);

/* Where its bytes are, aligned as the offset is in pages of 4 KiB, and how many. Any thread. */
EPIO_API void *epio_mapping_address(const epio_mapping *mapping);
EPIO_API uint64_t epio_mapping_len(const epio_mapping *mapping);

/* Ends a mapping: 0. What was stored is the file's, synced or not. It completes on the loop of the
 * file that was mapped, must be submitted before the VFS or loop is destroyed, and cannot be
 * cancelled or timed out; the mapping is gone whatever the result. It waits for every
 * epio_sync_mapping that was submitted before; epio_perform of it while some are in flight is
 * EPIO_EBUSY, and the mapping stays. Ops that read into the memory, or write from it, must have
 * ended before. Errors: EPIO_EINVAL (NULL), EPIO_EBUSY. See munmap(2). */
EPIO_VERB epio_op *epio_unmap(epio_op *op, epio_mapping *mapping);

/* Writes what was stored in `len` bytes from `offset` of the mapping on to the disk, as epio_sync
 * does for writes: 0. `len` 0: to its end. Of a PRIVATE or a READ mapping it does nothing. The file
 * may be closed. (An epio_sync of the file includes what was stored on Linux, not everywhere.)
 * Where it fails, later calls for the file's mappings, and syncs and writes of the file, fail with
 * EPIO_EIO and the same os_error, as after a failed epio_sync; so do calls for its mappings after
 * that. Errors: EPIO_EINVAL (NULL, beyond the mapping), EPIO_EIO, EPIO_ENOSPC. See msync(2),
 * FlushViewOfFile. */
EPIO_VERB epio_op *epio_sync_mapping(epio_op *op, epio_mapping *mapping, uint64_t offset,
                                     uint64_t len);

#ifdef __cplusplus
}
#endif

#endif
