/* epio_remove_tree: what becomes of each entry of a tree that is removed. */
#include "tree/tree.h"

#include "document/replacement.h"

#include <stdlib.h>
#include <string.h>

typedef epio__tree_node node;
typedef epio__tree_thread thread;

/* How often a directory in which others make something is emptied. */
#define MOST_PASSES 100u

static const char *name_of(const epio__tree *tree, const node *in)
{
    return in->parent != NULL ? in->name : tree->path;
}

/* It counts for the directory that it was in, too. */
static void count(thread *one, node *in)
{
    if (in != NULL) {
        epio__store_u32(&in->changes, 1);
    }
    epio__tree_count(one);
}

static int64_t remove_file(thread *one, node *in, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result =
        epio__tree_perform(one, epio_delete(&op, epio__tree_vfs(one->tree, in, 0), name, 0));
    if (result == 0) {
        count(one, in);
    }
    return result == EPIO_ENOENT && in != NULL ? 0 : result;
}

static int64_t remove_directory(thread *one, node *in)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__tree_perform(
        one, epio_rmdir(&op, epio__tree_vfs(one->tree, in->parent, 0), name_of(one->tree, in), 0));
    if (result == 0) {
        count(one, in->parent);
    }
    return result;
}

static bool is_no_directory(int64_t error)
{
    return error == EPIO_ENOTDIR || error == EPIO_ELOOP;
}

static int64_t enter(thread *one, node *in)
{
    epio_op op = EPIO_OP_INIT;
    const uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_NOFOLLOW;
    int64_t result =
        epio__tree_perform(one, epio_open(&op, epio__tree_vfs(one->tree, in->parent, 0),
                                          name_of(one->tree, in), flags));
    in->files[0] = op.file;
    if (is_no_directory(result)) {
        result = remove_file(one, in->parent, name_of(one->tree, in));
        return result == 0 ? 1 : result;
    }
    if (result == EPIO_ENOENT && in->parent != NULL) {
        return 1;
    }
    if (result == EPIO_EACCES) { /* an empty one can be removed all the same */
        const epio__failure failure = one->copier.failure;
        if (remove_directory(one, in) == 0) {
            return 1;
        }
        one->copier.failure = failure;
    }
    return result;
}

static bool is_directory(thread *one, const node *in, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    const epio__failure failure = one->copier.failure;
    bool is = epio__tree_perform(one, epio_stat(&op, epio__tree_vfs(one->tree, in, 0), name, &info,
                                                EPIO_STAT_NOFOLLOW)) == 0 &&
              info.type == EPIO_TYPE_DIRECTORY;
    one->copier.failure = failure;
    return is;
}

static int64_t visit(thread *one, node *in, const epio_entry *entry)
{
    const char *name = epio_entry_name(entry);
    if (entry->type == EPIO_TYPE_DIRECTORY) {
        return epio__tree_found(one, in, name, false);
    }
    int64_t result = remove_file(one, in, name);
    bool may_be = result == EPIO_EISDIR || result == EPIO_EPERM || result == EPIO_EACCES;
    if (may_be && is_directory(one, in, name)) {
        return epio__tree_found(one, in, name, false);
    }
    return result;
}

/* Of one in which something was left that is known, nothing more is said. */
static int64_t leave(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    epio__tree_close(one, in);
    if (in->left) {
        return 0;
    }
    int64_t result = in->parent != NULL ? epio__tree_hold(one, in->parent) : 0;
    if (result < 0) {
        return result;
    }
    result = remove_directory(one, in);
    if (in->parent != NULL) {
        epio__tree_release(one, in->parent);
    }
    if (result == EPIO_ENOTEMPTY && !tree->must && in->passes < MOST_PASSES) {
        in->passes += epio__load_u32(&in->changes) != 0 || in->passes == 0 ? 1 : MOST_PASSES;
        epio__store_u32(&in->changes, 0);
        return in->passes <= MOST_PASSES ? 1 : result;
    }
    return result == EPIO_ENOENT && in->parent != NULL ? 0 : result;
}

/* ---- The verb ---- */

int64_t epio__tree_remove(epio__tree *tree)
{
    static const epio__tree_type type = {1, enter, visit, leave};
    tree->type = &type;
    return epio__tree_run(tree);
}

/* The path without separators at its end: memory, or NULL. */
static char *without_end(const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && epio__is_separator(path[len - 1])) {
        len--;
    }
    char *copy = malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, path, len);
        copy[len] = '\0';
    }
    return copy;
}

static bool has_no_name(const char *path)
{
    const char *last = path + epio__directory_len(path);
    return last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

/* Both lead to one directory? */
static bool is_same(epio__tree *tree, const epio_info *one, const char *other)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    return other != NULL &&
           epio__procedure_perform(tree->procedure, epio_stat(&op, tree->vfs, other, &info, 0)) ==
               0 &&
           epio__is_one_file(one, &info);
}

/* What is above a root is the root itself, also that of a drive or a share. Where the root is
 * mounted once more, below others, it is the same as "/". */
static bool is_root(epio__tree *tree, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    char *above = epio__join(path, strlen(path), "/..");
    bool is = epio__procedure_perform(tree->procedure, epio_stat(&op, tree->vfs, path, &info,
                                                                 EPIO_STAT_NOFOLLOW)) == 0 &&
              info.type == EPIO_TYPE_DIRECTORY &&
              (is_same(tree, &info, above) || is_same(tree, &info, "/"));
    free(above);
    return is;
}

/* "link/" is what the link leads to, and that has another name. */
static bool is_link(epio__tree *tree, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    return epio__procedure_perform(
               tree->procedure, epio_stat(&op, tree->vfs, path, &info, EPIO_STAT_NOFOLLOW)) == 0 &&
           info.type != EPIO_TYPE_DIRECTORY;
}

int64_t epio__tree_remove_path(epio__tree *tree)
{
    const char *given = tree->path;
    char *path = without_end(given);
    int64_t result;
    if (path == NULL) {
        return EPIO_ENOMEM;
    }
    if (has_no_name(path) || is_root(tree, given)) {
        tree->failure.reason = EPIO__REASON_REMOVE_ROOT;
        result = EPIO_EINVAL;
    } else if (strlen(path) != strlen(given) && is_link(tree, path)) {
        result = EPIO_ENOTDIR;
    } else {
        tree->path = path;
        result = epio__tree_remove(tree);
        tree->path = given;
    }
    free(path);
    return result;
}

static int64_t run_remove_tree(epio__procedure *procedure)
{
    epio__tree tree;
    epio__tree_take_terms(&tree, procedure);
    int64_t result = epio__tree_remove_path(&tree);
    epio__tree_explain(&tree, result);
    return result;
}

epio_op *epio_remove_tree(epio_op *op, epio_vfs *vfs, const char *path,
                          const epio_tree_options *options)
{
    static const epio__procedure_type type = {run_remove_tree, false};
    epio__procedure_verb(op, "epio_remove_tree", EPIO_KIND_REMOVE_TREE, &type, vfs, path);
    epio__tree_require(op, options, 0);
    op->arguments.procedure.second = NULL;
    return op;
}
