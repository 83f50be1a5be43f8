/* Thousands of files made, changed, renamed and removed in a watched tree by several threads: a
 * copy that follows the events is the same in the end. In the memory VFS, whose events are whole;
 * the watches of the system have tests of their own, with processes. EPIO_TEST_EFFORT=20 is 100,000
 * files. Also without loops: EPIO_TEST_WITHOUT_LOOP; it does not depend on the backend:
 * EPIO_TEST_ONCE. */
#include "churn.h"
#include "replay.h"
#include "tree.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define THREADS 4

typedef struct reader {
    event_log log;
    epio_file *watch;
    epio_vfs *vfs;
    const char *directory;
} reader;

static void *read_all(void *argument)
{
    reader *one = argument;
    event_log_read(&one->log, one->watch, one->vfs, one->directory, "last");
    return NULL;
}

static void a_copy_follows_the_events(fixture *f)
{
    const uint32_t all = CHURN_LINKS | CHURN_EXCHANGES | CHURN_SYMLINKS;
    test_thread threads[THREADS], reading;
    churn changes[THREADS];
    epio_op op = {0};
    epio_vfs *vfs = f->vfs;
    check_result(tree_mkdir(f, "w", 0), 0);
    const char *directory = fixture_path(f, "w");
    const churn before = {vfs, directory, 99, 300, all};
    churn_run(&before);
    check_result(fixture_result(f, epio_watch(&op, vfs, directory, EPIO_WATCH_RECURSIVE)), 0);
    replay *copy = replay_begin(vfs, directory);
    reader one = {.watch = op.file, .vfs = vfs, .directory = directory};
    thread_start(&reading, read_all, &one);
    for (unsigned i = 0; i < THREADS; i++) {
        changes[i] = (churn){vfs, directory, i + 1, fixture_rounds(5000) / THREADS, all};
        thread_start(&threads[i], churn_thread, &changes[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
    }
    check_result(tree_open(f, "w/last", READ_WRITE | EPIO_OPEN_CREATE), 0);
    (void)thread_join(reading);
    replay_apply(copy, one.log.events, one.log.len);
    check(replay_count(copy) > 3 * (size_t)fixture_rounds(5000));
    check_result(replay_missed(copy), 0);
    check_result(replay_differences(copy), 0);
    if (replay_overflowed(copy)) {
        print_message("an overflow was reported, after %u events\n", (unsigned)replay_count(copy));
    }
    replay_free(copy);
    event_log_free(&one.log);
    fixture_close(f, one.watch);
}

int main(void)
{
    const fixture_test tests[] = {
        FIXTURE_TEST(a_copy_follows_the_events,
                     ON_MEMORY_PERFORM | ON_TRACE_MEMORY | ON_LIMIT_MEMORY_3),
    };
    return FIXTURE_RUN("watch_replay", tests);
}
