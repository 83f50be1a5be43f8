/* Locks on ranges of files, without waiting: which exclude each other, what becomes of one file's
 * own ranges, what is refused, and ranges beside levels; in every setting. Both kinds of byte-range
 * locks: EPIO_TEST_RANGE_LOCKS. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define SHARED EPIO_RANGE_SHARED
#define EXCLUSIVE EPIO_RANGE_EXCLUSIVE
#define PENDING_BYTE UINT64_C(0x40000000)
#define END ((uint64_t)INT64_MAX)

static const uint32_t modes[] = {SHARED, EXCLUSIVE};

typedef struct pair {
    epio_file *one;
    epio_file *other;
} pair;

static epio_file *open_locked(fixture *f)
{
    return fixture_open(f, "locked", READ_WRITE | EPIO_OPEN_CREATE);
}

static pair open_pair(fixture *f)
{
    pair files = {.one = open_locked(f)};
    files.other = open_locked(f);
    return files;
}

static void close_pair(fixture *f, pair files)
{
    fixture_close(f, files.one);
    fixture_close(f, files.other);
}

static int64_t lock(fixture *f, epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    epio_op op = {0};
    return fixture_result(f, epio_lock_range(&op, file, start, len, mode, 0));
}

static int64_t unlock(fixture *f, epio_file *file, uint64_t start, uint64_t len)
{
    epio_op op = {0};
    return fixture_result(f, epio_unlock_range(&op, file, start, len));
}

static int64_t test(fixture *f, epio_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    epio_op op = {0};
    return fixture_result(f, epio_test_range(&op, file, start, len, mode));
}

/* A file can change the mode of what it has. */
static bool converts(const fixture *f)
{
    return SYSTEM_IS_POSIX || f->memory;
}

/* ---- Two files ------------------------------------------------------------- */

/* Bytes that meet the range [100, 200), and bytes that do not. */
static const struct {
    uint64_t start;
    uint64_t len;
    bool meets;
} places[] = {
    {100, 100, true}, {0, 101, true},  {199, 1, true}, {120, 8, true},
    {50, 500, true},  {100, 0, true},  {0, 0, true},   {0, 100, false},
    {200, 1, false},  {200, 0, false}, {99, 1, false}, {END - 1, 1, false},
};

static void ranges_exclude_each_other(fixture *f)
{
    pair files = open_pair(f);
    for (size_t held = 0; held < 2; held++) {
        check_result(lock(f, files.one, 100, 100, modes[held]), 0);
        for (size_t wanted = 0; wanted < 2; wanted++) {
            for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
                uint64_t start = places[i].start;
                uint64_t len = places[i].len;
                bool blocked = places[i].meets && (held != 0 || wanted != 0);
                check_result(test(f, files.other, start, len, modes[wanted]), blocked ? 1 : 0);
                check_result(lock(f, files.other, start, len, modes[wanted]),
                             blocked ? EPIO_EBUSY : 0);
                check_result(unlock(f, files.other, start, len), 0);
            }
        }
        check_result(unlock(f, files.one, 100, 100), 0);
    }
    check_result(lock(f, files.other, 0, 0, EXCLUSIVE), 0);
    close_pair(f, files);
}

static void files_share_what_they_overlap(fixture *f)
{
    pair files = open_pair(f);
    epio_file *third = open_locked(f);
    check_result(lock(f, files.one, 0, 100, SHARED), 0);
    check_result(lock(f, files.other, 50, 100, SHARED), 0);
    check_result(lock(f, third, 75, 1, EXCLUSIVE), EPIO_EBUSY);
    /* Each keeps its own when the other unlocks. */
    check_result(unlock(f, files.one, 0, 100), 0);
    check_result(lock(f, third, 0, 50, EXCLUSIVE), 0);
    check_result(lock(f, third, 75, 1, EXCLUSIVE), EPIO_EBUSY);
    check_result(lock(f, files.one, 50, 100, SHARED), 0);
    check_result(unlock(f, files.other, 0, 0), 0);
    check_result(lock(f, third, 149, 1, EXCLUSIVE), EPIO_EBUSY);
    fixture_close(f, files.one);
    check_result(lock(f, third, 50, 100, EXCLUSIVE), 0);
    fixture_close(f, files.other);
    fixture_close(f, third);
}

