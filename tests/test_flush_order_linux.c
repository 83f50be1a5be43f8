/* That a flush covers every write before its sync, when workers carry out both without a return to
 * the owner between them: the flushes of this program note how long the file is as they begin, and
 * each write makes its file longer. The order of ops is test_sync.c's. */
#include "support.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 3
#define MOST_OPS 32
#define LONGEST 5000u
#define LONG_ENOUGH                                                                                \
    UINT64_C(30000000000) /* finite, so that the owner carries out no write itself */

/* How long the file of each descriptor was when its last flush began. */
#define DESCRIPTORS 4096
static _Atomic uint64_t flushed_len[DESCRIPTORS];
static atomic_uint flushes;

/* Which writes of a round have ended, by their places: of each descriptor, and when its flush
 * began. And how many ended before one that came earlier in the file. */
#define MOST_PLACES 48
#define PLACE 512u
static _Atomic uint64_t ended[DESCRIPTORS];
static _Atomic uint64_t ended_at_flush[DESCRIPTORS];
static atomic_uint out_of_order;

int fdatasync(int descriptor)
{
    struct stat status;
    require(descriptor < DESCRIPTORS && fstat(descriptor, &status) == 0);
    atomic_store(&flushed_len[descriptor], (uint64_t)status.st_size);
    atomic_store(&ended_at_flush[descriptor], atomic_load(&ended[descriptor]));
    atomic_fetch_add(&flushes, 1);
    return (int)syscall(SYS_fdatasync, descriptor);
}

ssize_t pwrite(int descriptor, const void *buffer, size_t len, off_t offset)
{
    ssize_t written = (ssize_t)syscall(SYS_pwrite64, descriptor, buffer, len, offset);
    if (written == (ssize_t)PLACE && descriptor < DESCRIPTORS) {
        uint64_t bit = UINT64_C(1) << ((uint64_t)offset / PLACE % 64);
        uint64_t before = atomic_fetch_or(&ended[descriptor], bit);
        atomic_fetch_add(&out_of_order, (before & ~(bit - 1)) != 0 ? 1 : 0);
    }
    return written;
}

typedef struct one_op {
    epio_op op;
    struct one_file *file;
    uint64_t end; /* of a write; of a sync: of the last that it covers */
} one_op;

typedef struct one_file {
    epio_file *file;
    uint64_t len;  /* with all writes that were submitted */
    uint64_t done; /* with those that succeeded */
} one_file;

static one_file files[FILES];
static one_op ops[MOST_OPS];
static unsigned delivered;
static unsigned char data[LONGEST];

static void write_ended(epio_op *op)
{
    one_op *one = op->user;
    delivered++;
    if (op->result > 0 && one->end > one->file->done) {
        one->file->done = one->end;
    }
}

/* Where the last write ends that succeeded before the sync was submitted. */
static uint64_t end_before(const one_op *sync)
{
    uint64_t end = 0;
    for (const one_op *one = ops; one != sync; one++) {
        if (one->file == sync->file && one->op.done == write_ended && one->op.result > 0) {
            end = one->end;
        }
    }
    return end;
}

static void sync_ended(epio_op *op)
{
    const one_op *one = op->user;
    delivered++;
    if (op->result == 0) {
        intptr_t handle = epio_file_os_handle(one->file->file);
        check(atomic_load(&flushed_len[handle]) >= end_before(one));
    }
}

static void submit_write(one_op *one, one_file *file, uint64_t len)
{
    memset(one, 0, sizeof *one);
    one->op.done = write_ended;
    one->op.user = one;
    one->file = file;
    one->end = file->len + len;
    epio_submit(epio_write(&one->op, file->file, data, len, file->len));
    file->len = one->end;
}

static void submit_sync(one_op *one, one_file *file)
{
    memset(one, 0, sizeof *one);
    one->op.done = sync_ended;
    one->op.user = one;
    one->file = file;
    epio_submit(epio_sync(&one->op, file->file, EPIO_SYNC_DATA_ONLY));
}

static void run_until_delivered(epio_loop *loop, unsigned count)
{
    while (delivered < count) {
        (void)epio_loop_poll(loop, LONG_ENOUGH, 0);
    }
}

static void create_files(fixture *f)
{
    static const char *const names[FILES] = {"one", "two", "three"};
    memset(files, 0, sizeof files);
    for (unsigned i = 0; i < FILES; i++) {
        files[i].file = fixture_create(f, names[i]);
    }
}

static void close_files(fixture *f)
{
    for (unsigned i = 0; i < FILES; i++) {
        fixture_close(f, files[i].file);
    }
}

static void appends_share_a_flush(fixture *f)
{
    create_files(f);
    for (unsigned round = 0; round < fixture_rounds(100); round++) {
        unsigned before = atomic_load(&flushes);
        delivered = 0;
        for (unsigned i = 0; i < MOST_OPS; i += 2) {
            submit_write(&ops[i], &files[0], LONGEST);
            submit_sync(&ops[i + 1], &files[0]);
        }
        run_until_delivered(f->loop, MOST_OPS);
        check(atomic_load(&flushes) == before + 1);
        check(files[0].done == files[0].len);
    }
    close_files(f);
}

static void submit_one(random_source *random, unsigned i)
{
    one_file *file = &files[random_next(random) % FILES];
    if (random_next(random) % 3 == 0) {
        submit_sync(&ops[i], file);
    } else {
        submit_write(&ops[i], file, 1 + random_next(random) % LONGEST);
    }
}

