/* See memory_xattr.h. Names, limits and the order of checks are those of Linux, where any program
 * may have attributes: in the namespace "user.", of files and directories. */
#include "layers/memory_xattr.h"

#include <epio/epio.h>

#include <stdlib.h>
#include <string.h>

#define NAMESPACE "user."
#define NAMESPACE_LEN (sizeof NAMESPACE - 1)

#define LONGEST_NAME 255
#define LONGEST_VALUE ((uint64_t)64 * 1024)

static bool sets(const epio_op *op)
{
    return op->kind == EPIO_KIND_SET_XATTR || op->kind == EPIO_KIND_FILE_SET_XATTR;
}

static bool gets(const epio_op *op)
{
    return op->kind == EPIO_KIND_GET_XATTR || op->kind == EPIO_KIND_FILE_GET_XATTR;
}

static bool lists(const epio_op *op)
{
    return op->kind == EPIO_KIND_LIST_XATTRS || op->kind == EPIO_KIND_FILE_LIST_XATTRS;
}

/* ---- Checks ---- */

int epio__memory_check_xattr(const epio_op *op)
{
    bool too_long = strlen(op->arguments.path.to) > LONGEST_NAME ||
                    (sets(op) && op->arguments.path.len > LONGEST_VALUE);
    return !lists(op) && too_long ? EPIO_ERANGE : 0;
}

static int64_t check(const epio__memory_node *node, epio_op *op)
{
    const char *name = op->arguments.path.to;
    int valid = epio__memory_check_xattr(op);
    if (valid < 0) {
        return valid;
    }
    bool known = strncmp(name, NAMESPACE, NAMESPACE_LEN) == 0;
    if (known && node->type == EPIO_TYPE_LINK) {
        return gets(op) ? EPIO_ENODATA : EPIO_EPERM;
    }
    if (!epio__memory_permits(node, gets(op) ? EPIO__MEMORY_READ : EPIO__MEMORY_WRITE)) {
        return EPIO_EACCES;
    }
    if (!known) {
        return EPIO_ENOTSUP;
    }
    return name[NAMESPACE_LEN] == '\0' ? EPIO_EINVAL : 0;
}

/* ---- Attributes ---- */

/* The slot of that name, or where a new one belongs: the list keeps the order in which they were
 * made. */
static epio__memory_attribute **find(epio__memory_node *node, const char *name)
{
    epio__memory_attribute **slot = &node->attributes;
    while (*slot != NULL && strcmp((*slot)->bytes, name) != 0) {
        slot = &(*slot)->next;
    }
    return slot;
}

static epio__memory_attribute *create(const epio_op *op)
{
    size_t name_size = strlen(op->arguments.path.to) + 1;
    size_t len = (size_t)op->arguments.path.len;
    epio__memory_attribute *made = malloc(sizeof *made + name_size + len);
    if (made != NULL) {
        made->name_size = name_size;
        made->len = len;
        memcpy(made->bytes, op->arguments.path.to, name_size);
        if (len != 0) {
            memcpy(made->bytes + name_size, op->arguments.path.buffer, len);
        }
    }
    return made;
}

/* ---- The verbs ---- */

static int64_t get(const epio__memory_attribute *found, const epio_op *op)
{
    size_t len = found->len;
    if (op->arguments.path.len != 0) {
        if (len > op->arguments.path.len) {
            return EPIO_ERANGE;
        }
        memcpy(op->arguments.path.buffer, found->bytes + found->name_size, len);
    }
    return (int64_t)len;
}

static int64_t set(epio__memory_node *node, epio__memory_attribute **slot, epio_op *op)
{
    epio__memory_attribute *before = *slot;
    if (before != NULL && (op->flags & EPIO_XATTR_CREATE) != 0) {
        return EPIO_EEXIST;
    }
    if (before == NULL && (op->flags & EPIO_XATTR_REPLACE) != 0) {
        return EPIO_ENODATA;
    }
    epio__memory_attribute *made = create(op);
    if (made == NULL) {
        return EPIO_ENOMEM;
    }
    made->next = before != NULL ? before->next : NULL;
    *slot = made;
    free(before);
    epio__memory_note_changed(node);
    return 0;
}

static int64_t list(const epio__memory_node *node, const epio_op *op)
{
    uint64_t room = op->arguments.path.len;
    size_t filled = 0;
    for (const epio__memory_attribute *at = node->attributes; at != NULL; at = at->next) {
        if (room != 0) {
            if (at->name_size > room - filled) {
                return EPIO_ERANGE;
            }
            memcpy(op->arguments.path.buffer + filled, at->bytes, at->name_size);
        }
        filled += at->name_size;
    }
    return (int64_t)filled;
}

static int64_t remove_one(epio__memory_node *node, epio__memory_attribute **slot)
{
    epio__memory_attribute *found = *slot;
    *slot = found->next;
    free(found);
    epio__memory_note_changed(node);
    return 0;
}

int64_t epio__memory_xattr(epio__memory_node *node, epio_op *op)
{
    if (lists(op)) {
        return list(node, op);
    }
    int64_t result = check(node, op);
    if (result < 0) {
        return result;
    }
    epio__memory_attribute **slot = find(node, op->arguments.path.to);
    if (sets(op)) {
        return set(node, slot, op);
    }
    if (*slot == NULL) {
        return EPIO_ENODATA;
    }
    return gets(op) ? get(*slot, op) : remove_one(node, slot);
}
