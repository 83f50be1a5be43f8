/* See replay.h. */
#include "replay.h"

/* The content, and the target, of what was made or changed, and has not been fetched yet. */
#define STALE "\001stale\001"

struct replay {
    epio_vfs *from;
    char *directory;
    epio_vfs *copy;
    size_t events;
    size_t missed;
    bool overflowed;
    bool ended;
    size_t differences;
};

static int64_t run(epio_op *op)
{
    return epio_perform(op);
}

static void succeeds(const char *what, const char *path, int64_t result)
{
    if (result < 0) {
        print_error("replay: %s %s: %s\n", what, path, epio_error_name((int)result));
        abort();
    }
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static char *joined(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = allocate(size);
    (void)snprintf(path, size, "%s%s%s", directory, *name != '\0' ? "/" : "", name);
    return path;
}

/* EPIO_TYPE_...; 0: there is none, which is no type that a file has here. */
static uint32_t type_of(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    int64_t result = run(epio_stat(&op, vfs, path, &info, EPIO_STAT_NOFOLLOW));
    if (result == EPIO_ENOENT || result == EPIO_ENOTDIR || result == EPIO_ELOOP) {
        return EPIO_TYPE_UNKNOWN;
    }
    succeeds("stat", path, result);
    return info.type;
}

/* ---- The copy ------------------------------------------------------------ */

static epio_file *open_file(epio_vfs *vfs, const char *path, uint32_t flags)
{
    epio_op op = {0};
    succeeds("open", path, run(epio_open(&op, vfs, path, flags)));
    return op.file;
}

static void close_file(epio_file *file)
{
    epio_op op = {0};
    succeeds("close", "", run(epio_close(&op, file)));
}

static void mark_stale(const replay *one, const char *path)
{
    epio_op op = {0};
    epio_file *file =
        open_file(one->copy, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE);
    succeeds("write", path, run(epio_write(&op, file, STALE, sizeof STALE, 0)));
    close_file(file);
}

static void remove_all(const replay *one, const char *path);

/* Beginning anew after each, as the list changes. */
static void empty_directory(const replay *one, const char *path)
{
    uint64_t buffer[512];
    for (;;) {
        epio_op op = {0};
        epio_file *directory = open_file(one->copy, path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
        int64_t len = run(epio_list(&op, directory, buffer, sizeof buffer, 0));
        succeeds("list", path, len);
        close_file(directory);
        if (len == 0) {
            return;
        }
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
            char *name = joined(path, epio_entry_name(entry));
            remove_all(one, name);
            free(name);
        }
    }
}

static void remove_all(const replay *one, const char *path)
{
    epio_op op = {0};
    switch (type_of(one->copy, path)) {
    case EPIO_TYPE_UNKNOWN:
        return;
    case EPIO_TYPE_DIRECTORY:
        empty_directory(one, path);
        succeeds("rmdir", path, run(epio_rmdir(&op, one->copy, path, 0)));
        return;
    default:
        succeeds("delete", path, run(epio_delete(&op, one->copy, path, 0)));
        return;
    }
}

/* Those above a name are directories, whether their events came or not: the comparison finds what
 * should not be there. */
static void make_parents(const replay *one, const char *path)
{
    const char *end = strrchr(path, '/');
    epio_op op = {0};
    if (end == NULL || end == path) {
        return;
    }
    char *parent = allocate((size_t)(end - path) + 1);
    memcpy(parent, path, (size_t)(end - path));
    parent[end - path] = '\0';
    if (type_of(one->copy, parent) != EPIO_TYPE_DIRECTORY) {
        make_parents(one, parent);
        remove_all(one, parent);
        succeeds("mkdir", parent, run(epio_mkdir(&op, one->copy, parent, 0)));
    }
    free(parent);
}

static void make(const replay *one, const char *path, uint32_t type)
{
    epio_op op = {0};
    uint32_t before = type_of(one->copy, path);
    if (type == EPIO_TYPE_DIRECTORY && before == type) {
        return;
    }
    make_parents(one, path);
    if (before != EPIO_TYPE_UNKNOWN && (before != type || type != EPIO_TYPE_FILE)) {
        remove_all(one, path);
    }
    if (type == EPIO_TYPE_DIRECTORY) {
        succeeds("mkdir", path, run(epio_mkdir(&op, one->copy, path, 0)));
    } else if (type == EPIO_TYPE_LINK) {
        succeeds("symlink", path, run(epio_symlink(&op, one->copy, STALE, path, 0)));
    } else {
        mark_stale(one, path);
    }
}

/* ---- Copying and comparing ----------------------------------------------- */

static uint64_t size_of(epio_file *file)
{
    epio_op op = {0};
    int64_t size = run(epio_size(&op, file));
    succeeds("size", "", size);
    return (uint64_t)size;
}

static char *content_of(epio_vfs *vfs, const char *path, uint64_t *len)
{
    epio_op op = {0};
    epio_file *file = open_file(vfs, path, EPIO_OPEN_READ);
    *len = size_of(file);
    char *content = allocate((size_t)*len + 1);
    int64_t count = run(epio_read(&op, file, content, (size_t)*len, 0));
    succeeds("read", path, count);
    *len = (uint64_t)count;
    close_file(file);
    return content;
}

static void target_of(epio_vfs *vfs, const char *path, char *target, size_t size)
{
    epio_op op = {0};
    succeeds("read_link", path, run(epio_read_link(&op, vfs, path, target, size)));
}

/* Of a file or link of the same type. */
static void fetch(const replay *one, const char *from, const char *path, uint32_t type)
{
    epio_op op = {0};
    uint64_t len;
    if (type == EPIO_TYPE_LINK) {
        char target[4096];
        target_of(one->from, from, target, sizeof target);
        remove_all(one, path);
        succeeds("symlink", path, run(epio_symlink(&op, one->copy, target, path, 0)));
        return;
    }
    char *content = content_of(one->from, from, &len);
    epio_file *file = open_file(one->copy, path, EPIO_OPEN_WRITE | EPIO_OPEN_TRUNCATE);
    succeeds("write", path, run(epio_write(&op, file, content, (size_t)len, 0)));
    close_file(file);
    free(content);
}

static bool is_stale(const replay *one, const char *path, uint32_t type)
{
    if (type == EPIO_TYPE_LINK) {
        char target[4096];
        target_of(one->copy, path, target, sizeof target);
        return strcmp(target, STALE) == 0;
    }
    uint64_t len;
    char *content = content_of(one->copy, path, &len);
    bool stale = len == sizeof STALE && memcmp(content, STALE, sizeof STALE) == 0;
    free(content);
    return stale;
}

static bool has_same(const replay *one, const char *from, const char *path, uint32_t type)
{
    if (type == EPIO_TYPE_LINK) {
        char target[4096], copy[4096];
        target_of(one->from, from, target, sizeof target);
        target_of(one->copy, path, copy, sizeof copy);
        return strcmp(target, copy) == 0;
    }
    uint64_t len, len_of_copy;
    char *content = content_of(one->from, from, &len);
    char *copy = content_of(one->copy, path, &len_of_copy);
    bool same = len == len_of_copy && memcmp(content, copy, (size_t)len) == 0;
    free(content);
    free(copy);
    return same;
}

/* An entry of one tree, and the path of that name in the other. */
typedef struct visit {
    replay *one;
    void (*entry)(replay *one, const char *name, uint32_t type);
} visit;

static bool visit_entries(epio_op *op, epio_walk_entry *entries, size_t count)
{
    const visit *each = op->user;
    for (size_t i = 0; i < count; i++) {
        succeeds("walk", entries[i].path, entries[i].error);
        each->entry(each->one, entries[i].path, entries[i].type);
    }
    return true;
}

static void walk(replay *one, epio_vfs *vfs, const char *directory,
                 void (*entry)(replay *one, const char *name, uint32_t type))
{
    const epio_walk_options options = {
        .size = sizeof options, .flags = EPIO_WALK_STAT, .entries = visit_entries};
    visit each = {one, entry};
    epio_op op = {.user = &each};
    succeeds("walk", directory, run(epio_walk(&op, vfs, directory, &options)));
}

static void copy_entry(replay *one, const char *name, uint32_t type)
{
    char *path = joined("", name);
    char *from = joined(one->directory, name);
    make(one, path, type);
    if (type == EPIO_TYPE_FILE || type == EPIO_TYPE_LINK) {
        fetch(one, from, path, type);
    }
    free(from);
    free(path);
}

static void differs(replay *one, const char *name, const char *how)
{
    if (one->differences++ < 20) {
        print_error("replay: %s %s\n", name, how);
    }
}

static void compare_entry(replay *one, const char *name, uint32_t type)
{
    char *path = joined("", name);
    char *from = joined(one->directory, name);
    uint32_t copy = type_of(one->copy, path);
    bool no_directory = copy == EPIO_TYPE_FILE || copy == EPIO_TYPE_LINK;
    if (copy != type && type != EPIO_TYPE_DIRECTORY && no_directory && is_stale(one, path, copy)) {
        make(one, path, type); /* its event did not say which it is */
        copy = type;
    }
    if (copy == EPIO_TYPE_UNKNOWN) {
        differs(one, name, "is missing in the copy");
    } else if (copy != type) {
        differs(one, name, "has another type in the copy");
    } else if (type == EPIO_TYPE_FILE || type == EPIO_TYPE_LINK) {
        if (is_stale(one, path, type)) {
            fetch(one, from, path, type);
        }
        if (!has_same(one, from, path, type)) {
            differs(one, name, "has other bytes in the copy, and no event");
        }
    }
    free(from);
    free(path);
}

static void compare_copied(replay *one, const char *name, uint32_t type)
{
    (void)type;
    char *from = joined(one->directory, name);
    if (type_of(one->from, from) == EPIO_TYPE_UNKNOWN) {
        differs(one, name, "is in the copy alone");
    }
    free(from);
}

size_t replay_differences(replay *one)
{
    one->differences = 0;
    if (!one->overflowed && one->ended) {
        one->differences = type_of(one->from, one->directory) == EPIO_TYPE_UNKNOWN ? 0 : 1;
    } else if (!one->overflowed) {
        walk(one, one->from, one->directory, compare_entry);
        walk(one, one->copy, "/", compare_copied);
    }
    return one->differences;
}

/* ---- Events -------------------------------------------------------------- */

replay *replay_begin(epio_vfs *vfs, const char *directory)
{
    replay *one = allocate(sizeof *one);
    *one = (replay){.from = vfs};
    one->directory = joined(directory, "");
    require(epio_memory_vfs_create(&one->copy, NULL) == 0);
    walk(one, vfs, directory, copy_entry);
    return one;
}

void replay_free(replay *one)
{
    epio_vfs_destroy(one->copy);
    free(one->directory);
    free(one);
}

size_t replay_count(const replay *one)
{
    return one->events;
}

size_t replay_missed(const replay *one)
{
    return one->missed;
}

bool replay_overflowed(const replay *one)
{
    return one->overflowed;
}

bool replay_ended(const replay *one)
{
    return one->ended;
}

static void apply_made(const replay *one, const char *name, uint32_t type)
{
    char *path = joined("", name);
    if (type == EPIO_TYPE_UNKNOWN) {
        char *from = joined(one->directory, name);
        type = type_of(one->from, from);
        type = type == EPIO_TYPE_DIRECTORY ? EPIO_TYPE_FILE : type; /* that is another by now */
        free(from);
    }
    make(one, path, type != EPIO_TYPE_UNKNOWN ? type : EPIO_TYPE_FILE);
    free(path);
}

static void apply_changed(const replay *one, const char *name)
{
    char *path = joined("", name);
    if (type_of(one->copy, path) == EPIO_TYPE_FILE) {
        mark_stale(one, path);
    }
    free(path);
}

static void apply_removed(const replay *one, const char *name)
{
    char *path = joined("", name);
    remove_all(one, path);
    free(path);
}

static void apply_renamed(replay *one, const char *from, const char *name, uint32_t type)
{
    char *old = joined("", from);
    char *path = joined("", name);
    epio_op op = {0};
    if (type_of(one->copy, old) == EPIO_TYPE_UNKNOWN) {
        one->missed++;
        apply_made(one, name, type);
    } else if (strcmp(old, path) != 0) {
        make_parents(one, path);
        remove_all(one, path);
        succeeds("rename", path, run(epio_rename(&op, one->copy, old, path, 0)));
    }
    free(path);
    free(old);
}

static void check_form(const epio_event *event, size_t left)
{
    const char *name = epio_event_name(event);
    const char *from = epio_event_from(event);
    require(event->size % sizeof(uint64_t) == 0 && event->size <= left);
    require(sizeof *event + event->name_len + event->from_len + 2 <= event->size);
    require(strlen(name) == event->name_len && strlen(from) == event->from_len);
    require((event->from_len != 0) == (event->kind == EPIO_EVENT_RENAMED));
    require(event->reserved[0] == 0 && event->reserved[1] == 0);
    require(name[0] != '/' && (event->name_len == 0 || name[event->name_len - 1] != '/'));
    if (event->name_len == 0) {
        require(event->kind == EPIO_EVENT_OVERFLOW || event->kind == EPIO_EVENT_REMOVED);
    }
}

static void apply(replay *one, const epio_event *event)
{
    const char *name = epio_event_name(event);
    one->events++;
    switch (event->kind) {
    case EPIO_EVENT_MADE:
        apply_made(one, name, event->type);
        return;
    case EPIO_EVENT_CHANGED:
        apply_changed(one, name);
        return;
    case EPIO_EVENT_REMOVED:
        one->ended = one->ended || *name == '\0';
        if (*name != '\0') {
            apply_removed(one, name);
        }
        return;
    case EPIO_EVENT_RENAMED:
        apply_renamed(one, epio_event_from(event), name, event->type);
        return;
    case EPIO_EVENT_ATTRIBUTES:
        return;
    case EPIO_EVENT_OVERFLOW:
        one->overflowed = true;
        return;
    default:
        print_error("replay: an event of kind %u\n", (unsigned)event->kind);
        abort();
    }
}

void replay_apply(replay *one, const void *buffer, size_t len)
{
    const epio_event *event = NULL;
    while ((event = epio_event_next(buffer, len, event)) != NULL) {
        check_form(event, len - (size_t)((const char *)event - (const char *)buffer));
        if (!one->overflowed) {
            apply(one, event);
        }
    }
}

/* ---- Reading ------------------------------------------------------------- */

void event_log_append(event_log *log, const void *buffer, size_t len)
{
    if (len > log->capacity - log->len) {
        log->capacity = 2 * log->capacity + len;
        log->events = realloc(log->events, log->capacity);
        require(log->events != NULL);
    }
    memcpy((char *)log->events + log->len, buffer, len);
    log->len += len;
}

void event_log_free(event_log *log)
{
    free(log->events);
    *log = (event_log){0};
}

bool events_have_made(const void *buffer, size_t len, const char *name)
{
    const epio_event *event = NULL;
    while ((event = epio_event_next(buffer, len, event)) != NULL) {
        if (event->kind == EPIO_EVENT_MADE && strcmp(epio_event_name(event), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool have_overflow(const void *buffer, size_t len)
{
    const epio_event *event = NULL;
    while ((event = epio_event_next(buffer, len, event)) != NULL) {
        if (event->kind == EPIO_EVENT_OVERFLOW) {
            return true;
        }
    }
    return false;
}

void event_log_read(event_log *log, epio_file *watch, epio_vfs *vfs, const char *directory,
                    const char *last)
{
    uint64_t buffer[8192];
    char *path = joined(directory, last);
    for (bool over = false; !over;) {
        epio_op op = {0};
        int64_t len = run(epio_read_events(&op, watch, buffer, sizeof buffer));
        succeeds("read_events", directory, len);
        event_log_append(log, buffer, (size_t)len);
        over = len == 0 || events_have_made(buffer, (size_t)len, last) ||
               (have_overflow(buffer, (size_t)len) && type_of(vfs, path) != EPIO_TYPE_UNKNOWN);
    }
    free(path);
}

void event_describe(const epio_event *event, char *text, size_t size)
{
    static const char signs[] = {
        [EPIO_EVENT_MADE] = '+',    [EPIO_EVENT_CHANGED] = '*',    [EPIO_EVENT_REMOVED] = '-',
        [EPIO_EVENT_RENAMED] = '>', [EPIO_EVENT_ATTRIBUTES] = '@', [EPIO_EVENT_OVERFLOW] = '!'};
    bool known = event->kind != 0 && event->kind < sizeof signs;
    char sign = '?';
    if (known) {
        sign = signs[event->kind];
    }
    if (event->kind == EPIO_EVENT_RENAMED) {
        (void)snprintf(text, size, "> %s %s", epio_event_from(event), epio_event_name(event));
    } else {
        (void)snprintf(text, size, "%c %s", sign, epio_event_name(event));
    }
}
