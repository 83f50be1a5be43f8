/* epio_copy; and one file or link of a tree.
 *
 * A new file is made under its own name, since nobody looks for it yet, unless WHOLE says that
 * somebody does; one that is there is replaced, as by a save. */
#include "document/copy_file.h"

#include "copy/copy.h"
#include "document/copy_bytes.h"
#include "document/metadata.h"
#include "document/replacement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_IN_FLIGHT 4u

/* Tries for a name that nobody has. */
#define MOST_TRIES 100

/* ---- Ops ---- */

int64_t epio__copier_perform(epio__copier *copier, epio_op *op)
{
    int64_t result = epio__procedure_perform(copier->procedure, op);
    if (result < 0) {
        copier->failure = (epio__failure){op->kind, op->os_error, op->reason};
    }
    return result;
}

int64_t epio__copier_refuse(epio__copier *copier, uint8_t reason)
{
    copier->failure = (epio__failure){EPIO_KIND_COPY, 0, reason};
    return epio__reason_error(reason);
}

static int64_t fail(epio__copier *copier, int64_t error)
{
    copier->failure = (epio__failure){EPIO_KIND_COPY, 0, EPIO__REASON_NONE};
    return error;
}

/* The functions of a replacement leave the os_error in the procedure's op. */
static int64_t as_replacement(epio__copier *copier, uint32_t kind, int64_t result)
{
    if (result < 0) {
        copier->failure =
            (epio__failure){kind, epio__procedure_noted(copier->procedure), EPIO__REASON_NONE};
    }
    return result;
}

void epio__copier_explain(const epio__copier *copier, int64_t result)
{
    epio_op *op = epio__procedure_op(copier->procedure);
    op->os_error = result < 0 ? copier->failure.os_error : 0;
    if (result < 0 && copier->failure.reason != EPIO__REASON_NONE) {
        op->reason = copier->failure.reason;
    }
}

bool epio__is_one_file(const epio_info *one, const epio_info *other)
{
    return epio__same_file(one, other) && one->type == other->type &&
           ((one->known & other->known & EPIO_INFO_BORN) == 0 || one->born == other->born);
}

static int64_t stat_file(epio__copier *copier, epio_file *file, epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    return epio__copier_perform(copier, epio__prepare_stat_file(&op, file, info));
}

static int64_t stat_name(epio__copier *copier, epio_vfs *vfs, const char *path, epio_info *info,
                         uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    return epio__copier_perform(copier, epio__prepare_stat_name(&op, vfs, path, info, flags));
}

int64_t epio__copier_sync_directory(epio__copier *copier, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    size_t len = epio__directory_len(path);
    char *directory = malloc(len + 2);
    if (directory == NULL) {
        return fail(copier, EPIO_ENOMEM);
    }
    memcpy(directory, path, len);
    memcpy(directory + len, len > 0 ? "" : ".", len > 0 ? 1 : 2);
    int64_t result =
        epio__copier_perform(copier, epio_sync_directory(&op, copier->to_vfs, directory));
    free(directory);
    return result;
}

/* ---- Metadata ---- */

static void times_of(const epio_info *info, epio_times *times)
{
    const epio_times none = EPIO_TIMES_INIT;
    *times = none;
    times->modified = (info->known & EPIO_INFO_MODIFIED) != 0 ? info->modified : EPIO_TIME_KEEP;
    times->accessed = (info->known & EPIO_INFO_ACCESSED) != 0 ? info->accessed : EPIO_TIME_KEEP;
    times->born = (info->known & EPIO_INFO_BORN) != 0 ? info->born : EPIO_TIME_KEEP;
}

static int64_t stopped(epio__copier *copier)
{
    return epio__procedure_stopped(copier->procedure) ? fail(copier, EPIO_ECANCELED) : 0;
}

int64_t epio__copy_metadata(epio__copier *copier, epio_file *source, const epio_info *info,
                            epio_file *target)
{
    epio_op op = EPIO_OP_INIT;
    epio_info made;
    epio_times times;
    if (stat_file(copier, target, &made) == 0) {
        (void)epio__take_owner(copier->procedure, info, target, &made);
        (void)epio__take_metadata_of(copier->procedure, source, info, target, &made);
    }
    times_of(info, &times);
    if (epio__copier_perform(copier, epio_file_set_times(&op, target, &times)) == EPIO_ENOTSUP &&
        times.born != EPIO_TIME_KEEP) {
        times.born = EPIO_TIME_KEEP;
        (void)epio__copier_perform(copier, epio_file_set_times(&op, target, &times));
    }
    return stopped(copier);
}

