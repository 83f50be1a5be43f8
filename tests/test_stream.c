/* Pipes of one and of both directions: read and written by readiness, never by a blocked thread,
 * with their ends and errors. The part that epio_perform carries out also runs without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* ---- Making streams ---------------------------------------------------- */

static void put_bytes(intptr_t descriptor, const void *data, size_t len)
{
    assert_int_equal(pipe_write(descriptor, data, len), (int64_t)len);
}

static void close_descriptor(intptr_t descriptor)
{
    assert_true(handle_close(descriptor));
}

/* ---- Carried out in every way ------------------------------------------ */

static void a_read_takes_what_is_there(fixture *f)
{
    intptr_t ends[2];
    char found[100];
    epio_op op = {0};
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    put_bytes(ends[1], "hello world", 11);
    memset(found, 'g', sizeof found);
    check_op(f, epio_read(&op, file, found, 5, 12345), 5);
    assert_memory_equal(found, "hello", 5);
    check_op(f, epio_read(&op, file, found, sizeof found, UINT64_MAX), 6);
    assert_memory_equal(found, " world", 6);
    check_bytes(found + 6, 'g', sizeof found - 6);

    /* Data written before the other end was closed is still there. */
    put_bytes(ends[1], "last", 4);
    close_descriptor(ends[1]);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 4);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 0);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 0);
    fixture_close(f, file);
}

static void parts_of_a_stream(fixture *f)
{
    enum { COUNT = 1500 };
    static epio_iovec parts[COUNT];
    static char text[COUNT];
    static char found[COUNT];
    intptr_t ends[2];
    epio_op op = {0};
    pipe_make(ends);
    memset(found, 0, sizeof found);
    epio_file *reader = fixture_adopt(f, ends[0], 0);
    epio_file *writer = fixture_adopt(f, ends[1], 0);
    pattern_fill(text, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++) {
        parts[i] = (epio_iovec){text + i, i % 3 == 0 ? 0 : 1};
    }
    check_op(f, epio_writev(&op, writer, parts, COUNT, 0), COUNT / 3 * 2);
    int64_t total = 0;
    for (size_t i = 0; i < COUNT; i++) {
        parts[i].base = found + i;
    }
    /* Each read may bring less than there is. */
    for (size_t at = 0; at < COUNT && total < COUNT / 3 * 2;) {
        int64_t count = fixture_result(f, epio_readv(&op, reader, parts + at, COUNT - at, 0));
        assert_true(count > 0);
        total += count;
        for (; count > 0; at++) {
            count -= (int64_t)parts[at].len;
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(found[i], i % 3 == 0 ? 0 : text[i]);
    }
    fixture_close(f, reader);
    fixture_close(f, writer);
}

static void check_broken_pipe(fixture *f, epio_file *file)
{
    char byte = 'x';
    epio_iovec part = {&byte, 1};
    epio_op op = {0};
    check_op_fails(f, epio_write(&op, file, &byte, 1, 0), EPIO_EPIPE, OS_ERROR(EPIPE));
    check_op_fails(f, epio_writev(&op, file, &part, 1, 0), EPIO_EPIPE, OS_ERROR(EPIPE));
}

static void a_stream_without_a_reader_is_broken(fixture *f)
{
    intptr_t ends[2];
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[1], 0);
    close_descriptor(ends[0]);
    check_broken_pipe(f, file);
    fixture_close(f, file);
}

static void a_stream_has_no_size(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    pipe_make(ends);
    epio_file *reader = fixture_adopt(f, ends[0], 0);
    epio_file *writer = fixture_adopt(f, ends[1], 0);
    check_op(f, epio_size(&op, reader), EPIO_ESPIPE);
    check_op(f, epio_size(&op, writer), EPIO_ESPIPE);
    check_op(f, epio_truncate(&op, writer, 0), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op), "a stream cannot be truncated");
    check_op(f, epio_truncate(&op, reader, 0), EPIO_EBADF);
    /* A sync of a stream is refused, and leaves no flush error. */
    (void)fixture_result(f, epio_sync(&op, writer, EPIO_SYNC_FULL));
    fixture_write(f, writer, "abc", 3, 0);
    char found[3];
    fixture_read(f, reader, found, 3, 0);
    assert_memory_equal(found, "abc", 3);
    check_op(f, epio_read(&op, writer, found, 3, 0), EPIO_EBADF);
    check_op(f, epio_write(&op, reader, found, 3, 0), EPIO_EBADF);
    fixture_close(f, reader);
    fixture_close(f, writer);
}

