/* Streams that poll(2) reports as invalid (POLLNVAL), as macOS does for /dev/tty. Here the test's
 * own poll does so for one descriptor. The part that epio_perform carries out also runs without
 * loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/select.h>
#include <unistd.h>

/* ---- poll(2), but for one descriptor ---- */

static atomic_int unwatched = -1;
static atomic_int refusals;

static int refuse(struct pollfd *set, nfds_t count)
{
    int refused = 0;
    for (nfds_t i = 0; i < count; i++) {
        set[i].revents = 0;
        if (set[i].fd >= 0 && set[i].fd == atomic_load(&unwatched)) {
            set[i].revents = POLLNVAL;
            refused++;
        }
    }
    atomic_fetch_add(&refusals, refused);
    return refused;
}

/* By select(2), as this poll hides libc's. */
static int wait_by_select(struct pollfd *set, nfds_t count, const struct timespec *left)
{
    fd_set readable;
    fd_set writable;
    int highest = -1;
    int ready = refuse(set, count);
    if (ready > 0) {
        return ready;
    }
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    for (nfds_t i = 0; i < count; i++) {
        unsigned descriptor = (unsigned)set[i].fd;
        if ((set[i].events & POLLIN) != 0) {
            FD_SET(descriptor, &readable);
        }
        if ((set[i].events & POLLOUT) != 0) {
            FD_SET(descriptor, &writable);
        }
        highest = set[i].fd > highest ? set[i].fd : highest;
    }
    if (pselect(highest + 1, &readable, &writable, NULL, left, NULL) < 0) {
        return -1;
    }
    for (nfds_t i = 0; i < count; i++) {
        unsigned descriptor = (unsigned)set[i].fd;
        short can_read = FD_ISSET(descriptor, &readable) ? POLLIN : 0;
        short can_write = FD_ISSET(descriptor, &writable) ? POLLOUT : 0;
        set[i].revents = (short)(set[i].events & (can_read | can_write));
        ready += set[i].revents != 0 ? 1 : 0;
    }
    return ready;
}

int poll(struct pollfd *set, nfds_t count, int milliseconds)
{
    struct timespec left = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    return wait_by_select(set, count, milliseconds < 0 ? NULL : &left);
}

int ppoll(struct pollfd *set, nfds_t count, const struct timespec *left, const sigset_t *mask)
{
    assert_null(mask);
    return wait_by_select(set, count, left);
}

/* ---- A pipe whose readiness is unknown ----------------------- */

typedef struct stream {
    epio_file *file;
    int other; /* the other end */
} stream;

/* `end`: 0 to read from, 1 to write to. An adopted stream does not block, like one that epio
 * opened. */
static stream open_unwatched(fixture *f, int end)
{
    epio_op op = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[end], F_SETFL, O_NONBLOCK), 0);
    check_op(f, epio_adopt(&op, f->vfs, ends[end], 0), 0);
    atomic_store(&unwatched, ends[end]);
    stream one = {.file = op.file, .other = ends[1 - end]};
    return one;
}

static void close_unwatched(fixture *f, stream one)
{
    atomic_store(&unwatched, -1);
    fixture_close(f, one.file);
    assert_int_equal(close(one.other), 0);
}

static void a_read_that_cannot_be_watched_times_out(fixture *f)
{
    char byte;
    epio_op op = {0};
    stream one = open_unwatched(f, 0);
    for (int i = 0; i < 3; i++) {
        op.timeout_ns = 30 * MILLISECOND;
        check_op(f, epio_read(&op, one.file, &byte, 1, 0), EPIO_ETIMEDOUT);
    }
    close_unwatched(f, one);
}

static void it_reads_what_is_there(fixture *f)
{
    char bytes[8];
    epio_op op = {0};
    stream one = open_unwatched(f, 0);
    assert_int_equal(write(one.other, "first", 5), 5);
    check_op(f, epio_read(&op, one.file, bytes, sizeof bytes, 0), 5);
    assert_memory_equal(bytes, "first", 5);
    assert_int_equal(write(one.other, "then", 4), 4);
    check_op(f, epio_read(&op, one.file, bytes, sizeof bytes, 0), 4);
    assert_memory_equal(bytes, "then", 4);
    close_unwatched(f, one);
}

static void a_write_that_cannot_be_watched_takes_up_where_it_was(fixture *f)
{
    static char data[300000];
    static char got[sizeof data];
    epio_op op = {0};
    stream one = open_unwatched(f, 1);
    pattern_fill(data, sizeof data, 0);
    op.timeout_ns = 100 * MILLISECOND;
    check_op(f, epio_write(&op, one.file, data, sizeof data, 0), EPIO_ETIMEDOUT);
    size_t have = 0;
    assert_int_equal(fcntl(one.other, F_SETFL, O_NONBLOCK), 0);
    for (ssize_t more; (more = read(one.other, got + have, sizeof got - have)) > 0;) {
        have += (size_t)more;
    }
    assert_true(have > 0 && have < sizeof data);
    assert_memory_equal(got, data, have); /* each byte once, in order */
    close_unwatched(f, one);
}

#if EPIO_ASYNC

static void it_reads_what_comes_later(fixture *f)
{
    char bytes[8];
    epio_op reading = {0};
    epio_op sleeping = {0};
    stream one = open_unwatched(f, 0);
    int before = atomic_load(&refusals);
    epio_submit(epio_read(&reading, one.file, bytes, sizeof bytes, 0));
    epio_wait(epio_sleep(&sleeping, f->vfs, 50 * MILLISECOND));
    assert_true(epio_op_pending(&reading));
    /* Not in a busy loop: that is the point of this test. */
    assert_in_range(atomic_load(&refusals) - before, 0, 1000);
    assert_int_equal(write(one.other, "late", 4), 4);
    check_result(epio_wait(&reading), 4);
    assert_memory_equal(bytes, "late", 4);
    close_unwatched(f, one);
}

static void it_can_be_cancelled(fixture *f)
{
    char byte;
    epio_op reading = {0};
    epio_op sleeping = {0};
    stream one = open_unwatched(f, 0);
    for (uint64_t pause = 1; pause <= 64; pause *= 4) {
        epio_submit(epio_read(&reading, one.file, &byte, 1, 0));
        epio_wait(epio_sleep(&sleeping, f->vfs, pause * MILLISECOND));
        epio_cancel(&reading);
        check_result(epio_wait(&reading), EPIO_ECANCELED);
    }
    close_unwatched(f, one);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_read_that_cannot_be_watched_times_out, ON_ANY_OS),
        FIXTURE_TEST(it_reads_what_is_there, ON_ANY_OS),
        FIXTURE_TEST(a_write_that_cannot_be_watched_takes_up_where_it_was, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(it_reads_what_comes_later, ON_OS),
        FIXTURE_TEST(it_can_be_cancelled, ON_OS),
#endif
    };
    return FIXTURE_RUN("streams that cannot be watched", tests);
}
