/* Keeps every descriptor of the library above the standard streams. In a program that closed its
 * own 0 to 2, a file of the library with such a number would take the next error message as a
 * write.
 *
 * The kernel always gives out the lowest free number, so a new descriptor is moved afterwards.
 * For a descriptor that only the library uses, that moment is harmless (a few bytes wake a loop);
 * for a file that can be written it is not. So while such a file is opened, placeholder
 * descriptors hold the free numbers. Testing for free numbers takes three of the cheapest calls,
 * and is done each time: a program may close its streams at any time. */
#include "posix/descriptor.h"

#include "posix/append.h"
#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_NUMBER (STDERR_FILENO + 1)

/* Under classic locks, closing one descriptor drops the locks of the file's others. If there is
 * no memory to defer the close, the descriptor stays open. */
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
        epio__position_init(file);
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
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, FIRST_NUMBER);
    int error = errno == EINVAL ? EMFILE : errno; /* above the limit */
    close_original(descriptor);
    errno = error;
    return moved;
}

/* Neither kind can be written, and an O_PATH descriptor cannot even be read. */
static int open_placeholder(void)
{
#if defined(O_PATH)
    return open("/", O_PATH | O_CLOEXEC);
#else
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
#endif
}

/* The numbers held: by the thread that found them free, until no open needs them. */
typedef struct held_numbers {
    uint32_t turns; /* atomic: odd while there may be placeholders */
    uint32_t opens;
    int count;
    int numbers[FIRST_NUMBER];
} held_numbers;

static held_numbers held; /* protected by epio__descriptor_mutex */

static bool is_free(int number)
{
    return fcntl(number, F_GETFD) < 0;
}

/* Nothing prints to number 0; but the new descriptor must not stay there either, if no other
 * number is free. */
static bool must_hold(int flags)
{
    return is_free(STDOUT_FILENO) || is_free(STDERR_FILENO) ||
           ((flags & O_CREAT) != 0 && is_free(STDIN_FILENO));
}

static void hold_free_numbers(void)
{
    if ((epio__load_u32(&held.turns) & 1u) == 0) {
        (void)epio__add_u32(&held.turns, 1);
    }
    while (held.count < FIRST_NUMBER) {
        int placeholder = open_placeholder();
        if (placeholder >= FIRST_NUMBER) {
            (void)close(placeholder);
        }
        if (placeholder < 0 || placeholder >= FIRST_NUMBER) {
            return;
        }
        held.numbers[held.count++] = placeholder;
    }
}

/* While an open hangs, the program may have taken the number with dup2. */
static bool is_placeholder(int descriptor)
{
#if defined(O_PATH)
    int mode = fcntl(descriptor, F_GETFL);
    return mode >= 0 && (mode & O_PATH) != 0;
#else
    (void)descriptor; /* not distinguishable from what the program opens */
    return true;
#endif
}

static void release_numbers(void)
{
    while (held.count > 0) {
        int descriptor = held.numbers[--held.count];
        if (is_placeholder(descriptor)) {
            (void)close(descriptor);
        }
    }
    if ((epio__load_u32(&held.turns) & 1u) != 0) {
        (void)epio__add_u32(&held.turns, 1);
    }
}

/* Not by placeholders, which may be closed before the file is open. */
static bool are_taken_by_the_program(int flags)
{
    uint32_t turn = epio__load_u32(&held.turns);
    return (turn & 1u) == 0 && !must_hold(flags) && epio__load_u32(&held.turns) == turn;
}

/* False: nothing is held, and nothing has to be released. */
static bool begin_open(int flags)
{
    if (are_taken_by_the_program(flags)) {
        return false;
    }
    epio__mutex *mutex = epio__descriptor_mutex();
    epio__mutex_lock(mutex);
    held.opens++;
    if (must_hold(flags)) {
        hold_free_numbers();
    }
    epio__mutex_unlock(mutex);
    return true;
}

static void end_open(void)
{
    int error = errno;
    epio__mutex *mutex = epio__descriptor_mutex();
    epio__mutex_lock(mutex);
    if (--held.opens == 0) {
        release_numbers();
    }
    epio__mutex_unlock(mutex);
    errno = error;
}

void epio__descriptors_in_child(void)
{
    held.opens = 0;
    release_numbers();
}

int epio__descriptor_open(int directory, const char *path, int flags, mode_t mode)
{
    bool lasting = (flags & O_CREAT) != 0 || (flags & O_ACCMODE) != O_RDONLY;
    bool holds = lasting && begin_open(flags);
    int descriptor;
    do {
        descriptor = openat(directory, path, flags | O_CLOEXEC, mode);
    } while (descriptor < 0 && errno == EINTR);
    if (holds) {
        end_open();
    }
    return epio__descriptor_move(descriptor);
}
