/* epio_perform: everything without a loop, on the calling thread. The verbs are tested elsewhere,
 * in this way too; here is what only performing does. EPIO_TEST_WITHOUT_LOOP */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static void never_called(epio_op *op)
{
    (void)op;
    check(false);
}

/* One small program from end to end. */
static void a_file_from_end_to_end(fixture *f)
{
    char found[16];
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    check_result(epio_perform(epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_write(&op, file, "hello world", 11, 0)), 11);
    check_result(epio_perform(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_perform(epio_read(&op, file, found, sizeof found, 6)), 5);
    assert_memory_equal(found, "world", 5);
    check_result(epio_perform(epio_truncate(&op, file, 5)), 0);
    check_result(epio_perform(epio_size(&op, file)), 5);
    check_result(epio_perform(epio_close(&op, file)), 0);
    check_result(epio_perform(epio_access(&op, f->vfs, path, EPIO_ACCESS_READ)), 1);
    check_result(epio_perform(epio_delete(&op, f->vfs, path, 0)), 0);
    check_result(epio_perform(epio_access(&op, f->vfs, path, EPIO_ACCESS_READ)), 0);
}

/* Returns the result; calls nothing and leaves the caller's fields alone, except the timeout, which
 * is used up. */
static void the_callers_fields_stay(fixture *f)
{
    int mark = 0;
    char found[4];
    epio_op op = {.done = never_called, .user = &mark};
    op.timeout_ns = UINT64_C(3600000) * MILLISECOND;
    check_result(epio_perform(epio_open(&op, f->vfs, fixture_path(f, "file"),
                                        READ_WRITE | EPIO_OPEN_CREATE)),
                 0);
    assert_int_equal(op.timeout_ns, 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_write(&op, file, "data", 4, 0)), 4);
    check_result(op.result, 4);
    check_result(epio_perform(epio_read(&op, file, found, 4, 1)), 3);
    check_result(op.result, 3);
    check_result(epio_perform(epio_read(&op, file, NULL, 4, 1)), EPIO_EINVAL);
    check_result(op.result, EPIO_EINVAL);
    check_result(epio_perform(epio_close(&op, file)), 0);
    assert_true(op.done == never_called);
    assert_ptr_equal(op.user, &mark);
}