static void a_flush_covers_the_writes_before_it(fixture *f)
{
    random_source random = {1};
    create_files(f);
    for (unsigned round = 0; round < fixture_rounds(500); round++) {
        delivered = 0;
        for (unsigned i = 0; i < MOST_OPS; i++) {
            submit_one(&random, i);
            if (random_next(&random) % 6 == 0) {
                (void)epio_loop_poll(f->loop, 0, 0);
            }
            if (random_next(&random) % 6 == 0) {
                epio_cancel(&ops[random_next(&random) % (i + 1)].op);
            }
        }
        run_until_delivered(f->loop, MOST_OPS);
    }
    close_files(f);
}

/* ---- Several threads, each with a file of its own ------------------------------------ */

static epio_op place_ops[FILES][MOST_PLACES];
static epio_op place_sync;

static void write_was_delivered(epio_op *op)
{
    (void)op;
    delivered++;
}

static void place_ended(epio_op *op)
{
    check(op->result >= 0);
    delivered++;
}

static unsigned submit_places(epio_file *file, epio_op *to, unsigned count)
{
    atomic_store(&ended[epio_file_os_handle(file)], 0);
    for (unsigned i = 0; i < count; i++) {
        memset(&to[i], 0, sizeof to[i]);
        to[i].done = place_ended;
        epio_submit(epio_write(&to[i], file, data, PLACE, (uint64_t)i * PLACE));
    }
    return count;
}

/* A thread that looks for work must not pass an op of a busy file and then find a later one free,
 * as the other thread has just left the file: that might be the flush. */
static void writes_and_their_flush_keep_their_order(fixture *f)
{
    random_source random = {1};
    create_files(f);
    atomic_store(&out_of_order, 0);
    for (unsigned round = 0; round < fixture_rounds(1000); round++) {
        delivered = 0;
        unsigned count = submit_places(files[0].file, place_ops[0], MOST_PLACES);
        memset(&place_sync, 0, sizeof place_sync);
        place_sync.done = place_ended;
        epio_submit(epio_sync(&place_sync, files[0].file, EPIO_SYNC_DATA_ONLY));
        count += submit_places(files[1].file, place_ops[1], 1);
        count += submit_places(files[2].file, place_ops[2],
                               1 + (unsigned)random_next(&random) % MOST_PLACES);
        run_until_delivered(f->loop, count + 1);
        check(atomic_load(&ended_at_flush[epio_file_os_handle(files[0].file)]) ==
              (UINT64_C(1) << MOST_PLACES) - 1);
    }
    check_result(atomic_load(&out_of_order), 0);
    close_files(f);
}

/* The owner must not search all of a file's writes for each of them. */
static void many_writes_before_one_that_is_cancelled(fixture *f)
{
    unsigned count = fixture_is_slow() ? 1000 : 20000;
    epio_op *many = calloc(count, sizeof *many);
    epio_op sync = {0};
    create_files(f);
    check(many != NULL);
    delivered = 0;
    for (unsigned i = 0; i < count; i++) {
        many[i].done = write_was_delivered;
        epio_submit(epio_write(&many[i], files[0].file, data, 1, i));
    }
    epio_cancel(&many[count - 1]);
    sync.done = place_ended;
    epio_submit(epio_sync(&sync, files[0].file, EPIO_SYNC_DATA_ONLY));
    run_until_delivered(f->loop, count + 1);
    close_files(f);
    free(many);
}

/* The error of a write that fails when its flush was started already. */
static void the_sync_behind_it_reports_a_failed_write(fixture *f)
{
    struct rlimit before;
    create_files(f);
    delivered = 0;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {2 * LONGEST, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (unsigned i = 0; i < 8; i += 2) {
        submit_write(&ops[i], &files[0], LONGEST);
        submit_sync(&ops[i + 1], &files[0]);
    }
    run_until_delivered(f->loop, 8);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    for (unsigned i = 0; i < 8; i += 2) {
        check_result(ops[i].op.result, i < 4 ? (int64_t)LONGEST : EPIO_EFBIG);
        check_result(ops[i + 1].op.result, i < 4 ? 0 : EPIO_EFBIG);
    }
    close_files(f);
}

static void a_close_follows_writes_and_their_flush(fixture *f)
{
    epio_op close = {0};
    for (unsigned round = 0; round < fixture_rounds(100); round++) {
        int closed = 0;
        char name[16];
        snprintf(name, sizeof name, "%u", round);
        files[0] = (one_file){.file = fixture_create(f, name)};
        int handle = (int)epio_file_os_handle(files[0].file);
        delivered = 0;
        for (unsigned i = 0; i < 8; i += 2) {
            submit_write(&ops[i], &files[0], LONGEST);
            submit_sync(&ops[i + 1], &files[0]);
            ops[i + 1].op.done = write_ended; /* the file may be closed by then */
        }
        if (round % 2 != 0) {
            (void)epio_loop_poll(f->loop, 0, 0);
        }
        epio_cancel(&ops[round % 8].op);
        epio_submit(epio_close(count_delivery(&close, &closed), files[0].file));
        while (closed == 0) {
            (void)epio_loop_poll(f->loop, LONG_ENOUGH, 0);
        }
        check(delivered == 8);
        check_result(close.result, 0);
        if (ops[7].op.result == 0) {
            check(atomic_load(&flushed_len[handle]) >= files[0].done);
        }
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(appends_share_a_flush, ON_OS),
        FIXTURE_TEST(a_flush_covers_the_writes_before_it, ON_OS),
        FIXTURE_TEST(writes_and_their_flush_keep_their_order, ON_OS),
        FIXTURE_TEST(many_writes_before_one_that_is_cancelled, ON_OS),
        FIXTURE_TEST(the_sync_behind_it_reports_a_failed_write, ON_OS),
        FIXTURE_TEST(a_close_follows_writes_and_their_flush, ON_OS),
    };
    return FIXTURE_RUN("flush order", tests);
}
