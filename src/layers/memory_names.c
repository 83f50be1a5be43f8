/* See memory_names.h. */
#include "layers/memory_names.h"

#include "layers/memory_metadata.h"
#include "layers/memory_watch.h"
#include "packed_entry.h"
#include "platform.h"
#include "reason.h"

#include <stdlib.h>
#include <string.h>

#define LINK_MODE 0777u
#define DIRECTORY_MODE 0777u
#define TEMPORARY_MODE 0600u
#define TEMPORARY_DIRECTORY_MODE 0700u
#define INHERITED_GROUP 02000u /* the set-group-id bit of a directory */

/* ---- Making ---- */

/* May names be added to the directory, or removed? */
static int may_change(const epio__memory_node *directory)
{
    if (epio__memory_is_removed(directory)) {
        return EPIO_ENOENT;
    }
    return epio__memory_permits(directory, EPIO__MEMORY_WRITE) ? 0 : EPIO_EACCES;
}

static bool set_target(epio__memory_node *node, const char *target)
{
    size_t len = strlen(target);
    node->target = malloc(len + 1);
    if (node->target == NULL) {
        return false;
    }
    memcpy(node->target, target, len + 1);
    return true;
}

static void inherit_group(epio__memory_node *node, const epio__memory_node *directory)
{
    if ((directory->mode & INHERITED_GROUP) != 0) {
        node->group = directory->group;
        node->mode |= epio__memory_is_directory(node) ? INHERITED_GROUP : 0;
    }
}

int epio__memory_make(epio__memory_walk *walk, uint32_t type, uint32_t mode, const char *target,
                      epio__memory_node **made)
{
    epio__memory_node *directory = walk->directory;
    int result = may_change(directory);
    if (result < 0) {
        return result;
    }
    epio__memory_node *node = epio__memory_node_create(walk->from->tree, type, mode);
    epio__memory_entry *entry = NULL;
    if (node != NULL && (target == NULL || set_target(node, target))) {
        entry = epio__memory_entry_create(walk->from->tree, node, walk->name, walk->len);
    }
    if (entry != NULL) {
        inherit_group(node, directory);
        epio__memory_entry_insert(directory, entry);
        epio__memory_watch_made(walk->from->tree, entry);
        *made = node;
    }
    epio__memory_node_release(node);
    return entry != NULL ? 0 : EPIO_ENOMEM;
}

/* To where a new name is to be made: 0 if it may be. Only a directory's may end with a slash. */
static int walk_to_new(epio__memory_walk *walk, const epio__memory_start *from, const char *path,
                       uint32_t type)
{
    int result = epio__memory_walk_begin(walk, from, path);
    if (result < 0) {
        return result;
    }
    if (walk->last != EPIO__MEMORY_LAST_NAME) {
        return EPIO_EEXIST;
    }
    result = epio__memory_walk_name(walk);
    if (result < 0) {
        return result;
    }
    if (walk->node != NULL) {
        return EPIO_EEXIST;
    }
    return walk->slash && type != EPIO_TYPE_DIRECTORY ? EPIO_ENOENT : 0;
}

static int make_at(const epio__memory_start *from, const char *path, uint32_t type, uint32_t mode,
                   const char *target)
{
    epio__memory_walk walk = {0};
    epio__memory_node *made;
    int result = walk_to_new(&walk, from, path, type);
    return result == 0 ? epio__memory_make(&walk, type, mode, target, &made) : result;
}

/* ---- Directories ---- */

/* Makes the first `len` bytes of the path, and what is missing above. */
static int make_all(const epio__memory_start *from, char *path, size_t len, uint32_t mode)
{
    epio__memory_walk walk = {0};
    char after = path[len];
    path[len] = '\0';
    int result = make_at(from, path, EPIO_TYPE_DIRECTORY, mode, NULL);
    size_t above = len;
    while (above > 0 && path[above - 1] == '/') {
        above--;
    }
    while (above > 0 && path[above - 1] != '/') {
        above--;
    }
    while (above > 0 && path[above - 1] == '/') {
        above--;
    }
    if (result == EPIO_ENOENT && above > 0) {
        result = make_all(from, path, above, DIRECTORY_MODE);
        result = result == 0 ? make_at(from, path, EPIO_TYPE_DIRECTORY, mode, NULL) : result;
    }
    if (result == EPIO_EEXIST &&
        epio__memory_walk_path(&walk, from, path, EPIO__MEMORY_FOLLOW | EPIO__MEMORY_DIRECTORY) ==
            0) {
        result = 0;
    }
    path[len] = after;
    return result;
}

