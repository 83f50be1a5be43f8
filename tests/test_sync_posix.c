/* The sync of a write beyond RLIMIT_FSIZE, which only POSIX has. The rest is in
 * test_sync.c. */
#include "support.h"

#include <errno.h>
#include <sys/resource.h>

static void a_write_beyond_the_limit_fails_its_sync(fixture *f)
{
    struct rlimit before;
    epio_op ops[3] = {{0}};
    epio_file *file = fixture_create(f, "data");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {1000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    epio_submit(epio_write(&ops[0], file, "abc", 3, 0));
    epio_submit(epio_write(&ops[1], file, "abc", 3, 2000));
    int64_t synced = epio_wait(epio_sync(&ops[2], file, EPIO_SYNC_FULL));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    check_result(synced, EPIO_EFBIG);
    assert_int_equal(ops[2].os_error, EFBIG);
    check_result(ops[0].result, 3);
    check_result(ops[1].result, EPIO_EFBIG);
    check_op(f, epio_sync(&ops[2], file, EPIO_SYNC_FULL), 0);
    fixture_write(f, file, "def", 3, 2000);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_write_beyond_the_limit_fails_its_sync, ON_OS | ON_LIMIT_OS | ON_LIMIT_OS_3),
    };
    return FIXTURE_RUN("sync, POSIX", tests);
}
