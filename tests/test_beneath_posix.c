/* Paths that must stay beneath an open directory, while another program exchanges a directory for a
 * link. */
#include "support.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>
#include <pthread.h>

static void make_directory(fixture *f, const char *name)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, name), EPIO_MKDIR_PARENTS), 0);
}

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
    epio_file *directory =
        fixture_open(f, "in", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH);
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

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(nothing_outside_is_touched_meanwhile, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("beneath, meanwhile", tests);
}
