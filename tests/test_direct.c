/* Reads and writes that wait for the disk, on every backend: direct (EPIO_OPEN_DIRECT), and of what
 * the page cache has dropped. Many at once, at the end of a file, cancelled, from other threads,
 * while the loop is detached or embedded. */
#include "support.h"

#include <stdatomic.h>

#define BLOCK 4096u
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* ---- Blocks in flight ---------------------------------------------------- */

typedef struct transfer {
    epio_op op;
    struct transfers *all;
    unsigned char *data;
    uint64_t number;
    unsigned calls;
} transfer;

typedef struct transfers {
    epio_loop *loop;
    epio_file *file;
    void *memory;
    transfer *each;
    unsigned count;
    unsigned finished;
} transfers;

static void transfer_done(epio_op *op)
{
    transfer *one = op->user;
    one->calls++;
    one->all->finished++;
}

static void transfers_make(transfers *all, fixture *f, epio_file *file, unsigned count)
{
    memset(all, 0, sizeof *all);
    all->loop = f->loop;
    all->file = file;
    all->count = count;
    all->each = calloc(count, sizeof *all->each);
    all->memory = malloc((count + 1) * (size_t)BLOCK);
    check(all->each != NULL && all->memory != NULL);
    unsigned char *aligned = (unsigned char *)all->memory + BLOCK - (uintptr_t)all->memory % BLOCK;
    for (unsigned i = 0; i < count; i++) {
        transfer *one = &all->each[i];
        one->all = all;
        one->number = i;
        one->data = aligned + (size_t)i * BLOCK;
        one->op.done = transfer_done;
        one->op.user = one;
    }
}

static void transfers_free(transfers *all)
{
    free(all->memory);
    free(all->each);
}

static void submit_write(transfer *one)
{
    pattern_fill(one->data, BLOCK, one->number * BLOCK);
    epio_submit(epio_write(&one->op, one->all->file, one->data, BLOCK, one->number * BLOCK));
}

static void submit_read(transfer *one)
{
    memset(one->data, 0, BLOCK);
    epio_submit(epio_read(&one->op, one->all->file, one->data, BLOCK, one->number * BLOCK));
}

static void submit_all(transfers *all, void (*submit)(transfer *one))
{
    all->finished = 0;
    for (unsigned i = 0; i < all->count; i++) {
        all->each[i].calls = 0;
        submit(&all->each[i]);
    }
}

static void wait_for_all(transfers *all)
{
    while (all->finished < all->count) {
        (void)epio_loop_poll(all->loop, 100 * MILLISECOND, 0);
    }
}

static void check_blocks(const transfers *all)
{
    static unsigned char wanted[BLOCK];
    for (unsigned i = 0; i < all->count; i++) {
        check_result(all->each[i].op.result, BLOCK);
        check(all->each[i].calls == 1);
        pattern_fill(wanted, BLOCK, all->each[i].number * BLOCK);
        check(memcmp(all->each[i].data, wanted, BLOCK) == 0);
    }
}

/* ---- Files --------------------------------------------------------------- */

/* Not every file system has direct transfers. */
static void fill_file(fixture *f, const char *name, uint64_t len)
{
    unsigned char *data = malloc((size_t)len);
    check(data != NULL);
    pattern_fill(data, (size_t)len, 0);
    fixture_put(f, name, data, (size_t)len);
    free(data);
}

/* Written out and dropped from the page cache, if the system does so. */
static epio_file *open_uncached(fixture *f, const char *name)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, name, READ_WRITE);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    handle_drop_cache(epio_file_os_handle(file));
    return file;
}

/* ---- Many at once --------------------------------------------------------- */

