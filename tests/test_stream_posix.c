/* Streams as only POSIX has them: FIFOs, whose opens wait for the other end, terminals, descriptors
 * with modes and duplicates, SIGPIPE. The rest is in test_stream.c. The part that epio_perform
 * carries out also runs without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* Both ends of a pipe; the descriptors stay the test's until they are adopted. */
static void make_pipe(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
}

static const char *make_fifo(fixture *f, const char *name)
{
    const char *path = fixture_path(f, name);
    assert_int_equal(mkfifo(path, 0600), 0);
    return path;
}

static void put_bytes(int descriptor, const void *data, size_t len)
{
    assert_int_equal(write(descriptor, data, len), (ssize_t)len);
}

static void close_descriptor(int descriptor)
{
    assert_int_equal(close(descriptor), 0);
}

static int open_descriptor(const char *path, int flags)
{
    int descriptor = open(path, flags | O_CLOEXEC);
    assert_true(descriptor >= 0);
    return descriptor;
}

/* The master of a new terminal in line mode, without output processing. */
static int make_terminal(char *path, size_t len)
{
    struct termios raw;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        return -1;
    }
    (void)snprintf(path, len, "%s", ptsname(master));
    assert_int_equal(tcgetattr(master, &raw), 0);
    raw.c_lflag &= (tcflag_t) ~(ECHO | ECHONL);
    raw.c_oflag &= (tcflag_t)~OPOST;
    assert_int_equal(tcsetattr(master, TCSANOW, &raw), 0);
    return master;
}

/* An application's handler sees no signal of ours. */
static volatile sig_atomic_t pipe_signals;

static void note_signal(int signal_number)
{
    (void)signal_number;
    pipe_signals = pipe_signals + 1;
}

static void check_broken_pipe(fixture *f, epio_file *file)
{
    char byte = 'x';
    epio_iovec part = {&byte, 1};
    epio_op op = {0};
    check_op_fails(f, epio_write(&op, file, &byte, 1, 0), EPIO_EPIPE, EPIPE);
    check_op_fails(f, epio_writev(&op, file, &part, 1, 0), EPIO_EPIPE, EPIPE);
}

static void a_broken_pipe_is_an_error(fixture *f)
{
    struct sigaction before;
    struct sigaction noting = {.sa_handler = note_signal};
    int pairs[2][2];
    make_pipe(pairs[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[1]), 0);
    for (size_t i = 0; i < 2; i++) {
        epio_file *file = fixture_adopt(f, pairs[i][1], 0);
        close_descriptor(pairs[i][0]);
        /* The default would end the process. */
        assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
        check_broken_pipe(f, file);
        assert_int_equal(sigaction(SIGPIPE, &noting, &before), 0);
        assert_true(before.sa_handler == SIG_DFL);
        check_broken_pipe(f, file);
        assert_int_equal(pipe_signals, 0);
        assert_int_equal(sigaction(SIGPIPE, NULL, &before), 0);
        assert_true(before.sa_handler == note_signal);
        assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
        fixture_close(f, file);
    }
}

/* A signal that the application has pending stays pending. */
static void a_pending_signal_stays_pending(fixture *f)
{
    sigset_t blocked;
    sigset_t before;
    sigset_t pending;
    int ends[2];
    int taken = 0;
    make_pipe(ends);
    epio_file *file = fixture_adopt(f, ends[1], 0);
    close_descriptor(ends[0]);
    assert_int_equal(sigemptyset(&blocked), 0);
    assert_int_equal(sigaddset(&blocked, SIGPIPE), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    check_broken_pipe(f, file);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    assert_int_equal(raise(SIGPIPE), 0);
    check_broken_pipe(f, file);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 1);
    assert_int_equal(sigwait(&blocked, &taken), 0);
    assert_int_equal(taken, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    fixture_close(f, file);
}

static void a_fifo_without_reader_times_out(fixture *f)
{
    const char *path = make_fifo(f, "fifo");
    epio_op op = {0};
    op.timeout_ns = 20 * MILLISECOND;
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_WRITE), EPIO_ETIMEDOUT);
    assert_null(op.file);
}

