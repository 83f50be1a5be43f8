/* Paths that must stay beneath an open directory, while other programs exchange directories for
 * links; and beside them names for temporary files, extended attributes and file systems, which
 * other systems have otherwise or not. */
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include "refuse.h"

#include <sys/syscall.h>
#endif

/* Settings that are tried beside the system's. */
#define ON_MEMORIES (ON_MEMORY_PERFORM | ON_MEMORY | ON_LIMIT_MEMORY | ON_TRACE_MEMORY)

#define CONFINING (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH)

static epio_file *open_confining(fixture *f, const char *name)
{
    return fixture_open(f, name, CONFINING);
}

static void make_directory(fixture *f, const char *name)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, name), EPIO_MKDIR_PARENTS), 0);
}

static void make_link(fixture *f, const char *target, const char *name)
{
    epio_op op = {0};
    check_op(f, epio_symlink(&op, f->vfs, target, fixture_path(f, name), 0), 0);
}

/* in/ with what leads out of it, and a secret beside it. */
static void make_tree(fixture *f)
{
    make_directory(f, "in/a/b");
    make_directory(f, "out");
    fixture_put(f, "out/secret", "secret", 6);
    fixture_put(f, "in/a/file", "file", 4);
    make_link(f, "a/b", "in/good");
    make_link(f, "../out", "in/bad");
    make_link(f, "/etc", "in/worse");
    make_link(f, "a/../..", "in/around");
    make_link(f, "missing", "in/dangling");
    make_link(f, "loop", "in/loop");
}

/* What leads out is EPIO_EACCES, whatever the verb would do there. */
static void nothing_leads_out(fixture *f)
{
    static const char *const outside[] = {"..",
                                          "../out",
                                          "../out/secret",
                                          "bad",
                                          "bad/secret",
                                          "worse/passwd",
                                          "a/../../out",
                                          "around/out",
                                          "good/../../../out/",
                                          "/etc",
                                          "/",
                                          "a/b/../../..",
                                          "good/../../..",
                                          "bad/.",
                                          "bad/../in"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file_system system = {.size = sizeof system};
    epio_times times = {sizeof times, 1, 1, EPIO_TIME_KEEP};
    char buffer[4096];
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *path = outside[i];
        check_op(f, epio_stat(&op, vfs, path, &info, 0), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_READ), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, path, CONFINING), EPIO_EACCES);
        check_op(f, epio_set_times(&op, vfs, path, &times, 0), EPIO_EACCES);
        check_op(f, epio_set_mode(&op, vfs, path, 0777, 0), EPIO_EACCES);
        check_op(f, epio_file_system_info(&op, vfs, path, &system), EPIO_EACCES);
        int64_t len = fixture_result(f, epio_full_pathname(&op, vfs, path, buffer, sizeof buffer));
        check(len == EPIO_EACCES || len == EPIO_ENOTSUP);
        check_op(f, epio_access(&op, vfs, path, EPIO_ACCESS_EXISTS), 0);
    }
    check_op(f, epio_mkdir(&op, vfs, "bad/new", 0), EPIO_EACCES);
    check_op(f, epio_mkdir(&op, vfs, "bad/new/newer", EPIO_MKDIR_PARENTS), EPIO_EACCES);
    check_op(f, epio_rmdir(&op, vfs, "../out", 0), EPIO_EACCES);
    check_op(f, epio_delete(&op, vfs, "bad/secret", 0), EPIO_EACCES);
    check_op(f, epio_delete(&op, vfs, "bad/secret", EPIO_DELETE_SYNC_DIR), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "a/file", "bad/file", 0), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "bad/secret", "a/secret", 0), EPIO_EACCES);
    check_op(f, epio_link_file(&op, vfs, "bad/secret", "a/secret", 0), EPIO_EACCES);
    check_op(f, epio_symlink(&op, vfs, "x", "bad/x", 0), EPIO_EACCES);
    check_op(f, epio_read_link(&op, vfs, "../in/bad", buffer, sizeof buffer), EPIO_EACCES);
    check_op(f, epio_exchange(&op, vfs, "a/file", "bad/secret", 0), EPIO_EACCES);
    int64_t got = fixture_result(f, epio_get_xattr(&op, vfs, "bad/secret", "user.x", buffer, 8, 0));
    check(got == EPIO_EACCES || got == EPIO_ENOTSUP);
    /* A slash follows a link, whatever the flags say. */
    check_op(f, epio_stat(&op, vfs, "bad/", &info, EPIO_STAT_NOFOLLOW), EPIO_EACCES);
    check_op(f, epio_set_times(&op, vfs, "bad/", &times, EPIO_SET_NOFOLLOW), EPIO_EACCES);
    check_op(f, epio_set_owner(&op, vfs, "bad/", EPIO_OWNER_KEEP, EPIO_OWNER_KEEP, 1), EPIO_EACCES);
    got = fixture_result(f, epio_list_xattrs(&op, vfs, "bad/", NULL, 0, EPIO_XATTR_NOFOLLOW));
    check(got == EPIO_EACCES || got == EPIO_ENOTSUP);
    check_op(f, epio_stat(&op, vfs, "loop", &info, 0), EPIO_ELOOP);
    check_op(f, epio_stat(&op, vfs, "dangling", &info, 0), EPIO_ENOENT);
    fixture_close(f, directory);
    check_content(f, "out/secret", "secret", 6);
}

