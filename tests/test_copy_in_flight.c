/* epio_copy_range on a loop: a cancel, a deadline and an error at each of the ops that it is made
 * of, what a sync covers and a close waits for, links; through layers, and between two VFSes. */
#include "fault_vfs.h"
#include "support.h"

#include <epio/layer.h>

#include <errno.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define ALL UINT64_MAX
#define HOUR UINT64_C(3600000000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Zeroed. */
static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static epio_file *open_on(fixture *f, epio_vfs *vfs, const char *name, uint32_t flags)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, fixture_path(f, name), flags), 0);
    return op.file;
}

static epio_file *create_on(fixture *f, epio_vfs *vfs, const char *name, size_t len, uint64_t seed)
{
    epio_file *file = open_on(f, vfs, name, CREATE | EPIO_OPEN_TRUNCATE);
    unsigned char *data = allocate(len + 1);
    pattern_fill(data, len, seed);
    fixture_write(f, file, data, len, 0);
    free(data);
    return file;
}

static void check_equal(fixture *f, epio_file *one, epio_file *other, size_t len)
{
    epio_op op = {0};
    unsigned char *bytes[2] = {allocate(len + 1), allocate(len + 1)};
    check_op(f, epio_size(&op, one), len);
    check_op(f, epio_size(&op, other), len);
    fixture_read(f, one, bytes[0], len, 0);
    fixture_read(f, other, bytes[1], len, 0);
    check(memcmp(bytes[0], bytes[1], len) == 0);
    free(bytes[0]);
    free(bytes[1]);
}

/* ---- Two files over the fault layer -------------------------------------- */

/* That passes no copy on, so each piece of one can be met there. */
typedef struct pair {
    fixture *f;
    epio_vfs *fault;
    epio_file *from; /* data, a hole, data, a hole */
    epio_file *to;   /* shorter, and with data where the first hole will be */
} pair;

#define PAIR_SIZE ((size_t)4 * MIB)

static pair pair_setup(fixture *f)
{
    pair p = {.f = f};
    epio_op op = {0};
    check_result(fault_vfs_create(&p.fault, f->vfs), 0);
    p.from = create_on(f, p.fault, "from", 700 * KIB, 3);
    fixture_write(f, p.from, "island", 6, 2 * MIB);
    check_op(f, epio_truncate(&op, p.from, PAIR_SIZE), 0);
    p.to = create_on(f, p.fault, "to", 1 * MIB, 7);
    return p;
}

static void pair_teardown(pair *p)
{
    fixture_close(p->f, p->from);
    fixture_close(p->f, p->to);
    epio_vfs_destroy(p->fault);
}

static epio_op *copy_pair(const pair *p, epio_op *op)
{
    return epio_copy_range(op, p->from, 0, p->to, 0, ALL);
}

static const uint8_t pieces[] = {EPIO_KIND_COPY_RANGE, EPIO_KIND_FILE_STAT,  EPIO_KIND_SEEK_DATA,
                                 EPIO_KIND_SEEK_HOLE,  EPIO_KIND_READ,       EPIO_KIND_WRITE,
                                 EPIO_KIND_SIZE,       EPIO_KIND_PUNCH_HOLE, EPIO_KIND_ZERO_RANGE};

/* False: the op ended, as it has no such piece here. */
static bool wait_until_held(const pair *p, uint8_t kind, const epio_op *op)
{
    while (fault_vfs_held(p->fault, kind) == 0 && epio_op_pending(op)) {
        (void)epio_loop_poll(p->f->loop, MILLISECOND, 0);
    }
    return epio_op_pending(op);
}

/* The op is whole again, and the copy can be repeated. */
static void check_repeatable(pair *p, const epio_op *ended)
{
    epio_op op = {0};
    check_result(ended->kind, EPIO_KIND_COPY_RANGE);
    check(ended->file == p->to && ended->arguments.copy.from == p->from);
    check_op(p->f, copy_pair(p, &op), PAIR_SIZE);
    check_equal(p->f, p->from, p->to, PAIR_SIZE);
}

/* ---- Ending early -------------------------------------------------------- */

