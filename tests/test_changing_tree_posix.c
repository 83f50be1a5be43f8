/* Trees that other processes change all the time: nothing outside of a directory that confines is
 * touched while directories and files in it are exchanged for links that lead out, and a walk
 * reports once what stands. Processes are forked, as only POSIX does.
 * EPIO_TEST_WITHOUT_LOOP: epio_perform goes the same ways. EPIO_TEST_EFFORT=20 is 10,000 rounds. */
#include "fork.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include "refuse.h"

#include <sys/syscall.h>
#endif

#define CONFINING (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH)
#define SECRET "secret"
#define INSIDE "inside"
#define NAMES 6u

/* ---- Processes that change a tree ----------------------------------------------------- */

typedef struct shared {
    atomic_bool stop;
    atomic_ulong changes[2];
} shared;

typedef struct changer {
    shared *shared;
    atomic_ulong *changes;
    pid_t parent;
    int at; /* the tree */
    void (*change)(const struct changer *one, random_source *random);
} changer;

/* Ends with its test, however that ends. */
static void change_all_the_time(void *argument)
{
    const changer *one = argument;
    random_source random = {(uint64_t)getpid()};
    while (!atomic_load(&one->shared->stop) && getppid() == one->parent) {
        one->change(one, &random);
        atomic_fetch_add(one->changes, 1);
    }
}

typedef struct changers {
    shared *shared;
    changer all[2];
    pid_t processes[2];
    size_t count;
} changers;

