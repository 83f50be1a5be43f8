/* See temporary.h. */
#include "posix/temporary.h"

#include "posix/durable.h"
#include "posix/place.h"
#include "reason.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_TRIES 100

bool epio__directory_for_temporary(int at, const char *path, char *directory, size_t size)
{
    if (path != NULL) {
        if (!epio__is_directory(at, path, true)) {
            return epio__directory_of(path, directory, size);
        }
        return (size_t)snprintf(directory, size, "%s", path) < size;
    }
    const char *const candidates[] = {getenv("TMPDIR"), "/var/tmp", "/tmp", "."};
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        const char *candidate = candidates[i];
        if (candidate != NULL && epio__is_directory(AT_FDCWD, candidate, true) &&
            access(candidate, W_OK | X_OK) == 0) {
            return (size_t)snprintf(directory, size, "%s", candidate) < size;
        }
    }
    return false;
}

/* ---- Directories ---- */

/* `parent` is where the place is, as the caller calls it. */
static int64_t make_directory(const epio_op *op, const epio__place *place, const char *parent)
{
    char name[PATH_MAX + 64];
    for (int i = 0; i < MOST_TRIES; i++) {
        epio__random_name(place->path, name, sizeof name);
        if (mkdirat(place->at, name, 0700) == 0) {
            return snprintf(op->arguments.path.buffer, (size_t)op->arguments.path.len, "%s%s",
                            parent, name + strlen(place->path));
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return -1;
}

int64_t epio__os_temporary_directory(epio_op *op)
{
    char directory[PATH_MAX];
    const char *path = op->arguments.path.path;
    epio__place place;
    if (path != NULL && strlen(path) < sizeof directory) {
        (void)snprintf(directory, sizeof directory, "%s", path);
    } else if (path != NULL ||
               !epio__directory_for_temporary(AT_FDCWD, NULL, directory, sizeof directory)) {
        errno = path != NULL ? ENAMETOOLONG : ENOENT;
        return epio__op_fail(op);
    }
    if (strlen(directory) + EPIO__RANDOM_NAME_LEN >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    if (epio__place_begin(&place, op, directory, true) != 0) {
        return epio__op_fail(op);
    }
    int64_t len = make_directory(op, &place, directory);
    if (len < 0 && place.opened >= 0) {
        epio__note_missing_proc(place.opened);
    }
    epio__place_end(&place);
    return len >= 0 ? len : epio__op_fail(op);
}

/* ---- A name for a file that has none ---- */

#if defined(O_TMPFILE)

static int link_descriptor(int descriptor, const char *path)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Can rename(2) put a file in the place of what is there? Else false, and its errno. */
static bool may_replace(const char *path)
{
    struct stat status;
    size_t last;
    if (!epio__find_last_part(path, &last)) {
        errno = EBUSY;
    } else if (path[strlen(path) - 1] == '/') {
        errno = ENOTDIR;
    } else if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = EISDIR;
    } else {
        return true;
    }
    return false;
}

/* linkat(2) does not replace: the file gets a name of its own first. Only if that can become the
 * wanted one, as a file that has lost a name gets no other. */
static int link_and_replace(int descriptor, const char *path)
{
    char directory[PATH_MAX];
    char name[PATH_MAX + 64];
    if (!epio__directory_of(path, directory, sizeof directory) || !may_replace(path)) {
        return -1;
    }
    for (int i = 0; i < MOST_TRIES; i++) {
        epio__random_name(directory, name, sizeof name);
        if (link_descriptor(descriptor, name) == 0) {
            if (rename(name, path) == 0) {
                return 0;
            }
            int error = errno;
            (void)unlink(name);
            errno = error;
            return -1;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return -1;
}

static int give_name(const epio_op *op, int descriptor)
{
    const char *path = op->arguments.path.path;
    int outcome = link_descriptor(descriptor, path);
    bool replaces = outcome != 0 && errno == EEXIST && (op->flags & EPIO_NAME_NO_REPLACE) == 0;
    return replaces ? link_and_replace(descriptor, path) : outcome;
}

int64_t epio__os_name_temporary(epio_op *op)
{
    struct stat status;
    int descriptor = (int)epio__os_file_of(op)->handle;
    epio__durable durable = {.descriptor = -1};
    bool lasting = (op->flags & EPIO_NAME_SYNC_DIR) != 0;
    if (fstat(descriptor, &status) == 0 && status.st_nlink != 0) {
        return epio__op_refuse(op, EPIO__REASON_HAS_NAME);
    }
    if ((lasting && epio__durable_begin(&durable, AT_FDCWD, op->arguments.path.path) != 0) ||
        give_name(op, descriptor) != 0) {
        epio__durable_drop(&durable);
        return epio__op_fail(op);
    }
    return lasting ? epio__durable_finish(&durable, op) : 0;
}

#else

int64_t epio__os_name_temporary(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

#endif
