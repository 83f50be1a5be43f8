/* Files in memory, in every setting: what is loaded and stored, what a mapping outlives, what ends
 * in which order. What one system alone has is in test_mapping_posix.c and test_mapping_win32.c,
 * regions of the memory VFS in test_memory_mapping.c. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "fault_vfs.h"
#include "op_fixture.h"

#include <epio/layer.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define SHARED (EPIO_MAP_READ | EPIO_MAP_WRITE)
#define PRIVATE (SHARED | EPIO_MAP_PRIVATE)
#define LEN 100000u

static void sync_mapping(fixture *f, epio_mapping *mapping)
{
    epio_op op = {0};
    check_op(f, epio_sync_mapping(&op, mapping, 0, 0), 0);
}

/* A file of LEN bytes of the pattern, open for both directions. */
static epio_file *create_full(fixture *f)
{
    static unsigned char data[LEN];
    epio_file *file = fixture_create(f, "file");
    pattern_fill(data, sizeof data, 0);
    fixture_write(f, file, data, sizeof data, 0);
    return file;
}

static void check_pattern(const unsigned char *found, size_t len, uint64_t offset)
{
    static unsigned char expected[LEN];
    pattern_fill(expected, len, offset);
    check(memcmp(found, expected, len) == 0);
}

/* ---- What is there -------------------------------------------------------- */

static void any_range_is_mapped(fixture *f)
{
    static const struct {
        uint64_t offset;
        size_t len;
    } ranges[] = {{0, 1},     {0, LEN},       {1, LEN - 1}, {4095, 2},    {4096, 1},     {65535, 2},
                  {70000, 5}, {65536, 34464}, {16384, 1},   {LEN - 1, 1}, {12345, 54321}};
    static const uint32_t accesses[] = {EPIO_MAP_READ, EPIO_MAP_READ | EPIO_MAP_PRIVATE, SHARED,
                                        PRIVATE};
    epio_file *file = create_full(f);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (size_t access = 0; access < 4; access++) {
            epio_mapping *mapping =
                fixture_map(f, file, ranges[i].offset, ranges[i].len, accesses[access]);
            check_pattern(mapped_bytes(mapping), ranges[i].len, ranges[i].offset);
            check_result((uintptr_t)mapped_bytes(mapping) % 4096, ranges[i].offset % 4096);
            fixture_unmap(f, mapping);
        }
    }
    fixture_close(f, file);
}

static void what_is_stored_is_the_files(fixture *f)
{
    epio_file *file = create_full(f);
    epio_file *other = fixture_open(f, "file", READ_WRITE);
    epio_mapping *one = fixture_map(f, file, 30000, 40000, SHARED);
    epio_mapping *two = fixture_map(f, other, 30000, 40000, SHARED);
    epio_mapping *inside = fixture_map(f, other, 40000, 10, EPIO_MAP_READ);
    unsigned char found[10];

    memcpy(mapped_bytes(one) + 10000, "0123456789", 10);
    check(memcmp(mapped_bytes(two) + 10000, "0123456789", 10) == 0);
    check(memcmp(mapped_bytes(inside), "0123456789", 10) == 0);
    fixture_read(f, file, found, 10, 40000);
    check(memcmp(found, "0123456789", 10) == 0);
    fixture_read(f, other, found, 10, 40000);
    check(memcmp(found, "0123456789", 10) == 0);

    fixture_write(f, other, "abc", 3, 40002);
    check(memcmp(mapped_bytes(one) + 10000, "01abc56789", 10) == 0);
    check(memcmp(mapped_bytes(inside), "01abc56789", 10) == 0);

    mapped_bytes(two)[0] = 'x';
    mapped_bytes(one)[39999] = 'y';
    fixture_unmap(f, one);
    check(mapped_bytes(two)[39999] == 'y' && mapped_bytes(two)[0] == 'x');
    fixture_unmap(f, inside);
    fixture_unmap(f, two);
    fixture_read(f, file, found, 1, 30000);
    fixture_read(f, file, found + 1, 1, 69999);
    check(found[0] == 'x' && found[1] == 'y');
    fixture_close(f, other);
    fixture_close(f, file);
}

static void what_is_stored_privately_is_not(fixture *f)
{
    fixture_put(f, "file", "0123456789", 10);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    epio_mapping *one = fixture_map(f, file, 1, 8, PRIVATE);
    epio_mapping *two = fixture_map(f, file, 1, 8, PRIVATE);
    memcpy(mapped_bytes(one), "abc", 3);
    check(memcmp(mapped_bytes(two), "12345678", 8) == 0);
    sync_mapping(f, one);
    check(memcmp(mapped_bytes(one), "abc45678", 8) == 0);
    fixture_unmap(f, one);
    fixture_unmap(f, two);
    fixture_close(f, file);
    check_content(f, "file", "0123456789", 10);
}

static void a_file_of_holes_is_zeros(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_truncate(&op, file, LEN), 0);
    fixture_write(f, file, "x", 1, 50000);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    check_bytes(mapped_bytes(mapping), 0, 50000);
    check(mapped_bytes(mapping)[50000] == 'x');
    check_bytes(mapped_bytes(mapping) + 50001, 0, LEN - 50001);
    mapped_bytes(mapping)[LEN - 1] = 'y';
    fixture_unmap(f, mapping);
    unsigned char found;
    fixture_read(f, file, &found, 1, LEN - 1);
    check(found == 'y');
    fixture_close(f, file);
}

