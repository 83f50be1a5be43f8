/* Reading and writing what only POSIX has: transfers of more than 2 GiB from memory
 * that is the same few pages over and over, and devices that have paths. The rest is
 * in test_file.c. Serves a library without loops too: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Linux moves no more than this in one call. */
#define LONGEST_CALL UINT64_C(0x7ffff000)

#define LONG_LENGTH (UINT64_C(0x80000000) + 4097)

#define WINDOW UINT64_C(0x1000000)

/* Memory for a long transfer that costs little: the same few pages over and
 * over, with pages of their own only where the test looks: at the beginning,
 * and from shortly before the place where one call stops to the end. */
#define LANDMARKS 2

#define LANDMARK_ROOM 65536u

static const struct {
    uint64_t offset;
    size_t len;
} landmarks[LANDMARKS] = {
    {0, LANDMARK_ROOM},
    {LONGEST_CALL - 32768, LONG_LENGTH - LONGEST_CALL + 32768},
};

static unsigned char landmark_bytes[LANDMARKS][LANDMARK_ROOM];

static unsigned char *map_at(unsigned char *where, size_t len, int flags, int descriptor)
{
    void *mapped = mmap(where, len, PROT_READ | PROT_WRITE, flags, descriptor, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static unsigned char *map_long_buffer(const char *backing, size_t *len)
{
    *len = (size_t)((LONG_LENGTH / WINDOW + 1) * WINDOW);
    unsigned char *buffer = map_at(NULL, *len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    int descriptor = open(backing, O_RDWR | O_CREAT, 0600);
    assert_non_null(buffer);
    assert_true(descriptor >= 0 && ftruncate(descriptor, (off_t)WINDOW) == 0);
    for (size_t at = 0; at < *len; at += WINDOW) {
        assert_non_null(map_at(buffer + at, WINDOW, MAP_SHARED | MAP_FIXED, descriptor));
    }
    for (size_t i = 0; i < LANDMARKS; i++) {
        assert_non_null(map_at(buffer + landmarks[i].offset, LANDMARK_ROOM,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1));
        pattern_fill(landmark_bytes[i], LANDMARK_ROOM, i * 77);
    }
    (void)close(descriptor);
    (void)unlink(backing);
    return buffer;
}

static void require_speed(fixture *f)
{
    struct statvfs space;
    if (sizeof(size_t) < 8 || fixture_is_slow()) {
        fixture_skip(f, "too slow here");
    }
    if (statvfs(f->folder, &space) != 0 ||
        space.f_bavail * space.f_frsize < UINT64_C(0x100000000)) {
        fixture_skip(f, "not enough space");
    }
}

static void one_read_of_more_than_2_gib(fixture *f)
{
    size_t mapped;
    epio_op op = {0};
    require_speed(f);
    unsigned char *buffer = map_long_buffer(fixture_path(f, "backing"), &mapped);
    epio_file *file = fixture_create(f, "sparse");
    for (size_t i = 0; i < LANDMARKS; i++) {
        fixture_write(f, file, landmark_bytes[i], landmarks[i].len, landmarks[i].offset);
    }
    check_op(f, epio_size(&op, file), LONG_LENGTH);
    check_op(f, epio_read(&op, file, buffer, LONG_LENGTH, 0), LONG_LENGTH);
    for (size_t i = 0; i < LANDMARKS; i++) {
        assert_memory_equal(buffer + landmarks[i].offset, landmark_bytes[i], landmarks[i].len);
    }

    /* The end of the file cuts it like any other. */
    check_op(f, epio_read(&op, file, buffer, LONG_LENGTH, LONG_LENGTH - 1000), 1000);
    assert_memory_equal(buffer, landmark_bytes[1] + landmarks[1].len - 1000, 1000);
    fixture_close(f, file);
    assert_int_equal(munmap(buffer, mapped), 0);
}

static void one_write_of_more_than_2_gib(fixture *f)
{
    static unsigned char found[LANDMARK_ROOM];
    size_t mapped;
    epio_op op = {0};
    require_speed(f);
    unsigned char *buffer = map_long_buffer(fixture_path(f, "backing"), &mapped);
    for (size_t i = 0; i < LANDMARKS; i++) {
        memcpy(buffer + landmarks[i].offset, landmark_bytes[i], landmarks[i].len);
    }
    epio_file *file = fixture_create(f, "long");
    check_op(f, epio_write(&op, file, buffer, LONG_LENGTH, 3), LONG_LENGTH);
    check_op(f, epio_size(&op, file), LONG_LENGTH + 3);
    for (size_t i = 0; i < LANDMARKS; i++) {
        fixture_read(f, file, found, landmarks[i].len, landmarks[i].offset + 3);
        assert_memory_equal(found, landmark_bytes[i], landmarks[i].len);
    }
    fixture_close(f, file);
    assert_int_equal(munmap(buffer, mapped), 0);
}

static void a_long_write_to_a_device_is_finished(fixture *f)
{
    size_t mapped;
    epio_op op = {0};
    require_speed(f);
    unsigned char *buffer = map_long_buffer(fixture_path(f, "backing"), &mapped);
    check_op(f, epio_open(&op, f->vfs, "/dev/null", EPIO_OPEN_WRITE), 0);
    epio_file *file = op.file;
    check_op(f, epio_write(&op, file, buffer, LONG_LENGTH, 0), LONG_LENGTH);
    fixture_close(f, file);
    assert_int_equal(munmap(buffer, mapped), 0);
}

static void devices_read_and_write(fixture *f)
{
    static unsigned char found[100000];
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, "/dev/zero", EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    memset(found, 'g', sizeof found);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), sizeof found);
    check_bytes(found, 0, sizeof found);
    fixture_close(f, file);

    check_op(f, epio_open(&op, f->vfs, "/dev/null", EPIO_OPEN_READ | EPIO_OPEN_WRITE), 0);
    file = op.file;
    check_op(f, epio_write(&op, file, found, sizeof found, 0), sizeof found);
    check_op(f, epio_read(&op, file, found, sizeof found, 0), 0);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(one_read_of_more_than_2_gib, ON_OS | ON_OS_PERFORM),
        FIXTURE_TEST(one_write_of_more_than_2_gib, ON_OS),
        FIXTURE_TEST(a_long_write_to_a_device_is_finished, ON_OS | ON_OS_PERFORM),
        FIXTURE_TEST(devices_read_and_write, ON_ANY_OS),
    };
    return FIXTURE_RUN("file, POSIX", tests);
}
