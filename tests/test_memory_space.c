/* The space of files of the memory VFS: appending, allocating, holes. Its sequences beside the
 * system's are test_tree_model_linux.c's, its failures for lack of memory test_memory_posix.c's.
 * Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define KEEP EPIO_SPACE_KEEP_SIZE
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define TIB (UINT64_C(1) << 40)
#define LAST ((uint64_t)INT64_MAX)
#define BLOCK (16 * KIB) /* as epio_memory_vfs_create says */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static epio_info info_of(fixture *f, epio_file *file)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_op(f, epio_file_stat(&op, file, &info), 0);
    return info;
}

static void file_has(fixture *f, epio_file *file, uint64_t bytes, uint64_t allocated)
{
    epio_info info = info_of(f, file);
    check_result(info.bytes, bytes);
    check_result(info.allocated, allocated);
}

static void holds(fixture *f, epio_file *file, uint64_t offset, const char *text)
{
    char found[64];
    fixture_read(f, file, found, strlen(text), offset);
    assert_memory_equal(found, text, strlen(text));
}

/* ---- Appending ---------------------------------------------------------- */

static void appends_return_their_offset(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "log");
    check_op(f, epio_append(&op, file, NULL, 0), 0);
    check_op(f, epio_append(&op, file, "abc", 3), 0);
    check_op(f, epio_append(&op, file, "defg", 4), 3);
    check_op(f, epio_append(&op, file, "", 0), 7);
    check_op(f, epio_truncate(&op, file, TIB), 0);
    check_op(f, epio_append(&op, file, "hi", 2), TIB);
    check_op(f, epio_size(&op, file), TIB + 2);
    holds(f, file, 0, "abcdefg");
    holds(f, file, TIB, "hi");
    file_has(f, file, TIB + 2, 2 * BLOCK);
    fixture_close(f, file);
}

static void writes_to_an_append_file_go_to_its_end(fixture *f)
{
    epio_op op = {0};
    char a[] = "cd", b[] = "efg";
    const epio_iovec parts[] = {{a, 2}, {b, 3}};
    fixture_put(f, "log", "--", 2);
    epio_file *file = fixture_open(f, "log", READ_WRITE | EPIO_OPEN_APPEND);
    epio_file *other = fixture_open(f, "log", READ_WRITE);
    check_op(f, epio_write(&op, file, "ab", 2, 0), 2);
    check_op(f, epio_writev(&op, file, parts, 2, LAST - 5), 5);
    check_op(f, epio_write(&op, file, "x", 0, 1), 0);
    fixture_write(f, other, "..", 2, 0);
    check_op(f, epio_append(&op, file, "h", 1), 9);
    check_op(f, epio_size(&op, file), 10);
    holds(f, file, 0, "..abcdefgh");
    fixture_close(f, file);
    fixture_close(f, other);
    file = fixture_open(f, "log", EPIO_OPEN_WRITE | EPIO_OPEN_APPEND | EPIO_OPEN_TRUNCATE);
    check_op(f, epio_write(&op, file, "ab", 2, 100), 2);
    fixture_close(f, file);
    check_content(f, "log", "ab", 2);
    file = fixture_open(f, "new", CREATE | EPIO_OPEN_APPEND);
    check(info_of(f, file).mode == 0666); /* the flag is no part of permissions */
    fixture_close(f, file);
}

/* Longer than what is copied at once, from anywhere in a block on, and over blocks that wait for it
 * behind the end. */