/* More than a ring or a port holds. */
static void many_direct_transfers_at_once(fixture *f)
{
    transfers all;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, fixture_is_slow() ? 400 : 3000);
    submit_all(&all, submit_write);
    wait_for_all(&all);
    check_blocks(&all);
    submit_all(&all, submit_read);
    check(epio_loop_pending(f->loop) == all.count);
    wait_for_all(&all);
    check_blocks(&all);
    transfers_free(&all);
    fixture_close(f, file);
}

static void many_reads_that_miss_the_cache(fixture *f)
{
    transfers all;
    unsigned count = fixture_is_slow() ? 200 : 2000;
    fill_file(f, "file", (uint64_t)count * BLOCK);
    epio_file *file = open_uncached(f, "file");
    transfers_make(&all, f, file, count);
    submit_all(&all, submit_read);
    wait_for_all(&all);
    check_blocks(&all);
    transfers_free(&all);
    fixture_close(f, file);
}

static void submit_again(epio_op *op)
{
    transfer *one = op->user;
    transfer_done(op);
    if (one->calls < 50 && op->result == (int64_t)BLOCK) {
        one->number = (one->number + 7) % one->all->count;
        submit_read(one);
    }
}

/* What a `done` submits joins what is in flight. */
static void direct_reads_follow_one_another(fixture *f)
{
    transfers all;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 16);
    submit_all(&all, submit_write);
    wait_for_all(&all);
    for (unsigned i = 0; i < all.count; i++) {
        all.each[i].op.done = submit_again;
    }
    submit_all(&all, submit_read);
    (void)epio_loop_run(f->loop);
    check(all.finished == 50 * all.count);
    transfers_free(&all);
    fixture_close(f, file);
}

/* ---- Ends and parts -------------------------------------------------------- */

static void a_read_beyond_the_end_is_short(fixture *f)
{
    static _Alignas(BLOCK) unsigned char data[4 * BLOCK];
    static unsigned char wanted[4 * BLOCK];
    epio_op op = {0};
    uint64_t len = 2 * BLOCK + 100;
    fill_file(f, "file", len);
    pattern_fill(wanted, sizeof wanted, 0);
    epio_file *direct = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    check_op(f, epio_read(&op, direct, data, sizeof data, 0), len);
    check(memcmp(data, wanted, (size_t)len) == 0);
    check_op(f, epio_read(&op, direct, data, BLOCK, 2 * BLOCK), 100);
    check(memcmp(data, wanted + 2 * BLOCK, 100) == 0);
    check_op(f, epio_read(&op, direct, data, BLOCK, 8 * BLOCK), 0);
    fixture_close(f, direct);

    epio_file *file = open_uncached(f, "file");
    check_op(f, epio_read(&op, file, data, sizeof data, 0), len);
    check(memcmp(data, wanted, (size_t)len) == 0);
    fixture_close(f, file);
}

/* ---- A file that grows -------------------------------------------------------- */

#define SHORT_LEN (BLOCK + 904u)
#define LONG_LEN (5u * BLOCK)

typedef struct grower {
    epio_file *file;
    atomic_bool stop;
} grower;

/* Grows and shrinks the file continually. */
static void *grow_and_shrink(void *argument)
{
    grower *one = argument;
    epio_op op = {0};
    while (!atomic_load(&one->stop)) {
        require(epio_perform(epio_truncate(&op, one->file, LONG_LEN)) == 0);
        require(epio_perform(epio_truncate(&op, one->file, SHORT_LEN)) == 0);
    }
    return NULL;
}

