/* See saving.h. */
#include "document/saving.h"

#include "document/metadata.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PERMISSIONS 0666u

/* ---- Beginning and end ---- */

int64_t epio__saving_init(epio_saving *one, epio_vfs *vfs, const char *path,
                          const epio_save_options *options)
{
    memset(one, 0, sizeof *one);
    one->vfs = vfs;
    one->path = epio__join(path, strlen(path), "");
    one->flags = options->flags;
    one->permissions = options->permissions != 0 ? options->permissions : DEFAULT_PERMISSIONS;
    one->saved = options->saved;
    if ((options->flags & EPIO_SAVE_BACKUP) != 0) {
        bool named = options->backup != NULL;
        const char *base = named ? options->backup : path;
        one->backup = epio__join(base, strlen(base), named ? "" : "~");
    }
    if (options->expected != NULL) {
        (void)epio_options_take(&one->expected, sizeof one->expected, 0, options->expected);
    }
    bool made =
        one->path != NULL && ((options->flags & EPIO_SAVE_BACKUP) == 0) == (one->backup == NULL);
    return made ? 0 : EPIO_ENOMEM;
}

int64_t epio__saving_end(epio__procedure *procedure, epio_saving *one)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__replacement_end(procedure, &one->replacement);
    if (one->temporary != NULL) {
        (void)epio__procedure_undo(procedure, epio_close(&op, one->temporary));
    }
    free(one->path);
    free(one->backup);
    memset(one, 0, sizeof *one);
    return result;
}

epio_file *epio__saving_file(const epio_saving *one)
{
    return one->temporary != NULL ? one->temporary : one->replacement.file;
}

/* ---- The file that was loaded ---- */

int64_t epio__saving_check(epio__procedure *procedure, const epio_saving *one, bool exists,
                           const epio_info *info)
{
    const epio_info *expected = &one->expected;
    if ((one->flags & EPIO_SAVE_IF_UNCHANGED) == 0) {
        return 0;
    }
    if (!exists || expected->known == 0) {
        bool same = !exists && expected->known == 0;
        return same ? 0 : epio__document_fail(procedure, EPIO_ECHANGED);
    }
    uint32_t known = info->known & expected->known;
    bool same = (known & EPIO_INFO_ID) == 0 || epio__same_file(info, expected);
    same = same && ((known & EPIO_INFO_BYTES) == 0 || info->bytes == expected->bytes);
    same = same && ((known & EPIO_INFO_MODIFIED) == 0 || info->modified == expected->modified);
    return same ? 0 : epio__document_fail(procedure, EPIO_ECHANGED);
}

/* What is at the target now. */
static int64_t look_again(epio__procedure *procedure, epio_saving *one)
{
    epio__replacement *replacement = &one->replacement;
    epio_op op = EPIO_OP_INIT;
    epio_info now = {.size = sizeof now};
    int64_t result = epio__document_perform(
        procedure, epio_stat(&op, one->vfs, replacement->target, &now, EPIO_STAT_NOFOLLOW));
    if (result < 0 && result != EPIO_ENOENT) {
        return result;
    }
    replacement->exists = result == 0;
    if (replacement->exists) {
        replacement->old = now;
    }
    return epio__saving_check(procedure, one, replacement->exists, &now);
}

static int64_t refuse_type(epio__procedure *procedure, const epio_saving *one)
{
    return one->replacement.old.type == EPIO_TYPE_DIRECTORY
               ? epio__document_fail(procedure, EPIO_EISDIR)
               : epio__document_refuse(procedure, EPIO__REASON_NOT_REPLACEABLE);
}

int64_t epio__saving_renew(epio__procedure *procedure, epio_saving *one)
{
    int64_t result = look_again(procedure, one);
    bool replaceable = !one->replacement.exists || one->replacement.old.type == EPIO_TYPE_FILE;
    return result == 0 && !replaceable ? refuse_type(procedure, one) : result;
}

/* ---- Where the bytes go ---- */

static bool falls_back(const epio_saving *one)
{
    return one->replacement.exists && (one->flags & EPIO_SAVE_IN_PLACE_FALLBACK) != 0;
}

