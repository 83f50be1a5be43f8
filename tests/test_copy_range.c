/* epio_copy_range in every setting: what is copied, holes, and what is refused; between two VFSes;
 * on a loop: cancel, deadline, sync, close, links. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <epio/layer.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define ALL UINT64_MAX
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Zeroed. */
static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static int64_t size_of(fixture *f, epio_file *file)
{
    epio_op op = {0};
    return fixture_result(f, epio_size(&op, file));
}

static epio_file *create_with(fixture *f, const char *name, size_t len, uint64_t seed)
{
    epio_file *file = fixture_create(f, name);
    unsigned char *data = allocate(len + 1);
    pattern_fill(data, len, seed);
    fixture_write(f, file, data, len, 0);
    free(data);
    return file;
}

/* ---- A model: files as arrays -------------------------------------------- */

#define ROOM (512 * KIB)

typedef struct bytes {
    unsigned char *at;
    size_t len;
} bytes;

static bytes bytes_of(fixture *f, epio_file *file)
{
    bytes all = {NULL, (size_t)size_of(f, file)};
    check(all.len <= 8 * ROOM);
    all.at = allocate(all.len + 1);
    fixture_read(f, file, all.at, all.len, 0);
    return all;
}

/* Copies, and compares the whole of `to` with what must be there. */
static void copies_as_model(fixture *f, epio_file *from, uint64_t offset, epio_file *to,
                            uint64_t to_offset, uint64_t len)
{
    epio_op op = {0};
    bytes source = bytes_of(f, from);
    bytes before = bytes_of(f, to);
    uint64_t there = offset < source.len ? source.len - offset : 0;
    size_t copied = (size_t)(len < there ? len : there);
    size_t end = copied != 0 ? (size_t)to_offset + copied : 0;
    size_t expected_len = end > before.len ? end : before.len;
    unsigned char *expected = allocate(expected_len + 1);
    memcpy(expected, before.at, before.len);
    memcpy(expected + to_offset * (copied != 0), source.at + offset * (copied != 0), copied);
    check_op(f, epio_copy_range(&op, from, offset, to, to_offset, len), copied);
    check_result(op.os_error, 0);
    bytes after = bytes_of(f, to);
    check_result(after.len, expected_len);
    check(memcmp(after.at, expected, expected_len) == 0);
    free(source.at);
    free(before.at);
    free(after.at);
    free(expected);
}

/* ---- What is copied ------------------------------------------------------ */

static const struct {
    uint64_t offset;
    uint64_t to_offset;
    uint64_t len;
} ranges[] = {{0, 0, ALL},
              {0, 0, 0},
              {0, 0, 1},
              {1, 2, 3},
              {4096, 8192, 16384},
              {0, 0, 270000},
              {269999, 0, 5},
              {270000, 3, 5},
              {400000, 400000, ALL},
              {5, 500000, 170000},
              {100001, 33, 169999},
              {65536, 0, 65536},
              {0, 270000, ALL},
              {INT64_MAX, 0, 0},
              {INT64_MAX - 1, INT64_MAX - 1, ALL},
              {0, 0, INT64_MAX}};

static void ranges_are_copied(fixture *f)
{
    for (size_t i = 0; i < COUNT(ranges); i++) {
        epio_op op = {0};
        epio_file *from = create_with(f, "from", 270000, 1);
        epio_file *to = create_with(f, "to", 120000, 99);
        copies_as_model(f, from, ranges[i].offset, to, ranges[i].to_offset, ranges[i].len);
        fixture_close(f, from);
        fixture_close(f, to);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to"), 0), 0);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "from"), 0), 0);
    }
}

static void rights_are_one_each(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "from", "abc", 3);
    fixture_put(f, "to", "", 0);
    epio_file *from = fixture_open(f, "from", EPIO_OPEN_READ);
    epio_file *to = fixture_open(f, "to", EPIO_OPEN_WRITE);
    check_op(f, epio_copy_range(&op, from, 0, to, 1, ALL), 3);
    fixture_close(f, from);
    fixture_close(f, to);
    check_content(f, "to", "\0abc", 4);
}

