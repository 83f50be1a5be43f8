/* Pipes as only Windows has them: of messages, and those that are polled. The rest is in
 * test_stream.c. EPIO_TEST_WITHOUT_LOOP: it serves a library without loops too. */
#include "support.h"

#include "win32/win32.h"

#define SECOND (1000 * MILLISECOND)
#define LOOPS (ON_OS | ON_LIMIT_OS_3 | ON_TRACE_OS)

/* What is written to ends[1] comes to ends[0] as it was written. */
static void make_message_pipe(intptr_t ends[2], DWORD mode)
{
    static unsigned number;
    WCHAR name[64];
    DWORD type = PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | mode;
    (void)swprintf(name, 64, L"\\\\.\\pipe\\epio-messages-%lx-%x", GetCurrentProcessId(), number++);
    HANDLE reader = CreateNamedPipeW(name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED, type, 1,
                                     4096, 4096, 0, NULL);
    check(reader != INVALID_HANDLE_VALUE);
    HANDLE writer =
        CreateFileW(name, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    check(writer != INVALID_HANDLE_VALUE);
    ends[0] = (intptr_t)reader;
    ends[1] = (intptr_t)writer;
}

static void a_message_is_read_in_parts(fixture *f)
{
    intptr_t ends[2];
    char found[8];
    epio_op op = {0};
    make_message_pipe(ends, PIPE_WAIT);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    check_result(pipe_write(ends[1], "abcde", 5), 5);
    check_result(pipe_write(ends[1], "fg", 2), 2);
    check_op(f, epio_read(&op, file, found, 3, 0), 3);
    assert_memory_equal(found, "abc", 3);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 2);
    assert_memory_equal(found, "de", 2);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 2);
    assert_memory_equal(found, "fg", 2);
    check(handle_close(ends[1]));
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 0);
    fixture_close(f, file);
}

static void an_empty_message_is_no_end(fixture *f)
{
    intptr_t ends[2];
    char found[8];
    epio_op op = {0};
    make_message_pipe(ends, PIPE_WAIT);
    epio_file *file = fixture_adopt(f, ends[0], 0);
    check_result(pipe_write(ends[1], "", 0), 0);
    check_result(pipe_write(ends[1], "abc", 3), 3);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 3);
    assert_memory_equal(found, "abc", 3);
    fixture_close(f, file);
    check(handle_close(ends[1]));
}

/* No system call takes it from several buffers. */
static void a_message_in_parts_is_refused(fixture *f)
{
    intptr_t ends[2];
    char found[8];
    epio_op op = {0};
    epio_iovec parts[] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
    make_message_pipe(ends, PIPE_WAIT);
    epio_file *file = fixture_adopt(f, ends[1], 0);
    check_op_fails(f, epio_writev(&op, file, parts, 3, 0), EPIO_EINVAL, 0);
    check_op(f, epio_writev(&op, file, parts, 2, 0), 2);
    check_result(pipe_read(ends[0], found, sizeof found), 2);
    assert_memory_equal(found, "ab", 2);
    fixture_close(f, file);
    check(handle_close(ends[0]));
}

/* An earlier user of the handle may have set this mode, and it cannot be cleared. */
static void a_pipe_that_skips_packets_loses_nothing(fixture *f)
{
    for (int messages = 0; messages < 2; messages++) {
        intptr_t ends[2];
        char found[8];
        epio_op op = {0};
        if (messages == 1) {
            make_message_pipe(ends, PIPE_WAIT);
        } else {
            pipe_make(ends);
        }
        for (int i = 0; i < 2; i++) {
            check(SetFileCompletionNotificationModes((HANDLE)ends[i],
                                                     FILE_SKIP_COMPLETION_PORT_ON_SUCCESS));
        }
        epio_file *reader = fixture_adopt(f, ends[0], 0);
        epio_file *writer = fixture_adopt(f, ends[1], 0);
        for (int i = 0; i < 3; i++) {
            fixture_write(f, writer, "abcde", 5, 0);
            check_op(f, epio_read(&op, reader, found, 3, 0), 3);
            assert_memory_equal(found, "abc", 3);
            check_op(f, epio_read(&op, reader, found, sizeof found, 0), 2);
            assert_memory_equal(found, "de", 2);
        }
        fixture_close(f, writer);
        check_op(f, epio_read(&op, reader, found, sizeof found, 0), 0);
        fixture_close(f, reader);
    }
}

/* ---- Read and written by workers ------------------------------------------------- */

/* Handles that cannot be bound to the loop's port: not overlapped, or bound to another port. */
static HANDLE make_pipe_for_workers(intptr_t ends[2], bool at_port)
{
    HANDLE port = NULL;
    if (!at_port) {
        pipe_make_plain(ends);
        return port;
    }
    pipe_make(ends);
    for (int i = 0; i < 2; i++) {
        port = CreateIoCompletionPort((HANDLE)ends[i], port, 7, 0);
        check(port != NULL);
    }
    return port;
}

static void close_port(HANDLE port)
{
    DWORD bytes;
    ULONG_PTR key;
    OVERLAPPED *overlapped;
    if (port != NULL) {
        check(!GetQueuedCompletionStatus(port, &bytes, &key, &overlapped, 0));
        check(overlapped == NULL); /* and none of our packets went there */
        check(CloseHandle(port));
    }
}