static int64_t make_temporary(epio__procedure *procedure, epio_saving *one)
{
    size_t len = epio__directory_len(one->replacement.target);
    char *directory = epio__join(len > 0 ? one->replacement.target : ".", len > 0 ? len : 1, "");
    epio_op op = EPIO_OP_INIT;
    if (directory == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result =
        epio__document_perform(procedure, epio_open(&op, one->vfs, directory, EPIO_OPEN_TEMPORARY));
    if (result < 0) {
        result =
            epio__document_perform(procedure, epio_open(&op, one->vfs, NULL, EPIO_OPEN_TEMPORARY));
    }
    one->temporary = op.file;
    free(directory);
    return result;
}

/* Whatever is there can be replaced, or is written over. */
static int64_t decide(epio__procedure *procedure, epio_saving *one)
{
    const epio__replacement *replacement = &one->replacement;
    if (!replacement->exists) {
        return 0;
    }
    bool directory = replacement->old.type == EPIO_TYPE_DIRECTORY;
    bool regular = replacement->old.type == EPIO_TYPE_FILE && !replacement->unnamed;
    if (directory || (!regular && !falls_back(one))) {
        return refuse_type(procedure, one);
    }
    bool has_links = (replacement->old.known & EPIO_INFO_LINKS) != 0 && replacement->old.links > 1;
    one->in_place = !regular || (has_links && falls_back(one));
    return 0;
}

static bool is_refusal_of_names(int64_t result)
{
    return result == EPIO_EACCES || result == EPIO_EPERM || result == EPIO_EROFS;
}

static int64_t make_new(epio__procedure *procedure, epio_saving *one)
{
    epio__replacement *replacement = &one->replacement;
    int64_t result = epio__replacement_make(procedure, replacement,
                                            replacement->exists ? 0600u : one->permissions);
    if (is_refusal_of_names(result) && falls_back(one)) {
        one->in_place = true;
        return 0;
    }
    if (result < 0 || !replacement->exists) {
        return result;
    }
    result = epio__take_owner(procedure, &replacement->old, replacement->file, &replacement->made);
    if (result == EPIO_SAVED_OWNER_LOST && falls_back(one)) {
        one->in_place = true;
        epio__replacement_discard(procedure, replacement);
    }
    return result < 0 ? result : 0;
}

int64_t epio__saving_begin(epio__procedure *procedure, epio_saving *one, bool in_steps)
{
    epio__replacement *replacement = &one->replacement;
    int64_t result = epio__replacement_find(procedure, replacement, one->vfs, one->path, true);
    if (result == 0) {
        result = decide(procedure, one);
    }
    if (result == 0) {
        result = epio__saving_check(procedure, one, replacement->exists, &replacement->old);
    }
    if (result == 0 && !one->in_place) {
        result = make_new(procedure, one);
    }
    return result == 0 && one->in_place && in_steps ? make_temporary(procedure, one) : result;
}

/* ---- Commit ---- */

/* What does not depend on owners is the system's, where it can do that. */
static bool system_keeps(const epio_saving *one)
{
    return one->replacement.exists && (one->replacement.old.known & EPIO_INFO_ATTRIBUTES) != 0;
}

static int64_t take_metadata(epio__procedure *procedure, epio_saving *one)
{
    epio__replacement *replacement = &one->replacement;
    if (replacement->old.known == 0) {
        return 0;
    }
    int64_t owner =
        epio__take_owner(procedure, &replacement->old, replacement->file, &replacement->made);
    int64_t rest =
        owner < 0 ? owner
                  : epio__take_metadata(procedure, one->vfs,
                                        replacement->exists ? replacement->target : NULL,
                                        &replacement->old, replacement->file, &replacement->made);
    if (rest >= 0) {
        one->notes |= owner | rest;
    }
    return rest < 0 ? rest : 0;
}

static int64_t sync_new(epio__procedure *procedure, const epio_saving *one)
{
    epio_op op = EPIO_OP_INIT;
    return (one->flags & EPIO_SAVE_NO_DURABLE) != 0
               ? 0
               : epio__document_perform(procedure,
                                        epio_sync(&op, one->replacement.file, EPIO_SYNC_FULL));
}

/* The moment in which the new one becomes the file. */
static int64_t name_new(epio__procedure *procedure, epio_saving *one, uint32_t keeps)
{
    uint32_t flags = (one->flags & EPIO_SAVE_NO_DURABLE) != 0 ? 0 : EPIO__REPLACE_DURABLE;
    bool conditional = (one->flags & EPIO_SAVE_IF_UNCHANGED) != 0;
    if (conditional && one->expected.known == 0) {
        flags |= EPIO__REPLACE_NO_REPLACE;
    }
    int64_t result = conditional ? look_again(procedure, one) : 0;
    if (result == 0) {
        result = epio__saving_keep_backup(procedure, one, true);
    }
    if (result == 0) {
        result = epio__replacement_name(procedure, &one->replacement, flags | keeps);
    }
    if (result > 0) {
        one->notes |= EPIO_SAVED_METADATA_LOST;
        result = 0;
    }
    bool taken = result == EPIO_EEXIST && (flags & EPIO__REPLACE_NO_REPLACE) != 0;
    return taken ? epio__document_fail(procedure, EPIO_ECHANGED) : result;
}

static int64_t replace(epio__procedure *procedure, epio_saving *one)
{
    int64_t result = EPIO_ENOTSUP;
    if (system_keeps(one)) {
        result = sync_new(procedure, one);
        result = result < 0 ? result : name_new(procedure, one, EPIO__REPLACE_KEEP);
        if (result != EPIO_ENOTSUP && result != EPIO_ENOENT) {
            return result;
        }
        if (one->replacement.file == NULL) {
            return epio__document_fail(procedure, EPIO_EIO);
        }
    }
    result = take_metadata(procedure, one);
    if (result == 0) {
        result = sync_new(procedure, one);
    }
    return result < 0 ? result : name_new(procedure, one, 0);
}

/* What it was is taken for what it is, unless the path tells more of the same file. */
static void describe_by_name(epio__procedure *procedure, const epio__replacement *replacement,
                             epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = {.size = sizeof now};
    int64_t result = epio__procedure_undo(
        procedure, epio_stat(&op, replacement->vfs, replacement->target, &now, EPIO_STAT_NOFOLLOW));
    bool same = result == 0 && now.bytes == replacement->made.bytes &&
                now.modified == replacement->made.modified;
    *info = same ? now : replacement->made;
}

static void describe(epio__procedure *procedure, const epio_saving *one)
{
    const epio__replacement *replacement = &one->replacement;
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    if (one->saved == NULL) {
        return;
    }
    if (replacement->file == NULL) {
        describe_by_name(procedure, replacement, &info);
    } else if (epio__procedure_undo(procedure, epio_file_stat(&op, replacement->file, &info)) < 0) {
        info.known = 0;
    }
    (void)epio_result_give(&info, sizeof info, sizeof info, one->saved);
}

/* A file that is a mount point of its own, as in containers, can be written only. */
static bool is_refusal_of_rename(int64_t result)
{
    return result == EPIO_EBUSY || result == EPIO_EXDEV || is_refusal_of_names(result);
}

static int64_t write_over(epio__procedure *procedure, epio_saving *one, const epio__source *source)
{
    epio__source now = *source;
    if (now.parts == NULL && now.file != NULL) { /* which may be another one by now */
        now.file = epio__saving_file(one);
    }
    if (now.file == NULL && source->file != NULL) {
        return epio__document_fail(procedure, EPIO_EIO);
    }
    int64_t result = epio__saving_write_over(procedure, one, &now);
    return result < 0 ? result : EPIO_SAVED_IN_PLACE;
}

int64_t epio__saving_commit(epio__procedure *procedure, epio_saving *one,
                            const epio__source *source)
{
    epio__replacement *replacement = &one->replacement;
    if (one->in_place) {
        return write_over(procedure, one, source);
    }
    if (replacement->slot == NULL || replacement->file == NULL) {
        return epio__document_fail(procedure, EPIO_EIO); /* it was named, but not durably */
    }
    one->notes = 0;
    int64_t result = replace(procedure, one);
    if (is_refusal_of_rename(result) && falls_back(one)) {
        return write_over(procedure, one, source);
    }
    if (result < 0) {
        return result;
    }
    bool has_links = replacement->exists && (replacement->old.known & EPIO_INFO_LINKS) != 0 &&
                     replacement->old.links > 1;
    describe(procedure, one);
    return one->notes | (has_links ? EPIO_SAVED_LINKS_LOST : 0);
}
