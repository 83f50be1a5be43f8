/* Reads, writes, truncates and sizes of one file, with all edge cases of offsets and lengths.
 * Vectored transfers and streams have their own tests. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>

static void reads_what_was_written(fixture *f)
{
    static const uint64_t offsets[] = {0, 1, 511, 4095, 4096, 4097, 65535, 1048576};
    static const size_t lengths[] = {1, 2, 511, 4095, 4096, 4097, 70001};
    static unsigned char written[70001];
    static unsigned char found[70001];
    epio_file *file = fixture_create(f, "data");
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            pattern_fill(written, lengths[j], offsets[i] + j);
            fixture_write(f, file, written, lengths[j], offsets[i]);
            memset(found, 0, lengths[j]);
            fixture_read(f, file, found, lengths[j], offsets[i]);
            assert_memory_equal(found, written, lengths[j]);
        }
    }
    fixture_close(f, file);
}

static void leaves_other_bytes_alone(fixture *f)
{
    unsigned char expected[3000];
    unsigned char found[3002];
    epio_file *file = fixture_create(f, "data");
    pattern_fill(expected, sizeof expected, 0);
    fixture_write(f, file, expected, sizeof expected, 0);
    memset(expected + 1000, 'x', 7);
    fixture_write(f, file, expected + 1000, 7, 1000);

    memset(found, 'g', sizeof found);
    fixture_read(f, file, found + 1, sizeof expected, 0);
    assert_memory_equal(found + 1, expected, sizeof expected);
    assert_int_equal(found[0], 'g');
    assert_int_equal(found[sizeof found - 1], 'g');
    fixture_close(f, file);
}

static void a_length_of_zero_does_nothing(fixture *f)
{
    char byte = 'a';
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op(f, epio_write(&op, file, &byte, 0, 0), 0);
    check_op(f, epio_write(&op, file, &byte, 0, 100000), 0);
    check_op(f, epio_size(&op, file), 0);
    fixture_write(f, file, "abc", 3, 0);
    check_op(f, epio_read(&op, file, &byte, 0, 1), 0);
    check_op(f, epio_read(&op, file, &byte, 0, 100000), 0);
    check_op(f, epio_read(&op, file, NULL, 0, 0), 0);
    check_op(f, epio_write(&op, file, NULL, 0, 0), 0);
    check_op(f, epio_size(&op, file), 3);
    assert_int_equal(byte, 'a');
    fixture_close(f, file);
}

static void the_end_of_the_file_cuts_a_read(fixture *f)
{
    unsigned char written[5000];
    unsigned char found[9000];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op(f, epio_read(&op, file, found, 10, 0), 0);

    pattern_fill(written, sizeof written, 0);
    fixture_write(f, file, written, sizeof written, 0);
    memset(found, 'g', sizeof found);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), sizeof written);
    assert_memory_equal(found, written, sizeof written);
    check_bytes(found + sizeof written, 'g', sizeof found - sizeof written);

    memset(found, 'g', sizeof found);
    check_op(f, epio_read(&op, file, found, 100, 4990), 10);
    assert_memory_equal(found, written + 4990, 10);
    check_bytes(found + 10, 'g', 90);

    check_op(f, epio_read(&op, file, found, 1, 4999), 1);
    check_op(f, epio_read(&op, file, found, 1, 5000), 0);
    check_op(f, epio_read(&op, file, found, sizeof found, 5001), 0);
    check_op(f, epio_read(&op, file, found, sizeof found, UINT64_C(1) << 40), 0);
    fixture_close(f, file);
}

static void a_hole_is_zeros(fixture *f)
{
    static unsigned char found[300000];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "head", 4, 0);
    fixture_write(f, file, "tail", 4, 299996);
    check_op(f, epio_size(&op, file), 300000);
    memset(found, 'g', sizeof found);
    fixture_read(f, file, found, sizeof found, 0);
    assert_memory_equal(found, "head", 4);
    check_bytes(found + 4, 0, sizeof found - 8);
    assert_memory_equal(found + sizeof found - 4, "tail", 4);

    /* Within the hole, and from it over its end. */
    memset(found, 'g', 100);
    fixture_read(f, file, found, 100, 150000);
    check_bytes(found, 0, 100);
    fixture_read(f, file, found, 6, 299992);
    assert_memory_equal(found, "\0\0\0\0ta", 6);
    fixture_close(f, file);
}