/* What the others may do with it is theirs once the owner is the right one. */
static uint32_t permissions_of(const epio__copier *copier)
{
    bool known = (copier->info.known & EPIO_INFO_MODE) != 0;
    uint32_t mode = known ? copier->info.mode & 0777u : 0666u;
    return (copier->flags & EPIO_COPY_METADATA) != 0 ? mode & 0700u : mode;
}

/* ---- One file ---- */

static int64_t fill(epio__copier *copier, epio_file *source, epio_file *target)
{
    epio_op op = EPIO_OP_INIT;
    int64_t copied = epio__copy_bytes(copier, source, target);
    int64_t result = copied < 0 ? copied : 0;
    if (result == 0 && (copier->flags & EPIO_COPY_METADATA) != 0) {
        result = epio__copy_metadata(copier, source, &copier->info, target);
    }
    if (result == 0 && (copier->flags & EPIO_COPY_DURABLE) != 0) {
        result = epio__copier_perform(copier, epio_sync(&op, target, EPIO_SYNC_FULL));
    }
    return result < 0 ? result : copied;
}

/* Unless another has the name by now. */
static void remove_new(epio__copier *copier, const char *path, const epio_info *made)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = {.size = sizeof now};
    int64_t result = epio__procedure_undo(
        copier->procedure, epio_stat(&op, copier->to_vfs, path, &now, EPIO_STAT_NOFOLLOW));
    if (result == 0 && (made->known == 0 || epio__same_file(made, &now))) {
        (void)epio__procedure_undo(copier->procedure, epio_delete(&op, copier->to_vfs, path, 0));
    }
}

/* `target` was made a moment ago: filled and closed, or removed. */
static int64_t fill_new(epio__copier *copier, epio_file *source, epio_file *target,
                        const char *path)
{
    epio_op op = EPIO_OP_INIT;
    epio_info made = {.size = sizeof made};
    int64_t result = fill(copier, source, target);
    bool durable =
        (copier->flags & EPIO_COPY_DURABLE) != 0 && (copier->flags & EPIO__COPY_NAME_LATER) == 0;
    if (result >= 0 && durable) {
        int64_t synced = epio__copier_sync_directory(copier, path);
        result = synced < 0 ? synced : result;
    }
    if (result < 0) {
        epio_op asks = EPIO_OP_INIT;
        (void)epio__procedure_undo(copier->procedure, epio_file_stat(&asks, target, &made));
    }
    int64_t closed = epio__procedure_undo(copier->procedure, epio_close(&op, target));
    if (closed < 0 && result >= 0) {
        copier->failure = (epio__failure){op.kind, op.os_error, op.reason};
        result = closed;
    }
    if (result < 0) {
        remove_new(copier, path, &made);
    }
    return result;
}

/* May what is at the target be replaced? 0. */
static int64_t check_target(epio__copier *copier, const epio__replacement *one)
{
    if (!one->exists) {
        return 0;
    }
    if ((copier->flags & EPIO_COPY_NO_REPLACE) != 0) {
        return fail(copier, EPIO_EEXIST);
    }
    if (epio__is_one_file(&copier->info, &one->old)) {
        return epio__copier_refuse(copier, EPIO__REASON_COPY_TO_ITSELF);
    }
    switch (one->old.type) {
    case EPIO_TYPE_DIRECTORY:
        return fail(copier, EPIO_EISDIR);
    case EPIO_TYPE_FILE:
    case EPIO_TYPE_UNKNOWN:
        return one->unnamed ? fail(copier, EPIO_EACCES) : 0;
    case EPIO_TYPE_LINK:
        return 0; /* it is not followed */
    default:
        return epio__copier_refuse(copier, EPIO__REASON_NO_REGULAR_FILE);
    }
}

