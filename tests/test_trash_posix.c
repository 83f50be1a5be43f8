/* The trash of freedesktop's specification: everything that was trashed can be restored by its
 * info, whatever its name; and what has no trash stays where it is. EPIO_TEST_WITHOUT_LOOP: also
 * without loops. */
#include "support.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/mount.h>
#endif

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS)
#define NOBODY 65534
#define NO_MOUNT 77

static void say(char *path, size_t size, const char *one, const char *other)
{
    int len = snprintf(path, size, "%s/%s", one, other);
    check(len > 0 && (size_t)len < size);
}

/* The trash is then <directory>/data/Trash. */
static void use_data(fixture *f)
{
    check_result(setenv("HOME", fixture_path(f, "home"), 1), 0);
    check_result(setenv("XDG_DATA_HOME", fixture_path(f, "data"), 1), 0);
}

static int64_t put_into_trash(fixture *f, const char *name)
{
    epio_op op = {0};
    return fixture_result(f, epio_trash(&op, f->vfs, fixture_path(f, name), 0));
}

/* ---- Restoring ----------------------------------------------------------- */

static int hex(char c)
{
    const char *digits = "0123456789ABCDEF";
    const char *found = strchr(digits, c);
    check(c != '\0' && found != NULL);
    return (int)(found - digits);
}

/* Up to the end of the line. */
static void decode(const char *from, char *to, size_t size)
{
    size_t len = 0;
    for (; *from != '\n'; from++) {
        check(*from > ' ' && *from < 127 && len + 1 < size);
        if (*from == '%') {
            to[len++] = (char)(hex(from[1]) * 16 + hex(from[2]));
            from += 2;
        } else {
            to[len++] = *from;
        }
    }
    to[len] = '\0';
}

/* The info of a name in the trash: where it was. */
static void read_info(const char *trash, const char *name, char *path, size_t size)
{
    char file[4096], text[16384] = "";
    int date[6], end = 0;
    int len = snprintf(file, sizeof file, "%s/info/%s.trashinfo", trash, name);
    check(len > 0 && (size_t)len < sizeof file);
    int descriptor = open(file, O_RDONLY);
    check(descriptor >= 0);
    check(read(descriptor, text, sizeof text - 1) > 0);
    (void)close(descriptor);
    check(strncmp(text, "[Trash Info]\nPath=", 18) == 0);
    decode(text + 18, path, size);
    const char *when = strchr(text + 18, '\n');
    check_result(sscanf(when, "\nDeletionDate=%4d-%2d-%2dT%2d:%2d:%2d\n%n", &date[0], &date[1],
                        &date[2], &date[3], &date[4], &date[5], &end),
                 6);
    check_result(when[end], '\0');
    check(date[0] > 2000 && date[1] >= 1 && date[1] <= 12 && date[3] <= 23);
}

/* Takes everything out of a trash, to where it was, relative to `top`: how many there were. */
static int restore_all(const char *trash, const char *top)
{
    char files[4096], from[5000], path[16384], to[20000];
    int count = 0;
    say(files, sizeof files, trash, "files");
    DIR *list = opendir(files);
    if (list == NULL) {
        check(false);
        return 0;
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        read_info(trash, entry->d_name, path, sizeof path);
        if (top != NULL) {
            check(path[0] != '/');
            say(to, sizeof to, top, path);
        } else {
            check(path[0] == '/');
            (void)snprintf(to, sizeof to, "%s", path);
        }
        say(from, sizeof from, files, entry->d_name);
        check_result(rename(from, to), 0);
        int len = snprintf(from, sizeof from, "%s/info/%s.trashinfo", trash, entry->d_name);
        check(len > 0 && (size_t)len < sizeof from);
        check_result(unlink(from), 0);
        count++;
    }
    (void)closedir(list);
    say(files, sizeof files, trash, "info");
    check_result(count_entries(files), 0);
    return count;
}

