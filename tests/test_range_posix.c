/* Ranges and forked processes, which Windows does not have. The rest is in test_range_processes.c.
 * EPIO_TEST_ONCE; both kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS. */
#include "fork.h"
#include "op_fixture.h"

#include <signal.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define EXCLUSIVE EPIO_RANGE_EXCLUSIVE
#define SHARED EPIO_RANGE_SHARED

static int64_t lock(epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    epio_op op = {0};
    return epio_perform(epio_lock_range(&op, file, start, len, mode, 0));
}

static int64_t unlock(epio_file *file, uint64_t start, uint64_t len)
{
    epio_op op = {0};
    return epio_perform(epio_unlock_range(&op, file, start, len));
}

static epio_file *open_by_name(const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    return op.file;
}

static void close_it(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_perform(epio_close(&op, file)), 0);
}

typedef struct inherited {
    const char *path;
    epio_file *file;
} inherited;

/* With a file of its own, and with the inherited one. */
static void use_ranges(void *argument)
{
    const inherited *from = argument;
    epio_op op = {0};
    epio_file *own = open_by_name(from->path);
    epio_file *files[] = {own, from->file};
    for (size_t i = 0; i < 2; i++) {
        check_result(lock(files[i], 0, 10, SHARED), EPIO_EBUSY);
        check_result(epio_perform(epio_test_range(&op, files[i], 0, 10, SHARED)), 1);
        check_result(lock(files[i], 10, 10, EXCLUSIVE), EPIO_EBUSY);
        check_result(lock(files[i], 10, 10, SHARED), 0);
        op.timeout_ns = MILLISECOND;
        check_result(epio_perform(epio_lock_range(&op, files[i], 0, 5, EXCLUSIVE, EPIO_LOCK_WAIT)),
                     EPIO_ETIMEDOUT);
        check_result(unlock(files[i], 0, 0), 0);
    }
    check_result(lock(own, 20, 10, EXCLUSIVE), 0);
    check_result(lock(from->file, 20, 10, SHARED), EPIO_EBUSY); /* they are two files here, too */
    close_it(own);
    close_it(from->file);
}

static void a_forked_child_holds_no_ranges(fixture *f)
{
    if (fixture_is_emulated()) {
        fixture_skip(f, "valgrind takes what stays the parent's for the child's leaks");
    }
    epio_file *file = fixture_create(f, "locked");
    inherited one = {.path = fixture_path(f, "locked"), .file = file};
    intptr_t foreign = handle_open(one.path, READ_WRITE);
    check_result(lock(file, 0, 10, EXCLUSIVE), 0);
    check_result(lock(file, 10, 10, SHARED), 0);
    check_result(run_in_fork(use_ranges, &one), 0);
    /* It has released nothing. */
    check(!handle_lock_range(foreign, 0, 10, HANDLE_LOCK_SHARED));
    check(!handle_lock_range(foreign, 10, 10, HANDLE_LOCK_EXCLUSIVE));
    check(handle_lock_range(foreign, 20, 10, HANDLE_LOCK_EXCLUSIVE));
    check(handle_close(foreign));
    fixture_close(f, file);
}

static void pause_until_killed(void *argument)
{
    (void)argument;
    (void)pause();
}

/* A child keeps the description open, but no released range. */
static void a_close_releases_what_a_child_has_open(fixture *f)
{
    epio_file *file = fixture_create(f, "locked");
    intptr_t foreign = handle_open(fixture_path(f, "locked"), READ_WRITE);
    check_result(lock(file, 0, 10, EXCLUSIVE), 0);
    check_result(lock(file, 30, 0, SHARED), 0);
    pid_t process = start_fork(pause_until_killed, NULL);
    check_result(unlock(file, 0, 10), 0);
    check(handle_lock_range(foreign, 0, 30, HANDLE_LOCK_EXCLUSIVE));
    fixture_close(f, file);
    check(handle_lock_range(foreign, 30, 0, HANDLE_LOCK_EXCLUSIVE));
    check(kill(process, SIGKILL) == 0);
    check_result(end_of_fork(process), 256 + SIGKILL);
    check(handle_close(foreign));
}

/* As far as the system can say it: to the end, not to a number. */
static void a_range_to_the_end_has_none(fixture *f)
{
    epio_file *file = fixture_create(f, "locked");
    check_result(lock(file, 100, 0, EXCLUSIVE), 0);
    intptr_t foreign = handle_open(fixture_path(f, "locked"), READ_WRITE);
    check(!handle_lock_range(foreign, (uint64_t)INT64_MAX, 1, HANDLE_LOCK_SHARED));
    check(handle_close(foreign));
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_forked_child_holds_no_ranges, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_close_releases_what_a_child_has_open, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_range_to_the_end_has_none, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("ranges, POSIX", tests);
}
