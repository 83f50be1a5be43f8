/* What Linux does for epio_copy_range: reflinks, large sparse files, files of the kernel, other
 * file systems, full disks, limits, DIRECT. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (UINT64_C(1) << 30)
#define ALL UINT64_MAX

/* Zeroed. */
static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void fill(fixture *f, epio_file *file, size_t len, uint64_t seed)
{
    unsigned char *data = allocate(len);
    pattern_fill(data, len, seed);
    fixture_write(f, file, data, len, 0);
    free(data);
}

static uint64_t allocated(const epio_file *file)
{
    struct stat status;
    check(fstat((int)epio_file_os_handle(file), &status) == 0);
    return (uint64_t)status.st_blocks * 512;
}

static void check_equal(fixture *f, epio_file *one, epio_file *other, size_t len)
{
    unsigned char *bytes[2] = {allocate(len), allocate(len)};
    fixture_read(f, one, bytes[0], len, 0);
    fixture_read(f, other, bytes[1], len, 0);
    check(memcmp(bytes[0], bytes[1], len) == 0);
    free(bytes[0]);
    free(bytes[1]);
}

/* ---- Reflinks ------------------------------------------------------------ */

/* Bytes of the file whose blocks other files have, too. */
static uint64_t shared(const epio_file *file)
{
    enum { EXTENTS = 100 };
    struct fiemap *map = allocate(sizeof *map + EXTENTS * sizeof(struct fiemap_extent));
    uint64_t found = 0;
    map->fm_length = FIEMAP_MAX_OFFSET;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = EXTENTS;
    /* ioctl takes the request as unsigned long in one libc, as int in another. */
    check(syscall(SYS_ioctl, (int)epio_file_os_handle(file), FS_IOC_FIEMAP, map) == 0);
    for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
        const struct fiemap_extent *extent = &map->fm_extents[i];
        found += (extent->fe_flags & FIEMAP_EXTENT_SHARED) != 0 ? extent->fe_length : 0;
    }
    free(map);
    return found;
}

static void blocks_are_shared(fixture *f)
{
    const size_t len = 8 * MIB + 100;
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "."), &info), 0);
    if ((info.traits & EPIO_FS_REFLINKS) == 0) {
        fixture_skip(f, "no reflinks here");
    }
    epio_file *from = fixture_create(f, "from");
    epio_file *to = fixture_create(f, "to");
    fill(f, from, len, 1);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), len);
    check(shared(to) >= 8 * MIB);
    check_equal(f, from, to, len);

    /* Of a range: whole blocks. */
    check_op(f, epio_truncate(&op, to, 0), 0);
    check_op(f, epio_copy_range(&op, from, MIB, to, 2 * MIB, 2 * MIB + 10), 2 * MIB + 10);
    check(shared(to) >= 2 * MIB && shared(to) < 3 * MIB);
    check_op(f, epio_size(&op, to), 4 * MIB + 10);

    /* They are two files all the same. */
    fixture_write(f, to, "changed", 7, 2 * MIB);
    char found[7];
    unsigned char expected[MIB + 7];
    pattern_fill(expected, sizeof expected, 1);
    fixture_read(f, from, found, 7, MIB);
    assert_memory_equal(found, expected + MIB, 7);

    /* Nothing can be shared where blocks do not lie alike. */
    check_op(f, epio_truncate(&op, to, 0), 0);
    check_op(f, epio_copy_range(&op, from, 0, to, 1, ALL), len);
    check_result(shared(to), 0);
    fixture_close(f, from);
    fixture_close(f, to);
}

/* ---- Sparse files -------------------------------------------------------- */

#define ISLANDS 1000u
#define ISLAND (16 * KIB)

static uint64_t place_of_island(unsigned i)
{
    return i * GIB + i % 16 * 4096;
}

/* XFS allocates more at an end that moves, behind an island, and may take that for data. */
static int64_t next_island(fixture *f, epio_file *file, uint64_t end)
{
    epio_op op = {0};
    int64_t data = fixture_result(f, epio_seek_data(&op, file, end));
    if (data != (int64_t)end || end == 0) {
        return data;
    }
    int64_t hole = fixture_result(f, epio_seek_hole(&op, file, end));
    check(hole > data && hole < (int64_t)(end + GIB / 2));
    return fixture_result(f, epio_seek_data(&op, file, (uint64_t)hole));
}

