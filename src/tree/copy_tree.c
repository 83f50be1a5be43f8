/* epio_copy_tree: what becomes of each entry of a tree that is copied. */
#include "tree/copy_tree.h"

#include "document/replacement.h"

#include <stdlib.h>
#include <string.h>

typedef epio__tree_node node;
typedef epio__tree_thread thread;

#define OWNER_BITS 0700u

static int64_t stat_name(thread *one, epio_vfs *vfs, const char *name, epio_info *info,
                         uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    return epio__tree_perform(one, epio__prepare_stat_name(&op, vfs, name, info, flags));
}

static bool wants(const thread *one, uint32_t flag)
{
    return (one->tree->flags & flag) != 0;
}

/* ---- Directories ---- */

static void know(node *in, uint32_t which, const epio_info *info)
{
    in->identified[which] = (info->known & EPIO_INFO_ID) != 0;
    in->device[which] = info->device;
    in->id[which][0] = info->id[0];
    in->id[which][1] = info->id[1];
}

static bool is_same_directory(const node *in, const node *above)
{
    return in->identified[0] && above->identified[0] && in->device[0] == above->device[0] &&
           in->id[0][0] == above->id[0][0] && in->id[0][1] == above->id[0][1];
}

static int64_t refuse_loop(thread *one)
{
    one->copier.failure = (epio__failure){EPIO_KIND_OPEN, 0, EPIO__REASON_NONE};
    return EPIO_ELOOP;
}

/* Of the source, which is open. */
static int64_t check_source(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    int64_t result = epio__tree_stat_file(one, in->files[0], &in->info);
    if (result < 0) {
        return result;
    }
    know(in, 0, &in->info);
    for (const node *above = in->parent; above != NULL && wants(one, EPIO_COPY_FOLLOW);
         above = above->parent) {
        if (is_same_directory(in, above)) {
            return refuse_loop(one);
        }
    }
    epio__mutex_lock(&tree->mutex);
    if (in->parent == NULL) {
        tree->copied = in->info;
    }
    bool itself = in->parent != NULL && epio__is_one_file(&in->info, &tree->root_info);
    epio__mutex_unlock(&tree->mutex);
    return itself ? epio__copier_refuse(&one->copier, EPIO__REASON_COPY_INTO_ITSELF) : 0;
}

static uint32_t permissions_of(const thread *one, const node *in)
{
    bool known = (in->info.known & EPIO_INFO_MODE) != 0;
    uint32_t mode = known ? in->info.mode & 0777u : 0777u;
    return wants(one, EPIO_COPY_METADATA) ? OWNER_BITS : mode | OWNER_BITS;
}

static int64_t make_target(thread *one, node *in, epio_vfs *vfs, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__tree_perform(
        one, epio_mkdir(&op, vfs, name, EPIO_OPEN_PERMISSIONS(permissions_of(one, in))));
    bool there = result == EPIO_EEXIST && (in->made || wants(one, EPIO_COPY_MERGE));
    in->made = in->made || result == 0;
    return there ? 0 : result;
}

/* No link is followed, unless the caller's own path is one. */
static int64_t open_target(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    epio_vfs *vfs = epio__tree_vfs(tree, in->parent, 1);
    const char *name = in->parent != NULL ? in->name : tree->to;
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY;
    epio_op op = EPIO_OP_INIT;
    epio_info info;
    int64_t result = make_target(one, in, vfs, name);
    if (result < 0) {
        return result;
    }
    if (in->parent == NULL) {
        epio__mutex_lock(&tree->mutex);
        tree->made = in->made;
        epio__mutex_unlock(&tree->mutex);
    }
    flags |= in->parent != NULL || in->made ? EPIO_OPEN_NOFOLLOW : 0;
    result = epio__tree_perform(one, epio_open(&op, vfs, name, flags));
    in->files[1] = op.file;
    if (result == 0 && in->parent == NULL) {
        result = epio__tree_stat_file(one, in->files[1], &info);
        epio__mutex_lock(&tree->mutex);
        tree->root_info = info;
        epio__mutex_unlock(&tree->mutex);
    }
    return result;
}

