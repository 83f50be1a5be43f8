/* One step of a walk: closes and evicts what the owner has chosen, opens directories, lists them,
 * asks what their entries are. All by epio_perform, on the thread that the step is on. */
#include "tree/walk.h"

#include "atomics.h"
#include "core/patience.h"

#include <stdlib.h>
#include <string.h>

#define LIST_SIZE ((size_t)32 << 10)
#define WAY_SIZE 3072u /* of a path of several names; systems take 4096 */

void epio__walk_close_file(epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    (void)epio_perform(epio_close(&op, file));
}

void epio__walk_forget_names(epio__walk_directory *directory)
{
    while (directory->names != NULL) {
        epio__names *names = directory->names;
        directory->names = names->next;
        free(names);
    }
    directory->last_names = NULL;
    free(directory->order);
    directory->order = NULL;
}

/* ---- Names ---- */

static void fail(epio__walk_step *step, int64_t error, int32_t os_error)
{
    if (step->error == 0) {
        step->error = error;
        step->os_error = os_error;
    }
}

static bool stops(const epio__walk_step *step, epio__walk_terms *terms)
{
    return step->error != 0 || epio__load_u32(&terms->stop) != 0;
}

/* Is nothing to be waited for any more? */
static bool has_ended(void *user)
{
    epio__walk_step *step = user;
    epio__walk_terms *terms = &step->walk->terms;
    if (terms->deadline != 0 && epio_clock_monotonic() >= terms->deadline) {
        fail(step, EPIO_ETIMEDOUT, 0);
    }
    return stops(step, terms);
}

static int64_t perform(epio__walk_step *step, epio_op *op)
{
    return epio__perform_patiently(op, step->walk->terms.patience, has_ended, step);
}

/* Lists more names of an open directory, until the end or an error. */
static void list(epio__walk_step *step, epio__walk_directory *directory)
{
    epio_op op = EPIO_OP_INIT;
    epio__names *names = step->spare;
    step->spare = NULL;
    if (names == NULL && (names = malloc(sizeof *names + LIST_SIZE)) == NULL) {
        fail(step, EPIO_ENOMEM, 0);
        return;
    }
    int64_t len = perform(step, epio_list(&op, directory->file, names->data, LIST_SIZE, 0));
    if (len <= 0) {
        step->spare = names;
        directory->listed = true;
        directory->error = len == EPIO_ENOENT ? 0 : (int32_t)len; /* it was removed */
        directory->os_error = op.os_error;
        return;
    }
    names->next = NULL;
    names->at = 0;
    names->len = (size_t)len;
    if (directory->names == NULL) {
        directory->names = names;
    } else {
        directory->last_names->next = names;
    }
    directory->last_names = names;
}

static void list_all(epio__walk_step *step, epio__walk_directory *directory)
{
    while (!directory->listed && step->error == 0) {
        list(step, directory);
    }
}

static int by_name(const void *one, const void *other)
{
    const epio_entry *first = *(const epio_entry *const *)one;
    const epio_entry *second = *(const epio_entry *const *)other;
    return strcmp(epio_entry_name(first), epio_entry_name(second));
}

static bool sort(epio__walk_directory *directory)
{
    size_t count = 0;
    for (const epio__names *names = directory->names; names != NULL; names = names->next) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(names->data, names->len, entry)) != NULL) {
            count++;
        }
    }
    directory->order = malloc((count + 1) * sizeof(void *));
    if (directory->order == NULL) {
        return false;
    }
    directory->order_count = 0;
    for (const epio__names *names = directory->names; names != NULL; names = names->next) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(names->data, names->len, entry)) != NULL) {
            directory->order[directory->order_count++] = entry;
        }
    }
    qsort(directory->order, count, sizeof(void *), by_name);
    return true;
}

/* The next name that was listed, or NULL. */
static const epio_entry *first_name(const epio__walk_directory *directory)
{
    if (directory->order != NULL) {
        return directory->order_at < directory->order_count ? directory->order[directory->order_at]
                                                            : NULL;
    }
    const epio__names *names = directory->names;
    return names != NULL ? (const epio_entry *)(const void *)((const char *)names->data + names->at)
                         : NULL;
}

