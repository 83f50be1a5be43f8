/* System calls that the kernel refuses: no ring at all, as in containers, no second ring, a call
 * that fails from some moment on, writes that are not permitted or fail at once. Only Linux has
 * rings, and filters of system calls. Transfers by a ring are tested by test_direct.c. */
#include "fork.h"
#include "refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define BLOCK 4096u
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static void refuse_rings(int error)
{
    refuse(SYS_io_uring_setup, error);
}

static epio_file *open_direct(epio_loop *loop, const char *path)
{
    epio_op op = {0};
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), path,
                                     READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DIRECT)),
                 0);
    return op.file;
}

static void close_file(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_wait(epio_close(&op, file)), 0);
}

#define AT_ONCE 32

static void write_and_read(epio_loop *loop, const char *path)
{
    static _Alignas(BLOCK) unsigned char blocks[AT_ONCE][BLOCK];
    static epio_op ops[AT_ONCE];
    epio_file *file = open_direct(loop, path);
    for (int reading = 0; reading < 2; reading++) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            memset(blocks[i], reading ? 0 : (int)i + 1, BLOCK);
            epio_submit(reading ? epio_read(&ops[i], file, blocks[i], BLOCK, (uint64_t)i * BLOCK)
                                : epio_write(&ops[i], file, blocks[i], BLOCK, (uint64_t)i * BLOCK));
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            check_result(epio_wait(&ops[i]), BLOCK);
            check_bytes(blocks[i], (unsigned char)(i + 1), BLOCK);
        }
    }
    close_file(file);
}

/* ---- No ring ---------------------------------------------------------------- */

typedef struct refusal {
    const char *path;
    const char *name; /* the requested backend; NULL: none */
    int error;
} refusal;

static void use_another_backend(void *argument)
{
    const refusal *one = argument;
    epio_loop_options options = {.size = sizeof options, .backend = one->name};
    epio_loop *loop = NULL;
    refuse_rings(one->error);
    environment_set("EPIO_BACKEND", NULL);
    check_result(epio_loop_create(&loop, &options), 0);
    check(strcmp(epio_loop_backend(loop), "epoll") == 0);
    write_and_read(loop, one->path);
    epio_loop_destroy(loop);
}

static void a_refused_ring_is_no_error(fixture *f)
{
    static const int errors[] = {EPERM, ENOSYS, ENOMEM, EINVAL};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        refusal any = {fixture_path(f, "file"), NULL, errors[i]};
        refusal named = {fixture_path(f, "file"), "uring", errors[i]};
        check_result(run_in_fork(use_another_backend, &any), 0);
        check_result(run_in_fork(use_another_backend, &named), 0);
    }
}

static void move_without_ring(void *argument)
{
    epio_loop *loop = NULL;
    check_result(epio_loop_create(&loop, NULL), 0);
    write_and_read(loop, argument);
    epio_loop_detach(loop);
    refuse_rings(EPERM);
    (void)epio_loop_poll(loop, 0, 0); /* this thread owns it again */
    write_and_read(loop, argument);
    write_and_read(loop, argument);
    epio_loop_destroy(loop);
}

/* A new owner of a loop needs a ring of its own. */
static void a_loop_continues_without_its_ring(fixture *f)
{
    check_result(run_in_fork(move_without_ring, (void *)(uintptr_t)fixture_path(f, "file")), 0);
}

static void lose_the_permission(void *argument)
{
    epio_loop *loop = NULL;
    check_result(epio_loop_create(&loop, NULL), 0);
    write_and_read(loop, argument);
    refuse(SYS_io_uring_enter, EPERM);
    write_and_read(loop, argument);
    write_and_read(loop, argument);
    epio_loop_detach(loop);
    (void)epio_loop_poll(loop, 0, 0);
    write_and_read(loop, argument);
    epio_loop_destroy(loop);
}

/* Batched reads, of which the second half is refused the ring: by reused ops, into buffers that
 * show missing bytes. */