static int restore_home(fixture *f)
{
    return restore_all(fixture_path(f, "data/Trash"), NULL);
}

/* ---- The home's trash ------------------------------------------------------ */

static const char *long_name(char byte)
{
    static char name[256];
    memset(name, byte, 255);
    return name;
}

static void every_name_comes_back(fixture *f)
{
    char two_bytes[256] = "";
    for (int i = 0; i < 127; i++) {
        memcpy(two_bytes + strlen(two_bytes), "\xc3\xa9", 3);
    }
    const char *const names[] = {"plain.txt",        "with space", "new\nline",   "per%cent%20",
                                 "\xff\xfe\x80.bin", ".hidden",    "tail.",       "a=b;#[c]",
                                 "back\\slash",      two_bytes,    long_name('x')};
    use_data(f);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fixture_put(f, names[i], names[i], strlen(names[i]));
        check_result(put_into_trash(f, names[i]), 0);
        check_result(fixture_exists(f, names[i]), 0);
    }
    check_result(restore_home(f), sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_content(f, names[i], names[i], strlen(names[i]));
    }
}

static void one_name_many_times(fixture *f)
{
    char content[16], path[600];
    enum { TIMES = 150 };
    use_data(f);
    for (int i = 0; i < TIMES; i++) {
        (void)snprintf(content, sizeof content, "%d", i);
        fixture_put(f, "name.ext", content, strlen(content));
        check_result(put_into_trash(f, "name.ext"), 0);
    }
    check_content(f, "data/Trash/files/name.ext", "0", 1);
    check_content(f, "data/Trash/files/name.2.ext", "1", 1);
    check_result(count_entries(fixture_path(f, "data/Trash/files")), TIMES);
    check_result(count_entries(fixture_path(f, "data/Trash/info")), TIMES);
    read_info(fixture_path(f, "data/Trash"), "name.2.ext", path, sizeof path);
    assert_string_equal(path, fixture_path(f, "name.ext"));
}

/* Of a long name, too, which must become shorter for that. */
static void a_long_name_twice(fixture *f)
{
    use_data(f);
    for (int i = 0; i < 2; i++) {
        fixture_put(f, long_name('y'), "", 0);
        check_result(put_into_trash(f, long_name('y')), 0);
    }
    check_result(count_entries(fixture_path(f, "data/Trash/files")), 2);
}

/* What another program left without an info is not replaced. */
static void what_has_no_info_is_kept(fixture *f)
{
    use_data(f);
    tree_make_all(f, "data/Trash/files");
    fixture_put(f, "data/Trash/files/name", "orphan", 6);
    fixture_put(f, "name", "mine", 4);
    check_result(put_into_trash(f, "name"), 0);
    check_content(f, "data/Trash/files/name", "orphan", 6);
    check_content(f, "data/Trash/files/name.2", "mine", 4);
    check_result(count_entries(fixture_path(f, "data/Trash/info")), 1);
}

