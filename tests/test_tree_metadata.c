/* What files are beside their bytes, the same on the system and in memory: stat, times,
 * permissions, owners. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "tree.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define DIRECTORY (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)
#define SECOND INT64_C(1000000000)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Root may do anything, and only root gives files away. */
static bool is_root(fixture *f)
{
    return tree_stat(f, ".", 0).user == 0;
}

/* ---- Stat ---- */

static void check_described(const epio_info *info, uint32_t type, uint64_t links)
{
    const uint32_t usual = EPIO_INFO_MODE | EPIO_INFO_OWNER | EPIO_INFO_LINKS | EPIO_INFO_ID |
                           EPIO_INFO_BYTES | EPIO_INFO_ALLOCATED | EPIO_INFO_BLOCK_SIZE |
                           EPIO_INFO_MODIFIED | EPIO_INFO_CHANGED | EPIO_INFO_ACCESSED;
    check((info->known & usual) == usual);
    check_result(info->type, type);
    check_result((int64_t)info->links, (int64_t)links);
    check(info->id[0] != 0 && info->block_size >= 512);
    check(info->modified != 0 && info->changed >= info->modified);
}

static void stat_tells_what_files_are(fixture *f)
{
    fixture_put(f, "file", "abcde", 5);
    check_result(tree_symlink(f, "file", "link"), 0);
    check_result(tree_mkdir(f, "directory", EPIO_OPEN_PERMISSIONS(0750)), 0);
    epio_info file = tree_stat(f, "file", 0);
    check_described(&file, EPIO_TYPE_FILE, 1);
    check_result((int64_t)file.bytes, 5);
    check(file.allocated % 512 == 0);
    epio_info link = tree_stat(f, "link", EPIO_STAT_NOFOLLOW);
    check_described(&link, EPIO_TYPE_LINK, 1);
    check_result((int64_t)link.bytes, 4);
    epio_info followed = tree_stat(f, "link", 0);
    check_result((int64_t)followed.id[0], (int64_t)file.id[0]);
    check(link.id[0] != file.id[0] && link.device == file.device);
    epio_info directory = tree_stat(f, "directory", 0);
    check_result(directory.type, EPIO_TYPE_DIRECTORY);
    check_result(directory.mode, 0750);
    if (directory.links >= 2) { /* as on most file systems */
        check_described(&directory, EPIO_TYPE_DIRECTORY, 2);
        check_result(tree_mkdir(f, "directory/in", 0), 0);
        check_result((int64_t)tree_stat(f, "directory", 0).links, 3);
        check_result(tree_rename(f, "directory/in", "out", 0), 0);
        check_result((int64_t)tree_stat(f, "directory", 0).links, 2);
    }
}

static void stat_fails(fixture *f)
{
    epio_info info = {.size = sizeof info};
    char long_path[300];
    epio_op op = {0};
    memset(long_path, 'n', sizeof long_path);
    long_path[256] = '\0';
    fixture_put(f, "file", "", 0);
    check_result(tree_symlink(f, "loop", "loop"), 0);
    check_result(tree_try_stat(f, "missing", 0), EPIO_ENOENT);
    check_result(tree_try_stat(f, "no/missing", 0), EPIO_ENOENT);
    check_result(tree_try_stat(f, "file/", 0), EPIO_ENOTDIR);
    check_result(tree_try_stat(f, "file/below", 0), EPIO_ENOTDIR);
    check_result(tree_try_stat(f, "loop", 0), EPIO_ELOOP);
    check_result(tree_try_stat(f, "loop", EPIO_STAT_NOFOLLOW), 0);
    check_result(tree_try_stat(f, "loop/", EPIO_STAT_NOFOLLOW), EPIO_ELOOP);
    check_result(tree_try_stat(f, long_path, 0), EPIO_ENAMETOOLONG);
    check_result(tree_try_stat(f, "file", 2), EPIO_EINVAL);
    check_op(f, epio_stat(&op, f->vfs, NULL, &info, 0), EPIO_EINVAL);
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file"), NULL, 0), EPIO_EINVAL);
    info.size = 20;
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, "file"), &info, 0), EPIO_EINVAL);
}

