/* Whole files: loading, saving and copying them. Part of epio/epio.h, which includes it; the
 * conventions of verbs are there.
 *
 * Each verb here is made of many calls. Submitted, they are carried out on worker threads of the
 * loop; performed, on the calling thread. epio_progress says how far one is. Cancelled, or past its
 * deadline, one ends between two of its calls, and removes what it has begun; a call into a mount
 * that does not answer has to return first. The VFS, paths, buffers and options are the caller's
 * and stay as they are until the completion. */
#ifndef EPIO_DOCUMENT_H
#define EPIO_DOCUMENT_H

#include <epio/compiler.h>
#include <epio/metadata.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;
struct epio_vfs;

/* ---- Progress ---------------------------------------------------------- */

/* How far an op is. A total may be 0, not known yet, and grow. */
typedef struct epio_progress_info {
    size_t size; /* sizeof(epio_progress_info), set by the caller */
    uint64_t bytes;
    uint64_t total_bytes;
    uint64_t files; /* with directories and links */
    uint64_t total_files;
    uint64_t skipped; /* of `files`: those that an error callback left out */
    char path[256];   /* what is being worked on, its end if it is longer; "" if it is one file */
} epio_progress_info;

/* Says how far an op in flight is: 0, and `info`. For what takes long: the verbs of this header and
 * of epio/tree.h, epio_walk, epio_copy_range, backups of epio/db.h. EPIO_ENOTSUP: another op, one
 * that is not in flight (any more); EPIO_EINVAL: NULL, a size below that of the first version. Any
 * thread; during an epio_perform from another one. The caller keeps the op alive meanwhile. */
EPIO_API int epio_progress(const epio_op *op, epio_progress_info *info);

/* ---- Loading ----------------------------------------------------------- */

/* Memory that epio_load fills. All zero but for the size: memory of epio's own, released by
 * epio_buffer_free. */
typedef struct epio_buffer {
    size_t size; /* sizeof(epio_buffer) */
    void *data;  /* may be the caller's, of `capacity` bytes */
    size_t len;
    size_t capacity;

    /* Makes `data` at least `capacity` bytes long, keeps its first `len` bytes and sets `data` and
     * `capacity`: true; false: no memory. Called by the owner of the loop; in an epio_perform on
     * the calling thread. NULL: realloc. */
    bool (*grow)(struct epio_buffer *buffer, size_t capacity);
    void *user;
} epio_buffer;

/* Frees the memory of a buffer without a `grow`, and makes it empty. NULL is ignored. Any thread.
 */
EPIO_API void epio_buffer_free(epio_buffer *buffer);

typedef struct epio_load_options {
    size_t size;       /* sizeof(epio_load_options) */
    uint32_t flags;    /* 0 */
    uint64_t most;     /* EPIO_EFBIG for more bytes; 0: as many as there is memory for */
    epio_info *loaded; /* what was loaded, as the file was before: for EPIO_SAVE_IF_UNCHANGED. Its
                          size is set by the caller; known is 0 if the load fails, with
                          EPIO_ENOENT, too. NULL: not wanted */
} epio_load_options;

/* Loads a whole file into memory: its length, buffer->len; a zero byte follows that is not counted.
 * `options` NULL: the defaults. To the end of the file, whatever its size is said to be: files of
 * /proc, pipes and devices, too, and files that become longer or shorter meanwhile. What was in the
 * buffer is replaced, also if it fails. Errors: those of epio_open and epio_read; EPIO_EFBIG;
 * EPIO_ENOMEM (also by `grow`); EPIO_EISDIR. */
EPIO_VERB epio_op *epio_load(epio_op *op, struct epio_vfs *vfs, const char *path,
                             epio_buffer *buffer, const epio_load_options *options);

/* ---- Saving ------------------------------------------------------------ */

#define EPIO_SAVE_BACKUP 1u       /* the old file is kept under another name: options->backup */
#define EPIO_SAVE_NO_DURABLE 2u   /* not synced: what is there after a power failure is open */
#define EPIO_SAVE_IF_UNCHANGED 4u /* EPIO_ECHANGED if it is not the file of options->expected */
#define EPIO_SAVE_IN_PLACE_FALLBACK                                                                \
    8u /* where the file cannot be replaced, it is written over: see epio_save */

/* The result of a save: 0, or some of these. */
#define EPIO_SAVED_IN_PLACE 1      /* it was written over: a crash would have left a part */
#define EPIO_SAVED_OWNER_LOST 2    /* user or group are not those of the old file */
#define EPIO_SAVED_METADATA_LOST 4 /* an ACL, an attribute or a time could not be taken over */
#define EPIO_SAVED_LINKS_LOST 8    /* the old file has further names, which still lead to it */

typedef struct epio_save_options {
    size_t size; /* sizeof(epio_save_options) */
    uint32_t flags;
    uint32_t permissions;      /* of a file that is new: POSIX mode bits, less the umask; 0: 0666 */
    const char *backup;        /* where the old file is kept with BACKUP; NULL: the path with "~" */
    const epio_info *expected; /* with IF_UNCHANGED: what epio_load or the last save said. Device,
                                  id, size and time of the bytes must be the same; one whose `known`
                                  is 0: there must be no file */
    epio_info *saved;          /* what the file is now; its size is set by the caller. NULL: not
                                  wanted */
} epio_save_options;

