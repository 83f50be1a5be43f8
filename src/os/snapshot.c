/* See snapshot.h. */
#include "os/snapshot.h"

#include <stdlib.h>
#include <string.h>

typedef epio__snapshot_entry entry;

static const char *name_of(const epio__snapshot *snapshot, const entry *one)
{
    return snapshot->text + one->name;
}

void epio__snapshot_free(epio__snapshot *snapshot)
{
    free(snapshot->entries);
    free(snapshot->text);
    *snapshot = (epio__snapshot){0};
}

/* ---- Order ---- */

/* A slash is before all other bytes, so that what is in a directory follows it at once. */
static int order_of(unsigned char byte)
{
    return byte == '/' ? 1 : byte == '\0' ? 0 : byte + 1;
}

static int compare_names(const char *one, const char *other)
{
    while (*one == *other && *one != '\0') {
        one++;
        other++;
    }
    return order_of((unsigned char)*one) - order_of((unsigned char)*other);
}

static bool is_below(const char *name, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(name, directory, len) == 0 && name[len] == '/';
}

/* While they are sorted their names are pointers, as qsort passes nothing on. */
typedef struct sorted_entry {
    const char *name;
    entry value;
} sorted_entry;

static int compare_sorted(const void *one, const void *other)
{
    return compare_names(((const sorted_entry *)one)->name, ((const sorted_entry *)other)->name);
}

/* And leaves out what was reported a second time, which has no description. */
static bool sort(epio__snapshot *snapshot)
{
    size_t count = 0;
    sorted_entry *sorted = snapshot->count < SIZE_MAX / sizeof *sorted
                               ? malloc((snapshot->count + 1) * sizeof *sorted)
                               : NULL;
    if (sorted == NULL) {
        return false;
    }
    for (size_t i = 0; i < snapshot->count; i++) {
        sorted[i].value = snapshot->entries[i];
        sorted[i].name = name_of(snapshot, &snapshot->entries[i]);
    }
    qsort(sorted, snapshot->count, sizeof *sorted, compare_sorted);
    for (size_t i = 0; i < snapshot->count; i++) {
        bool again = count != 0 &&
                     strcmp(sorted[i].name, name_of(snapshot, &snapshot->entries[count - 1])) == 0;
        if (!again) {
            snapshot->entries[count++] = sorted[i].value;
        } else if (sorted[i].value.described) {
            snapshot->entries[count - 1] = sorted[i].value;
        }
    }
    snapshot->count = count;
    free(sorted);
    return true;
}

/* ---- Taking one ---- */

static bool reserve(void **memory, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity) {
        return true;
    }
    size_t more = *capacity * 2 > count ? *capacity * 2 : count + 64;
    void *larger = more < SIZE_MAX / size ? realloc(*memory, more * size) : NULL;
    if (larger == NULL) {
        return false;
    }
    *memory = larger;
    *capacity = more;
    return true;
}

static bool add(epio__snapshot *snapshot, const entry *value, const char *name)
{
    size_t size = strlen(name) + 1;
    void *entries = snapshot->entries;
    void *text = snapshot->text;
    bool has_room = reserve(&entries, &snapshot->capacity, snapshot->count + 1, sizeof *value);
    has_room = reserve(&text, &snapshot->text_capacity, snapshot->text_len + size, 1) && has_room;
    snapshot->entries = entries;
    snapshot->text = text;
    if (!has_room) {
        return false;
    }
    entry *added = &snapshot->entries[snapshot->count++];
    *added = *value;
    added->name = snapshot->text_len;
    memcpy(snapshot->text + snapshot->text_len, name, size);
    snapshot->text_len += size;
    return true;
}

typedef struct taking {
    epio__snapshot *snapshot;
    const epio__snapshot *before;
    const uint32_t *stop;
    bool lacks_memory;
} taking;

static bool add_from_before(const taking *to, const char *directory)
{
    for (size_t i = 0; i < to->before->count; i++) {
        const entry *old = &to->before->entries[i];
        if (is_below(name_of(to->before, old), directory) &&
            !add(to->snapshot, old, name_of(to->before, old))) {
            return false;
        }
    }
    return true;
}

static bool add_walked(const taking *to, const epio_walk_entry *from)
{
    entry value = {.type = from->type};
    const epio_info *info = from->info;
    if (info != NULL) {
        value.described = true;
        value.mode = info->mode;
        value.user = info->user;
        value.group = info->group;
        value.attributes = info->attributes;
        value.device = info->device;
        value.id[0] = info->id[0];
        value.id[1] = info->id[1];
        value.bytes = info->bytes;
        value.modified = info->modified;
        value.changed = info->changed;
    }
    if (!add(to->snapshot, &value, from->path)) {
        return false;
    }
    bool unlisted = from->error != 0 && from->type == EPIO_TYPE_DIRECTORY;
    return !unlisted || add_from_before(to, from->path);
}

static bool take_entries(epio_op *op, epio_walk_entry *entries, size_t count)
{
    taking *to = op->user;
    for (size_t i = 0; i < count && !to->lacks_memory; i++) {
        to->lacks_memory = !add_walked(to, &entries[i]);
    }
    return !to->lacks_memory && epio__load_u32(to->stop) == 0;
}