static void lose_the_permission_for_batches(void *argument)
{
    enum { READS = 32, LEN = 16 };
    static epio_op reads[READS];
    static char data[READS][LEN];
    epio_loop *loop = NULL;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    write_and_read(loop, argument);
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), argument,
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_write(&op, file, "0123456789abcdef", LEN, 0)), LEN);
    for (int round = 0; round < 60; round++) {
        memset(data, 0, sizeof data);
        for (int i = 0; i < READS; i++) {
            epio_submit(epio_read(&reads[i], file, data[i], LEN, 0));
        }
        if (round == 10) {
            refuse(SYS_io_uring_enter, EPERM);
        }
        check_result(epio_loop_run(loop), READS);
        for (int i = 0; i < READS; i++) {
            check_result(reads[i].result, LEN);
            check(memcmp(data[i], "0123456789abcdef", LEN) == 0);
        }
    }
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

/* The ring exists, and its use is refused from now on. */
static void a_loop_loses_the_permission_for_its_ring(fixture *f)
{
    check_result(run_in_fork(lose_the_permission, (void *)(uintptr_t)fixture_path(f, "file")), 0);
    check_result(
        run_in_fork(lose_the_permission_for_batches, (void *)(uintptr_t)fixture_path(f, "file")),
        0);
}

/* Lost while the kernel has written what it was given, which the loop does not see any more. */
static void lose_the_permission_while_appending(void *argument)
{
    enum { WRITES = 100, LEN = 8 };
    static epio_op writes[WRITES];
    epio_loop *loop = NULL;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    int descriptor = open(argument, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    check_result(epio_wait(epio_adopt(&op, epio_loop_vfs(loop), descriptor, 0)), 0);
    epio_file *file = op.file;
    for (int i = 0; i < WRITES; i++) {
        epio_submit(epio_write(&writes[i], file, "appended", LEN, (uint64_t)i * LEN));
    }
    (void)epio_loop_poll(loop, 0, 1); /* has started them */
    refuse(SYS_io_uring_enter, EPERM);
    for (int i = 0; i < WRITES; i++) {
        check_result(epio_wait(&writes[i]), LEN);
    }
    check_result(handle_size(descriptor), WRITES * LEN);
    close_file(file);
    epio_loop_destroy(loop);
}

static void nothing_is_appended_twice(fixture *f)
{
    check_result(run_in_fork(lose_the_permission_while_appending,
                             (void *)(uintptr_t)fixture_path(f, "file")),
                 0);
}

/* ---- Every refusal at every moment --------------------------------------------------- */

static const struct refused_call {
    const char *name;
    uint32_t call;
} refused_calls[] = {
    {"nothing", UINT32_MAX},
    {"io_uring_setup", SYS_io_uring_setup},
    {"io_uring_enter", SYS_io_uring_enter},
    {"io_uring_register", SYS_io_uring_register},
    {"io_setup", SYS_io_setup},
    {"io_submit", SYS_io_submit},
    {"io_getevents", SYS_io_getevents},
    {"timerfd_create", SYS_timerfd_create},
    {"timerfd_settime", SYS_timerfd_settime},
    {"eventfd2", SYS_eventfd2},
    {"epoll_create1", SYS_epoll_create1},
    {"epoll_pwait2", SYS_epoll_pwait2},
    {"preadv2", SYS_preadv2},
};

/* The moment of the refusal. */
enum { BEFORE_ALL, IN_FLIGHT, BEFORE_EMBEDDING, WHILE_EMBEDDED, MOMENTS };

typedef struct refusal_case {
    const char *path;
    const char *backend;
    uint32_t call; /* 0: all calls on rings */
    int error;
    unsigned moment;
} refusal_case;

#define READS 48u
#define SLEEP_NS UINT64_C(2000000)

typedef struct refusal_ops {
    _Alignas(BLOCK) unsigned char blocks[READS][BLOCK];
    unsigned char small[READS][64];
    unsigned char news[READS][BLOCK];
    unsigned char written_last;
    epio_op direct[READS];
    epio_op cached[READS];
    epio_op cold[READS];
    epio_op writes[READS];
    intptr_t handle; /* of the file that is written */
    epio_op sleep;
    epio_op stream;
    char letter;
    int finished;
    int started;
} refusal_ops;

static void start(refusal_ops *all, epio_op *op)
{
    all->started++;
    epio_submit(count_delivery(op, &all->finished));
}

/* One of each event that a loop can wait for. */
static void start_all(refusal_ops *all, epio_file *direct, epio_file *cached, epio_file *pipe,
                      epio_vfs *vfs)
{
    all->finished = 0;
    all->started = 0;
    memset(all->blocks, 0, sizeof all->blocks);
    memset(all->small, 0, sizeof all->small);
    memset(all->news, ++all->written_last, sizeof all->news);
    all->handle = epio_file_os_handle(cached);
    for (unsigned i = 0; i < READS; i++) {
        start(all, epio_read(&all->direct[i], direct, all->blocks[i], BLOCK, (uint64_t)i * BLOCK));
        start(all, epio_read(&all->cached[i], cached, all->small[i], 32, (uint64_t)i * BLOCK));
        if (i == READS / 2) {
            handle_drop_cache(epio_file_os_handle(cached));
        }
        start(all, epio_read(&all->cold[i], cached, all->small[i] + 32, 32, (uint64_t)i * BLOCK));
        start(all, epio_write(&all->writes[i], cached, all->news[i], BLOCK,
                              (uint64_t)(READS + i) * BLOCK));
    }
    start(all, epio_sleep(&all->sleep, vfs, SLEEP_NS));
    start(all, epio_read(&all->stream, pipe, &all->letter, 1, 0));
}

static void check_all(const refusal_ops *all)
{
    static unsigned char block[BLOCK];
    check(all->finished == all->started);
    for (unsigned i = 0; i < READS; i++) {
        check_result(all->direct[i].result, BLOCK);
        check_bytes(all->blocks[i], (unsigned char)(i + 1), BLOCK);
        check_result(all->cached[i].result, 32);
        check_result(all->cold[i].result, 32);
        check_bytes(all->small[i], (unsigned char)(i + 1), 64);
        check_result(all->writes[i].result, BLOCK);
        check(handle_read_at(all->handle, block, BLOCK, (uint64_t)(READS + i) * BLOCK) == BLOCK);
        check_bytes(block, all->written_last, BLOCK);
    }
    check_result(all->sleep.result, SLEEP_NS);
    check_result(all->stream.result, 1);
}

static void refuse_what_it_says(const refusal_case *one)
{
    static const uint32_t rings[] = {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};
    if (one->call != 0) {
        refuse(one->call, one->error);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        refuse(rings[i], one->error);
    }
}

static void poll_by_handle(epio_loop *loop, intptr_t handle, const refusal_ops *all)
{
    while (all->finished < all->started) {
        check(handle_is_ready(handle, 30000));
        (void)epio_loop_poll(loop, 0, 0);
    }
}

static epio_file *open_on(epio_loop *loop, const char *path, uint32_t flags)
{
    epio_op op = {0};
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), path, READ_WRITE | flags)), 0);
    return op.file;
}

