/* Saving beside what only POSIX has: symbolic links, owners and groups, ACLs, directories that
 * forbid names, FIFOs and devices, a full disk. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "fork.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#endif

#define OTHER_USER 12345u
#define NO_MOUNT 77

static int64_t save_with(fixture *f, const char *name, const char *text, uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = flags};
    return fixture_result(
        f, epio_save(&op, f->vfs, fixture_path(f, name), text, strlen(text), &options));
}

static void check_text_at(fixture *f, const char *name, const char *text, int line)
{
    check_content_at(f, name, text, strlen(text), __FILE__, line);
}

#define check_text(f, name, text) check_text_at(f, name, text, __LINE__)

static void put_text(fixture *f, const char *name, const char *text)
{
    fixture_put(f, name, text, strlen(text));
}

static void make_link(fixture *f, const char *target, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_symlink(&op, f->vfs, target, fixture_path(f, name), 0), 0);
}

static uint32_t type_of(fixture *f, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, name), &info, EPIO_STAT_NOFOLLOW), 0);
    return info.type;
}

/* ---- Symbolic links -------------------------------------------------------- */

static void links_stay(fixture *f)
{
    fixture_make_directory(f, "d");
    fixture_make_directory(f, "d/e");
    put_text(f, "d/target", "old");
    make_link(f, "target", "d/relative");
    make_link(f, "../relative", "d/e/up");
    make_link(f, fixture_path(f, "d/e/up"), "absolute");
    check_result(save_with(f, "absolute", "new", EPIO_SAVE_BACKUP), 0);
    check_text(f, "d/target", "new");
    check_text(f, "absolute~", "old");
    check_result(type_of(f, "absolute"), EPIO_TYPE_LINK);
    check_result(type_of(f, "d/e/up"), EPIO_TYPE_LINK);
    check_result(type_of(f, "d/relative"), EPIO_TYPE_LINK);
    check_result(type_of(f, "d/target"), EPIO_TYPE_FILE);
    check_result(fixture_exists(f, "d/.target.saving"), 0);
}

static void a_dangling_link_gets_its_target(fixture *f)
{
    fixture_make_directory(f, "d");
    make_link(f, "d/none", "link");
    check_result(save_with(f, "link", "new", 0), 0);
    check_text(f, "d/none", "new");
    check_result(type_of(f, "link"), EPIO_TYPE_LINK);
    make_link(f, "nowhere/none", "lost");
    check_result(save_with(f, "lost", "new", EPIO_SAVE_IN_PLACE_FALLBACK), EPIO_ENOENT);
    check_result(fixture_exists(f, ".lost.saving"), 0);
}

static void circles_are_refused(fixture *f)
{
    make_link(f, "b", "a");
    make_link(f, "a", "b");
    check_result(save_with(f, "a", "new", 0), EPIO_ELOOP);
    fixture_make_directory(f, "d");
    make_link(f, "d", "to_directory");
    check_result(save_with(f, "to_directory", "new", 0), EPIO_EISDIR);
}

static void many_links_are_followed(fixture *f)
{
    char name[32];
    char target[32];
    put_text(f, "0", "old");
    for (int i = 1; i <= 45; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        (void)snprintf(target, sizeof target, "%d", i - 1);
        make_link(f, target, name);
    }
    check_result(save_with(f, "30", "new", 0), 0);
    check_text(f, "0", "new");
    check_result(save_with(f, "45", "newer", 0), EPIO_ELOOP);
    check_text(f, "0", "new");
}

/* ---- What is no regular file -------------------------------------------------- */

static void *read_fifo(void *argument)
{
    char *bytes = argument;
    int fifo = open(bytes, O_RDONLY | O_CLOEXEC);
    require(fifo >= 0);
    ssize_t len;
    size_t used = 0;
    while ((len = read(fifo, bytes + used, 65536 - used)) > 0) {
        used += (size_t)len;
    }
    bytes[used] = '\0';
    (void)close(fifo);
    return NULL;
}

