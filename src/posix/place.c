/* See place.h. Linux resolves a path beneath a directory by one call, openat2(2). Where that is
 * missing, the path is resolved part by part: each directory is opened without following links,
 * links are read and resolved here, and ".." goes back to the directory from which this one was
 * reached, wherever it has been moved since. */
#include "posix/place.h"

#include "posix/descriptor.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

/* Links followed per path, as on Linux. */
#define MOST_LINKS 40
/* Directories open at once. */
#define MOST_DEPTH 256
/* As often a path begins anew that others change at that moment. */
#define MOST_TRIES 1000

#if defined(O_PATH)
#define TO_PASS (O_PATH | O_DIRECTORY)
#elif defined(O_SEARCH)
#define TO_PASS (O_SEARCH | O_DIRECTORY)
#else
#define TO_PASS (O_RDONLY | O_DIRECTORY)
#endif

static bool ends_with_slash(const char *path)
{
    size_t len = strlen(path);
    return len != 0 && path[len - 1] == '/';
}

/* ---- Part by part ---- */

enum {
    SLASH_STAYS,  /* with the name, for the caller's call */
    SLASH_ENTERS, /* the directory: the name is "." */
    SLASH_STOPS   /* as it stays; and a link before it is not followed */
};

typedef struct walk {
    int stack[MOST_DEPTH]; /* the directory where it began, not owned, and those below it */
    int depth;             /* index of the present one */
    int links;
    int tries;
    int slash;           /* what one behind the last part does: SLASH_... */
    char rest[PATH_MAX]; /* what is still to be resolved */
    char part[NAME_MAX + 1];
} walk;

static void leave_all(walk *w)
{
    int error = errno;
    while (w->depth > 0) {
        (void)close(w->stack[w->depth--]);
    }
    errno = error;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Takes the next part: 1; 0: there is none; -1 and errno. */
static int take_part(walk *w)
{
    const char *from = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(from, "/");
    if (len > NAME_MAX) {
        return fail(ENAMETOOLONG);
    }
    memcpy(w->part, from, len);
    w->part[len] = '\0';
    memmove(w->rest, from + len, strlen(from + len) + 1);
    return len != 0 ? 1 : 0;
}

static int put_before(walk *w, const char *parts, size_t len)
{
    size_t rest = strlen(w->rest);
    if (len + 1 + rest >= sizeof w->rest) {
        return fail(ENAMETOOLONG);
    }
    memmove(w->rest + len, w->rest, rest + 1);
    memcpy(w->rest, parts, len);
    return 0;
}

/* The part was exchanged for something else between two calls: it is taken again. */
static int take_again(walk *w)
{
    return ++w->tries < MOST_TRIES ? put_before(w, w->part, strlen(w->part)) : fail(ELOOP);
}

/* Puts the target of the link `part` before the rest. */
static int take_link(walk *w)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(w->stack[w->depth], w->part, target, sizeof target);
    if (len < 0) {
        return errno == EINVAL ? take_again(w) : -1;
    }
    if (++w->links > MOST_LINKS) {
        return fail(ELOOP);
    }
    return target[0] == '/' ? fail(EACCES) : put_before(w, target, (size_t)len);
}

/* What O_NOFOLLOW says of a link: by POSIX, on FreeBSD, and with O_DIRECTORY on Linux. */
static bool may_be_link(int error)
{
    return error == ELOOP || error == EMLINK || error == ENOTDIR;
}

bool epio__is_link(int at, const char *name)
{
    struct stat status;
    int error = errno;
    bool is = fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
    errno = error;
    return is;
}