static void use_a_loop(void *argument)
{
    static refusal_ops all;
    const refusal_case *one = argument;
    epio_loop_options options = {.size = sizeof options, .backend = one->backend};
    epio_loop *loop = NULL;
    intptr_t ends[2];
    epio_op op = {0};
    if (one->moment == BEFORE_ALL) {
        refuse_what_it_says(one);
    }
    check_result(epio_loop_create(&loop, &options), 0);
    epio_vfs *vfs = epio_loop_vfs(loop);
    epio_file *direct = open_on(loop, one->path, EPIO_OPEN_DIRECT);
    epio_file *cached = open_on(loop, one->path, 0);
    pipe_make(ends);
    check_result(epio_wait(epio_adopt(&op, vfs, ends[0], EPIO_OPEN_READ)), 0);
    epio_file *pipe = op.file;

    start_all(&all, direct, cached, pipe, vfs);
    if (one->moment == IN_FLIGHT) {
        (void)epio_loop_poll(loop, 0, 1); /* has started them */
        refuse_what_it_says(one);
    }
    check(pipe_write(ends[1], "x", 1) == 1);
    (void)epio_loop_run(loop);
    check_all(&all);

    if (one->moment == BEFORE_EMBEDDING) {
        start_all(&all, direct, cached, pipe, vfs);
        (void)epio_loop_poll(loop, 0, 1);
        refuse_what_it_says(one);
    }
    intptr_t handle = epio_loop_handle(loop);
    check(handle >= 0);
    for (int round = 0; round < 3; round++) {
        if (one->moment != BEFORE_EMBEDDING || round != 0) {
            start_all(&all, direct, cached, pipe, vfs);
        }
        if (one->moment == WHILE_EMBEDDED && round == 1) {
            (void)epio_loop_poll(loop, 0, 1);
            refuse_what_it_says(one);
        }
        check(pipe_write(ends[1], "x", 1) == 1);
        if (round == 2) { /* in flight while the loop is detached */
            (void)epio_loop_poll(loop, 0, 1);
            epio_loop_detach(loop);
        }
        poll_by_handle(loop, handle, &all);
        check_all(&all);
    }
    start_all(&all, direct, cached, pipe, vfs);
    check(pipe_write(ends[1], "x", 1) == 1);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check(all.finished == all.started);
    check_result(epio_perform(epio_close(&op, pipe)), 0);
    check_result(epio_perform(epio_close(&op, cached)), 0);
    check_result(epio_perform(epio_close(&op, direct)), 0);
    epio_loop_destroy(loop);
    check(handle_close(ends[1]));
}