static void no_file_and_no_vfs_are_invalid(fixture *f)
{
    char buffer[4];
    epio_iovec part = {buffer, 4};
    epio_op op = {0};
    (void)f;
    check_result(epio_perform(epio_open(&op, NULL, "x", EPIO_OPEN_READ)), EPIO_EINVAL);
    assert_null(op.file);
    check_result(epio_perform(epio_adopt(&op, NULL, 0, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_close(&op, NULL)), EPIO_EINVAL);
    check_result(epio_perform(epio_read(&op, NULL, buffer, 4, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_readv(&op, NULL, &part, 1, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_write(&op, NULL, buffer, 4, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_writev(&op, NULL, &part, 1, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_truncate(&op, NULL, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_sync(&op, NULL, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_size(&op, NULL)), EPIO_EINVAL);
    check_result(epio_perform(epio_delete(&op, NULL, "x", 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_rename(&op, NULL, "x", "y", 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_access(&op, NULL, "x", 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_full_pathname(&op, NULL, "x", buffer, 4)), EPIO_EINVAL);
    check_result(epio_perform(epio_sleep(&op, NULL, 1)), EPIO_EINVAL);
    check_result(epio_perform(epio_current_time(&op, NULL)), EPIO_EINVAL);
    check_result(epio_perform(epio_randomness(&op, NULL, buffer, 4)), EPIO_EINVAL);
}

/* A deadline limits waits, not work. */
static void a_deadline_ends_only_what_waits(fixture *f)
{
    static char data[1 << 20];
    epio_op op = {0};
    op.timeout_ns = 1;
    check_result(epio_perform(epio_open(&op, f->vfs, fixture_path(f, "file"),
                                        READ_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    op.timeout_ns = 1;
    check_result(epio_perform(epio_write(&op, file, data, sizeof data, 0)), sizeof data);
    op.timeout_ns = 1;
    check_result(epio_perform(epio_read(&op, file, data, sizeof data, 0)), sizeof data);
    op.timeout_ns = 1;
    check_result(epio_perform(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    op.timeout_ns = 1;
    check_result(epio_perform(epio_close(&op, file)), 0);
    op.timeout_ns = MILLISECOND;
    check_result(epio_perform(epio_sleep(&op, f->vfs, UINT64_C(3600000) * MILLISECOND)),
                 EPIO_ETIMEDOUT);
}

/* A reused op keeps nothing of its last use. */
static void an_op_is_reused_for_many_kinds(fixture *f)
{
    char buffer[600];
    epio_iovec part = {buffer, 4};
    epio_op op = {0};
    const char *path = fixture_path(f, "file");
    for (int round = 0; round < 3; round++) {
        check_result(epio_perform(epio_sleep(&op, f->vfs, MILLISECOND)), MILLISECOND);
        check_result(epio_perform(epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE)), 0);
        epio_file *file = op.file;
        memset(buffer, 'x', sizeof buffer);
        check_result(epio_perform(epio_writev(&op, file, &part, 1, 100)), 4);
        check_result(epio_perform(epio_read(&op, file, NULL, 1, 0)), EPIO_EINVAL);
        check_result(epio_perform(epio_size(&op, file)), 104);
        check_result(epio_perform(epio_full_pathname(&op, f->vfs, path, buffer, sizeof buffer)),
                     (int64_t)strlen(path));
        check_result(epio_perform(epio_close(&op, file)), 0);
        check_result(epio_perform(epio_open(&op, f->vfs, fixture_path(f, "none"), EPIO_OPEN_READ)),
                     EPIO_ENOENT);
        assert_null(op.file);
        assert_true(epio_perform(epio_current_time(&op, f->vfs)) > 0);
        assert_int_equal(op.os_error, 0);
    }
}

/* An op may be prepared and never run. */
static void a_prepared_op_may_be_dropped(fixture *f)
{
    char buffer[4] = "abc";
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    (void)epio_write(&op, file, buffer, 3, 0);
    (void)epio_truncate(&op, file, 100);
    check_result(epio_perform(epio_size(&op, file)), 0);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

/* ---- Threads ----------------------------------------------------------- */

typedef struct performer {
    test_thread thread;
    epio_vfs *vfs;
    epio_file *shared;
    const char *path;
    unsigned number;
    unsigned rounds;
    bool failed;
} performer;

enum { THREADS = 4, ROUNDS = 100, RECORD = 64 };

static bool perform_round(performer *one, unsigned round)
{
    unsigned char written[RECORD];
    unsigned char found[RECORD];
    uint64_t offset = ((uint64_t)round * THREADS + one->number) * RECORD;
    epio_op op = {0};
    pattern_fill(written, RECORD, offset);
    if (epio_perform(epio_write(&op, one->shared, written, RECORD, offset)) != RECORD ||
        epio_perform(epio_read(&op, one->shared, found, RECORD, offset)) != RECORD ||
        memcmp(found, written, RECORD) != 0) {
        return false;
    }
    if (epio_perform(epio_open(&op, one->vfs, one->path, READ_WRITE | EPIO_OPEN_CREATE)) != 0) {
        return false;
    }
    epio_file *own = op.file;
    return epio_perform(epio_write(&op, own, written, RECORD, 0)) == RECORD &&
           epio_perform(epio_close(&op, own)) == 0 &&
           epio_perform(epio_delete(&op, one->vfs, one->path, 0)) == 0;
}

static void *perform_rounds(void *argument)
{
    performer *one = argument;
    for (unsigned round = 0; round < one->rounds && !one->failed; round++) {
        one->failed = !perform_round(one, round);
    }
    return NULL;
}

/* Any thread may perform, on one file too. */
static void several_threads_perform_at_once(fixture *f)
{
    static unsigned char found[THREADS * ROUNDS * RECORD];
    static unsigned char expected[sizeof found];
    performer performers[THREADS];
    unsigned rounds = fixture_is_slow() ? ROUNDS / 10 : ROUNDS;
    size_t len = (size_t)THREADS * rounds * RECORD;
    char name[32];
    epio_file *shared = fixture_create(f, "shared");
    for (unsigned i = 0; i < THREADS; i++) {
        (void)snprintf(name, sizeof name, "own%u", i);
        performers[i] = (performer){.vfs = f->vfs,
                                    .shared = shared,
                                    .path = fixture_path(f, name),
                                    .number = i,
                                    .rounds = rounds};
        thread_start(&performers[i].thread, perform_rounds, &performers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)thread_join(performers[i].thread);
        assert_false(performers[i].failed);
    }
    for (size_t at = 0; at < len; at += RECORD) {
        pattern_fill(expected + at, RECORD, at);
    }
    fixture_read(f, shared, found, len, 0);
    assert_memory_equal(found, expected, len);
    fixture_close(f, shared);
}

#if EPIO_ASYNC

/* ---- Beside a loop ----------------------------------------------------- */

static int64_t return_seven(epio_op *op)
{
    (void)op;
    return 7;
}

/* epio_perform delivers nothing: ops in flight stay so and keep their permits, which is why a limit
 * needs more than one here. */
static void performing_delivers_nothing(fixture *f)
{
    char found[4];
    epio_op submitted = {0};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "data", 4, 0);
    epio_submit(epio_work(&submitted, f->vfs, return_seven));
    check_result(epio_perform(epio_read(&op, file, found, 4, 0)), 4);
    check_result(epio_perform(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_perform(epio_sleep(&op, f->vfs, 20 * MILLISECOND)), 20 * MILLISECOND);
    assert_true(epio_op_pending(&submitted));
    assert_int_equal(epio_loop_pending(f->loop), 1);
    check_result(epio_wait(&submitted), 7);
    fixture_close(f, file);
}

/* A close that is performed does not wait for what is in flight. */
static void performing_a_close_needs_an_idle_file(fixture *f)
{
    char found[4];
    epio_op op = {0};
    epio_op read = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "data", 4, 0);
    epio_submit(epio_read(&read, file, found, 4, 0));
    check_result(epio_perform(epio_close(&op, file)), EPIO_EBUSY);
    check_result(epio_wait(&read), 4);
    /* Still open. */
    fixture_read(f, file, found, 4, 0);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

/* A file does not depend on how it was opened. */
static void performed_and_submitted_mix(fixture *f)
{
    char found[4];
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, f->vfs, fixture_path(f, "file"),
                                        READ_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_write(&op, file, "data", 4, 0)), 4);
    check_result(epio_perform(epio_read(&op, file, found, 4, 0)), 4);
    check_result(epio_wait(epio_close(&op, file)), 0);
    check_result(epio_wait(epio_open(&op, f->vfs, fixture_path(f, "file"), EPIO_OPEN_READ)), 0);
    file = op.file;
    check_result(epio_perform(epio_read(&op, file, found, 4, 0)), 4);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_file_from_end_to_end, ON_ANY),
        FIXTURE_TEST(the_callers_fields_stay, ON_ANY),
        FIXTURE_TEST(no_file_and_no_vfs_are_invalid, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_ends_only_what_waits, ON_ANY),
        FIXTURE_TEST(an_op_is_reused_for_many_kinds, ON_ANY),
        FIXTURE_TEST(a_prepared_op_may_be_dropped, ON_ANY),
        FIXTURE_TEST(several_threads_perform_at_once, ON_ANY),
#if EPIO_ASYNC
        FIXTURE_TEST(performing_delivers_nothing, ON_OS | ON_MEMORY | ON_LIMIT_OS_3),
        FIXTURE_TEST(performing_a_close_needs_an_idle_file, ON_ANY_LOOP),
        FIXTURE_TEST(performed_and_submitted_mix, ON_ANY_LOOP),
#endif
    };
    return FIXTURE_RUN("perform", tests);
}