static void other_files_are_unaffected(fixture *f)
{
    epio_file *one = open_locked(f);
    epio_file *other = fixture_create(f, "other");
    check_result(lock(f, one, 0, 0, EXCLUSIVE), 0);
    check_result(lock(f, other, 0, 0, EXCLUSIVE), 0);
    check_result(test(f, other, 0, 0, EXCLUSIVE), 0);
    fixture_close(f, one);
    fixture_close(f, other);
}

static void a_close_releases_all(fixture *f)
{
    pair files = open_pair(f);
    epio_file *third = open_locked(f);
    check_result(lock(f, files.one, 0, 10, EXCLUSIVE), 0);
    check_result(lock(f, files.one, 20, 10, SHARED), 0);
    check_result(lock(f, third, 40, 10, EXCLUSIVE), 0);
    /* The close of a file that has none changes nothing. */
    fixture_close(f, open_locked(f));
    check_result(test(f, files.other, 5, 1, SHARED), 1);
    fixture_close(f, files.one);
    check_result(lock(f, files.other, 0, 30, EXCLUSIVE), 0);
    check_result(test(f, files.other, 40, 1, SHARED), 1);
    fixture_close(f, third);
    check_result(lock(f, files.other, 40, 0, EXCLUSIVE), 0);
    fixture_close(f, files.other);
}

/* As SQLite uses the eight bytes of its wal-index. */
static void locks_of_a_wal_index(fixture *f)
{
    pair files = open_pair(f);
    check_result(lock(f, files.one, 123, 1, SHARED), 0);    /* reads */
    check_result(lock(f, files.other, 123, 1, SHARED), 0);  /* reads the same */
    check_result(lock(f, files.one, 120, 1, EXCLUSIVE), 0); /* writes */
    check_result(lock(f, files.other, 120, 1, EXCLUSIVE), EPIO_EBUSY);
    check_result(lock(f, files.other, 121, 1, EXCLUSIVE), 0); /* checkpoints */
    check_result(lock(f, files.other, 124, 4, EXCLUSIVE), 0); /* resets other marks at once */
    check_result(lock(f, files.one, 125, 1, SHARED), EPIO_EBUSY);
    check_result(unlock(f, files.other, 124, 4), 0);
    check_result(lock(f, files.one, 125, 1, SHARED), 0);
    check_result(unlock(f, files.other, 121, 1), 0);
    check_result(unlock(f, files.other, 123, 1), 0);
    check_result(unlock(f, files.one, 123, 1), 0);
    check_result(lock(f, files.other, 122, 2, EXCLUSIVE), 0);
    close_pair(f, files);
}

/* ---- One file --------------------------------------------------------------- */

static void a_range_is_locked_again(fixture *f)
{
    pair files = open_pair(f);
    for (size_t i = 0; i < 2; i++) {
        check_result(lock(f, files.one, 10, 10, modes[i]), 0);
        check_result(lock(f, files.one, 10, 10, modes[i]), 0);
        check_result(unlock(f, files.one, 10, 10), 0); /* once */
        check_result(lock(f, files.other, 10, 10, EXCLUSIVE), 0);
        check_result(unlock(f, files.other, 10, 10), 0);
    }
    close_pair(f, files);
}

static void a_range_changes_its_mode(fixture *f)
{
    pair files = open_pair(f);
    check_result(lock(f, files.one, 10, 10, EXCLUSIVE), 0);
    check_result(lock(f, files.one, 10, 10, SHARED), 0);
    check_result(lock(f, files.other, 10, 10, SHARED), 0);
    check_result(lock(f, files.one, 10, 10, EXCLUSIVE), converts(f) ? EPIO_EBUSY : EPIO_ENOTSUP);
    check_result(test(f, files.other, 10, 10, SHARED), 0); /* it is as before */
    check_result(test(f, files.other, 10, 10, EXCLUSIVE), 1);
    check_result(unlock(f, files.other, 10, 10), 0);
    if (converts(f)) {
        check_result(lock(f, files.one, 10, 10, EXCLUSIVE), 0);
        check_result(lock(f, files.other, 10, 10, SHARED), EPIO_EBUSY);
    }
    check_result(unlock(f, files.one, 10, 10), 0);
    check_result(lock(f, files.other, 0, 0, EXCLUSIVE), 0);
    close_pair(f, files);
}