/* A slash at the end follows a link even where the verb would not. */
static void no_slash_leads_out(fixture *f)
{
    static const char *const outside[] = {"bad/", "bad//", "worse/", "good/../../bad/"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_times times = {sizeof times, 1, 1, EPIO_TIME_KEEP};
    char buffer[64];
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *path = outside[i];
        check_op(f, epio_stat(&op, vfs, path, &info, EPIO_STAT_NOFOLLOW), EPIO_EACCES);
        check_op(f, epio_set_times(&op, vfs, path, &times, EPIO_SET_NOFOLLOW), EPIO_EACCES);
        check_op(f, epio_read_link(&op, vfs, path, buffer, sizeof buffer), EPIO_EACCES);
        check_op(f, epio_link_file(&op, vfs, path, "new", 0), EPIO_EACCES);
    }
    check_op(f, epio_stat(&op, vfs, "good/", &info, EPIO_STAT_NOFOLLOW), 0);
    check_result(info.type, EPIO_TYPE_DIRECTORY);
    check_op(f, epio_stat(&op, vfs, "a/file/", &info, EPIO_STAT_NOFOLLOW), EPIO_ENOTDIR);
    check_op(f, epio_stat(&op, vfs, "dangling/", &info, EPIO_STAT_NOFOLLOW), EPIO_ENOENT);
    check_op(f, epio_read_link(&op, vfs, "good/", buffer, sizeof buffer), EPIO_EINVAL);
    uint32_t create = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;
    check_op(f, epio_open(&op, vfs, "new/", create), EPIO_EISDIR);
    check_op(f, epio_open(&op, vfs, "good/", create), EPIO_EISDIR);
    check_op(f, epio_open(&op, vfs, "good/", CONFINING | EPIO_OPEN_NOFOLLOW), 0);
    fixture_close(f, op.file);
    check_op(f, epio_open(&op, vfs, "bad/", CONFINING | EPIO_OPEN_NOFOLLOW), EPIO_EACCES);
    check_op(f, epio_link_file(&op, vfs, "good/", "new", 0), EPIO_EPERM);
    fixture_close(f, directory);
}

