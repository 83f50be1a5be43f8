/* Writes that would raise SIGPIPE or SIGXFSZ on the application's own thread. Both are sent to
 * the writing thread, so blocking them there and consuming what was raised changes no
 * disposition. Where they are sent to the process instead, they are avoided. */
#include "posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* SIGXFSZ stays blocked on this thread between writes. */
static _Thread_local bool held;
static _Thread_local epio__signal_guard around_several;

static sigset_t set_of(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return set;
}

static bool is_pending(int number)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, number) == 1;
}

void epio__signal_guard_begin(epio__signal_guard *guard, int number)
{
    guard->number = number;
    guard->unblock = false;
    guard->active = !epio__thread_takes_no_signals();
    if (!guard->active) {
        return;
    }
    if (held && number == SIGXFSZ) {
        guard->pending = around_several.pending;
        return;
    }
    /* One system call instead of the two that block and unblock, since next to nobody has a limit.
     */
    if (number == SIGXFSZ && !epio__writes_are_limited()) {
        guard->active = false;
        return;
    }
    sigset_t set = set_of(number);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    guard->unblock = sigismember(&before, number) == 0;
    /* Only a signal that the application blocks can already be pending. */
    guard->pending = !guard->unblock && is_pending(number);
}

static void take_away(int number)
{
    sigset_t set = set_of(number);
    int taken;
    if (is_pending(number)) {
        (void)sigwait(&set, &taken);
    }
}

void epio__signal_guard_end(epio__signal_guard *guard, bool failed)
{
    int error = errno;
    int cause = guard->number == SIGPIPE ? EPIPE : EFBIG;
    if (guard->active && failed && error == cause && !guard->pending) {
        take_away(guard->number);
    }
    if (guard->unblock) {
        sigset_t set = set_of(guard->number);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    errno = error;
}

/* glibc asks by prlimit(2), which locks and takes half as long again. */
static int ask_limit(struct rlimit *limit)
{
#if defined(__linux__) && defined(__LP64__) && defined(SYS_getrlimit)
    return (int)syscall(SYS_getrlimit, RLIMIT_FSIZE, limit);
#else
    return getrlimit(RLIMIT_FSIZE, limit);
#endif
}

bool epio__writes_are_limited(void)
{
    struct rlimit limit;
    return ask_limit(&limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

#if !defined(__linux__)
uint64_t epio__room_for_write(int descriptor, uint64_t position)
{
    struct rlimit limit;
    struct stat status;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return UINT64_MAX;
    }
    uint64_t most = (uint64_t)limit.rlim_cur;
    return position < most ? most - position : 0;
}
#endif

void epio__forbid_sigpipe(int descriptor)
{
#if defined(F_SETNOSIGPIPE)
    (void)fcntl(descriptor, F_SETNOSIGPIPE, 1);
#else
    (void)descriptor;
#endif
}

bool epio__os_writes_begin(void)
{
    if (held || epio__thread_takes_no_signals()) {
        return false;
    }
    epio__signal_guard_begin(&around_several, SIGXFSZ);
    held = true;
    return true;
}

void epio__os_writes_end(void)
{
    held = false;
    epio__signal_guard_end(&around_several, false);
}