static void drop_name(epio__walk_step *step, epio__walk_directory *directory)
{
    if (directory->order != NULL) {
        directory->order_at++;
        return;
    }
    epio__names *names = directory->names;
    names->at += first_name(directory)->size;
    if (names->at < names->len) {
        return;
    }
    directory->names = names->next;
    if (step->spare == NULL) {
        step->spare = names;
    } else {
        free(names);
    }
}

/* ---- Opening ---- */

/* Removed, or another kind of file by now: no error. */
static bool is_gone(int64_t error)
{
    return error == EPIO_ENOENT || error == EPIO_ENOTDIR || error == EPIO_ELOOP;
}

static int64_t identify(epio__walk_step *step, epio__walk_directory *directory, epio_file *file,
                        bool first)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    int64_t result = perform(step, epio_file_stat(&op, file, &info));
    if (result < 0 || (info.known & EPIO_INFO_ID) == 0) {
        return first ? 0 : EPIO_ENOENT;
    }
    if (first) {
        directory->identified = true;
        directory->device = info.device;
        directory->id[0] = info.id[0];
        directory->id[1] = info.id[1];
        return 0;
    }
    bool same = directory->device == info.device && directory->id[0] == info.id[0] &&
                directory->id[1] == info.id[1];
    return same ? 0 : EPIO_ENOENT;
}

static int64_t open_directory(epio__walk_step *step, epio_op *op, epio_vfs *vfs, const char *path,
                              uint32_t flags)
{
    return perform(step, epio_open(op, vfs, path, flags | EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY));
}

/* By a path from an open directory, which ends with its name. On success op->file. */
static int64_t open_from(epio__walk_step *step, epio_op *op, epio_file *from, const char *path,
                         epio__walk_directory *directory)
{
    uint32_t flags = directory->by_link ? 0 : EPIO_OPEN_NOFOLLOW;
    int64_t result = open_directory(step, op, epio_directory_vfs(from), path, flags);
    if (result == 0 && directory->identified) {
        epio_file *file = op->file;
        result = identify(step, directory, file, false);
        if (result < 0) {
            epio__walk_close_file(file);
        }
    }
    return result;
}

/* Those on the way that stay open are in order. */
static bool stays_open(epio__walk_step *step, epio__walk_directory *directory, epio_file *file)
{
    if (step->opened_count >= step->again_count || step->opened[step->opened_count] != directory) {
        return false;
    }
    directory->file = file;
    step->left_open++;
    step->opened_count++;
    return true;
}

/* Joins the names of as many directories as one open may pass: how many. Links in the places of
 * those in between are followed, but the last one, if it is identified, is the right one all the
 * same. */
static size_t join(char *path, epio__walk_directory **way, size_t count,
                   const epio__walk_directory *kept)
{
    size_t len = 0;
    size_t joined = 0;
    while (joined < count && len + way[joined]->name_len + 2 <= WAY_SIZE) {
        epio__walk_directory *one = way[joined++];
        memcpy(path + len, one->name, one->name_len + 1);
        len += one->name_len;
        if (one == kept || joined == count || !way[count - 1]->identified) {
            return joined;
        }
        path[len++] = '/';
    }
    path[len - 1] = '\0';
    return joined;
}

static int64_t open_way(epio__walk_step *step, epio_op *op, epio__walk_directory **way,
                        size_t count, epio__walk_terms *terms)
{
    char path[WAY_SIZE];
    epio_file *from = step->base->file;
    bool ours = false;
    int64_t result = 0;
    for (size_t i = 0; i < count && result == 0;) {
        const epio__walk_directory *kept =
            step->opened_count < step->again_count ? step->opened[step->opened_count] : NULL;
        bool too_long = way[i]->name_len + 2 > WAY_SIZE;
        const char *at = too_long ? way[i]->name : path;
        i += too_long ? 1 : join(path, way + i, count - i, kept);
        result = stops(step, terms) ? EPIO_ECANCELED : open_from(step, op, from, at, way[i - 1]);
        epio_file *file = op->file;
        if (ours) {
            epio__walk_close_file(from);
        }
        ours = result == 0 && !stays_open(step, way[i - 1], file);
        from = file;
    }
    return result;
}

