/* See tree_copies.h. */
#include "tree_copies.h"

#define MOST_NAMES 40000u

static void join(char *path, size_t size, const char *directory, const char *name)
{
    int len = snprintf(path, size, "%s%s%s", directory, name[0] != '\0' ? "/" : "", name);
    check(len > 0 && (size_t)len < size);
}

/* ---- Making ---- */

static void put_file(epio_vfs *vfs, const char *path, size_t len)
{
    static unsigned char data[200000];
    epio_op op = {0};
    pattern_fill(data, len, len);
    check_result(epio_perform(epio_open(&op, vfs, path,
                                        EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE)),
                 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_write(&op, file, data, len, 0)), len);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static uint64_t make(epio_vfs *vfs, const char *path, unsigned depth, unsigned width)
{
    static const size_t sizes[] = {0, 1, 100, 5000, 70000, 200000, 33};
    epio_op op = {0};
    char inner[1024];
    char name[32];
    uint64_t made = 1;
    check_result(epio_perform(epio_mkdir(&op, vfs, path, 0)), 0);
    for (unsigned i = 0; i < width; i++) {
        (void)snprintf(name, sizeof name, "file %u", i);
        join(inner, sizeof inner, path, name);
        put_file(vfs, inner, sizes[(i + depth) % (sizeof sizes / sizeof sizes[0])]);
        made++;
        if (depth != 0 && i < 3) {
            (void)snprintf(name, sizeof name, "directory %u", i);
            join(inner, sizeof inner, path, name);
            made += make(vfs, inner, depth - 1, width);
        }
    }
    return made;
}

static epio_vfs *vfs_for_making(fixture *f)
{
    return f->memory ? f->memory_vfs : epio_os_vfs();
}

uint64_t tree_make_sample(fixture *f, const char *name, unsigned depth, unsigned width)
{
    return make(vfs_for_making(f), fixture_path(f, name), depth, width);
}

/* ---- Comparing ---- */

typedef struct listing {
    uint64_t count;
    char *paths[MOST_NAMES];
    uint32_t types[MOST_NAMES];
} listing;

static listing *lists[2];
static listing *filling;

static bool note(epio_op *op, epio_walk_entry *entries, size_t count)
{
    (void)op;
    for (size_t i = 0; i < count; i++) {
        check(filling->count < MOST_NAMES && entries[i].error == 0);
        filling->paths[filling->count] = strdup(entries[i].path);
        filling->types[filling->count++] = entries[i].type;
    }
    return true;
}

static void list_all(epio_vfs *vfs, const char *path, unsigned which)
{
    epio_op op = {0};
    epio_walk_options options = {
        .size = sizeof options, .flags = EPIO_WALK_SORTED | EPIO_WALK_STAT, .entries = note};
    lists[which] = calloc(1, sizeof(listing));
    filling = lists[which];
    check(filling != NULL);
    int64_t reported = epio_perform(epio_walk(&op, vfs, path, &options));
    check_result(reported, filling->count);
}

static void drop(unsigned which)
{
    for (uint64_t i = 0; i < lists[which]->count; i++) {
        free(lists[which]->paths[i]);
    }
    free(lists[which]);
}

static unsigned char *content(epio_vfs *vfs, const char *path, size_t len)
{
    epio_op op = {0};
    unsigned char *data = malloc(len + 1);
    check(data != NULL);
    check_result(epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_READ)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_read(&op, file, data, len, 0)), len);
    check_result(epio_perform(epio_close(&op, file)), 0);
    return data;
}

static void check_file(epio_vfs *vfs, const char *path, epio_vfs *other_vfs, const char *other,
                       bool modes)
{
    epio_op op = {0};
    epio_info infos[2] = {{.size = sizeof(epio_info)}, {.size = sizeof(epio_info)}};
    char targets[2][1024];
    check_result(epio_perform(epio_stat(&op, vfs, path, &infos[0], EPIO_STAT_NOFOLLOW)), 0);
    check_result(epio_perform(epio_stat(&op, other_vfs, other, &infos[1], EPIO_STAT_NOFOLLOW)), 0);
    check_result(infos[0].type, infos[1].type);
    if (modes && infos[0].type != EPIO_TYPE_LINK) {
        check_result(infos[0].mode, infos[1].mode);
    }
    if (infos[0].type == EPIO_TYPE_FILE) {
        check_result(infos[0].bytes, infos[1].bytes);
        unsigned char *one = content(vfs, path, (size_t)infos[0].bytes);
        unsigned char *two = content(other_vfs, other, (size_t)infos[0].bytes);
        check(memcmp(one, two, (size_t)infos[0].bytes) == 0);
        free(one);
        free(two);
    } else if (infos[0].type == EPIO_TYPE_LINK) {
        check(epio_perform(epio_read_link(&op, vfs, path, targets[0], sizeof targets[0])) >= 0);
        check(epio_perform(epio_read_link(&op, other_vfs, other, targets[1], sizeof targets[1])) >=
              0);
        check(strcmp(targets[0], targets[1]) == 0);
    }
}

uint64_t tree_check_same(epio_vfs *vfs, const char *path, epio_vfs *other_vfs, const char *other,
                         bool modes)
{
    char one[4096];
    char two[4096];
    list_all(vfs, path, 0);
    list_all(other_vfs, other, 1);
    uint64_t count = lists[0]->count;
    check_result(count, lists[1]->count);
    check_file(vfs, path, other_vfs, other, modes);
    for (uint64_t i = 0; i < count; i++) {
        check(strcmp(lists[0]->paths[i], lists[1]->paths[i]) == 0);
        join(one, sizeof one, path, lists[0]->paths[i]);
        join(two, sizeof two, other, lists[0]->paths[i]);
        check_file(vfs, one, other_vfs, two, modes);
    }
    drop(0);
    drop(1);
    return count + 1;
}

uint64_t tree_count(epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    if (epio_perform(epio_stat(&op, vfs, path, &info, EPIO_STAT_NOFOLLOW)) < 0) {
        return 0;
    }
    if (info.type != EPIO_TYPE_DIRECTORY) {
        return 1;
    }
    int64_t count = epio_perform(epio_walk(&op, vfs, path, NULL));
    check(count >= 0);
    return (uint64_t)count + 1;
}

/* ---- Errors ---- */

tree_errors tree_errors_seen;

uint32_t tree_note_error(epio_op *op, const epio_tree_error *error)
{
    tree_errors *errors = &tree_errors_seen;
    check(!errors->running && thread_self() == errors->thread);
    errors->running = true;
    errors->count++;
    errors->last = *error;
    check(strlen(error->path) < sizeof errors->path);
    memcpy(errors->path, error->path, strlen(error->path) + 1);
#if EPIO_ASYNC
    if (errors->cancels) {
        epio_cancel(op);
    }
#else
    (void)op;
#endif
    errors->running = false;
    if (errors->answer == EPIO_ON_ERROR_AGAIN && errors->again-- == 0) {
        errors->again = 0;
        return EPIO_ON_ERROR_SKIP;
    }
    return errors->answer;
}
