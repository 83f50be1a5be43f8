/* Where a path leads: the directory and the name for openat(2) and its kin, also where the path
 * must stay beneath an open directory. */
#ifndef EPIO_PLACE_H
#define EPIO_PLACE_H

#include "posix/posix.h"

typedef struct epio__place {
    int at;
    const char *path; /* relative to it, or absolute */
    int opened;       /* to be closed; -1: nothing */
    char room[258];   /* for a path of its own: no name is longer */
} epio__place;

/* For a path of the op. `follows`: the calls to come follow a symbolic link in its last part. 0, or
 * -1 and errno: EACCES if it leads out of a directory that confines it. */
int epio__place_begin(epio__place *place, const epio_op *op, const char *path, bool follows);

/* Preserves errno. */
void epio__place_end(epio__place *place);

/* A system call, or several, on a path: what it returns, or -1 and errno. */
typedef int64_t epio__call_on_place(epio_op *op, int at, const char *path, void *with);

/* Makes the call for the op's path.path: the op's result. A call that `follows` may be made again
 * where a link got in between. */
int64_t epio__op_on_place(epio_op *op, bool follows, epio__call_on_place *call, void *with);

/* AT_SYMLINK_NOFOLLOW or 0 for a call on a place of the op. Without O_PATH a link in the last part
 * was resolved before, and one that is made at that moment must not be followed. */
int epio__place_flag(const epio_op *op, bool follows);

/* Would a call with AT_SYMLINK_NOFOLLOW follow a link all the same? "a/" is what the link leads to.
 */
bool epio__ends_with_slash(const char *path);

/* Must the op's path stay beneath the directory where it begins? */
bool epio__op_is_confined(const epio_op *op);

/* Preserves errno. */
bool epio__is_directory(int at, const char *path, bool follows);

/* As epio__descriptor_open, beneath `directory`: -1 and EACCES if the path leads out of it. */
int epio__open_beneath(int directory, const char *path, int flags, mode_t mode);

#endif
