/* Threads, mutexes and conditions, by pthreads. */
#include "posix/descriptor.h"
#include "posix/posix.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(epio__mutex), "a mutex fits");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(epio__condition), "a condition fits");
_Static_assert(sizeof(pthread_t) <= sizeof(epio__thread), "a thread fits");

static pthread_mutex_t *mutex_of(epio__mutex *mutex)
{
    return (pthread_mutex_t *)(void *)mutex->space;
}

static pthread_cond_t *condition_of(epio__condition *condition)
{
    return (pthread_cond_t *)(void *)condition->space;
}

void epio__mutex_init(epio__mutex *mutex)
{
    pthread_mutex_init(mutex_of(mutex), NULL);
}

void epio__mutex_destroy(epio__mutex *mutex)
{
    pthread_mutex_destroy(mutex_of(mutex));
}

void epio__mutex_lock(epio__mutex *mutex)
{
    pthread_mutex_lock(mutex_of(mutex));
}

void epio__mutex_unlock(epio__mutex *mutex)
{
    pthread_mutex_unlock(mutex_of(mutex));
}

typedef union static_mutex {
    pthread_mutex_t system;
    epio__mutex mutex;
} static_mutex;

static static_mutex of_process = {.system = PTHREAD_MUTEX_INITIALIZER};
static static_mutex of_descriptors = {.system = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void)
{
    pthread_mutex_lock(&of_process.system);
    pthread_mutex_lock(&of_descriptors.system);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&of_descriptors.system);
    pthread_mutex_unlock(&of_process.system);
}

static void after_fork_in_child(void)
{
    epio__descriptors_in_child();
    after_fork();
}

/* Nobody holds them in a child, whatever the other threads of its parent did. */
static void survive_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static epio__mutex *survivor(static_mutex *one)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, survive_forks);
    return &one->mutex;
}

epio__mutex *epio__process_mutex(void)
{
    return survivor(&of_process);
}

epio__mutex *epio__descriptor_mutex(void)
{
    return survivor(&of_descriptors);
}

void epio__condition_init(epio__condition *condition)
{
#if defined(__APPLE__)
    pthread_cond_init(condition_of(condition), NULL);
#else
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition_of(condition), &attributes);
    pthread_condattr_destroy(&attributes);
#endif
}

void epio__condition_destroy(epio__condition *condition)
{
    pthread_cond_destroy(condition_of(condition));
}

void epio__condition_wait(epio__condition *condition, epio__mutex *mutex)
{
    pthread_cond_wait(condition_of(condition), mutex_of(mutex));
}

bool epio__condition_wait_until(epio__condition *condition, epio__mutex *mutex, uint64_t deadline)
{
    if (deadline == EPIO_FOREVER) {
        epio__condition_wait(condition, mutex);
        return true;
    }
#if defined(__APPLE__)
    uint64_t now = epio__monotonic_time();
    struct timespec time = epio__timespec(deadline > now ? deadline - now : 0);
    return pthread_cond_timedwait_relative_np(condition_of(condition), mutex_of(mutex), &time) == 0;
#else
    struct timespec time = epio__timespec(deadline);
    return pthread_cond_timedwait(condition_of(condition), mutex_of(mutex), &time) == 0;
#endif
}

void epio__condition_signal(epio__condition *condition)
{
    pthread_cond_signal(condition_of(condition));
}

void epio__condition_broadcast(epio__condition *condition)
{
    pthread_cond_broadcast(condition_of(condition));
}

static _Thread_local bool takes_no_signals;

bool epio__thread_takes_no_signals(void)
{
    return takes_no_signals;
}

typedef struct start_note {
    void (*run)(void *argument);
    void *argument;
} start_note;

static void *run_thread(void *argument)
{
    start_note note = *(start_note *)argument;
    free(argument);
    takes_no_signals = true;
    note.run(note.argument);
    return NULL;
}

/* All but those that a fault raises: blocked, they would kill the process past
 * every handler that the application has for them. */
static void fill_with_asynchronous(sigset_t *set)
{
    static const int by_fault[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigfillset(set);
    for (size_t i = 0; i < sizeof by_fault / sizeof by_fault[0]; i++) {
        sigdelset(set, by_fault[i]);
    }
}

int epio__thread_start(epio__thread *thread, void (*run)(void *argument), void *argument)
{
    start_note *note = malloc(sizeof *note);
    if (note == NULL) {
        return EPIO_ENOMEM;
    }
    note->run = run;
    note->argument = argument;
    sigset_t all;
    sigset_t before;
    fill_with_asynchronous(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t started;
    int error = pthread_create(&started, NULL, run_thread, note);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        free(note);
        return EPIO_ENOMEM;
    }
    memcpy(thread->space, &started, sizeof started); /* a number here, a pointer there */
    return 0;
}

void epio__thread_join(epio__thread *thread)
{
    pthread_t started;
    memcpy(&started, thread->space, sizeof started);
    pthread_join(started, NULL);
}

void epio__thread_detach(epio__thread *thread)
{
    pthread_detach(*(pthread_t *)(void *)thread->space);
}

void epio__thread_yield(void)
{
    sched_yield();
}

void epio__thread_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

uint32_t epio__processor_count(void)
{
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        return (uint32_t)CPU_COUNT(&allowed);
    }
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

uint64_t epio__process_id(void)
{
    return (uint64_t)getpid();
}