int64_t epio__memory_mkdir(const epio__memory_start *from, const epio_op *op)
{
    const char *path = op->arguments.path.path;
    uint32_t given = op->flags >> 16;
    uint32_t mode = given != 0 ? given & 0777u : DIRECTORY_MODE;
    char all[EPIO__MEMORY_PATH_SIZE];
    size_t len = strlen(path);
    if ((op->flags & EPIO_MKDIR_PARENTS) == 0) {
        return make_at(from, path, EPIO_TYPE_DIRECTORY, mode, NULL);
    }
    if (len >= sizeof all) {
        return EPIO_ENAMETOOLONG;
    }
    memcpy(all, path, len + 1);
    return make_all(from, all, len, mode);
}

int64_t epio__memory_rmdir(const epio__memory_start *from, const epio_op *op)
{
    static const int errors[] = {[EPIO__MEMORY_LAST_DOT] = EPIO_EINVAL,
                                 [EPIO__MEMORY_LAST_DOTS] = EPIO_ENOTEMPTY,
                                 [EPIO__MEMORY_LAST_ROOT] = EPIO_EBUSY};
    epio__memory_walk walk = {0};
    int result = epio__memory_walk_begin(&walk, from, op->arguments.path.path);
    if (result == 0 && walk.last != EPIO__MEMORY_LAST_NAME) {
        return errors[walk.last];
    }
    result = result == 0 ? epio__memory_walk_name(&walk) : result;
    if (result == 0 && walk.node == NULL) {
        return EPIO_ENOENT;
    }
    result = result == 0 ? may_change(walk.directory) : result;
    if (result < 0) {
        return result;
    }
    if (!epio__memory_is_directory(walk.node)) {
        return EPIO_ENOTDIR;
    }
    if (walk.node->entries != NULL) {
        return EPIO_ENOTEMPTY;
    }
    epio__memory_watch_removed(from->tree, walk.entry);
    epio__memory_entry_remove(walk.directory, walk.entry);
    return 0;
}

/* ---- Removing and moving ---- */

int64_t epio__memory_delete(const epio__memory_start *from, const char *path)
{
    epio__memory_walk walk = {0};
    int result = epio__memory_walk_begin(&walk, from, path);
    if (result == 0 && walk.last != EPIO__MEMORY_LAST_NAME) {
        return EPIO_EISDIR;
    }
    result = result == 0 ? epio__memory_walk_name(&walk) : result;
    if (result == 0 && walk.node == NULL) {
        return EPIO_ENOENT;
    }
    if (result == 0 && walk.slash) {
        return epio__memory_is_directory(walk.node) ? EPIO_EISDIR : EPIO_ENOTDIR;
    }
    result = result == 0 ? may_change(walk.directory) : result;
    if (result < 0) {
        return result;
    }
    if (epio__memory_is_directory(walk.node)) {
        return EPIO_EISDIR;
    }
    epio__memory_watch_removed(from->tree, walk.entry);
    epio__memory_entry_remove(walk.directory, walk.entry);
    return 0;
}

static bool is_within(const epio__memory_node *directory, const epio__memory_node *above)
{
    while (directory != above && directory->parent != directory) {
        directory = directory->parent;
    }
    return directory == above;
}