static void add_changer(changers *group, int at,
                        void (*change)(const changer *one, random_source *random))
{
    if (group->shared == NULL) {
        void *memory =
            mmap(NULL, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        check(memory != MAP_FAILED);
        group->shared = memory;
    }
    size_t i = group->count++;
    group->all[i] = (changer){group->shared, &group->shared->changes[i], getpid(), at, change};
    group->processes[i] = start_fork(change_all_the_time, &group->all[i]);
}

/* Until each has changed something. */
static void await_changes(const changers *group)
{
    for (size_t i = 0; i < group->count; i++) {
        while (atomic_load(&group->shared->changes[i]) == 0) {
            sleep_us(100);
        }
    }
}

static void end_changers(changers *group)
{
    atomic_store(&group->shared->stop, true);
    for (size_t i = 0; i < group->count; i++) {
        check(end_of_fork(group->processes[i]) == 0);
    }
    check(munmap(group->shared, sizeof(shared)) == 0);
    memset(group, 0, sizeof *group);
}

static void put_at(int at, const char *name, const char *content)
{
    int file = openat(at, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file >= 0) {
        (void)!write(file, content, strlen(content));
        (void)close(file);
    }
}

/* ---- What is outside -------------------------------------------------------------------- */

/* Directories end with a slash. */
static const char *const outside_names[] = {
    "out/",   "out/d/", "out/empty/", "out/n0",  "out/n1",
    "out/n2", "out/n3", "out/only",   "out/d/x", "out/d/y",
};
#define OUTSIDE_ENTRIES 7 /* of out itself */
#define OUTSIDE (sizeof outside_names / sizeof outside_names[0])

typedef struct outside {
    struct stat status[OUTSIDE];
    bool shows_reads; /* atime changes: not where a mount says noatime */
} outside;

static bool same_time(struct timespec one, struct timespec other)
{
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

/* Times of long ago: a read changes the last access where the mount keeps that. */
static void make_outside(fixture *f, outside *all)
{
    static const struct timespec long_ago[2] = {{1000, 0}, {2000, 0}};
    struct stat probe;
    for (size_t i = 0; i < OUTSIDE; i++) {
        const char *name = outside_names[i];
        if (name[strlen(name) - 1] == '/') {
            check(directory_make(fixture_path(f, name)));
        } else {
            fixture_put(f, name, SECRET, sizeof SECRET - 1);
        }
    }
    fixture_put(f, "probe", "x", 1);
    check(utimensat(AT_FDCWD, fixture_path(f, "probe"), long_ago, 0) == 0);
    check_content(f, "probe", "x", 1);
    check(stat(fixture_path(f, "probe"), &probe) == 0);
    all->shows_reads = probe.st_atime != 1000;
    for (size_t i = 0; i < OUTSIDE; i++) {
        const char *path = fixture_path(f, outside_names[i]);
        check(utimensat(AT_FDCWD, path, long_ago, 0) == 0);
        check(lstat(path, &all->status[i]) == 0);
    }
}

static bool is_outside(const outside *all, uint64_t device, uint64_t id)
{
    for (size_t i = 0; i < OUTSIDE; i++) {
        if ((uint64_t)all->status[i].st_ino == id && (uint64_t)all->status[i].st_dev == device) {
            return true;
        }
    }
    return false;
}

/* Names, contents, permissions, links, and whether anything was read or changed. */
static void check_outside(fixture *f, const outside *all)
{
    for (size_t i = 0; i < OUTSIDE; i++) {
        struct stat now;
        const struct stat *then = &all->status[i];
        check(lstat(fixture_path(f, outside_names[i]), &now) == 0);
        check(now.st_ino == then->st_ino && now.st_mode == then->st_mode);
        check(now.st_nlink == then->st_nlink && now.st_size == then->st_size);
        check(same_time(now.st_mtim, then->st_mtim) && same_time(now.st_ctim, then->st_ctim));
        check(same_time(now.st_atim, then->st_atim));
    }
    check(count_entries(fixture_path(f, "out")) == OUTSIDE_ENTRIES);
    for (size_t i = 0; i < OUTSIDE; i++) {
        if (S_ISREG(all->status[i].st_mode)) {
            check_content(f, outside_names[i], SECRET, sizeof SECRET - 1);
        }
    }
}

/* ---- The tree beneath ------------------------------------------------------------------- */

/* `a` and `f` are what their names say, or links that lead out. */
static void make_inside(fixture *f)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "in/a/d"), EPIO_MKDIR_PARENTS), 0);
    fixture_put(f, "in/f", INSIDE, sizeof INSIDE - 1);
    fixture_put(f, "in/own", INSIDE, sizeof INSIDE - 1);
    link_make("../out", fixture_path(f, "in/to-directory"));
    link_make("../out/n0", fixture_path(f, "in/to-file"));
}

static int exchange(int at, const char *one, const char *other)
{
#if defined(RENAME_EXCHANGE)
    return renameat2(at, one, at, other, RENAME_EXCHANGE);
#else
    (void)renameat(at, one, at, "kept");
    (void)renameat(at, other, at, one);
    return renameat(at, "kept", at, other);
#endif
}

static void exchange_for_links(const changer *one, random_source *random)
{
    if (random_between(random, 0, 2) == 0) {
        (void)exchange(one->at, "a", "to-directory");
    } else {
        (void)exchange(one->at, "f", "to-file");
    }
}

/* In the directory itself, wherever its name leads by now. */
static void change_inside(const changer *one, random_source *random)
{
    char name[8];
    char other[8];
    (void)snprintf(name, sizeof name, "n%u", (unsigned)random_between(random, 0, NAMES));
    (void)snprintf(other, sizeof other, "n%u", (unsigned)random_between(random, 0, NAMES));
    switch (random_between(random, 0, 6)) {
    case 0:
        (void)mkdirat(one->at, name, 0755);
        break;
    case 1:
        (void)unlinkat(one->at, name, AT_REMOVEDIR);
        break;
    case 2:
        (void)unlinkat(one->at, name, 0);
        break;
    case 3:
        (void)renameat(one->at, name, one->at, other);
        break;
    case 4:
        (void)!symlinkat("../../out/n1", one->at, name);
        break;
    default:
        put_at(one->at, name, INSIDE);
        break;
    }
}