static void an_open_file_describes_itself(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    uint64_t id = tree_stat(f, "file", 0).id[0];
    check_result(tree_rename(f, "file", "other", 0), 0);
    fixture_write(f, file, "abc", 3, 100000);
    epio_info info = tree_file_stat(f, file);
    check_described(&info, EPIO_TYPE_FILE, 1);
    check_result((int64_t)info.id[0], (int64_t)id);
    check_result((int64_t)info.bytes, 100003);
    if (f->memory) {
        check_result((int64_t)info.allocated, 16384);
        check_op(f, epio_truncate(&op, file, 0), 0);
        check_result((int64_t)tree_file_stat(f, file).allocated, 0);
    }
    check_result(tree_delete(f, "other"), 0);
    info = tree_file_stat(f, file);
    check_described(&info, EPIO_TYPE_FILE, 0);
    fixture_close(f, file);
}

/* What an op for a range of bytes left in it says nothing of a path. */
static void an_op_is_used_again(fixture *f)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_lock_range(&op, file, 0x5A5A5A5A, 1, EPIO_RANGE_SHARED, 0), 0);
    check_op(f, epio_file_stat(&op, file, &info), 0);
    check_described(&info, EPIO_TYPE_FILE, 1);
    check_op(f, epio_unlock_range(&op, file, 0x5A5A5A5A, 1), 0);
    check_op(f, epio_file_set_mode(&op, file, 0600), 0);
    fixture_close(f, file);
}

/* ---- Times ---- */

static int64_t set_times(fixture *f, const char *name, int64_t modified, int64_t accessed,
                         uint32_t flags)
{
    epio_times times = {sizeof times, modified, accessed, EPIO_TIME_KEEP};
    epio_op op = {0};
    return fixture_result(f, epio_set_times(&op, f->vfs, fixture_path(f, name), &times, flags));
}

static void times_are_set_and_kept(fixture *f)
{
    const int64_t one = 1000 * SECOND + 123456700;
    const int64_t two = -5 * SECOND + 100;
    epio_times times = {sizeof times, EPIO_TIME_KEEP, EPIO_TIME_KEEP, EPIO_TIME_KEEP};
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    check_result(tree_symlink(f, "file", "link"), 0);
    int64_t before = tree_stat(f, "file", 0).modified;
    check_result(set_times(f, "link", one, two, 0), 0);
    epio_info info = tree_stat(f, "file", 0);
    check(info.modified == one && info.accessed == two && info.changed >= before);
    check_result(set_times(f, "file", EPIO_TIME_KEEP, one, 0), 0);
    info = tree_stat(f, "file", 0);
    check(info.modified == one && info.accessed == one);
    check_result(set_times(f, "file", EPIO_TIME_NOW, EPIO_TIME_KEEP, 0), 0);
    info = tree_stat(f, "file", 0);
    check(info.modified >= before && info.modified < before + 1000 * SECOND);
    check(info.accessed == one);

    check_result(set_times(f, "link", two, two, EPIO_SET_NOFOLLOW), 0);
    check_result(tree_stat(f, "link", EPIO_STAT_NOFOLLOW).modified, two);
    check(tree_stat(f, "file", 0).modified != two);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    times.modified = two;
    check_op(f, epio_file_set_times(&op, file, &times), 0);
    check_result(tree_file_stat(f, file).modified, two);
    times.born = one;
    check_op(f, epio_file_set_times(&op, file, &times), EPIO_ENOTSUP);
    fixture_close(f, file);
    check_result(set_times(f, "missing", one, one, 0), EPIO_ENOENT);
    check_result(set_times(f, "missing", EPIO_TIME_KEEP, EPIO_TIME_KEEP, 0), EPIO_ENOENT);
    check_result(set_times(f, "link", EPIO_TIME_KEEP, EPIO_TIME_KEEP, 0), 0);
    check_result(tree_delete(f, "file"), 0);
    check_result(set_times(f, "link", EPIO_TIME_KEEP, EPIO_TIME_KEEP, EPIO_SET_NOFOLLOW), 0);
    check_result(set_times(f, "link", EPIO_TIME_KEEP, EPIO_TIME_KEEP, 0), EPIO_ENOENT);
    fixture_put(f, "file", "", 0);
    check_result(set_times(f, "file/x", one, one, 0), EPIO_ENOTDIR);
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "file"), NULL, 0), EPIO_EINVAL);
}

