/* The watches of Linux and what the system does beside changes: its limits, lost events, file
 * systems that come and go, directories that move; and many threads. Only Linux has this source.
 * EPIO_TEST_ONCE, as the backend has no part in it; also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"
#include "replay.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Reading --------------------------------------------------------------- */

static epio_file *watch_at(const char *directory, uint32_t flags)
{
    epio_op op = {0};
    check_result(epio_perform(epio_watch(&op, epio_os_vfs(), directory, flags)), 0);
    return op.file;
}

static void end_watch(epio_file *watch)
{
    epio_op op = {0};
    check_result(epio_perform(epio_close(&op, watch)), 0);
}

/* Reads until an event is described so; the others are added to `seen`, if that is not NULL. */
static void read_until(epio_file *watch, const char *wanted, char *seen, size_t size)
{
    uint64_t buffer[512];
    char text[512];
    size_t len = 0;
    for (;;) {
        epio_op op = {0};
        const epio_event *event = NULL;
        int64_t got = epio_perform(epio_read_events(&op, watch, buffer, sizeof buffer));
        check(got > 0);
        while ((event = epio_event_next(buffer, (size_t)got, event)) != NULL) {
            event_describe(event, text, sizeof text);
            if (strcmp(text, wanted) == 0) {
                return;
            }
            if (seen != NULL) {
                len += (size_t)snprintf(seen + len, size - len, "%s; ", text);
                check(len < size);
            }
        }
    }
}

/* For the next few calls of this thread. */
static char *path_in(const char *directory, const char *name)
{
    static _Thread_local char paths[4][1024];
    static _Thread_local size_t next;
    char path[1024]; /* `directory` may be one of `paths` */
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return memcpy(paths[next++ % 4], path, sizeof path);
}

static void make_file(const char *directory, const char *name)
{
    file_make(path_in(directory, name));
}

static void make_directory(const char *directory, const char *name)
{
    check(directory_make(path_in(directory, name)));
}

/* ---- Exchanges ------------------------------------------------------------- */

static void rename_in(const char *directory, const char *from, const char *to)
{
    char *paths[] = {path_in(directory, from), path_in(directory, to)};
    check(rename(paths[0], paths[1]) == 0);
}

/* Before the second half of the exchange is looked at, what it has moved may have another name. */
static void what_was_exchanged_moves_on(fixture *f)
{
    const unsigned rounds = fixture_rounds(300);
    event_log log = {0};
    char name[32];
    fixture_make_directory(f, "w");
    const char *w = fixture_path(f, "w");
    epio_file *watch = watch_at(w, EPIO_WATCH_RECURSIVE);
    replay *copy = replay_begin(epio_os_vfs(), w);
    for (unsigned i = 0; i < rounds; i++) {
        epio_op op = {0};
        make_file(w, "one");
        make_directory(w, "other");
        check_result(epio_perform(epio_exchange(&op, epio_os_vfs(), path_in(w, "one"),
                                                path_in(w, "other"), 0)),
                     0);
        (void)snprintf(name, sizeof name, "%u", i);
        rename_in(w, "other", name);
        check(rmdir(path_in(w, "one")) == 0);
    }
    make_file(w, "last");
    event_log_read(&log, watch, epio_os_vfs(), w, "last");
    replay_apply(copy, log.events, log.len);
    check(!replay_overflowed(copy));
    check_result(replay_missed(copy), 0);
    check_result(replay_differences(copy), 0);
    replay_free(copy);
    event_log_free(&log);
    end_watch(watch);
}

/* ---- Directories ----------------------------------------------------------- */

static void links_are_not_followed(fixture *f)
{
    char seen[512] = "";
    fixture_make_directory(f, "w");
    fixture_make_directory(f, "outside");
    link_make("../outside", fixture_path(f, "w/before"));
    epio_file *watch = watch_at(fixture_path(f, "w"), EPIO_WATCH_RECURSIVE);
    link_make("../outside", fixture_path(f, "w/after"));
    make_file(f->directory, "outside/a");
    make_file(f->directory, "w/before/b");
    make_file(f->directory, "w/after/c");
    make_file(f->directory, "w/last");
    read_until(watch, "+ last", seen, sizeof seen);
    assert_string_equal(seen, "+ after; ");
    end_watch(watch);
}

