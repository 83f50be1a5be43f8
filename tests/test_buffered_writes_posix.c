/* Many buffered writes in flight at once, which a ring gives to threads of the kernel, and other
 * backends to workers: that each ends once and lets go of its buffer, and what becomes of those
 * that are cancelled or fail among others. Bad addresses and limits are of POSIX. */
#include "fork.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define LEN 3000u /* no multiple of a block */
#define PARTS 3u
#define MOST_WRITES 3000u
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

typedef struct one_write {
    epio_op op;
    epio_iovec parts[PARTS];
    unsigned char data[LEN];
    unsigned calls;
} one_write;

static one_write writes[MOST_WRITES];
static unsigned delivered;
static uint64_t round_now; /* each writes other bytes to the same places */

static uint64_t place_of(const one_write *one)
{
    return (uint64_t)(one - writes) * LEN;
}

/* What is done with the buffer and the list of parts from now on must not reach the file. */
static void write_ended(epio_op *op)
{
    one_write *one = op->user;
    memset(one->data, 0xdd, LEN);
    memset(one->parts, 0xdd, sizeof one->parts);
    one->calls++;
    delivered++;
}

static void begin_round(void)
{
    delivered = 0;
    round_now++;
}

static void fill(const one_write *one, unsigned char *data)
{
    pattern_fill(data, LEN, place_of(one) + round_now * MOST_WRITES);
}

static one_write *prepare(unsigned number, epio_file *file)
{
    one_write *one = &writes[number];
    memset(one, 0, sizeof *one);
    one->op.done = write_ended;
    one->op.user = one;
    fill(one, one->data);
    for (unsigned i = 0; i < PARTS; i++) {
        one->parts[i].base = one->data + i * (LEN / PARTS);
        one->parts[i].len = LEN / PARTS;
    }
    (void)(number % 2 == 0 ? epio_write(&one->op, file, one->data, LEN, place_of(one))
                           : epio_writev(&one->op, file, one->parts, PARTS, place_of(one)));
    return one;
}

static void submit_writes(epio_file *file, unsigned count)
{
    begin_round();
    for (unsigned i = 0; i < count; i++) {
        epio_submit(&prepare(i, file)->op);
    }
}

static void run_until_delivered(epio_loop *loop, unsigned count)
{
    while (delivered < count) {
        (void)epio_loop_poll(loop, EPIO_FOREVER, 0);
    }
}

/* All that succeeded is in the file, and nothing else was delivered than `also`. */
static void check_writes(epio_file *file, unsigned count, int64_t also)
{
    static unsigned char wanted[LEN], found[LEN];
    intptr_t handle = epio_file_os_handle(file);
    check(delivered == count);
    for (unsigned i = 0; i < count; i++) {
        const one_write *one = &writes[i];
        check(one->calls == 1);
        if (one->op.result != also) {
            check_result(one->op.result, LEN);
            fill(one, wanted);
            check(handle_read_at(handle, found, LEN, place_of(one)) == LEN);
            check(memcmp(found, wanted, LEN) == 0);
        }
    }
}

/* ---- To their end ------------------------------------------------------------------ */

static unsigned many(void)
{
    return fixture_is_slow() ? 200 : MOST_WRITES;
}

static void many_writes_at_once(fixture *f)
{
    epio_file *file = fixture_create(f, "file");
    for (unsigned count = many(); count != 0; count /= 8) {
        submit_writes(file, count);
        run_until_delivered(f->loop, count);
        check_writes(file, count, LEN);
    }
    fixture_close(f, file);
}