static void long_appends_are_whole(fixture *f)
{
    static unsigned char bytes[3 * MIB + 5], found[sizeof bytes];
    static const size_t begins[] = {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77};
    epio_op op = {0};
    const epio_iovec parts[] = {{bytes, 100}, {bytes + 100, sizeof bytes - 100}};
    pattern_fill(bytes, sizeof bytes, 0);
    for (size_t i = 0; i < 2 * COUNT(begins); i++) {
        size_t begin = begins[i / 2];
        epio_file *file = fixture_open(f, "log", CREATE | EPIO_OPEN_APPEND | EPIO_OPEN_TRUNCATE);
        check_op(f, epio_truncate(&op, file, begin < BLOCK ? 0 : begin - 1), 0);
        check_op(f, epio_write(&op, file, bytes, begin < BLOCK ? begin : 1, 0),
                 begin < BLOCK ? begin : 1);
        if (i % 2 == 0) {
            check_op(f, epio_allocate(&op, file, begin, MIB, KEEP), 0);
            check_op(f, epio_append(&op, file, bytes, sizeof bytes), begin);
        } else {
            check_op(f, epio_writev(&op, file, parts, 2, 0), sizeof bytes);
        }
        check_op(f, epio_append(&op, file, "end", 3), begin + sizeof bytes);
        fixture_read(f, file, found, sizeof bytes, begin);
        assert_memory_equal(found, bytes, sizeof bytes);
        holds(f, file, begin + sizeof bytes, "end");
        uint64_t first = begin < BLOCK ? 0 : (begin - 1) / BLOCK;
        uint64_t end = (begin + sizeof bytes + 3 - 1) / BLOCK + 1;
        file_has(f, file, begin + sizeof bytes + 3, (end - first) * BLOCK);
        fixture_close(f, file);
    }
}

static void nothing_is_appended_beyond_the_limit(fixture *f)
{
    static char bytes[2 * MIB];
    static const uint64_t sizes[] = {LAST, LAST - 4, LAST - 5 + 1};
    epio_op op = {0};
    epio_file *file = fixture_open(f, "far", CREATE | EPIO_OPEN_APPEND);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        check_op(f, epio_truncate(&op, file, sizes[i]), 0);
        check_op(f, epio_append(&op, file, "12345", 5), EPIO_EFBIG);
        check_op(f, epio_write(&op, file, "12345", 5, 0), EPIO_EFBIG);
        check_op(f, epio_append(&op, file, bytes, sizeof bytes), EPIO_EFBIG);
        check_op(f, epio_append(&op, file, bytes, 0), sizes[i]);
        file_has(f, file, sizes[i], 0);
    }
    check_op(f, epio_append(&op, file, "1234", 4), LAST - 4);
    holds(f, file, LAST - 4, "1234");
    file_has(f, file, LAST, BLOCK);
    fixture_close(f, file);
}

#define PIECE (1100 * KIB) /* more than is copied at once */
#define PIECES 12

typedef struct appender {
    test_thread thread;
    epio_file *file;
    uint32_t number;
    size_t len;
    bool failed;
} appender;

/* Every piece is its number, and of a length of its thread's. */
static void *append_pieces(void *argument)
{
    appender *self = argument;
    unsigned char *piece = malloc(self->len);
    require(piece != NULL);
    for (uint32_t i = 0; i < PIECES; i++) {
        epio_op op = {0};
        memset(piece, (int)(self->number * PIECES + i + 1), self->len);
        self->failed |= epio_perform(epio_append(&op, self->file, piece, self->len)) < 0;
    }
    free(piece);
    return NULL;
}

static void pieces_of_several_threads_are_whole(fixture *f)
{
    static unsigned char found[PIECE];
    static const size_t lens[] = {PIECE, PIECE - 3, 1000, 77};
    appender appenders[COUNT(lens)];
    epio_op op = {0};
    uint64_t offset = 0;
    unsigned pieces = 0;
    epio_file *file = fixture_create(f, "log");
    for (uint32_t i = 0; i < COUNT(lens); i++) {
        appenders[i] = (appender){.file = file, .number = i, .len = lens[i]};
        thread_start(&appenders[i].thread, append_pieces, &appenders[i]);
    }
    for (size_t i = 0; i < COUNT(lens); i++) {
        (void)thread_join(appenders[i].thread);
        check(!appenders[i].failed);
    }
    for (; fixture_result(f, epio_read(&op, file, found, 1, offset)) == 1; pieces++) {
        size_t len = lens[(found[0] - 1u) / PIECES];
        unsigned char first = found[0];
        fixture_read(f, file, found, len, offset);
        check_bytes(found, first, len);
        offset += len;
    }
    check(pieces == COUNT(lens) * PIECES);
    fixture_close(f, file);
}

