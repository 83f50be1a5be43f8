/* The descriptors that the library opens, in a program without standard streams: none is below 3,
 * and none is inherited. In child processes, whose streams are closed; only POSIX has such
 * numbers. */
#include "fork.h"

#include <epio/vfs.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define STREAMS 3
#define HIGHEST 256
#define PATIENCE_NS UINT64_C(10000000000)

/* ---- Open descriptors -------------------------------------------------------- */

static bool was_open[HIGHEST];

static bool is_open(int number)
{
    return fcntl(number, F_GETFD) >= 0;
}

static void close_streams(void)
{
    for (int i = 0; i < STREAMS; i++) {
        (void)close(i);
    }
    for (int i = 0; i < HIGHEST; i++) {
        was_open[i] = is_open(i);
    }
}

/* glibc counts the processors when a thread first allocates: it reads a file of /sys, whose
 * descriptor has the lowest free number for a moment. */
static bool stays_open(int number)
{
    uint64_t deadline = epio_clock_monotonic() + PATIENCE_NS;
    while (is_open(number)) {
        if (epio_clock_monotonic() > deadline) {
            return true;
        }
        (void)sched_yield();
    }
    return false;
}

/* The others were opened here. */
static void check_numbers(void)
{
    for (int i = 0; i < STREAMS; i++) {
        check(!stays_open(i));
    }
    for (int i = STREAMS; i < HIGHEST; i++) {
        check(was_open[i] || !is_open(i) || (fcntl(i, F_GETFD) & FD_CLOEXEC) != 0);
    }
}

/* ---- Everything that opens one ------------------------------------------------- */

typedef struct paths {
    const char *directory;
    const char *file;
    const char *other;
    const char *fifo;
} paths;

static epio_file *open_one(epio_vfs *vfs, const char *path, uint32_t flags)
{
    epio_op op = {0};
    check_result(epio_wait(epio_open(&op, vfs, path, flags)), 0);
    check_numbers();
    return op.file;
}

static void close_one(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_wait(epio_close(&op, file)), 0);
    check_numbers();
}

static void transfer(epio_file *file)
{
    static _Alignas(BLOCK) unsigned char block[BLOCK];
    epio_op op = {0};
    check_result(epio_wait(epio_write(&op, file, block, BLOCK, 0)), BLOCK);
    check_result(epio_wait(epio_read(&op, file, block, BLOCK, 0)), BLOCK);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_numbers();
}

static void use_files(epio_vfs *vfs, const paths *at)
{
    epio_op op = {0};
    epio_file *files[4] = {
        open_one(vfs, at->file, READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR),
        open_one(vfs, at->file, READ_WRITE),
        open_one(vfs, at->file, READ_WRITE | EPIO_OPEN_DIRECT),
        open_one(vfs, at->directory, EPIO_OPEN_TEMPORARY),
    };
    for (size_t i = 0; i < 4; i++) {
        transfer(files[i]);
        check_result(epio_wait(epio_lock(&op, files[i], EPIO_LOCK_SHARED, 0)), 0);
        check_numbers();
    }
    for (size_t i = 0; i < 4; i++) {
        close_one(files[i]);
    }
    check_result(epio_wait(epio_rename(&op, vfs, at->file, at->other, EPIO_RENAME_SYNC_DIR)), 0);
    check_numbers();
    check_result(epio_wait(epio_delete(&op, vfs, at->other, EPIO_DELETE_SYNC_DIR)), 0);
    check_numbers();
}

/* Adopted files get a description of their own for locks, and blocking streams one for
 * transfers. */