static void what_is_beneath_works(fixture *f)
{
    static const char *const inside[] = {"a/file", "a/../a/file", "good/../file", "./a//file",
                                         "good/./../../a/file"};
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    char buffer[4096];
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        check_op(f, epio_stat(&op, vfs, inside[i], &info, 0), 0);
        check(info.type == EPIO_TYPE_FILE && info.bytes == 4);
        check_op(f, epio_access(&op, vfs, inside[i], EPIO_ACCESS_READ), 1);
        check_op(f, epio_open(&op, vfs, inside[i], EPIO_OPEN_READ), 0);
        epio_file *file = op.file;
        check_op(f, epio_close(&op, file), 0);
        check_op(f, epio_rename(&op, vfs, inside[i], "a/other", 0), 0);
        check_op(f, epio_rename(&op, vfs, "good/../other", "a/file", 0), 0);
    }
    check_op(f, epio_mkdir(&op, vfs, "good/new/newer", EPIO_MKDIR_PARENTS), 0);
    check_op(f, epio_rmdir(&op, vfs, "a/b/new/newer/", EPIO_RMDIR_SYNC_DIR), 0);
    check_op(f, epio_open(&op, vfs, "good/made", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE), 0);
    epio_file *made = op.file;
    check_op(f, epio_close(&op, made), 0);
    check_op(f, epio_delete(&op, vfs, "a/b/made", 0), 0);
    check_op(f, epio_delete(&op, vfs, "bad", 0), 0); /* the link itself */
    check(fixture_exists(f, "out/secret") == 1);
    int64_t len = fixture_result(f, epio_full_pathname(&op, vfs, "good", buffer, sizeof buffer));
    if (len != EPIO_ENOTSUP) { /* the system does not say where a directory is */
        check(len > 0 && strcmp(buffer + strlen(buffer) - 7, "/in/a/b") == 0);
        check(fixture_result(f, epio_full_pathname(&op, vfs, "a/x", buffer, sizeof buffer)) > 0);
        check(strcmp(buffer + strlen(buffer) - 7, "/in/a/x") == 0);
        len = fixture_result(f, epio_full_pathname(&op, vfs, "dangling", buffer, sizeof buffer));
        check(len > 11 && strcmp(buffer + len - 11, "/in/missing") == 0);
        check_op(f, epio_full_pathname(&op, vfs, "x/", buffer, sizeof buffer), EPIO_ENOENT);
    }

    /* A directory that is opened beneath confines, too. */
    check_op(f, epio_open(&op, vfs, "a", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *below = op.file;
    check_op(f, epio_stat(&op, epio_directory_vfs(below), "../a/file", &info, 0), EPIO_EACCES);
    check_op(f, epio_stat(&op, epio_directory_vfs(below), "b", &info, 0), 0);
    check_op(f, epio_close(&op, below), 0);

    /* One that was removed has no path, and still confines. */
    check_op(f, epio_mkdir(&op, vfs, "gone", 0), 0);
    check_op(f, epio_open(&op, vfs, "gone", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *gone = op.file;
    check_op(f, epio_rmdir(&op, vfs, "gone", 0), 0);
    static const char *const paths[] = {"..", ".", "x"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        vfs = epio_directory_vfs(gone);
        len = fixture_result(f, epio_full_pathname(&op, vfs, paths[i], buffer, sizeof buffer));
        check(len == (i == 0 ? EPIO_EACCES : EPIO_ENOENT) || len == EPIO_ENOTSUP);
    }
    fixture_close(f, gone);
    fixture_close(f, directory);
}

/* Only the open with the flag is confined. */
static void a_single_open_can_be_confined(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    epio_file *directory = fixture_open(f, "in", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    epio_vfs *vfs = epio_directory_vfs(directory);
    check_op(f, epio_open(&op, vfs, "bad/secret", EPIO_OPEN_READ | EPIO_OPEN_BENEATH), EPIO_EACCES);
    check_op(f, epio_open(&op, vfs, "bad/secret", EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    check_op(f, epio_close(&op, file), 0);
    uint32_t beneath = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_BENEATH;
    check_op(f, epio_open(&op, vfs, "a", beneath | EPIO_OPEN_TEMPORARY), EPIO_ENOTSUP);
    check_op(f, epio_open(&op, vfs, "new", beneath | EPIO_OPEN_DELETE_ON_CLOSE), EPIO_ENOTSUP);
    check_op(f, epio_open(&op, vfs, "dangling", beneath), 0);
    fixture_close(f, op.file);
    check(fixture_exists(f, "in/missing") == 1);
    fixture_close(f, directory);
}

/* ---- While others exchange directories for links ------------------------------------ */

typedef struct swapper {
    int directory;
    atomic_bool stop;
    unsigned long swaps;
} swapper;

/* a is now a directory, now a link that leads out. */
static void *swap(void *argument)
{
    swapper *s = argument;
    while (!atomic_load(&s->stop)) {
        (void)renameat(s->directory, "a", s->directory, "kept");
        if (symlinkat("../out", s->directory, "a") == 0) {
            (void)unlinkat(s->directory, "a", 0);
            s->swaps++;
        }
        (void)renameat(s->directory, "kept", s->directory, "a");
    }
    return NULL;
}

static void one_round_of_changes(fixture *f, epio_vfs *vfs)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    if (fixture_result(f, epio_open(&op, vfs, "a/made", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)) == 0) {
        epio_file *file = op.file;
        check_op(f, epio_close(&op, file), 0);
    }
    (void)fixture_result(f, epio_mkdir(&op, vfs, "a/directory", 0));
    (void)fixture_result(f, epio_set_mode(&op, vfs, "a/secret", 0777, 0));
    (void)fixture_result(f, epio_delete(&op, vfs, "a/secret", 0));
    (void)fixture_result(f, epio_rename(&op, vfs, "a/secret", "stolen", 0));
    (void)fixture_result(f, epio_link_file(&op, vfs, "a/secret", "stolen", 0));
    check(fixture_result(f, epio_stat(&op, vfs, "a/secret", &info, 0)) < 0);
    (void)fixture_result(f, epio_delete(&op, vfs, "a/made", 0));
    (void)fixture_result(f, epio_rmdir(&op, vfs, "a/directory", 0));
}

static void nothing_outside_is_touched_meanwhile(fixture *f)
{
    swapper s = {0};
    pthread_t thread;
    struct stat before;
    struct stat after;
    make_directory(f, "in/a");
    make_directory(f, "out");
    fixture_put(f, "out/secret", "secret", 6);
    epio_file *directory = open_confining(f, "in");
    s.directory = (int)epio_file_os_handle(directory);
    check(stat(fixture_path(f, "out"), &before) == 0);
    check(pthread_create(&thread, NULL, swap, &s) == 0);
    for (unsigned i = 0; i < fixture_rounds(2000); i++) {
        one_round_of_changes(f, epio_directory_vfs(directory));
    }
    atomic_store(&s.stop, true);
    check(pthread_join(thread, NULL) == 0);
    check(s.swaps != 0);
    check(stat(fixture_path(f, "out"), &after) == 0);
    check(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
          before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    check(fixture_exists(f, "in/stolen") == 0);
    check(stat(fixture_path(f, "out/secret"), &after) == 0 && (after.st_mode & 0777) != 0777);
    check_content(f, "out/secret", "secret", 6);
    fixture_close(f, directory);
}

/* ---- Without openat2 ---------------------------------------------------------------- */

typedef struct case_by_parts {
    fixture *f;
    void (*run)(fixture *f);
} case_by_parts;

static void without_openat2(void *argument)
{
    const case_by_parts *one = argument;
#if defined(__linux__)
    refuse(SYS_openat2, ENOSYS);
#endif
    one->run(one->f);
}

/* As on kernels before 5.6, and where a filter of system calls does not know it. */
static void nothing_leads_out_by_parts(fixture *f)
{
    case_by_parts one = {f, nothing_leads_out};
    check_result(run_in_fork(without_openat2, &one), 0);
}

static void what_is_beneath_works_by_parts(fixture *f)
{
    case_by_parts one = {f, what_is_beneath_works};
    check_result(run_in_fork(without_openat2, &one), 0);
}

/* ---- Temporary files and directories ------------------------------------------------ */

static void a_temporary_file_gets_a_name(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, ".", EPIO_OPEN_TEMPORARY);
    fixture_write(f, file, "new", 3, 0);
    fixture_put(f, "name", "old", 3);
    int64_t named = fixture_result(
        f, epio_name_temporary(&op, file, fixture_path(f, "name"), EPIO_NAME_NO_REPLACE));
    if (named == EPIO_ENOTSUP || named == EPIO_ENOENT) {
        fixture_close(f, file);
        fixture_skip(f, "the file system has no files without names");
    }
    check_result(named, EPIO_EEXIST);
    check_content(f, "name", "old", 3);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name"), EPIO_NAME_SYNC_DIR), 0);
    check_content(f, "name", "new", 3);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "other"), 0), EPIO_EINVAL);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "no/name"), 0), EPIO_EINVAL);
    fixture_close(f, file);
    check_content(f, "name", "new", 3);
    file = fixture_open(f, ".", EPIO_OPEN_TEMPORARY);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "no/name"), 0), EPIO_ENOENT);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "fresh"), EPIO_NAME_NO_REPLACE), 0);
    fixture_close(f, file);
    check(fixture_exists(f, "fresh") == 1);

    /* What cannot be replaced; and a name is given once. */
    make_directory(f, "d");
    file = fixture_open(f, "d", EPIO_OPEN_TEMPORARY);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d"), 0), EPIO_EISDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name/"), 0), EPIO_ENOTDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "missing/"), 0), EPIO_ENOENT);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name/x"), 0), EPIO_ENOTDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d/."), 0), EPIO_EBUSY);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d/one"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "d/one"), 0), 0);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "d/two"), 0), EPIO_ENOENT);
    fixture_close(f, file);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "d"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "fresh"), 0), 0);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "name"), 0), 0);
}