static void a_cancel_ends_each_piece(fixture *f)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        pair p = pair_setup(f);
        tracked one;
        (void)copy_pair(&p, track(&one));
        fault_vfs_hold(p.fault, pieces[i]);
        epio_submit(&one.op);
        if (wait_until_held(&p, pieces[i], &one.op)) {
            epio_cancel(&one.op);
            while (one.calls == 0) {
                (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
            }
            check_result(one.result, EPIO_ECANCELED);
        } else {
            check_result(one.result, PAIR_SIZE);
        }
        check_result(one.calls, 1);
        fault_vfs_release_all(p.fault, pieces[i]);
        check_repeatable(&p, &one.op);
        pair_teardown(&p);
    }
}

/* What already runs ends, and nothing follows it. */
static void a_cancel_lets_no_piece_follow(fixture *f)
{
    pair p = pair_setup(f);
    tracked one;
    (void)copy_pair(&p, track(&one));
    fault_vfs_hold(p.fault, EPIO_KIND_READ);
    epio_submit(&one.op);
    check(wait_until_held(&p, EPIO_KIND_READ, &one.op));
    fault_vfs_release(p.fault, EPIO_KIND_READ, 1);
    epio_cancel(&one.op);
    (void)epio_loop_run(f->loop);
    check_result(one.result, EPIO_ECANCELED);
    check_result(fault_vfs_reached(p.fault, EPIO_KIND_READ), 1);
    fault_vfs_release_all(p.fault, EPIO_KIND_READ);
    check_repeatable(&p, &one.op);
    pair_teardown(&p);
}

static void a_deadline_ends_each_piece(fixture *f)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        pair p = pair_setup(f);
        epio_op op = {0};
        fault_vfs_hold(p.fault, pieces[i]);
        op.timeout_ns = 20 * MILLISECOND;
        int64_t result = epio_wait(copy_pair(&p, &op));
        /* A slow machine may not even come to the piece. */
        check(result == EPIO_ETIMEDOUT || result == (int64_t)PAIR_SIZE);
        fault_vfs_release_all(p.fault, pieces[i]);
        check_repeatable(&p, &op);
        pair_teardown(&p);
    }
}

static void a_cancel_before_it_starts(fixture *f)
{
    pair p = pair_setup(f);
    tracked first;
    tracked one;
    (void)epio_sleep(track(&first), f->vfs, HOUR);
    (void)copy_pair(&p, track(&one));
    epio_submit(epio_link(&first.op, &one.op, 0));
    epio_cancel(&one.op);
    while (one.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    check_result(one.result, EPIO_ECANCELED);
    epio_cancel(&first.op);
    (void)epio_loop_run(f->loop);
    check_repeatable(&p, &one.op);
    pair_teardown(&p);
}

static void *cancel_it(void *op)
{
    epio_cancel(op);
    return NULL;
}

static void another_thread_submits_and_cancels(fixture *f)
{
    pair p = pair_setup(f);
    unsigned rounds = fixture_rounds(50);
    for (unsigned i = 0; i < rounds; i++) {
        tracked one;
        test_thread thread;
        (void)copy_pair(&p, track(&one));
        epio_submit(&one.op);
        thread_start(&thread, cancel_it, &one.op);
        (void)epio_loop_run(f->loop);
        (void)thread_join(thread);
        check(one.result == EPIO_ECANCELED || one.result == (int64_t)PAIR_SIZE);
        check_result(one.calls, 1);
    }
    epio_op op = {0};
    check_repeatable(&p, copy_pair(&p, &op));
    pair_teardown(&p);
}

/* ---- Errors -------------------------------------------------------------- */

static void an_error_ends_it(fixture *f)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        pair p = pair_setup(f);
        epio_op op = {0};
        epio_op sync = {0};
        bool only_helps = pieces[i] == EPIO_KIND_FILE_STAT || pieces[i] == EPIO_KIND_SEEK_DATA ||
                          pieces[i] == EPIO_KIND_SEEK_HOLE;
        uint32_t arrived = fault_vfs_arrived(p.fault, pieces[i]);
        fault_vfs_fail(p.fault, pieces[i], 0, 1, EPIO_EIO, 77);
        epio_submit(copy_pair(&p, &op));
        epio_submit(epio_sync(&sync, p.to, EPIO_SYNC_DATA_ONLY));
        (void)epio_wait(&op);
        bool fails = !only_helps && fault_vfs_arrived(p.fault, pieces[i]) > arrived;
        check_result(op.result, fails ? (int64_t)EPIO_EIO : (int64_t)PAIR_SIZE);
        check_result(op.os_error, fails ? 77 : 0);
        check_result(epio_wait(&sync), fails ? EPIO_EIO : 0);
        fault_vfs_fail(p.fault, pieces[i], 0, 0, 0, 0);
        check_repeatable(&p, &op);
        pair_teardown(&p);
    }
}