static void trees_and_links_are_trashed_whole(fixture *f)
{
    use_data(f);
    tree_make_all(f, "tree/deep");
    fixture_put(f, "tree/deep/file", "data", 4);
    check_result(tree_symlink(f, "tree", "link"), 0);
    check_result(tree_symlink(f, "nowhere", "dangling"), 0);
    check_result(put_into_trash(f, "link"), 0);
    check_result(put_into_trash(f, "dangling"), 0);
    check_content(f, "tree/deep/file", "data", 4);
    check_result(put_into_trash(f, "tree/"), 0);
    check_result(fixture_exists(f, "tree"), 0);
    check_result(restore_home(f), 3);
    check_content(f, "link/deep/file", "data", 4);
    check_result(tree_stat(f, "dangling", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
}

static unsigned mode_of(fixture *f, const char *name)
{
    struct stat status;
    check_result(stat(fixture_path(f, name), &status), 0);
    return (unsigned)status.st_mode & 07777u;
}

static void the_trash_is_made_for_its_user_alone(fixture *f)
{
    static const char *const made[] = {"home/.local", "home/.local/share",
                                       "home/.local/share/Trash", "home/.local/share/Trash/files",
                                       "home/.local/share/Trash/info"};
    use_data(f);
    for (int relative = 0; relative < 2; relative++) {
        if (relative != 0) {
            check_result(setenv("XDG_DATA_HOME", "relative/data", 1), 0); /* is ignored */
        } else {
            check_result(unsetenv("XDG_DATA_HOME"), 0);
        }
        fixture_put(f, "file", "data", 4);
        check_result(put_into_trash(f, "file"), 0);
        for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
            check_result(mode_of(f, made[i]), 0700);
        }
        check_result(restore_all(fixture_path(f, "home/.local/share/Trash"), NULL), 1);
    }
}

static void paths_begin_at_an_open_directory(fixture *f)
{
    use_data(f);
    tree_make_all(f, "d/e");
    for (int confined = 0; confined < 2; confined++) {
        epio_op op = {0};
        epio_file *directory =
            confined != 0 ? tree_open_confining(f, "d") : tree_open_directory(f, "d");
        fixture_put(f, "d/e/file", "data", 4);
        epio_vfs *vfs = epio_directory_vfs(directory);
        check_op(f, epio_trash(&op, vfs, "e/file", 0), 0);
        check_op(f, epio_trash(&op, vfs, "e/file", 0), EPIO_ENOENT);
        check_op(f, epio_trash(&op, vfs, ".", 0), EPIO_EINVAL);
        check_result(restore_home(f), 1);
        check_content(f, "d/e/file", "data", 4);
        fixture_close(f, directory);
    }
}

/* ---- What cannot be trashed --------------------------------------------------- */

static void the_trash_itself_is_refused(fixture *f)
{
    static const char *const names[] = {"data",
                                        "data/Trash",
                                        "data/Trash/files",
                                        "data/Trash/info",
                                        "data/Trash/files/file",
                                        "data/Trash/info/file.trashinfo"};
    epio_op op = {0};
    use_data(f);
    fixture_put(f, "file", "data", 4);
    check_result(put_into_trash(f, "file"), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_result(put_into_trash(f, names[i]), EPIO_EINVAL);
        check_result(fixture_exists(f, names[i]), 1);
    }
    check_op(f, epio_trash(&op, f->vfs, "/", 0), EPIO_EINVAL);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "data/.."), 0), EPIO_EINVAL);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "."), 0), EPIO_EINVAL);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "file"), 1), EPIO_EINVAL);
    fixture_put(f, "Trash", "a name like it", 14);
    check_result(put_into_trash(f, "Trash"), 0);
    check_result(restore_home(f), 2);
}

static void a_failure_leaves_it_where_it_is(fixture *f)
{
    epio_op op = {0};
    use_data(f);
    tree_make_all(f, "data/Trash/info");
    fixture_put(f, "data/Trash/files", "no directory", 12);
    fixture_put(f, "file", "data", 4);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "file"), 0), EPIO_ENOTDIR);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "none"), 0), EPIO_ENOENT);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "file/x"), 0), EPIO_ENOTDIR);
    check_op(f, epio_trash(&op, f->vfs, fixture_path(f, "file/"), 0), EPIO_ENOTDIR);
    check_content(f, "file", "data", 4);
    check_result(count_entries(fixture_path(f, "data/Trash/info")), 0);
}

static void memory_has_no_trash(fixture *f)
{
    fixture_put(f, "file", "data", 4);
    check_result(put_into_trash(f, "file"), EPIO_ENOTSUP);
    check_content(f, "file", "data", 4);
}

/* ---- In other processes ---------------------------------------------------------- */

static int64_t trash_here(const char *path, int32_t *os_error)
{
    epio_op op = {0};
    int64_t result = epio_perform(epio_trash(&op, epio_os_vfs(), path, 0));
    *os_error = op.os_error;
    return result;
}

