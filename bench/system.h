/* What epio-bench needs from the operating system: a terminal, CPU time, threads, and blocking
 * calls for the engines without epio. Each system has one file that implements it. */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

bool bench_is_terminal(FILE *stream);

/* CPU time of all threads of this process, in nanoseconds. */
uint64_t bench_cpu_time(void);

/* The most memory that this process has had at once, in bytes; 0: unknown. */
uint64_t bench_peak_memory(void);

/* CPU time of all processors so far, in nanoseconds, and the part that other programs used.
 * False: the system does not report it. */
bool bench_others_time(uint64_t *others, uint64_t *all);

/* "Linux 6.1 x86_64, 8 processors (model)", as far as the system reports it. */
void bench_machine_name(char *name, size_t size);

/* ---- Files ------------------------------------------------------------- */

/* The use of a handle: blocking calls, or epio_adopt. */
typedef enum bench_purpose { BENCH_FOR_BLOCKING, BENCH_FOR_EPIO } bench_purpose;

/* Another handle of the same file: 0 and *duplicate, or an error. `direct`: the file was opened
 * to bypass the page cache. */
int bench_handle_duplicate(intptr_t handle, bench_purpose purpose, bool direct,
                           intptr_t *duplicate);
/* -1 is ignored. */
void bench_handle_close(intptr_t handle);

/* Blocking calls on a handle for them: bytes, or an EPIO_E... */
int64_t bench_read_at(intptr_t handle, void *buffer, size_t size, uint64_t offset);
int64_t bench_write_at(intptr_t handle, const void *buffer, size_t size, uint64_t offset);

/* Reads cached data without waiting, else as bench_read_at; EPIO_ENOTSUP if the system has no
 * such call. */
int64_t bench_read_cached_at(intptr_t handle, void *buffer, size_t size, uint64_t offset);

/* Makes the data durable, as EPIO_SYNC_DATA_ONLY does: 0 or an error. */
int bench_flush(intptr_t handle);

/* Writes what is dirty and empties the caches of files and directories: 0, EPIO_EACCES without the
 * right, EPIO_ENOTSUP where there is no way. */
int bench_empty_caches(void);

/* ---- Threads ----------------------------------------------------------- */

typedef struct bench_thread {
    void (*function)(void *argument);
    void *argument;
    intptr_t system; /* the system's thread handle */
} bench_thread;

/* Runs `function(argument)`, both filled in, on a new thread. The struct stays where it is until
 * the thread was joined. False: no thread is available. */
bool bench_thread_start(bench_thread *thread);
void bench_thread_join(bench_thread *thread);

/* Lets other threads run. */
void bench_thread_yield(void);

/* ---- Other processes --------------------------------------------------- */

/* Zeroed memory shared with the children of bench_child_run; NULL: none. */
void *bench_shared_memory(size_t bytes);
void bench_shared_memory_free(void *memory, size_t bytes);

/* Calls `function(argument)` in a copy of this process that has only this thread, and waits for
 * its end; on systems without such copies, in this process. False: not enough memory for a copy. */
bool bench_child_run(void (*function)(void *argument), void *argument);

/* ---- Other programs ---------------------------------------------------- */

/* A shell command that keeps one processor busy until its standard input ends; NULL: none here. */
const char *bench_busy_command(void);

/* A shell command that lists a tree with sizes, by find(1), into nothing. False: there is none
 * here that can. */
bool bench_find_command(const char *tree, char *command, size_t size);

/* "cp -r" or "rm -r" as a shell command of one or two paths; `to` NULL: one. False: there is none.
 */
bool bench_tree_command(const char *what, const char *path, const char *to, char *command,
                        size_t size);

/* Starts a shell command whose standard input is the stream; NULL: it cannot be started.
 * bench_command_close returns 0 if the command succeeded. */
FILE *bench_command_open(const char *command);
int bench_command_close(FILE *stream);

#endif