/* Opens step->again, from step->base on: 0 or an error. */
static int64_t open_again(epio__walk_step *step, epio_op *op, epio__walk_terms *terms)
{
    size_t count = step->again->depth - step->base->depth;
    epio__walk_directory **way = malloc(count * sizeof(epio__walk_directory *));
    if (way == NULL) {
        fail(step, EPIO_ENOMEM, 0);
        return EPIO_ENOMEM;
    }
    epio__walk_directory *one = step->again;
    for (size_t i = count; i > 0; i--, one = one->parent) {
        way[i - 1] = one;
    }
    int64_t result = open_way(step, op, way, count, terms);
    free(way);
    return result;
}

/* ---- Entries ---- */

static epio_walk_entry *new_entry(epio__walk_step *step, epio__walk_directory *in)
{
    epio_walk_entry *entry = &step->entries[step->count];
    memset(entry, 0, sizeof *entry);
    memset(&step->marks[step->count], 0, sizeof step->marks[step->count]);
    step->marks[step->count].in = in;
    return entry;
}

/* Room for the text of an entry. */
static bool has_room(epio__walk_step *step, size_t len)
{
    if (step->count < EPIO__WALK_BATCH && len <= step->text_size - step->text_len) {
        return true;
    }
    if (step->count != 0) {
        step->full = true;
        return false;
    }
    char *larger = realloc(step->text, len);
    if (larger == NULL) {
        fail(step, EPIO_ENOMEM, 0);
        return false;
    }
    step->text = larger;
    step->text_size = len;
    return true;
}

/* Writes the path, with an end that is not a slash. */
static void write_path(const epio__walk_directory *directory, char *path)
{
    char *end = path + directory->path_len;
    for (const epio__walk_directory *one = directory; one->parent != NULL; one = one->parent) {
        end -= one->name_len;
        memcpy(end, one->name, one->name_len);
        if (end > path) {
            *--end = '/';
        }
    }
}

/* step->prefix becomes what is in front of the directory's names. */
static bool set_prefix(epio__walk_step *step, const epio__walk_directory *directory)
{
    if (directory->path_len + 1 > step->prefix_size) {
        char *larger = realloc(step->prefix, 2 * directory->path_len + 1);
        if (larger == NULL) {
            fail(step, EPIO_ENOMEM, 0);
            return false;
        }
        step->prefix = larger;
        step->prefix_size = 2 * directory->path_len + 1;
    }
    if (directory->path_len != 0) {
        write_path(directory, step->prefix);
        step->prefix[directory->path_len] = '/';
    }
    return true;
}

/* Reports a directory again, with what prevents its being read. False: there is no room. */
static bool report_error(epio__walk_step *step, epio__walk_directory *directory, int64_t error,
                         int32_t os_error)
{
    if (directory->parent == NULL) {
        fail(step, error, os_error);
        return true;
    }
    if (!has_room(step, directory->path_len + 1)) {
        return false;
    }
    epio_walk_entry *entry = new_entry(step, NULL);
    char *path = step->text + step->text_len;
    write_path(directory, path);
    path[directory->path_len] = '\0';
    step->text_len += directory->path_len + 1;
    entry->path = path;
    entry->name = path + directory->path_len - directory->name_len;
    entry->type = directory->by_link ? EPIO_TYPE_LINK : EPIO_TYPE_DIRECTORY;
    entry->depth = directory->depth;
    entry->id = directory->identified ? directory->id[0] : 0;
    entry->error = (int32_t)error;
    entry->os_error = os_error;
    step->count++;
    return true;
}

/* By step->stat, of an entry in the directory. */
static int64_t stat_entry(epio__walk_step *step, epio_vfs *vfs, const char *name, epio_info *info,
                          uint32_t flags)
{
    info->size = sizeof *info;
    return perform(step, epio_stat(&step->stat, vfs, name, info, flags));
}