/* Saves a whole file: 0, or EPIO_SAVED_... `options` NULL: the defaults. At every moment, whatever
 * crashes or fails, the path leads to all of the old file or all of the new one; at the completion
 * the new one is durable.
 *
 * The bytes go to a new file beside the old one (beside what it leads to, if `path` is a symbolic
 * link, which stays, also one that leads nowhere yet), are synced, and take its place by a rename;
 * then the directory is synced. Permissions, owner, group, ACL and extended attributes of the old
 * file are taken over as far as that is allowed; on Windows attributes, ACL, streams and the time
 * of creation. An owner or group that cannot be kept never gains what it had not.
 *
 * The new file has a name of its own until then, ".NAME.saving", locked while the save lives; four
 * saves of one file can have one at the same time, others wait. What a save that was killed has
 * left the next save of that path removes, but not where the file system has no locks, or others
 * have taken these names. docs/documents.md has a table of special cases.
 *
 * With IN_PLACE_FALLBACK the old file is written over instead if it has further names, if its owner
 * could not be kept, if nothing can be made in its directory, or if it is no regular file. Space is
 * allocated first, so that a full disk leaves the old bytes, and a cancel does; a crash in the
 * middle does not, nor any other error once it writes, after which the new bytes, or a part of
 * both, are there. Without the flag such a file is replaced, or the save fails with EPIO_EACCES and
 * the old one stays.
 *
 * Errors: those of epio_open, epio_write, epio_sync and epio_rename, with the old file as it was;
 * EPIO_ECHANGED; EPIO_EISDIR; EPIO_EINVAL (NULL; unknown flags; IF_UNCHANGED without `expected`; no
 * regular file); EPIO_EBUSY (a mount point; the four stay taken). EPIO_EIO also if the new file is
 * there, but its name is not durable. */
EPIO_VERB epio_op *epio_save(epio_op *op, struct epio_vfs *vfs, const char *path,
                             const void *buffer, size_t len, const epio_save_options *options);

/* The same from any number of parts. */
EPIO_VERB epio_op *epio_savev(epio_op *op, struct epio_vfs *vfs, const char *path,
                              const epio_iovec *parts, size_t count,
                              const epio_save_options *options);

/* A save in steps, for what is not in memory as a whole. */
typedef struct epio_saving epio_saving;

/* Begins one: 0, and *saving (NULL if it failed). What it is given is copied, but for `vfs` and
 * options->saved, which the commit fills. A relative path is taken anew by the commit and the
 * abandon: a program that changes its current directory in between gives a whole one, or the VFS of
 * an open directory. With IN_PLACE_FALLBACK the new file may be elsewhere until the commit, which
 * then copies it. Errors: those of epio_save. */
EPIO_VERB epio_op *epio_save_begin(epio_op *op, struct epio_vfs *vfs, const char *path,
                                   const epio_save_options *options, epio_saving **saving);

/* The new file, open for reading and writing, empty at first: for all verbs but epio_close. NULL
 * for NULL. After a commit that failed it may be another one, with the same bytes, or NULL. */
EPIO_API struct epio_file *epio_saving_file(const epio_saving *saving);

/* Ends it: the new file takes the place of the old one. The result is that of epio_save, and
 * `saving` is gone. After an error it is still there, to be committed once more or abandoned. A
 * write of the file that failed on a loop is an error of each commit, even if it was seen and
 * written again, until an epio_sync of the file has ended with that error; of one that failed in an
 * epio_perform its result alone says so. An op of the file in flight is EPIO_EBUSY. */
EPIO_VERB epio_op *epio_save_commit(epio_op *op, epio_saving *saving);

/* Ends it without a trace: 0. As epio_close it can be neither cancelled nor timed out. EPIO_EBUSY
 * (an op of the file is in flight), EPIO_ENOMEM: nothing is done. */
EPIO_VERB epio_op *epio_save_abandon(epio_op *op, epio_saving *saving);

/* ---- Copying ----------------------------------------------------------- */

#define EPIO_COPY_NO_REPLACE 1u /* EPIO_EEXIST if there is something at `to` */
#define EPIO_COPY_METADATA 2u   /* with owner, exact permissions, times, attributes, ACL */
#define EPIO_COPY_DURABLE 4u    /* the copy and its name are durable at completion */
#define EPIO_COPY_NOFOLLOW 8u   /* of a symbolic link itself: a link with the same target */
#define EPIO_COPY_WHOLE 128u    /* a new file, too, has its name only once all of it is there */
#define EPIO_COPY_OVER_LINKS                                                                       \
    256u /* a symbolic link at `to` is replaced itself, not what it leads to */

typedef struct epio_copy_options {
    size_t size; /* sizeof(epio_copy_options) */
    uint32_t flags;
    uint32_t in_flight;      /* reads and writes, at most; 0: 4 */
    struct epio_vfs *to_vfs; /* of `to`; NULL: the same. On the same loop, or without one */
} epio_copy_options;

/* Copies a whole file: its length. By what is quickest: a reflink, which shares the blocks until
 * one of the two is changed, a copy within the system, then reads and writes, several at once.
 * Files of up to 64 KiB without holes are read and written at once. Holes stay holes. The
 * permissions are those of `from`, less the umask; METADATA keeps all. `to` is replaced as by
 * epio_save: it is the old file or the whole copy, and a copy that fails or is cancelled leaves
 * nothing new. A `to` that is not there is made under its own name; a process that is killed leaves
 * it in part. With WHOLE it is made beside it, as by epio_save; what a killed process has left
 * there the next copy to that path removes. `options` NULL: the defaults.
 *
 * Errors: those of epio_open, epio_read, epio_write and epio_rename; EPIO_EINVAL (`to` is the same
 * file, by whatever name; neither a regular file nor a link; NULL; unknown flags), EPIO_EEXIST,
 * EPIO_EISDIR. With METADATA what cannot be kept is no error, as for cp -p. */
EPIO_VERB epio_op *epio_copy(epio_op *op, struct epio_vfs *vfs, const char *from, const char *to,
                             const epio_copy_options *options);

#ifdef __cplusplus
}
#endif

#endif
