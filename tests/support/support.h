/* What the tests share: a fixture that runs one test in several settings (VFS and runner), in a
 * directory of its own, and checks that report what went wrong. Without the asynchronous half of
 * the library the settings that need a loop are left out. */
#ifndef EPIO_TEST_SUPPORT_H
#define EPIO_TEST_SUPPORT_H

/* Tests use more of the system than C11 names. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <epio/epio.h>

#include "system.h"

/* ---- Settings ---------------------------------------------------------- */

/* Where a test runs: which VFS, and how its ops are carried out. */
#define ON_OS_PERFORM 0x0001u       /* epio_os_vfs, epio_perform */
#define ON_MEMORY_PERFORM 0x0002u   /* the memory VFS without a loop, epio_perform */
#define ON_OS 0x0004u               /* the VFS of a loop, epio_wait */
#define ON_OS_SUBMIT 0x0008u        /* the same, epio_submit and a `done` */
#define ON_OS_LOOP_PERFORM 0x0010u  /* the same, epio_perform */
#define ON_MEMORY 0x0020u           /* the memory VFS on a loop, epio_wait */
#define ON_LIMIT_OS 0x0040u         /* `limit` with one permit over the loop's VFS */
#define ON_LIMIT_OS_3 0x0080u       /* the same with three */
#define ON_LIMIT_MEMORY 0x0100u     /* `limit` with one permit over the memory VFS */
#define ON_LIMIT_MEMORY_3 0x0200u   /* the same with three */
#define ON_LIMIT_OS_PERFORM 0x0400u /* `limit` over the loop's VFS, epio_perform */
#define ON_TRACE_OS 0x0800u         /* `trace` over the loop's VFS */
#define ON_TRACE_MEMORY 0x1000u     /* `trace` over the memory VFS */
#define ON_TRACE_OS_PERFORM 0x2000u /* `trace` over epio_os_vfs, epio_perform */

/* The system's files in one setting, on a loop if there are loops: for tests that take long. */
#define ON_OS_ONCE (EPIO_ASYNC ? ON_OS : ON_OS_PERFORM)
/* The same for what workers alone carry out, whatever the backend: it is not repeated. */
#define ON_ONE_BACKEND 0x4000u
#define ON_WORKER_ONCE (ON_OS_ONCE | ON_ONE_BACKEND)

/* Every setting whose files are the system's; every one that there is. */
#define ON_ANY_OS                                                                                  \
    (ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_OS_LOOP_PERFORM | ON_LIMIT_OS | ON_LIMIT_OS_3 |     \
     ON_LIMIT_OS_PERFORM | ON_TRACE_OS | ON_TRACE_OS_PERFORM)
#define ON_ANY_MEMORY                                                                              \
    (ON_MEMORY_PERFORM | ON_MEMORY | ON_LIMIT_MEMORY | ON_LIMIT_MEMORY_3 | ON_TRACE_MEMORY)
#define ON_ANY (ON_ANY_OS | ON_ANY_MEMORY)
#define ON_ANY_PERFORM                                                                             \
    (ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_OS_LOOP_PERFORM | ON_LIMIT_OS_PERFORM |                \
     ON_TRACE_OS_PERFORM)
#define ON_ANY_LOOP (ON_ANY & ~ON_ANY_PERFORM)

typedef struct fixture {
    const char *setting;   /* its name */
    uint32_t on;           /* the one ON_... bit */
    bool memory;           /* files are the memory VFS's */
    bool performs;         /* ops run by epio_perform */
    epio_vfs *vfs;         /* what the test uses */
    const char *directory; /* made for this test, in the memory VFS, too */
#if EPIO_ASYNC
    epio_loop *loop;           /* NULL in a setting without one */
    epio_semaphore *semaphore; /* of the limit; else NULL */
    uint32_t permits;
#endif

    /* The fixture's own. */
    epio_vfs *memory_vfs;
    epio_vfs *layer;          /* `limit` or `trace`; else NULL */
    char real_directory[512]; /* `directory`, with the drive letter on Windows */
    char names[65536];        /* the paths that fixture_path returned */
    size_t names_used;
    int descriptors;
    bool over; /* the test ended, or was skipped */
} fixture;

typedef struct fixture_test {
    const char *name;
    void (*run)(fixture *f);
    uint32_t on; /* ON_... bits: one run for each */
} fixture_test;

#define FIXTURE_TEST(function, settings)                                                           \
    {                                                                                              \
#function, function, settings                                                              \
    }

