/* Random sequences of verbs on trees, carried out in a directory of the system and in the memory
 * VFS: results and trees must be the same after each op. EPIO_MODEL_SEEDS sets how many sequences;
 * a failure prints its seed and ops: EPIO_TEST_SEED repeats it. Owners keep all permissions, as
 * the tests may run as a user whom permissions do not concern. EPIO_TEST_ONCE. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <epio/vfs.h>

enum {
    OPS = 200,
    HANDLES = 4,
    DEPTH = 60,      /* of the directory, so that no ".." leads out of the test's */
    MOST_NODES = 400 /* of a tree */
};

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define BASE HANDLES /* instead of a handle: where the tree is */
#define PATH_ROOM 512
#define LIST_ROOM 16384

/* Times that are set are before it, others behind. */
#define EARLIER INT64_C(1600000000000000000)

/* One op, for both sides. */
typedef struct action {
    uint32_t kind;
    size_t at;     /* the handle at which paths begin, or BASE */
    size_t handle; /* whose file it is; for an open where it goes */
    char path[PATH_ROOM];
    char to[PATH_ROOM];
    uint32_t flags;
    uint64_t offset;
    size_t len;
    int64_t modified;
    int64_t accessed;
    uint32_t mode;
    uint32_t user;
    uint32_t group;
} action;

/* What came of it. */
typedef struct outcome {
    int64_t result;
    epio_info info;
    char buffer[LIST_ROOM];
} outcome;

typedef struct side {
    epio_vfs *vfs; /* the whole */
    epio_file *base;
    epio_file *handles[HANDLES];
    outcome last;
} side;

typedef struct world {
    fixture *f;
    side sides[2]; /* the system, memory */
    random_source random;
    uint64_t seed;
    char top[PATH_ROOM];      /* the absolute path of the sequence's directory */
    char absolute[PATH_ROOM]; /* and of the tree */
    bool privileged;          /* may change owners */
    bool exchanges;           /* the system can */
    bool counts;              /* the system counts a directory's subdirectories as links */
    action log[OPS];
    size_t done;
} world;

/* ---- Failures ---------------------------------------------------------- */

static void print_action(size_t number, const action *one)
{
    print_error("%3u %s at=%u handle=%u '%s' '%s' flags=%x mode=%o offset=%llu len=%llu\n",
                (unsigned)number, epio_kind_name(one->kind), (unsigned)one->at,
                (unsigned)one->handle, one->path, one->to, one->flags, one->mode,
                (unsigned long long)one->offset, (unsigned long long)one->len);
}

static void differ(const world *w, const char *what, const char *where)
{
    size_t first = getenv("EPIO_TEST_SEED") != NULL || w->done < 30 ? 0 : w->done - 30;
    for (size_t i = first; i <= w->done && i < OPS; i++) {
        print_action(i, &w->log[i]);
    }
    print_error("%s differs at '%s'; EPIO_TEST_SEED=%llu repeats it\n", what, where,
                (unsigned long long)w->seed);
    fail();
}

static void compare(const world *w, int64_t system, int64_t memory, const char *what,
                    const char *where)
{
    if (system != memory) {
        print_error("the system: %lld (%s), memory: %lld (%s)\n", (long long)system,
                    epio_error_name(system), (long long)memory, epio_error_name(memory));
        differ(w, what, where);
    }
}

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

/* ---- Comparing --------------------------------------------------------- */

static int64_t class_of_time(int64_t time)
{
    return time < EARLIER ? time : EARLIER; /* those that nobody set are all alike */
}

static void compare_infos(const world *w, const epio_info *system, const epio_info *memory,
                          const char *where)
{
    bool directory = system->type == EPIO_TYPE_DIRECTORY;
    compare(w, system->type, memory->type, "the type", where);
    compare(w, system->mode, memory->mode, "the mode", where);
    if (w->privileged) {
        compare(w, system->user, memory->user, "the user", where);
        compare(w, system->group, memory->group, "the group", where);
    }
    if (!directory || w->counts) {
        compare(w, (int64_t)system->links, (int64_t)memory->links, "the number of links", where);
    }
    if (!directory) {
        compare(w, (int64_t)system->bytes, (int64_t)memory->bytes, "the length", where);
    }
    compare(w, class_of_time(system->modified), class_of_time(memory->modified), "`modified`",
            where);
    check(memory->known == (EPIO_INFO_CHANGED * 2 * 2 - 1 - EPIO_INFO_ATTRIBUTES));
}

typedef struct name_list {
    const epio_entry *entries[64];
    size_t count;
    _Alignas(uint64_t) char buffer[LIST_ROOM];
} name_list;

static int by_name(const void *one, const void *other)
{
    return strcmp(epio_entry_name(*(const epio_entry *const *)one),
                  epio_entry_name(*(const epio_entry *const *)other));
}

static void sort_entries(name_list *list, size_t len)
{
    list->count = 0;
    for (const epio_entry *one = epio_entry_next(list->buffer, len, NULL); one != NULL;
         one = epio_entry_next(list->buffer, len, one)) {
        check(list->count < sizeof list->entries / sizeof list->entries[0]);
        list->entries[list->count++] = one;
    }
    qsort(list->entries, list->count, sizeof list->entries[0], by_name);
}

/* Nodes met in a comparison of trees, to compare which of them are the same. */
static struct {
    uint64_t ids[2][MOST_NODES];
    size_t count;
} met;

static void note_node(const world *w, const epio_info infos[2], const char *where)
{
    check(met.count < MOST_NODES);
    for (size_t i = 0; i < met.count; i++) {
        bool same = met.ids[0][i] == infos[0].id[0];
        compare(w, same, met.ids[1][i] == infos[1].id[0], "which node it is", where);
    }
    for (size_t i = 0; i < 2; i++) {
        met.ids[i][met.count] = infos[i].id[0];
    }
    met.count++;
}