/* 1 TiB with a thousand islands. Its holes must not be read. */
static void a_tebibyte_is_copied(fixture *f)
{
    static unsigned char island[ISLAND];
    static unsigned char found[ISLAND];
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *to = fixture_create(f, "to");
    if (fixture_result(f, epio_truncate(&op, from, 1024 * GIB)) != 0) {
        fixture_close(f, from);
        fixture_close(f, to);
        fixture_skip(f, "no file is so long here");
    }
    for (unsigned i = 0; i < ISLANDS; i++) {
        pattern_fill(island, sizeof island, place_of_island(i));
        fixture_write(f, from, island, sizeof island, place_of_island(i));
    }
    uint64_t begun = system_monotonic_ns();
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), 1024 * GIB);
    uint64_t took = system_monotonic_ns() - begun;
    if (getenv("EPIO_TEST_EFFORT") != NULL) {
        (void)fprintf(stderr, "1 TiB with %u islands: %.1f ms\n", ISLANDS, (double)took / 1e6);
    }
    check_op(f, epio_size(&op, to), 1024 * GIB);
    check(allocated(to) <= 8 * allocated(from)); /* see next_island */
    for (unsigned i = 0; i < ISLANDS; i++) {
        uint64_t at = place_of_island(i);
        pattern_fill(island, sizeof island, at);
        fixture_read(f, to, found, sizeof found, at);
        check(memcmp(found, island, sizeof found) == 0);
        check_result(next_island(f, to, i != 0 ? place_of_island(i - 1) + ISLAND : 0), at);
    }
    fixture_close(f, from);
    fixture_close(f, to);
}

/* What was there becomes a hole, too. */
static void what_was_there_becomes_a_hole(fixture *f)
{
    const size_t len = 8 * MIB;
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *to = fixture_create(f, "to");
    fixture_write(f, from, "island", 6, 4 * MIB);
    check_op(f, epio_truncate(&op, from, len), 0);
    fill(f, to, len, 3);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), len);
    check_equal(f, from, to, len);
    for (uint64_t at = 0; at < len;) {
        uint64_t data = (uint64_t)fixture_result(f, epio_seek_data(&op, from, at));
        check_op(f, epio_seek_data(&op, to, at), data);
        at = (uint64_t)fixture_result(f, epio_seek_hole(&op, from, data));
        check_op(f, epio_seek_hole(&op, to, data), at);
    }
    fixture_close(f, from);
    fixture_close(f, to);
}

/* ---- Other files --------------------------------------------------------- */

/* Their length is said to be 0, or a page. */
static void files_of_the_kernel_are_read(fixture *f)
{
    static const char *const paths[] = {"/proc/self/limits", "/proc/cpuinfo",
                                        "/sys/kernel/mm/transparent_hugepage/enabled"};
    static char expected[200000];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        epio_op op = {0};
        if (fixture_result(f, epio_open(&op, f->vfs, paths[i], EPIO_OPEN_READ)) != 0) {
            continue;
        }
        epio_file *from = op.file;
        epio_file *to = fixture_create(f, "to");
        int64_t copied = fixture_result(f, epio_copy_range(&op, from, 0, to, 0, ALL));
        int64_t len = fixture_result(f, epio_read(&op, from, expected, sizeof expected, 0));
        check(len > 0);
        if (i != 1) { /* which says how fast each processor is at the moment */
            check_result(copied, len);
        }
        check(copied > 0);
        check_op(f, epio_size(&op, to), copied);
        fixture_close(f, from);
        fixture_close(f, to);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to"), 0), 0);
    }
}

/* No call of the system copies between two kinds of file systems. */
static void other_file_systems(fixture *f)
{
    const size_t len = 3 * MIB + 5;
    epio_op op = {0};
    if (fixture_result(f, epio_open(&op, f->vfs, "/dev/shm", READ_WRITE | EPIO_OPEN_TEMPORARY)) !=
        0) {
        fixture_skip(f, "nothing is in /dev/shm");
    }
    epio_file *there = op.file;
    epio_file *here = fixture_create(f, "here");
    fill(f, here, MIB, 1);
    fixture_write(f, here, "end", 3, len - 3);
    check_op(f, epio_copy_range(&op, here, 0, there, 0, ALL), len);
    check_equal(f, here, there, len);
    check_op(f, epio_truncate(&op, here, 10), 0);
    check_op(f, epio_copy_range(&op, there, 0, here, 0, ALL), len);
    check_equal(f, here, there, len);
    fixture_close(f, here);
    fixture_close(f, there);
}

