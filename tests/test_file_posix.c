/* Reads and writes of what only POSIX has: transfers of more than 2 GiB of memory that maps the
 * same few pages again and again, and devices with paths. The rest is in test_file.c. Also without
 * loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Linux moves no more than this in one call. */
#define LONGEST_CALL UINT64_C(0x7ffff000)

#define LONG_LENGTH (UINT64_C(0x80000000) + 4097)

/* Memory for a long transfer at little cost: the same few pages mapped again and again, with
 * separate pages only where the test checks: at the beginning, and from shortly before the end of
 * the first call to the end. The pages are one large page where possible, since the first touch of
 * each page costs more than its bytes. */
#define WINDOW (UINT64_C(2) << 20)

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

typedef struct long_buffer {
    unsigned char *bytes;
    unsigned char *mapped; /* and what lies before them, so that they are aligned */
    size_t len;
} long_buffer;

static unsigned char *map_at(unsigned char *where, size_t len, int flags, int descriptor)
{
    void *mapped = mmap(where, len, PROT_READ | PROT_WRITE, flags, descriptor, 0);
    assert_true(mapped != MAP_FAILED);
    return mapped;
}

/* Memory that can be mapped repeatedly. */
static int open_shared_memory(void)
{
    char name[32];
    (void)snprintf(name, sizeof name, "/epio-test-%ld", (long)getpid());
    int descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(shm_unlink(name), 0);
    assert_int_equal(ftruncate(descriptor, (off_t)WINDOW), 0);
    return descriptor;
}

/* Linux 6.1; the C library may not have it. */
#if defined(__linux__) && !defined(MADV_COLLAPSE)
#define MADV_COLLAPSE 25
#endif

static void make_large_page(unsigned char *window)
{
#ifdef MADV_COLLAPSE
    (void)madvise(window, (size_t)WINDOW, MADV_COLLAPSE); /* slower if it fails */
#else
    (void)window;
#endif
}

