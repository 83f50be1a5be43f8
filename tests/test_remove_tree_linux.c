/* epio_remove_tree where the root is mounted once more, as only root of Linux can. */
#include "fork.h"
#include "op_faults.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_MOUNT 77

static void expect(epio_vfs *vfs, fixture *f, const char *name, int64_t expected)
{
    epio_op op = EPIO_OP_INIT;
    check_result(epio_perform(epio_remove_tree(&op, vfs, fixture_path(f, name), NULL)), expected);
    const char *reason = epio_op_invalid_reason(&op);
    check(expected != EPIO_EINVAL || (reason != NULL && strstr(reason, "root") != NULL));
}

/* By a layer that opens nothing, in case that they are not refused. */
static void remove_roots(void *argument)
{
    fixture *f = argument;
    op_faults faults;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("/", fixture_path(f, "root"), "none", MS_BIND, "") != 0 ||
        mount("none", fixture_path(f, "memory"), "tmpfs", 0, "size=1m") != 0) {
        _exit(NO_MOUNT);
    }
    epio_vfs *vfs = op_faults_create(epio_os_vfs(), &faults);
    faults.kind = EPIO_KIND_OPEN;
    faults.times = UINT32_MAX;
    faults.result = EPIO_EROFS;
    expect(vfs, f, "root", EPIO_EINVAL);
    expect(vfs, f, "root/", EPIO_EINVAL);
    expect(vfs, f, "root/tmp", EPIO_EROFS);
    expect(vfs, f, "memory", EPIO_EROFS); /* the top of a file system is none */
    epio_vfs_destroy(vfs);
}

static void a_second_mount_of_the_root_is_refused(fixture *f)
{
    fixture_make_directory(f, "root");
    fixture_make_directory(f, "memory");
    int status = run_in_fork(remove_roots, f);
    if (status == NO_MOUNT) {
        fixture_skip(f, "the process cannot mount");
    }
    check_result(status, 0);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_second_mount_of_the_root_is_refused, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("remove_tree_linux", tests);
}