static void direct_files(fixture *f)
{
    const size_t len = 2 * MIB;
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *to = fixture_create(f, "to");
    fill(f, from, len, 1);
    fixture_close(f, from);
    fixture_close(f, to);
    from = fixture_open_direct(f, "from", READ_WRITE);
    to = fixture_open_direct(f, "to", READ_WRITE);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), len);
    check_op(f, epio_copy_range(&op, from, 4096, to, len, 8192), 8192);
    fixture_close(f, from);
    fixture_close(f, to);
    from = fixture_open(f, "from", EPIO_OPEN_READ);
    to = fixture_open(f, "to", EPIO_OPEN_READ);
    check_equal(f, from, to, len);
    check_op(f, epio_size(&op, to), len + 8192);
    fixture_close(f, from);
    fixture_close(f, to);
}

static void an_adopted_file_may_append(fixture *f)
{
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    fill(f, from, 100, 1);
    int descriptor = open(fixture_path(f, "to"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    check(descriptor >= 0);
    epio_file *to = fixture_adopt(f, descriptor, EPIO_OPEN_WRITE);
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), EPIO_EINVAL);
    fixture_close(f, to);
    fixture_close(f, from);
    check_content(f, "to", "", 0);
}

/* ---- Limits -------------------------------------------------------------- */

static epio_file *open_in_child(const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, CREATE)), 0);
    return op.file;
}

static void exceed_the_limit(void *argument)
{
    fixture *f = argument;
    const struct rlimit limit = {30 * MIB, 30 * MIB};
    epio_op op = {0};
    epio_file *from = open_in_child(fixture_path(f, "from"));
    epio_file *to = open_in_child(fixture_path(f, "to"));
    fill(f, from, 24 * MIB, 1);
    check(signal(SIGXFSZ, SIG_DFL) != SIG_ERR); /* which kills the process */
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    check_result(epio_perform(epio_copy_range(&op, from, 0, to, 29 * MIB, ALL)), EPIO_EFBIG);
    check_result(op.os_error, EFBIG);
    check_result(epio_perform(epio_copy_range(&op, from, 0, to, 10 * MIB, ALL)), EPIO_EFBIG);
    check_result(epio_perform(epio_copy_range(&op, from, 0, to, 31 * MIB, 5)), EPIO_EFBIG);
    check_result(epio_perform(epio_truncate(&op, from, 0)), 0);
    check_result(epio_perform(epio_truncate(&op, from, 20 * MIB)), 0);
    check_result(epio_perform(epio_copy_range(&op, from, 0, to, 29 * MIB, ALL)), EPIO_EFBIG);
    check_result(epio_perform(epio_size(&op, to)), 30 * MIB);
    check_result(epio_perform(epio_close(&op, from)), 0);
    check_result(epio_perform(epio_close(&op, to)), 0);
}

static void nothing_exceeds_a_limit(fixture *f)
{
    check_result(run_in_fork(exceed_the_limit, f), 0);
}

#define NO_MOUNT 77

static void fill_a_disk(void *argument)
{
    fixture *f = argument;
    const char *directory = fixture_path(f, "disk");
    char path[4096];
    epio_op op = {0};
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("none", directory, "tmpfs", 0, "size=1m") != 0) {
        _exit(NO_MOUNT);
    }
    epio_file *from = open_in_child(fixture_path(f, "from"));
    fill(f, from, 600 * KIB, 1);
    (void)snprintf(path, sizeof path, "%s/one", directory);
    epio_file *one = open_in_child(path);
    check_result(epio_perform(epio_copy_range(&op, from, 0, one, 0, ALL)), 600 * KIB);
    (void)snprintf(path, sizeof path, "%s/two", directory);
    epio_file *two = open_in_child(path);
    check_result(epio_perform(epio_copy_range(&op, from, 0, two, 0, ALL)), EPIO_ENOSPC);
    check_result(op.os_error, ENOSPC);
    check_result(epio_perform(epio_truncate(&op, two, 0)), 0);
    check_result(epio_perform(epio_copy_range(&op, one, 0, two, 0, ALL)), EPIO_ENOSPC);
    /* A hole needs none. */
    check_result(epio_perform(epio_truncate(&op, one, 0)), 0);
    check_result(epio_perform(epio_truncate(&op, one, 5 * MIB)), 0);
    check_result(epio_perform(epio_copy_range(&op, one, 0, two, 0, ALL)), 5 * MIB);
    check_result(allocated(two), 0);
    check_result(epio_perform(epio_copy_range(&op, from, 0, two, 2 * MIB, ALL)), 600 * KIB);
    check_result(epio_perform(epio_close(&op, one)), 0);
    check_result(epio_perform(epio_close(&op, two)), 0);
    check_result(epio_perform(epio_close(&op, from)), 0);
}