static void an_open_fifo_waits_for_its_first_writer(fixture *f)
{
    const char *path = make_fifo(f, "fifo");
    char found[4];
    epio_op op = {0};
    /* Neither the open nor a read sees an end before there was a writer. */
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_read(&op, file, found, 4, 0), EPIO_ETIMEDOUT);

    int writer = open_descriptor(path, O_WRONLY);
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_read(&op, file, found, 4, 0), EPIO_ETIMEDOUT);
    put_bytes(writer, "abc", 3);
    check_op(f, epio_read(&op, file, found, 4, 0), 3);
    close_descriptor(writer);
    check_op(f, epio_read(&op, file, found, 4, 0), 0);

    /* Another writer, another end of file. */
    writer = open_descriptor(path, O_WRONLY);
    put_bytes(writer, "de", 2);
    check_op(f, epio_read(&op, file, found, 4, 0), 2);
    assert_memory_equal(found, "de", 2);
    close_descriptor(writer);
    check_op(f, epio_read(&op, file, found, 4, 0), 0);
    fixture_close(f, file);
}

/* A writer that wrote nothing was the first writer, too. */
static void a_silent_writer_ends_a_fifo(fixture *f)
{
    const char *path = make_fifo(f, "fifo");
    char found[4];
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    close_descriptor(open_descriptor(path, O_WRONLY));
    check_op(f, epio_read(&op, file, found, 4, 0), 0);
    fixture_close(f, file);
}