/* ---- Which ops change which times ---- */

static const char *const watched[] = {"file", "directory", ".", "other"};

static void write_some(fixture *f)
{
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_WRITE);
    fixture_write(f, file, "x", 1, 0);
    fixture_close(f, file);
}

static void write_nothing(fixture *f)
{
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_WRITE);
    fixture_write(f, file, "x", 0, 0);
    fixture_close(f, file);
}

static void truncate_to_the_same(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_WRITE);
    check_op(f, epio_truncate(&op, file, 3), 0);
    fixture_close(f, file);
}

static void open_truncating(fixture *f)
{
    check_result(tree_open(f, "file", EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE), 0);
}

static void read_all(fixture *f)
{
    check_content(f, "file", "abc", 3);
}

static void change_mode(fixture *f)
{
    check_result(tree_set_mode(f, "file", 0600), 0);
}

static void link_within(fixture *f)
{
    check_result(tree_link(f, "file", "directory/second"), 0);
}

static void create_within(fixture *f)
{
    fixture_put(f, "directory/new", "", 0);
}

static void open_what_is_there(fixture *f)
{
    check_result(tree_open(f, "file", CREATE), 0);
}

static void make_directory_within(fixture *f)
{
    check_result(tree_mkdir(f, "directory/new", 0), 0);
}

static void delete_within(fixture *f)
{
    check_result(tree_delete(f, "directory/in"), 0);
}

static void rename_away(fixture *f)
{
    check_result(tree_rename(f, "directory/in", "moved", 0), 0);
}

static void rename_to_itself(fixture *f)
{
    check_result(tree_rename(f, "directory/in", "directory/in", 0), 0);
}

static void rename_directory(fixture *f)
{
    check_result(tree_rename(f, "other", "directory/other", 0), 0);
    check_result(tree_rename(f, "directory/other", "other", 0), 0);
}

static const struct {
    void (*run)(fixture *f);
    const char *modified; /* for each of `watched` '1' if it is, else '0' */
} changes[] = {
    {write_some, "1000"},       {write_nothing, "0000"},      {truncate_to_the_same, "1000"},
    {open_truncating, "1000"},  {read_all, "0000"},           {change_mode, "0000"},
    {link_within, "0100"},      {create_within, "0100"},      {make_directory_within, "0100"},
    {delete_within, "0100"},    {rename_away, "0110"},        {rename_to_itself, "0000"},
    {rename_directory, "0110"}, {open_what_is_there, "0000"},
};

static void ops_modify_what_they_change(fixture *f)
{
    for (size_t i = 0; i < COUNT(changes); i++) {
        char name[16];
        char moved[32];
        fixture_put(f, "file", "abc", 3);
        check_result(tree_mkdir(f, "directory", 0), 0);
        check_result(tree_mkdir(f, "other", 0), 0);
        fixture_put(f, "directory/in", "in", 2);
        for (size_t j = 0; j < COUNT(watched); j++) {
            check_result(set_times(f, watched[j], SECOND, SECOND, 0), 0);
        }
        changes[i].run(f);
        for (size_t j = 0; j < COUNT(watched); j++) {
            bool modified = tree_stat(f, watched[j], 0).modified != SECOND;
            if (modified != (changes[i].modified[j] == '1')) {
                print_error("change %u, %s\n", (unsigned)i, watched[j]);
            }
            check(modified == (changes[i].modified[j] == '1'));
        }
        (void)snprintf(name, sizeof name, "after-%zu", i); /* out of the way */
        check_result(tree_mkdir(f, name, 0), 0);
        for (size_t j = 0; j < COUNT(watched); j++) {
            (void)snprintf(moved, sizeof moved, "%s/%s", name, watched[j]);
            check_result(tree_rename(f, watched[j], moved, 0), j == 2 ? EPIO_EBUSY : 0);
        }
    }
}