static int64_t replace(epio__copier *copier, epio_file *source, const char *to)
{
    epio__replacement one;
    bool follow = (copier->flags & (EPIO_COPY_OVER_LINKS | EPIO_COPY_NO_REPLACE)) == 0;
    bool durable =
        (copier->flags & EPIO_COPY_DURABLE) != 0 && (copier->flags & EPIO__COPY_NAME_LATER) == 0;
    int64_t copied = 0;
    memset(&one, 0, sizeof one);
    int64_t result =
        as_replacement(copier, EPIO_KIND_STAT,
                       epio__replacement_find(copier->procedure, &one, copier->to_vfs, to, follow));
    result = result == 0 ? check_target(copier, &one) : result;
    if (result == 0) {
        result =
            as_replacement(copier, EPIO_KIND_OPEN,
                           epio__replacement_make(copier->procedure, &one, permissions_of(copier)));
    }
    if (result == 0) {
        copied = fill(copier, source, one.file);
        result = copied < 0 ? copied : 0;
    }
    if (result == 0) {
        uint32_t flags = durable ? EPIO__REPLACE_DURABLE : 0;
        flags |= (copier->flags & EPIO_COPY_NO_REPLACE) != 0 ? EPIO__REPLACE_NO_REPLACE : 0;
        result = as_replacement(copier, EPIO_KIND_RENAME,
                                epio__replacement_name(copier->procedure, &one, flags));
    }
    int64_t closed = epio__replacement_end(copier->procedure, &one);
    if (result == 0 && closed < 0) {
        copier->failure = (epio__failure){EPIO_KIND_CLOSE, 0, EPIO__REASON_NONE};
        result = closed;
    }
    return result < 0 ? result : copied;
}

static int64_t make_and_fill(epio__copier *copier, epio_file *source, const char *to)
{
    const uint32_t flags =
        EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE | EPIO_OPEN_NOFOLLOW;
    epio_op op = EPIO_OP_INIT;
    if ((copier->flags & EPIO_COPY_WHOLE) != 0) {
        return replace(copier, source, to);
    }
    int64_t result = epio__copier_perform(
        copier,
        epio_open(&op, copier->to_vfs, to, flags | EPIO_OPEN_PERMISSIONS(permissions_of(copier))));
    if (result == 0) {
        return fill_new(copier, source, op.file, to);
    }
    bool may_replace = (copier->flags & EPIO_COPY_NO_REPLACE) == 0;
    return result == EPIO_EEXIST && may_replace ? replace(copier, source, to) : result;
}

static bool has_several_names(const epio__copier *copier)
{
    return copier->begin_linked != NULL && copier->info.links > 1 &&
           (copier->info.known & (EPIO_INFO_LINKS | EPIO_INFO_ID)) ==
               (EPIO_INFO_LINKS | EPIO_INFO_ID);
}

static int64_t copy_open_file(epio__copier *copier, epio_file *source, const char *to)
{
    int64_t result = stat_file(copier, source, &copier->info);
    if (result < 0) {
        return result;
    }
    if (copier->info.type != EPIO_TYPE_FILE) {
        return epio__copier_refuse(copier, EPIO__REASON_NO_REGULAR_FILE);
    }
    if (!has_several_names(copier)) {
        return make_and_fill(copier, source, to);
    }
    if (!copier->begin_linked(copier, to, &result)) {
        result = make_and_fill(copier, source, to);
        copier->end_linked(copier, to, result);
    }
    return result;
}

/* What cannot be opened, or only by waiting, may be no file at all. */
static int64_t explain_open(epio__copier *copier, const char *from, int64_t result)
{
    epio__failure failure = copier->failure;
    epio_info info;
    bool odd = result == EPIO_EUNKNOWN || result == EPIO_ENODEV || result == EPIO_ENOTSUP ||
               result == EPIO_EINVAL;
    if (odd && stat_name(copier, copier->from_vfs, from, &info, 0) == 0 &&
        info.type >= EPIO_TYPE_FIFO) {
        return epio__copier_refuse(copier, EPIO__REASON_NO_REGULAR_FILE);
    }
    copier->failure = failure;
    return result;
}

