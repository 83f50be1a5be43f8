/* The space of files: appending, allocation, holes, zeros, advice; in every setting. What a system
 * or a VFS does not have is EPIO_ENOTSUP, and changes nothing. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define MIB (UINT64_C(1) << 20)
#define ISLAND 65536u

static int64_t size_of(fixture *f, epio_file *file)
{
    epio_op op = {0};
    return fixture_result(f, epio_size(&op, file));
}

/* The result is as expected, or (false) it is not supported here. Linux has all of it. */
static bool has(fixture *f, epio_op *op, int64_t expected)
{
    int64_t result = fixture_result(f, op);
#if defined(__linux__)
    bool optional = f->memory;
#else
    bool optional = true;
#endif
    if (result == EPIO_ENOTSUP && optional) {
        return false;
    }
    check_result(result, expected);
    return true;
}

static epio_file *create_with(fixture *f, const char *name, const void *data, size_t len)
{
    epio_file *file = fixture_create(f, name);
    fixture_write(f, file, data, len, 0);
    return file;
}

/* ---- Appending ----------------------------------------------------------- */

static void append_goes_to_the_end(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_with(f, "file", "abc", 3);
    if (has(f, epio_append(&op, file, "defg", 4), 3)) {
        check_op(f, epio_append(&op, file, NULL, 0), 7);
        check_op(f, epio_truncate(&op, file, 5), 0);
        check_op(f, epio_append(&op, file, "X", 1), 5);
        fixture_write(f, file, "Y", 1, 8); /* the position of another verb does not matter */
        fixture_write(f, file, "Z", 1, 0);
        check_op(f, epio_append(&op, file, "!", 1), 9);
        check_op(f, epio_sync(&op, file, EPIO_SYNC_DATA_ONLY), 0);
        check_content(f, "file", "ZbcdeX\0\0Y!", 10);
    }
    fixture_close(f, file);
}

static void append_needs_no_reading(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_WRITE);
    if (has(f, epio_append(&op, file, "d", 1), 3)) {
        fixture_close(f, file);
        check_content(f, "file", "abcd", 4);
    } else {
        fixture_close(f, file);
    }
}

static void two_files_append_to_one(fixture *f)
{
    epio_op op = {0};
    epio_file *first = create_with(f, "file", "abc", 3);
    epio_file *second = fixture_open(f, "file", READ_WRITE);
    for (int64_t i = 0; i < 100; i++) {
        if (!has(f, epio_append(&op, i % 2 == 0 ? first : second, "0123456789", 10), 3 + 10 * i)) {
            break;
        }
    }
    fixture_close(f, first);
    fixture_close(f, second);
}

/* 0, or EPIO_ENOTSUP where there is no such open. */
static epio_file *open_to_append(fixture *f, const char *path, uint32_t flags)
{
    epio_op op = {0};
    return has(f, epio_open(&op, f->vfs, path, flags | EPIO_OPEN_APPEND), 0) ? op.file : NULL;
}

static void writes_go_to_the_end(fixture *f)
{
    enum { PARTS = 200 };
    static const uint64_t offsets[] = {0, 1, 3, 1000, UINT64_C(1) << 40};
    epio_iovec parts[PARTS];
    char expected[3 + 5 * 2 + PARTS + 1];
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    epio_file *file = open_to_append(f, fixture_path(f, "file"), READ_WRITE | EPIO_OPEN_CREATE);
    if (file == NULL || size_of(f, file) != 3) {
        fixture_skip(f, "no APPEND here");
    }
    memcpy(expected, "abc", 3);
    for (size_t i = 0; i < 5; i++) {
        check_op(f, epio_write(&op, file, "de", 2, offsets[i]), 2);
        memcpy(expected + 3 + 2 * i, "de", 2);
    }
    for (size_t i = 0; i < PARTS; i++) {
        parts[i].base = "x";
        parts[i].len = 1;
    }
    check_op(f, epio_writev(&op, file, parts, PARTS, 0), PARTS);
    memset(expected + 13, 'x', PARTS);
    if (has(f, epio_append(&op, file, "!", 1), 13 + PARTS)) {
        expected[13 + PARTS] = '!';
        check_content(f, "file", expected, sizeof expected);
    }
    memset(expected, 0, 3);
    fixture_read(f, file, expected, 3, 1); /* reads are where they should be */
    assert_memory_equal(expected, "bcd", 3);
    fixture_close(f, file);
}

