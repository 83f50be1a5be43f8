/* Vectored reads and writes: any number of parts of any size, including none. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <epio/vfs.h>

/* More than any system takes in one call (IOV_MAX is 1024). */
#define MANY 3001

/* Parts of these lengths, one after the other in `data`. */
static size_t lay_out(epio_iovec *parts, size_t count, unsigned char *data,
                      size_t (*length)(size_t part))
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        parts[i].base = data + at;
        parts[i].len = length(i);
        at += parts[i].len;
    }
    return at;
}

static size_t mixed_length(size_t part)
{
    static const size_t lengths[] = {1, 0, 7, 4096, 0, 0, 33, 511, 2, 0, 129};
    return lengths[part % (sizeof lengths / sizeof lengths[0])];
}

static size_t short_length(size_t part)
{
    return 1 + part % 5;
}

/* Writes `count` parts, reads them back as one, and as other parts. */
static void check_round_trip(fixture *f, size_t count, size_t (*length)(size_t part),
                             uint64_t offset)
{
    static epio_iovec parts[MANY];
    static epio_iovec before[MANY];
    static unsigned char written[MANY * 450];
    static unsigned char found[MANY * 450];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    size_t total = lay_out(parts, count, written, length);
    assert_true(total <= sizeof written);
    pattern_fill(written, total, count + offset);
    memcpy(before, parts, count * sizeof parts[0]);
    check_op(f, epio_writev(&op, file, parts, count, offset), total);
    assert_memory_equal(parts, before, count * sizeof parts[0]);
    if (total > 0) {
        check_op(f, epio_size(&op, file), offset + total);
        fixture_read(f, file, found, total, offset);
        assert_memory_equal(found, written, total);
    }

    memset(found, 0, sizeof found);
    (void)lay_out(parts, count, found, length);
    memcpy(before, parts, count * sizeof parts[0]);
    check_op(f, epio_readv(&op, file, parts, count, offset), total);
    assert_memory_equal(parts, before, count * sizeof parts[0]);
    assert_memory_equal(found, written, total);
    fixture_close(f, file);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "data"), 0), 0);
}

static void parts_of_all_sizes(fixture *f)
{
    for (size_t count = 0; count <= 24; count++) {
        check_round_trip(f, count, mixed_length, count * 1000);
    }
}

static void any_number_of_parts(fixture *f)
{
    static const size_t counts[] = {1023, 1024, 1025, 2048, 2049, MANY};
    size_t last = sizeof counts / sizeof counts[0] - 1;
    /* On Windows each part is a call. */
    for (size_t i = system_is_wine() ? last : 0; i <= last; i++) {
        check_round_trip(f, counts[i], mixed_length, 5);
        check_round_trip(f, counts[i], short_length, 0);
    }
}

static void nothing_to_transfer(fixture *f)
{
    static epio_iovec empty[MANY];
    epio_op op = {0};
    char byte = 'a';
    epio_file *file = fixture_create(f, "data");
    check_op(f, epio_writev(&op, file, NULL, 0, 77), 0);
    check_op(f, epio_readv(&op, file, NULL, 0, 77), 0);
    for (size_t i = 0; i < MANY; i++) {
        empty[i].base = i % 2 == 0 ? &byte : NULL;
    }
    check_op(f, epio_writev(&op, file, empty, 3, 77), 0);
    check_op(f, epio_writev(&op, file, empty, MANY, 77), 0);
    check_op(f, epio_size(&op, file), 0);
    fixture_write(f, file, "abc", 3, 0);
    check_op(f, epio_readv(&op, file, empty, MANY, 0), 0);
    assert_int_equal(byte, 'a');
    fixture_close(f, file);
}