static int go_down(walk *w)
{
    if (w->depth + 1 == MOST_DEPTH) {
        return fail(ENAMETOOLONG);
    }
    int next = epio__descriptor_open(w->stack[w->depth], w->part, TO_PASS | O_NOFOLLOW, 0);
    if (next < 0) {
        struct stat status;
        int error = errno;
        if (fstatat(w->stack[w->depth], w->part, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return fail(error);
        }
        if (S_ISLNK(status.st_mode)) {
            return take_link(w);
        }
        return S_ISDIR(status.st_mode) && may_be_link(error) ? take_again(w) : fail(error);
    }
    w->stack[++w->depth] = next;
    return 0;
}

static int go_up(walk *w)
{
    if (w->depth == 0) {
        return fail(EACCES);
    }
    (void)close(w->stack[w->depth--]);
    return 0;
}

static bool is(const char *part, const char *name)
{
    return strcmp(part, name) == 0;
}

/* Is the part the last one? "a/" is: the slash asks for a directory, which the caller's call
 * checks. */
static bool is_last(const walk *w)
{
    return w->rest[strspn(w->rest, "/")] == '\0';
}

/* Resolves all but the last part, which is then in `part`, "." if nothing is left. With `follows`
 * the last part is no link, as far as one can know. */
static int resolve(walk *w, bool follows)
{
    for (;;) {
        int taken = take_part(w);
        if (taken <= 0) {
            strcpy(w->part, ".");
            return taken;
        }
        bool slash = w->rest[0] == '/';
        bool last = is_last(w) && !(w->slash == SLASH_ENTERS && slash);
        int outcome = 0;
        if (is(w->part, ".")) {
            outcome = 0;
        } else if (is(w->part, "..")) {
            outcome = go_up(w);
        } else if (!last) {
            outcome = go_down(w);
        } else if (follows && !(w->slash == SLASH_STOPS && slash) &&
                   epio__is_link(w->stack[w->depth], w->part)) {
            outcome = take_link(w);
        } else {
            /* A trailing slash stays with the name. */
            return 0;
        }
        if (outcome != 0) {
            return -1;
        }
    }
}

static int begin_walk(walk *w, int directory, const char *path, bool follows, int slash)
{
    size_t len = strlen(path);
    w->stack[0] = directory;
    w->depth = 0;
    w->links = 0;
    w->tries = 0;
    w->slash = slash;
    if (len >= sizeof w->rest) {
        return fail(ENAMETOOLONG);
    }
    memcpy(w->rest, path, len + 1);
    if (path[0] == '/') {
        return fail(EACCES);
    }
    if (resolve(w, follows) != 0) {
        leave_all(w);
        return -1;
    }
    return 0;
}

#if defined(O_PATH)

/* O_PATH opens a link itself, which the caller has to resolve: -1 and ELOOP, as without it. */
static int refuse_link(int descriptor)
{
    struct stat status;
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISLNK(status.st_mode)) {
        (void)close(descriptor);
        return fail(ELOOP);
    }
    return descriptor;
}

#endif

static int open_by_parts(int directory, const char *path, int flags, mode_t mode)
{
    bool makes = (flags & O_CREAT) != 0;
    bool follows = (flags & O_NOFOLLOW) == 0 && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    int descriptor = -1;
    bool again = true;
    flags |= O_NOFOLLOW; /* a link that was made just now */
    for (int i = 0; i < MOST_TRIES && again; i++) {
        walk w;
        if (begin_walk(&w, directory, path, follows, makes ? SLASH_STOPS : SLASH_ENTERS) != 0) {
            return -1;
        }
        descriptor = makes && w.rest[0] == '/'
                         ? fail(EISDIR) /* the system would see no slash */
                         : epio__descriptor_open(w.stack[w.depth], w.part, flags, mode);
#if defined(O_PATH)
        if (follows && (flags & O_PATH) != 0) {
            descriptor = refuse_link(descriptor);
        }
#endif
        again = descriptor < 0 && follows && may_be_link(errno) &&
                (errno != ENOTDIR || epio__is_link(w.stack[w.depth], w.part));
        leave_all(&w);
    }
    return descriptor;
}

/* ---- By one call ---- */

#if defined(__linux__) && defined(SYS_openat2)

/* linux/openat2.h, which older systems do not have. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

#define RESOLVE_BENEATH 0x08u

/* False: the system has no such call. Else *descriptor is -1 and errno, or one. The kernel gives up
 * with EAGAIN when directories are moved meanwhile. */