static void nothing_to_transfer_waits_for_nothing(fixture *f)
{
    intptr_t ends[2];
    char byte;
    epio_iovec empty = {&byte, 0};
    epio_op op = {0};
    pipe_make(ends);
    epio_file *reader = fixture_adopt(f, ends[0], 0);
    epio_file *writer = fixture_adopt(f, ends[1], 0);
    check_op(f, epio_read(&op, reader, &byte, 0, 0), 0);
    check_op(f, epio_readv(&op, reader, &empty, 1, 0), 0);
    check_op(f, epio_readv(&op, reader, NULL, 0, 0), 0);
    check_op(f, epio_write(&op, writer, &byte, 0, 0), 0);
    check_op(f, epio_writev(&op, writer, &empty, 1, 0), 0);
    fixture_close(f, reader);
    fixture_close(f, writer);
}

static void a_deadline_ends_a_wait(fixture *f)
{
    intptr_t ends[2];
    char found[4];
    epio_op op = {0};
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    op.timeout_ns = 5 * MILLISECOND;
    check_op(f, epio_read(&op, file, found, 4, 0), EPIO_ETIMEDOUT);
    assert_int_equal(op.os_error, 0);

    /* No data is lost. */
    put_bytes(ends[1], "abc", 3);
    op.timeout_ns = UINT64_C(3600000) * MILLISECOND;
    check_op(f, epio_read(&op, file, found, 4, 0), 3);
    assert_memory_equal(found, "abc", 3);
    close_descriptor(ends[1]);
    fixture_close(f, file);
}

static void a_full_pipe_times_out(fixture *f)
{
    static char data[1 << 20];
    intptr_t ends[2];
    epio_op op = {0};
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[1], 0);
    op.timeout_ns = 5 * MILLISECOND;
    check_op(f, epio_write(&op, file, data, sizeof data, 0), EPIO_ETIMEDOUT);
    fixture_close(f, file);
    close_descriptor(ends[0]);
}

/* ---- Performed while another thread acts ------------------------------- */

typedef struct helper {
    test_thread thread;
    intptr_t descriptor;
    int64_t count;
} helper;

static void *write_after_a_while(void *argument)
{
    helper *one = argument;
    sleep_us(20000);
    one->count = pipe_write(one->descriptor, "late", 4);
    return NULL;
}

static void start(helper *one, void *(*run)(void *argument))
{
    thread_start(&one->thread, run, one);
}

static void finish(helper *one)
{
    (void)thread_join(one->thread);
}

static void a_read_waits_for_data(fixture *f)
{
    intptr_t ends[2];
    char found[8];
    epio_op op = {0};
    pipe_make(ends);
    helper one = {.descriptor = ends[1]};
    epio_file *file = fixture_adopt(f, ends[0], 0);
    start(&one, write_after_a_while);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 4);
    assert_memory_equal(found, "late", 4);
    finish(&one);
    close_descriptor(ends[1]);
    fixture_close(f, file);
}

#if EPIO_ASYNC

/* ---- Submitted --------------------------------------------------------- */

static void reads_end_in_order(fixture *f)
{
    enum { READS = 20 };
    epio_op ops[READS] = {{0}};
    char found[READS] = {0};
    intptr_t ends[2];
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    for (size_t i = 0; i < READS; i++) {
        epio_submit(epio_read(&ops[i], file, &found[i], 1, 0));
    }
    fixture_settle(f);
    /* One in the middle is cancelled, the others keep their order. */
    epio_cancel(&ops[5]);
    check_result(epio_wait(&ops[5]), EPIO_ECANCELED);
    put_bytes(ends[1], "abcdefghij", 10);
    check_result(epio_wait(&ops[10]), 1);
    fixture_settle(f);
    assert_memory_equal(found, "abcde\0fghij\0", 12);
    for (size_t i = 0; i < READS; i++) {
        assert_int_equal(epio_op_pending(&ops[i]), i > 10);
    }
    /* The end of the stream ends all. */
    close_descriptor(ends[1]);
    for (size_t i = 11; i < READS; i++) {
        check_result(epio_wait(&ops[i]), 0);
    }
    fixture_close(f, file);
}

static unsigned char large[1 << 20];

/* Reads until the writer is done; no data is lost or reordered. */
static void read_through(epio_file *reader, size_t len)
{
    static unsigned char found[sizeof large];
    epio_op op = {0};
    size_t total = 0;
    while (total < len) {
        int64_t count = epio_wait(epio_read(&op, reader, found + total, len - total, 0));
        assert_true(count > 0);
        total += (size_t)count;
    }
    assert_memory_equal(found, large, len);
}

