/* What changes in a directory. Part of epio/epio.h, which includes it; the conventions of verbs are
 * there. */
#ifndef EPIO_WATCH_H
#define EPIO_WATCH_H

#include <epio/compiler.h>
#include <epio/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;
struct epio_vfs;

#define EPIO_WATCH_RECURSIVE 1u /* and in all directories below it, also in those that are made */
#define EPIO_WATCH_COMPARE 2u   /* by comparing, whatever the system has */

/* The result of an epio_watch that compares. */
#define EPIO_WATCH_COMPARES 1

/* Watches the directory at `path`: 0 or EPIO_WATCH_COMPARES, and op->file, for epio_read_events and
 * epio_close alone; all else is EPIO_EBADF. What changes after its completion is reported; what is
 * in the directory then is not. A directory is watched, not its path: also where it is moved to.
 * Without RECURSIVE the entries of the directory itself are watched, with it all that is below it,
 * too.
 *
 * Where the system reports no changes (on POSIX systems other than Linux; a file system that others
 * change, too, as a server's) names, ids, sizes and times are compared once a second, on a thread
 * of its own: EPIO_WATCH_COMPARES. What came and went in between is not seen, nor is a change that
 * leaves size and times as they were; a rename is a REMOVED and a MADE; and changes of one second
 * come in the order of names. One thread compares for all watches: where a file system does not
 * answer, the others wait, and the close of its own watch does. The memory VFS reports all itself:
 * COMPARE is EPIO_ENOTSUP there.
 *
 * On Linux neither what is mounted below the directory is watched, nor what may not be read there.
 * A directory that is removed has its end once no process has it open. New directories for which
 * the system has no room, or which are in one that was moved where this process does not find it
 * (it looks in the old place, and if it may use open_by_handle_at(2) everywhere), are tried again
 * each second, and each time there is an OVERFLOW.
 *
 * A watch belongs to the process that made it: in a forked child epio_read_events is EPIO_EIO, and
 * epio_close frees it. Errors: those of an epio_open with DIRECTORY and READ; EPIO_EINVAL (unknown
 * flags), EPIO_ENOTDIR, EPIO_ENOSPC (the system's limit of watches; see inotify(7),
 * max_user_watches), EPIO_EMFILE, EPIO_ENOMEM, EPIO_ENOTSUP. */
EPIO_VERB epio_op *epio_watch(epio_op *op, struct epio_vfs *vfs, const char *path, uint32_t flags);

/* A copy of the directory, as it was, becomes like the directory if the names of the events are
 * applied to it in their order, and then what was MADE or CHANGED is fetched under the name that it
 * has by then:
 *
 * - MADE and RENAMED may be of a name that something else has, which they replace (of which there
 *   may be a REMOVED before). A MADE of a directory that is there already changes nothing.
 * - Of a directory that comes from outside all that is in it has a MADE behind it, with RECURSIVE;
 *   one that is removed or goes outside takes all that is in it with it, whether there are events
 *   of that or not; and one that is renamed takes it to its new name.
 * - An exchange of two names is a RENAMED of one to the other, and a MADE of the one, with all that
 *   is in it; or a REMOVED and a MADE of each.
 * - A directory has no CHANGED for what is made or removed in it. Of the watched directory itself
 *   only its end is reported.
 * - A file with several names has its CHANGED and ATTRIBUTES under one of them at least: the one
 *   that it was opened by, on Linux; in the memory VFS all of them. What a mapping writes has no
 *   event where the system has none (on Linux). There, too, a new time of modification alone is a
 *   CHANGED, and a new time of access alone nothing.
 * - Who looks at the directory while it is watched, at first or after an OVERFLOW, may see what
 *   later events report. Until all events from before the look are read, look at both names of
 * every RENAMED, with all that is in them, instead of renaming anything in the copy. A file that
 * the program makes itself after the look has its MADE behind all of these.
 * - A type is UNKNOWN mostly of what is gone by now. It is no reason to look at once: what is under
 *   the name once no event is left is what counts.
 * - On Windows a CHANGED may be of a file's attributes alone, and a directory has ATTRIBUTES when
 *   names in it change; a rename to another directory is a REMOVED and a MADE, with all that is in
 *   it. */
#define EPIO_EVENT_MADE 1u    /* made, linked, or moved here from outside what is watched */
#define EPIO_EVENT_CHANGED 2u /* its bytes, or how many they are */
#define EPIO_EVENT_REMOVED 3u /* removed, or moved out; with an empty name the directory itself */
#define EPIO_EVENT_RENAMED 4u /* within what is watched: epio_event_from is the old name */
#define EPIO_EVENT_ATTRIBUTES 5u /* mode, owner, times, extended attributes */
#define EPIO_EVENT_OVERFLOW 6u   /* events were lost: look at the whole tree again */

/* An event. Its names are behind it: epio_event_name, epio_event_from. */
typedef struct epio_event {
    uint32_t size;     /* bytes to the next event */
    uint32_t name_len; /* without the NUL */
    uint32_t from_len; /* likewise; 0: not RENAMED */
    uint8_t kind;      /* EPIO_EVENT_... */
    uint8_t type;      /* EPIO_TYPE_...; UNKNOWN where the system does not say */
    uint8_t reserved[2];
} epio_event;

/* Waits until something has changed, then fills the buffer, which is aligned as for a uint64_t,
 * with as many events as fit: their length in bytes; 0 once the directory itself was removed and
 * all events were read, and again in each later call. Names are relative to the watched directory
 * ("a/b"). In the order of the changes; of what was made, an event comes before those of what is in
 * it. Several changes of the same bytes or attributes may be one event, or one change several. A
 * MADE may be of something that is gone by now, or come twice; what is made in a new directory at
 * once always has its MADE, too.
 *
 * Events wait in memory until they are read, 4 MiB of them at most. Where they are too many, here
 * or in the system, the older are delivered, then OVERFLOW, then what changes after this was
 * delivered. An op waits for its timeout at most; those of one watch are served in their order. The
 * system reports a change a moment later: EPIO_ETIMEDOUT does not say that there was none. A close
 * ends waiting ops with EPIO_ECANCELED. Errors: EPIO_EBADF (no watch), EPIO_ERANGE (the next event
 * does not fit: 32 bytes beside its two names suffice; it is kept), EPIO_EINVAL (NULL, not
 * aligned, shorter than 24 bytes), EPIO_EIO. */
EPIO_VERB epio_op *epio_read_events(epio_op *op, struct epio_file *watch, void *buffer, size_t len);

/* The events of a buffer that epio_read_events has filled with `len` bytes: the first for NULL,
 * then the one behind `event`; NULL at the end. Any thread. */
EPIO_API const epio_event *epio_event_next(const void *buffer, size_t len, const epio_event *event);
/* End with a NUL. The second is empty unless RENAMED. */
EPIO_API const char *epio_event_name(const epio_event *event);
EPIO_API const char *epio_event_from(const epio_event *event);

#ifdef __cplusplus
}
#endif

#endif