static bool open_at_once(int directory, const char *path, int flags, mode_t mode, int *descriptor)
{
    struct how how = {.flags = (uint64_t)(uint32_t)(flags | O_CLOEXEC),
                      .mode = (flags & O_CREAT) != 0 ? mode : 0,
                      .resolve = RESOLVE_BENEATH};
    for (int i = 0; i < MOST_TRIES; i++) {
        long outcome = syscall(SYS_openat2, directory, path, &how, sizeof how);
        *descriptor = (int)outcome;
        if (outcome >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    if (*descriptor < 0 && errno == EXDEV) {
        errno = EACCES;
    }
    *descriptor = epio__descriptor_move(*descriptor);
    return *descriptor >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN);
}

#else

static bool open_at_once(int directory, const char *path, int flags, mode_t mode, int *descriptor)
{
    (void)directory;
    (void)path;
    (void)flags;
    (void)mode;
    (void)descriptor;
    return false;
}

#endif

int epio__open_beneath(int directory, const char *path, int flags, mode_t mode)
{
    int descriptor = -1;
    return open_at_once(directory, path, flags, mode, &descriptor)
               ? descriptor
               : open_by_parts(directory, path, flags, mode);
}

/* ---- Places ---- */

bool epio__is_directory(int at, const char *path, bool follows)
{
    struct stat status;
    int error = errno;
    bool is = fstatat(at, path, &status, follows ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
              S_ISDIR(status.st_mode);
    errno = error;
    return is;
}

bool epio__op_is_confined(const epio_op *op)
{
    const epio_file *directory = op->arguments.path.directory;
    bool beneath = op->kind == EPIO_KIND_OPEN && (op->flags & EPIO_OPEN_BENEATH) != 0;
    return directory != NULL &&
           (beneath || ((const epio__os_file *)(const void *)directory)->confines);
}

bool epio__find_last_part(const char *path, size_t *at)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    size_t end = len;
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    *at = len;
    return end - len > 2 || (end - len == 2 && strncmp(path + len, "..", 2) != 0) ||
           (end - len == 1 && path[len] != '.');
}

/* The usual case: the directory by one call. False: go part by part. */
static bool begin_at_once(epio__place *place, int directory, const char *path, int *outcome)
{
    char above[PATH_MAX];
    size_t last;
    if (path[0] == '/' || !epio__find_last_part(path, &last) || last == 0 || last >= sizeof above) {
        return false;
    }
    memcpy(above, path, last);
    above[last] = '\0';
    place->opened = epio__open_beneath(directory, above, TO_PASS, 0);
    place->at = place->opened;
    place->path = path + last;
    *outcome = place->opened >= 0 ? 0 : -1;
    return true;
}

/* By parts: the directory and the name of what the path leads to, or with `follows` false of the
 * last part. */
static int begin_at_end(epio__place *place, int directory, const char *path, bool follows,
                        int slash)
{
    walk w;
    if (begin_walk(&w, directory, path, follows, slash) != 0) {
        return -1;
    }
    (void)snprintf(place->room, sizeof place->room, "%s%s", w.part, w.rest[0] == '/' ? "/" : "");
    place->path = place->room;
    place->at = w.stack[w.depth];
    if (w.depth > 0) {
        place->opened = w.stack[w.depth--];
    }
    leave_all(&w);
    return 0;
}

/* The directory of the last part, which is then the name. */
static int begin_at_parent(epio__place *place, int directory, const char *path)
{
    int outcome;
    if (begin_at_once(place, directory, path, &outcome)) {
        return outcome;
    }
    return begin_at_end(place, directory, path, false, SLASH_STAYS);
}

/* What the path leads to, by a link that leads there and nowhere else. */
static int begin_at_target(epio__place *place, int directory, const char *path)
{
#if EPIO__HAS_PROC_NAMES
    place->opened = epio__open_beneath(directory, path, O_PATH, 0);
    if (place->opened < 0) {
        return -1;
    }
    /* With a slash, calls that follow no link follow this one, too. */
    (void)snprintf(place->room, sizeof place->room, "/proc/self/fd/%d%s", place->opened,
                   ends_with_slash(path) ? "/" : "");
    place->at = AT_FDCWD;
    place->path = place->room;
    return 0;
#else
    return begin_at_end(place, directory, path, true, SLASH_ENTERS);
#endif
}

void epio__note_missing_proc(int descriptor)
{
    char link[64];
    struct stat status;
    if (EPIO__HAS_PROC_NAMES && errno == ENOENT) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        errno = lstat(link, &status) == 0 ? ENOENT : EOPNOTSUPP;
    }
}

int epio__place_begin(epio__place *place, const epio_op *op, const char *path, bool follows)
{
    place->at = epio__at(op);
    place->path = path;
    place->opened = -1;
    if (!epio__op_is_confined(op)) {
        return 0;
    }
    return follows ? begin_at_target(place, place->at, path)
                   : begin_at_parent(place, place->at, path);
}

int epio__place_begin_missing(epio__place *place, const epio_op *op, const char *path)
{
    place->opened = -1;
    return begin_at_end(place, epio__at(op), path, true, SLASH_STAYS);
}

int epio__place_flag(const epio_op *op, bool follows)
{
#if EPIO__HAS_PROC_NAMES
    (void)op;
    return follows ? 0 : AT_SYMLINK_NOFOLLOW;
#else
    return follows && !epio__op_is_confined(op) ? 0 : AT_SYMLINK_NOFOLLOW;
#endif
}

/* Without O_PATH the call may have met a link that was made just now, and which is to be resolved.
 */
static bool met_link(const epio__place *place, const epio_op *op, bool follows, int64_t outcome)
{
    return follows && epio__place_flag(op, true) != 0 &&
           (epio__is_link(place->at, place->path) || (outcome < 0 && errno == ELOOP));
}

int64_t epio__op_on_place(epio_op *op, bool follows, epio__call_on_place *call, void *with)
{
    int64_t outcome = -1;
    bool again = true;
    for (int i = 0; i < MOST_TRIES && again; i++) {
        epio__place place;
        if (epio__place_begin(&place, op, op->arguments.path.path, follows) != 0) {
            return epio__op_fail(op);
        }
        outcome = call(op, place.at, place.path, with);
        if (outcome < 0 && follows && place.opened >= 0) {
            epio__note_missing_proc(place.opened);
        }
        again = met_link(&place, op, follows, outcome);
        epio__place_end(&place);
    }
    return outcome >= 0 ? outcome : epio__op_fail(op);
}

bool epio__path_is_followed(const char *path, bool follows)
{
    return follows || ends_with_slash(path);
}

int64_t epio__op_on_file(epio_op *op, bool follows, epio__call_on_place *call, void *with)
{
    return epio__op_on_place(op, epio__path_is_followed(op->arguments.path.path, follows), call,
                             with);
}

void epio__place_end(epio__place *place)
{
    int error = errno;
    if (place->opened >= 0) {
        (void)close(place->opened);
        place->opened = -1;
    }
    errno = error;
}