static void temporary_directories_are_private(fixture *f)
{
    epio_op op = {0};
    char one[4096], other[4096];
    epio_info info = {.size = sizeof info};
    const char *parent = fixture_path(f, ".");
    int64_t len = fixture_result(f, epio_temporary_directory(&op, f->vfs, parent, one, sizeof one));
    check(len == (int64_t)strlen(one));
    check(fixture_result(f, epio_temporary_directory(&op, f->vfs, parent, other, sizeof other)) ==
          len);
    check(strcmp(one, other) != 0);
    check(strncmp(one, parent, strlen(parent)) == 0);
    check_op(f, epio_stat(&op, f->vfs, one, &info, EPIO_STAT_NOFOLLOW), 0);
    check(info.type == EPIO_TYPE_DIRECTORY && info.mode == 0700);
    check_op(f, epio_rmdir(&op, f->vfs, one, 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, other, 0), 0);
    check_op(f, epio_temporary_directory(&op, f->vfs, parent, one, (size_t)len), EPIO_ERANGE);
    check(fixture_result(f, epio_temporary_directory(&op, f->vfs, NULL, one, sizeof one)) > 0);
    check(!f->memory || strncmp(one, "/epio-", 6) == 0);
    check_op(f, epio_rmdir(&op, f->vfs, one, 0), 0);
    check_op(f, epio_temporary_directory(&op, f->vfs, fixture_path(f, "missing"), one, sizeof one),
             EPIO_ENOENT);

    /* Beneath a directory: the path begins there, too. */
    make_tree(f);
    epio_file *directory = open_confining(f, "in");
    epio_vfs *vfs = epio_directory_vfs(directory);
    len = fixture_result(f, epio_temporary_directory(&op, vfs, "good", one, sizeof one));
    check(len == (int64_t)strlen(one) && strncmp(one, "good/", 5) == 0);
    check_op(f, epio_rmdir(&op, vfs, one, 0), 0);
    check_op(f, epio_temporary_directory(&op, vfs, "bad", one, sizeof one), EPIO_EACCES);
    check_op(f, epio_temporary_directory(&op, vfs, NULL, one, sizeof one), EPIO_EACCES);
    fixture_close(f, directory);
}