/* Walks to both names, of which the first is there. */
static int walk_to_both(epio__memory_walk *source, epio__memory_walk *target,
                        const epio__memory_start *from, const epio_op *op, bool replaces)
{
    int result = epio__memory_walk_begin(source, from, op->arguments.path.path);
    if (result == 0) {
        result = epio__memory_walk_begin(target, from, op->arguments.path.to);
    }
    if (result < 0) {
        return result;
    }
    if (source->last != EPIO__MEMORY_LAST_NAME) {
        return EPIO_EBUSY;
    }
    if (target->last != EPIO__MEMORY_LAST_NAME) {
        return replaces ? EPIO_EBUSY : EPIO_EEXIST;
    }
    result = epio__memory_walk_name(source);
    if (result == 0 && source->node == NULL) {
        result = EPIO_ENOENT;
    }
    if (result == 0) {
        result = epio__memory_walk_name(target);
    }
    return result == 0 && target->node != NULL && !replaces ? EPIO_EEXIST : result;
}

/* ".." of a directory that gets another parent is rewritten. */
static bool may_be_moved(const epio__memory_walk *source, const epio__memory_walk *target)
{
    return source->directory == target->directory || !epio__memory_is_directory(source->node) ||
           epio__memory_permits(source->node, EPIO__MEMORY_WRITE);
}

/* May the node that has the first name get the second, too, and what has that be replaced? */
static int may_move(const epio__memory_walk *source, const epio__memory_walk *target)
{
    bool directory = epio__memory_is_directory(source->node);
    int result = may_change(source->directory);
    if (result == 0) {
        result = may_change(target->directory);
    }
    if (result < 0) {
        return result;
    }
    if (target->node != NULL && epio__memory_is_directory(target->node) != directory) {
        return directory ? EPIO_ENOTDIR : EPIO_EISDIR;
    }
    if (!may_be_moved(source, target)) {
        return EPIO_EACCES;
    }
    return target->node != NULL && target->node->entries != NULL ? EPIO_ENOTEMPTY : 0;
}

int64_t epio__memory_rename(const epio__memory_start *from, epio_op *op)
{
    epio__memory_walk source = {0};
    epio__memory_walk target = {0};
    bool replaces = (op->flags & EPIO_RENAME_NO_REPLACE) == 0;
    if ((op->flags & EPIO_RENAME_KEEP_METADATA) != 0) {
        return EPIO_ENOTSUP;
    }
    int result = walk_to_both(&source, &target, from, op, replaces);
    if (result < 0) {
        return result;
    }
    if (!epio__memory_is_directory(source.node) && (source.slash || target.slash)) {
        return EPIO_ENOTDIR;
    }
    if (is_within(target.directory, source.node)) {
        return epio__op_refuse(op, EPIO__REASON_INTO_ITSELF);
    }
    if (target.node != NULL && is_within(source.directory, target.node)) {
        return EPIO_ENOTEMPTY;
    }
    if (target.node == source.node) {
        return 0;
    }
    result = may_move(&source, &target);
    if (result < 0) {
        return result;
    }
    epio__memory_entry *entry =
        epio__memory_entry_create(from->tree, source.node, target.name, target.len);
    if (entry == NULL) {
        return EPIO_ENOMEM;
    }
    if (target.entry != NULL) {
        epio__memory_watch_replaced(from->tree, target.node);
        epio__memory_entry_remove(target.directory, target.entry);
    }
    epio__memory_entry_insert(target.directory, entry);
    epio__memory_watch_renamed(from->tree, source.entry, entry);
    epio__memory_entry_remove(source.directory, source.entry);
    return 0;
}

int64_t epio__memory_exchange(const epio__memory_start *from, epio_op *op)
{
    epio__memory_walk one = {0};
    epio__memory_walk other = {0};
    int result = walk_to_both(&one, &other, from, op, true);
    if (result < 0 || other.node == NULL) {
        return result < 0 ? result : EPIO_ENOENT;
    }
    if ((one.slash && !epio__memory_is_directory(one.node)) ||
        (other.slash && !epio__memory_is_directory(other.node))) {
        return EPIO_ENOTDIR;
    }
    if (is_within(other.directory, one.node) || is_within(one.directory, other.node)) {
        return epio__op_refuse(op, EPIO__REASON_INTO_ITSELF);
    }
    if (one.node == other.node) {
        return 0;
    }
    result = may_change(one.directory);
    result = result == 0 ? may_change(other.directory) : result;
    if (result < 0) {
        return result;
    }
    if (!may_be_moved(&one, &other) || !may_be_moved(&other, &one)) {
        return EPIO_EACCES;
    }
    epio__memory_entry_exchange(one.directory, one.entry, other.directory, other.entry);
    epio__memory_watch_exchanged(from->tree, one.entry, other.entry);
    return 0;
}

