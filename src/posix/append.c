/* What takes a file position: appending, which reports by it where the bytes are, and looking for
 * data and holes, which moves it.
 *
 * The position belongs to the open file description, which others may share: the program that
 * passed the descriptor, and forked processes. So a description that only this file of this process
 * has is used, one op at a time: the file's own if epio opened it to append, else one more of the
 * inode, where the system can open it by its descriptor. */
#include "posix/append.h"
#include "atomics.h"
#include "posix/descriptor.h"
#include "posix/posix.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#if !defined(RWF_APPEND)
#define RWF_APPEND 0x10
#endif
#endif

/* Linux writes no more per call; macOS rejects INT_MAX and above. */
#define LARGEST_CALL UINT64_C(0x7ffff000)

/* ---- The description ---- */

void epio__position_init(epio__os_file *file)
{
    epio__mutex_init(&file->position_mutex);
    file->position_generation = file->generation;
    file->position_handle = -1;
}

void epio__position_destroy(epio__os_file *file)
{
    if (file->position_handle >= 0 && file->position_handle != file->handle) {
        (void)close((int)file->position_handle);
    }
    epio__mutex_destroy(&file->position_mutex);
}

/* In a forked child the description is the parent's, too, and one of its threads may have held the
 * mutex. Under classic locks, a close would release the child's. */
static void disinherit(epio__os_file *file)
{
    uint32_t generation = epio__process_generation();
    if (epio__load_u32(&file->position_generation) == generation) {
        return;
    }
    epio__mutex_lock(epio__process_mutex());
    if (epio__load_u32(&file->position_generation) != generation) {
        epio__mutex_init(&file->position_mutex);
        if (file->position_handle >= 0 && file->position_handle != file->handle &&
            !epio__range_locks_are_common()) {
            (void)close((int)file->position_handle);
        }
        file->position_handle = -1;
        epio__store_u32(&file->position_generation, generation);
    }
    epio__mutex_unlock(epio__process_mutex());
}