static void run_refusal(refusal_case one, const char *name)
{
    int status = run_in_fork(use_a_loop, &one);
    if (status != 0) {
        print_error("%s on %s, error %d, moment %u\n", name, one.backend, one.error, one.moment);
    }
    check_result(status, 0);
}

/* On this backend, every call may be refused at any time. */
static void a_loop_survives_every_refusal(fixture *f)
{
    static _Alignas(BLOCK) unsigned char data[READS][BLOCK];
    if (fixture_is_emulated()) {
        fixture_skip(f, "valgrind says nothing of forked children, and takes minutes for them");
    }
    for (unsigned i = 0; i < READS; i++) {
        memset(data[i], (int)i + 1, BLOCK);
    }
    fixture_put(f, "file", data, sizeof data);
    refusal_case one = {.path = fixture_path(f, "file"), .backend = getenv("EPIO_BACKEND")};
    for (size_t i = 0; i < sizeof refused_calls / sizeof refused_calls[0]; i++) {
        for (one.moment = 0; one.moment < MOMENTS; one.moment++) {
            one.call = refused_calls[i].call;
            one.error = one.moment % 2 == 0 ? EPERM : ENOSYS;
            run_refusal(one, refused_calls[i].name);
        }
    }
    for (one.moment = 0; one.moment < MOMENTS; one.moment++) {
        one.call = 0;
        one.error = EINVAL; /* which no call of ours causes */
        run_refusal(one, "all of io_uring");
    }
}

/* ---- Writes that are not permitted --------------------------------------------- */

static void write_beyond_the_limit(void *argument)
{
    static _Alignas(BLOCK) unsigned char block[BLOCK];
    struct rlimit limit = {8 * BLOCK, 8 * BLOCK};
    epio_loop *loop = NULL;
    epio_op ops[2] = {{0}, {0}};
    check_result(epio_loop_create(&loop, NULL), 0);
    epio_file *file = open_direct(loop, argument);
    check(signal(SIGXFSZ, SIG_DFL) != SIG_ERR); /* which kills the process */
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    epio_submit(epio_write(&ops[0], file, block, BLOCK, 4 * BLOCK));
    epio_submit(epio_write(&ops[1], file, block, BLOCK, 8 * BLOCK));
    check_result(epio_wait(&ops[0]), BLOCK);
    check_result(epio_wait(&ops[1]), EPIO_EFBIG);
    check(ops[1].os_error == EFBIG);
    close_file(file);
    epio_loop_destroy(loop);
}

static void a_direct_write_beyond_the_limit(fixture *f)
{
    check_result(run_in_fork(write_beyond_the_limit, (void *)(uintptr_t)fixture_path(f, "file")),
                 0);
}

/* ---- Writes within their submit that fail ---------------------------------------- */

static epio_loop *loop_of_inline_writes(epio_file **file, const char *path, epio_op *used)
{
    epio_loop_options options = {.size = sizeof options, .inline_writes = 1};
    epio_loop *loop = NULL;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, &options), 0);
    check_result(
        epio_wait(epio_open(&op, epio_loop_vfs(loop), path, READ_WRITE | EPIO_OPEN_CREATE)), 0);
    *file = op.file;
    check_result(epio_wait(epio_write(used, *file, "abc", 3, 0)), 3);
    check_result(epio_wait(epio_write(used, *file, "abc", 3, 0)), 3);
    return loop;
}