/* ---- Syncs of directories ----------------------------------------------------------- */

static void a_directory_is_synced_by_its_path(fixture *f)
{
    epio_op op = {0};
    make_tree(f);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in")), 0);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in/good")), 0);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "missing")), EPIO_ENOENT);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in/a/file")), EPIO_ENOTDIR);
    check_op(f, epio_sync_directory(&op, f->vfs, fixture_path(f, "in/loop")), EPIO_ELOOP);
    check_op(f, epio_sync_directory(&op, f->vfs, ""), EPIO_EINVAL);
    epio_file *directory = open_confining(f, "in");
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "a"), 0);
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "."), 0);
    check_op(f, epio_sync_directory(&op, epio_directory_vfs(directory), "bad"), EPIO_EACCES);
    fixture_close(f, directory);
}

/* ---- Extended attributes ------------------------------------------------------------ */

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
             EPIO_ENOENT);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", NULL, 0, 0), 2);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 1, 0), EPIO_ERANGE);
    memset(value, '#', sizeof value);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.two", value, 2, 0), 2);
    check(memcmp(value, "22#", 3) == 0);
    check_op(f, epio_file_get_xattr(&op, file, "user.one", value, sizeof value), 1);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.no", value, sizeof value, 0), EPIO_ENOENT);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, NULL, 0, 0), 18);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 18);
    check(strcmp(names, "user.one") == 0 || strcmp(names, "user.two") == 0);
    check_op(f, epio_list_xattrs(&op, f->vfs, path, names, 17, 0), EPIO_ERANGE);
    check_op(f, epio_remove_xattr(&op, f->vfs, path, "user.one", 0), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), 0);
    check_op(f, epio_file_remove_xattr(&op, file, "user.two"), EPIO_ENOENT);
    check_op(f, epio_file_list_xattrs(&op, file, names, sizeof names), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "nonsense", value, sizeof value, 0),
             EPIO_ENOTSUP);
    check_op(f, epio_list_xattrs(&op, f->vfs, fixture_path(f, "missing"), NULL, 0, 0), EPIO_ENOENT);
    fixture_close(f, file);
}

