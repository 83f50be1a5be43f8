/* Makes an epio_file from a path or a descriptor, and closes it. */
#include "atomics.h"
#include "posix/append.h"
#include "posix/descriptor.h"
#include "posix/open_path.h"
#include "posix/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

#include "list.h"

/* How often an open for writing checks whether its FIFO has a reader: after half a millisecond,
 * then at growing intervals. There is no readiness event for it. */
#define FIRST_FIFO_DELAY_NS UINT64_C(500000)
#define LAST_FIFO_DELAY_NS UINT64_C(16000000)

/* ---- A file around a descriptor ---- */

/* Tested by a call that transfers nothing and reaches no driver. */
static bool refuses_positions(int descriptor, bool reads)
{
    struct iovec none = {NULL, 0};
    ssize_t outcome = reads ? preadv(descriptor, &none, 0, 0) : pwritev(descriptor, &none, 0, 0);
    return outcome < 0 && errno == ESPIPE;
}

/* Datagrams or packets. */
static bool has_messages(int socket)
{
    int type = SOCK_STREAM;
    socklen_t size = sizeof type;
    return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type != SOCK_STREAM;
}

static uint32_t stream_notes(int descriptor, const struct stat *status)
{
    uint32_t notes = 0;
    int mode = fcntl(descriptor, F_GETFL);
    if (mode >= 0 && (mode & O_NONBLOCK) != 0) {
        notes |= EPIO__STREAM_NONBLOCKING;
    }
    if (S_ISSOCK(status->st_mode)) {
        notes |= EPIO__STREAM_SOCKET;
        notes |= has_messages(descriptor) ? EPIO__STREAM_MESSAGES : 0u;
    }
    if (S_ISCHR(status->st_mode) && isatty(descriptor) == 1) {
        notes |= EPIO__STREAM_TERMINAL;
    }
    /* Kernel objects that have no name or look like a file: eventfd and similar ones, and the
     * entries of /proc. */
    if ((status->st_mode & S_IFMT) == 0 || S_ISREG(status->st_mode)) {
        bool reads_at =
            mode >= 0 && (mode & O_ACCMODE) != O_WRONLY && !refuses_positions(descriptor, true);
        notes |= EPIO__STREAM_MESSAGES | (reads_at ? EPIO__STREAM_READS_AT_OFFSET : 0u);
    }
    return notes;
}

/* The file systems known by name have positions in all their files. */
static bool has_positions(epio__medium medium)
{
#if defined(__linux__)
    return medium == EPIO__MEDIUM_LOCAL || medium == EPIO__MEDIUM_MEMORY;
#else
    (void)medium;
    return false;
#endif
}

/* Files without positions: pipes, FIFOs, sockets, terminals; and those that lseek(2) accepts but
 * that refuse reads or writes at an offset. A file with a length is no stream. */
static bool is_stream(int descriptor, const struct stat *status, epio__medium medium,
                      uint32_t flags)
{
    if ((S_ISREG(status->st_mode) && (status->st_size != 0 || has_positions(medium))) ||
        S_ISBLK(status->st_mode)) {
        return false;
    }
    bool seeks = S_ISREG(status->st_mode) || lseek(descriptor, 0, SEEK_CUR) >= 0;
    return S_ISFIFO(status->st_mode) || S_ISSOCK(status->st_mode) || !seeks ||
           ((flags & EPIO_OPEN_READ) != 0 && refuses_positions(descriptor, true)) ||
           ((flags & EPIO_OPEN_WRITE) != 0 && refuses_positions(descriptor, false));
}

static void set_handles(epio__os_file *file, int descriptor)
{
    file->handle = descriptor;
    file->transfer_handle = descriptor;
    file->lock_handle = descriptor;
}

/* Stores the descriptor in the file with what it is: 0, or -1 and errno. */
static int take_descriptor(epio__os_file *file, int descriptor, struct stat *status)
{
    set_handles(file, descriptor);
    if (fstat(descriptor, status) != 0) {
        return -1;
    }
    file->device = (uint64_t)status->st_dev;
    file->inode = (uint64_t)status->st_ino;
    return 0;
}

/* NULL and errno on failure. Memory is allocated before there is a descriptor: under classic
 * locks not every descriptor can be closed at once. */
static epio__os_file *create_file(epio_vfs *vfs, uint32_t flags)
{
    epio__os_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    epio_file_init(&file->base, vfs, flags, 0);
    set_handles(file, -1);
    file->generation = epio__process_generation();
    file->lock_generation = file->generation;
    epio__position_init(file);
    epio_list_init(&file->readers);
    epio_list_init(&file->writers);
    return file;
}

