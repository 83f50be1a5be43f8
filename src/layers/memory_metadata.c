/* See memory_metadata.h. */
#include "layers/memory_metadata.h"

#include "core/struct_size.h"
#include "platform.h"
#include "reason.h"

#include <string.h>

#define BLOCK_SIZE 4096u

/* Bits of a mode. */
#define SET_USER 04000u
#define SET_GROUP 02000u
#define GROUP_EXECUTES 0010u

/* ---- Stat ---- */

static uint64_t links_of(const epio__memory_node *node)
{
    if (!epio__memory_is_directory(node)) {
        return node->links;
    }
    return epio__memory_is_removed(node) ? 0 : 2 + node->links; /* its name and "."; each ".." */
}

void epio__memory_describe(const epio__memory_tree *tree, const epio__memory_node *node,
                           epio_info *to)
{
    epio_info info = {.size = sizeof info};
    info.known = EPIO_INFO_MODE | EPIO_INFO_OWNER | EPIO_INFO_LINKS | EPIO_INFO_ID |
                 EPIO_INFO_BYTES | EPIO_INFO_ALLOCATED | EPIO_INFO_BLOCK_SIZE | EPIO_INFO_BORN |
                 EPIO_INFO_MODIFIED | EPIO_INFO_CHANGED | EPIO_INFO_ACCESSED;
    info.type = node->type;
    info.mode = node->mode;
    info.user = node->user;
    info.group = node->group;
    info.block_size = BLOCK_SIZE;
    info.links = links_of(node);
    info.device = tree->device;
    info.id[0] = node->id;
    info.bytes = node->contents.size;
    info.allocated = epio__memory_allocated(&node->contents);
    if (epio__memory_is_directory(node)) {
        info.bytes = BLOCK_SIZE;
        info.allocated = BLOCK_SIZE;
    } else if (node->type == EPIO_TYPE_LINK) {
        info.bytes = strlen(node->target);
    }
    info.born = node->born;
    info.modified = node->modified;
    info.changed = node->changed;
    info.accessed = node->accessed;
    *to = info;
}

int64_t epio__memory_stat(const epio__memory_tree *tree, const epio__memory_node *node,
                          const epio_op *op)
{
    epio_info info;
    epio__memory_describe(tree, node, &info);
    (void)epio_result_give(&info, sizeof info, 0, op->arguments.path.buffer);
    return 0;
}

/* ---- The file system ---- */

/* How much there is depends on the process and what else it keeps in memory: there is no limit of
 * its own. */
int64_t epio__memory_file_system_info(const epio_op *op)
{
    epio_file_system info;
    memset(&info, 0, sizeof info);
    info.known = EPIO_FS_REMOTE | EPIO_FS_MEMORY | EPIO_FS_READ_ONLY | EPIO_FS_CASE_SENSITIVE |
                 EPIO_FS_REFLINKS;
    info.traits = EPIO_FS_MEMORY | EPIO_FS_CASE_SENSITIVE;
    info.block_size = 1u << EPIO__MEMORY_BLOCK_BITS;
    info.longest_name = EPIO__MEMORY_NAME_LIMIT;
    memcpy(info.type, "memory", sizeof "memory");
    (void)epio_result_give(&info, sizeof info, 0, op->arguments.path.buffer);
    return 0;
}

/* ---- Times ---- */

static int take_times(epio_op *op, epio_times *times)
{
    if (!epio_options_take(times, sizeof *times, 0, op->arguments.path.buffer)) {
        return epio__op_refuse(op, EPIO__REASON_STRUCT_FIELD);
    }
    return times->born != EPIO_TIME_KEEP ? EPIO_ENOTSUP : 0;
}

int epio__memory_check_times(epio_op *op)
{
    epio_times times;
    return take_times(op, &times);
}

static void set_time(int64_t *time, int64_t value, int64_t now)
{
    if (value != EPIO_TIME_KEEP) {
        *time = value == EPIO_TIME_NOW ? now : value;
    }
}

int64_t epio__memory_set_times(epio__memory_node *node, epio_op *op)
{
    epio_times times;
    int64_t now = epio__current_time();
    int result = take_times(op, &times);
    if (result == 0 && (times.modified != EPIO_TIME_KEEP || times.accessed != EPIO_TIME_KEEP)) {
        set_time(&node->modified, times.modified, now);
        set_time(&node->accessed, times.accessed, now);
        node->changed = now;
    }
    return result;
}

/* ---- Permissions and owner ---- */

int64_t epio__memory_set_mode(epio__memory_node *node, const epio_op *op)
{
    if (node->type == EPIO_TYPE_LINK) {
        return EPIO_ENOTSUP;
    }
    node->mode = (uint32_t)op->arguments.path.len;
    epio__memory_note_changed(node);
    return 0;
}

/* A program that runs as its owner must not run as the next one. */
int64_t epio__memory_set_owner(epio__memory_node *node, const epio_op *op)
{
    uint32_t user = (uint32_t)(op->arguments.path.len >> 32);
    uint32_t group = (uint32_t)(op->arguments.path.len & UINT32_MAX);
    node->user = user != EPIO_OWNER_KEEP ? user : node->user;
    node->group = group != EPIO_OWNER_KEEP ? group : node->group;
    if (!epio__memory_is_directory(node)) {
        node->mode &= ~SET_USER;
        node->mode &= (node->mode & GROUP_EXECUTES) != 0 ? ~SET_GROUP : ~0u;
    }
    epio__memory_note_changed(node);
    return 0;
}