/* ---- File systems ------------------------------------------------------------------- */

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

static void check_traits(fixture *f, const epio_file_system *info)
{
    bool is_xfs = strcmp(info->type, "xfs") == 0;
    bool must_know = is_xfs || strcmp(info->type, "btrfs") == 0 ||
                     strcmp(info->type, "ext4") == 0 || strcmp(info->type, "tmpfs") == 0;
    bool knows = (info->known & EPIO_FS_REFLINKS) != 0;
    bool says = (info->traits & EPIO_FS_REFLINKS) != 0;
    check(knows || !must_know);
    check(!knows || says == (!f->memory && can_clone(f, "file", "other")));
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
        FIXTURE_TEST(nothing_leads_out,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORIES),
        FIXTURE_TEST(no_slash_leads_out, ON_OS_PERFORM | ON_OS | ON_MEMORIES),
        FIXTURE_TEST(what_is_beneath_works,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORIES),
        FIXTURE_TEST(a_single_open_can_be_confined, ON_OS_PERFORM | ON_OS | ON_MEMORIES),
        FIXTURE_TEST(nothing_outside_is_touched_meanwhile, ON_OS_PERFORM),
        FIXTURE_TEST(nothing_leads_out_by_parts, ON_OS_PERFORM),
        FIXTURE_TEST(what_is_beneath_works_by_parts, ON_OS_PERFORM),
        FIXTURE_TEST(a_directory_is_synced_by_its_path,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORIES),
        FIXTURE_TEST(a_temporary_file_gets_a_name,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_MEMORIES),
        FIXTURE_TEST(temporary_directories_are_private,
                     ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_MEMORIES),
        FIXTURE_TEST(attributes_are_kept,
                     ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS | ON_MEMORIES),
        FIXTURE_TEST(a_file_system_is_described, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_MEMORIES),
    };
    return FIXTURE_RUN("beneath", tests);
}
