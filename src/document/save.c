/* epio_save, and the verbs of a save in steps. What happens is in saving.c. */
#include "document/saving.h"

#include <stdlib.h>
#include <string.h>

#define FLAGS                                                                                      \
    (EPIO_SAVE_BACKUP | EPIO_SAVE_NO_DURABLE | EPIO_SAVE_IF_UNCHANGED | EPIO_SAVE_IN_PLACE_FALLBACK)

/* ---- What runs ---- */

static int64_t take_options(const epio_op *op, epio_saving *one)
{
    epio_save_options options = {.size = sizeof options};
    if (op->arguments.procedure.options != NULL) {
        (void)epio_options_take(&options, sizeof options, 0, op->arguments.procedure.options);
    }
    return epio__saving_init(one, op->arguments.procedure.vfs, op->arguments.procedure.path,
                             &options);
}

static int64_t finish(epio__procedure *procedure, int64_t result)
{
    if (result >= 0) {
        epio__procedure_op(procedure)->os_error = 0;
    }
    return result;
}

static int64_t save(epio__procedure *procedure, const epio__source *source)
{
    epio_saving one;
    epio__procedure_expect(procedure, source->len, 1);
    int64_t result = take_options(epio__procedure_op(procedure), &one);
    if (result == 0) {
        result = epio__saving_begin(procedure, &one, false);
    }
    epio_file *file = epio__saving_file(&one);
    if (result == 0 && file != NULL) {
        result = epio__source_write(procedure, source, file, 0);
    }
    if (result == 0) {
        result = epio__saving_commit(procedure, &one, source);
    }
    bool synced = (one.flags & EPIO_SAVE_NO_DURABLE) == 0;
    int64_t closed = epio__saving_end(procedure, &one);
    if (result >= 0) {
        epio__procedure_count(procedure, 0, 1);
    }
    return finish(procedure, result >= 0 && closed < 0 && !synced ? closed : result);
}

static int64_t run_save(epio__procedure *procedure)
{
    const epio_op *op = epio__procedure_op(procedure);
    epio_iovec part = {NULL, (size_t)op->arguments.procedure.len};
    memcpy(&part.base, &op->arguments.procedure.second, sizeof part.base);
    epio__source source = {.parts = &part, .count = 1, .len = part.len};
    return save(procedure, &source);
}

static int64_t run_savev(epio__procedure *procedure)
{
    const epio_op *op = epio__procedure_op(procedure);
    epio__source source = {.parts = op->arguments.procedure.second,
                           .count = (size_t)op->arguments.procedure.len};
    source.len = epio__bytes_of_parts(source.parts, source.count);
    return save(procedure, &source);
}

