/* The memory VFS out of memory: only POSIX can limit that of a running process (RLIMIT_AS). The
 * rest is in test_memory.c and test_memory_space.c. Also without loops: EPIO_TEST_WITHOUT_LOOP; no
 * loop: EPIO_TEST_ONCE. */
#include "fork.h"

#include <sys/resource.h>

#define MIB ((size_t)1024 * 1024)

static void fill_the_memory(void *argument)
{
    static char bytes[MIB];
    static char value[40000];
    struct rlimit limit = {512 * MIB, 512 * MIB};
    fixture *f = argument;
    epio_op op = {0};
    uint64_t written = 0;
    char last = 0;
    memset(bytes, 'x', sizeof bytes);
    fixture_put(f, "small", "still here", 10);
    epio_file *file = fixture_create(f, "large");
    memset(value, 'v', sizeof value);
    check_op(f, epio_file_set_xattr(&op, file, "user.x", value, sizeof value, 0), 0);
    check(setrlimit(RLIMIT_AS, &limit) == 0);
    while (fixture_result(f, epio_write(&op, file, bytes, sizeof bytes, written)) >= 0) {
        written += sizeof bytes;
        check(written < 1024 * MIB);
    }
    check_result(op.result, EPIO_ENOSPC);
    /* Allocators keep some room for sizes that were not asked for yet. */
    for (int i = 0; i < 10000 && op.result != EPIO_ENOMEM; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "user.%d", i);
        fixture_result(f, epio_file_set_xattr(&op, file, name, bytes, 60000, 0));
    }
    check_op(f, epio_file_set_xattr(&op, file, "user.x", bytes, 60000, 0), EPIO_ENOMEM);
    check_op(f, epio_file_get_xattr(&op, file, "user.x", value, sizeof value), sizeof value);
    check_bytes(value, 'v', sizeof value);
    fixture_read(f, file, &last, 1, written - 1);
    check(last == 'x');
    check_op(f, epio_truncate(&op, file, 1), 0);
    fixture_write(f, file, bytes, sizeof bytes, 1);
    fixture_close(f, file);
    check_content(f, "small", "still here", 10);
}

/* What fails takes nothing, and leaves the file as it was. */
static void append_and_allocate(void *argument)
{
    static char bytes[48 * MIB];
    struct rlimit limit = {512 * MIB, 512 * MIB};
    fixture *f = argument;
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    char last = 0;
    memset(bytes, 'x', sizeof bytes);
    epio_file *file = fixture_create(f, "large");
    check_op(f, epio_append(&op, file, "abc", 3), 0);
    check(setrlimit(RLIMIT_AS, &limit) == 0);
    check_op(f, epio_allocate(&op, file, 0, 1024 * MIB, 0), EPIO_ENOSPC); /* inconceivable */
    check_op(f, epio_allocate(&op, file, 0, 200 * MIB, EPIO_SPACE_KEEP_SIZE), 0);
    for (uint64_t more = 600; more > 200; more -= 20) { /* with one that begins, and fails */
        if (fixture_result(f, epio_allocate(&op, file, 0, more * MIB, 0)) < 0) {
            check_result(op.result, EPIO_ENOSPC);
            check_op(f, epio_file_stat(&op, file, &info), 0);
            check(info.bytes == 3 && info.allocated == 200 * MIB);
        } else {
            check(more < 512);
            break;
        }
    }
    check_op(f, epio_truncate(&op, file, 3), 0);
    uint64_t size = 3;
    while (fixture_result(f, epio_append(&op, file, bytes, sizeof bytes)) >= 0) {
        check_result(op.result, size);
        size += sizeof bytes;
        check(size < 1024 * MIB);
    }
    check_result(op.result, EPIO_ENOSPC);
    check_op(f, epio_size(&op, file), size);
    fixture_read(f, file, &last, 1, size - 1);
    check(last == 'x');
    check_op(f, epio_punch_hole(&op, file, 3, size), 0);
    check_op(f, epio_append(&op, file, bytes, sizeof bytes), size);
    fixture_close(f, file);
}

static void space_that_is_not_there_is_refused(fixture *f)
{
    if (fixture_is_watched()) {
        fixture_skip(f, "this limits the memory of the process");
    }
    check_result(run_in_fork(append_and_allocate, f), 0);
}

static void out_of_memory_loses_nothing(fixture *f)
{
    if (fixture_is_watched()) {
        fixture_skip(f, "this limits the memory of the process");
    }
    check_result(run_in_fork(fill_the_memory, f), 0);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(out_of_memory_loses_nothing, ON_MEMORY_PERFORM),
        FIXTURE_TEST(space_that_is_not_there_is_refused, ON_MEMORY_PERFORM),
    };
    return FIXTURE_RUN("memory, POSIX", tests);
}