/* A directory that was removed is open still, and empty. */
static int64_t check_exists(epio_file *directory, int32_t *os_error)
{
    uint64_t buffer[256];
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    int64_t result =
        epio_perform(epio_list(&op, directory, buffer, sizeof buffer, EPIO_LIST_REWIND));
    *os_error = op.os_error;
    if (result != 0) {
        return result > 0 ? 0 : result;
    }
    result = epio_perform(epio_file_stat(&op, directory, &info));
    *os_error = op.os_error;
    bool gone = result == 0 && (info.known & EPIO_INFO_LINKS) != 0 && info.links == 0;
    return gone ? EPIO_ENOENT : result;
}

int64_t epio__snapshot_take(epio__snapshot *snapshot, epio_file *directory, bool recursive,
                            const epio__snapshot *before, const uint32_t *stop, int32_t *os_error)
{
    const epio_walk_options options = {.size = sizeof options,
                                       .flags = EPIO_WALK_STAT,
                                       .most_depth = recursive ? 0 : 1,
                                       .entries = take_entries};
    taking to = {.snapshot = snapshot, .before = before, .stop = stop};
    epio_op op = {.user = &to};
    *snapshot = (epio__snapshot){0};
    int64_t result = check_exists(directory, os_error);
    if (result == 0) {
        result = epio_perform(epio_walk(&op, epio_directory_vfs(directory), ".", &options));
        *os_error = op.os_error;
    }
    if (result >= 0) {
        result = check_exists(directory, os_error); /* else it was removed meanwhile */
    }
    if (to.lacks_memory || (result == 0 && !sort(snapshot))) {
        result = EPIO_ENOMEM;
    }
    if (result < 0) {
        epio__snapshot_free(snapshot);
    }
    return result;
}

/* ---- Comparing ---- */

/* What became of an entry. */
enum { SAME, GONE_OR_NEW, CHANGED, ATTRIBUTES };

/* 0: the system cannot tell, as Wine cannot of what is open while a directory above it moves. */
static bool is_same_device(uint64_t before, uint64_t after)
{
    return before == after || before == 0 || after == 0;
}

static bool is_same_node(const entry *before, const entry *after)
{
    if (before->type != after->type) {
        return false;
    }
    return !before->described || !after->described ||
           (is_same_device(before->device, after->device) && before->id[0] == after->id[0] &&
            before->id[1] == after->id[1]);
}

static uint8_t fate_of(const entry *before, const entry *after)
{
    if (!before->described || !after->described) {
        return SAME;
    }
    bool modified = before->bytes != after->bytes || before->modified != after->modified;
    if (modified && after->type == EPIO_TYPE_FILE) {
        return CHANGED;
    }
    bool attributes = before->mode != after->mode || before->user != after->user ||
                      before->group != after->group || before->attributes != after->attributes;
    return attributes || (!modified && before->changed != after->changed) ? ATTRIBUTES : SAME;
}

/* What each entry of both means, or NULL: no memory. */
typedef struct fates {
    uint8_t *before;
    uint8_t *after;
} fates;

/* All below a directory that is another now is new, too, as its REMOVED takes all with it. */
static void find_fates(const fates *to, const epio__snapshot *before, const epio__snapshot *after)
{
    const char *replaced = NULL;
    for (size_t i = 0, j = 0; i < before->count || j < after->count;) {
        int order = i == before->count ? 1 : j == after->count ? -1 : 0;
        if (order == 0) {
            order = compare_names(name_of(before, &before->entries[i]),
                                  name_of(after, &after->entries[j]));
        }
        if (order < 0) {
            to->before[i++] = GONE_OR_NEW;
        } else if (order > 0) {
            to->after[j++] = GONE_OR_NEW;
        } else {
            const entry *old = &before->entries[i];
            const entry *now = &after->entries[j];
            const char *name = name_of(after, now);
            bool goes = replaced != NULL && is_below(name, replaced);
            if (!goes && !is_same_node(old, now)) {
                goes = true;
                replaced = name;
            }
            to->before[i++] = goes ? GONE_OR_NEW : SAME;
            to->after[j++] = goes ? GONE_OR_NEW : fate_of(old, now);
        }
    }
}

static void report_fates(epio__watch *watch, const fates *from, const epio__snapshot *before,
                         const epio__snapshot *after)
{
    for (size_t i = before->count; i-- > 0;) {
        const entry *old = &before->entries[i];
        if (from->before[i] == GONE_OR_NEW) {
            epio__watch_report(watch, EPIO_EVENT_REMOVED, old->type, name_of(before, old), NULL);
        }
    }
    for (size_t i = 0; i < after->count; i++) {
        const entry *now = &after->entries[i];
        if (from->after[i] == GONE_OR_NEW) {
            epio__watch_report(watch, EPIO_EVENT_MADE, now->type, name_of(after, now), NULL);
        }
    }
    for (size_t i = 0; i < after->count; i++) {
        const entry *now = &after->entries[i];
        if (from->after[i] == CHANGED || from->after[i] == ATTRIBUTES) {
            uint32_t kind = from->after[i] == CHANGED ? EPIO_EVENT_CHANGED : EPIO_EVENT_ATTRIBUTES;
            epio__watch_report(watch, kind, now->type, name_of(after, now), NULL);
        }
    }
}

void epio__snapshot_compare(epio__watch *watch, const epio__snapshot *before,
                            const epio__snapshot *after)
{
    const fates all = {malloc(before->count + 1), malloc(after->count + 1)};
    if (all.before != NULL && all.after != NULL) {
        find_fates(&all, before, after);
        report_fates(watch, &all, before, after);
    } else {
        epio__watch_report(watch, EPIO_EVENT_OVERFLOW, EPIO_TYPE_UNKNOWN, "", NULL);
    }
    free(all.before);
    free(all.after);
}
