/* Random sequences of verbs on trees, carried out in a directory of the system and in the memory
 * VFS: results and trees must be the same after each op. EPIO_MODEL_SEEDS sets how many sequences;
 * a failure prints its seed and ops: EPIO_TEST_SEED repeats it. Owners keep all permissions, as
 * the tests may run as a user whom permissions do not concern. EPIO_TEST_ONCE. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "tree_model.h"

#include <epio/vfs.h>

/* ---- Choosing an op ---------------------------------------------------- */

static uint64_t pick(world *w, uint64_t below)
{
    return random_between(&w->random, 0, below);
}

static bool chance(world *w, unsigned percent)
{
    return pick(w, 100) < percent;
}

static void choose_path(world *w, char *path)
{
    static const char *const names[] = {"a", "b", "c", "dd", "...", "a", "b", "c"};
    size_t parts = chance(w, 50) ? 1 : 2 + (size_t)pick(w, 4) / 3;
    size_t len = 0;
    path[0] = '\0';
    if (chance(w, 5)) {
        len = (size_t)snprintf(path, PATH_ROOM, "%s/", w->absolute);
    }
    for (size_t i = 0; i < parts; i++) {
        const char *name = names[pick(w, 8)];
        if (chance(w, 8)) {
            name = chance(w, 50) ? "." : "..";
        }
        len += (size_t)snprintf(path + len, PATH_ROOM - len, "%s%s", name,
                                i + 1 < parts ? (chance(w, 5) ? "//" : "/") : "");
    }
    if (chance(w, 1)) {
        len += (size_t)snprintf(path + len, PATH_ROOM - len, "/%0300d", 0);
    }
    if (chance(w, 6)) {
        (void)snprintf(path + len, PATH_ROOM - len, "/");
    }
}

static bool is_open(const world *w, size_t handle, bool directory)
{
    const epio_file *file = w->sides[0].handles[handle];
    return file != NULL && ((file->attributes & EPIO_FILE_DIRECTORY) != 0) == directory;
}

static int64_t choose_time(world *w)
{
    switch (pick(w, 5)) {
    case 0:
        return EPIO_TIME_KEEP;
    case 1:
        return EPIO_TIME_NOW;
    default:
        return (int64_t)pick(w, (uint64_t)EARLIER) - (chance(w, 10) ? EARLIER / 16 : 0);
    }
}

/* Permissions that their owner keeps. Not the sticky bit: what others own in such a directory is
 * protected in ways that depend on the system's settings. */
static uint32_t choose_mode(world *w)
{
    return 0700u | (uint32_t)pick(w, 0100) | (w->privileged ? (uint32_t)pick(w, 4) << 10 : 0u);
}

static uint32_t choose_open_flags(world *w)
{
    uint32_t flags = chance(w, 70) ? READ_WRITE : EPIO_OPEN_READ;
    if (chance(w, 25)) {
        return EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | (chance(w, 20) ? EPIO_OPEN_NOFOLLOW : 0u);
    }
    if (chance(w, 70)) {
        flags |= EPIO_OPEN_CREATE | EPIO_OPEN_PERMISSIONS(0700u | (uint32_t)pick(w, 0100));
        flags |= chance(w, 20) ? EPIO_OPEN_EXCLUSIVE : 0;
    }
    flags |= (flags & EPIO_OPEN_WRITE) != 0 && chance(w, 20) ? EPIO_OPEN_TRUNCATE : 0;
    flags |= chance(w, 10) ? EPIO_OPEN_NOFOLLOW : 0;
    flags |= chance(w, 10) ? EPIO_OPEN_DELETE_ON_CLOSE : 0;
    return flags;
}

static const uint32_t kinds[] = {
    EPIO_KIND_OPEN,           EPIO_KIND_OPEN,      EPIO_KIND_OPEN,          EPIO_KIND_OPEN,
    EPIO_KIND_CLOSE,          EPIO_KIND_CLOSE,     EPIO_KIND_READ,          EPIO_KIND_WRITE,
    EPIO_KIND_WRITE,          EPIO_KIND_TRUNCATE,  EPIO_KIND_DELETE,        EPIO_KIND_RENAME,
    EPIO_KIND_RENAME,         EPIO_KIND_RENAME,    EPIO_KIND_ACCESS,        EPIO_KIND_FULL_PATHNAME,
    EPIO_KIND_STAT,           EPIO_KIND_FILE_STAT, EPIO_KIND_SET_TIMES,     EPIO_KIND_SET_TIMES,
    EPIO_KIND_FILE_SET_TIMES, EPIO_KIND_SET_MODE,  EPIO_KIND_FILE_SET_MODE, EPIO_KIND_SET_OWNER,
    EPIO_KIND_FILE_SET_OWNER, EPIO_KIND_MKDIR,     EPIO_KIND_MKDIR,         EPIO_KIND_MKDIR,
    EPIO_KIND_RMDIR,          EPIO_KIND_LIST,      EPIO_KIND_LINK_FILE,     EPIO_KIND_SYMLINK,
    EPIO_KIND_SYMLINK,        EPIO_KIND_READ_LINK, EPIO_KIND_EXCHANGE,      EPIO_KIND_EXCHANGE,
};

