/* Descriptors 0 to 2 are where others print and read: one of the library's that got such
 * a number, in a program that closed its own, would take the next error message for a
 * write. So none of them is; whatever makes a descriptor passes it through here.
 *
 * The kernel gives out the lowest number that is free, and knows no other way: the new
 * descriptor is moved. For a moment it is there, which does no harm to what only the
 * library uses (a few bytes wake a loop), but is too long for a file that can be written.
 * So before such a one is opened, the free ones among these numbers are held by
 * descriptors that are good for nothing. That takes calls of its own; it is
 * done while a number is known to be free, and once in any case to find out. Only the
 * first file after a program closed one of its streams may still pass over that number,
 * as many microseconds as two calls take. */
#include "posix/descriptor.h"

#include "atomics.h"
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_NUMBER (STDERR_FILENO + 1)

/* What the process's standard streams were when last seen. */
enum { NOT_SEEN, SOME_ARE_FREE, NONE_IS_FREE };

static uint32_t standard_streams;

/* Where files hold locks in common, closing one drops those of the others. Without memory
 * to put that off it stays open. */
static void close_original(int descriptor)
{
    struct stat status;
    int32_t os_error;
    if (!epio__range_locks_are_common() || fstat(descriptor, &status) != 0) {
        (void)close(descriptor);
        return;
    }
    epio__os_file *file = calloc(1, sizeof *file);
    if (file != NULL) {
        file->handle = descriptor;
        file->transfer_handle = descriptor;
        file->lock_handle = descriptor;
        file->device = (uint64_t)status.st_dev;
        file->inode = (uint64_t)status.st_ino;
        (void)epio__os_file_close(file, &os_error);
    }
}

int epio__descriptor_move(int descriptor)
{
    if (descriptor < 0 || descriptor >= FIRST_NUMBER) {
        return descriptor;
    }
    epio__store_u32(&standard_streams, SOME_ARE_FREE);
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, FIRST_NUMBER);
    int error = errno == EINVAL ? EMFILE : errno; /* above the limit */
    close_original(descriptor);
    errno = error;
    return moved;
}

/* Neither can be written, and what O_PATH opens cannot even be read. */
static int open_placeholder(void)
{
#if defined(O_PATH)
    return open("/", O_PATH | O_CLOEXEC);
#else
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
#endif
}

/* Takes those of the numbers that are free: how many it took. */
static int hold_standard_streams(int held[FIRST_NUMBER])
{
    int count = 0;
    if (epio__load_u32(&standard_streams) == NONE_IS_FREE) {
        return 0;
    }
    while (count < FIRST_NUMBER) {
        int placeholder = open_placeholder();
        if (placeholder < 0) {
            return count;
        }
        if (placeholder >= FIRST_NUMBER) {
            (void)close(placeholder);
            break;
        }
        held[count++] = placeholder;
    }
    epio__store_u32(&standard_streams, count == 0 ? NONE_IS_FREE : SOME_ARE_FREE);
    return count;
}

static void release_standard_streams(const int *held, int count)
{
    int error = errno;
    while (count > 0) {
        (void)close(held[--count]);
    }
    errno = error;
}

int epio__descriptor_open(const char *path, int flags, mode_t mode)
{
    int held[FIRST_NUMBER];
    /* What is made is not to be there, either, if there is no number for it. */
    bool matters = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    int count = matters ? hold_standard_streams(held) : 0;
    int descriptor;
    do {
        descriptor = open(path, flags | O_CLOEXEC, mode);
    } while (descriptor < 0 && errno == EINTR);
    release_standard_streams(held, count);
    return epio__descriptor_move(descriptor);
}
