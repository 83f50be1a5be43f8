/* epio_move: a rename, or where that cannot be a copy and a removal. */
#include "tree/tree.h"

#include "document/replacement.h"

#include <string.h>

static int64_t perform(epio__tree *tree, epio_op *op)
{
    int64_t result = epio__procedure_perform(tree->procedure, op);
    if (result < 0) {
        tree->failure = (epio__failure){op->kind, op->os_error, op->reason};
    }
    return result;
}

static int64_t stat_name(epio__tree *tree, epio_vfs *vfs, const char *path, epio_info *info,
                         uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    return perform(tree, epio__prepare_stat_name(&op, vfs, path, info, flags));
}

static int64_t fail(epio__tree *tree, int64_t error)
{
    tree->failure = (epio__failure){EPIO_KIND_MOVE, 0, EPIO__REASON_NONE};
    return error;
}

static bool wants(const epio__tree *tree, uint32_t flag)
{
    return (tree->flags & flag) != 0;
}

/* Terms of a part of the move. */
static epio__tree part_of(const epio__tree *whole)
{
    epio__tree part;
    memset(&part, 0, sizeof part);
    part.procedure = whole->procedure;
    part.vfs = whole->vfs;
    part.to_vfs = whole->to_vfs;
    part.path = whole->path;
    part.to = whole->to;
    part.threads = whole->threads;
    part.decide = whole->decide;
    return part;
}

/* What the copy has made until it failed. */
static void remove_copy(const epio__tree *whole)
{
    epio__tree part = part_of(whole);
    part.vfs = whole->to_vfs;
    part.path = whole->to;
    part.decide = NULL;
    part.must = true;
    (void)epio__tree_remove(&part);
}

/* What has got the name since is another's: as if it had got it after the move. */
static bool is_still_there(epio__tree *whole, const epio_info *copied)
{
    epio_info now;
    int64_t result = stat_name(whole, whole->vfs, whole->path, &now, EPIO_STAT_NOFOLLOW);
    bool known = (copied->known & EPIO_INFO_ID) != 0;
    return result == 0 ? !known || epio__is_one_file(&now, copied) : result != EPIO_ENOENT;
}

static int64_t remove_source(epio__tree *whole, const epio_info *copied)
{
    epio__tree part = part_of(whole);
    if (!is_still_there(whole, copied)) {
        return 0;
    }
    int64_t result = epio__tree_remove_path(&part);
    whole->failure = part.failure;
    return result;
}

/* Where a directory is to be: an empty one makes room for it, as for a rename. */
static int64_t make_room(epio__tree *tree, bool *merges)
{
    epio_op op = EPIO_OP_INIT;
    epio_info there;
    int64_t result = stat_name(tree, tree->to_vfs, tree->to, &there, EPIO_STAT_NOFOLLOW);
    *merges = false;
    if (result == EPIO_ENOENT) {
        return 0;
    }
    if (result < 0) {
        return result;
    }
    *merges = there.type == EPIO_TYPE_DIRECTORY && wants(tree, EPIO_COPY_MERGE);
    if (*merges) {
        return 0;
    }
    if (wants(tree, EPIO_COPY_NO_REPLACE)) {
        return fail(tree, EPIO_EEXIST);
    }
    if (there.type != EPIO_TYPE_DIRECTORY) {
        return fail(tree, EPIO_ENOTDIR);
    }
    return perform(tree, epio_rmdir(&op, tree->to_vfs, tree->to, 0));
}

/* Refused before an empty directory at `to` is removed. */
static int64_t copy_and_remove(epio__tree *tree)
{
    epio_info from;
    bool merges = false;
    int64_t result = stat_name(tree, tree->vfs, tree->path, &from, EPIO_STAT_NOFOLLOW);
    if (result == 0 && from.type == EPIO_TYPE_DIRECTORY) {
        result = make_room(tree, &merges);
    }
    if (result < 0) {
        return result;
    }
    epio__tree part = part_of(tree);
    part.flags = EPIO_COPY_METADATA | EPIO_COPY_DURABLE;
    part.flags |= tree->flags & EPIO_COPY_NO_REPLACE;
    part.flags |= merges ? EPIO_COPY_MERGE : 0;
    part.over_links = true;
    result = epio__tree_copy(&part);
    tree->failure = part.failure;
    if (result >= 0 && part.skipped != 0) {
        result = fail(tree, EPIO_ENOTEMPTY);
    } else if (result < 0 && part.made && !merges && from.type == EPIO_TYPE_DIRECTORY) {
        remove_copy(tree);
    }
    result = result >= 0 ? remove_source(tree, &part.copied) : result;
    return result < 0 ? result : 1;
}

static bool is_full(int64_t result)
{
    return result == EPIO_ENOTEMPTY || result == EPIO_EEXIST;
}

/* Of two directories, whose contents may be put together? */
static bool may_merge(epio__tree *tree)
{
    const epio__failure failure = tree->failure;
    epio_info infos[2];
    bool may = wants(tree, EPIO_COPY_MERGE) &&
               stat_name(tree, tree->vfs, tree->path, &infos[0], EPIO_STAT_NOFOLLOW) == 0 &&
               stat_name(tree, tree->to_vfs, tree->to, &infos[1], EPIO_STAT_NOFOLLOW) == 0 &&
               infos[0].type == EPIO_TYPE_DIRECTORY && infos[1].type == EPIO_TYPE_DIRECTORY;
    tree->failure = failure;
    return may;
}

static int64_t run_move(epio__procedure *procedure)
{
    epio__tree tree;
    epio_op op = EPIO_OP_INIT;
    int64_t result = EPIO_EXDEV;
    epio__tree_take_terms(&tree, procedure);
    if (tree.vfs == tree.to_vfs) {
        uint32_t flags = wants(&tree, EPIO_COPY_NO_REPLACE) ? EPIO_RENAME_NO_REPLACE : 0;
        flags |= wants(&tree, EPIO_COPY_DURABLE) ? EPIO_RENAME_SYNC_DIR : 0;
        result = perform(&tree, epio_rename(&op, tree.vfs, tree.path, tree.to, flags));
    }
    if (result == EPIO_EXDEV || (is_full(result) && may_merge(&tree))) {
        result = copy_and_remove(&tree);
    }
    epio__tree_explain(&tree, result);
    return result;
}

epio_op *epio_move(epio_op *op, epio_vfs *vfs, const char *from, const char *to,
                   const epio_tree_options *options)
{
    static const epio__procedure_type type = {run_move, false};
    const uint32_t known =
        EPIO_COPY_NO_REPLACE | EPIO_COPY_METADATA | EPIO_COPY_DURABLE | EPIO_COPY_MERGE;
    epio__procedure_verb(op, "epio_move", EPIO_KIND_MOVE, &type, vfs, from);
    epio__verb_require_path(op, to, EPIO__REASON_NEW_PATH_IS_NULL);
    epio__tree_require(op, options, known);
    op->arguments.procedure.second = to;
    return op;
}