/* Empty parts before, between and after the others, more than one call takes. */
static void empty_parts_count_for_nothing(fixture *f)
{
    static epio_iovec parts[MANY];
    char text[] = "abc";
    char found[4] = {0};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    memset(parts, 0, sizeof parts);
    parts[0] = (epio_iovec){text, 1};
    parts[1500] = (epio_iovec){text + 1, 1};
    parts[MANY - 1] = (epio_iovec){text + 2, 1};
    check_op(f, epio_writev(&op, file, parts, MANY, 0), 3);
    check_content(f, "data", "abc", 3);

    parts[0].base = found;
    parts[1500].base = found + 1;
    parts[MANY - 1].base = found + 2;
    check_op(f, epio_readv(&op, file, parts, MANY, 0), 3);
    assert_string_equal(found, "abc");

    memset(parts, 0, sizeof parts);
    parts[MANY - 1] = (epio_iovec){found, 2};
    check_op(f, epio_readv(&op, file, parts, MANY, 1), 2);
    assert_memory_equal(found, "bcc", 3);
    fixture_close(f, file);
}

static void the_end_of_the_file_cuts_the_parts(fixture *f)
{
    static epio_iovec parts[MANY];
    static unsigned char written[4000];
    static unsigned char found[MANY * 5];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    pattern_fill(written, sizeof written, 0);
    fixture_write(f, file, written, sizeof written, 0);

    memset(found, 'g', sizeof found);
    size_t total = lay_out(parts, MANY, found, short_length);
    assert_true(total > sizeof written);
    check_op(f, epio_readv(&op, file, parts, MANY, 0), sizeof written);
    assert_memory_equal(found, written, sizeof written);
    check_bytes(found + sizeof written, 'g', total - sizeof written);

    memset(found, 'g', sizeof found);
    check_op(f, epio_readv(&op, file, parts, 10, 3993), 7);
    assert_memory_equal(found, written + 3993, 7);
    check_bytes(found + 7, 'g', 100);
    check_op(f, epio_readv(&op, file, parts, MANY, 4000), 0);
    check_op(f, epio_readv(&op, file, parts, MANY, 5000), 0);
    fixture_close(f, file);
}

static void parts_may_overlap_when_written(fixture *f)
{
    char text[] = "abcdef";
    epio_iovec parts[3] = {{text + 2, 4}, {text, 4}, {text, 6}};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op(f, epio_writev(&op, file, parts, 3, 0), 14);
    fixture_close(f, file);
    check_content(f, "data", "cdefabcdabcdef", 14);
}

static void bad_parts_are_invalid(fixture *f)
{
    char buffer[8] = "same";
    epio_op op = {0};
    epio_iovec huge[2] = {{buffer, SIZE_MAX / 2 + 1}, {buffer, SIZE_MAX / 2 + 1}};
    epio_iovec most[2] = {{buffer, 4}, {buffer, SIZE_MAX}};
    epio_iovec one = {buffer, 4};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abcd", 4, 0);
    check_op(f, epio_readv(&op, file, NULL, 1, 0), EPIO_EINVAL);
    check_op(f, epio_writev(&op, file, NULL, 1, 0), EPIO_EINVAL);
    check_op(f, epio_readv(&op, file, huge, 2, 0), EPIO_EINVAL);
    check_op(f, epio_writev(&op, file, huge, 2, 0), EPIO_EINVAL);
    check_op(f, epio_readv(&op, file, most, 2, 0), EPIO_EINVAL);
    check_op(f, epio_writev(&op, file, most, 2, 0), EPIO_EINVAL);
    check_op(f, epio_readv(&op, file, &one, 1, INT64_MAX - 3), EPIO_EINVAL);
    check_op(f, epio_writev(&op, file, &one, 1, INT64_MAX - 3), EPIO_EINVAL);
    check_op(f, epio_writev(&op, file, &one, 1, UINT64_MAX - 1), EPIO_EINVAL);
    check_op(f, epio_readv(&op, file, &one, 1, INT64_MAX - 4), 0);
    assert_string_equal(buffer, "same");
    check_op(f, epio_size(&op, file), 4);
    fixture_close(f, file);
}

static void parts_keep_to_the_directions(fixture *f)
{
    char buffer[4] = "abc";
    epio_iovec part = {buffer, 3};
    epio_op op = {0};
    fixture_put(f, "data", "xyz", 3);
    epio_file *file = fixture_open(f, "data", EPIO_OPEN_READ);
    check_op(f, epio_writev(&op, file, &part, 1, 0), EPIO_EBADF);
    fixture_close(f, file);
    file = fixture_open(f, "data", EPIO_OPEN_WRITE);
    check_op(f, epio_readv(&op, file, &part, 1, 0), EPIO_EBADF);
    fixture_close(f, file);
    check_content(f, "data", "xyz", 3);
}