static void two_watches_of_a_directory_are_independent(fixture *f)
{
    fixture_make_directory(f, "w");
    fixture_make_directory(f, "w/d");
    for (int which = 0; which < 2; which++) {
        char seen[512] = "";
        epio_file *one = watch_at(fixture_path(f, "w"), 0);
        epio_file *all = watch_at(fixture_path(f, "w"), EPIO_WATCH_RECURSIVE);
        epio_file *other = watch_at(fixture_path(f, "w/d"), 0);
        make_file(f->directory, "w/d/a");
        make_file(f->directory, "w/b");
        read_until(one, "+ b", seen, sizeof seen);
        assert_string_equal(seen, "");
        read_until(all, "+ b", seen, sizeof seen);
        assert_string_equal(seen, "+ d/a; ");
        read_until(other, "+ a", NULL, 0);
        end_watch(which == 0 ? one : all);
        check(file_remove(fixture_path(f, "w/d/a")) && file_remove(fixture_path(f, "w/b")));
        read_until(other, "- a", NULL, 0);
        read_until(which == 0 ? all : one, "- b", NULL, 0);
        end_watch(which == 0 ? all : one);
        make_file(f->directory, "w/d/c");
        read_until(other, "+ c", NULL, 0);
        end_watch(other);
        check(file_remove(fixture_path(f, "w/d/c")));
    }
}

/* What is made in it is watched, too, wherever it is by then. */
static void check_follows(epio_file *watch, const char *place, const char *name)
{
    char made[64], below[64];
    (void)snprintf(made, sizeof made, "+ %s", name);
    (void)snprintf(below, sizeof below, "+ %s/a", name);
    make_directory(place, name);
    read_until(watch, made, NULL, 0);
    make_file(path_in(place, name), "a");
    read_until(watch, below, NULL, 0);
}

static void a_watched_directory_may_be_moved(fixture *f)
{
    tree_make_all(f, "o/w");
    fixture_make_directory(f, "other");
    epio_file *watch = watch_at(fixture_path(f, "o/w"), EPIO_WATCH_RECURSIVE);
    check_result(tree_rename(f, "o/w", "o/v", 0), 0);
    check_follows(watch, fixture_path(f, "o/v"), "d1");
    if (geteuid() == 0) { /* others do not find it, and have an OVERFLOW */
        check_result(tree_rename(f, "o", "p", 0), 0);
        check_follows(watch, fixture_path(f, "p/v"), "d2");
        check_result(tree_rename(f, "p/v", "other/w", 0), 0);
        check_follows(watch, fixture_path(f, "other/w"), "d3");
    }
    end_watch(watch);
}

/* ---- Limits ---------------------------------------------------------------- */

/* In a user namespace of its own, where it may lower the limit: false if it may not. */
static bool set_limit(unsigned count)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%u", count);
    int file = open("/proc/sys/user/max_inotify_watches", O_WRONLY | O_CLOEXEC);
    bool set = file >= 0 && write(file, text, (size_t)len) == len;
    if (file >= 0) {
        (void)close(file);
    }
    return set;
}

#define CANNOT 3 /* status of a child that may not do what it needs */

