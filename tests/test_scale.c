/* Large numbers: operations in flight, open files, long chains; and allocations per operation, of
 * which there are none. */
#include "op_fixture.h"

#include <stdatomic.h>

/* ---- Counting allocations ------------------------------------------------ */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    !(defined(__GLIBC__) || defined(__MINGW64__))
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(COUNTS_ALLOCATIONS)
#define COUNTS_ALLOCATIONS 1
#endif

#if COUNTS_ALLOCATIONS

static atomic_bool counting;
static atomic_uint_fast64_t allocations;

static void count_allocation(void)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed)) {
        (void)atomic_fetch_add(&allocations, 1);
    }
}

#if defined(__MINGW64__)

/* Of support/guarded_heap_win32.c. */
extern void (*heap_allocated)(void);

static void take_over_the_heap(void)
{
    heap_allocated = count_allocation;
}

#else

/* glibc's own functions, behind the names that this program overrides. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static void take_over_the_heap(void)
{
}

void *malloc(size_t size)
{
    count_allocation();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    count_allocation();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    count_allocation();
    return __libc_realloc(memory, size);
}

void free(void *memory)
{
    __libc_free(memory);
}

#endif

#endif

/* ---- 100,000 in flight --------------------------------------------------- */

static int ops_in_flight(void)
{
    if (getenv("EPIO_TEST_VALGRIND") != NULL) {
        return 2000;
    }
    return fixture_is_slow() ? 20000 : 100000;
}

static tracked *make_many(int count)
{
    tracked *ops = calloc((size_t)count, sizeof *ops);
    check(ops != NULL);
    return ops;
}

/* Delivers each once. A cost per op that grows with their number would show: a fraction of a second
 * would become minutes. */
static void run_many(op_fixture *fx, const tracked *ops, int count)
{
    uint64_t started = system_monotonic_ns();
    check_result(epio_loop_pending(fx->loop), count);
    check_result(epio_loop_run(fx->loop), count);
    check(system_monotonic_ns() - started < 60 * SECOND);
    check_result(epio_loop_pending(fx->loop), 0);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].calls, 1);
    }
}

static void of_sleeps(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    random_source random = {.state = 1};
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int i = 0; i < count; i++) {
        uint64_t nanoseconds = random_between(&random, 0, 100 * MILLISECOND);
        epio_submit(epio_sleep(track(&ops[i]), fx.os, nanoseconds));
        ops[i].user = (void *)(uintptr_t)nanoseconds;
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, (uintptr_t)ops[i].user);
    }
    free(ops);
    op_fixture_teardown(&fx);
}

/* With deadlines, and every second cancelled. */
static void of_cancels(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    random_source random = {.state = 2};
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int i = 0; i < count; i++) {
        track(&ops[i]);
        ops[i].op.timeout_ns = random_between(&random, 1, 50) * MILLISECOND;
        epio_submit(epio_sleep(&ops[i].op, fx.os, HOUR));
    }
    for (int i = 0; i < count; i += 2) {
        epio_cancel(&ops[i].op);
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, i % 2 == 0 ? EPIO_ECANCELED : EPIO_ETIMEDOUT);
    }
    free(ops);
    op_fixture_teardown(&fx);
}

static void of_reads(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    unsigned char *into = calloc((size_t)count, 1);
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "file");
    for (int i = 0; i < count; i++) {
        epio_submit(epio_read(track(&ops[i]), file, into + i, 1, (uint64_t)i % 4096));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 1);
        check_result(into[i], (unsigned char)fx.buffer[i % 4096]);
    }
    free(into);
    free(ops);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static void of_writes(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    unsigned char *bytes = calloc((size_t)count, 1);
    unsigned char *found = calloc((size_t)count, 1);
    epio_op op = {0};
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "written");
    pattern_fill(bytes, (size_t)count, 0);
    for (int i = 0; i < count; i++) {
        epio_submit(epio_write(track(&ops[i]), file, bytes + i, 1, (uint64_t)i));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 1);
    }
    check_result(epio_wait(epio_read(&op, file, found, (size_t)count, 0)), count);
    check(memcmp(bytes, found, (size_t)count) == 0);
    free(found);
    free(bytes);
    free(ops);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