/* That of the directory where the path begins is known, and while that is open its device is no
 * other's. */
static epio__medium find_medium(epio__os_file *file, int descriptor, const epio__os_file *from)
{
    bool same = from != NULL && from->medium_is_known && from->device == file->device;
    file->medium = same ? from->medium : (uint8_t)epio__medium_of(descriptor, file->device);
    file->medium_is_known = true;
    return (epio__medium)file->medium;
}

static int fill_directory(epio__os_file *file, int descriptor, const epio__os_file *from)
{
    epio__medium medium = find_medium(file, descriptor, from);
    bool local = medium == EPIO__MEDIUM_LOCAL || medium == EPIO__MEDIUM_MEMORY;
    file->base.medium = file->device;
    file->base.attributes = EPIO_FILE_DIRECTORY | (local ? EPIO_FILE_LOCAL : 0u);
    file->cached_reads = EPIO__CACHED_READS_NEVER;
    return 0;
}

/* 0, or -1 and errno. */
static int fill_file(epio__os_file *file, int descriptor, uint32_t flags, const epio__os_file *from)
{
    struct stat status;
    if (take_descriptor(file, descriptor, &status) != 0) {
        return -1;
    }
    if (S_ISDIR(status.st_mode)) {
        if ((flags & EPIO_OPEN_DIRECTORY) == 0) {
            errno = EISDIR;
            return -1;
        }
        file->confines = (flags & EPIO_OPEN_BENEATH) != 0;
        return fill_directory(file, descriptor, from);
    }
    epio__range_locks_decide(descriptor); /* close depends on it */
    epio__medium medium = find_medium(file, descriptor, from);
    bool stream = is_stream(descriptor, &status, medium, flags);
    file->base.medium = file->device;
    file->locks_are_remote = medium == EPIO__MEDIUM_REMOTE;
    bool memory = S_ISREG(status.st_mode) && medium == EPIO__MEDIUM_MEMORY;
    bool local = S_ISREG(status.st_mode) && medium == EPIO__MEDIUM_LOCAL;
    if (stream) {
        file->base.attributes = EPIO_FILE_STREAM;
    } else {
        file->base.attributes = local || memory ? EPIO_FILE_LOCAL : 0;
    }
    file->direct = !stream && !memory && (flags & EPIO_OPEN_DIRECT) != 0;
    /* Buffered ones would only wait for each other in the kernel. */
    file->base.writes_together = file->direct ? 1 : 0;
    file->cached_reads = EPIO__CACHED_READS_UNKNOWN;
    if (stream || file->direct) {
        file->cached_reads = EPIO__CACHED_READS_NEVER;
    } else if (memory) {
        file->cached_reads = EPIO__CACHED_READS_ALWAYS;
    }
    file->stream = stream ? stream_notes(descriptor, &status) : 0;
    if (stream) {
        epio__forbid_sigpipe(descriptor);
    }
    return 0;
}

/* The writes of a ring that is lost are repeated: each would be there twice. */
static void note_appends(epio__os_file *file)
{
    file->appends = true;
    file->base.attributes |= EPIO_FILE_APPENDS;
    /* XFS puts direct writes that it carries out side by side at the same end. */
    file->base.writes_together = 0;
    epio__store_u32(&file->keeps_from_ring, 1);
}

/* A forked child closes a file that its parent keeps open. */
static int close_handle(const epio__os_file *file)
{
    int descriptor = (int)file->handle;
    bool waits = file->had_aio && file->generation == epio__process_generation();
    return waits ? epio__close_and_wait(descriptor) : close(descriptor);
}

int epio__os_file_dispose(epio__os_file *file, int32_t *os_error)
{
    int result = 0;
    if (file->transfer_handle != file->handle) {
        (void)close((int)file->transfer_handle);
    }
    if (file->lock_handle != file->handle) {
        (void)close((int)file->lock_handle);
    }
    epio__position_destroy(file);
    /* An interrupted close has still released the descriptor: Linux close(2). */
    if (file->handle >= 0 && close_handle(file) != 0 && errno != EINTR) {
        *os_error = errno;
        result = epio__error_from_os(errno);
    }
    free(file->delete_path);
    epio__listing_close(file);
    epio__file_free(file);
    return result;
}

/* Frees a file that no caller has seen, with or without a descriptor. */
static void discard_file(epio__os_file *file)
{
    int32_t os_error;
    epio_file_release(&file->base);
    (void)epio__os_file_close(file, &os_error);
}

