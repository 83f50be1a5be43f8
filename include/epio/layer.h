/* For those who write a layer: a VFS over another that sees, or changes, ops on the way down and
 * on their return. The library wraps the files of the inner VFS, tracks ops in flight, and closes
 * files without allocating; the layer is two functions. examples/xor_layer.c is one. For a VFS that
 * is not a layer see epio/vfs.h. */
#ifndef EPIO_LAYER_H
#define EPIO_LAYER_H

#include <epio/vfs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Kinds that move bytes: READ, READV, WRITE, WRITEV, APPEND and COPY_RANGE. An append, like a write
 * to a file that was opened with EPIO_OPEN_APPEND, goes to an offset that nobody knows before: a
 * layer that changes bytes by their offset ends both in `before` with EPIO_ENOTSUP. So it does with
 * PUNCH_HOLE, ZERO_RANGE and ALLOCATE, if its zeros are not those of the inner VFS, then also with
 * SEEK_DATA and SEEK_HOLE; with MAP, whose memory has the inner VFS's bytes; and with kinds that it
 * does not know, which may move bytes, too: what it lets pass goes by unchanged.
 *
 * An epio_copy_range between two files of the layer comes as COPY_RANGE, once for each part of it;
 * both files are the layer's own, in op->file and arguments.copy.from. If `before` ends that with
 * EPIO_ENOTSUP, as one must whose bytes are not those of the inner VFS, or if the inner VFS cannot,
 * or the other file is of another VFS, the same op comes again as FILE_STAT, SEEK_DATA, SEEK_HOLE,
 * READ, WRITE, SIZE, PUNCH_HOLE or ZERO_RANGE, whichever the copy needs next: those of them that
 * are refused it does without, except READ and WRITE.
 *
 * `state` is `op_state` bytes for each op, all zero at first; aligned as by malloc. op->file is the
 * layer's own file, op->vfs the layer. Both functions are called on the owner's thread for
 * submitted ops, and on the calling thread, several at once, for epio_perform. A vectored transfer
 * has an array of parts in arguments.io.base and their number in len. Of syncs that share a flush
 * the layer sees that flush, as one op whose `user` is nobody's. */
typedef struct epio_layer_methods {
    size_t size; /* sizeof(epio_layer_methods) */
    const char *name;
    size_t op_state;
    size_t file_state; /* see epio_layer_file_state */

    /* An op is about to go to the inner VFS. 0; or an error, with which it ends instead, and
     * `after` is not called; for a close, an unlock or an unmap, which must be carried out, an
     * error is ignored. Of a kind that moves bytes it may set another buffer, length or offset in
     * op->arguments.io, of COPY_RANGE other offsets or less length in copy, which are restored
     * before `after`; the bytes of a write or an append are the caller's and constant, and the
     * latter's offset is unused. NULL: not called. */
    int (*before)(void *user, epio_op *op, void *state);

    /* It returned with op->result (of an append the offset) and op->os_error, which may be changed;
     * after an open that succeeded op->file is new. EPIO_RETRY, which must stay, is no end: the op
     * is tried again, with a new `before` (an open of a FIFO that has no reader yet). NULL: not
     * called. */
    void (*after)(void *user, epio_op *op, void *state);

    /* epio_vfs_destroy has freed the VFS. NULL: not called. */
    void (*destroy)(void *user);
} epio_layer_methods;

/* Makes a layer over `inner`, which completes on the same loop, if any; destroy it by
 * epio_vfs_destroy, before `inner`. `user` is passed to its functions; the methods must outlive it.
 * 0; EPIO_EINVAL: NULL, a size below that of the first version; EPIO_ENOMEM. Any thread. */
EPIO_API int epio_layer_vfs_create(epio_vfs **vfs, epio_vfs *inner,
                                   const epio_layer_methods *methods, void *user);

/* The layer's own state of one of its files, from the `after` of its open to that of its close:
 * `file_state` bytes, all zero at first, aligned as by malloc. Any thread. */
EPIO_API void *epio_layer_file_state(epio_file *file);

#ifdef __cplusplus
}
#endif

#endif