/* ---- Temporary files and directories ---- */

/* In which directory a file is to be: 0, or an error. */
static int walk_to_directory(const epio__memory_start *from, const char *path,
                             const epio__memory_node **directory)
{
    epio__memory_walk walk;
    int result =
        epio__memory_walk_path(&walk, from, path, EPIO__MEMORY_FOLLOW | EPIO__MEMORY_DIRECTORY);
    *directory = walk.node;
    if (result < 0) {
        result = epio__memory_walk_begin(&walk, from, path);
        *directory = walk.directory;
    }
    if (result < 0) {
        return result;
    }
    bool permitted = epio__memory_permits(*directory, EPIO__MEMORY_WRITE | EPIO__MEMORY_SEARCH);
    return permitted ? 0 : EPIO_EACCES;
}

int epio__memory_make_temporary(const epio__memory_start *from, const char *path,
                                epio__memory_node **made)
{
    const epio__memory_node *directory = NULL;
    int result = path != NULL ? walk_to_directory(from, path, &directory) : 0;
    if (result < 0) {
        return result;
    }
    *made = epio__memory_node_create(from->tree, EPIO_TYPE_FILE, TEMPORARY_MODE);
    if (*made == NULL) {
        return EPIO_ENOMEM;
    }
    if (directory != NULL) {
        inherit_group(*made, directory);
    }
    (*made)->temporary = true;
    return 0;
}

static bool has_name(const epio__memory_node *node)
{
    return epio__memory_is_directory(node) ? !epio__memory_is_removed(node) : node->links != 0;
}

/* To the name that is to be given: 0 if it is free or may be replaced. */
static int walk_to_given(epio__memory_walk *walk, const epio__memory_start *from,
                         const epio__memory_node *node, const epio_op *op)
{
    bool replaces = (op->flags & EPIO_NAME_NO_REPLACE) == 0;
    int result = epio__memory_walk_begin(walk, from, op->arguments.path.path);
    if (result == 0 && walk->last == EPIO__MEMORY_LAST_NAME) {
        result = epio__memory_walk_name(walk);
    }
    if (result < 0) {
        return result;
    }
    bool exists = walk->last != EPIO__MEMORY_LAST_NAME || walk->node != NULL;
    if (exists && !replaces) {
        return EPIO_EEXIST;
    }
    if (walk->last != EPIO__MEMORY_LAST_NAME) {
        return EPIO_EBUSY;
    }
    if (walk->slash) {
        return exists ? EPIO_ENOTDIR : EPIO_ENOENT;
    }
    if (exists && epio__memory_is_directory(walk->node)) {
        return EPIO_EISDIR;
    }
    result = may_change(walk->directory);
    if (result == 0 && !node->temporary) {
        result = epio__memory_is_directory(node) ? EPIO_EPERM : EPIO_ENOENT;
    }
    return result;
}

int64_t epio__memory_name_temporary(const epio__memory_start *from, epio__memory_node *node,
                                    epio_op *op)
{
    epio__memory_walk walk = {0};
    if (has_name(node)) {
        return epio__op_refuse(op, EPIO__REASON_HAS_NAME);
    }
    int result = walk_to_given(&walk, from, node, op);
    if (result < 0) {
        return result;
    }
    epio__memory_entry *entry = epio__memory_entry_create(from->tree, node, walk.name, walk.len);
    if (entry == NULL) {
        return EPIO_ENOMEM;
    }
    if (walk.entry != NULL) {
        epio__memory_entry_remove(walk.directory, walk.entry);
    }
    epio__memory_entry_insert(walk.directory, entry);
    epio__memory_watch_made(from->tree, entry);
    epio__memory_note_changed(node);
    node->temporary = false;
    return 0;
}

/* There is no directory for temporary files but the root. A name that exists is as unlikely as a
 * key that is guessed. */