static void fifos_are_written_to(fixture *f)
{
    static char bytes[65536];
    static char text[20001];
    memset(text, 'x', sizeof text - 1);
    (void)snprintf(bytes, sizeof bytes, "%s", fixture_path(f, "fifo"));
    fifo_make(bytes);
    check_result(save_with(f, "fifo", "new", 0), EPIO_EINVAL);
    test_thread thread;
    thread_start(&thread, read_fifo, bytes);
    check_result(save_with(f, "fifo", text, EPIO_SAVE_IN_PLACE_FALLBACK), EPIO_SAVED_IN_PLACE);
    (void)thread_join(thread);
    assert_string_equal(bytes, text);
    check_result(type_of(f, "fifo"), EPIO_TYPE_FIFO);
}

static void devices_are_written_to(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_IN_PLACE_FALLBACK};
    check_op(f, epio_save(&op, f->vfs, "/dev/null", "x", 1, NULL), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op),
                        "what is there is no regular file with a name; "
                        "IN_PLACE_FALLBACK writes into it");
    check_op(f, epio_save(&op, f->vfs, "/dev/null", "x", 1, &options), EPIO_SAVED_IN_PLACE);
}

/* Of /proc: what they lead to has no path. */
static void links_to_what_has_no_name(fixture *f)
{
#ifdef __linux__
    char link[64];
    char bytes[8] = "";
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_IN_PLACE_FALLBACK};
    put_text(f, "file", "old");
    int descriptor = open(fixture_path(f, "file"), O_RDWR | O_CLOEXEC);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    check_op(f, epio_save(&op, f->vfs, link, "by", 2, NULL), 0);
    check_text(f, "file", "by"); /* which has a name still */
    check(close(descriptor) == 0);
    descriptor = open(fixture_path(f, "file"), O_RDWR | O_CLOEXEC);
    check(unlink(fixture_path(f, "file")) == 0);
    check_op(f, epio_save(&op, f->vfs, link, "new", 3, NULL), EPIO_EINVAL);
    check_op(f, epio_save(&op, f->vfs, link, "new", 3, &options), EPIO_SAVED_IN_PLACE);
    check_result(pread(descriptor, bytes, sizeof bytes, 0), 3);
    assert_string_equal(bytes, "new");
    check(close(descriptor) == 0);
    check_result(count_entries(f->directory), 0);
#else
    (void)f;
#endif
}

/* ---- Other users ---------------------------------------------------------------- */

static void needs_privilege(fixture *f)
{
    if (!scene_is_privileged()) {
        fixture_skip(f, "the process cannot act as another user");
    }
    check(chmod(f->directory, 0777) == 0);
}

static void give(fixture *f, const char *name, uid_t user, gid_t group, mode_t mode)
{
    check(chown(fixture_path(f, name), user, group) == 0);
    check(chmod(fixture_path(f, name), mode) == 0);
}

static void check_owner_at(fixture *f, const char *name, uid_t user, gid_t group, mode_t mode,
                           int line)
{
    struct stat found;
    check_at(stat(fixture_path(f, name), &found) == 0, name, __FILE__, line);
    check_result_at(found.st_uid, user, "user", __FILE__, line);
    check_result_at(found.st_gid, group, "group", __FILE__, line);
    check_result_at(found.st_mode & 07777, mode, "mode", __FILE__, line);
}

#define check_owner(f, name, user, group, mode) check_owner_at(f, name, user, group, mode, __LINE__)

static void root_keeps_every_owner(fixture *f)
{
    needs_privilege(f);
    put_text(f, "file", "old");
    give(f, "file", OTHER_USER, OTHER_USER + 1, 06755);
    check_result(save_with(f, "file", "new", 0), 0);
    check_owner(f, "file", OTHER_USER, OTHER_USER + 1, 06755);
    check_text(f, "file", "new");
}

static void an_owner_that_is_lost_gains_nothing(fixture *f)
{
    static const struct {
        mode_t mode;
        mode_t then;
    } modes[] = {{0644, 0644},  {0660, 0600}, {0664, 0644}, {0604, 0600},
                 {06777, 0777}, {0446, 0444}, {0466, 0444}};
    needs_privilege(f);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        put_text(f, "file", "old");
        give(f, "file", OTHER_USER + 5, OTHER_USER + 6, modes[i].mode);
        scene_act_as(OTHER_USER);
        int64_t result = save_with(f, "file", "new", 0);
        scene_act_as(0);
        check_result(result, EPIO_SAVED_OWNER_LOST);
        check_owner(f, "file", OTHER_USER, OTHER_USER, modes[i].then);
        check_text(f, "file", "new");
        check_result(count_entries(f->directory), 1);
        check(unlink(fixture_path(f, "file")) == 0);
    }
}

