/* Tables of verbs on paths: each verb x each type of file x permissions of it and of its directory,
 * and paths that are wrong in each way; as root, and as a user who is not. What the verb does is
 * compared with what the system call does to a twin; the rows that matter most are pinned by hand.
 * In the directory of TMPDIR, or in memory; ci/file-systems goes through the file systems. Users
 * are POSIX's. EPIO_TEST_WITHOUT_LOOP: epio_perform, too. */
#include "fork.h"
#include "path_verbs.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534u
#define MOST_COMPLAINTS 30
#define MOST_FLUSHES 3 /* they wait for the disk; all of it, where a directory cannot be read */

/* ---- Scenes ----------------------------------------------------------------------------- */

static const permission permissions[] = {
    /* name, of d, of d/x, d is ours, d/x is ours */
    {"ours", 0755, 0644, true, true},
    {"another's", 0777, 0666, false, false},
    {"private", 0777, 0600, false, false},
    {"of no permission", 0755, 0000, true, true},
    {"read-only", 0755, 0444, true, true},
    {"write-only", 0755, 0222, true, true},
    {"in a directory of no permission", 0700, 0666, false, true},
    {"in a directory to read", 0744, 0666, false, true},
    {"in a directory to search", 0711, 0666, false, true},
    {"in a directory to read and search", 0755, 0666, false, true},
    {"in a directory to write", 0722, 0666, false, true},
    {"in a directory to write and search", 0733, 0666, false, true},
    {"in a sticky directory", 01777, 0666, false, false},
    {"ours in a sticky directory", 01777, 0666, false, true},
    {"another's in a sticky directory of ours", 01777, 0666, true, false},
    {"ours in our directory of no permission", 0000, 0666, true, true},
    {"setuid and setgid", 0755, 06777, true, true},
    {"another's, setuid and setgid", 0777, 06777, false, false},
};
#define PERMISSIONS (sizeof permissions / sizeof permissions[0])

/* ---- What is pinned --------------------------------------------------------------------- */

#define AS_ROOT 1u
#define AS_USER 2u
#define AS_ANY 3u

typedef struct pinned {
    uint32_t as;
    const char *verb;
    node_type type;
    const char *permission;
    int64_t result; /* at least */
} pinned;