/* A layer whose reads must be tried again later. */
typedef struct retrying {
    uint64_t later;
    unsigned times;
} retrying;

static void try_again(void *user, epio_op *op, void *state)
{
    retrying *one = user;
    (void)state;
    if (op->kind == EPIO_KIND_READ && one->times > 0) {
        one->times--;
        op->result = EPIO_RETRY;
        op->due = epio_clock_monotonic() + one->later;
    }
}

static int pass_no_copy(void *user, epio_op *op, void *state)
{
    (void)user;
    (void)state;
    return op->kind == EPIO_KIND_COPY_RANGE ? EPIO_ENOTSUP : 0;
}

static const epio_layer_methods retrying_methods = {
    .size = sizeof(epio_layer_methods),
    .name = "retrying",
    .before = pass_no_copy,
    .after = try_again,
};

static void a_piece_is_tried_again(fixture *f)
{
    epio_vfs *vfs;
    retrying one = {0, 0};
    tracked copy;
    check_result(epio_layer_vfs_create(&vfs, f->vfs, &retrying_methods, &one), 0);
    epio_file *from = create_on(f, vfs, "from", 100000, 1);
    epio_file *to = create_on(f, vfs, "to", 10, 2);
    one = (retrying){MILLISECOND, 3};
    epio_op performed = {0};
    check_op(f, epio_copy_range(&performed, from, 0, to, 0, ALL), 100000);
    check_result(one.times, 0);
    one = (retrying){MILLISECOND, 1};
    check_result(epio_perform(epio_copy_range(&performed, from, 0, to, 0, ALL)), 100000);
    check_equal(f, from, to, 100000);
    one = (retrying){HOUR, 1};
    (void)epio_copy_range(track(&copy), from, 0, to, 0, ALL);
    epio_submit(&copy.op);
    while (one.times > 0) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    epio_cancel(&copy.op);
    (void)epio_loop_run(f->loop);
    check_result(copy.result, EPIO_ECANCELED);
    one.times = 1;
    epio_op timed = {.timeout_ns = 5 * MILLISECOND};
    check_result(epio_wait(epio_copy_range(&timed, from, 0, to, 0, ALL)), EPIO_ETIMEDOUT);
    one.times = 1;
    performed.timeout_ns = 5 * MILLISECOND;
    int64_t result = epio_perform(epio_copy_range(&performed, from, 0, to, 0, ALL));
    check_result(result, EPIO_ETIMEDOUT);
    one.times = 0;
    fixture_close(f, from);
    fixture_close(f, to);
    epio_vfs_destroy(vfs);
}

static void a_failed_flush_is_not_forgotten(fixture *f)
{
    pair p = pair_setup(f);
    epio_op op = {0};
    fault_vfs_fail(p.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, 5);
    check_op(f, epio_sync(&op, p.to, EPIO_SYNC_FULL), EPIO_EIO);
    check_op(f, copy_pair(&p, &op), EPIO_EIO);
    check_result(op.os_error, 5);
    check_result(epio_perform(copy_pair(&p, &op)), EPIO_EIO);
    pair_teardown(&p);
}

/* What is cut off meanwhile is not copied. */
static void the_source_becomes_shorter(fixture *f)
{
    pair p = pair_setup(f);
    epio_op op = {0};
    epio_op cut = {0};
    fault_vfs_hold(p.fault, EPIO_KIND_WRITE);
    epio_submit(copy_pair(&p, &op));
    check(wait_until_held(&p, EPIO_KIND_WRITE, &op));
    check_op(f, epio_truncate(&cut, p.from, 1000), 0);
    fault_vfs_release_all(p.fault, EPIO_KIND_WRITE);
    int64_t copied = epio_wait(&op);
    check(copied >= 1000 && copied < (int64_t)PAIR_SIZE);
    pair_teardown(&p);
}