/* The system's clock for files may stand still for some milliseconds. */
static void let_time_pass(fixture *f)
{
    epio_op op = {0};
    check_op(f, epio_sleep(&op, f->vfs, 20000000), 20000000);
}

static void changed_is_of_bytes_and_metadata(fixture *f)
{
    fixture_put(f, "file", "abc", 3);
    check_result(tree_mkdir(f, "directory", 0), 0);
    int64_t before = tree_stat(f, "file", 0).changed;
    let_time_pass(f);
    check_content(f, "file", "abc", 3);
    check_result(tree_stat(f, "file", 0).changed, before);
    for (int i = 0; i < 4; i++) {
        let_time_pass(f);
        if (i == 0) {
            change_mode(f);
        } else if (i == 1) {
            link_within(f);
        } else if (i == 2) {
            check_result(set_times(f, "file", SECOND, SECOND, 0), 0);
        } else {
            write_some(f);
        }
        int64_t now = tree_stat(f, "file", 0).changed;
        check(now > before);
        before = now;
    }
    let_time_pass(f);
    check_result(tree_delete(f, "directory/second"), 0);
    check(tree_stat(f, "file", 0).changed > before);
}

static void accessed_follows_the_first_read(fixture *f)
{
    fixture_put(f, "file", "abc", 3);
    check_result(set_times(f, "file", 2 * SECOND, SECOND, 0), 0);
    check_content(f, "file", "abc", 3);
    int64_t first = tree_stat(f, "file", 0).accessed;
    check(first > 2 * SECOND);
    check_content(f, "file", "abc", 3);
    check_result(tree_stat(f, "file", 0).accessed, first);
    write_some(f);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ | EPIO_OPEN_NOATIME);
    char byte;
    fixture_read(f, file, &byte, 1, 0);
    fixture_close(f, file);
    check_result(tree_stat(f, "file", 0).accessed, first);
    check_content(f, "file", "xbc", 3);
    check(tree_stat(f, "file", 0).accessed > first);
}

/* ---- Permissions and owners ---- */

static void modes_are_set(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "abc", 3);
    check_result(tree_symlink(f, "file", "link"), 0);
    check_result(tree_mkdir(f, "directory", 0), 0);
    check_result(tree_set_mode(f, "link", 0640), 0);
    check_result(tree_stat(f, "file", 0).mode, 0640);
    check_result(tree_set_mode(f, "directory", 01711), 0);
    check_result(tree_stat(f, "directory", 0).mode, 01711);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, epio_file_set_mode(&op, file, 0604), 0);
    check_result(tree_file_stat(f, file).mode, 0604);
    fixture_close(f, file);
    check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, "file"), 0600, EPIO_SET_NOFOLLOW), 0);
    if (f->memory) {
        check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, "link"), 0600, EPIO_SET_NOFOLLOW),
                 EPIO_ENOTSUP);
    }
    check_result(tree_set_mode(f, "missing", 0600), EPIO_ENOENT);
    check_result(tree_set_mode(f, "file/", 0600), EPIO_ENOTDIR);
    check_result(tree_set_mode(f, "file", 010000), EPIO_EINVAL);
}

static int64_t set_owner(fixture *f, const char *name, uint32_t user, uint32_t group,
                         uint32_t flags)
{
    epio_op op = {0};
    return fixture_result(f,
                          epio_set_owner(&op, f->vfs, fixture_path(f, name), user, group, flags));
}

