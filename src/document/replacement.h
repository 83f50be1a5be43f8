/* A file that is written beside another one and then named over it, so that its path leads to all
 * of the old file or all of the new one at every moment. It owns the name that the new file has
 * meanwhile, the lock on that, and what killed processes have left; bytes, metadata and syncs are
 * its user's, and so are its fields but for those that say otherwise. On the thread of a procedure.
 */
#ifndef EPIO_REPLACEMENT_H
#define EPIO_REPLACEMENT_H

#include "document/calls.h"

/* Behind a slot's name: another name for the old file, on the way to that of the backup. It is the
 * slot's holder's, and is there only while the slot is. */
#define EPIO__SLOT_LINK "~"

/* All zero at first. */
typedef struct epio__replacement {
    epio_vfs *vfs;
    char *target;    /* what the path leads to: its last part is no symbolic link */
    bool exists;     /* there was something, and `old` describes it */
    bool unnamed;    /* it exists, but no path leads to it that could be renamed over */
    epio_info old;   /* its `known` is 0 if nothing is there */
    char *slot;      /* the name of the new file until it has the target's; NULL: none */
    bool others;     /* other slots were locked when this one was made */
    bool hashed;     /* names of slots have a hash in them, as the target's is too long */
    epio_file *file; /* the new one, open for both directions; NULL: none */
    epio_info made;  /* it, as it was made */
} epio__replacement;

/* Finds the target: 0, also if nothing is there; a directory is no error either. `follow`: of a
 * symbolic link that to which it leads. It is for epio__replacement_end in any case. */
int64_t epio__replacement_find(epio__procedure *procedure, epio__replacement *one, epio_vfs *vfs,
                               const char *path, bool follow);

/* Makes the new file, locked, and removes what was left: 0. `permissions`: POSIX mode bits, less
 * the umask. EPIO_EBUSY: too many others are replacing this file. */
int64_t epio__replacement_make(epio__procedure *procedure, epio__replacement *one,
                               uint32_t permissions);

/* Has the slot's name still this file, or another that somebody has put there? */
bool epio__slot_is_own(epio__procedure *procedure, const epio__replacement *one);

/* Removes what others have left that were alive when this one's slot was made: a process that was
 * killed keeps its locks until the system has closed its files. */
void epio__slot_sweep_again(epio__procedure *procedure, epio__replacement *one);

#define EPIO__REPLACE_DURABLE 1u    /* its name is synced; the file is the caller's */
#define EPIO__REPLACE_NO_REPLACE 2u /* EPIO_EEXIST if something is at the target by now */
#define EPIO__REPLACE_KEEP 4u       /* the system keeps the old one's metadata */

/* Names it over the target: 0. The file stays open. EPIO_EIO: if `slot` is NULL then it was done,
 * but may not be durable.
 *
 * With KEEP the file is closed for it, and another one of the same bytes after an error, or NULL;
 * `made` is what it was. 0, or EPIO_RENAMED_METADATA_LOST; EPIO_ENOTSUP where the system cannot. */
int64_t epio__replacement_name(epio__procedure *procedure, epio__replacement *one, uint32_t flags);

/* Gives what is at the target another name, `to`, too, whatever is there: 0. EPIO_ENOTSUP and other
 * errors where there are no hard links, or not from there to here. */
int64_t epio__replacement_keep_old(epio__procedure *procedure, epio__replacement *one,
                                   const char *to, bool durable);

/* Closes the new file while others still see that its holder lives: by a file that is gone with it,
 * `guard`. Where the system removes such files itself. */
int64_t epio__slot_step_aside(epio__procedure *procedure, epio__replacement *one,
                              epio_file **guard);
/* Opens it again, unless it has been named. */
void epio__slot_step_back(epio__procedure *procedure, epio__replacement *one, epio_file *guard);

/* Closes and removes the new file; what was found about the target stays. */
void epio__replacement_discard(epio__procedure *procedure, epio__replacement *one);

/* Closes the new file, removes it if it was not named, and frees all: the result of the close. */
int64_t epio__replacement_end(epio__procedure *procedure, epio__replacement *one);

#endif
