/* Errors that only POSIX has or can provoke: errno, /dev/full, limits of a process (RLIMIT_FSIZE,
 * RLIMIT_NOFILE), sockets with a path, permissions for another user. The rest is in test_errors.c.
 * Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static void the_systems_errors_are_mapped(fixture *f)
{
    static const struct {
        int os_error;
        int expected;
    } cases[] = {
        {0, 0},
        {EINVAL, EPIO_EINVAL},
        {ECANCELED, EPIO_ECANCELED},
        {ETIMEDOUT, EPIO_EIO},
        {ENOMEM, EPIO_ENOMEM},
        {EIO, EPIO_EIO},
        {ENOENT, EPIO_ENOENT},
        {EEXIST, EPIO_EEXIST},
        {EACCES, EPIO_EACCES},
        {EPERM, EPIO_EPERM},
        {EISDIR, EPIO_EISDIR},
        {ENOTDIR, EPIO_ENOTDIR},
        {ELOOP, EPIO_ELOOP},
        {ENAMETOOLONG, EPIO_ENAMETOOLONG},
        {ENOSPC, EPIO_ENOSPC},
        {EDQUOT, EPIO_ENOSPC},
        {EFBIG, EPIO_EFBIG},
        {EMFILE, EPIO_EMFILE},
        {ENFILE, EPIO_EMFILE},
        {EBADF, EPIO_EBADF},
        {EBUSY, EPIO_EBUSY},
        {EDEADLK, EPIO_EDEADLK},
        {EPIPE, EPIO_EPIPE},
        {ESPIPE, EPIO_ESPIPE},
        {EROFS, EPIO_EROFS},
        {EXDEV, EPIO_EXDEV},
        {ENOTEMPTY, EPIO_ENOTEMPTY},
        {ERANGE, EPIO_ERANGE},
        {ENOTSUP, EPIO_ENOTSUP},
        {ENOSYS, EPIO_ENOTSUP},
        {ENOLCK, EPIO_ENOMEM},
        {ENODEV, EPIO_ENODEV},
#if defined(ENODATA)
        {ENODATA, EPIO_ENODATA},
#endif
        {ENXIO, EPIO_ENODEV},
        {EDOM, EPIO_EUNKNOWN},
        {EILSEQ, EPIO_EUNKNOWN},
        {1234567, EPIO_EUNKNOWN},
        {INT32_MAX, EPIO_EUNKNOWN},
        {-1, EPIO_EUNKNOWN},
        {INT32_MIN, EPIO_EUNKNOWN},
    };
    (void)f;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (epio_error_from_os(cases[i].os_error) != cases[i].expected) {
            print_error("errno %d\n", cases[i].os_error);
        }
        check_result(epio_error_from_os(cases[i].os_error), cases[i].expected);
    }
}

static void a_full_device(fixture *f)
{
    static char data[100000];
    epio_iovec parts[2] = {{data, 10}, {data, sizeof data}};
    epio_op op = {0};
    if (access("/dev/full", W_OK) != 0) {
        fixture_skip(f, "no /dev/full");
    }
    check_op(f, epio_open(&op, f->vfs, "/dev/full", EPIO_OPEN_WRITE), 0);
    epio_file *file = op.file;
    check_op_fails(f, epio_write(&op, file, data, 1, 0), EPIO_ENOSPC, ENOSPC);
    check_op_fails(f, epio_write(&op, file, data, sizeof data, 0), EPIO_ENOSPC, ENOSPC);
    check_op_fails(f, epio_writev(&op, file, parts, 2, 0), EPIO_ENOSPC, ENOSPC);
    fixture_close(f, file);
    fixture_works(f);
}

typedef struct size_limit {
    struct rlimit before;
} size_limit;

static void limit_file_size(size_limit *limit, rlim_t bytes)
{
    struct rlimit lower;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit->before), 0);
    lower = limit->before;
    lower.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &lower), 0);
}

static void restore_file_size(const size_limit *limit)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit->before), 0);
}

static void a_file_that_may_not_grow(fixture *f)
{
    enum { LIMIT = 65536 };
    static char data[3 * LIMIT];
    epio_iovec parts[2] = {{data, LIMIT - 10}, {data, LIMIT}};
    size_limit limit;
    epio_op ops[8] = {{0}};
    /* The default would end the process. */
    assert_true(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    epio_file *file = fixture_create(f, "limited");
    limit_file_size(&limit, LIMIT);
    /* Beyond the limit, across it, and by growing the file. Output might be cut off while the limit
     * holds, so the checks come later. */
    (void)fixture_result(f, epio_write(&ops[0], file, data, LIMIT, 0));
    (void)fixture_result(f, epio_write(&ops[1], file, data, 1, LIMIT));
    (void)fixture_result(f, epio_write(&ops[2], file, data, sizeof data, 100));
    (void)fixture_result(f, epio_writev(&ops[3], file, parts, 2, 0));
    (void)fixture_result(f, epio_truncate(&ops[4], file, LIMIT + 1));
    (void)fixture_result(f, epio_truncate(&ops[5], file, LIMIT));
    (void)fixture_result(f, epio_write(&ops[6], file, data, 1, LIMIT - 1));
    (void)fixture_result(f, epio_size(&ops[7], file));
    restore_file_size(&limit);
    check_result(ops[0].result, LIMIT);
    for (size_t i = 1; i < 5; i++) {
        check_result(ops[i].result, EPIO_EFBIG);
        assert_int_equal(ops[i].os_error, EFBIG);
    }
    check_result(ops[5].result, 0);
    check_result(ops[6].result, 1);
    check_result(ops[7].result, LIMIT);
    fixture_write(f, file, data, sizeof data, 0);
    fixture_close(f, file);
    fixture_works(f);
}

/* An application's handler sees no signal of ours, and its own pending signal stays pending. */
static volatile sig_atomic_t size_signals;

static void note_signal(int signal_number)
{
    (void)signal_number;
    size_signals = size_signals + 1;
}

static void no_signal_of_ours_is_seen(fixture *f)
{
    struct sigaction noting = {.sa_handler = note_signal};
    struct sigaction found;
    sigset_t blocked;
    sigset_t before;
    sigset_t pending;
    size_limit limit;
    int taken = 0;
    epio_op ops[3] = {{0}};
    epio_file *file = fixture_create(f, "limited");
    assert_int_equal(sigaction(SIGXFSZ, &noting, NULL), 0);
    assert_int_equal(sigemptyset(&blocked), 0);
    assert_int_equal(sigaddset(&blocked, SIGXFSZ), 0);
    limit_file_size(&limit, 1000);
    (void)fixture_result(f, epio_write(&ops[0], file, "x", 1, 1000));
    (void)fixture_result(f, epio_truncate(&ops[1], file, 2000));
    int first = size_signals;
    (void)pthread_sigmask(SIG_BLOCK, &blocked, &before);
    (void)raise(SIGXFSZ);
    (void)fixture_result(f, epio_write(&ops[2], file, "x", 1, 1000));
    (void)sigpending(&pending);
    restore_file_size(&limit);
    int still_pending = sigismember(&pending, SIGXFSZ);
    if (still_pending == 1) {
        (void)sigwait(&blocked, &taken);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(sigaction(SIGXFSZ, NULL, &found), 0);
    assert_true(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    for (size_t i = 0; i < 3; i++) {
        check_result(ops[i].result, EPIO_EFBIG);
    }
    assert_int_equal(first, 0);
    assert_int_equal(still_pending, 1);
    assert_int_equal(taken, SIGXFSZ);
    assert_true(found.sa_handler == note_signal);
    assert_int_equal(size_signals, 0);
    fixture_close(f, file);
}

static void no_descriptors_left(fixture *f)
{
    enum { MOST = 300 };
    static epio_file *files[MOST];
    struct rlimit before;
    epio_op op = {0};
    size_t count = 0;
    const char *path = fixture_path(f, "file");
    const char *other = fixture_path(f, "other");
    fixture_put(f, "file", "data", 4);
    /* Opens what the loop itself needs. */
    fixture_works(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit lower = {100, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
    int64_t result = 0;
    while (count < MOST) {
        result = fixture_result(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ));
        if (result != 0) {
            break;
        }
        files[count++] = op.file;
    }
    int32_t os_error = op.os_error;
    bool nothing = op.file == NULL;
    int64_t temporary =
        fixture_result(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_TEMPORARY));
    int64_t durable = fixture_result(f, epio_delete(&op, f->vfs, path, EPIO_DELETE_SYNC_DIR));
    int64_t moved = fixture_result(f, epio_rename(&op, f->vfs, path, other, EPIO_RENAME_SYNC_DIR));
    fixture_close(f, files[--count]); /* one is not enough */
    int64_t made = fixture_result(
        f, epio_open(&op, f->vfs, other, READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR));
    bool left = !fixture_is_emulated() && fixture_exists(f, "other"); /* there it is opened first */
    int64_t moved_again =
        fixture_result(f, epio_rename(&op, f->vfs, path, other, EPIO_RENAME_SYNC_DIR));
    char found[4];
    int64_t bytes = fixture_result(f, epio_read(&op, files[0], found, 4, 0));
#if EPIO_ASYNC
    epio_loop *loop = NULL;
    int created = epio_loop_create(&loop, NULL);
#endif
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    check_result(result, EPIO_EMFILE);
    assert_int_equal(os_error, EMFILE);
    assert_true(nothing);
    assert_true(count > 50);
    check_result(temporary, EPIO_EMFILE);
    /* Reported before anything is changed. */
    check_result(durable, EPIO_EMFILE);
    check_result(moved, EPIO_EMFILE);
    check_result(made, EPIO_EMFILE);
    check(!left);
    check_result(moved_again, 0); /* one directory, one descriptor */
    check_content(f, "other", "data", 4);
    check_result(bytes, 4);
#if EPIO_ASYNC
    check_result(created, EPIO_EMFILE);
    assert_null(loop);
#endif
    while (count > 0) {
        fixture_close(f, files[--count]);
    }
    fixture_works(f);
}

/* An op on a path that begins at a directory may need one. */
static void no_descriptor_for_a_directory(fixture *f)
{
    struct rlimit before;
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    fixture_put(f, "file", "data", 4);
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *directory = op.file;
    epio_vfs *vfs = epio_directory_vfs(directory);
    fixture_works(f);
    check_op(f, epio_stat(&op, vfs, "file", &info, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit lower = {4, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
    int64_t result = fixture_result(f, epio_delete(&op, vfs, "file", 0));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    if (result == 0) {
        check_result(op.os_error, 0);
    } else {
        check_result(result, EPIO_EMFILE);
        assert_int_equal(op.os_error, EMFILE);
        check_content(f, "file", "data", 4);
    }
    fixture_close(f, directory);
}

/* A socket with a path cannot be opened. */
static void what_cannot_be_opened_at_all(fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    epio_op op = {0};
    const char *path = fixture_path(f, "socket");
    if (strlen(path) >= sizeof address.sun_path) {
        fixture_skip(f, "the path is too long for a socket");
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    check_op_fails(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), EPIO_ENODEV, ENXIO);
    check_op_fails(f, epio_open(&op, f->vfs, path, EPIO_OPEN_WRITE), EPIO_ENODEV, ENXIO);
    assert_int_equal(close(listener), 0);
    fixture_works(f);
}

static void open_as_another_user(void *argument)
{
    fixture *parent = argument;
    fixture here = {.performs = true, .vfs = epio_os_vfs()};
    fixture *f = &here;
    epio_op op = {0};
    here.directory = parent->directory;
    if (geteuid() == 0) {
        check(setgid(65534) == 0 && setuid(65534) == 0);
    }
#if EPIO_ASYNC
    /* The same on a loop, created here as threads do not survive the fork. */
    here.on = ON_OS;
    here.performs = false;
    check(epio_loop_create(&here.loop, NULL) == 0);
    here.vfs = epio_loop_vfs(here.loop);
#endif
    check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "secret"), EPIO_OPEN_READ),
                   EPIO_EACCES, EACCES);
    check(op.file == NULL);
    check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "readable"), EPIO_OPEN_WRITE),
                   EPIO_EACCES, EACCES);
    check_op_fails(
        f, epio_open(&op, f->vfs, fixture_path(f, "locked/new"), READ_WRITE | EPIO_OPEN_CREATE),
        EPIO_EACCES, EACCES);
    check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "locked/file"), EPIO_OPEN_READ),
                   EPIO_EACCES, EACCES);
    check_op_fails(f, epio_delete(&op, f->vfs, fixture_path(f, "locked/file"), 0), EPIO_EACCES,
                   EACCES);
    check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "locked"), EPIO_OPEN_TEMPORARY),
                   EPIO_EACCES, EACCES);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "readable"), EPIO_OPEN_READ), 0);
    fixture_close(f, op.file);