static const pinned pins[] = {
    {AS_USER, "read", A_FILE, "private", EPIO_EACCES},
    {AS_USER, "read", A_FILE, "of no permission", EPIO_EACCES},
    {AS_ROOT, "read", A_FILE, "of no permission", 0},
    {AS_USER, "write", A_FILE, "read-only", EPIO_EACCES},
    {AS_ROOT, "write", A_FILE, "read-only", 0},
    {AS_USER, "read", A_FILE, "write-only", EPIO_EACCES},
    {AS_USER, "stat", A_FILE, "private", 0},
    {AS_USER, "stat", A_FILE, "in a directory to read", EPIO_EACCES},
    {AS_USER, "stat", A_FILE, "in a directory to search", 0},
    {AS_USER, "delete", A_FILE, "in a directory to read and search", EPIO_EACCES},
    {AS_USER, "delete", A_FILE, "in a directory to write", EPIO_EACCES},
    {AS_USER, "delete", A_FILE, "in a directory to write and search", 0},
    {AS_USER, "delete", A_FILE, "in a sticky directory", EPIO_EPERM},
    {AS_USER, "delete", A_FILE, "ours in a sticky directory", 0},
    {AS_USER, "delete", A_FILE, "another's in a sticky directory of ours", 0},
    {AS_ROOT, "delete", A_FILE, "in a sticky directory", 0},
    {AS_USER, "rename_fresh", A_FILE, "in a sticky directory", EPIO_EPERM},
    {AS_USER, "rmdir", A_DIRECTORY, "in a sticky directory", EPIO_EPERM},
    {AS_ANY, "delete", A_DIRECTORY, "ours", EPIO_EISDIR},
    {AS_ANY, "delete", A_DANGLING_LINK, "ours", 0},
    {AS_ANY, "delete", A_FIFO, "ours", 0},
    {AS_ANY, "delete", A_SOCKET, "ours", 0},
    {AS_ANY, "rmdir", A_FILE, "ours", EPIO_ENOTDIR},
    {AS_ANY, "rmdir", A_LINK_TO_DIRECTORY, "ours", EPIO_ENOTDIR},
    {AS_ANY, "rmdir", A_FULL_DIRECTORY, "ours", EPIO_ENOTEMPTY},
    {AS_ANY, "rmdir", A_DIRECTORY, "ours", 0},
    {AS_ANY, "read", NOTHING, "ours", EPIO_ENOENT},
    {AS_ANY, "read", A_LOOP, "ours", EPIO_ELOOP},
    {AS_ANY, "read", A_DIRECTORY, "ours", EPIO_EISDIR},
    {AS_ANY, "nofollow", A_LINK, "ours", EPIO_ELOOP},
    {AS_ANY, "exclusive", A_DANGLING_LINK, "ours", EPIO_EEXIST},
    {AS_ANY, "create", A_DANGLING_LINK, "ours", 0},
    {AS_ANY, "directory", A_FILE, "ours", EPIO_ENOTDIR},
    {AS_ANY, "list", A_LINK_TO_DIRECTORY, "ours", 0},
    {AS_ANY, "mkdir", A_DANGLING_LINK, "ours", EPIO_EEXIST},
    {AS_ROOT, "parents", A_DIRECTORY, "ours", 0},
    {AS_ANY, "parents", A_FILE, "ours", EPIO_ENOTDIR},
    {AS_ANY, "rename_directory", A_FILE, "ours", EPIO_EISDIR},
    {AS_ANY, "rename_other", A_DIRECTORY, "ours", EPIO_ENOTDIR},
    {AS_ANY, "rename_directory", A_DIRECTORY, "ours", 0},
#if defined(__linux__)
    {AS_ANY, "no_replace", A_FILE, "ours", EPIO_EEXIST},
    {AS_ANY, "exchange", NOTHING, "ours", EPIO_ENOENT},
    {AS_ANY, "exchange", A_DIRECTORY, "ours", 0},
    {AS_USER, "exchange", A_FILE, "in a sticky directory", EPIO_EPERM},
    {AS_ANY, "set_xattr_of_link", A_LINK, "ours", EPIO_EPERM},
    {AS_ANY, "name_fresh", A_FILE, "ours", EPIO_EEXIST},
    {AS_ANY, "name_temporary", A_FILE, "ours", 0},
    {AS_ANY, "name_temporary", A_DIRECTORY, "ours", EPIO_EISDIR},
#endif
    {AS_ANY, "link_file", A_DIRECTORY, "ours", EPIO_EPERM},
    {AS_ANY, "link_file", A_DANGLING_LINK, "ours", 0},
    {AS_ANY, "symlink", A_FILE, "ours", EPIO_EEXIST},
    {AS_ANY, "read_link", A_FILE, "ours", EPIO_EINVAL},
    {AS_ANY, "read_link", A_LINK, "ours", 4},
    {AS_USER, "may_read", A_FILE, "of no permission", 0},
    {AS_ROOT, "may_read", A_FILE, "of no permission", 1},
    {AS_ANY, "exists", A_DANGLING_LINK, "ours", 0},
    {AS_ANY, "exists", A_FILE, "ours", 1},
    {AS_USER, "set_mode", A_FILE, "another's", EPIO_EPERM},
    {AS_ROOT, "set_mode", A_FILE, "another's", 0},
    {AS_USER, "set_times", A_FILE, "another's", EPIO_EPERM},
    {AS_USER, "set_present", A_FILE, "another's", 0},
    {AS_USER, "set_present", A_FILE, "private", EPIO_EACCES},
    {AS_USER, "set_owner", A_FILE, "ours", EPIO_EPERM},
    {AS_ROOT, "set_owner", A_FILE, "ours", 0},
    {AS_ANY, "set_own_group", A_FILE, "ours", 0},
    {AS_ANY, "sync_directory", A_FILE, "ours", EPIO_ENOTDIR},
    {AS_ANY, "file_system", A_FILE, "of no permission", 0},
    {AS_ANY, "temporary_directory", A_FILE, "ours", EPIO_ENOTDIR},
};
#define PINS (sizeof pins / sizeof pins[0])

/* ---- One case --------------------------------------------------------------------------- */

