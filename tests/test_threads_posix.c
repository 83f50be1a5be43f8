/* A loop woken and stopped by a signal handler, and the number of wake-ups, which only POSIX
 * reports. The rest is in test_threads.c. */
#include "op_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

static void join(pthread_t thread)
{
    require(pthread_join(thread, NULL) == 0);
}

static epio_loop *loop_for_signal;

static volatile sig_atomic_t signal_stops;

static void on_signal(int number)
{
    (void)number;
    if (signal_stops != 0) {
        epio_loop_stop(loop_for_signal);
    } else {
        epio_loop_wake(loop_for_signal);
    }
}

static void *raise_later(void *argument)
{
    pthread_t *owner = argument;
    sleep_ns(20 * MILLISECOND);
    require(pthread_kill(*owner, SIGUSR1) == 0);
    return NULL;
}

static void wake_and_stop_from_a_signal_handler(fixture *f)
{
    struct sigaction action, before;
    epio_op op = {0};
    pthread_t self = pthread_self();
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    check(sigaction(SIGUSR1, &action, &before) == 0);
    loop_for_signal = f->loop;
    epio_submit(epio_sleep(&op, f->vfs, 3600000 * MILLISECOND));
    for (signal_stops = 0; signal_stops < 2; signal_stops++) {
        pthread_t thread = start(raise_later, &self);
        check_result(signal_stops != 0 ? epio_loop_run(f->loop)
                                       : epio_loop_poll(f->loop, EPIO_FOREVER, 0),
                     0);
        join(thread);
    }
    check(sigaction(SIGUSR1, &before, NULL) == 0);
    epio_cancel(&op);
    check_result(epio_loop_run(f->loop), 1);
}

static int64_t count_sleeps(void)
{
    struct rusage usage;
    check(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_nvcsw;
}

/* Every thread of the lane is busy with a slow op, and more ops wait. */
static void nothing_wakes_while_a_vfs_is_slow(fixture *f)
{
    static const lane lanes[] = {LANE_READ, LANE_PATH};
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
        op_fixture fx;
        fillers all;
        tracked more;
        op_fixture_setup(&fx, f);
        gate_shut(&fx);
        fillers_submit(&fx, &all, lanes[i]);
        if (lanes[i] == LANE_READ) {
            epio_submit(epio_read(track(&more), fx.file, fx.buffer, 1, 0));
        } else {
            epio_submit(epio_access(track(&more), fx.gate, f->directory, EPIO_ACCESS_EXISTS));
        }
        op_fixture_run_for(&fx, 100 * MILLISECOND);
        int64_t before = count_sleeps();
        sleep_ns(400 * MILLISECOND);
        /* A sanitizer has a thread of its own. */
        check(count_sleeps() - before < 20);
        check_result(more.calls, 0);
        gate_open(&fx);
        fillers_finish(&fx, &all);
        op_fixture_run_until_done(&fx, &more);
        check_result(more.result, 1);
        op_fixture_teardown(&fx);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(wake_and_stop_from_a_signal_handler, ON_OS),
        FIXTURE_TEST(nothing_wakes_while_a_vfs_is_slow, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("threads, POSIX", tests);
}
