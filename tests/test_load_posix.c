/* Loading what only POSIX has: FIFOs and files of /proc, and a cancel or a deadline while a FIFO
 * gives nothing. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct writer {
    const char *path;
    size_t len;
} writer;

static void *write_fifo(void *argument)
{
    const writer *one = argument;
    char piece[1000];
    int fifo = open(one->path, O_WRONLY | O_CLOEXEC);
    require(fifo >= 0);
    for (size_t at = 0; at < one->len; at += sizeof piece) {
        size_t len = one->len - at < sizeof piece ? one->len - at : sizeof piece;
        pattern_fill(piece, len, at);
        require(write(fifo, piece, len) == (ssize_t)len);
    }
    require(close(fifo) == 0);
    return NULL;
}

static void load_fifo(fixture *f, size_t len)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    writer one = {fixture_path(f, "fifo"), len};
    char *bytes = malloc(len + 1);
    test_thread thread;
    fifo_make(one.path);
    thread_start(&thread, write_fifo, &one);
    check_op(f, epio_load(&op, f->vfs, one.path, &buffer, NULL), len);
    (void)thread_join(thread);
    pattern_fill(bytes, len, 0);
    assert_memory_equal(buffer.data, bytes, len);
    check_result(((const char *)buffer.data)[len], 0);
    epio_buffer_free(&buffer);
    free(bytes);
    check(unlink(one.path) == 0);
}

static void a_fifo_to_its_end(fixture *f)
{
    load_fifo(f, 1);
    load_fifo(f, 300000);
}

static void a_fifo_no_more_than_allowed(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    epio_load_options options = {.size = sizeof options, .most = 100};
    const char *path = fixture_path(f, "fifo");
    fifo_make(path);
    int fifo = open(path, O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 200; i++) {
        check_result(write(fifo, "x", 1), 1);
    }
    check_op(f, epio_load(&op, f->vfs, path, &buffer, &options), EPIO_EFBIG);
    epio_buffer_free(&buffer);
    (void)close(fifo);
}

static void files_of_proc_have_no_size(fixture *f)
{
#ifdef __linux__
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    check(fixture_result(f, epio_load(&op, f->vfs, "/proc/self/status", &buffer, NULL)) > 100);
    check(strstr(buffer.data, "Threads:") != NULL);
    check(fixture_result(f, epio_load(&op, f->vfs, "/proc/kallsyms", &buffer, NULL)) >= 0);
    check_op(f, epio_load(&op, f->vfs, "/dev/null", &buffer, NULL), 0);
    epio_buffer_free(&buffer);
#else
    (void)f;
#endif
}

static void a_deadline_while_nothing_comes(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    const char *path = fixture_path(f, "fifo");
    fifo_make(path);
    int fifo = open(path, O_RDWR | O_CLOEXEC);
    check_result(write(fifo, "begun", 5), 5);
    op.timeout_ns = 20 * MILLISECOND;
    check_op(f, epio_load(&op, f->vfs, path, &buffer, NULL), EPIO_ETIMEDOUT);
    check_result(op.os_error, 0);
    check(buffer.len == 5 || buffer.len == 0); /* on a slow machine nothing was begun */
    epio_buffer_free(&buffer);
    (void)close(fifo);
}

/* No writer has come. */
static void a_deadline_while_no_one_comes(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    fifo_make(fixture_path(f, "fifo"));
    op.timeout_ns = 20 * MILLISECOND;
    check_op(f, epio_load(&op, f->vfs, fixture_path(f, "fifo"), &buffer, NULL), EPIO_ETIMEDOUT);
    epio_buffer_free(&buffer);
}

#if EPIO_ASYNC

static void a_cancel_while_nothing_comes(fixture *f)
{
    epio_buffer buffer = {.size = sizeof buffer};
    tracked one;
    const char *path = fixture_path(f, "fifo");
    epio_progress_info info = {.size = sizeof info};
    fifo_make(path);
    int fifo = open(path, O_RDWR | O_CLOEXEC);
    check_result(write(fifo, "begun", 5), 5);
    epio_submit(epio_load(track(&one), f->vfs, path, &buffer, NULL));
    while (epio_progress(&one.op, &info) != 0 || info.bytes < 5) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    check_result(one.calls, 0);
    epio_cancel(&one.op);
    (void)epio_loop_run(f->loop);
    check_result(one.calls, 1);
    check_result(one.result, EPIO_ECANCELED);
    epio_buffer_free(&buffer);
    (void)close(fifo);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_fifo_to_its_end, ON_ANY_OS),
        FIXTURE_TEST(a_fifo_no_more_than_allowed, ON_ANY_OS),
        FIXTURE_TEST(files_of_proc_have_no_size, ON_ANY_OS),
        FIXTURE_TEST(a_deadline_while_nothing_comes, ON_ANY_OS),
        FIXTURE_TEST(a_deadline_while_no_one_comes, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(a_cancel_while_nothing_comes, ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
#endif
    };
    return FIXTURE_RUN("load_posix", tests);
}