/* A row of the table is a verb, on two trees that are alike: its own, and the system's. */
typedef struct table {
    verb_runner runner;
    epio_vfs *vfs;
    uid_t user;
    char base[600]; /* for both trees */
    char tops[2][640];
    epio_file *directory; /* that of the verb's tree, open */
    const char *type;
    const char *permission;
    unsigned cases;
    unsigned complaints;
    unsigned flushes;
    unsigned met[PINS];
} table;

static const char *const starts[] = {"", " from a directory", " beneath a directory"};

static void make_both(table *t, node_type type, const permission *one)
{
    static const uint32_t flags[] = {0, 0, EPIO_OPEN_BENEATH};
    epio_op op = {0};
    t->type = node_names[type];
    t->permission = one->name;
    for (size_t i = 0; i < 2; i++) {
        scene_make(t->tops[i], type, one, t->user);
    }
    t->runner.vfs = t->vfs;
    if (t->runner.start != FROM_ROOT) {
        uint32_t how = EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | flags[t->runner.start];
        check_result(runner_result(&t->runner, epio_open(&op, t->vfs, t->tops[0], how)), 0);
        t->directory = op.file;
        t->runner.vfs = epio_directory_vfs(t->directory);
    }
}

static void remove_both(table *t)
{
    epio_op op = {0};
    if (t->directory != NULL) {
        check_result(runner_result(&t->runner, epio_close(&op, t->directory)), 0);
        t->directory = NULL;
    }
    for (size_t i = 0; i < 2; i++) {
        scene_remove(t->tops[i]);
    }
}

static void complain(table *t, const path_verb *verb, const char *path, const char *verb_did,
                     const char *call_did)
{
    if (t->complaints++ < MOST_COMPLAINTS) {
        print_error("user %u, %s of %.300s (%s, %s)%s: %.300s, but the system: %.300s\n",
                    (unsigned)t->user, verb->name, path, t->type, t->permission,
                    starts[t->runner.start], verb_did, call_did);
    }
}

static const char *text_of(int64_t result, char *text, size_t len)
{
    (void)snprintf(text, len, "%s (%lld)", result < 0 ? epio_error_name((int)result) : "success",
                   (long long)result);
    return text;
}

static bool compare_trees(table *t, const path_verb *verb, const char *path)
{
    static char texts[2][8192];
    for (size_t i = 0; i < 2; i++) {
        scene_describe(t->tops[i], texts[i], sizeof texts[i]);
    }
    if (strcmp(texts[0], texts[1]) != 0) {
        complain(t, verb, path, texts[0], texts[1]);
        return false;
    }
    return true;
}

static void check_pins(table *t, const path_verb *verb, int64_t result)
{
    uint32_t as = t->user == 0 ? AS_ROOT : AS_USER;
    for (size_t i = 0; i < PINS; i++) {
        const pinned *one = &pins[i];
        if ((one->as & as) == 0 || strcmp(one->verb, verb->name) != 0 ||
            strcmp(node_names[one->type], t->type) != 0 ||
            strcmp(one->permission, t->permission) != 0) {
            continue;
        }
        t->met[i]++;
        bool right = one->result > 0 || (verb->traits & VERB_IS_EXACT) != 0
                         ? result >= one->result && (verb->name[0] != 'm' || result == one->result)
                         : (one->result == 0 ? result >= 0 : result == one->result);
        if (one->result < 0) {
            right = result == one->result;
        }
        if (!right) {
            char did[64];
            char wanted[64];
            complain(t, verb, "d/x", text_of(result, did, sizeof did),
                     text_of(one->result, wanted, sizeof wanted));
        }
    }
}

/* Where a path begins: the verb's as its runner says, the system's at the root. */
static const char *begin_path(const table *t, size_t side, const char *name, char *path, size_t len)
{
    bool whole = side == 1 || t->runner.start == FROM_ROOT;
    const char *top = whole ? t->tops[side] : "";
    check(snprintf(path, len, "%s%s%s", top, whole ? "/" : "", name) < (int)len);
    return path;
}

typedef struct paths_of_case {
    char all[2][5][5200];
    verb_paths at[2];
} paths_of_case;

static void fill_paths(const table *t, const char *name, paths_of_case *paths)
{
    static const char *const names[] = {"d/other", "d/od", "d/new", "moved"};
    for (size_t side = 0; side < 2; side++) {
        const char *begun[5];
        size_t len = sizeof paths->all[side][0];
        begun[0] = begin_path(t, side, name, paths->all[side][0], len);
        for (size_t i = 0; i < 4; i++) {
            begun[i + 1] = begin_path(t, side, names[i], paths->all[side][i + 1], len);
        }
        paths->at[side] =
            (verb_paths){begun[0], begun[1], begun[2], begun[3], begun[4], t->tops[side]};
    }
}