static void a_disk_fills_up(fixture *f)
{
    fixture_make_directory(f, "disk");
    int status = run_in_fork(fill_a_disk, f);
    if (status == NO_MOUNT) {
        fixture_skip(f, "needs the right to mount");
    }
    check_result(status, 0);
}

/* ---- Beside others ------------------------------------------------------- */

typedef struct appender {
    const char *path;
    unsigned count;
} appender;

static void *append_bytes(void *argument)
{
    const appender *one = argument;
    struct stat status;
    off_t before = 0;
    int descriptor = open(one->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    require(descriptor >= 0);
    for (unsigned i = 0; i < one->count; i++) {
        require(write(descriptor, "x", 1) == 1);
        require(fstat(descriptor, &status) == 0);
        require(status.st_size > before); /* nothing was cut off */
        before = status.st_size;
    }
    require(close(descriptor) == 0);
    return NULL;
}

/* A file becomes longer by a hole, while others append. */
static void what_others_append_stays(fixture *f)
{
    unsigned rounds = fixture_rounds(300);
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *to = fixture_create(f, "to");
    appender one = {fixture_path(f, "to"), rounds};
    test_thread thread;
    check_op(f, epio_truncate(&op, from, rounds * 4096), 0);
    thread_start(&thread, append_bytes, &one);
    for (uint64_t i = 1; i < rounds; i++) {
        check_op(f, epio_copy_range(&op, from, 0, to, 0, i * 100), i * 100);
    }
    (void)thread_join(thread);
    fixture_close(f, from);
    fixture_close(f, to);
}

/* ---- A source that becomes shorter ---------------------------------------- */

#define ROCKS 200u
#define ROCK_DISTANCE 65536u

static void *cut_soon(void *path)
{
    struct timespec pause = {.tv_nsec = (long)(epio_clock_monotonic() % 6000000)};
    (void)nanosleep(&pause, NULL);
    check(truncate(path, 4096) == 0);
    return NULL;
}

/* What was cut off is not counted, as zeros. */
static void what_is_cut_off_is_not_copied(fixture *f)
{
    epio_op op = {0};
    const int64_t whole = (int64_t)(ROCKS - 1) * ROCK_DISTANCE + 1;
    for (unsigned round = 0; round < fixture_rounds(60); round++) {
        unsigned char island = 1;
        test_thread thread;
        epio_file *from = fixture_open(f, "from", CREATE | EPIO_OPEN_TRUNCATE);
        epio_file *to = fixture_open(f, "to", CREATE | EPIO_OPEN_TRUNCATE);
        for (uint64_t i = 0; i < ROCKS; i++) {
            fixture_write(f, from, &island, 1, i * ROCK_DISTANCE);
        }
        thread_start(&thread, cut_soon, (void *)(uintptr_t)fixture_path(f, "from"));
        int64_t copied = fixture_result(f, epio_copy_range(&op, from, 0, to, 0, ALL));
        (void)thread_join(thread);
        check(copied > 0);
        if (copied == whole) {
            fixture_read(f, to, &island, 1, (uint64_t)whole - 1);
            check(island == 1);
        }
        fixture_close(f, from);
        fixture_close(f, to);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(blocks_are_shared, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(a_tebibyte_is_copied, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(what_was_there_becomes_a_hole, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(files_of_the_kernel_are_read, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(other_file_systems, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(direct_files, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(an_adopted_file_may_append, ON_OS_PERFORM | ON_OS | ON_TRACE_OS),
        FIXTURE_TEST(nothing_exceeds_a_limit, ON_OS_PERFORM),
        FIXTURE_TEST(a_disk_fills_up, ON_OS_PERFORM),
        FIXTURE_TEST(what_others_append_stays, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(what_is_cut_off_is_not_copied, ON_OS_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("copy_range, Linux", tests);
}
