/* Directories: making, removing and listing them. */
#include "packed_entry.h"
#include "posix/descriptor.h"
#include "posix/durable.h"
#include "posix/place.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#else
#include <dirent.h>
#include <pthread.h>
#endif

/* ---- Copies ---- */

int epio__os_directory_copy(const epio_file *directory, epio_file **copy, int32_t *os_error)
{
    const epio__os_file *from = (const epio__os_file *)(const void *)directory;
    epio__os_file *to = calloc(1, sizeof *to);
    if (to == NULL) {
        return EPIO_ENOMEM;
    }
    /* All that a path's beginning is asked for; the rest belongs to other threads. */
    to->base.vfs = directory->vfs;
    to->confines = from->confines;
    to->handle = fcntl((int)from->handle, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (to->handle < 0) {
        *os_error = errno;
        free(to);
        return epio__error_from_os(*os_error);
    }
    *copy = &to->base;
    return 0;
}

void epio__os_directory_drop(epio_file *copy)
{
    if (copy != NULL) {
        (void)close((int)((epio__os_file *)(void *)copy)->handle);
        free(copy);
    }
}

/* ---- Making and removing ---- */

static mode_t mode_of(uint32_t flags)
{
    uint32_t given = flags >> 16;
    return (mode_t)((given & 01000u) != 0 ? given & 0777u : 0777u);
}

/* Leaves errno as it is. */
static bool leads_to_directory(const epio_op *op, const char *path)
{
    epio__place place;
    int error = errno;
    bool is = false;
    struct stat status;
    if (epio__place_begin(&place, op, path, true) == 0) {
        is = EPIO__HAS_PROC_NAMES && place.opened >= 0
                 ? fstat(place.opened, &status) == 0 && S_ISDIR(status.st_mode)
                 : epio__is_directory(place.at, place.path, epio__place_flag(op, true) == 0);
        epio__place_end(&place);
    }
    errno = error;
    return is;
}

/* 0, or -1 and errno; then *result is the op's if it was made, but not durably. */
static int make(epio_op *op, const char *path, mode_t mode, int64_t *result)
{
    bool lasting = (op->flags & EPIO_MKDIR_SYNC_DIR) != 0;
    epio__durable durable = {.descriptor = -1};
    epio__place place;
    if (epio__place_begin(&place, op, path, false) != 0) {
        return -1;
    }
    bool made = (!lasting || epio__durable_begin(&durable, place.at, place.path) == 0) &&
                mkdirat(place.at, place.path, mode) == 0;
    epio__place_end(&place);
    if (!made) {
        epio__durable_drop(&durable);
        return -1;
    }
    *result = lasting ? epio__durable_finish(&durable, op) : 0;
    return 0;
}

/* Where the part before the last begins to end: "a/b" of "a/b//c/". 0: there is none. */
static size_t parent_len(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

/* Makes the first `len` bytes of the path, and what is missing above: 0, or -1 and errno. A parent
 * that another program has just removed is made again. */
static int make_all(epio_op *op, char *path, size_t len, mode_t mode, int64_t *result)
{
    char after = path[len];
    path[len] = '\0';
    int outcome = make(op, path, mode, result);
    size_t above = outcome != 0 && errno == ENOENT ? parent_len(path, len) : 0;
    if (above != 0) {
        outcome = make_all(op, path, above, 0777, result);
        outcome = outcome == 0 && *result == 0 ? make(op, path, mode, result) : outcome;
    }
    if (outcome != 0 && errno == EEXIST && leads_to_directory(op, path)) {
        outcome = 0;
    }
    path[len] = after;
    return outcome;
}

int64_t epio__os_mkdir(epio_op *op)
{
    const char *path = op->arguments.path.path;
    int64_t result = 0;
    int outcome;
    if ((op->flags & EPIO_MKDIR_PARENTS) != 0) {
        char all[PATH_MAX];
        size_t len = strlen(path);
        if (len >= sizeof all) {
            errno = ENAMETOOLONG;
            return epio__op_fail(op);
        }
        memcpy(all, path, len + 1);
        outcome = make_all(op, all, len, mode_of(op->flags), &result);
    } else {
        outcome = make(op, path, mode_of(op->flags), &result);
    }
    return outcome == 0 ? result : epio__op_fail(op);
}

static int remove_directory(int at, const char *path)
{
    int outcome = unlinkat(at, path, AT_REMOVEDIR);
    if (outcome != 0 && errno == EEXIST) { /* POSIX allows it for a directory that is not empty */
        errno = ENOTEMPTY;
    }
    return outcome;
}

int64_t epio__os_rmdir(epio_op *op)
{
    return epio__op_remove(op, (op->flags & EPIO_RMDIR_SYNC_DIR) != 0, remove_directory);
}

/* ---- Syncing ---- */

static int64_t begin_sync(epio_op *op, int at, const char *path, void *with)
{
    epio__durable_drop(with); /* of an attempt before */
    return epio__durable_begin_in(with, at, path, epio__place_flag(op, true) == 0);
}

int64_t epio__os_sync_directory(epio_op *op)
{
    epio__durable durable = {.descriptor = -1};
    int64_t result = epio__op_on_place(op, true, begin_sync, &durable);
    if (result != 0) {
        epio__durable_drop(&durable);
        return result;
    }
    return epio__durable_finish(&durable, op);
}

/* ---- Listing ---- */

static uint8_t type_of(unsigned char type)
{
    /* DT_...; the kernel's numbers, which are the same on all systems that have them. */
    switch (type) {
    case 1:
        return EPIO_TYPE_FIFO;
    case 2:
        return EPIO_TYPE_CHARACTER_DEVICE;
    case 4:
        return EPIO_TYPE_DIRECTORY;
    case 6:
        return EPIO_TYPE_BLOCK_DEVICE;
    case 8:
        return EPIO_TYPE_FILE;
    case 10:
        return EPIO_TYPE_LINK;
    case 12:
        return EPIO_TYPE_SOCKET;
    default:
        return EPIO_TYPE_UNKNOWN;
    }
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

#if defined(__linux__)

/* getdents64(2); libc has no type for it that musl has, too. */
struct kernel_entry {
    uint64_t ino;
    int64_t off;
    unsigned short len;
    unsigned char type;
    char name[];
};

/* In place: the kernel's head is longer than epio's, so no entry is written over one that is still
 * to be read. */
static size_t convert(char *buffer, size_t len)
{
    size_t to = 0;
    for (size_t from = 0; from < len;) {
        struct kernel_entry head;
        memcpy(&head, buffer + from, offsetof(struct kernel_entry, name));
        char *name = buffer + from + offsetof(struct kernel_entry, name);
        size_t name_len = strlen(name);
        from += head.len;
        if (is_dots(name)) {
            continue;
        }
        char *place = epio__entry_put(buffer + to, name_len, type_of(head.type), head.ino, NULL);
        memmove(place, name, name_len + 1);
        to += epio__entry_size(name_len, false);
    }
    return to;
}

static long read_entries(int directory, char *buffer, size_t len)
{
    return syscall(SYS_getdents64, directory, buffer, len);
}

/* The dots alone are no end. */
int64_t epio_list_entries(int directory, char *buffer, size_t len)
{
    len = len > INT_MAX ? INT_MAX : len;
    for (;;) {
        long got = read_entries(directory, buffer, len);
        if (got <= 0) {
            return got;
        }
        size_t filled = convert(buffer, (size_t)got);
        if (filled != 0) {
            return (int64_t)filled;
        }
    }
}

/* Is there none behind the position but the dots? Read through another descriptor, as the position
 * of this one is for all that list the directory. */
static bool is_at_end(int directory)
{
    _Alignas(uint64_t) char buffer[1024];
    off_t position = lseek(directory, 0, SEEK_CUR);
    int own = epio__descriptor_open(directory, ".", O_RDONLY | O_DIRECTORY, 0);
    bool end = position >= 0 && own >= 0 && lseek(own, position, SEEK_SET) == position &&
               epio_list_entries(own, buffer, sizeof buffer) == 0;
    if (own >= 0) {
        (void)close(own);
    }
    return end;
}

/* Of "." and its like for the kernel: what has less room has room for no entry of epio's. */
#define LEAST_ENTRY 24u

int64_t epio__os_list(epio_op *op)
{
    int directory = (int)epio__os_file_of(op)->handle;
    if ((op->flags & EPIO_LIST_REWIND) != 0 && lseek(directory, 0, SEEK_SET) < 0) {
        return epio__op_fail(op);
    }
    int64_t filled =
        epio_list_entries(directory, op->arguments.path.buffer, (size_t)op->arguments.path.len);
    if (filled < 0 && errno == EINVAL) {
        /* Of a directory: the first entry does not fit, which may be a dot. */
        return op->arguments.path.len < LEAST_ENTRY && is_at_end(directory) ? 0 : EPIO_ERANGE;
    }
    return filled >= 0 ? filled : epio__op_fail(op);
}

void epio__listing_close(epio__os_file *file)
{
    (void)file;
}

#else

/* A stream is one thread's at a time. */
static pthread_mutex_t listings = PTHREAD_MUTEX_INITIALIZER;

static DIR *listing_of(epio__os_file *file)
{
    if (file->listing == NULL) {
        int own = fcntl((int)file->handle, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        file->listing = own >= 0 ? fdopendir(own) : NULL;
        if (file->listing == NULL && own >= 0) {
            (void)close(own);
        }
    }
    return file->listing;
}

void epio__listing_close(epio__os_file *file)
{
    if (file->listing != NULL) {
        (void)closedir(file->listing);
    }
}

static uint8_t type_of_entry(const struct dirent *found)
{
#if defined(DT_UNKNOWN)
    return type_of(found->d_type);
#else
    (void)found;
    return EPIO_TYPE_UNKNOWN;
#endif
}

/* The C library takes that for the end: true, and errno. */
static bool was_removed(DIR *stream)
{
    struct stat status;
    bool removed = fstat(dirfd(stream), &status) == 0 && status.st_nlink == 0;
    errno = removed ? ENOENT : 0;
    return removed;
}

/* One that does not fit is read again by the next call. */
static int64_t list_stream(DIR *stream, char *buffer, size_t len)
{
    size_t filled = 0;
    for (;;) {
        long place = telldir(stream);
        errno = 0;
        const struct dirent *found = readdir(stream);
        if (found == NULL) {
            return filled != 0 || (errno == 0 && !was_removed(stream)) ? (int64_t)filled : -1;
        }
        size_t name_len = strlen(found->d_name);
        if (is_dots(found->d_name)) {
            continue;
        }
        uint32_t size = epio__entry_size(name_len, false);
        if (size > len - filled) {
            seekdir(stream, place);
            errno = EINVAL;
            return filled != 0 ? (int64_t)filled : -1;
        }
        char *name = epio__entry_put(buffer + filled, name_len, type_of_entry(found),
                                     (uint64_t)found->d_ino, NULL);
        memcpy(name, found->d_name, name_len + 1);
        filled += size;
    }
}

int64_t epio__os_list(epio_op *op)
{
    epio__os_file *file = epio__os_file_of(op);
    int64_t filled = -1;
    pthread_mutex_lock(&listings);
    DIR *stream = listing_of(file);
    if (stream != NULL) {
        if ((op->flags & EPIO_LIST_REWIND) != 0) {
            rewinddir(stream);
        }
        filled = list_stream(stream, op->arguments.path.buffer, (size_t)op->arguments.path.len);
    }
    int error = errno;
    pthread_mutex_unlock(&listings);
    errno = error;
    if (filled < 0 && stream != NULL && error == EINVAL) {
        return EPIO_ERANGE;
    }
    return filled >= 0 ? filled : epio__op_fail(op);
}

#endif
