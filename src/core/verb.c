/* See verb.h. */
#include "core/verb.h"

#include "core/directory.h"
#include "fatal.h"

void epio__op_check_prepared(const epio_op *op, const char *function)
{
    if (op == NULL) {
        epio__fatal(function, "the op is NULL");
    }
    switch (epio__load_u32(&op->state) & ~(uint32_t)EPIO__STATE_EXTRAS) {
    case EPIO__STATE_PREPARED:
    case EPIO__STATE_FAST_READ:
    case EPIO__STATE_FAST_WRITE:
        return;
    case EPIO__STATE_IN_FLIGHT:
        epio__fatal(function, "the op is in flight; wait for its completion first");
    case EPIO__STATE_LINKED:
        epio__fatal(function, "the op is linked behind another; submit the first of the chain");
    case EPIO__STATE_ZEROED:
    case EPIO__STATE_DONE:
        epio__fatal(function, "the op was not prepared; call a verb, such as epio_read, first");
    default:
        epio__fatal(function, "the op was not zeroed; write `epio_op op = EPIO_OP_INIT;`");
    }
}

void epio__op_check_open(const epio_op *op, const char *function)
{
    const epio_file *file = epio__op_keeps(op);
    const epio_file *second = epio__op_keeps_second(op);
    if (file != NULL) {
        epio__file_check(file, function);
    }
    if (second != NULL) {
        epio__file_check(second, function);
    }
}

/* An op that was linked and then prepared anew leaves its chain. */
static void drop_link(epio_op *op)
{
    if (op->link != NULL) {
        epio__store_relaxed_u32(&op->link->state, EPIO__STATE_PREPARED);
        op->link = NULL;
    }
}

/* Aborts unless the op's state allows a verb to fill it. */
static EPIO__NOINLINE void check_free(epio_op *op, const char *function)
{
    if (op == NULL) {
        epio__fatal(function, "the op is NULL");
    }
    uint32_t state = epio__load_u32(&op->state);
    if (epio__state_is_prepared(state)) {
        drop_link(op);
    } else if (state != EPIO__STATE_ZEROED) {
        epio__op_check_prepared(op, function);
    }
}

/* Most were used before. */
static inline void prepare(epio_op *op, const char *function, uint8_t kind, epio_vfs *vfs)
{
    if (op == NULL || epio__load_u32(&op->state) != EPIO__STATE_DONE) {
        check_free(op, function);
    }
    epio__verb_fill(op, kind, EPIO__FAST_NOT, vfs, vfs != NULL ? vfs->loop : NULL);
    op->result = 0;
    op->reason = EPIO__REASON_NONE;
    epio__store_relaxed_u32(&op->state, EPIO__STATE_PREPARED);
}

void epio__verb_refuse(epio_op *op, uint8_t reason)
{
    if ((op->state_flags & EPIO__FLAG_INVALID) == 0) {
        op->state_flags |= EPIO__FLAG_INVALID;
        op->result = epio__op_refuse(op, reason);
    }
}

epio_op *epio__verb_on_vfs(epio_op *op, const char *function, uint8_t kind, epio_vfs *vfs)
{
    if (vfs != NULL) {
        epio__vfs_check(vfs, function);
    }
    epio_file *directory = vfs != NULL ? epio__directory_of_vfs(vfs) : NULL;
    if (directory != NULL) {
        epio__file_check(directory, function);
        vfs = directory->vfs;
    }
    prepare(op, function, kind, vfs);
    if (epio__op_is(op, EPIO__KIND_ON_PATH)) {
        op->arguments.path.directory = directory;
        op->arguments.path.kept = directory;
    }
    epio__verb_require(op, vfs != NULL, EPIO__REASON_VFS_IS_NULL);
    return op;
}

epio_op *epio__verb_on_file(epio_op *op, const char *function, uint8_t kind, epio_file *file)
{
    if (file != NULL && epio__file_is_released(file)) {
        epio__file_check(file, function);
    }
    prepare(op, function, kind, file != NULL ? file->vfs : NULL);
    op->file = file;
    epio__verb_require(op, file != NULL, EPIO__REASON_FILE_IS_NULL);
    return op;
}

/* An empty path is an invalid argument on every system, not a missing file. */
void epio__verb_require_path(epio_op *op, const char *path, uint8_t reason_if_null)
{
    epio__verb_require(op, path != NULL, reason_if_null);
    epio__verb_require(op, path == NULL || path[0] != '\0', EPIO__REASON_PATH_IS_EMPTY);
}

epio_op *epio__verb_on_path(epio_op *op, const char *function, uint8_t kind, epio_vfs *vfs,
                            const char *path, uint32_t flags, uint32_t known_flags)
{
    epio__verb_on_vfs(op, function, kind, vfs);
    op->arguments.path.path = path;
    op->arguments.path.len = 0;
    op->flags = flags;
    epio__verb_require_path(op, path, EPIO__REASON_PATH_IS_NULL);
    epio__verb_require(op, (flags & ~known_flags) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    return op;
}

epio_op *epio__verb_take_second(epio_op *op, const char *path, uint8_t reason_if_null)
{
    op->arguments.path.to = path;
    epio__verb_require_path(op, path, reason_if_null);
    return op;
}

void epio__verb_require_no_watch(epio_op *op)
{
    epio__verb_require(op, op->file == NULL || (op->file->attributes & EPIO_FILE_WATCH) == 0,
                       EPIO__REASON_IS_WATCH);
}

void epio__verb_require_bytes(epio_op *op)
{
    epio__verb_require(op, op->file == NULL || (op->file->attributes & EPIO_FILE_DIRECTORY) == 0,
                       EPIO__REASON_IS_DIRECTORY);
    epio__verb_require_no_watch(op);
}

/* A file that is not open for a direction is EPIO_EBADF, as for read(2). */
void epio__verb_require_direction(epio_op *op, uint32_t direction)
{
    epio__verb_require_bytes(op);
    epio__verb_require(op, op->file == NULL || (op->file->flags & direction) != 0,
                       direction == EPIO_OPEN_READ ? EPIO__REASON_NOT_READABLE
                                                   : EPIO__REASON_NOT_WRITABLE);
}

void epio__verb_require_permissions(epio_op *op)
{
    const uint32_t mark = EPIO_OPEN_PERMISSIONS(0);
    bool bare = (op->flags & EPIO_OPEN_PERMISSIONS(0777) & ~mark) != 0 && (op->flags & mark) == 0;
    epio__verb_require(op, !bare, EPIO__REASON_BARE_PERMISSIONS);
}
