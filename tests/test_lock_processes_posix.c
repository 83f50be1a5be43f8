/* Locks and forked processes with the parent's files; the kinds of byte-range locks, of which only
 * POSIX has several; a process that is killed while the kernel transfers for it. The rest is in
 * test_lock_processes.c. EPIO_TEST_KILLS adds kills. EPIO_TEST_ONCE; both kinds of byte-range
 * locks: EPIO_TEST_RANGE_LOCKS. */
#include "fork.h"
#include "op_fixture.h"
#include "partner.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
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

/* It holds none of its parent's locks, and they block it. */
static void a_forked_child_is_another_process(fixture *f)
{
    (void)make_file(f);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(lock_raise_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
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
    check_result(lock_raise_to(file, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
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

/* Whatever the parent's other threads did during the fork. */
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
    for (unsigned i = 0; i < fixture_rounds(50); i++) {
        check_result(run_in_fork(open_lock_and_close, childs), 0);
    }
    atomic_store(&parent.stop, true);
    for (size_t i = 0; i < 2; i++) {
        check(pthread_join(threads[i], NULL) == 0);
    }
}

static void pause_until_killed(void *argument)
{
    (void)argument;
    (void)pause();
}

/* A child keeps a description open, but no released lock. */
static void a_close_releases_what_a_child_has_open(fixture *f)
{
    const char *path = make_file(f);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(lock_raise_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    pid_t process = start_fork(pause_until_killed, NULL);
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
    check(strstr(epio_op_invalid_reason(&op), "EPIO_RANGE_LOCKS") != NULL);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

/* Before the first lock of this process: the kind is chosen once. */
static void a_kind_of_lock_that_is_unknown_is_refused(fixture *f)
{
    (void)make_file(f);
    check_result(run_in_fork(lock_with_a_misnamed_kind, f), 0);
}

/* ---- Killed with transfers in flight ------------------------------------------------ */

#define BLOCK 4096u
#define BLOCKS 512u
#define IN_FLIGHT 64u

enum { DIRECT_READS, DIRECT_WRITES, COLD_READS, BATCHES, WORKLOADS };

typedef struct victim {
    const char *path;
    const char *backend;
    unsigned workload;
    bool locks_last;         /* it locks while transfers are in flight */
    bool has_no_descriptors; /* free, once its file is open */
    int line;                /* a pipe: reports that it has the lock */
} victim;

static uint64_t next_block;
static const victim *this_victim;
static epio_file *victims_file;
static unsigned char *blocks;

static void submit_next(epio_op *op)
{
    size_t slot = (size_t)(uintptr_t)op->user;
    uint64_t offset = next_block++ * 7919 % BLOCKS * BLOCK;
    if (this_victim->workload == COLD_READS && next_block % 16 == 0) {
        handle_drop_cache(epio_file_os_handle(victims_file));
    }
    if (this_victim->workload == DIRECT_WRITES) {
        epio_submit(epio_write(op, victims_file, blocks + slot * BLOCK, BLOCK, offset));
    } else {
        epio_submit(epio_read(op, victims_file, blocks + slot * BLOCK, BLOCK, offset));
    }
}

/* Holds the lock and transfers, until it is killed. */
static void lock_and_transfer(void *argument)
{
    static epio_op ops[IN_FLIGHT];
    static unsigned char room[(IN_FLIGHT + 1) * BLOCK];
    const victim *one = argument;
    epio_loop_options options = {.size = sizeof options, .backend = one->backend};
    epio_loop *loop = NULL;
    epio_op op = {0};
    uint32_t direct = one->workload <= DIRECT_WRITES ? EPIO_OPEN_DIRECT : 0;
    this_victim = one;
    blocks = room + BLOCK - (uintptr_t)room % BLOCK;
    require(epio_loop_create(&loop, &options) == 0);
    epio_vfs *vfs = epio_loop_vfs(loop);
    require(epio_wait(epio_open(&op, vfs, one->path, READ_WRITE | direct)) == 0);
    victims_file = op.file;
    if (one->has_no_descriptors) {
        struct rlimit limit;
        require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        limit.rlim_cur = 3;
        require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    if (!one->locks_last) {
        require(lock_raise_to(victims_file, EPIO_LOCK_EXCLUSIVE) == EPIO_LOCK_EXCLUSIVE);
    }
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        ops[i].done = submit_next;
        ops[i].user = (void *)(uintptr_t)i;
        submit_next(&ops[i]);
    }
    if (one->locks_last) {
        (void)epio_loop_poll(loop, 0, 0);
        require(lock_raise_to(victims_file, EPIO_LOCK_EXCLUSIVE) == EPIO_LOCK_EXCLUSIVE);
    }
    require(write(one->line, "L", 1) == 1);
    (void)epio_loop_run(loop);
}

static void kill_one(fixture *f, victim *one, unsigned round)
{
    int ends[2];
    char letter;
    epio_op op = {0};
    check(pipe(ends) == 0);
    one->line = ends[1];
    pid_t process = start_fork(lock_and_transfer, one);
    check(close(ends[1]) == 0);
    check(read(ends[0], &letter, 1) == 1);
    check(close(ends[0]) == 0);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
    sleep_us(round * 37 % 1500);
    check(kill(process, SIGKILL) == 0);
    check_result(end_of_fork(process), 256 + SIGKILL);
    uint32_t level = lock_raise_to(file, EPIO_LOCK_EXCLUSIVE); /* at once */
    fixture_close(f, file);
    if (level != EPIO_LOCK_EXCLUSIVE) {
        print_error("round %u on %s, workload %u: %s at once\n", round,
                    one->backend != NULL ? one->backend : "the best", one->workload,
                    lock_names[level]);
    }
    check_result(level, EPIO_LOCK_EXCLUSIVE);
}

/* The name; NULL, for the best backend, if that one is not built. */
static const char *backend_if_known(const char *name)
{
    epio_loop_options options = {.size = sizeof options, .backend = name};
    epio_loop *loop;
    int error = epio_loop_create(&loop, &options);
    if (error == EPIO_EINVAL) {
        return NULL;
    }
    check_result(error, 0);
    epio_loop_destroy(loop);
    return name;
}

/* On every backend, but mostly on the one where the kernel transfers. */
static void kill_many(fixture *f, unsigned rounds, bool has_no_descriptors)
{
    static const char *const backends[] = {"uring", "epoll", "uring", "poll"};
    static unsigned char data[BLOCKS * BLOCK];
    epio_op op = {0};
    pattern_fill(data, sizeof data, 0);
    fixture_put(f, "locked", data, sizeof data);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    fixture_close(f, file);
    int64_t direct = epio_perform(epio_open(&op, epio_os_vfs(), fixture_path(f, "locked"),
                                            EPIO_OPEN_READ | EPIO_OPEN_DIRECT));
    if (direct == 0) {
        check_result(epio_perform(epio_close(&op, op.file)), 0);
    }
    for (unsigned i = 0; i < rounds; i++) {
        victim one = {.path = fixture_path(f, "locked"),
                      .backend = backend_if_known(backends[i / WORKLOADS % 4]),
                      .workload = i % WORKLOADS,
                      .locks_last = !has_no_descriptors && i / WORKLOADS / 4 % 2 != 0,
                      .has_no_descriptors = has_no_descriptors};
        if (direct != 0) { /* not on every file system */
            one.workload |= COLD_READS;
        }
        kill_one(f, &one, i);
    }
}

static void a_lock_ends_with_its_process(fixture *f)
{
    const char *kills = getenv("EPIO_TEST_KILLS");
    kill_many(f, kills != NULL ? (unsigned)strtoul(kills, NULL, 10) : 48, false);
}

/* Where a lock cannot have an open file of its own the kernel must hold no other. */
static void a_lock_without_a_descriptor_ends_with_its_process(fixture *f)
{
    kill_many(f, 16, true);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {PARTNER_CHILDREN};
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_kind_of_lock_that_is_unknown_is_refused, ON_OS_PERFORM),
        FIXTURE_TEST(a_forked_child_is_another_process, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_child_of_a_busy_parent_can_lock, ON_OS_PERFORM),
        FIXTURE_TEST(a_close_releases_what_a_child_has_open, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_lock_ends_with_its_process, ON_OS_PERFORM),
        FIXTURE_TEST(a_lock_without_a_descriptor_ends_with_its_process, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    lock_observer_start();
    return FIXTURE_RUN("locks between processes, POSIX", tests);
}
