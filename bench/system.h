/* What epio-bench needs of the operating system: a terminal, CPU time, threads,
 * and the blocking calls of those that do without epio. One file implements it
 * for each system. */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

bool bench_is_terminal(FILE *stream);

/* CPU time of all threads of this process, in nanoseconds. */
uint64_t bench_cpu_time(void);

/* CPU time, in nanoseconds, that all processors have had so far, and what other programs
 * used of it. False: the system does not say. */
bool bench_others_time(uint64_t *others, uint64_t *all);

/* "Linux 6.1 x86_64, 8 processors (model)", as far as the system says. */
void bench_machine_name(char *name, size_t size);

/* ---- Files ------------------------------------------------------------- */

/* What it is wanted for: blocking calls, or epio_adopt. */
typedef enum bench_purpose { BENCH_FOR_BLOCKING, BENCH_FOR_EPIO } bench_purpose;

/* Another handle of the same file: 0 and *duplicate, or an error. `direct`: the
 * file was opened to go past the page cache. */
int bench_handle_duplicate(intptr_t handle, bench_purpose purpose, bool direct,
                           intptr_t *duplicate);
/* -1 is ignored. */
void bench_handle_close(intptr_t handle);

/* Blocking calls, with a handle for them: bytes, or an EPIO_E... */
int64_t bench_read_at(intptr_t handle, void *buffer, size_t size, uint64_t offset);
int64_t bench_write_at(intptr_t handle, const void *buffer, size_t size, uint64_t offset);

/* Reads what is cached, else as bench_read_at; EPIO_ENOTSUP where there is no such
 * call. */
int64_t bench_read_cached_at(intptr_t handle, void *buffer, size_t size, uint64_t offset);

/* Makes the data durable, as EPIO_SYNC_DATA_ONLY does: 0 or an error. */
int bench_flush(intptr_t handle);

/* ---- Threads ----------------------------------------------------------- */

typedef struct bench_thread {
    void (*function)(void *argument);
    void *argument;
    intptr_t system; /* the thread, as the system calls it */
} bench_thread;

/* Runs `function(argument)`, both filled in, on a new thread. The struct stays
 * where it is until it was joined. False: no thread can be had. */
bool bench_thread_start(bench_thread *thread);
void bench_thread_join(bench_thread *thread);

/* Lets others run. */
void bench_thread_yield(void);

/* ---- Other processes --------------------------------------------------- */

/* Zeros that a child of bench_child_run shares with this process; NULL: none. */
void *bench_shared_memory(size_t bytes);
void bench_shared_memory_free(void *memory, size_t bytes);

/* Calls `function(argument)` in a copy of this process, which has this thread alone,
 * and waits for its end; where there are no such copies, in this one. False: there
 * was no room for one. */
bool bench_child_run(void (*function)(void *argument), void *argument);

/* ---- Other programs ---------------------------------------------------- */

/* Starts a shell command whose standard input is the stream; NULL: it cannot be
 * started. What bench_command_close returns is 0 if it succeeded. */
FILE *bench_command_open(const char *command);
int bench_command_close(FILE *stream);

#endif
