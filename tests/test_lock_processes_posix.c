/* Locks and a forked process, which goes on with what its parent had; and the kinds
 * of byte-range locks, of which only POSIX has several. The rest is in
 * test_lock_processes.c. What does not depend on the back end: EPIO_TEST_ONCE; both
 * kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS. */
#include "fork.h"
#include "life.h"
#include "partner.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

#define WAIT EPIO_LOCK_WAIT

static const char *make_file(fixture *f)
{
    const char *path = fixture_path(f, "locked");
    partner_make_file(path);
    return path;
}

static void open_and_lock(void *argument)
{
    fixture *f = argument;
    epio_op op = {0};
    const char *path = fixture_path(f, "locked");
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
    op.timeout_ns = 10 * MILLISECOND;
    check_result(epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, WAIT)), EPIO_ETIMEDOUT);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

/* It has none of the locks of its parent, and yet they are in its way. */
static void a_forked_child_is_another_process(fixture *f)
{
    (void)make_file(f);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(lock_go_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    check_result(run_in_fork(open_and_lock, f), 0);
    check_result(locks_on(fixture_path(f, "locked")), locks_of_level[EPIO_LOCK_EXCLUSIVE]);
    fixture_close(f, file);
}

static void open_lock_and_close(void *argument)
{
    epio_op op = {0};
    check_result(
        epio_perform(epio_open(&op, epio_os_vfs(), argument, READ_WRITE | EPIO_OPEN_CREATE)), 0);
    epio_file *file = op.file;
    check_result(lock_go_to(file, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

typedef struct busy_parent {
    const char *path;
    atomic_bool stop;
} busy_parent;

static void *keep_locking(void *argument)
{
    busy_parent *parent = argument;
    while (!atomic_load(&parent->stop)) {
        open_lock_and_close((void *)(uintptr_t)parent->path);
    }
    return NULL;
}

/* Whatever the parent's other threads did when it was forked. */
static void a_child_of_a_busy_parent_can_lock(fixture *f)
{
    busy_parent parent = {.path = fixture_path(f, "locked")};
    char *childs = (char *)(uintptr_t)fixture_path(f, "child's");
    pthread_t threads[2];
    if (fixture_is_watched()) {
        fixture_skip(f, "the sanitizers have locks of their own");
    }
    for (size_t i = 0; i < 2; i++) {
        check(pthread_create(&threads[i], NULL, keep_locking, &parent) == 0);
    }
    for (int i = 0; i < 200; i++) {
        check_result(run_in_fork(open_lock_and_close, childs), 0);
    }
    atomic_store(&parent.stop, true);
    for (size_t i = 0; i < 2; i++) {
        check(pthread_join(threads[i], NULL) == 0);
    }
}

static void pause_for_ever(void *argument)
{
    (void)argument;
    (void)pause();
}

/* A child keeps a description open, but no lock that was released. */
static void a_close_releases_what_a_child_has_open(fixture *f)
{
    const char *path = make_file(f);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(lock_go_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    pid_t process = start_fork(pause_for_ever, NULL);
    fixture_close(f, file);
    check_result(locks_on(path), 0);
    check(kill(process, SIGKILL) == 0);
    check_result(end_of_fork(process), 256 + SIGKILL);
}

static void lock_with_a_misnamed_kind(void *argument)
{
    fixture *f = argument;
    epio_op op = {0};
    const char *path = fixture_path(f, "locked");
    check(setenv("EPIO_RANGE_LOCKS", "ofd-locks", 1) == 0);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_EINVAL);
    check(strstr(epio_invalid_reason(&op), "EPIO_RANGE_LOCKS") != NULL);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

/* Before anything was locked in this process: it is decided once. */
static void a_kind_of_lock_that_is_unknown_is_refused(fixture *f)
{
    (void)make_file(f);
    check_result(run_in_fork(lock_with_a_misnamed_kind, f), 0);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {PARTNER_CHILDREN};
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_kind_of_lock_that_is_unknown_is_refused, ON_OS_PERFORM),
        FIXTURE_TEST(a_forked_child_is_another_process, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_child_of_a_busy_parent_can_lock, ON_OS_PERFORM),
        FIXTURE_TEST(a_close_releases_what_a_child_has_open, ON_OS_PERFORM | ON_OS),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("locks between processes, POSIX", tests);
}