/* A root that is none is copied as what it is. */
static int64_t copy_root(thread *one)
{
    epio__tree *tree = one->tree;
    epio__copier *copier = &one->copier;
    copier->from_vfs = tree->vfs;
    copier->to_vfs = tree->to_vfs;
    copier->flags = tree->flags & (EPIO_COPY_NO_REPLACE | EPIO_COPY_METADATA | EPIO_COPY_DURABLE |
                                   EPIO_COPY_WHOLE);
    copier->flags |= wants(one, EPIO_COPY_FOLLOW) ? 0 : EPIO_COPY_NOFOLLOW;
    copier->flags |= tree->over_links ? EPIO_COPY_OVER_LINKS : 0;
    int64_t result = epio__copy_one(copier, tree->path, tree->to);
    if (result < 0) {
        return result;
    }
    epio__mutex_lock(&tree->mutex);
    tree->made = true;
    tree->copied = copier->info;
    epio__mutex_unlock(&tree->mutex);
    epio__tree_count(one);
    return 1;
}

static bool is_no_directory(int64_t error)
{
    return error == EPIO_ENOTDIR || error == EPIO_ELOOP;
}

static int64_t enter(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    epio_op op = EPIO_OP_INIT;
    bool root = in->parent == NULL;
    bool follow = in->by_link || (root && wants(one, EPIO_COPY_FOLLOW));
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | (follow ? 0u : EPIO_OPEN_NOFOLLOW);
    int64_t result = epio__tree_perform(one, epio_open(&op, epio__tree_vfs(tree, in->parent, 0),
                                                       root ? tree->path : in->name, flags));
    if (root && is_no_directory(result)) {
        return copy_root(one);
    }
    in->files[0] = op.file;
    result = result == 0 ? check_source(one, in) : result;
    if (result == 0 && root) {
        result = epio__copy_check_place(one, &in->info);
    }
    result = result == 0 ? open_target(one, in) : result;
    if (result == 0 && !root && wants(one, EPIO_COPY_SAME_FILE_SYSTEM) &&
        in->device[0] != tree->root->device[0]) {
        in->names_are_all = true; /* it stays empty */
    }
    return result;
}

/* What the umask has left of the permissions it was made with, less those that were only needed to
 * work in it. */
static int64_t set_permissions(thread *one, node *in)
{
    epio_op op = EPIO_OP_INIT;
    epio_info made;
    int64_t result = epio__tree_stat_file(one, in->files[1], &made);
    uint32_t mode = made.mode & ~(OWNER_BITS & ~in->info.mode);
    return result < 0 ? result
                      : epio__tree_perform(one, epio_file_set_mode(&op, in->files[1], mode));
}

static int64_t finish(thread *one, node *in)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = 0;
    if (wants(one, EPIO_COPY_METADATA)) {
        result = epio__copy_metadata(&one->copier, in->files[0], &in->info, in->files[1]);
    } else if (in->made && (in->info.known & EPIO_INFO_MODE) != 0 &&
               (in->info.mode & OWNER_BITS) != OWNER_BITS) {
        result = set_permissions(one, in);
    }
    if (result == 0 && wants(one, EPIO_COPY_DURABLE)) {
        result = epio__tree_perform(one, epio_sync(&op, in->files[1], EPIO_SYNC_FULL));
    }
    if (result == 0 && wants(one, EPIO_COPY_DURABLE) && in->parent == NULL) {
        one->copier.to_vfs = one->tree->to_vfs;
        result = epio__copier_sync_directory(&one->copier, one->tree->to);
    }
    return result;
}

static int64_t leave(thread *one, node *in)
{
    bool needed =
        wants(one, EPIO_COPY_METADATA | EPIO_COPY_DURABLE) ||
        ((in->info.known & EPIO_INFO_MODE) != 0 && (in->info.mode & OWNER_BITS) != OWNER_BITS);
    int64_t result = needed ? epio__tree_hold(one, in) : 0;
    if (needed && result == 0) {
        result = finish(one, in);
        epio__tree_release(one, in);
    }
    if (result == 0) {
        epio__tree_count(one);
    }
    return result;
}

/* ---- Files and links ---- */

static int64_t refuse_type(thread *one)
{
    one->copier.failure = (epio__failure){EPIO_KIND_OPEN, 0, EPIO__REASON_NONE};
    return EPIO_ENOTSUP;
}

/* Something that is left as it is has the name. */
static bool is_left(const thread *one, int64_t result)
{
    const uint32_t both = EPIO_COPY_NO_REPLACE | EPIO_COPY_MERGE;
    return result == EPIO_EEXIST && (one->tree->flags & both) == both;
}