static void compare_contents(const world *w, epio_vfs *const vfses[2], const char *path)
{
    static char found[2][16384];
    int64_t len[2];
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        check_result(epio_perform(epio_open(&op, vfses[i], path, EPIO_OPEN_READ)), 0);
        epio_file *file = op.file;
        len[i] = epio_perform(epio_read(&op, file, found[i], sizeof found[i], 0));
        check_result(epio_perform(epio_close(&op, file)), 0);
    }
    compare(w, len[0], len[1], "the length of the content", path);
    compare(w, 0, memcmp(found[0], found[1], (size_t)len[0]), "the content", path);
}

static void compare_targets(const world *w, epio_vfs *const vfses[2], const char *path)
{
    char found[2][PATH_ROOM];
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        check(epio_perform(epio_read_link(&op, vfses[i], path, found[i], PATH_ROOM)) > 0);
    }
    compare(w, 0, strcmp(found[0], found[1]), "the target", path);
}

static void compare_directories(const world *w, epio_vfs *const vfses[2], const char *path,
                                bool contents);

static void compare_nodes(const world *w, epio_vfs *const vfses[2], const epio_entry *const both[2],
                          bool contents)
{
    const char *name = epio_entry_name(both[0]);
    epio_info infos[2];
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        infos[i].size = sizeof infos[i];
        check_result(epio_perform(epio_stat(&op, vfses[i], name, &infos[i], EPIO_STAT_NOFOLLOW)),
                     0);
        check(both[i]->id == infos[i].id[0]);
        check(both[i]->type == infos[i].type || both[i]->type == EPIO_TYPE_UNKNOWN);
    }
    compare_infos(w, &infos[0], &infos[1], name);
    note_node(w, infos, name);
    if (infos[0].type == EPIO_TYPE_DIRECTORY) {
        compare_directories(w, vfses, name, contents);
    } else if (infos[0].type == EPIO_TYPE_LINK) {
        compare_targets(w, vfses, name);
    } else if (contents) {
        compare_contents(w, vfses, name);
    }
}

static void compare_directories(const world *w, epio_vfs *const vfses[2], const char *path,
                                bool contents)
{
    name_list *lists = calloc(2, sizeof *lists);
    epio_file *files[2];
    epio_vfs *within[2];
    check(lists != NULL);
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        check_result(
            epio_perform(epio_open(&op, vfses[i], path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)), 0);
        files[i] = op.file;
        within[i] = epio_directory_vfs(files[i]);
        int64_t len = epio_perform(epio_list(&op, files[i], lists[i].buffer, LIST_ROOM, 0));
        sort_entries(&lists[i], len > 0 ? (size_t)len : 0);
        compare(w, len < 0, len == EPIO_ENOENT, "the end of a list", path);
    }
    compare(w, (int64_t)lists[0].count, (int64_t)lists[1].count, "the number of entries", path);
    for (size_t at = 0; at < lists[0].count; at++) {
        const epio_entry *const both[2] = {lists[0].entries[at], lists[1].entries[at]};
        compare(w, 0, strcmp(epio_entry_name(both[0]), epio_entry_name(both[1])), "a name",
                epio_entry_name(both[0]));
        compare_nodes(w, within, both, contents);
    }
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        check_result(epio_perform(epio_close(&op, files[i])), 0);
    }
    free(lists);
}

static void compare_trees(const world *w, bool contents)
{
    epio_vfs *const vfses[2] = {epio_directory_vfs(w->sides[0].base),
                                epio_directory_vfs(w->sides[1].base)};
    met.count = 0;
    compare_directories(w, vfses, ".", contents);
}

static void compare_lists(const world *w, int64_t system, int64_t memory)
{
    static name_list lists[2];
    const int64_t lens[2] = {system, memory};
    for (size_t i = 0; i < 2; i++) {
        memcpy(lists[i].buffer, w->sides[i].last.buffer, (size_t)(lens[i] > 0 ? lens[i] : 0));
        sort_entries(&lists[i], (size_t)(lens[i] > 0 ? lens[i] : 0));
    }
    compare(w, (int64_t)lists[0].count, (int64_t)lists[1].count, "the length of a list", ".");
    for (size_t i = 0; i < lists[0].count; i++) {
        compare(w, 0,
                strcmp(epio_entry_name(lists[0].entries[i]), epio_entry_name(lists[1].entries[i])),
                "a name of a list", epio_entry_name(lists[0].entries[i]));
    }
}

static void compare_outcomes(const world *w, const action *one)
{
    const outcome *system = &w->sides[0].last;
    const outcome *memory = &w->sides[1].last;
    if (one->kind == EPIO_KIND_LIST && system->result >= 0 && memory->result >= 0) {
        compare_lists(w, system->result, memory->result);
        return;
    }
    compare(w, system->result, memory->result, "the result", one->path);
    if (system->result < 0) {
        return;
    }
    if (one->kind == EPIO_KIND_STAT || one->kind == EPIO_KIND_FILE_STAT) {
        compare_infos(w, &system->info, &memory->info, one->path);
    } else if (one->kind == EPIO_KIND_READ || one->kind == EPIO_KIND_READ_LINK ||
               one->kind == EPIO_KIND_FULL_PATHNAME) {
        compare(w, 0, memcmp(system->buffer, memory->buffer, (size_t)system->result),
                "what was read", one->path);
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
    sort_entries(list, (size_t)len);
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
        compare_outcomes(w, one);
        forget_attempt(w, one);
        compare_trees(w, w->done % 16 == 0 || w->done + 1 == OPS);
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
