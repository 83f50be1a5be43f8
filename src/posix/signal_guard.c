/* Writes that would raise SIGPIPE or SIGXFSZ on the application's own thread.
 * Both are sent to the thread that writes, so blocking them there and taking
 * away what was raised leaves every disposition as it is. */
#include "posix/posix.h"

#include <errno.h>
#include <pthread.h>

static _Thread_local epio__signal_guard around_several;

void epio__signal_guard_begin(epio__signal_guard *guard)
{
    if (around_several.active) {
        *guard = around_several;
        guard->nested = true;
        return;
    }
    guard->nested = false;
    guard->active = !epio__thread_takes_no_signals();
    if (!guard->active) {
        return;
    }
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGPIPE);
    sigaddset(&both, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &both, &guard->before);
    guard->pipe_pending = false;
    guard->size_pending = false;
    bool pipe_blocked = sigismember(&guard->before, SIGPIPE) == 1;
    bool size_blocked = sigismember(&guard->before, SIGXFSZ) == 1;
    if (pipe_blocked || size_blocked) {
        /* Only a signal that the application blocks can be pending already. */
        sigset_t pending;
        sigpending(&pending);
        guard->pipe_pending = pipe_blocked && sigismember(&pending, SIGPIPE) == 1;
        guard->size_pending = size_blocked && sigismember(&pending, SIGXFSZ) == 1;
    }
}

static void take_away(int signal_number)
{
    sigset_t pending;
    sigpending(&pending);
    if (sigismember(&pending, signal_number) == 1) {
        sigset_t one;
        int taken;
        sigemptyset(&one);
        sigaddset(&one, signal_number);
        (void)sigwait(&one, &taken);
    }
}

void epio__signal_guard_end(epio__signal_guard *guard, bool failed)
{
    if (!guard->active) {
        return;
    }
    int error = errno;
    if (failed && error == EPIPE && !guard->pipe_pending) {
        take_away(SIGPIPE);
    }
    if (failed && error == EFBIG && !guard->size_pending) {
        take_away(SIGXFSZ);
    }
    if (!guard->nested) {
        pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
    }
    errno = error;
}

void epio__os_writes_begin(void)
{
    epio__signal_guard guard;
    epio__signal_guard_begin(&guard);
    around_several = guard;
}

void epio__os_writes_end(void)
{
    epio__signal_guard guard = around_several;
    around_several.active = false;
    epio__signal_guard_end(&guard, false);
}