/* ---- What is refused ------------------------------------------------------ */

static void check_reason(fixture *f, epio_op *op, int64_t expected, const char *reason)
{
    check_op(f, op, expected);
    check(epio_op_mapping(op) == NULL);
    const char *text = epio_op_invalid_reason(op);
    if (text == NULL || strstr(text, reason) == NULL) {
        print_error("%s, not %s\n", text != NULL ? text : "nothing", reason);
    }
    check(text != NULL && strstr(text, reason) != NULL);
}

static void wrong_arguments_are_refused(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_file *reads = fixture_open(f, "file", EPIO_OPEN_READ);
    epio_file *writes = fixture_open(f, "file", EPIO_OPEN_WRITE);
    check_reason(f, epio_map(&op, file, 0, 1, 8), EPIO_EINVAL, "unknown flags");
    check_reason(f, epio_map(&op, file, 0, 1, EPIO_MAP_WRITE), EPIO_EINVAL, "needs READ");
    check_reason(f, epio_map(&op, file, 0, 1, 0), EPIO_EINVAL, "needs READ");
    check_reason(f, epio_map(&op, file, 0, 0, SHARED), EPIO_EINVAL, "length is 0");
    check_reason(f, epio_map(&op, file, 1, INT64_MAX, SHARED), EPIO_EINVAL, "INT64_MAX");
    check_reason(f, epio_map(&op, file, UINT64_MAX, 2, SHARED), EPIO_EINVAL, "INT64_MAX");
    check_reason(f, epio_map(&op, file, 0, LEN + 1, SHARED), EPIO_EINVAL, "epio_truncate");
    check_reason(f, epio_map(&op, file, LEN, 1, SHARED), EPIO_EINVAL, "epio_truncate");
    check_reason(f, epio_map(&op, file, 1, INT64_MAX - 1, PRIVATE), EPIO_EINVAL, "epio_truncate");
    check_reason(f, epio_map(&op, writes, 0, 1, EPIO_MAP_READ), EPIO_EBADF, "for reading");
    check_reason(f, epio_map(&op, reads, 0, 1, SHARED), EPIO_EBADF, "for writing");
    check_result(epio_perform(epio_map(&op, NULL, 0, 1, SHARED)), EPIO_EINVAL);
    check_result(epio_perform(epio_unmap(&op, NULL)), EPIO_EINVAL);
    check_result(epio_perform(epio_sync_mapping(&op, NULL, 0, 0)), EPIO_EINVAL);

    epio_mapping *mapping = fixture_map(f, file, 10, 100, SHARED);
    check_reason(f, epio_sync_mapping(&op, mapping, 0, 101), EPIO_EINVAL, "beyond the mapping");
    check_reason(f, epio_sync_mapping(&op, mapping, 101, 0), EPIO_EINVAL, "beyond the mapping");
    check_reason(f, epio_sync_mapping(&op, mapping, 100, 1), EPIO_EINVAL, "beyond the mapping");
    check_reason(f, epio_sync_mapping(&op, mapping, 2, UINT64_MAX), EPIO_EINVAL,
                 "beyond the mapping");
    check_op(f, epio_sync_mapping(&op, mapping, 100, 0), 0);
    check_op(f, epio_sync_mapping(&op, mapping, 99, 1), 0);
    fixture_unmap(f, mapping);
    fixture_close(f, writes);
    fixture_close(f, reads);
    fixture_close(f, file);
}

static void directories_and_empty_files_are_refused(fixture *f)
{
    epio_op op = {0};
    fixture_make_directory(f, "directory");
    check_op(
        f,
        epio_open(&op, f->vfs, fixture_path(f, "directory"), EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY),
        0);
    epio_file *directory = op.file;
    check_op(f, epio_map(&op, directory, 0, 1, EPIO_MAP_READ), EPIO_EISDIR);
    fixture_close(f, directory);
    epio_file *file = fixture_create(f, "file");
    check_reason(f, epio_map(&op, file, 0, 1, SHARED), EPIO_EINVAL, "epio_truncate");
    check_op(f, epio_truncate(&op, file, 1), 0);
    fixture_unmap(f, fixture_map(f, file, 0, 1, SHARED));
    fixture_close(f, file);
}

static void streams_are_refused(fixture *f)
{
    epio_op op = {0};
    intptr_t ends[2];
    pipe_make(ends);
    epio_file *file = fixture_adopt(f, ends[0], EPIO_OPEN_READ);
    check_op(f, epio_map(&op, file, 0, 1, EPIO_MAP_READ), EPIO_ENOTSUP);
    check(epio_op_mapping(&op) == NULL);
    fixture_close(f, file);
    check(handle_close(ends[1]));
}

