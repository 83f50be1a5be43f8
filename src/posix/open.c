/* Making an epio_file of a path or a descriptor, and closing it. */
#include "atomics.h"
#include "posix/descriptor.h"
#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

#include "core/list.h"

#define TEMPORARY_TRIES 100

/* How often an open for writing looks whether its FIFO has a reader: at first
 * after half a millisecond, then ever less often. There is no readiness for
 * it. */
#define FIRST_FIFO_DELAY_NS UINT64_C(500000)
#define LAST_FIFO_DELAY_NS UINT64_C(16000000)

/* ---- A file around a descriptor ---- */

static uint32_t stream_notes(int descriptor, const struct stat *status)
{
    uint32_t notes = 0;
    int mode = fcntl(descriptor, F_GETFL);
    if (mode >= 0 && (mode & O_NONBLOCK) != 0) {
        notes |= EPIO__STREAM_NONBLOCKING;
    }
    if (S_ISSOCK(status->st_mode)) {
        notes |= EPIO__STREAM_SOCKET;
    }
    if (S_ISCHR(status->st_mode) && isatty(descriptor) == 1) {
        notes |= EPIO__STREAM_TERMINAL;
    }
    return notes;
}

/* Pipes, FIFOs, sockets, terminals: what has no positions. */
static bool is_stream(int descriptor, const struct stat *status)
{
    if (S_ISREG(status->st_mode) || S_ISBLK(status->st_mode)) {
        return false;
    }
    return S_ISFIFO(status->st_mode) || S_ISSOCK(status->st_mode) ||
           (lseek(descriptor, 0, SEEK_CUR) < 0 && errno == ESPIPE);
}

static void set_handles(epio__os_file *file, int descriptor)
{
    file->handle = descriptor;
    file->transfer_handle = descriptor;
    file->lock_handle = descriptor;
}

/* Gives the file its descriptor, and notes what that is: 0, or -1 and errno. */
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

/* NULL and errno on failure. There is memory before there is a descriptor, since
 * where locks are common not every descriptor can be closed at once. */
static epio__os_file *create_file(epio_vfs *vfs, uint32_t flags)
{
    epio__os_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    epio_file_init(&file->base, vfs, flags, 0);
    set_handles(file, -1);
    epio__list_init(&file->readers);
    epio__list_init(&file->writers);
    return file;
}

/* 0, or -1 and errno. */
static int fill_file(epio__os_file *file, int descriptor, uint32_t flags)
{
    struct stat status;
    if (take_descriptor(file, descriptor, &status) != 0) {
        return -1;
    }
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    epio__range_locks_decide(descriptor); /* a close depends on it */
    bool stream = is_stream(descriptor, &status);
    file->base.traits = stream ? EPIO_FILE_STREAM : 0;
    file->direct = !stream && (flags & EPIO_OPEN_DIRECT) != 0;
    file->cached_reads =
        stream || file->direct ? EPIO__CACHED_READS_NEVER : EPIO__CACHED_READS_UNKNOWN;
    file->stream = stream ? stream_notes(descriptor, &status) : 0;
    if (stream) {
        epio__forbid_sigpipe(descriptor);
    }
    return 0;
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
    /* An interrupted close has released the descriptor all the same: Linux
     * close(2). */
    if (file->handle >= 0 && close((int)file->handle) != 0 && errno != EINTR) {
        *os_error = errno;
        result = epio__error_from_os(errno);
    }
    free(file->delete_path);
    free(file);
    return result;
}

/* A file that nobody will have, with or without a descriptor. */
static void discard_file(epio__os_file *file)
{
    int32_t os_error;
    epio_file_release(&file->base);
    (void)epio__os_file_close(file, &os_error);
}

/* ---- Opening ---- */