static void what_epio_opens_does_not_block(fixture *f)
{
    const char *path = make_fifo(f, "fifo");
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), 0);
    epio_file *reader = op.file;
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_WRITE), 0);
    epio_file *writer = op.file;
    int descriptor = (int)epio_file_os_handle(writer);
    assert_int_equal(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(descriptor, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    descriptor = (int)epio_file_os_handle(reader);
    assert_int_equal(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(descriptor, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    fixture_close(f, reader);
    fixture_close(f, writer);

    /* Both ends in one file: the open does not wait. */
    char found[3];
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE), 0);
    epio_file *both = op.file;
    fixture_write(f, both, "abc", 3, 0);
    fixture_read(f, both, found, 3, 0);
    assert_memory_equal(found, "abc", 3);
    fixture_close(f, both);
}

static void an_adopted_stream_keeps_its_mode(fixture *f)
{
    static const int modes[] = {0, O_NONBLOCK};
    char found[4];
    epio_op op = {0};
    for (size_t i = 0; i < 2; i++) {
        int ends[2];
        make_pipe(ends);
        assert_int_equal(fcntl(ends[0], F_SETFL, modes[i]), 0);
        int before = fcntl(ends[0], F_GETFL);
        int duplicate = dup(ends[0]);
        epio_file *file = fixture_adopt(f, ends[0], 0);
        op.timeout_ns = MILLISECOND;
        check_op(f, epio_read(&op, file, found, 4, 0), EPIO_ETIMEDOUT);
        put_bytes(ends[1], "abc", 3);
        check_op(f, epio_read(&op, file, found, 4, 0), 3);
        assert_int_equal(fcntl(duplicate, F_GETFL), before);
        assert_int_equal(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, 0);
        fixture_close(f, file);
        assert_int_equal(fcntl(duplicate, F_GETFL), before);
        close_descriptor(duplicate);
        close_descriptor(ends[1]);
    }
}

/* Standard input as every kind of file. */
static void standard_input_can_be_adopted(fixture *f)
{
    char found[8];
    epio_op op = {0};
    int ends[2];
    int saved = dup(STDIN_FILENO);
    fixture_put(f, "file", "content", 7);
    make_pipe(ends);
    put_bytes(ends[1], "piped", 5);
    close_descriptor(ends[1]);
    const int inputs[3] = {ends[0], open_descriptor(fixture_path(f, "file"), O_RDONLY),
                           open_descriptor("/dev/null", O_RDONLY)};
    static const struct {
        const char *text;
        int64_t len;
    } contents[3] = {{"piped", 5}, {"content", 7}, {"", 0}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(dup2(inputs[i], STDIN_FILENO), STDIN_FILENO);
        close_descriptor(inputs[i]);
        epio_file *file = fixture_adopt(f, STDIN_FILENO, 0);
        assert_int_equal(epio_file_os_handle(file), STDIN_FILENO);
        check_op(f, epio_read(&op, file, found, sizeof found, 0), contents[i].len);
        assert_memory_equal(found, contents[i].text, (size_t)contents[i].len);
        fixture_close(f, file);
    }
    if (saved >= 0) {
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        close_descriptor(saved);
    } else {
        assert_int_equal(open("/dev/null", O_RDONLY), STDIN_FILENO);
    }
}

static void a_terminal_is_a_stream(fixture *f)
{
    char path[128];
    char found[64];
    epio_op op = {0};
    int master = make_terminal(path, sizeof path);
    if (master < 0) {
        fixture_skip(f, "no terminals");
    }
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE), 0);
    epio_file *file = op.file;
    assert_true(isatty((int)epio_file_os_handle(file)) == 1);
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_read(&op, file, found, sizeof found, 0), EPIO_ETIMEDOUT);

    /* A line at a time; half a line is none. */
    put_bytes(master, "half", 4);
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_read(&op, file, found, sizeof found, 0), EPIO_ETIMEDOUT);
    put_bytes(master, " a line\nnext\n", 13);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 12);
    assert_memory_equal(found, "half a line\n", 12);
    check_op(f, epio_read(&op, file, found, 2, 0), 2);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 3);
    /* Ctrl-D is an end of file, but more may follow. */
    put_bytes(master, "\x04", 1);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 0);
    put_bytes(master, "more\n", 5);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 5);

    fixture_write(f, file, "output\n", 7, 0);
    for (size_t total = 0; total < 7;) {
        ssize_t count = read(master, found + total, 7 - total);
        assert_true(count > 0);
        total += (size_t)count;
    }
    assert_memory_equal(found, "output\n", 7);
    check_op(f, epio_size(&op, file), EPIO_ESPIPE);
    fixture_close(f, file);
    close_descriptor(master);
}

static void a_terminal_that_hangs_up_ends(fixture *f)
{
    char path[128];
    char found[64];
    epio_op op = {0};
    int master = make_terminal(path, sizeof path);
    if (master < 0) {
        fixture_skip(f, "no terminals");
    }
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE), 0);
    epio_file *file = op.file;
    close_descriptor(master);
    /* An end of file or an error, depending on the system. */
    int64_t result = fixture_result(f, epio_read(&op, file, found, sizeof found, 0));
    assert_true(result == 0 || result == EPIO_EIO);
    check_result(fixture_result(f, epio_write(&op, file, "x", 1, 0)), EPIO_EIO);
    fixture_close(f, file);
}

/* A session leader without a terminal gets one by opening it, unless asked not
 * to; a library must not. */
static void open_a_terminal_as_leader(void *argument)
{
    const char *path = argument;
    epio_op op = {0};
    check(setsid() >= 0);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    int own = open("/dev/tty", O_RDWR);
    check(own < 0);
    check_result(epio_perform(epio_close(&op, op.file)), 0);
}

static void opening_a_terminal_takes_no_control(fixture *f)
{
    char path[128];
    int master = make_terminal(path, sizeof path);
    if (master < 0) {
        fixture_skip(f, "no terminals");
    }
    assert_int_equal(run_in_fork(open_a_terminal_as_leader, path), 0);
    close_descriptor(master);
}

typedef struct helper {
    pthread_t thread;
    const char *path;
    int descriptor;
    char found[8];
    ssize_t count;
} helper;

