/* The watches of Linux while other processes change the tree at once: a copy that follows the
 * events is the same in the end, however the races went. EPIO_TEST_ONCE, as the backend has no part
 * in it; also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROCESSES 4
#define DEPTH 4

/* ---- Random changes ------------------------------------------------------- */

static uint32_t next_random(random_source *random, uint32_t below)
{
    return (uint32_t)random_between(random, 0, below);
}

typedef struct changes {
    char root[512];
    uint64_t seed;
    uint32_t ops;   /* of each process */
    uint32_t names; /* in each directory: few, so that all meet */
    intptr_t gate[2];
} changes;

typedef struct changer {
    const changes *all;
    random_source random;
    char path[640];
    char other[640];
} changer;

static void choose_path(changer *one, char *path, size_t size)
{
    size_t len = (size_t)snprintf(path, size, "%s", one->all->root);
    uint32_t depth = 1 + next_random(&one->random, DEPTH);
    for (uint32_t i = 0; i < depth; i++) {
        len += (size_t)snprintf(path + len, size - len, "/%c%u",
                                'a' + (int)next_random(&one->random, 2),
                                (unsigned)next_random(&one->random, one->all->names));
    }
}

static void put(changer *one, const char *path, int flags)
{
    char text[32];
    int file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
    if (file >= 0) {
        int len = snprintf(text, sizeof text, "%u", (unsigned)next_random(&one->random, 1000000));
        (void)!write(file, text, (size_t)len);
        if (next_random(&one->random, 4) == 0) {
            thread_yield();
            (void)!write(file, text, (size_t)len);
        }
        (void)close(file);
    }
}

/* A directory that is filled at once. */
static void make_tree(changer *one, const char *path, int depth)
{
    char below[768];
    if (mkdir(path, 0755) != 0) {
        return;
    }
    uint32_t count = next_random(&one->random, 4);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(below, sizeof below, "%s/%c%u", path,
                       'a' + (int)next_random(&one->random, 2),
                       (unsigned)next_random(&one->random, one->all->names));
        if (depth > 0 && next_random(&one->random, 2) == 0) {
            make_tree(one, below, depth - 1);
        } else {
            put(one, below, O_CREAT);
        }
    }
}

static void change(changer *one)
{
    choose_path(one, one->path, sizeof one->path);
    choose_path(one, one->other, sizeof one->other);
    switch (next_random(&one->random, 16)) {
    case 0:
    case 1:
        (void)mkdir(one->path, 0755);
        return;
    case 2:
    case 3:
        make_tree(one, one->path, 2);
        return;
    case 4:
    case 5:
        put(one, one->path, O_CREAT);
        return;
    case 6:
        put(one, one->path, O_APPEND);
        return;
    case 7:
        (void)unlink(one->path);
        return;
    case 8:
        (void)rmdir(one->path);
        return;
    case 9:
        test_directory_remove(one->path);
        return;
    case 10:
        (void)syscall(SYS_renameat2, AT_FDCWD, one->path, AT_FDCWD, one->other, 2u);
        return;
    case 11:
        (void)!symlink("a0", one->path);
        return;
    default:
        (void)rename(one->path, one->other);
        return;
    }
}

static void change_much(const changes *all, uint64_t which)
{
    changer one = {.all = all, .random = {all->seed * 97 + which * 31 + 7}};
    for (uint32_t i = 0; i < 10; i++) {
        (void)next_random(&one.random, 2);
    }
    for (uint32_t i = 0; i < all->ops; i++) {
        change(&one);
    }
}

typedef struct start {
    const changes *all;
    uint64_t which;
} start;

static void change_in_fork(void *argument)
{
    const start *one = argument;
    char byte;
    (void)handle_close(one->all->gate[1]);
    (void)pipe_read(one->all->gate[0], &byte, 1);
    change_much(one->all, one->which);
}

/* ---- Following them -------------------------------------------------------- */

typedef struct follow {
    changes *all;
    pid_t processes[PROCESSES];
} follow;

static void *end_changes(void *argument)
{
    follow *one = argument;
    char last[600];
    for (size_t i = 0; i < PROCESSES; i++) {
        require(end_of_fork(one->processes[i]) == 0);
    }
    (void)snprintf(last, sizeof last, "%s/last", one->all->root);
    file_make(last);
    return NULL;
}