int64_t epio__copy_one(epio__copier *copier, const char *from, const char *to)
{
    epio_op op = EPIO_OP_INIT;
    bool nofollow = (copier->flags & EPIO_COPY_NOFOLLOW) != 0;
    int64_t result = epio__copier_perform(
        copier, epio_open(&op, copier->from_vfs, from,
                          EPIO_OPEN_READ | (nofollow ? EPIO_OPEN_NOFOLLOW : 0u)));
    if (result < 0) {
        return nofollow && result == EPIO_ELOOP ? epio__copy_link(copier, from, to)
                                                : explain_open(copier, from, result);
    }
    epio_file *source = op.file;
    result = copy_open_file(copier, source, to);
    (void)epio__procedure_undo(copier->procedure, epio_close(&op, source));
    return result;
}

/* ---- One symbolic link ---- */

/* Of the link: memory; NULL: *result. */
static char *read_target(epio__copier *copier, const char *from, int64_t *result)
{
    epio_op op = EPIO_OP_INIT;
    char *target = NULL;
    *result = EPIO_ERANGE;
    for (size_t room = 1024; *result == EPIO_ERANGE && room <= ((size_t)1 << 18); room *= 4) {
        char *larger = realloc(target, room);
        if (larger == NULL) {
            *result = fail(copier, EPIO_ENOMEM);
            break;
        }
        target = larger;
        *result =
            epio__copier_perform(copier, epio_read_link(&op, copier->from_vfs, from, target, room));
    }
    if (*result < 0) {
        free(target);
        target = NULL;
    }
    return target;
}

/* Of a link that was made. */
static void set_link_metadata(epio__copier *copier, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    const epio_info *info = &copier->info;
    epio_times times;
    if ((info->known & EPIO_INFO_OWNER) != 0 &&
        epio__copier_perform(copier, epio_set_owner(&op, copier->to_vfs, path, info->user,
                                                    info->group, EPIO_SET_NOFOLLOW)) < 0) {
        (void)epio__copier_perform(copier,
                                   epio_set_owner(&op, copier->to_vfs, path, EPIO_OWNER_KEEP,
                                                  info->group, EPIO_SET_NOFOLLOW));
    }
    times_of(info, &times);
    if (epio__copier_perform(copier, epio_set_times(&op, copier->to_vfs, path, &times,
                                                    EPIO_SET_NOFOLLOW)) == EPIO_ENOTSUP) {
        times.born = EPIO_TIME_KEEP;
        (void)epio__copier_perform(
            copier, epio_set_times(&op, copier->to_vfs, path, &times, EPIO_SET_NOFOLLOW));
    }
}

/* Beside the path, with a name that nobody has: memory, or NULL and *result. */
static char *make_link_beside(epio__copier *copier, const char *target, const char *path,
                              int64_t *result)
{
    epio_op op = EPIO_OP_INIT;
    size_t len = epio__directory_len(path);
    const size_t room = len + 32;
    char *name = malloc(room);
    *result = name == NULL ? fail(copier, EPIO_ENOMEM) : EPIO_EEXIST;
    for (int i = 0; i < MOST_TRIES && *result == EPIO_EEXIST; i++) {
        uint64_t number;
        (void)epio__procedure_undo(copier->procedure,
                                   epio_randomness(&op, epio_os_vfs(), &number, sizeof number));
        memcpy(name, path, len);
        (void)snprintf(name + len, room - len, ".%016llx.saving", (unsigned long long)number);
        *result = epio__copier_perform(copier, epio_symlink(&op, copier->to_vfs, target, name, 0));
    }
    if (*result < 0) {
        free(name);
        name = NULL;
    }
    return name;
}

/* Is it what the link leads to? In its place the link would lead to itself. */
static bool is_behind(epio__copier *copier, const char *link, const epio_info *old)
{
    epio_info behind;
    return stat_name(copier, copier->from_vfs, link, &behind, 0) == 0 &&
           epio__is_one_file(&behind, old);
}

static int64_t replace_by_link(epio__copier *copier, const char *from, const char *target,
                               const char *path)
{
    epio_op op = EPIO_OP_INIT;
    epio_info old;
    int64_t result = stat_name(copier, copier->to_vfs, path, &old, EPIO_STAT_NOFOLLOW);
    if (result == 0 && (epio__is_one_file(&copier->info, &old) || is_behind(copier, from, &old))) {
        return epio__copier_refuse(copier, EPIO__REASON_COPY_TO_ITSELF);
    }
    if (result == 0 && old.type == EPIO_TYPE_DIRECTORY) {
        return fail(copier, EPIO_EISDIR);
    }
    char *name = make_link_beside(copier, target, path, &result);
    if (name == NULL) {
        return result;
    }
    if ((copier->flags & EPIO_COPY_METADATA) != 0) {
        set_link_metadata(copier, name);
    }
    result = epio__copier_perform(copier, epio_rename(&op, copier->to_vfs, name, path, 0));
    if (result < 0) {
        (void)epio__procedure_undo(copier->procedure, epio_delete(&op, copier->to_vfs, name, 0));
    }
    free(name);
    return result;
}