static void *open_for_reading_after_a_while(void *argument)
{
    helper *one = argument;
    (void)usleep(20000);
    one->descriptor = open(one->path, O_RDONLY | O_CLOEXEC);
    one->count = read(one->descriptor, one->found, sizeof one->found);
    (void)close(one->descriptor);
    return NULL;
}

static void start(helper *one, void *(*run)(void *argument))
{
    assert_int_equal(pthread_create(&one->thread, NULL, run, one), 0);
}

static void finish(helper *one)
{
    assert_int_equal(pthread_join(one->thread, NULL), 0);
}

static void an_open_for_writing_waits_for_a_reader(fixture *f)
{
    epio_op op = {0};
    helper one = {.path = make_fifo(f, "fifo")};
    start(&one, open_for_reading_after_a_while);
    check_op(f, epio_open(&op, f->vfs, one.path, EPIO_OPEN_WRITE), 0);
    epio_file *file = op.file;
    fixture_write(f, file, "hello", 5, 0);
    finish(&one);
    assert_int_equal(one.count, 5);
    assert_memory_equal(one.found, "hello", 5);
    fixture_close(f, file);
}

#if EPIO_ASYNC

enum { WAITERS = 100 };

static void waiting_reads_hold_no_worker(fixture *f)
{
    static epio_op reads[WAITERS];
    epio_file *files[WAITERS];
    char found[WAITERS];
    char name[32];
    epio_op op = {0};
    memset(reads, 0, sizeof reads);
    for (size_t i = 0; i < WAITERS; i++) {
        (void)snprintf(name, sizeof name, "fifo%zu", i);
        check_op(f, epio_open(&op, f->vfs, make_fifo(f, name), EPIO_OPEN_READ), 0);
        files[i] = op.file;
        epio_submit(epio_read(&reads[i], files[i], &found[i], 1, 0));
    }
    fixture_settle(f);
    fixture_works(f);
    for (size_t i = 0; i < WAITERS; i++) {
        assert_true(epio_op_pending(&reads[i]));
    }

    /* A third gets data, a third is cancelled, the rest is left to the close. */
    for (size_t i = 0; i < WAITERS; i++) {
        if (i % 3 == 0) {
            (void)snprintf(name, sizeof name, "fifo%zu", i);
            int writer = open_descriptor(fixture_path(f, name), O_WRONLY);
            put_bytes(writer, "x", 1);
            check_result(epio_wait(&reads[i]), 1);
            assert_int_equal(found[i], 'x');
            close_descriptor(writer);
        } else if (i % 3 == 1) {
            epio_cancel(&reads[i]);
            check_result(epio_wait(&reads[i]), EPIO_ECANCELED);
        }
    }
    for (size_t i = 0; i < WAITERS; i++) {
        fixture_close(f, files[i]);
        check_result(reads[i].result, i % 3 == 0 ? 1 : EPIO_ECANCELED);
    }
}

static void waiting_opens_hold_no_worker(fixture *f)
{
    static epio_op opens[WAITERS];
    char name[32];
    const char *paths[WAITERS];
    memset(opens, 0, sizeof opens);
    for (size_t i = 0; i < WAITERS; i++) {
        (void)snprintf(name, sizeof name, "fifo%zu", i);
        paths[i] = make_fifo(f, name);
        opens[i].timeout_ns = i % 3 == 2 ? 50 * MILLISECOND : 0;
        epio_submit(epio_open(&opens[i], f->vfs, paths[i], EPIO_OPEN_WRITE));
    }
    fixture_works(f);
    for (size_t i = 0; i < WAITERS; i++) {
        if (i % 3 == 0) {
            int reader = open_descriptor(paths[i], O_RDONLY | O_NONBLOCK);
            check_result(epio_wait(&opens[i]), 0);
            assert_non_null(opens[i].file);
            fixture_close(f, opens[i].file);
            close_descriptor(reader);
        } else if (i % 3 == 1) {
            epio_cancel(&opens[i]);
            check_result(epio_wait(&opens[i]), EPIO_ECANCELED);
            assert_null(opens[i].file);
        } else {
            check_result(epio_wait(&opens[i]), EPIO_ETIMEDOUT);
            assert_null(opens[i].file);
        }
    }
}