/* ---- Order --------------------------------------------------------------- */

static void a_sync_covers_all_of_it(fixture *f)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        pair p = pair_setup(f);
        epio_op op = {0};
        epio_op sync = {0};
        fault_vfs_hold(p.fault, pieces[i]);
        epio_submit(copy_pair(&p, &op));
        epio_submit(epio_sync(&sync, p.to, EPIO_SYNC_FULL));
        if (wait_until_held(&p, pieces[i], &op)) {
            fixture_settle(f);
            check(epio_op_pending(&sync));
            check_result(fault_vfs_arrived(p.fault, EPIO_KIND_SYNC), 0);
        }
        fault_vfs_release_all(p.fault, pieces[i]);
        check_result(epio_wait(&sync), 0);
        check(!epio_op_pending(&op));
        check_result(op.result, PAIR_SIZE);
        check_result(fault_vfs_arrived(p.fault, EPIO_KIND_SYNC), 1);
        pair_teardown(&p);
    }
}

/* A flush may start behind writes that are with the workers; a copy's are never its last, so it is
 * not for them. */
static void a_flush_follows_all_of_it(fixture *f)
{
    unsigned rounds = fixture_rounds(50);
    epio_loop_stats before = {.size = sizeof before};
    epio_loop_stats after = {.size = sizeof after};
    epio_vfs *memory;
    check_result(memory_vfs_make(&memory, f->loop, fixture_path(f, ".")), 0);
    epio_file *from = create_on(f, memory, "from", 1200 * KIB, 1);
    epio_file *to = create_on(f, f->vfs, "to", 10, 1);
    check_result(epio_loop_get_stats(f->loop, &before), 0);
    for (unsigned i = 0; i < rounds; i++) {
        epio_op copy = {0};
        epio_op sync = {0};
        epio_submit(epio_copy_range(&copy, from, 0, to, 0, ALL));
        epio_submit(epio_sync(&sync, to, EPIO_SYNC_DATA_ONLY));
        while (epio_op_pending(&sync)) { /* not without limit: the owner would write itself */
            (void)epio_loop_poll(f->loop, HOUR, 0);
        }
        check_result(sync.result, 0);
        check(!epio_op_pending(&copy));
        check_result(copy.result, 1200 * KIB);
    }
    check_result(epio_loop_get_stats(f->loop, &after), 0);
    check_result(after.flushes - before.flushes, rounds);
    fixture_close(f, from);
    fixture_close(f, to);
    epio_vfs_destroy(memory);
}

static void a_close_of_either_waits(fixture *f)
{
    for (int which = 0; which < 2; which++) {
        pair p = pair_setup(f);
        epio_op op = {0};
        epio_op close = {0};
        epio_file *closed = which == 0 ? p.from : p.to;
        fault_vfs_hold(p.fault, EPIO_KIND_READ);
        epio_submit(copy_pair(&p, &op));
        check_result(epio_perform(epio_close(&close, closed)), EPIO_EBUSY);
        epio_submit(epio_close(&close, closed));
        check(wait_until_held(&p, EPIO_KIND_READ, &op));
        fixture_settle(f);
        check(epio_op_pending(&close));
        fault_vfs_release_all(p.fault, EPIO_KIND_READ);
        check_result(epio_wait(&op), PAIR_SIZE);
        check_result(epio_wait(&close), 0);
        fixture_close(f, which == 0 ? p.to : p.from);
        epio_vfs_destroy(p.fault);
    }
}