static int flags_for_open(uint32_t flags)
{
    int wanted = O_NOCTTY | O_NONBLOCK; /* a FIFO must not block here */
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
    wanted |= (flags & EPIO_OPEN_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
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

static int open_name(const char *path, uint32_t flags)
{
    int descriptor = epio__descriptor_open(path, flags_for_open(flags), permissions_of(flags));
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

/* What in the flags of an open decides what its descriptor can do. */
static uint32_t abilities(uint32_t flags)
{
    return flags & (EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_DIRECT);
}

/* The descriptor of a file of the same name that was closed but could not be, so
 * that a program that opens and closes a file while it is locked does not run out
 * of them; -1: none. */
static int reopen(const char *path, uint32_t flags)
{
    struct stat status;
    if ((flags & EPIO_OPEN_EXCLUSIVE) != 0 || !epio__range_locks_are_common()) {
        return -1;
    }
    bool follow = (flags & EPIO_OPEN_NOFOLLOW) == 0;
    if ((follow ? stat(path, &status) : lstat(path, &status)) != 0) {
        return -1;
    }
    epio__os_file *file =
        epio__os_file_reopen((uint64_t)status.st_dev, (uint64_t)status.st_ino, abilities(flags));
    if (file == NULL) {
        return -1;
    }
    int descriptor = (int)file->handle;
    if ((flags & EPIO_OPEN_TRUNCATE) != 0 && ftruncate(descriptor, 0) != 0) {
        int32_t os_error;
        (void)epio__os_file_close(file, &os_error); /* as it was; open will say why */
        return -1;
    }
    free(file->delete_path);
    free(file);
    return descriptor;
}

static int open_path(const char *path, uint32_t flags)
{
    int descriptor = reopen(path, flags);
    if (descriptor >= 0) {
        return descriptor;
    }
    return open_name(path, flags);
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The folder for a temporary file, as the header says. */
static bool temporary_folder(const char *path, char *folder, size_t size)
{
    if (path != NULL) {
        if (!is_folder(path)) {
            return epio__folder_of(path, folder, size);
        }
        return (size_t)snprintf(folder, size, "%s", path) < size;
    }
    const char *const candidates[] = {getenv("TMPDIR"), "/var/tmp", "/tmp", "."};
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        const char *candidate = candidates[i];
        if (candidate != NULL && is_folder(candidate) && access(candidate, W_OK | X_OK) == 0) {
            return (size_t)snprintf(folder, size, "%s", candidate) < size;
        }
    }
    return false;
}

/* A name that nobody can guess, gone from the folder as soon as it is open: so
 * nothing is left behind however the process ends. */
static int open_temporary(const char *path, uint32_t flags)
{
    char folder[PATH_MAX];
    char name[PATH_MAX + 64];
    if (!temporary_folder(path, folder, sizeof folder)) {
        errno = path != NULL ? ENAMETOOLONG : ENOENT;
        return -1;
    }
    for (int i = 0; i < TEMPORARY_TRIES; i++) {
        uint64_t random[2];
        epio__random_bytes(random, sizeof random);
        (void)snprintf(name, sizeof name, "%s/epio-%016llx%016llx", folder,
                       (unsigned long long)random[0], (unsigned long long)random[1]);
        int descriptor = open_name(name, flags);
        if (descriptor >= 0) {
            (void)unlink(name);
            return descriptor;
        }
        if (errno != EEXIST) {
            return -1;
        }
    }
    return -1;
}

/* Absolute, since the process may change its folder before the close. */
static char *path_to_delete(const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/' || getcwd(folder, sizeof folder) == NULL) {
        return strdup(path);
    }
    size_t size = strlen(folder) + strlen(path) + 2;
    char *joined = malloc(size);
    if (joined != NULL) {
        (void)snprintf(joined, size, "%s/%s", folder, path);
    }
    return joined;
}

static bool waits_for_reader(const epio_op *op, int error)
{
    struct stat status;
    /* With READ it does not wait: it is its own reader. */
    return error == ENXIO && (op->flags & EPIO_OPEN_READ) == 0 &&
           stat(op->arguments.path.path, &status) == 0 && S_ISFIFO(status.st_mode);
}

/* Nobody reads the FIFO yet, or somebody holds a lease on the file, which the
 * first try asked him to give up: to be tried again a little later. */
static int64_t try_again_later(epio_op *op)
{
    uint64_t delay = op->arguments.path.len; /* of no other use to an open */
    delay = delay == 0 ? FIRST_FIFO_DELAY_NS : delay * 2;
    delay = delay > LAST_FIFO_DELAY_NS ? LAST_FIFO_DELAY_NS : delay;
    op->arguments.path.len = delay;
    op->due = epio__monotonic_time() + delay;
    return EPIO_RETRY;
}

/* What must be done to the new descriptor before anybody has it: 0, or -1 and
 * errno. */
static int finish_open(epio_op *op, epio__os_file *file)
{
    bool temporary = (op->flags & EPIO_OPEN_TEMPORARY) != 0;
    file->opened_as = abilities(op->flags);
    if ((op->flags & EPIO_OPEN_DELETE_ON_CLOSE) != 0 && !temporary) {
        file->delete_path = path_to_delete(op->arguments.path.path);
        if (file->delete_path == NULL) {
            errno = ENOMEM;
            return -1;
        }
    }
    int descriptor = (int)file->handle;
    if ((file->base.traits & EPIO_FILE_STREAM) == 0) {
        /* Only for FIFOs and terminals; whoever takes the descriptor expects
         * an ordinary one. */
        int mode = fcntl(descriptor, F_GETFL);
        if (mode < 0 || fcntl(descriptor, F_SETFL, mode & ~O_NONBLOCK) != 0) {
            return -1;
        }
    } else if ((op->flags & EPIO_OPEN_READ) != 0) {
        struct stat status;
        if (fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode)) {
            file->stream |= EPIO__STREAM_AWAITS_WRITER;
        }
    }
    bool created = (op->flags & EPIO_OPEN_CREATE) != 0 && !temporary;
    if (created && (op->flags & EPIO_OPEN_SYNC_DIR) != 0) {
        return epio__sync_folder_of(op->arguments.path.path);
    }
    return 0;
}

int64_t epio__open_perform(epio_vfs *vfs, epio_op *op)
{
    epio__os_file *file = create_file(vfs, op->flags);
    if (file == NULL) {
        return epio__op_fail(op);
    }
    bool temporary = (op->flags & EPIO_OPEN_TEMPORARY) != 0;
    int descriptor = temporary ? open_temporary(op->arguments.path.path, op->flags)
                               : open_path(op->arguments.path.path, op->flags);
    int64_t error;
    if (descriptor < 0) {
        bool retry = errno == EWOULDBLOCK || (!temporary && waits_for_reader(op, errno));
        error = retry ? try_again_later(op) : epio__op_fail(op);
    } else if (fill_file(file, descriptor, op->flags) != 0 || finish_open(op, file) != 0) {
        error = epio__op_fail(op);
    } else {
        op->file = &file->base;
        return 0;
    }
    discard_file(file);
    return error;
}

/* A blocking pipe or terminal that others may use too cannot be relied on to
 * take or have as much as poll(2) said a moment ago. Its blocking mode is shared
 * with those others, so it is opened once more, non-blocking, where the system
 * has a name for it. */
static void open_own_transfer_handle(epio__os_file *file, int mode)
{
#if defined(__linux__)
    uint32_t settled = EPIO__STREAM_NONBLOCKING | EPIO__STREAM_SOCKET;
    unsigned number;
    /* The request is an unsigned long to one libc's ioctl, an int to another's. */
    if ((file->base.traits & EPIO_FILE_STREAM) == 0 || (file->stream & settled) != 0 ||
        syscall(SYS_ioctl, (int)file->handle, TIOCGPTN, &number) == 0) {
        return; /* a terminal's master end would be another terminal */
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", (int)file->handle);
    /* O_DIRECT is the packet mode of a pipe. */
    int own =
        epio__descriptor_open(path, (mode & (O_ACCMODE | O_DIRECT)) | O_NONBLOCK | O_NOCTTY, 0);
    if (own >= 0) {
        file->transfer_handle = own;
        file->stream |= EPIO__STREAM_NONBLOCKING;
    }
#else
    (void)file;
    (void)mode;
#endif
}

int64_t epio__adopt_perform(epio_vfs *vfs, epio_op *op)
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
    if (fill_file(file, descriptor, flags) != 0) {
        int64_t error = epio__op_fail(op);
        set_handles(file, -1); /* the descriptor stays the caller's */
        discard_file(file);
        return error;
    }
    open_own_transfer_handle(file, mode);
    op->file = &file->base;
    return 0;
}

/* ---- Closing ---- */

/* The name may by now be another file's. */
static void delete_name(const epio__os_file *file)
{
    struct stat status;
    if (lstat(file->delete_path, &status) == 0 && (uint64_t)status.st_dev == file->device &&
        (uint64_t)status.st_ino == file->inode) {
        (void)unlink(file->delete_path);
    }
}

int64_t epio__close_perform(epio_op *op)
{
    epio__os_file *file = epio__os_file_of(op);
    if (file->delete_path != NULL) {
        delete_name(file);
    }
    epio_file_release(&file->base);
    return epio__os_file_close(file, &op->os_error);
}
