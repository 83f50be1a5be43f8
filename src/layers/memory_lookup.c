/* See memory_lookup.h. */
#include "layers/memory_lookup.h"

#include "layers/memory_metadata.h"
#include "layers/memory_watch.h"
#include "layers/memory_xattr.h"

#include <string.h>

/* The same bit for each verb that has it. */
#define FOLLOWS_NOT EPIO_STAT_NOFOLLOW
_Static_assert(FOLLOWS_NOT == EPIO_SET_NOFOLLOW, "one flag for stat and the setting verbs");
_Static_assert(FOLLOWS_NOT == EPIO_XATTR_NOFOLLOW, "and for the verbs of attributes");

static int64_t access_node(int result, const epio__memory_node *node, uint32_t mode)
{
    static const uint32_t wanted[] = {
        [EPIO_ACCESS_EXISTS] = 0,
        [EPIO_ACCESS_READ] = EPIO__MEMORY_READ,
        [EPIO_ACCESS_READWRITE] = EPIO__MEMORY_READ | EPIO__MEMORY_WRITE,
    };
    if (result == EPIO_ENOENT || result == EPIO_ENOTDIR || result == EPIO_EACCES) {
        return 0;
    }
    return result < 0 ? result : epio__memory_permits(node, wanted[mode]);
}

int64_t epio__memory_full_pathname(const epio__memory_start *from, epio_op *op)
{
    bool followed;
    char full[EPIO__MEMORY_PATH_SIZE];
    int64_t len = epio__memory_full_path(from, op->arguments.path.path, full, &followed);
    if (len >= 0 && (uint64_t)len >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    if (len >= 0) {
        memcpy(op->arguments.path.buffer, full, (size_t)len + 1);
        op->notes |= followed ? EPIO_NOTE_FOLLOWED_LINK : 0;
    }
    return len;
}

/* What is wrong with an op wherever its path leads. */
static int check_arguments(epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_SET_TIMES:
        return epio__memory_check_times(op);
    case EPIO_KIND_GET_XATTR:
    case EPIO_KIND_SET_XATTR:
    case EPIO_KIND_REMOVE_XATTR:
        return epio__memory_check_xattr(op);
    default:
        return 0;
    }
}

static int64_t perform_on_node(const epio__memory_tree *tree, epio__memory_node *node, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_STAT:
        return epio__memory_stat(tree, node, op);
    case EPIO_KIND_SET_TIMES:
        return epio__memory_set_times(node, op);
    case EPIO_KIND_SET_MODE:
        return epio__memory_set_mode(node, op);
    case EPIO_KIND_SET_OWNER:
        return epio__memory_set_owner(node, op);
    case EPIO_KIND_FILE_SYSTEM_INFO:
        return epio__memory_file_system_info(op);
    default:
        return epio__memory_xattr(node, op);
    }
}

int64_t epio__memory_perform_on_path(const epio__memory_start *from, epio_op *op)
{
    epio__memory_walk walk = {0};
    bool follow = op->kind == EPIO_KIND_ACCESS || (op->flags & FOLLOWS_NOT) == 0;
    int result = check_arguments(op);
    if (result == 0) {
        result = epio__memory_walk_path(&walk, from, op->arguments.path.path,
                                        follow ? EPIO__MEMORY_FOLLOW : 0);
    }
    if (op->kind == EPIO_KIND_ACCESS) {
        return access_node(result, walk.node, op->flags);
    }
    if (result < 0) {
        return result;
    }
    int64_t done = perform_on_node(from->tree, walk.node, op);
    epio__memory_watch_changed(from->tree, op, done, walk.node);
    return done;
}

/* All is as durable as it gets. */
int64_t epio__memory_sync_directory(const epio__memory_start *from, const epio_op *op)
{
    epio__memory_walk walk;
    return epio__memory_walk_path(&walk, from, op->arguments.path.path,
                                  EPIO__MEMORY_FOLLOW | EPIO__MEMORY_DIRECTORY);
}