/* ---- Allocation --------------------------------------------------------- */

static void allocated_space_is_there(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abc", 3, 10 * BLOCK);
    check_op(f, epio_allocate(&op, file, 1, 2 * BLOCK, KEEP), 0);
    file_has(f, file, 10 * BLOCK + 3, 4 * BLOCK); /* it touches three blocks */
    check_op(f, epio_allocate(&op, file, 0, 12 * BLOCK, KEEP), 0);
    file_has(f, file, 10 * BLOCK + 3, 12 * BLOCK);
    check_op(f, epio_allocate(&op, file, 0, 12 * BLOCK - 1, 0), 0);
    file_has(f, file, 12 * BLOCK - 1, 12 * BLOCK);
    holds(f, file, 10 * BLOCK, "abc");
    check_op(f, epio_allocate(&op, file, 100, 200, 0), 0); /* nothing shrinks */
    file_has(f, file, 12 * BLOCK - 1, 12 * BLOCK);
    check_op(f, epio_truncate(&op, file, 1), 0);
    file_has(f, file, 1, BLOCK);
    fixture_close(f, file);
}

/* In parts, with others between them. */
static void much_can_be_allocated(fixture *f)
{
    static unsigned char found[40000];
    uint64_t blocks = 3000;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abc", 3, 2500 * BLOCK + 1);
    check_op(f, epio_allocate(&op, file, 5, blocks * BLOCK - 5, 0), 0);
    file_has(f, file, blocks * BLOCK, blocks * BLOCK);
    holds(f, file, 2500 * BLOCK + 1, "abc");
    for (uint64_t at = 0; at + sizeof found < 2500 * BLOCK; at += 77 * BLOCK + 5) {
        memset(found, 1, sizeof found);
        fixture_read(f, file, found, sizeof found, at);
        check_bytes(found, 0, sizeof found);
    }
    check_op(f, epio_allocate(&op, file, 0, blocks * BLOCK, 0), 0);
    check_op(f, epio_punch_hole(&op, file, BLOCK, (blocks - 2) * BLOCK), 0);
    file_has(f, file, blocks * BLOCK, 2 * BLOCK);
    fixture_close(f, file);
}

static void what_cannot_be_is_refused(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abc", 3, 0);
    check_op(f, epio_allocate(&op, file, 0, LAST, 0), EPIO_ENOSPC);
    check_op(f, epio_allocate(&op, file, 100, TIB + BLOCK, KEEP), EPIO_ENOSPC);
    check_op(f, epio_allocate(&op, file, LAST - 2 * TIB, 2 * TIB, KEEP), EPIO_ENOSPC);
    file_has(f, file, 3, BLOCK);
    check_op(f, epio_allocate(&op, file, LAST - 1, 1, 0), 0);
    file_has(f, file, LAST, 2 * BLOCK);
    fixture_close(f, file);
}

/* ---- Holes -------------------------------------------------------------- */

static void holes_give_space_back(fixture *f)
{
    static unsigned char bytes[10 * BLOCK], found[10 * BLOCK];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    memset(bytes, 'x', sizeof bytes);
    fixture_write(f, file, bytes, sizeof bytes, 0);
    check_op(f, epio_punch_hole(&op, file, BLOCK - 1, BLOCK + 2), 0); /* one, and edges */
    file_has(f, file, sizeof bytes, 9 * BLOCK);
    check_op(f, epio_zero_range(&op, file, 4 * BLOCK, 2 * BLOCK, 0), 0);
    file_has(f, file, sizeof bytes, 7 * BLOCK);
    check_op(f, epio_punch_hole(&op, file, 7 * BLOCK + 5, 10), 0); /* within a block */
    file_has(f, file, sizeof bytes, 7 * BLOCK);
    memset(bytes + BLOCK - 1, 0, BLOCK + 2);
    memset(bytes + 4 * BLOCK, 0, 2 * BLOCK);
    memset(bytes + 7 * BLOCK + 5, 0, 10);
    fixture_read(f, file, found, sizeof found, 0);
    assert_memory_equal(found, bytes, sizeof bytes);
    check_op(f, epio_punch_hole(&op, file, 0, LAST), 0);
    file_has(f, file, sizeof bytes, 0);
    fixture_close(f, file);
}

