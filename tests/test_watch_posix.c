/* Watches in a process that forks, which Windows cannot; and of a directory in which some may not
 * be listed, as permissions are POSIX's. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"
#include "replay.h"
#include "tree.h"

#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static epio_file *watch_directory(fixture *f, uint32_t flags)
{
    epio_op op = {0};
    check(fixture_result(f, epio_watch(&op, f->vfs, f->directory, flags)) >= 0);
    return op.file;
}

/* ---- Forks ----------------------------------------------------------------- */

typedef struct forked {
    fixture *f;
    epio_file *watch;
} forked;

static void use_in_child(void *argument)
{
    forked *one = argument;
    uint64_t buffer[64];
    epio_op op = {0};
    int descriptors = count_descriptors();
    check_result(epio_perform(epio_read_events(&op, one->watch, buffer, sizeof buffer)), EPIO_EIO);
    if (one->f->memory) { /* its changes are the child's own, and not the watch's */
        check_result(tree_open(one->f, "child", READ_WRITE | EPIO_OPEN_CREATE), 0);
    }
    check_result(epio_perform(epio_close(&op, one->watch)), 0);
    check(count_descriptors() <= descriptors);
    if (one->f->memory) {
        check_result(tree_open(one->f, "more", READ_WRITE | EPIO_OPEN_CREATE), 0);
        epio_file *watch = watch_directory(one->f, 0);
        check_result(tree_open(one->f, "most", READ_WRITE | EPIO_OPEN_CREATE), 0);
        int64_t len = epio_perform(epio_read_events(&op, watch, buffer, sizeof buffer));
        check(len > 0 && events_have_made(buffer, (size_t)len, "most"));
        check_result(epio_perform(epio_close(&op, watch)), 0);
    }
}

static void *wait_in_thread(void *argument)
{
    static uint64_t buffer[64];
    epio_op op = {0};
    int64_t len = epio_perform(epio_read_events(&op, argument, buffer, sizeof buffer));
    return events_have_made(buffer, len > 0 ? (size_t)len : 0, "last") ? argument : NULL;
}

static void a_watch_is_its_own_processs(fixture *f, uint32_t flags)
{
    test_thread thread;
    forked one = {f, watch_directory(f, flags)};
    thread_start(&thread, wait_in_thread, one.watch);
    check_result(run_in_fork(use_in_child, &one), 0);
    check_result(tree_open(f, "last", READ_WRITE | EPIO_OPEN_CREATE), 0);
    check(thread_join(thread) == one.watch);
    fixture_close(f, one.watch);
}

static void a_child_has_no_watch_of_its_parent(fixture *f)
{
    a_watch_is_its_own_processs(f, 0);
}

static void nor_one_that_compares(fixture *f)
{
    a_watch_is_its_own_processs(f, EPIO_WATCH_COMPARE);
}

/* ThreadSanitizer does not support threads in a child of a parent with threads. */
#if !defined(__SANITIZE_THREAD__)

static void compare_in_child(void *argument)
{
    fixture *f = argument;
    uint64_t buffer[64];
    epio_op op = {0};
    epio_file *watch = watch_directory(f, EPIO_WATCH_COMPARE);
    check_result(tree_open(f, "child", READ_WRITE | EPIO_OPEN_CREATE), 0);
    int64_t len = epio_perform(epio_read_events(&op, watch, buffer, sizeof buffer));
    check(len > 0 && events_have_made(buffer, (size_t)len, "child"));
    check_result(epio_perform(epio_close(&op, watch)), 0);
}

static void a_child_compares_for_itself(fixture *f)
{
    epio_file *watch = watch_directory(f, EPIO_WATCH_COMPARE);
    check_result(run_in_fork(compare_in_child, f), 0);
    fixture_close(f, watch);
}

#endif

/* ---- Permissions ----------------------------------------------------------- */

static void read_until(fixture *f, event_log *log, epio_file *watch, const char *last)
{
    check_result(tree_open(f, last, READ_WRITE | EPIO_OPEN_CREATE), 0);
    event_log_read(log, watch, f->vfs, f->directory, last);
}

/* What cannot be listed any more is not taken for removed. */
static void what_may_not_be_listed_stays(fixture *f)
{
    event_log log = {0};
    if (geteuid() == 0) {
        fixture_skip(f, "root may list everything");
    }
    tree_make_all(f, "d/e");
    check_result(tree_open(f, "d/e/a", READ_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *watch = watch_directory(f, EPIO_WATCH_COMPARE | EPIO_WATCH_RECURSIVE);
    check_result(tree_set_mode(f, "d/e", 0), 0);
    read_until(f, &log, watch, "one");
    read_until(f, &log, watch, "two");
    check_result(tree_set_mode(f, "d/e", 0700), 0);
    read_until(f, &log, watch, "three");
    read_until(f, &log, watch, "four");
    const epio_event *event = NULL;
    while ((event = epio_event_next(log.events, log.len, event)) != NULL) {
        check(event->kind == EPIO_EVENT_ATTRIBUTES || strchr(epio_event_name(event), '/') == NULL);
        check(event->kind != EPIO_EVENT_REMOVED);
    }
    event_log_free(&log);
    fixture_close(f, watch);
}

static void what_may_not_be_read_is_not_watched(fixture *f)
{
    epio_op op = {0};
    if (geteuid() == 0) {
        fixture_skip(f, "root may list everything");
    }
    check_result(tree_mkdir(f, "secret", 0), 0);
    check_result(tree_set_mode(f, "secret", 0300), 0);
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "secret"), 0), EPIO_EACCES);
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "secret"), EPIO_WATCH_COMPARE),
             EPIO_EACCES);
    check(op.file == NULL);
}

int main(void)
{
    const fixture_test tests[] = {
        FIXTURE_TEST(a_child_has_no_watch_of_its_parent, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(nor_one_that_compares, ON_OS_PERFORM),
#if !defined(__SANITIZE_THREAD__)
        FIXTURE_TEST(a_child_compares_for_itself, ON_OS_PERFORM),
#endif
        FIXTURE_TEST(what_may_not_be_listed_stays, ON_OS_PERFORM),
        FIXTURE_TEST(what_may_not_be_read_is_not_watched, ON_OS_ONCE | ON_OS_PERFORM),
    };
    return FIXTURE_RUN("watch_posix", tests);
}