/* Is the symbolic link one to a directory, and which? */
static bool leads_to_directory(epio__walk_step *step, epio_walk_entry *entry, epio_vfs *vfs,
                               epio_info *target)
{
    memset(target, 0, sizeof *target);
    int64_t result = stat_entry(step, vfs, entry->name, target, 0);
    if (result == EPIO_ELOOP) {
        entry->error = EPIO_ELOOP;
        entry->os_error = step->stat.os_error;
    }
    return result == 0 && target->type == EPIO_TYPE_DIRECTORY &&
           (target->known & EPIO_INFO_ID) != 0;
}

/* Decides whether the entry can be entered. `info`: of a directory, if it was asked for. */
static void judge(epio__walk_step *step, epio_vfs *vfs, const epio_info *info,
                  const epio__walk_terms *terms)
{
    epio_walk_entry *entry = &step->entries[step->count];
    epio__walk_mark *mark = &step->marks[step->count];
    epio_info target;
    if (entry->depth >= terms->most_depth) {
        return;
    }
    if (entry->type == EPIO_TYPE_LINK && (terms->flags & EPIO_WALK_FOLLOW) != 0) {
        if (!leads_to_directory(step, entry, vfs, &target)) {
            return;
        }
        mark->by_link = true;
        info = &target;
    } else if (entry->type != EPIO_TYPE_DIRECTORY) {
        return;
    }
    if (info != NULL && (info->known & EPIO_INFO_ID) != 0) {
        if ((terms->flags & EPIO_WALK_SAME_FILE_SYSTEM) != 0 && info->device != terms->device) {
            return;
        }
        mark->identified = true;
        mark->device = info->device;
        mark->id[0] = info->id[0];
        mark->id[1] = info->id[1];
    }
    entry->enter = true;
}

static bool needs_stat(uint32_t type, uint32_t flags)
{
    bool of_directories = (flags & (EPIO_WALK_FOLLOW | EPIO_WALK_SAME_FILE_SYSTEM)) != 0;
    return (flags & EPIO_WALK_STAT) != 0 || type == EPIO_TYPE_UNKNOWN ||
           (of_directories && type == EPIO_TYPE_DIRECTORY);
}

/* Adds a listed entry to the batch. False: there is no room. */
static bool add(epio__walk_step *step, epio__walk_directory *directory, const epio_entry *listed,
                const epio__walk_terms *terms)
{
    size_t prefix = directory->path_len != 0 ? directory->path_len + 1 : 0;
    size_t len = prefix + listed->name_len + 1u;
    if (!has_room(step, len)) {
        return false;
    }
    char *path = step->text + step->text_len;
    memcpy(path, step->prefix, prefix);
    memcpy(path + prefix, epio_entry_name(listed), listed->name_len + 1u);
    epio_walk_entry *entry = new_entry(step, directory);
    entry->path = path;
    entry->name = path + prefix;
    entry->id = listed->id;
    entry->type = listed->type;
    entry->depth = directory->depth + 1;
    epio_vfs *vfs = epio_directory_vfs(directory->file);
    const epio_info *known = NULL;
    epio_info *info = &step->infos[step->count];
    bool stats = (terms->flags & EPIO_WALK_STAT) != 0;
    if (!stats && listed->has_info) {
        *info = *epio_entry_info(listed);
        entry->info = info;
    }
    if (needs_stat(listed->type, terms->flags)) {
        int64_t result = stat_entry(step, vfs, entry->name, info, EPIO_STAT_NOFOLLOW);
        if (result == EPIO_ENOENT) {
            return true; /* it was removed since it was listed */
        }
        if (result < 0) {
            entry->error = (int32_t)result;
            entry->os_error = step->stat.os_error;
        } else {
            known = info;
            entry->type = info->type;
            entry->id = (info->known & EPIO_INFO_ID) != 0 ? info->id[0] : entry->id;
            entry->info = stats || listed->has_info ? info : NULL;
        }
    }
    judge(step, vfs, known, terms);
    step->found |= entry->enter;
    directory->found |= entry->enter;
    step->text_len += len;
    step->count++;
    return true;
}

/* ---- Directories ---- */