static void a_lost_owner_can_be_written_over(fixture *f)
{
    needs_privilege(f);
    put_text(f, "file", "old");
    give(f, "file", OTHER_USER + 5, OTHER_USER + 6, 0666);
    scene_act_as(OTHER_USER);
    int64_t result = save_with(f, "file", "new", EPIO_SAVE_IN_PLACE_FALLBACK);
    scene_act_as(0);
    check_result(result, EPIO_SAVED_IN_PLACE);
    check_owner(f, "file", OTHER_USER + 5, OTHER_USER + 6, 0666);
    check_text(f, "file", "new");
    give(f, "file", OTHER_USER + 5, OTHER_USER + 6, 0644);
    scene_act_as(OTHER_USER);
    result = save_with(f, "file", "newer", EPIO_SAVE_IN_PLACE_FALLBACK);
    scene_act_as(0);
    check_result(result, EPIO_EACCES);
    check_text(f, "file", "new");
    check_result(count_entries(f->directory), 1);
}

static void a_directory_that_forbids_names(fixture *f)
{
    needs_privilege(f);
    fixture_make_directory(f, "d");
    put_text(f, "d/file", "old");
    give(f, "d/file", OTHER_USER, OTHER_USER, 0644);
    give(f, "d", 0, 0, 0755);
    scene_act_as(OTHER_USER);
    int64_t refused = save_with(f, "d/file", "new", 0);
    int64_t written = save_with(f, "d/file", "new", EPIO_SAVE_IN_PLACE_FALLBACK);
    int64_t missing = save_with(f, "d/other", "new", EPIO_SAVE_IN_PLACE_FALLBACK);
    int64_t backup = save_with(f, "d/file", "x", EPIO_SAVE_IN_PLACE_FALLBACK | EPIO_SAVE_BACKUP);
    scene_act_as(0);
    check_result(refused, EPIO_EACCES);
    check_result(written, EPIO_SAVED_IN_PLACE);
    check_result(missing, EPIO_EACCES);
    check_result(backup, EPIO_EACCES);
    check_text(f, "d/file", "new");
    check_result(count_entries(fixture_path(f, "d")), 1);
}

static void steps_where_no_name_can_be_made(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving;
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_IN_PLACE_FALLBACK};
    needs_privilege(f);
    fixture_make_directory(f, "d");
    put_text(f, "d/file", "old");
    give(f, "d/file", OTHER_USER, OTHER_USER, 0644);
    give(f, "d", 0, 0, 0755);
    const char *path = fixture_path(f, "d/file");
    scene_act_as(OTHER_USER);
    int64_t result = fixture_result(f, epio_save_begin(&op, f->vfs, path, &options, &saving));
    if (result == 0) {
        fixture_write(f, epio_saving_file(saving), "new", 3, 0);
        result = fixture_result(f, epio_save_commit(&op, saving));
    }
    scene_act_as(0);
    check_result(result, EPIO_SAVED_IN_PLACE);
    check_text(f, "d/file", "new");
}

/* Names of slots in a directory that all may write to. */
static void files_of_other_users_are_left_alone(fixture *f)
{
    char name[32];
    needs_privilege(f);
    check(chmod(f->directory, 01777) == 0);
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, i > 0 ? ".file.saving%d" : ".file.saving", i);
        put_text(f, name, "of another");
        give(f, name, OTHER_USER + 5, OTHER_USER + 5, 0666);
    }
    scene_act_as(OTHER_USER);
    int64_t result = save_with(f, "file", "new", 0);
    scene_act_as(0);
    check_result(result, 0);
    check_result(count_entries(f->directory), 5);
    check_result(save_with(f, "file", "root's", 0), 0);
    check_text(f, "file", "root's");
    check_result(count_entries(f->directory), 5);
    check_text(f, ".file.saving", "of another");
}