int64_t epio__memory_temporary_directory(const epio__memory_start *from, const epio_op *op)
{
    const char *parent = op->arguments.path.path != NULL ? op->arguments.path.path : "";
    char name[EPIO__MEMORY_PATH_SIZE + EPIO__RANDOM_NAME_LEN];
    size_t len = strlen(parent) + EPIO__RANDOM_NAME_LEN;
    if (len >= sizeof name) {
        return EPIO_ENAMETOOLONG;
    }
    if (len >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    epio__random_name(parent, name, sizeof name);
    int result = make_at(from, name, EPIO_TYPE_DIRECTORY, TEMPORARY_DIRECTORY_MODE, NULL);
    if (result < 0) {
        return result;
    }
    memcpy(op->arguments.path.buffer, name, len + 1);
    return (int64_t)len;
}

/* ---- Links ---- */

int64_t epio__memory_link_file(const epio__memory_start *from, const epio_op *op)
{
    epio__memory_walk source = {0};
    epio__memory_walk target = {0};
    int result = epio__memory_walk_path(&source, from, op->arguments.path.path, 0);
    if (result == 0) {
        result = walk_to_new(&target, from, op->arguments.path.to, EPIO_TYPE_FILE);
    }
    if (result == 0) {
        result = may_change(target.directory);
    }
    if (result < 0) {
        return result;
    }
    if (epio__memory_is_directory(source.node)) {
        return EPIO_EPERM;
    }
    epio__memory_entry *entry =
        epio__memory_entry_create(from->tree, source.node, target.name, target.len);
    if (entry == NULL) {
        return EPIO_ENOMEM;
    }
    epio__memory_entry_insert(target.directory, entry);
    epio__memory_watch_made(from->tree, entry);
    epio__memory_note_changed(source.node);
    return 0;
}

int64_t epio__memory_symlink(const epio__memory_start *from, const epio_op *op)
{
    const char *target = op->arguments.path.to;
    if (strlen(target) >= EPIO__MEMORY_PATH_SIZE) {
        return EPIO_ENAMETOOLONG;
    }
    return make_at(from, op->arguments.path.path, EPIO_TYPE_LINK, LINK_MODE, target);
}

int64_t epio__memory_read_link(const epio__memory_start *from, epio_op *op)
{
    epio__memory_walk walk = {0};
    int result = epio__memory_walk_path(&walk, from, op->arguments.path.path, 0);
    if (result < 0) {
        return result;
    }
    if (walk.node->type != EPIO_TYPE_LINK) {
        op->os_error = epio_error_to_os(EPIO_EINVAL); /* no argument of the program is invalid */
        return EPIO_EINVAL;
    }
    epio__memory_note_accessed(walk.node);
    size_t len = strlen(walk.node->target);
    if (len >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    memcpy(op->arguments.path.buffer, walk.node->target, len + 1);
    return (int64_t)len;
}

/* ---- Listing ---- */

static void put_entry(char *to, const epio__memory_tree *tree, const epio__memory_entry *from)
{
    epio_info info;
    epio__memory_describe(tree, from->node, &info);
    char *name = epio__entry_put(to, from->len, from->node->type, from->node->id, &info);
    memcpy(name, from->name, from->len);
    name[from->len] = '\0';
}

int64_t epio__memory_list(const epio__memory_tree *tree, epio__memory_node *directory,
                          epio__memory_cursor *cursor, char *buffer, size_t room)
{
    size_t filled = 0;
    if (epio__memory_is_removed(directory)) {
        return EPIO_ENOENT;
    }
    epio__memory_note_accessed(directory);
    for (;;) {
        const epio__memory_entry *next =
            epio__memory_entry_after(directory, cursor->name, cursor->len);
        if (next == NULL || epio__entry_size(next->len, true) > room - filled) {
            return next == NULL || filled != 0 ? (int64_t)filled : EPIO_ERANGE;
        }
        put_entry(buffer + filled, tree, next);
        filled += epio__entry_size(next->len, true);
        memcpy(cursor->name, next->name, next->len);
        cursor->len = next->len;
    }
}