/* A test of what Windows does not have, with the reason; it is left out there. Tests that do not
 * compile there are in test_*_posix.c. */
#define FIXTURE_TEST_POSIX(function, settings, reason)                                             \
    {                                                                                              \
#function, function, SYSTEM_IS_POSIX ? (settings) : 0u                                     \
    }

/* Runs each test in each of its settings; the exit status of main. EPIO_TEST_FILTER, a pattern such
 * as "reads*", selects by name; with EPIO_TEST_LIST set the names are only printed; with
 * EPIO_TEST_OTHER_BACKEND set a test that has settings on the system's files with a loop runs in
 * those alone, with EPIO_TEST_OTHER_FILE_SYSTEM in all but those on the memory VFS. */
int fixture_run(const char *group, const fixture_test *tests, size_t count);

#define FIXTURE_RUN(group, tests) fixture_run(group, tests, sizeof(tests) / sizeof((tests)[0]))

/* Ends the test as skipped. It must have closed its files and have nothing in flight. */
_Noreturn void fixture_skip(fixture *f, const char *reason);

/* True under a sanitizer, valgrind or the guarded heap, which have a heap and locks of their own
 * and print much when a process aborts. */
bool fixture_is_watched(void);
/* True under valgrind, which allocates descriptors and checks for leaks in its own way. */
bool fixture_is_emulated(void);
/* True there, and where a system call takes many times as long as elsewhere. */
bool fixture_is_slow(void);
/* Iterations of a test whose failures are rare: `rounds`, or a tenth of that, but at least ten, on
 * a slow system; times N with EPIO_TEST_EFFORT=N. */
unsigned fixture_rounds(unsigned rounds);

/* ---- Ops and files ----------------------------------------------------- */

/* Carries the op out as the setting says, and returns its result. */
int64_t fixture_result(fixture *f, epio_op *op);

/* The path of a name in the test's directory; valid until the test ends. */
const char *fixture_path(fixture *f, const char *name);

/* Opens by name in the test's directory; the test fails if it cannot. */
epio_file *fixture_open(fixture *f, const char *name, uint32_t flags);
/* The same with EPIO_OPEN_DIRECT; skips the test where the file system has no direct I/O. */
epio_file *fixture_open_direct(fixture *f, const char *name, uint32_t flags);

/* Adopts a descriptor or handle; the test fails if that does. */
epio_file *fixture_adopt(fixture *f, intptr_t handle, uint32_t flags);

/* A new empty file, open for both directions. */
epio_file *fixture_create(fixture *f, const char *name);

void fixture_close(fixture *f, epio_file *file);

/* Reads or writes all of it, or the test fails. */
void fixture_write(fixture *f, epio_file *file, const void *data, size_t len, uint64_t offset);
void fixture_read(fixture *f, epio_file *file, void *data, size_t len, uint64_t offset);
epio_mapping *fixture_map(fixture *f, epio_file *file, uint64_t offset, uint64_t len,
                          uint32_t access);
void fixture_unmap(fixture *f, epio_mapping *mapping);
unsigned char *mapped_bytes(const epio_mapping *mapping);

/* Makes a file with this content, and none open. */
void fixture_put(fixture *f, const char *name, const void *data, size_t len);

/* Makes a directory in the test's. */
void fixture_make_directory(fixture *f, const char *name);

/* A memory VFS that has this directory; `loop` may be NULL. 0 or an error. */
int memory_vfs_make(epio_vfs **vfs, epio_loop *loop, const char *directory);

/* 1 if the name in the test's directory exists, else 0. */
int64_t fixture_exists(fixture *f, const char *name);

/* Checks that the VFS still works after failures or waits: writes, syncs and reads a file, deletes
 * it, and lets a timer expire. */
void fixture_works(fixture *f);

#if EPIO_ASYNC
/* Polls until nothing more happens at once: for checks that something does not happen. What must
 * happen is waited for, as a machine may be slow. */
void fixture_settle(fixture *f);
#endif

#if EPIO_ASYNC

/* ---- Deliveries -------------------------------------------------------- */

/* Sets the op's `done` to one that adds 1 to *count. Returns the op, for a verb. */
epio_op *count_delivery(epio_op *op, int *count);

/* An op whose `done` counts its calls and checks the op's fields. */
typedef struct tracked {
    epio_op op; /* its `user` is this */
    int calls;
    int64_t result;                    /* in `done` */
    void (*then)(struct tracked *one); /* called by `done`; NULL: not called */
    void *user;
} tracked;

