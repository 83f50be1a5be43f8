/* What `log` needs of the operating system besides epio: threads, a mutex, and an
 * output that takes a line feed as it is. C11 has its own threads, but not every
 * compiler does. */
#ifndef EXAMPLES_SYSTEM_H
#define EXAMPLES_SYSTEM_H

#include <stdbool.h>
#include <stdio.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <windows.h>
#else
#include <pthread.h>
#endif

/* Stays in its place while it runs. */
struct thread {
#ifdef _WIN32
    HANDLE id;
#else
    pthread_t id;
#endif
    void (*run)(void *argument);
    void *argument;
};

struct mutex {
#ifdef _WIN32
    SRWLOCK lock;
#else
    pthread_mutex_t lock;
#endif
};

#ifdef _WIN32

static inline void mutex_init(struct mutex *mutex)
{
    InitializeSRWLock(&mutex->lock);
}

static inline void mutex_destroy(struct mutex *mutex)
{
    (void)mutex; /* there is nothing to free */
}

static inline void mutex_lock(struct mutex *mutex)
{
    AcquireSRWLockExclusive(&mutex->lock);
}

static inline void mutex_unlock(struct mutex *mutex)
{
    ReleaseSRWLockExclusive(&mutex->lock);
}

static inline unsigned __stdcall thread_main(void *argument)
{
    const struct thread *thread = argument;

    thread->run(thread->argument);
    return 0;
}

static inline bool thread_start(struct thread *thread, void (*run)(void *argument), void *argument)
{
    thread->run = run;
    thread->argument = argument;
    thread->id = (HANDLE)_beginthreadex(NULL, 0, thread_main, thread, 0, NULL);
    return thread->id != NULL;
}

static inline void thread_join(struct thread *thread)
{
    WaitForSingleObject(thread->id, INFINITE);
    CloseHandle(thread->id);
}

static inline void keep_line_feeds(FILE *stream)
{
    _setmode(_fileno(stream), _O_BINARY);
}

#else

static inline void mutex_init(struct mutex *mutex)
{
    pthread_mutex_init(&mutex->lock, NULL);
}

static inline void mutex_destroy(struct mutex *mutex)
{
    pthread_mutex_destroy(&mutex->lock);
}

static inline void mutex_lock(struct mutex *mutex)
{
    pthread_mutex_lock(&mutex->lock);
}

static inline void mutex_unlock(struct mutex *mutex)
{
    pthread_mutex_unlock(&mutex->lock);
}

static inline void *thread_main(void *argument)
{
    const struct thread *thread = argument;

    thread->run(thread->argument);
    return NULL;
}

static inline bool thread_start(struct thread *thread, void (*run)(void *argument), void *argument)
{
    thread->run = run;
    thread->argument = argument;
    return pthread_create(&thread->id, NULL, thread_main, thread) == 0;
}

static inline void thread_join(struct thread *thread)
{
    pthread_join(thread->id, NULL);
}

static inline void keep_line_feeds(FILE *stream)
{
    (void)stream; /* nobody changes them here */
}

#endif

#endif