static void temporary_files_append(fixture *f)
{
    char found[8];
    epio_op op = {0};
    epio_file *file = open_to_append(f, fixture_path(f, "."), READ_WRITE | EPIO_OPEN_TEMPORARY);
    if (file == NULL) {
        return;
    }
    check_op(f, epio_write(&op, file, "abc", 3, 0), 3);
    check_op(f, epio_write(&op, file, "def", 3, 0), 3);
    if (!f->memory || size_of(f, file) == 6) {
        check_op(f, epio_read(&op, file, found, sizeof found, 0), 6);
        assert_memory_equal(found, "abcdef", 6);
    }
    fixture_close(f, file);
}

/* ---- Allocation ---------------------------------------------------------- */

static void allocation_reads_as_zeros(fixture *f)
{
    static unsigned char found[100000];
    epio_op op = {0};
    epio_file *file = create_with(f, "file", "abc", 3);
    if (has(f, epio_allocate(&op, file, 0, 50000, EPIO_SPACE_KEEP_SIZE), 0)) {
        check_result(size_of(f, file), 3);
    }
    if (has(f, epio_allocate(&op, file, 1, 99999, 0), 0)) {
        check_result(size_of(f, file), 100000);
        fixture_read(f, file, found, sizeof found, 0);
        assert_memory_equal(found, "abc", 3);
        check_bytes(found + 3, 0, sizeof found - 3);
        check_op(f, epio_allocate(&op, file, 0, 10, 0), 0);
        check_result(size_of(f, file), 100000);
    }
    fixture_close(f, file);
}

/* The file's bytes from 0 on: `fill`, but zeros in the range. */
static void check_zeros(fixture *f, epio_file *file, size_t len, uint64_t from, uint64_t to)
{
    static unsigned char expected[300000];
    static unsigned char found[300000];
    pattern_fill(expected, len, 0);
    memset(expected + from, 0, (size_t)(to - from));
    check_result(size_of(f, file), len);
    fixture_read(f, file, found, len, 0);
    check(memcmp(found, expected, len) == 0);
}

static epio_file *create_full(fixture *f, size_t len)
{
    static unsigned char data[300000];
    epio_op op = {0};
    pattern_fill(data, len, 0);
    epio_file *file = create_with(f, "file", data, len);
    check_op(f, epio_truncate(&op, file, len), 0);
    return file;
}

/* Ranges that begin and end anywhere. */
static const struct {
    uint64_t from;
    uint64_t to;
} ranges[] = {{0, 1},          {5, 6},           {4095, 4097}, {4096, 8192},    {1000, 250000},
              {65536, 131072}, {199999, 200000}, {0, 200000},  {100001, 200000}};

static void holes_read_as_zeros(fixture *f)
{
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const size_t len = 200000;
        uint64_t to = ranges[i].to < len ? ranges[i].to : len;
        epio_op op = {0};
        epio_file *file = create_full(f, len);
        bool punched =
            has(f, epio_punch_hole(&op, file, ranges[i].from, ranges[i].to - ranges[i].from), 0);
        check_zeros(f, file, len, ranges[i].from, punched ? to : ranges[i].from);
        check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL),
                 punched || f->performs ? 0 : EPIO_ENOTSUP);
        fixture_close(f, file);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    }
}

static void ranges_become_zeros(fixture *f)
{
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] * 2; i++) {
        const size_t len = 200000;
        uint32_t flags = i % 2 == 0 ? EPIO_SPACE_KEEP_SIZE : 0;
        uint64_t from = ranges[i / 2].from;
        uint64_t to = ranges[i / 2].to;
        epio_op op = {0};
        epio_file *file = create_full(f, len);
        if (!has(f, epio_zero_range(&op, file, from, to - from, flags), 0)) {
            check_zeros(f, file, len, 0, 0);
        } else if (flags == 0 && to > len) {
            check_zeros(f, file, (size_t)to, from, to);
        } else {
            check_zeros(f, file, len, from, to < len ? to : len);
        }
        fixture_close(f, file);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    }
}