/* A link of another user in a directory that all may write to is not followed where the system
 * does not. */
static void links_in_slots_are_not_followed(fixture *f)
{
    put_text(f, "victim", "precious");
    make_link(f, "victim", ".file.saving");
    check_result(save_with(f, "file", "new", 0), 0);
    check_text(f, "victim", "precious");
    check_text(f, "file", "new");
    check_result(type_of(f, ".file.saving"), EPIO_TYPE_LINK);
}

/* What was left has the old file's permissions already. */
static void leftovers_of_any_permissions(fixture *f)
{
    needs_privilege(f);
    put_text(f, "file", "old");
    give(f, "file", OTHER_USER, OTHER_USER, 0444);
    put_text(f, ".file.saving", "half");
    give(f, ".file.saving", OTHER_USER, OTHER_USER, 0444);
    scene_act_as(OTHER_USER);
    int64_t result = save_with(f, "file", "new", 0);
    scene_act_as(0);
    check_result(result, 0);
    check_owner(f, "file", OTHER_USER, OTHER_USER, 0444);
    check_result(count_entries(f->directory), 1);
    /* One that root has left, with the owner that the file has. */
    put_text(f, ".file.saving1", "half");
    give(f, ".file.saving1", OTHER_USER, OTHER_USER, 0444);
    check_result(save_with(f, "file", "newer", 0), 0);
    check_owner(f, "file", OTHER_USER, OTHER_USER, 0444);
    check_result(count_entries(f->directory), 1);
}

/* ---- ACLs ------------------------------------------------------------------------ */

#ifdef __linux__

/* Version 2; tag, permissions and id of each entry, in the machine's order if that is little
 * endian. */
static const unsigned char acl_of_one_user[] = {
    2,    0, 0, 0, 0x01, 0,    6,    0,    0xFF, 0xFF, 0xFF, 0xFF, /* the owner: rw */
    0x02, 0, 4, 0, 0x39, 0x30, 0,    0,                            /* user 12345: r */
    0x04, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF,                         /* the group: nothing */
    0x10, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF,                         /* at most: r */
    0x20, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF,                         /* others: nothing */
};

static bool set_acl(fixture *f, const char *name, const char *kind)
{
    return setxattr(fixture_path(f, name), kind, acl_of_one_user, sizeof acl_of_one_user, 0) == 0;
}

static ssize_t get_acl(fixture *f, const char *name, unsigned char *value)
{
    return getxattr(fixture_path(f, name), "system.posix_acl_access", value, 256);
}

static void acls_are_kept(fixture *f)
{
    unsigned char value[256];
    put_text(f, "file", "old");
    if (!set_acl(f, "file", "system.posix_acl_access")) {
        fixture_skip(f, "the file system has no ACLs");
    }
    check_result(save_with(f, "file", "new", 0), 0);
    check_result(get_acl(f, "file", value), sizeof acl_of_one_user);
    assert_memory_equal(value, acl_of_one_user, sizeof acl_of_one_user);
    check_owner(f, "file", getuid(), getgid(), 0640);
}

/* A directory gives new files an ACL that the old one has not. */
static void inherited_acls_are_dropped(fixture *f)
{
    unsigned char value[256];
    put_text(f, "file", "old");
    check(chmod(fixture_path(f, "file"), 0644) == 0);
    fixture_make_directory(f, "d");
    if (!set_acl(f, "d", "system.posix_acl_default")) {
        fixture_skip(f, "the file system has no ACLs");
    }
    check(rename(fixture_path(f, "file"), fixture_path(f, "d/file")) == 0);
    check_result(save_with(f, "d/file", "new", 0), 0);
    check_result(get_acl(f, "d/file", value), -1);
    check_owner(f, "d/file", getuid(), getgid(), 0644);
    /* A file that is new gets it. */
    check_result(save_with(f, "d/new", "new", 0), 0);
    check_result(get_acl(f, "d/new", value), sizeof acl_of_one_user);
}