static long_buffer map_long_buffer(void)
{
    long_buffer made;
    int descriptor = open_shared_memory();
    size_t windows = (size_t)(LONG_LENGTH / WINDOW + 1);
    made.len = (size_t)((windows + 1) * WINDOW);
    made.mapped = map_at(NULL, made.len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    made.bytes = made.mapped + (WINDOW - (uintptr_t)made.mapped % WINDOW) % WINDOW;
    for (size_t i = 0; i < windows; i++) {
        unsigned char *window =
            map_at(made.bytes + i * WINDOW, (size_t)WINDOW, MAP_SHARED | MAP_FIXED, descriptor);
        if (i == 0) {
            memset(window, 'w', (size_t)WINDOW);
            make_large_page(window);
        }
    }
    for (size_t i = 0; i < LANDMARKS; i++) {
        (void)map_at(made.bytes + landmarks[i].offset, LANDMARK_ROOM,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
        pattern_fill(landmark_bytes[i], LANDMARK_ROOM, i * 77);
    }
    (void)close(descriptor);
    return made;
}

static void unmap_long_buffer(long_buffer buffer)
{
    assert_int_equal(munmap(buffer.mapped, buffer.len), 0);
}

static void require_speed(fixture *f)
{
    struct statvfs space;
    if (sizeof(size_t) < 8 || fixture_is_slow()) {
        fixture_skip(f, "too slow here");
    }
    if (statvfs(f->directory, &space) != 0 ||
        space.f_bavail * space.f_frsize < UINT64_C(0x100000000)) {
        fixture_skip(f, "not enough space");
    }
}

static void check_landmarks(const unsigned char *bytes)
{
    for (size_t i = 0; i < LANDMARKS; i++) {
        assert_memory_equal(bytes + landmarks[i].offset, landmark_bytes[i], landmarks[i].len);
    }
}

/* Reads what was just written: memory that a file already has costs least. */
static void one_write_and_one_read_of_more_than_2_gib(fixture *f)
{
    static unsigned char found[LANDMARK_ROOM];
    epio_op op = {0};
    require_speed(f);
    long_buffer buffer = map_long_buffer();
    for (size_t i = 0; i < LANDMARKS; i++) {
        memcpy(buffer.bytes + landmarks[i].offset, landmark_bytes[i], landmarks[i].len);
    }
    epio_file *file = fixture_create(f, "long");
    check_op(f, epio_write(&op, file, buffer.bytes, LONG_LENGTH, 3), LONG_LENGTH);
    check_op(f, epio_size(&op, file), LONG_LENGTH + 3);
    for (size_t i = 0; i < LANDMARKS; i++) {
        fixture_read(f, file, found, landmarks[i].len, landmarks[i].offset + 3);
        assert_memory_equal(found, landmark_bytes[i], landmarks[i].len);
        memset(buffer.bytes + landmarks[i].offset, 'x', landmarks[i].len);
    }

    check_op(f, epio_read(&op, file, buffer.bytes, LONG_LENGTH, 3), LONG_LENGTH);
    check_landmarks(buffer.bytes);
    /* The end of the file shortens it, too. */
    check_op(f, epio_read(&op, file, buffer.bytes, LONG_LENGTH, LONG_LENGTH + 3 - 1000), 1000);
    assert_memory_equal(buffer.bytes, landmark_bytes[1] + landmarks[1].len - 1000, 1000);
    fixture_close(f, file);
    unmap_long_buffer(buffer);
}

/* A direct read of a file that is mostly a hole, which takes no memory. */
static void one_direct_read_of_more_than_2_gib(fixture *f)
{
    const uint64_t len = LONG_LENGTH / 4096 * 4096 + 4096;
    epio_op op = {0};
    require_speed(f);
    fixture_put(f, "sparse", "", 0);
    epio_file *file = fixture_open(f, "sparse", EPIO_OPEN_WRITE);
    for (size_t i = 0; i < LANDMARKS; i++) {
        pattern_fill(landmark_bytes[i], LANDMARK_ROOM, i * 77);
        fixture_write(f, file, landmark_bytes[i], landmarks[i].len, landmarks[i].offset);
    }
    fixture_close(f, file);
    int64_t opened = fixture_result(
        f, epio_open(&op, f->vfs, fixture_path(f, "sparse"), EPIO_OPEN_READ | EPIO_OPEN_DIRECT));
    if (opened == EPIO_EINVAL || opened == EPIO_ENOTSUP) {
        fixture_skip(f, "this file system offers no direct I/O");
    }
    check_result(opened, 0);
    file = op.file;
    long_buffer buffer = map_long_buffer();
    check_op(f, epio_read(&op, file, buffer.bytes, (size_t)len, 0), LONG_LENGTH);
    check_landmarks(buffer.bytes);
    assert_int_equal(buffer.bytes[LANDMARK_ROOM], 0); /* of the hole */
    fixture_close(f, file);
    unmap_long_buffer(buffer);
}

static void a_long_write_to_a_device_is_finished(fixture *f)
{
    epio_op op = {0};
    require_speed(f);
    long_buffer buffer = map_long_buffer();
    check_op(f, epio_open(&op, f->vfs, "/dev/null", EPIO_OPEN_WRITE), 0);
    epio_file *file = op.file;
    check_op(f, epio_write(&op, file, buffer.bytes, LONG_LENGTH, 0), LONG_LENGTH);
    fixture_close(f, file);
    unmap_long_buffer(buffer);
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
        FIXTURE_TEST(one_write_and_one_read_of_more_than_2_gib, ON_OS_ONCE),
        FIXTURE_TEST(one_direct_read_of_more_than_2_gib, ON_OS_ONCE),
        FIXTURE_TEST(a_long_write_to_a_device_is_finished, ON_OS | ON_OS_PERFORM),
        FIXTURE_TEST(devices_read_and_write, ON_ANY_OS),
    };
    return FIXTURE_RUN("file, POSIX", tests);
}