/* Layers use it for the size of a transfer. */
static void an_op_reports_its_bytes(fixture *f)
{
    char buffer[16];
    epio_iovec parts[3] = {{buffer, 5}, {NULL, 0}, {buffer, 6}};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    assert_int_equal(epio_op_bytes(epio_read(&op, file, buffer, 16, 3)), 16);
    assert_int_equal(epio_op_bytes(epio_write(&op, file, buffer, 9, 3)), 9);
    assert_int_equal(epio_op_bytes(epio_readv(&op, file, parts, 3, 3)), 11);
    assert_int_equal(epio_op_bytes(epio_writev(&op, file, parts, 2, 3)), 5);
    assert_int_equal(epio_op_bytes(epio_sync(&op, file, 0)), 0);
    assert_int_equal(epio_op_bytes(epio_truncate(&op, file, 100)), 0);
    fixture_close(f, file);
}

/* Direct where possible: a hole takes no memory then, and hardly any time. */
static epio_file *open_hole(fixture *f, const char *name)
{
    epio_op op = {0};
    int64_t result = fixture_result(
        f, epio_open(&op, f->vfs, fixture_path(f, name), EPIO_OPEN_READ | EPIO_OPEN_DIRECT));
    return result == 0 ? op.file : fixture_open(f, name, EPIO_OPEN_READ);
}

/* Both limits of a system call at once: the parts, and 2 GiB. The parts share one buffer, so that
 * little memory is used. */
static void more_than_2_gib_in_parts(fixture *f)
{
    enum { PART = 1 << 20, COUNT = 2050, PAGE = 4096 };
    static epio_iovec parts[COUNT];
    static unsigned char memory[PART + PAGE];
    unsigned char *buffer = memory + PAGE - (uintptr_t)memory % PAGE;
    const int64_t total = (int64_t)PART * COUNT;
    epio_op op = {0};
    if (sizeof(size_t) < 8 || fixture_is_watched()) {
        fixture_skip(f, "too slow here");
    }
    for (size_t i = 0; i < COUNT; i++) {
        parts[i] = (epio_iovec){buffer, PART};
    }
    if (SYSTEM_IS_POSIX) { /* on Windows epio opens no device by path */
        check_op(f, epio_open(&op, f->vfs, "/dev/null", EPIO_OPEN_WRITE), 0);
        epio_file *null_device = op.file;
        check_op(f, epio_writev(&op, null_device, parts, COUNT, 0), total);
        fixture_close(f, null_device);
    }

    epio_file *file = fixture_create(f, "sparse");
    check_op(f, epio_truncate(&op, file, (uint64_t)total - 1), 0);
    fixture_write(f, file, "last", 4, (uint64_t)total - 5);
    fixture_close(f, file);
    file = open_hole(f, "sparse");
    check_op(f, epio_readv(&op, file, parts, COUNT, 0), total - 1);
    assert_memory_equal(buffer + PART - 5, "last", 4);
    check_bytes(buffer, 0, PART - 5);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(parts_of_all_sizes, ON_ANY),
        FIXTURE_TEST(any_number_of_parts, ON_ANY),
        FIXTURE_TEST(nothing_to_transfer, ON_ANY),
        FIXTURE_TEST(empty_parts_count_for_nothing, ON_ANY),
        FIXTURE_TEST(the_end_of_the_file_cuts_the_parts, ON_ANY),
        FIXTURE_TEST(parts_may_overlap_when_written, ON_ANY),
        FIXTURE_TEST(bad_parts_are_invalid, ON_ANY),
        FIXTURE_TEST(parts_keep_to_the_directions, ON_ANY),
        FIXTURE_TEST(an_op_reports_its_bytes, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(more_than_2_gib_in_parts, ON_OS_ONCE),
    };
    return FIXTURE_RUN("vector", tests);
}