static void a_sync_covers_writes_in_flight(fixture *f)
{
    epio_file *file = fixture_create(f, "file");
    epio_op sync = {0};
    int synced = 0;
    submit_writes(file, many());
    epio_submit(epio_sync(count_delivery(&sync, &synced), file, EPIO_SYNC_FULL));
    while (synced == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    check_result(sync.result, 0);
    check_writes(file, many(), LEN);
    fixture_close(f, file);
}

/* Polls only when the handle says so; delivers up to `max` ops at a time. */
static void poll_as_a_host(fixture *f, intptr_t handle, unsigned count, uint32_t max)
{
    while (delivered < count) {
        check(handle_is_ready(handle, 30000));
        (void)epio_loop_poll(f->loop, 0, max);
    }
}

static void the_handle_signals_writes(fixture *f)
{
    epio_file *file = fixture_create(f, "file");
    intptr_t handle = epio_loop_handle(f->loop);
    check(handle >= 0);
    for (unsigned count = many(); count != 0; count /= 8) {
        submit_writes(file, count);
        poll_as_a_host(f, handle, count, 7);
        check_writes(file, count, LEN);
    }
    fixture_close(f, file);
}

/* A call of the kernel hands out few of the completions that wait, and the next are signalled only
 * once. The file has its size when all writes are carried out. */
static void the_handle_signals_writes_to_a_late_host(fixture *f)
{
    enum { WRITES = 200 };
    epio_file *file = fixture_create(f, "file");
    intptr_t handle = epio_loop_handle(f->loop);
    check(handle >= 0);
    submit_writes(file, WRITES);
    (void)epio_loop_poll(f->loop, 0, 1); /* has started them */
    while (handle_size(epio_file_os_handle(file)) != WRITES * LEN) {
        thread_yield();
    }
    poll_as_a_host(f, handle, WRITES, 0);
    check_writes(file, WRITES, LEN);
    fixture_close(f, file);
}

/* ---- Cancelled --------------------------------------------------------------------- */

static void cancel_another(epio_op *op)
{
    const one_write *one = op->user;
    write_ended(op);
    unsigned other = (unsigned)(one - writes) + many() / 4;
    epio_cancel(&writes[other % many()].op);
}

static void cancelled_writes_end_once(fixture *f)
{
    enum { AT_ONCE, AFTER_A_POLL, FROM_DONE, BY_DEADLINE, WAYS };
    epio_file *file = fixture_create(f, "file");
    for (unsigned way = 0; way < WAYS; way++) {
        begin_round();
        for (unsigned i = 0; i < many(); i++) {
            one_write *one = prepare(i, file);
            one->op.done = way == FROM_DONE ? cancel_another : write_ended;
            one->op.timeout_ns = way == BY_DEADLINE ? 1 + i * UINT64_C(1000) : 0;
            epio_submit(&one->op);
        }
        if (way == AFTER_A_POLL) {
            (void)epio_loop_poll(f->loop, 0, 1);
        }
        for (unsigned i = 0; i < many() && way <= AFTER_A_POLL; i += 2) {
            epio_cancel(&writes[i].op);
        }
        run_until_delivered(f->loop, many());
        check_writes(file, many(), way == BY_DEADLINE ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
    }
    fixture_works(f);
    fixture_close(f, file);
}

static void a_closed_loop_delivers_writes(fixture *f)
{
    epio_loop *loop = NULL;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    for (unsigned polls = 0; polls < 4; polls++) {
        check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), fixture_path(f, "file"),
                                         READ_WRITE | EPIO_OPEN_CREATE)),
                     0);
        epio_file *file = op.file;
        submit_writes(file, many());
        for (unsigned i = 0; i < polls; i++) {
            (void)epio_loop_poll(loop, 0, 1);
        }
        check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
        check_writes(file, many(), EPIO_ECANCELED);
        check_result(epio_perform(epio_close(&op, file)), 0);
        epio_loop_destroy(loop);
        check_result(epio_loop_create(&loop, NULL), 0);
    }
    epio_loop_destroy(loop);
}

/* ---- That fail among others -------------------------------------------------------- */

static void check_sync(fixture *f, epio_file *file, int64_t expected)
{
    epio_op sync = {0};
    check_op(f, epio_sync(&sync, file, EPIO_SYNC_FULL), expected);
}