static void within_one_file(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_with(f, "file", 200000, 1);
    epio_file *same = fixture_open(f, "file", READ_WRITE);
    copies_as_model(f, file, 0, file, 100000, 100000);
    copies_as_model(f, file, 100000, file, 200000, 50000);
    copies_as_model(f, file, 150001, same, 3, 50000);
    copies_as_model(f, file, 0, same, 300000, 100);
    fixture_close(f, same);
    fixture_close(f, file);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
}

static void copy_random_holes(fixture *f, unsigned rounds)
{
    random_source random = {15};
    epio_op op = {0};
    for (unsigned round = 0; round < rounds; round++) {
        epio_file *files[2];
        for (size_t i = 0; i < 2; i++) {
            files[i] = fixture_create(f, i == 0 ? "from" : "to");
            for (unsigned islands = 0; islands < 4; islands++) {
                static unsigned char island[40000];
                size_t len = (size_t)random_between(&random, 1, sizeof island);
                random_fill(&random, island, len);
                fixture_write(f, files[i], island, len, random_between(&random, 0, ROOM));
            }
            check_op(f, epio_truncate(&op, files[i], random_between(&random, 0, ROOM)), 0);
        }
        for (unsigned copies = 0; copies < 4; copies++) {
            bool whole = random_between(&random, 0, 4) == 0;
            uint64_t unit = random_between(&random, 0, 2) == 0 ? 1 : 16384;
            uint64_t offset = random_between(&random, 0, ROOM) / unit * unit;
            uint64_t to_offset = random_between(&random, 0, ROOM) / unit * unit;
            copies_as_model(f, files[0], whole ? 0 : offset, files[1], to_offset,
                            whole ? ALL : random_between(&random, 0, ROOM));
        }
        for (size_t i = 0; i < 2; i++) {
            fixture_close(f, files[i]);
            check_op(f, epio_delete(&op, f->vfs, fixture_path(f, i == 0 ? "from" : "to"), 0), 0);
        }
    }
}

static void random_holes_are_copied(fixture *f)
{
    copy_random_holes(f, fixture_rounds(10));
}

/* What was there reads as zeros. */
static void holes_replace_data(fixture *f)
{
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *to = create_with(f, "to", ROOM, 5);
    check_op(f, epio_truncate(&op, from, ROOM + 5000), 0);
    copies_as_model(f, from, 0, to, 100, ROOM / 2);
    copies_as_model(f, from, 0, to, 1000, ALL);
    fixture_close(f, from);
    fixture_close(f, to);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "from"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "to"), 0), 0);
}

/* ---- What a VFS lacks ---------------------------------------------------- */

/* A layer that refuses some kinds. */
typedef struct lacking {
    uint64_t kinds;
    uint64_t seen;
} lacking;

static int refuse(void *user, epio_op *op, void *state)
{
    lacking *one = user;
    (void)state;
    if (op->kind >= 64) {
        return 0;
    }
    one->seen |= UINT64_C(1) << op->kind;
    return (one->kinds >> op->kind & 1) != 0 ? EPIO_ENOTSUP : 0;
}

static const epio_layer_methods lacking_methods = {
    .size = sizeof(epio_layer_methods),
    .name = "lacking",
    .before = refuse,
};

#define BIT(kind) (UINT64_C(1) << EPIO_KIND_##kind)
#define SEEKS (BIT(SEEK_DATA) | BIT(SEEK_HOLE))

static const uint64_t lacks[] = {
    BIT(COPY_RANGE),
    BIT(COPY_RANGE) | BIT(FILE_STAT),
    BIT(COPY_RANGE) | SEEKS,
    BIT(COPY_RANGE) | BIT(SEEK_HOLE),
    BIT(COPY_RANGE) | BIT(PUNCH_HOLE),
    BIT(COPY_RANGE) | BIT(ZERO_RANGE),
    BIT(COPY_RANGE) | BIT(PUNCH_HOLE) | BIT(ZERO_RANGE),
};

static void what_lacks_is_read_and_written(fixture *f)
{
    epio_vfs *below = f->vfs;
    for (size_t i = 0; i < COUNT(lacks); i++) {
        lacking one = {lacks[i], 0};
        check_result(epio_layer_vfs_create(&f->vfs, below, &lacking_methods, &one), 0);
        ranges_are_copied(f);
        if ((lacks[i] & BIT(FILE_STAT)) == 0) {
            within_one_file(f);
        }
        copy_random_holes(f, fixture_is_slow() ? 2 : 10);
        holes_replace_data(f);
        check((one.seen & BIT(COPY_RANGE)) != 0);
        check((one.seen & BIT(READ)) != 0);
        epio_vfs_destroy(f->vfs);
    }
    f->vfs = below;
}