/* A read across a moving end returns bytes that were there at some time. */
static void a_read_across_the_end_of_a_growing_file(fixture *f)
{
    enum { PARTS = 4 };
    static _Alignas(BLOCK) unsigned char data[PARTS * BLOCK];
    static unsigned char wanted[SHORT_LEN];
    unsigned rounds = fixture_is_slow() ? 100 : 500;
    grower other = {.stop = false};
    test_thread thread;
    epio_iovec parts[PARTS];
    epio_op op = {0};
    fill_file(f, "file", SHORT_LEN);
    pattern_fill(wanted, sizeof wanted, 0);
    epio_file *direct = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), fixture_path(f, "file"), READ_WRITE)),
                 0);
    other.file = op.file;
    for (unsigned i = 0; i < PARTS; i++) {
        parts[i].base = data + (size_t)i * BLOCK;
        parts[i].len = BLOCK;
    }
    thread_start(&thread, grow_and_shrink, &other);
    for (unsigned i = 0; i < rounds; i++) {
        memset(data, 1, sizeof data);
        int64_t got = fixture_result(f, i % 2 == 0 ? epio_read(&op, direct, data, sizeof data, 0)
                                                   : epio_readv(&op, direct, parts, PARTS, 0));
        bool right = got >= (int64_t)SHORT_LEN && got <= (int64_t)sizeof data;
        if (!right) {
            atomic_store(&other.stop, true);
            (void)thread_join(thread);
            print_error("round %u\n", i);
            check_result(got, SHORT_LEN);
        }
        check(memcmp(data, wanted, SHORT_LEN) == 0);
        check_bytes(data + SHORT_LEN, 0, (size_t)got - SHORT_LEN);
    }
    atomic_store(&other.stop, true);
    (void)thread_join(thread);
    check_result(epio_perform(epio_close(&op, other.file)), 0);
    fixture_close(f, direct);
}

static void direct_parts(fixture *f)
{
    enum { PARTS = 5 };
    static _Alignas(BLOCK) unsigned char data[PARTS][BLOCK];
    static unsigned char wanted[PARTS * BLOCK];
    epio_iovec parts[PARTS];
    epio_op op = {0};
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    for (unsigned i = 0; i < PARTS; i++) { /* not in the order of memory */
        parts[i].base = data[(i * 2) % PARTS];
        parts[i].len = BLOCK;
        pattern_fill(parts[i].base, BLOCK, (uint64_t)i * BLOCK);
    }
    check_op(f, epio_writev(&op, file, parts, PARTS, 0), PARTS * BLOCK);
    memset(data, 0, sizeof data);
    check_op(f, epio_readv(&op, file, parts, PARTS, 0), PARTS * BLOCK);
    pattern_fill(wanted, sizeof wanted, 0);
    for (unsigned i = 0; i < PARTS; i++) {
        check(memcmp(parts[i].base, wanted + (size_t)i * BLOCK, BLOCK) == 0);
    }
    check_op(f, epio_readv(&op, file, parts, PARTS, 3 * BLOCK), 2 * BLOCK);
    check(memcmp(parts[1].base, wanted + 4 * BLOCK, BLOCK) == 0);
    fixture_close(f, file);
    check_content(f, "file", wanted, sizeof wanted);
}

/* ---- Order and ends --------------------------------------------------------- */

static void a_sync_covers_direct_writes(fixture *f)
{
    transfers all;
    epio_op sync = {0};
    int synced = 0;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 64);
    submit_all(&all, submit_write);
    epio_submit(epio_sync(count_delivery(&sync, &synced), file, EPIO_SYNC_FULL));
    while (synced == 0) {
        (void)epio_loop_poll(f->loop, 100 * MILLISECOND, 1);
    }
    check_result(sync.result, 0);
    check(all.finished == all.count);
    check_blocks(&all);
    transfers_free(&all);
    fixture_close(f, file);
}

static void a_close_waits_for_direct_writes(fixture *f)
{
    transfers all;
    epio_op close = {0};
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 64);
    submit_all(&all, submit_write);
    check_result(epio_wait(epio_close(&close, file)), 0);
    check(all.finished == all.count);
    check_blocks(&all);
    transfers_free(&all);
}

