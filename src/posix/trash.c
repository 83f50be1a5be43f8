/* The trash, by freedesktop's specification, version 1.0
 * (https://specifications.freedesktop.org/trash-spec/1.0); on macOS the directories that the Finder
 * has. A file goes to the trash of its own file system, by a rename. Emptying and restoring are
 * programs' own; so is the file `directorysizes`, a cache that may lack entries. */
#include "posix/descriptor.h"
#include "posix/place.h"
#include "reason.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__APPLE__)
#define HAS_INFO false
#define HOME_TRASH "/.Trash"
#define DATA_TRASH ""
#define SHARED_TRASH ".Trashes"
#define BEFORE_NUMBER " "
#else
#define HAS_INFO true
#define HOME_TRASH "/.local/share/Trash"
#define DATA_TRASH "/Trash"
#define SHARED_TRASH ".Trash"
#define BEFORE_NUMBER "."
#endif

#define INFO_END ".trashinfo"
/* After some tries names are random, as another program may be busy with the same ones. */
#define TRIES_IN_ORDER 64u
#define MOST_TRIES 1000u
#define LONGEST_EXTENSION 20u

/* Where a rename may lead. */
typedef struct volume {
    dev_t device;
    uint64_t mount; /* a file system can be mounted twice; 0: unknown */
} volume;

typedef struct trashing {
    const epio__place *from;
    const char *name; /* its last part, `name_len` bytes */
    size_t name_len;
    char directory[PATH_MAX]; /* where it is, absolute, without links */
    volume volume;            /* of that */
    bool is_homeless;         /* there is no trash of the home's */
    char trash[PATH_MAX];     /* absolute */
    size_t top_len;           /* paths are relative to the first of these bytes; 0: absolute */
    int files;                /* directories of the trash; -1: none */
    int info;
    size_t longest; /* name there */
    char chosen[NAME_MAX + 1];
    char chosen_info[NAME_MAX + sizeof INFO_END];
    char text[3 * (PATH_MAX + NAME_MAX) + 128]; /* of the info */
    size_t text_len;
} trashing;

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- File systems ---- */

/* 0: unknown. Older C libraries have no statx with it; what asks for a handle tells it besides,
 * also if there is no room for the handle. */
static uint64_t mount_of(int at, const char *path, int flags)
{
#if defined(__linux__) && defined(STATX_MNT_ID)
    struct statx more;
    bool known =
        statx(at, path, flags, STATX_MNT_ID, &more) == 0 && (more.stx_mask & STATX_MNT_ID) != 0;
    return known ? more.stx_mnt_id : 0;
#elif defined(__linux__) && defined(MAX_HANDLE_SZ)
    struct file_handle handle = {.handle_bytes = 0};
    int mount = 0;
    int how =
        (flags & AT_EMPTY_PATH) | ((flags & AT_SYMLINK_NOFOLLOW) != 0 ? 0 : AT_SYMLINK_FOLLOW);
    bool known = name_to_handle_at(at, path, &handle, &mount, how) == 0 || errno == EOVERFLOW;
    return known ? (uint64_t)(unsigned)mount : 0;
#else
    (void)at, (void)path, (void)flags;
    return 0;
#endif
}

static bool volume_of(int at, const char *path, int flags, volume *found)
{
    struct stat status;
    *found = (volume){0};
    if (fstatat(at, path, &status, flags) != 0) {
        return false;
    }
    found->device = status.st_dev;
    found->mount = mount_of(at, path, flags);
    return true;
}

static bool is_same_volume(const volume *one, const volume *other)
{
    return one->device == other->device && one->mount == other->mount;
}

/* Cuts the last part off an absolute path: its new length. */
static size_t cut_last_part(char *path)
{
    char *slash = strrchr(path, '/');
    slash[slash == path ? 1 : 0] = '\0';
    return strlen(path);
}

/* The volume of what is to be made at the path. */
static bool volume_of_new(const char *path, volume *found)
{
    char above[PATH_MAX];
    (void)snprintf(above, sizeof above, "%s", path);
    while (!volume_of(AT_FDCWD, above, 0, found)) {
        if (strcmp(above, "/") == 0) {
            return false;
        }
        (void)cut_last_part(above);
    }
    return true;
}

/* ---- The home's trash ---- */

static bool join(char *path, size_t size, const char *one, const char *other)
{
    int len = snprintf(path, size, "%s%s", one, other);
    return len >= 0 && (size_t)len < size;
}

/* Where the environment says it is, as in the XDG base directory specification. False: it says
 * nothing, or nothing that fits. The user database is not asked: a static program cannot. */