static void offsets_beyond_4_gib_work(fixture *f)
{
    static const uint64_t offsets[] = {UINT64_C(0x7fffffff), UINT64_C(0xffffffff),
                                       UINT64_C(0x100000000), UINT64_C(0x3123456789)};
    char found[16];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        fixture_write(f, file, "0123456789", 10, offsets[i]);
        check_op(f, epio_size(&op, file), offsets[i] + 10);
        fixture_read(f, file, found, 8, offsets[i] + 2);
        assert_memory_equal(found, "23456789", 8);
    }
    fixture_close(f, file);
}

static void a_range_beyond_int64_is_invalid(fixture *f)
{
    static const struct {
        uint64_t offset;
        size_t len;
    } ranges[] = {
        {INT64_MAX, 1},
        {INT64_MAX - 9, 10 + 1},
        {(uint64_t)INT64_MAX + 1, 0},
        {(uint64_t)INT64_MAX + 1, 1},
        {UINT64_MAX, 1},
        {UINT64_MAX, 2},
        {UINT64_MAX - 9, 10},
        {0, SIZE_MAX},
        {1, SIZE_MAX},
        {1, SIZE_MAX / 2 + 1},
    };
    char buffer[16] = "unchanged";
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abc", 3, 0);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        check_op(f, epio_read(&op, file, buffer, ranges[i].len, ranges[i].offset), EPIO_EINVAL);
        check_op(f, epio_write(&op, file, buffer, ranges[i].len, ranges[i].offset), EPIO_EINVAL);
    }
    check_op(f, epio_size(&op, file), 3);
    assert_string_equal(buffer, "unchanged");

    /* The last possible byte is a valid offset. */
    check_op(f, epio_read(&op, file, buffer, 1, INT64_MAX - 1), 0);
    check_op(f, epio_read(&op, file, buffer, 0, INT64_MAX), 0);
    fixture_close(f, file);
}

static void writing_where_no_file_reaches_fails(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op_fails(f, epio_write(&op, file, "x", 1, INT64_MAX - 1), EPIO_EFBIG, OS_ERROR(EFBIG));
    check_op(f, epio_size(&op, file), 0);
    fixture_write(f, file, "x", 1, 0);
    check_op(f, epio_size(&op, file), 1);
    assert_int_equal(op.os_error, 0);
    fixture_close(f, file);
}

static void bad_arguments_arrive_as_results(fixture *f)
{
    char buffer[4];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op_fails(f, epio_read(&op, file, NULL, 1, 0), EPIO_EINVAL, 0);
    check_op_fails(f, epio_write(&op, file, NULL, 1, 0), EPIO_EINVAL, 0);
    check_op_fails(f, epio_truncate(&op, file, (uint64_t)INT64_MAX + 1), EPIO_EINVAL, 0);
    check_op_fails(f, epio_truncate(&op, file, UINT64_MAX), EPIO_EINVAL, 0);
    check_op(f, epio_read(&op, file, buffer, 4, 0), 0);
    fixture_close(f, file);
}

static void a_file_keeps_to_its_directions(fixture *f)
{
    char buffer[4] = "abc";
    epio_op op = {0};
    fixture_put(f, "data", "abcd", 4);

    epio_file *file = fixture_open(f, "data", EPIO_OPEN_READ);
    check_op(f, epio_write(&op, file, buffer, 3, 0), EPIO_EBADF);
    check_op(f, epio_write(&op, file, buffer, 0, 0), EPIO_EBADF);
    check_op(f, epio_truncate(&op, file, 0), EPIO_EBADF);
    check_op(f, epio_read(&op, file, buffer, 3, 1), 3);
    fixture_close(f, file);

    file = fixture_open(f, "data", EPIO_OPEN_WRITE);
    check_op(f, epio_read(&op, file, buffer, 3, 0), EPIO_EBADF);
    check_op(f, epio_write(&op, file, "X", 1, 3), 1);
    check_op(f, epio_size(&op, file), 4);
    check_op(f, epio_truncate(&op, file, 5), 0);
    fixture_close(f, file);
    check_content(f, "data", "abcX\0", 5);
}