static void a_long_write_waits_for_its_reader(fixture *f)
{
    epio_op write = {0};
    pattern_fill(large, sizeof large, 0);
    for (size_t i = 0; i < 2; i++) {
        intptr_t ends[2];
        if (i == 0) {
            pipe_make(ends);
        } else {
            pipe_make_duplex(ends);
        }
        epio_file *reader = fixture_adopt(f, ends[0], 0);
        epio_file *writer = fixture_adopt(f, ends[1], 0);
        epio_submit(epio_write(&write, writer, large, sizeof large, 0));
        fixture_settle(f);
        assert_true(epio_op_pending(&write));
        fixture_works(f);
        read_through(reader, sizeof large);
        check_result(epio_wait(&write), sizeof large);
        fixture_close(f, reader);
        fixture_close(f, writer);
    }
}

static void a_long_vectored_write_keeps_its_position(fixture *f)
{
    enum { PARTS = 3000 };
    static epio_iovec parts[PARTS];
    static epio_iovec before[PARTS];
    intptr_t ends[2];
    epio_op write = {0};
    size_t at = 0;
    pipe_make(ends);
    epio_file *reader = fixture_adopt(f, ends[0], 0);
    epio_file *writer = fixture_adopt(f, ends[1], 0);
    pattern_fill(large, sizeof large, 0);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (epio_iovec){large + at, i % 7 * 100};
        at += parts[i].len;
    }
    memcpy(before, parts, sizeof parts);
    epio_submit(epio_writev(&write, writer, parts, PARTS, 0));
    read_through(reader, at);
    check_result(epio_wait(&write), at);
    assert_memory_equal(parts, before, sizeof parts);
    fixture_close(f, reader);
    fixture_close(f, writer);
}

/* An adopted end that blocks must not block the loop. */
static void a_blocking_pipe_does_not_block(fixture *f)
{
    intptr_t ends[2];
    epio_op writes[2] = {{0}};
    pipe_make(ends);
    epio_file *writer = fixture_adopt(f, ends[1], 0);
    epio_submit(epio_write(&writes[0], writer, large, sizeof large, 0));
    epio_submit(epio_write(&writes[1], writer, large, sizeof large, 0));
    fixture_settle(f);
    fixture_works(f);
    for (size_t i = 0; i < 2; i++) {
        epio_cancel(&writes[i]);
        check_result(epio_wait(&writes[i]), EPIO_ECANCELED);
    }
    fixture_close(f, writer);
    close_descriptor(ends[0]);
}

static void a_socket_works_both_ways_at_once(fixture *f)
{
    intptr_t ends[2];
    char found[2][4];
    epio_op reads[2] = {{0}};
    epio_op op = {0};
    pipe_make_duplex(ends);
    epio_file *files[2] = {fixture_adopt(f, ends[0], 0), fixture_adopt(f, ends[1], 0)};
    for (size_t i = 0; i < 2; i++) {
        epio_submit(epio_read(&reads[i], files[i], found[i], 4, 0));
    }
    fixture_settle(f);
    check_op(f, epio_write(&op, files[0], "ab", 2, 0), 2);
    check_op(f, epio_write(&op, files[1], "cde", 3, 0), 3);
    check_result(epio_wait(&reads[0]), 3);
    check_result(epio_wait(&reads[1]), 2);
    assert_memory_equal(found[0], "cde", 3);
    assert_memory_equal(found[1], "ab", 2);

    epio_submit(epio_read(&reads[0], files[0], found[0], 4, 0));
    fixture_settle(f);
    fixture_close(f, files[1]);
    check_result(epio_wait(&reads[0]), 0);
    fixture_close(f, files[0]);
}

/* A read and a write wait on one file; each ends by its own event. */
static void both_directions_wait_at_once(fixture *f)
{
    intptr_t ends[2];
    char found[4];
    epio_op read_op = {0};
    epio_op write_op = {0};
    pipe_make_duplex(ends);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    epio_submit(epio_write(&write_op, file, large, sizeof large, 0));
    epio_submit(epio_read(&read_op, file, found, 4, 0));
    fixture_settle(f);
    assert_true(epio_op_pending(&read_op) && epio_op_pending(&write_op));
    put_bytes(ends[1], "abc", 3);
    check_result(epio_wait(&read_op), 3);
    assert_true(epio_op_pending(&write_op));
    static unsigned char sink[65536];
    while (epio_op_pending(&write_op)) {
        (void)pipe_read_some(ends[1], sink, sizeof sink);
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    check_result(write_op.result, sizeof large);
    fixture_close(f, file);
    close_descriptor(ends[1]);
}

/* The other end is closed while a write waits for space. */
static void a_waiting_write_sees_the_pipe_break(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[1], 0);
    epio_submit(epio_write(&op, file, large, sizeof large, 0));
    fixture_settle(f);
    close_descriptor(ends[0]);
    check_result(epio_wait(&op), EPIO_EPIPE);
    check_os_error(&op, OS_ERROR(EPIPE));
    fixture_close(f, file);
    fixture_works(f);
}