static int64_t one_more(epio_op *op)
{
    (void)op;
    return 1;
}

/* A mixture of kinds, from two threads. */
typedef struct producer {
    op_fixture *fx;
    tracked *ops;
    int count;
} producer;

static void submit_mixture(op_fixture *fx, tracked *ops, int count)
{
    static char into[16];
    for (int i = 0; i < count; i++) {
        epio_op *op = track(&ops[i]);
        switch (i % 8) {
        case 0:
            epio_submit(epio_read(op, fx->other[0], into, 1, 0));
            break;
        case 1:
            epio_submit(epio_write(op, fx->other[0], "x", 1, 0));
            break;
        case 2:
            epio_submit(epio_sync(op, fx->other[0], EPIO_SYNC_DATA_ONLY));
            break;
        case 3:
            epio_submit(epio_sleep(op, fx->os, (uint64_t)i * 100));
            break;
        case 4:
            epio_submit(epio_work(op, fx->os, one_more));
            break;
        case 5:
            epio_submit(epio_current_time(op, fx->os));
            break;
        case 6:
            epio_submit(epio_size(op, fx->other[0]));
            break;
        default:
            epio_submit(epio_access(op, fx->os, "/", EPIO_ACCESS_EXISTS));
            break;
        }
    }
}

static void *produce(void *argument)
{
    producer *one = argument;
    submit_mixture(one->fx, one->ops, one->count);
    return NULL;
}

static void of_a_mixture(fixture *f)
{
    int count = ops_in_flight() / 2;
    tracked *ops = make_many(2 * count);
    test_thread thread;
    op_fixture fx;
    op_fixture_setup(&fx, f);
    producer other = {.fx = &fx, .ops = ops + count, .count = count};
    thread_start(&thread, produce, &other);
    submit_mixture(&fx, ops, count);
    (void)thread_join(thread);
    run_many(&fx, ops, 2 * count);
    for (int i = 0; i < 2 * count; i++) {
        check(ops[i].result >= 0);
    }
    free(ops);
    op_fixture_teardown(&fx);
}

static void of_a_chain(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int bad = 0; bad < 2; bad++) {
        for (int i = 0; i < count; i++) {
            /* The first has no predecessor: it only fails or succeeds. */
            (void)epio_sleep(track(&ops[i]), fx.os, i == 0 && bad != 0 ? UINT64_MAX : 0);
            if (i > 0) {
                (void)epio_link(&ops[i - 1].op, &ops[i].op, 0);
            }
        }
        epio_submit(&ops[0].op);
        run_many(&fx, ops, count);
        check_result(ops[count - 1].result, bad != 0 ? EPIO_ECANCELED : 0);
    }
    free(ops);
    op_fixture_teardown(&fx);
}

static epio_semaphore *permits;

static void release_permit(tracked *one)
{
    (void)one;
    epio_semaphore_release(permits, 1);
}

static void of_permits(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    op_fixture fx;
    op_fixture_setup(&fx, f);
    check_result(epio_semaphore_create(&permits, 3), 0);
    for (int i = 0; i < count; i++) {
        epio_submit(epio_acquire(track(&ops[i]), fx.os, permits, 1));
        ops[i].then = release_permit;
    }
    run_many(&fx, ops, count);
    check_result(epio_semaphore_available(permits), 3);
    epio_semaphore_destroy(permits);
    free(ops);
    op_fixture_teardown(&fx);
}