/* True if the trees may have changed. */
static bool try_verb(table *t, const path_verb *verb, const char *name, bool pins_apply)
{
    static paths_of_case paths;
    char texts[2][64];
    fill_paths(t, name, &paths);
    if (strncmp(verb->name, "name_", 5) == 0 || verb->verb == NULL) {
        /* The path of a file that has no name yet begins where the process is. */
        (void)snprintf(paths.all[0][0], sizeof paths.all[0][0], "%s/%s", t->tops[0], name);
    }
    int64_t result = verb->verb(&t->runner, &paths.at[0]);
    int64_t wanted = verb->call(&paths.at[1], t->runner.start);
    bool exact = wanted < 0 || (verb->traits & VERB_IS_EXACT) != 0;
    wanted = wanted < 0 ? epio_error_from_os((int32_t)-wanted) : wanted;
    t->cases++;
    t->flushes += result >= 0 && (verb->traits & VERB_WAITS) != 0;
    if (exact ? result != wanted : result < 0) {
        complain(t, verb, name, text_of(result, texts[0], sizeof texts[0]),
                 text_of(wanted, texts[1], sizeof texts[1]));
        return true;
    }
    if (pins_apply) {
        check_pins(t, verb, result);
    }
    return (verb->traits & VERB_CHANGES) != 0 && result >= 0;
}

/* ---- The tables ------------------------------------------------------------------------- */

static bool is_left_out(const table *t, const path_verb *verb, node_type type)
{
    bool beneath = t->runner.start == BENEATH_DIRECTORY;
    return (beneath && (verb->traits & VERB_NOT_BENEATH) != 0) ||
           (t->flushes >= MOST_FLUSHES && (verb->traits & VERB_WAITS) != 0) ||
           (type == A_FIFO && (verb->traits & VERB_WRITES_FIFO) != 0);
}

static void try_scene(table *t, node_type type, const permission *one)
{
    make_both(t, type, one);
    for (size_t i = 0; i < path_verbs_count; i++) {
        const path_verb *verb = &path_verbs[i];
        if (is_left_out(t, verb, type)) {
            continue;
        }
        if (try_verb(t, verb, "d/x", true)) {
            (void)compare_trees(t, verb, "d/x");
            remove_both(t);
            make_both(t, type, one);
        }
    }
    /* What failed has changed nothing, nor has what only looks. */
    (void)compare_trees(t, &path_verbs[0], "d/x");
    remove_both(t);
}

/* All cases by EPIO_TEST_EFFORT alone; else those that are pinned, and one of so many. */
static bool is_chosen(const table *t, size_t number, size_t of)
{
    bool first = t->runner.start == FROM_ROOT && !t->runner.waits;
    size_t stride = fixture_is_emulated() ? 89 : fixture_is_slow() ? 29 : first ? 5 : 11;
    return getenv("EPIO_TEST_EFFORT") != NULL ||
           number % (of > 100 ? stride : (stride + 2) / 3) == 0;
}

static bool is_pinned(const table *t, size_t number, unsigned type)
{
    bool first = t->runner.start == FROM_ROOT && !t->runner.waits;
    return number == 0 || (first && !fixture_is_slow() && (type == A_FILE || type == A_DIRECTORY));
}

/* Without O_PATH and the like a directory on the way must be readable, if the path is confined. */
static bool can_pass(const table *t, const permission *one)
{
#if defined(__linux__)
    (void)t;
    (void)one;
    return true;
#else
    bool readable = (one->parent & (one->parent_is_ours ? 0400 : 0004)) != 0;
    return t->runner.start != BENEATH_DIRECTORY || t->user == 0 || readable;
#endif
}

static void try_types(table *t)
{
    for (size_t i = 0; i < PERMISSIONS; i++) {
        for (unsigned type = 0; type < NODE_TYPES; type++) {
            size_t number = i * NODE_TYPES + type;
            bool chosen = is_pinned(t, i, type) || is_chosen(t, number, PERMISSIONS * NODE_TYPES);
            if (chosen && scene_can_make((node_type)type, &permissions[i]) &&
                can_pass(t, &permissions[i])) {
                try_scene(t, (node_type)type, &permissions[i]);
            }
        }
    }
}