/* Where addresses have 32 bits, more than they reach is no wrong argument. */
static void more_than_memory_is_no_memory(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    uint64_t len = UINT64_C(1) << (sizeof(void *) == 8 ? 50 : 40);
    if (fixture_result(f, epio_truncate(&op, file, len)) != 0) {
        fixture_close(f, file);
        fixture_skip(f, "files are not so long here");
    }
    int64_t result = fixture_result(f, epio_map(&op, file, 0, len, EPIO_MAP_READ));
    if (result == 0) {
        fixture_unmap(f, epio_op_mapping(&op)); /* of holes: a matter of addresses alone */
    } else {
        check_result(result, EPIO_ENOMEM);
    }
    check_op(f, epio_truncate(&op, file, 4096), 0);
    fixture_unmap(f, fixture_map(f, file, 0, 4096, SHARED));
    fixture_close(f, file);
}

/* ---- How it is open ------------------------------------------------------- */

static void appending_files_are_mapped(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "0123456789", 10);
    epio_file *file = fixture_open(f, "file", READ_WRITE | EPIO_OPEN_APPEND);
    epio_mapping *mapping = fixture_map(f, file, 0, 10, SHARED);
    memcpy(mapped_bytes(mapping), "abc", 3);
    check_op(f, epio_write(&op, file, "xyz", 3, 0), 3);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
    check_content(f, "file", "abc3456789xyz", 13);
}

static void direct_files_are_mapped(fixture *f)
{
    static char data[8192];
    memset(data, 'd', sizeof data);
    fixture_put(f, "file", data, sizeof data);
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE);
    epio_mapping *mapping = fixture_map(f, file, 100, 5000, SHARED);
    check_bytes(mapped_bytes(mapping), 'd', 5000);
    mapped_bytes(mapping)[4999] = 'e';
    sync_mapping(f, mapping);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
    data[5099] = 'e';
    check_content(f, "file", data, sizeof data);
}

/* ---- What a mapping outlives ---------------------------------------------- */

static void a_mapping_outlives_its_file(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    fixture_close(f, file);
    check_pattern(mapped_bytes(mapping), LEN, 0);
    memcpy(mapped_bytes(mapping) + 5, "abc", 3);
    sync_mapping(f, mapping);
    file = fixture_open(f, "file", READ_WRITE);
    char found[3];
    fixture_read(f, file, found, 3, 5);
    check(memcmp(found, "abc", 3) == 0);
    fixture_write(f, file, "xyz", 3, 6);
    check(memcmp(mapped_bytes(mapping) + 5, "axyz", 4) == 0);
    fixture_close(f, file);
    /* Windows may refuse it: then the name is still there. */
    int64_t deleted = fixture_result(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0));
    check(deleted == 0 || (!SYSTEM_IS_POSIX && !f->memory));
    check(memcmp(mapped_bytes(mapping) + 5, "axyz", 4) == 0);
    mapped_bytes(mapping)[LEN - 1] = 'e';
    sync_mapping(f, mapping);
    fixture_unmap(f, mapping);
}

static void a_mapping_outlives_its_name(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    fixture_put(f, "other", "abc", 3);
    fixture_close(f, file);
    int64_t renamed = fixture_result(
        f, epio_rename(&op, f->vfs, fixture_path(f, "other"), fixture_path(f, "file"), 0));
    check(renamed == 0 || (!SYSTEM_IS_POSIX && !f->memory));
    memcpy(mapped_bytes(mapping), "xyz", 3);
    check(memcmp(mapped_bytes(mapping), "xyz", 3) == 0);
    if (renamed == 0) {
        check_content(f, "file", "abc", 3);
    }
    fixture_unmap(f, mapping);
}

static void longer_files_are_mapped_again(fixture *f)
{
    epio_op op = {0};
    epio_mapping *mappings[4];
    epio_file *file = fixture_create(f, "file");
    for (uint64_t i = 0; i < 4; i++) {
        check_op(f, epio_truncate(&op, file, (i + 1) * 100000), 0);
        mappings[i] = fixture_map(f, file, 0, (i + 1) * 100000, SHARED);
        mapped_bytes(mappings[i])[i * 100000 + 5] = (unsigned char)('a' + i);
        mapped_bytes(mappings[i])[i] = (unsigned char)('a' + i);
    }
    for (size_t i = 0; i < 4; i++) {
        check(memcmp(mapped_bytes(mappings[i]), "abcd", 4) == 0);
        check(mapped_bytes(mappings[3])[i * 100000 + 5] == 'a' + i);
    }
    for (size_t i = 0; i < 4; i++) {
        fixture_unmap(f, mappings[i]);
    }
    fixture_close(f, file);
}

/* ---- Order ---------------------------------------------------------------- */

static void syncs_reach_every_part(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 4000, 90000, SHARED);
    epio_mapping *reading = fixture_map(f, file, 4000, 10, EPIO_MAP_READ);
    memset(mapped_bytes(mapping), 'x', 90000);
    check_op(f, epio_sync_mapping(&op, mapping, 1, 1), 0);
    check_op(f, epio_sync_mapping(&op, mapping, 96, 4096), 0);
    check_op(f, epio_sync_mapping(&op, mapping, 89999, 1), 0);
    check_op(f, epio_sync_mapping(&op, mapping, 0, 90000), 0);
    check_op(f, epio_sync_mapping(&op, reading, 0, 0), 0);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    fixture_unmap(f, reading);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
}

#if EPIO_ASYNC