static void use_adopted_ones(epio_vfs *vfs, const paths *at)
{
    epio_op op = {0};
    int ends[2];
    char byte = 'x';
    intptr_t plain = handle_open(at->other, READ_WRITE | EPIO_OPEN_CREATE);
    int high = fcntl((int)plain, F_DUPFD_CLOEXEC, 100);
    check(high >= 0 && close((int)plain) == 0);
    check_result(epio_wait(epio_adopt(&op, vfs, high, 0)), 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0)), EPIO_EINVAL);
    check_result(epio_wait(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_wait(epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    close_one(file);
    check_result(epio_wait(epio_delete(&op, vfs, at->other, 0)), 0);

    check(pipe(ends) == 0);
    epio_file *both[2];
    int moved[2] = {fcntl(ends[0], F_DUPFD_CLOEXEC, 100), fcntl(ends[1], F_DUPFD_CLOEXEC, 100)};
    check(close(ends[0]) == 0 && close(ends[1]) == 0);
    for (int i = 0; i < 2; i++) {
        check_result(epio_wait(epio_adopt(&op, vfs, moved[i], 0)), 0);
        check_numbers();
        both[i] = op.file;
    }
    check_result(epio_wait(epio_write(&op, both[1], &byte, 1, 0)), 1);
    check_result(epio_wait(epio_read(&op, both[0], &byte, 1, 0)), 1);
    close_one(both[0]);
    close_one(both[1]);

    check(mkfifo(at->fifo, 0600) == 0);
    file = open_one(vfs, at->fifo, READ_WRITE);
    check_result(epio_wait(epio_write(&op, file, &byte, 1, 0)), 1);
    check_result(epio_wait(epio_read(&op, file, &byte, 1, 0)), 1);
    close_one(file);
    check(unlink(at->fifo) == 0);
}

static void ready(void *user)
{
    (void)user;
}

static void use_everything(void *argument)
{
    const paths *at = argument;
    epio_loop *loops[2] = {NULL, NULL};
    epio_op op = {0};
    close_streams();
    for (size_t i = 0; i < 2; i++) {
        check_result(epio_loop_create(&loops[i], NULL), 0);
        check_numbers();
    }
    for (size_t i = 0; i < 2; i++) {
        use_files(epio_loop_vfs(loops[i]), at);
        use_adopted_ones(epio_loop_vfs(loops[i]), at);
        if (i == 0) {
            check(epio_loop_handle(loops[i]) >= STREAMS);
        } else {
            check_result(epio_loop_on_ready(loops[i], ready, NULL), 0);
        }
        check_numbers();
        use_files(epio_loop_vfs(loops[i]), at);
        check_result(epio_wait(epio_sleep(&op, epio_loop_vfs(loops[i]), 1000)), 1000);
        epio_loop_detach(loops[i]);
        (void)epio_loop_poll(loops[i], 0, 0); /* another ring */
        check_numbers();
        use_files(epio_loop_vfs(loops[i]), at);
    }
    for (size_t i = 0; i < 2; i++) {
        epio_loop_destroy(loops[i]);
        check_numbers();
    }
}

static void no_descriptor_is_a_standard_stream(fixture *f)
{
    paths at = {f->directory, fixture_path(f, "file"), fixture_path(f, "other"),
                fixture_path(f, "fifo")};
    check_result(run_in_fork(use_everything, &at), 0);
}

/* ---- Not even for a moment ------------------------------------------------------- */

#define MESSAGES_TO STDERR_FILENO
#define OPENS 1000

static uint32_t stop_printing;

static void *print_errors(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&stop_printing, __ATOMIC_RELAXED)) {
        (void)!write(MESSAGES_TO, "error!", 6);
    }
    return NULL;
}