static void holes_behind_the_end(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "abcdef", 6, 0);
    check_op(f, epio_allocate(&op, file, 0, 5 * BLOCK, KEEP), 0);
    check_op(f, epio_punch_hole(&op, file, 2 * BLOCK, BLOCK), 0);
    file_has(f, file, 6, 4 * BLOCK);
    check_op(f, epio_punch_hole(&op, file, 3, TIB), 0);
    file_has(f, file, 6, BLOCK);
    holds(f, file, 0, "abc\0\0\0");
    check_op(f, epio_punch_hole(&op, file, 0, 6), 0); /* all of a block that is part of it */
    file_has(f, file, 6, 0);
    check_op(f, epio_zero_range(&op, file, 0, 100, KEEP), 0);
    check_op(f, epio_zero_range(&op, file, 7, 1, 0), 0);
    file_has(f, file, 8, 0);
    check_op(f, epio_zero_range(&op, file, 5, LAST - 5, 0), 0);
    file_has(f, file, LAST, 0);
    fixture_close(f, file);
}

/* However long: what takes a step for each block does not end. */
static void endless_holes_are_skipped(fixture *f)
{
    static const uint64_t offsets[] = {0, 1000 * BLOCK, TIB, 1024 * TIB, LAST - 6};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    for (size_t i = 0; i < COUNT(offsets); i++) {
        fixture_write(f, file, "abcdef", 6, offsets[i]);
    }
    check_op(f, epio_punch_hole(&op, file, 3, LAST - 6), 0);
    file_has(f, file, LAST, 2 * BLOCK);
    holds(f, file, 0, "abc\0\0\0");
    holds(f, file, LAST - 6, "\0\0\0def");
    check_op(f, epio_seek_hole(&op, file, 0), BLOCK);
    check_op(f, epio_seek_data(&op, file, BLOCK), LAST - LAST % BLOCK);
    check_op(f, epio_zero_range(&op, file, 0, LAST, 0), 0);
    file_has(f, file, LAST, 0);
    fixture_close(f, file);
}

static void data_and_holes_are_found(fixture *f)
{
    static const struct {
        uint64_t from, data, hole;
    } cases[] = {
        {0, 2 * BLOCK, 0},
        {5, 2 * BLOCK, 5},
        {2 * BLOCK, 2 * BLOCK, 4 * BLOCK},
        {2 * BLOCK + 7, 2 * BLOCK + 7, 4 * BLOCK},
        {4 * BLOCK - 1, 4 * BLOCK - 1, 4 * BLOCK},
        {4 * BLOCK, 500 * BLOCK, 4 * BLOCK},
        {500 * BLOCK, 500 * BLOCK, 500 * BLOCK + 3},
        {500 * BLOCK + 2, 500 * BLOCK + 2, 500 * BLOCK + 3},
        {500 * BLOCK + 3, 500 * BLOCK + 3, 500 * BLOCK + 3},
        {500 * BLOCK + 4, 500 * BLOCK + 3, 500 * BLOCK + 3},
        {TIB, 500 * BLOCK + 3, 500 * BLOCK + 3},
        {LAST, 500 * BLOCK + 3, 500 * BLOCK + 3},
    };
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    check_op(f, epio_seek_data(&op, file, 0), 0);
    check_op(f, epio_seek_hole(&op, file, 0), 0);
    check_op(f, epio_seek_hole(&op, file, 1), 0);
    fixture_write(f, file, "a", 1, 3 * BLOCK - 1);
    fixture_write(f, file, "a", 1, 3 * BLOCK);
    fixture_write(f, file, "abc", 3, 500 * BLOCK);
    check_op(f, epio_allocate(&op, file, 501 * BLOCK, BLOCK, KEEP), 0); /* behind the end */
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_op(f, epio_seek_data(&op, file, cases[i].from), cases[i].data);
        check_op(f, epio_seek_hole(&op, file, cases[i].from), cases[i].hole);
    }
    check_op(f, epio_truncate(&op, file, 600 * BLOCK), 0);
    check_op(f, epio_seek_data(&op, file, 500 * BLOCK + 3), 500 * BLOCK + 3);
    check_op(f, epio_seek_hole(&op, file, 500 * BLOCK + 3), 502 * BLOCK);
    check_op(f, epio_seek_data(&op, file, 502 * BLOCK), 600 * BLOCK);
    fixture_close(f, file);
}

/* ---- Sequences ---------------------------------------------------------- */

#define MOST (200 * BLOCK)

typedef struct shadow {
    unsigned char bytes[MOST];
    uint64_t size;
} shadow;

static void shadow_write(shadow *of, const unsigned char *bytes, size_t len, uint64_t offset)
{
    memcpy(of->bytes + offset, bytes, len);
    of->size = of->size < offset + len ? offset + len : of->size;
}

/* Data and holes take turns, and there are but zeros in the holes. */
static void check_map(fixture *f, epio_file *file, const shadow *of)
{
    epio_op op = {0};
    uint64_t at = 0;
    while (at < of->size) {
        int64_t data = fixture_result(f, epio_seek_data(&op, file, at));
        check(data >= (int64_t)at && (uint64_t)data <= of->size);
        check_bytes(of->bytes + at, 0, (size_t)data - (size_t)at);
        int64_t hole = fixture_result(f, epio_seek_hole(&op, file, (uint64_t)data));
        check(hole > data || (uint64_t)data == of->size);
        at = (uint64_t)hole;
    }
    check_result(at, of->size);
}

static void change_at_random(fixture *f, random_source *random, epio_file *file, shadow *of)
{
    static unsigned char bytes[MOST];
    epio_op op = {0};
    uint64_t offset = random_between(random, 0, MOST - 1);
    uint64_t most = random_between(random, 0, 3) == 0 ? MOST : 3 * BLOCK;
    most = most < MOST - offset ? most : MOST - offset;
    uint64_t len = 1 + random_between(random, 0, most);
    uint64_t kind = random_between(random, 0, 7);
    uint32_t flags = random_between(random, 0, 2) == 0 ? KEEP : 0;
    len = len < MOST - offset ? len : MOST - offset;
    if (kind == 6 && of->size + len <= MOST) {
        random_fill(random, bytes, (size_t)len);
        check_op(f, epio_append(&op, file, bytes, (size_t)len), of->size);
        shadow_write(of, bytes, (size_t)len, of->size);
    } else if (kind >= 5) {
        random_fill(random, bytes, (size_t)len);
        fixture_write(f, file, bytes, (size_t)len, offset);
        shadow_write(of, bytes, (size_t)len, offset);
    } else if (kind == 4) {
        check_op(f, epio_truncate(&op, file, offset), 0);
        memset(of->bytes + offset, 0, (size_t)(MOST - offset));
        of->size = offset;
    } else if (kind == 3) {
        check_op(f, epio_punch_hole(&op, file, offset, len), 0);
        memset(of->bytes + offset, 0, (size_t)len);
    } else {
        check_op(f,
                 kind == 0 ? epio_allocate(&op, file, offset, len, flags)
                           : epio_zero_range(&op, file, offset, len, flags),
                 0);
        memset(of->bytes + offset, 0, kind == 0 ? 0 : (size_t)len);
        of->size = flags == 0 && of->size < offset + len ? offset + len : of->size;
    }
}

static void any_sequence_leaves_the_right_bytes(fixture *f)
{
    static shadow of;
    static unsigned char found[MOST + 1];
    random_source random = {1};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    memset(&of, 0, sizeof of);
    for (unsigned i = 0; i < fixture_rounds(600); i++) {
        change_at_random(f, &random, file, &of);
        check_op(f, epio_read(&op, file, found, sizeof found, 0), of.size);
        assert_memory_equal(found, of.bytes, (size_t)of.size);
        check_map(f, file, &of);
    }
    check_op(f, epio_truncate(&op, file, 0), 0);
    file_has(f, file, 0, 0);
    fixture_close(f, file);
}