/* Even a loop with one worker, which no wait may occupy. */
static void one_worker_is_enough(fixture *f)
{
    static epio_op ops[2 * WAITERS];
    epio_loop_options options = {.size = sizeof options, .workers = 1};
    epio_loop *own = f->loop;
    epio_vfs *own_vfs = f->vfs;
    epio_op op = {0};
    char found;
    memset(ops, 0, sizeof ops);
    assert_int_equal(epio_loop_create(&f->loop, &options), 0);
    f->vfs = epio_loop_vfs(f->loop);
    const char *read_path = make_fifo(f, "read");
    const char *write_path = make_fifo(f, "write");
    check_op(f, epio_open(&op, f->vfs, read_path, EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    for (size_t i = 0; i < WAITERS; i++) {
        epio_submit(epio_read(&ops[i], file, &found, 1, 0));
        epio_submit(epio_open(&ops[WAITERS + i], f->vfs, write_path, EPIO_OPEN_WRITE));
    }
    fixture_works(f);
    for (size_t i = 0; i < 2 * WAITERS; i++) {
        epio_cancel(&ops[i]);
    }
    for (size_t i = 0; i < 2 * WAITERS; i++) {
        check_result(epio_wait(&ops[i]), EPIO_ECANCELED);
    }
    fixture_close(f, file);
    epio_loop_destroy(f->loop);
    f->loop = own;
    f->vfs = own_vfs;
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

static void a_long_write_writes_all(fixture *f)
{
    static const int modes[] = {0, O_NONBLOCK};
    epio_op write = {0};
    pattern_fill(large, sizeof large, 0);
    for (size_t i = 0; i < 2; i++) {
        int pairs[2][2];
        make_pipe(pairs[0]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[1]), 0);
        for (size_t j = 0; j < 2; j++) {
            assert_int_equal(fcntl(pairs[j][1], F_SETFL, modes[i]), 0);
            epio_file *reader = fixture_adopt(f, pairs[j][0], 0);
            epio_file *writer = fixture_adopt(f, pairs[j][1], 0);
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
}

/* Reads a terminal's other end, so that a thread that is blocked in a write to it continues: after
 * a time in which none should be, or until it is stopped. */
typedef struct terminal_drainer {
    pthread_t thread;
    int master;
    int stop[2];
    bool was_needed;
} terminal_drainer;

static void *drain_terminal(void *argument)
{
    terminal_drainer *one = argument;
    static char sink[4096];
    struct pollfd entries[2] = {{one->stop[0], POLLIN, 0}, {one->master, POLLIN, 0}};
    one->was_needed = poll(entries, 1, 20000) == 0;
    while (one->was_needed && poll(entries, 2, -1) > 0 && entries[0].revents == 0) {
        (void)!read(one->master, sink, sizeof sink);
    }
    return NULL;
}

/* Nor must a terminal whose other end does not read. */
static void a_blocking_terminal_does_not_block(fixture *f)
{
    char path[128];
    epio_op write = {0};
    terminal_drainer one = {.master = make_terminal(path, sizeof path)};
    if (one.master < 0) {
        fixture_skip(f, "no terminals");
    }
    make_pipe(one.stop);
    assert_int_equal(pthread_create(&one.thread, NULL, drain_terminal, &one), 0);
    epio_file *file = fixture_adopt(f, open(path, O_RDWR | O_NOCTTY | O_CLOEXEC), 0);
    epio_submit(epio_write(&write, file, large, sizeof large, 0));
    fixture_settle(f);
    bool pending = epio_op_pending(&write);
    fixture_works(f);
    epio_cancel(&write);
    int64_t result = epio_wait(&write);
    fixture_close(f, file);
    close_descriptor(one.stop[1]);
    assert_int_equal(pthread_join(one.thread, NULL), 0);
    close_descriptor(one.stop[0]);
    close_descriptor(one.master);
    assert_false(one.was_needed);
    assert_true(pending);
    check_result(result, EPIO_ECANCELED);
}

/* Two files on one pipe are both notified of data; one comes too late. */
static void a_late_reader_keeps_waiting(fixture *f)
{
    int ends[2];
    char found[2] = {0};
    epio_op ops[2] = {{0}};
    make_pipe(ends);
    int other = dup(ends[0]);
    epio_file *files[2] = {fixture_adopt(f, ends[0], 0), fixture_adopt(f, other, 0)};
    for (size_t i = 0; i < 2; i++) {
        epio_submit(epio_read(&ops[i], files[i], &found[i], 1, 0));
    }
    fixture_settle(f);
    put_bytes(ends[1], "x", 1);
    while (epio_op_pending(&ops[0]) && epio_op_pending(&ops[1])) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    fixture_settle(f);
    assert_int_equal(epio_op_pending(&ops[0]) + epio_op_pending(&ops[1]), 1);
    fixture_works(f);
    put_bytes(ends[1], "y", 1);
    check_result(epio_wait(&ops[0]), 1);
    check_result(epio_wait(&ops[1]), 1);
    assert_int_equal(found[0] + found[1], 'x' + 'y');
    close_descriptor(ends[1]);
    fixture_close(f, files[0]);
    fixture_close(f, files[1]);
}

/* The stream may stay open by another descriptor; the file is closed. */
static void a_duplicate_outlives_the_close(fixture *f)
{
    int ends[2];
    char found[4];
    epio_op reads[2] = {{0}};
    make_pipe(ends);
    int duplicate = dup(ends[0]);
    assert_true(duplicate >= 0);
    for (size_t i = 0; i < 2; i++) {
        epio_file *file = fixture_adopt(f, i == 0 ? ends[0] : dup(duplicate), 0);
        epio_submit(epio_read(&reads[i], file, found, 4, 0));
        fixture_settle(f);
        if (i == 1) {
            epio_cancel(&reads[i]);
            check_result(epio_wait(&reads[i]), EPIO_ECANCELED);
        }
        fixture_close(f, file);
        check_result(reads[i].result, EPIO_ECANCELED);
    }
    put_bytes(ends[1], "abc", 3);
    fixture_settle(f);
    fixture_works(f);
    assert_int_equal(read(duplicate, found, 4), 3);
    close_descriptor(duplicate);
    close_descriptor(ends[1]);
}

static void a_cancelled_open_leaves_its_fifo_alone(fixture *f)
{
    epio_op opens[2] = {{0}};
    const char *path = make_fifo(f, "fifo");
    for (size_t i = 0; i < 2; i++) {
        epio_submit(epio_open(&opens[i], f->vfs, path, EPIO_OPEN_WRITE));
    }
    fixture_settle(f);
    epio_cancel(&opens[0]);
    check_result(epio_wait(&opens[0]), EPIO_ECANCELED);
    assert_null(opens[0].file);
    int reader = open_descriptor(path, O_RDONLY | O_NONBLOCK);
    check_result(epio_wait(&opens[1]), 0);
    char byte;
    fixture_write(f, opens[1].file, "x", 1, 0);
    assert_int_equal(read(reader, &byte, 1), 1);
    fixture_close(f, opens[1].file);
    /* No other writer is left. */
    assert_int_equal(read(reader, &byte, 1), 0);
    close_descriptor(reader);
}

/* Both ends of a FIFO on one loop, opened in either order. */
static void both_ends_on_one_loop(fixture *f)
{
    epio_op reader = {0};
    epio_op writer = {0};
    epio_op read = {0};
    char found[4];
    for (int writer_first = 0; writer_first < 2; writer_first++) {
        char name[32];
        (void)snprintf(name, sizeof name, "fifo%d", writer_first);
        const char *path = make_fifo(f, name);
        if (writer_first != 0) {
            epio_submit(epio_open(&writer, f->vfs, path, EPIO_OPEN_WRITE));
            fixture_settle(f);
            epio_submit(epio_open(&reader, f->vfs, path, EPIO_OPEN_READ));
        } else {
            epio_submit(epio_open(&reader, f->vfs, path, EPIO_OPEN_READ));
            fixture_settle(f);
            epio_submit(epio_open(&writer, f->vfs, path, EPIO_OPEN_WRITE));
        }
        check_result(epio_wait(&reader), 0);
        check_result(epio_wait(&writer), 0);
        epio_submit(epio_read(&read, reader.file, found, 4, 0));
        fixture_settle(f);
        fixture_write(f, writer.file, "abc", 3, 0);
        check_result(epio_wait(&read), 3);
        epio_submit(epio_read(&read, reader.file, found, 4, 0));
        fixture_settle(f);
        fixture_close(f, writer.file);
        check_result(epio_wait(&read), 0);
        fixture_close(f, reader.file);
    }
}

static void a_terminal_read_can_be_cancelled(fixture *f)
{
    char path[128];
    char found[16];
    epio_op read = {0};
    epio_op op = {0};
    int master = make_terminal(path, sizeof path);
    if (master < 0) {
        fixture_skip(f, "no terminals");
    }
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE), 0);
    epio_file *file = op.file;
    epio_submit(epio_read(&read, file, found, sizeof found, 0));
    fixture_settle(f);
    fixture_works(f);
    epio_cancel(&read);
    check_result(epio_wait(&read), EPIO_ECANCELED);
    epio_submit(epio_read(&read, file, found, sizeof found, 0));
    fixture_settle(f);
    put_bytes(master, "line\n", 5);
    check_result(epio_wait(&read), 5);
    fixture_close(f, file);
    close_descriptor(master);
}

#endif

/* ---- Messages ---------------------------------------------------------------- */

#define MOST_PARTS 1024

static void check_messages(fixture *f, int type)
{
    static char text[20000];
    static char got[sizeof text];
    static epio_iovec parts[MOST_PARTS + 1];
    static epio_iovec room[200];
    int ends[2];
    epio_op op = {0};
    assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
    epio_file *writer = fixture_adopt(f, ends[0], 0);
    epio_file *reader = fixture_adopt(f, ends[1], 0);
    pattern_fill(text, sizeof text, 0);

    /* One write of any number of parts is one message. */
    for (size_t count = 1; count <= MOST_PARTS; count += 341) {
        for (size_t i = 0; i < count; i++) {
            parts[i].base = text + 3 * i;
            parts[i].len = 3;
        }
        parts[count / 2].len = count > 1 ? 0 : 3;
        uint64_t len = 3 * count - (count > 1 ? 3 : 0);
        check_op(f, epio_writev(&op, writer, parts, count, 0), len);
        check_op(f, epio_write(&op, writer, "next", 4, 0), 4);
        check_op(f, epio_read(&op, reader, got, sizeof got, 0), len);
        check_op(f, epio_read(&op, reader, got, sizeof got, 0), 4);
        check(memcmp(got, "next", 4) == 0);
    }
    for (size_t i = 0; i <= MOST_PARTS; i++) {
        parts[i].len = 1;
        parts[i].base = text;
    }
    check_op(f, epio_writev(&op, writer, parts, MOST_PARTS + 1, 0), EPIO_EINVAL);

    /* So is a write larger than a pipe, and a read in parts. */
    check_op(f, epio_write(&op, writer, text, sizeof text, 0), sizeof text);
    for (size_t i = 0; i < 200; i++) {
        room[i].base = got + 100 * i;
        room[i].len = 100;
    }
    check_op(f, epio_readv(&op, reader, room, 200, 0), sizeof text);
    check(memcmp(got, text, sizeof text) == 0);

    /* What does not fit into a read is lost; an empty write is a message, too. */
    check_op(f, epio_write(&op, writer, "0123456789", 10, 0), 10);
    check_op(f, epio_write(&op, writer, "", 0, 0), 0);
    check_op(f, epio_write(&op, writer, "end", 3, 0), 3);
    check_op(f, epio_read(&op, reader, got, 4, 0), 4);
    check_op(f, epio_read(&op, reader, got, 4, 0), 0);
    check_op(f, epio_read(&op, reader, got, 4, 0), 3);

    /* A write to a full one waits. */
    while (send(ends[0], text, sizeof text, MSG_DONTWAIT) > 0) {
    }
    op.timeout_ns = MILLISECOND;
    check_op(f, epio_write(&op, writer, "late", 4, 0), EPIO_ETIMEDOUT);
#if EPIO_ASYNC
    if (!f->performs) {
        epio_submit(epio_write(&op, writer, "late", 4, 0));
        while (recv(ends[1], got, sizeof got, MSG_DONTWAIT) == (ssize_t)sizeof text) {
        }
        check_result(epio_wait(&op), 4);
        check_op(f, epio_read(&op, reader, got, sizeof got, 0), 4);
    }
#endif
    fixture_close(f, writer);
    fixture_close(f, reader);
}

static void a_write_is_a_message(fixture *f)
{
    check_messages(f, SOCK_DGRAM);
    check_messages(f, SOCK_SEQPACKET);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_broken_pipe_is_an_error, ON_ANY_OS),
        FIXTURE_TEST(a_pending_signal_stays_pending, ON_ANY_OS),
        FIXTURE_TEST(a_fifo_without_reader_times_out, ON_ANY_OS),
        FIXTURE_TEST(an_open_fifo_waits_for_its_first_writer, ON_ANY_OS),
        FIXTURE_TEST(a_silent_writer_ends_a_fifo, ON_ANY_OS),
        FIXTURE_TEST(what_epio_opens_does_not_block, ON_ANY_OS),
        FIXTURE_TEST(an_adopted_stream_keeps_its_mode, ON_ANY_OS),
        FIXTURE_TEST(standard_input_can_be_adopted, ON_ANY_OS),
        FIXTURE_TEST(a_terminal_is_a_stream, ON_ANY_OS),
        FIXTURE_TEST(a_terminal_that_hangs_up_ends, ON_ANY_OS),
        FIXTURE_TEST(opening_a_terminal_takes_no_control, ON_OS_PERFORM),
        FIXTURE_TEST(an_open_for_writing_waits_for_a_reader, ON_ANY_OS),
#if EPIO_ASYNC
#define LOOPS (ON_OS | ON_LIMIT_OS | ON_LIMIT_OS_3)
        FIXTURE_TEST(waiting_reads_hold_no_worker, LOOPS),
        FIXTURE_TEST(waiting_opens_hold_no_worker, LOOPS),
        FIXTURE_TEST(one_worker_is_enough, ON_OS),
        FIXTURE_TEST(a_long_write_writes_all, LOOPS),
        FIXTURE_TEST(a_blocking_terminal_does_not_block, ON_OS),
        FIXTURE_TEST(a_late_reader_keeps_waiting, LOOPS),
        FIXTURE_TEST(a_duplicate_outlives_the_close, LOOPS),
        FIXTURE_TEST(a_cancelled_open_leaves_its_fifo_alone, LOOPS),
        FIXTURE_TEST(both_ends_on_one_loop, LOOPS),
        FIXTURE_TEST(a_terminal_read_can_be_cancelled, LOOPS),
#endif
        FIXTURE_TEST(a_write_is_a_message, ON_ANY_OS),
    };
    return FIXTURE_RUN("stream, POSIX", tests);
}