static void owners_are_set(fixture *f)
{
    epio_op op = {0};
    if (!f->memory && !is_root(f)) {
        fixture_skip(f, "only root gives files away");
    }
    fixture_put(f, "file", "abc", 3);
    check_result(tree_symlink(f, "file", "link"), 0);
    check_result(tree_set_mode(f, "file", 06755), 0);
    check_result(set_owner(f, "link", 7, EPIO_OWNER_KEEP, 0), 0);
    check_result(set_owner(f, "file", EPIO_OWNER_KEEP, 8, 0), 0);
    epio_info info = tree_stat(f, "file", 0);
    check(info.user == 7 && info.group == 8 && info.mode == 0755);
    check_result(set_owner(f, "link", 9, 9, EPIO_SET_NOFOLLOW), 0);
    info = tree_stat(f, "link", EPIO_STAT_NOFOLLOW);
    check(info.user == 9 && info.group == 9);
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, epio_file_set_owner(&op, file, 1, 2), 0);
    info = tree_file_stat(f, file);
    check(info.user == 1 && info.group == 2);
    fixture_close(f, file);
    check_result(set_owner(f, "missing", 1, 1, 0), EPIO_ENOENT);

    /* What is made in a directory with the set-group-id bit is its group's. */
    check_result(tree_mkdir(f, "directory", 0), 0);
    check_result(set_owner(f, "directory", EPIO_OWNER_KEEP, 5, 0), 0);
    check_result(tree_set_mode(f, "directory", 02755), 0);
    fixture_put(f, "directory/file", "", 0);
    check_result(tree_mkdir(f, "directory/below", EPIO_OPEN_PERMISSIONS(0700)), 0);
    check_result(tree_stat(f, "directory/file", 0).group, 5);
    check_result(tree_stat(f, "directory/below", 0).group, 5);
    check_result(tree_stat(f, "directory/below", 0).mode, 02700);
    file = fixture_open(f, "directory", EPIO_OPEN_TEMPORARY);
    check_result(tree_file_stat(f, file).group, 5);
    fixture_close(f, file);
}

/* ---- Extended attributes ---- */

static bool has_attributes(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, ".");
    int64_t result = fixture_result(f, epio_set_xattr(&op, f->vfs, path, "user.x", "", 0, 0));
    return result != EPIO_ENOTSUP;
}

static void attributes_are_of_the_file(fixture *f)
{
    epio_op op = {0};
    char value[16];
    if (!has_attributes(f)) {
        fixture_skip(f, "the file system has no extended attributes");
    }
    check_result(tree_mkdir(f, "d", 0), 0);
    fixture_put(f, "file", "", 0);
    check_result(tree_symlink(f, "file", "link"), 0);
    const char *link = fixture_path(f, "link");
    const char *directory = fixture_path(f, "d");
    check_op(f, epio_set_xattr(&op, f->vfs, link, "user.x", "one", 3, 0), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, directory, "user.d", "two", 3, 0), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, link, "user.x", "one", 3, EPIO_XATTR_NOFOLLOW),
             EPIO_EPERM);
    check_op(f, epio_remove_xattr(&op, f->vfs, link, "user.x", EPIO_XATTR_NOFOLLOW), EPIO_EPERM);
    check_op(f, epio_get_xattr(&op, f->vfs, link, "user.x", value, 16, EPIO_XATTR_NOFOLLOW),
             EPIO_ENODATA);
    check_op(f, epio_list_xattrs(&op, f->vfs, link, value, 16, EPIO_XATTR_NOFOLLOW), 0);
    check_result(tree_rename(f, "file", "moved", 0), 0);
    check_result(tree_link(f, "moved", "two"), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, fixture_path(f, "two"), "user.x", value, 16, 0), 3);
    assert_memory_equal(value, "one", 3);
    check_op(f, epio_set_xattr(&op, f->vfs, fixture_path(f, "two"), "user.x", NULL, 0, 0), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, fixture_path(f, "moved"), "user.x", value, 16, 0), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, directory, "user.e", "3", 1, 0), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, directory, "user.d", "second", 6, 0), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, directory, "user.d", value, 16, 0), 6);
    check_op(f, epio_get_xattr(&op, f->vfs, directory, "user.e", value, 16, 0), 1);
    check_op(f, epio_get_xattr(&op, f->vfs, directory, "user.x", value, 16, 0), EPIO_ENODATA);
    check_op(f, epio_set_xattr(&op, f->vfs, fixture_path(f, "d/no"), "user.x", "", 0, 0),
             EPIO_ENOENT);
}