static uint32_t choose_flags(world *w, uint32_t kind)
{
    switch (kind) {
    case EPIO_KIND_OPEN:
        return choose_open_flags(w);
    case EPIO_KIND_MKDIR:
        return EPIO_OPEN_PERMISSIONS(0700u | (uint32_t)pick(w, 0100)) |
               (chance(w, 25) ? EPIO_MKDIR_PARENTS : 0);
    case EPIO_KIND_RENAME:
        return chance(w, 25) ? EPIO_RENAME_NO_REPLACE : 0;
    case EPIO_KIND_ACCESS:
        return (uint32_t)pick(w, 3);
    case EPIO_KIND_LIST:
        return EPIO_LIST_REWIND; /* else what was made meanwhile may be there or not */
    case EPIO_KIND_STAT:
    case EPIO_KIND_SET_TIMES:
    case EPIO_KIND_SET_MODE:
    case EPIO_KIND_SET_OWNER:
        return chance(w, 40) ? EPIO_SET_NOFOLLOW : 0;
    default:
        return 0;
    }
}

/* False if the op has no file of its kind; another is to be chosen. */
static bool choose(world *w, action *one)
{
    memset(one, 0, sizeof *one);
    one->kind = kinds[pick(w, sizeof kinds / sizeof kinds[0])];
    if (one->kind == EPIO_KIND_EXCHANGE && !w->exchanges) {
        one->kind = EPIO_KIND_RENAME;
    }
    one->handle = (size_t)pick(w, HANDLES);
    one->at = (size_t)pick(w, HANDLES);
    if (!is_open(w, one->at, true) || chance(w, 50)) {
        one->at = BASE;
    }
    one->flags = choose_flags(w, one->kind);
    choose_path(w, one->path);
    choose_path(w, one->to);
    one->offset = pick(w, 3) * 4000 + pick(w, 10);
    one->len = (size_t)pick(w, 3) * 500 + (size_t)pick(w, 3);
    one->modified = choose_time(w);
    one->accessed = choose_time(w);
    one->mode = choose_mode(w);
    one->user = chance(w, 30) ? EPIO_OWNER_KEEP : (uint32_t)pick(w, 3);
    one->group = chance(w, 30) ? EPIO_OWNER_KEEP : (uint32_t)pick(w, 3);
    bool file = is_open(w, one->handle, false);
    bool directory = is_open(w, one->handle, true);
    bool writable = file && (w->sides[0].handles[one->handle]->flags & EPIO_OPEN_WRITE) != 0;
    switch (one->kind) {
    case EPIO_KIND_OPEN:
        return !file && !directory;
    case EPIO_KIND_READ:
        return file;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_TRUNCATE:
        return writable;
    case EPIO_KIND_LIST:
        return directory;
    case EPIO_KIND_SET_OWNER:
        return w->privileged;
    case EPIO_KIND_FILE_SET_OWNER:
        return w->privileged && (file || directory);
    case EPIO_KIND_CLOSE:
    case EPIO_KIND_FILE_STAT:
    case EPIO_KIND_FILE_SET_TIMES:
    case EPIO_KIND_FILE_SET_MODE:
        return file || directory;
    default:
        return true;
    }
}

/* ---- Carrying it out --------------------------------------------------- */

