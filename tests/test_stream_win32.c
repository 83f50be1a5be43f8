/* Pipes as only Windows has them: of messages, and those that are polled. The rest is in
 * test_stream.c. EPIO_TEST_WITHOUT_LOOP: it serves a library without loops too. */
#include "support.h"

#include "win32/win32.h"

static epio_file *adopt(fixture *f, intptr_t handle)
{
    epio_op op = {0};
    check_op(f, epio_adopt(&op, f->vfs, handle, 0), 0);
    return op.file;
}

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
    epio_file *file = adopt(f, ends[0]);
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
    epio_file *file = adopt(f, ends[0]);
    check_result(pipe_write(ends[1], "", 0), 0);
    check_result(pipe_write(ends[1], "abc", 3), 3);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 3);
    assert_memory_equal(found, "abc", 3);
    fixture_close(f, file);
    check(handle_close(ends[1]));
}

/* Neither does a call on it wait, nor does the system say when it could go on. */
static void a_polled_pipe_is_not_taken(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    make_message_pipe(ends, PIPE_NOWAIT);
    check_op(f, epio_adopt(&op, f->vfs, ends[0], 0), EPIO_ENOTSUP);
    check(op.file == NULL);
    check(handle_close(ends[0])); /* it is still the caller's */
    check(handle_close(ends[1]));
}

static void a_sync_of_a_pipe_is_refused(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    make_message_pipe(ends, PIPE_WAIT);
    epio_file *file = adopt(f, ends[1]);
    fixture_write(f, file, "nobody reads this", 17, 0);
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
        FIXTURE_TEST(a_polled_pipe_is_not_taken, ON_ANY_OS),
        FIXTURE_TEST(a_sync_of_a_pipe_is_refused, ON_ANY_OS),
    };
    return FIXTURE_RUN("pipes of Windows", tests);
}