static void attributes_have_limits(fixture *f)
{
    static char value[65537];
    char name[257] = "user.";
    epio_op op = {0};
    const char *file = fixture_path(f, "file");
    if (!has_attributes(f)) {
        fixture_skip(f, "the file system has no extended attributes");
    }
    fixture_put(f, "file", "", 0);
    memset(name + 5, 'n', 251);
    check_op(f, epio_set_xattr(&op, f->vfs, file, name, "x", 1, 0), EPIO_ERANGE);
    check_op(f, epio_get_xattr(&op, f->vfs, file, name, value, 1, 0), EPIO_ERANGE);
    check_op(f, epio_remove_xattr(&op, f->vfs, file, name, 0), EPIO_ERANGE);
    name[255] = '\0';
    check_op(f, epio_set_xattr(&op, f->vfs, file, name, "x", 1, 0), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, file, name, value, sizeof value, 0), 1);
    check_op(f, epio_set_xattr(&op, f->vfs, file, "user.x", value, 65537, 0), EPIO_ERANGE);
    int64_t result =
        fixture_result(f, epio_set_xattr(&op, f->vfs, file, "user.x", value, 65536, 0));
    check(result == 0 || (!f->memory && result == EPIO_ENOSPC));
    check_op(f, epio_set_xattr(&op, f->vfs, file, "user.", "x", 1, 0), EPIO_EINVAL);
    check_op(f, epio_set_xattr(&op, f->vfs, file, "", "x", 1, 0), EPIO_EINVAL);
    check_op(f, epio_set_xattr(&op, f->vfs, file, "nonsense", "x", 1, 0), EPIO_ENOTSUP);
    check_op(f, epio_remove_xattr(&op, f->vfs, file, "nonsense", 0), EPIO_ENOTSUP);
    check_op(f, epio_set_mode(&op, f->vfs, file, 0, 0), 0);
    if (f->memory) { /* else the tests may run as root */
        check_op(f, epio_set_xattr(&op, f->vfs, file, "user.y", "x", 1, 0), EPIO_EACCES);
        check_op(f, epio_get_xattr(&op, f->vfs, file, "user.y", value, 1, 0), EPIO_EACCES);
        check(fixture_result(f, epio_list_xattrs(&op, f->vfs, file, NULL, 0, 0)) > 255);
    }
}

/* ---- What permissions forbid ---- */

static void skip_as_root(fixture *f)
{
    if (!f->memory && is_root(f)) {
        fixture_skip(f, "nothing is forbidden to root");
    }
}