static void of_reads_through_a_limit(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    char byte;
    epio_vfs *limit;
    op_fixture fx;
    op_fixture_setup(&fx, f);
    check_result(epio_semaphore_create(&permits, 1), 0);
    check_result(epio_limit_vfs_create(&limit, fx.os, permits), 0);
    epio_file *file = op_fixture_open(&fx, limit, "file");
    for (int i = 0; i < count; i++) {
        epio_submit(epio_read(track(&ops[i]), file, &byte, 1, 0));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 1);
    }
    op_fixture_close(file);
    epio_vfs_destroy(limit);
    epio_semaphore_destroy(permits);
    free(ops);
    op_fixture_teardown(&fx);
}

static void ended_by_a_close_of_the_loop(fixture *f)
{
    int count = ops_in_flight();
    tracked *ops = make_many(count);
    op_fixture fx;
    op_fixture_setup(&fx, f);
    submit_mixture(&fx, ops, count);
    check_result(epio_loop_close(fx.loop, EPIO_FOREVER), 0);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].calls, 1);
        check(ops[i].result >= 0 || ops[i].result == EPIO_ECANCELED);
    }
    free(ops);
    op_fixture_teardown(&fx);
}

/* ---- 10,000 files -------------------------------------------------------- */

static void of_open_files(fixture *f)
{
    int count = ops_in_flight() / 50;
    tracked *ops = make_many(count);
    epio_file **files = calloc((size_t)count, sizeof(epio_file *));
    char *into = calloc((size_t)count, 1);
    uint64_t before;
    op_fixture fx;
    if (!descriptor_limit_raise((uint64_t)count + 100, &before)) {
        free(into);
        free(files);
        free(ops);
        fixture_skip(f, "the system refuses so many descriptors");
    }
    op_fixture_setup(&fx, f);
    for (int i = 0; i < count; i++) {
        epio_submit(epio_open(track(&ops[i]), fx.os, f->directory, EPIO_OPEN_TEMPORARY));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 0);
        files[i] = ops[i].op.file;
    }
    for (int i = 0; i < count; i++) {
        epio_submit(epio_write(track(&ops[i]), files[i], i % 2 == 0 ? "a" : "b", 1, 0));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 1);
        epio_submit(epio_read(track(&ops[i]), files[i], &into[i], 1, 0));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 1);
        check(into[i] == (i % 2 == 0 ? 'a' : 'b'));
        epio_submit(epio_close(track(&ops[i]), files[i]));
    }
    run_many(&fx, ops, count);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].result, 0);
    }
    op_fixture_teardown(&fx);
    descriptor_limit_restore(before);
    free(into);
    free(files);
    free(ops);
}

static void of_streams(fixture *f)
{
    int count = ops_in_flight() / 100;
    tracked *ops = make_many(count);
    epio_file **files = calloc((size_t)count, sizeof(epio_file *));
    intptr_t *others = calloc((size_t)count, sizeof *others);
    char *into = calloc((size_t)count, 1);
    random_source random = {.state = 8};
    uint64_t before;
    op_fixture fx;
    if (!descriptor_limit_raise(2 * (uint64_t)count + 100, &before)) {
        free(into);
        free(others);
        free(files);
        free(ops);
        fixture_skip(f, "the system refuses so many descriptors");
    }
    op_fixture_setup(&fx, f);
    for (int i = 0; i < count; i++) {
        intptr_t ends[2];
        pipe_make(ends);
        others[i] = ends[1];
        epio_op op = {0};
        check_result(epio_wait(epio_adopt(&op, fx.os, ends[0], 0)), 0);
        files[i] = op.file;
        epio_submit(epio_read(track(&ops[i]), files[i], &into[i], 1, 0));
    }
    check_result(epio_loop_poll(fx.loop, 0, 0), 0);
    /* One at a time, at random positions; then the rest at once. */
    for (int i = 0; i < count / 2; i++) {
        uint64_t chosen = random_between(&random, 0, (uint64_t)count);
        if (ops[chosen].calls == 0) {
            check(pipe_write(others[chosen], "x", 1) == 1);
            op_fixture_run_until_done(&fx, &ops[chosen]);
        }
    }
    for (int i = 0; i < count; i++) {
        check(pipe_write(others[i], "y", 1) == 1);
    }
    op_fixture_drain(&fx);
    for (int i = 0; i < count; i++) {
        check_result(ops[i].calls, 1);
        check_result(ops[i].result, 1);
        op_fixture_close(files[i]);
        check(handle_close(others[i]));
    }
    op_fixture_teardown(&fx);
    descriptor_limit_restore(before);
    free(into);
    free(others);
    free(files);
    free(ops);
}