static int64_t make_link(epio__copier *copier, const char *from, const char *to)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = 0;
    char *target = read_target(copier, from, &result);
    if (target == NULL) {
        return result;
    }
    result = epio__copier_perform(copier, epio_symlink(&op, copier->to_vfs, target, to, 0));
    if (result == 0 && (copier->flags & EPIO_COPY_METADATA) != 0) {
        set_link_metadata(copier, to);
    } else if (result == EPIO_EEXIST && (copier->flags & EPIO_COPY_NO_REPLACE) == 0) {
        result = replace_by_link(copier, from, target, to);
    }
    if (result == 0 &&
        (copier->flags & (EPIO_COPY_DURABLE | EPIO__COPY_NAME_LATER)) == EPIO_COPY_DURABLE) {
        result = epio__copier_sync_directory(copier, to);
    }
    free(target);
    return result;
}

int64_t epio__copy_link(epio__copier *copier, const char *from, const char *to)
{
    int64_t result = stat_name(copier, copier->from_vfs, from, &copier->info, EPIO_STAT_NOFOLLOW);
    if (result < 0 || !has_several_names(copier)) {
        return result < 0 ? result : make_link(copier, from, to);
    }
    if (!copier->begin_linked(copier, to, &result)) {
        result = make_link(copier, from, to);
        copier->end_linked(copier, to, result);
    }
    return result;
}

/* ---- The verb ---- */

static int64_t run_copy(epio__procedure *procedure)
{
    const epio_op *op = epio__procedure_op(procedure);
    epio_copy_options options = {.size = sizeof options};
    const char *to;
    memcpy(&to, &op->arguments.procedure.second, sizeof to);
    if (op->arguments.procedure.options != NULL) {
        (void)epio_options_take(&options, sizeof options, 0, op->arguments.procedure.options);
    }
    epio__copier copier = {
        .procedure = procedure,
        .from_vfs = op->arguments.procedure.vfs,
        .to_vfs = options.to_vfs != NULL ? options.to_vfs : op->arguments.procedure.vfs,
        .flags = options.flags,
        .in_flight = options.in_flight != 0 ? options.in_flight : DEFAULT_IN_FLIGHT,
        .buffer = malloc(EPIO__COPY_BUFFER)};
    if (copier.buffer == NULL) {
        return EPIO_ENOMEM;
    }
    epio__procedure_also_on(procedure, copier.to_vfs);
    epio__procedure_expect(procedure, 0, 1);
    int64_t result = epio__copy_one(&copier, op->arguments.procedure.path, to);
    if (result >= 0) {
        epio__procedure_count(procedure, 0, 1);
    }
    epio__copier_explain(&copier, result);
    free(copier.buffer);
    return result;
}

epio_op *epio_copy(epio_op *op, epio_vfs *vfs, const char *from, const char *to,
                   const epio_copy_options *options)
{
    static const epio__procedure_type type = {run_copy, false};
    const uint32_t known = EPIO_COPY_NO_REPLACE | EPIO_COPY_METADATA | EPIO_COPY_DURABLE |
                           EPIO_COPY_NOFOLLOW | EPIO_COPY_WHOLE | EPIO_COPY_OVER_LINKS;
    epio_copy_options taken = {0};
    epio__procedure_verb(op, "epio_copy", EPIO_KIND_COPY, &type, vfs, from);
    epio__verb_require_path(op, to, EPIO__REASON_NEW_PATH_IS_NULL);
    (void)epio__procedure_take_options(op, &taken, sizeof taken, sizeof taken, options);
    epio__verb_require(op, (taken.flags & ~known) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(
        op, taken.to_vfs == NULL || taken.to_vfs->loop == NULL || taken.to_vfs->loop == op->loop,
        EPIO__REASON_TWO_LOOPS);
    op->arguments.procedure.second = to;
    return op;
}
