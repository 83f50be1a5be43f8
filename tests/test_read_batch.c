/* Batched reads of what is probably cached: each returns the right bytes, whatever happens to the
 * others. */
#include "support.h"

#define PART 512u
#define FAR 8192u
#define PARTS 64u
#define MOST 3000u

typedef struct batch {
    fixture *f;
    epio_file *file;
    epio_op *ops;
    unsigned char (*data)[PART];
    unsigned count;
    unsigned delivered;
    unsigned left; /* reads to be submitted by a `done` */
} batch;

static unsigned char content[PARTS * PART];
static epio_op all_ops[MOST];
static unsigned char all_data[MOST][PART];

static uint64_t offset_of(unsigned index)
{
    return (uint64_t)(index % PARTS) * PART;
}

static void begin_read(batch *all, unsigned index)
{
    memset(all->data[index], 0, PART);
    epio_submit(epio_read(&all->ops[index], all->file, all->data[index], PART, offset_of(index)));
}

static void check_read(const batch *all, unsigned index)
{
    check_result(all->ops[index].result, PART);
    check(memcmp(all->data[index], content + offset_of(index), PART) == 0);
}

static void read_done(epio_op *op)
{
    batch *all = op->user;
    unsigned index = (unsigned)(op - all->ops);
    all->delivered++;
    if (all->left > 0) {
        check_read(all, index);
        all->left--;
        begin_read(all, index);
    }
}

/* A file of PARTS parts, and reused ops: only these are batched. */
static void batch_make(batch *all, fixture *f, const char *name, unsigned count)
{
    memset(all, 0, sizeof *all);
    memset(all_ops, 0, sizeof all_ops);
    pattern_fill(content, sizeof content, 0);
    fixture_put(f, name, content, sizeof content);
    all->f = f;
    all->file = fixture_open(f, name, EPIO_OPEN_READ);
    all->ops = all_ops;
    all->data = all_data;
    all->count = count;
    for (unsigned i = 0; i < count; i++) {
        all->ops[i].done = read_done;
        all->ops[i].user = all;
        begin_read(all, i);
    }
    (void)epio_loop_run(f->loop);
    check(all->delivered == count);
    all->delivered = 0;
}

static void batch_submit(batch *all)
{
    all->delivered = 0;
    for (unsigned i = 0; i < all->count; i++) {
        begin_read(all, i);
    }
}

static void batch_check(const batch *all)
{
    check(all->delivered == all->count);
    for (unsigned i = 0; i < all->count; i++) {
        check_read(all, i);
    }
}

/* Long enough for the tuner to try every route and to return. */
static void thousands_in_one_run(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", 16);
    unsigned more = fixture_rounds(40000);
    all.left = more;
    batch_submit(&all);
    check_result(epio_loop_run(f->loop), 16 + more);
    all.delivered = all.count;
    batch_check(&all);
    fixture_close(f, all.file);
}

static void more_than_there_is_room_for(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", MOST);
    for (int round = 0; round < 3; round++) {
        batch_submit(&all);
        check(epio_loop_pending(f->loop) == MOST);
        (void)epio_loop_run(f->loop);
        batch_check(&all);
    }
    fixture_close(f, all.file);
}

static void the_file_ends_in_between(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        /* From one part before the end on, in steps of a 16th of a part. */
        uint64_t offset = sizeof content - PART + i * (PART / 16);
        epio_submit(epio_read(&all.ops[i], all.file, all.data[i], PART, offset));
    }
    (void)epio_loop_run(f->loop);
    check(all.delivered == PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        uint64_t step = i * (PART / 16);
        uint64_t wanted = step < PART ? PART - step : 0;
        check_result(all.ops[i].result, wanted);
        check(all.ops[i].os_error == 0);
        check(memcmp(all.data[i], content + sizeof content - wanted, (size_t)wanted) == 0);
    }
    fixture_close(f, all.file);
}

static void other_done(epio_op *op)
{
    batch *all = op->user;
    unsigned index = (unsigned)(op - all->ops);
    check_result(op->result, PART);
    check_bytes(all->data[index], 'x', PART);
    if (all->left > 0) {
        all->left--;
        begin_read(all, index);
    }
}

