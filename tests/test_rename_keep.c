/* EPIO_RENAME_KEEP_METADATA on every VFS: what has it, and what is left untouched where there is
 * none. EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "support.h"

#define KEEP EPIO_RENAME_KEEP_METADATA

static bool is_kept(const fixture *f)
{
    return !f->memory && !SYSTEM_IS_POSIX;
}

static int64_t rename_keeping(fixture *f, const char *from, const char *to, uint32_t flags)
{
    epio_op op = {0};
    return fixture_result(
        f, epio_rename(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), KEEP | flags));
}

static void a_file_is_replaced_or_nothing_is_done(fixture *f)
{
    for (uint32_t flags = 0; flags <= EPIO_RENAME_SYNC_DIR; flags += EPIO_RENAME_SYNC_DIR) {
        fixture_put(f, "file", "old bytes", 9);
        fixture_put(f, "new", "new", 3);
        check_result(rename_keeping(f, "new", "file", flags), is_kept(f) ? 0 : EPIO_ENOTSUP);
        check_content(f, "file", is_kept(f) ? "new" : "old bytes", is_kept(f) ? 3 : 9);
        check_result(fixture_exists(f, "new"), is_kept(f) ? 0 : 1);
    }
}

static void what_is_not_there_is_an_error(fixture *f)
{
    fixture_put(f, "file", "x", 1);
    check_result(rename_keeping(f, "file", "none", 0), is_kept(f) ? EPIO_ENOENT : EPIO_ENOTSUP);
    check_result(rename_keeping(f, "none", "file", 0), is_kept(f) ? EPIO_ENOENT : EPIO_ENOTSUP);
    check_result(rename_keeping(f, "file", "file", EPIO_RENAME_NO_REPLACE), EPIO_EINVAL);
    check_content(f, "file", "x", 1);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_file_is_replaced_or_nothing_is_done, ON_ANY),
        FIXTURE_TEST(what_is_not_there_is_an_error, ON_ANY),
    };
    return FIXTURE_RUN("rename_keep", tests);
}