static void own_ranges_do_not_overlap(fixture *f)
{
    static const struct {
        uint64_t start;
        uint64_t len;
    } partly[] = {{5, 10}, {15, 10}, {12, 2}, {5, 20}, {10, 5}, {0, 0}};
    pair files = open_pair(f);
    check_result(lock(f, files.one, 10, 10, SHARED), 0);
    for (size_t i = 0; i < sizeof partly / sizeof partly[0]; i++) {
        for (size_t mode = 0; mode < 2; mode++) {
            epio_op op = {0};
            check_op(
                f, epio_lock_range(&op, files.one, partly[i].start, partly[i].len, modes[mode], 0),
                EPIO_EINVAL);
            check(strstr(epio_op_invalid_reason(&op), "partly") != NULL);
            check_result(op.os_error, 0);
        }
    }
    check_result(lock(f, files.one, 0, 10, EXCLUSIVE), 0);
    check_result(lock(f, files.one, 20, 0, EXCLUSIVE), 0);
    check_result(test(f, files.other, 10, 10, SHARED), 0);
    check_result(test(f, files.other, 20, 1, SHARED), 1);
    close_pair(f, files);
}

static void an_unlock_takes_whole_ranges(fixture *f)
{
    pair files = open_pair(f);
    epio_op op = {0};
    check_result(unlock(f, files.one, 0, 0), 0); /* there are none */
    for (uint64_t i = 0; i < 10; i++) {
        check_result(lock(f, files.one, i * 10, 10, EXCLUSIVE), 0);
    }
    check_op(f, epio_unlock_range(&op, files.one, 0, 55), EPIO_EINVAL);
    check(strstr(epio_op_invalid_reason(&op), "partly") != NULL);
    check_op(f, epio_unlock_range(&op, files.one, 55, 1), EPIO_EINVAL);
    for (uint64_t i = 0; i < 10; i++) {
        check_result(test(f, files.other, i * 10, 10, SHARED), 1); /* none was unlocked */
    }
    check_result(unlock(f, files.one, 20, 60), 0);
    check_result(lock(f, files.other, 20, 60, EXCLUSIVE), 0);
    check_result(test(f, files.other, 19, 1, SHARED), 1);
    check_result(test(f, files.other, 80, 1, SHARED), 1);
    check_result(unlock(f, files.one, 0, 0), 0);
    check_result(lock(f, files.other, 80, 0, EXCLUSIVE), 0);
    close_pair(f, files);
}

static void own_ranges_pass_a_test(fixture *f)
{
    pair files = open_pair(f);
    check_result(lock(f, files.one, 10, 10, EXCLUSIVE), 0);
    check_result(lock(f, files.one, 30, 10, SHARED), 0);
    check_result(test(f, files.one, 0, 25, EXCLUSIVE), 0);
    check_result(test(f, files.one, 0, 0, SHARED), 0);
    check_result(test(f, files.one, 0, 0, EXCLUSIVE), converts(f) ? 0 : EPIO_ENOTSUP);
    check_result(lock(f, files.other, 50, 1, SHARED), 0);
    check_result(test(f, files.one, 0, 0, SHARED), 0);
    check_result(test(f, files.one, 0, 0, EXCLUSIVE), 1);
    check_result(lock(f, files.other, 35, 1, SHARED), 0);
    check_result(test(f, files.one, 30, 10, EXCLUSIVE), 1);
    check_result(test(f, files.one, 30, 10, SHARED), 0);
    close_pair(f, files);
}

/* ---- Arguments ---------------------------------------------------------------- */

static void bounds_are_checked(fixture *f)
{
    pair files = open_pair(f);
    check_result(lock(f, files.one, END - 1, 1, EXCLUSIVE), 0);
    check_result(lock(f, files.other, END - 1, 0, SHARED), EPIO_EBUSY);
    check_result(unlock(f, files.one, END - 1, 0), 0);
    check_result(lock(f, files.one, 0, END, EXCLUSIVE), 0); /* as 0 */
    check_result(unlock(f, files.one, 0, 0), 0);
    check_result(lock(f, files.one, 1, END, SHARED), EPIO_EINVAL);
    check_result(lock(f, files.one, END, 0, SHARED), EPIO_EINVAL);
    check_result(lock(f, files.one, END, 1, SHARED), EPIO_EINVAL);
    check_result(lock(f, files.one, UINT64_MAX, 0, SHARED), EPIO_EINVAL);
    check_result(lock(f, files.one, 2, UINT64_MAX, SHARED), EPIO_EINVAL);
    check_result(unlock(f, files.one, UINT64_MAX, 1), EPIO_EINVAL);
    check_result(test(f, files.one, END + 1, 0, SHARED), EPIO_EINVAL);
    close_pair(f, files);
}