/* ---- A round beneath it ----------------------------------------------------------------- */

typedef struct round {
    fixture *f;
    epio_vfs *vfs;
    const outside *outside;
    const char *out; /* its path */
    uint64_t led_out;
    uint64_t done;
} round;

/* What a change of the tree explains. */
static int64_t explained(round *r, const char *what, const char *path, int64_t result)
{
    static const int64_t explicable[] = {EPIO_ENOENT, EPIO_ENOTDIR,   EPIO_EEXIST, EPIO_EISDIR,
                                         EPIO_EACCES, EPIO_ENOTEMPTY, EPIO_ENOTSUP};
    bool ok = result >= 0;
    for (size_t i = 0; i < sizeof explicable / sizeof explicable[0]; i++) {
        ok = ok || result == explicable[i];
    }
    if (!ok) {
        print_error("%s of %s: %s\n", what, path, epio_error_name((int)result));
        check(false);
    }
    r->led_out += result == EPIO_EACCES;
    r->done += result >= 0;
    return result;
}

/* Opens it, and looks whether it is one from outside. */
static void open_one(round *r, const char *path, uint32_t flags)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    char content[16] = "";
    int64_t result = fixture_result(r->f, epio_open(&op, r->vfs, path, flags));
    if (explained(r, "open", path, result) != 0) {
        return;
    }
    epio_file *file = op.file;
    check_op(r->f, epio_file_stat(&op, file, &info), 0);
    check(!is_outside(r->outside, info.device, info.id[0]));
    if ((flags & EPIO_OPEN_WRITE) != 0) {
        check_op(r->f, epio_write(&op, file, INSIDE, sizeof INSIDE - 1, 0), sizeof INSIDE - 1);
    } else if ((flags & EPIO_OPEN_DIRECTORY) == 0) {
        check(fixture_result(r->f, epio_read(&op, file, content, sizeof content - 1, 0)) >= 0);
        check(strcmp(content, SECRET) != 0);
    } else {
        _Alignas(uint64_t) char names[4096];
        int64_t len = fixture_result(r->f, epio_list(&op, file, names, sizeof names, 0));
        check(len >= 0 || len == EPIO_ENOENT);
        const epio_entry *entry = NULL;
        while (len > 0 && (entry = epio_entry_next(names, (size_t)len, entry)) != NULL) {
            check(strcmp(epio_entry_name(entry), "only") != 0);
        }
    }
    fixture_close(r->f, file);
}

/* The verbs that follow a link in the last part. */
static void follow_one(round *r, const char *path)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file_system system = {.size = sizeof system};
    epio_times times = {sizeof times, 1, 1, EPIO_TIME_KEEP};
    char buffer[4096];
    fixture *f = r->f;
    epio_vfs *vfs = r->vfs;
    if (explained(r, "stat", path, fixture_result(f, epio_stat(&op, vfs, path, &info, 0))) == 0) {
        check(!is_outside(r->outside, info.device, info.id[0]));
    }
    (void)explained(r, "set_mode", path, fixture_result(f, epio_set_mode(&op, vfs, path, 0777, 0)));
    (void)explained(r, "set_times", path,
                    fixture_result(f, epio_set_times(&op, vfs, path, &times, 0)));
    (void)explained(
        r, "set_owner", path,
        fixture_result(f, epio_set_owner(&op, vfs, path, EPIO_OWNER_KEEP, getegid(), 0)));
    (void)explained(r, "set_xattr", path,
                    fixture_result(f, epio_set_xattr(&op, vfs, path, "user.x", "1", 1, 0)));
    (void)explained(r, "file_system_info", path,
                    fixture_result(f, epio_file_system_info(&op, vfs, path, &system)));
    (void)explained(r, "access", path,
                    fixture_result(f, epio_access(&op, vfs, path, EPIO_ACCESS_READ)));
    int64_t len = fixture_result(f, epio_full_pathname(&op, vfs, path, buffer, sizeof buffer));
    if (explained(r, "full_pathname", path, len) > 0) {
        check(strncmp(buffer, r->out, strlen(r->out)) != 0);
    }
}