static void an_unmap_waits_for_syncs(fixture *f)
{
    enum { SYNCS = 20 };
    epio_op syncs[SYNCS];
    epio_op last = {0};
    int delivered = 0;
    memset(syncs, 0, sizeof syncs);
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    memset(mapped_bytes(mapping), 'x', LEN);
    for (uint64_t i = 0; i < SYNCS; i++) {
        epio_submit(
            epio_sync_mapping(count_delivery(&syncs[i], &delivered), mapping, i * 4096, 4096));
    }
    check_result(epio_wait(epio_unmap(&last, mapping)), 0);
    check_result(delivered, SYNCS);
    for (size_t i = 0; i < SYNCS; i++) {
        check_result(syncs[i].result, 0);
    }
    fixture_close(f, file);
}

/* A layer that holds syncs, over what the test uses; the file is its. */
typedef struct held_fixture {
    fixture *f;
    epio_vfs *fault;
    epio_file *file;
    epio_mapping *mapping;
    tracked sync;
    tracked unmap;
} held_fixture;

static void held_fixture_setup(held_fixture *one, fixture *f)
{
    epio_op op = {0};
    memset(one, 0, sizeof *one);
    one->f = f;
    check_result(fault_vfs_create(&one->fault, f->vfs), 0);
    fixture_put(f, "file", "0123456789", 10);
    check_result(epio_wait(epio_open(&op, one->fault, fixture_path(f, "file"), READ_WRITE)), 0);
    one->file = op.file;
    check_result(epio_wait(epio_map(&op, one->file, 0, 10, SHARED)), 0);
    one->mapping = epio_op_mapping(&op);
    fault_vfs_hold(one->fault, EPIO_KIND_SYNC_MAPPING);
    epio_submit(epio_sync_mapping(track(&one->sync), one->mapping, 0, 0));
    fixture_settle(f);
    check(fault_vfs_held(one->fault, EPIO_KIND_SYNC_MAPPING) == 1);
}

static void run_until(held_fixture *one, const tracked *op)
{
    while (op->calls == 0) {
        (void)epio_loop_poll(one->f->loop, EPIO_FOREVER, 0);
    }
}

static void held_fixture_teardown(held_fixture *one)
{
    epio_op op = {0};
    check(one->sync.calls == 1 && one->unmap.calls == 1);
    check_result(one->unmap.result, 0);
    check_result(epio_wait(epio_close(&op, one->file)), 0);
    epio_vfs_destroy(one->fault);
}

static void unmapped_in_flight(fixture *f)
{
    held_fixture one;
    epio_op op = {0};
    held_fixture_setup(&one, f);
    check_result(epio_perform(epio_unmap(&op, one.mapping)), EPIO_EBUSY);
    memcpy(epio_mapping_address(one.mapping), "abc", 3); /* it is still there */
    epio_submit(epio_unmap(track(&one.unmap), one.mapping));
    epio_cancel(&one.unmap.op);
    fixture_settle(f);
    check(one.unmap.calls == 0 && one.sync.calls == 0);
    check(fault_vfs_arrived(one.fault, EPIO_KIND_UNMAP) == 0);
    fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
    run_until(&one, &one.unmap);
    check_result(one.sync.result, 0);
    held_fixture_teardown(&one);
    check_content(f, "file", "abc3456789", 10);
}

static void a_cancelled_sync_lets_it_go(fixture *f)
{
    held_fixture one;
    held_fixture_setup(&one, f);
    epio_submit(epio_unmap(track(&one.unmap), one.mapping));
    epio_cancel(&one.sync.op);
    run_until(&one, &one.unmap);
    check_result(one.sync.result, EPIO_ECANCELED);
    held_fixture_teardown(&one);
}

static void a_late_sync_lets_it_go(fixture *f)
{
    held_fixture one;
    tracked late;
    held_fixture_setup(&one, f);
    track(&late)->timeout_ns = MILLISECOND;
    epio_submit(epio_sync_mapping(&late.op, one.mapping, 0, 0));
    track(&one.unmap)->timeout_ns = 1; /* it has no deadline */
    epio_submit(epio_unmap(&one.unmap.op, one.mapping));
    run_until(&one, &late);
    check_result(late.result, EPIO_ETIMEDOUT);
    check(one.unmap.calls == 0);
    fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
    run_until(&one, &one.unmap);
    check_result(one.sync.result, 0);
    held_fixture_teardown(&one);
}

/* Linked ops count as submitted with their first, whatever these wait for. */
static void linked_syncs_come_before_it(fixture *f)
{
    held_fixture one;
    tracked sleep;
    tracked linked;
    held_fixture_setup(&one, f);
    fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
    (void)epio_sleep(track(&sleep), f->vfs, MILLISECOND);
    (void)epio_sync_mapping(track(&linked), one.mapping, 0, 0);
    epio_submit(epio_link(&sleep.op, &linked.op, 0));
    epio_submit(epio_unmap(track(&one.unmap), one.mapping));
    run_until(&one, &one.unmap);
    check(sleep.calls == 1 && linked.calls == 1);
    check_result(linked.result, 0);
    held_fixture_teardown(&one);
}

static void chains_end_with_it(fixture *f)
{
    held_fixture one;
    tracked linked;
    held_fixture_setup(&one, f);
    fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
    (void)epio_sync_mapping(track(&linked), one.mapping, 0, 0);
    (void)epio_unmap(track(&one.unmap), one.mapping);
    epio_submit(epio_link(&linked.op, &one.unmap.op, 0));
    run_until(&one, &one.unmap);
    check_result(linked.result, 0);
    held_fixture_teardown(&one);
}