static void modes_and_flags_are_checked(fixture *f)
{
    epio_op op = {0};
    epio_file *file = open_locked(f);
    check_result(lock(f, file, 0, 1, 0), EPIO_EINVAL);
    check_result(lock(f, file, 0, 1, 3), EPIO_EINVAL);
    check_result(lock(f, file, 0, 1, UINT32_MAX), EPIO_EINVAL);
    check_result(lock(f, file, 0, 1, 0x101), EPIO_EINVAL);
    check_result(test(f, file, 0, 1, 0), EPIO_EINVAL);
    check_op(f, epio_lock_range(&op, file, 0, 1, SHARED, 2 * EPIO_LOCK_WAIT), EPIO_EINVAL);
    check_result(lock(f, file, 0, 0, EXCLUSIVE), 0); /* nothing is held */
    fixture_close(f, file);
}

static void a_lock_needs_its_direction(fixture *f)
{
    fixture_put(f, "locked", "", 0);
    epio_file *reader = fixture_open(f, "locked", EPIO_OPEN_READ);
    epio_file *writer = fixture_open(f, "locked", EPIO_OPEN_WRITE);
    check_result(lock(f, reader, 0, 1, EXCLUSIVE), EPIO_EBADF);
    check_result(lock(f, writer, 0, 1, SHARED), EPIO_EBADF);
    check_result(lock(f, reader, 0, 1, SHARED), 0);
    check_result(lock(f, writer, 1, 1, EXCLUSIVE), 0);
    check_result(test(f, reader, 0, 2, SHARED), 1);
    check_result(test(f, writer, 0, 1, EXCLUSIVE), 1);
    check_result(unlock(f, reader, 0, 1), 0);
    check_result(lock(f, writer, 0, 1, EXCLUSIVE), 0);
    fixture_close(f, reader);
    fixture_close(f, writer);
}

static void directories_have_no_ranges(fixture *f)
{
    fixture_make_directory(f, "sub");
    epio_file *directory = fixture_open(f, "sub", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    check_result(lock(f, directory, 0, 1, SHARED), EPIO_EISDIR);
    check_result(unlock(f, directory, 0, 1), EPIO_EISDIR);
    check_result(test(f, directory, 0, 1, SHARED), EPIO_EISDIR);
    fixture_close(f, directory);
}

static void streams_have_no_ranges(fixture *f)
{
    intptr_t ends[2];
    pipe_make(ends);
    epio_file *reader = fixture_adopt(f, ends[0], EPIO_OPEN_READ);
    check_result(lock(f, reader, 0, 1, SHARED), EPIO_ESPIPE);
    check_result(unlock(f, reader, 0, 1), EPIO_ESPIPE);
    check_result(test(f, reader, 0, 1, SHARED), EPIO_ESPIPE);
    fixture_close(f, reader);
    check(handle_close(ends[1]));
}

/* ---- Beside levels --------------------------------------------------------------- */

static int64_t raise(fixture *f, epio_file *file, uint32_t level)
{
    epio_op op = {0};
    return fixture_result(f, epio_lock(&op, file, level, 0));
}

static void lower(fixture *f, epio_file *file)
{
    epio_op op = {0};
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
}

static void levels_and_other_bytes(fixture *f)
{
    pair files = open_pair(f);
    check_result(lock(f, files.one, 0, PENDING_BYTE, EXCLUSIVE), 0);
    check_result(lock(f, files.one, PENDING_BYTE + 512, 0, EXCLUSIVE), 0);
    for (uint32_t i = 0; i < 2; i++) {
        epio_file *file = i == 0 ? files.other : files.one;
        check_result(raise(f, file, EPIO_LOCK_SHARED), 0);
        check_result(raise(f, file, EPIO_LOCK_RESERVED), 0);
        check_result(raise(f, file, EPIO_LOCK_EXCLUSIVE), 0);
        check_result(test(f, files.other, 0, 1, SHARED), 1);
        check_result(test(f, files.other, PENDING_BYTE + 512, 1, SHARED), 1);
        lower(f, file);
    }
    check_result(raise(f, files.other, EPIO_LOCK_SHARED), 0);
    check_result(unlock(f, files.one, 0, 0), 0);
    check_result(raise(f, files.one, EPIO_LOCK_SHARED), 0);
    check_result(raise(f, files.one, EPIO_LOCK_EXCLUSIVE), EPIO_EBUSY); /* a level is not a range */
    close_pair(f, files);
}

static void one_file_has_levels_or_their_bytes(fixture *f)
{
    epio_op op = {0};
    epio_file *file = open_locked(f);
    static const uint64_t starts[] = {0, PENDING_BYTE, PENDING_BYTE + 1, PENDING_BYTE + 511};
    for (size_t i = 0; i < 4; i++) {
        uint64_t len = starts[i] == 0 ? 0 : 1;
        check_result(raise(f, file, EPIO_LOCK_SHARED), 0);
        check_op(f, epio_lock_range(&op, file, starts[i], len, SHARED, 0), EPIO_EINVAL);
        check(strstr(epio_op_invalid_reason(&op), "level") != NULL);
        lower(f, file);
        check_result(lock(f, file, starts[i], len, SHARED), 0);
        check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT), EPIO_EINVAL);
        check(strstr(epio_op_invalid_reason(&op), "level") != NULL);
        check(epio_file_lock_level(file) == EPIO_LOCK_NONE);
        check_result(unlock(f, file, 0, 0), 0);
    }
    fixture_close(f, file);
}