static void a_deadline_ends_a_blocking_call(fixture *f)
{
    for (int at_port = 0; at_port < 2; at_port++) {
        intptr_t ends[2];
        char found[8];
        epio_op op = {0};
        HANDLE port = make_pipe_for_workers(ends, at_port == 1);
        epio_file *reader = fixture_adopt(f, ends[0], 0);
        for (int i = 0; i < 3; i++) {
            op.timeout_ns = 20 * MILLISECOND;
            check_op(f, epio_read(&op, reader, found, sizeof found, 0), EPIO_ETIMEDOUT);
            check_result(pipe_write(ends[1], "abc", 3), 3);
            op.timeout_ns = 100 * SECOND;
            check_op(f, epio_read(&op, reader, found, sizeof found, 0), 3);
        }
        fixture_close(f, reader);
        check(handle_close(ends[1]));
        close_port(port);
    }
}

#if EPIO_ASYNC

static void a_cancel_ends_a_workers_call(fixture *f)
{
    for (int at_port = 0; at_port < 2; at_port++) {
        intptr_t ends[2];
        char found[8];
        HANDLE port = make_pipe_for_workers(ends, at_port == 1);
        epio_file *reader = fixture_adopt(f, ends[0], 0);
        for (int i = 0; i < 20; i++) {
            epio_op op = {0};
            epio_submit(epio_read(&op, reader, found, sizeof found, 0));
            /* It may not have started, nor the thread have entered the system call. */
            (void)epio_loop_poll(f->loop, (uint64_t)i * MILLISECOND / 4, 0);
            epio_cancel(&op);
            check_result(epio_wait(&op), EPIO_ECANCELED);
            check_result(pipe_write(ends[1], "abc", 3), 3);
            check_op(f, epio_read(&op, reader, found, sizeof found, 0), 3);
            assert_memory_equal(found, "abc", 3);
        }
        fixture_close(f, reader);
        check(handle_close(ends[1]));
        close_port(port);
    }
}

static void a_close_ends_the_workers_calls(fixture *f)
{
    enum { LARGE = 1024 * 1024 };
    static unsigned char data[LARGE];
    for (int at_port = 0; at_port < 2; at_port++) {
        intptr_t ends[2];
        char found[8];
        epio_op ops[3] = {{0}};
        HANDLE port = make_pipe_for_workers(ends, at_port == 1);
        epio_file *reader = fixture_adopt(f, ends[0], 0);
        epio_submit(epio_read(&ops[0], reader, found, sizeof found, 0));
        (void)epio_loop_poll(f->loop, 10 * MILLISECOND, 0);
        fixture_close(f, reader);
        check_result(ops[0].result, EPIO_ECANCELED);
        check(handle_close(ends[1]));
        close_port(port);

        port = make_pipe_for_workers(ends, at_port == 1);
        epio_file *writer = fixture_adopt(f, ends[1], 0);
        epio_submit(epio_write(&ops[1], writer, data, LARGE, 0));
        epio_submit(epio_write(&ops[2], writer, data, LARGE, 0));
        (void)epio_loop_poll(f->loop, 10 * MILLISECOND, 0);
        fixture_close(f, writer);
        check_result(ops[1].result, EPIO_ECANCELED);
        check_result(ops[2].result, EPIO_ECANCELED);
        check(handle_close(ends[0]));
        close_port(port);
    }
}

/* The owner has nothing else to do, but if it read itself it would miss the cancel. */
static void *cancel_soon(void *op)
{
    sleep_ns(50 * MILLISECOND);
    epio_cancel(op);
    return NULL;
}

static void another_thread_cancels_a_workers_call(fixture *f)
{
    intptr_t ends[2];
    char found[8];
    epio_op op = {0};
    test_thread thread;
    pipe_make_plain(ends);
    epio_file *reader = fixture_adopt(f, ends[0], 0);
    (void)epio_read(&op, reader, found, sizeof found, 0);
    epio_submit(&op);
    thread_start(&thread, cancel_soon, &op);
    check_result(epio_wait(&op), EPIO_ECANCELED);
    (void)thread_join(thread);
    fixture_close(f, reader);
    check(handle_close(ends[1]));
}

#endif

/* A call on it does not wait, and the system does not report when it is ready. */
static void a_polled_pipe_is_not_taken(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    make_message_pipe(ends, PIPE_NOWAIT);
    check_op(f, epio_adopt(&op, f->vfs, ends[0], 0), EPIO_ENOTSUP);
    check(op.file == NULL);
    check(handle_close(ends[0])); /* still the caller's */
    check(handle_close(ends[1]));
}

static void a_sync_of_a_pipe_is_refused(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    make_message_pipe(ends, PIPE_WAIT);
    epio_file *file = fixture_adopt(f, ends[1], 0);
    fixture_write(f, file, "data of 17 bytes.", 17, 0);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), EPIO_EINVAL);
    fixture_write(f, file, "and this", 8, 0);
    fixture_close(f, file);
    check(handle_close(ends[0]));
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_message_is_read_in_parts, ON_ANY_OS),
        FIXTURE_TEST(an_empty_message_is_no_end, ON_ANY_OS),
        FIXTURE_TEST(a_message_in_parts_is_refused, ON_ANY_OS),
        FIXTURE_TEST(a_pipe_that_skips_packets_loses_nothing, ON_ANY_OS),
        FIXTURE_TEST(a_deadline_ends_a_blocking_call, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(a_cancel_ends_a_workers_call, LOOPS),
        FIXTURE_TEST(a_close_ends_the_workers_calls, LOOPS),
        FIXTURE_TEST(another_thread_cancels_a_workers_call, LOOPS),
#endif
        FIXTURE_TEST(a_polled_pipe_is_not_taken, ON_ANY_OS),
        FIXTURE_TEST(a_sync_of_a_pipe_is_refused, ON_ANY_OS),
    };
    return FIXTURE_RUN("pipes of Windows", tests);
}
