/* From a path to a descriptor: opens the file, creates it if missing, and records whether it did:
 * a failed open removes what it created, and a created name can be made durable. open.c makes the
 * file around the descriptor. */
#include "posix/open_path.h"

#include "posix/append.h"
#include "posix/descriptor.h"
#include "posix/place.h"
#include "posix/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_TRIES 100

/* ---- One call ---- */

static int flags_for_open(uint32_t flags)
{
    uint32_t new_file = EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE;
    int wanted = O_NOCTTY;
    wanted |= (flags & new_file) != new_file ? O_NONBLOCK : 0; /* a FIFO must not block here */
    switch (flags & (EPIO_OPEN_READ | EPIO_OPEN_WRITE)) {
    case EPIO_OPEN_READ:
        wanted |= O_RDONLY;
        break;
    case EPIO_OPEN_WRITE:
        wanted |= O_WRONLY;
        break;
    default:
        wanted |= O_RDWR;
        break;
    }
    wanted |= (flags & EPIO_OPEN_CREATE) != 0 ? O_CREAT : 0;
    wanted |= (flags & EPIO_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    wanted |= (flags & EPIO_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    wanted |= (flags & EPIO_OPEN_APPEND) != 0 ? O_APPEND : 0;
    wanted |= (flags & EPIO_OPEN_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
    wanted |= (flags & EPIO_OPEN_DIRECTORY) != 0 ? O_DIRECTORY : 0;
#if defined(O_NOATIME)
    wanted |= (flags & EPIO_OPEN_NOATIME) != 0 ? O_NOATIME : 0;
#endif
#if defined(O_DIRECT)
    wanted |= (flags & EPIO_OPEN_DIRECT) != 0 ? O_DIRECT : 0;
#endif
    return wanted;
}

int epio__flags_that_stay(uint32_t flags)
{
    int wanted = (flags & EPIO_OPEN_APPEND) != 0 ? O_APPEND : 0;
#if defined(O_NOATIME)
    wanted |= (flags & EPIO_OPEN_NOATIME) != 0 ? O_NOATIME : 0;
#endif
#if defined(O_DIRECT)
    wanted |= (flags & EPIO_OPEN_DIRECT) != 0 ? O_DIRECT : 0;
#endif
    return wanted;
}

static mode_t permissions_of(uint32_t flags)
{
    uint32_t given = flags >> 16;
    if ((flags & EPIO_OPEN_TEMPORARY) != 0) {
        return 0600;
    }
    return (mode_t)((given & 01000u) != 0 ? given & 0777u : 0666u);
}

static int open_name(int at, const char *path, uint32_t flags)
{
    int descriptor = epio__descriptor_open(at, path, flags_for_open(flags), permissions_of(flags));
    if (descriptor < 0) {
        return -1;
    }
#if defined(F_NOCACHE)
    if ((flags & EPIO_OPEN_DIRECT) != 0) {
        (void)fcntl(descriptor, F_NOCACHE, 1);
    }
#endif
    return descriptor;
}

uint32_t epio__open_abilities(uint32_t flags)
{
    return flags & (EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_DIRECT | EPIO_OPEN_APPEND);
}

/* ---- Existing and new files ---- */

/* A descriptor of the same file whose close was deferred, so that a program that opens and closes
 * a file while it is locked does not run out of descriptors; -1: none. */
static int reopen(int at, const char *path, uint32_t flags)
{
    struct stat status;
    if ((flags & (EPIO_OPEN_EXCLUSIVE | EPIO_OPEN_DIRECTORY)) != 0 ||
        !epio__range_locks_are_common()) {
        return -1;
    }
    bool follow = (flags & EPIO_OPEN_NOFOLLOW) == 0;
    if (fstatat(at, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    epio__os_file *file = epio__os_file_reopen((uint64_t)status.st_dev, (uint64_t)status.st_ino,
                                               epio__open_abilities(flags));
    if (file == NULL) {
        return -1;
    }
    int descriptor = (int)file->handle;
    if ((flags & EPIO_OPEN_TRUNCATE) != 0 && ftruncate(descriptor, 0) != 0) {
        int32_t os_error;
        (void)epio__os_file_close(file, &os_error); /* unused: the caller's open will report why */
        return -1;
    }
    free(file->delete_path);
    epio__position_destroy(file);
    free(file);
    return descriptor;
}

static int look_at(const epio__opening *opening, struct stat *status)
{
    bool follow = (opening->flags & EPIO_OPEN_NOFOLLOW) == 0;
    return fstatat(opening->at, opening->path, status, follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

/* If the file were deleted meanwhile, O_CREAT would create it without a record that this open
 * did: its name would not be made durable, or its permissions not be made exact. */
static int open_what_is_there(const epio__opening *opening)
{
    bool must_know = (opening->flags & (EPIO_OPEN_SYNC_DIR | EPIO_OPEN_EXACT)) != 0;
    return open_name(opening->at, opening->path,
                     must_know ? opening->flags & ~EPIO_OPEN_CREATE : opening->flags);
}

static int make(epio__opening *opening)
{
    epio__durable_drop(&opening->durable);
    if ((opening->flags & EPIO_OPEN_SYNC_DIR) != 0 &&
        epio__durable_begin(&opening->durable, opening->at, opening->path) != 0) {
        return -1;
    }
    int descriptor = open_name(opening->at, opening->path, opening->flags | EPIO_OPEN_EXCLUSIVE);
    opening->made = descriptor >= 0;
    return descriptor;
}

/* An exclusive open follows no link, so the link is resolved here to create its target. Not with
 * NOFOLLOW, under which the system fails with an error other than ENOENT. */
static bool follow_link(epio__opening *opening)
{
    char target[PATH_MAX];
    if ((opening->flags & EPIO_OPEN_NOFOLLOW) != 0) {
        return true;
    }
    if (epio__resolve_new_path(opening->at, opening->path, target) != 0) {
        return false;
    }
    memcpy(opening->link_target, target, strlen(target) + 1);
    opening->path = opening->link_target;
    return true;
}

static int open_or_make(epio__opening *opening)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        struct stat status;
        int descriptor;
        if (look_at(opening, &status) == 0) {
            descriptor = open_what_is_there(opening);
            if (descriptor >= 0 || errno != ENOENT) {
                return descriptor;
            }
            continue; /* deleted just now */
        }
        bool missing = errno == ENOENT;
        descriptor = make(opening);
        if (descriptor >= 0 || errno != EEXIST) {
            return descriptor;
        }
        if (!missing) {
            return open_what_is_there(opening);
        }
        if (!follow_link(opening)) {
            /* ".." of a directory that was removed has no path, but the system knows it. */
            return errno == ENOENT ? open_what_is_there(opening) : -1;
        }
    }
    errno = ENOENT;
    return -1;
}

/* For names that are no links: most new files take one call. Why one was not made is found out by
 * the slow path. */
static int make_quickly(epio__opening *opening)
{
    uint32_t flags = opening->flags;
    if ((flags & EPIO_OPEN_NOFOLLOW) == 0 || (flags & EPIO_OPEN_SYNC_DIR) != 0) {
        return -1;
    }
    int descriptor = make(opening);
    if (descriptor < 0 && errno == EEXIST) {
        descriptor = open_what_is_there(opening);
    }
    return descriptor;
}

static int make_if_missing(epio__opening *opening)
{
    int descriptor = make_quickly(opening);
    return descriptor >= 0 ? descriptor : open_or_make(opening);
}

static int open_path(epio__opening *opening)
{
    int descriptor = reopen(opening->at, opening->path, opening->flags);
    if (descriptor >= 0) {
        return descriptor;
    }
    if ((opening->flags & EPIO_OPEN_CREATE) == 0) {
        return open_name(opening->at, opening->path, opening->flags);
    }
    return (opening->flags & EPIO_OPEN_EXCLUSIVE) != 0 ? make(opening) : make_if_missing(opening);
}

/* ---- Temporary files ---- */

/* Opens a file that never has a name, if the file system can: else -1 and errno. */
static int open_nameless(int at, const char *directory, uint32_t flags)
{
#if defined(O_TMPFILE)
    int how = flags_for_open(epio__open_abilities(flags)) | O_TMPFILE;
    return epio__descriptor_open(at, directory, how, permissions_of(flags));
#else
    (void)at;
    (void)directory;
    (void)flags;
    errno = EOPNOTSUPP;
    return -1;
#endif
}

/* Creates an unpredictable name and removes it as soon as the file is open: nothing is left
 * behind however the process ends. */
static int open_and_unlink(int at, const char *directory, uint32_t flags)
{
    char name[PATH_MAX + 64];
    for (int i = 0; i < MOST_TRIES; i++) {
        epio__random_name(directory, name, sizeof name);
        int descriptor = open_name(at, name, flags);
        if (descriptor >= 0 && unlinkat(at, name, 0) != 0) {
            int error = errno; /* a directory that allows creating names, but not removing them */
            (void)close(descriptor);
            errno = error;
            return -1;
        }
        if (descriptor >= 0 || errno != EEXIST) {
            return descriptor;
        }
    }
    return -1;
}

static int open_temporary(int at, const char *path, uint32_t flags)
{
    char directory[PATH_MAX];
    if (!epio__directory_for_temporary(at, path, directory, sizeof directory)) {
        errno = path != NULL ? ENAMETOOLONG : ENOENT;
        return -1;
    }
    int descriptor = open_nameless(at, directory, flags);
    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return descriptor; /* EISDIR and EINVAL: Linux before 3.11 */
    }
    return open_and_unlink(at, directory, flags);
}

/* ---- One open ---- */

/* By one step, so that nothing can be exchanged between two: it is not known whether the open made
 * the file, and what it made stays if it fails after all. */
static int open_confined(epio__opening *opening, const epio_op *op)
{
    epio__place place;
    if ((op->flags & (EPIO_OPEN_TEMPORARY | EPIO_OPEN_DELETE_ON_CLOSE)) != 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if ((op->flags & (EPIO_OPEN_SYNC_DIR | EPIO_OPEN_CREATE)) ==
        (EPIO_OPEN_SYNC_DIR | EPIO_OPEN_CREATE)) {
        if (epio__place_begin(&place, op, opening->path, false) != 0) {
            return -1;
        }
        int begun = epio__durable_begin(&opening->durable, place.at, place.path);
        epio__place_end(&place);
        if (begun != 0) {
            return -1;
        }
    }
    int descriptor = epio__open_beneath(opening->at, opening->path, flags_for_open(op->flags),
                                        permissions_of(op->flags));
    if (descriptor < 0) {
        epio__durable_drop(&opening->durable);
    }
    return descriptor;
}

int epio__opening_begin(epio__opening *opening, const epio_op *op)
{
    opening->at = epio__at(op);
    opening->confined = epio__op_is_confined(op);
    opening->path = op->arguments.path.path;
    opening->flags = op->flags;
    opening->made = false;
    opening->durable.descriptor = -1;
    if (opening->confined) {
        return open_confined(opening, op);
    }
    if ((op->flags & EPIO_OPEN_TEMPORARY) != 0) {
        return open_temporary(opening->path != NULL ? opening->at : AT_FDCWD, opening->path,
                              op->flags);
    }
    int descriptor = open_path(opening);
    if (!opening->made) {
        epio__durable_drop(&opening->durable);
    }
    return descriptor;
}

int64_t epio__opening_finish(epio__opening *opening, epio_op *op)
{
    return opening->durable.descriptor >= 0 ? epio__durable_finish(&opening->durable, op) : 0;
}

/* A file that another process has written to is not removed. */
static bool is_anothers(int at, const char *path, const epio__os_file *file)
{
    struct stat status;
    bool known = file->inode != 0;
    return fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           ((known &&
             ((uint64_t)status.st_dev != file->device || (uint64_t)status.st_ino != file->inode)) ||
            status.st_size != 0);
}

void epio__opening_undo(epio__opening *opening, const epio__os_file *file)
{
    int error = errno;
    epio__durable_drop(&opening->durable);
    if (opening->made && !is_anothers(opening->at, opening->path, file)) {
        (void)unlinkat(opening->at, opening->path, 0);
    }
    errno = error;
}