/* What a level of one file leaves of the bytes for ranges of another, as between two processes. */
static void a_level_blocks_ranges(fixture *f)
{
    static const struct {
        uint32_t level;
        bool shared[3]; /* can be had of PENDING, RESERVED and SHARED */
        bool exclusive[3];
    } left[] = {
        {EPIO_LOCK_SHARED, {true, true, true}, {true, true, false}},
        {EPIO_LOCK_RESERVED, {true, false, true}, {true, false, false}},
        {EPIO_LOCK_EXCLUSIVE, {false, false, false}, {false, false, false}},
    };
    pair files = open_pair(f);
    for (size_t i = 0; i < 3; i++) {
        check_result(raise(f, files.one, left[i].level), 0);
        for (uint64_t byte = 0; byte < 3; byte++) {
            uint64_t start = PENDING_BYTE + byte;
            check_result(test(f, files.other, start, 1, SHARED), left[i].shared[byte] ? 0 : 1);
            check_result(test(f, files.other, start, 1, EXCLUSIVE),
                         left[i].exclusive[byte] ? 0 : 1);
            check_result(lock(f, files.other, start, 1, SHARED),
                         left[i].shared[byte] ? 0 : EPIO_EBUSY);
            check_result(unlock(f, files.other, start, 1), 0);
            check_result(lock(f, files.other, start, 1, EXCLUSIVE),
                         left[i].exclusive[byte] ? 0 : EPIO_EBUSY);
            check_result(unlock(f, files.other, 0, 0), 0);
        }
    }
    lower(f, files.one);
    check_result(lock(f, files.other, 0, 0, EXCLUSIVE), 0);
    close_pair(f, files);
}