static void it_is_linked(fixture *f)
{
    pair p = pair_setup(f);
    epio_op write = {0};
    epio_op copy = {0};
    epio_op sync = {0};
    epio_op read = {0};
    char found[5];
    (void)epio_link(epio_write(&write, p.from, "first", 5, 0), copy_pair(&p, &copy), 0);
    (void)epio_link(&copy, epio_sync(&sync, p.to, EPIO_SYNC_FULL), 0);
    (void)epio_link(&sync, epio_read(&read, p.to, found, 5, 0), 0);
    epio_submit(&write);
    check_result(epio_wait(&read), 5);
    assert_memory_equal(found, "first", 5);
    check_result(copy.result, PAIR_SIZE);

    fault_vfs_fail(p.fault, EPIO_KIND_READ, 0, 1, EPIO_EIO, 1);
    epio_submit(epio_link(copy_pair(&p, &copy), epio_sync(&sync, p.to, EPIO_SYNC_FULL), 0));
    check_result(epio_wait(&sync), EPIO_ECANCELED);
    check_result(copy.result, EPIO_EIO);
    check_op(f, epio_sync(&sync, p.to, EPIO_SYNC_FULL), EPIO_EIO);
    pair_teardown(&p);
}

static void a_loop_is_closed(fixture *f)
{
    epio_loop *loop;
    epio_vfs *fault;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(fault_vfs_create(&fault, epio_loop_vfs(loop)), 0);
    check_result(epio_wait(epio_open(&op, fault, fixture_path(f, "from"), CREATE)), 0);
    epio_file *from = op.file;
    check_result(epio_wait(epio_open(&op, fault, fixture_path(f, "to"), CREATE)), 0);
    epio_file *to = op.file;
    check_result(epio_wait(epio_write(&op, from, "abc", 3, 0)), 3);
    tracked copy;
    fault_vfs_hold(fault, EPIO_KIND_WRITE);
    (void)epio_copy_range(track(&copy), from, 0, to, 0, ALL);
    epio_submit(&copy.op);
    while (fault_vfs_held(fault, EPIO_KIND_WRITE) == 0) {
        (void)epio_loop_poll(loop, MILLISECOND, 0);
    }
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check_result(copy.result, EPIO_ECANCELED);
    check_result(epio_perform(epio_close(&op, from)), 0);
    check_result(epio_perform(epio_close(&op, to)), 0);
    epio_vfs_destroy(fault);
    epio_loop_destroy(loop);
}

static void many_at_once(fixture *f)
{
    enum { COPIES = 40 };
    static tracked copies[COPIES];
    epio_file *from = create_on(f, f->vfs, "from", 300000, 1);
    epio_file *to = create_on(f, f->vfs, "to", 10, 1);
    for (size_t i = 0; i < COPIES; i++) {
        (void)epio_copy_range(track(&copies[i]), from, i, to, i, 200000);
        epio_submit(&copies[i].op);
    }
    (void)epio_loop_run(f->loop);
    for (size_t i = 0; i < COPIES; i++) {
        check_result(copies[i].result, 200000);
    }
    epio_op op = {0};
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), 300000);
    check_equal(f, from, to, 300000);
    fixture_close(f, from);
    fixture_close(f, to);
}

/* ---- Layers -------------------------------------------------------------- */

static epio_trace_counts counts_of(const epio_vfs *trace, uint32_t kind)
{
    epio_trace_counts counts = {.size = sizeof counts};
    check_result(epio_trace_read(trace, kind, &counts), 0);
    return counts;
}

