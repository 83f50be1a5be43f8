/* Writes that would raise SIGPIPE or SIGXFSZ on the application's own thread.
 * Both are sent to the thread that writes, so blocking them there and taking
 * away what was raised leaves every disposition as it is. */
#include "posix/posix.h"

#include <errno.h>
#include <pthread.h>

/* SIGXFSZ is blocked on this thread from one write to the next. */
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
    sigset_t set = set_of(number);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    guard->unblock = sigismember(&before, number) == 0;
    /* Only a signal that the application blocks can be pending already. */
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