static void cancelled_maps_map_nothing(fixture *f)
{
    held_fixture one;
    tracked maps[2];
    held_fixture_setup(&one, f);
    fault_vfs_hold(one.fault, EPIO_KIND_MAP);
    track(&maps[1])->timeout_ns = MILLISECOND;
    epio_submit(epio_map(track(&maps[0]), one.file, 0, 10, SHARED));
    epio_submit(epio_map(&maps[1].op, one.file, 0, 10, SHARED));
    epio_cancel(&maps[0].op);
    run_until(&one, &maps[0]);
    run_until(&one, &maps[1]);
    check_result(maps[0].result, EPIO_ECANCELED);
    check_result(maps[1].result, EPIO_ETIMEDOUT);
    check(epio_op_mapping(&maps[0].op) == NULL && epio_op_mapping(&maps[1].op) == NULL);
    fault_vfs_release_all(one.fault, EPIO_KIND_MAP);
    fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
    epio_submit(epio_unmap(track(&one.unmap), one.mapping));
    run_until(&one, &one.unmap);
    held_fixture_teardown(&one);
}

/* A loop that is closed carries them out. */
static void closed_loops_unmap(fixture *f)
{
    (void)f;
    epio_loop *loop;
    epio_vfs *memory;
    epio_op op = {0};
    tracked unmap;
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_memory_vfs_create(&memory, loop), 0);
    check_result(epio_wait(epio_open(&op, memory, "/file", READ_WRITE | EPIO_OPEN_CREATE)), 0);
    epio_file *file = op.file;
    check_result(epio_wait(epio_truncate(&op, file, 10)), 0);
    check_result(epio_wait(epio_map(&op, file, 0, 10, SHARED)), 0);
    epio_mapping *mapping = epio_op_mapping(&op);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_submit(epio_unmap(track(&unmap), mapping));
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check(unmap.calls == 1);
    check_result(unmap.result, 0);
    epio_vfs_destroy(memory);
    epio_loop_destroy(loop);
}

/* ---- From another thread -------------------------------------------------- */

typedef struct elsewhere {
    epio_file *file;
    epio_mapping *mapping;
    epio_op sync;
    epio_op unmap;
} elsewhere;

static void *use_elsewhere(void *argument)
{
    elsewhere *one = argument;
    epio_op op = {0};
    require(epio_wait(epio_map(&op, one->file, 0, LEN, SHARED)) == 0);
    one->mapping = epio_op_mapping(&op);
    memset(epio_mapping_address(one->mapping), 'x', LEN);
    epio_submit(epio_sync_mapping(&one->sync, one->mapping, 0, 0));
    epio_submit(epio_unmap(&one->unmap, one->mapping));
    require(epio_wait(&one->unmap) == 0);
    require(epio_wait(&one->sync) == 0);
    epio_loop_wake(one->file->vfs->loop);
    return NULL;
}

static void used_from_another_thread(fixture *f)
{
    elsewhere one;
    test_thread thread;
    memset(&one, 0, sizeof one);
    one.file = create_full(f);
    thread_start(&thread, use_elsewhere, &one);
    while (!thread_try_join(thread)) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    unsigned char found;
    fixture_read(f, one.file, &found, 1, LEN - 1);
    check(found == 'x');
    fixture_close(f, one.file);
}

/* ---- Failures ------------------------------------------------------------- */

static void a_failed_sync_sticks_to_the_file(fixture *f)
{
    held_fixture one;
    epio_op op = {0};
    held_fixture_setup(&one, f);
    fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
    check_result(epio_wait(epio_map(&op, one.file, 2, 2, SHARED)), 0);
    epio_mapping *other = epio_op_mapping(&op);
    fault_vfs_fail(one.fault, EPIO_KIND_SYNC_MAPPING, 0, 1, EPIO_ENOSPC, 1234);
    check_result(epio_wait(epio_sync_mapping(&op, one.mapping, 0, 0)), EPIO_ENOSPC);
    check(op.os_error == 1234);
    check_op_fails(f, epio_sync_mapping(&op, one.mapping, 0, 0), EPIO_EIO, 1234);
    check_op_fails(f, epio_sync_mapping(&op, other, 0, 1), EPIO_EIO, 1234);
    check_op_fails(f, epio_sync(&op, one.file, EPIO_SYNC_FULL), EPIO_EIO, 1234);
    check_op_fails(f, epio_write(&op, one.file, "abc", 3, 0), EPIO_EIO, 1234);
    check_result(epio_perform(epio_sync(&op, one.file, EPIO_SYNC_FULL)), EPIO_EIO);
    check_result(epio_perform(epio_write(&op, one.file, "abc", 3, 0)), EPIO_EIO);
    check(op.os_error == 1234);

    check_result(epio_wait(epio_close(&op, one.file)), 0);
    check_op_fails(f, epio_sync_mapping(&op, one.mapping, 0, 0), EPIO_EIO, 1234);
    check_result(epio_wait(epio_open(&op, one.fault, fixture_path(f, "file"), READ_WRITE)), 0);
    one.file = op.file;
    check_result(epio_wait(epio_write(&op, one.file, "abc", 3, 0)), 3);
    check_result(epio_wait(epio_sync(&op, one.file, EPIO_SYNC_FULL)), 0);
    check_result(epio_wait(epio_unmap(&op, other)), 0);
    epio_submit(epio_unmap(track(&one.unmap), one.mapping));
    run_until(&one, &one.unmap);
    held_fixture_teardown(&one);
}

