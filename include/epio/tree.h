/* Whole trees of directories: copying, removing and moving them, and the trash. Part of
 * epio/epio.h, which includes it; what is said in epio/document.h of threads, progress, cancels and
 * ownership holds here, too. Relative paths are taken anew by each call of which a verb is made: a
 * program that changes its current directory meanwhile gives whole ones, or the VFS of an open
 * directory. To read a tree there is epio_walk. */
#ifndef EPIO_TREE_H
#define EPIO_TREE_H

#include <epio/compiler.h>
#include <epio/document.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_vfs;

/* ---- Errors on the way ------------------------------------------------- */

/* What becomes of a part of a tree that failed. */
#define EPIO_ON_ERROR_STOP 0u /* the op ends with this error */
#define EPIO_ON_ERROR_SKIP 1u /* without that file, or that directory and all in it */
#define EPIO_ON_ERROR_AGAIN 2u

typedef struct epio_tree_error {
    const char *path;   /* relative to the tree; "" is the tree itself */
    const char *verb;   /* what failed: "open", "read", "write", "delete", ... as epio_kind_name */
    int32_t error;      /* EPIO_E... */
    int32_t os_error;   /* errno or GetLastError behind it */
    const char *reason; /* what the library refuses, as epio_op_invalid_reason; NULL: nothing */
    uint64_t reserved[2];
} epio_tree_error;

/* Decides: EPIO_ON_ERROR_... Called by the owner of the loop, in an epio_perform on the calling
 * thread; one call at a time, while other parts of the tree may go on. It must not wait for the op;
 * it may cancel it, but not in an epio_perform, which STOP ends. */
typedef uint32_t epio_tree_decide(epio_op *op, const epio_tree_error *error);

/* ---- Copying ----------------------------------------------------------- */

/* Beside EPIO_COPY_NO_REPLACE (files that are there are left as they are, and counted as skipped),
 * METADATA, DURABLE, WHOLE: */
#define EPIO_COPY_MERGE 16u            /* into a directory that exists; else EPIO_EEXIST */
#define EPIO_COPY_FOLLOW 32u           /* what symbolic links lead to, instead of them */
#define EPIO_COPY_SAME_FILE_SYSTEM 64u /* mount points are copied as empty directories */

typedef struct epio_tree_options {
    size_t size;             /* sizeof(epio_tree_options) */
    uint32_t flags;          /* EPIO_COPY_..., for what copies */
    uint32_t in_flight;      /* parts of the tree worked on at once, at most; 0: as the machine has
                                processors, 4 at least */
    struct epio_vfs *to_vfs; /* as in epio_copy_options */
    epio_tree_decide *error; /* NULL: the first error ends the op */
} epio_tree_options;

/* Copies a directory with all that is in it to `to`, which is made: how many files, directories and
 * links were copied, `from` included. A `from` that is no directory is copied as by epio_copy with
 * NOFOLLOW (without FOLLOW). Files are copied as by epio_copy, but a symbolic link that is in a
 * file's place in `to` is replaced itself; symbolic links as they are, with FOLLOW what they lead
 * to (EPIO_ELOOP: a directory above it); FIFOs, sockets and devices are errors (EPIO_ENOTSUP),
 * which `error` may skip; names of one file in the tree become names of one file again, as far as
 * their paths in the tree are no longer than the system takes. Directories get their permissions,
 * and with METADATA their times, after their contents. Whoever exchanges directories for links
 * meanwhile leads it nowhere else. What was copied stays if it ends early, but no file in part. A
 * tree may be deeper than paths and descriptors allow: 48 of these are open for directories at
 * most, fewer where there are no more. `options` NULL: the defaults.
 *
 * Errors: those of epio_copy and epio_list; EPIO_EINVAL (`to` is `from`, or in it). */
EPIO_VERB epio_op *epio_copy_tree(epio_op *op, struct epio_vfs *vfs, const char *from,
                                  const char *to, const epio_tree_options *options);

/* ---- Removing ---------------------------------------------------------- */

/* Removes what is at `path`, a directory with all that is in it: how many names were removed.
 * Symbolic links are removed, not followed, and whoever puts one in a directory's place leads it
 * nowhere else; "link/" is EPIO_ENOTDIR. What others make in it meanwhile is removed, too, or the
 * error is EPIO_ENOTEMPTY. Where something was skipped, the directories that it is in stay, and are
 * no further errors. The flags of `options` are 0; NULL: the defaults. Errors: those of
 * epio_delete, epio_rmdir and epio_list; EPIO_EINVAL (the root, "." or ".."). */
EPIO_VERB epio_op *epio_remove_tree(epio_op *op, struct epio_vfs *vfs, const char *path,
                                    const epio_tree_options *options);

/* ---- Moving ------------------------------------------------------------ */

/* Moves a file or directory: 0 if it was renamed, 1 if it was copied, with METADATA, and then
 * removed, as it must be between file systems or two VFSes. Replaces a file at `to`, atomically,
 * unless NO_REPLACE; a directory there must be empty, or there is MERGE, with which it is copied
 * into it. What is at `to` if a copy fails is removed, but for a directory that it was merged into,
 * and `from` stays whole. If something was skipped, by `error` or for NO_REPLACE, `from` stays
 * whole, too, what was copied stays at `to`, and the error is EPIO_ENOTEMPTY. If the removal of
 * `from` fails, both are left, and that is the error. What others change in `from` while it is
 * copied may be lost. With DURABLE a rename is, too; a copy always is. Two names of one file stay
 * both, as for rename(2). Flags: NO_REPLACE, DURABLE, MERGE, METADATA; `options` NULL: the
 * defaults. Errors: those of epio_rename, epio_copy_tree and epio_remove_tree. */
EPIO_VERB epio_op *epio_move(epio_op *op, struct epio_vfs *vfs, const char *from, const char *to,
                             const epio_tree_options *options);

/* ---- The trash --------------------------------------------------------- */

/* Moves a file or directory, or a symbolic link itself, to where the desktop lets people find and
 * restore it: 0. `flags`: 0. On POSIX systems by freedesktop's specification
 * (https://specifications.freedesktop.org/trash-spec): to the home's trash, which the
 * environment names (XDG_DATA_HOME, HOME), or to the one at the top of its own file system; macOS:
 * ~/.Trash; Windows: the recycle bin, by IFileOperation. Never a copy, never a removal: if it
 * fails, it is where it was. Only the system's VFS has one. What was moved is not said to be
 * durable.
 *
 * Errors: those of epio_rename; EPIO_ENOTSUP (another VFS; no trash on that file system, with
 * os_error EXDEV on POSIX systems, or with a reason if HOME is not set, either), EPIO_EBUSY (a
 * mount point), EPIO_EINVAL (the root, "." or ".."; the trash itself, what is in it, or a directory
 * that has it). */
EPIO_VERB epio_op *epio_trash(epio_op *op, struct epio_vfs *vfs, const char *path, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif
