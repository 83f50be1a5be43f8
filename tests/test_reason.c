/* epio_op_invalid_reason, and its like for options: every refusal has a reason, on every route, and
 * nothing else has one. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <epio/bench.h>
#include <epio/document.h>
#include <epio/tree.h>
#include <epio/vfs.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

#define check_text(text, expected) check_text_at(text, expected, __FILE__, __LINE__)

static void check_text_at(const char *text, const char *expected, const char *source, int line)
{
    bool same = text == NULL || expected == NULL ? text == expected : strcmp(text, expected) == 0;
    if (!same) {
        print_error("\"%s\" instead of \"%s\"\n", text != NULL ? text : "(null)",
                    expected != NULL ? expected : "(null)");
    }
    check_at(same, "the reason", source, line);
}

/* The op fails with this error and reason. */
#define check_refused(f, op, error, reason)                                                        \
    do {                                                                                           \
        epio_op *refused_ = (op);                                                                  \
        check_op(f, refused_, error);                                                              \
        check_result(refused_->os_error, 0);                                                       \
        check_text(epio_op_invalid_reason(refused_), reason);                                      \
    } while (0)

static int64_t nothing(epio_op *op)
{
    (void)op;
    return 0;
}

static void of_opens(fixture *f)
{
    static const struct {
        uint32_t flags;
        const char *reason;
    } cases[] = {
        {EPIO_OPEN_READ | 0x40000000u, "unknown flags"},
        {EPIO_OPEN_READ | EPIO_OPEN_TRUNCATE, "TRUNCATE needs WRITE"},
        {EPIO_OPEN_TRUNCATE, "TRUNCATE needs WRITE"},
        {READ_WRITE | EPIO_OPEN_CREATE | 0600u << 16,
         "permissions are given by EPIO_OPEN_PERMISSIONS"},
        {READ_WRITE | EPIO_OPEN_EXCLUSIVE, "EXCLUSIVE needs CREATE"},
        {EPIO_OPEN_CREATE, "CREATE needs READ or WRITE"},
        {EPIO_OPEN_NOFOLLOW, "neither READ nor WRITE"},
        {0, "neither READ nor WRITE"},
        {READ_WRITE | EPIO_OPEN_DIRECTORY, "DIRECTORY goes with READ, NOFOLLOW and BENEATH alone"},
        {EPIO_OPEN_READ | EPIO_OPEN_BENEATH, "BENEATH needs the VFS of a directory, or DIRECTORY"},
        {READ_WRITE | EPIO_OPEN_EXACT, "EXACT needs CREATE and EPIO_OPEN_PERMISSIONS"},
        /* The first of several. */
        {0x40000000u, "unknown flags"},
    };
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(f, epio_open(&op, f->vfs, path, cases[i].flags), EPIO_EINVAL,
                      cases[i].reason);
        check(op.file == NULL);
    }
    check_refused(f, epio_open(&op, f->vfs, NULL, 0x40000000u), EPIO_EINVAL, "the path is NULL");
    check_refused(f, epio_open(&op, f->vfs, "", READ_WRITE), EPIO_EINVAL, "the path is empty");
    check_refused(f, epio_open(&op, f->vfs, "", EPIO_OPEN_TEMPORARY), EPIO_EINVAL,
                  "the path is empty");
    check_refused(f, epio_adopt(&op, f->vfs, 0, EPIO_OPEN_CREATE), EPIO_EINVAL, "unknown flags");
    check_result(fixture_exists(f, "file"), 0);
}

static void of_transfers(fixture *f)
{
    const uint64_t most = INT64_MAX;
    char byte = 0;
    epio_iovec parts[2] = {{&byte, 1}, {NULL, 1}};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_refused(f, epio_read(&op, file, NULL, 1, 0), EPIO_EINVAL, "the buffer is NULL");
    check_refused(f, epio_write(&op, file, NULL, 1, 0), EPIO_EINVAL, "the buffer is NULL");
    check_refused(f, epio_readv(&op, file, NULL, 1, 0), EPIO_EINVAL, "the array of parts is NULL");
    check_refused(f, epio_readv(&op, file, parts, 2, 0), EPIO_EINVAL,
                  "the buffer of a part is NULL");
    check_refused(f, epio_writev(&op, file, parts, 2, 0), EPIO_EINVAL,
                  "the buffer of a part is NULL");
    check_refused(f, epio_read(&op, file, &byte, 1, most), EPIO_EINVAL,
                  "offset + len is beyond INT64_MAX");
    check_refused(f, epio_write(&op, file, &byte, 1, UINT64_MAX), EPIO_EINVAL,
                  "offset + len is beyond INT64_MAX");
    check_refused(f, epio_writev(&op, file, parts, 1, most), EPIO_EINVAL,
                  "offset + len is beyond INT64_MAX");
    check_refused(f, epio_truncate(&op, file, most + 1), EPIO_EINVAL,
                  "the size is above INT64_MAX");
    check_refused(f, epio_sync(&op, file, 3), EPIO_EINVAL, "unknown mode");
    fixture_close(f, file);

    file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_refused(f, epio_write(&op, file, &byte, 1, 0), EPIO_EBADF,
                  "the file is not open for writing");
    check_refused(f, epio_truncate(&op, file, 0), EPIO_EBADF, "the file is not open for writing");
    fixture_close(f, file);
    file = fixture_open(f, "file", EPIO_OPEN_WRITE);
    check_refused(f, epio_read(&op, file, &byte, 1, 0), EPIO_EBADF,
                  "the file is not open for reading");
    fixture_close(f, file);
}

static void of_metadata_and_directories(fixture *f)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_info none = {.size = 0};
    epio_times times = {.size = 8};
    uint64_t buffer[8];
    epio_file *file = fixture_create(f, "file");
    const char *path = fixture_path(f, "file");
    check_refused(f, epio_stat(&op, f->vfs, path, &info, 8), EPIO_EINVAL, "unknown flags");
    check_refused(f, epio_stat(&op, f->vfs, path, NULL, 0), EPIO_EINVAL,
                  "the struct for the result is NULL");
    epio_save_options unchanged = {.size = sizeof unchanged, .flags = EPIO_SAVE_IF_UNCHANGED};
    check_refused(f, epio_save(&op, f->vfs, path, "x", 1, &unchanged), EPIO_EINVAL,
                  "IF_UNCHANGED needs `expected`: what a load has described");
    check_refused(f, epio_file_stat(&op, file, &none), EPIO_EINVAL,
                  "the struct does not begin with its size");
    check_refused(f, epio_file_set_times(&op, file, NULL), EPIO_EINVAL, "the epio_times are NULL");
    check_refused(f, epio_set_times(&op, f->vfs, path, &times, 0), EPIO_EINVAL,
                  "the struct does not begin with its size");
    struct {
        epio_times times;
        int64_t later;
    } newer = {{sizeof newer, EPIO_TIME_KEEP, EPIO_TIME_KEEP, EPIO_TIME_KEEP}, 1};
    check_refused(f, epio_set_times(&op, f->vfs, path, &newer.times, 0), EPIO_EINVAL,
                  "a field of the struct is set that this version does not know");
    check_refused(f, epio_file_set_times(&op, file, &newer.times), EPIO_EINVAL,
                  "a field of the struct is set that this version does not know");
    check_refused(f, epio_set_mode(&op, f->vfs, path, 010000, 0), EPIO_EINVAL,
                  "the mode is above 07777");
    check_refused(f, epio_symlink(&op, f->vfs, NULL, path, 0), EPIO_EINVAL, "the target is NULL");
    check_refused(f, epio_get_xattr(&op, f->vfs, path, "", buffer, 8, 0), EPIO_EINVAL,
                  "the name is NULL or empty");
    check_refused(f,
                  epio_set_xattr(&op, f->vfs, path, "user.x", buffer, 8,
                                 EPIO_XATTR_CREATE | EPIO_XATTR_REPLACE),
                  EPIO_EINVAL, "an attribute cannot be both CREATE and REPLACE");
    check_refused(f, epio_list(&op, file, buffer, sizeof buffer, 0), EPIO_EBADF,
                  "the file is not a directory");
    check_refused(f, epio_list(&op, file, (char *)buffer + 1, 8, 0), EPIO_EINVAL,
                  "the buffer of a list must be aligned as a uint64_t");
    fixture_close(f, file);
}

static void of_locks(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_refused(f, epio_lock(&op, file, 5, 0), EPIO_EINVAL, "unknown lock level");
    check_refused(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 2), EPIO_EINVAL, "unknown flags");
    check_refused(f, epio_lock(&op, file, EPIO_LOCK_NONE, 0), EPIO_EINVAL,
                  "a lock cannot be raised to NONE; epio_unlock lowers it");
    check_refused(f, epio_lock(&op, file, EPIO_LOCK_PENDING, 0), EPIO_EINVAL,
                  "PENDING cannot be asked for; EXCLUSIVE passes through it");
    check_refused(f, epio_unlock(&op, file, EPIO_LOCK_RESERVED), EPIO_EINVAL,
                  "a lock can be lowered to SHARED or NONE alone");
    /* Depends on the file's level. */
    check_refused(f, epio_lock(&op, file, EPIO_LOCK_RESERVED, 0), EPIO_EINVAL,
                  "RESERVED and EXCLUSIVE need SHARED first");
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), 0);
    check_text(epio_op_invalid_reason(&op), NULL);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_RESERVED, 0), 0);
    check_refused(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), EPIO_EINVAL,
                  "the file holds a higher level; epio_unlock lowers it");
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    fixture_close(f, file);
}

static void of_paths_and_others(fixture *f)
{
    char buffer[8];
    const char *path = fixture_path(f, "file");
    epio_op op = {0};
    check_refused(f, epio_delete(&op, f->vfs, NULL, 0), EPIO_EINVAL, "the path is NULL");
    check_refused(f, epio_delete(&op, f->vfs, path, 2), EPIO_EINVAL, "unknown flags");
    check_refused(f, epio_rename(&op, f->vfs, path, NULL, 0), EPIO_EINVAL, "the new path is NULL");
    check_refused(f, epio_rename(&op, f->vfs, path, "", 0), EPIO_EINVAL, "the path is empty");
    check_refused(f, epio_rename(&op, f->vfs, path, path, 8), EPIO_EINVAL, "unknown flags");
    check_refused(f, epio_access(&op, f->vfs, path, 3), EPIO_EINVAL, "unknown mode");
    check_refused(f, epio_full_pathname(&op, f->vfs, path, NULL, 8), EPIO_EINVAL,
                  "the buffer is NULL");
    check_refused(f, epio_sleep(&op, f->vfs, UINT64_MAX), EPIO_EINVAL,
                  "the time is above INT64_MAX nanoseconds");
    check_refused(f, epio_randomness(&op, f->vfs, NULL, 8), EPIO_EINVAL, "the buffer is NULL");
    check_refused(f, epio_work(&op, f->vfs, NULL), EPIO_EINVAL, "the function is NULL");
    check_op(f, epio_randomness(&op, f->vfs, buffer, sizeof buffer), sizeof buffer);
    check_text(epio_op_invalid_reason(&op), NULL);
    check_op(f, epio_work(&op, f->vfs, nothing), 0);
}

/* Neither epio_perform nor epio_wait needs a loop for it. */
static void of_nothing_at_all(fixture *f)
{
    char byte;
    epio_op op = {0};
    op.timeout_ns = 1;
    if ((f->on & ON_OS_SUBMIT) != 0) {
        return; /* it aborts: see test_misuse.c */
    }
    check_refused(f, epio_open(&op, NULL, "name", EPIO_OPEN_READ), EPIO_EINVAL, "the VFS is NULL");
    check_result(op.timeout_ns, 0);
    check_refused(f, epio_read(&op, NULL, &byte, 1, 0), EPIO_EINVAL, "the file is NULL");
    check_refused(f, epio_close(&op, NULL), EPIO_EINVAL, "the file is NULL");
    check_refused(f, epio_unlock(&op, NULL, 77), EPIO_EINVAL, "the file is NULL");
}

/* No reason of an earlier use of the op, or for an error of the system. */
static void only_of_the_last_result(fixture *f)
{
    char byte = 1;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_text(epio_op_invalid_reason(&op), NULL);
    check_refused(f, epio_write(&op, file, NULL, 1, 0), EPIO_EINVAL, "the buffer is NULL");
    (void)epio_write(&op, file, &byte, 1, 0);
    check_text(epio_op_invalid_reason(&op), NULL);
    check_op(f, &op, 1);
    check_text(epio_op_invalid_reason(&op), NULL);
    check_refused(f, epio_read(&op, file, NULL, 1, 0), EPIO_EINVAL, "the buffer is NULL");
    check_op(f, epio_read(&op, file, &byte, 1, 0), 1);
    check_text(epio_op_invalid_reason(&op), NULL);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "none"), EPIO_OPEN_READ), EPIO_ENOENT);
    check_text(epio_op_invalid_reason(&op), NULL);
    fixture_close(f, file);
}

/* A VFS whose reads and locks all fail with EPIO_EINVAL without a reason. */
static int64_t refuse_all(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    op->os_error = 0;
    if (op->kind == EPIO_KIND_CLOSE) {
        epio_file_release(op->file);
        return 0;
    }
    return EPIO_EINVAL;
}

#if EPIO_ASYNC
static void refuse_all_submitted(epio_vfs *vfs, epio_op *op)
{
    epio_complete(op, refuse_all(vfs, op));
}
#endif

static void a_vfs_of_the_users_has_no_words(fixture *f)
{
    static const epio_vfs_methods methods = {
        .size = sizeof(epio_vfs_methods),
        .name = "refuses",
        .perform = refuse_all,
#if EPIO_ASYNC
        .submit = refuse_all_submitted,
#endif
    };
    char byte;
    epio_op op = {0};
    epio_file file;
#if EPIO_ASYNC
    epio_vfs vfs = {.methods = &methods, .loop = f->loop};
#else
    epio_vfs vfs = {.methods = &methods};
#endif
    epio_file_init(&file, &vfs, READ_WRITE, 0);
    for (int i = 0; i < 2; i++) {
        check_refused(f, epio_read(&op, &file, NULL, 1, 0), EPIO_EINVAL, "the buffer is NULL");
        check_op(f, epio_read(&op, &file, &byte, 1, 0), EPIO_EINVAL);
        check_text(epio_op_invalid_reason(&op), NULL);
    }
    check_op(f, epio_close(&op, &file), 0);
}

#if EPIO_ASYNC

static const char *reason_in_done;

static void note_reason(epio_op *op)
{
    reason_in_done = epio_op_invalid_reason(op);
}

static void is_known_in_done(fixture *f)
{
    epio_op op = {.done = note_reason};
    char byte;
    epio_file *file = fixture_create(f, "file");
    reason_in_done = NULL;
    epio_submit(epio_read(&op, file, &byte, 1, UINT64_MAX));
    check_text(epio_op_invalid_reason(&op), NULL); /* not yet */
    (void)epio_loop_run(f->loop);
    check_text(reason_in_done, "offset + len is beyond INT64_MAX");
    fixture_close(f, file);
}

/* An invalid op that was cancelled first. */
static void a_cancelled_op_was_not_refused(fixture *f)
{
    epio_op first = {0};
    epio_op second = {0};
    (void)epio_delete(&first, f->vfs, NULL, 0);
    (void)epio_delete(&second, f->vfs, NULL, 0);
    epio_submit(epio_link(&first, &second, 0));
    (void)epio_loop_run(f->loop);
    check_text(epio_op_invalid_reason(&first), "the path is NULL");
    check_result(second.result, EPIO_ECANCELED);
    check_text(epio_op_invalid_reason(&second), NULL);
}

/* An op without file or VFS completes on the loop of its chain. */
static void in_a_chain_nothing_has_a_loop(fixture *f)
{
    for (int at = 0; at < 3; at++) {
        char byte;
        epio_op ops[3];
        memset(ops, 0, sizeof ops);
        for (int i = 0; i < 3; i++) {
            (void)(i == at ? epio_read(&ops[i], NULL, &byte, 1, 0)
                           : epio_sleep(&ops[i], f->vfs, 1));
        }
        (void)epio_link(&ops[0], &ops[1], EPIO_LINK_ALWAYS);
        (void)epio_link(&ops[1], &ops[2], EPIO_LINK_ALWAYS);
        epio_submit(&ops[0]);
        check_result(epio_wait(&ops[2]), at == 2 ? EPIO_EINVAL : 1);
        for (int i = 0; i < 3; i++) {
            check_result(ops[i].result, at == i ? EPIO_EINVAL : 1);
            check_text(epio_op_invalid_reason(&ops[i]), at == i ? "the file is NULL" : NULL);
        }
    }
}

static void of_permits(fixture *f)
{
    epio_semaphore *semaphore;
    epio_op op = {0};
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    check_refused(f, epio_acquire(&op, f->vfs, NULL, 1), EPIO_EINVAL, "the semaphore is NULL");
    check_refused(f, epio_acquire(&op, f->vfs, semaphore, 0), EPIO_EINVAL, "0 permits");
    check_refused(f, epio_acquire(&op, f->vfs, semaphore, 3), EPIO_EINVAL,
                  "the semaphore never has so many permits");
    check_op(f, epio_acquire(&op, f->vfs, semaphore, 2), 0);
    check_text(epio_op_invalid_reason(&op), NULL);
    epio_semaphore_release(semaphore, 2);
    epio_semaphore_destroy(semaphore);
}

/* ---- Options ------------------------------------------------------------- */

static void check_options(const epio_loop_options *options, const char *expected)
{
    char text[256];
    epio_loop *loop = NULL;
    check_result(epio_loop_create(&loop, options), expected != NULL ? EPIO_EINVAL : 0);
    int64_t len = epio_loop_invalid_reason(options, text, sizeof text);
    check_result(len, strlen(text));
    check_result(epio_loop_invalid_reason(options, NULL, 0), len);
    check_text(len != 0 ? text : NULL, expected);
    epio_loop_destroy(loop);
}

/* The environment is restored afterwards. */
static void of_options(fixture *f)
{
    char expected[512];
    char before[64] = "";
    const char *found = getenv("EPIO_BACKEND");
    epio_loop_options options = {.size = sizeof options};
    (void)f;
    (void)snprintf(before, sizeof before, "%s", found != NULL ? found : "");
    check_options(NULL, NULL);
    check_options(&options, NULL);
    options.backend = "urnig";
    char text[256];
    check(epio_loop_invalid_reason(&options, text, sizeof text) > 0);
    check(strncmp(text, "unknown backend 'urnig'; there are ", 35) == 0);
    check(strstr(text, SYSTEM_BACKEND) != NULL);
    check_options(&options, text);
    (void)snprintf(expected, sizeof expected, "unknown backend 'urnig' in EPIO_BACKEND%s",
                   text + strlen("unknown backend 'urnig'"));
    environment_set("EPIO_BACKEND", "urnig");
    check_options(NULL, expected);
    environment_set("EPIO_BACKEND", found != NULL ? before : NULL);
    options.backend = NULL;
    options.inline_writes = 2;
    check_options(&options, "inline_writes is neither 0 nor 1");
    options.inline_writes = 0;
    options.worker_nice = 20;
    check_options(&options, "worker_nice is 20, not 0 to 19");
    options.worker_nice = 19;
    options.reserved = 1;
    check_options(&options, "reserved is not 0");
    options.reserved = 0;
    options.inline_writes = 2;
    options.size = 1;
    (void)snprintf(expected, sizeof expected, "size is 1, not sizeof(epio_loop_options): %u",
                   (unsigned)sizeof options);
    check_options(&options, expected);
    /* As much of it as fits. */
    char few[8];
    check_result(epio_loop_invalid_reason(&options, few, sizeof few), strlen(expected));
    check_text(few, "size is");
    check_result(epio_loop_invalid_reason(&options, NULL, 1), EPIO_EINVAL);
}

static void of_options_for_benchmarks(fixture *f)
{
    char text[256];
    epio_bench_options options = {.size = sizeof options};
    (void)f;
    check_result(epio_bench_invalid_reason(NULL, true, text, sizeof text), 0);
    check_result(epio_bench_invalid_reason(&options, false, text, sizeof text), 0);
    options.flags = EPIO_BENCH_DURABLE;
    check_result(epio_bench_invalid_reason(&options, false, text, sizeof text), 0);
    check(epio_bench_invalid_reason(&options, true, text, sizeof text) > 0);
    check_text(text, "DURABLE is for writing");
    options.flags = 0x80000000u;
    check(epio_bench_invalid_reason(&options, true, text, sizeof text) > 0);
    check_text(text, "unknown flags");
    options.flags = 0;
    options.iterations = INT64_MAX;
    check(epio_bench_invalid_reason(&options, true, text, sizeof text) > 0);
    check_text(text, "iterations * bytes is beyond INT64_MAX");
    options.iterations = 1;
    options.backend = "urnig";
    check(epio_bench_invalid_reason(&options, true, text, sizeof text) > 0);
    check(strstr(text, "'urnig'") != NULL);
    options.size = 0;
    check(epio_bench_invalid_reason(&options, true, text, sizeof text) > 0);
    check_text(text, "size is not sizeof(epio_bench_options)");
    check_result(epio_bench_invalid_reason(&options, true, NULL, 1), EPIO_EINVAL);
}

#endif

/* ---- What it was about ------------------------------------------------------ */

static void an_op_names_its_path(fixture *f)
{
    char byte = 1;
    epio_op op = {0};
    epio_saving *saving;
    const char *path = fixture_path(f, "none/file");
    check_text(epio_op_path(&op), NULL);
    check_op(f, epio_open(&op, f->vfs, path, EPIO_OPEN_READ), EPIO_ENOENT);
    check(epio_op_path(&op) == path);
    check_op(f, epio_rename(&op, f->vfs, path, "to", 0), EPIO_ENOENT);
    check(epio_op_path(&op) == path);
    check_op(f, epio_remove_tree(&op, f->vfs, path, NULL), EPIO_ENOENT);
    check(epio_op_path(&op) == path);
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_write(&op, file, &byte, 1, 0), 1);
    check_text(epio_op_path(&op), NULL);
    (void)epio_name_temporary(&op, file, path, 0);
    (void)fixture_result(f, &op); /* it has a name */
    check(epio_op_path(&op) == path);
    fixture_close(f, file);
    check_op(f, epio_save_begin(&op, f->vfs, fixture_path(f, "saved"), NULL, &saving), 0);
    check_op(f, epio_save_commit(&op, saving), 0);
    check_text(epio_op_path(&op), NULL);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(an_op_names_its_path, ON_ANY),
        FIXTURE_TEST(of_opens, ON_ANY),
        FIXTURE_TEST(of_transfers, ON_ANY),
        FIXTURE_TEST(of_metadata_and_directories, ON_ANY),
        FIXTURE_TEST(of_locks, ON_ANY),
        FIXTURE_TEST(of_paths_and_others, ON_ANY),
        FIXTURE_TEST(of_nothing_at_all, ON_ANY),
        FIXTURE_TEST(only_of_the_last_result, ON_ANY),
        FIXTURE_TEST(a_vfs_of_the_users_has_no_words, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
#if EPIO_ASYNC
        FIXTURE_TEST(is_known_in_done, ON_ANY_LOOP),
        FIXTURE_TEST(a_cancelled_op_was_not_refused, ON_ANY_LOOP),
        FIXTURE_TEST(in_a_chain_nothing_has_a_loop, ON_ANY_LOOP & ~ON_OS_SUBMIT),
        FIXTURE_TEST(of_permits, ON_ANY),
        FIXTURE_TEST(of_options, ON_OS),
        FIXTURE_TEST(of_options_for_benchmarks, ON_OS),
#endif
    };
    return FIXTURE_RUN("reasons", tests);
}