static void a_failed_flush_sticks_to_mappings(fixture *f)
{
    for (int i = 0; i < 2; i++) {
        held_fixture one;
        epio_op op = {0};
        held_fixture_setup(&one, f);
        fault_vfs_release_all(one.fault, EPIO_KIND_SYNC_MAPPING);
        fault_vfs_fail(one.fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, 77);
        check_result(i == 0 ? epio_wait(epio_sync(&op, one.file, EPIO_SYNC_FULL))
                            : epio_perform(epio_sync(&op, one.file, EPIO_SYNC_FULL)),
                     EPIO_EIO);
        check_op_fails(f, epio_sync_mapping(&op, one.mapping, 0, 0), EPIO_EIO, 77);
        check_result(epio_wait(epio_map(&op, one.file, 0, 5, SHARED)), 0);
        epio_mapping *later = epio_op_mapping(&op);
        check_op_fails(f, epio_sync_mapping(&op, later, 0, 0), EPIO_EIO, 77);
        check_result(epio_perform(epio_sync_mapping(&op, later, 0, 0)), EPIO_EIO);
        check_result(epio_wait(epio_unmap(&op, later)), 0);
        epio_submit(epio_unmap(track(&one.unmap), one.mapping));
        run_until(&one, &one.unmap);
        held_fixture_teardown(&one);
    }
}

/* The file had none when its flush failed. */
static void a_failed_flush_sticks_to_later_mappings(fixture *f)
{
    epio_op op = {0};
    epio_vfs *fault;
    check_result(fault_vfs_create(&fault, f->vfs), 0);
    fixture_put(f, "file", "0123456789", 10);
    check_result(epio_wait(epio_open(&op, fault, fixture_path(f, "file"), READ_WRITE)), 0);
    epio_file *file = op.file;
    fault_vfs_fail(fault, EPIO_KIND_SYNC, 0, 1, EPIO_EIO, 77);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), EPIO_EIO);
    check_result(epio_wait(epio_map(&op, file, 0, 5, SHARED)), 0);
    epio_mapping *mapping = epio_op_mapping(&op);
    check_op_fails(f, epio_sync_mapping(&op, mapping, 0, 0), EPIO_EIO, 77);
    check_result(epio_wait(epio_unmap(&op, mapping)), 0);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_vfs_destroy(fault);
}

#endif

/* ---- Layers --------------------------------------------------------------- */

typedef struct seen {
    epio_vfs *layer;
    unsigned before[EPIO_KIND_COUNT];
    unsigned after[EPIO_KIND_COUNT];
    int refuses;
} seen;

static int before(void *user, epio_op *op, void *state)
{
    seen *one = user;
    (void)state;
    check(op->vfs == one->layer);
    one->before[op->kind]++;
    return one->refuses;
}

static void after(void *user, epio_op *op, void *state)
{
    seen *one = user;
    (void)state;
    check(op->vfs == one->layer);
    one->after[op->kind]++;
    if (op->kind == EPIO_KIND_MAP && op->result == 0) {
        check(op->arguments.map.mapping->vfs == one->layer);
    }
}

static const epio_layer_methods seen_methods = {
    .size = sizeof(epio_layer_methods),
    .name = "seen",
    .before = before,
    .after = after,
};

static void layers_see_mappings(fixture *f)
{
    seen layers[2];
    epio_op op = {0};
    epio_vfs *vfs = f->vfs;
    memset(layers, 0, sizeof layers);
    fixture_put(f, "file", "0123456789", 10);
    for (size_t i = 0; i < 2; i++) {
        check_result(epio_layer_vfs_create(&layers[i].layer, vfs, &seen_methods, &layers[i]), 0);
        vfs = layers[i].layer;
    }
    check_op(f, epio_open(&op, vfs, fixture_path(f, "file"), READ_WRITE), 0);
    epio_file *file = op.file;
    check_op(f, epio_map(&op, file, 0, 11, SHARED), EPIO_EINVAL);
    epio_mapping *mapping = fixture_map(f, file, 1, 9, SHARED);
    check(memcmp(mapped_bytes(mapping), "123456789", 9) == 0);
    sync_mapping(f, mapping);
    fixture_close(f, file);
    sync_mapping(f, mapping);
    layers[1].refuses = EPIO_EACCES;
    check_op(f, epio_sync_mapping(&op, mapping, 0, 0), EPIO_EACCES);
    fixture_unmap(f, mapping);
    for (size_t i = 0; i < 2; i++) {
        check(layers[i].before[EPIO_KIND_MAP] == 2 && layers[i].after[EPIO_KIND_MAP] == 2);
        check(layers[i].before[EPIO_KIND_SYNC_MAPPING] == 2 + i);
        check(layers[i].after[EPIO_KIND_SYNC_MAPPING] == 2);
        check(layers[i].before[EPIO_KIND_UNMAP] == 1 && layers[i].after[EPIO_KIND_UNMAP] == 1);
    }
    epio_vfs_destroy(layers[1].layer);
    epio_vfs_destroy(layers[0].layer);
}