/* ---- Beside the bytes --------------------------------------------------- */

static epio_op *verb_of_space(size_t number, epio_op *op, epio_file *file)
{
    switch (number) {
    case 0:
        return epio_append(op, file, "abc", 3);
    case 1:
        return epio_allocate(op, file, 0, 1, 0);
    case 2:
        return epio_punch_hole(op, file, 0, 1);
    case 3:
        return epio_zero_range(op, file, 0, 1, KEEP);
    case 4:
        return epio_seek_data(op, file, 0);
    case 5:
        return epio_seek_hole(op, file, 0);
    case 6:
        return epio_advise(op, file, 0, 0, EPIO_ADVICE_WILL_NEED);
    case 7:
        return epio_append(op, file, "", 0);
    case 8:
        return epio_punch_hole(op, file, 5, LAST - 4); /* too far */
    default:
        return NULL;
    }
}

static void times_change_as_by_a_write(fixture *f)
{
    static const epio_times past = {sizeof past, 1000, 1000, EPIO_TIME_KEEP};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    for (size_t i = 0; verb_of_space(i, &op, file) != NULL; i++) {
        check_op(f, epio_file_set_times(&op, file, &past), 0);
        epio_info before = info_of(f, file);
        int64_t result = fixture_result(f, verb_of_space(i, &op, file));
        check_result(result < 0, i == 8);
        epio_info after = info_of(f, file);
        check_result(after.modified != 1000, i < 4);
        check(after.changed >= before.changed && after.accessed == 1000);
    }
    fixture_close(f, file);
}

static void a_file_must_be_open_for_it(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "data", "abc", 3);
    epio_file *reader = fixture_open(f, "data", EPIO_OPEN_READ);
    epio_file *directory = fixture_open(f, ".", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    for (size_t i = 0; i < 7; i++) {
        check_result(fixture_result(f, verb_of_space(i, &op, reader)) == EPIO_EBADF, i < 4);
        check(fixture_result(f, verb_of_space(i, &op, directory)) < 0);
    }
    check_op(f, epio_allocate(&op, reader, 0, 0, 0), EPIO_EINVAL);
    check_op(f, epio_open(&op, f->vfs, "data", EPIO_OPEN_READ | EPIO_OPEN_APPEND), EPIO_EINVAL);
    fixture_close(f, directory);
    fixture_close(f, reader);
    check_content(f, "data", "abc", 3);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(appends_return_their_offset, ON_ANY_MEMORY),
        FIXTURE_TEST(writes_to_an_append_file_go_to_its_end, ON_ANY_MEMORY),
        FIXTURE_TEST(long_appends_are_whole, ON_ANY_MEMORY),
        FIXTURE_TEST(nothing_is_appended_beyond_the_limit, ON_ANY_MEMORY),
        FIXTURE_TEST(pieces_of_several_threads_are_whole, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(allocated_space_is_there, ON_ANY_MEMORY),
        FIXTURE_TEST(much_can_be_allocated, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(what_cannot_be_is_refused, ON_ANY_MEMORY),
        FIXTURE_TEST(holes_give_space_back, ON_ANY_MEMORY),
        FIXTURE_TEST(holes_behind_the_end, ON_ANY_MEMORY),
        FIXTURE_TEST(endless_holes_are_skipped, ON_ANY_MEMORY),
        FIXTURE_TEST(data_and_holes_are_found, ON_ANY_MEMORY),
        FIXTURE_TEST(any_sequence_leaves_the_right_bytes, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(times_change_as_by_a_write, ON_ANY_MEMORY),
        FIXTURE_TEST(a_file_must_be_open_for_it, ON_ANY_MEMORY),
    };
    return FIXTURE_RUN("memory, space", tests);
}