/* ---- Allocations --------------------------------------------------------- */

#if COUNTS_ALLOCATIONS

#define BATCH 64

/* The state of the rounds below. */
typedef struct round_state {
    op_fixture *fx;
    epio_vfs *vfs;
    epio_file *file;
    epio_semaphore *free_permits;
    epio_op ops[BATCH];
    char into[BATCH];
    bool again; /* another thread's rounds */
} round_state;

static void prepare_steady_read(round_state *s, int i)
{
    (void)epio_read(&s->ops[i], s->file, &s->into[i], 1, 0);
}

static void prepare_steady_write(round_state *s, int i)
{
    (void)epio_write(&s->ops[i], s->file, "x", 1, (uint64_t)i);
}

static void prepare_steady_sync(round_state *s, int i)
{
    (void)epio_sync(&s->ops[i], s->file, EPIO_SYNC_DATA_ONLY);
}

static void prepare_steady_sleep(round_state *s, int i)
{
    (void)epio_sleep(&s->ops[i], s->vfs, (uint64_t)i * 100);
}

static void prepare_steady_timed(round_state *s, int i)
{
    s->ops[i].timeout_ns = 50 * MICROSECOND;
    (void)epio_sleep(&s->ops[i], s->vfs, HOUR);
}

static void prepare_steady_work(round_state *s, int i)
{
    (void)epio_work(&s->ops[i], s->vfs, one_more);
}

static void prepare_steady_acquire(round_state *s, int i)
{
    (void)epio_acquire(&s->ops[i], s->vfs, s->free_permits, 1);
}

static void prepare_steady_truncate(round_state *s, int i)
{
    (void)i;
    (void)epio_truncate(&s->ops[i], s->file, 100);
}

static void prepare_steady_size(round_state *s, int i)
{
    (void)epio_size(&s->ops[i], s->file);
}

static void prepare_steady_lock(round_state *s, int i)
{
    if (i % 2 == 0) {
        (void)epio_lock(&s->ops[i], s->file, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT);
    } else {
        (void)epio_unlock(&s->ops[i], s->file, EPIO_LOCK_NONE);
    }
}

typedef struct steady_kind {
    const char *name;
    void (*prepare)(round_state *s, int i);
    int64_t expected; /* -1: any success */
} steady_kind;

static const steady_kind steady_kinds[] = {
    {"read", prepare_steady_read, 1},
    {"write", prepare_steady_write, 1},
    {"sync", prepare_steady_sync, 0},
    {"sleep", prepare_steady_sleep, -1},
    {"deadline", prepare_steady_timed, EPIO_ETIMEDOUT},
    {"work", prepare_steady_work, 1},
    {"acquire", prepare_steady_acquire, 0},
    {"truncate", prepare_steady_truncate, 0},
    {"size", prepare_steady_size, -1},
    {"lock", prepare_steady_lock, 0},
};

#define STEADY_KINDS (sizeof steady_kinds / sizeof steady_kinds[0])

static void settle_steady(round_state *s, const steady_kind *kind, const epio_op *op)
{
    if (kind->expected != -1) {
        check_result(op->result, kind->expected);
    } else {
        check(op->result >= 0);
    }
    if (op->kind == EPIO_KIND_ACQUIRE) {
        epio_semaphore_release(s->free_permits, 1);
    }
}