static void make_file(const char *path)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    check(descriptor >= 0);
    check_result(write(descriptor, path, strlen(path)), strlen(path));
    (void)close(descriptor);
}

#define RACES 100

static void trash_one_name_again_and_again(const char *directory)
{
    char path[600];
    int32_t os_error;
    for (int i = 0; i < RACES; i++) {
        (void)snprintf(path, sizeof path, "%s/%d", directory, i);
        check_result(mkdir(path, 0700), 0);
        (void)snprintf(path, sizeof path, "%s/%d/name", directory, i);
        make_file(path);
        check_result(trash_here(path, &os_error), 0);
    }
}

static void two_processes_at_once(fixture *f)
{
    char path[600], wanted[600];
    child children[2];
    use_data(f);
    tree_make_all(f, "a");
    tree_make_all(f, "b");
    child_start(&children[0], trash_one_name_again_and_again, fixture_path(f, "a"), 0);
    child_start(&children[1], trash_one_name_again_and_again, fixture_path(f, "b"), 0);
    check_result(child_end(&children[0]), 0);
    check_result(child_end(&children[1]), 0);
    check_result(restore_home(f), 2 * RACES);
    for (int i = 0; i < 2 * RACES; i++) {
        (void)snprintf(path, sizeof path, "%s/%d/name", i < RACES ? "a" : "b", i % RACES);
        (void)snprintf(wanted, sizeof wanted, "%s", fixture_path(f, path));
        check_content(f, path, wanted, strlen(wanted));
        f->names_used = 0;
        use_data(f);
    }
}

/* As a user whom permissions bind. */
static void trash_where_nothing_can_be_made(const char *directory)
{
    char path[600], data[600], trash[700], files[800], info[800];
    int32_t os_error;
    if (geteuid() == 0) {
        check_result(setegid(NOBODY), 0);
        check_result(seteuid(NOBODY), 0);
    }
    say(path, sizeof path, directory, "file");
    make_file(path);
    say(data, sizeof data, directory, "data");
    say(trash, sizeof trash, data, "Trash");
    check_result(mkdir(data, 0500), 0);
    check_result(trash_here(path, &os_error), EPIO_EACCES); /* no trash can be made */
    check_result(os_error, EACCES);
    check_result(chmod(data, 0700), 0);
    check_result(trash_here(path, &os_error), 0);
    check_result(restore_all(trash, NULL), 1);
    say(files, sizeof files, trash, "files");
    check_result(chmod(files, 0500), 0);
    check_result(trash_here(path, &os_error), EPIO_EACCES); /* the rename fails */
    check_result(access(path, F_OK), 0);
    check_result(chmod(files, 0700), 0);
    say(info, sizeof info, trash, "info");
    check_result(count_entries(info), 0);
    check_result(chmod(info, 0500), 0);
    check_result(trash_here(path, &os_error), EPIO_EACCES); /* the info does */
    check_result(access(path, F_OK), 0);
    check_result(chmod(info, 0700), 0);
}

static void an_unwritable_trash(fixture *f)
{
    use_data(f);
    tree_make_all(f, "theirs");
    check_result(chmod(fixture_path(f, "."), 0755), 0);
    check_result(chmod(fixture_path(f, "theirs"), 0777), 0);
    check_result(setenv("XDG_DATA_HOME", fixture_path(f, "theirs/data"), 1), 0);
    check_result(run_in_child(trash_where_nothing_can_be_made, fixture_path(f, "theirs")), 0);
}

#if defined(__linux__)

/* ---- Other file systems --------------------------------------------------------- */

static void begin_mounting(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0) {
        _exit(NO_MOUNT);
    }
}

static void mount_memory(const char *path)
{
    (void)mkdir(path, 0777);
    if (mount("none", path, "tmpfs", 0, "size=1m") != 0) {
        _exit(NO_MOUNT);
    }
}

