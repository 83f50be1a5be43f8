/* Mappings of the memory VFS: what of a file is in a region, under everything that changes its
 * blocks; compared with a plain copy of its bytes. Independent of the backend: EPIO_TEST_ONCE. Also
 * without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define SHARED (EPIO_MAP_READ | EPIO_MAP_WRITE)
#define BLOCK 16384u
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static epio_mapping *map(fixture *f, epio_file *file, uint64_t offset, uint64_t len)
{
    return fixture_map(f, file, offset, len, SHARED);
}

static void resize(fixture *f, epio_file *file, uint64_t size)
{
    epio_op op = {0};
    check_op(f, epio_truncate(&op, file, size), 0);
}

static uint64_t allocated(fixture *f, epio_file *file)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    check_op(f, epio_file_stat(&op, file, &info), 0);
    return info.allocated;
}

static unsigned char byte_at(fixture *f, epio_file *file, uint64_t offset)
{
    unsigned char byte;
    fixture_read(f, file, &byte, 1, offset);
    return byte;
}

/* ---- Shorter and longer --------------------------------------------------- */

static void what_is_cut_off_is_zeros(fixture *f)
{
    static unsigned char data[5 * BLOCK];
    epio_op op = {0};
    memset(data, 'd', sizeof data);
    fixture_put(f, "file", data, sizeof data);
    epio_file *file = fixture_open(f, "file", READ_WRITE);
    epio_mapping *mapping = map(f, file, 0, sizeof data);
    unsigned char *bytes = mapped_bytes(mapping);
    resize(f, file, BLOCK + 5);
    check_bytes(bytes, 'd', BLOCK + 5);
    check_bytes(bytes + BLOCK + 5, 0, sizeof data - BLOCK - 5);

    /* What is stored there is not the file's, but what is stored after it grew. */
    memset(bytes + BLOCK, 'x', sizeof data - BLOCK);
    memset(data + BLOCK, 'x', 5);
    check_content(f, "file", data, BLOCK + 5);
    resize(f, file, 3 * BLOCK);
    check_bytes(bytes + BLOCK, 'x', 5);
    check_bytes(bytes + BLOCK + 5, 0, 2 * BLOCK - 5);
    check(byte_at(f, file, 2 * BLOCK) == 0);
    bytes[2 * BLOCK] = 'y';
    check(byte_at(f, file, 2 * BLOCK) == 'y');
    memset(bytes + 3 * BLOCK, 'x', 2 * BLOCK);
    fixture_write(f, file, "z", 1, 4 * BLOCK + 1);
    check_bytes(bytes + 3 * BLOCK, 0, BLOCK + 1);
    check(bytes[4 * BLOCK + 1] == 'z');

    /* A last part of a block does not keep it, either. */
    resize(f, file, 4 * BLOCK + 1);
    memset(bytes + 4 * BLOCK + 1, 'x', 10);
    fixture_unmap(f, mapping);
    check_op(f, epio_punch_hole(&op, file, 0, BLOCK), 0); /* the others leave the region */
    resize(f, file, 5 * BLOCK);
    mapping = map(f, file, 4 * BLOCK, BLOCK);
    check_bytes(mapped_bytes(mapping), 0, BLOCK);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
}

/* The file grows behind what was stored beyond its end. */
static void a_copied_hole_is_zeros_before_it(fixture *f)
{
    static const unsigned char zeros[8000];
    epio_op op = {0};
    epio_file *from = fixture_create(f, "from");
    epio_file *file = fixture_create(f, "file");
    resize(f, from, BLOCK);
    resize(f, file, 2 * BLOCK);
    epio_mapping *mapping = map(f, file, 0, 2 * BLOCK);
    resize(f, file, 100);
    mapped_bytes(mapping)[200] = 'x';
    check_op(f, epio_copy_range(&op, from, 0, file, 1000, 7000), 7000);
    check_content(f, "file", zeros, sizeof zeros);
    fixture_unmap(f, mapping);
    fixture_close(f, from);
    fixture_close(f, file);
}

static void appended_bytes_are_mapped(fixture *f)
{
    static unsigned char data[3 * MIB];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    resize(f, file, 4 * MIB);
    epio_mapping *mapping = map(f, file, 0, 4 * MIB);
    resize(f, file, 5);
    memset(mapped_bytes(mapping), 'x', 4 * MIB);
    memset(data, 'a', sizeof data);
    check_op(f, epio_append(&op, file, data, 3), 5);
    check_op(f, epio_append(&op, file, data, sizeof data), 8);
    check_bytes(mapped_bytes(mapping), 'x', 5);
    check_bytes(mapped_bytes(mapping) + 5, 'a', 3 + sizeof data);
    mapped_bytes(mapping)[7 + sizeof data] = 'y';
    check(byte_at(f, file, 7 + sizeof data) == 'y');
    fixture_unmap(f, mapping);
    check(byte_at(f, file, 4) == 'x' && byte_at(f, file, 7 + sizeof data) == 'y');
    resize(f, file, 4 * MIB);
    check(byte_at(f, file, 8 + sizeof data) == 0 && byte_at(f, file, 4 * MIB - 1) == 0);
    fixture_close(f, file);
}

static void holes_are_zeros_that_are_still_shared(fixture *f)
{
    epio_op op = {0};
    static unsigned char data[6 * BLOCK];
    memset(data, 'd', sizeof data);
    fixture_put(f, "file", data, sizeof data);
    epio_file *file = fixture_open(f, "file", READ_WRITE);
    epio_mapping *mapping = map(f, file, 0, sizeof data);
    check_op(f, epio_punch_hole(&op, file, BLOCK - 5, 2 * BLOCK), 0);
    check_op(f, epio_zero_range(&op, file, 4 * BLOCK, 2 * BLOCK, 0), 0);
    check_bytes(mapped_bytes(mapping), 'd', BLOCK - 5);
    check_bytes(mapped_bytes(mapping) + BLOCK - 5, 0, 2 * BLOCK);
    check_bytes(mapped_bytes(mapping) + 3 * BLOCK - 5, 'd', BLOCK + 5);
    check_bytes(mapped_bytes(mapping) + 4 * BLOCK, 0, 2 * BLOCK);
    mapped_bytes(mapping)[BLOCK] = 'x';
    mapped_bytes(mapping)[5 * BLOCK] = 'y';
    check(byte_at(f, file, BLOCK) == 'x' && byte_at(f, file, 5 * BLOCK) == 'y');
    fixture_write(f, file, "z", 1, 2 * BLOCK);
    check(mapped_bytes(mapping)[2 * BLOCK] == 'z');
    fixture_unmap(f, mapping);
    check(byte_at(f, file, BLOCK) == 'x' && byte_at(f, file, 2 * BLOCK) == 'z');
    fixture_close(f, file);
}

/* ---- Space ---------------------------------------------------------------- */

static void what_is_mapped_has_space(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    resize(f, file, 10 * MIB);
    check(allocated(f, file) == 0);
    epio_mapping *one = map(f, file, 5, 10);
    check(allocated(f, file) == BLOCK);
    epio_mapping *two = map(f, file, BLOCK - 1, 2);
    check(allocated(f, file) == 2 * BLOCK);
    epio_mapping *three = map(f, file, 5 * MIB, MIB);
    check(allocated(f, file) == 2 * BLOCK + MIB);
    check_op(f, epio_punch_hole(&op, file, 0, 10 * MIB), 0);
    check(allocated(f, file) == 2 * BLOCK + MIB);
    fixture_unmap(f, two);
    fixture_unmap(f, three);
    fixture_unmap(f, one);
    check(allocated(f, file) == 2 * BLOCK + MIB);
    check_op(f, epio_punch_hole(&op, file, BLOCK, 10 * MIB), 0);
    check(allocated(f, file) == BLOCK);
    resize(f, file, 0);
    check(allocated(f, file) == 0);

    resize(f, file, 10 * BLOCK);
    one = map(f, file, 0, 10 * BLOCK);
    resize(f, file, 5);
    check(allocated(f, file) == 10 * BLOCK); /* until it is unmapped */
    fixture_unmap(f, one);
    check(allocated(f, file) == BLOCK);
    fixture_close(f, file);
}

static void stores_count_as_changes(fixture *f)
{
    epio_op op = {0};
    epio_info before = {.size = sizeof before};
    epio_info now = {.size = sizeof now};
    fixture_put(f, "file", "0123456789", 10);
    epio_file *file = fixture_open(f, "file", READ_WRITE);
    epio_mapping *mapping = map(f, file, 0, 10);
    check_op(f, epio_map(&op, file, 0, 10, EPIO_MAP_READ), 0);
    epio_mapping *reads = epio_op_mapping(&op);
    check_op(f, epio_file_stat(&op, file, &before), 0);
    sleep_ns(20 * MILLISECOND);
    check_op(f, epio_sync_mapping(&op, reads, 0, 0), 0);
    fixture_unmap(f, reads);
    check_op(f, epio_file_stat(&op, file, &now), 0);
    check(now.modified == before.modified);
    mapped_bytes(mapping)[0] = 'x';
    check_op(f, epio_sync_mapping(&op, mapping, 0, 0), 0);
    check_op(f, epio_file_stat(&op, file, &now), 0);
    check(now.modified > before.modified);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
}

/* ---- Room ----------------------------------------------------------------- */

static void check_access(fixture *f, epio_file *file, uint64_t offset, uint64_t len, int expected)
{
    epio_op op = {0};
    check_op(f, epio_map(&op, file, offset, len, SHARED), expected);
    if (expected == 0) {
        fixture_unmap(f, epio_op_mapping(&op));
    }
}

static void a_region_has_room(fixture *f)
{
    epio_file *file = fixture_create(f, "file");
    resize(f, file, 100 * MIB);
    epio_mapping *inside = map(f, file, 5 * MIB, MIB);
    epio_mapping *whole = map(f, file, 0, 12 * MIB); /* the region begins where the file does */
    mapped_bytes(inside)[0] = 'x';
    check(mapped_bytes(whole)[5 * MIB] == 'x');
    check_access(f, file, 0, 100 * MIB, EPIO_ENOTSUP);
    check_access(f, file, 10 * MIB, 90 * MIB, EPIO_ENOTSUP);
    epio_mapping *beside = map(f, file, 80 * MIB, 20 * MIB); /* another region */
    mapped_bytes(beside)[0] = 'y';
    check_access(f, file, 79 * MIB, 2 * MIB, 0);
    fixture_unmap(f, inside);
    fixture_unmap(f, whole);
    check_access(f, file, 0, 100 * MIB, EPIO_ENOTSUP);
    fixture_unmap(f, beside);
    whole = map(f, file, 0, 100 * MIB);
    check(mapped_bytes(whole)[5 * MIB] == 'x' && mapped_bytes(whole)[80 * MIB] == 'y');
    fixture_unmap(f, whole);
    fixture_close(f, file);
}

/* Consecutive pieces, of which each is new, one after the other. */
static void pieces_are_mapped_one_by_one(fixture *f)
{
    enum { PIECES = 200 };
    static epio_mapping *pieces[PIECES];
    epio_file *file = fixture_create(f, "file");
    for (size_t i = 0; i < PIECES; i++) {
        resize(f, file, (i + 1) * 32 * KIB);
        pieces[i] = map(f, file, i * 32 * KIB, 32 * KIB);
        memset(mapped_bytes(pieces[i]), (int)(i + 1), 32 * KIB);
        check(mapped_bytes(pieces[0])[5] == 1);
    }
    for (size_t i = 0; i < PIECES; i++) {
        check(byte_at(f, file, i * 32 * KIB + 31 * KIB) == (unsigned char)(i + 1));
        fixture_unmap(f, pieces[i]);
    }
    fixture_close(f, file);
}

static void a_mapping_keeps_the_file(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    resize(f, file, MIB);
    epio_mapping *mapping = map(f, file, 0, MIB);
    fixture_close(f, file);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    memset(mapped_bytes(mapping), 'x', MIB);
    check_bytes(mapped_bytes(mapping), 'x', MIB);
    fixture_unmap(f, mapping);
}

/* ---- Everything at random ------------------------------------------------- */

#define LONGEST (300 * KIB)
#define MOST_MAPPINGS 6

typedef struct random_fixture {
    fixture *f;
    epio_file *file;
    random_source random;
    unsigned char expected[LONGEST]; /* zeros beyond the size */
    unsigned char found[LONGEST];
    uint64_t size;
    struct {
        epio_mapping *mapping;
        uint64_t offset;
        uint64_t len;
    } mappings[MOST_MAPPINGS];
} random_fixture;

static void check_all(random_fixture *one)
{
    if (one->size != 0) {
        fixture_read(one->f, one->file, one->found, (size_t)one->size, 0);
    }
    check(memcmp(one->found, one->expected, (size_t)one->size) == 0);
    for (size_t i = 0; i < MOST_MAPPINGS; i++) {
        uint64_t offset = one->mappings[i].offset;
        uint64_t end = offset + one->mappings[i].len;
        end = end < one->size ? end : one->size;
        if (one->mappings[i].mapping != NULL && offset < end) {
            check(memcmp(mapped_bytes(one->mappings[i].mapping), one->expected + offset,
                         (size_t)(end - offset)) == 0);
        }
    }
}

static void grow_or_shrink(random_fixture *one, uint64_t size)
{
    if (size < one->size) {
        memset(one->expected + size, 0, (size_t)(one->size - size));
    }
    one->size = size;
}

static void store(random_fixture *one, size_t which, uint64_t from, uint64_t len)
{
    unsigned char byte = (unsigned char)random_next(&one->random);
    uint64_t offset = one->mappings[which].offset + from;
    memset(mapped_bytes(one->mappings[which].mapping) + from, byte, (size_t)len);
    for (uint64_t i = offset; i < offset + len && i < one->size; i++) {
        one->expected[i] = byte;
    }
}

static void map_or_unmap(random_fixture *one, size_t which, uint64_t offset, uint64_t end)
{
    if (one->mappings[which].mapping != NULL) {
        fixture_unmap(one->f, one->mappings[which].mapping);
        one->mappings[which].mapping = NULL;
        return;
    }
    end = end < one->size ? end : one->size;
    if (offset < end) {
        one->mappings[which].mapping = map(one->f, one->file, offset, end - offset);
        one->mappings[which].offset = offset;
        one->mappings[which].len = end - offset;
    }
}

static void step(random_fixture *one)
{
    epio_op op = {0};
    uint64_t offset = random_between(&one->random, 0, LONGEST - 1);
    uint64_t len = random_between(&one->random, 1, LONGEST - offset + 1);
    size_t which = (size_t)random_between(&one->random, 0, MOST_MAPPINGS);
    len = random_next(&one->random) % 3 == 0 ? len : len % 20000 + 1;
    len = len < LONGEST - offset ? len : LONGEST - offset;
    switch (random_next(&one->random) % 12) {
    case 0:
        grow_or_shrink(one, offset);
        resize(one->f, one->file, offset);
        break;
    case 1:
    case 2:
        random_fill(&one->random, one->expected + offset, (size_t)len);
        fixture_write(one->f, one->file, one->expected + offset, (size_t)len, offset);
        one->size = one->size < offset + len ? offset + len : one->size;
        break;
    case 3:
        len = len < LONGEST - one->size ? len : LONGEST - one->size;
        random_fill(&one->random, one->expected + one->size, (size_t)len);
        check_op(one->f, epio_append(&op, one->file, one->expected + one->size, (size_t)len),
                 one->size);
        one->size += len;
        break;
    case 4:
        check_op(one->f, epio_punch_hole(&op, one->file, offset, len), 0);
        memset(one->expected + offset, 0, (size_t)len);
        break;
    case 5:
        check_op(one->f, epio_zero_range(&op, one->file, offset, len, 0), 0);
        memset(one->expected + offset, 0, (size_t)len);
        one->size = one->size < offset + len ? offset + len : one->size;
        break;
    case 6:
        check_op(one->f, epio_allocate(&op, one->file, offset, len, EPIO_SPACE_KEEP_SIZE), 0);
        break;
    case 7:
    case 8:
        map_or_unmap(one, which, offset, offset + len);
        break;
    default: /* perhaps beyond the end */
        if (one->mappings[which].mapping != NULL) {
            offset %= one->mappings[which].len;
            len = len % (one->mappings[which].len - offset) + 1;
            len = len < one->mappings[which].len - offset ? len : one->mappings[which].len - offset;
            store(one, which, offset, len);
        }
        break;
    }
}

static void bytes_agree_whatever_happens(fixture *f)
{
    static random_fixture one;
    for (unsigned seed = 1; seed <= 4; seed++) {
        memset(&one, 0, sizeof one);
        one.f = f;
        one.random.state = seed;
        one.file = fixture_create(f, "file");
        unsigned rounds = fixture_rounds(1000);
        for (unsigned i = 0; i < rounds; i++) {
            step(&one);
            if (i % 4 == 0) {
                check_all(&one);
            }
        }
        check_all(&one);
        for (size_t i = 0; i < MOST_MAPPINGS; i++) {
            if (one.mappings[i].mapping != NULL) {
                fixture_unmap(f, one.mappings[i].mapping);
                one.mappings[i].mapping = NULL;
            }
        }
        check_all(&one);
        fixture_close(f, one.file);
        epio_op op = {0};
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(what_is_cut_off_is_zeros, ON_ANY_MEMORY),
        FIXTURE_TEST(a_copied_hole_is_zeros_before_it, ON_ANY_MEMORY),
        FIXTURE_TEST(appended_bytes_are_mapped, ON_ANY_MEMORY),
        FIXTURE_TEST(holes_are_zeros_that_are_still_shared, ON_ANY_MEMORY),
        FIXTURE_TEST(what_is_mapped_has_space, ON_ANY_MEMORY),
        FIXTURE_TEST(stores_count_as_changes, ON_ANY_MEMORY),
        FIXTURE_TEST(a_region_has_room, ON_MEMORY_PERFORM | ON_TRACE_MEMORY),
        FIXTURE_TEST(pieces_are_mapped_one_by_one, ON_ANY_MEMORY),
        FIXTURE_TEST(a_mapping_keeps_the_file, ON_ANY_MEMORY),
        FIXTURE_TEST(bytes_agree_whatever_happens, ON_MEMORY_PERFORM | ON_TRACE_MEMORY),
    };
    return FIXTURE_RUN("mappings in memory", tests);
}