/* Many at once. */
static void round_of_submits(round_state *s, const steady_kind *kind)
{
    for (int i = 0; i < BATCH; i++) {
        kind->prepare(s, i);
        epio_submit(&s->ops[i]);
    }
    (void)epio_loop_run(s->fx->loop);
    for (int i = 0; i < BATCH; i++) {
        settle_steady(s, kind, &s->ops[i]);
    }
}

static void round_of_waits(round_state *s, const steady_kind *kind)
{
    for (int i = 0; i < BATCH / 4; i++) {
        kind->prepare(s, i);
        (void)epio_wait(&s->ops[i]);
        settle_steady(s, kind, &s->ops[i]);
    }
}

static void round_of_links(round_state *s, const steady_kind *kind)
{
    for (int i = 0; i < BATCH; i++) {
        kind->prepare(s, i);
        s->ops[i].timeout_ns = 0; /* a chain of sleeps for an hour is cut short below */
        if (i > 0) {
            (void)epio_link(&s->ops[i - 1], &s->ops[i], EPIO_LINK_ALWAYS);
        }
    }
    epio_submit(&s->ops[0]);
    while (epio_loop_pending(s->fx->loop) != 0) {
        if (kind->expected == EPIO_ETIMEDOUT) {
            for (int i = 0; i < BATCH; i++) {
                epio_cancel(&s->ops[i]);
            }
        }
        (void)epio_loop_poll(s->fx->loop, SECOND, 0);
    }
    for (int i = 0; i < BATCH; i++) {
        if (kind->expected != EPIO_ETIMEDOUT) {
            settle_steady(s, kind, &s->ops[i]);
        }
    }
}

/* Another thread that waits, in a round of the owner. */
typedef struct foreign_rounds {
    round_state *s;
    const steady_kind *kind;
    test_thread thread;
    atomic_int wanted; /* rounds requested */
    atomic_int made;
    atomic_bool leave;
} foreign_rounds;

static foreign_rounds foreign;

static void *wait_in_rounds(void *argument)
{
    foreign_rounds *one = argument;
    while (!atomic_load(&one->leave)) {
        if (atomic_load(&one->made) == atomic_load(&one->wanted)) {
            sleep_ns(20000);
            continue;
        }
        round_of_waits(one->s, one->kind);
        (void)atomic_fetch_add(&one->made, 1);
        epio_loop_wake(one->s->fx->loop);
    }
    return NULL;
}

static void round_of_foreign_waits(round_state *s, const steady_kind *kind)
{
    foreign.s = s;
    foreign.kind = kind;
    int wanted = atomic_fetch_add(&foreign.wanted, 1) + 1;
    while (atomic_load(&foreign.made) != wanted) {
        (void)epio_loop_poll(s->fx->loop, EPIO_FOREVER, 0);
    }
}

typedef void steady_round(round_state *s, const steady_kind *kind);

static uint64_t allocations_of(round_state *s, steady_round *run, const steady_kind *kind)
{
    atomic_store(&allocations, 0);
    atomic_store(&counting, true);
    for (int i = 0; i < 4; i++) {
        run(s, kind);
    }
    atomic_store(&counting, false);
    return atomic_load(&allocations);
}

static void check_allocations(round_state *s, const char *where, const char *how, steady_round *run)
{
    for (size_t i = 0; i < STEADY_KINDS; i++) {
        const steady_kind *kind = &steady_kinds[i];
        if (s->vfs->loop == NULL) {
            continue;
        }
        uint64_t found = 1;
        for (int j = 0; j < 3; j++) {
            run(s, kind); /* warms up: the pools grow, the workers start */
        }
        /* A worker that starts late may allocate; the operations may not. */
        for (int tries = 0; tries < 3 && found != 0; tries++) {
            found = allocations_of(s, run, kind);
        }
        if (found != 0) {
            print_error("%s, %s, %s: %llu allocations\n", where, how, kind->name,
                        (unsigned long long)found);
        }
        check_result(found, 0);
    }
}

