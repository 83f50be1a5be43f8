/* Where a path leads: the directory and the name for openat(2) and its kin, also where the path
 * must stay beneath an open directory. */
#ifndef EPIO_PLACE_H
#define EPIO_PLACE_H

#include "posix/posix.h"

#include <fcntl.h>

/* Is there a name, in /proc, that leads to what was opened, and nowhere else? */
#if defined(O_PATH) && defined(__linux__)
#define EPIO__HAS_PROC_NAMES 1
#else
#define EPIO__HAS_PROC_NAMES 0
#endif

typedef struct epio__place {
    int at;
    const char *path; /* relative to it, or absolute */
    int opened;       /* to be closed; -1: nothing */
    char room[258];   /* for a path of its own: no name is longer */
} epio__place;

/* For a path of the op. `follows`: the calls to come follow a symbolic link in its last part. 0, or
 * -1 and errno: EACCES if it leads out of a directory that confines it. */
int epio__place_begin(epio__place *place, const epio_op *op, const char *path, bool follows);

/* For a path that leads to nothing: the directory and the name of what is missing, behind all
 * links; with a slash that is behind it, or behind the target of the last link. */
int epio__place_begin_missing(epio__place *place, const epio_op *op, const char *path);

/* Preserves errno. */
void epio__place_end(epio__place *place);

/* After a call by the name in /proc of the descriptor, or of what is in it, has failed: ENOENT
 * becomes EOPNOTSUPP where there is no /proc, as in some chroot(2). */
void epio__note_missing_proc(int descriptor);

/* A system call, or several, on a path: what it returns, or -1 and errno. */
typedef int64_t epio__call_on_place(epio_op *op, int at, const char *path, void *with);

/* Makes the call for the op's path.path: the op's result. A call that `follows` may be made again
 * where a link got in between. */
int64_t epio__op_on_place(epio_op *op, bool follows, epio__call_on_place *call, void *with);

/* Of calls for what has a name, not for the name: they follow a link, asked or not, if a slash is
 * behind it. */
bool epio__path_is_followed(const char *path, bool follows);
int64_t epio__op_on_file(epio_op *op, bool follows, epio__call_on_place *call, void *with);

/* AT_SYMLINK_NOFOLLOW or 0 for a call on a place of the op. Without O_PATH a link in the last part
 * was resolved before, and one that is made at that moment must not be followed. */
int epio__place_flag(const epio_op *op, bool follows);

/* Where the last part of a path begins, if that is a name: false for "..", ".", and none. */
bool epio__find_last_part(const char *path, size_t *at);

/* Is there a symbolic link? Preserves errno. */
bool epio__is_link(int at, const char *name);

/* As renameat(2), but EEXIST if the new name exists. */
int epio__rename_without_replacing(const epio__place *from, const epio__place *to);

/* Must the op's path stay beneath the directory where it begins? */
bool epio__op_is_confined(const epio_op *op);

/* Preserves errno. */
bool epio__is_directory(int at, const char *path, bool follows);

/* As epio__descriptor_open, beneath `directory`: -1 and EACCES if the path leads out of it. */
int epio__open_beneath(int directory, const char *path, int flags, mode_t mode);

#endif