static int64_t copy_file(thread *one, node *in, const char *name, bool link, bool follow)
{
    epio__copier *copier = &one->copier;
    copier->from_vfs = epio__tree_vfs(one->tree, in, 0);
    copier->to_vfs = epio__tree_vfs(one->tree, in, 1);
    copier->flags = one->tree->flags & (EPIO_COPY_METADATA | EPIO_COPY_DURABLE | EPIO_COPY_WHOLE);
    copier->flags |= EPIO_COPY_OVER_LINKS | EPIO__COPY_NAME_LATER;
    copier->flags |= follow ? 0 : EPIO_COPY_NOFOLLOW;
    copier->flags |=
        (one->tree->flags & (EPIO_COPY_NO_REPLACE | EPIO_COPY_MERGE)) == EPIO_COPY_MERGE
            ? 0
            : EPIO_COPY_NO_REPLACE;
    copier->begin_linked = epio__copy_begin_linked;
    copier->end_linked = epio__copy_end_linked;
    one->in = in;
    int64_t result =
        link ? epio__copy_link(copier, name, name) : epio__copy_one(copier, name, name);
    if (is_left(one, result)) {
        epio__tree_skip(one, in);
        return 0;
    }
    if (result >= 0) {
        epio__tree_count(one);
    }
    return result < 0 ? result : 0;
}

static int64_t visit_type(thread *one, node *in, const char *name, uint32_t type, bool by_link)
{
    epio_info info;
    int64_t result;
    switch (type) {
    case EPIO_TYPE_DIRECTORY:
        return epio__tree_found(one, in, name, by_link);
    case EPIO_TYPE_FILE:
        return copy_file(one, in, name, false, by_link);
    case EPIO_TYPE_LINK:
        if (!wants(one, EPIO_COPY_FOLLOW)) {
            return copy_file(one, in, name, true, false);
        }
        result = stat_name(one, epio__tree_vfs(one->tree, in, 0), name, &info, 0);
        if (result < 0 || info.type == EPIO_TYPE_LINK) {
            return result < 0 ? result : refuse_loop(one);
        }
        return visit_type(one, in, name, info.type, true);
    default:
        return refuse_type(one);
    }
}

static int64_t visit(thread *one, node *in, const epio_entry *entry)
{
    const char *name = epio_entry_name(entry);
    uint32_t type = entry->type;
    if (type == EPIO_TYPE_UNKNOWN) {
        epio_info info;
        int64_t result =
            stat_name(one, epio__tree_vfs(one->tree, in, 0), name, &info, EPIO_STAT_NOFOLLOW);
        if (result < 0) {
            return result == EPIO_ENOENT ? 0 : result; /* it was removed since it was listed */
        }
        type = info.type;
    }
    return visit_type(one, in, name, type, false);
}

/* ---- The verb ---- */

int64_t epio__tree_copy(epio__tree *tree)
{
    static const epio__tree_type type = {2, enter, visit, leave};
    tree->type = &type;
    tree->links = epio__copy_links_create();
    if (tree->links == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = epio__tree_run(tree);
    epio__copy_links_destroy(tree);
    return result;
}

static int64_t run_copy_tree(epio__procedure *procedure)
{
    epio__tree tree;
    epio__tree_take_terms(&tree, procedure);
    int64_t result = epio__tree_copy(&tree);
    epio__tree_explain(&tree, result);
    return result;
}

epio_op *epio_copy_tree(epio_op *op, epio_vfs *vfs, const char *from, const char *to,
                        const epio_tree_options *options)
{
    static const epio__procedure_type type = {run_copy_tree, false};
    const uint32_t known = EPIO_COPY_NO_REPLACE | EPIO_COPY_METADATA | EPIO_COPY_DURABLE |
                           EPIO_COPY_MERGE | EPIO_COPY_FOLLOW | EPIO_COPY_SAME_FILE_SYSTEM |
                           EPIO_COPY_WHOLE;
    epio__procedure_verb(op, "epio_copy_tree", EPIO_KIND_COPY_TREE, &type, vfs, from);
    epio__verb_require_path(op, to, EPIO__REASON_NEW_PATH_IS_NULL);
    epio__tree_require(op, options, known);
    op->arguments.procedure.second = to;
    return op;
}