/* A file in a directory of that file system comes back from this trash of it. */
static void check_top(const char *top, const char *trash)
{
    char file[600], can[600];
    int32_t os_error = 0;
    say(file, sizeof file, top, "d");
    (void)mkdir(file, 0777);
    say(file, sizeof file, top, "d/with space");
    make_file(file);
    check_result(trash_here(file, &os_error), 0);
    check_result(access(file, F_OK), -1);
    say(can, sizeof can, top, trash);
    check_result(restore_all(can, top), 1);
    check_result(unlink(file), 0);
    say(file, sizeof file, top, "in-top");
    make_file(file);
    check_result(trash_here(file, &os_error), 0);
    check_result(restore_all(can, top), 1);
    check_result(unlink(file), 0);
}

static void trash_on_another_device(const char *directory)
{
    char top[600], path[600], own[64], shared[64];
    int32_t os_error;
    begin_mounting();
    say(top, sizeof top, directory, "disk");
    mount_memory(top);
    (void)snprintf(own, sizeof own, ".Trash-%lu", (unsigned long)geteuid());
    (void)snprintf(shared, sizeof shared, ".Trash/%lu", (unsigned long)geteuid());
    check_top(top, own);
    say(path, sizeof path, top, own);
    struct stat status;
    check_result(stat(path, &status), 0);
    check_result(status.st_mode & 07777, 0700);

    say(path, sizeof path, top, ".Trash");
    check_result(mkdir(path, 0777), 0); /* without the sticky bit */
    check_result(chmod(path, 0777), 0);
    check_top(top, own);
    check_result(chmod(path, 01777), 0);
    check_top(top, shared);
    say(path, sizeof path, top, shared);
    check_result(stat(path, &status), 0);
    check_result(status.st_mode & 07777, 0700);
    char moved[600];
    say(path, sizeof path, top, ".Trash");
    say(moved, sizeof moved, top, "elsewhere");
    check_result(rename(path, moved), 0);
    check_result(symlink("elsewhere", path), 0);
    check_top(top, own);

    check_result(trash_here(top, &os_error), EPIO_EBUSY); /* a mount point */
    check_result(os_error, EBUSY);
    say(path, sizeof path, top, own);
    check_result(trash_here(path, &os_error), EPIO_EINVAL); /* the trash */
}

/* The file is where no trash is; nobody says where that of the home is, either. */
static void check_homeless(const char *file)
{
    epio_op op = {0};
    check_result(unsetenv("XDG_DATA_HOME"), 0);
    check_result(unsetenv("HOME"), 0);
    check_result(epio_perform(epio_trash(&op, epio_os_vfs(), file, 0)), EPIO_ENOTSUP);
    check_result(op.os_error, 0);
    const char *reason = epio_op_invalid_reason(&op);
    check(reason != NULL && strncmp(reason, "HOME is not set", 15) == 0);
}

/* Links and other users' directories are no trash. */
static void have_no_trash(const char *directory)
{
    char top[600], path[600], file[600], own[64];
    int32_t os_error;
    begin_mounting();
    say(top, sizeof top, directory, "disk");
    mount_memory(top);
    (void)snprintf(own, sizeof own, ".Trash-%lu", (unsigned long)geteuid());
    say(path, sizeof path, top, own);
    say(file, sizeof file, top, "file");
    make_file(file);
    check_result(symlink("elsewhere", path), 0);
    check_result(trash_here(file, &os_error), EPIO_ENOTSUP);
    check_result(os_error, EXDEV);
    say(path, sizeof path, top, "elsewhere");
    check_result(mkdir(path, 0700), 0);
    check_result(trash_here(file, &os_error), EPIO_ENOTSUP);
    check_result(count_entries(path), 0);
    say(path, sizeof path, top, own);
    check_result(unlink(path), 0);
    check_result(mkdir(path, 0777), 0);
    check_result(chown(path, NOBODY, NOBODY), 0);
    check_result(trash_here(file, &os_error), EPIO_ENOTSUP);
    check_result(os_error, EXDEV);
    check_result(access(file, F_OK), 0);
    check_result(rmdir(path), 0);
    check_result(mount("none", top, "none", MS_REMOUNT | MS_RDONLY, ""), 0);
    check_result(trash_here(file, &os_error), EPIO_ENOTSUP);
    check_result(os_error, EXDEV);
    check_result(access(file, F_OK), 0);
    check_homeless(file);
}

