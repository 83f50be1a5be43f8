/* Threads, mutexes and conditions, by pthreads. */
#include "posix/descriptor.h"
#include "posix/posix.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

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

static uint32_t generation;

static void before_fork(void)
{
    pthread_mutex_lock(&of_process.system);
    pthread_mutex_lock(&of_descriptors.system);
    epio__process_before_fork();
}

static void after_fork_in_parent(void)
{
    epio__process_after_fork(false);
    pthread_mutex_unlock(&of_descriptors.system);
    pthread_mutex_unlock(&of_process.system);
}

/* No other thread exists yet. */
static void after_fork_in_child(void)
{
    generation++;
    epio__descriptors_in_child();
#if defined(__linux__)
    epio__watches_in_child();
#endif
    epio__process_after_fork(true);
    pthread_mutex_unlock(&of_descriptors.system);
    pthread_mutex_unlock(&of_process.system);
}

static void register_handlers(void)
{
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* In a child the mutexes taken here are free, whatever the parent's other threads do. */
static void survive_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_handlers);
}

epio__mutex *epio__process_mutex(void)
{
    survive_forks();
    return &of_process.mutex;
}

epio__mutex *epio__descriptor_mutex(void)
{
    survive_forks();
    return &of_descriptors.mutex;
}

uint32_t epio__process_generation(void)
{
    survive_forks();
    return generation;
}

/* ---- End of a thread ---- */

static pthread_key_t end_key;
static bool end_is_watched;

/* Runs when a thread ends, in no defined order among other thread-specific destructors, one of
 * which may still destroy a loop: so it requests a second round. */
static void end_thread(void *round)
{
    static char second;
    if (round != &second) {
        (void)pthread_setspecific(end_key, &second);
        return;
    }
    pthread_mutex_lock(&of_process.system);
    epio__process_thread_ends();
    pthread_mutex_unlock(&of_process.system);
}

void epio__thread_watch_end(void)
{
    static char first;
    if (!end_is_watched) {
        end_is_watched = pthread_key_create(&end_key, end_thread) == 0;
    }
    if (end_is_watched) {
        (void)pthread_setspecific(end_key, &first);
    }
}

/* Allows the library to be unloaded. */
void epio__thread_forget_ends(void)
{
    if (end_is_watched) {
        (void)pthread_key_delete(end_key);
        end_is_watched = false;
    }
}

/* ---- The stack of a thread ---- */

typedef struct stack_bounds {
    uintptr_t low; /* 0: not determined yet, or unknown */
    uintptr_t high;
    bool known;
} stack_bounds;

static stack_bounds find_stack(void)
{
    stack_bounds found = {.known = true};
#if defined(__APPLE__)
    found.high = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
    found.low = found.high - pthread_get_stacksize_np(pthread_self());
#elif defined(__linux__)
    void *low;
    size_t size;
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
            found.low = (uintptr_t)low;
            found.high = found.low + size;
#if !defined(__GLIBC__)
            /* For the main thread musl reports the present size, but the stack grows. */
            struct rlimit limit;
            if (syscall(SYS_gettid) == getpid() && getrlimit(RLIMIT_STACK, &limit) == 0 &&
                limit.rlim_cur > size) {
                found.low =
                    limit.rlim_cur < found.high ? found.high - (uintptr_t)limit.rlim_cur : 0;
            }
#endif
        }
        (void)pthread_attr_destroy(&attributes);
    }
#endif
    return found;
}

/* The first call is slow: for the main thread the answer is read from /proc. */
bool epio__thread_stack(uintptr_t *low, uintptr_t *high)
{
    static _Thread_local stack_bounds bounds;
    if (!bounds.known) {
        bounds = find_stack();
    }
    *low = bounds.low;
    *high = bounds.high;
    return bounds.low != 0;
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

/* All signals except those that a fault raises: if blocked, they would kill the process without
 * calling the application's handlers. */
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
    memcpy(thread->space, &started, sizeof started); /* a number or a pointer, by system */
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
    pthread_t started;
    memcpy(&started, thread->space, sizeof started);
    pthread_detach(started);
}

void epio__thread_give_way(uint32_t nice)
{
#if defined(__linux__)
    /* There the value is each thread's own. More than the system allows is the most. */
    id_t self = (id_t)syscall(SYS_gettid);
    errno = 0;
    int now = getpriority(PRIO_PROCESS, self);
    if (errno == 0) {
        (void)setpriority(PRIO_PROCESS, self, now + (int)nice);
    }
#elif defined(__APPLE__)
    (void)nice;
    (void)pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#else
    (void)nice; /* elsewhere it is the process's */
#endif
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