/* Two opens of a file are not recognized as such by a VFS that is not asked to copy. */
static void overlap_is_found_without_the_vfs(fixture *f)
{
    epio_vfs *below = f->vfs;
    lacking one = {BIT(COPY_RANGE), 0};
    epio_op op = {0};
    check_result(epio_layer_vfs_create(&f->vfs, below, &lacking_methods, &one), 0);
    epio_file *file = create_with(f, "file", 1000, 1);
    epio_file *same = fixture_open(f, "file", READ_WRITE);
    check_op(f, epio_copy_range(&op, file, 0, same, 10, 100), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op), "the ranges overlap");
    copies_as_model(f, file, 0, same, 100, 100);
    fixture_close(f, same);
    fixture_close(f, file);
    epio_vfs_destroy(f->vfs);
    f->vfs = below;
}

/* ---- Holes --------------------------------------------------------------- */

static uint64_t allocated(fixture *f, epio_file *file)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_op(f, epio_file_stat(&op, file, &info), 0);
    return info.allocated;
}

/* False: this file system has no holes, or does not know them. */
static bool make_islands(fixture *f, epio_file *file, uint64_t size)
{
    static unsigned char island[64 * KIB];
    epio_op op = {0};
    memset(island, 'i', sizeof island);
    for (uint64_t at = size / 16; at < size; at += size / 4) {
        fixture_write(f, file, island, sizeof island, at / MIB * MIB);
    }
    check_op(f, epio_truncate(&op, file, size), 0);
    return allocated(f, file) < MIB && fixture_result(f, epio_seek_hole(&op, file, 0)) == 0;
}

static void holes_stay_holes(fixture *f)
{
    const uint64_t size = 64 * MIB;
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *to = fixture_create(f, "to");
    if (!make_islands(f, from, size)) {
        fixture_close(f, from);
        fixture_close(f, to);
        fixture_skip(f, "there are no holes here");
    }
    check_op(f, epio_copy_range(&op, from, 0, to, 0, ALL), size);
    check_result(size_of(f, to), size);
    check(allocated(f, to) <= MIB);
    for (uint64_t at = 0; at < size;) {
        uint64_t data = (uint64_t)fixture_result(f, epio_seek_data(&op, from, at));
        check_op(f, epio_seek_data(&op, to, at), data);
        at = (uint64_t)fixture_result(f, epio_seek_hole(&op, from, data));
        check_op(f, epio_seek_hole(&op, to, data), at);
    }
    fixture_close(f, from);
    fixture_close(f, to);
}

/* ---- What is refused ----------------------------------------------------- */

#define check_refused(f, op, error, reason)                                                        \
    do {                                                                                           \
        epio_op *refused_ = (op);                                                                  \
        check_op(f, refused_, error);                                                              \
        assert_string_equal(epio_op_invalid_reason(refused_), reason);                             \
    } while (0)

static void bad_arguments_are_refused(fixture *f)
{
    static const char overlap[] = "the ranges overlap";
    static const char beyond[] = "offset + len is beyond INT64_MAX";
    const uint64_t most = INT64_MAX;
    epio_op op = {0};
    epio_file *from = create_with(f, "from", 100, 1);
    epio_file *same = fixture_open(f, "from", READ_WRITE);
    epio_file *to = create_with(f, "to", 10, 1);
    check_refused(f, epio_copy_range(&op, NULL, 0, to, 0, 1), EPIO_EINVAL, "the file is NULL");
    check_refused(f, epio_copy_range(&op, from, most + 1, to, 0, 1), EPIO_EINVAL, beyond);
    check_refused(f, epio_copy_range(&op, from, 0, to, most + 1, ALL), EPIO_EINVAL, beyond);
    check_refused(f, epio_copy_range(&op, from, 1, to, 0, most), EPIO_EINVAL, beyond);
    check_refused(f, epio_copy_range(&op, from, 0, to, 1, most), EPIO_EINVAL, beyond);
    check_refused(f, epio_copy_range(&op, from, 0, to, 0, most + 1), EPIO_EINVAL, beyond);
    check_refused(f, epio_copy_range(&op, from, 0, from, 0, 1), EPIO_EINVAL, overlap);
    check_refused(f, epio_copy_range(&op, from, 9, from, 0, 10), EPIO_EINVAL, overlap);
    check_refused(f, epio_copy_range(&op, from, 0, from, 9, 10), EPIO_EINVAL, overlap);
    check_refused(f, epio_copy_range(&op, from, 9, same, 0, 10), EPIO_EINVAL, overlap);
    check_refused(f, epio_copy_range(&op, from, 0, same, 9, ALL), EPIO_EINVAL, overlap);
    check_op(f, epio_truncate(&op, from, 0), 0); /* nor are holes */
    fixture_write(f, from, "x", 1, 500000);
    check_refused(f, epio_copy_range(&op, from, 0, same, 200000, ALL), EPIO_EINVAL, overlap);
    check_op(f, epio_size(&op, from), 500001);
    fixture_close(f, same);
    fixture_close(f, to);
    fixture_close(f, from);
}