static void check_vfs(op_fixture *fx, const char *where, epio_vfs *vfs)
{
    static round_state s;
    memset(&s, 0, sizeof s);
    s.fx = fx;
    s.vfs = vfs;
    s.file = op_fixture_open(fx, vfs, "steady");
    check_result(epio_semaphore_create(&s.free_permits, 8 * BATCH), 0);
    check_result(epio_wait(epio_write(&s.ops[0], s.file, fx->buffer, 100, 0)), 100);
    check_allocations(&s, where, "submitted", round_of_submits);
    check_allocations(&s, where, "waited for", round_of_waits);
    check_allocations(&s, where, "linked", round_of_links);
    memset(&foreign, 0, sizeof foreign);
    thread_start(&foreign.thread, wait_in_rounds, &foreign);
    check_allocations(&s, where, "waited for by another thread", round_of_foreign_waits);
    atomic_store(&foreign.leave, true);
    (void)thread_join(foreign.thread);
    op_fixture_close(s.file);
    epio_semaphore_destroy(s.free_permits);
}

static void without_allocations(fixture *f)
{
    op_fixture fx;
    epio_semaphore *semaphore;
    epio_vfs *memory;
    epio_vfs *limits[2];
    epio_vfs *trace;
    if (getenv("EPIO_TEST_VALGRIND") != NULL) {
        fixture_skip(f, "valgrind has a heap of its own");
    }
    take_over_the_heap();
    /* The counter works. */
    atomic_store(&allocations, 0);
    atomic_store(&counting, true);
    void *volatile memory_block = malloc(100);
    atomic_store(&counting, false);
    free(memory_block);
    check_result(atomic_load(&allocations), 1);
    op_fixture_setup(&fx, f);
    check_result(epio_semaphore_create(&semaphore, 4), 0);
    check_result(memory_vfs_make(&memory, fx.loop, f->directory), 0);
    check_result(epio_limit_vfs_create(&limits[0], fx.os, semaphore), 0);
    check_result(epio_limit_vfs_create(&limits[1], memory, semaphore), 0);
    check_result(epio_trace_vfs_create(&trace, limits[0]), 0);
    check_vfs(&fx, "os", fx.os);
    check_vfs(&fx, "memory", memory);
    check_vfs(&fx, "limit over os", limits[0]);
    check_vfs(&fx, "limit over memory", limits[1]);
    check_vfs(&fx, "trace over limit over os", trace);
    epio_vfs_destroy(trace);
    epio_vfs_destroy(limits[0]);
    epio_vfs_destroy(limits[1]);
    epio_vfs_destroy(memory);
    epio_semaphore_destroy(semaphore);
    op_fixture_teardown(&fx);
}

#else

static void without_allocations(fixture *f)
{
    fixture_skip(f, "sanitizers have a heap of their own");
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(of_sleeps, ON_OS_PERFORM),
        FIXTURE_TEST(of_cancels, ON_OS_PERFORM),
        FIXTURE_TEST(of_reads, ON_OS_PERFORM),
        FIXTURE_TEST(of_writes, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_mixture, ON_OS_PERFORM),
        FIXTURE_TEST(of_a_chain, ON_OS_PERFORM),
        FIXTURE_TEST(of_permits, ON_OS_PERFORM),
        FIXTURE_TEST(of_reads_through_a_limit, ON_OS_PERFORM),
        FIXTURE_TEST(ended_by_a_close_of_the_loop, ON_OS_PERFORM),
        FIXTURE_TEST(of_open_files, ON_OS_PERFORM),
        FIXTURE_TEST(of_streams, ON_OS_PERFORM),
        FIXTURE_TEST(without_allocations, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("scale", tests);
}