/* The first, the last or a middle part is no memory of the process. */
static void a_bad_address_fails_its_write_alone(fixture *f)
{
    if (fixture_is_emulated()) {
        fixture_skip(f, "valgrind reports bad addresses itself");
    }
    epio_file *file = fixture_create(f, "file");
    void *nothing = mmap(NULL, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int64_t fault = epio_error_from_os(EFAULT);
    check(nothing != MAP_FAILED);
    begin_round();
    for (unsigned i = 0; i < many(); i++) {
        one_write *one = prepare(i, file);
        if (i % 7 == 3) {
            one->parts[i % PARTS].base = nothing;
            (void)epio_writev(&one->op, file, one->parts, PARTS, place_of(one));
        } else if (i % 7 == 5) {
            (void)epio_write(&one->op, file, nothing, LEN, place_of(one));
        }
        epio_submit(&one->op);
    }
    run_until_delivered(f->loop, many());
    check_writes(file, many(), fault);
    for (unsigned i = 0; i < many(); i++) {
        bool bad = i % 7 == 3 || i % 7 == 5;
        check_result(writes[i].op.result, bad ? fault : LEN);
        check(writes[i].op.os_error == (bad ? EFAULT : 0));
    }
    check_sync(f, file, fault); /* once */
    check_sync(f, file, 0);
    check(munmap(nothing, LEN) == 0);
    fixture_close(f, file);
}

/* The limit is in the middle of a write, which is done in part. */
static void write_beyond_the_limit(void *argument)
{
    enum { WRITES = 100, FIT = 50 };
    struct rlimit limit = {FIT * LEN + 100, FIT * LEN + 100};
    epio_loop *loop = NULL;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(
        epio_wait(epio_open(&op, epio_loop_vfs(loop), argument, READ_WRITE | EPIO_OPEN_CREATE)), 0);
    epio_file *file = op.file;
    check(signal(SIGXFSZ, SIG_DFL) != SIG_ERR); /* which kills the process */
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    submit_writes(file, WRITES);
    run_until_delivered(loop, WRITES);
    check_writes(file, WRITES, EPIO_EFBIG);
    for (unsigned i = 0; i < WRITES; i++) {
        check_result(writes[i].op.result, i < FIT ? (int64_t)LEN : EPIO_EFBIG);
    }
    check(handle_size(epio_file_os_handle(file)) == (int64_t)limit.rlim_cur);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), EPIO_EFBIG);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

static void writes_beyond_a_limit_raise_no_signal(fixture *f)
{
    check_result(run_in_fork(write_beyond_the_limit, (void *)(uintptr_t)fixture_path(f, "file")),
                 0);
}

/* ---- A forked child ---------------------------------------------------------------- */

static void destroy_in_child(void *argument)
{
    epio_loop_destroy(argument);
    memset(writes, 0xee, sizeof writes); /* the child's own memory */
}

static void a_child_does_not_disturb_writes(fixture *f)
{
    if (fixture_is_emulated()) {
        fixture_skip(f, "valgrind reports the memory of the parent's threads as leaked");
    }
    epio_file *file = fixture_create(f, "file");
    for (unsigned polls = 0; polls < 4; polls++) {
        submit_writes(file, many());
        for (unsigned i = 0; i < polls; i++) {
            (void)epio_loop_poll(f->loop, 0, 1);
        }
        check_result(run_in_fork(destroy_in_child, f->loop), 0);
        run_until_delivered(f->loop, many());
        check_writes(file, many(), LEN);
    }
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(many_writes_at_once, ON_OS),
        FIXTURE_TEST(a_sync_covers_writes_in_flight, ON_OS),
        FIXTURE_TEST(the_handle_signals_writes, ON_OS),
        FIXTURE_TEST(the_handle_signals_writes_to_a_late_host, ON_OS),
        FIXTURE_TEST(cancelled_writes_end_once, ON_OS),
        FIXTURE_TEST(a_closed_loop_delivers_writes, ON_OS),
        FIXTURE_TEST(a_bad_address_fails_its_write_alone, ON_OS),
        FIXTURE_TEST(writes_beyond_a_limit_raise_no_signal, ON_OS_PERFORM),
        FIXTURE_TEST(a_child_does_not_disturb_writes, ON_OS),
    };
    return FIXTURE_RUN("buffered writes", tests);
}
