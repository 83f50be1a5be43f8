/* The space of a file: appending, allocating, holes, and what the system should know of its use.
 * Part of epio/epio.h, which includes it; the conventions of verbs are there. */
#ifndef EPIO_SPACE_H
#define EPIO_SPACE_H

#include <epio/compiler.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;

/* ---- Appending --------------------------------------------------------- */

/* Writes all bytes at the end of the file, wherever that is by then, and as one piece beside all
 * that other ops, files and processes append: the offset where they are. A sync covers it as a
 * write. `len` 0: the length of the file. Other uses of a descriptor, as epio_file_os_handle gives
 * it, do not disturb it, nor it them, but for the file position of one opened with
 * EPIO_OPEN_APPEND: on Linux other files open a second descriptor for it, as they do for
 * epio_seek_data.
 *
 * Errors: those of epio_write; one that fails after some bytes were written (EPIO_ENOSPC,
 * EPIO_EFBIG) leaves these. EPIO_EIO also if the system wrote it in two pieces that others'
 * bytes are between. EPIO_EINVAL for a stream (epio_write appends there). EPIO_ENOTSUP where it is
 * not atomic: a file of a server or of a program (NFS, SMB, FUSE), no regular file, more than a
 * call takes (2 GiB less a page); and where the system cannot open a descriptor once more (all
 * but Linux and Windows), unless the file was opened with EPIO_OPEN_APPEND by this process; on
 * Windows above 1 GiB. The first one on Windows opens the file once more, which may fail. With
 * DIRECT on XFS only what this file appends is apart: what others append directly at that moment
 * may be overwritten (Linux 6.18; so is it by plain writes). See open(2), O_APPEND, and
 * pwritev2(2), RWF_APPEND. */
EPIO_VERB epio_op *epio_append(epio_op *op, struct epio_file *file, const void *buffer, size_t len);

/* ---- Allocation -------------------------------------------------------- */

#define EPIO_SPACE_KEEP_SIZE                                                                       \
    1u /* the file does not become longer, even if the range is beyond it */

/* Each of the next three: 0, or those errors of epio_truncate that concern the file, and
 * EPIO_EINVAL (no length, a range beyond INT64_MAX, unknown flags), EPIO_ENOSPC, EPIO_ENOTSUP (the
 * file system; on POSIX systems other than Linux all but what FreeBSD and macOS have for
 * epio_allocate). One that fails may have changed a part. Each counts as a write for a sync. Units
 * are the file system's: at the edges of a range a part of a block is zeroed or kept, never a byte
 * outside of the range. */

/* Makes sure that writes to the range need no further space: what is not allocated is, and reads as
 * zeros. The file is at least as long as the range's end, unless KEEP_SIZE. On Windows and macOS
 * from the beginning of the file on, and what others append while the file becomes longer may be
 * cut off; on Windows not of a sparse or compressed file (EPIO_ENOTSUP), and what is beyond the end
 * is kept until the last close. See fallocate(2), posix_fallocate(3). */
EPIO_VERB epio_op *epio_allocate(epio_op *op, struct epio_file *file, uint64_t offset, uint64_t len,
                                 uint32_t flags);

/* Gives the space of the range back; it reads as zeros. The file keeps its length. See
 * fallocate(2), FALLOC_FL_PUNCH_HOLE; FSCTL_SET_ZERO_DATA, for which a file becomes sparse, even if
 * the range is beyond its end. */
EPIO_VERB epio_op *epio_punch_hole(epio_op *op, struct epio_file *file, uint64_t offset,
                                   uint64_t len);

/* The range reads as zeros, by what the file system does best: it may stay allocated. The file is
 * at least as long as its end, unless KEEP_SIZE; on Windows it becomes longer as by epio_allocate.
 * See fallocate(2), FALLOC_FL_ZERO_RANGE. */
EPIO_VERB epio_op *epio_zero_range(epio_op *op, struct epio_file *file, uint64_t offset,
                                   uint64_t len, uint32_t flags);

