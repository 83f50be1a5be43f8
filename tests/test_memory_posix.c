/* The memory VFS runs out of memory: only POSIX can limit that of a process that
 * runs (RLIMIT_AS). The rest is in test_memory.c. Serves a library without loops too:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"

#include <sys/resource.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)

#define KIB ((size_t)1024)

#define MIB (1024 * KIB)

static epio_file *open_path(fixture *f, const char *path, uint32_t flags)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, path, flags), 0);
    check(op.file != NULL);
    return op.file;
}

static void put_text(fixture *f, const char *path, const char *text)
{
    epio_file *file = open_path(f, path, CREATE | EPIO_OPEN_TRUNCATE);
    fixture_write(f, file, text, strlen(text), 0);
    fixture_close(f, file);
}

static void file_holds(fixture *f, epio_file *file, const char *text)
{
    char found[64];
    epio_op op = {0};
    check_op(f, epio_read(&op, file, found, sizeof found, 0), strlen(text));
    assert_memory_equal(found, text, strlen(text));
}

static void path_holds(fixture *f, const char *path, const char *text)
{
    epio_file *file = open_path(f, path, EPIO_OPEN_READ);
    file_holds(f, file, text);
    fixture_close(f, file);
}

static void fill_the_memory(void *argument)
{
    static char bytes[MIB];
    struct rlimit limit = {512 * MIB, 512 * MIB};
    fixture *f = argument;
    epio_op op = {0};
    uint64_t written = 0;
    char last = 0;
    memset(bytes, 'x', sizeof bytes);
    put_text(f, "small", "still here");
    epio_file *file = open_path(f, "large", CREATE);
    check(setrlimit(RLIMIT_AS, &limit) == 0);
    while (fixture_result(f, epio_write(&op, file, bytes, sizeof bytes, written)) >= 0) {
        written += sizeof bytes;
        check(written < 1024 * MIB);
    }
    check_result(op.result, EPIO_ENOSPC);
    fixture_read(f, file, &last, 1, written - 1);
    check(last == 'x');
    check_op(f, epio_truncate(&op, file, 1), 0);
    fixture_write(f, file, bytes, sizeof bytes, 1);
    fixture_close(f, file);
    path_holds(f, "small", "still here");
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
    };
    return FIXTURE_RUN("memory, POSIX", tests);
}