static void repeat(char *text, size_t len, const char *part, const char *end)
{
    size_t part_len = strlen(part);
    size_t used = 0;
    while (used + part_len + strlen(end) <= len) {
        memcpy(text + used, part, part_len);
        used += part_len;
    }
    memcpy(text + used, end, strlen(end) + 1);
}

/* ---- Paths that are wrong ---- */

static const char *const odd_names[] = {
    "d/x/",     "d/x/.",    "d/x/y",     "d/x/..",    "d/od/",      "d/od/.",
    "d/od/..",  "d/.",      "d/..",      ".",         "./d/./x",    "d//x",
    "d/../d/x", "missing",  "missing/",  "missing/x", "missing/.",  "missing/..",
    "loop",     "loop/",    "loop/x",    "dangling",  "dangling/x", "dangling/.",
    "link",     "link/",    "link/x",    "linkd",     "linkd/",     "linkd/.",
    "linkd/in", "linkd/..", "linkd/new", "t/..",      "d/od/../x",  "linkd/../d",
};
#define ODD (sizeof odd_names / sizeof odd_names[0])

static void try_path(table *t, const char *name)
{
    make_both(t, A_FILE, &permissions[0]);
    for (size_t i = 0; i < path_verbs_count; i++) {
        const path_verb *verb = &path_verbs[i];
        if (!is_left_out(t, verb, A_FILE) && try_verb(t, verb, name, false)) {
            (void)compare_trees(t, verb, name);
            remove_both(t);
            make_both(t, A_FILE, &permissions[0]);
        }
    }
    (void)compare_trees(t, &path_verbs[0], name);
    remove_both(t);
}

static void try_paths(table *t)
{
    static char name[5000];
    for (size_t i = 0; i < ODD; i++) {
        bool confined = t->runner.start == BENEATH_DIRECTORY && !t->runner.waits;
        if (confined || is_chosen(t, i, ODD)) {
            try_path(t, odd_names[i]);
        }
    }
    repeat(name, NAME_MAX, "n", "");
    try_path(t, name);
    repeat(name, NAME_MAX + 1, "n", "");
    try_path(t, name);
    repeat(name, NAME_MAX + 1, "n", "");
    (void)strcat(name, "/x");
    try_path(t, name);
    if (t->runner.start == FROM_ROOT) {
        size_t room = PATH_MAX - 1 - strlen(t->tops[0]) - 1;
        repeat(name, room - 1, "./", "d/x");
        try_path(t, name);
        repeat(name, room + 2, "./", "d/x");
        try_path(t, name);
    }
}

/* ---- Users ------------------------------------------------------------------------------ */

typedef struct plan {
    fixture *f;
    uid_t user;
    bool waits;
} plan;

static void try_all(table *t)
{
    static const path_start all[] = {FROM_ROOT, FROM_DIRECTORY, BENEATH_DIRECTORY};
    for (size_t i = 0; i < 3; i++) {
        t->runner.start = all[i];
        hang_guard(100, "a table");
        try_types(t);
        hang_guard(100, "a table of paths");
        try_paths(t);
    }
}

/* In a process of its own: the rights of a user are a process's. */
static void as_user(void *argument)
{
    const plan *one = argument;
    static table t;
    t.user = one->user;
    t.vfs = epio_os_vfs();
    t.runner.waits = one->waits;
    (void)umask(0);
    (void)snprintf(t.base, sizeof t.base, "%s", one->f->real_directory);
    (void)snprintf(t.tops[0], sizeof t.tops[0], "%s/v", t.base);
    (void)snprintf(t.tops[1], sizeof t.tops[1], "%s/s", t.base);
    if (scene_is_privileged()) {
        check(setgroups(0, NULL) == 0);
    }
    scene_act_as(t.user);
#if EPIO_ASYNC
    epio_loop *loop = NULL;
    if (one->waits) {
        check_result(epio_loop_create(&loop, NULL), 0);
        t.vfs = epio_loop_vfs(loop);
    }
#endif
    try_all(&t);
#if EPIO_ASYNC
    if (loop != NULL) {
        epio_loop_destroy(loop);
    }
#endif
    for (size_t i = 0; i < PINS && scene_is_privileged(); i++) {
        bool applies = (pins[i].as & (t.user == 0 ? AS_ROOT : AS_USER)) != 0;
        if (applies && t.met[i] == 0 && !fixture_is_slow() && !one->waits) {
            print_error("no case is that of the pin %u: %s\n", (unsigned)i, pins[i].verb);
            t.complaints++;
        }
    }
    print_message("user %u: %u cases, %u wrong\n", (unsigned)t.user, t.cases, t.complaints);
    check(t.complaints == 0);
}