static void names_need_a_writable_directory(fixture *f)
{
    skip_as_root(f);
    fixture_put(f, "file", "abc", 3);
    check_result(tree_mkdir(f, "d/sub", EPIO_MKDIR_PARENTS), 0);
    fixture_put(f, "d/in", "in", 2);
    check_result(tree_set_mode(f, "d", 0500), 0);
    check_content(f, "d/in", "in", 2);
    check_result(tree_open(f, "d/in", READ_WRITE | EPIO_OPEN_CREATE), 0);
    check_result(tree_open(f, "d/new", CREATE), EPIO_EACCES);
    check_result(tree_open(f, "d", EPIO_OPEN_TEMPORARY), EPIO_EACCES);
    check_result(tree_delete(f, "d/in"), EPIO_EACCES);
    check_result(tree_delete(f, "d/sub"), EPIO_EACCES);
    check_result(tree_delete(f, "d/missing"), EPIO_ENOENT);
    check_result(tree_rmdir(f, "d/sub"), EPIO_EACCES);
    check_result(tree_mkdir(f, "d/new", 0), EPIO_EACCES);
    check_result(tree_mkdir(f, "d/sub", 0), EPIO_EEXIST);
    check_result(tree_symlink(f, "x", "d/new"), EPIO_EACCES);
    check_result(tree_link(f, "file", "d/new"), EPIO_EACCES);
    check_result(tree_rename(f, "file", "d/new", 0), EPIO_EACCES);
    check_result(tree_rename(f, "d/in", "new", 0), EPIO_EACCES);
    check_result(tree_exchange(f, "d/in", "file"), EPIO_EACCES);
    check_result(tree_access(f, "d", EPIO_ACCESS_READWRITE), 0);
    check_result(tree_access(f, "d", EPIO_ACCESS_READ), 1);
    check_result(tree_set_mode(f, "d", 0700), 0);

    /* A directory's ".." is rewritten when it moves. */
    check_result(tree_set_mode(f, "d/sub", 0500), 0);
    check_result(tree_rename(f, "d/sub", "d/new", 0), 0);
    check_result(tree_rename(f, "d/new", "new", 0), EPIO_EACCES);
    check_result(tree_set_mode(f, "d/new", 0700), 0);
}

static void paths_need_searchable_directories(fixture *f)
{
    char found[1024];
    epio_op op = {0};
    skip_as_root(f);
    check_result(tree_mkdir(f, "d/sub", EPIO_MKDIR_PARENTS), 0);
    fixture_put(f, "d/in", "in", 2);
    check_result(tree_symlink(f, "d/in", "link"), 0);
    check_result(tree_set_mode(f, "d", 0600), 0);
    check_result(tree_try_stat(f, "d/in", 0), EPIO_EACCES);
    check_result(tree_try_stat(f, "link", 0), EPIO_EACCES);
    check_result(tree_try_stat(f, "d/..", 0), EPIO_EACCES);
    check_result(tree_try_stat(f, "d", 0), 0);
    check_result(tree_access(f, "d/in", EPIO_ACCESS_EXISTS), 0);
    check_result(tree_open(f, "d/in", CREATE), EPIO_EACCES);
    check_result(tree_open(f, "d", DIRECTORY), 0);
    check_op(f, epio_full_pathname(&op, f->vfs, fixture_path(f, "d/in"), found, sizeof found),
             EPIO_EACCES);
    check_result(tree_set_mode(f, "d", 0300), 0);
    check_result(tree_open(f, "d", DIRECTORY), EPIO_EACCES);
    check_content(f, "d/in", "in", 2);
    check_result(tree_set_mode(f, "d", 0700), 0);
    check_result(tree_set_mode(f, "d/in", 0400), 0);
    check_result(tree_open(f, "d/in", READ_WRITE), EPIO_EACCES);
    check_result(tree_open(f, "d/in", EPIO_OPEN_READ), 0);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(stat_tells_what_files_are, ON_TREES),
        FIXTURE_TEST(stat_fails, ON_TREES),
        FIXTURE_TEST(an_open_file_describes_itself, ON_TREES),
        FIXTURE_TEST(an_op_is_used_again, ON_TREES),
        FIXTURE_TEST(times_are_set_and_kept, ON_TREES),
        FIXTURE_TEST(ops_modify_what_they_change, ON_TREES),
        FIXTURE_TEST(changed_is_of_bytes_and_metadata, ON_ANY),
        FIXTURE_TEST(accessed_follows_the_first_read, ON_ANY_MEMORY),
        FIXTURE_TEST(modes_are_set, ON_TREES),
        FIXTURE_TEST(owners_are_set, ON_TREES),
        FIXTURE_TEST(attributes_are_of_the_file, ON_TREES),
        FIXTURE_TEST(attributes_have_limits, ON_TREES),
        FIXTURE_TEST(names_need_a_writable_directory, ON_TREES),
        FIXTURE_TEST(paths_need_searchable_directories, ON_TREES),
    };
    return FIXTURE_RUN("tree_metadata", tests);
}