static bool note_walked(epio_op *op, epio_walk_entry *entries, size_t count)
{
    const round *r = op->user;
    for (size_t i = 0; i < count; i++) {
        const epio_info *info = entries[i].info;
        check(info == NULL || !is_outside(r->outside, info->device, info->id[0]));
        check(strcmp(entries[i].name, "only") != 0);
        check(entries[i].error == 0);
    }
    return true;
}

static void walk_one(round *r, const char *path)
{
    epio_op op = {.user = r};
    epio_walk_options options = {
        .size = sizeof options, .flags = EPIO_WALK_STAT, .entries = note_walked};
    (void)explained(r, "walk", path, fixture_result(r->f, epio_walk(&op, r->vfs, path, &options)));
}

/* The verbs that take a name. */
static void change_one(round *r, const char *path, const char *name)
{
    epio_op op = {0};
    char text[256];
    fixture *f = r->f;
    epio_vfs *vfs = r->vfs;
    const struct {
        const char *what;
        int64_t result;
    } all[] = {
        {"mkdir", fixture_result(f, epio_mkdir(&op, vfs, path, 0))},
        {"rmdir", fixture_result(f, epio_rmdir(&op, vfs, path, 0))},
        {"parents", fixture_result(f, epio_mkdir(&op, vfs, "a/p/q", EPIO_MKDIR_PARENTS))},
        {"rmdir", fixture_result(f, epio_rmdir(&op, vfs, "a/p/q", 0))},
        {"rmdir", fixture_result(f, epio_rmdir(&op, vfs, "a/empty", EPIO_RMDIR_SYNC_DIR))},
        {"rename", fixture_result(f, epio_rename(&op, vfs, path, "taken", 0))},
        {"rename", fixture_result(f, epio_rename(&op, vfs, "taken", name, 0))},
        {"rename", fixture_result(f, epio_rename(&op, vfs, path, name, EPIO_RENAME_NO_REPLACE))},
        {"symlink", fixture_result(f, epio_symlink(&op, vfs, "../../out", path, 0))},
        {"exchange", fixture_result(f, epio_exchange(&op, vfs, path, "own", 0))},
        {"sync_directory", fixture_result(f, epio_sync_directory(&op, vfs, "a"))},
        {"delete", fixture_result(f, epio_delete(&op, vfs, path, 0))},
        {"delete", fixture_result(f, epio_delete(&op, vfs, "taken", 0))},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        (void)explained(r, all[i].what, path, all[i].result);
    }
    int64_t linked = fixture_result(f, epio_link_file(&op, vfs, path, "taken", 0));
    (void)explained(r, "link_file", path, linked == EPIO_EPERM ? EPIO_EISDIR : linked);
    int64_t len = fixture_result(f, epio_read_link(&op, vfs, path, text, sizeof text));
    (void)explained(r, "read_link", path, len == EPIO_EINVAL ? EPIO_EEXIST : len);
}

