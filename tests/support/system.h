/* What the tests need of an operating system beyond C11: threads, time, files and pipes that epio
 * does not know of, other processes. Implemented by system_posix.c and system_win32.c. Paths are
 * UTF-8. A function that fails and has no result to report it aborts the program with a message. */
#ifndef EPIO_TEST_SYSTEM_H
#define EPIO_TEST_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What differs -------------------------------------------------------- */

#ifdef _WIN32
#define SYSTEM_IS_POSIX false
/* The os_error of a failure. Windows has several numbers for one failure, so a check only asks for
 * one that maps to the error. */
#define OS_ERROR(errno_of_posix) OS_ERROR_THAT_FITS
/* The root of every absolute path. */
#define SYSTEM_ROOT "C:/"
/* The variable that names the directory of temporary files. */
#define SYSTEM_TEMPORARY_VARIABLE "TMP"
/* FIFOs that have a name in a directory, and whose open waits for the other end. */
#define SYSTEM_HAS_FIFOS false
/* A backend that every such machine has. */
#define SYSTEM_BACKEND "iocp"
#else
#define SYSTEM_IS_POSIX true
#define OS_ERROR(errno_of_posix) (errno_of_posix)
#define SYSTEM_ROOT "/"
#define SYSTEM_TEMPORARY_VARIABLE "TMPDIR"
#define SYSTEM_HAS_FIFOS true
#define SYSTEM_BACKEND "poll"
#endif

#define OS_ERROR_THAT_FITS INT32_MIN

/* Reads can be asked not to wait for the disk (RWF_NOWAIT). */
#ifdef __linux__
#define SYSTEM_REPORTS_CACHED true
#else
#define SYSTEM_REPORTS_CACHED false
#endif

/* The system reports whether a file is local (fstatfs), so that the owner may wait for it. */
#if defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) ||    \
    defined(_WIN32)
#define SYSTEM_REPORTS_LOCAL true
#else
#define SYSTEM_REPORTS_LOCAL false
#endif

/* The system's files have all of epio/space.h. */
#ifdef __linux__
#define SYSTEM_HAS_SPACE 1
#else
#define SYSTEM_HAS_SPACE 0
#endif

/* A thread can find the bounds of its stack. */
#if defined(__linux__) || defined(__APPLE__) || defined(_WIN32)
#define SYSTEM_HAS_STACK_BOUNDS true
#else
#define SYSTEM_HAS_STACK_BOUNDS false
#endif

/* A descriptor shows whether it is for direct transfers (O_DIRECT). */
#if defined(__linux__) || defined(_WIN32)
#define SYSTEM_REPORTS_DIRECT true
#else
#define SYSTEM_REPORTS_DIRECT false
#endif

/* Wine: every call is a round trip to a server, and some have gaps. */
bool system_is_wine(void);
/* A cancel can end a call in which a worker thread waits. */
bool system_interrupts_calls(void);

/* ---- Threads ------------------------------------------------------------- */

typedef struct test_thread {
    struct thread_record *record; /* allocated until it is joined */
} test_thread;

/* Large enough for the system's own types. */
typedef struct test_mutex {
    uint64_t space[8];
} test_mutex;

typedef struct test_condition {
    uint64_t space[8];
} test_condition;

void thread_start(test_thread *one, void *(*run)(void *argument), void *argument);
/* Waits for its end, and returns what `run` returned. */
void *thread_join(test_thread one);
/* True if it has ended, and is joined. */
bool thread_try_join(test_thread one);
void thread_yield(void);
/* A number of the calling thread, different for each that lives. */
uintptr_t thread_self(void);
/* Threads of this process, including those that are about to end; -1: unknown on this system. */
int count_threads(void);

void mutex_init(test_mutex *mutex);
void mutex_destroy(test_mutex *mutex);
void mutex_lock(test_mutex *mutex);
void mutex_unlock(test_mutex *mutex);

void condition_init(test_condition *condition);
void condition_destroy(test_condition *condition);
void condition_wait(test_condition *condition, test_mutex *mutex);
void condition_signal(test_condition *condition);
void condition_broadcast(test_condition *condition);

/* ---- Time ---------------------------------------------------------------- */

#define MILLISECOND UINT64_C(1000000)

/* Clocks that are not epio's: monotonic, and since 1970-01-01 UTC. */
uint64_t system_monotonic_ns(void);
int64_t system_time_ns(void);
/* At least so long. */
void sleep_ns(uint64_t nanoseconds);
void sleep_us(uint64_t microseconds);

/* Aborts the program with the message `what`, unless it is called again in time; 0 seconds:
 * disarmed. `what` is not copied. */
void hang_guard(unsigned seconds, const char *what);

/* ---- The process --------------------------------------------------------- */

/* NULL removes it. */
void environment_set(const char *name, const char *value);

/* The peak memory of this process, in bytes. */
int64_t system_peak_memory(void);

/* Raises the limit of descriptors; false if that is not permitted. *before is for
 * descriptor_limit_restore. */
bool descriptor_limit_raise(uint64_t count, uint64_t *before);
void descriptor_limit_restore(uint64_t before);

/* Open descriptors or handles of this process. */
int count_descriptors(void);

/* ---- Files --------------------------------------------------------------- */

/* A new empty directory for one test; absolute, with all links resolved. False if
 * there is none, or its path is too long. */
bool test_directory_make(char *directory, size_t len);
/* Removes it with its contents. */
void test_directory_remove(const char *directory);