static void open_and_close(const char *path)
{
    epio_vfs *vfs = epio_os_vfs();
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, vfs, path, READ_WRITE)), 0);
    epio_file *file = op.file;
    /* Opened again for its locks. */
    int adopted = fcntl((int)epio_file_os_handle(file), F_DUPFD_CLOEXEC, STREAMS);
    check_result(epio_perform(epio_adopt(&op, vfs, adopted, 0)), 0);
    epio_file *other = op.file;
    check_result(epio_perform(epio_lock(&op, other, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_perform(epio_close(&op, other)), 0);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void *open_often(void *path)
{
    for (int i = 0; i < OPENS; i++) {
        open_and_close(path);
    }
    return NULL;
}

/* Standard error is closed, and another thread prints many messages while two threads open
 * files. */
static void print_into_nothing(void *argument)
{
    test_thread printer;
    test_thread opener;
    (void)close(MESSAGES_TO);
    thread_start(&printer, print_errors, NULL);
    thread_start(&opener, open_often, argument);
    (void)open_often(argument);
    (void)thread_join(opener);
    __atomic_store_n(&stop_printing, 1, __ATOMIC_RELAXED);
    (void)thread_join(printer);
    check(!is_open(MESSAGES_TO));
    check(file_size(argument) == 8);
}

static void an_error_message_is_never_written_to_a_file(fixture *f)
{
    if (fixture_is_watched()) {
        fixture_skip(f, "a sanitizer has descriptors of its own");
    }
    fixture_put(f, "file", "database", 8);
    check_result(run_in_fork(print_into_nothing, (void *)(uintptr_t)fixture_path(f, "file")), 0);
    check_content(f, "file", "database", 8);
}

/* ---- The caller's own -------------------------------------------------------------- */

static void adopt_a_stream(void *argument)
{
    char found[4] = "";
    epio_op op = {0};
    close_streams();
    for (int i = 0; i < STREAMS; i++) {
        check(handle_open(argument, READ_WRITE) == i);
    }
    for (int i = 0; i < STREAMS; i++) {
        check_result(epio_perform(epio_adopt(&op, epio_os_vfs(), i, 0)), 0);
        epio_file *file = op.file;
        check(epio_file_os_handle(file) == i);
        check_result(epio_perform(epio_read(&op, file, found, 3, 0)), 3);
        check_result(epio_perform(epio_close(&op, file)), 0);
        check(!is_open(i));
        check(handle_open(argument, READ_WRITE) == i);
    }
}

static void an_adopted_stream_keeps_its_number(fixture *f)
{
    fixture_put(f, "file", "abc", 3);
    check_result(run_in_fork(adopt_a_stream, (void *)(uintptr_t)fixture_path(f, "file")), 0);
}

/* ---- No other number --------------------------------------------------------------- */

static void open_with_full_table(void *argument)
{
    const paths *at = argument;
    epio_op op = {0};
    struct rlimit limit = {STREAMS, STREAMS};
    close_streams();
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < 2; i++) {
        check_result(epio_perform(epio_open(&op, epio_os_vfs(), at->file, EPIO_OPEN_READ)),
                     EPIO_EMFILE);
        check(op.os_error == EMFILE);
        check_result(
            epio_perform(epio_open(&op, epio_os_vfs(), at->other, READ_WRITE | EPIO_OPEN_CREATE)),
            EPIO_EMFILE);
        check_result(
            epio_perform(epio_open(&op, epio_os_vfs(), at->directory, EPIO_OPEN_TEMPORARY)),
            EPIO_EMFILE);
    }
    epio_loop *loop = NULL;
    check_result(epio_loop_create(&loop, NULL), EPIO_EMFILE);
    check_numbers();
}

static void descriptors_below_three_are_not_used(fixture *f)
{
    if (fixture_is_emulated()) {
        fixture_skip(f, "valgrind opens a file first, then finds that it may not");
    }
    paths at = {f->directory, fixture_path(f, "file"), fixture_path(f, "other"), NULL};
    fixture_put(f, "file", "abc", 3);
    check_result(run_in_fork(open_with_full_table, &at), 0);
    check_result(fixture_exists(f, "other"), 0);
    assert_int_equal(count_entries(f->real_directory), 1);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(no_descriptor_is_a_standard_stream, ON_OS_PERFORM),
        FIXTURE_TEST(an_error_message_is_never_written_to_a_file, ON_OS_PERFORM),
        FIXTURE_TEST(an_adopted_stream_keeps_its_number, ON_OS_PERFORM),
        FIXTURE_TEST(descriptors_below_three_are_not_used, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("descriptors, POSIX", tests);
}