static void reach_limit(const char *directory)
{
    char name[32];
    epio_op op = {0};
    if (unshare(CLONE_NEWUSER) != 0 || !set_limit(4)) {
        exit(CANNOT);
    }
    make_directory(directory, "few");
    make_directory(directory, "few/a");
    make_directory(directory, "many");
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "many/%u", i);
        make_directory(directory, name);
    }
    check_result(epio_perform(epio_watch(&op, epio_os_vfs(), path_in(directory, "many"),
                                         EPIO_WATCH_RECURSIVE)),
                 EPIO_ENOSPC);
    check(op.os_error == ENOSPC && op.file == NULL);
    epio_file *watch = watch_at(path_in(directory, "few"), EPIO_WATCH_RECURSIVE);
    make_directory(directory, "few/b");
    make_directory(directory, "few/c");
    make_directory(directory, "few/d");
    read_until(watch, "! ", NULL, 0);
    make_file(directory, "few/d/unseen");
    /* As long as there is no room this comes again and again; then what is there is found. */
    read_until(watch, "! ", NULL, 0);
    check(set_limit(1000));
    read_until(watch, "+ d/unseen", NULL, 0);
    make_file(directory, "few/d/seen");
    read_until(watch, "+ d/seen", NULL, 0);
    end_watch(watch);
}

static void where_watches_are_few_nothing_is_silent(fixture *f)
{
    int status = run_in_child(reach_limit, f->directory);
    if (status == CANNOT) {
        fixture_skip(f, "the limit cannot be set");
    }
    check_result(status, 0);
}

/* ---- Lost events ----------------------------------------------------------- */

static void report_progress(void)
{
    check(pipe_write(process_output(), "x", 1) == 1);
}

static void lose_events(const char *directory)
{
    epio_file *watch = watch_at(directory, EPIO_WATCH_RECURSIVE);
    report_progress();
    read_until(watch, "! ", NULL, 0);
    report_progress();
    read_until(watch, "+ new/below/after", NULL, 0);
    read_until(watch, "> old/b old/a", NULL, 0);
    end_watch(watch);
}

/* The reader is stopped while more happens than the kernel keeps. */
static void lost_events_are_an_overflow(fixture *f)
{
    child reader;
    char byte;
    tree_make_all(f, "w/old");
    fixture_put(f, "w/old/a", "1", 1);
    child_start(&reader, lose_events, fixture_path(f, "w"), CHILD_PIPES);
    check(pipe_read(reader.from, &byte, 1) == 1);
    check(kill((pid_t)reader.process.system, SIGSTOP) == 0);
    const char *one = fixture_path(f, "w/x");
    const char *two = fixture_path(f, "w/y");
    for (unsigned i = 0; i < 10000; i++) { /* at least two events each, of 16,384 */
        file_make(i % 2 == 0 ? one : two);
        check(file_remove(i % 2 == 0 ? one : two));
    }
    tree_make_all(f, "w/new/below");
    check_result(tree_rename(f, "w/old/a", "w/old/b", 0), 0);
    check(kill((pid_t)reader.process.system, SIGCONT) == 0);
    check(pipe_read(reader.from, &byte, 1) == 1);
    make_file(f->directory, "w/new/below/after");
    check_result(tree_rename(f, "w/old/b", "w/old/a", 0), 0);
    check_result(child_end(&reader), 0);
}

/* ---- File systems ---------------------------------------------------------- */

static void write_to(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) < 0) {
        exit(CANNOT);
    }
    (void)close(file);
}

/* As its privileged user. */
static void enter_namespace(void)
{
    char map[64];
    unsigned group = (unsigned)getegid();
    (void)snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
    if (unshare(CLONE_NEWUSER) != 0) {
        exit(CANNOT);
    }
    write_to("/proc/self/uid_map", map);
    write_to("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof map, "0 %u 1", group);
    write_to("/proc/self/gid_map", map);
}

static void mount_in_namespace(const char *at)
{
    if (geteuid() != 0) {
        enter_namespace();
    }
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("none", at, "tmpfs", 0, NULL) != 0) {
        exit(CANNOT);
    }
}