static void end_directory(epio__walk_directory *directory)
{
    directory->finished = true;
    epio__walk_forget_names(directory);
}

/* Opens it for the first time. False: it cannot be read, or there is no room to report that. */
static bool open_first(epio__walk_step *step, epio__walk_directory *directory,
                       epio__walk_terms *terms)
{
    epio_op op = EPIO_OP_INIT;
    epio__walk_directory *parent = directory->parent;
    int64_t result = parent != NULL ? open_from(step, &op, parent->file, directory->name, directory)
                                    : open_directory(step, &op, terms->vfs, terms->path, 0);
    if (result < 0) {
        bool reported = (parent != NULL && is_gone(result)) ||
                        report_error(step, directory, result, op.os_error);
        if (reported) {
            end_directory(directory);
        }
        return false;
    }
    directory->file = op.file;
    if (parent == NULL && (terms->flags & (EPIO_WALK_FOLLOW | EPIO_WALK_SAME_FILE_SYSTEM)) != 0) {
        (void)identify(step, directory, directory->file, true);
        terms->device = directory->device;
    }
    return true;
}

/* Reads until the directory or the room ends. */
static void read_names(epio__walk_step *step, epio__walk_directory *directory,
                       epio__walk_terms *terms)
{
    bool sorts = (terms->flags & EPIO_WALK_SORTED) != 0;
    if (!set_prefix(step, directory)) {
        return;
    }
    while (!stops(step, terms)) {
        if (sorts && directory->order == NULL) {
            list_all(step, directory);
            if (!sort(directory)) {
                fail(step, EPIO_ENOMEM, 0);
                return;
            }
        }
        const epio_entry *entry = first_name(directory);
        if (entry != NULL) {
            if (!add(step, directory, entry, terms)) {
                return;
            }
            drop_name(step, directory);
        } else if (!directory->listed) {
            list(step, directory);
        } else {
            if (directory->error == 0 ||
                report_error(step, directory, directory->error, directory->os_error)) {
                end_directory(directory);
            }
            return;
        }
    }
}

static void read_directory(epio__walk_step *step, epio__walk_directory *directory,
                           epio__walk_terms *terms)
{
    if (directory->file == NULL && !open_first(step, directory, terms)) {
        return;
    }
    read_names(step, directory, terms);
    if (directory->finished && !directory->found && directory->parent != NULL) {
        epio__walk_close_file(directory->file);
        directory->file = NULL;
    } else {
        step->left_open++;
    }
}

/* Reads the names that are left into memory, and closes it. */
static void evict(epio__walk_step *step, epio__walk_directory *directory)
{
    if (!directory->identified) {
        (void)identify(step, directory, directory->file, true);
    }
    if (!directory->finished) {
        list_all(step, directory);
    }
    epio__walk_close_file(directory->file);
    directory->file = NULL;
}

/* False: it could not be opened again, and what was to be read in it is left out. */
static bool prepare(epio__walk_step *step, epio__walk_terms *terms)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = step->again != NULL ? open_again(step, &op, terms) : 0;
    if (result == 0 || stops(step, terms)) {
        return result == 0;
    }
    if (!is_gone(result)) {
        (void)report_error(step, step->again, result, op.os_error);
    }
    for (; step->done < step->todo_count; step->done++) {
        end_directory(step->todo[step->done]);
    }
    return false;
}

void epio__walk_step_run(epio__walk_step *step, epio__walk_terms *terms)
{
    for (size_t i = 0; i < step->to_close_count; i++) {
        epio__walk_close_file(step->to_close[i]);
    }
    step->to_close_count = 0;
    for (size_t i = 0; i < step->evicted_count; i++) {
        evict(step, step->evicted[i]);
    }
    step->ran = true;
    if (stops(step, terms) || !prepare(step, terms)) {
        return;
    }
    bool sorts = (terms->flags & EPIO_WALK_SORTED) != 0;
    while (step->done < step->todo_count && !stops(step, terms) && !step->full &&
           step->left_open < terms->share && !(sorts && step->found)) {
        read_directory(step, step->todo[step->done], terms);
        step->done++;
    }
}