static void truncate_shrinks_and_grows(fixture *f)
{
    static unsigned char written[100000];
    static unsigned char found[100000];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    pattern_fill(written, sizeof written, 0);
    fixture_write(f, file, written, sizeof written, 0);

    check_op(f, epio_truncate(&op, file, 5001), 0);
    check_op(f, epio_size(&op, file), 5001);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 5001);
    assert_memory_equal(found, written, 5001);

    /* Grown again the range is zeros, not the old data. */
    check_op(f, epio_truncate(&op, file, sizeof written), 0);
    check_op(f, epio_size(&op, file), sizeof written);
    fixture_read(f, file, found, sizeof found, 0);
    assert_memory_equal(found, written, 5001);
    check_bytes(found + 5001, 0, sizeof found - 5001);

    check_op(f, epio_truncate(&op, file, sizeof written), 0);
    check_op(f, epio_size(&op, file), sizeof written);
    check_op(f, epio_truncate(&op, file, 0), 0);
    check_op(f, epio_size(&op, file), 0);
    check_op(f, epio_read(&op, file, found, 1, 0), 0);

    /* The same by a write that leaves a hole. */
    fixture_write(f, file, written, 50000, 0);
    check_op(f, epio_truncate(&op, file, 10), 0);
    fixture_write(f, file, "z", 1, 60000);
    fixture_read(f, file, found, 60001, 0);
    assert_memory_equal(found, written, 10);
    check_bytes(found + 10, 0, 59990);
    assert_int_equal(found[60000], 'z');
    fixture_close(f, file);
}

static void truncate_reaches_far(fixture *f)
{
    char found[8];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op(f, epio_truncate(&op, file, UINT64_C(0x1234567890)), 0);
    check_op(f, epio_size(&op, file), UINT64_C(0x1234567890));
    check_op(f, epio_read(&op, file, found, 8, UINT64_C(0x1234567890) - 4), 4);
    check_bytes(found, 0, 4);
    check_op_fails(f, epio_truncate(&op, file, INT64_MAX), EPIO_EFBIG, OS_ERROR(EFBIG));
    check_op(f, epio_size(&op, file), UINT64_C(0x1234567890));
    fixture_close(f, file);
}

static void two_opens_see_one_file(fixture *f)
{
    char found[8];
    epio_op op = {0};
    epio_file *first = fixture_create(f, "data");
    epio_file *second = fixture_open(f, "data", EPIO_OPEN_READ | EPIO_OPEN_WRITE);
    fixture_write(f, first, "abcd", 4, 0);
    fixture_read(f, second, found, 4, 0);
    assert_memory_equal(found, "abcd", 4);
    check_op(f, epio_truncate(&op, second, 2), 0);
    check_op(f, epio_read(&op, first, found, 8, 0), 2);
    fixture_close(f, second);
    fixture_write(f, first, "x", 1, 2);
    fixture_close(f, first);
    check_content(f, "data", "abx", 3);
}

static void a_deleted_file_lives_until_it_is_closed(fixture *f)
{
    char found[8];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abcd", 4, 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "data"), 0), 0);
    check_result(fixture_exists(f, "data"), 0);
    fixture_write(f, file, "EFGH", 4, 4);
    fixture_read(f, file, found, 8, 0);
    assert_memory_equal(found, "abcdEFGH", 8);
    check_op(f, epio_size(&op, file), 8);

    /* The name can be used again. */
    fixture_put(f, "data", "new", 3);
    check_op(f, epio_size(&op, file), 8);
    fixture_close(f, file);
    check_content(f, "data", "new", 3);
}

static void a_used_op_works_like_a_new_one(fixture *f)
{
    char found[4];
    epio_op op = {0};
    int mark = 0;
    op.user = &mark;
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "nothing"), EPIO_OPEN_READ), EPIO_ENOENT);
    assert_null(op.file);
    check_op(f,
             epio_open(&op, f->vfs, fixture_path(f, "data"),
                       EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE),
             0);
    assert_int_equal(op.os_error, 0);
    epio_file *file = op.file;
    assert_non_null(file);
    check_op(f, epio_write(&op, file, "abcd", 4, 0), 4);
    check_op(f, epio_read(&op, file, NULL, 4, 0), EPIO_EINVAL);
    check_op(f, epio_read(&op, file, found, 4, 0), 4);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    check_op(f, epio_close(&op, file), 0);
    assert_memory_equal(found, "abcd", 4);
    /* Verbs do not touch the caller's fields. */
    if (f->on != ON_OS_SUBMIT) {
        assert_ptr_equal(op.user, &mark);
    }
}