#if EPIO_ASYNC
    epio_loop_destroy(here.loop);
#endif
}

/* ---- Directories with restricted permissions ------------------------------ */

/* Another user, whom permissions restrict, with a loop of its own, as threads do not survive the
 * fork. */
typedef struct another {
    fixture f;
} another;

static fixture *another_setup(another *user, const fixture *parent)
{
    memset(user, 0, sizeof *user);
    user->f.performs = true;
    user->f.vfs = epio_os_vfs();
    user->f.directory = parent->directory;
    if (geteuid() == 0) {
        check(setgid(65534) == 0 && setuid(65534) == 0);
    }
    return &user->f;
}

/* The same by epio_perform and then on a loop. */
static void run_as_another(fixture *parent, void (*run)(fixture *f))
{
    another user;
    fixture *f = another_setup(&user, parent);
    run(f);
#if EPIO_ASYNC
    f->on = ON_OS;
    f->performs = false;
    check(epio_loop_create(&f->loop, NULL) == 0);
    f->vfs = epio_loop_vfs(f->loop);
    run(f);
    epio_loop_destroy(f->loop);
#endif
}

/* Owned by the other user, with these permissions. */
static void make_users_directory(fixture *f, const char *name, mode_t mode)
{
    const char *path = fixture_path(f, name);
    assert_int_equal(mkdir(path, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
    }
    assert_int_equal(chmod(path, mode), 0);
}

static void change_names_durably(fixture *f)
{
    epio_op op = {0};
    const char *in = fixture_path(f, "searched/in/file");
    const char *out = fixture_path(f, "searched/file");
    uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR;
    for (int i = 0; i < 2; i++) {
        check_op(f, epio_open(&op, f->vfs, in, flags), 0);
        fixture_close(f, op.file);
    }
    check_op(f, epio_rename(&op, f->vfs, in, out, EPIO_RENAME_SYNC_DIR), 0);
    check_op(f, epio_rename(&op, f->vfs, in, out, EPIO_RENAME_SYNC_DIR), EPIO_ENOENT);
    check_op(f, epio_rename(&op, f->vfs, out, in, EPIO_RENAME_SYNC_DIR | EPIO_RENAME_NO_REPLACE),
             0);
    check_op(f, epio_delete(&op, f->vfs, in, EPIO_DELETE_SYNC_DIR), 0);
    check_op(f, epio_delete(&op, f->vfs, in, EPIO_DELETE_SYNC_DIR), EPIO_ENOENT);
}

static void change_names_as_another(void *argument)
{
    run_as_another(argument, change_names_durably);
}

/* Write and search, but no read permission: the directory cannot be opened for a flush. */
static void a_directory_that_cannot_be_read_is_made_durable(fixture *f)
{
    if (!SYSTEM_REPORTS_CACHED) {
        fixture_skip(f, "only Linux has syncfs");
    }
    assert_int_equal(chmod(f->directory, 0711), 0);
    make_users_directory(f, "searched", 0300);
    make_users_directory(f, "searched/in", 0300);
    check_result(run_in_fork(change_names_as_another, f), 0);
}

static void lose_the_directory(fixture *f)
{
    epio_op op = {0};
    const char *directory = fixture_path(f, "his");
    const char *path = fixture_path(f, "his/file");
    uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE;
    check_op(f, epio_open(&op, f->vfs, path, flags), 0);
    epio_file *file = op.file;
    check(chmod(directory, 0500) == 0);
    check_op_fails(f, epio_close(&op, file), EPIO_EACCES, EACCES);
    check(file_exists(path));
    /* Nor can its existence be checked. */
    check(chmod(directory, 0700) == 0);
    check_op(f, epio_open(&op, f->vfs, path, flags), 0);
    file = op.file;
    check(chmod(directory, 0000) == 0);
    check_op_fails(f, epio_close(&op, file), EPIO_EACCES, EACCES);
    check(chmod(directory, 0700) == 0);
    check(file_exists(path));
    /* Removed meanwhile, or another file by now: nothing is left. */
    for (int anothers = 0; anothers < 2; anothers++) {
        check_op(f, epio_open(&op, f->vfs, path, flags), 0);
        file = op.file;
        check(unlink(path) == 0);
        if (anothers == 1) {
            file_make(path);
        }
        check(chmod(directory, 0500) == 0);
        check_op(f, epio_close(&op, file), 0);
        check(chmod(directory, 0700) == 0);
    }
    check_op(f, epio_delete(&op, f->vfs, path, 0), 0);
}

static void lose_the_directory_as_another(void *argument)
{
    run_as_another(argument, lose_the_directory);
}

static void a_close_that_leaves_its_name_says_so(fixture *f)
{
    assert_int_equal(chmod(f->directory, 0711), 0);
    make_users_directory(f, "his", 0700);
    check_result(run_in_fork(lose_the_directory_as_another, f), 0);
}

static void what_is_not_permitted(fixture *f)
{
    fixture_put(f, "secret", "x", 1);
    fixture_put(f, "readable", "x", 1);
    assert_int_equal(mkdir(fixture_path(f, "locked"), 0755), 0);
    fixture_put(f, "locked/file", "x", 1);
    assert_int_equal(chmod(f->directory, 0755), 0);
    assert_int_equal(chmod(fixture_path(f, "readable"), 0444), 0);
    assert_int_equal(chmod(fixture_path(f, "secret"), 0000), 0);
    assert_int_equal(chmod(fixture_path(f, "locked"), 0000), 0);
    int status = run_in_fork(open_as_another_user, f);
    assert_int_equal(chmod(fixture_path(f, "locked"), 0755), 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(the_systems_errors_are_mapped, ON_OS_PERFORM),
        FIXTURE_TEST(a_full_device, ON_ANY_OS),
        FIXTURE_TEST(a_file_that_may_not_grow, ON_ANY_OS),
        FIXTURE_TEST(no_signal_of_ours_is_seen, ON_ANY_OS),
        FIXTURE_TEST(no_descriptors_left, ON_ANY_OS),
        FIXTURE_TEST(no_descriptor_for_a_directory, ON_ANY_OS),
        FIXTURE_TEST(what_cannot_be_opened_at_all, ON_ANY_OS),
        FIXTURE_TEST(a_directory_that_cannot_be_read_is_made_durable, ON_OS_PERFORM),
        FIXTURE_TEST(a_close_that_leaves_its_name_says_so, ON_OS_PERFORM),
        FIXTURE_TEST(what_is_not_permitted, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("errors, POSIX", tests);
}