static epio_op *prepare_on_file(const action *one, const side *on, epio_op *op, outcome *came)
{
    static const epio_times none = {.size = sizeof none, .born = EPIO_TIME_KEEP};
    static epio_times times;
    static unsigned char data[2000];
    epio_file *file = on->handles[one->handle];
    times = none;
    times.modified = one->modified;
    times.accessed = one->accessed;
    switch (one->kind) {
    case EPIO_KIND_CLOSE:
        return epio_close(op, file);
    case EPIO_KIND_READ:
        return epio_read(op, file, came->buffer, one->len, one->offset);
    case EPIO_KIND_WRITE:
        memset(data, (int)(one->offset + one->len) | 1, sizeof data);
        return epio_write(op, file, data, one->len, one->offset);
    case EPIO_KIND_TRUNCATE:
        return epio_truncate(op, file, one->offset);
    case EPIO_KIND_FILE_STAT:
        return epio_file_stat(op, file, &came->info);
    case EPIO_KIND_FILE_SET_TIMES:
        return epio_file_set_times(op, file, &times);
    case EPIO_KIND_FILE_SET_MODE:
        return epio_file_set_mode(op, file, one->mode);
    case EPIO_KIND_FILE_SET_OWNER:
        return epio_file_set_owner(op, file, one->user, one->group);
    default:
        return epio_list(op, file, came->buffer, LIST_ROOM, one->flags);
    }
}

static epio_op *prepare(const action *one, const side *on, epio_op *op, outcome *came)
{
    static epio_times times;
    epio_vfs *vfs = epio_directory_vfs(one->at == BASE ? on->base : on->handles[one->at]);
    times = (epio_times){sizeof times, one->modified, one->accessed, EPIO_TIME_KEEP};
    switch (one->kind) {
    case EPIO_KIND_OPEN:
        return epio_open(op, vfs, one->path, one->flags);
    case EPIO_KIND_DELETE:
        return epio_delete(op, vfs, one->path, 0);
    case EPIO_KIND_RENAME:
        return epio_rename(op, vfs, one->path, one->to, one->flags);
    case EPIO_KIND_ACCESS:
        return epio_access(op, vfs, one->path, one->flags);
    case EPIO_KIND_FULL_PATHNAME:
        return epio_full_pathname(op, vfs, one->path, came->buffer, sizeof came->buffer);
    case EPIO_KIND_STAT:
        return epio_stat(op, vfs, one->path, &came->info, one->flags);
    case EPIO_KIND_SET_TIMES:
        return epio_set_times(op, vfs, one->path, &times, one->flags);
    case EPIO_KIND_SET_MODE:
        return epio_set_mode(op, vfs, one->path, one->mode, one->flags);
    case EPIO_KIND_SET_OWNER:
        return epio_set_owner(op, vfs, one->path, one->user, one->group, one->flags);
    case EPIO_KIND_MKDIR:
        return epio_mkdir(op, vfs, one->path, one->flags);
    case EPIO_KIND_RMDIR:
        return epio_rmdir(op, vfs, one->path, 0);
    case EPIO_KIND_LINK_FILE:
        return epio_link_file(op, vfs, one->path, one->to, 0);
    case EPIO_KIND_SYMLINK:
        return epio_symlink(op, vfs, one->to, one->path, 0);
    case EPIO_KIND_READ_LINK:
        return epio_read_link(op, vfs, one->path, came->buffer, one->len);
    case EPIO_KIND_EXCHANGE:
        return epio_exchange(op, vfs, one->path, one->to, 0);
    default:
        return prepare_on_file(one, on, op, came);
    }
}

static void carry_out(const action *one, side *on)
{
    epio_op op = {0};
    outcome *came = &on->last;
    memset(&came->info, 0, sizeof came->info);
    came->info.size = sizeof came->info;
    came->result = epio_perform(prepare(one, on, &op, came));
    if (one->kind == EPIO_KIND_OPEN) {
        on->handles[one->handle] = op.file;
    } else if (one->kind == EPIO_KIND_CLOSE) {
        on->handles[one->handle] = NULL;
    }
}

/* Where a rename that does not replace is refused as invalid, the library tries it in two steps, as
 * the file system may have no such call: the new name was made and removed again. */
static void forget_attempt(world *w, const action *one)
{
    action times = {.kind = EPIO_KIND_SET_TIMES, .at = one->at, .modified = 1, .accessed = 1};
    char *end = times.path + snprintf(times.path, sizeof times.path, "%s", one->to);
    while (end > times.path && end[-1] == '/') {
        end--;
    }
    while (end > times.path && end[-1] != '/') {
        end--;
    }
    (void)snprintf(end, 2, ".");
    if (one->kind == EPIO_KIND_RENAME && one->flags == EPIO_RENAME_NO_REPLACE &&
        w->sides[0].last.result == EPIO_EINVAL) {
        carry_out(&times, &w->sides[0]);
        carry_out(&times, &w->sides[1]);
    }
}