/* ---- Opening ---- */

static bool waits_for_reader(const epio_op *op, int error)
{
    struct stat status;
    /* With READ it does not wait: it is its own reader. */
    return error == ENXIO && (op->flags & EPIO_OPEN_READ) == 0 &&
           fstatat(epio__at(op), op->arguments.path.path, &status, 0) == 0 &&
           S_ISFIFO(status.st_mode);
}

/* The FIFO has no reader yet, or another process holds a lease on the file, which the first
 * attempt asked it to release: retried after a delay. */
static int64_t try_again_later(epio_op *op)
{
    uint64_t delay = op->arguments.path.len; /* unused by an open otherwise */
    delay = delay == 0 ? FIRST_FIFO_DELAY_NS : delay * 2;
    delay = delay > LAST_FIFO_DELAY_NS ? LAST_FIFO_DELAY_NS : delay;
    op->arguments.path.len = delay;
    op->due = epio__monotonic_time() + delay;
    return EPIO_RETRY;
}

/* Records the name that close removes, before anything is created: absolute, since the process
 * may change its directory, and with links resolved, since that is the file. 0, or -1 and errno. */
static int note_name(epio__os_file *file, const epio_op *op)
{
    char resolved[PATH_MAX];
    uint32_t wanted = EPIO_OPEN_DELETE_ON_CLOSE | EPIO_OPEN_TEMPORARY;
    if ((op->flags & wanted) != EPIO_OPEN_DELETE_ON_CLOSE || epio__op_is_confined(op)) {
        return 0; /* a temporary file no longer has a name; beneath a directory it is refused */
    }
    if (epio__resolve_path(epio__at(op), op->arguments.path.path, resolved) != 0) {
        return -1;
    }
    file->delete_path = strdup(resolved);
    return file->delete_path != NULL ? 0 : -1;
}

