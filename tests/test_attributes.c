/* Extended attributes, of paths and of files, and what a file system says of itself. */
#include "tree.h"

#if defined(__linux__)
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#endif

/* ---- Extended attributes ---- */

static void attributes_are_kept(fixture *f)
{
    epio_op op = {0};
    char value[16];
    char names[64];
    epio_file *file = fixture_create(f, "file");
    const char *path = fixture_path(f, "file");
    if (fixture_result(f, epio_file_set_xattr(&op, file, "user.one", "1", 1, 0)) == EPIO_ENOTSUP) {
        fixture_close(f, file);
        fixture_skip(f, "the file system has no extended attributes");
    }
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.two", "22", 2, EPIO_XATTR_CREATE), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.two", "3", 1, EPIO_XATTR_CREATE),
             EPIO_EEXIST);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.no", "3", 1, EPIO_XATTR_REPLACE),
             EPIO_ENODATA);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", NULL, 0, 0), 2);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 1, 0), EPIO_ERANGE);
    memset(value, '#', sizeof value);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 2, 0), 2);
    check(memcmp(value, "22#", 3) == 0);
    memset(value, '#', sizeof value);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, sizeof value, 0), 2);
    check(memcmp(value, "22#", 3) == 0); /* what is behind the value stays */
    check_op(f, epio_file_get_xattr(&op, file, "user.one", value, sizeof value), 1);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.no", value, sizeof value, 0), EPIO_ENODATA);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), 18);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 18);
    names[18] = '-';
    check_op(f, epio_list_xattrs(&op, f->vfs, path, names, sizeof names, 0), 18);
    check(names[18] == '-');
    check(strcmp(names, "user.one") == 0 || strcmp(names, "user.two") == 0);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, names, 17, 0), EPIO_ERANGE);
    check_op(f, epio_remove_xattr(&op, f->vfs, path, "user.one", 0), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), EPIO_ENODATA);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "nonsense", value, sizeof value, 0),
             IS_POSIX_TREE(f) ? EPIO_ENOTSUP : EPIO_ENODATA);
    check_op(f, epio_list_xattrs(&op, f->vfs, fixture_path(f, "missing"), NULL, 0, 0), EPIO_ENOENT);
    fixture_close(f, file);
}

/* ---- File systems ---- */

#if defined(__linux__)

/* FICLONE of linux/fs.h. */
#define CLONE _IOW(0x94, 9, int)

/* Whether a copy can share bytes, by trying: both files are there. */
static bool can_clone(fixture *f, const char *from, const char *to)
{
    int one = open(fixture_path(f, from), O_RDONLY | O_CLOEXEC);
    int other = open(fixture_path(f, to), O_WRONLY | O_CLOEXEC);
    check(one >= 0 && other >= 0);
    bool cloned = ioctl(other, CLONE, one) == 0;
    check(close(one) == 0 && close(other) == 0);
    return cloned;
}

#endif

static void check_traits(fixture *f, const epio_file_system *info)
{
    bool is_xfs = strcmp(info->type, "xfs") == 0;
    bool must_know = is_xfs || strcmp(info->type, "btrfs") == 0 ||
                     strcmp(info->type, "ext4") == 0 || strcmp(info->type, "tmpfs") == 0;
    bool knows = (info->known & EPIO_FS_REFLINKS) != 0;
    check(knows || !must_know);
#if defined(__linux__)
    bool says = (info->traits & EPIO_FS_REFLINKS) != 0;
    check(!knows || says == (!f->memory && can_clone(f, "file", "other")));
#endif
    check(!is_xfs || (info->known & EPIO_FS_CASE_SENSITIVE) != 0);
    if ((info->known & EPIO_FS_CASE_SENSITIVE) != 0) {
        bool sensitive = (info->traits & EPIO_FS_CASE_SENSITIVE) != 0;
        check(fixture_exists(f, "FILE") == (sensitive ? 0 : 1));
    }
}

static void a_file_system_is_described(fixture *f)
{
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    fixture_put(f, "file", "x", 1);
    fixture_put(f, "other", "y", 1);
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "."), &info), 0);
    check_traits(f, &info);
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "file"), &info), 0);
    check_traits(f, &info);
    check((info.bytes != 0) == !f->memory);
    check(info.free <= info.bytes && info.available <= info.free);
    check(info.block_size >= 512 && info.longest_name >= 255);
    check((info.known & EPIO_FS_READ_ONLY) != 0 && (info.traits & EPIO_FS_READ_ONLY) == 0);
    check((info.traits & ~info.known) == 0);
    if (f->memory) {
        check_result(info.traits, EPIO_FS_MEMORY | EPIO_FS_CASE_SENSITIVE);
        assert_string_equal(info.type, "memory");
    }
    check_op(f, epio_file_system_info(&op, f->vfs, fixture_path(f, "missing"), &info), EPIO_ENOENT);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(attributes_are_kept,
                     ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS | ON_MEMORIES),
        FIXTURE_TEST(a_file_system_is_described, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_MEMORIES),
    };
    return FIXTURE_RUN("attributes", tests);
}