static void cancelled_direct_transfers_end_once(fixture *f)
{
    transfers all;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 2000);
    submit_all(&all, submit_write);
    wait_for_all(&all);
    submit_all(&all, submit_read);
    epio_cancel(&all.each[all.count - 1].op); /* not seen by the loop yet */
    (void)epio_loop_poll(f->loop, 0, 1);
    for (unsigned i = 0; i < all.count; i++) {
        epio_cancel(&all.each[i].op);
    }
    wait_for_all(&all);
    if (SYSTEM_IS_POSIX) { /* on Windows all have started */
        check_result(all.each[all.count - 1].op.result, EPIO_ECANCELED);
    }
    for (unsigned i = 0; i < all.count; i++) {
        check(all.each[i].calls == 1);
        check(all.each[i].op.result == EPIO_ECANCELED || all.each[i].op.result == (int64_t)BLOCK);
    }
    fixture_works(f);
    transfers_free(&all);
    fixture_close(f, file);
}

static void a_closed_loop_delivers_direct_transfers(fixture *f)
{
    transfers all;
    epio_loop *loop = NULL;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    fixture_close(f, fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE));
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), fixture_path(f, "file"),
                                     READ_WRITE | EPIO_OPEN_DIRECT)),
                 0);
    epio_file *file = op.file;
    transfers_make(&all, f, file, 1500);
    submit_all(&all, submit_write);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check(all.finished == all.count);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
    transfers_free(&all);
}

/* ---- Other threads ------------------------------------------------------------ */

static void *poll_until_all(void *argument)
{
    transfers *all = argument;
    wait_for_all(all);
    submit_all(all, submit_read);
    epio_loop_detach(all->loop); /* the next owner delivers those in flight */
    return NULL;
}

static void direct_transfers_of_a_detached_loop(fixture *f)
{
    transfers all;
    test_thread thread;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 300);
    submit_all(&all, submit_write);
    (void)epio_loop_poll(f->loop, 0, 1);
    epio_loop_detach(f->loop);
    thread_start(&thread, poll_until_all, &all);
    (void)thread_join(thread);
    wait_for_all(&all);
    check_blocks(&all);
    transfers_free(&all);
    fixture_close(f, file);
}

static void *submit_reads(void *argument)
{
    transfers *all = argument;
    for (unsigned i = 0; i < all->count; i++) {
        submit_read(&all->each[i]);
    }
    return NULL;
}

static void direct_reads_of_another_thread(fixture *f)
{
    transfers all;
    test_thread thread;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 200);
    submit_all(&all, submit_write);
    wait_for_all(&all);
    all.finished = 0;
    thread_start(&thread, submit_reads, &all);
    wait_for_all(&all); /* an owner that waits for the disk is woken for them */
    (void)thread_join(thread);
    for (unsigned i = 0; i < all.count; i++) {
        all.each[i].calls--; /* the write's */
    }
    check_blocks(&all);
    transfers_free(&all);
    fixture_close(f, file);
}

static void *wake_later(void *argument)
{
    sleep_ns(20 * MILLISECOND);
    epio_loop_wake(argument);
    return NULL;
}

/* A loop that waits for the disk and a pipe at once. */
static void the_disk_and_a_stream_at_once(fixture *f)
{
    transfers all;
    intptr_t ends[2];
    char letter = 0;
    epio_op adopt = {0}, read = {0};
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    pipe_make(ends);
    check_op(f, epio_adopt(&adopt, f->vfs, ends[0], EPIO_OPEN_READ), 0);
    epio_file *pipe = adopt.file;
    epio_submit(epio_read(&read, pipe, &letter, 1, 0));
    transfers_make(&all, f, file, 100);
    for (int round = 0; round < 20; round++) {
        submit_all(&all, submit_write);
        wait_for_all(&all);
        check(epio_op_pending(&read));
        submit_all(&all, submit_read);
        check(pipe_write(ends[1], "x", 1) == 1);
        check_result(epio_wait(&read), 1);
        check(letter == 'x');
        wait_for_all(&all);
        check_blocks(&all);
        epio_submit(epio_read(&read, pipe, &letter, 1, 0));
    }
    test_thread thread;
    thread_start(&thread, wake_later, f->loop);
    check_result(epio_loop_poll(f->loop, EPIO_FOREVER, 0), 0);
    (void)thread_join(thread);
    epio_cancel(&read);
    check_result(epio_wait(&read), EPIO_ECANCELED);
    transfers_free(&all);
    fixture_close(f, pipe);
    fixture_close(f, file);
    check(handle_close(ends[1]));
}