static void many_small_files(fixture *f)
{
    epio_file *files[200];
    size_t count = fixture_is_slow() ? 50 : 200;
    char name[32] = {0};
    char found[32];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "%zu", i);
        files[i] = fixture_create(f, name);
        fixture_write(f, files[i], name, sizeof name, 0);
    }
    for (size_t i = count; i-- > 0;) {
        (void)snprintf(name, sizeof name, "%zu", i);
        fixture_read(f, files[i], found, sizeof found, 0);
        assert_string_equal(found, name);
        fixture_close(f, files[i]);
    }
}

/* Reads of data that the page cache has only in part, or not at all. */
static void reads_what_is_not_cached(fixture *f)
{
    enum { LENGTH = 1 << 20 };
    static unsigned char written[LENGTH];
    static unsigned char found[LENGTH];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    intptr_t handle = epio_file_os_handle(file);
    pattern_fill(written, LENGTH, 0);
    fixture_write(f, file, written, LENGTH, 0);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    for (uint64_t cached = 0; cached < 4; cached++) {
        epio_iovec parts[3] = {{found, 5000}, {found + 5000, 300000}, {found + 305000, LENGTH}};
        handle_drop_cache(handle);
        if (cached > 0) {
            unsigned char some[10];
            assert_int_equal(handle_read_at(handle, some, 10, cached * 100000), 10);
        }
        memset(found, 0, LENGTH);
        parts[2].len = LENGTH - 305000;
        check_op(f, epio_readv(&op, file, parts, 3, 0), LENGTH);
        assert_memory_equal(found, written, LENGTH);

        handle_drop_cache(handle);
        memset(found, 0, LENGTH);
        check_op(f, epio_read(&op, file, found, LENGTH, cached), LENGTH - cached);
        assert_memory_equal(found, written + cached, (size_t)(LENGTH - cached));
    }
    fixture_close(f, file);
}

#if EPIO_ASYNC

static void many_in_flight_on_one_file(fixture *f)
{
    enum { COUNT = 2000, PART = 37 };
    static unsigned char written[COUNT * PART];
    static unsigned char found[COUNT * PART];
    static epio_op ops[COUNT];
    memset(ops, 0, sizeof ops);
    epio_file *file = fixture_create(f, "data");
    pattern_fill(written, sizeof written, 0);
    for (size_t i = 0; i < COUNT; i++) {
        size_t part = (i * 7) % COUNT * PART;
        epio_submit(epio_write(&ops[i], file, written + part, PART, part));
    }
    for (size_t i = COUNT; i-- > 0;) {
        check_result(epio_wait(&ops[i]), PART);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t part = (i * 11) % COUNT * PART;
        epio_submit(epio_read(&ops[i], file, found + part, PART, part));
    }
    for (size_t i = 0; i < COUNT; i++) {
        check_result(epio_wait(&ops[i]), PART);
    }
    assert_memory_equal(found, written, sizeof written);
    fixture_close(f, file);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(reads_what_was_written, ON_ANY),
        FIXTURE_TEST(leaves_other_bytes_alone, ON_ANY),
        FIXTURE_TEST(a_length_of_zero_does_nothing, ON_ANY),
        FIXTURE_TEST(the_end_of_the_file_cuts_a_read, ON_ANY),
        FIXTURE_TEST(a_hole_is_zeros, ON_ANY),
        FIXTURE_TEST(offsets_beyond_4_gib_work, ON_ANY),
        FIXTURE_TEST(a_range_beyond_int64_is_invalid, ON_ANY),
        FIXTURE_TEST(writing_where_no_file_reaches_fails, ON_ANY_OS),
        FIXTURE_TEST(bad_arguments_arrive_as_results, ON_ANY),
        FIXTURE_TEST(a_file_keeps_to_its_directions, ON_ANY),
        FIXTURE_TEST(truncate_shrinks_and_grows, ON_ANY),
        FIXTURE_TEST(truncate_reaches_far, ON_ANY_OS),
        FIXTURE_TEST(two_opens_see_one_file, ON_ANY),
        FIXTURE_TEST(a_deleted_file_lives_until_it_is_closed, ON_ANY),
        FIXTURE_TEST(a_used_op_works_like_a_new_one, ON_ANY),
        FIXTURE_TEST(many_small_files, ON_ANY),
        FIXTURE_TEST(reads_what_is_not_cached, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(many_in_flight_on_one_file, ON_ANY_LOOP & ~ON_OS_SUBMIT),
#endif
    };
    return FIXTURE_RUN("file", tests);
}