static void watch_mounts(const char *directory)
{
    char seen[512] = "";
    uint64_t buffer[64];
    epio_op op = {0};
    make_directory(directory, "w");
    make_directory(directory, "w/m");
    const char *mounted = path_in(directory, "w/m");
    mount_in_namespace(mounted);
    make_directory(directory, "w/m/d");
    /* What is mounted below is not watched, and none of it is kept mounted. */
    epio_file *above = watch_at(path_in(directory, "w"), EPIO_WATCH_RECURSIVE);
    epio_file *watch = watch_at(path_in(directory, "w/m"), EPIO_WATCH_RECURSIVE);
    make_directory(directory, "w/m/d/e");
    read_until(watch, "+ d/e", NULL, 0);
    make_file(directory, "w/m/d/e/f");
    read_until(watch, "+ d/e/f", NULL, 0);
    while (umount(path_in(directory, "w/m")) != 0) {
        check(errno == EBUSY); /* a directory is still being listed */
        thread_yield();
    }
    read_until(watch, "- ", NULL, 0);
    check_result(epio_perform(epio_read_events(&op, watch, buffer, sizeof buffer)), 0);
    make_file(directory, "w/last");
    read_until(above, "+ last", seen, sizeof seen);
    assert_string_equal(seen, "");
    end_watch(above);
    end_watch(watch);
}

static void a_file_system_can_be_unmounted(fixture *f)
{
    int status = run_in_child(watch_mounts, f->directory);
    if (status == CANNOT) {
        fixture_skip(f, "nothing can be mounted");
    }
    check_result(status, 0);
}

static void silent_file_systems_are_compared(fixture *f)
{
    static const char *const silent[] = {"/proc/self/net", "/sys/class"};
    (void)f;
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        epio_op op = {0};
        if (file_exists(silent[i])) {
            check_result(epio_perform(epio_watch(&op, epio_os_vfs(), silent[i], 0)),
                         EPIO_WATCH_COMPARES);
            end_watch(op.file);
        }
    }
}

/* ---- Forks ----------------------------------------------------------------- */

/* ThreadSanitizer does not support threads in a child of a parent with threads. */
#if defined(__SANITIZE_THREAD__)
#define CHILD_MAY_START_THREADS false
#else
#define CHILD_MAY_START_THREADS true
#endif

static void watch_in_child(void *argument)
{
    const char *directory = argument;
    int descriptors = count_descriptors();
    epio_file *watch = watch_at(directory, EPIO_WATCH_RECURSIVE);
    make_directory(directory, "of-child");
    make_file(directory, "of-child/a");
    read_until(watch, "+ of-child/a", NULL, 0);
    end_watch(watch);
    check(count_descriptors() == descriptors);
}

static void a_child_watches_for_itself(fixture *f)
{
    char directory[512];
    if (!CHILD_MAY_START_THREADS) {
        fixture_skip(f, "a child may start no threads here");
    }
    (void)snprintf(directory, sizeof directory, "%s", f->directory);
    epio_file *watch = watch_at(directory, EPIO_WATCH_RECURSIVE);
    check_result(run_in_fork(watch_in_child, directory), 0);
    read_until(watch, "+ of-child/a", NULL, 0);
    make_file(directory, "of-child/b");
    read_until(watch, "+ of-child/b", NULL, 0);
    end_watch(watch);
}

/* ---- Idle ------------------------------------------------------------------ */

/* How often the threads of this process, but the calling one, went to sleep. */
static uint64_t count_sleeps(void)
{
    uint64_t sum = 0;
    char path[64], line[256];
    DIR *tasks = opendir("/proc/self/task");
    check(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task->d_name);
        bool is_other = task->d_name[0] != '.' && strtol(task->d_name, NULL, 10) != getpid();
        FILE *status = is_other ? fopen(path, "r") : NULL;
        unsigned long count;
        while (status != NULL && fgets(line, sizeof line, status) != NULL) {
            if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1) {
                sum += count;
            }
        }
        if (status != NULL) {
            (void)fclose(status);
        }
    }
    (void)closedir(tasks);
    return sum;
}

