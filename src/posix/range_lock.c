/* Byte-range locks, by fcntl(2). They exclude only other holders of such locks: reads and writes
 * are not affected.
 *
 * Open file description locks (Linux; those of macOS are undocumented) belong to what open(2)
 * made: two files of one process exclude each other, and closing one keeps the locks of the
 * other. Classic locks belong to the process and are shared by all its files. The kind is
 * determined once; the environment variable EPIO_RANGE_LOCKS (ofd, classic) chooses it by name.
 * Both kinds exclude each other, and the locks of SQLite, which are classic. */
#include "atomics.h"
#include "posix/descriptor.h"
#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not usable on systems where an adopted descriptor cannot get a description of its own. */
#if defined(__linux__) && defined(F_OFD_SETLK)
#define OFD_SET F_OFD_SETLK
#define OFD_GET F_OFD_GETLK
#else
#define OFD_SET (-1)
#define OFD_GET (-1)
#endif

enum { KIND_UNKNOWN, KIND_OFD, KIND_CLASSIC, KIND_MISNAMED };

static struct flock range_of(uint64_t start, uint64_t len, short type)
{
    struct flock range;
    memset(&range, 0, sizeof range); /* OFD locks require l_pid 0 too */
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = (off_t)start;
    range.l_len = len < (uint64_t)INT64_MAX - start ? (off_t)len : 0; /* to the end */
    return range;
}

/* Older kernels reject the request itself as invalid. */
static bool system_has_ofd(int descriptor)
{
    struct flock range = range_of(0, 1, F_RDLCK);
    return OFD_GET >= 0 && (fcntl(descriptor, OFD_GET, &range) == 0 || errno != EINVAL);
}

static uint32_t find_kind(int descriptor)
{
    const char *name = getenv("EPIO_RANGE_LOCKS");
    if (name == NULL || name[0] == '\0') {
        return system_has_ofd(descriptor) ? KIND_OFD : KIND_CLASSIC;
    }
    if (strcmp(name, "ofd") == 0) {
        return system_has_ofd(descriptor) ? KIND_OFD : KIND_MISNAMED;
    }
    return strcmp(name, "classic") == 0 ? KIND_CLASSIC : KIND_MISNAMED;
}

/* One kind for the whole process: mixed kinds would exclude the process's own files. */
static uint32_t kind_in_use;

static uint32_t kind_for(int descriptor)
{
    uint32_t kind = epio__load_u32(&kind_in_use);
    if (kind == KIND_UNKNOWN) {
        uint32_t found = find_kind(descriptor);
        if (epio__compare_exchange_u32(&kind_in_use, &kind, found)) {
            kind = found;
        }
    }
    return kind;
}

void epio__range_locks_decide(int descriptor)
{
    (void)kind_for(descriptor);
}

bool epio__range_locks_are_common(void)
{
    return epio__load_u32(&kind_in_use) == KIND_CLASSIC;
}

static int fail(const epio__os_file *file, int32_t *os_error)
{
    *os_error = errno;
    switch (errno) {
    case EACCES: /* POSIX allows either for a lock held by another */
    case EAGAIN:
        return EPIO_EBUSY;
    case ENOLCK: /* a server without locks; locally, a full lock table */
        return file->locks_are_remote ? EPIO_ENOTSUP : EPIO_ENOMEM;
    default:
        return epio__error_from_os(errno);
    }
}

/* `set`: acquires the range; else finds its holder. */
static int request(const epio__os_file *file, struct flock *range, bool set, int32_t *os_error)
{
    int descriptor = (int)file->lock_handle;
    uint32_t kind = kind_for(descriptor);
    if (kind == KIND_MISNAMED) {
        *os_error = 0; /* no system call was made */
        return EPIO_EINVAL;
    }
    int command = set ? F_SETLK : F_GETLK;
    if (kind == KIND_OFD) {
        command = set ? OFD_SET : OFD_GET;
    }
    int outcome;
    do {
        outcome = fcntl(descriptor, command, range);
    } while (outcome != 0 && errno == EINTR);
    return outcome == 0 ? 0 : fail(file, os_error);
}

static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};

int epio__range_set(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                    int32_t *os_error)
{
    struct flock range = range_of(start, len, types[mode]);
    return request(file, &range, true, os_error);
}

int epio__range_change(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t from,
                       uint32_t mode, int32_t *os_error)
{
    (void)from; /* the system knows */
    return epio__range_set(file, start, len, mode, os_error);
}

int epio__range_is_taken(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                         int32_t *os_error)
{
    struct flock range = range_of(start, len, types[mode]);
    int error = request(file, &range, false, os_error);
    if (error != 0) {
        return error;
    }
    return range.l_type != F_UNLCK ? 1 : 0;
}

bool epio__range_locks_convert(void)
{
    return true;
}

#if defined(__linux__)

/* Opens the inode once more, so that the file's locks are on an open file description that
 * nothing else has. Does not wait for the holder of a lease. Two threads may get here at once. */
static bool open_own_lock_handle(epio__os_file *file)
{
    char path[64];
    int mode = fcntl((int)file->handle, F_GETFL);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", (int)file->handle);
    int flags = (mode & O_ACCMODE) | O_NOCTTY | O_NONBLOCK;
    int own = mode < 0 ? -1 : epio__descriptor_open(AT_FDCWD, path, flags, 0);
    uintptr_t common = (uintptr_t)file->handle;
    uintptr_t *at = (uintptr_t *)(void *)&file->lock_handle;
    if (own >= 0 && !epio__compare_exchange_pointer(at, &common, (uintptr_t)own)) {
        (void)close(own);
    }
    return own >= 0;
}

/* The description is shared with the parent, whose locks must not count as the child's. */
static void go_without_locks(epio__os_file *file)
{
    uintptr_t common = (uintptr_t)file->handle;
    uintptr_t *at = (uintptr_t *)(void *)&file->lock_handle;
    (void)epio__compare_exchange_pointer(at, &common, (uintptr_t)-1);
}

#else

static bool open_own_lock_handle(const epio__os_file *file)
{
    (void)file; /* classic locks belong to no description */
    return true;
}

static void go_without_locks(epio__os_file *file)
{
    (void)file;
}

#endif

void epio__range_locks_disinherit(epio__os_file *file)
{
    if (file->lock_handle != file->handle) {
        (void)close((int)file->lock_handle);
        file->lock_handle = file->handle;
    }
}

/* A lock lives as long as its open file description, which may be shared: with the program that
 * passed the descriptor, or with a ring, which keeps a file in transfer open for a moment after the
 * process has ended. If the file cannot have a second description, the adopted one stays shared,
 * and no op on it goes to a ring. */
void epio__range_locks_prepare(epio__os_file *file)
{
    if (epio__range_locks_are_common()) {
        return;
    }
    bool inherited = file->generation != epio__process_generation();
    bool adopted = file->opened_as == 0;
    /* A server may be slow to open a file. */
    bool opens = inherited || adopted || (file->may_be_pinned && !file->locks_are_remote);
    bool has_own = opens && open_own_lock_handle(file);
    if (inherited && !has_own) {
        go_without_locks(file);
    }
    if (file->may_be_pinned && !has_own) {
        epio__store_u32(&file->keeps_from_ring, 1);
    }
}