static void a_close_ends_waiting_transfers(fixture *f)
{
    intptr_t ends[2];
    char found[4];
    epio_op reads[3] = {{0}};
    epio_op write = {0};
    epio_op close = {0};
    pipe_make_duplex(ends);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_read(&reads[i], file, found, 4, 0));
    }
    epio_submit(epio_write(&write, file, large, sizeof large, 0));
    fixture_settle(f);
    epio_submit(epio_close(&close, file));
    check_result(epio_wait(&close), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_false(epio_op_pending(&reads[i]));
        check_result(reads[i].result, EPIO_ECANCELED);
    }
    check_result(write.result, EPIO_ECANCELED);
    /* It is closed: the other end sees it. */
    static char sink[4 << 20];
    while (pipe_read(ends[1], sink, sizeof sink) > 0) {
    }
    close_descriptor(ends[1]);
}

/* A waiting read holds no permit. */
static void a_waiting_stream_does_not_hold_a_close(fixture *f)
{
    intptr_t ends[2];
    char found[4];
    epio_op read = {0};
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    epio_file *other = fixture_create(f, "other");
    epio_submit(epio_read(&read, file, found, 4, 0));
    fixture_settle(f);
    fixture_write(f, other, "abc", 3, 0);
    fixture_close(f, other);
    fixture_close(f, file);
    check_result(read.result, EPIO_ECANCELED);
    close_descriptor(ends[1]);
}

/* A descriptor that is closed and allocated again is another stream, although the number is the
 * same. */
static void descriptors_may_be_used_again(fixture *f)
{
    epio_op read = {0};
    char found;
    for (int i = 0; i < 200; i++) {
        intptr_t ends[2];
        pipe_make(ends);
        epio_file *file = fixture_adopt(f, ends[0], 0);
        epio_submit(epio_read(&read, file, &found, 1, 0));
        (void)epio_loop_poll(f->loop, 0, 0);
        if (i % 2 == 0) {
            put_bytes(ends[1], "x", 1);
            check_result(epio_wait(&read), 1);
        }
        fixture_close(f, file);
        close_descriptor(ends[1]);
    }
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_read_takes_what_is_there, ON_ANY_OS),
        FIXTURE_TEST(parts_of_a_stream, ON_ANY_OS),
        FIXTURE_TEST(a_stream_without_a_reader_is_broken, ON_ANY_OS),
        FIXTURE_TEST(a_stream_has_no_size, ON_ANY_OS),
        FIXTURE_TEST(nothing_to_transfer_waits_for_nothing, ON_ANY_OS),
        FIXTURE_TEST(a_deadline_ends_a_wait, ON_ANY_OS),
        FIXTURE_TEST(a_full_pipe_times_out, ON_ANY_OS),
        FIXTURE_TEST(a_read_waits_for_data, ON_ANY_OS),
#if EPIO_ASYNC
#define LOOPS (ON_OS | ON_LIMIT_OS | ON_LIMIT_OS_3)
        FIXTURE_TEST(reads_end_in_order, LOOPS),
        FIXTURE_TEST(a_long_write_waits_for_its_reader, LOOPS),
        FIXTURE_TEST(a_long_vectored_write_keeps_its_position, LOOPS),
        FIXTURE_TEST(a_blocking_pipe_does_not_block, LOOPS),
        FIXTURE_TEST(a_socket_works_both_ways_at_once, LOOPS),
        FIXTURE_TEST(both_directions_wait_at_once, LOOPS),
        FIXTURE_TEST(a_waiting_write_sees_the_pipe_break, LOOPS),
        FIXTURE_TEST(a_close_ends_waiting_transfers, LOOPS),
        FIXTURE_TEST(a_waiting_stream_does_not_hold_a_close, LOOPS),
        FIXTURE_TEST(descriptors_may_be_used_again, LOOPS),
#endif
    };
    return FIXTURE_RUN("stream", tests);
}