/* ---- Sparse files ------------------------------------------------------ */

/* The offset of the next byte, from `offset` on, that is data, or that is in a hole; what is behind
 * the end is a hole. Without any, and for an `offset` beyond the end: the length of the file. A
 * file system that does not know takes all for data. EPIO_EINVAL: a stream; above INT64_MAX. On
 * Windows a sparse file must be open for reading (EPIO_EACCES). See lseek(2), SEEK_DATA and
 * SEEK_HOLE; FSCTL_QUERY_ALLOCATED_RANGES. */
EPIO_VERB epio_op *epio_seek_data(epio_op *op, struct epio_file *file, uint64_t offset);
EPIO_VERB epio_op *epio_seek_hole(epio_op *op, struct epio_file *file, uint64_t offset);

/* ---- Copying ----------------------------------------------------------- */

/* Copies `len` bytes at `offset` of `from` to `to_offset` of `to`: how many, fewer only at the end
 * of `from`; `len` UINT64_MAX: all up to there. By what is quickest: a reflink, which shares the
 * blocks until one of the two is changed, then a copy within the system, then reads and writes.
 * Holes of `from` are holes in `to`, as far as its file system can make them. `to` becomes as long
 * as the range needs. An op of `to`, for which a sync covers it as a write; a close of either waits
 * for it.
 *
 * The files may be of two VFSes, which complete on the same loop. Layers see it as one copy after
 * another, each of a part, or as the reads and writes that it is made of, if they do not let it
 * pass or it is between two VFSes (epio/layer.h says which). So `limit` counts the bytes of one
 * such read or write at a time, and none of a part that the system copies.
 *
 * What others write to either range meanwhile may be copied or not; if `from` becomes shorter, less
 * is copied. It goes from the beginning of the range on, in parts, 16 MiB long at most (a reflink
 * or a hole is longer), and a cancel or deadline ends it between two of them. One that ends so, or
 * fails, has changed an unknown part: who wants to know, or to show how far it is, copies in pieces
 * of his own. By a copy of a hole beyond its end `to` becomes longer, but never shorter, whatever
 * others append (on Windows as by epio_zero_range).
 *
 * Errors: those of epio_read for `from` and of epio_write for `to`, with DIRECT also for ranges
 * that are not aligned; EPIO_ENOSPC; EPIO_EINVAL (NULL, a stream, files of two loops, beyond
 * INT64_MAX; ranges that overlap in one file, even if it was opened twice: `len`, not the end of
 * the file, says how long they are; `to` with EPIO_OPEN_APPEND). See copy_file_range(2),
 * ioctl_ficlonerange(2), FSCTL_DUPLICATE_EXTENTS_TO_FILE. */
EPIO_VERB epio_op *epio_copy_range(epio_op *op, struct epio_file *from, uint64_t offset,
                                   struct epio_file *to, uint64_t to_offset, uint64_t len);

/* ---- Advice ------------------------------------------------------------ */

#define EPIO_ADVICE_NORMAL 0u
#define EPIO_ADVICE_SEQUENTIAL 1u /* it will be read from its beginning to its end */
#define EPIO_ADVICE_RANDOM 2u
#define EPIO_ADVICE_WILL_NEED                                                                      \
    3u /* to be read ahead, as far as there is memory; begun, not awaited */
#define EPIO_ADVICE_DONT_NEED                                                                      \
    4u /* need not stay in the cache; what is dirty stays until written                            \
        */

/* Tells the system how a range will be used: 0. `len` 0: to the end. EPIO_ENOTSUP where there is no
 * such call (on Windows all but NORMAL of an open file). See posix_fadvise(2), F_RDADVISE. */
EPIO_VERB epio_op *epio_advise(epio_op *op, struct epio_file *file, uint64_t offset, uint64_t len,
                               uint32_t advice);

#ifdef __cplusplus
}
#endif

#endif