static void advise(int descriptor, uint32_t flags)
{
#if defined(POSIX_FADV_SEQUENTIAL)
    if ((flags & EPIO_OPEN_SEQUENTIAL) != 0) {
        (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    if ((flags & EPIO_OPEN_RANDOM) != 0) {
        (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM);
    }
#else
    (void)descriptor;
    (void)flags;
#endif
}

/* Prepares the new descriptor before the caller gets it: 0, or -1 and errno. */
static int finish_file(const epio_op *op, epio__os_file *file, bool made)
{
    int descriptor = (int)file->handle;
    file->opened_as = epio__open_abilities(op->flags);
    if ((op->flags & EPIO_OPEN_APPEND) != 0) {
        note_appends(file);
    }
    if (made && (op->flags & EPIO_OPEN_EXACT) != 0 &&
        fchmod(descriptor, (mode_t)(op->flags >> 16) & 0777u) != 0) {
        return -1;
    }
    advise(descriptor, op->flags);
    if (made) {
        return 0; /* it was opened as files are */
    }
    if ((file->base.attributes & EPIO_FILE_STREAM) == 0) {
        /* Only FIFOs and terminals stay non-blocking; a caller that takes the descriptor expects
         * an ordinary one. */
        if (fcntl(descriptor, F_SETFL, epio__flags_that_stay(op->flags)) != 0) {
            return -1;
        }
    } else if ((op->flags & EPIO_OPEN_READ) != 0) {
        struct stat status;
        if (fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode)) {
            file->stream |= EPIO__STREAM_AWAITS_WRITER;
        }
    }
    return 0;
}

static int64_t fail_to_open(epio_op *op)
{
    bool temporary = (op->flags & EPIO_OPEN_TEMPORARY) != 0;
    bool retry = errno == EWOULDBLOCK || (!temporary && waits_for_reader(op, errno));
    return retry ? try_again_later(op) : epio__op_fail(op);
}

static const epio__os_file *directory_of(const epio_op *op)
{
    return (const epio__os_file *)(const void *)op->arguments.path.directory;
}

/* Opens the file: 0, or an error. */
static int64_t open_file(epio_op *op, epio__os_file *file)
{
    epio__opening opening;
    if (note_name(file, op) != 0) {
        return epio__op_fail(op);
    }
    int descriptor = epio__opening_begin(&opening, op);
    if (descriptor < 0) {
        return fail_to_open(op);
    }
    /* A directory beneath one that confines does so, too. */
    uint32_t flags = op->flags | (epio__op_is_confined(op) ? EPIO_OPEN_BENEATH : 0u);
    bool whole = fill_file(file, descriptor, flags, directory_of(op)) == 0 &&
                 finish_file(op, file, opening.made) == 0;
    int64_t result = whole ? epio__opening_finish(&opening, op) : epio__op_fail(op);
    if (result != 0) {
        epio__opening_undo(&opening, file);
    }
    return result;
}

int64_t epio__os_open(epio_vfs *vfs, epio_op *op)
{
    epio__os_file *file = create_file(vfs, op->flags);
    if (file == NULL) {
        return epio__op_fail(op);
    }
    int64_t result = open_file(op, file);
    if (result == 0) {
        op->file = &file->base;
    } else {
        discard_file(file);
    }
    return result;
}

/* On a blocking pipe or terminal that others may use too, what poll(2) reported a moment ago may
 * no longer hold. The blocking mode is shared with them, so it is opened once more, non-blocking,
 * if the system has a name for it. */
static void open_own_transfer_handle(epio__os_file *file, int mode)
{
#if defined(__linux__)
    uint32_t settled = EPIO__STREAM_NONBLOCKING | EPIO__STREAM_SOCKET;
    unsigned number;
    /* ioctl takes the request as unsigned long in one libc, as int in another. */
    if ((file->base.attributes & EPIO_FILE_STREAM) == 0 || (file->stream & settled) != 0 ||
        syscall(SYS_ioctl, (int)file->handle, TIOCGPTN, &number) == 0) {
        return; /* reopening a terminal's master end makes another terminal */
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", (int)file->handle);
    /* On a pipe, O_DIRECT is packet mode. */
    int own = epio__descriptor_open(AT_FDCWD, path,
                                    (mode & (O_ACCMODE | O_DIRECT)) | O_NONBLOCK | O_NOCTTY, 0);
    if (own >= 0) {
        file->transfer_handle = own;
        file->stream |= EPIO__STREAM_NONBLOCKING;
    }
#else
    (void)file;
    (void)mode;
#endif
}

int64_t epio__os_adopt(epio_vfs *vfs, epio_op *op)
{
    intptr_t handle = op->arguments.adopt.os_handle;
    int descriptor = handle >= 0 && handle <= INT_MAX ? (int)handle : -1;
    int mode = fcntl(descriptor, F_GETFL);
    if (mode < 0) {
        return epio__op_fail(op);
    }
    uint32_t allowed = EPIO_OPEN_READ | EPIO_OPEN_WRITE;
    if ((mode & O_ACCMODE) == O_RDONLY) {
        allowed = EPIO_OPEN_READ;
    } else if ((mode & O_ACCMODE) == O_WRONLY) {
        allowed = EPIO_OPEN_WRITE;
    }
    uint32_t flags = op->flags != 0 ? op->flags : allowed;
    if ((flags & ~allowed) != 0) {
        return EPIO_EBADF;
    }
#if defined(O_DIRECT)
    flags |= (mode & O_DIRECT) != 0 ? EPIO_OPEN_DIRECT : 0;
#endif
    epio__os_file *file = create_file(vfs, flags);
    if (file == NULL) {
        return epio__op_fail(op);
    }
    if (fill_file(file, descriptor, flags, NULL) != 0) {
        int64_t error = epio__op_fail(op);
        set_handles(file, -1); /* the caller keeps the descriptor */
        discard_file(file);
        return error;
    }
    if ((mode & O_APPEND) != 0) {
        note_appends(file);
    }
    open_own_transfer_handle(file, mode);
    op->file = &file->base;
    return 0;
}

/* ---- Closing ---- */

/* 0 if the name is already gone, or now belongs to another file; else an error. */
static int remove_name(const epio__os_file *file, int32_t *os_error)
{
    struct stat status;
    bool there = lstat(file->delete_path, &status) == 0;
    if (there &&
        ((uint64_t)status.st_dev != file->device || (uint64_t)status.st_ino != file->inode)) {
        return 0;
    }
    if ((there && unlink(file->delete_path) == 0) || errno == ENOENT || errno == ENOTDIR) {
        return 0;
    }
    *os_error = errno;
    return epio__error_from_os(errno);
}

int64_t epio__os_close(epio_op *op)
{
    epio__os_file *file = epio__os_file_of(op);
    int32_t os_error = 0;
    /* In a forked child the name is the parent's. */
    bool removes = file->delete_path != NULL && file->generation == epio__process_generation();
    int left = removes ? remove_name(file, &os_error) : 0;
    epio_file_release(&file->base);
    int result = epio__os_file_close(file, &op->os_error);
    if (result == 0 && left != 0) {
        op->os_error = os_error;
        result = left;
    }
    return result;
}