/* A directory that is mounted a second time is of the same device, but nothing can be renamed out
 * of it. */
static void trash_on_one_device_twice(const char *directory)
{
    char top[600], inner[600], own[64];
    begin_mounting();
    say(top, sizeof top, directory, "disk");
    mount_memory(top);
    say(inner, sizeof inner, top, "inner");
    check_result(mkdir(inner, 0777), 0);
    say(inner, sizeof inner, top, "again");
    check_result(mkdir(inner, 0777), 0);
    if (mount(top, inner, "none", MS_BIND, "") != 0) {
        _exit(NO_MOUNT);
    }
    (void)snprintf(own, sizeof own, ".Trash-%lu", (unsigned long)geteuid());
    check_top(inner, own);
}

static void run_with_mounts(fixture *f, child_run *run)
{
    use_data(f);
    int status = run_in_child(run, f->directory);
    if (status == NO_MOUNT) {
        fixture_skip(f, "nothing may be mounted here");
    }
    check_result(status, 0);
    check_result(fixture_exists(f, "data"), 0); /* the home's trash was not made for that */
}

static void each_file_system_has_its_trash(fixture *f)
{
    run_with_mounts(f, trash_on_another_device);
}

static void a_file_system_may_have_none(fixture *f)
{
    run_with_mounts(f, have_no_trash);
}

static void mounts_have_their_trash(fixture *f)
{
    run_with_mounts(f, trash_on_one_device_twice);
}

#endif

int main(int argc, char **argv)
{
    static const child_function children[] = {
        CHILD(trash_one_name_again_and_again),
        CHILD(trash_where_nothing_can_be_made),
#if defined(__linux__)
        CHILD(trash_on_another_device),
        CHILD(have_no_trash),
        CHILD(trash_on_one_device_twice),
#endif
    };
    CHILDREN_ARE(children, argc, argv);
    static const fixture_test tests[] = {
        FIXTURE_TEST(every_name_comes_back, ON_ANY_OS),
        FIXTURE_TEST(one_name_many_times, ON_OS_ONCE),
        FIXTURE_TEST(a_long_name_twice, ON_SOME),
        FIXTURE_TEST(what_has_no_info_is_kept, ON_SOME),
        FIXTURE_TEST(trees_and_links_are_trashed_whole, ON_ANY_OS),
        FIXTURE_TEST(the_trash_is_made_for_its_user_alone, ON_SOME),
        FIXTURE_TEST(paths_begin_at_an_open_directory, ON_SOME),
        FIXTURE_TEST(the_trash_itself_is_refused, ON_SOME),
        FIXTURE_TEST(a_failure_leaves_it_where_it_is, ON_SOME),
        FIXTURE_TEST(memory_has_no_trash, ON_ANY_MEMORY),
        FIXTURE_TEST(two_processes_at_once, ON_OS_PERFORM),
        FIXTURE_TEST(an_unwritable_trash, ON_OS_PERFORM),
#if defined(__linux__)
        FIXTURE_TEST(each_file_system_has_its_trash, ON_OS_PERFORM),
        FIXTURE_TEST(a_file_system_may_have_none, ON_OS_PERFORM),
        FIXTURE_TEST(mounts_have_their_trash, ON_OS_PERFORM),
#endif
    };
    return FIXTURE_RUN("trash_posix", tests);
}