static void layers_refuse_to_map(fixture *f)
{
    seen one = {NULL, {0}, {0}, 0};
    epio_op op = {0};
    fixture_put(f, "file", "0123456789", 10);
    check_result(epio_layer_vfs_create(&one.layer, f->vfs, &seen_methods, &one), 0);
    check_op(f, epio_open(&op, one.layer, fixture_path(f, "file"), READ_WRITE), 0);
    epio_file *file = op.file;
    one.refuses = EPIO_ENOTSUP;
    check_op(f, epio_map(&op, file, 0, 5, SHARED), EPIO_ENOTSUP);
    check(epio_op_mapping(&op) == NULL);
    one.refuses = 0;
    fixture_unmap(f, fixture_map(f, file, 0, 5, SHARED));
    fixture_close(f, file);
    epio_vfs_destroy(one.layer);
}

static void traces_count_mappings(fixture *f)
{
    epio_vfs *trace;
    epio_op op = {0};
    epio_trace_counts counts = {.size = sizeof counts};
    fixture_put(f, "file", "0123456789", 10);
    check_result(epio_trace_vfs_create(&trace, f->vfs), 0);
    check_op(f, epio_open(&op, trace, fixture_path(f, "file"), READ_WRITE), 0);
    epio_file *file = op.file;
    check_op(f, epio_map(&op, file, 0, 20, SHARED), EPIO_EINVAL);
    for (int i = 0; i < 3; i++) {
        epio_mapping *mapping = fixture_map(f, file, 0, 5, SHARED);
        sync_mapping(f, mapping);
        fixture_unmap(f, mapping);
    }
    fixture_close(f, file);
    check_result(epio_trace_read(trace, EPIO_KIND_MAP, &counts), 0);
    check(counts.count == 4 && counts.failed == 1);
    check_result(epio_trace_read(trace, EPIO_KIND_SYNC_MAPPING, &counts), 0);
    check(counts.count == 3 && counts.failed == 0);
    check_result(epio_trace_read(trace, EPIO_KIND_UNMAP, &counts), 0);
    check(counts.count == 3 && counts.failed == 0);
    epio_vfs_destroy(trace);
}

/* ---- Many ----------------------------------------------------------------- */

static void many_mappings_are_made(fixture *f)
{
    enum { MOST = 3000, PIECE = 4096 };
    static epio_mapping *mappings[MOST];
    epio_op op = {0};
    size_t count = fixture_is_slow() ? MOST / 10 : MOST;
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_truncate(&op, file, (uint64_t)count * PIECE), 0);
    for (size_t i = 0; i < count; i++) {
        mappings[i] = fixture_map(f, file, (uint64_t)i * PIECE, PIECE, SHARED);
        memset(mapped_bytes(mappings[i]), (int)(i % 251), PIECE);
    }
    for (size_t i = 0; i < count; i++) {
        fixture_unmap(f, mappings[(i * 7) % count]);
    }
    epio_mapping *whole = fixture_map(f, file, 0, (uint64_t)count * PIECE, EPIO_MAP_READ);
    for (size_t i = 0; i < count; i++) {
        check_bytes(mapped_bytes(whole) + i * PIECE, (unsigned char)(i % 251), PIECE);
    }
    fixture_unmap(f, whole);
    fixture_close(f, file);
}

/* ---- As SQLite's wal-index ------------------------------------------------ */

#define REGION 32768u

/* A connection has its own file, and maps a region when it first needs it; the file becomes longer
 * for whoever comes first. */
typedef struct connection {
    epio_file *file;
    epio_mapping *regions[8];
} connection;

static unsigned char *region_of(fixture *f, connection *one, size_t number)
{
    if (one->regions[number] == NULL) {
        epio_op op = {0};
        uint64_t needed = (number + 1) * (uint64_t)REGION;
        if ((uint64_t)fixture_result(f, epio_size(&op, one->file)) < needed) {
            check_op(f, epio_truncate(&op, one->file, needed), 0);
        }
        one->regions[number] = fixture_map(f, one->file, number * (uint64_t)REGION, REGION, SHARED);
    }
    return mapped_bytes(one->regions[number]);
}

static void connection_end(fixture *f, connection *one)
{
    for (size_t i = 0; i < 8; i++) {
        if (one->regions[i] != NULL) {
            fixture_unmap(f, one->regions[i]);
        }
    }
    fixture_close(f, one->file);
}