static void files_must_be_open_for_it(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "from", "abc", 3);
    fixture_put(f, "to", "", 0);
    epio_file *from = fixture_open(f, "from", EPIO_OPEN_READ);
    epio_file *to = fixture_open(f, "to", EPIO_OPEN_WRITE);
    check_refused(f, epio_copy_range(&op, to, 0, to, 5, 1), EPIO_EBADF,
                  "the file is not open for reading");
    check_refused(f, epio_copy_range(&op, from, 0, from, 5, 1), EPIO_EBADF,
                  "the file is not open for writing");
    if (fixture_result(f, epio_open(&op, f->vfs, fixture_path(f, "."),
                                    EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)) == 0) {
        epio_file *directory = op.file;
        check_refused(f, epio_copy_range(&op, directory, 0, to, 0, 1), EPIO_EISDIR,
                      "a directory has no bytes, no size and no locks");
        check_refused(f, epio_copy_range(&op, from, 0, directory, 0, 1), EPIO_EISDIR,
                      "a directory has no bytes, no size and no locks");
        fixture_close(f, directory);
    }
    if (fixture_result(f, epio_open(&op, f->vfs, fixture_path(f, "to"),
                                    EPIO_OPEN_WRITE | EPIO_OPEN_APPEND)) == 0) {
        epio_file *appends = op.file;
        check_refused(f, epio_copy_range(&op, from, 0, appends, 0, 1), EPIO_EINVAL,
                      "nothing is copied to a file that was opened to append");
        fixture_close(f, appends);
    }
    fixture_close(f, from);
    fixture_close(f, to);
    check_content(f, "to", "", 0);
}

static void streams_are_refused(fixture *f)
{
    static const char reason[] = "a stream has no end, no space and no holes";
    epio_op op = {0};
    intptr_t ends[2];
    epio_file *file = create_with(f, "file", 10, 1);
    pipe_make(ends);
    epio_file *in = fixture_adopt(f, ends[0], EPIO_OPEN_READ);
    epio_file *out = fixture_adopt(f, ends[1], EPIO_OPEN_WRITE);
    check_refused(f, epio_copy_range(&op, in, 0, file, 0, 1), EPIO_EINVAL, reason);
    check_refused(f, epio_copy_range(&op, file, 0, out, 0, 1), EPIO_EINVAL, reason);
    fixture_close(f, in);
    fixture_close(f, out);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(ranges_are_copied, ON_ANY),
        FIXTURE_TEST(rights_are_one_each, ON_ANY),
        FIXTURE_TEST(within_one_file, ON_ANY),
        FIXTURE_TEST(random_holes_are_copied, ON_ANY),
        FIXTURE_TEST(holes_stay_holes, ON_ANY),
        FIXTURE_TEST(what_lacks_is_read_and_written, ON_OS_PERFORM | ON_OS | ON_MEMORY),
        FIXTURE_TEST(overlap_is_found_without_the_vfs, ON_ANY),
        FIXTURE_TEST(holes_replace_data, ON_ANY),
        FIXTURE_TEST(bad_arguments_are_refused, ON_ANY),
        FIXTURE_TEST(files_must_be_open_for_it, ON_ANY),
        FIXTURE_TEST(streams_are_refused, ON_ANY_OS),
    };
    return FIXTURE_RUN("copy_range", tests);
}