static bool find_home_trash(char *path, size_t size)
{
    const char *data = HAS_INFO ? getenv("XDG_DATA_HOME") : NULL;
    const char *home = getenv("HOME");
    if (data != NULL && data[0] == '/') {
        return join(path, size, data, DATA_TRASH);
    }
    return home != NULL && home[0] == '/' && join(path, size, home, HOME_TRASH);
}

static int make_directory(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    int error = errno;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? 0 : fail(error);
}

static int make_all(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int outcome = make_directory(path);
        *at = '/';
        if (outcome != 0) {
            return -1;
        }
    }
    return make_directory(path);
}

/* ---- Its directories ---- */

static void close_trash(trashing *t)
{
    int error = errno;
    if (t->files >= 0) {
        (void)close(t->files);
    }
    if (t->info >= 0) {
        (void)close(t->info);
    }
    t->files = -1;
    t->info = -1;
    errno = error;
}

/* In the trash: a descriptor, or -1 and errno. */
static int open_part(int trash, const char *name)
{
    if (mkdirat(trash, name, 0700) != 0 && errno != EEXIST) {
        return -1;
    }
    return epio__descriptor_open(trash, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

static int open_parts(trashing *t, int trash)
{
    if (!HAS_INFO) {
        t->files = trash;
        return 0;
    }
    t->files = open_part(trash, "files");
    t->info = t->files >= 0 ? open_part(trash, "info") : -1;
    int error = errno;
    (void)close(trash);
    errno = error;
    return t->info >= 0 ? 0 : -1;
}

static int open_home_trash(trashing *t)
{
    t->top_len = 0;
    if (make_all(t->trash) != 0) {
        return -1;
    }
    int trash = epio__descriptor_open(AT_FDCWD, t->trash, O_RDONLY | O_DIRECTORY, 0);
    if (trash < 0 || open_parts(t, trash) != 0) {
        return -1;
    }
    char given[PATH_MAX];
    memcpy(given, t->trash, sizeof given);
    return epio__resolve_path(AT_FDCWD, given, t->trash);
}

/* A directory of this user alone, in a place where others may put things. */
static int open_own(trashing *t)
{
    struct stat status;
    if (mkdir(t->trash, 0700) != 0 && errno != EEXIST) {
        return -1;
    }
    int trash = epio__descriptor_open(AT_FDCWD, t->trash, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (trash < 0) {
        return -1;
    }
    if (fstat(trash, &status) != 0 || status.st_uid != geteuid()) {
        (void)close(trash);
        return fail(EACCES);
    }
    return open_parts(t, trash);
}

/* One that the administrator has made: it must not let others remove or exchange what is in it. */
static bool is_shared_trash(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
}

/* The uppermost directory of the file system: the length of its path without a trailing slash. */
static size_t find_top(const trashing *t, char *top)
{
    char above[PATH_MAX];
    volume here;
    (void)snprintf(top, PATH_MAX, "%s", t->directory);
    (void)snprintf(above, sizeof above, "%s", top);
    while (strcmp(top, "/") != 0) {
        (void)cut_last_part(above);
        if (!volume_of(AT_FDCWD, above, 0, &here) || !is_same_volume(&here, &t->volume)) {
            break;
        }
        (void)snprintf(top, PATH_MAX, "%s", above);
    }
    return strcmp(top, "/") == 0 ? 0 : strlen(top);
}

static int open_top_trash(trashing *t)
{
    char top[PATH_MAX];
    size_t len = find_top(t, top);
    const unsigned long user = (unsigned long)geteuid();
    if (len + sizeof "/" SHARED_TRASH "/18446744073709551615" > sizeof t->trash) {
        return fail(ENAMETOOLONG);
    }
    t->top_len = len + 1;
    (void)snprintf(t->trash, sizeof t->trash, "%.*s/" SHARED_TRASH, (int)len, top);
    if (is_shared_trash(t->trash)) {
        size_t shared_len = strlen(t->trash);
        (void)snprintf(t->trash + shared_len, sizeof t->trash - shared_len, "/%lu", user);
        if (open_own(t) == 0) {
            return 0;
        }
        close_trash(t);
    }
    if (!HAS_INFO) {
        return fail(EXDEV);
    }
    (void)snprintf(t->trash, sizeof t->trash, "%.*s/" SHARED_TRASH "-%lu", (int)len, top, user);
    return open_own(t);
}

/* ---- The info ---- */

static void append_text(trashing *t, const char *text, size_t len)
{
    memcpy(t->text + t->text_len, text, len);
    t->text_len += len;
}

/* As in the path of a URL. */
static void append_encoded(trashing *t, const char *text, size_t len)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-_.~/";
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        const char code[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (byte != 0 && strchr(plain, byte) != NULL) {
            append_text(t, text + i, 1);
        } else {
            append_text(t, code, sizeof code);
        }
    }
}

static int describe(trashing *t)
{
    static const char head[] = "[Trash Info]\nPath=";
    char date[64];
    struct tm local;
    time_t now = time(NULL);
    if (localtime_r(&now, &local) == NULL ||
        strftime(date, sizeof date, "\nDeletionDate=%Y-%m-%dT%H:%M:%S\n", &local) == 0) {
        return fail(EOVERFLOW);
    }
    size_t len = strlen(t->directory);
    /* Nothing is left of the directory if it is the uppermost itself. */
    size_t start = t->top_len < len ? t->top_len : len;
    t->text_len = 0;
    append_text(t, head, sizeof head - 1);
    append_encoded(t, t->directory + start, len - start);
    if (len > start && t->directory[len - 1] != '/') {
        append_text(t, "/", 1);
    }
    append_encoded(t, t->name, t->name_len);
    append_text(t, date, strlen(date));
    return 0;
}

/* Reaches the disk before the rename: a crash must not leave a file without its former path. */
static int write_text(const trashing *t, int descriptor)
{
    size_t done = 0;
    while (done < t->text_len) {
        ssize_t count = write(descriptor, t->text + done, t->text_len - done);
        if (count < 0 && errno != EINTR) {
            return -1;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    int outcome = epio__flush(descriptor, EPIO_SYNC_DATA_ONLY);
    return outcome != 0 && errno != EINVAL && errno != EINTR ? -1 : 0;
}

static void drop_info(const trashing *t)
{
    int error = errno;
    if (HAS_INFO) {
        (void)unlinkat(t->info, t->chosen_info, 0);
    }
    errno = error;
}

/* Takes the name: EEXIST if another has it. */
static int make_info(const trashing *t)
{
    epio__signal_guard guard;
    if (!HAS_INFO) {
        return 0;
    }
    int descriptor =
        epio__descriptor_open(t->info, t->chosen_info, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (descriptor < 0) {
        return -1;
    }
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int outcome = write_text(t, descriptor);
    epio__signal_guard_end(&guard, outcome != 0);
    int error = errno;
    if (close(descriptor) != 0 && errno != EINTR && outcome == 0) {
        outcome = -1;
        error = errno;
    }
    errno = error;
    if (outcome != 0) {
        drop_info(t);
    }
    return outcome;
}

/* ---- Names ---- */

/* Cuts before a character of UTF-8, not within it. */
static size_t cut_at(const char *name, size_t len, size_t most)
{
    if (len <= most) {
        return len;
    }
    size_t cut = most;
    while (cut > 0 && most - cut < 3 && ((unsigned char)name[cut] & 0xC0) == 0x80) {
        cut--;
    }
    return cut > 0 && ((unsigned char)name[cut] & 0xC0) != 0x80 ? cut : most;
}

/* "name.ext", "name.2.ext" and so on. */
static void choose_name(trashing *t, unsigned number)
{
    char middle[24] = "";
    size_t stem = t->name_len;
    for (size_t i = t->name_len; i > 1 && t->name_len - i < LONGEST_EXTENSION; i--) {
        if (t->name[i - 1] == '.') {
            stem = i - 1;
            break;
        }
    }
    size_t end_len = t->name_len - stem;
    if (number > TRIES_IN_ORDER) {
        uint64_t random;
        epio__random_bytes(&random, sizeof random);
        (void)snprintf(middle, sizeof middle, BEFORE_NUMBER "%08lx",
                       (unsigned long)(random & 0xFFFFFFFFu));
    } else if (number > 1) {
        (void)snprintf(middle, sizeof middle, BEFORE_NUMBER "%u", number);
    }
    stem = cut_at(t->name, stem, t->longest - end_len - strlen(middle));
    (void)snprintf(t->chosen, sizeof t->chosen, "%.*s%s%.*s", (int)stem, t->name, middle,
                   (int)end_len, t->name + t->name_len - end_len);
    (void)snprintf(t->chosen_info, sizeof t->chosen_info, "%s" INFO_END, t->chosen);
}

/* ---- Putting it there ---- */

/* Is one path the other's directory, or the same? */
static bool is_in(const char *inner, size_t inner_len, const char *outer, size_t outer_len)
{
    return inner_len >= outer_len && strncmp(inner, outer, outer_len) == 0 &&
           (inner[outer_len] == '/' || inner[outer_len] == '\0');
}

/* Neither the trash, nor what is in it, nor a directory that has it. */
static int check_apart(const trashing *t)
{
    char whole[PATH_MAX + NAME_MAX + 2];
    size_t len = strlen(t->trash);
    const char *between = strcmp(t->directory, "/") == 0 ? "" : "/";
    (void)snprintf(whole, sizeof whole, "%s%s%.*s", t->directory, between, (int)t->name_len,
                   t->name);
    return is_in(whole, strlen(whole), t->trash, len) || is_in(t->trash, len, whole, strlen(whole))
               ? fail(EINVAL)
               : 0;
}

/* Once, under the chosen name. */
static int put(const trashing *t)
{
    epio__place to = {.at = t->files, .path = t->chosen, .opened = -1};
    if (make_info(t) != 0) {
        return -1;
    }
    if (epio__rename_without_replacing(t->from, &to) != 0) {
        drop_info(t);
        return -1;
    }
    return 0;
}

/* Into the trash that is open. */
static int put_somehow(trashing *t)
{
    if (check_apart(t) != 0 || describe(t) != 0) {
        return -1;
    }
    t->longest = NAME_MAX - (HAS_INFO ? sizeof INFO_END - 1 : 0);
    for (unsigned number = 1; number <= MOST_TRIES; number++) {
        choose_name(t, number);
        if (put(t) == 0) {
            return 0;
        }
        if (errno == ENAMETOOLONG && t->longest > 4 * LONGEST_EXTENSION) {
            t->longest /= 2; /* a file system that allows fewer than others */
        } else if (errno != EEXIST) {
            return -1;
        }
    }
    return fail(EEXIST);
}

static bool lacks_trash(int error)
{
    return error == EXDEV || error == EACCES || error == EPERM || error == EROFS ||
           error == ENOTDIR || error == ELOOP || error == EOPNOTSUPP || error == ENOSYS;
}

static int64_t to_top_trash(epio_op *op, trashing *t)
{
    bool opened = open_top_trash(t) == 0;
    if (opened && put_somehow(t) == 0) {
        return 0;
    }
    if (opened ? errno == EXDEV : lacks_trash(errno)) {
        if (t->is_homeless) {
            return epio__op_refuse(op, EPIO__REASON_NO_HOME);
        }
        op->os_error = EXDEV;
        return EPIO_ENOTSUP;
    }
    return epio__op_fail(op);
}

static int64_t to_trash(epio_op *op, trashing *t)
{
    volume home;
    t->is_homeless = !find_home_trash(t->trash, sizeof t->trash);
    if (!t->is_homeless && volume_of_new(t->trash, &home) && is_same_volume(&home, &t->volume)) {
        if (open_home_trash(t) == 0 && put_somehow(t) == 0) {
            return 0;
        }
        if (errno != EXDEV) {
            return epio__op_fail(op);
        }
        close_trash(t);
    }
    return to_top_trash(op, t);
}

/* What is renamed, and where it is: 0, or -1 and errno. */
static int find_it(trashing *t)
{
    struct stat status;
    volume own;
    char given[PATH_MAX];
    const epio__place *from = t->from;
    if (t->name_len > NAME_MAX) {
        return fail(ENAMETOOLONG);
    }
    if (fstatat(from->at, from->path, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !epio__directory_of(from->path, given, sizeof given) ||
        !volume_of(from->at, given, 0, &t->volume) ||
        epio__resolve_path(from->at, given, t->directory) != 0) {
        return -1;
    }
    bool mounted = S_ISDIR(status.st_mode) &&
                   volume_of(from->at, from->path, AT_SYMLINK_NOFOLLOW, &own) &&
                   !is_same_volume(&own, &t->volume);
    return mounted ? fail(EBUSY) : 0;
}

int64_t epio__os_trash(epio_op *op)
{
    epio__place from;
    size_t last;
    if (epio__place_begin(&from, op, op->arguments.path.path, false) != 0) {
        return epio__op_fail(op);
    }
    trashing *t = malloc(sizeof *t);
    int64_t result = EPIO_ENOMEM;
    if (t != NULL && !epio__find_last_part(from.path, &last)) {
        result = epio__op_refuse(op, EPIO__REASON_NO_NAME_TO_TRASH);
    } else if (t != NULL) {
        t->from = &from;
        t->name = from.path + last;
        t->name_len = strcspn(t->name, "/");
        t->files = -1;
        t->info = -1;
        result = find_it(t) == 0 ? to_trash(op, t) : epio__op_fail(op);
        close_trash(t);
    }
    free(t);
    epio__place_end(&from);
    return result;
}