/* ---- Sequences --------------------------------------------------------- */

static void remove_all(epio_vfs *vfs, const char *path)
{
    name_list *list = calloc(1, sizeof *list);
    epio_op op = {0};
    check(list != NULL);
    check_result(epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)), 0);
    epio_file *directory = op.file;
    epio_vfs *within = epio_directory_vfs(directory);
    int64_t len = epio_perform(epio_list(&op, directory, list->buffer, LIST_ROOM, 0));
    model_sort_entries(list, (size_t)len);
    for (size_t i = 0; i < list->count; i++) {
        const char *name = epio_entry_name(list->entries[i]);
        if (epio_perform(epio_delete(&op, within, name, 0)) == EPIO_EISDIR) {
            remove_all(within, name);
        }
    }
    check_result(epio_perform(epio_close(&op, directory)), 0);
    check_result(epio_perform(epio_rmdir(&op, vfs, path, 0)), 0);
    free(list);
}

static void begin(world *w, uint64_t seed)
{
    size_t len = (size_t)snprintf(w->top, sizeof w->top, "%s/s%llu", w->f->directory,
                                  (unsigned long long)seed);
    memcpy(w->absolute, w->top, len + 1);
    for (size_t i = 0; i < DEPTH; i++) {
        len += (size_t)snprintf(w->absolute + len, sizeof w->absolute - len, "/n");
    }
    w->seed = seed;
    w->random = (random_source){seed};
    w->done = 0;
    for (size_t i = 0; i < 2; i++) {
        side *one = &w->sides[i];
        epio_op op = {0};
        check_result(epio_perform(epio_mkdir(&op, one->vfs, w->absolute, EPIO_MKDIR_PARENTS)), 0);
        check_result(epio_perform(epio_open(&op, one->vfs, w->absolute,
                                            EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)),
                     0);
        one->base = op.file;
    }
}

static void end(world *w)
{
    for (size_t i = 0; i < 2; i++) {
        side *one = &w->sides[i];
        epio_op op = {0};
        for (size_t j = 0; j < HANDLES; j++) {
            if (one->handles[j] != NULL) {
                (void)epio_perform(epio_close(&op, one->handles[j]));
                one->handles[j] = NULL;
            }
        }
        check_result(epio_perform(epio_close(&op, one->base)), 0);
        remove_all(one->vfs, w->top);
    }
}

static void run_sequence(world *w, uint64_t seed)
{
    begin(w, seed);
    for (w->done = 0; w->done < OPS; w->done++) {
        action *one = &w->log[w->done];
        while (!choose(w, one)) {
        }
        carry_out(one, &w->sides[0]);
        carry_out(one, &w->sides[1]);
        model_compare_outcomes(w, one);
        forget_attempt(w, one);
        model_compare_trees(w, w->done % 16 == 0 || w->done + 1 == OPS);
    }
    end(w);
}

/* Do links to directories count? Not on every file system. */
static void look_at_system(world *w)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_result(epio_perform(epio_stat(&op, w->sides[0].vfs, w->f->directory, &info, 0)), 0);
    w->counts = info.links >= 2;
    w->privileged = info.user == 0;
    w->exchanges =
        epio_perform(epio_exchange(&op, epio_os_vfs(), w->f->directory, w->f->directory, 0)) == 0;
}

static void memory_agrees_with_the_system(fixture *f)
{
    static world w;
    const char *seeds = getenv("EPIO_MODEL_SEEDS");
    const char *first = getenv("EPIO_TEST_SEED");
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : fixture_rounds(200);
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    unsigned mask = system_umask(0);
    memset(&w, 0, sizeof w);
    w.f = f;
    w.sides[0].vfs = f->vfs;
    check_result(memory_vfs_make(&w.sides[1].vfs, NULL, f->directory), 0);
    look_at_system(&w);
    if (first != NULL && seeds == NULL) {
        count = 1;
    }
    for (uint64_t i = 0; i < count; i++) {
        hang_guard(100, "a sequence"); /* all of them take as long as they are many */
        run_sequence(&w, seed + i);
    }
    (void)system_umask(mask);
    epio_vfs_destroy(w.sides[1].vfs);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST_POSIX(memory_agrees_with_the_system, ON_OS_PERFORM,
                           "memory behaves as POSIX file systems do"),
    };
    return FIXTURE_RUN("tree_model", tests);
}