static void print_log(const event_log *log)
{
    char text[512];
    const epio_event *event = NULL;
    while ((event = epio_event_next(log->events, log->len, event)) != NULL) {
        event_describe(event, text, sizeof text);
        print_error("    %s\n", text);
    }
}

/* Returns whether events were lost. */
static bool follow_changes(fixture *f, changes *all, size_t *events)
{
    epio_op op = {0};
    event_log log = {0};
    follow one = {.all = all};
    require(mkdir(all->root, 0755) == 0);
    all->ops /= 4;
    change_much(all, PROCESSES);
    all->ops *= 4;
    check_op(f, epio_watch(&op, f->vfs, all->root, EPIO_WATCH_RECURSIVE), 0);
    epio_file *watch = op.file;
    replay *copy = replay_begin(f->vfs, all->root);
    size_t made = 0;
    pipe_make(all->gate);
    start starts[PROCESSES];
    for (size_t i = 0; i < PROCESSES; i++) {
        starts[i] = (start){all, i};
        one.processes[i] = start_fork(change_in_fork, &starts[i]);
    }
    check(handle_close(all->gate[1]) && handle_close(all->gate[0]));
    uint64_t begun = system_monotonic_ns();
    test_thread thread;
    thread_start(&thread, end_changes, &one);
    event_log_read(&log, watch, f->vfs, all->root, "last");
    uint64_t taken = system_monotonic_ns() - begun;
    (void)thread_join(thread);
    replay_apply(copy, log.events, log.len);
    size_t differences = replay_differences(copy) + replay_missed(copy);
    bool overflowed = replay_overflowed(copy);
    *events = replay_count(copy);
    const epio_event *event = NULL;
    while ((event = epio_event_next(log.events, log.len, event)) != NULL) {
        made += event->kind == EPIO_EVENT_MADE ? 1 : 0;
    }
    if (getenv("EPIO_WATCH_VERBOSE") != NULL) {
        print_message("seed %u: %u events, %u of what was made, %u ms%s\n", (unsigned)all->seed,
                      (unsigned)*events, (unsigned)made, (unsigned)(taken / MILLISECOND),
                      overflowed ? ", overflow" : "");
    }
    if (differences != 0) {
        print_error("seed %u\n", (unsigned)all->seed);
        if (log.len < 200000) {
            print_log(&log);
        }
    }
    check(differences == 0);
    check_op(f, epio_close(&op, watch), 0);
    replay_free(copy);
    event_log_free(&log);
    test_directory_remove(all->root);
    return overflowed;
}

/* A forked child has its parent's memory, and nobody there who frees it. */
static void skip_where_leaks_are_found(fixture *f)
{
    if (fixture_is_emulated()) {
        fixture_skip(f, "valgrind takes the parent's memory for the child's leaks");
    }
}

/* EPIO_TEST_EFFORT=50 makes 100,000 files and directories, or more. */
static void many_changes_are_followed(fixture *f)
{
    changes all = {.seed = 1, .ops = fixture_rounds(2000), .names = 40};
    size_t events;
    skip_where_leaks_are_found(f);
    (void)snprintf(all.root, sizeof all.root, "%s/t", f->directory);
    bool lost = follow_changes(f, &all, &events);
    print_message("%u events%s\n", (unsigned)events, lost ? ", some were lost" : "");
}

static void short_races_are_followed(fixture *f)
{
    static const uint32_t names[] = {1, 2, 4, 8};
    static const uint32_t ops[] = {5, 20, 60, 200};
    const char *first = getenv("EPIO_TEST_SEED");
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    unsigned rounds = fixture_rounds(60);
    unsigned lost = 0;
    size_t all_events = 0;
    skip_where_leaks_are_found(f);
    for (unsigned i = 0; i < rounds; i++) {
        changes all = {.seed = seed + i, .ops = ops[i / 4 % 4], .names = names[i % 4]};
        size_t events;
        (void)snprintf(all.root, sizeof all.root, "%s/t%u", f->directory, i);
        hang_guard(100, "a round");
        lost += follow_changes(f, &all, &events) ? 1 : 0;
        all_events += events;
    }
    hang_guard(0, "");
    check(lost == 0);
    print_message("%u rounds, %u events\n", rounds, (unsigned)all_events);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(many_changes_are_followed, ON_OS_ONCE),
        FIXTURE_TEST(short_races_are_followed, ON_OS_ONCE),
    };
    return FIXTURE_RUN("watch_linux", tests);
}