static void a_range_blocks_levels(fixture *f)
{
    pair files = open_pair(f);
    check_result(lock(f, files.one, PENDING_BYTE, 1, EXCLUSIVE), 0);
    check_result(raise(f, files.other, EPIO_LOCK_SHARED), EPIO_EBUSY);
    check_result(unlock(f, files.one, PENDING_BYTE, 1), 0);
    check_result(raise(f, files.other, EPIO_LOCK_SHARED), 0);
    check_result(lock(f, files.one, PENDING_BYTE + 1, 1, EXCLUSIVE), 0);
    check_result(raise(f, files.other, EPIO_LOCK_RESERVED), EPIO_EBUSY);
    check_result(unlock(f, files.one, PENDING_BYTE + 1, 1), 0);
    check_result(raise(f, files.other, EPIO_LOCK_RESERVED), 0);
    check_result(lock(f, files.one, PENDING_BYTE + 2, 510, SHARED), 0);
    check_result(raise(f, files.other, EPIO_LOCK_EXCLUSIVE), EPIO_EBUSY);
    check(epio_file_lock_level(files.other) == EPIO_LOCK_PENDING);
    check_result(unlock(f, files.one, 0, 0), 0);
    check_result(raise(f, files.other, EPIO_LOCK_EXCLUSIVE), 0);
    lower(f, files.other);
    /* Shared bytes are shared between both; each keeps its own. */
    check_result(lock(f, files.one, PENDING_BYTE, 512, SHARED), 0);
    check_result(raise(f, files.other, EPIO_LOCK_SHARED), 0);
    lower(f, files.other);
    epio_file *third = open_locked(f);
    check_result(lock(f, third, PENDING_BYTE, 1, EXCLUSIVE), EPIO_EBUSY);
    check_result(lock(f, third, PENDING_BYTE + 2, 1, EXCLUSIVE), EPIO_EBUSY);
    check_result(raise(f, files.other, EPIO_LOCK_SHARED), 0);
    check_result(unlock(f, files.one, 0, 0), 0);
    check_result(lock(f, third, PENDING_BYTE, 2, EXCLUSIVE), 0);
    check_result(lock(f, third, PENDING_BYTE + 2, 1, EXCLUSIVE), EPIO_EBUSY);
    fixture_close(f, third);
    close_pair(f, files);
}

/* ---- Many ---------------------------------------------------------------------- */

#define MANY 1000u

static void a_thousand_ranges(fixture *f)
{
    pair files = open_pair(f);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < MANY; i++) {
            epio_file *file = i % 3 == 0 ? files.other : files.one;
            check_result(lock(f, file, i * 2, 1, i % 2 == 0 ? EXCLUSIVE : SHARED), 0);
        }
        for (uint64_t i = 0; i < MANY; i += 7) {
            epio_file *file = i % 3 == 0 ? files.one : files.other;
            check_result(lock(f, file, i * 2, 1, EXCLUSIVE), EPIO_EBUSY);
            check_result(test(f, file, i * 2 + 1, 1, EXCLUSIVE), 0);
        }
        check_result(unlock(f, files.one, 0, 0), 0);
        check_result(test(f, files.one, 2, 2, EXCLUSIVE), 0);
        check_result(test(f, files.one, 0, 1, SHARED), 1);
        check_result(unlock(f, files.other, 0, 0), 0);
        check_result(lock(f, files.one, 0, 0, EXCLUSIVE), 0);
        check_result(unlock(f, files.one, 0, 0), 0);
    }
    close_pair(f, files);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(ranges_exclude_each_other, ON_ANY),
        FIXTURE_TEST(files_share_what_they_overlap, ON_ANY),
        FIXTURE_TEST(other_files_are_unaffected, ON_ANY),
        FIXTURE_TEST(a_close_releases_all, ON_ANY),
        FIXTURE_TEST(locks_of_a_wal_index, ON_ANY),
        FIXTURE_TEST(a_range_is_locked_again, ON_ANY),
        FIXTURE_TEST(a_range_changes_its_mode, ON_ANY),
        FIXTURE_TEST(own_ranges_do_not_overlap, ON_ANY),
        FIXTURE_TEST(an_unlock_takes_whole_ranges, ON_ANY),
        FIXTURE_TEST(own_ranges_pass_a_test, ON_ANY),
        FIXTURE_TEST(bounds_are_checked, ON_ANY),
        FIXTURE_TEST(modes_and_flags_are_checked, ON_ANY),
        FIXTURE_TEST(a_lock_needs_its_direction, ON_ANY),
        FIXTURE_TEST(directories_have_no_ranges, ON_ANY),
        FIXTURE_TEST(streams_have_no_ranges, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(levels_and_other_bytes, ON_ANY),
        FIXTURE_TEST(one_file_has_levels_or_their_bytes, ON_ANY),
        FIXTURE_TEST(a_level_blocks_ranges, ON_ANY),
        FIXTURE_TEST(a_range_blocks_levels, ON_ANY),
        FIXTURE_TEST(a_thousand_ranges, ON_OS_PERFORM | ON_OS | ON_MEMORY | ON_LIMIT_OS),
    };
    return FIXTURE_RUN("ranges", tests);
}
