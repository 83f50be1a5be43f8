/* A directory with very many names is listed and walked in memory that does not depend on their
 * number: EPIO_TEST_NAMES, 100,000 without it. Each measurement has a forked process of its own.
 * EPIO_TEST_ONCE: each on epio_perform and on a loop. EPIO_TEST_WITHOUT_LOOP. EPIO_TEST_SERIAL. */
#include "fork.h"

#include <fcntl.h>
#include <unistd.h>

#define LIST_ROOM 32768u
/* By what the peak may grow: threads and their stacks, mostly. */
#define MOST_GROWTH (INT64_C(4) << 20)
/* Names of 100 bytes, and so more than that in all, by far, were they kept. */
#define NAME_FORMAT "%0100u"

static unsigned names_to_make(void)
{
    const char *wish = getenv("EPIO_TEST_NAMES");
    return wish != NULL ? (unsigned)strtoul(wish, NULL, 10) : 100000;
}

typedef struct measurement {
    const char *what;
    const char *directory;
    unsigned names;
    bool waits;
    bool walks;
    uint32_t flags; /* of the walk */
    int64_t *growth;
} measurement;

static int64_t run(const measurement *one, epio_op *op)
{
#if EPIO_ASYNC
    if (one->waits) {
        return epio_wait(op);
    }
#endif
    (void)one;
    return epio_perform(op);
}

static void list_all(const measurement *one, epio_vfs *vfs)
{
    static _Alignas(uint64_t) char buffer[LIST_ROOM];
    epio_op op = {0};
    unsigned met = 0;
    int64_t len;
    check_result(
        run(one, epio_open(&op, vfs, one->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)), 0);
    epio_file *directory = op.file;
    while ((len = run(one, epio_list(&op, directory, buffer, sizeof buffer, 0))) > 0) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
            met++;
        }
    }
    check_result(len, 0);
    check_result(run(one, epio_close(&op, directory)), 0);
    check(met == one->names);
}

static void walk_all(const measurement *one, epio_vfs *vfs)
{
    epio_op op = {0};
    epio_walk_options options = {.size = sizeof options, .flags = one->flags};
    check_result(run(one, epio_walk(&op, vfs, one->directory, &options)), one->names);
}

static void measure(void *argument)
{
    const measurement *one = argument;
    epio_vfs *vfs = epio_os_vfs();
    int64_t before = system_peak_memory();
#if EPIO_ASYNC
    epio_loop *loop = NULL;
    if (one->waits) {
        check_result(epio_loop_create(&loop, NULL), 0);
        vfs = epio_loop_vfs(loop);
    }
#endif
    (one->walks ? walk_all : list_all)(one, vfs);
#if EPIO_ASYNC
    if (loop != NULL) {
        epio_loop_destroy(loop);
    }
#endif
    *one->growth = system_peak_memory() - before;
}

static int64_t growth_of(measurement one, int64_t *shared)
{
    one.growth = shared;
    hang_guard(600, one.what);
    check_result(run_in_fork(measure, &one), 0);
    print_message("%u names, %s%s: the peak grew by %lld KiB\n", one.names, one.what,
                  one.waits ? " on a loop" : "", (long long)(*shared / 1024));
    return *shared;
}

static void make_names(const char *path, unsigned names)
{
    check(directory_make(path));
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(directory >= 0);
    for (unsigned i = 0; i < names; i++) {
        char name[128];
        if (i % 10000 == 0) {
            hang_guard(600, "making names");
        }
        (void)snprintf(name, sizeof name, NAME_FORMAT, i);
        check(symlinkat("x", directory, name) == 0);
    }
    check(close(directory) == 0);
}

static void memory_does_not_depend_on_the_names(fixture *f)
{
    if (fixture_is_watched()) {
        fixture_skip(f, "what watches has memory of its own");
    }
    unsigned names = names_to_make();
    const char *path = fixture_path(f, "wide");
    make_names(path, names);
    int64_t *shared = shared_memory_map(fixture_path(f, "shared"), sizeof *shared);
    for (int waits = 0; waits <= (EPIO_ASYNC ? 1 : 0); waits++) {
        measurement list = {"epio_list with 32 KiB", path, names, waits == 1, false, 0, NULL};
        measurement walk = {"epio_walk", path, names, waits == 1, true, 0, NULL};
        measurement sorted = {"epio_walk with SORTED", path, names, waits == 1, true,
                              EPIO_WALK_SORTED,        NULL};
        check(growth_of(list, shared) < MOST_GROWTH);
        check(growth_of(walk, shared) < MOST_GROWTH);
        /* Which keeps them: so the measurement sees it. */
        check(growth_of(sorted, shared) > (int64_t)names * 100);
    }
    shared_memory_unmap(shared, sizeof *shared);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(memory_does_not_depend_on_the_names, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("wide_directory", tests);
}
