/* See tree_model.h. */
#include "tree_model.h"

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

static int by_name(const void *one, const void *other)
{
    return strcmp(epio_entry_name(*(const epio_entry *const *)one),
                  epio_entry_name(*(const epio_entry *const *)other));
}

void model_sort_entries(name_list *list, size_t len)
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

static int by_text(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* The order of the names is each file system's own. */
static void compare_names(const world *w, const char *const lists[2], int64_t len,
                          const char *where)
{
    const char *names[2][8];
    for (size_t i = 0; i < 2; i++) {
        size_t count = 0;
        for (const char *at = lists[i]; at < lists[i] + len; at += strlen(at) + 1) {
            check(count < 8);
            names[i][count++] = at;
        }
        qsort(names[i], count, sizeof names[i][0], by_text);
        for (size_t j = 0; i == 1 && j < count; j++) {
            compare(w, 0, strcmp(names[0][j], names[1][j]), "the name of an attribute", where);
        }
    }
}

static void compare_attributes(const world *w, epio_vfs *const vfses[2], const char *path)
{
    static char found[2][256];
    static char values[2][4096];
    int64_t len[2];
    epio_op op = {0};
    for (size_t i = 0; i < 2; i++) {
        len[i] = epio_perform(
            epio_list_xattrs(&op, vfses[i], path, found[i], sizeof found[i], EPIO_XATTR_NOFOLLOW));
    }
    compare(w, len[0], len[1], "the length of the attributes' names", path);
    compare_names(w, (const char *const[2]){found[0], found[1]}, len[0], path);
    for (const char *at = found[0]; at < found[0] + len[0]; at += strlen(at) + 1) {
        int64_t size[2];
        for (size_t i = 0; i < 2; i++) {
            size[i] = epio_perform(
                epio_get_xattr(&op, vfses[i], path, at, values[i], sizeof values[i], 0));
        }
        compare(w, size[0], size[1], "the length of an attribute", path);
        compare(w, 0, memcmp(values[0], values[1], (size_t)size[0]), "an attribute", path);
    }
}

/* Where holes are depends on the sizes of blocks; but data and holes take turns up to the end, and
 * there are only zeros in holes. */
static void check_map(const world *w, epio_file *file, const char *found, int64_t len,
                      const char *path)
{
    epio_op op = {0};
    for (int64_t at = 0; at < len;) {
        int64_t data = epio_perform(epio_seek_data(&op, file, (uint64_t)at));
        if (data < at || data > len) {
            compare(w, data, at, "an offset of data", path);
        }
        for (; at < data; at++) {
            compare(w, found[at], 0, "a byte of a hole", path);
        }
        int64_t hole = epio_perform(epio_seek_hole(&op, file, (uint64_t)data));
        if (hole <= data ? data != len : hole > len) {
            compare(w, hole, data, "an offset of a hole", path);
        }
        at = hole;
    }
}

static void compare_contents(const world *w, epio_vfs *const vfses[2], const char *path)
{
    static char found[2][256 * 1024];
    int64_t len[2];
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        check_result(epio_perform(epio_open(&op, vfses[i], path, EPIO_OPEN_READ)), 0);
        epio_file *file = op.file;
        len[i] = epio_perform(epio_read(&op, file, found[i], sizeof found[i], 0));
        check(len[i] < (int64_t)sizeof found[i]);
        check_map(w, file, found[i], len[i], path);
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
    if (contents && w->attributes) {
        compare_attributes(w, vfses, name);
    }
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
        model_sort_entries(&lists[i], len > 0 ? (size_t)len : 0);
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

void model_compare_trees(const world *w, bool contents)
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
        model_sort_entries(&lists[i], (size_t)(lens[i] > 0 ? lens[i] : 0));
    }
    compare(w, (int64_t)lists[0].count, (int64_t)lists[1].count, "the length of a list", ".");
    for (size_t i = 0; i < lists[0].count; i++) {
        compare(w, 0,
                strcmp(epio_entry_name(lists[0].entries[i]), epio_entry_name(lists[1].entries[i])),
                "a name of a list", epio_entry_name(lists[0].entries[i]));
    }
}

/* Beneath a directory the system is asked only when both paths are known not to lead out of it, so
 * of two errors the second path's may come first; and what is resolved part by part has no room for
 * all that a long loop of links leaves to be done. With SYNC_DIR or EXACT an open that may not make
 * a file unnoticed is tried without CREATE, and says what else is wrong with "target/". */
static bool may_differ(const action *one, int64_t system, int64_t memory)
{
    uint32_t noticed = EPIO_OPEN_SYNC_DIR | EPIO_OPEN_EXACT;
    if (one->kind == EPIO_KIND_OPEN && (one->flags & noticed) != 0 && memory == EPIO_EISDIR &&
        (system == EPIO_ELOOP || system == EPIO_ENOTDIR)) {
        return true;
    }
    return one->at != BASE && ((one->kind == EPIO_KIND_LINK_FILE && system < 0 && memory < 0) ||
                               (system == EPIO_ENAMETOOLONG && memory == EPIO_ELOOP));
}

/* What is found is compared with the contents; here only whether it may be. */
static void compare_seeks(const world *w, const action *one)
{
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        int64_t found = w->sides[i].last.result;
        int64_t size = epio_perform(epio_size(&op, w->sides[i].handles[one->handle]));
        int64_t least = size < (int64_t)one->offset ? size : (int64_t)one->offset;
        if (found < least || found > size) {
            compare(w, found, least, "what was found", one->path);
        }
    }
}

void model_compare_outcomes(const world *w, const action *one)
{
    const outcome *system = &w->sides[0].last;
    const outcome *memory = &w->sides[1].last;
    if (one->kind == EPIO_KIND_SEEK_DATA || one->kind == EPIO_KIND_SEEK_HOLE) {
        compare_seeks(w, one);
        return;
    }
    if (one->kind == EPIO_KIND_LIST && system->result >= 0 && memory->result >= 0) {
        compare_lists(w, system->result, memory->result);
        return;
    }
    if (may_differ(one, system->result, memory->result)) {
        return;
    }
    compare(w, system->result, memory->result, "the result", one->path);
    if (system->result < 0) {
        return;
    }
    if (one->kind == EPIO_KIND_STAT || one->kind == EPIO_KIND_FILE_STAT) {
        compare_infos(w, &system->info, &memory->info, one->path);
    } else if ((one->kind == EPIO_KIND_LIST_XATTRS || one->kind == EPIO_KIND_FILE_LIST_XATTRS) &&
               one->len != 0) {
        compare_names(w, (const char *const[2]){w->sides[0].last.buffer, w->sides[1].last.buffer},
                      system->result, one->path);
    } else if ((one->kind == EPIO_KIND_GET_XATTR || one->kind == EPIO_KIND_FILE_GET_XATTR) &&
               one->len != 0) {
        compare(w, 0, memcmp(system->buffer, memory->buffer, (size_t)system->result),
                "an attribute", one->path);
    } else if (one->kind == EPIO_KIND_READ || one->kind == EPIO_KIND_READ_LINK ||
               one->kind == EPIO_KIND_FULL_PATHNAME) {
        compare(w, 0, memcmp(system->buffer, memory->buffer, (size_t)system->result),
                "what was read", one->path);
    }
}