static void an_acl_of_a_lost_owner_is_lost(fixture *f)
{
    unsigned char value[256];
    needs_privilege(f);
    put_text(f, "file", "old");
    if (!set_acl(f, "file", "system.posix_acl_access")) {
        fixture_skip(f, "the file system has no ACLs");
    }
    check(chown(fixture_path(f, "file"), OTHER_USER + 5, OTHER_USER + 5) == 0);
    scene_act_as(OTHER_USER);
    int64_t result = save_with(f, "file", "new", 0);
    scene_act_as(0);
    check_result(result, EPIO_SAVED_OWNER_LOST | EPIO_SAVED_METADATA_LOST);
    check_result(get_acl(f, "file", value), -1);
    check_owner(f, "file", OTHER_USER, OTHER_USER, 0600);
}

static void attributes_that_cannot_be_read(fixture *f)
{
    needs_privilege(f);
    put_text(f, "file", "old");
    if (setxattr(fixture_path(f, "file"), "user.secret", "s", 1, 0) != 0) {
        fixture_skip(f, "the file system has no attributes");
    }
    give(f, "file", OTHER_USER + 5, OTHER_USER + 5, 0600);
    scene_act_as(OTHER_USER);
    int64_t result = save_with(f, "file", "new", 0);
    scene_act_as(0);
    check_result(result, EPIO_SAVED_OWNER_LOST | EPIO_SAVED_METADATA_LOST);
    check_text(f, "file", "new");
}

/* ---- A disk that is full ----------------------------------------------------------- */

static void mount_small(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("none", directory, "tmpfs", 0, "size=1m") != 0) {
        _exit(NO_MOUNT);
    }
}

static void check_small(const char *path, char byte, size_t len)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    check_result(epio_perform(epio_load(&op, epio_os_vfs(), path, &buffer, NULL)), (int64_t)len);
    check_bytes(buffer.data, (unsigned char)byte, len);
    epio_buffer_free(&buffer);
}

static void save_on_a_full_disk(void *argument)
{
    fixture *f = argument;
    const char *directory = fixture_path(f, "disk");
    const char *path = fixture_path(f, "disk/file");
    const char *twin = fixture_path(f, "disk/twin");
    const size_t len = 600 << 10;
    char *bytes = malloc(len);
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_BACKUP};
    mount_small(directory);
    memset(bytes, 'o', len);
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), path, bytes, len, NULL)), 0);
    memset(bytes, 'n', len);
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), path, bytes, len, &options)),
                 EPIO_ENOSPC);
    check_result(op.os_error, ENOSPC);
    check_small(path, 'o', len);
    check_result(count_entries(directory), 1);
    /* In place it needs no more than there is. */
    check(link(path, twin) == 0);
    options.flags = EPIO_SAVE_IN_PLACE_FALLBACK;
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), path, bytes, len, &options)),
                 EPIO_SAVED_IN_PLACE);
    check_small(twin, 'n', len);
    bytes = realloc(bytes, 2 << 20);
    memset(bytes, 'm', 2 << 20);
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), path, bytes, 2 << 20, &options)),
                 EPIO_ENOSPC);
    check_small(twin, 'n', len);
    check_result(count_entries(directory), 2);
    free(bytes);
}

static void the_disk_is_full(fixture *f)
{
    fixture_make_directory(f, "disk");
    int status = run_in_fork(save_on_a_full_disk, f);
    if (status == NO_MOUNT) {
        fixture_skip(f, "the process cannot mount a small disk");
    }
    check_result(status, 0);
}

/* A file that is a mount point, as containers have them, can only be written over. */
static void save_a_mount_point(void *argument)
{
    fixture *f = argument;
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_IN_PLACE_FALLBACK};
    const char *path = fixture_path(f, "point");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount(fixture_path(f, "file"), path, "none", MS_BIND, "") != 0) {
        _exit(NO_MOUNT);
    }
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), path, "new", 3, NULL)), EPIO_EBUSY);
    check_small(path, 'o', 4);
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), path, "nn", 2, &options)),
                 EPIO_SAVED_IN_PLACE);
    check_small(path, 'n', 2);
    check_small(fixture_path(f, "file"), 'n', 2);
    check_result(count_entries(f->directory), 2);
}