/* Empty buffers among others. */
static void empty_reads_in_between(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        size_t len = i % 3 == 0 ? 0 : PART;
        epio_submit(epio_read(&all.ops[i], all.file, all.data[i], len, offset_of(i)));
    }
    (void)epio_loop_run(f->loop);
    check(all.delivered == PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        check_result(all.ops[i].result, i % 3 == 0 ? 0 : PART);
    }
    fixture_close(f, all.file);
}

static void uncached_reads_in_a_batch(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", PARTS);
    for (int round = 0; round < 3; round++) {
        handle_drop_cache(epio_file_os_handle(all.file));
        batch_submit(&all);
        (void)epio_loop_run(f->loop);
        batch_check(&all);
    }
    fixture_close(f, all.file);
}

/* Each on its own page, far from the next. */
static void more_than_the_disk_takes(fixture *f)
{
    static unsigned char far[MOST][FAR];
    batch all;
    batch_make(&all, f, "file", MOST);
    fixture_close(f, all.file);
    for (unsigned i = 0; i < MOST; i++) {
        memset(far[i], (int)(i % 251), FAR);
    }
    fixture_put(f, "far", far, sizeof far);
    all.file = fixture_open(f, "far", EPIO_OPEN_READ);
    char byte;
    fixture_read(f, all.file, &byte, 1, 0);
    epio_op sync = {0};
    check_op(f, epio_sync(&sync, all.file, EPIO_SYNC_FULL), 0); /* unwritten pages stay cached */
    for (int round = 0; round < 2; round++) {
        handle_drop_cache(epio_file_os_handle(all.file));
        all.delivered = 0;
        for (unsigned i = 0; i < MOST; i++) {
            uint64_t offset = (uint64_t)(i * 1009 % MOST) * FAR;
            epio_submit(epio_read(&all.ops[i], all.file, all.data[i], PART, offset));
        }
        (void)epio_loop_run(f->loop);
        check(all.delivered == MOST);
        for (unsigned i = 0; i < MOST; i++) {
            check_result(all.ops[i].result, PART);
            check_bytes(all.data[i], (unsigned char)(i * 1009 % MOST % 251), PART);
        }
    }
    fixture_close(f, all.file);
}

static void cancels_among_them(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", PARTS);
    for (int round = 0; round < 2; round++) {
        handle_drop_cache(epio_file_os_handle(all.file));
        batch_submit(&all);
        for (unsigned i = 0; i < PARTS; i += 2) {
            epio_cancel(&all.ops[i]);
        }
        (void)epio_loop_poll(f->loop, 0, 0); /* now they are in flight */
        for (unsigned i = 1; i < PARTS; i += 4) {
            epio_cancel(&all.ops[i]);
        }
        (void)epio_loop_run(f->loop);
        check(all.delivered == PARTS);
        for (unsigned i = 0; i < PARTS; i++) {
            bool cancelled = i % 2 == 0 || i % 4 == 1;
            if (!cancelled || all.ops[i].result != EPIO_ECANCELED) {
                check_read(&all, i);
            }
        }
    }
    batch_submit(&all);
    (void)epio_loop_run(f->loop);
    batch_check(&all);
    fixture_close(f, all.file);
}

static void a_close_waits_for_all(fixture *f)
{
    batch all;
    epio_op close = {0};
    batch_make(&all, f, "file", PARTS);
    handle_drop_cache(epio_file_os_handle(all.file));
    batch_submit(&all);
    epio_submit(epio_close(&close, all.file));
    check_result(epio_wait(&close), 0);
    batch_check(&all);
}

static void the_loop_closes_meanwhile(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", PARTS);
    handle_drop_cache(epio_file_os_handle(all.file));
    batch_submit(&all);
    check_result(epio_loop_close(f->loop, EPIO_FOREVER), 0);
    check(all.delivered == PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        check(all.ops[i].result == PART || all.ops[i].result == EPIO_ECANCELED);
    }
    epio_op close = {0};
    check_result(epio_perform(epio_close(&close, all.file)), 0);
}

static void *run_in_thread(void *argument)
{
    batch *all = argument;
    (void)epio_loop_run(all->f->loop);
    batch_check(all);
    all->left = 2000;
    batch_submit(all);
    (void)epio_loop_run(all->f->loop);
    epio_loop_detach(all->f->loop);
    return NULL;
}