static void run_as(fixture *f, uid_t user)
{
    plan one = {f, user, !f->performs};
    check(chmod(f->real_directory, 0777) == 0);
    check_result(run_in_fork(as_user, &one), 0);
}

static void verbs_do_what_calls_do_as_root(fixture *f)
{
    if (!scene_is_privileged()) {
        fixture_skip(f, "this is not root");
    }
    run_as(f, 0);
}

static void verbs_do_what_calls_do_as_a_user(fixture *f)
{
    if (!scene_is_privileged()) {
        print_message("not root: without devices, and what belongs to others\n");
    }
    run_as(f, scene_is_privileged() ? NOBODY : getuid());
}

/* ---- Bits that a write or a new owner clears -------------------------------------------- */

static mode_t mode_after(const char *path, mode_t before, uid_t owner,
                         void (*change)(epio_vfs *vfs, const char *path))
{
    struct stat status;
    uid_t user = geteuid();
    scene_act_as(0);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    check(file >= 0 && close(file) == 0);
    check(chown(path, owner, owner) == 0 && chmod(path, before) == 0);
    scene_act_as(user);
    change(epio_os_vfs(), path);
    check(stat(path, &status) == 0);
    return status.st_mode & 07777;
}

static void write_byte(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_WRITE)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_write(&op, file, "x", 1, 0)), 1);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void cut(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_WRITE)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_truncate(&op, file, 100)), 0);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void give_away(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_set_owner(&op, vfs, path, 12, 12, 0)), 0);
}

static void keep(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_set_owner(&op, vfs, path, EPIO_OWNER_KEEP, getegid(), 0)), 0);
}

static void grant_all(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_set_mode(&op, vfs, path, 06777, 0)), 0);
}

static void check_bits(void *argument)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/bits", ((const fixture *)argument)->real_directory);
    check(setgroups(0, NULL) == 0);
    /* Root keeps them as it writes, and loses them as it gives a file away. */
    check(mode_after(path, 06755, 0, write_byte) == 06755);
    check(mode_after(path, 06755, 0, give_away) == 0755);
    check(mode_after(path, 02644, 0, give_away) == 02644); /* no group may execute it */
    scene_act_as(NOBODY);
    check(mode_after(path, 06777, NOBODY, write_byte) == 0777);
    check(mode_after(path, 06777, 0, write_byte) == 0777);
    check(mode_after(path, 06777, NOBODY, cut) == 0777);
    check(mode_after(path, 06777, NOBODY, keep) == 0777);
    check(mode_after(path, 0644, NOBODY, grant_all) == 06777);
    scene_act_as(0);
    check(chown(path, NOBODY, 12) == 0);
    scene_act_as(NOBODY);
    grant_all(epio_os_vfs(), path); /* of a group that is not ours */
    struct stat status;
    check(stat(path, &status) == 0 && (status.st_mode & 07777) == 04777);
}

static void bits_are_cleared_as_the_system_says(fixture *f)
{
    if (!scene_is_privileged()) {
        fixture_skip(f, "this is not root");
    }
    check(chmod(f->real_directory, 0777) == 0);
    check_result(run_in_fork(check_bits, f), 0);
}

/* Thousands of trees take minutes on a busy disk. */
static void prefer_memory(void)
{
    const char *memory = "/dev/shm";
    if (getenv("TMPDIR") == NULL && access(memory, W_OK | X_OK) == 0) {
        environment_set("TMPDIR", memory);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(verbs_do_what_calls_do_as_root, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(verbs_do_what_calls_do_as_a_user, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(bits_are_cleared_as_the_system_says, ON_OS_PERFORM),
    };
    prefer_memory();
    return FIXTURE_RUN("name_table", tests);
}