/* ---- Embedded ----------------------------------------------------------------- */

static void the_handle_signals_direct_reads(fixture *f)
{
    transfers all;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 64);
    submit_all(&all, submit_write);
    intptr_t handle = epio_loop_handle(f->loop); /* with some in flight already */
    check(handle >= 0);
    for (int round = 0; round < 20; round++) {
        while (all.finished < all.count) {
            check(handle_is_ready(handle, 10000));
            (void)epio_loop_poll(f->loop, 0, round % 2 == 0 ? 0 : 3);
        }
        check_blocks(&all);
        (void)epio_loop_poll(f->loop, 0, 0);
        check(!handle_is_ready(handle, round == 0 ? 50 : 0));
        submit_all(&all, submit_read);
    }
    wait_for_all(&all);
    transfers_free(&all);
    fixture_close(f, file);
}

static intptr_t handle_of_loop;

static void *poll_when_signalled(void *argument)
{
    transfers *all = argument;
    while (all->finished < all->count) {
        require(handle_is_ready(handle_of_loop, 10000));
        (void)epio_loop_poll(all->loop, 0, 0);
    }
    epio_loop_detach(all->loop);
    return NULL;
}

/* The new owner waits for the handle before its first poll. */
static void an_embedded_loop_is_detached(fixture *f)
{
    transfers all;
    test_thread thread;
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_CREATE);
    transfers_make(&all, f, file, 64);
    handle_of_loop = epio_loop_handle(f->loop);
    check(handle_of_loop >= 0);
    for (int round = 0; round < 20; round++) {
        submit_all(&all, round == 0 ? submit_write : submit_read);
        (void)epio_loop_poll(f->loop, 0, 1);
        epio_loop_detach(f->loop);
        thread_start(&thread, poll_when_signalled, &all);
        (void)thread_join(thread);
        (void)epio_loop_poll(f->loop, 0, 0);
        check_blocks(&all);
    }
    transfers_free(&all);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(many_direct_transfers_at_once, ON_OS),
        FIXTURE_TEST(many_reads_that_miss_the_cache, ON_OS),
        FIXTURE_TEST(direct_reads_follow_one_another, ON_OS),
        FIXTURE_TEST(a_read_beyond_the_end_is_short, ON_OS | ON_OS_SUBMIT | ON_OS_PERFORM),
        FIXTURE_TEST(a_read_across_the_end_of_a_growing_file,
                     ON_OS | ON_OS_SUBMIT | ON_OS_PERFORM | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(direct_parts, ON_OS | ON_OS_SUBMIT | ON_OS_PERFORM),
        FIXTURE_TEST(a_sync_covers_direct_writes, ON_OS),
        FIXTURE_TEST(a_close_waits_for_direct_writes, ON_OS),
        FIXTURE_TEST(cancelled_direct_transfers_end_once, ON_OS),
        FIXTURE_TEST(a_closed_loop_delivers_direct_transfers, ON_OS),
        FIXTURE_TEST(direct_transfers_of_a_detached_loop, ON_OS),
        FIXTURE_TEST(direct_reads_of_another_thread, ON_OS),
        FIXTURE_TEST(the_disk_and_a_stream_at_once, ON_OS),
        FIXTURE_TEST(the_handle_signals_direct_reads, ON_OS),
        FIXTURE_TEST(an_embedded_loop_is_detached, ON_OS),
    };
    return FIXTURE_RUN("direct", tests);
}