static void the_loop_moves_to_another_thread(fixture *f)
{
    batch all;
    test_thread thread;
    batch_make(&all, f, "file", PARTS);
    all.left = 2000;
    batch_submit(&all);
    (void)epio_loop_run(f->loop);
    handle_drop_cache(epio_file_os_handle(all.file));
    batch_submit(&all);
    epio_loop_detach(f->loop);
    thread_start(&thread, run_in_thread, &all);
    (void)thread_join(thread);
    batch_submit(&all);
    (void)epio_loop_run(f->loop);
    batch_check(&all);
    fixture_close(f, all.file);
}

static void the_loop_is_embedded_with_one(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", PARTS);
    handle_drop_cache(epio_file_os_handle(all.file));
    batch_submit(&all);
    intptr_t handle = epio_loop_handle(f->loop);
    check(handle >= 0);
    while (all.delivered < PARTS) {
        check(handle_is_ready(handle, 10000));
        (void)epio_loop_poll(f->loop, 0, 0);
    }
    batch_check(&all);
    fixture_close(f, all.file);
}

/* During one file's reads others are opened, read and closed. */
static void files_come_and_go(fixture *f)
{
    batch all;
    batch_make(&all, f, "file", 16);
    for (unsigned round = 0; round < fixture_rounds(40); round++) {
        static char other[16];
        epio_op op = {0}, reads[16];
        memset(reads, 0, sizeof reads);
        char name[16] = {0};
        (void)snprintf(name, sizeof name, "other %d", (int)round);
        fixture_put(f, name, name, sizeof name);
        epio_file *file = fixture_open(f, name, EPIO_OPEN_READ);
        for (int again = 0; again < 3; again++) {
            for (int i = 0; i < 16; i++) {
                epio_submit(epio_read(&reads[i], file, &other[i], 1, (uint64_t)i));
            }
            all.left = 400;
            batch_submit(&all);
            (void)epio_loop_run(f->loop);
            check(memcmp(other, name, strlen(name)) == 0);
            memset(other, 0, sizeof other);
        }
        check_op(f, epio_close(&op, file), 0);
    }
    all.delivered = all.count;
    batch_check(&all);
    fixture_close(f, all.file);
}

static void two_files_in_one_run(fixture *f)
{
    batch all, other;
    static epio_op ops[16];
    static unsigned char data[16][PART];
    batch_make(&all, f, "file", 16);
    static unsigned char bytes[PARTS * PART];
    memset(bytes, 'x', sizeof bytes);
    fixture_put(f, "other", bytes, sizeof bytes);
    other = all;
    other.ops = ops;
    other.data = data;
    other.file = fixture_open(f, "other", EPIO_OPEN_READ);
    memset(ops, 0, sizeof ops);
    all.left = 4000;
    for (unsigned i = 0; i < 16; i++) {
        ops[i].done = other_done;
        ops[i].user = &other;
    }
    for (int round = 0; round < 2; round++) {
        other.left = 4000;
        all.left = 4000;
        batch_submit(&all);
        batch_submit(&other);
        (void)epio_loop_run(f->loop);
    }
    check(other.left == 0);
    fixture_close(f, all.file);
    fixture_close(f, other.file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(thousands_in_one_run, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(more_than_there_is_room_for, ON_ANY_LOOP),
        FIXTURE_TEST(the_file_ends_in_between, ON_ANY_LOOP),
        FIXTURE_TEST(empty_reads_in_between, ON_ANY_LOOP),
        FIXTURE_TEST(uncached_reads_in_a_batch, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(more_than_the_disk_takes, ON_OS),
        FIXTURE_TEST(two_files_in_one_run, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(cancels_among_them, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_close_waits_for_all, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(the_loop_closes_meanwhile, ON_OS),
        FIXTURE_TEST(the_loop_moves_to_another_thread, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(the_loop_is_embedded_with_one, ON_OS),
        FIXTURE_TEST(files_come_and_go, ON_OS | ON_LIMIT_OS),
    };
    return FIXTURE_RUN("read_batch", tests);
}