static void an_error_is_the_next_syncs(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_with(f, "file", "abc", 3);
    int64_t error = fixture_result(f, epio_allocate(&op, file, 0, INT64_MAX, 0)); /* too much */
    check(error < 0);
    if (!f->performs) { /* which orders nothing */
        check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), error);
    }
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    check_result(size_of(f, file), 3);
    fixture_close(f, file);
}

/* ---- Sparse files -------------------------------------------------------- */

static void islands_are_found(fixture *f)
{
    enum { ISLANDS = 5 };
    static unsigned char data[ISLAND];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    uint64_t size = (2 * ISLANDS + 1) * MIB;
    memset(data, 'd', sizeof data);
    for (uint64_t i = 0; i < ISLANDS; i++) {
        fixture_write(f, file, data, ISLAND, (2 * i + 1) * MIB);
    }
    check_op(f, epio_truncate(&op, file, size), 0);
    int64_t first = fixture_result(f, epio_seek_hole(&op, file, 0));
    if (first == (int64_t)size || (first == EPIO_ENOTSUP && f->memory)) {
        fixture_close(f, file);
        fixture_skip(f, "all is data here");
    }
    uint64_t at = 0;
    for (uint64_t i = 0; i < ISLANDS; i++) {
        uint64_t start = (2 * i + 1) * MIB;
        uint64_t found = (uint64_t)fixture_result(f, epio_seek_data(&op, file, at));
        check(found <= start && found >= at && start - found < MIB);
        check_op(f, epio_seek_data(&op, file, start + 5), start + 5);
        check_op(f, epio_seek_hole(&op, file, at), at);
        at = (uint64_t)fixture_result(f, epio_seek_hole(&op, file, start));
        check(at >= start + ISLAND && at < start + MIB);
    }
    check_op(f, epio_seek_data(&op, file, at), size);
    check_op(f, epio_seek_hole(&op, file, size), size);
    fixture_close(f, file);
}

static void the_end_is_a_hole(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_with(f, "file", "abc", 3);
    if (has(f, epio_seek_hole(&op, file, 0), 3)) {
        check_op(f, epio_seek_data(&op, file, 0), 0);
        check_op(f, epio_seek_data(&op, file, 2), 2);
        check_op(f, epio_seek_data(&op, file, 3), 3);
        check_op(f, epio_seek_hole(&op, file, 3), 3);
        check_op(f, epio_seek_data(&op, file, 1000), 3);
        check_op(f, epio_seek_hole(&op, file, INT64_MAX), 3);
        check_op(f, epio_truncate(&op, file, 0), 0);
        check_op(f, epio_seek_data(&op, file, 0), 0);
        check_op(f, epio_seek_hole(&op, file, 0), 0);
    }
    fixture_close(f, file);
}

/* ---- Advice -------------------------------------------------------------- */

static void advice_changes_nothing(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f, 200000);
    for (uint32_t advice = EPIO_ADVICE_NORMAL; advice <= EPIO_ADVICE_DONT_NEED; advice++) {
        (void)has(f, epio_advise(&op, file, 0, 0, advice), 0);
        (void)has(f, epio_advise(&op, file, 5000, 10, advice), 0);
        (void)has(f, epio_advise(&op, file, UINT64_C(1) << 40, 0, advice), 0);
    }
    check_zeros(f, file, 200000, 0, 0);
    fixture_close(f, file);
}

/* ---- Bad arguments ------------------------------------------------------- */

#define check_refused(f, op, error, reason)                                                        \
    do {                                                                                           \
        epio_op *refused_ = (op);                                                                  \
        check_op(f, refused_, error);                                                              \
        assert_string_equal(epio_op_invalid_reason(refused_), reason);                             \
    } while (0)