static void fail_a_write(void *argument)
{
    epio_file *file = NULL;
    epio_op op = {0}, sync = {0};
    epio_loop *loop = loop_of_inline_writes(&file, argument, &op);
    refuse(SYS_pwrite64, ENOSPC);
    epio_submit(epio_write(&op, file, "def", 3, 0));
    epio_submit(epio_sync(&sync, file, EPIO_SYNC_FULL));
    check_result(epio_wait(&sync), EPIO_ENOSPC); /* which covers it */
    check_result(op.result, EPIO_ENOSPC);
    check(op.os_error == ENOSPC && sync.os_error == ENOSPC);
    check_result(epio_wait(epio_sync(&sync, file, EPIO_SYNC_FULL)), 0);
    close_file(file);
    epio_loop_destroy(loop);
}

static void fail_a_flush(void *argument)
{
    epio_file *file = NULL;
    epio_op op = {0}, sync = {0};
    epio_loop *loop = loop_of_inline_writes(&file, argument, &op);
    refuse(SYS_fsync, EIO);
    check_result(epio_wait(epio_sync(&sync, file, EPIO_SYNC_FULL)), EPIO_EIO);
    for (int again = 0; again < 2; again++) {
        check_result(epio_wait(epio_write(&op, file, "def", 3, 0)), EPIO_EIO);
        check(op.os_error == EIO);
        epio_submit(epio_write(&op, file, "def", 3, 0));
        check_result(epio_wait(&op), EPIO_EIO);
    }
    close_file(file);
    epio_loop_destroy(loop);
}

static void a_write_at_once_that_fails(fixture *f)
{
    check_result(run_in_fork(fail_a_write, (void *)(uintptr_t)fixture_path(f, "file")), 0);
}

static void a_write_at_once_after_a_failed_flush(fixture *f)
{
    check_result(run_in_fork(fail_a_flush, (void *)(uintptr_t)fixture_path(f, "file")), 0);
}

/* ---- Names that are not durable, or not removed ----------------------------------- */

typedef struct names {
    const char *directory;
    const char *file; /* exists */
    const char *other;
    const char *link; /* to `other` */
    bool on_a_loop;
    uint32_t call; /* the refused call */
    int error;
} names;

static int64_t carry_out(const names *at, epio_op *op)
{
    return at->on_a_loop ? epio_wait(op) : epio_perform(op);
}

static epio_vfs *begin_refusing(const names *at, epio_loop **loop)
{
    *loop = NULL;
    if (at->on_a_loop) {
        check_result(epio_loop_create(loop, NULL), 0);
    }
    refuse(at->call, at->error);
    return at->on_a_loop ? epio_loop_vfs(*loop) : epio_os_vfs();
}

static void run_refused(fixture *f, void (*run)(void *argument), uint32_t call, int error)
{
    names at = {f->directory,
                fixture_path(f, "file"),
                fixture_path(f, "other"),
                fixture_path(f, "link"),
                false,
                call,
                error};
    fixture_put(f, "file", "x", 1);
    link_make("other", at.link);
    check_result(run_in_fork(run, &at), 0);
    at.on_a_loop = true;
    check_result(run_in_fork(run, &at), 0);
    check_result(fixture_exists(f, "other"), 0);
    assert_int_equal(count_entries(f->real_directory), 2);
}

static void change_names(void *argument)
{
    const names *at = argument;
    epio_loop *loop;
    epio_op op = {0};
    epio_vfs *vfs = begin_refusing(at, &loop);
    uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR;
    const struct {
        const char *path;
        uint32_t flags;
    } made[] = {{at->other, flags}, {at->other, flags | EPIO_OPEN_EXCLUSIVE}, {at->link, flags}};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        check_result(carry_out(at, epio_open(&op, vfs, made[i].path, made[i].flags)), EPIO_EIO);
        check(op.os_error == at->error && op.file == NULL && !file_exists(at->other));
    }
    /* Nothing is created, so nothing has to be durable. */
    check_result(carry_out(at, epio_open(&op, vfs, at->file, flags)), 0);
    check_result(carry_out(at, epio_close(&op, op.file)), 0);

    check_result(carry_out(at, epio_rename(&op, vfs, at->file, at->other, EPIO_RENAME_SYNC_DIR)),
                 EPIO_EIO);
    check(op.os_error == at->error && file_exists(at->other) && !file_exists(at->file));
    check_result(carry_out(at, epio_delete(&op, vfs, at->other, EPIO_DELETE_SYNC_DIR)), EPIO_EIO);
    check(op.os_error == at->error && !file_exists(at->other));
    check_result(carry_out(at, epio_delete(&op, vfs, at->other, EPIO_DELETE_SYNC_DIR)),
                 EPIO_ENOENT);
    file_make(at->file);
    epio_loop_destroy(loop);
}