static int64_t run_begin(epio__procedure *procedure)
{
    epio_op *op = epio__procedure_op(procedure);
    epio_saving **made;
    epio_saving *one = malloc(sizeof *one);
    memcpy(&made, &op->arguments.procedure.second, sizeof made);
    *made = NULL;
    if (one == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = take_options(op, one);
    if (result == 0) {
        result = epio__saving_begin(procedure, one, true);
    }
    if (result == 0) {
        *made = one;
        return finish(procedure, 0);
    }
    (void)epio__saving_end(procedure, one);
    free(one);
    return result;
}

static epio_saving *saving_of(epio__procedure *procedure)
{
    epio_saving *one;
    memcpy(&one, &epio__procedure_op(procedure)->arguments.procedure.second, sizeof(void *));
    return one;
}

/* A write that failed, and that no sync of the program has reported. */
static int64_t unreported_error(epio__procedure *procedure, const epio_file *file)
{
    if (file->carried_error != 0) {
        epio__procedure_op(procedure)->os_error = file->carried_os_error;
    }
    return file->carried_error;
}

static int64_t commit(epio__procedure *procedure, epio_saving *one)
{
    epio_op op = EPIO_OP_INIT;
    epio__source source = {.file = epio__saving_file(one)};
    if (source.file == NULL) {
        return epio__document_fail(procedure, EPIO_EIO); /* it was named, but not durably */
    }
    int64_t result = unreported_error(procedure, source.file);
    if (result == 0) {
        result = epio__document_perform(procedure, epio_size(&op, source.file));
    }
    if (result < 0) {
        return result;
    }
    source.len = (uint64_t)result;
    epio__procedure_expect(procedure, one->in_place ? source.len : 0, 1);
    result =
        one->in_place || one->replacement.slot == NULL ? 0 : epio__saving_renew(procedure, one);
    return result < 0 ? result : epio__saving_commit(procedure, one, &source);
}

static bool is_busy(const epio_saving *one)
{
    const epio_file *file = epio__saving_file(one);
    return file != NULL && epio__file_is_busy(file);
}

static int64_t run_commit(epio__procedure *procedure)
{
    epio_saving *one = saving_of(procedure);
    if (is_busy(one)) {
        return epio__document_fail(procedure, EPIO_EBUSY);
    }
    int64_t result = commit(procedure, one);
    if (result < 0) {
        return result;
    }
    epio__procedure_count(procedure, 0, 1);
    bool synced = (one->flags & EPIO_SAVE_NO_DURABLE) == 0;
    int64_t closed = epio__saving_end(procedure, one);
    free(one);
    return finish(procedure, closed < 0 && !synced ? closed : result);
}

static int64_t run_abandon(epio__procedure *procedure)
{
    epio_saving *one = saving_of(procedure);
    if (is_busy(one)) {
        return epio__document_fail(procedure, EPIO_EBUSY);
    }
    (void)epio__saving_end(procedure, one);
    free(one);
    return finish(procedure, 0);
}

/* ---- Verbs ---- */

static bool info_is_valid(const epio_info *info)
{
    return info == NULL || info->size >= sizeof *info;
}

static void prepare(epio_op *op, const char *function, uint8_t kind,
                    const epio__procedure_type *type, epio_vfs *vfs, const char *path,
                    const epio_save_options *options)
{
    epio_save_options taken = {0};
    epio__procedure_verb(op, function, kind, type, vfs, path);
    bool valid = epio__procedure_take_options(
        op, &taken, sizeof taken, offsetof(epio_save_options, saved) + sizeof(void *), options);
    epio__verb_require(op, !valid || (taken.flags & ~FLAGS) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(op, !valid || taken.permissions <= 0777u, EPIO__REASON_MODE_BITS);
    epio__verb_require(
        op, !valid || (taken.flags & EPIO_SAVE_IF_UNCHANGED) == 0 || taken.expected != NULL,
        EPIO__REASON_EXPECTED_IS_NULL);
    epio__verb_require(op, !valid || (info_is_valid(taken.expected) && info_is_valid(taken.saved)),
                       EPIO__REASON_STRUCT_SIZE);
}

epio_op *epio_save(epio_op *op, epio_vfs *vfs, const char *path, const void *buffer, size_t len,
                   const epio_save_options *options)
{
    static const epio__procedure_type type = {run_save, false};
    prepare(op, "epio_save", EPIO_KIND_SAVE, &type, vfs, path, options);
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    op->arguments.procedure.second = buffer;
    op->arguments.procedure.len = len;
    epio__verb_require(op, op->arguments.procedure.len <= INT64_MAX, EPIO__REASON_TOO_LONG);
    return op;
}

epio_op *epio_savev(epio_op *op, epio_vfs *vfs, const char *path, const epio_iovec *parts,
                    size_t count, const epio_save_options *options)
{
    static const epio__procedure_type type = {run_savev, false};
    prepare(op, "epio_savev", EPIO_KIND_SAVE, &type, vfs, path, options);
    epio__verb_require(op, parts != NULL || count == 0, EPIO__REASON_PARTS_ARE_NULL);
    for (size_t i = 0; parts != NULL && i < count; i++) {
        epio__verb_require(op, parts[i].base != NULL || parts[i].len == 0,
                           EPIO__REASON_PART_IS_NULL);
    }
    epio__verb_require(op, epio__bytes_of_parts(parts, count) <= INT64_MAX, EPIO__REASON_TOO_LONG);
    op->arguments.procedure.second = parts;
    op->arguments.procedure.len = count;
    return op;
}

epio_op *epio_save_begin(epio_op *op, epio_vfs *vfs, const char *path,
                         const epio_save_options *options, epio_saving **saving)
{
    static const epio__procedure_type type = {run_begin, false};
    if (saving != NULL) {
        *saving = NULL;
    }
    prepare(op, "epio_save_begin", EPIO_KIND_SAVE_BEGIN, &type, vfs, path, options);
    epio__verb_require(op, saving != NULL, EPIO__REASON_SAVING_IS_NULL);
    op->arguments.procedure.second = saving;
    return op;
}

epio_file *epio_saving_file(const epio_saving *saving)
{
    return saving != NULL ? epio__saving_file(saving) : NULL;
}

static epio_op *prepare_end(epio_op *op, const char *function, uint8_t kind,
                            const epio__procedure_type *type, epio_saving *saving)
{
    epio__procedure_verb(op, function, kind, type, saving != NULL ? saving->vfs : NULL, ".");
    if (saving == NULL) {
        op->result = epio__op_refuse(op, EPIO__REASON_SAVING_IS_NULL);
    }
    op->arguments.procedure.second = saving;
    return op;
}

epio_op *epio_save_commit(epio_op *op, epio_saving *saving)
{
    static const epio__procedure_type type = {run_commit, false};
    return prepare_end(op, "epio_save_commit", EPIO_KIND_SAVE_COMMIT, &type, saving);
}

epio_op *epio_save_abandon(epio_op *op, epio_saving *saving)
{
    static const epio__procedure_type type = {run_abandon, true};
    return prepare_end(op, "epio_save_abandon", EPIO_KIND_SAVE_ABANDON, &type, saving);
}