/* 10,000 directories: what happens elsewhere wakes no thread. */
static void idle_watches_sleep(fixture *f)
{
    enum { WATCHES = 10000 };
    epio_file **watches = calloc(WATCHES, sizeof *watches);
    char name[32];
    check(watches != NULL);
    fixture_make_directory(f, "busy");
    for (unsigned i = 0; i < WATCHES; i++) {
        (void)snprintf(name, sizeof name, "idle%u", i);
        make_directory(f->directory, name);
        watches[i] = watch_at(path_in(f->directory, name), i % 2 == 0 ? EPIO_WATCH_RECURSIVE : 0);
    }
    int descriptors = count_descriptors();
    check(descriptors < 100);
    /* The thread is asleep once it has nothing to do: that is when it has slept once more. */
    uint64_t before = count_sleeps();
    make_file(path_in(f->directory, "idle7"), "a");
    read_until(watches[7], "+ a", NULL, 0);
    while (count_sleeps() == before) {
        thread_yield();
    }
    sleep_ns(20 * MILLISECOND);
    before = count_sleeps();
    for (unsigned i = 0; i < 1000; i++) {
        make_file(path_in(f->directory, "busy"), "a");
        check(file_remove(path_in(path_in(f->directory, "busy"), "a")));
    }
    check(count_sleeps() == before || fixture_is_watched()); /* sanitizers have threads, too */
    for (unsigned i = 0; i < WATCHES; i++) {
        end_watch(watches[i]);
    }
    free(watches);
}

/* ---- Threads --------------------------------------------------------------- */

typedef struct runner {
    const char *directory;
    unsigned which;
    unsigned rounds;
} runner;

static void *watch_often(void *argument)
{
    const runner *one = argument;
    for (unsigned i = 0; i < one->rounds; i++) {
        char name[64], made[80];
        epio_file *watch =
            watch_at(one->directory, (i + one->which) % 2 == 0 ? EPIO_WATCH_RECURSIVE : 0);
        (void)snprintf(name, sizeof name, "%s/t%u-%u", one->directory, one->which, i);
        (void)snprintf(made, sizeof made, "+ t%u-%u", one->which, i);
        file_make(name);
        if (i % 4 != 0) {
            read_until(watch, made, NULL, 0);
        }
        end_watch(watch); /* others make events meanwhile */
        (void)file_remove(name);
    }
    return NULL;
}

static void *change_often(void *argument)
{
    const runner *one = argument;
    char name[640], to[640];
    for (unsigned i = 0; i < one->rounds * 10; i++) {
        (void)snprintf(name, sizeof name, "%s/d%u", one->directory, one->which);
        (void)snprintf(to, sizeof to, "%s/e%u", one->directory, one->which);
        require(directory_make(name));
        require(directory_make(path_in(name, "x")));
        require(rename(name, to) == 0);
        test_directory_remove(to);
    }
    return NULL;
}

static void threads_watch_one_directory(fixture *f)
{
    test_thread threads[4];
    runner all[4];
    unsigned rounds = fixture_rounds(50);
    fixture_make_directory(f, "w");
    for (unsigned i = 0; i < 4; i++) {
        all[i] = (runner){fixture_path(f, "w"), i, rounds};
        thread_start(&threads[i], i < 3 ? watch_often : change_often, &all[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)thread_join(threads[i]);
    }
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(reach_limit), CHILD(lose_events),
                                              CHILD(watch_mounts)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(what_was_exchanged_moves_on, ON_OS_PERFORM),
        FIXTURE_TEST(links_are_not_followed, ON_OS_PERFORM),
        FIXTURE_TEST(two_watches_of_a_directory_are_independent, ON_OS_PERFORM),
        FIXTURE_TEST(a_watched_directory_may_be_moved, ON_OS_PERFORM),
        FIXTURE_TEST(where_watches_are_few_nothing_is_silent, ON_OS_PERFORM),
        FIXTURE_TEST(lost_events_are_an_overflow, ON_OS_PERFORM),
        FIXTURE_TEST(a_file_system_can_be_unmounted, ON_OS_PERFORM),
        FIXTURE_TEST(silent_file_systems_are_compared, ON_OS_PERFORM),
        FIXTURE_TEST(a_child_watches_for_itself, ON_OS_PERFORM),
        FIXTURE_TEST(idle_watches_sleep, ON_OS_PERFORM),
        FIXTURE_TEST(threads_watch_one_directory, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("watch_system", tests);
}