static int open_description(epio__os_file *file)
{
#if defined(__linux__)
    char path[64];
    int mode = fcntl((int)file->handle, F_GETFL);
    if (mode < 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", (int)file->handle);
    /* Does not wait for the holder of a lease. */
    int flags = (mode & (O_ACCMODE | O_DIRECT | O_SYNC)) | O_APPEND | O_NOCTTY | O_NONBLOCK;
    int own = epio__descriptor_open(AT_FDCWD, path, flags, 0);
    if (own >= 0 && epio__range_locks_are_common()) {
        file->opened_as = 0; /* its close releases locks: it is closed with the file, not before */
    }
    return own;
#else
    (void)file;
    return -1;
#endif
}

/* A description with a position for this process alone; -1: none. With the mutex held. */
static int description_of(epio__os_file *file)
{
    bool ours = file->opened_as != 0 && file->generation == epio__process_generation();
    if (file->position_handle < 0 && ours && (file->appends || epio__range_locks_are_common())) {
        file->position_handle = file->handle;
    }
    if (file->position_handle < 0) {
        file->position_handle = open_description(file);
    }
    if (file->position_handle < 0 && ours) {
        file->position_handle = file->handle;
    }
    return (int)file->position_handle;
}

static int begin(epio__os_file *file)
{
    disinherit(file);
    epio__mutex_lock(&file->position_mutex);
    return description_of(file);
}

static void end(epio__os_file *file)
{
    epio__mutex_unlock(&file->position_mutex);
}

/* ---- Appending ---- */

static int64_t append_some(const epio__os_file *file, int descriptor, const char *base, size_t len)
{
    if (descriptor != file->handle || file->appends) {
        return write(descriptor, base, len);
    }
#if defined(SYS_pwritev2)
    /* The offset of -1 stands for the position, which the call moves. */
    struct iovec part = {.iov_base = (void *)(uintptr_t)base, .iov_len = len};
    return syscall(SYS_pwritev2, descriptor, &part, 1, -1L, -1L, RWF_APPEND);
#else
    errno = EOPNOTSUPP;
    return -1;
#endif
}

/* One call takes all, unless the disk is full, the file at its limit, or, where calls can be
 * interrupted, a signal arrives: then the next call says why, or writes the rest. */
static int64_t append_all(epio_op *op, const epio__os_file *file, int descriptor)
{
    uint64_t start = 0;
    const char *base = op->arguments.io.base;
    op->progress = 0;
    while (op->progress < op->arguments.io.len) {
        int64_t done = append_some(file, descriptor, base + op->progress,
                                   (size_t)(op->arguments.io.len - op->progress));
        if (done < 0 && errno == EINTR) {
            continue;
        }
        errno = done == 0 ? EIO : errno;
        off_t position = done > 0 ? lseek(descriptor, 0, SEEK_CUR) : -1;
        if (position < 0) {
            return epio__op_fail(op);
        }
        uint64_t at = (uint64_t)position - (uint64_t)done;
        start = op->progress == 0 ? at : start;
        if (at != start + op->progress) {
            errno = EIO; /* the bytes of another are between the pieces */
            return epio__op_fail(op);
        }
        op->progress += (uint64_t)done;
    }
    return (int64_t)start;
}

static int64_t append(epio_op *op, epio__os_file *file)
{
    epio__signal_guard guard;
    int descriptor = begin(file);
    int64_t result = EPIO_ENOTSUP;
    if (descriptor >= 0) {
        epio__signal_guard_begin(&guard, SIGXFSZ);
        result = append_all(op, file, descriptor);
        epio__signal_guard_end(&guard, result < 0);
    }
    end(file);
    return result;
}

int64_t epio__os_append(epio_op *op)
{
    struct stat status;
    epio__os_file *file = epio__os_file_of(op);
    if (fstat((int)file->handle, &status) != 0) {
        return epio__op_fail(op);
    }
    /* Servers and programs know no append: the kernel asks for the length, then writes there. */
    if (!S_ISREG(status.st_mode) || file->locks_are_remote || op->arguments.io.len > LARGEST_CALL) {
        return EPIO_ENOTSUP;
    }
    if (op->arguments.io.len == 0) {
        return (int64_t)status.st_size;
    }
    if (epio__room_for_write((int)file->handle, (uint64_t)status.st_size) < op->arguments.io.len) {
        errno = EFBIG;
        return epio__op_fail(op);
    }
    return append(op, file);
}

/* ---- Data and holes ---- */

/* Where the system does not know. */
static int64_t find_without_holes(epio_op *op)
{
    uint64_t offset = op->arguments.io.offset;
    int64_t size = epio__os_size(op);
    bool inside = size >= 0 && offset < (uint64_t)size;
    return inside && op->kind == EPIO_KIND_SEEK_DATA ? (int64_t)offset : size;
}

#if defined(SEEK_DATA) && defined(SEEK_HOLE)

int64_t epio__position_seek(epio__os_file *file, uint64_t offset, bool hole)
{
    int descriptor = begin(file);
    off_t found = -1;
    errno = EINVAL;
    while (descriptor >= 0 &&
           (found = lseek(descriptor, (off_t)offset, hole ? SEEK_HOLE : SEEK_DATA)) < 0 &&
           errno == EINTR) {
    }
    int error = errno;
    end(file);
    errno = error;
    return (int64_t)found;
}

int64_t epio__os_seek(epio_op *op)
{
    int64_t found = epio__position_seek(epio__os_file_of(op), op->arguments.io.offset,
                                        op->kind == EPIO_KIND_SEEK_HOLE);
    int error = errno;
    if (found >= 0) {
        return found;
    }
    if (error == ENXIO) { /* behind the end, or nothing but a hole up to there */
        return epio__os_size(op);
    }
    bool unknown = error == EINVAL || error == EOPNOTSUPP || error == ENOSYS;
    return unknown ? find_without_holes(op) : epio__op_fail(op);
}

#else

int64_t epio__os_seek(epio_op *op)
{
    return find_without_holes(op);
}

#endif