static void a_change_that_is_not_durable_is_one_error(fixture *f)
{
    run_refused(f, change_names, SYS_fsync, ENOSPC);
}

#define MAKE_EXACTLY (READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXACT | EPIO_OPEN_PERMISSIONS(0600))

static void fail_to_open(void *argument)
{
    const names *at = argument;
    epio_loop *loop;
    epio_op op = {0};
    epio_vfs *vfs = begin_refusing(at, &loop);
    static const uint32_t ways[] = {0, EPIO_OPEN_EXCLUSIVE, EPIO_OPEN_TRUNCATE, EPIO_OPEN_SYNC_DIR,
                                    EPIO_OPEN_DELETE_ON_CLOSE};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        check(carry_out(at, epio_open(&op, vfs, at->other, MAKE_EXACTLY | ways[i])) < 0);
        check(op.os_error == at->error && op.file == NULL && !file_exists(at->other));
    }
    check(carry_out(at, epio_open(&op, vfs, at->link, MAKE_EXACTLY)) < 0);
    check(!file_exists(at->other));
    epio_loop_destroy(loop);
}

static void fail_to_open_what_is_there(void *argument)
{
    const names *at = argument;
    epio_loop *loop;
    epio_op op = {0};
    epio_vfs *vfs = begin_refusing(at, &loop);
    check(carry_out(at, epio_open(&op, vfs, at->file, READ_WRITE | EPIO_OPEN_CREATE)) < 0);
    check(file_size(at->file) == 1);
    epio_loop_destroy(loop);
}

/* Fails in the last step, after the file was created. */
static void a_failed_open_leaves_nothing_that_it_made(fixture *f)
{
    run_refused(f, fail_to_open, SYS_fchmod, EPERM);
    epio_op op = {0};
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "link"), 0), 0);
    run_refused(f, fail_to_open_what_is_there, SYS_fcntl, EPERM);
}

static void keep_names(void *argument)
{
    const names *at = argument;
    epio_loop *loop;
    epio_op op = {0};
    epio_vfs *vfs = begin_refusing(at, &loop);
    check_result(
        carry_out(at, epio_open(&op, vfs, at->file, READ_WRITE | EPIO_OPEN_DELETE_ON_CLOSE)), 0);
    check(carry_out(at, epio_close(&op, op.file)) < 0);
    check(op.os_error == at->error && file_exists(at->file));
    /* With a name it could not guarantee that none is left. */
    if (carry_out(at, epio_open(&op, vfs, at->directory, EPIO_OPEN_TEMPORARY)) == 0) {
        check(count_entries(at->directory) == 2);
        check_result(carry_out(at, epio_close(&op, op.file)), 0);
    } else {
        check(op.os_error == at->error);
    }
    check(count_entries(at->directory) == 2);
    epio_loop_destroy(loop);
}

static void a_name_that_cannot_be_removed(fixture *f)
{
    run_refused(f, keep_names, SYS_unlink, EROFS);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_refused_ring_is_no_error, ON_OS_PERFORM),
        FIXTURE_TEST(a_loop_continues_without_its_ring, ON_OS_PERFORM),
        FIXTURE_TEST(a_loop_loses_the_permission_for_its_ring, ON_OS_PERFORM),
        FIXTURE_TEST(nothing_is_appended_twice, ON_OS_PERFORM),
        FIXTURE_TEST(a_loop_survives_every_refusal, ON_OS_PERFORM),
        FIXTURE_TEST(a_direct_write_beyond_the_limit, ON_OS_PERFORM),
        FIXTURE_TEST(a_write_at_once_that_fails, ON_OS_PERFORM),
        FIXTURE_TEST(a_write_at_once_after_a_failed_flush, ON_OS_PERFORM),
        FIXTURE_TEST(a_change_that_is_not_durable_is_one_error, ON_OS_PERFORM),
        FIXTURE_TEST(a_failed_open_leaves_nothing_that_it_made, ON_OS_PERFORM),
        FIXTURE_TEST(a_name_that_cannot_be_removed, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("refusals, Linux", tests);
}