static void bad_ranges_are_refused(fixture *f)
{
    static const char beyond[] = "offset + len is beyond INT64_MAX";
    const uint64_t most = INT64_MAX;
    epio_op op = {0};
    epio_file *file = create_with(f, "file", "abc", 3);
    check_refused(f, epio_append(&op, file, NULL, 1), EPIO_EINVAL, "the buffer is NULL");
    check_refused(f, epio_append(&op, file, "", SIZE_MAX), EPIO_EINVAL,
                  "the length is above INT64_MAX");
    check_refused(f, epio_allocate(&op, file, 0, 1, 2), EPIO_EINVAL, "unknown flags");
    check_refused(f, epio_allocate(&op, file, 0, 0, 0), EPIO_EINVAL, "the length is 0");
    check_refused(f, epio_allocate(&op, file, most, 1, 0), EPIO_EINVAL, beyond);
    check_refused(f, epio_punch_hole(&op, file, 0, 0), EPIO_EINVAL, "the length is 0");
    check_refused(f, epio_punch_hole(&op, file, 1, most), EPIO_EINVAL, beyond);
    check_refused(f, epio_zero_range(&op, file, 0, 1, 2), EPIO_EINVAL, "unknown flags");
    check_refused(f, epio_zero_range(&op, file, UINT64_MAX, 1, 0), EPIO_EINVAL, beyond);
    check_refused(f, epio_seek_data(&op, file, most + 1), EPIO_EINVAL, beyond);
    check_refused(f, epio_seek_hole(&op, file, UINT64_MAX), EPIO_EINVAL, beyond);
    check_refused(f, epio_advise(&op, file, 0, 0, 5), EPIO_EINVAL, "unknown advice");
    check_refused(f, epio_advise(&op, file, most, 1, 0), EPIO_EINVAL, beyond);
    check_refused(f, epio_open(&op, f->vfs, "x", EPIO_OPEN_READ | EPIO_OPEN_APPEND), EPIO_EINVAL,
                  "APPEND needs WRITE");
    fixture_close(f, file);
    check_content(f, "file", "abc", 3);
}

static void reading_is_no_right_to_change(fixture *f)
{
    static const char reason[] = "the file is not open for writing";
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_refused(f, epio_append(&op, file, "x", 1), EPIO_EBADF, reason);
    check_refused(f, epio_allocate(&op, file, 0, 1, 0), EPIO_EBADF, reason);
    check_refused(f, epio_punch_hole(&op, file, 0, 1), EPIO_EBADF, reason);
    check_refused(f, epio_zero_range(&op, file, 0, 1, 0), EPIO_EBADF, reason);
    (void)has(f, epio_seek_hole(&op, file, 0), 3);
    (void)has(f, epio_advise(&op, file, 0, 0, EPIO_ADVICE_NORMAL), 0);
    fixture_close(f, file);
    check_content(f, "file", "abc", 3);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(append_goes_to_the_end, ON_ANY),
        FIXTURE_TEST(append_needs_no_reading, ON_ANY),
        FIXTURE_TEST(two_files_append_to_one, ON_ANY),
        FIXTURE_TEST(writes_go_to_the_end, ON_ANY),
        FIXTURE_TEST(temporary_files_append, ON_ANY),
        FIXTURE_TEST(allocation_reads_as_zeros, ON_ANY),
        FIXTURE_TEST(holes_read_as_zeros, ON_ANY),
        FIXTURE_TEST(ranges_become_zeros, ON_ANY),
        FIXTURE_TEST(an_error_is_the_next_syncs, ON_ANY),
        FIXTURE_TEST(islands_are_found, ON_ANY),
        FIXTURE_TEST(the_end_is_a_hole, ON_ANY),
        FIXTURE_TEST(advice_changes_nothing, ON_ANY),
        FIXTURE_TEST(bad_ranges_are_refused, ON_ANY),
        FIXTURE_TEST(reading_is_no_right_to_change, ON_ANY),
    };
    return FIXTURE_RUN("space", tests);
}