/* Zeroes it and sets its `done`. Returns &one->op, for a verb. */
epio_op *track(tracked *one);

#endif

/* ---- Checking ---------------------------------------------------------- */

/* These may be used in a child process too, where CMocka's own checks would return to the parent's
 * list of tests. */
#define check(condition) check_at(condition, #condition, __FILE__, __LINE__)

void check_at(bool holds, const char *what, const char *source, int line);

/* For threads other than the test's, where a check cannot leave the test: aborts. */
#define require(condition) require_at(condition, #condition, __FILE__, __LINE__)

void require_at(bool holds, const char *what, const char *source, int line);

/* Compares results, and names errors when they differ. */
void check_result_at(int64_t actual, int64_t expected, const char *what, const char *source,
                     int line);

#define check_result(actual, expected)                                                             \
    check_result_at((int64_t)(actual), (int64_t)(expected), #actual, __FILE__, __LINE__)

/* Carries the op out and compares its result. */
#define check_op(f, op, expected)                                                                  \
    check_result_at(fixture_result(f, op), (int64_t)(expected), #op, __FILE__, __LINE__)

/* The same for a failure, and compares os_error. */
#define check_op_fails(f, op, expected, os)                                                        \
    check_failure_at(f, op, (int64_t)(expected), os, #op, __FILE__, __LINE__)

void check_failure_at(fixture *f, epio_op *op, int64_t expected, int32_t os_error, const char *what,
                      const char *source, int line);

/* Compares os_error with a value that may be an OS_ERROR. */
#define check_os_error(op, os) check_os_error_at(op, os, #op, __FILE__, __LINE__)

void check_os_error_at(const epio_op *op, int32_t os_error, const char *what, const char *source,
                       int line);

/* The whole content of a file, by name in the test's directory. */
#define check_content(f, name, data, len) check_content_at(f, name, data, len, __FILE__, __LINE__)

void check_content_at(fixture *f, const char *name, const void *data, size_t len,
                      const char *source, int line);

/* Checks that every byte has this value. */
#define check_bytes(data, byte, len) check_bytes_at(data, byte, len, __FILE__, __LINE__)

void check_bytes_at(const void *data, unsigned char byte, size_t len, const char *source, int line);

/* ---- Helpers ----------------------------------------------------------- */

/* A pseudo-random sequence, given by its seed. */
typedef struct random_source {
    uint64_t state;
} random_source;

uint64_t random_next(random_source *random);
/* At least `low`, below `high`. */
uint64_t random_between(random_source *random, uint64_t low, uint64_t high);
void random_fill(random_source *random, void *data, size_t len);

/* Bytes that depend on their offset in the file. */
void pattern_fill(void *data, size_t len, uint64_t offset);

/* For a child process: a failed check exits with status 255, and a hang aborts. CHILDREN_ARE has
 * called it. */
void checks_end_the_process(void);

/* ---- Other processes --------------------------------------------------- */

/* Functions that run in a child process, which is this program started anew: it gets data by its
 * argument, the environment, files and pipes. A failed check there exits with status 255. */
typedef void child_run(const char *argument);

typedef struct child_function {
    const char *name;
    child_run *run;
} child_function;

#define CHILD(function)                                                                            \
    {                                                                                              \
#function, function                                                                        \
    }

/* Registers these functions; the first call of a main that has any. In a child it does not
 * return. */
void children_are(const child_function *functions, size_t count, int argc, char **argv);

#define CHILDREN_ARE(functions, argc, argv)                                                        \
    children_are(functions, sizeof(functions) / sizeof((functions)[0]), argc, argv)

typedef struct child {
    test_process process;
    intptr_t to;     /* its standard input */
    intptr_t from;   /* its standard output */
    intptr_t errors; /* its standard error */
} child;

/* The streams that are pipes to the parent; the others are the parent's own. */
#define CHILD_PIPES 0x1u  /* `to` and `from`, for pipe_write and pipe_read */
#define CHILD_STDERR 0x2u /* `errors`, for pipe_read */

/* Does not wait for it. */
void child_start(child *one, child_run *run, const char *argument, uint32_t streams);
/* Closes its standard input, and waits for it: see process_wait. */
int child_end(child *one);
/* Kills it, then the same. */
void child_kill(child *one);
/* Starts it and waits for it: its exit status, as above. */
int run_in_child(child_run *run, const char *argument);

#endif
