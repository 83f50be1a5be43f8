/* epio_perform interrupted by signals, which only POSIX has. The rest is in test_perform.c. Also
 * without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <pthread.h>
#include <signal.h>

static volatile sig_atomic_t alarms;

static void note_alarm(int signal_number)
{
    (void)signal_number;
    alarms = alarms + 1;
}

static void *interrupt(void *argument)
{
    const pthread_t *target = argument;
    for (int i = 0; i < 20; i++) {
        sleep_ns(2000000);
        (void)pthread_kill(*target, SIGUSR1);
    }
    return NULL;
}

/* With a handler without SA_RESTART system calls fail with EINTR; the caller never sees that, and
 * no wait ends early. */
static void signals_interrupt_nothing(fixture *f)
{
    struct sigaction noting = {.sa_handler = note_alarm};
    struct sigaction before;
    static pthread_t self;
    test_thread thread;
    epio_op op = {0};
    char byte;
    intptr_t ends[2];
    assert_int_equal(sigaction(SIGUSR1, &noting, &before), 0);
    pipe_make(ends);
    check_result(epio_perform(epio_adopt(&op, f->vfs, ends[0], 0)), 0);
    epio_file *file = op.file;
    alarms = 0;
    self = pthread_self();
    thread_start(&thread, interrupt, &self);
    uint64_t started = system_monotonic_ns();
    check_result(epio_perform(epio_sleep(&op, f->vfs, 25 * MILLISECOND)), 25 * MILLISECOND);
    assert_true(system_monotonic_ns() - started >= 25 * MILLISECOND);
    op.timeout_ns = 30 * MILLISECOND;
    started = system_monotonic_ns();
    check_result(epio_perform(epio_read(&op, file, &byte, 1, 0)), EPIO_ETIMEDOUT);
    assert_true(system_monotonic_ns() - started >= 30 * MILLISECOND);
    (void)thread_join(thread);
    assert_true(alarms > 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    check_result(epio_perform(epio_close(&op, file)), 0);
    assert_true(handle_close(ends[1]));
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(signals_interrupt_nothing, ON_ANY_OS),
    };
    return FIXTURE_RUN("perform, POSIX", tests);
}