bool directory_make(const char *path);
bool directory_remove(const char *path);
/* Entries of a real directory, without `.` and `..`; -1: there is none. */
int count_entries(const char *directory);
/* The current directory of the process. */
bool current_directory(char *path, size_t len);
bool current_directory_set(const char *path);

/* True if both are the same path; separators may differ. */
bool paths_agree(const char *found, const char *wanted);

/* Makes an empty file, unless there is one. */
void file_make(const char *path);
bool file_exists(const char *path);
/* -1: there is none. */
int64_t file_size(const char *path);
bool file_remove(const char *path);
/* Makes a FIFO where SYSTEM_HAS_FIFOS. */
void fifo_make(const char *path);
/* Makes a symbolic link where SYSTEM_IS_POSIX. */
void link_make(const char *target, const char *path);
/* umask; returns the previous mask. No effect on Windows. */
unsigned system_umask(unsigned mask);

/* ---- Descriptors and handles --------------------------------------------- */

/* A descriptor or HANDLE that epio_adopt takes, and no child inherits. */
#define NO_HANDLE ((intptr_t)-1)

/* `flags` are EPIO_OPEN_READ, _WRITE, _CREATE and _EXCLUSIVE. NO_HANDLE: failed. */
intptr_t handle_open(const char *path, uint32_t flags);
bool handle_close(intptr_t handle);
bool handle_is_open(intptr_t handle);
intptr_t handle_duplicate(intptr_t handle);
/* pread and pwrite: the bytes; -1: failed. */
int64_t handle_read_at(intptr_t handle, void *data, size_t len, uint64_t offset);
int64_t handle_write_at(intptr_t handle, const void *data, size_t len, uint64_t offset);
int64_t handle_size(intptr_t handle);
/* Of a directory. */
intptr_t handle_open_directory(const char *path);
/* The file position of the handle. */
int64_t handle_position(intptr_t handle);
bool handle_is_inherited(intptr_t handle);
/* A regular file, on POSIX with permissions for its owner alone. */
bool handle_is_private_file(intptr_t handle);
/* On the same device or volume as the file of this path. */
bool handle_is_beside(intptr_t handle, const char *path);
/* Opened for direct transfers, or unknown on this system. */
bool handle_is_direct(intptr_t handle);
/* True once the handle is readable or signalled; false after the timeout. */
bool handle_is_ready(intptr_t handle, int milliseconds);
/* Asks the system to drop the file from the page cache. */
void handle_drop_cache(intptr_t handle);

/* The length of a range to the end of the file. */
#define LOCK_TO_THE_END UINT64_C(0)

/* Locks or unlocks a byte range as another process would: conflicts with epio's locks. False:
 * locked by another. A range is unlocked as it was locked. */
typedef enum handle_lock { HANDLE_UNLOCK, HANDLE_LOCK_SHARED, HANDLE_LOCK_EXCLUSIVE } handle_lock;
bool handle_lock_range(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode);
/* The same by locks of the whole process, where the system has such (fcntl): not for a process that
 * has the file open by epio. */
bool handle_lock_range_of_process(intptr_t handle, uint64_t start, uint64_t len, handle_lock mode);
/* Releases all locks of handle_lock_range of this handle. */
void handle_unlock_all(intptr_t handle);

/* The strongest lock of other processes on the range (HANDLE_UNLOCK: none). Windows has no query:
 * it is locked for a moment. */
handle_lock handle_range_is_locked(intptr_t handle, uint64_t start, uint64_t len);

/* ---- Memory of several processes ------------------------------------------ */

/* Zeros at first; shared by all that map this file, which is its storage. */
void *shared_memory_map(const char *path, size_t len);
void shared_memory_unmap(void *memory, size_t len);

/* ---- Pipes --------------------------------------------------------------- */

/* What is written to ends[1] is read from ends[0]; no child inherits them. */
void pipe_make(intptr_t ends[2]);
/* The same for a standard stream of another process; not for epio. */
void pipe_make_plain(intptr_t ends[2]);
/* Both ends read and write. */
void pipe_make_duplex(intptr_t ends[2]);
/* One blocking read or write: the bytes; 0: the other end is closed; -1: failed. */
int64_t pipe_read(intptr_t handle, void *data, size_t len);
int64_t pipe_write(intptr_t handle, const void *data, size_t len);
/* Reads without blocking; 0: nothing to read. */
int64_t pipe_read_some(intptr_t handle, void *data, size_t len);

/* ---- Other processes ----------------------------------------------------- */

/* The status of a process that did not exit. */
#define ENDED_BY_ABORT (256 + 6)
#define ENDED_BY_KILL (256 + 9)

typedef struct test_process {
    intptr_t system;
} test_process;

/* Before the first process_start: argv[0] of main. */
void process_set_program(const char *program);

/* Starts this program with these arguments, which are ASCII; its standard input, output and error
 * are these handles, or (NO_HANDLE) those of this process. */
void process_start(test_process *one, const char *const words[], size_t count,
                   const intptr_t streams[3]);
/* Waits for its end: its exit status, ENDED_BY_..., or 256 plus another status. */
int process_wait(test_process *one);
/* Like SIGKILL. process_wait must follow. */
void process_kill(test_process *one);

/* The first call in a process that was started so. */
void process_begin(void);
/* Its standard input and output, for pipe_read and pipe_write. */
intptr_t process_input(void);
intptr_t process_output(void);

#endif