static void one_round(round *r, unsigned number)
{
    char path[16];
    char other[16];
    (void)snprintf(path, sizeof path, "a/n%u", number % NAMES);
    (void)snprintf(other, sizeof other, "a/n%u", (number + 1) % NAMES);
    open_one(r, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE);
    open_one(r, path, EPIO_OPEN_READ);
    open_one(r, "f", EPIO_OPEN_READ);
    open_one(r, "f", EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE);
    open_one(r, "a", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    open_one(r, "a/d", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    follow_one(r, "f");
    follow_one(r, path);
    follow_one(r, "a");
    change_one(r, path, other);
    if (number % 8 == 0) {
        walk_one(r, "a");
        walk_one(r, ".");
    }
}

static void nothing_outside_is_touched(fixture *f)
{
    outside all;
    changers group = {0};
    round r = {.f = f, .outside = &all, .out = fixture_path(f, "out")};
    make_outside(f, &all);
    make_inside(f);
    int top = open(fixture_path(f, "in"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int inner = open(fixture_path(f, "in/a"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(top >= 0 && inner >= 0);
    epio_file *directory = fixture_open(f, "in", CONFINING);
    r.vfs = epio_directory_vfs(directory);
    add_changer(&group, top, exchange_for_links);
    add_changer(&group, inner, change_inside);
    await_changes(&group);
    unsigned rounds = fixture_rounds(500);
    for (unsigned i = 0; i < rounds; i++) {
        one_round(&r, i);
    }
    unsigned long swaps = atomic_load(&group.shared->changes[0]);
    unsigned long changes = atomic_load(&group.shared->changes[1]);
    end_changers(&group);
    fixture_close(f, directory);
    check(close(top) == 0 && close(inner) == 0);
    check_outside(f, &all);
    check(r.done != 0 && r.led_out != 0);
    print_message("%u rounds: %llu ops succeeded, %llu led out; %lu exchanges, %lu changes%s\n",
                  rounds, (unsigned long long)r.done, (unsigned long long)r.led_out, swaps, changes,
                  all.shows_reads ? "" : "; reads are not seen, as the mount keeps no atime");
}

static void without_openat2(void *argument)
{
#if defined(__linux__)
    refuse(SYS_openat2, ENOSYS);
#endif
    nothing_outside_is_touched(argument);
}

/* As on kernels before 5.6, and where a filter of system calls does not know it. */
static void nothing_outside_is_touched_by_parts(fixture *f)
{
    check_result(run_in_fork(without_openat2, f), 0);
}

/* ---- Walks ------------------------------------------------------------------------------- */

#define STANDING_DIRECTORIES 8u
#define STANDING_FILES 24u
#define STANDING (STANDING_DIRECTORIES * (STANDING_FILES + 1) + STANDING_DIRECTORIES)

/* "s3/s7", and "s3/in/s7": two levels, each with names that come and go. */
static void make_standing(fixture *f)
{
    epio_op op = {0};
    char name[64];
    for (unsigned i = 0; i < STANDING_DIRECTORIES; i++) {
        (void)snprintf(name, sizeof name, "tree/s%u/in", i);
        check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, name), EPIO_MKDIR_PARENTS), 0);
        for (unsigned j = 0; j < STANDING_FILES; j++) {
            (void)snprintf(name, sizeof name, j % 2 == 0 ? "tree/s%u/s%u" : "tree/s%u/in/s%u", i,
                           j);
            char path[1024];
            (void)snprintf(path, sizeof path, "%s/%s", f->real_directory, name);
            put_at(AT_FDCWD, path, "s");
        }
    }
}

/* All that comes and goes is called c. */
static void change_around(const changer *one, random_source *random)
{
    char name[64];
    char other[64];
    unsigned directory = (unsigned)random_between(random, 0, STANDING_DIRECTORIES);
    unsigned number = (unsigned)random_between(random, 0, 12);
    const char *level = random_between(random, 0, 2) == 0 ? "" : "in/";
    (void)snprintf(name, sizeof name, "s%u/%sc%u", directory, level, number);
    (void)snprintf(other, sizeof other, "s%u/%sc%u",
                   (unsigned)random_between(random, 0, STANDING_DIRECTORIES), level,
                   (unsigned)random_between(random, 0, 12));
    char inner[80];
    (void)snprintf(inner, sizeof inner, "%s/c", name);
    switch (random_between(random, 0, 5)) {
    case 0:
        (void)mkdirat(one->at, name, 0755);
        put_at(one->at, inner, "c");
        break;
    case 1:
        (void)unlinkat(one->at, inner, 0);
        (void)unlinkat(one->at, name, AT_REMOVEDIR);
        break;
    case 2:
        (void)unlinkat(one->at, name, 0);
        break;
    case 3:
        (void)renameat(one->at, name, one->at, other);
        break;
    default:
        put_at(one->at, name, "c");
        break;
    }
}

typedef struct seen {
    unsigned times[STANDING_DIRECTORIES][2 + STANDING_FILES]; /* itself, in, and the files */
    unsigned others;
    bool follows;
    bool wrong;
} seen;

static void note_path(seen *all, const epio_walk_entry *entry)
{
    unsigned directory = 0;
    unsigned number = 0;
    char level[4] = "";
    int used = 0;
    if (sscanf(entry->path, "s%u%n", &directory, &used) == 1 && entry->path[used] == '\0') {
        all->times[directory][0]++;
    } else if (strcmp(entry->path + used, "/in") == 0) {
        all->times[directory][1]++;
    } else if (sscanf(entry->path, "s%u/s%u", &directory, &number) == 2 ||
               sscanf(entry->path, "s%u/%2[in]/s%u", &directory, level, &number) == 3) {
        all->times[directory][2 + number]++;
    } else {
        all->others++;
    }
}

static bool note_standing(epio_op *op, epio_walk_entry *entries, size_t count)
{
    seen *all = op->user;
    for (size_t i = 0; i < count; i++) {
        /* By FOLLOW a directory is entered once; one that was moved meanwhile is met again. */
        bool moved = entries[i].error == EPIO_ELOOP && entries[i].name[0] == 'c' && all->follows;
        if (entries[i].error != 0 && !moved) {
            print_error("%s: %s\n", entries[i].path, epio_error_name(entries[i].error));
            all->wrong = true;
        }
        note_path(all, &entries[i]);
    }
    return true;
}

static void check_standing(const seen *all)
{
    bool wrong = all->wrong;
    for (unsigned i = 0; i < STANDING_DIRECTORIES; i++) {
        for (unsigned j = 0; j < 2 + STANDING_FILES; j++) {
            if (all->times[i][j] != 1) {
                print_error("s%u, %u: reported %u times\n", i, j, all->times[i][j]);
                wrong = true;
            }
        }
    }
    check(!wrong);
}

static void what_stands_is_walked_once(fixture *f)
{
    static const uint32_t flags[] = {EPIO_WALK_STAT, EPIO_WALK_STAT | EPIO_WALK_SORTED,
                                     EPIO_WALK_STAT | EPIO_WALK_FOLLOW, 0};
    changers group = {0};
    const char *path = fixture_path(f, "tree");
    make_standing(f);
    int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(top >= 0);
    add_changer(&group, top, change_around);
    await_changes(&group);
    unsigned others = 0;
    unsigned walks = fixture_rounds(200);
    for (unsigned i = 0; i < walks; i++) {
        uint32_t how = flags[i % (sizeof flags / sizeof flags[0])];
        seen all = {.follows = (how & EPIO_WALK_FOLLOW) != 0};
        epio_op op = {.user = &all};
        /* With few open directories what waits is opened again. */
        epio_walk_options options = {.size = sizeof options,
                                     .flags = how,
                                     .directories = i % 8 < 4 ? 0 : 4,
                                     .entries = note_standing};
        check(fixture_result(f, epio_walk(&op, f->vfs, path, &options)) >= 0);
        check_standing(&all);
        others += all.others;
    }
    unsigned long changes = atomic_load(&group.shared->changes[0]);
    end_changers(&group);
    check(close(top) == 0);
    print_message("%u walks, %lu changes, %u entries that come and go\n", walks, changes, others);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(nothing_outside_is_touched, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(nothing_outside_is_touched_by_parts, ON_OS_PERFORM),
        FIXTURE_TEST(what_stands_is_walked_once, ON_OS_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("changing_tree", tests);
}