static void a_mount_point_is_written_over(fixture *f)
{
    put_text(f, "file", "oooo");
    put_text(f, "point", "below");
    int status = run_in_fork(save_a_mount_point, f);
    if (status == NO_MOUNT) {
        fixture_skip(f, "the process cannot mount");
    }
    check_result(status, 0);
}

#endif

/* ---- Limits --------------------------------------------------------------------------- */

static void exceed_the_limit(void *argument)
{
    fixture *f = argument;
    const struct rlimit limit = {100000, 100000};
    static char bytes[200000];
    epio_op op = EPIO_OP_INIT;
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    check_result(epio_perform(epio_save(&op, epio_os_vfs(), fixture_path(f, "file"), bytes,
                                        sizeof bytes, NULL)),
                 EPIO_EFBIG);
}

static void a_limit_of_size_leaves_the_old_file(fixture *f)
{
    put_text(f, "file", "old");
    check_result(run_in_fork(exceed_the_limit, f), 0);
    check_text(f, "file", "old");
    check_result(count_entries(f->directory), 1);
}

#if EPIO_ASYNC

/* Until a sync has reported it. Only a loop remembers writes. */
static void a_failed_write_fails_each_commit(fixture *f)
{
    struct rlimit limit;
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving;
    fixture_put(f, "file", "old", 3);
    check_op(f, epio_save_begin(&op, f->vfs, fixture_path(f, "file"), NULL, &saving), 0);
    check(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const struct rlimit lower = {1, limit.rlim_max};
    check(setrlimit(RLIMIT_FSIZE, &lower) == 0);
    int64_t result = fixture_result(f, epio_write(&op, epio_saving_file(saving), "later", 5, 10));
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    check_result(result, EPIO_EFBIG);
    for (int i = 0; i < 2; i++) {
        fixture_write(f, epio_saving_file(saving), "new", 3, 0);
        check_op(f, epio_save_commit(&op, saving), EPIO_EFBIG);
    }
    check_text(f, "file", "old");
    check_op(f, epio_sync(&op, epio_saving_file(saving), EPIO_SYNC_FULL), EPIO_EFBIG);
    fixture_write(f, epio_saving_file(saving), "new", 3, 0);
    check_op(f, epio_save_commit(&op, saving), 0);
    check_text(f, "file", "new");
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(links_stay, ON_ANY),
        FIXTURE_TEST(a_dangling_link_gets_its_target, ON_ANY),
        FIXTURE_TEST(circles_are_refused, ON_ANY),
        FIXTURE_TEST(many_links_are_followed, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(fifos_are_written_to, ON_ANY_OS),
        FIXTURE_TEST(devices_are_written_to, ON_ANY_OS),
        FIXTURE_TEST(links_to_what_has_no_name, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(root_keeps_every_owner, ON_ANY_OS),
        FIXTURE_TEST(an_owner_that_is_lost_gains_nothing, ON_OS_PERFORM),
        FIXTURE_TEST(a_lost_owner_can_be_written_over, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_directory_that_forbids_names, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(steps_where_no_name_can_be_made, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(files_of_other_users_are_left_alone, ON_OS_PERFORM),
        FIXTURE_TEST(links_in_slots_are_not_followed, ON_ANY),
        FIXTURE_TEST(leftovers_of_any_permissions, ON_OS_PERFORM),
#ifdef __linux__
        FIXTURE_TEST(acls_are_kept, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(inherited_acls_are_dropped, ON_OS_PERFORM),
        FIXTURE_TEST(an_acl_of_a_lost_owner_is_lost, ON_OS_PERFORM),
        FIXTURE_TEST(attributes_that_cannot_be_read, ON_OS_PERFORM),
        FIXTURE_TEST(the_disk_is_full, ON_OS_PERFORM),
        FIXTURE_TEST(a_mount_point_is_written_over, ON_OS_PERFORM),
#endif
        FIXTURE_TEST(a_limit_of_size_leaves_the_old_file, ON_OS_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(a_failed_write_fails_each_commit, ON_OS),
#endif
    };
    return FIXTURE_RUN("save_posix", tests);
}