/* The VFS at the bottom gets its own files. In parts, or a cancel would come late. */
static void layers_pass_it_on(fixture *f)
{
    const size_t len = 40 * MIB;
    epio_vfs *bottom;
    epio_vfs *middle;
    epio_vfs *limit;
    epio_vfs *top;
    epio_semaphore *semaphore;
    epio_op op = {0};
    static const epio_layer_methods nothing = {.size = sizeof(epio_layer_methods),
                                               .name = "nothing"};
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_trace_vfs_create(&bottom, f->vfs), 0);
    check_result(epio_layer_vfs_create(&middle, bottom, &nothing, NULL), 0);
    check_result(epio_limit_vfs_create(&limit, middle, semaphore), 0);
    check_result(epio_trace_vfs_create(&top, limit), 0);
    epio_file *from = create_on(f, top, "from", len, 1);
    epio_file *to = create_on(f, top, "to", 10, 1);
    check_result(epio_trace_reset(bottom), 0);
    check_result(epio_trace_reset(top), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        epio_op *copy = epio_copy_range(&op, from, 0, to, 0, ALL);
        check_result(i == 1 ? epio_wait(copy) : epio_perform(copy), len);
        epio_trace_counts above = counts_of(top, EPIO_KIND_COPY_RANGE);
        epio_trace_counts below = counts_of(bottom, EPIO_KIND_COPY_RANGE);
        check_result(above.count, below.count);
        check_result(above.failed, below.failed);
        check_result(above.bytes, below.bytes);
        if (above.failed == 0) {
            check_result(above.bytes, i * len);
            check(above.count > i);
            check_result(counts_of(bottom, EPIO_KIND_READ).count, 0);
        } else {
            check_result(counts_of(bottom, EPIO_KIND_READ).bytes, i * len);
            check_result(counts_of(bottom, EPIO_KIND_WRITE).bytes, i * len);
        }
    }
    check_equal(f, from, to, len);
    fixture_close(f, from);
    fixture_close(f, to);
    check(epio_semaphore_available(semaphore) == 1);
    epio_vfs_destroy(top);
    epio_vfs_destroy(limit);
    epio_vfs_destroy(middle);
    epio_vfs_destroy(bottom);
    epio_semaphore_destroy(semaphore);
}

/* A header of so many bytes, which the layer's files do not show. */
#define HEADER 4096u

static int move_down(void *user, epio_op *op, void *state)
{
    (void)user;
    (void)state;
    switch (op->kind) {
    case EPIO_KIND_READ:
    case EPIO_KIND_WRITE:
        op->arguments.io.offset += HEADER;
        return 0;
    case EPIO_KIND_COPY_RANGE:
        op->arguments.copy.offset += HEADER;
        op->arguments.copy.from_offset += HEADER;
        if (op->arguments.copy.len > INT64_MAX - op->arguments.copy.offset) {
            op->arguments.copy.len = INT64_MAX - op->arguments.copy.offset;
        }
        return 0;
    case EPIO_KIND_SEEK_DATA:
    case EPIO_KIND_SEEK_HOLE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
        return EPIO_ENOTSUP;
    default:
        return 0;
    }
}

/* A copy's arguments are as the layer was given them. */
static void move_up(void *user, epio_op *op, void *state)
{
    (void)user;
    (void)state;
    if (op->kind == EPIO_KIND_COPY_RANGE) {
        check(op->file->vfs == op->vfs && op->arguments.copy.from->vfs == op->vfs);
        check(op->arguments.copy.offset % 50000 == 0);
        check(op->arguments.copy.from_offset % 50000 == 0);
    }
    if (op->kind == EPIO_KIND_SIZE && op->result >= 0) {
        op->result = op->result > (int64_t)HEADER ? op->result - (int64_t)HEADER : 0;
    }
}

static const epio_layer_methods moving_methods = {
    .size = sizeof(epio_layer_methods),
    .name = "moving",
    .before = move_down,
    .after = move_up,
};

static void a_layer_moves_offsets(fixture *f)
{
    epio_vfs *vfs;
    epio_op op = {0};
    check_result(epio_layer_vfs_create(&vfs, f->vfs, &moving_methods, NULL), 0);
    epio_file *from = create_on(f, vfs, "from", 100000, 1);
    epio_file *to = create_on(f, vfs, "to", 10, 1);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), 100000);
    check_result(op.arguments.copy.offset, 0);
    check_equal(f, from, to, 100000);
    check_result(epio_perform(epio_copy_range(&op, from, 50000, to, 100000, 20000)), 20000);
    check_op(f, epio_size(&op, to), 120000);
    fixture_close(f, from);
    fixture_close(f, to);
    epio_vfs_destroy(vfs);
}

/* ---- Two VFSes ----------------------------------------------------------- */