static void a_wal_index_is_shared(fixture *f)
{
    enum { CONNECTIONS = 5 };
    static const size_t order[] = {0, 1, 3, 2, 7, 4, 5, 6};
    epio_op op = {0};
    connection all[CONNECTIONS];
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        all[i].file = fixture_open(f, "shm", READ_WRITE | EPIO_OPEN_CREATE);
    }
    for (size_t i = 0; i < 8; i++) {
        connection *writer = &all[i % CONNECTIONS];
        memset(region_of(f, writer, order[i]), (int)(1 + order[i]), REGION);
        region_of(f, writer, 0)[i] = (unsigned char)(0x80 + i);
        for (size_t reader = 0; reader < CONNECTIONS; reader++) {
            for (size_t known = 0; known <= i; known++) {
                const unsigned char *found = region_of(f, &all[reader], order[known]);
                check_bytes(found + 100, (unsigned char)(1 + order[known]), REGION - 100);
                check(region_of(f, &all[reader], 0)[known] == 0x80 + known);
            }
        }
    }
    connection_end(f, &all[0]);
    all[0] = (connection){.file = fixture_open(f, "shm", READ_WRITE)};
    check(region_of(f, &all[0], 0)[7] == 0x87 && region_of(f, &all[4], 7)[200] == 8);
    int64_t deleted = fixture_result(f, epio_delete(&op, f->vfs, fixture_path(f, "shm"), 0));
    check(deleted == 0 || (!SYSTEM_IS_POSIX && !f->memory));
    region_of(f, &all[0], 0)[7] = 5;
    check(region_of(f, &all[4], 0)[7] == 5);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        connection_end(f, &all[i]);
    }
}

/* ---- Another process ------------------------------------------------------ */

/* Adds 1 to each byte when told to go on by a byte in the last place. */
static void increment(const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_map(&op, file, 0, LEN, SHARED)), 0);
    epio_mapping *mapping = epio_op_mapping(&op);
    check_result(epio_perform(epio_close(&op, file)), 0);
    char byte = 'm';
    check_result(pipe_write(process_output(), &byte, 1), 1);
    while (pipe_read(process_input(), &byte, 1) == 1) {
        for (size_t i = 0; i < LEN; i++) {
            mapped_bytes(mapping)[i]++;
        }
        check_result(pipe_write(process_output(), &byte, 1), 1);
    }
    check_result(epio_perform(epio_unmap(&op, mapping)), 0);
}

static void shared_with_another_process(fixture *f)
{
    child other;
    char byte;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_truncate(&op, file, LEN), 0);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    child_start(&other, increment, fixture_path(f, "file"), CHILD_PIPES);
    check_result(pipe_read(other.from, &byte, 1), 1);
    for (unsigned char i = 0; i < 10; i++) {
        memset(mapped_bytes(mapping), 10 * i, LEN);
        check_result(pipe_write(other.to, "x", 1), 1);
        check_result(pipe_read(other.from, &byte, 1), 1);
        check_bytes(mapped_bytes(mapping), (unsigned char)(10 * i + 1), LEN);
    }
    check_result(child_end(&other), 0);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
}

int main(int argc, char **argv)
{
    static const child_function functions[] = {CHILD(increment)};
    CHILDREN_ARE(functions, argc, argv);
    static const fixture_test tests[] = {
        FIXTURE_TEST(any_range_is_mapped, ON_ANY),
        FIXTURE_TEST(what_is_stored_is_the_files, ON_ANY),
        FIXTURE_TEST(what_is_stored_privately_is_not, ON_ANY),
        FIXTURE_TEST(a_file_of_holes_is_zeros, ON_ANY),
        FIXTURE_TEST(wrong_arguments_are_refused, ON_ANY),
        FIXTURE_TEST(directories_and_empty_files_are_refused, ON_ANY),
        FIXTURE_TEST(streams_are_refused, ON_ANY_OS),
        FIXTURE_TEST(more_than_memory_is_no_memory, ON_OS_ONCE | ON_MEMORY_PERFORM),
        FIXTURE_TEST(appending_files_are_mapped, ON_ANY),
        FIXTURE_TEST(direct_files_are_mapped, ON_ANY),
        FIXTURE_TEST(a_mapping_outlives_its_file, ON_ANY),
        FIXTURE_TEST(a_mapping_outlives_its_name, ON_ANY),
        FIXTURE_TEST(longer_files_are_mapped_again, ON_ANY),
        FIXTURE_TEST(syncs_reach_every_part, ON_ANY),
        FIXTURE_TEST(layers_see_mappings, ON_ANY),
        FIXTURE_TEST(layers_refuse_to_map, ON_ANY),
        FIXTURE_TEST(traces_count_mappings, ON_ANY),
        FIXTURE_TEST(many_mappings_are_made, ON_OS_ONCE | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_wal_index_is_shared, ON_ANY),
        FIXTURE_TEST(shared_with_another_process, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(an_unmap_waits_for_syncs, ON_ANY_LOOP),
        FIXTURE_TEST(unmapped_in_flight, ON_ANY_LOOP),
        FIXTURE_TEST(a_cancelled_sync_lets_it_go, ON_ANY_LOOP),
        FIXTURE_TEST(a_late_sync_lets_it_go, ON_ANY_LOOP),
        FIXTURE_TEST(linked_syncs_come_before_it, ON_ANY_LOOP),
        FIXTURE_TEST(chains_end_with_it, ON_ANY_LOOP),
        FIXTURE_TEST(cancelled_maps_map_nothing, ON_ANY_LOOP),
        FIXTURE_TEST(closed_loops_unmap, ON_OS),
        FIXTURE_TEST(used_from_another_thread, ON_ANY_LOOP),
        FIXTURE_TEST(a_failed_sync_sticks_to_the_file, ON_ANY_LOOP),
        FIXTURE_TEST(a_failed_flush_sticks_to_mappings, ON_ANY_LOOP),
        FIXTURE_TEST(a_failed_flush_sticks_to_later_mappings, ON_ANY_LOOP),
#endif
    };
    return FIXTURE_RUN("mapping", tests);
}
