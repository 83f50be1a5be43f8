/* See durable.h. A directory is flushed through a descriptor opened for reading. If it may be
 * searched but not read, any other descriptor of the same file system serves to flush all of that
 * file system (Linux, syncfs(2)). */
#include "posix/durable.h"

#include "posix/descriptor.h"
#include "posix/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_directory(int at, const char *path, bool follows)
{
    int flags = O_RDONLY | O_DIRECTORY | (follows ? 0 : O_NOFOLLOW);
    return epio__descriptor_open(at, path, flags, 0);
}

#if defined(__linux__)

/* Opens a readable directory above this one: a descriptor, or -1 and errno. */
static int open_above(int at, const char *directory, const struct stat *here)
{
    char path[PATH_MAX];
    size_t len = (size_t)snprintf(path, sizeof path, "%s", directory);
    ino_t below = here->st_ino;
    while (len + sizeof "/.." <= sizeof path) {
        struct stat status;
        memcpy(path + len, "/..", sizeof "/..");
        len += strlen("/..");
        if (fstatat(at, path, &status, 0) != 0 || status.st_dev != here->st_dev ||
            status.st_ino == below) {
            break; /* another file system, or the root */
        }
        int descriptor = open_directory(at, path, true);
        if (descriptor >= 0 || errno != EACCES) {
            return descriptor;
        }
        below = status.st_ino;
    }
    errno = EACCES;
    return -1;
}

/* Opens a file without a name: requires the same permissions as any change of the directory. */
static int open_nameless(int at, const char *directory)
{
    int descriptor = epio__descriptor_open(at, directory, O_TMPFILE | O_WRONLY, 0600);
    if (descriptor < 0 && errno != EMFILE && errno != ENFILE) {
        errno = EACCES;
    }
    return descriptor;
}

static int open_of_same_file_system(int at, const char *directory)
{
    struct stat here;
    if (fstatat(at, directory, &here, 0) != 0) {
        return -1;
    }
    int descriptor = open_above(at, directory, &here);
    if (descriptor < 0 && errno == EACCES) {
        descriptor = open_nameless(at, directory);
    }
    /* FUSE and similar file systems do not forward syncfs. */
    if (descriptor >= 0 &&
        epio__medium_of(descriptor, (uint64_t)here.st_dev) == EPIO__MEDIUM_REMOTE) {
        (void)close(descriptor);
        errno = EACCES;
        return -1;
    }
    return descriptor;
}

static int flush_file_system(int descriptor)
{
    return syncfs(descriptor);
}

#else

static int open_of_same_file_system(int at, const char *directory)
{
    (void)at;
    (void)directory;
    errno = EACCES;
    return -1;
}

static int flush_file_system(int descriptor)
{
    (void)descriptor;
    errno = ENOSYS;
    return -1;
}

#endif

int epio__durable_begin_in(epio__durable *durable, int at, const char *directory, bool follows)
{
    durable->file_system = false;
    durable->descriptor = open_directory(at, directory, follows);
    if (durable->descriptor < 0 && errno == EACCES) {
        durable->file_system = true;
        durable->descriptor = open_of_same_file_system(at, directory);
    }
    return durable->descriptor >= 0 ? 0 : -1;
}

int epio__durable_begin(epio__durable *durable, int at, const char *path)
{
    char directory[PATH_MAX];
    return epio__directory_of(path, directory, sizeof directory)
               ? epio__durable_begin_in(durable, at, directory, true)
               : -1;
}

static int flush(const epio__durable *durable)
{
    int outcome;
    do {
        outcome = durable->file_system ? flush_file_system(durable->descriptor)
                                       : epio__flush(durable->descriptor, EPIO_SYNC_FULL);
    } while (outcome != 0 && errno == EINTR);
    /* EINVAL: the file system cannot flush a directory */
    return outcome != 0 && (durable->file_system || errno != EINVAL) ? -1 : 0;
}

int64_t epio__durable_finish(epio__durable *durable, epio_op *op)
{
    int64_t result = 0;
    if (flush(durable) != 0) {
        op->os_error = errno;
        result = EPIO_EIO;
    }
    epio__durable_drop(durable);
    return result;
}

void epio__durable_drop(epio__durable *durable)
{
    int error = errno;
    if (durable->descriptor >= 0) {
        (void)close(durable->descriptor);
        durable->descriptor = -1;
    }
    errno = error;
}

/* ---- Removing ---- */

typedef struct removal {
    int (*remove)(int at, const char *path);
    bool lasting;
    epio__durable durable;
} removal;

static int64_t remove_at(epio_op *op, int at, const char *path, void *with)
{
    removal *one = with;
    (void)op;
    if ((one->lasting && epio__durable_begin(&one->durable, at, path) != 0) ||
        one->remove(at, path) != 0) {
        epio__durable_drop(&one->durable);
        return -1;
    }
    return 0;
}

int64_t epio__op_remove(epio_op *op, bool lasting, int (*remove)(int at, const char *path))
{
    removal one = {.remove = remove, .lasting = lasting, .durable = {.descriptor = -1}};
    int64_t result = epio__op_on_place(op, false, remove_at, &one);
    return result == 0 && lasting ? epio__durable_finish(&one.durable, op) : result;
}