static void copy_between(fixture *f, epio_vfs *one, epio_vfs *other, bool perform)
{
    epio_op op = {0};
    epio_file *from = open_on(f, one, "from", CREATE | EPIO_OPEN_TRUNCATE);
    fixture_write(f, from, "beginning", 9, 0);
    fixture_write(f, from, "middle", 6, 2 * MIB);
    check_op(f, epio_truncate(&op, from, 3 * MIB), 0);
    epio_file *to = create_on(f, other, "to", 100, 1);
    epio_op *copy = epio_copy_range(&op, from, 0, to, 0, ALL);
    check_result(perform ? epio_perform(copy) : epio_wait(copy), 3 * MIB);
    check_equal(f, from, to, 3 * MIB);
    copy = epio_copy_range(&op, from, 2 * MIB, to, 5, 6);
    check_result(perform ? epio_perform(copy) : epio_wait(copy), 6);
    char found[8];
    fixture_read(f, to, found, 8, 4);
    assert_memory_equal(found, "nmiddle\0", 8);
    fixture_close(f, from);
    fixture_close(f, to);
}

static void between_two_vfses(fixture *f)
{
    epio_vfs *vfses[4];
    vfses[0] = f->vfs;
    check_result(memory_vfs_make(&vfses[1], f->loop, fixture_path(f, ".")), 0);
    check_result(epio_trace_vfs_create(&vfses[2], vfses[1]), 0);
    check_result(epio_trace_vfs_create(&vfses[3], vfses[0]), 0);
    for (size_t i = 0; i < COUNT(vfses); i++) {
        for (size_t j = 0; j < COUNT(vfses); j++) {
            copy_between(f, vfses[i], vfses[j], false);
            copy_between(f, vfses[i], vfses[j], true);
        }
    }
    epio_vfs_destroy(vfses[3]);
    epio_vfs_destroy(vfses[2]);
    epio_vfs_destroy(vfses[1]);
}

/* A file that is open by two VFSes is one all the same. */
static void one_file_in_two_vfses(fixture *f)
{
    epio_vfs *trace;
    epio_op op = {0};
    check_result(epio_trace_vfs_create(&trace, f->vfs), 0);
    epio_file *one = create_on(f, f->vfs, "file", 1000, 1);
    epio_file *other = open_on(f, trace, "file", READ_WRITE);
    check_op(f, epio_copy_range(&op, one, 0, other, 10, 100), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op), "the ranges overlap");
    check_op(f, epio_copy_range(&op, one, 0, other, 100, 100), 100);
    fixture_close(f, one);
    fixture_close(f, other);
    epio_vfs_destroy(trace);
}

static void two_loops_are_refused(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    epio_file *from = fixture_open(f, "file", EPIO_OPEN_READ);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), fixture_path(f, "to"), CREATE)), 0);
    epio_file *to = op.file;
    check_op(f, epio_copy_range(&op, to, 0, from, 0, 1), EPIO_EBADF);
    check_result(epio_perform(epio_copy_range(&op, from, 0, to, 0, 1)), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op), "the files complete on two loops");
    check_result(epio_perform(epio_close(&op, to)), 0);
    fixture_close(f, from);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_cancel_ends_each_piece, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_cancel_lets_no_piece_follow, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_deadline_ends_each_piece, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_cancel_before_it_starts, ON_OS | ON_MEMORY),
        FIXTURE_TEST(another_thread_submits_and_cancels, ON_OS | ON_MEMORY),
        FIXTURE_TEST(an_error_ends_it, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_piece_is_tried_again, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_failed_flush_is_not_forgotten, ON_OS | ON_MEMORY),
        FIXTURE_TEST(the_source_becomes_shorter, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_sync_covers_all_of_it, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_flush_follows_all_of_it, ON_OS),
        FIXTURE_TEST(a_close_of_either_waits, ON_OS | ON_MEMORY),
        FIXTURE_TEST(it_is_linked, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_loop_is_closed, ON_OS),
        FIXTURE_TEST(many_at_once, ON_ANY_LOOP),
        FIXTURE_TEST(layers_pass_it_on, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_layer_moves_offsets, ON_OS | ON_MEMORY),
        FIXTURE_TEST(between_two_vfses, ON_OS | ON_LIMIT_OS | ON_MEMORY),
        FIXTURE_TEST(one_file_in_two_vfses, ON_OS | ON_MEMORY),
        FIXTURE_TEST(two_loops_are_refused, ON_OS),
    };
    return FIXTURE_RUN("copy_in_flight", tests);
}
